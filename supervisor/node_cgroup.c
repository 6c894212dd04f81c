/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `memory` of a node: memory.max of a cgroup v2 of its own, beside that of the hub.
 *
 *      the hub's cgroup, delegated to it      cgroup.subtree_control: +memory
 *        ├── hub                              the hub itself: a cgroup that gives controllers to its children has no processes of its own
 *        └── node-blue                        memory.max; its processes enter it before they execute anything
 *
 * Where that cannot be done (no cgroup v2, no memory controller in it, nothing delegated) the node is there without the limit, and that is said
 * once: nobody should believe in a limit that is not there, and nobody should be without a service for want of one.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/fd.h"
#include "supervisor/hub.h"

#define PATH_BYTES 4096

static int read_file(const char *path, char *text, size_t bytes)
{
        BT_CLEANUP(bt_closep) int fd = open(path, O_RDONLY | O_CLOEXEC);
        ssize_t n = fd < 0 ? -1 : read(fd, text, bytes - 1);

        if (n < 0)
                return -errno;
        text[n] = '\0';
        return 0;
}

static int write_file(const char *dir, const char *name, const char *text)
{
        char path[PATH_BYTES + 64];
        BT_CLEANUP(bt_closep) int fd = -1;

        (void)snprintf(path, sizeof(path), "%s/%s", dir, name);
        fd = open(path, O_WRONLY | O_CLOEXEC);
        if (fd < 0 || write(fd, text, strlen(text)) < 0)
                return -errno;
        return 0;
}

/* The hub's own cgroup in the unified hierarchy: the line "0::/path" of the kernel's list. */
static int own_cgroup(char *path, size_t bytes)
{
        char text[PATH_BYTES], *at, *end;
        int r = read_file("/proc/self/cgroup", text, sizeof(text));

        if (r)
                return r;
        at = !strncmp(text, "0::/", 4) ? text : strstr(text, "\n0::/");
        if (!at)
                return -ENOENT;
        at = strchr(at, '/');
        end = strchrnul(at, '\n');
        while (end > at && end[-1] == '/')
                end--;
        (void)snprintf(path, bytes, "/sys/fs/cgroup%.*s", (int)(end - at), at);
        end = path + strlen(path);
        if (end - path > 4 && !strcmp(end - 4, "/hub")) /* an earlier node has moved us there */
                end[-4] = '\0';
        return access(path, W_OK) < 0 ? -errno : 0;
}

/* Makes the hub's cgroup one that has nodes. */
static int prepare(const char *base)
{
        char path[PATH_BYTES + 32], text[256];
        int r;

        (void)snprintf(path, sizeof(path), "%s/cgroup.controllers", base);
        r = read_file(path, text, sizeof(text));
        if (!r && !strstr(text, "memory"))
                r = -EOPNOTSUPP;
        if (r)
                return r;
        (void)snprintf(path, sizeof(path), "%s/hub", base);
        if (mkdir(path, 0755) < 0 && errno != EEXIST)
                return -errno;
        r = write_file(path, "cgroup.procs", "0");
        return r ? r : write_file(base, "cgroup.subtree_control", "+memory");
}

static int open_cgroup(struct bt_hub_node *node)
{
        char base[PATH_BYTES], dir[PATH_BYTES + BT_NODE_NAME_BYTES + 8], number[24];
        int r = own_cgroup(base, sizeof(base));

        if (!r)
                r = prepare(base);
        if (r)
                return r;
        (void)snprintf(dir, sizeof(dir), "%s/node-%s", base, node->name);
        (void)snprintf(number, sizeof(number), "%" PRIu64, node->spec->memory_max);
        if (mkdir(dir, 0755) < 0 && errno != EEXIST)
                return -errno;
        node->cgroup = strdup(dir);
        r = write_file(dir, "memory.max", number);
        if (r)
                return r;
        (void)strncat(dir, "/cgroup.procs", sizeof(dir) - strlen(dir) - 1);
        node->place.cgroup = open(dir, O_WRONLY | O_CLOEXEC);
        return node->place.cgroup < 0 ? -errno : 0;
}

void bt_hub_node_cgroup_open(struct bt_hub_node *node)
{
        int r = open_cgroup(node);

        if (r)
                bt_hub_say(node->hub,
                           "node %s: its memory is NOT limited: no cgroup v2 with the memory "
                           "controller that this hub may write to (%s)",
                           node->name, strerrordesc_np(-r));
}

/* The directory stays while a process of the node still drains; it is taken up again by the next node of that name. */
void bt_hub_node_cgroup_close(struct bt_hub_node *node)
{
        node->place.cgroup = bt_close(node->place.cgroup);
        if (node->cgroup)
                (void)rmdir(node->cgroup);
        free(node->cgroup);
        node->cgroup = NULL;
}
