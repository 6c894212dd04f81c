/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What was measured, as a table for people or as one JSON object a line for programs. Each line is written when its series is done: a run that
 * fails later has said what it knows.
 */
#include <inttypes.h>
#include <string.h>

#include "base/cleanup.h"
#include "bench/handover.h"

/* What the first release promises: see docs/performance.md. Reported, never enforced. */
#define SIZE_RATIO_TARGET 1.3

static const char *form_name(enum baton_state_form form)
{
        return form == BATON_STATE_ARENA ? "arena" : "blob";
}

static double ratio(uint64_t a, uint64_t b)
{
        return b ? (double)a / (double)b : 0;
}

/* The floor of a blob has one copy of it on top. */
static uint64_t floor_at(const struct bench_series *series, uint32_t per_mille)
{
        return bench_hist_at(&series->floor, per_mille) + bench_hist_at(&series->copy, per_mille);
}

/* ---- JSON ---- */

static void json_text(const char *text)
{
        (void)putchar('"');
        for (; *text; text++) {
                if (*text == '"' || *text == '\\')
                        (void)printf("\\%c", *text);
                else
                        (void)putchar((unsigned char)*text < 0x20 || (unsigned char)*text > 0x7e ? '?' : *text);
        }
        (void)putchar('"');
}

static void json_hist(const char *name, const struct bench_hist *hist)
{
        (void)printf(",\"%s_ns\":{\"count\":%" PRIu64 ",\"min\":%" PRIu64 ",\"p50\":%" PRIu64 ",\"p90\":%" PRIu64 ",\"p99\":%" PRIu64
                     ",\"max\":%" PRIu64 "}",
                     name, hist->count, hist->min, bench_hist_at(hist, 500), bench_hist_at(hist, 900), bench_hist_at(hist, 990), hist->max);
}

static void json_begin(const struct bench_handover *how, const struct bench_host *host)
{
        (void)printf("{\"kind\":\"machine\",\"question\":\"handover\",\"version\":\"%s\",\"cpu\":", BATON_VERSION);
        json_text(host->cpu);
        (void)printf(",\"cpus\":%" PRIu32 ",\"memory_bytes\":%" PRIu64 ",\"kernel\":", host->cpus, host->memory);
        json_text(host->kernel);
        (void)printf(",\"rounds\":%" PRIu32 ",\"warmup\":%" PRIu32 ",\"histogram_error_percent\":%.1f}\n", how->rounds, how->warmup,
                     BENCH_HIST_ERROR_PERCENT);
}

static const char *const parts[] = {
#define X(upper, lower) #lower,
        BENCH_PARTS(X)
#undef X
};

static void json_series(const struct bench_series *series)
{
        (void)printf("{\"kind\":\"series\",\"question\":\"handover\",\"form\":\"%s\",\"bytes\":%" PRIu64
                     ",\"strategy\":\"%s\",\"rounds\":%" PRIu64,
                     form_name(series->form), series->bytes, series->hot ? "hot" : "cold", series->rounds);
        json_hist("blackout", &series->blackout);
        json_hist("floor", &series->floor);
        if (series->copy.count)
                json_hist("copy", &series->copy);
        (void)printf(",\"ratio\":{\"p50\":%.3f,\"p99\":%.3f,\"max\":%.3f}",
                     ratio(bench_hist_at(&series->blackout, 500), floor_at(series, 500)),
                     ratio(bench_hist_at(&series->blackout, 990), floor_at(series, 990)), ratio(series->blackout.max, floor_at(series, 1000)));
        json_hist("pause", &series->pause);
        json_hist("total", &series->total);
        for (size_t i = 0; i < _BENCH_PART_N; i++)
                json_hist(parts[i], &series->parts[i]);
        (void)printf("}\n");
}

/* ---- table ---- */

/* Four digits are all that such a number has. */
#define TIME_TEXT 16
static const char *time_text(char text[TIME_TEXT], uint64_t ns)
{
        double us = (double)ns / 1e3;

        if (us < 9999.5)
                (void)snprintf(text, TIME_TEXT, us < 99.95 ? "%.1f us" : "%.0f us", us);
        else
                (void)snprintf(text, TIME_TEXT, us < 99950 ? "%.1f ms" : "%.0f ms", us / 1e3);
        return text;
}

static void table_begin(const struct bench_handover *how, const struct bench_host *host)
{
        (void)printf("baton-bench handover: for how long does nobody serve?\n"
                     "%s, %" PRIu32 " CPUs, %" PRIu64 " MiB, %s; baton %s\n"
                     "%" PRIu32 " rounds each after %" PRIu32 " for warming up, floor and swap in turns; percentiles within %.1f %%\n\n"
                     "state                    blackout p50       p99       max  floor p50       p99       max   ratio p50   p99   max"
                     "  hub's pause     total p50\n",
                     host->cpu, host->cpus, host->memory >> 20, host->kernel, BATON_VERSION, how->rounds, how->warmup,
                     BENCH_HIST_ERROR_PERCENT);
}

