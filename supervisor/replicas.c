/* SPDX-License-Identifier: Apache-2.0 */
/* Instances of replicated children, and the nodes they are on: see the header. */
#include "supervisor/replicas.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "supervisor/events.h"
#include "supervisor/hub.h"
#include "supervisor/live.h"
#include "supervisor/node_ask.h"
#include "supervisor/redistribute.h"

/* ---- the record ---- */

struct bt_replicas *bt_replicas_find(const struct bt_hub *hub, const char *id)
{
        bt_list_foreach (it, &hub->replicated) {
                struct bt_replicas *replicas = bt_list_entry(it, struct bt_replicas, node);

                if (!strcmp(replicas->id, id))
                        return replicas;
        }
        return NULL;
}

int bt_replicas_new(struct bt_replicas **ret_replicas, struct bt_hub *hub, struct bt_plan_ref *plan, uint32_t idx)
{
        const struct bt_plan_child *spec = &plan->view.children[idx];
        const char *id = bt_plan_string(&plan->view, spec->id);
        struct bt_replicas *replicas;

        if (bt_replicas_find(hub, id) || bt_hub_child_find(hub, id))
                return -EEXIST;
        replicas = calloc(1, sizeof(*replicas));
        if (!replicas)
                return -ENOMEM;
        replicas->hub = hub;
        replicas->plan = bt_plan_ref(plan);
        replicas->plan_idx = idx;
        replicas->spec = spec;
        replicas->id = id;
        bt_list_init(&replicas->instances);
        bt_list_init(&replicas->node);
        bt_list_push(&hub->replicated, &replicas->node);
        *ret_replicas = replicas;
        return 0;
}

void bt_replicas_drop(struct bt_replicas *replicas)
{
        bt_assert(bt_list_empty(&replicas->instances));
        bt_loop_timer_disarm(&replicas->timer);
        bt_list_unlink(&replicas->node);
        (void)bt_plan_unref(replicas->plan);
        free(replicas);
}

bool bt_replicas_refuse(const struct bt_hub *hub, const struct bt_plan_node *node)
{
        bt_list_foreach (it, &hub->replicated) {
                if (bt_plan_refused_on(bt_list_entry(it, struct bt_replicas, node)->spec, node))
                        return true;
        }
        return false;
}

void bt_replicas_free_all(struct bt_hub *hub)
{
        bt_list_foreach_safe (it, &hub->replicated)
                bt_replicas_drop(bt_list_entry(it, struct bt_replicas, node));
}

/* ---- where ---- */

/* What placement is asked about one child. */
struct question {
        struct bt_placement_node nodes[BT_PLAN_NODES_MAX];
        struct bt_hub_node *hub_nodes[BT_PLAN_NODES_MAX];
        struct bt_placement_child child;
        struct bt_placement_entry *entries;
        struct bt_placement placement;
};

static void ask_nodes(struct question *q, const struct bt_hub *hub)
{
        uint32_t n = 0;

        bt_list_foreach (it, &hub->nodes) {
                struct bt_hub_node *node = bt_list_entry(it, struct bt_hub_node, order);

                if (n == BT_PLAN_NODES_MAX)
                        break;
                q->hub_nodes[n] = node;
                q->nodes[n++] = (struct bt_placement_node){.name = node->name, .weight = node->spec->weight, .available = bt_hub_node_takes(node)};
        }
        q->placement.nodes = q->nodes;
        q->placement.node_count = n;
}

/* The wishes for this child, on nodes that there are: what the map says of others is not asked about. */
static int ask_wishes(struct question *q, const struct bt_hub *hub)
{
        q->entries = calloc(hub->plan.plan->wish_count + (size_t)1, sizeof(*q->entries));
        if (!q->entries)
                return -ENOMEM;
        for (uint32_t i = 0; i < hub->plan.plan->wish_count; i++) {
                const char *key = bt_plan_string(&hub->plan, hub->plan.wishes[i].key);
                const char *node = bt_plan_string(&hub->plan, hub->plan.wishes[i].node);

                if ((!strcmp(key, q->child.id) || !strcmp(key, q->child.pool)) && bt_hub_node_find(hub, node))
                        q->entries[q->placement.entry_count++] = (struct bt_placement_entry){.key = key, .node = node};
        }
        q->placement.entries = q->entries;
        return 0;
}

static bool guided(const struct bt_hub *hub, const struct bt_plan_child *spec)
{
        return (spec->distribution ? spec->distribution : hub->plan.plan->distribution) == BT_DISTRIBUTION_GUIDED;
}

