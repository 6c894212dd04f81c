/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * The upgrade of the hub itself, in place: the same process goes on as another program (docs/upgrade.md).
 *
 *      asked ──► RESTING: until nothing is under way ──► REHEARSING: the new program reads a copy of what it will be given ──► RESTING ──► exec
 *                   │ not within the deadline                │ it cannot, or does not say that it can                              │ it fails
 *                   └──► refused, and why: BT_CTL_TIMED_OUT  └──► refused, with its words: BT_CTL_FAILED                           └──► the same
 *
 * While it waits the hub goes on as ever, but starts nothing ahead of need. Whoever asked is told by the new program that it goes on, by this one that it
 * does not.
 */

#include <stdbool.h>
#include <stdint.h>

#include "supervisor/hub.h"

#define BT_RENEWAL_WAIT_NS                                                                         \
        (10 * UINT64_C(1000000000)) /* for rest, unless the request says something else */

struct bt_client;
struct bt_renewal;

/* BT_CTL_HUB_UPGRADE. Takes @fd (-1: none came). Ends in bt_client_answer(), perhaps at once. */
void bt_renewal_request(struct bt_client *client, struct bt_hub *hub,
                        const struct bt_ctl_request *request, int fd);
void bt_renewal_abandon(
        struct bt_renewal *renewal);      /* its client has left: it goes on. Takes NULL */
void bt_renewal_stop(struct bt_hub *hub); /* the hub stops: refused */

/* What keeps the hub from rest, as the end of "busy: "; NULL: nothing but what the store may be at work on. */
const char *bt_renewal_busy(const struct bt_hub *hub, char *text, size_t bytes);
/* That, when it is. Of children whose checkpoints go to the disk there is always one under way, unless they have to wait. */
const char *bt_renewal_store_busy(const struct bt_hub *hub);

/* ---- control.c ---- */

const char *bt_hub_control_busy(const struct bt_hub *hub); /* the same, of requests */
/* It waits for this; NULL: not any more. @ret_fd: its connection, borrowed. */
void bt_client_renews(struct bt_client *client, struct bt_renewal *renewal, int *ret_fd);

/* ---- rehearse.c ---- */

#define BT_REHEARSED_MAGIC UINT64_C(0x534e48414554544d)

/* What a program says on its stdout that has read it all: a program that merely ends well says nothing. */
struct bt_rehearsed {
        uint64_t magic;
        uint64_t xxh3; /* of what it read */
        uint32_t children;
        uint32_t reserved;
};

/* batond --rehearse: its exit status. @carry, @plan: descriptors. */
int bt_rehearse(int carry, int plan);
#define BT_REHEARSE_CARRY_FD 3
#define BT_REHEARSE_PLAN_FD  4
