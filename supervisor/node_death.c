/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A node that dies. The nodes of a hub are on one host, so the death of one is that of all its processes at once: its cgroup was killed, or ran out of
 * memory as a whole. One process that is killed says nothing yet; when all of a node, two at least, were killed within half a second, its children are not
 * started there again.
 *
 * Only SIGKILL that the hub did not send counts. A process that was adopted from a hub before this one is not our child, so how it ended is not known:
 * it does not count as killed, and its node is not taken for dead. A child that runs no process on purpose (it ended, it was given up) does not count
 * either way.
 */
#include "base/clock.h"
#include "supervisor/events.h"
#include "supervisor/redistribute.h"

#define JUDGE_NS (500 * BT_NS_PER_MS)

static bool others_take(const struct bt_hub_node *node)
{
        bt_list_foreach (it, &node->hub->nodes) {
                const struct bt_hub_node *other = bt_list_entry(it, struct bt_hub_node, order);

                if (other != node && bt_hub_node_takes(other))
                        return true;
        }
        return false;
}

/* How many of its children were killed; 0: one is alive. */
static uint32_t all_killed(const struct bt_hub_node *node)
{
        uint32_t killed = 0;

        bt_hub_foreach_child(child, node->hub)
        {
                if (child->seat.node != node || child->phase == BT_PHASE_FAILED ||
                    child->phase == BT_PHASE_STOPPED)
                        continue;
                if (!child->killed || child->current || child->migration)
                        return 0;
                killed++;
        }
        return killed;
}

static void on_judge(struct bt_loop_timer *timer)
{
        struct bt_hub_node *node = bt_container_of(timer, struct bt_hub_node, death_timer);
        struct bt_hub *hub = node->hub;
        uint32_t killed = all_killed(node);

        bt_hub_foreach_child(child, hub)
        {
                if (child->seat.node == node && killed < 2)
                        child->killed = false;
        }
        if (killed < 2 || hub->stopping || !others_take(node))
                return;
        node->state = BT_HUB_NODE_DOWN;
        bt_hub_say(hub,
                   "node %s died: all its %u processes were killed; its children go on elsewhere",
                   node->name, killed);
        bt_event(hub, BT_EVENT_NODE_DIED, NULL, 0, "%s: %u processes were killed", node->name,
                 killed);
        bt_redistribution_now(hub);
}

void bt_hub_node_killed(struct bt_child *child)
{
        struct bt_hub_node *node = child->seat.node;

        if (child->hub->stopping || node->state != BT_HUB_NODE_ACTIVE || !others_take(node))
                return;
        child->killed = true;
        if (!node->death_timer.heap_idx)
                (void)bt_loop_timer_arm(child->hub->loop, &node->death_timer,
                                        bt_ns_add(bt_now_ns(), JUDGE_NS), on_judge);
}
