/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Requests: what is next, what is over, what is remembered. See live.h.
 *
 * A turn does, in this order: items to which something happened; then as many new ones as there is room for; then one write of all states, and one of all
 * notes, that have to be written, if none is under way (so many small removals share an fsync); then the end. Each of these may make the next turn ready, so a turn never
 * repeats itself, and 65536 children cost as many steps and not the square.
 */
#include "supervisor/live.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/clock.h"
#include "supervisor/events.h"
#include "supervisor/groups.h"

static void live_free(struct bt_live *live)
{
        bt_loop_timer_disarm(&live->turn);
        for (uint32_t i = 0; i < live->count; i++)
                bt_loop_timer_disarm(&live->items[i].timer);
        bt_list_foreach_safe (it, &live->waiters)
                bt_list_unlink(it);
        bt_list_unlink(&live->node);
        (void)bt_plan_unref(live->plan);
        free(live);
}

/* Forgets results that are too old or too many; the oldest first. */
static void kept_trim(struct bt_hub *hub)
{
        uint64_t now = bt_now_ns();
        uint32_t kept = 0, items = 0;

        bt_list_foreach (it, &hub->lives) {
                const struct bt_live *live = bt_list_entry(it, struct bt_live, node);

                kept += live->over_ns != 0;
                items += live->over_ns ? live->count : 0;
        }
        bt_list_foreach_safe (it, &hub->lives) {
                struct bt_live *live = bt_list_entry(it, struct bt_live, node);

                if (!live->over_ns || hub->stopping)
                        continue;
                if (kept <= BT_LIVE_KEPT_MAX && items <= BT_LIVE_KEPT_ITEMS_MAX && now - live->over_ns < BT_LIVE_KEPT_NS)
                        continue;
                kept--;
                items -= live->count;
                live_free(live);
        }
}

/* Larger than any before, also of the hub before this one: an old number is never taken for a new request. */
static uint64_t number_next(const struct bt_hub *hub)
{
        uint64_t number = bt_wall_ns() / BT_NS_PER_MS;

        if (!bt_list_empty(&hub->lives)) {
                const struct bt_live *last = bt_list_entry(hub->lives.prev, struct bt_live, node);

                if (number <= last->number)
                        number = last->number + 1;
        }
        return number;
}

struct bt_live *bt_live_new(struct bt_hub *hub, uint32_t count)
{
        struct bt_live *live;
        uint32_t under_way = 0;

        kept_trim(hub);
        bt_list_foreach (it, &hub->lives)
                under_way += !bt_list_entry(it, struct bt_live, node)->over_ns;
        live = under_way < BT_LIVE_UNDER_WAY_MAX ? calloc(1, sizeof(*live) + count * sizeof(live->items[0])) : NULL;
        if (!live)
                return NULL;
        live->hub = hub;
        live->number = number_next(hub);
        live->count = live->left = count;
        bt_list_init(&live->ready);
        bt_list_init(&live->keep);
        bt_list_init(&live->gone);
        bt_list_init(&live->waiters);
        bt_list_init(&live->node);
        bt_list_push(&hub->lives, &live->node);
        for (uint32_t i = 0; i < count; i++) {
                live->items[i].live = live;
                bt_list_init(&live->items[i].ready);
        }
        return live;
}

void bt_live_name(struct bt_live_item *item, const char *id)
{
        (void)snprintf(item->result.child, sizeof(item->result.child), "%s", id);
}

/* The first word about an item is the one that counts. */
void bt_live_say(struct bt_live_item *item, uint32_t what, const char *format, ...)
{
        va_list args;

        if (item->result.what != BT_CTL_PENDING && item->result.what != BT_CTL_STARTED)
                return;
        item->result.what = what;
        va_start(args, format);
        (void)vsnprintf(item->result.text, sizeof(item->result.text), format, args);
        va_end(args);
}

