/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * A child's own door: an abstract socket with the name DIR/ID, so that a test asks a child by its id, whichever process it is just now. The program listens
 * (child_named.c, child_placed.c, child_replica.c), the test knocks.
 */

#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static inline socklen_t door_address(struct sockaddr_un *ret, const char *dir, const char *id)
{
        int n;

        *ret = (struct sockaddr_un){.sun_family = AF_UNIX};
        n = snprintf(ret->sun_path + 1, sizeof(ret->sun_path) - 1, "%s/%s", dir, id);
        return (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + (size_t)n);
}

/* Listens; @flags: more of socket()'s type. Returns a descriptor or -errno. */
static inline int door_open(const char *dir, const char *id, int flags)
{
        struct sockaddr_un address;
        socklen_t bytes = door_address(&address, dir, id);
        int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | flags, 0), r;

        if (fd >= 0 && bind(fd, (struct sockaddr *)&address, bytes) == 0 &&
            listen(fd, SOMAXCONN) == 0)
                return fd;
        r = -errno;
        if (fd >= 0)
                (void)close(fd);
        return r;
}

/* Connects. Returns a descriptor or -errno. */
static inline int door_knock(const char *dir, const char *id)
{
        struct sockaddr_un address;
        socklen_t bytes = door_address(&address, dir, id);
        int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), r;

        if (fd >= 0 && connect(fd, (struct sockaddr *)&address, bytes) == 0)
                return fd;
        r = -errno;
        if (fd >= 0)
                (void)close(fd);
        return r;
}

/* Knocks, and takes what is said, without its newline. Returns 0, or -errno: -ECONNRESET when the child ended before. */
static inline int door_ask(const char *dir, const char *id, char *line, size_t bytes)
{
        int fd = door_knock(dir, id);
        ssize_t n;

        if (fd < 0)
                return fd;
        n = read(fd, line, bytes - 1);
        (void)close(fd);
        if (n <= 0)
                return -ECONNRESET;
        line[n - (line[n - 1] == '\n')] = '\0';
        return 0;
}
