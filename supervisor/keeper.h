/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * The keeper: a small process beside the hub that has a descriptor of what the hub alone has, so that it outlives a hub that is killed (I8).
 *
 *      hub ── BATON, MAIL, PARCEL, FORGET ──► keeper        while a child has no process: between the two of a cold swap, and before a restart
 *      hub ends in order: QUIT ───────► keeper ends
 *      hub is killed: the socket ends.  Nothing kept: the keeper ends. Else it waits for the next hub of that name, at most BT_KEEPER_WAIT_NS
 *      next hub ── connects ──► keeper ── all it has, END ──► next hub ── TAKEN ──► keeper ends
 *
 * It is started before the first cold swap that hands something over, or when a child with a state is first without a process; a hub that never comes
 * there has none. It is batond itself, executed again: it maps nothing of the hub, runs no loop of its, and understands no more than this page.
 *
 * The socket of the next hub is <runtime_dir>/keeper.sock. What it is given is not believed: a segment is checked as that of an adopted process is.
 *
 * A hub inside another program (<baton/hub.h>) has no keeper: there is no program to execute that would be one.
 *
 * Dropped: keeping every segment from the start of its child on. It would close the moment between the death of a process and the turn in which the hub
 * sees it, at the price of a process and a descriptor for each child in every hub; only a death of both in the same moment is lost by that.
 */

#include <stdint.h>

#include "shm/link.h"

#define BT_KEEPER_WAIT_NS UINT64_C(600000000000) /* ten minutes without a hub */

enum bt_keeper_type {
        BT_KEEPER_BATON = 1,  /* the segment of @id: one descriptor. In place of an earlier one, which takes its parcel along */
        BT_KEEPER_PARCEL = 2, /* one message of the parcel of @id, @parcel and its descriptors */
        BT_KEEPER_FORGET = 3, /* all of @id */
        BT_KEEPER_QUIT = 4,
        BT_KEEPER_END = 5,    /* to the next hub: that was all */
        BT_KEEPER_TAKEN = 6,  /* from the next hub */
        BT_KEEPER_MAIL = 7,   /* mailbox, desk and bell of @id, behind its segment: three descriptors, by enum bt_link_mail */
};

#define BT_KEEPER_MAGIC 0x5045454bu /* "KEEP" */

struct bt_keeper_msg {
        uint32_t magic;
        uint32_t type;
        uint32_t in_transit; /* the state was captured for a cold swap: its state_ttl runs */
        uint32_t reserved;
        char id[64];
        struct bt_handoff parcel;
};

#define BT_KEEPER_HUB_FD 3
#define BT_KEEPER_LISTENER_FD 4

/* The process, from batond's main(). @hub, @listener: owned. Returns the exit status. */
int bt_keeper_run(int hub, int listener);

/* ---- keep.c: the hub's side ---- */

struct bt_child;
struct bt_hub;
struct bt_parcel;
struct bt_keep;

/* One will be needed soon: to be started where nobody waits. */
void bt_keep_begin(struct bt_hub *hub);
/* What @child has is given; @parcel may be NULL. Does nothing for a child without a state or a parcel. */
void bt_keep_give(struct bt_child *child, const struct bt_parcel *parcel);
/* A process of it ended: given, when none that lives has the segment. */
void bt_keep_if_alone(struct bt_child *child);
void bt_keep_forget(struct bt_child *child); /* it serves again, or what was kept is not its state any more */
/* At the start, after the processes of the hub before were adopted: what its keeper has, into children that have none; they are started. */
void bt_keep_take(struct bt_hub *hub);
void bt_keep_close(struct bt_hub *hub);
