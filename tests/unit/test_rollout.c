/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The machine of a rollout, played: lines of events with what they must cause.
 *
 *      {"COMMITTED 0", ""}                     nothing follows
 *      {"+1000", "TELL_PROVED 0, SWAP 1"}      the clock goes on by a second
 *      {"ABORT", "SWAP_BACK 0"}
 *
 * Every cell of the table is entered by at least one play; what any order of events can come to is in
 * tests/property/test_rollout_property.c.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "supervisor/rollout/rollout.h"

#define ITEMS_MAX 8
#define STEPS_MAX 20
#define TEXT_BYTES 256

struct step {
        const char *event;
        const char *actions;
};

struct play {
        const char *name;
        const char *items; /* a letter each: h hot, c cold; H, C: the same, down */
        struct bt_rollout_config config;
        const char *first;
        struct step steps[STEPS_MAX];
        enum bt_rollout_outcome outcome;
        enum bt_rollout_why why;
        uint32_t culprit;
};

#define SECOND BT_NS_PER_S
#define TIMED(c, s, u, ready, deadline) \
        {.canary = (c), .max_surge = (s), .max_unavailable = (u), .min_ready_ns = (ready) * SECOND, .deadline_ns = (deadline) * SECOND}
#define CONFIG(c, s, u) TIMED(c, s, u, 1, 600)
#define CHECKED(c, s, u) {.canary = (c), .max_surge = (s), .max_unavailable = (u), .min_ready_ns = SECOND, .deadline_ns = 600 * SECOND, .health = true}

