/* SPDX-License-Identifier: Apache-2.0 */
/*
 * shm/share.c: of the members of a pool each message goes to one that is free; what a dead one had in hand goes to another, with a count; a long job fills nothing;
 * and nobody sleeps beside a message.
 *
 * Members and producers race as threads, for ThreadSanitizer; as processes that are killed they are in tests/property/test_share_property.c, and instruction by
 * instruction in tests/crash/test_share_steps.c.
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
#include "shm/share.h"
#include "tests/support/seed.h"

#define SLOTS   8u
#define BYTES   40u
#define MEMBERS 3u
#define OWNER   1000u /* of the first member's process; one more for each */

static struct bt_seg seg;
static struct bt_mailbox_view box;
static int box_fd;
static struct bt_desk desks[MEMBERS];

static int setup(void **state)
{
        const struct bt_mailbox_shape shape = {
                .slot_count = SLOTS, .payload_bytes = BYTES, .shared = true};

        (void)state;
        memset((void *)desks, 0, sizeof(desks));
        for (uint32_t i = 0; i < MEMBERS; i++)
                desks[i].sharer = i * 100; /* in different words */
        if (bt_mailbox_create(&seg, &box_fd, "web", &shape) || !bt_mailbox_look(&box, &seg))
                return -1;
        return box.shared ? 0 : -1;
}

static int teardown(void **state)
{
        (void)state;
        bt_seg_detach(&seg);
        return close(box_fd);
}

static int push(uint32_t owner, uint64_t n)
{
        const struct bt_letter letter = {.call = n, .bytes = sizeof(n)};

        return bt_mailbox_push(&box, owner, &letter, &n, NULL);
}

/* What @member finds. */
static int take(uint32_t member, struct bt_taken *ret_taken)
{
        uint64_t room[BYTES / 8];
        int r = bt_share_take(&box, &desks[member], OWNER + member, ret_taken, room);

        if (!r) {
                assert_int_equal(ret_taken->letter.call, room[0]);
                (void)bt_desk_begin(&desks[member], desks[member].cursor, NULL);
        }
        return r;
}

static void takes(uint32_t member, uint64_t n)
{
        struct bt_taken taken;

        assert_int_equal(take(member, &taken), 0);
        assert_int_equal(taken.letter.call, n);
        assert_int_equal(taken.owner, 7);
}

static void finishes(uint32_t member)
{
        bt_desk_commit(&desks[member]);
        bt_desk_end(&desks[member]);
        bt_share_done(&box, &desks[member]);
        assert_int_equal(desks[member].claim, 0);
        assert_true(bt_share_valid(&box));
}

static void finds_nothing(uint32_t member)
{
        struct bt_taken taken;

        assert_int_equal(take(member, &taken), BT_MAILBOX_E_EMPTY);
}

static void each_message_goes_to_one_member(void **state)
{
        (void)state;
        finds_nothing(0);
        for (uint64_t n = 0; n < 10 * SLOTS; n += 2) {
                assert_int_equal(push(7, n), 0);
                assert_int_equal(push(7, n + 1), 0);
                assert_int_equal(bt_mailbox_depth(&box), 2);
                takes(n % MEMBERS, n);
                takes((n + 1) % MEMBERS, n + 1);
                finds_nothing((n + 2) % MEMBERS);
                assert_int_equal(bt_mailbox_depth(&box), 0);
                finishes((n + 1) % MEMBERS);
                finishes(n % MEMBERS);
        }
        assert_int_equal(desks[0].cursor + desks[1].cursor + desks[2].cursor, 10 * SLOTS);
}

