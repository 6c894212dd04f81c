/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A child leaves the hub: what a stop of the hub does to all, done to one.
 *
 *      SETTLING   a migration is called off; it ends by its own deadlines
 *      ASKED      a holder that keeps a state is asked for it, for handover_data_wait
 *      STORING    the state goes to the store, under the child's id: whoever is added with that id restores it
 *      ENDING     its processes are told to end, with `shutdown` as their patience
 *      GONE       none is left. Its note is removed; the store answers in order, so by then no job of the store knows the child
 *
 * A state that cannot be written is not thrown away: the child is started again with it, and the request says why. With --drop-state nothing is asked
 * and nothing stored, and the stored state goes with the note.
 */
#include "supervisor/live.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/clock.h"
#include "supervisor/alter.h"
#include "supervisor/events.h"
#include "supervisor/groups.h"
#include "supervisor/replicas.h"

#define BATCH_BYTES_MAX (UINT64_C(256) << 20) /* the store keeps a put on the heap until it is written */
#define RETRY_NS (20 * BT_NS_PER_MS) /* the store's queue is full, or somebody else's job of this child is under way */

/* It is asked for its state. One that only stops keeps it, wherever else it goes. */
static bool gives_state(const struct bt_live_item *item)
{
        const struct bt_plan_child *spec = item->child->spec;

        return !item->live->drop_state && (item->what == BT_CTL_REMOVED || item->what == BT_CTL_STOPPED) && spec->handover &&
               spec->protocol == BT_PROTOCOL_BATON && spec->state_form != BATON_STATE_NONE &&
               (spec->durability != BT_DURABILITY_NONE || item->what == BT_CTL_STOPPED);
}

/* And that is stored. A restart goes without the disk. */
static bool keeps_state(const struct bt_live_item *item)
{
        return gives_state(item) && item->child->spec->durability != BT_DURABILITY_NONE && item->live->verb != BT_LIVE_RESTART;
}

/* ---- ending ---- */

static void on_kill(struct bt_loop_timer *timer)
{
        struct bt_live_item *item = bt_container_of(timer, struct bt_live_item, timer);

        item->child->limits_hit++;
        (void)bt_child_end(item->child, 0);
}

static void leave_end(struct bt_live_item *item)
{
        struct bt_child *child = item->child;

        item->step = BT_LIVE_ENDING;
        bt_loop_timer_disarm(&item->timer);
        (void)bt_child_end(child, child->spec->shutdown_ns);
        if (item->live->deadline_ns)
                (void)bt_loop_timer_arm(child->hub->loop, &item->timer, bt_ns_add(bt_now_ns(), item->live->deadline_ns), on_kill);
        bt_live_ready(item);
}

/* ---- its state ---- */

static void on_retry(struct bt_loop_timer *timer)
{
        bt_live_ready(bt_container_of(timer, struct bt_live_item, timer));
}

static void retry(struct bt_live_item *item)
{
        (void)bt_loop_timer_arm(item->live->hub->loop, &item->timer, bt_ns_add(bt_now_ns(), RETRY_NS), on_retry);
}

/* Its process has laid the baton down for this capture, so it ends; the state is in the baton, and the next one has it. */
static void store_failed(struct bt_live_item *item, int result)
{
        item->stays = true;
        bt_live_say(item, BT_CTL_CHILD_FAILED, "its state could not be stored (%s): it is started again with it; --drop-state removes it without",
                    result < 0 ? strerrordesc_np(-result) : "the disk is full");
        leave_end(item);
}

/* One of many that did not fit, or that could not be read, must not keep the others: after a failure each is tried by itself. */
static void item_stored(struct bt_live_item *item, bool with_others, int result)
{
        item->storing = false;
        item->child->store_jobs--;
        if (!result) {
                leave_end(item);
        } else if (with_others) {
                item->alone = true;
                bt_live_ready(item);
        } else {
                store_failed(item, result);
        }
}

static void on_stored(void *ctx, int result, const struct bt_record *record)
{
        struct bt_live *live = ctx;
        uint32_t count = 0;

        (void)record;
        live->storing = false;
        if (live->over_ns)
                return; /* the hub stops, and has the children */
        for (uint32_t i = 0; i < live->count; i++)
                count += live->items[i].storing;
        for (uint32_t i = 0; i < live->count; i++)
                if (live->items[i].storing)
                        item_stored(&live->items[i], count > 1, result);
        bt_live_soon(live);
}

