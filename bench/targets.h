/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * What is wanted, and whether it was reached: one table, used by `all`, `report` and `compare`.
 *
 * A target names lines of results by their members ("question=handover form=arena strategy=hot": a line that lacks a member has no part in it) and one
 * number in them by its path ("ratio.p50"). Where several lines fit, the one that is furthest from the target is judged, so "of any size" means each
 * size. A target that no line fits is not measured, and says so.
 */

#include <stddef.h>
#include <jansson.h>

enum bench_verdict {
        BENCH_REACHED = 0,
        BENCH_MISSED = 1,
        BENCH_NOT_MEASURED = 2,
        _BENCH_VERDICT_N,
};

enum bench_combine {
        BENCH_WORST = 0, /* of the lines that fit */
        BENCH_SUM = 1,
};

struct bench_target {
        const char *id; /* for --json and for people who talk about it */
        const char *sentence;
        const char *where; /* members a line must have */
        const char *path;  /* of the number */
        int at_least;      /* 1: it must not be smaller than @limit; 0: not larger */
        double limit;
        double scale; /* the number is multiplied by it first: 1e-6 makes milliseconds of nanoseconds */
        const char *unit; /* "x", "ms", "" */
        enum bench_combine combine;
};

extern const struct bench_target bench_targets[];
extern const size_t bench_target_count;

/* @lines: an array of objects (lines.h). @ret_measured: only when it was measured. */
enum bench_verdict bench_target_judge(const struct bench_target *target, const json_t *lines,
                                      double *ret_measured);
const char *bench_verdict_name(enum bench_verdict verdict);

/* "<= 1.2x" */
#define BENCH_LIMIT_TEXT 32
const char *bench_target_limit(char text[BENCH_LIMIT_TEXT], const struct bench_target *target);
const char *bench_target_number(char text[BENCH_LIMIT_TEXT], const struct bench_target *target,
                                double number);

/* Prints the table. @lines: NULL when there is nothing. */
void bench_targets_print(const json_t *lines);

/* A number in @line by its path, "ratio.p50". NULL: there is none. */
const json_t *bench_line_at(const json_t *line, const char *path);
