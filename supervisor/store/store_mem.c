/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The memory engine: the twin of store_lmdb.c for tests that must not wait for a disk. Everything above it (records, quarantine, thread, order)
 * is the same code, so the two cannot come to mean different things.
 *
 * Entries lie in an array sorted by key, bytes before length, as LMDB sorts. A write transaction notes each entry it took out or put in; abort walks
 * the notes backwards:
 *
 *      entries   [ R|web/0|0 ][ R|web/0|1 ][ R|web/1|0 ] ..
 *      undo      (put, key) (took, entry) ..
 *
 * A sorted array moves pointers at each insert; a test has hundreds of entries, not millions.
 */
#include "supervisor/store/store_engine.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/cleanup.h"

struct entry {
        struct bt_key key;
        size_t bytes;
        uint8_t at[];
};

struct undo {
        struct entry *entry;
        bool was_put; /* true: put in by this transaction; false: taken out, and owned by the note */
};

struct mem {
        struct bt_engine engine;
        struct entry **entries;
        size_t entry_count, entry_room;
        struct undo *undos;
        size_t undo_count, undo_room;
        bool begun;
};

static struct mem *mem_of(struct bt_engine *engine)
{
        return bt_container_of(engine, struct mem, engine);
}

static int key_compare(const struct bt_key *a, const struct bt_key *b)
{
        int order = memcmp(a->at, b->at, a->bytes < b->bytes ? a->bytes : b->bytes);

        return order ? order : (a->bytes > b->bytes) - (a->bytes < b->bytes);
}

/* Index of the first entry that is not less than @key. */
static size_t mem_find(const struct mem *m, const struct bt_key *key)
{
        size_t low = 0, high = m->entry_count;

        while (low < high) {
                size_t mid = low + (high - low) / 2;

                if (key_compare(&m->entries[mid]->key, key) < 0)
                        low = mid + 1;
                else
                        high = mid;
        }
        return low;
}

static bool mem_has(const struct mem *m, size_t idx, const struct bt_key *key)
{
        return idx < m->entry_count && key_compare(&m->entries[idx]->key, key) == 0;
}

/* The array @at, moved if it had to grow for one more element; NULL: no memory, and @at is as it was. */
static void *array_grow(void *at, size_t count, size_t *room, size_t element_bytes)
{
        size_t more = *room ? *room * 2 : 64;

        if (count < *room)
                return at;
        at = reallocarray(at, more, element_bytes);
        if (at)
                *room = more;
        return at;
}

static int mem_grow_undos(struct mem *m)
{
        struct undo *undos = array_grow(m->undos, m->undo_count, &m->undo_room, sizeof(*undos));

        if (!undos)
                return -ENOMEM;
        m->undos = undos;
        return 0;
}

static int mem_grow_entries(struct mem *m)
{
        struct entry **entries = array_grow(m->entries, m->entry_count, &m->entry_room, sizeof(struct entry *));

        if (!entries)
                return -ENOMEM;
        m->entries = entries;
        return 0;
}

static void mem_take(struct mem *m, size_t idx)
{
        m->entry_count--;
        memmove(&m->entries[idx], &m->entries[idx + 1], (m->entry_count - idx) * sizeof(struct entry *));
}

/* Room was made before. */
static void mem_insert(struct mem *m, struct entry *entry)
{
        size_t idx = mem_find(m, &entry->key);

        memmove(&m->entries[idx + 1], &m->entries[idx], (m->entry_count - idx) * sizeof(struct entry *));
        m->entries[idx] = entry;
        m->entry_count++;
}

/* transactions */

static int mem_begin(struct bt_engine *engine, bool write, uint64_t need)
{
        struct mem *m = mem_of(engine);

        (void)write;
        (void)need;
        bt_assert(!m->begun);
        m->begun = true;
        return 0;
}

