/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The kv example, alone (no hub), spoken to as its clients do: bytes out, bytes in. Each test starts a server of its own on a free port.
 *
 * The server is the program that users run: BATON_BIN_DIR/kv-v1 and kv-v2 (KV_V1, KV_V2 in the environment name others). Waiting is for bytes, with a
 * receive time limit; the one thing that only time can show, that a key expires, is polled for with a deadline.
 *
 * links: cmocka, base/clock.c
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "tests/support/wait.h"

#ifndef BATON_BIN_DIR
#define BATON_BIN_DIR "."
#endif
#define LIMIT_S 20

struct server {
        pid_t pid;
        int port;
};

/* ---- the server ---- */

static void program_path(const char *variable, const char *name, char *path, size_t bytes)
{
        const char *dir = getenv("BATON_BIN_DIR");
        const char *own = getenv(variable);

        if (own)
                (void)snprintf(path, bytes, "%s", own);
        else
                (void)snprintf(path, bytes, "%s/%s", dir ? dir : BATON_BIN_DIR, name);
}

/* Starts @path with @extra (KEY=VALUE or NULL) in its environment; @ret_out reads its output. */
static pid_t start(const char *path, char *extra, int *ret_out)
{
        char *argv[] = {(char *)(uintptr_t)path, NULL};
        char any_port[] = "KV_PORT=0";
        char *envp[8] = {any_port, extra, NULL};
        posix_spawn_file_actions_t actions;
        size_t env_count = extra ? 2 : 1;
        int out[2];
        pid_t pid;

        /* A sanitizer's report must go where ours go. */
        for (size_t i = 0; environ[i] && env_count < 7; i++) {
                if (strncmp(environ[i], "ASAN_OPTIONS=", 13) == 0 || strncmp(environ[i], "UBSAN_OPTIONS=", 14) == 0)
                        envp[env_count++] = environ[i];
        }
        assert_int_equal(pipe2(out, O_CLOEXEC), 0);
        assert_int_equal(posix_spawn_file_actions_init(&actions), 0);
        assert_int_equal(posix_spawn_file_actions_adddup2(&actions, out[1], 1), 0);
        assert_int_equal(posix_spawn(&pid, path, &actions, NULL, argv, envp), 0);
        (void)posix_spawn_file_actions_destroy(&actions);
        (void)close(out[1]);
        *ret_out = out[0];
        return pid;
}

static int start_version(void **state, const char *variable, const char *name)
{
        struct server *server = calloc(1, sizeof(*server));
        char path[512], line[256] = "";
        size_t got = 0;
        const char *port;
        int out;

        program_path(variable, name, path, sizeof(path));
        if (access(path, X_OK) < 0) {
                print_error("%s: %s; build it, or set %s\n", path, strerror(errno), variable);
                free(server);
                return -1;
        }
        server->pid = start(path, NULL, &out);
        while (!strchr(line, '\n') && got < sizeof(line) - 1) {
                ssize_t n = read(out, line + got, sizeof(line) - 1 - got);

                if (n <= 0)
                        break;
                got += (size_t)n;
        }
        (void)close(out);
        port = strstr(line, "port ");
        server->port = port ? (int)strtol(port + 5, NULL, 10) : 0;
        *state = server;
        return server->port > 0 ? 0 : -1;
}

static int setup(void **state)
{
        return start_version(state, "KV_V1", "kv-v1");
}

static int setup_v2(void **state)
{
        return start_version(state, "KV_V2", "kv-v2");
}

/* SIGTERM must end it with status 0: it did not crash meanwhile, and a sanitizer saw nothing. */
static int teardown(void **state)
{
        struct server *server = *state;
        int status = -1;

        (void)kill(server->pid, SIGTERM);
        (void)waitpid(server->pid, &status, 0);
        free(server);
        if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) {
                print_error("the server ended with wait status %#x\n", (unsigned)status);
                return -1;
        }
        return 0;
}

/* ---- a client ---- */

static int dial(void **state)
{
        const struct server *server = *state;
        struct sockaddr_in addr = {
                .sin_family = AF_INET,
                .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
                .sin_port = htons((uint16_t)server->port),
        };
        const struct timeval limit = {.tv_sec = LIMIT_S};
        int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

        assert_true(fd >= 0);
        assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit)), 0);
        assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit)), 0);
        assert_int_equal(connect(fd, (struct sockaddr *)&addr, sizeof(addr)), 0);
        return fd;
}

