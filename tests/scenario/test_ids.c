/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Ids of any bytes (API-3): a child whose id has spaces, quotes, a newline, letters of other scripts, and bytes that are no text at all, through everything
 * an id goes through: configuration, shared memory, the store, commands, hooks, the log, JSON. What reads it as a program has the bytes; what shows
 * it to people has it on one line.
 */
#include <stdio.h>
#include <string.h>

#include "tests/support/door.h"
#include "tests/support/embedded.h"
#include "tests/support/placed.h"

/* In YAML, in C, in JSON, for people. The second line of it would be one of the hub's own. */
#define ODD_YAML  "\"a b $x \\\"q\\\" 'é'\\nbaton: forged\""
#define ODD       "a b $x \"q\" 'é'\nbaton: forged"
#define ODD_JSON  "\"a b $x \\\"q\\\" 'é'\\nbaton: forged\""
#define ODD_SHOWN "a b $x \"q\" 'é'\\x0abaton: forged"

/* The child answers with its own id, and its count. */
static void ask(const struct world *w, const char *id, int count)
{
        char line[256], begins[128];

        assert_int_equal(door_ask(w->dir, id, line, sizeof(line)), 0);
        (void)snprintf(begins, sizeof(begins), "%s %d ", id, count);
        if (strncmp(line, begins, strlen(begins)) != 0)
                fail_msg("'%s' answers '%s'", begins, line);
}

/* Nobody was fooled: no line of the log is what the id would like to be one. */
static void expect_one_line(const struct world *w)
{
        assert_true(world_log_has(w, ODD_SHOWN));
        assert_false(world_log_has(w, "\nbaton: forged"));
}

static void API_3_an_id_of_spaces_quotes_and_a_newline_goes_everywhere(void **state)
{
        struct world *w = *state;

        world_start(w, PLACED_HEAD
                    "nodes: {blue: {env: {NODE: blue}}, green: {env: {NODE: green}}}\n"
                    "distribution: {strategy: guided, map: {" ODD_YAML
                    ": blue, 'p q': blue, 'p q/1': green}}\n"
                    "on: {child_pid_changed: [/bin/sh, -c, 'printf %s \"$BATON_CHILD\" > @dir@/raw "
                    "&& echo > @dir@/done']}\n"
                    "children:\n"
                    "  " ODD_YAML ": {exec: ['@bin@/child_placed'], strategy: hot}\n"
                    "  'p q': {exec: ['@bin@/child_placed'], instances: 2, strategy: hot}\n");
        ask(w, ODD, 1);
        ask(w, "p q/1", 1);

        /* Commands take it as it is, and say it on one line. */
        RUN(0, "", "swap", ODD);
        ask(w, ODD, 2);
        RUN(0, ODD_SHOWN ": migrated", "node", "migrate", ODD, "green");
        ask(w, ODD, 3);
        RUN(0, ODD_SHOWN, "status");
        assert_null(strstr(said, "\nbaton: forged"));
        RUN(0, ODD_SHOWN, "events");
        RUN(0, ODD_SHOWN, "child", "find", ODD);
        RUN(3, "", "child", "find", "a b");
        RUN(0, "{\"child\":" ODD_JSON, "status", "--json");
        RUN(0, "\"child\":" ODD_JSON, "child", "list", "--node", "green", "--json");
        assert_non_null(strstr(said, "\"child\":\"p q/1\""));

        /* A hook has the bytes. */
        {
                char raw[128];

                world_file_wait(w, "done", "\n");
                world_read(w, "raw", raw, sizeof(raw));
                assert_string_equal(raw, ODD);
        }

        /* So has the store: over a stop, and over the death of the hub. */
        world_stop(w);
        world_start_again(w);
        ask(w, ODD, 4);
        world_kill_hub(w);
        world_start_again(w);
        ask(w, ODD, 5);
        expect_one_line(w);
        world_stop(w);
        (void)world_reap_orphans();
        world_end(w);
}

static void API_3_such_a_child_is_added_and_removed_live(void **state)
{
        struct world *w = *state;

        world_start(w, PLACED_HEAD
                    "children:\n  web: {exec: ['@bin@/child_placed'], strategy: hot}\n");
        world_file_put(w, "live.yaml",
                       "children: {" ODD_YAML ": {exec: ['@bin@/child_placed'], handover: true, "
                       "state: blob, env: {PLACED_AT: '@dir@'}}}\n");
        RUN(0, ODD_SHOWN, "child", "add", "live.yaml");
        ask(w, ODD, 1);
        RUN(0, ODD_SHOWN, "child", "remove", ODD);
        RUN(3, "", "child", "find", ODD);
        RUN(0, ODD_JSON, "state", "ls", "--json"); /* what it kept is there by its id */
        RUN(0, ODD_SHOWN, "child", "add", "live.yaml");
        ask(w, ODD, 2);
        world_end(w);
}

/* Not even text: such an id comes from a program, because YAML is text. */
#define BYTES       "\xff\x01 \xc3("
#define BYTES_SHOWN "\\xff\\x01 \\xc3("

static void API_3_bytes_that_are_no_text_are_an_id_as_well(void **state)
{
        static struct embedded t;
        struct world *w = *state;
        struct baton_hub_child child;
        char at[128];
        const char *const env[] = {at, NULL};
        pid_t pid;

        (void)snprintf(at, sizeof(at), "PLACED_AT=%s", w->dir);
        embedded_open(w, &t);
        embedded_placed(w, &child, BYTES, env);
        assert_int_equal(baton_hub_add_child(t.hub, &child), 0);
        embedded_start(&t);
        embedded_until(&t, BYTES " child_running");
        ask(w, BYTES, 1);
        pid = BEGIN("swap", BYTES, "--json");
        embedded_until_ended(&t, pid);
        world_read(w, "said", said, sizeof(said));
        /* JSON cannot have these bytes: they are written out, a backslash being one more character of the text. */
        assert_non_null(strstr(said, "\"\\\\xff\\\\x01 \\\\xc3(\""));
        ask(w, BYTES, 2);
        embedded_stop(&t);
        assert_non_null(strstr(t.said, BYTES_SHOWN ": swapped"));
        world_end(w);
}

int main(void)
{
#define ROW(name) cmocka_unit_test_setup_teardown(name, world_setup, world_teardown)
        const struct CMUnitTest tests[] = {
                ROW(API_3_an_id_of_spaces_quotes_and_a_newline_goes_everywhere),
                ROW(API_3_such_a_child_is_added_and_removed_live),
                ROW(API_3_bytes_that_are_no_text_are_an_id_as_well),
        };
#undef ROW

        return cmocka_run_group_tests(tests, NULL, NULL);
}
