/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The event stream and the commands at events, on real processes: order and content of what is told (HOOK-1), and hooks that are slow, fail,
 * crash, are many, or leave something behind (HOOK-2, BUG-9, BUG-17).
 *
 * Most tests follow the stream on a connection of their own and wait for the event they need: nothing is guessed by time.
 */
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "supervisor/events.h"
#include "supervisor/hooks.h"
#include "tests/support/command.h"
#include "tests/support/events.h"
#include "tests/support/text.h"

#define V1 "kv-v1-testing"

/* ---- following ---- */

static void next(const struct bt_ask *ask, struct bt_ctl_reply *reply)
{
        int fd = -1;
        int r = bt_ask_reply(ask, reply, &fd);

        if (r)
                fail_msg("no reply from the hub (%d)", r);
        assert_int_equal(fd, -1);
}

/* Reads up to the event @name of @child ("": any) whose text holds @text. */
static void await(const struct bt_ask *ask, const char *name, const char *child, const char *text, struct bt_ctl_reply *reply)
{
        for (;;) {
                next(ask, reply);
                if (reply->kind != BT_CTL_RECORD)
                        fail_msg("the stream ended before %s %s", name, text);
                if (!strcmp(reply->phase, name) && (!*child || !strcmp(reply->child, child)) && strstr(reply->text, text))
                        return;
        }
}

/* ==== the stream ==== */

static void HOOK_1_a_life_is_in_the_stream_in_order_with_times_and_numbers(void **state)
{
        static const char *const expected[][3] = {
                {"child_registered", "kv", ""},
                {"children_starting", "", "1"},
                {"child_starting", "kv", "fresh"},
                {"child_running", "kv", "fresh"},
                {"children_started", "", "1 running, 0 not"},
                {"migration_begun", "kv", "hot: "},
                {"migration_step", "kv", "starting: "},
                {"migration_step", "kv", "ready"},
                {"migration_step", "kv", "offered"},
                {"migration_step", "kv", "restored"},
                {"handover_delivered", "kv", "bytes"},
                {"child_running", "kv", "hot"},
                {"child_pid_changed", "kv", ""},
                {"migration_completed", "kv", "pause "},
                {"predecessor_ended", "kv", "exit 0"},
                {"child_ended", "kv", "signal 9 (Killed)"},
                {"child_restarting", "kv", "in "},
                {"child_starting", "kv", "crash"},
                {"child_running", "kv", "crash"},
                {"shutdown_begun", "", "1 children"},
                {"state_captured", "kv", "bytes"},
                {"states_stored", "", "all"},
                {"child_ended", "kv", "exit 0"},
                {"child_unregistered", "kv", ""},
                {"shutdown_over", "", "kv: state kept"},
        };
        struct world *w = *state;
        struct bt_ctl_reply reply;
        struct bt_slot slot;
        struct bt_ask ask;
        uint64_t sequence = 0, mono = 0;
        size_t step = 0;

        world_start(w, WORLD_KV);
        ask = events_ask(w, BT_CTL_SINCE_OLDEST, true);
        world_swap(w, "kv", V1, BT_STRATEGY_HOT);
        world_until_drained(w, "kv");
        world_slot(w, "kv", &slot);
        assert_int_equal(kill((pid_t)slot.pid, SIGKILL), 0);
        world_until(w, "kv", BT_PHASE_RUNNING, slot.incarnation, &slot);
        world_stop(w);
        for (next(&ask, &reply); reply.kind == BT_CTL_RECORD; next(&ask, &reply)) {
                assert_true(reply.value[0] == ++sequence); /* none lost, none twice */
                assert_true(reply.since_ns >= mono);
                mono = reply.since_ns;
                assert_true(bt_wall_ns() - reply.value[1] < 300 * BT_NS_PER_S);
                if (step < BT_ARRAY_LEN(expected) && !strcmp(reply.phase, expected[step][0]) && !strcmp(reply.child, expected[step][1]) &&
                    strstr(reply.text, expected[step][2]))
                        step++;
        }
        if (step < BT_ARRAY_LEN(expected))
                fail_msg("event %s '%s' did not come in its place", expected[step][0], expected[step][2]);
        assert_int_equal(reply.kind, BT_CTL_DONE);
        assert_string_equal(reply.text, "the hub has stopped");
        world_hang_up(&ask);
        world_end(w);
}

