/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * The durable handover store: states of children that no process holds.
 *
 * All calls are made on the hub's thread and return at once; work is done on the store's own thread (LMDB: commit and fsync take
 * milliseconds) and ends with @done on the hub's thread, in the order of the calls. store_mem.c is the twin for tests: no disk, same
 * order, @done from the same place.
 *
 * One record for each child id: header (struct bt_record) and payload. A put replaces. States larger than one LMDB value are cut into parts by
 * the store; a reader never sees that. A put of many items is one transaction with one fsync: all or nothing.
 *
 * How completions come back is the caller's: the store calls @post(post_ctx, job) on its own thread, the hub passes the job through its ring
 * and calls bt_store_complete(job) when it arrives.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "shm/layout.h"

/* Bounds. What is beyond them is refused by the call itself: -EBUSY (call again after a completion), -E2BIG. */
#define BT_STORE_JOBS_MAX 1024   /* calls made and not yet completed */
#define BT_STORE_ITEMS_MAX 65536 /* of one put */

struct bt_store;
struct bt_store_job;

typedef void (*bt_store_post_fn)(void *post_ctx, struct bt_store_job *job);

/* One state to keep. The store computes the checksums and fills them into its copy of the header. */
struct bt_store_item {
        struct bt_record record;  /* child, schema, .., payload_bytes filled by the caller; magic, sizes, checksums by the store */
        int fd;                   /* memfd that holds the payload; duplicated by the call */
        uint64_t off;             /* where in it */
        bool verify;              /* the record's payload_xxh3 is what the payload must have: E_CORRUPT, and nothing is stored, when it has not */
};

enum bt_store_result {
        BT_STORE_OK = 0,
        BT_STORE_E_ABSENT = 1,  /* get, del: no such record */
        BT_STORE_E_CORRUPT = 2, /* get: a checksum, magic or length is wrong; the record is kept under quarantine, not returned again. read, put: see there */
        BT_STORE_E_ROOM = 3,    /* get: larger than the room; put: the disk is full */
};

/*
 * @result: enum bt_store_result, or -errno; get: -EPROTONOSUPPORT the record is whole but of another header version or machine, and was left alone.
 * @record: get: the header, with OK and ROOM, valid during the call; else NULL.
 */
typedef void (*bt_store_done_fn)(void *ctx, int result, const struct bt_record *record);

/* @records: valid during the call, in the order of the store's keys. One whose magic is 0 could not be read; only its child is known. */
typedef void (*bt_store_list_fn)(void *ctx, int result, const struct bt_record *records, size_t count);

/* Nothing was asked of it that is not done and completed: all that it said is durable, and its thread sleeps. */
bool bt_store_idle(struct bt_store *store);

/* Opens (creates) the store in @dir, starts its thread. Takes a lock on @dir: a second hub gets -EBUSY. 0 or -errno. */
int bt_store_lmdb_open(struct bt_store **ret_store, const char *dir, bt_store_post_fn post, void *post_ctx);
int bt_store_mem_open(struct bt_store **ret_store, bt_store_post_fn post, void *post_ctx);

/* Waits until all jobs are done (also those not begun), stops the thread, frees. Takes NULL, returns NULL. Jobs that were posted but not
 * completed are freed uncalled; from here on nothing is posted any more. */
struct bt_store *bt_store_close(struct bt_store *store);

/*
 * @items are copied, @fd duplicated before return (-1 will do for an empty payload). Durable when @done says OK. -EINVAL: a record's child is
 * empty, a string is not terminated, the form is unknown, or off + payload_bytes is absurd. Result -ENODATA: a memfd ends before its payload.
 */
int bt_store_put(struct bt_store *store, const struct bt_store_item *items, size_t count, bt_store_done_fn done, void *ctx);

/*
 * A put whose items are not all there yet: the stop of a hub, where the first states are copied while other children still capture. One transaction, as in
 * any put; what is asked for behind it waits until it is ended, so it is ended soon. One at a time: -EBUSY. @need: about how many bytes will come.
 * @done is called after bt_store_batch_end(), whatever happened before that. A store that is closed in between stores nothing of it.
 */
