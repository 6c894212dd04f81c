/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where a value falls: its highest 7 bits. The leading one says which doubling, the six after it which of its 64 steps; what is shifted out is
 * the error. Values below 64 have no bits to lose.
 */
#include "bench/hist.h"

#define SUB (UINT64_C(1) << BENCH_HIST_SUB_BITS)

static uint32_t step_of(uint64_t ns)
{
        uint32_t shift;

        if (ns < SUB)
                return (uint32_t)ns;
        if (ns >> BENCH_HIST_TOP_BITS)
                return BENCH_HIST_STEPS - 1;
        shift = 63 - (uint32_t)__builtin_clzll(ns) - BENCH_HIST_SUB_BITS;
        return (uint32_t)(shift * SUB + (ns >> shift));
}

/* The middle of a step. */
static uint64_t step_value(uint32_t step)
{
        uint64_t shift = step / SUB ? step / SUB - 1 : 0;
        uint64_t low = (step - shift * SUB) << shift;

        return low + ((UINT64_C(1) << shift) - 1) / 2;
}

void bench_hist_add(struct bench_hist *hist, uint64_t ns)
{
        if (!hist->count || ns < hist->min)
                hist->min = ns;
        if (ns > hist->max)
                hist->max = ns;
        hist->count++;
        hist->steps[step_of(ns)]++;
}

void bench_hist_merge(struct bench_hist *into, const struct bench_hist *from)
{
        if (!from->count)
                return;
        if (!into->count || from->min < into->min)
                into->min = from->min;
        if (from->max > into->max)
                into->max = from->max;
        into->count += from->count;
        for (uint32_t i = 0; i < BENCH_HIST_STEPS; i++)
                into->steps[i] += from->steps[i];
}

uint64_t bench_hist_at(const struct bench_hist *hist, uint32_t per_mille)
{
        uint64_t rank = (hist->count * per_mille + 999) / 1000;
        uint64_t seen = 0, value;
        uint32_t step = 0;

        if (!hist->count)
                return 0;
        if (rank >= hist->count)
                return hist->max;
        while (step < BENCH_HIST_STEPS - 1 && (seen += hist->steps[step]) < (rank ? rank : 1))
                step++;
        value = step_value(step);
        return value < hist->min ? hist->min : value > hist->max ? hist->max : value;
}
