/* SPDX-License-Identifier: Apache-2.0 */
/* The benchmark's side of the muster roll: waiting and looking. */
#include <errno.h>
#include <time.h>

#include "base/clock.h"
#include "bench/daemon.h"
#include "bench/muster.h"

int bench_muster_await(const struct bench_muster *muster, uint32_t count)
{
        /* Times are in the marks. To be woken for each of a thousand would take a processor from those that are measured. */
        const struct timespec pause = {.tv_nsec = BT_NS_PER_MS};
        uint64_t deadline = bt_now_ns() + BENCH_WAIT_NS;

        while (atomic_load(&muster->head->served) < count) {
                if (bench_interrupted())
                        return -EINTR;
                if (bt_now_ns() >= deadline)
                        return -ETIMEDOUT;
                (void)nanosleep(&pause, NULL);
        }
        return 0;
}

int64_t bench_muster_broken(const struct bench_muster *muster)
{
        for (uint32_t i = 0; i < muster->count; i++) {
                if (muster->marks[i].broken)
                        return i;
        }
        return -1;
}
