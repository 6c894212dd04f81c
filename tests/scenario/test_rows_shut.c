/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Rows of docs/conformance.md about the end of a hub and of its children that need children which can be held in a callback (child_rows.c). Each test
 * carries the id of its row; the rest of SHUT is in test_stop_start.c and test_parallel.c.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/support/events.h"
#include "tests/support/placed.h"
#include "tests/support/rows.h"
#include "tests/support/text.h"

#define BLOB "handover: true, state: {form: blob, max: 64KiB}"

/* On the same host a state goes through shared memory: when the hub is killed after swaps of both kinds, its store is empty. */
static void SHUT_2_a_successor_on_this_host_is_given_the_state_in_memory(void **state)
{
        struct world *w = *state;

        rows_start(w, 3, "", BLOB);
        rows_set_values(w, 3);
        for (int i = 0; i < 3; i++) {
                char id[16];

                (void)snprintf(id, sizeof(id), "r%d", i);
                world_swap(w, id, NULL, i == 1 ? BT_STRATEGY_COLD : BT_STRATEGY_HOT);
                world_until_drained(w, id);
        }
        rows_expect_values(w, 3, 1);
        world_kill_hub(w);
        assert_int_equal(world_reap_orphans(), 3);
        assert_int_equal(rows_stored(w), 0);
        world_start_again(w);
        world_end(w);
}

/* Two stops of two sets of children: the second batch is beside the first. */
static void SHUT_2_a_second_batch_is_added_to_the_first(void **state)
{
        struct world *w = *state;

        rows_start(w, 2, "", BLOB);
        rows_set_values(w, 2);
        world_stop(w);
        assert_int_equal(rows_stored(w), 2);
        rows_configure(w, 2, 2, "", BLOB);
        world_start_again(w);
        for (int i = 2; i < 4; i++) {
                int fd = rows_connect(w, i);

                for (int k = 1; k <= i + 1; k++)
                        assert_int_equal(probe_number(fd, "count"), k);
                (void)close(fd);
        }
        world_stop(w);
        assert_int_equal(rows_stored(w), 4);
        rows_configure(w, 0, 4, "", BLOB);
        world_start_again(w);
        rows_expect_values(w, 4, 1);
        world_end(w);
}

/* A child that wants no store, on the only node: nothing to keep it in. The stop is a success and says so. */
static void SHUT_6_a_stop_without_a_place_for_a_state_succeeds_and_says_what_is_lost(void **state)
{
        struct world *w = *state;
        struct world_outcome outcome;
        struct bt_ask ask;

        rows_start(w, 2, "", BLOB ", durability: none");
        rows_set_values(w, 2);
        ask = world_ask(w, BT_CTL_STOP, "", NULL, WORLD_SPEC);
        world_follow(&ask, &outcome);
        assert_int_equal(outcome.outcome, BT_CTL_OK);
        assert_non_null(strstr(outcome.text, "r0: state not kept"));
        assert_non_null(strstr(outcome.text, "r1: state not kept"));
        world_await_hub(w, 0);
        assert_int_equal(rows_stored(w), 0);
        world_start_again(w);
        for (int i = 0; i < 2; i++) {
                int fd = rows_connect(w, i);

                assert_int_equal(probe_number(fd, "value"), 0);
                (void)close(fd);
        }
        world_end(w);
}

/* Two cold swaps. One child takes its time to end: the other's successor serves long before, its own is not started before it has. */
static void SHUT_7_one_that_ends_fast_goes_on_while_a_slow_one_still_ends(void **state)
{
        static const char *const callbacks[] = {"r0#2 terminate\n",  "r1#1 terminate\n", "r1#1 terminated", "r1#2 serve",
                                                "r0#2 terminated", "r0#3 restore",     "r0#3 serve",      NULL};
        struct world *w = *state;
        struct world_outcome outcome;
        struct bt_slot slot;
        struct bt_ask slow;
        char gate[320], path[256], text[8192];

        rows_start(w, 2, "", "strategy: cold, " BLOB ", shutdown: 1h, child_migration_timeout: 2h, env: {ROW_TRACE: \"@dir@/trace\"}");
        rows_set_values(w, 2);
        (void)snprintf(gate, sizeof(gate), "ROW_TERMINATE=%s/end", w->dir);
        world_script(w, path, "slow", gate, "child_rows");
        world_swap(w, "r0", path, WORLD_SPEC);
        world_slot(w, "r0", &slot);
        slow = world_ask(w, BT_CTL_SWAP, "r0", NULL, WORLD_SPEC);
        world_file_wait(w, "trace", "r0#2 terminate\n");
        world_migrate(w, "r1", NULL, WORLD_SPEC, &outcome);
        assert_int_equal(outcome.outcome, BT_CTL_OK);
        assert_true(world_runs(slot.pid));
        world_read(w, "trace", text, sizeof(text));
        assert_null(strstr(text, "r0#3"));
        world_gate_open(w, "end");
        world_follow(&slow, &outcome);
        assert_int_equal(outcome.outcome, BT_CTL_OK);
        rows_expect_values(w, 2, 1);
        world_read(w, "trace", text, sizeof(text));
        text_expect_in_order(text, callbacks);
        world_end(w);
}