/* Those for the next put: all there are, up to so many bytes, or one by itself. */
static size_t batch_take(struct bt_live *live, struct bt_live_item **batch)
{
        uint64_t bytes = 0;
        size_t n = 0;

        bt_list_foreach_safe (it, &live->keep) {
                struct bt_live_item *item = bt_list_entry(it, struct bt_live_item, ready);

                bytes += item->child->holding->baton->meta.bytes;
                if (n && (item->alone || bytes > BATCH_BYTES_MAX))
                        break;
                bt_list_unlink(it);
                batch[n++] = item;
                if (item->alone || n == BT_LIVE_ENDING_MAX)
                        break;
        }
        return n;
}

void bt_leave_store(struct bt_live *live)
{
        struct bt_live_item *batch[BT_LIVE_ENDING_MAX];
        uint64_t sequences[BT_LIVE_ENDING_MAX] = {0};
        size_t n = batch_take(live, batch);
        struct bt_store_item *records = calloc(n + 1, sizeof(*records));
        int r = -ENOMEM;

        for (size_t i = 0; records && i < n; i++) {
                bt_child_fill_record(&records[i], batch[i]->child);
                sequences[i] = records[i].record.sequence;
        }
        if (records)
                r = bt_store_put(live->hub->store, records, n, on_stored, live);
        free(records);
        live->storing = !r;
        for (size_t i = 0; i < n; i++) {
                if (!r) {
                        batch[i]->storing = true;
                        batch[i]->sequence = sequences[i];
                        batch[i]->child->store_jobs++;
                } else if (r == -EBUSY) {
                        retry(batch[i]);
                } else {
                        store_failed(batch[i], r);
                }
        }
}

static void leave_store(struct bt_live_item *item)
{
        const struct bt_baton *baton = item->child->holding->baton;

        item->step = BT_LIVE_STORING;
        if (baton->meta.present != 1 || baton->meta.bytes > baton->state_bytes_max) {
                leave_end(item);
                return;
        }
        bt_list_push(&item->live->keep, &item->ready);
        bt_live_soon(item->live);
}

static void on_no_state(struct bt_loop_timer *timer)
{
        struct bt_live_item *item = bt_container_of(timer, struct bt_live_item, timer);

        item->child->limits_hit++;
        bt_live_captured(item->child, false);
}

void bt_live_captured(struct bt_child *child, bool whole)
{
        struct bt_live_item *item = child->item;

        if (!child->asked)
                return;
        child->asked = false;
        item->captured = whole;
        bt_loop_timer_disarm(&item->timer);
        if (whole)
                bt_event(child->hub, BT_EVENT_STATE_CAPTURED, child, 0, "%llu bytes", (unsigned long long)child->state_bytes);
        else
                bt_event(child->hub, BT_EVENT_STATE_MISSING, child, 0, "it gave none");
        bt_live_ready(item);
}

static void leave_keep(struct bt_live_item *item)
{
        if (keeps_state(item))
                leave_store(item);
        else
                leave_end(item);
}

static void leave_ask(struct bt_live_item *item)
{
        struct bt_child *child = item->child;
        struct bt_inc *inc = child->current;

        if (!gives_state(item)) {
                leave_end(item);
                return;
        }
        if (!inc) {
                bt_child_salvage(child);
                item->captured = child->captured;
                leave_keep(item);
                return;
        }
        if (!bt_baton_serves(inc->holding->baton, inc->number)) {
                leave_end(item); /* not serving yet: a state from the store is still in the store */
                return;
        }
        item->step = BT_LIVE_ASKED;
        child->asked = true;
        (void)bt_loop_timer_arm(child->hub->loop, &item->timer, bt_ns_add(bt_now_ns(), child->spec->handover_data_wait_ns), on_no_state);
        bt_inc_say(inc, BT_MSG_CAPTURE, 0, 0, BATON_CAPTURE_SHUTDOWN, 0);
}

/* ---- the way out ---- */

void bt_leave_begin(struct bt_live_item *item, uint32_t what)
{
        struct bt_child *child = item->child;

        bt_assert(child && child->item == item);
        item->what = what;
        item->step = BT_LIVE_SETTLING;
        if (what == BT_CTL_ROLLED_BACK && child->replicas)
                child->replicas->leaving = true; /* all of its instances are of this request */
        child->leaving = true;
        if (child->current || child->migration)
                child->captured = false;
        bt_groups_hold(child);
        child->phase = BT_PHASE_STOPPING;
        bt_loop_timer_disarm(&item->timer);
        bt_loop_timer_disarm(&child->restart_timer);
        bt_list_unlink(&child->to_load);
        bt_alter_free(child); /* its start may have waited for a command */
        bt_child_publish(child);
        if (child->migration)
                bt_migration_cancel(child->migration);
        bt_live_ready(item);
}

