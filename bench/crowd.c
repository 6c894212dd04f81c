/* SPDX-License-Identifier: Apache-2.0 */
/* See crowd.h. Time limits are far away: the benchmark tells how long things take, and a slow machine is a result. */
#include "bench/crowd.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/fd.h"
#include "supervisor/control.h"
#include "supervisor/plan.h"

#define CONFIG                                                                                     \
        "hub: bench\n"                                                                             \
        "max_parallel: 16\n"                                                                       \
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

static int crowd_open(struct bench_crowd *crowd, uint32_t count, uint64_t state_bytes,
                      const char *nodes, bool zygote)
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
                r = bench_daemon_configure(&crowd->daemon, CONFIG, nodes, program,
                                           crowd->muster.path, state_bytes, count,
                                           (state_bytes + 1023) / 1024, zygote ? "true" : "false");
        if (r)
                bench_complain("%" PRIu32 " children cannot be prepared: %s", count,
                               strerrordesc_np(-r));
        return r;
}

int bench_crowd_open(struct bench_crowd *crowd, uint32_t count, uint64_t state_bytes)
{
        return crowd_open(crowd, count, state_bytes, "", false);
}

int bench_crowd_open_nodes(struct bench_crowd *crowd, uint32_t count, uint64_t state_bytes,
                           bool zygote)
{
        return crowd_open(crowd, count, state_bytes, NODES, zygote);
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