void bt_live_end(struct bt_live_item *item)
{
        struct bt_live *live = item->live;

        bt_assert(item->step != BT_LIVE_OVER);
        bt_loop_timer_disarm(&item->timer);
        bt_list_unlink(&item->ready);
        if (item->child)
                item->child->item = NULL;
        item->child = NULL;
        if (item->begun)
                live->under_way--;
        item->begun = false;
        item->step = BT_LIVE_OVER;
        live->left--;
        live->ok += item->result.what == BT_CTL_STARTED || item->result.what == BT_CTL_REMOVED || item->result.what == BT_CTL_STOPPED;
        bt_live_soon(live);
}

enum bt_ctl_outcome bt_live_outcome(const struct bt_live *live)
{
        uint32_t absent = 0;

        for (uint32_t i = 0; i < live->count; i++)
                absent += live->items[i].result.what == BT_CTL_NOT_FOUND;
        if (live->ok == live->count)
                return BT_CTL_OK;
        return absent == live->count ? BT_CTL_NO_SUCH : BT_CTL_FAILED;
}

/* ---- a turn ---- */

static void live_over(struct bt_live *live)
{
        struct bt_hub *hub = live->hub;

        live->over_ns = bt_now_ns();
        live->plan = bt_plan_unref(live->plan);
        bt_loop_timer_disarm(&live->turn);
        bt_list_foreach_safe (it, &live->waiters) {
                struct bt_live_waiter *waiter = bt_list_entry(it, struct bt_live_waiter, node);

                bt_list_unlink(it);
                waiter->over(waiter, live);
        }
        kept_trim(hub);
}

static void item_turn(struct bt_live_item *item)
{
        if (item->step == BT_LIVE_GROUP)
                bt_live_group_turn(item);
        else if (item->step == BT_LIVE_STARTING)
                bt_live_start_turn(item);
        else if (item->step >= BT_LIVE_SETTLING && item->step < BT_LIVE_OVER)
                bt_leave_turn(item);
}

static void item_begin(struct bt_live_item *item)
{
        struct bt_live *live = item->live;
        bool leaves = live->rolling_back ? item->step == BT_LIVE_UP
                                         : item->step == BT_LIVE_WAITING && live->verb != BT_LIVE_ADD && live->verb != BT_LIVE_START;
        bool removes = live->verb == BT_LIVE_REMOVE || live->verb == BT_LIVE_DELETE;

        if (!leaves && item->step != BT_LIVE_WAITING)
                return; /* it was over before its turn */
        live->under_way++;
        item->begun = true;
        if (item->group)
                bt_live_group_begin(item);
        else if (leaves)
                bt_leave_begin(item, live->rolling_back ? BT_CTL_ROLLED_BACK : removes ? BT_CTL_REMOVED : BT_CTL_STOPPED);
        else
                bt_live_start(item);
}

/* All that were to be started are, or have failed: those that are up stay, or go again. */
static void settle(struct bt_live *live)
{
        bool failed = false;

        for (uint32_t i = 0; i < live->count; i++)
                failed = failed || live->items[i].result.what != BT_CTL_STARTED;
        if (failed && !live->rolling_back) {
                live->rolling_back = true;
                live->next = 0;
                bt_live_soon(live);
                return;
        }
        for (uint32_t i = 0; i < live->count; i++)
                if (live->items[i].step == BT_LIVE_UP)
                        bt_live_end(&live->items[i]);
}

static void live_turn(struct bt_loop_timer *timer)
{
        struct bt_live *live = bt_container_of(timer, struct bt_live, turn);
        uint32_t parallel = live->hub->plan.plan->max_parallel ? live->hub->plan.plan->max_parallel : BT_PLAN_PARALLEL_DEFAULT;
        uint32_t limit = live->plan && !live->rolling_back ? parallel : BT_LIVE_ENDING_MAX;

        while (!bt_list_empty(&live->ready)) {
                struct bt_live_item *item = bt_list_entry(live->ready.next, struct bt_live_item, ready);

                bt_list_unlink(&item->ready);
                item_turn(item);
        }
        if (live->noting && live->plan && !live->next)
                return; /* nothing is started before it is noted */
        while (live->next < live->count && live->under_way < limit)
                item_begin(&live->items[live->next++]);
        if (!live->storing && !bt_list_empty(&live->keep))
                bt_leave_store(live);
        if (!live->noting && !bt_list_empty(&live->gone)) {
                int r = bt_live_forget(live);

                if (r)
                        bt_live_forgotten(live, r);
        }
        if (live->left && live->next == live->count && !live->under_way)
                settle(live);
        if (!live->left && !live->noting)
                live_over(live);
}

