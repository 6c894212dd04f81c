/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A swap is asked for over the control socket, and the answers are read only when the successor serves: `baton swap` would be woken by each phase it
 * prints, on one of two processors, while we measure. What the hub sends meanwhile waits in the socket.
 */
#include "bench/hub.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
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
#include "shm/node.h"
#include "supervisor/control.h"
#include "supervisor/plan.h"

#define WAIT_NS (120 * BT_NS_PER_S) /* 1 GiB fresh is filled in 1 s; a sanitizer takes its time */
#define LOOK_NS (200 * BT_NS_PER_MS) /* between looks whether the hub still lives */

/* Time limits are far away: the benchmark tells how long things take, and a slow machine is a result. */
static const char CONFIG[] = "hub: bench\n"
                             "children:\n"
                             "  probe:\n"
                             "    exec: [\"%s\", \"%s\", \"%s\", %s, \"%" PRIu64 "\"]\n"
                             "    strategy: hot\n"
                             "    handover: true\n"
                             "    state: {form: %s, max: %" PRIu64 "KiB}\n"
                             "    restart: temporary\n"
                             "    shutdown: 60s\n"
                             "    retention: 60s\n"
                             "    handover_data_wait: 60s\n"
                             "    child_migration_timeout: 60s\n"
                             "    state_query_timeout: 60s\n"
                             "    state_ttl: infinity\n";

/* ---- its folder ---- */

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *at)
{
        (void)st;
        (void)type;
        (void)at;
        (void)remove(path);
        return 0;
}

static int dir_make(struct bench_hub *hub)
{
        (void)snprintf(hub->dir, sizeof(hub->dir), "/tmp/baton-bench.XXXXXX");
        if (!mkdtemp(hub->dir)) {
                int r = -errno;

                bench_complain("cannot make a folder in /tmp: %s", strerrordesc_np(-r));
                hub->dir[0] = '\0';
                return r;
        }
        return 0;
}

static int config_write(const struct bench_hub *hub, enum baton_state_form form, uint64_t bytes)
{
        const char *word = form == BATON_STATE_ARENA ? "arena" : "blob";
        /* An arena has a head, and sizes are rounded up by a quarter at most; its blocks of 1 MiB fit exactly. */
        uint64_t room = form == BATON_STATE_ARENA ? bytes + (bytes < 4 << 20 ? bytes / 4 : 0) + (1 << 20) : bytes;
        char path[BENCH_DIR_BYTES + 16], program[4096];
        FILE *file;
        int r = bench_program_find(program, sizeof(program), "bench-probe");

        if (r)
                return r;
        (void)snprintf(path, sizeof(path), "%s/bench.yaml", hub->dir);
        file = fopen(path, "we");
        if (!file)
                return -errno;
        if (fprintf(file, CONFIG, program, hub->board_path, hub->wake_path, word, bytes, word, (room + 1023) / 1024) < 0)
                r = -EIO;
        return fclose(file) ? -EIO : r;
}

/* ---- saying what went wrong ---- */

static void show_log(const struct bench_hub *hub)
{
        char path[BENCH_DIR_BYTES + 16], text[2048];
        ssize_t n = 0;
        int fd;

        (void)snprintf(path, sizeof(path), "%s/log", hub->dir);
        fd = open(path, O_RDONLY | O_CLOEXEC);
        if (fd >= 0) {
                off_t end = lseek(fd, 0, SEEK_END);

                n = pread(fd, text, sizeof(text), end > (off_t)sizeof(text) ? end - (off_t)sizeof(text) : 0);
                (void)bt_close(fd);
        }
        if (n > 0)
                (void)fprintf(stderr, "---- the hub's last words\n%.*s----\n", (int)n, text);
}

/* ---- starting ---- */

static int process_start(struct bench_hub *hub)
{
        char program[4096], config[BENCH_DIR_BYTES + 16], path[BENCH_DIR_BYTES + 16];
        char run[] = "run";
        char *const argv[] = {program, run, config, NULL};
        BT_CLEANUP(bt_closep) int log = -1;
        int r = bench_program_find(program, sizeof(program), "baton");

        if (r)
                return r;
        (void)snprintf(config, sizeof(config), "%s/bench.yaml", hub->dir);
        (void)snprintf(path, sizeof(path), "%s/log", hub->dir);
        log = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
        if (log < 0)
                return -errno;
        (void)snprintf(path, sizeof(path), "%s/run", hub->dir);
        if (setenv("BATON_RUNTIME_DIR", path, 1) < 0)
                return -errno;
        (void)snprintf(path, sizeof(path), "%s/state", hub->dir);
        if (setenv("BATON_STATE_DIR", path, 1) < 0)
                return -errno;
        return bench_process_start(&hub->process, argv, environ, log);
}

/* The hub ended: how. It is left to be reaped. */
static void complain_of_end(const struct bench_hub *hub)
{
        siginfo_t info = {0};

        if (waitid(P_PIDFD, (id_t)hub->process.pidfd, &info, WEXITED | WNOWAIT | WNOHANG) == 0 && info.si_pid)
                bench_complain("the hub ended: %s %d", info.si_code == CLD_EXITED ? "exit status" : "signal", info.si_status);
}

