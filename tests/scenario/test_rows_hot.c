/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Rows of docs/conformance.md about the hot swap that need children which can be held in a callback (child_rows.c). Each test carries the id of its row;
 * the rest of HOT is in test_hot_swap.c, test_rollback.c, test_parallel.c, test_load.c and test_fds.c.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "tests/support/events.h"
#include "tests/support/rows.h"
#include "tests/support/text.h"

#define HOT "strategy: hot, handover: true, state: {form: blob, max: 64KiB}, "
#define MANY 10
#define WORLD_SHORT_NS ((WORLD_SLOWNESS == 1 ? 700 : 3000) * BT_NS_PER_MS)

/* A successor that does not come up is no concern of the predecessor's: it is not told. One that does: told, asked, retired, and then it has as long as it needs. */
static void HOT_3_the_predecessor_is_told_of_a_started_successor_and_ends_its_retention_itself(void **state)
{
        static const char *const callbacks[] = {"r0#1 prepare", "r0#1 capture hot", "r0#3 restore hot: 8 bytes", "r0#3 serve", "r0#1 retire",
                                                NULL};
        struct world *w = *state;
        struct world_outcome outcome;
        struct bt_slot before, after;
        char path[256], text[8192];

        rows_start(w, 1, "", HOT "retention: 1h, env: {ROW_TRACE: \"@dir@/trace\", ROW_RETIRE: \"@dir@/drain\"}");
        rows_set_values(w, 1);
        world_slot(w, "r0", &before);
        world_script(w, path, "dies", "BATON_KILL_AT=ready.before", "child_rows");
        world_migrate(w, "r0", path, WORLD_SPEC, &outcome);
        assert_int_equal(outcome.outcome, BT_CTL_FAILED);
        world_read(w, "trace", text, sizeof(text));
        assert_null(strstr(text, "prepare"));
        assert_null(strstr(text, "capture"));

        world_swap(w, "r0", NULL, WORLD_SPEC);
        world_file_wait(w, "trace", "r0#1 retire");
        world_read(w, "trace", text, sizeof(text));
        text_expect_in_order(text, callbacks);
        assert_null(strstr(text, "drained"));
        rows_expect_values(w, 1, 1); /* the successor serves meanwhile */
        world_slot(w, "r0", &after);
        assert_int_equal(after.incarnation, 3);
        assert_int_equal(after.draining, 1);
        assert_true(world_runs(before.pid));
        world_gate_open(w, "drain"); /* an hour is not over */
        world_until_drained(w, "r0");
        world_until_gone(before.pid);
        world_file_wait(w, "trace", "r0#1 drained");
        world_end(w);
}

/* Two callers, one migration: the predecessor is told once. */
static void HOT_3_a_second_request_does_not_tell_the_predecessor_again(void **state)
{
        struct world *w = *state;
        struct world_outcome outcome[2];
        struct bt_ask ask[2];
        struct bt_slot slot;
        char text[8192];

        rows_start(w, 1, "", HOT "env: {ROW_TRACE: \"@dir@/trace\", ROW_CAPTURE: \"@dir@/capture\"}");
        rows_set_values(w, 1);
        ask[0] = world_ask(w, BT_CTL_SWAP, "r0", NULL, WORLD_SPEC);
        world_file_wait(w, "trace", "r0#1 capture");
        ask[1] = world_ask(w, BT_CTL_SWAP, "r0", NULL, WORLD_SPEC);
        world_slot(w, "r0", &slot); /* a request that is answered after the second one was taken */
        world_gate_open(w, "capture");
        for (int i = 0; i < 2; i++) {
                world_follow(&ask[i], &outcome[i]);
                assert_int_equal(outcome[i].outcome, BT_CTL_OK);
        }
        world_read(w, "trace", text, sizeof(text));
        assert_int_equal(text_times(text, "prepare"), 1);
        assert_int_equal(text_times(text, " serve"), 2);
        rows_expect_values(w, 1, 1);
        world_end(w);
}

/*
 * Six predecessors that never say they have drained. Each is killed when its own retention is over, which is never before that: a timer that all
 * share, started with the first, would end the last one early.
 */
