/* SPDX-License-Identifier: Apache-2.0 */
#include "base/check.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* One write(2), no locale, no heap: this runs in vfork children, signal handlers and dying processes. */
static void note(const char *what, const char *expr, const char *file, int line)
{
        char text[256];
        int bytes = snprintf(text, sizeof(text), "baton: %s:%d: %s: %s\n", file, line, what, expr);

        if (bytes > 0)
                (void)!write(STDERR_FILENO, text, (size_t)bytes < sizeof(text) ? (size_t)bytes : sizeof(text) - 1);
}

void bt_assert_failed(const char *expr, const char *file, int line)
{
        note("assertion failed", expr, file, line);
        abort();
}

bool bt_guard_failed(const char *expr, const char *file, int line)
{
        note("a peer broke the protocol", expr, file, line);
        return false;
}

int bt_fold_at(int r, const char *file, int line)
{
        /* Read-only use of the environment; nothing here calls setenv(). NOLINTNEXTLINE(concurrency-mt-unsafe) */
        if (getenv("BATON_TRACE"))
                note("unexpected", strerrordesc_np(r < 0 ? -r : 0) ? strerrordesc_np(r < 0 ? -r : 0) : "?", file, line);
        return r;
}

#ifdef BT_TESTING
/* @spec is "name" or "name:N"; counts down across calls in @left. */
static bool point_due(const char *spec, const char *name, long *left)
{
        size_t bytes = strlen(name);

        if (!spec || strncmp(spec, name, bytes) || (spec[bytes] && spec[bytes] != ':'))
                return false;
        if (!*left)
                *left = spec[bytes] ? strtol(spec + bytes + 1, NULL, 10) : 1;
        return *left > 0 && --*left == 0 ? (*left = -1, true) : false;
}

void bt_point_hit(const char *name)
{
        static long kill_left, stop_left, exit_left;

        /* NOLINTBEGIN(concurrency-mt-unsafe): as above */
        if (point_due(getenv("BATON_KILL_AT"), name, &kill_left))
                (void)kill(getpid(), SIGKILL);
        if (point_due(getenv("BATON_STOP_AT"), name, &stop_left))
                (void)kill(getpid(), SIGSTOP);
        if (point_due(getenv("BATON_EXIT_AT"), name, &exit_left))
                _exit(42);
        /* NOLINTEND(concurrency-mt-unsafe) */
}

void bt_point_note(const char *line, size_t bytes)
{
        const char *path = getenv("BATON_STEPS"); /* NOLINT(concurrency-mt-unsafe): as above */
        int fd = path ? open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600) : -1;

        if (fd < 0)
                return;
        (void)!write(fd, line, bytes);
        (void)close(fd);
}
#endif
