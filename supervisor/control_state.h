/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* The control socket's requests about states: control_state.c answers them, control.c owns the connections. */

#include "supervisor/hub.h"

/* What a request waits for in the store. A client that leaves only abandons it: what it asked for is done. */
struct bt_state_ask;

/* Takes @fd (-1: none came). Ends in bt_client_answer(), perhaps at once. */
void bt_state_request(struct bt_client *client, struct bt_hub *hub, const struct bt_ctl_request *request, int fd);
void bt_state_abandon(struct bt_state_ask *ask); /* its client is gone; takes NULL */
void bt_state_asks_free(struct bt_hub *hub);     /* the store is closed: nobody will answer them */

/* control.c */
void bt_client_answer(struct bt_client *client, enum bt_ctl_outcome outcome, const char *text); /* @client may be gone after it */
int bt_client_send(struct bt_client *client, enum bt_ctl_kind kind, int fd, uint64_t value0, uint64_t value1); /* 0 or -errno; borrows @fd */
int bt_client_accepted(struct bt_client *client, uint64_t number); /* the request has this number; 0 or -errno */
/* DONE; @client may be gone after it. */
void bt_client_done(struct bt_client *client, enum bt_ctl_outcome outcome, uint64_t value0, uint64_t value1, const char *text);
void bt_client_asks(struct bt_client *client, struct bt_state_ask *ask);                        /* NULL: not any more */
