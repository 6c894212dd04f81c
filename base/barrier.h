/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * A full barrier in all threads of this process at once, paid by who asks for it (membarrier(2), private expedited).
 *
 * For pairs of a store and a look at the other's word of which one side is taken often and the other one seldom: the often side keeps program order for the
 * compiler only (bt_barrier_light()), the seldom side calls bt_barrier_heavy() between its store and its look.
 */

#include <stdatomic.h>
#include <stdbool.h>

/* Registers the process, as often as one likes. False: the kernel or a filter has none; both sides then need accesses that are sequentially consistent. */
bool bt_barrier_init(void);

/* The seldom side. After bt_barrier_init() was true. */
void bt_barrier_heavy(void);

/* The often side. */
static inline void bt_barrier_light(void)
{
        atomic_signal_fence(memory_order_seq_cst);
}
