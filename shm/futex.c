/* SPDX-License-Identifier: Apache-2.0 */
#include "shm/futex.h"

#include <errno.h>
#include <limits.h>
#include <linux/futex.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "base/check.h"
#include "base/clock.h"

#define FUTEX_WORDS_MAX 4
#define FUTEX_LOOK_NS (10 * BT_NS_PER_MS) /* see the header: only without futex_waitv(2) */

static struct timespec futex_timespec(uint64_t ns)
{
        struct timespec ts = {
                .tv_sec = (time_t)(ns / BT_NS_PER_S),
                .tv_nsec = (long)(ns % BT_NS_PER_S),
        };

        return ts;
}

/* 0 and these two mean "look again". */
static int futex_result(long r)
{
        if (r >= 0 || errno == EAGAIN || errno == EINTR)
                return 0;
        return -errno;
}

/* FUTEX_WAIT_BITSET, because its timeout is absolute. */
static int futex_wait_one(const struct bt_futex_word *word, uint64_t deadline_ns)
{
        struct timespec ts = futex_timespec(deadline_ns);

        return futex_result(syscall(SYS_futex, word->word, FUTEX_WAIT_BITSET, word->expected,
                                    deadline_ns == BT_NS_NEVER ? NULL : &ts, NULL,
                                    FUTEX_BITSET_MATCH_ANY));
}

static int futex_wait_many(const struct bt_futex_word *words, uint32_t count, uint64_t deadline_ns)
{
        struct futex_waitv waiters[FUTEX_WORDS_MAX] = {{0}};
        struct timespec ts = futex_timespec(deadline_ns);

        for (uint32_t i = 0; i < count; i++) {
                waiters[i].uaddr = (uint64_t)(uintptr_t)words[i].word;
                waiters[i].val = words[i].expected;
                waiters[i].flags = FUTEX_32;
        }
        return futex_result(syscall(SYS_futex_waitv, waiters, count, 0,
                                    deadline_ns == BT_NS_NEVER ? NULL : &ts, CLOCK_MONOTONIC));
}

int bt_futex_wait(const struct bt_futex_word *words, uint32_t count, uint64_t deadline_ns)
{
        static _Atomic int lacks_waitv;
        uint64_t look_ns;
        int r;

        bt_assert(count > 0 && count <= FUTEX_WORDS_MAX);
        if (count == 1)
                return futex_wait_one(words, deadline_ns);

        if (!atomic_load_explicit(&lacks_waitv, memory_order_relaxed)) {
                r = futex_wait_many(words, count, deadline_ns);
                if (r != -ENOSYS && r != -EPERM)
                        return r;
                atomic_store_explicit(&lacks_waitv, 1, memory_order_relaxed);
        }

        look_ns = bt_ns_add(bt_now_ns(), FUTEX_LOOK_NS);
        r = futex_wait_one(words, look_ns < deadline_ns ? look_ns : deadline_ns);
        return r == -ETIMEDOUT && look_ns < deadline_ns ? 0 : r;
}

void bt_futex_wake(const _Atomic uint32_t *word)
{
        (void)syscall(SYS_futex, word, FUTEX_WAKE, INT_MAX, NULL, NULL, 0);
}
