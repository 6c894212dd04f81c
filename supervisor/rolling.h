/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Rollouts of this hub: performs what the machine of rollout/rollout.h decides, on children. docs/rollout.md says what it is for.
 *
 *      bt_rolling_begin(hub, &spec, &watcher, why, sizeof(why))
 *              │      children ──bt_migrate()──► committed ── min_ready ── health command ──► proved
 *              │      watcher.event(..) for each step
 *              ▼
 *      watcher.over(..) once; the rollout is freed after it
 *
 * A rollout belongs to the hub and goes on when nobody watches. Its children belong to it until it is over: whoever else wants to swap
 * one of them is refused by bt_migrate(). All that it decides it decides in a turn of its own, from a timer: a swap that ends while
 * another is being begun only leaves word.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "supervisor/hub.h"

struct bt_rolling;

/* Who wants to know. Embedded in whoever asks, zeroed; may be abandoned at any time. */
struct bt_rolling_watcher {
        struct bt_list node;
        /* @child: NULL: of the whole rollout. @outcome: other than BT_CTL_OK when this step went wrong. */
        void (*event)(struct bt_rolling_watcher *watcher, const struct bt_child *child, const char *phase, enum bt_ctl_outcome outcome,
                      uint64_t incarnation, const char *text);
        /* @on: children that run what was asked for; @off: the others. */
        void (*over)(struct bt_rolling_watcher *watcher, enum bt_ctl_outcome outcome, uint32_t on, uint32_t off, const char *text);
        bool wants_back;   /* for it the way back is the success */
        uint64_t limit_ns; /* filled in: how long all of it can take at most; BT_NS_NEVER: no limit */
};

struct bt_rolling_spec {
        const char *target;
        struct bt_binary *binary; /* NULL: the one each child of the last upgrade ran before; borrowed */
        uint32_t strategy;        /* enum bt_strategy, or BT_CTL_STRATEGY_SPEC */
        const struct bt_ctl_rollout *options;
};

/* BT_CTL_OK; else nothing was begun and @ret_why says why. @watcher: NULL: nobody waits. */
enum bt_ctl_outcome bt_rolling_begin(struct bt_hub *hub, const struct bt_rolling_spec *spec, struct bt_rolling_watcher *watcher, char *ret_why,
                                     size_t why_bytes);
void bt_rolling_abandon(struct bt_rolling_watcher *watcher); /* harmless when it watches nothing */

/* Those that are under way, a line each; what does not fit is left out. */
void bt_rolling_describe(const struct bt_hub *hub, char *text, size_t bytes);

/* ---- called by the hub's other files ---- */

/* Why @child cannot be swapped for @waiter: it is in a rollout that is not @waiter's. NULL: it can. */
const char *bt_rolling_refusal(const struct bt_child *child, const struct bt_waiter *waiter);
void bt_rolling_serves(const struct bt_child *child); /* somebody serves, from now on */
void bt_rolling_ended(const struct bt_child *child, const struct bt_proc_exit *how); /* outside of a swap; @how: NULL: child.note says it */
/* @binary is the child's from here on. The one before is kept for a rollback; going back uses it up. */
void bt_rolling_committed(struct bt_child *child, struct bt_binary *binary);
void bt_rolling_stop_all(struct bt_hub *hub); /* the hub stops: ends them where they are, and tells */
