/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* File descriptors: each has one owner; -1 is "none". */

/* Closes @fd unless it is negative; always returns -1, so `fd = bt_close(fd)` leaves nothing dangling. Keeps errno. */
int bt_close(int fd);

/* For BT_CLEANUP(). */
void bt_closep(int *fd);

/* Sets O_NONBLOCK. Returns 0 or -errno. */
int bt_fd_nonblock(int fd);

/* Closes all descriptors above the first three but these two (-1: none). */
void bt_fds_close_but(int one, int other);

/* Writes all of @bytes, over short writes and EINTR. Returns 0 or -errno. For blocking descriptors. */
int bt_write_all(int fd, const void *data, unsigned long bytes);

/* How many descriptors this process has open (by /proc/self/fd), or -errno. For leak checks. */
int bt_fd_count(void);
