/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * The children of a hub: a table that grows and shrinks while the hub runs.
 *
 *      order     all of them, in configuration order, then as they were added      bt_hub_foreach_child()
 *      to_load   those that were not asked for in the store yet                    bt_hub_load_all()
 *      unsettled those whose first start is not over                               bt_child_settled()
 *      buckets   all of them by id                                                 bt_hub_child_find()
 *
 * A child is allocated by itself, so its address holds for as long as it is in the table, and adding, finding and removing one cost the same however
 * many there are. It keeps the plan that its spec is in: several can be loaded, the configuration's and fragments that came later, and each goes
 * with the last child that was made from it.
 *
 * Dropped: an array indexed by plan record. It could neither shrink nor have a second plan.
 */

#include <stdint.h>

#include "base/list.h"

struct bt_child;
struct bt_hub;
struct bt_hub_node;
struct bt_plan_ref;
struct bt_replicas;

struct bt_children {
        struct bt_list order;
        struct bt_list to_load;
        struct bt_list unsettled;
        struct bt_child **buckets;
        uint32_t bucket_count; /* a power of two; 0: none yet */
        uint32_t count;
};

void bt_children_init(struct bt_children *children);
void bt_children_free_all(
        struct bt_hub *hub); /* when all processes have ended and the loop does not turn any more */

/*
 * A child from record @idx of @plan (which it refers to), placed on @node; not started: see bt_hub_load_all(). Returns 0, -EEXIST, -ENOSPC (the
 * node's directory is full) or another -errno, said in words.
 */
int bt_hub_child_add(struct bt_hub *hub, struct bt_plan_ref *plan, uint32_t idx,
                     struct bt_hub_node *node, struct bt_child **ret_child);

/* The same for an instance of @replicas, under an id of its own: replicas.h. */
int bt_hub_instance_add(struct bt_replicas *replicas, const char *id, struct bt_hub_node *node, struct bt_child **ret_child);

/* Takes it out and frees it. 0; -EBUSY when it has processes, a migration, a rollout, or a job in the store: try again when that is over. */
int bt_hub_child_remove(struct bt_child *child);

/* NULL: there is none of that id. */
struct bt_child *bt_hub_child_find(const struct bt_hub *hub, const char *id);

/* The one after @child in order; NULL for @child: the first. NULL: there is none. */
struct bt_child *bt_hub_child_after(const struct bt_hub *hub, const struct bt_child *child);

/* The body may add children; it may not remove any. */
#define bt_hub_foreach_child(child, hub)                                                           \
        for (struct bt_child *child = bt_hub_child_after(hub, NULL); child;                        \
             child = bt_hub_child_after(hub, child))
