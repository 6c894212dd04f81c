/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Swaps that fail (I4): whatever happens to the successor before it has confirmed, the predecessor (hot) or the previous binary (cold) goes on with all
 * keys, and a client that was connected before sees nothing but its answers. And swaps whose predecessor dies or sleeps at each
 * point of its way: exactly one process serves afterwards.
 *
 * The tables are the named fault points of the library (BT_POINT), in the order in which a process passes them:
 *
 *      successor     child.attached ready.before ready.done [watch.begin] passed.seen restore.begin restore.done | confirm.done serve.done
 *      predecessor   handover.begin handover.announced handover.due capture.done capture.sealed pass.done | retire.begin
 *                    cold: capture.* release.done
 *
 * watch.begin is left out of the tables: an heir that wakes up late is passed the baton without having watched.
 *
 * confirm.done is behind the point of no return: a successor that dies there was committed, and its death is a crash of the child.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <baton/errors.h>

#include "base/cleanup.h"
#include "tests/support/world.h"

#define V1 "kv-v1-testing"
#define V2 "kv-v2-testing"

/* Deadlines that tests reach. */
#define IMPATIENT                                                                                  \
        "    child_migration_timeout: " WORLD_SHORT "\n"                                           \
        "    handover_data_wait: " WORLD_SHORT "\n"                                                \
        "    state_query_timeout: " WORLD_SHORT "\n"                                               \
        "    shutdown: " WORLD_SHORT "\n"                                                          \
        "    retention: " WORLD_SHORT "\n"

static const char *const before_confirm[] = {
        "child.attached", "ready.before", "ready.done", "passed.seen", "restore.begin", "restore.done",
};
static const char *const after_confirm[] = {"confirm.done", "serve.done"};

/* ---- a client that is there all the time ---- */

struct client {
        int fd;
        int64_t count;
        struct bt_slot slot; /* before the swap */
};

static void client_begin(struct world *w, struct client *c)
{
        c->fd = kv_dial(w);
        kv_say(c->fd, "SET name baton\r\n");
        kv_hear(c->fd, "+OK\r\n");
        c->count = kv_number(c->fd, "INCR n"); /* a hub that was started again has its keys again */
        world_slot(w, "kv", &c->slot);
}

/* Migrates with a request on its way: it is sent when the hub has begun, and answered by whoever serves. */
static void client_during(struct world *w, struct client *c, const char *path, uint32_t strategy, struct world_outcome *outcome)
{
        struct bt_ask ask = world_ask(w, BT_CTL_UPGRADE, "kv", path, strategy);

        kv_say(c->fd, "INCR n\r\n");
        world_follow(&ask, outcome);
        kv_hear(c->fd, ":%lld\r\n", (long long)++c->count);
}

static void expect_v1_goes_on(struct world *w, struct client *c, uint32_t strategy)
{
        struct bt_slot slot;

        assert_int_equal(kv_number(c->fd, "INCR n"), ++c->count);
        kv_say(c->fd, "GET name\r\n");
        kv_hear(c->fd, "$5\r\nbaton\r\n");
        kv_expect_version(w, "1.0");
        world_slot(w, "kv", &slot);
        assert_int_equal(slot.phase, BT_PHASE_RUNNING);
        assert_int_equal(slot.rollbacks, c->slot.rollbacks + 1);
        assert_int_equal(slot.swaps, c->slot.swaps);
        assert_int_equal(slot.restarts, 0);
        if (strategy == BT_STRATEGY_HOT)
                assert_int_equal(slot.incarnation, c->slot.incarnation);
        else
                assert_true(slot.incarnation > c->slot.incarnation);
        c->slot = slot;
}

/* A new connection: the old one may have ended with its process. */
static void expect_keys(struct world *w, const char *version, int64_t at_least)
{
        int fd = kv_dial(w);

        kv_say(fd, "GET name\r\n");
        kv_hear(fd, "$5\r\nbaton\r\n");
        assert_true(kv_number(fd, "INCR n") > at_least);
        (void)close(fd);
        kv_expect_version(w, version);
}

/* ---- the successor fails ---- */

struct failure {
        const char *env;
        uint32_t hot;      /* expected outcomes */
        uint32_t cold;
        const char *reason; /* in the text */
        const char *last_words;
};