static long long ask_number(const struct world *w, int i, const char *what)
{
        int fd = rows_connect(w, i);
        long long number = probe_number(fd, what);

        (void)close(fd);
        return number;
}

/* A node leaves; both of its children go to the other one, by cold swaps. The fast one serves there while the slow one still ends where it was. */
static void SHUT_7_one_that_ends_fast_starts_on_another_node_while_a_slow_one_still_ends(void **state)
{
        static const char *const callbacks[] = {"r1#1 terminated", "r1#2 restore", "r1#2 serve", "r0#2 terminated", "r0#3 restore", "r0#3 serve", NULL};
        static const char *const moves[] = {"r1 child_forwarded from blue to green", "r0 child_forwarded from blue to green", NULL};
        struct world *w = *state;
        char gate[320], path[256], text[8192];
        char *told;
        pid_t slow, remove;

        rows_start(w, 2,
                   "nodes: {blue: {}, green: {}}\n"
                   "distribution: {strategy: guided, map: {r0: [blue, green], r1: [blue, green]}}\n",
                   "strategy: cold, " BLOB ", shutdown: 1h, child_migration_timeout: 2h, env: {ROW_TRACE: \"@dir@/trace\"}");
        rows_set_values(w, 2);
        (void)snprintf(gate, sizeof(gate), "ROW_TERMINATE=%s/end", w->dir);
        world_script(w, path, "slow", gate, "child_rows");
        world_swap(w, "r0", path, WORLD_SPEC);
        slow = (pid_t)ask_number(w, 0, "pid");
        remove = BEGIN("node", "remove", "blue");
        world_file_wait(w, "trace", "r0#2 terminate\n");
        events_wait(w, "r1 child_forwarded from blue to green");
        assert_true(world_runs(slow));
        world_read(w, "trace", text, sizeof(text));
        assert_null(strstr(text, "r0#2 terminated"));
        assert_null(strstr(text, "r0#3"));
        assert_false(world_has_ended(remove));
        assert_int_equal(ask_number(w, 1, "inc"), 2);
        assert_int_equal(ask_number(w, 1, "value"), 2);
        world_gate_open(w, "end");
        command_finish(w, remove, 0, "left");
        rows_expect_values(w, 2, 1);
        world_read(w, "trace", text, sizeof(text));
        text_expect_in_order(text, callbacks);
        told = events_told(w);
        text_expect_in_order(told, moves);
        free(told);
        world_end(w);
}

/* Somebody else than the hub ends it. Its terminate() runs, what it writes there is what its next process begins with. */
static void SHUT_8_sigterm_reaches_terminate_which_may_still_write_the_state(void **state)
{
        static const char *const callbacks[] = {"r0#1 terminate", "r0#1 checkpoint: written", "r0#2 restore crash: 8 bytes", "r0#2 serve",
                                                NULL};
        struct world *w = *state;
        struct bt_slot slot;
        char text[8192];
        int fd;

        rows_start(w, 1, "", BLOB ", env: {ROW_TRACE: \"@dir@/trace\", ROW_TERMINATE: checkpoint}");
        fd = rows_connect(w, 0);
        for (int i = 1; i <= 7; i++)
                assert_int_equal(probe_number(fd, "count"), i);
        (void)close(fd);
        world_slot(w, "r0", &slot);
        assert_int_equal(kill(slot.pid, SIGTERM), 0);
        world_until(w, "r0", BT_PHASE_RUNNING, 1, &slot);
        rows_expect_values(w, 1, 7);
        world_read(w, "trace", text, sizeof(text));
        text_expect_in_order(text, callbacks);
        world_end(w);
}

/* A stop of the hub: the state is asked for first, and terminate() comes when it is on the disk. */
static void SHUT_8_a_stop_asks_for_the_state_and_then_runs_terminate(void **state)
{
        static const char *const callbacks[] = {"r0#1 capture shutdown", "r0#1 terminate", NULL};
        struct world *w = *state;
        char text[8192];

        rows_start(w, 1, "", BLOB ", env: {ROW_TRACE: \"@dir@/trace\"}");
        rows_set_values(w, 1);
        world_stop(w);
        world_read(w, "trace", text, sizeof(text));
        text_expect_in_order(text, callbacks);
        world_start_again(w);
        rows_expect_values(w, 1, 1);
        world_end(w);
}

