/* SPDX-License-Identifier: Apache-2.0 */
/* Plans: see the header. */
#include "supervisor/redistribute.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/clock.h"
#include "supervisor/embed.h"
#include "supervisor/events.h"
#include "supervisor/node_ask.h"
#include "supervisor/node_load.h"
#include "supervisor/placement/placement.h"
#include "supervisor/replicas.h"

/* ---- where each child belongs ---- */

/* The arguments and the answer of placement, for the children of one strategy. */
struct question {
        struct bt_placement_node *nodes;
        struct bt_hub_node **hub_nodes;
        struct bt_placement_child *children;
        struct bt_child **hub_children;
        struct bt_placement_entry *entries;
        uint32_t *answer;
        struct bt_placement placement;
};

static void question_deinit(struct question *q)
{
        free(q->nodes);
        free((void *)q->hub_nodes);
        free(q->children);
        free((void *)q->hub_children);
        free(q->entries);
        free(q->answer);
}

static bool question_new(struct question *q, const struct bt_hub *hub)
{
        size_t children = hub->children.count + (size_t)1;
        size_t nodes = 1;

        bt_list_foreach (it, &hub->nodes)
                nodes++;
        *q = (struct question){
                .nodes = calloc(nodes, sizeof(*q->nodes)),
                .hub_nodes = calloc(nodes, sizeof(void *)),
                .children = calloc(children, sizeof(*q->children)),
                .hub_children = calloc(children, sizeof(void *)),
                .entries = calloc(hub->plan.plan->wish_count + (size_t)1, sizeof(*q->entries)),
                .answer = calloc(children, sizeof(*q->answer)),
        };
        return q->nodes && q->hub_nodes && q->children && q->hub_children && q->entries &&
               q->answer;
}

static void ask_nodes(struct question *q, const struct bt_hub *hub)
{
        uint32_t n = 0;

        bt_list_foreach (it, &hub->nodes) {
                struct bt_hub_node *node = bt_list_entry(it, struct bt_hub_node, order);

                node->idx = n;
                q->hub_nodes[n] = node;
                q->nodes[n++] = (struct bt_placement_node){.name = node->name,
                                                           .weight = node->spec->weight,
                                                           .available = bt_hub_node_takes(node),
                                                           .load = node->load};
        }
        q->placement.nodes = q->nodes;
        q->placement.node_count = n;
}

/* True when the wish is for somebody: a child, or all of a pool. */
static bool wish_for(struct bt_hub *hub, const char *key, bool takes)
{
        struct bt_child *one = bt_hub_child_find(hub, key);
        bool any = one != NULL;

        if (one)
                one->wished |= takes;
        if (one && strcmp(one->pool, key) != 0)
                return true; /* the id of an instance: no pool has such a name */
        bt_hub_foreach_child(child, hub)
        {
                if (!child->replicas && !strcmp(child->pool, key)) {
                        child->wished |= takes;
                        any = true;
                }
        }
        return any;
}

/* The map is the configuration's, and nodes and children come and go: what is not there now is left out. */
static void ask_wishes(struct question *q, struct bt_hub *hub)
{
        uint32_t n = 0;

        bt_hub_foreach_child(child, hub) child->wished = false;
        for (uint32_t i = 0; i < hub->plan.plan->wish_count; i++) {
                const char *key = bt_plan_string(&hub->plan, hub->plan.wishes[i].key);
                const struct bt_hub_node *node =
                        bt_hub_node_find(hub, bt_plan_string(&hub->plan, hub->plan.wishes[i].node));

                if (node && wish_for(hub, key, bt_hub_node_takes(node)))
                        q->entries[n++] =
                                (struct bt_placement_entry){.key = key, .node = node->name};
        }
        q->placement.entries = q->entries;
        q->placement.entry_count = n;
}

static enum bt_distribution strategy_of(const struct bt_child *child)
{
        uint32_t of_hub = child->hub->plan.plan->distribution;

        if (child->spec->distribution)
                return (enum bt_distribution)child->spec->distribution;
        if (child->hub->embed && child->hub->embed->place)
                return BT_DISTRIBUTION_OWN;
        return of_hub ? (enum bt_distribution)of_hub : BT_DISTRIBUTION_CONSISTENT_HASH;
}

/* Those that were not placed yet are nowhere: their seat is the one they were given to begin with. */
static void ask_children(struct question *q, struct bt_hub *hub, enum bt_distribution strategy)
{
        uint32_t n = 0;

        bt_hub_foreach_child(child, hub)
        {
                if (child->replicas || strategy_of(child) != strategy ||
                    (strategy == BT_DISTRIBUTION_GUIDED && !child->wished))
                        continue; /* without a wish that can be had it stays where it is */
                q->hub_children[n] = child;
                q->children[n++] = (struct bt_placement_child){
                        .id = child->id,
                        .pool = child->pool,
                        .current = child->placed ? child->seat.node->idx : BT_PLACEMENT_NOWHERE};
        }
        q->placement.children = q->children;
        q->placement.child_count = n;
}

