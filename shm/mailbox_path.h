/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * The steps of shm/mailbox.h that each message takes, both ways: small, and compiled into whoever takes them, for the calls between files were a fifth of what
 * a message cost. What is seldom is in mailbox.c. Included by shm/mailbox.h.
 */

#include <errno.h>
#include <string.h>

#include "shm/futex.h"
#include "shm/mailbox.h"

#define BT_SLOT_STATE_BITS 3
#define BT_SLOT_OWNER_BITS 32
#define BT_SLOT_LAP_MASK   ((1u << (64 - BT_SLOT_STATE_BITS - BT_SLOT_OWNER_BITS)) - 1)
#define BT_LINE_BYTES      64

static inline uint64_t bt_slot_pack(uint32_t lap, uint32_t owner, enum bt_slot_state state)
{
        return (uint64_t)(lap & BT_SLOT_LAP_MASK) << (BT_SLOT_STATE_BITS + BT_SLOT_OWNER_BITS) |
               (uint64_t)owner << BT_SLOT_STATE_BITS | (uint64_t)state;
}

static inline struct bt_slot_word bt_slot_unpack(uint64_t word)
{
        return (struct bt_slot_word){
                .lap = (uint32_t)(word >> (BT_SLOT_STATE_BITS + BT_SLOT_OWNER_BITS)),
                .owner = (uint32_t)(word >> BT_SLOT_STATE_BITS),
                .state = (enum bt_slot_state)(word & ((1u << BT_SLOT_STATE_BITS) - 1))};
}

static inline struct bt_mail_slot *bt_mailbox_slot(const struct bt_mailbox_view *view, uint64_t pos)
{
        char *slots = (char *)view->mb + view->slots_off;

        return (struct bt_mail_slot *)(void *)(slots +
                                               (pos & (view->slot_count - 1)) * view->slot_bytes);
}

static inline uint32_t bt_mailbox_lap(const struct bt_mailbox_view *view, uint64_t pos)
{
        /* The count is a power of two, and a division by it, of which a call would need a dozen, costs as much as an atomic instruction. */
        return (uint32_t)(pos >> __builtin_ctz(view->slot_count)) & BT_SLOT_LAP_MASK;
}

/* ---- fetching ahead: the two lines that a short message takes ---- */

static inline bool bt_slot_has_second_line(const struct bt_mailbox_view *view)
{
        return view->slot_bytes > BT_LINE_BYTES;
}

static inline void bt_mailbox_fetch_to_fill(const struct bt_mailbox_view *view, uint64_t pos)
{
        const char *slot = (const char *)bt_mailbox_slot(view, pos);

        bt_cpu_fetch_to_write(slot);
        if (bt_slot_has_second_line(view))
                bt_cpu_fetch_to_write(slot + BT_LINE_BYTES);
}

/* Its payload beside its word, not after it; and its word to be written, for that is what comes next. */
static inline void bt_mailbox_fetch_to_take(const struct bt_mailbox_view *view, uint64_t pos)
{
        const char *slot = (const char *)bt_mailbox_slot(view, pos);

        bt_cpu_fetch_to_write(slot);
        if (bt_slot_has_second_line(view))
                __builtin_prefetch(slot + BT_LINE_BYTES);
}

/* ---- producers ---- */

/* The place behind the last one of ours was not free, or there is none. As bt_mailbox_claim(). */
int bt_mailbox_claim_anew(struct bt_mailbox_view *view, uint32_t owner, uint64_t *ret_pos);

/* The tail is behind @pos, which is claimed, for all who look. */
void bt_mailbox_tail_past(const struct bt_mailbox_view *view, uint64_t pos);

/*
 * All that was ever claimed lies before the place where the next one is to be, so one may begin to look anywhere before that: at the tail, or behind the last
 * one of ours. While there is nobody else, that is the place, and the tail need not be read, whose line the consumer has taken away.
 */
