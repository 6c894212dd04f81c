/* SPDX-License-Identifier: Apache-2.0 */
/* See out.h. Lines are flushed one by one: what is on the disk is whole lines, also of a run that was killed. */
#include "bench/out.h"

#include <errno.h>
#include <stdarg.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "bench/process.h"

#define JSON_FLAGS (JSON_COMPACT | JSON_PRESERVE_ORDER | JSON_REAL_PRECISION(6))

void bench_out_line(struct bench_out *out, const char *kind, json_t *line)
{
        json_t *head = json_pack("{s:s, s:s}", "kind", kind, "question", out->question);

        /* Out of memory in a benchmark: what was measured is worth nothing then. */
        if (!line || !head || json_object_update(head, line) < 0)
                bench_complain("a line of kind '%s' could not be made", kind);
        else if (out->json && (json_dumpf(head, out->json, JSON_FLAGS) < 0 ||
                               fputc('\n', out->json) == EOF || fflush(out->json)))
                bench_complain("a line of JSON could not be written: %s", strerrordesc_np(errno));
        json_decref(head);
        json_decref(line);
}

void bench_out_say(const struct bench_out *out, const char *format, ...)
{
        va_list args;

        if (!out->table)
                return;
        va_start(args, format);
        (void)vprintf(format, args);
        va_end(args);
        (void)fflush(stdout);
}

/* The kernel's texts are bytes; JSON is UTF-8. */
static const char *ascii(char *text)
{
        for (char *at = text; *at; at++) {
                if ((unsigned char)*at < 0x20 || (unsigned char)*at > 0x7e)
                        *at = '?';
        }
        return text;
}

static void machine_line(struct bench_out *out, struct bench_host *host)
{
        bench_out_line(out, "machine",
                       json_pack("{s:s, s:s, s:i, s:I, s:s, s:s, s:f, s:I, s:f}", "version",
                                 BATON_VERSION, "cpu", ascii(host->cpu), "cpus", (int)host->cpus,
                                 "memory_bytes", (json_int_t)host->memory, "kernel",
                                 ascii(host->kernel), "shared_huge_pages", host->huge, "load", bench_host_load(), "wall_s",
                                 (json_int_t)(bt_wall_ns() / BT_NS_PER_S),
                                 "histogram_error_percent", BENCH_HIST_ERROR_PERCENT));
}

int bench_out_open(struct bench_out *out, const char *question, const char *title, const char *path)
{
        bool to_stdout = path && !strcmp(path, "-");
        struct bench_host host;

        *out = (struct bench_out){
                .table = !to_stdout, .question = question, .begun_ns = bt_now_ns()};
        if (to_stdout)
                out->json = stdout;
        else if (path)
                out->json = fopen(path, "we");
        if (path && !out->json) {
                int r = -errno;

                bench_complain("cannot write %s: %s", path, strerrordesc_np(errno));
                return r;
        }
        bench_host_read(&host);
        bench_ticks_read(&out->from);
        machine_line(out, &host);
        bench_out_say(out, "baton-bench %s: %s\n%s, %u CPUs, %llu MiB, %s, shared huge pages %s, load %.1f; baton %s\n\n",
                      question, title, host.cpu, host.cpus, (unsigned long long)(host.memory >> 20),
                      host.kernel, host.huge, bench_host_load(), BATON_VERSION);
        return 0;
}

int bench_out_close(struct bench_out *out, int r)
{
        double seconds = (double)(bt_now_ns() - out->begun_ns) / 1e9, stolen;
        struct bench_ticks to;

        bench_ticks_read(&to);
        stolen = bench_ticks_stolen(&out->from, &to);
        if (!r) {
                bench_out_line(out, "end",
                               json_pack("{s:f, s:f, s:f}", "stolen_percent", stolen, "seconds",
                                         seconds, "load", bench_host_load()));
                bench_out_say(
                        out,
                        "\n%.0f s; %.2f %% of the processors' time was stolen by the hypervisor\n",
                        seconds, stolen);
        } else if (bench_interrupted()) {
                bench_complain("interrupted");
        }
        if (out->json && out->json != stdout && fclose(out->json)) {
                bench_complain("the JSON could not be written: %s", strerrordesc_np(errno));
                r = -EIO;
        }
        out->json = NULL;
        return r ? 1 : 0;
}

