/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A process is killed: how long until the next one serves?
 *
 *      hub:   SIGKILL by us; the hub sees the death and starts the child again; until serve() of the new process
 *      floor: SIGKILL by us; we see the end by pidfd, vfork and exec of a process without libbaton; until the first line of its main()
 *
 * in turns, without a spare, as a member of a group, and with a spare. Each watcher sleeps when the kill comes, so each pays one wake-up. There is no back-off: a process that was healthy (1 ms is enough here) is
 * replaced at once.
 */
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "bench/bare_start.h"
#include "bench/daemon.h"
#include "bench/muster.h"
#include "bench/options.h"
#include "bench/out.h"
#include "bench/question.h"

#define CONFIG                                                                                     \
        "hub: bench\n"                                                                             \
        "children:\n"                                                                              \
        "  m:\n"                                                                                   \
        "    exec: [\"%s\", \"%s\", \"0\", late]\n"                                                 \
        "    %s\n"                                                                                \
        "    healthy: 1ms\n"                                                                      \
        "    spare: %s\n"                                                                         \
        "%s"

#define GROUP "groups:\n  g: {children: [m], max_restarts: forever}\n"

struct way {
        const char *name;
        bool spare, grouped;
};

static const struct way ways[] = {
        {.name = "killed-to-service"},
        {.name = "killed-to-service-group", .grouped = true},
        {.name = "killed-to-service-spare", .spare = true},
};

/* So long everybody sleeps before the next kill, and the child becomes healthy. */
static const struct timespec REST = {.tv_nsec = 3 * BT_NS_PER_MS};

struct restart {
        struct bench_daemon daemon;
        struct bench_muster muster;
        struct bench_bare_start bare;
        const struct way *way;
        struct bench_pair pair;
};

static void restart_end(struct restart *restart)
{
        bench_daemon_close(&restart->daemon);
        bench_bare_close(&restart->bare);
        bench_muster_destroy(&restart->muster);
}

static int restart_begin(struct restart *restart)
{
        char program[4096];
        uint64_t ignored;
        int r = bench_program_find(program, sizeof(program), "bench-member");

        if (!r)
                r = bench_muster_create(&restart->muster, 1);
        if (!r)
                r = bench_bare_open(&restart->bare, 1);
        if (!r)
                r = bench_bare_start(&restart->bare, 0, &ignored);
        if (!r)
                r = bench_daemon_open(&restart->daemon);
        if (!r)
                r = bench_daemon_configure(&restart->daemon, CONFIG, program, restart->muster.path,
                                           restart->way->grouped ? "" : "max_restarts: forever", restart->way->spare ? "true" : "false",
                                           restart->way->grouped ? GROUP : "");
        if (!r)
                r = bench_daemon_start(&restart->daemon);
        return r ? r : bench_muster_await(&restart->muster, 1);
}

static int restart_by_hub(struct restart *restart, uint64_t *ret_ns)
{
        const struct bench_mark *mark = &restart->muster.marks[0];
        uint32_t served = atomic_load(&restart->muster.head->served);
        uint64_t begun;
        int r = bench_daemon_await_running(&restart->daemon, 0);

        if (!r && restart->way->spare)
                r = bench_daemon_await_spare(&restart->daemon, 0);
        if (r)
                return r;
        (void)nanosleep(&REST, NULL);
        begun = bt_now_ns();
        if (kill(mark->pid, SIGKILL) < 0)
                return -errno;
        r = bench_muster_await(&restart->muster, served + 1);
        *ret_ns = mark->serve_ns - begun;
        return r;
}

static int restart_round(struct restart *restart, bool counts)
{
        uint64_t floor_ns, hub_ns = 0;
        int r;

        (void)nanosleep(&REST, NULL);
        r = bench_bare_restart(&restart->bare, 0, &floor_ns);
        if (!r)
                r = restart_by_hub(restart, &hub_ns);
        if (r || !counts)
                return r;
        bench_hist_add(&restart->pair.floor, floor_ns);
        bench_hist_add(&restart->pair.measured, hub_ns);
        return 0;
}

static int restart_measure(struct bench_out *out, const struct way *way, uint32_t warmup, uint32_t rounds)
{
        struct restart restart = {.daemon = BENCH_DAEMON_NULL, .muster = BENCH_MUSTER_NULL, .bare = BENCH_BARE_NULL, .way = way};
        int r;

        restart.pair.name = way->name;
        r = restart_begin(&restart);
        for (uint32_t i = 0; !r && i < warmup + rounds; i++)
                r = bench_interrupted() ? -EINTR : restart_round(&restart, i >= warmup);
        if (!r) {
                bench_out_pair(out, &restart.pair);
        } else if (!bench_interrupted()) {
                bench_complain("the child does not come back: %s", strerrordesc_np(-r));
                bench_daemon_show_log(&restart.daemon);
        }
        restart_end(&restart);
        return r;
}

int bench_restart_main(int argc, char **argv)
{
        struct bench_options options = BENCH_OPTIONS_INIT;
        struct bench_out out;
        uint32_t rounds, warmup;
        int r;

        bench_options_parse(&options, "A process is killed: how long until the next one serves?",
                            argc, argv);
        rounds = bench_options_rounds(&options, 300, 5);
        warmup = bench_options_warmup(&options, 5, 1);
        r = bench_out_open(&out, "restart",
                           "a process is killed: how long until the next one serves?",
                           options.json);
        if (r)
                return 1;
        r = bench_process_guard();
        if (!r) {
                bench_out_pair_head(&out);
                for (size_t i = 0; !r && i < sizeof(ways) / sizeof(ways[0]); i++)
                        r = restart_measure(&out, &ways[i], warmup, rounds);
        }
        return bench_out_close(&out, r);
}
