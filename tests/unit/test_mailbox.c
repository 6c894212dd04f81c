/* SPDX-License-Identifier: Apache-2.0 */
/*
 * shm/mailbox.c: what is sent arrives, once, in the order of its positions; a full mailbox refuses; a dead producer leaves a hole and nobody waits for it; what
 * was withdrawn is not handled; and a word that cannot be leads nobody astray.
 *
 * Many producers race with one sleeping consumer as threads, for ThreadSanitizer; a lost wake-up is a test that does not end. As processes that
 * are killed they are in tests/property/test_mailbox_property.c.
 *
 * links: pthread
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/clock.h"
#include "shm/mailbox.h"
#include "tests/support/seed.h"

#define SLOTS 8u
#define BYTES 40u

static struct bt_seg seg;
static struct bt_mailbox_view box;
static int box_fd;

static int setup(void **state)
{
        const struct bt_mailbox_shape shape = {.slot_count = SLOTS, .payload_bytes = BYTES, .region_bytes = 100};

        (void)state;
        if (bt_mailbox_create(&seg, &box_fd, "web/0", &shape) || !bt_mailbox_look(&box, &seg))
                return -1;
        return 0;
}

static int teardown(void **state)
{
        (void)state;
        bt_seg_detach(&seg);
        return close(box_fd);
}

static int push(uint32_t owner, uint64_t n)
{
        const struct bt_letter letter = {.call = n, .tag = ~n, .bytes = sizeof(n)};

        return bt_mailbox_push(&box, owner, &letter, &n, NULL);
}

/* The message at @pos is number @n of @owner; it is done. */
static void take_ok(uint64_t pos, uint32_t owner, uint64_t n)
{
        struct bt_taken taken;
        uint64_t room[BYTES / 8];

        assert_int_equal(bt_mailbox_take(&box, pos, &taken, room), 0);
        assert_int_equal(taken.owner, owner);
        assert_int_equal(taken.letter.call, n);
        assert_int_equal(taken.letter.tag, ~n);
        assert_int_equal(room[0], n);
        bt_mailbox_free(&box, pos);
}

static int take(uint64_t pos)
{
        struct bt_taken taken;
        uint64_t room[BYTES / 8];

        return bt_mailbox_take(&box, pos, &taken, room);
}

/* As if so many messages had come by. */
static void start_at(uint64_t pos)
{
        box.mb->tail = box.mb->read = pos;
        for (uint64_t p = pos; p < pos + SLOTS; p++)
                bt_mailbox_slot(&box, p)->word = bt_slot_pack((uint32_t)(p / SLOTS), 0, BT_SLOT_FREE);
}

/* ---- the queue ---- */

static void a_fresh_mailbox_is_valid_and_empty(void **state)
{
        (void)state;
        assert_true(bt_mailbox_valid(&box, 0));
        assert_int_equal(take(0), BT_MAILBOX_E_EMPTY);
        assert_int_equal(bt_mailbox_depth(&box), 0);
        assert_int_equal(box.region_bytes, BT_PAGE_BYTES);
        assert_int_equal(box.region_off % BT_PAGE_BYTES, 0);
}

static void what_is_pushed_is_taken_in_order_over_many_laps(void **state)
{
        (void)state;
        for (uint64_t n = 0; n < 5 * SLOTS; n++) {
                assert_int_equal(push(3, n), 0);
                assert_int_equal(push(4, n + 1000), 0);
                assert_int_equal(bt_mailbox_depth(&box), 2);
                assert_true(bt_mailbox_valid(&box, 2 * n));
                take_ok(2 * n, 3, n);
                take_ok(2 * n + 1, 4, n + 1000);
        }
}

static void laps_wrap_around(void **state)
{
        const uint64_t pos = (UINT64_C(1) << 29) * SLOTS - 3;

        (void)state;
        start_at(pos);
        for (uint64_t n = 0; n < 3 * SLOTS; n++) {
                assert_int_equal(push(1, n), 0);
                assert_true(bt_mailbox_valid(&box, pos + n));
                take_ok(pos + n, 1, n);
        }
}

