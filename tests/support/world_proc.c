/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Processes of a world: the watchdog, orphans, programs beside the hub.
 *
 * Every process that a test causes is our descendant and stays one: children of the hub make sessions of their own, but when their parent dies they come to us,
 * because we are a subreaper. So "kill all" is a loop: kill the children there are, reap, until there is none. The watchdog runs the same
 * loop in a signal handler, which is why it uses system calls only.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/fd.h"
#include "tests/support/wait.h"
#include "tests/support/world_internal.h"

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

/* Each child of this process, as "12 (name) S": for a message. */
void world_children(char *text, size_t bytes)
{
        char path[64], list[1024] = "", *rest = list, *word;
        FILE *file;

        *text = '\0';
        (void)snprintf(path, sizeof(path), "/proc/self/task/%d/children", (int)gettid());
        file = fopen(path, "re");
        if (file) {
                (void)!fgets(list, sizeof(list), file);
                (void)fclose(file);
        }
        while ((word = strsep(&rest, " \n"))) {
                size_t at = strlen(text);
                char stat[64] = "";

                (void)snprintf(path, sizeof(path), "/proc/%s/stat", word);
                file = *word ? fopen(path, "re") : NULL;
                if (!file)
                        continue;
                (void)!fgets(stat, sizeof(stat), file);
                (void)fclose(file);
                (void)snprintf(text + at, bytes - at, "%s%.*s", at ? ", " : "", (int)(strcspn(stat, ")") + 3), stat);
        }
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

/* ---- other processes ---- */

void world_program(const struct world *w, char path[640], const char *name)
{
        if (name[0] == '/')
                (void)snprintf(path, 640, "%s", name);
        else
                (void)snprintf(path, 640, "%s/%s", w->bin, name);
}

/* Ours, but for the variables that name a hub's directories: those of this world. */
static void world_environment(char **env, size_t room, char *runtime, char *state)
{
        size_t count = 0;

        env[count++] = runtime;
        env[count++] = state;
        for (char **it = environ; *it; it++) {
                if (!strncmp(*it, "BATON_RUNTIME_DIR=", 18) ||
                    !strncmp(*it, "BATON_STATE_DIR=", 16))
                        continue;
                assert_true(count < room - 1);
                env[count++] = *it;
        }
        env[count] = NULL;
}

pid_t world_spawn(const struct world *w, char *const argv[], const char *out)
{
        char path[256], runtime[128], state[128], *env[1024];
        posix_spawn_file_actions_t actions;
        pid_t pid = 0;
        int r;

        (void)snprintf(path, sizeof(path), "%s/%s", w->dir, out);
        assert_int_equal(posix_spawn_file_actions_init(&actions), 0);
        (void)posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
        (void)posix_spawn_file_actions_addopen(&actions, 1, path, O_WRONLY | O_CREAT | O_TRUNC | O_APPEND, 0600);
        (void)posix_spawn_file_actions_adddup2(&actions, 1, 2);
        (void)posix_spawn_file_actions_addclosefrom_np(&actions, 3);
        (void)posix_spawn_file_actions_addchdir_np(&actions, w->dir);
        (void)snprintf(runtime, sizeof(runtime), "BATON_RUNTIME_DIR=%s/run", w->dir);
        (void)snprintf(state, sizeof(state), "BATON_STATE_DIR=%s/state", w->dir);
        world_environment(env, sizeof(env) / sizeof(env[0]), runtime, state);
        r = posix_spawnp(&pid, argv[0], &actions, NULL, argv, env);
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
        uint64_t deadline = wait_until(WORLD_WAIT_MS);

        while (world_runs(pid)) {
                if (!wait_again(deadline))
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
        uint64_t deadline = wait_until(WORLD_WAIT_MS);

        while (process_state(pid) != 'T') {
                if (!wait_again(deadline))
                        fail_msg("process %d is not stopped but '%c'", (int)pid, process_state(pid));
        }
}
