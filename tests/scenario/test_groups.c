/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Supervision groups on real processes: who is restarted for whom, in which order and with which state; when a group gives up or shuts down and what
 * follows; what people can do to members and groups. Each member answers by its own id and counts (child_named.c): the count is its state.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#include "base/cleanup.h"
#include "tests/support/command.h"
#include "tests/support/door.h"
#include "tests/support/events.h"
#include "tests/support/seed.h"

#define NAMED(id, more)                                                                            \
        "  " id ": {exec: ['@bin@/child_named'], handover: true, state: {form: blob, max: 4KiB}, " \
        "backoff: {min: 1ms, max: 2ms}, env: {NAMED_PLACE: '@dir@', NAMED_BROKEN: "                \
        "'@dir@/broken-" id "'}" more "}\n"

/* db, api and front in a group, and one that is in none. */
#define WEB(group)                                                                                 \
        "hub: w\n"                                                                                 \
        "groups:\n"                                                                                \
        "  web: {children: [db, api, front], " group "}\n"                                         \
        "children:\n" NAMED("db", "") NAMED("api", "") NAMED("front", "") NAMED("other", "")

/* Until `baton status --json` says @text. */
static void until_status(const struct world *w, const char *text)
{
        struct events events;

        events_follow(&events, w);
        for (RUN(0, "", "status", "--json"); !strstr(said, text); RUN(0, "", "status", "--json"))
                events_next(&events);
        events_end(&events);
}

/* ---- the children ---- */

/* What the child of that id answers; -errno: it does not. */
static int count_of(const struct world *w, const char *id)
{
        char line[128], format[80];
        int r = door_ask(w->dir, id, line, sizeof(line)), count = -1;

        if (r)
                return r;
        (void)snprintf(format, sizeof(format), "%s ", id);
        if (!strncmp(line, format, strlen(format)))
                count = (int)strtol(line + strlen(format), NULL, 10);
        return count;
}

static pid_t pid_of(struct world *w, const char *id)
{
        struct bt_slot slot;

        world_slot(w, id, &slot);
        assert_int_equal(slot.phase, BT_PHASE_RUNNING);
        return slot.pid;
}

static uint64_t inc_of(struct world *w, const char *id)
{
        struct bt_slot slot;

        world_slot(w, id, &slot);
        return slot.incarnation;
}

static void until_down(struct world *w, const char *id, enum bt_phase phase)
{
        struct bt_slot slot;

        world_until(w, id, phase, 0, &slot);
        assert_int_equal(slot.pid, 0);
}

/* It runs again, as an incarnation above @above. */
static void until_again(struct world *w, const char *id, uint64_t above)
{
        struct bt_slot slot;

        world_until(w, id, BT_PHASE_RUNNING, above, &slot);
}

/* ---- strategies ---- */

static void OTP_2_one_for_one_restarts_the_one_that_ended(void **state)
{
        struct world *w = *state;
        pid_t db, front;

        world_start(w, WEB("strategy: one_for_one"));
        db = pid_of(w, "db");
        front = pid_of(w, "front");
        assert_int_equal(kill(pid_of(w, "api"), SIGKILL), 0);
        until_again(w, "api", 1);
        assert_int_equal(pid_of(w, "db"), db);
        assert_int_equal(pid_of(w, "front"), front);
        world_end(w);
}

static void OTP_2_one_for_all_stops_in_reverse_order_and_starts_in_order(void **state)
{
        struct world *w = *state;
        pid_t other;

        world_start(w, WEB("strategy: one_for_all"));
        other = pid_of(w, "other");
        EVENTS_SINCE("children_starting", "db child_running", "api child_starting",
                     "api child_running", "front child_starting", "front child_running",
                     " group_started web");
        assert_int_equal(count_of(w, "db"), 1);
        assert_int_equal(count_of(w, "front"), 1);
        assert_int_equal(count_of(w, "front"), 2);
        assert_int_equal(kill(pid_of(w, "api"), SIGKILL), 0);
        until_again(w, "front", 1);
        EVENTS_SINCE("api child_ended", "api group_restarting web", "front state_captured",
                     "front child_stopped", "db state_captured", "db child_stopped",
                     "db child_starting restart", "db child_running", "api child_starting crash",
                     "api child_running", "front child_starting restart", "front child_running",
                     " group_started web");
        assert_int_equal(count_of(w, "db"),
                         2); /* they did not fail: their states were captured, and restored */
        assert_int_equal(count_of(w, "front"), 3);
        assert_int_equal(pid_of(w, "other"), other);
        world_end(w);
}

