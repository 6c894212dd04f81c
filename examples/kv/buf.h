/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Byte buffers that live in the arena.
 *
 *      data ──► [ consumed | head .. tail: bytes | room .. cap )
 *
 * A connection that waits for nothing owns no buffer: buffers are taken when bytes arrive and given back when the last byte has left, so ten
 * thousand idle clients cost their records only. Buffers of the usual size come from a small pool, which is filled when the arena is made
 * and never given back to it: when the keys have filled the arena, requests (DEL, GET) can still be read and answered.
 *
 * Functions that move, grow or release change the arena and are called inside a bracket. Bytes written into the room by read(2) are no
 * update until kv_buf_filled() says so.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <baton/child.h>

#define KV_BUF_BYTES 16384   /* the pool's size: one read of a pipelining client */
#define KV_BUF_POOL_MIN 16   /* put aside at the beginning: 256 KiB */
#define KV_BUF_POOL_MAX 256  /* kept for reuse: 4 MiB */

struct kv_buf {
        char *data; /* NULL: owns nothing */
        uint32_t head;
        uint32_t tail;
        uint32_t cap;
        uint32_t reserved;
};

/* A free buffer of KV_BUF_BYTES begins with a pointer to the next one. */
struct kv_buf_pool {
        void *free;
        uint32_t free_count;
        uint32_t reserved;
};

/* Fills the pool for the first time. False: the arena is too small. */
bool kv_buf_pool_fill(struct baton_child *child, struct kv_buf_pool *pool);

/* Makes @bytes of room after the tail; the buffer may then be up to @bytes_max long. NULL: over the limit, or the arena is full. */
char *kv_buf_room(struct baton_child *child, struct kv_buf_pool *pool, struct kv_buf *buf,
                  uint32_t bytes, uint32_t bytes_max);

void kv_buf_release(struct baton_child *child, struct kv_buf_pool *pool, struct kv_buf *buf);

static inline uint32_t kv_buf_bytes(const struct kv_buf *buf)
{
        return buf->tail - buf->head;
}

static inline const char *kv_buf_first(const struct kv_buf *buf)
{
        return buf->data + buf->head;
}

static inline void kv_buf_filled(struct kv_buf *buf, uint32_t bytes)
{
        buf->tail += bytes;
}

/* Drops @bytes from the front. */
static inline void kv_buf_consume(struct kv_buf *buf, uint32_t bytes)
{
        buf->head += bytes;
        if (buf->head == buf->tail)
                buf->head = buf->tail = 0;
}
