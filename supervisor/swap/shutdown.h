/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * The graceful stop, as a pure machine over counts.
 *
 *   SETTLING --all migrations over--> CAPTURING --all answered, or handover_data_wait over--> STORING --durable, or failed--> ENDING --all gone--> over
 *
 * All children are asked at once and share one deadline (SHUT-1); what did not answer in time is not waited for. Children are told to end only
 * after the states are on disk, so a hub that is killed in between has lost nothing.
 */

#include <stdbool.h>
#include <stdint.h>

#include "supervisor/swap/swap.h"

enum bt_shutdown_state {
        BT_SHUTDOWN_S_IDLE = 0,
        BT_SHUTDOWN_S_SETTLING = 1,
        BT_SHUTDOWN_S_CAPTURING = 2,
        BT_SHUTDOWN_S_STORING = 3,
        BT_SHUTDOWN_S_ENDING = 4,
        BT_SHUTDOWN_S_OVER = 5,
        _BT_SHUTDOWN_S_N,
};

enum bt_shutdown_event {
        BT_SHUTDOWN_EV_BEGIN = 0,    /* @count: migrations under way */
        BT_SHUTDOWN_EV_SETTLED = 1,  /* one migration is over */
        BT_SHUTDOWN_EV_ASKED = 2,    /* @count: children that were asked */
        BT_SHUTDOWN_EV_ANSWERED = 3, /* one child captured, or cannot, or died */
        BT_SHUTDOWN_EV_TIMEOUT = 4,
        BT_SHUTDOWN_EV_STORED = 5,   /* also when it failed, or there was nothing to store */
        BT_SHUTDOWN_EV_TOLD = 6,     /* @count: processes that were told to end */
        BT_SHUTDOWN_EV_EXITED = 7,   /* one process ended */
        _BT_SHUTDOWN_EV_N,
};

enum bt_shutdown_action {
        BT_SHUTDOWN_ACT_NONE = 0,
        BT_SHUTDOWN_ACT_CANCEL_MIGRATIONS = 1,
        BT_SHUTDOWN_ACT_ASK = 2,   /* CAPTURE to all; arm the common deadline; then ASKED */
        BT_SHUTDOWN_ACT_STORE = 3, /* one put; then STORED */
        BT_SHUTDOWN_ACT_END = 4,   /* TERMINATE to all, each with its own patience; then TOLD */
        BT_SHUTDOWN_ACT_FINISH = 5,
};

struct bt_shutdown {
        enum bt_shutdown_state state;
        uint32_t pending; /* what the state waits for; wraps while events come before their count */
        bool counted;     /* how many there are was said: ASKED, TOLD */
        bool timed_out;   /* somebody did not answer */
};

/* One event, at most one action. Events that come too late for their state do nothing. */
enum bt_shutdown_action bt_shutdown_step(struct bt_shutdown *shutdown, enum bt_shutdown_event event, uint32_t count);
const char *bt_shutdown_state_name(enum bt_shutdown_state state);
const char *bt_shutdown_event_name(enum bt_shutdown_event event);
const char *bt_shutdown_action_name(enum bt_shutdown_action action); /* "" for NONE */
