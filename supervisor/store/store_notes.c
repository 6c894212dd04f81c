/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Notes: what the hub has to know again after a restart and no configuration says, such as children that were added while it ran.
 *
 *      kind len name     magic, bytes, XXH3 │ the bytes
 *
 * A note is no state: nobody hands it over, it has no age, and it is small. It shares the file, the transactions and the damage rules with the records. One
 * that does not have its sum is passed over by the reader and left where it is: it is one child less, and not a hub that does not start.
 *
 * Reading is the one call of the store that waits. It is made once, before anything else is asked of the store: what the hub adopts and starts
 * depends on the answer, and there is no loop yet that could bring it.
 */
#include "supervisor/store/store_notes.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "shm/record.h"
#include "supervisor/store/store_key.h"
#include "supervisor/store/store_tx.h"

#define NOTE_MAGIC UINT64_C(0x31303045544f4e42) /* "BNOTE001" */

struct note_head {
        uint64_t magic;
        uint64_t bytes;
        uint64_t xxh3;
};

/* ---- put ---- */

struct put {
        const struct bt_note *notes;
        size_t count;
};

static int put_one(struct bt_engine *engine, const struct bt_note *note)
{
        struct note_head head = {NOTE_MAGIC, note->bytes, bt_sum_of(note->at, note->bytes)};
        struct bt_key key;
        void *room;
        int r;

        bt_key_child(&key, (char)note->kind, note->name);
        r = engine->ops->reserve(engine, &key, sizeof(head) + note->bytes, &room);
        if (r)
                return r;
        memcpy(room, &head, sizeof(head));
        memcpy((char *)room + sizeof(head), note->at, note->bytes);
        return 0;
}

static int put_body(struct bt_engine *engine, void *ctx)
{
        const struct put *put = ctx;

        for (size_t i = 0; i < put->count; i++) {
                struct bt_key prefix;
                int r;

                if (put->notes[i].at) {
                        r = put_one(engine, &put->notes[i]);
                } else {
                        bt_key_child(&prefix, (char)put->notes[i].kind, put->notes[i].name);
                        r = bt_tx_del_prefix(engine, &prefix);
                }
                if (r)
                        return r;
        }
        BT_POINT("store.notes.before_commit");
        return 0;
}

int bt_notes_put(struct bt_engine *engine, const struct bt_note *notes, size_t count)
{
        struct put put = {.notes = notes, .count = count};
        uint64_t need = 0;
        int r;

        for (size_t i = 0; i < count; i++)
                need += notes[i].bytes + sizeof(struct note_head) + BT_KEY_BYTES_MAX;
        r = bt_tx_run(engine, true, need, put_body, &put, NULL);
        if (!r)
                BT_POINT("store.notes.after_commit");
        return bt_tx_result(r);
}

/* ---- read ---- */

struct read {
        char kind;
        struct bt_note *notes; /* names and bytes owned */
        size_t count, room;
};

static void read_clear(struct read *read)
{
        for (size_t i = 0; i < read->count; i++)
                free((void *)read->notes[i].at);
        read->count = 0;
}

static int read_add(struct read *read, const char name[64], const struct bt_value *value)
{
        struct note_head head;
        struct bt_note *note;
        char *copy;

        if (value->bytes < sizeof(head))
                return 0;
        memcpy(&head, value->at, sizeof(head));
        if (head.magic != NOTE_MAGIC || head.bytes != value->bytes - sizeof(head) ||
            head.xxh3 != bt_sum_of((const char *)value->at + sizeof(head), head.bytes))
                return 0;
        if (read->count == read->room) {
                size_t room = read->room ? read->room * 2 : 64;
                struct bt_note *more = reallocarray(read->notes, room, sizeof(*more));

                if (!more)
                        return -ENOMEM;
                read->notes = more;
                read->room = room;
        }
        copy = malloc(head.bytes + 1);
        if (!copy)
                return -ENOMEM;
        memcpy(copy, (const char *)value->at + sizeof(head), head.bytes);
        note = &read->notes[read->count++];
        *note = (struct bt_note){.kind = (enum bt_note_kind)read->kind, .at = copy, .bytes = head.bytes};
        memcpy(note->name, name, sizeof(note->name));
        return 0;
}

static int read_body(struct bt_engine *engine, void *ctx)
{
        struct read *read = ctx;
        struct bt_key from = {.bytes = 1, .at = {(uint8_t)read->kind}};

        read_clear(read);
        for (;;) {
                struct bt_key key;
                struct bt_value value;
                char name[64];
                int r = engine->ops->seek(engine, &from, &key, &value);

                if (r == BT_ENGINE_E_ABSENT || (!r && key.at[0] != (uint8_t)read->kind))
                        return 0;
                if (!r && bt_key_parse(&key, read->kind, 0, name))
                        r = read_add(read, name, &value);
                if (r)
                        return r;
                bt_key_after(&from, &key);
        }
}

/* All are copied first: @each may take its time, and the transaction is over by then. */
int bt_notes_read(struct bt_engine *engine, char kind, bt_store_note_fn each, void *ctx)
{
        struct read read = {.kind = kind};
        int r = bt_tx_result(bt_tx_run(engine, false, 0, read_body, &read, NULL));

        for (size_t i = 0; !r && i < read.count; i++)
                each(ctx, &read.notes[i]);
        read_clear(&read);
        free(read.notes);
        return r;
}
