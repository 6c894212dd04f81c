/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who is meant, and a request to remove them: by their ids, or by what they have in common. What happens to each is leave.c.
 */
#include "supervisor/live.h"

#include <string.h>

#include "supervisor/alter.h"

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
        return (!*select->id || !strcmp(child->id, select->id) || !strcmp(child->pool, select->id)) &&
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

static void item_aim(struct bt_live_item *item, const char *id)
{
        struct bt_child *child = bt_hub_child_find(item->live->hub, id);

        bt_live_name(item, id);
        if (!child)
                bt_live_say(item, BT_CTL_NOT_FOUND, "there is no such child");
        else if (child->item)
                bt_live_say(item, BT_CTL_CHILD_FAILED, "request %llu is at work on it: try again when that is over",
                            (unsigned long long)child->item->live->number);
        else if (child->rolling)
                bt_live_say(item, BT_CTL_CHILD_FAILED, "an upgrade of its pool is under way: try again when that is over");
        if (!child || child->item || child->rolling) {
                bt_live_end(item);
                return;
        }
        item->child = child;
        child->item = item;
}

struct bt_live *bt_live_remove_ids(struct bt_hub *hub, const char *ids, size_t bytes)
{
        struct bt_live *live;
        uint32_t count = 0;

        for (const char *at = ids; at < ids + bytes; at += strlen(at) + 1)
                count++;
        live = bt_live_new(hub, count);
        count = 0;
        for (const char *at = ids; live && at < ids + bytes; at += strlen(at) + 1)
                item_aim(&live->items[count++], at);
        return live;
}

struct bt_live *bt_live_remove(struct bt_hub *hub, const struct bt_ctl_select *select)
{
        struct bt_live *live;
        uint32_t count = 0;

        bt_hub_foreach_child (child, hub)
                count += bt_live_selected(child, select);
        live = bt_live_new(hub, count);
        count = 0;
        bt_hub_foreach_child (child, hub)
                if (live && bt_live_selected(child, select))
                        item_aim(&live->items[count++], child->id);
        return live;
}
