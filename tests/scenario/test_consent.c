/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Consent (NODE-7): a child that takes part in it is asked before a plan moves it, and may put that off. The three times of it are options; each test sets
 * the one it is about small and leaves the others so long that nothing else can be what happened. What happened is read from the event stream and from
 * the child itself, which notes each time that it is asked.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/support/events.h"
#include "tests/support/placed.h"
#include "tests/support/text.h"

/* @options: of the child, each with a comma before it. It is on blue, and on green when blue takes none. */
static void start(struct world *w, const char *top, const char *options)
{
        char yaml[1024];

        (void)snprintf(yaml, sizeof(yaml),
                       PLACED_HEAD
                       "%s"
                       "nodes: {blue: {env: {NODE: blue}}, green: {env: {NODE: green}}}\n"
                       "distribution: {strategy: guided, map: {busy: [blue, green]}}\n"
                       "children:\n  busy: {exec: ['@bin@/child_placed'], strategy: hot, env: "
                       "{PLACED_CONSENT: 1, PLACED_TOLD: '@dir@/told'}%s}\n",
                       top, options);
        world_start(w, yaml);
}

/* How often the child noted @word. */
static int told(const struct world *w, const char *word)
{
        char text[4096];

        world_read(w, "told", text, sizeof(text));
        return text_times(text, word);
}

static void signal_child(const struct world *w, pid_t pid, int sig, const char *word)
{
        char line[64];

        assert_int_equal(kill(pid, sig), 0);
        (void)snprintf(line, sizeof(line), "%s %d\n", word, (int)pid);
        world_file_wait(w, "told", line);
}

/* It is where @node is, served all the time, and has its state. */
static void expect_on(const struct world *w, const char *node, int count)
{
        struct placed now;

        placed_ask(w, "busy", &now);
        assert_string_equal(now.node, node);
        assert_int_equal(now.count, count);
}

static void NODE_7_a_child_that_defers_is_moved_when_it_says_ready(void **state)
{
        struct world *w = *state;
        struct placed before;
        char *events;
        pid_t pid;

        start(w, "", ", consent_timeout: 5m, consent_retry: 5m, consent_limit: 1h");
        placed_ask(w, "busy", &before);
        assert_string_equal(before.node, "blue");
        pid = BEGIN("node", "remove", "blue");
        events_wait(w, "busy migration_deferred not now");
        expect_on(w, "blue", 2);
        signal_child(w, before.pid, SIGUSR1,
                     "ready"); /* early: it is not asked again for minutes */
        command_finish(w, pid, 0, "blue: left, 1 moved, 0 forced");
        expect_on(w, "green", 3);
        assert_int_equal(told(w, "asked"), 1);
        events = events_told(w);
        assert_int_equal(text_times(events, "migration_deferred"), 1);
        text_expect_in_order(events, (const char *const[]){
                                             "node_leaving blue", "busy migration_deferred not now",
                                             "busy migration_begun",
                                             "busy child_forwarded from blue to green\n",
                                             "node_left blue", NULL});
        free(events);
        world_end(w);
}

static void NODE_7_it_is_asked_again_and_forced_after_consent_limit(void **state)
{
        struct world *w = *state;
        struct placed before;
        char *events;
        pid_t pid;

        start(w, "", ", consent_timeout: 5m, consent_retry: 50ms, consent_limit: 1s");
        placed_ask(w, "busy", &before);
        pid = BEGIN("node", "remove", "blue");
        command_finish(w, pid, 0, "blue: left, 1 moved, 1 forced");
        expect_on(w, "green", 2);
        assert_true(told(w, "asked") >=
                    2); /* on a busy machine it is late to answer, and asked less often */
        events = events_told(w);
        assert_int_equal(text_times(events, "migration_deferred not now"), told(w, "asked"));
        text_expect_in_order(
                events, (const char *const[]){"busy migration_deferred not now",
                                              "busy migration_deferred not now",
                                              "busy child_forwarded from blue to green, forced",
                                              "node_left blue", NULL});
        free(events);
        world_end(w);
}

static void NODE_7_no_answer_within_consent_timeout_means_later(void **state)
{
        struct world *w = *state;
        struct placed before;
        pid_t pid;

        start(w, "", ", consent_timeout: 50ms, consent_retry: 5m, consent_limit: 1h");
        placed_ask(w, "busy", &before);
        assert_int_equal(kill(before.pid, SIGSTOP), 0);
        world_until_stopped(before.pid);
        pid = BEGIN("node", "remove", "blue");
        events_wait(w, "busy migration_deferred no answer");
        assert_int_equal(told(w, "asked"), 0);
        assert_int_equal(kill(before.pid, SIGCONT), 0);
        world_file_wait(w, "told", "asked"); /* late, and it says later: nothing changes */
        expect_on(w, "blue", 2);
        signal_child(w, before.pid, SIGUSR1, "ready");
        command_finish(w, pid, 0, "blue: left, 1 moved, 0 forced");
        expect_on(w, "green", 3);
        world_end(w);
}

static void NODE_7_a_child_turns_at_run_time_and_each_move_asks_anew(void **state)
{
        struct world *w = *state;
        struct placed now;
        char *events;
        pid_t pid;

        start(w, "", ", consent_timeout: 5m, consent_retry: 50ms, consent_limit: 1h");
        placed_ask(w, "busy", &now);
        signal_child(w, now.pid, SIGUSR1, "ready"); /* nobody wants to move it: this is forgotten */
        signal_child(w, now.pid, SIGUSR2, "busy");
        pid = BEGIN("node", "drain", "blue");
        events_wait(w, "busy migration_deferred not now");
        assert_int_equal(kill(now.pid, SIGUSR1),
                         0); /* asked again or by itself, whichever is first */
        command_finish(w, pid, 0, "blue: drained, 1 moved, 0 forced");
        expect_on(w, "green", 2);

        placed_ask(w, "busy", &now); /* another process, which begins with later */
        signal_child(w, now.pid, SIGUSR1, "ready");
        RUN(0, "blue: joined, 1 moved", "node", "add", "blue", "--env",
            "NODE=blue"); /* asked, and ready at once */
        expect_on(w, "blue", 4);
        events = events_told(w);
        assert_null(strstr(strstr(events, "to green"), "migration_deferred"));
        free(events);
        world_end(w);
}

int main(void)
{
#define ROW(name) cmocka_unit_test_setup_teardown(name, world_setup, world_teardown)
        const struct CMUnitTest tests[] = {
                ROW(NODE_7_a_child_that_defers_is_moved_when_it_says_ready),
                ROW(NODE_7_it_is_asked_again_and_forced_after_consent_limit),
                ROW(NODE_7_no_answer_within_consent_timeout_means_later),
                ROW(NODE_7_a_child_turns_at_run_time_and_each_move_asks_anew),
        };
#undef ROW

        return cmocka_run_group_tests(tests, NULL, NULL);
}
