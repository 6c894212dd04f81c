/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* The inside of a store: one queue, one thread, one engine. Internal to the folder and its tests. */

#include <pthread.h>
#include <stdatomic.h>

#include "base/list.h"
#include "supervisor/store/store.h"
#include "supervisor/store/store_engine.h"

struct bt_store {
        bt_store_post_fn post;
        void *post_ctx;
        struct bt_engine *engine; /* the store's thread only (tests: while no job is under way) */
        uint64_t part_bytes;      /* set before the first call */
        atomic_bool was_damaged;  /* W store's thread */
        pthread_t thread;

        pthread_mutex_t lock;     /* guards what follows; never held during work or @post */
        pthread_cond_t changed;   /* a job is waiting, or closing */
        struct bt_list waiting;
        struct bt_list posted;    /* done, not yet completed */
        size_t job_count;         /* in both lists and in the thread's hands */
        bool closing;

        struct bt_store_batch *batch; /* open; hub's thread only */
};

/* Takes @engine in every case. */
int bt_store_start(struct bt_store **ret_store, struct bt_engine *engine, bt_store_post_fn post, void *post_ctx);
