/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Descriptors and blobs on their way: kept ones survive crashes and swaps, passed ones all arrive, in any number, or the swap does not happen. And the same
 * child without hand-over, which must start fresh, alone.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "tests/support/world.h"

#define MANY 2000

#define HELLO                                                                                      \
        "hub: w\n"                                                                                 \
        "sockets:\n"                                                                               \
        "  hello: tcp://127.0.0.1:@port@\n"                                                        \
        "children:\n"                                                                              \
        "  hello:\n"                                                                               \
        "    exec: [@bin@/hello-testing]\n"                                                        \
        "    sockets: [hello]\n"                                                                   \
        "    handover: true\n"                                                                     \
        "    state: {form: blob, max: 4KiB}\n"

#define LONG_BLOB                                                                                  \
        "hub: w\n"                                                                                 \
        "sockets:\n"                                                                               \
        "  probe: tcp://127.0.0.1:@port@\n"                                                        \
        "children:\n"                                                                              \
        "  probe:\n"                                                                               \
        "    exec: [@bin@/child_probe]\n"                                                          \
        "    sockets: [probe]\n"                                                                   \
        "    handover: true\n"                                                                     \
        "    env: {PROBE_BYTES: 3000017}\n"                                                        \
        "    state: {form: blob, max: 3MiB}\n"

static void end_it(struct world *w, struct bt_slot *slot)
{
        int fd = probe_dial(w);
        char byte;

        probe_say(fd, "die");
        assert_true(recv(fd, &byte, 1, 0) <= 0);
        (void)close(fd);
        world_until(w, "probe", BT_PHASE_RUNNING, slot->incarnation, slot);
}

static void kept_descriptors_survive_a_crash_and_swaps_of_both_kinds(void **state)
{
        struct world *w = *state;
        struct bt_slot slot;
        int fd;

        world_start(w, WORLD_PROBE);
        fd = probe_dial(w);
        probe_expect(fd, "ok", "keep one first");
        probe_expect(fd, "ok", "keep two second");
        probe_expect(fd, "ok", "keep one replaced");
        probe_expect(fd, "-", "take three");
        (void)close(fd);
        world_slot(w, "probe", &slot);
        end_it(w, &slot);
        fd = probe_dial(w);
        probe_expect(fd, "replaced", "take one");
        world_swap(w, "probe", NULL, BT_STRATEGY_HOT);
        probe_expect(fd, "second", "take two");
        probe_expect(fd, "ok", "drop two");
        world_swap(w, "probe", NULL, BT_STRATEGY_COLD);
        probe_expect(fd, "replaced", "take one");
        probe_expect(fd, "-", "take two");
        probe_expect(fd, "-", "drop two");
        (void)close(fd);
        world_end(w);
}

static void kept_descriptors_have_a_bound_that_is_told(void **state)
{
        struct world *w = *state;
        struct bt_slot slot;
        int fd;

        world_start(w, WORLD_PROBE);
        fd = probe_dial(w);
        for (int i = 0; i < 64; i++)
                probe_expect(fd, "ok", "keep name%d text%d", i, i);
        probe_expect(fd, "No space left on device", "keep more text");
        probe_expect(fd, "ok", "keep name7 other"); /* replacing needs no room */
        (void)close(fd);
        world_slot(w, "probe", &slot);
        end_it(w, &slot);
        fd = probe_dial(w);
        for (int i = 0; i < 64; i++) {
                char text[16];

                (void)snprintf(text, sizeof(text), i == 7 ? "other" : "text%d", i);
                probe_expect(fd, text, "take name%d", i);
        }
        (void)close(fd);
        world_end(w);
}

/* Eight messages each way; in the cold swap the hub holds them all while nobody else does. */
static void two_thousand_descriptors_pass_hot_and_cold(void **state)
{
        struct world *w = *state;
        int fd, before;

        world_start(w, WORLD_PROBE);
        fd = probe_dial(w);
        world_swap(w, "probe", NULL, BT_STRATEGY_COLD);
        world_until_drained(w, "probe");
        before = world_fd_count(w->pid);
        probe_expect(fd, "ok", "open %d", MANY);
        world_swap(w, "probe", NULL, BT_STRATEGY_HOT);
        assert_int_equal(probe_number(fd, "opened"), MANY);
        world_swap(w, "probe", NULL, BT_STRATEGY_COLD);
        assert_int_equal(probe_number(fd, "opened"), MANY);
        world_until_drained(w, "probe");
        assert_int_equal(world_fd_count(w->pid), before);
        (void)close(fd);
        world_end(w);
}

