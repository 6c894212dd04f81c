/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * What a question writes: lines of JSON into the file that --json names, and a table for people to stdout. With --json - the lines go to stdout, and
 * the table is left out.
 *
 *      machine                        first: what was measured on
 *      series | value | ...           each when it is known, so that a run that fails later has said what it knows
 *      end                            last, and only of a run that came to its end: what `all` resumes by
 *
 * Each line has the members "kind" and "question". A series is one thing beside its floor, measured in turns; a value is one number. README.md lists
 * their members; targets.c finds in them what it judges.
 */

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <jansson.h>

#include "bench/hist.h"
#include "bench/host.h"

struct bench_out {
        FILE *json; /* NULL: nobody wants it */
        bool table;
        const char *question;
        struct bench_ticks from;
        uint64_t begun_ns;
};

/* @path: NULL: no JSON; "-": to stdout. @title: the table's first line. Returns 0 or -errno, with a complaint. */
int bench_out_open(struct bench_out *out, const char *question, const char *title,
                   const char *path);

/* The end line, when @r is 0. Returns the exit status for @r. */
int bench_out_close(struct bench_out *out, int r);

/* Takes @line and adds "kind" and "question" to it. */
void bench_out_line(struct bench_out *out, const char *kind, json_t *line);

/* A line of the table; nothing when there is none. */
__attribute__((format(printf, 2, 3))) void bench_out_say(const struct bench_out *out,
                                                         const char *format, ...);

/* count, min, p50, p90, p99, p999, max, and "curve": the samples at BENCH_CURVE_MARKS. */
json_t *bench_out_hist(const struct bench_hist *hist);
#define BENCH_CURVE_MARKS                                                                          \
        {                                                                                          \
                0, 100, 250, 500, 750, 900, 950, 990, 999, 1000                                    \
        } /* per mille */

double bench_ratio(uint64_t a, uint64_t b); /* 0 when @b is 0 */
json_t *bench_out_ratio(const struct bench_hist *measured,
                        const struct bench_hist *floor); /* p50, p99, max */

/* Four digits are all that such a number has: "12.3 us". */
#define BENCH_TIME_TEXT 16
const char *bench_time_text(char text[BENCH_TIME_TEXT], uint64_t ns);

/* ---- what most questions write ---- */

/* One thing beside its floor. @name has no spaces: targets.c looks for it. */
struct bench_pair {
        const char *name;
        struct bench_hist measured;
        struct bench_hist floor;
};

void bench_out_pair_head(const struct bench_out *out); /* of the table of pairs */
void bench_out_pair(struct bench_out *out, const struct bench_pair *pair);

/* One number: {"kind":"value","case":@name,"name":@what,"value":..,"unit":@unit}. */
void bench_out_value(struct bench_out *out, const char *name, const char *what, double value,
                     const char *unit);