static const struct bt_placement_ops *ops_of(const struct bt_hub *hub,
                                             enum bt_distribution strategy)
{
        switch (strategy) {
        case BT_DISTRIBUTION_OWN:
                return &hub->embed->place_ops;
        case BT_DISTRIBUTION_GUIDED:
                return &bt_placement_guided;
        case BT_DISTRIBUTION_LEAST_LOADED:
                return &bt_placement_least_loaded;
        case BT_DISTRIBUTION_ROUND_ROBIN:
                return &bt_placement_round_robin;
        default:
                return &bt_placement_consistent_hash;
        }
}

/* Calls @each for every child with the node it belongs on. 0; -EINVAL with a sentence (then some children were not told), or -ENOMEM. */
static int place_all(struct bt_hub *hub,
                     void (*each)(struct bt_child *child, struct bt_hub_node *node, bool again),
                     bool again, char *ret_why, size_t why_bytes)
{
        struct question q;
        int r = question_new(&q, hub) ? 0 : -ENOMEM;

        (void)snprintf(ret_why, why_bytes, "out of memory");
        for (int strategy = 1; r != -ENOMEM && strategy <= BT_DISTRIBUTION_OWN; strategy++) {
                int wrong;

                q.placement.entry_count = 0;
                q.placement.ctx = hub->embed;
                ask_nodes(&q, hub);
                if (strategy == BT_DISTRIBUTION_GUIDED)
                        ask_wishes(&q, hub);
                ask_children(&q, hub, (enum bt_distribution)strategy);
                if (!q.placement.child_count)
                        continue;
                wrong = bt_place(ops_of(hub, (enum bt_distribution)strategy), &q.placement, q.answer,
                                 ret_why, why_bytes);
                for (uint32_t i = 0; !wrong && i < q.placement.child_count; i++)
                        each(q.hub_children[i], q.hub_nodes[q.answer[i]], again);
                if (wrong)
                        r = wrong == -ENOMEM ? wrong : -EINVAL;
        }
        question_deinit(&q);
        return r;
}

static void place_new(struct bt_child *child, struct bt_hub_node *node, bool again)
{
        (void)again;
        if (child->placed)
                return;
        child->placed = true;
        child->ideal = node;
        if (node != child->seat.node)
                (void)bt_child_reseat(child,
                                      node); /* a directory has room for all children of a hub */
}

int bt_redistribution_place_new(struct bt_hub *hub)
{
        char why[512];
        int r = place_all(hub, place_new, false, why, sizeof(why));

        bt_replicas_place_new(hub);
        bt_node_load_start(hub);
        if (r)
                bt_hub_say(hub, "the children cannot be placed: %s", why);
        return r;
}

/* ---- plans ---- */

/* A plan wants @child on @node. @again: also where that failed before. */
static void want(struct bt_child *child, struct bt_hub_node *node, bool again)
{
        struct bt_redistribution *r = child->hub->redistribution;
        bool changed = node != child->ideal || (again && child->misplaced) ||
                       !bt_hub_node_takes(child->seat.node);

        if (!child->placed) {
                place_new(child, node, again);
                return;
        }
        if (child->move && child->move->state == BT_MOVE_MOVING) {
                child->move->stale = child->move->to != node;
                child->ideal = child->move->stale ? NULL : node;
                return;
        }
        child->ideal = node;
        if (child->move) {
                bt_move_retarget(child->move, node);
                return;
        }
        if (node == child->seat.node || !changed)
                return;
        if (!bt_move_new(child, node)) {
                child->misplaced = true;
                r->failed++;
        }
}

static void on_retry(struct bt_loop_timer *timer);

/* When the next try is, if there is one: a part of what is said about the moves that are over. */
static const char *retry_later(struct bt_redistribution *r, char text[64])
{
        *text = '\0';
        if (r->retry.heap_idx || r->hub->stopping)
                return text;
        (void)bt_loop_timer_arm(r->hub->loop, &r->retry, bt_ns_add(bt_now_ns(), r->retry_ns),
                                on_retry);
        (void)snprintf(text, 64, "; tried again in %" PRIu64 " ms", r->retry_ns / BT_NS_PER_MS);
        r->retry_ns = r->retry_ns < r->retry_max_ns / 2 ? r->retry_ns * 2 : r->retry_max_ns;
        return text;
}

static void plan(struct bt_redistribution *r, bool again)
{
        struct bt_hub *hub = r->hub;
        bool idle = bt_list_empty(&r->planned) && bt_list_empty(&r->begun);
        uint32_t count = 0;
        char why[512];
        int result;

        r->first_change_ns = 0;
        bt_loop_timer_disarm(&r->due);
        if (hub->stopping)
                return;
        result = place_all(hub, want, again, why, sizeof(why));
        bt_replicas_plan(hub);
        if (result)
                bt_hub_say(hub, "some children cannot be placed: %s", why);
        bt_list_foreach (it, &r->planned)
                count++;
        if (idle && count) {
                r->moved = r->failed = 0;
                bt_event(hub, BT_EVENT_REDISTRIBUTING, NULL, 0, "%u children", count);
        }
        bt_node_asks_planned(hub, result ? BT_CTL_FAILED : BT_CTL_OK, why);
        bt_redistribution_pump(r);
        bt_node_asks_check(hub);
}

