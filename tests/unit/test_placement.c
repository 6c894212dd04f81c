/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Placement: each strategy on inputs that are written out, with the answer that is meant and the sentence for each error. What holds
 * for all inputs is in tests/property/test_placement_property.c.
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
#include "supervisor/placement/placement.h"

#define NOWHERE BT_PLACEMENT_NOWHERE
#define CHILDREN_MAX 16

static char why[256];
static uint32_t node_of[CHILDREN_MAX];

static int ask(const char *strategy, const struct bt_placement *p)
{
        const struct bt_placement_ops *ops = bt_placement_find(strategy);

        assert_non_null(ops);
        assert_true(p->child_count <= CHILDREN_MAX);
        memset(node_of, 0xee, sizeof(node_of));
        why[0] = '\0';
        return bt_place(ops, p, node_of, why, sizeof(why));
}

/* "blue green blue" */
static void expect(const struct bt_placement *p, const char *names)
{
        char text[CHILDREN_MAX * 16] = "";

        for (uint32_t i = 0; i < p->child_count; i++) {
                size_t used = strlen(text);

                (void)snprintf(text + used, sizeof(text) - used, "%s%s", i ? " " : "", p->nodes[node_of[i]].name);
        }
        assert_string_equal(text, names);
}

static const struct bt_placement_node two[] = {{.name = "blue", .weight = 1, .available = true}, {.name = "green", .weight = 1, .available = true}};
static const struct bt_placement_node half[] = {{.name = "blue", .weight = 1, .available = true}, {.name = "green", .weight = 1, .available = false}};

static const struct bt_placement_child four_new[] = {
        {"web/0", "web", NOWHERE}, {"web/1", "web", NOWHERE}, {"web/2", "web", NOWHERE}, {"web/3", "web", NOWHERE}};
static const struct bt_placement_child four_blue[] = {{"web/0", "web", 0}, {"web/1", "web", 0}, {"web/2", "web", 0}, {"web/3", "web", 0}};

#define PLACEMENT(n, c) {.nodes = (n), .node_count = BT_ARRAY_LEN(n), .children = (c), .child_count = BT_ARRAY_LEN(c)}

/* ---- what all have in common ---- */

static void a_name_that_is_no_strategy_finds_none(void **state)
{
        (void)state;
        assert_null(bt_placement_find("random"));
        assert_null(bt_placement_find(""));
}

static void DIST_1_without_a_node_that_takes_children_each_strategy_says_so(void **state)
{
        static const char *const names[] = {"consistent_hash", "guided", "least_loaded", "round_robin"};
        static const struct bt_placement_node none[] = {{.name = "blue", .weight = 1, .available = false}};
        struct bt_placement p = PLACEMENT(none, four_blue), empty = {0};

        (void)state;
        for (size_t i = 0; i < BT_ARRAY_LEN(names); i++) {
                assert_int_equal(ask(names[i], &p), BT_PLACEMENT_E_NO_NODE);
                assert_string_equal(why, "no node takes children: all of them are leaving");
                assert_int_equal(ask(names[i], &empty), 0); /* nothing to place */
        }
}

static void DIST_1_a_node_of_weight_0_gets_children_by_a_map_alone(void **state)
{
        static const struct bt_placement_node nodes[] = {{.name = "blue", .weight = 0, .available = true}};
        static const struct bt_placement_entry map[] = {{"web", "blue"}};
        struct bt_placement p = PLACEMENT(nodes, four_new);

        (void)state;
        assert_int_equal(ask("consistent_hash", &p), BT_PLACEMENT_E_NO_NODE);
        assert_int_equal(ask("round_robin", &p), BT_PLACEMENT_E_NO_NODE);
        assert_int_equal(ask("least_loaded", &p), BT_PLACEMENT_E_NO_NODE);
        assert_string_equal(why, "no node with a weight above 0 takes children");
        p.entries = map;
        p.entry_count = 1;
        assert_int_equal(ask("guided", &p), 0);
        expect(&p, "blue blue blue blue");
}

