/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Children that are functions of the program the hub is in: a process of the child is a fork() of that program which executes nothing.
 *
 *      hub's process                               fork
 *      hide shared mappings (MADV_DONTFORK)
 *      bt_spawn(.run) ───────────────────────────► descriptors moved to 0, 1, 2, 3.. as for a program
 *                                                  forget the registry, close every other descriptor
 *                                                  baton_child_open_at(), the function, baton_child_close(), _exit()
 *
 * The copy has none of the hub's descriptors, none of its shared mappings (other children's links and batons, the ring, the store) and no duty towards
 * them: it never returns into the caller's code, and no atexit() handler runs. It has a copy of the private memory: what the program knew at that
 * moment the function knows, which is the point, and what it changes is its own. The link, the baton, the node and the hand-off
 * socket are found at the same numbers as in a program, so everything after the start, adoption by a later hub included, is the same.
 *
 * Such a child is written as a bt_binary without a file: what was committed is what a restart runs, and an upgrade may go from a function to a
 * program, or back.
 */

#include <sys/types.h>

#include <baton/child.h>

#include "supervisor/hub.h"

struct bt_function {
        struct bt_list node;                  /* in the embedding's list: they live as long as the hub */
        const struct baton_child_ops *ops;    /* borrowed */
        int (*main)(struct baton_child *child, void *ctx); /* NULL: baton_child_run() */
        void *ctx;
};

/* What the forked side needs; lives on the stack of the start. */
struct bt_function_call {
        const struct bt_function *function;
        struct bt_hub *hub;
        const char *id;
        const char *socket_names; /* "http:admin" */
        uint32_t socket_count;
        int link_fd;
        int last_fd; /* the highest that it keeps */
};

/* @name: for people and for the registry. */
int bt_binary_function(struct bt_binary **ret_binary, const struct bt_function *function, const char *name);
bool bt_function_same(const struct bt_function *a, const struct bt_function *b);

/* Has the next fork() leave out what @hub shares with children and kernel. @state_dir: of the store, resolved; NULL: none. 0 or -errno. */
int bt_function_hide(const char *state_dir);

/* The forked side, from bt_spawn.run. Returns the exit status. */
int bt_function_run(void *call_of);