/* Querying, capturing, ending, and only then starting: what is held before it has not begun. */
static void COLD_3_the_order_of_a_cold_swap_is_in_the_stream(void **state)
{
        static const char *const expected[][2] = {
                {"migration_begun", "cold: "},      {"migration_step", "holding: "}, {"migration_step", "held"},
                {"migration_step", "querying"},     {"migration_step", "captured"},
                {"migration_step", "stopping"},     {"migration_step", "stopped"},   {"migration_step", "starting: "},
                {"migration_step", "ready"},        {"migration_step", "restored"},  {"handover_delivered", "bytes"},
                {"child_running", "cold"},          {"child_pid_changed", ""},       {"migration_completed", "pause "},
        };
        struct world *w = *state;
        struct bt_ctl_reply reply;
        struct bt_ask ask;

        world_start(w, WORLD_KV);
        ask = events_ask(w, BT_CTL_SINCE_NOW, true);
        world_swap(w, "kv", V1, BT_STRATEGY_COLD);
        for (size_t i = 0; i < BT_ARRAY_LEN(expected); i++) {
                next(&ask, &reply);
                assert_string_equal(reply.phase, expected[i][0]);
                assert_non_null(strstr(reply.text, expected[i][1]));
        }
        bt_ask_close(&ask);
        world_end(w);
}

static void HOOK_1_a_rollback_is_told_with_its_reason(void **state)
{
        struct world *w = *state;
        struct world_outcome outcome;
        struct bt_ctl_reply reply;
        struct bt_ask ask;

        world_start(w, WORLD_KV);
        ask = events_ask(w, BT_CTL_SINCE_NOW, true);
        world_migrate(w, "kv", "/bin/false", BT_STRATEGY_HOT, &outcome);
        assert_int_equal(outcome.outcome, BT_CTL_FAILED);
        next(&ask, &reply);
        assert_string_equal(reply.phase, "migration_begun"); /* nothing older was sent */
        await(&ask, "migration_failed", "kv", "rolled back: ", &reply);
        assert_non_null(strstr(reply.text, "exit 1"));
        bt_ask_close(&ask);
        world_end(w);
}

static void HOOK_1_a_stored_state_is_told_when_it_is_loaded_and_when_it_is_delivered(void **state)
{
        struct world *w = *state;
        struct bt_ctl_reply reply;
        struct bt_ask ask;

        world_start(w, WORLD_KV);
        world_stop(w);
        world_start_again(w);
        ask = events_ask(w, BT_CTL_SINCE_OLDEST, true);
        await(&ask, "state_loaded", "kv", " bytes", &reply);
        await(&ask, "child_starting", "kv", "reboot", &reply);
        await(&ask, "handover_delivered", "kv", " bytes", &reply);
        await(&ask, "child_running", "kv", "reboot", &reply);
        bt_ask_close(&ask);
        world_end(w);
}

static void HOOK_1_an_adopted_process_is_told(void **state)
{
        struct world *w = *state;
        struct bt_ctl_reply reply;
        struct bt_slot slot;
        struct bt_ask ask;
        char text[64];

        world_start(w, WORLD_KV);
        world_slot(w, "kv", &slot);
        world_kill_hub(w);
        world_start_again(w);
        ask = events_ask(w, BT_CTL_SINCE_OLDEST, true);
        (void)snprintf(text, sizeof(text), "pid %u", (unsigned)slot.pid);
        await(&ask, "child_adopted", "kv", text, &reply);
        assert_true(reply.incarnation == slot.incarnation);
        await(&ask, "child_running", "kv", "", &reply);
        bt_ask_close(&ask);
        world_stop(w);
        assert_int_equal(world_wait((pid_t)slot.pid), 0); /* an orphan of the first hub: ours to reap */
        world_end(w);
}

