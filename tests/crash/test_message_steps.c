/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Death at every instruction of a message's way (I8; tests/support/stepping.h):
 *
 *      push       repaired, the mailbox is valid; the message is there as a whole, or not, or a hole; others go on
 *      withdraw   handled or never handled
 *      repair     of the hub: done again by the next one, it ends the same
 *      serve      take, bracket, handler with saves, commit, free, answer: the next holder finds the arena as it was, to the byte, and the message again;
 *                 or the sum, and the message never again. Answered it is in the end, and always with the same sum
 *      take-up    the next holder dies, too, in the middle of undoing or of answering; the one after it ends the same
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/support/message_steps.h"
#include "tests/support/stepping.h"

static struct message_steps *s;
static int memory_fd;
static const struct stepping stepping = {.program = "child_message_steps", .memory_fd = &memory_fd};

static char before[BT_ARENA_BYTES_MIN]; /* the arena, prepared */

static int setup(void **state)
{
        (void)state;
        memory_fd = twin_memory(sizeof(*s), &s);
        return 0;
}

static int teardown(void **state)
{
        (void)state;
        (void)close(memory_fd);
        return munmap(s, sizeof(*s));
}

static struct bt_mailbox_view box(void)
{
        return message_box_view(&s->box);
}

static void push(uint32_t owner, uint64_t call)
{
        struct bt_mailbox_view view = box();
        const struct bt_letter letter = {.call = call, .flags = BT_LETTER_CALL, .bytes = 8};
        const uint64_t payload = STEPS_ADD;

        assert_int_equal(bt_mailbox_push(&view, owner, &letter, &payload, NULL), 0);
}

static void prepare_boxes(void)
{
        memset((void *)s, 0, sizeof(*s));
        message_box_init(&s->box);
        message_box_init(&s->client);
}

/* The message at @pos is @call, whole. */
static void take_ok(uint64_t pos, uint64_t call)
{
        struct bt_mailbox_view view = box();
        struct bt_taken taken;
        uint64_t room[8];

        assert_int_equal(bt_mailbox_take(&view, pos, &taken, room), 0);
        assert_int_equal(taken.letter.call, call);
        assert_int_equal(taken.letter.bytes, 8);
        assert_int_equal(room[0], STEPS_ADD);
        bt_mailbox_free(&view, pos);
}

/* ---- push ---- */

static void prepare_push(void)
{
        prepare_boxes();
        push(STEPS_OTHER, 1);
}

static int check_push(void)
{
        struct bt_mailbox_view view = box();
        enum bt_slot_state is = bt_slot_unpack(bt_mailbox_slot(&view, 1)->word).state;
        uint64_t next = 1;

        assert_true(bt_mailbox_valid(&view, 0));
        assert_int_equal(bt_mailbox_repair(&view, STEPS_VICTIM), is == BT_SLOT_CLAIMED);
        assert_true(bt_mailbox_valid(&view, 0));
        push(STEPS_OTHER, 3); /* nobody waits for the dead one */
        take_ok(0, 1);
        if (is == BT_SLOT_READY)
                take_ok(next++, 2);
        else if (is == BT_SLOT_CLAIMED)
                bt_mailbox_free(&view, next++);
        take_ok(next++, 3);
        assert_true(bt_mailbox_valid(&view, next));
        return is == BT_SLOT_READY ? 1 : is == BT_SLOT_CLAIMED ? 2 : 0;
}

static void a_producer_may_die_at_any_instruction_of_push(void **state)
{
        (void)state;
        stepping_die_everywhere(&stepping, "push", prepare_push, check_push, true);
}

/* ---- withdraw ---- */

static void prepare_withdraw(void)
{
        prepare_boxes();
        push(STEPS_VICTIM, 1);
}

static int check_withdraw(void)
{
        struct bt_mailbox_view view = box();
        struct bt_taken taken;
        uint64_t room[8];

        assert_true(bt_mailbox_valid(&view, 0));
        if (bt_mailbox_take(&view, 0, &taken, room) == BT_MAILBOX_E_HOLE)
                return 1;
        take_ok(0, 1);
        return 0;
}

