/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The store's thread and its queue.
 *
 *      hub's thread                      store's thread                     hub's thread
 *      bt_store_put() ─► waiting ──────► run ─► posted, post(job) ────────► bt_store_complete(job) ─► done()
 *
 * One queue in, one thread, so completions come in the order of the calls: a get after a put sees it, a put after a del is not undone.
 *
 * A job is in exactly one place: waiting, in the thread's hands, or posted. It is in `posted` before it is posted, since the hub may complete
 * it before post() has returned. job_count covers all three, so a hub that does not complete its jobs meets the bound and not the end of memory.
 *
 * The thread blocks all signals: they are the hub's. The hub's thread takes the lock for a few instructions only; nothing is read, written,
 * allocated or posted under it.
 *
 * Deletes that follow each other in the queue share a transaction: after a start with a thousand stored states a thousand children confirm, and a
 * thousand syncs would hold up everything else for seconds. Nothing between them is passed over, so the order is the order of the calls.
 *
 * Dropped: a lock-free queue. Calls are as rare as shutdowns.
 */
#include "supervisor/store/store_queue.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/cleanup.h"
#include "base/fd.h"
#include "shm/record.h"
#include "supervisor/store/store_batch.h"
#include "supervisor/store/store_notes.h"
#include "supervisor/store/store_records.h"

#define DELETES_MAX 256 /* of one transaction */

enum job_kind {
        JOB_PUT,
        JOB_BATCH,
        JOB_GET,
        JOB_DEL,
        JOB_LIST,
        JOB_LIST_ASIDE,
        JOB_MOVE_ASIDE,
        JOB_PUT_ASIDE,
        JOB_READ,
        JOB_DROP_ASIDE,
        JOB_PUT_NOTES,
};

struct bt_store_job {
        struct bt_list link;
        struct bt_store *store;
        enum job_kind kind;
        bt_store_done_fn done;
        bt_store_list_fn list_done;
        bt_store_aside_fn aside_done;
        void *ctx;
        int result;

        char child[64];           /* all of one child, but put */
        uint64_t sequence;        /* del, move aside */
        uint64_t aside_ns;        /* read, drop aside */
        int fd;                   /* get, read; owned */
        uint64_t off;
        uint64_t room;
        struct bt_record record;  /* get: the answer */
        struct bt_record *records; /* list: the answer; owned */
        struct bt_aside *aside;    /* list aside: the answer; owned */
        size_t record_count;
        struct bt_store_batch *batch; /* owned */
        struct bt_note *notes;    /* put notes; owned, with what they say */
        size_t note_count;
        size_t item_count;        /* put */
        struct bt_store_item items[]; /* their descriptors are owned */
};

/* jobs */

static struct bt_store_job *job_free(struct bt_store_job *job)
{
        if (!job)
                return NULL;
        job->fd = bt_close(job->fd);
        for (size_t i = 0; i < job->item_count; i++)
                job->items[i].fd = bt_close(job->items[i].fd);
        for (size_t i = 0; i < job->note_count; i++)
                free((void *)job->notes[i].at);
        free(job->notes);
        (void)bt_batch_free(job->batch);
        free(job->records);
        free(job->aside);
        free(job);
        return NULL;
}

static void job_freep(struct bt_store_job **job)
{
        (void)job_free(*job);
}

static struct bt_store_job *job_new(struct bt_store *store, enum job_kind kind, size_t item_count, void *ctx)
{
        struct bt_store_job *job = calloc(1, sizeof(*job) + item_count * sizeof(job->items[0]));

        if (!job)
                return NULL;
        bt_list_init(&job->link);
        job->store = store;
        job->kind = kind;
        job->ctx = ctx;
        job->fd = -1;
        return job;
}

static int job_name(struct bt_store_job *job, const char *child)
{
        size_t bytes = strlen(child);

        if (!bytes || bytes >= sizeof(job->child))
                return -EINVAL;
        memcpy(job->child, child, bytes + 1);
        return 0;
}

static int fd_duplicate(int *ret_fd, int fd)
{
        int copy = fcntl(fd, F_DUPFD_CLOEXEC, 3);

        if (copy < 0)
                return -errno;
        *ret_fd = copy;
        return 0;
}

/* Gives the descriptors that were duplicated for @job back at once when it is refused. */
static int job_push(struct bt_store_job *job)
{
        struct bt_store *store = job->store;
        int r = 0;

        bt_assert(pthread_mutex_lock(&store->lock) == 0);
        bt_assert(!store->closing);
        if (store->job_count < BT_STORE_JOBS_MAX) {
                store->job_count++;
                bt_list_push(&store->waiting, &job->link);
                bt_assert(pthread_cond_signal(&store->changed) == 0);
        } else {
                r = -EBUSY;
        }
        bt_assert(pthread_mutex_unlock(&store->lock) == 0);
        if (r)
                (void)job_free(job);
        return r;
}

