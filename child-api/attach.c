/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How a process finds its hub, and what it does without one.
 *
 * BATON_LINK_FD names one descriptor: the link page, in which the hub has written the numbers of all others. Everything in it is checked
 * before it is used, and made close-on-exec, so that nothing of it leaks into programs the child starts. The variable is removed for the
 * same reason: a grandchild is not supervised. A process that is a fork of its hub has the same page and is told its number (baton_child_open_at).
 *
 * Without the variable the handle gets a baton of its own in private memory, and the rest of the library runs the same code on it.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/check.h"
#include "base/fd.h"
#include "child-api/child.h"
#include "child-api/hold.h"
#include "child-api/post.h"
#include "shm/zygote.h"

#ifndef MAP_FIXED_NOREPLACE
#define MAP_FIXED_NOREPLACE 0x100000
#endif

#define ALONE_ARENA_BYTES (UINT64_C(64) << 30) /* address space only: pages come as they are touched */
#define TAKEN_ROOM 1024                        /* descriptors a swap can bring before restore() has to allocate */

static _Atomic bool forked;

static void forked_in_child(void)
{
        atomic_store_explicit(&forked, true, memory_order_relaxed);
}

bool bt_child_forked(void)
{
        return atomic_load_explicit(&forked, memory_order_relaxed);
}

static void watch_forks(void)
{
        static bool watching;

        if (!watching)
                watching = pthread_atfork(NULL, NULL, forked_in_child) == 0;
}

/* A descriptor number from the environment, made CLOEXEC. -1 when there is none or it is not an open descriptor. */
int bt_child_fd_from_env(const char *name)
{
        /* Open happens before other threads use the environment: see baton_child_open(). NOLINTNEXTLINE(concurrency-mt-unsafe) */
        const char *text = getenv(name);
        char *end;
        long fd;

        if (!text || !*text)
                return -1;
        errno = 0;
        fd = strtol(text, &end, 10);
        if (errno || *end || fd < 0 || fd > INT32_MAX)
                return -1;
        if (fcntl((int)fd, F_SETFD, FD_CLOEXEC) < 0)
                return -1;
        return (int)fd;
}

/* 0, or -EBADF when a descriptor the hub promised is not open. */
static int link_take_fds(struct baton_child *child)
{
        const struct bt_link *link = child->link;

        for (int i = 0; i < _BT_LINK_FD_N; i++) {
                if (link->fds[i] >= 0 && fcntl(link->fds[i], F_SETFD, FD_CLOEXEC) < 0)
                        return -EBADF;
        }
        child->bell = child->pollable = link->fds[BT_LINK_FD_BELL];
        child->hub_bell = link->fds[BT_LINK_FD_HUB_BELL];
        child->channel = link->fds[BT_LINK_FD_CHANNEL];
        child->baton_fd = link->fds[BT_LINK_FD_BATON];
        child->handoff = link->fds[BT_LINK_FD_HANDOFF];
        child->node_fd = link->fds[BT_LINK_FD_NODE];
        for (int i = 0; i < 3; i++)
                child->for_hub[i] = link->fds[BT_LINK_FD_HUB_CHANNEL + i];
        return 0;
}

/*
 * Leaves the kernel a word to mark when this thread dies. A robust mutex of the C library is the one way to get on the thread's robust list
 * that does not fight with the C library's own use of it. Where the library keeps the owner's thread id differs, so we look for it.
 * Only the main thread's death can prove that the process is dead, so only the main thread leaves a word.
 */
static void leave_life_sign(struct bt_link *link)
{
        pthread_mutex_t *mutex = (pthread_mutex_t *)(void *)link->life;
        pthread_mutexattr_t attr;
        uint32_t words[4];
        pid_t tid = (pid_t)syscall(SYS_gettid);

        static_assert(sizeof(*mutex) <= sizeof(link->life), "the layout has room for the C library's mutex");
        if (tid != getpid() || pthread_mutexattr_init(&attr))
                return;
        if (!pthread_mutexattr_setpshared(&attr, PTHREAD_PROCESS_SHARED) &&
            !pthread_mutexattr_setrobust(&attr, PTHREAD_MUTEX_ROBUST) && !pthread_mutex_init(mutex, &attr) &&
            !pthread_mutex_lock(mutex)) {
                memcpy(words, link->life, sizeof(words));
                for (uint32_t i = 0; i < 4; i++) {
                        if (words[i] == (uint32_t)tid) {
                                atomic_store(&link->life_off, (uint32_t)offsetof(struct bt_link, life) + i * 4);
                                break;
                        }
                }
        }
        (void)pthread_mutexattr_destroy(&attr);
}

/* Maps the arena where every incarnation has it. */
static int map_arena(struct baton_child *child)
{
        struct bt_baton *baton = child->baton;
        void *want = (void *)(uintptr_t)baton->arena_addr; /* NOLINT(performance-no-int-to-ptr): that is the point */
        void *at = bt_held_arena(baton);

        if (!at)
                at = mmap(want, baton->state_bytes_max, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED_NOREPLACE, child->baton_fd,
                          (off_t)baton->state_off);
        if (at == MAP_FAILED)
                return errno == EEXIST ? -BATON_E_ADDRESS : -errno;
        if (at != want) {
                (void)munmap(at, baton->state_bytes_max);
                return -BATON_E_ADDRESS;
        }
        /* A program that forks must not give its copies a hand in the child's state, nor pay for its page tables. */
        (void)madvise(at, baton->state_bytes_max, MADV_DONTFORK);
        if (baton->state_bytes_max >= BT_ARENA_HUGE_BYTES_MIN)
                (void)madvise(at, baton->state_bytes_max, MADV_HUGEPAGE); /* the administrator has the last word: docs/performance.md */
        child->arena = at;
        return 0;
}

