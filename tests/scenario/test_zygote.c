/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Children that are forked from a zygote (docs/zygotes.md), on real processes. Each main() of child_rows writes a line before it comes to
 * baton_child_zygote(): how many there are is how many processes were executed. Each test ends with world_end(): no process, no descriptor is left.
 */
#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/fd.h"
#include "tests/support/rows.h"
#include "tests/support/text.h"

#define N    3
#define FORM "handover: true, state: blob, zygote: true, "
#define HOT  "strategy: hot, " FORM
#define COLD "strategy: cold, " FORM
#define ENV  "env: {ROW_TRACE: \"@dir@/trace\"}"
#define WARM "zygote: warm"

/* ---- what is seen ---- */

static int executed(const struct world *w, const char *what)
{
        char text[16384], line[32];

        (void)snprintf(line, sizeof(line), "warm %s\n", what);
        world_read(w, "trace", text, sizeof(text));
        return text_times(text, line);
}

/* The state letter and the parent of a process; 0: there is none. */
static char look(pid_t pid, pid_t *ret_parent)
{
        char path[64], text[512] = "";
        const char *at;
        int fd;

        (void)snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
        fd = open(path, O_RDONLY | O_CLOEXEC);
        if (fd >= 0)
                (void)!read(fd, text, sizeof(text) - 1);
        (void)bt_close(fd);
        at = strrchr(text, ')');
        *ret_parent = at ? (pid_t)strtol(at + 3, NULL, 10) : 0;
        return at ? at[2] : 0;
}

static bool environ_has(pid_t pid, const char *name)
{
        static char text[1 << 16];
        char path[64];
        size_t used = 0;
        ssize_t n;
        int fd;

        (void)snprintf(path, sizeof(path), "/proc/%d/environ", (int)pid);
        fd = open(path, O_RDONLY | O_CLOEXEC);
        while (fd >= 0 && used < sizeof(text) &&
               (n = read(fd, text + used, sizeof(text) - used)) > 0)
                used += (size_t)n;
        (void)bt_close(fd);
        return memmem(text, used, name, strlen(name)) != NULL;
}

/* Behind the one socket of r0: where a child has its link, and its zygote nothing. A forked child shows the environment that its zygote was executed with. */
#define LINK_FD "4"

static bool is_zygote(pid_t pid)
{
        char path[64], to[64] = "";

        (void)snprintf(path, sizeof(path), "/proc/%d/fd/" LINK_FD, (int)pid);
        (void)!readlink(path, to, sizeof(to) - 1);
        return environ_has(pid, "BATON_ZYGOTE_FD=") && strcmp(to, "/dev/null") == 0;
}

/* The hub's zygotes; @ret_pid: one of them. */
static int zygotes(const struct world *w, pid_t *ret_pid)
{
        DIR *dir = opendir("/proc");
        struct dirent *entry;
        pid_t parent;
        int count = 0;

        assert_non_null(dir);
        while ((entry = readdir(dir)) != NULL) { /* NOLINT(concurrency-mt-unsafe): one thread */
                pid_t pid = (pid_t)strtol(entry->d_name, NULL, 10);

                if (pid <= 0 || look(pid, &parent) == 'Z' || parent != w->pid || !is_zygote(pid))
                        continue;
                count++;
                *ret_pid = pid;
        }
        (void)closedir(dir);
        return count;
}

static pid_t zygote_of(const struct world *w)
{
        pid_t pid = 0;

        assert_int_equal(zygotes(w, &pid), 1);
        return pid;
}

static uint64_t number_of(struct world *w, const char *id)
{
        struct bt_slot slot;

        world_slot(w, id, &slot);
        return slot.incarnation;
}

static void start_warm(struct world *w, const char *each)
{
        rows_start(w, N, "", each);
        rows_set_values(w, N);
        for (int i = 1; i <= N;
             i++) /* each has a socket of its own, so a way to start of its own */
                world_log_wait(w, WARM, i);
        assert_int_equal(executed(w, "process"), N);
        assert_int_equal(executed(w, "zygote"), N);
}

static void start_one(struct world *w, const char *each)
{
        rows_start(w, 1, "", each);
        rows_set_values(w, 1);
        world_log_wait(w, WARM, 1);
}

/* ---- ordinary days ---- */

static void swap_all(struct world *w)
{
        char id[16];

        for (int i = 0; i < N; i++) {
                (void)snprintf(id, sizeof(id), "r%d", i);
                world_swap(w, id, NULL, WORLD_SPEC);
                world_until_drained(w, id);
                assert_int_not_equal(world_pid(w, id), 0);
        }
}

