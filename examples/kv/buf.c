/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Growth doubles, and only with bytes that are there: a client that announces "$8388608" and sends nothing gets no eight megabytes. The caller
 * asks for no more room than it has bytes already (see server.c), so memory follows what was really sent.
 *
 * Dropped: a ring buffer. Requests would wrap and every argument would need two pointers; moving the few left-over bytes of a half-read
 * request to the front is cheaper than that.
 */
#include "examples/kv/buf.h"

#include <string.h>

static void pool_push(struct kv_buf_pool *pool, void *data)
{
        memcpy(data, &pool->free, sizeof(pool->free));
        pool->free = data;
        pool->free_count++;
}

static void *pool_pop(struct kv_buf_pool *pool)
{
        void *data = pool->free;

        if (!data)
                return NULL;
        memcpy(&pool->free, data, sizeof(pool->free));
        pool->free_count--;
        return data;
}

bool kv_buf_pool_fill(struct baton_child *child, struct kv_buf_pool *pool)
{
        while (pool->free_count < KV_BUF_POOL_MIN) {
                void *data = baton_arena_alloc(child, KV_BUF_BYTES);

                if (!data)
                        return false;
                pool_push(pool, data);
        }
        return true;
}

static char *take(struct baton_child *child, struct kv_buf_pool *pool, uint32_t cap)
{
        char *data = cap == KV_BUF_BYTES ? pool_pop(pool) : NULL;

        return data ? data : baton_arena_alloc(child, cap);
}

static void give_back(struct baton_child *child, struct kv_buf_pool *pool, char *data, uint32_t cap)
{
        if (data && cap == KV_BUF_BYTES && pool->free_count < KV_BUF_POOL_MAX)
                pool_push(pool, data);
        else
                baton_arena_free(child, data);
}

/* The smallest power of two times KV_BUF_BYTES that holds @bytes. */
static uint32_t cap_for(uint64_t bytes)
{
        uint32_t cap = KV_BUF_BYTES;

        while (cap < bytes)
                cap *= 2;
        return cap;
}

char *kv_buf_room(struct baton_child *child, struct kv_buf_pool *pool, struct kv_buf *buf,
                  uint32_t bytes, uint32_t bytes_max)
{
        uint32_t have = kv_buf_bytes(buf);
        uint64_t need = (uint64_t)have + bytes;
        uint32_t cap;
        char *data;

        if (buf->data && buf->cap - buf->tail >= bytes && need <= bytes_max)
                return buf->data + buf->tail;
        if (need > bytes_max)
                return NULL;
        cap = cap_for(need);
        if (buf->data && cap <= buf->cap) {
                memmove(buf->data, buf->data + buf->head, have);
        } else {
                data = take(child, pool, cap);
                if (!data)
                        return NULL;
                if (buf->data)
                        memcpy(data, buf->data + buf->head, have);
                give_back(child, pool, buf->data, buf->cap);
                buf->data = data;
                buf->cap = cap;
        }
        buf->head = 0;
        buf->tail = have;
        return buf->data + have;
}

void kv_buf_release(struct baton_child *child, struct kv_buf_pool *pool, struct kv_buf *buf)
{
        give_back(child, pool, buf->data, buf->cap);
        *buf = (struct kv_buf){0};
}