/* Blob children map all of the segment: head and both slots. */
static int attach_baton(struct baton_child *child)
{
        int r = bt_seg_attach(&child->baton_seg, child->baton_fd, BT_MAGIC_BATON, sizeof(struct bt_baton), 1);

        if (r)
                return r < 0 ? r : -BATON_E_LAYOUT;
        child->baton = child->baton_seg.at;
        if (!bt_baton_valid(child->baton))
                return -BATON_E_LAYOUT;
        if (child->baton->form == BATON_STATE_ARENA)
                return map_arena(child);
        if (child->baton->form == BATON_STATE_BLOB) {
                bt_seg_detach(&child->baton_seg);
                r = bt_seg_attach(&child->baton_seg, child->baton_fd, BT_MAGIC_BATON, 0, 1);
                if (r)
                        return r < 0 ? r : -BATON_E_LAYOUT;
                child->baton = child->baton_seg.at;
        }
        return 0;
}

/* The number of the link page, made CLOEXEC; -ENOTCONN: there is none. */
static int find_link(const struct baton_child_place *place)
{
        int fd;

        if (place) {
                /* This process may itself be a fork of one that has handles. They are not ours; what is opened here is. */
                atomic_store_explicit(&forked, false, memory_order_relaxed);
                return place->link_fd < 0 ? -ENOTCONN : fcntl(place->link_fd, F_SETFD, FD_CLOEXEC) < 0 ? -EBADF : place->link_fd;
        }
        fd = bt_child_fd_from_env("BATON_LINK_FD");
        if (fd < 0)
                return -ENOTCONN;
        (void)unsetenv("BATON_LINK_FD"); /* NOLINT(concurrency-mt-unsafe): as above */
        (void)unsetenv(BT_HELD_VARIABLE); /* NOLINT(concurrency-mt-unsafe): as above */
        return fd;
}

int bt_child_attach(struct baton_child *child, const struct baton_child_place *place)
{
        int r;

        if (!place && getenv(BT_ZYGOTE_VARIABLE)) /* NOLINT(concurrency-mt-unsafe): as above */
                return -BATON_E_PROTOCOL; /* it did not call baton_child_zygote(), or that failed: this process is to serve nobody */
        watch_forks();
        r = find_link(place);
        if (r < 0)
                return r;
        child->link_fd = r;

        r = bt_seg_attach(&child->link_seg, child->link_fd, BT_MAGIC_LINK, BT_PAGE_BYTES, 1);
        if (r)
                return r < 0 ? r : -BATON_E_LAYOUT;
        child->link = child->link_seg.at;
        if (!bt_link_valid(child->link))
                return -BATON_E_LAYOUT;
        child->supervised = true;
        child->incarnation = child->link->incarnation;
        child->reason = (enum baton_reason)child->link->reason;
        child->mode = (enum baton_mode)atomic_load(&child->link->mode_taken);
        bt_ring_end_init_pop(&child->inbox, &child->link->to_child);
        bt_ring_end_init_push(&child->outbox, &child->link->to_hub);

        r = link_take_fds(child);
        if (!r)
                r = attach_baton(child);
        if (!r)
                r = bt_post_attach(child);
        if (r)
                return r;
        child->taken = malloc(TAKEN_ROOM * sizeof(*child->taken)); /* not cleared: most processes never touch it */
        if (!child->taken)
                return -ENOMEM;
        child->taken_room = TAKEN_ROOM;
        child->twin = bt_double_new();
        if (!child->twin)
                return -ENOMEM;
        child->sum = bt_double_sum(child->twin);
        leave_life_sign(child->link);
        atomic_store(&child->link->attached, BT_LINK_ATTACHED);
        BT_POINT("child.attached");
        return 0;
}

/* A private baton: head and arena in anonymous memory. Blob captures never happen, so there are no slots. */
int bt_child_attach_alone(struct baton_child *child)
{
        struct bt_baton *baton;
        void *want = (void *)(uintptr_t)BT_ARENA_ADDR; /* NOLINT(performance-no-int-to-ptr) */
        void *at;

        watch_forks();
        at = mmap(NULL, sizeof(*baton), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (at == MAP_FAILED)
                return -errno;
        child->baton_seg.at = baton = child->baton = at;
        child->baton_seg.bytes = sizeof(*baton);
        child->incarnation = 1;
        child->reason = BATON_REASON_FRESH;
        atomic_store(&baton->word, bt_word_pack(BT_WORD_PASSED, 1, 0));

        child->bell = child->pollable = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
        if (child->bell < 0)
                return -errno;

        at = mmap(want, ALONE_ARENA_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        if (at == MAP_FAILED)
                return -errno;
        baton->form = BATON_STATE_ARENA;
        baton->state_bytes_max = ALONE_ARENA_BYTES;
        baton->arena_addr = (uint64_t)(uintptr_t)at;
        child->arena = at;
        return 0;
}
