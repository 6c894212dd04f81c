/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The upgrade of the hub itself, in place (docs/upgrade.md), on real processes: rows R11, R22, R24 and R25 of docs/pains.md. The program that it goes on as is a
 * copy of its own, under another name, so that it can be seen which one runs.
 */
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "tests/support/events.h"
#include "tests/support/placed.h"
#include "tests/support/rows.h"
#include "tests/support/text.h"

#define ARENA "handover: true, state: {form: arena, max: 1MiB}"

/* ---- asking ---- */

/* A node directory belongs to one program of the hub: what was mapped is of the one before. */
static void look_anew(struct world *w)
{
        if (w->node_mapped)
                bt_node_detach(&w->node);
        w->node_mapped = false;
}

static void upgrade_to(struct world *w, const char *path, uint32_t outcome, const char *text)
{
        struct bt_ask ask = world_ask(w, BT_CTL_HUB_UPGRADE, "", path, WORLD_SPEC);
        struct world_outcome how;

        world_follow(&ask, &how);
        look_anew(w);
        if (how.outcome != outcome || !strstr(how.text, text))
                fail_msg("outcome %u, '%s'; expected %u, '%s'", how.outcome, how.text, outcome,
                         text);
}

static void upgrade(struct world *w)
{
        upgrade_to(w, NULL, BT_CTL_OK, "/batond_testing");
}

/* A copy of the hub's program. */
static void copy_program(const struct world *w, char path[256], const char *name)
{
        char from[640], *argv[] = {(char[]){"/bin/cp"}, from, path, NULL};

        world_program(w, from, "batond_testing");
        (void)snprintf(path, 256, "%s/%s", w->dir, name);
        assert_int_equal(world_wait(world_spawn(w, argv, "cp")), 0);
}

static void exe_of(pid_t pid, char *path, size_t bytes)
{
        char link[64];
        ssize_t n;

        (void)snprintf(link, sizeof(link), "/proc/%d/exe", (int)pid);
        n = readlink(link, path, bytes - 1);
        assert_true(n > 0);
        path[n] = '\0';
}

/* ---- who serves ---- */

/* Lines 1, 2, 3 .. without a gap; how many. */
static int lines_in_order(const struct world *w)
{
        char *text = calloc(1, 1 << 22), line[32];
        const char *at;
        int count = 0;

        assert_non_null(text);
        world_read(w, "hub.log", text, 1 << 22);
        at = text;
        for (;; count++) {
                (void)snprintf(line, sizeof(line), "plain | line %d.\n", count + 1);
                if (!(at = strstr(at, line)))
                        break;
        }
        (void)snprintf(line, sizeof(line), "plain | line %d.", count + 2);
        if (strstr(text, line))
                fail_msg("line %d is missing", count + 1);
        free(text);
        return count;
}

/* Twice, under the eyes of a client that counts, and of one who prints all the time. */
static void R22_the_hub_goes_on_as_another_program_and_nobody_notices(void **state)
{
        static struct rows rows;
        struct world *w = *state;
        struct bt_slot before, plain, slot;
        char other[256], line[64];
        pid_t hub;

        rows_start(w, 1, "",
                   "strategy: hot, " ARENA
                   "}\n  plain: {exec: ['@bin@/child_lines'], protocol: plain");
        copy_program(w, other, "batond_next");
        hub = w->pid;
        world_slot(w, "r0", &before);
        world_slot(w, "plain", &plain);
        rows_dial(&rows, w, 1);
        for (int i = 0; i < 2; i++) {
                char now[640];

                if (i) { /* as a package manager puts a new one in its place */
                        assert_int_equal(unlink(other), 0);
                        copy_program(w, other, "batond_next");
                }
                rows_ask(&rows, 0, BT_CTL_HUB_UPGRADE, i ? NULL : other, WORLD_SPEC);
                rows_run(&rows);
                assert_int_equal(rows.done[0].outcome, BT_CTL_OK);
                assert_int_equal(rows.done[0].value[1], hub);
                assert_int_equal(rows.done[0].value[0], 2);
                exe_of(hub, now, sizeof(now));
                assert_string_equal(now, other); /* and not "(deleted)" */
                look_anew(w);
        }
        assert_true(rows.answers > 0);
        rows_hang_up(&rows);
        world_slot(w, "r0", &slot);
        assert_int_equal(slot.pid, before.pid);
        assert_int_equal(slot.incarnation, before.incarnation);
        assert_int_equal(slot.started_wall_ns, before.started_wall_ns);
        world_slot(w, "plain", &slot);
        assert_int_equal(slot.pid, plain.pid);
        (void)snprintf(line, sizeof(line), "plain | line %d.", lines_in_order(w) + 50);
        world_log_wait(w, line, 1);
        (void)lines_in_order(w);
        world_swap(w, "r0", "child_rows", BT_STRATEGY_HOT); /* and it does what a hub does */
        world_end(w);
}

