/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/placed.h"

#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

/* ---- the command ---- */

char said[1 << 18];

pid_t command_begin(const struct world *w, const char *out, const char *const *words)
{
        char program[640];
        char *argv[16] = {program, NULL};
        size_t n = 1;

        world_program(w, program, "baton");
        while (*words)
                argv[n++] = (char *)(uintptr_t)*words++;
        argv[n++] = (char[]){"--hub=w"};
        argv[n] = NULL;
        return world_spawn(w, argv, out);
}

void command_finish(const struct world *w, pid_t pid, int status, const char *text)
{
        int ended = world_wait(pid);

        world_read(w, "said", said, sizeof(said));
        if (ended != status || !strstr(said, text))
                fail_msg("exit status %d, expected %d with '%s'; it said:\n%.3000s", ended, status,
                         text, said);
}

/* ---- the children ---- */

const char *placed_id(int i)
{
        static char id[64];

        (void)snprintf(id, sizeof(id), "web/%d", i);
        return id;
}

void placed_ask(const struct world *w, const char *id, struct placed *ret)
{
        struct sockaddr_un un = {.sun_family = AF_UNIX};
        int n = snprintf(un.sun_path + 1, sizeof(un.sun_path) - 1, "%s/%s", w->dir, id);
        int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        char line[256], who[64];
        ssize_t bytes;

        assert_true(fd >= 0);
        if (connect(fd, (struct sockaddr *)&un,
                    (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + (size_t)n)) < 0)
                fail_msg("%s refuses: %s", id, strerrordesc_np(errno));
        bytes = read(fd, line, sizeof(line) - 1);
        (void)close(fd);
        line[bytes > 0 ? bytes : 0] = '\0';
        /* The child's own numbers: they fit. NOLINTNEXTLINE(cert-err34-c) */
        if (sscanf(line, "%63s %d %d %31s %31s", who, &ret->count, &ret->pid, ret->node,
                   ret->version) != 5 ||
            strcmp(who, id) != 0)
                fail_msg("%s answers '%s'", id, line);
}

bool world_has_ended(pid_t pid)
{
        siginfo_t info = {0};

        return waitid(P_PID, (id_t)pid, &info, WEXITED | WNOHANG | WNOWAIT) == 0 &&
               info.si_pid == pid;
}

int said_times(const char *text)
{
        int count = 0;

        for (const char *at = said; (at = strstr(at, text)); at++)
                count++;
        return count;
}

int placed_setup(void **state)
{
        int r = world_setup(state);
        const struct world *w = *state;
        char runtime[128];

        (void)snprintf(runtime, sizeof(runtime), "%s/run", w->dir);
        return r || setenv("BATON_RUNTIME_DIR", runtime,
                           1); /* one thread: NOLINT(concurrency-mt-unsafe) */
}
