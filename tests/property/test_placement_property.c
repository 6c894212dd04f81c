/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What holds for any nodes and children: random ones, with random weights, and each join and leave of them.
 *
 * Shares are tested with 20000 children. The count on a node with the share p is binomial, with a standard deviation of sqrt(n p (1 -
 * p)); five of them are passed once in two million draws.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "supervisor/placement/placement.h"
#include "tests/support/seed.h"

#define NODES_MAX 12
#define CHILDREN_MAX 300
#define MANY 20000

static const char *const strategies[] = {"consistent_hash", "round_robin", "least_loaded"};

struct set {
        char node_names[NODES_MAX][24];
        char ids[CHILDREN_MAX][16];
        struct bt_placement_node nodes[NODES_MAX];
        struct bt_placement_child children[CHILDREN_MAX];
        struct bt_placement p;
};

static void set_init(struct set *set, struct seed *seed)
{
        *set = (struct set){.p = {.nodes = set->nodes, .children = set->children}};
        set->p.node_count = 2 + (uint32_t)seed_below(seed, NODES_MAX - 1);
        set->p.child_count = (uint32_t)seed_below(seed, CHILDREN_MAX + 1);
        for (uint32_t i = 0; i < set->p.node_count; i++) {
                (void)snprintf(set->node_names[i], sizeof(set->node_names[i]), "n%u-%x", i, (unsigned)seed_below(seed, 1 << 20));
                set->nodes[i] = (struct bt_placement_node){.name = set->node_names[i],
                                                           .weight = 1 + (uint32_t)seed_below(seed, seed_below(seed, 2) ? 3 : 100),
                                                           .available = true};
                set->nodes[i].load.cpu = (double)seed_below(seed, 101) / 100;
                set->nodes[i].load.memory = (double)seed_below(seed, 101) / 100;
        }
        for (uint32_t i = 0; i < set->p.child_count; i++) {
                (void)snprintf(set->ids[i], sizeof(set->ids[i]), "web/%u", i);
                set->children[i] = (struct bt_placement_child){.id = set->ids[i], .pool = "web", .current = BT_PLACEMENT_NOWHERE};
        }
}

static void ask(const char *strategy, const struct bt_placement *p, uint32_t *ret_node)
{
        char why[256] = "";

        if (bt_place(bt_placement_find(strategy), p, ret_node, why, sizeof(why)))
                fail_msg("%s: %s", strategy, why);
}

/* They are where the strategy put them. */
static void settle(struct set *set, const uint32_t *node_of)
{
        for (uint32_t i = 0; i < set->p.child_count; i++)
                set->children[i].current = node_of[i];
}

static void DIST_1_a_leave_moves_the_children_of_the_node_that_leaves_and_a_join_brings_the_same_ones_back(void **state)
{
        struct seed seed = seed_new();
        uint32_t before[CHILDREN_MAX], during[CHILDREN_MAX], after[CHILDREN_MAX];

        (void)state;
        for (uint64_t round = 0; round < seed_rounds(400); round++) {
                struct set set;
                uint32_t leaving;

                set_init(&set, &seed);
                leaving = (uint32_t)seed_below(&seed, set.p.node_count);
                ask("consistent_hash", &set.p, before);
                set.nodes[leaving].available = false;
                ask("consistent_hash", &set.p, during);
                set.nodes[leaving].available = true;
                ask("consistent_hash", &set.p, after);
                for (uint32_t i = 0; i < set.p.child_count; i++) {
                        if (before[i] != leaving)
                                assert_int_equal(during[i], before[i]);
                        assert_int_not_equal(during[i], leaving);
                        assert_int_equal(after[i], before[i]);
                }
        }
}