/* It is the kernel's parent of its children still: it is told how each of them ends. */
static void R22_a_plain_program_is_supervised_on(void **state)
{
        struct world *w = *state;
        struct bt_slot slot;

        world_start(w, "hub: w\nchildren:\n  plain: {exec: [/bin/sleep, '1000'], protocol: plain, "
                       "backoff: {min: 1ms, max: 2ms}}\n");
        upgrade(w);
        world_slot(w, "plain", &slot);
        assert_int_equal(kill(slot.pid, SIGTERM), 0);
        world_until(w, "plain", BT_PHASE_RUNNING, slot.incarnation, &slot);
        assert_int_equal(slot.exit_kind, CLD_KILLED);
        assert_int_equal(slot.exit_code, SIGTERM);
        assert_int_equal(slot.restarts, 1);
        upgrade(w);
        world_slot(w, "plain", &slot);
        assert_int_equal(slot.restarts, 1);
        assert_int_equal(slot.incarnation, 2);
        world_end(w);
}

/* Its parent sleeps, and has not reaped it. */
static void until_zombie(pid_t pid)
{
        struct pollfd ended = {.fd = pidfd_open(pid, 0), .events = POLLIN};

        assert_true(ended.fd >= 0);
        assert_int_equal(poll(&ended, 1, WORLD_WAIT_MS), 1);
        (void)close(ended.fd);
}

/* A child that dies while there is no hub to see it has died like any other, and its arena is what it left. */
static void R22_a_child_that_dies_during_the_exec_is_restarted_with_its_state(void **state)
{
        struct world *w = *state;
        struct bt_slot slot;
        struct bt_ask ask;
        struct world_outcome how;
        int fd;

        w->hub_env = "BATON_STOP_AT=hub.renew.exec";
        rows_start(w, 1, "", ARENA "}\n  plain: {exec: [/bin/sleep, '1000'], protocol: plain");
        rows_set_values(w, 1);
        world_slot(w, "r0", &slot);
        ask = world_ask(w, BT_CTL_HUB_UPGRADE, "", NULL, WORLD_SPEC);
        world_until_stopped(w->pid);
        assert_int_equal(kill(slot.pid, SIGKILL), 0);
        until_zombie(slot.pid);
        assert_int_equal(kill(w->pid, SIGCONT), 0);
        world_follow(&ask, &how);
        assert_int_equal(how.outcome, BT_CTL_OK);
        look_anew(w);
        world_until(w, "r0", BT_PHASE_RUNNING, 1, &slot);
        assert_int_equal(slot.exit_kind, CLD_KILLED);
        assert_int_equal(slot.exit_code, SIGKILL);
        fd = rows_connect(w, 0);
        assert_int_equal(probe_number(fd, "value"), 1);
        (void)close(fd);
        world_end(w);
}

static void told(const struct world *w, const char *question, char *answer, size_t bytes)
{
        int fd = probe_dial(w);

        probe_say(fd, "%s", question);
        kv_line(fd, answer, bytes);
        (void)close(fd);
}

static void expect(const struct world *w, const char *question, const char *wanted)
{
        char answer[512];

        told(w, question, answer, sizeof(answer));
        assert_string_equal(answer, wanted);
}

