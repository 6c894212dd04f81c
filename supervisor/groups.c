/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The groups of a hub over their children: see groups.h.
 *
 * The machine of a group asks for things in the order in which they are to happen; each is begun by the turn that it was asked in, or, when something else is
 * at work on the child, by a later one. So a member that is STARTING or STOPPING for the machine is one of three: not begun, under way, or just over.
 */
#include "supervisor/groups.h"

#include <stdio.h>

#include "base/clock.h"
#include "supervisor/events.h"
#include "supervisor/live.h"
#include "supervisor/redistribute.h"

#define RETRY_NS       (20 * BT_NS_PER_MS)
#define BACKOFF_MIN_NS (100 * BT_NS_PER_MS) /* of a group in a group: as a child's, by default */
#define BACKOFF_MAX_NS (10 * BT_NS_PER_S)
#define HEALTHY_NS     (10 * BT_NS_PER_S)

_Static_assert((int)BT_GROUP_PERMANENT == (int)BT_RESTART_PERMANENT &&
                       (int)BT_GROUP_TRANSIENT == (int)BT_RESTART_TRANSIENT &&
                       (int)BT_GROUP_TEMPORARY == (int)BT_RESTART_TEMPORARY,
               "a restart policy is the same number in a plan and in the machine");

static void on_turn(struct bt_loop_timer *timer);

void bt_groups_soon(struct bt_hub_group *group)
{
        if (!group->hub->stopping &&
            bt_loop_timer_arm(group->hub->loop, &group->turn, bt_now_ns(), on_turn))
                bt_hub_say(group->hub, "no memory for a timer: group %s waits for its next event",
                           group->name);
}

static void feed(struct bt_hub_group *group, enum bt_group_event event, uint32_t idx,
                 uint64_t wait_ns)
{
        bt_group_event(&group->machine, event, idx, wait_ns, bt_now_ns());
        bt_groups_soon(group);
}

bool bt_group_is_off(const struct bt_hub_group *group)
{
        return group->machine.state == BT_GROUP_S_OFF ||
               group->machine.state == BT_GROUP_S_FAILED || group->machine.state == BT_GROUP_S_SHUT;
}

/* It is on its way to that. */
static bool goes_off(const struct bt_hub_group *group)
{
        return bt_group_is_off(group) || (group->machine.state == BT_GROUP_S_STOPPING &&
                                          group->machine.after != BT_GROUP_S_WAITING);
}

static const char *member_name(const struct bt_hub_group *group, uint32_t idx)
{
        const struct bt_hub_member *member;

        if (idx >= group->machine.count)
                return "nobody";
        member = &group->members[idx];
        return member->child   ? member->child->id
               : member->inner ? member->inner->name
                               : "one that was removed";
}

static enum bt_group_member_state state_of(const struct bt_child *child)
{
        return child->group->states[child->group_idx].state;
}

/* ---- beginning ---- */

/* False: not now. What follows is RUNNING, or its end. */
static bool child_start(struct bt_child *child)
{
        if (child->current || child->migration) {
                if (child->phase == BT_PHASE_RUNNING)
                        feed(child->group, BT_GROUP_EV_RUNNING, child->group_idx, 0);
                return true;
        }
        if (child->importing || child->loading || child->leaving)
                return false;
        bt_child_resume(child);
        return true;
}

static bool member_begin(struct bt_hub_group *group, uint32_t idx)
{
        struct bt_hub_member *member = &group->members[idx];
        bool starts = group->states[idx].state == BT_GROUP_M_STARTING;

        if (member->begun || (!starts && group->states[idx].state != BT_GROUP_M_STOPPING))
                return true;
        if (member->inner) {
                bt_group_event(&member->inner->machine,
                               starts ? BT_GROUP_EV_START : BT_GROUP_EV_STOP, 0, 0, bt_now_ns());
                bt_groups_soon(member->inner);
                member->begun = true;
        } else if (member->child) {
                member->begun = true; /* it may be over before this returns */
                if (!(starts ? child_start(member->child) : bt_pause_begin(member->child)))
                        member->begun = false;
        }
        return member->begun;
}

/* ---- what the machine tells ---- */

static bool is_within(const struct bt_hub_group *group, const struct bt_hub_group *outer)
{
        while (group && group != outer)
                group = group->around;
        return group != NULL;
}

