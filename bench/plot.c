/* SPDX-License-Identifier: Apache-2.0 */
/*
 * See plot.h. No script and no style sheet of others: the page must be readable in ten years from a disk. A floor is dashed and has the colour of what it
 * is the floor of, so lines come in pairs: the colour moves on after a dashed one.
 */
#include "bench/plot.h"

#include <math.h>

#include "base/cleanup.h"
#include "bench/out.h"

#define WIDTH  ((double)BENCH_PLOT_WIDTH)
#define HEIGHT ((double)BENCH_PLOT_HEIGHT)
#define LEFT   70.0
#define RIGHT  150.0 /* names of the lines */
#define TOP    30.0
#define BOTTOM 40.0

static const char *const colours[] = {"#0b6e99", "#c1440e", "#4d7c0f",
                                      "#7e3794", "#a16207", "#374151"};

static double place_x(const struct bench_plot *plot, double x)
{
        double from = plot->x[0], to = plot->x[1];

        if (plot->axis != BENCH_PLOT_PERCENTILES) {
                x = log2(x);
                from = log2(from);
                to = log2(to);
        }
        return LEFT + (to > from ? (x - from) / (to - from) : 0.5) * (WIDTH - LEFT - RIGHT);
}

static double place_y(const struct bench_plot *plot, double y)
{
        double part = (log10(y < plot->y[0] ? plot->y[0] : y) - log10(plot->y[0])) /
                      (log10(plot->y[1]) - log10(plot->y[0]));

        return HEIGHT - BOTTOM - part * (HEIGHT - TOP - BOTTOM);
}

void bench_html_text(FILE *out, const char *text)
{
        for (; *text; text++) {
                if (*text == '<')
                        (void)fputs("&lt;", out);
                else if (*text == '>')
                        (void)fputs("&gt;", out);
                else if (*text == '&')
                        (void)fputs("&amp;", out);
                else
                        (void)fputc(*text, out);
        }
}

/* ---- axes ---- */

static void tick_x(const struct bench_plot *plot, double x, const char *text)
{
        (void)fprintf(plot->out,
                      "<line x1='%.1f' y1='%.1f' x2='%.1f' y2='%.1f' class='g'/><text x='%.1f' "
                      "y='%.1f' text-anchor='middle'>%s</text>\n",
                      place_x(plot, x), TOP, place_x(plot, x), HEIGHT - BOTTOM, place_x(plot, x),
                      HEIGHT - BOTTOM + 16, text);
}

static void axis_x(const struct bench_plot *plot)
{
        static const uint32_t marks[] = BENCH_CURVE_MARKS;
        char text[BENCH_SIZE_TEXT];

        if (plot->axis == BENCH_PLOT_PERCENTILES) {
                for (size_t i = 0; i < BT_ARRAY_LEN(marks); i++) {
                        (void)snprintf(text, sizeof(text), "%g", marks[i] / 10.0);
                        tick_x(plot, (double)i,
                               i == 0                         ? "min"
                               : i + 1 == BT_ARRAY_LEN(marks) ? "max"
                                                              : text);
                }
                return;
        }
        double x = plot->x[0];

        while (x <= plot->x[1] * 1.001) {
                if (plot->axis == BENCH_PLOT_SIZES)
                        (void)bench_size_text(text, (uint64_t)x);
                else
                        (void)snprintf(text, sizeof(text), "%.0f", x);
                tick_x(plot, x, text);
                x *= plot->axis == BENCH_PLOT_SIZES ? 32 : 10;
        }
}

static void axis_y(const struct bench_plot *plot)
{
        char text[BENCH_TIME_TEXT];
        double y = plot->y[0];

        while (y <= plot->y[1] * 1.001) {
                if (y < 1e6)
                        (void)snprintf(text, sizeof(text), "%g us", y / 1e3);
                else if (y < 1e9)
                        (void)snprintf(text, sizeof(text), "%g ms", y / 1e6);
                else
                        (void)snprintf(text, sizeof(text), "%g s", y / 1e9);
                (void)fprintf(plot->out,
                              "<line x1='%.1f' y1='%.1f' x2='%.1f' y2='%.1f' class='g'/><text "
                              "x='%.1f' y='%.1f' text-anchor='end'>%s</text>\n",
                              LEFT, place_y(plot, y), WIDTH - RIGHT, place_y(plot, y), LEFT - 6,
                              place_y(plot, y) + 4, text);
                y *= 10;
        }
}

/* ---- the plot ---- */

void bench_plot_begin(struct bench_plot *plot, FILE *out, const char *title,
                      enum bench_plot_axis axis, const double x[2], const double y[2])
{
        *plot = (struct bench_plot){.out = out, .axis = axis, .x = {x[0], x[1]}};
        /* Whole decades, and at least one. */
        plot->y[0] = pow(10, floor(log10(y[0] > 1 ? y[0] : 1)));
        plot->y[1] = pow(10, ceil(log10(y[1] > plot->y[0] ? y[1] : plot->y[0] * 10)));
        (void)fprintf(out,
                      "<svg viewBox='0 0 %.0f %.0f' width='%.0f' height='%.0f'>\n<text x='%.0f' "
                      "y='18' class='t'>",
                      WIDTH, HEIGHT, WIDTH, HEIGHT, LEFT);
        bench_html_text(out, title);
        (void)fputs("</text>\n", out);
        axis_x(plot);
        axis_y(plot);
}

void bench_plot_line(struct bench_plot *plot, const char *name, const struct bench_point *points,
                     size_t count, int dashed)
{
        const char *colour = colours[(size_t)plot->lines % BT_ARRAY_LEN(colours)];

        if (!count)
                return;
        (void)fprintf(plot->out, "<polyline fill='none' stroke='%s' stroke-width='2'%s points='",
                      colour, dashed ? " stroke-dasharray='5 4'" : "");
        for (size_t i = 0; i < count; i++)
                (void)fprintf(plot->out, "%.1f,%.1f ", place_x(plot, points[i].x),
                              place_y(plot, points[i].y));
        (void)fputs("'/>\n", plot->out);
        for (size_t i = 0; i < count; i++)
                (void)fprintf(plot->out, "<circle cx='%.1f' cy='%.1f' r='3' fill='%s'/>\n",
                              place_x(plot, points[i].x), place_y(plot, points[i].y), colour);
        /* The names stand in a column, in the order of the lines: at the ends of the lines they would cover each other. */
        (void)fprintf(plot->out,
                      "<line x1='%.1f' y1='%d' x2='%.1f' y2='%d' stroke='%s' "
                      "stroke-width='2'%s/><text x='%.1f' y='%d'>",
                      WIDTH - RIGHT + 10, (int)TOP + 10 + (plot->lines * 2 + dashed) * 18,
                      WIDTH - RIGHT + 34, (int)TOP + 10 + (plot->lines * 2 + dashed) * 18, colour,
                      dashed ? " stroke-dasharray='5 4'" : "", WIDTH - RIGHT + 40,
                      (int)TOP + 14 + (plot->lines * 2 + dashed) * 18);
        bench_html_text(plot->out, name);
        (void)fputs("</text>\n", plot->out);
        plot->lines += dashed;
}

void bench_plot_end(struct bench_plot *plot)
{
        (void)fputs("</svg>\n", plot->out);
}
