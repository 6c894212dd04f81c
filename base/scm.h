/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Descriptors over AF_UNIX SOCK_SEQPACKET sockets (SCM_RIGHTS): one message, its bytes and its descriptors, whole or not at all. */

#include <stddef.h>
#include <sys/types.h>

#define BT_SCM_FDS_MAX 253 /* the kernel's limit for one message */

/* Never blocks, never raises SIGPIPE. @fds are borrowed. Returns 0 or -errno. */
int bt_scm_send(int sock, const void *data, size_t bytes, const int *fds, size_t fd_count);

/*
 * Never blocks. Returns the bytes received (0: the other end closed) or -errno; -EMSGSIZE when bytes or descriptors were cut off, in which
 * case what did arrive is closed. Received descriptors are O_CLOEXEC and the caller's.
 */
ssize_t bt_scm_recv(int sock, void *data, size_t bytes, int *ret_fds, size_t fds_max,
                    size_t *ret_fd_count);

/* The same without descriptors, from a socket with SO_PASSCRED; @ret_pid: who sent it, as the kernel says. */
ssize_t bt_scm_recv_from(int sock, void *data, size_t bytes, pid_t *ret_pid);

/* A connected pair, O_CLOEXEC and non-blocking. Returns 0 or -errno. */
int bt_scm_pair(int ret_ends[2]);
