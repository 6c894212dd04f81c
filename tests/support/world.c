/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The life of a world: its directory and port, its hub's start and stop, and what must be true at the end.
 *
 * The hub is started as `baton run` starts it (configuration, plan in a memfd, batond), but from here, because only so it can be given a
 * descriptor that tells when it is ready. The way through the real command is the subject of scenario/test_control.c.
 *
 * The hub's output goes into a file, not a pipe: the hub drops what its reader does not take, and a test does not read all the time.
 */
#include "tests/support/world.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/fd.h"
#include "supervisor/baton/compile.h"
#include "supervisor/proc/proc.h"
#include "supervisor/registry.h"
#include "tests/support/wait.h"
#include "tests/support/world_internal.h"

/* ---- directory and port ---- */

static int hold_port(struct world *w)
{
        struct sockaddr_in addr = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
        socklen_t bytes = sizeof(addr);
        const int on = 1;

        w->port_hold = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        if (w->port_hold < 0 || setsockopt(w->port_hold, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) < 0 ||
            bind(w->port_hold, (struct sockaddr *)&addr, sizeof(addr)) < 0 ||
            getsockname(w->port_hold, (struct sockaddr *)&addr, &bytes) < 0)
                return -errno;
        w->port = ntohs(addr.sin_port);
        return 0;
}

static int make_below(const struct world *w, const char *name)
{
        char path[128];

        (void)snprintf(path, sizeof(path), "%s/%s", w->dir, name);
        return mkdir(path, 0700);
}

int world_setup(void **state)
{
        struct world *w = calloc(1, sizeof(*w));
        const char *bin = getenv("BATON_BIN_DIR");

        if (!w)
                return -1;
        *state = w;
        w->pidfd = w->port_hold = -1;
        w->hub = "w";
        (void)snprintf(w->bin, sizeof(w->bin), "%s", bin ? bin : BATON_BIN_DIR);
        (void)snprintf(w->dir, sizeof(w->dir), "/tmp/baton-world-XXXXXX");
        if (!mkdtemp(w->dir) || make_below(w, "run") || make_below(w, "state") ||
            prctl(PR_SET_CHILD_SUBREAPER, 1) < 0)
                return -1;
        w->fds_before = bt_fd_count();
        if (hold_port(w))
                return -1;
        world_watch(w);
        world_limit(WORLD_LIMIT_S);
        return 0;
}

static void remove_tree(const char *path) /* NOLINT(misc-no-recursion): as deep as what a hub makes: three */
{
        DIR *dir = opendir(path);
        const struct dirent *entry;

        while (dir && (entry = readdir(dir))) {
                char below[1024];

                if (!strcmp(entry->d_name, ".") || !strcmp(entry->d_name, ".."))
                        continue;
                (void)snprintf(below, sizeof(below), "%s/%s", path, entry->d_name);
                if (unlink(below) < 0 && (errno == EISDIR || errno == EPERM))
                        remove_tree(below);
        }
        if (dir)
                (void)closedir(dir);
        (void)rmdir(path);
}

/* ---- the configuration ---- */

void world_configure(const struct world *w, const char *yaml)
{
        world_file_put(w, "app.yaml", yaml);
}

/* The plan's descriptor. */
static int compile(const struct world *w)
{
        struct bt_config config = BT_CONFIG_NULL;
        struct bt_diag *diag = calloc(1, sizeof(*diag));
        char path[128], runtime[128], state[128];
        const char *error = "";
        int fd = -1, r;

        assert_non_null(diag);
        (void)snprintf(path, sizeof(path), "%s/app.yaml", w->dir);
        (void)snprintf(runtime, sizeof(runtime), "%s/run", w->dir);
        (void)snprintf(state, sizeof(state), "%s/state", w->dir);
        bt_diag_init(diag, path);
        r = bt_config_load(&config, diag, path, environ);
        bt_diag_print(diag, stderr);
        if (!r)
                r = bt_compile(&fd, &config, runtime, state, &error);
        if (r && *error)
                print_error("%s\n", error);
        bt_config_free(&config);
        free(diag);
        assert_int_equal(r, 0);
        return fd;
}

/* ---- the hub's start ---- */

/* Our environment, and the variable that is for the hub alone. */
static char **hub_environment(const struct world *w)
{
        size_t count = 0;
        char **env;

        while (environ[count])
                count++;
        env = calloc(count + 2, sizeof(*env));
        assert_non_null(env);
        memcpy(env, environ, count * sizeof(*env));
        if (w->hub_env)
                env[count] = (char *)(uintptr_t)w->hub_env;
        return env;
}

