/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Death at every instruction of a message's way through a queue that a pool shares (I8; shm/share.h, tests/support/stepping.h):
 *
 *      serve      take, bracket, handler with saves, commit, slot freed, answer. The hub settles; another member finds the message, and the arena of the dead one's
 *                 own successor is as it was, to the byte; or nobody finds it, the arena has the sum, and the client the answer
 *      settle     of the hub, in front of the commit and behind it: done again by the next one, it ends the same
 *      push       over a slot that a member still works on: it is carried over, nobody waits, and what the member has stays its own
 *
 * Two members; the queue is the one box of tests/support/message_steps.h, the other member is a desk and nothing more.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/support/message_steps.h"
#include "tests/support/stepping.h"

#define OTHER_PROCESS (STEPS_PROCESS + 1)
#define NEXT_PROCESS  (STEPS_PROCESS + 2)

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
        s->box.head.shared = 1;
        s->other_desk.sharer = 1;
}

static void queue_is_valid(void)
{
        struct bt_mailbox_view view = box();

        assert_true(bt_share_valid(&view));
}

static enum bt_slot_state state_at(uint64_t pos)
{
        struct bt_mailbox_view view = box();

        return bt_slot_unpack(bt_mailbox_slot(&view, pos)->word).state;
}

/* The other member has a turn: it finds @call, whole, which was begun @begun times before; 0: it finds nothing. */
static void other_takes(uint64_t call, uint32_t begun)
{
        struct bt_mailbox_view view = box();
        struct bt_taken taken;
        uint64_t room[8];
        int r = bt_share_take(&view, &s->other_desk, OTHER_PROCESS, &taken, room);

        assert_int_equal(r, call ? 0 : BT_MAILBOX_E_EMPTY);
        if (!call)
                return;
        assert_int_equal(taken.letter.call, call);
        assert_int_equal(taken.letter.bytes, 8);
        assert_int_equal(taken.before, begun);
        assert_int_equal(room[0], STEPS_ADD);
        (void)bt_desk_begin(&s->other_desk, s->other_desk.cursor, NULL);
        bt_desk_commit(&s->other_desk);
        bt_desk_end(&s->other_desk);
        bt_share_done(&view, &s->other_desk);
        assert_int_equal(s->other_desk.claim, 0);
        queue_is_valid();
}