static void a_long_job_fills_nothing_and_stays_with_who_has_it(void **state)
{
        (void)state;
        assert_int_equal(push(7, 1000), 0);
        takes(0, 1000);
        for (uint64_t n = 0; n < 10 * SLOTS; n++) {
                assert_int_equal(push(7, n), 0);
                takes(1, n);
                finishes(1);
        }
        finds_nothing(2);
        finishes(0);
        for (uint64_t n = 0; n < SLOTS; n++)
                assert_int_equal(push(7, n), 0); /* its slot, too */
        assert_int_equal(push(7, SLOTS), BT_MAILBOX_E_FULL);
        assert_int_equal(box.mb->full, 1);
        for (uint64_t n = 0; n < SLOTS; n++) {
                takes(2, n);
                finishes(2);
        }
}

/* Slots are the bound also when all of them are in hand, and that ends with the first one that is done. */
static void a_queue_whose_slots_are_all_in_hand_is_full(void **state)
{
        static struct bt_desk many[SLOTS];
        struct bt_taken taken;
        uint64_t room[BYTES / 8];

        (void)state;
        memset((void *)many, 0, sizeof(many));
        for (uint64_t n = 0; n < SLOTS; n++) {
                assert_int_equal(push(7, n), 0);
                assert_int_equal(bt_share_take(&box, &many[n], OWNER + (uint32_t)n, &taken, room),
                                 0);
        }
        assert_int_equal(push(7, 100), BT_MAILBOX_E_FULL);
        assert_int_equal(bt_mailbox_wait_room(&box, bt_now_ns() + BT_NS_PER_MS), -ETIMEDOUT);
        bt_share_done(&box, &many[5]);
        assert_int_equal(box.mb->waiting, 0); /* told */
        assert_int_equal(bt_mailbox_wait_room(&box, bt_now_ns() + 60 * BT_NS_PER_S), 0);
        assert_int_equal(push(7, 100), 0);
        assert_int_equal(push(7, 101), BT_MAILBOX_E_FULL);
        takes(0, 100);
        for (uint64_t n = 0; n < SLOTS; n++) {
                if (n != 5)
                        bt_share_done(&box, &many[n]);
        }
        finishes(0);
        assert_int_equal(push(7, 101), 0);
        takes(0, 101);
        finishes(0);
}

static void what_a_dead_one_had_in_hand_is_for_the_others_and_counted(void **state)
{
        struct bt_taken taken;

        (void)state;
        assert_int_equal(push(7, 1), 0);
        assert_int_equal(push(7, 2), 0);
        takes(0, 1);
        takes(1, 2);
        finishes(1);
        for (uint32_t deaths = 1; deaths <= 300; deaths++) {
                uint32_t who = deaths % MEMBERS;

                assert_true(bt_share_settle(&box, &desks[(deaths - 1) % MEMBERS]));
                assert_true(bt_share_valid(&box));
                assert_int_equal(bt_mailbox_depth(&box) > 0, 1);
                assert_int_equal(take(who, &taken), 0);
                assert_int_equal(taken.letter.call, 1);
                assert_int_equal(taken.owner, 7);
                assert_true(taken.again);
                assert_int_equal(taken.before,
                                 deaths < BT_LETTER_BEFORE_MAX ? deaths : BT_LETTER_BEFORE_MAX);
        }
        finishes(300 % MEMBERS);
        assert_false(bt_share_settle(&box, &desks[0])); /* nothing in hand */
        finds_nothing(1);
}

/* It had taken it, and not begun: that is no delivery. And the next message of that member begins to count anew. */
static void who_dies_before_it_begins_has_not_been_given_it(void **state)
{
        struct bt_taken taken;
        uint64_t room[BYTES / 8];

        (void)state;
        assert_int_equal(push(7, 1), 0);
        takes(0, 1);
        assert_true(bt_share_settle(&box, &desks[0]));
        assert_int_equal(bt_share_take(&box, &desks[1], OWNER + 1, &taken, room), 0);
        assert_int_equal(taken.before, 1);
        assert_true(bt_share_settle(&box, &desks[1]));
        assert_int_equal(bt_share_take(&box, &desks[1], OWNER + 8, &taken, room), 0);
        assert_int_equal(taken.before, 1);
        assert_int_equal(bt_desk_begin(&desks[1], desks[1].cursor, NULL), 1);
        finishes(1);
        assert_int_equal(push(7, 2), 0);
        assert_int_equal(take(0, &taken), 0);
        assert_int_equal(taken.before, 0);
        assert_int_equal(desks[0].delivery & 0xff, 1);
        finishes(0);
}

