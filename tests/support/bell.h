/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * For the tests of supervisor/loop: a ring or a failed test; an eventfd with its watch; a turn that is known to end. Include after cmocka.h.
 */

#include <poll.h>
#include <stdint.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/fd.h"
#include "supervisor/loop/internal.h"
#include "supervisor/loop/loop.h"

static inline struct bt_loop *loop_new(void)
{
        struct bt_loop *loop = NULL;
        char reason[BT_LOOP_REASON_BYTES] = "";

        if (bt_loop_new(&loop, reason))
                fail_msg("no ring: %s", reason);
        return loop;
}

static inline void ring_bell(int fd)
{
        uint64_t one = 1;

        assert_int_equal(write(fd, &one, sizeof(one)), sizeof(one));
}

/* A turn that is known to end: a timer that is due already stands behind whatever else there is. */
static inline void on_nothing(struct bt_loop_timer *timer)
{
        (void)timer;
}

static inline void turn_without_waiting(struct bt_loop *loop)
{
        struct bt_loop_timer now = {0};

        assert_int_equal(bt_loop_timer_arm(loop, &now, 1, on_nothing), 0);
        assert_int_equal(bt_loop_turn(loop), 0);
        bt_loop_timer_disarm(&now);
}

struct bell {
        struct bt_loop_watch watch;
        int fd;
        int calls;
        uint32_t events;
        struct bt_loop_watch *forget; /* in the call */
};

static inline void on_bell(struct bt_loop_watch *watch, uint32_t events)
{
        struct bell *bell = bt_container_of(watch, struct bell, watch);
        uint64_t value;

        bell->calls++;
        bell->events = events;
        if (events & POLLIN)
                (void)!read(bell->fd, &value, sizeof(value));
        if (bell->forget)
                bt_loop_forget(bell->forget);
}

static inline void bell_open(struct bell *bell, struct bt_loop *loop)
{
        *bell = (struct bell){.fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)};
        assert_true(bell->fd >= 0);
        assert_int_equal(bt_loop_watch_fd(loop, &bell->watch, bell->fd, POLLIN, on_bell), 0);
}

static inline void bell_close(struct bell *bell)
{
        bt_loop_forget(&bell->watch);
        bell->fd = bt_close(bell->fd);
}

/* More than twice what the completion queue holds. */
#define BELLS_MANY 17000

/*
 * Has the kernel do what it put off until its completion queue overflows. (At one visit it does a part only, so an ordinary turn with its
 * reaping would keep up.)
 */
static inline void overflow_queue(struct bt_loop *loop)
{
        for (int visits = 0; visits < BELLS_MANY; visits++) {
                if (*loop->ring.sq.kflags & IORING_SQ_CQ_OVERFLOW)
                        return;
                (void)io_uring_get_events(&loop->ring);
        }
        fail_msg("the completion queue took %d completions without an overflow", BELLS_MANY);
}
