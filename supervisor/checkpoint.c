/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Checkpoints, the hub's side: asking for them, writing them to the disk, giving the last one to whoever comes after a crash.
 *
 *      every checkpoint_every:   CHECKPOINT ─► child ─► CHECKPOINTED
 *      durability async, sync:   CHECKPOINTED ─► lease ─► bt_store_put() ─► release ─► bt_baton.durable ─► (sync) DURABLE
 *      nobody holds:             what the dead one left? captured or whole in place: that. else: its last checkpoint
 *
 * At most one put is under way for each child. What is checkpointed meanwhile is not queued: when the put is done the newest is put, if it is newer.
 * The slot that the store reads is leased (shm/checkpoint.h), so the child writes elsewhere and never waits. DURABLE, too, is on its way
 * once at most: it says "look at the number", and a child that does not listen finds the last one when it does.
 *
 * A durable child's record stays in the store after it was delivered, until the next checkpoint or the next stop replaces it: it is as good as
 * it was. (A record of an orderly stop is the very state, and would be the past as soon as the child changes it: that one is removed.)
 *
 * The descriptions of checkpoints are written by children; here they are copied, checked and used to choose among the child's own states.
 */
#include "supervisor/hub.h"

#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "shm/checkpoint.h"
#include "supervisor/mailbox.h"

#define RETRY_NS (1 * BT_NS_PER_S)

static void put_next(struct bt_child *child);

bool bt_child_is_durable(const struct bt_child *child)
{
        return child->spec->durability >= BT_DURABILITY_ASYNC;
}

/* ---- the disk ---- */

static void fill_item(struct bt_store_item *item, const struct bt_child *child, const struct bt_checkpoint *last)
{
        const struct bt_baton *baton = child->holding->baton;
        struct bt_record *rec = &item->record;

        memset(item, 0, sizeof(*item));
        (void)snprintf(rec->child, sizeof(rec->child), "%s", child->id);
        memcpy(rec->schema, last->meta.schema, sizeof(rec->schema));
        rec->form = child->spec->state_form;
        rec->version = last->meta.version;
        rec->version_oldest = last->meta.version_oldest;
        rec->incarnation = child->number_next - 1;
        rec->sequence = bt_wall_ns();
        (void)bt_boot_id(rec->boot_id);
        rec->boot_ns = last->meta.boot_ns;
        rec->wall_ns = last->meta.wall_ns;
        rec->ttl_ns = child->spec->stored_ttl_ns;
        rec->payload_bytes = last->meta.bytes;
        rec->arena_addr = baton->arena_addr;
        item->fd = child->holding->fd;
        item->off = bt_checkpoint_off(baton, last->meta.slot_idx);
}

static void on_retry(struct bt_loop_timer *timer)
{
        put_next(bt_container_of(timer, struct bt_child, checkpoints.retry));
}

/* Said once, tried until it works. */
static void put_failed(struct bt_child *child, int result)
{
        if (!child->checkpoints.failing) {
                child->limits_hit++;
                bt_child_note(child, "its checkpoint could not be written to the store and is tried again: %s",
                              result == BT_STORE_E_ROOM ? "the disk is full" : result < 0 ? strerrordesc_np(-result) : "refused");
        }
        child->checkpoints.failing = true;
        (void)bt_loop_timer_arm(child->hub->loop, &child->checkpoints.retry, bt_ns_add(bt_now_ns(), RETRY_NS), on_retry);
}

/* The number first, then whether the child has taken the last message: see bt_child_on_durable(). */
static void tell_durable(struct bt_child *child)
{
        struct bt_checkpoints *ck = &child->checkpoints;
        struct bt_inc *inc = child->current;

        if (child->spec->durability != BT_DURABILITY_SYNC || !inc || !inc->link)
                return;
        atomic_thread_fence(memory_order_seq_cst);
        if (ck->told_number == inc->number && (int32_t)(atomic_load(&inc->link->to_child.tail) - ck->told_at) < 0)
                return;
        bt_inc_say(inc, BT_MSG_DURABLE, 0, 0, 0, 0);
        ck->told_number = inc->number;
        ck->told_at = inc->outbox.cursor;
}

