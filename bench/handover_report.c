/* SPDX-License-Identifier: Apache-2.0 */
/* What `handover` measured, as rows of a table and as lines of JSON: see out.h. */
#include <inttypes.h>
#include <string.h>

#include "base/cleanup.h"
#include "bench/handover.h"

static const char *form_name(enum baton_state_form form)
{
        return form == BATON_STATE_ARENA ? "arena" : "blob";
}

const char *bench_placement_name(enum bench_placement placement)
{
        static const char *const names[_BENCH_PLACE_N] = {"free", "pinned", "fixed"};

        return names[placement];
}

const char *bench_strategy_name(enum bench_strategy strategy)
{
        static const char *const names[_BENCH_STRATEGY_N] = {"hot", "cold", "unheld", "spare"};

        return names[strategy];
}

/* The floor of a blob has one copy of it on top. */
static uint64_t floor_at(const struct bench_series *series, uint32_t per_mille)
{
        return bench_hist_at(&series->floor, per_mille) + bench_hist_at(&series->copy, per_mille);
}

static double ratio_at(const struct bench_series *series, uint32_t per_mille)
{
        return bench_ratio(bench_hist_at(&series->blackout, per_mille),
                           floor_at(series, per_mille));
}

static const char *const parts[] = {
#define X(upper, lower) #lower "_ns",
        BENCH_PARTS(X)
#undef X
};

/* ---- JSON ---- */

static json_t *json_of(const struct bench_handover *how, const struct bench_series *series)
{
        return json_pack("{s:s, s:I, s:s, s:i, s:s}", "form", form_name(series->form), "bytes",
                         (json_int_t)series->bytes, "strategy", bench_strategy_name(series->strategy),
                         "connections", (int)series->connections, "placement",
                         bench_placement_name(how->placement));
}

/* By how many copies of the state a blob's blackout is longer than the floor without one. */
static double copies(const struct bench_series *series)
{
        uint64_t blackout = bench_hist_at(&series->blackout, 500),
                 floor = bench_hist_at(&series->floor, 500);

        return blackout > floor ? bench_ratio(blackout - floor, bench_hist_at(&series->copy, 500))
                                : 0;
}

static void json_series(const struct bench_handover *how, const struct bench_series *series)
{
        json_t *line = json_of(how, series);

        (void)json_object_set_new(line, "rounds", json_integer((json_int_t)series->rounds));
        (void)json_object_set_new(line, "blackout_ns", bench_out_hist(&series->blackout));
        (void)json_object_set_new(line, "floor_ns", bench_out_hist(&series->floor));
        if (series->copy.count) {
                (void)json_object_set_new(line, "copy_ns", bench_out_hist(&series->copy));
                (void)json_object_set_new(line, "copies", json_real(copies(series)));
        }
        (void)json_object_set_new(line, "ratio",
                                  json_pack("{s:f, s:f, s:f}", "p50", ratio_at(series, 500), "p99",
                                            ratio_at(series, 990), "max", ratio_at(series, 1000)));
        (void)json_object_set_new(line, "ratio_total", json_real(bench_ratio(bench_hist_at(&series->total, 500), floor_at(series, 500))));
        (void)json_object_set_new(line, "pause_ns", bench_out_hist(&series->pause));
        (void)json_object_set_new(line, "total_ns", bench_out_hist(&series->total));
        for (size_t i = 0; i < _BENCH_PART_N; i++)
                (void)json_object_set_new(line, parts[i], bench_out_hist(&series->parts[i]));
        bench_out_line(how->out, "series", line);
}

/* ---- table ---- */

static void table_begin(const struct bench_handover *how)
{
        bench_out_say(how->out,
                      "%" PRIu32 " rounds each after %" PRIu32
                      " for warming up, floor and swap in turns; percentiles within %.1f %%\n\n"
                      "state          connections   blackout p50       p99       max  floor p50       "
                      "p99       max   ratio p50   p99   max"
                      "  hub's pause     total p50\n",
                      how->rounds, how->warmup, BENCH_HIST_ERROR_PERCENT);
}

static void table_series(const struct bench_out *out, const struct bench_series *series)
{
        const uint32_t marks[] = {500, 990, 1000};
        char size[BENCH_SIZE_TEXT], text[BENCH_TIME_TEXT];

        bench_out_say(out, "%-5s %6s %-6s %-4" PRIu32, form_name(series->form),
                      bench_size_text(size, series->bytes), bench_strategy_name(series->strategy), series->connections);
        for (size_t i = 0; i < BT_ARRAY_LEN(marks); i++)
                bench_out_say(out, i ? "%10s" : "%13s",
                              bench_time_text(text, bench_hist_at(&series->blackout, marks[i])));
        for (size_t i = 0; i < BT_ARRAY_LEN(marks); i++)
                bench_out_say(out, i ? "%10s" : "%11s",
                              bench_time_text(text, floor_at(series, marks[i])));
        for (size_t i = 0; i < BT_ARRAY_LEN(marks); i++)
                bench_out_say(out, i ? "%6.2f" : "%12.2f", ratio_at(series, marks[i]));
        bench_out_say(out, "%13s", bench_time_text(text, bench_hist_at(&series->pause, 500)));
        bench_out_say(out, "%14s\n", bench_time_text(text, bench_hist_at(&series->total, 500)));
}

