/* SPDX-License-Identifier: Apache-2.0 */
/*
 * child-api/post.c, peers.c, once.c: a real handle, with this test as its hub and its client (tests/support/post_stand.h). What a message does to the arena,
 * what is answered to whom, and what the next process finds when one is no longer there. Death at every instruction is in tests/crash/test_message_steps.c.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "base/clock.h"
#include "tests/support/post_stand.h"

struct app {
        uint64_t handled;
        uint32_t deliveries; /* of the last one */
        int result;          /* of the next one */
        bool defer;
        struct baton_caller later;
        const void *shared;
        size_t shared_bytes;
        int inside; /* what dispatch() said in the handler */
};

struct data {
        uint64_t sum;
        void *block;
};

static const struct stand_shape arena_shape = {BATON_STATE_ARENA, 8, 64, 4096};
static const struct stand_shape plain_shape = {BATON_STATE_NONE, 8, 64, 0};

/* ---- programs ---- */

static int on_plain(struct baton_child *child, const struct baton_message *message, void *ctx)
{
        struct app *app = ctx;

        app->handled++;
        app->deliveries = message->deliveries;
        app->shared = message->shared;
        app->shared_bytes = message->shared_bytes;
        app->inside = baton_child_dispatch(child);
        if (app->defer) {
                app->later = message->from;
                return baton_message_defer(child, message);
        }
        if (message->wants_answer && message->bytes)
                assert_int_equal(baton_message_reply(child, message, message->data, message->bytes), 0);
        return app->result;
}

static void serve_arena(struct baton_child *child, void *ctx)
{
        struct data *data;

        (void)ctx;
        if (baton_arena_root(child))
                return;
        baton_arena_begin(child);
        data = baton_arena_alloc(child, sizeof(*data));
        *data = (struct data){0};
        baton_arena_set_root(child, data);
        baton_arena_end(child);
}

/* Adds a number, and has a new block each time in place of the old one. */
static int on_add(struct baton_child *child, const struct baton_message *message, void *ctx)
{
        struct data *data = baton_arena_root(child);
        struct app *app = ctx;
        int r = baton_arena_save(child, data, sizeof(*data));

        app->handled++;
        app->deliveries = message->deliveries;
        if (r)
                return r;
        data->sum += *(const uint64_t *)message->data;
        baton_arena_free(child, data->block);
        data->block = baton_arena_alloc(child, 100);
        memset(data->block, 'x', 100);
        r = message->wants_answer ? baton_message_reply(child, message, &data->sum, sizeof(data->sum)) : 0;
        return r ? r : app->result;
}

static const struct baton_child_ops plain_ops = {.size = sizeof(plain_ops), .on_message = on_plain};
static const struct baton_child_ops once_ops = {
        .size = sizeof(once_ops), .schema = "sum", .version = 1, .version_oldest = 1, .serve = serve_arena, .on_message = on_add,
        .message_flags = BATON_MESSAGES_ONCE};

static struct stand s;
static struct app app;

static int setup(void **state)
{
        (void)state;
        memset(&app, 0, sizeof(app));
        return 0;
}

static int teardown(void **state)
{
        (void)state;
        stand_close(&s);
        return 0;
}

static void open_with(const struct stand_shape *shape, const struct baton_child_ops *ops)
{
        assert_int_equal(stand_open(&s, shape, ops, &app), 0);
}

static void dispatch(void)
{
        assert_int_equal(baton_child_dispatch(s.child), 0);
}

/* The next answer is to @call with @status. */
static void answered(uint64_t call, int status, const void *payload, size_t bytes)
{
        struct bt_letter letter = {0};
        char room[64];

        assert_int_equal(stand_answer(&s, &letter, room), 0);
        assert_int_equal(letter.call, call);
        assert_int_equal(letter.flags, BT_LETTER_ANSWER);
        assert_int_equal(letter.status, status);
        assert_int_equal(letter.bytes, bytes);
        if (bytes)
                assert_memory_equal(room, payload, bytes);
}

static void not_answered(void)
{
        struct bt_letter letter;
        char room[64];

        assert_int_equal(stand_answer(&s, &letter, room), BT_MAILBOX_E_EMPTY);
}

static uint64_t sum(void)
{
        return ((struct data *)baton_arena_root(s.child))->sum;
}

static bool readable(int fd)
{
        struct pollfd p = {.fd = fd, .events = POLLIN};

        return poll(&p, 1, 0) == 1;
}

