/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What becomes of a state that cannot be used.
 *
 *      too old for its TTL ─────────────┐
 *      torn: its holder died in a bracket│        fresh      set aside, the child starts without it
 *      refused restore_attempts times ───┼─ on_ ──fail       the child does not start; the state stays where it is
 *      corrupt, or of a schema, size or ─┘  bad_  keep_old   the same, but the restart policy tries again
 *      address that nobody here can use     state
 *
 * "Set aside" is the store's quarantine (I9): a state that came from the store is moved there; one that was only in shared memory is written there from
 * its segment, on the store's thread, while the child already has a new one. A segment that was set aside belongs to nobody else any more, so
 * nobody writes into it while it is read.
 *
 * A migration that meets such a state is rolled back whatever the policy says, as long as there is somebody to go back to: what one binary
 * cannot restore another one could. So the policy is asked in one place only, before a process is started without a predecessor.
 *
 * Dropped: judging a state by its age after a crash. An arena that outlived its holder is not on its way from one process to another; it is the
 * child's present.
 */
#include "supervisor/state.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <baton/errors.h>

#include "base/check.h"
#include "base/clock.h"
#include "shm/arena.h"
#include "shm/record.h"
#include "supervisor/events.h"

/* ---- what there is ---- */

/* The arena as a state: how much of it there is; 0: none that could be looked at. */
static uint64_t arena_bytes(const struct bt_holding *holding)
{
        const struct bt_baton *baton = holding->baton;
        struct bt_arena head;

        if (pread(holding->fd, &head, sizeof(head), (off_t)baton->state_off) != (ssize_t)sizeof(head) || head.magic != BT_MAGIC_ARENA)
                return 0;
        return head.top <= baton->state_bytes_max ? head.top : baton->state_bytes_max;
}

bool bt_state_item(struct bt_child *child, struct bt_store_item *ret_item)
{
        struct bt_baton *baton = child->holding->baton;
        struct bt_store_item item = {0};

        if (child->spec->protocol != BT_PROTOCOL_BATON || child->spec->state_form == BATON_STATE_NONE)
                return false;
        bt_child_fill_record(&item, child);
        if (child->spec->state_form == BATON_STATE_ARENA) {
                item.record.payload_bytes = arena_bytes(child->holding);
                if (atomic_load(&baton->bracket))
                        item.record.flags |= BT_RECORD_F_TORN;
                if (!item.record.payload_bytes)
                        return false;
        } else if (baton->meta.present != 1 || item.record.payload_bytes > baton->state_bytes_max) {
                return false;
        }
        *ret_item = item;
        return true;
}

bool bt_state_stale(const struct bt_child *child)
{
        return bt_state_stale_in(child, 0);
}

bool bt_state_stale_in(const struct bt_child *child, uint64_t ns)
{
        const struct bt_state_meta *meta = &child->holding->baton->meta;
        struct bt_record record = {.boot_ns = meta->boot_ns, .wall_ns = meta->wall_ns, .ttl_ns = child->spec->state_ttl_ns};

        if (!child->in_transit)
                return false;
        (void)bt_boot_id(record.boot_id);
        return bt_record_age(&record, record.boot_id, bt_ns_add(bt_boot_ns(), ns), bt_ns_add(bt_wall_ns(), ns)) != BT_RECORD_AGE_OK;
}

/* ---- setting aside ---- */

static void on_set_aside(void *ctx, int result, const struct bt_record *record)
{
        struct bt_child *child = ctx;

        (void)record;
        child->store_jobs--;
        if (result != BT_STORE_OK && result != BT_STORE_E_ABSENT)
                bt_child_note(child, "a state could not be set aside and is LOST: %s",
                              result == BT_STORE_E_ROOM ? "the disk is full" : result < 0 ? strerrordesc_np(-result) : "it cannot be read");
}

static void on_moved_aside(void *ctx, int result, const struct bt_record *record)
{
        struct bt_child *child = ctx;

        (void)record;
        child->store_jobs--;
        if (result != BT_STORE_OK && result != BT_STORE_E_ABSENT)
                bt_child_note(child, "its stored state could not be set aside: %s",
                              result == BT_STORE_E_ROOM ? "the disk is full" : result < 0 ? strerrordesc_np(-result) : "it cannot be read");
}

