/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * What a process that uses libbaton needs of us, made before it is needed: its link page, its bell, its channel. One set for all children of a hub, made again
 * behind each start, while the new process executes its program; who finds none makes one.
 */

#include "shm/segment.h"
#include "supervisor/loop/loop.h"

struct bt_hub;

struct bt_stock_set {
        struct bt_seg link_seg;
        int link_fd;
        int bell;       /* eventfd */
        int channel[2]; /* ours, the process' */
};

struct bt_stock {
        struct bt_stock_set set;
        struct bt_loop_timer timer;
        bool full;
};

/* A set, whose every part is the caller's, with a link page that says @incarnation and @reason. 0 or -errno. */
int bt_stock_take(struct bt_hub *hub, struct bt_stock_set *ret_set, uint64_t incarnation, uint32_t reason);
void bt_stock_deinit(struct bt_stock *stock);
