/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * A bounded queue of messages from many processes to one, in which no dead process can lose, repeat or hold up anything but its own half message.
 *
 *      position:   read            tail
 *                   ▼               ▼
 *      slots:  .. │TAKEN│READY│READY│CLAIMED│READY│FREE│FREE│ ..
 *
 * A slot's word says all: { lap:29, owner:32, state:3 }. Position p lies in slot p mod N on lap p div N.
 *
 *      FREE(lap) ──claim──► CLAIMED ──publish──► READY ──take──► TAKEN ──free──► FREE(lap + 1)
 *       (nobody)               │ repair             │ withdraw                      ▲
 *                              └──────► HOLE ◄──────┘ ─────────────skip─────────────┘
 *
 * Producer (any number):
 *      1. p: some position before which all are claimed: the tail, or the one behind our own last. From there on to the first that is not.
 *         One compare-and-swap of its slot's word, FREE(lap of p) → CLAIMED(me). So there is no claim without a name.
 *      2. letter and payload into the slot, then CLAIMED → READY by compare-and-swap.
 *      3. tail := p + 1.
 *      4. @asleep set: take it back and ring the bell.
 *
 * The tail is a hint for both sides: never ahead of what is claimed, and behind it when a producer died before step 3, or was stopped there and its store comes
 * late, which takes it back. A claim that begins too early walks, and begins at @read when that is further: all before it are claimed, too. While a producer
 * sees no other one it neither reads the tail nor waits for its line, which the watching consumer has. Of a shared queue the tail only goes forward: shm/share.h.
 *
 * Consumer (one): looks at the word at its own cursor, not at the tail. READY: takes it, copies it out, works, then moves its cursor (bt_desk.cursor: that is
 * the commit point), then gives the slot back, answers, and looks at last who waits for room. HOLE: frees it. FREE: sleeps. CLAIMED: sleeps, too: either READY rings, or its owner dies, the hub repairs and rings.
 *
 * Before it sleeps it may watch. Then it looks at the tail, which moves once a message, and at the slot only when that says so, and every so often: the slot is
 * in its producer's hands until it is READY, and each look would take its cache line away from there. What is true is in the slot; nobody sleeps before a look at that.
 *
 * Owners are numbers that the hub gives out. When one is dead for certain (its connection is closed), bt_mailbox_repair() turns what it had CLAIMED into
 * holes; what was READY stays, for push() had said that it is sent. A producer that is alive and stopped does hold up what is behind its claim:
 * bt_mailbox_waits_for() names it, `status` shows it.
 *
 * Sleeping: the consumer sets @asleep, then looks once more; a producer publishes, then looks at @asleep; all sequentially consistent, so one of the two sees the
 * other. No system call when both run. Waiting for room is the same with @waiting and the futex @room.
 *
 * Trust: every producer may write all of the segment. One that lies can lose or forge messages of the others, who are all of the same user as it;
 * it can neither crash the consumer nor lead it out of the segment: geometry is copied at attach, a word that cannot be is a hole (counted), letters are
 * copied out before they are checked, every loop is bounded. The consumer's cursor is not in this segment.
 *
 * What was dropped: a head that producers advance by fetch-and-add (a claim of one that died between the addition and its mark names nobody);
 * records of any length (a dead producer's length is unknown, so nothing behind it can be found); a lock.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "shm/layout.h"
#include "shm/segment.h"

enum bt_mailbox_result {
        BT_MAILBOX_E_FULL = 1,
        BT_MAILBOX_E_EMPTY = 2,
        BT_MAILBOX_E_BUSY = 3,   /* take: the next one is being written */
        BT_MAILBOX_E_HOLE = 4,   /* take: nothing here; free it and go on */
        BT_MAILBOX_E_BROKEN = 5, /* somebody scribbled; take: free it and go on */
        BT_MAILBOX_E_STALE = 6,  /* not yours (any more) */
        BT_MAILBOX_E_CLOSED = 7,
};

/* What is wanted of a new one. */
struct bt_mailbox_shape {
        uint32_t slot_count;    /* power of two, BT_MAILBOX_SLOTS_MIN .. BT_MAILBOX_SLOTS_MAX */
        uint32_t payload_bytes; /* 1 .. BT_MAILBOX_BYTES_MAX */
        uint32_t spin_ns;
        uint64_t region_bytes;  /* 0: no region */
        bool shared;            /* all members of a pool take from it: shm/share.h */
};

/* One mapped and checked. Its geometry is ours: what others write into the head later changes nothing. */
struct bt_mailbox_view {
        struct bt_mailbox *mb; /* NULL: none */
        uint32_t slot_count;
        uint32_t slot_bytes;
        uint32_t payload_bytes;
        uint32_t spin_ns;
        uint64_t slots_off;
        uint64_t region_off;
        uint64_t region_bytes;
        uint64_t roomed_ns; /* consumer: when it last told producers that there is room */
        bool shared;
        /* Producers; of all threads of the process: */
        _Atomic uint64_t own;    /* 1 + the position claimed last */
        _Atomic uint32_t others; /* so many claims more begin at the tail: there are other producers */
};

/* The word of a slot. */
struct bt_slot_word {
        uint32_t lap;
        uint32_t owner;
        enum bt_slot_state state;
};

static inline uint64_t bt_slot_pack(uint32_t lap, uint32_t owner, enum bt_slot_state state);
static inline struct bt_slot_word bt_slot_unpack(uint64_t word);

/* ---- the segment ---- */

bool bt_mailbox_shape_valid(const struct bt_mailbox_shape *shape);
uint64_t bt_mailbox_bytes(const struct bt_mailbox_shape *shape);

/* All of it is mapped. @id: at most BATON_ID_BYTES_MAX bytes. Returns 0 or -errno. */
int bt_mailbox_create(struct bt_seg *ret_seg, int *ret_fd, const char *id, const struct bt_mailbox_shape *shape);

/* Maps, checks and describes one. @fd is borrowed. Returns 0, BT_SEG_E_* or -errno. */
int bt_mailbox_attach(struct bt_seg *ret_seg, struct bt_mailbox_view *ret_view, int fd);

/* The geometry of one that is mapped as a whole; false: it cannot be. */
bool bt_mailbox_look(struct bt_mailbox_view *ret_view, const struct bt_seg *seg);

/* ---- producers ---- */

/* Claims the next position, in a bounded number of tries. 0, FULL (counted), CLOSED, BROKEN; -EAGAIN when others were always faster. */
static inline int bt_mailbox_claim(struct bt_mailbox_view *view, uint32_t owner, uint64_t *ret_pos);

/* Where a claimed position is written: view->payload_bytes of room in @ret->payload. */
static inline struct bt_mail_slot *bt_mailbox_slot(const struct bt_mailbox_view *view, uint64_t pos);

/* What was claimed is whole. 0, or STALE: it was taken for dead, and nothing was sent. */
static inline int bt_mailbox_publish(const struct bt_mailbox_view *view, uint32_t owner, uint64_t pos);

/* The three in one. @letter's bytes say how much of @payload; -EMSGSIZE: more than fits. The caller rings: bt_mailbox_must_ring(). */
static inline int bt_mailbox_push(struct bt_mailbox_view *view, uint32_t owner, const struct bt_letter *letter, const void *payload, uint64_t *ret_pos);

/* After one publish or many: true when the consumer sleeps, once; of a shared one: when a member does. Then write 1 to its bell. */
static inline bool bt_mailbox_must_ring(const struct bt_mailbox_view *view);

/* A shared one: some member sleeps. */
bool bt_mailbox_sleeper(const struct bt_mailbox_view *view);

/* Takes back what was not yet taken. 0: it was not handled and never will be. STALE: it is in the consumer's hands, or done. */
int bt_mailbox_withdraw(const struct bt_mailbox_view *view, uint32_t owner, uint64_t pos);

/* Sleeps until there may be room. 0: try again; -ETIMEDOUT; another -errno. */
int bt_mailbox_wait_room(const struct bt_mailbox_view *view, uint64_t deadline_ns);

/* Messages that are not done, as far as one can see from outside; at most slot_count. */
uint32_t bt_mailbox_depth(const struct bt_mailbox_view *view);

/* ---- the consumer: of a mailbox that is not shared ---- */

struct bt_taken {
        struct bt_letter letter; /* a copy */
        uint32_t owner;          /* who sent it */
        uint32_t before;         /* shared: how often it was begun by others, who are dead */
        bool again;              /* it was taken before, by one that is dead */
};

/* What is in the slot, copied as take() does. 0 or BROKEN. */
static inline int bt_mailbox_copy(const struct bt_mailbox_view *view, const struct bt_mail_slot *slot, struct bt_letter *ret_letter, void *ret_payload);

/* p's lap, as in a word. */
static inline uint32_t bt_mailbox_lap(const struct bt_mailbox_view *view, uint64_t pos);

/*
 * The message at @pos, copied: letter into @ret_taken, payload into @ret_payload (view->payload_bytes of room, 8-byte aligned).
 * 0, EMPTY, BUSY, HOLE, BROKEN. After 0, HOLE and BROKEN: move the cursor, then bt_mailbox_free().
 */
static inline int bt_mailbox_take(const struct bt_mailbox_view *view, uint64_t pos, struct bt_taken *ret_taken, void *ret_payload);

/* The same where nobody withdraws: a ring of answers. The slot stays READY, and its word is not written. */
static inline int bt_mailbox_read(const struct bt_mailbox_view *view, uint64_t pos, struct bt_taken *ret_taken,
                    void *ret_payload);

/* Gives the slot at @pos to the next lap. The cursor must have moved. Wakes nobody: soon after it comes bt_mailbox_freed(), where somebody may wait for room. */
static inline void bt_mailbox_give_back(const struct bt_mailbox_view *view, uint64_t pos);

/* Slots were given back: wakes producers that wait for room, when there is enough. */
void bt_mailbox_freed(struct bt_mailbox_view *view);

/* The two in one. */
void bt_mailbox_free(struct bt_mailbox_view *view, uint64_t pos);

/* A consumer that takes up a mailbox at @cursor: frees the one slot that its predecessor may have moved past and not freed. */
void bt_mailbox_resume(struct bt_mailbox_view *view, uint64_t cursor);

/* Nothing at @cursor can be done now: from here on producers ring. False: something can, do not sleep. */
bool bt_mailbox_sleep(const struct bt_mailbox_view *view, uint64_t cursor);
void bt_mailbox_awake(const struct bt_mailbox_view *view);

/* Wakes producers that wait for room, whether there is any or not. */
void bt_mailbox_tell_room(struct bt_mailbox_view *view);

/*
 * True when there is probably something at @cursor: a look at the tail, which is written once a message. The slot itself is in a producer's hands while it
 * is being filled, and each look there takes it away from it. Who goes by this alone may miss one whose producer died before it moved the tail.
 */
static inline bool bt_mailbox_told(const struct bt_mailbox_view *view, uint64_t cursor);

/* Who watches the tail looks at the slot itself once in so many looks. */
#define BT_MAILBOX_CLOSELY_EVERY 256

/* True when take() at @cursor would find something. */
bool bt_mailbox_ready(const struct bt_mailbox_view *view, uint64_t cursor);

/* Watches for at most @spin_ns, also for @called to differ from @called_seen (NULL: nothing else). True when there is something. */
bool bt_mailbox_spin(const struct bt_mailbox_view *view, uint64_t cursor, uint64_t spin_ns, const _Atomic uint32_t *called, uint32_t called_seen);

/* ---- the hub ---- */

/* @owner is dead for certain: what it had claimed are holes from here on. Ring the bell after it. Returns how many. */
uint32_t bt_mailbox_repair(const struct bt_mailbox_view *view, uint32_t owner);

/* Whose claim the consumer at @cursor has to wait for; 0: nobody's. */
uint32_t bt_mailbox_waits_for(const struct bt_mailbox_view *view, uint64_t cursor);

/* Every word is one that honest producers and a consumer at @cursor can have left, some of them dead. For tests. */
bool bt_mailbox_valid(const struct bt_mailbox_view *view, uint64_t cursor);

#include "shm/mailbox_path.h"
