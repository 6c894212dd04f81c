/* SPDX-License-Identifier: Apache-2.0 */
/* One child that is swapped, and the board it stamps on. The answers of the hub are read only when the successor serves. */
#include "bench/hub.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/fd.h"
#include "supervisor/control.h"
#include "supervisor/plan.h"

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
                             "    durability: none\n" /* what a stop finds in an arena of a gigabyte would be seconds on a disk */
                             "    shutdown: 60s\n"
                             "    retention: 60s\n"
                             "    handover_data_wait: 60s\n"
                             "    child_migration_timeout: 60s\n"
                             "    state_query_timeout: 60s\n"
                             "    state_ttl: infinity\n"
                             "%s%s";

/* ---- starting ---- */

static int config_write(const struct bench_hub *hub, const struct bench_subject *subject)
{
        enum baton_state_form form = subject->form;
        uint64_t bytes = subject->bytes;
        const char *word = form == BATON_STATE_ARENA ? "arena" : "blob";
        /* An arena has a head, and sizes are rounded up by a quarter at most; its blocks of 1 MiB fit exactly. */
        uint64_t room = form == BATON_STATE_ARENA
                                ? bytes + (bytes < 4 << 20 ? bytes / 4 : 0) + (1 << 20)
                                : bytes;
        char program[4096];
        int r = bench_program_find(program, sizeof(program), "bench-probe");

        return r ? r
                 : bench_daemon_configure(&hub->daemon, CONFIG, program, hub->board_path,
                                          hub->wake_path, word, bytes, word, (room + 1023) / 1024,
                                          subject->spare ? "    spare: true\n" : "", subject->unheld ? "    hold: false\n" : "");
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
        uint64_t deadline = bt_now_ns() + BENCH_WAIT_NS;

        while (bench_await(word, seen, LOOK_NS)) {
                if (bench_daemon_ended(&hub->daemon))
                        return -ESRCH;
                if (bench_interrupted())
                        return -EINTR;
                if (hung_up(fd) && atomic_load(word) == seen)
                        return -ECANCELED;
                if (bt_now_ns() >= deadline)
                        return -ETIMEDOUT;
        }
        return 0;
}

/* ---- its connections ---- */

static int listener_open(struct bench_hub *hub, uint32_t connections)
{
        struct sockaddr_in addr = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
        socklen_t bytes = sizeof(addr);

        if (!connections)
                return 0;
        hub->peers = calloc(connections, sizeof(*hub->peers));
        hub->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        if (!hub->peers || hub->listener < 0 || bind(hub->listener, (struct sockaddr *)&addr, sizeof(addr)) < 0 ||
            listen(hub->listener, 4096) < 0 || getsockname(hub->listener, (struct sockaddr *)&addr, &bytes) < 0)
                return -errno;
        hub->board->port = ntohs(addr.sin_port);
        hub->board->connections = connections;
        return 0;
}

/* The first to serve connects. */
static int peers_accept(struct bench_hub *hub)
{
        uint64_t deadline = bt_now_ns() + BENCH_WAIT_NS;

        while (hub->peer_count < hub->board->connections) {
                int fd = accept4(hub->listener, NULL, NULL, SOCK_CLOEXEC);

                if (fd >= 0) {
                        hub->peers[hub->peer_count++] = fd;
                        continue;
                }
                if (errno != EAGAIN && errno != EINTR)
                        return -errno;
                if (bench_daemon_ended(&hub->daemon) || bench_interrupted() || bt_now_ns() >= deadline)
                        return -ECANCELED;
                (void)bench_pidfd_wait(hub->listener, LOOK_NS); /* readable */
        }
        return 0;
}

/* A byte on each: the child has to find them all. */
static int peers_write(const struct bench_hub *hub)
{
        for (uint32_t i = 0; i < hub->peer_count; i++) {
                if (send(hub->peers[i], "c", 1, MSG_NOSIGNAL) != 1) {
                        bench_complain("connection %" PRIu32 " of %" PRIu32 " is closed: %s", i, hub->peer_count, strerrordesc_np(errno));
                        return -EPIPE;
                }
        }
        return 0;
}

