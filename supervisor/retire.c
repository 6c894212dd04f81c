/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The end of predecessors: RETIRE, the retention that begins with it, and how many may drain at once.
 *
 * The end of a process costs as much processor time as all the rest of a swap. Where many swaps are under way (bt_hub_crowded()) that time is taken from
 * children for which nobody serves, or that wait to be moved; so a predecessor that has nothing to drain, as it has said itself, is told to end when the
 * crowd is over. At most max_parallel wait for that, and none of them longer than LATER_NS.
 */
#include "supervisor/hub.h"

#include "base/clock.h"
#include "supervisor/replicas.h"

#define LATER_NS (100 * BT_NS_PER_MS)

bool bt_hub_crowded(const struct bt_hub *hub)
{
        return hub->migration_count > 1 && hub->migration_count * 2 > hub->processors;
}

static void on_retention_over(struct bt_loop_timer *timer)
{
        struct bt_inc *inc = bt_container_of(timer, struct bt_inc, deadline);

        inc->child->limits_hit++;
        bt_child_note(inc->child, "incarnation %llu did not drain within its retention and was killed", (unsigned long long)inc->number);
        bt_inc_kill(inc);
}

/*
 * Swaps that come faster than their predecessors drain would pile up processes without a bound, each with the memory of its connections: beyond
 * `max_draining` the oldest ends now (R4, R8).
 */
static void bound_draining(struct bt_child *child)
{
        struct bt_inc *oldest = NULL;
        uint32_t count = 0;

        bt_list_foreach (it, &child->incs) {
                struct bt_inc *inc = bt_list_entry(it, struct bt_inc, node);

                if (!inc->retires || inc->killed)
                        continue;
                count++;
                if (!oldest || inc->number < oldest->number)
                        oldest = inc;
        }
        if (count <= child->spec->max_draining)
                return;
        child->limits_hit++;
        bt_child_note(child, "incarnation %llu was killed while it drained: %u others do (max_draining)", (unsigned long long)oldest->number,
                      child->spec->max_draining);
        bt_inc_kill(oldest);
}

static void tell(struct bt_inc *inc)
{
        bt_inc_not_later(inc);
        if (inc->link)
                bt_inc_say(inc, BT_MSG_RETIRE, inc->heir, 0, inc->retention_ns, 0);
        else
                bt_inc_stop(inc);
        (void)bt_loop_timer_arm(inc->child->hub->loop, &inc->deadline, bt_ns_add(bt_now_ns(), inc->retention_ns), on_retention_over);
}

static void tell_oldest(struct bt_hub *hub)
{
        tell(bt_list_entry(hub->later.next, struct bt_inc, later));
}

void bt_hub_retire_now(struct bt_hub *hub)
{
        while (!bt_list_empty(&hub->later))
                tell_oldest(hub);
}

static void on_late(struct bt_loop_timer *timer)
{
        bt_hub_retire_now(bt_container_of(timer, struct bt_hub, later_timer));
}

void bt_inc_not_later(struct bt_inc *inc)
{
        struct bt_hub *hub = inc->child->hub;

        if (bt_list_empty(&inc->later))
                return;
        bt_list_unlink(&inc->later);
        hub->later_count--;
        if (!hub->later_count)
                bt_loop_timer_disarm(&hub->later_timer);
}

static void on_patience_over(struct bt_loop_timer *timer)
{
        bt_inc_kill(bt_container_of(timer, struct bt_inc, deadline));
}

void bt_inc_ends_until(struct bt_inc *inc, uint64_t deadline_ns)
{
        (void)bt_loop_timer_arm(inc->child->hub->loop, &inc->deadline, deadline_ns, inc->retires ? on_retention_over : on_patience_over);
}

/* Each predecessor has its own retention, counted from its own hand-over (HOT-4); who waits to be told has nothing to use it for. */
void bt_inc_retire(struct bt_inc *inc, uint64_t heir, uint64_t retention_ns)
{
        struct bt_hub *hub = inc->child->hub;

        inc->retires = true;
        inc->heir = heir;
        inc->retention_ns = retention_ns;
        bt_mode_release(inc);
        bound_draining(inc->child);
        if (!inc->drains_nothing || inc->dead || !bt_hub_crowded(hub) ||
            (!hub->later_count && bt_loop_timer_arm(hub->loop, &hub->later_timer, bt_ns_add(bt_now_ns(), LATER_NS), on_late))) {
                tell(inc);
                return;
        }
        bt_list_push(&hub->later, &inc->later);
        hub->later_count++;
        if (hub->later_count > (hub->plan.plan->max_parallel ? hub->plan.plan->max_parallel : BT_PLAN_PARALLEL_DEFAULT))
                tell_oldest(hub);
}