static void a_producer_may_die_at_any_instruction_of_withdraw(void **state)
{
        (void)state;
        stepping_die_everywhere(&stepping, "withdraw", prepare_withdraw, check_withdraw, false);
}

/* ---- repair ---- */

static void prepare_repair(void)
{
        struct bt_mailbox_view view;
        uint64_t pos;

        prepare_boxes();
        view = box();
        assert_int_equal(bt_mailbox_claim(&view, STEPS_VICTIM, &pos), 0);
        push(STEPS_OTHER, 1);
        assert_int_equal(bt_mailbox_claim(&view, STEPS_VICTIM, &pos), 0);
}

static int check_repair(void)
{
        struct bt_mailbox_view view = box();
        uint32_t left;

        assert_true(bt_mailbox_valid(&view, 0));
        left = bt_mailbox_repair(&view, STEPS_VICTIM);
        assert_true(bt_mailbox_valid(&view, 0));
        bt_mailbox_free(&view, 0);
        take_ok(1, 1);
        bt_mailbox_free(&view, 2);
        assert_true(bt_mailbox_valid(&view, 3));
        return left == 2 ? 0 : left == 1 ? 2 : 1;
}

static void a_hub_may_die_at_any_instruction_of_repair(void **state)
{
        (void)state;
        stepping_die_everywhere(&stepping, "repair", prepare_repair, check_repair, true);
}

/* ---- serve ---- */

static void prepare_arena(void)
{
        struct message_data *data;
        char *block;

        bt_arena_init(&s->arena, BT_ARENA_BYTES_MIN);
        data = bt_arena_alloc(&s->arena, sizeof(*data));
        block = bt_arena_alloc(&s->arena, 40);
        memset(block, 'o', 40);
        *data = (struct message_data){.sum = STEPS_SUM, .block = (uint64_t)(block - (char *)&s->arena), .text = "old"};
        bt_arena_free(&s->arena, bt_arena_alloc(&s->arena, 40)); /* something on the list */
        bt_arena_set_root(&s->arena, data);
        memcpy(before, s->arena_room, sizeof(before));
}

static void prepare_serve(void)
{
        prepare_boxes();
        s->baton.head.epoch = 77;
        s->baton.state_bytes_max = BT_ARENA_BYTES_MIN;
        s->desk.box_off = sizeof(s->desk);
        s->desk.box_bytes = sizeof(s->answer_box);
        s->desk.undo_off = sizeof(s->desk) + sizeof(s->answer_box);
        s->desk.undo_bytes = sizeof(s->undo);
        prepare_arena();
        push(STEPS_CLIENT, 1);
}

static uint64_t sum(void)
{
        return ((struct message_data *)bt_arena_root(&s->arena))->sum;
}

/* How many answers the client has; each is the same. */
static uint64_t answers(void)
{
        struct bt_mailbox_view view = message_box_view(&s->client);
        struct bt_taken taken = {0};
        uint64_t room[8] = {0}, count = 0;

        (void)bt_mailbox_repair(&view, 1000); /* the dead child's claim: the hub does that */
        for (uint64_t pos = 0;; pos++) {
                int r = bt_mailbox_take(&view, pos, &taken, room);

                if (r == BT_MAILBOX_E_EMPTY)
                        return count;
                if (r == BT_MAILBOX_E_HOLE)
                        continue;
                assert_int_equal(r, 0);
                assert_int_equal(taken.letter.call, 1);
                assert_int_equal(taken.letter.status, 0);
                assert_int_equal(room[0], STEPS_SUM + STEPS_ADD);
                count++;
        }
}

/* The arena is what it was before the message, to the byte, as far as anything is in use. */
static void arena_is_as_before(void)
{
        const struct bt_arena *was = (const struct bt_arena *)(const void *)before;

        assert_memory_equal(s->arena_room, before, was->top);
        assert_int_equal(s->baton.bracket, 0);
}