static void fails_and_goes_on(struct world *w, const struct failure *f, uint32_t strategy, struct client *c)
{
        uint32_t wanted = strategy == BT_STRATEGY_HOT ? f->hot : f->cold;
        struct world_outcome outcome;
        char path[256];

        w->row = f->env;
        world_script(w, path, "broken", f->env, V2);
        client_during(w, c, path, strategy, &outcome);
        if (outcome.outcome != wanted)
                fail_msg("outcome %u, expected %u, after '%s': %s", outcome.outcome, wanted, outcome.phases, outcome.text);
        if (!strstr(outcome.text, f->reason) || (f->last_words && !strstr(outcome.text, f->last_words)))
                fail_msg("expected '%s' and '%s' in the reason: %s", f->reason, f->last_words ? f->last_words : "", outcome.text);
        assert_non_null(strstr(outcome.phases, "rolled_back"));
        expect_v1_goes_on(w, c, strategy);
        w->row = NULL;
}

static void each_failure(struct world *w, uint32_t strategy)
{
        static const struct failure failures[] = {
                {"KV_FAIL=exit_at_start", BT_CTL_FAILED, BT_CTL_FAILED, "exit 3", "exits at start"},
                {"KV_FAIL=hang_at_start", BT_CTL_TIMED_OUT, BT_CTL_TIMED_OUT, "child_migration_timeout", "hangs at start"},
                /* Its reason comes over the link; it is killed before or after it has printed it, too. */
                {"KV_FAIL=bad_schema", BT_CTL_FAILED, BT_CTL_FAILED, "version", NULL},
                {"KV_FAIL=refuse_restore", BT_CTL_FAILED, BT_CTL_FAILED, "refused", "refuses to restore"},
                {"KV_FAIL=crash_restore", BT_CTL_FAILED, BT_CTL_FAILED, "died while it restored", "crashes in restore"},
                {"KV_FAIL=hang_restore", BT_CTL_TIMED_OUT, BT_CTL_TIMED_OUT, "in time", "hangs in restore"},
        };
        struct client c;

        world_start(w, WORLD_KV IMPATIENT);
        client_begin(w, &c);
        for (size_t i = 0; i < BT_ARRAY_LEN(failures); i++)
                fails_and_goes_on(w, &failures[i], strategy, &c);
        /* And nothing of it is in the way of one that works. */
        world_swap(w, "kv", V2, strategy);
        assert_int_equal(kv_number(c.fd, "INCR n"), ++c.count);
        kv_expect_version(w, "2.0");
        (void)close(c.fd);
        world_end(w);
}

static void I4_a_hot_successor_that_fails_in_any_way_leaves_v1_serving(void **state)
{
        each_failure(*state, BT_STRATEGY_HOT);
}

static void I4_a_cold_successor_that_fails_in_any_way_brings_v1_back(void **state)
{
        each_failure(*state, BT_STRATEGY_COLD);
}

/* ---- the successor is killed, or stopped, at each point ---- */

static void each_point(struct world *w, const char *variable, uint32_t strategy, uint32_t wanted)
{
        struct client c;

        world_start(w, WORLD_KV IMPATIENT);
        client_begin(w, &c);
        for (size_t i = 0; i < BT_ARRAY_LEN(before_confirm); i++) {
                char env[128];
                const struct failure f = {env, wanted, wanted, "the new process", NULL};

                (void)snprintf(env, sizeof(env), "%s=%s", variable, before_confirm[i]);
                fails_and_goes_on(w, &f, strategy, &c);
        }
        (void)close(c.fd);
        world_end(w);
}

static void HOT_10_successor_killed_at_each_point_leaves_predecessor_serving(void **state)
{
        each_point(*state, "BATON_KILL_AT", BT_STRATEGY_HOT, BT_CTL_FAILED);
}

static void HOT_6_successor_stopped_at_each_point_is_rolled_back_in_time(void **state)
{
        each_point(*state, "BATON_STOP_AT", BT_STRATEGY_HOT, BT_CTL_TIMED_OUT);
}

static void COLD_9_successor_killed_at_each_point_brings_v1_back(void **state)
{
        each_point(*state, "BATON_KILL_AT", BT_STRATEGY_COLD, BT_CTL_FAILED);
}

static void COLD_9_successor_stopped_at_each_point_is_rolled_back_in_time(void **state)
{
        each_point(*state, "BATON_STOP_AT", BT_STRATEGY_COLD, BT_CTL_TIMED_OUT);
}

