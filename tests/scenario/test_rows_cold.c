/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Rows of docs/conformance.md about the cold swap that need a child which tells in which order its callbacks were run (child_rows.c). Each test carries
 * the id of its row; the rest of COLD is in test_cold_swap.c, test_rollback.c and test_fds.c.
 *
 * Order is taken from two places: the hub's event stream, and the file into which all processes of the children write, a line a callback.
 */
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "tests/support/events.h"
#include "tests/support/rows.h"
#include "tests/support/text.h"

#define TRACED "handover: true, env: {ROW_TRACE: \"@dir@/trace\"}, state: {form: blob, max: 64KiB}"
#define COLD "strategy: cold, " TRACED

static void read_trace(const struct world *w, char *text, size_t bytes)
{
        world_read(w, "trace", text, bytes);
}

/* The old process does not end when it is told: it is killed, and until it is dead there is no other. */
static void COLD_1_a_hanging_predecessor_is_dead_before_its_successor_is_started(void **state)
{
        static const char *const phases[] = {"querying", "captured", "stopping", "stopped", "starting", "ready", "restored", "committed", NULL};
        struct world *w = *state;
        struct world_outcome outcome;
        struct bt_slot slot;
        char text[8192];

        rows_start(w, 1, "",
                   "strategy: cold, handover: true, shutdown: " WORLD_SHORT ", state: {form: blob, max: 64KiB}, "
                   "env: {ROW_TRACE: \"@dir@/trace\", ROW_TERMINATE: \"@dir@/never\"}");
        rows_set_values(w, 1);
        world_slot(w, "r0", &slot);
        world_migrate(w, "r0", NULL, WORLD_SPEC, &outcome);
        assert_int_equal(outcome.outcome, BT_CTL_OK);
        text_expect_in_order(outcome.phases, phases);
        world_until_gone(slot.pid);
        read_trace(w, text, sizeof(text));
        assert_non_null(strstr(text, "r0#1 terminate\n"));
        assert_null(strstr(text, "r0#1 terminated"));
        rows_expect_values(w, 1, 1);
        world_gate_open(w, "never");
        world_end(w);
}

/* The default: nobody is asked for a state, none is given, none is stored. */
static void COLD_2_without_handover_no_state_is_asked_for_or_stored(void **state)
{
        struct world *w = *state;
        struct world_outcome outcome;
        char text[8192];

        rows_start(w, 1, "", "state: {form: blob, max: 64KiB}, env: {ROW_TRACE: \"@dir@/trace\"}");
        rows_set_values(w, 1);
        world_migrate(w, "r0", NULL, WORLD_SPEC, &outcome);
        assert_int_equal(outcome.outcome, BT_CTL_OK);
        assert_null(strstr(outcome.phases, "querying"));
        assert_non_null(strstr(outcome.phases, "stopping stopped starting")); /* cold is the default, too */
        rows_expect_values(w, 1, 0);
        world_stop(w);
        assert_int_equal(rows_stored(w), 0);
        read_trace(w, text, sizeof(text));
        assert_null(strstr(text, "capture"));
        assert_int_equal(text_times(text, "absent"), 2);
        world_end(w);
}

static void COLD_3_query_capture_terminate_start_deliver_in_this_order(void **state)
{
        static const char *const events[] = {
                "r0 migration_begun cold",       "r0 migration_step querying", "r0 migration_step captured",  "r0 migration_step stopping",
                "r0 migration_step stopped",     "r0 migration_step starting", "r0 migration_step ready",     "r0 migration_step restored",
                "r0 handover_delivered 8 bytes", "r0 child_running cold",      "r0 migration_completed ",    NULL};
        static const char *const callbacks[] = {"r0#1 first request", "r0#1 capture",  "r0#1 terminate", "r0#2 restore", "8 bytes",
                                                "r0#2 restored",      "r0#2 serve", "r0#2 first request", NULL};
        struct world *w = *state;
        char text[8192];
        char *told;
        int fd;

        rows_start(w, 1, "", COLD);
        fd = rows_connect(w, 0);
        assert_int_equal(probe_number(fd, "count"), 1);
        world_swap(w, "r0", NULL, WORLD_SPEC);
        assert_int_equal(probe_number(fd, "count"), 2);
        (void)close(fd);
        told = events_told(w);
        text_expect_in_order(told, events);
        free(told);
        read_trace(w, text, sizeof(text));
        text_expect_in_order(text, callbacks);
        world_end(w);
        /* It went from one process to the other: the store has seen nothing but the stop's state. */
        assert_int_equal(rows_stored(w), 1);
}

