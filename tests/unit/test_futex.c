/* SPDX-License-Identifier: Apache-2.0 */
/*
 * shm/futex.c, and what is built on it: parking (bt_baton_park).
 *
 * A lost wake-up is a parked process that sleeps although the word is its. It cannot be seen in one try, so two processes pass one baton to
 * and fro thousands of times, each parked in turn, asleep at once or after a spin. There is no clock in these tests: a wake-up that
 * is lost hangs them, and the time limit of the test, from outside, is the judge.
 *
 * links: pthread
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <string.h>

#include "base/clock.h"
#include "shm/baton.h"
#include "shm/futex.h"
#include "tests/support/seed.h"
#include "tests/support/twin.h"

static struct bt_baton baton;
static _Atomic uint32_t called;
static _Atomic uint32_t at_work;

static int setup(void **state)
{
        (void)state;
        memset(&baton, 0, sizeof(baton));
        atomic_store(&called, 0);
        atomic_store(&at_work, 0);
        return 0;
}

/* ---- waiting ---- */

static void a_word_that_differs_is_not_waited_for(void **state)
{
        _Atomic uint32_t a = 1, b = 2;
        struct bt_futex_word words[2] = {{&a, 1}, {&b, 3}};

        (void)state;
        assert_int_equal(bt_futex_wait(&(struct bt_futex_word){&a, 0}, 1, BT_NS_NEVER), 0);
        assert_int_equal(bt_futex_wait(words, 2, BT_NS_NEVER), 0);
        words[0].expected = 0;
        words[1].expected = 2;
        assert_int_equal(bt_futex_wait(words, 2, BT_NS_NEVER), 0);
}

static void a_deadline_is_kept_and_not_before_its_time(void **state)
{
        _Atomic uint32_t a = 1, b = 2;
        struct bt_futex_word words[2] = {{&a, 1}, {&b, 2}};

        (void)state;
        for (uint32_t count = 1; count <= 2; count++) {
                uint64_t deadline = bt_now_ns() + 3 * BT_NS_PER_MS;
                int r;

                do
                        r = bt_futex_wait(words, count, deadline);
                while (r == 0); /* early returns are allowed */
                assert_int_equal(r, -ETIMEDOUT);
                assert_true(bt_now_ns() >= deadline);
                assert_int_equal(bt_futex_wait(words, count, 1), -ETIMEDOUT); /* long past */
        }
}

static void the_low_half_of_a_word_is_where_the_phase_is(void **state)
{
        _Atomic uint64_t word = bt_word_pack(BT_WORD_OFFERED, 5, 6);

        (void)state;
        assert_int_equal(*bt_futex_low(&word), (uint32_t)word);
}

struct sleeper {
        struct bt_futex_word words[2];
        pthread_t thread;
};

static void *sleeper_main(void *arg)
{
        struct sleeper *s = arg;

        while (atomic_load(s->words[0].word) == s->words[0].expected && atomic_load(s->words[1].word) == s->words[1].expected)
                if (bt_futex_wait(s->words, 2, BT_NS_NEVER))
                        abort();
        return NULL;
}

/* Either of two words, by many rounds: sometimes the sleeper sleeps already, sometimes it is only about to. */
static void a_change_of_either_word_wakes(void **state)
{
        _Atomic uint32_t words[2] = {0, 0};

        (void)state;
        for (uint32_t i = 0; i < 400; i++) {
                struct sleeper s = {.words = {{&words[0], words[0]}, {&words[1], words[1]}}};

                assert_int_equal(pthread_create(&s.thread, NULL, sleeper_main, &s), 0);
                if (i % 2)
                        sched_yield();
                atomic_fetch_add(&words[i % 4 / 2], 1);
                bt_futex_wake(&words[i % 4 / 2]);
                assert_int_equal(pthread_join(s.thread, NULL), 0);
        }
}

/* ---- parking ---- */

static void park_returns_at_once_when_the_baton_is_ours(void **state)
{
        (void)state;
        baton.word = bt_word_pack(BT_WORD_PASSED, 7, 3);
        assert_int_equal(bt_baton_park(&baton, 7, &called, 0, 0, 0), 0);
        assert_int_equal(bt_baton_park(&baton, 7, &called, 99, 0, 1000000), 0); /* the baton goes before a call */
        assert_int_equal(baton.parked, BT_PARK_AWAKE);
}