/* Before anything is duplicated or copied: a full queue is told cheaply. Only the hub's thread adds jobs, so "not full" stays true. */
static int store_has_room(struct bt_store *store)
{
        bool full;

        bt_assert(pthread_mutex_lock(&store->lock) == 0);
        full = store->job_count >= BT_STORE_JOBS_MAX;
        bt_assert(pthread_mutex_unlock(&store->lock) == 0);
        return full ? -EBUSY : 0;
}

/* calls */

static int item_check(const struct bt_store_item *item)
{
        uint64_t bytes = item->record.payload_bytes;

        return bt_record_valid(&item->record) && bytes <= BT_STORE_PAYLOAD_BYTES_MAX && item->off <= (uint64_t)INT64_MAX - bytes ? 0 : -EINVAL;
}

static int item_copy(struct bt_store_item *to, const struct bt_store_item *from)
{
        uint64_t bytes = from->record.payload_bytes;
        int r = item_check(from);

        if (r)
                return r;
        *to = *from;
        to->fd = -1;
        return bytes ? fd_duplicate(&to->fd, from->fd) : 0;
}

int bt_store_put(struct bt_store *store, const struct bt_store_item *items, size_t count, bt_store_done_fn done,
                 void *ctx)
{
        BT_CLEANUP(job_freep) struct bt_store_job *job = NULL;
        int r;

        bt_assert(done);
        if (count > BT_STORE_ITEMS_MAX)
                return -E2BIG;
        r = store_has_room(store);
        if (r)
                return r;
        job = job_new(store, JOB_PUT, count, ctx);
        if (!job)
                return -ENOMEM;
        job->done = done;
        for (size_t i = 0; i < count; i++) {
                job->items[i].fd = -1;
                r = item_copy(&job->items[i], &items[i]);
                if (r)
                        return r;
                job->item_count++;
        }
        return job_push(BT_STEAL(job));
}

int bt_store_batch_open(struct bt_store_batch **ret_batch, struct bt_store *store, uint64_t need, bt_store_done_fn done, void *ctx)
{
        BT_CLEANUP(job_freep) struct bt_store_job *job = NULL;
        struct bt_store_batch *batch;
        int r = store->batch ? -EBUSY : store_has_room(store);

        bt_assert(done);
        if (r)
                return r;
        job = job_new(store, JOB_BATCH, 0, ctx);
        if (!job)
                return -ENOMEM;
        job->done = done;
        r = bt_batch_new(&job->batch, need);
        if (r)
                return r;
        batch = job->batch;
        r = job_push(BT_STEAL(job));
        if (!r)
                *ret_batch = store->batch = batch;
        return r;
}

int bt_store_batch_add(struct bt_store_batch *batch, const struct bt_store_item *item)
{
        int r = item_check(item);

        return r ? r : bt_batch_add(batch, item);
}

void bt_store_batch_end(struct bt_store *store, struct bt_store_batch *batch)
{
        bt_assert(store->batch == batch);
        store->batch = NULL;
        bt_batch_end(batch, true);
}

int bt_store_get(struct bt_store *store, const char *child, int fd, uint64_t off, uint64_t room,
                 bt_store_done_fn done, void *ctx)
{
        BT_CLEANUP(job_freep) struct bt_store_job *job = NULL;
        int r;

        bt_assert(done);
        if (room > INT64_MAX || off > (uint64_t)INT64_MAX - room)
                return -EINVAL;
        r = store_has_room(store);
        if (r)
                return r;
        job = job_new(store, JOB_GET, 0, ctx);
        if (!job)
                return -ENOMEM;
        r = job_name(job, child);
        if (!r)
                r = fd_duplicate(&job->fd, fd);
        if (r)
                return r;
        job->done = done;
        job->off = off;
        job->room = room;
        return job_push(BT_STEAL(job));
}

int bt_store_del(struct bt_store *store, const char *child, uint64_t sequence, bt_store_done_fn done, void *ctx)
{
        BT_CLEANUP(job_freep) struct bt_store_job *job = job_new(store, JOB_DEL, 0, ctx);
        int r;

        bt_assert(done);
        if (!job)
                return -ENOMEM;
        r = job_name(job, child);
        if (r)
                return r;
        job->done = done;
        job->sequence = sequence;
        return job_push(BT_STEAL(job));
}

