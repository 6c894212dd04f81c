/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* One rollout, for rolling.c (its life) and rolling_begin.c (its beginning). */

#include "supervisor/errand.h"
#include "supervisor/rolling.h"
#include "supervisor/rollout/rollout.h"

struct bt_rolling_child {
        struct bt_waiter waiter; /* first: see bt_rolling_refusal() */
        struct bt_rolling *rolling;
        struct bt_child *child;
        struct bt_binary *to;
        struct bt_binary *back;  /* what it ran at the beginning */
        struct bt_binary *older; /* what it would have gone back to then; NULL: nothing */
        struct bt_binary *own;   /* and its own program, which its node's may have stood in for */
        struct bt_errand check;
        char *text;              /* what went wrong with it last; NULL: nothing */
};

struct bt_rolling {
        struct bt_list node; /* in bt_hub.rollings */
        struct bt_hub *hub;
        struct bt_list watchers;
        struct bt_loop_timer timer;
        struct bt_rollout machine;
        struct bt_rollout_item *items;
        char target[64];
        uint32_t strategy;
        bool is_rollback;
        bool turned; /* and that was told */
        char progress[64];
        char health[BT_CTL_HEALTH_BYTES]; /* its path, then its arguments, each with its NUL */
        uint32_t health_argc;
        uint64_t health_timeout_ns;
        struct bt_rolling_child children[];
};

void bt_rolling_on_event(struct bt_waiter *waiter, const struct bt_migration *m, const char *phase, uint64_t incarnation, const char *text);
void bt_rolling_on_over(struct bt_waiter *waiter, const struct bt_migration *m, enum bt_ctl_outcome outcome, const char *phase,
                        uint64_t incarnation, const char *text);
void bt_rolling_feed(struct bt_rolling *r, enum bt_rollout_event event, struct bt_rolling_child *c);
void bt_rolling_soon(struct bt_rolling *r); /* it decides in the next turn */
void bt_rolling_free(struct bt_rolling *r);