/* Of that node alone: heavier, it takes from any; lighter, it gives to any; between the others nothing moves. */
static void DIST_1_a_change_of_one_weight_moves_children_only_to_or_from_that_node(void **state)
{
        struct seed seed = seed_new();
        uint32_t before[CHILDREN_MAX], after[CHILDREN_MAX];

        (void)state;
        for (uint64_t round = 0; round < seed_rounds(400); round++) {
                struct set set;
                uint32_t changed, weight;

                set_init(&set, &seed);
                changed = (uint32_t)seed_below(&seed, set.p.node_count);
                weight = set.nodes[changed].weight;
                ask("consistent_hash", &set.p, before);
                set.nodes[changed].weight = 1 + (uint32_t)seed_below(&seed, 200);
                ask("consistent_hash", &set.p, after);
                for (uint32_t i = 0; i < set.p.child_count; i++) {
                        if (after[i] == before[i])
                                continue;
                        assert_int_equal(set.nodes[changed].weight > weight ? after[i] : before[i], changed);
                }
        }
}

static void DIST_1_shares_are_the_weights(void **state)
{
        static const uint32_t weights[] = {1, 2, 3, 10};
        static char names[BT_ARRAY_LEN(weights)][24], ids[MANY][24];
        static struct bt_placement_child children[MANY];
        static uint32_t node_of[MANY];
        struct bt_placement_node nodes[BT_ARRAY_LEN(weights)];
        struct bt_placement p = {.nodes = nodes, .node_count = BT_ARRAY_LEN(weights), .children = children, .child_count = MANY};
        uint32_t counts[BT_ARRAY_LEN(weights)] = {0};
        struct seed seed = seed_new();

        (void)state;
        for (uint32_t i = 0; i < BT_ARRAY_LEN(weights); i++) {
                (void)snprintf(names[i], sizeof(names[i]), "n%llx", (unsigned long long)seed_next(&seed));
                nodes[i] = (struct bt_placement_node){.name = names[i], .weight = weights[i], .available = true};
        }
        for (uint32_t i = 0; i < MANY; i++) {
                (void)snprintf(ids[i], sizeof(ids[i]), "c%llx", (unsigned long long)seed_next(&seed));
                children[i] = (struct bt_placement_child){.id = ids[i], .pool = "c", .current = BT_PLACEMENT_NOWHERE};
        }
        ask("consistent_hash", &p, node_of);
        for (uint32_t i = 0; i < MANY; i++)
                counts[node_of[i]]++;
        for (uint32_t i = 0; i < BT_ARRAY_LEN(weights); i++) {
                double share = weights[i] / 16.0, expected = MANY * share;

                print_message("weight %u: %u of %d, expected %.0f\n", weights[i], counts[i], MANY, expected);
                assert_true(fabs(counts[i] - expected) < 5 * sqrt(expected * (1 - share)));
        }
        ask("round_robin", &p, node_of);
        memset(counts, 0, sizeof(counts));
        for (uint32_t i = 0; i < MANY; i++)
                counts[node_of[i]]++;
        for (uint32_t i = 0; i < BT_ARRAY_LEN(weights); i++)
                assert_int_equal(counts[i], MANY * weights[i] / 16);
}

static void DIST_1_the_order_of_the_nodes_does_not_matter(void **state)
{
        struct seed seed = seed_new();
        uint32_t straight[CHILDREN_MAX], shuffled[CHILDREN_MAX];

        (void)state;
        for (uint64_t round = 0; round < seed_rounds(300); round++) {
                struct set set, other;
                uint32_t place_of[NODES_MAX];

                set_init(&set, &seed);
                ask(strategies[seed_below(&seed, 3)], &set.p, straight);
                if (seed_below(&seed, 2))
                        settle(&set, straight);
                set.nodes[seed_below(&seed, set.p.node_count)].available = false;
                other = set;
                other.p.nodes = other.nodes;
                other.p.children = other.children;
                for (uint32_t i = 0; i < set.p.node_count; i++)
                        place_of[i] = i;
                for (uint32_t i = set.p.node_count - 1; i; i--) {
                        uint32_t k = (uint32_t)seed_below(&seed, i + 1), t = place_of[i];

                        place_of[i] = place_of[k];
                        place_of[k] = t;
                }
                for (uint32_t i = 0; i < set.p.node_count; i++)
                        other.nodes[place_of[i]] = set.nodes[i];
                for (uint32_t i = 0; i < set.p.child_count; i++) {
                        if (set.children[i].current != BT_PLACEMENT_NOWHERE)
                                other.children[i].current = place_of[set.children[i].current];
                }
                for (size_t s = 0; s < BT_ARRAY_LEN(strategies); s++) {
                        ask(strategies[s], &set.p, straight);
                        ask(strategies[s], &other.p, shuffled);
                        for (uint32_t i = 0; i < set.p.child_count; i++)
                                assert_ptr_equal(set.nodes[straight[i]].name, other.nodes[shuffled[i]].name);
                }
        }
}

