/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What went wrong in the system we learned from when many children move while clients write: the rows BUG of docs/conformance.md, each on tens of processes of
 * one hub. Here a client of each child counts all the while; rows_run() fails when an answer is not the one after the last, which is a write that
 * was acknowledged and lost, a child that answered without its state, or two that answered for one.
 *
 * BATON_LONG=1 swaps those of BUG-1 again and again.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "tests/support/rows.h"
#include "tests/support/seed.h"
#include "tests/support/text.h"

#define BLOB "handover: true, state: {form: blob, max: 2MiB}, "
#define ARENA "handover: true, state: {form: arena, max: 8MiB}, "

/* Dials all, swaps all as the configuration says, and expects all to have moved. @pool: by one request, which takes max_parallel at a time. */
static void swap_all_under_load(struct world *w, int n, int rounds, bool pool)
{
        struct rows *rows = calloc(1, sizeof(*rows));

        assert_non_null(rows);
        rows_dial(rows, w, n);
        for (int i = 0; i < rounds; i++) {
                if (pool)
                        rows_ask_pool(rows, BT_CTL_SWAP, NULL, WORLD_SPEC);
                else
                        rows_ask_all(rows, BT_CTL_SWAP, NULL, WORLD_SPEC);
                rows_run(rows);
                assert_int_equal(rows_outcomes(rows, BT_CTL_OK), pool ? 1 : n);
                assert_int_equal(pool ? (int)rows->done[0].value[0]
                                      : text_times(rows->trace, "committed"),
                                 n);
        }
        assert_true(rows->answers >= (uint64_t)n);
        for (int i = 0; i < n; i++) {
                assert_int_equal(probe_number(rows->fd[i], "inc"), rounds + 1); /* over the connection that it was handed */
                assert_int_equal(probe_number(rows->fd[i], "count"), rows->count[i] + 1);
        }
        rows_hang_up(rows);
        free(rows);
}

static void BUG_1_no_acknowledged_write_is_lost_while_10_and_100_children_are_replaced(void **state)
{
        static const struct {
                int children;
                const char *each;
        } rows[] = {{10, "strategy: hot, " BLOB}, {10, "strategy: hot, " ARENA}, {100, "strategy: hot, " BLOB}, {100, "strategy: cold, " BLOB}};
        struct world *w = *state;

        for (size_t i = 0; i < BT_ARRAY_LEN(rows); i++) {
                w->row = rows[i].each;
                rows_start(w, rows[i].children, "", rows[i].each);
                swap_all_under_load(w, rows[i].children, (int)seed_rounds(1), false);
                world_kill_hub(w); /* the next round begins with nothing */
                assert_true(world_reap_orphans() >= rows[i].children);
        }
        w->row = NULL;
        rows_configure(w, 0, 1, "", BLOB);
        world_start_again(w);
        world_end(w);
}

/* Their sockets are their own, and go along as their connections do. Each has its own number at the end. */
static void BUG_1_no_acknowledged_write_is_lost_while_1000_children_are_replaced(void **state)
{
        enum { N = 1000 };
        struct world *w = *state;

        if (WORLD_SLOWNESS > 1 && !getenv("BATON_LONG"))
                skip(); /* half a minute of sanitizers' starts; the hundred above have the same code */
        world_limit(3 * WORLD_LIMIT_S); /* six seconds, and more than a minute beside fourteen programs that want the processors */
        world_start(w, "hub: w\n"
                       "children:\n"
                       "  r:\n"
                       "    exec: [\"@bin@/child_rows\"]\n"
                       "    instances: 1000\n"
                       "    strategy: hot\n"
                       "    handover: true\n"
                       "    env: {ROW_LISTEN: \"@dir@\"}\n"
                       "    state: {form: blob, max: 4KiB}\n");
        for (int i = 0; i < N; i++) {
                int fd = rows_connect(w, i);

                for (int k = 1; k <= 1 + i % 7; k++)
                        assert_int_equal(probe_number(fd, "count"), k);
                (void)close(fd);
        }
        swap_all_under_load(w, N, 1, true);
        world_end(w);
}