static void HOOK_1_a_child_that_is_left_alone_or_given_up_is_told(void **state)
{
        struct world *w = *state;
        struct bt_ctl_reply reply;
        struct bt_ask ask;

        world_start(w, "hub: w\n"
                       "children:\n"
                       "  once: {exec: [/bin/true], protocol: plain, restart: temporary}\n"
                       "  never: {exec: [/bin/false], protocol: plain, max_restarts: 0}\n");
        ask = events_ask(w, BT_CTL_SINCE_OLDEST, true);
        await(&ask, "child_stopped", "once", "exit 0", &reply);
        bt_ask_close(&ask);
        ask = events_ask(w, BT_CTL_SINCE_OLDEST, true);
        await(&ask, "child_ended", "never", "exit 1", &reply);
        await(&ask, "child_given_up", "never", "more than 0 restarts", &reply);
        bt_ask_close(&ask);
        world_end(w);
}

#define PROBE                                                                                                                           \
        "hub: w\n"                                                                                                                      \
        "sockets:\n"                                                                                                                    \
        "  probe: tcp://127.0.0.1:@port@\n"                                                                                             \
        "children:\n"                                                                                                                   \
        "  probe:\n"                                                                                                                    \
        "    sockets: [probe]\n"                                                                                                        \
        "    handover: true\n"                                                                                                          \
        "    max_restarts: forever\n"                                                                                                   \
        "    state: {form: blob, max: 4KiB}\n"

static void HOOK_1_a_state_that_is_set_aside_is_told(void **state)
{
        struct world *w = *state;
        struct bt_ctl_reply reply;
        struct bt_ask ask;
        char path[256], yaml[1024];

        world_start(w, PROBE "    exec: [@bin@/child_probe]\n");
        world_stop(w);
        world_script(w, path, "dies", "PROBE_FAIL=crash", "child_probe");
        (void)snprintf(yaml, sizeof(yaml), PROBE "    exec: [%s]\n", path);
        world_start(w, yaml);
        ask = events_ask(w, BT_CTL_SINCE_OLDEST, true);
        await(&ask, "state_loaded", "probe", "", &reply);
        await(&ask, "child_restarting", "probe", "", &reply);
        await(&ask, "state_quarantined", "probe", "", &reply);
        bt_ask_close(&ask);
        world_end(w);
}

static void HOOK_1_the_command_shows_events_and_goes_on_from_a_number(void **state)
{
        static const char *const people[] = {"#1 ", "kv ", "child_registered", "child_running", "incarnation 1, fresh", "children_started", NULL};
        static const char *const json[] = {"{\"event\":\"child_registered\",\"sequence\":1,\"time_ns\":", "\"child\":\"kv\"",
                                           "{\"event\":\"child_running\"", "\"incarnation\":1,\"text\":\"fresh\"}", NULL};
        struct world *w = *state;

        world_start(w, WORLD_KV);
        RUN(0, "", "events", "--since=0");
        text_expect_in_order(said, people);
        RUN(0, "", "events", "--json");
        text_expect_in_order(said, json);
        RUN(0, "", "events", "--since=4");
        expect_unsaid("#3 ");
        expect_said("#4 ");
        RUN(0, "", "events", "--since=now");
        assert_string_equal(said, "");
        RUN(0, "", "events", "--since=99999"); /* of a hub before this one */
        expect_said("#1 ");
        world_end(w);
}

static void HOOK_1_the_command_follows_until_the_hub_ends(void **state)
{
        static const char *const expected[] = {"\"child_running\"", "\"shutdown_begun\"", "\"shutdown_over\"", NULL};
        struct world *w = *state;
        char first[WORLD_TEXT_BYTES];
        pid_t pid;

        world_start(w, WORLD_KV);
        pid = BEGIN("events", "--follow", "--json");
        world_line_wait(w, "said", first, sizeof(first));
        world_stop(w);
        command_finish(w, pid, 0, "");
        text_expect_in_order(said, expected);
        world_end(w);
}

/* Children that, from a moment on, end as soon as they are started: thousands of events in seconds. */
#define CHURNERS 16
#define CHURN                                                                                                                           \
        "hub: w\n"                                                                                                                      \
        "@hooks@"                                                                                                                       \
        "sockets:\n"                                                                                                                    \
        "  redis: tcp://127.0.0.1:@port@\n"                                                                                             \
        "children:\n"                                                                                                                   \
        "  churn:\n"                                                                                                                    \
        "    exec: [./churn]\n"                                                                                                         \
        "    instances: 16\n"                                                                                                           \
        "    protocol: plain\n"                                                                                                         \
        "    max_restarts: forever\n"                                                                                                   \
        "    backoff: {min: 1ms, max: 1ms}\n"                                                                                           \
        "  kv:\n"                                                                                                                       \
        "    exec: [@bin@/kv-v1-testing]\n"                                                                                             \
        "    sockets: [redis]\n"                                                                                                        \
        "    strategy: hot\n"                                                                                                           \
        "    handover: true\n"                                                                                                          \
        "    state: {form: arena, max: 64MiB}\n"

