/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Does one step of a message's way, between two stops, for a tracer that counts instructions and kills in the middle (tests/crash/test_message_steps.c).
 * Descriptor 3 is the memory of tests/support/message_steps.h.
 *
 *      child_message_steps push | withdraw | repair | serve | take-up | settle        exits with 0 after it, with 77 where tracing is not allowed
 */
#include <sys/ptrace.h>

#include "tests/support/message_steps.h"
#include "tests/support/stepping.h"

static struct message_side side;

static void do_push(struct message_steps *s)
{
        struct bt_mailbox_view view = message_box_view(&s->box);
        const struct bt_letter letter = {.call = 2, .flags = BT_LETTER_CALL, .bytes = 8};
        const uint64_t payload = STEPS_ADD;
        int r;

        stepping_mark();
        r = bt_mailbox_push(&view, STEPS_VICTIM, &letter, &payload, NULL);
        stepping_mark();
        if (r)
                _exit(1);
}

static void do_withdraw(struct message_steps *s)
{
        struct bt_mailbox_view view = message_box_view(&s->box);
        int r;

        stepping_mark();
        r = bt_mailbox_withdraw(&view, STEPS_VICTIM, 0);
        stepping_mark();
        if (r)
                _exit(1);
}

static void do_repair(struct message_steps *s)
{
        struct bt_mailbox_view view = message_box_view(&s->box);

        stepping_mark();
        (void)bt_mailbox_repair(&view, STEPS_VICTIM);
        stepping_mark();
}

static void do_serve(struct message_steps *s)
{
        message_side_init(&side, s);
        stepping_mark();
        bt_post_serve(&side.child);
        stepping_mark();
}

static void do_take_up(struct message_steps *s)
{
        message_side_init(&side, s);
        stepping_mark();
        message_take_up(&side);
        stepping_mark();
}

static void do_settle(struct message_steps *s)
{
        struct bt_mailbox_view view = message_box_view(&s->box);

        stepping_mark();
        (void)bt_share_settle(&view, &s->desk);
        stepping_mark();
}

int main(int argc, char **argv)
{
        struct message_steps *s;

        (void)clearenv(); /* fault points look into it, and each variable is steps */
        twin_die_with_parent();
        if (argc < 2)
                return 96;
        s = twin_map(sizeof(*s));
        if (ptrace(PTRACE_TRACEME, 0, NULL, NULL) < 0)
                _exit(STEPPING_REFUSED);
        if (!strcmp(argv[1], "push"))
                do_push(s);
        else if (!strcmp(argv[1], "withdraw"))
                do_withdraw(s);
        else if (!strcmp(argv[1], "repair"))
                do_repair(s);
        else if (!strcmp(argv[1], "serve"))
                do_serve(s);
        else if (!strcmp(argv[1], "take-up"))
                do_take_up(s);
        else if (!strcmp(argv[1], "settle"))
                do_settle(s);
        else
                return 96;
        _exit(0); /* without the exit handlers: a leak check cannot work under a tracer */
}
