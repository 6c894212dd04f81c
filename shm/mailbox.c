/* SPDX-License-Identifier: Apache-2.0 */
#include "shm/mailbox.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/check.h"
#include "base/clock.h"
#include "shm/futex.h"

#define POS_MASK ((UINT64_C(1) << BT_NEXT_POS_BITS) - 1)
#define LAP_MASK BT_SLOT_LAP_MASK

#define CLAIM_TRIES      4096 /* each failed one is a claim of somebody else's, or a lie */
#define OTHERS_FOR       64   /* claims, after one that found its place taken */
#define SPIN_CLOCK_EVERY 32   /* looks at the word between two looks at the clock */
#define ROOM_AGAIN_NS                                                                              \
        BT_NS_PER_MS /* producers that wait are told of less than half a mailbox of room at most so often */

static uint64_t line_up(uint64_t bytes)
{
        return (bytes + 63) & ~UINT64_C(63);
}

static uint64_t page_up(uint64_t bytes)
{
        return (bytes + BT_PAGE_BYTES - 1) & ~(uint64_t)(BT_PAGE_BYTES - 1);
}

/* ---- the segment ---- */

static bool power_of_two(uint64_t n)
{
        return n && !(n & (n - 1));
}

bool bt_mailbox_shape_valid(const struct bt_mailbox_shape *shape)
{
        return power_of_two(shape->slot_count) && shape->slot_count >= BT_MAILBOX_SLOTS_MIN &&
               shape->slot_count <= BT_MAILBOX_SLOTS_MAX && shape->payload_bytes > 0 &&
               shape->payload_bytes <= BT_MAILBOX_BYTES_MAX &&
               shape->region_bytes <= BT_MAILBOX_REGION_MAX;
}

static uint32_t slot_bytes(uint32_t payload_bytes)
{
        return (uint32_t)(sizeof(struct bt_mail_slot) + line_up(payload_bytes));
}

static uint64_t region_off(const struct bt_mailbox_shape *shape)
{
        return page_up(sizeof(struct bt_mailbox) +
                       (uint64_t)shape->slot_count * slot_bytes(shape->payload_bytes));
}

uint64_t bt_mailbox_bytes(const struct bt_mailbox_shape *shape)
{
        return region_off(shape) + page_up(shape->region_bytes);
}

int bt_mailbox_create(struct bt_seg *ret_seg, int *ret_fd, const char *id,
                      const struct bt_mailbox_shape *shape)
{
        uint64_t bytes = bt_mailbox_bytes(shape);
        struct bt_mailbox *mb;
        int r;

        bt_assert(bt_mailbox_shape_valid(shape) && strlen(id) <= BATON_ID_BYTES_MAX);
        r = bt_seg_create(ret_seg, ret_fd, "baton-mailbox", BT_MAGIC_MAILBOX, bytes, bytes);
        if (r)
                return bt_fold(r);
        mb = ret_seg->at;
        mb->slot_count = shape->slot_count;
        mb->slot_bytes = slot_bytes(shape->payload_bytes);
        mb->payload_bytes = shape->payload_bytes;
        mb->spin_ns = shape->spin_ns;
        mb->slots_off = sizeof(*mb);
        mb->region_off = region_off(shape);
        mb->region_bytes = page_up(shape->region_bytes);
        mb->shared = shape->shared;
        (void)snprintf(mb->id, sizeof(mb->id), "%s", id);
        return 0;
}

bool bt_mailbox_look(struct bt_mailbox_view *ret_view, const struct bt_seg *seg)
{
        struct bt_mailbox *mb = seg->at;
        struct bt_mailbox_shape shape = {.slot_count = mb->slot_count,
                                         .payload_bytes = mb->payload_bytes,
                                         .spin_ns = mb->spin_ns,
                                         .region_bytes = mb->region_bytes,
                                         .shared = mb->shared == 1};

        /* The copy is checked, and what follows from it is computed: nothing of the head is read again. */
        if (!bt_mailbox_shape_valid(&shape) || bt_mailbox_bytes(&shape) != seg->bytes)
                return false;
        *ret_view = (struct bt_mailbox_view){.mb = mb,
                                             .slot_count = shape.slot_count,
                                             .slot_bytes = slot_bytes(shape.payload_bytes),
                                             .payload_bytes = shape.payload_bytes,
                                             .spin_ns = shape.spin_ns,
                                             .slots_off = sizeof(*mb),
                                             .region_off = region_off(&shape),
                                             .region_bytes = page_up(shape.region_bytes),
                                             .shared = shape.shared};
        return true;
}

