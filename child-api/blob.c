/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A blob's way into the baton, and its checksum.
 *
 * A program writes it into the room that it reserved, or has baton_capture_write() copy and sum it, piece by piece, so that each byte is summed while it is in the
 * cache. Somebody has to read all of it again, because what restore() is given was checked (I9). In a hot swap that is the heir, which has nothing to do
 * but to watch the word:
 *
 *      predecessor     piece 1 written, summed ─► piece 2 ... ─► piece n ─► sum into the description ─► word
 *      heir                                       piece 1 summed ...  ─► piece n-1 ─────────────────────► piece n, compare, restore()
 *
 * How far the predecessor is says one word of the baton, @summed; a bump of @soon takes the heir from the word to it. When something is not as expected, the heir
 * sums all of it when it restores, as every other successor does: the two sums are of the same bytes, or the state is refused.
 */
#include <errno.h>
#include <string.h>

#include "base/check.h"
#include "base/clock.h"
#include "child-api/child.h"
#include "shm/checkpoint.h"
#include "shm/futex.h"
#include "shm/record.h"

#define PIECE_BYTES (UINT64_C(64) << 10)        /* fits into the second-level cache twice */
#define PUBLISH_BYTES (UINT64_C(256) << 10)     /* less in all: not worth the heir's attention */
#define FOLLOW_NS (200 * BT_NS_PER_US)          /* without a piece: the predecessor was interrupted, or is dead */
#define LOOKS_EVERY 64

char *bt_child_blob_slot(const struct baton_child *child, uint32_t idx)
{
        return (char *)child->baton + bt_baton_blob_off(child->baton, idx);
}

/* ---- capture ---- */

enum baton_capture_for baton_capture_purpose(const struct baton_capture *capture)
{
        return capture->purpose;
}

uint32_t baton_capture_version(const struct baton_capture *capture)
{
        return capture->version;
}

int baton_capture_reserve(struct baton_capture *capture, size_t bytes, void **ret_room)
{
        const struct bt_baton *baton = capture->child->baton;

        if (!capture->child->supervised || baton->form != BATON_STATE_BLOB)
                return -BATON_E_PROTOCOL;
        if (bytes > baton->state_bytes_max)
                return -BATON_E_TOO_BIG;
        capture->slot_idx = bt_checkpoint_slot(baton);
        capture->room = bt_child_blob_slot(capture->child, capture->slot_idx);
        capture->room_bytes = bytes;
        capture->summed = 0;
        bt_sum_init(capture->child->sum);
        *ret_room = capture->room;
        return 0;
}

/* Tells a heir that watches how far the sum is. */
static void publish(struct baton_capture *capture)
{
        struct bt_baton *baton = capture->child->baton;
        uint64_t told;

        if (capture->purpose != BATON_CAPTURE_HOT)
                return;
        told = atomic_load_explicit(&baton->summed, memory_order_relaxed);
        if (capture->summed - told < (told ? PIECE_BYTES : PUBLISH_BYTES))
                return;
        if (!told)
                baton->meta.slot_idx = capture->slot_idx;
        atomic_store_explicit(&baton->summed, capture->summed, memory_order_release);
        if (!told)
                (void)bt_baton_announce(baton);
}

/* Sums what is in the room up to @end. */
static void sum_up_to(struct baton_capture *capture, uint64_t end)
{
        while (capture->summed < end) {
                uint64_t piece = end - capture->summed < PIECE_BYTES ? end - capture->summed : PIECE_BYTES;

                bt_sum_add(capture->child->sum, (const char *)capture->room + capture->summed, piece);
                capture->summed += piece;
                publish(capture);
        }
}

int baton_capture_write(struct baton_capture *capture, const void *data, size_t bytes)
{
        void *room;
        int r = capture->room ? 0 : baton_capture_reserve(capture, capture->child->baton->state_bytes_max, &room);

        if (r)
                return r;
        if (capture->bytes != capture->summed || capture->committed)
                return -BATON_E_PROTOCOL; /* somebody committed */
        if (bytes > capture->room_bytes - capture->bytes)
                return -BATON_E_TOO_BIG;
        for (uint64_t done = 0; done < bytes; done += PIECE_BYTES) {
                uint64_t piece = bytes - done < PIECE_BYTES ? bytes - done : PIECE_BYTES;

                memcpy((char *)capture->room + capture->bytes, (const char *)data + done, piece);
                capture->bytes += piece;
                sum_up_to(capture, capture->bytes);
        }
        return 0;
}

int baton_capture_commit(struct baton_capture *capture, size_t bytes)
{
        if (!capture->room || bytes > capture->room_bytes)
                return -BATON_E_PROTOCOL;
        capture->bytes = bytes;
        capture->committed = true;
        return 0;
}

uint64_t bt_capture_sum(struct baton_capture *capture)
{
        if (capture->summed > capture->bytes) { /* it wrote more than it committed */
                capture->summed = 0;
                bt_sum_init(capture->child->sum);
        }
        sum_up_to(capture, capture->bytes);
        return bt_sum_end(capture->child->sum);
}

/* ---- the heir ---- */

bool bt_child_follow_sum(struct baton_child *child)
{
        const struct bt_baton *baton = child->baton;
        uint64_t until = bt_now_ns() + FOLLOW_NS;
        uint32_t looks = 0;

        if (baton->form != BATON_STATE_BLOB || !atomic_load_explicit(&baton->summed, memory_order_acquire))
                return false;
        child->followed = 0;
        child->followed_slot = baton->meta.slot_idx;
        if (child->followed_slot >= bt_baton_blob_slots(baton))
                return true;
        bt_sum_init(child->sum);
        while (bt_baton_word(baton).phase == BT_WORD_OFFERED) {
                uint64_t there = atomic_load_explicit(&baton->summed, memory_order_acquire);

                if (there > child->followed && there <= baton->state_bytes_max) {
                        uint64_t piece = there - child->followed < PIECE_BYTES ? there - child->followed : PIECE_BYTES;

                        bt_sum_add(child->sum, bt_child_blob_slot(child, child->followed_slot) + child->followed, piece);
                        child->followed += piece;
                        until = bt_now_ns() + FOLLOW_NS;
                } else if (++looks % LOOKS_EVERY == 0 && bt_now_ns() >= until) {
                        break;
                }
                bt_cpu_relax();
        }
        return true;
}

uint64_t bt_child_blob_sum(struct baton_child *child, const char *blob, const struct bt_state_meta *meta)
{
        if (!child->followed || child->followed > meta->bytes || child->followed_slot != meta->slot_idx)
                return bt_sum_of(blob, meta->bytes);
        bt_sum_add(child->sum, blob + child->followed, meta->bytes - child->followed);
        child->followed = 0;
        return bt_sum_end(child->sum);
}