/* ---- answers ---- */

static void a_call_is_answered_and_a_cast_is_not(void **state)
{
        const struct bt_letter cast = {.call = 2, .bytes = 4};

        (void)state;
        open_with(&plain_shape, &plain_ops);
        assert_int_equal(stand_call(&s, 1, "abcd", 4), 0);
        assert_int_equal(stand_send(&s, &cast, "efgh"), 0);
        assert_int_equal(stand_call(&s, 3, NULL, 0), 0);
        dispatch();
        assert_int_equal(app.handled, 3);
        answered(1, 0, "abcd", 4);
        answered(3, 0, NULL, 0);
        not_answered();
        assert_int_equal(s.desk->handled, 3);
        assert_int_equal(bt_mailbox_depth(&s.box), 0);
}

static void an_error_is_the_answers_status_and_the_message_is_done(void **state)
{
        (void)state;
        open_with(&plain_shape, &plain_ops);
        app.result = -EDOM;
        assert_int_equal(stand_call(&s, 1, "abcd", 4), 0);
        dispatch();
        dispatch();
        assert_int_equal(app.handled, 1);
        answered(1, -EDOM, NULL, 0);
        assert_int_equal(s.desk->failed, 1);
}

static void a_deferred_call_is_answered_by_whoever_has_its_caller(void **state)
{
        (void)state;
        open_with(&plain_shape, &plain_ops);
        app.defer = true;
        assert_int_equal(stand_call(&s, 9, "abcd", 4), 0);
        dispatch();
        not_answered();
        assert_int_equal(stand_restart(&s, &plain_ops, &app), 0);
        assert_int_equal(baton_child_answer(s.child, &app.later, -EPERM, "late", 4), 0);
        answered(9, -EPERM, "late", 4);
}

static void an_answer_that_nobody_takes_is_counted(void **state)
{
        const struct baton_caller stranger = {.call = 1, .client = 99};
        struct bt_letter letter;
        char room[64];

        (void)state;
        open_with(&plain_shape, &plain_ops);
        assert_int_equal(baton_child_answer(s.child, &stranger, 0, NULL, 0), -BATON_E_GONE);
        for (uint64_t i = 0; i < 12; i++) { /* its ring has eight slots */
                assert_int_equal(stand_call(&s, i, "abcd", 4), 0);
                dispatch();
        }
        assert_int_equal(s.desk->unanswered, 1 + 4);
        assert_int_equal(s.desk->handled, 12);
        for (uint64_t i = 0; i < 8; i++)
                assert_int_equal(stand_answer(&s, &letter, room), 0);
        not_answered();
}

static void a_reply_outside_of_its_message_is_refused(void **state)
{
        const struct baton_message none = {.wants_answer = true};

        (void)state;
        open_with(&plain_shape, &plain_ops);
        assert_int_equal(baton_message_reply(s.child, &none, "x", 1), -BATON_E_PROTOCOL);
        assert_int_equal(baton_message_defer(s.child, &none), -BATON_E_PROTOCOL);
        assert_int_equal(stand_call(&s, 1, "x", 1), 0);
        dispatch();
        assert_int_equal(app.inside, -BATON_E_PROTOCOL); /* dispatch() inside on_message() */
}

/* ---- what the client says ---- */

static void a_reference_is_inside_the_clients_region_or_the_message_fails(void **state)
{
        struct bt_letter letter = {.call = 1, .flags = BT_LETTER_CALL, .ref_off = 100, .ref_bytes = 5000};

        (void)state;
        open_with(&plain_shape, &plain_ops);
        memset((char *)s.client_seg.at + s.client.region_off + 100, 'r', 5000);
        assert_int_equal(stand_send(&s, &letter, NULL), 0);
        dispatch();
        assert_int_equal(app.shared_bytes, 5000);
        assert_int_equal(stand_answer(&s, &letter, (char[64]){0}), 0);

        letter = (struct bt_letter){.call = 2, .flags = BT_LETTER_CALL, .ref_off = 8192, .ref_bytes = 1};
        assert_int_equal(stand_send(&s, &letter, NULL), 0);
        letter = (struct bt_letter){.call = 3, .flags = BT_LETTER_CALL, .ref_off = UINT64_MAX, .ref_bytes = 2};
        assert_int_equal(stand_send(&s, &letter, NULL), 0);
        dispatch();
        assert_int_equal(app.handled, 1);
        answered(2, -EFAULT, NULL, 0);
        answered(3, -EFAULT, NULL, 0);
}