void bt_state_move_aside(struct bt_child *child, uint64_t sequence)
{
        int r;

        child->store_jobs++;
        r = bt_store_quarantine(child->hub->store, child->id, sequence, on_moved_aside, child);
        if (r)
                on_moved_aside(child, r, NULL);
}

int bt_state_set_aside(struct bt_child *child)
{
        struct bt_store_item item;
        int r = 0;

        if (child->stored_sequence || bt_child_is_durable(child))
                bt_state_move_aside(child, child->stored_sequence); /* durable: the last checkpoint on the disk, too */
        if (!child->stored_sequence && bt_state_item(child, &item)) {
                child->store_jobs++;
                r = bt_store_put_aside(child->hub->store, &item, on_set_aside, child);
        }
        if (r)
                on_set_aside(child, r, NULL);
        r = bt_child_fresh_baton(child);
        if (r)
                bt_child_note(child, "no memory for a fresh baton: %s", strerrordesc_np(-r));
        return r;
}

/* ---- the policy ---- */

bool bt_state_refuse(struct bt_child *child, const char *what)
{
        child->limits_hit++;
        switch ((enum bt_bad_state)child->spec->on_bad_state) {
        case BT_BAD_STATE_FAIL:
                bt_child_note(child, "its state %s: not started (on_bad_state: fail)", what);
                bt_child_give_up(child);
                return false;
        case BT_BAD_STATE_KEEP_OLD:
                bt_child_note(child, "its state %s: not started now (on_bad_state: keep_old)", what);
                bt_child_down(child, NULL);
                return false;
        case BT_BAD_STATE_FRESH:
        case _BT_BAD_STATE_N:
                break;
        }
        bt_event(child->hub, BT_EVENT_STATE_QUARANTINED, child, child->number_next - 1, "%s", what);
        bt_child_note(child, "its state %s and was set aside: starting fresh", what);
        return true;
}

bool bt_state_usable(struct bt_child *child)
{
        char what[160] = "";

        if (child->spec->state_form == BATON_STATE_ARENA &&
            bt_child_recover(child, child->holding, what, sizeof(what)) == BT_RECOVERED_NOTHING)
                (void)snprintf(what, sizeof(what), "is torn (its process died in the middle of an update)");
        else if (bt_state_stale(child))
                (void)snprintf(what, sizeof(what), "is older than state_ttl");
        else if (child->restore_failures >= child->spec->restore_attempts)
                (void)snprintf(what, sizeof(what), "could not be restored %u times", child->restore_failures);
        else
                return true;
        if (!bt_state_refuse(child, what))
                return false;
        (void)bt_state_set_aside(child);
        return true;
}

/* A sum that is wrong will be wrong the next time. All else is tried again: also a schema, because the next start may be another binary's. */
void bt_state_restore_failed(struct bt_child *child, const struct bt_inc *inc)
{
        switch (inc->refused_error) {
        case BATON_E_CORRUPT:
        case BATON_E_TORN:
                child->restore_failures = child->spec->restore_attempts;
                break;
        default:
                child->restore_failures++;
                break;
        }
}

/* ---- import ---- */

void bt_state_import_begin(struct bt_child *child)
{
        bt_loop_timer_disarm(&child->restart_timer);
        child->phase_after = child->phase;
        child->phase = BT_PHASE_STARTING;
        child->importing = true;
        bt_child_publish(child);
}

void bt_state_import_end(struct bt_child *child)
{
        child->importing = false;
        child->phase = child->phase_after;
        if (child->phase == BT_PHASE_BACKOFF && !child->hub->stopping && !child->group)
                bt_child_start(child, BATON_REASON_REBOOT);
        else
                bt_child_publish(child);
}

void bt_state_imported(struct bt_child *child, int result)
{
        if (result) {
                bt_child_note(child, "the imported state cannot be used: %s", result < 0 ? baton_strerror(result) : "it is not what was stored");
                if (bt_child_fresh_baton(child))
                        bt_child_note(child, "no memory for a fresh baton");
        } else {
                child->reload = child->kept_record = false;
                bt_child_note(child, "a state was imported: the next start restores it");
        }
        bt_state_import_end(child);
}
