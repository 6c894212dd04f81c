/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * The table of calls under way. Any thread begins a call; whoever reads the reply ring (one thread at a time) delivers its answer; whoever waits takes it.
 *
 *      FREE ──begin──► PENDING ──deliver──► FILLING ──► DONE ──hold──► HELD ──► FREE
 *                         └───────────────drop───────────────────────────────► FREE      timed out, cancelled, could not be sent
 *
 * One 64-bit word for each entry: the call's id and its state. An id holds the entry's index and how often it was used, so that the answer to a
 * call that was given up finds an entry with another id, and is late. All changes are compare-and-swaps: no lock.
 */

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <baton/client.h>

#include "base/list.h"

#define BT_CALL_IDX_BITS   16
#define BT_CALL_STATE_BITS 3

enum bt_call_state {
        BT_CALL_FREE = 0,
        BT_CALL_PENDING = 1,
        BT_CALL_FILLING = 2,
        BT_CALL_DONE = 3,
        BT_CALL_HELD = 4,
};

struct bt_member;

struct bt_call {
        _Atomic uint64_t word __attribute__((aligned(64))); /* id << 3 | state */
        _Atomic(const struct bt_member *) member; /* who has to answer; NULL: not known yet */
        _Atomic uint64_t
                place; /* 1 + its position in a mailbox; 0: not known. A late store may be of a call before: see take_back() */
        _Atomic uint32_t nod;    /* futex of who waits; bumped to wake */
        _Atomic uint32_t waited; /* 1: a thread sleeps on @nod, or is about to */
        struct bt_list node;     /* of done calls; under the client's lock */
        /* Looked at also by those who do not know whether the entry is still that call: */
        _Atomic(baton_done_fn) done;
        _Atomic uint64_t deadline_ns; /* of one with done(); 0: none */
        void *ctx;
        int error; /* there is no answer: -BATON_E_GONE, -ETIMEDOUT */
        int status;
        size_t bytes;
        char *data; /* room for one answer */
        /* For the client's counters: of this entry, and W who has it, so that nothing is shared for them. */
        _Atomic uint64_t begun;
        _Atomic uint64_t answered;
};

struct bt_calls {
        struct bt_call *entries;
        char *room;
        uint32_t count;
        size_t reply_bytes;
        _Atomic uint32_t next; /* where to look for a free entry */
};

int bt_calls_init(struct bt_calls *calls, uint32_t count, size_t reply_bytes); /* 0 or -ENOMEM */
void bt_calls_deinit(struct bt_calls *calls);

/* A free entry, PENDING under a new id. NULL: all are in use. @deadline_ns: kept, no more. */
struct bt_call *bt_call_begin(struct bt_calls *calls, uint64_t *ret_id, baton_done_fn done,
                              void *ctx, uint64_t deadline_ns);
/* The id of an entry that is in @state; 0: it is not. */
uint64_t bt_call_id(const struct bt_call *call, enum bt_call_state state);
/* The entry of a call that is not over. NULL: it is. */
struct bt_call *bt_call_find(const struct bt_calls *calls, uint64_t id);
/* PENDING: nobody waits for the answer any more. False: it is there already, or coming. */
bool bt_call_drop(struct bt_call *call, uint64_t id);
/* From PENDING to FILLING: the caller alone may write the answer now, and ends with bt_call_filled(). NULL: late. */
struct bt_call *bt_call_fill(const struct bt_calls *calls, uint64_t id);
void bt_call_filled(struct bt_call *call, uint64_t id);
/* PENDING or FILLING: there is no answer yet. */
static inline bool bt_call_is_open(const struct bt_call *call, uint64_t id)
{
        uint64_t word = atomic_load(&call->word);

        return word == (id << BT_CALL_STATE_BITS | BT_CALL_PENDING) ||
               word == (id << BT_CALL_STATE_BITS | BT_CALL_FILLING);
}
bool bt_call_is(const struct bt_call *call, uint64_t id, enum bt_call_state state);
/* From DONE to HELD: of two that want the answer one gets it, and ends with bt_call_free(). */
bool bt_call_hold(struct bt_call *call, uint64_t id);
void bt_call_free(struct bt_call *call, uint64_t id);
/* One of the two counters of an entry that is the caller's: begun, FILLING or not yet known to anybody; answered, HELD. */
void bt_call_count(_Atomic uint64_t *counter, int more);
uint64_t bt_calls_sum(const struct bt_calls *calls, size_t counter_off);
/* From FILLING to HELD, for who fills it and wants it: nobody else sees it DONE. */
void bt_call_keep(struct bt_call *call, uint64_t id);
/* Copies the answer of a held one out, which lies in @data. @reply: NULL: not wanted. */
void bt_call_copy(const struct bt_call *call, uint64_t id, const void *data,
                  struct baton_reply *reply);