int bt_store_list(struct bt_store *store, bt_store_list_fn done, void *ctx)
{
        struct bt_store_job *job = job_new(store, JOB_LIST, 0, ctx);

        bt_assert(done);
        if (!job)
                return -ENOMEM;
        job->list_done = done;
        return job_push(job);
}

/* states set aside */

int bt_store_list_aside(struct bt_store *store, bt_store_aside_fn done, void *ctx)
{
        struct bt_store_job *job = job_new(store, JOB_LIST_ASIDE, 0, ctx);

        bt_assert(done);
        if (!job)
                return -ENOMEM;
        job->aside_done = done;
        return job_push(job);
}

/* A job about the records of one child, in @ret_job. */
static int job_of_child(struct bt_store_job **ret_job, struct bt_store *store, enum job_kind kind, const char *child, bt_store_done_fn done,
                        void *ctx)
{
        BT_CLEANUP(job_freep) struct bt_store_job *job = job_new(store, kind, 0, ctx);
        int r;

        bt_assert(done);
        if (!job)
                return -ENOMEM;
        r = job_name(job, child);
        if (r)
                return r;
        job->done = done;
        *ret_job = BT_STEAL(job);
        return 0;
}

int bt_store_quarantine(struct bt_store *store, const char *child, uint64_t sequence, bt_store_done_fn done, void *ctx)
{
        struct bt_store_job *job = NULL;
        int r = job_of_child(&job, store, JOB_MOVE_ASIDE, child, done, ctx);

        if (r)
                return r;
        job->sequence = sequence;
        return job_push(job);
}

int bt_store_put_aside(struct bt_store *store, const struct bt_store_item *item, bt_store_done_fn done, void *ctx)
{
        BT_CLEANUP(job_freep) struct bt_store_job *job = job_new(store, JOB_PUT_ASIDE, 1, ctx);
        int r;

        bt_assert(done);
        if (!job)
                return -ENOMEM;
        job->done = done;
        job->items[0].fd = -1;
        r = item_copy(&job->items[0], item);
        if (r)
                return r;
        job->item_count = 1;
        return job_push(BT_STEAL(job));
}

int bt_store_read(struct bt_store *store, const char *child, uint64_t aside_ns, int fd, uint64_t room, bt_store_done_fn done, void *ctx)
{
        BT_CLEANUP(job_freep) struct bt_store_job *job = NULL;
        int r = room > INT64_MAX ? -EINVAL : job_of_child(&job, store, JOB_READ, child, done, ctx);

        if (!r)
                r = fd_duplicate(&job->fd, fd);
        if (r)
                return r;
        job->aside_ns = aside_ns;
        job->room = room;
        return job_push(BT_STEAL(job));
}

int bt_store_drop_aside(struct bt_store *store, const char *child, uint64_t aside_ns, bt_store_done_fn done, void *ctx)
{
        struct bt_store_job *job = NULL;
        int r = job_of_child(&job, store, JOB_DROP_ASIDE, child, done, ctx);

        if (r)
                return r;
        job->aside_ns = aside_ns;
        return job_push(job);
}

/* notes */

static int note_copy(struct bt_note *to, const struct bt_note *from)
{
        char *copy;

        if (!from->name[0] || !memchr(from->name, 0, sizeof(from->name)) || (from->kind == BT_NOTE_STATE && from->at))
                return -EINVAL;
        *to = *from;
        if (!from->at)
                return 0;
        copy = malloc(from->bytes + 1);
        to->at = copy;
        if (!copy)
                return -ENOMEM;
        memcpy(copy, from->at, from->bytes);
        return 0;
}

int bt_store_put_notes(struct bt_store *store, const struct bt_note *notes, size_t count, bt_store_done_fn done, void *ctx)
{
        BT_CLEANUP(job_freep) struct bt_store_job *job = NULL;
        int r = store_has_room(store);

        bt_assert(done);
        if (r)
                return r;
        job = job_new(store, JOB_PUT_NOTES, 0, ctx);
        if (!job)
                return -ENOMEM;
        job->done = done;
        job->notes = calloc(count ? count : 1, sizeof(*job->notes));
        if (!job->notes)
                return -ENOMEM;
        for (size_t i = 0; i < count; i++) {
                r = note_copy(&job->notes[i], &notes[i]);
                if (r)
                        return r;
                job->note_count++;
        }
        return job_push(BT_STEAL(job));
}

int bt_store_read_notes(struct bt_store *store, enum bt_note_kind kind, bt_store_note_fn each, void *ctx)
{
        size_t jobs;

        bt_assert(pthread_mutex_lock(&store->lock) == 0);
        jobs = store->job_count;
        bt_assert(pthread_mutex_unlock(&store->lock) == 0);
        bt_assert(!jobs);
        return bt_notes_read(store->engine, (char)kind, each, ctx);
}