static int last_letter(const struct bt_placement *p, uint32_t *ret_node, char *ret_why, size_t why_bytes)
{
        assert_true(why_bytes > 0);
        ret_why[0] = '\0';
        for (uint32_t i = 0; i < p->child_count; i++)
                ret_node[i] = (uint32_t)(p->children[i].id[strlen(p->children[i].id) - 1] - '0') % 2;
        return 0;
}

static const struct bt_placement_ops own = {.name = "last_letter", .place = last_letter};

static void DIST_1_a_strategy_of_ones_own_goes_through_the_same_interface_and_is_checked(void **state)
{
        struct bt_placement p = PLACEMENT(two, four_new), q = PLACEMENT(half, four_new);

        (void)state;
        assert_int_equal(bt_place(&own, &p, node_of, why, sizeof(why)), 0);
        expect(&p, "blue green blue green");
        assert_int_equal(bt_place(&own, &q, node_of, why, sizeof(why)), BT_PLACEMENT_E_BROKEN);
        assert_string_equal(why, "the strategy last_letter gives web/1 a node that takes nothing");
}

/* ---- consistent_hash ---- */

/* A change of the hash would move the children of every hub at its next start: these answers stay. */
static void DIST_1_consistent_hash_gives_the_same_names_the_same_places_for_ever(void **state)
{
        static const struct bt_placement_node nodes[] = {{.name = "blue", .weight = 1, .available = true},
                                                         {.name = "green", .weight = 1, .available = true},
                                                         {.name = "red", .weight = 2, .available = true}};
        static const struct bt_placement_child children[] = {{"web/0", "web", 0}, {"web/1", "web", 1},       {"web/2", "web", NOWHERE},
                                                             {"web/3", "web", 2}, {"kv", "kv", NOWHERE},     {"x", "x", NOWHERE},
                                                             {"", "", NOWHERE},   {"caf\xc3\xa9", "c", NOWHERE}};
        struct bt_placement p = PLACEMENT(nodes, children);

        (void)state;
        assert_int_equal(ask("consistent_hash", &p), 0);
        expect(&p, "blue green red red green green red blue");
}

/* ---- round_robin ---- */

static void DIST_1_round_robin_deals_in_turn(void **state)
{
        struct bt_placement p = PLACEMENT(two, four_new);

        (void)state;
        assert_int_equal(ask("round_robin", &p), 0);
        expect(&p, "blue green blue green");
}

static void DIST_1_round_robin_gives_a_heavy_node_as_many_turns_as_it_weighs(void **state)
{
        static const struct bt_placement_node nodes[] = {{.name = "blue", .weight = 3, .available = true},
                                                         {.name = "green", .weight = 1, .available = true}};
        struct bt_placement p = PLACEMENT(nodes, four_new);

        (void)state;
        assert_int_equal(ask("round_robin", &p), 0);
        expect(&p, "blue blue green blue");
}

static void DIST_1_round_robin_moves_what_is_above_a_nodes_share_and_nothing_else(void **state)
{
        static const struct bt_placement_child three_one[] = {{"web/0", "web", 0}, {"web/1", "web", 0}, {"web/2", "web", 1}, {"web/3", "web", 0}};
        struct bt_placement p = PLACEMENT(two, four_blue), q = PLACEMENT(two, three_one), left = PLACEMENT(half, three_one);

        (void)state;
        assert_int_equal(ask("round_robin", &p), 0);
        expect(&p, "blue blue green green");
        assert_int_equal(ask("round_robin", &q), 0);
        expect(&q, "blue blue green green");
        assert_int_equal(ask("round_robin", &left), 0);
        expect(&left, "blue blue blue blue");
}

/* ---- guided ---- */

static void DIST_1_guided_an_id_goes_before_its_pool_and_wishes_are_taken_in_order(void **state)
{
        static const struct bt_placement_entry map[] = {{"web", "green"}, {"web/2", "blue"}, {"web", "blue"}};
        struct bt_placement p = PLACEMENT(two, four_new), q = PLACEMENT(half, four_new);

        (void)state;
        p.entries = q.entries = map;
        p.entry_count = q.entry_count = BT_ARRAY_LEN(map);
        assert_int_equal(ask("guided", &p), 0);
        expect(&p, "green green blue green");
        assert_int_equal(ask("guided", &q), 0); /* green takes nothing: the second wish */
        expect(&q, "blue blue blue blue");
}