static void push_refuses_when_full_and_counts_it(void **state)
{
        (void)state;
        for (uint64_t n = 0; n < SLOTS; n++)
                assert_int_equal(push(1, n), 0);
        assert_int_equal(push(1, 99), BT_MAILBOX_E_FULL);
        assert_int_equal(push(1, 99), BT_MAILBOX_E_FULL);
        assert_int_equal(box.mb->full, 2);
        assert_int_equal(bt_mailbox_depth(&box), SLOTS);
        assert_int_equal(bt_mailbox_wait_room(&box, bt_now_ns() + BT_NS_PER_MS), -ETIMEDOUT);
        take_ok(0, 1, 0);
        assert_int_equal(bt_mailbox_wait_room(&box, bt_now_ns() + BT_NS_PER_MS), 0);
        assert_int_equal(push(1, SLOTS), 0);
        for (uint64_t n = 1; n <= SLOTS; n++)
                take_ok(n, 1, n);
}

static void too_much_is_refused_and_a_closed_mailbox_takes_nothing(void **state)
{
        const struct bt_letter letter = {.bytes = BYTES + 1};
        char payload[BYTES + 1] = {0};

        (void)state;
        assert_int_equal(bt_mailbox_push(&box, 1, &letter, payload, NULL), -EMSGSIZE);
        assert_true(bt_mailbox_valid(&box, 0));
        box.mb->gate = BT_MAILBOX_CLOSED;
        assert_int_equal(push(1, 1), BT_MAILBOX_E_CLOSED);
        assert_int_equal(take(0), BT_MAILBOX_E_EMPTY);
}

/* ---- owners ---- */

static void a_claim_holds_up_what_is_behind_it_until_it_is_repaired(void **state)
{
        uint64_t pos;

        (void)state;
        assert_int_equal(bt_mailbox_claim(&box, 5, &pos), 0);
        assert_int_equal(push(6, 1), 0);
        assert_int_equal(take(0), BT_MAILBOX_E_BUSY);
        assert_int_equal(bt_mailbox_waits_for(&box, 0), 5);
        assert_int_equal(bt_mailbox_repair(&box, 6), 0);
        assert_int_equal(bt_mailbox_repair(&box, 5), 1);
        assert_true(bt_mailbox_valid(&box, 0));
        assert_int_equal(bt_mailbox_publish(&box, 5, pos), BT_MAILBOX_E_STALE);
        assert_int_equal(take(0), BT_MAILBOX_E_HOLE);
        bt_mailbox_free(&box, 0);
        take_ok(1, 6, 1);
        assert_int_equal(bt_mailbox_waits_for(&box, 2), 0);
}

static void what_a_dead_producer_had_sent_is_still_sent(void **state)
{
        (void)state;
        assert_int_equal(push(5, 1), 0);
        assert_int_equal(bt_mailbox_repair(&box, 5), 0);
        take_ok(0, 5, 1);
}

/* A producer that died between its claim and the tail. */
static void the_tail_is_moved_by_whoever_comes_next(void **state)
{
        (void)state;
        bt_mailbox_slot(&box, 0)->word = bt_slot_pack(0, 5, BT_SLOT_CLAIMED);
        assert_true(bt_mailbox_valid(&box, 0));
        assert_int_equal(push(6, 1), 0);
        assert_int_equal(box.mb->tail, 2);
        assert_int_equal(bt_mailbox_repair(&box, 5), 1);
        bt_mailbox_free(&box, 0);
        take_ok(1, 6, 1);

        /* And one that was published, taken and freed before anybody saw the tail. */
        bt_mailbox_slot(&box, 2)->word = bt_slot_pack(1, 0, BT_SLOT_FREE);
        assert_true(bt_mailbox_valid(&box, 3));
        assert_int_equal(push(6, 2), 0);
        take_ok(3, 6, 2);
}

