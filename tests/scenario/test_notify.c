/* SPDX-License-Identifier: Apache-2.0 */
/* Programs that speak sd_notify (docs/notify.md): a real server that has never heard of libbaton, child_notify.c. */

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "tests/support/events.h"
#include "tests/support/world.h"

#define PROGRAM "child_notify"
#define WORLD_NOTIFY                                                                               \
        "hub: w\n"                                                                                 \
        "sockets:\n"                                                                               \
        "  s: tcp://127.0.0.1:@port@\n"                                                            \
        "children:\n"                                                                              \
        "  n:\n"                                                                                   \
        "    exec: [@bin@/" PROGRAM "]\n"                                                          \
        "    sockets: [s]\n"                                                                       \
        "    protocol: notify\n"                                                                   \
        "    strategy: hot\n"                                                                      \
        "    cwd: '@dir@'\n"

/* One question to whoever serves, on a connection of its own. */
static void ask(const struct world *w, const char *question, char *answer, size_t bytes)
{
        int fd = probe_dial(w);

        probe_say(fd, "%s", question);
        kv_line(fd, answer, bytes);
        (void)close(fd);
}

static void expect(const struct world *w, const char *question, const char *wanted)
{
        char answer[512];

        ask(w, question, answer, sizeof(answer));
        if (strcmp(answer, wanted) != 0)
                fail_msg("'%s': '%s', expected '%s'", question, answer, wanted);
}

static pid_t serving(const struct world *w)
{
        char answer[512];

        ask(w, "pid", answer, sizeof(answer));
        return (pid_t)strtol(answer, NULL, 10);
}

static void a_start_is_over_when_the_program_says_so(void **state)
{
        struct world *w = *state;
        struct bt_slot slot;

        world_configure(w, WORLD_NOTIFY "    env: {NOTIFY_GATE: gate}\n");
        world_start_unready(w);
        world_log_wait(w, "n | waits for gate", 1);
        world_slot(w, "n", &slot);
        assert_int_equal(slot.phase, BT_PHASE_STARTING);
        assert_true(slot.pid > 0);
        world_gate_open(w, "gate");
        world_until(w, "n", BT_PHASE_RUNNING, 0, &slot);
        assert_int_equal(serving(w), slot.pid);
        world_slot(w, "n", &slot);
        assert_string_equal(slot.note, "serving"); /* its STATUS */
        world_end(w);
}

/* Beside the old one, which serves until the new one has said READY=1. */
static void a_hot_swap_starts_the_next_one_beside_it(void **state)
{
        struct world *w = *state;
        struct world_outcome outcome;
        struct bt_slot slot;
        struct bt_ask upgrade;
        char path[256];
        pid_t old;

        world_start(w, WORLD_NOTIFY);
        old = serving(w);
        world_script(w, path, "next", "NOTIFY_GATE=gate", PROGRAM);
        upgrade = world_ask(w, BT_CTL_UPGRADE, "n", path, WORLD_SPEC);
        world_follow_to(&upgrade, "starting");
        assert_int_equal(serving(w), old);
        world_gate_open(w, "gate");
        world_follow(&upgrade, &outcome);
        if (outcome.outcome != BT_CTL_OK)
                fail_msg("%u: %s", outcome.outcome, outcome.text);
        world_until_gone(old); /* by SIGTERM */
        world_slot(w, "n", &slot);
        assert_int_equal(serving(w), slot.pid);
        assert_int_equal(slot.swaps, 1);
        assert_int_equal(slot.limits_hit, 0);
        world_end(w);
}

static void a_next_one_that_is_never_ready_leaves_the_old_one_serving(void **state)
{
        static const struct {
                const char *env;
                uint32_t outcome;
        } rows[] = {{"NOTIFY_EXIT=3", BT_CTL_FAILED}, {"NOTIFY_GATE=never", BT_CTL_TIMED_OUT}};
        struct world *w = *state;
        struct world_outcome outcome;
        char path[256];
        pid_t old;

        world_start(w, WORLD_NOTIFY "    child_migration_timeout: " WORLD_SHORT "\n");
        old = serving(w);
        for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
                w->row = rows[i].env;
                world_script(w, path, "next", rows[i].env, PROGRAM);
                world_migrate(w, "n", path, WORLD_SPEC, &outcome);
                assert_int_equal(outcome.outcome, rows[i].outcome);
                assert_non_null(strstr(outcome.phases, "rolled_back"));
                assert_int_equal(serving(w), old);
        }
        w->row = NULL;
        world_end(w);
}

static void a_cold_swap_waits_for_the_word_too_and_goes_back_without_it(void **state)
{
        struct world *w = *state;
        struct world_outcome outcome;
        char path[256];
        pid_t old;

        world_start(w, WORLD_NOTIFY);
        old = serving(w);
        world_swap(w, "n", PROGRAM, BT_STRATEGY_COLD);
        assert_int_not_equal(serving(w), old);
        world_script(w, path, "next", "NOTIFY_EXIT=3", PROGRAM);
        world_migrate(w, "n", path, BT_STRATEGY_COLD, &outcome);
        assert_int_equal(outcome.outcome, BT_CTL_FAILED);
        assert_true(serving(w) > 0); /* the previous binary again */
        world_end(w);
}

