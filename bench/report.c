/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Results as one page: the table of targets, state size against pause, each series beside its floor as a curve of percentiles, ratios as bars,
 * and all numbers as a table. Everything is in the file; it fetches nothing.
 */
#include "bench/report.h"

#include <errno.h>
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "bench/lines.h"
#include "bench/out.h"
#include "bench/plot.h"
#include "bench/process.h"
#include "bench/question.h"
#include "bench/targets.h"

#define POINTS_MAX 64

/* Of a picture that stands by itself, and, behind "svg ", of those in the page. */
#define STYLE_TEXT  "text{font:12px system-ui,sans-serif;fill:#374151}"
#define STYLE_TITLE "text.t{font-weight:600;font-size:13px}"
#define STYLE_GRID  ".g{stroke:#e5e7eb;stroke-width:1}"

static const char HEAD[] =
        "<!doctype html>\n<html lang='en'><head><meta "
        "charset='utf-8'><title>baton-bench</title>\n<style>\n"
        "body{font:15px/1.5 system-ui,sans-serif;max-width:1320px;margin:2em auto;padding:0 "
        "1em;color:#1f2937}\n"
        "h1{font-size:1.6em}h2{font-size:1.2em;margin-top:2em}\n"
        "table{border-collapse:collapse}td,th{padding:.2em .8em;border-bottom:1px solid "
        "#e5e7eb;text-align:left}\n"
        "td.n,th.n{text-align:right;font-variant-numeric:tabular-nums}\n"
        ".reached{color:#15803d}.MISSED{color:#b91c1c;font-weight:600}.not{color:#6b7280}\n"
        "svg{margin:.5em 1em .5em 0;background:#fff}svg " STYLE_TEXT "svg " STYLE_TITLE
        "\nsvg " STYLE_GRID "\n</style></head><body>\n";

static bool is_series(const json_t *line)
{
        return !strcmp(bench_line_text(line, "kind"), "series");
}

/* Of a series: what was measured beside the floor has two names. */
static const json_t *measured_of(const json_t *line)
{
        const json_t *hist = json_object_get(line, "blackout_ns");

        return hist ? hist : json_object_get(line, "measured_ns");
}

/* "arena 1KiB hot, 0 connections, free", or its case. */
static const char *title_of(const json_t *line, char text[128])
{
        char size[BENCH_SIZE_TEXT];
        long long connections = json_integer_value(json_object_get(line, "connections"));
        int n;

        if (*bench_line_text(line, "case")) {
                (void)snprintf(text, 128, "%s: %s", bench_line_text(line, "question"),
                               bench_line_text(line, "case"));
                return text;
        }
        n = snprintf(
                text, 128, "%s: %s %s %s", bench_line_text(line, "question"),
                bench_line_text(line, "form"),
                bench_size_text(size, (uint64_t)json_integer_value(json_object_get(line, "bytes"))),
                bench_line_text(line, "strategy"));
        if (connections)
                n += snprintf(text + n, 128 - (size_t)n, ", %lld connections", connections);
        if (*bench_line_text(line, "placement") &&
            strcmp(bench_line_text(line, "placement"), "free") != 0)
                (void)snprintf(text + n, 128 - (size_t)n, ", CPUs %s",
                               bench_line_text(line, "placement"));
        return text;
}

/* ---- the head ---- */

static void page_machine(FILE *out, const json_t *lines)
{
        const json_t *first = json_array_get(lines, 0);

        (void)fputs("<h1>baton-bench</h1>\n<p>", out);
        bench_html_text(out, bench_line_text(first, "cpu"));
        (void)fprintf(out, ", %lld CPUs, %lld MiB, ",
                      (long long)json_integer_value(json_object_get(first, "cpus")),
                      (long long)json_integer_value(json_object_get(first, "memory_bytes")) >> 20);
        bench_html_text(out, bench_line_text(first, "kernel"));
        (void)fputs(", shared huge pages ", out);
        bench_html_text(out, bench_line_text(first, "shared_huge_pages"));
        (void)fprintf(out, "; baton %s; load %.1f at the start.", bench_line_text(first, "version"),
                      json_number_value(json_object_get(first, "load")));
        (void)fputs(" Ratios are to a floor that was measured in turns, in the same run.</p>\n",
                    out);
}

