/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The stop of a hub: performs what the machine of swap/shutdown.h decides. Migrations are called off, states are asked for all at once and written in
 * one transaction, then all processes are told to end and waited for. One outer deadline, shutdown_timeout, cuts all the inner ones short.
 */
#include "supervisor/live.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "supervisor/events.h"
#include "supervisor/groups.h"
#include "supervisor/rolling.h"
#include "supervisor/redistribute.h"
#include "supervisor/renew.h"
#include "supervisor/steps.h"

/* What an action found out at once: the next event. */
struct next {
        enum bt_shutdown_event event;
        uint32_t count;
};

static void shutdown_event(struct bt_hub *hub, enum bt_shutdown_event event, uint32_t count);

__attribute__((format(printf, 2, 3))) static void note_kept(struct bt_hub *hub, const char *format, ...)
{
        size_t used = strlen(hub->stop_text);

        va_list args;

        va_start(args, format);
        (void)vsnprintf(hub->stop_text + used, sizeof(hub->stop_text) - used, format, args);
        va_end(args);
}

static void shutdown_cancel_migrations(struct bt_hub *hub)
{
        bt_hub_foreach_child (child, hub) {
                if (child->migration)
                        bt_migration_cancel(child->migration);
        }
}

/* The outer limit is the shorter one: what is left of shutdown_timeout, at most @inner_ns. */
static uint64_t within_stop(const struct bt_hub *hub, uint64_t inner_ns)
{
        uint64_t now = bt_now_ns();
        uint64_t left = hub->stop_deadline_ns == BT_NS_NEVER ? BT_NS_INFINITE : hub->stop_deadline_ns > now ? hub->stop_deadline_ns - now : 0;

        return left < inner_ns ? left : inner_ns;
}

/*
 * shutdown_timeout is over. States that did not arrive are not waited for; those that did are written all the same, and then everything ends
 * at once. A migration that is still being called off has its own limits; what it waits for an end of, gets it.
 */
static void on_stop_timer(struct bt_loop_timer *timer)
{
        struct bt_hub *hub = bt_container_of(timer, struct bt_hub, stop_timer);

        bt_hub_say(hub, "shutdown_timeout is over: what has not ended is killed");
        bt_hub_foreach_child (child, hub) {
                bt_list_foreach (it, &child->incs) {
                        struct bt_inc *inc = bt_list_entry(it, struct bt_inc, node);

                        if (!inc->told_to_end || inc->dead)
                                continue;
                        child->limits_hit++;
                        bt_inc_kill(inc);
                }
        }
        if (hub->shutdown.state == BT_SHUTDOWN_S_CAPTURING)
                shutdown_event(hub, BT_SHUTDOWN_EV_TIMEOUT, 0);
}

static void on_shutdown_timer(struct bt_loop_timer *timer)
{
        shutdown_event(bt_container_of(timer, struct bt_hub, shutdown_timer), BT_SHUTDOWN_EV_TIMEOUT, 0);
}

/* So many in a turn of the loop: between two of these what the first ones captured is given to the store, instead of after the last one was asked. */
#define ASK_SLICE 32

static void ask_slice(struct bt_hub *hub)
{
        uint32_t asked = 0;

        for (; hub->ask_next && asked < ASK_SLICE; hub->ask_next = bt_hub_child_after(hub, hub->ask_next)) {
                struct bt_child *child = hub->ask_next;

                if (!child->asked || !child->current)
                        continue;
                bt_inc_say(child->current, BT_MSG_CAPTURE, 0, 0, BATON_CAPTURE_SHUTDOWN, 0);
                asked++;
        }
}

static void on_ask_timer(struct bt_loop_timer *timer)
{
        struct bt_hub *hub = bt_container_of(timer, struct bt_hub, ask_timer);

        ask_slice(hub);
        if (hub->ask_next)
                (void)bt_loop_timer_arm(hub->loop, &hub->ask_timer, bt_now_ns(), on_ask_timer);
}

/* All together; one deadline, the longest that any of them was given. */
static struct next shutdown_ask(struct bt_hub *hub)
{
        uint64_t wait = 0;
        uint32_t asked = 0;

