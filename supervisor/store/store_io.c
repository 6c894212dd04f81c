/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Payloads are moved with pread and pwrite, in chunks that fit a cache, and each chunk is summed right after (read) or right before (write) it is
 * moved: a gigabyte crosses the memory bus once for both.
 *
 * Mapping the memfd instead was tried and dropped: a fault for each page of it costs more than the copy (LIMITS: 62 ms/GiB only to touch), a hole
 * would be allocated by being read, and a file that is shorter than it claims would be a SIGBUS instead of an error. A large arena is mapped before it
 * is written, where that gives it huge pages; but not written through the mapping.
 *
 * The sum of a put is taken from the copy, not from the memfd: whatever a stray writer does to the memfd meanwhile, what is stored is
 * what was summed.
 */
#include "supervisor/store/store_io.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/huge.h"
#include "shm/layout.h"

#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23
#endif

#define CHUNK_BYTES ((size_t)256 << 10)

int bt_store_io_read(int fd, uint64_t off, void *to, size_t bytes, struct bt_sum *sum)
{
        uint8_t *at = to;

        while (bytes) {
                ssize_t n = pread(fd, at, bytes < CHUNK_BYTES ? bytes : CHUNK_BYTES, (off_t)off);

                if (n < 0 && errno == EINTR)
                        continue;
                if (n < 0)
                        return -errno;
                if (n == 0)
                        return -ENODATA;
                bt_sum_add(sum, at, (size_t)n);
                at += n;
                off += (uint64_t)n;
                bytes -= (size_t)n;
        }
        return 0;
}

int bt_store_io_write(int fd, uint64_t off, const void *from, size_t bytes, struct bt_sum *sum)
{
        const uint8_t *at = from;

        while (bytes) {
                ssize_t n = pwrite(fd, at, bytes < CHUNK_BYTES ? bytes : CHUNK_BYTES, (off_t)off);

                if (n < 0 && errno == EINTR)
                        continue;
                if (n <= 0)
                        return n < 0 ? -errno : -EIO;
                bt_sum_add(sum, at, (size_t)n);
                at += n;
                off += (uint64_t)n;
                bytes -= (size_t)n;
        }
        return 0;
}

/* Mapped for a moment, as far behind a multiple of 2 MiB as in the file, and populated: an error of the kernel is one of the call, and not a SIGBUS. */
void bt_store_io_prepare(int fd, uint64_t off, uint64_t bytes)
{
        uint64_t skew = off % BT_HUGE_BYTES, room = bytes + 2 * BT_HUGE_BYTES;
        char *reserved, *at;

        if (bytes < BT_ARENA_HUGE_BYTES_MIN || off % BT_PAGE_BYTES || !bt_huge_given())
                return;
        reserved = mmap(NULL, room + BT_HUGE_BYTES, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        if (reserved == MAP_FAILED)
                return;
        at = reserved + (BT_HUGE_BYTES - (uintptr_t)reserved % BT_HUGE_BYTES) % BT_HUGE_BYTES + skew;
        if (mmap(at, room - skew, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, fd, (off_t)off) != MAP_FAILED &&
            !madvise(at, room - skew, MADV_HUGEPAGE))
                (void)madvise(at, bytes, MADV_POPULATE_WRITE);
        (void)munmap(reserved, room + BT_HUGE_BYTES);
}

void bt_store_io_wipe(int fd, uint64_t off, uint64_t bytes)
{
        /* Best effort: the caller's contract is that only OK means "there is a state", this only gives the memory back. */
        if (bytes)
                (void)fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)off, (off_t)bytes);
}
