/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Random histories of one arena, against a list of what is in it.
 *
 * After every step: blocks are inside, aligned, do not overlap (their contents, each filled with a value of its own, survive); live_bytes is
 * the sum of what was rounded; the root is where it was put. From time to time the arena moves to another address, as it does when a
 * tool or another incarnation maps it, with only the bytes below the top, as it does through the store.
 *
 * BATON_SEED=... plays a failure again; BATON_LONG=1 runs longer.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>
#include <sys/mman.h>

#include "shm/arena.h"
#include "tests/support/seed.h"

#define BLOCKS_MAX 600
#define STEPS 3000

struct block {
        uint64_t off; /* of the payload: the arena moves */
        uint64_t bytes;
        uint8_t fill;
};

struct desk {
        struct bt_arena *arena;
        uint64_t bytes_max;
        struct block blocks[BLOCKS_MAX];
        size_t count;
        uint64_t live;
        uint64_t root;
        uint64_t full, reused; /* how often each was met */
};

static struct bt_arena *arena_map(uint64_t bytes)
{
        void *at = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

        assert_ptr_not_equal(at, MAP_FAILED);
        return at;
}

static uint8_t *payload(const struct desk *d, const struct block *b)
{
        return (uint8_t *)d->arena + b->off;
}

static void expect_contents(const struct desk *d, const struct block *b)
{
        const uint8_t *at = payload(d, b);

        for (uint64_t i = 0; i < b->bytes; i++)
                if (at[i] != b->fill)
                        fail_msg("block at %llu, %llu bytes: byte %llu was written over", (unsigned long long)b->off,
                                 (unsigned long long)b->bytes, (unsigned long long)i);
}

/* Small ones most of the time, all powers of two, and the sizes beside them. */
static uint64_t some_bytes(struct seed *seed, uint64_t bytes_max)
{
        uint64_t most = UINT64_C(1) << seed_below(seed, 15);

        if (seed_below(seed, 200) == 0)
                return bytes_max / 2 + seed_below(seed, bytes_max);
        return seed_below(seed, 3) ? seed_below(seed, most + 1) : most + seed_below(seed, 17) - 8 * (most > 8);
}

static void alloc_one(struct desk *d, struct seed *seed)
{
        uint64_t bytes = some_bytes(seed, d->bytes_max), top = d->arena->top;
        uint64_t size = bt_arena_rounded(bytes);
        struct block *b = &d->blocks[d->count];
        uint8_t *at;

        if (d->count == BLOCKS_MAX)
                return;
        at = bt_arena_alloc(d->arena, bytes);
        if (!at) {
                assert_true(!size || size > d->bytes_max - top); /* full means: not on a list, and not at the top */
                assert_int_equal(d->arena->top, top);
                d->full++;
                return;
        }
        assert_int_equal((uintptr_t)at % 16, 0);
        *b = (struct block){.off = (uint64_t)(at - (uint8_t *)d->arena), .bytes = bytes, .fill = (uint8_t)seed_next(seed)};
        assert_true(b->off >= sizeof(struct bt_arena) && b->off + bytes <= d->arena->top);
        assert_true(d->arena->top == top || b->off == top + 8);
        assert_true(d->arena->top <= d->bytes_max);
        d->reused += d->arena->top == top;
        memset(at, b->fill, size - 8); /* all of the block is the user's */
        d->live += size;
        d->count++;
}

static void free_one(struct desk *d, struct seed *seed)
{
        size_t idx = d->count ? seed_below(seed, d->count) : 0;
        struct block *b = &d->blocks[idx];

        if (!d->count)
                return;
        expect_contents(d, b);
        if (d->root == b->off) {
                bt_arena_set_root(d->arena, NULL);
                d->root = 0;
        }
        bt_arena_free(d->arena, payload(d, b));
        d->live -= bt_arena_rounded(b->bytes);
        *b = d->blocks[--d->count];
}

static void set_root(struct desk *d, struct seed *seed)
{
        if (!d->count)
                return;
        d->root = d->blocks[seed_below(seed, d->count)].off;
        bt_arena_set_root(d->arena, (char *)d->arena + d->root);
}

static void move(struct desk *d)
{
        struct bt_arena *there = arena_map(d->bytes_max);
        const uint8_t *above = (const uint8_t *)d->arena;

        for (uint64_t i = d->arena->top; i < d->bytes_max; i++)
                assert_int_equal(above[i], 0); /* what a copy of the bytes below the top relies on */
        memcpy(there, d->arena, d->arena->top);
        assert_int_equal(munmap(d->arena, d->bytes_max), 0);
        d->arena = there;
        assert_true(bt_arena_valid(there, d->bytes_max));
}

static void check_all(const struct desk *d)
{
        assert_true(bt_arena_valid(d->arena, d->bytes_max));
        assert_int_equal(d->arena->live_bytes, d->live);
        if (d->root)
                assert_ptr_equal(bt_arena_root(d->arena), (char *)d->arena + d->root);
        else
                assert_null(bt_arena_root(d->arena));
}

static void one_history(struct desk *d, struct seed *seed)
{
        uint64_t lean = 3 + seed_below(seed, 5);

        for (int i = 0; i < STEPS; i++) {
                uint64_t what = seed_below(seed, 100);

                if (what == 0 && seed_below(seed, 10) == 0)
                        move(d);
                else if (what < 3)
                        set_root(d, seed);
                else if (what % 10 < lean)
                        alloc_one(d, seed);
                else
                        free_one(d, seed);
                check_all(d);
        }
        for (size_t i = 0; i < d->count; i++)
                expect_contents(d, &d->blocks[i]);
        while (d->count)
                free_one(d, seed);
        check_all(d);
        assert_int_equal(d->arena->live_bytes, 0);
}

static void an_arena_gives_out_memory_that_nobody_else_has(void **state)
{
        static struct desk d;
        struct seed seed = seed_new();
        uint64_t full = 0, reused = 0;

        (void)state;
        for (uint64_t i = 0; i < seed_rounds(15); i++) {
                memset(&d, 0, sizeof(d));
                d.bytes_max = BT_ARENA_BYTES_MIN << seed_below(&seed, 6);
                d.arena = arena_map(d.bytes_max);
                bt_arena_init(d.arena, d.bytes_max);
                one_history(&d, &seed);
                full += d.full;
                reused += d.reused;
                assert_int_equal(munmap(d.arena, d.bytes_max), 0);
        }
        assert_true(full && reused); /* the histories get everywhere */
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(an_arena_gives_out_memory_that_nobody_else_has),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
