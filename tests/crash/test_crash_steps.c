/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Death at every instruction (I8): a process is single-stepped through one small change of shared memory and killed after k instructions, for
 * every k from 0 until it survives. What it leaves behind is looked at from here, where the memory is mapped too:
 *
 *      ring    as valid as before, and it has the record as a whole or not at all
 *      word    the old one or the new one; from either the other side can go on
 *      arena   bracket set: torn, nothing else is promised. Bracket clear: head valid, lists consistent, and the change is there or not
 *      slot    a reader is told that it is being written, or gets the whole old or the whole new one
 *
 * Each k is a process of its own that really dies; nothing is assumed about which instruction is a store. Both sides of each change must
 * come up, so a test cannot pass by never getting there.
 *
 * A processor's stores reach shared memory in program order for this: a killed process has executed exactly its first k
 * instructions, on any machine.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <pthread.h>
#include <sched.h>
#include <string.h>

#include "shm/arena.h"
#include "shm/baton.h"
#include "shm/futex.h"
#include "shm/node.h"
#include "shm/ring.h"
#include "tests/support/numbered.h"
#include "tests/support/stepping.h"
#include "tests/support/steps.h"
#include "tests/support/twin.h"

static struct steps *s;
static int memory_fd;

static const struct stepping stepping = {.program = "child_steps", .memory_fd = &memory_fd};

/* All deaths of @verb, each in fresh memory. */
static void die_everywhere(const char *verb, void (*prepare)(void), int (*check)(void), bool wounds)
{
        stepping_die_everywhere(&stepping, verb, prepare, check, wounds);
}