static void table_parts(const struct bench_out *out, const struct bench_series *series)
{
        char text[BENCH_TIME_TEXT];

        bench_out_say(out, "                             of it:");
        for (size_t i = 0; i < _BENCH_PART_N; i++)
                bench_out_say(out, "  %.*s %s", (int)strlen(parts[i]) - 3, parts[i],
                              bench_time_text(text, bench_hist_at(&series->parts[i], 500)));
        if (series->copy.count)
                bench_out_say(out, "  (one memcpy %s; %.2f of it over the floor)",
                              bench_time_text(text, bench_hist_at(&series->copy, 500)),
                              copies(series));
        bench_out_say(out, "\n");
}

/* ---- the largest beside the smallest ---- */

static const struct bench_series *series_find(const struct bench_series *all, uint32_t count,
                                              enum bench_strategy strategy, bool largest)
{
        const struct bench_series *found = NULL;

        for (uint32_t i = 0; i < count; i++) {
                if (all[i].form == BATON_STATE_ARENA && all[i].strategy == strategy && !all[i].connections &&
                    (!found ||
                     (largest ? all[i].bytes > found->bytes : all[i].bytes < found->bytes)))
                        found = &all[i];
        }
        return found;
}

static void compare_sizes(const struct bench_handover *how, const struct bench_series *all,
                          uint32_t count, enum bench_strategy strategy)
{
        const struct bench_series *small = series_find(all, count, strategy, false);
        const struct bench_series *large = series_find(all, count, strategy, true);
        char small_text[BENCH_SIZE_TEXT], large_text[BENCH_SIZE_TEXT];
        double measured;

        if (!small || small->bytes == large->bytes)
                return;
        measured = bench_ratio(bench_hist_at(&large->blackout, 500),
                               bench_hist_at(&small->blackout, 500));
        bench_out_line(how->out, "sizes",
                       json_pack("{s:s, s:s, s:s, s:I, s:I, s:f}", "form", "arena", "strategy",
                                 bench_strategy_name(strategy), "placement",
                                 bench_placement_name(how->placement), "small_bytes",
                                 (json_int_t)small->bytes, "large_bytes", (json_int_t)large->bytes,
                                 "ratio_p50", measured));
        bench_out_say(how->out, "%-6s arena, blackout p50: %s costs %.2fx of %s\n",
                      bench_strategy_name(strategy), bench_size_text(large_text, large->bytes), measured,
                      bench_size_text(small_text, small->bytes));
}

/* ---- with connections beside without ---- */

static const struct bench_series *without_connections(const struct bench_series *all, uint32_t count,
                                                      const struct bench_series *like)
{
        for (uint32_t i = 0; i < count; i++) {
                if (!all[i].connections && all[i].form == like->form && all[i].strategy == like->strategy && all[i].bytes == like->bytes)
                        return &all[i];
        }
        return NULL;
}

static void compare_connections(const struct bench_handover *how, const struct bench_series *all, uint32_t count)
{
        for (uint32_t i = 0; i < count; i++) {
                const struct bench_series *with = &all[i], *without = without_connections(all, count, with);
                double measured;

                if (!with->connections || !without)
                        continue;
                measured = bench_ratio(bench_hist_at(&with->blackout, 500), bench_hist_at(&without->blackout, 500));
                bench_out_line(how->out, "connections",
                               json_pack("{s:s, s:I, s:s, s:i, s:s, s:f}", "form", form_name(with->form), "bytes", (json_int_t)with->bytes,
                                         "strategy", bench_strategy_name(with->strategy), "connections", (int)with->connections, "placement",
                                         bench_placement_name(how->placement), "ratio_p50", measured));
                bench_out_say(how->out, "%-6s with %" PRIu32 " connections, blackout p50: %.2fx of without\n", bench_strategy_name(with->strategy),
                              with->connections, measured);
        }
}

/* ---- the report ---- */

void bench_report_begin(const struct bench_handover *how)
{
        table_begin(how);
}

void bench_report_round(const struct bench_handover *how, const struct bench_series *series,
                        uint64_t floor_ns, uint64_t blackout_ns,
                        const uint64_t parts_ns[_BENCH_PART_N])
{
        json_t *line;

        if (!how->each)
                return;
        line = json_of(how, series);
        (void)json_object_set_new(line, "floor_ns", json_integer((json_int_t)floor_ns));
        (void)json_object_set_new(line, "blackout_ns", json_integer((json_int_t)blackout_ns));
        for (size_t i = 0; i < _BENCH_PART_N; i++)
                (void)json_object_set_new(line, parts[i], json_integer((json_int_t)parts_ns[i]));
        bench_out_line(how->out, "round", line);
}

void bench_report_series(const struct bench_handover *how, const struct bench_series *series)
{
        json_series(how, series);
        table_series(how->out, series);
        table_parts(how->out, series);
}

void bench_report_end(const struct bench_handover *how, const struct bench_series *all,
                      uint32_t count)
{
        bench_out_say(how->out, "\n");
        for (int strategy = 0; strategy < _BENCH_STRATEGY_N; strategy++)
                compare_sizes(how, all, count, (enum bench_strategy)strategy);
        compare_connections(how, all, count);
}
