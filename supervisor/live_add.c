/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Children are added: their ids are taken at once, so that no second request can want the same; they are noted in the store; then they are started, so
 * many at a time, each with a deadline of its own.
 *
 * One that does not come up leaves again by the road of those that are removed (leave.c): its process, its note and its id go, and the result is what
 * `baton child list` shows.
 */
#include "supervisor/live.h"
#include "supervisor/groups.h"
#include "supervisor/redistribute.h"
#include "supervisor/replicas.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/clock.h"

/* To begin with. */
struct bt_hub_node *bt_live_node(const struct bt_hub *hub)
{
        bt_list_foreach (it, &hub->nodes) {
                struct bt_hub_node *node = bt_list_entry(it, struct bt_hub_node, order);

                if (node->state == BT_HUB_NODE_ACTIVE)
                        return node;
        }
        return bt_list_entry(hub->nodes.next, struct bt_hub_node, order);
}

/* ---- sockets ---- */

int bt_live_sockets(const struct bt_hub *hub, struct bt_plan_ref *plan, char *ret_why, size_t why_bytes)
{
        for (uint32_t i = 0; i < plan->view.plan->socket_count; i++) {
                const char *name = bt_plan_string(&plan->view, plan->view.sockets[i].name);
                uint32_t k = 0;

                while (k < hub->plan.plan->socket_count && strcmp(name, bt_plan_string(&hub->plan, hub->plan.sockets[k].name)) != 0)
                        k++;
                if (k == hub->plan.plan->socket_count) {
                        (void)snprintf(ret_why, why_bytes,
                                       "the hub has no socket of the name '%s': sockets are opened at its start, from its configuration", name);
                        return -EINVAL;
                }
                plan->sockets[i] = k;
        }
        return 0;
}

/* ---- taking the ids ---- */

static void item_clash(struct bt_live_item *item, const struct bt_child *there)
{
        if (there->leaving)
                bt_live_say(item, BT_CTL_ALREADY_STARTED, "it is being removed: add it again when that is over");
        else if (there->plan == there->hub->plan_ref)
                bt_live_say(item, BT_CTL_ALREADY_STARTED, "a child of this id is in the configuration of the hub: change it there, or choose another id");
        else
                bt_live_say(item, BT_CTL_ALREADY_STARTED, "a child of this id was added before: 'baton child remove' it first, or choose another id");
}

/* Who has this id, perhaps as an instance of it; NULL: nobody. */
static const struct bt_child *taken_by(const struct bt_hub *hub, const char *id)
{
        const struct bt_replicas *replicas = bt_replicas_find(hub, id);

        if (replicas && !bt_list_empty(&replicas->instances))
                return bt_list_entry(replicas->instances.next, struct bt_child, instance);
        return bt_hub_child_find(hub, id);
}

static void item_take(struct bt_live_item *item, struct bt_plan_ref *plan, uint32_t idx)
{
        const struct bt_plan_child *spec = &plan->view.children[idx];
        const char *id = bt_plan_string(&plan->view, spec->id);
        struct bt_hub *hub = item->live->hub;
        const struct bt_child *there = taken_by(hub, id);
        int r = 0;

        bt_live_name(item, id);
        item->plan_idx = idx;
        if (there)
                item_clash(item, there);
        else if (bt_groups_find(hub, bt_plan_string(&plan->view, spec->pool)))
                bt_live_say(item, BT_CTL_CHILD_FAILED, "a group of the hub has this name: choose another id");
        else
                r = bt_hub_child_add(hub, plan, idx, bt_live_node(hub), &item->child);
        if (r)
                bt_live_say(item, BT_CTL_CHILD_FAILED, "cannot run %.100s: %s", bt_plan_string(&plan->view, spec->exec), strerrordesc_np(-r));
        if (!item->child) {
                bt_live_end(item);
                return;
        }
        bt_list_unlink(&item->child->to_load); /* its turn is the request's */
        item->child->item = item;
}

