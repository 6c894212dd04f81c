/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Processes and files of a world: the watchdog, orphans, programs beside the hub, the log.
 *
 * Every process that a test causes is our descendant and stays one: children of the hub make sessions of their own, but when their parent dies they come to us,
 * because we are a subreaper. So "kill all" is a loop: kill the children there are, reap, until there is none. The watchdog runs the same
 * loop in a signal handler, which is why it uses system calls only.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fd.h"
#include "tests/support/world_internal.h"

/* ---- time ---- */

uint64_t world_now_ms(void)
{
        return bt_now_ns() / BT_NS_PER_MS;
}

bool world_again(uint64_t deadline_ms)
{
        const struct timespec moment = {.tv_nsec = 1000000};

        if (world_now_ms() >= deadline_ms)
                return false;
        (void)nanosleep(&moment, NULL);
        return true;
}

/* ---- all our children: async-signal-safe ---- */

/* Sends @signo to each child of this process; returns how many there are. */
static int children_signal(int signo)
{
        char path[] = "/proc/self/task/0000000000/children", list[4096];
        long tid = syscall(SYS_gettid);
        int fd, count = 0;
        ssize_t n;
        pid_t pid = 0;

        for (int i = 25; i > 15; i--, tid /= 10)
                path[i] = (char)('0' + tid % 10);
        /* No leading zeros in /proc. */
        while (path[16] == '0')
                memmove(path + 16, path + 17, sizeof(path) - 17);
        fd = open(path, O_RDONLY | O_CLOEXEC);
        n = fd < 0 ? -1 : read(fd, list, sizeof(list));
        for (ssize_t i = 0; i < n; i++) {
                if (list[i] >= '0' && list[i] <= '9') {
                        pid = pid * 10 + (list[i] - '0');
                        continue;
                }
                if (pid > 0) {
                        (void)kill(pid, signo);
                        count++;
                }
                pid = 0;
        }
        if (fd >= 0)
                (void)close(fd);
        return count;
}

bool world_is_keeper(pid_t pid)
{
        char path[64], name[32] = "";
        FILE *file;

        (void)snprintf(path, sizeof(path), "/proc/%d/comm", (int)pid);
        file = fopen(path, "re");
        if (file)
                (void)!fgets(name, sizeof(name), file);
        if (file)
                (void)fclose(file);
        return !strcmp(name, "baton-keeper\n");
}

int world_reap_all(bool keepers)
{
        siginfo_t info = {0};
        int reaped = 0;

        for (;;) {
                if (waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) < 0)
                        return reaped; /* ECHILD */
                if (!info.si_pid) {
                        (void)children_signal(SIGKILL);
                        if (waitid(P_ALL, 0, &info, WEXITED | WNOWAIT) < 0)
                                return reaped;
                }
                reaped += keepers || !world_is_keeper(info.si_pid);
                (void)waitpid(info.si_pid, NULL, 0);
                info.si_pid = 0;
        }
}

int world_reap_orphans(void)
{
        return world_reap_all(false);
}

/* ---- the watchdog ---- */

static char watched_log[128];

static void on_alarm(int signo)
{
        static const char text[] = "\nthe watchdog ends this test; the hub's log:\n";
        char buffer[4096];
        ssize_t n;
        int fd = open(watched_log, O_RDONLY | O_CLOEXEC);

        (void)signo;
        (void)!write(STDERR_FILENO, text, sizeof(text) - 1);
        while (fd >= 0 && (n = read(fd, buffer, sizeof(buffer))) > 0)
                (void)!write(STDERR_FILENO, buffer, (size_t)n);
        while (children_signal(SIGKILL) > 0)
                (void)waitpid(-1, NULL, 0);
        _exit(1);
}

void world_watch(const struct world *w)
{
        struct sigaction action = {.sa_handler = w ? on_alarm : SIG_DFL};

        if (w)
                (void)snprintf(watched_log, sizeof(watched_log), "%s/hub.log", w->dir);
        (void)sigaction(SIGALRM, &action, NULL);
}

void world_limit(unsigned seconds)
{
        (void)alarm(seconds);
}

/* ---- files ---- */

void world_program(const struct world *w, char path[640], const char *name)
{
        if (name[0] == '/')
                (void)snprintf(path, 640, "%s", name);
        else
                (void)snprintf(path, 640, "%s/%s", w->bin, name);
}

/* @guard: a command that must succeed for @env to be set; "": always. */
static void write_script(const struct world *w, char path[256], const char *name, const char *guard, const char *env, const char *program)
{
        char real[640];
        FILE *file;

        world_program(w, real, program);
        (void)snprintf(path, 256, "%s/%s", w->dir, name);
        file = fopen(path, "we");
        assert_non_null(file);
        (void)fprintf(file, "#!/bin/sh\n%s%s%s\nexec %s\n", guard, *env ? "export " : "", env, real);
        assert_int_equal(fchmod(fileno(file), 0700), 0);
        assert_int_equal(fclose(file), 0);
}

void world_script(const struct world *w, char path[256], const char *name, const char *env, const char *program)
{
        write_script(w, path, name, "", env, program);
}

