/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* A real hub (daemon.h) with one child, bench-probe. */

#include <stdbool.h>
#include <stdint.h>

#include <baton/types.h>

#include "bench/board.h"
#include "bench/daemon.h"

struct bench_hub {
        struct bench_daemon daemon;
        struct bench_board *board;
        int board_fd;
        char board_path[BENCH_PATH_BYTES];
        int wake[2];
        char wake_path[BENCH_PATH_BYTES];
        int listener; /* the child's connections come in here; -1: it has none */
        int *peers;   /* our ends of them */
        uint32_t peer_count;
        bool spare; /* a swap is asked for when the child's spare is ready */
};

#define BENCH_HUB_NULL                                                                             \
        {                                                                                          \
                .daemon = BENCH_DAEMON_NULL, .board_fd = -1, .wake = { -1, -1 }, .listener = -1    \
        }

/* One swap. */
struct bench_swap {
        struct bench_stamps stamps;
        uint64_t pause_ns; /* what the hub says */
        uint64_t total_ns; /* the same: from the request to the commit */
        uint64_t asked_ns; /* from our sending of the request to its answer */
};

/* What is swapped. */
struct bench_subject {
        enum baton_state_form form;
        uint64_t bytes;
        uint32_t connections; /* live ones, over TCP, each in the child's epoll */
        uint32_t cpu;         /* as in the board */
        bool spare;           /* spare: true */
        bool unheld;          /* hold: false */
};

/* Each returns 0 or -errno, with a complaint. The child serves, its state is filled. */
int bench_hub_start(struct bench_hub *hub, const struct bench_subject *subject);

/* Has the child stamp, swaps it, has it be quiet; returns when the predecessor is gone. @hot: or cold. */
int bench_hub_swap(struct bench_hub *hub, int hot, struct bench_swap *ret_swap);

/* The child reads all of its state, and a byte from each connection. */
int bench_hub_check(struct bench_hub *hub);

/* Ends the child and the hub, removes the folder. The state is dropped: it would go to the disk. */
void bench_hub_stop(struct bench_hub *hub);
