/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * What a durable store is made of, below the records: an ordered map of byte strings with transactions. store_lmdb.c and store_mem.c are the
 * two; store_records.c knows only this. Internal to the folder (and to its tests, which damage records through it).
 *
 * One thread, one transaction at a time:
 *
 *      r = ops->begin(engine, true, need);
 *      r = ops->reserve(engine, &key, bytes, &room);    fill the room before the next call
 *      r = ops->commit(engine)  or  ops->abort(engine)
 *
 * After any result but 0 and ABSENT the transaction can only be aborted. commit() ends it in every case.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Outcomes; negative results are -errno. */
enum bt_engine_result {
        BT_ENGINE_OK = 0,
        BT_ENGINE_E_ABSENT = 1,  /* no such key */
        BT_ENGINE_E_ROOM = 2,    /* the disk, a quota or a limit is full */
        BT_ENGINE_E_FULL = 3,    /* the map is too small: abort, mend(), again */
        BT_ENGINE_E_DAMAGED = 4, /* the file's own structure is broken: abort, mend(), which sets it aside; again */
        BT_ENGINE_E_STUCK = 5,   /* the engine must be opened anew after a failed write: abort, mend(), again */
};

#define BT_KEY_BYTES_MAX 512 /* LMDB's largest key and one byte: what follows any key can be named too */

struct bt_key {
        size_t bytes;
        uint8_t at[BT_KEY_BYTES_MAX];
};

/* Borrowed from the engine: valid until the next change, or the end of the transaction. Any alignment. */
struct bt_value {
        const void *at;
        size_t bytes;
};

struct bt_engine;

struct bt_engine_ops {
        /* @need: bytes that the transaction will add, as far as known; 0 for small things. */
        int (*begin)(struct bt_engine *engine, bool write, uint64_t need);
        int (*commit)(struct bt_engine *engine);
        void (*abort)(struct bt_engine *engine);

        int (*get)(struct bt_engine *engine, const struct bt_key *key, struct bt_value *ret_value);
        /* The first key that is not less than @from. */
        int (*seek)(struct bt_engine *engine, const struct bt_key *from, struct bt_key *ret_key,
                    struct bt_value *ret_value);
        int (*reserve)(struct bt_engine *engine, const struct bt_key *key, size_t bytes, void **ret_room);
        int (*del)(struct bt_engine *engine, const struct bt_key *key);

        /* Outside a transaction: cures FULL, DAMAGED or STUCK, so that the transaction can be tried again. */
        int (*mend)(struct bt_engine *engine, int outcome);
        /* Frees. */
        void (*close)(struct bt_engine *engine);
};

/* First member of each engine. */
struct bt_engine {
        const struct bt_engine_ops *ops;
        bool was_damaged; /* the file was set aside, at open or by mend() */
};

int bt_engine_lmdb_open(struct bt_engine **ret_engine, const char *dir);
int bt_engine_mem_open(struct bt_engine **ret_engine);
