/* SPDX-License-Identifier: Apache-2.0 */
/*
 * supervisor/proc/spawn.c. Every process here is tests/support/child_spawn.c, which writes down what it was given; its standard output is a
 * memfd, read after its exit. So nothing is timed, and nothing but the kernel is between the two sides.
 *
 * links: pthread
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <linux/close_range.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/fd.h"
#include "supervisor/proc/proc.h"
#include "supervisor/proc/spawn.h"

/* ---- one child ---- */

static char child_path[4096];
static char *no_env[] = {NULL};
static char *report_argv[] = {(char *)"child", (char *)"report", NULL};

struct run {
        struct bt_spawn spawn;
        int out; /* memfd: fd 1 of the child */
        pid_t pid;
        enum bt_spawn_step step;
        struct bt_proc_exit how;
        char text[65536];
};

static struct run *run_new(void)
{
        struct run *run = calloc(1, sizeof(*run));

        assert_non_null(run);
        run->spawn = (struct bt_spawn)BT_SPAWN_NULL;
        run->spawn.exec_path = child_path;
        run->spawn.argv = report_argv;
        run->spawn.envp = no_env;
        run->out = memfd_create("out", MFD_CLOEXEC);
        assert_true(run->out >= 0);
        assert_int_equal(bt_spawn_move(&run->spawn, run->out, STDOUT_FILENO), 0);
        return run;
}

static void run_free(struct run *run)
{
        (void)bt_close(run->out);
        free(run);
}

/* Starts it, waits for its end, reads what it wrote. Returns what bt_spawn() did. */
static int run_go(struct run *run)
{
        int pidfd = -1;
        int r = bt_spawn(&run->spawn, &run->pid, &pidfd, &run->step);
        ssize_t bytes;

        if (r)
                return r;
        assert_int_equal(run->step, BT_SPAWN_STEP_NONE);
        assert_true(fcntl(pidfd, F_GETFD) & FD_CLOEXEC);
        assert_int_equal(bt_proc_wait(pidfd, &run->how), 0);
        (void)bt_close(pidfd);
        bytes = pread(run->out, run->text, sizeof(run->text) - 1, 0);
        assert_true(bytes >= 0);
        run->text[bytes] = '\0';
        return 0;
}

static void run_ok(struct run *run)
{
        assert_int_equal(run_go(run), 0);
        assert_int_equal(run->how.code, CLD_EXITED);
        assert_int_equal(run->how.status, 0);
}

/* Is @line one of the lines of the report? */
static bool said(const struct run *run, const char *line)
{
        size_t bytes = strlen(line);

        for (const char *at = run->text; (at = strstr(at, line)); at += bytes) {
                if ((at == run->text || at[-1] == '\n') && at[bytes] == '\n')
                        return true;
        }
        return false;
}

static void expect_line(const struct run *run, const char *line)
{
        if (!said(run, line))
                fail_msg("no line '%s' in:\n%s", line, run->text);
}

static int count_fds(const struct run *run)
{
        int count = 0;

        for (const char *at = run->text; (at = strstr(at, "fd ")); at += 3)
                count += at == run->text || at[-1] == '\n';
        return count;
}

static uintmax_t inode(int fd)
{
        struct stat st;

        assert_int_equal(fstat(fd, &st), 0);
        return st.st_ino;
}

static void expect_fd(const struct run *run, int fd, uintmax_t ino)
{
        char line[64];

        (void)snprintf(line, sizeof(line), "fd %d %ju 0", fd, ino);
        expect_line(run, line);
}

/* Nobody is left: neither running nor as a zombie. */
static void expect_no_children(void)
{
        siginfo_t info;

        assert_int_equal(waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT), -1);
        assert_int_equal(errno, ECHILD);
}

/* ---- what a process is given ---- */

