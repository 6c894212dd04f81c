/* SPDX-License-Identifier: Apache-2.0 */
/* See crowd.h. Time limits are far away: the benchmark tells how long things take, and a slow machine is a result. */
#include "bench/crowd.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/fd.h"
#include "shm/futex.h"
#include "supervisor/control.h"
#include "supervisor/plan.h"

#define CONFIG                                                                                     \
        "hub: bench\n"                                                                             \
        "max_parallel: %" PRIu32 "\n"                                                             \
        "%s"                                                                                       \
        "children:\n"                                                                              \
        "  m:\n"                                                                                   \
        "    exec: [\"%s\", \"%s\", \"%" PRIu64 "\"]\n"                                            \
        "    instances: %" PRIu32 "\n"                                                             \
        "    strategy: hot\n"                                                                      \
        "    handover: true\n"                                                                     \
        "    state: {form: blob, max: %" PRIu64 "KiB}\n"                                           \
        "    restart: temporary\n"                                                                 \
        "    shutdown: 60s\n"                                                                      \
        "    retention: 60s\n"                                                                     \
        "    handover_data_wait: 60s\n"                                                            \
        "    child_migration_timeout: 60s\n"                                                       \
        "    state_query_timeout: 60s\n"                                                           \
        "    state_ttl: infinity\n"                                                                \
        "    zygote: %s\n"

static const char NODES[] = "distribution: {strategy: guided, map: {m: [blue, green]}}\n"
                            "nodes: {blue: {}, green: {}}\n";

#define PARALLEL 16
#define QUIET_WAIT_NS (2 * BT_NS_PER_S)

static int crowd_open(struct bench_crowd *crowd, uint32_t count, uint64_t state_bytes,
                      uint32_t parallel, const char *nodes, bool zygote)
{
        char program[4096];
        int r = bench_program_find(program, sizeof(program), "bench-member");

        crowd->count = count;
        crowd->state_bytes = state_bytes;
        if (!r)
                r = bench_muster_create(&crowd->muster, count);
        if (!r)
                r = bench_daemon_open(&crowd->daemon);
        if (!r)
                r = bench_daemon_configure(&crowd->daemon, CONFIG, parallel, nodes, program,
                                           crowd->muster.path, state_bytes, count,
                                           (state_bytes + 1023) / 1024, zygote ? "true" : "false");
        if (r)
                bench_complain("%" PRIu32 " children cannot be prepared: %s", count,
                               strerrordesc_np(-r));
        return r;
}

int bench_crowd_open(struct bench_crowd *crowd, uint32_t count, uint64_t state_bytes)
{
        return crowd_open(crowd, count, state_bytes, PARALLEL, "", false);
}

int bench_crowd_open_nodes(struct bench_crowd *crowd, uint32_t count, uint64_t state_bytes,
                           bool zygote)
{
        return crowd_open(crowd, count, state_bytes, PARALLEL, NODES, zygote);
}

int bench_crowd_open_together(struct bench_crowd *crowd, uint32_t count, uint64_t state_bytes)
{
        return crowd_open(crowd, count, state_bytes, count, "", true);
}

static uint64_t last_service(const struct bench_crowd *crowd)
{
        uint64_t last = 0;

        for (uint32_t i = 0; i < crowd->count; i++) {
                uint64_t at = crowd->muster.marks[i].serve_ns;

                last = at > last ? at : last;
        }
        return last;
}

int bench_crowd_start(struct bench_crowd *crowd, uint64_t *ret_ns)
{
        uint32_t served = atomic_load(&crowd->muster.head->served);
        struct bench_event event;
        uint64_t begun = bt_now_ns();
        int r;

        for (uint32_t i = 0; i < crowd->count; i++)
                crowd->muster.marks[i].ended_ns = 0;
        r = bench_daemon_start(&crowd->daemon);
        if (!r)
                r = bench_muster_await(&crowd->muster, served + crowd->count);
        *ret_ns = last_service(crowd) - begun;
        if (r) {
                bench_complain("%" PRIu32 " of %" PRIu32 " children came: %s",
                               atomic_load(&crowd->muster.head->served) - served, crowd->count,
                               strerrordesc_np(-r));
                bench_daemon_show_log(&crowd->daemon);
                return r;
        }
        return bench_daemon_await(&crowd->daemon, "children_started", 0, &event);
}