/* Another producer, that knows nothing of ours. */
static int push_elsewhere(uint32_t owner, uint64_t n, uint64_t *ret_pos)
{
        const struct bt_letter letter = {.call = n, .tag = ~n, .bytes = sizeof(n)};
        struct bt_mailbox_view view;

        assert_true(bt_mailbox_look(&view, &seg));
        return bt_mailbox_push(&view, owner, &letter, &n, ret_pos);
}

/* The store of a producer that was stopped before it, and goes on now. */
static void a_tail_that_is_taken_back_hides_nothing_and_nothing_is_claimed_twice(void **state)
{
        uint64_t pos = 0, n = 0;

        (void)state;
        for (; n < 3; n++)
                assert_int_equal(push(5, n), 0);
        box.mb->tail = 1;
        assert_int_equal(push_elsewhere(6, n++, &pos), 0);
        assert_int_equal(pos, 3);
        assert_int_equal(box.mb->tail, 4);
        for (uint64_t p = 0; p < 4; p++)
                take_ok(p, p < 3 ? 5 : 6, p);

        /* By whole laps. */
        for (; n < 3 * SLOTS + 2; n++) {
                assert_int_equal(push(5, n), 0);
                take_ok(n, 5, n);
        }
        for (uint64_t back = 0; back < n; back += 3) {
                box.mb->tail = back;
                assert_int_equal(push_elsewhere(6, n, &pos), 0);
                assert_int_equal(pos, n);
                take_ok(n, 6, n);
                n++;
        }
        assert_true(bt_mailbox_valid(&box, n));
}

static void a_tail_that_is_taken_back_makes_a_full_mailbox_no_less_full(void **state)
{
        uint64_t pos = 0;

        (void)state;
        for (uint64_t n = 0; n < SLOTS; n++)
                assert_int_equal(push(5, n), 0);
        box.mb->tail = 2;
        assert_int_equal(push_elsewhere(6, 9, &pos), BT_MAILBOX_E_FULL);
        assert_int_equal(bt_mailbox_wait_room(&box, bt_now_ns() + BT_NS_PER_MS), -ETIMEDOUT);
        take_ok(0, 5, 0);
        assert_int_equal(push_elsewhere(6, 9, &pos), 0);
        assert_int_equal(pos, SLOTS);
}

/* Each begins to look behind its own last one, and learns that there are others. */
static void producers_that_take_turns_find_each_other(void **state)
{
        struct bt_mailbox_view other;
        uint64_t pos = 0;

        (void)state;
        assert_true(bt_mailbox_look(&other, &seg));
        for (uint64_t n = 0; n < 500; n++) {
                bool ours = n / 7 % 3 != 0; /* turns of 7 and of 14 */

                assert_int_equal(bt_mailbox_claim(ours ? &box : &other, ours ? 5 : 6, &pos), 0);
                assert_int_equal(pos, n);
                bt_mailbox_slot(&box, n)->letter = (struct bt_letter){.call = n, .tag = ~n, .bytes = sizeof(n)};
                memcpy(bt_mailbox_slot(&box, n)->payload, &n, sizeof(n));
                assert_int_equal(bt_mailbox_publish(ours ? &box : &other, ours ? 5 : 6, pos), 0);
                assert_int_equal(box.mb->tail, n + 1);
                take_ok(n, ours ? 5 : 6, n);
        }
        assert_true(other.others || box.others);
        assert_true(bt_mailbox_valid(&box, 500));
}

