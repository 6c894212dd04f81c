/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The floors: what the machine charges for the same thing when nothing is managed. A program that links no libbaton.
 *
 *      bench-bare hand BOARD ME     one of two processes, 1 and 2, that hand one word to and fro
 *      bench-bare start BOARD       a process that serves, and ends when it is told to
 *      bench-bare mark MUSTER IDX   a process that says on the muster roll that it is there, and sleeps
 *
 * The hand-over has the spin policy of the library: the heir sleeps until it hears "soon", watches the word for at most 200 us, then sleeps on
 * it and says so; the holder makes a system call only for a sleeper. Both kinds stamp the clock just as bench-probe does.
 */
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "base/clock.h"
#include "bench/board.h"
#include "bench/muster.h"
#include "shm/futex.h"

#define SPIN_NS          (200 * BT_NS_PER_US)
#define SPIN_CLOCK_EVERY 32

static uint64_t spin_ns;

/* ---- serving ---- */

static void begin(struct bench_board *board)
{
        uint64_t last = atomic_load_explicit(&board->last, memory_order_relaxed);
        uint64_t now = bt_now_ns();

        atomic_store_explicit(&board->last, now, memory_order_relaxed);
        bench_board_served(board, last, now, (int32_t)getpid());
}

/* Stamps when it is to, sleeps when it is not, until it is told to hand over. */
static void serve(struct bench_board *board)
{
        for (;;) {
                if (atomic_load(&board->mode) == BENCH_MODE_QUIET) {
                        atomic_store(&board->busy, 0);
                        (void)bench_await(&board->mode, BENCH_MODE_QUIET, BT_NS_NEVER);
                }
                if (!atomic_load_explicit(&board->busy, memory_order_relaxed))
                        bench_post(&board->busy, (uint32_t)getpid());
                atomic_store_explicit(&board->last, bt_now_ns(), memory_order_relaxed);
                if (atomic_load_explicit(&board->go, memory_order_acquire))
                        return;
        }
}

/* ---- handing one word over ---- */

static void spin(const struct bench_board *board, uint32_t me)
{
        uint64_t until = bt_now_ns() + spin_ns;

        do {
                for (int i = 0; i < SPIN_CLOCK_EVERY; i++) {
                        if (atomic_load_explicit(&board->holder, memory_order_acquire) == me)
                                return;
                        bt_cpu_relax();
                }
        } while (bt_now_ns() < until);
}

/* Sleeps on both words at once, as the library does: a "soon" that came before we looked must not cost us the hand-over itself. */
static void await(struct bench_board *board, uint32_t me)
{
        struct bt_futex_word words[2] = {
                {.word = &board->holder, .expected = 3 - me},
                {.word = &board->soon, .expected = atomic_load(&board->soon)},
        };

        for (;;) {
                uint32_t soon = atomic_load(&board->soon);

                if (soon != words[1].expected) {
                        words[1].expected = soon;
                        atomic_store(&board->parked, 0);
                        if (spin_ns)
                                spin(board, me);
                }
                atomic_store(&board->parked, 1);
                if (atomic_load(&board->holder) == me)
                        break;
                (void)bt_futex_wait(words, 2, BT_NS_NEVER);
        }
        atomic_store(&board->parked, 0);
}

__attribute__((noreturn)) static void hand(struct bench_board *board, uint32_t me)
{
        for (;;) {
                await(board, me);
                begin(board);
                serve(board);
                atomic_store(&board->go, 0);
                atomic_store(&board->holder, 3 - me);
                if (atomic_load(&board->parked))
                        bt_futex_wake(&board->holder);
        }
}

/* ---- ending, and starting another one ---- */

__attribute__((noreturn)) static void start(struct bench_board *board)
{
        begin(board);
        serve(board);
        _exit(0);
}

__attribute__((noreturn)) static void mark(const char *path, uint32_t idx, uint64_t main_ns)
{
        struct bench_muster muster;

        if (bench_muster_attach(&muster, path) || idx >= muster.count)
                _exit(1);
        bench_muster_served(&muster, idx, main_ns, main_ns);
        for (;;)
                (void)pause();
}

int main(int argc, char **argv)
{
        uint64_t main_ns = bt_now_ns();
        struct bench_board *board;
        cpu_set_t set;
        int r;

        (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (argc == 4 && !strcmp(argv[1], "mark"))
                mark(argv[2], (uint32_t)strtoul(argv[3], NULL, 10), main_ns);
        if (argc < 3 || (strcmp(argv[1], "hand") != 0 && strcmp(argv[1], "start") != 0)) {
                (void)fputs("bench-bare is started by baton-bench\n", stderr);
                return 2;
        }
        r = bench_board_attach(&board, argv[2]);
        if (r) {
                (void)fprintf(stderr, "bench-bare: cannot map %s: %s\n", argv[2],
                              strerrordesc_np(-r));
                return 1;
        }
        if (!strcmp(argv[1], "start"))
                start(board);
        spin_ns = !sched_getaffinity(0, sizeof(set), &set) && CPU_COUNT(&set) > 1 ? SPIN_NS : 0;
        hand(board, argc > 3 && !strcmp(argv[3], "2") ? 2 : 1);
}
