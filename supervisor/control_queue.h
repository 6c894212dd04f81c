/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* `baton queue`: what waits in the children's mailboxes, as an array in a memfd. control.c owns the connection. */

#include "supervisor/hub.h"

/* Answers, and ends the request. @client may be gone after it. */
void bt_queue_request(struct bt_client *client, struct bt_hub *hub,
                      const struct bt_ctl_request *request);
