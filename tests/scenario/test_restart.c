/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Children that end by themselves, and what the hub makes of it: restart or not, how often, how soon, with which state. And the small duties of a
 * supervisor: lines of output with a name in front, patience with a child that does not want to end, programs that know nothing of it.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "tests/support/events.h"
#include "tests/support/text.h"

#define PLAIN(program)                                                                             \
        "hub: w\n"                                                                                 \
        "children:\n"                                                                              \
        "  plain:\n"                                                                               \
        "    exec: " program "\n"                                                                  \
        "    protocol: plain\n"

/* Says @line, which ends it, and waits for the end of the connection. */
static void end_it(const struct world *w, const char *line)
{
        int fd = probe_dial(w);
        char byte;

        probe_say(fd, "%s", line);
        assert_true(recv(fd, &byte, 1, 0) <= 0);
        (void)close(fd);
}

static long long count_once(const struct world *w)
{
        int fd = probe_dial(w);
        long long count = probe_number(fd, "count");

        (void)close(fd);
        return count;
}

static long long reason_of(const struct world *w)
{
        int fd = probe_dial(w);
        long long reason = probe_number(fd, "reason");

        (void)close(fd);
        return reason;
}

/* ---- whether ---- */

static void OTP_1_a_permanent_child_is_restarted_after_any_end(void **state)
{
        struct world *w = *state;
        struct bt_slot slot;

        world_start(w, WORLD_PROBE "    restart: permanent\n    max_restarts: forever\n    backoff: {min: 1ms, max: 2ms}\n");
        end_it(w, "exit 0");
        world_until(w, "probe", BT_PHASE_RUNNING, 1, &slot);
        end_it(w, "exit 3");
        world_until(w, "probe", BT_PHASE_RUNNING, 2, &slot);
        end_it(w, "die");
        world_until(w, "probe", BT_PHASE_RUNNING, 3, &slot);
        assert_int_equal(slot.restarts, 3);
        assert_int_equal(slot.exit_kind, CLD_KILLED);
        assert_int_equal(slot.exit_code, SIGKILL);
        assert_int_equal(reason_of(w), BATON_REASON_CRASH);
        world_end(w);
}

static void OTP_1_a_transient_child_is_restarted_after_an_abnormal_end_only(void **state)
{
        struct world *w = *state;
        struct bt_slot slot;

        world_start(w, WORLD_PROBE "    restart: transient\n");
        end_it(w, "exit 3");
        world_until(w, "probe", BT_PHASE_RUNNING, 1, &slot);
        end_it(w, "exit 0");
        world_until(w, "probe", BT_PHASE_STOPPED, 0, &slot);
        assert_int_equal(slot.restarts, 1);
        assert_int_equal(slot.pid, 0);
        assert_non_null(strstr(slot.note, "exit 0"));
        world_end(w);
}

static void OTP_1_a_temporary_child_is_never_restarted(void **state)
{
        struct world *w = *state;
        struct bt_slot slot;

        world_start(w, WORLD_PROBE "    restart: temporary\n");
        end_it(w, "die");
        world_until(w, "probe", BT_PHASE_STOPPED, 0, &slot);
        assert_int_equal(slot.restarts, 0);
        world_end(w);
}

/* ---- how often, how soon ---- */

static void OTP_3_more_than_max_restarts_within_max_seconds_is_given_up_visibly(void **state)
{
        struct world *w = *state;
        struct bt_slot slot;

        world_start(w, PLAIN("[/bin/false]") "    max_restarts: 3\n    max_seconds: 60s\n    backoff: {min: 1ms, max: 2ms}\n");
        world_until(w, "plain", BT_PHASE_FAILED, 0, &slot);
        assert_int_equal(slot.restarts, 3);
        assert_true(slot.limits_hit >= 1);
        assert_non_null(strstr(slot.note, "given up"));
        assert_true(world_log_has(w, "baton: plain: given up: more than 3 restarts within 60000 ms"));
        world_end(w);
}

