/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * The baton: what a child hands to its successor. Its segment, and the holder word.
 *
 * The word is {phase:4, heir:30, holder:30} and changes only by one compare-and-swap (I1). Every transition below names its actor. All
 * return 0 or BT_BATON_E_STALE, which means: the word is not what this actor may change any more, somebody else moved first. A stale actor stops.
 *
 *      grant      hub            VACANT(n)      -> PASSED(m, 0)
 *      offer      hub            HELD(n)        -> OFFERED(n, m)
 *      withdraw   hub            OFFERED(n, m)  -> HELD(n)
 *      pass       predecessor n  OFFERED(n, m)  -> PASSED(m, n)
 *      confirm    successor m    PASSED(m, *)   -> HELD(m)
 *      give_back  m, or the hub when m's exit was seen
 *                                PASSED(m, n)   -> HELD(n)
 *      release    holder n       HELD(n)        -> VACANT(n)
 *      reclaim    hub, when n's exit was seen
 *                                any whose holder is n -> VACANT(n)
 *
 * Incarnation numbers are never used twice, so a process that slept through any number of transitions fails its compare.
 *
 * Waking: the heir says how it waits in @parked, then looks at the word, then sleeps on it; whoever moves the word looks at @parked
 * after that. Both sides are sequentially consistent, so one of them sees the other: a spinning heir costs no system call.
 *
 * A predecessor that is about to pass says so in @soon, and serves on until @beat answers: the heir has seen that @soon, has done what it does before it
 * watches, and bumps its beat while it does, so it runs, on another processor. Both words are about time only: whoever writes nonsense there makes the
 * passage slower, not wrong.
 */

#include <stdbool.h>

#include "shm/segment.h"

enum bt_baton_result {
        BT_BATON_E_STALE = 1,
        BT_BATON_E_CALLED = 2, /* park: the hub wants something */
        BT_BATON_E_SOON = 3,   /* park: the predecessor is about to pass the baton */
};

struct bt_word {
        uint32_t phase;
        uint64_t holder;
        uint64_t heir;
};

static inline uint64_t bt_word_pack(uint32_t phase, uint64_t holder, uint64_t heir)
{
        return holder << (BT_WORD_PHASE_BITS + BT_WORD_INC_BITS) | heir << BT_WORD_PHASE_BITS | phase;
}

static inline struct bt_word bt_word_unpack(uint64_t word)
{
        struct bt_word w = {
                .phase = (uint32_t)(word & ((1u << BT_WORD_PHASE_BITS) - 1)),
                .heir = word >> BT_WORD_PHASE_BITS & BT_INC_MAX,
                .holder = word >> (BT_WORD_PHASE_BITS + BT_WORD_INC_BITS),
        };

        return w;
}

static inline struct bt_word bt_baton_word(const struct bt_baton *baton)
{
        return bt_word_unpack(atomic_load_explicit(&baton->word, memory_order_acquire));
}

/* True when @inc holds and may serve. A load and a compare. */
static inline bool bt_baton_serves(const struct bt_baton *baton, uint64_t inc)
{
        struct bt_word w = bt_baton_word(baton);

        return w.holder == inc && (w.phase == BT_WORD_HELD || w.phase == BT_WORD_OFFERED);
}

int bt_baton_grant(struct bt_baton *baton, uint64_t m);
int bt_baton_offer(struct bt_baton *baton, uint64_t n, uint64_t m);
int bt_baton_withdraw(struct bt_baton *baton, uint64_t n, uint64_t m);
int bt_baton_pass(struct bt_baton *baton, uint64_t n, uint64_t m);
int bt_baton_confirm(struct bt_baton *baton, uint64_t m);
int bt_baton_give_back(struct bt_baton *baton, uint64_t m, uint64_t n);
int bt_baton_release(struct bt_baton *baton, uint64_t n);
int bt_baton_reclaim(struct bt_baton *baton, uint64_t n);

/* A word that these transitions can have made. The hub asks before it acts on a word a child could have scribbled on. */
bool bt_word_valid(uint64_t word);

/**
 * bt_baton_park() - wait until @inc was passed the baton
 * @called: bumped by whoever has something else to say; returns BT_BATON_E_CALLED when it is not @called_seen any more
 * @soon_seen: what @soon was; returns BT_BATON_E_SOON when it is something else
 * @spin_ns: how long to watch the word before sleeping on it; 0: sleep at once
 *
 * One process of a child at a time: @parked is one word, and one that leaves would clear the mark of one that has just lain down. So a hub starts
 * a successor only when the one before it has confirmed, or its exit was seen.
 *
 * Returns 0 (the word is PASSED to @inc), BT_BATON_E_CALLED, BT_BATON_E_SOON, or -errno.
 */
int bt_baton_park(struct bt_baton *baton, uint64_t inc, const _Atomic uint32_t *called, uint32_t called_seen, uint32_t soon_seen,
                  uint64_t spin_ns);

/* Predecessor: tells the parked heir to watch, wakes it if it sleeps. Returns what it said, for bt_baton_watched(). */
uint32_t bt_baton_announce(struct bt_baton *baton);

#define BT_BEAT_BITS 16 /* below: the count; above: as many bits of the soon that it answers */

/* The heir watches, because of that announcement. */
static inline bool bt_baton_watched(const struct bt_baton *baton, uint32_t soon)
{
        uint32_t beat = atomic_load_explicit(&baton->beat, memory_order_relaxed);

        return beat >> BT_BEAT_BITS == (soon & ((1u << BT_BEAT_BITS) - 1)) && (beat & ((1u << BT_BEAT_BITS) - 1)) != 0;
}

/* ---- the segment ---- */

/* @form, @state_bytes_max: see layout.h; rounded up to pages. The hub maps the head only. Returns 0 or -errno. */
int bt_baton_create(struct bt_seg *ret_seg, int *ret_fd, const char *id, uint32_t form, uint64_t state_bytes_max);

/* The same, with room for checkpoints (BT_CHECKPOINT_SLOTS); it costs memory only when it is used. */
int bt_baton_create_checkpointed(struct bt_seg *ret_seg, int *ret_fd, const char *id, uint32_t form, uint64_t state_bytes_max);

/* Offsets, sizes and form of a mapped head are what bt_baton_create() can have made for a segment of that size. */
bool bt_baton_valid(const struct bt_baton *baton);

/* A stored arena is bound to its address: one that we use, or once used. */
bool bt_arena_addr_known(uint64_t addr);

static inline uint32_t bt_baton_blob_slots(const struct bt_baton *baton)
{
        return baton->checkpoint_slots ? BT_CHECKPOINT_SLOTS : BT_BLOB_SLOTS;
}

/* Where blob slot @idx begins in the segment. */
uint64_t bt_baton_blob_off(const struct bt_baton *baton, uint32_t idx);

/* Bytes of the whole segment for a state of that form and size; @checkpoint_slots: 0 or BT_CHECKPOINT_SLOTS. */
uint64_t bt_baton_bytes(uint32_t form, uint64_t state_bytes_max, uint32_t checkpoint_slots);
