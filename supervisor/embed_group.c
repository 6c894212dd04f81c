/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Groups of a hub inside a program: into the plan, as a configuration's are (docs/groups.md), and what they are doing.
 *
 * The members of a group were added before it. So what a call gets wrong is said by that call, and no group is in itself: there is nothing to look for. In
 * a plan it is the other way round, a group comes before those in it: seal writes them level by level.
 */
#include "supervisor/embed.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/fd.h"
#include "supervisor/groups.h"

_Static_assert((int)BATON_HUB_ONE_FOR_ONE == (int)BT_GROUP_ONE_FOR_ONE &&
                       (int)BATON_HUB_ONE_FOR_ALL == (int)BT_GROUP_ONE_FOR_ALL &&
                       (int)BATON_HUB_REST_FOR_ONE == (int)BT_GROUP_REST_FOR_ONE &&
                       (int)BATON_HUB_AUTO_NEVER == (int)BT_GROUP_AUTO_NEVER &&
                       (int)BATON_HUB_AUTO_ANY == (int)BT_GROUP_AUTO_ANY &&
                       (int)BATON_HUB_AUTO_ALL == (int)BT_GROUP_AUTO_ALL,
               "handed on as they are");

void baton_hub_group_init(struct baton_hub_group *group, size_t bytes)
{
        const struct baton_hub_group defaults = {
                .size = bytes, .max_restarts = 3, .max_seconds_ns = 5 * BT_NS_PER_S};

        memset(group, 0, bytes);
        memcpy(group, &defaults, bytes < sizeof(defaults) ? bytes : sizeof(defaults));
}

/* ---- into a plan ---- */

static uint32_t group_find(const struct bt_planner *p, const char *name)
{
        uint32_t i = 0;

        while (i < p->group_count && strcmp(p->strings + p->groups[i].name, name) != 0)
                i++;
        return i;
}

bool bt_planner_has_group(const struct bt_planner *p, const char *name)
{
        return group_find(p, name) < p->group_count;
}

/* All children of that id or pool: they were added together. False: there are none. */
static bool children_find(const struct bt_planner *p, const char *name,
                          struct bt_plan_member *ret_member)
{
        struct bt_plan_member member = {0};

        while (member.first < p->child_count &&
               strcmp(p->strings + p->children[member.first].pool, name) != 0)
                member.first++;
        while (member.first + member.count < p->child_count &&
               !strcmp(p->strings + p->children[member.first + member.count].pool, name))
                member.count++;
        *ret_member = member;
        return member.count > 0;
}

/* It is in a group already, be it in this one. */
static bool is_taken(const struct bt_planner *p, uint32_t member_count,
                     const struct bt_plan_member *member)
{
        for (uint32_t i = 0; i < member_count; i++)
                if (p->members[i].first == member->first && !p->members[i].count == !member->count)
                        return true;
        return false;
}

/* How many groups are in each other there, itself included. */
static uint32_t height(const struct bt_planner *p, uint32_t idx)
{
        uint32_t highest = 1;

        for (uint32_t i = 0; i < idx; i++) {
                uint32_t levels = 1, at = i;

                for (; at != BT_PLANNER_OUTERMOST && at != idx; at = p->around[at])
                        levels++;
                highest = at == idx && levels > highest ? levels : highest;
        }
        return highest;
}

/* A significant member of a group that never ends by itself, or one that never does, makes it a word without a meaning. */
static const char *significant_wrong(const struct baton_hub_group *group, uint32_t restart)
{
        if (group->auto_shutdown == BATON_HUB_AUTO_NEVER)
                return "it is significant, and the group has no auto_shutdown";
        return restart == BT_RESTART_PERMANENT
                       ? "it is significant and permanent: it never ends for good"
                       : NULL;
}

/* NULL: it can be a member of @group. */
static const char *child_wrong(const struct baton_hub_group *group,
                               const struct bt_plan_child *child)
{
        if (child->given & (BT_PLAN_OPTION_BIT(max_restarts) | BT_PLAN_OPTION_BIT(max_seconds_ns)))
                return "its restarts are counted in the group: max_restarts and max_seconds_ns "
                       "belong there";
        return child->significant ? significant_wrong(group, child->restart) : NULL;
}

