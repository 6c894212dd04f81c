/* SPDX-License-Identifier: Apache-2.0 */
/* The table of calls under way: its states, one after the other and by many threads at once. */
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "client-api/calls.h"

#define BYTES 16

static void an_answer_is_delivered_once_and_taken_once(void **state)
{
        struct bt_calls calls = {0};
        struct baton_reply reply = {0};
        char room[BYTES] = "";
        struct bt_call *call;
        uint64_t id;

        (void)state;
        assert_int_equal(bt_calls_init(&calls, 2, BYTES), 0);
        call = bt_call_begin(&calls, &id, NULL, NULL, 0);
        assert_non_null(call);
        assert_false(bt_call_hold(call, id)); /* not there yet */
        assert_ptr_equal(bt_call_fill(&calls, id), call);
        assert_null(bt_call_fill(&calls, id)); /* a second answer */
        assert_false(bt_call_drop(call, id));  /* too late to give it up */
        memcpy(call->data, "hello", 5);
        call->bytes = 5;
        call->status = -7;
        bt_call_filled(call, id);
        assert_null(bt_call_fill(&calls, id));
        assert_true(bt_call_hold(call, id));
        assert_false(bt_call_hold(call, id));
        reply.data = room;
        reply.room = 3;
        bt_call_copy(call, id, call->data, &reply);
        assert_string_equal(room, "hel"); /* cut */
        assert_int_equal(reply.bytes, 5);
        assert_int_equal(reply.status, -7);
        assert_true(reply.call == id);
        bt_call_free(call, id);
        assert_null(bt_call_find(&calls, id));
        bt_calls_deinit(&calls);
}

static void who_reads_its_own_answer_shows_it_to_nobody(void **state)
{
        struct bt_calls calls = {0};
        struct baton_reply reply = {0};
        struct bt_call *call;
        uint64_t id;

        (void)state;
        assert_int_equal(bt_calls_init(&calls, 2, BYTES), 0);
        call = bt_call_begin(&calls, &id, NULL, NULL, 0);
        assert_non_null(call);
        assert_true(bt_call_is_open(call, id));
        assert_ptr_equal(bt_call_fill(&calls, id), call);
        assert_true(bt_call_is_open(call, id));
        call->bytes = 2;
        bt_call_copy(call, id, "hi", &reply);
        assert_int_equal(reply.bytes, 2);
        bt_call_keep(call, id);
        assert_false(bt_call_is_open(call, id));
        assert_false(bt_call_hold(call, id)); /* a second thread that waits for it */
        assert_null(bt_call_fill(&calls, id));
        bt_call_free(call, id);
        assert_false(bt_call_is_open(call, id));
        bt_calls_deinit(&calls);
}

static void counters_of_entries_make_a_sum(void **state)
{
        struct bt_calls calls = {0};
        struct bt_call *call = NULL;
        uint64_t id = 0;

        (void)state;
        assert_int_equal(bt_calls_init(&calls, 2, BYTES), 0);
        for (int i = 0; i < 5; i++) {
                call = bt_call_begin(&calls, &id, NULL, NULL, 0);
                assert_non_null(call);
                assert_true(bt_call_drop(call, id));
        }
        bt_call_count(&call->begun, -1);
        assert_int_equal(bt_calls_sum(&calls, offsetof(struct bt_call, begun)), 4);
        assert_int_equal(bt_calls_sum(&calls, offsetof(struct bt_call, answered)), 0);
        bt_calls_deinit(&calls);
}

static void
a_call_that_was_given_up_gets_no_answer_and_neither_does_the_next_in_its_place(void **state)
{
        struct bt_calls calls = {0};
        struct bt_call *call;
        uint64_t first, second;

        (void)state;
        assert_int_equal(bt_calls_init(&calls, 1, BYTES), 0);
        call = bt_call_begin(&calls, &first, NULL, NULL, 0);
        assert_null(bt_call_begin(&calls, &second, NULL, NULL, 0)); /* full */
        assert_true(bt_call_drop(call, first));
        assert_false(bt_call_drop(call, first));
        assert_ptr_equal(bt_call_begin(&calls, &second, NULL, NULL, 0), call);
        assert_true(first != second);
        assert_null(bt_call_fill(&calls, first));
        assert_null(bt_call_find(&calls, first));
        assert_ptr_equal(bt_call_fill(&calls, second), call);
        bt_calls_deinit(&calls);
}

