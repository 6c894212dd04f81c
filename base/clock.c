/* SPDX-License-Identifier: Apache-2.0 */
#include "base/clock.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/check.h"
#include "base/fd.h"

static uint64_t clock_ns(clockid_t id)
{
        struct timespec ts;

        bt_assert(clock_gettime(id, &ts) == 0);
        return (uint64_t)ts.tv_sec * BT_NS_PER_S + (uint64_t)ts.tv_nsec;
}

uint64_t bt_now_ns(void)
{
        return clock_ns(CLOCK_MONOTONIC);
}

uint64_t bt_boot_ns(void)
{
        return clock_ns(CLOCK_BOOTTIME);
}

uint64_t bt_wall_ns(void)
{
        return clock_ns(CLOCK_REALTIME);
}

static int hex_digit(char c)
{
        if (c >= '0' && c <= '9')
                return c - '0';
        if (c >= 'a' && c <= 'f')
                return c - 'a' + 10;
        return -1;
}

static int boot_id_read(uint8_t ret_id[16])
{
        char text[64] = "";
        int fd = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);
        int nibbles = 0;
        int r = 0;

        memset(ret_id, 0, 16);
        if (fd < 0)
                return -errno;
        if (read(fd, text, sizeof(text) - 1) < 0)
                r = -errno;
        (void)bt_close(fd);

        for (const char *at = text; *at && nibbles < 32; at++) {
                int digit = hex_digit(*at);

                if (digit < 0)
                        continue;
                ret_id[nibbles / 2] = (uint8_t)(ret_id[nibbles / 2] << 4 | digit);
                nibbles++;
        }
        return r;
}

int bt_boot_id(uint8_t ret_id[16])
{
        /* Does not change while we live, and a stop asks for it once for each child. */
        static _Thread_local uint8_t known[16];
        static _Thread_local int is_known;
        int r = is_known ? 0 : boot_id_read(known);

        memcpy(ret_id, known, sizeof(known));
        is_known = !r;
        return r;
}