/* clang-format off */
static const struct play plays[] = {
        {"a canary first, then as many as there are seats, each proved before its seat is free", "hhhhh", CONFIG(1, 2, 1), "SWAP 0",
         {{"COMMITTED 0", ""}, {"+999", ""}, {"+1", "TELL_PROVED 0, SWAP 1, SWAP 2"}, {"COMMITTED 1", ""}, {"COMMITTED 2", ""},
          {"+1000", "TELL_PROVED 1, TELL_PROVED 2, SWAP 3, SWAP 4"}, {"COMMITTED 4", ""}, {"COMMITTED 3", ""},
          {"+1000", "TELL_PROVED 3, TELL_PROVED 4, FINISH"}},
         BT_ROLLOUT_ALL_NEW, BT_ROLLOUT_WHY_NONE, 5},
        {"a canary that fails leaves the others untouched", "hhhh", CONFIG(1, 2, 1), "SWAP 0",
         {{"FAILED 0", "FINISH"}}, BT_ROLLOUT_ALL_OLD, BT_ROLLOUT_WHY_SWAP, 0},
        {"without a canary the seats alone count", "hhh", CONFIG(0, 2, 1), "SWAP 0, SWAP 1",
         {{"COMMITTED 1", ""}, {"+1000", "TELL_PROVED 1, SWAP 2"}, {"ABORT", "CANCEL 0, CANCEL 2"}, {"FAILED 0", "SWAP_BACK 1"}, {"FAILED 2", ""},
          {"COMMITTED 1", "FINISH"}},
         BT_ROLLOUT_ALL_OLD, BT_ROLLOUT_WHY_ABORTED, 3},
        {"more canaries than children are all of them", "hh", CONFIG(9, 9, 1), "SWAP 0, SWAP 1",
         {{"COMMITTED 0", ""}, {"COMMITTED 1", ""}, {"+1000", "TELL_PROVED 0, TELL_PROVED 1, FINISH"}},
         BT_ROLLOUT_ALL_NEW, BT_ROLLOUT_WHY_NONE, 2},
        {"a health command is asked at the end of min_ready, and a no takes all back", "hhhh", CHECKED(1, 1, 1), "SWAP 0",
         {{"COMMITTED 0", ""}, {"+1000", "CHECK 0"}, {"HEALTHY 0", "TELL_PROVED 0, SWAP 1"}, {"COMMITTED 1", ""}, {"+1000", "CHECK 1"},
          {"UNHEALTHY 1", "SWAP_BACK 0"}, {"COMMITTED 0", "SWAP_BACK 1"}, {"COMMITTED 1", "FINISH"}},
         BT_ROLLOUT_ALL_OLD, BT_ROLLOUT_WHY_UNHEALTHY, 1},
        {"one that ends while it settles takes all back, itself first: it does not serve", "hhh", CONFIG(1, 1, 1), "SWAP 0",
         {{"COMMITTED 0", ""}, {"+1000", "TELL_PROVED 0, SWAP 1"}, {"COMMITTED 1", ""}, {"DIED 1", "SWAP_BACK 1, SWAP_BACK 0"}, {"COMMITTED 0", ""},
          {"COMMITTED 1", "FINISH"}},
         BT_ROLLOUT_ALL_OLD, BT_ROLLOUT_WHY_DIED, 1},
        {"one that ends long after it was proved takes all back too", "hhh", CONFIG(1, 1, 1), "SWAP 0",
         {{"COMMITTED 0", ""}, {"+1000", "TELL_PROVED 0, SWAP 1"}, {"DIED 0", "CANCEL 1, SWAP_BACK 0"}, {"COMMITTED 1", "SWAP_BACK 1"},
          {"COMMITTED 0", ""}, {"COMMITTED 1", "FINISH"}},
         BT_ROLLOUT_ALL_OLD, BT_ROLLOUT_WHY_DIED, 0},
        {"one that ends while its health is asked", "h", CHECKED(0, 1, 1), "SWAP 0",
         {{"COMMITTED 0", ""}, {"+1000", "CHECK 0"}, {"DIED 0", "SWAP_BACK 0"}, {"HEALTHY 0", ""}, {"COMMITTED 0", "FINISH"}},
         BT_ROLLOUT_ALL_OLD, BT_ROLLOUT_WHY_DIED, 0},
        {"the deadline takes back what is not proved by then", "hh", TIMED(1, 1, 1, 1, 5), "SWAP 0",
         {{"COMMITTED 0", ""}, {"+1000", "TELL_PROVED 0, SWAP 1"}, {"+4000", "CANCEL 1"}, {"FAILED 1", "SWAP_BACK 0"},
          {"COMMITTED 0", "FINISH"}},
         BT_ROLLOUT_ALL_OLD, BT_ROLLOUT_WHY_DEADLINE, 1},
        {"a hot swap back that fails is repeated cold, and then the child is left", "hh", CONFIG(2, 2, 0), "SWAP 0, SWAP 1",
         {{"COMMITTED 0", ""}, {"COMMITTED 1", ""}, {"ABORT", "SWAP_BACK 0, SWAP_BACK 1"}, {"FAILED 0", "SWAP_BACK_COLD 0"},
          {"FAILED 1", ""}, {"COMMITTED 0", "SWAP_BACK_COLD 1"}, {"FAILED 1", "FINISH"}},
         BT_ROLLOUT_MIXED, BT_ROLLOUT_WHY_ABORTED, 2},
        {"what is not back at the second deadline is left, what is under way is waited for", "hhh", TIMED(3, 1, 1, 0, 5),
         "SWAP 0",
         {{"COMMITTED 0", ""}, {"+0", "TELL_PROVED 0, SWAP 1"}, {"COMMITTED 1", ""}, {"+0", "TELL_PROVED 1, SWAP 2"},
          {"FAILED 2", "SWAP_BACK 0"}, {"+5000", ""}, {"COMMITTED 0", "FINISH"}},
         BT_ROLLOUT_MIXED, BT_ROLLOUT_WHY_SWAP, 2},
        {"cold swaps are bounded by those that do not serve, whoever they are", "cccc", CONFIG(0, 9, 2), "SWAP 0, SWAP 1",
         {{"DIED 3", ""}, {"COMMITTED 0", ""}, {"+1000", "TELL_PROVED 0, SWAP 3"}, {"COMMITTED 3", ""}, {"COMMITTED 1", ""},
          {"+1000", "TELL_PROVED 1, TELL_PROVED 3, SWAP 2"}, {"COMMITTED 2", ""}, {"+1000", "TELL_PROVED 2, FINISH"}},
         BT_ROLLOUT_ALL_NEW, BT_ROLLOUT_WHY_NONE, 4},
        {"a child that was down is swapped first, and hot ones wait until it serves", "hhHh", CONFIG(0, 4, 0), "SWAP 2",
         {{"COMMITTED 2", ""}, {"+1000", "TELL_PROVED 2, SWAP 0, SWAP 1, SWAP 3"}, {"COMMITTED 0", ""}, {"COMMITTED 1", ""}, {"COMMITTED 3", ""},
          {"+1000", "TELL_PROVED 0, TELL_PROVED 1, TELL_PROVED 3, FINISH"}},
         BT_ROLLOUT_ALL_NEW, BT_ROLLOUT_WHY_NONE, 4},
        {"an old process that ends holds up the hot swaps, and is no reason to go back", "hhh", CONFIG(0, 1, 0), "SWAP 0",
         {{"DIED 2", "SWAP 2"}, {"BUSY 2", ""}, {"COMMITTED 0", ""}, {"SERVES 2", ""}, {"+1000", "TELL_PROVED 0, SWAP 1"}, {"COMMITTED 1", ""},
          {"+1000", "TELL_PROVED 1, SWAP 2"}, {"COMMITTED 2", ""}, {"+1000", "TELL_PROVED 2, FINISH"}},
         BT_ROLLOUT_ALL_NEW, BT_ROLLOUT_WHY_NONE, 3},
        {"a child that is busy is tried again, on both ways", "h", CONFIG(0, 1, 1), "SWAP 0",
         {{"BUSY 0", ""}, {"+99", ""}, {"+1", "SWAP 0"}, {"COMMITTED 0", ""}, {"ABORT", "SWAP_BACK 0"}, {"BUSY 0", ""}, {"+100", "SWAP_BACK 0"},
          {"COMMITTED 0", "FINISH"}},
         BT_ROLLOUT_ALL_OLD, BT_ROLLOUT_WHY_ABORTED, 1},
        {"a busy child that has not begun when all go back stays as it is", "hh", CONFIG(2, 2, 1), "SWAP 0, SWAP 1",
         {{"ABORT", "CANCEL 0, CANCEL 1"}, {"BUSY 0", ""}, {"FAILED 1", "FINISH"}},
         BT_ROLLOUT_ALL_OLD, BT_ROLLOUT_WHY_ABORTED, 2},
        {"a swap that leaves nobody serving goes back: that child is on its old program", "cc", CONFIG(1, 1, 1), "SWAP 0",
         {{"DOWN 0", "FINISH"}}, BT_ROLLOUT_ALL_OLD, BT_ROLLOUT_WHY_SWAP, 0},
        {"a swap back that leaves nobody serving is said", "cc", CONFIG(1, 1, 1), "SWAP 0",
         {{"COMMITTED 0", ""}, {"ABORT", "SWAP_BACK 0"}, {"DOWN 0", "FINISH"}}, BT_ROLLOUT_MIXED, BT_ROLLOUT_WHY_ABORTED, 2},
        {"a stop of the hub ends it where it is", "hh", CONFIG(1, 1, 1), "SWAP 0",
         {{"COMMITTED 0", ""}, {"STOP", ""}, {"+9000", ""}, {"DIED 0", ""}}, BT_ROLLOUT_STOPPED, BT_ROLLOUT_WHY_NONE, 2},
};
/* clang-format on */