static void HOT_4_each_predecessor_has_its_own_retention(void **state)
{
        enum { N = 6 };
        struct world *w = *state;
        uint64_t served_ns[N], ended_ns[N];

        rows_start(w, N, "", HOT "retention: " WORLD_SHORT ", env: {ROW_TRACE: \"@dir@/trace\", ROW_RETIRE: \"@dir@/never\"}");
        rows_set_values(w, N);
        for (int i = 0; i < N; i++) {
                char id[16], retired[32];

                (void)snprintf(id, sizeof(id), "r%d", i);
                (void)snprintf(retired, sizeof(retired), "r%d#1 retire\n", i);
                world_swap(w, id, NULL, WORLD_SPEC);
                world_file_wait(w, "trace", retired); /* time passes between the first and the last */
        }
        for (int i = 0; i < N; i++) {
                char id[16];

                (void)snprintf(id, sizeof(id), "r%d", i);
                world_until_drained(w, id);
                served_ns[i] = events_ns(w, id, "migration_step offered");
                ended_ns[i] = events_ns(w, id, "predecessor_ended");
        }
        /* Each has its whole time from its own offer on. In which order their ends are seen is the kernel's affair, when they are close. */
        for (int i = 0; i < N; i++)
                assert_true(ended_ns[i] - served_ns[i] >= WORLD_SHORT_NS);
        assert_true(served_ns[N - 1] > served_ns[0]);
        rows_expect_values(w, N, 1);
        world_gate_open(w, "never");
        world_end(w);
}

/*
 * Two swaps that stand still are a crowd on two processors. What was replaced meanwhile and has nothing to drain may be told to end a little later than at
 * once, but not when the crowd is over: it may never be.
 */
static void HOT_4_who_has_nothing_to_drain_ends_although_other_swaps_stand_still(void **state)
{
        struct bt_ask asks[2];
        struct world *w = *state;
        char path[256], gate[256];

        rows_start(w, 5, "", HOT "env: {ROW_BARE: '1'}");
        (void)snprintf(gate, sizeof(gate), "ROW_OPEN=%s/go", w->dir);
        world_script(w, path, "waits", gate, "child_rows");
        for (int i = 0; i < 2; i++) {
                char id[16];

                (void)snprintf(id, sizeof(id), "r%d", i);
                asks[i] = world_ask(w, BT_CTL_UPGRADE, id, path, WORLD_SPEC);
                world_follow_to(&asks[i], "starting");
        }
        for (int i = 2; i < 5; i++) {
                char id[16];

                (void)snprintf(id, sizeof(id), "r%d", i);
                world_swap(w, id, NULL, WORLD_SPEC);
                world_until_drained(w, id);
        }
        world_gate_open(w, "go");
        for (int i = 0; i < 2; i++) {
                struct world_outcome outcome;

                world_follow(&asks[i], &outcome);
                assert_int_equal(outcome.outcome, BT_CTL_OK);
        }
        world_until_drained(w, "r0");
        world_until_drained(w, "r1");
        world_end(w);
}

/* None of them ends by itself, and their retention is longer than the test: what ends the oldest is the bound. */
static void R4_more_predecessors_than_may_drain_cost_the_oldest(void **state)
{
        enum { SWAPS = 4, MAY_DRAIN = 2 };
        struct world *w = *state;
        pid_t pids[SWAPS];
        struct bt_slot slot;

        rows_start(w, 1, "", HOT "max_draining: 2, retention: 1h, env: {ROW_TRACE: \"@dir@/trace\", ROW_RETIRE: \"@dir@/gate\"}");
        rows_set_values(w, 1);
        for (int i = 0; i < SWAPS; i++) {
                world_slot(w, "r0", &slot);
                pids[i] = slot.pid;
                world_swap(w, "r0", NULL, WORLD_SPEC);
        }
        for (int i = 0; i < SWAPS - MAY_DRAIN; i++)
                world_until_gone(pids[i]);
        for (int i = SWAPS - MAY_DRAIN; i < SWAPS; i++)
                assert_true(world_runs(pids[i]));
        rows_expect_values(w, 1, 1);
        world_gate_open(w, "gate");
        world_until_drained(w, "r0");
        world_end(w);
}

