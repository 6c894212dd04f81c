/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The floors: what the machine charges for the same thing when nothing is managed. A program that links no libbaton.
 *
 *      bench-bare hand BOARD ME STATE BYTES     one of two processes, 1 and 2, that hand one word to and fro
 *      bench-bare start BOARD                   a process that serves, and ends when it is told to
 *      bench-bare mark MUSTER IDX               a process that says on the muster roll that it is there, and sleeps
 *
 * The hand-over has the policy of the library: the heir sleeps until it hears "soon", watches the word for at most 200 us, its beat moving meanwhile, then
 * sleeps on it and says so; the holder serves on until the beat moves, at most a millisecond, and makes a system call only for a sleeper. It has
 * the surroundings, too: an heir that is told to come maps BYTES of STATE, a memory file, and populates its page tables; who has handed over takes
 * its own down. Nobody looks into it. Both kinds stamp the clock just as bench-probe does.
 */
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "base/clock.h"
#include "bench/board.h"
#include "bench/muster.h"
#include "shm/futex.h"

#define SPIN_NS          (200 * BT_NS_PER_US)
#define AWAKE_NS         BT_NS_PER_MS
#define SPIN_CLOCK_EVERY 32

#ifndef MADV_POPULATE_READ
#define MADV_POPULATE_READ 22
#endif

struct hand {
        struct bench_board *board;
        uint32_t me;
        uint64_t spin_ns;
        int state_fd;
        uint64_t bytes;
        void *state; /* the mapping; NULL: none */
};

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

/* One turn more, and one more, until the heir is seen to run. */
static void serve_on(const struct hand *hand)
{
        struct bench_board *board = hand->board;
        uint32_t beat = atomic_load_explicit(&board->beat, memory_order_relaxed);
        uint64_t now = bt_now_ns(), until = now + (hand->spin_ns ? AWAKE_NS : 0);

        while (atomic_load_explicit(&board->beat, memory_order_relaxed) == beat && now < until) {
                now = bt_now_ns();
                atomic_store_explicit(&board->last, now, memory_order_relaxed);
        }
}

static void watch(const struct hand *hand)
{
        struct bench_board *board = hand->board;
        uint64_t until = bt_now_ns() + hand->spin_ns;

        do {
                for (int i = 0; i < SPIN_CLOCK_EVERY; i++) {
                        if (atomic_load_explicit(&board->holder, memory_order_acquire) == hand->me)
                                return;
                        bt_cpu_relax();
                }
                atomic_fetch_add_explicit(&board->beat, 1, memory_order_relaxed);
        } while (bt_now_ns() < until);
}

/* Sleeps on both words at once, as the library does: a "soon" that came before we looked must not cost us the hand-over itself. */
static void await(const struct hand *hand, uint32_t soon_seen)
{
        struct bench_board *board = hand->board;
        struct bt_futex_word words[2] = {
                {.word = &board->holder, .expected = 3 - hand->me},
                {.word = &board->soon, .expected = soon_seen},
        };

        for (;;) {
                uint32_t soon = atomic_load(&board->soon);

                if (soon != words[1].expected) {
                        words[1].expected = soon;
                        atomic_store(&board->parked, 0);
                        if (hand->spin_ns)
                                watch(hand);
                }
                atomic_store(&board->parked, 1);
                if (atomic_load(&board->holder) == hand->me)
                        break;
                (void)bt_futex_wait(words, 2, BT_NS_NEVER);
        }
        atomic_store(&board->parked, 0);
}

static void state_map(struct hand *hand)
{
        void *want = (void *)(uintptr_t)BENCH_STATE_ADDR; /* NOLINT(performance-no-int-to-ptr) */

        if (!hand->bytes)
                return;
        hand->state = mmap(want, hand->bytes, PROT_READ | PROT_WRITE, MAP_SHARED, hand->state_fd, 0);
        if (hand->state != MAP_FAILED)
                (void)madvise(hand->state, hand->bytes, MADV_HUGEPAGE);
        if (hand->state == MAP_FAILED || madvise(hand->state, hand->bytes, MADV_POPULATE_READ) < 0)
                _exit(1);
}

static void state_unmap(struct hand *hand)
{
        if (hand->state)
                (void)munmap(hand->state, hand->bytes);
        hand->state = NULL;
}

/* As an heir from the beginning to its turn. */
static void come(struct hand *hand)
{
        struct bench_board *board = hand->board;
        uint32_t soon = atomic_load(&board->soon);

        (void)bench_await(&board->come, atomic_load(&board->ready), BT_NS_NEVER);
        state_map(hand);
        bench_post(&board->ready, atomic_load(&board->come));
        await(hand, soon);
}

__attribute__((noreturn)) static void hand_to_and_fro(struct hand *hand)
{
        struct bench_board *board = hand->board;

        if (hand->me == 1)
                state_map(hand);
        else
                come(hand);
        for (;;) {
                begin(board);
                serve(board);
                serve_on(hand);
                atomic_store(&board->go, 0);
                atomic_store(&board->holder, 3 - hand->me);
                if (atomic_load(&board->parked))
                        bt_futex_wake(&board->holder);
                state_unmap(hand);
                bench_post(&board->away, atomic_load(&board->away) + 1);
                come(hand);
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

static int run_hand(struct bench_board *board, char **argv)
{
        struct hand hand = {.board = board, .me = strcmp(argv[3], "2") ? 1 : 2, .bytes = strtoull(argv[5], NULL, 10)};
        cpu_set_t set;

        hand.state_fd = hand.bytes ? open(argv[4], O_RDWR | O_CLOEXEC) : -1;
        if (hand.bytes && hand.state_fd < 0)
                return 1;
        hand.spin_ns = !sched_getaffinity(0, sizeof(set), &set) && CPU_COUNT(&set) > 1 ? SPIN_NS : 0;
        hand_to_and_fro(&hand);
}

int main(int argc, char **argv)
{
        uint64_t main_ns = bt_now_ns();
        struct bench_board *board;
        int r;

        (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (argc == 4 && !strcmp(argv[1], "mark"))
                mark(argv[2], (uint32_t)strtoul(argv[3], NULL, 10), main_ns);
        if (!(argc == 6 && !strcmp(argv[1], "hand")) && !(argc == 3 && !strcmp(argv[1], "start"))) {
                (void)fputs("bench-bare is started by baton-bench\n", stderr);
                return 2;
        }
        r = bench_board_attach(&board, argv[2]);
        if (r) {
                (void)fprintf(stderr, "bench-bare: cannot map %s: %s\n", argv[2],
                              strerrordesc_np(-r));
                return 1;
        }
        if (argc == 3)
                start(board);
        return run_hand(board, argv);
}
