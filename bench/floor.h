/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * What a hand-over costs at least here and now: the same with bare processes (bare.c), once for each call, so that the caller can measure it in turns
 * with the real thing.
 */

#include <stdint.h>

#include "bench/board.h"
#include "bench/process.h"

struct bench_floor {
        struct bench_board *board;
        int board_fd;
        char board_path[BENCH_PATH_BYTES];
        char program[4096];
        struct bench_process processes[2]; /* hand: both; start: the first is who serves */
        int state_fd;    /* hand: what is mapped beside it; -1: nothing */
        char *copy_from; /* bench_floor_copy() */
        char *copy_to;
        uint64_t copy_bytes;
};

#define BENCH_FLOOR_NULL {.board_fd = -1, .state_fd = -1, .processes = {BENCH_PROCESS_NULL, BENCH_PROCESS_NULL}}

/* Each returns 0 or -errno, with a complaint. */
/* hot: one word handed over, by processes that have @state_bytes of shared memory mapped as a successor has; 0: none. @cpu: as in the board */
int bench_floor_open_hand(struct bench_floor *floor, uint64_t state_bytes, uint32_t cpu);
int bench_floor_open_start(struct bench_floor *floor, uint32_t cpu); /* cold: exit, exit seen by pidfd, vfork and exec */
int bench_floor_hand(struct bench_floor *floor, uint64_t *ret_blackout_ns);
int bench_floor_start(struct bench_floor *floor, uint64_t *ret_blackout_ns);
void bench_floor_close(struct bench_floor *floor);

/* One memcpy of the state's size between two touched buffers: what a blob costs at least on top. */
int bench_floor_open_copy(struct bench_floor *floor, uint64_t bytes);
uint64_t bench_floor_copy(struct bench_floor *floor);
