/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Requests go over the control socket and not through `baton swap`: the command would be woken by each phase it prints, on one of two processors, while
 * we measure. What the hub sends meanwhile waits in the socket.
 */
#include "bench/daemon.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/fd.h"
#include "base/scm.h"
#include "supervisor/control.h"
#include "supervisor/plan.h"

/* ---- its folder ---- */

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *at)
{
        (void)st;
        (void)type;
        (void)at;
        (void)remove(path);
        return 0;
}

int bench_daemon_open(struct bench_daemon *daemon)
{
        (void)snprintf(daemon->dir, sizeof(daemon->dir), "/tmp/baton-bench.XXXXXX");
        if (!mkdtemp(daemon->dir)) {
                int r = -errno;

                bench_complain("cannot make a folder in /tmp: %s", strerrordesc_np(-r));
                daemon->dir[0] = '\0';
                return r;
        }
        return 0;
}

int bench_daemon_configure(const struct bench_daemon *daemon, const char *format, ...)
{
        char path[BENCH_DIR_BYTES + 16];
        va_list args;
        FILE *file;
        int r;

        (void)snprintf(path, sizeof(path), "%s/bench.yaml", daemon->dir);
        file = fopen(path, "we");
        if (!file) {
                r = -errno;
                bench_complain("cannot write %s: %s", path, strerrordesc_np(-r));
                return r;
        }
        va_start(args, format);
        r = vfprintf(file, format, args) < 0 ? -EIO : 0;
        va_end(args);
        return fclose(file) ? -EIO : r;
}

/* ---- saying what went wrong ---- */

void bench_daemon_show_log(const struct bench_daemon *daemon)
{
        char path[BENCH_DIR_BYTES + 16], text[2048];
        ssize_t n = 0;
        int fd;

        (void)snprintf(path, sizeof(path), "%s/log", daemon->dir);
        fd = open(path, O_RDONLY | O_CLOEXEC);
        if (fd >= 0) {
                off_t end = lseek(fd, 0, SEEK_END);

                n = pread(fd, text, sizeof(text),
                          end > (off_t)sizeof(text) ? end - (off_t)sizeof(text) : 0);
                (void)bt_close(fd);
        }
        if (n > 0)
                (void)fprintf(stderr, "---- the hub's last words\n%.*s----\n", (int)n, text);
}

/* It is left to be reaped. */
bool bench_daemon_ended(const struct bench_daemon *daemon)
{
        siginfo_t info = {0};

        if (daemon->process.pid <= 0 || bench_pidfd_wait(daemon->process.pidfd, 0))
                return false;
        if (waitid(P_PIDFD, (id_t)daemon->process.pidfd, &info, WEXITED | WNOWAIT | WNOHANG) == 0 &&
            info.si_pid)
                bench_complain("the hub ended: %s %d",
                               info.si_code == CLD_EXITED ? "exit status" : "signal",
                               info.si_status);
        return true;
}

/* ---- starting ---- */

int bench_daemon_start(struct bench_daemon *daemon)
{
        char program[4096], config[BENCH_DIR_BYTES + 16], path[BENCH_DIR_BYTES + 16];
        char run[] = "run";
        char *const argv[] = {program, run, config, NULL};
        BT_CLEANUP(bt_closep) int log = -1;
        int r = bench_program_find(program, sizeof(program), "baton");

        if (r)
                return r;
        (void)snprintf(config, sizeof(config), "%s/bench.yaml", daemon->dir);
        (void)snprintf(path, sizeof(path), "%s/log", daemon->dir);
        log = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
        if (log < 0)
                return -errno;
        (void)snprintf(path, sizeof(path), "%s/run", daemon->dir);
        if (setenv("BATON_RUNTIME_DIR", path, 1) < 0)
                return -errno;
        (void)snprintf(path, sizeof(path), "%s/state", daemon->dir);
        if (setenv("BATON_STATE_DIR", path, 1) < 0)
                return -errno;
        return bench_process_start(&daemon->process, argv, environ, log);
}

/* ---- talking to it ---- */

int bench_daemon_connect(const struct bench_daemon *daemon)
{
        struct sockaddr_un addr = {.sun_family = AF_UNIX};
        int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);

        if (fd < 0)
                return -errno;
        (void)snprintf(addr.sun_path, sizeof(addr.sun_path), "%s/run/bench/control.sock",
                       daemon->dir);
        if (connect(fd, (struct sockaddr *)&addr, sizeof(addr)) < 0) {
                int r = -errno;

                (void)bt_close(fd);
                return r;
        }
        return fd;
}

int bench_daemon_send(int fd, uint32_t op, uint32_t strategy, const char *target)
{
        struct bt_ctl_request request = {
                .magic = BT_CTL_MAGIC, .version = BT_CTL_VERSION, .op = op, .strategy = strategy};

        (void)snprintf(request.target, sizeof(request.target), "%s", target);
        return bt_scm_send(fd, &request, sizeof(request), NULL, 0);
}

