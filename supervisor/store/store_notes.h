/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Notes over an engine: see store.h, and docs/store.md for the format. */

#include <stddef.h>

#include "supervisor/store/store.h"
#include "supervisor/store/store_engine.h"

/* Store's thread, or while no call is under way. Results: enum bt_store_result, or -errno. */
int bt_notes_put(struct bt_engine *engine, const struct bt_note *notes, size_t count);
int bt_notes_read(struct bt_engine *engine, char kind, bt_store_note_fn each, void *ctx);
