/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Promises of the kernel that the rest leans on. Where one of these fails, the machine differs from what baton was built for, and the other
 * tests' failures are its consequences. No code of ours is under test here; children are started by bt_spawn() all the same, which has
 * tests of its own.
 *
 * links: pthread
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/futex.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/fd.h"
#include "supervisor/proc/proc.h"

#ifndef F_SEAL_FUTURE_WRITE
#define F_SEAL_FUTURE_WRITE 0x0010
#endif

#define SHARED_BYTES 4096
#define CHILD_FD 3
#define LONG_MS 30000 /* nothing here takes a thousandth of it */

/* ThreadSanitizer has a thread of its own in each process. */
#define THREADS_OF_ONE 1
#if defined(__has_feature)
#if __has_feature(thread_sanitizer)
#undef THREADS_OF_ONE
#define THREADS_OF_ONE 2
#endif
#endif
#ifdef __SANITIZE_THREAD__
#undef THREADS_OF_ONE
#define THREADS_OF_ONE 2
#endif

static char child_path[4096];

struct child {
        pid_t pid;
        int pidfd;
};

/* Starts child_spawn @what 3, with @fd (if any) as its 3, and returns when it said "ready". */
static struct child child_start(const char *what, int fd)
{
        char *argv[] = {(char *)"child", (char *)what, (char *)"3", NULL};
        char *envp[] = {NULL};
        struct bt_spawn spawn = BT_SPAWN_NULL;
        struct child child = {.pidfd = -1};
        enum bt_spawn_step step;
        char text[5];
        int ends[2];

        assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
        spawn.exec_path = child_path;
        spawn.argv = argv;
        spawn.envp = envp;
        assert_int_equal(bt_spawn_move(&spawn, ends[1], STDOUT_FILENO), 0);
        if (fd >= 0)
                assert_int_equal(bt_spawn_move(&spawn, fd, CHILD_FD), 0);
        assert_int_equal(bt_spawn(&spawn, &child.pid, &child.pidfd, &step), 0);
        (void)bt_close(ends[1]);
        assert_int_equal(read(ends[0], text, sizeof(text)), 5);
        (void)bt_close(ends[0]);
        return child;
}

static int pidfd_readable(int pidfd, int timeout_ms)
{
        struct pollfd poll_in = {.fd = pidfd, .events = POLLIN};

        return poll(&poll_in, 1, timeout_ms);
}

static struct bt_proc_exit child_end(struct child child)
{
        struct bt_proc_exit how = {0};

        assert_int_equal(pidfd_readable(child.pidfd, LONG_MS), 1);
        assert_int_equal(bt_proc_reap(child.pidfd, &how), 0);
        (void)bt_close(child.pidfd);
        return how;
}

