/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Processes that are started ahead of need and stopped before their first line: docs/spares.md.
 *
 *      bt_inc_spawn(hold) ─► ASKED ─► HELD ─► bt_inc_release(): a number, a reason, descriptors ─► an incarnation like any other
 *                                      └────► bt_inc_discard()
 *
 * Two have a use for one: the cold swap for its successor, and the child for its spare. Whoever starts a process gets the spare by bt_inc_start() if it
 * fits, and need not know.
 *
 * A held process is in the list of its child's processes, so that whatever ends all of them ends it; it is nobody's predecessor, holds nothing, says
 * nothing, and nothing of it is worth keeping.
 */
#include "supervisor/hub.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/fd.h"
#include "shm/futex.h"
#include "supervisor/callers.h"
#include "supervisor/migrate.h"

/* A spare is started this long after its child began to run, or used the one before: what is wanted first is the service. */
#define SPARE_REST_NS (20 * BT_NS_PER_MS)

/* ---- held ---- */

/* An auditing library is code before the first line. */
static bool audited(const struct bt_child *child)
{
        const char *at = bt_plan_string(&child->plan->view, child->spec->env);

        for (uint32_t i = 0; i < child->spec->env_count; i++, at = bt_plan_string_next(at)) {
                if (!strncmp(at, "LD_AUDIT=", strlen("LD_AUDIT=")))
                        return true;
        }
        return false;
}

bool bt_held_possible(const struct bt_child *child, const struct bt_binary *binary)
{
        return child->spec->hold && (!child->spec->zygote || child->spec->spare) && child->spec->protocol == BT_PROTOCOL_BATON && binary->holds && !binary->function && !audited(child);
}

void bt_held_said(struct bt_inc *inc)
{
        struct bt_child *child = inc->child;

        if (inc->held_seen || atomic_load(&inc->link->hold) != BT_HOLD_HELD)
                return;
        inc->held_seen = true;
        if (child->spare == inc) {
                bt_loop_timer_disarm(&inc->deadline);
                child->spare_since_ns = bt_now_ns();
                bt_child_publish(child);
        } else if (child->migration && child->migration->succ == inc) {
                bt_migration_event(child->migration, BT_SWAP_EV_HELD);
        }
}

/* What belongs to the incarnation and not to the process; all of it is there before the process may look. */
static int give(struct bt_inc *inc, const struct bt_inc_spawn *how)
{
        struct bt_child *child = inc->child;
        struct bt_link *link = inc->link;

        if (child->number_next > BT_INC_MAX)
                return -EOVERFLOW;
        inc->number = child->number_next++;
        inc->reason = how->reason;
        link->incarnation = inc->number;
        link->reason = how->reason;
        link->slot_idx = how->seat.slot_idx;
        if (inc->entry)
                inc->entry->incarnation = inc->number;
        bt_child_send_kept(child, inc);
        if (how->parcel)
                return bt_parcel_fill(how->parcel, inc->handoff);
        return 0;
}

void bt_inc_release(struct bt_inc *inc, const struct bt_inc_spawn *how)
{
        int r;

        bt_assert(inc->held);
        if (inc->child->spare == inc)
                inc->child->spare = NULL;
        bt_loop_timer_disarm(&inc->deadline);
        inc->held = false;
        r = give(inc, how);
        bt_callers_introduce(inc);
        if (r) {
                bt_child_note(inc->child, "incarnation %llu could not be given its descriptors", (unsigned long long)inc->number);
                bt_inc_kill(inc);
        }
        if (how->ret_handoff)
                *how->ret_handoff = inc->handoff;
        else
                (void)bt_close(inc->handoff);
        inc->handoff = -1;
        BT_POINT("hub.held.release");
        atomic_store(&inc->link->hold, BT_HOLD_RELEASED);
        bt_futex_wake(&inc->link->hold);
        BT_POINT("hub.held.released");
}

void bt_inc_discard(struct bt_inc *inc)
{
        bt_assert(inc->held);
        if (inc->child->spare == inc)
                inc->child->spare = NULL;
        bt_inc_kill(inc);
}

/* ---- the spare ---- */

static bool can_use_spare(const struct bt_child *child)
{
        return !child->hub->stopping && !child->hub->renewal && !child->leaving && child->phase == BT_PHASE_RUNNING && !child->migration && !child->alter &&
               bt_held_possible(child, child->binary);
}

static bool wants_spare(const struct bt_child *child)
{
        return child->spec->spare && can_use_spare(child);
}

static bool spare_fits(const struct bt_inc *spare, const struct bt_binary *binary, const struct bt_holding *holding, const struct bt_hub_node *node)
{
        return !spare->dead && !spare->killed && spare->holding == holding && spare->started_on == node && bt_binary_same(spare->binary, binary);
}

