/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where the time goes between fault points, in a tree configured with -DBATON_PROFILE=ON: each point is a stamp of the processor's counter in a ring of the
 * process, which is written to the file that BATON_PROFILE names when the process exits, a line `pid point ticks` each. 8 ns a stamp.
 * bench/profile.sh makes a table of it.
 */
#include "base/check.h"

#ifdef BT_PROFILE

#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"

#define STAMPS 256 /* the last ones */

static struct {
        const char *name;
        uint64_t ticks;
} stamps[STAMPS];
static uint32_t count;

static void write_all(void)
{
        const char *path = getenv("BATON_PROFILE"); /* NOLINT(concurrency-mt-unsafe): at the end */
        int fd = path ? open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600) : -1;
        char line[128];

        for (uint32_t i = count > STAMPS ? count - STAMPS : 0; fd >= 0 && i < count; i++) {
                int bytes = snprintf(line, sizeof(line), "%d %s %llu\n", (int)getpid(), stamps[i % STAMPS].name,
                                     (unsigned long long)stamps[i % STAMPS].ticks);

                (void)!write(fd, line, (size_t)bytes);
        }
}

void bt_point_stamp(const char *name)
{
        uint32_t at = count++;

        if (at == 0)
                (void)atexit(write_all);
        stamps[at % STAMPS].name = name;
#if defined(__x86_64__)
        stamps[at % STAMPS].ticks = __builtin_ia32_rdtsc();
#else
        stamps[at % STAMPS].ticks = bt_now_ns();
#endif
}

#endif
