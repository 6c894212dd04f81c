/* SPDX-License-Identifier: Apache-2.0 */
/*
 * States over a stop of the hub.
 *
 * Stop: the states that were captured are in their batons; one transaction writes them all, straight from the segments. It takes the first while the last
 * are still being captured.
 *
 * Start: each child's record is read into its baton before the child is started, so it restores before it serves. The record is deleted after the child
 * confirmed, and only the very record that was delivered (by its sequence): a crash in between delivers again and never loses (SHUT-4).
 */
#include "supervisor/hub.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <baton/errors.h>

#include "base/check.h"
#include "base/clock.h"
#include "supervisor/embed.h"
#include "shm/arena.h"
#include "shm/record.h"
#include "supervisor/events.h"
#include "supervisor/groups.h"
#include "supervisor/mailbox.h"
#include "supervisor/state.h"

/* How many reads are asked for at once; the rest follows as answers come. */
#define LOADS_MAX 256

/* Of a state whose size is not known, for the size of a transaction. */
#define STATE_GUESS_BYTES (UINT64_C(16) << 20)

static bool child_keeps_state(const struct bt_child *child)
{
        return child->spec->handover && child->spec->protocol == BT_PROTOCOL_BATON && child->spec->state_form != BATON_STATE_NONE &&
               child->spec->durability != BT_DURABILITY_NONE;
}

static void on_posted(void *ctx, void *item)
{
        (void)ctx;
        bt_store_complete(item);
}

/* On the store's thread. */
static void store_post(void *ctx, struct bt_store_job *job)
{
        struct bt_hub *hub = ctx;

        /* -ETIMEDOUT is the only case in which the job is not on its way: the hub has not turned for ten seconds. Try until it does. */
        while (bt_loop_post(hub->store_sender, job) == -ETIMEDOUT)
                ;
}

int bt_hub_open_store(struct bt_hub *hub)
{
        const char *dir = bt_plan_string(&hub->plan, hub->plan.plan->state_dir);
        bool in_memory = hub->embed && !hub->embed->state_dir;
        int r = in_memory ? 0 : bt_hub_make_dir(dir);

        if (!r)
                r = bt_loop_sender_new(&hub->store_sender, hub->loop);
        bt_loop_on_post(hub->loop, on_posted, hub);
        if (!r)
                r = in_memory ? bt_store_mem_open(&hub->store, store_post, hub) : bt_store_lmdb_open(&hub->store, dir, store_post, hub);
        if (r) {
                bt_hub_say(hub, "cannot open the store in %s: %s", dir,
                           r == -EBUSY ? "another hub has it open" : strerrordesc_np(-r));
                return r;
        }
        if (bt_store_was_damaged(hub->store))
                bt_hub_say(hub, "the store's file was damaged and set aside as %s/store.mdb.bad: states may be missing", dir);
        return 0;
}

/* ---- stop ---- */

static void on_stored(void *ctx, int result, const struct bt_record *record)
{
        struct bt_hub *hub = ctx;

        (void)record;
        bt_hub_stored(hub, result);
}

void bt_child_fill_record(struct bt_store_item *item, struct bt_child *child)
{
        const struct bt_baton *baton = child->holding->baton;
        const struct bt_state_meta meta = baton->meta;
        struct bt_record *rec = &item->record;

        (void)snprintf(rec->child, sizeof(rec->child), "%s", child->id);
        memcpy(rec->schema, meta.schema, sizeof(rec->schema));
        rec->schema[sizeof(rec->schema) - 1] = '\0';
        rec->form = child->spec->state_form;
        rec->version = meta.version;
        rec->version_oldest = meta.version_oldest;
        rec->incarnation = child->number_next - 1;
        rec->sequence = bt_wall_ns();
        (void)bt_boot_id(rec->boot_id);
        rec->boot_ns = bt_boot_ns();
        rec->wall_ns = bt_wall_ns();
        rec->ttl_ns = child->spec->stored_ttl_ns; /* a stop may last: state_ttl is for states on their way between processes */
        rec->payload_bytes = meta.bytes;
        rec->arena_addr = baton->arena_addr;
        item->fd = child->holding->fd;
        item->off = rec->form == BATON_STATE_BLOB ? bt_baton_blob_off(baton, meta.slot_idx % bt_baton_blob_slots(baton)) : baton->state_off;
}