/* The hub has said its last word on @fd: it closes after that. */
static bool hung_up(int fd)
{
        struct pollfd poll_fd = {.fd = fd};

        return poll(&poll_fd, 1, 0) > 0 && poll_fd.revents & POLLHUP;
}

/* Waits until @word is not @seen, as long as the hub lives and has not closed @fd (-1: none). */
static int hub_await(struct bench_hub *hub, const _Atomic uint32_t *word, uint32_t seen, int fd)
{
        uint64_t deadline = bt_now_ns() + WAIT_NS;

        while (bench_await(word, seen, LOOK_NS)) {
                if (bench_pidfd_wait(hub->process.pidfd, 0) == 0) {
                        complain_of_end(hub);
                        return -ESRCH;
                }
                if (bench_interrupted())
                        return -EINTR;
                if (hung_up(fd) && atomic_load(word) == seen)
                        return -ECANCELED;
                if (bt_now_ns() >= deadline)
                        return -ETIMEDOUT;
        }
        return 0;
}

/* ---- talking to it ---- */

static int control_open(const struct bench_hub *hub)
{
        struct sockaddr_un addr = {.sun_family = AF_UNIX};
        int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);

        if (fd < 0)
                return -errno;
        (void)snprintf(addr.sun_path, sizeof(addr.sun_path), "%s/run/bench/control.sock", hub->dir);
        if (connect(fd, (struct sockaddr *)&addr, sizeof(addr)) < 0) {
                int r = -errno;

                (void)bt_close(fd);
                return r;
        }
        return fd;
}

static int control_send(int fd, uint32_t op, uint32_t strategy)
{
        struct bt_ctl_request request = {
                .magic = BT_CTL_MAGIC, .version = BT_CTL_VERSION, .op = op, .strategy = strategy, .target = "probe"};

        return bt_scm_send(fd, &request, sizeof(request), NULL, 0);
}

/* The child is running in the node that comes with @fd. */
static bool node_running(int fd)
{
        struct bt_node_view view;
        struct bt_slot slot;
        bool running;

        if (bt_node_attach(&view, fd))
                return false;
        running = bt_node_read(&view, 0, &slot) && slot.phase == BT_PHASE_RUNNING;
        bt_node_detach(&view);
        return running;
}

/* Waits until the hub knows what the child knows already: that it serves. A swap is refused before. */
static int control_await_running(const struct bench_hub *hub)
{
        const struct timespec between = {.tv_nsec = BT_NS_PER_MS};
        uint64_t deadline = bt_now_ns() + WAIT_NS;

        while (bt_now_ns() < deadline) {
                BT_CLEANUP(bt_closep) int control = control_open(hub);
                BT_CLEANUP(bt_closep) int node = -1;
                struct bt_ctl_reply reply;
                size_t count = 0;

                if (control < 0 || control_send(control, BT_CTL_STATUS, BT_CTL_STRATEGY_SPEC) || bench_pidfd_wait(control, WAIT_NS) ||
                    bt_scm_recv(control, &reply, sizeof(reply), &node, 1, &count) != (ssize_t)sizeof(reply) || !count)
                        return -EPROTO;
                if (node_running(node))
                        return 0;
                (void)nanosleep(&between, NULL);
        }
        return -ETIMEDOUT;
}

/* Reads replies up to the outcome. @ret_swap: pause and total, may be NULL. */
static int control_outcome(int fd, struct bench_swap *ret_swap)
{
        struct bt_ctl_reply reply;
        size_t none = 0;
        ssize_t n;
        int r;

        for (;;) {
                r = bench_pidfd_wait(fd, WAIT_NS); /* readable */
                if (r)
                        return r;
                n = bt_scm_recv(fd, &reply, sizeof(reply), NULL, 0, &none);
                if (n == -EAGAIN)
                        continue;
                if (n != (ssize_t)sizeof(reply) || reply.magic != BT_CTL_MAGIC)
                        return n < 0 ? (int)n : -EPROTO;
                if (ret_swap && reply.kind == BT_CTL_EVENT && strncmp(reply.phase, "committed", sizeof(reply.phase)) == 0) {
                        ret_swap->pause_ns = reply.value[0];
                        ret_swap->total_ns = reply.value[1];
                }
                if (reply.kind == BT_CTL_DONE && reply.outcome != BT_CTL_OK)
                        bench_complain("the hub refused: %.*s", (int)sizeof(reply.text) - 1, reply.text);
                if (reply.kind == BT_CTL_DONE)
                        return reply.outcome == BT_CTL_OK ? 0 : -ECANCELED;
        }
}

