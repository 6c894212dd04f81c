/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Looking at states without judging them: those set aside, and the ones that wait to be delivered.
 *
 *      'Q' len id wall 0     header        ┐ copied one behind the other: for a whole record that is the format of a file that
 *      'Q' len id wall 1..   payload       ┘ `baton state export` writes, for a damaged one it is what there is to look at
 *
 * Nothing here changes what it looks at; forgetting one is a call of its own.
 *
 * Dropped: checking payloads in the list. It would read every state there is, gigabytes perhaps, for one column of a table.
 */
#include "supervisor/store/store_records.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "shm/record.h"
#include "supervisor/store/store_io.h"
#include "supervisor/store/store_key.h"
#include "supervisor/store/store_tx.h"

/* Outcomes of a read's transaction, above the engine's. */
enum read_result {
        READ_E_CORRUPT = 100,
        READ_E_ROOM = 101,
        READ_E_FOREIGN = 102,
};

struct read {
        const char *child;
        uint64_t aside_ns;
        int fd;
        uint64_t room;
        uint64_t written;
        uint64_t header_bytes;
        int header; /* enum bt_record_result; -1: there is none */
        struct bt_record record;
        struct bt_sum sum; /* of the payload */
};

static void read_prefix(const struct read *read, struct bt_key *ret_prefix)
{
        if (read->aside_ns)
                bt_key_quarantine(ret_prefix, read->child, read->aside_ns, 0);
        else
                bt_key_record(ret_prefix, read->child, 0);
        ret_prefix->bytes -= 4; /* the part */
}

static int read_value(struct read *read, uint64_t part, const struct bt_value *value)
{
        struct bt_sum ignored;
        int r;

        if (value->bytes > read->room - read->written)
                return READ_E_ROOM;
        bt_sum_init(&ignored);
        r = bt_store_io_write(read->fd, read->written, value->at, value->bytes, part ? &read->sum : &ignored);
        if (r)
                return r;
        read->written += value->bytes;
        if (!part) {
                read->header_bytes = value->bytes;
                read->header = bt_record_read(&read->record, value->at, value->bytes);
        }
        return 0;
}

static int read_verdict(const struct read *read)
{
        if (!read->written)
                return BT_ENGINE_E_ABSENT;
        if (read->header == BT_RECORD_E_FOREIGN)
                return READ_E_FOREIGN;
        if (read->header != BT_RECORD_OK || strcmp(read->record.child, read->child) != 0 ||
            read->written - read->header_bytes != read->record.payload_bytes || bt_sum_end(&read->sum) != read->record.payload_xxh3)
                return READ_E_CORRUPT;
        return 0;
}

static int read_body(struct bt_engine *engine, void *ctx)
{
        struct read *read = ctx;
        struct bt_key prefix, from, key;
        struct bt_value value;
        int r;

        read->written = read->header_bytes = 0;
        read->header = -1;
        bt_sum_init(&read->sum);
        read_prefix(read, &prefix);
        for (from = prefix;; bt_key_after(&from, &key)) {
                r = engine->ops->seek(engine, &from, &key, &value);
                if (r == BT_ENGINE_E_ABSENT || (!r && !bt_key_begins(&key, &prefix)))
                        return read_verdict(read);
                if (!r && key.bytes == prefix.bytes + 4)
                        r = read_value(read, bt_key_number(&key, prefix.bytes, 4), &value);
                if (r)
                        return r;
        }
}

int bt_records_read(struct bt_engine *engine, const char *child, uint64_t aside_ns, int fd, uint64_t room, struct bt_record *ret_record)
{
        struct read read = {.child = child, .aside_ns = aside_ns, .fd = fd, .room = room};
        int r = bt_tx_run(engine, false, 0, read_body, &read, NULL);

        switch (r) {
        case 0:
                *ret_record = read.record;
                return BT_STORE_OK;
        case READ_E_CORRUPT:
                return BT_STORE_E_CORRUPT;
        case READ_E_ROOM:
                return BT_STORE_E_ROOM;
        case READ_E_FOREIGN:
                return -EPROTONOSUPPORT;
        default:
                return bt_tx_result(r);
        }
}

/* drop */

struct drop {
        const char *child;
        uint64_t aside_ns;
};

static int drop_body(struct bt_engine *engine, void *ctx)
{
        const struct drop *drop = ctx;
        struct bt_key prefix, key;
        struct bt_value value;
        int r;

        bt_key_quarantine(&prefix, drop->child, drop->aside_ns, 0);
        prefix.bytes -= 4;
        r = engine->ops->seek(engine, &prefix, &key, &value);
        if (!r && !bt_key_begins(&key, &prefix))
                r = BT_ENGINE_E_ABSENT;
        return r ? r : bt_tx_del_prefix(engine, &prefix);
}

int bt_records_drop_aside(struct bt_engine *engine, const char *child, uint64_t aside_ns)
{
        struct drop drop = {.child = child, .aside_ns = aside_ns};

        return bt_tx_result(bt_tx_run(engine, true, 0, drop_body, &drop, NULL));
}

/* list */

struct list {
        struct bt_aside *aside;
        size_t count;
        size_t room;
};

static int list_add(struct list *list, const char *child, uint64_t wall_ns, const struct bt_value *header)
{
        struct bt_aside *aside;

        if (list->count == list->room) {
                size_t room = list->room ? list->room * 2 : 16;
                struct bt_aside *more = reallocarray(list->aside, room, sizeof(*more));

                if (!more)
                        return -ENOMEM;
                list->aside = more;
                list->room = room;
        }
        aside = &list->aside[list->count++];
        memset(aside, 0, sizeof(*aside));
        aside->wall_ns = wall_ns;
        if (!header || bt_record_read(&aside->record, header->at, header->bytes) || strcmp(aside->record.child, child) != 0) {
                memset(&aside->record, 0, sizeof(aside->record));
                memcpy(aside->record.child, child, sizeof(aside->record.child));
        }
        return 0;
}

static int list_body(struct bt_engine *engine, void *ctx)
{
        struct list *list = ctx;
        struct bt_key from = {.bytes = 1, .at = {BT_KEY_KIND_QUARANTINE}};

        list->count = 0;
        for (;;) {
                struct bt_key key;
                struct bt_value value;
                uint64_t wall_ns;
                char child[64];
                int r = engine->ops->seek(engine, &from, &key, &value);

                if (r == BT_ENGINE_E_ABSENT || (!r && key.at[0] != BT_KEY_KIND_QUARANTINE))
                        return 0;
                if (r)
                        return r;
                if (!bt_key_parse(&key, BT_KEY_KIND_QUARANTINE, 12, child)) {
                        bt_key_after(&from, &key);
                        continue;
                }
                wall_ns = bt_key_number(&key, key.bytes - 12, 8);
                r = list_add(list, child, wall_ns, bt_key_number(&key, key.bytes - 4, 4) == 0 ? &value : NULL);
                if (r)
                        return r;
                bt_key_quarantine(&from, child, wall_ns, UINT32_MAX);
                bt_key_after(&from, &from);
        }
}

int bt_records_list_aside(struct bt_engine *engine, struct bt_aside **ret_aside, size_t *ret_count)
{
        struct list list = {0};
        int r = bt_tx_run(engine, false, 0, list_body, &list, NULL);

        if (r) {
                free(list.aside);
                return bt_tx_result(r);
        }
        *ret_aside = list.aside;
        *ret_count = list.count;
        return 0;
}
