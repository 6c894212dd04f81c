/* SPDX-License-Identifier: Apache-2.0 */
#include "shm/checkpoint.h"

#include <string.h>

#include "base/check.h"

#define LEASE_TRIES 8 /* the writer moves on at most once while we look twice, unless it writes faster than we load a word */

static uint64_t word_make(uint64_t sequence, uint32_t slot_idx)
{
        return sequence << 2 | (slot_idx + 1);
}

/* UINT32_MAX: none is published. */
static uint32_t word_slot(uint64_t word)
{
        return (uint32_t)(word & 3) - 1;
}

static uint32_t slot_count(const struct bt_baton *baton)
{
        if (baton->checkpoint_slots)
                return BT_CHECKPOINT_SLOTS;
        return baton->form == BATON_STATE_BLOB ? BT_BLOB_SLOTS : 0;
}

/* The lowest that will do: the third slot takes memory only when the hub reads while we write. */
uint32_t bt_checkpoint_slot(const struct bt_baton *baton)
{
        uint32_t published = word_slot(atomic_load(&baton->checkpoint));
        uint32_t leased = atomic_load(&baton->checkpoint_lease) - 1;
        uint32_t count = slot_count(baton);

        for (uint32_t idx = 0; idx < count; idx++) {
                if (idx != published && idx != leased)
                        return idx;
        }
        return UINT32_MAX;
}

uint64_t bt_checkpoint_publish(struct bt_baton *baton, uint32_t slot_idx, const struct bt_state_meta *meta)
{
        uint64_t word = atomic_load(&baton->checkpoint);
        struct bt_state_meta *to = &baton->checkpoints[slot_idx];

        bt_assert(slot_idx < slot_count(baton) && slot_idx != word_slot(word));
        *to = *meta;
        to->slot_idx = slot_idx;
        to->present = 1;
        memset(to->reserved, 0, sizeof(to->reserved));
        word = word_make(bt_checkpoint_sequence(word) + 1, slot_idx);
        atomic_store(&baton->checkpoint, word); /* from here on it is the new one */
        return bt_checkpoint_sequence(word);
}

uint64_t bt_checkpoint_retract(struct bt_baton *baton)
{
        uint64_t sequence = bt_checkpoint_sequence(atomic_load(&baton->checkpoint)) + 1;

        atomic_store(&baton->checkpoint, sequence << 2);
        return sequence;
}

static bool read_at(const struct bt_baton *baton, uint64_t word, struct bt_checkpoint *ret_checkpoint)
{
        uint32_t idx = word_slot(word);

        if (idx >= slot_count(baton))
                return false;
        ret_checkpoint->meta = baton->checkpoints[idx];
        ret_checkpoint->sequence = bt_checkpoint_sequence(word);
        ret_checkpoint->meta.schema[sizeof(ret_checkpoint->meta.schema) - 1] = '\0';
        return ret_checkpoint->meta.present == 1 && ret_checkpoint->meta.slot_idx == idx &&
               ret_checkpoint->meta.bytes <= baton->state_bytes_max;
}

bool bt_checkpoint_read(const struct bt_baton *baton, struct bt_checkpoint *ret_checkpoint)
{
        return read_at(baton, atomic_load(&baton->checkpoint), ret_checkpoint);
}

bool bt_checkpoint_lease(struct bt_baton *baton, struct bt_checkpoint *ret_checkpoint)
{
        for (int i = 0; i < LEASE_TRIES && baton->checkpoint_slots; i++) {
                uint64_t word = atomic_load(&baton->checkpoint);

                atomic_store(&baton->checkpoint_lease, (uint32_t)(word & 3));
                if (atomic_load(&baton->checkpoint) != word)
                        continue;
                if (read_at(baton, word, ret_checkpoint))
                        return true;
                break;
        }
        bt_checkpoint_release(baton);
        return false;
}

void bt_checkpoint_release(struct bt_baton *baton)
{
        atomic_store(&baton->checkpoint_lease, 0);
}

uint64_t bt_checkpoint_off(const struct bt_baton *baton, uint32_t slot_idx)
{
        return baton->state_off + (slot_idx + (baton->form == BATON_STATE_ARENA)) * baton->state_bytes_max;
}
