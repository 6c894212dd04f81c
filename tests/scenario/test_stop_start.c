/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The hub stops and starts again: states go to the disk and come back, once, and are removed when they have arrived (I5, SHUT-1 .. SHUT-4). Deaths of the
 * hub in the middle of a stop; what a restored child was told; children that cannot give their state.
 *
 * A killed hub's children live on, for the next hub to adopt. Most tests here end them before the next start, as a reboot would.
 */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "supervisor/store/store.h"
#include "tests/support/rows.h"

#define V1 "kv-v1-testing"
#define V2 "kv-v2-testing"

static void set_keys(const struct world *w)
{
        int fd = kv_dial(w);

        kv_say(fd, "SET name baton\r\nDEBUG POPULATE 10000 key 64\r\n");
        kv_hear(fd, "+OK\r\n+OK\r\n");
        (void)close(fd);
}

static void expect_keys(const struct world *w, const char *reason)
{
        int fd = kv_dial(w);
        char got[16];

        kv_say(fd, "GET name\r\n");
        kv_hear(fd, "$5\r\nbaton\r\n");
        assert_int_equal(kv_number(fd, "DBSIZE"), 10001);
        kv_info(fd, "reason", got, sizeof(got));
        assert_string_equal(got, reason);
        (void)close(fd);
}

static void SHUT_3_keys_are_there_again_after_a_stop_and_a_start_twice_in_a_row(void **state)
{
        struct world *w = *state;

        world_start(w, WORLD_KV);
        set_keys(w);
        world_stop(w);
        assert_true(rows_stored(w) == 1);
        world_start_again(w);
        expect_keys(w, "reboot");
        world_stop(w);
        assert_true(rows_stored(w) == 1);
        world_start_again(w);
        expect_keys(w, "reboot");
        world_end(w);
}

/* The successor writes another state into the same arena: the stop takes that. */
static void SHUT_3_what_is_stored_is_the_state_after_the_last_swap(void **state)
{
        struct world *w = *state;
        int fd;

        world_start(w, WORLD_KV);
        set_keys(w);
        world_swap(w, "kv", V2, BT_STRATEGY_HOT);
        fd = kv_dial(w);
        assert_int_equal(kv_number(fd, "INCR after"), 1);
        assert_int_equal(kv_number(fd, "DEL after key:1"), 2);
        assert_int_equal(kv_number(fd, "INCR after"), 1);
        assert_int_equal(kv_number(fd, "DBSIZE"), 10001);
        (void)close(fd);
        world_stop(w);
        world_start_again(w);
        kv_expect_version(w, "1.0"); /* the configuration's binary, with the state of the other */
        fd = kv_dial(w);
        assert_int_equal(kv_number(fd, "INCR after"), 2);
        assert_int_equal(kv_number(fd, "DBSIZE"), 10001);
        (void)close(fd);
        world_end(w);
}

/* Not before the child confirmed, but then: or a later death of the hub would bring back the past. */
static void SHUT_4_the_record_is_removed_when_the_child_has_it(void **state)
{
        struct world *w = *state;
        int fd;

        world_start(w, WORLD_KV);
        set_keys(w);
        world_stop(w);
        /* The child has confirmed, the hub dies before the record is gone: delivered again. */
        w->hub_env = "BATON_KILL_AT=store.del.before_commit";
        world_start_dying(w, 128 + SIGKILL);
        assert_int_equal(world_reap_orphans(), 1);
        assert_true(rows_stored(w) == 1);
        w->hub_env = NULL;
        world_start_again(w);
        expect_keys(w, "reboot");
        world_stop(w);
        /* It dies when the record is gone: the state was the child's alone, and ends with it. */
        w->hub_env = "BATON_KILL_AT=store.del.after_commit";
        world_start_dying(w, 128 + SIGKILL);
        assert_int_equal(world_reap_orphans(), 1);
        assert_true(rows_stored(w) == 0);
        w->hub_env = NULL;
        world_start_again(w);
        fd = kv_dial(w);
        assert_int_equal(kv_number(fd, "DBSIZE"), 0);
        (void)close(fd);
        world_end(w);
}

static void SHUT_5_a_hub_killed_after_it_stored_loses_nothing(void **state)
{
        struct world *w = *state;

        w->hub_env = "BATON_KILL_AT=store.put.after_commit";
        world_start(w, WORLD_KV);
        set_keys(w);
        assert_int_equal(kill(w->pid, SIGTERM), 0);
        world_await_hub(w, 128 + SIGKILL);
        assert_int_equal(world_reap_orphans(), 1); /* kv has captured and waits to be told to end */
        w->hub_env = NULL;
        world_start_again(w);
        expect_keys(w, "reboot");
        world_end(w);
}

/*
 * The hub is killed while it has nothing to do; its child serves on, and on, when another hub has come. An adopted process is not the new hub's
 * to reap but its parent's, which is this test.
 */