int bench_crowd_swap(struct bench_crowd *crowd, uint32_t strategy, uint64_t *ret_ns)
{
        uint32_t served = atomic_load(&crowd->muster.head->served);
        struct bench_answer answer;
        int r = bench_daemon_ask(&crowd->daemon, BT_CTL_SWAP, strategy, "m", &answer);

        *ret_ns = answer.asked_ns;
        if (!r)
                r = bench_muster_await(&crowd->muster, served + crowd->count);
        return r ? r : bench_crowd_check_states(crowd);
}

/* Until nothing runs but us: what there was to do before a process sleeps is done. On a machine that others use that never comes, and a while has to do. */
static int await_quiet(void)
{
        const struct timespec pause = {.tv_nsec = 10 * BT_NS_PER_MS};
        uint64_t deadline = bt_now_ns() + QUIET_WAIT_NS;
        int quiet = 0;

        while (quiet < 10) {
                char line[256];
                long running = 0;
                FILE *file = fopen("/proc/stat", "re");

                if (!file)
                        return -errno;
                while (fgets(line, sizeof(line), file))
                        if (!strncmp(line, "procs_running ", strlen("procs_running ")))
                                running = strtol(line + strlen("procs_running "), NULL, 10);
                (void)fclose(file);
                quiet = running <= 1 ? quiet + 1 : 0;
                if (bench_interrupted())
                        return -EINTR;
                if (bt_now_ns() >= deadline)
                        return 0;
                (void)nanosleep(&pause, NULL);
        }
        return 0;
}

static int await_waiting(const struct bench_crowd *crowd)
{
        const struct timespec pause = {.tv_nsec = BT_NS_PER_MS};
        uint64_t deadline = bt_now_ns() + BENCH_WAIT_NS;

        while (atomic_load(&crowd->muster.head->waiting) < crowd->count) {
                if (bench_interrupted() || bt_now_ns() >= deadline)
                        return bench_interrupted() ? -EINTR : -ETIMEDOUT;
                (void)nanosleep(&pause, NULL);
        }
        return 0;
}

/*
 * Successors wait at a gate before they are ready. When all are there the hub is stopped, the gate is opened, and all say READY and park; then the hub goes on,
 * with nothing to do but the swaps.
 */
int bench_crowd_swap_parked(struct bench_crowd *crowd, uint64_t *ret_ns)
{
        struct bench_muster_head *head = crowd->muster.head;
        uint32_t served = atomic_load(&head->served);
        BT_CLEANUP(bt_closep) int fd = bench_daemon_connect(&crowd->daemon);
        pid_t hub = crowd->daemon.process.pid;
        uint64_t begun_ns;
        int r;

        atomic_store(&head->waiting, 0);
        atomic_store(&head->gate, 1);
        r = fd < 0 ? fd : bench_daemon_send(fd, BT_CTL_SWAP, BT_STRATEGY_HOT, "m");
        if (!r)
                r = await_waiting(crowd);
        if (!r && kill(hub, SIGSTOP) < 0)
                r = -errno;
        atomic_store(&head->gate, 0);
        bt_futex_wake(&head->gate);
        if (!r)
                r = await_quiet();
        begun_ns = bt_now_ns();
        (void)kill(hub, SIGCONT);
        if (!r)
                r = bench_muster_await(&crowd->muster, served + crowd->count);
        if (!r)
                r = bench_daemon_outcome(fd, NULL);
        *ret_ns = last_service(crowd) - begun_ns;
        return r ? r : bench_crowd_check_states(crowd);
}

