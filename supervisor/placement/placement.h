/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Placement: which child belongs on which node. Pure: what there is comes in, one node for each child goes out. Nothing is sampled,
 * moved, read or remembered here; the hub calls it for each plan of joins and leaves and moves those whose answer is not the node they
 * are on.
 *
 *      struct bt_placement p = {.nodes = .., .node_count = .., .children = .., .child_count = ..};
 *      const struct bt_placement_ops *ops = bt_placement_find("consistent_hash");
 *
 *      r = bt_place(ops, &p, node_of, why, sizeof(why));          node_of[i]: index of the node of child i
 *
 *      consistent_hash   by the names alone: a join or a leave moves only what it must                       consistent_hash.c
 *      guided            by a map that somebody wrote; what the map lacks is an error                        guided.c
 *      least_loaded      by what the nodes have to do; what runs is moved only when it pays                  least_loaded.c
 *      round_robin       in turn, as many as the weights say; what is above a node's share moves             round_robin.c
 *
 * Promises, which a strategy of one's own should keep: the same input has the same answer, in another process too; the order of the
 * nodes does not matter; a child is never given to a node that is not available; a leave moves the leaving node's children and no
 * others, a join moves children to the node that joined and nowhere else (least_loaded moves others too when the loads are far apart).
 *
 * Weights are shares: a node of weight 2 gets twice as much as one of weight 1. A node of weight 0 gets children by a map alone.
 *
 * Dropped: spreading the instances of a pool over different nodes. That is for replicas, which are interchangeable (bt_place_replicas()); instances with
 * states of their own are best placed each by itself.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define BT_PLACEMENT_WEIGHT_MAX 65535
#define BT_PLACEMENT_NOWHERE UINT32_MAX

/* What a node has to do, averaged (bt_load_add). What is not known is 0. */
struct bt_load {
        double cpu;       /* of the processors it may use, 0 .. 1 */
        double memory;    /* of the memory it may use, 0 .. 1 */
        double run_queue; /* threads that wait for a processor, for each processor it may use */
};

struct bt_placement_node {
        const char *name; /* different from all others */
        uint32_t weight;  /* 0 .. BT_PLACEMENT_WEIGHT_MAX */
        bool available;   /* false: it leaves, or takes nothing */
        struct bt_load load;
};

struct bt_placement_child {
        const char *id;
        const char *pool;
        uint32_t current; /* index of the node it is on; BT_PLACEMENT_NOWHERE: a new one, or its node is gone */
};

/* Of a map. Several entries of one key are wishes in their order: the first node that is available is taken. */
struct bt_placement_entry {
        const char *key;  /* a child's id, or the name of a pool; an id goes before its pool */
        const char *node;
};

struct bt_placement {
        const struct bt_placement_node *nodes;
        uint32_t node_count;
        const struct bt_placement_child *children;
        uint32_t child_count;
        const struct bt_placement_entry *entries; /* guided */
        uint32_t entry_count;
        void *ctx; /* for a strategy that is not ours */
};

enum bt_placement_result {
        BT_PLACEMENT_E_NO_NODE = 1, /* there are children, and no node takes any */
        BT_PLACEMENT_E_MISSING = 2, /* guided: a child that the map does not know */
        BT_PLACEMENT_E_INVALID = 3, /* guided: an entry with a node that there is not, or none of a child's nodes is available */
        BT_PLACEMENT_E_MISMATCH = 4, /* guided: an entry of no child */
        BT_PLACEMENT_E_BROKEN = 5,  /* the strategy answered nonsense: only one that is not ours */
};

/* A strategy. */
struct bt_placement_ops {
        const char *name;
        /* Fills @ret_node. 0; or BT_PLACEMENT_E_* or -errno, with a sentence in @ret_why. */
        int (*place)(const struct bt_placement *placement, uint32_t *ret_node, char *ret_why, size_t why_bytes);
};

/* One of ours; NULL: there is none of that name. */
const struct bt_placement_ops *bt_placement_find(const char *name);

/* Asks @ops and checks the answer. @ret_node: @placement->child_count places, valid only after 0. */
int bt_place(const struct bt_placement_ops *ops, const struct bt_placement *placement, uint32_t *ret_node, char *ret_why, size_t why_bytes);

/*
 * The nodes of a replicated child, the only one in @placement: the best, the best of the others, and so on, until there are @count or none is left. So
 * with a strategy that keeps its promises a join or a leave changes one of them at most, and the first of them are the same whatever @count is.
 * @ret_nodes: room for @placement->node_count. 0; or -ENOMEM.
 */
int bt_place_replicas(const struct bt_placement_ops *ops, const struct bt_placement *placement, uint32_t count, uint32_t *ret_nodes, uint32_t *ret_count);

/* ---- averages of loads ---- */

/*
 * Takes a sample into an average. An old sample counts the less the longer it is ago: after @memory_ns without news half of what was
 * remembered is gone, whatever the interval between the samples. @elapsed_ns: since the last one; BT_NS_NEVER: the first, which is
 * taken as it is.
 */
void bt_load_add(struct bt_load *average, const struct bt_load *sample, uint64_t elapsed_ns, uint64_t memory_ns);

/* ---- for strategies ---- */

extern const struct bt_placement_ops bt_placement_consistent_hash;
extern const struct bt_placement_ops bt_placement_guided;
extern const struct bt_placement_ops bt_placement_least_loaded;
extern const struct bt_placement_ops bt_placement_round_robin;

/* It gets children by the strategy, not by a map alone. */
static inline bool bt_placement_takes(const struct bt_placement_node *node)
{
        return node->available && node->weight;
}

/* Writes the sentence; returns @result. */
__attribute__((format(printf, 4, 5))) int bt_placement_fail(int result, char *ret_why, size_t why_bytes, const char *format, ...);
