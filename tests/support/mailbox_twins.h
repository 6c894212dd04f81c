/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* A mailbox in memory that several processes have, and what its producers say about themselves: tests/property/test_mailbox_property.c and child_mailbox. */

#include <stdlib.h>

#include "shm/mailbox.h"
#include "tests/support/twin.h"

#define TWINS_SLOTS 16u
#define TWINS_BYTES 64u
#define TWINS_MAX 4u

struct twins {
        /* W producer: how many it has begun to push, how many were acknowledged */
        _Atomic uint64_t begun[TWINS_MAX];
        _Atomic uint64_t sent[TWINS_MAX];
        char pad[BT_PAGE_BYTES - 2 * TWINS_MAX * 8];
        struct bt_mailbox head;
        char slots[TWINS_SLOTS * (64 + TWINS_BYTES)];
        char pad_end[BT_PAGE_BYTES - TWINS_SLOTS * (64 + TWINS_BYTES) % BT_PAGE_BYTES];
};

#define TWINS_SEG_BYTES                                                                            \
        ((sizeof(struct bt_mailbox) + TWINS_SLOTS * (64 + TWINS_BYTES) + BT_PAGE_BYTES - 1) &      \
         ~(uint64_t)(BT_PAGE_BYTES - 1))

static inline void twins_init(struct twins *t)
{
        t->head.slot_count = TWINS_SLOTS;
        t->head.slot_bytes = 64 + TWINS_BYTES;
        t->head.payload_bytes = TWINS_BYTES;
}

static inline struct bt_mailbox_view twins_view(struct twins *t)
{
        struct bt_seg seg = {.at = &t->head, .bytes = TWINS_SEG_BYTES};
        struct bt_mailbox_view view = {.mb = NULL};

        if (!bt_mailbox_look(&view, &seg))
                abort();
        return view;
}

/* The word at @idx of message @n of @owner. */
static inline uint64_t twins_word(uint32_t owner, uint64_t n, uint64_t idx)
{
        return (n * 8 + idx) * UINT64_C(0x9e3779b97f4a7c15) ^ owner;
}
