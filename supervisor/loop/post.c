/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Words from other threads.
 *
 * The item does not travel in the completion: a completion can be dropped by nobody, but MSG_RING can be refused (EOVERFLOW: the other's queue
 * is full), and then its sender would have to keep the item and try again. So items go through a queue in memory and MSG_RING only wakes:
 *
 *      sender's thread                                       loop's thread
 *      items[tail % N] = item; tail++ (release)              reap all completions
 *      if (exchange(rung, 1) == 0)                           if (exchange(rung, 0))
 *              MSG_RING ─────── wakes the wait ────────►             call back items[head .. tail)
 *
 * Why nothing is lost: a sender that finds rung set knows that the loop has still to clear it, and the loop reads tail after clearing it.
 * A sender that set it sends; if the loop's queue is full at that moment there are completions the loop will reap after it, and each turn that reaps
 * looks at the senders afterwards: EOVERFLOW is as good as delivered.
 *
 * Bound: BT_LOOP_POST_MAX items. At the bound the sender sleeps on @head (a futex) until the loop has taken some, and gives up after
 * BT_LOOP_POST_WAIT_NS. A hub that joins the sender's thread without turning its loop must know that the thread cannot fill the queue.
 *
 * Dropped: pointers in user_data (a peer with the ring's fd could forge one, and see above); an eventfd, which is as fast but is one more watch and
 * one more read a wake-up; a lock-free list of nodes: one malloc an item, and no bound.
 */
#include <errno.h>
#include <linux/futex.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "base/check.h"
#include "base/clock.h"
#include "supervisor/loop/internal.h"

#define SENDER_RING_ENTRIES 8 /* one is in use at a time */

struct bt_loop_sender {
        struct bt_list link; /* in loop->senders; loop's thread */
        struct bt_loop *loop;
        int loop_ring_fd;
        struct io_uring ring;          /* sender's thread */
        _Atomic uint32_t tail;         /* W sender, R loop; release/acquire with items */
        _Atomic uint32_t rung;         /* a wake-up is under way */
        _Atomic uint32_t waiting;      /* the sender sleeps for room */
        _Atomic uint32_t head;         /* W loop, R sender; a private futex */
        void *items[BT_LOOP_POST_MAX]; /* in use: [head, tail) modulo the size */
};
_Static_assert((BT_LOOP_POST_MAX & (BT_LOOP_POST_MAX - 1)) == 0, "counters wrap at 2^32");

/* ---- the sender's thread ---- */

/* After -EAGAIN (no memory for the request) the submission is still queued, and the next call sends that one. */
static int ring_send_once(struct bt_loop_sender *sender)
{
        struct io_uring_cqe *cqe = NULL;
        int r;

        if (!io_uring_sq_ready(&sender->ring)) {
                struct io_uring_sqe *sqe = io_uring_get_sqe(&sender->ring);

                bt_assert(sqe); /* the queue is empty */
                io_uring_prep_msg_ring(sqe, sender->loop_ring_fd, 0, BT_LOOP_HANDLE_NONE, 0);
        }
        do {
                r = io_uring_submit_and_wait(&sender->ring, 1);
        } while (r == -EINTR);
        if (r < 0)
                return r;
        do {
                r = io_uring_wait_cqe(&sender->ring, &cqe);
        } while (r == -EINTR);
        if (r < 0)
                return r;
        r = cqe->res;
        io_uring_cqe_seen(&sender->ring, cqe);
        return r;
}

/* Wakes the loop, over passing want of memory. */
static int ring_send(struct bt_loop_sender *sender)
{
        uint64_t deadline_ns = bt_ns_add(bt_now_ns(), BT_LOOP_POST_WAIT_NS);

        for (;;) {
                const struct timespec pause = {.tv_nsec = BT_NS_PER_MS};
                int r = ring_send_once(sender);

                if (r >= 0 || r == -EOVERFLOW)
                        return 0;
                if ((r != -ENOMEM && r != -EAGAIN && r != -EBUSY) || bt_now_ns() >= deadline_ns)
                        return bt_fold(r);
                (void)clock_nanosleep(CLOCK_MONOTONIC, 0, &pause, NULL);
        }
}

static uint32_t sender_room(struct bt_loop_sender *sender, uint32_t *ret_head)
{
        *ret_head = atomic_load(&sender->head);
        return BT_LOOP_POST_MAX -
               (atomic_load_explicit(&sender->tail, memory_order_relaxed) - *ret_head);
}

/* FUTEX_WAIT_BITSET takes an absolute CLOCK_MONOTONIC time. Wakes for no reason are the caller's to bear. */
static int head_sleep(struct bt_loop_sender *sender, uint32_t head, uint64_t deadline_ns)
{
        struct timespec until = {
                .tv_sec = (time_t)(deadline_ns / BT_NS_PER_S),
                .tv_nsec = (long)(deadline_ns % BT_NS_PER_S),
        };

        if (syscall(SYS_futex, &sender->head, FUTEX_WAIT_BITSET_PRIVATE, head, &until, NULL,
                    FUTEX_BITSET_MATCH_ANY) == 0 ||
            errno == EAGAIN || errno == EINTR)
                return 0;
        return -errno;
}

/*
 * Says that it waits before it looks again: the loop moves head before it looks whether somebody waits. Both are sequentially consistent, so
 * one of the two sees the other.
 */
static int wait_for_room(struct bt_loop_sender *sender)
{
        uint64_t deadline_ns = bt_ns_add(bt_now_ns(), BT_LOOP_POST_WAIT_NS);
        uint32_t head;

        while (!sender_room(sender, &head)) {
                int r;

                atomic_store(&sender->waiting, 1);
                if (sender_room(sender, &head))
                        break;
                r = head_sleep(sender, head, deadline_ns);
                if (r)
                        return r;
        }
        return 0;
}

int bt_loop_post(struct bt_loop_sender *sender, void *item)
{
        uint32_t tail = atomic_load_explicit(&sender->tail, memory_order_relaxed);
        int r;

        r = wait_for_room(sender);
        if (r)
                return r;
        sender->items[tail % BT_LOOP_POST_MAX] = item;
        atomic_store_explicit(&sender->tail, tail + 1, memory_order_release);
        if (atomic_exchange(&sender->rung, 1))
                return 0;
        r = ring_send(sender);
        if (r)
                atomic_store(&sender->rung, 0); /* so that the next post tries again */
        return r;
}

/* ---- the loop's thread ---- */

void bt_loop_on_post(struct bt_loop *loop, bt_loop_post_fn fn, void *ctx)
{
        loop->on_post = (struct bt_loop_post_target){.fn = fn, .ctx = ctx};
}

int bt_loop_sender_new(struct bt_loop_sender **ret_sender, struct bt_loop *loop)
{
        struct bt_loop_sender *sender = calloc(1, sizeof(*sender));
        int r;

        if (!sender)
                return -ENOMEM;
        r = io_uring_queue_init(SENDER_RING_ENTRIES, &sender->ring, 0);
        if (r) {
                free(sender);
                return r;
        }
        sender->loop = loop;
        sender->loop_ring_fd = loop->ring.ring_fd;
        bt_list_push(&loop->senders, &sender->link);
        *ret_sender = sender;
        return 0;
}

struct bt_loop_sender *bt_loop_sender_free(struct bt_loop_sender *sender)
{
        if (!sender)
                return NULL;
        if (sender->loop->draining == sender)
                sender->loop->draining = NULL;
        bt_list_unlink(&sender->link);
        io_uring_queue_exit(&sender->ring);
        free(sender);
        return NULL;
}

static void head_advance(struct bt_loop_sender *sender, uint32_t head)
{
        atomic_store(&sender->head, head);
        if (atomic_load(&sender->waiting) && atomic_exchange(&sender->waiting, 0))
                (void)syscall(SYS_futex, &sender->head, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
}

/* Calls back what is there now, not what comes meanwhile: a busy sender must not keep the loop from its descriptors. */
static void sender_drain(struct bt_loop *loop, struct bt_loop_sender *sender)
{
        uint32_t head = atomic_load_explicit(&sender->head, memory_order_relaxed);
        uint32_t tail = atomic_load_explicit(&sender->tail, memory_order_acquire);

        loop->draining = sender;
        while (head != tail && loop->draining) {
                void *item = sender->items[head++ % BT_LOOP_POST_MAX];

                head_advance(sender, head);
                loop->on_post.fn(loop->on_post.ctx, item);
        }
        loop->draining = NULL;
}

void bt_loop_post_dispatch(struct bt_loop *loop)
{
        struct bt_list due = BT_LIST_INIT(due);

        bt_list_splice(&due, &loop->senders);
        while (!bt_list_empty(&due)) {
                struct bt_loop_sender *sender =
                        bt_list_entry(due.next, struct bt_loop_sender, link);

                bt_list_unlink(&sender->link);
                bt_list_push(&loop->senders, &sender->link);
                /* Cleared before tail is read; see the top. */
                if (atomic_load_explicit(&sender->rung, memory_order_relaxed) &&
                    atomic_exchange(&sender->rung, 0)) {
                        bt_assert(loop->on_post.fn);
                        sender_drain(loop, sender);
                }
        }
}
