/* SPDX-License-Identifier: Apache-2.0 */
/* The groups of a hub from its start to its end: the plan's into memory, who was there before, and in which order they end. What happens meanwhile: groups.c. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "supervisor/groups.h"

/* ---- their beginning ---- */

struct bt_hub_group *bt_groups_find(const struct bt_hub *hub, const char *name)
{
        for (uint32_t i = 0; hub->groups && i < hub->groups->count; i++)
                if (!strcmp(hub->groups->groups[i].name, name))
                        return &hub->groups->groups[i];
        return NULL;
}

static uint32_t members_of(const struct bt_hub *hub, const struct bt_plan_group *spec)
{
        uint32_t count = 0;

        for (uint32_t i = 0; i < spec->member_count; i++) {
                const struct bt_plan_member *member = &hub->plan.members[spec->member_first + i];

                count += member->count ? member->count : 1;
        }
        return count;
}

static void take_child(struct bt_hub_group *group, uint32_t idx, const struct bt_plan_child *spec)
{
        struct bt_child *child =
                bt_hub_child_find(group->hub, bt_plan_string(&group->hub->plan, spec->id));

        if (!child) { /* what was added before came first? Then it is another one, and nobody's */
                group->states[idx].state = BT_GROUP_M_GONE;
                return;
        }
        child->group = group;
        child->group_idx = idx;
        group->members[idx].child = child;
        group->states[idx].restart = (enum bt_group_restart)child->spec->restart;
        group->states[idx].significant = child->spec->significant;
        bt_list_unlink(&child->to_load);
}

static void take_members(struct bt_hub_group *group)
{
        struct bt_hub *hub = group->hub;
        uint32_t idx = 0;

        for (uint32_t rank = 0; rank < group->spec->member_count; rank++) {
                const struct bt_plan_member *member =
                        &hub->plan.members[group->spec->member_first + rank];

                for (uint32_t i = 0; i < (member->count ? member->count : 1); i++, idx++) {
                        group->states[idx].rank = rank;
                        if (member->count) {
                                take_child(group, idx, &hub->plan.children[member->first + i]);
                                continue;
                        }
                        group->members[idx].inner = &hub->groups->groups[member->first];
                        group->members[idx].inner->around = group;
                        group->members[idx].inner->around_idx = idx;
                        group->states[idx].restart =
                                (enum bt_group_restart)hub->plan.groups[member->first].restart;
                        group->states[idx].significant =
                                hub->plan.groups[member->first].significant;
                }
        }
}

static int group_open(struct bt_hub *hub, struct bt_hub_group *group,
                      const struct bt_plan_group *spec)
{
        const struct bt_group_config config = {.strategy = (enum bt_group_strategy)spec->strategy,
                                               .auto_shutdown =
                                                       (enum bt_group_auto)spec->auto_shutdown,
                                               .max_restarts = spec->max_restarts,
                                               .max_seconds_ns = spec->max_seconds_ns};
        uint32_t count = members_of(hub, spec);

        group->hub = hub;
        group->spec = spec;
        group->name = bt_plan_string(&hub->plan, spec->name);
        group->states = calloc(count + (size_t)1, sizeof(*group->states));
        group->members = calloc(count + (size_t)1, sizeof(*group->members));
        if (!group->states || !group->members)
                return -ENOMEM;
        bt_group_init(&group->machine, &config, group->states, count);
        take_members(group);
        return 0;
}

/* A tree, written out: each group's members where it stands itself. */
static void ends_of(struct bt_hub_groups *groups, struct bt_hub_group *outer, uint32_t tree)
{
        struct {
                struct bt_hub_group *group;
                uint32_t idx;
        } path[BT_PLAN_GROUP_DEPTH_MAX + 1];
        uint32_t depth = 0, rank = 0;

        path[0].group = outer;
        path[0].idx = 0;
        for (;;) {
                struct bt_hub_group *group = path[depth].group;
                uint32_t idx = path[depth].idx++;

                if (idx == group->machine.count) {
                        rank++;
                        if (!depth--)
                                return;
                        continue;
                }
                if (idx && group->states[idx].rank != group->states[idx - 1].rank)
                        rank++;
                if (group->members[idx].inner) {
                        path[++depth].group = group->members[idx].inner;
                        path[depth].idx = 0;
                        bt_assert(depth <= BT_PLAN_GROUP_DEPTH_MAX);
                } else if (group->members[idx].child) {
                        groups->ends[groups->end_count++] = (struct bt_hub_group_end){
                                .child = group->members[idx].child, .tree = tree, .rank = rank};
                }
        }
}