static void on_spare_late(struct bt_loop_timer *timer)
{
        struct bt_inc *inc = bt_container_of(timer, struct bt_inc, deadline);

        inc->child->limits_hit++;
        bt_child_note(inc->child, "its spare did not stop before its first line in time and was killed");
        bt_inc_kill(inc);
}

static void on_spare_timer(struct bt_loop_timer *timer);

static void spare_later(struct bt_child *child, uint64_t wait_ns)
{
        (void)bt_loop_timer_arm(child->hub->loop, &child->spare_timer, bt_ns_add(bt_now_ns(), wait_ns), on_spare_timer);
}

/* The next one comes after a wait that doubles, as after any crash. */
static void spare_failed(struct bt_child *child)
{
        uint64_t wait = child->spare_backoff_ns ? child->spare_backoff_ns : child->spec->backoff_min_ns;

        child->spare_backoff_ns = wait * 2 < child->spec->backoff_max_ns ? wait * 2 : child->spec->backoff_max_ns;
        spare_later(child, wait);
}

static int spare_start(struct bt_child *child, uint32_t hold_flags, char *ret_why, size_t why_bytes)
{
        struct bt_inc_spawn how = {.child = child, .binary = child->binary, .holding = child->holding, .reason = BATON_REASON_FRESH,
                                   .seat = child->seat, .hold = BT_HOLD_ASKED, .hold_flags = hold_flags};
        int r = bt_inc_spawn(&child->spare, &how, ret_why, why_bytes);

        if (r)
                return r;
        (void)bt_loop_timer_arm(child->hub->loop, &child->spare->deadline,
                                bt_ns_add(bt_now_ns(), child->spec->child_migration_timeout_ns), on_spare_late);
        BT_POINT("hub.spare.started");
        return 0;
}

static void on_spare_timer(struct bt_loop_timer *timer)
{
        struct bt_child *child = bt_container_of(timer, struct bt_child, spare_timer);
        char why[256] = "";

        if (child->spare || !wants_spare(child))
                return;
        if (spare_start(child, BT_HOLD_F_POPULATE, why, sizeof(why))) {
                bt_child_note(child, "its spare could not be started: %s", why);
                spare_failed(child);
        }
}

void bt_spare_wanted(struct bt_child *child)
{
        if (child->spare && (!child->spec->spare || !spare_fits(child->spare, child->binary, child->holding, child->seat.node)))
                bt_inc_discard(child->spare);
        if (child->spec->spare && !child->spare && !child->spare_timer.heap_idx)
                spare_later(child, SPARE_REST_NS);
}

/*
 * The kernel has marked the death of the process that serves. How it ended is known, and dealt with, when its memory was taken down and it can be reaped: 0.1 ms
 * later, or 100 ms with a gigabyte. In most cases it will be started again at once, and no code of the program runs in a process that is held, so that one is begun now.
 * If it comes otherwise it is discarded (bt_spare_unwanted()).
 */
void bt_spare_ahead(struct bt_inc *inc)
{
        struct bt_child *child = inc->child;
        char why[256]; /* the restart that follows says it, if it cannot either */

        if (child->current == inc && !child->spare && !inc->told_to_end && can_use_spare(child) && bt_child_restarts_at_once(child))
                (void)spare_start(child, 0, why, sizeof(why));
}

void bt_spare_unwanted(struct bt_child *child)
{
        if (child->spare && !child->spec->spare)
                bt_inc_discard(child->spare);
}

void bt_spare_exited(struct bt_child *child)
{
        bool healthy = child->spare->held_seen && bt_now_ns() - child->spare_since_ns >= child->spec->healthy_ns;

        child->spare = NULL;
        if (healthy)
                child->spare_backoff_ns = 0;
        if (!child->hub->stopping && !child->leaving)
                spare_failed(child);
        bt_child_publish(child);
}

void bt_spare_deinit(struct bt_child *child)
{
        bt_loop_timer_disarm(&child->spare_timer);
}

/* ---- whoever starts a process ---- */

int bt_inc_start(struct bt_inc **ret_inc, const struct bt_inc_spawn *how, char *ret_why, size_t why_bytes)
{
        struct bt_child *child = how->child;
        struct bt_inc *spare = child->spare;

        if (!spare || !spare_fits(spare, how->binary, how->holding, how->seat.node))
                return bt_inc_spawn(ret_inc, how, ret_why, why_bytes);
        child->spare = NULL;
        child->spare_backoff_ns = 0;
        bt_loop_timer_disarm(&spare->deadline);
        if (!how->hold)
                bt_inc_release(spare, how);
        *ret_inc = spare;
        return 0;
}
