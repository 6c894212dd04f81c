/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Every event that the row HOOK-1 names (docs/conformance.md), on real processes: it is in the stream, a command of `on:` runs at it, and a program that
 * has the hub inside is called. Which events there are at all is test_events.c's subject, as are commands that misbehave.
 *
 * The commands write what they were told into one file, so a line in it is an event that was raised, had its command, and told it what it is about.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

#include <baton/hub.h>

#include "tests/support/embedded.h"
#include "tests/support/events.h"
#include "tests/support/placed.h"
#include "tests/support/text.h"

#define TELL                                                                                       \
        "x-tell: &tell [/bin/sh, -c, 'echo \"$BATON_EVENT $BATON_CHILD $BATON_REASON\" >> "        \
        "@dir@/hooked']\n"

/* The command of that event ran: a line of the file begins so. */
static void hooked(const struct world *w, const char *line)
{
        world_file_wait(w, "hooked", line);
}

static void in_stream(const struct world *w, const char *const parts[])
{
        char *events = events_told(w);

        text_expect_in_order(events, parts);
        free(events);
}

#define STREAM(...) in_stream(w, (const char *const[]){__VA_ARGS__, NULL})

static void HOOK_1_nodes_that_come_and_go_before_and_after(void **state)
{
        struct world *w = *state;
        struct placed busy;
        pid_t pid;

        world_start(w, PLACED_HEAD TELL
                    "on: {node_joining: *tell, node_joined: *tell, node_leaving: *tell, node_left: "
                    "*tell, redistributing: *tell, redistributed: *tell, child_forwarded: *tell, "
                    "migration_deferred: *tell, drain_completed: *tell}\n"
                    "nodes: {blue: {env: {NODE: blue}}, red: {env: {NODE: red}}}\n"
                    "distribution: {strategy: guided, map: {web: [blue, red], busy: [blue, red]}}\n"
                    "children:\n"
                    "  web: {exec: ['@bin@/child_placed'], strategy: hot}\n"
                    "  busy: {exec: ['@bin@/child_placed'], strategy: hot, env: {PLACED_CONSENT: "
                    "1}}\n");
        RUN(0, "joined", "node", "add", "green");
        placed_ask(w, "busy", &busy);
        pid = BEGIN("node", "remove", "blue");
        events_wait(w, "migration_deferred");
        assert_int_equal(kill(busy.pid, SIGUSR1), 0);
        command_finish(w, pid, 0, "left, 2 moved");
        RUN(0, "drained", "node", "drain", "green");
        STREAM("node_joining green", "node_joined green: 0 moved to it", "node_leaving blue",
               "redistributing 2 children", "busy migration_deferred not now",
               "busy child_forwarded from blue to red", "redistributed 2 moved, 0 not",
               "drain_completed blue", "node_left blue", "node_leaving green: drained",
               "drain_completed green");
        STREAM("redistributing", "web child_forwarded from blue to red", "redistributed");
        hooked(w, "node_joining  green\n");
        hooked(w, "node_joined  green: 0 moved to it, 0 not\n");
        hooked(w, "node_leaving  blue\n");
        hooked(w, "redistributing  2 children\n");
        hooked(w, "migration_deferred busy not now\n");
        hooked(w, "child_forwarded busy from blue to red\n");
        hooked(w, "child_forwarded web from blue to red\n");
        hooked(w, "redistributed  2 moved, 0 not\n");
        hooked(w, "drain_completed  blue\n");
        hooked(w, "node_left  blue\n");
        hooked(w, "node_leaving  green: drained\n");
        hooked(w, "drain_completed  green\n");
        world_end(w);
}

#define LIVE "children: {live: {exec: ['@bin@/child_placed'], env: {PLACED_AT: '@dir@'}}}\n"

static void HOOK_1_children_from_their_start_to_their_removal(void **state)
{
        struct world *w = *state;

        world_file_put(w, "live.yaml", LIVE);
        world_start(
                w, PLACED_HEAD TELL
                "on: {children_starting: *tell, children_started: *tell, child_registered: *tell, "
                "child_unregistered: *tell, child_pid_changed: *tell, migration_completed: *tell, "
                "handover_delivered: *tell}\n"
                "children:\n  web: {exec: ['@bin@/child_placed'], strategy: hot}\n");
        RUN(0, "", "child", "add", "live.yaml");
        RUN(0, "", "child", "remove", "live");
        RUN(0, "", "swap", "web");
        STREAM("web child_registered", "children_starting 1", "web child_running",
               "children_started 1", "live child_registered", "live child_running",
               "live child_unregistered", "web migration_begun", "web migration_completed");
        STREAM("web migration_begun", "web handover_delivered");
        STREAM("web migration_begun", "web child_pid_changed");
        hooked(w, "children_starting  1");
        hooked(w, "children_started  1");
        hooked(w, "child_registered web ");
        hooked(w, "child_registered live ");
        hooked(w, "child_unregistered live ");
        hooked(w, "child_pid_changed web ");
        hooked(w, "migration_completed web ");
        hooked(w, "handover_delivered web ");
        world_end(w);
}

