/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Death at every instruction of a checkpoint (STATE-7, I8): a process is single-stepped through it and killed after k instructions, for every k
 * from 0 until it survives. Whatever k, the word names a whole checkpoint: the old one, or the new one, each with its own description and the
 * sum of its payload. And of a repair: the bracket is still set, or the arena is the checkpoint's, byte for byte.
 *
 * Where the path is long (checksums) a stride keeps the time bounded: a step costs some 10 us. The part that decides, the publication, is stepped through
 * without one, and where the stride begins differs from run to run (BATON_SEED).
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "shm/arena.h"
#include "shm/checkpoint.h"
#include "shm/record.h"
#include "tests/support/checkpoint_steps.h"
#include "tests/support/seed.h"
#include "tests/support/stepping.h"

#define SHORT     2000 /* a path of so few instructions is died in at each of them */
#define DEATHS    16   /* and about so many times in a longer one */

static struct cks *s;
static int memory_fd;

static const struct stepping stepping = {.program = "child_checkpoint_steps", .memory_fd = &memory_fd};

/* @check: 0 old, 1 new, 2 wounded and says so. */
static void die_everywhere(const char *verb, void (*prepare)(void), int (*check)(void), bool wounds)
{
        struct seed seed = seed_new();
        long seen[3] = {0}, steps, stride, k;

        memset((void *)s, 0, sizeof(*s));
        prepare();
        steps = stepping_run(&stepping, verb, STEPPING_RUN_MAX);
        assert_true(steps < STEPPING_RUN_MAX);
        assert_int_equal(check(), 1);
        stride = steps > SHORT ? steps / DEATHS : stepping_stride();
        for (k = (long)seed_below(&seed, (uint64_t)stride); k < steps; k += stride) {
                memset((void *)s, 0, sizeof(*s));
                prepare();
                (void)stepping_run(&stepping, verb, k);
                seen[check()]++;
        }
        seen[1]++; /* the one that came to its end, above */
        print_message("%s: %ld instructions, every %ld: %ld old, %ld wounded, %ld new\n", verb, steps, stride, seen[0], seen[2], seen[1]);
        assert_int_equal(seen[0] != 0, !wounds);
        assert_int_equal(seen[2] != 0, wounds);
        assert_true(seen[1]);
}

static int setup(void **state)
{
        (void)state;
        memory_fd = twin_memory(sizeof(*s), &s);
        return 0;
}

static int teardown(void **state)
{
        (void)state;
        (void)close(memory_fd);
        return munmap(s, sizeof(*s));
}

/* ---- blob ---- */

static void prepare_baton(uint32_t form, uint64_t bytes_max)
{
        s->baton.form = form;
        s->baton.checkpoint_slots = BT_CHECKPOINT_SLOTS;
        s->baton.state_off = sizeof(s->baton);
        s->baton.state_bytes_max = bytes_max;
        s->baton.word = bt_word_pack(BT_WORD_HELD, CKS_INC, 0);
}

static void prepare_blob(void)
{
        struct bt_state_meta meta = {.bytes = CKS_BLOB_BYTES, .version = 1, .incarnation = CKS_INC - 1};

        prepare_baton(BATON_STATE_BLOB, CKS_SLOT_BYTES);
        memset(s->slots[0], 'o', CKS_BLOB_BYTES);
        meta.xxh3 = bt_sum_of(s->slots[0], CKS_BLOB_BYTES);
        assert_int_equal(bt_checkpoint_publish(&s->baton, 0, &meta), 1);
}

static int check_blob(void)
{
        struct bt_checkpoint last;
        bool is_new;

        assert_true(bt_checkpoint_read(&s->baton, &last));
        is_new = last.sequence == 2;
        assert_int_equal(last.sequence, is_new ? 2 : 1);
        assert_int_equal(last.meta.bytes, CKS_BLOB_BYTES);
        assert_int_equal(last.meta.version, is_new ? 2 : 1);
        assert_int_equal(last.meta.incarnation, is_new ? CKS_INC : CKS_INC - 1);
        assert_int_equal(last.meta.slot_idx, is_new);
        assert_int_equal(bt_sum_of(s->slots[last.meta.slot_idx], last.meta.bytes), last.meta.xxh3);
        for (int i = 0; i < CKS_BLOB_BYTES; i++)
                assert_int_equal(s->slots[last.meta.slot_idx][i], is_new ? 'n' : 'o');
        return is_new;
}

