/* SPDX-License-Identifier: Apache-2.0 */
/*
 * This process plays the hub. It has the heir get ready, sleeps until it is, as the hub does, then says "go" to the holder, which serves on until its heir
 * watches, and wakes the heir.
 */
#include "bench/floor.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fd.h"

#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23
#endif

#define WAIT_NS (10 * BT_NS_PER_S)

/* How long who serves stamps before it is relieved: about as long as a successor takes to start, and this process sleeps meanwhile. */
static const struct timespec WARM = {.tv_nsec = BT_NS_PER_MS};

static int floor_open(struct bench_floor *floor, uint32_t cpu)
{
        int r = bench_program_find(floor->program, sizeof(floor->program), "bench-bare");

        if (!r)
                r = bench_board_create(&floor->board, &floor->board_fd, floor->board_path);
        if (!r)
                floor->board->cpu = cpu;
        return r;
}

/* One of the two that hand over: 1 or 2. */
static int floor_run_hand(struct bench_floor *floor, uint32_t number, const char *state_path, uint64_t state_bytes)
{
        char hand[] = "hand", me[] = {(char)('0' + number), '\0'}, path[BENCH_PATH_BYTES], bytes[24];
        char *const argv[] = {floor->program, hand, floor->board_path, me, path, bytes, NULL};

        (void)snprintf(path, sizeof(path), "%s", state_path);
        (void)snprintf(bytes, sizeof(bytes), "%" PRIu64, state_bytes);
        return bench_process_start(&floor->processes[number - 1], argv, environ, -1);
}

/* A memory file with all its pages, of the kind an arena has, for two processes to map. */
static int floor_state(struct bench_floor *floor, uint64_t bytes, char ret_path[BENCH_PATH_BYTES])
{
        void *want = (void *)(uintptr_t)BENCH_STATE_ADDR, *at; /* NOLINT(performance-no-int-to-ptr) */
        int r;

        floor->state_fd = memfd_create("bench-state", MFD_CLOEXEC);
        if (floor->state_fd < 0 || ftruncate(floor->state_fd, (off_t)bytes) < 0)
                return -errno;
        at = mmap(want, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, floor->state_fd, 0);
        if (at == MAP_FAILED)
                return -errno;
        (void)madvise(at, bytes, MADV_HUGEPAGE);
        r = madvise(at, bytes, MADV_POPULATE_WRITE) < 0 ? -errno : 0;
        (void)munmap(at, bytes);
        if (r)
                return r;
        (void)snprintf(ret_path, BENCH_PATH_BYTES, "/proc/%d/fd/%d", (int)getpid(), floor->state_fd);
        return 0;
}

int bench_floor_open_hand(struct bench_floor *floor, uint64_t state_bytes, uint32_t cpu)
{
        char path[BENCH_PATH_BYTES] = "";
        int r = floor_open(floor, cpu);

        if (!r && state_bytes)
                r = floor_state(floor, state_bytes, path);
        if (r)
                return r;
        atomic_store(&floor->board->holder, 1);
        for (uint32_t number = 1; !r && number <= 2; number++)
                r = floor_run_hand(floor, number, path, state_bytes);
        if (!r)
                r = bench_await(&floor->board->served, 0, WAIT_NS);
        if (r)
                bench_complain("the two bare processes do not start: %s", strerrordesc_np(-r));
        return r;
}

static int floor_run_start(struct bench_floor *floor)
{
        char start[] = "start";
        char *const argv[] = {floor->program, start, floor->board_path, NULL};

        return bench_process_start(&floor->processes[0], argv, environ, -1);
}

int bench_floor_open_start(struct bench_floor *floor, uint32_t cpu)
{
        int r = floor_open(floor, cpu);

        if (!r)
                r = floor_run_start(floor);
        if (!r)
                r = bench_await(&floor->board->served, 0, WAIT_NS);
        if (r)
                bench_complain("the bare process does not start: %s", strerrordesc_np(-r));
        return r;
}