static void what_is_read_is_not_marked_and_is_given_back_like_the_rest(void **state)
{
        struct bt_taken taken;
        uint64_t room[BYTES / 8];

        (void)state;
        assert_int_equal(push(5, 1), 0);
        assert_int_equal(bt_mailbox_read(&box, 0, &taken, room), 0);
        assert_int_equal(room[0], 1);
        assert_false(taken.again);
        assert_int_equal(bt_slot_unpack(bt_mailbox_slot(&box, 0)->word).state, BT_SLOT_READY);
        bt_mailbox_give_back(&box, 0);
        assert_int_equal(box.mb->read, 1);
        assert_true(bt_mailbox_valid(&box, 1));
        assert_int_equal(push(5, 2), 0);
        take_ok(1, 5, 2);
}

static void the_tail_moves_when_a_message_is_whole_and_a_watcher_goes_by_it(void **state)
{
        uint64_t pos;

        (void)state;
        assert_int_equal(bt_mailbox_claim(&box, 5, &pos), 0);
        assert_false(bt_mailbox_told(&box, 0));
        assert_int_equal(bt_mailbox_publish(&box, 5, pos), 0);
        assert_true(bt_mailbox_told(&box, 0));
        assert_true(bt_mailbox_spin(&box, 0, 1, NULL, 0));
        assert_false(bt_mailbox_told(&box, 1));
        assert_false(bt_mailbox_spin(&box, 1, 1, NULL, 0));
}

/* A producer that died between READY and the tail: its message is sent. */
static void a_watcher_also_finds_what_the_tail_does_not_tell(void **state)
{
        const _Atomic uint32_t called = 1;

        (void)state;
        assert_int_equal(push(5, 1), 0);
        box.mb->tail = 0;
        assert_true(bt_mailbox_valid(&box, 0));
        assert_false(bt_mailbox_told(&box, 0));
        assert_true(bt_mailbox_spin(&box, 0, 0, NULL, 0));
        assert_true(bt_mailbox_spin(&box, 0, UINT64_MAX, &called, 1));
        assert_false(bt_mailbox_sleep(&box, 0));
        take_ok(0, 5, 1);

        /* Nor does a tail that lies make it see what is not there. */
        box.mb->tail = UINT64_MAX;
        assert_false(bt_mailbox_spin(&box, 1, 1, &called, 1));
        assert_false(bt_mailbox_spin(&box, 1, UINT64_MAX, &called, 0));
}

static void what_is_withdrawn_in_time_is_not_handled_and_nothing_else_can_be(void **state)
{
        struct bt_taken taken;
        uint64_t room[BYTES / 8], pos;

        (void)state;
        assert_int_equal(push(5, 1), 0);
        assert_int_equal(push(5, 2), 0);
        assert_int_equal(bt_mailbox_withdraw(&box, 6, 0), BT_MAILBOX_E_STALE); /* not its own */
        assert_int_equal(bt_mailbox_withdraw(&box, 5, 0), 0);
        assert_int_equal(take(0), BT_MAILBOX_E_HOLE);
        bt_mailbox_free(&box, 0);
        assert_int_equal(bt_mailbox_take(&box, 1, &taken, room), 0);
        assert_false(taken.again);
        assert_int_equal(bt_mailbox_withdraw(&box, 5, 1), BT_MAILBOX_E_STALE); /* in hand */
        assert_int_equal(bt_mailbox_take(&box, 1, &taken, room), 0);
        assert_true(taken.again);
        bt_mailbox_free(&box, 1);
        assert_int_equal(bt_mailbox_withdraw(&box, 5, 1), BT_MAILBOX_E_STALE); /* done */
        assert_int_equal(bt_mailbox_claim(&box, 5, &pos), 0);
        assert_int_equal(bt_mailbox_withdraw(&box, 5, pos), BT_MAILBOX_E_STALE); /* not sent */
}

static void a_consumer_frees_what_its_predecessor_was_past(void **state)
{
        (void)state;
        for (uint64_t n = 0; n < SLOTS; n++)
                assert_int_equal(push(5, n), 0);
        assert_int_equal(take(0), 0); /* the cursor moved to 1, and it died */
        assert_true(bt_mailbox_valid(&box, 1));
        assert_int_equal(push(5, 99), BT_MAILBOX_E_FULL);
        bt_mailbox_resume(&box, 1);
        assert_int_equal(push(5, SLOTS), 0);
        bt_mailbox_resume(&box, 1); /* of a slot that was freed, and is somebody's again, it takes nothing */
        for (uint64_t n = 1; n <= SLOTS; n++)
                take_ok(n, 5, n);
}

