/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The turn.
 *
 *      callbacks arm things ──► submission queue ──┐
 *            ▲                                     ▼
 *            │                        one io_uring_enter(): submit, sleep until a completion or the nearest deadline
 *            │                                     │
 *      dispatch: watches, posts, timers ◄── reap ──┘
 *
 * Invariants:
 *   - Nothing is called back while the completion queue is read: reaping only marks slots and links them into a list, each slot once
 *     however many completions it had. So the list is bounded by the number of watches, and a callback may change anything.
 *   - The kernel never gets a pointer of ours to give back: user_data is {generation, slot index}, and is looked up.
 *   - A loop with nothing to do makes no wake-up: without an armed timer the wait has no timeout.
 *
 * The nearest deadline is given to the wait itself (IORING_ENTER_EXT_ARG), not to a TIMEOUT request. Measured on kernel 6.18: 300 000 turns of
 * a bare ring whose eventfd is written before each, five runs, in nanoseconds a turn (median; the spread was under 2 %):
 *
 *      no timer                                      780
 *      argument of the wait                          837   1.07x, whether the deadline moves or not
 *      TIMEOUT request, armed once, never moved      787   1.01x
 *      TIMEOUT request, updated each turn           1259   1.61x: a second submission in each turn
 *
 * The nearest deadline of a hub moves often (each request has its own time-out), and the argument has no completion that can be late. It is
 * relative before kernel 6.12, so the clock is read once more before a wait with an armed timer; that is in the 837.
 *
 * Dropped: an own wait on the ring's fd with epoll beside it (two system calls a turn); SQPOLL (a kernel thread that spins for a process that
 * should sleep).
 */
#include "supervisor/loop/loop.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/check.h"
#include "base/clock.h"
#include "supervisor/loop/internal.h"

static int loop_new(struct bt_loop **ret_loop, char ret_reason[BT_LOOP_REASON_BYTES], bool polled)
{
        struct bt_loop *loop = calloc(1, sizeof(*loop));
        int r;

        if (!loop) {
                (void)snprintf(ret_reason, BT_LOOP_REASON_BYTES, "out of memory");
                return -ENOMEM;
        }
        loop->polled = polled;
        bt_list_init(&loop->ready);
        bt_list_init(&loop->senders);
        r = bt_loop_ring_up(loop, ret_reason);
        if (r) {
                loop = bt_loop_free(loop);
                return r;
        }
        loop->now_ns = bt_now_ns();
        *ret_loop = loop;
        return 0;
}

int bt_loop_new(struct bt_loop **ret_loop, char ret_reason[BT_LOOP_REASON_BYTES])
{
        return loop_new(ret_loop, ret_reason, false);
}

int bt_loop_new_polled(struct bt_loop **ret_loop, char ret_reason[BT_LOOP_REASON_BYTES])
{
        return loop_new(ret_loop, ret_reason, true);
}

#define FINISH_VISITS_MAX 8192

/*
 * Closing a ring cancels its requests, but in a kernel worker, some time after close() has returned; until then they hold the files they
 * poll, and a peer sees no end of file. So cancel here, and let the kernel finish what it has put off to our next visit (DEFER_TASKRUN).
 * Kernels before 6.0 do not know the first call and are left to the worker.
 *
 * What was forgotten in the last turn is let go of first: the kernel looks for each request to cancel among all that are still there, so that a
 * thousand which were cancelled already, and have only not been finished, are a million looks.
 */
static void loop_cancel_all(struct bt_loop *loop)
{
        struct io_uring_sync_cancel_reg reg = {
                .fd = -1,
                .flags = IORING_ASYNC_CANCEL_ANY | IORING_ASYNC_CANCEL_ALL,
                .timeout = {.tv_sec = 1},
        };

        (void)io_uring_submit(&loop->ring);
        for (uint32_t i = 0; i < FINISH_VISITS_MAX; i++) { /* the kernel finishes some twenty at each */
                (void)io_uring_get_events(&loop->ring);
                if (!io_uring_cq_ready(&loop->ring))
                        break;
                bt_loop_reap(loop);
        }
        (void)io_uring_register_sync_cancel(&loop->ring, &reg);
        (void)io_uring_get_events(&loop->ring);
}

