/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * What a process inherits, put where the rest of our descriptors is not: for spawn.c only.
 *
 * A clone copies our table of descriptors, and exec walks the copy to close what is CLOEXEC: with ten thousand descriptors that is more than a
 * millisecond for each process, so a thousand children cost more than a thousand times one. A process that shares our table until it makes a copy of
 * its first few entries only (close_range(CLOSE_RANGE_UNSHARE)) costs the same whatever we have. For that, what it is given must be among the first few:
 * a stage of low numbers is reserved early (bt_spawn_stage_open), and what a process shall have is duplicated there for the moment of its start.
 */

#include <stdbool.h>

#include "supervisor/proc/spawn.h"

#define BT_SPAWN_STACK_BYTES ((size_t)64 * 1024) /* the child's side uses under 1 KiB, by -fstack-usage at -O0 */

struct bt_staged {
        struct bt_spawn_move moves[BT_SPAWN_FDS_MAX]; /* the description's, from the stage */
        int exec_fd;
        unsigned close_from; /* nothing from this number on is needed; 0: not staged */
        size_t used;
        char *stack_end; /* of BT_SPAWN_STACK_BYTES, for the child's side; touched before, so that no start pays for its page */
};

/* A stack above a page without access: an overrun faults in the child instead of writing over our memory. Returns its end, or NULL. */
char *bt_stack_map(void);
void bt_stack_unmap(char *end); /* takes NULL */

/* Puts all of @spawn on the stage. False: there is none, somebody else uses it, or a descriptor cannot be had: then it goes without. */
bool bt_stage_take(struct bt_staged *ret_staged, const struct bt_spawn *spawn);
void bt_stage_give_back(const struct bt_staged *staged);
/* The kernel, or a filter of system calls, does not know the way: nothing is staged from here on. */
void bt_stage_refused(void);
