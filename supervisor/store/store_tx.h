/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Transactions over an engine, with their retries. Store's thread. */

#include <stdbool.h>
#include <stdint.h>

#include "supervisor/store/store_engine.h"

#define BT_TX_TRIES_MAX 24 /* of one transaction; each FULL doubles the map, so 24 is far beyond any disk */

/* Returns 0 to commit; anything else aborts and is handed on, unless it is an outcome that the engine can mend. May be run more than once. */
typedef int (*bt_tx_body_fn)(struct bt_engine *engine, void *ctx);

/* @need: bytes the body will add, as far as known. @ret_mended: set when the file was found damaged on the way and set aside; may be NULL. */
int bt_tx_run(struct bt_engine *engine, bool write, uint64_t need, bt_tx_body_fn body, void *ctx, bool *ret_mended);

/* Renames the engine's outcomes as the store's: enum bt_store_result or -errno. */
int bt_tx_result(int r);

/* Inside a transaction: deletes all keys that begin with @prefix. */
int bt_tx_del_prefix(struct bt_engine *engine, const struct bt_key *prefix);
