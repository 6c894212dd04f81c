/* SPDX-License-Identifier: Apache-2.0 */
#include "supervisor/children.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "supervisor/callers.h"
#include "supervisor/events.h"
#include "supervisor/groups.h"
#include "supervisor/hub.h"
#include "supervisor/mailbox.h"
#include "supervisor/node.h"
#include "supervisor/redistribute.h"
#include "supervisor/replicas.h"
#include "supervisor/request.h"

#define BUCKETS_MIN 64

/* ---- by id ---- */

/* FNV-1a: ids are short, and their choice is up to whoever may write the configuration. */
static uint64_t id_hash(const char *id)
{
        uint64_t hash = UINT64_C(0xcbf29ce484222325);

        for (; *id; id++)
                hash = (hash ^ (uint8_t)*id) * UINT64_C(0x100000001b3);
        return hash;
}

static struct bt_child **bucket_of(const struct bt_children *children, const char *id)
{
        return &children->buckets[id_hash(id) & (children->bucket_count - 1)];
}

static void index_add(struct bt_children *children, struct bt_child *child)
{
        struct bt_child **bucket = bucket_of(children, child->id);

        child->bucket_next = *bucket;
        *bucket = child;
}

static void index_remove(struct bt_children *children, struct bt_child *child)
{
        struct bt_child **at = bucket_of(children, child->id);

        while (*at != child) {
                bt_assert(*at);
                at = &(*at)->bucket_next;
        }
        *at = child->bucket_next;
}

/* Room for one more, at most one child a bucket on average. */
static int index_grow(struct bt_children *children)
{
        struct bt_child **buckets;

        if (children->count < children->bucket_count)
                return 0;
        buckets = calloc(children->bucket_count ? children->bucket_count * (size_t)2 : BUCKETS_MIN,
                         sizeof(void *));
        if (!buckets)
                return -ENOMEM;
        free((void *)children->buckets);
        children->buckets = buckets;
        children->bucket_count = children->bucket_count ? children->bucket_count * 2 : BUCKETS_MIN;
        bt_list_foreach (it, &children->order)
                index_add(children, bt_list_entry(it, struct bt_child, order));
        return 0;
}

struct bt_child *bt_hub_child_find(const struct bt_hub *hub, const char *id)
{
        struct bt_child *child = hub->children.bucket_count ? *bucket_of(&hub->children, id) : NULL;

        while (child && strcmp(child->id, id) != 0)
                child = child->bucket_next;
        return child;
}

/* ---- in order ---- */

struct bt_child *bt_hub_child_after(const struct bt_hub *hub, const struct bt_child *child)
{
        struct bt_list *next = child ? child->order.next : hub->children.order.next;

        return next == &hub->children.order ? NULL : bt_list_entry(next, struct bt_child, order);
}

void bt_children_init(struct bt_children *children)
{
        bt_list_init(&children->order);
        bt_list_init(&children->to_load);
        bt_list_init(&children->unsettled);
}

/* ---- coming and going ---- */

static void child_free(struct bt_child *child)
{
        bt_child_deinit(child);
        bt_seat_give_back(&child->seat);
        free(child->spec_there);
        (void)bt_plan_unref(child->plan);
        free(child->own_id);
        free(child);
}

static struct bt_child *child_new(struct bt_hub *hub, struct bt_plan_ref *plan, uint32_t idx)
{
        struct bt_child *child = calloc(1, sizeof(*child));

        if (!child)
                return NULL;
        bt_list_init(&child->order);
        bt_list_init(&child->to_load);
        bt_list_init(&child->unsettled);
        bt_list_init(&child->incs);
        bt_list_init(&child->instance);
        child->hub = hub;
        child->plan = bt_plan_ref(plan);
        child->plan_idx = idx;
        return child;
}

