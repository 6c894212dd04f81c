/* SPDX-License-Identifier: Apache-2.0 */
/*
 * SHUT-9, at run time: child_migration_timeout is around the limits of the steps of a swap, and wins where it is shorter. Each inner one is an hour here: a
 * test that comes to its end has shown it. (The limit around a stop of the hub: scenario/parallel.)
 */
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "tests/support/rows.h"

#define WITHIN(limits) "handover: true, state: {form: blob, max: 64KiB}, child_migration_timeout: " WORLD_SHORT ", " limits

/* The same limits, written on the child and in `defaults`. */
static void start_with(struct world *w, const char *limits, bool in_defaults)
{
        char top[512];

        (void)snprintf(top, sizeof(top), "defaults: {%s}\n", limits);
        rows_start(w, 1, in_defaults ? top : "", in_defaults ? "" : limits);
        rows_set_values(w, 1);
}

/* What this one leaves ends here, and its gate is closed again. */
static void next_row(struct world *w, const char *gate)
{
        char path[128];

        world_kill_hub(w);
        assert_true(world_reap_orphans() >= 1);
        (void)snprintf(path, sizeof(path), "%s/%s", w->dir, gate);
        (void)unlink(path);
}

static void SHUT_9_the_limit_of_a_hot_swap_ends_the_wait_for_a_state(void **state)
{
        static const char limits[] = WITHIN("strategy: hot, handover_data_wait: 1h, env: {ROW_CAPTURE: \"@dir@/speak\"}");
        struct world *w = *state;

        for (int in_defaults = 0; in_defaults < 2; in_defaults++) {
                struct world_outcome outcome;
                int fd;

                start_with(w, limits, in_defaults);
                world_migrate(w, "r0", NULL, WORLD_SPEC, &outcome);
                assert_int_equal(outcome.outcome, BT_CTL_TIMED_OUT);
                world_gate_open(w, "speak");
                fd = rows_connect(w, 0);
                assert_int_equal(probe_number(fd, "count"), 2); /* the old one goes on */
                assert_int_equal(probe_number(fd, "inc"), 1);
                (void)close(fd);
                next_row(w, "speak");
        }
        world_start_again(w);
        world_gate_open(w, "speak");
        world_end(w);
}

static void SHUT_9_the_limit_of_a_cold_swap_ends_the_query(void **state)
{
        static const char limits[] = WITHIN("strategy: cold, state_query_timeout: 1h, shutdown: brutal_kill, env: {ROW_CAPTURE: \"@dir@/speak\"}");
        struct world *w = *state;

        for (int in_defaults = 0; in_defaults < 2; in_defaults++) {
                struct world_outcome outcome;

                start_with(w, limits, in_defaults);
                world_migrate(w, "r0", NULL, WORLD_SPEC, &outcome);
                assert_int_equal(outcome.outcome, BT_CTL_OK);
                assert_non_null(strstr(outcome.phases, "querying too_late no_state stopping "));
                next_row(w, "speak");
        }
        world_start_again(w);
        world_gate_open(w, "speak");
        world_end(w);
}

static void SHUT_9_the_limit_of_a_cold_swap_ends_the_patience_with_a_process_that_does_not_end(void **state)
{
        static const char limits[] = WITHIN("strategy: cold, shutdown: 1h, env: {ROW_TERMINATE: \"@dir@/end\"}");
        struct world *w = *state;

        for (int in_defaults = 0; in_defaults < 2; in_defaults++) {
                struct world_outcome outcome;
                int fd;

                start_with(w, limits, in_defaults);
                world_migrate(w, "r0", NULL, WORLD_SPEC, &outcome);
                assert_int_equal(outcome.outcome, BT_CTL_OK);
                fd = rows_connect(w, 0);
                assert_int_equal(probe_number(fd, "value"), 1); /* its state was taken before */
                assert_int_equal(probe_number(fd, "inc"), 2);
                (void)close(fd);
                next_row(w, "end");
        }
        world_start_again(w);
        world_gate_open(w, "end");
        world_end(w);
}

int main(void)
{
#define SCENARIO(name) cmocka_unit_test_setup_teardown(name, world_setup, world_teardown)
        const struct CMUnitTest tests[] = {
                SCENARIO(SHUT_9_the_limit_of_a_hot_swap_ends_the_wait_for_a_state),
                SCENARIO(SHUT_9_the_limit_of_a_cold_swap_ends_the_query),
                SCENARIO(SHUT_9_the_limit_of_a_cold_swap_ends_the_patience_with_a_process_that_does_not_end),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
