/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The machine of a supervision group, step by step. A group of members a, b, c, .. is written as the states of its members, a letter each:
 *
 *      d down, w waiting, s starting, u up, x stopping, e ended, h held, g gone
 *
 * and what it does as "+a" (start) and "-a" (stop), "!up" and so on for what it tells.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "supervisor/group/group.h"

#define S BT_NS_PER_S

struct play {
        struct bt_group g;
        struct bt_group_member members[8];
        uint64_t now;
        char did[128];
};

static void play_begin(struct play *p, uint32_t count, enum bt_group_strategy strategy,
                       uint32_t max_restarts)
{
        const struct bt_group_config config = {
                .strategy = strategy, .max_restarts = max_restarts, .max_seconds_ns = 5 * S};

        memset(p, 0, sizeof(*p));
        p->now = 100 * S;
        for (uint32_t i = 0; i < count; i++)
                p->members[i].rank = i;
        bt_group_init(&p->g, &config, p->members, count);
}

/* All that it does until it waits. */
static void act(struct play *p)
{
        static const char *const tells[] = {"", "", "!up", "!down", "!failed", "!shut"};
        struct bt_group_act act;
        size_t used = 0;

        p->did[0] = '\0';
        while (bt_group_next(&p->g, p->now, &act)) {
                char one[] = {act.action == BT_GROUP_ACT_START ? '+' : '-', (char)('a' + act.idx),
                              '\0'};

                used += (size_t)snprintf(p->did + used, sizeof(p->did) - used, "%s%s",
                                         used ? " " : "",
                                         act.action <= BT_GROUP_ACT_STOP ? one : tells[act.action]);
                assert_true(used < sizeof(p->did));
        }
}

static void expect(struct play *p, const char *did, const char *states)
{
        static const char letters[] = "dwsuxehg";
        char is[9] = "";

        act(p);
        for (uint32_t i = 0; i < p->g.count; i++)
                is[i] = letters[p->members[i].state];
        if (strcmp(p->did, did) != 0 || strcmp(is, states) != 0)
                fail_msg("did '%s' and is %s (%s), expected '%s' and %s", p->did, is,
                         bt_group_state_name(p->g.state), did, states);
}

static void say(struct play *p, enum bt_group_event event, char who)
{
        bt_group_event(&p->g, event, who ? (uint32_t)(who - 'a') : 0, 0, p->now);
}

#define RUNS(who)    say(p, BT_GROUP_EV_RUNNING, who)
#define FAILS(who)   say(p, BT_GROUP_EV_FAILED, who)
#define ENDS(who)    say(p, BT_GROUP_EV_ENDED, who)
#define STOPPED(who) say(p, BT_GROUP_EV_STOPPED, who)

/* Three members that run. */
static void play_three(struct play *p, enum bt_group_strategy strategy, uint32_t max_restarts)
{
        play_begin(p, 3, strategy, max_restarts);
        say(p, BT_GROUP_EV_START, 0);
        expect(p, "+a", "sdd");
        RUNS('a');
        expect(p, "+b", "usd");
        RUNS('b');
        expect(p, "+c", "uus");
        RUNS('c');
        expect(p, "!up", "uuu");
}

static void one_for_one_restarts_the_one(void **state)
{
        struct play play, *p = &play;

        (void)state;
        play_three(p, BT_GROUP_ONE_FOR_ONE, 3);
        FAILS('b');
        expect(p, "+b", "usu");
        RUNS('b');
        expect(p, "", "uuu");
        bt_group_event(&p->g, BT_GROUP_EV_FAILED, 0, S, p->now);
        expect(p, "", "wuu");
        assert_int_equal(bt_group_due(&p->g), p->now + S);
        p->now += S;
        expect(p, "+a", "suu");
}