static void OTP_2_rest_for_one_restarts_it_and_those_started_after_it(void **state)
{
        struct world *w = *state;
        pid_t db;

        world_start(w, WEB("strategy: rest_for_one"));
        db = pid_of(w, "db");
        assert_int_equal(count_of(w, "front"), 1);
        assert_int_equal(kill(pid_of(w, "api"), SIGKILL), 0);
        until_again(w, "front", 1);
        EVENTS_SINCE("api child_ended", "front child_stopped", "api child_running",
                     "front child_running");
        assert_int_equal(pid_of(w, "db"), db);
        assert_int_equal(count_of(w, "front"), 2);
        assert_int_equal(kill(pid_of(w, "front"), SIGKILL), 0);
        until_again(w, "front", 2);
        assert_int_equal(inc_of(w, "api"), 2);
        assert_int_equal(pid_of(w, "db"), db);
        world_end(w);
}

static void OTP_2_a_pool_counts_as_all_its_instances_and_they_go_side_by_side(void **state)
{
        struct world *w = *state;

        world_start(w, "hub: w\ngroups:\n  web: {strategy: rest_for_one, children: [db, pool, "
                       "front]}\nchildren:\n" NAMED("db", "") NAMED("pool", ", instances: 3")
                               NAMED("front", ""));
        assert_int_equal(count_of(w, "pool/2"), 1);
        assert_int_equal(kill(pid_of(w, "pool/1"), SIGKILL), 0);
        until_again(w, "front", 1);
        assert_int_equal(inc_of(w, "pool/0"), 1);
        assert_int_equal(inc_of(w, "pool/1"), 2);
        assert_int_equal(kill(pid_of(w, "db"), SIGKILL), 0);
        until_again(w, "front", 2);
        EVENTS_SINCE("db child_ended", "front child_stopped", "pool/2 child_stopped",
                     "db child_running", "pool/0 child_running", "front child_running");
        assert_int_equal(count_of(w, "pool/2"), 2);
        world_end(w);
}

/* b fails, and its group has no restart left for it: that is a failure of the group, for which its neighbours are restarted. */
static void OTP_2_a_group_in_a_group_fails_as_its_member(void **state)
{
        struct world *w = *state;
        pid_t other;

        world_start(w,
                    "hub: w\ngroups:\n  outer: {strategy: one_for_all, children: [a, inner, z]}\n"
                    "  inner: {strategy: one_for_one, max_restarts: 0, children: [b, "
                    "c]}\nchildren:\n" NAMED("z", "") NAMED("c", "") NAMED("b", "") NAMED("a", "")
                            NAMED("other", ""));
        other = pid_of(w, "other");
        EVENTS_SINCE("children_starting", "a child_running", "b child_running", "c child_running",
                     " group_started inner", "z child_running", " group_started outer");
        assert_int_equal(count_of(w, "c"), 1);
        assert_int_equal(count_of(w, "z"), 1);
        assert_int_equal(kill(pid_of(w, "b"), SIGKILL), 0);
        until_again(w, "z", 1);
        EVENTS_SINCE("b child_ended", "b child_given_up", "c child_stopped",
                     " group_given_up inner: given up: more than 0 restarts within 5000 ms",
                     "z child_stopped", "a child_stopped", "a child_running", "b child_running",
                     "c child_running", " group_started inner", "z child_running",
                     " group_started outer");
        assert_int_equal(count_of(w, "c"), 2);
        assert_int_equal(count_of(w, "z"), 2);
        assert_int_equal(pid_of(w, "other"), other);
        world_end(w);
}

static void OTP_2_a_first_start_that_fails_stops_those_that_were_started_in_reverse(void **state)
{
        struct world *w = *state;
        struct bt_slot slot;

        world_gate_open(w, "broken-front");
        world_start(w, WEB("strategy: one_for_one, max_restarts: 0"));
        until_status(w, "\"group\":\"web\",\"in\":null,\"state\":\"failed\"");
        EVENTS_SINCE("children_starting", "db child_running", "api child_running",
                     "front child_ended exit 3", "front child_given_up", "api child_stopped",
                     "db child_stopped", " group_given_up web");
        world_slot(w, "front", &slot);
        assert_int_equal(slot.phase, BT_PHASE_FAILED);
        world_slot(w, "db", &slot);
        assert_int_equal(slot.phase, BT_PHASE_STOPPED);
        assert_string_equal(slot.note, "its group web was given up");
        assert_int_equal(count_of(w, "other"), 1);
        world_end(w);
}

