/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A child is stopped because another one of its group failed: as at a stop of the hub, but what it captured stays in its baton, and the next process
 * restores it.
 *
 *      SETTLING   a migration is called off; it ends by its own deadlines
 *      ASKED      a holder that hands over is asked for its state, for handover_data_wait
 *      ENDING     its processes are told to end, with `shutdown` as their patience
 *
 * While no process has the segment the keeper has it (keeper.h), and a stop of the hub writes what was captured to the store.
 */
#include "supervisor/groups.h"

#include "base/check.h"
#include "base/clock.h"
#include "supervisor/alter.h"
#include "supervisor/events.h"
#include "supervisor/live.h"

/* None of its processes is left. */
static void pause_check(struct bt_child *child)
{
        if (child->pause != BT_PAUSE_ENDING || !bt_list_empty(&child->incs) || child->loading)
                return;
        child->pause = BT_PAUSE_NONE;
        child->paused = true;
        child->phase = BT_PHASE_STOPPED;
        bt_child_publish(child);
        BT_POINT("group.paused");
        bt_groups_paused(child);
}

static void pause_end(struct bt_child *child)
{
        child->pause = BT_PAUSE_ENDING;
        bt_loop_timer_disarm(&child->pause_timer);
        (void)bt_child_end(child, child->spec->shutdown_ns);
        pause_check(child);
}

static void on_no_state(struct bt_loop_timer *timer)
{
        struct bt_child *child = bt_container_of(timer, struct bt_child, pause_timer);

        child->limits_hit++;
        bt_pause_captured(child, false);
}

void bt_pause_captured(struct bt_child *child, bool whole)
{
        if (!child->asked || child->pause != BT_PAUSE_ASKED)
                return;
        child->asked = false;
        child->captured = whole && child->spec->durability != BT_DURABILITY_NONE;
        if (whole)
                bt_event(child->hub, BT_EVENT_STATE_CAPTURED, child, 0, "%llu bytes",
                         (unsigned long long)child->state_bytes);
        else
                bt_event(child->hub, BT_EVENT_STATE_MISSING, child, 0, "it gave none");
        pause_end(child);
}

static void pause_ask(struct bt_child *child)
{
        const struct bt_plan_child *spec = child->spec;
        struct bt_inc *inc = child->current;

        if (!inc || !inc->link || !spec->handover || spec->state_form == BATON_STATE_NONE ||
            !bt_baton_serves(inc->holding->baton, inc->number)) {
                pause_end(child); /* not serving yet: what it was given is where it was */
                return;
        }
        child->pause = BT_PAUSE_ASKED;
        child->asked = true;
        (void)bt_loop_timer_arm(child->hub->loop, &child->pause_timer,
                                bt_ns_add(bt_now_ns(), spec->handover_data_wait_ns), on_no_state);
        bt_inc_say(inc, BT_MSG_CAPTURE, 0, 0, BATON_CAPTURE_SHUTDOWN, 0);
}

bool bt_pause_begin(struct bt_child *child)
{
        bt_assert(child->pause == BT_PAUSE_NONE);
        if (child->leaving || child->importing ||
            (child->item && child->item->step == BT_LIVE_WAITING))
                return false; /* a request has it, or is about to */
        child->pause = BT_PAUSE_SETTLING;
        if (child->current || child->migration)
                child->captured = false;
        child->phase = BT_PHASE_STOPPING;
        bt_loop_timer_disarm(&child->restart_timer);
        bt_alter_free(child); /* its start may have waited for a command */
        bt_child_publish(child);
        if (child->migration)
                bt_migration_cancel(child->migration);
        bt_pause_changed(child);
        return true;
}

void bt_pause_changed(struct bt_child *child)
{
        if (child->pause == BT_PAUSE_SETTLING && !child->migration)
                pause_ask(child);
        else
                pause_check(child);
}

void bt_pause_stop(struct bt_child *child)
{
        if (child->pause == BT_PAUSE_NONE)
                return;
        child->pause = BT_PAUSE_NONE;
        child->asked = false;
        bt_loop_timer_disarm(&child->pause_timer);
}
