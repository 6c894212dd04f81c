/* SPDX-License-Identifier: Apache-2.0 */
/* The graceful stop: see the header. docs/swap.md has the table, and tests/unit/test_shutdown.c compares the two. */
#include "supervisor/swap/shutdown.h"

static enum bt_shutdown_action enter(struct bt_shutdown *s, enum bt_shutdown_state state,
                                     enum bt_shutdown_action action)
{
        s->state = state;
        s->pending = 0;
        s->counted = false;
        return action;
}

/*
 * Counts one down; true when it was the last. One that comes while the others are still being asked ends nothing and is not lost: the
 * count that follows is larger by it (arithmetic modulo 2^32).
 */
static bool last(struct bt_shutdown *s)
{
        s->pending--;
        return s->counted && s->pending == 0;
}

/* How many there are; true when none is left to wait for. */
static bool none_of(struct bt_shutdown *s, uint32_t count)
{
        s->pending += count;
        s->counted = true;
        return s->pending == 0;
}

static enum bt_shutdown_action settling(struct bt_shutdown *s, enum bt_shutdown_event event)
{
        if (event == BT_SHUTDOWN_EV_SETTLED && last(s))
                return enter(s, BT_SHUTDOWN_S_CAPTURING, BT_SHUTDOWN_ACT_ASK);
        return BT_SHUTDOWN_ACT_NONE;
}

static enum bt_shutdown_action capturing(struct bt_shutdown *s, enum bt_shutdown_event event,
                                         uint32_t count)
{
        bool done = false;

        if (event == BT_SHUTDOWN_EV_ASKED) {
                done = none_of(s, count);
        } else if (event == BT_SHUTDOWN_EV_ANSWERED) {
                done = last(s);
        } else if (event == BT_SHUTDOWN_EV_TIMEOUT) {
                s->timed_out = true;
                done = true;
        }
        return done ? enter(s, BT_SHUTDOWN_S_STORING, BT_SHUTDOWN_ACT_STORE) : BT_SHUTDOWN_ACT_NONE;
}

static enum bt_shutdown_action ending(struct bt_shutdown *s, enum bt_shutdown_event event, uint32_t count)
{
        bool done = false;

        if (event == BT_SHUTDOWN_EV_TOLD) {
                done = none_of(s, count);
        } else if (event == BT_SHUTDOWN_EV_EXITED) {
                done = last(s);
        }
        return done ? enter(s, BT_SHUTDOWN_S_OVER, BT_SHUTDOWN_ACT_FINISH) : BT_SHUTDOWN_ACT_NONE;
}

enum bt_shutdown_action bt_shutdown_step(struct bt_shutdown *s, enum bt_shutdown_event event,
                                         uint32_t count)
{
        switch (s->state) {
        case BT_SHUTDOWN_S_IDLE:
                if (event != BT_SHUTDOWN_EV_BEGIN)
                        return BT_SHUTDOWN_ACT_NONE;
                if (!count)
                        return enter(s, BT_SHUTDOWN_S_CAPTURING, BT_SHUTDOWN_ACT_ASK);
                (void)enter(s, BT_SHUTDOWN_S_SETTLING, BT_SHUTDOWN_ACT_NONE);
                (void)none_of(s, count);
                return BT_SHUTDOWN_ACT_CANCEL_MIGRATIONS;
        case BT_SHUTDOWN_S_SETTLING:
                return settling(s, event);
        case BT_SHUTDOWN_S_CAPTURING:
                return capturing(s, event, count);
        case BT_SHUTDOWN_S_STORING:
                return event == BT_SHUTDOWN_EV_STORED ? enter(s, BT_SHUTDOWN_S_ENDING, BT_SHUTDOWN_ACT_END)
                                                      : BT_SHUTDOWN_ACT_NONE;
        case BT_SHUTDOWN_S_ENDING:
                return ending(s, event, count);
        case BT_SHUTDOWN_S_OVER:
        case _BT_SHUTDOWN_S_N:
                break;
        }
        return BT_SHUTDOWN_ACT_NONE;
}

const char *bt_shutdown_state_name(enum bt_shutdown_state state)
{
        static const char *const names[_BT_SHUTDOWN_S_N] = {
                "idle", "settling", "capturing", "storing", "ending", "over",
        };

        return state < _BT_SHUTDOWN_S_N ? names[state] : "?";
}

const char *bt_shutdown_event_name(enum bt_shutdown_event event)
{
        static const char *const names[_BT_SHUTDOWN_EV_N] = {
                "BEGIN", "SETTLED", "ASKED", "ANSWERED", "TIMEOUT", "STORED", "TOLD", "EXITED",
        };

        return event < _BT_SHUTDOWN_EV_N ? names[event] : "?";
}

const char *bt_shutdown_action_name(enum bt_shutdown_action action)
{
        static const char *const names[] = {"", "CANCEL_MIGRATIONS", "ASK", "STORE", "END", "FINISH"};

        return action <= BT_SHUTDOWN_ACT_FINISH ? names[action] : "?";
}
