/* SPDX-License-Identifier: Apache-2.0 */
/*
 * supervisor/control_progress.c on a real loop and a real socket: what is told at once and what is told together, in which order, and what a reader that
 * is slow or gone costs. The words are numbered (value[0]), so the reader sees which of them are missing.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/scm.h"
#include "supervisor/control_progress.h"
#include "tests/support/bell.h"

#define TOGETHER_MAX 32 /* as there */

struct desk {
        struct bt_hub *hub;
        struct bt_progress progress;
        int ends[2]; /* the hub's, the client's */
        uint64_t told;
};

static int setup(void **state)
{
        struct desk *d = calloc(1, sizeof(*d));

        assert_non_null(d);
        d->hub = calloc(1, sizeof(*d->hub));
        assert_non_null(d->hub);
        d->hub->loop = loop_new();
        d->hub->processors = 2;
        assert_int_equal(bt_scm_pair(d->ends), 0);
        bt_progress_init(&d->progress, d->hub, d->ends[0]);
        *state = d;
        return 0;
}

static int teardown(void **state)
{
        struct desk *d = *state;

        bt_progress_deinit(&d->progress);
        assert_true(bt_loop_deadline(d->hub->loop) == BT_NS_NEVER);
        d->hub->loop = bt_loop_free(d->hub->loop);
        (void)bt_close(d->ends[0]);
        (void)bt_close(d->ends[1]);
        free(d->hub);
        free(d);
        return 0;
}

static void crowd(struct desk *d, bool many)
{
        d->hub->migration_count = many ? 100 : 1;
        assert_int_equal(bt_hub_crowded(d->hub), many);
}

static void tell(struct desk *d, int words)
{
        for (int i = 0; i < words; i++) {
                struct bt_ctl_reply reply = {.kind = BT_CTL_EVENT, .phase = "ready"};

                reply.value[0] = ++d->told;
                reply.since_ns = 1000 + d->told;
                (void)snprintf(reply.text, sizeof(reply.text), "word %llu",
                               (unsigned long long)d->told);
                bt_progress_tell(&d->progress, &reply);
        }
}

/* The next word's number; 0: there is none. */
static uint64_t hear(const struct desk *d)
{
        struct bt_ctl_reply reply, want = {.kind = BT_CTL_EVENT, .phase = "ready"};
        size_t fds = 0;
        ssize_t n = bt_scm_recv(d->ends[1], &reply, sizeof(reply), NULL, 0, &fds);

        if (n == -EAGAIN)
                return 0;
        assert_int_equal(n, sizeof(reply));
        want.value[0] = reply.value[0];
        want.since_ns = 1000 + reply.value[0];
        (void)snprintf(want.text, sizeof(want.text), "word %llu",
                       (unsigned long long)reply.value[0]);
        assert_memory_equal(&reply, &want, sizeof(reply));
        return reply.value[0];
}

static void expect(const struct desk *d, uint64_t first, uint64_t last)
{
        for (uint64_t number = first; number <= last; number++)
                assert_int_equal(hear(d), number);
        assert_int_equal(hear(d), 0);
}

/* Turns until the timer has sent what waits; nothing else is in this loop. */
static void until_due(struct desk *d)
{
        assert_true(bt_loop_deadline(d->hub->loop) != BT_NS_NEVER);
        while (bt_loop_deadline(d->hub->loop) != BT_NS_NEVER)
                assert_int_equal(bt_loop_turn(d->hub->loop), 0);
}

/* ---- when ---- */

static void without_a_crowd_each_word_is_sent_at_once(void **state)
{
        struct desk *d = *state;

        crowd(d, false);
        for (uint64_t i = 1; i <= 3; i++) {
                tell(d, 1);
                expect(d, i, i);
        }
        assert_true(bt_loop_deadline(d->hub->loop) == BT_NS_NEVER);
}

static void in_a_crowd_words_are_sent_together_and_in_order_when_they_are_due(void **state)
{
        struct desk *d = *state;

        crowd(d, true);
        tell(d, 3);
        expect(d, 1, 0);
        until_due(d);
        expect(d, 1, 3);
        tell(d, 1); /* and again: the timer is armed once more */
        expect(d, 1, 0);
        until_due(d);
        expect(d, 4, 4);
}

static void as_many_as_a_socket_takes_do_not_wait_until_they_are_due(void **state)
{
        struct desk *d = *state;

        crowd(d, true);
        tell(d, TOGETHER_MAX - 1);
        expect(d, 1, 0);
        tell(d, 1);
        assert_true(bt_loop_deadline(d->hub->loop) == BT_NS_NEVER);
        expect(d, 1, TOGETHER_MAX);
        assert_int_equal(d->progress.dropped, 0);
}

static void when_the_crowd_is_over_the_next_word_comes_behind_those_that_wait(void **state)
{
        struct desk *d = *state;

        crowd(d, true);
        tell(d, 2);
        crowd(d, false);
        tell(d, 1);
        assert_true(bt_loop_deadline(d->hub->loop) == BT_NS_NEVER);
        expect(d, 1, 3);
}

