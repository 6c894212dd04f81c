/* SPDX-License-Identifier: Apache-2.0 */
/* Processes that somebody else started: reaching them, and knowing them again. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fd.h"
#include "supervisor/proc/proc.h"

int bt_proc_open(pid_t pid)
{
        long fd = syscall(SYS_pidfd_open, pid, 0);

        return fd < 0 ? -errno : (int)fd;
}

int bt_proc_getfd(int pidfd, int fd)
{
        long copy = syscall(SYS_pidfd_getfd, pidfd, fd, 0);

        return copy < 0 ? -errno : (int)copy;
}

int bt_proc_exe(pid_t pid)
{
        char path[64];
        int fd;

        (void)snprintf(path, sizeof(path), "/proc/%d/exe", (int)pid);
        fd = open(path, O_PATH | O_CLOEXEC);
        return fd < 0 ? -errno : fd;
}

/* Field 22 of /proc/PID/stat. The second field is the program's name in parentheses and may hold anything, so we begin after the last one. */
uint64_t bt_proc_started(pid_t pid)
{
        char text[1024];
        char path[64];
        char *at;
        ssize_t n;
        int fd;

        (void)snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
        fd = open(path, O_RDONLY | O_CLOEXEC);
        if (fd < 0)
                return 0;
        n = read(fd, text, sizeof(text) - 1);
        (void)bt_close(fd);
        if (n <= 0)
                return 0;
        text[n] = '\0';
        at = strrchr(text, ')');
        for (int field = 2; at && field < 22; field++) {
                at = strchr(at, ' ');
                if (at)
                        at++;
        }
        return at ? strtoull(at, NULL, 10) : 0;
}

int bt_proc_kill_wait(int pidfd, uint64_t wait_ns)
{
        struct pollfd ended = {.fd = pidfd, .events = POLLIN};
        int r = bt_proc_signal(pidfd, SIGKILL);

        if (r == -ESRCH)
                return 0;
        if (r)
                return r;
        r = poll(&ended, 1, (int)(wait_ns / BT_NS_PER_MS));
        return r < 0 ? -errno : r == 0 ? -ETIMEDOUT : 0;
}