/*
 * The arena of a child that is down, between two restarts: nobody captured it, but it is there, and whole unless its last holder died inside
 * a bracket.
 */
void bt_child_salvage(struct bt_child *child)
{
        struct bt_baton *baton = child->holding->baton;
        bool keeps = child_keeps_state(child);
        struct bt_arena head;

        if (keeps && child->in_transit && child->spec->state_form == BATON_STATE_BLOB) /* captured by a swap, and nobody could be started with it */
                child->captured = baton->meta.present == 1;
        if (bt_baton_word(baton).phase == BT_WORD_VACANT)
                bt_mail_settle(child);
        if (!keeps || child->spec->state_form != BATON_STATE_ARENA || !baton->meta.incarnation || bt_baton_word(baton).phase != BT_WORD_VACANT ||
            atomic_load(&baton->bracket))
                return;
        if (pread(child->holding->fd, &head, sizeof(head), (off_t)baton->state_off) != (ssize_t)sizeof(head) ||
            !bt_arena_valid(&head, baton->state_bytes_max))
                return;
        baton->meta.bytes = head.top;
        baton->meta.present = 1;
        child->captured = true;
}

/* About how much there will be. Too little costs the store a second try, too much addresses. */
static uint64_t states_bytes(const struct bt_hub *hub)
{
        uint64_t bytes = 0;

        bt_hub_foreach_child (child, hub) {
                uint64_t most = child->spec->state_bytes_max < STATE_GUESS_BYTES ? child->spec->state_bytes_max : STATE_GUESS_BYTES;

                if (child_keeps_state(child))
                        bytes += (child->state_bytes ? child->state_bytes : most) + sizeof(struct bt_record);
        }
        return bytes;
}

/*
 * The transaction is begun with the first state: while other children still capture the store copies and sums, with the processor that is left. Their
 * segments stay open until it is done.
 */
void bt_hub_hand_in(struct bt_hub *hub, struct bt_child *child)
{
        const struct bt_state_meta *meta = &child->holding->baton->meta;
        struct bt_store_item item = {.fd = -1};
        int r = 0;

        if (child->handed_in || !child->captured || meta->present != 1 || meta->bytes > child->holding->baton->state_bytes_max)
                return;
        if (!hub->stop_batch)
                r = bt_store_batch_open(&hub->stop_batch, hub->store, states_bytes(hub), on_stored, hub);
        if (!r) {
                bt_child_fill_record(&item, child);
                r = bt_store_batch_add(hub->stop_batch, &item);
        }
        if (r && !hub->stop_result)
                hub->stop_result = r;
        child->handed_in = !r;
}

int bt_hub_store_states(struct bt_hub *hub)
{
        bt_hub_foreach_child (child, hub)
                bt_hub_hand_in(hub, child);
        if (!hub->stop_batch)
                return hub->stop_result ? hub->stop_result : 1;
        bt_store_batch_end(hub->store, BT_STEAL(hub->stop_batch));
        return 0;
}

/* ---- start ---- */

/* A word of the segment that the hub has not mapped. */
static int segment_write(const struct bt_holding *holding, uint64_t off, const void *data, size_t bytes)
{
        ssize_t n = pwrite(holding->fd, data, bytes, (off_t)off);

        return n == (ssize_t)bytes ? 0 : n < 0 ? -errno : -EIO;
}

/*
 * The configuration may have grown the arena since; a smaller one was refused by the read for lack of room. It lies where it lay, perhaps under an earlier
 * build: nobody has mapped this baton yet.
 */
