/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/command.h"

#include <stdio.h>
#include <string.h>

#include "tests/support/text.h"

#define WORDS_MAX 30

char said[1 << 20];

pid_t command_begin(const struct world *w, const char *out, const char *const *words)
{
        char program[640];
        char *argv[WORDS_MAX + 2] = {program, NULL};

        world_program(w, program, "baton");
        for (size_t n = 1; *words; n++) {
                assert_true(n <= WORDS_MAX);
                argv[n] = (char *)(uintptr_t)*words++;
        }
        return world_spawn(w, argv, out);
}

static int until_end(const struct world *w, pid_t pid)
{
        int status = world_wait(pid);

        world_read(w, "said", said, sizeof(said));
        return status;
}

int command(const struct world *w, const char *const *words)
{
        return until_end(w, command_begin(w, "said", words));
}

void command_finish(const struct world *w, pid_t pid, int status, const char *part)
{
        int ended = until_end(w, pid);

        if (ended != status || !strstr(said, part))
                fail_msg("exit status %d, expected %d with '%s'; it said:\n%.3000s", ended, status,
                         part, said);
}

void command_says(const struct world *w, int status, const char *part, const char *const *words)
{
        command_finish(w, command_begin(w, "said", words), status, part);
}

void expect_said(const char *part)
{
        if (!strstr(said, part))
                fail_msg("expected '%s'; it said:\n%.3000s", part, said);
}

void expect_unsaid(const char *part)
{
        if (strstr(said, part))
                fail_msg("did not expect '%s'; it said:\n%.3000s", part, said);
}

int said_times(const char *part)
{
        return text_times(said, part);
}