static void *shared_map(int *ret_fd)
{
        int fd = memfd_create("shared", MFD_CLOEXEC | MFD_ALLOW_SEALING);
        void *at;

        assert_true(fd >= 0);
        assert_int_equal(ftruncate(fd, SHARED_BYTES), 0);
        at = mmap(NULL, SHARED_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
        assert_ptr_not_equal(at, MAP_FAILED);
        *ret_fd = fd;
        return at;
}

static void shared_unmap(void *at, int fd)
{
        assert_int_equal(munmap(at, SHARED_BYTES), 0);
        (void)bt_close(fd);
}

/* ---- processes ---- */

static void a_pidfd_becomes_readable_at_exit_and_not_before(void **state)
{
        struct child child = child_start("pause", -1);

        (void)state;
        assert_int_equal(pidfd_readable(child.pidfd, 0), 0);
        assert_int_equal(bt_proc_signal(child.pidfd, SIGKILL), 0);
        assert_int_equal(pidfd_readable(child.pidfd, LONG_MS), 1);
        assert_int_equal(pidfd_readable(child.pidfd, 0), 1); /* and stays so */
        assert_int_equal(child_end(child).status, SIGKILL);
}

static void a_robust_mutex_is_marked_by_the_time_its_killed_owner_is_seen_to_end(void **state)
{
        pthread_mutexattr_t attr;
        pthread_mutex_t *mutex;
        struct child child;
        int fd;

        (void)state;
        mutex = shared_map(&fd);
        assert_int_equal(pthread_mutexattr_init(&attr), 0);
        assert_int_equal(pthread_mutexattr_setpshared(&attr, PTHREAD_PROCESS_SHARED), 0);
        assert_int_equal(pthread_mutexattr_setrobust(&attr, PTHREAD_MUTEX_ROBUST), 0);
        assert_int_equal(pthread_mutex_init(mutex, &attr), 0);

        child = child_start("robust", fd);
        assert_int_equal(pthread_mutex_trylock(mutex), EBUSY);
        assert_int_equal(bt_proc_signal(child.pidfd, SIGKILL), 0);
        assert_int_equal(pidfd_readable(child.pidfd, LONG_MS), 1);
        assert_int_equal(pthread_mutex_trylock(mutex), EOWNERDEAD);
        assert_int_equal(pthread_mutex_consistent(mutex), 0);
        assert_int_equal(pthread_mutex_unlock(mutex), 0);
        (void)child_end(child);
        (void)pthread_mutexattr_destroy(&attr);
        shared_unmap(mutex, fd);
}

/* The mark comes with the thread's death, so a waiter learns of it without the pidfd. */
static void a_robust_mutex_wakes_a_waiter_when_its_owner_is_killed(void **state)
{
        pthread_mutexattr_t attr;
        pthread_mutex_t *mutex;
        struct child child;
        int fd;

        (void)state;
        mutex = shared_map(&fd);
        assert_int_equal(pthread_mutexattr_init(&attr), 0);
        assert_int_equal(pthread_mutexattr_setpshared(&attr, PTHREAD_PROCESS_SHARED), 0);
        assert_int_equal(pthread_mutexattr_setrobust(&attr, PTHREAD_MUTEX_ROBUST), 0);
        assert_int_equal(pthread_mutex_init(mutex, &attr), 0);

        child = child_start("robust", fd);
        assert_int_equal(bt_proc_signal(child.pidfd, SIGKILL), 0);
        /* The test's own time limit is the deadline: ThreadSanitizer knows robust mutexes in this call and in trylock only. */
        assert_int_equal(pthread_mutex_lock(mutex), EOWNERDEAD);
        assert_int_equal(pthread_mutex_consistent(mutex), 0);
        assert_int_equal(pthread_mutex_unlock(mutex), 0);
        (void)child_end(child);
        (void)pthread_mutexattr_destroy(&attr);
        shared_unmap(mutex, fd);
}

static void the_task_directory_has_a_link_for_each_thread(void **state)
{
        struct child child = child_start("threads", -1);
        struct stat st;
        char path[64];

        (void)state;
        (void)snprintf(path, sizeof(path), "/proc/%d/task", (int)child.pid);
        assert_int_equal(stat(path, &st), 0);
        assert_int_equal(st.st_nlink, 2 + 3 + THREADS_OF_ONE); /* itself, its parent's entry, each thread */
        assert_int_equal(bt_proc_signal(child.pidfd, SIGKILL), 0);
        assert_int_equal(pidfd_readable(child.pidfd, LONG_MS), 1);
        assert_int_equal(stat(path, &st), 0);
        assert_int_equal(st.st_nlink, 2 + 1);
        (void)child_end(child);
        assert_int_equal(stat(path, &st), -1);
}

/* ---- memory ---- */

static void a_fixed_mapping_without_replacing_spares_what_is_there(void **state)
{
        int flags = MAP_PRIVATE | MAP_ANONYMOUS;
        char *room = mmap(NULL, 3 * SHARED_BYTES, PROT_READ | PROT_WRITE, flags, -1, 0);
        char *at;

        (void)state;
        assert_ptr_not_equal(room, MAP_FAILED);
        room[SHARED_BYTES] = 42;
        errno = 0;
        at = mmap(room, 3 * SHARED_BYTES, PROT_NONE, flags | MAP_FIXED_NOREPLACE, -1, 0);
        assert_ptr_equal(at, MAP_FAILED);
        assert_int_equal(errno, EEXIST);
        assert_int_equal(room[SHARED_BYTES], 42);

        /* Free, it is had at exactly that address. */
        assert_int_equal(munmap(room + SHARED_BYTES, SHARED_BYTES), 0);
        at = mmap(room + SHARED_BYTES, SHARED_BYTES, PROT_READ, flags | MAP_FIXED_NOREPLACE, -1, 0);
        assert_ptr_equal(at, room + SHARED_BYTES);
        assert_int_equal(munmap(room, 3 * SHARED_BYTES), 0);
}

static void a_sealed_memfd_cannot_shrink_or_grow(void **state)
{
        int fd;
        void *at = shared_map(&fd);

        (void)state;
        assert_int_equal(fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL), 0);
        assert_int_equal(ftruncate(fd, 0), -1);
        assert_int_equal(errno, EPERM);
        assert_int_equal(ftruncate(fd, 2 * SHARED_BYTES), -1);
        assert_int_equal(errno, EPERM);
        assert_int_equal(fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE), -1); /* no more seals */
        shared_unmap(at, fd);
}

