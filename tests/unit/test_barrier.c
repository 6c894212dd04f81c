/* SPDX-License-Identifier: Apache-2.0 */
/*
 * base/barrier.c: two threads, each stores its own word and then looks at the other's. One of the two must see the other, though the often side has no fence;
 * without the heavy barrier on the seldom side both miss each other in one round of thirty to two hundred.
 *
 * links: pthread
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <pthread.h>

#include "base/barrier.h"
#include "tests/support/seed.h"

/* A round: both threads are at its beginning, then both have looked. */
struct pair {
        _Atomic uint32_t often __attribute__((aligned(64)));
        _Atomic uint32_t seldom __attribute__((aligned(64)));
        _Atomic uint64_t begun __attribute__((aligned(64)));
        _Atomic uint64_t ended __attribute__((aligned(64)));
        uint64_t rounds;
        uint32_t often_saw;
};

static void *often_side(void *arg)
{
        struct pair *pair = arg;

        for (uint64_t round = 1; round <= pair->rounds; round++) {
                while (atomic_load(&pair->begun) != round)
                        ;
                atomic_store_explicit(&pair->often, 1, memory_order_relaxed);
                bt_barrier_light();
                pair->often_saw = atomic_load_explicit(&pair->seldom, memory_order_relaxed);
                atomic_store(&pair->ended, round);
        }
        return NULL;
}

static void one_of_the_two_sees_the_other(void **state)
{
        struct pair pair = {.rounds = seed_rounds(30000)};
        pthread_t thread;
        uint64_t missed = 0, met = 0;

        (void)state;
        if (!bt_barrier_init())
                skip();
        assert_int_equal(pthread_create(&thread, NULL, often_side, &pair), 0);
        for (uint64_t round = 1; round <= pair.rounds; round++) {
                uint32_t saw;

                atomic_store(&pair.often, 0);
                atomic_store(&pair.seldom, 0);
                atomic_store(&pair.begun, round);
                for (volatile uint64_t i = 0; i < round % 128; i++)
                        ;
                atomic_store_explicit(&pair.seldom, 1, memory_order_relaxed);
                bt_barrier_heavy();
                saw = atomic_load_explicit(&pair.often, memory_order_relaxed);
                while (atomic_load(&pair.ended) != round)
                        ;
                missed += !saw && !pair.often_saw;
                met += saw && pair.often_saw;
        }
        assert_int_equal(pthread_join(thread, NULL), 0);
        assert_int_equal(missed, 0);
        print_message("%llu rounds, both saw the other in %llu\n", (unsigned long long)pair.rounds,
                      (unsigned long long)met);
}

static void to_register_twice_is_to_register(void **state)
{
        (void)state;
        assert_int_equal(bt_barrier_init(), bt_barrier_init());
        bt_barrier_heavy(); /* also where there is none: it comes back */
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(one_of_the_two_sees_the_other),
                cmocka_unit_test(to_register_twice_is_to_register),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
