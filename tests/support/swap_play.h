/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Plays scenarios of the migration machines: a list of events, each with the actions it must cause and the state after it.
 *
 *      {"HOT-1 the successor is ready before ...", BT_SWAP_HOT, true,
 *       "ARM_MIGRATION SPAWN_SUCC",                            what the beginning does
 *       {{"READY", "ARM_DATA_WAIT OFFER", "OFFERED"}, ...}}    then, until the state is "over"
 *
 * and compares a machine with its table in docs/swap.md.
 */
#include <stdlib.h>

#include "supervisor/swap/swap.h"
#include "tests/support/swap_table.h"

#define SWAP_STEPS_MAX 12
#define SWAP_ACTIONS_BYTES 256

struct swap_play_step {
        const char *event;
        const char *actions;
        const char *state; /* after it; "-": out of place, and nothing changed */
};

enum swap_play_begin {
        SWAP_PLAY_COLD = BT_SWAP_COLD,
        SWAP_PLAY_HOT = BT_SWAP_HOT,
        SWAP_PLAY_DOWN, /* a cold swap of a child that is down */
        SWAP_PLAY_ASKING, /* cold, the new binary is asked first */
        SWAP_PLAY_HELD,   /* cold, of a program that can be held */
        SWAP_PLAY_ASKING_HELD,
};

struct swap_play {
        const char *name;
        enum swap_play_begin begin;
        bool handover;
        const char *first;
        struct swap_play_step steps[SWAP_STEPS_MAX];
        enum bt_swap_why why;
        bool timed_out;
        bool state_lost;
};

static inline const char *swap_actions_text(const struct bt_swap_actions *actions, char *text)
{
        size_t used = 0;

        text[0] = '\0';
        for (uint32_t i = 0; i < actions->count; i++)
                used += (size_t)snprintf(text + used, SWAP_ACTIONS_BYTES - used, "%s%s", i ? " " : "",
                                         bt_swap_action_name(actions->list[i]));
        return text;
}

static inline enum bt_swap_event swap_event_named(const char *name)
{
        for (uint32_t i = 0; i < _BT_SWAP_EV_N; i++) {
                if (!strcmp(bt_swap_event_name((enum bt_swap_event)i), name))
                        return (enum bt_swap_event)i;
        }
        fail_msg("no event is named %s", name);
        abort();
}

static inline const char *swap_where(const struct bt_swap *swap)
{
        return swap->over ? "over" : bt_swap_state_name(swap);
}

static inline void swap_play_begin(const struct swap_play *play, struct bt_swap *ret_swap, struct bt_swap_actions *ret_actions)
{
        if (play->begin == SWAP_PLAY_HOT)
                bt_hot_begin(ret_swap, play->handover, ret_actions);
        else if (play->begin == SWAP_PLAY_COLD)
                bt_cold_begin(ret_swap, play->handover, false, ret_actions);
        else if (play->begin == SWAP_PLAY_HELD)
                bt_cold_begin(ret_swap, play->handover, true, ret_actions);
        else if (play->begin == SWAP_PLAY_ASKING || play->begin == SWAP_PLAY_ASKING_HELD)
                bt_cold_begin_asking(ret_swap, play->begin == SWAP_PLAY_ASKING_HELD, ret_actions);
        else
                bt_cold_begin_down(ret_swap, ret_actions);
}

static inline void swap_play_step(struct bt_swap *swap, const struct swap_play_step *step)
{
        struct bt_swap before = *swap;
        struct bt_swap_actions actions;
        char text[SWAP_ACTIONS_BYTES];
        int r = bt_swap_step(swap, swap_event_named(step->event), &actions);

        print_message("         %s\n", step->event);
        assert_string_equal(swap_actions_text(&actions, text), step->actions);
        if (!strcmp(step->state, "-")) {
                assert_int_equal(r, BT_SWAP_E_OUT_OF_PLACE);
                assert_memory_equal(swap, &before, sizeof(before));
        } else {
                assert_int_equal(r, 0);
                assert_string_equal(swap_where(swap), step->state);
        }
}