static void ids_that_nobody_gave_find_nothing(void **state)
{
        const uint64_t odd[] = {0, 1, 2, 0xffff, UINT64_MAX, UINT64_MAX << BT_CALL_IDX_BITS};
        struct bt_calls calls = {0};

        (void)state;
        assert_int_equal(bt_calls_init(&calls, 2, BYTES), 0);
        for (size_t i = 0; i < sizeof(odd) / sizeof(odd[0]); i++) {
                assert_null(bt_call_find(&calls, odd[i]));
                assert_null(bt_call_fill(&calls, odd[i]));
        }
        bt_calls_deinit(&calls);
}

/* ---- threads: some begin and take, one delivers, twice ---- */

#define THREADS 4
#define ROUNDS  3000
#define QUEUE   64

struct twins {
        struct bt_calls calls;
        _Atomic uint64_t queue[QUEUE]; /* ids to be answered; 0: free */
        _Atomic uint32_t over;
        _Atomic uint64_t answered, wrong, late;
};

static void *deliver(void *arg)
{
        struct twins *twins = arg;

        while (atomic_load(&twins->over) < THREADS) {
                (void)sched_yield();
                for (int i = 0; i < QUEUE; i++) {
                        uint64_t id = atomic_exchange(&twins->queue[i], 0);

                        for (int twice = 0; id && twice < 2; twice++) {
                                struct bt_call *call = bt_call_fill(&twins->calls, id);

                                if (!call) {
                                        atomic_fetch_add(&twins->late, 1);
                                        continue;
                                }
                                memcpy(call->data, &id, sizeof(id));
                                call->bytes = sizeof(id);
                                call->status = 0;
                                bt_call_filled(call, id);
                        }
                }
        }
        return NULL;
}

static void put(struct twins *twins, uint64_t id)
{
        for (uint32_t i = (uint32_t)id;; i++) {
                uint64_t free_place = 0;

                if (atomic_compare_exchange_weak(&twins->queue[i % QUEUE], &free_place, id))
                        return;
                if (i % QUEUE == 0)
                        (void)sched_yield();
        }
}

static void one_round(struct twins *twins, bool patient)
{
        uint64_t id = 0, seen = 0;
        struct bt_call *call = bt_call_begin(&twins->calls, &id, NULL, NULL, 0);
        struct baton_reply reply = {.data = &seen, .room = sizeof(seen)};

        if (!call)
                return;
        put(twins, id);
        if (!patient && bt_call_drop(call, id))
                return;
        while (!bt_call_hold(call, id))
                (void)sched_yield();
        bt_call_copy(call, id, call->data, &reply);
        atomic_fetch_add(seen == id ? &twins->answered : &twins->wrong, 1);
        bt_call_free(call, id);
}

static void *ask(void *arg)
{
        struct twins *twins = arg;

        for (int i = 0; i < ROUNDS; i++)
                one_round(twins, i % 3 != 0);
        atomic_fetch_add(&twins->over, 1);
        return NULL;
}

static void threads_get_their_own_answers(void **state)
{
        static struct twins twins;
        pthread_t threads[THREADS + 1];

        (void)state;
        assert_int_equal(bt_calls_init(&twins.calls, THREADS * 2, BYTES), 0);
        assert_int_equal(pthread_create(&threads[THREADS], NULL, deliver, &twins), 0);
        for (int i = 0; i < THREADS; i++)
                assert_int_equal(pthread_create(&threads[i], NULL, ask, &twins), 0);
        for (int i = 0; i <= THREADS; i++)
                assert_int_equal(pthread_join(threads[i], NULL), 0);
        assert_int_equal(twins.wrong, 0);
        assert_true(twins.answered >= THREADS * ROUNDS / 3);
        assert_true(twins.late > 0);
        bt_calls_deinit(&twins.calls);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(an_answer_is_delivered_once_and_taken_once),
                cmocka_unit_test(who_reads_its_own_answer_shows_it_to_nobody),
                cmocka_unit_test(counters_of_entries_make_a_sum),
                cmocka_unit_test(
                        a_call_that_was_given_up_gets_no_answer_and_neither_does_the_next_in_its_place),
                cmocka_unit_test(ids_that_nobody_gave_find_nothing),
                cmocka_unit_test(threads_get_their_own_answers),
        };

        return cmocka_run_group_tests_name("calls", tests, NULL, NULL);
}
