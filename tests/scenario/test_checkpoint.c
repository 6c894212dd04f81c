/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Checkpoints on real processes (STATE-7, HOT-10, BUG-14): what a child comes back with when it, or everything, was killed.
 *
 * The probe's state is a number that each `count` raises. "Three counts, a checkpoint, two counts, death, one count" answers 4 when the checkpoint
 * was given, 6 when the living state was, and 1 when nothing was: so the answer alone says which.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <baton/types.h>

#include "base/cleanup.h"
#include "tests/support/rows.h"
#include "tests/support/wait.h"

#define RESTARTS "    max_restarts: forever\n    backoff: {min: 1ms, max: 2ms}\n"
#define ON       "    checkpoint: true\n"

/* A script in the place of the probe, for faults of one process. */
#define SCRIPTED(form)                                                                             \
        "hub: w\n"                                                                                 \
        "sockets:\n"                                                                               \
        "  probe: tcp://127.0.0.1:@port@\n"                                                        \
        "children:\n"                                                                              \
        "  probe:\n"                                                                               \
        "    exec: [@dir@/faulty]\n"                                                               \
        "    sockets: [probe]\n"                                                                   \
        "    strategy: hot\n"                                                                      \
        "    handover: true\n"                                                                     \
        "    state: {form: " form ", max: 1MiB}\n" RESTARTS

static void say_and_lose(const struct world *w, const char *line)
{
        int fd = probe_dial(w);
        char byte;

        probe_say(fd, "%s", line);
        assert_true(recv(fd, &byte, 1, 0) <= 0);
        (void)close(fd);
}

static long long ask(const struct world *w, const char *line)
{
        int fd = probe_dial(w);
        long long number = probe_number(fd, line);

        (void)close(fd);
        return number;
}

static void fd_until_at_least(int fd, const char *line, long long least)
{
        uint64_t deadline = wait_until(WORLD_WAIT_MS);

        while (probe_number(fd, line) < least) {
                if (!wait_again(deadline))
                        fail_msg("%s: did not get to %lld", line, least);
        }
}

static void until_at_least(const struct world *w, const char *line, long long least)
{
        int fd = probe_dial(w);

        fd_until_at_least(fd, line, least);
        (void)close(fd);
}

/* Three counts, a checkpoint, two counts. */
static void prepare(const struct world *w)
{
        int fd = probe_dial(w);

        for (int i = 1; i <= 3; i++)
                assert_int_equal(probe_number(fd, "count"), i);
        assert_true(probe_number(fd, "checkpoint") > 0);
        assert_int_equal(probe_number(fd, "count"), 4);
        assert_int_equal(probe_number(fd, "count"), 5);
        (void)close(fd);
}

/* Ends the process with @line; the next one serves at return. */
static void crash(struct world *w, const char *line)
{
        uint64_t before = world_incarnation(w, "probe");
        struct bt_slot slot;

        say_and_lose(w, line);
        world_until(w, "probe", BT_PHASE_RUNNING, before, &slot);
}

/* ---- a process dies ---- */

static void STATE_7_a_killed_or_crashed_blob_child_has_its_last_checkpoint(void **state)
{
        static const char *const deaths[] = {"die", "segv"};
        struct world *w = *state;

        for (size_t i = 0; i < BT_ARRAY_LEN(deaths); i++) {
                w->row = deaths[i];
                world_start(w, WORLD_PROBE ON "    durability: none\n" RESTARTS);
                prepare(w);
                crash(w, deaths[i]);
                assert_int_equal(ask(w, "reason"), BATON_REASON_CRASH);
                assert_int_equal(ask(w, "count"), 4);
                assert_true(world_log_has(w, "its last checkpoint is used"));
                /* It stays the last one until there is another, however often it is given. */
                crash(w, deaths[i]);
                assert_int_equal(ask(w, "count"), 4);
                assert_int_equal(ask(w, "checkpoint"), 2);
                assert_int_equal(ask(w, "count"), 5);
                crash(w, deaths[i]);
                assert_int_equal(ask(w, "count"), 5);
                world_stop(w);
        }
        world_end(w);
}