static void page_targets(FILE *out, const json_t *lines)
{
        char limit[BENCH_LIMIT_TEXT], number[BENCH_LIMIT_TEXT];

        (void)fputs("<h2>Targets</h2>\n<table><tr><th>what<th class='n'>measured<th "
                    "class='n'>target<th>verdict</tr>\n",
                    out);
        for (size_t i = 0; i < bench_target_count; i++) {
                const struct bench_target *target = &bench_targets[i];
                double measured = 0;
                enum bench_verdict verdict = bench_target_judge(target, lines, &measured);

                (void)fputs("<tr><td>", out);
                bench_html_text(out, target->sentence);
                (void)fprintf(out, "<td class='n'>%s<td class='n'>",
                              verdict == BENCH_NOT_MEASURED
                                      ? "-"
                                      : bench_target_number(number, target, measured));
                bench_html_text(out, bench_target_limit(limit, target));
                (void)fprintf(out, "<td class='%s'>%s</tr>\n", bench_verdict_name(verdict),
                              bench_verdict_name(verdict));
        }
        (void)fputs("</table>\n", out);
}

/* ---- plots ---- */

struct curve {
        struct bench_point points[POINTS_MAX];
        size_t count;
};

/* A place that is taken keeps what it has: several runs measure the smallest state. */
static void curve_add(struct curve *curve, double x, double y)
{
        for (size_t i = 0; i < curve->count; i++) {
                if (fabs(curve->points[i].x - x) < 1e-9)
                        return;
        }
        if (curve->count < POINTS_MAX && y > 0)
                curve->points[curve->count++] = (struct bench_point){x, y};
}

static void range_of(const struct curve *curve, double x[2], double y[2])
{
        for (size_t i = 0; i < curve->count; i++) {
                const struct bench_point *point = &curve->points[i];

                x[0] = x[0] > 0 && x[0] < point->x ? x[0] : point->x;
                x[1] = x[1] > point->x ? x[1] : point->x;
                y[0] = y[0] > 0 && y[0] < point->y ? y[0] : point->y;
                y[1] = y[1] > point->y ? y[1] : point->y;
        }
}

/* The medians of one form and strategy over sizes; with no connections, on free processors. */
static void sizes_of(const json_t *lines, const char *form, const char *strategy,
                     struct curve *ret_measured, struct curve *ret_floor)
{
        for (size_t i = 0; i < json_array_size(lines); i++) {
                const json_t *line = json_array_get(lines, i);
                double bytes = (double)json_integer_value(json_object_get(line, "bytes"));

                if (!is_series(line) || strcmp(bench_line_text(line, "form"), form) != 0 ||
                    strcmp(bench_line_text(line, "strategy"), strategy) != 0 ||
                    json_integer_value(json_object_get(line, "connections")) ||
                    strcmp(bench_line_text(line, "placement"), "free") != 0)
                        continue;
                curve_add(ret_measured, bytes,
                          json_number_value(bench_line_at(line, "blackout_ns.p50")));
                curve_add(ret_floor, bytes, json_number_value(bench_line_at(line, "floor_ns.p50")));
        }
}

