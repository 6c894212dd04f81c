/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * A board on which every process of child_held.c says when its code ran, from the first line of all: a constructor of a library that it links. A file,
 * HELD_BOARD in the environment, mapped by everybody.
 */
#include <stdatomic.h>
#include <stdint.h>
#include <time.h>

#define HELD_PLACES 64

/* CLOCK_MONOTONIC, 0: not yet */
struct held_place {
        _Atomic int32_t pid;
        _Atomic uint64_t library_ns;     /* the library's constructor */
        _Atomic uint64_t constructor_ns; /* the program's */
        _Atomic uint64_t main_ns;
        _Atomic uint64_t serve_ns;
        _Atomic uint64_t last_ns; /* moves as long as it runs in terminate() */
};

struct held_board {
        _Atomic uint32_t count; /* of places that are taken, in the order of the library's constructor */
        struct held_place places[HELD_PLACES];
};

static inline uint64_t held_now(void)
{
        struct timespec ts;

        (void)clock_gettime(CLOCK_MONOTONIC, &ts);
        return (uint64_t)ts.tv_sec * UINT64_C(1000000000) + (uint64_t)ts.tv_nsec;
}

/* The process' own; NULL: there is no board. From the library. */
struct held_place *held_place(void);
