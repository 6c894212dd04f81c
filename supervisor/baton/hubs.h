/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Which hub a command is about, and the way there with its error messages. */

#include "supervisor/baton/ask.h"
#include "supervisor/baton/command.h"

struct bt_hub_place {
        const char *runtime; /* directory of all hubs */
        const char *name;
};

/* --hub, else $BATON_HUB, else the one that runs. Returns enum bt_exit; complains unless OK. */
int bt_hubs_choose(struct bt_hub_place *ret_place, struct bt_command *command);

/* Connects and sends. Returns enum bt_exit; complains unless OK. @fd: sent along, borrowed; -1: none. */
int bt_hubs_ask(struct bt_ask *ret_ask, const struct bt_hub_place *place, const struct bt_ctl_request *request, int fd,
                uint64_t timeout_ns);

/* Complains about a result of bt_ask_reply() that is not 0; returns enum bt_exit. */
int bt_hubs_lost(const struct bt_hub_place *place, int result);

/* A request with its head filled in. */
struct bt_ctl_request bt_hubs_request(enum bt_ctl_op op);