static const char *const action_names[] = {"NONE", "SWAP", "CHECK", "TELL_PROVED", "CANCEL", "SWAP_BACK", "SWAP_BACK_COLD", "FINISH"};

static uint64_t clock_ns;

static void expect_actions(struct bt_rollout *r, const char *expected)
{
        struct bt_rollout_act act;
        char text[TEXT_BYTES] = "";

        while (bt_rollout_next(r, clock_ns, &act)) {
                size_t used = strlen(text);

                (void)snprintf(text + used, sizeof(text) - used, "%s%s", used ? ", " : "", action_names[act.action]);
                used = strlen(text);
                if (act.action != BT_ROLLOUT_ACT_FINISH)
                        (void)snprintf(text + used, sizeof(text) - used, " %u", act.idx);
        }
        assert_string_equal(text, expected);
}

static void feed(struct bt_rollout *r, const char *event)
{
        if (event[0] == '+') {
                uint64_t until = clock_ns + strtoull(event + 1, NULL, 10) * BT_NS_PER_MS, due;

                while ((due = bt_rollout_due(r)) <= until && due > clock_ns) { /* as a loop does: when it is due, and not in between */
                        clock_ns = due;
                        bt_rollout_time(r, clock_ns);
                        if (due != until)
                                expect_actions(r, "");
                }
                clock_ns = until;
                bt_rollout_time(r, clock_ns);
        } else if (!strcmp(event, "ABORT")) {
                bt_rollout_abort(r, clock_ns);
        } else if (!strcmp(event, "STOP")) {
                bt_rollout_stop(r);
        } else {
                size_t bytes = strcspn(event, " ");
                enum bt_rollout_event ev = 0;

                while (strncmp(bt_rollout_event_name(ev), event, bytes) != 0 || bt_rollout_event_name(ev)[bytes])
                        ev++;
                bt_rollout_event(r, ev, (uint32_t)strtoul(event + bytes, NULL, 10), clock_ns);
        }
}

