/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * What somebody wants of the nodes: that one joins, leaves, is drained, or that one child goes elsewhere. An ask lasts until what it began is over; who
 * asked may be gone by then (bt_node_ask_abandon).
 */

#include "supervisor/hub.h"

enum bt_node_ask_kind {
        BT_NODE_ASK_ADD = 0,
        BT_NODE_ASK_REMOVE = 1,
        BT_NODE_ASK_DRAIN = 2,
        BT_NODE_ASK_MIGRATE = 3,
};

struct bt_node_ask;

struct bt_node_ask_owner {
        void (*begun)(void *ctx,
                      struct bt_node_ask
                              *ask); /* before anything else; NULL: it is not begun after all */
        /* As bt_request_owner.event. */
        void (*event)(void *ctx, const struct bt_child *child, const char *phase,
                      enum bt_ctl_outcome outcome, uint64_t incarnation, bool over,
                      const char *text);
        /* @ask is freed after the call. */
        void (*over)(void *ctx, const struct bt_node_ask *ask);
};

struct bt_node_ask {
        struct bt_list node; /* in bt_redistribution.asks */
        struct bt_hub *hub;
        enum bt_node_ask_kind kind;
        const struct bt_node_ask_owner *owner; /* NULL: nobody waits */
        void *ctx;
        struct bt_hub_node *about;     /* NULL: MIGRATE */
        bool planned;                  /* a plan has been made since */
        struct bt_waiter waiter;       /* MIGRATE */
        struct bt_loop_timer deadline; /* DRAIN */
        uint32_t moved, forced, failed;
        enum bt_ctl_outcome outcome;
        char child[64];  /* the last that failed */
        char text[2048]; /* why */
};

/*
 * Each begins, and may be over before it returns. BT_CTL_OK; else nothing was begun and @ret_why says why.
 * @plan: of one node (add). @deadline_ns: of a drain; 0: none.
 */
enum bt_ctl_outcome bt_node_add(struct bt_hub *hub, struct bt_plan_ref *plan,
                                const struct bt_node_ask_owner *owner, void *ctx, char *ret_why,
                                size_t why_bytes);
enum bt_ctl_outcome bt_node_leave(struct bt_hub *hub, const char *name, bool remove,
                                  uint64_t deadline_ns, const struct bt_node_ask_owner *owner,
                                  void *ctx, char *ret_why, size_t why_bytes);
enum bt_ctl_outcome bt_node_migrate(struct bt_hub *hub, const char *id, const char *name,
                                    uint32_t strategy, const struct bt_node_ask_owner *owner,
                                    void *ctx, char *ret_why, size_t why_bytes);
void bt_node_ask_abandon(struct bt_node_ask *ask); /* takes NULL */

/* For redistribute.c and move.c. */
void bt_node_asks_event(struct bt_move *move, const char *phase, enum bt_ctl_outcome outcome,
                        uint64_t incarnation, bool over, const char *text);
void bt_node_asks_planned(struct bt_hub *hub, enum bt_ctl_outcome outcome,
                          const char *why);  /* a plan was made, or could not be */
void bt_node_asks_replan(struct bt_hub *hub); /* the plan that was made is not the last word */
void bt_node_asks_check(struct bt_hub *hub); /* what is over is told so, nodes that are empty go */
void bt_node_asks_stop(struct bt_hub *hub);  /* the hub stops: all are over */
void bt_node_asks_free_all(struct bt_hub *hub);