uint32_t bt_replicas_nodes(struct bt_hub *hub, const struct bt_plan_ref *plan, uint32_t idx, struct bt_hub_node **ret_nodes)
{
        const struct bt_plan_child *spec = &plan->view.children[idx];
        const struct bt_placement_ops *ops = guided(hub, spec) ? &bt_placement_guided : &bt_placement_consistent_hash;
        struct question q = {.child = {.id = bt_plan_string(&plan->view, spec->id),
                                       .pool = bt_plan_string(&plan->view, spec->pool),
                                       .current = BT_PLACEMENT_NOWHERE}};
        uint32_t answer[BT_PLAN_NODES_MAX], count = 0;

        q.placement.children = &q.child;
        q.placement.child_count = 1;
        ask_nodes(&q, hub);
        if (ask_wishes(&q, hub) || bt_place_replicas(ops, &q.placement, spec->replicas, answer, &count))
                count = 0;
        free(q.entries);
        for (uint32_t i = 0; i < count; i++)
                ret_nodes[i] = q.hub_nodes[answer[i]];
        return count;
}

/* ---- one instance ---- */

int bt_replicas_add(struct bt_replicas *replicas, struct bt_hub_node *node, struct bt_child **ret_child)
{
        char id[BATON_ID_BYTES_MAX + BATON_NAME_BYTES_MAX + 2];

        if (snprintf(id, sizeof(id), "%s@%s", replicas->id, node->name) > BATON_ID_BYTES_MAX)
                return -ENAMETOOLONG;
        return bt_hub_instance_add(replicas, id, node, ret_child);
}

int bt_replicas_binary(struct bt_child *child)
{
        const struct bt_replicas *replicas = child->replicas;

        if (!replicas || bt_list_empty(&replicas->instances))
                return 1;
        child->own = bt_binary_ref(bt_list_entry(replicas->instances.next, struct bt_child, instance)->own);
        return 0;
}

static bool is_down(const struct bt_child *child)
{
        return child->seat.node->state == BT_HUB_NODE_DOWN;
}

/* Whoever waits for the node hears of it as of a move. */
static void tell_node(struct bt_child *child, struct bt_hub_node *from, struct bt_hub_node *to, bool well)
{
        struct bt_move move = {.child = child, .from = from, .to = to};

        bt_node_asks_event(&move, to ? "started" : "ended", well ? BT_CTL_OK : BT_CTL_FAILED, child->current ? child->current->number : 0, true,
                           well ? "" : child->note);
}

static void joined(struct bt_child *child, bool well)
{
        struct bt_hub_node *node = child->seat.node;

        if (!child->joining)
                return;
        child->joining = false;
        node->moves_to--;
        tell_node(child, NULL, node, well);
}

/* ---- what is too many ---- */

static bool anybody_joins(const struct bt_replicas *replicas, bool *ret_failed)
{
        bool joins = false;

        bt_list_foreach (it, &replicas->instances) {
                const struct bt_child *child = bt_list_entry(it, struct bt_child, instance);

                joins |= child->joining;
                *ret_failed |= !child->unwanted && !child->joining && child->phase != BT_PHASE_RUNNING && child->phase != BT_PHASE_MIGRATING;
        }
        return joins;
}

static void stays(struct bt_child *child)
{
        child->unwanted = false;
        child->seat.node->moves_from--;
}

/* True when @child is to be ended now. */
static bool is_over(struct bt_child *child, bool joins, bool failed)
{
        if (!child->unwanted || child->leaving || (joins && !is_down(child)))
                return false;
        if (failed && bt_hub_node_takes(child->seat.node)) {
                child->replicas->surplus = true; /* better than one that does not run */
                stays(child);
                return false;
        }
        return true;
}

/* Ends what is unwanted, once those that take its place had their chance. */
static void release(struct bt_replicas *replicas)
{
        struct bt_child *over[BT_PLAN_NODES_MAX];
        bool failed = false, joins = anybody_joins(replicas, &failed);
        uint32_t count = 0;

        replicas->surplus = false;
        bt_list_foreach (it, &replicas->instances) {
                struct bt_child *child = bt_list_entry(it, struct bt_child, instance);

                if (count < BT_PLAN_NODES_MAX && is_over(child, joins, failed))
                        over[count++] = child;
        }
        if (count && bt_live_remove_children(replicas->hub, over, count))
                bt_redistribution_again(replicas->hub);
}

/* ---- plans ---- */

static bool among(const struct bt_hub_node *node, struct bt_hub_node *const *nodes, uint32_t count)
{
        for (uint32_t i = 0; i < count; i++) {
                if (nodes[i] == node)
                        return true;
        }
        return false;
}

static struct bt_child *instance_on(const struct bt_replicas *replicas, const struct bt_hub_node *node)
{
        bt_list_foreach (it, &replicas->instances) {
                struct bt_child *child = bt_list_entry(it, struct bt_child, instance);

                if (child->seat.node == node)
                        return child;
        }
        return NULL;
}

static void add_and_start(struct bt_replicas *replicas, struct bt_hub_node *node)
{
        struct bt_child *child;
        int r = bt_replicas_add(replicas, node, &child);

        if (r) {
                bt_hub_say(replicas->hub, "%s: no instance on node %s: %s", replicas->id, node->name, strerrordesc_np(-r));
                return;
        }
        bt_list_unlink(&child->to_load);
        child->joining = true;
        node->moves_to++;
        bt_child_load(child);
}