static void plays_as_written(void **state)
{
        const struct play *play = *state;
        struct bt_rollout_item items[ITEMS_MAX] = {0};
        uint32_t count = (uint32_t)strlen(play->items);
        struct bt_rollout r;

        clock_ns = 7;
        for (uint32_t i = 0; i < count; i++) {
                items[i].hot = strchr("hH", play->items[i]) != NULL;
                items[i].serves = strchr("hc", play->items[i]) != NULL;
        }
        assert_null(bt_rollout_refusal(&play->config, items, count));
        bt_rollout_init(&r, &play->config, items, count, clock_ns);
        expect_actions(&r, play->first);
        for (size_t i = 0; i < STEPS_MAX && play->steps[i].event; i++) {
                print_message("         %s\n", play->steps[i].event);
                feed(&r, play->steps[i].event);
                expect_actions(&r, play->steps[i].actions);
        }
        assert_int_equal(r.phase, BT_ROLLOUT_OVER);
        assert_int_equal(r.outcome, play->outcome);
        assert_int_equal(r.why, play->why);
        assert_int_equal(r.culprit, play->culprit);
        assert_true(bt_rollout_due(&r) == BT_NS_NEVER);
}

static void seats_that_could_never_be_taken_are_refused(void **state)
{
        struct bt_rollout_item hot = {.hot = true, .serves = true}, cold = {.serves = true};
        struct bt_rollout_config none = {.max_surge = 0, .max_unavailable = 0};

        (void)state;
        assert_non_null(strstr(bt_rollout_refusal(&none, &hot, 1), "--max-surge"));
        assert_non_null(strstr(bt_rollout_refusal(&none, &cold, 1), "--max-unavailable"));
        none.max_surge = 1;
        assert_null(bt_rollout_refusal(&none, &hot, 1));
        assert_non_null(bt_rollout_refusal(&none, &cold, 1));
        assert_null(bt_rollout_refusal(&none, NULL, 0));
}

static void states_and_events_have_names(void **state)
{
        (void)state;
        assert_string_equal(bt_rollout_state_name(BT_ROLLOUT_S_WAITING), "WAITING");
        assert_string_equal(bt_rollout_state_name(BT_ROLLOUT_S_LEFT), "LEFT");
        assert_string_equal(bt_rollout_state_name(_BT_ROLLOUT_S_N), "?");
        assert_string_equal(bt_rollout_event_name(BT_ROLLOUT_EV_UNHEALTHY), "UNHEALTHY");
}

int main(void)
{
        struct CMUnitTest tests[BT_ARRAY_LEN(plays) + 2] = {
                cmocka_unit_test(seats_that_could_never_be_taken_are_refused),
                cmocka_unit_test(states_and_events_have_names),
        };

        for (size_t i = 0; i < BT_ARRAY_LEN(plays); i++)
                tests[2 + i] = (struct CMUnitTest){.name = plays[i].name,
                                                   .test_func = plays_as_written,
                                                   .initial_state = (void *)(uintptr_t)&plays[i]};
        return cmocka_run_group_tests(tests, NULL, NULL);
}
