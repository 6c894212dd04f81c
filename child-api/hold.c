/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A process stops before its first line, and goes on when the hub says so: docs/spares.md.
 *
 *      variable? ─► link page ─► dies with its parent ─► ASKED → HELD, bell ─► its own pages ─► (arena) ─► sleeps on the word ─► RELEASED:
 *      as if nothing had been
 *
 * This runs before every constructor, the C library's too: system calls (and the loader's list of what is loaded), no heap, no environment but the one that
 * is passed in, and no instrumentation of a sanitizer, whose own start may or may not have been. Whatever is not as expected means "not held": the hub does not see HELD, and its deadline
 * says so.
 *
 * The entry that calls it is in this file where it is part of a program (the static library), and is the user's own line where it is in a library.
 */
#include "child-api/hold.h"

#include <baton/hold.h>

#include <errno.h>
#include <fcntl.h>
#include <link.h>
#include <linux/futex.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifdef BT_HOLDS
BATON_HOLDS
#endif

#ifndef MAP_FIXED_NOREPLACE
#define MAP_FIXED_NOREPLACE 0x100000
#endif
#ifndef MADV_POPULATE_READ
#define MADV_POPULATE_READ 22
#define MADV_POPULATE_WRITE 23
#endif

#define PLAIN __attribute__((no_sanitize("address", "thread", "undefined")))
#define TOUCH_BYTES_MAX (UINT64_C(4) << 20) /* of one segment: more than that is not all needed at the start */
#define STEP_BYTES (UINT64_C(2) << 20) /* populated at once, 0.1 ms: so late it may see that it is released */

static struct {
        void *arena; /* NULL: none */
        uint64_t epoch;
} held;

void *bt_held_arena(const struct bt_baton *baton)
{
        void *at = held.epoch == baton->head.epoch ? held.arena : NULL;

        held.arena = NULL;
        return at;
}

/* The number in the variable; -1: this process is not meant. */
PLAIN static int held_fd(char *const *envp)
{
        static const char name[] = BT_HELD_VARIABLE "=";

        for (; envp && *envp; envp++) {
                const char *at = *envp;
                size_t i = 0;
                int fd = 0;

                while (i < sizeof(name) - 1 && at[i] == name[i])
                        i++;
                if (i < sizeof(name) - 1)
                        continue;
                for (at += i; *at >= '0' && *at <= '9' && fd < 1 << 20; at++)
                        fd = fd * 10 + (*at - '0');
                return *at ? -1 : fd;
        }
        return -1;
}

PLAIN static void *map_page(int fd)
{
        long at = syscall(SYS_mmap, NULL, (size_t)BT_PAGE_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0L);

        return at == -1 ? NULL : (void *)at; /* NOLINT(performance-no-int-to-ptr): what the system call returns */
}

PLAIN static bool head_is(const struct bt_seg_head *head, uint64_t magic)
{
        return head->magic == magic && head->layout == BT_LAYOUT_VERSION && head->abi == BT_ABI_THIS;
}

/* Where every incarnation has it. Returns how much of it there is; 0: not mapped. */
PLAIN static uint64_t map_arena(const struct bt_link *link)
{
        const struct bt_baton *baton = map_page(link->fds[BT_LINK_FD_BATON]);
        const struct bt_arena *arena;
        uint64_t bytes, top;
        long at = -1;

        if (!baton)
                return 0;
        bytes = baton->state_bytes_max;
        if (head_is(&baton->head, BT_MAGIC_BATON) && baton->form == BATON_STATE_ARENA)
                at = syscall(SYS_mmap, baton->arena_addr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED_NOREPLACE,
                             link->fds[BT_LINK_FD_BATON], (long)baton->state_off);
        if (at != -1 && (uint64_t)at != baton->arena_addr) {
                (void)syscall(SYS_munmap, at, bytes);
                at = -1;
        }
        if (at == -1) {
                (void)syscall(SYS_munmap, baton, (size_t)BT_PAGE_BYTES);
                return 0;
        }
        if (bytes >= BT_ARENA_HUGE_BYTES_MIN)
                (void)syscall(SYS_madvise, at, bytes, MADV_HUGEPAGE);
        held.arena = (void *)at; /* NOLINT(performance-no-int-to-ptr): as above */
        held.epoch = baton->head.epoch;
        (void)syscall(SYS_munmap, baton, (size_t)BT_PAGE_BYTES);
        arena = held.arena;
        top = arena->magic == BT_MAGIC_ARENA ? arena->top : 0;
        return top < bytes ? top : bytes;
}

