/* SPDX-License-Identifier: Apache-2.0 */
#include "shm/share.h"

#include "base/check.h"
#include "base/clock.h"
#include "shm/futex.h"

#define LAP_MASK ((1u << 29) - 1)
#define POS_MASK ((UINT64_C(1) << BT_NEXT_POS_BITS) - 1)
#define GEN_ONE  (UINT64_C(1) << BT_NEXT_POS_BITS)

#define TAKE_TRIES                                                                                 \
        4096 /* positions that are passed over in one take(); the next one goes on from there */
#define HEAL_EVERY       64 /* of them: is next where it can be? */
#define WORD_TRIES       64 /* a slot in hand changes only when the ring comes round to it */
#define SPIN_CLOCK_EVERY 32

/* What a member finds at a position. */
enum find {
        FIND_READY,
        FIND_NOTHING, /* not claimed yet */
        FIND_CLAIMED, /* is being written */
        FIND_PAST,    /* somebody has it, or had it */
        FIND_HOLE,
        FIND_BROKEN,
};

static uint64_t get(const _Atomic uint64_t *word)
{
        return atomic_load_explicit(word, memory_order_relaxed);
}

/* Words of the desk: as in shm/desk.c, a killed process has stored what comes before, if the compiler keeps the order. */
static void set(_Atomic uint64_t *word, uint64_t value)
{
        atomic_signal_fence(memory_order_seq_cst);
        atomic_store_explicit(word, value, memory_order_relaxed);
        atomic_signal_fence(memory_order_seq_cst);
}

static enum find find_at(const struct bt_mailbox_view *view, uint64_t pos, uint64_t *ret_word)
{
        uint64_t word = atomic_load(&bt_mailbox_slot(view, pos)->word);
        struct bt_slot_word w = bt_slot_unpack(word);
        uint32_t ahead = (w.lap - bt_mailbox_lap(view, pos)) & LAP_MASK;

        *ret_word = word;
        if (ahead == LAP_MASK)
                return FIND_NOTHING; /* of the lap before: unread, or in hand */
        if (ahead)
                return ahead < LAP_MASK / 2 ? FIND_PAST : FIND_BROKEN;
        switch (w.state) {
        case BT_SLOT_FREE:
                return w.owner ? FIND_BROKEN : FIND_NOTHING;
        case BT_SLOT_CLAIMED:
                return FIND_CLAIMED;
        case BT_SLOT_READY:
                return FIND_READY;
        case BT_SLOT_TAKEN:
                return FIND_PAST;
        case BT_SLOT_HOLE:
                return FIND_HOLE;
        default:
                return FIND_BROKEN;
        }
}

/* ---- next ---- */

/* Nothing is to be had at the position of @next, as it was loaded. It fails when somebody was faster, or when a message was put back meanwhile. */
static void next_past(const struct bt_mailbox_view *view, uint64_t next)
{
        (void)atomic_compare_exchange_strong(&view->mb->next, &next,
                                             (next & ~POS_MASK) | ((next + 1) & POS_MASK));
}

/*
 * The tail is at most one behind what is claimed, and what is a whole lap before it is past: a next outside of that was scribbled on, or left by members that
 * died before they moved it. False: it is right.
 */
static bool next_heal(const struct bt_mailbox_view *view, uint64_t next)
{
        uint64_t tail = atomic_load(&view->mb->tail), pos = next & POS_MASK;
        uint64_t first = tail > view->slot_count ? tail - view->slot_count : 0;

        if (tail >= POS_MASK || (pos >= first && pos <= tail + 1))
                return false;
        (void)atomic_compare_exchange_strong(&view->mb->next, &next,
                                             ((next & ~POS_MASK) + GEN_ONE) | first);
        return true;
}

/* A message was put back at @pos. Also when next is before it: who has seen it TAKEN must not push next past it. */
static void next_back(const struct bt_mailbox_view *view, uint64_t pos)
{
        uint64_t next = atomic_load(&view->mb->next);

        for (uint32_t i = 0; i < TAKE_TRIES; i++) {
                uint64_t to = (next & POS_MASK) < pos ? next & POS_MASK : pos & POS_MASK;

                if (atomic_compare_exchange_strong(&view->mb->next, &next,
                                                   ((next & ~POS_MASK) + GEN_ONE) | to))
                        return;
        }
}

