/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * What a client (client-api/) and the hub (supervisor/callers.c) say to each other. It begins as any request on the control socket (BT_CTL_ATTACH); then the
 * connection stays, and carries these records and descriptors:
 *
 *      client                                       hub
 *      HELLO {slots, bytes, region} ──────────────►
 *                                   ◄────────────── WELCOME {client} + its segment, its bell
 *      HOLDS {numbers of both}      ──────────────►                                               for the next hub, see below
 *      OPEN {token, name} ────────────────────────►
 *                                   ◄────────────── MEMBER {token, id} + mailbox, its bell        one for each child of that name
 *                                   ◄────────────── OPENED {token, count}  or  REFUSED {token, error, text}
 *                                   ◄────────────── MEMBER, REMOVED {id}                          later, as children come and go
 *
 * After a hub was killed the client has its number and its segment still, and says so to the next one:
 *
 *      AGAIN {client} + segment, bell ────────────►
 *                                   ◄────────────── WELCOME {client}                              or REFUSED: begin with HELLO
 *
 * Before that, the next hub takes duplicates of both out of the client's process (pidfd_getfd), by the numbers that HOLDS gave: a process that it starts meanwhile
 * has to know where the client's answers go. Where it may not, such a process drops them.
 *
 * The hub answers an OPEN with as many records as the pool has members, when the socket has room for them. A MEMBER may be said twice. The end of the
 * connection is the end of the client: nothing else has to be said.
 */

#include <assert.h>
#include <stdint.h>

#define BT_ATTACH_MAGIC       UINT32_C(0x54544142) /* "BATT" */
#define BT_ATTACH_TARGETS_MAX 64                   /* of one client */
#define BT_ATTACH_CLIENTS_MAX                                                                      \
        128 /* of one hub: as many announcements fit into the channel of a process that does not read */

enum bt_attach_type {
        BT_ATTACH_HELLO =
                1, /* C->H: arg[0]: slots of the reply ring, arg[1]: bytes of each, arg[2]: bytes of the region */
        BT_ATTACH_AGAIN = 2, /* C->H: with the segment and the bell */
        BT_ATTACH_OPEN = 3,  /* C->H: @name */
        BT_ATTACH_HOLDS =
                4, /* C->H: arg[0], arg[1]: numbers of the segment and the bell in the client's process */
        BT_ATTACH_WELCOME =
                16, /* H->C: answer to HELLO (with segment and bell) and to AGAIN (without) */
        BT_ATTACH_REFUSED =
                17, /* H->C: @error, @text; @token 0: to HELLO or AGAIN, then the hub closes; else to OPEN */
        BT_ATTACH_MEMBER =
                18, /* H->C: @name: id of the child; with its mailbox and that one's bell */
        BT_ATTACH_OPENED = 19,  /* H->C: arg[0]: how many members there are now */
        BT_ATTACH_REMOVED = 20, /* H->C: @name: that child is no more */
        _BT_ATTACH_N,
};

struct bt_attach {
        uint32_t magic;
        uint32_t type;   /* enum bt_attach_type */
        uint32_t client; /* number; WELCOME, AGAIN */
        int32_t error;   /* REFUSED: -errno */
        uint64_t token;  /* the client's number of the target, from 1 on */
        uint64_t arg[3];
        char name[64]; /* NUL-terminated */
        char text[192];
};
static_assert(sizeof(struct bt_attach) == 304, "no holes");
