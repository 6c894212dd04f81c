/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * The hub's side of a store, for tests: a desk where the store's thread lays finished jobs down, and calls that wait for one job and return its result.
 * And states made of numbers: (child, round) always has the same bytes, so whoever finds a state can say whether it is whole, and which.
 */

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "base/check.h"
#include "base/fd.h"
#include "supervisor/store/store.h"

#define DESK_JOBS_MAX 2048
#define DESK_WAIT_S 120 /* far beyond any disk; reaching it aborts */

struct desk {
        pthread_mutex_t lock;
        pthread_cond_t more;
        struct bt_store_job *jobs[DESK_JOBS_MAX]; /* a ring */
        size_t put, taken;
        int result; /* of the last completion */
        struct bt_record record;
        int has_record;
        struct bt_record *records;
        size_t record_count;
};

static inline void desk_init(struct desk *desk)
{
        memset(desk, 0, sizeof(*desk));
        bt_assert(pthread_mutex_init(&desk->lock, NULL) == 0);
        bt_assert(pthread_cond_init(&desk->more, NULL) == 0);
}

static inline void desk_deinit(struct desk *desk)
{
        free(desk->records);
        (void)pthread_cond_destroy(&desk->more);
        (void)pthread_mutex_destroy(&desk->lock);
}

static inline void desk_post(void *ctx, struct bt_store_job *job)
{
        struct desk *desk = ctx;

        (void)pthread_mutex_lock(&desk->lock);
        bt_assert(desk->put - desk->taken < DESK_JOBS_MAX);
        desk->jobs[desk->put++ % DESK_JOBS_MAX] = job;
        (void)pthread_cond_signal(&desk->more);
        (void)pthread_mutex_unlock(&desk->lock);
}

/* Waits until @count jobs lie on the desk. */
static inline void desk_wait(struct desk *desk, size_t count)
{
        struct timespec until;

        bt_assert(clock_gettime(CLOCK_REALTIME, &until) == 0);
        until.tv_sec += DESK_WAIT_S;
        (void)pthread_mutex_lock(&desk->lock);
        while (desk->put - desk->taken < count)
                bt_assert(pthread_cond_timedwait(&desk->more, &desk->lock, &until) == 0);
        (void)pthread_mutex_unlock(&desk->lock);
}

static inline void desk_complete(struct desk *desk)
{
        struct bt_store_job *job;

        desk_wait(desk, 1);
        (void)pthread_mutex_lock(&desk->lock);
        job = desk->jobs[desk->taken++ % DESK_JOBS_MAX];
        (void)pthread_mutex_unlock(&desk->lock);
        bt_store_complete(job);
}

static inline void desk_done(void *ctx, int result, const struct bt_record *record)
{
        struct desk *desk = ctx;

        desk->result = result;
        desk->has_record = record != NULL;
        if (record)
                desk->record = *record;
}

static inline void desk_listed(void *ctx, int result, const struct bt_record *records, size_t count)
{
        struct desk *desk = ctx;

        free(desk->records);
        desk->records = NULL;
        desk->result = result;
        desk->record_count = count;
        if (!count)
                return;
        desk->records = malloc(count * sizeof(*records));
        bt_assert(desk->records);
        memcpy(desk->records, records, count * sizeof(*records));
}

/* Calls that wait. */

static inline int desk_put(struct desk *desk, struct bt_store *store, const struct bt_store_item *items, size_t count)
{
        int r = bt_store_put(store, items, count, desk_done, desk);

        if (r)
                return r;
        desk_complete(desk);
        return desk->result;
}

static inline int desk_get(struct desk *desk, struct bt_store *store, const char *child, int fd, uint64_t off,
                           uint64_t room)
{
        int r = bt_store_get(store, child, fd, off, room, desk_done, desk);

        if (r)
                return r;
        desk_complete(desk);
        return desk->result;
}

static inline int desk_del(struct desk *desk, struct bt_store *store, const char *child, uint64_t sequence)
{
        int r = bt_store_del(store, child, sequence, desk_done, desk);

        if (r)
                return r;
        desk_complete(desk);
        return desk->result;
}

static inline int desk_list(struct desk *desk, struct bt_store *store)
{
        int r = bt_store_list(store, desk_listed, desk);

        if (r)
                return r;
        desk_complete(desk);
        return desk->result;
}

/* States. */

static inline void state_fill(uint8_t *at, size_t bytes, const char *child, uint64_t round)
{
        uint64_t x = round * UINT64_C(0x9e3779b97f4a7c15) + 1;

        for (const char *c = child; *c; c++)
                x = (x ^ (uint8_t)*c) * UINT64_C(0x100000001b3);
        for (size_t i = 0; i < bytes; i++) {
                x ^= x << 13;
                x ^= x >> 7;
                x ^= x << 17;
                at[i] = (uint8_t)(x >> 32);
        }
}

static inline int state_memfd(uint64_t bytes)
{
        int fd = memfd_create("state", MFD_CLOEXEC);

        bt_assert(fd >= 0);
        bt_assert(ftruncate(fd, (off_t)bytes) == 0);
        return fd;
}

/* An item whose state is in a new memfd at @off; the caller closes item->fd. */
static inline struct bt_store_item state_item(const char *child, uint64_t round, size_t bytes, uint64_t off)
{
        struct bt_store_item item = {.fd = state_memfd(off + bytes), .off = off};
        uint8_t *room = malloc(bytes + 1);

        bt_assert(room);
        state_fill(room, bytes, child, round);
        bt_assert(pwrite(item.fd, room, bytes, (off_t)off) == (ssize_t)bytes);
        free(room);
        (void)snprintf(item.record.child, sizeof(item.record.child), "%s", child);
        (void)snprintf(item.record.schema, sizeof(item.record.schema), "test");
        item.record.form = BATON_STATE_BLOB;
        item.record.version = 3;
        item.record.version_oldest = 2;
        item.record.incarnation = 40 + round;
        item.record.sequence = round;
        item.record.ttl_ns = UINT64_MAX;
        item.record.payload_bytes = bytes;
        return item;
}

/* Is what lies in @fd at @off the state of (child, round)? */
static inline int state_is(int fd, uint64_t off, const char *child, uint64_t round, size_t bytes)
{
        uint8_t *want = malloc(bytes + 1), *have = malloc(bytes + 1);
        int same;

        bt_assert(want && have);
        state_fill(want, bytes, child, round);
        same = pread(fd, have, bytes, (off_t)off) == (ssize_t)bytes && !memcmp(want, have, bytes);
        free(want);
        free(have);
        return same;
}

/* The batch that crash tests replace: three children, each larger in one round and smaller in the other. */
#define BATCH_CHILDREN 3
#define BATCH_PART_BYTES 65536

static inline const char *batch_child(size_t idx)
{
        static const char *const names[BATCH_CHILDREN] = {"web/0", "web/1", "db"};

        return names[idx];
}

static inline size_t batch_bytes(size_t idx, uint64_t round)
{
        static const size_t bytes[BATCH_CHILDREN][2] = {{100, 200000}, {300000, 10}, {0, 5000}};

        return bytes[idx][round % 2];
}