/* The hub dies when the successor has come so far. Who serves afterwards has all that was acknowledged, and the client is not cut off. */
static void HOT_10_a_hub_killed_in_a_swap_is_followed_by_one_that_finishes_it_or_rolls_it_back(void **state)
{
        static const struct {
                const char *env;     /* of the successor; NULL: it is held in restore() until there is a hub again */
                const char *reached; /* a line of the trace, or NULL: the phase */
                const char *phase;
                long long serves;    /* afterwards: the incarnation */
        } rows[] = {
                {"BATON_STOP_AT=ready.before", NULL, "starting", 1},
                {"BATON_STOP_AT=passed.seen", NULL, "passed", 1},
                {"BATON_STOP_AT=restore.begin", NULL, "passed", 1},
                {"BATON_STOP_AT=restore.done", "r0#2 restored", "", 1},
                {NULL, "r0#2 restore hot", "", 2},
                {"BATON_STOP_AT=serve.done", "r0#2 serve", "", 2}, /* it has said so, and has not rung for it */
        };
        static const char *const forms[] = {HOT, "strategy: hot, handover: true, state: {form: arena, max: 1MiB}, "};
        struct world *w = *state;

        for (size_t i = 0; i < 2 * BT_ARRAY_LEN(rows); i++) {
                char each[512], env[320], path[256], file[256];
                struct bt_slot slot;
                struct bt_ask ask;
                int fd;

                w->row = rows[i / 2].env ? rows[i / 2].env : "held in restore";
                (void)snprintf(each, sizeof(each), "%shandover_data_wait: %s, env: {ROW_TRACE: \"@dir@/trace\"}", forms[i % 2], WORLD_SHORT);
                rows_start(w, 1, "", each);
                rows_set_values(w, 1);
                fd = rows_connect(w, 0);
                assert_int_equal(probe_number(fd, "count"), 2);
                (void)snprintf(env, sizeof(env), "ROW_RESTORE=%s/loaded", w->dir);
                world_script(w, path, "held", rows[i / 2].env ? rows[i / 2].env : env, "child_rows");
                ask = world_ask(w, BT_CTL_UPGRADE, "r0", path, WORLD_SPEC);
                if (rows[i / 2].reached)
                        world_file_wait(w, "trace", rows[i / 2].reached);
                else
                        world_follow_to(&ask, rows[i / 2].phase);
                world_kill_hub(w);
                bt_ask_close(&ask);
                world_gate_open(w, "loaded");
                world_start_again(w);
                if (rows[i / 2].env && rows[i / 2].serves == 2) {
                        world_slot(w, "r0", &slot);
                        world_until_stopped(slot.pid);
                        assert_int_equal(kill(slot.pid, SIGCONT), 0);
                }
                assert_int_equal(probe_number(fd, "count"), 3);
                assert_int_equal(probe_number(fd, "inc"), rows[i / 2].serves);
                world_until(w, "r0", BT_PHASE_RUNNING, 0, &slot);
                assert_int_equal(slot.incarnation, rows[i / 2].serves);
                world_swap(w, "r0", "child_rows", WORLD_SPEC); /* and the next one goes as ever */
                assert_int_equal(probe_number(fd, "count"), 4);
                (void)close(fd);
                world_kill_hub(w); /* the next row begins with nothing */
                assert_true(world_reap_orphans() >= 1);
                (void)snprintf(file, sizeof(file), "%s/loaded", w->dir);
                assert_int_equal(unlink(file), 0);
                (void)snprintf(file, sizeof(file), "%s/trace", w->dir);
                assert_int_equal(unlink(file), 0);
        }
        w->row = NULL;
        world_start_again(w);
        world_end(w);
}

/*
 * What is said in the passage is rung for by the processes' next dispatch(): also when no client ever says a word to them, and long before a
 * deadline, which is an hour away here.
 */
static void HOT_7_idle_processes_tell_the_hub_of_the_passage_without_being_asked(void **state)
{
        struct world *w = *state;
        struct world_outcome outcome;
        struct bt_ask ask;
        char path[256], env[320];

        rows_start(w, 1, "", HOT "handover_data_wait: 1h, env: {ROW_TRACE: \"@dir@/trace\"}");
        world_migrate(w, "r0", NULL, WORLD_SPEC, &outcome);
        assert_int_equal(outcome.outcome, BT_CTL_OK);
        assert_string_equal(outcome.phases, "starting ready offered passed restored committed");
        rows_set_values(w, 1); /* as a blob, it has one from here on */
        (void)snprintf(env, sizeof(env), "ROW_RESTORE=%s/loaded", w->dir);
        world_script(w, path, "held", env, "child_rows");
        ask = world_ask(w, BT_CTL_UPGRADE, "r0", path, WORLD_SPEC);
        world_follow_to(&ask, "passed"); /* its heir has nothing to tell for long */
        world_gate_open(w, "loaded");
        world_follow(&ask, &outcome);
        assert_int_equal(outcome.outcome, BT_CTL_OK);
        rows_expect_values(w, 1, 1);
        world_end(w);
}

