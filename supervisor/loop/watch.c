/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Watches: who a completion belongs to.
 *
 * A request that was given to the kernel completes some time, also when nobody wants it any more and the watch it was for is freed memory. So
 * user_data names a *slot* and the generation the slot had when the request was made:
 *
 *      user_data   | generation 32 | slot index 32 |
 *                                        │
 *      blocks ──► [block 0: 256 slots][block 1]...     slot { generation, watch, events }
 *
 * Forgetting a watch raises its slot's generation, and every completion that is still on its way names a generation that is gone. The slot
 * can be used again at once. (A generation comes back after 2^32 uses of one slot; no request lives that long unnoticed.)
 *
 * A poll is armed once and stays (multishot). The kernel ends it, by a completion without F_MORE, when its completion queue overflows and in
 * a few rarer cases; then it is armed again after the callback, and arming looks at the level first, so no edge is lost between.
 *
 * Dropped: slots in one array that grows (a slot in a ready list must not move); pointers with a tag in their low bits (says nothing once the
 * memory behind is somebody else's).
 */
#include <errno.h>
#include <poll.h>
#include <stdlib.h>

#include "base/check.h"
#include "supervisor/loop/internal.h"

/* ---- slots ---- */

static uint64_t slot_handle(const struct bt_loop_slot *slot)
{
        return (uint64_t)slot->generation << 32 | slot->slot_idx;
}

static struct bt_loop_slot *slot_at(const struct bt_loop *loop, uint32_t idx)
{
        return &loop->blocks[idx / BT_LOOP_BLOCK_SLOTS][idx % BT_LOOP_BLOCK_SLOTS];
}

/* The slot @handle was made for, or NULL when it has gone. */
static struct bt_loop_slot *slot_find(const struct bt_loop *loop, uint64_t handle)
{
        uint32_t idx = (uint32_t)handle;
        struct bt_loop_slot *slot;

        if (!idx || idx / BT_LOOP_BLOCK_SLOTS >= loop->block_count)
                return NULL;
        slot = slot_at(loop, idx);
        return slot->watch && slot->generation == handle >> 32 ? slot : NULL;
}

static int slots_grow(struct bt_loop *loop)
{
        uint32_t base = loop->block_count * BT_LOOP_BLOCK_SLOTS;
        struct bt_loop_slot **blocks, *block;

        if (loop->block_count == BT_LOOP_BLOCKS_MAX)
                return -ENOMEM;
        blocks = reallocarray(loop->blocks, loop->block_count + 1, sizeof(struct bt_loop_slot *));
        if (!blocks)
                return -ENOMEM;
        loop->blocks = blocks;
        block = calloc(BT_LOOP_BLOCK_SLOTS, sizeof(*block));
        if (!block)
                return -ENOMEM;
        blocks[loop->block_count++] = block;
        for (uint32_t i = BT_LOOP_BLOCK_SLOTS; i-- > 0;) {
                bt_list_init(&block[i].ready);
                block[i].slot_idx = base + i;
                if (!block[i].slot_idx)
                        continue; /* 0 means "no slot" */
                block[i].next_free = loop->free_slot;
                loop->free_slot = block[i].slot_idx;
        }
        return 0;
}

static int slot_take(struct bt_loop_slot **ret_slot, struct bt_loop *loop,
                     struct bt_loop_watch *watch)
{
        struct bt_loop_slot *slot;

        if (!loop->free_slot) {
                int r = slots_grow(loop);

                if (r)
                        return r;
        }
        slot = slot_at(loop, loop->free_slot);
        loop->free_slot = slot->next_free;
        slot->watch = watch;
        slot->word = NULL;
        slot->events = 0;
        slot->ended = slot->refused = false;
        watch->loop = loop;
        watch->slot = slot->slot_idx;
        *ret_slot = slot;
        return 0;
}

static void slot_release(struct bt_loop *loop, struct bt_loop_slot *slot)
{
        slot->watch->slot = 0;
        slot->watch = NULL;
        slot->generation++;
        bt_list_unlink(&slot->ready);
        slot->next_free = loop->free_slot;
        loop->free_slot = slot->slot_idx;
}

/* ---- requests ---- */

static int poll_submit(struct bt_loop *loop, struct bt_loop_slot *slot)
{
        struct io_uring_sqe *sqe = bt_loop_sqe(loop);

        if (!sqe)
                return -ENOMEM;
        io_uring_prep_poll_multishot(sqe, slot->watch->fd, slot->watch->events);
        sqe->user_data = slot_handle(slot);
        return 0;
}

/* By hand, as liburing 2.3 does not know it. The meaning of the members is the kernel's, io_futex_prep(). */
static int futex_submit(struct bt_loop *loop, struct bt_loop_slot *slot, uint32_t expected)
{
        struct io_uring_sqe *sqe = bt_loop_sqe(loop);

        if (!sqe)
                return -ENOMEM;
        io_uring_prep_rw(BT_LOOP_OP_FUTEX_WAIT, sqe, BT_LOOP_FUTEX2_SIZE_U32, slot->word, 0,
                         expected);
        sqe->addr3 = BT_LOOP_FUTEX_MATCH_ANY;
        sqe->user_data = slot_handle(slot);
        return 0;
}

/*
 * A cancellation, not POLL_REMOVE: that one fails with -EALREADY when the poll has just been woken and its completion is still to be made, which leaves
 * it armed, and the file it is on open after we have closed it: the peer is never told that we hung up.
 *
 * Without room for the cancellation the request stays in the kernel until its file is done or the ring closed: harmless, since its handle
 * leads nowhere, and it takes a kernel without memory to get there.
 */
static void request_cancel(struct bt_loop *loop, const struct bt_loop_slot *slot)
{
        struct io_uring_sqe *sqe = bt_loop_sqe(loop);

        if (!sqe)
                return;
        io_uring_prep_cancel64(sqe, slot_handle(slot), 0);
        sqe->user_data = BT_LOOP_HANDLE_NONE;
        sqe->flags |= IOSQE_CQE_SKIP_SUCCESS;
}

/* ---- what owners call ---- */

int bt_loop_watch_fd(struct bt_loop *loop, struct bt_loop_watch *watch, int fd, uint32_t events,
                     bt_loop_watch_fn fn)
{
        struct bt_loop_slot *slot;
        int r;

        bt_loop_forget(watch);
        r = slot_take(&slot, loop, watch);
        if (r)
                return r;
        watch->fn = fn;
        watch->fd = fd;
        watch->events = events;
        r = poll_submit(loop, slot);
        if (r)
                slot_release(loop, slot);
        return r;
}

int bt_loop_watch_futex(struct bt_loop *loop, struct bt_loop_watch *watch, const uint32_t *word,
                        uint32_t expected, bt_loop_watch_fn fn)
{
        struct bt_loop_slot *slot;
        int r;

        if (!loop->has_futex)
                return -EOPNOTSUPP;
        bt_loop_forget(watch);
        r = slot_take(&slot, loop, watch);
        if (r)
                return r;
        watch->fn = fn;
        watch->fd = -1;
        watch->events = 0;
        slot->word = word;
        r = futex_submit(loop, slot, expected);
        if (r)
                slot_release(loop, slot);
        return r;
}

void bt_loop_forget(struct bt_loop_watch *watch)
{
        struct bt_loop *loop = watch->loop;
        struct bt_loop_slot *slot;

        if (!watch->slot)
                return;
        slot = slot_at(loop, watch->slot);
        bt_assert(slot->watch == watch);
        /* A request that has ended needs no cancelling; all others may still hold the file. */
        if (!slot->ended)
                request_cancel(loop, slot);
        slot_release(loop, slot);
}

/* ---- what the turn calls ---- */

/* A poll that ended for want of memory is armed again; a futex wait is one shot and its owner looks at the word in any case. */
static bool res_is_passing(int res)
{
        return res == -ENOMEM || res == -EAGAIN || res == -EINTR || res == -ECANCELED;
}

void bt_loop_slot_complete(struct bt_loop *loop, uint64_t handle, int res, uint32_t flags)
{
        struct bt_loop_slot *slot = slot_find(loop, handle);

        if (!slot)
                return;
        if (!(flags & IORING_CQE_F_MORE))
                slot->ended = true;
        if (res >= 0 && !slot->word)
                slot->events |= (uint32_t)res;
        if (res < 0 && !res_is_passing(res))
                slot->refused = true;
        if (bt_list_empty(&slot->ready))
                bt_list_push(&loop->ready, &slot->ready);
}

static int slot_dispatch(struct bt_loop *loop, struct bt_loop_slot *slot)
{
        struct bt_loop_watch *watch = slot->watch;
        uint64_t handle = slot_handle(slot);
        uint32_t events = slot->events;

        bt_list_unlink(&slot->ready);
        slot->events = 0;
        if (slot->word || slot->refused) {
                events = slot->refused ? POLLNVAL : 0;
                slot_release(loop, slot);
                watch->fn(watch, events);
                return 0;
        }
        if (events)
                watch->fn(watch, events);
        /* Gone, or armed anew by its owner: not ours to arm. */
        slot = slot_find(loop, handle);
        if (!slot || !slot->ended)
                return 0;
        slot->ended = false;
        return poll_submit(loop, slot);
}

int bt_loop_watch_dispatch(struct bt_loop *loop)
{
        struct bt_list due = BT_LIST_INIT(due);
        int r = 0;

        bt_list_splice(&due, &loop->ready);
        while (!bt_list_empty(&due)) {
                int one = slot_dispatch(loop, bt_list_entry(due.next, struct bt_loop_slot, ready));

                if (one && !r)
                        r = bt_fold(one);
        }
        return r;
}

void bt_loop_watch_deinit(struct bt_loop *loop)
{
        for (uint32_t b = 0; b < loop->block_count; b++) {
                for (uint32_t i = 0; i < BT_LOOP_BLOCK_SLOTS; i++) {
                        if (loop->blocks[b][i].watch)
                                loop->blocks[b][i].watch->slot = 0;
                }
                free(loop->blocks[b]);
        }
        free(loop->blocks);
        loop->blocks = NULL;
        loop->block_count = 0;
}
