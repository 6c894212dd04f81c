/* SPDX-License-Identifier: Apache-2.0 */
/* supervisor/proc/proc.c, on real processes: tests/support/child_spawn.c. A child says "ready" on a pipe where a test must know that it runs. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/fd.h"
#include "supervisor/proc/proc.h"

/* ThreadSanitizer has a thread of its own in each process. */
#define THREADS_OF_ONE 1
#if defined(__has_feature)
#if __has_feature(thread_sanitizer)
#undef THREADS_OF_ONE
#define THREADS_OF_ONE 2
#endif
#endif
#ifdef __SANITIZE_THREAD__
#undef THREADS_OF_ONE
#define THREADS_OF_ONE 2
#endif

static char child_path[4096];

struct child {
        pid_t pid;
        int pidfd;
};

/* @out: fd 1 of the child, or -1 for ours. */
static struct child child_start(const char *what, const char *value, int out)
{
        char *argv[] = {(char *)"child", (char *)what, (char *)value, NULL};
        char *envp[] = {NULL};
        struct bt_spawn spawn = BT_SPAWN_NULL;
        struct child child = {.pidfd = -1};
        enum bt_spawn_step step;

        spawn.exec_path = child_path;
        spawn.argv = argv;
        spawn.envp = envp;
        if (out >= 0)
                assert_int_equal(bt_spawn_move(&spawn, out, STDOUT_FILENO), 0);
        assert_int_equal(bt_spawn(&spawn, &child.pid, &child.pidfd, &step), 0);
        return child;
}

/* Starts it and returns when it has said that it is there. */
static struct child child_start_ready(const char *what, const char *value)
{
        int ends[2];
        struct child child;
        char text[5];

        assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
        child = child_start(what, value, ends[1]);
        (void)bt_close(ends[1]);
        assert_int_equal(read(ends[0], text, sizeof(text)), 5);
        assert_memory_equal(text, "ready", 5);
        (void)bt_close(ends[0]);
        return child;
}

static struct bt_proc_exit child_end(struct child child)
{
        struct bt_proc_exit how = {0};

        assert_int_equal(bt_proc_wait(child.pidfd, &how), 0);
        (void)bt_close(child.pidfd);
        return how;
}

static void expect_text(struct bt_proc_exit how, const char *expected)
{
        char text[128];

        assert_ptr_equal(bt_proc_exit_text(&how, text, sizeof(text)), text);
        assert_string_equal(text, expected);
}

static void an_exit_status_is_reported(void **state)
{
        struct bt_proc_exit how = child_end(child_start("exit", "3", -1));

        (void)state;
        assert_int_equal(how.code, CLD_EXITED);
        assert_int_equal(how.status, 3);
        expect_text(how, "exit 3");
        expect_text(child_end(child_start("exit", "0", -1)), "exit 0");
        expect_text(child_end(child_start("exit", "255", -1)), "exit 255");
}

static void a_death_by_signal_is_reported(void **state)
{
        struct child child = child_start_ready("pause", NULL);

        (void)state;
        assert_int_equal(bt_proc_signal(child.pidfd, SIGKILL), 0);
        expect_text(child_end(child), "signal 9 (Killed)");
        child = child_start_ready("pause", NULL);
        assert_int_equal(bt_proc_signal(child.pidfd, SIGTERM), 0);
        expect_text(child_end(child), "signal 15 (Terminated)");
}

static void texts_name_what_is_known_and_nothing_else(void **state)
{
        char text[8];
        struct bt_proc_exit how = {.code = CLD_KILLED, .status = SIGKILL};

        (void)state;
        expect_text((struct bt_proc_exit){.code = CLD_DUMPED, .status = SIGSEGV},
                    "signal 11 (Segmentation fault), core dumped");
        expect_text((struct bt_proc_exit){.code = CLD_KILLED, .status = SIGRTMAX}, "signal 64");
        expect_text((struct bt_proc_exit){.code = CLD_STOPPED, .status = 19},
                    "unknown end (code 5, status 19)");
        /* cut off, never overrun */
        assert_string_equal(bt_proc_exit_text(&how, text, sizeof(text)), "signal ");
}

