/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Down to an older program and up again, with the state (STATE-2): a program that can write an older version of its schema does so when that is what the next
 * one reads, and where none can be written nothing is stopped. The child is tests/support/child_state.c, whose name says its versions and whose lines in the hub's
 * log say what it was given; an arena is child_rows.c.
 */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "tests/support/command.h"
#include "tests/support/rows.h"

#define V1 "state-1-1"   /* writes 1, reads 1 */
#define V2 "state-2-1"   /* writes 2, reads 1 and 2: no way back */
#define V21 "state-2-1-1" /* the same, and can write 1 */

#define STATE(more)                                                                                \
        "hub: w\n"                                                                                 \
        "children:\n"                                                                              \
        "  s: {exec: ['@dir@/" V1 "'], cwd: '@dir@', handover: true, state: blob, backoff: {min: 1ms, max: 2ms}" more "}\n"

static int setup(void **state)
{
        static const char *const names[] = {V1, V2, V21};
        struct world *w;
        int r = world_setup(state);

        if (r)
                return r;
        w = *state;
        for (size_t i = 0; i < BT_ARRAY_LEN(names); i++) {
                char from[640], to[256];
                char *argv[] = {(char *)"/bin/cp", from, to, NULL};

                world_program(w, from, "child_state");
                (void)snprintf(to, sizeof(to), "%s/%s", w->dir, names[i]);
                assert_int_equal(world_wait(world_spawn(w, argv, "cp.out")), 0);
        }
        return 0;
}

static void swap_to(const struct world *w, const char *name, uint32_t strategy, struct world_outcome *outcome)
{
        char path[256];

        (void)snprintf(path, sizeof(path), "%s/%s", w->dir, name);
        world_migrate(w, "s", path, strategy, outcome);
}

static void swaps_to(const struct world *w, const char *name, uint32_t strategy)
{
        struct world_outcome outcome;

        swap_to(w, name, strategy, &outcome);
        if (outcome.outcome != BT_CTL_OK)
                fail_msg("to %s: after '%s': %s", name, outcome.phases, outcome.text);
}

static const uint32_t both[] = {BT_STRATEGY_HOT, BT_STRATEGY_COLD};

static void STATE_2_up_and_down_the_state_goes_along(void **state)
{
        struct world *w = *state;

        world_start(w, STATE(""));
        swaps_to(w, V21, BT_STRATEGY_HOT);
        world_log_wait(w, "restored hot 'a1' v1", 1);
        swaps_to(w, V1, BT_STRATEGY_HOT);
        world_log_wait(w, "restored hot 'a12w1' v1", 1);
        swaps_to(w, V21, BT_STRATEGY_COLD);
        world_log_wait(w, "restored cold 'a12w11' v1", 1);
        swaps_to(w, V1, BT_STRATEGY_COLD);
        world_log_wait(w, "restored cold 'a12w112w1' v1", 1);
        world_end(w);
}

/* The same program, or one that reads what is written: nothing is written older than it must be. */
static void STATE_2_the_own_version_is_written_for_who_reads_it(void **state)
{
        struct world *w = *state;

        world_start(w, STATE(""));
        for (size_t i = 0; i < BT_ARRAY_LEN(both); i++) {
                swaps_to(w, V21, both[i]);
                swaps_to(w, V2, both[i]);
                swaps_to(w, V21, both[i]);
        }
        assert_false(world_log_has(w, "w1"));
        assert_int_equal(world_log_count(w, "v2"), 5);
        world_end(w);
}

static void STATE_2_a_downgrade_that_nobody_can_write_for_is_refused_before_anything_stops(void **state)
{
        struct world *w = *state;
        struct bt_slot before, after;
        struct world_outcome outcome;

        world_start(w, STATE(""));
        swaps_to(w, V2, BT_STRATEGY_HOT);
        world_until_drained(w, "s");
        world_slot(w, "s", &before);
        for (size_t i = 0; i < BT_ARRAY_LEN(both); i++) {
                swap_to(w, V1, both[i], &outcome);
                assert_int_equal(outcome.outcome, BT_CTL_FAILED);
                assert_non_null(strstr(outcome.text, "state is 'text' version 2, this program reads 'text' versions 1 to 1"));
                assert_null(strstr(outcome.phases, "offered"));
                assert_null(strstr(outcome.phases, "querying"));
                world_slot(w, "s", &after);
                assert_int_equal(after.pid, before.pid);
                assert_int_equal(after.phase, BT_PHASE_RUNNING);
        }
        world_end(w);
}

/* The older program fails after the state was written for it. */
static void STATE_2_a_downgrade_that_fails_leaves_the_newer_program_with_its_state(void **state)
{
        struct world *w = *state;
        struct world_outcome outcome;
        struct bt_slot before, after;

        world_start(w, STATE(""));
        swaps_to(w, V21, BT_STRATEGY_HOT);
        world_until_drained(w, "s");
        world_slot(w, "s", &before);
        world_gate_open(w, "refuse");
        swap_to(w, V1, BT_STRATEGY_HOT, &outcome);
        assert_int_equal(outcome.outcome, BT_CTL_FAILED);
        assert_non_null(strstr(outcome.phases, "passed successor_refused"));
        world_slot(w, "s", &after);
        assert_int_equal(after.pid, before.pid);
        world_gate_close(w, "refuse");
        swaps_to(w, V2, BT_STRATEGY_HOT); /* what the other one holds is of its own version again */
        world_log_wait(w, "restored hot 'a12' v2", 1);
        swaps_to(w, V21, BT_STRATEGY_HOT);
        world_gate_open(w, "broken-1");
        swap_to(w, V1, BT_STRATEGY_COLD, &outcome);
        assert_int_equal(outcome.outcome, BT_CTL_FAILED);
        world_log_wait(w, "restored rollback 'a1222w1' v1", 1);
        world_end(w);
}

