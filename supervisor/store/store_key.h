/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* The keys of the store, written and read. docs/store.md has them in prose. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "supervisor/store/store_engine.h"

#define BT_KEY_KIND_RECORD 'R'     /* kind, id, part */
#define BT_KEY_KIND_QUARANTINE 'Q' /* kind, id, wall time, part */

void bt_key_record(struct bt_key *ret_key, const char *child, uint32_t part);
void bt_key_quarantine(struct bt_key *ret_key, const char *child, uint64_t wall_ns, uint32_t part);

/* What all keys of @kind of @child begin with, and no other key does. */
void bt_key_child(struct bt_key *ret_key, char kind, const char *child);

/* The key that follows @key at once. They may be the same object. */
void bt_key_after(struct bt_key *ret_key, const struct bt_key *key);

bool bt_key_begins(const struct bt_key *key, const struct bt_key *prefix);

/* The number in @bytes bytes at @at. */
uint64_t bt_key_number(const struct bt_key *key, size_t at, unsigned bytes);

/* The id in a key of @kind with @tail bytes behind the id; false for a key that no writer of this format makes. */
bool bt_key_parse(const struct bt_key *key, char kind, size_t tail, char ret_child[64]);