/* It serves from its confirmation on, and is not killed for what it does before it comes to its loop: at the deadline the hub looks. */
static void HOT_7_a_successor_that_comes_late_to_its_loop_is_committed_at_the_deadline(void **state)
{
        struct world *w = *state;
        struct world_outcome outcome;
        struct bt_slot slot;
        char path[256], env[320], text[8192];

        rows_start(w, 1, "", HOT "handover_data_wait: " WORLD_SHORT ", env: {ROW_TRACE: \"@dir@/trace\"}");
        (void)snprintf(env, sizeof(env), "ROW_LATE=%s/come", w->dir);
        world_script(w, path, "late", env, "child_rows");
        world_migrate(w, "r0", path, WORLD_SPEC, &outcome);
        if (outcome.outcome != BT_CTL_OK)
                fail_msg("%u after '%s': %s", outcome.outcome, outcome.phases, outcome.text);
        world_until_drained(w, "r0");
        world_gate_open(w, "come");
        world_stop(w);
        world_start_again(w); /* its end was in order: the state came along */
        world_slot(w, "r0", &slot);
        assert_int_equal(slot.restarts, 0);
        world_read(w, "trace", text, sizeof(text));
        assert_non_null(strstr(text, "r0#2 terminated"));
        assert_null(strstr(text, "resume"));
        world_end(w);
}

/* One life with every reason there is. */
static void HOT_12_each_process_is_told_why_it_was_started(void **state)
{
        static const char *const told[] = {"r0#1 restore fresh", "r0#2 restore hot", "r0#3 restore cold", "r0#4 restore crash",
                                           "restore rollback",   "restore reboot",  NULL};
        struct world *w = *state;
        struct world_outcome outcome;
        struct bt_slot slot;
        char path[256], text[8192];

        rows_start(w, 1, "", HOT "env: {ROW_TRACE: \"@dir@/trace\"}");
        rows_set_values(w, 1);
        world_swap(w, "r0", NULL, BT_STRATEGY_HOT);
        world_swap(w, "r0", NULL, BT_STRATEGY_COLD);
        world_slot(w, "r0", &slot);
        assert_int_equal(kill(slot.pid, SIGKILL), 0);
        world_until(w, "r0", BT_PHASE_RUNNING, 3, &slot);
        world_script(w, path, "dies", "BATON_KILL_AT=ready.before", "child_rows");
        world_migrate(w, "r0", path, BT_STRATEGY_COLD, &outcome);
        assert_int_equal(outcome.outcome, BT_CTL_FAILED);
        world_stop(w);
        world_start_again(w);
        world_read(w, "trace", text, sizeof(text));
        text_expect_in_order(text, told);
        world_end(w);
}

/* Before the first deadline is over all ten have been offered to: the waits run side by side. Late answers belong to nobody. */
static void HOT_5_each_answer_belongs_to_its_child_and_the_waits_run_side_by_side(void **state)
{
        static const int mute[] = {3, 7};
        struct world *w = *state;
        struct rows *rows = calloc(1, sizeof(*rows));
        char gate[320], path[256], *late;

        assert_non_null(rows);
        rows_start(w, MANY, "", HOT "handover_data_wait: " WORLD_SHORT);
        (void)snprintf(gate, sizeof(gate), "ROW_CAPTURE=%s/speak", w->dir);
        world_script(w, path, "mute", gate, "child_rows");
        rows_set_values(w, MANY);
        for (size_t i = 0; i < BT_ARRAY_LEN(mute); i++) {
                char id[16];

                (void)snprintf(id, sizeof(id), "r%d", mute[i]);
                world_swap(w, id, path, WORLD_SPEC);
        }
        rows_dial(rows, w, MANY);
        for (size_t i = 0; i < BT_ARRAY_LEN(mute); i++)
                rows->quiet[mute[i]] = true;
        rows_ask_all(rows, BT_CTL_SWAP, NULL, WORLD_SPEC);
        rows_run(rows);
        assert_int_equal(rows_outcomes(rows, BT_CTL_OK), MANY - 2);
        assert_int_equal(rows_outcomes(rows, BT_CTL_TIMED_OUT), 2);
        late = strstr(rows->trace, "too_late");
        assert_non_null(late);
        assert_int_equal(text_times(late, "offered"), 0);
        assert_int_equal(text_times(late, "committed"), 0);
        assert_int_equal(text_times(rows->trace, "offered"), MANY);
        for (size_t i = 0; i < BT_ARRAY_LEN(mute); i++)
                assert_int_equal(rows->done[mute[i]].outcome, BT_CTL_TIMED_OUT);

        /* They speak now, of a migration that is over; they go on with what they have, and the next one is theirs. */
        world_gate_open(w, "speak");
        for (size_t i = 0; i < BT_ARRAY_LEN(mute); i++) {
                rows->quiet[mute[i]] = false;
                assert_int_equal(probe_number(rows->fd[mute[i]], "value"), mute[i] + 1);
        }
        rows_ask_all(rows, BT_CTL_SWAP, NULL, WORLD_SPEC);
        rows_run(rows);
        assert_int_equal(rows_outcomes(rows, BT_CTL_OK), MANY);
        assert_true(rows->answers > 0);
        rows_hang_up(rows);
        free(rows);
        world_end(w);
}