static void HOT_10_a_child_of_a_killed_hub_is_adopted_with_its_connections(void **state)
{
        struct world *w = *state;
        struct bt_slot before, after;
        int fd;

        world_start(w, WORLD_KV);
        fd = kv_dial(w);
        assert_int_equal(kv_number(fd, "INCR n"), 1);
        world_slot(w, "kv", &before);
        world_kill_hub(w);
        assert_int_equal(kv_number(fd, "INCR n"), 2);
        world_start_again(w);
        assert_int_equal(kv_number(fd, "INCR n"), 3);
        world_slot(w, "kv", &after);
        assert_int_equal(after.pid, before.pid);
        assert_int_equal(after.incarnation, before.incarnation);
        world_swap(w, "kv", V2, BT_STRATEGY_HOT);
        assert_int_equal(kv_number(fd, "INCR n"), 4);
        assert_int_equal(world_wait(before.pid), 0);
        world_swap(w, "kv", V1, BT_STRATEGY_COLD);
        assert_int_equal(kv_number(fd, "INCR n"), 5);
        (void)close(fd);
        world_end(w);
}

/* Everything before the commit is as if the stop had not begun: the state was in memory, and is lost with it, but the store is whole. */
static void I8_a_hub_killed_while_it_stores_leaves_a_store_that_opens(void **state)
{
        static const char *const points[] = {
                "BATON_KILL_AT=store.put.begin", "BATON_KILL_AT=store.put.part", "BATON_KILL_AT=store.put.before_commit"};
        struct world *w = *state;

        for (size_t i = 0; i < BT_ARRAY_LEN(points); i++) {
                w->row = points[i];
                w->hub_env = points[i];
                world_start(w, WORLD_KV);
                assert_int_equal(kill(w->pid, SIGTERM), 0);
                world_await_hub(w, 128 + SIGKILL);
                assert_int_equal(world_reap_orphans(), 1);
                w->hub_env = NULL;
                assert_true(rows_stored(w) == 0);
                world_start_again(w);
                kv_expect_version(w, "1.0");
                world_kill_hub(w);
                assert_int_equal(world_reap_orphans(), 1);
        }
        w->row = NULL;
        world_start_again(w);
        world_end(w);
}

/*
 * A process that a killed hub was just starting holds a copy of its lock until it executes its program. Here it is one that takes its time: the next
 * hub waits for it, and does not take it for a hub that runs.
 */
static void I8_a_lock_that_a_half_started_process_holds_is_waited_for(void **state)
{
        struct timespec some_time = {.tv_nsec = 100 * 1000 * 1000};
        struct world *w = *state;
        struct bt_slot slot;
        char path[128];
        pid_t pid;
        int fd;

        world_start(w, WORLD_KV);
        world_kill_hub(w);
        (void)snprintf(path, sizeof(path), "%s/run/%s/lock", w->dir, w->hub);
        fd = open(path, O_RDWR | O_CLOEXEC);
        assert_true(fd >= 0);
        assert_int_equal(flock(fd, LOCK_EX | LOCK_NB), 0);
        pid = fork();
        if (!pid) {
                (void)nanosleep(&some_time, NULL);
                _exit(0);
        }
        (void)close(fd);
        world_start_again(w);
        kv_expect_version(w, "1.0");
        assert_int_equal(world_wait(pid), 0);
        world_slot(w, "kv", &slot);
        world_stop(w);
        assert_int_equal(world_wait(slot.pid), 0); /* adopted by the hub, and ours to reap */
        world_end(w);
}

static void SHUT_3_a_blob_is_counted_on_after_stop_and_start(void **state)
{
        struct world *w = *state;
        int fd;

        world_start(w, WORLD_PROBE);
        for (int round = 0; round < 3; round++) {
                fd = probe_dial(w);
                for (int i = 1; i <= 5; i++)
                        assert_int_equal(probe_number(fd, "count"), round * 5 + i);
                assert_int_equal(probe_number(fd, "reason"), round ? BATON_REASON_REBOOT : BATON_REASON_FRESH);
                (void)close(fd);
                world_stop(w);
                assert_true(rows_stored(w) == 1);
                world_start_again(w);
        }
        world_end(w);
}

/* Incarnation numbers are fencing tokens: a start must not begin at 1 again while a state with a higher number exists. */
static void I1_incarnation_numbers_go_on_over_a_stop(void **state)
{
        struct world *w = *state;
        struct bt_slot before, after;

        world_start(w, WORLD_PROBE);
        for (int i = 0; i < 5; i++)
                world_swap(w, "probe", NULL, BT_STRATEGY_HOT);
        world_slot(w, "probe", &before);
        world_stop(w);
        world_start_again(w);
        world_slot(w, "probe", &after);
        assert_true(after.incarnation > before.incarnation);
        world_end(w);
}

