/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * What a process is started with: its arguments, its environment, its descriptors, and where it will be found by a hub that comes after this one. It is described here
 * and made in inc.c, by exec or by a fork of a zygote: a description does not know which.
 */

#include "supervisor/function.h"
#include "supervisor/hub.h"
#include "supervisor/notify.h"

#define BT_START_PID_TEXT "LISTEN_PID=0000000000\0"

/* What only the start needs, and closes behind it. It points into itself: it stays where it is. */
struct bt_inc_start {
        struct bt_spawn spawn;
        int link_fd;
        int link_to; /* its number in the process */
        int child_channel;
        int handoff_end;
        int out_end;
        int err_end;
        char link_env[32];
        char held_env[32];
        char listen_env[32];
        char names_env[16 + BT_CHILD_SOCKETS_MAX * (BATON_NAME_BYTES_MAX + 1) + BT_KEPT_MAX * sizeof(((struct bt_kept_fd *)NULL)->name)];
        uint32_t listen_count;
        char notify_env[BT_NOTIFY_ENV_BYTES];
        char watchdog_env[48];
        char pid_env[sizeof(BT_START_PID_TEXT)];
        char id_env[16 + BATON_ID_BYTES_MAX];
        char node_env[16 + BT_NODE_NAME_BYTES];
        char mode_env[32];
        char **argv;
        char **envp;
        struct bt_function_call call; /* of a function */
};

struct bt_inc_start *bt_start_new(void);                        /* NULL: no memory */
struct bt_inc_start *bt_start_free(struct bt_inc_start *start); /* takes NULL */

/* Fills it, and makes what @inc has of the process: its link, bell and channel. Its logs are open. 0 or -errno. */
int bt_start_describe(struct bt_inc_start *start, struct bt_inc *inc, const struct bt_inc_spawn *how);
/* Before the process exists: see registry.h. */
void bt_start_register(struct bt_inc_start *start, struct bt_inc *inc, const struct bt_hub_node *node);