static void on_put(void *ctx, int result, const struct bt_record *record)
{
        struct bt_child *child = ctx;
        struct bt_checkpoints *ck = &child->checkpoints;
        struct bt_holding *holding = ck->putting;

        (void)record;
        child->store_jobs--;
        ck->putting = NULL;
        bt_checkpoint_release(holding->baton);
        if (result == BT_STORE_OK)
                atomic_store(&holding->baton->durable, ck->putting_sequence);
        if (result == BT_STORE_OK && holding == child->holding) {
                ck->failing = false;
                tell_durable(child);
        }
        (void)bt_holding_unref(holding);
        if (result)
                put_failed(child, result);
        else
                put_next(child);
}

static void put_next(struct bt_child *child)
{
        struct bt_checkpoints *ck = &child->checkpoints;
        struct bt_checkpoint last;
        struct bt_store_item item;
        int r;

        /* A stop writes the states themselves, newer than any checkpoint, and after what is under way. */
        if (!bt_child_is_durable(child) || ck->putting || child->hub->stopping || child->hub->puts_wait)
                return;
        atomic_thread_fence(memory_order_seq_cst); /* the notice was taken, now the word: see tell() in child-api/checkpoint.c */
        if (!bt_checkpoint_lease(child->holding->baton, &last))
                return;
        if (last.sequence <= atomic_load(&child->holding->baton->durable)) {
                bt_checkpoint_release(child->holding->baton);
                return;
        }
        fill_item(&item, child, &last);
        r = bt_store_put(child->hub->store, &item, 1, on_put, child);
        if (r) {
                bt_checkpoint_release(child->holding->baton);
                put_failed(child, r);
                return;
        }
        child->store_jobs++;
        ck->putting = bt_holding_ref(child->holding);
        ck->putting_sequence = last.sequence;
}

void bt_child_checkpoints_put(struct bt_child *child)
{
        put_next(child);
}

/* ---- asking ---- */

static void ask(struct bt_child *child)
{
        struct bt_checkpoints *ck = &child->checkpoints;
        struct bt_inc *inc = child->current;

        if (!inc || !inc->link || child->migration || child->phase != BT_PHASE_RUNNING || child->hub->stopping)
                return;
        if (!ck->asked) {
                ck->asked = true;
                bt_inc_say(inc, BT_MSG_CHECKPOINT, 0, 0, 0, 0);
        } else if (!ck->late) {
                ck->late = true;
                child->limits_hit++;
                bt_child_note(child, "no checkpoint within checkpoint_every: it does not dispatch, or its state is too large for that");
        }
}

static void on_every(struct bt_loop_timer *timer)
{
        struct bt_child *child = bt_container_of(timer, struct bt_child, checkpoints.every);

        if (!child->current)
                return; /* armed again when it runs */
        ask(child);
        (void)bt_loop_timer_arm(child->hub->loop, timer, bt_ns_add(bt_now_ns(), child->spec->checkpoint_every_ns), on_every);
}

void bt_child_on_checkpointed(struct bt_child *child, struct bt_inc *inc, const struct bt_rec *rec)
{
        struct bt_checkpoints *ck = &child->checkpoints;

        if (inc->holding != child->holding)
                return;
        if (rec->arg[2] && inc == child->current)
                ck->asked = ck->late = false;
        if (rec->arg[0]) {
                if (!ck->failing)
                        bt_child_note(child, "%s", bt_inc_why(inc));
                child->limits_hit += !ck->failing;
                ck->failing = true;
                return;
        }
        ck->failing = ck->failing && bt_child_is_durable(child); /* there the disk has the last word */
        if (rec->arg[1] <= inc->holding->baton->state_bytes_max)
                child->state_bytes = rec->arg[1];
        bt_child_publish(child);
        put_next(child);
}