/* It may still be tried again, as a whole and in order. */
static void OTP_2_a_first_start_that_failed_is_tried_again_while_there_are_restarts(void **state)
{
        struct world *w = *state;

        world_gate_open(w, "broken-front");
        world_configure(w, WEB("strategy: one_for_one, max_restarts: forever"));
        world_start_unready(w);
        world_log_wait(w, "baton: api: its group web is restarted", 1);
        events_wait(w, "front group_restarting web");
        world_gate_close(w, "broken-front");
        events_wait(w, " group_started web");
        EVENTS_SINCE("front child_ended", "api child_stopped", "db child_stopped",
                     "db child_running", "api child_running", "front child_running");
        world_end(w);
}

/* Where the end of that child is told in what `baton events` printed; the end of the text: nowhere. */
static size_t ended_at(const char *text, const char *id)
{
        size_t bytes = strlen(id);

        for (const char *line = text; *line; line = strchrnul(line, '\n'), line += *line == '\n') {
                const char *at = strstr(line, id), *end = strchrnul(line, '\n'),
                           *what = strstr(line, " child_ended ");

                if (what && what < end && at && at < what && at[-1] == ' ' && at[bytes] == ' ')
                        return (size_t)(line - text);
        }
        return strlen(text);
}

/* The hub ends what is in no group at once, and a group in reverse. */
static void OTP_2_a_stop_of_the_hub_ends_a_group_in_reverse_order(void **state)
{
        struct world *w = *state;
        static const char *const order[] = {"z", "front", "b", "a"};
        const char *begun;
        pid_t follower;

        world_start(w, "hub: w\ngroups:\n  outer: {children: [a, inner, z]}\n  inner: {children: "
                       "[b, front]}\nchildren:\n" NAMED("a", "") NAMED("b", "") NAMED("z", "")
                               NAMED("front", ""));
        follower = BEGIN("events", "--follow");
        world_file_wait(w, "said", " outer\n");
        world_stop(w);
        command_finish(w, follower, 0, "");
        begun = strstr(said, "shutdown_begun");
        assert_non_null(begun);
        for (size_t i = 0; i < BT_ARRAY_LEN(order); i++) {
                size_t at = ended_at(begun, order[i]),
                       next = i + 1 < BT_ARRAY_LEN(order) ? ended_at(begun, order[i + 1])
                                                          : strlen(begun);

                if (at >= next)
                        fail_msg("%s has not ended in its turn:\n%s", order[i], begun);
        }
        world_start_again(w);
        world_end(w);
}

/* ---- the end of a group ---- */

static void OTP_3_a_group_gives_up_and_failed_restarts_count(void **state)
{
        struct world *w = *state;
        struct bt_slot slot;

        world_start(w, WEB("strategy: rest_for_one, max_restarts: 2, max_seconds: 60s"));
        assert_int_equal(count_of(w, "db"), 1);
        assert_int_equal(count_of(w, "front"), 1);
        until_status(w, "\"restarts_left\":2");
        world_gate_open(w, "broken-api");
        assert_int_equal(kill(pid_of(w, "api"), SIGKILL), 0);
        until_down(w, "api", BT_PHASE_FAILED);
        until_status(
                w,
                "\"state\":\"failed\",\"strategy\":\"rest_for_one\",\"restarts\":3,\"restarts_"
                "left\":0,"
                "\"counts\":{\"specs\":3,\"active\":0,\"supervisors\":0,\"workers\":3},"
                "\"note\":\"given up: more than 2 restarts within 60000 ms, the last one of api\"");
        world_slot(w, "api", &slot);
        assert_int_equal(slot.restarts, 2); /* both failed */
        assert_non_null(strstr(slot.note,
                               "its group web was given up: more than 2 restarts within 60000 ms"));
        EVENTS_SINCE("api child_given_up", "db child_stopped its group web was given up",
                     " group_given_up web");
        assert_true(world_log_has(w, "baton: group web: given up: more than 2 restarts within "
                                     "60000 ms, the last one of api"));
        assert_int_equal(count_of(w, "db"), -ECONNREFUSED);
        assert_int_equal(count_of(w, "other"), 1); /* the hub and the others run */
        world_gate_close(w, "broken-api");
        RUN(0, "web: started", "child", "start", "web");
        assert_int_equal(count_of(w, "db"), 2); /* nothing of theirs was lost meanwhile */
        assert_int_equal(count_of(w, "front"), 2);
        world_end(w);
}

