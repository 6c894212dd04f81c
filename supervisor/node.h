/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * A node of the hub: where children are placed. It has a name, a directory in shared memory of its own (shm/node.h) in which each of its children has
 * a slot, and what its children run with.
 *
 *      bt_hub.nodes ── bt_hub_node ── directory: | head | slot | slot | slot | ...
 *                          ▲                               ▲
 *                          └──── bt_seat of a child ───────┘      a child on its way to another node has a second one there
 *
 * The directory is made for as many children as a hub can have and is sparse: what is not used yet costs address space only, because a sealed memfd
 * cannot grow. Slots are taken from the lowest on, and readers look at no more than were ever used.
 */

#include <stdint.h>

#include "base/list.h"
#include "shm/node.h"
#include "supervisor/plan.h"

struct bt_hub;

#define BT_HUB_NODE_LOCAL "local" /* the one there is when the configuration names none */

enum bt_hub_node_state {
        BT_HUB_NODE_ACTIVE = 0,
        BT_HUB_NODE_DRAINING =
                1, /* its children are being handed over; nothing new is placed here */
        BT_HUB_NODE_LEAVING = 2, /* the same, and then it is gone */
        _BT_HUB_NODE_N,
};

struct bt_hub_node {
        struct bt_list order; /* in bt_hub.nodes */
        struct bt_hub *hub;
        struct bt_node_owner dir;
        char name[BT_NODE_NAME_BYTES];
        enum bt_hub_node_state state;
        uint32_t weight;
        uint32_t seats;     /* taken */
        uint32_t free_from; /* no slot below this one is free */
        uint64_t taken[BT_PLAN_CHILDREN_MAX / 64];
};

/* A slot in a node's directory. */
struct bt_seat {
        struct bt_hub_node *node; /* NULL: none */
        uint32_t slot_idx;
};

/* 0 or -errno. */
int bt_hub_node_new(struct bt_hub_node **ret_node, struct bt_hub *hub, const char *name);
struct bt_hub_node *
bt_hub_node_free(struct bt_hub_node *node); /* when no seat is taken. Takes NULL */
struct bt_hub_node *bt_hub_node_find(const struct bt_hub *hub, const char *name);
void bt_hub_nodes_free(struct bt_hub *hub);

/* 0, or -ENOSPC. */
int bt_seat_take(struct bt_seat *ret_seat, struct bt_hub_node *node);
/* Its slot reads as free from here on. */
void bt_seat_give_back(struct bt_seat *seat);