/* The program's own calls are enough: a blob child has the room in any case. */
static void STATE_7_a_blob_child_needs_no_configuration_for_checkpoints(void **state)
{
        struct world *w = *state;

        world_start(w, WORLD_PROBE RESTARTS);
        prepare(w);
        crash(w, "die");
        assert_int_equal(ask(w, "count"), 4);
        world_end(w);
}

static void STATE_7_an_arena_outside_a_bracket_comes_back_as_it_was_in_spite_of_its_checkpoint(void **state)
{
        struct world *w = *state;

        world_start(w, WORLD_PROBE_FORM("arena") ON RESTARTS);
        prepare(w);
        crash(w, "die");
        assert_int_equal(ask(w, "count"), 6);
        crash(w, "segv");
        assert_int_equal(ask(w, "reason"), BATON_REASON_CRASH);
        assert_int_equal(ask(w, "count"), 7);
        world_end(w);
}

static void STATE_7_a_torn_arena_is_put_back_to_its_last_checkpoint(void **state)
{
        struct world *w = *state;

        world_start(w, WORLD_PROBE_FORM("arena") ON RESTARTS);
        prepare(w);
        for (int i = 0; i < 3; i++) { /* what one repair leaves can be torn and repaired again */
                crash(w, "tear");
                assert_int_equal(ask(w, "reason"), BATON_REASON_CRASH);
                assert_int_equal(ask(w, "count"), 4);
        }
        assert_true(ask(w, "checkpoint") > 1);
        crash(w, "tear");
        assert_int_equal(ask(w, "count"), 5);
        world_end(w);
}

static void STATE_7_an_arena_without_the_room_says_so(void **state)
{
        struct world *w = *state;
        int fd;

        world_start(w, WORLD_PROBE_FORM("arena") RESTARTS);
        fd = probe_dial(w);
        probe_expect(fd, "Operation not supported", "checkpoint");
        assert_int_equal(probe_number(fd, "count"), 1);
        (void)close(fd);
        world_end(w);
}

static void STATE_7_the_hub_asks_every_so_often(void **state)
{
        static const char *const forms[] = {
                WORLD_PROBE_FORM("blob") "    checkpoint_every: 5ms\n    durability: none\n" RESTARTS,
                WORLD_PROBE_FORM("arena") "    checkpoint_every: 5ms\n    durability: none\n" RESTARTS,
        };
        struct world *w = *state;

        for (size_t i = 0; i < BT_ARRAY_LEN(forms); i++) {
                w->row = forms[i];
                world_start(w, forms[i]);
                assert_int_equal(ask(w, "count"), 1);
                assert_int_equal(ask(w, "count"), 2);
                until_at_least(w, "checkpointed", ask(w, "checkpointed") + 2); /* one may have begun before the count */
                crash(w, i ? "tear" : "segv");
                assert_int_equal(ask(w, "count"), 3);
                world_stop(w);
        }
        world_end(w);
}

/* ---- death inside ---- */

struct moment {
        const char *point;
        long long count; /* of the next `count` */
};

static void arm(const struct world *w, bool on)
{
        if (on)
                world_gate_close(w, "faulty.once");
        else
                world_gate_open(w, "faulty.once");
}

/* The second checkpoint is died in: the first one stays, or the second one is whole. */
static void STATE_7_a_blob_child_may_die_anywhere_in_a_checkpoint(void **state)
{
        static const struct moment moments[] = {
                {"checkpoint.begin", 4}, {"checkpoint.written", 4}, {"checkpoint.summed", 4}, {"checkpoint.published", 6}, {"checkpoint.told", 6}};
        struct world *w = *state;
        char path[256], env[128];
        struct bt_slot slot;

        for (size_t i = 0; i < BT_ARRAY_LEN(moments); i++) {
                w->row = moments[i].point;
                (void)snprintf(env, sizeof(env), "BATON_KILL_AT=%s:2", moments[i].point);
                world_script_once(w, path, "faulty", env, "child_probe");
                world_start(w, SCRIPTED("blob") ON "    durability: none\n");
                prepare(w);
                say_and_lose(w, "checkpoint");
                world_until(w, "probe", BT_PHASE_RUNNING, 1, &slot);
                assert_int_equal(ask(w, "count"), moments[i].count);
                world_stop(w);
                arm(w, true);
        }
        world_end(w);
}