static void clear(void)
{
        memset((void *)s, 0, sizeof(*s));
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

/* ---- ring ---- */

static void prepare_ring(void)
{
        struct bt_ring_end end;

        clear();
        s->ring.head = s->ring.tail = UINT32_MAX - 1; /* the new record is beyond the wrap */
        bt_ring_end_init_push(&end, &s->ring);
        for (uint64_t i = 0; i < STEPS_RECS; i++) {
                struct bt_rec rec = numbered(i);

                assert_int_equal(bt_ring_push(&end, &rec), 0);
        }
}

static int check_ring(void)
{
        struct bt_ring_end end;
        struct bt_rec rec;
        uint64_t count = 0;

        assert_true(bt_ring_valid(&s->ring));
        bt_ring_end_init_pop(&end, &s->ring);
        while (bt_ring_pop(&end, &rec) == 0)
                assert_true(rec_is(&rec, count++));
        assert_in_range(count, STEPS_RECS, STEPS_RECS + 1);
        return count == STEPS_RECS + 1;
}

static void a_producer_may_die_at_any_instruction_of_push(void **state)
{
        (void)state;
        die_everywhere("push", prepare_ring, check_ring, false);
}

/* ---- holder word ---- */

static void prepare_offered(void)
{
        clear();
        s->baton.word = bt_word_pack(BT_WORD_OFFERED, STEPS_PRED, STEPS_SUCC);
        s->baton.parked = BT_PARK_FUTEX; /* so that the wake-up is stepped through, too */
}

/* The hub saw the predecessor's exit: either way the successor gets the baton. */
static int check_passed(void)
{
        bool passed = bt_baton_word(&s->baton).phase == BT_WORD_PASSED;

        assert_true(bt_word_valid(s->baton.word));
        if (!passed) {
                assert_int_equal(s->baton.word, bt_word_pack(BT_WORD_OFFERED, STEPS_PRED, STEPS_SUCC));
                assert_int_equal(bt_baton_reclaim(&s->baton, STEPS_PRED), 0);
                assert_int_equal(bt_baton_grant(&s->baton, STEPS_SUCC), 0);
        } else {
                assert_int_equal(s->baton.word, bt_word_pack(BT_WORD_PASSED, STEPS_SUCC, STEPS_PRED));
                assert_int_equal(bt_baton_reclaim(&s->baton, STEPS_PRED), BT_BATON_E_STALE);
        }
        assert_int_equal(bt_baton_confirm(&s->baton, STEPS_SUCC), 0);
        assert_true(bt_baton_serves(&s->baton, STEPS_SUCC));
        return passed;
}

static void a_predecessor_may_die_at_any_instruction_of_pass(void **state)
{
        (void)state;
        die_everywhere("pass", prepare_offered, check_passed, false);
}

static void prepare_passed(void)
{
        clear();
        s->baton.word = bt_word_pack(BT_WORD_PASSED, STEPS_SUCC, STEPS_PRED);
}

/* The hub saw the successor's exit: before the point of no return the predecessor goes on, after it the next start does. */
static int check_confirmed(void)
{
        bool held = bt_baton_word(&s->baton).phase == BT_WORD_HELD;

        assert_true(bt_word_valid(s->baton.word));
        if (!held) {
                assert_int_equal(bt_baton_give_back(&s->baton, STEPS_SUCC, STEPS_PRED), 0);
                assert_true(bt_baton_serves(&s->baton, STEPS_PRED));
        } else {
                assert_int_equal(s->baton.word, bt_word_pack(BT_WORD_HELD, STEPS_SUCC, 0));
                assert_int_equal(bt_baton_give_back(&s->baton, STEPS_SUCC, STEPS_PRED), BT_BATON_E_STALE);
                assert_int_equal(bt_baton_reclaim(&s->baton, STEPS_SUCC), 0);
                assert_int_equal(bt_baton_grant(&s->baton, STEPS_SUCC + 1), 0);
        }
        return held;
}

static void a_successor_may_die_at_any_instruction_of_confirm(void **state)
{
        (void)state;
        die_everywhere("confirm", prepare_passed, check_confirmed, false);
}

/* ---- parked successor ---- */

static _Atomic uint32_t called;
static _Atomic int awake;

static void *park_as_heir(void *arg)
{
        uint32_t seen = 0;
        int r;

        (void)arg;
        while ((r = bt_baton_park(&s->baton, STEPS_SUCC, &called, seen, 0, 0)) == BT_BATON_E_CALLED)
                seen = atomic_load(&called);
        atomic_store(&awake, r == 0 ? 1 : -1);
        return NULL;
}

/*
 * Between the compare-and-swap and the wake-up the predecessor can die: the word is the successor's, which sleeps. So a hub that sees a
 * predecessor's exit calls the successor; that must be enough, at every instruction.
 */
static void a_sleeping_heir_gets_the_baton_when_the_hub_calls_it_after_the_death(void **state)
{
        bool survived = false;
        long k;

        (void)state;
        for (k = 0; !survived; k += stepping_stride()) {
                pthread_t thread;

                memset((void *)s, 0, sizeof(*s));
                s->baton.word = bt_word_pack(BT_WORD_OFFERED, STEPS_PRED, STEPS_SUCC);
                atomic_store(&awake, 0);
                atomic_store(&called, 0);
                assert_int_equal(pthread_create(&thread, NULL, park_as_heir, NULL), 0);
                while (atomic_load(&s->baton.parked) != BT_PARK_FUTEX && !atomic_load(&awake))
                        sched_yield();
                survived = stepping_die_after(&stepping, "pass", k);
                /* What a hub does: */
                if (bt_baton_reclaim(&s->baton, STEPS_PRED) == 0)
                        assert_int_equal(bt_baton_grant(&s->baton, STEPS_SUCC), 0);
                atomic_fetch_add(&called, 1);
                bt_futex_wake(&called);
                assert_int_equal(pthread_join(thread, NULL), 0);
                assert_int_equal(awake, 1);
        }
        print_message("pass beside a sleeping heir: %ld instructions\n", k);
}

/* ---- arena ---- */

static void *kept, *freed;

static void prepare_arena(void)
{
        clear();
        bt_arena_init(&s->arena, STEPS_ARENA_BYTES);
        kept = bt_arena_alloc(&s->arena, 50);
        freed = bt_arena_alloc(&s->arena, STEPS_FREED_BYTES);
        memset(kept, 'k', 50);
        bt_arena_set_root(&s->arena, kept);
        bt_arena_free(&s->arena, bt_arena_alloc(&s->arena, STEPS_FREED_BYTES)); /* a chain of two */
        bt_arena_free(&s->arena, freed);
}

/*
 * By the format alone (docs/shm-layout.md): blocks follow each other from the first to the top; a block is live or free; the free ones are
 * exactly those on the lists, each in the list of its class; the sizes of the live ones add up.
 */
static void arena_is_consistent(void)
{
        static const uint64_t class_bytes[] = {0, 16, 32, 48, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384, 448, 512, 640, 768, 896, 1024};
        uint64_t free_blocks = 0, listed = 0, live = 0;

        assert_true(bt_arena_valid(&s->arena, STEPS_ARENA_BYTES));
        for (uint64_t off = 4096 + 8; off < s->arena.top;) {
                uint64_t head = *(uint64_t *)(void *)(s->arena_room + off), class = head & 0xff;

                assert_in_range(class, 1, 20);
                if (head >> 8 == UINT64_C(0x6c69766561726e)) /* "livearn" */
                        live += class_bytes[class];
                else if (head >> 8 == UINT64_C(0x6672656561726e)) /* "freearn" */
                        free_blocks++;
                else
                        fail_msg("block at %llu: 0x%llx", (unsigned long long)off, (unsigned long long)head);
                off += class_bytes[class];
                assert_true(off <= s->arena.top);
        }
        for (uint64_t class = 0; class < BT_ARENA_CLASSES; class++)
                for (uint64_t off = s->arena.free[class]; off; off = *(uint64_t *)(void *)(s->arena_room + off + 8)) {
                        assert_true(off < s->arena.top && ++listed <= free_blocks);
                        assert_int_equal(*(uint64_t *)(void *)(s->arena_room + off), UINT64_C(0x6672656561726e) << 8 | class);
                }
        assert_int_equal(listed, free_blocks);
        assert_int_equal(live, s->arena.live_bytes);
}

static int check_arena(void)
{
        for (int i = 0; i < 50; i++) /* nobody's business, torn or not */
                assert_int_equal(((char *)kept)[i], 'k');
        if (s->baton.bracket)
                return 2;
        arena_is_consistent();
        return bt_arena_root(&s->arena) != kept;
}

static void a_holder_that_dies_in_alloc_leaves_a_whole_arena_or_a_set_bracket(void **state)
{
        (void)state;
        die_everywhere("alloc", prepare_arena, check_arena, true);
        assert_ptr_equal(bt_arena_root(&s->arena), freed); /* it came from the list */
        die_everywhere("alloc-top", prepare_arena, check_arena, true);
}

static void prepare_free(void)
{
        prepare_arena();
        bt_arena_set_root(&s->arena, bt_arena_alloc(&s->arena, 300));
}

static int check_free(void)
{
        int what = check_arena();

        return what == 2 ? 2 : bt_arena_root(&s->arena) == NULL;
}

static void a_holder_that_dies_in_free_leaves_a_whole_arena_or_a_set_bracket(void **state)
{
        (void)state;
        die_everywhere("free", prepare_free, check_free, true);
}

/* ---- node slot ---- */

static void prepare_slot(void)
{
        struct bt_node_owner owner = {.node = &s->node};
        struct bt_slot *slot;

        clear();
        s->node.slot_count = 1;
        slot = bt_node_begin(&owner, 0);
        slot_fill(slot, STEPS_SLOT_OLD);
        slot->note[0] = slot->exec[0] = 'o';
        bt_node_end(slot);
}

static int check_slot(void)
{
        const struct bt_node_view view = {.node = &s->node, .slot_count = 1};
        struct bt_slot slot;
        bool is_new;

        if (!bt_node_read(&view, 0, &slot))
                return 2;
        is_new = slot.swaps == STEPS_SLOT_NEW;
        assert_int_equal(slot.swaps, is_new ? STEPS_SLOT_NEW : STEPS_SLOT_OLD);
        assert_int_equal(slot.swap_total_ns, is_new ? ~STEPS_SLOT_NEW : ~STEPS_SLOT_OLD);
        assert_int_equal(slot.note[0], is_new ? 'n' : 'o');
        assert_int_equal(slot.exec[0], is_new ? 'n' : 'o');
        return is_new;
}

static void a_hub_that_dies_in_a_slot_leaves_it_whole_or_marked(void **state)
{
        (void)state;
        die_everywhere("slot", prepare_slot, check_slot, true);
}

int main(void)
{
#define ROW(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
        const struct CMUnitTest tests[] = {
                ROW(a_producer_may_die_at_any_instruction_of_push),
                ROW(a_predecessor_may_die_at_any_instruction_of_pass),
                ROW(a_successor_may_die_at_any_instruction_of_confirm),
                ROW(a_sleeping_heir_gets_the_baton_when_the_hub_calls_it_after_the_death),
                ROW(a_holder_that_dies_in_alloc_leaves_a_whole_arena_or_a_set_bracket),
                ROW(a_holder_that_dies_in_free_leaves_a_whole_arena_or_a_set_bracket),
                ROW(a_hub_that_dies_in_a_slot_leaves_it_whole_or_marked),
        };
#undef ROW

        (void)setup(NULL);
        prepare_offered();
        if (!stepping_allowed(&stepping, "pass"))
                return STEPPING_REFUSED;
        (void)teardown(NULL);
        return cmocka_run_group_tests(tests, NULL, NULL);
}