static void mark_unwanted(struct bt_replicas *replicas, struct bt_hub_node *const *nodes, uint32_t count)
{
        bt_list_foreach (it, &replicas->instances) {
                struct bt_child *child = bt_list_entry(it, struct bt_child, instance);
                bool wanted = among(child->seat.node, nodes, count);

                if (wanted && child->unwanted && !child->leaving)
                        stays(child);
                if (!wanted && !child->unwanted && !child->leaving) {
                        child->unwanted = true;
                        child->seat.node->moves_from++;
                }
        }
}

void bt_replicas_placed(struct bt_replicas *replicas, uint32_t places)
{
        replicas->placed = true;
        replicas->places = places;
        replicas->due = replicas->spec->replicas == BT_PLAN_REPLICAS_ALL ? places : replicas->spec->replicas;
        if (!places)
                bt_hub_say(replicas->hub, "%s: no node takes an instance of it", replicas->id);
}

/* An instance that is still ending on a node where one is wanted again is seen when it has: bt_replicas_left(). */
static void plan_one(struct bt_replicas *replicas)
{
        struct bt_hub_node *nodes[BT_PLAN_NODES_MAX];
        uint32_t count = bt_replicas_nodes(replicas->hub, replicas->plan, replicas->plan_idx, nodes);

        bt_replicas_placed(replicas, count);
        mark_unwanted(replicas, nodes, count);
        for (uint32_t i = 0; i < count; i++) {
                if (!instance_on(replicas, nodes[i]))
                        add_and_start(replicas, nodes[i]);
        }
        release(replicas);
        bt_list_foreach (it, &replicas->instances)
                bt_child_publish(bt_list_entry(it, struct bt_child, instance));
}

void bt_replicas_plan(struct bt_hub *hub)
{
        bt_list_foreach (it, &hub->replicated) {
                struct bt_replicas *replicas = bt_list_entry(it, struct bt_replicas, node);

                if (!replicas->leaving)
                        plan_one(replicas);
        }
}

static void place_first(struct bt_replicas *replicas)
{
        struct bt_hub_node *nodes[BT_PLAN_NODES_MAX];
        uint32_t count = bt_replicas_nodes(replicas->hub, replicas->plan, replicas->plan_idx, nodes);
        struct bt_child *child;

        bt_replicas_placed(replicas, count);
        for (uint32_t i = 0; i < count; i++) {
                int r = bt_replicas_add(replicas, nodes[i], &child);

                if (r)
                        bt_hub_say(replicas->hub, "%s: no instance on node %s: %s", replicas->id, nodes[i]->name, strerrordesc_np(-r));
        }
}

void bt_replicas_place_new(struct bt_hub *hub)
{
        bt_list_foreach (it, &hub->replicated) {
                struct bt_replicas *replicas = bt_list_entry(it, struct bt_replicas, node);

                if (!replicas->placed)
                        place_first(replicas);
        }
}

/* ---- what happens to an instance ---- */

void bt_replicas_started(struct bt_child *child, bool runs)
{
        struct bt_replicas *replicas = child->replicas;

        if (!replicas)
                return;
        if (runs)
                bt_mode_elect(replicas);
        if (replicas->hub->stopping)
                return;
        if (child->joining) {
                joined(child, runs);
                release(replicas);
                bt_node_asks_check(replicas->hub);
        } else if (runs && replicas->surplus) {
                replicas->surplus = false;
                bt_redistribution_change(replicas->hub);
        }
}

/* The last one takes the record along, unless only the nodes were to blame. */
bool bt_replicas_leave(struct bt_child *child)
{
        struct bt_replicas *replicas = child->replicas;
        bool by_plan = child->unwanted;

        if (!replicas)
                return false;
        joined(child, false);
        if (child->unwanted) {
                child->seat.node->moves_from--;
                tell_node(child, child->seat.node, NULL, true);
        }
        bt_list_unlink(&child->instance);
        child->replicas = NULL;
        by_plan = by_plan && !replicas->leaving;
        if (by_plan || !bt_list_empty(&replicas->instances))
                return by_plan;
        bt_live_unnote(replicas);
        bt_replicas_drop(replicas);
        return false;
}

/* Its place is free by now: its node may be empty, or may be wanted again. */
void bt_replicas_left(struct bt_hub *hub, bool by_plan)
{
        if (hub->stopping)
                return;
        if (by_plan)
                bt_redistribution_change(hub);
        bt_node_asks_check(hub);
}

const char *bt_replicas_note(const struct bt_child *child, char *room, size_t bytes)
{
        const struct bt_replicas *replicas = child->replicas;

        room[0] = '\0';
        if (replicas && replicas->places < replicas->due)
                (void)snprintf(room, bytes, "%u of %u instances: there are no more nodes", replicas->places, replicas->due);
        return room;
}
