/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Placement on the nodes of a running hub: where children are is compared with what the pure strategies say (supervisor/placement/), and who moved
 * with who was due. That moves keep states is shown in test_nodes.c.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "supervisor/placement/placement.h"
#include "tests/support/embedded.h"
#include "tests/support/placed.h"
#include "tests/support/text.h"

#define CHILDREN 24
#define NODES_MAX 3
#define OUT_BYTES (64u << 10)

static const char *const node_names[NODES_MAX] = {"blue", "green", "red"};

struct seen {
        uint32_t node[CHILDREN]; /* index in node_names */
        int pid[CHILDREN];
};

static void start(struct world *w, const char *distribution, const char *nodes)
{
        char yaml[1024];

        (void)snprintf(yaml, sizeof(yaml),
                       "hub: w\n"
                       "distribution: %s\n"
                       "nodes: {%s}\n"
                       "children:\n"
                       "  web: {exec: ['@bin@/child_pool'], instances: %d, strategy: hot, handover: true, state: blob}\n",
                       distribution, nodes, CHILDREN);
        world_start(w, yaml);
}

/* Where each child is, by `baton status --json`. */
static void look(const struct world *w, struct seen *ret)
{
        RUN(0, "", "status", "--json");
        for (uint32_t i = 0; i < CHILDREN; i++) {
                char head[64], node[64] = "";
                const char *line, *at;

                (void)snprintf(head, sizeof(head), "{\"child\":\"web/%u\",", i);
                line = strstr(said, head);
                assert_non_null(line);
                at = strstr(line, "\"node\":\"");
                assert_non_null(at);
                assert_int_equal(sscanf(at, "\"node\":\"%63[^\"]\"", node), 1);
                at = strstr(line, "\"pid\":");
                assert_non_null(at);
                ret->pid[i] = (int)strtol(at + 6, NULL, 10);
                for (ret->node[i] = 0; ret->node[i] < NODES_MAX && strcmp(node_names[ret->node[i]], node) != 0;)
                        ret->node[i]++;
                assert_true(ret->node[i] < NODES_MAX);
        }
}

static int count_on(const struct seen *seen, uint32_t node)
{
        int count = 0;

        for (uint32_t i = 0; i < CHILDREN; i++)
                count += seen->node[i] == node;
        return count;
}

/* What the strategy says about that many of the nodes, in an order of its own. */
static void ask(const char *strategy, uint32_t node_count, const uint32_t *weights, const struct seen *now, uint32_t *ret_node)
{
        static char ids[CHILDREN][16];
        struct bt_placement_node nodes[NODES_MAX];
        struct bt_placement_child children[CHILDREN];
        struct bt_placement p = {.nodes = nodes, .node_count = node_count, .children = children, .child_count = CHILDREN};
        char why[256];

        for (uint32_t i = 0; i < node_count; i++)
                nodes[i] = (struct bt_placement_node){.name = node_names[i], .weight = weights[i], .available = true};
        for (uint32_t i = 0; i < CHILDREN; i++) {
                (void)snprintf(ids[i], sizeof(ids[i]), "web/%u", i);
                children[i] = (struct bt_placement_child){.id = ids[i], .pool = "web", .current = now ? now->node[i] : BT_PLACEMENT_NOWHERE};
        }
        assert_int_equal(bt_place(bt_placement_find(strategy), &p, ret_node, why, sizeof(why)), 0);
}

static void expect_moves(const struct seen *before, const struct seen *after, const uint32_t *due)
{
        for (uint32_t i = 0; i < CHILDREN; i++) {
                assert_int_equal(after->node[i], due[i]);
                assert_int_equal(after->pid[i] == before->pid[i], after->node[i] == before->node[i]);
        }
}