static void hub_settles(void)
{
        struct bt_mailbox_view view = box();

        (void)bt_share_settle(&view, &s->desk);
        assert_int_equal(s->desk.claim, 0);
        assert_int_equal(s->box.head.sleepers[0], 0);
        queue_is_valid();
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
        *data = (struct message_data){
                .sum = STEPS_SUM, .block = (uint64_t)(block - (char *)&s->arena), .text = "old"};
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

/* How many answers the client has; each is the same. */
static uint64_t answers(void)
{
        struct bt_mailbox_view view = message_box_view(&s->client);
        struct bt_taken taken = {0};
        uint64_t room[8] = {0}, count = 0;

        (void)bt_mailbox_repair(&view,
                                STEPS_PROCESS); /* the dead process' claim: the hub does that */
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

/* The dead one's own successor: what was changed is as it was, or the message is done and answered. Nothing is in its hands. */
static void successor_takes_up(bool done)
{
        struct message_side next;

        message_side_init(&next, s);
        next.post.owner = NEXT_PROCESS;
        message_take_up(&next);
        if (done) {
                assert_int_equal(((struct message_data *)bt_arena_root(&s->arena))->sum,
                                 STEPS_SUM + STEPS_ADD);
                assert_in_range(answers(), 1, 2);
        } else {
                assert_memory_equal(s->arena_room, before,
                                    ((const struct bt_arena *)(const void *)before)->top);
                assert_int_equal(answers(), 0);
        }
        assert_int_equal(s->baton.bracket, 0);
        bt_post_serve(&next.child);
        assert_int_equal(s->desk.cursor, done);
        assert_int_equal(s->desk.open, 0);
        assert_int_equal(s->desk.answer, 0);
}

static int check_serve(void)
{
        bool torn = s->baton.bracket != 0, done = s->desk.cursor == 1,
             begun = s->desk.delivery == 1;

        hub_settles();
        other_takes(done ? 0 : 1, begun);
        successor_takes_up(done);
        queue_is_valid();
        return done ? 1 : torn ? 2 : 0;
}

static void a_member_may_die_at_any_instruction_of_a_message(void **state)
{
        (void)state;
        stepping_stop_everywhere(&stepping, "serve", s, sizeof(*s), prepare_serve, check_serve,
                                 true);
}

/* The same without a hub: its own next holder puts it back, and has it itself. */
static int check_alone(void)
{
        bool done = s->desk.cursor == 1, torn = s->baton.bracket != 0;
        struct message_side next;

        message_side_init(&next, s);
        next.post.owner = NEXT_PROCESS;
        message_take_up(&next);
        assert_int_equal(s->desk.claim, 0);
        bt_post_serve(&next.child);
        assert_int_equal(s->desk.cursor, 1);
        assert_int_equal(((struct message_data *)bt_arena_root(&s->arena))->sum,
                         STEPS_SUM + STEPS_ADD);
        assert_in_range(answers(), 1, 2);
        queue_is_valid();
        return done ? 1 : torn ? 2 : 0;
}

static void its_next_holder_does_what_the_hub_could_not(void **state)
{
        (void)state;
        stepping_stop_everywhere(&stepping, "serve", s, sizeof(*s), prepare_serve, check_alone,
                                 true);
}

/* ---- settle ---- */

static void begin_as_the_dead_one(void)
{
        struct bt_mailbox_view view = box();
        struct bt_taken taken;
        uint64_t room[8];

        assert_int_equal(bt_share_take(&view, &s->desk, STEPS_PROCESS, &taken, room), 0);
        (void)bt_desk_begin(&s->desk, s->desk.cursor, NULL);
        assert_int_equal(s->box.head.next, 1);
}

static void prepare_settle(void)
{
        prepare_boxes();
        push(STEPS_CLIENT, 1);
        push(STEPS_CLIENT, 2);
        begin_as_the_dead_one();
        other_takes(2, 0); /* next has moved on */
}

static int check_settle(void)
{
        int what = !s->desk.claim ? 1 : state_at(0) == BT_SLOT_TAKEN ? 0 : 2;

        hub_settles();
        other_takes(1, 1);
        other_takes(0, 0);
        return what;
}

static void prepare_settle_done(void)
{
        prepare_settle();
        bt_desk_commit(&s->desk);
}

static int check_settle_done(void)
{
        int what = !s->desk.claim ? 1 : state_at(0) == BT_SLOT_TAKEN ? 0 : 2;

        hub_settles();
        other_takes(0, 0);
        assert_int_equal(state_at(0), BT_SLOT_FREE);
        return what;
}

static void a_hub_may_die_at_any_instruction_of_settling(void **state)
{
        (void)state;
        stepping_die_everywhere(&stepping, "settle", prepare_settle, check_settle, true);
        stepping_die_everywhere(&stepping, "settle", prepare_settle_done, check_settle_done, true);
}

/* ---- push ---- */

/* The ring has come round to what a member has had in hand since the first lap. */
static void prepare_push(void)
{
        prepare_boxes();
        push(STEPS_CLIENT, 1);
        begin_as_the_dead_one(); /* who lives, here */
        for (uint64_t call = 2; call < 2 + STEPS_SLOTS - 1; call++) {
                push(STEPS_CLIENT, call);
                other_takes(call, 0);
        }
        assert_int_equal(s->box.head.tail, STEPS_SLOTS);
}

static int check_push(void)
{
        struct bt_mailbox_view view = box();
        enum bt_slot_state is = state_at(STEPS_SLOTS + 1);

        queue_is_valid();
        assert_int_equal(bt_mailbox_repair(&view, STEPS_VICTIM), is == BT_SLOT_CLAIMED);
        push(STEPS_OTHER, 77);
        if (is == BT_SLOT_READY)
                other_takes(2, 0); /* the call of child_message_steps */
        else if (is == BT_SLOT_CLAIMED)
                assert_int_equal(bt_share_take(&view, &s->other_desk, OTHER_PROCESS,
                                               &(struct bt_taken){0}, (uint64_t[8]){0}),
                                 BT_MAILBOX_E_HOLE);
        other_takes(77, 0);
        other_takes(0, 0);
        /* Its own is its own still: done, or put back as it was. */
        hub_settles();
        other_takes(1, 1);
        return is == BT_SLOT_READY ? 1 : is == BT_SLOT_CLAIMED ? 2 : 0;
}

static void a_producer_may_die_at_any_instruction_of_carrying_a_slot_over(void **state)
{
        (void)state;
        stepping_die_everywhere(&stepping, "push", prepare_push, check_push, true);
}

int main(void)
{
#define ROW(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
        const struct CMUnitTest tests[] = {
                ROW(a_member_may_die_at_any_instruction_of_a_message),
                ROW(its_next_holder_does_what_the_hub_could_not),
                ROW(a_hub_may_die_at_any_instruction_of_settling),
                ROW(a_producer_may_die_at_any_instruction_of_carrying_a_slot_over),
        };
#undef ROW

        (void)setenv("LD_BIND_NOW", "1",
                     1); /* finding a function at its first call is thousands of steps */
        (void)setup(NULL);
        prepare_serve();
        if (!stepping_allowed(&stepping, "serve"))
                return STEPPING_REFUSED;
        (void)teardown(NULL);
        return cmocka_run_group_tests(tests, NULL, NULL);
}