/* ---- a member ---- */

static void claim_set(struct bt_desk *desk, uint64_t pos, uint32_t owner, uint32_t before)
{
        set(&desk->claim, 0); /* never a slot with the words of another one */
        set(&desk->claim_for, get(&desk->cursor));
        atomic_store_explicit(&desk->claim_owner, owner, memory_order_relaxed);
        atomic_store_explicit(&desk->claim_before, before, memory_order_relaxed);
        set(&desk->claim, pos + 1);
}

static void claim_clear(struct bt_desk *desk)
{
        if (get(&desk->claim))
                set(&desk->claim, 0);
}

/*
 * How often others have begun it. Read before it is ours: if somebody has taken the slot meanwhile, and a producer writes the next letter into it, the word of
 * the slot has changed, and the exchange in take_at() fails. So the race detector is not asked.
 */
__attribute__((no_sanitize("thread"))) static uint32_t begun_before(const struct bt_mail_slot *slot)
{
        return *(const volatile uint32_t *)&slot->letter.flags >> BT_LETTER_BEFORE_SHIFT;
}

static bool take_at(struct bt_mailbox_view *view, struct bt_desk *desk, uint32_t owner,
                    uint64_t pos, uint64_t word, uint32_t *ret_before)
{
        struct bt_mail_slot *slot = bt_mailbox_slot(view, pos);

        *ret_before = begun_before(slot);
        claim_set(desk, pos, owner, *ret_before);
        return atomic_compare_exchange_strong(
                &slot->word, &word, bt_slot_pack(bt_mailbox_lap(view, pos), owner, BT_SLOT_TAKEN));
}

/* A hole, or what cannot be, at the position of @next. False: it has changed. */
static bool throw_away(struct bt_mailbox_view *view, uint64_t next, uint64_t word)
{
        uint64_t pos = next & POS_MASK;

        if (!atomic_compare_exchange_strong(
                    &bt_mailbox_slot(view, pos)->word, &word,
                    bt_slot_pack(bt_mailbox_lap(view, pos) + 1, 0, BT_SLOT_FREE)))
                return false;
        next_past(view, next);
        bt_mailbox_freed(view);
        return true;
}

/* It is ours. */
static int receive(struct bt_mailbox_view *view, struct bt_desk *desk, uint64_t pos,
                   struct bt_taken *ret_taken, void *ret_payload)
{
        int r = bt_mailbox_copy(view, bt_mailbox_slot(view, pos), &ret_taken->letter, ret_payload);

        if (r)
                bt_share_done(view, desk);
        return r;
}

int bt_share_take(struct bt_mailbox_view *view, struct bt_desk *desk, uint32_t owner,
                  struct bt_taken *ret_taken, void *ret_payload)
{
        for (uint32_t i = 0; i < TAKE_TRIES; i++) {
                uint64_t next = atomic_load(&view->mb->next), pos = next & POS_MASK, word;
                enum find found = find_at(view, pos, &word);

                switch (found) {
                case FIND_READY:
                        if (!take_at(view, desk, owner, pos, word, &ret_taken->before))
                                continue;
                        next_past(view, next);
                        ret_taken->owner = bt_slot_unpack(word).owner;
                        ret_taken->again = ret_taken->before != 0;
                        return receive(view, desk, pos, ret_taken, ret_payload);
                case FIND_PAST:
                        if (i % HEAL_EVERY != HEAL_EVERY - 1 || !next_heal(view, next))
                                next_past(view, next);
                        continue;
                case FIND_HOLE:
                case FIND_BROKEN:
                        if (next_heal(view, next) || !throw_away(view, next, word))
                                continue;
                        claim_clear(desk);
                        return found == FIND_HOLE ? BT_MAILBOX_E_HOLE : BT_MAILBOX_E_BROKEN;
                case FIND_NOTHING:
                case FIND_CLAIMED:
                        if (next_heal(view, next))
                                continue;
                        claim_clear(desk);
                        return found == FIND_NOTHING ? BT_MAILBOX_E_EMPTY : BT_MAILBOX_E_BUSY;
                }
        }
        claim_clear(desk);
        return BT_MAILBOX_E_BUSY;
}

