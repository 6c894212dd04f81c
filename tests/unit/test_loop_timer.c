/* SPDX-License-Identifier: Apache-2.0 */
/* supervisor/loop/timer.c: the heap by itself, and what a turn does with it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <stdlib.h>
#include <sys/eventfd.h>

#include "base/clock.h"
#include "tests/support/bell.h"

/* ---- timers ---- */

struct clock {
        struct bt_loop_timer timer;
        struct bt_loop *loop;
        uint64_t deadline_ns;
        uint64_t *last_ns; /* of the ones before */
        int *fired;
        struct clock *disarm; /* in the call */
        int again;            /* in the past, this many times */
};

static void on_clock(struct bt_loop_timer *timer)
{
        struct clock *clock = bt_container_of(timer, struct clock, timer);

        assert_true(bt_loop_now(clock->loop) >= clock->deadline_ns);
        if (clock->last_ns) {
                assert_true(*clock->last_ns <= clock->deadline_ns);
                *clock->last_ns = clock->deadline_ns;
        }
        ++*clock->fired;
        if (clock->disarm)
                bt_loop_timer_disarm(&clock->disarm->timer);
        if (clock->again && clock->again-- > 0)
                assert_int_equal(bt_loop_timer_arm(clock->loop, timer, 1, on_clock), 0);
}

static void clock_arm(struct clock *clock, uint64_t deadline_ns)
{
        clock->deadline_ns = deadline_ns;
        assert_int_equal(bt_loop_timer_arm(clock->loop, &clock->timer, deadline_ns, on_clock), 0);
}

static void heap_check(const struct bt_loop *loop)
{
        for (uint32_t i = 1; i <= loop->heap_count; i++) {
                assert_int_equal(loop->heap[i].timer->heap_idx, i);
                assert_int_equal(loop->heap[i].timer->deadline_ns, loop->heap[i].deadline_ns);
                if (i > 1)
                        assert_true(loop->heap[i / 2].deadline_ns <= loop->heap[i].deadline_ns);
        }
}

#define CLOCKS 500

static void timers_fire_in_the_order_of_their_deadlines_after_any_changes(void **state)
{
        static struct clock clocks[CLOCKS];
        struct bt_loop *loop = loop_new();
        uint64_t start_ns = bt_now_ns(), last_ns = 0;
        unsigned seed = 7;
        int fired = 0, armed = 0;

        (void)state;
        for (int i = 0; i < CLOCKS; i++)
                clocks[i] = (struct clock){.loop = loop, .last_ns = &last_ns, .fired = &fired};
        for (int step = 0; step < 20000; step++) {
                struct clock *clock = &clocks[rand_r(&seed) % CLOCKS];

                if (rand_r(&seed) % 3 == 0)
                        bt_loop_timer_disarm(&clock->timer);
                else
                        clock_arm(clock, start_ns + (uint64_t)(rand_r(&seed) % 20000000));
                if (step % 100 == 0)
                        heap_check(loop);
        }
        heap_check(loop);
        for (int i = 0; i < CLOCKS; i++)
                armed += clocks[i].timer.heap_idx != 0;
        assert_int_equal(armed, loop->heap_count);
        assert_true(armed > 100);
        while (fired < armed) {
                assert_int_equal(bt_loop_turn(loop), 0);
                heap_check(loop);
        }
        assert_int_equal(bt_loop_timer_next(loop), BT_NS_NEVER);
        loop = bt_loop_free(loop);
}

static void a_timer_ends_the_wait_at_its_deadline_and_not_before(void **state)
{
        struct bt_loop *loop = loop_new();
        int fired = 0, turns = 0;
        struct clock clock = {.loop = loop, .fired = &fired};
        struct bell quiet;

        (void)state;
        bell_open(&quiet, loop);
        for (int i = 1; i <= 20; i++) {
                clock_arm(&clock, bt_now_ns() + 2 * BT_NS_PER_MS);
                while (fired < i) {
                        assert_int_equal(bt_loop_turn(loop), 0);
                        turns++;
                }
        }
        /* It slept: each wait was ended by the deadline itself, give or take a turn that came a moment early. */
        assert_true(turns <= 40);
        assert_int_equal(quiet.calls, 0);
        bell_close(&quiet);
        loop = bt_loop_free(loop);
}

