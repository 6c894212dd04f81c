/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The graceful stop's machine: its ways as scenarios, and the whole of it against the table "shutdown" of docs/swap.md.
 *
 * It counts, so a row of the page says which count it means: "of none" and "of some" for events that bring a count, "last" and "not last"
 * for events that count down.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "supervisor/swap/shutdown.h"
#include "tests/support/swap_table.h"

struct step {
        enum bt_shutdown_event event;
        uint32_t count;
        enum bt_shutdown_action action;
        enum bt_shutdown_state state;
};

#define EV(name) BT_SHUTDOWN_EV_##name
#define ACT(name) BT_SHUTDOWN_ACT_##name
#define S(name) BT_SHUTDOWN_S_##name

struct play {
        const char *name;
        bool timed_out;
        struct step steps[12];
};

/* clang-format off */
static const struct play plays[] = {
        {"SHUT-1 all are asked at once, the states are stored once, then all are told to end", false,
         {{EV(BEGIN), 0, ACT(ASK), S(CAPTURING)}, {EV(ASKED), 2, ACT(NONE), S(CAPTURING)}, {EV(ANSWERED), 0, ACT(NONE), S(CAPTURING)},
          {EV(ANSWERED), 0, ACT(STORE), S(STORING)}, {EV(STORED), 0, ACT(END), S(ENDING)}, {EV(TOLD), 2, ACT(NONE), S(ENDING)},
          {EV(EXITED), 0, ACT(NONE), S(ENDING)}, {EV(EXITED), 0, ACT(FINISH), S(OVER)}}},
        {"SHUT-1 a mute child is waited for until the common deadline, and what arrived is stored", true,
         {{EV(BEGIN), 0, ACT(ASK), S(CAPTURING)}, {EV(ASKED), 3, ACT(NONE), S(CAPTURING)}, {EV(ANSWERED), 0, ACT(NONE), S(CAPTURING)},
          {EV(TIMEOUT), 0, ACT(STORE), S(STORING)}, {EV(ANSWERED), 0, ACT(NONE), S(STORING)}, {EV(STORED), 0, ACT(END), S(ENDING)},
          {EV(TOLD), 1, ACT(NONE), S(ENDING)}, {EV(EXITED), 0, ACT(FINISH), S(OVER)}}},
        {"SHUT-6 without a state to keep the stop goes through", false,
         {{EV(BEGIN), 0, ACT(ASK), S(CAPTURING)}, {EV(ASKED), 0, ACT(STORE), S(STORING)}, {EV(STORED), 0, ACT(END), S(ENDING)},
          {EV(TOLD), 0, ACT(FINISH), S(OVER)}}},
        {"SHUT-4 nobody is told to end before the states are durable, whoever exits meanwhile", false,
         {{EV(BEGIN), 0, ACT(ASK), S(CAPTURING)}, {EV(ASKED), 1, ACT(NONE), S(CAPTURING)}, {EV(EXITED), 0, ACT(NONE), S(CAPTURING)},
          {EV(ANSWERED), 0, ACT(STORE), S(STORING)}, {EV(EXITED), 0, ACT(NONE), S(STORING)}, {EV(TIMEOUT), 0, ACT(NONE), S(STORING)},
          {EV(STORED), 0, ACT(END), S(ENDING)}, {EV(TOLD), 0, ACT(FINISH), S(OVER)}}},
        {"SHUT-1 migrations under way are cancelled and waited for before anybody is asked", false,
         {{EV(BEGIN), 2, ACT(CANCEL_MIGRATIONS), S(SETTLING)}, {EV(EXITED), 0, ACT(NONE), S(SETTLING)},
          {EV(SETTLED), 0, ACT(NONE), S(SETTLING)}, {EV(SETTLED), 0, ACT(ASK), S(CAPTURING)}, {EV(ASKED), 0, ACT(STORE), S(STORING)},
          {EV(STORED), 0, ACT(END), S(ENDING)}, {EV(TOLD), 1, ACT(NONE), S(ENDING)}, {EV(EXITED), 0, ACT(FINISH), S(OVER)}}},
        {"SHUT-1 an answer that comes while others are still being asked ends nothing and is not lost", false,
         {{EV(BEGIN), 0, ACT(ASK), S(CAPTURING)}, {EV(ANSWERED), 0, ACT(NONE), S(CAPTURING)}, {EV(ASKED), 2, ACT(NONE), S(CAPTURING)},
          {EV(ANSWERED), 0, ACT(STORE), S(STORING)}, {EV(STORED), 0, ACT(END), S(ENDING)}, {EV(EXITED), 0, ACT(NONE), S(ENDING)},
          {EV(TOLD), 2, ACT(NONE), S(ENDING)}, {EV(EXITED), 0, ACT(FINISH), S(OVER)}}},
        {"SHUT-1 the only one asked answers before the count is known", false,
         {{EV(BEGIN), 0, ACT(ASK), S(CAPTURING)}, {EV(ANSWERED), 0, ACT(NONE), S(CAPTURING)}, {EV(ASKED), 1, ACT(STORE), S(STORING)},
          {EV(STORED), 0, ACT(END), S(ENDING)}, {EV(EXITED), 0, ACT(NONE), S(ENDING)}, {EV(TOLD), 1, ACT(FINISH), S(OVER)}}},
        {"SHUT-10 a second stop changes nothing", false,
         {{EV(BEGIN), 1, ACT(CANCEL_MIGRATIONS), S(SETTLING)}, {EV(BEGIN), 0, ACT(NONE), S(SETTLING)},
          {EV(SETTLED), 0, ACT(ASK), S(CAPTURING)}, {EV(BEGIN), 0, ACT(NONE), S(CAPTURING)}, {EV(ASKED), 0, ACT(STORE), S(STORING)},
          {EV(BEGIN), 0, ACT(NONE), S(STORING)}, {EV(STORED), 0, ACT(END), S(ENDING)}, {EV(BEGIN), 0, ACT(NONE), S(ENDING)},
          {EV(TOLD), 0, ACT(FINISH), S(OVER)}, {EV(BEGIN), 0, ACT(NONE), S(OVER)}}},
};
/* clang-format on */

