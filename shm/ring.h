/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * A ring of fixed-size control records between two processes that need not trust each other.
 *
 * Each end keeps its own cursor in private memory and only publishes it: what the peer does to the shared copy of *our* cursor cannot lead
 * us astray. Of the peer's cursor we load one copy and check it: a distance that no honest peer can produce is BT_RING_E_BROKEN, and the
 * link is poisoned by its owner. Records are copied with relaxed atomic words before they are looked at.
 *
 * The producer writes the record, then releases head; the consumer acquires head, copies, then releases tail. A producer that dies in
 * between has published nothing: there is no half record to repair.
 */

#include <stdbool.h>

#include "shm/layout.h"

enum bt_ring_result {
        BT_RING_E_FULL = 1,
        BT_RING_E_EMPTY = 2,
        BT_RING_E_BROKEN = 3,
};

/* One end. */
struct bt_ring_end {
        struct bt_ring *ring;
        uint32_t cursor;
};

/* Takes up an end where its last owner left it; a fresh ring starts at 0. */
void bt_ring_end_init_push(struct bt_ring_end *end, struct bt_ring *ring);
void bt_ring_end_init_pop(struct bt_ring_end *end, struct bt_ring *ring);

int bt_ring_push(struct bt_ring_end *end, const struct bt_rec *rec); /* 0, FULL, BROKEN */
int bt_ring_pop(struct bt_ring_end *end, struct bt_rec *ret_rec);    /* 0, EMPTY, BROKEN */

/* Both cursors are ones that honest ends can have produced. */
bool bt_ring_valid(const struct bt_ring *ring);
