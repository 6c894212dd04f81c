/* SPDX-License-Identifier: Apache-2.0 */
/* The roll itself, for both sides: see muster.h. */
#include "bench/muster.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/fd.h"
#include "shm/futex.h"

_Static_assert(sizeof(struct bench_mark) == 64 && sizeof(struct bench_muster_head) == 64,
               "a cache line each");

static size_t bytes_of(uint32_t count)
{
        return sizeof(struct bench_muster_head) + count * sizeof(struct bench_mark);
}

static int muster_map(struct bench_muster *muster, int fd, uint32_t count)
{
        void *at = mmap(NULL, bytes_of(count), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

        if (at == MAP_FAILED)
                return -errno;
        muster->head = at;
        muster->marks = (struct bench_mark *)(void *)(muster->head + 1);
        muster->count = count;
        return 0;
}

int bench_muster_create(struct bench_muster *ret_muster, uint32_t count)
{
        int r;

        *ret_muster = (struct bench_muster){.fd = memfd_create("bench-muster", MFD_CLOEXEC)};
        if (ret_muster->fd < 0 || ftruncate(ret_muster->fd, (off_t)bytes_of(count)) < 0)
                return -errno;
        r = muster_map(ret_muster, ret_muster->fd, count);
        if (!r)
                ret_muster->head->count = count;
        (void)snprintf(ret_muster->path, sizeof(ret_muster->path), "/proc/%d/fd/%d", (int)getpid(),
                       ret_muster->fd);
        return r;
}

int bench_muster_attach(struct bench_muster *ret_muster, const char *path)
{
        BT_CLEANUP(bt_closep) int fd = open(path, O_RDWR | O_CLOEXEC);
        struct stat st;

        *ret_muster = (struct bench_muster){.fd = -1};
        if (fd < 0 || fstat(fd, &st) < 0)
                return -errno;
        return muster_map(ret_muster, fd,
                          (uint32_t)(((size_t)st.st_size - sizeof(struct bench_muster_head)) /
                                     sizeof(struct bench_mark)));
}

void bench_muster_destroy(struct bench_muster *muster)
{
        if (muster->head)
                (void)munmap(muster->head, bytes_of(muster->count));
        (void)bt_close(muster->fd);
        *muster = (struct bench_muster)BENCH_MUSTER_NULL;
}

void bench_muster_pass_gate(struct bench_muster *muster)
{
        if (!atomic_load(&muster->head->gate))
                return;
        (void)atomic_fetch_add(&muster->head->waiting, 1);
        while (atomic_load(&muster->head->gate))
                (void)bench_await(&muster->head->gate, 1, BT_NS_PER_S);
}

void bench_muster_served(struct bench_muster *muster, uint32_t mark_idx, uint64_t main_ns,
                         uint64_t serve_ns)
{
        struct bench_mark *mark = &muster->marks[mark_idx];

        mark->main_ns = main_ns;
        mark->serve_ns = serve_ns;
        mark->pid = (int32_t)getpid();
        (void)atomic_fetch_add(&mark->served, 1);
        (void)atomic_fetch_add(&muster->head->served, 1);
        bt_futex_wake(&muster->head->served);
}