/* What is needed to start may be more than anybody planned for. That time has passed is shown by another child, which has not asked for more. */
static void a_start_may_ask_for_more_time(void **state)
{
        struct world *w = *state;
        struct world_outcome outcome;
        struct bt_ask upgrade;
        char path[256];

        world_start(w, WORLD_NOTIFY "    child_migration_timeout: " WORLD_SHORT "\n"
                                    "  other: {exec: [@bin@/" PROGRAM "], sockets: [s], protocol: notify, strategy: hot, cwd: '@dir@', "
                                    "child_migration_timeout: " WORLD_SHORT "}\n");
        world_script(w, path, "slow", "NOTIFY_EXTEND=1 NOTIFY_GATE=gate", PROGRAM);
        upgrade = world_ask(w, BT_CTL_UPGRADE, "n", path, WORLD_SPEC);
        world_follow_to(&upgrade, "starting");
        world_script(w, path, "mute", "NOTIFY_GATE=never", PROGRAM);
        world_migrate(w, "other", path, WORLD_SPEC, &outcome);
        assert_int_equal(outcome.outcome, BT_CTL_TIMED_OUT);
        world_gate_open(w, "gate");
        world_follow(&upgrade, &outcome);
        assert_int_equal(outcome.outcome, BT_CTL_OK);
        world_end(w);
}

static void stored_descriptors_come_back_to_the_next_process(void **state)
{
        struct world *w = *state;
        struct bt_slot slot;

        world_start(w, WORLD_NOTIFY);
        expect(w, "names", "s");
        expect(w, "store a first", "ok");
        expect(w, "store b second", "ok");
        expect(w, "store a third", "ok"); /* a name may be had twice */
        expect(w, "barrier", "ok");
        world_slot(w, "n", &slot);
        assert_int_equal(kill(slot.pid, SIGKILL), 0);
        world_until(w, "n", BT_PHASE_RUNNING, slot.incarnation, &slot);
        expect(w, "names", "s:a:b:a");
        expect(w, "read 1", "first");
        expect(w, "read 2", "second");
        expect(w, "read 3", "third");
        expect(w, "say FDSTOREREMOVE=1;FDNAME=a", "ok");
        expect(w, "barrier", "ok");
        world_swap(w, "n", PROGRAM, BT_STRATEGY_HOT);
        world_until_drained(w, "n");
        expect(w, "names", "s:b");
        expect(w, "read 1", "second");
        world_end(w);
}

static void stored_descriptors_have_a_bound_that_is_told(void **state)
{
        struct world *w = *state;

        world_start(w, WORLD_NOTIFY);
        for (int i = 0; i < 64; i++)
                expect(w, "store x y", "ok");
        expect(w, "store too-many y", "ok");
        world_log_wait(w, "keeps more than 64 descriptors: 'too-many' was closed", 1);
        expect(w, "store a:b y", "ok");
        world_log_wait(w, "FDNAME is not", 1);
        world_end(w);
}

static void a_silent_process_is_aborted_and_started_again(void **state)
{
        struct world *w = *state;
        struct bt_slot slot;
        char *events;

        world_start(w, WORLD_NOTIFY "    watchdog: " WORLD_SHORT "\n    max_restarts: forever\n");
        world_log_wait(w, "was silent for longer than its watchdog allows and was aborted", 1);
        world_until(w, "n", BT_PHASE_RUNNING, 1, &slot);
        assert_true(slot.restarts > 0);
        events = events_told(w);
        assert_non_null(strstr(events, "n child_ended signal 6"));
        free(events);
        world_end(w);
}

/* The interval is in its environment, it can change it, and ask for the end of it all. */
static void a_process_may_bark_itself(void **state)
{
        struct world *w = *state;
        struct bt_slot slot;
        int fd;

        world_start(w, WORLD_NOTIFY "    watchdog: 1h\n");
        expect(w, "env WATCHDOG_USEC", "3600000000");
        world_slot(w, "n", &slot);
        expect(w, "say WATCHDOG=1", "ok");
        fd = probe_dial(w);
        probe_say(fd, "say WATCHDOG=trigger"); /* whether it can still answer is chance */
        world_log_wait(w, "asked for it by WATCHDOG=trigger and was aborted", 1);
        (void)close(fd);
        world_until(w, "n", BT_PHASE_RUNNING, slot.incarnation, &slot);
        world_slot(w, "n", &slot);
        fd = probe_dial(w);
        probe_say(fd, "say WATCHDOG_USEC=1000"); /* one millisecond, and then nothing */
        world_log_wait(w, "was silent for longer", 1);
        (void)close(fd);
        world_until(w, "n", BT_PHASE_RUNNING, slot.incarnation, &slot);
        world_end(w);
}

