/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Deadlines: a binary heap in an array, smallest first. heap[i] has its children at 2i and 2i + 1; index 0 is unused, so that a timer whose
 * heap_idx is 0 is one that is not armed, and an all-zero timer is a valid one.
 *
 *              [1] 20ms
 *          [2] 35ms    [3] 21ms        each timer knows its index: moving and disarming is O(log n) without a search
 *        [4] 90ms
 *
 * Invariants: heap[timer->heap_idx].timer == timer; heap[i].deadline_ns >= heap[i / 2].deadline_ns.
 *
 * In one turn at most as many timers are fired as there were armed at its start: a callback that arms a deadline in the past is called in the
 * next turn, which does not sleep, but which does look at descriptors in between.
 *
 * Dropped: a timer wheel. It is faster from some thousands of timers on; a hub has about four a child, and moves few of them.
 */
#include <errno.h>
#include <stdlib.h>

#include "base/check.h"
#include "base/clock.h"
#include "supervisor/loop/internal.h"

static void heap_put(struct bt_loop *loop, uint32_t idx, struct bt_loop_heap_entry entry)
{
        loop->heap[idx] = entry;
        entry.timer->heap_idx = idx;
}

/* @entry is to go where @idx is, or further up. */
static void heap_rise(struct bt_loop *loop, uint32_t idx, struct bt_loop_heap_entry entry)
{
        while (idx > 1 && loop->heap[idx / 2].deadline_ns > entry.deadline_ns) {
                heap_put(loop, idx, loop->heap[idx / 2]);
                idx /= 2;
        }
        heap_put(loop, idx, entry);
}

/* @entry is to go where @idx is, or further down. */
static void heap_sink(struct bt_loop *loop, uint32_t idx, struct bt_loop_heap_entry entry)
{
        for (;;) {
                uint32_t child = 2 * idx;

                if (child > loop->heap_count)
                        break;
                if (child < loop->heap_count &&
                    loop->heap[child + 1].deadline_ns < loop->heap[child].deadline_ns)
                        child++;
                if (loop->heap[child].deadline_ns >= entry.deadline_ns)
                        break;
                heap_put(loop, idx, loop->heap[child]);
                idx = child;
        }
        heap_put(loop, idx, entry);
}

static void heap_place(struct bt_loop *loop, uint32_t idx, struct bt_loop_heap_entry entry)
{
        if (idx > 1 && loop->heap[idx / 2].deadline_ns > entry.deadline_ns)
                heap_rise(loop, idx, entry);
        else
                heap_sink(loop, idx, entry);
}

static int heap_grow(struct bt_loop *loop)
{
        uint32_t room = loop->heap_room ? loop->heap_room * 2 : 64;
        struct bt_loop_heap_entry *heap;

        if (loop->heap_count + 1 < loop->heap_room)
                return 0;
        if (room > UINT32_MAX / 4)
                return -ENOMEM;
        heap = realloc(loop->heap, room * sizeof(*heap));
        if (!heap)
                return -ENOMEM;
        loop->heap = heap;
        loop->heap_room = room;
        return 0;
}

int bt_loop_timer_arm(struct bt_loop *loop, struct bt_loop_timer *timer, uint64_t deadline_ns,
                      bt_loop_timer_fn fn)
{
        int r;

        if (deadline_ns == BT_NS_NEVER) {
                bt_loop_timer_disarm(timer);
                return 0;
        }
        if (!timer->heap_idx) {
                r = heap_grow(loop);
                if (r)
                        return r;
                timer->loop = loop;
                timer->heap_idx = ++loop->heap_count;
        }
        bt_assert(timer->loop == loop);
        timer->fn = fn;
        timer->deadline_ns = deadline_ns;
        heap_place(loop, timer->heap_idx,
                   (struct bt_loop_heap_entry){.deadline_ns = deadline_ns, .timer = timer});
        return 0;
}

void bt_loop_timer_disarm(struct bt_loop_timer *timer)
{
        struct bt_loop *loop = timer->loop;
        uint32_t idx = timer->heap_idx;
        struct bt_loop_heap_entry last;

        if (!idx)
                return;
        bt_assert(idx <= loop->heap_count && loop->heap[idx].timer == timer);
        last = loop->heap[loop->heap_count--];
        timer->heap_idx = 0;
        if (last.timer != timer)
                heap_place(loop, idx, last);
}

uint64_t bt_loop_timer_next(const struct bt_loop *loop)
{
        return loop->heap_count ? loop->heap[1].deadline_ns : BT_NS_NEVER;
}

void bt_loop_timer_dispatch(struct bt_loop *loop)
{
        for (uint32_t left = loop->heap_count; left && loop->heap_count; left--) {
                struct bt_loop_timer *timer = loop->heap[1].timer;

                if (loop->heap[1].deadline_ns > loop->now_ns)
                        return;
                bt_loop_timer_disarm(timer);
                timer->fn(timer);
        }
}

void bt_loop_timer_deinit(struct bt_loop *loop)
{
        for (uint32_t idx = 1; idx <= loop->heap_count; idx++)
                loop->heap[idx].timer->heap_idx = 0;
        free(loop->heap);
        loop->heap = NULL;
}