/* Its socket, what it has stored with the hub, what it said of itself; and that it has changed its process. */
static void R22_a_program_that_speaks_sd_notify_is_heard_on(void **state)
{
        struct world *w = *state;
        struct bt_slot slot;
        char before[512];

        world_start(w, "hub: w\nsockets:\n  s: tcp://127.0.0.1:@port@\nchildren:\n"
                       "  n: {exec: ['@bin@/child_notify'], sockets: [s], protocol: notify, "
                       "strategy: hot, watchdog: 100s, backoff: {min: 1ms, max: 2ms}}\n");
        expect(w, "store kept what was kept", "ok");
        expect(w, "say STATUS=well", "ok");
        told(w, "fork", before, sizeof(before));
        upgrade(w);
        expect(w, "pid", before);
        world_slot(w, "n", &slot);
        assert_int_equal(slot.pid, strtol(before, NULL, 10));
        assert_string_equal(slot.note, "well");
        expect(w, "say STATUS=better", "ok");
        upgrade(w);
        do
                world_slot(w, "n", &slot);
        while (strcmp(slot.note, "better") != 0);
        world_swap(w, "n", "child_notify", BT_STRATEGY_HOT);
        (void)world_wait(slot.pid); /* its parent has ended, so it is ours to reap */
        expect(w, "names", "s:kept");
        expect(w, "read 1", "what was kept");
        world_slot(w, "n", &slot);
        assert_int_equal(kill(slot.pid, SIGKILL), 0);
        world_until(w, "n", BT_PHASE_RUNNING, slot.incarnation, &slot);
        expect(w, "read 1", "what was kept");
        world_end(w);
}

/* Who follows the events follows them on, over one connection, and misses none. */
static void R22_who_is_connected_stays_connected(void **state)
{
        struct world *w = *state;
        struct bt_slot slot;
        pid_t follower;

        world_start(w, "hub: w\nchildren:\n  plain: {exec: [/bin/sleep, '1000'], protocol: plain, "
                       "backoff: {min: 1ms, max: 2ms}}\n");
        follower = BEGIN_INTO("followed", "events", "--follow");
        world_file_wait(w, "followed", "children_started");
        upgrade(w);
        world_file_wait(w, "followed", "hub_upgraded");
        world_slot(w, "plain", &slot);
        assert_int_equal(kill(slot.pid, SIGKILL), 0);
        world_file_wait(w, "followed", "signal 9");
        world_stop(w);
        assert_int_equal(world_wait(follower), 0);
        world_start_again(w);
        world_end(w);
}

static pid_t caller(const struct world *w, const char *number)
{
        char program[640], hub[128];
        char *argv[] = {program,           hub,
                        (char[]){"tally"}, (char *)(uintptr_t)number,
                        (char[]){"10000"}, (char[]){"32"},
                        (char[]){"200"},   NULL};

        world_program(w, program, "child_caller");
        (void)snprintf(hub, sizeof(hub), "%s/run/w", w->dir);
        return world_spawn(w, argv, number);
}

/* Clients have their answers from the child, and come back to the hub by themselves. */
static void R22_calls_are_answered_once_while_the_hub_is_upgraded_again_and_again(void **state)
{
        struct world *w = *state;
        pid_t callers[2];

        world_start(w,
                    "hub: w\nchildren:\n"
                    "  tally: {exec: ['@bin@/child_tally'], handover: true, state: {form: arena, "
                    "max: 1MiB}, mailbox: {slots: 256, bytes: 64, deliveries: forever}}\n");
        for (int i = 0; i < 2; i++)
                callers[i] = caller(w, i ? "1" : "0");
        while (!world_has_ended(callers[0]) || !world_has_ended(callers[1]))
                upgrade(w);
        for (int i = 0; i < 2; i++) {
                char said_it[WORLD_TEXT_BYTES];
                int status = world_wait(callers[i]);

                world_read(w, i ? "1" : "0", said_it, sizeof(said_it));
                if (status)
                        fail_msg("%s", said_it);
        }
        assert_true(world_log_count(w, "goes on as") > 1);
        world_end(w);
}