/* It would serve on until its heir runs, but not for ever: it passes, and what becomes of it is the hub's matter as ever. */
static void HOT_6_a_predecessor_does_not_wait_for_an_heir_that_cannot_run(void **state)
{
        static const struct {
                int signal; /* of the heir, which is stopped when it begins to watch; 0: it stays so */
                uint32_t wanted;
                const char *phases;
        } rows[] = {{0, BT_CTL_TIMED_OUT, "offered passed too_late"}, {SIGKILL, BT_CTL_FAILED, "offered"}};
        struct world *w = *state;

        for (size_t i = 0; i < BT_ARRAY_LEN(rows); i++) {
                char path[256], text[64], env[256];
                struct world_outcome outcome;
                struct bt_ask ask;
                struct client c;
                pid_t heir;

                world_start(w, WORLD_KV "    handover_data_wait: 3s\n    env: {BATON_STOP_AT: handover.begin}\n");
                client_begin(w, &c);
                (void)snprintf(env, sizeof(env), "BATON_STOP_AT=watch.begin; echo $$ >%s/heir", w->dir);
                world_script(w, path, "asleep", env, V2);
                ask = world_ask(w, BT_CTL_UPGRADE, "kv", path, BT_STRATEGY_HOT);
                world_line_wait(w, "heir", text, sizeof(text));
                heir = (pid_t)strtol(text, NULL, 10);
                world_until_stopped(c.slot.pid);
                world_until_stopped(heir);
                if (rows[i].signal)
                        assert_int_equal(kill(heir, rows[i].signal), 0);
                assert_int_equal(kill(c.slot.pid, SIGCONT), 0);
                world_follow(&ask, &outcome);
                assert_int_equal(outcome.outcome, rows[i].wanted);
                assert_non_null(strstr(outcome.phases, rows[i].phases));
                expect_v1_goes_on(w, &c, BT_STRATEGY_HOT);
                (void)close(c.fd);
                world_stop(w);
                (void)snprintf(path, sizeof(path), "%s/heir", w->dir);
                assert_int_equal(unlink(path), 0);
        }
        world_end(w);
}

/* Behind the point of no return there is no way back: it is committed, and restarted like any crashed child, by its own binary. */
static void HOT_7_successor_that_dies_after_it_confirmed_is_a_crash_of_the_new_version(void **state)
{
        static const char *const variables[] = {"BATON_KILL_AT", "BATON_STOP_AT"};
        struct world *w = *state;
        struct world_outcome outcome;
        struct client c;
        struct bt_slot slot;
        uint64_t restarts = 0;

        world_start(w, WORLD_KV IMPATIENT "    max_restarts: forever\n");
        client_begin(w, &c);
        for (size_t i = 0; i < 2 * BT_ARRAY_LEN(after_confirm); i++) {
                char env[128], name[32], path[256];

                (void)snprintf(env, sizeof(env), "%s=%s", variables[i / 2], after_confirm[i % 2]);
                (void)snprintf(name, sizeof(name), "once-%zu", i);
                w->row = env;
                world_script_once(w, path, name, env, V2);
                world_slot(w, "kv", &slot);
                world_migrate(w, "kv", path, i % 2 ? BT_STRATEGY_HOT : BT_STRATEGY_COLD, &outcome);
                assert_int_equal(outcome.outcome, BT_CTL_OK);
                /* A stopped one that said RESTORED before it stopped cannot be told from a busy one: it is ended by the test. */
                world_slot(w, "kv", &slot);
                if (i == 3)
                        assert_int_equal(kill(slot.pid, SIGKILL), 0);
                world_until(w, "kv", BT_PHASE_RUNNING, c.slot.incarnation + 2 * (i + 1) - 1, &slot);
                assert_int_equal(slot.restarts, ++restarts);
                expect_keys(w, "2.0", c.count++);
                w->row = NULL;
        }
        (void)close(c.fd);
        world_end(w);
}

/* ---- the predecessor is killed at each point ---- */