        bt_hub_foreach_child (child, hub) {
                struct bt_inc *inc = child->current;

                bt_loop_timer_disarm(&child->restart_timer);
                if (!inc && child->spec->handover)
                        bt_child_salvage(child);
                if (!inc || !inc->link || !child->spec->handover || child->spec->state_form == BATON_STATE_NONE)
                        continue;
                if (child->spec->durability == BT_DURABILITY_NONE) {
                        note_kept(hub, "%s: state not kept (durability: none)\n", child->id);
                        continue;
                }
                if (!bt_baton_serves(inc->holding->baton, inc->number))
                        continue; /* not serving yet: a state from the store is still in the store */
                child->asked = true;
                asked++;
                if (child->spec->handover_data_wait_ns > wait)
                        wait = child->spec->handover_data_wait_ns;
        }
        hub->ask_next = asked ? bt_hub_child_after(hub, NULL) : NULL;
        if (asked)
                (void)bt_loop_timer_arm(hub->loop, &hub->shutdown_timer, bt_ns_add(bt_now_ns(), within_stop(hub, wait)),
                                            on_shutdown_timer);
        on_ask_timer(&hub->ask_timer);
        return (struct next){.event = BT_SHUTDOWN_EV_ASKED, .count = asked};
}

void bt_hub_captured(struct bt_hub *hub, struct bt_child *child, bool whole)
{
        child->asked = false;
        child->captured = whole;
        if (whole)
                bt_event(hub, BT_EVENT_STATE_CAPTURED, child, 0, "%llu bytes", (unsigned long long)child->state_bytes);
        else
                bt_event(hub, BT_EVENT_STATE_MISSING, child, 0, "it gave none");
        if (whole)
                bt_hub_hand_in(hub, child);
        else
                note_kept(hub, "%s: gave no state\n", child->id);
        shutdown_event(hub, BT_SHUTDOWN_EV_ANSWERED, 0);
}

/* What became of the states, for those who asked for the stop. */
static void note_stored(struct bt_hub *hub, int result)
{
        bt_hub_foreach_child (child, hub) {
                if (child->captured)
                        note_kept(hub, "%s: %s\n", child->id,
                                  result ? "state LOST, the store could not be written" : child->handed_in ? "state kept" : "state LOST, it could not be given to the store");
        }
        result = result ? result : hub->stop_result;
        if (!result)
                return;
        hub->exit_status = 1;
        hub->states_lost = true;
        bt_hub_say(hub, "the states could not be written: %s", result == BT_STORE_E_ROOM ? "the disk is full" : strerrordesc_np(-result));
}

/* True when there is nothing to wait for. */
static bool shutdown_store(struct bt_hub *hub)
{
        int r;

        bt_loop_timer_disarm(&hub->shutdown_timer);
        bt_hub_foreach_child (child, hub) {

                if (child->asked) {
                        child->asked = false;
                        child->limits_hit++;
                        note_kept(hub, "%s: did not give its state in time (handover_data_wait)\n", child->id);
                        bt_event(hub, BT_EVENT_STATE_MISSING, child, 0, "not in time (handover_data_wait)");
                }
        }
        r = bt_hub_store_states(hub);
        if (r < 0) {
                note_stored(hub, r);
                bt_event(hub, BT_EVENT_STATES_STORED, NULL, 0, "they could not be written");
        }
        return r != 0;
}

void bt_hub_stored(struct bt_hub *hub, int result)
{
        note_stored(hub, result);
        bt_event(hub, BT_EVENT_STATES_STORED, NULL, 0, "%s",
                 result ? "they could not be written" : hub->stop_result ? "not all that were captured" : "all that were captured");
        shutdown_event(hub, BT_SHUTDOWN_EV_STORED, 0);
}

static void on_patience_over(struct bt_loop_timer *timer)
{
        struct bt_inc *inc = bt_container_of(timer, struct bt_inc, deadline);

        inc->child->limits_hit++;
        bt_inc_kill(inc);
}