/* What was printed without an end of line has the rest of it behind it, and what was printed meanwhile is there. */
static void R22_no_line_is_lost_nor_cut(void **state)
{
        struct world *w = *state;
        struct world_outcome how;
        struct bt_ask ask;

        w->hub_env = "BATON_STOP_AT=hub.renew.exec";
        world_start(w, "hub: w\nchildren:\n  plain: {exec: ['@bin@/child_lines'], protocol: plain, "
                       "env: {LINES_GATE: '@dir@/gate'}}\n");
        ask = world_ask(w, BT_CTL_HUB_UPGRADE, "", NULL, WORLD_SPEC);
        world_until_stopped(w->pid);
        world_gate_open(w, "gate");
        world_gate_wait(w, "gate.done");
        assert_int_equal(kill(w->pid, SIGCONT), 0);
        world_follow(&ask, &how);
        assert_int_equal(how.outcome, BT_CTL_OK);
        world_log_wait(w, "plain | more", 1);
        assert_true(world_log_has(w, "plain | begun, ended"));
        world_end(w);
}

/* ---- what it remembers ---- */

static void R25_a_restart_that_waits_comes_when_it_was_due(void **state)
{
        struct world *w = *state;
        struct bt_slot slot;
        char *events;
        int fd;

        rows_start(w, 1, "", ARENA ", backoff: {min: 1s, max: 1s}");
        rows_set_values(w, 1);
        for (int i = 1; i <= 2; i++) { /* the first restart is immediate */
                world_until(w, "r0", BT_PHASE_RUNNING, (uint64_t)i - 1, &slot);
                assert_int_equal(kill(slot.pid, SIGTERM), 0);
        }
        world_until(w, "r0", BT_PHASE_BACKOFF, 0, &slot);
        upgrade(w);
        world_slot(w, "r0", &slot);
        assert_int_equal(slot.phase, BT_PHASE_BACKOFF);
        assert_int_equal(slot.restarts, 2);
        world_until(w, "r0", BT_PHASE_RUNNING, 2, &slot);
        events = events_told(w); /* also those before it */
        text_expect_in_order(events,
                             (const char *const[]){"r0 child_starting fresh",
                                                   "r0 child_restarting in 1000 ms", "hub_upgraded",
                                                   "r0 child_starting crash", NULL});
        free(events);
        assert_true(bt_now_ns() - events_ns(w, "r0", "child_restarting in 1000 ms") >= BT_NS_PER_S);
        fd = rows_connect(w, 0);
        assert_int_equal(probe_number(fd, "value"), 1); /* the hub alone had its arena */
        (void)close(fd);
        world_end(w);
}

static void R25_restarts_are_counted_over_it(void **state)
{
        struct world *w = *state;
        struct bt_slot slot;

        world_start(w, "hub: w\nchildren:\n"
                       "  plain: {exec: [/bin/sleep, '1000'], protocol: plain, max_restarts: 2, "
                       "max_seconds: 100s, backoff: {min: 1ms, max: 2ms}}\n");
        for (uint64_t i = 1; i <= 2; i++) {
                world_until(w, "plain", BT_PHASE_RUNNING, i - 1, &slot);
                assert_int_equal(kill(slot.pid, SIGTERM), 0);
                world_until(w, "plain", BT_PHASE_RUNNING, i, &slot);
                upgrade(w);
        }
        assert_int_equal(kill(slot.pid, SIGTERM), 0);
        world_until(w, "plain", BT_PHASE_FAILED, 0, &slot);
        upgrade(w);
        world_slot(w, "plain", &slot);
        assert_int_equal(slot.phase, BT_PHASE_FAILED);
        assert_non_null(strstr(slot.note, "given up: more than 2 restarts"));
        RUN(0, "started", "child", "start", "plain");
        world_end(w);
}

