/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One of many that are moved between nodes while they serve. It listens on the abstract address "<PLACED_AT>/<id>" through one socket for all its
 * life, which it leaves with the hub: no connection is refused while it is replaced. Each connection is answered with one line,
 *
 *      <id> <count> <pid> <NODE> <VERSION>
 *
 * The count is its state and grows with each answer: a client that sees each number once, in order, has seen that nothing was lost and nothing done
 * twice. NODE and VERSION are variables of the environment, so that of the node, and that of the program, can be told apart.
 *
 *      PLACED_BYTES=N      the state is so much larger
 *      PLACED_ARENA=N      the state is N bytes in an arena, the count and what is as the id says; VERSION is their address
 *      PLACED_REFUSE=ID    the child of that id ends at its start, with status 3
 *      PLACED_CONSENT=1    takes part in consent: says later, until SIGUSR1 turns it around and it says ready by itself. SIGUSR2 turns it back,
 *                          and it says nothing until it is asked. Each time it is asked, or turned, it
 *                          adds a line to the file PLACED_TOLD: asked, ready or busy, and its pid
 *      PLACED_SAY=1        prints "gave N" with each state that it captures, and "took N" with each that it restores
 */
#include <errno.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <baton/child.h>
#include <baton/errors.h>

#include "tests/support/door.h"

static uint64_t count;
static uint64_t *in_arena; /* count, and N bytes */
static int listener = -1;
static bool agrees;

static const char *variable(const char *name)
{
        const char *value = getenv(name);

        return value && *value ? value : "-";
}

static uint64_t count_up(struct baton_child *child)
{
        if (!in_arena)
                return ++count;
        baton_arena_begin(child);
        ++*in_arena;
        baton_arena_end(child);
        return *in_arena;
}

static void on_listener(struct baton_child *child, int fd, uint32_t events, void *data)
{
        int client = accept4(fd, NULL, NULL, SOCK_CLOEXEC);
        char line[256], version[32];
        int bytes;

        (void)events, (void)data;
        if (client < 0)
                return;
        (void)snprintf(version, sizeof(version), "%p", (void *)in_arena);
        bytes = snprintf(line, sizeof(line), "%s %llu %d %s %s\n", baton_child_id(child),
                         (unsigned long long)count_up(child), (int)getpid(), variable("NODE"),
                         in_arena ? version : variable("VERSION"));
        (void)send(client, line, (size_t)bytes, MSG_NOSIGNAL);
        (void)close(client);
}

/* The one that is there already, or the first. */
static int open_listener(struct baton_child *child)
{
        listener = baton_child_take(child, "listener");
        if (listener >= 0)
                return 0;
        listener = door_open(variable("PLACED_AT"), baton_child_id(child), SOCK_NONBLOCK);
        if (listener < 0)
                return listener;
        return baton_child_keep(child, "listener", listener);
}

static size_t arena_bytes(void)
{
        const char *bytes = getenv("PLACED_ARENA");

        return bytes ? strtoul(bytes, NULL, 10) : 0;
}

static uint8_t filler(const struct baton_child *child)
{
        return (uint8_t)strtoul(strpbrk(baton_child_id(child), "/") + 1, NULL, 10);
}

static void fill_arena(struct baton_child *child)
{
        baton_arena_begin(child);
        in_arena = baton_arena_alloc(child, sizeof(*in_arena) + arena_bytes());
        if (in_arena) {
                *in_arena = 0;
                memset(in_arena + 1, filler(child), arena_bytes());
                baton_arena_set_root(child, in_arena);
        }
        baton_arena_end(child);
}

static void serve(struct baton_child *child, void *ctx)
{
        (void)ctx;
        if (arena_bytes() && !in_arena)
                fill_arena(child);
        (void)baton_child_watch(child, listener, EPOLLIN, on_listener, NULL);
}

/* The count, and as many bytes more as the test wants, each of which says it, too. */
static size_t state_bytes(void)
{
        const char *more = getenv("PLACED_BYTES");

        return sizeof(count) + (more ? strtoul(more, NULL, 10) : 0);
}