static void table_series(const struct bench_series *series)
{
        const uint32_t marks[] = {500, 990, 1000};
        char size[BENCH_SIZE_TEXT], text[TIME_TEXT];

        (void)printf("%-5s %8s %-4s     ", form_name(series->form), bench_size_text(size, series->bytes), series->hot ? "hot" : "cold");
        for (size_t i = 0; i < BT_ARRAY_LEN(marks); i++)
                (void)printf(i ? "%10s" : "%13s", time_text(text, bench_hist_at(&series->blackout, marks[i])));
        for (size_t i = 0; i < BT_ARRAY_LEN(marks); i++)
                (void)printf(i ? "%10s" : "%11s", time_text(text, floor_at(series, marks[i])));
        for (size_t i = 0; i < BT_ARRAY_LEN(marks); i++)
                (void)printf(i ? "%6.2f" : "%12.2f", ratio(bench_hist_at(&series->blackout, marks[i]), floor_at(series, marks[i])));
        (void)printf("%13s", time_text(text, bench_hist_at(&series->pause, 500)));
        (void)printf("%14s\n", time_text(text, bench_hist_at(&series->total, 500)));
}

static void table_parts(const struct bench_series *series)
{
        char text[TIME_TEXT];

        (void)printf("                             of it:");
#define X(upper, lower) (void)printf("  " #lower " %s", time_text(text, bench_hist_at(&series->parts[BENCH_PART_##upper], 500)));
        BENCH_PARTS(X)
#undef X
        if (series->copy.count)
                (void)printf("  (one memcpy %s)", time_text(text, bench_hist_at(&series->copy, 500)));
        (void)printf("\n");
}

/* ---- the largest beside the smallest ---- */

static const struct bench_series *series_find(const struct bench_series *all, uint32_t count, enum baton_state_form form, bool hot, bool largest)
{
        const struct bench_series *found = NULL;

        for (uint32_t i = 0; i < count; i++) {
                if (all[i].form == form && all[i].hot == hot &&
                    (!found || (largest ? all[i].bytes > found->bytes : all[i].bytes < found->bytes)))
                        found = &all[i];
        }
        return found;
}

static void compare_sizes(const struct bench_handover *how, const struct bench_series *all, uint32_t count, bool hot)
{
        const struct bench_series *small = series_find(all, count, BATON_STATE_ARENA, hot, false);
        const struct bench_series *large = series_find(all, count, BATON_STATE_ARENA, hot, true);
        char small_text[BENCH_SIZE_TEXT], large_text[BENCH_SIZE_TEXT];
        double measured;

        if (!small || small->bytes == large->bytes)
                return;
        measured = ratio(bench_hist_at(&large->blackout, 500), bench_hist_at(&small->blackout, 500));
        if (how->json)
                (void)printf("{\"kind\":\"sizes\",\"question\":\"handover\",\"form\":\"arena\",\"strategy\":\"%s\",\"small_bytes\":%" PRIu64
                             ",\"large_bytes\":%" PRIu64 ",\"ratio_p50\":%.3f,\"target\":%.1f,\"reached\":%s}\n",
                             hot ? "hot" : "cold", small->bytes, large->bytes, measured, SIZE_RATIO_TARGET,
                             measured <= SIZE_RATIO_TARGET ? "true" : "false");
        else
                (void)printf("%-4s arena, blackout p50: %s costs %.2fx of %s (target <= %.1fx: %s)\n", hot ? "hot" : "cold",
                             bench_size_text(large_text, large->bytes), measured, bench_size_text(small_text, small->bytes), SIZE_RATIO_TARGET,
                             measured <= SIZE_RATIO_TARGET ? "reached" : "MISSED");
}

/* ---- the report ---- */

void bench_report_begin(const struct bench_handover *how, const struct bench_host *host)
{
        if (how->json)
                json_begin(how, host);
        else
                table_begin(how, host);
        (void)fflush(stdout);
}

void bench_report_round(const struct bench_series *series, uint64_t floor_ns, uint64_t blackout_ns, const uint64_t parts_ns[_BENCH_PART_N])
{
        (void)printf("{\"kind\":\"round\",\"question\":\"handover\",\"form\":\"%s\",\"bytes\":%" PRIu64
                     ",\"strategy\":\"%s\",\"floor_ns\":%" PRIu64 ",\"blackout_ns\":%" PRIu64,
                     form_name(series->form), series->bytes, series->hot ? "hot" : "cold", floor_ns, blackout_ns);
        for (size_t i = 0; i < _BENCH_PART_N; i++)
                (void)printf(",\"%s_ns\":%" PRIu64, parts[i], parts_ns[i]);
        (void)printf("}\n");
}

void bench_report_series(const struct bench_handover *how, const struct bench_series *series)
{
        if (how->json) {
                json_series(series);
        } else {
                table_series(series);
                table_parts(series);
        }
        (void)fflush(stdout);
}

void bench_report_end(const struct bench_handover *how, const struct bench_series *all, uint32_t count, double stolen_percent, double seconds)
{
        if (!how->json)
                (void)printf("\n");
        compare_sizes(how, all, count, true);
        compare_sizes(how, all, count, false);
        if (how->json)
                (void)printf("{\"kind\":\"end\",\"question\":\"handover\",\"stolen_percent\":%.2f,\"seconds\":%.1f}\n", stolen_percent, seconds);
        else
                (void)printf("%.0f s; %.2f %% of the processors' time was stolen by the hypervisor\n", seconds, stolen_percent);
        (void)fflush(stdout);
}