static int adopt_arena(struct bt_child *child, const struct bt_record *rec)
{
        struct bt_baton *baton = child->holding->baton;

        if (!bt_arena_addr_known(rec->arena_addr))
                return -BATON_E_ADDRESS;
        baton->arena_addr = rec->arena_addr;
        return segment_write(child->holding, baton->state_off + offsetof(struct bt_arena, bytes_max), &baton->state_bytes_max,
                             sizeof(baton->state_bytes_max));
}

/* By what the configuration says now, so that raising the limit is a way to get a state back. A record from the future has an unknown age: too old (BUG-16). */
static bool too_old(const struct bt_child *child, const struct bt_record *record)
{
        struct bt_record judged = *record;
        uint8_t boot_id[16] = {0};

        judged.ttl_ns = child->spec->stored_ttl_ns;
        (void)bt_boot_id(boot_id);
        return bt_record_age(&judged, boot_id, bt_boot_ns(), bt_wall_ns()) != BT_RECORD_AGE_OK;
}

static int adopt_record(struct bt_child *child, const struct bt_record *rec)
{
        struct bt_state_meta *meta = &child->holding->baton->meta;
        int r = 0;

        if (too_old(child, rec))
                return -ESTALE;
        if (rec->flags & BT_RECORD_F_TORN)
                return -BATON_E_TORN;
        if (rec->form != child->spec->state_form)
                return -BATON_E_SCHEMA;
        if (rec->form == BATON_STATE_ARENA)
                r = adopt_arena(child, rec);
        if (r)
                return r;
        memcpy(meta->schema, rec->schema, sizeof(meta->schema));
        meta->version = rec->version;
        meta->version_oldest = rec->version_oldest;
        meta->bytes = rec->payload_bytes;
        meta->incarnation = rec->incarnation;
        meta->boot_ns = rec->boot_ns;
        meta->wall_ns = rec->wall_ns;
        meta->xxh3 = rec->payload_xxh3;
        meta->slot_idx = 0;
        meta->present = 1;
        if (rec->incarnation >= child->number_next)
                child->number_next = rec->incarnation + 1;
        child->stored_sequence = rec->sequence;
        child->state_bytes = rec->payload_bytes;
        return 0;
}

/* What is wrong with the stored state, as the end of a sentence. */
static const char *load_trouble(int result)
{
        switch (result) {
        case BT_STORE_E_CORRUPT:
                return "is corrupt";
        case BT_STORE_E_ROOM:
                return "is larger than state.max";
        case -ESTALE:
                return "is older than stored_ttl, or of a time that has not come yet";
        case -BATON_E_SCHEMA:
                return "is of another form (blob or arena) than the configuration's";
        case -BATON_E_ADDRESS:
                return "is an arena of another address";
        case -BATON_E_TORN:
                return "is torn";
        case -EPROTONOSUPPORT:
                return "was written by another version of baton, or on another machine";
        default:
                return "cannot be read from the store";
        }
}

/* It was read, and is of no use here; else (an error of the disk) it may be read another day. */
static bool load_is_judged(int result)
{
        return result == BT_STORE_E_ROOM || result == -ESTALE || result == -EPROTONOSUPPORT || result <= -BATON_E_BASE;
}

/*
 * What lies in the baton by now is no state. The record: a corrupt one is in quarantine already; one that cannot be read today is passed over
 * and goes there when the child runs without it; any other goes there now, or stays where it is, as the policy says.
 */
static bool load_refused(struct bt_child *child, int result)
{
        bool go;

        if (bt_child_fresh_baton(child))
                bt_child_note(child, "no memory for a fresh baton");
        child->kept_record = result != BT_STORE_E_CORRUPT;
        child->reload = child->kept_record; /* should it be tried again */
        go = bt_state_refuse(child, load_trouble(result));
        if (go && child->kept_record && load_is_judged(result)) {
                bt_state_move_aside(child, 0);
                child->kept_record = false;
        }
        if (go)
                child->reload = false;
        return go;
}