int bt_mailbox_attach(struct bt_seg *ret_seg, struct bt_mailbox_view *ret_view, int fd)
{
        struct bt_seg seg = BT_SEG_NULL;
        int r = bt_seg_attach(&seg, fd, BT_MAGIC_MAILBOX, 0, 1);

        if (r)
                return r;
        if (seg.bytes < sizeof(struct bt_mailbox) || !bt_mailbox_look(ret_view, &seg)) {
                bt_seg_detach(&seg);
                return BT_SEG_E_LAYOUT;
        }
        *ret_seg = seg;
        return 0;
}

/* ---- producers ---- */

/* @pos is claimed, or was: the tail is behind it for all who look. */
void bt_mailbox_tail_past(const struct bt_mailbox_view *view, uint64_t pos)
{
        uint64_t tail = atomic_load(&view->mb->tail);

        while (tail <= pos && !atomic_compare_exchange_weak(&view->mb->tail, &tail, pos + 1))
                ;
}

/*
 * A shared queue: a member still works on what this slot had a lap ago. The slot is carried over into this lap, which claims the position for nothing, so that one
 * long job does not make the whole queue full. False: it has changed.
 */
static bool carry_over(struct bt_mail_slot *slot, uint64_t word, uint32_t lap)
{
        uint32_t taker = bt_slot_unpack(word).owner;

        return atomic_compare_exchange_strong(&slot->word, &word,
                                              bt_slot_pack(lap, taker, BT_SLOT_TAKEN));
}

/* What lies at @pos is claimed, or of a later lap. Where to go on; @pos: nowhere. */
static uint64_t next_try(const struct bt_mailbox_view *view, uint64_t pos, uint32_t ahead)
{
        uint64_t tail, read;

        if (ahead <= 1 && view->shared)
                bt_mailbox_tail_past(view, pos); /* its members go by the tail */
        tail = atomic_load(&view->mb->tail);
        if (tail > pos)
                return tail;
        if (ahead <= 1)
                return pos + 1;
        read = view->shared ? 0 : atomic_load(&view->mb->read);
        return read > pos ? read : pos;
}

static int full(const struct bt_mailbox_view *view, uint64_t pos)
{
        if (!view->shared && pos > 0)
                bt_mailbox_tail_past(view, pos - 1); /* who waits for room looks there */
        atomic_fetch_add_explicit(&view->mb->full, 1, memory_order_relaxed);
        return BT_MAILBOX_E_FULL;
}

/* Whether there are others is known by where the next place was. */
static void note_claim(struct bt_mailbox_view *view, uint64_t pos)
{
        uint64_t own = atomic_load_explicit(&view->own, memory_order_relaxed);
        uint32_t others = atomic_load_explicit(&view->others, memory_order_relaxed);

        if (view->shared)
                return;
        if (others)
                atomic_store_explicit(&view->others, others - 1, memory_order_relaxed);
        else if (own && own != pos)
                atomic_store_explicit(&view->others, OTHERS_FOR, memory_order_relaxed);
        atomic_store_explicit(&view->own, pos + 1, memory_order_relaxed);
}

int bt_mailbox_claim_anew(struct bt_mailbox_view *view, uint32_t owner, uint64_t *ret_pos)
{
        const uint32_t tries = view->slot_count + CLAIM_TRIES;
        uint64_t pos = atomic_load(&view->mb->tail);
        uint32_t carried = 0;

        if (atomic_load_explicit(&view->mb->gate, memory_order_relaxed) == BT_MAILBOX_CLOSED)
                return BT_MAILBOX_E_CLOSED;
        for (uint32_t i = 0; i < tries; i++) {
                uint32_t lap = bt_mailbox_lap(view, pos);
                struct bt_mail_slot *slot = bt_mailbox_slot(view, pos);
                uint64_t word = atomic_load(&slot->word), next;
                struct bt_slot_word w = bt_slot_unpack(word);
                uint32_t ahead = (w.lap - lap) & LAP_MASK;

                if (!ahead && w.state == BT_SLOT_FREE) {
                        if (!atomic_compare_exchange_strong(
                                    &slot->word, &word, bt_slot_pack(lap, owner, BT_SLOT_CLAIMED)))
                                continue;
                        note_claim(view, pos);
                        *ret_pos = pos;
                        return 0;
                }
                if (ahead != LAP_MASK) {
                        next = next_try(view, pos, ahead);
                        if (next == pos)
                                return BT_MAILBOX_E_BROKEN;
                        pos = next;
                } else if (view->shared && w.state == BT_SLOT_TAKEN && carried < view->slot_count) {
                        carried += carry_over(slot, word, lap);
                } else {
                        return full(view, pos);
                }
        }
        return -EAGAIN;
}