static void put(int fd, const void *bytes, size_t count)
{
        const char *at = bytes;

        while (count > 0) {
                ssize_t n = send(fd, at, count, MSG_NOSIGNAL);

                assert_true(n > 0);
                at += n;
                count -= (size_t)n;
        }
}

static void say(int fd, const char *text)
{
        put(fd, text, strlen(text));
}

static void hear_bytes(int fd, const char *wanted, size_t count)
{
        char *got = malloc(count + 1);
        size_t have = 0;

        assert_non_null(got);
        while (have < count) {
                ssize_t n = recv(fd, got + have, count - have, 0);

                if (n <= 0)
                        break;
                have += (size_t)n;
        }
        got[have] = '\0';
        if (have != count || memcmp(got, wanted, count) != 0)
                fail_msg("expected %zu bytes '%.200s', got %zu '%.200s'", count, wanted, have, got);
        free(got);
}

static void hear(int fd, const char *wanted)
{
        hear_bytes(fd, wanted, strlen(wanted));
}

/* The server hangs up after what it said. A reset is a hang-up, too: we had sent more than it read. */
static void hear_end(int fd)
{
        char byte;
        ssize_t n = recv(fd, &byte, 1, 0);

        assert_true(n == 0 || (n < 0 && errno == ECONNRESET));
        (void)close(fd);
}

static void ask(int fd, const char *request, const char *answer)
{
        say(fd, request);
        hear(fd, answer);
}

/* A bulk answer of any content into @text, NUL-terminated. */
static void hear_bulk(int fd, char *text, size_t bytes)
{
        char head[32];
        size_t n = 0, want;

        do {
                assert_int_equal(recv(fd, &head[n], 1, 0), 1);
        } while (head[n++] != '\n' && n < sizeof(head) - 1);
        head[n] = '\0';
        assert_int_equal(head[0], '$');
        want = strtoul(head + 1, NULL, 10);
        assert_true(want + 2 < bytes);
        for (n = 0; n < want + 2;) {
                ssize_t r = recv(fd, text + n, want + 2 - n, 0);

                assert_true(r > 0);
                n += (size_t)r;
        }
        text[want] = '\0';
}

/* ---- commands ---- */

static void answers_the_simple_commands(void **state)
{
        int fd = dial(state);

        ask(fd, "PING\r\n", "+PONG\r\n");
        ask(fd, "*2\r\n$4\r\nPING\r\n$2\r\nhi\r\n", "$2\r\nhi\r\n");
        ask(fd, "ECHO 'two words'\r\n", "$9\r\ntwo words\r\n");
        ask(fd, "SELECT 0\r\n", "+OK\r\n");
        ask(fd, "SELECT 1\r\n", "-ERR DB index is out of range\r\n");
        ask(fd, "CLIENT SETNAME me\r\n", "+OK\r\n");
        ask(fd, "CLIENT SETINFO lib-name x\r\n", "+OK\r\n");
        ask(fd, "CONFIG GET save\r\n", "*2\r\n$4\r\nsave\r\n$0\r\n\r\n");
        ask(fd, "CONFIG GET no-such\r\n", "*0\r\n");
        ask(fd, "COMMAND COUNT\r\n", ":26\r\n");
        ask(fd, "NOPE a b\r\n", "-ERR unknown command 'NOPE', with args beginning with: 'a' 'b' \r\n");
        ask(fd, "GET\r\n", "-ERR wrong number of arguments for 'get' command\r\n");
        ask(fd, "GETDEL k\r\n", "-ERR unknown command 'GETDEL', with args beginning with: 'k' \r\n");
        say(fd, "QUIT\r\n");
        hear(fd, "+OK\r\n");
        hear_end(fd);
}