json_t *bench_out_hist(const struct bench_hist *hist)
{
        static const uint32_t marks[] = BENCH_CURVE_MARKS;
        json_t *curve = json_array();

        for (size_t i = 0; i < BT_ARRAY_LEN(marks); i++)
                (void)json_array_append_new(
                        curve, json_integer((json_int_t)(marks[i] ? bench_hist_at(hist, marks[i])
                                                                  : hist->min)));
        return json_pack(
                "{s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:o}", "count", (json_int_t)hist->count, "min",
                (json_int_t)hist->min, "p50", (json_int_t)bench_hist_at(hist, 500), "p90",
                (json_int_t)bench_hist_at(hist, 900), "p99", (json_int_t)bench_hist_at(hist, 990),
                "p999", (json_int_t)bench_hist_at(hist, 999), "max", (json_int_t)hist->max, "curve",
                curve);
}

double bench_ratio(uint64_t a, uint64_t b)
{
        return b ? (double)a / (double)b : 0;
}

json_t *bench_out_ratio(const struct bench_hist *measured, const struct bench_hist *floor)
{
        return json_pack("{s:f, s:f, s:f}", "p50",
                         bench_ratio(bench_hist_at(measured, 500), bench_hist_at(floor, 500)),
                         "p99",
                         bench_ratio(bench_hist_at(measured, 990), bench_hist_at(floor, 990)),
                         "max", bench_ratio(measured->max, floor->max));
}

const char *bench_time_text(char text[BENCH_TIME_TEXT], uint64_t ns)
{
        double us = (double)ns / 1e3;

        if (us < 9999.5)
                (void)snprintf(text, BENCH_TIME_TEXT, us < 99.95 ? "%.1f us" : "%.0f us", us);
        else if (us < 9999500)
                (void)snprintf(text, BENCH_TIME_TEXT, us < 99950 ? "%.1f ms" : "%.0f ms", us / 1e3);
        else
                (void)snprintf(text, BENCH_TIME_TEXT, "%.1f s", us / 1e6);
        return text;
}

/* ---- pairs and values ---- */

void bench_out_pair_head(const struct bench_out *out)
{
        bench_out_say(out, "%-28s%12s%10s%10s%12s%10s%10s%12s%6s\n", "", "p50", "p99", "max",
                      "floor p50", "p99", "max", "ratio p50", "p99");
}

void bench_out_pair(struct bench_out *out, const struct bench_pair *pair)
{
        const uint32_t marks[] = {500, 990, 1000};
        const struct bench_hist *const both[] = {&pair->measured, &pair->floor};
        char text[BENCH_TIME_TEXT];

        bench_out_line(out, "series",
                       json_pack("{s:s, s:o, s:o, s:o}", "case", pair->name, "measured_ns",
                                 bench_out_hist(&pair->measured), "floor_ns",
                                 bench_out_hist(&pair->floor), "ratio",
                                 bench_out_ratio(&pair->measured, &pair->floor)));
        bench_out_say(out, "%-28s", pair->name);
        for (size_t of = 0; of < 2; of++) {
                for (size_t i = 0; i < BT_ARRAY_LEN(marks); i++)
                        bench_out_say(out, i ? "%10s" : "%12s",
                                      bench_time_text(text, bench_hist_at(both[of], marks[i])));
        }
        bench_out_say(
                out, "%12.2f%6.2f\n",
                bench_ratio(bench_hist_at(&pair->measured, 500), bench_hist_at(&pair->floor, 500)),
                bench_ratio(bench_hist_at(&pair->measured, 990), bench_hist_at(&pair->floor, 990)));
}

void bench_out_value(struct bench_out *out, const char *name, const char *what, double value,
                     const char *unit)
{
        bench_out_line(out, "value",
                       json_pack("{s:s, s:s, s:f, s:s}", "case", name, "name", what, "value", value,
                                 "unit", unit));
        bench_out_say(out, "%-28s%-28s%14.6g %s\n", name, what, value, unit);
}