/* As control.c does before it sends an outcome. */
static void a_flush_sends_what_waits(void **state)
{
        struct desk *d = *state;

        crowd(d, true);
        tell(d, 2);
        bt_progress_flush(&d->progress);
        assert_true(bt_loop_deadline(d->hub->loop) == BT_NS_NEVER);
        expect(d, 1, 2);
        bt_progress_flush(&d->progress);
        expect(d, 1, 0);
}

static void a_text_that_fills_its_room_arrives_whole(void **state)
{
        struct desk *d = *state;
        struct bt_ctl_reply sent = {.kind = BT_CTL_EVENT}, got;
        size_t fds = 0;

        crowd(d, true);
        memset(sent.text, 'x', sizeof(sent.text));
        bt_progress_tell(&d->progress, &sent);
        until_due(d);
        assert_int_equal(bt_scm_recv(d->ends[1], &got, sizeof(got), NULL, 0, &fds), sizeof(got));
        assert_memory_equal(&got, &sent, sizeof(got));
}

/* ---- readers ---- */

/* Reads all there is: numbers only grow. How many that were; @last: the last one heard, before and after. */
static uint64_t drain(const struct desk *d, uint64_t *last)
{
        uint64_t count = 0, number;

        while ((number = hear(d))) {
                assert_true(number > *last);
                *last = number;
                count++;
        }
        return count;
}

/* It reads, and the hub's timer comes, until nothing waits. */
static uint64_t drain_all(struct desk *d, uint64_t *last)
{
        uint64_t heard = drain(d, last);

        while (d->progress.waiting_count) {
                assert_int_equal(bt_loop_turn(d->hub->loop), 0);
                heard += drain(d, last);
        }
        return heard;
}

/* What finds no room waits for the reader, and what finds no room there is lost and counted; what it hears is in order, and goes on when it reads again. */
static void slow_reader(struct desk *d, bool many)
{
        uint64_t heard, last = 0;

        crowd(d, many);
        tell(d, 1000);
        assert_int_equal(d->progress.dropped, 0);
        assert_true(d->progress.waiting_count > 0);
        assert_false(bt_progress_flush(&d->progress));
        tell(d, 1000);
        assert_true(d->progress.dropped > 0);
        heard = drain_all(d, &last);
        assert_int_equal(last, heard); /* the first ones, without a gap */
        assert_int_equal(heard + d->progress.dropped, 2000);
        tell(d, TOGETHER_MAX);
        assert_int_equal(drain_all(d, &last), TOGETHER_MAX);
        assert_int_equal(last, 2000 + TOGETHER_MAX);
        assert_true(bt_progress_flush(&d->progress));
}

static void a_slow_reader_loses_words_and_never_their_order(void **state)
{
        slow_reader(*state, false);
}

static void a_slow_reader_in_a_crowd_loses_words_and_never_their_order(void **state)
{
        slow_reader(*state, true);
}

/* Before any word, and between those that wait. Had the send raised SIGPIPE, this program would not be here. */
static void a_reader_that_goes_away_harms_nobody(void **state)
{
        struct desk *d = *state;

        crowd(d, true);
        tell(d, 2);
        d->ends[1] = bt_close(d->ends[1]);
        until_due(d);
        assert_int_equal(d->progress.dropped, 2);
        tell(d, TOGETHER_MAX);
        assert_int_equal(d->progress.dropped, 2 + TOGETHER_MAX);
        crowd(d, false);
        tell(d, 1);
        assert_int_equal(d->progress.dropped, 3 + TOGETHER_MAX);
}

/* Its words are freed with it (a sanitizer's build sees that), and nothing of it is left in the loop: teardown() looks. */
static void a_client_may_end_while_words_wait(void **state)
{
        struct desk *d = *state;

        crowd(d, true);
        tell(d, TOGETHER_MAX + 5);
        bt_progress_deinit(&d->progress);
        assert_true(bt_loop_deadline(d->hub->loop) == BT_NS_NEVER);
        expect(d, 1, TOGETHER_MAX);
}

#define ROW(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
        const struct CMUnitTest tests[] = {
                ROW(without_a_crowd_each_word_is_sent_at_once),
                ROW(in_a_crowd_words_are_sent_together_and_in_order_when_they_are_due),
                ROW(as_many_as_a_socket_takes_do_not_wait_until_they_are_due),
                ROW(when_the_crowd_is_over_the_next_word_comes_behind_those_that_wait),
                ROW(a_flush_sends_what_waits),
                ROW(a_text_that_fills_its_room_arrives_whole),
                ROW(a_slow_reader_loses_words_and_never_their_order),
                ROW(a_slow_reader_in_a_crowd_loses_words_and_never_their_order),
                ROW(a_reader_that_goes_away_harms_nobody),
                ROW(a_client_may_end_while_words_wait),
        };

        return cmocka_run_group_tests_name("progress of a request", tests, NULL, NULL);
}
