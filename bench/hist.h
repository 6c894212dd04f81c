/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * A log-linear histogram of nanoseconds: 64 equal steps in each doubling.
 *
 *      [0, 64) one step each | [64, 128) one step each | [128, 256) steps of 2 | [256, 512) steps of 4 | ...
 *
 * A percentile is the middle of its step, at most 1/128 (0.8 %) from the true sample; min and max are exact. Adding is a few instructions and never
 * allocates. Values from 2^40 ns (18 minutes) on count in the last step; max still tells them.
 */

#include <stdint.h>

#define BENCH_HIST_SUB_BITS 6
#define BENCH_HIST_TOP_BITS 40
#define BENCH_HIST_STEPS ((BENCH_HIST_TOP_BITS - BENCH_HIST_SUB_BITS + 1) << BENCH_HIST_SUB_BITS)
#define BENCH_HIST_ERROR_PERCENT 0.8

struct bench_hist {
        uint64_t count;
        uint64_t min;
        uint64_t max;
        uint32_t steps[BENCH_HIST_STEPS];
};

void bench_hist_add(struct bench_hist *hist, uint64_t ns);

void bench_hist_merge(struct bench_hist *into, const struct bench_hist *from);

/* @per_mille: 500 is the median, 1000 the largest sample. 0 when there is no sample. */
uint64_t bench_hist_at(const struct bench_hist *hist, uint32_t per_mille);
