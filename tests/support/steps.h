/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* What tests/crash/test_crash_steps.c and the process that it kills agree on. */

#include "shm/layout.h"

#define STEPS_RECS        3 /* in the ring before */
#define STEPS_PRED        5
#define STEPS_SUCC        6
#define STEPS_FREED_BYTES 100  /* a block of this size is on the free list */
#define STEPS_TOP_BYTES   1000 /* none of this size is */
#define STEPS_ARENA_BYTES BT_ARENA_BYTES_MIN
#define STEPS_SLOT_OLD    UINT64_C(1111)
#define STEPS_SLOT_NEW    UINT64_C(2222)

#ifdef __clang__ /* the arena and the node end with room of any size; theirs is in the union */
#pragma clang diagnostic ignored "-Wgnu-variable-sized-type-not-at-end"
#endif
struct steps {
        struct bt_ring ring;
        struct bt_baton baton;
        union {
                struct bt_node node;
                char node_room[8192];
        };
        union {
                struct bt_arena arena;
                char arena_room[STEPS_ARENA_BYTES];
        };
};