/* The hub says that the client has gone while its memory is being read: keeping a descriptor reads the channel. */
static int on_gone(struct baton_child *child, const struct baton_message *message, void *ctx)
{
        const struct bt_chan gone = {.type = BT_CHAN_CLIENT_GONE, .token = STAND_CLIENT};
        struct app *mine = ctx;

        mine->handled++;
        stand_must(!bt_scm_send(s.channel, &gone, sizeof(gone), NULL, 0));
        assert_int_equal(baton_child_keep(child, "x", s.client_bell), 0);
        return *(const char *)message->shared == 'r' ? 0 : -EIO;
}

static void a_client_that_goes_leaves_its_memory_until_its_message_is_done(void **state)
{
        const struct bt_letter letter = {.call = 1, .flags = BT_LETTER_CALL, .ref_bytes = 1};
        struct baton_child_ops ops = plain_ops;

        (void)state;
        ops.on_message = on_gone;
        open_with(&plain_shape, &ops);
        *((char *)s.client_seg.at + s.client.region_off) = 'r';
        assert_int_equal(stand_send(&s, &letter, NULL), 0);
        dispatch();
        assert_int_equal(app.handled, 1);
        assert_int_equal(s.desk->failed, 0);
        assert_int_equal(s.child->post->peer_count, 0);
        assert_int_equal(s.desk->unanswered, 1);
}

static void a_call_whose_deadline_is_over_is_not_handled(void **state)
{
        struct bt_letter letter = {.call = 1, .flags = BT_LETTER_CALL, .deadline_ns = 1};

        (void)state;
        open_with(&plain_shape, &plain_ops);
        assert_int_equal(stand_send(&s, &letter, NULL), 0);
        letter.call = 2;
        letter.deadline_ns = bt_now_ns() + 3600 * BT_NS_PER_S;
        assert_int_equal(stand_send(&s, &letter, NULL), 0);
        dispatch();
        assert_int_equal(app.handled, 1);
        assert_int_equal(s.desk->expired, 1);
        answered(1, -ETIMEDOUT, NULL, 0);
        answered(2, 0, NULL, 0);
}

static void holes_and_nonsense_are_passed_over(void **state)
{
        uint64_t pos;

        (void)state;
        open_with(&plain_shape, &plain_ops);
        assert_int_equal(bt_mailbox_claim(&s.box, 55, &pos), 0);
        assert_int_equal(stand_call(&s, 2, NULL, 0), 0);
        dispatch();
        assert_int_equal(app.handled, 0); /* the one in front is being written */
        assert_int_equal(bt_mailbox_waits_for(&s.box, s.desk->cursor), 55);
        assert_int_equal(bt_mailbox_repair(&s.box, 55), 1);
        bt_mailbox_slot(&s.box, 2)->word = UINT64_MAX;
        dispatch();
        answered(2, 0, NULL, 0);
        assert_int_equal(s.desk->holes, 1);
        assert_int_equal(s.desk->broken, 1);
        assert_int_equal(s.desk->cursor, 3);
}

/* ---- the descriptor ---- */

static void the_descriptor_is_readable_while_there_is_something_to_do(void **state)
{
        (void)state;
        open_with(&plain_shape, &plain_ops);
        dispatch();
        assert_false(readable(baton_child_fd(s.child)));
        assert_int_equal(stand_call(&s, 1, NULL, 0), 0);
        assert_true(readable(baton_child_fd(s.child)));
        dispatch();
        assert_false(readable(baton_child_fd(s.child)));
        assert_int_equal(s.box.mb->asleep, 1);
}

static void a_turn_serves_a_bounded_number_and_the_rest_in_the_next(void **state)
{
        static const struct stand_shape large = {BATON_STATE_NONE, 128, 64, 0};

        (void)state;
        open_with(&large, &plain_ops);
        for (uint64_t i = 0; i < 100; i++)
                assert_int_equal(stand_send(&s, &(struct bt_letter){.call = i}, NULL), 0);
        dispatch();
        assert_int_equal(app.handled, 64);
        assert_true(readable(baton_child_fd(s.child)));
        dispatch();
        assert_int_equal(app.handled, 100);
}