static void DIST_1_guided_names_what_is_missing_invalid_or_does_not_match(void **state)
{
        static const struct {
                struct bt_placement_entry map[5];
                int result;
                const char *why;
        } rows[] = {
                {{{"web/0", "blue"}, {"web/1", "blue"}, {"web/3", "blue"}}, BT_PLACEMENT_E_MISSING, "the map has no entry for web/2, nor for its pool"},
                {{{"web", "blue"}, {"web/1", "gren"}}, BT_PLACEMENT_E_INVALID, "the map sends web/1 to 'gren', and there is no such node"},
                {{{"web", "blue"}, {"web/1", "green"}}, BT_PLACEMENT_E_INVALID,
                 "the map sends web/1 to 'green', which takes nothing: give it one more node"},
                {{{"web", "blue"}, {"wbe", "blue"}}, BT_PLACEMENT_E_MISMATCH, "the map has an entry for 'wbe', and there is no such child or pool"},
                {{{"web", "blue"}, {"web/4", "blue"}}, BT_PLACEMENT_E_MISMATCH,
                 "the map has an entry for 'web/4', and there is no such child or pool"},
        };

        (void)state;
        for (size_t i = 0; i < BT_ARRAY_LEN(rows); i++) {
                struct bt_placement p = PLACEMENT(half, four_new);

                p.entries = rows[i].map;
                while (rows[i].map[p.entry_count].key)
                        p.entry_count++;
                assert_int_equal(ask("guided", &p), rows[i].result);
                assert_string_equal(why, rows[i].why);
        }
}

static void DIST_1_guided_a_pools_entry_is_used_also_when_each_child_has_its_own(void **state)
{
        static const struct bt_placement_entry map[] = {{"web", "blue"},  {"web/0", "green"}, {"web/1", "green"},
                                                        {"web/2", "blue"}, {"web/3", "green"}};
        struct bt_placement p = PLACEMENT(two, four_new);

        (void)state;
        p.entries = map;
        p.entry_count = BT_ARRAY_LEN(map);
        assert_int_equal(ask("guided", &p), 0);
        expect(&p, "green green blue green");
}

/* ---- least_loaded ---- */

static void DIST_1_least_loaded_gives_a_new_child_to_the_node_with_least_to_do(void **state)
{
        static const struct {
                struct bt_load blue, green;
                const char *where;
        } rows[] = {
                {{.cpu = 0.30}, {.cpu = 0.35}, "blue"},
                {{.cpu = 0.35}, {.cpu = 0.30}, "green"},
                {{.memory = 0.50}, {.memory = 0.40}, "green"},
                {{.run_queue = 0.2}, {.run_queue = 0}, "green"},
                {{.cpu = 0.30, .memory = 0.1}, {.cpu = 0.20, .memory = 0.3}, "blue"}, /* 0.15 and 0.17 */
                {{.cpu = 0}, {.cpu = 0}, "blue"},                                                /* by name */
                {{.cpu = 0.9}, {.cpu = -7}, "green"},                                 /* no figure: 0 */
        };
        static const struct bt_placement_child child[] = {{"web/0", "web", NOWHERE}};

        (void)state;
        for (size_t i = 0; i < BT_ARRAY_LEN(rows); i++) {
                struct bt_placement_node nodes[2] = {two[0], two[1]};
                struct bt_placement p = PLACEMENT(nodes, child);

                nodes[0].load = rows[i].blue;
                nodes[1].load = rows[i].green;
                assert_int_equal(ask("least_loaded", &p), 0);
                expect(&p, rows[i].where);
        }
}

static void DIST_1_least_loaded_counts_what_it_has_just_placed(void **state)
{
        struct bt_placement p = PLACEMENT(two, four_new);

        (void)state;
        assert_int_equal(ask("least_loaded", &p), 0);
        expect(&p, "blue green blue green");
}

