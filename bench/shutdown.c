/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The hub stops, and starts again: what do the states of its children cost?
 *
 *      shutdown: from the request to stop until the first child is told to end; by then every child was asked for its state, gave it, and all of
 *                them are on the disk. Floor: one bare LMDB transaction of the same bytes, with its fsync, in the same file system
 *      reboot:   from the exec of `baton run` until the last child serves, its state restored. Floor: as many bare starts, one after the other,
 *                and one bare LMDB environment opened and read
 *
 * in turns; each round is a start and a stop. Every child says what it was given, and a state that is missing or not its own fails the run.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "bench/bare_start.h"
#include "bench/crowd.h"
#include "bench/floor_lmdb.h"
#include "bench/host.h"
#include "bench/options.h"
#include "bench/out.h"
#include "bench/question.h"

struct cycle {
        uint32_t count;
        uint64_t bytes;
        uint32_t rounds;
        bool reboot;
        struct bench_pair pair;
};

static void crowd_closep(struct bench_crowd *crowd)
{
        bench_crowd_close(crowd);
}

static int floor_of_stop(struct cycle *cycle, const struct bench_crowd *crowd, uint64_t *ret_ns)
{
        return bench_lmdb_write(crowd->daemon.dir, cycle->count, cycle->bytes, ret_ns);
}

static int floor_of_start(struct cycle *cycle, const struct bench_crowd *crowd, uint64_t *ret_ns)
{
        struct bench_bare_start bare = BENCH_BARE_NULL;
        uint64_t starts_ns = 0, read_ns = 0, ignored;
        int r = bench_lmdb_write(crowd->daemon.dir, cycle->count, cycle->bytes, &ignored);

        if (!r)
                r = bench_lmdb_read(crowd->daemon.dir, cycle->count, cycle->bytes, &read_ns);
        if (!r)
                r = bench_bare_open(&bare, cycle->count);
        if (!r)
                r = bench_bare_start_all(&bare, &starts_ns);
        bench_bare_close(&bare);
        *ret_ns = starts_ns + read_ns;
        return r;
}

/* A start with the states of the round before, and a stop. The first start has none, and counts for nothing. */
static int round_measure(struct cycle *cycle, struct bench_crowd *crowd, bool first)
{
        uint64_t start_ns = 0, stored_ns = 0, stop_ns = 0, floor_ns = 0;
        int r = cycle->reboot ? floor_of_start(cycle, crowd, &floor_ns)
                              : floor_of_stop(cycle, crowd, &floor_ns);

        if (!r)
                r = bench_crowd_start(crowd, &start_ns);
        if (!r && !first)
                r = bench_crowd_check_states(crowd);
        if (!r)
                r = bench_crowd_stop(crowd, &stored_ns, &stop_ns);
        if (r || first)
                return r;
        bench_hist_add(&cycle->pair.floor, floor_ns);
        bench_hist_add(&cycle->pair.measured, cycle->reboot ? start_ns : stored_ns);
        return 0;
}

static int cycle_measure(struct cycle *cycle, struct bench_out *out)
{
        BT_CLEANUP(crowd_closep) struct bench_crowd crowd = BENCH_CROWD_NULL;
        char name[64], size[BENCH_SIZE_TEXT];
        int r = bench_crowd_open(&crowd, cycle->count, cycle->bytes);

        for (uint32_t i = 0; !r && i < cycle->rounds + 1; i++)
                r = bench_interrupted() ? -EINTR : round_measure(cycle, &crowd, i == 0);
        if (r)
                return r;
        (void)snprintf(name, sizeof(name), "%ux%s", cycle->count,
                       bench_size_text(size, cycle->bytes));
        cycle->pair.name = name;
        bench_out_pair(out, &cycle->pair);
        return 0;
}

struct size {
        uint32_t count;
        uint64_t bytes;
        uint32_t rounds;
};

static int ask(bool reboot, const char *doc, int argc, char **argv)
{
        static const struct size whole[] = {{1, 1 << 10, 20}, {100, 64 << 10, 15}, {1000, 1 << 10, 8}, {1000, 64 << 10, 10}};
        static const struct size brief[] = {{10, 1 << 10, 2}};
        struct bench_options options = BENCH_OPTIONS_INIT;
        struct bench_out out;
        struct cycle *cycle = calloc(1, sizeof(*cycle));
        const struct size *sizes;
        int r;

        bench_options_parse(&options, doc, argc, argv);
        sizes = options.brief ? brief : whole;
        if (!cycle || bench_out_open(&out, reboot ? "reboot" : "shutdown", doc, options.json))
                return 1;
        bench_out_pair_head(&out);
        r = bench_process_guard();
        for (size_t i = 0; !r && i < (options.brief ? BT_ARRAY_LEN(brief) : BT_ARRAY_LEN(whole)); i++) {
                *cycle = (struct cycle){.count = sizes[i].count,
                                        .bytes = sizes[i].bytes,
                                        .rounds = bench_options_rounds(&options, sizes[i].rounds, sizes[i].rounds),
                                        .reboot = reboot};
                r = cycle_measure(cycle, &out);
        }
        free(cycle);
        return bench_out_close(&out, r);
}

int bench_shutdown_main(int argc, char **argv)
{
        return ask(false,
                   "The hub stops: how long until the states of all children are on the disk?",
                   argc, argv);
}

int bench_reboot_main(int argc, char **argv)
{
        return ask(true, "The hub starts with stored states: how long until all children serve?",
                   argc, argv);
}
