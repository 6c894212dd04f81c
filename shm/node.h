/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * The node directory: one slot a child, written by the hub, read by anybody who was given the descriptor, without asking the hub.
 *
 * A slot is guarded by a sequence number: odd while it is written. Readers never block the hub; a reader that meets a writer tries again, a
 * bounded number of times (the hub could be stopped in the middle), and then says so.
 */

#include <stdbool.h>

#include "shm/segment.h"

/* ---- hub ---- */

struct bt_node_owner {
        struct bt_node *node;
        struct bt_seg seg;
        int fd;
};

#define BT_NODE_OWNER_NULL {.fd = -1}

int bt_node_create(struct bt_node_owner *ret_owner, const char *hub, const char *name, uint32_t slot_count);
void bt_node_destroy(struct bt_node_owner *owner);

/* Writes are bracketed; nothing is readable in between. The slot's plain members may be assigned freely between the two. */
struct bt_slot *bt_node_begin(struct bt_node_owner *owner, uint32_t slot_idx);
void bt_node_end(struct bt_slot *slot);

/* ---- readers ---- */

struct bt_node_view {
        const struct bt_node *node;
        struct bt_seg seg;
        uint32_t slot_count; /* checked against the size once */
};

/* Returns 0, BT_SEG_E_*, or -errno. @fd is borrowed. */
int bt_node_attach(struct bt_node_view *ret_view, int fd);
void bt_node_detach(struct bt_node_view *view);

/* How many there are to look at. The hub writes it: it may grow from one call to the next. */
uint32_t bt_node_slots(const struct bt_node_view *view);

/* A copy of one slot. False: the slot is free, or was being written all the time. Strings in the copy are terminated. */
bool bt_node_read(const struct bt_node_view *view, uint32_t slot_idx, struct bt_slot *ret_slot);

const char *bt_phase_name(uint32_t phase);
