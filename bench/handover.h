/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* The question `handover`: for how long does nobody serve when one process hands its work to the next? */

#include <stdbool.h>
#include <stdio.h>

#include <baton/types.h>

#include "bench/hist.h"
#include "bench/host.h"
#include "bench/options.h"
#include "bench/out.h"

#define BENCH_SIZES_MAX 16

/* Where processes run. */
enum bench_placement {
        BENCH_PLACE_FREE = 0,   /* where the kernel puts them */
        BENCH_PLACE_PINNED = 1, /* who serves and who comes after: on the last processor; the hub where the kernel puts it */
        BENCH_PLACE_FIXED = 2,  /* everybody on the first */
        _BENCH_PLACE_N,
};

/* How the successor comes. */
enum bench_strategy {
        BENCH_HOT = 0,
        BENCH_COLD = 1,   /* started first, and held before its first line */
        BENCH_UNHELD = 2, /* cold, started after the end of its predecessor: a program that cannot be held, or hold: false */
        BENCH_SPARE = 3,  /* cold, started long before, and kept */
        _BENCH_STRATEGY_N,
};

struct bench_handover {
        struct bench_options options;
        struct bench_out *out;
        uint64_t sizes[BENCH_SIZES_MAX];
        uint32_t size_count;
        bool forms[_BATON_STATE_N];
        bool strategies[_BENCH_STRATEGY_N];
        uint32_t rounds;
        uint32_t warmup;
        uint32_t connections[BENCH_SIZES_MAX]; /* live ones, passed over in each swap */
        uint32_t connections_count;
        enum bench_placement placement;
        bool each;             /* JSON: a line for each round too */
};

/* Parts of a blackout, in the order in which they follow each other. */
#define BENCH_PARTS(X)                                                                                         \
        X(NOTICE, notice) /* last stamp to capture(): the predecessor hears that it is to go */                \
        X(PASS,                                                                                                \
          pass) /* capture() to restore(): capture, the word, the successor awake; cold: exit and start too */ \
        X(RESTORE, restore) /* restore() to serve(): restore, the word */                                      \
        X(SERVE, serve)     /* serve() to the first stamp: the hub is told, ready() returns */

enum bench_part {
#define X(upper, lower) BENCH_PART_##upper,
        BENCH_PARTS(X)
#undef X
        _BENCH_PART_N
};

/* What was measured about one form, size and strategy. */
struct bench_series {
        enum baton_state_form form;
        uint64_t bytes;
        uint32_t connections;
        enum bench_strategy strategy;
        uint64_t rounds;
        struct bench_hist blackout;
        struct bench_hist floor;
        struct bench_hist copy;  /* blob: one memcpy of the state */
        struct bench_hist pause; /* what the hub says */
        struct bench_hist total;
        struct bench_hist parts[_BENCH_PART_N];
};

/* 0 or -errno, with a complaint. */
int bench_handover_run(const struct bench_handover *how);

/* What the board's @cpu is to be. */
uint32_t bench_handover_cpu(const struct bench_handover *how);

/* ---- handover_report.c ---- */

const char *bench_placement_name(enum bench_placement placement); /* "free" */
const char *bench_strategy_name(enum bench_strategy strategy);    /* "hot" */

void bench_report_begin(const struct bench_handover *how);
void bench_report_round(const struct bench_handover *how, const struct bench_series *series,
                        uint64_t floor_ns, uint64_t blackout_ns,
                        const uint64_t parts_ns[_BENCH_PART_N]); /* with --each */
void bench_report_series(const struct bench_handover *how, const struct bench_series *series);
void bench_report_end(const struct bench_handover *how, const struct bench_series *all,
                      uint32_t count);