static void sets_and_gets_binary_values(void **state)
{
        int fd = dial(state);
        static const char request[] = "*3\r\n$3\r\nSET\r\n$3\r\nk\0\n\r\n$5\r\na\0\r\nb\r\n*2\r\n$3\r\nGET\r\n$3\r\nk\0\n\r\n";
        static const char answer[] = "+OK\r\n$5\r\na\0\r\nb\r\n";

        put(fd, request, sizeof(request) - 1);
        hear_bytes(fd, answer, sizeof(answer) - 1);
        ask(fd, "SET e \"\"\r\nGET e\r\nGET none\r\n", "+OK\r\n$0\r\n\r\n$-1\r\n");
        ask(fd, "MSET a 1 b 2\r\nMGET a none b\r\n", "+OK\r\n*3\r\n$1\r\n1\r\n$-1\r\n$1\r\n2\r\n");
        ask(fd, "MSET a 1 b\r\n", "-ERR wrong number of arguments for 'mset' command\r\n");
        ask(fd, "EXISTS a b none a\r\nDEL a none b a\r\nEXISTS a\r\n", ":3\r\n:2\r\n:0\r\n");
        ask(fd, "DBSIZE\r\nFLUSHALL\r\nDBSIZE\r\n", ":2\r\n+OK\r\n:0\r\n");
        (void)close(fd);
}

static void set_obeys_its_options(void **state)
{
        int fd = dial(state);

        ask(fd, "SET a 1 XX\r\nSET a 1 NX\r\nSET a 2 NX\r\nSET a 3 XX\r\nGET a\r\n", "$-1\r\n+OK\r\n$-1\r\n+OK\r\n$1\r\n3\r\n");
        ask(fd, "SET a 1 NX XX\r\n", "-ERR syntax error\r\n");
        ask(fd, "SET a 1 EX\r\n", "-ERR syntax error\r\n");
        ask(fd, "SET a 1 EX x\r\n", "-ERR value is not an integer or out of range\r\n");
        ask(fd, "SET a 1 EX 0\r\n", "-ERR invalid expire time in 'set' command\r\n");
        ask(fd, "SET a 1 EX -5\r\n", "-ERR invalid expire time in 'set' command\r\n");
        ask(fd, "SET a 1 EX 9223372036854775807\r\n", "-ERR invalid expire time in 'set' command\r\n");
        ask(fd, "SET a 1 EX 100\r\nTTL a\r\n", "+OK\r\n:100\r\n");
        ask(fd, "SET a 1 KEEPTTL\r\nTTL a\r\nSET a 1\r\nTTL a\r\nTTL none\r\n", "+OK\r\n:100\r\n+OK\r\n:-1\r\n:-2\r\n");
        (void)close(fd);
}

static void counts_and_refuses_to_overflow(void **state)
{
        int fd = dial(state);

        ask(fd, "INCR n\r\nINCRBY n 41\r\nDECR n\r\nDECRBY n 1\r\nGET n\r\n", ":1\r\n:42\r\n:41\r\n:40\r\n$2\r\n40\r\n");
        ask(fd, "INCRBY n -50\r\n", ":-10\r\n");
        ask(fd, "INCRBY n 1.5\r\n", "-ERR value is not an integer or out of range\r\n");
        ask(fd, "SET n 9223372036854775807\r\nINCR n\r\n", "+OK\r\n-ERR increment or decrement would overflow\r\n");
        ask(fd, "SET n -9223372036854775808\r\nDECR n\r\nINCR n\r\n",
            "+OK\r\n-ERR increment or decrement would overflow\r\n:-9223372036854775807\r\n");
        ask(fd, "DECRBY n -9223372036854775808\r\n", "-ERR decrement would overflow\r\n");
        ask(fd, "SET n 01\r\nINCR n\r\n", "+OK\r\n-ERR value is not an integer or out of range\r\n");
        (void)close(fd);
}

/* Asks @request until @answer comes. Only a clock can make it come, so this waits; the deadline makes it a failure. */
static void ask_until(int fd, const char *request, const char *answer)
{
        char got[64];
        uint64_t deadline = wait_until(LIMIT_S * 1000);

        do {
                ssize_t n;

                say(fd, request);
                n = recv(fd, got, sizeof(got) - 1, 0);
                assert_true(n > 0);
                got[n] = '\0';
                if (strcmp(got, answer) == 0)
                        return;
        } while (wait_again(deadline));
        fail_msg("%s is not answered with %s", request, answer);
}

