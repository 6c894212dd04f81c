/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Swaps under load: real clients, written by others, hammer the server while its process is replaced ten times a second. Not one request may fail, and
 * what was acknowledged must be there (HOT-8).
 *
 * With BATON_LONG in the environment: a million requests, and an arena filled to 1 GiB. Without it each load is sized to take some seconds.
 */
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/fd.h"
#include "tests/support/world.h"

#define V1 "kv-v1-testing"
#define V2 "kv-v2-testing"
#define SWAP_EVERY_MS 100

#define LARGE                                                                                      \
        "hub: w\n"                                                                                 \
        "sockets:\n"                                                                               \
        "  redis: tcp://127.0.0.1:@port@\n"                                                        \
        "children:\n"                                                                              \
        "  kv:\n"                                                                                  \
        "    exec: [@bin@/kv-v1-testing]\n"                                                        \
        "    sockets: [redis]\n"                                                                   \
        "    strategy: hot\n"                                                                      \
        "    handover: true\n"                                                                     \
        "    state: {form: arena, max: 2GiB}\n"

static bool is_long(void)
{
        return getenv("BATON_LONG") != NULL;
}

/* Swaps every SWAP_EVERY_MS until @pid has ended; the wait for its end is the clock. Returns how many. @cold: every so manyth; 0: none. */
static int swap_until_ended(const struct world *w, pid_t pid, int cold)
{
        int pidfd = pidfd_open(pid, 0);
        struct pollfd ended = {.fd = pidfd, .events = POLLIN};
        int swaps = 0;

        assert_true(pidfd >= 0);
        while (poll(&ended, 1, SWAP_EVERY_MS) == 0) {
                world_swap(w, "kv", swaps % 2 ? V1 : V2, cold && swaps % cold == cold - 1 ? BT_STRATEGY_COLD : BT_STRATEGY_HOT);
                swaps++;
        }
        (void)close(pidfd);
        return swaps;
}

/* Lines that redis-benchmark prints over itself, split at carriage returns, none of which may speak of an error. */
static void expect_no_error(const struct world *w, const char *file)
{
        char *text = malloc(4u << 20);

        assert_non_null(text);
        world_read(w, file, text, 4u << 20);
        assert_true(strlen(text) > 0);
        if (strcasestr(text, "error") || strcasestr(text, "refused") || strcasestr(text, "closed") || strcasestr(text, "reset"))
                fail_msg("%.2000s", text);
        free(text);
}

static void benchmark(struct world *w, const char *requests, int cold)
{
        char port[16], count[16];
        char *argv[] = {(char[]){"redis-benchmark"}, (char[]){"-p"}, port, (char[]){"-c"}, (char[]){"50"}, (char[]){"-n"}, count,
                        (char[]){"-t"}, (char[]){"set,get,incr"}, (char[]){"--csv"}, NULL};
        struct bt_slot slot;
        pid_t pid;
        int swaps;

        (void)snprintf(port, sizeof(port), "%d", w->port);
        (void)snprintf(count, sizeof(count), "%s", requests);
        pid = world_spawn(w, argv, "benchmark.out");
        swaps = swap_until_ended(w, pid, cold);
        assert_int_equal(world_wait(pid), 0);
        expect_no_error(w, "benchmark.out");
        world_slot(w, "kv", &slot);
        assert_int_equal(slot.swaps, swaps);
        assert_int_equal(slot.restarts, 0);
        assert_int_equal(slot.rollbacks, 0);
        assert_true(swaps >= 3);
        print_message("             %d swaps under %s requests of each kind\n", swaps, count);
}

static void skip_without_benchmark(const struct world *w)
{
        char *argv[] = {(char[]){"/bin/sh"}, (char[]){"-c"}, (char[]){"command -v redis-benchmark"}, NULL};

        if (!world_wait(world_spawn(w, argv, "which.out")))
                return;
        print_message("             redis-benchmark is not installed (package redis-tools)\n");
        skip();
}

static void HOT_8_redis_benchmark_sees_no_error_while_the_process_is_replaced(void **state)
{
        struct world *w = *state;

        skip_without_benchmark(w);
        world_limit(300 * WORLD_SLOWNESS);
        world_start(w, WORLD_KV);
        benchmark(w, is_long() ? "1000000" : WORLD_SLOWNESS > 1 ? "20000" : "200000", 0);
        world_end(w);
}

static void COLD_11_redis_benchmark_sees_no_error_while_hot_and_cold_swaps_take_turns(void **state)
{
        struct world *w = *state;

        skip_without_benchmark(w);
        world_limit(300 * WORLD_SLOWNESS);
        world_start(w, WORLD_KV);
        benchmark(w, is_long() ? "1000000" : WORLD_SLOWNESS > 1 ? "20000" : "100000", 2);
        world_end(w);
}