bool bt_store_idle(struct bt_store *store)
{
        bool idle;

        bt_assert(pthread_mutex_lock(&store->lock) == 0);
        idle = store->job_count == 0 && !store->batch;
        bt_assert(pthread_mutex_unlock(&store->lock) == 0);
        return idle;
}

bool bt_store_was_damaged(const struct bt_store *store)
{
        return atomic_load(&store->was_damaged);
}

void bt_store_complete(struct bt_store_job *job)
{
        struct bt_store *store = job->store;
        bool shown = (job->kind == JOB_GET && (job->result == BT_STORE_OK || job->result == BT_STORE_E_ROOM)) ||
                     (job->kind == JOB_READ && job->result == BT_STORE_OK);

        bt_assert(pthread_mutex_lock(&store->lock) == 0);
        bt_list_unlink(&job->link);
        store->job_count--;
        bt_assert(pthread_mutex_unlock(&store->lock) == 0);

        if (job->kind == JOB_LIST)
                job->list_done(job->ctx, job->result, job->records, job->record_count);
        else if (job->kind == JOB_LIST_ASIDE)
                job->aside_done(job->ctx, job->result, job->aside, job->record_count);
        else
                job->done(job->ctx, job->result, shown ? &job->record : NULL);
        (void)job_free(job);
}

/* the store's thread */

static void job_run(struct bt_store_job *job)
{
        struct bt_store *store = job->store;
        struct bt_engine *engine = store->engine;

        switch (job->kind) {
        case JOB_PUT:
                job->result = bt_records_put(engine, job->items, job->item_count, store->part_bytes);
                break;
        case JOB_BATCH:
                job->result = bt_records_put_all(engine, bt_batch_next, job->batch, bt_batch_need(job->batch), store->part_bytes);
                bt_batch_await_end(job->batch); /* also after an error: until then the hub adds to it */
                break;
        case JOB_GET:
                job->result = bt_records_get(engine, job->child, job->fd, job->off, job->room, &job->record);
                break;
        case JOB_DEL:
                bt_assert(0); /* jobs_delete() */
                break;
        case JOB_LIST:
                job->result = bt_records_list(engine, &job->records, &job->record_count);
                break;
        case JOB_LIST_ASIDE:
                job->result = bt_records_list_aside(engine, &job->aside, &job->record_count);
                break;
        case JOB_MOVE_ASIDE:
                job->result = bt_records_move_aside(engine, job->child, job->sequence);
                break;
        case JOB_PUT_ASIDE:
                job->result = bt_records_put_aside(engine, &job->items[0], store->part_bytes);
                break;
        case JOB_READ:
                job->result = bt_records_read(engine, job->child, job->aside_ns, job->fd, job->room, &job->record);
                break;
        case JOB_DROP_ASIDE:
                job->result = bt_records_drop_aside(engine, job->child, job->aside_ns);
                break;
        case JOB_PUT_NOTES:
                job->result = bt_notes_put(engine, job->notes, job->note_count);
                break;
        }
        if (engine->was_damaged)
                atomic_store(&store->was_damaged, true);
        /* The memory behind them goes now, not when the hub comes around to it. */
        job->fd = bt_close(job->fd);
        for (size_t i = 0; i < job->item_count; i++)
                job->items[i].fd = bt_close(job->items[i].fd);
}

static void jobs_delete(struct bt_store *store, struct bt_store_job *const *jobs, size_t count)
{
        struct bt_records_del dels[DELETES_MAX];

        for (size_t i = 0; i < count; i++)
                dels[i] = (struct bt_records_del){.child = jobs[i]->child, .sequence = jobs[i]->sequence};
        bt_records_del_many(store->engine, dels, count);
        for (size_t i = 0; i < count; i++)
                jobs[i]->result = dels[i].result;
        if (store->engine->was_damaged)
                atomic_store(&store->was_damaged, true);
}

/* The first job that waits; with a delete the deletes behind it. With the lock. */
static size_t store_take(struct bt_store *store, struct bt_store_job *ret_jobs[DELETES_MAX])
{
        size_t count = 0;

        while (!bt_list_empty(&store->waiting) && count < DELETES_MAX) {
                struct bt_store_job *job = bt_list_entry(store->waiting.next, struct bt_store_job, link);

                if (count && (job->kind != JOB_DEL || ret_jobs[0]->kind != JOB_DEL))
                        break;
                bt_list_unlink(&job->link);
                ret_jobs[count++] = job;
        }
        return count;
}

