/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Records over an ordered map.
 *
 *      'R' len id 0          the header, struct bt_record, 512 bytes
 *      'R' len id 1          payload [0, P)
 *      'R' len id 2          payload [P, 2P) ..
 *      'Q' len id wall 0 ..  the same, for a record that was found damaged at that time
 *
 * Invariants, each true after every commit, so at every crash:
 *   - a child has a header and all the parts it speaks of, or nothing: both are written, replaced and deleted by one transaction;
 *   - what is returned as OK has the right sums, of header and payload, and belongs to the child whose key it was under;
 *   - a record that failed its check is not returned a second time: it is in quarantine, in the same transaction gone from its place.
 *
 * A put deletes the old parts first and then writes the new ones, in one transaction. That is one path for "longer", "shorter" and "new";
 * the engine keeps the old pages until the commit in any case.
 *
 * The header is the last value written because the payload's sum is in it. Its place in the key order (part 0) is the first, so that a list
 * of all records reads no payload.
 *
 * Dropped: payloads under a number of their own, with the header pointing at it. Moving a record to quarantine would be free, but a crash
 * could then leave payloads that no header knows, and something would have to look for them.
 */
#include "supervisor/store/store_records.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "shm/record.h"
#include "supervisor/store/store_io.h"
#include "supervisor/store/store_key.h"
#include "supervisor/store/store_tx.h"

/* All values of a child's record. The id is followed by the part number only, and its length comes before it, so no other child's keys begin so. */
static int del_record(struct bt_engine *engine, const char *child)
{
        struct bt_key prefix;

        bt_key_child(&prefix, BT_KEY_KIND_RECORD, child);
        return bt_tx_del_prefix(engine, &prefix);
}

/* put */

#define PUT_E_DIFFERS 103 /* an outcome of the transaction, above the engine's: the payload is not what its header says */

struct put {
        bt_records_next_fn next;
        void *ctx;
        uint64_t part_bytes;
};

static void part_key(struct bt_key *ret_key, const char *child, uint64_t aside_ns, uint32_t part)
{
        if (aside_ns)
                bt_key_quarantine(ret_key, child, aside_ns, part);
        else
                bt_key_record(ret_key, child, part);
}

static int put_payload(struct bt_engine *engine, const struct bt_store_item *item, uint64_t part_bytes,
                       uint64_t aside_ns, uint64_t *ret_xxh3)
{
        uint64_t done = 0;
        struct bt_sum sum;

        bt_sum_init(&sum);
        for (uint32_t part = 1; done < item->record.payload_bytes; part++) {
                uint64_t left = item->record.payload_bytes - done;
                size_t bytes = (size_t)(left < part_bytes ? left : part_bytes);
                struct bt_key key;
                void *room;
                int r;

                part_key(&key, item->record.child, aside_ns, part);
                r = engine->ops->reserve(engine, &key, bytes, &room);
                if (r)
                        return r;
                r = bt_store_io_read(item->fd, item->off + done, room, bytes, &sum);
                if (r)
                        return r;
                done += bytes;
                BT_POINT("store.put.part");
        }
        *ret_xxh3 = bt_sum_end(&sum);
        return 0;
}

int bt_records_write(struct bt_engine *engine, const struct bt_store_item *item, uint64_t part_bytes, uint64_t aside_ns)
{
        struct bt_record record = item->record;
        struct bt_key key;
        uint64_t xxh3 = 0;
        void *room;
        int r;

        r = put_payload(engine, item, part_bytes, aside_ns, &xxh3);
        if (r)
                return r;
        if (item->verify && xxh3 != record.payload_xxh3)
                return PUT_E_DIFFERS;
        bt_record_seal(&record, xxh3);
        part_key(&key, record.child, aside_ns, 0);
        r = engine->ops->reserve(engine, &key, sizeof(record), &room);
        if (r)
                return r;
        memcpy(room, &record, sizeof(record));
        BT_POINT("store.put.header");
        return 0;
}

static int put_one(struct bt_engine *engine, const struct bt_store_item *item, uint64_t part_bytes)
{
        int r = del_record(engine, item->record.child);

        return r ? r : bt_records_write(engine, item, part_bytes, 0);
}

static int put_body(struct bt_engine *engine, void *ctx)
{
        const struct put *put = ctx;
        const struct bt_store_item *item = NULL;

        for (;;) {
                int r = put->next(put->ctx, item, &item);

                if (!r && item)
                        r = put_one(engine, item, put->part_bytes);
                if (r)
                        return r;
                if (!item)
                        break;
        }
        BT_POINT("store.put.before_commit");
        return 0;
}