static void churn(struct world *w, const char *hooks)
{
        const char *at = strstr(CHURN, "@hooks@");
        char yaml[2048], id[32];

        (void)snprintf(yaml, sizeof(yaml), "%.*s%s%s", (int)(at - CHURN), CHURN, hooks, at + strlen("@hooks@"));
        world_program_put(w, "churn", "#!/bin/sh\n[ -e @dir@/go ] || exec sleep 1000\n");
        world_start(w, yaml);
        world_program_put(w, "go", "");
        for (int i = 0; i < CHURNERS; i++) {
                struct bt_slot slot;

                (void)snprintf(id, sizeof(id), "churn/%d", i);
                world_slot(w, id, &slot);
                assert_int_equal(kill((pid_t)slot.pid, SIGKILL), 0);
        }
}

static void HOOK_1_a_follower_that_does_not_read_loses_events_visibly_and_blocks_nobody(void **state)
{
        struct world *w = *state;
        struct bt_ctl_reply reply;
        struct bt_ask slow, fast;
        uint64_t expected = 1, lost = 0;
        int fd;

        churn(w, "");
        slow = events_ask(w, BT_CTL_SINCE_OLDEST, true);
        fast = events_ask(w, BT_CTL_SINCE_OLDEST, true);
        do /* far beyond what the slow one's socket and the ring hold together */
                next(&fast, &reply);
        while (reply.value[0] < 2 * BT_EVENTS_KEPT);
        bt_ask_close(&fast);
        world_swap(w, "kv", V1, BT_STRATEGY_HOT);
        fd = kv_dial(w);
        assert_int_equal(kv_number(fd, "INCR n"), 1);
        (void)close(fd);

        while (!lost || expected < 2 * BT_EVENTS_KEPT) {
                next(&slow, &reply);
                assert_int_equal(reply.kind, BT_CTL_RECORD);
                assert_true(reply.value[0] == expected);
                if (!strcmp(reply.phase, "gap")) {
                        assert_true(reply.value[1] > 0);
                        lost += reply.value[1];
                        expected += reply.value[1];
                } else {
                        expected++;
                }
        }
        bt_ask_close(&slow);
        world_end(w);
}

/* ==== commands at events ==== */

#define TELL                                                                                                                            \
        "#!/bin/sh\n"                                                                                                                   \
        "echo \"$1 $BATON_EVENT hub=$BATON_HUB child=$BATON_CHILD pool=$BATON_POOL inc=$BATON_INCARNATION reason=$BATON_REASON "        \
        "seq=$BATON_SEQUENCE time=$BATON_TIME_NS mono=$BATON_MONOTONIC_NS in=$(readlink /proc/self/fd/0)\" >>@dir@/told\n"              \
        "echo printed by $1\n"

static void HOOK_1_commands_run_with_the_event_in_their_environment(void **state)
{
        struct world *w = *state;
        char told[WORLD_TEXT_BYTES];
        struct bt_slot slot;

        world_program_put(w, "tell", TELL);
        world_start(w, "hub: w\n"
                       "on: {shutdown_over: [./tell, the-hub], child_ended: [./tell, any]}\n"
                       "defaults: {on: {child_ended: [./tell, default]}}\n"
                       "children:\n"
                       "  a: {exec: [/bin/sleep, '1000'], protocol: plain, instances: 2, on: {child_ended: [./tell, own]}}\n"
                       "  b: {exec: [/bin/sleep, '1000'], protocol: plain}\n");
        world_slot(w, "a/1", &slot);
        assert_int_equal(kill((pid_t)slot.pid, SIGUSR1), 0);
        world_log_wait(w, "on child_ended a/1 | printed by own", 1);
        world_log_wait(w, "on child_ended a/1 | printed by any", 1);
        world_read(w, "told", told, sizeof(told));
        assert_non_null(strstr(told, "own child_ended hub=w child=a/1 pool=a inc=1 reason=signal 10 (User defined signal 1) seq="));
        assert_non_null(strstr(told, "any child_ended hub=w child=a/1 pool=a inc=1"));
        assert_null(strstr(told, "default"));
        assert_null(strstr(told, "time= "));
        assert_null(strstr(told, "mono= "));
        assert_non_null(strstr(told, "in=/dev/null\n"));
        world_end(w);
        world_read(w, "told", told, sizeof(told));
        assert_non_null(strstr(told, "default child_ended hub=w child=b pool=b"));
        assert_non_null(strstr(told, "the-hub shutdown_over hub=w child= pool= inc=0"));
}

