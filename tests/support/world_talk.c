/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Clients: kv's protocol, which is Redis', and the probe's, which is a line out and a line in.
 *
 * Every send and receive has a time limit on its socket, so a server that does not answer fails the test where the answer is missing. A connection
 * that breaks is a failure as well: none of these clients ever connects again by itself, which is what "no connection is lost" means.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "tests/support/world_internal.h"

int kv_dial(const struct world *w)
{
        struct sockaddr_in addr = {.sin_family = AF_INET,
                                   .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
                                   .sin_port = htons((uint16_t)w->port)};
        const struct timeval limit = {.tv_sec = WORLD_WAIT_MS / 1000};
        int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

        assert_true(fd >= 0);
        assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit)), 0);
        assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit)), 0);
        if (connect(fd, (struct sockaddr *)&addr, sizeof(addr)) < 0)
                fail_msg("cannot connect to port %d: %s", w->port, strerrordesc_np(errno));
        return fd;
}

/* One send: @end is put behind the text. */
__attribute__((format(printf, 3, 0))) static void say(int fd, const char *end, const char *format,
                                                      va_list args)
{
        char text[8192];
        int bytes = vsnprintf(text, sizeof(text) - 2, format, args);
        ssize_t n;

        assert_true(bytes >= 0 && (size_t)bytes < sizeof(text) - 2);
        bytes += snprintf(text + bytes, 2, "%s", end);
        n = send(fd, text, (size_t)bytes, MSG_NOSIGNAL);
        if (n != bytes)
                fail_msg("could not send '%.60s': %s", text,
                         n < 0 ? strerrordesc_np(errno) : "cut short");
}

void kv_say(int fd, const char *format, ...)
{
        va_list args;

        va_start(args, format);
        say(fd, "", format, args);
        va_end(args);
}

static void hear(int fd, const char *wanted, size_t bytes)
{
        char got[8192];
        size_t have = 0;

        assert_true(bytes < sizeof(got));
        while (have < bytes) {
                ssize_t n = recv(fd, got + have, bytes - have, 0);

                if (n <= 0) {
                        got[have] = '\0';
                        fail_msg("expected '%s', got '%s' and then %s", wanted, got,
                                 n ? strerrordesc_np(errno) : "the end");
                }
                have += (size_t)n;
        }
        got[have] = '\0';
        assert_string_equal(got, wanted);
}

void kv_hear(int fd, const char *format, ...)
{
        char text[8192];
        va_list args;
        int bytes;

        va_start(args, format);
        bytes = vsnprintf(text, sizeof(text), format, args);
        va_end(args);
        assert_true(bytes >= 0 && (size_t)bytes < sizeof(text));
        hear(fd, text, (size_t)bytes);
}

void kv_line(int fd, char *line, size_t bytes)
{
        size_t have = 0;

        for (;;) {
                ssize_t n = recv(fd, line + have, 1, 0);

                if (n <= 0)
                        fail_msg("expected a line, got %s",
                                 n ? strerrordesc_np(errno) : "the end of the connection");
                if (line[have] == '\n')
                        break;
                if (have < bytes - 1)
                        have++;
        }
        while (have > 0 && line[have - 1] == '\r')
                have--;
        line[have] = '\0';
}

int64_t kv_number(int fd, const char *command)
{
        char line[256];

        kv_say(fd, "%s\r\n", command);
        kv_line(fd, line, sizeof(line));
        if (line[0] != ':')
                fail_msg("%s: %s", command, line);
        return strtoll(line + 1, NULL, 10);
}

void kv_info(int fd, const char *field, char *value, size_t bytes)
{
        char line[512];
        size_t name = strlen(field);
        long left;

        value[0] = '\0';
        kv_say(fd, "INFO\r\n");
        kv_line(fd, line, sizeof(line));
        assert_int_equal(line[0], '$');
        left = strtol(line + 1, NULL, 10) + 2;
        while (left > 0) {
                char text[1];
                size_t have = 0;

                do {
                        if (recv(fd, text, 1, 0) != 1)
                                fail_msg("INFO ended early");
                        left--;
                        if (text[0] != '\r' && text[0] != '\n' && have < sizeof(line) - 1)
                                line[have++] = text[0];
                } while (text[0] != '\n' && left > 0);
                line[have] = '\0';
                if (!strncmp(line, field, name) && line[name] == ':')
                        (void)snprintf(value, bytes, "%s", line + name + 1);
        }
}

void kv_expect_version(const struct world *w, const char *version)
{
        char got[32];
        int fd = kv_dial(w);

        kv_info(fd, "kv_version", got, sizeof(got));
        (void)close(fd);
        assert_string_equal(got, version);
}

/* ---- the probe ---- */

int probe_dial(const struct world *w)
{
        return kv_dial(w);
}

void probe_say(int fd, const char *format, ...)
{
        va_list args;

        va_start(args, format);
        say(fd, "\n", format, args);
        va_end(args);
}

void probe_expect(int fd, const char *answer, const char *format, ...)
{
        char line[512];
        va_list args;

        va_start(args, format);
        say(fd, "\n", format, args);
        va_end(args);
        kv_line(fd, line, sizeof(line));
        assert_string_equal(line, answer);
}

long long probe_number(int fd, const char *line)
{
        char answer[512], *end;
        long long number;

        kv_say(fd, "%s\n", line);
        kv_line(fd, answer, sizeof(answer));
        number = strtoll(answer, &end, 10);
        if (end == answer || *end)
                fail_msg("%s: '%s' is not a number", line, answer);
        return number;
}