/* restore() has its own fresh count and the one that was handed over, and takes the larger. */
static void COLD_6_restore_decides_between_its_own_fresh_state_and_the_given_one(void **state)
{
        static const struct {
                const char *env;
                long long expected;
        } rows[] = {{"ROW_FRESH=1000", 1000}, {"ROW_FRESH=5", 1000}, {"ROW_FRESH=2000", 2000}};
        static const uint32_t strategies[] = {BT_STRATEGY_COLD, BT_STRATEGY_HOT};
        struct world *w = *state;

        for (size_t s = 0; s < BT_ARRAY_LEN(strategies); s++) {
                rows_start(w, 1, "", COLD);
                rows_set_values(w, 1);
                for (size_t i = 0; i < BT_ARRAY_LEN(rows); i++) {
                        char path[256];

                        world_script(w, path, "fresh", rows[i].env, "child_rows");
                        world_swap(w, "r0", path, strategies[s]);
                        rows_expect_values(w, 1, rows[i].expected);
                }
                world_kill_hub(w); /* the next round begins with nothing */
                assert_true(world_reap_orphans() >= 1); /* and a predecessor, perhaps, that has just drained */
        }
        world_start_again(w);
        world_end(w);
}

static void COLD_6_a_child_without_callbacks_is_handed_over_all_the_same(void **state)
{
        static const uint32_t strategies[] = {BT_STRATEGY_COLD, BT_STRATEGY_HOT};
        struct world *w = *state;
        struct bt_slot slot;

        rows_start(w, 2, "", "handover: true, env: {ROW_BARE: '1'}, state: {form: blob, max: 64KiB}");
        for (size_t i = 0; i < BT_ARRAY_LEN(strategies); i++)
                world_swap(w, "r0", NULL, strategies[i]);
        world_slot(w, "r0", &slot);
        assert_int_equal(slot.incarnation, 3);
        assert_int_equal(slot.swaps, 2);
        world_stop(w);
        world_start_again(w);
        world_slot(w, "r0", &slot);
        assert_int_equal(slot.phase, BT_PHASE_RUNNING);
        world_end(w);
}

/*
 * Four states wait. A start with two of those children and a new one delivers the two, and removes the two. The hub dies when it has removed the
 * second: a later stop would write states again.
 */
static void COLD_7_what_is_delivered_leaves_the_store_and_nothing_else_does(void **state)
{
        struct world *w = *state;
        char text[8192];

        rows_start(w, 4, "", COLD);
        rows_set_values(w, 4);
        world_stop(w);
        assert_int_equal(rows_stored(w), 4);
        rows_configure(w, 2, 3, "", COLD); /* r2, r3 and the unknown r4; r0 and r1 are not there */
        w->hub_env = "BATON_KILL_AT=store.del.after_commit:2";
        world_start_dying(w, 128 + SIGKILL);
        (void)world_reap_orphans();
        w->hub_env = NULL;
        world_read(w, "trace", text, sizeof(text));
        assert_int_equal(text_times(text, "restore reboot: 8 bytes"), 2);
        assert_int_equal(text_times(text, "r4#1 restore reboot"), 0);
        assert_int_equal(rows_stored(w), 2);
        rows_configure(w, 0, 4, "", COLD);
        world_start_again(w);
        for (int i = 0; i < 4; i++) {
                int fd = rows_connect(w, i);

                assert_int_equal(probe_number(fd, "value"), i < 2 ? i + 1 : 0);
                (void)close(fd);
        }
        world_end(w);
}

