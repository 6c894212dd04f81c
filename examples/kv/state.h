/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * What survives, and what does not.
 *
 *      arena (every incarnation sees the same bytes)        process (built anew by each incarnation)
 *      kv_root                                              kv_server
 *        table    the keys                                    child, epoll, listener
 *        graves   flushed tables, being freed                 peers[slot]: fd, what epoll watches, passed yet?
 *        pool     spare buffers
 *        conns[slot]: id, in, out, how far it was read
 *
 * A connection is a record in the arena and, in the process that serves it, a peer: a descriptor. Both have the same slot. The record's id is
 * the slot and a number that is never used again; it goes along with the descriptor as its tag, so a descriptor that was passed ahead and
 * whose connection was closed since then (and whose slot may serve another client by now) is recognised and dropped.
 *
 * Whoever changes a struct that lies in the arena raises KV_SCHEMA_VERSION, and handles the older one in restore.
 */

#include <stdbool.h>
#include <stdint.h>

#include <baton/child.h>

#include "examples/kv/buf.h"
#include "examples/kv/resp.h"
#include "examples/kv/table.h"

#ifndef KV_VERSION
#define KV_VERSION "1.0"
#endif

#define KV_SCHEMA "kv"
#define KV_SCHEMA_VERSION 1
#define KV_CLIENTS_MAX 10000
#define KV_OUT_BYTES_MAX (64u << 20) /* replies that a client has not read: over it, it is disconnected */
#define KV_OUT_BYTES_STOP (1u << 20) /* over it, its next requests wait until it reads */

/* ---- in the arena ---- */

struct kv_conn {
        uint64_t id; /* slot + 1, and a serial number above it; 0: free */
        struct kv_buf in;
        struct kv_buf out;
        struct kv_scan scan;
        uint32_t free_next; /* slot + 1 of the next free record; 0: none */
        uint8_t closing;    /* 1: close when @out is sent; read no more */
        uint8_t reserved[3];
};

struct kv_root {
        struct kv_table *table;
        struct kv_table *graves;
        struct kv_buf_pool pool;
        uint64_t seed;
        uint64_t conn_serial; /* connections accepted, over all incarnations */
        uint64_t commands;    /* executed, over all incarnations */
        uint64_t expired;
        uint32_t conn_max;
        uint32_t conn_count;
        uint32_t conn_top;  /* slots that were ever used */
        uint32_t conn_free; /* slot + 1; 0: none below @conn_top */
        struct kv_conn *conns;
};

#define KV_SLOT_BITS 16

static inline uint32_t kv_conn_slot(uint64_t id)
{
        return (uint32_t)(id & ((1u << KV_SLOT_BITS) - 1)) - 1;
}

/* ---- in the process ---- */

struct kv_peer {
        int fd; /* -1: no descriptor */
        uint32_t events;
        bool passed; /* the successor of the swap that is under way has it */
        uint64_t id; /* its connection's */
};

struct kv_server {
        struct baton_child *child;
        struct kv_root *root; /* NULL until the state was taken over */
        int epoll;
        int listener;
        bool listener_owned;  /* unsupervised: ours to close */
        bool listener_paused; /* out of descriptors: wait until a client leaves */
        bool kick;            /* bytes may wait in read buffers */
        bool retired;
        int unpass_error;     /* what was passed ahead could not be taken back: no swap */
        uint32_t adopted;     /* successor: connections that came along */
        int port;
        int64_t started_ms;
        struct kv_peer peers[KV_CLIENTS_MAX];
        struct kv_arg args[KV_ARGS_MAX]; /* of the request that is being executed */
};

/* CLOCK_REALTIME in milliseconds: expiry must mean the same after a reboot. */
int64_t kv_now_ms(void);

/* The root of a fresh arena, inside a bracket. NULL: the arena is too small. */
struct kv_root *kv_root_new(struct baton_child *child);

/* A free record, inside a bracket; NULL: all are taken. */
struct kv_conn *kv_conn_new(struct kv_root *root);

/* Gives a record and its buffers back, inside a bracket. */
void kv_conn_free(struct baton_child *child, struct kv_root *root, struct kv_conn *conn);

/* Empties the table at once, and leaves the work of freeing it for later. Inside a bracket. */
void kv_flush(struct baton_child *child, struct kv_root *root);

/* Frees a little of what was flushed, in a bracket of its own. True: there is more. */
bool kv_bury_some(struct baton_child *child, struct kv_root *root);
