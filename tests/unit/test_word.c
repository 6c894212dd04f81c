/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The holder word: shm/baton.c.
 *
 * The first half compares the functions, for all words with small numbers and all arguments, with a table that was written from the picture
 * in docs/architecture.md and not from the code: a legal transition makes exactly the word of the table, everything else is
 * STALE and changes nothing. tests/model/test_holder.c looks at what actors do with these functions.
 *
 * The second half are thread twins: predecessor, successor and hub as threads that race for one word, for ThreadSanitizer and for the
 * property that matters: plain data written by one holder is seen whole by the next (I1).
 *
 * links: pthread
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <pthread.h>
#include <sched.h>
#include <string.h>

#include "shm/baton.h"
#include "tests/support/seed.h"

#define SMALL 4 /* numbers 0 .. 3: none, and three incarnations */

static struct bt_baton baton;

/* ---- packing ---- */

static void a_word_is_unpacked_as_it_was_packed(void **state)
{
        static const uint64_t numbers[] = {0, 1, 2, 12345, BT_INC_MAX - 1, BT_INC_MAX};

        (void)state;
        for (uint32_t phase = 0; phase < 16; phase++)
                for (size_t i = 0; i < 36; i++) {
                        struct bt_word w = bt_word_unpack(bt_word_pack(phase, numbers[i / 6], numbers[i % 6]));

                        assert_int_equal(w.phase, phase);
                        assert_int_equal(w.holder, numbers[i / 6]);
                        assert_int_equal(w.heir, numbers[i % 6]);
                }
        assert_int_equal(bt_word_pack(BT_WORD_VACANT, 0, 0), 0); /* a new segment is vacant */
        assert_int_equal(bt_word_pack(BT_WORD_OFFERED, 5, 6), UINT64_C(5) << 34 | 6 << 4 | 2);
}

/* ---- the table ---- */

enum verb { GRANT, OFFER, WITHDRAW, PASS, CONFIRM, GIVE_BACK, RELEASE, RECLAIM, VERBS };

static int call(enum verb verb, uint64_t a, uint64_t b)
{
        switch (verb) {
        case GRANT:
                return bt_baton_grant(&baton, a);
        case OFFER:
                return bt_baton_offer(&baton, a, b);
        case WITHDRAW:
                return bt_baton_withdraw(&baton, a, b);
        case PASS:
                return bt_baton_pass(&baton, a, b);
        case CONFIRM:
                return bt_baton_confirm(&baton, a);
        case GIVE_BACK:
                return bt_baton_give_back(&baton, a, b);
        case RELEASE:
                return bt_baton_release(&baton, a);
        default:
                return bt_baton_reclaim(&baton, a);
        }
}

struct triple {
        uint32_t phase;
        uint64_t holder, heir;
};

/* The picture: is @verb(@a, @b) allowed on @w, and what comes out. */
static bool legal(enum verb verb, struct triple w, uint64_t a, uint64_t b, struct triple *ret_to)
{
        switch (verb) {
        case GRANT: /* hub: VACANT(n) -> PASSED(a, 0) */
                *ret_to = (struct triple){BT_WORD_PASSED, a, 0};
                return w.phase == BT_WORD_VACANT && a != 0;
        case OFFER: /* hub: HELD(a) -> OFFERED(a, b) */
                *ret_to = (struct triple){BT_WORD_OFFERED, a, b};
                return w.phase == BT_WORD_HELD && w.holder == a && w.heir == 0 && a != 0 && b > a;
        case WITHDRAW: /* hub: OFFERED(a, b) -> HELD(a) */
                *ret_to = (struct triple){BT_WORD_HELD, a, 0};
                return w.phase == BT_WORD_OFFERED && w.holder == a && w.heir == b && a != 0;
        case PASS: /* predecessor: OFFERED(a, b) -> PASSED(b, a) */
                *ret_to = (struct triple){BT_WORD_PASSED, b, a};
                return w.phase == BT_WORD_OFFERED && w.holder == a && w.heir == b && a < b;
        case CONFIRM: /* successor: PASSED(a, *) -> HELD(a) */
                *ret_to = (struct triple){BT_WORD_HELD, a, 0};
                return w.phase == BT_WORD_PASSED && w.holder == a && a != 0;
        case GIVE_BACK: /* PASSED(a, b) -> HELD(b) */
                *ret_to = (struct triple){BT_WORD_HELD, b, 0};
                return w.phase == BT_WORD_PASSED && w.holder == a && w.heir == b && b != 0;
        case RELEASE: /* HELD(a) -> VACANT(a) */
                *ret_to = (struct triple){BT_WORD_VACANT, a, 0};
                return w.phase == BT_WORD_HELD && w.holder == a && w.heir == 0;
        default: /* RECLAIM: whatever a holds -> VACANT(a) */
                *ret_to = (struct triple){BT_WORD_VACANT, a, 0};
                return w.holder == a;
        }
}