static void DIST_1_round_robin_a_join_moves_only_to_the_new_node_and_a_leave_only_from_the_old(void **state)
{
        struct seed seed = seed_new();
        uint32_t before[CHILDREN_MAX], after[CHILDREN_MAX];

        (void)state;
        for (uint64_t round = 0; round < seed_rounds(400); round++) {
                struct set set;
                uint32_t node;

                set_init(&set, &seed);
                node = (uint32_t)seed_below(&seed, set.p.node_count);
                ask("round_robin", &set.p, before);
                settle(&set, before);
                set.nodes[node].available = false;
                ask("round_robin", &set.p, after);
                for (uint32_t i = 0; i < set.p.child_count; i++)
                        assert_true(before[i] == node || after[i] == before[i]);
                settle(&set, after);
                set.nodes[node].available = true;
                ask("round_robin", &set.p, before);
                for (uint32_t i = 0; i < set.p.child_count; i++)
                        assert_true(before[i] == after[i] || before[i] == node);
        }
}

/* A plan that is asked for again, with the loads as they were, moves nothing: else children would wander for ever. */
static void DIST_1_what_was_placed_stays_when_nothing_changes(void **state)
{
        struct seed seed = seed_new();
        uint32_t before[CHILDREN_MAX], after[CHILDREN_MAX];

        (void)state;
        for (uint64_t round = 0; round < seed_rounds(300); round++) {
                const char *strategy = strategies[round % BT_ARRAY_LEN(strategies)];
                struct set set;
                double load = (double)seed_below(&seed, 101) / 100;

                set_init(&set, &seed);
                for (uint32_t i = 0; i < set.p.node_count; i++)
                        set.nodes[i].load = (struct bt_load){.cpu = load, .memory = load}; /* as they are once what was placed has settled */
                ask(strategy, &set.p, before);
                settle(&set, before);
                ask(strategy, &set.p, after);
                assert_memory_equal(before, after, set.p.child_count * sizeof(before[0]));
        }
}

/* Nobody who leaves keeps a child, whatever the figures say, and no child is moved from a node that is as idle as any. */
static void DIST_1_least_loaded_empties_a_node_that_leaves_and_ends(void **state)
{
        static const double figures[] = {0, 0.5, 1, 2, -1, 1e300, NAN, INFINITY};
        struct seed seed = seed_new();
        uint32_t node_of[CHILDREN_MAX];

        (void)state;
        for (uint64_t round = 0; round < seed_rounds(400); round++) {
                struct set set;
                uint32_t leaving;

                set_init(&set, &seed);
                leaving = (uint32_t)seed_below(&seed, set.p.node_count);
                set.nodes[leaving].available = false;
                for (uint32_t i = 0; i < set.p.node_count; i++)
                        set.nodes[i].load = (struct bt_load){figures[seed_below(&seed, 8)], figures[seed_below(&seed, 8)],
                                                             figures[seed_below(&seed, 8)]};
                for (uint32_t i = 0; i < set.p.child_count; i++)
                        set.children[i].current = (uint32_t)seed_below(&seed, set.p.node_count + 1);
                ask("least_loaded", &set.p, node_of); /* bt_place() checks that none is on the leaving node */
        }
}

/* ---- replicas ---- */