int bt_records_put_all(struct bt_engine *engine, bt_records_next_fn next, void *ctx, uint64_t need, uint64_t part_bytes)
{
        struct put put = {.next = next, .ctx = ctx, .part_bytes = part_bytes};
        int r;

        BT_POINT("store.put.begin");
        r = bt_tx_run(engine, true, need, put_body, &put, NULL);
        if (!r)
                BT_POINT("store.put.after_commit");
        return r == PUT_E_DIFFERS ? BT_STORE_E_CORRUPT : bt_tx_result(r);
}

struct items {
        const struct bt_store_item *first;
        const struct bt_store_item *end;
};

static int items_next(void *ctx, const struct bt_store_item *before, const struct bt_store_item **ret_item)
{
        const struct items *items = ctx;
        const struct bt_store_item *item = before ? before + 1 : items->first;

        *ret_item = item < items->end ? item : NULL;
        return 0;
}

int bt_records_put(struct bt_engine *engine, const struct bt_store_item *items, size_t count, uint64_t part_bytes)
{
        struct items all = {.first = items, .end = items + count};
        uint64_t need = 0;

        for (size_t i = 0; i < count; i++)
                need += items[i].record.payload_bytes + sizeof(struct bt_record);
        return bt_records_put_all(engine, items_next, &all, need, part_bytes);
}

/* get */

/* Outcomes of a get's transaction, above the engine's. */
enum get_result {
        GET_E_CORRUPT = 100,
        GET_E_ROOM = 101,
        GET_E_FOREIGN = 102,
};

struct get {
        const char *child;
        int fd;
        uint64_t off;
        uint64_t room;
        uint64_t written;
        struct bt_record record;
};

/* Parts without a header are as damaged as a header without parts. */
static int get_headless(struct bt_engine *engine, const struct get *get)
{
        struct bt_key key, found;
        struct bt_value value;
        char child[64];
        int r;

        bt_key_record(&key, get->child, 0);
        r = engine->ops->seek(engine, &key, &found, &value);
        if (r)
                return r;
        if (bt_key_parse(&found, BT_KEY_KIND_RECORD, 4, child) && !strcmp(child, get->child))
                return GET_E_CORRUPT;
        return BT_ENGINE_E_ABSENT;
}

static int get_header(struct bt_engine *engine, struct get *get)
{
        struct bt_key key;
        struct bt_value value;
        int r;

        bt_key_record(&key, get->child, 0);
        r = engine->ops->get(engine, &key, &value);
        if (r == BT_ENGINE_E_ABSENT)
                return get_headless(engine, get);
        if (r)
                return r;
        switch (bt_record_read(&get->record, value.at, value.bytes)) {
        case BT_RECORD_OK:
                break;
        case BT_RECORD_E_FOREIGN:
                return GET_E_FOREIGN;
        default:
                return GET_E_CORRUPT;
        }
        if (strcmp(get->record.child, get->child) != 0)
                return GET_E_CORRUPT;
        return get->record.payload_bytes > get->room ? GET_E_ROOM : 0;
}

/* Part by part, whatever their sizes are: a writer may cut as it likes. */
static int get_payload(struct bt_engine *engine, struct get *get)
{
        struct bt_sum sum;
        struct bt_key key;
        struct bt_value value;
        uint64_t bytes = get->record.payload_bytes;
        uint32_t part = 1;
        int r;

        bt_sum_init(&sum);
        if (get->record.form == BATON_STATE_ARENA)
                bt_store_io_prepare(get->fd, get->off, bytes);
        for (; get->written < bytes; part++) {
                bt_key_record(&key, get->child, part);
                r = engine->ops->get(engine, &key, &value);
                if (r == BT_ENGINE_E_ABSENT)
                        return GET_E_CORRUPT;
                if (r)
                        return r;
                if (!value.bytes || value.bytes > bytes - get->written)
                        return GET_E_CORRUPT;
                r = bt_store_io_write(get->fd, get->off + get->written, value.at, value.bytes, &sum);
                if (r)
                        return r;
                get->written += value.bytes;
        }
        bt_key_record(&key, get->child, part);
        r = engine->ops->get(engine, &key, &value);
        if (r != BT_ENGINE_E_ABSENT)
                return r ? r : GET_E_CORRUPT;
        return bt_sum_end(&sum) == get->record.payload_xxh3 ? 0 : GET_E_CORRUPT;
}

static int get_body(struct bt_engine *engine, void *ctx)
{
        struct get *get = ctx;
        int r;

        get->written = 0;
        r = get_header(engine, get);
        return r ? r : get_payload(engine, get);
}

int bt_records_get(struct bt_engine *engine, const char *child, int fd, uint64_t off, uint64_t room,
                   struct bt_record *ret_record)
{
        struct get get = {.child = child, .fd = fd, .off = off, .room = room};
        bool mended = false;
        int r = bt_tx_run(engine, false, 0, get_body, &get, &mended);