int bench_daemon_send_upgrade(int fd, const char *target, const char *path)
{
        struct bt_ctl_request request = {.magic = BT_CTL_MAGIC,
                                         .version = BT_CTL_VERSION,
                                         .op = BT_CTL_UPGRADE,
                                         .strategy = BT_CTL_STRATEGY_SPEC};
        BT_CLEANUP(bt_closep) int binary = open(path, O_PATH | O_CLOEXEC);

        if (binary < 0)
                return -errno;
        (void)snprintf(request.target, sizeof(request.target), "%s", target);
        (void)snprintf(request.path, sizeof(request.path), "%s", path);
        return bt_scm_send(fd, &request, sizeof(request), &binary, 1);
}

/* One reply, with the descriptor that came with it, if @ret_fd is not NULL. */
static int reply_read(int fd, struct bt_ctl_reply *ret_reply, int *ret_fd)
{
        size_t count = 0;
        ssize_t n;

        do {
                int r = bench_pidfd_wait(fd, BENCH_WAIT_NS); /* readable */

                if (r)
                        return r;
                n = bt_scm_recv(fd, ret_reply, sizeof(*ret_reply), ret_fd, ret_fd ? 1 : 0, &count);
        } while (n == -EAGAIN);
        if (n != (ssize_t)sizeof(*ret_reply) || ret_reply->magic != BT_CTL_MAGIC)
                return n < 0 ? (int)n : -EPROTO;
        return 0;
}

int bench_daemon_outcome(int fd, struct bench_answer *ret_answer)
{
        struct bench_answer none, *answer = ret_answer ? ret_answer : &none;
        struct bt_ctl_reply reply;

        for (;;) {
                int r = reply_read(fd, &reply, NULL);

                if (r)
                        return r;
                if (reply.kind == BT_CTL_EVENT &&
                    strncmp(reply.phase, "committed", sizeof(reply.phase)) == 0) {
                        answer->pause_ns = reply.value[0];
                        answer->total_ns = reply.value[1];
                }
                if (reply.kind != BT_CTL_DONE)
                        continue;
                answer->done = reply.value[0];
                answer->failed = reply.value[1];
                if (reply.outcome == BT_CTL_OK)
                        return 0;
                bench_complain("the hub refused: %.*s", (int)sizeof(reply.text) - 1, reply.text);
                return -ECANCELED;
        }
}

int bench_daemon_ask(const struct bench_daemon *daemon, uint32_t op, uint32_t strategy,
                     const char *target, struct bench_answer *ret_answer)
{
        BT_CLEANUP(bt_closep) int fd = bench_daemon_connect(daemon);
        uint64_t begun = bt_now_ns();
        int r = fd < 0 ? fd : bench_daemon_send(fd, op, strategy, target);

        if (ret_answer)
                *ret_answer = (struct bench_answer){0};
        if (!r)
                r = bench_daemon_outcome(fd, ret_answer);
        if (ret_answer)
                ret_answer->asked_ns = bt_now_ns() - begun;
        if (r) {
                bench_complain("a request to the hub failed: %s", strerrordesc_np(-r));
                bench_daemon_show_log(daemon);
        }
        return r;
}

/* ---- its events ---- */

static int events_connect(const struct bench_daemon *daemon, uint64_t since, uint32_t follow)
{
        const struct bt_ctl_request request = {.magic = BT_CTL_MAGIC,
                                               .version = BT_CTL_VERSION,
                                               .op = BT_CTL_EVENTS,
                                               .since = since,
                                               .follow = follow};
        int fd = bench_daemon_connect(daemon);
        int r = fd < 0 ? fd : bt_scm_send(fd, &request, sizeof(request), NULL, 0);

        if (r && fd >= 0)
                (void)bt_close(fd);
        return r ? r : fd;
}

/* A hub that was just started has no socket yet. */
static int events_connect_patiently(const struct bench_daemon *daemon, uint64_t since)
{
        const struct timespec between = {.tv_nsec = BT_NS_PER_MS / 5};
        uint64_t deadline = bt_now_ns() + BENCH_WAIT_NS;
        int fd;

        do {
                fd = events_connect(daemon, since, 1);
                if (fd != -ENOENT && fd != -ECONNREFUSED)
                        return fd;
                (void)nanosleep(&between, NULL);
        } while (!bench_daemon_ended(daemon) && !bench_interrupted() && bt_now_ns() < deadline);
        return fd;
}

static int event_await(int fd, const char *name, uint64_t after, struct bench_event *ret_event)
{
        struct bt_ctl_reply reply;

        for (;;) {
                int r = reply_read(fd, &reply, NULL);

                if (r)
                        return r;
                if (reply.kind == BT_CTL_DONE)
                        return -ENODATA;
                if (reply.kind != BT_CTL_RECORD || reply.value[0] <= after ||
                    strncmp(reply.phase, name, sizeof(reply.phase)) != 0)
                        continue;
                *ret_event =
                        (struct bench_event){.sequence = reply.value[0], .mono_ns = reply.since_ns};
                (void)snprintf(ret_event->child, sizeof(ret_event->child), "%.63s", reply.child);
                (void)snprintf(ret_event->text, sizeof(ret_event->text), "%.255s", reply.text);
                return 0;
        }
}