static void say_count(const char *what)
{
        if (getenv("PLACED_SAY"))
                (void)dprintf(STDOUT_FILENO, "%s %llu\n", what, (unsigned long long)count);
}

static int restore(struct baton_child *child, const struct baton_restore *restore, void *ctx)
{
        const uint8_t *bytes = restore->state;
        const size_t filled = arena_bytes();
        const uint8_t fill = filled ? filler(child) : 0;

        (void)ctx;
        in_arena = filled ? baton_arena_root(child) : NULL;
        for (size_t i = 0; in_arena && i < filled; i++) {
                if (((const uint8_t *)(in_arena + 1))[i] != fill)
                        return -BATON_E_CORRUPT;
        }
        if (!bytes || in_arena)
                return 0;
        if (restore->state_bytes != state_bytes())
                return -BATON_E_SCHEMA;
        memcpy(&count, bytes, sizeof(count));
        say_count("took");
        for (size_t i = sizeof(count); i < restore->state_bytes; i++) {
                if (bytes[i] != (uint8_t)count)
                        return -BATON_E_CORRUPT;
        }
        return 0;
}

/* From here on nobody is answered: the number that is written is the last one that was said. */
static int capture(struct baton_child *child, struct baton_capture *capture, void *ctx)
{
        void *room = NULL;
        int r = in_arena ? 0 : baton_capture_reserve(capture, state_bytes(), &room);

        (void)ctx;
        (void)baton_child_watch(child, listener, 0, NULL, NULL);
        if (r || in_arena || !room)
                return r;
        memset(room, (uint8_t)count, state_bytes());
        memcpy(room, &count, sizeof(count));
        say_count("gave");
        return baton_capture_commit(capture, state_bytes());
}

/* For the test that waits for it. */
static void tell(const char *word)
{
        const char *path = getenv("PLACED_TOLD");
        FILE *file = path ? fopen(path, "ae") : NULL;

        if (!file)
                return;
        (void)fprintf(file, "%s %d\n", word, (int)getpid());
        (void)fclose(file);
}

static int may_migrate(struct baton_child *child, void *ctx)
{
        (void)child, (void)ctx;
        tell("asked");
        return agrees ? 0 : 1;
}

static void on_signal(struct baton_child *child, int fd, uint32_t events, void *data)
{
        struct signalfd_siginfo info;

        (void)events, (void)data;
        if (read(fd, &info, sizeof(info)) != (ssize_t)sizeof(info))
                return;
        agrees = info.ssi_signo == SIGUSR1;
        if (agrees)
                (void)baton_child_migration_ready(child);
        tell(agrees ? "ready" : "busy");
}

static int watch_signal(struct baton_child *child)
{
        sigset_t set;
        int fd;

        (void)sigemptyset(&set);
        (void)sigaddset(&set, SIGUSR1);
        (void)sigaddset(&set, SIGUSR2);
        (void)sigprocmask(SIG_BLOCK, &set, NULL);
        fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
        return fd < 0 ? -errno : baton_child_watch(child, fd, EPOLLIN, on_signal, NULL);
}

int main(void)
{
        struct baton_child_ops ops = {
                .size = sizeof(ops),
                .schema = "placed",
                .version = 1,
                .version_oldest = 1,
                .restore = restore,
                .capture = capture,
                .serve = serve,
                .resume = serve,
        };
        const char *refuse = getenv("PLACED_REFUSE");
        struct baton_child *child = NULL;
        int r;

        if (getenv("PLACED_CONSENT"))
                ops.may_migrate = may_migrate;
        r = baton_child_open(&child, &ops, NULL);
        if (!r && refuse && !strcmp(refuse, baton_child_id(child))) {
                child = baton_child_close(child);
                return 3;
        }
        if (!r)
                r = open_listener(child);
        if (!r && ops.may_migrate)
                r = watch_signal(child);
        if (!r)
                r = baton_child_run(child);
        if (r)
                (void)fprintf(stderr, "placed: %s\n", baton_strerror(r));
        child = baton_child_close(child);
        return r ? 1 : 0;
}