/* The next jobs; 0: closing, and nothing is left. */
static size_t store_next(struct bt_store *store, struct bt_store_job *ret_jobs[DELETES_MAX])
{
        size_t count;

        bt_assert(pthread_mutex_lock(&store->lock) == 0);
        /* No deadline: an idle store waits for work, and close() always wakes it. */
        while (bt_list_empty(&store->waiting) && !store->closing)
                bt_assert(pthread_cond_wait(&store->changed, &store->lock) == 0);
        count = store_take(store, ret_jobs);
        bt_assert(pthread_mutex_unlock(&store->lock) == 0);
        return count;
}

/* Returns whether the hub is still there to be told. */
static bool store_hand_back(struct bt_store *store, struct bt_store_job *job)
{
        bool tell;

        bt_assert(pthread_mutex_lock(&store->lock) == 0);
        bt_list_push(&store->posted, &job->link);
        tell = !store->closing;
        bt_assert(pthread_mutex_unlock(&store->lock) == 0);
        return tell;
}

static void *store_main(void *ctx)
{
        struct bt_store_job *jobs[DELETES_MAX];
        struct bt_store *store = ctx;
        size_t count;

        (void)pthread_setname_np(pthread_self(), "baton-store");
        while ((count = store_next(store, jobs))) {
                if (jobs[0]->kind == JOB_DEL)
                        jobs_delete(store, jobs, count);
                else
                        job_run(jobs[0]);
                for (size_t i = 0; i < count; i++) {
                        if (store_hand_back(store, jobs[i]))
                                store->post(store->post_ctx, jobs[i]); /* it may be freed already when this returns */
                }
        }
        return NULL;
}

/* open and close */

static int store_start_thread(struct bt_store *store)
{
        sigset_t all, before;
        int r;

        (void)sigfillset(&all);
        r = pthread_sigmask(SIG_SETMASK, &all, &before);
        if (r)
                return -r;
        r = pthread_create(&store->thread, NULL, store_main, store);
        bt_assert(pthread_sigmask(SIG_SETMASK, &before, NULL) == 0);
        return -r;
}

int bt_store_start(struct bt_store **ret_store, struct bt_engine *engine, bt_store_post_fn post, void *post_ctx)
{
        struct bt_store *store = calloc(1, sizeof(*store));
        int r;

        bt_assert(post);
        if (!store) {
                engine->ops->close(engine);
                return -ENOMEM;
        }
        store->post = post;
        store->post_ctx = post_ctx;
        store->engine = engine;
        store->part_bytes = BT_STORE_PART_BYTES;
        atomic_init(&store->was_damaged, engine->was_damaged);
        bt_assert(pthread_mutex_init(&store->lock, NULL) == 0);
        bt_assert(pthread_cond_init(&store->changed, NULL) == 0);
        bt_list_init(&store->waiting);
        bt_list_init(&store->posted);
        r = store_start_thread(store);
        if (r) {
                engine->ops->close(engine);
                free(store);
                return r;
        }
        *ret_store = store;
        return 0;
}

struct bt_store *bt_store_close(struct bt_store *store)
{
        if (!store)
                return NULL;
        if (store->batch)
                bt_batch_end(BT_STEAL(store->batch), false);
        bt_assert(pthread_mutex_lock(&store->lock) == 0);
        store->closing = true;
        bt_assert(pthread_cond_signal(&store->changed) == 0);
        bt_assert(pthread_mutex_unlock(&store->lock) == 0);
        bt_assert(pthread_join(store->thread, NULL) == 0);

        bt_list_foreach_safe(it, &store->posted) {
                bt_list_unlink(it);
                (void)job_free(bt_list_entry(it, struct bt_store_job, link));
        }
        store->engine->ops->close(store->engine);
        bt_assert(pthread_cond_destroy(&store->changed) == 0);
        bt_assert(pthread_mutex_destroy(&store->lock) == 0);
        free(store);
        return NULL;
}

int bt_store_lmdb_open(struct bt_store **ret_store, const char *dir, bt_store_post_fn post, void *post_ctx)
{
        struct bt_engine *engine;
        int r = bt_engine_lmdb_open(&engine, dir);

        return r ? r : bt_store_start(ret_store, engine, post, post_ctx);
}

int bt_store_mem_open(struct bt_store **ret_store, bt_store_post_fn post, void *post_ctx)
{
        struct bt_engine *engine;
        int r = bt_engine_mem_open(&engine);

        return r ? r : bt_store_start(ret_store, engine, post, post_ctx);
}
