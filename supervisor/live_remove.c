/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who is meant, and a request to remove them: by their ids, or by what they have in common. What happens to each is leave.c.
 */
#include "supervisor/live.h"

#include <errno.h>
#include <string.h>

#include "supervisor/alter.h"
#include "supervisor/groups.h"
#include "supervisor/replicas.h"
#include "supervisor/request.h"

/* ---- who is meant ---- */

static bool labels_have(struct bt_labels labels, const char *text)
{
        const char *at = labels.first;

        for (uint32_t i = 0; i < labels.count; i++, at = bt_plan_string_next(at))
                if (!strcmp(at, text))
                        return true;
        return false;
}

bool bt_live_selected(const struct bt_child *child, const struct bt_ctl_select *select)
{
        return (!*select->id || bt_request_matches(child, select->id)) &&
               (!*select->tag || labels_have(bt_child_tags(child), select->tag)) &&
               (!*select->meta || labels_have(bt_child_meta(child), select->meta)) &&
               (!*select->node || !strcmp(child->seat.node->name, select->node));
}

bool bt_live_any(const struct bt_hub *hub, const struct bt_ctl_select *select)
{
        bt_hub_foreach_child (child, hub)
                if (bt_live_selected(child, select))
                        return true;
        return false;
}

/* ---- requests ---- */

/* Who is in the way of the removal of @child; NULL: nobody. The instances of a replicated child go together. */
static const struct bt_child *in_the_way(const struct bt_child *child, const struct bt_live *live)
{
        if (child->item || child->rolling)
                return child;
        if (!child->replicas)
                return NULL;
        bt_list_foreach (it, &child->replicas->instances) {
                const struct bt_child *other = bt_list_entry(it, struct bt_child, instance);

                if ((other->item && other->item->live != live) || other->rolling)
                        return other;
        }
        return NULL;
}

/* Why @verb is not for @child as it is; NULL: it is. */
static const char *misfit(const struct bt_child *child, enum bt_live_verb verb)
{
        bool down = !child->current && !child->migration && (child->phase == BT_PHASE_STOPPED || child->phase == BT_PHASE_FAILED);

        if (child->pause)
                return "its group is stopping it: try again when that is over";
        if (verb == BT_LIVE_DELETE && !down)
                return child->phase == BT_PHASE_BACKOFF ? "it is being restarted: 'baton child stop' it first" : "it runs: 'baton child stop' it first";
        if (child->replicas && verb >= BT_LIVE_STOP)
                return "which instances of a replicated child run is up to its nodes";
        return NULL;
}

/* It is already as @verb would have it. */
static bool is_so(struct bt_live_item *item, struct bt_child *child)
{
        if (item->live->verb == BT_LIVE_START && child->current && child->phase != BT_PHASE_STARTING) {
                bt_live_say(item, BT_CTL_ALREADY_STARTED, "it runs");
                return true;
        }
        if (item->live->verb == BT_LIVE_STOP && !child->current && !child->migration &&
            (child->phase == BT_PHASE_STOPPED || child->phase == BT_PHASE_FAILED)) {
                bt_groups_hold(child);
                bt_live_say(item, BT_CTL_STOPPED, "it did not run");
                return true;
        }
        return false;
}

static void item_have(struct bt_live_item *item, struct bt_child *child)
{
        item->child = child;
        child->item = item;
}

/* @alone: one instance of a replicated child, perhaps, and not all of them. */
static void item_aim(struct bt_live_item *item, const char *id, struct bt_child *child, bool alone)
{
        const struct bt_child *other = child ? in_the_way(child, item->live) : NULL;
        const char *why = child ? misfit(child, item->live->verb) : NULL;

        bt_live_name(item, id);
        if (!child) {
                bt_live_say(item, BT_CTL_NOT_FOUND, "there is no such child");
        } else if (why) {
                bt_live_say(item, BT_CTL_CHILD_FAILED, "%s", why);
        } else if (child->replicas && alone) {
                bt_live_say(item, BT_CTL_CHILD_FAILED, "it is an instance of %s, and would be started again: remove that, or its node",
                            child->replicas->id);
        } else if (other && other->item) {
                bt_live_say(item, BT_CTL_CHILD_FAILED, "request %llu is at work on it: try again when that is over",
                            (unsigned long long)other->item->live->number);
        } else if (other) {
                bt_live_say(item, BT_CTL_CHILD_FAILED, "an upgrade of its pool is under way: try again when that is over");
        } else if (!is_so(item, child)) {
                if (child->replicas)
                        child->replicas->leaving = true;
                item_have(item, child);
                return;
        }
        bt_live_end(item);
}

