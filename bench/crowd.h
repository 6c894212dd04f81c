/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Many children (member.c) of one real hub: each with a blob of the same size. */

#include <stdint.h>

#include "bench/daemon.h"
#include "bench/muster.h"

struct bench_crowd {
        struct bench_daemon daemon;
        struct bench_muster muster;
        uint32_t count;
        uint64_t state_bytes;
};

#define BENCH_CROWD_NULL                                                                           \
        {                                                                                          \
                .daemon = BENCH_DAEMON_NULL, .muster = BENCH_MUSTER_NULL                           \
        }

/* Each returns 0 or -errno, with a complaint. */
int bench_crowd_open(struct bench_crowd *crowd, uint32_t count, uint64_t state_bytes);
/* The same with nodes: all of them are on blue, go to green when blue leaves, and back when it joins again. */
int bench_crowd_open_nodes(struct bench_crowd *crowd, uint32_t count, uint64_t state_bytes, bool zygote);
/* Forked from a zygote, and all of them swapped side by side. */
int bench_crowd_open_together(struct bench_crowd *crowd, uint32_t count, uint64_t state_bytes);
/* `baton run`, until the last of them serves and the hub knows. @ret_ns: to the last one's service. */
int bench_crowd_start(struct bench_crowd *crowd, uint64_t *ret_ns);
/* All of them, each as it comes to its turn. @ret_ns: from the request to the last commit. */
int bench_crowd_swap(struct bench_crowd *crowd, uint32_t strategy, uint64_t *ret_ns);
/* Hot, all at once, of a crowd that was opened for it. @ret_ns: from when all successors are parked to the service of the last. */
int bench_crowd_swap_parked(struct bench_crowd *crowd, uint64_t *ret_ns);
enum bench_crowd_move {
        BENCH_CROWD_LEAVE, /* blue is drained */
        BENCH_CROWD_JOIN,  /* and added again */
};
/* All of them. @ret_ns: from the first child that begins to move to the last that has; the hub's waiting for more changes, half a second, is
 * before that. */
int bench_crowd_move(struct bench_crowd *crowd, enum bench_crowd_move move, uint64_t *ret_ns);
/* @ret_stored_ns: from the request until the first is told to end, which is after all states are on the disk; @ret_ns: until the hub has ended. */
int bench_crowd_stop(struct bench_crowd *crowd, uint64_t *ret_stored_ns, uint64_t *ret_ns);
/* -EBADMSG when a child was not given its state, or not whole, in its last start. */
int bench_crowd_check_states(const struct bench_crowd *crowd);
void bench_crowd_close(struct bench_crowd *crowd);
