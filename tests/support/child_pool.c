/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One of a pool: a server whose state is a count. A connection is a request: one line in, "ID COUNT VERSION" out, closed. What it holds
 * is printed whenever a process begins to serve: "serves COUNT as VERSION", so that a test can follow the state of each child through
 * its log.
 *
 * A request is accepted, read, counted and answered in one go: none is under way when the state is captured. Environment:
 *
 *      POOL_VERSION=v2       instead of v1
 *      POOL_FAIL=refuse      refuses the state;  hang: serves, and hangs at the first request;  slow: starts a second late
 */
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <baton/child.h>

#include "tests/support/counted.h"

static int listener = -1;

static const char *environment(const char *name, const char *otherwise)
{
        const char *value = getenv(name);

        return value ? value : otherwise;
}

static bool fails(const char *how)
{
        return !strcmp(environment("POOL_FAIL", ""), how);
}

static void on_listener(struct baton_child *child, int fd, uint32_t events, void *data)
{
        int client = accept4(fd, NULL, NULL, SOCK_CLOEXEC);
        struct pollfd readable = {.fd = client, .events = POLLIN};
        char line[128];
        int bytes;

        (void)events, (void)data;
        if (client < 0)
                return; /* another one of the pool was faster */
        while (fails("hang"))
                (void)pause();
        if (poll(&readable, 1, 2000) > 0 && recv(client, line, sizeof(line), MSG_DONTWAIT) > 0) {
                bytes = snprintf(line, sizeof(line), "%s %llu %s\n", baton_child_id(child), (unsigned long long)++count, environment("POOL_VERSION", "v1"));
                (void)send(client, line, (size_t)bytes, MSG_NOSIGNAL);
        }
        (void)close(client);
}

static int restore(struct baton_child *child, const struct baton_restore *restored, void *ctx)
{
        (void)child, (void)ctx;
        if (restored->state && fails("refuse"))
                return -22;
        count_take(restored);
        return 0;
}

static void serve(struct baton_child *child, void *ctx)
{
        (void)child, (void)ctx;
        (void)fprintf(stderr, "serves %llu as %s\n", (unsigned long long)count, environment("POOL_VERSION", "v1"));
}

static void retire(struct baton_child *child, void *ctx)
{
        (void)ctx;
        (void)baton_child_watch(child, listener, 0, NULL, NULL);
        (void)baton_child_retired(child);
}

int main(void)
{
        static const struct baton_child_ops ops = {.size = sizeof(ops), .schema = "pool", .version = 1, .version_oldest = 1, .restore = restore,
                                                   .serve = serve, .capture = count_capture, .retire = retire};
        struct baton_child *child = NULL;
        int r = baton_child_open(&child, &ops, NULL);

        if (fails("slow"))
                (void)sleep(1);
        listener = r ? -1 : baton_child_socket(child, "pool");
        if (listener >= 0)
                r = baton_child_watch(child, listener, EPOLLIN, on_listener, NULL);
        if (!r)
                r = baton_child_run(child);
        (void)baton_child_close(child);
        return r ? 1 : 0;
}