        if (r == 0 || r == GET_E_ROOM)
                *ret_record = get.record;
        if (r == 0)
                return BT_STORE_OK;
        bt_store_io_wipe(fd, off, get.written);
        switch (r) {
        case GET_E_ROOM:
                return BT_STORE_E_ROOM;
        case GET_E_FOREIGN:
                return -EPROTONOSUPPORT;
        case GET_E_CORRUPT:
                bt_records_quarantine(engine, child, get.record.payload_bytes);
                return BT_STORE_E_CORRUPT;
        default:
                return mended && r == BT_ENGINE_E_ABSENT ? BT_STORE_E_CORRUPT : bt_tx_result(r);
        }
}

/* del */

static int del_body(struct bt_engine *engine, void *ctx)
{
        const struct bt_records_del *del = ctx;
        struct bt_record record;
        struct bt_key key;
        struct bt_value value;
        int r;

        bt_key_record(&key, del->child, 0);
        r = engine->ops->get(engine, &key, &value);
        if (r)
                return r;
        /* A header that cannot be read has no sequence: what it stands for is not what the caller wants deleted. */
        if (bt_record_read(&record, value.at, value.bytes) || record.sequence != del->sequence)
                return BT_ENGINE_E_ABSENT;
        r = del_record(engine, del->child);
        if (r)
                return r;
        BT_POINT("store.del.before_commit");
        return 0;
}

int bt_records_del(struct bt_engine *engine, const char *child, uint64_t sequence)
{
        struct bt_records_del del = {.child = child, .sequence = sequence};
        int r;

        BT_POINT("store.del.begin");
        r = bt_tx_run(engine, true, 0, del_body, &del, NULL);
        if (!r)
                BT_POINT("store.del.after_commit");
        return bt_tx_result(r);
}

struct del_many {
        struct bt_records_del *dels;
        size_t count;
};

/* One that is absent is no reason to keep the others. */
static int del_many_body(struct bt_engine *engine, void *ctx)
{
        const struct del_many *many = ctx;

        for (size_t i = 0; i < many->count; i++) {
                int r = del_body(engine, &many->dels[i]);

                if (r && r != BT_ENGINE_E_ABSENT)
                        return r;
                many->dels[i].result = bt_tx_result(r);
        }
        return 0;
}

void bt_records_del_many(struct bt_engine *engine, struct bt_records_del *dels, size_t count)
{
        struct del_many many = {.dels = dels, .count = count};

        if (count > 1 && bt_tx_run(engine, true, 0, del_many_body, &many, NULL) == 0) {
                for (size_t i = 0; i < count; i++)
                        BT_POINT("store.del.after_commit"); /* once for each, however many went together */
                return;
        }
        for (size_t i = 0; i < count; i++)
                dels[i].result = bt_records_del(engine, dels[i].child, dels[i].sequence);
}

/* list */

struct list {
        struct bt_record *records;
        size_t count;
        size_t room;
};

static int list_add(struct list *list, const char *child, const struct bt_value *value)
{
        struct bt_record *record;

        if (list->count == list->room) {
                size_t room = list->room ? list->room * 2 : 64;
                struct bt_record *more = reallocarray(list->records, room, sizeof(*more));

                if (!more)
                        return -ENOMEM;
                list->records = more;
                list->room = room;
        }
        record = &list->records[list->count++];
        memset(record, 0, sizeof(*record));
        if (!value || bt_record_read(record, value->at, value->bytes) || strcmp(record->child, child) != 0) {
                memset(record, 0, sizeof(*record));
                memcpy(record->child, child, sizeof(record->child));
        }
        return 0;
}

static int list_body(struct bt_engine *engine, void *ctx)
{
        struct list *list = ctx;
        struct bt_key from = {.bytes = 1, .at = {BT_KEY_KIND_RECORD}};

        list->count = 0;
        for (;;) {
                struct bt_key key;
                struct bt_value value;
                char child[64];
                int r = engine->ops->seek(engine, &from, &key, &value);

                if (r == BT_ENGINE_E_ABSENT || (!r && key.at[0] != BT_KEY_KIND_RECORD))
                        return 0;
                if (r)
                        return r;
                if (!bt_key_parse(&key, BT_KEY_KIND_RECORD, 4, child)) {
                        bt_key_after(&from, &key); /* not of this format: not ours to judge */
                        continue;
                }
                r = list_add(list, child, bt_key_number(&key, key.bytes - 4, 4) == 0 ? &value : NULL);
                if (r)
                        return r;
                /* The next child: behind the largest part of this one. */
                bt_key_record(&from, child, UINT32_MAX);
                bt_key_after(&from, &from);
        }
}

int bt_records_list(struct bt_engine *engine, struct bt_record **ret_records, size_t *ret_count)
{
        struct list list = {0};
        int r = bt_tx_run(engine, false, 0, list_body, &list, NULL);

        if (r) {
                free(list.records);
                return bt_tx_result(r);
        }
        *ret_records = list.records;
        *ret_count = list.count;
        return 0;
}