/* All twenty successors are killed when the state is theirs and not confirmed yet. */
static void BUG_2_a_successor_killed_with_the_state_in_its_hands_costs_nothing(void **state)
{
        static const char *const strategies[] = {"strategy: hot, ", "strategy: cold, "};
        enum { N = 20 };
        struct world *w = *state;

        for (size_t s = 0; s < BT_ARRAY_LEN(strategies); s++) {
                struct rows *rows = calloc(1, sizeof(*rows));
                char each[256], path[256];

                assert_non_null(rows);
                (void)snprintf(each, sizeof(each), "%s%s", strategies[s], BLOB);
                rows_start(w, N, "", each);
                world_script(w, path, "dies", "BATON_KILL_AT=restore.done", "child_rows");
                rows_dial(rows, w, N);
                if (s == 1) { /* a cold swap's connections end with the process that was killed */
                        for (int i = 0; i < N; i++)
                                rows->quiet[i] = true, (void)probe_number(rows->fd[i], "count");
                }
                rows_ask_all(rows, BT_CTL_UPGRADE, path, WORLD_SPEC);
                rows_run(rows);
                assert_int_equal(rows_outcomes(rows, BT_CTL_FAILED), N);
                assert_int_equal(text_times(rows->trace, "rolled_back"), N);
                if (s == 0) {
                        for (int i = 0; i < N; i++)
                                assert_int_equal(probe_number(rows->fd[i], "value"), rows->count[i]);
                } else {
                        for (int i = 0; i < N; i++) {
                                int fd = rows_connect(w, i);

                                assert_int_equal(probe_number(fd, "value"), 1);
                                (void)close(fd);
                        }
                }
                rows_hang_up(rows);
                free(rows);
                world_kill_hub(w); /* the next round begins with nothing */
                assert_true(world_reap_orphans() >= N);
        }
        rows_configure(w, 0, 1, "", BLOB);
        world_start_again(w);
        world_end(w);
}

/* On one node: a successor that does not have its 1 MiB yet answers nobody. */
static void BUG_3_nobody_is_answered_by_a_child_without_its_state(void **state)
{
        static const char *const strategies[] = {"strategy: hot, ", "strategy: cold, "};
        struct world *w = *state;

        for (size_t s = 0; s < BT_ARRAY_LEN(strategies); s++) {
                char each[256];

                (void)snprintf(each, sizeof(each), "%s%senv: {ROW_PAD: '1048576'}", strategies[s], BLOB);
                rows_start(w, 10, "", each);
                swap_all_under_load(w, 10, 3, false);
                world_kill_hub(w);
                assert_true(world_reap_orphans() >= 10);
        }
        rows_configure(w, 0, 1, "", BLOB);
        world_start_again(w);
        world_end(w);
}

/* The mute one is told off at its own deadline, when the nineteen have long moved. It goes on when it can speak again. */
static void BUG_4_one_mute_child_of_20_delays_nobody(void **state)
{
        enum { N = 20, MUTE = 7 };
        struct world *w = *state;
        struct rows *rows = calloc(1, sizeof(*rows));
        char gate[320], path[256], *late;

        assert_non_null(rows);
        rows_start(w, N, "", "strategy: hot, handover_data_wait: " WORLD_SHORT ", " BLOB);
        (void)snprintf(gate, sizeof(gate), "ROW_CAPTURE=%s/speak", w->dir);
        world_script(w, path, "mute", gate, "child_rows");
        world_swap(w, "r7", path, WORLD_SPEC);
        rows_dial(rows, w, N);
        rows->quiet[MUTE] = true;
        assert_int_equal(probe_number(rows->fd[MUTE], "count"), 1);
        rows_ask_all(rows, BT_CTL_SWAP, NULL, WORLD_SPEC);
        rows_run(rows);
        assert_int_equal(rows_outcomes(rows, BT_CTL_OK), N - 1);
        assert_int_equal(rows->done[MUTE].outcome, BT_CTL_TIMED_OUT);
        late = strstr(rows->trace, "r7 too_late");
        assert_non_null(late);
        assert_int_equal(text_times(late, "committed"), 0); /* nineteen were through before that */
        world_gate_open(w, "speak");
        assert_int_equal(probe_number(rows->fd[MUTE], "count"), 2);
        rows_hang_up(rows);
        free(rows);
        world_end(w);
}

/* A target that cannot start anything: not an executable, one that ends at once, one that is never ready. */
static void BUG_5_a_target_that_cannot_start_leaves_all_predecessors_serving(void **state)
{
        static const char *const faults[] = {"BATON_EXIT_AT=ready.before", "BATON_KILL_AT=ready.before", "BATON_STOP_AT=ready.before"};
        enum { N = 10 };
        struct world *w = *state;
        struct rows *rows = calloc(1, sizeof(*rows));

        assert_non_null(rows);
        rows_start(w, N, "", "strategy: hot, child_migration_timeout: " WORLD_SHORT ", " BLOB);
        rows_dial(rows, w, N);
        for (size_t i = 0; i < BT_ARRAY_LEN(faults); i++) {
                char path[256];

                w->row = faults[i];
                world_script(w, path, "fails", faults[i], "child_rows");
                rows_ask_all(rows, BT_CTL_UPGRADE, path, WORLD_SPEC);
                rows_run(rows);
                assert_int_equal(rows_outcomes(rows, BT_CTL_OK), 0);
                for (int k = 0; k < N; k++) {
                        assert_true(*rows->done[k].text != '\0'); /* reported */
                        assert_int_equal(probe_number(rows->fd[k], "inc"), 1);
                        assert_int_equal(probe_number(rows->fd[k], "value"), rows->count[k]);
                }
        }
        w->row = NULL;
        rows_hang_up(rows);
        free(rows);
        world_end(w);
}