int bench_hub_start(struct bench_hub *hub, enum baton_state_form form, uint64_t bytes)
{
        int r = dir_make(hub);

        if (r)
                return r;
        r = bench_board_create(&hub->board, &hub->board_fd, hub->board_path);
        if (!r && pipe2(hub->wake, O_CLOEXEC | O_NONBLOCK) < 0)
                r = -errno;
        if (!r) {
                (void)snprintf(hub->wake_path, sizeof(hub->wake_path), "/proc/%d/fd/%d", (int)getpid(), hub->wake[0]);
                r = config_write(hub, form, bytes);
        }
        if (!r)
                r = process_start(hub);
        if (!r)
                r = hub_await(hub, &hub->board->served, 0, -1);
        if (!r)
                r = control_await_running(hub);
        if (r) {
                bench_complain("the hub did not start its child: %s", strerrordesc_np(-r));
                show_log(hub);
        }
        return r;
}

/* ---- a swap ---- */

static void wake(const struct bench_hub *hub, uint32_t mode)
{
        atomic_store(&hub->board->mode, mode);
        (void)!write(hub->wake[1], "w", 1);
}

static int swap_measure(struct bench_hub *hub, int hot, struct bench_swap *ret_swap)
{
        BT_CLEANUP(bt_closep) int fd = control_open(hub);
        uint32_t served = atomic_load(&hub->board->served);
        uint64_t begun;
        int r;

        if (fd < 0)
                return fd;
        begun = bt_now_ns();
        r = control_send(fd, BT_CTL_SWAP, hot ? BT_STRATEGY_HOT : BT_STRATEGY_COLD);
        if (!r)
                r = hub_await(hub, &hub->board->served, served, fd);
        if (!r)
                atomic_store(&hub->board->mode, BENCH_MODE_QUIET); /* the hub commits undisturbed */
        if (!r || r == -ECANCELED)
                r = control_outcome(fd, ret_swap);
        ret_swap->asked_ns = bt_now_ns() - begun;
        /* On a busy machine the hub may have committed before the successor came to its first stamp. */
        if (!r)
                r = hub_await(hub, &hub->board->served, served, -1);
        atomic_store(&hub->board->mode, BENCH_MODE_QUIET);
        ret_swap->stamps = hub->board->stamps;
        return r;
}

int bench_hub_swap(struct bench_hub *hub, int hot, struct bench_swap *ret_swap)
{
        BT_CLEANUP(bt_closep) int predecessor = bench_pidfd_open(hub->board->pid);
        int r = predecessor < 0 ? predecessor : 0;

        if (r)
                bench_complain("the child, process %d, is gone", hub->board->pid);
        memset(ret_swap, 0, sizeof(*ret_swap));
        if (!r) {
                wake(hub, BENCH_MODE_BUSY);
                r = hub_await(hub, &hub->board->busy, 0, -1);
        }
        if (!r)
                r = swap_measure(hub, hot, ret_swap);
        if (!r)
                r = bench_pidfd_wait(predecessor, WAIT_NS);
        if (!r && hub->board->reason != (hot ? BATON_REASON_HOT : BATON_REASON_COLD))
                r = -EPROTO;
        if (r) {
                bench_complain("a %s swap failed: %s", hot ? "hot" : "cold", strerrordesc_np(-r));
                show_log(hub);
        }
        return r;
}

int bench_hub_check(struct bench_hub *hub)
{
        int r;

        atomic_store(&hub->board->checked, 0);
        wake(hub, BENCH_MODE_CHECK);
        r = hub_await(hub, &hub->board->checked, 0, -1);
        if (!r && atomic_load(&hub->board->checked) != BENCH_CHECK_WHOLE)
                r = -EBADMSG;
        if (r)
                bench_complain("the state is not what was filled in: %s", strerrordesc_np(-r));
        return r;
}

/* ---- the end ---- */

/* The child first, by a signal: a hub that stops in order would write its state to the disk. */
static void stop_processes(struct bench_hub *hub)
{
        BT_CLEANUP(bt_closep) int child = hub->board && hub->board->pid > 0 ? bench_pidfd_open(hub->board->pid) : -1;
        int fd;

        if (child >= 0 && kill(hub->board->pid, SIGKILL) == 0)
                (void)bench_pidfd_wait(child, WAIT_NS);
        if (hub->process.pid <= 0)
                return;
        fd = control_open(hub);
        if (fd >= 0 && control_send(fd, BT_CTL_STOP, BT_CTL_STRATEGY_SPEC) == 0)
                (void)bench_process_wait(&hub->process, WAIT_NS);
        (void)bt_close(fd);
        bench_process_end(&hub->process);
        bench_process_end_all(); /* a successor that was on its way */
}

void bench_hub_stop(struct bench_hub *hub)
{
        stop_processes(hub);
        bench_board_destroy(hub->board, hub->board_fd);
        (void)bt_close(hub->wake[0]);
        (void)bt_close(hub->wake[1]);
        if (hub->dir[0])
                (void)nftw(hub->dir, remove_one, 8, FTW_DEPTH | FTW_PHYS);
        *hub = (struct bench_hub)BENCH_HUB_NULL;
}