static void joins_and_leaves_as(struct world *w, const char *strategy)
{
        static const uint32_t weights[NODES_MAX] = {1, 3, 2};
        struct seen before, joined, left;
        uint32_t due[CHILDREN];

        start(w, strategy, "blue: {weight: 1}, green: {weight: 3}");
        look(w, &before);
        ask(strategy, 2, weights, NULL, due);
        for (uint32_t i = 0; i < CHILDREN; i++)
                assert_int_equal(before.node[i], due[i]);
        RUN(0, "", "node", "add", "red", "--weight", "2");
        look(w, &joined);
        ask(strategy, 3, weights, &before, due);
        assert_true(count_on(&joined, 2) > 0);
        expect_moves(&before, &joined, due);
        RUN(0, "", "node", "remove", "red");
        look(w, &left);
        for (uint32_t i = 0; i < CHILDREN; i++) {
                assert_true(left.node[i] < 2);
                assert_int_equal(left.pid[i] == joined.pid[i], joined.node[i] < 2);
        }
        world_end(w);
}

static void DIST_1_consistent_hash_moves_on_a_running_hub_exactly_what_is_due(void **state)
{
        joins_and_leaves_as(*state, "consistent_hash");
}

static void DIST_1_round_robin_keeps_weights_on_a_running_hub_and_moves_only_to_and_from_the_node(void **state)
{
        joins_and_leaves_as(*state, "round_robin");
}

static void DIST_1_guided_children_are_where_the_map_says_and_go_to_their_second_wish(void **state)
{
        struct world *w = *state;
        struct seen seen;

        start(w, "{strategy: guided, map: {web: blue, web/3: [green, blue]}}", "blue: {}, green: {}");
        look(w, &seen);
        for (uint32_t i = 0; i < CHILDREN; i++)
                assert_int_equal(seen.node[i], i == 3);
        RUN(0, "", "node", "remove", "green"); /* its second wish */
        look(w, &seen);
        assert_int_equal(count_on(&seen, 0), CHILDREN);
        world_end(w);
}

static void DIST_1_least_loaded_spreads_children_over_nodes_that_have_as_little_to_do(void **state)
{
        struct world *w = *state;
        struct seen seen;

        start(w, "least_loaded", "blue: {}, green: {}");
        look(w, &seen);
        assert_int_equal(count_on(&seen, 0), CHILDREN / 2);
        RUN(0, "", "node", "remove", "green");
        look(w, &seen);
        assert_int_equal(count_on(&seen, 0), CHILDREN);
        world_end(w);
}

/* ---- a program that has the hub inside ---- */

/* Odd numbers belong on green, if it takes any; all others on local. */
static int parity(void *ctx, const struct baton_hub_place *place, uint32_t *ret_node)
{
        const int *mood = ctx;

        if (*mood < 0)
                return *mood;
        for (uint32_t i = 0; i < place->child_count; i++) {
                bool odd = strtoul(place->children[i].id + strlen("web/"), NULL, 10) % 2;

                assert_string_equal(place->children[i].pool, "web");
                for (uint32_t n = 0; n < place->node_count; n++) {
                        bool green = !strcmp(place->nodes[n].name, "green");

                        if (place->nodes[n].available && (green == odd || ret_node[i] == BATON_HUB_NOWHERE))
                                ret_node[i] = n;
                }
                if (*mood > 0)
                        ret_node[i] = place->node_count; /* there is no such node */
        }
        return 0;
}

static int forwarded(const struct embedded *t, const char *text)
{
        return text_times(t->events, text);
}

static void add_pool(const struct world *w, struct embedded *t, const char *const env[])
{
        struct baton_hub_child child;

        embedded_placed(w, &child, "web", env);
        child.instances = 6;
        assert_int_equal(baton_hub_add_child(t->hub, &child), 0);
}