static void park_returns_when_called(void **state)
{
        (void)state;
        baton.word = bt_word_pack(BT_WORD_HELD, 3, 0);
        assert_int_equal(bt_baton_park(&baton, 7, &called, 1, 0, 0), BT_BATON_E_CALLED);
        assert_int_equal(bt_baton_park(&baton, 7, &called, 1, 0, 1000000), BT_BATON_E_CALLED);
        assert_int_equal(baton.parked, BT_PARK_AWAKE);
        assert_int_equal(baton.word, bt_word_pack(BT_WORD_HELD, 3, 0));
}

static int parked_result;

static void *parker(void *arg)
{
        parked_result = bt_baton_park(&baton, 7, &called, 0, 0, *(uint64_t *)arg);
        return NULL;
}

static void await_asleep(void)
{
        while (atomic_load(&baton.parked) != BT_PARK_FUTEX)
                sched_yield();
}

/* A baton passed to somebody else, and a bare wake, leave the parked one where it is. */
static void park_sleeps_on_through_what_does_not_concern_it(void **state)
{
        uint64_t spin = 0;
        pthread_t thread;

        (void)state;
        baton.word = bt_word_pack(BT_WORD_HELD, 3, 0);
        assert_int_equal(pthread_create(&thread, NULL, parker, &spin), 0);
        await_asleep();
        for (int i = 0; i < 100; i++) {
                assert_int_equal(bt_baton_offer(&baton, 3, 5), 0);
                assert_int_equal(bt_baton_pass(&baton, 3, 5), 0);
                assert_int_equal(bt_baton_give_back(&baton, 5, 3), 0);
                bt_futex_wake(bt_futex_low(&baton.word));
                bt_futex_wake(&called);
        }
        assert_int_equal(bt_baton_offer(&baton, 3, 7), 0);
        assert_int_equal(bt_baton_withdraw(&baton, 3, 7), 0);
        assert_int_equal(bt_baton_offer(&baton, 3, 7), 0);
        assert_int_equal(bt_baton_pass(&baton, 3, 7), 0);
        assert_int_equal(pthread_join(thread, NULL), 0);
        assert_int_equal(parked_result, 0);
        assert_int_equal(baton.parked, BT_PARK_AWAKE);
}

static void a_grant_wakes_the_first_holder(void **state)
{
        uint64_t spin = 0;
        pthread_t thread;

        (void)state;
        assert_int_equal(pthread_create(&thread, NULL, parker, &spin), 0);
        await_asleep();
        assert_int_equal(bt_baton_grant(&baton, 7), 0);
        assert_int_equal(pthread_join(thread, NULL), 0);
        assert_int_equal(parked_result, 0);
}

/* What a hub does to speak to a parked process: bump, look at @parked, wake. */
static void *caller(void *arg)
{
        uint64_t rounds = *(uint64_t *)arg;

        for (uint32_t i = 1; i <= rounds; i++) {
                atomic_store(&called, i);
                if (atomic_load(&baton.parked) == BT_PARK_FUTEX)
                        bt_futex_wake(&called);
                while (atomic_load(&at_work) != i)
                        sched_yield();
        }
        return NULL;
}

static void park_returns_when_the_moment_is_near(void **state)
{
        (void)state;
        baton.soon = 1;
        assert_int_equal(bt_baton_park(&baton, 7, &called, 0, 0, 0), BT_BATON_E_SOON);
        assert_int_equal(bt_baton_park(&baton, 7, &called, 0, 0, 1000000), BT_BATON_E_SOON);
        assert_int_equal(bt_baton_park(&baton, 7, &called, 1, 0, 0), BT_BATON_E_CALLED); /* a call goes before it */
        assert_int_equal(baton.parked, BT_PARK_AWAKE);
}

