/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * The arena: a child's live data, in its baton, at one address in every incarnation.
 *
 * A plain segregated-fit allocator: sizes are rounded up to one of four steps per power of two (waste: a quarter at most, an eighth on average),
 * each size has a free list, everything else comes from the top. No coalescing: memory of one size is reused for that size. One thread.
 * All of its own words are offsets, so a tool may map an arena anywhere to look at it; user data may use pointers.
 *
 *      block:  header (8 bytes: check, size class) | payload, 16-byte aligned
 *
 * It is only changed inside a bracket, so an arena whose holder died outside one is whole. There is no repair of a torn one, by design: user
 * data and free lists may both be half changed, and the last checkpoint is the honest answer.
 *
 * What was dropped: buddy allocation (waste up to a half), coalescing (a kv server's sizes repeat; the bracket would have to cover more words).
 */

#include <stdbool.h>
#include <stddef.h>

#include "shm/layout.h"

/* Makes an empty arena of @bytes_max at @arena (its pages must read as zero). */
void bt_arena_init(struct bt_arena *arena, uint64_t bytes_max);

/* The head, read from a peer's or a disk's bytes: offsets within bounds, lists begin inside. @bytes_max: of the mapping. */
bool bt_arena_valid(const struct bt_arena *arena, uint64_t bytes_max);

/* NULL when full. Payload is 16-byte aligned; contents undefined. */
void *bt_arena_alloc(struct bt_arena *arena, size_t bytes);

/* Takes NULL. Asserts that @ptr came from bt_arena_alloc() and is freed once. */
void bt_arena_free(struct bt_arena *arena, void *ptr);

void *bt_arena_root(const struct bt_arena *arena);
void bt_arena_set_root(struct bt_arena *arena, void *root);

/* Memory that is about to change: for whoever wants it back as it was. */
struct bt_arena_span {
        const void *at;
        size_t bytes;
};
#define BT_ARENA_SPANS 2

/* Of the head: what any change touches, the lists aside. */
struct bt_arena_span bt_arena_head_span(const struct bt_arena *arena);

/* What else alloc(@bytes) and free(@ptr) would touch. @whole: with the contents of a block that is used again. Return how many. */
uint32_t bt_arena_alloc_spans(struct bt_arena *arena, size_t bytes, bool whole, struct bt_arena_span ret_spans[BT_ARENA_SPANS]);
uint32_t bt_arena_free_spans(struct bt_arena *arena, const void *ptr, struct bt_arena_span ret_spans[BT_ARENA_SPANS]);

/* How much of @bytes a block of that size takes, header included; 0: too large. For tests and accounting. */
uint64_t bt_arena_rounded(size_t bytes);