/*
 * The successor has confirmed, and dies together with the hub: only the word knows of it. What the next hub starts in its place has a number of its own,
 * is granted the baton, and has the arena as it was. (It had the dead one's number, was taken for one that had been granted the baton, and waited for ever.)
 */
static void I1_the_number_of_a_successor_that_died_with_the_hub_is_not_given_again(void **state)
{
        struct world *w = *state;
        char env[320], path[256], text[32];
        struct bt_slot slot;
        struct bt_ask ask;
        pid_t pid;
        int fd;

        /* The hub may have read RESTORED before it is killed. Then its predecessor is told to retire, and must not be gone when the next one comes. */
        rows_start(w, 1, "", "strategy: hot, handover: true, state: {form: arena, max: 1MiB}, env: {ROW_TRACE: \"@dir@/trace\", BATON_STOP_AT: retire.begin}");
        rows_set_values(w, 1);
        (void)snprintf(env, sizeof(env), "BATON_STOP_AT=serve.done\necho $$ >%s/pid", w->dir);
        world_script_once(w, path, "dying", env, "child_rows");
        ask = world_ask(w, BT_CTL_UPGRADE, "r0", path, WORLD_SPEC);
        world_file_wait(w, "trace", "r0#2 serve");
        world_read(w, "pid", text, sizeof(text));
        pid = (pid_t)strtol(text, NULL, 10);
        world_until_stopped(pid);
        world_kill_hub(w);
        bt_ask_close(&ask);
        assert_int_equal(kill(pid, SIGKILL), 0);
        assert_int_equal(world_wait(pid), 128 + SIGKILL);
        world_start_again(w);
        world_until(w, "r0", BT_PHASE_RUNNING, 2, &slot);
        assert_int_equal(slot.incarnation, 3);
        fd = rows_connect(w, 0);
        assert_int_equal(probe_number(fd, "value"), 1);
        (void)close(fd);
        world_kill_hub(w); /* what it adopted would be ours to reap */
        assert_true(world_reap_orphans() >= 1);
        world_start_again(w);
        world_end(w);
}

#define SCENARIO(name) cmocka_unit_test_setup_teardown(name, world_setup, world_teardown)

int main(void)
{
        const struct CMUnitTest tests[] = {
                SCENARIO(HOT_3_the_predecessor_is_told_of_a_started_successor_and_ends_its_retention_itself),
                SCENARIO(HOT_3_a_second_request_does_not_tell_the_predecessor_again),
                SCENARIO(HOT_4_each_predecessor_has_its_own_retention),
                SCENARIO(HOT_4_who_has_nothing_to_drain_ends_although_other_swaps_stand_still),
                SCENARIO(R4_more_predecessors_than_may_drain_cost_the_oldest),
                SCENARIO(HOT_10_a_hub_killed_in_a_swap_is_followed_by_one_that_finishes_it_or_rolls_it_back),
                SCENARIO(I1_the_number_of_a_successor_that_died_with_the_hub_is_not_given_again),
                SCENARIO(HOT_7_idle_processes_tell_the_hub_of_the_passage_without_being_asked),
                SCENARIO(HOT_7_a_successor_that_comes_late_to_its_loop_is_committed_at_the_deadline),
                SCENARIO(HOT_12_each_process_is_told_why_it_was_started),
                SCENARIO(HOT_5_each_answer_belongs_to_its_child_and_the_waits_run_side_by_side),
        };

        return cmocka_run_group_tests_name("rows: hot", tests, NULL, NULL);
}