static void plot_sizes(FILE *out, const json_t *lines, const char *form)
{
        static const char *const strategies[] = {"hot", "cold"};
        struct curve curves[2][2] = {0};
        double x[2] = {0}, y[2] = {0};
        struct bench_plot plot;
        char title[64], floor[32];

        for (size_t i = 0; i < 2; i++) {
                sizes_of(lines, form, strategies[i], &curves[i][0], &curves[i][1]);
                range_of(&curves[i][0], x, y);
                range_of(&curves[i][1], x, y);
        }
        if (!curves[0][0].count && !curves[1][0].count)
                return;
        (void)snprintf(title, sizeof(title), "nobody serves, median, by size of the %s", form);
        bench_plot_begin(&plot, out, title, BENCH_PLOT_SIZES, x, y);
        for (size_t i = 0; i < 2; i++) {
                (void)snprintf(floor, sizeof(floor), "floor of %s", strategies[i]);
                bench_plot_line(&plot, strategies[i], curves[i][0].points, curves[i][0].count, 0);
                bench_plot_line(&plot, floor, curves[i][1].points, curves[i][1].count, 1);
        }
        bench_plot_end(&plot);
}

static void curve_of(struct curve *curve, const json_t *hist)
{
        const json_t *values = json_object_get(hist, "curve");

        *curve = (struct curve){0};
        for (size_t i = 0; i < json_array_size(values); i++)
                curve_add(curve, (double)i, (double)json_integer_value(json_array_get(values, i)));
}

static void plot_curve(FILE *out, const json_t *line)
{
        struct curve measured, floor;
        double x[2] = {0, 9}, ignored[2] = {0}, y[2] = {0};
        struct bench_plot plot;
        char title[128];

        curve_of(&measured, measured_of(line));
        curve_of(&floor, json_object_get(line, "floor_ns"));
        if (!measured.count)
                return;
        range_of(&measured, ignored, y);
        range_of(&floor, ignored, y);
        bench_plot_begin(&plot, out, title_of(line, title), BENCH_PLOT_PERCENTILES, x, y);
        bench_plot_line(&plot, "measured", measured.points, measured.count, 0);
        bench_plot_line(&plot, "floor", floor.points, floor.count, 1);
        bench_plot_end(&plot);
}

/* What `scale` measured over the number of children. */
static void plot_scale(FILE *out, const json_t *lines)
{
        static const char *const names[] = {"start", "swap-hot", "swap-cold", "stop"};
        struct curve measured[4] = {0}, floor = {0};
        double x[2] = {0}, y[2] = {0};
        struct bench_plot plot;

        for (size_t i = 0; i < json_array_size(lines); i++) {
                const json_t *line = json_array_get(lines, i);
                double children = (double)json_integer_value(json_object_get(line, "children"));

                for (size_t of = 0; children > 0 && of < BT_ARRAY_LEN(names); of++) {
                        if (strcmp(bench_line_text(line, "what"), names[of]) != 0)
                                continue;
                        curve_add(&measured[of], children,
                                  json_number_value(json_object_get(line, "measured_ns")));
                        if (!of)
                                curve_add(&floor, children,
                                          json_number_value(json_object_get(line, "floor_ns")));
                }
        }
        for (size_t of = 0; of < BT_ARRAY_LEN(names); of++)
                range_of(&measured[of], x, y);
        if (!measured[0].count)
                return;
        range_of(&floor, x, y);
        bench_plot_begin(&plot, out, "all children of a hub, by their number", BENCH_PLOT_COUNTS, x,
                         y);
        bench_plot_line(&plot, names[0], measured[0].points, measured[0].count, 0);
        bench_plot_line(&plot, "bare starts", floor.points, floor.count, 1);
        for (size_t of = 1; of < BT_ARRAY_LEN(names); of++) {
                bench_plot_line(&plot, names[of], measured[of].points, measured[of].count, 0);
                plot.lines++;
        }
        bench_plot_end(&plot);
}

/* ---- ratios ---- */