static void OTP_3_the_group_around_one_that_gave_up_gives_up_in_its_turn(void **state)
{
        struct world *w = *state;

        world_start(w, "hub: w\ngroups:\n  outer: {strategy: one_for_one, max_restarts: 1, "
                       "max_seconds: 60s, children: [a, inner]}\n"
                       "  inner: {max_restarts: 0, children: [b]}\nchildren:\n" NAMED("a", "")
                               NAMED("b", "") NAMED("other", ""));
        assert_int_equal(kill(pid_of(w, "b"), SIGKILL), 0);
        until_again(w, "b", 1); /* for which the group in it was started anew */
        assert_int_equal(inc_of(w, "a"), 1);
        assert_int_equal(kill(pid_of(w, "b"), SIGKILL), 0);
        until_status(w, "\"group\":\"outer\",\"in\":null,\"state\":\"failed\"");
        EVENTS_SINCE(" group_given_up inner", "a child_stopped",
                     " group_given_up outer: given up: more than 1 restarts within 60000 ms, the "
                     "last one of inner");
        assert_int_equal(count_of(w, "a"), -ECONNREFUSED);
        assert_int_equal(count_of(w, "other"), 1);
        world_end(w);
}

static void OTP_3_the_end_of_the_outermost_group_can_be_that_of_the_hub(void **state)
{
        struct world *w = *state;

        world_start(w, WEB("max_restarts: 0, on_end: stop_hub"));
        assert_int_equal(count_of(w, "front"), 1);
        assert_int_equal(count_of(w, "other"), 1);
        assert_int_equal(kill(pid_of(w, "db"), SIGKILL), 0);
        world_await_hub(w, 1);
        assert_true(world_log_has(w, "group web has ended, and the hub with it"));
        world_start_again(w); /* in order, so all states were kept */
        assert_int_equal(count_of(w, "front"), 2);
        assert_int_equal(count_of(w, "other"), 2);
        world_end(w);
}

#define JOBS(group)                                                                                \
        "hub: w\n"                                                                                 \
        "groups:\n"                                                                                \
        "  jobs: {children: [side, one, two], " group "}\n"                                        \
        "children:\n" NAMED("side", "") NAMED("one", ", restart: transient, significant: true")    \
                NAMED("two", ", restart: temporary, significant: true") NAMED("other", "")

static void OTP_5_any_significant_ends_the_group_with_the_first(void **state)
{
        struct world *w = *state;

        world_start(w, JOBS("auto_shutdown: any_significant"));
        assert_int_equal(kill(pid_of(w, "one"), SIGKILL),
                         0); /* not well, so it is restarted: no end of its own */
        until_again(w, "one", 1);
        assert_int_equal(kill(pid_of(w, "one"), SIGUSR1), 0);
        until_status(w, "\"state\":\"shut\"");
        EVENTS_SINCE("one child_ended exit 0", "one child_stopped", "two child_stopped",
                     "side child_stopped", " group_stopped jobs: auto_shutdown");
        assert_int_equal(count_of(w, "other"), 1);
        RUN(0, "jobs: started", "child", "start", "jobs");
        assert_true(count_of(w, "two") > 0);
        world_end(w);
}

static void OTP_5_all_significant_waits_for_the_last(void **state)
{
        struct world *w = *state;

        world_start(w, JOBS("auto_shutdown: all_significant"));
        assert_int_equal(kill(pid_of(w, "two"), SIGKILL), 0); /* temporary: any end is its own */
        until_down(w, "two", BT_PHASE_STOPPED);
        assert_int_equal(count_of(w, "side"), 1);
        until_status(w, "\"group\":\"jobs\",\"in\":null,\"state\":\"running\"");
        assert_int_equal(kill(pid_of(w, "one"), SIGUSR1), 0);
        until_status(w, "\"state\":\"shut\"");
        assert_int_equal(count_of(w, "side"), -ECONNREFUSED);
        world_end(w);
}

static void OTP_5_ends_that_are_not_their_own_shut_nothing(void **state)
{
        struct world *w = *state;

        world_start(w, JOBS("auto_shutdown: any_significant, strategy: one_for_all"));
        RUN(0, "one: stopped", "child", "stop", "one"); /* by somebody */
        until_status(w, "\"state\":\"running\"");
        assert_int_equal(kill(pid_of(w, "side"), SIGKILL),
                         0); /* two is stopped by the group, and being temporary stays down */
        until_again(w, "side", 1);
        until_down(w, "two", BT_PHASE_STOPPED);
        until_status(w, "\"state\":\"running\"");
        assert_true(count_of(w, "side") > 0);
        until_down(w, "one", BT_PHASE_STOPPED); /* and was not restarted with the group */
        world_end(w);
}