/* Starts something, and writes its pid into the file `left`. */
#define LEAVE "#!/bin/sh\ncd @dir@\nsleep 1000 >/dev/null 2>&1 &\necho $! >left.tmp\nmv left.tmp left\n"

/* After the hub has ended: it was killed, and as an orphan it is ours to reap. */
static void expect_left_was_killed(const struct world *w)
{
        char text[64];
        int status = 0;
        pid_t pid;

        world_line_wait(w, "left", text, sizeof(text));
        pid = (pid_t)strtol(text, NULL, 10);
        assert_true(pid > 1);
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
}

static void HOOK_2_slow_failing_and_crashing_commands_harm_nothing(void **state)
{
        struct world *w = *state;
        struct bt_ctl_reply reply;
        struct bt_slot before, after;
        struct bt_ask ask;
        char yaml[2048];
        int fd;

        world_program_put(w, "slow", LEAVE "exec sleep 1000\n");
        world_program_put(w, "fails", "#!/bin/sh\necho no luck >&2\nexit 7\n");
        world_program_put(w, "crashes", "#!/bin/sh\nkill -SEGV $$\n");
        world_program_put(w, "not_a_program", "#!/no/such/interpreter\n");
        (void)snprintf(yaml, sizeof(yaml),
                       "hook_timeout: " WORLD_SHORT "\n"
                       "on: {migration_begun: [./slow], migration_step: [./fails], handover_delivered: [./crashes], "
                       "migration_completed: [./not_a_program]}\n" WORLD_KV);
        world_start(w, yaml);
        world_slot(w, "kv", &before);
        ask = events_ask(w, BT_CTL_SINCE_OLDEST, true);
        fd = kv_dial(w);
        assert_int_equal(kv_number(fd, "INCR n"), 1);
        world_swap(w, "kv", V1, BT_STRATEGY_HOT);
        assert_int_equal(kv_number(fd, "INCR n"), 2);
        (void)close(fd);
        await(&ask, "hook_failed", "kv", "on migration_step: ", &reply);
        assert_non_null(strstr(reply.text, "/fails: exit 7"));
        bt_ask_close(&ask);
        ask = events_ask(w, BT_CTL_SINCE_OLDEST, true);
        await(&ask, "hook_failed", "kv", "/crashes: signal 11 (Segmentation fault)", &reply);
        bt_ask_close(&ask);
        ask = events_ask(w, BT_CTL_SINCE_OLDEST, true);
        await(&ask, "hook_failed", "kv", "/not_a_program was not run: execute: No such file", &reply);
        bt_ask_close(&ask);
        ask = events_ask(w, BT_CTL_SINCE_OLDEST, true);
        await(&ask, "hook_failed", "kv", "/slow took longer than hook_timeout", &reply);
        bt_ask_close(&ask);
        world_log_wait(w, "on migration_step kv | no luck", 1);
        world_slot(w, "kv", &after);
        assert_int_equal(after.phase, BT_PHASE_RUNNING);
        assert_true(after.swaps == before.swaps + 1 && after.rollbacks == before.rollbacks && after.restarts == before.restarts);
        world_stop(w);
        expect_left_was_killed(w); /* what `slow` had started */
        world_end(w);
}

static void HOOK_2_what_a_command_leaves_in_its_group_ends_with_it(void **state)
{
        struct world *w = *state;
        char pid[64];

        world_program_put(w, "leaves", LEAVE);
        world_start(w, "hub: w\n"
                       "on: {children_started: [./leaves]}\n"
                       "children:\n"
                       "  a: {exec: [/bin/sleep, '1000'], protocol: plain}\n");
        world_line_wait(w, "left", pid, sizeof(pid));
        world_stop(w);
        expect_left_was_killed(w);
        world_end(w);
}