static void a_child_gets_its_arguments_and_exactly_its_environment(void **state)
{
        struct run *run = run_new();
        char *argv[] = {(char *)"name of its own", (char *)"report", (char *)"two words", (char *)"", NULL};
        char *envp[] = {(char *)"A=1", (char *)"B=two words", NULL};

        (void)state;
        run->spawn.argv = argv;
        run->spawn.envp = envp;
        run_ok(run);
        expect_line(run, "arg 0 name of its own");
        expect_line(run, "arg 2 two words");
        expect_line(run, "arg 3 ");
        expect_line(run, "env A=1");
        expect_line(run, "env B=two words");
        assert_null(strstr(run->text, "env PATH"));
        run_free(run);
}

static void a_child_is_in_the_directory_it_was_given(void **state)
{
        struct run *run = run_new();

        (void)state;
        run->spawn.cwd = "/proc";
        run_ok(run);
        expect_line(run, "cwd /proc");
        run_free(run);
}

static void a_child_has_the_soft_limit_it_was_given(void **state)
{
        struct run *run = run_new();
        struct rlimit limit;
        char line[128];

        (void)state;
        assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
        run->spawn.nofile = 333;
        run_ok(run);
        (void)snprintf(line, sizeof(line), "nofile 333 %ju", (uintmax_t)limit.rlim_max);
        expect_line(run, line);
        run_free(run);
}

static void a_child_has_the_soft_limit_we_were_started_with_when_none_is_given(void **state)
{
        struct run *run = run_new();
        struct rlimit before, changed;
        char line[128];

        (void)state;
        assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
        changed = before;
        changed.rlim_cur = before.rlim_cur / 2;
        assert_int_equal(setrlimit(RLIMIT_NOFILE, &changed), 0);
        run_ok(run);
        assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
        (void)snprintf(line, sizeof(line), "nofile %ju %ju", (uintmax_t)before.rlim_cur,
                       (uintmax_t)before.rlim_max);
        expect_line(run, line);
        run_free(run);
}

static void a_child_can_lead_a_session_of_its_own(void **state)
{
        struct run *run = run_new();
        char line[64];

        (void)state;
        run->spawn.new_session = 1;
        run_ok(run);
        (void)snprintf(line, sizeof(line), "sid %d", (int)run->pid);
        expect_line(run, line);
        run_free(run);

        run = run_new();
        run_ok(run);
        (void)snprintf(line, sizeof(line), "sid %d", (int)getsid(0));
        expect_line(run, line);
        run_free(run);
}

static void a_child_finds_its_own_pid_in_the_room_for_it(void **state)
{
        struct run *run = run_new();
        char variable[] = "LISTEN_PID=xxxxxxxxxxx";
        char *envp[] = {variable, NULL};
        char line[64];

        (void)state;
        run->spawn.envp = envp;
        run->spawn.pid_room = variable + strlen("LISTEN_PID=");
        run_ok(run);
        (void)snprintf(line, sizeof(line), "env LISTEN_PID=%d", (int)run->pid);
        expect_line(run, line);
        (void)snprintf(line, sizeof(line), "pid %d", (int)run->pid);
        expect_line(run, line);
        run_free(run);
}

/* ---- signals ---- */

static void expect_default_signals(bool settled)
{
        struct run *run = run_new();
        sigset_t blocked, before, after;

        (void)signal(SIGPIPE, SIG_IGN);
        (void)signal(SIGUSR1, SIG_IGN);
        (void)signal(SIGRTMAX, SIG_IGN);
        if (settled)
                bt_spawn_signals_settled();
        (void)sigemptyset(&blocked);
        (void)sigaddset(&blocked, SIGTERM);
        (void)sigaddset(&blocked, SIGRTMAX);
        assert_int_equal(pthread_sigmask(SIG_BLOCK, &blocked, NULL), 0);
        assert_int_equal(pthread_sigmask(SIG_BLOCK, NULL, &before), 0);
        run_ok(run);
        assert_int_equal(pthread_sigmask(SIG_BLOCK, NULL, &after), 0);
        expect_line(run, "SigBlk 0000000000000000");
        expect_line(run, "SigIgn 0000000000000000");
        /* and ours are as they were */
        for (int signo = 1; signo <= SIGRTMAX; signo++)
                assert_int_equal(sigismember(&before, signo), sigismember(&after, signo));
        assert_ptr_equal(signal(SIGUSR1, SIG_DFL), SIG_IGN);
        assert_ptr_equal(signal(SIGPIPE, SIG_DFL), SIG_IGN);
        assert_ptr_equal(signal(SIGRTMAX, SIG_DFL), SIG_IGN);
        assert_int_equal(pthread_sigmask(SIG_UNBLOCK, &blocked, NULL), 0);
        run_free(run);
}

