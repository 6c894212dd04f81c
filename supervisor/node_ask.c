/* SPDX-License-Identifier: Apache-2.0 */
/*
 * See the header. A node that leaves is told so at once (nothing new is placed on it from then on), and its children go with the next plan; its ask is over
 * when a plan has been made and no move from it is left. A join is over in the same way with the moves to it.
 */
#include "supervisor/node_ask.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "supervisor/events.h"
#include "supervisor/redistribute.h"
#include "supervisor/replicas.h"

/* ---- asks ---- */

static struct bt_node_ask *ask_new(struct bt_hub *hub, enum bt_node_ask_kind kind,
                                   struct bt_hub_node *about, const struct bt_node_ask_owner *owner,
                                   void *ctx)
{
        struct bt_node_ask *ask = calloc(1, sizeof(*ask));

        if (!ask)
                return NULL;
        ask->hub = hub;
        ask->kind = kind;
        ask->about = about;
        ask->owner = owner;
        ask->ctx = ctx;
        if (about)
                about->asked++;
        bt_list_init(&ask->waiter.node);
        bt_list_push(&hub->redistribution->asks, &ask->node);
        if (owner)
                owner->begun(ctx, ask);
        return ask;
}

static void ask_free(struct bt_node_ask *ask)
{
        if (ask->about)
                ask->about->asked--;
        bt_loop_timer_disarm(&ask->deadline);
        bt_list_unlink(&ask->waiter.node);
        bt_list_unlink(&ask->node);
        free(ask);
}

static void ask_over(struct bt_node_ask *ask)
{
        bt_list_unlink(&ask->node);
        if (ask->owner)
                ask->owner->over(ask->ctx, ask);
        ask_free(ask);
}

void bt_node_ask_abandon(struct bt_node_ask *ask)
{
        if (ask)
                ask->owner = NULL;
}

static void ask_failed(struct bt_node_ask *ask, const char *child, enum bt_ctl_outcome outcome,
                       const char *text)
{
        ask->outcome = !ask->outcome || ask->outcome == outcome ? outcome : BT_CTL_FAILED;
        (void)snprintf(ask->child, sizeof(ask->child), "%s", child);
        (void)snprintf(ask->text, sizeof(ask->text), "%s", text);
}

void bt_node_asks_event(struct bt_move *move, const char *phase, enum bt_ctl_outcome outcome,
                        uint64_t incarnation, bool over, const char *text)
{
        bt_list_foreach (it, &move->child->hub->redistribution->asks) {
                struct bt_node_ask *ask = bt_list_entry(it, struct bt_node_ask, node);

                if (!ask->about ||
                    ask->about != (ask->kind == BT_NODE_ASK_ADD ? move->to : move->from))
                        continue;
                if (over && outcome == BT_CTL_OK) {
                        ask->moved++;
                        ask->forced += move->forced;
                } else if (over) {
                        ask->failed++;
                        ask_failed(ask, move->child->id, outcome, text);
                }
                if (ask->owner)
                        ask->owner->event(ask->ctx, move->child, phase, outcome, incarnation, over,
                                          text);
        }
}

void bt_node_asks_planned(struct bt_hub *hub, enum bt_ctl_outcome outcome, const char *why)
{
        bt_list_foreach (it, &hub->redistribution->asks) {
                struct bt_node_ask *ask = bt_list_entry(it, struct bt_node_ask, node);

                ask->planned = true;
                if (outcome && ask->kind != BT_NODE_ASK_MIGRATE)
                        ask_failed(ask, "", outcome, why);
        }
}

void bt_node_asks_replan(struct bt_hub *hub)
{
        bt_list_foreach (it, &hub->redistribution->asks)
                bt_list_entry(it, struct bt_node_ask, node)->planned = false;
        bt_redistribution_change(hub);
}

/* ---- what is over ---- */