/* `baton node add blue`: what a user types. Its answer is not waited for here: who moves is told by events. */
static int blue_joins(struct bench_process *ret_process)
{
        char program[4096], node[] = "node", add[] = "add", blue[] = "blue", hub[] = "--hub=bench";
        char *const argv[] = {program, node, add, blue, hub, NULL};
        BT_CLEANUP(bt_closep) int null_fd = open("/dev/null", O_WRONLY | O_CLOEXEC);
        int r = null_fd < 0 ? -errno : bench_program_find(program, sizeof(program), "baton");

        return r ? r : bench_process_start(ret_process, argv, environ, null_fd);
}

static void process_endp(struct bench_process *process)
{
        bench_process_end(process);
}

/* The first event is awaited while the move goes on: the hub remembers 4096 events, and a thousand moves are ten thousand. */
int bench_crowd_move(struct bench_crowd *crowd, enum bench_crowd_move move, uint64_t *ret_ns)
{
        uint32_t served = atomic_load(&crowd->muster.head->served);
        BT_CLEANUP(bt_closep) int fd = bench_daemon_connect(&crowd->daemon);
        BT_CLEANUP(process_endp) struct bench_process joins = BENCH_PROCESS_NULL;
        struct bench_event first, last;
        uint64_t before;
        int r = fd < 0 ? fd : bench_daemon_last_event(&crowd->daemon, &before);

        if (!r)
                r = move == BENCH_CROWD_JOIN ? blue_joins(&joins)
                                             : bench_daemon_send(fd, BT_CTL_NODE_DRAIN,
                                                                 BT_CTL_STRATEGY_SPEC, "blue");
        if (!r)
                r = bench_daemon_await(&crowd->daemon, "redistributing", before, &first);
        if (!r && move == BENCH_CROWD_LEAVE)
                r = bench_daemon_outcome(fd, NULL);
        if (!r)
                r = bench_muster_await(&crowd->muster, served + crowd->count);
        if (!r)
                r = bench_daemon_await(&crowd->daemon, "redistributed", first.sequence, &last);
        if (r)
                return r;
        *ret_ns = last.mono_ns - first.mono_ns;
        return bench_crowd_check_states(crowd);
}

/* The first that was told to end. */
static uint64_t first_end(const struct bench_crowd *crowd)
{
        uint64_t first = BT_NS_NEVER;

        for (uint32_t i = 0; i < crowd->count; i++) {
                uint64_t at = crowd->muster.marks[i].ended_ns;

                first = at && at < first ? at : first;
        }
        return first;
}

int bench_crowd_stop(struct bench_crowd *crowd, uint64_t *ret_stored_ns, uint64_t *ret_ns)
{
        uint64_t begun = bt_now_ns(), first;
        int r;

        /* A swap told predecessors to end, too. */
        for (uint32_t i = 0; i < crowd->count; i++)
                crowd->muster.marks[i].ended_ns = 0;
        r = bench_daemon_stop(&crowd->daemon);
        *ret_ns = bt_now_ns() - begun;
        first = first_end(crowd);
        *ret_stored_ns = first - begun;
        if (!r && first == BT_NS_NEVER) {
                bench_complain("no child was told to end");
                r = -EPROTO;
        }
        return r;
}

int bench_crowd_check_states(const struct bench_crowd *crowd)
{
        for (uint32_t i = 0; i < crowd->count; i++) {
                const struct bench_mark *mark = &crowd->muster.marks[i];

                if (mark->broken || mark->state_bytes != crowd->state_bytes) {
                        bench_complain("child m/%" PRIu32 " was given %" PRIu64 " bytes of %" PRIu64
                                       "%s",
                                       i, mark->state_bytes, crowd->state_bytes,
                                       mark->broken ? ", and they are not its own" : "");
                        return -EBADMSG;
                }
        }
        return 0;
}

void bench_crowd_close(struct bench_crowd *crowd)
{
        bench_daemon_close(&crowd->daemon);
        bench_muster_destroy(&crowd->muster);
        *crowd = (struct bench_crowd)BENCH_CROWD_NULL;
}