static void a_child_starts_with_default_signals_and_none_blocked(void **state)
{
        (void)state;
        expect_default_signals(false);
}

/* The last test: what comes after it changes no disposition. */
static void so_it_does_when_dispositions_are_settled(void **state)
{
        (void)state;
        expect_default_signals(true);
}

static pid_t our_pid;
static atomic_int calls_here, calls_elsewhere, storm_over;

static void count_call(int signo)
{
        (void)signo;
        if (syscall(SYS_getpid) == our_pid)
                atomic_fetch_add(&calls_here, 1);
        else
                atomic_fetch_add(&calls_elsewhere, 1);
}

/* To the whole group, the half-started child included. What has no handler there ignores SIGWINCH. */
static void *storm(void *arg)
{
        (void)arg;
        while (!atomic_load(&storm_over))
                (void)kill(0, SIGWINCH);
        return NULL;
}

static void no_handler_of_ours_runs_in_a_child(void **state)
{
        struct sigaction action = {.sa_handler = count_call, .sa_flags = SA_RESTART}, before;
        pthread_t thread;

        (void)state;
        our_pid = getpid();
        assert_int_equal(sigaction(SIGWINCH, &action, &before), 0);
        assert_int_equal(pthread_create(&thread, NULL, storm, NULL), 0);
        for (int i = 0; i < 40; i++) {
                struct run *run = run_new();

                run_ok(run);
                run_free(run);
        }
        atomic_store(&storm_over, 1);
        assert_int_equal(pthread_join(thread, NULL), 0);
        assert_int_equal(sigaction(SIGWINCH, &before, NULL), 0);
        assert_int_equal(atomic_load(&calls_elsewhere), 0);
        assert_true(atomic_load(&calls_here) > 0);
}

/* ---- descriptors ---- */

/* @count memfds at the numbers @first, @first + 1, ..., which must be free. */
static void files_open(int first, int count)
{
        for (int i = 0; i < count; i++) {
                int fd = memfd_create("source", MFD_CLOEXEC);

                assert_true(fd >= 0);
                if (fd == first + i)
                        continue;
                assert_int_equal(fcntl(first + i, F_GETFD), -1);
                assert_int_equal(dup3(fd, first + i, O_CLOEXEC), first + i);
                (void)bt_close(fd);
        }
}

static void files_close(int first, int count)
{
        for (int i = 0; i < count; i++)
                (void)bt_close(first + i);
}

/* Sources at @from.., targets at @to.., joined by @order; checks that each arrived, and nothing else did. */
static void check_moves(int from, int to, const int *order, int count)
{
        struct run *run = run_new();

        files_open(from, count);
        for (int i = 0; i < count; i++)
                assert_int_equal(bt_spawn_move(&run->spawn, from + i, to + order[i]), 0);
        run_ok(run);
        for (int i = 0; i < count; i++)
                expect_fd(run, to + order[i], inode(from + i));
        expect_fd(run, 1, inode(run->out));
        assert_int_equal(count_fds(run), 3 + count);
        files_close(from, count);
        run_free(run);
}

static void shuffle(int *order, int count, unsigned *seed)
{
        for (int i = 0; i < count; i++)
                order[i] = i;
        for (int i = count - 1; i > 0; i--) {
                int other = (int)((unsigned)rand_r(seed) % (unsigned)(i + 1));
                int kept = order[i];

                order[i] = order[other];
                order[other] = kept;
        }
}

/* The targets lie on the sources, half on them, below and above them, the pinned binary's and the output's numbers included. */
static void descriptors_arrive_in_any_permutation(void **state)
{
        static const int tos[] = {40, 44, 3, 80, 36};
        unsigned seed = 20240229;
        int order[8];

        (void)state;
        for (unsigned round = 0; round < 25; round++) {
                shuffle(order, 8, &seed);
                check_moves(40, tos[round % 5], order, 8);
        }
}