/* The client has sent its request while restore() is held: it is answered after serve(), with the state. */
static void COLD_8_a_successor_serves_nobody_before_its_state_is_restored(void **state)
{
        static const char *const callbacks[] = {"r0#2 restore", "r0#2 restored", "r0#2 serve", "r0#2 first request", NULL};
        static const uint32_t strategies[] = {BT_STRATEGY_COLD, BT_STRATEGY_HOT};
        struct world *w = *state;

        for (size_t i = 0; i < BT_ARRAY_LEN(strategies); i++) {
                struct world_outcome outcome;
                char path[256], gate[320], trace[160], text[8192];
                struct pollfd answer = {.events = POLLIN};
                struct bt_ask ask;
                int old, fresh;

                rows_start(w, 1, "", COLD);
                rows_set_values(w, 1);
                old = rows_connect(w, 0);
                assert_int_equal(probe_number(old, "count"), 2);
                (void)snprintf(gate, sizeof(gate), "ROW_RESTORE=%s/gate%zu", w->dir, i);
                world_script(w, path, "gated", gate, "child_rows");
                ask = world_ask(w, BT_CTL_UPGRADE, "r0", path, strategies[i]);
                world_file_wait(w, "trace", "r0#2 restore");
                fresh = rows_connect(w, 0);
                probe_say(old, "count");
                answer.fd = old;
                assert_int_equal(poll(&answer, 1, 0), 0);
                (void)snprintf(gate, sizeof(gate), "gate%zu", i);
                world_gate_open(w, gate);
                world_follow(&ask, &outcome);
                assert_int_equal(outcome.outcome, BT_CTL_OK);
                kv_line(old, text, sizeof(text));
                assert_string_equal(text, "3");
                assert_int_equal(probe_number(fresh, "count"), 4);
                (void)close(old);
                (void)close(fresh);
                read_trace(w, text, sizeof(text));
                text_expect_in_order(text, callbacks);
                world_kill_hub(w);
                (void)world_reap_orphans();
                (void)snprintf(trace, sizeof(trace), "%s/trace", w->dir);
                assert_int_equal(unlink(trace), 0);
        }
        world_start_again(w);
        world_end(w);
}

/* Known to be missing: the predecessor is mute, which is said before the successor is started. */
static void COLD_8_a_successor_without_a_state_serves_when_it_is_known_to_be_missing(void **state)
{
        static const char *const events[] = {"r0 migration_step querying", "r0 migration_step too_late", "r0 migration_step no_state",
                                             "r0 migration_step starting", "r0 child_running", NULL};
        struct world *w = *state;
        struct world_outcome outcome;
        char *told;

        rows_start(w, 1, "",
                   "strategy: cold, handover: true, state_query_timeout: " WORLD_SHORT ", shutdown: brutal_kill, state: {form: blob, max: 64KiB}, "
                   "env: {ROW_TRACE: \"@dir@/trace\", ROW_CAPTURE: \"@dir@/never\"}");
        rows_set_values(w, 1);
        world_migrate(w, "r0", NULL, WORLD_SPEC, &outcome);
        assert_int_equal(outcome.outcome, BT_CTL_OK);
        told = events_told(w);
        text_expect_in_order(told, events);
        assert_null(strstr(told, "handover_delivered"));
        free(told);
        world_file_wait(w, "trace", "r0#2 restore cold: absent");
        rows_expect_values(w, 1, 0);
        world_gate_open(w, "never"); /* for the stop */
        world_end(w);
}

/* ---- a restore that takes its time: a row of STATE, with the same child ---- */

/* r0 cannot go on before r1 has been started: a hub that waited for it would wait for ever. */
static void STATE_1_at_a_start_the_others_are_started_while_one_restores(void **state)
{
        struct world *w = *state;
        char path[160];

        world_start(w, "hub: w\n"
                       "sockets:\n"
                       "  r0: \"unix://@dir@/r0.sock\"\n"
                       "  r1: \"unix://@dir@/r1.sock\"\n"
                       "defaults: {handover: true, state: {form: blob, max: 4KiB}, exec: [\"@bin@/child_rows\"]}\n"
                       "children:\n"
                       "  r0: {sockets: [r0], env: {ROW_RESTORE: \"@dir@/r1-was-started\"}}\n"
                       "  r1: {sockets: [r1], env: {ROW_TRACE: \"@dir@/r1-was-started\"}}\n");
        rows_set_values(w, 2);
        world_stop(w);
        (void)snprintf(path, sizeof(path), "%s/r1-was-started", w->dir);
        assert_int_equal(unlink(path), 0);
        world_start_again(w);
        rows_expect_values(w, 2, 1);
        world_end(w);
}