static void an_earlier_timer_that_is_armed_later_comes_first(void **state)
{
        struct bt_loop *loop = loop_new();
        int late_fired = 0, early_fired = 0;
        struct clock late = {.loop = loop, .fired = &late_fired};
        struct clock early = {.loop = loop, .fired = &early_fired};

        (void)state;
        clock_arm(&late, bt_now_ns() + 3600 * BT_NS_PER_S);
        clock_arm(&early, bt_now_ns() + BT_NS_PER_MS);
        while (!early_fired)
                assert_int_equal(bt_loop_turn(loop), 0);
        assert_int_equal(late_fired, 0);
        bt_loop_timer_disarm(&late.timer);
        loop = bt_loop_free(loop);
}

static void a_timer_disarmed_in_the_same_turn_does_not_fire(void **state)
{
        struct bt_loop *loop = loop_new();
        int fired = 0;
        struct clock second = {.loop = loop, .fired = &fired};
        struct clock first = {.loop = loop, .fired = &fired, .disarm = &second};

        (void)state;
        clock_arm(&second, 2);
        clock_arm(&first, 1);
        assert_int_equal(bt_loop_turn(loop), 0);
        assert_int_equal(fired, 1);
        turn_without_waiting(loop);
        assert_int_equal(fired, 1);
        loop = bt_loop_free(loop);
}

static void never_disarms_a_timer_and_disarming_twice_is_harmless(void **state)
{
        struct bt_loop *loop = loop_new();
        int fired = 0;
        struct clock clock = {.loop = loop, .fired = &fired};

        (void)state;
        clock_arm(&clock, 1);
        clock_arm(&clock, BT_NS_NEVER);
        assert_int_equal(bt_loop_timer_next(loop), BT_NS_NEVER);
        bt_loop_timer_disarm(&clock.timer);
        bt_loop_timer_disarm(&clock.timer);
        turn_without_waiting(loop);
        assert_int_equal(fired, 0);
        loop = bt_loop_free(loop);
}

static void a_timer_that_is_always_due_does_not_keep_the_loop_from_descriptors(void **state)
{
        struct bt_loop *loop = loop_new();
        int fired = 0;
        struct clock clock = {.loop = loop, .fired = &fired, .again = 1000000};
        struct bell bell;

        (void)state;
        bell_open(&bell, loop);
        clock_arm(&clock, 1);
        assert_int_equal(bt_loop_turn(loop), 0);
        assert_int_equal(fired, 1); /* once a turn */
        ring_bell(bell.fd);
        assert_int_equal(bt_loop_turn(loop), 0);
        assert_int_equal(bell.calls, 1);
        assert_int_equal(fired, 2);
        bt_loop_timer_disarm(&clock.timer);
        bell_close(&bell);
        loop = bt_loop_free(loop);
}

struct race {
        struct bell bell;
        struct clock clock;
};

static void on_answer(struct bt_loop_watch *watch, uint32_t events)
{
        struct race *race = bt_container_of(watch, struct race, bell.watch);

        (void)events;
        race->bell.calls++;
        bt_loop_timer_disarm(&race->clock.timer);
}

static void an_answer_in_the_same_turn_as_its_deadline_wins(void **state)
{
        struct bt_loop *loop = loop_new();
        int fired = 0;
        struct race race = {
                .bell.fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC),
                .clock = {.loop = loop, .fired = &fired},
        };

        (void)state;
        assert_int_equal(bt_loop_watch_fd(loop, &race.bell.watch, race.bell.fd, POLLIN, on_answer), 0);
        turn_without_waiting(loop);
        clock_arm(&race.clock, 1); /* long over */
        ring_bell(race.bell.fd);
        assert_int_equal(bt_loop_turn(loop), 0);
        assert_int_equal(race.bell.calls, 1);
        assert_int_equal(fired, 0);
        bell_close(&race.bell);
        loop = bt_loop_free(loop);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(timers_fire_in_the_order_of_their_deadlines_after_any_changes),
                cmocka_unit_test(a_timer_ends_the_wait_at_its_deadline_and_not_before),
                cmocka_unit_test(an_earlier_timer_that_is_armed_later_comes_first),
                cmocka_unit_test(a_timer_disarmed_in_the_same_turn_does_not_fire),
                cmocka_unit_test(never_disarms_a_timer_and_disarming_twice_is_harmless),
                cmocka_unit_test(a_timer_that_is_always_due_does_not_keep_the_loop_from_descriptors),
                cmocka_unit_test(an_answer_in_the_same_turn_as_its_deadline_wins),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
