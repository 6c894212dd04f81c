/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A strategy of the program that the hub is in: its callback in the place of one of ours (supervisor/placement/). What it is asked and what it answers
 * goes through the same interface and the same check, so an answer that makes no sense moves nobody.
 *
 * It is asked from the middle of a plan, unlike all other callbacks, which are run between two turns: a plan is made of what is true now, and half a
 * turn later a node may be gone. That is why it may call nothing of the hub.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "supervisor/embed.h"

static void question_free(struct baton_hub_place *q)
{
        free((void *)q->nodes);
        free((void *)q->children);
}

static int question_make(struct baton_hub_place *q, const struct bt_placement *p)
{
        struct baton_hub_place_node *nodes = calloc(p->node_count + (size_t)1, sizeof(*nodes));
        struct baton_hub_place_child *children =
                calloc(p->child_count + (size_t)1, sizeof(*children));

        *q = (struct baton_hub_place){.size = sizeof(*q),
                                      .nodes = nodes,
                                      .children = children,
                                      .node_count = p->node_count,
                                      .child_count = p->child_count};
        if (!nodes || !children)
                return -ENOMEM;
        for (uint32_t i = 0; i < p->node_count; i++)
                nodes[i] = (struct baton_hub_place_node){.name = p->nodes[i].name,
                                                         .weight = p->nodes[i].weight,
                                                         .available = p->nodes[i].available,
                                                         .cpu = p->nodes[i].load.cpu,
                                                         .memory = p->nodes[i].load.memory,
                                                         .run_queue = p->nodes[i].load.run_queue};
        for (uint32_t i = 0; i < p->child_count; i++)
                children[i] = (struct baton_hub_place_child){.id = p->children[i].id,
                                                             .pool = p->children[i].pool,
                                                             .current = p->children[i].current};
        return 0;
}

static int place_own(const struct bt_placement *p, uint32_t *ret_node, char *ret_why, size_t why_bytes)
{
        const struct bt_embed *embed = p->ctx;
        BT_CLEANUP(question_free) struct baton_hub_place question = {0};
        int r = question_make(&question, p);

        if (r)
                return bt_placement_fail(r, ret_why, why_bytes, "out of memory");
        for (uint32_t i = 0; i < p->child_count; i++)
                ret_node[i] = BT_PLACEMENT_NOWHERE;
        r = embed->place(embed->place_ctx, &question, ret_node);
        return r ? bt_placement_fail(BT_PLACEMENT_E_BROKEN, ret_why, why_bytes,
                                     "the strategy %s failed: %s", embed->place_ops.name,
                                     r < 0 ? baton_strerror(r) : "it says no")
                 : 0;
}

static bool name_valid(const char *name)
{
        return name && bt_plan_name_valid(name, strlen(name));
}

/* One of ours; BT_DISTRIBUTION_DEFAULT: none of that name that can be chosen here. The map of `guided` is a configuration's. */
static enum bt_distribution ours(const char *name)
{
        if (!strcmp(name, "consistent_hash"))
                return BT_DISTRIBUTION_CONSISTENT_HASH;
        if (!strcmp(name, "least_loaded"))
                return BT_DISTRIBUTION_LEAST_LOADED;
        return strcmp(name, "round_robin") != 0 ? BT_DISTRIBUTION_DEFAULT
                                                : BT_DISTRIBUTION_ROUND_ROBIN;
}

int baton_hub_distribute(struct baton_hub *hub, const char *name, baton_hub_place_fn place, void *ctx)
{
        char *copy;

        if (!hub || !name_valid(name) || (place ? bt_placement_find(name) != NULL : !ours(name)))
                return -EINVAL;
        if (hub->started)
                return -EBUSY;
        copy = strdup(name);
        if (!copy)
                return -ENOMEM;
        free((void *)hub->embed.place_ops.name);
        hub->embed.place_ops = (struct bt_placement_ops){.name = copy, .place = place_own};
        hub->embed.place = place;
        hub->embed.place_ctx = ctx;
        hub->planner.distribution = place ? BT_DISTRIBUTION_DEFAULT : ours(name);
        return 0;
}