/* r0 is registered and restores; meanwhile r1 dies and is started again, and is swapped. */
static void STATE_1_the_hub_does_its_work_while_one_restores(void **state)
{
        static const char *const events[] = {"r0 child_starting crash", "r1 child_ended", "r1 child_running crash", "r1 migration_completed",
                                             "r0 child_running crash", NULL};
        struct world *w = *state;
        struct bt_slot slot;
        char *told;

        rows_start(w, 2, "", "strategy: hot, handover: true, state: {form: arena, max: 1MiB}, env: {ROW_TRACE: \"@dir@/trace\"}");
        rows_set_values(w, 2);
        {
                char path[256], gate[320];

                (void)snprintf(gate, sizeof(gate), "ROW_RESTORE=%s/loaded", w->dir);
                world_script(w, path, "gated", gate, "child_rows");
                world_gate_open(w, "loaded");
                world_swap(w, "r0", path, WORLD_SPEC);
                (void)snprintf(gate, sizeof(gate), "%s/loaded", w->dir);
                assert_int_equal(unlink(gate), 0);
        }
        world_slot(w, "r0", &slot);
        assert_int_equal(kill(slot.pid, SIGKILL), 0);
        world_file_wait(w, "trace", "r0#3 restore crash: arena");
        world_slot(w, "r1", &slot);
        assert_int_equal(kill(slot.pid, SIGKILL), 0);
        world_until(w, "r1", BT_PHASE_RUNNING, 1, &slot);
        world_swap(w, "r1", NULL, WORLD_SPEC);
        world_slot(w, "r0", &slot);
        assert_int_equal(slot.phase, BT_PHASE_STARTING);
        assert_int_equal(slot.incarnation, 3);
        world_gate_open(w, "loaded");
        rows_expect_values(w, 2, 1);
        world_until(w, "r0", BT_PHASE_RUNNING, 2, &slot);
        told = events_told(w);
        text_expect_in_order(told, events);
        free(told);
        world_end(w);
}

/* The hub is killed while it waits for a state, the next one adopts what serves, and only then the answer comes, with which the process stops to serve. */
static void I8_an_answer_to_a_hub_that_was_killed_leaves_nobody_without_service(void **state)
{
        static const char *const forms[] = {"blob, max: 64KiB", "arena, max: 1MiB"};
        struct world *w = *state;

        for (size_t i = 0; i < BT_ARRAY_LEN(forms); i++) {
                char each[256], path[128];
                struct bt_slot slot;
                struct bt_ask ask;
                int fd;

                (void)snprintf(each, sizeof(each), "handover: true, state: {form: %s}, env: {ROW_CAPTURE: \"@dir@/speak\"}", forms[i]);
                rows_start(w, 1, "", each);
                rows_set_values(w, 1);
                world_slot(w, "r0", &slot);
                ask = world_ask(w, BT_CTL_SWAP, "r0", NULL, BT_STRATEGY_COLD);
                world_follow_to(&ask, "querying");
                world_kill_hub(w);
                bt_ask_close(&ask);
                world_start_again(w);
                world_slot(w, "r0", &slot);
                assert_int_equal(slot.incarnation, 1); /* it serves, as far as anybody knows */
                world_gate_open(w, "speak");
                world_until(w, "r0", BT_PHASE_RUNNING, 1, &slot);
                fd = rows_connect(w, 0);
                assert_int_equal(probe_number(fd, "value"), 1);
                (void)close(fd);
                world_kill_hub(w);
                assert_true(world_reap_orphans() >= 1);
                (void)snprintf(path, sizeof(path), "%s/speak", w->dir);
                assert_int_equal(unlink(path), 0);
        }
        world_start_again(w);
        world_gate_open(w, "speak");
        world_end(w);
}

#define SCENARIO(name) cmocka_unit_test_setup_teardown(name, world_setup, world_teardown)

int main(void)
{
        const struct CMUnitTest tests[] = {
                SCENARIO(I8_an_answer_to_a_hub_that_was_killed_leaves_nobody_without_service),
                SCENARIO(COLD_1_a_hanging_predecessor_is_dead_before_its_successor_is_started),
                SCENARIO(COLD_2_without_handover_no_state_is_asked_for_or_stored),
                SCENARIO(COLD_3_query_capture_terminate_start_deliver_in_this_order),
                SCENARIO(COLD_6_restore_decides_between_its_own_fresh_state_and_the_given_one),
                SCENARIO(COLD_6_a_child_without_callbacks_is_handed_over_all_the_same),
                SCENARIO(COLD_7_what_is_delivered_leaves_the_store_and_nothing_else_does),
                SCENARIO(COLD_8_a_successor_serves_nobody_before_its_state_is_restored),
                SCENARIO(COLD_8_a_successor_without_a_state_serves_when_it_is_known_to_be_missing),
                SCENARIO(STATE_1_at_a_start_the_others_are_started_while_one_restores),
                SCENARIO(STATE_1_the_hub_does_its_work_while_one_restores),
        };

        return cmocka_run_group_tests_name("rows: cold", tests, NULL, NULL);
}