/* The answer, or why there is none: the child is started either way, unless the policy says otherwise. */
static void loaded(struct bt_child *child, int result, const struct bt_record *record)
{
        struct bt_hub *hub = child->hub;
        enum baton_reason reason = BATON_REASON_FRESH;

        hub->loads--;
        if (result == BT_STORE_OK)
                result = adopt_record(child, record);
        child->loading = false;
        if (hub->stopping || child->leaving)
                return;
        if (child->pause) {
                bt_groups_changed(child);
                return;
        }
        if (child->importing) {
                bt_state_imported(child, result);
                return;
        }
        if (result == 0) {
                reason = BATON_REASON_REBOOT;
                child->reload = child->kept_record = false;
                bt_event(hub, BT_EVENT_STATE_LOADED, child, 0, "%llu bytes", (unsigned long long)child->state_bytes);
        } else if (result != BT_STORE_E_ABSENT && !load_refused(child, result)) {
                return;
        }
        if (!child->current && !child->migration)
                bt_child_start(child, reason);
}

static void load_more(struct bt_hub *hub);

static void on_loaded(void *ctx, int result, const struct bt_record *record)
{
        struct bt_child *child = ctx;

        child->store_jobs--;
        loaded(child, result, record);
        load_more(child->hub);
}

void bt_child_load(struct bt_child *child)
{
        struct bt_hub *hub = child->hub;
        const struct bt_baton *baton = child->holding->baton;
        int r;

        child->phase = BT_PHASE_STARTING; /* nobody else may start it while its baton is being written */
        if (!child_keeps_state(child)) {
                bt_child_start(child, BATON_REASON_FRESH);
                return;
        }
        r = bt_store_get(hub->store, child->id, child->holding->fd, baton->state_off, baton->state_bytes_max, on_loaded, child);
        hub->loads++;
        if (r)
                loaded(child, r, NULL);
        else {
                child->store_jobs++;
                child->loading = true;
        }
}

static void load_more(struct bt_hub *hub)
{
        while (!hub->stopping && hub->loads < LOADS_MAX && !bt_list_empty(&hub->children.to_load)) {
                struct bt_child *child = bt_list_entry(hub->children.to_load.next, struct bt_child, to_load);

                bt_list_unlink(&child->to_load);
                if (!child->adopted)
                        bt_child_load(child);
        }
}

void bt_hub_load_all(struct bt_hub *hub)
{
        load_more(hub);
}

static void on_deleted_old(void *ctx, int result, const struct bt_record *record)
{
        (void)ctx;
        (void)result;
        (void)record;
}

static void on_listed(void *ctx, int result, const struct bt_record *records, size_t count)
{
        struct bt_hub *hub = ctx;

        if (result)
                return;
        for (size_t i = 0; i < count; i++) {
                const struct bt_child *child = bt_hub_child_find(hub, records[i].child);

                if (child && child->adopted && !bt_child_is_durable(child))
                        (void)bt_store_del(hub->store, records[i].child, records[i].sequence, on_deleted_old, hub);
        }
}

void bt_hub_drop_stored(struct bt_hub *hub)
{
        (void)bt_store_list(hub->store, on_listed, hub);
}

static void on_deleted(void *ctx, int result, const struct bt_record *record)
{
        struct bt_child *child = ctx;

        (void)record;
        child->store_jobs--;
        if (result < 0)
                bt_child_note(child, "its delivered state could not be removed from the store: %s", strerrordesc_np(-result));
}

void bt_child_forget_stored(struct bt_child *child)
{
        uint64_t sequence = child->stored_sequence;
        int r;

        if (!sequence)
                return;
        child->stored_sequence = 0;
        if (bt_child_is_durable(child))
                return; /* it is the last checkpoint on the disk, until there is a newer one */
        child->store_jobs++;
        r = bt_store_del(child->hub->store, child->id, sequence, on_deleted, child);
        if (r)
                on_deleted(child, r, NULL);
}