static void keys_expire_when_looked_at_and_when_not(void **state)
{
        int fd = dial(state);

        ask(fd, "SET a 1 PX 30\r\nSET b 1\r\nPEXPIRE b 30\r\nSET c 1\r\n", "+OK\r\n+OK\r\n:1\r\n+OK\r\n");
        ask_until(fd, "GET a\r\n", "$-1\r\n");
        /* Nobody asks for b: the sweep finds it. */
        ask_until(fd, "DBSIZE\r\n", ":1\r\n");
        ask(fd, "EXPIRE c 0\r\nEXISTS c\r\nEXPIRE c 10\r\n", ":1\r\n:0\r\n:0\r\n");
        ask(fd, "SET c 1\r\nEXPIRE c 9223372036854775807\r\n", "+OK\r\n-ERR invalid expire time in 'expire' command\r\n");
        ask(fd, "EXPIRE c -9223372036854775807\r\nEXISTS c\r\n", ":1\r\n:0\r\n");
        (void)close(fd);
}

static void info_says_who_answers(void **state)
{
        const struct server *server = *state;
        int fd = dial(state);
        char text[8192], pid[32];

        (void)snprintf(pid, sizeof(pid), "\r\npid:%ld\r\n", (long)server->pid);
        ask(fd, "SET a 1\r\n", "+OK\r\n");
        say(fd, "INFO\r\n");
        hear_bulk(fd, text, sizeof(text));
        assert_non_null(strstr(text, "redis_version:7.0.0\r\n"));
        assert_non_null(strstr(text, "kv_version:1.0\r\n"));
        assert_non_null(strstr(text, "incarnation:1\r\n"));
        assert_non_null(strstr(text, "reason:fresh\r\n"));
        assert_non_null(strstr(text, "connected_clients:1\r\n"));
        assert_non_null(strstr(text, "db0:keys=1,expires=0,avg_ttl=0"));
        assert_non_null(strstr(text, pid));
        say(fd, "INFO clients\r\n");
        hear_bulk(fd, text, sizeof(text));
        assert_null(strstr(text, "kv_version"));
        (void)close(fd);
}

static void version_two_has_a_command_more(void **state)
{
        int fd = dial(state);
        char text[8192];

        ask(fd, "SET a 1\r\nGETDEL a\r\nGETDEL a\r\n", "+OK\r\n$1\r\n1\r\n$-1\r\n");
        say(fd, "INFO server\r\n");
        hear_bulk(fd, text, sizeof(text));
        assert_non_null(strstr(text, "kv_version:2.0\r\n"));
        (void)close(fd);
}

/* ---- the stream ---- */

static void a_request_may_come_byte_by_byte(void **state)
{
        static const char request[] = "*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$5\r\nvalue\r\n";
        int fd = dial(state), other = dial(state);

        for (size_t i = 0; i < sizeof(request) - 1; i++) {
                put(fd, request + i, 1);
                /* Whoever is answered now was read after that byte. */
                ask(other, "PING\r\n", "+PONG\r\n");
        }
        hear(fd, "+OK\r\n");
        ask(other, "GET k\r\n", "$5\r\nvalue\r\n");
        (void)close(fd);
        (void)close(other);
}

static void many_requests_may_come_at_once(void **state)
{
        enum { COUNT = 20000 };
        int fd = dial(state);
        char *request = malloc(COUNT * 9 + 10), *answer = malloc(COUNT * 9 + 10);
        size_t in = 0, out = 0;

        assert_non_null(request);
        assert_non_null(answer);
        for (int i = 1; i <= COUNT; i++) {
                in += (size_t)snprintf(request + in, 10, "INCR n\r\n");
                out += (size_t)snprintf(answer + out, 10, ":%d\r\n", i);
        }
        put(fd, request, in);
        hear_bytes(fd, answer, out);
        free(request);
        free(answer);
        (void)close(fd);
}

static void large_values_come_back_whole(void **state)
{
        enum { BYTES = 8 << 20 };
        int fd = dial(state);
        char head[64], *value = malloc(BYTES + 2);

        assert_non_null(value);
        for (size_t i = 0; i < BYTES; i++)
                value[i] = (char)(i * 2654435761u >> 13);
        value[BYTES] = '\r';
        value[BYTES + 1] = '\n';
        (void)snprintf(head, sizeof(head), "*3\r\n$3\r\nSET\r\n$3\r\nbig\r\n$%d\r\n", BYTES);
        say(fd, head);
        put(fd, value, BYTES + 2);
        hear(fd, "+OK\r\n");
        (void)snprintf(head, sizeof(head), "$%d\r\n", BYTES);
        ask(fd, "GET big\r\n", head);
        hear_bytes(fd, value, BYTES + 2);
        free(value);
        (void)close(fd);
}