static void as_many_moves_as_there_is_room_for_arrive(void **state)
{
        int order[BT_SPAWN_FDS_MAX - 1];
        unsigned seed = 1;

        (void)state;
        shuffle(order, BT_SPAWN_FDS_MAX - 1, &seed); /* fd 1 is the 96th */
        check_moves(100, 60, order, BT_SPAWN_FDS_MAX - 1);
}

static void a_move_too_many_is_refused(void **state)
{
        struct bt_spawn spawn = BT_SPAWN_NULL;

        (void)state;
        for (int i = 0; i < BT_SPAWN_FDS_MAX; i++)
                assert_int_equal(bt_spawn_move(&spawn, 0, i), 0);
        assert_int_equal(bt_spawn_move(&spawn, 0, 500), -ENOSPC);
        assert_int_equal(spawn.move_count, BT_SPAWN_FDS_MAX);
}

static void a_move_of_no_descriptor_is_refused(void **state)
{
        struct bt_spawn spawn = BT_SPAWN_NULL;

        (void)state;
        assert_int_equal(bt_spawn_move(&spawn, -1, 3), -EBADF);
        assert_int_equal(bt_spawn_move(&spawn, 3, -1), -EBADF);
        assert_int_equal(spawn.move_count, 0);
}

static void one_source_may_go_to_many_targets_and_to_its_own_number(void **state)
{
        struct run *run = run_new();
        int fd = memfd_create("source", MFD_CLOEXEC);

        (void)state;
        assert_int_equal(bt_spawn_move(&run->spawn, fd, fd), 0);
        assert_int_equal(bt_spawn_move(&run->spawn, fd, fd + 1), 0);
        assert_int_equal(bt_spawn_move(&run->spawn, fd, 0), 0);
        run_ok(run);
        expect_fd(run, fd, inode(fd));
        expect_fd(run, fd + 1, inode(fd));
        expect_fd(run, 0, inode(fd));
        assert_int_equal(count_fds(run), 5);
        assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC); /* ours is as it was */
        (void)bt_close(fd);
        run_free(run);
}

static void without_moves_a_child_has_the_standard_three_only(void **state)
{
        struct run *run = run_new();
        int saved = fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 10);

        (void)state;
        (void)fflush(stdout);
        run->spawn.move_count = 0;
        assert_int_equal(dup2(run->out, STDOUT_FILENO), STDOUT_FILENO);
        run_ok(run);
        assert_int_equal(dup2(saved, STDOUT_FILENO), STDOUT_FILENO);
        (void)bt_close(saved);
        assert_int_equal(count_fds(run), 3);
        run_free(run);
}

/* A target above the child's own soft limit is no error: the limit is set last. */
static void a_target_may_be_above_the_limit_of_the_child(void **state)
{
        struct run *run = run_new();

        (void)state;
        run->spawn.nofile = 64;
        assert_int_equal(bt_spawn_move(&run->spawn, run->out, 90), 0);
        run_ok(run);
        expect_fd(run, 90, inode(run->out));
        run_free(run);
}

/* ---- the executable ---- */

static void copy_file(const char *from, const char *to)
{
        int in = open(from, O_RDONLY | O_CLOEXEC);
        int out = open(to, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0755);
        char buf[65536];
        ssize_t bytes;

        assert_true(in >= 0 && out >= 0);
        while ((bytes = read(in, buf, sizeof(buf))) > 0)
                assert_int_equal(bt_write_all(out, buf, (size_t)bytes), 0);
        (void)bt_close(in);
        (void)bt_close(out);
}

static void write_file(const char *path, const char *text, mode_t mode)
{
        int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0700);

        assert_true(fd >= 0);
        assert_int_equal(bt_write_all(fd, text, strlen(text)), 0);
        assert_int_equal(fchmod(fd, mode), 0);
        (void)bt_close(fd);
}

static char dir[64];

static const char *in_dir(char path[128], const char *name)
{
        (void)snprintf(path, 128, "%s/%s", dir, name);
        return path;
}

