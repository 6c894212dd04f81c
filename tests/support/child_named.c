/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One of many: a supervised child that anybody can talk to by its id alone. It listens on the abstract address "<NAMED_PLACE>/<id>" and answers each
 * connection with one line, "<id> <count>". The count is its state, a blob, and grows with each answer. It needs no socket of the hub: a thousand of
 * them are added and removed while the hub knows of no address.
 *
 *      NAMED_PLACE=TEXT    in front of the id, so that two tests do not meet
 *      NAMED_FAIL=ID       the child of that id ends at its start, with status 3
 *      NAMED_HANG=ID       the child of that id never gets ready
 *      NAMED_BROKEN=FILE   while there is such a file it ends at its start, with status 3
 *
 * SIGUSR1 is its end, with status 0.
 */
#include <errno.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <baton/child.h>

#include "tests/support/counted.h"
#include "tests/support/door.h"

static void on_listener(struct baton_child *child, int fd, uint32_t events, void *data)
{
        int client = accept4(fd, NULL, NULL, SOCK_CLOEXEC);
        char line[128];
        int bytes;

        (void)events, (void)data;
        if (client < 0)
                return;
        bytes = snprintf(line, sizeof(line), "%s %llu\n", baton_child_id(child), (unsigned long long)++count);
        (void)send(client, line, (size_t)bytes, MSG_NOSIGNAL);
        (void)close(client);
}

static int listen_by_id(struct baton_child *child)
{
        const char *place = getenv("NAMED_PLACE");
        int fd = door_open(place ? place : "", baton_child_id(child), SOCK_NONBLOCK);

        if (fd < 0)
                return fd;
        return baton_child_watch(child, fd, EPOLLIN, on_listener, NULL);
}

static int restore(struct baton_child *child, const struct baton_restore *restore, void *ctx)
{
        (void)child, (void)ctx;
        count_take(restore);
        return 0;
}

static bool is(const struct baton_child *child, const char *variable)
{
        const char *id = getenv(variable);

        return id && !strcmp(id, baton_child_id(child));
}

static void on_end(int number)
{
        (void)number;
        _exit(0);
}

static bool broken(void)
{
        const char *file = getenv("NAMED_BROKEN");

        return file && access(file, F_OK) == 0;
}

int main(void)
{
        const struct baton_child_ops ops = {
                .size = sizeof(ops), .schema = "named", .version = 1, .version_oldest = 1, .restore = restore, .capture = count_capture,
        };
        struct baton_child *child = NULL;
        int r = baton_child_open(&child, &ops, NULL);

        if (signal(SIGUSR1, on_end) == SIG_ERR)
                _exit(4);
        if (!r && (is(child, "NAMED_FAIL") || broken()))
                _exit(3);
        while (!r && is(child, "NAMED_HANG"))
                (void)pause();
        if (!r)
                r = listen_by_id(child);
        if (!r)
                r = baton_child_run(child);
        if (r)
                (void)fprintf(stderr, "named: %s\n", baton_strerror(r));
        child = baton_child_close(child);
        return r ? 1 : 0;
}