PLAIN static void populate(const struct bt_link *link)
{
        uint64_t bytes = map_arena(link);

        for (uint64_t off = 0; off < bytes && atomic_load(&link->hold) == BT_HOLD_HELD; off += STEP_BYTES) {
                uint64_t step = bytes - off < STEP_BYTES ? bytes - off : STEP_BYTES;

                if (syscall(SYS_madvise, (char *)held.arena + off, step, MADV_POPULATE_READ) < 0)
                        return;
        }
}

/*
 * What is loaded, into the page tables: a start is a hundred page faults, each of which the service would wait for. Data is made private now; a kernel that
 * cannot (before 5.14) leaves it to the faults. After the hub was told: in a cold swap it has the time in which the predecessor ends, and is called off.
 */
PLAIN static int touch_object(struct dl_phdr_info *info, size_t bytes, void *ctx)
{
        const struct bt_link *link = ctx;

        (void)bytes;
        for (int i = 0; i < info->dlpi_phnum && atomic_load(&link->hold) == BT_HOLD_HELD; i++) {
                const ElfW(Phdr) *segment = &info->dlpi_phdr[i];
                uint64_t begin = (info->dlpi_addr + segment->p_vaddr) & ~(uint64_t)(BT_PAGE_BYTES - 1);
                uint64_t end = info->dlpi_addr + segment->p_vaddr + segment->p_memsz;

                if (segment->p_type != PT_LOAD || end - begin > TOUCH_BYTES_MAX)
                        continue;
                (void)syscall(SYS_madvise, begin, end - begin, segment->p_flags & PF_W ? MADV_POPULATE_WRITE : MADV_POPULATE_READ);
        }
        return 0;
}

PLAIN static void ring(int fd)
{
        const uint64_t one = 1;

        (void)syscall(SYS_write, fd, &one, sizeof(one));
}

/* From here on the process ends with its hub. In this order there is no gap: a hub that ended before the first call is not our parent any more in the second. */
PLAIN static void tie_to_hub(const struct bt_link *link)
{
        (void)syscall(SYS_prctl, PR_SET_PDEATHSIG, SIGKILL, 0L, 0L, 0L);
        if (syscall(SYS_getppid) != link->hub_pid)
                (void)syscall(SYS_exit_group, 0);
}

PLAIN void baton_child_hold(int argc, char **argv, char **envp)
{
        int fd = held_fd(envp);
        uint32_t word = BT_HOLD_NONE;
        struct bt_link *link;

        (void)argc;
        (void)argv;
        /* Let go already: there is nothing to map. */
        if (fd < 0 || syscall(SYS_pread64, fd, &word, sizeof(word), (long)offsetof(struct bt_link, hold)) != sizeof(word) || word != BT_HOLD_ASKED)
                return;
        link = map_page(fd);
        if (!link)
                return;
        if (head_is(&link->head, BT_MAGIC_LINK) && atomic_load(&link->hold) == BT_HOLD_ASKED) {
                tie_to_hub(link);
                if (atomic_compare_exchange_strong(&link->hold, &word, BT_HOLD_HELD)) {
                        ring(link->fds[BT_LINK_FD_HUB_BELL]);
                        (void)dl_iterate_phdr(touch_object, link);
                        if (link->hold_flags & BT_HOLD_F_POPULATE)
                                populate(link);
                }
                while (atomic_load(&link->hold) == BT_HOLD_HELD)
                        (void)syscall(SYS_futex, &link->hold, FUTEX_WAIT, BT_HOLD_HELD, NULL, NULL, 0);
                (void)syscall(SYS_prctl, PR_SET_PDEATHSIG, 0L, 0L, 0L, 0L);
        }
        (void)syscall(SYS_munmap, link, (size_t)BT_PAGE_BYTES);
}