/* ---- nonsense ---- */

static void no_word_leads_a_consumer_or_a_producer_astray(void **state)
{
        struct seed seed = seed_new();

        (void)state;
        for (uint64_t i = 0; i < seed_rounds(20000); i++) {
                struct bt_mail_slot *slot = bt_mailbox_slot(&box, seed_below(&seed, SLOTS));
                uint64_t before = box.mb->read, pos;
                int r;

                if (seed_below(&seed, 4) == 0)
                        box.mb->tail = seed_below(&seed, 2) ? seed_next(&seed) : before + seed_below(&seed, 20);
                slot->word = seed_below(&seed, 2) ? seed_next(&seed)
                                                  : bt_slot_pack((uint32_t)(before / SLOTS + seed_below(&seed, 3)), (uint32_t)seed_below(&seed, 3),
                                                                 (enum bt_slot_state)seed_below(&seed, 8));
                slot->letter.bytes = seed_below(&seed, 2) ? (uint32_t)seed_next(&seed) : BYTES;
                r = bt_mailbox_claim(&box, 9, &pos);
                assert_true(r == 0 || r == BT_MAILBOX_E_FULL || r == BT_MAILBOX_E_BROKEN || r == -EAGAIN);
                assert_in_range(bt_mailbox_depth(&box), 0, SLOTS);
                (void)bt_mailbox_valid(&box, before);
                r = take(before);
                assert_true(r == 0 || (r >= BT_MAILBOX_E_EMPTY && r <= BT_MAILBOX_E_BROKEN));
                if (r != BT_MAILBOX_E_EMPTY && r != BT_MAILBOX_E_BUSY) {
                        bt_mailbox_free(&box, before);
                        assert_int_equal(box.mb->read, before + 1);
                }
                (void)bt_mailbox_repair(&box, 9);
        }
}

static void a_geometry_that_cannot_be_is_refused(void **state)
{
        struct bt_mailbox saved = *box.mb;
        struct bt_mailbox_view view;

        (void)state;
        box.mb->slot_count = 7;
        assert_false(bt_mailbox_look(&view, &seg));
        *box.mb = saved;
        box.mb->slot_count = 2 * SLOTS;
        assert_false(bt_mailbox_look(&view, &seg) && view.slots_off + 2 * SLOTS * view.slot_bytes > seg.bytes);
        *box.mb = saved;
        box.mb->payload_bytes = UINT32_MAX;
        assert_false(bt_mailbox_look(&view, &seg));
        *box.mb = saved;
        box.mb->region_bytes = UINT64_MAX;
        assert_false(bt_mailbox_look(&view, &seg));
        *box.mb = saved;
        box.mb->slot_bytes = 1; /* not believed: computed */
        box.mb->region_off = 1;
        assert_true(bt_mailbox_look(&view, &seg));
        assert_int_equal(view.slot_bytes, 128);
        assert_int_equal(view.region_off, 8192);
}

/* ---- threads ---- */

#define PRODUCERS 3u

struct producer {
        uint32_t owner;
        uint64_t count;
        int bell;
};

static void ring_if_wanted(int bell)
{
        const uint64_t one = 1;

        if (bt_mailbox_must_ring(&box))
                (void)!write(bell, &one, sizeof(one));
}

static void *produce(void *arg)
{
        const struct producer *p = arg;

        for (uint64_t n = 0; n < p->count;) {
                int r = push(p->owner, n);

                if (r == 0) {
                        ring_if_wanted(p->bell);
                        n++;
                } else if (r == BT_MAILBOX_E_FULL) {
                        r = bt_mailbox_wait_room(&box, bt_now_ns() + 60 * BT_NS_PER_S);
                        if (r && r != -EINTR)
                                abort(); /* nobody said that there is room */
                }
        }
        return NULL;
}