static uint32_t id_count(const struct bt_hub *hub, const char *id)
{
        const struct bt_replicas *replicas = bt_replicas_find(hub, id);
        uint32_t count = 0;

        if (!replicas || bt_list_empty(&replicas->instances))
                return 1;
        bt_list_foreach (it, &replicas->instances)
                count++;
        return count;
}

/* Returns the next free item. */
static uint32_t id_aim(struct bt_live *live, uint32_t at, const char *id)
{
        const struct bt_replicas *replicas = bt_replicas_find(live->hub, id);
        struct bt_hub_group *group = live->verb >= BT_LIVE_STOP ? bt_groups_find(live->hub, id) : NULL;

        if (group) {
                bt_live_name(&live->items[at], id);
                live->items[at].group = group;
                live->group_count++;
                return at + 1;
        }

        if (!replicas || bt_list_empty(&replicas->instances)) {
                item_aim(&live->items[at], id, bt_hub_child_find(live->hub, id), true);
                return at + 1;
        }
        bt_list_foreach (it, &replicas->instances) {
                struct bt_child *child = bt_list_entry(it, struct bt_child, instance);

                item_aim(&live->items[at++], child->id, child, false);
        }
        return at;
}

struct bt_live *bt_live_remove_ids(struct bt_hub *hub, enum bt_live_verb verb, const char *ids, size_t bytes)
{
        struct bt_live *live;
        uint32_t count = 0;

        for (const char *at = ids; at < ids + bytes; at += strlen(at) + 1)
                count += id_count(hub, at);
        live = bt_live_new(hub, count);
        if (live)
                live->verb = verb;
        count = 0;
        for (const char *at = ids; live && at < ids + bytes; at += strlen(at) + 1)
                count = id_aim(live, count, at);
        return live;
}

/* Not all instances of a replicated child are meant: those of one node, or those that `alter` gave a tag. */
static bool in_part(const struct bt_child *child, const struct bt_ctl_select *select)
{
        bool part = false;

        if (!child->replicas)
                return false;
        bt_list_foreach (it, &child->replicas->instances)
                part = part || !bt_live_selected(bt_list_entry(it, struct bt_child, instance), select);
        return part;
}

struct bt_live *bt_live_remove(struct bt_hub *hub, enum bt_live_verb verb, const struct bt_ctl_select *select)
{
        struct bt_live *live;
        uint32_t count = 0;

        if (verb >= BT_LIVE_STOP && bt_groups_find(hub, select->id) && !*select->tag && !*select->meta && !*select->node)
                return bt_live_remove_ids(hub, verb, select->id, strlen(select->id) + 1);

        bt_hub_foreach_child (child, hub)
                count += bt_live_selected(child, select);
        live = bt_live_new(hub, count);
        if (live)
                live->verb = verb;
        count = 0;
        bt_hub_foreach_child (child, hub)
                if (live && bt_live_selected(child, select))
                        item_aim(&live->items[count++], child->id, child, in_part(child, select));
        return live;
}

int bt_live_remove_children(struct bt_hub *hub, struct bt_child *const *children, uint32_t count)
{
        struct bt_live *live = bt_live_new(hub, count);
        int r = 0;

        if (!live)
                return -EBUSY;
        live->verb = BT_LIVE_REMOVE;
        for (uint32_t i = 0; i < count; i++) {
                struct bt_live_item *item = &live->items[i];

                bt_live_name(item, children[i]->id);
                if (children[i]->item || children[i]->rolling) {
                        bt_live_say(item, BT_CTL_CHILD_FAILED, "something else is at work on it");
                        bt_live_end(item);
                        r = -EBUSY;
                } else {
                        item_have(item, children[i]);
                }
        }
        bt_live_begin(live);
        return r;
}
