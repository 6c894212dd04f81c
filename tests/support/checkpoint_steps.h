/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* What tests/crash/test_checkpoint_steps.c and the process that it kills agree on: one baton with room for checkpoints, from the memory's start. */

#include "shm/layout.h"

#define CKS_BLOB_BYTES  100
#define CKS_SLOT_BYTES  BT_PAGE_BYTES
#define CKS_ARENA_BYTES BT_ARENA_BYTES_MIN
#define CKS_INC         7

struct cks {
        struct bt_baton baton;
        union {
                char slots[BT_CHECKPOINT_SLOTS][CKS_SLOT_BYTES];
                char arenas[1 + BT_CHECKPOINT_SLOTS][CKS_ARENA_BYTES]; /* the living one first */
        };
        struct bt_link link __attribute__((aligned(4096)));
};