static void one_for_all_stops_in_reverse_order_and_starts_in_order(void **state)
{
        struct play play, *p = &play;

        (void)state;
        play_three(p, BT_GROUP_ONE_FOR_ALL, 3);
        bt_group_event(&p->g, BT_GROUP_EV_FAILED, 1, S, p->now);
        expect(p, "-c", "udx");
        STOPPED('c');
        expect(p, "-a", "xdd");
        STOPPED('a');
        expect(p, "", "ddd");
        assert_int_equal(bt_group_due(&p->g), p->now + S);
        p->now += S;
        expect(p, "+a", "sdd");
        RUNS('a');
        expect(p, "+b", "usd");
        RUNS('b');
        expect(p, "+c", "uus");
        RUNS('c');
        expect(p, "!up", "uuu");
}

static void rest_for_one_restarts_it_and_those_behind_it(void **state)
{
        struct play play, *p = &play;

        (void)state;
        play_three(p, BT_GROUP_REST_FOR_ONE, 3);
        FAILS('b');
        expect(p, "-c", "udx");
        STOPPED('c');
        expect(p, "+b", "usd");
        RUNS('b');
        expect(p, "+c", "uus");
        RUNS('c');
        expect(p, "!up", "uuu");
        FAILS('c');
        expect(p, "+c", "uus");
}

static void a_second_failure_in_front_of_the_first_is_dealt_with_in_the_same_restart(void **state)
{
        struct play play, *p = &play;

        (void)state;
        play_three(p, BT_GROUP_REST_FOR_ONE, 3);
        FAILS('b');
        expect(p, "-c", "udx");
        FAILS('a');
        expect(p, "", "ddx");
        STOPPED('c');
        expect(p, "+a", "sdd");
}

static void who_dies_while_it_is_stopped_is_not_counted(void **state)
{
        struct play play, *p = &play;

        (void)state;
        play_three(p, BT_GROUP_ONE_FOR_ALL, 1);
        FAILS('b');
        expect(p, "-c", "udx");
        FAILS('a'); /* before its turn */
        FAILS('c'); /* instead of as it was told */
        expect(p, "+a", "sdd");
        assert_int_equal(p->g.restarted, 1);
}

static void failed_restarts_count_and_the_last_one_is_the_end(void **state)
{
        struct play play, *p = &play;

        (void)state;
        play_three(p, BT_GROUP_REST_FOR_ONE, 2);
        FAILS('b');
        expect(p, "-c", "udx");
        STOPPED('c');
        expect(p, "+b", "usd");
        FAILS('b');
        expect(p, "+b", "usd");
        FAILS('b');
        expect(p, "-a", "xdd");
        assert_int_equal(p->g.culprit, 1);
        STOPPED('a');
        expect(p, "!failed", "ddd");
        say(p, BT_GROUP_EV_START, 0);
        expect(p, "+a", "sdd");
        assert_int_equal(p->g.restarted, 0);
}

static void restarts_older_than_max_seconds_do_not_count(void **state)
{
        struct play play, *p = &play;

        (void)state;
        play_three(p, BT_GROUP_ONE_FOR_ONE, 1);
        for (int i = 0; i < 5; i++) {
                p->now += 5 * S + 1;
                FAILS('a');
                expect(p, "+a", "suu");
                RUNS('a');
                expect(p, "", "uuu");
        }
        p->now += 5 * S;
        FAILS('a');
        expect(p, "-c", "dux");
}

static void
a_first_start_that_fails_stops_those_that_were_started_whatever_the_strategy(void **state)
{
        struct play play, *p = &play;

        (void)state;
        play_begin(p, 3, BT_GROUP_ONE_FOR_ONE, 1);
        say(p, BT_GROUP_EV_START, 0);
        expect(p, "+a", "sdd");
        RUNS('a');
        expect(p, "+b", "usd");
        RUNS('b');
        expect(p, "+c", "uus");
        FAILS('c');
        expect(p, "-b", "uxd");
        STOPPED('b');
        expect(p, "-a", "xdd");
        STOPPED('a');
        expect(p, "+a", "sdd");
        FAILS('a');
        expect(p, "!failed", "ddd");
}