/* Nobody in @group will be started now: what waited for it is over. */
static void all_down(struct bt_hub_group *group, const char *what)
{
        struct bt_hub_groups *groups = group->hub->groups;

        for (uint32_t g = 0; g < groups->count; g++) {
                struct bt_hub_group *at = &groups->groups[g];

                for (uint32_t i = 0; is_within(at, group) && i < at->machine.count; i++) {
                        struct bt_child *child = at->members[i].child;

                        if (!child || child->current || child->migration || child->leaving)
                                continue;
                        if (child->phase != BT_PHASE_FAILED && child->phase != BT_PHASE_STOPPED) {
                                child->phase = BT_PHASE_STOPPED;
                                bt_spare_unwanted(child);
                                bt_child_note(child, "its group %s %s", group->name, what);
                                bt_child_publish(child);
                        }
                        bt_child_settled(child);
                }
        }
}

/* As a child's: the first is immediate, and a healthy time starts over. */
static uint64_t backoff(struct bt_hub_group *group)
{
        uint64_t wait = group->backoff_ns;

        if (group->up_since_ns && bt_now_ns() - group->up_since_ns >= HEALTHY_NS)
                wait = 0;
        group->backoff_ns = wait ? wait * 2 : BACKOFF_MIN_NS;
        if (group->backoff_ns > BACKOFF_MAX_NS)
                group->backoff_ns = BACKOFF_MAX_NS;
        return wait;
}

static void on_up(struct bt_hub_group *group)
{
        group->up_since_ns = bt_now_ns();
        group->note[0] = '\0';
        bt_event(group->hub, BT_EVENT_GROUP_STARTED, NULL, 0, "%s", group->name);
        if (group->around)
                feed(group->around, BT_GROUP_EV_RUNNING, group->around_idx, 0);
}

static void on_down(struct bt_hub_group *group)
{
        bt_event(group->hub, BT_EVENT_GROUP_STOPPED, NULL, 0, "%s", group->name);
        all_down(group, "was stopped");
        group->up_since_ns = 0;
        if (group->around)
                feed(group->around, BT_GROUP_EV_STOPPED, group->around_idx, 0);
}

/* The end that it came to by itself: the group around it decides, or there is none. */
static void on_end(struct bt_hub_group *group, bool well)
{
        struct bt_hub_group *around = group->around;
        uint64_t wait = backoff(group);

        group->up_since_ns = 0;
        if (around) {
                uint32_t before = around->machine.restarted;

                around->states[group->around_idx].restart =
                        (enum bt_group_restart)group->spec->restart;
                feed(around, well ? BT_GROUP_EV_ENDED : BT_GROUP_EV_FAILED, group->around_idx,
                     wait);
                around->restarts += around->machine.restarted != before;
        } else if (group->spec->ends_hub) {
                bt_hub_say(group->hub, "group %s has ended, and the hub with it (on_end: stop_hub)",
                           group->name);
                if (!well)
                        group->hub->exit_status = 1;
                bt_hub_stop(group->hub);
        }
}

static void on_failed(struct bt_hub_group *group)
{
        (void)snprintf(group->note, sizeof(group->note),
                       "given up: more than %u restarts within %llu ms, the last one of %s",
                       group->spec->max_restarts,
                       (unsigned long long)(group->spec->max_seconds_ns / BT_NS_PER_MS),
                       member_name(group, group->machine.culprit));
        bt_hub_say(group->hub, "group %s: %s", group->name, group->note);
        bt_event(group->hub, BT_EVENT_GROUP_GIVEN_UP, NULL, 0, "%s: %s", group->name, group->note);
        all_down(group, "was given up");
        on_end(group, false);
}

static void on_shut(struct bt_hub_group *group)
{
        (void)snprintf(group->note, sizeof(group->note), "shut down (auto_shutdown)");
        bt_event(group->hub, BT_EVENT_GROUP_STOPPED, NULL, 0, "%s: auto_shutdown", group->name);
        all_down(group, "has shut down");
        on_end(group, true);
}