/* Each message is for one of them, so who rings takes nothing back: the next message rings for the next one. */
bool bt_mailbox_sleeper(const struct bt_mailbox_view *view)
{
        for (size_t i = 0; i < BT_MAILBOX_SLEEPER_WORDS; i++) {
                if (atomic_load(&view->mb->sleepers[i]))
                        return true;
        }
        return false;
}

int bt_mailbox_withdraw(const struct bt_mailbox_view *view, uint32_t owner, uint64_t pos)
{
        uint32_t lap = bt_mailbox_lap(view, pos);
        uint64_t ready = bt_slot_pack(lap, owner, BT_SLOT_READY);

        if (!atomic_compare_exchange_strong(&bt_mailbox_slot(view, pos)->word, &ready,
                                            bt_slot_pack(lap, owner, BT_SLOT_HOLE)))
                return BT_MAILBOX_E_STALE;
        return 0;
}

/* A shared queue whose members have everything in hand that is not unread: the one at the tail is carried over, so another one may be free. */
static bool all_in_use(const struct bt_mailbox_view *view)
{
        for (uint64_t i = 0; i < view->slot_count; i++) {
                if (bt_slot_unpack(atomic_load(&bt_mailbox_slot(view, i)->word)).state ==
                    BT_SLOT_FREE)
                        return false;
        }
        return true;
}

/* True while a claim now would be refused. */
static bool seems_full(const struct bt_mailbox_view *view)
{
        uint64_t read = atomic_load(&view->mb->read); /* see bt_mailbox_freed() */
        uint64_t pos = atomic_load(&view->mb->tail);
        struct bt_slot_word w = bt_slot_unpack(atomic_load(&bt_mailbox_slot(view, pos)->word));

        if (!view->shared && pos < read)
                return false; /* the tail was taken back: claim() knows */
        if (view->shared && w.state == BT_SLOT_TAKEN)
                return all_in_use(view);
        return w.lap == ((bt_mailbox_lap(view, pos) - 1) & LAP_MASK);
}

int bt_mailbox_wait_room(const struct bt_mailbox_view *view, uint64_t deadline_ns)
{
        struct bt_mailbox *mb = view->mb;
        struct bt_futex_word word = {.word = &mb->room, .expected = atomic_load(&mb->room)};

        atomic_store(&mb->waiting, 1); /* then a look, as in bt_mailbox_sleep() */
        if (!seems_full(view) ||
            atomic_load_explicit(&mb->gate, memory_order_relaxed) == BT_MAILBOX_CLOSED)
                return 0;
        return bt_futex_wait(&word, 1, deadline_ns);
}

uint32_t bt_mailbox_depth(const struct bt_mailbox_view *view)
{
        uint64_t read = atomic_load_explicit(view->shared ? &view->mb->next : &view->mb->read,
                                             memory_order_relaxed) &
                        POS_MASK;
        uint64_t tail = atomic_load_explicit(&view->mb->tail, memory_order_relaxed);

        if (tail <= read)
                return 0;
        return tail - read < view->slot_count ? (uint32_t)(tail - read) : view->slot_count;
}

/* ---- the consumer ---- */

void bt_mailbox_tell_room(struct bt_mailbox_view *view)
{
        atomic_store(&view->mb->waiting, 0);
        atomic_fetch_add(&view->mb->room, 1);
        bt_futex_wake(&view->mb->room);
}

/*
 * Telling them at each slot would wake all of them for each message. So when half of the mailbox is free, or, for a slow consumer, after a
 * while. The store of @read stands between the slot's and the look at @waiting, as the look at @read in seems_full() between @waiting's and the slot's: one
 * of the two sees the other.
 */
void bt_mailbox_freed(struct bt_mailbox_view *view)
{
        struct bt_mailbox *mb = view->mb;
        uint64_t now;

        if (!view->shared) /* a shared one's slot was freed by an exchange */
                atomic_store(&mb->read, atomic_load_explicit(&mb->read, memory_order_relaxed));
        if (!atomic_load(&mb->waiting))
                return;
        now = bt_now_ns();
        if (bt_mailbox_depth(view) > view->slot_count / 2 && now - view->roomed_ns < ROOM_AGAIN_NS)
                return;
        view->roomed_ns = now;
        bt_mailbox_tell_room(view);
}

void bt_mailbox_free(struct bt_mailbox_view *view, uint64_t pos)
{
        bt_mailbox_give_back(view, pos);
        bt_mailbox_freed(view);
}

