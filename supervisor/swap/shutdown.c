/* SPDX-License-Identifier: Apache-2.0 */
#include "supervisor/swap/shutdown.h"

static enum bt_shutdown_action enter(struct bt_shutdown *s, enum bt_shutdown_state state,
                                     enum bt_shutdown_action action)
{
        s->state = state;
        s->pending = 0;
        return action;
}

/* Counts one down; true when it was the last. */
static bool last(struct bt_shutdown *s)
{
        if (s->pending)
                s->pending--;
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
                s->pending += count;
                done = s->pending == 0;
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
                s->pending += count;
                done = s->pending == 0;
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
                s->pending = count;
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