static void perform(struct bt_hub_group *group, const struct bt_group_act *act)
{
        switch (act->action) {
        case BT_GROUP_ACT_START:
        case BT_GROUP_ACT_STOP:
                group->members[act->idx].begun = false;
                break;
        case BT_GROUP_ACT_TELL_UP:
                on_up(group);
                break;
        case BT_GROUP_ACT_TELL_DOWN:
                on_down(group);
                break;
        case BT_GROUP_ACT_TELL_FAILED:
                on_failed(group);
                break;
        case BT_GROUP_ACT_TELL_SHUT:
                on_shut(group);
                break;
        case _BT_GROUP_ACT_N:
                break;
        }
}

static void on_turn(struct bt_loop_timer *timer)
{
        struct bt_hub_group *group = bt_container_of(timer, struct bt_hub_group, turn);
        struct bt_group_act act;
        uint64_t due;
        bool begun = true;

        while (!group->hub->stopping && bt_group_next(&group->machine, bt_now_ns(), &act))
                perform(group, &act);
        for (uint32_t i = 0; !group->hub->stopping && i < group->machine.count; i++)
                begun = member_begin(group, i) && begun;
        bt_live_group_changed(group);
        if (group->hub->stopping || group->turn.heap_idx)
                return; /* something was over at once */
        due = begun ? bt_group_due(&group->machine) : bt_ns_add(bt_now_ns(), RETRY_NS);
        if (bt_group_due(&group->machine) < due)
                due = bt_group_due(&group->machine);
        if (due != BT_NS_NEVER && bt_loop_timer_arm(group->hub->loop, &group->turn, due, on_turn))
                bt_hub_say(group->hub, "no memory for a timer: group %s waits for its next event",
                           group->name);
}

/* ---- what happens to a child ---- */

/* Its end has made the group go down, or others pay for it, or nothing. */
static void child_failed(struct bt_child *child, uint64_t wait_ns)
{
        struct bt_hub_group *group = child->group;
        bool culprit = group->machine.culprit == child->group_idx;

        if (goes_off(group) && culprit && group->machine.after == BT_GROUP_S_FAILED) {
                child->limits_hit++;
                bt_child_note(child,
                              "its group %s was given up: more than %u restarts within %llu ms",
                              group->name, group->spec->max_restarts,
                              (unsigned long long)(group->spec->max_seconds_ns / BT_NS_PER_MS));
                bt_child_give_up_as(child, BT_PHASE_FAILED);
                return;
        }
        if (goes_off(group)) {
                bt_child_give_up_as(child, BT_PHASE_STOPPED);
                return;
        }
        bt_child_waits(child, wait_ns);
        bt_move_wake(child);
        if (group->machine.state == BT_GROUP_S_STOPPING)
                bt_event(group->hub, BT_EVENT_GROUP_RESTARTING, child, 0, "%s", group->name);
}

bool bt_groups_down(struct bt_child *child, bool well)
{
        struct bt_hub_group *group = child->group;
        uint32_t before;
        uint64_t wait;

        if (!group || child->hub->stopping)
                return false;
        if (!child->hub->groups
                     ->begun) { /* adopted, and nobody is left of it: begin() starts it in its turn */
                child->phase = BT_PHASE_BACKOFF;
                return true;
        }
        if (state_of(child) == BT_GROUP_M_HELD) { /* somebody tried to start it */
                bt_child_give_up_as(child, BT_PHASE_STOPPED);
                return true;
        }
        wait = bt_child_backoff(child);
        before = group->machine.restarted;
        group->states[child->group_idx].restart = (enum bt_group_restart)child->spec->restart;
        feed(group, well ? BT_GROUP_EV_ENDED : BT_GROUP_EV_FAILED, child->group_idx, wait);
        group->restarts += group->machine.restarted != before;
        if (state_of(child) == BT_GROUP_M_ENDED)
                bt_child_give_up_as(child, BT_PHASE_STOPPED);
        else
                child_failed(child, wait);
        return true;
}

bool bt_groups_restarts_alone(const struct bt_child *child)
{
        return child->hub->groups->begun && bt_group_restarts_alone(&child->group->machine, child->group_idx, bt_now_ns());
}

void bt_groups_running(struct bt_child *child)
{
        if (child->group && child->hub->groups->begun)
                feed(child->group, BT_GROUP_EV_RUNNING, child->group_idx, 0);
}

void bt_groups_changed(struct bt_child *child)
{
        if (!child->group)
                return;
        if (child->pause)
                bt_pause_changed(child);
        else
                bt_groups_soon(child->group);
}