/* A cmocka test: *state is a struct swap_play. */
static inline void swap_plays_as_written(void **state)
{
        const struct swap_play *play = *state;
        struct bt_swap_actions actions;
        struct bt_swap swap;
        char text[SWAP_ACTIONS_BYTES];

        memset(&swap, 0, sizeof(swap));
        swap_play_begin(play, &swap, &actions);
        assert_string_equal(swap_actions_text(&actions, text), play->first);
        for (uint32_t i = 0; i < SWAP_STEPS_MAX && play->steps[i].event; i++)
                swap_play_step(&swap, &play->steps[i]);
        assert_true(swap.over);
        assert_int_equal(swap.why, play->why);
        assert_int_equal(swap.timed_out, play->timed_out);
        assert_int_equal(swap.state_lost, play->state_lost);
}

static inline uint32_t swap_state_count(enum bt_swap_kind kind)
{
        struct bt_swap swap = {.kind = kind};

        while (strcmp(bt_swap_state_name(&swap), "?") != 0)
                swap.state++;
        return swap.state;
}

/* One cell against its row, or against the absence of one. */
static inline void swap_cell_matches(struct swap_table *table, enum bt_swap_kind kind, uint32_t at, enum bt_swap_event event, bool handover)
{
        struct bt_swap swap = {.kind = kind, .state = at, .handover = handover};
        const struct bt_swap before = swap;
        struct bt_swap_actions actions = {.count = 99};
        char text[SWAP_ACTIONS_BYTES];
        const struct swap_row *row = swap_row_find(table, bt_swap_state_name(&swap), bt_swap_event_name(event),
                                                   handover ? "handover" : "no handover");
        int r = bt_swap_step(&swap, event, &actions);

        if (!row && r != BT_SWAP_E_OUT_OF_PLACE)
                fail_msg("docs/swap.md has no row for %s, %s", bt_swap_state_name(&before), bt_swap_event_name(event));
        if (!row) {
                assert_int_equal(actions.count, 0);
                assert_memory_equal(&swap, &before, sizeof(before));
                return;
        }
        if (r || strcmp(row->next, swap_where(&swap)) != 0 || strcmp(row->actions, swap_actions_text(&actions, text)) != 0)
                fail_msg("docs/swap.md, %s, %s: the page says %s (%s), the code %s (%s)", row->state, row->event, row->next,
                         row->actions, r ? "out of place" : swap_where(&swap), text);
}

/* The whole table: every state, every event, with and without hand-over. */
static inline void swap_table_matches(enum bt_swap_kind kind, const char *name)
{
        struct swap_table table;

        swap_table_read(&table, name);
        for (uint32_t at = 0; at < swap_state_count(kind); at++) {
                for (uint32_t event = 0; event < _BT_SWAP_EV_N; event++) {
                        swap_cell_matches(&table, kind, at, (enum bt_swap_event)event, true);
                        swap_cell_matches(&table, kind, at, (enum bt_swap_event)event, false);
                }
        }
        swap_table_all_used(&table);
}

/* After the end nothing has a place any more. */
static inline void swap_nothing_after_the_end(enum bt_swap_kind kind)
{
        for (uint32_t at = 0; at < swap_state_count(kind); at++) {
                for (uint32_t event = 0; event < _BT_SWAP_EV_N; event++) {
                        struct bt_swap swap = {.kind = kind, .state = at, .handover = true, .over = true};
                        const struct bt_swap before = swap;
                        struct bt_swap_actions actions = {.count = 99};

                        assert_int_equal(bt_swap_step(&swap, (enum bt_swap_event)event, &actions), BT_SWAP_E_OUT_OF_PLACE);
                        assert_int_equal(actions.count, 0);
                        assert_memory_equal(&swap, &before, sizeof(before));
                }
        }
}

/* One cmocka test for each scenario, named as it is. Returns how many. */
static inline size_t swap_plays_as_tests(struct CMUnitTest *tests, const struct swap_play *plays, size_t count)
{
        for (size_t i = 0; i < count; i++)
                tests[i] = (struct CMUnitTest){.name = plays[i].name,
                                               .test_func = swap_plays_as_written,
                                               .initial_state = (void *)(uintptr_t)&plays[i]};
        return count;
}