static void STATE_7_an_arena_child_may_die_anywhere_in_a_checkpoint(void **state)
{
        static const struct moment moments[] = {
                {"checkpoint.begin", 4}, {"checkpoint.written", 4}, {"checkpoint.summed", 4}, {"checkpoint.published", 6}, {"checkpoint.told", 6}};
        struct world *w = *state;
        char path[256], env[128];
        struct bt_slot slot;

        for (size_t i = 0; i < BT_ARRAY_LEN(moments); i++) {
                w->row = moments[i].point;
                (void)snprintf(env, sizeof(env), "BATON_KILL_AT=%s:2", moments[i].point);
                world_script_once(w, path, "faulty", env, "child_probe");
                world_start(w, SCRIPTED("arena") ON "    durability: none\n");
                prepare(w);
                say_and_lose(w, "checkpoint");
                world_until(w, "probe", BT_PHASE_RUNNING, 1, &slot);
                assert_int_equal(ask(w, "count"), 6); /* outside a bracket: in place */
                crash(w, "tear");
                assert_int_equal(ask(w, "count"), moments[i].count);
                world_stop(w);
                arm(w, true);
        }
        world_end(w);
}

/* Whoever puts the checkpoint back may die of it, too. */
static void STATE_7_a_repair_that_is_died_in_is_done_again(void **state)
{
        static const char *const points[] = {"repair.begin", "repair.copied"};
        struct world *w = *state;
        char path[256], env[128];
        struct bt_slot slot;

        for (size_t i = 0; i < BT_ARRAY_LEN(points); i++) {
                w->row = points[i];
                (void)snprintf(env, sizeof(env), "BATON_KILL_AT=%s", points[i]);
                world_script_once(w, path, "faulty", env, "child_probe");
                arm(w, false);
                world_start(w, SCRIPTED("arena") ON "    durability: none\n");
                prepare(w);
                arm(w, true);
                say_and_lose(w, "tear");
                world_until(w, "probe", BT_PHASE_RUNNING, 2, &slot); /* 2 died in the repair */
                assert_int_equal(slot.restarts, 2);
                assert_int_equal(ask(w, "count"), 4);
                world_stop(w);
                arm(w, true);
        }
        world_end(w);
}

static void kill_for_good(struct world *w)
{
        struct bt_slot slot;

        world_slot(w, "probe", &slot);
        assert_int_equal(kill(slot.pid, SIGKILL), 0);
        world_until(w, "probe", BT_PHASE_STOPPED, 0, &slot);
}

/* The arena of a child that is down is whole, and a stop keeps it: not where nothing is to be on the disk. */
static void with_durability_none_a_stop_keeps_nothing_of_a_child_that_is_down_either(void **state)
{
        struct world *w = *state;

        world_start(w, WORLD_PROBE_FORM("arena") "    restart: temporary\n    durability: none\n");
        for (int k = 0; k < 3; k++)
                (void)ask(w, "count");
        kill_for_good(w);
        world_stop(w);
        world_start(w, WORLD_PROBE_FORM("arena") "    restart: temporary\n"); /* which would read what is there */
        assert_int_equal(ask(w, "count"), 1);
        kill_for_good(w);
        world_stop(w);
        world_start_again(w);
        assert_int_equal(ask(w, "count"), 2);
        world_end(w);
}

/* ---- what was captured for a swap ---- */

static void I5_a_delivered_state_does_not_come_back_unless_the_child_keeps_checkpoints(void **state)
{
        static const struct {
                const char *yaml;
                long long count;
        } rows[] = {
                {WORLD_PROBE "    strategy: hot\n    durability: none\n" RESTARTS, 1},
                {WORLD_PROBE "    strategy: hot\n    durability: none\n" ON RESTARTS, 4},
        };
        struct world *w = *state;

        for (size_t i = 0; i < BT_ARRAY_LEN(rows); i++) {
                w->row = rows[i].yaml;
                world_start(w, rows[i].yaml);
                for (int k = 0; k < 3; k++)
                        (void)ask(w, "count");
                world_swap(w, "probe", "child_probe", BT_STRATEGY_HOT);
                assert_int_equal(ask(w, "count"), 4);
                world_until_drained(w, "probe");
                crash(w, "die");
                assert_int_equal(ask(w, "count"), rows[i].count);
                world_stop(w);
        }
        world_end(w);
}

