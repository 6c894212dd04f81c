/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Supervision groups on real processes: who is restarted for whom, in which order and with which state; when a group gives up or shuts down, and what
 * follows. What people do to them, and the ends of their hub, are in test_group_commands.c.
 */
#include <errno.h>
#include <signal.h>
#include <string.h>

#include "base/cleanup.h"
#include "tests/support/groups.h"

/* ---- strategies ---- */

static void OTP_2_one_for_one_restarts_the_one_that_ended(void **state)
{
        struct world *w = *state;
        pid_t db, front;

        world_start(w, WEB("strategy: one_for_one"));
        db = world_pid(w, "db");
        front = world_pid(w, "front");
        assert_int_equal(kill(world_pid(w, "api"), SIGKILL), 0);
        until_again(w, "api", 1);
        assert_int_equal(world_pid(w, "db"), db);
        assert_int_equal(world_pid(w, "front"), front);
        world_end(w);
}

static void OTP_2_one_for_all_stops_in_reverse_order_and_starts_in_order(void **state)
{
        struct world *w = *state;
        pid_t other;

        world_start(w, WEB("strategy: one_for_all"));
        other = world_pid(w, "other");
        EVENTS_SINCE("children_starting", "db child_running", "api child_starting",
                     "api child_running", "front child_starting", "front child_running",
                     " group_started web");
        assert_int_equal(named_count(w, "db"), 1);
        assert_int_equal(named_count(w, "front"), 1);
        assert_int_equal(named_count(w, "front"), 2);
        assert_int_equal(kill(world_pid(w, "api"), SIGKILL), 0);
        until_again(w, "front", 1);
        EVENTS_SINCE("api child_ended", "api group_restarting web", "front state_captured",
                     "front child_stopped", "db state_captured", "db child_stopped",
                     "db child_starting restart", "db child_running", "api child_starting crash",
                     "api child_running", "front child_starting restart", "front child_running",
                     " group_started web");
        assert_int_equal(named_count(w, "db"),
                         2); /* they did not fail: their states were captured, and restored */
        assert_int_equal(named_count(w, "front"), 3);
        assert_int_equal(world_pid(w, "other"), other);
        world_end(w);
}

static void OTP_2_rest_for_one_restarts_it_and_those_started_after_it(void **state)
{
        struct world *w = *state;
        pid_t db;

        world_start(w, WEB("strategy: rest_for_one"));
        db = world_pid(w, "db");
        assert_int_equal(named_count(w, "front"), 1);
        assert_int_equal(kill(world_pid(w, "api"), SIGKILL), 0);
        until_again(w, "front", 1);
        EVENTS_SINCE("api child_ended", "front child_stopped", "api child_running",
                     "front child_running");
        assert_int_equal(world_pid(w, "db"), db);
        assert_int_equal(named_count(w, "front"), 2);
        assert_int_equal(kill(world_pid(w, "front"), SIGKILL), 0);
        until_again(w, "front", 2);
        assert_int_equal(world_incarnation(w, "api"), 2);
        assert_int_equal(world_pid(w, "db"), db);
        world_end(w);
}

static void OTP_2_a_pool_counts_as_all_its_instances_and_they_go_side_by_side(void **state)
{
        struct world *w = *state;

        world_start(w, "hub: w\ngroups:\n  web: {strategy: rest_for_one, children: [db, pool, "
                       "front]}\nchildren:\n" NAMED("db", "") NAMED("pool", ", instances: 3")
                               NAMED("front", ""));
        assert_int_equal(named_count(w, "pool/2"), 1);
        assert_int_equal(kill(world_pid(w, "pool/1"), SIGKILL), 0);
        until_again(w, "front", 1);
        assert_int_equal(world_incarnation(w, "pool/0"), 1);
        assert_int_equal(world_incarnation(w, "pool/1"), 2);
        assert_int_equal(kill(world_pid(w, "db"), SIGKILL), 0);
        until_again(w, "front", 2);
        EVENTS_SINCE("db child_ended", "front child_stopped", "pool/2 child_stopped",
                     "db child_running", "pool/0 child_running", "front child_running");
        assert_int_equal(named_count(w, "pool/2"), 2);
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
        other = world_pid(w, "other");
        EVENTS_SINCE("children_starting", "a child_running", "b child_running", "c child_running",
                     " group_started inner", "z child_running", " group_started outer");
        assert_int_equal(named_count(w, "c"), 1);
        assert_int_equal(named_count(w, "z"), 1);
        assert_int_equal(kill(world_pid(w, "b"), SIGKILL), 0);
        until_again(w, "z", 1);
        EVENTS_SINCE("b child_ended", "b child_given_up", "c child_stopped",
                     " group_given_up inner: given up: more than 0 restarts within 5000 ms",
                     "z child_stopped", "a child_stopped", "a child_running", "b child_running",
                     "c child_running", " group_started inner", "z child_running",
                     " group_started outer");
        assert_int_equal(named_count(w, "c"), 2);
        assert_int_equal(named_count(w, "z"), 2);
        assert_int_equal(world_pid(w, "other"), other);
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
        assert_int_equal(named_count(w, "other"), 1);
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
        assert_int_equal(named_count(w, "db"), 1);
        assert_int_equal(named_count(w, "front"), 1);
        until_status(w, "\"restarts_left\":2");
        world_gate_open(w, "broken-api");
        assert_int_equal(kill(world_pid(w, "api"), SIGKILL), 0);
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
        assert_int_equal(named_count(w, "db"), -ECONNREFUSED);
        assert_int_equal(named_count(w, "other"), 1); /* the hub and the others run */
        world_gate_close(w, "broken-api");
        RUN(0, "web: started", "child", "start", "web");
        assert_int_equal(named_count(w, "db"), 2); /* nothing of theirs was lost meanwhile */
        assert_int_equal(named_count(w, "front"), 2);
        world_end(w);
}

