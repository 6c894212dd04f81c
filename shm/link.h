/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * The link: control channel between the hub and one process. Its page, its two rings, and what travels over its channel socket.
 *
 * Descriptors cannot go through shared memory, so beside the rings there is one SOCK_SEQPACKET pair, the channel. Order between the two: a message
 * in a ring that speaks of a descriptor is pushed after the descriptor was sent.
 */

#include "shm/ring.h"
#include "shm/segment.h"

/* Beside BATON_LINK_FD: the same number, for a process that is to stop before its first line (docs/spares.md). */
#define BT_HELD_VARIABLE "BATON_HELD_FD"

/* What goes over the channel: one bt_chan with 0 or 1 descriptors, a CLIENT with 2. */
enum bt_chan_type {
        BT_CHAN_KEEP = 1,    /* both ways: @name, one descriptor */
        BT_CHAN_DROP = 2,    /* C->H: @name */
        BT_CHAN_HANDOFF = 3, /* H->C: write end of a hand-off socket; @token: the heir, 0 for a cold swap */
        BT_CHAN_CLIENT = 4,  /* H->C: a client that has opened this child; its mailbox segment, its bell; @token: its number */
        BT_CHAN_CLIENT_GONE = 5, /* H->C: @token: its number */
};
#define BT_CHAN_FDS_MAX 2

struct bt_chan {
        uint32_t type;
        uint32_t reserved;
        uint64_t token;
        char name[64];
};

/* What the hub adds to a process' bell to say that a client is in its channel. The value of a bell means nothing else. */
#define BT_BELL_CHANNEL (UINT64_C(1) << 32)

/* Clients that a hub has at most, and so a child. */
#define BT_MAIL_CLIENTS_MAX 128

/* What goes over a hand-off socket: a head, @count tags, @count descriptors. */
#define BT_HANDOFF_MAGIC UINT32_C(0x46464f48) /* "HOFF" */
#define BT_HANDOFF_GONE_MAGIC UINT32_C(0x454e4f47) /* "GONE" */
#define BT_HANDOFF_FDS_MAX 253

struct bt_handoff {
        uint32_t magic;
        uint32_t count;
        uint64_t first; /* how many were sent before: messages can be missing only visibly */
        uint64_t tags[BT_HANDOFF_FDS_MAX];
};

/* HANDOVER, CAPTURE: flags of the record. */
#define BT_REC_F_HANDOFF 1u /* a hand-off socket was sent over the channel before */
#define BT_REC_F_CROWDED 2u /* of SPIN and HANDOVER: more swaps are under way than there are processors for, so neither watches for the other */

/* A fresh link in its own segment, mapped here. Returns 0 or -errno. */
int bt_link_create(struct bt_seg *ret_seg, int *ret_fd, uint64_t incarnation, uint32_t reason);

/* The child's side: what of a link's head it will use is within bounds. */
bool bt_link_valid(const struct bt_link *link);