void bt_groups_paused(struct bt_child *child)
{
        static const char *const whys[_BT_GROUP_S_N] = {[BT_GROUP_S_WAITING] = "is restarted",
                                                        [BT_GROUP_S_FAILED] = "was given up",
                                                        [BT_GROUP_S_SHUT] = "shuts down",
                                                        [BT_GROUP_S_OFF] = "was stopped"};
        struct bt_hub_group *group = child->group;
        const char *why =
                group->machine.state == BT_GROUP_S_STOPPING ? whys[group->machine.after] : NULL;

        bt_child_note(child, "its group %s %s", group->name, why ? why : "stopped it");
        bt_child_publish(child);
        bt_event(child->hub, BT_EVENT_CHILD_STOPPED, child, 0, "%s", child->note);
        bt_move_wake(child);
        feed(group, BT_GROUP_EV_STOPPED, child->group_idx, 0);
}

void bt_groups_hold(struct bt_child *child)
{
        if (child->group)
                feed(child->group, BT_GROUP_EV_HOLD, child->group_idx, 0);
}

bool bt_groups_release(struct bt_child *child)
{
        struct bt_hub_group *group = child->group;

        if (!group || group->machine.state == BT_GROUP_S_UP)
                return false;
        feed(group, BT_GROUP_EV_RELEASE, child->group_idx, 0);
        if (bt_group_is_off(group))
                bt_groups_start(group);
        return true;
}

void bt_groups_release_group(struct bt_hub_group *group)
{
        feed(group->around, BT_GROUP_EV_RELEASE, group->around_idx, 0);
}

void bt_groups_removed(struct bt_child *child)
{
        struct bt_hub_groups *groups = child->hub->groups;

        if (!child->group)
                return;
        for (uint32_t i = 0; i < groups->end_count; i++)
                if (groups->ends[i].child == child)
                        groups->ends[i].child = NULL;
        child->group->members[child->group_idx].child = NULL;
        feed(child->group, BT_GROUP_EV_REMOVED, child->group_idx, 0);
        child->group = NULL;
}

/* ---- what others may do ---- */

bool bt_groups_busy(const struct bt_child *child)
{
        const struct bt_hub_group *group = child->group;

        return group &&
               (child->pause || (!bt_group_is_off(group) && group->machine.state != BT_GROUP_S_UP &&
                                 state_of(child) != BT_GROUP_M_UP));
}

/* One that is down because of itself may be brought back with another program, and the others follow. */
const char *bt_groups_refusal(const struct bt_child *child)
{
        const struct bt_hub_group *group = child->group;

        if (!group || (child->current && !child->pause))
                return NULL;
        if (child->pause || group->machine.state == BT_GROUP_S_STOPPING)
                return "its group is being stopped: try again when that is over";
        if (state_of(child) == BT_GROUP_M_DOWN && !bt_group_is_off(group) &&
            group->machine.culprit != child->group_idx)
                return "its group is being restarted, and its turn has not come: try again when "
                       "that is over";
        return NULL;
}

struct bt_group_count bt_group_count(const struct bt_hub_group *group)
{
        struct bt_group_count count = {0};

        for (uint32_t i = 0; i < group->machine.count; i++) {
                const struct bt_hub_member *member = &group->members[i];

                if (group->states[i].state == BT_GROUP_M_GONE)
                        continue;
                count.specs++;
                if (member->inner) {
                        count.supervisors++;
                        count.active += !bt_group_is_off(member->inner);
                } else {
                        count.workers++;
                        count.active += member->child && member->child->current;
                }
        }
        return count;
}

void bt_groups_start(struct bt_hub_group *group)
{
        while (group->around && bt_group_is_off(group->around)) {
                feed(group->around, BT_GROUP_EV_RELEASE, group->around_idx, 0);
                group = group->around;
        }
        bt_group_event(&group->machine, BT_GROUP_EV_START, 0, 0, bt_now_ns());
        bt_groups_soon(group);
}

void bt_groups_stop(struct bt_hub_group *group)
{
        if (group->around)
                feed(group->around, BT_GROUP_EV_HOLD, group->around_idx, 0);
        bt_group_event(&group->machine, BT_GROUP_EV_STOP, 0, 0, bt_now_ns());
        bt_groups_soon(group);
}
