/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Hot swaps that go through, on real processes: what clients have before, they have after, on the connection they had.
 *
 * Each test ends with world_end(): the hub stops with 0, nothing is left. Failures of hot swaps are in test_rollback.c, load in test_load.c, blobs and
 * descriptors in test_fds.c.
 */
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "tests/support/world.h"

#define V1 "kv-v1-testing"
#define V2 "kv-v2-testing"

static void swap_to(const struct world *w, const char *program)
{
        world_swap(w, "kv", program, BT_STRATEGY_HOT);
}

static void HOT_1_keys_and_connections_move_between_versions(void **state)
{
        struct world *w = *state;
        struct world_outcome outcome;
        char path[640];
        int fd;

        world_start(w, WORLD_KV);
        fd = kv_dial(w);
        kv_say(fd, "SET name baton\r\n");
        kv_hear(fd, "+OK\r\n");
        assert_int_equal(kv_number(fd, "INCR visits"), 1);

        world_program(w, path, V2);
        world_migrate(w, "kv", path, BT_STRATEGY_HOT, &outcome);
        assert_int_equal(outcome.outcome, BT_CTL_OK);
        assert_string_equal(outcome.phases, "starting ready offered passed restored committed");
        assert_true(outcome.pause_ns > 0 && outcome.pause_ns < outcome.total_ns);
        kv_expect_version(w, "2.0");
        kv_say(fd, "GET name\r\n");
        kv_hear(fd, "$5\r\nbaton\r\n");
        assert_int_equal(kv_number(fd, "INCR visits"), 2);

        swap_to(w, V1);
        kv_expect_version(w, "1.0");
        assert_int_equal(kv_number(fd, "INCR visits"), 3);
        (void)close(fd);
        world_end(w);
}

static void HOT_11_a_half_read_request_is_finished_by_the_successor(void **state)
{
        struct world *w = *state;
        int fd, late;

        world_start(w, WORLD_KV);
        fd = kv_dial(w);
        late = kv_dial(w);
        kv_say(fd, "*3\r\n$3\r\nSET\r\n$4\r\nhalf\r\n$10\r\nabc");
        assert_int_equal(kv_number(late, "INCR n"), 1); /* the server has read what came before this */
        swap_to(w, V2);
        kv_say(fd, "defg");
        swap_to(w, V1);
        kv_say(fd, "hij\r\n");
        kv_hear(fd, "+OK\r\n");
        kv_say(fd, "GET half\r\n");
        kv_hear(fd, "$10\r\nabcdefghij\r\n");
        (void)close(fd);
        (void)close(late);
        world_end(w);
}

/* The whole of the pipe is sent while the predecessor is stopped, so that it waits in the kernel; then the swap begins. */
static void HOT_11_pipelined_requests_are_answered_once_and_in_order(void **state)
{
        struct world *w = *state;
        struct bt_slot slot;
        struct bt_ask ask;
        struct world_outcome outcome;
        char path[640];
        int fd;

        world_start(w, WORLD_KV);
        fd = kv_dial(w);
        assert_int_equal(kv_number(fd, "INCR n"), 1);
        world_slot(w, "kv", &slot);
        assert_int_equal(kill(slot.pid, SIGSTOP), 0);
        world_until_stopped(slot.pid);
        for (int i = 0; i < 100; i++)
                kv_say(fd, "INCR n\r\n");
        world_program(w, path, V2);
        ask = world_ask(w, BT_CTL_UPGRADE, "kv", path, BT_STRATEGY_HOT);
        world_follow_to(&ask, "offered");
        assert_int_equal(kill(slot.pid, SIGCONT), 0);
        world_follow(&ask, &outcome);
        assert_int_equal(outcome.outcome, BT_CTL_OK);
        for (int i = 2; i <= 101; i++)
                kv_hear(fd, ":%d\r\n", i);
        assert_int_equal(kv_number(fd, "INCR n"), 102);
        (void)close(fd);
        world_end(w);
}

static void R10_fifty_idle_connections_live_through_twenty_swaps(void **state)
{
        struct world *w = *state;
        int fds[50];

        world_start(w, WORLD_KV);
        for (int i = 0; i < 50; i++) {
                fds[i] = kv_dial(w);
                kv_say(fds[i], "SET key%d %d\r\n", i, i * 7);
                kv_hear(fds[i], "+OK\r\n");
        }
        for (int round = 0; round < 20; round++) {
                swap_to(w, round % 2 ? V1 : V2);
                /* One in five speaks each round; most are idle for some rounds. */
                for (int i = round % 5; i < 50; i += 5)
                        assert_int_equal(kv_number(fds[i], "INCR rounds") > 0, 1);
        }
        for (int i = 0; i < 50; i++) {
                char value[16];
                int bytes = snprintf(value, sizeof(value), "%d", i * 7);

                kv_say(fds[i], "GET key%d\r\n", i);
                kv_hear(fds[i], "$%d\r\n%s\r\n", bytes, value);
                (void)close(fds[i]);
        }
        world_end(w);
}