static void a_pinned_binary_runs_after_its_path_became_another_one(void **state)
{
        struct run *run = run_new();
        char path[128], other[128];
        int fd = -1, script = -1;

        (void)state;
        copy_file(child_path, in_dir(path, "binary"));
        assert_int_equal(bt_spawn_open_exec(&fd, &script, path), 0);
        assert_int_equal(script, 0);
        assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);
        write_file(in_dir(other, "other"), "#!/bin/false\n", 0755);
        assert_int_equal(rename(other, path), 0);
        run->spawn.exec_fd = fd;
        run->spawn.exec_path = path;
        run_ok(run);
        assert_int_equal(count_fds(run), 3);
        (void)bt_close(fd);
        assert_int_equal(unlink(path), 0);
        run_free(run);
}

/* Its descriptor lies where one of the child's shall be: it must not be trampled before exec. */
static void a_pinned_binary_may_have_the_number_of_a_target(void **state)
{
        struct run *run = run_new();
        int fd = -1, script = -1;

        (void)state;
        assert_int_equal(bt_spawn_open_exec(&fd, &script, child_path), 0);
        run->spawn.exec_fd = fd;
        assert_int_equal(bt_spawn_move(&run->spawn, run->out, fd), 0);
        run_ok(run);
        expect_fd(run, fd, inode(run->out));
        (void)bt_close(fd);
        run_free(run);
}

static void a_script_is_recognised_and_runs_by_its_path(void **state)
{
        struct run *run = run_new();
        char path[128], text[8192];
        int fd = -1, script = -1;

        (void)state;
        (void)snprintf(text, sizeof(text), "#!/bin/sh\nexec %s report from-script\n", child_path);
        write_file(in_dir(path, "script"), text, 0755);
        assert_int_equal(bt_spawn_open_exec(&fd, &script, path), 0);
        assert_int_equal(script, 1);
        fd = bt_close(fd);
        run->spawn.exec_path = path;
        run_ok(run);
        expect_line(run, "arg 2 from-script");
        assert_int_equal(unlink(path), 0);
        run_free(run);
}

static void what_cannot_be_executed_is_refused_at_open(void **state)
{
        char path[128];
        int fd = -7, script = -7;

        (void)state;
        assert_int_equal(bt_spawn_open_exec(&fd, &script, in_dir(path, "absent")), -ENOENT);
        assert_int_equal(bt_spawn_open_exec(&fd, &script, dir), -EISDIR);
        write_file(in_dir(path, "plain"), "text", 0644);
        assert_int_equal(bt_spawn_open_exec(&fd, &script, path), -EACCES);
        assert_int_equal(unlink(path), 0);
        assert_int_equal(mkfifo(path, 0755), 0);
        assert_int_equal(bt_spawn_open_exec(&fd, &script, path), -EACCES);
        assert_int_equal(unlink(path), 0);
        assert_int_equal(fd, -7); /* written only on success */
        assert_int_equal(script, -7);
}

/* ---- failures ---- */

/* The call fails with @error at @step, and leaves no process, no descriptor, no changed mask. */
static void expect_failure(struct run *run, int error, enum bt_spawn_step step)
{
        int before = bt_fd_count();
        sigset_t mask;

        assert_int_equal(run_go(run), error);
        assert_int_equal(run->step, step);
        assert_int_equal(bt_fd_count(), before);
        expect_no_children();
        assert_int_equal(pthread_sigmask(SIG_BLOCK, NULL, &mask), 0);
        assert_int_equal(sigismember(&mask, SIGTERM), 0);
        run_free(run);
}

static void a_missing_executable_is_reported(void **state)
{
        struct run *run = run_new();
        char path[128];

        (void)state;
        run->spawn.exec_path = in_dir(path, "absent");
        expect_failure(run, -ENOENT, BT_SPAWN_STEP_EXEC);
}

static void a_description_without_executable_is_refused(void **state)
{
        struct run *run = run_new();

        (void)state;
        run->spawn.exec_path = NULL;
        expect_failure(run, -EINVAL, BT_SPAWN_STEP_EXEC);
}