static void R25_a_group_goes_on_where_it_was(void **state)
{
        struct world *w = *state;
        struct bt_slot a, b, slot;

        world_start(w, "hub: w\n"
                       "children:\n"
                       "  a: {exec: [/bin/sleep, '1000'], protocol: plain, backoff: {min: 1ms, "
                       "max: 2ms}}\n"
                       "  b: {exec: [/bin/sleep, '1000'], protocol: plain}\n"
                       "groups:\n"
                       "  g: {strategy: one_for_all, children: [a, b], max_restarts: 2, "
                       "max_seconds: 100s}\n");
        world_slot(w, "b", &b);
        upgrade(w);
        world_slot(w, "b", &slot);
        assert_int_equal(slot.pid, b.pid);
        for (uint64_t i = 1; i <= 2; i++) {
                world_until(w, "a", BT_PHASE_RUNNING, i - 1, &a);
                assert_int_equal(kill(a.pid, SIGTERM), 0);
                world_until(w, "b", BT_PHASE_RUNNING, i, &b);
                events_wait(w, "group_started");
                upgrade(w);
        }
        world_until(w, "a", BT_PHASE_RUNNING, 2, &a);
        assert_int_equal(kill(a.pid, SIGTERM), 0);
        events_wait(w, "group_given_up");
        world_until(w, "b", BT_PHASE_STOPPED, 0, &b);
        world_end(w);
}

/* The program before the last upgrade of a child is known, and runs again when that is asked for. */
static void R25_a_rollback_finds_the_program_before(void **state)
{
        struct world *w = *state;
        char was[640], now[640], copy[256], *argv[] = {(char[]){"/bin/cp"}, was, copy, NULL};
        struct world_outcome outcome;
        struct bt_slot slot;

        rows_start(w, 1, "", "strategy: hot, " ARENA);
        world_program(w, was, "child_rows");
        (void)snprintf(copy, sizeof(copy), "%s/child_next", w->dir);
        assert_int_equal(world_wait(world_spawn(w, argv, "cp")), 0);
        world_migrate(w, "r0", copy, BT_STRATEGY_HOT, &outcome);
        assert_int_equal(outcome.outcome, BT_CTL_OK);
        assert_int_equal(unlink(copy), 0); /* what runs is the file, whatever the path names */
        world_until_drained(w, "r0");
        upgrade(w);
        world_slot(w, "r0", &slot);
        assert_int_equal(slot.swaps, 1);
        assert_int_equal(kill(slot.pid, SIGKILL), 0);
        world_until(w, "r0", BT_PHASE_RUNNING, slot.incarnation, &slot);
        exe_of(slot.pid, now, sizeof(now));
        assert_non_null(strstr(now, "/child_next"));
        RUN(0, "", "rollback", "r0");
        world_until(w, "r0", BT_PHASE_RUNNING, slot.incarnation, &slot);
        exe_of(slot.pid, now, sizeof(now));
        assert_string_equal(now, was);
        world_end(w);
}

/* Nodes that joined and are drained, children that were added, removed and stopped, instances of a replicated one: all is where it was. */
static void R25_what_came_and_went_meanwhile_is_as_it_was(void **state)
{
        static const char *const lists[][3] = {{"child", "list", "--json"},
                                               {"node", "list", "--json"}};
        static char before[BT_ARRAY_LEN(lists)][sizeof(said)];
        struct world *w = *state;

        world_start(w, "hub: w\n"
                       "nodes: {blue: {}, green: {}}\n"
                       "defaults: {env: {REPLICA_AT: '@dir@'}, max_restarts: forever}\n"
                       "children:\n"
                       "  timer: {exec: ['@bin@/child_replica'], redundancy: {replication: all, "
                       "mode: active_passive}}\n"
                       "  gone: {exec: [/bin/sleep, '1000'], protocol: plain}\n"
                       "  stopped: {exec: [/bin/sleep, '1000'], protocol: plain}\n");
        world_file_put(
                w, "more.yaml",
                "children:\n  live: {exec: [/bin/sleep, '1000'], protocol: plain, tags: [x]}\n");
        RUN(0, "joined", "node", "add", "red");
        RUN(0, "1 started", "child", "add", "more.yaml");
        RUN(0, "1 removed", "child", "remove", "gone");
        RUN(0, "1 stopped", "child", "stop", "stopped");
        RUN(0, "drained", "node", "drain", "green");
        for (int round = 0; round < 2; round++) {
                for (size_t i = 0; i < BT_ARRAY_LEN(lists); i++) {
                        RUN(0, "", lists[i][0], lists[i][1], lists[i][2]);
                        (void)snprintf(before[i], sizeof(before[i]), "%s", said);
                }
                upgrade(w);
                for (size_t i = 0; i < BT_ARRAY_LEN(lists); i++) {
                        RUN(0, "", lists[i][0], lists[i][1], lists[i][2]);
                        assert_string_equal(said, before[i]);
                }
        }
        RUN(0, "1 started", "child", "start", "stopped");
        RUN(0, "1 removed", "child", "remove", "live");
        world_end(w);
}