static void temporary_members_come_back_with_the_group_alone(void **state)
{
        struct play play, *p = &play;

        (void)state;
        play_begin(p, 3, BT_GROUP_ONE_FOR_ALL, 3);
        p->members[0].restart = BT_GROUP_TEMPORARY;
        p->members[1].restart = BT_GROUP_TRANSIENT;
        say(p, BT_GROUP_EV_START, 0);
        expect(p, "+a", "sdd");
        RUNS('a');
        expect(p, "+b", "usd");
        RUNS('b');
        expect(p, "+c", "uus");
        RUNS('c');
        expect(p, "!up", "uuu");
        ENDS('b');
        expect(p, "", "ueu");
        FAILS('c');
        expect(p, "-a", "xed");
        STOPPED('a');
        expect(p, "+b", "esd");
        RUNS('b');
        expect(p, "+c", "eus");
        RUNS('c');
        expect(p, "!up", "euu");
        say(p, BT_GROUP_EV_STOP, 0);
        expect(p, "-c", "eux");
        STOPPED('c');
        expect(p, "-b", "exd");
        STOPPED('b');
        expect(p, "!down", "edd");
        say(p, BT_GROUP_EV_START, 0);
        expect(p, "+a", "sdd");
}

static void who_is_held_stays_down_and_is_missed_by_nobody(void **state)
{
        struct play play, *p = &play;

        (void)state;
        play_three(p, BT_GROUP_ONE_FOR_ALL, 3);
        say(p, BT_GROUP_EV_HOLD, 'b');
        FAILS('b'); /* its end, which somebody wanted */
        expect(p, "", "uhu");
        FAILS('a');
        expect(p, "-c", "dhx");
        STOPPED('c');
        expect(p, "+a", "shd");
        RUNS('a');
        expect(p, "+c", "uhs");
        RUNS('c');
        expect(p, "!up", "uhu");
        RUNS('b');
        expect(p, "", "uuu");
        say(p, BT_GROUP_EV_REMOVED, 'b');
        FAILS('a');
        expect(p, "-c", "dgx");
}

static void who_is_wanted_again_is_started_in_its_turn(void **state)
{
        struct play play, *p = &play;

        (void)state;
        play_three(p, BT_GROUP_ONE_FOR_ALL, 3);
        say(p, BT_GROUP_EV_HOLD, 'b');
        say(p, BT_GROUP_EV_RELEASE, 'b'); /* nothing is under way: whoever released it starts it */
        expect(p, "", "uhu");
        FAILS('a');
        expect(p, "-c", "dhx");
        say(p, BT_GROUP_EV_RELEASE, 'b');
        STOPPED('c');
        expect(p, "+a", "sdd");
        RUNS('a');
        expect(p, "+b", "usd");
        RUNS('b');
        expect(p, "+c", "uus");
}

static void members_of_one_rank_go_together(void **state)
{
        struct play play, *p = &play;

        (void)state;
        play_begin(p, 4, BT_GROUP_REST_FOR_ONE, 3);
        p->members[1].rank = p->members[2].rank = 1;
        p->members[3].rank = 2;
        say(p, BT_GROUP_EV_START, 0);
        expect(p, "+a", "sddd");
        RUNS('a');
        expect(p, "+b +c", "ussd");
        RUNS('c');
        expect(p, "", "usud");
        RUNS('b');
        expect(p, "+d", "uuus");
        RUNS('d');
        expect(p, "!up", "uuuu");
        FAILS('b'); /* its siblings go on */
        expect(p, "-d", "udux");
        STOPPED('d');
        expect(p, "+b", "usud");
        RUNS('b');
        expect(p, "+d", "uuus");
        RUNS('d');
        FAILS('a');
        expect(p, "-d", "duux");
        STOPPED('d');
        expect(p, "-c -b", "dxxd");
}

