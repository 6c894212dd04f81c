/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Two files of results beside each other: each target in both, then the medians of each series that both have. Ratios to a floor travel between machines
 * and days; times do so only as far as the two floors are alike, so both are shown.
 */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "bench/lines.h"
#include "bench/out.h"
#include "bench/process.h"
#include "bench/question.h"
#include "bench/targets.h"

/* What makes two lines the same series: all of their texts and whole numbers but what was counted. */
static bool same_series(const json_t *a, const json_t *b)
{
        static const char *const names[] = {"question", "kind",     "case",        "form",
                                            "bytes",    "strategy", "connections", "placement",
                                            "name",     "children"};

        for (size_t i = 0; i < BT_ARRAY_LEN(names); i++) {
                const json_t *one = json_object_get(a, names[i]),
                             *other = json_object_get(b, names[i]);

                if ((one || other) && !json_equal(one, other))
                        return false;
        }
        return true;
}

static const json_t *find(const json_t *lines, const json_t *like)
{
        for (size_t i = 0; i < json_array_size(lines); i++) {
                if (same_series(json_array_get(lines, i), like))
                        return json_array_get(lines, i);
        }
        return NULL;
}

static void print_machines(const char *name, const json_t *lines)
{
        const json_t *first = json_array_get(lines, 0);

        (void)printf("%s: %s, %s, shared huge pages %s, load %.1f\n", name,
                     bench_line_text(first, "cpu"), bench_line_text(first, "kernel"),
                     bench_line_text(first, "shared_huge_pages"),
                     json_number_value(json_object_get(first, "load")));
}

static void print_targets(const json_t *a, const json_t *b)
{
        char text[2][BENCH_LIMIT_TEXT], limit[BENCH_LIMIT_TEXT];

        (void)printf("\n%-62s%12s%12s%12s\n", "target", "A", "B", "");
        for (size_t i = 0; i < bench_target_count; i++) {
                const struct bench_target *target = &bench_targets[i];
                const json_t *const both[] = {a, b};

                for (size_t of = 0; of < 2; of++) {
                        double measured;

                        if (bench_target_judge(target, both[of], &measured) == BENCH_NOT_MEASURED)
                                (void)snprintf(text[of], sizeof(text[of]), "-");
                        else
                                (void)bench_target_number(text[of], target, measured);
                }
                (void)printf("%-62s%12s%12s%12s\n", target->sentence, text[0], text[1],
                             bench_target_limit(limit, target));
        }
}

static const char *name_of(const json_t *line, char text[128])
{
        if (*bench_line_text(line, "case")) {
                (void)snprintf(text, 128, "%s %s %s", bench_line_text(line, "question"),
                               bench_line_text(line, "case"), bench_line_text(line, "name"));
        } else {
                char size[BENCH_SIZE_TEXT];

                (void)snprintf(text, 128, "%s %s %s %s, %lld connections, %s",
                               bench_line_text(line, "question"), bench_line_text(line, "form"),
                               bench_size_text(size, (uint64_t)json_integer_value(
                                                             json_object_get(line, "bytes"))),
                               bench_line_text(line, "strategy"),
                               (long long)json_integer_value(json_object_get(line, "connections")),
                               bench_line_text(line, "placement"));
        }
        return text;
}

/* The median of what was measured, and of its floor. */
static void print_series(const json_t *a, const json_t *b)
{
        static const char *const paths[] = {"blackout_ns.p50", "measured_ns.p50", "floor_ns.p50"};
        char name[128], text[2][BENCH_TIME_TEXT];

        (void)printf("%-62s", name_of(a, name));
        for (size_t i = 0; i < BT_ARRAY_LEN(paths); i++) {
                const json_t *one = bench_line_at(a, paths[i]), *other = bench_line_at(b, paths[i]);

                if (one && other)
                        (void)printf("%12s%12s%8.2fx",
                                     bench_time_text(text[0], (uint64_t)json_integer_value(one)),
                                     bench_time_text(text[1], (uint64_t)json_integer_value(other)),
                                     bench_ratio((uint64_t)json_integer_value(other),
                                                 (uint64_t)json_integer_value(one)));
        }
        (void)printf("\n");
}

/* Of `scale`: so many children, and what they did. */
static void print_scale(const json_t *a, const json_t *b)
{
        uint64_t one = (uint64_t)json_integer_value(json_object_get(a, "measured_ns"));
        uint64_t other = (uint64_t)json_integer_value(json_object_get(b, "measured_ns"));
        char name[128], text[2][BENCH_TIME_TEXT];

        (void)snprintf(name, sizeof(name), "scale: %lld children, %s",
                       (long long)json_integer_value(json_object_get(a, "children")),
                       bench_line_text(a, "what"));
        (void)printf("%-62s%12s%12s%8.2fx\n", name, bench_time_text(text[0], one),
                     bench_time_text(text[1], other), bench_ratio(other, one));
}

static void print_values(const json_t *a, const json_t *b)
{
        double one = json_number_value(json_object_get(a, "value")),
               other = json_number_value(json_object_get(b, "value"));
        char name[128];

        (void)printf("%-62s%12.5g%12.5g", name_of(a, name), one, other);
        if (fabs(one) > 0)
                (void)printf("%8.2fx", other / one);
        (void)printf("  %s\n", bench_line_text(a, "unit"));
}

int bench_compare_main(int argc, char **argv)
{
        BT_CLEANUP(bench_lines_freep) json_t *a = NULL;
        BT_CLEANUP(bench_lines_freep) json_t *b = NULL;

        if (argc != 3 || argv[1][0] == '-') {
                (void)fputs("Usage: baton-bench compare A.json B.json\n", stderr);
                return 2;
        }
        if (bench_lines_read(&a, argv[1]) || bench_lines_read(&b, argv[2]))
                return 1;
        print_machines("A", a);
        print_machines("B", b);
        print_targets(a, b);
        (void)printf("\n%-62s%12s%12s%9s%12s%12s\n", "median", "A", "B", "B/A", "floor A",
                     "floor B");
        for (size_t i = 0; i < json_array_size(a); i++) {
                const json_t *line = json_array_get(a, i), *other = find(b, line);

                if (other && !strcmp(bench_line_text(line, "kind"), "series"))
                        print_series(line, other);
                else if (other && !strcmp(bench_line_text(line, "kind"), "value"))
                        print_values(line, other);
                else if (other && !strcmp(bench_line_text(line, "kind"), "scale"))
                        print_scale(line, other);
        }
        return 0;
}