static inline int bt_mailbox_claim(struct bt_mailbox_view *view, uint32_t owner, uint64_t *ret_pos)
{
        uint64_t pos = atomic_load_explicit(&view->own, memory_order_relaxed);
        uint32_t lap = bt_mailbox_lap(view, pos);
        uint64_t word = bt_slot_pack(lap, 0, BT_SLOT_FREE);

        if (!pos || atomic_load_explicit(&view->others, memory_order_relaxed) ||
            atomic_load_explicit(&view->mb->gate, memory_order_relaxed) == BT_MAILBOX_CLOSED ||
            !atomic_compare_exchange_strong(&bt_mailbox_slot(view, pos)->word, &word,
                                            bt_slot_pack(lap, owner, BT_SLOT_CLAIMED)))
                return bt_mailbox_claim_anew(view, owner, ret_pos);
        atomic_store_explicit(&view->own, pos + 1, memory_order_relaxed);
        *ret_pos = pos;
        return 0;
}

/*
 * The one at @pos is the last one that was claimed, as far as we know, and nobody waits for the tail's line, which the watching consumer has taken away. If
 * somebody else has claimed one more just now, the tail may go back by that. It says where to look, no more: who looks there finds the way.
 */
static inline void bt_mailbox_tell(const struct bt_mailbox_view *view, uint64_t pos)
{
        if (atomic_load_explicit(&view->own, memory_order_relaxed) == pos + 1 &&
            !atomic_load_explicit(&view->others, memory_order_relaxed))
                atomic_store_explicit(&view->mb->tail, pos + 1, memory_order_release);
        else
                bt_mailbox_tail_past(view, pos);
}

static inline int bt_mailbox_publish(const struct bt_mailbox_view *view, uint32_t owner,
                                     uint64_t pos)
{
        uint32_t lap = bt_mailbox_lap(view, pos);
        uint64_t claimed = bt_slot_pack(lap, owner, BT_SLOT_CLAIMED);

        if (!atomic_compare_exchange_strong(&bt_mailbox_slot(view, pos)->word, &claimed,
                                            bt_slot_pack(lap, owner, BT_SLOT_READY)))
                return BT_MAILBOX_E_STALE;
        bt_mailbox_tell(view, pos);
        bt_mailbox_fetch_to_fill(view, pos + 1); /* behind the store, which would wait for it */
        return 0;
}

static inline int bt_mailbox_push(struct bt_mailbox_view *view, uint32_t owner,
                                  const struct bt_letter *letter, const void *payload,
                                  uint64_t *ret_pos)
{
        struct bt_mail_slot *slot;
        uint64_t pos;
        int r;

        if (letter->bytes > view->payload_bytes)
                return -EMSGSIZE;
        r = bt_mailbox_claim(view, owner, &pos);
        if (r)
                return r;
        slot = bt_mailbox_slot(view, pos);
        slot->letter = *letter;
        slot->letter.sender = owner;
        if (letter->bytes)
                memcpy(slot->payload, payload, letter->bytes);
        r = bt_mailbox_publish(view, owner, pos);
        if (!r && ret_pos)
                *ret_pos = pos;
        return r;
}

/*
 * Of those who see it set, one rings. All four accesses of the pair are sequentially consistent: publish and this load here, store and look in
 * bt_mailbox_sleep(). A fence between them would do as well, and cost 30 cycles more on each side.
 */
static inline bool bt_mailbox_must_ring(const struct bt_mailbox_view *view)
{
        if (view->shared)
                return bt_mailbox_sleeper(view);
        return atomic_load(&view->mb->asleep) && atomic_exchange(&view->mb->asleep, 0) == 1;
}

/* ---- the consumer ---- */

/* Word by word, relaxed: a producer that lies may write at the same time, and that must stay defined. Both ends are on 8-byte boundaries. */
typedef uint64_t __attribute__((may_alias)) bt_any_word;

static inline void bt_words_copy(void *to, const void *from, size_t bytes)
{
        bt_any_word *dst = to;
        const bt_any_word *src = from;

        for (size_t i = 0; i < (bytes + 7) / 8; i++)
                dst[i] = __atomic_load_n(&src[i], __ATOMIC_RELAXED);
}

