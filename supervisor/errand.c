/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sending a program out and seeing it back: see errand.h.
 *
 * It is ended by its process group, which it leads. The group is killed while its leader is still a zombie: its number cannot have gone to somebody
 * else by then.
 */
#include "supervisor/errand.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/fd.h"

/* ---- its end ---- */

void bt_errand_kill(struct bt_errand *errand)
{
        if (errand->under_way)
                (void)kill(-errand->pid, SIGKILL);
}

static void errand_close(struct bt_errand *errand)
{
        bt_loop_forget(&errand->exit_watch);
        bt_loop_timer_disarm(&errand->deadline);
        bt_log_deinit(&errand->log);
        errand->pidfd = bt_close(errand->pidfd);
}

static void errand_over(struct bt_errand *errand, const struct bt_proc_exit *how)
{
        int answer = errand->answer;
        char *tail;

        bt_log_drain(&errand->log);
        errand->tail_bytes = errand->log.tail_bytes;
        errand->tail = tail = BT_STEAL(errand->log.tail);
        errand_close(errand);
        errand->under_way = false;
        errand->over(errand, how); /* may free it */
        free(tail);
        (void)bt_close(answer);
}

static void errand_on_exit(struct bt_loop_watch *watch, uint32_t events)
{
        struct bt_errand *errand = bt_container_of(watch, struct bt_errand, exit_watch);
        struct bt_proc_exit how;
        siginfo_t info = {0};

        (void)events;
        if (waitid(P_PIDFD, (id_t)errand->pidfd, &info, WEXITED | WNOHANG | WNOWAIT) < 0 || !info.si_pid)
                return; /* not ended after all */
        bt_errand_kill(errand);
        if (!bt_proc_reap(errand->pidfd, &how))
                errand_over(errand, &how);
}

static void errand_on_deadline(struct bt_loop_timer *timer)
{
        struct bt_errand *errand = bt_container_of(timer, struct bt_errand, deadline);

        errand->timed_out = true;
        bt_errand_kill(errand);
}

void bt_errand_end(struct bt_errand *errand)
{
        struct bt_proc_exit how;

        if (!errand->under_way)
                return;
        bt_errand_kill(errand);
        errand->timed_out = true;
        if (!bt_proc_wait(errand->pidfd, &how))
                errand_over(errand, &how);
}

/* ---- its start ---- */

/* The caller's first: of one name the first counts. Then what is the hub's own and not about one process. NULL: no memory. */
static char **errand_environment(const char *const *variables)
{
        size_t inherited = 0, own = 0, n = 0;
        char **envp;

        while (environ[inherited])
                inherited++;
        while (variables[own])
                own++;
        envp = calloc(inherited + own + 1, sizeof(*envp));
        if (!envp)
                return NULL;
        while (n < own) {
                envp[n] = (char *)variables[n]; /* exec's signature lacks a const */
                n++;
        }
        for (size_t i = 0; i < inherited; i++) {
                if (strncmp(environ[i], "LISTEN_", 7) != 0 && strncmp(environ[i], "NOTIFY_SOCKET=", 14) != 0)
                        envp[n++] = environ[i];
        }
        return envp;
}

static int errand_spawn(struct bt_errand *errand, const struct bt_errand_start *start, int out, int err, enum bt_spawn_step *ret_step)
{
        const struct bt_hub *hub = errand->hub;
        struct bt_spawn spawn = BT_SPAWN_NULL;
        char **envp = errand_environment(start->variables);
        char **argv = calloc((size_t)start->argv_count + 1, sizeof(*argv));
        const char *at = start->argv;
        int r = envp && argv ? 0 : -ENOMEM;

        for (uint32_t i = 0; !r && i < start->argv_count; i++, at = bt_plan_string_next(at))
                argv[i] = (char *)at;
        spawn.exec_path = start->exec;
        spawn.exec_fd = start->exec_fd ? *start->exec_fd : -1;
        spawn.argv = argv;
        spawn.envp = envp;
        spawn.new_session = 1;
        spawn.nofile = hub->nofile;
        (void)bt_spawn_move(&spawn, hub->null_fd, 0);
        (void)bt_spawn_move(&spawn, out, 1);
        (void)bt_spawn_move(&spawn, err, 2);
        for (uint32_t i = 0; i < start->fd_count; i++)
                (void)bt_spawn_move(&spawn, start->fds[i], STDERR_FILENO + 1 + (int)i);
        if (!r)
                r = bt_spawn(&spawn, &errand->pid, &errand->pidfd, ret_step);
        free(argv);
        free(envp);
        return r;
}

static int errand_watch(struct bt_errand *errand, uint64_t timeout_ns)
{
        struct bt_loop *loop = errand->hub->loop;
        struct bt_proc_exit ignored;
        int r = bt_loop_watch_fd(loop, &errand->exit_watch, errand->pidfd, EPOLLIN, errand_on_exit);

        errand->under_way = true;
        if (!r)
                r = bt_loop_timer_arm(loop, &errand->deadline, bt_ns_add(bt_now_ns(), timeout_ns), errand_on_deadline);
        if (!r)
                return 0;
        /* A process we cannot watch must not stay. */
        bt_errand_kill(errand);
        (void)bt_proc_wait(errand->pidfd, &ignored);
        errand->under_way = false;
        return r;
}

int bt_errand_begin(struct bt_errand *errand, struct bt_hub *hub, const struct bt_errand_start *start, bt_errand_fn over,
                    enum bt_spawn_step *ret_step)
{
        BT_CLEANUP(bt_closep) int err = -1;
        int answer[2] = {-1, -1};
        int r;

        *errand = (struct bt_errand){.hub = hub, .over = over, .answer = -1, .pidfd = -1, .log = {.fd = -1}};
        *ret_step = BT_SPAWN_STEP_NONE;
        (void)snprintf(errand->label, sizeof(errand->label), "%s", start->label);
        r = bt_log_open(hub, &errand->log, errand->label, STDERR_FILENO, &err);
        if (!r && start->answers && pipe2(answer, O_CLOEXEC) < 0)
                r = -errno;
        errand->answer = answer[0];
        if (!r && start->answers)
                r = bt_fd_nonblock(errand->answer);
        if (!r)
                r = errand_spawn(errand, start, start->answers ? answer[1] : err, err, ret_step);
        (void)bt_close(answer[1]);
        if (!r)
                r = errand_watch(errand, start->timeout_ns);
        if (r) {
                errand_close(errand);
                errand->answer = bt_close(errand->answer);
        }
        return r;
}
