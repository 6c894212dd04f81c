/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The socket blocks for connect() alone, whose limit is SO_SNDTIMEO: a Unix socket with a full backlog cannot be polled for room. All else
 * polls until the deadline.
 *
 * "The hub has stopped" is its process' exit, by a pidfd that was opened while the connection stood, so the number cannot have become another
 * process. Watching for the socket's path to vanish was dropped: a hub that is killed leaves it behind.
 */
#include "supervisor/baton/ask.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/fd.h"
#include "base/scm.h"

/* Returns 0, BT_ASK_E_TIMED_OUT, or -errno. */
static int wait_for(int fd, uint64_t deadline_ns)
{
        for (;;) {
                struct pollfd poll_fd = {.fd = fd, .events = POLLIN};
                uint64_t now = bt_now_ns();
                uint64_t left_ms = now < deadline_ns
                                           ? (deadline_ns - now + BT_NS_PER_MS - 1) / BT_NS_PER_MS
                                           : 0;
                int n = poll(&poll_fd, 1, left_ms > INT_MAX ? INT_MAX : (int)left_ms);

                if (n > 0)
                        return 0;
                if (n < 0 && errno != EINTR)
                        return -errno;
                if (!n && bt_now_ns() >= deadline_ns)
                        return BT_ASK_E_TIMED_OUT;
        }
}

static int hub_connect(int *ret_fd, const struct sockaddr_un *un, uint64_t timeout_ns)
{
        BT_CLEANUP(bt_closep) int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
        struct timeval limit = {
                .tv_sec = (time_t)(timeout_ns / BT_NS_PER_S),
                .tv_usec = (suseconds_t)(timeout_ns % BT_NS_PER_S / BT_NS_PER_US + 1) % 1000000,
        };

        if (fd < 0)
                return -errno;
        if (setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit)) < 0)
                return -errno;
        if (connect(fd, (const struct sockaddr *)un, sizeof(*un)) < 0)
                return errno == EAGAIN || errno == EINPROGRESS ? BT_ASK_E_TIMED_OUT : -errno;
        *ret_fd = BT_STEAL_FD(fd);
        return 0;
}

int bt_ask_open(struct bt_ask *ret_ask, const char *runtime, const char *hub, uint64_t timeout_ns)
{
        struct sockaddr_un un = {.sun_family = AF_UNIX};
        struct bt_ask ask = BT_ASK_NULL;
        struct ucred peer = {0};
        socklen_t peer_bytes = sizeof(peer);
        int n = snprintf(un.sun_path, sizeof(un.sun_path), "%s/%s/control.sock", runtime, hub);
        int r;

        if (n < 0 || (size_t)n >= sizeof(un.sun_path))
                return -ENAMETOOLONG;
        ask.deadline_ns = bt_ns_add(bt_now_ns(), timeout_ns);
        r = hub_connect(&ask.fd, &un, timeout_ns);
        if (r)
                return r;
        if (!getsockopt(ask.fd, SOL_SOCKET, SO_PEERCRED, &peer, &peer_bytes) && peer.pid > 0) {
                ask.pid = peer.pid;
                ask.pidfd = (int)syscall(SYS_pidfd_open, peer.pid, 0);
        }
        *ret_ask = ask;
        return 0;
}

int bt_ask_send(const struct bt_ask *ask, const struct bt_ctl_request *request, int fd)
{
        return bt_scm_send(ask->fd, request, sizeof(*request), &fd, fd < 0 ? 0 : 1);
}

static bool reply_valid(const struct bt_ctl_reply *reply, ssize_t bytes)
{
        return bytes == (ssize_t)sizeof(*reply) && reply->magic == BT_CTL_MAGIC &&
               reply->version == BT_CTL_VERSION && reply->kind >= BT_CTL_EVENT &&
               reply->kind < _BT_CTL_KIND_N;
}

int bt_ask_reply(const struct bt_ask *ask, struct bt_ctl_reply *ret_reply, int *ret_fd)
{
        size_t fd_count = 0;
        int fd = -1;
        ssize_t n;
        int r;

        do {
                r = wait_for(ask->fd, ask->deadline_ns);
                if (r)
                        return r;
                n = bt_scm_recv(ask->fd, ret_reply, sizeof(*ret_reply), &fd, 1, &fd_count);
        } while (n == -EAGAIN);
        if (!n || n == -ECONNRESET)
                return BT_ASK_E_CLOSED;
        if (n < 0)
                return n == -EMSGSIZE ? BT_ASK_E_NONSENSE : (int)n;
        if (!reply_valid(ret_reply, n)) {
                (void)bt_close(fd);
                return BT_ASK_E_NONSENSE;
        }
        ret_reply->child[sizeof(ret_reply->child) - 1] = 0;
        ret_reply->phase[sizeof(ret_reply->phase) - 1] = 0;
        ret_reply->text[sizeof(ret_reply->text) - 1] = 0;
        *ret_fd = fd;
        return 0;
}

int bt_ask_gone(const struct bt_ask *ask)
{
        return ask->pidfd < 0 ? -ESRCH : wait_for(ask->pidfd, ask->deadline_ns);
}

void bt_ask_close(struct bt_ask *ask)
{
        ask->fd = bt_close(ask->fd);
        ask->pidfd = bt_close(ask->pidfd);
}
