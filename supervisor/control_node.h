/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* The control socket's requests about nodes: control_node.c answers them, control.c owns the connections. */

#include "supervisor/node_ask.h"

/* Takes @fd (-1: none came). Ends in bt_client_answer() or bt_client_final(), perhaps at once. */
void bt_node_request(struct bt_client *client, struct bt_hub *hub,
                     const struct bt_ctl_request *request, int fd);

/* control.c */
int bt_client_reply(struct bt_client *client,
                    struct bt_ctl_reply *reply); /* fills in its head; 0 or -errno */
void bt_client_event(struct bt_client *client, const struct bt_child *child, const char *phase,
                     enum bt_ctl_outcome outcome, uint64_t incarnation, uint64_t value0,
                     uint64_t value1, const char *text);
void bt_client_final(
        struct bt_client *client,
        const struct bt_ctl_reply *done); /* its kind is filled in; @client may be gone after it */
void bt_client_asks_node(struct bt_client *client,
                         struct bt_node_ask *ask); /* NULL: not any more */