static void node_empty(struct bt_hub_node *node)
{
        struct bt_hub *hub = node->hub;

        if (node->state == BT_HUB_NODE_DRAINING) {
                node->state = BT_HUB_NODE_DRAINED;
                bt_event(hub, BT_EVENT_DRAIN_COMPLETED, NULL, 0, "%s", node->name);
        } else if (node->state == BT_HUB_NODE_LEAVING) {
                bt_event(hub, BT_EVENT_DRAIN_COMPLETED, NULL, 0, "%s", node->name);
                bt_event(hub, BT_EVENT_NODE_LEFT, NULL, 0, "%s", node->name);
                bt_hub_say(hub, "node %s has left", node->name);
                bt_hub_node_forget(node);
                bt_hub_foreach_child(child, hub)
                {
                        if (child->ideal == node)
                                child->ideal = NULL;
                }
                (void)bt_hub_node_free(node);
        }
}

/* True when it is over: it was told so, and is gone. */
static bool check_leave(struct bt_node_ask *ask)
{
        struct bt_hub_node *node = ask->about;
        bool empty = !node->seats;

        if (!ask->planned || node->moves_from || node->moves_to)
                return false;
        if (!empty) {
                node->state = BT_HUB_NODE_DRAINING; /* what is left is tried again */
                if (!ask->outcome)
                        ask_failed(ask, "", BT_CTL_FAILED,
                                   "some of its children could not be moved");
        }
        bt_hub_say(node->hub, "node %s: %u moved, %u of them forced, %u not", node->name,
                   ask->moved, ask->forced, ask->failed);
        ask_over(ask);
        if (empty && !node->asked)
                node_empty(node);
        return true;
}

static bool check_add(struct bt_node_ask *ask)
{
        struct bt_hub_node *node = ask->about;

        if (!ask->planned || node->moves_to)
                return false;
        bt_event(node->hub, BT_EVENT_NODE_JOINED, NULL, 0, "%s: %u moved to it, %u not", node->name,
                 ask->moved, ask->failed);
        bt_hub_say(node->hub, "node %s has joined: %u moved to it, %u not", node->name, ask->moved,
                   ask->failed);
        ask_over(ask);
        return true;
}

static bool check_one(struct bt_hub *hub)
{
        bt_list_foreach (it, &hub->redistribution->asks) {
                struct bt_node_ask *ask = bt_list_entry(it, struct bt_node_ask, node);

                if (ask->about &&
                    (ask->kind == BT_NODE_ASK_ADD ? check_add(ask) : check_leave(ask)))
                        return true;
        }
        return false;
}

/* Nodes whose ask ended before they were empty. */
static bool check_rest(struct bt_hub *hub)
{
        bt_list_foreach (it, &hub->nodes) {
                struct bt_hub_node *node = bt_list_entry(it, struct bt_hub_node, order);

                if ((node->state != BT_HUB_NODE_DRAINING && node->state != BT_HUB_NODE_LEAVING) ||
                    node->seats || node->asked)
                        continue;
                node_empty(node);
                return true;
        }
        return false;
}

void bt_node_asks_check(struct bt_hub *hub)
{
        while (check_one(hub))
                ;
        while (check_rest(hub))
                ;
}

void bt_node_asks_stop(struct bt_hub *hub)
{
        bt_list_foreach_safe (it, &hub->redistribution->asks) {
                struct bt_node_ask *ask = bt_list_entry(it, struct bt_node_ask, node);

                if (ask->kind == BT_NODE_ASK_MIGRATE)
                        continue; /* ends with its migration */
                ask_failed(ask, "", BT_CTL_FAILED, "the hub is stopping");
                ask_over(ask);
        }
}

void bt_node_asks_free_all(struct bt_hub *hub)
{
        bt_list_foreach_safe (it, &hub->redistribution->asks)
                ask_free(bt_list_entry(it, struct bt_node_ask, node));
}

/* ---- a node joins ---- */