static void another_process_may_become_the_main_one(void **state)
{
        struct world *w = *state;
        struct bt_slot before, after;
        char answer[64];

        world_start(w, WORLD_NOTIFY);
        world_slot(w, "n", &before);
        ask(w, "fork", answer, sizeof(answer));
        world_until_gone(before.pid);
        expect(w, "barrier", "ok");
        world_slot(w, "n", &after);
        assert_int_equal(after.pid, strtol(answer, NULL, 10));
        assert_int_equal(after.incarnation, before.incarnation);
        assert_int_equal(after.restarts, 0);
        expect(w, "foreign", "ok");
        world_log_wait(w, "MAINPID=1 is no process of its session", 1);
        assert_int_equal(serving(w), after.pid);
        assert_int_equal(kill(after.pid, SIGKILL), 0);
        assert_int_equal(world_wait(after.pid), 128 + SIGKILL); /* its parent has ended, so it is ours to reap */
        world_until(w, "n", BT_PHASE_RUNNING, before.incarnation, &after);
        assert_int_equal(after.restarts, 1);
        world_end(w);
}

/* As systemd-notify in a shell script does; the speaker is gone before the hub reads. */
static void a_helper_speaks_for_the_process(void **state)
{
        struct world *w = *state;
        struct bt_slot slot;

        world_start(w, WORLD_NOTIFY);
        expect(w, "helper STATUS=told by another;X=y", "ok");
        expect(w, "barrier", "ok");
        world_slot(w, "n", &slot);
        assert_string_equal(slot.note, "told by another");
        world_end(w);
}

static void I6_nonsense_harms_nobody(void **state)
{
        struct world *w = *state;
        struct sockaddr_un addr = {.sun_family = AF_UNIX};
        char long_text[9000], path[512];
        int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
        static const char *const nonsense[] = {
                "", "\n\n\n", "=", "READY", "=1", "READY=2", "MAINPID=99999999999999999999", "MAINPID=-1", "MAINPID=0",
                "WATCHDOG_USEC=x", "EXTEND_TIMEOUT_USEC=18446744073709551615", "FDSTORE=1", "FDSTOREREMOVE=1\nFDNAME=", "STATUS=\033[2J\001",
        };

        world_start(w, WORLD_NOTIFY);
        ask(w, "env NOTIFY_SOCKET", path, sizeof(path));
        (void)snprintf(addr.sun_path, sizeof(addr.sun_path), "%.100s", path);
        for (size_t i = 0; i < sizeof(nonsense) / sizeof(*nonsense); i++)
                assert_int_equal(sendto(fd, nonsense[i], strlen(nonsense[i]), 0, (struct sockaddr *)&addr, sizeof(addr)), strlen(nonsense[i]));
        memset(long_text, 'x', sizeof(long_text));
        assert_int_equal(sendto(fd, long_text, sizeof(long_text), 0, (struct sockaddr *)&addr, sizeof(addr)), sizeof(long_text));
        world_log_wait(w, "a message to NOTIFY_SOCKET was longer than 8192 bytes", 1);
        expect(w, "barrier", "ok");
        assert_false(world_log_has(w, "\033"));
        (void)close(fd);
        world_end(w);
}

static void R23_a_killed_hub_leaves_no_second_copy_and_no_socket(void **state)
{
        struct world *w = *state;
        struct bt_slot slot;

        world_start(w, WORLD_NOTIFY);
        world_slot(w, "n", &slot);
        world_kill_hub(w);
        world_start_again(w);
        assert_int_equal(world_wait(slot.pid), 128 + SIGKILL);
        assert_true(serving(w) > 0);
        world_end(w);
}

#define SCENARIO(name) cmocka_unit_test_setup_teardown(name, world_setup, world_teardown)

int main(void)
{
        const struct CMUnitTest tests[] = {
                SCENARIO(a_start_is_over_when_the_program_says_so),
                SCENARIO(a_hot_swap_starts_the_next_one_beside_it),
                SCENARIO(a_next_one_that_is_never_ready_leaves_the_old_one_serving),
                SCENARIO(a_cold_swap_waits_for_the_word_too_and_goes_back_without_it),
                SCENARIO(a_start_may_ask_for_more_time),
                SCENARIO(stored_descriptors_come_back_to_the_next_process),
                SCENARIO(stored_descriptors_have_a_bound_that_is_told),
                SCENARIO(a_silent_process_is_aborted_and_started_again),
                SCENARIO(a_process_may_bark_itself),
                SCENARIO(another_process_may_become_the_main_one),
                SCENARIO(a_helper_speaks_for_the_process),
                SCENARIO(I6_nonsense_harms_nobody),
                SCENARIO(R23_a_killed_hub_leaves_no_second_copy_and_no_socket),
        };

        return cmocka_run_group_tests_name("notify", tests, NULL, NULL);
}