static void on_retry(struct bt_loop_timer *timer)
{
        plan(bt_container_of(timer, struct bt_redistribution, retry), true);
}

static void on_due(struct bt_loop_timer *timer)
{
        plan(bt_container_of(timer, struct bt_redistribution, due), false);
}

void bt_redistribution_change(struct bt_hub *hub)
{
        struct bt_redistribution *r = hub->redistribution;
        uint64_t now = bt_now_ns();
        uint64_t at = bt_ns_add(now, BT_REDISTRIBUTE_DEBOUNCE_NS);

        if (!r->first_change_ns)
                r->first_change_ns = now;
        if (at > r->first_change_ns + BT_REDISTRIBUTE_AT_MOST_NS)
                at = r->first_change_ns + BT_REDISTRIBUTE_AT_MOST_NS;
        if (bt_loop_timer_arm(hub->loop, &r->due, at, on_due))
                plan(r, false);
}

void bt_redistribution_again(struct bt_hub *hub)
{
        char text[64];

        (void)retry_later(hub->redistribution, text);
}

void bt_redistribution_now(struct bt_hub *hub)
{
        plan(hub->redistribution, false);
}

/* ---- moves, one after the other ---- */

static uint32_t limit_of(const struct bt_hub *hub)
{
        return hub->plan.plan->max_parallel ? hub->plan.plan->max_parallel
                                            : BT_PLAN_PARALLEL_DEFAULT;
}

/* A move may be over while it is being begun: then this is further up the stack, and goes on from there. */
void bt_redistribution_pump(struct bt_redistribution *r)
{
        char again[64];

        if (r->pumping)
                return;
        r->pumping = true;
        while (r->moving < limit_of(r->hub) && !bt_list_empty(&r->planned)) {
                struct bt_move *move = bt_list_entry(r->planned.next, struct bt_move, node);

                bt_list_unlink(&move->node);
                bt_list_push(&r->begun, &move->node);
                bt_move_begin(move);
        }
        r->pumping = false;
        if (!bt_list_empty(&r->planned) || !bt_list_empty(&r->begun) || (!r->moved && !r->failed))
                return;
        if (!r->failed)
                r->retry_ns = r->retry_min_ns;
        bt_event(r->hub, BT_EVENT_REDISTRIBUTED, NULL, 0, "%u moved, %u not%s", r->moved, r->failed,
                 r->failed ? retry_later(r, again) : "");
        r->moved = r->failed = 0;
}

/* ---- life ---- */

int bt_redistribution_open(struct bt_hub *hub)
{
        struct bt_redistribution *r = calloc(1, sizeof(*r));
        const struct bt_plan *plan = hub->plan.plan;

        if (!r)
                return -ENOMEM;
        r->hub = hub;
        r->retry_min_ns =
                plan->move_retry_max_ns ? plan->move_retry_min_ns : BT_REDISTRIBUTE_RETRY_MIN_NS;
        r->retry_max_ns =
                plan->move_retry_max_ns ? plan->move_retry_max_ns : BT_REDISTRIBUTE_RETRY_MAX_NS;
        r->retry_ns = r->retry_min_ns;
        bt_list_init(&r->planned);
        bt_list_init(&r->begun);
        bt_list_init(&r->asks);
        hub->redistribution = r;
        return 0;
}

void bt_redistribution_stop(struct bt_hub *hub)
{
        struct bt_redistribution *r = hub->redistribution;

        bt_loop_timer_disarm(&r->due);
        bt_loop_timer_disarm(&r->retry);
        bt_list_splice(&r->begun, &r->planned);
        bt_list_foreach_safe (it, &r->begun) {
                struct bt_move *move = bt_list_entry(it, struct bt_move, node);

                if (move->state !=
                    BT_MOVE_MOVING) /* those end with their migration, which is called off */
                        bt_move_over(move, BT_CTL_FAILED, "refused", 0, "the hub is stopping");
        }
        bt_node_asks_stop(hub);
}

void bt_redistribution_close(struct bt_hub *hub)
{
        struct bt_redistribution *r = hub->redistribution;

        if (!r)
                return;
        bt_node_load_stop(hub);
        bt_loop_timer_disarm(&r->due);
        bt_loop_timer_disarm(&r->retry);
        bt_list_splice(&r->begun, &r->planned);
        bt_list_foreach_safe (it, &r->begun) {
                struct bt_move *move = bt_list_entry(it, struct bt_move, node);

                bt_loop_timer_disarm(&move->timer);
                bt_list_unlink(&move->waiter.node);
                move->child->move = NULL;
                free(move);
        }
        bt_node_asks_free_all(hub);
        free(r);
        hub->redistribution = NULL;
}