static void STATE_7_a_holder_may_die_at_any_instruction_of_publish(void **state)
{
        (void)state;
        die_everywhere("publish", prepare_blob, check_blob, false);
}

static void STATE_7_a_holder_may_die_at_any_instruction_of_a_blob_checkpoint(void **state)
{
        (void)state;
        die_everywhere("blob", prepare_blob, check_blob, false);
}

/* ---- arena ---- */

static void prepare_arena(void)
{
        struct bt_arena *arena = (struct bt_arena *)(void *)s->arenas[0];
        struct bt_state_meta meta = {.version = 1, .incarnation = CKS_INC - 1};
        char *block;

        prepare_baton(BATON_STATE_ARENA, CKS_ARENA_BYTES);
        bt_arena_init(arena, CKS_ARENA_BYTES);
        block = bt_arena_alloc(arena, CKS_BLOB_BYTES);
        memset(block, 'o', CKS_BLOB_BYTES);
        bt_arena_set_root(arena, block);
        memcpy(s->arenas[1], s->arenas[0], arena->top);
        meta.bytes = arena->top;
        meta.xxh3 = bt_sum_of(s->arenas[1], arena->top);
        assert_int_equal(bt_checkpoint_publish(&s->baton, 0, &meta), 1);
        memset(block, 'n', CKS_BLOB_BYTES);
        (void)bt_arena_alloc(arena, 200);
}

static char first_byte(const char *arena)
{
        return arena[((const struct bt_arena *)(const void *)arena)->root];
}

static int check_arena(void)
{
        struct bt_checkpoint last;
        const char *copy;
        bool is_new;

        assert_true(bt_checkpoint_read(&s->baton, &last));
        is_new = last.sequence == 2;
        copy = s->arenas[1 + last.meta.slot_idx];
        assert_int_equal(bt_sum_of(copy, last.meta.bytes), last.meta.xxh3);
        assert_true(bt_arena_valid((const struct bt_arena *)(const void *)copy, CKS_ARENA_BYTES));
        assert_int_equal(((const struct bt_arena *)(const void *)copy)->top, last.meta.bytes);
        assert_int_equal(first_byte(copy), is_new ? 'n' : 'o');
        return is_new;
}

static void STATE_7_a_holder_may_die_at_any_instruction_of_an_arena_checkpoint(void **state)
{
        (void)state;
        die_everywhere("arena", prepare_arena, check_arena, false);
}

static void prepare_torn(void)
{
        prepare_arena();
        memset(s->arenas[0] + 64, 0xff, 300); /* half of its head is nonsense */
        s->baton.bracket = 1;
}

static int check_repaired(void)
{
        struct bt_checkpoint last;

        assert_true(bt_checkpoint_read(&s->baton, &last)); /* it is there for another try */
        assert_int_equal(bt_sum_of(s->arenas[1], last.meta.bytes), last.meta.xxh3);
        if (s->baton.bracket)
                return 2;
        assert_memory_equal(s->arenas[0], s->arenas[1], last.meta.bytes);
        for (uint64_t i = last.meta.bytes; i < CKS_ARENA_BYTES; i++)
                assert_int_equal(s->arenas[0][i], 0);
        return 1;
}

static void STATE_7_whoever_repairs_an_arena_may_die_at_any_instruction_of_it(void **state)
{
        (void)state;
        die_everywhere("repair", prepare_torn, check_repaired, true);
}

int main(void)
{
#define ROW(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
        const struct CMUnitTest tests[] = {
                ROW(STATE_7_a_holder_may_die_at_any_instruction_of_publish),
                ROW(STATE_7_a_holder_may_die_at_any_instruction_of_a_blob_checkpoint),
                ROW(STATE_7_a_holder_may_die_at_any_instruction_of_an_arena_checkpoint),
                ROW(STATE_7_whoever_repairs_an_arena_may_die_at_any_instruction_of_it),
        };
#undef ROW

        (void)setup(NULL);
        prepare_blob();
        if (!stepping_allowed(&stepping, "publish"))
                return STEPPING_REFUSED;
        (void)teardown(NULL);
        return cmocka_run_group_tests(tests, NULL, NULL);
}
