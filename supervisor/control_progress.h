/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * What a client is told of a request while it goes on. Each word wakes the client, and where many swaps are under way that is thousands of wake-ups on
 * processors which others want: so in a crowd (bt_hub_crowded()) what happens within 2 ms is sent together, in order, each with the time at which it was true.
 * What a full socket does not take is kept, up to a thousand words, and what comes then is dropped: a client that never reads costs no more than that.
 */
#include "supervisor/control.h"
#include "supervisor/hub.h"

struct bt_progress {
        struct bt_hub *hub;
        int fd; /* borrowed */
        struct bt_list waiting;
        uint32_t waiting_count;
        uint32_t dropped; /* the client did not read for too long, or has gone */
        struct bt_loop_timer timer;
};

void bt_progress_init(struct bt_progress *progress, struct bt_hub *hub, int fd);
void bt_progress_deinit(struct bt_progress *progress);
void bt_progress_tell(struct bt_progress *progress, const struct bt_ctl_reply *reply);
/* Before anything else is sent. False: some are left, because the socket is full; they are tried again. */
bool bt_progress_flush(struct bt_progress *progress);
