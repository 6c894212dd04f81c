/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Files of a world: scripts that stand for programs, what programs write, the hub's log.
 *
 * Who waits for a file watches the world's directory, and did so before it looked, so that what is written in between wakes it.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"
#include "tests/support/wait.h"
#include "tests/support/world_internal.h"

/* ---- scripts ---- */

/* @guard: a command that must succeed for @env to be set; "": always. */
static void write_script(const struct world *w, char path[256], const char *name, const char *guard, const char *env, const char *program)
{
        char real[640];
        FILE *file;

        world_program(w, real, program);
        (void)snprintf(path, 256, "%s/%s", w->dir, name);
        file = fopen(path, "we");
        assert_non_null(file);
        (void)fprintf(file, "#!/bin/sh\n%s%s%s\nexec %s\n", guard, *env ? "export " : "", env, real);
        assert_int_equal(fchmod(fileno(file), 0700), 0);
        assert_int_equal(fclose(file), 0);
}

void world_script(const struct world *w, char path[256], const char *name, const char *env, const char *program)
{
        write_script(w, path, name, "", env, program);
}

void world_script_once(const struct world *w, char path[256], const char *name, const char *env, const char *program)
{
        char guard[256];

        /* A shell that is killed while a command of its own runs leaves that behind, and the hub knows nothing of it: so it runs none. */
        (void)snprintf(guard, sizeof(guard), "set -C\ntrue 2>/dev/null >%s/%s.once && ", w->dir, name);
        write_script(w, path, name, guard, env, program);
}

/* ---- any file ---- */

static const char *placeholder(const struct world *w, const char *at, char *number, size_t bytes,
                               const char **ret_value)
{
        if (!strncmp(at, "@port@", 6)) {
                (void)snprintf(number, bytes, "%d", w->port);
                *ret_value = number;
                return at + 6;
        }
        if (!strncmp(at, "@bin@", 5)) {
                *ret_value = w->bin;
                return at + 5;
        }
        if (!strncmp(at, "@dir@", 5)) {
                *ret_value = w->dir;
                return at + 5;
        }
        return NULL;
}

static void put(const struct world *w, const char *name, const char *text, mode_t mode)
{
        char path[256], number[16];
        FILE *file;

        (void)snprintf(path, sizeof(path), "%s/%s", w->dir, name);
        file = fopen(path, "we");
        assert_non_null(file);
        while (*text) {
                const char *value = "";
                const char *after = placeholder(w, text, number, sizeof(number), &value);

                if (after)
                        (void)fputs(value, file);
                else
                        (void)fputc(*text, file);
                text = after ? after : text + 1;
        }
        assert_int_equal(fchmod(fileno(file), mode), 0);
        assert_int_equal(fclose(file), 0);
}

void world_file_put(const struct world *w, const char *name, const char *text)
{
        put(w, name, text, 0600);
}

void world_program_put(const struct world *w, const char *name, const char *text)
{
        put(w, name, text, 0700);
}

/* ---- what is in a file ---- */

void world_read(const struct world *w, const char *name, char *text, size_t bytes)
{
        char path[256];
        size_t used = 0;
        ssize_t n;
        int fd;

        (void)snprintf(path, sizeof(path), "%s/%s", w->dir, name);
        fd = open(path, O_RDONLY | O_CLOEXEC);
        while (fd >= 0 && used < bytes - 1 && (n = read(fd, text + used, bytes - 1 - used)) > 0)
                used += (size_t)n;
        text[used] = '\0';
        (void)bt_close(fd);
}

/* All of it. Free it. */
static char *whole_file(const struct world *w, const char *name)
{
        const size_t room = 4u << 20;
        char *text = malloc(room);

        assert_non_null(text);
        world_read(w, name, text, room);
        return text;
}

/* @part may end with the newline. */
static int lines_with(const struct world *w, const char *name, const char *part)
{
        char *text = whole_file(w, name);
        int count = 0;

        for (const char *line = text; *line;) {
                size_t bytes = (size_t)(strchrnul(line, '\n') - line);

                bytes += line[bytes] == '\n';
                count += memmem(line, bytes, part, strlen(part)) != NULL;
                line += bytes;
        }
        free(text);
        return count;
}

/* Until the file @name has @times lines with @part; false: not in time. */
static bool until_lines(const struct world *w, const char *name, const char *part, int times)
{
        uint64_t deadline = wait_until(WORLD_WAIT_MS);
        int changes = wait_folder(w->dir);
        bool has;

        while (!(has = lines_with(w, name, part) >= times)) {
                if (!wait_change(changes, deadline))
                        break;
        }
        (void)bt_close(changes);
        return has;
}

void world_file_wait(const struct world *w, const char *name, const char *part)
{
        char *text;

        if (until_lines(w, name, part, 1))
                return;
        text = whole_file(w, name);
        fail_msg("the file %s has no '%s' but:\n%s", name, part, text);
        free(text);
}

void world_line_wait(const struct world *w, const char *name, char *text, size_t bytes)
{
        world_file_wait(w, name, "\n");
        world_read(w, name, text, bytes);
        text[strcspn(text, "\n")] = '\0';
}

/* ---- the log ---- */

int world_log_count(const struct world *w, const char *text)
{
        return lines_with(w, "hub.log", text);
}

bool world_log_has(const struct world *w, const char *text)
{
        return world_log_count(w, text) > 0;
}

void world_log_wait(const struct world *w, const char *text, int times)
{
        if (!until_lines(w, "hub.log", text, times))
                fail_msg("the log has no (%d.) line with '%s'", times, text);
}

/* ---- gates ---- */

void world_gate_open(const struct world *w, const char *name)
{
        char path[256];
        int fd;

        (void)snprintf(path, sizeof(path), "%s/%s", w->dir, name);
        fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
        assert_true(fd >= 0);
        (void)close(fd);
}

void world_gate_close(const struct world *w, const char *name)
{
        char path[256];

        (void)snprintf(path, sizeof(path), "%s/%s", w->dir, name);
        assert_int_equal(unlink(path), 0);
}

void world_gate_wait(const struct world *w, const char *name)
{
        char path[256];

        (void)snprintf(path, sizeof(path), "%s/%s", w->dir, name);
        if (!wait_for_file(path, true, wait_until(WORLD_WAIT_MS)))
                fail_msg("there is no file %s", name);
}