static void ZYG_1_hot_successors_are_forked_with_state_and_sockets(void **state)
{
        struct world *w = *state;

        start_warm(w, HOT ENV);
        swap_all(w);
        swap_all(w);
        assert_int_equal(executed(w, "process"), N);
        assert_int_equal(executed(w, "zygote"), N);
        rows_expect_values(w, N, 1);
        world_end(w);
}

static void ZYG_2_cold_successors_are_forked_with_state_and_sockets(void **state)
{
        struct world *w = *state;

        start_warm(w, COLD ENV);
        swap_all(w);
        assert_int_equal(executed(w, "process"), N);
        rows_expect_values(w, N, 1);
        world_end(w);
}

static void ZYG_3_a_crashed_child_is_forked_again_and_again(void **state)
{
        struct world *w = *state;
        struct bt_slot slot;

        start_one(w, HOT "backoff: {min: 1ms, max: 1ms}, max_restarts: 10, " ENV);
        for (int i = 0; i < 4; i++) {
                world_slot(w, "r0", &slot);
                assert_int_equal(kill(slot.pid, SIGKILL), 0);
                world_until(w, "r0", BT_PHASE_RUNNING, slot.incarnation, &slot);
                assert_true(world_runs(slot.pid));
        }
        assert_int_equal(executed(w, "process"), 1);
        world_end(w);
}

/* One zygote for all of a pool: the members that start before it is warm are executed, and no successor is. */
static void ZYG_4_a_pool_has_one(void **state)
{
        struct world *w = *state;
        struct world_outcome outcome;
        int first;

        world_start(w, "hub: w\nchildren:\n  r: {exec: [\"@bin@/child_rows\"], instances: 8, " HOT
                       "env: {ROW_TRACE: \"@dir@/trace\", ROW_LISTEN: \"@dir@\"}}\n");
        world_log_wait(w, WARM, 1);
        first = executed(w, "process");
        assert_in_range(first, 1, 8);
        world_migrate(w, "r", NULL, WORLD_SPEC, &outcome);
        assert_int_equal(outcome.outcome, BT_CTL_OK);
        assert_int_equal(executed(w, "process"), first);
        assert_int_equal(executed(w, "zygote"), 1);
        world_end(w);
}

static void a_forked_child_is_told_its_own_pid_and_leads_its_session(void **state)
{
        struct world *w = *state;
        pid_t zygote;
        int fd;

        start_one(w, HOT ENV);
        zygote = zygote_of(w);
        world_swap(w, "r0", NULL, WORLD_SPEC);
        fd = rows_connect(w, 0); /* the inherited socket: it was taken, so LISTEN_PID was right */
        assert_int_equal(probe_number(fd, "pid"), world_pid(w, "r0"));
        assert_int_equal(getsid(world_pid(w, "r0")), world_pid(w, "r0"));
        assert_int_not_equal(zygote, world_pid(w, "r0"));
        (void)close(fd);
        world_end(w);
}

/* ---- deaths ---- */

static void ZYG_5_without_its_zygote_a_child_is_executed_and_later_there_is_one_again(void **state)
{
        struct world *w = *state;

        start_one(w, HOT ENV);
        assert_int_equal(kill(zygote_of(w), SIGKILL), 0);
        world_log_wait(w, "its children are executed meanwhile", 1);
        world_swap(w, "r0", NULL, WORLD_SPEC);
        assert_int_equal(executed(w, "process"), 2);
        while (world_log_count(w, WARM) < 2) /* each start asks whether the back-off is over */
                world_swap(w, "r0", NULL, WORLD_SPEC);
        rows_expect_values(w, 1, 1);
        world_end(w);
}

/* It dies with the request in its hands: nobody says hello, and the same start is made by exec. */
static void ZYG_6_a_zygote_that_dies_over_a_request_costs_nothing(void **state)
{
        struct world *w = *state;

        start_one(w, HOT "env: {ROW_TRACE: \"@dir@/trace\", BATON_KILL_AT: zygote.asked}");
        world_swap(w, "r0", NULL, WORLD_SPEC);
        assert_int_equal(executed(w, "process"), 2);
        assert_int_equal(number_of(w, "r0"), 2);
        rows_expect_values(w, 1, 1);
        world_end(w);
}

static void ZYG_6_a_child_that_dies_before_its_hello_is_executed(void **state)
{
        struct world *w = *state;

        start_one(w, HOT "env: {ROW_TRACE: \"@dir@/trace\", BATON_KILL_AT: zygote.forked}");
        world_swap(w, "r0", NULL, WORLD_SPEC);
        assert_int_equal(executed(w, "process"), 2);
        assert_int_equal(number_of(w, "r0"), 2);
        rows_expect_values(w, 1, 1);
        world_end(w);
}