/* Descriptors 3 and 4 are the plan and the ready pipe; everything else is closed. Ours are lifted out of the way first. */
static void spawn_hub(struct world *w, int plan, int ready)
{
        char program[640], name[] = "batond", plan_opt[] = "--plan", three[] = "3", ready_opt[] = "--ready-fd", four[] = "4";
        char *argv[] = {name, plan_opt, three, ready_opt, four, NULL};
        char **env = hub_environment(w);
        int high_plan = fcntl(plan, F_DUPFD_CLOEXEC, 100), high_ready = fcntl(ready, F_DUPFD_CLOEXEC, 100);
        posix_spawn_file_actions_t actions;
        posix_spawnattr_t attr;
        char log[128];
        int r;

        (void)snprintf(log, sizeof(log), "%s/hub.log", w->dir);
        world_program(w, program, "batond_testing");
        assert_int_equal(posix_spawnattr_init(&attr), 0);
        assert_int_equal(posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETSID), 0);
        assert_int_equal(posix_spawn_file_actions_init(&actions), 0);
        (void)posix_spawn_file_actions_addopen(&actions, 1, log, O_WRONLY | O_CREAT | O_APPEND, 0600);
        (void)posix_spawn_file_actions_adddup2(&actions, 1, 2);
        (void)posix_spawn_file_actions_adddup2(&actions, high_plan, 3);
        (void)posix_spawn_file_actions_adddup2(&actions, high_ready, 4);
        (void)posix_spawn_file_actions_addclosefrom_np(&actions, 5);
        r = posix_spawn(&w->pid, program, &actions, &attr, argv, env);
        (void)posix_spawn_file_actions_destroy(&actions);
        (void)posix_spawnattr_destroy(&attr);
        free(env);
        (void)close(high_plan);
        (void)close(high_ready);
        if (r) {
                w->pid = 0;
                fail_msg("%s: %s", program, strerrordesc_np(r));
        }
        w->pidfd = pidfd_open(w->pid, 0);
        assert_true(w->pidfd >= 0);
}

/*
 * A newline is "ready"; the end of the pipe without one is the end of the hub. That is not one event but the start of all children: a thousand take a
 * second, and half a minute where thirty other programs want the processors. So there is no deadline but the watchdog's.
 */
static void wait_ready(int fd)
{
        char byte = 0;

        if (read(fd, &byte, 1) != 1 || byte != '\n')
                fail_msg("the hub ended before it was ready");
}

/* Returns the read end of the ready pipe. */
static int start_hub(struct world *w)
{
        int ready[2], plan = compile(w);

        assert_int_equal(w->pid, 0);
        assert_int_equal(pipe2(ready, O_CLOEXEC), 0);
        spawn_hub(w, plan, ready[1]);
        (void)close(plan);
        (void)close(ready[1]);
        return ready[0];
}

void world_start_unready(struct world *w)
{
        (void)close(start_hub(w));
}

void world_start_again(struct world *w)
{
        int ready = start_hub(w);

        wait_ready(ready);
        (void)close(ready);
}

void world_start(struct world *w, const char *yaml)
{
        world_configure(w, yaml);
        world_start_again(w);
}

/* ---- the hub's end ---- */

static void forget_hub(struct world *w)
{
        if (w->node_mapped)
                bt_node_detach(&w->node);
        w->node_mapped = false;
        w->pidfd = bt_close(w->pidfd);
        w->pid = 0;
}

/* Its exit status, or 128 + signal; -1: it did not end in time. */
static int hub_ended(struct world *w)
{
        struct pollfd gone = {.fd = w->pidfd, .events = POLLIN};
        struct bt_proc_exit how;

        if (poll(&gone, 1, WORLD_WAIT_MS) != 1 || bt_proc_wait(w->pidfd, &how))
                return -1;
        forget_hub(w);
        return how.code == CLD_EXITED ? how.status : 128 + how.status;
}

void world_await_hub(struct world *w, int status)
{
        assert_int_equal(hub_ended(w), status);
}

void world_start_dying(struct world *w, int status)
{
        (void)close(start_hub(w));
        world_await_hub(w, status);
}

void world_stop(struct world *w)
{
        assert_int_equal(bt_proc_signal(w->pidfd, SIGTERM), 0);
        world_await_hub(w, 0);
}

void world_kill_hub(struct world *w)
{
        assert_int_equal(bt_proc_signal(w->pidfd, SIGKILL), 0);
        world_await_hub(w, 128 + SIGKILL);
}

/* ---- what must be true at the end ---- */

__attribute__((format(printf, 2, 3))) static void problem(struct world *w, const char *format, ...)
{
        va_list args;

        if (*w->problem)
                return;
        va_start(args, format);
        (void)vsnprintf(w->problem, sizeof(w->problem), format, args);
        va_end(args);
}

/* The register of processes stays, but none may be in it. */
static void check_registry(struct world *w, const char *dir)
{
        struct bt_registry registry = BT_REGISTRY_NULL;
        char path[160];

        (void)snprintf(path, sizeof(path), "%s/processes", dir);
        if (bt_registry_open(&registry, path, 0)) {
                problem(w, "%s cannot be read", path);
                return;
        }
        for (uint32_t i = 0; i < bt_registry_used(&registry); i++) {
                if (bt_registry_live(&registry, i))
                        problem(w, "the register still holds process %d of %.63s", registry.entries[i].pid, registry.entries[i].id);
        }
        bt_registry_close(&registry);
}

