/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Time, in nanoseconds. Deadlines are absolute. */

#include <stdint.h>

#define BT_NS_PER_US UINT64_C(1000)
#define BT_NS_PER_MS UINT64_C(1000000)
#define BT_NS_PER_S UINT64_C(1000000000)
#define BT_NS_NEVER UINT64_MAX

uint64_t bt_now_ns(void);  /* CLOCK_MONOTONIC: durations, deadlines */
uint64_t bt_boot_ns(void); /* CLOCK_BOOTTIME: ages that count time asleep */
uint64_t bt_wall_ns(void); /* CLOCK_REALTIME: ages across a reboot, and for people */

/* The kernel's boot id, 16 raw bytes. Returns 0, or -errno where /proc is missing (then @ret_id is all zero). */
int bt_boot_id(uint8_t ret_id[16]);

/* @a + @b, or BT_NS_NEVER when that overflows. */
static inline uint64_t bt_ns_add(uint64_t a, uint64_t b)
{
        return a > BT_NS_NEVER - b ? BT_NS_NEVER : a + b;
}
