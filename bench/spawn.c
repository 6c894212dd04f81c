/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What does the hub add to the start of a process?
 *
 *      hub:   a hot swap without hand-over: from the event migration_begun to the first line of the new process' main(), and to its first service
 *      floor: vfork and exec of a process without libbaton, from before vfork to the first line of main()
 *
 * in turns. The hub prepares a link page, two eventfds, a socket pair, two log pipes and a description of the new program's schema (a run of the
 * program is not part of it: a program whose answer is known is not asked again). Both programs are dynamic glibc; the hub's child has libbaton linked
 * statically, as the examples have. Times are taken by the hub and by the process itself: no wake-up is in them.
 */
#include <errno.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "bench/bare_start.h"
#include "bench/daemon.h"
#include "bench/muster.h"
#include "bench/options.h"
#include "bench/out.h"
#include "bench/question.h"
#include "supervisor/control.h"
#include "supervisor/plan.h"

#define CONFIG                                                                                     \
        "hub: bench\n"                                                                             \
        "children:\n"                                                                              \
        "  m:\n"                                                                                   \
        "    exec: [\"%s\", \"%s\", \"0\", late]\n"                                                 \
        "    strategy: hot\n"                                                                      \
        "    retention: 10s\n"

struct spawn {
        struct bench_daemon daemon;
        struct bench_muster muster; /* mark 0: of the hub's child */
        struct bench_bare_start bare;
        uint64_t last_event;
        struct bench_pair main;
        struct bench_pair serve;
};

static void spawn_end(struct spawn *spawn)
{
        bench_daemon_close(&spawn->daemon);
        bench_bare_close(&spawn->bare);
        bench_muster_destroy(&spawn->muster);
}

static int spawn_begin(struct spawn *spawn)
{
        char program[4096];
        struct bench_event event = {0};
        int r = bench_program_find(program, sizeof(program), "bench-member");

        if (!r)
                r = bench_muster_create(&spawn->muster, 1);
        if (!r)
                r = bench_bare_open(&spawn->bare, 1);
        if (!r)
                r = bench_daemon_open(&spawn->daemon);
        if (!r)
                r = bench_daemon_configure(&spawn->daemon, CONFIG, program, spawn->muster.path);
        if (!r)
                r = bench_daemon_start(&spawn->daemon);
        if (!r)
                r = bench_daemon_await(&spawn->daemon, "children_started", 0, &event);
        spawn->last_event = event.sequence;
        return r;
}

static int spawn_round(struct spawn *spawn, bool counts)
{
        const struct bench_mark *mark = &spawn->muster.marks[0];
        uint32_t served = atomic_load(&spawn->muster.head->served);
        struct bench_event begun;
        uint64_t floor_ns;
        int r = bench_bare_start(&spawn->bare, 0, &floor_ns);

        bench_bare_end(&spawn->bare);
        if (!r)
                r = bench_daemon_ask(&spawn->daemon, BT_CTL_SWAP, BT_STRATEGY_HOT, "m", NULL);
        if (!r)
                r = bench_muster_await(&spawn->muster, served + 1);
        if (!r)
                r = bench_daemon_await(&spawn->daemon, "migration_begun", spawn->last_event,
                                       &begun);
        if (r)
                return r;
        spawn->last_event = begun.sequence;
        if (!counts)
                return 0;
        bench_hist_add(&spawn->main.measured, mark->main_ns - begun.mono_ns);
        bench_hist_add(&spawn->serve.measured, mark->serve_ns - begun.mono_ns);
        bench_hist_add(&spawn->main.floor, floor_ns);
        bench_hist_add(&spawn->serve.floor, floor_ns);
        return 0;
}

int bench_spawn_main(int argc, char **argv)
{
        struct bench_options options = BENCH_OPTIONS_INIT;
        static struct spawn spawn = {
                .daemon = BENCH_DAEMON_NULL, .muster = BENCH_MUSTER_NULL, .bare = BENCH_BARE_NULL};
        struct bench_out out;
        uint32_t rounds, warmup;
        int r;

        bench_options_parse(&options, "What does the hub add to the start of a process?", argc,
                            argv);
        rounds = bench_options_rounds(&options, 300, 5);
        warmup = bench_options_warmup(&options, 5, 1);
        r = bench_out_open(&out, "spawn", "what does the hub add to the start of a process?",
                           options.json);
        if (r)
                return 1;
        spawn.main.name = "to-main";
        spawn.serve.name = "to-service";
        r = bench_process_guard();
        if (!r)
                r = spawn_begin(&spawn);
        for (uint32_t i = 0; !r && i < warmup + rounds; i++)
                r = bench_interrupted() ? -EINTR : spawn_round(&spawn, i >= warmup);
        if (!r) {
                bench_out_pair_head(&out);
                bench_out_pair(&out, &spawn.main);
                bench_out_pair(&out, &spawn.serve);
        }
        spawn_end(&spawn);
        return bench_out_close(&out, r);
}
