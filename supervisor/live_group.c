/* SPDX-License-Identifier: Apache-2.0 */
/* Somebody stops, starts or restarts a whole group: the item waits for what the group's own turns make of it. */
#include "supervisor/groups.h"
#include "supervisor/live.h"

#include "base/clock.h"

static void on_deadline(struct bt_loop_timer *timer)
{
        struct bt_live_item *item = bt_container_of(timer, struct bt_live_item, timer);

        bt_live_say(item, BT_CTL_CHILD_FAILED, "it is not %s within the deadline, and goes on",
                    item->group_down ? "down" : "up");
        bt_live_end(item);
}

static void group_start(struct bt_live_item *item)
{
        item->group_down = false;
        if (item->group->around)
                bt_groups_release_group(item->group);
        bt_groups_start(item->group);
}

void bt_live_group_begin(struct bt_live_item *item)
{
        const struct bt_live *live = item->live;

        item->step = BT_LIVE_GROUP;
        if (live->deadline_ns)
                (void)bt_loop_timer_arm(live->hub->loop, &item->timer,
                                        bt_ns_add(bt_now_ns(), live->deadline_ns), on_deadline);
        item->group_down = live->verb != BT_LIVE_START;
        if (live->verb == BT_LIVE_START && !bt_group_is_off(item->group) &&
            item->group->machine.state == BT_GROUP_S_UP) {
                bt_live_say(item, BT_CTL_ALREADY_STARTED, "it runs");
                bt_live_end(item);
        } else if (live->verb == BT_LIVE_START) {
                group_start(item);
        } else {
                bt_groups_stop(item->group);
        }
}

void bt_live_group_turn(struct bt_live_item *item)
{
        const struct bt_hub_group *group = item->group;

        if (item->group_down && !bt_group_is_off(group))
                return;
        if (item->group_down && item->live->verb == BT_LIVE_RESTART) {
                group_start(item);
                return;
        }
        if (item->group_down)
                bt_live_say(item, BT_CTL_STOPPED, "%s", "");
        else if (group->machine.state == BT_GROUP_S_UP)
                bt_live_say(item, BT_CTL_STARTED, "%s", "");
        else if (bt_group_is_off(group) && !group->turn.heap_idx)
                bt_live_say(item, BT_CTL_CHILD_FAILED, "%s",
                            group->note[0] ? group->note : "it went down again");
        else
                return;
        bt_live_end(item);
}