/* Written a piece at a time, summed by both sides as it is written; hot, cold, and with a successor that dies of it. */
static void I9_a_blob_of_megabytes_is_whole_after_swaps_and_one_that_was_called_off(void **state)
{
        struct world *w = *state;
        struct world_outcome outcome;
        char path[256];
        long long count = 0;
        int fd;

        world_start(w, LONG_BLOB);
        fd = probe_dial(w);
        world_script(w, path, "dies", "BATON_KILL_AT=restore.begin", "child_probe");
        for (int i = 0; i < 12; i++) {
                assert_int_equal(probe_number(fd, "count"), ++count);
                if (i % 4 == 3) {
                        world_migrate(w, "probe", path, BT_STRATEGY_HOT, &outcome);
                        assert_int_equal(outcome.outcome, BT_CTL_FAILED);
                }
                world_swap(w, "probe", NULL, i % 4 == 1 ? BT_STRATEGY_COLD : BT_STRATEGY_HOT);
        }
        assert_int_equal(probe_number(fd, "count"), ++count);
        (void)close(fd);
        world_end(w);
}

/* A descriptor that was lost on the way would be a connection that is reset much later: better no swap at all (R9). */
static void a_successor_without_room_for_the_descriptors_refuses_and_nothing_is_lost(void **state)
{
        static const uint32_t strategies[] = {BT_STRATEGY_HOT, BT_STRATEGY_COLD};
        struct world *w = *state;
        struct world_outcome outcome;
        char path[256];
        int fd;

        world_start(w, WORLD_PROBE);
        fd = probe_dial(w);
        probe_expect(fd, "ok", "open %d", MANY);
        /* The hard limit too: it cannot raise that again. */
        world_script(w, path, "narrow", "NARROW=1\nulimit -n 500", "child_probe");
        for (size_t i = 0; i < BT_ARRAY_LEN(strategies); i++) {
                world_migrate(w, "probe", path, strategies[i], &outcome);
                assert_int_equal(outcome.outcome, BT_CTL_FAILED);
                assert_non_null(strstr(outcome.text, "descriptors of the hand-over are missing"));
                assert_int_equal(probe_number(fd, "opened"), MANY);
        }
        world_swap(w, "probe", NULL, BT_STRATEGY_HOT);
        assert_int_equal(probe_number(fd, "opened"), MANY);
        (void)close(fd);
        world_end(w);
}

static long long hello(int fd)
{
        char line[128];

        kv_say(fd, "hi\n");
        kv_line(fd, line, sizeof(line));
        assert_int_equal(strncmp(line, "hello ", 6), 0);
        return strtoll(line + 6, NULL, 10);
}

static void hello_counts_on_over_hot_cold_and_stop(void **state)
{
        struct world *w = *state;
        int fd;

        world_start(w, HELLO);
        fd = kv_dial(w);
        assert_int_equal(hello(fd), 1);
        world_swap(w, "hello", NULL, BT_STRATEGY_HOT);
        assert_int_equal(hello(fd), 2);
        world_swap(w, "hello", NULL, BT_STRATEGY_COLD);
        assert_int_equal(hello(fd), 3);
        (void)close(fd);
        world_stop(w);
        world_start_again(w);
        fd = kv_dial(w);
        assert_int_equal(hello(fd), 4);
        (void)close(fd);
        world_end(w);
}

/* ---- a state that cannot be captured ---- */

