/* SPDX-License-Identifier: Apache-2.0 */
#include "shm/baton.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/check.h"
#include "base/clock.h"
#include "shm/futex.h"

#define SPIN_CLOCK_EVERY 32 /* a look at the word costs 1 ns, a clock read 20-40 */

/*
 * Sequentially consistent, for the sake of @parked: see the header. A word that cannot be is never made, whatever numbers a caller took from a
 * word that somebody scribbled on: HELD by nobody, or an heir that is not younger than its predecessor.
 */
static int word_move(struct bt_baton *baton, uint64_t from, uint64_t to)
{
        if (!bt_word_valid(to))
                return BT_BATON_E_STALE;
        return atomic_compare_exchange_strong(&baton->word, &from, to) ? 0 : BT_BATON_E_STALE;
}

static int word_move_and_wake(struct bt_baton *baton, uint64_t from, uint64_t to)
{
        int r = word_move(baton, from, to);

        if (!r && atomic_load(&baton->parked) == BT_PARK_FUTEX)
                bt_futex_wake(bt_futex_low(&baton->word));
        return r;
}

int bt_baton_grant(struct bt_baton *baton, uint64_t m)
{
        struct bt_word w = bt_baton_word(baton);

        if (w.phase != BT_WORD_VACANT || m > BT_INC_MAX)
                return BT_BATON_E_STALE;
        return word_move_and_wake(baton, bt_word_pack(BT_WORD_VACANT, w.holder, w.heir),
                                  bt_word_pack(BT_WORD_PASSED, m, 0));
}

int bt_baton_offer(struct bt_baton *baton, uint64_t n, uint64_t m)
{
        if (m > BT_INC_MAX)
                return BT_BATON_E_STALE; /* would spill into the holder's bits */
        return word_move(baton, bt_word_pack(BT_WORD_HELD, n, 0), bt_word_pack(BT_WORD_OFFERED, n, m));
}

int bt_baton_withdraw(struct bt_baton *baton, uint64_t n, uint64_t m)
{
        return word_move(baton, bt_word_pack(BT_WORD_OFFERED, n, m), bt_word_pack(BT_WORD_HELD, n, 0));
}

int bt_baton_pass(struct bt_baton *baton, uint64_t n, uint64_t m)
{
        return word_move_and_wake(baton, bt_word_pack(BT_WORD_OFFERED, n, m),
                                  bt_word_pack(BT_WORD_PASSED, m, n));
}

int bt_baton_confirm(struct bt_baton *baton, uint64_t m)
{
        struct bt_word w = bt_baton_word(baton);

        if (w.phase != BT_WORD_PASSED || w.holder != m)
                return BT_BATON_E_STALE;
        return word_move(baton, bt_word_pack(BT_WORD_PASSED, m, w.heir), bt_word_pack(BT_WORD_HELD, m, 0));
}

int bt_baton_give_back(struct bt_baton *baton, uint64_t m, uint64_t n)
{
        return word_move(baton, bt_word_pack(BT_WORD_PASSED, m, n), bt_word_pack(BT_WORD_HELD, n, 0));
}

int bt_baton_release(struct bt_baton *baton, uint64_t n)
{
        return word_move(baton, bt_word_pack(BT_WORD_HELD, n, 0), bt_word_pack(BT_WORD_VACANT, n, 0));
}

int bt_baton_reclaim(struct bt_baton *baton, uint64_t n)
{
        uint64_t word = atomic_load(&baton->word);

        /* A loop, because a live heir may still move PASSED on; but a word whose holder is dead and is not PASSED cannot change. */
        while (bt_word_unpack(word).holder == n) {
                if (atomic_compare_exchange_strong(&baton->word, &word, bt_word_pack(BT_WORD_VACANT, n, 0)))
                        return 0;
        }
        return BT_BATON_E_STALE;
}

bool bt_word_valid(uint64_t word)
{
        struct bt_word w = bt_word_unpack(word);

        switch (w.phase) {
        case BT_WORD_VACANT:
                return w.heir == 0;
        case BT_WORD_HELD:
                return w.holder != 0 && w.heir == 0;
        case BT_WORD_OFFERED:
                return w.holder != 0 && w.heir > w.holder;
        case BT_WORD_PASSED:
                return w.holder != 0 && w.heir < w.holder;
        default:
                return false;
        }
}

static bool park_over(const struct bt_baton *baton, uint64_t inc)
{
        struct bt_word w = bt_word_unpack(atomic_load(&baton->word));

        return w.phase == BT_WORD_PASSED && w.holder == inc;
}

/* What ends a wait: 0 the baton is ours, an outcome, or -EAGAIN. Cheap: it is asked again and again. */
static int park_look(const struct bt_baton *baton, uint64_t inc, const _Atomic uint32_t *called, uint32_t called_seen, uint32_t soon_seen)
{
        if (park_over(baton, inc))
                return 0;
        if (atomic_load(called) != called_seen)
                return BT_BATON_E_CALLED;
        if (atomic_load(&baton->soon) != soon_seen)
                return BT_BATON_E_SOON;
        return -EAGAIN;
}

/* Watches all three for at most @spin_ns. The beat moves from the first round on, and says which announcement it answers. */
static int park_spin(struct bt_baton *baton, uint64_t inc, const _Atomic uint32_t *called, uint32_t called_seen, uint32_t soon_seen,
                     uint64_t spin_ns)
{
        uint64_t until = bt_ns_add(bt_now_ns(), spin_ns);
        uint32_t beat = soon_seen << BT_BEAT_BITS, count = 0;

        do {
                for (int i = 0; i < SPIN_CLOCK_EVERY; i++) {
                        int r = park_look(baton, inc, called, called_seen, soon_seen);

                        if (r != -EAGAIN)
                                return r;
                        bt_cpu_relax();
                }
                count = (count + 1) & ((1u << BT_BEAT_BITS) - 1);
                atomic_store_explicit(&baton->beat, beat | count, memory_order_relaxed);
        } while (bt_now_ns() < until);
        return -EAGAIN;
}

