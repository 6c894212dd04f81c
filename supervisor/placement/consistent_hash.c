/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Rendezvous hashing with weights: each node bids for each child, the highest bid has it.
 *
 *      u = hash(node, child) as a number in (0, 1)         bid = weight / -log2(u)
 *
 * A bid depends on that node and that child alone. So a node that leaves takes its own bids along and nobody else's: the children it
 * had go to their second best, all others stay. One that joins wins exactly the children on which it bids most. -log2(u) of a uniform u
 * is exponentially distributed, and among exponentials with rates w the first is number i with the probability w[i] / sum(w): so the
 * shares are the weights, and changing one weight moves children only to or from that node.
 *
 * All of it is done in integers: the same names are placed alike on every machine, whatever its libm rounds. Two bids are compared
 * crosswise, weight[a] * log[b] > weight[b] * log[a]: 16 bits of a weight and 38 of a logarithm fit. Equal bids (2^-64) go to the
 * lesser name, so that the order of the nodes does not matter then either.
 *
 * Dropped: a ring of points. It needs hundreds of points a node for shares that are as even, and memory that is kept in step.
 */
#define XXH_INLINE_ALL

#include <stdbool.h>
#include <string.h>

#include <xxhash.h>

#include "supervisor/placement/placement.h"

#define FRACTION_BITS 32

struct bid {
        uint64_t log;
        uint32_t weight;
};

/* -log2(@hash / 2^64) with FRACTION_BITS after the point, at least 1. Squaring a number doubles its logarithm: so come the bits, one by one. */
static uint64_t minus_log2(uint64_t hash)
{
        unsigned zeros = (unsigned)__builtin_clzll(hash |= 1);
        unsigned __int128 x = hash << zeros; /* 1 <= x < 2, with 63 bits after the point */
        uint64_t log = 63 - zeros;

        for (int i = 0; i < FRACTION_BITS; i++) {
                x = x * x >> 63;
                log = log << 1 | (uint64_t)(x >> 64);
                x >>= (unsigned)(x >> 64);
        }
        return (UINT64_C(64) << FRACTION_BITS) - log;
}

static struct bid bid_of(const struct bt_placement_node *node,
                         const struct bt_placement_child *child)
{
        uint64_t seed = XXH3_64bits(node->name, strlen(node->name));

        return (struct bid){minus_log2(XXH3_64bits_withSeed(child->id, strlen(child->id), seed)),
                            node->weight};
}

static bool bid_higher(const struct bid *a, const struct bid *b)
{
        return a->weight * b->log > b->weight * a->log;
}

static uint32_t best_node(const struct bt_placement *placement,
                          const struct bt_placement_child *child)
{
        uint32_t best = BT_PLACEMENT_NOWHERE;
        struct bid highest = {0};

        for (uint32_t i = 0; i < placement->node_count; i++) {
                const struct bt_placement_node *node = &placement->nodes[i];
                struct bid bid;

                if (!bt_placement_takes(node))
                        continue;
                bid = bid_of(node, child);
                if (best == BT_PLACEMENT_NOWHERE || bid_higher(&bid, &highest) ||
                    (!bid_higher(&highest, &bid) &&
                     strcmp(node->name, placement->nodes[best].name) < 0)) {
                        best = i;
                        highest = bid;
                }
        }
        return best;
}

static int place(const struct bt_placement *placement, uint32_t *ret_node, char *ret_why,
                 size_t why_bytes)
{
        for (uint32_t i = 0; i < placement->child_count; i++) {
                ret_node[i] = best_node(placement, &placement->children[i]);
                if (ret_node[i] == BT_PLACEMENT_NOWHERE)
                        return bt_placement_fail(BT_PLACEMENT_E_NO_NODE, ret_why, why_bytes,
                                                 "no node with a weight above 0 takes children");
        }
        return 0;
}

const struct bt_placement_ops bt_placement_consistent_hash = {.name = "consistent_hash",
                                                              .place = place};
