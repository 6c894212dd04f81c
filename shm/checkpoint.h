/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Checkpoints: whole states that a holder leaves in the baton while it goes on.
 *
 *      slot 0   slot 1   slot 2          each: a description (struct bt_state_meta, with a checksum) and room for a payload
 *        │        │
 *        │        └─ being written: torn, and nobody looks
 *        └─ published: whole ◄──────── checkpoint word {sequence:62, 1 + slot:2}
 *
 * Writer (the holder):
 *      1. bt_checkpoint_slot()       a slot that is neither published nor leased
 *      2. payload into the slot, then
 *      3. bt_checkpoint_publish()    description, then one store of the word
 *
 * A process that dies at any instruction of this leaves the old checkpoint or the new one, each whole: a slot is never written while the word
 * names it. Nothing has to be repaired.
 *
 * Reader while the holder lives (the hub, for the disk): bt_checkpoint_lease() names the slot it reads, then looks at the word again. Writer: stores the word,
 * then looks at the lease for its next slot. Both sides are sequentially consistent, so either the reader sees that the word has moved on and
 * takes the newer one, or the writer sees the lease and stays away. That is what the third slot is for: one published, one leased, one to write.
 *
 * Reader when nobody holds: bt_checkpoint_read().
 *
 * Dropped: comparing checksums after reading without a lease (a child that checkpoints faster than the disk would never be stored); refusing
 * a checkpoint while the disk is read (the child would have to wait for a disk).
 */

#include <stdbool.h>
#include <stdint.h>

#include "shm/baton.h"

struct bt_checkpoint {
        struct bt_state_meta meta; /* slot_idx is where it lies, present is 1 */
        uint64_t sequence;         /* counts checkpoints of this baton from 1 */
};

/* Both without the room and in a child of form none there is no slot to write to: UINT32_MAX. */
uint32_t bt_checkpoint_slot(const struct bt_baton *baton);

/* @meta's slot_idx, present and reserved bytes are filled in here. Returns the sequence. */
uint64_t bt_checkpoint_publish(struct bt_baton *baton, uint32_t slot_idx, const struct bt_state_meta *meta);

/* The state is "none": what was published before is not it. Returns the sequence. */
uint64_t bt_checkpoint_retract(struct bt_baton *baton);

/* Copies and checks. False: there is none, or its description cannot be. */
bool bt_checkpoint_read(const struct bt_baton *baton, struct bt_checkpoint *ret_checkpoint);

/* The same, and its slot is not written to until bt_checkpoint_release(). One lease at a time. */
bool bt_checkpoint_lease(struct bt_baton *baton, struct bt_checkpoint *ret_checkpoint);
void bt_checkpoint_release(struct bt_baton *baton);

/* Where the payload of slot @idx begins in the segment. */
uint64_t bt_checkpoint_off(const struct bt_baton *baton, uint32_t slot_idx);

static inline uint64_t bt_checkpoint_sequence(uint64_t word)
{
        return word >> 2;
}
