/* SPDX-License-Identifier: Apache-2.0 */
#include "shm/ring.h"

#include "base/check.h"

#define REC_WORDS (sizeof(struct bt_rec) / sizeof(uint64_t))

/* Word by word, relaxed: the other side may be a liar that writes at the same time, and that must stay defined. */
static void rec_copy(struct bt_rec *to, const struct bt_rec *from)
{
        _Atomic uint64_t *dst = (_Atomic uint64_t *)(void *)to;
        const _Atomic uint64_t *src = (const _Atomic uint64_t *)(const void *)from;

        for (size_t i = 0; i < REC_WORDS; i++)
                atomic_store_explicit(&dst[i], atomic_load_explicit(&src[i], memory_order_relaxed),
                                      memory_order_relaxed);
}

void bt_ring_end_init_push(struct bt_ring_end *end, struct bt_ring *ring)
{
        end->ring = ring;
        end->cursor = atomic_load_explicit(&ring->head, memory_order_relaxed);
}

void bt_ring_end_init_pop(struct bt_ring_end *end, struct bt_ring *ring)
{
        end->ring = ring;
        end->cursor = atomic_load_explicit(&ring->tail, memory_order_relaxed);
}

int bt_ring_push(struct bt_ring_end *end, const struct bt_rec *rec)
{
        struct bt_ring *ring = end->ring;
        uint32_t used = end->cursor - atomic_load_explicit(&ring->tail, memory_order_acquire);

        if (used > BT_RING_RECS)
                return BT_RING_E_BROKEN;
        if (used == BT_RING_RECS)
                return BT_RING_E_FULL;
        rec_copy(&ring->recs[end->cursor % BT_RING_RECS], rec);
        end->cursor++;
        atomic_store_explicit(&ring->head, end->cursor, memory_order_release);
        return 0;
}

int bt_ring_pop(struct bt_ring_end *end, struct bt_rec *ret_rec)
{
        struct bt_ring *ring = end->ring;
        uint32_t there = atomic_load_explicit(&ring->head, memory_order_acquire) - end->cursor;

        if (there == 0)
                return BT_RING_E_EMPTY;
        if (there > BT_RING_RECS)
                return BT_RING_E_BROKEN;
        rec_copy(ret_rec, &ring->recs[end->cursor % BT_RING_RECS]);
        end->cursor++;
        atomic_store_explicit(&ring->tail, end->cursor, memory_order_release);
        return 0;
}

bool bt_ring_valid(const struct bt_ring *ring)
{
        return atomic_load_explicit(&ring->head, memory_order_relaxed) -
                       atomic_load_explicit(&ring->tail, memory_order_relaxed) <=
               BT_RING_RECS;
}
