/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Starting a process is data: a list of fd moves, an environment, an executable. Built and tested without forking; run by bt_spawn().
 *
 * clone(CLONE_VM | CLONE_VFORK | CLONE_PIDFD) on a stack of its own, so the cost does not grow with the hub. All signals are blocked around it; the
 * child resets handlers to default and its mask to empty, then moves descriptors, then execs. A failure on the way comes back as the
 * call's own return value, with the step that failed.
 *
 * With @run there is no program and no memory to share: it is fork(), whose cost grows with the page tables of the caller, and a step that fails
 * in the child is exit status 127. The pidfd is opened after it, so nobody else in the process may reap the child (wait(-1), SIGCHLD ignored).
 */

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define BT_SPAWN_FDS_MAX 96
#define BT_SPAWN_CPU_WORDS 16

/* @from in the parent appears as @to in the child, without CLOEXEC. Moves cannot trample each other (sources are first lifted above all targets). */
struct bt_spawn_move {
        int from;
        int to;
};

/* Where it runs. What cannot be given fails the start: a process in the wrong place is worse than none. */
struct bt_spawn_place {
        uint64_t cpus[BT_SPAWN_CPU_WORDS]; /* a bit each; none: those of the caller */
        int nice;                          /* added to the caller's */
        int numa;                          /* memory from this NUMA node alone; -1: as the caller */
        int cgroup;                        /* of a cgroup.procs, open for writing; -1: the caller's */
};

#define BT_SPAWN_PLACE_NULL {.numa = -1, .cgroup = -1}

struct bt_spawn {
        int exec_fd;             /* O_PATH or O_RDONLY; executed with execveat(AT_EMPTY_PATH). For a "#!" script or -1: @exec_path */
        const char *exec_path;
        char *const *argv;
        char *const *envp;       /* complete */
        const char *cwd;         /* NULL: inherited; else make @exec_path absolute: it is looked up after the change */
        struct bt_spawn_move moves[BT_SPAWN_FDS_MAX];
        size_t move_count;
        char *pid_room;          /* inside one of @envp's strings: the child writes its pid here, decimal and NUL (LISTEN_PID): 12 bytes; NULL: none */
        int32_t *pid_out;        /* the child stores its pid here before anything else: it is known even if the hub dies this instant; NULL: none */
        const struct bt_spawn_place *place; /* NULL: the caller's */
        int new_session;         /* 1: setsid(), so that a terminal's Ctrl-C reaches the hub only */
        int (*run)(void *arg);   /* instead of a program: a fork() of the caller runs this after the moves, and ends with what it returns; NULL: execute */
        void *run_arg;
        int die_with_parent;     /* 1: SIGKILL when the thread that started it ends (PR_SET_PDEATHSIG) */
        uint64_t nofile;         /* RLIMIT_NOFILE soft limit, at most the hard one; 0: as the hub was started with (noted before main()) */
};

enum bt_spawn_step {
        BT_SPAWN_STEP_NONE = 0,
        BT_SPAWN_STEP_CLONE = 1,
        BT_SPAWN_STEP_FDS = 2,
        BT_SPAWN_STEP_CWD = 3,
        BT_SPAWN_STEP_LIMITS = 4,
        BT_SPAWN_STEP_EXEC = 5,
        BT_SPAWN_STEP_CGROUP = 6,
        BT_SPAWN_STEP_CPUS = 7,
        BT_SPAWN_STEP_NICE = 8,
        BT_SPAWN_STEP_NUMA = 9,
        _BT_SPAWN_STEP_N,
};
const char *bt_spawn_step_name(enum bt_spawn_step step);

#define BT_SPAWN_NULL {.exec_fd = -1}

/* Adds a move. Returns 0, -ENOSPC, or -EBADF for a negative number. */
int bt_spawn_move(struct bt_spawn *spawn, int from, int to);

/* Returns 0 with the pid and a pidfd (O_CLOEXEC, owned by the caller), or -errno with the step. When exec fails the dead child is already reaped. */
int bt_spawn(const struct bt_spawn *spawn, pid_t *ret_pid, int *ret_pidfd, enum bt_spawn_step *ret_step);

/*
 * For whoever has thousands of descriptors and starts many processes: from here on a start costs the same however many there are (stage.h). Early, while low numbers are
 * free; 98 descriptors. @keep_fd: a process keeps a copy of it until it executes its program, as of all of them without this.
 */
void bt_spawn_stage_open(int keep_fd);
void bt_spawn_stage_close(void);

/* From here on this program changes the disposition of no signal: a process resets those that are not the default now, instead of all 64, 20 us. For a program that is all ours. */
void bt_spawn_signals_settled(void);

/* Opens a binary to be pinned: O_PATH, regular, executable; *ret_script 1 when it begins with "#!" (then it can only be run by path). 0 or -errno. */
int bt_spawn_open_exec(int *ret_fd, int *ret_script, const char *path);
