/* SPDX-License-Identifier: Apache-2.0 */
/*
 * In turn. First the places are dealt, as many as there are children, one after the other to the node whose turn it is: with equal
 * weights that is each node once and then again; a node of weight 2 has two turns for one of the others. Then each child stays where it
 * is while its node has a place for it, and the rest, in the order of the children, take the places that are left, again in turn.
 *
 * Whose turn it is: the node with the least (2 * places + 1) / weight, which is Webster's rule for the seats of a parliament. It has
 * the one property that matters here: dealing fewer places takes none from one node to give it to another. What a node that joins gets
 * is dealt to the others no more, so no place moves between two of those that were there, and no child either. Rounding each share by
 * itself (the largest remainder first) looks simpler, and does not have it.
 *
 * Equal turns go by name, so the order of the nodes does not matter. The work is children times nodes.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "supervisor/placement/placement.h"

/* Of one node. */
struct turn {
        uint64_t places;
        uint64_t taken;
};

static void freep(struct turn **turns)
{
        free(*turns);
}

/* @x before @y, when they have @x_count and @y_count already. */
static bool turn_before(const struct bt_placement_node *x, uint64_t x_count,
                        const struct bt_placement_node *y, uint64_t y_count)
{
        uint64_t a = (2 * x_count + 1) * y->weight, b = (2 * y_count + 1) * x->weight;

        return a != b ? a < b : strcmp(x->name, y->name) < 0;
}

static uint32_t next_place(const struct bt_placement *p, const struct turn *turns)
{
        uint32_t next = BT_PLACEMENT_NOWHERE;

        for (uint32_t i = 0; i < p->node_count; i++) {
                if (bt_placement_takes(&p->nodes[i]) &&
                    (next == BT_PLACEMENT_NOWHERE ||
                     turn_before(&p->nodes[i], turns[i].places, &p->nodes[next],
                                 turns[next].places)))
                        next = i;
        }
        return next;
}

/* The same among those that have a place left; there is one for each child. */
static uint32_t next_taker(const struct bt_placement *p, const struct turn *turns)
{
        uint32_t next = BT_PLACEMENT_NOWHERE;

        for (uint32_t i = 0; i < p->node_count; i++) {
                if (turns[i].taken < turns[i].places &&
                    (next == BT_PLACEMENT_NOWHERE ||
                     turn_before(&p->nodes[i], turns[i].taken, &p->nodes[next], turns[next].taken)))
                        next = i;
        }
        return next;
}

static int place(const struct bt_placement *p, uint32_t *ret_node, char *ret_why, size_t why_bytes)
{
        BT_CLEANUP(freep) struct turn *turns = calloc(p->node_count + 1, sizeof(*turns));

        if (!turns)
                return bt_placement_fail(-ENOMEM, ret_why, why_bytes, "out of memory");
        for (uint32_t i = 0; i < p->child_count; i++) {
                uint32_t node = next_place(p, turns);

                if (node == BT_PLACEMENT_NOWHERE)
                        return bt_placement_fail(BT_PLACEMENT_E_NO_NODE, ret_why, why_bytes,
                                                 "no node with a weight above 0 takes children");
                turns[node].places++;
        }
        for (uint32_t i = 0; i < p->child_count; i++) {
                uint32_t current = p->children[i].current;
                bool stays =
                        current < p->node_count && turns[current].taken < turns[current].places;

                ret_node[i] = stays ? current : BT_PLACEMENT_NOWHERE;
                if (stays)
                        turns[current].taken++;
        }
        for (uint32_t i = 0; i < p->child_count; i++) {
                if (ret_node[i] == BT_PLACEMENT_NOWHERE) {
                        ret_node[i] = next_taker(p, turns);
                        turns[ret_node[i]].taken++;
                }
        }
        return 0;
}

const struct bt_placement_ops bt_placement_round_robin = {.name = "round_robin", .place = place};
