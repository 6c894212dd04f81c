/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Listening sockets: opened once by the hub, given to every process that names them, and never closed while the hub lives. So no connection is
 * refused while a child is replaced, restarted or down: it waits in the backlog (COLD-11).
 */
#include "supervisor/hub.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/fd.h"
#include "supervisor/carry.h"

#define ADDRESS_WAIT_NS BT_NS_PER_S
#define ADDRESS_PAUSE_NS (2 * BT_NS_PER_MS)

/* A path left behind by a dead server is removed; one that somebody answers on is not ours to take. */
static int unix_clear(const struct sockaddr *addr, socklen_t bytes, int type)
{
        const struct sockaddr_un *un = (const struct sockaddr_un *)(const void *)addr;
        struct stat st;
        int fd, r = 0;

        if (!un->sun_path[0] || lstat(un->sun_path, &st) < 0)
                return 0;
        if (!S_ISSOCK(st.st_mode))
                return -EEXIST;
        fd = socket(AF_UNIX, type | SOCK_CLOEXEC, 0);
        if (fd < 0)
                return -errno;
        if (connect(fd, addr, bytes) == 0)
                r = -EADDRINUSE;
        else if (unlink(un->sun_path) < 0)
                r = -errno;
        (void)bt_close(fd);
        return r;
}

static int socket_open(const struct bt_plan_socket *spec, int *ret_fd)
{
        const struct sockaddr *addr = (const struct sockaddr *)(const void *)spec->addr;
        BT_CLEANUP(bt_closep) int fd = -1;
        int on = 1;

        if (addr->sa_family == AF_UNIX) {
                int r = unix_clear(addr, spec->addr_bytes, (int)spec->type);

                if (r)
                        return r;
        }
        fd = socket(addr->sa_family, (int)spec->type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        if (fd < 0)
                return -errno;
        if (addr->sa_family != AF_UNIX && setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) < 0)
                return -errno;
        if (spec->flags & BT_PLAN_SOCKET_REUSEPORT && setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof(on)) < 0)
                return -errno;
        if (bind(fd, addr, spec->addr_bytes) < 0)
                return -errno;
        if (addr->sa_family == AF_UNIX && spec->mode &&
            chmod(((const struct sockaddr_un *)(const void *)addr)->sun_path, spec->mode) < 0)
                return -errno;
        if (spec->type != SOCK_DGRAM && listen(fd, spec->backlog ? (int)spec->backlog : SOMAXCONN) < 0)
                return -errno;
        *ret_fd = BT_STEAL_FD(fd);
        return 0;
}

/* A process of a hub that was killed may be dying just now, with its descriptors still open: the address is free a moment later. */
static int socket_open_soon(const struct bt_plan_socket *spec, int *ret_fd)
{
        const uint64_t deadline = bt_ns_add(bt_now_ns(), ADDRESS_WAIT_NS);
        const struct timespec pause = {.tv_nsec = (long)ADDRESS_PAUSE_NS};
        int r;

        while ((r = socket_open(spec, ret_fd)) == -EADDRINUSE && bt_now_ns() < deadline)
                (void)nanosleep(&pause, NULL);
        return r;
}

int bt_hub_open_sockets(struct bt_hub *hub)
{
        for (uint32_t i = 0; i < hub->plan.plan->socket_count; i++) {
                const struct bt_plan_socket *spec = &hub->plan.sockets[i];
                int r;

                hub->sockets[i] = bt_carry_socket(hub, i);
                if (hub->sockets[i] < 0)
                        hub->sockets[i] = bt_hub_found_socket(hub, spec);
                if (hub->sockets[i] >= 0)
                        continue;
                r = socket_open_soon(spec, &hub->sockets[i]);
                if (r) {
                        bt_hub_say(hub, "cannot listen on socket '%s' (%s): %s", bt_plan_string(&hub->plan, spec->name),
                                   bt_plan_string(&hub->plan, spec->text), strerrordesc_np(-r));
                        return r;
                }
        }
        return 0;
}

void bt_hub_close_sockets(struct bt_hub *hub)
{
        for (uint32_t i = 0; i < hub->plan.plan->socket_count; i++) {
                const struct sockaddr_un *un = (const struct sockaddr_un *)(const void *)hub->plan.sockets[i].addr;

                if (hub->sockets[i] >= 0 && un->sun_family == AF_UNIX && un->sun_path[0])
                        (void)unlink(un->sun_path);
                hub->sockets[i] = bt_close(hub->sockets[i]);
        }
}

/* @path and its parents; the last one is ours alone. */
int bt_hub_make_dir(const char *path)
{
        char part[4096];
        size_t bytes = strlen(path);
        struct stat st;

        if (bytes >= sizeof(part))
                return -ENAMETOOLONG;
        for (size_t i = 1; i <= bytes; i++) {
                if (path[i] != '/' && path[i] != '\0')
                        continue;
                memcpy(part, path, i);
                part[i] = '\0';
                if (mkdir(part, 0700) < 0 && errno != EEXIST)
                        return -errno;
        }
        if (stat(path, &st) < 0)
                return -errno;
        if (st.st_uid != geteuid())
                return -EPERM; /* somebody else's folder: what we put there they could replace */
        return st.st_mode & 077 && chmod(path, 0700) < 0 ? -errno : 0;
}
