/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `defaults` of nodes: a child has the options of the node it is on, and the swap that moves it is that of the node it leaves. What an option does is
 * shown elsewhere; here it is read from what happens which of two values counted.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

#include "tests/support/events.h"
#include "tests/support/placed.h"
#include "tests/support/text.h"

static void in_stream(const struct world *w, const char *const parts[])
{
        char *events = events_told(w);

        text_expect_in_order(events, parts);
        free(events);
}

#define STREAM(...) in_stream(w, (const char *const[]){__VA_ARGS__, NULL})

static void
NODE_6_a_move_is_the_swap_of_the_node_that_is_left_and_the_next_one_of_the_new(void **state)
{
        struct world *w = *state;
        struct placed answer;

        world_start(w, PLACED_HEAD "nodes:\n"
                                   "  blue: {env: {NODE: blue}, defaults: {strategy: cold}}\n"
                                   "  green: {env: {NODE: green}, defaults: {strategy: hot}}\n"
                                   "distribution: {strategy: guided, map: {web: blue, own: blue}}\n"
                                   "children:\n"
                                   "  web: {exec: ['@bin@/child_placed']}\n"
                                   "  own: {exec: ['@bin@/child_placed'], strategy: hot}\n");
        RUN(0, "", "node", "migrate", "web", "green");
        RUN(0, "", "swap", "web");
        RUN(0, "", "node", "migrate", "web", "blue");
        RUN(0, "", "swap", "web");
        STREAM("web migration_begun cold", "web child_forwarded", "web migration_begun hot",
               "web migration_begun hot", "web child_forwarded", "web migration_begun cold");
        RUN(0, "", "swap", "own");
        STREAM("own migration_begun hot"); /* on blue: what it says itself wins */
        placed_ask(w, "web", &answer);
        assert_string_equal(answer.node, "blue");
        world_end(w);
}

/* Its process is killed; what its restart policy says of that. */
static void kill_and_wait(const struct world *w, const char *id, const char *event)
{
        struct placed answer;

        placed_ask(w, id, &answer);
        assert_int_equal(kill(answer.pid, SIGKILL), 0);
        events_wait(w, event);
}

static void OTP_1_the_restart_policy_is_the_one_of_the_node(void **state)
{
        struct world *w = *state;

        world_start(w, PLACED_HEAD
                    "nodes: {blue: {env: {NODE: blue}}}\n"
                    "children:\n"
                    "  web: {exec: ['@bin@/child_placed'], strategy: hot}\n"
                    "  keeps: {exec: ['@bin@/child_placed'], strategy: hot, restart: permanent}\n");
        kill_and_wait(w, "web", "web child_restarting");
        RUN(2, "'restart' is 'never'", "node", "add", "green", "--default", "restart=never");
        RUN(2, "--default is 'restart', expected KEY=TEXT", "node", "add", "green", "--default",
            "restart");
        RUN(2, "cannot be a default of a node", "node", "add", "green", "--default", "state=blob");
        RUN(0, "joined", "node", "add", "green", "--env", "NODE=green", "--default",
            "restart=temporary");
        RUN(0, "left", "node", "remove", "blue");

        /* A child that comes later is under them, too. */
        world_file_put(
                w, "live.yaml",
                "children: {live: {exec: ['@bin@/child_placed'], env: {PLACED_AT: '@dir@'}}}\n");
        RUN(0, "", "child", "add", "live.yaml");
        kill_and_wait(w, "live", "live child_stopped");

        /* A hub that follows one that was killed knows them: the node is in its store. */
        world_kill_hub(w);
        world_start_again(w);
        kill_and_wait(w, "web", "web child_stopped");
        kill_and_wait(w, "keeps", "keeps child_restarting");
        world_stop(w);
        (void)world_reap_orphans();
        world_end(w);
}

static void SHUT_9_a_shorter_limit_of_a_node_ends_what_an_inner_one_would_wait_for(void **state)
{
        struct world *w = *state;
        struct placed before, after;

        world_start(
                w, PLACED_HEAD
                "nodes: {blue: {env: {NODE: blue}, defaults: {child_migration_timeout: " WORLD_SHORT
                "}}, green: {env: {NODE: green}}}\n"
                "distribution: {strategy: guided, map: {web: blue}}\n"
                "children:\n  web: {exec: ['@bin@/child_placed'], strategy: hot, "
                "handover_data_wait: 1h}\n");
        placed_ask(w, "web", &before);
        assert_int_equal(kill(before.pid, SIGSTOP), 0);
        world_until_stopped(before.pid);
        RUN(5, "web", "swap", "web"); /* it is asked for its state, and says nothing */
        assert_int_equal(kill(before.pid, SIGCONT), 0);
        placed_ask(w, "web", &after);
        assert_int_equal(after.pid, before.pid);
        assert_int_equal(after.count, 2);
        world_end(w);
}

int main(void)
{
#define ROW(name) cmocka_unit_test_setup_teardown(name, world_setup, world_teardown)
        const struct CMUnitTest tests[] = {
                ROW(NODE_6_a_move_is_the_swap_of_the_node_that_is_left_and_the_next_one_of_the_new),
                ROW(OTP_1_the_restart_policy_is_the_one_of_the_node),
                ROW(SHUT_9_a_shorter_limit_of_a_node_ends_what_an_inner_one_would_wait_for),
        };
#undef ROW

        return cmocka_run_group_tests(tests, NULL, NULL);
}
