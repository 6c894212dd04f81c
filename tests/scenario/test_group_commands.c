/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is done to supervision groups: members and groups that people stop, start, restart, remove and replace, and a hub that ends, or is killed, while one of
 * them is down. What groups do by themselves is in test_groups.c.
 */
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>

#include "base/cleanup.h"
#include "tests/support/groups.h"
#include "tests/support/seed.h"

/* ---- what people do ---- */

static void OTP_7_a_stopped_child_keeps_its_spec_and_its_state(void **state)
{
        struct world *w = *state;
        struct bt_slot slot;

        world_start(w, WEB("strategy: one_for_all"));
        assert_int_equal(named_count(w, "other"), 1);
        assert_int_equal(named_count(w, "api"), 1);
        RUN(0, "2 stopped", "child", "stop", "other", "api");
        assert_int_equal(named_count(w, "other"), -ECONNREFUSED);
        world_slot(w, "api", &slot);
        assert_int_equal(slot.phase, BT_PHASE_STOPPED);
        assert_string_equal(slot.note, "stopped by 'baton child stop'");
        RUN(0, "other", "child", "list");
        RUN(0, "it did not run", "child", "stop", "other");
        assert_int_equal(kill(world_pid(w, "db"), SIGKILL),
                         0); /* a restart of its group leaves it down */
        until_again(w, "front", 1);
        until_down(w, "api", BT_PHASE_STOPPED);
        RUN(0, "2 started", "child", "start", "other", "api");
        assert_int_equal(named_count(w, "other"), 2);
        assert_int_equal(named_count(w, "api"), 2);
        RUN(1, "already_started: it runs", "child", "start", "api");
        world_end(w);
}

static void OTP_7_a_state_of_a_stopped_child_outlives_the_hub(void **state)
{
        struct world *w = *state;

        world_start(w, WEB("strategy: one_for_all"));
        assert_int_equal(named_count(w, "api"), 1);
        assert_int_equal(named_count(w, "other"), 1);
        RUN(0, "api: stopped", "child", "stop", "api");
        RUN(0, "other: stopped", "child", "stop", "other");
        world_stop(w);
        world_start_again(w); /* which starts them: nobody remembers a stop */
        assert_int_equal(named_count(w, "api"), 2);
        assert_int_equal(named_count(w, "other"), 2);
        world_end(w);
}

static void OTP_7_restart_ends_the_process_in_order_and_starts_one_with_its_state(void **state)
{
        struct world *w = *state;

        world_start(w, WEB("strategy: one_for_all"));
        assert_int_equal(named_count(w, "api"), 1);
        RUN(0, "api: started", "child", "restart", "api");
        EVENTS_SINCE("api state_captured", "api child_stopped stopped by 'baton child restart'",
                     "api child_starting restart", "api child_running");
        assert_int_equal(named_count(w, "api"), 2);
        assert_int_equal(world_incarnation(w, "db"), 1); /* nobody paid for it */
        RUN(0, "web: started", "child", "restart", "web");
        EVENTS_SINCE("front child_stopped its group web was stopped", "api child_stopped",
                     "db child_stopped", "db child_running", "api child_running",
                     "front child_running");
        assert_int_equal(named_count(w, "api"), 3);
        world_end(w);
}

static void OTP_7_delete_only_when_stopped(void **state)
{
        struct world *w = *state;

        world_start(w, WEB("strategy: one_for_all"));
        RUN(1, "api: failed: it runs: 'baton child stop' it first", "child", "delete", "api");
        assert_int_equal(named_count(w, "api"), 1);
        RUN(0, "api: stopped", "child", "stop", "api");
        RUN(0, "api: removed", "child", "delete", "api");
        RUN(3, "there is no such child", "child", "start", "api");
        assert_int_equal(kill(world_pid(w, "db"), SIGKILL), 0); /* its group goes on without it */
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
        assert_int_equal(named_count(w, "pool/1"), 1);
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
        assert_int_equal(named_count(w, "front"), 1);
        world_script(w, path, "hangs", "NAMED_HANG=front", "child_named");
        ask = world_ask(w, BT_CTL_UPGRADE, "front", path, BT_STRATEGY_HOT);
        world_follow_to(&ask, "starting");
        assert_int_equal(kill(world_pid(w, "db"), SIGKILL), 0);
        world_follow(&ask, &outcome);
        assert_int_equal(outcome.outcome, BT_CTL_FAILED);
        events_wait(w, "front child_stopped its group web is restarted");
        until_again(w, "front", 1);
        assert_int_equal(named_count(w, "front"), 2);
        world_end(w);
}