static void check_call(enum verb verb, struct triple w, uint64_t a, uint64_t b)
{
        uint64_t before = bt_word_pack(w.phase, w.holder, w.heir);
        struct triple to;
        bool ok = legal(verb, w, a, b, &to);
        int r;

        atomic_store(&baton.word, before);
        r = call(verb, a, b);
        if (r != (ok ? 0 : BT_BATON_E_STALE) ||
            atomic_load(&baton.word) != (ok ? bt_word_pack(to.phase, to.holder, to.heir) : before))
                fail_msg("verb %d (%d, %d) on {%u, holder %d, heir %d}: %d, word 0x%llx", verb, (int)a, (int)b, w.phase, (int)w.holder,
                         (int)w.heir, r, (unsigned long long)atomic_load(&baton.word));
}

static void a_transition_is_the_one_of_the_picture_or_changes_nothing(void **state)
{
        (void)state;
        for (uint32_t phase = 0; phase < 16; phase++)
                for (uint64_t i = 0; i < SMALL * SMALL * SMALL * SMALL; i++)
                        for (enum verb verb = 0; verb < VERBS; verb++)
                                check_call(verb, (struct triple){phase, i % 4, i / 4 % 4}, i / 16 % 4, i / 64);
}

static void a_number_that_does_not_fit_changes_nothing(void **state)
{
        uint64_t held = bt_word_pack(BT_WORD_HELD, 5, 0);

        (void)state;
        atomic_store(&baton.word, held);
        assert_int_equal(bt_baton_offer(&baton, 5, BT_INC_MAX + 1), BT_BATON_E_STALE);
        assert_int_equal(bt_baton_offer(&baton, 5, (BT_INC_MAX + 1) | 6), BT_BATON_E_STALE);
        assert_int_equal(baton.word, held);
        atomic_store(&baton.word, 0);
        assert_int_equal(bt_baton_grant(&baton, (BT_INC_MAX + 1) | 6), BT_BATON_E_STALE);
        assert_int_equal(baton.word, 0);
        assert_int_equal(bt_baton_grant(&baton, BT_INC_MAX), 0);
        assert_int_equal(bt_baton_confirm(&baton, BT_INC_MAX), 0);
        assert_true(bt_baton_serves(&baton, BT_INC_MAX));
}

static void only_the_holder_of_a_held_or_offered_word_serves(void **state)
{
        (void)state;
        for (uint32_t phase = 0; phase < 16; phase++)
                for (uint64_t i = 0; i < SMALL * SMALL; i++) {
                        atomic_store(&baton.word, bt_word_pack(phase, i % SMALL, i / SMALL));
                        for (uint64_t inc = 0; inc < SMALL; inc++)
                                assert_int_equal(bt_baton_serves(&baton, inc),
                                                 inc == i % SMALL && (phase == BT_WORD_HELD || phase == BT_WORD_OFFERED));
                }
}

/* Valid is what a hub that gives out growing numbers can have made: found by doing it. */
static void the_valid_words_are_those_that_transitions_make(void **state)
{
        static bool made[16][SMALL][SMALL];
        bool more = true;

        (void)state;
        made[BT_WORD_VACANT][0][0] = true;
        while (more) {
                more = false;
                for (uint32_t at = 0; at < 16 * SMALL * SMALL; at++)
                        for (uint32_t how = 0; made[at / 16][at / 4 % 4][at % 4] && how < VERBS * SMALL * SMALL; how++) {
                                uint64_t a = how / 4 % 4, b = how % 4;
                                struct bt_word w;

                                if (how / 16 == GRANT && a <= at / 4 % 4)
                                        continue; /* numbers only grow */
                                atomic_store(&baton.word, bt_word_pack(at / 16, at / 4 % 4, at % 4));
                                if (call(how / 16, a, b))
                                        continue;
                                w = bt_baton_word(&baton);
                                more |= !made[w.phase][w.holder][w.heir];
                                made[w.phase][w.holder][w.heir] = true;
                        }
        }
        for (uint32_t at = 0; at < 16 * SMALL * SMALL; at++)
                if (bt_word_valid(bt_word_pack(at / 16, at / 4 % 4, at % 4)) != made[at / 16][at / 4 % 4][at % 4])
                        fail_msg("phase %u holder %u heir %u", at / 16, at / 4 % 4, at % 4);
}

/* ---- thread twins ---- */

/*
 * The state that is handed on: plain memory, written only by the one who serves. If ever two served, or one read before the other's writes were
 * published, the two counts would differ, and ThreadSanitizer would say more.
 */