/* Each retires by itself; no second instance stays. */
static void BUG_6_without_handover_one_of_each_is_left(void **state)
{
        static const char *const strategies[] = {"strategy: hot", "strategy: cold"};
        enum { N = 10 };
        struct world *w = *state;

        for (size_t s = 0; s < BT_ARRAY_LEN(strategies); s++) {
                struct rows *rows = calloc(1, sizeof(*rows));
                pid_t old[N];

                assert_non_null(rows);
                rows_start(w, N, "", strategies[s]);
                rows_dial(rows, w, N);
                for (int i = 0; i < N; i++) {
                        old[i] = (pid_t)probe_number(rows->fd[i], "pid");
                        rows->quiet[i] = true;
                }
                rows_ask_all(rows, BT_CTL_SWAP, NULL, WORLD_SPEC);
                rows_run(rows);
                assert_int_equal(rows_outcomes(rows, BT_CTL_OK), N);
                rows_hang_up(rows);
                for (int i = 0; i < N; i++) {
                        struct bt_slot slot;
                        char id[16];
                        int fd;

                        (void)snprintf(id, sizeof(id), "r%d", i);
                        world_until_drained(w, id);
                        world_until_gone(old[i]);
                        world_slot(w, id, &slot);
                        fd = rows_connect(w, i);
                        assert_int_equal(probe_number(fd, "pid"), slot.pid);
                        (void)close(fd);
                }
                free(rows);
                world_stop(w);
        }
        world_end(w);
}

static void BUG_7_two_mute_children_of_20_cost_the_other_18_nothing_at_a_stop(void **state)
{
        enum { N = 20 };
        static const int mute[] = {4, 11};
        struct world *w = *state;
        struct world_outcome outcome;
        struct bt_ask ask;
        char gate[320], path[256];

        rows_start(w, N, "", "strategy: cold, shutdown: brutal_kill, handover_data_wait: " WORLD_SHORT ", " BLOB);
        (void)snprintf(gate, sizeof(gate), "ROW_CAPTURE=%s/never", w->dir);
        world_script(w, path, "mute", gate, "child_rows");
        for (size_t i = 0; i < BT_ARRAY_LEN(mute); i++) {
                char id[16];

                (void)snprintf(id, sizeof(id), "r%d", mute[i]);
                world_swap(w, id, path, WORLD_SPEC);
        }
        rows_set_values(w, N);
        ask = world_ask(w, BT_CTL_STOP, "", NULL, WORLD_SPEC);
        world_follow(&ask, &outcome);
        assert_int_equal(outcome.outcome, BT_CTL_OK);
        assert_int_equal(text_times(outcome.text, "state kept"), N - 2);
        assert_non_null(strstr(outcome.text, "r4: did not give its state in time"));
        assert_non_null(strstr(outcome.text, "r11: did not give its state in time"));
        world_await_hub(w, 0);
        assert_int_equal(rows_stored(w), N - 2);
        world_start_again(w);
        for (int i = 0; i < N; i++) {
                int fd = rows_connect(w, i);

                assert_int_equal(probe_number(fd, "value"), i == mute[0] || i == mute[1] ? 0 : i + 1);
                (void)close(fd);
        }
        world_end(w);
}

/* Cold: the old process is gone before the new one is there, and the new one never comes. The state is kept until somebody has confirmed it. */
static void BUG_10_children_whose_cold_successors_fail_come_back_with_their_states(void **state)
{
        static const char *const faults[] = {"BATON_KILL_AT=ready.before", "BATON_KILL_AT=restore.begin", "BATON_EXIT_AT=passed.seen"};
        enum { N = 10 };
        struct world *w = *state;
        struct rows *rows = calloc(1, sizeof(*rows));

        assert_non_null(rows);
        rows_start(w, N, "", "strategy: cold, " BLOB);
        rows_set_values(w, N);
        for (size_t i = 0; i < BT_ARRAY_LEN(faults); i++) {
                char path[256];

                w->row = faults[i];
                world_script(w, path, "fails", faults[i], "child_rows");
                rows_dial(rows, w, N);
                for (int k = 0; k < N; k++)
                        rows->quiet[k] = true;
                rows_ask_all(rows, BT_CTL_UPGRADE, path, WORLD_SPEC);
                rows_run(rows);
                assert_int_equal(rows_outcomes(rows, BT_CTL_FAILED), N);
                assert_int_equal(text_times(rows->trace, "rolled_back"), N);
                rows_hang_up(rows);
                rows_expect_values(w, N, 1);
        }
        w->row = NULL;
        free(rows);
        world_end(w);
}