static void a_file_that_may_not_be_executed_is_reported(void **state)
{
        struct run *run = run_new();
        char path[128];

        (void)state;
        write_file(in_dir(path, "plain"), "text", 0644);
        run->spawn.exec_path = path;
        expect_failure(run, -EACCES, BT_SPAWN_STEP_EXEC);
        assert_int_equal(unlink(path), 0);
}

static void a_file_that_is_no_program_is_reported_by_path_and_by_descriptor(void **state)
{
        struct run *run = run_new();
        char path[128];
        int fd = -1, script = -1;

        (void)state;
        write_file(in_dir(path, "nothing"), "neither ELF nor script", 0755);
        run->spawn.exec_path = path;
        expect_failure(run, -ENOEXEC, BT_SPAWN_STEP_EXEC);

        run = run_new();
        assert_int_equal(bt_spawn_open_exec(&fd, &script, path), 0);
        assert_int_equal(script, 0);
        run->spawn.exec_fd = fd;
        expect_failure(run, -ENOEXEC, BT_SPAWN_STEP_EXEC);
        (void)bt_close(fd);
        assert_int_equal(unlink(path), 0);
}

static void a_closed_source_is_reported_below_and_above_the_targets(void **state)
{
        struct run *run = run_new();

        (void)state;
        assert_int_equal(bt_spawn_move(&run->spawn, 50, 60), 0);
        expect_failure(run, -EBADF, BT_SPAWN_STEP_FDS);
        run = run_new();
        assert_int_equal(bt_spawn_move(&run->spawn, 60, 50), 0);
        expect_failure(run, -EBADF, BT_SPAWN_STEP_FDS);
}

static void a_missing_directory_is_reported(void **state)
{
        struct run *run = run_new();
        char path[128];

        (void)state;
        run->spawn.cwd = in_dir(path, "absent");
        expect_failure(run, -ENOENT, BT_SPAWN_STEP_CWD);
}

static void a_limit_above_the_hard_one_is_reported(void **state)
{
        struct run *run = run_new();
        struct rlimit limit;

        (void)state;
        assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
        run->spawn.nofile = (uint64_t)limit.rlim_max + 1;
        expect_failure(run, -EINVAL, BT_SPAWN_STEP_LIMITS);
}

static void a_failure_is_reported_also_where_sigchld_is_ignored(void **state)
{
        struct run *run = run_new();
        char path[128];

        (void)state;
        (void)signal(SIGCHLD, SIG_IGN);
        run->spawn.exec_path = in_dir(path, "absent");
        expect_failure(run, -ENOENT, BT_SPAWN_STEP_EXEC);
        (void)signal(SIGCHLD, SIG_DFL);
}

static void each_step_has_a_name(void **state)
{
        (void)state;
        for (int step = 0; step < _BT_SPAWN_STEP_N; step++) {
                assert_non_null(bt_spawn_step_name((enum bt_spawn_step)step));
                for (int other = 0; other < step; other++)
                        assert_string_not_equal(bt_spawn_step_name((enum bt_spawn_step)step),
                                                bt_spawn_step_name((enum bt_spawn_step)other));
        }
        assert_string_equal(bt_spawn_step_name((enum bt_spawn_step)99), "unknown step");
}

/* ---- many, and big ---- */

static void a_parent_with_much_memory_spawns_as_any_other(void **state)
{
        size_t bytes = (size_t)200 << 20;
        unsigned char *much = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
                                   MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);

        (void)state;
        assert_ptr_not_equal(much, MAP_FAILED);
        memset(much, 0x5a, bytes);
        for (int i = 0; i < 10; i++) {
                struct run *run = run_new();

                run_ok(run);
                run_free(run);
        }
        /* It ran in our memory and left it alone. */
        for (size_t at = 0; at < bytes; at += 4096)
                assert_int_equal(much[at], 0x5a);
        assert_int_equal(munmap(much, bytes), 0);
}