static void ZYG_6_a_zygote_that_is_stopped_is_ended_and_its_child_executed(void **state)
{
        struct world *w = *state;

        start_one(w, HOT ENV);
        assert_int_equal(kill(zygote_of(w), SIGSTOP), 0);
        world_swap(w, "r0", NULL, WORLD_SPEC);
        assert_true(world_log_has(w, "it did not answer"));
        rows_expect_values(w, 1, 1);
        world_end(w);
}

static void ZYG_7_with_the_hub_the_zygote_ends_and_its_children_are_adopted(void **state)
{
        struct world *w = *state;
        siginfo_t ended = {0};
        pid_t zygote, child;

        start_one(w, HOT ENV);
        world_swap(w, "r0", NULL, WORLD_SPEC);
        world_until_drained(w, "r0");
        zygote = zygote_of(w);
        child = world_pid(w, "r0");
        world_kill_hub(w);
        assert_int_equal(waitid(P_PID, (id_t)zygote, &ended, WEXITED | WNOWAIT), 0); /* it is ours now, and reaped later */
        assert_true(world_runs(child));
        world_start_again(w);
        assert_int_equal(world_pid(w, "r0"), child);
        rows_expect_values(w, 1, 1);
        world_swap(w, "r0", NULL, WORLD_SPEC); /* executed: the new hub has no zygote yet */
        rows_expect_values(w, 1, 1);
        world_stop(w);
        (void)world_reap_orphans();
        world_end(w);
}

/* The child of the hub that is no zygote and not @known; 0: there is none yet. */
static pid_t forked_child(const struct world *w, pid_t known)
{
        DIR *dir = opendir("/proc");
        struct dirent *entry;
        pid_t parent, found = 0;

        assert_non_null(dir);
        while ((entry = readdir(dir)) != NULL) { /* NOLINT(concurrency-mt-unsafe): one thread */
                pid_t pid = (pid_t)strtol(entry->d_name, NULL, 10);

                if (pid > 0 && pid != known && look(pid, &parent) == 'S' && parent == w->pid && environ_has(pid, "BATON_ZYGOTE_FD=") && !is_zygote(pid))
                        found = pid;
        }
        (void)closedir(dir);
        return found;
}

/*
 * The hub is stopped when it has asked for the fork, and never hears the hello. The child is there, and no record names it: it must not be given the baton, or it would
 * serve on beside what the next hub starts.
 */
static void I8_a_forked_child_that_the_hub_has_not_heard_of_ends_with_it(void **state)
{
        struct world *w = *state;
        pid_t parent, crashed, child;
        struct bt_slot slot;

        w->hub_env = "BATON_STOP_AT=hub.zygote.asked";
        start_one(w, COLD ENV);
        world_slot(w, "r0", &slot);
        crashed = slot.pid;
        assert_int_equal(kill(crashed, SIGKILL), 0);
        while (look(w->pid, &parent) != 'T')
                (void)usleep(1000);
        while (!(child = forked_child(w, crashed)))
                (void)usleep(1000);
        for (int i = 0; i < 20; i++) /* time for what must not happen */
                (void)usleep(5000);
        world_kill_hub(w);
        w->hub_env = NULL;
        for (int i = 0; i < WORLD_WAIT_MS && look(child, &parent) != 'Z'; i++) /* ours by now */
                (void)usleep(1000);
        assert_int_equal(look(child, &parent), 'Z');
        world_start_again(w);
        rows_expect_values(w, 1, 0); /* it crashed with a state that nobody had captured */
        world_stop(w);
        (void)world_reap_orphans();
        world_end(w);
}

/* ---- another binary ---- */

static void copy_program(const struct world *w, char to[256])
{
        char from[640], command[1024];

        (void)snprintf(to, 256, "%s/rows-v2", w->dir);
        world_program(w, from, "child_rows");
        (void)snprintf(command, sizeof(command), "cp '%s' '%s'", from, to);
        assert_int_equal(system(command), 0);
}

static void ZYG_8_after_an_upgrade_the_old_zygote_ends_and_the_new_one_serves(void **state)
{
        struct world *w = *state;
        struct world_outcome outcome;
        char path[256];
        pid_t old;

        start_one(w, HOT ENV);
        old = zygote_of(w);
        copy_program(w, path);
        world_migrate(w, "r0", path, WORLD_SPEC, &outcome);
        assert_int_equal(outcome.outcome, BT_CTL_OK);
        world_until_gone(old);
        world_log_wait(w, WARM, 2);
        assert_int_not_equal(zygote_of(w), old);
        world_swap(w, "r0", NULL, WORLD_SPEC);
        assert_int_equal(executed(w, "process"), 2); /* the first start of each binary */
        rows_expect_values(w, 1, 1);
        world_end(w);
}

/* ---- what cannot be one ---- */

