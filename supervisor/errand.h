/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * A program that the hub sends out for one thing and expects back: a command at an event (hooks.h), a command that is asked before a start (alter.h).
 *
 *      bt_errand_begin() ── exit, or the deadline and SIGKILL ──► over(errand, how) once, from the loop
 *           └─────────────────────────── bt_errand_end() before: killed, waited for, over() is called from there
 *
 * It leads a session and a process group of its own, has /dev/null as its input and the hub's own environment with the caller's variables in front.
 * What it prints goes to the hub's log, line by line behind @label; its stdout can be kept for the caller instead (@answers). When it ends, what is
 * left of its group ends with it: a script that hangs usually hangs in something it started.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "supervisor/hub.h"
#include "supervisor/proc/spawn.h"

struct bt_errand;
typedef void (*bt_errand_fn)(struct bt_errand *errand, const struct bt_proc_exit *how);

/* Starts as zero bytes; embedded in whoever sends it. */
struct bt_errand {
        struct bt_hub *hub;
        bt_errand_fn over;
        bool under_way;
        bool timed_out;
        int answer; /* read end of its stdout, not blocking; @answers only. Closed after over() */
        pid_t pid;
        int pidfd;
        struct bt_loop_watch exit_watch;
        struct bt_loop_timer deadline;
        struct bt_log log;
        const char *tail;    /* in over() alone: the last lines it printed */
        uint32_t tail_bytes;
        char label[BATON_ID_BYTES_MAX + 1];
};

struct bt_errand_start {
        const char *exec;            /* absolute path */
        const char *argv;            /* the first of @argv_count strings, one behind the other as a plan has them */
        uint32_t argv_count;
        const char *const *variables; /* KEY=VALUE, NULL-terminated: over those of the hub */
        const char *label;           /* cut at the room */
        uint64_t timeout_ns;
        bool answers;
        const int *exec_fd; /* instead of the file that @exec names; NULL: that one */
        const int *fds;     /* it gets as 3, 4, .. */
        uint32_t fd_count;
};

/* 0; or -errno with the step that failed, and over() is not called. */
int bt_errand_begin(struct bt_errand *errand, struct bt_hub *hub, const struct bt_errand_start *start, bt_errand_fn over,
                    enum bt_spawn_step *ret_step);
void bt_errand_kill(struct bt_errand *errand); /* its whole group; over() follows from the loop */
void bt_errand_end(struct bt_errand *errand);  /* harmless when none is under way */