/* So many items an entry of the file has: one, or one for each instance. */
static uint32_t items_count(struct bt_hub *hub, const struct bt_plan_ref *plan, uint32_t idx)
{
        struct bt_hub_node *nodes[BT_PLAN_NODES_MAX];
        uint32_t count = plan->view.children[idx].replicas ? bt_replicas_nodes(hub, plan, idx, nodes) : 1;

        return count ? count : 1;
}

static void instance_take(struct bt_live_item *item, struct bt_replicas *replicas, const struct bt_child *there, const char *id,
                          struct bt_hub_node *node)
{
        char name[BATON_ID_BYTES_MAX + BATON_NAME_BYTES_MAX + 2];
        struct bt_child *child = NULL;
        int r = replicas ? bt_replicas_add(replicas, node, &child) : 0;

        (void)snprintf(name, sizeof(name), "%s%s%s", id, node ? "@" : "", node ? node->name : "");
        bt_live_name(item, name);
        if (there)
                item_clash(item, there);
        else if (!replicas)
                bt_live_say(item, BT_CTL_CHILD_FAILED, node ? "there is a child of this id" : "no node takes an instance of it");
        else if (r)
                bt_live_say(item, BT_CTL_CHILD_FAILED, "no instance on node %s: %s", node->name, strerrordesc_np(-r));
        if (!child) {
                bt_live_end(item);
                return;
        }
        bt_list_unlink(&child->to_load);
        item->child = child;
        child->item = item;
}

/* A replicated child: all of its instances, each with its own item. */
static void items_take(struct bt_live_item *items, uint32_t count, struct bt_plan_ref *plan, uint32_t idx)
{
        const char *id = bt_plan_string(&plan->view, plan->view.children[idx].id);
        struct bt_hub *hub = items[0].live->hub;
        struct bt_hub_node *nodes[BT_PLAN_NODES_MAX] = {NULL};
        const struct bt_child *there = taken_by(hub, id);
        struct bt_replicas *replicas = NULL;
        uint32_t places = bt_replicas_nodes(hub, plan, idx, nodes);

        if (!there && places && !bt_replicas_new(&replicas, hub, plan, idx))
                bt_replicas_placed(replicas, places);
        for (uint32_t i = 0; i < count; i++) {
                items[i].plan_idx = idx;
                instance_take(&items[i], replicas, there, id, nodes[i]);
        }
        if (replicas && bt_list_empty(&replicas->instances))
                bt_replicas_drop(replicas);
}

/* The plan is valid by itself; together with the defaults of a node it may not be. */
static bool refused_on_a_node(const struct bt_hub *hub, const struct bt_plan_view *plan)
{
        bt_list_foreach (it, &hub->nodes) {
                const struct bt_hub_node *node = bt_list_entry(it, struct bt_hub_node, order);

                for (uint32_t i = 0; node->spec->defaults.handover && i < plan->plan->child_count; i++) {
                        if (bt_plan_refused_on(&plan->children[i], node->spec))
                                return true;
                }
        }
        return false;
}

int bt_live_add(struct bt_hub *hub, struct bt_plan_ref *plan, uint64_t deadline_ns, uint32_t flags, struct bt_live **ret_live, char *ret_why,
                size_t why_bytes)
{
        uint32_t count = 0, at = 0;
        struct bt_live *live;
        int r = bt_live_sockets(hub, plan, ret_why, why_bytes);

        if (r)
                return r;
        if (refused_on_a_node(hub, &plan->view)) {
                (void)snprintf(ret_why, why_bytes, "%s: a node's defaults say handover", BT_PLAN_REFUSED);
                return -EINVAL;
        }
        for (uint32_t i = 0; i < plan->view.plan->child_count; i++)
                count += items_count(hub, plan, i);
        if (hub->children.count + count > BT_PLAN_CHILDREN_MAX) {
                (void)snprintf(ret_why, why_bytes, "%u children and %u more are more than a hub can have (%d)", hub->children.count, count,
                               BT_PLAN_CHILDREN_MAX);
                return -ENOSPC;
        }
        live = bt_live_new(hub, count);
        if (!live) {
                (void)snprintf(ret_why, why_bytes, "no memory, or %d requests are under way: try again when one is over", BT_LIVE_UNDER_WAY_MAX);
                return -ENOMEM;
        }
        live->plan = bt_plan_ref(plan);
        plan->number = live->number;
        live->deadline_ns = deadline_ns;
        live->rollback = flags & BT_CTL_LIVE_ROLLBACK;
        for (uint32_t i = 0; i < plan->view.plan->child_count; i++) {
                uint32_t more = items_count(hub, plan, i);

                if (plan->view.children[i].replicas)
                        items_take(&live->items[at], more, plan, i);
                else
                        item_take(&live->items[at], plan, i);
                at += more;
        }
        (void)bt_redistribution_place_new(hub); /* what cannot be placed runs where it was added, and that was said */
        r = live->left ? bt_live_note(live) : 0;
        if (r)
                bt_live_noted(live, r);
        bt_live_begin(live);
        *ret_live = live;
        return 0;
}

