/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Futexes on shared words. Shared, so no FUTEX_PRIVATE_FLAG anywhere.
 *
 * All waits may return early (a signal, a stray wake): callers re-check their condition in a loop.
 */

#include <stdatomic.h>
#include <stdint.h>

#include <baton/types.h>

/* One word to wait on: sleeps only while *@word == @expected. */
struct bt_futex_word {
        const _Atomic uint32_t *word;
        uint32_t expected;
};

/*
 * Sleeps until one of @words is woken or differs, or @deadline_ns (CLOCK_MONOTONIC, absolute; UINT64_MAX: none) has passed.
 * Where the kernel or a seccomp filter has no futex_waitv(2), only the first word wakes and the others are looked at every 10 ms: callers
 * put the one that is in a hurry first.
 *
 * Returns 0 (look again), -ETIMEDOUT, or another -errno.
 */
int bt_futex_wait(const struct bt_futex_word *words, uint32_t count, uint64_t deadline_ns);

/* Wakes all who wait on @word. */
void bt_futex_wake(const _Atomic uint32_t *word);

/* The half of a 64-bit word that holds its low 32 bits: what a futex can wait on. */
static inline const _Atomic uint32_t *bt_futex_low(const _Atomic uint64_t *word)
{
        const char *at = (const char *)word;

        return (const _Atomic uint32_t *)(const void *)(at + (__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__ ? 0 : 4));
}

/* The line of @at will be written soon: it is fetched for that, and nobody waits for it. Touches nothing, whatever @at is. */
static inline void bt_cpu_fetch_to_write(const void *at)
{
#if defined(__x86_64__) || defined(__i386__)
        __asm__ volatile("prefetchw %0" : : "m"(*(const char *)at)); /* the builtin only reads, on a processor that need not have this */
#else
        __builtin_prefetch(at, 1);
#endif
}

static inline void bt_cpu_relax(void)
{
#if defined(__x86_64__) || defined(__i386__)
        __builtin_ia32_pause();
#elif defined(__aarch64__)
        __asm__ volatile("yield");
#endif
}
