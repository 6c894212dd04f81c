/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * The muster roll: shared memory with a mark for each of many children (member.c, bare.c), in which a process says when it came, when it served,
 * and whether its state was whole. Times are CLOCK_MONOTONIC ns. As a board (board.h) it is a memfd, opened by others through /proc/PID/fd.
 */

#include <stdatomic.h>
#include <stdint.h>

#include "bench/board.h"

struct bench_mark {
        _Atomic uint32_t served; /* W process: one more for each that serves, after all else */
        int32_t pid;
        uint64_t main_ns;  /* the first line of main() */
        uint64_t serve_ns; /* baton_child_ready() has returned; bare: the same as @main_ns */
        uint32_t reason;   /* enum baton_reason */
        uint32_t broken;   /* 1: its state was there and not what was captured. Never taken back */
        uint64_t state_bytes; /* it was given */
        uint64_t ended_ns;    /* told to end: when; its state is on the disk by then. 0: not yet */
        uint8_t pad[16];
};

struct bench_muster_head {
        _Atomic uint32_t served; /* of all marks together; futex */
        uint32_t count;          /* of marks */
        _Atomic uint32_t gate;    /* 1: who has opened its child waits here before it is ready; futex */
        _Atomic uint32_t waiting; /* there */
        uint8_t pad[48];
};

struct bench_muster {
        struct bench_muster_head *head;
        struct bench_mark *marks;
        uint32_t count;
        int fd; /* -1: not ours */
        char path[BENCH_PATH_BYTES];
};

#define BENCH_MUSTER_NULL                                                                          \
        {                                                                                          \
                .fd = -1                                                                           \
        }

int bench_muster_create(struct bench_muster *ret_muster, uint32_t count);   /* 0 or -errno */
int bench_muster_attach(struct bench_muster *ret_muster, const char *path); /* the same */
void bench_muster_destroy(struct bench_muster *muster);
void bench_muster_served(struct bench_muster *muster, uint32_t mark_idx, uint64_t main_ns,
                         uint64_t serve_ns);

/* Waits while the gate is closed. */
void bench_muster_pass_gate(struct bench_muster *muster);

/* Waits until @count marks in all were made; -ETIMEDOUT or -EINTR. */
int bench_muster_await(const struct bench_muster *muster, uint32_t count);
/* The first mark whose process found a broken state; -1: none. */
int64_t bench_muster_broken(const struct bench_muster *muster);
