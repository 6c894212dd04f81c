/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * A second process for tests of shared memory: a program of tests/support/child_*.c, executed, with one memfd as its descriptor 3.
 *
 *      fd = twin_memory(sizeof(*ring), &ring);
 *      pid = twin_start("child_shm", "produce", "100000", fd);
 *      ... work with ring ...
 *      assert_int_equal(twin_end(pid), 0);
 *
 * Nothing here has a time limit of its own: a twin that hangs is found by the time limit of the test, and dies with its parent.
 */

#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#define TWIN_FD 3

/* Shared memory of @bytes zeroes, mapped here. Returns its descriptor. */
static inline int twin_memory(size_t bytes, void *ret_at)
{
        int fd = memfd_create("twin", MFD_CLOEXEC);
        void *at;

        if (fd < 0 || ftruncate(fd, (off_t)bytes) < 0)
                abort();
        at = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
        if (at == MAP_FAILED)
                abort();
        *(void **)ret_at = at;
        return fd;
}

static inline pid_t twin_start(const char *program, const char *verb, const char *arg, int fd)
{
        char path[4096];
        char *argv[] = {path, (char *)(uintptr_t)verb, (char *)(uintptr_t)arg, NULL};
        posix_spawn_file_actions_t actions;
        pid_t pid;
        int r, high;

        (void)snprintf(path, sizeof(path), "%s/%s", BATON_BIN_DIR, program);
        high = fcntl(fd, F_DUPFD_CLOEXEC, 100); /* dup2() of a descriptor to itself would leave it close-on-exec */
        if (high < 0 || posix_spawn_file_actions_init(&actions) ||
            posix_spawn_file_actions_adddup2(&actions, high, TWIN_FD))
                abort();
        r = posix_spawn(&pid, path, &actions, NULL, argv, environ);
        (void)posix_spawn_file_actions_destroy(&actions);
        (void)close(high);
        if (r) {
                (void)fprintf(stderr, "cannot execute %s: error %d\n", path, r);
                abort();
        }
        return pid;
}

/* Exit status; a signal is 128 and its number, as in the shell. */
static inline int twin_end(pid_t pid)
{
        int status = 0;

        if (waitpid(pid, &status, 0) != pid)
                abort();
        return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static inline int twin_kill(pid_t pid)
{
        (void)kill(pid, SIGKILL);
        return twin_end(pid);
}

/* In the twin: does not outlive the test. */
static inline void twin_die_with_parent(void)
{
        (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (getppid() == 1)
                _exit(98);
}

/* In the twin: the memory of descriptor 3. */
static inline void *twin_map(size_t bytes)
{
        void *at = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, TWIN_FD, 0);

        if (at == MAP_FAILED)
                _exit(97);
        return at;
}
