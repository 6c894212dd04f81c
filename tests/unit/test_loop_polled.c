/* SPDX-License-Identifier: Apache-2.0 */
/* A loop inside another one: its descriptor tells when there is something to do, for eventfds written from another process too. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/fd.h"
#include "supervisor/loop/loop.h"

#define WAIT_MS 20000
#define ROUNDS 200

struct fixture {
        struct bt_loop *loop;
        struct bt_loop_watch watch;
        struct bt_loop_timer timer;
        int bell, answer;
        int rung, timed;
};

static void on_bell(struct bt_loop_watch *watch, uint32_t events)
{
        struct fixture *f = bt_container_of(watch, struct fixture, watch);
        const uint64_t one = 1;
        uint64_t value;

        (void)events;
        while (read(f->bell, &value, sizeof(value)) == (ssize_t)sizeof(value))
                f->rung++;
        assert_int_equal(write(f->answer, &one, sizeof(one)), (ssize_t)sizeof(one));
}

static void on_time(struct bt_loop_timer *timer)
{
        bt_container_of(timer, struct fixture, timer)->timed++;
}

static int set_up(void **state)
{
        static struct fixture fixture;
        char reason[BT_LOOP_REASON_BYTES] = "";

        fixture = (struct fixture){0};
        fixture.bell = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
        fixture.answer = eventfd(0, EFD_CLOEXEC);
        *state = &fixture;
        return bt_loop_new_polled(&fixture.loop, reason) || fixture.bell < 0 || fixture.answer < 0;
}

static int tear_down(void **state)
{
        struct fixture *f = *state;

        bt_loop_forget(&f->watch);
        bt_loop_timer_disarm(&f->timer);
        f->loop = bt_loop_free(f->loop);
        (void)bt_close(f->bell);
        (void)bt_close(f->answer);
        return 0;
}

static void poll_and_turn(struct fixture *f)
{
        struct pollfd fd = {.fd = bt_loop_fd(f->loop), .events = POLLIN};
        int n;

        assert_int_equal(bt_loop_submit(f->loop), 0);
        n = poll(&fd, 1, WAIT_MS);
        if (n == 0)
                fail_msg("nobody woke the poll: %d of %d rings were seen", f->rung, ROUNDS);
        assert_true(n == 1 || errno == EINTR);
        assert_int_equal(bt_loop_turn_now(f->loop), 0);
}

/* Rings, and waits for the answer before it rings again: each ring has to wake a poll of its own. */
static void *ring(void *arg)
{
        const struct fixture *f = arg;
        const uint64_t one = 1;
        uint64_t value;

        for (int i = 0; i < ROUNDS; i++) {
                if (write(f->bell, &one, sizeof(one)) != (ssize_t)sizeof(one) || read(f->answer, &value, sizeof(value)) != (ssize_t)sizeof(value))
                        return arg;
        }
        return NULL;
}

static void each_ring_of_an_eventfd_wakes_the_poll(void **state)
{
        struct fixture *f = *state;
        void *failed = NULL;
        pthread_t thread;

        assert_int_equal(bt_loop_watch_fd(f->loop, &f->watch, f->bell, EPOLLIN, on_bell), 0);
        assert_int_equal(pthread_create(&thread, NULL, ring, f), 0);
        while (f->rung < ROUNDS)
                poll_and_turn(f);
        assert_int_equal(pthread_join(thread, &failed), 0);
        assert_null(failed);
}

static void a_turn_does_not_wait(void **state)
{
        struct fixture *f = *state;

        assert_int_equal(bt_loop_watch_fd(f->loop, &f->watch, f->bell, EPOLLIN, on_bell), 0);
        for (int i = 0; i < 3; i++)
                assert_int_equal(bt_loop_turn_now(f->loop), 0); /* returns, with nothing to do */
        assert_int_equal(f->rung, 0);
}

static void the_deadline_is_that_of_the_next_timer(void **state)
{
        struct fixture *f = *state;
        uint64_t at = bt_ns_add(bt_now_ns(), BT_NS_PER_S * 3600);

        assert_true(bt_loop_deadline(f->loop) == BT_NS_NEVER);
        assert_int_equal(bt_loop_timer_arm(f->loop, &f->timer, at, on_time), 0);
        assert_true(bt_loop_deadline(f->loop) == at);
        assert_int_equal(bt_loop_turn_now(f->loop), 0);
        assert_int_equal(f->timed, 0);
        assert_int_equal(bt_loop_timer_arm(f->loop, &f->timer, bt_now_ns() - 1, on_time), 0);
        assert_int_equal(bt_loop_turn_now(f->loop), 0);
        assert_int_equal(f->timed, 1);
        assert_true(bt_loop_deadline(f->loop) == BT_NS_NEVER);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(each_ring_of_an_eventfd_wakes_the_poll, set_up, tear_down),
                cmocka_unit_test_setup_teardown(a_turn_does_not_wait, set_up, tear_down),
                cmocka_unit_test_setup_teardown(the_deadline_is_that_of_the_next_timer, set_up, tear_down),
        };

        return cmocka_run_group_tests_name("loop_polled", tests, NULL, NULL);
}