static void DIST_1_a_program_with_the_hub_inside_has_a_strategy_of_its_own(void **state)
{
        static struct embedded t;
        struct world *w = *state;
        char at[128];
        const char *const env[] = {at, NULL};
        int mood = 0;
        pid_t pid;

        (void)snprintf(at, sizeof(at), "PLACED_AT=%s", w->dir);
        embedded_open(w, &t);
        assert_int_equal(baton_hub_distribute(t.hub, "round_robin", parity, &mood), -EINVAL); /* that is ours */
        assert_int_equal(baton_hub_distribute(t.hub, "parity", NULL, NULL), -EINVAL);
        assert_int_equal(baton_hub_distribute(t.hub, "two words", parity, &mood), -EINVAL);
        assert_int_equal(baton_hub_distribute(t.hub, "parity", parity, &mood), 0);
        add_pool(w, &t, env);
        embedded_start(&t);
        assert_int_equal(baton_hub_distribute(t.hub, "parity", parity, &mood), -EBUSY);

        pid = BEGIN("node", "add", "green");
        embedded_until_ended(&t, pid);
        assert_int_equal(forwarded(&t, "child_forwarded from local to green"), 3);
        for (int i = 1; i < 6; i += 2) {
                char event[64];

                (void)snprintf(event, sizeof(event), "web/%d child_forwarded from local to green", i);
                assert_int_equal(forwarded(&t, event), 1);
        }

        /* An answer that makes no sense, and one that is none: said, and nobody is moved by it. */
        mood = 1;
        pid = BEGIN("node", "add", "red");
        while (!world_has_ended(pid))
                (void)embedded_turn(&t, 1);
        assert_int_equal(world_wait(pid), 1);
        assert_non_null(strstr(t.said, "the strategy parity gives web/0 a node that takes nothing"));
        mood = -ENODATA;
        pid = BEGIN("node", "add", "gray");
        while (!world_has_ended(pid))
                (void)embedded_turn(&t, 1);
        assert_int_equal(world_wait(pid), 1);
        assert_non_null(strstr(t.said, "the strategy parity failed: "));
        assert_int_equal(forwarded(&t, "child_forwarded"), 3);

        mood = 0;
        pid = BEGIN("node", "remove", "green");
        embedded_until_ended(&t, pid);
        assert_int_equal(forwarded(&t, "child_forwarded from green to local") + forwarded(&t, "child_forwarded from green to red") +
                                 forwarded(&t, "child_forwarded from green to gray"),
                         3);
        embedded_stop(&t);
        world_end(w);
}

static void DIST_1_a_program_with_the_hub_inside_chooses_one_of_ours(void **state)
{
        static struct embedded t;
        struct world *w = *state;
        char at[128];
        const char *const env[] = {at, NULL};
        pid_t pid;

        (void)snprintf(at, sizeof(at), "PLACED_AT=%s", w->dir);
        embedded_open(w, &t);
        assert_int_equal(baton_hub_distribute(t.hub, "round_robin", NULL, NULL), 0);
        add_pool(w, &t, env);
        embedded_start(&t);
        pid = BEGIN("node", "add", "green");
        embedded_until_ended(&t, pid);
        assert_int_equal(forwarded(&t, "child_forwarded from local to green"), 3); /* half, to the last */
        embedded_stop(&t);
        world_end(w);
}

#define SCENARIO(f) cmocka_unit_test_setup_teardown(f, world_setup, world_teardown)

int main(void)
{
        const struct CMUnitTest tests[] = {
                SCENARIO(DIST_1_consistent_hash_moves_on_a_running_hub_exactly_what_is_due),
                SCENARIO(
                        DIST_1_round_robin_keeps_weights_on_a_running_hub_and_moves_only_to_and_from_the_node),
                SCENARIO(DIST_1_guided_children_are_where_the_map_says_and_go_to_their_second_wish),
                cmocka_unit_test_setup_teardown(
                        DIST_1_a_program_with_the_hub_inside_has_a_strategy_of_its_own, world_setup,
                        world_teardown),
                cmocka_unit_test_setup_teardown(
                        DIST_1_a_program_with_the_hub_inside_chooses_one_of_ours, world_setup,
                        world_teardown),
                SCENARIO(DIST_1_least_loaded_spreads_children_over_nodes_that_have_as_little_to_do),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
