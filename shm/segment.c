/* SPDX-License-Identifier: Apache-2.0 */
#include "shm/segment.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/check.h"
#include "base/cleanup.h"
#include "base/fd.h"

#ifndef MFD_NOEXEC_SEAL
#define MFD_NOEXEC_SEAL 0x0008U /* Linux 6.3; older ones say EINVAL */
#endif
#ifndef F_SEAL_FUTURE_WRITE
#define F_SEAL_FUTURE_WRITE 0x0010
#endif

#define SEGMENT_SEALS (F_SEAL_SHRINK | F_SEAL_GROW)

static int segment_memfd(const char *name)
{
        int fd = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING | MFD_NOEXEC_SEAL);

        if (fd < 0 && errno == EINVAL)
                fd = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING);
        return fd < 0 ? -errno : fd;
}

static int segment_create(struct bt_seg *ret_seg, int *ret_fd, const char *name, uint64_t magic,
                          uint64_t bytes, uint64_t map_bytes, int more_seals)
{
        BT_CLEANUP(bt_closep) int fd = -1;
        struct bt_seg_head *head;
        uint64_t epoch;
        void *at;

        bt_assert(map_bytes >= sizeof(*head) && map_bytes <= bytes);
        if (getrandom(&epoch, sizeof(epoch), 0) != (ssize_t)sizeof(epoch))
                return bt_fold(-errno);

        fd = segment_memfd(name);
        if (fd < 0)
                return bt_fold(fd);
        if (ftruncate(fd, (off_t)bytes) < 0)
                return bt_fold(-errno);
        at = mmap(NULL, map_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
        if (at == MAP_FAILED)
                return bt_fold(-errno);
        /* After our own mapping: F_SEAL_FUTURE_WRITE spares the mappings that exist. */
        if (fcntl(fd, F_ADD_SEALS, SEGMENT_SEALS | more_seals | F_SEAL_SEAL) < 0) {
                int r = -errno;

                (void)munmap(at, map_bytes);
                return bt_fold(r);
        }

        head = at;
        head->magic = magic;
        head->layout = BT_LAYOUT_VERSION;
        head->abi = BT_ABI_THIS;
        head->bytes = bytes;
        head->epoch = epoch;

        ret_seg->at = at;
        ret_seg->bytes = map_bytes;
        *ret_fd = BT_STEAL_FD(fd);
        return 0;
}

int bt_seg_create(struct bt_seg *ret_seg, int *ret_fd, const char *name, uint64_t magic, uint64_t bytes,
                  uint64_t map_bytes)
{
        return segment_create(ret_seg, ret_fd, name, magic, bytes, map_bytes, 0);
}

int bt_seg_create_own(struct bt_seg *ret_seg, int *ret_fd, const char *name, uint64_t magic, uint64_t bytes)
{
        return segment_create(ret_seg, ret_fd, name, magic, bytes, bytes, F_SEAL_FUTURE_WRITE);
}

int bt_seg_attach(struct bt_seg *ret_seg, int fd, uint64_t magic, uint64_t map_bytes, int writable)
{
        const struct bt_seg_head *head;
        struct stat st;
        uint64_t bytes;
        int seals;
        void *at;

        seals = fcntl(fd, F_GET_SEALS);
        if (seals < 0 && errno != EINVAL) /* EINVAL: not a memfd at all */
                return -errno;
        if (seals < 0 || (seals & SEGMENT_SEALS) != SEGMENT_SEALS)
                return BT_SEG_E_UNSEALED;
        if (fstat(fd, &st) < 0)
                return bt_fold(-errno);
        bytes = map_bytes ? map_bytes : (uint64_t)st.st_size;
        if (bytes < sizeof(*head) || (uint64_t)st.st_size < bytes)
                return BT_SEG_E_LAYOUT;

        at = mmap(NULL, bytes, writable ? PROT_READ | PROT_WRITE : PROT_READ, MAP_SHARED, fd, 0);
        if (at == MAP_FAILED)
                return bt_fold(-errno);
        head = at;
        if (head->magic != magic || head->layout != BT_LAYOUT_VERSION || head->abi != BT_ABI_THIS ||
            head->bytes != (uint64_t)st.st_size) {
                (void)munmap(at, bytes);
                return BT_SEG_E_LAYOUT;
        }
        ret_seg->at = at;
        ret_seg->bytes = bytes;
        return 0;
}

void bt_seg_detach(struct bt_seg *seg)
{
        if (seg->at)
                (void)munmap(seg->at, seg->bytes);
        seg->at = NULL;
        seg->bytes = 0;
}