uint32_t bt_child_end(struct bt_child *child, uint64_t patience_ns)
{
        uint32_t told = 0;

        child->phase = BT_PHASE_STOPPING;
        bt_list_foreach (it, &child->incs) {
                struct bt_inc *inc = bt_list_entry(it, struct bt_inc, node);

                told++;
                if (!patience_ns) {
                        bt_inc_kill(inc);
                        continue;
                }
                bt_inc_stop(inc);
                if (patience_ns != BT_NS_INFINITE)
                        (void)bt_loop_timer_arm(child->hub->loop, &inc->deadline, bt_ns_add(bt_now_ns(), patience_ns), on_patience_over);
        }
        bt_child_publish(child);
        return told;
}

uint64_t bt_hub_patience(const struct bt_hub *hub, const struct bt_child *child)
{
        return within_stop(hub, child->spec->shutdown_ns);
}

static uint32_t processes(const struct bt_child *child)
{
        uint32_t count = 0;

        bt_list_foreach (it, &child->incs)
                count++;
        return count;
}

static struct next shutdown_end(struct bt_hub *hub)
{
        uint32_t told = 0;

        hub->ending = true;
        bt_hub_foreach_child (child, hub) {
                if (child->group) /* in its turn: bt_groups_end() */
                        told += processes(child);
                else
                        told += bt_child_end(child, within_stop(hub, child->spec->shutdown_ns));
        }
        bt_groups_end(hub);
        return (struct next){.event = BT_SHUTDOWN_EV_TOLD, .count = told};
}

static void tell_over(struct bt_hub *hub)
{
        bt_hub_foreach_child (child, hub)
                bt_event(hub, BT_EVENT_CHILD_UNREGISTERED, child, 0, "the hub ends");
        bt_event(hub, BT_EVENT_SHUTDOWN_OVER, NULL, 0, "%s", hub->stop_text);
}

static void shutdown_event(struct bt_hub *hub, enum bt_shutdown_event event, uint32_t count)
{
        struct next next = {.event = event, .count = count};

        for (;;) {
                switch (bt_steps_shutdown(&hub->shutdown, next.event, next.count)) {
                case BT_SHUTDOWN_ACT_CANCEL_MIGRATIONS:
                        shutdown_cancel_migrations(hub); /* their ends are events */
                        return;
                case BT_SHUTDOWN_ACT_ASK:
                        next = shutdown_ask(hub);
                        break;
                case BT_SHUTDOWN_ACT_STORE:
                        if (!shutdown_store(hub))
                                return;
                        next = (struct next){.event = BT_SHUTDOWN_EV_STORED};
                        break;
                case BT_SHUTDOWN_ACT_END:
                        next = shutdown_end(hub);
                        break;
                case BT_SHUTDOWN_ACT_FINISH:
                        tell_over(hub);
                        hub->over = true;
                        return;
                case BT_SHUTDOWN_ACT_NONE:
                        return;
                }
        }
}

void bt_hub_stop(struct bt_hub *hub)
{
        uint32_t migrations = 0;

        if (hub->stopping)
                return;
        hub->stopping = true;
        hub->stop_deadline_ns = BT_NS_NEVER;
        if (hub->plan.plan->shutdown_timeout_ns) {
                hub->stop_deadline_ns = bt_ns_add(bt_now_ns(), hub->plan.plan->shutdown_timeout_ns);
                (void)bt_loop_timer_arm(hub->loop, &hub->stop_timer, hub->stop_deadline_ns, on_stop_timer);
        }
        bt_hub_say(hub, "stopping");
        bt_renewal_stop(hub);
        bt_live_stop(hub);
        bt_groups_stop_all(hub);
        bt_rolling_stop_all(hub);
        bt_redistribution_stop(hub);
        bt_event(hub, BT_EVENT_SHUTDOWN_BEGUN, NULL, 0, "%u children", hub->children.count);
        bt_hub_foreach_child (child, hub)
                migrations += child->migration != NULL;
        shutdown_event(hub, BT_SHUTDOWN_EV_BEGIN, migrations);
}

void bt_hub_migration_over(struct bt_hub *hub)
{
        if (!bt_hub_crowded(hub))
                bt_hub_retire_now(hub);
        if (hub->stopping)
                shutdown_event(hub, BT_SHUTDOWN_EV_SETTLED, 0);
}

void bt_hub_exited(struct bt_hub *hub)
{
        if (hub->ending)
                bt_groups_end(hub);
        if (hub->stopping)
                shutdown_event(hub, BT_SHUTDOWN_EV_EXITED, 0);
}

