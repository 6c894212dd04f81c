/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Cold swaps that go through: the predecessor is proved dead before the successor starts, and what clients had waits for it in between: keys in the
 * baton, connections with the hub, new ones in the backlog of the socket, which never closes.
 *
 * Failures of cold swaps are in test_rollback.c.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "tests/support/world.h"

#define V1 "kv-v1-testing"
#define V2 "kv-v2-testing"

static void swap_to(const struct world *w, const char *program)
{
        world_swap(w, "kv", program, BT_STRATEGY_COLD);
}

static void COLD_1_keys_and_connections_move_between_versions(void **state)
{
        struct world *w = *state;
        struct world_outcome outcome;
        struct bt_slot before, after;
        char path[640], reason[16];
        int fd;

        world_start(w, WORLD_KV);
        fd = kv_dial(w);
        kv_say(fd, "SET name baton\r\n");
        kv_hear(fd, "+OK\r\n");
        world_slot(w, "kv", &before);
        world_program(w, path, V2);
        world_migrate(w, "kv", path, BT_STRATEGY_COLD, &outcome);
        assert_int_equal(outcome.outcome, BT_CTL_OK);
        assert_string_equal(outcome.phases, "describing holding held querying captured stopping stopped starting ready restored committed");
        assert_true(outcome.pause_ns > 0 && outcome.pause_ns <= outcome.total_ns);
        kv_say(fd, "GET name\r\n");
        kv_hear(fd, "$5\r\nbaton\r\n");
        kv_info(fd, "kv_version", reason, sizeof(reason));
        assert_string_equal(reason, "2.0");
        kv_info(fd, "reason", reason, sizeof(reason));
        assert_string_equal(reason, "cold");
        world_slot(w, "kv", &after);
        world_until_gone(before.pid);
        assert_int_equal(after.incarnation, before.incarnation + 1);
        assert_int_equal(after.swaps, 1);
        assert_int_equal(after.restarts, 0);
        swap_to(w, V1);
        assert_int_equal(kv_number(fd, "INCR n"), 1);
        kv_expect_version(w, "1.0");
        (void)close(fd);
        world_end(w);
}

static void COLD_11_a_half_read_request_is_finished_by_the_successor(void **state)
{
        struct world *w = *state;
        int fd;

        world_start(w, WORLD_KV);
        fd = kv_dial(w);
        kv_say(fd, "INCR n\r\n*3\r\n$3\r\nSET\r\n$4\r\nhalf\r\n$10\r\nabc");
        kv_hear(fd, ":1\r\n");
        swap_to(w, V2);
        kv_say(fd, "defg");
        swap_to(w, V1);
        kv_say(fd, "hij\r\nGET half\r\n");
        kv_hear(fd, "+OK\r\n$10\r\nabcdefghij\r\n");
        (void)close(fd);
        world_end(w);
}

static void R10_fifty_connections_live_through_ten_swaps(void **state)
{
        struct world *w = *state;
        int fds[50];

        world_start(w, WORLD_KV);
        for (int i = 0; i < 50; i++)
                fds[i] = kv_dial(w);
        for (int round = 0; round < 10; round++) {
                for (int i = 0; i < 50; i++)
                        kv_say(fds[i], "INCR n\r\n");
                swap_to(w, round % 2 ? V1 : V2);
                for (int i = 0; i < 50; i++) {
                        char line[64];

                        kv_line(fds[i], line, sizeof(line));
                        assert_int_equal(line[0], ':');
                }
        }
        assert_int_equal(kv_number(fds[0], "INCR n"), 501);
        for (int i = 0; i < 50; i++)
                (void)close(fds[i]);
        world_end(w);
}

/*
 * No process is there at all while these connect: the old one has ended, the new one is stopped before it could say anything. The kernel completes
 * their connections into the backlog of the socket that the hub holds.
 */
