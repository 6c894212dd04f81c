/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * One io_uring behind a few verbs. Nothing outside this folder includes <liburing.h>.
 *
 * Objects are embedded in their owners and start as all zero bytes; a callback may disarm, re-arm or free any object, its own
 * included, except that memory of an *armed* watch or wait may be freed only after bt_loop_forget() (which makes completions that are still on
 * their way harmless: the kernel's user_data is a generation-checked handle, not a pointer). An armed timer likewise is disarmed first.
 *
 * One turn (bt_loop_turn): submit what was armed and wait; reap every completion into ready lists; then call back: watches in the order of
 * their completions, then posted items, then timers, so that an answer that came in the same turn as its deadline wins. Nothing is called
 * back while completions are being reaped; what callbacks arm is submitted once, by the next turn.
 *
 * One thread makes the loop, turns it and frees it (the kernel enforces that: SINGLE_ISSUER). bt_loop_post() alone is for other threads.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct bt_loop;

/* Why a ring cannot be had, in a sentence that names the kernel version and the switch to turn. */
#define BT_LOOP_REASON_BYTES 512

/**
 * bt_loop_new() - a ring, probed
 * @ret_reason: filled on failure: what is missing and what to do (kernel.io_uring_disabled, seccomp, kernel version, RLIMIT_MEMLOCK)
 *
 * Required opcodes: NOP, POLL_ADD (multishot), POLL_REMOVE, MSG_RING, ASYNC_CANCEL: kernel 5.18. Optional: FUTEX_WAIT.
 * Flags SINGLE_ISSUER | DEFER_TASKRUN where the kernel has them.
 */
int bt_loop_new(struct bt_loop **ret_loop, char ret_reason[BT_LOOP_REASON_BYTES]);
struct bt_loop *bt_loop_free(struct bt_loop *loop);

/* One turn. Blocks until something happens. Returns 0 or -errno (fatal). */
int bt_loop_turn(struct bt_loop *loop);

/*
 * For a loop inside another one: poll the descriptor for input, or until the deadline; turn without blocking; submit what was armed since. The
 * deadline is absolute, CLOCK_MONOTONIC: BT_NS_NEVER, or 0 when there is something to do already.
 *
 * Only for a loop that was made for it. With DEFER_TASKRUN nobody who polls the ring is woken for completions that the kernel has put off, and an
 * eventfd registered with the ring is late or silent when what happened was the write to another eventfd, as our bells are (seen on 6.18).
 * Without it the thread's own poll() is interrupted for them, and restarted by the kernel; epoll_wait() may say EINTR.
 */
int bt_loop_new_polled(struct bt_loop **ret_loop, char ret_reason[BT_LOOP_REASON_BYTES]);
int bt_loop_turn_now(struct bt_loop *loop);
int bt_loop_submit(struct bt_loop *loop);
int bt_loop_fd(const struct bt_loop *loop);
uint64_t bt_loop_deadline(const struct bt_loop *loop);

/* The time of this turn's completions, CLOCK_MONOTONIC ns: one clock read a turn. */
uint64_t bt_loop_now(const struct bt_loop *loop);

/* ---- readiness: multishot poll ---- */

struct bt_loop_watch;
typedef void (*bt_loop_watch_fn)(struct bt_loop_watch *watch, uint32_t events);

struct bt_loop_watch {
        bt_loop_watch_fn fn;
        struct bt_loop *loop; /* private from here */
        uint32_t slot;        /* 0: not armed */
        int fd;
        uint32_t events;
};

/* Edge-like: after a call the owner drains @fd until -EAGAIN. The watch re-arms itself when the kernel ends the multishot. @fd is borrowed
 * until forget; the ring keeps its open file alive until the turn after that. An armed watch is forgotten first. POLLNVAL says that the
 * kernel refused the descriptor: the watch is not armed any more. Returns 0 or -ENOMEM. */
int bt_loop_watch_fd(struct bt_loop *loop, struct bt_loop_watch *watch, int fd, uint32_t events, bt_loop_watch_fn fn);
void bt_loop_forget(struct bt_loop_watch *watch); /* harmless when not armed */

/* ---- deadlines: a heap over one kernel timeout ---- */

struct bt_loop_timer;
typedef void (*bt_loop_timer_fn)(struct bt_loop_timer *timer);

struct bt_loop_timer {
        bt_loop_timer_fn fn;
        struct bt_loop *loop; /* private from here */
        uint64_t deadline_ns;
        uint32_t heap_idx; /* 0: not armed */
};

/* Arms or re-arms. @deadline_ns: absolute, CLOCK_MONOTONIC; BT_NS_NEVER disarms. Returns 0 or -ENOMEM. */
int bt_loop_timer_arm(struct bt_loop *loop, struct bt_loop_timer *timer, uint64_t deadline_ns, bt_loop_timer_fn fn);
void bt_loop_timer_disarm(struct bt_loop_timer *timer);

/* ---- a futex word changes (kernel 6.7; -EOPNOTSUPP otherwise, and the owner uses something else) ---- */

/* Calls @fn (with events 0) once when the shared 32-bit @word is woken or is not @expected any more. One shot. Uses a bt_loop_watch. @word
 * must stay mapped until forget or call. POLLNVAL instead of 0: the kernel refused (@word is not mapped, or not aligned). */
int bt_loop_watch_futex(struct bt_loop *loop, struct bt_loop_watch *watch, const uint32_t *word, uint32_t expected, bt_loop_watch_fn fn);

/* ---- words from other threads ---- */

typedef void (*bt_loop_post_fn)(void *ctx, void *item);

/* @fn is called on the loop's thread for each item posted. Set once, before the first post. */
void bt_loop_on_post(struct bt_loop *loop, bt_loop_post_fn fn, void *ctx);

/*
 * A sender for one other thread: a bounded queue, and a small ring of its own that sends MSG_RING as the wake-up. Made and freed on the loop's
 * thread; freed before the loop, and when its thread posts no more. Items that were posted but not called back are dropped by free (they
 * belong to the poster).
 */
#define BT_LOOP_POST_MAX 16384          /* items posted and not called back yet, for each sender */
#define BT_LOOP_POST_WAIT_NS UINT64_C(10000000000) /* how long a post waits for room */

struct bt_loop_sender;
int bt_loop_sender_new(struct bt_loop_sender **ret_sender, struct bt_loop *loop);
struct bt_loop_sender *bt_loop_sender_free(struct bt_loop_sender *sender);

/*
 * From the sender's thread. Items arrive in order, none is lost. 0: it is on its way. -ETIMEDOUT: the queue was full and the loop did not turn
 * for BT_LOOP_POST_WAIT_NS; @item was not queued. Any other error: @item is queued but the loop could not be woken (ENOMEM all that time);
 * it is called back whenever the loop turns next.
 */
int bt_loop_post(struct bt_loop_sender *sender, void *item);
