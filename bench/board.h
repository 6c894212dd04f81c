/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * The board: one page that the benchmark shares with the processes it measures. They write times on it, it writes what they are to do.
 *
 *      benchmark                              who serves
 *      mode = BUSY, wake  ------------------> stamps the clock, again and again; busy = its process id
 *      (asks for the hand-over)
 *      sleeps on served   <------------------ the next one: its first stamp, the one before, served + 1, wake
 *      mode = QUIET       ------------------> sleeps: what is measured next has the machine for itself
 *
 * Nobody but the measured processes and the hub is awake while the baton is between two holders.
 *
 * A board is a memfd, opened by others through /proc/PID/fd. A file would do, but its writeback takes pages away to clean them, and the
 * next stamp would be a page fault.
 */

#include <stdatomic.h>
#include <stdint.h>

#include "base/clock.h"

#define BENCH_BOARD_BYTES 4096

enum bench_mode {
        BENCH_MODE_QUIET = 0,
        BENCH_MODE_BUSY = 1,
        BENCH_MODE_CHECK = 2, /* read all of the state, say in @checked whether it is whole, be quiet */
};

#define BENCH_CHECK_WHOLE 1
#define BENCH_CHECK_BROKEN 2

/* One hand-over, CLOCK_MONOTONIC ns. Bare processes have @last and @first only. */
struct bench_stamps {
        uint64_t last;    /* the predecessor's last stamp in its loop */
        uint64_t capture; /* its capture() was called */
        uint64_t restore; /* the successor's restore() was called */
        uint64_t serve;   /* its serve() was called */
        uint64_t first;   /* its first stamp in its loop */
};

struct bench_board {
        _Atomic uint32_t mode;    /* W benchmark; futex of bare processes */
        _Atomic uint32_t served;  /* W who serves: one more for each that began to; futex */
        _Atomic uint32_t busy;    /* W who serves: its process id while it stamps, else 0; futex */
        _Atomic uint32_t checked; /* W who serves: BENCH_CHECK_*; futex */
        int32_t pid;              /* W who serves, before @served */
        uint32_t reason;          /* the same: enum baton_reason */
        struct bench_stamps stamps;
        uint32_t cpu;         /* W benchmark, before anybody starts: 0: anywhere; else 1 + the processor who serves is bound to */
        uint32_t port;        /* the same: whom it connects to, @connections times, when it is the first to serve */
        uint32_t connections; /* passed on from one to the next */
        /* A line that only a predecessor writes: when its capture() was called, in ticks. */
        uint64_t left_ticks __attribute__((aligned(64)));
        /* The last stamp of who serves, where it is not in an arena. */
        _Atomic uint64_t last __attribute__((aligned(64)));
        /* Bare hand-over. */
        _Atomic uint32_t holder __attribute__((aligned(64))); /* CAS by the holder; futex: 1 or 2 */
        _Atomic uint32_t parked __attribute__((aligned(64))); /* W heir: it sleeps on @holder */
        _Atomic uint32_t beat;                                /* W heir: moves while it watches @holder */
        _Atomic uint32_t come __attribute__((aligned(64)));   /* W benchmark: heir, get ready; futex */
        _Atomic uint32_t ready;                               /* W heir: as often as it was; futex */
        _Atomic uint32_t soon;                                /* W benchmark: heir, watch, it comes; futex */
        _Atomic uint32_t away;                                /* W who has handed over: one more when its memory is taken down; futex */
        _Atomic uint32_t go __attribute__((aligned(64)));     /* W benchmark 1, holder 0: hand over, or end */
};

/*
 * A stamp that costs a third of a clock read: where the time went is no reason to take longer. Who wants nanoseconds compares two pairs of ticks and clock, taken
 * a while apart.
 */
static inline uint64_t bench_ticks(void)
{
#if defined(__x86_64__)
        return __builtin_ia32_rdtsc();
#else
        return bt_now_ns();
#endif
}

/* Where the bare processes map a state: at a multiple of 2 MiB, so that huge pages fit as they do into an arena. */
#define BENCH_STATE_ADDR UINT64_C(0x300000000000)

/* Maps the board at @path for who is measured, and binds the caller to its processor. Returns 0 or -errno. */
int bench_board_attach(struct bench_board **ret_board, const char *path);

/* A new one. @ret_path: for others, while this process lives. Returns 0 or -errno. */
#define BENCH_PATH_BYTES 64
int bench_board_create(struct bench_board **ret_board, int *ret_fd, char ret_path[BENCH_PATH_BYTES]);
void bench_board_destroy(struct bench_board *board, int fd);

/* Sets @word and wakes who waits for it. */
void bench_post(_Atomic uint32_t *word, uint32_t value);

/* Sleeps until @word is not @seen any more. 0, or -ETIMEDOUT after @timeout_ns. */
int bench_await(const _Atomic uint32_t *word, uint32_t seen, uint64_t timeout_ns);

/* Who serves: its first stamp. Then whoever waits is woken. @last: the predecessor's last stamp. */
void bench_board_served(struct bench_board *board, uint64_t last, uint64_t first, int32_t pid);