static void COLD_11_connections_made_while_nobody_runs_are_served(void **state)
{
        struct world *w = *state;
        struct world_outcome outcome;
        struct bt_slot old;
        struct bt_ask ask;
        int fds[20], pid;
        char path[256], env[256], text[64];

        world_start(w, WORLD_KV);
        world_slot(w, "kv", &old);
        (void)snprintf(env, sizeof(env), "BATON_STOP_AT=child.attached\necho $$ > %s/slow.pid", w->dir);
        world_script(w, path, "slow", env, V2);
        ask = world_ask(w, BT_CTL_UPGRADE, "kv", path, BT_STRATEGY_COLD);
        world_follow_to(&ask, "starting");
        world_until_gone(old.pid);
        for (int i = 0; i < 20; i++) {
                fds[i] = kv_dial(w);
                kv_say(fds[i], "INCR n\r\n");
        }
        world_line_wait(w, "slow.pid", text, sizeof(text));
        pid = (int)strtol(text, NULL, 10);
        world_until_stopped(pid);
        assert_int_equal(kill(pid, SIGCONT), 0);
        world_follow(&ask, &outcome);
        assert_int_equal(outcome.outcome, BT_CTL_OK);
        for (int i = 0; i < 20; i++) {
                char line[64];

                kv_line(fds[i], line, sizeof(line));
                assert_int_equal(line[0], ':');
        }
        assert_int_equal(kv_number(fds[0], "INCR n"), 21);
        for (int i = 0; i < 20; i++)
                (void)close(fds[i]);
        world_end(w);
}

/* COLD-4: an arena is where it was, also when its holder does not answer. */
static void COLD_4_a_mute_predecessor_does_not_stop_its_migration(void **state)
{
        struct world *w = *state;
        struct world_outcome outcome;
        struct bt_slot slot;
        char path[640];
        int fd;

        world_start(w, WORLD_KV "    state_query_timeout: " WORLD_SHORT "\n    shutdown: " WORLD_SHORT "\n");
        fd = kv_dial(w);
        assert_int_equal(kv_number(fd, "INCR n"), 1);
        world_slot(w, "kv", &slot);
        assert_int_equal(kill(slot.pid, SIGSTOP), 0);
        world_until_stopped(slot.pid);
        world_program(w, path, V2);
        world_migrate(w, "kv", path, BT_STRATEGY_COLD, &outcome);
        assert_int_equal(outcome.outcome, BT_CTL_OK);
        assert_non_null(strstr(outcome.phases, "too_late"));
        assert_non_null(strstr(outcome.phases, "no_state"));
        world_until_gone(slot.pid);
        (void)close(fd);
        fd = kv_dial(w);
        assert_int_equal(kv_number(fd, "INCR n"), 2);
        (void)close(fd);
        world_end(w);
}

static void I8_fifty_swaps_leave_the_hub_as_it_was(void **state)
{
        struct world *w = *state;
        int fd, before;

        world_start(w, WORLD_KV);
        fd = kv_dial(w);
        for (int i = 0; i < 4; i++)
                swap_to(w, i % 2 ? V1 : V2);
        world_until_drained(w, "kv");
        before = world_fd_count(w->pid);
        for (int i = 0; i < 50; i++) {
                world_swap(w, "kv", i % 2 ? V1 : V2, i % 5 ? BT_STRATEGY_COLD : BT_STRATEGY_HOT);
                assert_int_equal(kv_number(fd, "INCR n"), i + 1);
        }
        world_until_drained(w, "kv");
        assert_int_equal(world_fd_count(w->pid), before);
        (void)close(fd);
        world_end(w);
}

/* R2: a child that is down is upgraded by starting it. */
static void R2_a_child_that_is_down_is_started_with_the_new_binary(void **state)
{
        struct world *w = *state;
        struct bt_slot slot;
        int fd;

        world_start(w, WORLD_KV "    restart: temporary\n");
        fd = kv_dial(w);
        assert_int_equal(kv_number(fd, "INCR n"), 1);
        (void)close(fd);
        world_slot(w, "kv", &slot);
        assert_int_equal(kill(slot.pid, SIGKILL), 0);
        world_until(w, "kv", BT_PHASE_STOPPED, 0, &slot);
        world_swap(w, "kv", V2, WORLD_SPEC);
        kv_expect_version(w, "2.0");
        fd = kv_dial(w);
        assert_int_equal(kv_number(fd, "INCR n"), 2);
        (void)close(fd);
        world_end(w);
}

#define SCENARIO(name) cmocka_unit_test_setup_teardown(name, world_setup, world_teardown)

int main(void)
{
        const struct CMUnitTest tests[] = {
                SCENARIO(COLD_1_keys_and_connections_move_between_versions),
                SCENARIO(COLD_11_a_half_read_request_is_finished_by_the_successor),
                SCENARIO(R10_fifty_connections_live_through_ten_swaps),
                SCENARIO(COLD_4_a_mute_predecessor_does_not_stop_its_migration),
                SCENARIO(COLD_11_connections_made_while_nobody_runs_are_served),
                SCENARIO(I8_fifty_swaps_leave_the_hub_as_it_was),
                SCENARIO(R2_a_child_that_is_down_is_started_with_the_new_binary),
        };

        return cmocka_run_group_tests_name("cold swap", tests, NULL, NULL);
}
