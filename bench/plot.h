/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * A plot as inline SVG: lines over two axes, y always logarithmic and a time in ns.
 *
 *      bench_plot_begin(&plot, file, "title", "state", BENCH_PLOT_SIZES, x_min, x_max, y_min, y_max)
 *      bench_plot_line(&plot, "hot", points, count, dashed)      each line gets the next colour, and its name at its end
 *      bench_plot_end(&plot)
 */

#include <stddef.h>
#include <stdio.h>

#define BENCH_PLOT_WIDTH  620
#define BENCH_PLOT_HEIGHT 300

enum bench_plot_axis {
        BENCH_PLOT_SIZES = 0,       /* bytes, logarithmic */
        BENCH_PLOT_COUNTS = 1,      /* of anything, logarithmic */
        BENCH_PLOT_PERCENTILES = 2, /* 0 .. 9, places of BENCH_CURVE_MARKS */
};

struct bench_point {
        double x;
        double y;
};

struct bench_plot {
        FILE *out;
        enum bench_plot_axis axis;
        double x[2];
        double y[2];
        int lines;
};

void bench_plot_begin(struct bench_plot *plot, FILE *out, const char *title,
                      enum bench_plot_axis axis, const double x[2], const double y[2]);
void bench_plot_line(struct bench_plot *plot, const char *name, const struct bench_point *points,
                     size_t count, int dashed);
void bench_plot_end(struct bench_plot *plot);

/* @text with <, > and & written as HTML wants them. */
void bench_html_text(FILE *out, const char *text);