static void DIST_1_least_loaded_moves_what_runs_only_when_it_pays(void **state)
{
        static const struct bt_placement_child even[] = {{"web/0", "web", 0}, {"web/1", "web", 0}, {"web/2", "web", 1}, {"web/3", "web", 1}};
        struct bt_placement_node nodes[2] = {two[0], two[1]};
        struct bt_placement p = PLACEMENT(nodes, even), joined = PLACEMENT(nodes, four_blue);

        (void)state;
        nodes[0].load.cpu = 0.6;
        nodes[1].load.cpu = 0.4;
        assert_int_equal(ask("least_loaded", &p), 0);
        expect(&p, "blue blue green green"); /* 0.08 apart: nothing */
        nodes[0].load.cpu = 0.9;
        nodes[1].load.cpu = 0.1;
        assert_int_equal(ask("least_loaded", &p), 0);
        expect(&p, "blue green green green"); /* 0.32 apart, a child is 0.15 of it */
        nodes[1].load.cpu = 0;
        assert_int_equal(ask("least_loaded", &joined), 0);
        expect(&joined, "blue blue green green"); /* a node that joined, idle and empty */
}

/* ---- decay ---- */

static void DIST_1_loads_decay_by_half_in_each_half_life_whatever_the_interval(void **state)
{
        const struct bt_load nothing = {0}, busy = {.cpu = 1, .memory = 0.5, .run_queue = 4};
        struct bt_load seldom = {0}, often;

        (void)state;
        bt_load_add(&seldom, &busy, BT_NS_NEVER, BT_NS_PER_S);
        assert_true(seldom.cpu == 1 && seldom.memory == 0.5 && seldom.run_queue == 4);
        often = seldom;
        bt_load_add(&seldom, &nothing, 2 * BT_NS_PER_S, BT_NS_PER_S);
        for (int i = 0; i < 200; i++)
                bt_load_add(&often, &nothing, BT_NS_PER_S / 100, BT_NS_PER_S);
        assert_true(seldom.cpu > 0.2499 && seldom.cpu < 0.2501);
        assert_true(often.cpu > 0.2498 && often.cpu < 0.2502);
        assert_true(often.run_queue > 0.998 && often.run_queue < 1.002);
        bt_load_add(&often, &busy, 1000 * BT_NS_PER_S, BT_NS_PER_S);
        assert_true(often.cpu > 0.9999);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(a_name_that_is_no_strategy_finds_none),
                cmocka_unit_test(DIST_1_without_a_node_that_takes_children_each_strategy_says_so),
                cmocka_unit_test(DIST_1_a_node_of_weight_0_gets_children_by_a_map_alone),
                cmocka_unit_test(DIST_1_a_strategy_of_ones_own_goes_through_the_same_interface_and_is_checked),
                cmocka_unit_test(DIST_1_consistent_hash_gives_the_same_names_the_same_places_for_ever),
                cmocka_unit_test(DIST_1_round_robin_deals_in_turn),
                cmocka_unit_test(DIST_1_round_robin_gives_a_heavy_node_as_many_turns_as_it_weighs),
                cmocka_unit_test(DIST_1_round_robin_moves_what_is_above_a_nodes_share_and_nothing_else),
                cmocka_unit_test(DIST_1_guided_an_id_goes_before_its_pool_and_wishes_are_taken_in_order),
                cmocka_unit_test(DIST_1_guided_names_what_is_missing_invalid_or_does_not_match),
                cmocka_unit_test(DIST_1_guided_a_pools_entry_is_used_also_when_each_child_has_its_own),
                cmocka_unit_test(DIST_1_least_loaded_gives_a_new_child_to_the_node_with_least_to_do),
                cmocka_unit_test(DIST_1_least_loaded_counts_what_it_has_just_placed),
                cmocka_unit_test(DIST_1_least_loaded_moves_what_runs_only_when_it_pays),
                cmocka_unit_test(DIST_1_loads_decay_by_half_in_each_half_life_whatever_the_interval),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
