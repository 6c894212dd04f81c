/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * One request to a hub (supervisor/control.h) and its replies, with one deadline over all of it.
 *
 *      r = bt_ask_open(&ask, runtime, "shop", timeout_ns);
 *      r = bt_ask_send(&ask, &request, -1);
 *      while (!(r = bt_ask_reply(&ask, &reply, &fd)) && reply.kind != BT_CTL_DONE)
 *              ...
 *      bt_ask_close(&ask);
 */

#include <stdint.h>
#include <sys/types.h>

#include "supervisor/control.h"

struct bt_ask {
        int fd;
        int pidfd; /* of the hub; -1: cannot be had */
        pid_t pid;
        uint64_t deadline_ns;
};

#define BT_ASK_NULL {.fd = -1, .pidfd = -1}

enum bt_ask_result {
        BT_ASK_E_TIMED_OUT = 1,
        BT_ASK_E_CLOSED = 2,   /* the hub closed the connection */
        BT_ASK_E_NONSENSE = 3, /* a reply that is none: a hub of another version */
};

/* Connects to @runtime/@hub/control.sock. Returns 0, BT_ASK_E_TIMED_OUT, or -errno (-ENOENT, -ECONNREFUSED: it does not run). */
int bt_ask_open(struct bt_ask *ret_ask, const char *runtime, const char *hub, uint64_t timeout_ns);

/* @fd: sent along, borrowed; -1: none. Returns 0 or -errno. */
int bt_ask_send(const struct bt_ask *ask, const struct bt_ctl_request *request, int fd);

/* The next reply. Its strings are terminated. @ret_fd: what came with it, the caller's; -1: nothing. Returns 0, BT_ASK_E_*, or -errno. */
int bt_ask_reply(const struct bt_ask *ask, struct bt_ctl_reply *ret_reply, int *ret_fd);

/* Waits until the hub's process has ended. Returns 0, BT_ASK_E_TIMED_OUT, or -errno. */
int bt_ask_gone(const struct bt_ask *ask);

void bt_ask_close(struct bt_ask *ask);
