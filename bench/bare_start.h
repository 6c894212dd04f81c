/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* The floor of every start: vfork and exec of `bench-bare mark`, up to the first line of its main(). */

#include <stdint.h>

#include "bench/muster.h"
#include "bench/process.h"

struct bench_bare_start {
        struct bench_muster muster;
        struct bench_process *processes; /* one a mark */
        uint32_t count;
        char program[4096];
};

#define BENCH_BARE_NULL                                                                            \
        {                                                                                          \
                .muster = BENCH_MUSTER_NULL                                                        \
        }

int bench_bare_open(struct bench_bare_start *bare, uint32_t count); /* 0 or -errno */
/* Starts number @idx and waits for its mark. @ret_ns: from before vfork to its first line. */
int bench_bare_start(struct bench_bare_start *bare, uint32_t idx, uint64_t *ret_ns);
/* Kills number @idx, sees its end by pidfd, starts it again. @ret_ns: from before the kill. */
int bench_bare_restart(struct bench_bare_start *bare, uint32_t idx, uint64_t *ret_ns);
/* Starts all, one after the other, and waits for the last mark. @ret_ns: of all of that. */
int bench_bare_start_all(struct bench_bare_start *bare, uint64_t *ret_ns);
/* The same by fork() of this process, without exec: what a zygote could do. */
int bench_bare_fork_all(struct bench_bare_start *bare, uint64_t *ret_ns);
/* Each of those is replaced: another one is forked, and the old one is killed; all ends are seen and reaped. @ret_ns: of all of that. */
int bench_bare_replace_all(struct bench_bare_start *bare, uint64_t *ret_ns);
void bench_bare_end(struct bench_bare_start *bare); /* kills all */
void bench_bare_close(struct bench_bare_start *bare);