static const char *inner_wrong(const struct bt_planner *p, const struct baton_hub_group *group,
                               uint32_t idx)
{
        const struct bt_plan_group *inner = &p->groups[idx];

        if (inner->ends_hub)
                return "it would end the hub, which is up to the group around it";
        if (height(p, idx) > BT_PLAN_GROUP_DEPTH_MAX)
                return "more than 16 groups would be around a group in it";
        return inner->significant ? significant_wrong(group, inner->restart) : NULL;
}

static const char *group_wrong(const struct baton_hub_group *group)
{
        if (!group->name || !*group->name || strlen(group->name) > BATON_NAME_BYTES_MAX ||
            bt_plan_id_of_instance(group->name))
                return "a group needs a name of 1 to 63 bytes, and not one of an instance";
        if (!group->member_count || !group->members)
                return "a group needs members";
        if ((unsigned)group->strategy >= _BATON_HUB_GROUP_STRATEGY_N ||
            (unsigned)group->auto_shutdown >= _BATON_HUB_AUTO_N ||
            (unsigned)group->restart >= _BATON_HUB_RESTART_N)
                return "its strategy, auto_shutdown or restart is out of range";
        if ((group->max_restarts > BT_PLAN_RESTARTS_MAX &&
             group->max_restarts != BATON_HUB_INFINITE) ||
            !group->max_seconds_ns || group->max_seconds_ns > BT_PLAN_NS_MAX)
                return "its max_restarts is more than 64, or its max_seconds_ns makes no sense";
        return NULL;
}

static int group_reserve(struct bt_planner *p, size_t members)
{
        struct bt_plan_group *groups;
        struct bt_plan_member *all;
        uint32_t *around;

        if (p->group_count == BT_PLAN_GROUPS_MAX || members > BT_PLAN_MEMBERS_MAX - p->member_count)
                return -ENOSPC;
        groups = realloc(p->groups, (p->group_count + 1) * sizeof(*groups));
        if (groups)
                p->groups = groups;
        around = realloc(p->around, (p->group_count + 1) * sizeof(*around));
        if (around)
                p->around = around;
        all = realloc(p->members, (p->member_count + members) * sizeof(*all));
        if (all)
                p->members = all;
        return groups && around && all ? 0 : -ENOMEM;
}

/* Those of @group behind the members that there are, which are not counted yet: an error leaves no trace. */
static int put_members(struct bt_planner *p, const struct baton_hub_group *group, char *error,
                       size_t error_bytes)
{
        for (uint32_t i = 0; i < group->member_count; i++) {
                const char *name = group->members[i] ? group->members[i] : "";
                struct bt_plan_member *member = &p->members[p->member_count + i];
                const char *wrong;

                if (!children_find(p, name, member))
                        *member = (struct bt_plan_member){.first = group_find(p, name)};
                if (!member->count && member->first == p->group_count)
                        wrong = "neither a child nor a group of that name was added before";
                else if (is_taken(p, p->member_count + i, member))
                        wrong = "it is in a group already";
                else
                        wrong = member->count ? child_wrong(group, &p->children[member->first])
                                              : inner_wrong(p, group, member->first);
                if (wrong) {
                        (void)snprintf(error, error_bytes, "%s: %s: %s", group->name, name, wrong);
                        return -EINVAL;
                }
        }
        return 0;
}