/* Who saw it TAKEN is about to move next past it: the death and the way back come in between. */
static void a_message_that_was_put_back_cannot_be_passed_over(void **state)
{
        uint64_t seen;

        (void)state;
        assert_int_equal(push(7, 1), 0);
        takes(0, 1);
        box.mb->next = 0; /* it died before it moved it */
        seen = box.mb->next;
        assert_true(bt_share_settle(&box, &desks[0]));
        assert_false(atomic_compare_exchange_strong(&box.mb->next, &seen, 1));
        takes(1, 1);
        finishes(1);
}

/* Its process and its desk are gone: only the word says that somebody had it. */
static void an_orphan_is_put_back_where_it_is(void **state)
{
        (void)state;
        for (uint64_t n = 0; n < 3 * SLOTS + 3; n++) {
                assert_int_equal(push(7, n), 0);
                takes(0, n);
                if (n < 3 * SLOTS + 2)
                        finishes(0);
        }
        assert_int_equal(push(7, 100), 0);
        takes(1, 100);
        finishes(1);
        bt_share_put_back(&box, (3 * SLOTS + 2) % SLOTS, OWNER);
        takes(1, 3 * SLOTS + 2);
        finishes(1);
        finds_nothing(2);
}

static void holes_and_claims_of_the_dead_are_passed_over(void **state)
{
        struct bt_taken taken;
        uint64_t pos;

        (void)state;
        assert_int_equal(push(7, 1), 0);
        assert_int_equal(bt_mailbox_claim(&box, 9, &pos), 0);
        assert_int_equal(push(7, 2), 0);
        takes(0, 1);
        assert_int_equal(take(1, &taken), BT_MAILBOX_E_BUSY);
        assert_int_equal(desks[1].claim, 0);
        assert_int_equal(bt_share_waits_for(&box), 9);
        assert_int_equal(bt_mailbox_repair(&box, 9), 1);
        assert_int_equal(take(1, &taken), BT_MAILBOX_E_HOLE);
        takes(1, 2);
        finishes(0);
        finishes(1);
        /* Withdrawn while a dead one had it, between being put back and being seen. */
        assert_int_equal(push(7, 3), 0);
        assert_int_equal(bt_mailbox_withdraw(&box, 7, 3), 0);
        assert_int_equal(take(0, &taken), BT_MAILBOX_E_HOLE);
        finds_nothing(0);
}

static void who_sleeps_is_rung_for_each_message_until_it_wakes(void **state)
{
        (void)state;
        assert_false(bt_mailbox_must_ring(&box));
        assert_true(bt_share_sleep(&box, &desks[0]));
        assert_true(bt_share_sleep(&box, &desks[2]));
        assert_int_equal(push(7, 1), 0);
        assert_true(bt_mailbox_must_ring(&box));
        assert_true(bt_mailbox_must_ring(&box));
        assert_false(bt_share_sleep(&box, &desks[1])); /* there is something */
        bt_share_awake(&box, &desks[0]);
        assert_true(bt_share_more(&box));
        takes(0, 1);
        assert_false(bt_share_more(&box));
        assert_true(bt_mailbox_must_ring(&box)); /* the other one */
        (void)bt_share_settle(&box, &desks[2]);  /* is dead */
        assert_false(bt_mailbox_must_ring(&box));
        finishes(0);
}