static void places_of(const struct set *set, uint32_t child, uint32_t count, uint32_t *ret_nodes, uint32_t *ret_count)
{
        struct bt_placement one = {
                .nodes = set->nodes, .node_count = set->p.node_count, .children = &set->children[child], .child_count = 1};

        assert_int_equal(bt_place_replicas(&bt_placement_consistent_hash, &one, count, ret_nodes, ret_count), 0);
}

static bool has(const uint32_t *nodes, uint32_t count, uint32_t node)
{
        for (uint32_t i = 0; i < count; i++) {
                if (nodes[i] == node)
                        return true;
        }
        return false;
}

/* As many as there are, at most; each on a node of its own that takes any; the first is where the child would be without replication. */
static void check_places(const struct set *set, uint32_t child, uint32_t want, const uint32_t *nodes, uint32_t count)
{
        uint32_t available = 0;
        char why[256];

        for (uint32_t i = 0; i < set->p.node_count; i++)
                available += bt_placement_takes(&set->nodes[i]);
        assert_int_equal(count, want < available ? want : available);
        for (uint32_t i = 0; i < count; i++) {
                assert_true(bt_placement_takes(&set->nodes[nodes[i]]));
                assert_false(has(nodes, i, nodes[i]));
        }
        if (count) {
                struct bt_placement one = {
                        .nodes = set->nodes, .node_count = set->p.node_count, .children = &set->children[child], .child_count = 1};
                uint32_t single;

                assert_int_equal(bt_place(&bt_placement_consistent_hash, &one, &single, why, sizeof(why)), 0);
                assert_int_equal(nodes[0], single);
        }
}

static void REDUN_1_a_leave_changes_only_what_was_there_and_a_join_only_what_is_due_to_it(void **state)
{
        struct seed seed = seed_new();

        (void)state;
        for (uint64_t round = 0; round < seed_rounds(200); round++) {
                struct set set;
                uint32_t leaving;

                set_init(&set, &seed);
                leaving = (uint32_t)seed_below(&seed, set.p.node_count);
                for (uint32_t c = 0; c < set.p.child_count && c < 20; c++) {
                        uint32_t with[NODES_MAX], without[NODES_MAX], count, fewer;
                        uint32_t want = seed_below(&seed, 5) ? 1 + (uint32_t)seed_below(&seed, NODES_MAX) : UINT32_MAX;
                        uint32_t gone = 0, come = 0;

                        set.nodes[leaving].available = true;
                        places_of(&set, c, want, with, &count);
                        check_places(&set, c, want, with, count);
                        set.nodes[leaving].available = false;
                        places_of(&set, c, want, without, &fewer);
                        check_places(&set, c, want, without, fewer);
                        set.nodes[leaving].available = true;

                        for (uint32_t i = 0; i < count; i++)
                                gone += !has(without, fewer, with[i]);
                        for (uint32_t i = 0; i < fewer; i++)
                                come += !has(with, count, without[i]);
                        /* Read one way it is a leave, the other way a join. */
                        assert_int_equal(gone, has(with, count, leaving));
                        assert_int_equal(come, gone && fewer == count);
                }
        }
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(DIST_1_a_leave_moves_the_children_of_the_node_that_leaves_and_a_join_brings_the_same_ones_back),
                cmocka_unit_test(DIST_1_a_change_of_one_weight_moves_children_only_to_or_from_that_node),
                cmocka_unit_test(DIST_1_shares_are_the_weights),
                cmocka_unit_test(DIST_1_the_order_of_the_nodes_does_not_matter),
                cmocka_unit_test(DIST_1_round_robin_a_join_moves_only_to_the_new_node_and_a_leave_only_from_the_old),
                cmocka_unit_test(DIST_1_what_was_placed_stays_when_nothing_changes),
                cmocka_unit_test(DIST_1_least_loaded_empties_a_node_that_leaves_and_ends),
                cmocka_unit_test(REDUN_1_a_leave_changes_only_what_was_there_and_a_join_only_what_is_due_to_it),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