static void ZYG_9_a_program_with_threads_is_refused_and_its_children_are_executed(void **state)
{
        struct world *w = *state;

        rows_start(w, 1, "", HOT "env: {ROW_TRACE: \"@dir@/trace\", ROW_THREAD: \"1\"}");
        rows_set_values(w, 1);
        world_log_wait(w, "it has more than one thread", 1);
        world_swap(w, "r0", NULL, WORLD_SPEC);
        assert_int_equal(executed(w, "process"), 2);
        assert_int_equal(executed(w, "zygote"), 1);
        rows_expect_values(w, 1, 1);
        world_end(w);
}

/* It comes to baton_child_open() in the zygote: that is refused, so that no code of the service runs there. */
static void ZYG_9_a_program_that_does_not_call_it_is_executed(void **state)
{
        struct world *w = *state;

        world_start(w, WORLD_PROBE "    strategy: hot\n    zygote: true\n");
        world_log_wait(w, "its children are executed meanwhile", 1);
        world_swap(w, "probe", NULL, WORLD_SPEC);
        world_end(w);
}

/* ---- nodes ---- */

static void ZYG_10_children_change_node_by_forks_of_the_nodes_own_zygote(void **state)
{
        struct world *w = *state;
        struct bt_ask ask;
        struct world_outcome outcome;

        world_start(w, "hub: w\n"
                       "distribution: {strategy: guided, map: {r: [blue, green]}}\n"
                       "nodes: {blue: {env: {NODE: blue}}, green: {env: {NODE: green}}}\n"
                       "children:\n  r: {exec: [\"@bin@/child_rows\"], instances: 6, " HOT
                       "env: {ROW_TRACE: \"@dir@/trace\", ROW_LISTEN: \"@dir@\"}}\n");
        world_log_wait(w, WARM, 1);
        ask = world_ask(w, BT_CTL_NODE_DRAIN, "blue", NULL, WORLD_SPEC);
        world_follow(&ask, &outcome);
        assert_int_equal(outcome.outcome, BT_CTL_OK);
        world_log_wait(w, WARM, 2);
        assert_int_equal(executed(w, "zygote"), 2);
        world_migrate(w, "r", NULL, WORLD_SPEC, &outcome);
        assert_int_equal(outcome.outcome, BT_CTL_OK);
        assert_int_equal(executed(w, "zygote"), 2);
        assert_true(executed(w, "process") <= 12); /* those of before green's was warm */
        world_end(w);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(
                        I8_a_forked_child_that_the_hub_has_not_heard_of_ends_with_it, world_setup,
                        world_teardown),
                cmocka_unit_test_setup_teardown(
                        ZYG_1_hot_successors_are_forked_with_state_and_sockets, world_setup,
                        world_teardown),
                cmocka_unit_test_setup_teardown(
                        ZYG_2_cold_successors_are_forked_with_state_and_sockets, world_setup,
                        world_teardown),
                cmocka_unit_test_setup_teardown(ZYG_3_a_crashed_child_is_forked_again_and_again,
                                                world_setup, world_teardown),
                cmocka_unit_test_setup_teardown(ZYG_4_a_pool_has_one, world_setup, world_teardown),
                cmocka_unit_test_setup_teardown(
                        a_forked_child_is_told_its_own_pid_and_leads_its_session, world_setup,
                        world_teardown),
                cmocka_unit_test_setup_teardown(
                        ZYG_5_without_its_zygote_a_child_is_executed_and_later_there_is_one_again,
                        world_setup, world_teardown),
                cmocka_unit_test_setup_teardown(
                        ZYG_6_a_zygote_that_dies_over_a_request_costs_nothing, world_setup,
                        world_teardown),
                cmocka_unit_test_setup_teardown(
                        ZYG_6_a_child_that_dies_before_its_hello_is_executed, world_setup,
                        world_teardown),
                cmocka_unit_test_setup_teardown(
                        ZYG_6_a_zygote_that_is_stopped_is_ended_and_its_child_executed, world_setup,
                        world_teardown),
                cmocka_unit_test_setup_teardown(
                        ZYG_7_with_the_hub_the_zygote_ends_and_its_children_are_adopted,
                        world_setup, world_teardown),
                cmocka_unit_test_setup_teardown(
                        ZYG_8_after_an_upgrade_the_old_zygote_ends_and_the_new_one_serves,
                        world_setup, world_teardown),
                cmocka_unit_test_setup_teardown(
                        ZYG_9_a_program_with_threads_is_refused_and_its_children_are_executed,
                        world_setup, world_teardown),
                cmocka_unit_test_setup_teardown(ZYG_9_a_program_that_does_not_call_it_is_executed,
                                                world_setup, world_teardown),
                cmocka_unit_test_setup_teardown(
                        ZYG_10_children_change_node_by_forks_of_the_nodes_own_zygote, world_setup,
                        world_teardown),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