/* The notes are on the disk, and what they name will be started, by this hub or the next. */
void bt_live_noted(struct bt_live *live, int result)
{
        live->noting = false;
        BT_POINT("live.noted");
        if (live->over_ns)
                return;
        for (uint32_t i = 0; result && i < live->count; i++) {
                struct bt_live_item *item = &live->items[i];

                if (item->step != BT_LIVE_WAITING)
                        continue;
                item->begun = true;
                live->under_way++;
                bt_live_say(item, BT_CTL_CHILD_FAILED, "it could not be noted in the store: %s",
                            result < 0 ? strerrordesc_np(-result) : "the disk is full");
                bt_leave_begin(item, BT_CTL_CHILD_FAILED);
        }
        bt_live_soon(live);
}

/* ---- starting ---- */

static void on_deadline(struct bt_loop_timer *timer)
{
        struct bt_live_item *item = bt_container_of(timer, struct bt_live_item, timer);
        struct bt_child *child = item->child;
        uint64_t limit = item->live->deadline_ns ? item->live->deadline_ns : child->spec->child_migration_timeout_ns;

        child->limits_hit++;
        bt_live_say(item, BT_CTL_CHILD_FAILED, "it did not run within %llu ms%s%s", (unsigned long long)(limit / BT_NS_PER_MS),
                    *child->note ? ": " : "", child->note);
        bt_live_ready(item);
}

/* Its group, if that is down; else it, if it is. What restarts it already goes on with that, at once where that is up to the child alone. */
static void start_again(struct bt_child *child)
{
        if (bt_groups_release(child) || child->current || child->migration || child->loading || child->importing)
                return;
        bt_loop_timer_disarm(&child->restart_timer);
        child->backoff_ns = 0;
        child->restart_count = 0; /* somebody looked at it: it has all its attempts again */
        bt_child_resume(child);
}

static bool live_is_add(const struct bt_live *live)
{
        return live->verb == BT_LIVE_ADD;
}

void bt_live_start(struct bt_live_item *item)
{
        struct bt_child *child = item->child;
        uint64_t limit = item->live->deadline_ns ? item->live->deadline_ns : child->spec->child_migration_timeout_ns;

        item->step = BT_LIVE_STARTING;
        (void)bt_loop_timer_arm(item->live->hub->loop, &item->timer, bt_ns_add(bt_now_ns(), limit), on_deadline);
        if (live_is_add(item->live))
                bt_child_load(child); /* its state of an earlier life, if there is one; then it starts */
        else
                start_again(child);
}

/* It runs, or has failed. */
void bt_live_start_turn(struct bt_live_item *item)
{
        struct bt_live *live = item->live;

        if (!live_is_add(live)) {
                bt_live_end(item);
                return;
        }
        if (item->result.what != BT_CTL_STARTED) {
                bt_leave_begin(item, BT_CTL_CHILD_FAILED);
                return;
        }
        if (!live->rollback) {
                bt_live_end(item);
                return;
        }
        bt_loop_timer_disarm(&item->timer);
        item->step = BT_LIVE_UP;
        item->begun = false;
        live->under_way--;
        bt_live_soon(live);
}