/* The first restart is immediate; the second would come in a minute. R2: an upgrade does not wait for it. */
static void OTP_6_a_child_in_back_off_says_so_and_can_be_upgraded_at_once(void **state)
{
        struct world *w = *state;
        struct bt_slot slot;

        world_start(w, WORLD_PROBE "    backoff: {min: 60s, max: 60s}\n    max_restarts: forever\n");
        end_it(w, "die");
        world_until(w, "probe", BT_PHASE_RUNNING, 1, &slot);
        end_it(w, "die");
        world_until(w, "probe", BT_PHASE_BACKOFF, 0, &slot);
        assert_int_equal(slot.pid, 0);
        world_swap(w, "probe", "child_probe", WORLD_SPEC);
        world_slot(w, "probe", &slot);
        assert_int_equal(slot.phase, BT_PHASE_RUNNING);
        assert_int_equal(count_once(w), 1);
        world_end(w);
}

static void OTP_6_a_healthy_time_starts_the_back_off_over(void **state)
{
        struct world *w = *state;
        struct bt_slot slot;

        world_start(w, WORLD_PROBE "    backoff: {min: 60s, max: 60s}\n    healthy: 1ms\n    max_restarts: forever\n");
        for (uint64_t i = 1; i <= 3; i++) {
                uint64_t since = bt_now_ns();

                while (bt_now_ns() - since < 5 * BT_NS_PER_MS) /* healthy is a time, so time must pass */
                        (void)count_once(w);
                end_it(w, "die");
                world_until(w, "probe", BT_PHASE_RUNNING, i, &slot);
        }
        assert_int_equal(slot.restarts, 3);
        world_end(w);
}

/* The first is immediate; then from min on, twice as long each time, up to max, for ever. */
static void OTP_6_the_wait_doubles_up_to_its_cap_and_forever_is_for_ever(void **state)
{
        static const char *const waits[] = {"in 0 ms", "in 1 ms", "in 2 ms", "in 4 ms", "in 5 ms", "in 5 ms", "in 5 ms", NULL};
        struct world *w = *state;
        uint32_t restarts = 0;
        struct bt_slot slot;
        char *told;

        world_start(w, WORLD_PROBE "  plain:\n    exec: [/bin/sleep, '1000']\n    protocol: plain\n    max_restarts: forever\n"
                                   "    backoff: {min: 1ms, max: 5ms}\n");
        for (uint64_t above = 0; restarts < 70; above = slot.incarnation) { /* more than the largest number max_restarts takes */
                world_until(w, "plain", BT_PHASE_RUNNING, above, &slot);
                restarts = (uint32_t)slot.restarts;
                assert_int_equal(kill(slot.pid, SIGKILL), 0);
        }
        told = events_told(w);
        text_expect_in_order(told, waits);
        assert_null(strstr(told, "in 10 ms"));
        free(told);
        world_end(w);
}

/* One that cannot stay up is given up as its spec says, which is shown and told; the hub and the others run. */
static void API_4_a_child_of_the_configuration_that_fails_is_visible_and_the_others_run(void **state)
{
        struct world *w = *state;
        struct bt_slot slot;
        char *told;

        world_start(w, WORLD_PROBE "  bad:\n    exec: [/bin/false]\n    protocol: plain\n    max_restarts: 1\n    backoff: {min: 1ms, max: 2ms}\n"
                                   "  once:\n    exec: [/bin/false]\n    protocol: plain\n    restart: temporary\n");
        world_until(w, "bad", BT_PHASE_FAILED, 0, &slot);
        assert_int_equal(slot.restarts, 1);
        assert_int_equal(slot.exit_code, 1);
        assert_non_null(strstr(slot.note, "given up"));
        world_until(w, "once", BT_PHASE_STOPPED, 0, &slot);
        assert_int_equal(slot.restarts, 0);
        world_slot(w, "probe", &slot);
        assert_int_equal(slot.phase, BT_PHASE_RUNNING);
        assert_int_equal(count_once(w), 1);
        told = events_told(w);
        assert_non_null(strstr(told, "bad child_given_up"));
        assert_non_null(strstr(told, "once child_stopped"));
        free(told);
        world_end(w);
}

/* ---- with which state ---- */

static void STATE_7_an_arena_is_in_place_after_a_crash_outside_a_bracket(void **state)
{
        struct world *w = *state;
        struct bt_slot slot;

        world_start(w, WORLD_PROBE_FORM("arena") "    max_restarts: forever\n");
        for (uint64_t i = 1; i <= 3; i++) {
                assert_int_equal(count_once(w), i);
                end_it(w, "die");
                world_until(w, "probe", BT_PHASE_RUNNING, i, &slot);
        }
        assert_int_equal(count_once(w), 4);
        world_end(w);
}

