/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * The keys: a hash table that lives in the arena and is never rebuilt.
 *
 *      table ──► segs[0]   buckets 0 .. 1023            entry ──► entry ──► NULL
 *                segs[1]   buckets 1024 .. 2047           bytes[]: key, value, spare room
 *                segs[2]   buckets 2048 .. 4095
 *                segs[k]   buckets 1024*2^(k-1) .. 1024*2^k - 1
 *
 * Linear hashing. The table grows by one bucket at a time: bucket n is split off from bucket n - m, where m is the largest power of two <= n.
 * A bucket is written for the first time when it is split off, so a new segment of any size needs no clearing, and no insertion
 * costs more than two short chains. A table with a hundred million keys never makes a client wait for its growth, and a swap never has to wait
 * for a rebuild to end, because there is none.
 *
 * Dropped: doubling with two arrays and a rehash cursor. It has to clear the new array (1 GiB of buckets is 0.8 s of page faults in
 * one command), and for the time of the move each lookup searches twice.
 *
 * Everything but kv_table_find() changes the arena: call it inside a bracket. This is the part of the state that versions of the
 * program must agree on; whoever changes a struct here raises KV_SCHEMA_VERSION.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <baton/child.h>

#define KV_TABLE_BASE 1024 /* buckets of the first segment, and the least there are */
#define KV_TABLE_SEGS 32   /* 1024 * 2^31 buckets: 2^41, more than any arena holds */

struct kv_entry {
        struct kv_entry *next;
        uint64_t hash;
        int64_t expires_ms; /* CLOCK_REALTIME; 0: never */
        uint32_t key_bytes;
        uint32_t value_bytes;
        uint32_t value_room; /* bytes there are for the value */
        uint32_t reserved;
        char bytes[]; /* key, then value */
};

struct kv_table {
        struct kv_table *grave_next; /* among flushed tables that are still being freed */
        uint64_t seed;
        uint64_t count;
        uint64_t expiring; /* entries with a time */
        uint64_t buckets;
        uint64_t sweep; /* next bucket to look for expired entries */
        struct kv_entry **segs[KV_TABLE_SEGS];
};

static inline const char *kv_entry_key(const struct kv_entry *entry)
{
        return entry->bytes;
}

static inline char *kv_entry_value(struct kv_entry *entry)
{
        return entry->bytes + entry->key_bytes;
}

/* NULL: no room. @seed keeps strangers from choosing keys that collide. */
struct kv_table *kv_table_new(struct baton_child *child, uint64_t seed);

/* Frees up to @steps entries or buckets. True when all is gone, the table included. */
bool kv_table_free_some(struct baton_child *child, struct kv_table *table, uint32_t steps);

/* The entry, expired or not; NULL. */
struct kv_entry *kv_table_find(const struct kv_table *table, const char *key, uint32_t bytes);

/* Room for a value of @value_bytes under the key: the entry it has, another in its place, or a new one. The caller fills in the value. A new entry has
 * no expiry, an old one keeps its own. NULL: the arena is full, and nothing was changed. */
struct kv_entry *kv_table_put(struct baton_child *child, struct kv_table *table, const char *key,
                              uint32_t key_bytes, uint32_t value_bytes);

void kv_table_expire(struct kv_table *table, struct kv_entry *entry, int64_t expires_ms);
bool kv_table_remove(struct baton_child *child, struct kv_table *table, const char *key, uint32_t bytes);

/* Looks into @buckets buckets, goes on where it last stopped, and removes what expired before @now_ms. Returns how many. */
uint32_t kv_table_sweep(struct baton_child *child, struct kv_table *table, int64_t now_ms, uint32_t buckets);
