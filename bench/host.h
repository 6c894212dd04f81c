/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* The machine a number was measured on, and what it did meanwhile. */

#include <stdint.h>

#include "base/huge.h"

struct bench_host {
        char cpu[96];
        char kernel[96];
        char huge[BT_HUGE_TEXT]; /* pages in shared memory: never, advise, ..; "none": this kernel has none */
        uint32_t cpus;      /* this process may use */
        uint64_t memory;    /* bytes */
        uint64_t available; /* of them, now */
};

void bench_host_read(struct bench_host *ret_host);
double bench_host_load(void); /* of the last minute; 0 when it cannot be read */

/* The clock ticks of all processors since boot, and how many of them a hypervisor gave to others. */
struct bench_ticks {
        uint64_t all;
        uint64_t steal;
};

void bench_ticks_read(struct bench_ticks *ret_ticks);

/* Percent of the time between the two that was stolen. */
double bench_ticks_stolen(const struct bench_ticks *from, const struct bench_ticks *to);

/* "1GiB", "1536B": the largest unit that divides it. */
#define BENCH_SIZE_TEXT 24
const char *bench_size_text(char text[BENCH_SIZE_TEXT], uint64_t bytes);

/* "1KiB", "64MiB", "4096", "4096B" into bytes; returns what follows, or NULL when it is no size. */
const char *bench_size_parse(uint64_t *ret_bytes, const char *text);