/* R2: who repairs the one that failed does not wait for its back-off, and the others follow. */
static void an_upgrade_of_the_one_that_failed_brings_its_group_back(void **state)
{
        struct world *w = *state;
        char path[256];

        world_start(w, WEB("strategy: rest_for_one, max_restarts: 1, max_seconds: 60s"));
        assert_int_equal(named_count(w, "front"), 1);
        world_gate_open(w, "broken-api");
        assert_int_equal(kill(world_pid(w, "api"), SIGKILL), 0);
        until_status(w, "\"state\":\"failed\"");
        world_script(w, path, "repaired", "NAMED_BROKEN=/nowhere", "child_named");
        RUN(0, "", "upgrade", "api", "--exec", path);
        until_status(w, "\"state\":\"running\"");
        assert_int_equal(named_count(w, "front"), 2);
        assert_true(named_count(w, "db") > 0);
        world_end(w);
}

static void members_of_a_killed_hub_are_adopted_and_a_group_again(void **state)
{
        struct world *w = *state;
        pid_t db, api;

        world_start(w, WEB("strategy: rest_for_one"));
        assert_int_equal(named_count(w, "front"), 1);
        db = world_pid(w, "db");
        api = world_pid(w, "api");
        world_kill_hub(w);
        assert_int_equal(kill(api, SIGKILL), 0);
        assert_int_equal(waitpid(api, NULL, 0), api); /* ours, since its hub is gone */
        world_start_again(w);
        assert_int_equal(world_pid(w, "db"),
                         db); /* they serve on; the one that is missing is started */
        assert_int_equal(named_count(w, "api"), 1);
        assert_int_equal(named_count(w, "front"), 2);
        assert_int_equal(kill(db, SIGKILL), 0);
        events_wait(w, "db group_restarting web");
        until_again(w, "front", 1);
        assert_int_equal(named_count(w, "front"), 3);
        world_stop(w);
        assert_int_equal(world_reap_orphans(), 3); /* of the first hub: ours to reap */
        world_end(w);
}

/* The first restart is at once; the second waits for a minute, in which nobody of the group runs: what front had is with nobody but the hub. */
static void wait_for_a_restart(struct world *w)
{
        world_start(w, "hub: w\ngroups:\n  web: {strategy: one_for_all, children: [db, "
                       "front]}\nchildren:\n"
                       "  db: {exec: ['@bin@/child_named'], backoff: {min: 60s, max: 60s}, env: "
                       "{NAMED_PLACE: '@dir@'}}\n" NAMED("front", ""));
        assert_int_equal(named_count(w, "front"), 1);
        assert_int_equal(kill(world_pid(w, "db"), SIGKILL), 0);
        until_again(w, "front", 1);
        assert_int_equal(kill(world_pid(w, "db"), SIGKILL), 0);
        until_down(w, "front", BT_PHASE_STOPPED);
        until_status(w, "\"state\":\"backoff\"");
}

static void a_stop_of_the_hub_keeps_what_a_group_had_captured(void **state)
{
        struct world *w = *state;

        wait_for_a_restart(w);
        world_stop(w);
        world_start_again(w);
        assert_int_equal(named_count(w, "front"), 2);
        world_end(w);
}

/* The keeper has it. */
static void a_kill_of_the_hub_keeps_what_a_group_had_captured(void **state)
{
        struct world *w = *state;

        wait_for_a_restart(w);
        world_kill_hub(w);
        world_start_again(w);
        assert_int_equal(named_count(w, "front"), 2);
        assert_true(named_count(w, "db") > 0);
        world_end(w);
}

/* Killed at the very moment in which a member is down for another one. */
static void a_hub_that_dies_in_the_middle_of_a_restart_loses_nothing(void **state)
{
        struct world *w = *state;

        w->hub_env = "BATON_KILL_AT=group.paused";
        world_start(w, WEB("strategy: one_for_all"));
        assert_int_equal(named_count(w, "db"), 1);
        assert_int_equal(named_count(w, "front"), 1);
        assert_int_equal(kill(world_pid(w, "api"), SIGKILL), 0);
        world_await_hub(w, 128 + SIGKILL);
        w->hub_env = NULL;
        world_start_again(w);
        assert_int_equal(named_count(w, "db"), 2);
        assert_int_equal(named_count(w, "front"), 2);
        assert_true(named_count(w, "api") > 0);
        world_stop(w);
        assert_true(world_reap_orphans() >= 1);
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
        world_start(w, "hub: w\ngroups:\n  outer: {strategy: one_for_all, max_restarts: forever, "
                       "children: [a, inner, z]}\n"
                       "  inner: {strategy: rest_for_one, max_restarts: 1, max_seconds: 100ms, "
                       "children: [b, c]}\nchildren:\n" NAMED("a", "") NAMED("b", "")
                               NAMED("c", ", strategy: hot") NAMED("z", ""));
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
                        (void)named_count(w, id);
        }
        events_follow(&events, w);
        while (!all) {
                (void)COMMAND("child", "start", "--timeout=10s", "outer", "inner", "a", "b", "c",
                              "z");
                all = true;
                for (size_t i = 0; i < BT_ARRAY_LEN(ids); i++)
                        all = all && named_count(w, ids[i]) > 0;
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
