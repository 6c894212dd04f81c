/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Replicated children (docs/redundancy.md): one record of a plan, and so many instances of it, each a child of its own that is bound to its node.
 *
 *      bt_hub.replicated ── bt_replicas ── instances: bt_child "web@blue", bt_child "web@green"
 *                                       └─ active: the one process that is, or may be, active
 *
 * replicas.c makes and ends instances: which nodes should have one is a question to placement, and what differs from the answer is added, or removed by the
 * road of `baton child remove` (leave.c). mode.c decides who is active.
 *
 *      plan ──► a node without one:  added, `joining` until its first start is over
 *          └──► one without a node:  `unwanted`; ended when nobody is joining, so that it is not missed
 */

#include <stdbool.h>
#include <stdint.h>

#include "base/list.h"
#include "supervisor/loop/loop.h"
#include "supervisor/plan.h"

struct bt_child;
struct bt_hub;
struct bt_hub_node;
struct bt_inc;
struct bt_plan_ref;

struct bt_replicas {
        struct bt_list node; /* in bt_hub.replicated */
        struct bt_hub *hub;
        struct bt_plan_ref *plan;
        uint32_t plan_idx;
        const struct bt_plan_child *spec;
        const char *id;           /* in @plan */
        struct bt_list instances; /* bt_child.instance, as they came */
        uint32_t due;             /* so many should there be, by the last plan */
        uint32_t places;          /* so many nodes there were for them */
        bool placed;              /* there was a plan */
        bool leaving;             /* it is being removed as a whole */
        bool unnoted;             /* the removal of its note was asked for */
        bool surplus;             /* an instance is unwanted, and stays until another one runs */
        struct bt_inc *active;    /* told to be, or not proved to be passive yet; NULL: nobody. active_passive only */
        struct bt_loop_timer timer; /* @active was told a mode, and has not taken it */
};

/* From record @idx of @plan; without instances yet. 0; -EEXIST, -ENOMEM. */
int bt_replicas_new(struct bt_replicas **ret_replicas, struct bt_hub *hub, struct bt_plan_ref *plan, uint32_t idx);
void bt_replicas_drop(struct bt_replicas *replicas); /* of which there is no instance */
struct bt_replicas *bt_replicas_find(const struct bt_hub *hub, const char *id); /* NULL: none */
bool bt_replicas_refuse(const struct bt_hub *hub, const struct bt_plan_node *node); /* the defaults of @node are not for one of them: BT_PLAN_REFUSED */
void bt_replicas_free_all(struct bt_hub *hub);

/* The nodes that should have an instance, best first: room for BT_PLAN_NODES_MAX. Returns how many. */
uint32_t bt_replicas_nodes(struct bt_hub *hub, const struct bt_plan_ref *plan, uint32_t idx, struct bt_hub_node **ret_nodes);
/* One more instance; not started. As bt_hub_child_add(). */
int bt_replicas_add(struct bt_replicas *replicas, struct bt_hub_node *node, struct bt_child **ret_child);
void bt_replicas_placed(struct bt_replicas *replicas, uint32_t places); /* as many nodes there were for it */
void bt_replicas_place_new(struct bt_hub *hub); /* first instances of those that have none yet */
void bt_replicas_plan(struct bt_hub *hub);      /* nodes changed, or something could not be done before */

/* Of an instance; harmless for others. */
int bt_replicas_binary(struct bt_child *child);              /* the program of the others becomes its own. 0; 1: there are none */
void bt_replicas_started(struct bt_child *child, bool runs); /* its first start is over */
bool bt_replicas_leave(struct bt_child *child);              /* it is about to be freed. True: because a plan wanted that */
void bt_replicas_left(struct bt_hub *hub, bool by_plan);     /* and was */
const char *bt_replicas_note(const struct bt_child *child, char *room, size_t bytes); /* for people; "": nothing to say */

/* ---- mode.c ---- */

enum baton_mode bt_mode_first(const struct bt_child *child); /* what a process of it is started as */
void bt_mode_adopted(struct bt_inc *inc);  /* before anybody is elected */
void bt_mode_elect(struct bt_replicas *replicas); /* if there is none; NULL: not replicated */
void bt_mode_release(struct bt_inc *inc);  /* it is about to be told to end, or to retire */
void bt_mode_taken(struct bt_inc *inc, uint64_t mode); /* it says so */
void bt_mode_gone(struct bt_inc *inc);     /* its exit was seen */
const char *bt_mode_name(uint32_t mode);   /* "active"; "": single */