/* It goes on as if it had not been asked to leave. */
static void leave_back(struct bt_live_item *item)
{
        struct bt_child *child = item->child;

        child->leaving = false;
        bt_live_end(item);
        bt_child_start(child, BATON_REASON_CRASH);
}

/* It is down, and its spec stays. What it captured is in its baton, and perhaps in the store: whoever starts it next has it. */
static void leave_stopped(struct bt_live_item *item)
{
        struct bt_child *child = item->child;

        child->leaving = false;
        child->phase = BT_PHASE_STOPPED;
        child->paused = true;
        child->captured = item->captured && child->spec->durability != BT_DURABILITY_NONE;
        if (item->sequence)
                child->stored_sequence = item->sequence;
        (void)snprintf(child->note, sizeof(child->note), "stopped by 'baton child %s'", item->live->verb == BT_LIVE_STOP ? "stop" : "restart");
        bt_child_publish(child);
        bt_event(child->hub, BT_EVENT_CHILD_STOPPED, child, 0, "%s", child->note);
        bt_child_settled(child);
        BT_POINT("live.stopped");
        if (item->live->verb == BT_LIVE_RESTART) {
                bt_live_start(item);
                return;
        }
        bt_live_say(item, BT_CTL_STOPPED, "%s", "");
        bt_live_end(item);
}

static void leave_gone(struct bt_live_item *item)
{
        struct bt_child *child = item->child;

        child->phase = BT_PHASE_STOPPED;
        bt_child_publish(child);
        BT_POINT("live.gone");
        item->step = BT_LIVE_GONE;
        bt_list_push(&item->live->gone, &item->ready);
        bt_live_soon(item->live);
}

void bt_leave_turn(struct bt_live_item *item)
{
        struct bt_child *child = item->child;

        switch (item->step) {
        case BT_LIVE_SETTLING:
                if (!child->migration)
                        leave_ask(item);
                break;
        case BT_LIVE_ASKED:
                if (child->asked)
                        break;
                if (item->captured)
                        leave_keep(item);
                else
                        leave_end(item);
                break;
        case BT_LIVE_STORING:
                if (!item->storing)
                        leave_store(item); /* again: it failed, or something happened while it waited */
                break;
        case BT_LIVE_ENDING:
                if (!bt_list_empty(&child->incs))
                        break;
                bt_loop_timer_disarm(&item->timer);
                if (item->stays)
                        leave_back(item);
                else if (item->what == BT_CTL_STOPPED && child->loading)
                        retry(item);
                else if (item->what == BT_CTL_STOPPED)
                        leave_stopped(item);
                else
                        leave_gone(item);
                break;
        case BT_LIVE_GONE:
                leave_gone(item); /* somebody's job was under way */
                break;
        default:
                break;
        }
}

bool bt_live_lets_go(const struct bt_child *child)
{
        return child->leaving && child->item->step >= BT_LIVE_ENDING && !child->item->stays;
}

/* ---- gone ---- */

static void item_forgotten(struct bt_live_item *item, int result)
{
        struct bt_child *child = item->child;
        bool of_file = child->plan == child->hub->plan_ref;

        child->item = NULL;
        if (bt_hub_child_remove(child)) {
                child->item = item;
                retry(item);
                return;
        }
        item->child = NULL;
        if (result)
                bt_live_say(item, BT_CTL_CHILD_FAILED, "it has ended, but the store could not be written (%s): it comes back at the next start of the hub",
                            result < 0 ? strerrordesc_np(-result) : "the disk is full");
        else if (item->what == BT_CTL_REMOVED)
                bt_live_say(item, BT_CTL_REMOVED, "%s", of_file ? "it is in the configuration, and comes back at the next start of the hub" : "");
        else
                bt_live_say(item, item->what, "removed again, because another child of the request was not started");
        bt_live_end(item);
}

void bt_live_forgotten(struct bt_live *live, int result)
{
        live->noting = false;
        BT_POINT("live.forgotten");
        if (live->over_ns)
                return;
        for (uint32_t i = 0; i < live->count; i++) {
                struct bt_live_item *item = &live->items[i];

                if (item->step == BT_LIVE_GONE && item->forgetting) {
                        item->forgetting = false;
                        bt_list_unlink(&item->ready);
                        item_forgotten(item, result);
                }
        }
        bt_live_soon(live);
}
