/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * What can happen: one table for the event stream (supervisor/events.h), for `on:` in a configuration, and for the documents.
 *
 *      X(NAME, "name", reach, "what it says")
 *
 * Reach: HOOK events may have commands in `on:`. STREAM events are in the stream alone: what tells of hooks must not run hooks.
 *
 * Numbers are those of the plan: new rows go to the end.
 */

#include <stddef.h>
#include <stdint.h>

/* clang-format off */
#define BT_EVENT_TABLE(X) \
        X(NODE_JOINING,        "node_joining",         HOOK,   "a node is about to be taken in") \
        X(NODE_JOINED,         "node_joined",          HOOK,   "a node was taken in, and has the children that are due to it") \
        X(NODE_LEAVING,        "node_leaving",         HOOK,   "a node is about to leave") \
        X(NODE_LEFT,           "node_left",            HOOK,   "a node has left") \
        X(REDISTRIBUTING,      "redistributing",       HOOK,   "children are about to be moved between nodes") \
        X(REDISTRIBUTED,       "redistributed",        HOOK,   "children were moved between nodes") \
        X(CHILD_FORWARDED,     "child_forwarded",      HOOK,   "a child is on another node now: from where, to where") \
        X(MIGRATION_DEFERRED,  "migration_deferred",   HOOK,   "a child asked to be moved later") \
        X(DRAIN_COMPLETED,     "drain_completed",      HOOK,   "a node has given away all it had") \
        X(CHILDREN_STARTING,   "children_starting",    HOOK,   "the hub begins to start its children: how many") \
        X(CHILDREN_STARTED,    "children_started",     HOOK,   "the first start of all children is over: how many run") \
        X(CHILD_REGISTERED,    "child_registered",     HOOK,   "a child is known to the hub") \
        X(CHILD_UNREGISTERED,  "child_unregistered",   HOOK,   "a child is not known any more") \
        X(CHILD_STARTING,      "child_starting",       HOOK,   "a process was started: its reason") \
        X(CHILD_RUNNING,       "child_running",        HOOK,   "a process serves") \
        X(CHILD_PID_CHANGED,   "child_pid_changed",    HOOK,   "another process serves than before: its pid") \
        X(CHILD_ADOPTED,       "child_adopted",        HOOK,   "a process of a hub that was killed serves on under this one") \
        X(CHILD_ENDED,         "child_ended",          HOOK,   "nobody serves any more: how the process ended") \
        X(CHILD_RESTARTING,    "child_restarting",     HOOK,   "it will be started again: in how long") \
        X(CHILD_STOPPED,       "child_stopped",        HOOK,   "it ended, and its restart policy leaves it so") \
        X(CHILD_GIVEN_UP,      "child_given_up",       HOOK,   "too many restarts: it is not started again") \
        X(MIGRATION_BEGUN,     "migration_begun",      HOOK,   "a swap begins: strategy and program") \
        X(MIGRATION_STEP,      "migration_step",       HOOK,   "a step of a swap: its name, as `baton swap` shows it") \
        X(MIGRATION_COMPLETED, "migration_completed",  HOOK,   "the successor serves: pause and total") \
        X(MIGRATION_FAILED,    "migration_failed",     HOOK,   "a swap was rolled back, or left nobody: why") \
        X(HANDOVER_DELIVERED,  "handover_delivered",   HOOK,   "a successor, or the first process after a start, has its predecessor's state: bytes") \
        X(PREDECESSOR_ENDED,   "predecessor_ended",    HOOK,   "a process that handed over has drained and ended: how") \
        X(STATE_CAPTURED,      "state_captured",       HOOK,   "shutdown: a child gave its state: bytes") \
        X(STATE_MISSING,       "state_missing",        HOOK,   "shutdown: a child gave no state: why") \
        X(STATES_STORED,       "states_stored",        HOOK,   "shutdown: the states are on the disk, or why not") \
        X(STATE_LOADED,        "state_loaded",         HOOK,   "a stored state was read for a child that is about to start: bytes") \
        X(STATE_QUARANTINED,   "state_quarantined",    HOOK,   "a state cannot be used and was set aside: why") \
        X(SHUTDOWN_BEGUN,      "shutdown_begun",       HOOK,   "the hub begins to stop") \
        X(SHUTDOWN_OVER,       "shutdown_over",        HOOK,   "all children have ended: what became of their states") \
        X(HOOK_FAILED,         "hook_failed",          STREAM, "a command of `on:` failed, took too long, or was not run") \
        X(CHILD_ALTERED,       "child_altered",        HOOK,   "its `alter` command changed how it is started: how many records") \
        X(ROLLOUT_BEGUN,       "rollout_begun",        HOOK,   "the upgrade of a pool begins: how many children, to which program") \
        X(ROLLOUT_COMPLETED,   "rollout_completed",    HOOK,   "all children of a pool run what was asked for") \
        X(ROLLOUT_FAILED,      "rollout_failed",       HOOK,   "the upgrade of a pool went back, or could not: why, and what is left") \
        X(NODE_DIED,           "node_died",            HOOK,   "all processes of a node were killed: how many") \
        X(MODE_CHANGED,        "mode_changed",         HOOK,   "an instance of a replicated child has become `active` or `passive`") \
        X(GROUP_STARTED,       "group_started",        HOOK,   "all members of a group have been started") \
        X(GROUP_RESTARTING,    "group_restarting",     HOOK,   "members of a group are stopped and started again: because of whom") \
        X(GROUP_GIVEN_UP,      "group_given_up",       HOOK,   "too many restarts in a group: its members are stopped") \
        X(GROUP_STOPPED,       "group_stopped",        HOOK,   "a group was stopped, or has shut itself down") \
        X(HUB_UPGRADED,        "hub_upgraded",         HOOK,   "the hub goes on as another program: which, and how many processes it has") \
        X(HUB_NOT_UPGRADED,    "hub_not_upgraded",     HOOK,   "the hub was to go on as another program, and does not: why")
/* clang-format on */

enum bt_event_kind {
#define X(NAME, name, reach, summary) BT_EVENT_##NAME,
        BT_EVENT_TABLE(X)
#undef X
                _BT_EVENT_N,
};

enum bt_event_reach {
        BT_EVENT_REACH_HOOK,
        BT_EVENT_REACH_STREAM,
};

struct bt_event_row {
        const char *name;
        enum bt_event_reach reach;
};

/* @kind < _BT_EVENT_N. */
static inline const struct bt_event_row *bt_event_row(uint32_t kind)
{
        static const struct bt_event_row rows[] = {
#define X(NAME, name, reach, summary) [BT_EVENT_##NAME] = {name, BT_EVENT_REACH_##reach},
                BT_EVENT_TABLE(X)
#undef X
        };

        return &rows[kind];
}
