/* SPDX-License-Identifier: Apache-2.0 */
/* See bare_start.h. */
#include "bench/bare_start.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "base/clock.h"
#include "bench/daemon.h"

int bench_bare_open(struct bench_bare_start *bare, uint32_t count)
{
        int r = bench_program_find(bare->program, sizeof(bare->program), "bench-bare");

        if (!r)
                r = bench_muster_create(&bare->muster, count);
        if (r)
                return r;
        bare->processes = calloc(count, sizeof(*bare->processes));
        if (!bare->processes)
                return -ENOMEM;
        bare->count = count;
        for (uint32_t i = 0; i < count; i++)
                bare->processes[i] = (struct bench_process)BENCH_PROCESS_NULL;
        return 0;
}

static int bare_exec(struct bench_bare_start *bare, uint32_t idx)
{
        char role[] = "mark", number[16];
        char *const argv[] = {bare->program, role, bare->muster.path, number, NULL};

        (void)snprintf(number, sizeof(number), "%u", idx);
        return bench_process_start(&bare->processes[idx], argv, environ, -1);
}

static int bare_exec_and_await(struct bench_bare_start *bare, uint32_t idx)
{
        uint32_t served = atomic_load(&bare->muster.head->served);
        int r = bare_exec(bare, idx);

        if (!r)
                r = bench_muster_await(&bare->muster, served + 1);
        if (r)
                bench_complain("a bare process does not start: %s", strerrordesc_np(-r));
        return r;
}

int bench_bare_start(struct bench_bare_start *bare, uint32_t idx, uint64_t *ret_ns)
{
        uint64_t begun = bt_now_ns();
        int r = bare_exec_and_await(bare, idx);

        *ret_ns = r ? 0 : bare->muster.marks[idx].main_ns - begun;
        return r;
}

int bench_bare_restart(struct bench_bare_start *bare, uint32_t idx, uint64_t *ret_ns)
{
        uint64_t begun = bt_now_ns();
        int r = kill(bare->processes[idx].pid, SIGKILL) < 0 ? -errno : 0;

        if (!r)
                r = bench_process_wait(&bare->processes[idx], BENCH_WAIT_NS);
        if (!r)
                r = bare_exec_and_await(bare, idx);
        *ret_ns = r ? 0 : bare->muster.marks[idx].main_ns - begun;
        return r;
}

int bench_bare_start_all(struct bench_bare_start *bare, uint64_t *ret_ns)
{
        uint32_t served = atomic_load(&bare->muster.head->served);
        uint64_t begun = bt_now_ns();
        int r = 0;

        for (uint32_t i = 0; !r && i < bare->count; i++)
                r = bare_exec(bare, i);
        if (!r)
                r = bench_muster_await(&bare->muster, served + bare->count);
        *ret_ns = bt_now_ns() - begun;
        if (r)
                bench_complain("the bare processes do not all start: %s", strerrordesc_np(-r));
        return r;
}

static int bare_fork(struct bench_bare_start *bare, uint32_t idx)
{
        struct bench_process *process = &bare->processes[idx];
        pid_t pid = fork();

        if (pid < 0)
                return -errno;
        if (pid == 0) {
                uint64_t now = bt_now_ns();

                (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
                bench_muster_served(&bare->muster, idx, now, now);
                for (;;)
                        (void)pause();
        }
        process->pid = pid;
        process->pidfd = bench_pidfd_open(pid);
        return process->pidfd < 0 ? process->pidfd : 0;
}

int bench_bare_fork_all(struct bench_bare_start *bare, uint64_t *ret_ns)
{
        uint32_t served = atomic_load(&bare->muster.head->served);
        uint64_t begun = bt_now_ns();
        int r = 0;

        (void)fflush(NULL); /* what is not written yet would be there twice */
        for (uint32_t i = 0; !r && i < bare->count; i++)
                r = bare_fork(bare, i);
        if (!r)
                r = bench_muster_await(&bare->muster, served + bare->count);
        *ret_ns = bt_now_ns() - begun;
        if (r)
                bench_complain("the bare processes cannot all be forked: %s", strerrordesc_np(-r));
        return r;
}

int bench_bare_replace_all(struct bench_bare_start *bare, uint64_t *ret_ns)
{
        struct bench_process *old = calloc(bare->count, sizeof(*old));
        uint32_t served = atomic_load(&bare->muster.head->served);
        uint64_t begun = bt_now_ns();
        int r = old ? 0 : -ENOMEM;

        for (uint32_t i = 0; !r && i < bare->count; i++) {
                old[i] = bare->processes[i];
                bare->processes[i] = (struct bench_process)BENCH_PROCESS_NULL;
                r = bare_fork(bare, i);
                (void)kill(old[i].pid, SIGKILL);
        }
        for (uint32_t i = 0; old && i < bare->count; i++)
                bench_process_end(&old[i]);
        if (!r)
                r = bench_muster_await(&bare->muster, served + bare->count);
        *ret_ns = bt_now_ns() - begun;
        free(old);
        if (r)
                bench_complain("the bare processes cannot all be replaced: %s",
                               strerrordesc_np(-r));
        return r;
}

void bench_bare_end(struct bench_bare_start *bare)
{
        for (uint32_t i = 0; i < bare->count; i++) {
                if (bare->processes[i].pid > 0)
                        (void)kill(bare->processes[i].pid, SIGKILL);
        }
        for (uint32_t i = 0; i < bare->count; i++)
                bench_process_end(&bare->processes[i]);
}

void bench_bare_close(struct bench_bare_start *bare)
{
        bench_bare_end(bare);
        free(bare->processes);
        bench_muster_destroy(&bare->muster);
        *bare = (struct bench_bare_start)BENCH_BARE_NULL;
}