int bt_groups_open(struct bt_hub *hub)
{
        uint32_t count = hub->plan.plan->group_count, ends = 0;
        struct bt_hub_groups *groups;
        int r = 0;

        if (!count)
                return 0;
        groups = hub->groups = calloc(1, sizeof(*groups));
        if (groups)
                groups->groups = calloc(count, sizeof(*groups->groups));
        if (!groups || !groups->groups)
                return -ENOMEM;
        groups->count = count;
        for (uint32_t i = 0; !r && i < count; i++) {
                r = group_open(hub, &groups->groups[i], &hub->plan.groups[i]);
                ends += groups->groups[i].machine.count;
        }
        groups->ends = r ? NULL : calloc(ends + (size_t)1, sizeof(*groups->ends));
        if (!groups->ends)
                return -ENOMEM;
        for (uint32_t i = 0; i < count; i++)
                if (!groups->groups[i].around)
                        ends_of(groups, &groups->groups[i], i);
        return 0;
}

/* Processes of a hub that was killed serve on, whatever the order would be. True: there are some. */
static bool find_members(struct bt_hub_group *group)
{
        bool any = false;

        for (uint32_t i = 0; i < group->machine.count; i++) {
                const struct bt_child *child = group->members[i].child;

                if (child && (child->current || child->migration ||
                              (child->adopted && child->phase == BT_PHASE_STARTING))) {
                        bt_group_found(&group->machine, i, child->phase == BT_PHASE_RUNNING);
                        group->members[i].begun = true;
                        any = true;
                }
                any = any || group->states[i].state == BT_GROUP_M_STARTING;
        }
        return any;
}

void bt_groups_begin(struct bt_hub *hub)
{
        struct bt_hub_groups *groups = hub->groups;

        if (!groups)
                return;
        groups->begun = true;
        for (uint32_t i = groups->count; i--;) {
                struct bt_hub_group *group = &groups->groups[i];

                if (find_members(group) && group->around)
                        bt_group_found(&group->around->machine, group->around_idx, false);
        }
        for (uint32_t i = 0; i < groups->count; i++)
                if (!groups->groups[i].around)
                        bt_groups_start(&groups->groups[i]);
}

/* ---- the end of the hub ---- */

void bt_groups_stop_all(struct bt_hub *hub)
{
        for (uint32_t i = 0; hub->groups && i < hub->groups->count; i++)
                bt_loop_timer_disarm(&hub->groups->groups[i].turn);
        for (uint32_t i = 0; hub->groups && i < hub->groups->end_count; i++)
                if (hub->groups->ends[i].child)
                        bt_pause_stop(hub->groups->ends[i].child);
}

static bool end_waits(const struct bt_hub_group_end *end)
{
        return end->child && !bt_list_empty(&end->child->incs);
}

/*
 * Those of a tree that are last, when those behind them are gone; all of one rank at once. @at: behind the last one. Returns
 * where the tree begins.
 */
static uint32_t end_tree(struct bt_hub *hub, uint32_t at)
{
        struct bt_hub_group_end *ends = hub->groups->ends;
        uint32_t tree = ends[at - 1].tree, rank = ends[at - 1].rank;
        bool waits = false;

        for (; at && ends[at - 1].tree == tree; at--) {
                struct bt_hub_group_end *end = &ends[at - 1];

                if (waits && (end->told || end->rank != rank))
                        break;
                rank = end->rank;
                if (end->child && !end->told)
                        (void)bt_child_end(end->child, bt_hub_patience(hub, end->child));
                end->told = true;
                waits = waits || end_waits(end);
        }
        while (at && ends[at - 1].tree == tree)
                at--;
        return at;
}

void bt_groups_end(struct bt_hub *hub)
{
        struct bt_hub_groups *groups = hub->groups;

        if (!groups)
                return;
        while (groups->end_count && groups->ends[groups->end_count - 1].told && !end_waits(&groups->ends[groups->end_count - 1]))
                groups->end_count--;
        for (uint32_t at = groups->end_count; at;)
                at = end_tree(hub, at);
}

void bt_groups_close(struct bt_hub *hub)
{
        struct bt_hub_groups *groups = hub->groups;

        for (uint32_t i = 0; groups && i < groups->count; i++) {
                if (groups->groups[i].hub && hub->loop)
                        bt_loop_timer_disarm(&groups->groups[i].turn);
                free(groups->groups[i].states);
                free(groups->groups[i].members);
        }
        if (groups) {
                free(groups->groups);
                free(groups->ends);
        }
        free(groups);
        hub->groups = NULL;
}