/* The predecessor goes on, changes its state, and dies: what it had captured for the successor that failed is the past. */
static void I5_a_capture_that_was_called_off_does_not_come_back(void **state)
{
        static const char *const yaml[] = {
                WORLD_PROBE "    strategy: hot\n    durability: none\n" RESTARTS,
                WORLD_PROBE "    strategy: hot\n    durability: none\n" ON RESTARTS,
        };
        static const long long counts[] = {1, 4};
        struct world *w = *state;
        struct world_outcome outcome;
        char path[256];

        world_script(w, path, "refuses", "PROBE_FAIL=refuse", "child_probe");
        for (size_t i = 0; i < BT_ARRAY_LEN(yaml); i++) {
                w->row = yaml[i];
                world_start(w, yaml[i]);
                for (int k = 0; k < 3; k++)
                        (void)ask(w, "count");
                world_migrate(w, "probe", path, WORLD_SPEC, &outcome);
                assert_int_equal(outcome.outcome, BT_CTL_FAILED);
                assert_int_equal(ask(w, "count"), 4);
                crash(w, "die");
                assert_int_equal(ask(w, "count"), counts[i]);
                world_stop(w);
        }
        world_end(w);
}

static void HOT_10_a_predecessor_killed_in_the_handover_leaves_its_checkpoint_or_its_arena_and_that_is_said(void **state)
{
        static const struct {
                const char *yaml, *point, *phase;
                long long count;
        } rows[] = {
                {SCRIPTED("blob") ON, "handover.begin", "checkpoint", 4},
                {SCRIPTED("blob") ON, "capture.done", "checkpoint", 4},
                {SCRIPTED("blob") ON, "capture.sealed", "captured", 6},
                {SCRIPTED("blob"), "handover.begin", "checkpoint", 4},
                {SCRIPTED("arena") ON, "handover.begin", "in_place", 6},
                {SCRIPTED("arena"), "capture.sealed", "in_place", 6},
        };
        struct world *w = *state;
        struct world_outcome outcome;
        char path[256], env[128], program[640];

        world_program(w, program, "child_probe");
        for (size_t i = 0; i < BT_ARRAY_LEN(rows); i++) {
                char yaml[1024];

                w->row = rows[i].point;
                (void)snprintf(yaml, sizeof(yaml), "%s    durability: none\n", rows[i].yaml);
                (void)snprintf(env, sizeof(env), "BATON_KILL_AT=%s", rows[i].point);
                world_script_once(w, path, "faulty", env, "child_probe");
                world_start(w, yaml);
                if (i < 5) {
                        prepare(w);
                } else {
                        for (int k = 0; k < 5; k++)
                                (void)ask(w, "count");
                }
                world_migrate(w, "probe", program, WORLD_SPEC, &outcome);
                if (outcome.outcome != BT_CTL_OK || !strstr(outcome.phases, rows[i].phase))
                        fail_msg("outcome %u, after '%s': %s", outcome.outcome, outcome.phases, outcome.text);
                assert_int_equal(ask(w, "count"), rows[i].count);
                assert_int_equal(ask(w, "reason"), BATON_REASON_CRASH);
                world_stop(w);
                arm(w, true);
        }
        world_end(w);
}

/* ---- the disk ---- */

/* As a power failure has it: the hub and all children at once. */
static void kill_everything(struct world *w)
{
        world_kill_hub(w);
        assert_true(world_reap_orphans() >= 1);
}

