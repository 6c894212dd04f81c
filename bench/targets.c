/* SPDX-License-Identifier: Apache-2.0 */
/* The table of targets, and the judge. Nothing else in bench/ has an opinion on a number. */
#include "bench/targets.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"

#define HANDOVER   "question=handover kind=series connections=0 placement=free "
#define X(number)  .limit = (number), .scale = 1, .unit = "x"
#define MS(number) .limit = (number), .scale = 1, .unit = " ms"

const struct bench_target bench_targets[] = {
        {.id = "hot",
         .sentence = "hot swap: blackout, arena of any size, of the floor",
         .where = HANDOVER "form=arena strategy=hot",
         .path = "ratio.p50",
         X(2)},
        {.id = "hot-p99",
         .sentence = "... its 99th percentile, of the floor's",
         .where = HANDOVER "form=arena strategy=hot",
         .path = "ratio.p99",
         X(3)},
        {.id = "hot-size",
         .sentence = "... 1 GiB arena, of 1 KiB",
         .where = "question=handover kind=sizes strategy=hot placement=free",
         .path = "ratio_p50",
         X(1.2)},
        {.id = "hot-blob",
         .sentence = "... blob: copies of the state over the floor",
         .where = HANDOVER "form=blob strategy=hot",
         .path = "copies",
         X(1.2)},
        {.id = "hot-connections",
         .sentence = "... with 10 000 live connections, of without",
         .where = "question=handover kind=connections strategy=hot connections=10000",
         .path = "ratio_p50",
         X(3)},
        {.id = "cold",
         .sentence = "cold swap: blackout, arena of any size, of bare end and start",
         .where = HANDOVER "form=arena strategy=cold",
         .path = "ratio.p50",
         X(1.3)},
        {.id = "cold-whole",
         .sentence = "... whole, from the request to the commit",
         .where = HANDOVER "form=arena strategy=cold",
         .path = "ratio_total",
         X(1.3)},
        {.id = "cold-spare",
         .sentence = "cold swap with a spare, of the hot floor",
         .where = "question=handover kind=series strategy=spare",
         .path = "ratio.p50",
         X(10)},
        {.id = "restart",
         .sentence = "killed process: successor serves, of bare end and start",
         .where = "question=restart kind=series case=killed-to-service",
         .path = "ratio.p50",
         X(1.2)},
        {.id = "shutdown",
         .sentence = "stop: capture of 1 000 x 64 KiB, of one bare transaction",
         .where = "question=shutdown kind=series case=1000x64KiB",
         .path = "ratio.p50",
         X(1.25)},
        {.id = "load-rate",
         .sentence = "kv with a hot swap every 100 ms: throughput, of without",
         .where = "question=load kind=value case=swaps name=rate_ratio",
         .path = "value",
         .at_least = 1,
         X(0.97)},
        {.id = "load-p99.9",
         .sentence = "... its 99.9th percentile, of without",
         .where = "question=load kind=value case=swaps name=p999_ratio",
         .path = "value",
         X(2)},
        {.id = "nodes",
         .sentence = "1 000 children change node, of 1 000 bare forks",
         .where = "question=scale kind=value case=nodes-1000x1KiB name=ratio",
         .path = "value",
         X(1.5)},
        {.id = "nodes-whole",
         .sentence = "... in all",
         .where = "question=scale kind=value case=nodes-1000x1KiB name=total_ms",
         .path = "value",
         MS(200)},
        {.id = "nodes-swap",
         .sentence = "... the swap phase alone, successors parked",
         .where = "question=scale kind=value case=nodes-1000x1KiB name=swap_ms",
         .path = "value",
         MS(32)},
        {.id = "kv-new",
         .sentence = "kv under 1 000 new connections/s: command to new version",
         .where = "question=load kind=value case=new-connections name=new_version_p50",
         .path = "value",
         MS(10)},
        {.id = "kv-closed",
         .sentence = "... connections closed",
         .where = "question=load kind=value case=new-connections name=closed",
         .path = "value",
         .limit = 0,
         .scale = 1,
         .unit = "",
         .combine = BENCH_SUM},
        {.id = "kv-1GiB",
         .sentence = "1 GiB of state back in service (memcached -e: 1 170 ms)",
         .where = "question=load kind=value case=1GiB name=cold_gap_p50",
         .path = "value",
         MS(11.7)},
        {.id = "rest",
         .sentence = "hub at rest with 1 000 children: wake-ups in 10 s",
         .where = "question=scale kind=value case=1000 name=wakeups",
         .path = "value",
         .limit = 0,
         .scale = 1,
         .unit = ""},
        {.id = "memory",
         .sentence = "... memory of the hub for each child",
         .where = "question=scale kind=value case=1000 name=hub_bytes_per_child",
         .path = "value",
         .limit = 8,
         .scale = 1.0 / 1024,
         .unit = " KiB"},
        {.id = "message",
         .sentence = "message, there and back, of the floor",
         .where = "question=messages kind=value name=rtt_ratio",
         .path = "value",
         X(1.5)},
        {.id = "message-rate",
         .sentence = "messages of 64 B, of a SEQPACKET socket's rate",
         .where = "question=messages kind=value name=rate_ratio",
         .path = "value",
         .at_least = 1,
         X(3)},
        {.id = "failed",
         .sentence = "every failed request, in every run",
         .where = "kind=value name=failed",
         .path = "value",
         .limit = 0,
         .scale = 1,
         .unit = "",
         .combine = BENCH_SUM},
};
const size_t bench_target_count = BT_ARRAY_LEN(bench_targets);