/* One bar each: to the floor, which is 1. */
static void page_ratios(FILE *out, const json_t *lines)
{
        const double unit = 60, left = 330, widest = 660;
        double y = 10;
        size_t count = 0;

        for (size_t i = 0; i < json_array_size(lines); i++)
                count += is_series(json_array_get(lines, i)) &&
                         bench_line_at(json_array_get(lines, i), "ratio.p50");
        (void)fprintf(out,
                      "<h2>Medians, as multiples of their floors</h2>\n<svg viewBox='0 0 1100 "
                      "%.0f' width='1100' height='%.0f'>\n",
                      20.0 * (double)count + 20, 20.0 * (double)count + 20);
        for (size_t i = 0; i < json_array_size(lines); i++) {
                const json_t *line = json_array_get(lines, i),
                             *at = bench_line_at(line, "ratio.p50");
                double value = json_number_value(at);
                char title[128];

                if (!is_series(line) || !at)
                        continue;
                (void)fprintf(out, "<text x='%.0f' y='%.0f' text-anchor='end'>", left - 8, y + 12);
                bench_html_text(out, title_of(line, title));
                (void)fprintf(out,
                              "</text><rect x='%.0f' y='%.0f' width='%.1f' height='14' "
                              "fill='#0b6e99'/><text x='%.1f' y='%.0f'>%s%.2f</text>\n",
                              left, y, fmin(value * unit, widest),
                              left + fmin(value * unit, widest) + 6, y + 12,
                              value * unit > widest ? "... " : "", value);
                y += 20;
        }
        (void)fprintf(out,
                      "<line x1='%.0f' y1='0' x2='%.0f' y2='%.0f' stroke='#b91c1c' "
                      "stroke-dasharray='4 3'/></svg>\n",
                      left + unit, left + unit, y);
}

/* ---- all numbers ---- */

static void page_times(FILE *out, const json_t *hist)
{
        static const char *const marks[] = {"p50", "p99", "max"};
        char text[BENCH_TIME_TEXT];

        for (size_t i = 0; i < BT_ARRAY_LEN(marks); i++)
                (void)fprintf(out, "<td class='n'>%s",
                              bench_time_text(text, (uint64_t)json_integer_value(
                                                            json_object_get(hist, marks[i]))));
}

static void page_series(FILE *out, const json_t *lines)
{
        (void)fputs("<h2>All series</h2>\n<table><tr><th>what<th class='n'>count<th "
                    "class='n'>p50<th class='n'>p99<th class='n'>max"
                    "<th class='n'>floor p50<th class='n'>p99<th class='n'>max<th class='n'>ratio "
                    "p50</tr>\n",
                    out);
        for (size_t i = 0; i < json_array_size(lines); i++) {
                const json_t *line = json_array_get(lines, i);
                char title[128];

                if (!is_series(line))
                        continue;
                (void)fputs("<tr><td>", out);
                bench_html_text(out, title_of(line, title));
                (void)fprintf(
                        out, "<td class='n'>%lld",
                        (long long)json_integer_value(json_object_get(measured_of(line), "count")));
                page_times(out, measured_of(line));
                page_times(out, json_object_get(line, "floor_ns"));
                (void)fprintf(out, "<td class='n'>%.2f</tr>\n",
                              json_number_value(bench_line_at(line, "ratio.p50")));
        }
        (void)fputs("</table>\n", out);
}

static void page_scale(FILE *out, const json_t *lines)
{
        char text[BENCH_TIME_TEXT];

        (void)fputs("<h2>Many children</h2>\n<table><tr><th class='n'>children<th>what<th "
                    "class='n'>time"
                    "<th class='n'>bare starts</tr>\n",
                    out);
        for (size_t i = 0; i < json_array_size(lines); i++) {
                const json_t *line = json_array_get(lines, i),
                             *floor = bench_line_at(line, "floor_ns");

                if (strcmp(bench_line_text(line, "kind"), "scale") != 0)
                        continue;
                (void)fprintf(out, "<tr><td class='n'>%lld<td>%s<td class='n'>%s",
                              (long long)json_integer_value(json_object_get(line, "children")),
                              bench_line_text(line, "what"),
                              bench_time_text(text, (uint64_t)json_integer_value(
                                                            json_object_get(line, "measured_ns"))));
                (void)fprintf(out, "<td class='n'>%s</tr>\n",
                              floor ? bench_time_text(text, (uint64_t)json_integer_value(floor))
                                    : "");
        }
        (void)fputs("</table>\n", out);
}