static void peers_close(struct bench_hub *hub)
{
        const struct linger reset = {.l_onoff = 1}; /* none of them is to stay in TIME_WAIT */

        for (uint32_t i = 0; i < hub->peer_count; i++) {
                (void)setsockopt(hub->peers[i], SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
                (void)bt_close(hub->peers[i]);
        }
        free(hub->peers);
        (void)bt_close(hub->listener);
}

/* ---- the whole ---- */

int bench_hub_start(struct bench_hub *hub, const struct bench_subject *subject)
{
        int r = bench_daemon_open(&hub->daemon);

        if (r)
                return r;
        r = bench_board_create(&hub->board, &hub->board_fd, hub->board_path);
        if (!r && pipe2(hub->wake, O_CLOEXEC | O_NONBLOCK) < 0)
                r = -errno;
        if (!r) {
                (void)snprintf(hub->wake_path, sizeof(hub->wake_path), "/proc/%d/fd/%d",
                               (int)getpid(), hub->wake[0]);
                hub->board->cpu = subject->cpu;
                hub->spare = subject->spare;
                r = config_write(hub, subject);
        }
        if (!r)
                r = listener_open(hub, subject->connections);
        if (!r)
                r = bench_daemon_start(&hub->daemon);
        if (!r)
                r = peers_accept(hub);
        if (!r)
                r = hub_await(hub, &hub->board->served, 0, -1);
        if (!r)
                r = bench_daemon_await_running(&hub->daemon,
                                               0); /* the hub knows what the child knows already */
        if (r) {
                bench_complain("the hub did not start its child: %s", strerrordesc_np(-r));
                bench_daemon_show_log(&hub->daemon);
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
        BT_CLEANUP(bt_closep) int fd = bench_daemon_connect(&hub->daemon);
        uint32_t served = atomic_load(&hub->board->served);
        struct bench_answer answer = {0};
        uint64_t begun;
        int r;

        if (fd < 0)
                return fd;
        begun = bt_now_ns();
        r = bench_daemon_send(fd, BT_CTL_SWAP, hot ? BT_STRATEGY_HOT : BT_STRATEGY_COLD, "probe");
        if (!r)
                r = hub_await(hub, &hub->board->served, served, fd);
        if (!r)
                atomic_store(&hub->board->mode, BENCH_MODE_QUIET); /* the hub commits undisturbed */
        if (!r || r == -ECANCELED)
                r = bench_daemon_outcome(fd, &answer);
        ret_swap->pause_ns = answer.pause_ns;
        ret_swap->total_ns = answer.total_ns;
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
        if (!r && hub->spare)
                r = bench_daemon_await_spare(&hub->daemon, 0);
        memset(ret_swap, 0, sizeof(*ret_swap));
        if (!r) {
                wake(hub, BENCH_MODE_BUSY);
                r = hub_await(hub, &hub->board->busy, 0, -1);
        }
        if (!r)
                r = swap_measure(hub, hot, ret_swap);
        if (!r)
                r = bench_pidfd_wait(predecessor, BENCH_WAIT_NS);
        if (!r && hub->board->reason != (hot ? BATON_REASON_HOT : BATON_REASON_COLD))
                r = -EPROTO;
        if (r) {
                bench_complain("a %s swap failed: %s", hot ? "hot" : "cold", strerrordesc_np(-r));
                bench_daemon_show_log(&hub->daemon);
        }
        return r;
}

int bench_hub_check(struct bench_hub *hub)
{
        int r;

        atomic_store(&hub->board->checked, 0);
        r = peers_write(hub);
        if (r)
                return r;
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
void bench_hub_stop(struct bench_hub *hub)
{
        BT_CLEANUP(bt_closep)
        int child = hub->board && hub->board->pid > 0 ? bench_pidfd_open(hub->board->pid) : -1;

        if (child >= 0 && kill(hub->board->pid, SIGKILL) == 0)
                (void)bench_pidfd_wait(child, BENCH_WAIT_NS);
        if (hub->daemon.process.pid > 0 && !bench_interrupted())
                (void)bench_daemon_stop(&hub->daemon);
        bench_daemon_close(&hub->daemon);
        peers_close(hub);
        bench_board_destroy(hub->board, hub->board_fd);
        (void)bt_close(hub->wake[0]);
        (void)bt_close(hub->wake[1]);
        *hub = (struct bench_hub)BENCH_HUB_NULL;
}
