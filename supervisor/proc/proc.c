/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Signals and exits, by pidfd.
 *
 * A pid can be reused by the kernel as soon as its process was reaped; a pidfd names one process for ever. So nothing here takes a pid where a pidfd
 * will do, and a signal can never hit a stranger. Reaping goes through waitid(P_PIDFD), one child at a time: there is no SIGCHLD handler,
 * and children of a library that forks for itself are left to it.
 *
 * Order to keep in mind: the pidfd becomes readable when the process has become a zombie, that is after its memory was torn down. A robust futex
 * is marked before. Who needs the earlier proof counts threads by bt_proc_threads().
 */
#include "supervisor/proc/proc.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

int bt_proc_signal(int pidfd, int signo)
{
        /* glibc 2.36 has a wrapper; the number is used so that an older libc will do. */
        return syscall(SYS_pidfd_send_signal, pidfd, signo, NULL, 0) < 0 ? -errno : 0;
}

static int proc_wait(int pidfd, int options, struct bt_proc_exit *ret_exit)
{
        siginfo_t info;
        int r;

        /* With WNOHANG and nothing to tell, si_pid stays 0. */
        memset(&info, 0, sizeof(info));
        do {
                r = waitid(P_PIDFD, (id_t)pidfd, &info, WEXITED | options);
        } while (r < 0 && errno == EINTR);
        if (r < 0)
                return -errno;
        if (!info.si_pid)
                return -EAGAIN;
        *ret_exit = (struct bt_proc_exit){.code = info.si_code, .status = info.si_status};
        return 0;
}

int bt_proc_reap(int pidfd, struct bt_proc_exit *ret_exit)
{
        return proc_wait(pidfd, WNOHANG, ret_exit);
}

int bt_proc_wait(int pidfd, struct bt_proc_exit *ret_exit)
{
        return proc_wait(pidfd, 0, ret_exit);
}

const char *bt_proc_exit_text(const struct bt_proc_exit *how, char *text, size_t bytes)
{
        const char *what;

        if (how->code == CLD_EXITED) {
                (void)snprintf(text, bytes, "exit %d", how->status);
                return text;
        }
        if (how->code != CLD_KILLED && how->code != CLD_DUMPED) {
                (void)snprintf(text, bytes, "unknown end (code %d, status %d)", how->code, how->status);
                return text;
        }
        what = sigdescr_np(how->status); /* NULL for real-time signals */
        (void)snprintf(text, bytes, "signal %d%s%s%s%s", how->status, what ? " (" : "",
                       what ? what : "", what ? ")" : "",
                       how->code == CLD_DUMPED ? ", core dumped" : "");
        return text;
}

int bt_proc_threads(pid_t pid)
{
        char path[64];
        struct stat st;

        /* The directory has a link for itself, one from its parent, and one for each thread that was not reaped yet. */
        (void)snprintf(path, sizeof(path), "/proc/%d/task", (int)pid);
        if (stat(path, &st) < 0)
                return errno == ENOENT ? -ESRCH : -errno;
        return (int)st.st_nlink - 2;
}