static void HOOK_2_commands_that_find_no_room_are_counted_and_told(void **state)
{
        struct world *w = *state;
        struct bt_ctl_reply reply;
        struct bt_ask ask;
        char text[64];

        churn(w, "hook_timeout: " WORLD_SHORT "\ndefaults: {on: {child_restarting: [/bin/sleep, '1000']}}\n");
        ask = events_ask(w, BT_CTL_SINCE_OLDEST, true);
        (void)snprintf(text, sizeof(text), "commands were not run: %d were waiting already", BT_HOOKS_QUEUED);
        await(&ask, "hook_failed", "", text, &reply);
        bt_ask_close(&ask);
        world_swap(w, "kv", V1, BT_STRATEGY_HOT);
        world_end(w);
}

/* What a hook does at a stop: hangs, and fails. */
static void stop_with_hooks(struct world *w, const char *hooks)
{
        struct bt_ask ask;
        struct bt_ctl_reply reply;
        char yaml[2048];
        int fd;

        (void)snprintf(yaml, sizeof(yaml), "%s" WORLD_KV, hooks);
        world_start(w, yaml);
        fd = kv_dial(w);
        kv_say(fd, "SET name baton\r\n");
        kv_hear(fd, "+OK\r\n");
        (void)close(fd);
        ask = world_ask(w, BT_CTL_STOP, "", NULL, WORLD_SPEC);
        next(&ask, &reply);
        assert_int_equal(reply.kind, BT_CTL_DONE);
        assert_int_equal(reply.outcome, BT_CTL_OK);
        assert_non_null(strstr(reply.text, "kv: state kept"));
        bt_ask_close(&ask);
        world_await_hub(w, 0);
        world_start_again(w);
        fd = kv_dial(w);
        kv_say(fd, "GET name\r\n");
        kv_hear(fd, "$5\r\nbaton\r\n");
        (void)close(fd);
        world_end(w);
}

static void BUG_9_a_command_at_shutdown_does_not_switch_handover_off(void **state)
{
        stop_with_hooks(*state, "on: {shutdown_begun: [/bin/true], state_captured: [/bin/true], shutdown_over: [/bin/true]}\n");
}

static void BUG_17_commands_that_hang_or_fail_at_shutdown_lose_no_state(void **state)
{
        stop_with_hooks(*state, "hook_timeout: " WORLD_SHORT "\n"
                                "on: {shutdown_begun: [/bin/sleep, '1000'], state_captured: [/bin/false], states_stored: [/bin/sleep, '1000'], "
                                "shutdown_over: [/bin/false]}\n");
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, world_setup, world_teardown)
        const struct CMUnitTest tests[] = {
                T(HOOK_1_a_life_is_in_the_stream_in_order_with_times_and_numbers),
                T(COLD_3_the_order_of_a_cold_swap_is_in_the_stream),
                T(HOOK_1_a_rollback_is_told_with_its_reason),
                T(HOOK_1_a_stored_state_is_told_when_it_is_loaded_and_when_it_is_delivered),
                T(HOOK_1_an_adopted_process_is_told),
                T(HOOK_1_a_child_that_is_left_alone_or_given_up_is_told),
                T(HOOK_1_a_state_that_is_set_aside_is_told),
                T(HOOK_1_the_command_shows_events_and_goes_on_from_a_number),
                T(HOOK_1_the_command_follows_until_the_hub_ends),
                T(HOOK_1_a_follower_that_does_not_read_loses_events_visibly_and_blocks_nobody),
                T(HOOK_1_commands_run_with_the_event_in_their_environment),
                T(HOOK_2_slow_failing_and_crashing_commands_harm_nothing),
                T(HOOK_2_what_a_command_leaves_in_its_group_ends_with_it),
                T(HOOK_2_commands_that_find_no_room_are_counted_and_told),
                T(BUG_9_a_command_at_shutdown_does_not_switch_handover_off),
                T(BUG_17_commands_that_hang_or_fail_at_shutdown_lose_no_state),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
