/* SPDX-License-Identifier: Apache-2.0 */
#include "base/scm.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include "base/check.h"
#include "base/fd.h"

union scm_room {
        struct cmsghdr align;
        char bytes[CMSG_SPACE(BT_SCM_FDS_MAX * sizeof(int))];
};

int bt_scm_send(int sock, const void *data, size_t bytes, const int *fds, size_t fd_count)
{
        union scm_room room;
        struct iovec iov = {.iov_base = (void *)data, .iov_len = bytes};
        struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};
        ssize_t n;

        bt_assert(fd_count <= BT_SCM_FDS_MAX && bytes > 0);
        if (fd_count) {
                struct cmsghdr *cmsg = &room.align;

                msg.msg_control = room.bytes;
                msg.msg_controllen = CMSG_SPACE(fd_count * sizeof(int));
                memset(room.bytes, 0, msg.msg_controllen);
                cmsg->cmsg_level = SOL_SOCKET;
                cmsg->cmsg_type = SCM_RIGHTS;
                cmsg->cmsg_len = CMSG_LEN(fd_count * sizeof(int));
                memcpy(CMSG_DATA(cmsg), fds, fd_count * sizeof(int));
        }
        do
                n = sendmsg(sock, &msg, MSG_DONTWAIT | MSG_NOSIGNAL);
        while (n < 0 && errno == EINTR);
        return n < 0 ? -errno : 0;
}

/* Collects the descriptors of @msg; returns how many. More than @max cannot come: the room is no larger. */
static size_t scm_take(struct msghdr *msg, int *fds, size_t max)
{
        size_t count = 0;

        for (struct cmsghdr *c = CMSG_FIRSTHDR(msg); c; c = CMSG_NXTHDR(msg, c)) {
                size_t here;

                if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
                        continue;
                here = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
                bt_assert(count + here <= max);
                memcpy(fds + count, CMSG_DATA(c), here * sizeof(int));
                count += here;
        }
        return count;
}

ssize_t bt_scm_recv(int sock, void *data, size_t bytes, int *ret_fds, size_t fds_max,
                    size_t *ret_fd_count)
{
        union scm_room room;
        int fds[BT_SCM_FDS_MAX];
        struct iovec iov = {.iov_base = data, .iov_len = bytes};
        struct msghdr msg = {
                .msg_iov = &iov,
                .msg_iovlen = 1,
                .msg_control = room.bytes,
                .msg_controllen = sizeof(room.bytes),
        };
        size_t count;
        ssize_t n;

        do
                n = recvmsg(sock, &msg, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
        while (n < 0 && errno == EINTR);
        if (n < 0)
                return -errno;

        count = scm_take(&msg, fds, BT_SCM_FDS_MAX);
        if (msg.msg_flags & (MSG_TRUNC | MSG_CTRUNC) || count > fds_max) {
                for (size_t i = 0; i < count; i++)
                        (void)bt_close(fds[i]);
                return -EMSGSIZE;
        }
        if (count)
                memcpy(ret_fds, fds, count * sizeof(int));
        *ret_fd_count = count;
        return n;
}

ssize_t bt_scm_recv_from(int sock, void *data, size_t bytes, pid_t *ret_pid)
{
        union scm_room room;
        struct iovec iov = {.iov_base = data, .iov_len = bytes};
        struct msghdr msg = {
                .msg_iov = &iov,
                .msg_iovlen = 1,
                .msg_control = room.bytes,
                .msg_controllen = sizeof(room.bytes),
        };
        int fds[BT_SCM_FDS_MAX];
        struct ucred cred = {0};
        size_t count;
        ssize_t n;

        do
                n = recvmsg(sock, &msg, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
        while (n < 0 && errno == EINTR);
        if (n < 0)
                return -errno;
        count = scm_take(&msg, fds, BT_SCM_FDS_MAX); /* nobody asked for any */
        for (size_t i = 0; i < count; i++)
                (void)bt_close(fds[i]);
        for (struct cmsghdr *c = CMSG_FIRSTHDR(&msg); c; c = CMSG_NXTHDR(&msg, c)) {
                if (c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_CREDENTIALS && c->cmsg_len >= CMSG_LEN(sizeof(cred)))
                        memcpy(&cred, CMSG_DATA(c), sizeof(cred));
        }
        *ret_pid = cred.pid;
        return n;
}

int bt_scm_pair(int ret_ends[2])
{
        if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ret_ends) < 0)
                return -errno;
        return 0;
}
