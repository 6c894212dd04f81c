/* SPDX-License-Identifier: Apache-2.0 */
#include "bench/board.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/fd.h"
#include "shm/futex.h"

static int board_map(struct bench_board **ret_board, int fd)
{
        void *at = mmap(NULL, BENCH_BOARD_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, fd, 0);

        if (at == MAP_FAILED)
                return -errno;
        *ret_board = at;
        return 0;
}

int bench_board_attach(struct bench_board **ret_board, const char *path)
{
        BT_CLEANUP(bt_closep) int fd = open(path, O_RDWR | O_CLOEXEC);

        cpu_set_t set;
        int r = fd < 0 ? -errno : board_map(ret_board, fd);

        if (r || !(*ret_board)->cpu)
                return r;
        CPU_ZERO(&set);
        CPU_SET((*ret_board)->cpu - 1, &set);
        return sched_setaffinity(0, sizeof(set), &set) < 0 ? -errno : 0;
}

int bench_board_create(struct bench_board **ret_board, int *ret_fd, char ret_path[BENCH_PATH_BYTES])
{
        BT_CLEANUP(bt_closep) int fd = memfd_create("bench-board", MFD_CLOEXEC);
        int r;

        _Static_assert(sizeof(struct bench_board) <= BENCH_BOARD_BYTES, "one page");
        if (fd < 0 || ftruncate(fd, BENCH_BOARD_BYTES) < 0)
                return -errno;
        r = board_map(ret_board, fd);
        if (r)
                return r;
        (void)snprintf(ret_path, BENCH_PATH_BYTES, "/proc/%d/fd/%d", (int)getpid(), fd);
        *ret_fd = BT_STEAL_FD(fd);
        return 0;
}

void bench_board_destroy(struct bench_board *board, int fd)
{
        if (board)
                (void)munmap(board, BENCH_BOARD_BYTES);
        (void)bt_close(fd);
}

void bench_post(_Atomic uint32_t *word, uint32_t value)
{
        atomic_store(word, value);
        bt_futex_wake(word);
}

int bench_await(const _Atomic uint32_t *word, uint32_t seen, uint64_t timeout_ns)
{
        uint64_t deadline = bt_ns_add(bt_now_ns(), timeout_ns);
        struct bt_futex_word wait = {.word = word, .expected = seen};

        while (atomic_load(word) == seen) {
                int r = bt_futex_wait(&wait, 1, deadline);

                if (r < 0)
                        return r;
        }
        return 0;
}

void bench_board_served(struct bench_board *board, uint64_t last, uint64_t first, int32_t pid)
{
        board->stamps.last = last;
        board->stamps.first = first;
        board->pid = pid;
        bench_post(&board->served, atomic_load(&board->served) + 1);
}