static void STATE_7_a_torn_arena_is_not_used_again_and_that_is_said(void **state)
{
        struct world *w = *state;
        struct bt_slot slot;

        world_start(w, WORLD_PROBE_FORM("arena"));
        assert_int_equal(count_once(w), 1);
        end_it(w, "torn");
        world_until(w, "probe", BT_PHASE_RUNNING, 1, &slot);
        assert_int_equal(count_once(w), 1);
        assert_true(world_log_has(w, "torn"));
        world_end(w);
}

static void STATE_5_a_blob_child_that_crashed_starts_fresh(void **state)
{
        struct world *w = *state;
        struct bt_slot slot;

        world_start(w, WORLD_PROBE);
        assert_int_equal(count_once(w), 1);
        world_swap(w, "probe", NULL, BT_STRATEGY_HOT);
        assert_int_equal(count_once(w), 2);
        end_it(w, "die");
        world_until(w, "probe", BT_PHASE_RUNNING, 2, &slot);
        assert_int_equal(count_once(w), 1); /* not 3: the blob of the swap is the past */
        assert_int_equal(reason_of(w), BATON_REASON_CRASH);
        world_end(w);
}

static void STATE_6_a_state_that_kills_its_reader_is_set_aside_after_three_tries(void **state)
{
        struct world *w = *state;
        struct bt_slot slot;

        world_start(w, WORLD_PROBE_FORM("arena") "    env: {PROBE_FAIL: crash}\n    max_restarts: forever\n    backoff: {min: 1ms, max: 2ms}\n");
        assert_int_equal(count_once(w), 1);
        end_it(w, "die");
        world_until(w, "probe", BT_PHASE_RUNNING, 4, &slot);
        assert_int_equal(slot.incarnation, 5);
        assert_int_equal(count_once(w), 1);
        assert_true(world_log_has(w, "could not be restored 3 times and was set aside"));
        world_end(w);
}

/* ---- duties ---- */

static void lines_of_output_carry_the_childs_name(void **state)
{
        struct world *w = *state;
        int fd;

        world_start(w, WORLD_PROBE);
        fd = probe_dial(w);
        probe_expect(fd, "ok", "print 1 0 to-stdout");
        probe_expect(fd, "ok", "print 2 0 to-stderr");
        world_log_wait(w, "probe | to-stdout", 1);
        world_log_wait(w, "probe | to-stderr", 1);
        (void)close(fd);
        world_end(w);
}

/* No line of the log is longer than 4 KiB, and none of the output is missing: 3 pieces hold 10000 bytes. */
static void a_long_line_is_cut_and_nothing_of_it_is_lost(void **state)
{
        struct world *w = *state;
        size_t longest = 0, marks = 0;
        char *log = malloc(1 << 16);
        int fd;

        assert_non_null(log);
        world_start(w, WORLD_PROBE);
        fd = probe_dial(w);
        probe_expect(fd, "ok", "print 1 10000 long");
        probe_expect(fd, "ok", "print 1 0 after");
        world_log_wait(w, "probe | after", 1);
        world_read(w, "hub.log", log, 1 << 16);
        for (const char *line = log; *line;) {
                size_t bytes = strcspn(line, "\n");

                assert_true(!strncmp(line, "probe | ", 8) || !strncmp(line, "baton: ", 7));
                longest = bytes > longest ? bytes : longest;
                for (size_t i = 0; i < bytes; i++)
                        marks += line[i] == 'x';
                line += bytes + (line[bytes] == '\n');
        }
        assert_true(longest <= 4096);
        assert_int_equal(marks, 10000 - strlen("long"));
        free(log);
        (void)close(fd);
        world_end(w);
}

/*
 * It writes faster than the hub can: the others must get their turn all the same, and it must end when it is told to. Nobody reads
 * what it says: the log is /dev/null here, so that no disk fills up.
 */
static void I6_a_child_that_never_stops_printing_does_not_hold_up_the_hub(void **state)
{
        struct world *w = *state;
        char path[128];
        int fd;

        (void)snprintf(path, sizeof(path), "%s/hub.log", w->dir);
        assert_int_equal(symlink("/dev/null", path), 0);
        world_start(w, WORLD_PROBE "  noise:\n    exec: [/usr/bin/yes]\n    protocol: plain\n");
        fd = probe_dial(w);
        for (int i = 1; i <= 10; i++) {
                world_swap(w, "probe", NULL, i % 2 ? BT_STRATEGY_HOT : BT_STRATEGY_COLD);
                assert_int_equal(probe_number(fd, "count"), i);
        }
        (void)close(fd);
        world_end(w);
}