static void OTP_5_never_shuts_nothing(void **state)
{
        struct world *w = *state;

        world_start(w, "hub: w\ngroups:\n  jobs: {children: [side, one]}\nchildren:\n" NAMED(
                               "side", "") NAMED("one", ", restart: transient"));
        assert_int_equal(kill(pid_of(w, "one"), SIGUSR1), 0);
        until_down(w, "one", BT_PHASE_STOPPED);
        until_status(w, "\"state\":\"running\"");
        assert_int_equal(count_of(w, "side"), 1);
        world_end(w);
}

/* A group in a group that has shut itself down has ended well, and goes up as a significant member. */
static void OTP_5_a_significant_group_ends_the_one_around_it_and_the_hub(void **state)
{
        struct world *w = *state;

        world_start(w, "hub: w\ngroups:\n  outer: {auto_shutdown: any_significant, on_end: "
                       "stop_hub, children: [a, inner]}\n"
                       "  inner: {auto_shutdown: all_significant, restart: transient, significant: "
                       "true, children: [job]}\nchildren:\n" NAMED("a", "")
                               NAMED("job", ", restart: transient, significant: true"));
        assert_int_equal(kill(pid_of(w, "job"), SIGUSR1), 0);
        world_await_hub(w, 0); /* the work is done */
        world_start_again(w);
        world_end(w);
}

/* ---- what people do ---- */

static void OTP_7_a_stopped_child_keeps_its_spec_and_its_state(void **state)
{
        struct world *w = *state;
        struct bt_slot slot;

        world_start(w, WEB("strategy: one_for_all"));
        assert_int_equal(count_of(w, "other"), 1);
        assert_int_equal(count_of(w, "api"), 1);
        RUN(0, "2 stopped", "child", "stop", "other", "api");
        assert_int_equal(count_of(w, "other"), -ECONNREFUSED);
        world_slot(w, "api", &slot);
        assert_int_equal(slot.phase, BT_PHASE_STOPPED);
        assert_string_equal(slot.note, "stopped by 'baton child stop'");
        RUN(0, "other", "child", "list");
        RUN(0, "it did not run", "child", "stop", "other");
        assert_int_equal(kill(pid_of(w, "db"), SIGKILL),
                         0); /* a restart of its group leaves it down */
        until_again(w, "front", 1);
        until_down(w, "api", BT_PHASE_STOPPED);
        RUN(0, "2 started", "child", "start", "other", "api");
        assert_int_equal(count_of(w, "other"), 2);
        assert_int_equal(count_of(w, "api"), 2);
        RUN(1, "already_started: it runs", "child", "start", "api");
        world_end(w);
}

static void OTP_7_a_state_of_a_stopped_child_outlives_the_hub(void **state)
{
        struct world *w = *state;

        world_start(w, WEB("strategy: one_for_all"));
        assert_int_equal(count_of(w, "api"), 1);
        assert_int_equal(count_of(w, "other"), 1);
        RUN(0, "api: stopped", "child", "stop", "api");
        RUN(0, "other: stopped", "child", "stop", "other");
        world_stop(w);
        world_start_again(w); /* which starts them: nobody remembers a stop */
        assert_int_equal(count_of(w, "api"), 2);
        assert_int_equal(count_of(w, "other"), 2);
        world_end(w);
}

static void OTP_7_restart_ends_the_process_in_order_and_starts_one_with_its_state(void **state)
{
        struct world *w = *state;

        world_start(w, WEB("strategy: one_for_all"));
        assert_int_equal(count_of(w, "api"), 1);
        RUN(0, "api: started", "child", "restart", "api");
        EVENTS_SINCE("api state_captured", "api child_stopped stopped by 'baton child restart'",
                     "api child_starting restart", "api child_running");
        assert_int_equal(count_of(w, "api"), 2);
        assert_int_equal(inc_of(w, "db"), 1); /* nobody paid for it */
        RUN(0, "web: started", "child", "restart", "web");
        EVENTS_SINCE("front child_stopped its group web was stopped", "api child_stopped",
                     "db child_stopped", "db child_running", "api child_running",
                     "front child_running");
        assert_int_equal(count_of(w, "api"), 3);
        world_end(w);
}