void bt_live_soon(struct bt_live *live)
{
        if (!live->over_ns && bt_loop_timer_arm(live->hub->loop, &live->turn, bt_now_ns(), live_turn))
                bt_hub_say(live->hub, "no memory for a timer: request %llu waits for its next event", (unsigned long long)live->number);
}

void bt_live_ready(struct bt_live_item *item)
{
        bt_list_unlink(&item->ready);
        bt_list_push(&item->live->ready, &item->ready);
        bt_live_soon(item->live);
}

void bt_live_begin(struct bt_live *live)
{
        bt_live_soon(live);
}

/* ---- from outside ---- */

struct bt_live *bt_live_find(const struct bt_hub *hub, uint64_t number)
{
        bt_list_foreach (it, &hub->lives) {
                struct bt_live *live = bt_list_entry(it, struct bt_live, node);

                if (live->number == number)
                        return live;
        }
        return NULL;
}

void bt_live_wait(struct bt_live *live, struct bt_live_waiter *waiter)
{
        bt_assert(!live->over_ns);
        bt_list_push(&live->waiters, &waiter->node);
}

void bt_live_running(struct bt_child *child)
{
        if (child->item && child->item->step == BT_LIVE_STARTING) {
                BT_POINT("live.started");
                bt_live_say(child->item, BT_CTL_STARTED, "%s", "");
                bt_live_ready(child->item);
        }
}

void bt_live_gave_up(struct bt_child *child)
{
        if (child->item && child->item->step == BT_LIVE_STARTING) {
                bt_live_say(child->item, BT_CTL_CHILD_FAILED, "%s", child->note);
                bt_live_ready(child->item);
        }
}

void bt_live_group_changed(const struct bt_hub_group *group)
{
        bt_list_foreach (it, &group->hub->lives) {
                struct bt_live *live = bt_list_entry(it, struct bt_live, node);

                for (uint32_t i = 0; live->group_count && i < live->count; i++)
                        if (live->items[i].group == group && live->items[i].step == BT_LIVE_GROUP)
                                bt_live_ready(&live->items[i]);
        }
}

void bt_live_changed(struct bt_child *child)
{
        if (child->item && child->item->step >= BT_LIVE_SETTLING)
                bt_live_ready(child->item);
}

/* ---- the end of the hub ---- */

/* The stop has the children from here on. What is up stays noted, what was being removed, too: nothing was said about it. */
static void item_stop(struct bt_live_item *item)
{
        struct bt_child *child = item->child;

        if (child && child->leaving) {
                child->leaving = false;
                child->asked = false;
                child->captured = item->captured;
        }
        if (item->step != BT_LIVE_UP)
                bt_live_say(item, BT_CTL_CHILD_FAILED, "the hub is stopping: %s",
                            item->live->verb == BT_LIVE_ADD ? "it starts with the hub the next time" : "nothing was done to it");
        bt_live_end(item);
}

void bt_live_stop(struct bt_hub *hub)
{
        bt_list_foreach_safe (it, &hub->lives) {
                struct bt_live *live = bt_list_entry(it, struct bt_live, node);

                if (live->over_ns)
                        continue;
                for (uint32_t i = 0; i < live->count; i++)
                        if (live->items[i].step != BT_LIVE_OVER)
                                item_stop(&live->items[i]);
                live_over(live);
        }
}

void bt_live_free_all(struct bt_hub *hub)
{
        bt_list_foreach_safe (it, &hub->lives)
                live_free(bt_list_entry(it, struct bt_live, node));
}