/* Asks @times for a value of @bytes before it reads, and another client asks meanwhile. */
static void ask_without_reading(void **state, size_t bytes, int times)
{
        int fd = dial(state), other = dial(state);
        char head[64], *value = malloc(bytes + 3);

        assert_non_null(value);
        memset(value, 'x', bytes);
        value[bytes] = '\r';
        value[bytes + 1] = '\n';
        (void)snprintf(head, sizeof(head), "*3\r\n$3\r\nSET\r\n$1\r\nb\r\n$%zu\r\n", bytes);
        say(fd, head);
        put(fd, value, bytes + 2);
        hear(fd, "+OK\r\n");
        for (int i = 0; i < times; i++)
                say(fd, "GET b\r\n");
        say(fd, "PING\r\n");
        for (int i = 0; i < 10; i++)
                ask(other, "PING\r\n", "+PONG\r\n");
        (void)snprintf(head, sizeof(head), "$%zu\r\n", bytes);
        for (int i = 0; i < times; i++) {
                hear(fd, head);
                hear_bytes(fd, value, bytes + 2);
        }
        hear(fd, "+PONG\r\n");
        free(value);
        (void)close(fd);
        (void)close(other);
}

/*
 * Its requests wait while it does not read, other clients do not, and in the end it gets every answer. The sizes are around 1 MiB, where requests begin to
 * wait: what waits must be looked at again also when one send took all that was in the way.
 */
static void a_client_that_does_not_read_holds_up_only_itself(void **state)
{
        static const size_t sizes[] = {1000, 700000, 1 << 20, 1500000, 2 << 20, 3 << 20, 7 << 20};

        for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++)
                ask_without_reading(state, sizes[i], 20);
}

/* One reply of more than the 64 MiB that are buffered for a client cannot be given; the client is disconnected, the server lives. */
static void an_answer_over_the_limit_ends_the_connection(void **state)
{
        enum { BYTES = 8 << 20, TIMES = 9 };
        int fd = dial(state), other;
        char request[256];
        size_t count = (size_t)snprintf(request, sizeof(request), "MGET");
        char *sink = malloc(BYTES);
        ssize_t n;

        assert_non_null(sink);
        say(fd, "DEBUG POPULATE 1 big 8388608\r\n");
        hear(fd, "+OK\r\n");
        for (int i = 0; i < TIMES; i++)
                count += (size_t)snprintf(request + count, sizeof(request) - count, " big:0");
        say(fd, request);
        say(fd, "\r\n");
        do {
                n = recv(fd, sink, BYTES, 0);
        } while (n > 0);
        assert_true(n == 0 || errno == ECONNRESET);
        (void)close(fd);
        free(sink);
        other = dial(state);
        ask(other, "PING\r\n", "+PONG\r\n");
        (void)close(other);
}

/* ---- hostile input ---- */

struct hostile {
        const char *bytes;
        const char *answer; /* then the server hangs up */
};