/* Its retention is not given anew: it drains, and its hub knows that it does. */
static void R25_who_drains_has_the_rest_of_its_retention(void **state)
{
        struct world *w = *state;
        struct bt_slot slot;
        struct world_outcome how;

        rows_start(w, 1, "",
                   "strategy: hot, retention: 100s, env: {ROW_RETIRE: '@dir@/gate'}, handover: "
                   "true, state: {form: blob, max: 64KiB}");
        world_migrate(w, "r0", NULL, BT_STRATEGY_HOT, &how);
        assert_int_equal(how.outcome, BT_CTL_OK);
        upgrade(w);
        world_slot(w, "r0", &slot);
        assert_int_equal(slot.draining, 1);
        assert_int_equal(slot.swaps, 1);
        world_gate_open(w, "gate");
        world_until_drained(w, "r0");
        events_wait(w, "predecessor_ended exit 0");
        world_end(w);
}

/* What a child has left with the hub, and what the keeper has for the next hub, is there after an upgrade, and after the kill of a hub that was upgraded. */
static void I8_what_is_kept_is_kept_over_it(void **state)
{
        struct world *w = *state;
        struct bt_slot slot;
        int fd;

        world_start(w, WORLD_PROBE_FORM("arena") "    max_restarts: forever\n    backoff: {min: "
                                                 "300s, max: 300s}\n");
        fd = probe_dial(w);
        probe_expect(fd, "ok", "keep one 1-was-kept");
        assert_int_equal(probe_number(fd, "count"), 1);
        (void)close(fd);
        upgrade(w);
        for (uint64_t i = 1; i <= 2; i++) { /* the first restart is immediate */
                world_until(w, "probe", BT_PHASE_RUNNING, i - 1, &slot);
                if (i > 1) {
                        fd = probe_dial(w);
                        probe_expect(fd, "1-was-kept", "take one");
                        probe_expect(fd, "ok", "keep one 1-was-kept");
                        assert_int_equal(probe_number(fd, "count"), 2);
                        (void)close(fd);
                }
                assert_int_equal(kill(slot.pid, SIGKILL), 0);
        }
        world_until(w, "probe", BT_PHASE_BACKOFF, 0, &slot);
        upgrade(w);
        upgrade(w);
        world_kill_hub(w);
        world_start_again(w);
        world_until(w, "probe", BT_PHASE_RUNNING, 2, &slot);
        fd = probe_dial(w);
        assert_int_equal(probe_number(fd, "count"), 3);
        (void)close(fd);
        world_end(w);
}

/* ---- what it refuses ---- */

static void R24_a_program_that_cannot_go_on_is_refused_with_its_words(void **state)
{
        struct world *w = *state;
        struct bt_slot before, slot;
        char script[256];
        int fd, file;

        rows_start(w, 1, "",
                   ARENA "}\n  plain: {exec: [/bin/sleep, '1000'], protocol: plain, backoff: {min: "
                         "1ms, max: 2ms}");
        rows_set_values(w, 1);
        world_slot(w, "plain", &before);
        upgrade_to(w, "/bin/false", BT_CTL_FAILED, "its rehearsal ended with exit 1");
        upgrade_to(w, "/bin/true", BT_CTL_FAILED, "it did not say that it can");
        upgrade_to(w, "/bin/ls", BT_CTL_FAILED, "unrecognized option '--rehearse'");
        (void)snprintf(script, sizeof(script), "%s/script", w->dir);
        file = open(script, O_CREAT | O_WRONLY | O_CLOEXEC, 0700);
        assert_true(file >= 0 && write(file, "#!/bin/sh\n", 10) == 10);
        (void)close(file);
        upgrade_to(w, script, BT_CTL_INVALID, "a script cannot be a hub");
        upgrade_to(w, w->dir, BT_CTL_INVALID, "Permission denied");
        world_slot(w, "plain", &slot);
        assert_int_equal(slot.pid, before.pid);
        assert_int_equal(kill(slot.pid, SIGKILL), 0);
        world_until(w, "plain", BT_PHASE_RUNNING, 1, &slot);
        fd = rows_connect(w, 0);
        assert_int_equal(probe_number(fd, "value"), 1);
        (void)close(fd);
        upgrade(w);
        world_end(w);
}

