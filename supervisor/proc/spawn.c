/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From a spawn description to a process.
 *
 *      parent                                    child (the parent's memory, a stack of its own)
 *      block all signals
 *      clone(VM | VFORK | PIDFD) ──────────────► setsid, all dispositions to default
 *          (this thread sleeps)                  lift sources above every target, then dup2() each to its target
 *                                                cgroup, processors, niceness, memory policy
 *                                                chdir, RLIMIT_NOFILE, write the pid, empty mask
 *          (wakes)         ◄──────────────────── execveat(fd) ── or: report { step, error }, _exit(127)
 *      restore the mask
 *      report.error? reap, close, return it
 *
 * CLONE_VM because a fork copies page tables: with a gigabyte of children's arenas mapped that is tens of milliseconds; this way the cost is
 * the same for any size. CLONE_VFORK because the child runs in our memory until it execs.
 *
 * Invariants of the child's side (everything marked CHILD_SIDE):
 *   - Only system calls, by syscall(2), so that no interceptor of a sanitizer, no lock and no cancellation point of libc comes between. No heap.
 *   - No handler of ours can run in it: all signals are blocked until each disposition is default. exec would reset handlers, but the mask
 *     must be emptied before exec (it is inherited), and between the two a signal would run our handler on our memory in the wrong process.
 *   - Nothing is written but the report, pid_room and its own stack.
 *   - Every descriptor of ours is CLOEXEC. What the child shall have is moved, and dup2() clears the flag on the copy.
 *   - With a stage (stage.h) it shares our table until close_range() has given it one of its own: nothing is moved, closed or opened before.
 *
 * A signal that kills the child after its mask is empty and before exec looks like a process that died right after its start, and that is what the
 * caller is told by the pidfd.
 *
 * Dropped: clone3() (glibc 2.36 has no wrapper that switches stacks, and an own one is assembly for each architecture; CLONE_INTO_CGROUP will need it);
 * posix_spawn (no pidfd in 2.36, no limits, no pid of the child in its environment); a pre-forked zygote (later, it needs the child's help).
 */
#include "supervisor/proc/spawn.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/close_range.h>
#include <linux/mempolicy.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/fd.h"
#include "supervisor/proc/proc.h"
#include "supervisor/proc/stage.h"

#define SPAWN_SIGNALS 64
#define SIGRTMIN_KERNEL 32

#define CHILD_SIDE __attribute__((no_sanitize("address", "thread", "undefined")))

/*
 * ThreadSanitizer of clang 14 takes clone() for a fork() and locks its runtime around it, once on each side, of which here there is one memory.
 * glibc exports the same function under a second name, which it does not intercept.
 */
#if defined(__has_feature)
#if __has_feature(thread_sanitizer)
/* NOLINTNEXTLINE(bugprone-reserved-identifier,cert-dcl37-c,cert-dcl51-cpp) */
int __clone(int (*fn)(void *arg), void *stack, int flags, void *arg, ...);
#define clone __clone
#endif
#endif

/* Shared by both sides. */
struct spawn_call {
        const struct bt_spawn *spawn;
        const struct bt_spawn_move *moves;
        int exec_fd;
        char *stack_end;     /* NULL: one is mapped for this call, as threads may spawn at the same time */
        unsigned close_from; /* the table is shared: what is below is copied; 0: it is a copy already */
        uint64_t nofile; /* the soft limit to set; 0: leave it */
        uint64_t nofile_hard;
        pid_t parent;
        enum bt_spawn_step step; /* W child: what it is at, so that an error needs no second word */
        int error;               /* W child: positive errno */
};

/* ---- limits the process was started with ---- */

static uint64_t started_nofile;

/* Before main(), because a hub raises its own limit at once, and its children shall not inherit that (select() breaks above 1024). */
__attribute__((constructor)) static void remember_nofile(void)
{
        struct rlimit limit;

        if (getrlimit(RLIMIT_NOFILE, &limit) == 0)
                started_nofile = limit.rlim_cur;
}

static int limits_resolve(struct spawn_call *call)
{
        struct rlimit limit;

        if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
                return -errno;
        call->nofile = call->spawn->nofile ? call->spawn->nofile : started_nofile;
        call->nofile_hard = limit.rlim_max;
        if (!call->spawn->nofile && call->nofile > limit.rlim_max)
                call->nofile = limit.rlim_max; /* the hard limit was lowered since */
        if (call->nofile == limit.rlim_cur)
                call->nofile = 0;
        return 0;
}

/* ---- dispositions ---- */

#define SIGNAL_BIT(signo) (UINT64_C(1) << ((signo) - 1))

static uint64_t not_default = ~UINT64_C(0); /* that a process must reset: unknown, so all */

void bt_spawn_signals_settled(void)
{
        uint64_t found = SIGNAL_BIT(SIGRTMIN_KERNEL) | SIGNAL_BIT(SIGRTMIN_KERNEL + 1); /* libc's own two: it sets them when it needs them */

        for (int signo = 1; signo <= SPAWN_SIGNALS; signo++) {
                unsigned long action[8] = {0}; /* handler and flags come first */

                if (syscall(SYS_rt_sigaction, signo, NULL, action, SPAWN_SIGNALS / 8) == 0 && (action[0] || action[1]))
                        found |= SIGNAL_BIT(signo);
        }
        not_default = found;
}

/* ---- the child's side ---- */

/* The zero of the kernel's struct sigaction is SIG_DFL without flags; its size differs from libc's, hence by hand. All that may be otherwise, libc's own two included. */
CHILD_SIDE static void child_reset_signals(void)
{
        static const unsigned long dfl[8];

        for (int signo = 1; signo <= SPAWN_SIGNALS; signo++) {
                if (not_default & SIGNAL_BIT(signo))
                        (void)syscall(SYS_rt_sigaction, signo, dfl, NULL, SPAWN_SIGNALS / 8);
        }
}

CHILD_SIDE static int child_lift(int from, int above)
{
        return from > above ? from : (int)syscall(SYS_fcntl, from, F_DUPFD_CLOEXEC, above + 1);
}

/*
 * After the first pass no source is a target, so the order of the second does not matter. The lifted copies are CLOEXEC and end with exec. A
 * source that is above all targets already is used as it is. A closed one fails in the one pass or in the other, with EBADF.
 */
CHILD_SIDE static int child_move_fds(const struct spawn_call *call, int *exec_fd)
{
        const struct bt_spawn *spawn = call->spawn;
        int lifted[BT_SPAWN_FDS_MAX];
        int above = -1;

        if (call->close_from && syscall(SYS_close_range, call->close_from, ~0u, CLOSE_RANGE_UNSHARE) < 0)
                return -1;
        for (size_t i = 0; i < spawn->move_count; i++)
                above = call->moves[i].to > above ? call->moves[i].to : above;
        if (*exec_fd >= 0) {
                *exec_fd = child_lift(*exec_fd, above);
                if (*exec_fd < 0)
                        return -1;
        }
        for (size_t i = 0; i < spawn->move_count; i++) {
                lifted[i] = child_lift(call->moves[i].from, above);
                if (lifted[i] < 0)
                        return -1;
        }
        for (size_t i = 0; i < spawn->move_count; i++) {
                if (syscall(SYS_dup3, lifted[i], call->moves[i].to, 0) < 0)
                        return -1;
        }
        return 0;
}

CHILD_SIDE static void child_write_pid(char *room)
{
        char digits[12];
        long pid = syscall(SYS_getpid);
        size_t count = 0;

        do {
                digits[count++] = (char)('0' + pid % 10);
                pid /= 10;
        } while (pid);
        while (count)
                *room++ = digits[--count];
        *room = '\0';
}

CHILD_SIDE static int child_set_limits(const struct spawn_call *call)
{
        const uint64_t limit[2] = {call->nofile, call->nofile_hard};

        if (!call->nofile)
                return 0;
        return (int)syscall(SYS_prlimit64, 0, RLIMIT_NOFILE, limit, NULL);
}

/* The cgroup first: what is used from here on counts there. All by number, because the wrappers of libc may be intercepted. */
CHILD_SIDE static int child_take_place(struct spawn_call *call, const struct bt_spawn_place *place)
{
        uint64_t cpus = 0;

        for (size_t i = 0; i < BT_SPAWN_CPU_WORDS; i++)
                cpus |= place->cpus[i];
        call->step = BT_SPAWN_STEP_CGROUP;
        if (place->cgroup >= 0 && syscall(SYS_write, place->cgroup, "0", 1) < 0)
                return -1;
        call->step = BT_SPAWN_STEP_CPUS;
        if (cpus && syscall(SYS_sched_setaffinity, 0, sizeof(place->cpus), place->cpus) < 0)
                return -1;
        call->step = BT_SPAWN_STEP_NICE;
        if (place->nice) { /* the system call itself returns 20 - nice, so that it is never negative */
                long nice = 20 - syscall(SYS_getpriority, PRIO_PROCESS, 0) + place->nice;

                if (syscall(SYS_setpriority, PRIO_PROCESS, 0, nice) < 0)
                        return -1;
        }
        call->step = BT_SPAWN_STEP_NUMA;
        if (place->numa >= 0) {
                const unsigned long nodes[2] = {1ul << place->numa};

                if (syscall(SYS_set_mempolicy, MPOL_BIND, nodes, sizeof(nodes) * 8) < 0)
                        return -1;
        }
        return 0;
}

CHILD_SIDE static int child_exec(const struct bt_spawn *spawn, int exec_fd)
{
        static const unsigned long none;

        (void)syscall(SYS_rt_sigprocmask, SIG_SETMASK, &none, NULL, SPAWN_SIGNALS / 8);
        if (spawn->run) /* a process of its own: everything is allowed that is after a fork() */
                (void)syscall(SYS_exit_group, spawn->run(spawn->run_arg) & 0xff);
        if (exec_fd >= 0)
                return (int)syscall(SYS_execveat, exec_fd, "", spawn->argv, spawn->envp, AT_EMPTY_PATH);
        return (int)syscall(SYS_execve, spawn->exec_path, spawn->argv, spawn->envp);
}

CHILD_SIDE static int child_steps(struct spawn_call *call)
{
        const struct bt_spawn *spawn = call->spawn;
        int exec_fd = call->exec_fd;

        if (spawn->place && child_take_place(call, spawn->place) < 0)
                return -1;
        call->step = BT_SPAWN_STEP_FDS;
        if (child_move_fds(call, &exec_fd) < 0)
                return -1;
        call->step = BT_SPAWN_STEP_CWD;
        if (spawn->cwd && syscall(SYS_chdir, spawn->cwd) < 0)
                return -1;
        /* After the moves: a target may lie above the new limit. */
        call->step = BT_SPAWN_STEP_LIMITS;
        if (child_set_limits(call) < 0)
                return -1;
        if (spawn->pid_room)
                child_write_pid(spawn->pid_room);
        call->step = BT_SPAWN_STEP_EXEC;
        return child_exec(spawn, exec_fd);
}

CHILD_SIDE static int child_main(void *arg)
{
        struct spawn_call *call = arg;

        if (call->spawn->pid_out)
                *call->spawn->pid_out = (int32_t)syscall(SYS_getpid);
        /* Early: until then a terminal's Ctrl-C is for us too. It cannot fail, a new child leads no group. */
        if (call->spawn->new_session)
                (void)syscall(SYS_setsid);
        if (call->spawn->die_with_parent) {
                (void)syscall(SYS_prctl, PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
                if (syscall(SYS_getppid) != call->parent)
                        (void)syscall(SYS_exit_group, 127); /* it was dead before we asked */
        }
        child_reset_signals();
        (void)child_steps(call);
        call->error = errno;
        (void)syscall(SYS_exit_group, 127);
        return 127;
}

/* ---- the parent's side ---- */

const char *bt_spawn_step_name(enum bt_spawn_step step)
{
        static const char *const names[_BT_SPAWN_STEP_N] = {
                [BT_SPAWN_STEP_NONE] = "none",
                [BT_SPAWN_STEP_CLONE] = "create a process",
                [BT_SPAWN_STEP_FDS] = "move descriptors",
                [BT_SPAWN_STEP_CWD] = "change directory",
                [BT_SPAWN_STEP_LIMITS] = "set limits",
                [BT_SPAWN_STEP_EXEC] = "execute",
                [BT_SPAWN_STEP_CGROUP] = "enter the cgroup of its node",
                [BT_SPAWN_STEP_CPUS] = "use the cpus of its node",
                [BT_SPAWN_STEP_NICE] = "take the nice of its node",
                [BT_SPAWN_STEP_NUMA] = "use the numa of its node",
        };

        return (unsigned)step < _BT_SPAWN_STEP_N ? names[step] : "unknown step";
}

int bt_spawn_move(struct bt_spawn *spawn, int from, int to)
{
        if (from < 0 || to < 0)
                return -EBADF;
        if (spawn->move_count >= BT_SPAWN_FDS_MAX)
                return -ENOSPC;
        spawn->moves[spawn->move_count++] = (struct bt_spawn_move){.from = from, .to = to};
        return 0;
}

/* A copy of this process for spawn->run. */
static int child_fork(struct spawn_call *call, pid_t *ret_pid, int *ret_pidfd)
{
        sigset_t all, before;
        pid_t pid;
        int r;

        (void)sigfillset(&all);
        (void)pthread_sigmask(SIG_BLOCK, &all, &before);
        pid = fork(); /* the C library's: it leaves the heap's locks usable in a copy of a process with threads */
        if (pid == 0)
                (void)child_main(call); /* does not return */
        r = pid < 0 ? -errno : 0;
        (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
        if (r)
                return r;
        *ret_pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
        if (*ret_pidfd < 0) {
                r = -errno;
                (void)kill(pid, SIGKILL);
                (void)waitpid(pid, NULL, 0);
                return r;
        }
        *ret_pid = pid;
        return 0;
}

/* Returns when the child has left our memory: it runs its program, or is dead. */
static int child_clone(struct spawn_call *call, pid_t *ret_pid, int *ret_pidfd)
{
        char *own = call->stack_end ? NULL : bt_stack_map();
        char *end = own ? own : call->stack_end;
        sigset_t all, before;
        int r;

        if (!end)
                return -errno;
        (void)sigfillset(&all);
        (void)pthread_sigmask(SIG_BLOCK, &all, &before);
        *ret_pid = clone(child_main, end,
                         CLONE_VM | CLONE_VFORK | CLONE_PIDFD | (call->close_from ? CLONE_FILES : 0) | SIGCHLD, call, ret_pidfd);
        r = *ret_pid < 0 ? -errno : 0;
        (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
        bt_stack_unmap(own);
        return r;
}

/* 0 with a process, or -errno and none. */
static int start(struct spawn_call *call, pid_t *ret_pid, int *ret_pidfd)
{
        struct bt_proc_exit how;
        int pidfd = -1;
        int r;

        call->step = BT_SPAWN_STEP_CLONE;
        r = call->spawn->run ? child_fork(call, ret_pid, &pidfd) : child_clone(call, ret_pid, &pidfd);
        if (r)
                return r;
        if (call->error) {
                (void)bt_proc_wait(pidfd, &how); /* it is dying; ECHILD where SIGCHLD is ignored: reaped already */
                (void)bt_close(pidfd);
                return -call->error;
        }
        *ret_pidfd = pidfd;
        return 0;
}

/* 1: not this way. */
static int start_staged(struct spawn_call *call, pid_t *ret_pid, int *ret_pidfd)
{
        struct bt_staged staged;
        int r;

        if (!bt_stage_take(&staged, call->spawn))
                return 1;
        call->moves = staged.moves;
        call->exec_fd = staged.exec_fd;
        call->close_from = staged.close_from;
        call->stack_end = staged.stack_end;
        r = start(call, ret_pid, ret_pidfd);
        bt_stage_give_back(&staged);
        if ((r == -ENOSYS || r == -EPERM || r == -EINVAL) && call->step == BT_SPAWN_STEP_FDS) {
                bt_stage_refused();
                r = 1;
        }
        call->moves = call->spawn->moves;
        call->exec_fd = call->spawn->exec_fd;
        call->close_from = 0;
        call->stack_end = NULL;
        return r;
}

int bt_spawn(const struct bt_spawn *spawn, pid_t *ret_pid, int *ret_pidfd, enum bt_spawn_step *ret_step)
{
        struct spawn_call call = {.spawn = spawn, .moves = spawn->moves, .exec_fd = spawn->exec_fd, .parent = getpid()};
        pid_t pid = -1;
        int r;

        *ret_step = BT_SPAWN_STEP_LIMITS;
        r = limits_resolve(&call);
        if (r)
                return r;
        *ret_step = BT_SPAWN_STEP_EXEC;
        if (!spawn->run && spawn->exec_fd < 0 && !spawn->exec_path)
                return -EINVAL;
        r = start_staged(&call, &pid, ret_pidfd);
        if (r > 0) {
                call.error = 0;
                r = start(&call, &pid, ret_pidfd);
        }
        *ret_step = r ? call.step : BT_SPAWN_STEP_NONE;
        if (!r)
                *ret_pid = pid;
        return r;
}

/* ---- binaries ---- */

/* 1: the file begins with "#!". A file that we may execute but not read is none: its interpreter could not read it either. */
static int script_check(int path_fd)
{
        char name[64], head[2];
        BT_CLEANUP(bt_closep) int fd = -1;
        ssize_t bytes;

        /* Through /proc, so that it is this very file also when the path was renamed over meanwhile. */
        (void)snprintf(name, sizeof(name), "/proc/self/fd/%d", path_fd);
        fd = open(name, O_RDONLY | O_CLOEXEC);
        if (fd < 0)
                return errno == EACCES || errno == EPERM ? 0 : -errno;
        bytes = pread(fd, head, sizeof(head), 0);
        if (bytes < 0)
                return -errno;
        return bytes == 2 && head[0] == '#' && head[1] == '!';
}

int bt_spawn_open_exec(int *ret_fd, int *ret_script, const char *path)
{
        BT_CLEANUP(bt_closep) int fd = open(path, O_PATH | O_CLOEXEC);
        struct stat st;
        int script;

        if (fd < 0 || fstat(fd, &st) < 0)
                return -errno;
        if (S_ISDIR(st.st_mode))
                return -EISDIR;
        if (!S_ISREG(st.st_mode))
                return -EACCES; /* as execve() says */
        /* As execve() will check it: the effective user. */
        if (faccessat(fd, "", X_OK, AT_EMPTY_PATH | AT_EACCESS) < 0)
                return -errno;
        script = script_check(fd);
        if (script < 0)
                return script;
        *ret_fd = BT_STEAL_FD(fd);
        *ret_script = script;
        return 0;
}
