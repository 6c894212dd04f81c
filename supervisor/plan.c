/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Plans: mapped here, checked in plan_check.c, written by the command (supervisor/baton/compile.c) and by programs that have the hub inside (embed_plan.c).
 */
#include "supervisor/plan.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "base/cleanup.h"
#include "supervisor/plan_check.h"

#define PLAN_SEALS (F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE)

/* The size of a memfd that nobody can change any more. */
static int sealed_size(uint64_t *ret_bytes, int fd, const char **ret_error)
{
        int seals = fcntl(fd, F_GET_SEALS);
        struct stat st;

        if (seals < 0 || (seals & PLAN_SEALS) != PLAN_SEALS) {
                *ret_error = "the plan is not a memfd sealed against writing and resizing";
                return -EINVAL;
        }
        if (fstat(fd, &st) < 0)
                return -errno;
        if (st.st_size <= (off_t)sizeof(struct bt_plan) ||
            (uint64_t)st.st_size > BT_PLAN_BYTES_MAX) {
                *ret_error = "the plan is shorter than its head, or longer than 64 MiB";
                return -EINVAL;
        }
        *ret_bytes = (uint64_t)st.st_size;
        return 0;
}

int bt_plan_open(struct bt_plan_view *ret_view, int fd, const char **ret_error)
{
        struct bt_plan_view view = {0};
        const char *error = "the plan cannot be mapped";
        uint64_t bytes = 0;
        void *map;
        int r;

        *ret_error = error;
        r = sealed_size(&bytes, fd, ret_error);
        if (r)
                return r;
        map = mmap(NULL, bytes, PROT_READ, MAP_PRIVATE, fd, 0);
        if (map == MAP_FAILED)
                return -errno;
        view.plan = map;
        r = bt_plan_check(&view, bytes, ret_error);
        if (r) {
                (void)munmap(map, bytes);
                return r;
        }
        *ret_error = NULL;
        *ret_view = view;
        return 0;
}

void bt_plan_close(struct bt_plan_view *view)
{
        if (view->plan)
                (void)munmap((void *)view->plan, view->plan->bytes);
        *view = (struct bt_plan_view){0};
}

const char *bt_plan_string_next(const char *string)
{
        return string + strlen(string) + 1;
}

bool bt_plan_reserved_variable(const char *name, size_t bytes)
{
        static const char *const names[] = {"LISTEN_FDS",    "LISTEN_FDNAMES", "LISTEN_PID",
                                            "NOTIFY_SOCKET", "WATCHDOG_USEC",  "WATCHDOG_PID",
                                            "MAINPID",       "BATON_LINK_FD",  "BATON_DESCRIBE_FD",
                                            "BATON_HELD_FD", "BATON_ZYGOTE_FD", "BATON_CHILD",
                                            "BATON_NODE",    "BATON_MODE"};

        for (size_t i = 0; i < BT_ARRAY_LEN(names); i++)
                if (bytes == strlen(names[i]) && !memcmp(name, names[i], bytes))
                        return true;
        return false;
}