int bench_daemon_await(const struct bench_daemon *daemon, const char *name, uint64_t after,
                       struct bench_event *ret_event)
{
        BT_CLEANUP(bt_closep)
        int fd = events_connect_patiently(daemon, after ? after : BT_CTL_SINCE_OLDEST);
        int r = fd < 0 ? fd : event_await(fd, name, after, ret_event);

        if (r) {
                bench_complain("the hub does not come to '%s': %s", name, strerrordesc_np(-r));
                (void)bench_daemon_ended(daemon);
                bench_daemon_show_log(daemon);
        }
        return r;
}

int bench_daemon_last_event(const struct bench_daemon *daemon, uint64_t *ret_sequence)
{
        BT_CLEANUP(bt_closep) int fd = events_connect(daemon, BT_CTL_SINCE_OLDEST, 0);
        struct bt_ctl_reply reply = {0};
        int r = fd < 0 ? fd : 0;

        *ret_sequence = 0;
        while (!r && reply.kind != BT_CTL_DONE) {
                r = reply_read(fd, &reply, NULL);
                if (!r && reply.kind == BT_CTL_RECORD)
                        *ret_sequence = reply.value[0];
        }
        return r;
}

/* ---- its children ---- */

int bench_daemon_status(const struct bench_daemon *daemon, struct bt_node_view *ret_view)
{
        BT_CLEANUP(bt_closep) int control = bench_daemon_connect(daemon);
        BT_CLEANUP(bt_closep) int node = -1;
        struct bt_ctl_reply reply;
        int r = control < 0 ? control
                            : bench_daemon_send(control, BT_CTL_STATUS, BT_CTL_STRATEGY_SPEC, "");

        if (!r)
                r = reply_read(control, &reply, &node);
        if (!r && (reply.kind != BT_CTL_NODE || node < 0))
                r = -EPROTO;
        if (!r && bt_node_attach(ret_view, node))
                r = -EPROTO;
        return r;
}

static bool running(const struct bt_slot *slot)
{
        return slot->phase == BT_PHASE_RUNNING;
}

static bool sleeps(pid_t pid)
{
        char path[64], text[128] = "";
        BT_CLEANUP(bt_closep) int fd = -1;
        const char *end;

        (void)snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
        fd = open(path, O_RDONLY | O_CLOEXEC);
        if (fd < 0 || read(fd, text, sizeof(text) - 1) <= 0)
                return false;
        end = strrchr(text, ')');
        return end && strncmp(end, ") S", 3) == 0;
}

static bool spare_ready(const struct bt_slot *slot)
{
        return running(slot) && slot->spare_pid && sleeps(slot->spare_pid);
}

static int await_slot(const struct bench_daemon *daemon, uint32_t slot_idx, bool (*ready)(const struct bt_slot *slot))
{
        const struct timespec between = {.tv_nsec = BT_NS_PER_MS / 2};
        uint64_t deadline = bt_now_ns() + BENCH_WAIT_NS;
        struct bt_node_view view;
        bool is_ready = false;
        int r = bench_daemon_status(daemon, &view);

        if (r)
                return r;
        do {
                struct bt_slot slot;

                is_ready = bt_node_read(&view, slot_idx, &slot) && ready(&slot);
                if (!is_ready)
                        (void)nanosleep(&between, NULL);
        } while (!is_ready && !bench_interrupted() && bt_now_ns() < deadline);
        bt_node_detach(&view);
        return is_ready ? 0 : -ETIMEDOUT;
}

int bench_daemon_await_running(const struct bench_daemon *daemon, uint32_t slot_idx)
{
        return await_slot(daemon, slot_idx, running);
}

int bench_daemon_await_spare(const struct bench_daemon *daemon, uint32_t slot_idx)
{
        return await_slot(daemon, slot_idx, spare_ready);
}

/* ---- the end ---- */

int bench_daemon_stop(struct bench_daemon *daemon)
{
        int r = bench_daemon_ask(daemon, BT_CTL_STOP, BT_CTL_STRATEGY_SPEC, "", NULL);

        if (!r)
                r = bench_process_wait(&daemon->process, BENCH_WAIT_NS);
        if (r)
                bench_complain("the hub does not stop: %s", strerrordesc_np(-r));
        return r;
}

void bench_daemon_close(struct bench_daemon *daemon)
{
        bench_process_end(&daemon->process);
        if (daemon->dir[0]) {
                bench_process_end_all(); /* what it left */
                (void)nftw(daemon->dir, remove_one, 8, FTW_DEPTH | FTW_PHYS);
        }
        *daemon = (struct bench_daemon)BENCH_DAEMON_NULL;
}
