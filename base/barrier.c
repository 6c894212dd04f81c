/* SPDX-License-Identifier: Apache-2.0 */
#include "base/barrier.h"

#include <linux/membarrier.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define LAST_RESORT_NS 1000000 /* no store waits in its processor for so long */

static long membarrier(int command)
{
        return syscall(SYS_membarrier, command, 0, 0);
}

bool bt_barrier_init(void)
{
        return membarrier(MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED) == 0;
}

void bt_barrier_heavy(void)
{
        const struct timespec pause = {.tv_nsec = LAST_RESORT_NS};

        atomic_thread_fence(memory_order_seq_cst);
        if (membarrier(MEMBARRIER_CMD_PRIVATE_EXPEDITED)) /* a filter that came later */
                (void)nanosleep(&pause, NULL);
}