enum bt_ctl_outcome bt_node_add(struct bt_hub *hub, struct bt_plan_ref *plan,
                                const struct bt_node_ask_owner *owner, void *ctx, char *ret_why,
                                size_t why_bytes)
{
        const char *name = bt_plan_string(&plan->view, plan->view.nodes[0].name);
        struct bt_hub_node *node = bt_hub_node_find(hub, name);
        struct bt_node_ask *ask;
        uint32_t count = 0;

        bt_list_foreach (it, &hub->nodes)
                count++;
        if (bt_replicas_refuse(hub, &plan->view.nodes[0])) {
                (void)snprintf(ret_why, why_bytes, "%s", BT_PLAN_REFUSED);
                return BT_CTL_INVALID;
        }
        if (node && node->state != BT_HUB_NODE_DRAINED && node->state != BT_HUB_NODE_DOWN) {
                (void)snprintf(ret_why, why_bytes, "node %s is there already (%s)", name,
                               bt_hub_node_state_name(node->state));
                return BT_CTL_FAILED;
        }
        if (node && node->seats) {
                (void)snprintf(
                        ret_why, why_bytes,
                        "node %s still has children to give away: try again when it is empty",
                        name);
                return BT_CTL_FAILED;
        }
        if (!node && count >= BT_PLAN_NODES_MAX) {
                (void)snprintf(ret_why, why_bytes, "a hub has at most %d nodes", BT_PLAN_NODES_MAX);
                return BT_CTL_FAILED;
        }
        if (node) { /* comes back, perhaps as another one */
                bt_hub_foreach_child(child, hub)
                {
                        if (child->ideal == node)
                                child->ideal = NULL;
                }
                (void)bt_hub_node_free(node);
        }
        bt_event(hub, BT_EVENT_NODE_JOINING, NULL, 0, "%s", name);
        if (bt_hub_node_new(&node, hub, plan, 0, ret_why, why_bytes))
                return BT_CTL_FAILED;
        bt_hub_node_remember(node);
        ask = ask_new(hub, BT_NODE_ASK_ADD, node, owner, ctx);
        if (!ask)
                bt_hub_say(hub, "node %s joins, and nobody can be told when: out of memory", name);
        bt_redistribution_change(hub);
        if (ask)
                return BT_CTL_OK;
        (void)snprintf(ret_why, why_bytes, "out of memory (the node joins all the same)");
        return BT_CTL_FAILED;
}

/* ---- a node leaves ---- */

static bool others_take(const struct bt_hub *hub, const struct bt_hub_node *node)
{
        bt_list_foreach (it, &hub->nodes) {
                const struct bt_hub_node *other = bt_list_entry(it, struct bt_hub_node, order);

                if (other != node && bt_hub_node_takes(other))
                        return true;
        }
        return false;
}

static void on_drain_deadline(struct bt_loop_timer *timer)
{
        struct bt_node_ask *ask = bt_container_of(timer, struct bt_node_ask, deadline);
        struct bt_hub *hub = ask->hub;
        const struct bt_hub_node *node = ask->about;

        bt_hub_say(hub,
                   "node %s: the deadline of its drain is over: what is left is moved without "
                   "being asked",
                   node->name);
        bt_hub_foreach_child(child, hub)
        {
                if (child->move && child->move->from == node)
                        bt_move_force(child->move); /* @ask may be over by it, and gone */
        }
}

enum bt_ctl_outcome bt_node_leave(struct bt_hub *hub, const char *name, bool remove,
                                  uint64_t deadline_ns, const struct bt_node_ask_owner *owner,
                                  void *ctx, char *ret_why, size_t why_bytes)
{
        struct bt_hub_node *node = bt_hub_node_find(hub, name);
        struct bt_node_ask *ask;

        if (!node) {
                (void)snprintf(ret_why, why_bytes, "no such node");
                return BT_CTL_NO_SUCH;
        }
        if (node->state == BT_HUB_NODE_LEAVING ||
            (node->state == BT_HUB_NODE_DRAINING && (node->asked || !remove)) ||
            (node->state == BT_HUB_NODE_DRAINED && !remove)) {
                (void)snprintf(ret_why, why_bytes, "node %s is %s already", name,
                               bt_hub_node_state_name(node->state));
                return BT_CTL_INVALID;
        }
        if (!others_take(hub, node)) {
                (void)snprintf(ret_why, why_bytes, "there is no other node that takes children");
                return BT_CTL_INVALID;
        }
        ask = ask_new(hub, remove ? BT_NODE_ASK_REMOVE : BT_NODE_ASK_DRAIN, node, owner, ctx);
        if (!ask) {
                (void)snprintf(ret_why, why_bytes, "out of memory");
                return BT_CTL_FAILED;
        }
        node->state = remove ? BT_HUB_NODE_LEAVING : BT_HUB_NODE_DRAINING;
        bt_event(hub, BT_EVENT_NODE_LEAVING, NULL, 0, "%s%s", name, remove ? "" : ": drained");
        if (deadline_ns)
                (void)bt_loop_timer_arm(hub->loop, &ask->deadline,
                                        bt_ns_add(bt_now_ns(), deadline_ns), on_drain_deadline);
        bt_redistribution_change(hub);
        return BT_CTL_OK;
}