static void OTP_3_the_group_around_one_that_gave_up_gives_up_in_its_turn(void **state)
{
        struct world *w = *state;

        world_start(w, "hub: w\ngroups:\n  outer: {strategy: one_for_one, max_restarts: 1, "
                       "max_seconds: 60s, children: [a, inner]}\n"
                       "  inner: {max_restarts: 0, children: [b]}\nchildren:\n" NAMED("a", "")
                               NAMED("b", "") NAMED("other", ""));
        assert_int_equal(kill(world_pid(w, "b"), SIGKILL), 0);
        until_again(w, "b", 1); /* for which the group in it was started anew */
        assert_int_equal(world_incarnation(w, "a"), 1);
        assert_int_equal(kill(world_pid(w, "b"), SIGKILL), 0);
        until_status(w, "\"group\":\"outer\",\"in\":null,\"state\":\"failed\"");
        EVENTS_SINCE(" group_given_up inner", "a child_stopped",
                     " group_given_up outer: given up: more than 1 restarts within 60000 ms, the "
                     "last one of inner");
        assert_int_equal(named_count(w, "a"), -ECONNREFUSED);
        assert_int_equal(named_count(w, "other"), 1);
        world_end(w);
}

static void OTP_3_the_end_of_the_outermost_group_can_be_that_of_the_hub(void **state)
{
        struct world *w = *state;

        world_start(w, WEB("max_restarts: 0, on_end: stop_hub"));
        assert_int_equal(named_count(w, "front"), 1);
        assert_int_equal(named_count(w, "other"), 1);
        assert_int_equal(kill(world_pid(w, "db"), SIGKILL), 0);
        world_await_hub(w, 1);
        assert_true(world_log_has(w, "group web has ended, and the hub with it"));
        world_start_again(w); /* in order, so all states were kept */
        assert_int_equal(named_count(w, "front"), 2);
        assert_int_equal(named_count(w, "other"), 2);
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
        assert_int_equal(kill(world_pid(w, "one"), SIGKILL),
                         0); /* not well, so it is restarted: no end of its own */
        until_again(w, "one", 1);
        assert_int_equal(kill(world_pid(w, "one"), SIGUSR1), 0);
        until_status(w, "\"state\":\"shut\"");
        EVENTS_SINCE("one child_ended exit 0", "one child_stopped", "two child_stopped",
                     "side child_stopped", " group_stopped jobs: auto_shutdown");
        assert_int_equal(named_count(w, "other"), 1);
        RUN(0, "jobs: started", "child", "start", "jobs");
        assert_true(named_count(w, "two") > 0);
        world_end(w);
}

static void OTP_5_all_significant_waits_for_the_last(void **state)
{
        struct world *w = *state;

        world_start(w, JOBS("auto_shutdown: all_significant"));
        assert_int_equal(kill(world_pid(w, "two"), SIGKILL), 0); /* temporary: any end is its own */
        until_down(w, "two", BT_PHASE_STOPPED);
        assert_int_equal(named_count(w, "side"), 1);
        until_status(w, "\"group\":\"jobs\",\"in\":null,\"state\":\"running\"");
        assert_int_equal(kill(world_pid(w, "one"), SIGUSR1), 0);
        until_status(w, "\"state\":\"shut\"");
        assert_int_equal(named_count(w, "side"), -ECONNREFUSED);
        world_end(w);
}

static void OTP_5_ends_that_are_not_their_own_shut_nothing(void **state)
{
        struct world *w = *state;

        world_start(w, JOBS("auto_shutdown: any_significant, strategy: one_for_all"));
        RUN(0, "one: stopped", "child", "stop", "one"); /* by somebody */
        until_status(w, "\"state\":\"running\"");
        assert_int_equal(kill(world_pid(w, "side"), SIGKILL),
                         0); /* two is stopped by the group, and being temporary stays down */
        until_again(w, "side", 1);
        until_down(w, "two", BT_PHASE_STOPPED);
        until_status(w, "\"state\":\"running\"");
        assert_true(named_count(w, "side") > 0);
        until_down(w, "one", BT_PHASE_STOPPED); /* and was not restarted with the group */
        world_end(w);
}

static void OTP_5_never_shuts_nothing(void **state)
{
        struct world *w = *state;

        world_start(w, "hub: w\ngroups:\n  jobs: {children: [side, one]}\nchildren:\n" NAMED(
                               "side", "") NAMED("one", ", restart: transient"));
        assert_int_equal(kill(world_pid(w, "one"), SIGUSR1), 0);
        until_down(w, "one", BT_PHASE_STOPPED);
        until_status(w, "\"state\":\"running\"");
        assert_int_equal(named_count(w, "side"), 1);
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
        assert_int_equal(kill(world_pid(w, "job"), SIGUSR1), 0);
        world_await_hub(w, 0); /* the work is done */
        world_start_again(w);
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
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
