/* SPDX-License-Identifier: Apache-2.0 */
/* See limits.h. The smallest of all limits decides, and is the one that is named. */
#include "bench/limits.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "base/cleanup.h"

#define FDS_PER_CHILD 5   /* docs/performance.md: pidfd, baton, bell, channel, pipe */
#define FDS_OWN       512 /* and those of sixteen swaps under way */
#define TASKS_OWN     512 /* other processes of this user */
#define KIB_PER_CHILD 1024 /* a small process, its page tables, its segments, and what the kernel has of all that */

struct limit {
        uint32_t children;
        char what[96]; /* "this user may have 20000 descriptors" */
};

/* Root may raise the hard one, too. */
static struct limit by_descriptors(uint32_t wanted)
{
        rlim_t need = (rlim_t)wanted * FDS_PER_CHILD + FDS_OWN;
        struct limit limit = {.children = wanted};
        struct rlimit has;

        if (getrlimit(RLIMIT_NOFILE, &has) < 0 || has.rlim_cur >= need)
                return limit;
        if (setrlimit(RLIMIT_NOFILE, &(struct rlimit){.rlim_cur = need, .rlim_max = has.rlim_max > need ? has.rlim_max : need}) == 0)
                return limit;
        (void)setrlimit(RLIMIT_NOFILE, &(struct rlimit){.rlim_cur = has.rlim_max, .rlim_max = has.rlim_max});
        (void)snprintf(limit.what, sizeof(limit.what), "this user may have %" PRIu64 " descriptors", (uint64_t)has.rlim_max);
        if (has.rlim_max < need)
                limit.children = has.rlim_max > FDS_OWN ? (uint32_t)((has.rlim_max - FDS_OWN) / FDS_PER_CHILD) : 1;
        return limit;
}

/* The number behind @key in @path; UINT64_MAX: there is none. */
static uint64_t number_in(const char *path, const char *key)
{
        FILE *file = fopen(path, "re");
        uint64_t number = UINT64_MAX;
        char line[256];

        if (!file)
                return number;
        while (number == UINT64_MAX && fgets(line, sizeof(line), file)) {
                char *at = line + strlen(key), *end;

                if (strncmp(line, key, strlen(key)) != 0)
                        continue;
                number = strtoull(at, &end, 10);
                if (end == at)
                        number = UINT64_MAX; /* "max" */
        }
        (void)fclose(file);
        return number;
}

/* Of our own cgroup; those above it are not asked. */
static uint64_t cgroup_tasks(void)
{
        char path[512] = "/sys/fs/cgroup", line[400] = "";
        FILE *file = fopen("/proc/self/cgroup", "re");

        while (file && fgets(line, sizeof(line), file)) {
                if (strncmp(line, "0::", 3) == 0)
                        (void)snprintf(path, sizeof(path), "/sys/fs/cgroup%.*s/pids.max", (int)strcspn(line + 3, "\n"), line + 3);
        }
        if (file)
                (void)fclose(file);
        return number_in(path, "");
}

static struct limit by_tasks(uint32_t wanted)
{
        struct rlimit has = {.rlim_cur = RLIM_INFINITY};
        struct limit limit = {.children = wanted};
        uint64_t most[4], least = UINT64_MAX;

        (void)getrlimit(RLIMIT_NPROC, &has);
        most[0] = has.rlim_cur == RLIM_INFINITY ? UINT64_MAX : (uint64_t)has.rlim_cur;
        most[1] = cgroup_tasks();
        most[2] = number_in("/proc/sys/kernel/pid_max", "");
        most[3] = number_in("/proc/sys/kernel/threads-max", "");
        for (size_t i = 0; i < BT_ARRAY_LEN(most); i++)
                least = most[i] < least ? most[i] : least;
        (void)snprintf(limit.what, sizeof(limit.what), "%" PRIu64 " processes are allowed here", least);
        if (least < (uint64_t)wanted + TASKS_OWN)
                limit.children = least > TASKS_OWN ? (uint32_t)(least - TASKS_OWN) : 1;
        return limit;
}

static struct limit by_memory(uint32_t wanted)
{
        uint64_t free_kib = number_in("/proc/meminfo", "MemAvailable:");
        struct limit limit = {.children = wanted};

        if (free_kib == UINT64_MAX)
                return limit;
        (void)snprintf(limit.what, sizeof(limit.what), "%" PRIu64 " MiB of memory are free", free_kib / 1024);
        if (free_kib / KIB_PER_CHILD < wanted)
                limit.children = (uint32_t)(free_kib / KIB_PER_CHILD);
        return limit;
}

uint32_t bench_limits_children(uint32_t wanted, char *ret_why, size_t why_bytes)
{
        const struct limit limits[] = {by_descriptors(wanted), by_tasks(wanted), by_memory(wanted)};
        const struct limit *least = &limits[0];

        for (size_t i = 1; i < BT_ARRAY_LEN(limits); i++)
                least = limits[i].children < least->children ? &limits[i] : least;
        *ret_why = '\0';
        if (least->children < wanted)
                (void)snprintf(ret_why, why_bytes, "%" PRIu32 " of %" PRIu32 ": %s", least->children, wanted, least->what);
        return least->children ? least->children : 1;
}
