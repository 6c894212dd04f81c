/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An instance of a replicated child. While it is active it holds an exclusive lock on the file <REPLICA_AT>/active, as a real one would hold its device, its
 * lease, its port: the kernel is the judge of whether two are active at once. One that finds the lock taken says so in <REPLICA_AT>/two-active, which no
 * test may find. What becomes of it is printed ("is active", "is passive"), so that a test can wait for it in the hub's log.
 *
 * It listens on the abstract address "<REPLICA_AT>/<id>" and answers each connection with one line:
 *
 *      <id> <mode> <pid> <BATON_CHILD> <BATON_NODE> <BATON_MODE> <VERSION>
 *
 *      REPLICA_REFUSE=ID   the child of that id ends at its start, with status 3
 *      REPLICA_STUCK=ID    the child of that id never comes back from becoming passive
 */
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <unistd.h>

#include <baton/child.h>
#include <baton/errors.h>

#include "tests/support/door.h"

static int listener = -1;
static int lock = -1;

static const char *variable(const char *name)
{
        const char *value = getenv(name); /* one thread: NOLINT(concurrency-mt-unsafe) */

        return value && *value ? value : "-";
}

static bool is_named(const struct baton_child *child, const char *name)
{
        return !strcmp(variable(name), baton_child_id(child));
}

static const char *mode_name(const struct baton_child *child)
{
        static const char *const names[_BATON_MODE_N] = {"single", "active", "passive"};

        return names[baton_child_mode(child)];
}

static void on_listener(struct baton_child *child, int fd, uint32_t events, void *data)
{
        int client = accept4(fd, NULL, NULL, SOCK_CLOEXEC);
        char line[512];
        int bytes;

        (void)events, (void)data;
        if (client < 0)
                return;
        bytes = snprintf(line, sizeof(line), "%s %s %d %s %s %s %s\n", baton_child_id(child), mode_name(child), (int)getpid(),
                         variable("BATON_CHILD"), variable("BATON_NODE"), variable("BATON_MODE"), variable("VERSION"));
        (void)send(client, line, (size_t)bytes, MSG_NOSIGNAL);
        (void)close(client);
}

/* The one that the process before left with the hub, or the first. */
static int open_listener(struct baton_child *child)
{
        listener = baton_child_take(child, "listener");
        if (listener >= 0)
                return 0;
        listener = door_open(variable("REPLICA_AT"), baton_child_id(child), SOCK_NONBLOCK);
        if (listener < 0)
                return listener;
        return baton_child_keep(child, "listener", listener);
}

static int open_file(const char *name)
{
        char path[256];

        (void)snprintf(path, sizeof(path), "%s/%s", variable("REPLICA_AT"), name);
        return open(path, O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
}

static void begin(const struct baton_child *child)
{
        lock = open_file("active");
        if (lock < 0 || flock(lock, LOCK_EX | LOCK_NB) < 0)
                (void)dprintf(open_file("two-active"), "%s, process %d: %s\n", baton_child_id(child), (int)getpid(), strerrordesc_np(errno));
        (void)puts("is active");
}

static void end(const struct baton_child *child)
{
        while (is_named(child, "REPLICA_STUCK"))
                (void)pause();
        lock = lock < 0 ? -1 : (close(lock), -1);
        (void)puts("is passive");
}

static void mode_changed(struct baton_child *child, enum baton_mode mode, void *ctx)
{
        (void)ctx;
        if (mode == BATON_MODE_ACTIVE)
                begin(child);
        else
                end(child);
}

static void serve(struct baton_child *child, void *ctx)
{
        (void)ctx;
        (void)baton_child_watch(child, listener, EPOLLIN, on_listener, NULL);
}

static void retire(struct baton_child *child, void *ctx)
{
        (void)ctx;
        (void)baton_child_watch(child, listener, 0, NULL, NULL);
        (void)baton_child_retired(child);
}

int main(void)
{
        static const struct baton_child_ops ops = {
                .size = sizeof(ops),
                .serve = serve,
                .resume = serve,
                .retire = retire,
                .mode_changed = mode_changed,
        };
        struct baton_child *child = NULL;
        int r;

        (void)setvbuf(stdout, NULL, _IOLBF, 0);
        r = baton_child_open(&child, &ops, NULL);
        if (!r && is_named(child, "REPLICA_REFUSE")) {
                child = baton_child_close(child);
                return 3;
        }
        if (!r)
                r = open_listener(child);
        if (!r)
                r = baton_child_run(child);
        if (r)
                (void)fprintf(stderr, "replica: %s\n", baton_strerror(r));
        child = baton_child_close(child);
        return r ? 1 : 0;
}