static inline int bt_mailbox_copy(const struct bt_mailbox_view *view,
                                  const struct bt_mail_slot *slot, struct bt_letter *ret_letter,
                                  void *ret_payload)
{
        bt_words_copy(ret_letter, &slot->letter, sizeof(slot->letter));
        if (ret_letter->bytes > view->payload_bytes)
                return BT_MAILBOX_E_BROKEN;
        bt_words_copy(ret_payload, slot->payload, ret_letter->bytes);
        return 0;
}

/* The word at @pos, as a result of take(); READY and TAKEN are 0. */
static inline int bt_mailbox_look_at(const struct bt_mailbox_view *view, uint64_t pos,
                                     uint64_t *ret_word)
{
        uint64_t word = atomic_load(&bt_mailbox_slot(view, pos)->word);
        struct bt_slot_word w = bt_slot_unpack(word);

        *ret_word = word;
        if (w.lap != bt_mailbox_lap(view, pos))
                return BT_MAILBOX_E_BROKEN;
        switch (w.state) {
        case BT_SLOT_FREE:
                return w.owner ? BT_MAILBOX_E_BROKEN : BT_MAILBOX_E_EMPTY;
        case BT_SLOT_CLAIMED:
                return BT_MAILBOX_E_BUSY;
        case BT_SLOT_READY:
        case BT_SLOT_TAKEN:
                return 0;
        case BT_SLOT_HOLE:
                return BT_MAILBOX_E_HOLE;
        default:
                return BT_MAILBOX_E_BROKEN;
        }
}

/* @mark: READY becomes TAKEN, from where it cannot be withdrawn. */
static inline int bt_mailbox_take_or_read(const struct bt_mailbox_view *view, uint64_t pos,
                                          bool mark, struct bt_taken *ret_taken, void *ret_payload)
{
        struct bt_mail_slot *slot = bt_mailbox_slot(view, pos);
        struct bt_slot_word w;
        uint64_t word;
        int r;

        if (bt_slot_has_second_line(view))
                __builtin_prefetch((const char *)slot + BT_LINE_BYTES);
        r = bt_mailbox_look_at(view, pos, &word);
        if (r)
                return r;
        w = bt_slot_unpack(word);
        /* It fails when the message was withdrawn just now, or is scribbled on. */
        if (mark && w.state == BT_SLOT_READY &&
            !atomic_compare_exchange_strong(&slot->word, &word,
                                            bt_slot_pack(w.lap, w.owner, BT_SLOT_TAKEN)))
                return bt_slot_unpack(word).state == BT_SLOT_HOLE ? BT_MAILBOX_E_HOLE
                                                                  : BT_MAILBOX_E_BROKEN;
        ret_taken->owner = w.owner;
        ret_taken->before = 0;
        ret_taken->again = w.state == BT_SLOT_TAKEN;
        return bt_mailbox_copy(view, slot, &ret_taken->letter, ret_payload);
}

static inline int bt_mailbox_take(const struct bt_mailbox_view *view, uint64_t pos,
                                  struct bt_taken *ret_taken, void *ret_payload)
{
        return bt_mailbox_take_or_read(view, pos, true, ret_taken, ret_payload);
}

static inline int bt_mailbox_read(const struct bt_mailbox_view *view, uint64_t pos,
                                  struct bt_taken *ret_taken, void *ret_payload)
{
        return bt_mailbox_take_or_read(view, pos, false, ret_taken, ret_payload);
}

static inline void bt_mailbox_give_back(const struct bt_mailbox_view *view, uint64_t pos)
{
        atomic_store_explicit(&bt_mailbox_slot(view, pos)->word,
                              bt_slot_pack(bt_mailbox_lap(view, pos) + 1, 0, BT_SLOT_FREE),
                              memory_order_release);
        atomic_store_explicit(&view->mb->read, pos + 1, memory_order_relaxed);
}

static inline bool bt_mailbox_told(const struct bt_mailbox_view *view, uint64_t cursor)
{
        return atomic_load_explicit(&view->mb->tail, memory_order_acquire) != cursor;
}
