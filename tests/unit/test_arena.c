/* SPDX-License-Identifier: Apache-2.0 */
/*
 * shm/arena.c, piece by piece: sizes, alignment, lists, root, what is refused as not valid, what is an assertion. Long random histories
 * against a model are in tests/property/test_arena_property.c; death in the middle of a call in tests/crash/test_crash_steps.c.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "shm/arena.h"
#include "tests/support/twin.h"

#define BYTES BT_ARENA_BYTES_MIN
#define FIRST (4096 + 8)

static struct bt_arena *arena;

static int setup(void **state)
{
        int fd = twin_memory(BYTES, &arena);

        (void)state;
        (void)close(fd);
        bt_arena_init(arena, BYTES);
        return 0;
}

static int teardown(void **state)
{
        (void)state;
        return munmap(arena, BYTES);
}

static void a_new_arena_is_valid_and_empty(void **state)
{
        (void)state;
        assert_true(bt_arena_valid(arena, BYTES));
        assert_memory_equal(&arena->magic, "BTARENA1", 8);
        assert_int_equal(arena->top, FIRST);
        assert_int_equal(arena->live_bytes, 0);
        assert_null(bt_arena_root(arena));
}

static void sizes_are_rounded_to_four_steps_a_doubling(void **state)
{
        static const uint64_t steps[] = {16,  32,  48,  64,  80,  96,  112, 128, 160,  192,  224,  256,
                                         320, 384, 448, 512, 640, 768, 896, 1024, 1280, 1536, 1792, 2048};
        size_t step = 0;

        (void)state;
        for (size_t bytes = 0; bytes + 8 <= 2048; bytes++) {
                while (steps[step] < bytes + 8)
                        step++;
                assert_int_equal(bt_arena_rounded(bytes), steps[step]);
        }
}

static void no_size_wastes_more_than_a_quarter(void **state)
{
        (void)state;
        for (uint64_t bytes = 57; bytes < BT_ARENA_BYTES_MAX / 2; bytes += bytes / 7 + 1) {
                uint64_t size = bt_arena_rounded(bytes);

                assert_true(size >= bytes + 8 && size % 16 == 0);
                assert_true((size - (bytes + 8)) * 4 <= bytes + 8);
                assert_int_equal(bt_arena_rounded(size - 8), size); /* what fits in the block gives the same block */
                assert_true(bt_arena_rounded(size - 7) > size);
        }
        assert_true(bt_arena_rounded(BT_ARENA_BYTES_MAX / 2) > BT_ARENA_BYTES_MAX / 2);
        assert_int_equal(bt_arena_rounded(BT_ARENA_BYTES_MAX / 2 + 1), 0);
        assert_int_equal(bt_arena_rounded(SIZE_MAX), 0);
        assert_int_equal(bt_arena_rounded(SIZE_MAX - 7), 0);
}

static void blocks_are_aligned_and_follow_each_other(void **state)
{
        char *a = bt_arena_alloc(arena, 1), *b = bt_arena_alloc(arena, 24), *c = bt_arena_alloc(arena, 25);

        (void)state;
        assert_ptr_equal(a, (char *)arena + FIRST + 8);
        assert_int_equal((uintptr_t)a % 16, 0);
        assert_ptr_equal(b, a + 16);
        assert_ptr_equal(c, b + 32);
        assert_int_equal(arena->live_bytes, 16 + 32 + 48);
        assert_int_equal(arena->top, FIRST + 96);
}

static void a_freed_block_is_used_again_for_its_size_only(void **state)
{
        void *a = bt_arena_alloc(arena, 100), *b = bt_arena_alloc(arena, 100), *c;

        (void)state;
        bt_arena_free(arena, a);
        bt_arena_free(arena, b);
        bt_arena_free(arena, NULL);
        assert_int_equal(arena->live_bytes, 0);
        c = bt_arena_alloc(arena, 200);
        assert_true(c != a && c != b);
        assert_ptr_equal(bt_arena_alloc(arena, 104), b); /* last in, first out */
        assert_ptr_equal(bt_arena_alloc(arena, 89), a);
        assert_true(bt_arena_valid(arena, BYTES));
}

