/* SPDX-License-Identifier: Apache-2.0 */
/*
 * States over a stop of the hub.
 *
 * Stop: the states that were captured are in their batons; one put writes them all, straight from the segments, in one transaction. Start:
 * each child's record is read into its baton before the child is started, so it restores before it serves. The record is deleted after the child
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
#include "shm/arena.h"
#include "shm/record.h"

/* How many reads are asked for at once; the rest follows as answers come. */
#define LOADS_MAX 256

static bool child_keeps_state(const struct bt_child *child)
{
        return child->spec->handover && child->spec->protocol == BT_PROTOCOL_BATON && child->spec->state_form != BATON_STATE_NONE;
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
        int r = bt_hub_make_dir(dir);

        if (!r)
                r = bt_loop_sender_new(&hub->store_sender, hub->loop);
        bt_loop_on_post(hub->loop, on_posted, hub);
        if (!r)
                r = bt_store_lmdb_open(&hub->store, dir, store_post, hub);
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

static void fill_record(struct bt_store_item *item, struct bt_child *child)
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
        rec->ttl_ns = BT_NS_NEVER; /* a stop may last: state_ttl is for states on their way between processes */
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
        struct bt_arena head;

        if (child->spec->state_form != BATON_STATE_ARENA || !baton->meta.incarnation || bt_baton_word(baton).phase != BT_WORD_VACANT ||
            atomic_load(&baton->bracket))
                return;
        if (pread(child->holding->fd, &head, sizeof(head), (off_t)baton->state_off) != (ssize_t)sizeof(head) ||
            !bt_arena_valid(&head, baton->state_bytes_max))
                return;
        baton->meta.bytes = head.top;
        baton->meta.present = 1;
        child->captured = true;
}

int bt_hub_store_states(struct bt_hub *hub)
{
        struct bt_store_item *items = calloc(hub->child_count ? hub->child_count : 1, sizeof(*items));
        size_t count = 0;
        int r = 0;

        if (!items)
                return -ENOMEM;
        for (uint32_t i = 0; i < hub->child_count; i++) {
                struct bt_child *child = &hub->children[i];
                const struct bt_state_meta *meta = &child->holding->baton->meta;

                if (!child->captured || meta->present != 1 || meta->bytes > child->holding->baton->state_bytes_max)
                        continue;
                fill_record(&items[count++], child);
        }
        if (count)
                r = bt_store_put(hub->store, items, count, on_stored, hub);
        free(items);
        if (r)
                return r;
        return count ? 0 : 1;
}

/* ---- start ---- */

/* A word of the segment that the hub has not mapped. */
static int segment_write(const struct bt_holding *holding, uint64_t off, const void *data, size_t bytes)
{
        ssize_t n = pwrite(holding->fd, data, bytes, (off_t)off);

        return n == (ssize_t)bytes ? 0 : n < 0 ? -errno : -EIO;
}

/* The configuration may have grown the arena since; a smaller one was refused by the read for lack of room. */
static int adopt_arena(struct bt_child *child, const struct bt_record *rec)
{
        const struct bt_baton *baton = child->holding->baton;

        if (rec->arena_addr != baton->arena_addr)
                return -BATON_E_ADDRESS;
        return segment_write(child->holding, baton->state_off + offsetof(struct bt_arena, bytes_max), &baton->state_bytes_max,
                             sizeof(baton->state_bytes_max));
}

static int adopt_record(struct bt_child *child, const struct bt_record *rec)
{
        struct bt_state_meta *meta = &child->holding->baton->meta;
        uint8_t boot_id[16];
        int r = 0;

        (void)bt_boot_id(boot_id);
        if (bt_record_age(rec, boot_id, bt_boot_ns(), bt_wall_ns()) == BT_RECORD_AGE_EXPIRED)
                return -ESTALE;
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
        child->number_next = rec->incarnation + 1;
        child->stored_sequence = rec->sequence;
        child->state_bytes = rec->payload_bytes;
        return 0;
}

/* The answer, or why there is none: the child is started either way. */
static void loaded(struct bt_child *child, int result, const struct bt_record *record)
{
        struct bt_hub *hub = child->hub;
        enum baton_reason reason = BATON_REASON_FRESH;

        hub->loads--;
        if (result == BT_STORE_OK)
                result = adopt_record(child, record);
        if (result == 0) {
                reason = BATON_REASON_REBOOT;
        } else if (result != BT_STORE_E_ABSENT) {
                const char *what = result == BT_STORE_E_CORRUPT ? "is corrupt and was set aside"
                                   : result == BT_STORE_E_ROOM  ? "is larger than state.max and was left in the store"
                                   : result < 0                 ? baton_strerror(result)
                                                                : "cannot be used";

                child->limits_hit++;
                bt_child_note(child, "its stored state %s: starting fresh", what);
                if (bt_child_fresh_baton(child))
                        bt_child_note(child, "no memory for a fresh baton");
        }
        if (!hub->stopping && !child->current && !child->migration)
                bt_child_start(child, reason);
}

static void load_more(struct bt_hub *hub);

static void on_loaded(void *ctx, int result, const struct bt_record *record)
{
        struct bt_child *child = ctx;

        loaded(child, result, record);
        load_more(child->hub);
}

static void child_load(struct bt_child *child)
{
        struct bt_hub *hub = child->hub;
        const struct bt_baton *baton = child->holding->baton;
        int r;

        if (!child_keeps_state(child)) {
                bt_child_start(child, BATON_REASON_FRESH);
                return;
        }
        r = bt_store_get(hub->store, child->id, child->holding->fd, baton->state_off, baton->state_bytes_max, on_loaded, child);
        hub->loads++;
        if (r)
                loaded(child, r, NULL);
}

static void load_more(struct bt_hub *hub)
{
        while (!hub->stopping && hub->loads < LOADS_MAX && hub->load_next < hub->child_count) {
                struct bt_child *child = &hub->children[hub->load_next++];

                if (!child->adopted)
                        child_load(child);
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
                for (uint32_t k = 0; k < hub->child_count; k++) {
                        if (hub->children[k].adopted && !strcmp(hub->children[k].id, records[i].child))
                                (void)bt_store_del(hub->store, records[i].child, records[i].sequence, on_deleted_old, hub);
                }
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
        r = bt_store_del(child->hub->store, child->id, sequence, on_deleted, child);
        if (r)
                on_deleted(child, r, NULL);
}