static void page_values(FILE *out, const json_t *lines)
{
        (void)fputs("<h2>All values</h2>\n<table><tr><th>question<th>case<th>what<th "
                    "class='n'>value<th>unit</tr>\n",
                    out);
        for (size_t i = 0; i < json_array_size(lines); i++) {
                const json_t *line = json_array_get(lines, i);

                if (strcmp(bench_line_text(line, "kind"), "value") != 0)
                        continue;
                (void)fprintf(out, "<tr><td>%s<td>%s<td>%s<td class='n'>%.6g<td>%s</tr>\n",
                              bench_line_text(line, "question"), bench_line_text(line, "case"),
                              bench_line_text(line, "name"),
                              json_number_value(json_object_get(line, "value")),
                              bench_line_text(line, "unit"));
        }
        (void)fputs("</table>\n", out);
}

int bench_page_write(const json_t *lines, const char *path)
{
        FILE *out = fopen(path, "we");
        int r = out ? 0 : -errno;

        if (out) {
                (void)fputs(HEAD, out);
                page_machine(out, lines);
                page_targets(out, lines);
                (void)fputs("<h2>State size and pause, number of children</h2>\n", out);
                plot_sizes(out, lines, "arena");
                plot_sizes(out, lines, "blob");
                plot_scale(out, lines);
                page_ratios(out, lines);
                (void)fputs("<h2>Each series beside its floor, by percentile</h2>\n", out);
                for (size_t i = 0; i < json_array_size(lines); i++) {
                        if (is_series(json_array_get(lines, i)))
                                plot_curve(out, json_array_get(lines, i));
                }
                page_series(out, lines);
                page_scale(out, lines);
                page_values(out, lines);
                (void)fputs("</body></html>\n", out);
                r = fclose(out) ? -EIO : 0;
        }
        if (r)
                bench_complain("cannot write %s: %s", path, strerrordesc_np(-r));
        return r;
}

/* Size against pause alone, as a picture that a browser shows by itself. */
static int picture_write(const json_t *lines, const char *path)
{
        FILE *out = fopen(path, "we");
        int r = out ? 0 : -errno;

        if (out) {
                (void)fprintf(out,
                              "<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 %d %d' "
                              "width='%d' height='%d'>\n<style>" STYLE_TEXT STYLE_TITLE STYLE_GRID
                              "</style>\n<rect width='100%%' height='100%%' fill='#fff'/>\n",
                              BENCH_PLOT_WIDTH, BENCH_PLOT_HEIGHT, BENCH_PLOT_WIDTH,
                              BENCH_PLOT_HEIGHT);
                plot_sizes(out, lines, "arena");
                (void)fputs("</svg>\n", out);
                r = fclose(out) ? -EIO : 0;
        }
        if (r)
                bench_complain("cannot write %s: %s", path, strerrordesc_np(-r));
        return r;
}

static bool ends_with(const char *text, const char *end)
{
        size_t n = strlen(text), m = strlen(end);

        return n >= m && !strcmp(text + n - m, end);
}

int bench_report_main(int argc, char **argv)
{
        BT_CLEANUP(bench_lines_freep) json_t *lines = NULL;

        if (argc != 4 || strcmp(argv[2], "-o") != 0) {
                (void)fputs("Usage: baton-bench report RESULTS.json -o PAGE.html|PAUSE.svg\n",
                            stderr);
                return 2;
        }
        if (bench_lines_read(&lines, argv[1]))
                return 1;
        bench_targets_print(lines);
        return (ends_with(argv[3], ".svg") ? picture_write : bench_page_write)(lines, argv[3]) ? 1
                                                                                               : 0;
}
