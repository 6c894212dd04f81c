/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Other process system calls: signals and exits by pidfd, descriptors over sockets. */

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

/* Threads alive in @pid, the dying leader included (by the link count of /proc/PID/task); -errno. */
int bt_proc_threads(pid_t pid);

/* One message with up to 253 descriptors. Returns 0 or -errno. MSG_DONTWAIT | MSG_NOSIGNAL. */
#define BT_PROC_FDS_MAX 253
int bt_proc_send(int sock, const void *data, size_t bytes, const int *fds, size_t fd_count);

/* Returns bytes received (0: the other end closed) or -errno; -EMSGSIZE when data or descriptors were cut (what came is closed). Descriptors are O_CLOEXEC. */
ssize_t bt_proc_recv(int sock, void *data, size_t bytes, int *ret_fds, size_t fds_max, size_t *ret_fd_count);

/* A connected pair of CLOEXEC, non-blocking AF_UNIX SOCK_SEQPACKET sockets. */
int bt_proc_pair(int ret_ends[2]);