void bt_mailbox_resume(struct bt_mailbox_view *view, uint64_t cursor)
{
        uint64_t word;
        int r;

        bt_mailbox_awake(view);
        if (cursor == 0)
                return;
        r = bt_mailbox_look_at(view, cursor - 1, &word);
        if (r !=
            BT_MAILBOX_E_BROKEN) /* of that lap: it was not freed. In the next lap it is FREE, or somebody's */
                bt_mailbox_give_back(view, cursor - 1);
        atomic_store_explicit(&view->mb->read, cursor, memory_order_relaxed);
        bt_mailbox_freed(view); /* the one before may have freed it, and told nobody */
}

bool bt_mailbox_ready(const struct bt_mailbox_view *view, uint64_t cursor)
{
        uint64_t word;
        int r = bt_mailbox_look_at(view, cursor, &word);

        return r != BT_MAILBOX_E_EMPTY && r != BT_MAILBOX_E_BUSY;
}

bool bt_mailbox_sleep(const struct bt_mailbox_view *view, uint64_t cursor)
{
        atomic_store(&view->mb->asleep, 1);
        if (!bt_mailbox_ready(view, cursor))
                return true;
        bt_mailbox_awake(view);
        return false;
}

void bt_mailbox_awake(const struct bt_mailbox_view *view)
{
        atomic_store_explicit(&view->mb->asleep, 0, memory_order_relaxed);
}

bool bt_mailbox_spin(const struct bt_mailbox_view *view, uint64_t cursor, uint64_t spin_ns,
                     const _Atomic uint32_t *called, uint32_t called_seen)
{
        uint64_t until = 0, now;

        for (uint32_t looks = 1; spin_ns; looks++) {
                if (bt_mailbox_told(view, cursor)) {
                        bt_mailbox_fetch_to_take(view, cursor);
                        if (bt_mailbox_ready(view, cursor))
                                return true;
                }
                if (called && atomic_load_explicit(called, memory_order_relaxed) != called_seen)
                        return false;
                if (looks % BT_MAILBOX_CLOSELY_EVERY == 0 && bt_mailbox_ready(view, cursor))
                        return true;
                if (looks % SPIN_CLOCK_EVERY == 0) {
                        now = bt_now_ns();
                        until = until ? until : bt_ns_add(now, spin_ns);
                        if (now > until)
                                break;
                }
                bt_cpu_relax();
        }
        return bt_mailbox_ready(view, cursor);
}

/* ---- the hub ---- */

uint32_t bt_mailbox_repair(const struct bt_mailbox_view *view, uint32_t owner)
{
        uint32_t count = 0;

        for (uint64_t i = 0; i < view->slot_count; i++) {
                struct bt_mail_slot *slot = bt_mailbox_slot(view, i);
                uint64_t word = atomic_load(&slot->word);
                struct bt_slot_word w = bt_slot_unpack(word);

                if (w.state == BT_SLOT_CLAIMED && w.owner == owner &&
                    atomic_compare_exchange_strong(&slot->word, &word,
                                                   bt_slot_pack(w.lap, owner, BT_SLOT_HOLE)))
                        count++;
        }
        return count;
}

uint32_t bt_mailbox_waits_for(const struct bt_mailbox_view *view, uint64_t cursor)
{
        uint64_t word;

        return bt_mailbox_look_at(view, cursor, &word) == BT_MAILBOX_E_BUSY
                       ? bt_slot_unpack(word).owner
                       : 0;
}

bool bt_mailbox_valid(const struct bt_mailbox_view *view, uint64_t cursor)
{
        uint64_t tail = atomic_load(&view->mb->tail);
        uint64_t end = cursor, word;

        while (end - cursor < view->slot_count) {
                int r = bt_mailbox_look_at(view, end, &word);

                if (r == BT_MAILBOX_E_BROKEN || r == BT_MAILBOX_E_EMPTY)
                        break;
                if (!bt_slot_unpack(word).owner ||
                    (bt_slot_unpack(word).state == BT_SLOT_TAKEN && end != cursor))
                        return false;
                end++;
        }
        /* Behind the claimed ones all are free for this lap; the last may be what the consumer has moved past and not freed. */
        for (uint64_t pos = end; pos - cursor < view->slot_count; pos++) {
                if (bt_mailbox_look_at(view, pos, &word) == BT_MAILBOX_E_EMPTY)
                        continue;
                if (cursor == 0 || pos != cursor - 1 + view->slot_count ||
                    bt_slot_unpack(word).lap != bt_mailbox_lap(view, cursor - 1))
                        return false;
        }
        return tail <= end;
}