static void the_future_write_seal_leaves_our_mapping_writable_and_gives_no_other(void **state)
{
        char name[64];
        volatile char *ours;
        const volatile char *theirs;
        void *at;
        int fd, again;

        (void)state;
        at = shared_map(&fd);
        ours = at;
        assert_int_equal(fcntl(fd, F_ADD_SEALS, F_SEAL_FUTURE_WRITE), 0);
        theirs = mmap(NULL, SHARED_BYTES, PROT_READ, MAP_SHARED, fd, 0);
        assert_ptr_not_equal((const void *)theirs, MAP_FAILED);
        ours[0] = 7;
        assert_int_equal(theirs[0], 7);
        assert_int_equal(mprotect((void *)(uintptr_t)theirs, SHARED_BYTES, PROT_READ | PROT_WRITE), -1);
        assert_ptr_equal(mmap(NULL, SHARED_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0), MAP_FAILED);
        assert_int_equal(errno, EPERM);
        assert_int_equal(pwrite(fd, "x", 1, 0), -1);
        assert_int_equal(errno, EPERM);

        /* Opening it anew through /proc gives a writable file, which is sealed all the same. */
        (void)snprintf(name, sizeof(name), "/proc/self/fd/%d", fd);
        again = open(name, O_RDWR | O_CLOEXEC);
        assert_true(again >= 0);
        assert_ptr_equal(mmap(NULL, SHARED_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, again, 0), MAP_FAILED);
        assert_int_equal(errno, EPERM);
        (void)bt_close(again);
        assert_int_equal(munmap((void *)(uintptr_t)theirs, SHARED_BYTES), 0);
        shared_unmap(at, fd);
}

/* ---- waking ---- */

static void futex_waitv_on_shared_memory_names_the_word_another_process_woke(void **state)
{
        uint32_t waits = 0;
        struct futex_waitv probe = {.uaddr = (uintptr_t)&waits, .val = 1, .flags = FUTEX_32};
        struct child child;
        uint32_t *words;
        int fd;

        (void)state;
        assert_int_equal(syscall(SYS_futex_waitv, &probe, 1, 0, NULL, 0), -1);
        if (errno == ENOSYS)
                skip(); /* before 5.16 */
        assert_int_equal(errno, EAGAIN);

        words = shared_map(&fd);
        child = child_start("waitv", fd);
        /* It said that it is about to wait; a wake that finds nobody is repeated. Another mapping, another process, the same word. */
        while (syscall(SYS_futex, &words[1], FUTEX_WAKE, INT_MAX, NULL, NULL, 0) == 0)
                assert_int_equal(pidfd_readable(child.pidfd, 0), 0);
        assert_int_equal(child_end(child).status, 1);
        shared_unmap(words, fd);
}

static void an_eventfd_keeps_all_rings_until_it_is_read(void **state)
{
        int fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
        uint64_t value = 1;

        (void)state;
        assert_true(fd >= 0);
        for (int i = 0; i < 3; i++)
                assert_int_equal(write(fd, &value, sizeof(value)), sizeof(value));
        assert_int_equal(read(fd, &value, sizeof(value)), sizeof(value));
        assert_int_equal(value, 3);
        assert_int_equal(read(fd, &value, sizeof(value)), -1);
        assert_int_equal(errno, EAGAIN);
        (void)bt_close(fd);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(a_pidfd_becomes_readable_at_exit_and_not_before),
                cmocka_unit_test(a_robust_mutex_is_marked_by_the_time_its_killed_owner_is_seen_to_end),
                cmocka_unit_test(a_robust_mutex_wakes_a_waiter_when_its_owner_is_killed),
                cmocka_unit_test(the_task_directory_has_a_link_for_each_thread),
                cmocka_unit_test(a_fixed_mapping_without_replacing_spares_what_is_there),
                cmocka_unit_test(a_sealed_memfd_cannot_shrink_or_grow),
                cmocka_unit_test(the_future_write_seal_leaves_our_mapping_writable_and_gives_no_other),
                cmocka_unit_test(futex_waitv_on_shared_memory_names_the_word_another_process_woke),
                cmocka_unit_test(an_eventfd_keeps_all_rings_until_it_is_read),
        };
        const char *bin = getenv("BATON_BIN_DIR");

        (void)snprintf(child_path, sizeof(child_path), "%s/child_spawn", bin ? bin : BATON_BIN_DIR);
        return cmocka_run_group_tests(tests, NULL, NULL);
}