static void HOT_7_a_predecessor_that_cannot_capture_goes_on(void **state)
{
        struct world *w = *state;
        struct world_outcome outcome;
        int fd;

        world_start(w, WORLD_PROBE "    env: {PROBE_FAIL: capture}\n");
        fd = probe_dial(w);
        assert_int_equal(probe_number(fd, "count"), 1);
        world_migrate(w, "probe", NULL, BT_STRATEGY_HOT, &outcome);
        assert_int_equal(outcome.outcome, BT_CTL_FAILED);
        assert_non_null(strstr(outcome.text, "could not capture its state"));
        assert_non_null(strstr(outcome.text, "No space left on device"));
        assert_int_equal(probe_number(fd, "count"), 2);
        (void)close(fd);
        world_end(w);
}

static void COLD_4_a_predecessor_that_cannot_capture_is_replaced_without_its_blob(void **state)
{
        struct world *w = *state;
        struct world_outcome outcome;
        int fd;

        world_start(w, WORLD_PROBE "    env: {PROBE_FAIL: capture}\n");
        fd = probe_dial(w);
        assert_int_equal(probe_number(fd, "count"), 1);
        (void)close(fd);
        world_migrate(w, "probe", NULL, BT_STRATEGY_COLD, &outcome);
        assert_int_equal(outcome.outcome, BT_CTL_OK);
        assert_non_null(strstr(outcome.phases, "no_state"));
        fd = probe_dial(w);
        assert_int_equal(probe_number(fd, "count"), 1);
        (void)close(fd);
        world_end(w);
}

/* ---- without hand-over ---- */

static void without_handover(struct world *w, uint32_t strategy)
{
        struct bt_slot before, after;
        int fd;

        world_start(w, "hub: w\n"
                       "sockets:\n"
                       "  probe: tcp://127.0.0.1:@port@\n"
                       "children:\n"
                       "  probe:\n"
                       "    exec: [@bin@/child_probe]\n"
                       "    sockets: [probe]\n"
                       "    state: {form: blob, max: 1MiB}\n");
        fd = probe_dial(w);
        assert_int_equal(probe_number(fd, "count"), 1);
        assert_int_equal(probe_number(fd, "count"), 2);
        (void)close(fd);
        world_slot(w, "probe", &before);
        world_swap(w, "probe", NULL, strategy);
        world_until_drained(w, "probe");
        world_slot(w, "probe", &after);
        assert_int_equal(after.incarnation, before.incarnation + 1);
        assert_false(world_runs(before.pid));
        assert_true(world_runs(after.pid));
        fd = probe_dial(w);
        assert_int_equal(probe_number(fd, "pid"), after.pid);
        assert_int_equal(probe_number(fd, "count"), 1);
        (void)close(fd);
        world_end(w);
}

static void HOT_2_without_handover_the_successor_starts_fresh_and_is_alone_after_the_drain(void **state)
{
        without_handover(*state, BT_STRATEGY_HOT);
}

static void COLD_2_without_handover_the_successor_starts_fresh_and_is_alone(void **state)
{
        without_handover(*state, BT_STRATEGY_COLD);
}

#define SCENARIO(name) cmocka_unit_test_setup_teardown(name, world_setup, world_teardown)

int main(void)
{
        const struct CMUnitTest tests[] = {
                SCENARIO(kept_descriptors_survive_a_crash_and_swaps_of_both_kinds),
                SCENARIO(kept_descriptors_have_a_bound_that_is_told),
                SCENARIO(two_thousand_descriptors_pass_hot_and_cold),
                SCENARIO(I9_a_blob_of_megabytes_is_whole_after_swaps_and_one_that_was_called_off),
                SCENARIO(a_successor_without_room_for_the_descriptors_refuses_and_nothing_is_lost),
                SCENARIO(hello_counts_on_over_hot_cold_and_stop),
                SCENARIO(HOT_7_a_predecessor_that_cannot_capture_goes_on),
                SCENARIO(COLD_4_a_predecessor_that_cannot_capture_is_replaced_without_its_blob),
                SCENARIO(HOT_2_without_handover_the_successor_starts_fresh_and_is_alone_after_the_drain),
                SCENARIO(COLD_2_without_handover_the_successor_starts_fresh_and_is_alone),
        };

        return cmocka_run_group_tests_name("descriptors", tests, NULL, NULL);
}