static void wait_for_bell(int bell)
{
        struct pollfd p = {.fd = bell, .events = POLLIN};
        uint64_t rung;

        if (poll(&p, 1, 60000) != 1)
                fail_msg("a message came and nobody rang");
        (void)!read(bell, &rung, sizeof(rung));
}

static void many_producers_and_a_consumer_that_sleeps_lose_nothing(void **state)
{
        struct producer producers[PRODUCERS];
        pthread_t threads[PRODUCERS];
        uint64_t next[PRODUCERS] = {0}, each = seed_rounds(50000), slept = 0;
        int bell = eventfd(0, EFD_NONBLOCK);

        (void)state;
        for (uint32_t i = 0; i < PRODUCERS; i++) {
                producers[i] = (struct producer){.owner = 100 + i, .count = each, .bell = bell};
                assert_int_equal(pthread_create(&threads[i], NULL, produce, &producers[i]), 0);
        }
        for (uint64_t pos = 0; pos < PRODUCERS * each;) {
                struct bt_taken taken;
                uint64_t room[BYTES / 8];
                int r = bt_mailbox_take(&box, pos, &taken, room);

                if (r == 0) {
                        assert_in_range(taken.owner, 100, 100 + PRODUCERS - 1);
                        assert_int_equal(room[0], next[taken.owner - 100]++);
                        bt_mailbox_free(&box, pos++);
                } else if (bt_mailbox_sleep(&box, pos)) {
                        wait_for_bell(bell);
                        bt_mailbox_awake(&box);
                        slept++;
                }
        }
        for (uint32_t i = 0; i < PRODUCERS; i++) {
                assert_int_equal(pthread_join(threads[i], NULL), 0);
                assert_int_equal(next[i], each);
        }
        assert_true(bt_mailbox_valid(&box, PRODUCERS * each));
        print_message("%llu messages, slept %llu times, full %llu times\n", (unsigned long long)(PRODUCERS * each), (unsigned long long)slept,
                      (unsigned long long)box.mb->full);
        (void)close(bell);
}

int main(void)
{
#define ROW(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
        const struct CMUnitTest tests[] = {
                ROW(a_fresh_mailbox_is_valid_and_empty),
                ROW(what_is_pushed_is_taken_in_order_over_many_laps),
                ROW(laps_wrap_around),
                ROW(push_refuses_when_full_and_counts_it),
                ROW(too_much_is_refused_and_a_closed_mailbox_takes_nothing),
                ROW(a_claim_holds_up_what_is_behind_it_until_it_is_repaired),
                ROW(what_a_dead_producer_had_sent_is_still_sent),
                ROW(the_tail_is_moved_by_whoever_comes_next),
                ROW(a_tail_that_is_taken_back_hides_nothing_and_nothing_is_claimed_twice),
                ROW(a_tail_that_is_taken_back_makes_a_full_mailbox_no_less_full),
                ROW(producers_that_take_turns_find_each_other),
                ROW(what_is_read_is_not_marked_and_is_given_back_like_the_rest),
                ROW(the_tail_moves_when_a_message_is_whole_and_a_watcher_goes_by_it),
                ROW(a_watcher_also_finds_what_the_tail_does_not_tell),
                ROW(what_is_withdrawn_in_time_is_not_handled_and_nothing_else_can_be),
                ROW(a_consumer_frees_what_its_predecessor_was_past),
                ROW(no_word_leads_a_consumer_or_a_producer_astray),
                ROW(a_geometry_that_cannot_be_is_refused),
                ROW(many_producers_and_a_consumer_that_sleeps_lose_nothing),
        };
#undef ROW

        return cmocka_run_group_tests(tests, NULL, NULL);
}
