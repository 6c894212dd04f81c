/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * One mailbox (shm/mailbox.h) from which all members of a pool take: each message to one of them that is free.
 *
 *      position:      next                 tail
 *                      ▼                    ▼
 *      slots:  .. │TAKEN│READY│TAKEN│READY│CLAIMED│FREE│ ..       TAKEN: by the process whose number is in the word
 *
 *      READY ──take──► TAKEN(process) ──done──► FREE(lap + 1)
 *        ▲                   │
 *        └──────settle───────┘  the process is dead, and was not done
 *
 * Producers are those of any mailbox, but for one thing: a slot that is TAKEN from the lap before is carried over into theirs (TAKEN of this lap), so that one
 * long job does not fill the queue.
 *
 * Member (one process at a time, the holder of its baton):
 *      1. p := next. Its word READY: the wish goes onto the member's desk: claim_for := cursor, claim_owner := me, then claim := p + 1.
 *      2. READY → TAKEN(me) by compare-and-swap. So a slot that is TAKEN names a process, and that process' desk names the slot.
 *      3. next: p → p + 1, by whoever sees that nothing is to be had at p.
 *      4. begin, handler, commit as ever (shm/desk.h): the cursor counts what this member has done. Then TAKEN(me) → FREE, then claim := 0.
 *
 * Settle, when the process is dead for certain, by the hub or by the member's next holder: @claim names a slot. TAKEN by @claim_owner and the cursor has not
 * moved: not done; READY again, and next goes back to it, with another generation: who saw the slot TAKEN cannot push next past it any more. Cursor moved: it is
 * done, and freed. Not TAKEN by it: nothing. Last claim := 0. Cut off anywhere it is run again and ends the same.
 *
 * Invariants, at every instruction:
 *      - no READY or HOLE lies before next, but for one that a desk claims (settle has put it back and not moved next yet)
 *      - a slot TAKEN by a process that is dead is claimed by a desk
 *
 * Sleeping: a bit for each member; it sets its bit, then looks again; a producer publishes, then looks at the bits. Nobody takes back a bit but its member, or
 * the hub when the process is dead, so every message that comes while somebody sleeps rings: it wakes them all, and counts, so that it is heard as often as it was rung. Who takes a message, sees one
 * more and somebody asleep rings, too (bt_share_more()).
 *
 * Trust: as in a mailbox, and @next can be scribbled on, too. Wherever it points, tries are bounded; a next that cannot be is put before the oldest slot.
 */

#include "shm/desk.h"
#include "shm/mailbox.h"

/* ---- a member ---- */

/*
 * The next message for process @owner of the member whose @desk it is, copied as bt_mailbox_take() does it. 0; EMPTY; BUSY; HOLE, BROKEN: one was
 * thrown away, go on. After 0: begin, commit, end, bt_share_done().
 */
int bt_share_take(struct bt_mailbox_view *view, struct bt_desk *desk, uint32_t owner,
                  struct bt_taken *ret_taken, void *ret_payload);
void bt_share_done(struct bt_mailbox_view *view, struct bt_desk *desk);

/* One more message can be had, and a member sleeps: ring. */
bool bt_share_more(const struct bt_mailbox_view *view);
bool bt_share_ready(const struct bt_mailbox_view *view);
bool bt_share_spin(const struct bt_mailbox_view *view, uint64_t spin_ns,
                   const _Atomic uint32_t *called, uint32_t called_seen);

/* From here on producers ring. False: there is something, do not sleep. */
bool bt_share_sleep(const struct bt_mailbox_view *view, const struct bt_desk *desk);
void bt_share_awake(const struct bt_mailbox_view *view, const struct bt_desk *desk);

/* ---- after a death ---- */

/* The last holder of @desk is dead, and nobody else holds. True: a message was put back, or room was made: ring. */
bool bt_share_settle(struct bt_mailbox_view *view, struct bt_desk *desk);

/* The slot at @pos is TAKEN by @owner, whose desk is lost with it: READY again. */
void bt_share_put_back(struct bt_mailbox_view *view, uint64_t pos, uint32_t owner);

/* Whose claim members have to wait for; 0: nobody's. */
uint32_t bt_share_waits_for(const struct bt_mailbox_view *view);

/* Nothing is before next that could be had, and every word is one that honest processes can have left; nobody is inside. For tests. */
bool bt_share_valid(const struct bt_mailbox_view *view);
