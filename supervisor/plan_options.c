/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Options of a child that the file does not say, and what they are on a node that has defaults: the node's lie between those of the file (`defaults`) and the child's own keys.
 *
 *      defaults of the hub  <  defaults of the node  <  the child's own
 *
 * The plan has the first and the last already put together, and in @given which options are the child's own: so a node or a child that comes later, in a
 * plan of its own, is combined with what is there by the same few lines.
 *
 * A default is a wish for many children and not for this one: what this child cannot have is left as it is, without a word, as it is with `defaults` of
 * a file.
 */
#include "supervisor/plan.h"

#include "base/clock.h"

/* ---- what is not said ---- */

void bt_plan_child_init(struct bt_plan_child *child)
{
        *child = (struct bt_plan_child){
                .max_restarts = 3,
                .max_seconds_ns = 5 * BT_NS_PER_S,
                .backoff_min_ns = 100 * BT_NS_PER_MS,
                .backoff_max_ns = 10 * BT_NS_PER_S,
                .healthy_ns = 10 * BT_NS_PER_S,
                .shutdown_ns = 5 * BT_NS_PER_S,
                .retention_ns = 5 * BT_NS_PER_S,
                .max_draining = 8,
                .handover_data_wait_ns = 3 * BT_NS_PER_S,
                .child_migration_timeout_ns = 10 * BT_NS_PER_S,
                .state_ttl_ns = 30 * BT_NS_PER_S,
                .hold = 1,
                .state_query_timeout_ns = 5 * BT_NS_PER_S,
                .stored_ttl_ns = BT_NS_INFINITE,
                .on_bad_state = BT_BAD_STATE_FRESH,
                .restore_attempts = 3,
                .consent_timeout_ns = 5 * BT_NS_PER_S,
                .consent_retry_ns = 10 * BT_NS_PER_S,
                .consent_limit_ns = 600 * BT_NS_PER_S,
        };
}

void bt_plan_node_init(struct bt_plan_node *node)
{
        *node = (struct bt_plan_node){.weight = 1, .numa = -1};
        bt_plan_child_init(&node->defaults);
}

/* ---- on a node ---- */

/* Those of @wanted that make sense for @child. */
static uint64_t fitting(const struct bt_plan_child *child, uint64_t wanted)
{
        if (child->protocol == BT_PROTOCOL_PLAIN)
                wanted &= ~(BT_PLAN_OPTION_BIT(strategy) | BT_PLAN_OPTION_BIT(handover));
        if (child->protocol == BT_PROTOCOL_NOTIFY)
                wanted &= ~BT_PLAN_OPTION_BIT(handover);
        if (child->durability >= BT_DURABILITY_ASYNC) /* what is on the disk must be read back */
                wanted &= ~BT_PLAN_OPTION_BIT(handover);
        if (child->replicas) /* refused where it can be: bt_plan_refused_on() */
                wanted &= ~BT_PLAN_OPTION_BIT(handover);
        if (!child->checkpoint) /* its baton has no room for any */
                wanted &= ~BT_PLAN_OPTION_BIT(checkpoint_every_ns);
        return wanted;
}

bool bt_plan_child_on(struct bt_plan_child *ret_child, const struct bt_plan_child *child,
                      const struct bt_plan_node *node)
{
        uint64_t take = fitting(child, node->defaults.given & ~child->given);

        if (!take)
                return false;
        *ret_child = *child;
#define X(member, key, inner)                                                                      \
        if (take & BT_PLAN_OPTION_BIT(member))                                                     \
                ret_child->member = node->defaults.member;
        BT_PLAN_OPTION_TABLE(X)
#undef X
        if (ret_child->backoff_min_ns > ret_child->backoff_max_ns) { /* one is the child's own */
                if (child->given & BT_PLAN_OPTION_BIT(backoff_max_ns))
                        ret_child->backoff_min_ns = ret_child->backoff_max_ns;
                else
                        ret_child->backoff_max_ns = ret_child->backoff_min_ns;
        }
        return true;
}

bool bt_plan_refused_on(const struct bt_plan_child *child, const struct bt_plan_node *node)
{
        uint64_t said = node->defaults.given & ~child->given;

        return child->replicas && child->protocol == BT_PROTOCOL_BATON && (said & BT_PLAN_OPTION_BIT(handover)) &&
               node->defaults.handover;
}

uint64_t bt_plan_child_differs(const struct bt_plan_child *child)
{
        struct bt_plan_child plain;
        uint64_t bits = 0;

        bt_plan_child_init(&plain);
#define X(member, key, inner)                                                                      \
        if (child->member != plain.member)                                                         \
                bits |= BT_PLAN_OPTION_BIT(member);
        BT_PLAN_OPTION_TABLE(X)
#undef X
        return bits;
}
