/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Commands that run at events: `on:` in the configuration.
 *
 *      event ──► queue (at most BT_HOOKS_QUEUED) ──► at most BT_HOOKS_RUNNING processes ──► exit, or hook_timeout and SIGKILL
 *
 * A hook is told, never asked: nothing waits for it, and what it does, fails to do, or takes its time over changes nothing but the event hook_failed
 * and a line of the log. What does not fit into the queue is dropped, counted and told in the same way.
 *
 * A hook gets the hub's own environment and
 *
 *      BATON_HUB, BATON_EVENT, BATON_SEQUENCE     the hub's name (so `baton` in a hook speaks with this hub), the event's name and number
 *      BATON_TIME_NS, BATON_MONOTONIC_NS          when it happened
 *      BATON_CHILD, BATON_POOL                    "" when it is of no child
 *      BATON_INCARNATION                          0: of none
 *      BATON_REASON                               the event's text
 *
 * stdin is /dev/null; what it prints goes to the hub's log as "on EVENT CHILD | line". It leads a session of its own; when it ends, what is
 * left of its process group ends with it. Hooks of one event, and of events that follow each other, run side by side: BATON_SEQUENCE tells the order.
 */

#include <stdbool.h>
#include <stdint.h>

struct bt_hub;
struct bt_child;
struct bt_event;

#define BT_HOOKS_QUEUED 1024
#define BT_HOOKS_RUNNING 8
#define BT_HOOKS_HOLD_NS UINT64_C(1000000000) /* longest wait for swaps that are under way */

int bt_hooks_open(struct bt_hub *hub); /* needs the loop; nothing at all when the plan has no hooks */
/* At the end of a stop: the loop turns until all hooks are over, at most hook_timeout; then the rest is killed. */
void bt_hooks_finish(struct bt_hub *hub);
void bt_hooks_close(struct bt_hub *hub); /* kills what runs */
bool bt_hooks_busy(const struct bt_hub *hub); /* one runs, or waits for its turn */

/* Called by bt_event() alone. @child: NULL: of none. */
void bt_hooks_event(struct bt_hub *hub, const struct bt_event *event, const struct bt_child *child);