/* Both are in terminate() at the same time, and stay there as long as they want. */
static void OTP_4_infinity_waits_for_ever_and_ends_run_side_by_side(void **state)
{
        struct world *w = *state;
        char text[8192];

        rows_start(w, 2, "", "shutdown: infinity, env: {ROW_TRACE: \"@dir@/trace\", ROW_TERMINATE: \"@dir@/end\"}");
        assert_int_equal(kill(w->pid, SIGTERM), 0);
        world_file_wait(w, "trace", "r0#1 terminate\n");
        world_file_wait(w, "trace", "r1#1 terminate\n");
        world_read(w, "trace", text, sizeof(text));
        assert_int_equal(text_times(text, "terminated"), 0);
        world_gate_open(w, "end");
        world_await_hub(w, 0);
        world_read(w, "trace", text, sizeof(text));
        assert_int_equal(text_times(text, "terminated"), 2);
        world_end(w);
}

/* r0 holds the stop up. What is asked for meanwhile is refused with the reason; a child that dies is not started again, and its state is kept. */
static void SHUT_10_what_is_asked_for_during_a_stop_is_refused_and_nothing_is_lost(void **state)
{
        struct world *w = *state;
        struct world_outcome outcome;
        struct bt_slot slot;
        char gate[320], path[256];
        struct bt_ask stop;

        rows_start(w, 3, "", "strategy: cold, " BLOB ", handover_data_wait: 1h, env: {ROW_TRACE: \"@dir@/trace\"}");
        rows_set_values(w, 3);
        (void)snprintf(gate, sizeof(gate), "ROW_CAPTURE=%s/speak", w->dir);
        world_script(w, path, "mute", gate, "child_rows");
        world_swap(w, "r0", path, WORLD_SPEC);
        world_slot(w, "r1", &slot);
        stop = world_ask(w, BT_CTL_STOP, "", NULL, WORLD_SPEC);
        world_file_wait(w, "trace", "r0#2 capture shutdown");
        events_wait(w, "r1 state_captured");
        world_migrate(w, "r2", NULL, WORLD_SPEC, &outcome);
        assert_int_equal(outcome.outcome, BT_CTL_FAILED);
        assert_non_null(strstr(outcome.text, "the hub is stopping"));
        world_until(w, "r1", BT_PHASE_RUNNING, 0, &slot);
        assert_int_equal(kill(slot.pid, SIGKILL), 0);
        world_until(w, "r1", BT_PHASE_STOPPED, 0, &slot);
        world_migrate(w, "r1", NULL, WORLD_SPEC, &outcome);
        assert_int_equal(outcome.outcome, BT_CTL_FAILED);
        assert_non_null(strstr(outcome.text, "the hub is stopping"));
        world_gate_open(w, "speak");
        world_follow(&stop, &outcome);
        assert_int_equal(outcome.outcome, BT_CTL_OK);
        world_await_hub(w, 0);
        world_start_again(w);
        rows_expect_values(w, 3, 1);
        world_end(w);
}

#define SCENARIO(name) cmocka_unit_test_setup_teardown(name, world_setup, world_teardown)

int main(void)
{
        const struct CMUnitTest tests[] = {
                SCENARIO(SHUT_2_a_successor_on_this_host_is_given_the_state_in_memory),
                SCENARIO(SHUT_2_a_second_batch_is_added_to_the_first),
                SCENARIO(SHUT_6_a_stop_without_a_place_for_a_state_succeeds_and_says_what_is_lost),
                SCENARIO(SHUT_7_one_that_ends_fast_goes_on_while_a_slow_one_still_ends),
                cmocka_unit_test_setup_teardown(
                        SHUT_7_one_that_ends_fast_starts_on_another_node_while_a_slow_one_still_ends,
                        world_setup, world_teardown),
                SCENARIO(SHUT_8_sigterm_reaches_terminate_which_may_still_write_the_state),
                SCENARIO(SHUT_8_a_stop_asks_for_the_state_and_then_runs_terminate),
                SCENARIO(OTP_4_infinity_waits_for_ever_and_ends_run_side_by_side),
                SCENARIO(SHUT_10_what_is_asked_for_during_a_stop_is_refused_and_nothing_is_lost),
        };

        return cmocka_run_group_tests_name("rows: shutdown", tests, NULL, NULL);
}