/* It does not answer the capture: it is not waited for beyond the common deadline, and the hub still stops with 0. */
static void SHUT_1_a_mute_child_does_not_stop_the_stop(void **state)
{
        struct world *w = *state;
        struct world_outcome outcome;
        struct bt_ask ask;
        struct bt_slot slot;

        world_start(w, WORLD_PROBE "    handover_data_wait: " WORLD_SHORT "\n    shutdown: " WORLD_SHORT "\n");
        world_slot(w, "probe", &slot);
        assert_int_equal(kill(slot.pid, SIGSTOP), 0);
        world_until_stopped(slot.pid);
        ask = world_ask(w, BT_CTL_STOP, "", NULL, WORLD_SPEC);
        world_follow(&ask, &outcome);
        assert_int_equal(outcome.outcome, BT_CTL_OK);
        assert_non_null(strstr(outcome.text, "did not give its state in time"));
        world_await_hub(w, 0);
        assert_true(rows_stored(w) == 0);
        world_end(w);
}

/* More than one child, one of which has no state: one transaction for the rest. */
static void SHUT_1_many_children_stop_together_and_come_back(void **state)
{
        struct world *w = *state;
        struct bt_slot slot;
        char id[32];

        world_start(w, "hub: w\n"
                       "children:\n"
                       "  probe:\n"
                       "    exec: [@bin@/child_probe]\n"
                       "    instances: 20\n"
                       "    handover: true\n"
                       "    state: {form: blob, max: 4KiB}\n"
                       "  plain:\n"
                       "    exec: [/bin/sleep, '1000']\n"
                       "    protocol: plain\n");
        world_stop(w);
        assert_true(rows_stored(w) == 20);
        world_start_again(w);
        for (int i = 0; i < 20; i++) {
                (void)snprintf(id, sizeof(id), "probe/%d", i);
                world_slot(w, id, &slot);
                assert_int_equal(slot.phase, BT_PHASE_RUNNING);
                assert_true(slot.incarnation >= 2);
        }
        world_end(w);
}

/* A stop while a swap hangs: the swap is called off, the state is stored. */
static void SHUT_1_a_stop_during_a_swap_calls_the_swap_off(void **state)
{
        static const uint32_t strategies[] = {BT_STRATEGY_HOT, BT_STRATEGY_COLD};
        struct world *w = *state;

        for (size_t i = 0; i < BT_ARRAY_LEN(strategies); i++) {
                struct world_outcome outcome;
                struct bt_ask ask;
                char path[256];

                world_start(w, WORLD_KV "    child_migration_timeout: " WORLD_SHORT "\n");
                if (!i)
                        set_keys(w);
                world_script(w, path, "hangs", "KV_FAIL=hang_at_start", V2);
                ask = world_ask(w, BT_CTL_UPGRADE, "kv", path, strategies[i]);
                world_follow_to(&ask, "starting");
                assert_int_equal(kill(w->pid, SIGTERM), 0);
                world_follow(&ask, &outcome);
                assert_true(outcome.outcome != BT_CTL_OK);
                world_await_hub(w, 0);
                assert_true(rows_stored(w) == 1);
                world_start_again(w);
                expect_keys(w, "reboot");
                world_stop(w);
        }
        world_end(w);
}

/* The state that is there cannot be read by the binary of the configuration: it stays in the store until one comes that can. */
static void I5_a_state_that_is_refused_stays_in_the_store(void **state)
{
        struct world *w = *state;
        int fd;

        world_start(w, WORLD_PROBE);
        fd = probe_dial(w);
        assert_int_equal(probe_number(fd, "count"), 1);
        (void)close(fd);
        world_stop(w);
        world_start(w, WORLD_PROBE "    env: {PROBE_FAIL: schema}\n    max_restarts: 1\n    max_seconds: 60s\n");
        world_stop(w);
        assert_true(rows_stored(w) == 1);
        world_start(w, WORLD_PROBE);
        fd = probe_dial(w);
        assert_int_equal(probe_number(fd, "count"), 2);
        (void)close(fd);
        world_end(w);
}

#define SCENARIO(name) cmocka_unit_test_setup_teardown(name, world_setup, world_teardown)

int main(void)
{
        const struct CMUnitTest tests[] = {
                SCENARIO(SHUT_3_keys_are_there_again_after_a_stop_and_a_start_twice_in_a_row),
                SCENARIO(SHUT_3_what_is_stored_is_the_state_after_the_last_swap),
                SCENARIO(SHUT_4_the_record_is_removed_when_the_child_has_it),
                SCENARIO(SHUT_5_a_hub_killed_after_it_stored_loses_nothing),
                SCENARIO(HOT_10_a_child_of_a_killed_hub_is_adopted_with_its_connections),
                SCENARIO(I8_a_hub_killed_while_it_stores_leaves_a_store_that_opens),
                SCENARIO(I8_a_lock_that_a_half_started_process_holds_is_waited_for),
                SCENARIO(SHUT_3_a_blob_is_counted_on_after_stop_and_start),
                SCENARIO(I1_incarnation_numbers_go_on_over_a_stop),
                SCENARIO(SHUT_1_a_mute_child_does_not_stop_the_stop),
                SCENARIO(SHUT_1_many_children_stop_together_and_come_back),
                SCENARIO(SHUT_1_a_stop_during_a_swap_calls_the_swap_off),
                SCENARIO(I5_a_state_that_is_refused_stays_in_the_store),
        };

        return cmocka_run_group_tests_name("stop and start", tests, NULL, NULL);
}