/* No cmocka in these: it is for one thread. */
static void *spawn_some(void *arg)
{
        char *argv[] = {(char *)"child", (char *)"exit", (char *)"7", NULL};
        atomic_int *good = arg;

        for (int i = 0; i < 20; i++) {
                struct bt_spawn spawn = BT_SPAWN_NULL;
                struct bt_proc_exit how = {0};
                enum bt_spawn_step step;
                int pidfd = -1;
                pid_t pid;

                spawn.exec_path = child_path;
                spawn.argv = argv;
                spawn.envp = no_env;
                if (bt_spawn(&spawn, &pid, &pidfd, &step) == 0 && bt_proc_wait(pidfd, &how) == 0 &&
                    how.code == CLD_EXITED && how.status == 7)
                        atomic_fetch_add(good, 1);
                (void)bt_close(pidfd);
        }
        return NULL;
}

static void threads_may_spawn_at_the_same_time(void **state)
{
        atomic_int good = 0;
        pthread_t threads[4];

        (void)state;
        for (int i = 0; i < 4; i++)
                assert_int_equal(pthread_create(&threads[i], NULL, spawn_some, &good), 0);
        for (int i = 0; i < 4; i++)
                assert_int_equal(pthread_join(threads[i], NULL), 0);
        assert_int_equal(atomic_load(&good), 80);
}

/* ---- around each test ---- */

static int fds_before;

static int test_begin(void **state)
{
        (void)state;
        fds_before = bt_fd_count();
        return 0;
}

static int test_end(void **state)
{
        (void)state;
        assert_int_equal(bt_fd_count(), fds_before);
        expect_no_children();
        return 0;
}

#define T(name) cmocka_unit_test_setup_teardown(name, test_begin, test_end)

int main(void)
{
        const struct CMUnitTest tests[] = {
                T(a_child_gets_its_arguments_and_exactly_its_environment),
                T(a_child_is_in_the_directory_it_was_given),
                T(a_child_has_the_soft_limit_it_was_given),
                T(a_child_has_the_soft_limit_we_were_started_with_when_none_is_given),
                T(a_child_can_lead_a_session_of_its_own),
                T(a_child_finds_its_own_pid_in_the_room_for_it),
                T(a_child_starts_with_default_signals_and_none_blocked),
                T(no_handler_of_ours_runs_in_a_child),
                T(descriptors_arrive_in_any_permutation),
                T(as_many_moves_as_there_is_room_for_arrive),
                T(a_move_too_many_is_refused),
                T(a_move_of_no_descriptor_is_refused),
                T(one_source_may_go_to_many_targets_and_to_its_own_number),
                T(without_moves_a_child_has_the_standard_three_only),
                T(a_target_may_be_above_the_limit_of_the_child),
                T(a_pinned_binary_runs_after_its_path_became_another_one),
                T(a_pinned_binary_may_have_the_number_of_a_target),
                T(a_script_is_recognised_and_runs_by_its_path),
                T(what_cannot_be_executed_is_refused_at_open),
                T(a_missing_executable_is_reported),
                T(a_description_without_executable_is_refused),
                T(a_file_that_may_not_be_executed_is_reported),
                T(a_file_that_is_no_program_is_reported_by_path_and_by_descriptor),
                T(a_closed_source_is_reported_below_and_above_the_targets),
                T(a_missing_directory_is_reported),
                T(a_limit_above_the_hard_one_is_reported),
                T(a_failure_is_reported_also_where_sigchld_is_ignored),
                T(each_step_has_a_name),
                T(a_parent_with_much_memory_spawns_as_any_other),
                T(threads_may_spawn_at_the_same_time),
                T(so_it_does_when_dispositions_are_settled),
        };
        const char *bin = getenv("BATON_BIN_DIR");
        int r;

        (void)snprintf(child_path, sizeof(child_path), "%s/child_spawn", bin ? bin : BATON_BIN_DIR);
        /* A group of our own, for the storm; and nothing of whoever started us may leak into what is counted. */
        (void)setpgid(0, 0);
        (void)syscall(SYS_close_range, 3, ~0U, CLOSE_RANGE_CLOEXEC);
        (void)snprintf(dir, sizeof(dir), "/tmp/baton-test-spawn-XXXXXX");
        if (!mkdtemp(dir))
                return 1;
        r = cmocka_run_group_tests(tests, NULL, NULL);
        (void)rmdir(dir);
        return r;
}