static void STATE_7_a_durable_checkpoint_survives_the_death_of_everything(void **state)
{
        static const char *const rows[] = {
                WORLD_PROBE_FORM("blob") "    durability: async\n" RESTARTS,
                WORLD_PROBE_FORM("blob") "    durability: sync\n" RESTARTS,
                WORLD_PROBE_FORM("arena") "    durability: async\n" RESTARTS,
                WORLD_PROBE_FORM("arena") "    durability: sync\n" RESTARTS,
        };
        struct world *w = *state;

        for (size_t i = 0; i < BT_ARRAY_LEN(rows); i++) {
                char aside[256], from[256];

                w->row = rows[i];
                world_start(w, rows[i]);
                prepare(w);
                until_at_least(w, i % 2 ? "told" : "durable", 1);
                kill_everything(w);
                world_start_again(w);
                assert_int_equal(ask(w, "reason"), BATON_REASON_REBOOT);
                assert_int_equal(ask(w, "count"), 4);
                /* Delivered, and still the last one. */
                kill_everything(w);
                world_start_again(w);
                assert_int_equal(ask(w, "reason"), BATON_REASON_REBOOT);
                assert_int_equal(ask(w, "count"), 4);
                assert_int_equal(ask(w, "count"), 5);
                /* An orderly stop has the state itself. */
                world_stop(w);
                world_start_again(w);
                assert_int_equal(ask(w, "count"), 6);
                /* What the disk gave is the last checkpoint of a process that dies, too. */
                crash(w, "die");
                assert_int_equal(ask(w, "count"), strstr(rows[i], "arena") ? 7 : 6);
                world_stop(w);
                (void)snprintf(from, sizeof(from), "%s/state", w->dir);
                (void)snprintf(aside, sizeof(aside), "%s/state.%zu", w->dir, i);
                assert_int_equal(rename(from, aside), 0);
        }
        world_end(w);
}

/* "Durable" is said when it is true: a hub that dies before the commit has not said it, and the next one makes it true. */
static void STATE_7_sync_is_acknowledged_after_the_commit_only(void **state)
{
        struct world *w = *state;
        struct bt_slot slot;
        int fd;

        w->hub_env = "BATON_KILL_AT=store.put.before_commit";
        world_start(w, WORLD_PROBE "    durability: sync\n" RESTARTS);
        fd = probe_dial(w);
        assert_int_equal(probe_number(fd, "count"), 1);
        assert_int_equal(probe_number(fd, "checkpoint"), 1);
        world_await_hub(w, 128 + SIGKILL);
        assert_int_equal(probe_number(fd, "durable"), 0);
        assert_int_equal(probe_number(fd, "told"), 0);
        assert_int_equal(probe_number(fd, "checkpoint"), 2); /* goes on without a hub */
        w->hub_env = NULL;
        world_start_again(w); /* adopts it, and finds the word */
        until_at_least(w, "told", 2);
        assert_int_equal(probe_number(fd, "durable"), 2);
        (void)close(fd);
        world_slot(w, "probe", &slot);
        world_stop(w);
        assert_int_equal(world_wait(slot.pid), 0); /* an adopted process is its parent's to reap: ours */
        world_end(w);
}

/* Ten thousand checkpoints while the hub does not run: no message is lost, and the last one gets to the disk. */
static void STATE_7_checkpoints_faster_than_the_hub_are_coalesced(void **state)
{
        struct world *w = *state;
        int fd;

        world_start(w, WORLD_PROBE "    durability: sync\n" RESTARTS);
        fd = probe_dial(w);
        assert_int_equal(kill(w->pid, SIGSTOP), 0);
        assert_int_equal(probe_number(fd, "checkpoint 10000"), 10000);
        assert_int_equal(kill(w->pid, SIGCONT), 0);
        until_at_least(w, "told", 10000);
        assert_int_equal(probe_number(fd, "checkpoint 10000"), 20000);
        until_at_least(w, "told", 20000);
        (void)close(fd);
        world_swap(w, "probe", "child_probe", BT_STRATEGY_HOT); /* its ring still works */
        assert_false(world_log_has(w, "does not read its link"));
        world_end(w);
}

static void STATE_7_durability_none_keeps_nothing_over_a_stop_and_says_so(void **state)
{
        struct world *w = *state;
        struct world_outcome outcome;
        struct bt_ask stop;

        world_start(w, WORLD_PROBE "    durability: none\n" RESTARTS);
        assert_int_equal(ask(w, "count"), 1);
        stop = world_ask(w, BT_CTL_STOP, "", NULL, WORLD_SPEC);
        world_follow(&stop, &outcome);
        assert_non_null(strstr(outcome.text, "probe: state not kept (durability: none)"));
        world_await_hub(w, 0);
        world_start_again(w);
        assert_int_equal(ask(w, "reason"), BATON_REASON_FRESH);
        assert_int_equal(ask(w, "count"), 1);
        world_end(w);
}

/* ---- BUG-14 ---- */