void bt_child_checkpoints_begin(struct bt_child *child)
{
        struct bt_checkpoints *ck = &child->checkpoints;
        struct bt_baton *baton = child->holding->baton;

        if (!child->spec->checkpoint)
                return;
        ck->asked = ck->late = ck->failing = false;
        if (!ck->putting)
                bt_checkpoint_release(baton); /* of a hub that was killed */
        if (child->spec->checkpoint_every_ns)
                (void)bt_loop_timer_arm(child->hub->loop, &ck->every, bt_ns_add(bt_now_ns(), child->spec->checkpoint_every_ns), on_every);
        /* The first one at once: from here on there is something to come back to. */
        if (child->spec->checkpoint_every_ns && !(atomic_load(&baton->checkpoint) & 3))
                ask(child);
        put_next(child);
}

void bt_child_checkpoints_end(struct bt_child *child)
{
        bt_loop_timer_disarm(&child->checkpoints.every);
        bt_loop_timer_disarm(&child->checkpoints.retry);
        child->checkpoints.putting = bt_holding_unref(child->checkpoints.putting);
}

/* ---- after a death ---- */

enum bt_recovered bt_child_recover(const struct bt_child *child, struct bt_holding *holding, char *ret_text, size_t text_bytes)
{
        struct bt_baton *baton = holding->baton;
        struct bt_checkpoint last;
        uint64_t now = bt_wall_ns(); /* it may be of an earlier boot, and this is for people */
        bool arena = child->spec->state_form == BATON_STATE_ARENA;

        if (child->spec->state_form == BATON_STATE_NONE || (arena ? !bt_mail_torn(child, baton) : baton->meta.present != 0)) {
                (void)snprintf(ret_text, text_bytes, "%s", arena ? "its arena is whole and is used as it is" : "the state it captured is used");
                return child->spec->state_form == BATON_STATE_NONE ? BT_RECOVERED_NOTHING : BT_RECOVERED_LIVING;
        }
        if ((arena && !baton->checkpoint_slots) || !bt_checkpoint_read(baton, &last)) {
                (void)snprintf(ret_text, text_bytes, "no state is left of it: it kept no checkpoint");
                return BT_RECOVERED_NOTHING;
        }
        /* An arena is put together again by its next holder, before it restores: bt_child_repair_arena(). */
        baton->meta = last.meta;
        (void)snprintf(ret_text, text_bytes, "its last checkpoint is used: number %llu, %llu bytes, %llu ms old",
                       (unsigned long long)last.sequence, (unsigned long long)last.meta.bytes,
                       (unsigned long long)((now > last.meta.wall_ns ? now - last.meta.wall_ns : 0) / BT_NS_PER_MS));
        return BT_RECOVERED_CHECKPOINT;
}

/* What came from the store is the last checkpoint, too, until there is a newer one, and is on the disk already. */
static void adopt_loaded(struct bt_child *child)
{
        struct bt_baton *baton = child->holding->baton;

        if (!child->spec->checkpoint || child->spec->state_form != BATON_STATE_BLOB || baton->meta.present != 1 ||
            atomic_load(&baton->checkpoint) || baton->meta.slot_idx >= bt_baton_blob_slots(baton))
                return;
        (void)bt_checkpoint_publish(baton, baton->meta.slot_idx, &baton->meta);
        if (bt_child_is_durable(child))
                atomic_store(&baton->durable, 1);
}

void bt_child_recover_and_say(struct bt_child *child, enum baton_reason reason)
{
        char text[160];

        if (reason == BATON_REASON_REBOOT)
                adopt_loaded(child);
        if (bt_child_recover(child, child->holding, text, sizeof(text)) == BT_RECOVERED_CHECKPOINT)
                bt_child_note(child, "%s", text);
}