int bt_planner_add_group(struct bt_planner *p, const struct baton_hub_group *group, char *error,
                         size_t error_bytes)
{
        const char *wrong = group_wrong(group);
        struct bt_plan_member ignored;
        int r;

        if (wrong) {
                (void)snprintf(error, error_bytes, "%s: %s",
                               group->name ? group->name : "(no name)", wrong);
                return -EINVAL;
        }
        if (children_find(p, group->name, &ignored) || bt_planner_has_group(p, group->name))
                return -EEXIST;
        r = group_reserve(p, group->member_count);
        if (!r)
                r = put_members(p, group, error, error_bytes);
        if (r)
                return r;
        p->groups[p->group_count] = (struct bt_plan_group){
                .name = bt_planner_put(p, group->name),
                .strategy = (uint32_t)group->strategy,
                .auto_shutdown = (uint32_t)group->auto_shutdown,
                .max_restarts = group->max_restarts == BATON_HUB_INFINITE
                                        ? UINT32_MAX
                                        : (uint32_t)group->max_restarts,
                .max_seconds_ns = group->max_seconds_ns,
                .restart = (uint32_t)group->restart,
                .significant = group->significant,
                .ends_hub = group->ends_hub,
                .member_first = p->member_count,
                .member_count = (uint32_t)group->member_count,
        };
        for (uint32_t i = 0; i < group->member_count; i++)
                if (!p->members[p->member_count + i].count)
                        p->around[p->members[p->member_count + i].first] = p->group_count;
        p->around[p->group_count++] = BT_PLANNER_OUTERMOST;
        p->member_count += (uint32_t)group->member_count;
        return p->failed ? -ENOMEM : 0;
}

/* So many groups are around it. */
static uint32_t depth(const struct bt_planner *p, uint32_t idx)
{
        uint32_t levels = 0;

        while ((idx = p->around[idx]) != BT_PLANNER_OUTERMOST)
                levels++;
        return levels;
}

static int write_members(const struct bt_planner *p, const uint32_t *places, int fd)
{
        int r = 0;

        for (uint32_t i = 0; !r && i < p->member_count; i++) {
                struct bt_plan_member member = p->members[i];

                if (!member.count)
                        member.first = places[member.first];
                r = bt_write_all(fd, &member, sizeof(member));
        }
        return r;
}

int bt_planner_write_groups(const struct bt_planner *p, int fd)
{
        uint32_t *places = calloc(p->group_count, sizeof(*places));
        uint32_t place = 0;
        int r = places ? 0 : -ENOMEM;

        for (uint32_t level = 0; !r && place < p->group_count; level++) {
                for (uint32_t i = 0; !r && i < p->group_count; i++) {
                        if (depth(p, i) != level)
                                continue;
                        places[i] = place++;
                        r = bt_write_all(fd, &p->groups[i], sizeof(p->groups[i]));
                }
        }
        if (!r)
                r = write_members(p, places, fd);
        free(places);
        return r;
}

int baton_hub_add_group(struct baton_hub *hub, const struct baton_hub_group *group)
{
        if (hub->started || hub->failed)
                return -EBUSY;
        if (!group || group->size < sizeof(*group))
                return -EINVAL;
        return bt_embed_add_result(
                hub, bt_planner_add_group(&hub->planner, group, hub->error, sizeof(hub->error)),
                "group", group->name);
}

/* ---- what they are doing ---- */

int baton_hub_group_look(const struct baton_hub *hub, const char *name,
                         struct baton_hub_group_look *ret_look)
{
        static const char *const states[_BT_GROUP_S_N] = {
                "stopped", "starting", "running", "stopping", "backoff", "failed", "shut"};
        struct baton_hub_group_look look = {0};
        const struct bt_hub_group *group;
        struct bt_group_count count;
        uint32_t left;

        if (!hub->started || !name || !ret_look || ret_look->size < sizeof(look))
                return -EINVAL;
        group = bt_groups_find(&hub->hub, name);
        if (!group)
                return -ENOENT;
        count = bt_group_count(group);
        left = bt_group_left(&group->machine, bt_now_ns());
        look.size = ret_look->size;
        look.state = states[group->machine.state];
        look.specs = count.specs;
        look.active = count.active;
        look.restarts = group->restarts;
        look.restarts_left = left == UINT32_MAX ? BATON_HUB_INFINITE : left;
        look.note = group->note;
        memcpy(ret_look, &look, sizeof(look));
        return 0;
}
