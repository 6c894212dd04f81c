/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Children between nodes: which of them are to move, and that they do. docs/nodes.md has the rules.
 *
 *      change ── 500 ms ──► plan ──► bt_move for each child that is to go ──► at most max_parallel MOVING ──► over
 *       │                    │ placement/ says where each belongs              │ migrate.c                   │
 *       └ bt_node_ask: who wants to know (node_ask.h)                          └── fails: retry, with back-off
 *
 * A plan can be made while moves of an earlier one are under way: a move that has not begun is only told another target, one that has begun is left
 * alone, and looked at again when it is over. There is no list of what was planned: where a child is, where it was wanted last (bt_child.ideal) and
 * which nodes take children is all that a plan needs, so a plan that was lost with a hub that was killed is made again.
 */

#include "supervisor/hub.h"

#define BT_REDISTRIBUTE_DEBOUNCE_NS (500 * UINT64_C(1000000))
#define BT_REDISTRIBUTE_AT_MOST_NS                                                                 \
        (2 * UINT64_C(1000000000)) /* after the first change of several */
/* Of a hub whose plan says nothing about it: one in another program. */
#define BT_REDISTRIBUTE_RETRY_MIN_NS (10 * UINT64_C(1000000000))
#define BT_REDISTRIBUTE_RETRY_MAX_NS (600 * UINT64_C(1000000000))

enum bt_move_state {
        BT_MOVE_PLANNED = 0,  /* its turn has not come */
        BT_MOVE_ASKED = 1,    /* whether the child agrees */
        BT_MOVE_DEFERRED = 2, /* it does not, for now */
        BT_MOVE_WAITING = 3,  /* it is being started, or another swap of it is under way */
        BT_MOVE_MOVING = 4,
};

struct bt_move {
        struct bt_list node; /* in bt_redistribution.planned, or .begun */
        struct bt_waiter waiter;
        struct bt_child *child; /* whose @move this is */
        struct bt_hub_node *from;
        struct bt_hub_node *to;
        enum bt_move_state state;
        bool forced;
        bool agreed;
        bool stale; /* a plan made while it was MOVING wanted the child elsewhere: when it is over, another one is made */
        uint64_t deferred_ns; /* when it was the first time; 0: never */
        struct bt_loop_timer timer;
};

struct bt_redistribution {
        struct bt_hub *hub;
        struct bt_loop_timer due;
        struct bt_loop_timer retry;
        uint64_t first_change_ns; /* 0: no change waits for a plan */
        uint64_t retry_min_ns, retry_max_ns;
        uint64_t retry_ns; /* until the next one */
        struct bt_list planned;
        struct bt_list begun;
        uint32_t moving;
        uint32_t moved, failed; /* since there was nothing to do */
        bool pumping;
        struct bt_list asks; /* node_ask.h */
};

int bt_redistribution_open(struct bt_hub *hub);
void bt_redistribution_close(struct bt_hub *hub); /* when the loop does not turn any more */
void bt_redistribution_stop(struct bt_hub *hub);  /* the hub stops: nothing more is begun */

/* Something about the nodes is not as it was. */
void bt_redistribution_change(struct bt_hub *hub);
void bt_redistribution_now(struct bt_hub *hub); /* the same, and it cannot wait */
void bt_redistribution_again(struct bt_hub *hub); /* something could not be done now: after a while, later each time */

/* Seats those that were added, and not started yet, where they belong. 0; or -errno and said in words: they stay where they were added. */
int bt_redistribution_place_new(struct bt_hub *hub);

/* ---- move.c ---- */

struct bt_move *bt_move_new(struct bt_child *child,
                            struct bt_hub_node *to); /* planned; NULL: no memory */
void bt_move_begin(struct bt_move *move);
void bt_move_force(struct bt_move *move); /* do not ask; begin, if that is what it waits for */
void bt_move_retarget(struct bt_move *move, struct bt_hub_node *to); /* one that is not MOVING */
/* It is over: tells those who want to know, and frees it. @text: why it failed. */
void bt_move_over(struct bt_move *move, enum bt_ctl_outcome outcome, const char *phase,
                  uint64_t incarnation, const char *text);
void bt_redistribution_pump(struct bt_redistribution *r);
/* @child runs, is down for good, or its swap is over: a move that waited for that goes on. */
void bt_move_wake(struct bt_child *child);
void bt_move_consent(struct bt_child *child, const struct bt_inc *inc,
                     bool ready);            /* it said so, asked or not */
void bt_move_forget(struct bt_child *child); /* it is about to be removed */
