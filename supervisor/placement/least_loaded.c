/* SPDX-License-Identifier: Apache-2.0 */
/*
 * By what the nodes have to do. A node's score is what its averages say (the hub samples, bt_load_add() lets old samples decay) and how
 * many children it has for its weight:
 *
 *      score = 0.4 cpu + 0.3 memory + 0.1 queue/(1 + queue)  +  0.2 children/weight of all children          0: idle and empty
 *
 * A child that has no node goes to the least score. The averages do not know yet of what is being placed, so each child that comes is
 * counted as one more average child: what all nodes together have to do, divided by the children that do it. Without that a thousand
 * children would all go to the one node that was idle a moment ago.
 *
 * What runs is moved only when it pays: from the highest score to the least while they are further apart than GAP, one child after the
 * other, the last of the list first, and only to a node that joined or has room: a move that would turn the two around is not made. So
 * a join takes load off the busiest, a leave moves what was on the leaving node, and noise of the averages moves nothing.
 *
 * The work is children times nodes.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "supervisor/placement/placement.h"

#define PART_CPU    0.4
#define PART_MEMORY 0.3
#define PART_QUEUE  0.1
#define PART_COUNT  0.2
#define GAP         0.1

struct desk {
        const struct bt_placement *p;
        uint32_t *node_of;
        double *score;    /* of each node */
        uint32_t *cursor; /* of each node: its children before this index may still be moved away */
        double child;     /* what one more average child adds to the score of a node of weight 1 */
};

static void desk_deinit(struct desk *desk)
{
        free(desk->score);
        free(desk->cursor);
}

/* A figure that is no number, or out of its range, is not believed. */
static double clamp(double x, double max)
{
        return !(x > 0) ? 0 : x < max ? x : max;
}

static double load_of(const struct bt_load *load)
{
        double queue = clamp(load->run_queue, 1e9);

        return PART_CPU * clamp(load->cpu, 1) + PART_MEMORY * clamp(load->memory, 1) +
               PART_QUEUE * queue / (1 + queue);
}

static bool stays(const struct bt_placement *p, const struct bt_placement_child *child)
{
        return child->current < p->node_count && bt_placement_takes(&p->nodes[child->current]);
}

/* The scores before anything is placed, and the price of a child. */
static void desk_weigh(struct desk *desk)
{
        const struct bt_placement *p = desk->p;
        double count = PART_COUNT / (p->child_count ? p->child_count : 1), load = 0, running = 0;

        for (uint32_t i = 0; i < p->node_count; i++) {
                if (p->nodes[i].weight)
                        load += load_of(&p->nodes[i].load) * p->nodes[i].weight;
                desk->score[i] = load_of(&p->nodes[i].load);
                desk->cursor[i] = p->child_count;
        }
        for (uint32_t i = 0; i < p->child_count; i++) {
                uint32_t current = p->children[i].current;

                if (current >= p->node_count)
                        continue;
                running++;
                if (p->nodes[current].weight)
                        desk->score[current] += count / p->nodes[current].weight;
        }
        desk->child = count + (running > 0 ? load / running : 0);
}

static int desk_init(struct desk *desk, const struct bt_placement *p, uint32_t *node_of)
{
        desk->p = p;
        desk->node_of = node_of;
        desk->score = calloc(p->node_count + 1, sizeof(*desk->score));
        desk->cursor = calloc(p->node_count + 1, sizeof(*desk->cursor));
        if (!desk->score || !desk->cursor)
                return -ENOMEM;
        desk_weigh(desk);
        return 0;
}

static double price(const struct desk *desk, uint32_t node)
{
        return desk->child / desk->p->nodes[node].weight;
}

/* Would @a rather have a child than @b? Equal scores go by name: the order of the nodes does not matter. */
static bool before(const struct desk *desk, uint32_t a, uint32_t b)
{
        double x = desk->score[a] + price(desk, a), y = desk->score[b] + price(desk, b);

        if (x < y || x > y)
                return x < y;
        return strcmp(desk->p->nodes[a].name, desk->p->nodes[b].name) < 0;
}

static uint32_t least(const struct desk *desk)
{
        uint32_t best = BT_PLACEMENT_NOWHERE;

        for (uint32_t i = 0; i < desk->p->node_count; i++) {
                if (bt_placement_takes(&desk->p->nodes[i]) &&
                    (best == BT_PLACEMENT_NOWHERE || before(desk, i, best)))
                        best = i;
        }
        return best;
}

/* The highest score among those that have a child to give. */
static uint32_t busiest(const struct desk *desk)
{
        uint32_t worst = BT_PLACEMENT_NOWHERE;

        for (uint32_t i = 0; i < desk->p->node_count; i++) {
                if (bt_placement_takes(&desk->p->nodes[i]) && desk->cursor[i] &&
                    (worst == BT_PLACEMENT_NOWHERE || before(desk, worst, i)))
                        worst = i;
        }
        return worst;
}

/* The last child that runs on @node and was not looked at yet; NOWHERE: none is left. */
static uint32_t take_child(struct desk *desk, uint32_t node)
{
        while (desk->cursor[node]) {
                uint32_t i = --desk->cursor[node];

                if (desk->p->children[i].current == node && desk->node_of[i] == node)
                        return i;
        }
        return BT_PLACEMENT_NOWHERE;
}

static void rebalance(struct desk *desk)
{
        for (;;) {
                uint32_t from = busiest(desk), to = least(desk), child;

                if (from == BT_PLACEMENT_NOWHERE || from == to ||
                    desk->score[from] - desk->score[to] <= GAP ||
                    desk->score[from] - price(desk, from) < desk->score[to] + price(desk, to))
                        return;
                child = take_child(desk, from);
                if (child == BT_PLACEMENT_NOWHERE)
                        continue; /* it has none to give, and is not asked again */
                desk->node_of[child] = to;
                desk->score[from] -= price(desk, from);
                desk->score[to] += price(desk, to);
        }
}

static int place(const struct bt_placement *p, uint32_t *ret_node, char *ret_why, size_t why_bytes)
{
        BT_CLEANUP(desk_deinit) struct desk desk = {0};

        if (desk_init(&desk, p, ret_node))
                return bt_placement_fail(-ENOMEM, ret_why, why_bytes, "out of memory");
        for (uint32_t i = 0; i < p->child_count; i++) {
                if (stays(p, &p->children[i])) {
                        ret_node[i] = p->children[i].current;
                        continue;
                }
                ret_node[i] = least(&desk);
                if (ret_node[i] == BT_PLACEMENT_NOWHERE)
                        return bt_placement_fail(BT_PLACEMENT_E_NO_NODE, ret_why, why_bytes,
                                                 "no node with a weight above 0 takes children");
                desk.score[ret_node[i]] += price(&desk, ret_node[i]);
        }
        rebalance(&desk);
        return 0;
}

const struct bt_placement_ops bt_placement_least_loaded = {.name = "least_loaded", .place = place};