static void predecessor_dies(struct world *w, const char *point, uint32_t strategy, bool connections_live)
{
        char yaml[2048];
        struct world_outcome outcome;
        struct client c;
        char path[640];

        w->row = point;
        (void)snprintf(yaml, sizeof(yaml), WORLD_KV IMPATIENT "    env: {BATON_KILL_AT: %s}\n", point);
        world_start(w, yaml);
        client_begin(w, &c);
        world_program(w, path, V2);
        world_migrate(w, "kv", path, strategy, &outcome);
        if (outcome.outcome != BT_CTL_OK)
                fail_msg("%u after '%s': %s", outcome.outcome, outcome.phases, outcome.text);
        if (connections_live)
                assert_int_equal(kv_number(c.fd, "INCR n"), ++c.count);
        expect_keys(w, "2.0", c.count);
        (void)close(c.fd);
        world_stop(w);
        w->row = NULL;
}

/* Its keys are in the arena; its connections live when they had been passed, which is when the word moved. */
static void HOT_10_predecessor_killed_at_each_point_is_succeeded_with_all_keys(void **state)
{
        struct world *w = *state;

        predecessor_dies(w, "handover.begin", BT_STRATEGY_HOT, false);
        predecessor_dies(w, "handover.announced", BT_STRATEGY_HOT, false);
        predecessor_dies(w, "handover.due", BT_STRATEGY_HOT, false);
        predecessor_dies(w, "capture.done", BT_STRATEGY_HOT, false);
        predecessor_dies(w, "capture.sealed", BT_STRATEGY_HOT, false);
        predecessor_dies(w, "pass.done", BT_STRATEGY_HOT, true);
        predecessor_dies(w, "retire.begin", BT_STRATEGY_HOT, true);
        world_end(w);
}

static void COLD_4_predecessor_killed_at_each_point_is_succeeded_with_all_keys(void **state)
{
        struct world *w = *state;

        predecessor_dies(w, "capture.done", BT_STRATEGY_COLD, false);
        predecessor_dies(w, "capture.sealed", BT_STRATEGY_COLD, false);
        predecessor_dies(w, "release.done", BT_STRATEGY_COLD, false);
        world_end(w);
}

/* Both die: the word was on its way from one to the other. The restart policy takes over, with the binary there was and the state there is. */
static void HOT_10_predecessor_and_successor_both_die_and_the_keys_are_still_there(void **state)
{
        static const char *const faults[] = {"BATON_KILL_AT=restore.begin", "KV_FAIL=refuse_restore", "KV_FAIL=hang_restore"};
        struct world *w = *state;

        for (size_t i = 0; i < BT_ARRAY_LEN(faults); i++) {
                struct world_outcome outcome;
                struct bt_slot slot;
                struct client c;
                char path[256];

                w->row = faults[i];
                world_start(w, WORLD_KV IMPATIENT "    env: {BATON_KILL_AT: pass.done}\n");
                client_begin(w, &c);
                world_script(w, path, "broken", faults[i], V2);
                world_migrate(w, "kv", path, BT_STRATEGY_HOT, &outcome);
                assert_true(outcome.outcome == BT_CTL_FAILED || outcome.outcome == BT_CTL_TIMED_OUT);
                world_until(w, "kv", BT_PHASE_RUNNING, c.slot.incarnation + 1, &slot);
                expect_keys(w, "1.0", c.count);
                (void)close(c.fd);
                world_stop(w);
        }
        w->row = NULL;
        world_end(w);
}

/* ---- the predecessor sleeps past its deadline (HOT-9: fencing) ---- */

static void HOT_9_predecessor_that_sleeps_before_it_passes_wakes_up_as_the_one_that_serves(void **state)
{
        static const char *const points[] = {"handover.begin", "handover.announced", "handover.due", "capture.done", "capture.sealed"};
        struct world *w = *state;

        for (size_t i = 0; i < BT_ARRAY_LEN(points); i++) {
                char yaml[2048], path[640];
                struct world_outcome outcome;
                struct bt_slot slot;
                struct client c;

                w->row = points[i];
                (void)snprintf(yaml, sizeof(yaml), WORLD_KV IMPATIENT "    env: {BATON_STOP_AT: %s}\n", points[i]);
                world_start(w, yaml);
                client_begin(w, &c);
                world_program(w, path, V2);
                world_migrate(w, "kv", path, BT_STRATEGY_HOT, &outcome);
                assert_int_equal(outcome.outcome, BT_CTL_TIMED_OUT);
                assert_non_null(strstr(outcome.text, "did not hand over in time"));
                world_slot(w, "kv", &slot);
                assert_int_equal(slot.incarnation, c.slot.incarnation);
                assert_int_equal(slot.pid, c.slot.pid);
                kv_say(c.fd, "INCR n\r\n"); /* waits for it */
                assert_int_equal(kill(slot.pid, SIGCONT), 0);
                kv_hear(c.fd, ":%lld\r\n", (long long)++c.count);
                expect_v1_goes_on(w, &c, BT_STRATEGY_HOT);
                world_swap(w, "kv", V2, BT_STRATEGY_HOT);
                assert_int_equal(kv_number(c.fd, "INCR n"), ++c.count);
                (void)close(c.fd);
                world_stop(w);
        }
        w->row = NULL;
        world_end(w);
}