/* Has it stamp for a while. */
static int floor_warm(struct bench_floor *floor)
{
        int r;

        bench_post(&floor->board->mode, BENCH_MODE_BUSY);
        r = bench_await(&floor->board->busy, 0, WAIT_NS);
        if (r)
                bench_complain("a bare process does not wake up: %s", strerrordesc_np(-r));
        (void)nanosleep(&WARM, NULL);
        return r;
}

/* Waits for the next one's first stamp, and has it be quiet. */
static int floor_over(struct bench_floor *floor, uint32_t served, uint64_t *ret_blackout_ns)
{
        struct bench_board *board = floor->board;
        int r = bench_await(&board->served, served, WAIT_NS);

        atomic_store(&board->mode, BENCH_MODE_QUIET);
        if (r)
                bench_complain("a bare process does not serve: %s", strerrordesc_np(-r));
        else
                *ret_blackout_ns = board->stamps.first - board->stamps.last;
        return r;
}

int bench_floor_hand(struct bench_floor *floor, uint64_t *ret_blackout_ns)
{
        struct bench_board *board = floor->board;
        uint32_t served = atomic_load(&board->served);
        uint32_t ready = atomic_load(&board->ready);
        uint32_t away = atomic_load(&board->away);
        int r = floor_warm(floor);

        if (r)
                return r;
        bench_post(&board->come, ready + 1);
        r = bench_await(&board->ready, ready, WAIT_NS);
        if (r)
                bench_complain("a bare heir does not come: %s", strerrordesc_np(-r));
        if (r)
                return r;
        atomic_store(&board->go, 1);
        bench_post(&board->soon, atomic_load(&board->soon) + 1);
        r = floor_over(floor, served, ret_blackout_ns);
        /* A gigabyte of page tables is some 80 ms of a processor, and what is measured next has the machine for itself. */
        return r ? r : bench_await(&board->away, away, WAIT_NS);
}

int bench_floor_start(struct bench_floor *floor, uint64_t *ret_blackout_ns)
{
        struct bench_board *board = floor->board;
        uint32_t served = atomic_load(&board->served);
        int r = floor_warm(floor);

        if (r)
                return r;
        atomic_store(&board->go, 1);
        r = bench_process_wait(&floor->processes[0], WAIT_NS);
        atomic_store(&board->go, 0);
        if (!r)
                r = floor_run_start(floor);
        if (r)
                bench_complain("a bare process could not be replaced: %s", strerrordesc_np(-r));
        return r ? r : floor_over(floor, served, ret_blackout_ns);
}

void bench_floor_close(struct bench_floor *floor)
{
        for (size_t i = 0; i < 2; i++)
                bench_process_end(&floor->processes[i]);
        bench_board_destroy(floor->board, floor->board_fd);
        (void)bt_close(floor->state_fd);
        if (floor->copy_from)
                (void)munmap(floor->copy_from, floor->copy_bytes);
        if (floor->copy_to)
                (void)munmap(floor->copy_to, floor->copy_bytes);
        *floor = (struct bench_floor)BENCH_FLOOR_NULL;
}

/* ---- the copy ---- */

static char *copy_buffer(uint64_t bytes, int byte)
{
        char *at = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

        return at == MAP_FAILED ? NULL : memset(at, byte, bytes);
}

int bench_floor_open_copy(struct bench_floor *floor, uint64_t bytes)
{
        floor->copy_bytes = bytes;
        floor->copy_from = copy_buffer(bytes, 1);
        floor->copy_to = copy_buffer(bytes, 2);
        return floor->copy_from && floor->copy_to ? 0 : -ENOMEM;
}

uint64_t bench_floor_copy(struct bench_floor *floor)
{
        uint64_t begun = bt_now_ns();

        memcpy(floor->copy_to, floor->copy_from, floor->copy_bytes);
        __asm__ volatile("" : : "r"(floor->copy_to) : "memory"); /* the copy is wanted, though nobody reads it */
        return bt_now_ns() - begun;
}