static void nothing_is_in_hand(void)
{
        struct bt_mailbox_view view = box();

        assert_int_equal(s->desk.cursor, 1);
        assert_int_equal(s->desk.open, 0);
        assert_int_equal(s->desk.answer, 0);
        assert_int_equal(s->baton.bracket, 0);
        assert_true(bt_mailbox_valid(&view, 1));
        assert_true(bt_arena_valid(&s->arena, BT_ARENA_BYTES_MIN));
        assert_int_equal(sum(), STEPS_SUM + STEPS_ADD);
        assert_in_range(answers(), 1, 2);
}

static int check_serve(void)
{
        bool torn = s->baton.bracket != 0, done = s->desk.cursor == 1;
        struct message_side next;

        assert_true(!torn || bt_desk_repairs(&s->desk, &s->baton));
        message_side_init(&next, s);
        message_take_up(&next);
        if (!done)
                arena_is_as_before();
        bt_post_serve(&next.child);
        nothing_is_in_hand();
        return done ? 1 : torn ? 2 : 0;
}

static void a_holder_may_die_at_any_instruction_of_a_message(void **state)
{
        (void)state;
        stepping_stop_everywhere(&stepping, "serve", s, sizeof(*s), prepare_serve, check_serve, true);
}

/* ---- take-up ---- */

/* Somebody died in the middle of the handler: everything was changed, nothing is committed. */
static void prepare_undo(void)
{
        struct message_side dead;
        struct bt_taken taken;
        struct baton_message message = {.data = dead.payload, .bytes = 8, .wants_answer = true, .from = {.call = 1, .client = STEPS_CLIENT}};

        prepare_serve();
        message_side_init(&dead, s);
        assert_int_equal(bt_mailbox_take(&dead.post.view, 0, &taken, dead.payload), 0);
        (void)bt_desk_begin(&s->desk, 0, &s->baton);
        baton_arena_begin(&dead.child);
        dead.post.handling = true;
        dead.post.message = &message;
        assert_int_equal(bt_once_begin(&dead.child), 0);
        assert_int_equal(message_handler(&dead.child, &message, NULL), 0);
        assert_int_equal(sum(), STEPS_SUM + STEPS_ADD);
}

static int check_undo(void)
{
        bool undone = s->desk.open == 0;

        (void)check_serve();
        return undone;
}

/* It died after the commit: the answer is in the box, the bracket is still there, the slot is not freed. */
static void prepare_answer(void)
{
        prepare_undo();
        bt_desk_commit(&s->desk);
}

static int check_answer(void)
{
        bool given = s->desk.answer == 0;

        assert_int_equal(check_serve(), 1);
        return given;
}

static void the_next_holder_may_die_at_any_instruction_of_undoing_and_answering(void **state)
{
        (void)state;
        stepping_stop_everywhere(&stepping, "take-up", s, sizeof(*s), prepare_undo, check_undo, false);
        stepping_stop_everywhere(&stepping, "take-up", s, sizeof(*s), prepare_answer, check_answer, false);
}

int main(void)
{
#define ROW(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
        const struct CMUnitTest tests[] = {
                ROW(a_producer_may_die_at_any_instruction_of_push),
                ROW(a_producer_may_die_at_any_instruction_of_withdraw),
                ROW(a_hub_may_die_at_any_instruction_of_repair),
                ROW(a_holder_may_die_at_any_instruction_of_a_message),
                ROW(the_next_holder_may_die_at_any_instruction_of_undoing_and_answering),
        };
#undef ROW

        (void)setenv("LD_BIND_NOW", "1", 1); /* finding a function at its first call is thousands of steps */
        (void)setup(NULL);
        prepare_serve();
        if (!stepping_allowed(&stepping, "serve"))
                return STEPPING_REFUSED;
        (void)teardown(NULL);
        return cmocka_run_group_tests(tests, NULL, NULL);
}
