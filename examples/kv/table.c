/* SPDX-License-Identifier: Apache-2.0 */
/*
 * See table.h for the picture. Order of the writes does not matter here: a process that dies in the middle leaves an open bracket, and
 * such an arena is used by nobody.
 *
 * Load: one entry a bucket. The table grows while count > buckets, by at most two buckets an insertion (two, so that it catches up when the arena
 * had no room for a segment for a while), and shrinks while count < buckets / 4, by at most two a removal; the gap keeps a table that
 * breathes from splitting and merging the same buckets.
 */
#include "examples/kv/table.h"

#include <string.h>

#define SPLITS_MAX 2
#define VALUE_ROOM_MIN 24 /* the longest number has 20 digits: INCR never moves an entry */

/* ---- buckets ---- */

static struct kv_entry **bucket(const struct kv_table *table, uint64_t idx)
{
        uint32_t seg;

        if (idx < KV_TABLE_BASE)
                return &table->segs[0][idx];
        seg = 64 - (uint32_t)__builtin_clzll(idx / KV_TABLE_BASE);
        return &table->segs[seg][idx - ((uint64_t)KV_TABLE_BASE << (seg - 1))];
}

/* The largest power of two <= @n; @n is not 0. */
static uint64_t level(uint64_t n)
{
        return UINT64_C(1) << (63 - __builtin_clzll(n));
}

static uint64_t bucket_idx(const struct kv_table *table, uint64_t hash)
{
        uint64_t m = level(table->buckets);
        uint64_t idx = hash & (2 * m - 1);

        return idx < table->buckets ? idx : idx & (m - 1);
}

/* Eight bytes at a time, multiplied and folded. Not cryptographic; the secret seed is what makes collisions hard to choose. */
static uint64_t hash_bytes(uint64_t seed, const char *bytes, uint32_t n)
{
        uint64_t h = seed ^ ((uint64_t)n * UINT64_C(0x9e3779b97f4a7c15));
        uint64_t word;

        for (; n >= 8; bytes += 8, n -= 8) {
                memcpy(&word, bytes, 8);
                h = (h ^ word) * UINT64_C(0xff51afd7ed558ccd);
                h ^= h >> 32;
        }
        word = 0;
        memcpy(&word, bytes, n);
        h = (h ^ word) * UINT64_C(0xc4ceb9fe1a85ec53);
        h ^= h >> 29;
        h *= UINT64_C(0x9e3779b97f4a7c15);
        return h ^ h >> 32;
}

/* ---- growth ---- */

static bool segment_ensure(struct baton_child *child, struct kv_table *table, uint64_t idx)
{
        uint32_t seg = 64 - (uint32_t)__builtin_clzll(idx / KV_TABLE_BASE);
        size_t count = (size_t)KV_TABLE_BASE << (seg - 1);

        if (seg >= KV_TABLE_SEGS)
                return false;
        if (!table->segs[seg])
                table->segs[seg] = baton_arena_alloc(child, count * sizeof(struct kv_entry *));
        return table->segs[seg];
}

static bool split_one(struct baton_child *child, struct kv_table *table)
{
        uint64_t n = table->buckets;
        uint64_t m = level(n);
        struct kv_entry **stay, **go, *entry;

        if (!segment_ensure(child, table, n))
                return false;
        stay = bucket(table, n - m);
        go = bucket(table, n);
        entry = *stay;
        while (entry) {
                struct kv_entry ***end = (entry->hash & (2 * m - 1)) == n ? &go : &stay;

                **end = entry;
                *end = &entry->next;
                entry = entry->next;
        }
        *stay = *go = NULL;
        table->buckets++;
        return true;
}

static void merge_one(struct baton_child *child, struct kv_table *table)
{
        uint64_t last = table->buckets - 1;
        struct kv_entry **end = bucket(table, last - level(last));

        while (*end)
                end = &(*end)->next;
        *end = *bucket(table, last);
        table->buckets = last;
        if (last == level(last)) {
                uint32_t seg = 64 - (uint32_t)__builtin_clzll(last / KV_TABLE_BASE);

                baton_arena_free(child, table->segs[seg]);
                table->segs[seg] = NULL;
        }
}

static void grow(struct baton_child *child, struct kv_table *table)
{
        for (int i = 0; i < SPLITS_MAX && table->count > table->buckets; i++) {
                if (!split_one(child, table))
                        return; /* chains get longer until there is room again */
        }
}

static void shrink(struct baton_child *child, struct kv_table *table)
{
        for (int i = 0; i < SPLITS_MAX; i++) {
                if (table->buckets <= KV_TABLE_BASE || table->count >= table->buckets / 4)
                        return;
                merge_one(child, table);
        }
}

/* ---- life ---- */

struct kv_table *kv_table_new(struct baton_child *child, uint64_t seed)
{
        size_t bytes = KV_TABLE_BASE * sizeof(struct kv_entry *);
        struct kv_table *table = baton_arena_alloc(child, sizeof(*table));
        struct kv_entry **seg = table ? baton_arena_alloc(child, bytes) : NULL;