static void auto_shutdown_any_ends_with_the_first_significant_member(void **state)
{
        struct play play, *p = &play;

        (void)state;
        play_begin(p, 3, BT_GROUP_ONE_FOR_ONE, 3);
        p->g.config.auto_shutdown = BT_GROUP_AUTO_ANY;
        p->members[1].restart = p->members[2].restart = BT_GROUP_TRANSIENT;
        p->members[1].significant = true;
        say(p, BT_GROUP_EV_START, 0);
        for (int who = 'a'; who <= 'c'; who++) {
                act(p);
                RUNS((char)who);
        }
        expect(p, "!up", "uuu");
        ENDS('c');
        expect(p, "", "uue");
        FAILS('b');
        expect(p, "+b", "use");
        RUNS('b');
        ENDS('b');
        expect(p, "-a", "xee");
        STOPPED('a');
        expect(p, "!shut", "ddd");
}

static void auto_shutdown_all_waits_for_the_last_and_counts_no_end_but_their_own(void **state)
{
        struct play play, *p = &play;

        (void)state;
        play_begin(p, 3, BT_GROUP_ONE_FOR_ALL, 3);
        p->g.config.auto_shutdown = BT_GROUP_AUTO_ALL;
        p->members[0].restart = p->members[1].restart = BT_GROUP_TEMPORARY;
        p->members[0].significant = p->members[1].significant = true;
        say(p, BT_GROUP_EV_START, 0);
        for (int who = 'a'; who <= 'c'; who++) {
                act(p);
                RUNS((char)who);
        }
        expect(p, "!up", "uuu");
        ENDS('a');
        expect(p, "", "euu");
        FAILS('c'); /* b is stopped for it, and being temporary stays so: that is no end of its own */
        expect(p, "-b", "exd");
        STOPPED('b');
        expect(p, "+c", "ees");
        RUNS('c');
        expect(p, "!up", "eeu");
}

static void a_repair_from_outside_brings_the_group_back(void **state)
{
        struct play play, *p = &play;

        (void)state;
        play_three(p, BT_GROUP_REST_FOR_ONE, 0);
        FAILS('b');
        expect(p, "-c", "udx");
        STOPPED('c');
        expect(p, "-a", "xdd");
        STOPPED('a');
        expect(p, "!failed", "ddd");
        RUNS('b');
        expect(p, "+a", "sud");
        RUNS('a');
        expect(p, "+c", "uus");
}

static void what_was_found_running_is_left_running(void **state)
{
        struct play play, *p = &play;

        (void)state;
        play_begin(p, 3, BT_GROUP_ONE_FOR_ONE, 3);
        bt_group_found(&p->g, 0, true);
        bt_group_found(&p->g, 2, false);
        say(p, BT_GROUP_EV_START, 0);
        expect(p, "+b", "uss");
        FAILS('b');
        expect(p, "+b", "uss");
        RUNS('b');
        RUNS('c');
        expect(p, "!up", "uuu");
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(one_for_one_restarts_the_one),
                cmocka_unit_test(one_for_all_stops_in_reverse_order_and_starts_in_order),
                cmocka_unit_test(rest_for_one_restarts_it_and_those_behind_it),
                cmocka_unit_test(
                        a_second_failure_in_front_of_the_first_is_dealt_with_in_the_same_restart),
                cmocka_unit_test(who_dies_while_it_is_stopped_is_not_counted),
                cmocka_unit_test(failed_restarts_count_and_the_last_one_is_the_end),
                cmocka_unit_test(restarts_older_than_max_seconds_do_not_count),
                cmocka_unit_test(
                        a_first_start_that_fails_stops_those_that_were_started_whatever_the_strategy),
                cmocka_unit_test(temporary_members_come_back_with_the_group_alone),
                cmocka_unit_test(who_is_held_stays_down_and_is_missed_by_nobody),
                cmocka_unit_test(who_is_wanted_again_is_started_in_its_turn),
                cmocka_unit_test(members_of_one_rank_go_together),
                cmocka_unit_test(auto_shutdown_any_ends_with_the_first_significant_member),
                cmocka_unit_test(
                        auto_shutdown_all_waits_for_the_last_and_counts_no_end_but_their_own),
                cmocka_unit_test(a_repair_from_outside_brings_the_group_back),
                cmocka_unit_test(what_was_found_running_is_left_running),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