static void plays_as_written(void **state)
{
        const struct play *play = *state;
        struct bt_shutdown shutdown = {.state = BT_SHUTDOWN_S_IDLE};

        for (size_t i = 0; i < BT_ARRAY_LEN(play->steps); i++) {
                const struct step *step = &play->steps[i];

                if (i && step->state == BT_SHUTDOWN_S_IDLE)
                        break;
                assert_int_equal(bt_shutdown_step(&shutdown, step->event, step->count), step->action);
                assert_int_equal(shutdown.state, step->state);
        }
        assert_int_equal(shutdown.state, BT_SHUTDOWN_S_OVER);
        assert_int_equal(shutdown.timed_out, play->timed_out);
}

/* What an event can be about: a count it brings, or whether it is the last of those waited for. */
struct condition {
        const char *when;
        uint32_t count;
        uint32_t pending;
};

static const struct condition *conditions_of(enum bt_shutdown_event event, size_t *ret_count)
{
        static const struct condition counts[] = {{"of none", 0, 0}, {"of some", 2, 0}};
        static const struct condition downs[] = {{"last", 0, 1}, {"not last", 0, 2}};
        static const struct condition plain[] = {{"", 0, 1}};

        switch (event) {
        case BT_SHUTDOWN_EV_BEGIN:
        case BT_SHUTDOWN_EV_ASKED:
        case BT_SHUTDOWN_EV_TOLD:
                *ret_count = 2;
                return counts;
        case BT_SHUTDOWN_EV_SETTLED:
        case BT_SHUTDOWN_EV_ANSWERED:
        case BT_SHUTDOWN_EV_EXITED:
                *ret_count = 2;
                return downs;
        default:
                *ret_count = 1;
                return plain;
        }
}