static struct {
        uint64_t first;
        uint64_t second;
} state_area;

static _Atomic uint32_t never_called; /* nobody calls a parked process here */
static _Atomic bool let_go;

static bool refuses(uint64_t inc)
{
        return inc % 5 == 0;
}

static void serve_once(void)
{
        if (state_area.first != state_area.second)
                abort();
        state_area.first++;
        state_area.second++;
}

/* Passes the baton on. True: it is gone for good. False: withdrawn meanwhile, or given back by a successor that refused. */
static bool hand_over(uint64_t me, uint64_t heir)
{
        struct bt_word w;

        if (bt_baton_pass(&baton, me, heir))
                return false;
        do {
                sched_yield();
                w = bt_baton_word(&baton);
        } while (w.phase == BT_WORD_PASSED && w.holder == heir);
        return w.holder != me;
}

/* Serves until the baton is gone: passed to an heir, or laid down when the test is over. */
static void serve(uint64_t me)
{
        for (;;) {
                struct bt_word w = bt_baton_word(&baton);

                serve_once();
                if (w.phase == BT_WORD_OFFERED && hand_over(me, w.heir))
                        return;
                if (w.phase == BT_WORD_HELD && atomic_load(&let_go) && bt_baton_release(&baton, me) == 0)
                        return;
                sched_yield();
        }
}

/* One process, as a thread: waits for the baton, then takes it or refuses. */
static void *incarnation(void *arg)
{
        uint64_t me = (uint64_t)(uintptr_t)arg;

        if (bt_baton_park(&baton, me, &never_called, 0, 0, me % 3 ? 0 : 20000))
                abort();
        if (refuses(me)) {
                if (bt_baton_give_back(&baton, me, bt_baton_word(&baton).heir))
                        abort();
                return NULL;
        }
        if (bt_baton_confirm(&baton, me))
                abort();
        serve(me);
        return NULL;
}

/* Until @inc is in @phase. */
static void await(uint32_t phase, uint64_t inc)
{
        for (;;) {
                struct bt_word w = bt_baton_word(&baton);

                if (w.phase == phase && w.holder == inc)
                        return;
                sched_yield();
        }
}

/* The hub's part of one hot swap: withdraws now and then, sees what became of it. */
static void hub_swaps(struct seed *seed, uint64_t pred, uint64_t succ)
{
        while (bt_baton_offer(&baton, pred, succ))
                sched_yield();
        if (seed_below(seed, 3) == 0 && bt_baton_withdraw(&baton, pred, succ) == 0)
                while (bt_baton_offer(&baton, pred, succ))
                        sched_yield();
        if (!refuses(succ))
                await(BT_WORD_HELD, succ);
}

static void one_word_raced_by_predecessor_successor_and_hub_has_one_holder(void **state)
{
        struct seed seed = seed_new();
        uint64_t pred = 1, swaps = seed_rounds(1500);
        pthread_t threads[2];

        (void)state;
        memset(&baton, 0, sizeof(baton));
        memset(&state_area, 0, sizeof(state_area));
        atomic_store(&let_go, false);

        assert_int_equal(pthread_create(&threads[0], NULL, incarnation, (void *)(uintptr_t)pred), 0);
        assert_int_equal(bt_baton_grant(&baton, pred), 0);
        for (uint64_t succ = 2; succ < swaps; succ++) {
                /* One parks at a time: a hub starts a successor when the one before it has confirmed. */
                await(BT_WORD_HELD, pred);
                assert_int_equal(pthread_create(&threads[1], NULL, incarnation, (void *)(uintptr_t)succ), 0);
                hub_swaps(&seed, pred, succ);
                if (refuses(succ)) {
                        assert_int_equal(pthread_join(threads[1], NULL), 0);
                        continue;
                }
                assert_int_equal(pthread_join(threads[0], NULL), 0);
                threads[0] = threads[1];
                pred = succ;
        }
        atomic_store(&let_go, true);
        assert_int_equal(pthread_join(threads[0], NULL), 0);
        assert_int_equal(bt_baton_word(&baton).phase, BT_WORD_VACANT);
        assert_int_equal(state_area.first, state_area.second);
        assert_true(state_area.first > 0);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(a_word_is_unpacked_as_it_was_packed),
                cmocka_unit_test(a_transition_is_the_one_of_the_picture_or_changes_nothing),
                cmocka_unit_test(a_number_that_does_not_fit_changes_nothing),
                cmocka_unit_test(only_the_holder_of_a_held_or_offered_word_serves),
                cmocka_unit_test(the_valid_words_are_those_that_transitions_make),
                cmocka_unit_test(one_word_raced_by_predecessor_successor_and_hub_has_one_holder),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