static void OTP_7_delete_only_when_stopped(void **state)
{
        struct world *w = *state;

        world_start(w, WEB("strategy: one_for_all"));
        RUN(1, "api: failed: it runs: 'baton child stop' it first", "child", "delete", "api");
        assert_int_equal(count_of(w, "api"), 1);
        RUN(0, "api: stopped", "child", "stop", "api");
        RUN(0, "api: removed", "child", "delete", "api");
        RUN(3, "there is no such child", "child", "start", "api");
        assert_int_equal(kill(pid_of(w, "db"), SIGKILL), 0); /* its group goes on without it */
        until_again(w, "front", 1);
        RUN(0, "front: removed", "child", "remove", "front"); /* which needs no stop before */
        until_status(w, "\"counts\":{\"specs\":1,\"active\":1,\"supervisors\":0,\"workers\":1}");
        world_end(w);
}

static void OTP_7_counts_of_specs_active_supervisors_and_workers(void **state)
{
        struct world *w = *state;

        world_start(w, "hub: w\ngroups:\n  outer: {children: [a, inner]}\n  inner: {children: [b, "
                       "pool]}\nchildren:\n" NAMED("a", "") NAMED("b", "")
                               NAMED("pool", ", instances: 2") NAMED("other", ""));
        events_wait(w, " group_started outer");
        RUN(0, "\"counts\":{\"specs\":7,\"active\":7,\"supervisors\":2,\"workers\":5}", "status",
            "--json");
        expect_said(
                "\"group\":\"outer\",\"in\":null,\"state\":\"running\",\"strategy\":\"one_for_"
                "one\",\"restarts\":0,\"restarts_left\":3,"
                "\"counts\":{\"specs\":2,\"active\":2,\"supervisors\":1,\"workers\":1},\"note\":"
                "\"\"");
        expect_said("\"group\":\"inner\",\"in\":\"outer\"");
        RUN(0, "inner: stopped", "child", "stop", "inner");
        RUN(0, "other: stopped", "child", "stop", "other");
        RUN(0, "\"counts\":{\"specs\":7,\"active\":2,\"supervisors\":2,\"workers\":5}", "status",
            "--json"); /* a, and outer */
        RUN(0, "7 specs, 2 active, 2 supervisors, 5 workers", "status");
        expect_said("inner  outer  stopped");
        RUN(0, "inner: started", "child", "start", "inner");
        assert_int_equal(count_of(w, "pool/1"), 1);
        world_end(w);
}

/* ---- with everything else ---- */

/* A swap that is under way when the group restarts is called off. */
static void a_restart_of_the_group_calls_swaps_of_its_members_off(void **state)
{
        struct world *w = *state;
        struct world_outcome outcome;
        struct bt_ask ask;
        char path[256];

        world_start(w, WEB("strategy: one_for_all"));
        assert_int_equal(count_of(w, "front"), 1);
        world_script(w, path, "hangs", "NAMED_HANG=front", "child_named");
        ask = world_ask(w, BT_CTL_UPGRADE, "front", path, BT_STRATEGY_HOT);
        world_follow_to(&ask, "starting");
        assert_int_equal(kill(pid_of(w, "db"), SIGKILL), 0);
        world_follow(&ask, &outcome);
        assert_int_equal(outcome.outcome, BT_CTL_FAILED);
        events_wait(w, "front child_stopped its group web is restarted");
        until_again(w, "front", 1);
        assert_int_equal(count_of(w, "front"), 2);
        world_end(w);
}

/* R2: who repairs the one that failed does not wait for its back-off, and the others follow. */
static void an_upgrade_of_the_one_that_failed_brings_its_group_back(void **state)
{
        struct world *w = *state;
        char path[256];

        world_start(w, WEB("strategy: rest_for_one, max_restarts: 1, max_seconds: 60s"));
        assert_int_equal(count_of(w, "front"), 1);
        world_gate_open(w, "broken-api");
        assert_int_equal(kill(pid_of(w, "api"), SIGKILL), 0);
        until_status(w, "\"state\":\"failed\"");
        world_script(w, path, "repaired", "NAMED_BROKEN=/nowhere", "child_named");
        RUN(0, "", "upgrade", "api", "--exec", path);
        until_status(w, "\"state\":\"running\"");
        assert_int_equal(count_of(w, "front"), 2);
        assert_true(count_of(w, "db") > 0);
        world_end(w);
}

