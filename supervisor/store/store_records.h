/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Records over an engine: parts, checksums, quarantine. Runs on the store's thread; docs/store.md is the format in prose. */

#include <stddef.h>
#include <stdint.h>

#include "supervisor/store/store.h"
#include "supervisor/store/store_engine.h"

#define BT_STORE_PART_BYTES (UINT64_C(64) << 20) /* of a payload in one value; 2^32 parts are far beyond any payload */
#define BT_STORE_PAYLOAD_BYTES_MAX (UINT64_C(1) << 46)
#define BT_STORE_QUARANTINED_MAX 8 /* a child */

/* Results of all: enum bt_store_result, or -errno. */

int bt_records_put(struct bt_engine *engine, const struct bt_store_item *items, size_t count,
                   uint64_t part_bytes);
/* The same of what @next has: the item behind @before, NULL for the first; NULL is the end. May begin again. @need: bytes, about. */
typedef int (*bt_records_next_fn)(void *ctx, const struct bt_store_item *before, const struct bt_store_item **ret_item);
int bt_records_put_all(struct bt_engine *engine, bt_records_next_fn next, void *ctx, uint64_t need, uint64_t part_bytes);
int bt_records_get(struct bt_engine *engine, const char *child, int fd, uint64_t off, uint64_t room,
                   struct bt_record *ret_record);
int bt_records_del(struct bt_engine *engine, const char *child, uint64_t sequence);

struct bt_records_del {
        const char *child;
        uint64_t sequence;
        int result;
};
/* The same for many in one transaction, each with its own @result. Where that fails, each is tried alone. */
void bt_records_del_many(struct bt_engine *engine, struct bt_records_del *dels, size_t count);
/* @ret_records: on the heap, the caller's; NULL when there are none. */
int bt_records_list(struct bt_engine *engine, struct bt_record **ret_records, size_t *ret_count);

/* Payload, then header, inside a transaction: where a record is, or (@aside_ns not 0) among the quarantined ones. */
int bt_records_write(struct bt_engine *engine, const struct bt_store_item *item, uint64_t part_bytes, uint64_t aside_ns);

/* store_quarantine.c, store_aside.c: see store.h */
int bt_records_move_aside(struct bt_engine *engine, const char *child, uint64_t sequence);
int bt_records_put_aside(struct bt_engine *engine, const struct bt_store_item *item, uint64_t part_bytes);
int bt_records_read(struct bt_engine *engine, const char *child, uint64_t aside_ns, int fd, uint64_t room, struct bt_record *ret_record);
int bt_records_drop_aside(struct bt_engine *engine, const char *child, uint64_t aside_ns);
int bt_records_list_aside(struct bt_engine *engine, struct bt_aside **ret_aside, size_t *ret_count);

/* Moves a record that failed its check to quarantine. Where this fails (the disk is full) it stays, and the next get finds it damaged again.
 * @bytes: about how large it is. */
void bt_records_quarantine(struct bt_engine *engine, const char *child, uint64_t bytes);