static void protocol_errors_are_named_and_end_the_connection(void **state)
{
        static const struct hostile all[] = {
                {"*-x\r\n", "-ERR Protocol error: invalid multibulk length\r\n"},
                {"*99999999\r\n", "-ERR Protocol error: invalid multibulk length\r\n"},
                {"*99999999999999999999999\r\n", "-ERR Protocol error: invalid multibulk length\r\n"},
                {"*\r\n", "-ERR Protocol error: invalid multibulk length\r\n"},
                {"*1\n", "-ERR Protocol error: invalid multibulk length\r\n"},
                {"*1\r\n$-1\r\n", "-ERR Protocol error: invalid bulk length\r\n"},
                {"*1\r\n$-9223372036854775808\r\n", "-ERR Protocol error: invalid bulk length\r\n"},
                {"*1\r\n$8388609\r\n", "-ERR Protocol error: invalid bulk length\r\n"},
                {"*1\r\n$4294967295\r\n", "-ERR Protocol error: invalid bulk length\r\n"},
                {"*1\r\n$18446744073709551617\r\n", "-ERR Protocol error: invalid bulk length\r\n"},
                {"*1\r\n:4\r\n", "-ERR Protocol error: expected '$', got ':'\r\n"},
                {"*1\r\n\x01\r\n", "-ERR Protocol error: expected '$', got '?'\r\n"},
                {"*1\r\n$4\r\nPINGxx", "-ERR Protocol error: bulk is not followed by CRLF\r\n"},
                {"SET \"a\r\n", "-ERR Protocol error: unbalanced quotes in request\r\n"},
                {"SET \"a\"b\r\n", "-ERR Protocol error: unbalanced quotes in request\r\n"},
                {"PING\r\n*1\r\n$x\r\nPING\r\n", "+PONG\r\n-ERR Protocol error: invalid bulk length\r\n"},
        };

        for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
                int fd = dial(state);

                say(fd, all[i].bytes);
                hear(fd, all[i].answer);
                hear_end(fd);
        }
}

static void empty_requests_are_skipped(void **state)
{
        int fd = dial(state);

        ask(fd, "\r\n*0\r\n*-1\r\n   \r\nPING\r\n", "+PONG\r\n");
        ask(fd, "*1\r\n$0\r\n\r\nPING\r\n", "-ERR unknown command '', with args beginning with: \r\n+PONG\r\n");
        (void)close(fd);
}

static void endless_lines_are_cut_off(void **state)
{
        static const struct hostile all[] = {
                {"", "-ERR Protocol error: too big inline request\r\n"},
                {"*1", "-ERR Protocol error: too big mbulk count string\r\n"},
                {"*1\r\n$1", "-ERR Protocol error: too big bulk count string\r\n"},
        };
        enum { BYTES = 65536 };
        char *ones = malloc(BYTES);

        assert_non_null(ones);
        memset(ones, '1', BYTES);
        for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
                int fd = dial(state);

                say(fd, all[i].bytes);
                put(fd, ones, BYTES);
                hear(fd, all[i].answer);
                hear_end(fd);
        }
        free(ones);
}

/* 16 MiB in one request are the limit, whatever it is made of. */
static void an_oversized_request_is_refused(void **state)
{
        enum { BYTES = 8 << 20 };
        int fd = dial(state);
        char *value = calloc(1, BYTES + 2);

        assert_non_null(value);
        value[BYTES] = '\r';
        value[BYTES + 1] = '\n';
        say(fd, "*4\r\n$4\r\nMGET\r\n$8388608\r\n");
        put(fd, value, BYTES + 2);
        ask(fd, "$8388608\r\n", "-ERR Protocol error: request too big\r\n");
        hear_end(fd);
        free(value);
}

static void half_requests_that_end_harm_nobody(void **state)
{
        static const char *const halves[] = {"*", "*2\r\n$3\r\nGE", "*2\r\n$8388608\r\nabc", "SET a", "*3\r\n$3\r\nSET\r\n$1\r\na\r\n$5\r\nval"};
        int other = dial(state);
        char text[8192];

        for (int round = 0; round < 200; round++) {
                int fd = dial(state);

                say(fd, halves[round % 5]);
                ask(other, "PING\r\n", "+PONG\r\n");
                (void)close(fd);
        }
        ask(other, "DBSIZE\r\n", ":0\r\n");
        do {
                say(other, "INFO clients\r\n");
                hear_bulk(other, text, sizeof(text));
        } while (!strstr(text, "connected_clients:1\r\n"));
        (void)close(other);
}

static uint32_t random_next(uint32_t *seed)
{
        *seed = *seed * 1664525u + 1013904223u;
        return *seed >> 8;
}

