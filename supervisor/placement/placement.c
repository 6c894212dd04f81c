/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What all strategies share: see placement.h.
 *
 * The answer of a strategy is checked also when it is ours: an index that is out of place would be a child on a node that is about to
 * leave, which is noticed when the node waits for it until its deadline.
 */
#include "supervisor/placement/placement.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/cleanup.h"
#include "base/clock.h"

static const struct bt_placement_ops *const strategies[] = {
        &bt_placement_consistent_hash,
        &bt_placement_guided,
        &bt_placement_least_loaded,
        &bt_placement_round_robin,
};

const struct bt_placement_ops *bt_placement_find(const char *name)
{
        for (size_t i = 0; i < BT_ARRAY_LEN(strategies); i++) {
                if (!strcmp(strategies[i]->name, name))
                        return strategies[i];
        }
        return NULL;
}

int bt_placement_fail(int result, char *ret_why, size_t why_bytes, const char *format, ...)
{
        va_list args;

        va_start(args, format);
        (void)vsnprintf(ret_why, why_bytes, format, args);
        va_end(args);
        return result;
}

static bool answer_valid(const struct bt_placement *placement, uint32_t node)
{
        return node < placement->node_count && placement->nodes[node].available;
}

int bt_place(const struct bt_placement_ops *ops, const struct bt_placement *placement,
             uint32_t *ret_node, char *ret_why, size_t why_bytes)
{
        bool any = false;
        int r;

        for (uint32_t i = 0; i < placement->node_count; i++)
                any |= placement->nodes[i].available;
        if (!any && placement->child_count)
                return bt_placement_fail(BT_PLACEMENT_E_NO_NODE, ret_why, why_bytes,
                                         "no node takes children: all of them are leaving");
        r = ops->place(placement, ret_node, ret_why, why_bytes);
        for (uint32_t i = 0; !r && i < placement->child_count; i++) {
                if (!answer_valid(placement, ret_node[i]))
                        r = bt_placement_fail(BT_PLACEMENT_E_BROKEN, ret_why, why_bytes,
                                              "the strategy %s gives %s a node that takes nothing",
                                              ops->name, placement->children[i].id);
        }
        return r;
}

/* ---- replicas ---- */

int bt_place_replicas(const struct bt_placement_ops *ops, const struct bt_placement *placement,
                      uint32_t count, uint32_t *ret_nodes, uint32_t *ret_count)
{
        struct bt_placement_node *nodes = calloc(placement->node_count + (size_t)1, sizeof(*nodes));
        struct bt_placement rest = *placement;
        uint32_t n = 0;
        int r = nodes ? 0 : -ENOMEM;
        char why[512];

        bt_assert(placement->child_count == 1);
        if (nodes && placement->node_count)
                memcpy(nodes, placement->nodes, placement->node_count * sizeof(*nodes));
        rest.nodes = nodes;
        while (!r && n < count) {
                r = bt_place(ops, &rest, &ret_nodes[n], why, sizeof(why));
                if (!r)
                        nodes[ret_nodes[n++]].available = false;
        }
        free(nodes);
        *ret_count = n;
        return r == -ENOMEM ? r : 0; /* any other: no node is left that it could have */
}

/* ---- averages ---- */

/* 2 to the power of -@x, to four digits: halves, and for the rest the series of 2^x (libm would be one more library of the daemon). */
static double half_power(double x)
{
        double result = 1;

        for (; x >= 1 && result > 0; x -= 1)
                result /= 2;
        return x >= 1 ? 0
                      : result / (1 + x * (0.693147 +
                                           x * (0.240227 +
                                                x * (0.055504 + x * (0.009618 + x * 0.001504)))));
}

void bt_load_add(struct bt_load *average, const struct bt_load *sample, uint64_t elapsed_ns,
                 uint64_t memory_ns)
{
        double part = elapsed_ns == BT_NS_NEVER || !memory_ns
                              ? 1
                              : 1 - half_power((double)elapsed_ns / (double)memory_ns);

        average->cpu += (sample->cpu - average->cpu) * part;
        average->memory += (sample->memory - average->memory) * part;
        average->run_queue += (sample->run_queue - average->run_queue) * part;
}
