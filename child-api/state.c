/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Capture and restore: the state's way into the baton and out of it.
 *
 * A blob is written into a slot that holds no checkpoint, so a capture that is called off, or whose process dies, leaves the last checkpoint
 * alone; its checksum and description are written before the holder word moves. There is a state to be given on (meta.present) only from the end
 * of a capture to the confirmation of whoever got it, or to the moment its writer goes on. An arena is in the baton all the time: capturing it is
 * writing down how large it is.
 *
 * What restore() reads was written by another process, perhaps of another version, perhaps a broken one: everything is checked first, and nothing is
 * changed until the word says HELD, because the predecessor may have to go on with it.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/check.h"
#include "base/clock.h"
#include "child-api/child.h"
#include "child-api/post.h"
#include "shm/checkpoint.h"
#include "shm/describe.h"
#include "shm/record.h"

#ifndef MADV_POPULATE_READ
#define MADV_POPULATE_READ 22
#endif

static bool arena_in_use(const struct baton_child *child)
{
        return child->arena && child->arena->magic != 0;
}

uint64_t bt_child_state_bytes(const struct baton_child *child)
{
        if (child->arena)
                return arena_in_use(child) ? child->arena->top : 0;
        return child->baton->meta.present ? child->baton->meta.bytes : 0;
}

/* ---- capture ---- */

/* 0: no version but its own. */
static uint32_t oldest_writable(const struct baton_child *child)
{
        bool has = child->ops->size >= offsetof(struct baton_child_ops, version_writable) + sizeof(child->ops->version_writable);

        return has ? child->ops->version_writable : 0;
}

uint32_t bt_child_version_for(const struct baton_child *child, uint64_t newest)
{
        uint32_t oldest = oldest_writable(child);

        return oldest && newest >= oldest && newest < child->ops->version ? (uint32_t)newest : child->ops->version;
}

/* Who writes what, so that a successor knows before it is given anything. @version: of what is there, or will be. */
void bt_child_describe(struct baton_child *child, uint32_t version)
{
        struct bt_state_meta *meta = &child->baton->meta;
        const char *schema = child->ops->schema ? child->ops->schema : "";

        /*
         * This is inside the passage. No snprintf(): its first call in a process is three page faults, 5 us. And no store that changes nothing: it would
         * take the line away from the heir, which has just read it. Checked by open(): it fits.
         */
        if (strncmp(meta->schema, schema, sizeof(meta->schema)) != 0) {
                memset(meta->schema, 0, sizeof(meta->schema));
                memcpy(meta->schema, schema, strlen(schema));
        }
        if (meta->version != version)
                meta->version = version;
        if (meta->version_oldest != child->ops->version_oldest)
                meta->version_oldest = child->ops->version_oldest;
        if (meta->version_writable != oldest_writable(child))
                meta->version_writable = oldest_writable(child);
        if (meta->incarnation != child->incarnation)
                meta->incarnation = child->incarnation;
}

/* When it was captured. In a hot swap: when the capture was announced. */
void bt_child_date(struct baton_child *child)
{
        child->baton->meta.boot_ns = bt_boot_ns();
        child->baton->meta.wall_ns = bt_wall_ns();
}

/* An heir has read the description when it rehearsed: nothing is stored that is there already. */
static void seal_arena(const struct baton_child *child, struct bt_state_meta *meta)
{
        uint64_t bytes = bt_child_state_bytes(child);
        uint32_t present = arena_in_use(child);

        if (meta->present != present)
                meta->present = present;
        if (meta->bytes != bytes)
                meta->bytes = bytes;
}

static void seal(struct baton_child *child, struct baton_capture *capture)
{
        struct bt_state_meta *meta = &child->baton->meta;

        bt_child_describe(child, capture->version);
        if (capture->purpose != BATON_CAPTURE_HOT)
                bt_child_date(child);
        if (child->arena) {
                seal_arena(child, meta);
        } else if (capture->committed) {
                meta->bytes = capture->bytes;
                meta->xxh3 = bt_capture_sum(capture);
                meta->slot_idx = capture->slot_idx;
                atomic_signal_fence(memory_order_seq_cst); /* killed before the next store: not captured */
                meta->present = 1;
        } else {
                meta->present = 0; /* an older capture is not this holder's state */
        }
        bt_child_publish_capture(child, capture);
}

/* Runs capture() and seals the result. On an error there is no captured state; a checkpoint stays what it was. */
int bt_child_capture(struct baton_child *child, enum baton_capture_for purpose, uint32_t version)
{
        struct baton_capture capture = {.child = child, .purpose = purpose, .version = version};
        int r = 0;

        bt_assert(child->bracket_depth == 0); /* dispatch() inside baton_arena_begin/end: the state is half changed */
        child->baton->capture_ns = bt_now_ns();
        if (!child->arena)
                child->baton->meta.present = 0; /* until this one is whole there is none */
        child->capturing = true;
        if (child->ops->capture)
                r = child->ops->capture(child, &capture, child->ctx);
        child->capturing = false;
        if (r < 0) {
                bt_child_say_why(child, "capture() failed", r);
                return r;
        }
        BT_POINT_ON_STAGE(child, "capture.done");
        r = bt_passing_flush(child);
        if (r) {
                bt_child_say_why(child, "descriptors could not be passed", r);
                return r;
        }
        seal(child, &capture);
        if (child->baton->fd_count != child->passing->sent)
                child->baton->fd_count = child->passing->sent;
        if (child->baton->gone_count != child->passing->gone_sent)
                child->baton->gone_count = (uint32_t)child->passing->gone_sent;
        BT_POINT_ON_STAGE(child, "capture.sealed");
        return 0;
}

