/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Producers that are processes and are killed at random moments, and one consumer: whatever was acknowledged arrives, once, in order, whole; what was not
 * acknowledged arrives once or never; and nobody waits for a dead one longer than until it was repaired.
 *
 * BATON_SEED=... plays a failure again, as far as processes let it; BATON_LONG=1 runs longer.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <sched.h>
#include <string.h>

#include "tests/support/mailbox_twins.h"
#include "tests/support/seed.h"

struct producer {
        pid_t pid;
        uint32_t owner;
        uint64_t next; /* number of its message that we expect */
};

static struct twins *t;
static int memory_fd;
static struct bt_mailbox_view view;
static struct producer producers[TWINS_MAX];
static uint64_t cursor, holes;

static void start(uint32_t place, uint32_t owner)
{
        char text[32];

        atomic_store(&t->begun[place], 0);
        atomic_store(&t->sent[place], 0);
        (void)snprintf(text, sizeof(text), "%u:%u", owner, place);
        producers[place] = (struct producer){.pid = twin_start("child_mailbox", "produce", text, memory_fd), .owner = owner};
}

static struct producer *of(uint32_t owner)
{
        for (uint32_t i = 0; i < TWINS_MAX; i++) {
                if (producers[i].owner == owner)
                        return &producers[i];
        }
        fail_msg("a message of nobody: owner %u", owner);
        abort(); /* for the compiler: fail_msg() does not return */
}

/* What take() says of the next one; it is done unless that is EMPTY or BUSY. */
static int consume(void)
{
        struct bt_taken taken;
        uint64_t words[TWINS_BYTES / 8];
        struct producer *p;
        int r = bt_mailbox_take(&view, cursor, &taken, words);

        if (r == BT_MAILBOX_E_EMPTY || r == BT_MAILBOX_E_BUSY)
                return r;
        if (r == BT_MAILBOX_E_HOLE) {
                holes++;
        } else {
                assert_int_equal(r, 0);
                p = of(taken.owner);
                assert_int_equal(taken.letter.call, p->next);
                for (uint64_t i = 0; i < TWINS_BYTES / 8; i++)
                        assert_int_equal(words[i], twins_word(p->owner, p->next, i));
                p->next++;
        }
        bt_mailbox_free(&view, cursor++);
        return r;
}

/* It is killed, its end is seen, then it is repaired: as the hub does. What it had sent is there, and at most the one that it had begun. */
static void kill_one(uint32_t place)
{
        struct producer *p = &producers[place];
        uint64_t until;

        assert_int_equal(twin_kill(p->pid), 128 + SIGKILL);
        (void)bt_mailbox_repair(&view, p->owner);
        /* Claims follow each other without gaps, so all of its are in front of this, or of an empty slot. */
        until = atomic_load(&t->head.tail) + 1;
        while (cursor < until && consume() != BT_MAILBOX_E_EMPTY)
                ;
        assert_in_range(p->next, t->sent[place], t->begun[place]);
}

static int setup(void **state)
{
        (void)state;
        memory_fd = twin_memory(sizeof(*t), &t);
        twins_init(t);
        view = twins_view(t);
        cursor = holes = 0;
        return 0;
}

static int teardown(void **state)
{
        (void)state;
        (void)close(memory_fd);
        return munmap(t, sizeof(*t));
}

static void producers_that_are_killed_lose_nothing_that_was_sent_and_block_nobody(void **state)
{
        struct seed seed = seed_new();
        uint64_t kills = seed_rounds(500);
        uint32_t owner = 1;

        (void)state;
        for (uint32_t i = 0; i < TWINS_MAX; i++)
                start(i, owner++);
        for (uint64_t k = 0; k < kills; k++) {
                uint32_t place = (uint32_t)seed_below(&seed, TWINS_MAX);
                uint64_t until = cursor + 20 + seed_below(&seed, 300);

                while (cursor < until) {
                        if (consume())
                                sched_yield();
                }
                kill_one(place);
                start(place, owner++);
        }
        for (uint32_t i = 0; i < TWINS_MAX; i++)
                kill_one(i);
        while (consume() != BT_MAILBOX_E_EMPTY)
                ;
        assert_true(bt_mailbox_valid(&view, cursor));
        print_message("%llu messages, %llu producers killed, %llu holes\n", (unsigned long long)cursor, (unsigned long long)kills + TWINS_MAX,
                      (unsigned long long)holes);
}

/* What arrives is nonsense; that the consumer and honest producers stay inside the segment and come back from each call is the point. */
static void a_producer_that_scribbles_neither_crashes_nor_hangs_a_consumer(void **state)
{
        struct seed seed = seed_new();
        uint64_t seen[8] = {0};
        char text[32];
        pid_t pid;

        (void)state;
        (void)snprintf(text, sizeof(text), "%llu", (unsigned long long)seed_next(&seed));
        pid = twin_start("child_mailbox", "scribble", text, memory_fd);
        for (uint64_t i = 0; i < seed_rounds(100000) || !seen[BT_MAILBOX_E_BROKEN]; i++) {
                const struct bt_letter letter = {.bytes = 8};
                struct bt_taken taken;
                uint64_t words[TWINS_BYTES / 8];
                int r = bt_mailbox_take(&view, cursor, &taken, words);

                assert_in_range(r, 0, BT_MAILBOX_E_BROKEN);
                seen[r]++;
                if (r == 0)
                        assert_in_range(taken.letter.bytes, 0, TWINS_BYTES);
                if (r != BT_MAILBOX_E_EMPTY && r != BT_MAILBOX_E_BUSY)
                        bt_mailbox_free(&view, cursor++);
                (void)bt_mailbox_push(&view, 9, &letter, words, NULL);
                (void)bt_mailbox_must_ring(&view);
                (void)bt_mailbox_repair(&view, bt_mailbox_waits_for(&view, cursor));
                (void)bt_mailbox_sleep(&view, cursor);
                assert_in_range(bt_mailbox_depth(&view), 0, TWINS_SLOTS);
        }
        assert_int_equal(twin_kill(pid), 128 + SIGKILL);
        assert_true(cursor > 0); /* whether anything whole came through is chance */
}

int main(void)
{
#define ROW(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
        const struct CMUnitTest tests[] = {
                ROW(producers_that_are_killed_lose_nothing_that_was_sent_and_block_nobody),
                ROW(a_producer_that_scribbles_neither_crashes_nor_hangs_a_consumer),
        };
#undef ROW

        return cmocka_run_group_tests(tests, NULL, NULL);
}
