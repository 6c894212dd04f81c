/* SPDX-License-Identifier: Apache-2.0 */
/*
 * By a map: somebody has said where each child belongs. What the map does not say is an error and not a guess, because who writes a map
 * has a reason (a device, a licence, a file) that no other node satisfies.
 *
 *      missing    a child without an entry, of its own or of its pool
 *      invalid    an entry with a node that there is not; or none of a child's nodes is available now
 *      mismatch   an entry of a child and pool that there are not: a name that was mistyped, and some child is not where it was meant to be
 *
 * All entries are checked before a child is placed. Entries are found by a sorted index: the work is (children + entries) * log(entries).
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "supervisor/placement/placement.h"

/* An entry in the index; equal keys are in the order of the map. */
struct row {
        const struct bt_placement_entry *entry;
        uint32_t node;
        bool used;
};

struct map {
        struct row *rows;
        uint32_t count;
};

static void map_deinit(struct map *map)
{
        free(map->rows);
}

static int row_compare(const void *a, const void *b)
{
        const struct row *x = a, *y = b;
        int r = strcmp(x->entry->key, y->entry->key);

        return r ? r : (x->entry > y->entry) - (x->entry < y->entry);
}

static uint32_t node_named(const struct bt_placement *p, const char *name)
{
        uint32_t i = 0;

        while (i < p->node_count && strcmp(p->nodes[i].name, name) != 0)
                i++;
        return i < p->node_count ? i : BT_PLACEMENT_NOWHERE;
}

static int map_init(struct map *map, const struct bt_placement *p, char *ret_why, size_t why_bytes)
{
        map->rows = calloc(p->entry_count + 1, sizeof(*map->rows));
        if (!map->rows)
                return bt_placement_fail(-ENOMEM, ret_why, why_bytes, "out of memory");
        for (uint32_t i = 0; i < p->entry_count; i++) {
                const struct bt_placement_entry *entry = &p->entries[i];
                uint32_t node = node_named(p, entry->node);

                if (node == BT_PLACEMENT_NOWHERE)
                        return bt_placement_fail(
                                BT_PLACEMENT_E_INVALID, ret_why, why_bytes,
                                "the map sends %s to '%s', and there is no such node", entry->key,
                                entry->node);
                map->rows[map->count++] = (struct row){.entry = entry, .node = node};
        }
        qsort(map->rows, map->count, sizeof(*map->rows), row_compare);
        return 0;
}

/* The first row of @key; @map->count: there is none. */
static uint32_t map_find(const struct map *map, const char *key)
{
        uint32_t low = 0, high = map->count;

        while (low < high) {
                uint32_t middle = low + (high - low) / 2;

                if (strcmp(map->rows[middle].entry->key, key) < 0)
                        low = middle + 1;
                else
                        high = middle;
        }
        return low < map->count && !strcmp(map->rows[low].entry->key, key) ? low : map->count;
}

static int place_one(const struct bt_placement *p, struct map *map,
                     const struct bt_placement_child *child, uint32_t *ret_node, char *ret_why,
                     size_t why_bytes)
{
        uint32_t own = map_find(map, child->id), pool = map_find(map, child->pool);
        uint32_t first = own < map->count ? own : pool;

        if (first == map->count)
                return bt_placement_fail(BT_PLACEMENT_E_MISSING, ret_why, why_bytes,
                                         "the map has no entry for %s, nor for its pool",
                                         child->id);
        if (own < map->count)
                map->rows[own].used = true;
        if (pool < map->count)
                map->rows[pool].used =
                        true; /* also when all of its children have entries of their own */
        for (uint32_t i = first;
             i < map->count && !strcmp(map->rows[i].entry->key, map->rows[first].entry->key); i++) {
                if (p->nodes[map->rows[i].node].available) {
                        *ret_node = map->rows[i].node;
                        return 0;
                }
        }
        return bt_placement_fail(
                BT_PLACEMENT_E_INVALID, ret_why, why_bytes,
                "the map sends %s to '%s', which takes nothing: give it one more node", child->id,
                map->rows[first].entry->node);
}

static int place(const struct bt_placement *p, uint32_t *ret_node, char *ret_why, size_t why_bytes)
{
        BT_CLEANUP(map_deinit) struct map map = {0};
        int r = map_init(&map, p, ret_why, why_bytes);

        for (uint32_t i = 0; !r && i < p->child_count; i++)
                r = place_one(p, &map, &p->children[i], &ret_node[i], ret_why, why_bytes);
        for (uint32_t i = 0; !r && i < map.count; i++) {
                /* Rows of one key are neighbours, and the first of them is marked for all. */
                bool first = !i || strcmp(map.rows[i - 1].entry->key, map.rows[i].entry->key) != 0;

                if (first && !map.rows[i].used)
                        r = bt_placement_fail(
                                BT_PLACEMENT_E_MISMATCH, ret_why, why_bytes,
                                "the map has an entry for '%s', and there is no such child or pool",
                                map.rows[i].entry->key);
        }
        return r;
}

const struct bt_placement_ops bt_placement_guided = {.name = "guided", .place = place};