static void HOT_12_a_successor_knows_that_it_is_one_and_only_the_process_changes(void **state)
{
        struct world *w = *state;
        struct bt_slot before, after;
        char reason[16];
        int fd;

        world_start(w, WORLD_KV);
        fd = kv_dial(w);
        assert_int_equal(kv_number(fd, "INCR n"), 1);
        world_slot(w, "kv", &before);
        swap_to(w, NULL);
        world_slot(w, "kv", &after);
        assert_true(after.pid != before.pid);
        assert_int_equal(after.incarnation, before.incarnation + 1);
        assert_int_equal(after.swaps, 1);
        assert_int_equal(after.restarts, 0);
        assert_string_equal(after.exec, before.exec);
        kv_expect_version(w, "1.0");
        kv_info(fd, "reason", reason, sizeof(reason));
        assert_string_equal(reason, "hot");
        assert_int_equal(kv_number(fd, "INCR n"), 2);
        (void)close(fd);
        world_end(w);
}

/* R27: what was committed is what is started again, whatever becomes of the file. */
/* Nobody runs beside the predecessor there, so it does not wait until somebody does. */
static void HOT_1_one_processor_is_enough(void **state)
{
        struct world *w = *state;
        cpu_set_t all, one;
        int fd, cpu = 0;

        assert_int_equal(sched_getaffinity(0, sizeof(all), &all), 0);
        while (!CPU_ISSET(cpu, &all))
                cpu++;
        CPU_ZERO(&one);
        CPU_SET(cpu, &one);
        assert_int_equal(sched_setaffinity(0, sizeof(one), &one), 0);
        world_start(w, WORLD_KV);
        assert_int_equal(sched_setaffinity(0, sizeof(all), &all), 0);
        fd = kv_dial(w);
        for (int i = 1; i <= 20; i++) {
                assert_int_equal(kv_number(fd, "INCR n"), i);
                swap_to(w, i % 2 ? V2 : V1);
        }
        assert_int_equal(kv_number(fd, "INCR n"), 21);
        (void)close(fd);
        world_end(w);
}

static void R27_a_restart_runs_the_binary_that_was_upgraded_to(void **state)
{
        struct world *w = *state;
        char copy[640], command[1600];
        struct bt_slot slot;
        char *argv[] = {(char[]){"/bin/sh"}, (char[]){"-c"}, command, NULL};

        world_start(w, WORLD_KV);
        (void)snprintf(copy, sizeof(copy), "%s/kv-new", w->dir);
        (void)snprintf(command, sizeof(command), "cp '%s/%s' '%s'", w->bin, V2, copy);
        assert_int_equal(world_wait(world_spawn(w, argv, "cp.log")), 0);
        swap_to(w, copy);
        assert_int_equal(unlink(copy), 0);
        world_slot(w, "kv", &slot);
        assert_int_equal(kill(slot.pid, SIGKILL), 0);
        world_until(w, "kv", BT_PHASE_RUNNING, slot.incarnation, &slot);
        kv_expect_version(w, "2.0");
        world_end(w);
}

/* Nothing that the hub opens for a swap may stay. Measured after a first few, which set up what is set up once. */
static void I8_two_hundred_swaps_leave_the_hub_as_it_was(void **state)
{
        struct world *w = *state;
        struct bt_slot slot;
        int fd, before;

        world_start(w, WORLD_KV);
        fd = kv_dial(w);
        for (int i = 0; i < 4; i++)
                swap_to(w, i % 2 ? V1 : V2);
        world_until_drained(w, "kv");
        before = world_fd_count(w->pid);
        for (int i = 0; i < 200; i++) {
                swap_to(w, i % 2 ? V1 : V2);
                assert_int_equal(kv_number(fd, "INCR n"), i + 1);
        }
        world_until_drained(w, "kv");
        assert_int_equal(world_fd_count(w->pid), before);
        world_slot(w, "kv", &slot);
        assert_int_equal(slot.swaps, 204);
        assert_int_equal(slot.rollbacks, 0);
        assert_int_equal(slot.restarts, 0);
        (void)close(fd);
        world_end(w);
}

static void HOT_4_a_swap_right_after_a_swap_does_not_wait_for_the_drain(void **state)
{
        struct world *w = *state;
        int fd;

        world_start(w, WORLD_KV);
        fd = kv_dial(w);
        for (int i = 0; i < 10; i++) {
                swap_to(w, V2);
                swap_to(w, V1);
        }
        assert_int_equal(kv_number(fd, "INCR n"), 1);
        (void)close(fd);
        world_end(w);
}

#define SCENARIO(name) cmocka_unit_test_setup_teardown(name, world_setup, world_teardown)

int main(void)
{
        const struct CMUnitTest tests[] = {
                SCENARIO(HOT_1_keys_and_connections_move_between_versions),
                SCENARIO(HOT_11_a_half_read_request_is_finished_by_the_successor),
                SCENARIO(HOT_11_pipelined_requests_are_answered_once_and_in_order),
                SCENARIO(R10_fifty_idle_connections_live_through_twenty_swaps),
                SCENARIO(HOT_12_a_successor_knows_that_it_is_one_and_only_the_process_changes),
                SCENARIO(HOT_1_one_processor_is_enough),
                SCENARIO(R27_a_restart_runs_the_binary_that_was_upgraded_to),
                SCENARIO(I8_two_hundred_swaps_leave_the_hub_as_it_was),
                SCENARIO(HOT_4_a_swap_right_after_a_swap_does_not_wait_for_the_drain),
        };

        return cmocka_run_group_tests_name("hot swap", tests, NULL, NULL);
}
