/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The root and the connection records. Records are one array, made with the root: so a client can be let in, or turned away with a reason, however
 * full the arena is. Its pages cost nothing until slots are used, and the lowest free slot is not searched for: the last one given back
 * is the next one used, which is also the one in the cache.
 */
#include "examples/kv/state.h"

#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

#define BURY_STEPS 256 /* about 10 us */

int64_t kv_now_ms(void)
{
        struct timespec ts;

        (void)clock_gettime(CLOCK_REALTIME, &ts);
        return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

/* A sixteenth of the arena, at the most, goes into connection records. */
static uint32_t conn_max_for(size_t arena_bytes)
{
        size_t max = arena_bytes / 16 / sizeof(struct kv_conn);

        return max < KV_CLIENTS_MAX ? (uint32_t)max : KV_CLIENTS_MAX;
}

struct kv_root *kv_root_new(struct baton_child *child)
{
        struct kv_root *root = baton_arena_alloc(child, sizeof(*root));

        if (!root)
                return NULL;
        memset(root, 0, sizeof(*root));
        if (getrandom(&root->seed, sizeof(root->seed), 0) != (ssize_t)sizeof(root->seed))
                root->seed = (uint64_t)kv_now_ms() * UINT64_C(0x9e3779b97f4a7c15);
        root->conn_max = conn_max_for(baton_arena_max(child));
        root->conns = baton_arena_alloc(child, root->conn_max * sizeof(struct kv_conn));
        root->table = kv_table_new(child, root->seed);
        if (!root->conns || !root->table || !kv_buf_pool_fill(child, &root->pool))
                return NULL;
        return root;
}

struct kv_conn *kv_conn_new(struct kv_root *root)
{
        uint32_t slot;
        struct kv_conn *conn;

        if (root->conn_free) {
                slot = root->conn_free - 1;
                root->conn_free = root->conns[slot].free_next;
        } else if (root->conn_top < root->conn_max) {
                slot = root->conn_top++;
        } else {
                return NULL;
        }
        conn = &root->conns[slot];
        memset(conn, 0, sizeof(*conn));
        conn->id = ++root->conn_serial << KV_SLOT_BITS | (slot + 1);
        root->conn_count++;
        return conn;
}

void kv_conn_free(struct baton_child *child, struct kv_root *root, struct kv_conn *conn)
{
        kv_buf_release(child, &root->pool, &conn->in);
        kv_buf_release(child, &root->pool, &conn->out);
        conn->id = 0;
        conn->free_next = root->conn_free;
        root->conn_free = (uint32_t)(conn - root->conns) + 1;
        root->conn_count--;
}

void kv_flush(struct baton_child *child, struct kv_root *root)
{
        struct kv_table *fresh;

        if (root->table->count == 0)
                return;
        fresh = kv_table_new(child, root->seed);
        if (fresh) {
                root->table->grave_next = root->graves;
                root->graves = root->table;
        } else {
                /* The arena is full, so the slow way. What is freed last has the sizes that are asked for next. */
                while (!kv_table_free_some(child, root->table, UINT32_MAX))
                        ;
                fresh = kv_table_new(child, root->seed);
                if (!fresh)
                        abort();
        }
        root->table = fresh;
}

bool kv_bury_some(struct baton_child *child, struct kv_root *root)
{
        struct kv_table *grave = root->graves;
        struct kv_table *next;

        if (!grave)
                return false;
        baton_arena_begin(child);
        next = grave->grave_next;
        if (kv_table_free_some(child, grave, BURY_STEPS))
                root->graves = next;
        baton_arena_end(child);
        return root->graves;
}