#define MANY 20

static int dial_unix(const struct world *w, int idx)
{
        struct sockaddr_un addr = {.sun_family = AF_UNIX};
        int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

        (void)snprintf(addr.sun_path, sizeof(addr.sun_path), "%s/p%d", w->dir, idx);
        assert_true(fd >= 0);
        assert_int_equal(connect(fd, (struct sockaddr *)&addr, sizeof(addr)), 0);
        return fd;
}

static char *many_children(void)
{
        size_t bytes = 16384, used;
        char *yaml = malloc(bytes);

        assert_non_null(yaml);
        used = (size_t)snprintf(yaml, bytes, "hub: w\ndefaults: {handover: true, state: {form: blob, max: 64KiB}, durability: async}\nsockets:\n");
        for (int i = 0; i < MANY; i++)
                used += (size_t)snprintf(yaml + used, bytes - used, "  p%d: unix://@dir@/p%d\n", i, i);
        used += (size_t)snprintf(yaml + used, bytes - used, "children:\n");
        for (int i = 0; i < MANY; i++)
                used += (size_t)snprintf(yaml + used, bytes - used, "  c%d: {exec: [@bin@/child_probe, p%d], sockets: [p%d], checkpoint_every: 10ms}\n",
                                         i, i, i);
        assert_true(used < bytes);
        return yaml;
}

static void BUG_14_all_children_of_a_killed_node_run_again_with_their_state(void **state)
{
        struct world *w = *state;
        char *yaml = many_children();

        world_start(w, yaml);
        free(yaml);
        for (int i = 0; i < MANY; i++) {
                int fd = dial_unix(w, i);

                for (int k = 0; k <= i; k++)
                        assert_int_equal(probe_number(fd, "count"), k + 1);
                fd_until_at_least(fd, "durable", probe_number(fd, "checkpoint"));
                (void)close(fd);
        }
        world_kill_hub(w);
        assert_int_equal(world_reap_orphans(), MANY);
        world_start_again(w);
        for (int i = 0; i < MANY; i++) {
                int fd = dial_unix(w, i);

                assert_int_equal(probe_number(fd, "reason"), BATON_REASON_REBOOT);
                assert_int_equal(probe_number(fd, "count"), i + 2);
                (void)close(fd);
        }
        world_end(w);
}

int main(void)
{
#define ROW(name) cmocka_unit_test_setup_teardown(name, world_setup, world_teardown)
        const struct CMUnitTest tests[] = {
                ROW(STATE_7_a_killed_or_crashed_blob_child_has_its_last_checkpoint),
                ROW(STATE_7_a_blob_child_needs_no_configuration_for_checkpoints),
                ROW(STATE_7_an_arena_outside_a_bracket_comes_back_as_it_was_in_spite_of_its_checkpoint),
                ROW(STATE_7_a_torn_arena_is_put_back_to_its_last_checkpoint),
                ROW(STATE_7_an_arena_without_the_room_says_so),
                ROW(STATE_7_the_hub_asks_every_so_often),
                ROW(STATE_7_a_blob_child_may_die_anywhere_in_a_checkpoint),
                ROW(STATE_7_an_arena_child_may_die_anywhere_in_a_checkpoint),
                ROW(STATE_7_a_repair_that_is_died_in_is_done_again),
                ROW(with_durability_none_a_stop_keeps_nothing_of_a_child_that_is_down_either),
                ROW(I5_a_delivered_state_does_not_come_back_unless_the_child_keeps_checkpoints),
                ROW(I5_a_capture_that_was_called_off_does_not_come_back),
                ROW(HOT_10_a_predecessor_killed_in_the_handover_leaves_its_checkpoint_or_its_arena_and_that_is_said),
                ROW(STATE_7_a_durable_checkpoint_survives_the_death_of_everything),
                ROW(STATE_7_sync_is_acknowledged_after_the_commit_only),
                ROW(STATE_7_checkpoints_faster_than_the_hub_are_coalesced),
                ROW(STATE_7_durability_none_keeps_nothing_over_a_stop_and_says_so),
                ROW(BUG_14_all_children_of_a_killed_node_run_again_with_their_state),
        };
#undef ROW

        return cmocka_run_group_tests(tests, NULL, NULL);
}