static void a_full_arena_says_so_and_can_be_emptied(void **state)
{
        void *blocks[BYTES / 1024];
        size_t count = 0;
        uint64_t top;

        (void)state;
        assert_null(bt_arena_alloc(arena, BYTES));
        assert_null(bt_arena_alloc(arena, SIZE_MAX));
        while ((blocks[count] = bt_arena_alloc(arena, 1000)))
                memset(blocks[count++], 0xaa, 1000);
        assert_int_equal(count, (BYTES - FIRST) / 1024);
        top = arena->top;
        assert_null(bt_arena_alloc(arena, 1000));
        assert_int_equal(arena->top, top);
        assert_int_equal(arena->live_bytes, count * 1024);
        while (bt_arena_alloc(arena, 0)) /* the last bytes, to the end of the mapping */
                ;
        assert_true(BYTES - arena->top < 16);
        assert_true(bt_arena_valid(arena, BYTES));
        for (size_t i = 0; i < count; i++)
                bt_arena_free(arena, blocks[i]);
        for (size_t i = 0; i < count; i++)
                assert_non_null(bt_arena_alloc(arena, 1000));
}

static void the_root_is_found_from_another_mapping(void **state)
{
        struct bt_arena *other;
        void *block = bt_arena_alloc(arena, 10);
        int fd = twin_memory(BYTES, &other);

        (void)state;
        bt_arena_set_root(arena, block);
        memcpy(other, arena, BYTES);
        assert_ptr_equal(bt_arena_root(arena), block);
        assert_int_equal((char *)bt_arena_root(other) - (char *)other, (char *)block - (char *)arena);
        bt_arena_set_root(arena, NULL);
        assert_null(bt_arena_root(arena));
        (void)munmap(other, BYTES);
        (void)close(fd);
}

static void a_head_with_an_impossible_word_is_not_valid(void **state)
{
        struct bt_arena good;

        (void)state;
        bt_arena_set_root(arena, bt_arena_alloc(arena, 100));
        bt_arena_free(arena, bt_arena_alloc(arena, 50));
        memcpy(&good, arena, sizeof(good));
        assert_true(bt_arena_valid(arena, BYTES));
        assert_false(bt_arena_valid(arena, BYTES * 2));
#define BAD(member, value)                                                                         \
        do {                                                                                       \
                memcpy(arena, &good, sizeof(good));                                                \
                arena->member = (value);                                                           \
                assert_false(bt_arena_valid(arena, BYTES));                                        \
        } while (0)
        BAD(magic, 0);
        BAD(bytes_max, BYTES + 4096);
        BAD(top, 0);
        BAD(top, FIRST - 16);
        BAD(top, good.top + 8);
        BAD(top, BYTES + 8);
        BAD(top, UINT64_MAX - 7);
        BAD(root, 8);         /* in the head */
        BAD(root, FIRST - 1);
        BAD(root, FIRST);     /* a block's own header */
        BAD(root, good.top);
        BAD(root, UINT64_MAX);
        BAD(live_bytes, good.top - FIRST + 1);
        BAD(live_bytes, UINT64_MAX);
        BAD(free[0], 16);
        BAD(free[4], good.top);
        BAD(free[4], FIRST + 1);
        BAD(free[BT_ARENA_CLASSES - 1], UINT64_MAX);
#undef BAD
}

static void misuse_is_an_assertion_not_a_corruption(void **state)
{
        static const char *const wrongs[] = {"free-twice", "free-inside",      "free-elsewhere", "free-above",
                                             "overrun",    "write-after-free", "root-outside",   "root-in-head"};

        (void)state;
        for (size_t i = 0; i < sizeof(wrongs) / sizeof(wrongs[0]); i++) {
                int fd = memfd_create("unused", MFD_CLOEXEC);
                int status = twin_end(twin_start("child_shm", "wrong", wrongs[i], fd));

                if (status != 128 + SIGABRT)
                        fail_msg("%s: %d", wrongs[i], status);
                (void)close(fd);
        }
}

int main(void)
{
#define ROW(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
        const struct CMUnitTest tests[] = {
                ROW(a_new_arena_is_valid_and_empty),
                ROW(sizes_are_rounded_to_four_steps_a_doubling),
                ROW(no_size_wastes_more_than_a_quarter),
                ROW(blocks_are_aligned_and_follow_each_other),
                ROW(a_freed_block_is_used_again_for_its_size_only),
                ROW(a_full_arena_says_so_and_can_be_emptied),
                ROW(the_root_is_found_from_another_mapping),
                ROW(a_head_with_an_impossible_word_is_not_valid),
                ROW(misuse_is_an_assertion_not_a_corruption),
        };
#undef ROW

        return cmocka_run_group_tests(tests, NULL, NULL);
}