/* Bytes that look like requests, cut and mixed; only the server's life is checked. BATON_SEED replays. */
static void random_bytes_do_not_kill_the_server(void **state)
{
        static const char *const parts[] = {"*", "$", "\r\n", "3", "-1", "SET", "GET", "a", "0", " ", "\"", "*2\r\n$3\r\nGET\r\n$1\r\na\r\n",
                                            "8388608", "INCR", "MSET", "\n", "EX", "\x80", "DEL", "PX"};
        const char *given = getenv("BATON_SEED");
        uint32_t seed = given ? (uint32_t)strtoul(given, NULL, 10) : (uint32_t)time(NULL);
        uint32_t first = seed;
        int other = dial(state);

        for (int round = 0; round < 300; round++) {
                int fd = dial(state);
                char bytes[1024];
                size_t count = 0;

                for (int i = 0; i < 24; i++)
                        count += (size_t)snprintf(bytes + count, sizeof(bytes) - count, "%s", parts[random_next(&seed) % 20]);
                (void)send(fd, bytes, count, MSG_NOSIGNAL);
                say(other, "PING\r\n");
                hear(other, "+PONG\r\n");
                (void)close(fd);
        }
        print_message("seed %u\n", first);
        (void)close(other);
}

/* ---- the table ---- */

static void a_hundred_thousand_keys_come_and_go(void **state)
{
        int fd = dial(state);
        char line[64], answer[96];

        ask(fd, "DEBUG POPULATE 100000 k\r\nDBSIZE\r\n", "+OK\r\n:100000\r\n");
        for (int i = 0; i < 100000; i += 97) {
                int n = snprintf(line, sizeof(line), "value:%d", i);

                (void)snprintf(answer, sizeof(answer), "$%d\r\n%s\r\n", n, line);
                (void)snprintf(line, sizeof(line), "GET k:%d\r\n", i);
                ask(fd, line, answer);
        }
        for (int i = 0; i < 99990; i += 10) {
                char request[256];
                size_t n = 0;

                n += (size_t)snprintf(request, sizeof(request), "DEL");
                for (int j = i; j < i + 10; j++)
                        n += (size_t)snprintf(request + n, sizeof(request) - n, " k:%d", j);
                (void)snprintf(request + n, sizeof(request) - n, "\r\n");
                ask(fd, request, ":10\r\n");
        }
        ask(fd, "DBSIZE\r\nGET k:99999\r\nGET k:5\r\n", ":10\r\n$11\r\nvalue:99999\r\n$-1\r\n");
        ask(fd, "DEBUG POPULATE 50000 k\r\nFLUSHALL\r\nDEBUG POPULATE 50000 k\r\nDBSIZE\r\n", "+OK\r\n+OK\r\n+OK\r\n:50000\r\n");
        (void)close(fd);
}

/* ---- KV_FAIL ---- */

static void the_server_fails_as_it_is_told_to(void **state)
{
        char path[512], byte;
        int status, out;
        pid_t pid;

        (void)state;
        program_path("KV_V1", "kv-v1", path, sizeof(path));
        pid = start(path, (char[]){"KV_FAIL=exit_at_start"}, &out);
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 3);
        (void)close(out);

        pid = start(path, (char[]){"KV_FAIL=no_such_failure"}, &out);
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 2);
        (void)close(out);

        /* Nothing to take over, nothing to refuse: it serves. */
        pid = start(path, (char[]){"KV_FAIL=refuse_restore"}, &out);
        assert_int_equal(read(out, &byte, 1), 1);
        (void)close(out);
        assert_int_equal(kill(pid, SIGTERM), 0);
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

#define with_server(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
        const struct CMUnitTest tests[] = {
                with_server(answers_the_simple_commands),
                with_server(sets_and_gets_binary_values),
                with_server(set_obeys_its_options),
                with_server(counts_and_refuses_to_overflow),
                with_server(keys_expire_when_looked_at_and_when_not),
                with_server(info_says_who_answers),
                cmocka_unit_test_setup_teardown(version_two_has_a_command_more, setup_v2, teardown),
                with_server(a_request_may_come_byte_by_byte),
                with_server(many_requests_may_come_at_once),
                with_server(large_values_come_back_whole),
                with_server(a_client_that_does_not_read_holds_up_only_itself),
                with_server(an_answer_over_the_limit_ends_the_connection),
                with_server(protocol_errors_are_named_and_end_the_connection),
                with_server(empty_requests_are_skipped),
                with_server(endless_lines_are_cut_off),
                with_server(an_oversized_request_is_refused),
                with_server(half_requests_that_end_harm_nobody),
                with_server(random_bytes_do_not_kill_the_server),
                with_server(a_hundred_thousand_keys_come_and_go),
                cmocka_unit_test(the_server_fails_as_it_is_told_to),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