static void check_runtime(struct world *w)
{
        char path[128];
        const struct dirent *entry;
        DIR *dir;

        (void)snprintf(path, sizeof(path), "%s/run/%s", w->dir, w->hub);
        dir = opendir(path);
        while (dir && (entry = readdir(dir))) {
                if (!strcmp(entry->d_name, "processes"))
                        check_registry(w, path);
                else if (entry->d_name[0] != '.' && strcmp(entry->d_name, "lock") != 0)
                        problem(w, "the runtime directory still holds '%s'", entry->d_name);
        }
        if (dir)
                (void)closedir(dir);
}

/*
 * LeakSanitizer looks for leaks from a process of its own, which becomes ours when the hub kills the program it belongs to in that moment, and dies soon after
 * it. In a sanitizer's build a zombie with the name of one of our programs is therefore no proof of anything, and what lives is given time to become one.
 */
static bool excused(const struct world *w, pid_t pid)
{
        char path[640], name[32];
        FILE *file;

        if (WORLD_SLOWNESS == 1)
                return false;
        name[0] = '\0';
        (void)snprintf(path, sizeof(path), "/proc/%d/comm", (int)pid);
        file = fopen(path, "re");
        if (file && fgets(name, sizeof(name), file))
                name[strcspn(name, "\n")] = '\0';
        if (file)
                (void)fclose(file);
        if (!*name)
                return false;
        world_program(w, path, name);
        if (access(path, X_OK) == 0)
                return true;
        (void)snprintf(path, sizeof(path), "%s/%s", w->dir, name); /* a copy of one, under another name */
        return access(path, X_OK) == 0;
}

static void check_processes(struct world *w)
{
        uint64_t deadline = wait_until(WORLD_SLOWNESS == 1 ? 0 : 1000);
        siginfo_t zombie = {0};
        char who[256];
        int left;

        while (waitid(P_ALL, 0, &zombie, WEXITED | WNOHANG | WNOWAIT) == 0) {
                if (!zombie.si_pid) {
                        if (!wait_again(deadline))
                                break;
                        continue;
                }
                if (!excused(w, zombie.si_pid) && !world_is_keeper(zombie.si_pid))
                        problem(w, "process %d was left behind as a zombie", (int)zombie.si_pid);
                (void)waitpid(zombie.si_pid, NULL, 0);
                zombie.si_pid = 0;
        }
        world_children(who, sizeof(who));
        left = world_reap_all(true);
        if (left)
                problem(w, "%d processes outlived the hub: %s", left, who);
}

const char *world_finish(struct world *w)
{
        int now;

        w->ended = true;
        if (w->pid) {
                int status = bt_proc_signal(w->pidfd, SIGTERM) ? -1 : hub_ended(w);

                if (status < 0) {
                        problem(w, "the hub did not end within %d ms", WORLD_WAIT_MS);
                        (void)kill(w->pid, SIGKILL);
                        (void)hub_ended(w);
                } else if (status) {
                        problem(w, "the hub ended with %d", status);
                }
        }
        check_processes(w);
        check_runtime(w);
        w->port_hold = bt_close(w->port_hold);
        now = bt_fd_count();
        if (now != w->fds_before)
                problem(w, "%d descriptors are open, %d were at the beginning", now, w->fds_before);
        return w->problem;
}

void world_end(struct world *w)
{
        assert_string_equal(world_finish(w), "");
}

/* All of it, and not through cmocka, which cuts what is longer than a screen. */
static void show_log(const struct world *w)
{
        char path[128], text[WORLD_TEXT_BYTES];
        ssize_t n;
        int fd;

        (void)snprintf(path, sizeof(path), "%s/hub.log", w->dir);
        fd = open(path, O_RDONLY | O_CLOEXEC);
        if (w->row)
                print_error("---- in the row '%s' ----\n", w->row);
        (void)fprintf(stderr, "---- the hub's log ----\n");
        while (fd >= 0 && (n = read(fd, text, sizeof(text))) > 0)
                (void)fwrite(text, 1, (size_t)n, stderr);
        (void)bt_close(fd);
}

/* After a failure nothing is checked, only cleared away. */
int world_teardown(void **state)
{
        struct world *w = *state;

        world_limit(0);
        world_watch(NULL);
        if (!w->ended || *w->problem)
                show_log(w);
        if (w->pid) {
                (void)kill(w->pid, SIGKILL);
                (void)hub_ended(w);
        }
        (void)world_reap_orphans();
        (void)bt_close(w->port_hold);
        remove_tree(w->dir);
        free(w);
        return 0;
}
