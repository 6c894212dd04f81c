/* SPDX-License-Identifier: Apache-2.0 */
/*
 *      [##########..............]  3 of 8
 *
 * The width is fixed, so that a narrow terminal breaks no line and no size has to be asked for or followed. The cursor stays behind the
 * bar: whatever else is printed, by us or by somebody else, is at worst in the same line.
 */
#include "supervisor/baton/bar.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define BAR_CELLS 24

bool bt_bar_possible(void)
{
        const char *term = getenv("TERM"); /* NOLINT(concurrency-mt-unsafe): one thread */

        return isatty(STDOUT_FILENO) && term && *term && strcmp(term, "dumb") != 0;
}

void bt_bar_clear(void)
{
        (void)fputs("\r\033[K", stdout);
}

void bt_bar_draw(const char *text)
{
        char *end, bar[BAR_CELLS + 1];
        unsigned long done = strtoul(text, &end, 10),
                      all = strncmp(end, " of ", 4) ? 0 : strtoul(end + 4, NULL, 10);

        if (all) {
                unsigned long filled = done < all ? done * BAR_CELLS / all : BAR_CELLS;

                memset(bar, '.', BAR_CELLS);
                memset(bar, '#', filled);
                bar[BAR_CELLS] = 0;
                (void)printf("[%s]  ", bar);
        }
        (void)fputs(text, stdout);
        (void)fflush(stdout);
}
