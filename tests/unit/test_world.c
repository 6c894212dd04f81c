/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The harness of the scenarios, tested to notice what it is there to notice: each kind of leak is made on purpose, and world_finish() must
 * name it. A harness that passes everything would make every scenario pass.
 *
 * links: cmocka, and the programs batond_testing and child_probe
 */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/support/world.h"

#define SLEEPER                                                                                    \
        "hub: w\n"                                                                                 \
        "children:\n"                                                                              \
        "  sleeper:\n"                                                                             \
        "    exec: [/bin/sleep, '1000']\n"                                                         \
        "    protocol: plain\n"

static void expect_problem(struct world *w, const char *text)
{
        const char *found = world_finish(w);

        if (!strstr(found, text))
                fail_msg("expected a problem with '%s', found '%s'", text, found);
        w->problem[0] = '\0'; /* expected: no need to show the log */
}

static void a_world_that_was_cleared_away_has_no_problem(void **state)
{
        struct world *w = *state;
        struct bt_slot slot;

        world_start(w, SLEEPER);
        world_slot(w, "sleeper", &slot);
        assert_int_equal(slot.phase, BT_PHASE_RUNNING);
        assert_true(world_runs(slot.pid));
        assert_string_equal(world_finish(w), "");
        assert_false(world_runs(slot.pid));
}

static void an_open_descriptor_is_a_problem(void **state)
{
        struct world *w = *state;
        int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);

        world_start(w, SLEEPER);
        expect_problem(w, "descriptors are open");
        (void)close(fd);
}

/* Started in a session of its own by a shell that ends at once: it is nobody's child but ours. */
static void a_process_that_outlives_the_hub_is_a_problem(void **state)
{
        struct world *w = *state;
        char *argv[] = {(char[]){"/bin/sh"}, (char[]){"-c"}, (char[]){"setsid sleep 1000 & echo started"}, NULL};

        world_start(w, SLEEPER);
        assert_int_equal(world_wait(world_spawn(w, argv, "sh.log")), 0);
        expect_problem(w, "outlived the hub");
        assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
}

static void children_of_a_killed_hub_are_a_problem(void **state)
{
        struct world *w = *state;

        world_start(w, SLEEPER);
        world_kill_hub(w);
        expect_problem(w, "outlived the hub");
}

static void a_zombie_is_a_problem(void **state)
{
        struct world *w = *state;
        char *argv[] = {(char[]){"/bin/true"}, NULL};
        siginfo_t info;
        pid_t pid;

        world_start(w, SLEEPER);
        pid = world_spawn(w, argv, "true.log");
        assert_int_equal(waitid(P_PID, (id_t)pid, &info, WEXITED | WNOWAIT), 0);
        expect_problem(w, "zombie");
}

static void a_file_in_the_runtime_directory_is_a_problem(void **state)
{
        struct world *w = *state;
        char path[256];
        int fd;

        world_start(w, SLEEPER);
        (void)snprintf(path, sizeof(path), "%s/run/%s/left", w->dir, w->hub);
        fd = open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
        assert_true(fd >= 0);
        (void)close(fd);
        expect_problem(w, "holds 'left'");
}

/* The testing daemon leaves in the middle of the stop. Its child is left behind, too, but the status is found first. */
static void a_hub_that_ends_with_another_status_is_a_problem(void **state)
{
        struct world *w = *state;

        w->hub_env = "BATON_EXIT_AT=store.put.begin";
        world_start(w, "hub: w\nchildren:\n  probe:\n    exec: [@bin@/child_probe]\n    handover: true\n    state: {form: blob}\n");
        expect_problem(w, "ended with 42");
}

/* ---- the watchdog: in a process that it may end, which is this program once more ---- */

static int watchdog_victim(void)
{
        char *sleeper[] = {(char[]){"/bin/sleep"}, (char[]){"1000"}, NULL};
        void *state = NULL;
        struct world *w;
        char path[128];
        FILE *log;

        if (world_setup(&state))
                return 2;
        w = state;
        (void)snprintf(path, sizeof(path), "%s/hub.log", w->dir);
        log = fopen(path, "we");
        if (!log)
                return 2;
        (void)fputs("the last words\n", log);
        (void)fclose(log);
        (void)printf("dir %s\nchild %d\n", w->dir, (int)world_spawn(w, sleeper, "out"));
        (void)fflush(stdout);
        (void)raise(SIGALRM);
        return 3;
}

static void the_watchdog_ends_everything_and_shows_the_log(void **state)
{
        struct world *w = *state;
        char *argv[] = {(char[]){"/proc/self/exe"}, (char[]){"watchdog"}, NULL};
        static const char *const left[] = {"hub.log", "out", "run", "state"};
        char self[512], text[WORLD_TEXT_BYTES], dir[64] = "", path[128];
        ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);
        int pid = 0;

        assert_true(n > 0);
        self[n] = '\0';
        argv[0] = self;
        assert_int_equal(world_wait(world_spawn(w, argv, "out")), 1);
        world_read(w, "out", text, sizeof(text));
        assert_int_equal(sscanf(text, "dir %63s", dir), 1);
        assert_non_null(strstr(text, "\nchild "));
        pid = (int)strtol(strstr(text, "\nchild ") + 7, NULL, 10);
        assert_true(pid > 0);
        assert_non_null(strstr(text, "the watchdog ends this test"));
        assert_non_null(strstr(text, "the last words"));
        assert_false(world_runs(pid));
        for (size_t i = 0; i < sizeof(left) / sizeof(left[0]); i++) {
                (void)snprintf(path, sizeof(path), "%s/%s", dir, left[i]);
                assert_int_equal(remove(path), 0);
        }
        assert_int_equal(rmdir(dir), 0); /* the watchdog leaves it to look at; we have looked */
        assert_string_equal(world_finish(w), "");
}

#define WORLD_TEST(name) cmocka_unit_test_setup_teardown(name, world_setup, world_teardown)

int main(int argc, char **argv)
{
        const struct CMUnitTest tests[] = {
                WORLD_TEST(a_world_that_was_cleared_away_has_no_problem),
                WORLD_TEST(an_open_descriptor_is_a_problem),
                WORLD_TEST(a_process_that_outlives_the_hub_is_a_problem),
                WORLD_TEST(children_of_a_killed_hub_are_a_problem),
                WORLD_TEST(a_zombie_is_a_problem),
                WORLD_TEST(a_file_in_the_runtime_directory_is_a_problem),
                WORLD_TEST(a_hub_that_ends_with_another_status_is_a_problem),
                WORLD_TEST(the_watchdog_ends_everything_and_shows_the_log),
        };

        if (argc > 1 && !strcmp(argv[1], "watchdog"))
                return watchdog_victim();
        return cmocka_run_group_tests_name("world", tests, NULL, NULL);
}