/* TAKEN by @owner, in whatever lap it was carried over to: @to, of that lap or the next. False: it is not. */
static bool leave(struct bt_mail_slot *slot, uint32_t owner, bool free_it)
{
        uint64_t word = atomic_load(&slot->word);

        for (uint32_t i = 0; i < WORD_TRIES; i++) {
                struct bt_slot_word w = bt_slot_unpack(word);
                uint64_t to = free_it ? bt_slot_pack(w.lap + 1, 0, BT_SLOT_FREE)
                                      : bt_slot_pack(w.lap, slot->letter.sender, BT_SLOT_READY);

                if (w.state != BT_SLOT_TAKEN || w.owner != owner)
                        return false;
                if (atomic_compare_exchange_strong(&slot->word, &word, to))
                        return true;
        }
        return false;
}

void bt_share_done(struct bt_mailbox_view *view, struct bt_desk *desk)
{
        uint64_t claim = get(&desk->claim);

        if (claim && leave(bt_mailbox_slot(view, claim - 1),
                           atomic_load_explicit(&desk->claim_owner, memory_order_relaxed), true))
                bt_mailbox_freed(view);
        set(&desk->claim, 0);
}

bool bt_share_ready(const struct bt_mailbox_view *view)
{
        uint64_t word;
        enum find found = find_at(view, atomic_load(&view->mb->next) & POS_MASK, &word);

        return found != FIND_NOTHING && found != FIND_CLAIMED;
}

bool bt_share_more(const struct bt_mailbox_view *view)
{
        uint64_t word;

        return bt_mailbox_sleeper(view) &&
               find_at(view, atomic_load(&view->mb->next) & POS_MASK, &word) == FIND_READY;
}

bool bt_share_spin(const struct bt_mailbox_view *view, uint64_t spin_ns,
                   const _Atomic uint32_t *called, uint32_t called_seen)
{
        uint64_t until;

        if (bt_share_ready(view))
                return true;
        if (!spin_ns)
                return false;
        until = bt_ns_add(bt_now_ns(), spin_ns);
        do {
                for (int i = 0; i < SPIN_CLOCK_EVERY; i++) {
                        if (bt_share_ready(view))
                                return true;
                        if (called &&
                            atomic_load_explicit(called, memory_order_relaxed) != called_seen)
                                return false;
                        bt_cpu_relax();
                }
        } while (bt_now_ns() < until);
        return false;
}

static _Atomic uint64_t *bit_of(const struct bt_mailbox_view *view, const struct bt_desk *desk,
                                uint64_t *ret_bit)
{
        uint32_t sharer = desk->sharer % BT_MAILBOX_SHARERS_MAX;

        *ret_bit = UINT64_C(1) << sharer % 64;
        return &view->mb->sleepers[sharer / 64];
}

bool bt_share_sleep(const struct bt_mailbox_view *view, const struct bt_desk *desk)
{
        uint64_t bit;
        _Atomic uint64_t *word = bit_of(view, desk, &bit);

        atomic_fetch_or(word, bit);
        if (!bt_share_ready(view))
                return true;
        bt_share_awake(view, desk);
        return false;
}

void bt_share_awake(const struct bt_mailbox_view *view, const struct bt_desk *desk)
{
        uint64_t bit;
        _Atomic uint64_t *word = bit_of(view, desk, &bit);

        if (get(word) & bit)
                atomic_fetch_and(word, ~bit);
}

/* ---- after a death ---- */