/* It has given the baton away: it must not answer any more, however late it wakes up. */
static void HOT_9_predecessor_that_sleeps_after_it_passed_never_serves_again(void **state)
{
        static const char *const points[] = {"pass.done", "retire.begin"};
        struct world *w = *state;

        for (size_t i = 0; i < 2 * BT_ARRAY_LEN(points); i++) {
                char yaml[2048];
                struct client c;
                bool wakes_up = i % 2;

                w->row = points[i / 2];
                (void)snprintf(yaml, sizeof(yaml), WORLD_KV "    retention: %s\n    env: {BATON_STOP_AT: %s}\n",
                               wakes_up ? "60s" : WORLD_SHORT, points[i / 2]);
                world_start(w, yaml);
                client_begin(w, &c);
                world_swap(w, "kv", V2, BT_STRATEGY_HOT);
                assert_int_equal(kv_number(c.fd, "INCR n"), ++c.count);
                if (wakes_up) {
                        world_until_stopped(c.slot.pid);
                        assert_int_equal(kill(c.slot.pid, SIGCONT), 0);
                } else {
                        world_log_wait(w, "did not drain within its retention and was killed", (int)i / 2 + 1);
                }
                world_until_drained(w, "kv");
                assert_false(world_runs(c.slot.pid));
                for (int j = 0; j < 20; j++)
                        kv_expect_version(w, "2.0");
                assert_int_equal(kv_number(c.fd, "INCR n"), ++c.count);
                (void)close(c.fd);
                world_stop(w);
        }
        w->row = NULL;
        world_end(w);
}

/*
 * It sleeps through one offer and its withdrawal and finds them in its ring together with the next offer. The first must not be answered, least of all over
 * the second one's hand-off socket.
 */
static void HOT_5_an_offer_that_was_withdrawn_does_not_spoil_the_next(void **state)
{
        struct world *w = *state;
        struct world_outcome outcome;
        struct bt_ask ask;
        struct client c;
        char path[640];

        world_start(w, WORLD_KV);
        client_begin(w, &c);
        for (int round = 0; round < 2; round++) {
                world_slot(w, "kv", &c.slot);
                assert_int_equal(kill(c.slot.pid, SIGSTOP), 0);
                world_until_stopped(c.slot.pid);
                for (int failures = 0; failures < 3; failures++) {
                        world_script(w, path, "broken", "BATON_KILL_AT=ready.done", V2);
                        world_migrate(w, "kv", path, BT_STRATEGY_HOT, &outcome);
                        assert_int_equal(outcome.outcome, BT_CTL_FAILED);
                        assert_non_null(strstr(outcome.phases, "offered"));
                }
                world_program(w, path, round ? V1 : V2);
                ask = world_ask(w, BT_CTL_UPGRADE, "kv", path, BT_STRATEGY_HOT);
                world_follow_to(&ask, "offered");
                assert_int_equal(kill(c.slot.pid, SIGCONT), 0);
                world_follow(&ask, &outcome);
                if (outcome.outcome != BT_CTL_OK)
                        fail_msg("%u after '%s': %s", outcome.outcome, outcome.phases, outcome.text);
                assert_int_equal(kv_number(c.fd, "INCR n"), ++c.count);
        }
        (void)close(c.fd);
        world_end(w);
}

/* ---- what is no program ---- */