struct bt_store_batch;
int bt_store_batch_open(struct bt_store_batch **ret_batch, struct bt_store *store, uint64_t need, bt_store_done_fn done, void *ctx);
/* @item is copied; its descriptor is not duplicated, a thousand of them may not be there to be had: it stays open until @done. Errors as those of a put. */
int bt_store_batch_add(struct bt_store_batch *batch, const struct bt_store_item *item);
void bt_store_batch_end(struct bt_store *store, struct bt_store_batch *batch);

/* Reads the state of @child into @fd at @off, at most @room bytes; @fd is duplicated. What is in the room means something only with OK. */
int bt_store_get(struct bt_store *store, const char *child, int fd, uint64_t off, uint64_t room, bt_store_done_fn done, void *ctx);

/* Durable when @done says OK. @sequence: only if the record still has this sequence (else ABSENT): a newer one is never deleted. */
int bt_store_del(struct bt_store *store, const char *child, uint64_t sequence, bt_store_done_fn done, void *ctx);

/* The headers of all records, without their payloads. Reports what is there: quarantines nothing. */
int bt_store_list(struct bt_store *store, bt_store_list_fn done, void *ctx);

/* ---- states set aside: kept for people, never delivered. At most eight a child; the oldest goes. ---- */

/* @wall_ns: its name, when it was set aside. @record: as bt_store_list() shows one. */
struct bt_aside {
        uint64_t wall_ns;
        struct bt_record record;
};

/* @aside: valid during the call; by child, then oldest first. */
typedef void (*bt_store_aside_fn)(void *ctx, int result, const struct bt_aside *aside, size_t count);

int bt_store_list_aside(struct bt_store *store, bt_store_aside_fn done, void *ctx);

/* Moves the record of @child there; @sequence as for bt_store_del(), 0: whatever is there, also what cannot be read. ABSENT; durable with OK. */
int bt_store_quarantine(struct bt_store *store, const char *child, uint64_t sequence, bt_store_done_fn done, void *ctx);

/* Writes a state there that is in no record: as bt_store_put() of one item. */
int bt_store_put_aside(struct bt_store *store, const struct bt_store_item *item, bt_store_done_fn done, void *ctx);

/*
 * Header and payload as they are, one behind the other, into the empty memfd @fd (duplicated), at most @room bytes. @aside_ns: 0 for the record of
 * @child. Nothing is judged but told: OK it is whole; E_CORRUPT it is not, and what there is was copied; -EPROTONOSUPPORT it is of another
 * header version or machine, copied too; E_ABSENT; E_ROOM. @record: with OK.
 */
int bt_store_read(struct bt_store *store, const char *child, uint64_t aside_ns, int fd, uint64_t room, bt_store_done_fn done, void *ctx);

/* Forgets one for good. ABSENT. */
int bt_store_drop_aside(struct bt_store *store, const char *child, uint64_t aside_ns, bt_store_done_fn done, void *ctx);

/* ---- notes: what the hub wants to know again after a restart, and no configuration says ---- */

enum bt_note_kind {
        BT_NOTE_CHILD = 'C', /* a child that was added live, by its id: live.h */
        BT_NOTE_NODE = 'N',  /* a node that was added live, by its name */
        BT_NOTE_PLAN = 'P',  /* the plan fragment of a request, by its number: live.h */
        BT_NOTE_STATE = 'R', /* no note: the record of a state, by its child; can only be removed */
};

struct bt_note {
        enum bt_note_kind kind;
        char name[64];  /* 1 to 63 bytes and a NUL */
        const void *at; /* NULL: remove it, if it is there */
        size_t bytes;
};

/* One transaction: all or nothing; durable when @done says OK. All is copied before return. -EINVAL: a name is empty or too long. */
int bt_store_put_notes(struct bt_store *store, const struct bt_note *notes, size_t count, bt_store_done_fn done, void *ctx);

/*
 * Calls @each for every whole note of @kind, in the order of the store's keys; its bytes are valid during the call. Waits for the disk: only before the
 * first call of any other kind, while the store's thread has nothing to do. 0, or -errno.
 */
typedef void (*bt_store_note_fn)(void *ctx, const struct bt_note *note);
int bt_store_read_notes(struct bt_store *store, enum bt_note_kind kind, bt_store_note_fn each, void *ctx);

/* The store's file itself was found damaged, at open or since, and was set aside as store.mdb.bad: states may be missing. Any thread. */
bool bt_store_was_damaged(const struct bt_store *store);

void bt_store_complete(struct bt_store_job *job); /* hub's thread; calls @done, frees the job */