static void an_announcement_wakes_a_sleeping_heir(void **state)
{
        uint64_t spin = 0;
        pthread_t thread;
        uint32_t soon;

        (void)state;
        baton.word = bt_word_pack(BT_WORD_OFFERED, 3, 7);
        assert_int_equal(pthread_create(&thread, NULL, parker, &spin), 0);
        await_asleep();
        soon = bt_baton_announce(&baton);
        assert_int_equal(pthread_join(thread, NULL), 0);
        assert_int_equal(parked_result, BT_BATON_E_SOON);
        assert_false(bt_baton_watched(&baton, soon)); /* it has only slept */
}

static void the_beat_moves_while_the_heir_watches(void **state)
{
        uint64_t spin = UINT64_MAX;
        pthread_t thread;

        (void)state;
        baton.word = bt_word_pack(BT_WORD_OFFERED, 3, 7);
        assert_int_equal(pthread_create(&thread, NULL, parker, &spin), 0);
        while (!bt_baton_watched(&baton, 0))
                sched_yield();
        assert_int_equal(bt_baton_pass(&baton, 3, 7), 0);
        assert_int_equal(pthread_join(thread, NULL), 0);
        assert_int_equal(parked_result, 0);
        assert_int_equal(baton.parked, BT_PARK_AWAKE);
}

static void no_call_is_lost(void **state)
{
        uint64_t rounds = seed_rounds(3000);
        pthread_t thread;

        (void)state;
        baton.word = bt_word_pack(BT_WORD_HELD, 3, 0);
        assert_int_equal(pthread_create(&thread, NULL, caller, &rounds), 0);
        for (uint32_t i = 0; i < rounds; i++) {
                int r = bt_baton_park(&baton, 7, &called, i, 0, i % 3 ? 0 : 3000);

                assert_int_equal(r, BT_BATON_E_CALLED);
                assert_int_equal(called, i + 1);
                atomic_store(&at_work, i + 1);
        }
        assert_int_equal(pthread_join(thread, NULL), 0);
}

static void no_wake_up_is_lost_between_two_processes(void **state)
{
        uint64_t rounds = seed_rounds(10000);
        struct bt_baton *shared;
        char text[32];
        pid_t pid;
        int fd = twin_memory(sizeof(*shared), &shared);

        (void)state;
        (void)snprintf(text, sizeof(text), "%llu", (unsigned long long)rounds);
        pid = twin_start("child_shm", "park", text, fd);
        assert_int_equal(bt_baton_grant(shared, 1), 0);
        for (uint64_t me = 2; me <= 2 * rounds; me += 2) {
                /* An heir parks when the one before it has confirmed. */
                while (!bt_baton_serves(shared, me - 1) && bt_baton_word(shared).holder != me)
                        sched_yield();
                assert_int_equal(bt_baton_park(shared, me, &called, 0, 0, me % 8 ? 0 : 5000), 0);
                assert_int_equal(bt_baton_confirm(shared, me), 0);
                assert_int_equal(bt_baton_offer(shared, me, me + 1), 0);
                assert_int_equal(bt_baton_pass(shared, me, me + 1), 0);
        }
        assert_int_equal(twin_end(pid), 0);
        (void)munmap(shared, sizeof(*shared));
        (void)close(fd);
}

int main(void)
{
#define ROW(name) cmocka_unit_test_setup(name, setup)
        const struct CMUnitTest tests[] = {
                ROW(a_word_that_differs_is_not_waited_for),
                ROW(a_deadline_is_kept_and_not_before_its_time),
                ROW(the_low_half_of_a_word_is_where_the_phase_is),
                ROW(a_change_of_either_word_wakes),
                ROW(park_returns_at_once_when_the_baton_is_ours),
                ROW(park_returns_when_called),
                ROW(park_sleeps_on_through_what_does_not_concern_it),
                ROW(a_grant_wakes_the_first_holder),
                ROW(park_returns_when_the_moment_is_near),
                ROW(an_announcement_wakes_a_sleeping_heir),
                ROW(the_beat_moves_while_the_heir_watches),
                ROW(no_call_is_lost),
                ROW(no_wake_up_is_lost_between_two_processes),
        };
#undef ROW

        return cmocka_run_group_tests(tests, NULL, NULL);
}
