/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * What kv-load remembers of the times it measures, in bounded memory:
 *
 *      histogram  log-linear: 64 steps to each doubling, so a percentile is at most 1/64 too large; 59 * 64 words
 *      timeline   the longest pause of each 10 ms of the run, so that the longest one of any window can be told afterwards
 */
#include <stddef.h>
#include <stdint.h>

#define KV_HIST_STEPS_LOG2 6
#define KV_HIST_STEPS (1u << KV_HIST_STEPS_LOG2)
#define KV_HIST_BUCKETS ((64 - KV_HIST_STEPS_LOG2 + 1) * KV_HIST_STEPS)

struct kv_hist {
        uint64_t count;
        uint64_t max;
        uint64_t buckets[KV_HIST_BUCKETS];
};

static inline uint32_t kv_hist_bucket(uint64_t value)
{
        uint32_t e;

        if (value < KV_HIST_STEPS)
                return (uint32_t)value;
        e = 63 - (uint32_t)__builtin_clzll(value);
        return (e - KV_HIST_STEPS_LOG2 + 1) * KV_HIST_STEPS +
               (uint32_t)(value >> (e - KV_HIST_STEPS_LOG2) & (KV_HIST_STEPS - 1));
}

/* The largest value that falls into the bucket. */
static inline uint64_t kv_hist_top(uint32_t bucket)
{
        uint32_t e = bucket / KV_HIST_STEPS;

        if (e == 0)
                return bucket;
        return ((uint64_t)(KV_HIST_STEPS + bucket % KV_HIST_STEPS + 1) << (e - 1)) - 1;
}

static inline void kv_hist_add(struct kv_hist *hist, uint64_t value)
{
        hist->count++;
        hist->buckets[kv_hist_bucket(value)]++;
        if (value > hist->max)
                hist->max = value;
}

/* A value that @share of all are not above. */
static inline uint64_t kv_hist_at(const struct kv_hist *hist, double share)
{
        uint64_t want = (uint64_t)(share * (double)hist->count), seen = 0;

        for (uint32_t i = 0; i < KV_HIST_BUCKETS; i++) {
                seen += hist->buckets[i];
                if (seen > want)
                        return kv_hist_top(i) < hist->max ? kv_hist_top(i) : hist->max;
        }
        return hist->max;
}

/* ---- timeline; times are ns since its beginning ---- */

#define KV_TIMELINE_STEP_NS UINT64_C(10000000)

struct kv_timeline {
        uint32_t *longest_us;
        size_t count;
};

/* A pause belongs to each step that it touches. */
static inline void kv_timeline_add(struct kv_timeline *line, uint64_t from_ns, uint64_t to_ns)
{
        uint64_t us = (to_ns - from_ns) / 1000;
        size_t last = to_ns / KV_TIMELINE_STEP_NS;

        for (size_t i = from_ns / KV_TIMELINE_STEP_NS; i <= last && i < line->count; i++) {
                if (line->longest_us[i] < us)
                        line->longest_us[i] = us < UINT32_MAX ? (uint32_t)us : UINT32_MAX;
        }
}

static inline uint64_t kv_timeline_longest_us(const struct kv_timeline *line, uint64_t from_ns, uint64_t to_ns)
{
        size_t last = to_ns / KV_TIMELINE_STEP_NS;
        uint64_t longest = 0;

        for (size_t i = from_ns / KV_TIMELINE_STEP_NS; i <= last && i < line->count; i++) {
                if (line->longest_us[i] > longest)
                        longest = line->longest_us[i];
        }
        return longest;
}