static void cell_matches(struct swap_table *table, enum bt_shutdown_state at, enum bt_shutdown_event event, const struct condition *c)
{
        struct bt_shutdown shutdown = {.state = at, .pending = c->pending, .counted = c->pending > 0};
        const struct bt_shutdown before = shutdown;
        const struct swap_row *row = swap_row_find(table, bt_shutdown_state_name(at), bt_shutdown_event_name(event), c->when);
        enum bt_shutdown_action action = bt_shutdown_step(&shutdown, event, c->count);

        if (!row) {
                if (action != BT_SHUTDOWN_ACT_NONE || shutdown.state != before.state || shutdown.pending != before.pending)
                        fail_msg("docs/swap.md has no row for %s, %s, %s", bt_shutdown_state_name(at), bt_shutdown_event_name(event), c->when);
                return;
        }
        if (strcmp(row->next, bt_shutdown_state_name(shutdown.state)) != 0 || strcmp(row->actions, bt_shutdown_action_name(action)) != 0)
                fail_msg("docs/swap.md, %s, %s, %s: the page says %s (%s), the code %s (%s)", row->state, row->event, c->when, row->next,
                         row->actions, bt_shutdown_state_name(shutdown.state), bt_shutdown_action_name(action));
}

static void every_cell_is_a_row_of_the_page_and_the_rest_changes_nothing(void **state)
{
        struct swap_table table;

        (void)state;
        swap_table_read(&table, "shutdown");
        for (int at = 0; at < _BT_SHUTDOWN_S_N; at++) {
                for (int event = 0; event < _BT_SHUTDOWN_EV_N; event++) {
                        size_t count;
                        const struct condition *c = conditions_of((enum bt_shutdown_event)event, &count);

                        for (size_t i = 0; i < count; i++)
                                cell_matches(&table, (enum bt_shutdown_state)at, (enum bt_shutdown_event)event, &c[i]);
                }
        }
        swap_table_all_used(&table);
}

/* Any number of children, any of them mute, in any order: the stop ends, and asks, stores and ends once each. */
static void any_mix_of_answers_and_silence_ends_after_one_store(void **state)
{
        (void)state;
        for (uint32_t children = 0; children < 20; children++) {
                for (uint32_t answers = 0; answers <= children; answers++) {
                        struct bt_shutdown s = {.state = BT_SHUTDOWN_S_IDLE};
                        uint32_t stores = 0;

                        assert_int_equal(bt_shutdown_step(&s, BT_SHUTDOWN_EV_BEGIN, 0), BT_SHUTDOWN_ACT_ASK);
                        stores += bt_shutdown_step(&s, BT_SHUTDOWN_EV_ASKED, children) == BT_SHUTDOWN_ACT_STORE;
                        for (uint32_t i = 0; i < answers; i++)
                                stores += bt_shutdown_step(&s, BT_SHUTDOWN_EV_ANSWERED, 0) == BT_SHUTDOWN_ACT_STORE;
                        stores += bt_shutdown_step(&s, BT_SHUTDOWN_EV_TIMEOUT, 0) == BT_SHUTDOWN_ACT_STORE;
                        assert_int_equal(stores, 1);
                        assert_int_equal(s.timed_out, answers < children);
                        assert_int_equal(bt_shutdown_step(&s, BT_SHUTDOWN_EV_STORED, 0), BT_SHUTDOWN_ACT_END);
                        assert_int_equal(bt_shutdown_step(&s, BT_SHUTDOWN_EV_TOLD, children),
                                         children ? BT_SHUTDOWN_ACT_NONE : BT_SHUTDOWN_ACT_FINISH);
                        for (uint32_t i = 1; i <= children; i++)
                                assert_int_equal(bt_shutdown_step(&s, BT_SHUTDOWN_EV_EXITED, 0),
                                                 i == children ? BT_SHUTDOWN_ACT_FINISH : BT_SHUTDOWN_ACT_NONE);
                        assert_int_equal(s.state, BT_SHUTDOWN_S_OVER);
                }
        }
}

int main(void)
{
        struct CMUnitTest tests[BT_ARRAY_LEN(plays) + 2] = {
                cmocka_unit_test(every_cell_is_a_row_of_the_page_and_the_rest_changes_nothing),
                cmocka_unit_test(any_mix_of_answers_and_silence_ends_after_one_store),
        };

        for (size_t i = 0; i < BT_ARRAY_LEN(plays); i++)
                tests[2 + i] = (struct CMUnitTest){.name = plays[i].name,
                                                   .test_func = plays_as_written,
                                                   .initial_state = (void *)(uintptr_t)&plays[i]};
        return cmocka_run_group_tests(tests, NULL, NULL);
}