static void OTP_4_a_child_that_ignores_its_end_is_killed_after_its_patience(void **state)
{
        struct world *w = *state;
        struct bt_slot slot;

        world_start(w, WORLD_PROBE "    env: {PROBE_IGNORE: '1'}\n    shutdown: " WORLD_SHORT "\n");
        world_slot(w, "probe", &slot);
        world_swap(w, "probe", NULL, BT_STRATEGY_COLD);
        world_until_gone(slot.pid);
        world_slot(w, "probe", &slot);
        world_end(w);
        world_until_gone(slot.pid);
}

static void OTP_4_brutal_kill_does_not_ask(void **state)
{
        struct world *w = *state;
        struct bt_slot slot;

        world_start(w, WORLD_PROBE "    env: {PROBE_IGNORE: '1'}\n    shutdown: brutal_kill\n");
        assert_int_equal(count_once(w), 1);
        world_swap(w, "probe", NULL, BT_STRATEGY_COLD);
        world_until_drained(w, "probe"); /* its death was seen by the mark; how it died comes with its exit */
        world_slot(w, "probe", &slot);
        assert_int_equal(slot.exit_kind, CLD_KILLED);
        assert_int_equal(slot.exit_code, SIGKILL);
        assert_int_equal(count_once(w), 2);
        world_end(w);
}

static void a_plain_program_is_restarted_swapped_cold_and_stopped(void **state)
{
        struct world *w = *state;
        struct world_outcome outcome;
        struct bt_slot slot;

        world_start(w, PLAIN("[/bin/sleep, '1000']"));
        world_slot(w, "plain", &slot);
        assert_int_equal(kill(slot.pid, SIGKILL), 0);
        world_until(w, "plain", BT_PHASE_RUNNING, 1, &slot);
        assert_int_equal(slot.restarts, 1);
        world_migrate(w, "plain", NULL, BT_STRATEGY_HOT, &outcome);
        assert_int_equal(outcome.outcome, BT_CTL_FAILED);
        assert_non_null(strstr(outcome.text, "protocol: plain"));
        world_swap(w, "plain", NULL, BT_STRATEGY_COLD);
        world_until_gone(slot.pid);
        world_slot(w, "plain", &slot);
        assert_int_equal(slot.incarnation, 3);
        assert_true(world_runs(slot.pid));
        world_end(w);
}

#define SCENARIO(name) cmocka_unit_test_setup_teardown(name, world_setup, world_teardown)

int main(void)
{
        const struct CMUnitTest tests[] = {
                SCENARIO(OTP_1_a_permanent_child_is_restarted_after_any_end),
                SCENARIO(OTP_1_a_transient_child_is_restarted_after_an_abnormal_end_only),
                SCENARIO(OTP_1_a_temporary_child_is_never_restarted),
                SCENARIO(OTP_3_more_than_max_restarts_within_max_seconds_is_given_up_visibly),
                SCENARIO(OTP_6_a_child_in_back_off_says_so_and_can_be_upgraded_at_once),
                SCENARIO(OTP_6_a_healthy_time_starts_the_back_off_over),
                SCENARIO(OTP_6_the_wait_doubles_up_to_its_cap_and_forever_is_for_ever),
                SCENARIO(API_4_a_child_of_the_configuration_that_fails_is_visible_and_the_others_run),
                SCENARIO(STATE_5_a_blob_child_that_crashed_starts_fresh),
                SCENARIO(STATE_6_a_state_that_kills_its_reader_is_set_aside_after_three_tries),
                SCENARIO(STATE_7_an_arena_is_in_place_after_a_crash_outside_a_bracket),
                SCENARIO(STATE_7_a_torn_arena_is_not_used_again_and_that_is_said),
                SCENARIO(lines_of_output_carry_the_childs_name),
                SCENARIO(a_long_line_is_cut_and_nothing_of_it_is_lost),
                SCENARIO(I6_a_child_that_never_stops_printing_does_not_hold_up_the_hub),
                SCENARIO(OTP_4_a_child_that_ignores_its_end_is_killed_after_its_patience),
                SCENARIO(OTP_4_brutal_kill_does_not_ask),
                SCENARIO(a_plain_program_is_restarted_swapped_cold_and_stopped),
        };

        return cmocka_run_group_tests_name("restart", tests, NULL, NULL);
}
