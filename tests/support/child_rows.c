/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A supervised child for the rows of docs/conformance.md: it counts, tells in which order its callbacks were run, and can be held in each of them.
 *
 * It listens on the inherited socket that has the name of its id, or on one that it made itself and hands on (ROW_LISTEN). One line in over a connection, one line out:
 *
 *      count | value         the next number, the last number; the count is the state
 *      pid | inc | reason    who answers, as numbers (reason: enum baton_reason)
 *      checkpoint            "ok", or why not
 *
 * A gate is a file: the callback goes on when it is there. It looks again every millisecond, for a minute, and then gives up by a status that no test
 * expects. Environment:
 *
 *      ROW_TRACE=FILE        appends "ID#INCARNATION callback ..", one write a line, so lines of several processes have one order
 *      ROW_LISTEN=DIR        without an inherited socket: listens on DIR/ID.sock, the id without its slash
 *      ROW_FRESH=N           where it begins to count; in restore() it keeps the larger one of this and what it was given
 *      ROW_BARE=1            no callbacks at all
 *      ROW_PAD=BYTES         blob: a state of so many bytes
 *      ROW_CAPTURE=nothing|empty|FILE     commits nothing, or 0 bytes; or a gate
 *      ROW_CAPTURE=fail      capture() fails; "fail:FILE": behind a gate
 *      ROW_RESTORE=FILE      a gate, when there is a state
 *      ROW_RESTORE=refuse    restore() fails
 *      ROW_VERSION=N[:M[:W]] writes version N of the schema, reads from M on (N), can write from W on (N); 1 without it
 *      ROW_OPEN=FILE         a gate before it opens its handle, and so before it says what it reads
 *      ROW_LATE=FILE         a gate between ready() and the first dispatch(); it serves no requests after it
 *      ROW_RETIRE=FILE       a gate, before it says that it has drained
 *      ROW_TERMINATE=checkpoint|FILE      writes its state once more; or a gate
 *      ROW_THREAD=1          a second thread before baton_child_zygote()
 *      ROW_TOGETHER=N:DIR    terminate() goes on when N processes are in it: ends that come one after the other never end
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <baton/child.h>

#include "tests/support/wait.h"

#define FDS_MAX 1024
#define GATE_MS 60000
#define TAG_LISTENER 1 /* of a passed descriptor; 0: a client */
#define EXIT_GATE 41 /* a gate was never opened */

struct row {
        uint64_t fresh;     /* where counting begins */
        uint64_t count;     /* blob: the state */
        uint64_t *in_arena; /* arena: the same */
        bool is_client[FDS_MAX];
        bool asked;
        int listener;
        bool own_listener;
        int trace;
};

static struct row row = {.listener = -1, .trace = -1};

static uint32_t version_own = 1;

static const char *option(const char *name)
{
        const char *text = getenv(name);

        return text ? text : "";
}

__attribute__((format(printf, 2, 3))) static void trace(const struct baton_child *child, const char *format, ...)
{
        char line[256];
        int used = snprintf(line, sizeof(line), "%s#%llu ", baton_child_id(child), (unsigned long long)baton_child_incarnation(child));
        va_list args;

        if (row.trace < 0)
                return;
        va_start(args, format);
        used += vsnprintf(line + used, sizeof(line) - 1 - (size_t)used, format, args);
        va_end(args);
        line[used++] = '\n';
        (void)!write(row.trace, line, (size_t)used);
}

/* ---- gates ---- */

static void gate(const char *path)
{
        if (path[0] == '/' && !wait_for_file(path, true, wait_until(GATE_MS)))
                _exit(EXIT_GATE);
}

static int files_in(const char *path)
{
        DIR *dir = opendir(path);
        int count = -2; /* "." and ".." */

        while (dir && readdir(dir))
                count++;
        if (dir)
                (void)closedir(dir);
        return count;
}