#undef X
#undef MS

/* ---- finding ---- */

static bool value_is(const json_t *value, const char *text, size_t bytes)
{
        char number[32];

        if (json_is_string(value))
                return strlen(json_string_value(value)) == bytes &&
                       strncmp(json_string_value(value), text, bytes) == 0;
        (void)snprintf(number, sizeof(number), "%lld", (long long)json_integer_value(value));
        return json_is_integer(value) && strlen(number) == bytes &&
               strncmp(number, text, bytes) == 0;
}

/* @where: "name=value name=value". */
static bool line_fits(const json_t *line, const char *where)
{
        while (*where) {
                size_t bytes = strcspn(where, " ");
                size_t name_bytes = strcspn(where, "=");
                char name[32];

                (void)snprintf(name, sizeof(name), "%.*s", (int)name_bytes, where);
                if (!value_is(json_object_get(line, name), where + name_bytes + 1,
                              bytes - name_bytes - 1))
                        return false;
                where += bytes;
                where += strspn(where, " ");
        }
        return true;
}

const json_t *bench_line_at(const json_t *line, const char *path)
{
        while (line && *path) {
                size_t bytes = strcspn(path, ".");
                char name[32];

                (void)snprintf(name, sizeof(name), "%.*s", (int)bytes, path);
                line = json_object_get(line, name);
                path += bytes + (path[bytes] == '.');
        }
        return json_is_number(line) ? line : NULL;
}

/* ---- judging ---- */

static double combine(const struct bench_target *target, double a, double b)
{
        if (target->combine == BENCH_SUM)
                return a + b;
        return (target->at_least ? b < a : b > a) ? b : a;
}

enum bench_verdict bench_target_judge(const struct bench_target *target, const json_t *lines,
                                      double *ret_measured)
{
        double measured = 0;
        bool found = false;

        for (size_t i = 0; i < json_array_size(lines); i++) {
                const json_t *line = json_array_get(lines, i), *value;
                double number;

                if (!line_fits(line, target->where))
                        continue;
                value = bench_line_at(line, target->path);
                if (!value)
                        continue;
                number = json_number_value(value) * target->scale;
                measured = found ? combine(target, measured, number) : number;
                found = true;
        }
        if (!found)
                return BENCH_NOT_MEASURED;
        *ret_measured = measured;
        if (target->at_least)
                return measured >= target->limit ? BENCH_REACHED : BENCH_MISSED;
        return measured <= target->limit ? BENCH_REACHED : BENCH_MISSED;
}

const char *bench_verdict_name(enum bench_verdict verdict)
{
        static const char *const names[_BENCH_VERDICT_N] = {"reached", "MISSED", "not measured"};

        return names[verdict];
}

const char *bench_target_number(char text[BENCH_LIMIT_TEXT], const struct bench_target *target,
                                double number)
{
        (void)snprintf(text, BENCH_LIMIT_TEXT, number != 0 && number < 10 ? "%.2f%s" : "%.0f%s",
                       number, target->unit);
        return text;
}

const char *bench_target_limit(char text[BENCH_LIMIT_TEXT], const struct bench_target *target)
{
        (void)snprintf(text, BENCH_LIMIT_TEXT, "%s %g%s",
                       target->at_least ? ">=" : "<=", target->limit, target->unit);
        return text;
}

void bench_targets_print(const json_t *lines)
{
        char limit[BENCH_LIMIT_TEXT], number[BENCH_LIMIT_TEXT];

        (void)printf("%-62s%12s%12s  %s\n", "what", "measured", "target", "verdict");
        for (size_t i = 0; i < bench_target_count; i++) {
                const struct bench_target *target = &bench_targets[i];
                double measured = 0;
                enum bench_verdict verdict = bench_target_judge(target, lines, &measured);

                (void)printf("%-62s%12s%12s  %s\n", target->sentence,
                             verdict == BENCH_NOT_MEASURED
                                     ? "-"
                                     : bench_target_number(number, target, measured),
                             bench_target_limit(limit, target), bench_verdict_name(verdict));
        }
}