int bt_baton_park(struct bt_baton *baton, uint64_t inc, const _Atomic uint32_t *called, uint32_t called_seen, uint32_t soon_seen,
                  uint64_t spin_ns)
{
        int r = spin_ns ? park_spin(baton, inc, called, called_seen, soon_seen, spin_ns) : -EAGAIN;

        if (r != -EAGAIN)
                return r; /* awake all the time: @parked has said so, and that line may be the predecessor's just now */
        while (r == -EAGAIN) {
                struct bt_futex_word words[] = {
                        {.word = bt_futex_low(&baton->word)},
                        {.word = called, .expected = called_seen},
                        {.word = &baton->soon, .expected = soon_seen},
                };

                atomic_store(&baton->parked, BT_PARK_FUTEX);
                words[0].expected = (uint32_t)atomic_load(&baton->word);
                r = park_look(baton, inc, called, called_seen, soon_seen);
                if (r != -EAGAIN)
                        break;
                r = bt_futex_wait(words, 3, BT_NS_NEVER);
                if (!r)
                        r = park_look(baton, inc, called, called_seen, soon_seen);
        }
        atomic_store(&baton->parked, BT_PARK_AWAKE);
        return r;
}

uint32_t bt_baton_announce(struct bt_baton *baton)
{
        uint32_t soon = atomic_fetch_add(&baton->soon, 1) + 1;

        if (atomic_load(&baton->parked) == BT_PARK_FUTEX)
                bt_futex_wake(&baton->soon);
        return soon;
}

static uint64_t page_up(uint64_t bytes)
{
        return (bytes + BT_PAGE_BYTES - 1) & ~(uint64_t)(BT_PAGE_BYTES - 1);
}

uint64_t bt_baton_bytes(uint32_t form, uint64_t state_bytes_max, uint32_t checkpoint_slots)
{
        uint64_t slots = 0;

        if (form == BATON_STATE_BLOB)
                slots = checkpoint_slots ? checkpoint_slots : BT_BLOB_SLOTS;
        else if (form == BATON_STATE_ARENA)
                slots = 1 + checkpoint_slots;
        return sizeof(struct bt_baton) + slots * page_up(state_bytes_max);
}

static int baton_create(struct bt_seg *ret_seg, int *ret_fd, const char *id, uint32_t form, uint64_t state_bytes_max,
                        uint32_t checkpoint_slots)
{
        struct bt_baton *baton;
        int r;

        bt_assert(form < _BATON_STATE_N && strlen(id) <= BATON_ID_BYTES_MAX);
        if (form == BATON_STATE_NONE)
                state_bytes_max = checkpoint_slots = 0;
        if (form == BATON_STATE_ARENA && state_bytes_max < BT_ARENA_BYTES_MIN)
                state_bytes_max = BT_ARENA_BYTES_MIN;
        if (state_bytes_max > BT_ARENA_BYTES_MAX)
                return -E2BIG;

        r = bt_seg_create(ret_seg, ret_fd, "baton", BT_MAGIC_BATON, bt_baton_bytes(form, state_bytes_max, checkpoint_slots),
                          sizeof(struct bt_baton));
        if (r)
                return bt_fold(r);
        baton = ret_seg->at;
        (void)snprintf(baton->id, sizeof(baton->id), "%s", id);
        baton->form = form;
        baton->state_off = sizeof(struct bt_baton);
        baton->state_bytes_max = page_up(state_bytes_max);
        baton->arena_addr = form == BATON_STATE_ARENA ? BT_ARENA_ADDR : 0;
        baton->checkpoint_slots = checkpoint_slots;
        return 0;
}

int bt_baton_create(struct bt_seg *ret_seg, int *ret_fd, const char *id, uint32_t form, uint64_t state_bytes_max)
{
        return baton_create(ret_seg, ret_fd, id, form, state_bytes_max, 0);
}

int bt_baton_create_checkpointed(struct bt_seg *ret_seg, int *ret_fd, const char *id, uint32_t form, uint64_t state_bytes_max)
{
        return baton_create(ret_seg, ret_fd, id, form, state_bytes_max, BT_CHECKPOINT_SLOTS);
}

bool bt_baton_valid(const struct bt_baton *baton)
{
        /* The id is text that programs print; the holder before us could write here. */
        return memchr(baton->id, '\0', sizeof(baton->id)) && baton->form < _BATON_STATE_N &&
               (baton->form != BATON_STATE_NONE || baton->state_bytes_max == 0) && baton->state_off == sizeof(struct bt_baton) &&
               baton->state_bytes_max <= BT_ARENA_BYTES_MAX && baton->state_bytes_max % BT_PAGE_BYTES == 0 &&
               (baton->checkpoint_slots == 0 || baton->checkpoint_slots == BT_CHECKPOINT_SLOTS) &&
               baton->head.bytes == bt_baton_bytes(baton->form, baton->state_bytes_max, baton->checkpoint_slots) &&
               (baton->form != BATON_STATE_ARENA ||
                (baton->arena_addr && baton->state_bytes_max >= BT_ARENA_BYTES_MIN));
}

bool bt_arena_addr_known(uint64_t addr)
{
        return addr == BT_ARENA_ADDR || addr == BT_ARENA_ADDR_FIRST;
}

uint64_t bt_baton_blob_off(const struct bt_baton *baton, uint32_t idx)
{
        bt_assert(idx < bt_baton_blob_slots(baton));
        return baton->state_off + idx * baton->state_bytes_max;
}