static void R24_it_waits_for_a_swap_and_says_for_what_it_waited_in_vain(void **state)
{
        struct world *w = *state;
        struct bt_ask ask;
        struct world_outcome how;

        rows_start(w, 1, "",
                   "strategy: hot, handover_data_wait: 100s, child_migration_timeout: 100s, env: "
                   "{ROW_CAPTURE: '@dir@/gate'}, handover: true, state: {form: blob, max: 64KiB}");
        ask = world_ask(w, BT_CTL_SWAP, "r0", NULL, BT_STRATEGY_HOT);
        world_follow_to(&ask, "offered");
        RUN(5, "busy: a swap of r0 is under way", "hub", "upgrade", "--deadline", "50ms");
        world_gate_open(w, "gate");
        RUN(0, "still as process", "hub", "upgrade");
        world_follow(&ask, &how);
        assert_int_equal(how.outcome, BT_CTL_OK);
        look_anew(w);
        world_end(w);
}

/* There is always one on its way to the disk; they wait for the hub, and not the hub for them. */
static void R24_checkpoints_that_never_end_do_not_keep_it_from_rest(void **state)
{
        struct world *w = *state;
        int fd;

        world_start(w, WORLD_PROBE_FORM("arena") "    durability: sync\n    checkpoint_every: 1ms\n");
        fd = probe_dial(w);
        for (int i = 0; i < 4; i++) {
                for (int k = 0; k < 3; k++)
                        (void)probe_number(fd, "checkpoint");
                upgrade(w);
        }
        assert_true(probe_number(fd, "checkpoint") > 0);
        (void)close(fd);
        world_end(w);
}

/* ---- a hub that does not get through ---- */

static void R24_a_hub_killed_on_the_way_is_followed_as_ever(void **state)
{
        static const char *const points[] = {"hub.renew.exec", "hub.renew.begun",
                                             "hub.renew.resumed"};
        static char env[64];
        struct world *w = *state;

        for (size_t i = 0; i < BT_ARRAY_LEN(points); i++) {
                struct bt_slot before, slot;
                struct bt_ask ask;
                int fd;

                (void)snprintf(env, sizeof(env), "BATON_KILL_AT=%s", points[i]);
                w->hub_env = w->row = env;
                rows_start(w, 1, "", ARENA);
                rows_set_values(w, 1);
                world_slot(w, "r0", &before);
                ask = world_ask(w, BT_CTL_HUB_UPGRADE, "", NULL, WORLD_SPEC);
                world_await_hub(w, 128 + SIGKILL);
                bt_ask_close(&ask);
                w->hub_env = NULL;
                world_start_again(w);
                world_log_wait(w, "adopted 1 child of the hub before this one", (int)i + 1);
                world_slot(w, "r0", &slot);
                assert_int_equal(slot.pid, before.pid);
                fd = rows_connect(w, 0);
                assert_int_equal(probe_number(fd, "value"), 1);
                (void)close(fd);
                world_kill_hub(w);
                assert_true(world_reap_orphans() >= 1);
        }
        w->row = NULL;
        world_start_again(w);
        world_end(w);
}