static void reaping_a_running_process_says_so_and_does_not_wait(void **state)
{
        struct child child = child_start_ready("pause", NULL);
        struct bt_proc_exit how = {.code = -1, .status = -1};

        (void)state;
        assert_int_equal(bt_proc_reap(child.pidfd, &how), -EAGAIN);
        assert_int_equal(how.code, -1);
        assert_int_equal(bt_proc_signal(child.pidfd, SIGKILL), 0);
        (void)child_end(child);
}

static void a_process_is_reaped_once(void **state)
{
        struct child child = child_start("exit", "9", -1);
        struct pollfd poll_in = {.fd = child.pidfd, .events = POLLIN};
        struct bt_proc_exit how = {0};

        (void)state;
        assert_int_equal(poll(&poll_in, 1, 30000), 1);
        assert_int_equal(bt_proc_reap(child.pidfd, &how), 0);
        assert_int_equal(how.status, 9);
        assert_int_equal(bt_proc_reap(child.pidfd, &how), -ECHILD);
        assert_int_equal(bt_proc_wait(child.pidfd, &how), -ECHILD);
        /* No zombie, and a signal finds nobody. */
        assert_int_equal(bt_proc_signal(child.pidfd, SIGTERM), -ESRCH);
        assert_int_equal(kill(child.pid, 0), -1);
        (void)bt_close(child.pidfd);
}

static void a_descriptor_that_is_no_process_is_refused(void **state)
{
        struct bt_proc_exit how;

        (void)state;
        assert_int_equal(bt_proc_signal(-1, SIGTERM), -EBADF);
        assert_int_equal(bt_proc_signal(STDIN_FILENO, SIGTERM), -EBADF);
        assert_true(bt_proc_reap(-1, &how) < 0);
        assert_int_equal(bt_proc_reap(STDIN_FILENO, &how), -EBADF);
}

static void signal_0_asks_whether_it_is_there(void **state)
{
        struct child child = child_start_ready("pause", NULL);

        (void)state;
        assert_int_equal(bt_proc_signal(child.pidfd, 0), 0);
        assert_int_equal(bt_proc_signal(child.pidfd, 1000), -EINVAL);
        assert_int_equal(bt_proc_signal(child.pidfd, SIGKILL), 0);
        (void)child_end(child);
}

static void threads_are_counted_until_the_process_is_reaped(void **state)
{
        struct child child = child_start_ready("threads", "3");
        struct pollfd poll_in = {.fd = child.pidfd, .events = POLLIN};
        struct bt_proc_exit how;

        (void)state;
        assert_int_equal(bt_proc_threads(child.pid), THREADS_OF_ONE + 3);
        assert_int_equal(bt_proc_signal(child.pidfd, SIGKILL), 0);
        assert_int_equal(poll(&poll_in, 1, 30000), 1);
        /* A zombie is the leader alone. */
        assert_int_equal(bt_proc_threads(child.pid), 1);
        assert_int_equal(bt_proc_reap(child.pidfd, &how), 0);
        assert_int_equal(bt_proc_threads(child.pid), -ESRCH);
        (void)bt_close(child.pidfd);
}

static void a_single_thread_is_one(void **state)
{
        struct child child = child_start_ready("pause", NULL);

        (void)state;
        assert_in_range(bt_proc_threads(child.pid), 1, THREADS_OF_ONE); /* the sanitizer's starts when it likes */
        assert_int_equal(bt_proc_signal(child.pidfd, SIGKILL), 0);
        (void)child_end(child);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(an_exit_status_is_reported),
                cmocka_unit_test(a_death_by_signal_is_reported),
                cmocka_unit_test(texts_name_what_is_known_and_nothing_else),
                cmocka_unit_test(reaping_a_running_process_says_so_and_does_not_wait),
                cmocka_unit_test(a_process_is_reaped_once),
                cmocka_unit_test(a_descriptor_that_is_no_process_is_refused),
                cmocka_unit_test(signal_0_asks_whether_it_is_there),
                cmocka_unit_test(threads_are_counted_until_the_process_is_reaped),
                cmocka_unit_test(a_single_thread_is_one),
        };
        const char *bin = getenv("BATON_BIN_DIR");

        (void)snprintf(child_path, sizeof(child_path), "%s/child_spawn", bin ? bin : BATON_BIN_DIR);
        return cmocka_run_group_tests(tests, NULL, NULL);
}
