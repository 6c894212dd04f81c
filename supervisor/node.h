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

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/list.h"
#include "shm/node.h"
#include "supervisor/loop/loop.h"
#include "supervisor/placement/placement.h"
#include "supervisor/plan.h"
#include "supervisor/proc/spawn.h"

struct bt_binary;
struct bt_child;
struct bt_hub;
struct bt_plan_ref;

#define BT_HUB_NODE_LOCAL "local" /* the one there is when the configuration names none */

enum bt_hub_node_state {
        BT_HUB_NODE_ACTIVE = 0,
        BT_HUB_NODE_DRAINING =
                1, /* its children are being handed over; nothing new is placed here */
        BT_HUB_NODE_LEAVING = 2, /* the same, and then it is gone */
        BT_HUB_NODE_DRAINED = 3, /* is empty, and takes nothing until it is added again */
        BT_HUB_NODE_DOWN = 4,    /* its processes were killed; the same */
        _BT_HUB_NODE_N,
};

/* What its children run instead of their own program. */
struct bt_hub_override {
        const char *pool; /* in the node's plan */
        struct bt_binary *binary;
};

struct bt_hub_node {
        struct bt_list order; /* in bt_hub.nodes */
        struct bt_hub *hub;
        struct bt_node_owner dir;
        char name[BT_NODE_NAME_BYTES];
        enum bt_hub_node_state state;
        struct bt_plan_ref *plan; /* that @spec is in */
        const struct bt_plan_node *spec;
        struct bt_spawn_place place;
        bool placed;                       /* @place says anything */
        bool live;                         /* was added while the hub ran: the store knows it */
        struct bt_hub_override *overrides; /* spec->override_count of them */
        char *cgroup;                      /* its path; NULL: none */
        uint32_t asked;                    /* asks about it that are not over: node_ask.h */
        struct bt_loop_timer death_timer;
        uint32_t idx; /* for the length of one plan */
        uint32_t moves_from, moves_to;
        struct bt_load load;   /* these four: node_load.h */
        bool loaded;           /* @load is an average of something */
        uint64_t round_ticks;  /* of the round that goes on */
        uint64_t round_bytes;
        uint32_t seats;     /* taken */
        uint32_t free_from; /* no slot below this one is free */
        uint64_t taken[BT_PLAN_CHILDREN_MAX / 64];
};

/* A slot in a node's directory. */
struct bt_seat {
        struct bt_hub_node *node; /* NULL: none */
        uint32_t slot_idx;
};

/* From record @idx of @plan; its programs are opened, its cgroup is made. 0; or -errno with a sentence in @ret_why. */
int bt_hub_node_new(struct bt_hub_node **ret_node, struct bt_hub *hub, struct bt_plan_ref *plan,
                    uint32_t idx, char *ret_why, size_t why_bytes);
/* All of the configuration's, or "local", and those that were added live to a hub before this one. 0, or -errno and said in words. */
int bt_hub_nodes_open(struct bt_hub *hub);
struct bt_hub_node *
bt_hub_node_free(struct bt_hub_node *node); /* when no seat is taken. Takes NULL */
struct bt_hub_node *bt_hub_node_find(const struct bt_hub *hub, const char *name);
void bt_hub_nodes_free(struct bt_hub *hub);
bool bt_hub_node_takes(const struct bt_hub_node *node); /* children may be placed on it */
const char *bt_hub_node_state_name(enum bt_hub_node_state state);
/* The store is told that a live node is there, or is not any more. */
void bt_hub_node_remember(struct bt_hub_node *node);
void bt_hub_node_forget(struct bt_hub_node *node);

/* What @child runs when it is on @node. */
struct bt_binary *bt_hub_node_binary(const struct bt_hub_node *node, const struct bt_child *child);
/* A child without a process changes its place. 0, or -ENOSPC. */
int bt_child_reseat(struct bt_child *child, struct bt_hub_node *node);

/* Its seat is another, or its first: its options are those it has on that node. */
void bt_child_seated(struct bt_child *child);

/* node_cgroup.c: into @node->place; a notice when it cannot be had. */
void bt_hub_node_cgroup_open(struct bt_hub_node *node);
void bt_hub_node_cgroup_close(struct bt_hub_node *node);

#define BT_HUB_NODE_DEATH_NS                                                                       \
        (600 *                                                                                     \
         UINT64_C(                                                                                 \
                 1000000)) /* no restart before: longer than the 500 ms after which a death is judged */
/* node_death.c: one of its processes was killed, not by us. */
void bt_hub_node_killed(struct bt_child *child);

/* 0, or -ENOSPC. */
int bt_seat_take(struct bt_seat *ret_seat, struct bt_hub_node *node);
/* Its slot reads as free from here on. */
void bt_seat_give_back(struct bt_seat *seat);