/* It rehearsed well, and cannot read it after all: then it is as one that follows a killed hub, in the process that there is. */
static void R24_what_cannot_be_read_after_all_is_adopted(void **state)
{
        struct world *w = *state;
        struct bt_slot before, plain, slot;
        char program[640];
        struct bt_ctl_reply reply;
        struct bt_ask ask;
        int fd = -1;

        rows_start(w, 1, "", ARENA "}\n  plain: {exec: [/bin/sleep, '1000'], protocol: plain");
        rows_set_values(w, 1);
        world_slot(w, "r0", &before);
        world_slot(w, "plain", &plain);
        world_program(w, program, "child_hub_liar");
        ask = world_ask(w, BT_CTL_HUB_UPGRADE, "", program, WORLD_SPEC);
        assert_int_equal(bt_ask_reply(&ask, &reply, &fd), BT_ASK_E_CLOSED);
        bt_ask_close(&ask);
        world_log_wait(w, "carried over cannot be used", 1);
        world_log_wait(w, "adopted 1 child", 1);
        look_anew(w);
        world_until(w, "r0", BT_PHASE_RUNNING, 0, &slot);
        assert_int_equal(slot.pid, before.pid);
        world_until(w, "plain", BT_PHASE_RUNNING, 0, &slot);
        assert_int_not_equal(slot.pid, plain.pid);
        fd = rows_connect(w, 0);
        assert_int_equal(probe_number(fd, "value"), 1);
        (void)close(fd);
        upgrade(w);
        world_end(w);
}

/* ---- nothing is left of it ---- */

static int children_of(pid_t pid)
{
        char path[64], text[4096] = "";
        int fd, count = 0;

        (void)snprintf(path, sizeof(path), "/proc/%d/task/%d/children", (int)pid, (int)pid);
        fd = open(path, O_RDONLY | O_CLOEXEC);
        assert_true(fd >= 0);
        (void)!read(fd, text, sizeof(text) - 1);
        (void)close(fd);
        for (const char *at = text; *at; at++)
                count += *at == ' ';
        return count;
}

static void R22_nothing_is_left_of_many_upgrades(void **state)
{
        struct world *w = *state;
        struct bt_slot slot;
        int fds = 0, processes = 0;

        rows_start(w, 3, "", "spare: true, " ARENA);
        for (int i = 0; i < 8; i++) {
                upgrade(w);
                for (int k = 0; k < 3; k++) {
                        char id[16];

                        (void)snprintf(id, sizeof(id), "r%d", k);
                        do
                                world_slot(w, id, &slot);
                        while (!slot.spare_pid);
                }
                if (!i) {
                        fds = world_fd_count(w->pid);
                        processes = children_of(w->pid);
                }
                assert_int_equal(world_fd_count(w->pid), fds);
                assert_int_equal(children_of(w->pid), processes);
        }
        world_end(w);
}

int main(void)
{
#define SCENARIO(name) cmocka_unit_test_setup_teardown(name, world_setup, world_teardown)
        const struct CMUnitTest tests[] = {
                SCENARIO(R22_the_hub_goes_on_as_another_program_and_nobody_notices),
                SCENARIO(R22_a_plain_program_is_supervised_on),
                SCENARIO(R22_a_child_that_dies_during_the_exec_is_restarted_with_its_state),
                SCENARIO(R22_no_line_is_lost_nor_cut),
                SCENARIO(R22_a_program_that_speaks_sd_notify_is_heard_on),
                SCENARIO(R22_who_is_connected_stays_connected),
                SCENARIO(R22_calls_are_answered_once_while_the_hub_is_upgraded_again_and_again),
                SCENARIO(R25_a_restart_that_waits_comes_when_it_was_due),
                SCENARIO(R25_restarts_are_counted_over_it),
                SCENARIO(R25_a_group_goes_on_where_it_was),
                SCENARIO(R25_a_rollback_finds_the_program_before),
                SCENARIO(R25_what_came_and_went_meanwhile_is_as_it_was),
                SCENARIO(R25_who_drains_has_the_rest_of_its_retention),
                SCENARIO(I8_what_is_kept_is_kept_over_it),
                SCENARIO(R24_a_program_that_cannot_go_on_is_refused_with_its_words),
                SCENARIO(R24_it_waits_for_a_swap_and_says_for_what_it_waited_in_vain),
                SCENARIO(R24_checkpoints_that_never_end_do_not_keep_it_from_rest),
                SCENARIO(R24_a_hub_killed_on_the_way_is_followed_as_ever),
                SCENARIO(R24_what_cannot_be_read_after_all_is_adopted),
                SCENARIO(R22_nothing_is_left_of_many_upgrades),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