static void I4_a_file_that_cannot_be_executed_is_refused_with_the_reason(void **state)
{
        struct world *w = *state;
        struct world_outcome outcome;
        struct client c;
        char path[256];

        world_start(w, WORLD_KV);
        client_begin(w, &c);
        world_script(w, path, "bad", "", "/does/not/exist");
        world_migrate(w, "kv", path, BT_STRATEGY_HOT, &outcome);
        assert_int_equal(outcome.outcome, BT_CTL_FAILED);
        assert_non_null(strstr(outcome.text, "exit 127"));
        expect_v1_goes_on(w, &c, BT_STRATEGY_HOT);

        /* Executable, but nothing the kernel can run. */
        (void)snprintf(path, sizeof(path), "%s/app.yaml", w->dir);
        assert_int_equal(chmod(path, 0700), 0);
        world_migrate(w, "kv", path, BT_STRATEGY_HOT, &outcome);
        assert_int_equal(outcome.outcome, BT_CTL_FAILED);
        assert_non_null(strstr(outcome.text, "could not be started"));
        expect_v1_goes_on(w, &c, BT_STRATEGY_HOT);
        world_migrate(w, "kv", path, BT_STRATEGY_COLD, &outcome);
        assert_int_equal(outcome.outcome, BT_CTL_FAILED);
        assert_non_null(strstr(outcome.text, "could not be started"));
        expect_v1_goes_on(w, &c, BT_STRATEGY_COLD);
        (void)close(c.fd);
        world_end(w);
}

/*
 * R1: a library of another layout of the shared memory fails the new side only, and says so. A cold swap with hand-over asks the new binary before it stops
 * anything; so does a hot one, by starting it.
 */
static void R1_a_program_of_another_layout_is_refused_and_the_old_one_goes_on(void **state)
{
        static const uint32_t strategies[] = {BT_STRATEGY_HOT, BT_STRATEGY_COLD};
        struct world *w = *state;
        struct world_outcome outcome;
        struct bt_slot slot;
        struct client c;
        char path[640];

        world_start(w, WORLD_KV);
        client_begin(w, &c);
        world_program(w, path, "kv-v2-other-layout");
        for (size_t i = 0; i < BT_ARRAY_LEN(strategies); i++) {
                client_during(w, &c, path, strategies[i], &outcome);
                assert_int_equal(outcome.outcome, BT_CTL_FAILED);
                if (!strstr(outcome.text, "layout 999") && !strstr(outcome.text, baton_strerror(-BATON_E_LAYOUT)))
                        fail_msg("no word of the layout: %s", outcome.text);
                assert_int_equal(kv_number(c.fd, "INCR n"), ++c.count);
                world_slot(w, "kv", &slot);
                assert_int_equal(slot.pid, c.slot.pid); /* not even the process is another */
        }
        (void)close(c.fd);
        world_end(w);
}

#define SCENARIO(name) cmocka_unit_test_setup_teardown(name, world_setup, world_teardown)

int main(void)
{
        const struct CMUnitTest tests[] = {
                SCENARIO(HOT_5_an_offer_that_was_withdrawn_does_not_spoil_the_next),
                SCENARIO(HOT_9_predecessor_that_sleeps_before_it_passes_wakes_up_as_the_one_that_serves),
                SCENARIO(HOT_9_predecessor_that_sleeps_after_it_passed_never_serves_again),
                SCENARIO(HOT_10_successor_killed_at_each_point_leaves_predecessor_serving),
                SCENARIO(I4_a_hot_successor_that_fails_in_any_way_leaves_v1_serving),
                SCENARIO(HOT_6_successor_stopped_at_each_point_is_rolled_back_in_time),
                SCENARIO(HOT_6_a_predecessor_does_not_wait_for_an_heir_that_cannot_run),
                SCENARIO(HOT_7_successor_that_dies_after_it_confirmed_is_a_crash_of_the_new_version),
                SCENARIO(HOT_10_predecessor_killed_at_each_point_is_succeeded_with_all_keys),
                SCENARIO(I4_a_file_that_cannot_be_executed_is_refused_with_the_reason),
                SCENARIO(R1_a_program_of_another_layout_is_refused_and_the_old_one_goes_on),
                SCENARIO(HOT_10_predecessor_and_successor_both_die_and_the_keys_are_still_there),
                SCENARIO(COLD_9_successor_killed_at_each_point_brings_v1_back),
                SCENARIO(I4_a_cold_successor_that_fails_in_any_way_brings_v1_back),
                SCENARIO(COLD_9_successor_stopped_at_each_point_is_rolled_back_in_time),
                SCENARIO(COLD_4_predecessor_killed_at_each_point_is_succeeded_with_all_keys),
        };

        return cmocka_run_group_tests_name("rollback", tests, NULL, NULL);
}