static int mem_commit(struct bt_engine *engine)
{
        struct mem *m = mem_of(engine);

        bt_assert(m->begun);
        for (size_t i = 0; i < m->undo_count; i++)
                if (!m->undos[i].was_put)
                        free(m->undos[i].entry);
        m->undo_count = 0;
        m->begun = false;
        return 0;
}

static void mem_abort(struct bt_engine *engine)
{
        struct mem *m = mem_of(engine);

        bt_assert(m->begun);
        while (m->undo_count) {
                struct undo undo = m->undos[--m->undo_count];

                if (undo.was_put) {
                        mem_take(m, mem_find(m, &undo.entry->key));
                        free(undo.entry);
                } else {
                        mem_insert(m, undo.entry); /* into the room it left */
                }
        }
        m->begun = false;
}

/* access */

static int mem_get(struct bt_engine *engine, const struct bt_key *key, struct bt_value *ret_value)
{
        struct mem *m = mem_of(engine);
        size_t idx = mem_find(m, key);

        if (!mem_has(m, idx, key))
                return BT_ENGINE_E_ABSENT;
        *ret_value = (struct bt_value){.at = m->entries[idx]->at, .bytes = m->entries[idx]->bytes};
        return 0;
}

static int mem_seek(struct bt_engine *engine, const struct bt_key *from, struct bt_key *ret_key,
                    struct bt_value *ret_value)
{
        struct mem *m = mem_of(engine);
        size_t idx = mem_find(m, from);

        if (idx == m->entry_count)
                return BT_ENGINE_E_ABSENT;
        *ret_key = m->entries[idx]->key;
        *ret_value = (struct bt_value){.at = m->entries[idx]->at, .bytes = m->entries[idx]->bytes};
        return 0;
}

static int mem_del(struct bt_engine *engine, const struct bt_key *key)
{
        struct mem *m = mem_of(engine);
        size_t idx = mem_find(m, key);
        int r;

        if (!mem_has(m, idx, key))
                return BT_ENGINE_E_ABSENT;
        r = mem_grow_undos(m);
        if (r)
                return r;
        m->undos[m->undo_count++] = (struct undo){.entry = m->entries[idx]};
        mem_take(m, idx);
        return 0;
}

static int mem_reserve(struct bt_engine *engine, const struct bt_key *key, size_t bytes, void **ret_room)
{
        struct mem *m = mem_of(engine);
        struct entry *entry;
        int r = mem_del(engine, key);

        if (r && r != BT_ENGINE_E_ABSENT)
                return r;
        r = mem_grow_undos(m);
        if (!r)
                r = mem_grow_entries(m);
        if (r)
                return r;
        entry = calloc(1, sizeof(*entry) + bytes);
        if (!entry)
                return -ENOMEM;
        entry->key = *key;
        entry->bytes = bytes;
        mem_insert(m, entry);
        m->undos[m->undo_count++] = (struct undo){.entry = entry, .was_put = true};
        *ret_room = entry->at;
        return 0;
}

static int mem_mend(struct bt_engine *engine, int outcome)
{
        (void)engine;
        (void)outcome;
        return -EIO; /* memory is never full, damaged or stuck in these senses */
}

static void mem_close(struct bt_engine *engine)
{
        struct mem *m = mem_of(engine);

        bt_assert(!m->begun);
        for (size_t i = 0; i < m->entry_count; i++)
                free(m->entries[i]);
        free(m->entries);
        free(m->undos);
        free(m);
}

static const struct bt_engine_ops mem_ops = {
        .begin = mem_begin,
        .commit = mem_commit,
        .abort = mem_abort,
        .get = mem_get,
        .seek = mem_seek,
        .reserve = mem_reserve,
        .del = mem_del,
        .mend = mem_mend,
        .close = mem_close,
};

int bt_engine_mem_open(struct bt_engine **ret_engine)
{
        struct mem *m = calloc(1, sizeof(*m));

        if (!m)
                return -ENOMEM;
        m->engine.ops = &mem_ops;
        *ret_engine = &m->engine;
        return 0;
}