/* The position of the slot of @pos in the lap of its word, which may be another one by now: the one that is near the tail. */
static uint64_t pos_now(const struct bt_mailbox_view *view, uint64_t pos, struct bt_slot_word w)
{
        uint64_t tail = atomic_load(&view->mb->tail) & POS_MASK, n = view->slot_count;
        uint64_t here = (tail & ~(n - 1)) | (pos & (n - 1));
        uint32_t ahead = (w.lap - bt_mailbox_lap(view, here)) & LAP_MASK;

        return ahead <= LAP_MASK / 2 ? here + ahead * n : here - (LAP_MASK + 1 - ahead) * n;
}

/* How often it was begun is a number and no step, so writing it twice is writing it once. */
static void note_before(struct bt_mail_slot *slot, const struct bt_desk *desk)
{
        uint64_t delivery = get(&desk->delivery);
        uint64_t before = atomic_load_explicit(&desk->claim_before, memory_order_relaxed);
        uint32_t flags = __atomic_load_n(&slot->letter.flags, __ATOMIC_RELAXED);

        if (delivery >> 8 == get(&desk->claim_for))
                before += delivery & 0xff;
        if (before > BT_LETTER_BEFORE_MAX)
                before = BT_LETTER_BEFORE_MAX;
        flags &= (1u << BT_LETTER_BEFORE_SHIFT) - 1;
        __atomic_store_n(&slot->letter.flags, flags | (uint32_t)before << BT_LETTER_BEFORE_SHIFT,
                         __ATOMIC_RELAXED);
}

/* Also when it was READY again before we came: whoever put it back may have died before next was told. A hole is what it was withdrawn to since. */
static void show(const struct bt_mailbox_view *view, uint64_t pos)
{
        struct bt_slot_word w = bt_slot_unpack(atomic_load(&bt_mailbox_slot(view, pos)->word));

        if (w.state == BT_SLOT_READY || w.state == BT_SLOT_HOLE)
                next_back(view, pos_now(view, pos, w));
}

void bt_share_put_back(struct bt_mailbox_view *view, uint64_t pos, uint32_t owner)
{
        if (leave(bt_mailbox_slot(view, pos), owner, false))
                show(view, pos);
}

static bool taken_by(const struct bt_mail_slot *slot, uint32_t owner)
{
        struct bt_slot_word w = bt_slot_unpack(atomic_load(&slot->word));

        return w.state == BT_SLOT_TAKEN && w.owner == owner;
}

bool bt_share_settle(struct bt_mailbox_view *view, struct bt_desk *desk)
{
        uint64_t claim = get(&desk->claim);
        uint32_t owner = atomic_load_explicit(&desk->claim_owner, memory_order_relaxed);
        struct bt_mail_slot *slot;

        bt_share_awake(view, desk);
        if (!claim)
                return false;
        slot = bt_mailbox_slot(view, claim - 1);
        if (get(&desk->cursor) != get(&desk->claim_for)) {
                bt_share_done(view, desk);
                return true;
        }
        if (taken_by(slot, owner)) {
                note_before(slot, desk);
                (void)leave(slot, owner, false);
        }
        show(view, claim - 1);
        set(&desk->delivery,
            UINT64_MAX); /* the next one that this member has in hand is another message */
        set(&desk->claim, 0);
        return true;
}

uint32_t bt_share_waits_for(const struct bt_mailbox_view *view)
{
        uint64_t word;

        return find_at(view, atomic_load(&view->mb->next) & POS_MASK, &word) == FIND_CLAIMED
                       ? bt_slot_unpack(word).owner
                       : 0;
}

bool bt_share_valid(const struct bt_mailbox_view *view)
{
        uint64_t tail = atomic_load(&view->mb->tail),
                 next = atomic_load(&view->mb->next) & POS_MASK, word;
        uint64_t first = tail > view->slot_count ? tail - view->slot_count : 0;

        if (next > tail + 1 || next < first)
                return false;
        for (uint64_t pos = first; pos < tail; pos++) {
                enum find found = find_at(view, pos, &word);

                if (found == FIND_BROKEN || found == FIND_NOTHING)
                        return false;
                if (pos < next && found != FIND_PAST)
                        return false; /* nobody would ever find it */
        }
        return true;
}