#define QUARANTINE(more)                                                                           \
        PLACED_HEAD TELL                                                                           \
                "on: {state_quarantined: *tell, shutdown_begun: *tell}\n"                          \
                "children:\n  web: {exec: ['@bin@/child_placed'], restore_attempts: 1" more "}\n"

static void HOOK_1_a_state_that_is_quarantined_and_the_beginning_of_a_stop(void **state)
{
        struct world *w = *state;
        struct placed answer;

        world_start(w, QUARANTINE(""));
        placed_ask(w, "web", &answer);
        world_stop(w);
        hooked(w, "shutdown_begun  ");
        world_configure(
                w,
                QUARANTINE(
                        ", env: {PLACED_BYTES: 8}")); /* it expects another state than there is */
        world_start_again(w);
        placed_ask(w, "web", &answer);
        assert_int_equal(answer.count, 1);
        STREAM("web state_loaded", "web state_quarantined", "web child_running");
        hooked(w, "state_quarantined web ");
        world_end(w);
}

/* ---- a program that has the hub inside ---- */

static void start_hub(const struct world *w, struct embedded *t, const char *const env[])
{
        struct baton_hub_child child;

        embedded_open(w, t);
        embedded_placed(w, &child, "busy", env);
        assert_int_equal(baton_hub_add_child(t->hub, &child), 0);
        embedded_start(t);
}

static pid_t pid_of(const struct embedded *t)
{
        struct baton_hub_look look = {.size = sizeof(look)};

        assert_int_equal(baton_hub_look(t->hub, "busy", &look), 0);
        return look.pid;
}

static void HOOK_1_a_program_with_the_hub_inside_is_called_at_each(void **state)
{
        struct world *w = *state;
        char at[128], at_more[] = "PLACED_BYTES=8", consent[] = "PLACED_CONSENT=1";
        const char *const env[] = {at, consent, NULL}, *const env_more[] = {at, at_more, NULL};
        static struct embedded t;
        pid_t pid;

        world_file_put(w, "live.yaml", LIVE);
        (void)snprintf(at, sizeof(at), "PLACED_AT=%s", w->dir);
        start_hub(w, &t, env);
        pid = BEGIN("node", "add", "gray"); /* by its hash it is not due to any child here */
        embedded_until_ended(&t, pid);
        pid = BEGIN("node", "remove", "local");
        embedded_until(&t, "migration_deferred");
        assert_int_equal(kill(pid_of(&t), SIGUSR1), 0);
        embedded_until_ended(&t, pid);
        pid = BEGIN("child", "add", "live.yaml");
        embedded_until_ended(&t, pid);
        pid = BEGIN("child", "remove", "live");
        embedded_until_ended(&t, pid);
        embedded_stop(&t);
        text_expect_in_order(
                t.events,
                (const char *const[]){
                        "busy child_registered", " children_starting 1", " children_started 1",
                        " node_joining gray", " node_joined gray", " node_leaving local",
                        " redistributing 1 children", "busy migration_deferred not now",
                        "busy migration_begun", "busy migration_completed",
                        "busy child_forwarded from local to gray", " redistributed 1 moved, 0 not",
                        " drain_completed local", " node_left local", "live child_registered",
                        "live child_unregistered", " shutdown_begun", NULL});
        text_expect_in_order(t.events, (const char *const[]){"busy migration_begun",
                                                             "busy handover_delivered", NULL});
        text_expect_in_order(t.events, (const char *const[]){"busy migration_begun",
                                                             "busy child_pid_changed", NULL});

        start_hub(w, &t, env_more); /* which expects another state than there is */
        embedded_stop(&t);
        text_expect_in_order(t.events, (const char *const[]){"busy state_quarantined",
                                                             "busy child_running", NULL});
        world_end(w);
}

int main(void)
{
#define ROW(name) cmocka_unit_test_setup_teardown(name, world_setup, world_teardown)
        const struct CMUnitTest tests[] = {
                ROW(HOOK_1_nodes_that_come_and_go_before_and_after),
                ROW(HOOK_1_children_from_their_start_to_their_removal),
                ROW(HOOK_1_a_state_that_is_quarantined_and_the_beginning_of_a_stop),
                ROW(HOOK_1_a_program_with_the_hub_inside_is_called_at_each),
        };
#undef ROW

        return cmocka_run_group_tests(tests, NULL, NULL);
}
