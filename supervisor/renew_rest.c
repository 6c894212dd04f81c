/* SPDX-License-Identifier: Apache-2.0 */
/*
 * When a hub is at rest: everything that it knows is in the tables that are carried over (carry.h), and nothing is half done. What is waited for here ends by
 * deadlines of its own (I7). A hub with much to do is never at rest, and says what it was that it waited for last.
 */
#include "supervisor/renew.h"

#include <stdarg.h>
#include <stdio.h>

#include "supervisor/alter.h"
#include "supervisor/groups.h"
#include "supervisor/hooks.h"
#include "supervisor/live.h"
#include "supervisor/redistribute.h"
#include "supervisor/replicas.h"
#include "supervisor/rolling.h"

struct room {
        char *text;
        size_t bytes;
};

__attribute__((format(printf, 2, 3))) static const char *say(const struct room *room,
                                                             const char *format, ...)
{
        va_list args;

        va_start(args, format);
        (void)vsnprintf(room->text, room->bytes, format, args);
        va_end(args);
        return room->text;
}

/* ---- a child ---- */

static const char *inc_busy(const struct room *room, const struct bt_inc *inc)
{
        const struct bt_child *child = inc->child;

        if (inc->held)
                return say(room, "the spare of %s is being ended", child->id);
        if (inc->start || inc->asked.next != &inc->asked)
                return say(room, "%s is being forked", child->id);
        if (inc->dead || inc->killed || inc->poisoned || (inc->told_to_end && !inc->retires))
                return say(room, "process %d of %s is ending", (int)inc->pid, child->id);
        return NULL;
}

static bool phase_rests(const struct bt_child *child)
{
        switch (child->phase) {
        case BT_PHASE_RUNNING:
                return child->current != NULL;
        case BT_PHASE_BACKOFF:
        case BT_PHASE_FAILED:
        case BT_PHASE_STOPPED:
                return !child->current;
        default:
                return false;
        }
}

static const char *child_busy(const struct room *room, const struct bt_child *child)
{
        if (child->migration)
                return say(room, "a swap of %s is under way", child->id);
        if (child->rolling)
                return say(room, "a rollout of %s is under way", child->pool);
        if (child->move)
                return say(room, "%s is to be moved to another node", child->id);
        if (child->loading || child->importing)
                return say(room, "the store is at work for %s", child->id);
        if (child->leaving || child->pause || child->asked || child->item)
                return say(room, "%s is being stopped or started", child->id);
        if (!phase_rests(child))
                return say(room, "%s is being started", child->id);
        if (!child->current && !bt_list_empty(&child->incs))
                return say(room, "the last process of %s drains", child->id);
        bt_list_foreach (it, &child->incs) {
                const char *why = inc_busy(room, bt_list_entry(it, struct bt_inc, node));

                if (why)
                        return why;
        }
        return NULL;
}

/* ---- what is about several ---- */

static const char *group_busy(const struct room *room, const struct bt_hub_group *group)
{
        const struct bt_group *m = &group->machine;
        bool rests =
                !m->telling && m->state != BT_GROUP_S_STARTING && m->state != BT_GROUP_S_STOPPING;

        for (uint32_t i = 0; rests && i < m->count; i++)
                rests = m->members[i].state != BT_GROUP_M_STARTING &&
                        m->members[i].state != BT_GROUP_M_STOPPING;
        return rests ? NULL
                     : say(room, "members of the group %s are being started or stopped",
                           group->name);
}

static const char *nodes_busy(const struct bt_hub *hub)
{
        const struct bt_redistribution *r = hub->redistribution;

        if (!bt_list_empty(&r->asks) || r->due.heap_idx || !bt_list_empty(&r->planned) ||
            !bt_list_empty(&r->begun))
                return "children are being moved between nodes";
        bt_list_foreach (it, &hub->nodes) {
                const struct bt_hub_node *node = bt_list_entry(it, struct bt_hub_node, order);

                if (node->state == BT_HUB_NODE_DRAINING || node->state == BT_HUB_NODE_LEAVING ||
                    node->death_timer.heap_idx)
                        return "a node is leaving";
        }
        bt_list_foreach (it, &hub->replicated)
                if (bt_list_entry(it, struct bt_replicas, node)->timer.heap_idx)
                        return "another instance of a replicated child becomes active";
        return NULL;
}

static const char *requests_busy(const struct bt_hub *hub)
{
        if (!hub->settled)
                return "the first start of its children is not over";
        if (!bt_list_empty(&hub->requests))
                return "a swap or an upgrade of children is under way";
        if (!bt_list_empty(&hub->rollings))
                return "a rollout is under way";
        bt_list_foreach (it, &hub->lives)
                if (!bt_list_entry(it, struct bt_live, node)->over_ns)
                        return "children are being added, removed, stopped or started";
        if (hub->altering || !bt_list_empty(&hub->alters))
                return "an alter command runs";
        if (bt_hooks_busy(hub))
                return "a command for an event runs";
        if (!bt_list_empty(&hub->state_asks))
                return "the store is being asked for states";
        return bt_hub_control_busy(hub);
}

const char *bt_renewal_busy(const struct bt_hub *hub, char *text, size_t bytes)
{
        const struct room room = {text, bytes};
        const char *why = NULL;

        *text = '\0';
        bt_hub_foreach_child(child, hub)
        {
                why = child_busy(&room, child);
                if (why)
                        return why;
        }
        for (uint32_t i = 0; hub->groups && i < hub->groups->count; i++) {
                why = group_busy(&room, &hub->groups->groups[i]);
                if (why)
                        return why;
        }
        why = nodes_busy(hub);
        return why ? why : requests_busy(hub);
}

const char *bt_renewal_store_busy(const struct bt_hub *hub)
{
        bt_hub_foreach_child(child, hub)
        {
                if (child->store_jobs || child->checkpoints.putting)
                        return "the store is at work";
        }
        return bt_store_idle(hub->store) ? NULL : "the store is at work";
}
