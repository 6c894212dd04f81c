/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * The other side of sd_notify(3), for children whose protocol is `notify`: docs/notify.md.
 *
 * Each process has a datagram socket of its own under the runtime directory. What arrives is text, by contract; it is read here and nowhere else in the
 * hub, bounded in length and number, and nothing in it is trusted: it can harm its own child only (I6).
 */

#include <stddef.h>
#include <stdint.h>

struct bt_hub;
struct bt_inc;
struct bt_notify; /* of one process: bt_inc.notify */

#define BT_NOTIFY_ENV_BYTES 160

/* Removes what a hub that was killed left in the runtime directory. */
void bt_notify_clean(struct bt_hub *hub);

/* Makes the socket of @inc, which is about to be started. @ret_env: NOTIFY_SOCKET=... 0 or -errno. */
int bt_notify_open(struct bt_inc *inc, char ret_env[BT_NOTIFY_ENV_BYTES]);
/* It was started: listens. 0 or -errno. */
int bt_notify_watch(struct bt_inc *inc);
/* Reads all that it said; before its end is dealt with. */
void bt_notify_listen(struct bt_inc *inc);
void bt_notify_close(struct bt_inc *inc);
