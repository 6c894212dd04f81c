/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * A queue that is shared, in memory that several processes have: tests/property/test_share_property.c and child_share.
 *
 * What a member does with a message is to write down its number, at its own cursor, before it commits: what a dead one had in hand is written over by the next
 * message of that member. So what a member has done is what is below its cursor.
 */

#include <stdlib.h>

#include "shm/share.h"
#include "tests/support/twin.h"

#define SHARE_SLOTS     8u
#define SHARE_BYTES     64u
#define SHARE_MEMBERS   4u
#define SHARE_PRODUCERS 2u
#define SHARE_OWNERS    4096u /* numbers of processes, members' and producers' */
#define SHARE_DONE_MAX  (1u << 20)

struct share_twins {
        /* W producer, by its number: how many it has begun to push, how many were acknowledged */
        _Atomic uint64_t begun[SHARE_OWNERS];
        _Atomic uint64_t sent[SHARE_OWNERS];
        struct bt_desk desks[SHARE_MEMBERS];
        struct bt_mailbox head;
        char slots[SHARE_SLOTS * (64 + SHARE_BYTES)];
        char pad[BT_PAGE_BYTES - SHARE_SLOTS * (64 + SHARE_BYTES) % BT_PAGE_BYTES];
        uint64_t done[SHARE_MEMBERS][SHARE_DONE_MAX]; /* sparse */
};

#define SHARE_SEG_BYTES                                                                            \
        ((sizeof(struct bt_mailbox) + SHARE_SLOTS * (64 + SHARE_BYTES) + BT_PAGE_BYTES - 1) &      \
         ~(uint64_t)(BT_PAGE_BYTES - 1))

static inline void share_twins_init(struct share_twins *t)
{
        t->head.slot_count = SHARE_SLOTS;
        t->head.slot_bytes = 64 + SHARE_BYTES;
        t->head.payload_bytes = SHARE_BYTES;
        t->head.shared = 1;
        for (uint32_t i = 0; i < SHARE_MEMBERS; i++)
                t->desks[i].sharer = i;
}

static inline struct bt_mailbox_view share_twins_view(struct share_twins *t)
{
        struct bt_seg seg = {.at = &t->head, .bytes = SHARE_SEG_BYTES};
        struct bt_mailbox_view view = {.mb = NULL};

        if (!bt_mailbox_look(&view, &seg))
                abort();
        return view;
}

static inline uint64_t share_id(uint32_t owner, uint64_t n)
{
        return (uint64_t)owner << 32 | n;
}
