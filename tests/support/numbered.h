/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Records and slots whose every byte follows from one number, so that a reader sees a single byte of another one. */

#include <string.h>

#include "shm/layout.h"

static inline struct bt_rec numbered(uint64_t n)
{
        struct bt_rec rec = {.type = (uint32_t)n, .flags = (uint32_t)(n * 7), .token = n * 3};

        for (uint64_t i = 0; i < 4; i++)
                rec.arg[i] = n ^ (i + 1) * UINT64_C(0x0101010101010101);
        memset(rec.reserved, (int)(n & 0xff), sizeof(rec.reserved));
        return rec;
}

static inline int rec_is(const struct bt_rec *rec, uint64_t n)
{
        struct bt_rec want = numbered(n);

        return memcmp(rec, &want, sizeof(want)) == 0;
}

/* All of a slot but its sequence number. */
static inline void slot_fill(struct bt_slot *slot, uint64_t n)
{
        memset((char *)slot + sizeof(slot->seq), 'a' + (int)(n % 26), sizeof(*slot) - sizeof(slot->seq));
        slot->id[63] = slot->exec[95] = slot->note[127] = '\0';
        slot->swaps = n;
        slot->swap_total_ns = ~n;
}

static inline int slot_is_whole(const struct bt_slot *slot)
{
        struct bt_slot want;

        memset((void *)&want, 0, sizeof(want));
        slot_fill(&want, slot->swaps);
        return memcmp((const char *)slot + sizeof(slot->seq), (const char *)&want + sizeof(want.seq),
                      sizeof(want) - sizeof(want.seq)) == 0;
}
