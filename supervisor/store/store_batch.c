/* SPDX-License-Identifier: Apache-2.0 */
#include "supervisor/store/store_batch.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

#include "base/check.h"

struct node {
        struct bt_store_item item; /* first: bt_batch_next() comes back with it */
        struct node *next;
};

struct bt_store_batch {
        uint64_t need;
        pthread_mutex_t lock; /* guards what follows, and the nodes' @next */
        pthread_cond_t changed;
        struct node *first, *last;
        size_t count;
        bool ended;
        bool whole;
};

int bt_batch_new(struct bt_store_batch **ret_batch, uint64_t need)
{
        struct bt_store_batch *batch = calloc(1, sizeof(*batch));

        if (!batch)
                return -ENOMEM;
        batch->need = need;
        bt_assert(pthread_mutex_init(&batch->lock, NULL) == 0);
        bt_assert(pthread_cond_init(&batch->changed, NULL) == 0);
        *ret_batch = batch;
        return 0;
}

struct bt_store_batch *bt_batch_free(struct bt_store_batch *batch)
{
        if (!batch)
                return NULL;
        while (batch->first) {
                struct node *node = batch->first;

                batch->first = node->next;
                free(node);
        }
        bt_assert(pthread_cond_destroy(&batch->changed) == 0);
        bt_assert(pthread_mutex_destroy(&batch->lock) == 0);
        free(batch);
        return NULL;
}

int bt_batch_add(struct bt_store_batch *batch, const struct bt_store_item *item)
{
        struct node *node;

        if (batch->count >= BT_STORE_ITEMS_MAX)
                return -E2BIG;
        node = calloc(1, sizeof(*node));
        if (!node)
                return -ENOMEM;
        node->item = *item;
        bt_assert(pthread_mutex_lock(&batch->lock) == 0);
        bt_assert(!batch->ended);
        if (batch->last)
                batch->last->next = node;
        else
                batch->first = node;
        batch->last = node;
        batch->count++;
        bt_assert(pthread_cond_signal(&batch->changed) == 0);
        bt_assert(pthread_mutex_unlock(&batch->lock) == 0);
        return 0;
}

void bt_batch_end(struct bt_store_batch *batch, bool whole)
{
        bt_assert(pthread_mutex_lock(&batch->lock) == 0);
        if (!batch->ended)
                batch->whole = whole;
        batch->ended = true;
        bt_assert(pthread_cond_signal(&batch->changed) == 0);
        bt_assert(pthread_mutex_unlock(&batch->lock) == 0);
}

uint64_t bt_batch_need(const struct bt_store_batch *batch)
{
        return batch->need;
}

int bt_batch_next(void *ctx, const struct bt_store_item *before, const struct bt_store_item **ret_item)
{
        struct bt_store_batch *batch = ctx;
        const struct node *node;
        bool whole;

        bt_assert(pthread_mutex_lock(&batch->lock) == 0);
        while (!(node = before ? ((const struct node *)(const void *)before)->next : batch->first) && !batch->ended)
                bt_assert(pthread_cond_wait(&batch->changed, &batch->lock) == 0);
        whole = batch->whole || !batch->ended;
        bt_assert(pthread_mutex_unlock(&batch->lock) == 0);
        *ret_item = node ? &node->item : NULL;
        return whole ? 0 : -ECANCELED;
}

void bt_batch_await_end(struct bt_store_batch *batch)
{
        bt_assert(pthread_mutex_lock(&batch->lock) == 0);
        while (!batch->ended)
                bt_assert(pthread_cond_wait(&batch->changed, &batch->lock) == 0);
        bt_assert(pthread_mutex_unlock(&batch->lock) == 0);
}
