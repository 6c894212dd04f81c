/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Processes the benchmark starts itself: the hub, and the bare ones. Programs are looked for beside this one. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct bench_process {
        pid_t pid;
        int pidfd; /* -1: none */
};

#define BENCH_PROCESS_NULL                                                                         \
        {                                                                                          \
                .pidfd = -1                                                                        \
        }

/* The absolute path of the program @name. 0, or -ENOENT with a complaint that says where it was looked for. */
int bench_program_find(char *ret_path, size_t bytes, const char *name);

/* Executes argv[0], a path, with @out_fd (-1: inherited) as its stdout and stderr. Dies with this thread. 0 or -errno. */
int bench_process_start(struct bench_process *ret_process, char *const argv[], char *const envp[],
                        int out_fd);

/* Waits for its end and reaps it. 0, or -ETIMEDOUT. */
int bench_process_wait(struct bench_process *process, uint64_t timeout_ns);

/* Kills what still runs, reaps it. Harmless when there is none. */
void bench_process_end(struct bench_process *process);

/*
 * From here on SIGINT, SIGTERM and SIGHUP only make bench_interrupted() true, so that what was started is ended and removed; and orphans become
 * children of this process, for bench_process_end_all(): a hub that was killed leaves its children running, by design.
 */
int bench_process_guard(void);
bool bench_interrupted(void);
void bench_process_end_all(void); /* kills and reaps every child there is */

/* Waits for @pidfd, of a process that need not be a child. 0, -ETIMEDOUT or -errno. */
int bench_pidfd_wait(int pidfd, uint64_t timeout_ns);
int bench_pidfd_open(pid_t pid); /* or -errno */

__attribute__((format(printf, 1, 2))) void bench_complain(const char *format, ...);
