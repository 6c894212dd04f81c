/* SPDX-License-Identifier: Apache-2.0 */
/* The histogram against sorted samples: its percentiles may differ by its stated error and not more. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "bench/hist.h"

#define SAMPLES 5000

static uint64_t next_random(uint64_t *state)
{
        *state ^= *state << 13;
        *state ^= *state >> 7;
        *state ^= *state << 17;
        return *state;
}

static int compare(const void *a, const void *b)
{
        const uint64_t *x = a, *y = b;

        return *x < *y ? -1 : *x > *y;
}

static void percentiles_are_within_the_stated_error(void **state)
{
        static const uint32_t marks[] = {1, 10, 250, 500, 900, 990, 999};
        struct bench_hist *hist = calloc(1, sizeof(*hist));
        uint64_t *samples = calloc(SAMPLES, sizeof(*samples));
        uint64_t seed = 88172645463325252;

        (void)state;
        assert_non_null(hist);
        assert_non_null(samples);
        for (size_t i = 0; i < SAMPLES; i++) {
                samples[i] = next_random(&seed) >> (24 + next_random(&seed) % 38); /* every magnitude below 2^40 */
                bench_hist_add(hist, samples[i]);
        }
        qsort(samples, SAMPLES, sizeof(*samples), compare);
        for (size_t i = 0; i < sizeof(marks) / sizeof(marks[0]); i++) {
                uint64_t want = samples[(SAMPLES * marks[i] + 999) / 1000 - 1];
                uint64_t got = bench_hist_at(hist, marks[i]);
                uint64_t off = got > want ? got - want : want - got;

                assert_true((double)off <= (double)want * BENCH_HIST_ERROR_PERCENT / 100);
        }
        assert_int_equal(hist->min, samples[0]);
        assert_int_equal(bench_hist_at(hist, 1000), samples[SAMPLES - 1]);
        free(samples);
        free(hist);
}

static void one_sample_is_every_percentile(void **state)
{
        struct bench_hist hist = {0};

        (void)state;
        bench_hist_add(&hist, 123456789);
        assert_int_equal(bench_hist_at(&hist, 1), 123456789);
        assert_int_equal(bench_hist_at(&hist, 500), 123456789);
        assert_int_equal(bench_hist_at(&hist, 1000), 123456789);
}

static void no_sample_is_zero(void **state)
{
        struct bench_hist hist = {0};

        (void)state;
        assert_int_equal(bench_hist_at(&hist, 500), 0);
}

static void what_is_beyond_the_last_step_is_counted_and_is_the_maximum(void **state)
{
        struct bench_hist hist = {0};

        (void)state;
        bench_hist_add(&hist, 1);
        bench_hist_add(&hist, UINT64_MAX);
        assert_int_equal(hist.count, 2);
        assert_int_equal(bench_hist_at(&hist, 500), 1);
        assert_true(bench_hist_at(&hist, 1000) == UINT64_MAX);
}

static void small_values_are_exact(void **state)
{
        struct bench_hist hist = {0};

        (void)state;
        for (uint64_t v = 0; v < 128; v++)
                bench_hist_add(&hist, v);
        for (uint32_t v = 0; v < 127; v++)
                assert_int_equal(bench_hist_at(&hist, (v + 1) * 1000 / 128), v);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(percentiles_are_within_the_stated_error),
                cmocka_unit_test(one_sample_is_every_percentile),
                cmocka_unit_test(no_sample_is_zero),
                cmocka_unit_test(what_is_beyond_the_last_step_is_counted_and_is_the_maximum),
                cmocka_unit_test(small_values_are_exact),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
