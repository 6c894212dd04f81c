/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * The items of one transaction, which are handed in while it is under way: see bt_store_batch_open(). Between the hub's thread, which adds and ends, and the
 * store's, which takes one after the other, from the start again when the transaction has to be tried again. Internal to the folder.
 */

#include <stdbool.h>

#include "supervisor/store/store.h"

int bt_batch_new(struct bt_store_batch **ret_batch, uint64_t need);
struct bt_store_batch *bt_batch_free(struct bt_store_batch *batch); /* takes NULL */

/* hub's thread */
int bt_batch_add(struct bt_store_batch *batch, const struct bt_store_item *item); /* 0 or -errno */
void bt_batch_end(struct bt_store_batch *batch, bool whole); /* the first call counts; not @whole: nothing of it is to be stored */

/* store's thread */
uint64_t bt_batch_need(const struct bt_store_batch *batch);
/*
 * The item behind @before (NULL: the first) in @ret_item; waits for it. NULL: that was all. -ECANCELED: nothing is to be stored. It waits as long as the hub
 * takes: whoever opened a batch ends it.
 */
int bt_batch_next(void *ctx, const struct bt_store_item *before, const struct bt_store_item **ret_item);
void bt_batch_await_end(struct bt_store_batch *batch);
