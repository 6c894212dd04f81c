/* SPDX-License-Identifier: Apache-2.0 */
/*
 * See the header. Which mappings are hidden is read from /proc/self/maps before each fork: the hub's shared memory comes from four places (its memfds,
 * the rings, LMDB's two files), and a list kept by hand in each of them would be incomplete the day a fifth is added. It costs a read of the
 * file, which is little beside the fork that follows. The marks stay: what is hidden once is hidden from every fork of the program, which must
 * not inherit it either.
 */
#include "supervisor/function.h"

#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdio_ext.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/check.h"

#define STDIO_FDS 3

int bt_binary_function(struct bt_binary **ret_binary, const struct bt_function *function, const char *name)
{
        char path[BT_CTL_PATH_BYTES];
        int r;

        (void)snprintf(path, sizeof(path), "function:%s", name);
        r = bt_binary_new(ret_binary, path, -1, 0);
        if (!r)
                (*ret_binary)->function = function;
        return r;
}

bool bt_function_same(const struct bt_function *a, const struct bt_function *b)
{
        return a == b || (a && b && a->ops == b->ops && a->main == b->main && a->ctx == b->ctx);
}

/* ---- hiding ---- */

static const char *field_next(const char *at)
{
        at += strcspn(at, " ");
        return at + strspn(at, " ");
}

/* "start-end perms offset dev inode   path": true when it is shared and the hub's. */
static bool line_is_ours(const char *line, const char *state_dir, uintptr_t *ret_start, uintptr_t *ret_end)
{
        const char *perms = field_next(line), *path = perms;
        size_t bytes = state_dir ? strlen(state_dir) : 0;
        char *at;

        *ret_start = (uintptr_t)strtoull(line, &at, 16);
        if (*at != '-')
                return false;
        *ret_end = (uintptr_t)strtoull(at + 1, &at, 16);
        if (*at != ' ' || strlen(perms) < 4 || perms[3] != 's')
                return false;
        for (int i = 0; i < 4; i++)
                path = field_next(path);
        return !strncmp(path, "/memfd:baton", strlen("/memfd:baton")) || !strncmp(path, "anon_inode:[io_uring]", strlen("anon_inode:[io_uring]")) ||
               (bytes && !strncmp(path, state_dir, bytes) && path[bytes] == '/');
}

int bt_function_hide(const char *state_dir)
{
        FILE *maps = fopen("/proc/self/maps", "re");
        char *line = NULL;
        size_t room = 0;
        int r = 0;

        if (!maps)
                return -errno;
        while (!r && getline(&line, &room, maps) > 0) {
                uintptr_t start = 0, end = 0;

                if (!line_is_ours(line, state_dir, &start, &end))
                        continue;
                if (madvise((void *)start, end - start, MADV_DONTFORK) < 0) /* NOLINT(performance-no-int-to-ptr): read from a text */
                        r = -errno;
        }
        free(line);
        (void)fclose(maps);
        return r;
}

/* ---- the forked side ---- */

/* Everything but what the start put at the low numbers. */
static int close_others(int last)
{
        return syscall(SYS_close_range, (unsigned)last + 1, ~0u, 0u) < 0 ? -errno : 0;
}

static int run_main(const struct bt_function *function, struct baton_child *child)
{
        return function->main ? function->main(child, function->ctx) : baton_child_run(child);
}

int bt_function_run(void *call_of)
{
        const struct bt_function_call *call = call_of;
        const struct baton_child_place place = {
                .size = sizeof(place),
                .link_fd = call->link_fd,
                .listen_first = STDIO_FDS,
                .listen_count = call->socket_count,
                .listen_names = call->socket_names,
        };
        struct baton_child *child = NULL;
        int r;

        /* What the program had written and not flushed yet is its own to flush. */
        __fpurge(stdout);
        __fpurge(stderr);
        (void)prctl(PR_SET_NAME, call->id);
        call->hub->registry.fd = -1; /* that number is another file by now */
        bt_registry_close(&call->hub->registry);
        r = close_others(call->last_fd);
        if (!r)
                r = baton_child_open_at(&child, call->function->ops, call->function->ctx, &place);
        if (!r)
                r = run_main(call->function, child);
        if (r < 0)
                (void)fprintf(stderr, "%s: %s\n", call->id, baton_strerror(r));
        child = baton_child_close(child);
        (void)fflush(stdout);
        (void)fflush(stderr);
        return r < 0 ? 1 : r;
}