/* ---- one child goes elsewhere ---- */

static void on_event(struct bt_waiter *waiter, const struct bt_migration *m, const char *phase,
                     uint64_t incarnation, const char *text)
{
        const struct bt_node_ask *ask = bt_container_of(waiter, struct bt_node_ask, waiter);

        if (ask->owner)
                ask->owner->event(ask->ctx, m->child, phase, BT_CTL_OK, incarnation, false, text);
}

static void on_over(struct bt_waiter *waiter, const struct bt_migration *m,
                    enum bt_ctl_outcome outcome, const char *phase, uint64_t incarnation,
                    const char *text)
{
        struct bt_node_ask *ask = bt_container_of(waiter, struct bt_node_ask, waiter);

        if (outcome == BT_CTL_OK) {
                ask->moved++;
                bt_event(ask->hub, BT_EVENT_CHILD_FORWARDED, m->child, incarnation,
                         "to %s, by hand", m->child->seat.node->name);
        } else {
                ask->failed++;
                ask_failed(ask, m->child->id, outcome, text);
        }
        if (ask->owner)
                ask->owner->event(ask->ctx, m->child, phase, outcome, incarnation, true, text);
        ask_over(ask);
}

enum bt_ctl_outcome bt_node_migrate(struct bt_hub *hub, const char *id, const char *name,
                                    uint32_t strategy, const struct bt_node_ask_owner *owner,
                                    void *ctx, char *ret_why, size_t why_bytes)
{
        struct bt_child *child = bt_hub_child_find(hub, id);
        struct bt_hub_node *node = bt_hub_node_find(hub, name);
        struct bt_node_ask *ask;
        enum bt_ctl_outcome outcome;

        if (!child || !node || !bt_hub_node_takes(node)) {
                if (!child)
                        (void)snprintf(ret_why, why_bytes, "not_found: there is no child %s", id);
                else if (!node)
                        (void)snprintf(ret_why, why_bytes, "not_a_member: there is no node %s",
                                       name);
                else
                        (void)snprintf(ret_why, why_bytes,
                                       "not_a_member: node %s takes no children (%s)", name,
                                       bt_hub_node_state_name(node->state));
                return child && node ? BT_CTL_FAILED : BT_CTL_NO_SUCH;
        }
        if (child->replicas) {
                (void)snprintf(ret_why, why_bytes, "%s is an instance of a replicated child, and stays on its node", id);
                return BT_CTL_FAILED;
        }
        if (child->seat.node == node) {
                (void)snprintf(ret_why, why_bytes, "same_node: %s is on %s already", id, name);
                return BT_CTL_FAILED;
        }
        ask = ask_new(hub, BT_NODE_ASK_MIGRATE, NULL, owner, ctx);
        if (!ask) {
                (void)snprintf(ret_why, why_bytes, "out of memory");
                return BT_CTL_FAILED;
        }
        ask->waiter.event = on_event;
        ask->waiter.over = on_over;
        outcome = bt_migrate(child, NULL, node, strategy, &ask->waiter, ret_why, why_bytes);
        if (outcome != BT_CTL_OK) {
                if (owner)
                        owner->begun(ctx, NULL);
                ask_free(ask);
        }
        return outcome;
}