struct bt_loop *bt_loop_free(struct bt_loop *loop)
{
        if (!loop)
                return NULL;
        bt_assert(!loop->turning);
        bt_assert(bt_list_empty(&loop->senders));
        if (loop->ring_up) {
                loop_cancel_all(loop);
                io_uring_queue_exit(&loop->ring);
        }
        bt_loop_watch_deinit(loop);
        bt_loop_timer_deinit(loop);
        free(loop);
        return NULL;
}

uint64_t bt_loop_now(const struct bt_loop *loop)
{
        return loop->now_ns;
}

struct io_uring_sqe *bt_loop_sqe(struct bt_loop *loop)
{
        for (int tries = 0; tries < 64; tries++) {
                struct io_uring_sqe *sqe = io_uring_get_sqe(&loop->ring);
                int r;

                if (sqe)
                        return sqe;
                r = io_uring_submit(&loop->ring);
                /* Busy: the kernel takes nothing more before its backlog of completions has gone down. */
                if (r == -EBUSY || r == -EAGAIN)
                        bt_loop_reap(loop);
                else if (r < 0 && r != -EINTR)
                        return NULL;
        }
        return NULL;
}

void bt_loop_reap(struct bt_loop *loop)
{
        struct io_uring_cqe *cqe;
        unsigned head, count = 0;

        io_uring_for_each_cqe(&loop->ring, head, cqe) {
                bt_loop_slot_complete(loop, cqe->user_data, cqe->res, cqe->flags);
                count++;
        }
        io_uring_cq_advance(&loop->ring, count);
}

/* Submits, and sleeps until there is a completion or a deadline. 0 whatever woke it; -errno when the ring is broken. */
static int loop_wait(struct bt_loop *loop)
{
        uint64_t deadline_ns = bt_loop_timer_next(loop);
        struct __kernel_timespec ts, *timeout = NULL;
        struct io_uring_cqe *cqe = NULL;
        /* Something may be ready already: completions that were reaped to make room for submissions. */
        unsigned wait_count = bt_list_empty(&loop->ready) ? 1 : 0;
        int r;

        if (deadline_ns != BT_NS_NEVER && wait_count) {
                uint64_t now_ns = bt_now_ns();
                uint64_t left_ns = deadline_ns > now_ns ? deadline_ns - now_ns : 0;

                ts.tv_sec = (long long)(left_ns / BT_NS_PER_S);
                ts.tv_nsec = (long long)(left_ns % BT_NS_PER_S);
                timeout = &ts;
        }
        r = io_uring_submit_and_wait_timeout(&loop->ring, &cqe, wait_count, timeout, NULL);
        switch (r) {
        case -ETIME:  /* the deadline */
        case -EINTR:  /* a signal handler ran */
        case -EAGAIN: /* nothing there and none asked for, or no memory for a request: it stays queued */
        case -EBUSY:  /* a backlog of completions: reap, and come back */
                return 0;
        default:
                return r < 0 ? r : 0;
        }
}

static int loop_dispatch(struct bt_loop *loop)
{
        int r;

        loop->now_ns = bt_now_ns();
        bt_loop_reap(loop);

        loop->turning = true;
        r = bt_loop_watch_dispatch(loop);
        bt_loop_post_dispatch(loop);
        bt_loop_timer_dispatch(loop);
        loop->turning = false;
        return r;
}

int bt_loop_turn(struct bt_loop *loop)
{
        int r;

        bt_assert(!loop->turning);
        r = loop_wait(loop);
        return r ? bt_fold(r) : loop_dispatch(loop);
}

/* ---- inside another loop ---- */

int bt_loop_submit(struct bt_loop *loop)
{
        int r = io_uring_submit(&loop->ring);

        return r >= 0 || r == -EINTR || r == -EAGAIN || r == -EBUSY ? 0 : bt_fold(r);
}

int bt_loop_turn_now(struct bt_loop *loop)
{
        int r;

        bt_assert(!loop->turning);
        r = bt_loop_submit(loop);
        if (r)
                return r;
        /* What the kernel has put off to our next visit (DEFER_TASKRUN) becomes completions here. */
        (void)io_uring_get_events(&loop->ring);
        return loop_dispatch(loop);
}

int bt_loop_fd(const struct bt_loop *loop)
{
        return loop->ring.ring_fd;
}

uint64_t bt_loop_deadline(const struct bt_loop *loop)
{
        return bt_list_empty(&loop->ready) ? bt_loop_timer_next(loop) : 0;
}