/* Whoever wrote that: in the end the oldest message that is there is found. */
static void a_next_that_cannot_be_is_put_right(void **state)
{
        const uint64_t wrong[] = {UINT64_C(1) << 40, 3 * SLOTS + 5, 0,
                                  (UINT64_C(77) << BT_NEXT_POS_BITS) | 1000, UINT64_MAX};

        (void)state;
        for (uint64_t n = 0; n < 3 * SLOTS; n++) {
                assert_int_equal(push(7, n), 0);
                takes(0, n);
                finishes(0);
        }
        for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
                assert_int_equal(push(7, 100 + i), 0);
                box.mb->next = wrong[i];
                takes(1, 100 + i);
                bt_share_done(
                        &box,
                        &desks[1]); /* 2^40 has the same laps: it is found there, and next is put right after it */
                finds_nothing(2);
                assert_true(bt_share_valid(&box));
        }
}

static void words_that_cannot_be_lead_nobody_astray(void **state)
{
        struct seed seed = seed_new();
        uint64_t seen[8] = {0};

        (void)state;
        for (uint64_t i = 0; i < seed_rounds(100000); i++) {
                uint32_t member = (uint32_t)seed_below(&seed, MEMBERS);
                struct bt_mail_slot *slot = bt_mailbox_slot(&box, seed_below(&seed, SLOTS));
                struct bt_taken taken;
                uint64_t room[BYTES / 8];
                int r;

                if (seed_below(&seed, 3) == 0)
                        slot->word = bt_slot_pack((uint32_t)seed_below(&seed, 100),
                                                  (uint32_t)seed_below(&seed, 4) + OWNER,
                                                  (enum bt_slot_state)seed_below(&seed, 8));
                if (seed_below(&seed, 50) == 0)
                        box.mb->next = seed_next(&seed) >> seed_below(&seed, 64);
                if (seed_below(&seed, 50) == 0)
                        box.mb->tail = seed_next(&seed) >> seed_below(&seed, 64);
                if (seed_below(&seed, 20) == 0)
                        slot->letter.bytes = (uint32_t)seed_next(&seed);
                if (seed_below(&seed, 20) == 0)
                        desks[member].claim = seed_next(&seed);
                (void)push(7, i);
                r = bt_share_take(&box, &desks[member], OWNER + member, &taken, room);
                assert_in_range(r, 0, BT_MAILBOX_E_BROKEN);
                seen[r]++;
                if (!r)
                        assert_in_range(taken.letter.bytes, 0, BYTES);
                if (seed_below(&seed, 2))
                        bt_share_done(&box, &desks[member]);
                else
                        (void)bt_share_settle(&box, &desks[member]);
                (void)bt_share_sleep(&box, &desks[member]);
                (void)bt_share_more(&box);
                (void)bt_share_waits_for(&box);
                (void)bt_share_valid(&box);
                assert_in_range(bt_mailbox_depth(&box), 0, SLOTS);
        }
        assert_true(seen[0] && seen[BT_MAILBOX_E_BROKEN]);
}

/* ---- threads ---- */

#define PRODUCERS 2u

struct racer {
        pthread_t thread;
        uint32_t number;
        uint64_t each;
        int bell;
        uint64_t slept;
};

static _Atomic uint8_t *got; /* by owner and number: how often it was done */
static _Atomic uint64_t left;

static void *produce(void *arg)
{
        const struct racer *racer = arg;
        const uint64_t one = 1;

        for (uint64_t n = 0; n < racer->each; n++) {
                uint64_t id = racer->number * racer->each + n;
                int r;

                while ((r = push(7, id)) == BT_MAILBOX_E_FULL || r == -EAGAIN)
                        (void)bt_mailbox_wait_room(&box, bt_now_ns() + 10 * BT_NS_PER_MS);
                if (r)
                        abort();
                if (bt_mailbox_must_ring(&box))
                        (void)!write(racer->bell, &one, sizeof(one));
        }
        return NULL;
}

