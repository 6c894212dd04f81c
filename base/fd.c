/* SPDX-License-Identifier: Apache-2.0 */
#include "base/fd.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <unistd.h>

int bt_close(int fd)
{
        if (fd >= 0) {
                int saved = errno;

                /* On Linux the descriptor is gone whatever close() returns: never retry. */
                (void)close(fd);
                errno = saved;
        }
        return -1;
}

void bt_closep(int *fd)
{
        *fd = bt_close(*fd);
}

int bt_fd_nonblock(int fd)
{
        int flags = fcntl(fd, F_GETFL);

        if (flags < 0)
                return -errno;
        if (fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0)
                return -errno;
        return 0;
}

static void close_between(int first, int last)
{
        if (first <= last)
                (void)close_range((unsigned)first, (unsigned)last, 0);
}

void bt_fds_close_but(int one, int other)
{
        int low = one < other ? one : other, high = one < other ? other : one;
        int from = STDERR_FILENO + 1;

        if (low >= from) {
                close_between(from, low - 1);
                from = low + 1;
        }
        if (high >= from) {
                close_between(from, high - 1);
                from = high + 1;
        }
        close_between(from, INT_MAX);
}

int bt_write_all(int fd, const void *data, unsigned long bytes)
{
        const char *at = data;

        while (bytes) {
                ssize_t n = write(fd, at, bytes);

                if (n < 0 && errno == EINTR)
                        continue;
                if (n < 0)
                        return -errno;
                at += n;
                bytes -= (unsigned long)n;
        }
        return 0;
}

int bt_fd_count(void)
{
        DIR *dir = opendir("/proc/self/fd");
        int count = 0;

        if (!dir)
                return -errno;
        /* Each stream belongs to one thread here, so readdir() is safe. NOLINTNEXTLINE(concurrency-mt-unsafe) */
        while (readdir(dir))
                count++;
        (void)closedir(dir);
        return count - 3; /* ".", ".." and the directory's own descriptor */
}