        if (!seg) {
                baton_arena_free(child, table);
                return NULL;
        }
        memset(table, 0, sizeof(*table));
        memset(seg, 0, bytes);
        table->seed = seed;
        table->buckets = KV_TABLE_BASE;
        table->segs[0] = seg;
        return table;
}

bool kv_table_free_some(struct baton_child *child, struct kv_table *table, uint32_t steps)
{
        while (table->buckets > 0) {
                struct kv_entry **head = bucket(table, table->buckets - 1);

                while (*head && steps > 0) {
                        struct kv_entry *entry = *head;

                        *head = entry->next;
                        baton_arena_free(child, entry);
                        steps--;
                }
                if (*head || steps == 0)
                        return false;
                table->buckets--;
                steps--;
        }
        for (uint32_t i = 0; i < KV_TABLE_SEGS; i++)
                baton_arena_free(child, table->segs[i]);
        baton_arena_free(child, table);
        return true;
}

/* ---- entries ---- */

/* Where the pointer to the key's entry is, or where it would be. */
static struct kv_entry **slot(const struct kv_table *table, uint64_t hash, const char *key,
                              uint32_t bytes)
{
        struct kv_entry **at = bucket(table, bucket_idx(table, hash));

        for (; *at; at = &(*at)->next) {
                struct kv_entry *entry = *at;

                if (entry->hash == hash && entry->key_bytes == bytes &&
                    memcmp(entry->bytes, key, bytes) == 0)
                        break;
        }
        return at;
}

struct kv_entry *kv_table_find(const struct kv_table *table, const char *key, uint32_t bytes)
{
        return *slot(table, hash_bytes(table->seed, key, bytes), key, bytes);
}

static struct kv_entry *entry_new(struct baton_child *child, uint64_t hash, const char *key,
                                  uint32_t key_bytes, uint32_t value_bytes)
{
        uint32_t room = value_bytes < VALUE_ROOM_MIN ? VALUE_ROOM_MIN : value_bytes;
        struct kv_entry *entry = baton_arena_alloc(child, sizeof(*entry) + key_bytes + room);

        if (!entry)
                return NULL;
        *entry = (struct kv_entry){
                .hash = hash,
                .key_bytes = key_bytes,
                .value_bytes = value_bytes,
                .value_room = room,
        };
        memcpy(entry->bytes, key, key_bytes);
        return entry;
}

/* A value keeps its room unless that would waste more than half of a large one. */
static bool fits(const struct kv_entry *entry, uint32_t value_bytes)
{
        return value_bytes <= entry->value_room &&
               (entry->value_room <= 256 || value_bytes >= entry->value_room / 2);
}

struct kv_entry *kv_table_put(struct baton_child *child, struct kv_table *table, const char *key,
                              uint32_t key_bytes, uint32_t value_bytes)
{
        uint64_t hash = hash_bytes(table->seed, key, key_bytes);
        struct kv_entry **at = slot(table, hash, key, key_bytes);
        struct kv_entry *old = *at;
        struct kv_entry *entry;

        if (old && fits(old, value_bytes)) {
                old->value_bytes = value_bytes;
                return old;
        }
        entry = entry_new(child, hash, key, key_bytes, value_bytes);
        if (!entry)
                return NULL;
        *at = entry;
        if (old) {
                entry->next = old->next;
                entry->expires_ms = old->expires_ms;
                baton_arena_free(child, old);
        } else {
                table->count++;
                grow(child, table);
        }
        return entry;
}

void kv_table_expire(struct kv_table *table, struct kv_entry *entry, int64_t expires_ms)
{
        table->expiring -= entry->expires_ms != 0;
        table->expiring += expires_ms != 0;
        entry->expires_ms = expires_ms;
}

static void unlink_free(struct baton_child *child, struct kv_table *table, struct kv_entry **at)
{
        struct kv_entry *entry = *at;

        *at = entry->next;
        table->count--;
        table->expiring -= entry->expires_ms != 0;
        baton_arena_free(child, entry);
}

bool kv_table_remove(struct baton_child *child, struct kv_table *table, const char *key, uint32_t bytes)
{
        struct kv_entry **at = slot(table, hash_bytes(table->seed, key, bytes), key, bytes);

        if (!*at)
                return false;
        unlink_free(child, table, at);
        shrink(child, table);
        return true;
}

uint32_t kv_table_sweep(struct baton_child *child, struct kv_table *table, int64_t now_ms, uint32_t buckets)
{
        uint32_t removed = 0;

        for (; buckets > 0 && table->expiring > 0; buckets--) {
                struct kv_entry **at;

                if (table->sweep >= table->buckets)
                        table->sweep = 0;
                at = bucket(table, table->sweep++);
                while (*at) {
                        if ((*at)->expires_ms == 0 || (*at)->expires_ms > now_ms) {
                                at = &(*at)->next;
                                continue;
                        }
                        unlink_free(child, table, at);
                        removed++;
                }
        }
        for (uint32_t i = 0; i < removed; i++)
                shrink(child, table);
        return removed;
}
