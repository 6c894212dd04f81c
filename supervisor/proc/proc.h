/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Other process system calls: signals and exits by pidfd. (Descriptors over sockets: base/scm.h.) */

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "supervisor/proc/spawn.h"

/* pidfd_send_signal(). 0, -ESRCH when it is gone, -errno. */
int bt_proc_signal(int pidfd, int signo);

/* How a process ended: si_code (CLD_EXITED, CLD_KILLED, CLD_DUMPED) and si_status. Reaps. 0; -EAGAIN still runs; -errno. Never blocks. */
struct bt_proc_exit {
        int code;
        int status;
};
int bt_proc_reap(int pidfd, struct bt_proc_exit *ret_exit);

/* The same, but waits. */
int bt_proc_wait(int pidfd, struct bt_proc_exit *ret_exit);

/* "exit 3", "signal 9 (Killed)", "signal 11 (Segmentation fault), core dumped" into @text; returns @text. */
const char *bt_proc_exit_text(const struct bt_proc_exit *how, char *text, size_t bytes);

/* ---- processes that somebody else started ---- */

/* A pidfd of @pid, O_CLOEXEC; -ESRCH. */
int bt_proc_open(pid_t pid);

/* A duplicate of descriptor @fd of another process, O_CLOEXEC; -errno. Needs the right to trace it (same user; Yama may forbid). */
int bt_proc_getfd(int pidfd, int fd);

/* The file @pid executes, O_PATH; -errno. */
int bt_proc_exe(pid_t pid);

/* When @pid was started, in clock ticks since boot; 0: gone, or no /proc. With the pid it names one process for ever. */
uint64_t bt_proc_started(pid_t pid);

/* Kills and waits until the end is seen, at most @wait_ns. 0, -ETIMEDOUT, -errno. */
int bt_proc_kill_wait(int pidfd, uint64_t wait_ns);

/* Threads alive in @pid, the dying leader included (by the link count of /proc/PID/task); -errno. */
int bt_proc_threads(pid_t pid);