/* It gets its seat, and is in the table from here on. Takes @child. */
static int child_enter(struct bt_child *child, struct bt_hub_node *node)
{
        struct bt_hub *hub = child->hub;
        struct bt_children *children = &hub->children;
        int r = bt_seat_take(&child->seat, node);

        if (!r)
                r = bt_child_init(child);
        if (r) {
                child_free(child);
                return r;
        }
        index_add(children, child);
        children->count++;
        bt_list_push(&children->order, &child->order);
        bt_list_push(&children->to_load, &child->to_load);
        if (!hub->settled)
                bt_list_push(&children->unsettled, &child->unsettled);
        bt_callers_child_added(child);
        return 0;
}

int bt_hub_child_add(struct bt_hub *hub, struct bt_plan_ref *plan, uint32_t idx,
                     struct bt_hub_node *node, struct bt_child **ret_child)
{
        struct bt_child *child;
        int r;

        bt_assert(idx < plan->view.plan->child_count);
        if (bt_hub_child_find(hub, bt_plan_string(&plan->view, plan->view.children[idx].id)))
                return -EEXIST;
        r = index_grow(&hub->children);
        child = r ? NULL : child_new(hub, plan, idx);
        if (!child)
                return -ENOMEM;
        r = child_enter(child, node);
        if (!r)
                *ret_child = child;
        return r;
}

int bt_hub_instance_add(struct bt_replicas *replicas, const char *id, struct bt_hub_node *node,
                        struct bt_child **ret_child)
{
        struct bt_hub *hub = replicas->hub;
        struct bt_child *child;
        int r;

        if (bt_hub_child_find(hub, id))
                return -EEXIST;
        if (hub->children.count == BT_PLAN_CHILDREN_MAX)
                return -ENOSPC;
        r = index_grow(&hub->children);
        child = r ? NULL : child_new(hub, replicas->plan, replicas->plan_idx);
        if (!child)
                return -ENOMEM;
        child->own_id = strdup(id);
        child->replicas = replicas;
        r = child->own_id ? child_enter(child, node) : -ENOMEM;
        if (r)
                return r;
        child->placed = true;
        bt_list_push(&replicas->instances, &child->instance);
        *ret_child = child;
        return 0;
}

int bt_hub_child_remove(struct bt_child *child)
{
        struct bt_hub *hub = child->hub;
        char name[64]; /* of the mailbox that goes with it; "": others have it */
        bool instance, by_plan;

        if (child->current || child->migration || child->rolling || !bt_list_empty(&child->incs) ||
            child->store_jobs || child->importing)
                return -EBUSY;
        bt_request_forget(hub, child);
        bt_groups_removed(child);
        bt_move_forget(child);
        bt_event(hub, BT_EVENT_CHILD_UNREGISTERED, child, 0, "removed");
        if (hub->load_next == child)
                hub->load_next = bt_hub_child_after(hub, child);
        if (hub->ask_next == child)
                hub->ask_next = bt_hub_child_after(hub, child);
        index_remove(&hub->children, child);
        hub->children.count--;
        bt_list_unlink(&child->order);
        bt_list_unlink(&child->to_load);
        bt_child_settled(child);
        (void)snprintf(name, sizeof(name), "%s", bt_mail_last(child) ? bt_mail_name(child) : "");
        bt_mail_close(child);
        bt_callers_child_removed(child, name);
        instance = child->replicas != NULL;
        by_plan = bt_replicas_leave(child);
        child_free(child);
        if (instance)
                bt_replicas_left(hub, by_plan);
        return 0;
}

void bt_children_free_all(struct bt_hub *hub)
{
        bt_list_foreach_safe (it, &hub->children.order) {
                struct bt_child *child = bt_list_entry(it, struct bt_child, order);

                bt_list_unlink(&child->order);
                bt_list_unlink(&child->to_load);
                bt_list_unlink(&child->unsettled);
                bt_list_unlink(&child->instance);
                child_free(child);
        }
        bt_replicas_free_all(hub);
        free((void *)hub->children.buckets);
        hub->children.buckets = NULL;
        hub->children.bucket_count = hub->children.count = 0;
}
