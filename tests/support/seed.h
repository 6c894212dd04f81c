/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Random numbers for tests, which can be played again: each test that uses them prints BATON_SEED=..., and takes it from the environment.
 *
 *      struct seed seed = seed_new();          every cmocka test of its own
 *      seed_below(&seed, 6)                    0 .. 5
 *
 * The generator is splitmix64: one word of state, all seeds are good.
 */

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>

struct seed {
        uint64_t state;
};

static inline uint64_t seed_next(struct seed *seed)
{
        uint64_t z = (seed->state += UINT64_C(0x9e3779b97f4a7c15));

        z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
        z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
        return z ^ z >> 31;
}

static inline uint64_t seed_below(struct seed *seed, uint64_t n)
{
        return seed_next(seed) % n;
}

static inline struct seed seed_new(void)
{
        const char *text = getenv("BATON_SEED");
        struct seed seed = {.state = 1};

        if (text)
                seed.state = strtoull(text, NULL, 0);
        else
                (void)!getrandom(&seed.state, sizeof(seed.state), 0);
        printf("BATON_SEED=%llu\n", (unsigned long long)seed.state);
        (void)fflush(stdout);
        return seed;
}

/* More rounds where somebody has asked for them. */
static inline uint64_t seed_rounds(uint64_t rounds)
{
        return getenv("BATON_LONG") ? rounds * 20 : rounds;
}