/* terminate() of each returns when all twenty are in it: one after the other would not end at all. */
static void BUG_13_slow_ends_run_side_by_side(void **state)
{
        enum { N = 20 };
        struct world *w = *state;
        char dir[160];

        (void)snprintf(dir, sizeof(dir), "%s/ends", w->dir);
        assert_int_equal(mkdir(dir, 0700), 0);
        rows_start(w, N, "", "shutdown: infinity, env: {ROW_TRACE: \"@dir@/trace\", ROW_TOGETHER: \"20:@dir@/ends\"}, " BLOB);
        rows_set_values(w, N);
        world_stop(w);
        assert_int_equal(rows_stored(w), N);
        {
                char text[16384];

                world_read(w, "trace", text, sizeof(text));
                assert_int_equal(text_times(text, "terminated\n"), N); /* none was killed */
        }
        world_end(w);
}

/* The memory behind the arena of @pid, as the kernel names it: device and inode of the baton's segment. */
static void arena_of(pid_t pid, char out[128])
{
        char path[64], line[512];
        FILE *file;

        (void)snprintf(path, sizeof(path), "/proc/%d/maps", (int)pid);
        file = fopen(path, "re");
        assert_non_null(file);
        out[0] = '\0';
        while (fgets(line, sizeof(line), file)) {
                char range[64], perms[8], device[16];
                unsigned long long off, inode, begin = 0, end = 0;

                /* The kernel's numbers fit. NOLINTBEGIN(cert-err34-c) */
                if (sscanf(line, "%63s %7s %llx %15s %llu", range, perms, &off, device, &inode) != 5 || !strstr(line, "memfd:"))
                        continue;
                if (sscanf(range, "%llx-%llx", &begin, &end) == 2 && end - begin >= 8u << 20)
                        (void)snprintf(out, 128, "%s of %s %llu", range, device, inode);
                /* NOLINTEND(cert-err34-c) */
        }
        (void)fclose(file);
        assert_true(*out);
}

/* The successor has the very pages of its predecessor, at the same address: a state of any size moves in the time of none. */
static void BUG_15_an_arena_is_handed_over_without_a_copy(void **state)
{
        static const uint32_t strategies[] = {BT_STRATEGY_HOT, BT_STRATEGY_COLD};
        enum { N = 50 };
        struct world *w = *state;

        rows_start(w, N, "", ARENA);
        rows_set_values(w, N);
        for (size_t s = 0; s < BT_ARRAY_LEN(strategies); s++) {
                for (int i = 0; i < N; i++) {
                        struct bt_slot before, after;
                        char id[16], here[128], there[128];

                        (void)snprintf(id, sizeof(id), "r%d", i);
                        world_slot(w, id, &before);
                        arena_of(before.pid, here);
                        world_swap(w, id, NULL, strategies[s]);
                        world_slot(w, id, &after);
                        assert_int_not_equal(before.pid, after.pid);
                        arena_of(after.pid, there);
                        assert_string_equal(here, there);
                }
        }
        rows_expect_values(w, N, 1);
        world_end(w);
}

#define SCENARIO(name) cmocka_unit_test_setup_teardown(name, world_setup, world_teardown)

int main(void)
{
        const struct CMUnitTest tests[] = {
                SCENARIO(BUG_1_no_acknowledged_write_is_lost_while_10_and_100_children_are_replaced),
                SCENARIO(BUG_1_no_acknowledged_write_is_lost_while_1000_children_are_replaced),
                SCENARIO(BUG_2_a_successor_killed_with_the_state_in_its_hands_costs_nothing),
                SCENARIO(BUG_3_nobody_is_answered_by_a_child_without_its_state),
                SCENARIO(BUG_4_one_mute_child_of_20_delays_nobody),
                SCENARIO(BUG_5_a_target_that_cannot_start_leaves_all_predecessors_serving),
                SCENARIO(BUG_6_without_handover_one_of_each_is_left),
                SCENARIO(BUG_7_two_mute_children_of_20_cost_the_other_18_nothing_at_a_stop),
                SCENARIO(BUG_10_children_whose_cold_successors_fail_come_back_with_their_states),
                SCENARIO(BUG_13_slow_ends_run_side_by_side),
                SCENARIO(BUG_15_an_arena_is_handed_over_without_a_copy),
        };

        return cmocka_run_group_tests_name("bugs", tests, NULL, NULL);
}