static void *work(void *arg)
{
        struct racer *racer = arg;
        struct bt_mailbox_view view = box;
        struct bt_desk *desk = &desks[racer->number];
        const uint64_t one = 1;

        while (atomic_load(&left)) {
                struct pollfd p = {.fd = racer->bell, .events = POLLIN};
                struct bt_taken taken;
                uint64_t room[BYTES / 8], rung;
                int r = bt_share_take(&view, desk, OWNER + racer->number, &taken, room);

                if (!r) {
                        if (bt_share_more(&view))
                                (void)!write(racer->bell, &one, sizeof(one));
                        (void)bt_desk_begin(desk, desk->cursor, NULL);
                        atomic_fetch_add(&got[room[0]], 1);
                        bt_desk_commit(desk);
                        bt_desk_end(desk);
                        bt_share_done(&view, desk);
                        if (atomic_fetch_sub(&left, 1) == 1)
                                for (uint32_t i = 0; i < MEMBERS; i++)
                                        (void)!write(racer->bell, &one,
                                                     sizeof(one)); /* all may go */
                } else if (bt_share_sleep(&view, desk)) {
                        if (atomic_load(&left) && poll(&p, 1, 60000) != 1)
                                abort(); /* a message came and nobody rang */
                        (void)!read(racer->bell, &rung, sizeof(rung));
                        bt_share_awake(&view, desk);
                        racer->slept++;
                }
        }
        return NULL;
}

static void many_producers_and_members_that_sleep_do_each_message_once(void **state)
{
        struct racer producers[PRODUCERS], members[MEMBERS];
        uint64_t each = seed_rounds(20000), slept = 0;
        int bell = eventfd(0, EFD_NONBLOCK | EFD_SEMAPHORE);

        (void)state;
        left = PRODUCERS * each;
        got = calloc(left, 1);
        assert_non_null(got);
        for (uint32_t i = 0; i < MEMBERS; i++) {
                members[i] = (struct racer){.number = i, .bell = bell};
                assert_int_equal(pthread_create(&members[i].thread, NULL, work, &members[i]), 0);
        }
        for (uint32_t i = 0; i < PRODUCERS; i++) {
                producers[i] = (struct racer){.number = i, .each = each, .bell = bell};
                assert_int_equal(pthread_create(&producers[i].thread, NULL, produce, &producers[i]),
                                 0);
        }
        for (uint32_t i = 0; i < PRODUCERS; i++)
                assert_int_equal(pthread_join(producers[i].thread, NULL), 0);
        for (uint32_t i = 0; i < MEMBERS; i++) {
                assert_int_equal(pthread_join(members[i].thread, NULL), 0);
                slept += members[i].slept;
                print_message("member %u did %llu\n", i, (unsigned long long)desks[i].cursor);
        }
        for (uint64_t id = 0; id < PRODUCERS * each; id++)
                assert_int_equal(got[id], 1);
        assert_true(bt_share_valid(&box));
        print_message("slept %llu times, full %llu times\n", (unsigned long long)slept,
                      (unsigned long long)box.mb->full);
        free((void *)got);
        (void)close(bell);
}

int main(void)
{
#define ROW(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
        const struct CMUnitTest tests[] = {
                ROW(each_message_goes_to_one_member),
                ROW(a_long_job_fills_nothing_and_stays_with_who_has_it),
                ROW(a_queue_whose_slots_are_all_in_hand_is_full),
                ROW(what_a_dead_one_had_in_hand_is_for_the_others_and_counted),
                ROW(who_dies_before_it_begins_has_not_been_given_it),
                ROW(a_message_that_was_put_back_cannot_be_passed_over),
                ROW(an_orphan_is_put_back_where_it_is),
                ROW(holes_and_claims_of_the_dead_are_passed_over),
                ROW(who_sleeps_is_rung_for_each_message_until_it_wakes),
                ROW(a_next_that_cannot_be_is_put_right),
                ROW(words_that_cannot_be_lead_nobody_astray),
                ROW(many_producers_and_members_that_sleep_do_each_message_once),
        };
#undef ROW

        return cmocka_run_group_tests(tests, NULL, NULL);
}