/* I10: a state of any size moves without being touched. */
static void I10_a_large_arena_moves_under_load_as_a_small_one_does(void **state)
{
        struct world *w = *state;
        int64_t keys = is_long() ? 1000000 : 50000;
        int fd;

        skip_without_benchmark(w);
        world_limit(600 * WORLD_SLOWNESS);
        world_start(w, LARGE);
        fd = kv_dial(w);
        kv_say(fd, "DEBUG POPULATE %lld fill 1000\r\n", (long long)keys);
        kv_hear(fd, "+OK\r\n");
        assert_int_equal(kv_number(fd, "DBSIZE"), keys);
        benchmark(w, is_long() ? "1000000" : WORLD_SLOWNESS > 1 ? "20000" : "100000", 0);
        assert_true(kv_number(fd, "DBSIZE") >= keys);
        (void)close(fd);
        world_end(w);
}

static void counter(struct world *w, int cold)
{
        char port[16], seconds[16];
        char program[640];
        char *argv[] = {program, (char[]){"--port"}, port, (char[]){"--clients"}, (char[]){"8"}, (char[]){"--short"}, (char[]){"2"},
                        (char[]){"--seconds"}, seconds, NULL};
        char text[WORLD_TEXT_BYTES];
        pid_t pid;
        int status, swaps;

        (void)snprintf(port, sizeof(port), "%d", w->port);
        (void)snprintf(seconds, sizeof(seconds), "%d", is_long() ? 30 : 3);
        world_program(w, program, "kv-load");
        pid = world_spawn(w, argv, "load.out");
        swaps = swap_until_ended(w, pid, cold);
        status = world_wait(pid);
        world_read(w, "load.out", text, sizeof(text));
        if (status)
                fail_msg("kv-load ended with %d: %s", status, text);
        assert_true(swaps >= 3);
        print_message("             %d swaps\n", swaps);
}

/* Half of the load makes a new connection for each request, so the listening socket is busy as well. */
static void HOT_8_every_acknowledged_increment_is_in_the_counter_after_hot_swaps(void **state)
{
        struct world *w = *state;

        world_start(w, WORLD_KV);
        counter(w, 0);
        world_end(w);
}

static void COLD_11_every_acknowledged_increment_is_in_the_counter_after_cold_swaps(void **state)
{
        struct world *w = *state;

        world_start(w, WORLD_KV);
        counter(w, 1);
        world_end(w);
}

/* Failed upgrades between the good ones: a client must not be able to tell which was which. */
static void I4_failing_upgrades_under_load_are_seen_by_no_client(void **state)
{
        static const char *const faults[] = {"BATON_KILL_AT=ready.done", "BATON_KILL_AT=passed.seen", "BATON_KILL_AT=restore.begin",
                                             "BATON_KILL_AT=restore.done", "KV_FAIL=refuse_restore", "KV_FAIL=bad_schema"};
        struct world *w = *state;
        char port[16], program[640], path[256], text[WORLD_TEXT_BYTES];
        char *argv[] = {program, (char[]){"--port"}, port, (char[]){"--clients"}, (char[]){"8"}, (char[]){"--short"}, (char[]){"2"},
                        (char[]){"--seconds"}, (char[]){"60"}, NULL};
        pid_t pid;
        int status;

        world_start(w, WORLD_KV);
        (void)snprintf(port, sizeof(port), "%d", w->port);
        world_program(w, program, "kv-load");
        pid = world_spawn(w, argv, "load.out");
        for (size_t i = 0; i < 10 * BT_ARRAY_LEN(faults); i++) {
                struct world_outcome outcome;

                world_script(w, path, "broken", faults[i % BT_ARRAY_LEN(faults)], V2);
                world_migrate(w, "kv", path, i % 4 == 3 ? BT_STRATEGY_COLD : BT_STRATEGY_HOT, &outcome);
                assert_int_equal(outcome.outcome, BT_CTL_FAILED);
                if (i % 5 == 4)
                        world_swap(w, "kv", i % 2 ? V1 : V2, BT_STRATEGY_HOT);
        }
        assert_int_equal(kill(pid, SIGTERM), 0); /* ends it early, with its summary */
        status = world_wait(pid);
        world_read(w, "load.out", text, sizeof(text));
        if (status)
                fail_msg("kv-load ended with %d: %s", status, text);
        world_end(w);
}

#define SCENARIO(name) cmocka_unit_test_setup_teardown(name, world_setup, world_teardown)

int main(void)
{
        const struct CMUnitTest tests[] = {
                SCENARIO(HOT_8_redis_benchmark_sees_no_error_while_the_process_is_replaced),
                SCENARIO(COLD_11_redis_benchmark_sees_no_error_while_hot_and_cold_swaps_take_turns),
                SCENARIO(I10_a_large_arena_moves_under_load_as_a_small_one_does),
                SCENARIO(HOT_8_every_acknowledged_increment_is_in_the_counter_after_hot_swaps),
                SCENARIO(COLD_11_every_acknowledged_increment_is_in_the_counter_after_cold_swaps),
                SCENARIO(I4_failing_upgrades_under_load_are_seen_by_no_client),
        };

        return cmocka_run_group_tests_name("load", tests, NULL, NULL);
}