static void members_of_a_killed_hub_are_adopted_and_a_group_again(void **state)
{
        struct world *w = *state;
        pid_t db, api;

        world_start(w, WEB("strategy: rest_for_one"));
        assert_int_equal(count_of(w, "front"), 1);
        db = pid_of(w, "db");
        api = pid_of(w, "api");
        world_kill_hub(w);
        assert_int_equal(kill(api, SIGKILL), 0);
        assert_int_equal(waitpid(api, NULL, 0), api); /* ours, since its hub is gone */
        world_start_again(w);
        assert_int_equal(pid_of(w, "db"),
                         db); /* they serve on; the one that is missing is started */
        assert_int_equal(count_of(w, "api"), 1);
        assert_int_equal(count_of(w, "front"), 2);
        assert_int_equal(kill(db, SIGKILL), 0);
        events_wait(w, "db group_restarting web");
        until_again(w, "front", 1);
        assert_int_equal(count_of(w, "front"), 3);
        world_stop(w);
        assert_int_equal(world_reap_orphans(), 3); /* of the first hub: ours to reap */
        world_end(w);
}

/* The first restart is at once; the second waits for a minute, in which nobody of the group runs and the hub is stopped. */
static void a_stop_of_the_hub_keeps_what_a_group_had_captured(void **state)
{
        struct world *w = *state;

        world_start(w, "hub: w\ngroups:\n  web: {strategy: one_for_all, children: [db, "
                       "front]}\nchildren:\n"
                       "  db: {exec: ['@bin@/child_named'], backoff: {min: 60s, max: 60s}, env: "
                       "{NAMED_PLACE: '@dir@'}}\n" NAMED("front", ""));
        assert_int_equal(count_of(w, "front"), 1);
        assert_int_equal(kill(pid_of(w, "db"), SIGKILL), 0);
        until_again(w, "front", 1);
        assert_int_equal(kill(pid_of(w, "db"), SIGKILL), 0);
        until_down(w, "front", BT_PHASE_STOPPED);
        until_status(w, "\"state\":\"backoff\"");
        world_stop(w);
        world_start_again(w);
        assert_int_equal(count_of(w, "front"), 2);
        world_end(w);
}

/* Killed at the very moment in which a member is down for another one. */
static void a_hub_that_dies_in_the_middle_of_a_restart_loses_nothing(void **state)
{
        struct world *w = *state;

        w->hub_env = "BATON_KILL_AT=group.paused";
        world_start(w, WEB("strategy: one_for_all"));
        assert_int_equal(count_of(w, "db"), 1);
        assert_int_equal(count_of(w, "front"), 1);
        assert_int_equal(kill(pid_of(w, "api"), SIGKILL), 0);
        world_await_hub(w, 128 + SIGKILL);
        w->hub_env = NULL;
        world_start_again(w);
        assert_int_equal(count_of(w, "db"), 2);
        assert_int_equal(count_of(w, "front"), 2);
        assert_true(count_of(w, "api") > 0);
        world_stop(w);
        assert_true(world_reap_orphans() >= 1);
        world_end(w);
}

/* The same, and the hub is killed: the keeper has what was captured. */
static void a_kill_of_the_hub_keeps_what_a_group_had_captured(void **state)
{
        struct world *w = *state;

        world_start(w, "hub: w\ngroups:\n  web: {strategy: one_for_all, children: [db, "
                       "front]}\nchildren:\n"
                       "  db: {exec: ['@bin@/child_named'], backoff: {min: 60s, max: 60s}, env: "
                       "{NAMED_PLACE: '@dir@'}}\n" NAMED("front", ""));
        assert_int_equal(count_of(w, "front"), 1);
        assert_int_equal(kill(pid_of(w, "db"), SIGKILL), 0);
        until_again(w, "front", 1);
        assert_int_equal(kill(pid_of(w, "db"), SIGKILL), 0);
        until_down(w, "front", BT_PHASE_STOPPED);
        until_status(w, "\"state\":\"backoff\"");
        world_kill_hub(w);
        world_start_again(w);
        assert_int_equal(count_of(w, "front"), 2);
        assert_true(count_of(w, "db") > 0);
        world_end(w);
}

