/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who sends what to whom when several nodes join and one leaves in the same moment. Each child prints the count that it gives away and the one that it takes
 * over (child_placed.c), so the hub's log is the list of all hand-overs: one sender and one receiver a child, of the same count, and the child goes on from
 * there, on the node that the hub says it went to.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/support/placed.h"

#define MANY (WORLD_SLOWNESS == 1 ? 60 : 20)

static char text[1 << 20];

/* What web/@i printed after "@what ": the number; fails unless it did so once. */
static int said_once(int i, const char *what)
{
        char line[64];
        const char *at;

        (void)snprintf(line, sizeof(line), "web/%d | %s ", i, what);
        at = strstr(text, line);
        if (!at || strstr(at + 1, line)) {
                fail_msg("web/%d %s its state %s", i, what, at ? "twice" : "to nobody");
                return 0; /* for the analyzer: fail_msg() does not */
        }
        return (int)strtol(at + strlen(line), NULL, 10);
}

/* Where the event stream says that web/@i went; fails unless it went once. */
static void forwarded(const char *events, int i, char node[32])
{
        static const char from[] = "from blue to ";
        char child[64];
        int times = 0;

        (void)snprintf(child, sizeof(child), "\"child\":\"web/%d\"", i);
        for (const char *line = events; line && *line; line = strchr(line, '\n') ? strchr(line, '\n') + 1 : NULL) {
                const char *end = strchr(line, '\n'), *at = strstr(line, "\"child_forwarded\""), *id = strstr(line, child), *to = strstr(line, from);

                if (!end || !at || at > end || !id || id > end || !to || to > end)
                        continue;
                times++;
                (void)snprintf(node, 32, "%.*s", (int)strcspn(to + strlen(from), "\""), to + strlen(from));
        }
        if (times != 1)
                fail_msg("web/%d was forwarded %d times", i, times);
}

static void hand_over(struct world *w, const char *strategy)
{
        int counts[60], there[3] = {0};
        struct placed answer;
        pid_t commands[3];
        char yaml[1024];

        (void)snprintf(yaml, sizeof(yaml),
                       "hub: w\nmax_parallel: 8\nnodes: {blue: {env: {NODE: blue}}}\n"
                       /* A hand-over that is called off by a limit is made again, and then there are two of one child: not what is asked here. */
                       "defaults: {child_migration_timeout: 60s, handover_data_wait: 60s, state_query_timeout: 60s, handover: true, state: {form: blob, max: 4KiB}, env: {PLACED_AT: '@dir@', PLACED_SAY: 1}}\n"
                       "children:\n  web: {exec: ['@bin@/child_placed'], instances: %d, strategy: %s}\n",
                       MANY, strategy);
        world_start(w, yaml);
        for (int i = 0; i < MANY; i++) {
                for (int k = 0; k <= i % 7; k++) /* each has a count of its own */
                        placed_ask(w, placed_id(i), &answer);
                counts[i] = answer.count;
                assert_string_equal(answer.node, "blue");
        }
        commands[0] = BEGIN_INTO("green", "node", "add", "green", "--env", "NODE=green");
        commands[1] = BEGIN_INTO("red", "node", "add", "red", "--env", "NODE=red");
        commands[2] = BEGIN_INTO("yellow", "node", "add", "yellow", "--env", "NODE=yellow");
        for (int i = 0; i < 3; i++)
                assert_int_equal(world_wait(commands[i]), 0);
        RUN(0, "", "node", "remove", "blue");
        RUN(0, "", "events", "--json");
        world_read(w, "hub.log", text, sizeof(text));

        for (int i = 0; i < MANY; i++) {
                static const char *const names[] = {"green", "red", "yellow"};
                char went[32] = "";
                int gave = said_once(i, "gave"), took = said_once(i, "took");

                assert_int_equal(gave, counts[i]);
                assert_int_equal(took, gave);
                placed_ask(w, placed_id(i), &answer);
                assert_int_equal(answer.count, gave + 1);
                forwarded(said, i, went);
                assert_string_equal(answer.node, went);
                for (int k = 0; k < 3; k++)
                        there[k] += !strcmp(answer.node, names[k]);
        }
        assert_int_equal(there[0] + there[1] + there[2], MANY);
        assert_true(there[0] && there[1] && there[2]);
        world_end(w);
}

static void NODE_8_each_child_is_sent_once_to_the_one_target_that_is_its_own_hot(void **state)
{
        hand_over(*state, "hot");
}

static void NODE_8_each_child_is_sent_once_to_the_one_target_that_is_its_own_cold(void **state)
{
        hand_over(*state, "cold");
}

int main(void)
{
#define ROW(name) cmocka_unit_test_setup_teardown(name, world_setup, world_teardown)
        const struct CMUnitTest tests[] = {
                ROW(NODE_8_each_child_is_sent_once_to_the_one_target_that_is_its_own_hot),
                ROW(NODE_8_each_child_is_sent_once_to_the_one_target_that_is_its_own_cold),
        };
#undef ROW

        return cmocka_run_group_tests(tests, NULL, NULL);
}