/* HOT-11, seen from the child: what the predecessor has not read is read by the one that comes. */
static void HOT_11_unread_messages_wait_for_the_next_process(void **state)
{
        (void)state;
        open_with(&plain_shape, &plain_ops);
        s.child->stage = BT_CHILD_PASSED; /* as after its compare-and-swap */
        bt_post_end(s.child);
        assert_int_equal(stand_call(&s, 1, "abcd", 4), 0);
        dispatch();
        assert_int_equal(app.handled, 0);
        assert_false(readable(baton_child_fd(s.child)));
        assert_int_equal(stand_restart(&s, &plain_ops, &app), 0);
        dispatch();
        assert_int_equal(app.handled, 1);
        answered(1, 0, "abcd", 4);
}

/* ---- exactly once ---- */

static void an_arena_is_undone_when_the_handler_fails(void **state)
{
        uint64_t used, live;
        void *block;

        (void)state;
        open_with(&arena_shape, &once_ops);
        assert_int_equal(stand_call(&s, 1, &(uint64_t){5}, 8), 0);
        dispatch();
        assert_int_equal(sum(), 5);
        used = s.child->arena->top;
        live = s.child->arena->live_bytes;
        block = ((struct data *)baton_arena_root(s.child))->block;
        app.result = -EIO;
        assert_int_equal(stand_call(&s, 2, &(uint64_t){100}, 8), 0);
        dispatch();
        assert_int_equal(sum(), 5);
        assert_ptr_equal(((struct data *)baton_arena_root(s.child))->block, block);
        for (int i = 0; i < 100; i++)
                assert_int_equal(((char *)block)[i], 'x');
        assert_int_equal(s.child->arena->top, used);
        assert_int_equal(s.child->arena->live_bytes, live);
        assert_true(bt_arena_valid(s.child->arena, s.baton->state_bytes_max));
        assert_int_equal(s.baton->bracket, 0);
        answered(1, 0, &(uint64_t){5}, 8);
        answered(2, -EIO, NULL, 0);
}

static int on_greedy(struct baton_child *child, const struct baton_message *message, void *ctx)
{
        struct data *data = baton_arena_root(child);

        (void)message;
        (void)ctx;
        for (int i = 0; i < 1000; i++) {
                int r = baton_arena_save(child, data, sizeof(*data));

                if (r)
                        return r;
                data->sum++;
        }
        return 0;
}

static void a_log_that_is_full_fails_the_message_and_undoes_it(void **state)
{
        struct baton_child_ops greedy = once_ops;

        (void)state;
        greedy.on_message = on_greedy;
        open_with(&arena_shape, &greedy);
        assert_int_equal(stand_call(&s, 1, NULL, 0), 0);
        dispatch();
        assert_int_equal(sum(), 0);
        answered(1, -ENOSPC, NULL, 0);
        assert_int_equal(baton_arena_save(s.child, s.child->arena, 8), 0); /* no message: nothing to save */
}

static void once_without_an_arena_is_refused_at_ready(void **state)
{
        struct baton_child_ops ops = plain_ops;

        (void)state;
        ops.message_flags = BATON_MESSAGES_ONCE;
        assert_int_equal(stand_open(&s, &plain_shape, &ops, &app), -EOPNOTSUPP);
        assert_non_null(strstr(s.link->text, "exactly once"));
}

int main(void)
{
#define ROW(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
        const struct CMUnitTest tests[] = {
                ROW(a_call_is_answered_and_a_cast_is_not),
                ROW(an_error_is_the_answers_status_and_the_message_is_done),
                ROW(a_deferred_call_is_answered_by_whoever_has_its_caller),
                ROW(an_answer_that_nobody_takes_is_counted),
                ROW(a_reply_outside_of_its_message_is_refused),
                ROW(a_reference_is_inside_the_clients_region_or_the_message_fails),
                ROW(a_client_that_goes_leaves_its_memory_until_its_message_is_done),
                ROW(a_call_whose_deadline_is_over_is_not_handled),
                ROW(holes_and_nonsense_are_passed_over),
                ROW(the_descriptor_is_readable_while_there_is_something_to_do),
                ROW(a_turn_serves_a_bounded_number_and_the_rest_in_the_next),
                ROW(HOT_11_unread_messages_wait_for_the_next_process),
                ROW(an_arena_is_undone_when_the_handler_fails),
                ROW(a_log_that_is_full_fails_the_message_and_undoes_it),
                ROW(once_without_an_arena_is_refused_at_ready),
        };
#undef ROW

        return cmocka_run_group_tests(tests, NULL, NULL);
}