/* Members that die, people that stop, start, restart, swap and remove nothing: whatever the order, all run when all are wanted. */
static void any_order_of_accidents_and_commands_ends_with_all_that_are_wanted(void **state)
{
        static const char *const ids[] = {"a", "b", "c", "z"};
        static const char *const verbs[] = {"stop", "start", "restart"};
        struct seed seed = seed_new();
        struct world *w = *state;
        struct events events;
        struct bt_slot slot;
        bool all = false;

        world_limit(WORLD_LIMIT_S * 2);
        world_start(w, "hub: w\ngroups:\n  outer: {strategy: one_for_all, max_restarts: forever, children: [a, inner, z]}\n"
                       "  inner: {strategy: rest_for_one, max_restarts: 1, max_seconds: 100ms, children: [b, c]}\nchildren:\n" NAMED("a", "")
                               NAMED("b", "") NAMED("c", ", strategy: hot") NAMED("z", ""));
        for (uint64_t round = 0; round < seed_rounds(60); round++) {
                const char *id = ids[seed_below(&seed, BT_ARRAY_LEN(ids))];
                uint64_t what = seed_below(&seed, 10);

                world_slot(w, id, &slot);
                if (what < 5 && slot.pid > 0)
                        (void)kill(slot.pid, SIGKILL);
                else if (what < 7)
                        (void)COMMAND("child", verbs[seed_below(&seed, 3)], "--timeout=10s", id);
                else if (what < 8)
                        (void)COMMAND("child", verbs[seed_below(&seed, 3)], "--timeout=10s",
                                      seed_below(&seed, 2) ? "inner" : "outer");
                else if (what < 9)
                        (void)COMMAND("swap", id, "--timeout=10s");
                else
                        (void)count_of(w, id);
        }
        events_follow(&events, w);
        while (!all) {
                (void)COMMAND("child", "start", "--timeout=10s", "outer", "inner", "a", "b", "c",
                              "z");
                all = true;
                for (size_t i = 0; i < BT_ARRAY_LEN(ids); i++)
                        all = all && count_of(w, ids[i]) > 0;
                if (!all)
                        events_next(&events);
        }
        events_end(&events);
        until_status(w, "\"group\":\"outer\",\"in\":null,\"state\":\"running\"");
        until_status(w, "\"group\":\"inner\",\"in\":\"outer\",\"state\":\"running\"");
        world_end(w);
}

#define SCENARIO(name) cmocka_unit_test_setup_teardown(name, world_setup, world_teardown)

int main(void)
{
        const struct CMUnitTest tests[] = {
                SCENARIO(OTP_2_one_for_one_restarts_the_one_that_ended),
                SCENARIO(OTP_2_one_for_all_stops_in_reverse_order_and_starts_in_order),
                SCENARIO(OTP_2_rest_for_one_restarts_it_and_those_started_after_it),
                SCENARIO(OTP_2_a_pool_counts_as_all_its_instances_and_they_go_side_by_side),
                SCENARIO(OTP_2_a_group_in_a_group_fails_as_its_member),
                SCENARIO(OTP_2_a_first_start_that_fails_stops_those_that_were_started_in_reverse),
                SCENARIO(OTP_2_a_first_start_that_failed_is_tried_again_while_there_are_restarts),
                SCENARIO(OTP_2_a_stop_of_the_hub_ends_a_group_in_reverse_order),
                SCENARIO(OTP_3_a_group_gives_up_and_failed_restarts_count),
                SCENARIO(OTP_3_the_group_around_one_that_gave_up_gives_up_in_its_turn),
                SCENARIO(OTP_3_the_end_of_the_outermost_group_can_be_that_of_the_hub),
                SCENARIO(OTP_5_any_significant_ends_the_group_with_the_first),
                SCENARIO(OTP_5_all_significant_waits_for_the_last),
                SCENARIO(OTP_5_ends_that_are_not_their_own_shut_nothing),
                SCENARIO(OTP_5_never_shuts_nothing),
                SCENARIO(OTP_5_a_significant_group_ends_the_one_around_it_and_the_hub),
                SCENARIO(OTP_7_a_stopped_child_keeps_its_spec_and_its_state),
                SCENARIO(OTP_7_a_state_of_a_stopped_child_outlives_the_hub),
                SCENARIO(OTP_7_restart_ends_the_process_in_order_and_starts_one_with_its_state),
                SCENARIO(OTP_7_delete_only_when_stopped),
                SCENARIO(OTP_7_counts_of_specs_active_supervisors_and_workers),
                SCENARIO(a_restart_of_the_group_calls_swaps_of_its_members_off),
                SCENARIO(an_upgrade_of_the_one_that_failed_brings_its_group_back),
                SCENARIO(members_of_a_killed_hub_are_adopted_and_a_group_again),
                SCENARIO(a_stop_of_the_hub_keeps_what_a_group_had_captured),
                SCENARIO(a_kill_of_the_hub_keeps_what_a_group_had_captured),
                SCENARIO(any_order_of_accidents_and_commands_ends_with_all_that_are_wanted),
                SCENARIO(a_hub_that_dies_in_the_middle_of_a_restart_loses_nothing),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
