/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A program that does nothing but print, with write(2): "line 1.", "line 2.", .. one a millisecond.
 *
 * LINES_GATE=FILE: instead of that the beginning of a line, and when that file is there its end, and one more; then FILE.done is made.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "tests/support/wait.h"

#define GATE_MS 60000

static void say(const char *text)
{
        if (write(STDOUT_FILENO, text, strlen(text)) < 0)
                _exit(1);
}

static void rest(void)
{
        const struct timespec millisecond = {.tv_nsec = 1000000};

        (void)nanosleep(&millisecond, NULL);
}

static void half_a_line(const char *gate)
{
        char done[256];

        (void)snprintf(done, sizeof(done), "%s.done", gate);
        say("begun, ");
        if (!wait_for_file(gate, true, wait_until(GATE_MS)))
                _exit(1);
        say("ended\nmore\n");
        (void)close(open(done, O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
        for (;;)
                (void)pause();
}

int main(void)
{
        const char *gate = getenv("LINES_GATE"); /* NOLINT(concurrency-mt-unsafe): one thread */
        char line[32];

        if (gate)
                half_a_line(gate);
        for (unsigned i = 1;; i++, rest()) {
                (void)snprintf(line, sizeof(line), "line %u.\n", i);
                say(line);
        }
}