static void together(const struct baton_child *child)
{
        const char *text = option("ROW_TOGETHER");
        const char *dir = strchr(text, ':');
        uint64_t deadline = wait_until(GATE_MS);
        char mine[512];
        int fd, changes;

        if (!dir)
                return;
        dir++;
        changes = wait_folder(dir);
        (void)snprintf(mine, sizeof(mine), "%s/%s", dir, baton_child_id(child));
        fd = open(mine, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
        if (fd >= 0)
                (void)close(fd);
        while (files_in(dir) < (int)strtol(text, NULL, 10)) {
                if (!wait_change(changes, deadline))
                        _exit(EXIT_GATE);
        }
        if (changes >= 0)
                (void)close(changes);
}

/* ---- requests ---- */

static uint64_t *the_count(void)
{
        return row.in_arena ? row.in_arena : &row.count;
}

static void answer(struct baton_child *child, const char *line, char *out, size_t bytes)
{
        unsigned long long number = 0;

        if (!strcmp(line, "count")) {
                if (row.in_arena)
                        baton_arena_begin(child);
                number = ++*the_count();
                if (row.in_arena)
                        baton_arena_end(child);
                if (!row.asked)
                        trace(child, "first request");
                row.asked = true;
        } else if (!strcmp(line, "value")) {
                number = *the_count();
        } else if (!strcmp(line, "pid")) {
                number = (unsigned long long)getpid();
        } else if (!strcmp(line, "inc")) {
                number = baton_child_incarnation(child);
        } else if (!strcmp(line, "reason")) {
                number = (unsigned long long)baton_child_reason(child);
        } else {
                int r = strcmp(line, "checkpoint") ? -EINVAL : baton_child_checkpoint(child);

                (void)snprintf(out, bytes, "%s\n", r ? baton_strerror(r) : "ok");
                return;
        }
        (void)snprintf(out, bytes, "%llu\n", number);
}

static void client_end(struct baton_child *child, int fd)
{
        (void)baton_child_watch(child, fd, 0, NULL, NULL);
        row.is_client[fd] = false;
        (void)close(fd);
}

/* Clients send whole lines and wait for the answer, so what one read gives is one request. */
static void on_client(struct baton_child *child, int fd, uint32_t events, void *data)
{
        char in[256], out[256];
        ssize_t n = recv(fd, in, sizeof(in) - 1, MSG_DONTWAIT);

        (void)events, (void)data;
        if (n <= 0) {
                if (n == 0 || errno != EAGAIN)
                        client_end(child, fd);
                return;
        }
        in[n] = '\0';
        in[strcspn(in, "\r\n")] = '\0';
        answer(child, in, out, sizeof(out));
        (void)send(fd, out, strlen(out), MSG_NOSIGNAL | MSG_DONTWAIT);
}

static int client_begin(struct baton_child *child, int fd)
{
        int r = fd < FDS_MAX ? baton_child_watch(child, fd, EPOLLIN, on_client, NULL) : -EMFILE;

        if (r)
                (void)close(fd);
        else
                row.is_client[fd] = true;
        return r;
}

static void on_listener(struct baton_child *child, int fd, uint32_t events, void *data)
{
        int client = accept4(fd, NULL, NULL, SOCK_CLOEXEC);

        (void)events, (void)data;
        if (client >= 0)
                (void)client_begin(child, client);
}

static int listener_begin(struct baton_child *child, int fd)
{
        row.listener = fd;
        return baton_child_watch(child, fd, EPOLLIN, on_listener, NULL);
}

/* As the first of its child: nobody handed one on. */
static int listen_ourselves(struct baton_child *child)
{
        struct sockaddr_un addr = {.sun_family = AF_UNIX};
        const char *id = baton_child_id(child);
        size_t used;
        int fd;

        used = (size_t)snprintf(addr.sun_path, sizeof(addr.sun_path), "%.80s/", option("ROW_LISTEN"));
        for (; *id && used < sizeof(addr.sun_path) - 6; id++) {
                if (*id != '/')
                        addr.sun_path[used++] = *id;
        }
        memcpy(addr.sun_path + used, ".sock", sizeof(".sock"));
        (void)unlink(addr.sun_path);
        fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        if (fd < 0 || bind(fd, (struct sockaddr *)&addr, sizeof(addr)) < 0 || listen(fd, 16) < 0) {
                int r = -errno;

                if (fd >= 0)
                        (void)close(fd);
                return r;
        }
        row.own_listener = true;
        return listener_begin(child, fd);
}

/* ---- callbacks ---- */

static int take_fd(struct baton_child *child, const struct baton_fd *passed)
{
        if (passed->tag != TAG_LISTENER)
                return client_begin(child, passed->fd);
        row.own_listener = true;
        return listener_begin(child, passed->fd);
}

static int restore(struct baton_child *child, const struct baton_restore *restored, void *ctx)
{
        static const char *const reasons[] = {"fresh", "hot", "cold", "crash", "reboot", "rollback"};
        uint64_t given = 0;
        int r = 0;

        (void)ctx;
        row.in_arena = baton_arena_root(child);
        if (restored->state)
                trace(child, "restore %s: %zu bytes", reasons[restored->reason % 6], restored->state_bytes);
        else
                trace(child, "restore %s: %s", reasons[restored->reason % 6], row.in_arena ? "arena" : "absent");
        if (!strcmp(option("ROW_RESTORE"), "refuse"))
                return -EIO;
        if (restored->state || row.in_arena)
                gate(option("ROW_RESTORE"));
        if (restored->state && restored->state_bytes >= sizeof(given))
                memcpy(&given, restored->state, sizeof(given));
        row.count = given > row.count ? given : row.count;
        for (size_t i = 0; i < restored->fd_count; i++)
                r = r ? (close(restored->fds[i].fd), r) : take_fd(child, &restored->fds[i]);
        if (!r && row.listener < 0 && *option("ROW_LISTEN"))
                r = listen_ourselves(child);
        trace(child, "restored");
        return r;
}

static void serve(struct baton_child *child, void *ctx)
{
        (void)ctx;
        trace(child, "serve");
        if (!baton_arena_max(child) || row.in_arena || !baton_child_supervised(child))
                return;
        baton_arena_begin(child);
        row.in_arena = baton_arena_alloc(child, sizeof(*row.in_arena));
        if (row.in_arena) {
                *row.in_arena = row.fresh;
                baton_arena_set_root(child, row.in_arena);
        }
        baton_arena_end(child);
}

static void prepare(struct baton_child *child, void *ctx)
{
        (void)ctx;
        trace(child, "prepare");
}

static int capture_count(struct baton_capture *capture)
{
        size_t bytes = strtoul(option("ROW_PAD"), NULL, 10);
        void *room;
        int r;

        if (bytes < sizeof(row.count))
                bytes = sizeof(row.count);
        r = baton_capture_reserve(capture, bytes, &room);
        if (r)
                return r;
        memset(room, 0x5a, bytes);
        memcpy(room, &row.count, sizeof(row.count));
        return baton_capture_commit(capture, bytes);
}

static int capture(struct baton_child *child, struct baton_capture *capture, void *ctx)
{
        enum baton_capture_for purpose = baton_capture_purpose(capture);
        static const char *const purposes[] = {"hot", "cold", "shutdown", "checkpoint"};
        const char *how = option("ROW_CAPTURE");
        void *room;
        int r = 0;

        (void)ctx;
        trace(child, "capture %s", purpose < 4 ? purposes[purpose] : "?");
        if (purpose == BATON_CAPTURE_HOT || purpose == BATON_CAPTURE_COLD) {
                if (row.own_listener)
                        r = baton_child_pass(child, row.listener, TAG_LISTENER);
                for (int fd = 0; !r && fd < FDS_MAX; fd++)
                        r = row.is_client[fd] ? baton_child_pass(child, fd, 0) : 0;
        }
        if (purpose != BATON_CAPTURE_HOT && purpose != BATON_CAPTURE_COLD && baton_capture_version(capture) != version_own)
                return -EPROTO; /* nobody in particular will read it */
        if (!strncmp(how, "fail", 4)) {
                gate(how[4] ? how + 5 : "");
                return -EIO;
        }
        gate(how);
        if (r || row.in_arena || !strcmp(how, "nothing"))
                return r;
        if (strcmp(how, "empty") != 0)
                return capture_count(capture);
        r = baton_capture_reserve(capture, 0, &room);
        return r ? r : baton_capture_commit(capture, 0);
}

static void resume(struct baton_child *child, void *ctx)
{
        (void)ctx;
        trace(child, "resume");
}

static void retire(struct baton_child *child, void *ctx)
{
        (void)ctx;
        trace(child, "retire");
        (void)baton_child_watch(child, row.listener, 0, NULL, NULL);
        for (int fd = 0; fd < FDS_MAX; fd++) {
                if (row.is_client[fd])
                        client_end(child, fd);
        }
        gate(option("ROW_RETIRE"));
        trace(child, "drained");
        (void)baton_child_retired(child);
}

static void terminate(struct baton_child *child, void *ctx)
{
        const char *how = option("ROW_TERMINATE");

        (void)ctx;
        trace(child, "terminate");
        if (!strcmp(how, "checkpoint"))
                trace(child, "checkpoint: %s", baton_child_checkpoint(child) ? "no" : "written");
        gate(how);
        together(child);
        trace(child, "terminated");
}

/* ---- start ---- */

/* A program that is busy with something else before it comes to its loop. */
static int run_late(struct baton_child *child)
{
        struct pollfd bell = {.fd = baton_child_fd(child), .events = POLLIN};
        int r = baton_child_ready(child);

        if (!r)
                gate(option("ROW_LATE"));
        while (!r) {
                (void)poll(&bell, 1, -1);
                r = baton_child_dispatch(child);
        }
        return r == BATON_CHILD_STOP ? 0 : r;
}

/* As ROW_VERSION says. */
static void versions(struct baton_child_ops *ops)
{
        char *end = NULL;
        const char *text = option("ROW_VERSION");

        if (!*text)
                return;
        version_own = ops->version = ops->version_oldest = (uint32_t)strtoul(text, &end, 10);
        if (*end == ':')
                ops->version_oldest = (uint32_t)strtoul(end + 1, &end, 10);
        if (*end == ':')
                ops->version_writable = (uint32_t)strtoul(end + 1, NULL, 10);
}

/* What would be slow: once for each process that is executed, and once for all that are forked from one. */
static void *idle(void *arg)
{
        while (pause() < 0)
                continue;
        return arg;
}

static void warm(void)
{
        pthread_t thread;

        if (row.trace >= 0)
                (void)dprintf(row.trace, "warm %s\n", getenv("BATON_ZYGOTE_FD") ? "zygote" : "process");
        if (getenv("ROW_THREAD"))
                (void)pthread_create(&thread, NULL, idle, NULL);
}

int main(void)
{
        static struct baton_child_ops whole = {
                .size = sizeof(whole), .schema = "row", .version = 1, .version_oldest = 1, .restore = restore, .serve = serve,
                .prepare = prepare, .capture = capture, .resume = resume, .retire = retire, .terminate = terminate,
        };
        static const struct baton_child_ops bare = {.size = sizeof(bare), .schema = "row", .version = 1, .version_oldest = 1};
        const char *path = getenv("ROW_TRACE");
        struct baton_child *child = NULL;
        int r;

        versions(&whole);
        gate(option("ROW_OPEN"));
        row.count = row.fresh = strtoull(option("ROW_FRESH"), NULL, 10);
        if (path)
                row.trace = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
        warm();
        r = baton_child_zygote();
        if (!r)
                r = baton_child_open(&child, getenv("ROW_BARE") ? &bare : &whole, NULL);
        if (!r) {
                int fd = baton_child_socket(child, baton_child_id(child));

                r = fd >= 0 ? listener_begin(child, fd) : 0;
        }
        if (!r)
                r = *option("ROW_LATE") ? run_late(child) : baton_child_run(child);
        if (r)
                (void)fprintf(stderr, "row: %s\n", baton_strerror(r));
        for (int fd = 0; fd < FDS_MAX; fd++) {
                if (row.is_client[fd])
                        (void)close(fd);
        }
        if (row.own_listener)
                (void)close(row.listener);
        if (row.trace >= 0)
                (void)close(row.trace);
        child = baton_child_close(child);
        return r ? 1 : 0;
}