void world_script_once(const struct world *w, char path[256], const char *name, const char *env, const char *program)
{
        char guard[256];

        /* A shell that is killed while a command of its own runs leaves that behind, and the hub knows nothing of it: so it runs none. */
        (void)snprintf(guard, sizeof(guard), "set -C\ntrue 2>/dev/null >%s/%s.once && ", w->dir, name);
        write_script(w, path, name, guard, env, program);
}

void world_read(const struct world *w, const char *name, char *text, size_t bytes)
{
        char path[256];
        size_t used = 0;
        ssize_t n;
        int fd;

        (void)snprintf(path, sizeof(path), "%s/%s", w->dir, name);
        fd = open(path, O_RDONLY | O_CLOEXEC);
        while (fd >= 0 && used < bytes - 1 && (n = read(fd, text + used, bytes - 1 - used)) > 0)
                used += (size_t)n;
        text[used] = '\0';
        (void)bt_close(fd);
}

void world_file_wait(const struct world *w, const char *name, char *text, size_t bytes)
{
        uint64_t deadline = world_now_ms() + WORLD_WAIT_MS;

        for (world_read(w, name, text, bytes); !strchr(text, '\n'); world_read(w, name, text, bytes)) {
                if (!world_again(deadline))
                        fail_msg("the file %s has no line", name);
        }
        text[strcspn(text, "\n")] = '\0';
}

/* ---- the log ---- */

int world_log_count(const struct world *w, const char *text)
{
        const size_t room = 4u << 20;
        char *log = malloc(room);
        int count = 0;

        assert_non_null(log);
        world_read(w, "hub.log", log, room);
        for (const char *line = log; *line;) {
                size_t bytes = strcspn(line, "\n");

                count += memmem(line, bytes, text, strlen(text)) != NULL;
                line += bytes + (line[bytes] == '\n');
        }
        free(log);
        return count;
}

bool world_log_has(const struct world *w, const char *text)
{
        return world_log_count(w, text) > 0;
}

/* The watch is made before the file is read, so a line that comes in between wakes us. */
void world_log_wait(const struct world *w, const char *text, int times)
{
        uint64_t deadline = world_now_ms() + WORLD_WAIT_MS;
        int fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
        char path[128], events[4096];

        (void)snprintf(path, sizeof(path), "%s/hub.log", w->dir);
        assert_true(inotify_add_watch(fd, path, IN_MODIFY) >= 0);
        while (world_log_count(w, text) < times) {
                struct pollfd change = {.fd = fd, .events = POLLIN};
                uint64_t now = world_now_ms();

                if (now >= deadline || poll(&change, 1, (int)(deadline - now)) < 1)
                        fail_msg("the log has no (%d.) line with '%s'", times, text);
                (void)!read(fd, events, sizeof(events));
        }
        (void)close(fd);
}

/* ---- other processes ---- */

pid_t world_spawn(const struct world *w, char *const argv[], const char *out)
{
        posix_spawn_file_actions_t actions;
        char path[256];
        pid_t pid = 0;
        int r;

        (void)snprintf(path, sizeof(path), "%s/%s", w->dir, out);
        assert_int_equal(posix_spawn_file_actions_init(&actions), 0);
        (void)posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
        (void)posix_spawn_file_actions_addopen(&actions, 1, path, O_WRONLY | O_CREAT | O_TRUNC | O_APPEND, 0600);
        (void)posix_spawn_file_actions_adddup2(&actions, 1, 2);
        (void)posix_spawn_file_actions_addclosefrom_np(&actions, 3);
        (void)posix_spawn_file_actions_addchdir_np(&actions, w->dir);
        r = posix_spawnp(&pid, argv[0], &actions, NULL, argv, environ);
        (void)posix_spawn_file_actions_destroy(&actions);
        if (r)
                fail_msg("%s: %s", argv[0], strerrordesc_np(r));
        return pid;
}

int world_wait(pid_t pid)
{
        int status = 0;

        while (waitpid(pid, &status, 0) < 0)
                assert_int_equal(errno, EINTR);
        return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

bool world_runs(pid_t pid)
{
        return kill(pid, 0) == 0;
}

void world_until_gone(pid_t pid)
{
        uint64_t deadline = world_now_ms() + WORLD_WAIT_MS;

        while (world_runs(pid)) {
                if (!world_again(deadline))
                        fail_msg("process %d is still there", (int)pid);
        }
}

/* "pid (name) S ..": the letter; the name may hold anything, so from the last parenthesis. */
static char process_state(pid_t pid)
{
        char path[64], text[512];
        const char *end;
        ssize_t n;
        int fd;

        (void)snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
        fd = open(path, O_RDONLY | O_CLOEXEC);
        n = fd < 0 ? 0 : read(fd, text, sizeof(text) - 1);
        (void)bt_close(fd);
        text[n > 0 ? n : 0] = '\0';
        end = strrchr(text, ')');
        return end && end[1] ? end[2] : '?';
}

void world_until_stopped(pid_t pid)
{
        uint64_t deadline = world_now_ms() + WORLD_WAIT_MS;

        while (process_state(pid) != 'T') {
                if (!world_again(deadline))
                        fail_msg("process %d is not stopped but '%c'", (int)pid, process_state(pid));
        }
}
