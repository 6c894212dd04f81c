/* SPDX-License-Identifier: Apache-2.0 */
#include "bench/host.h"

#include <inttypes.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>

#include "base/cleanup.h"

static void file_closep(FILE **file)
{
        if (*file)
                (void)fclose(*file);
}

/* The text after "@key" and a colon in @path; "" when there is none. */
static void line_of(char *ret_text, size_t bytes, const char *path, const char *key)
{
        BT_CLEANUP(file_closep) FILE *file = fopen(path, "re");
        char line[256];

        ret_text[0] = '\0';
        while (file && fgets(line, sizeof(line), file)) {
                char *value = strchr(line, ':');

                if (!value || strncmp(line, key, strlen(key)) != 0)
                        continue;
                value += 1 + strspn(value + 1, " \t");
                value[strcspn(value, "\n")] = '\0';
                (void)snprintf(ret_text, bytes, "%s", value);
                return;
        }
}

static uint64_t kib_of(const char *key)
{
        char text[64];

        line_of(text, sizeof(text), "/proc/meminfo", key);
        return strtoull(text, NULL, 10) << 10;
}

void bench_host_read(struct bench_host *ret_host)
{
        struct utsname uts;
        cpu_set_t set;

        memset(ret_host, 0, sizeof(*ret_host));
        line_of(ret_host->cpu, sizeof(ret_host->cpu), "/proc/cpuinfo", "model name");
        if (!ret_host->cpu[0])
                (void)snprintf(ret_host->cpu, sizeof(ret_host->cpu), "unknown");
        if (uname(&uts) == 0)
                (void)snprintf(ret_host->kernel, sizeof(ret_host->kernel), "%.40s %.50s",
                               uts.sysname, uts.release);
        if (sched_getaffinity(0, sizeof(set), &set) == 0)
                ret_host->cpus = (uint32_t)CPU_COUNT(&set);
        if (!*bt_huge_choice(ret_host->huge))
                (void)snprintf(ret_host->huge, sizeof(ret_host->huge), "none");
        ret_host->memory = kib_of("MemTotal");
        ret_host->available = kib_of("MemAvailable");
}

double bench_host_load(void)
{
        double load = 0;

        return getloadavg(&load, 1) == 1 ? load : 0;
}

/* The first line of /proc/stat: cpu user nice system idle iowait irq softirq steal guest guest_nice; guests are in user already. */
void bench_ticks_read(struct bench_ticks *ret_ticks)
{
        BT_CLEANUP(file_closep) FILE *file = fopen("/proc/stat", "re");
        char line[512], *at = line;

        memset(ret_ticks, 0, sizeof(*ret_ticks));
        if (!file || !fgets(line, sizeof(line), file) || strncmp(line, "cpu ", 4) != 0)
                return;
        at += 4;
        for (int field = 0; field < 8; field++) {
                uint64_t ticks = strtoull(at, &at, 10);

                ret_ticks->all += ticks;
                if (field == 7)
                        ret_ticks->steal = ticks;
        }
}

double bench_ticks_stolen(const struct bench_ticks *from, const struct bench_ticks *to)
{
        return to->all > from->all
                       ? 100.0 * (double)(to->steal - from->steal) / (double)(to->all - from->all)
                       : 0;
}

/* ---- sizes ---- */

static const char *const units[] = {"B", "KiB", "MiB", "GiB"};

const char *bench_size_text(char text[BENCH_SIZE_TEXT], uint64_t bytes)
{
        size_t unit = 0;

        while (unit + 1 < BT_ARRAY_LEN(units) && bytes && bytes % 1024 == 0) {
                bytes /= 1024;
                unit++;
        }
        (void)snprintf(text, BENCH_SIZE_TEXT, "%" PRIu64 "%s", bytes, units[unit]);
        return text;
}

const char *bench_size_parse(uint64_t *ret_bytes, const char *text)
{
        char *end;
        uint64_t number = strtoull(text, &end, 10);

        if (end == text || *text < '0' || *text > '9' || number >= UINT64_C(1) << 30)
                return NULL;
        for (size_t unit = BT_ARRAY_LEN(units); unit-- > 0;) {
                size_t bytes = strlen(units[unit]);

                if (strncmp(end, units[unit], bytes) == 0) {
                        *ret_bytes = number << (10 * unit);
                        return end + bytes;
                }
        }
        *ret_bytes = number;
        return end;
}
