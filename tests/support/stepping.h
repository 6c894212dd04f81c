/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Death at every instruction: the tracer. A program of tests/support does one small thing to shared memory between two stops; it is single-stepped through that
 * and killed after k instructions, for every k from 0 until it survives. Each k is a process of its own that really dies; nothing is assumed about which
 * instruction is a store.
 *
 *      the program: twin_map(), ptrace(PTRACE_TRACEME), stepping_mark(), the thing, stepping_mark()
 *
 * For files with cmocka's headers before this one; the program's side needs stepping_mark() only.
 */

#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>

#include "tests/support/twin.h"

#define STEPPING_MAX     20000   /* deaths: a run that never survives is a failure, not a hang */
#define STEPPING_RUN_MAX 1000000 /* instructions of one run */
#define STEPPING_REFUSED 77

/* With a sanitizer there are three instructions for each of ours, and most of them are its own: each third is looked at, with BATON_LONG each. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define STEPPING_STRIDE 3
#else
#define STEPPING_STRIDE 1
#endif

struct stepping {
        const char *program;
        const int *memory_fd;
};

/* In the program: everything between two of them is counted. */
static inline void stepping_mark(void)
{
        (void)raise(SIGSTOP);
}

/* Waits for a stop; returns its signal, or minus the exit status. */
static inline int stepping_stop_of(pid_t pid)
{
        int status;

        if (waitpid(pid, &status, 0) != pid)
                abort();
        return WIFSTOPPED(status) ? WSTOPSIG(status) : -(WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status));
}

/* A container's seccomp filter may forbid tracing; then a sentence about it is printed. */
static inline bool stepping_allowed(const struct stepping *stepping, const char *verb)
{
        pid_t pid = twin_start(stepping->program, verb, NULL, *stepping->memory_fd);
        int stop = stepping_stop_of(pid);

        if (stop > 0 && ptrace(PTRACE_SINGLESTEP, pid, NULL, NULL) < 0)
                stop = -STEPPING_REFUSED;
        if (stop > 0)
                (void)twin_kill(pid);
        if (stop == -STEPPING_REFUSED)
                printf("skipped: ptrace(2) is not allowed here, so nothing can be stepped\n");
        return stop != -STEPPING_REFUSED;
}

#ifdef CMOCKA_H_

static inline long stepping_stride(void)
{
        long stride = STEPPING_STRIDE;

        if (getenv("BATON_LONG"))
                stride = 1;
        return stride;
}

/* Runs @verb and kills it after @k instructions. Returns how many it made: fewer, it had done everything before that. */
static inline long stepping_run(const struct stepping *stepping, const char *verb, long k)
{
        pid_t pid = twin_start(stepping->program, verb, NULL, *stepping->memory_fd);
        bool survived = false;
        int stop = stepping_stop_of(pid);
        long made = 0;

        if (stop != SIGSTOP)
                fail_msg("%s: did not start: %d", verb, stop);
        while (made < k && !survived) {
                if (ptrace(PTRACE_SINGLESTEP, pid, NULL, NULL) < 0)
                        fail_msg("cannot step");
                stop = stepping_stop_of(pid);
                if (stop != SIGTRAP && stop != SIGSTOP)
                        fail_msg("%s: ended by itself: %d", verb, stop);
                survived = stop == SIGSTOP;
                made += !survived;
        }
        assert_int_equal(twin_kill(pid), 128 + SIGKILL);
        return made;
}

/* True: it had done everything before. */
static inline bool stepping_die_after(const struct stepping *stepping, const char *verb, long k)
{
        return stepping_run(stepping, verb, k) < k;
}

static inline void stepping_seen(const char *verb, const char *how, long k, const long seen[3], bool wounds)
{
        print_message("%s: %ld instructions, %s after %ld of them: %ld old, %ld wounded, %ld new\n", verb, k, how, seen[0] + seen[1] + seen[2], seen[0], seen[2],
                      seen[1]);
        assert_true(seen[0] && seen[1]);
        assert_int_equal(seen[2] != 0, wounds);
}

/*
 * All deaths of @verb. @prepare makes the memory before each, @check looks at it after: 0 old, 1 new, 2 wounded and says so. Both sides of the change must
 * come up, so a test cannot pass by never getting there; wounds come up exactly when @wounds says so.
 */
static inline void stepping_die_everywhere(const struct stepping *stepping, const char *verb, void (*prepare)(void), int (*check)(void), bool wounds)
{
        long seen[3] = {0};
        bool survived = false;
        long k;

        for (k = 0; !survived; k += stepping_stride()) {
                int what;

                assert_true(k < STEPPING_MAX);
                prepare();
                survived = stepping_die_after(stepping, verb, k);
                what = check();
                if (survived)
                        assert_int_equal(what, 1);
                seen[what]++;
        }
        stepping_seen(verb, "killed", k, seen, wounds);
}

/*
 * The same in one run, for changes of thousands of instructions: after each of them the process is stopped, what it has stored so far is what it would leave
 * if it were killed there, @check looks at that, and the @bytes of @memory are put back as they were. With BATON_LONG it is killed, as above.
 */
static inline void stepping_stop_everywhere(const struct stepping *stepping, const char *verb, void *memory, size_t bytes, void (*prepare)(void),
                                            int (*check)(void), bool wounds)
{
        char *saved = malloc(bytes);
        long seen[3] = {0}, k = 0;
        int stop, what;
        pid_t pid;

        if (getenv("BATON_LONG")) {
                free(saved);
                stepping_die_everywhere(stepping, verb, prepare, check, wounds);
                return;
        }
        assert_non_null(saved);
        prepare();
        pid = twin_start(stepping->program, verb, NULL, *stepping->memory_fd);
        stop = stepping_stop_of(pid);
        assert_int_equal(stop, SIGSTOP);
        do {
                if (k++ % stepping_stride() == 0) {
                        memcpy(saved, memory, bytes);
                        what = check();
                        memcpy(memory, saved, bytes);
                        seen[what]++;
                }
                assert_true(k < STEPPING_MAX);
                assert_int_equal(ptrace(PTRACE_SINGLESTEP, pid, NULL, NULL), 0);
                stop = stepping_stop_of(pid);
        } while (stop == SIGTRAP);
        assert_int_equal(stop, SIGSTOP);
        what = check();
        assert_int_equal(what, 1);
        seen[what]++;
        assert_int_equal(twin_kill(pid), 128 + SIGKILL);
        free(saved);
        stepping_seen(verb, "stopped", k, seen, wounds);
}

#endif