/* ---- restore ---- */

/* @writable: oldest version that the state can be given in, 0: only in the one it has. */
static int can_read(const struct baton_child *child, uint32_t writable)
{
        const struct bt_state_meta *meta = &child->baton->meta;
        const struct baton_child_ops *ops = child->ops;
        const char *own = ops->schema ? ops->schema : "";
        char schema[sizeof(meta->schema)];
        uint32_t version = meta->version;

        if (!meta->incarnation)
                return 0; /* nobody has held it yet */
        memcpy(schema, meta->schema, sizeof(schema));
        schema[sizeof(schema) - 1] = '\0';
        if (strcmp(schema, own) == 0 && bt_versions_meet(version, writable, ops->version_oldest, ops->version))
                return 0;
        if (child->link)
                bt_versions_text(child->link->text, sizeof(child->link->text), schema, version, writable, own, ops->version_oldest, ops->version);
        return -BATON_E_SCHEMA;
}

/* The state there is has a schema that this program reads. */
int bt_child_can_read(const struct baton_child *child)
{
        return can_read(child, 0);
}

/* Asked before the predecessor is disturbed, of what it will capture. In which version it decides itself: what is in the baton may be an older capture yet. */
int bt_child_could_read(const struct baton_child *child)
{
        return can_read(child, child->baton->meta.version_writable);
}

/*
 * Fills the page tables ahead of the moment; reading is three times cheaper than writing and does as well (shared memory). A blob will be about as large as the last
 * one, and lie where that was.
 */
void bt_child_prefault(const struct baton_child *child)
{
        bool blob = child->baton->form == BATON_STATE_BLOB;
        char *at = blob ? bt_child_blob_slot(child, bt_checkpoint_slot(child->baton)) : (char *)child->arena;
        uint64_t bytes = blob ? child->baton->meta.bytes : child->arena ? bt_child_state_bytes(child) : 0;

        if (!bytes || bytes > child->baton->state_bytes_max || madvise(at, bytes, MADV_POPULATE_READ) == 0)
                return;
        for (uint64_t off = 0; off < bytes; off += BT_PAGE_BYTES)
                (void)((const volatile char *)at)[off];
}

static int check_arena(struct baton_child *child)
{
        if (atomic_load_explicit(&child->baton->bracket, memory_order_relaxed))
                return -BATON_E_TORN;
        if (bt_child_head_known(child))
                return 0;
        return bt_arena_valid(child->arena, child->baton->state_bytes_max) ? 0 : -BATON_E_CORRUPT;
}

/* Finds and checks the state. @ret_restore gets it; absent is not an error. @predecessor: may have to go on with what is there. */
static int find_state(struct baton_child *child, uint64_t predecessor, struct baton_restore *ret_restore)
{
        const struct bt_state_meta meta = child->baton->meta;
        const char *blob;
        int r = bt_child_can_read(child);

        if (r)
                return r;
        ret_restore->version = meta.version;
        if (child->arena) {
                if (!predecessor)
                        r = bt_child_repair_arena(child);
                ret_restore->state_bytes = bt_child_state_bytes(child);
                return r ? r : arena_in_use(child) ? check_arena(child) : 0;
        }
        if (!meta.present || child->baton->form != BATON_STATE_BLOB)
                return 0;
        if (meta.bytes > child->baton->state_bytes_max || meta.slot_idx >= bt_baton_blob_slots(child->baton))
                return -BATON_E_CORRUPT;
        blob = bt_child_blob_slot(child, meta.slot_idx);
        if (bt_child_blob_sum(child, blob, &meta) != meta.xxh3)
                return -BATON_E_CORRUPT;
        ret_restore->state = blob;
        ret_restore->state_bytes = meta.bytes;
        return 0;
}

int bt_child_restore(struct baton_child *child, uint64_t predecessor)
{
        struct baton_restore restore = {.reason = child->reason, .predecessor = predecessor};
        int r;

        /* Passed by nobody: our predecessor died before it could. */
        if (restore.reason == BATON_REASON_HOT && !predecessor) {
                restore.reason = child->reason = BATON_REASON_CRASH;
                bt_child_drop_taken(child); /* nobody can say which of them are connections still */
                child->received = 0;
        }

        r = bt_child_receive_passed(child, child->baton->fd_count, child->baton->gone_count);
        if (!r && !predecessor)
                r = bt_post_recover(child);
        if (!r)
                r = find_state(child, predecessor, &restore);
        if (r) {
                if (r != -BATON_E_SCHEMA)
                        bt_child_say_why(child, "state refused", r);
                bt_child_drop_taken(child);
                return r;
        }
        if (child->arena && !arena_in_use(child) && !child->rehearsing)
                bt_arena_init(child->arena, child->baton->state_bytes_max);

        BT_POINT_ON_STAGE(child, "restore.begin");
        restore.fds = child->taken;
        restore.fd_count = child->taken_count;
        restore.gone = child->gone;
        restore.gone_count = child->gone_count;
        child->taken_count = 0; /* theirs now */
        if (child->ops->restore) {
                r = child->ops->restore(child, &restore, child->ctx);
        } else {
                child->taken_count = restore.fd_count;
                bt_child_drop_taken(child);
        }
        if (r < 0)
                bt_child_say_why(child, "restore() failed", r);
        BT_POINT_ON_STAGE(child, "restore.done");
        return r < 0 ? r : 0;
}