/* What is there cannot be said in the older form. */
static void STATE_2_a_capture_that_fails_for_the_older_version_loses_nothing(void **state)
{
        struct world *w = *state;
        struct world_outcome outcome;
        struct bt_slot before, after;

        world_start(w, STATE(""));
        swaps_to(w, V21, BT_STRATEGY_HOT);
        world_until_drained(w, "s");
        world_slot(w, "s", &before);
        world_gate_open(w, "stubborn");
        swap_to(w, V1, BT_STRATEGY_HOT, &outcome);
        assert_int_equal(outcome.outcome, BT_CTL_FAILED);
        assert_non_null(strstr(outcome.phases, "not_passed"));
        world_slot(w, "s", &after);
        assert_int_equal(after.pid, before.pid);
        swap_to(w, V1, BT_STRATEGY_COLD, &outcome); /* there the predecessor has ended when the other is given what it cannot read */
        assert_int_equal(outcome.outcome, BT_CTL_FAILED);
        assert_non_null(strstr(outcome.phases, "successor_refused"));
        assert_non_null(strstr(outcome.text, "state is 'text' version 2"));
        world_log_wait(w, "restored rollback 'a12' v2", 1);
        world_end(w);
}

/* A script is not asked beforehand what it reads, so nobody knows that it needs an older version. What it refuses is not lost. */
static void STATE_2_what_cannot_be_asked_refuses_and_the_newer_program_goes_on(void **state)
{
        struct world *w = *state;
        struct world_outcome outcome;
        char program[256], path[256];

        world_start(w, STATE(""));
        swaps_to(w, V21, BT_STRATEGY_COLD);
        (void)snprintf(program, sizeof(program), "%s/" V1, w->dir);
        world_script(w, path, "script", "", program);
        world_migrate(w, "s", path, BT_STRATEGY_COLD, &outcome);
        assert_int_equal(outcome.outcome, BT_CTL_FAILED);
        assert_null(strstr(outcome.phases, "describing"));
        assert_non_null(strstr(outcome.text, "state is 'text' version 2, this program reads 'text' versions 1 to 1"));
        world_log_wait(w, "restored rollback 'a12' v2", 1);
        world_migrate(w, "s", path, BT_STRATEGY_HOT, &outcome); /* hot it is asked in any case: by itself */
        assert_int_equal(outcome.outcome, BT_CTL_OK);
        world_log_wait(w, "restored hot 'a122w1' v1", 1);
        world_end(w);
}

/* Each child of the pool goes back with what it has. */
static void STATE_2_a_pool_goes_back_to_its_older_program_with_its_states(void **state)
{
        struct world *w = *state;
        char upgraded[256];

        world_start(w, STATE(", instances: 3"));
        (void)snprintf(upgraded, sizeof(upgraded), "%s/" V21, w->dir);
        RUN(0, "", "upgrade", "s", "--exec", upgraded);
        assert_int_equal(world_log_count(w, "'a1' v1"), 3);
        RUN(0, "", "rollback", "s");
        world_log_wait(w, "'a12w1' v1", 3);
        world_end(w);
}

/* An arena is handed over as it is: whether an older program can use it only its program knows. */
static void STATE_2_an_arena_goes_down_only_to_who_can_use_its_layout(void **state)
{
        static const char *const newer[] = {"ROW_VERSION=2:1", "ROW_VERSION=2:1:1"};
        struct world *w = *state;
        struct world_outcome outcome;
        struct bt_slot before, after;
        char path[256], old[256];

        rows_start(w, 1, "", "strategy: hot, handover: true, state: {form: arena, max: 1MiB}");
        rows_set_values(w, 1);
        world_script(w, old, "older", "ROW_VERSION=1", "child_rows");
        for (size_t i = 0; i < BT_ARRAY_LEN(newer); i++) {
                world_script(w, path, i ? "newer-1" : "newer", newer[i], "child_rows");
                world_swap(w, "r0", path, WORLD_SPEC);
                world_until_drained(w, "r0");
                world_slot(w, "r0", &before);
                world_migrate(w, "r0", old, WORLD_SPEC, &outcome);
                world_slot(w, "r0", &after);
                assert_int_equal(outcome.outcome, i ? BT_CTL_OK : BT_CTL_FAILED);
                if (i)
                        continue;
                assert_null(strstr(outcome.phases, "offered"));
                assert_int_equal(after.pid, before.pid);
        }
        rows_expect_values(w, 1, 1);
        world_end(w);
}

#define SCENARIO(name) cmocka_unit_test_setup_teardown(name, setup, world_teardown)

int main(void)
{
        const struct CMUnitTest tests[] = {
                SCENARIO(STATE_2_up_and_down_the_state_goes_along),
                SCENARIO(STATE_2_the_own_version_is_written_for_who_reads_it),
                SCENARIO(STATE_2_a_downgrade_that_nobody_can_write_for_is_refused_before_anything_stops),
                SCENARIO(STATE_2_a_downgrade_that_fails_leaves_the_newer_program_with_its_state),
                SCENARIO(STATE_2_a_capture_that_fails_for_the_older_version_loses_nothing),
                SCENARIO(STATE_2_what_cannot_be_asked_refuses_and_the_newer_program_goes_on),
                SCENARIO(STATE_2_a_pool_goes_back_to_its_older_program_with_its_states),
                SCENARIO(STATE_2_an_arena_goes_down_only_to_who_can_use_its_layout),
        };

        return cmocka_run_group_tests_name("versions", tests, NULL, NULL);
}
