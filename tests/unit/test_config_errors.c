/* SPDX-License-Identifier: Apache-2.0 */
/* What is said of a configuration that is wrong: with its place, in order, and bounded, whatever the text. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <baton/types.h>

#include "supervisor/baton/config.h"
#include "supervisor/baton/find.h"
#include "supervisor/baton/yaml.h"
#include "tests/support/configs.h"

/* ---- errors ---- */

static void an_unknown_key_is_shown_with_its_line_and_carets(void **state)
{
        struct folder *f = *state;

        assert_int_equal(
                parse(f, "hub: shop\nchildren:\n  web:\n    stop_timout: 5s\n    exec: [./web]\n"),
                1);
        assert_string_equal(
                printed(f),
                "app.yaml:4:5: error: unknown key 'stop_timout' (did you mean 'shutdown'?)\n"
                "    4 |     stop_timout: 5s\n"
                "      |     ^~~~~~~~~~~\n");
}

static void wrong_values_are_named_with_their_place(void **state)
{
        static const char *const rows[][2] = {
                {"strategi: hot",
                 "app.yaml:6:5: error: unknown key 'strategi' (did you mean 'strategy'?)"},
                {"strategy: warm",
                 "app.yaml:6:15: error: 'strategy' is 'warm', expected cold or hot"},
                {"handover: true\nprotocol: notify",
                 "'handover' needs a program that speaks with the hub, and this child's protocol "
                 "is notify"},
                {"watchdog: 1s\nprotocol: plain", "'watchdog' needs a program that speaks with the "
                                                  "hub, and this child's protocol is plain"},
                {"watchdog: 1s", "'watchdog' needs protocol: notify"},
                {"max_draining: 65", "'max_draining' is '65'"},
                {"protocol: http", "'protocol' is 'http', expected baton, plain or notify"},
                {"restart: always",
                 "'restart' is 'always', expected permanent, transient or temporary"},
                {"handover: yes", "'handover' is 'yes': expected true or false"},
                {"instances: 0", "'instances' is '0': the number is too small (1 to 65536)"},
                {"instances: 70000", "'instances' is '70000': the number is too large"},
                {"instances: two", "'instances' is 'two': expected a whole number"},
                {"max_restarts: -1", "'max_restarts' is '-1': expected a whole number"},
                {"max_restarts: 65",
                 "'max_restarts' is '65': the number is too large (0 to 64, or the word forever)"},
                {"shutdown: never", "or the word brutal_kill or infinity"},
                {"shutdown:", "'shutdown' has no value"},
                {"handover_data_wait: 0",
                 "'handover_data_wait' is '0': it must be at least 1.0 ms"},
                {"retention: [5s]", "'retention' expects one value, and this is a list"},
                {"state: {form: arena, max: 1KiB}",
                 "app.yaml:6:31: error: an arena has at least 64KiB"},
                {"state: {form: aren}", "'form' is 'aren', expected none, blob or arena"},
                {"state: {max: 2TiB, form: blob}",
                 "'max' is '2TiB': a state has from 1 byte to 1TiB"},
                {"state: [arena]", "'state' expects a map"},
                {"state: {from: arena}", "unknown key 'from' (did you mean 'form'?)"},
                {"backoff: {min: 2s, max: 1s}", "'backoff': min is longer than max"},
                {"sockets: [htp]", "no socket has the name 'htp' (did you mean 'http'?)"},
                {"sockets: [http, http]", "the socket 'http' is here twice"},
                {"sockets: http", "'sockets' expects a list, such as [http]"},
                {"env: {A: [1]}", "'A' expects one value, and this is a list"},
                {"env: {A: }", "'A' has no value (write '' for an empty one)"},
                {"env: {'A=B': 1}", "'A=B' cannot be the name of a variable"},
                {"env: {LISTEN_FDS: 1}", "the hub itself sets 'LISTEN_FDS'"},
                {"cwd: nowhere", "No such file or directory"},
                {"cwd: web", "which is not a directory"},
                {"strategy: !!str hot", "tags are not used here"},
                {"exec: [./web]", "the key 'exec' is here twice; the first is in line 5"},
        };
        struct folder *f = *state;

        for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
                char keys[256];

                (void)snprintf(keys, sizeof(keys), "exec: [./web]\n%s", rows[i][0]);
                if (!parse_child(f, keys))
                        fail_msg("accepted: %s", rows[i][0]);
                assert_says(f, rows[i][1]);
                assert_says(f, "app.yaml:6:");
        }
}

static void the_program_must_be_there_and_executable(void **state)
{
        static const char *const rows[][2] = {
                {"exec: ./web --fast", "'exec' expects a list, such as [./web, --fast]: no shell "
                                       "splits a text into words"},
                {"exec: []", "'exec' is empty"},
                {"exec: ['']", "the name of the program is empty"},
                {"exec: [./nope]", "No such file or directory"},
                {"exec: [./plain.txt]", "it is not executable (chmod +x)"},
                {"exec: [/tmp]", "it is a directory"},
                {"exec: [no-such-program-anywhere]",
                 "no program 'no-such-program-anywhere' in PATH"},
                {"exec: [[a]]", "'exec' expects texts, and this is a list"},
                {"shutdown: 5s", "the child 'web' has no 'exec'"},
        };
        struct folder *f = *state;

        for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
                assert_int_equal(parse_child(f, rows[i][0]), 1);
                assert_says(f, rows[i][1]);
        }
        assert_true(strchr(good_child(f, "exec: [sh]")->exec, '/') != NULL);
}

static void all_errors_are_reported_in_their_order(void **state)
{
        struct folder *f = *state;
        const char *text;

        assert_int_equal(parse(f, "hub: ../x\nchildren:\n  web: {exec: [./web], strategy: x, "
                                  "handover: y}\nnodes: {}\n"),
                         1);
        assert_int_equal(bt_diag_count(&f->diag, BT_SEVERITY_ERROR), 4);
        text = printed(f);
        assert_true(strstr(text, "app.yaml:1:6:") < strstr(text, "app.yaml:3:34:"));
        assert_true(strstr(text, "app.yaml:3:34:") < strstr(text, "app.yaml:3:47:"));
        assert_true(strstr(text, "app.yaml:3:47:") <
                    strstr(text, "app.yaml:4:8: error: 'nodes' has no node"));
}

static void beyond_twenty_errors_are_counted(void **state)
{
        struct folder *f = *state;
        char text[4096] = "hub: h\nchildren:\n";

        for (int i = 0; i < 25; i++) {
                size_t used = strlen(text);

                (void)snprintf(text + used, sizeof(text) - used,
                               "  c%d: {exec: [./web], bananas: 1}\n", i);
        }
        assert_int_equal(parse(f, text), 1);
        assert_says(f, "app.yaml: 25 errors, of which the first 20 found are shown");
}

static void an_error_shared_by_an_alias_is_told_once(void **state)
{
        struct folder *f = *state;

        assert_int_equal(parse(f, "x-a: &a {exec: [./web], strategy: warm}\nhub: h\nchildren: {a: "
                                  "*a, b: *a, c: *a}\n"),
                         1);
        assert_int_equal(bt_diag_count(&f->diag, BT_SEVERITY_ERROR), 1);
}

static void the_frame_is_required(void **state)
{
        static const char *const rows[][2] = {
                {"", "the file is empty"},
                {"# only a comment\n", "the file is empty"},
                {"just text\n", "expected a map with the keys hub and children"},
                {"hub: h\n", "the key 'children' is missing"},
                {"children: {web: {exec: [./web]}}\n", "the key 'hub' is missing"},
                {"hub: h\nchildren: {}\n", "'children' has no child"},
                {"hub: h\nchildren: {web: }\n", "'web' expects a map"},
                {"hub: h\nchildren: {'a/1': {exec: [./web]}}\n",
                 "a child's name must not end with '/' and a number"},
                {"hub: h\nchildren: {'a@b': {exec: [./web]}}\n",
                 "or '@' and a name: those are instances'"},
                {"hub: h\nchild: {}\nchildren: {web: {exec: [./web]}}\n", "unknown key 'child'"},
                {"hub: h\nchildrn: {}\nchildren: {web: {exec: [./web]}}\n",
                 "did you mean 'children'?"},
                {"hub: h\nchildren: {web: {exec: [./web]}}\nnodes: {blue: {weigth: 1}}\n",
                 "did you mean 'weight'?"},
                {"hub: h\nchildren: {web: {exec: [./web], instances: 40000}, b: {exec: [./web], "
                 "instances: 40000}}\n",
                 "80000 children"},
        };
        struct folder *f = *state;

        for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
                assert_int_equal(parse(f, rows[i][0]), 1);
                assert_says(f, rows[i][1]);
        }
}

static void names_fit_with_their_instance_number(void **state)
{
        struct folder *f = *state;
        char name[80], text[256];

        memset(name, 'a', sizeof(name));
        name[63] = 0;
        (void)snprintf(text, sizeof(text), "hub: h\nchildren: {%s: {exec: [./web]}}\n", name);
        assert_int_equal(parse(f, text), 0);
        (void)snprintf(text, sizeof(text),
                       "hub: h\nchildren: {%s: {exec: [./web], instances: 2}}\n", name);
        assert_int_equal(parse(f, text), 1);
        assert_says(f, "a child's name is too long");
}

static void what_to_do_with_a_bad_state_is_read_strictly(void **state)
{
        static const char *const rows[][2] = {
                {"on_bad_state: ignore",
                 "'on_bad_state' is 'ignore', expected fresh, fail or keep_old"},
                {"restore_attempts: 0", "'restore_attempts' is '0'"},
                {"restore_attempts: 1001", "(1 to 1000)"},
                {"stored_ttl: never", "'stored_ttl' is 'never'"},
        };
        struct folder *f = *state;

        for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
                char keys[256];

                (void)snprintf(keys, sizeof(keys), "exec: [./web]\nsockets: [http]\n%s",
                               rows[i][0]);
                assert_int_equal(parse_child(f, keys), 1);
                assert_says(f, rows[i][1]);
        }
}

/* ---- warnings ---- */

static void a_limit_inside_a_shorter_one_is_warned_about(void **state)
{
        static const char *const rows[][2] = {
                {"strategy: hot\nhandover_data_wait: 20s",
                 "handover_data_wait (20 s) is never reached"},
                {"shutdown: 30s", "child_migration_timeout (10 s) ends a cold swap before"},
                {"handover: true\nstate_ttl: 1s",
                 "state_ttl (1.0 s) is not longer than shutdown (5.0 s)"},
                {"consent_limit: 8s", "consent_retry (10 s) is never reached: after consent_limit "
                                      "(8.0 s) the child is moved without being asked"},
                {"consent_timeout: 20m", "consent_timeout (20m 0s) is never reached"},
                {"max_restarts: 60", "max_restarts (60) in max_seconds (5.0 s) is never reached"},
                {"restart: temporary\nhealthy: 1s", "healthy (1.0 s) does nothing"},
                {"restore_attempts: 4", "restore_attempts (4) is more than max_restarts (3)"},
        };
        struct folder *f = *state;

        for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
                char keys[256];

                (void)snprintf(keys, sizeof(keys), "exec: [./web]\nsockets: [http]\n%s",
                               rows[i][0]);
                (void)good_child(f, keys);
                assert_int_equal(bt_diag_count(&f->diag, BT_SEVERITY_WARNING), 1);
                assert_says(f, rows[i][1]);
        }
        (void)good_child(f, "exec: [./web]\nsockets: [http]\nhandover: true\nstrategy: hot");
        assert_int_equal(bt_diag_count(&f->diag, BT_SEVERITY_WARNING), 0);
        (void)good_child(f, "exec: [./web]");
        assert_says(f, "warning: no child uses the socket 'http'");
}

/* ---- hostile YAML ---- */

static void depth_is_bounded(void **state)
{
        struct folder *f = *state;
        char text[300] = "hub: h\nx-a: ";

        memset(text + strlen(text), '[', 200);
        assert_int_equal(parse(f, text), 1);
        assert_says(f, "more than 32 levels deep");
}

static void a_small_text_cannot_become_a_large_tree(void **state)
{
        struct folder *f = *state;
        char text[2048] = "hub: h\nx-a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n";

        for (int i = 1; i < 12; i++) {
                size_t used = strlen(text);

                (void)snprintf(text + used, sizeof(text) - used,
                               "x-a%d: &a%d [*a%d, *a%d, *a%d, *a%d, *a%d, *a%d, *a%d, *a%d]\n", i,
                               i, i - 1, i - 1, i - 1, i - 1, i - 1, i - 1, i - 1, i - 1);
        }
        assert_int_equal(parse(f, text), 1);
        assert_says(f, "too large: more than 1048576 values");
}

static void broken_yaml_is_an_error_with_a_place(void **state)
{
        static const char *const rows[][2] = {
                {"hub: [a\n", "app.yaml:2:1: error: not YAML"},
                {"hub: h\n\tx: 1\n", "app.yaml:2:1: error: not YAML"},
                {"hub: \xff\n", "the file is not UTF-8 text"},
                {"hub: \"a\\0b\"\n", "app.yaml:1:6: error: a text with a NUL character"},
                {"hub: h\n---\nhub: i\n", "a second document"},
                {"hub: *nobody\n", "no anchor '&nobody' is complete before this alias"},
                {"hub: &a [*a]\n", "no anchor '&a' is complete before this alias"},
                {"? [a]\n: b\n", "a key must be a plain text"},
                {"hub: h\nhub: i\n",
                 "app.yaml:2:1: error: the key 'hub' is here twice; the first is in line 1"},
                {"x: {<<: [a]}\n", "'<<' merges maps, and this is a text"},
        };
        struct folder *f = *state;

        for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
                assert_int_equal(parse(f, rows[i][0]), 1);
                assert_says(f, rows[i][1]);
        }
}

static void too_many_anchors_are_refused(void **state)
{
        struct folder *f = *state;
        char text[8192] = "hub: h\n";

        for (int i = 0; i <= BT_YAML_ANCHORS_MAX; i++) {
                size_t used = strlen(text);

                (void)snprintf(text + used, sizeof(text) - used, "x-%d: &a%d 1\n", i, i);
        }
        assert_int_equal(parse(f, text), 1);
        assert_says(f, "more than 256 anchors");
}

static void a_long_line_is_shown_around_the_place(void **state)
{
        struct folder *f = *state;
        char text[2048] = "hub: h\nchildren: {web: {exec: [./web], ";

        memset(text + strlen(text), ' ', 1000);
        memcpy(text + strlen(text), "bananas: 1}}\n", 14);
        assert_int_equal(parse(f, text), 1);
        assert_says(f, "unknown key 'bananas'");
        assert_true(strlen(printed(f)) < 400);
        assert_says(f, "^~~~~~~\n");
}

/* ---- hooks ---- */

static void HOOK_1_a_hook_that_could_never_run_is_an_error(void **state)
{
        static const struct {
                const char *keys;
                const char *says;
        } rows[] = {
                {"on: [child_running]", "'on' expects a map"},
                {"on: {child_runing: [./web]}",
                 "no event has the name 'child_runing' (did you mean 'child_running'?)"},
                {"on: {hook_failed: [./web]}", "'hook_failed' can have no command"},
                {"on: {child_running: ./web --fast}", "'child_running' expects a list"},
                {"on: {child_running: {a: b}}", "'child_running' expects a list"},
                {"on: {child_running: []}", "'child_running' is an empty list"},
                {"on: {child_running: ['']}", "the name of the program is empty"},
                {"on: {child_running: [[./web]]}", "'child_running' expects texts"},
                {"on: {child_running: [./plain.txt]}", "plain.txt"},
                {"on: {child_running: [no-such-program]}", "no program 'no-such-program' in PATH"},
                {"alter: ./web", "'alter' expects a list"},
                {"alter: []", "'alter' is an empty list"},
                {"alter: [./plain.txt]", "plain.txt"},
        };
        struct folder *f = *state;
        char text[256];

        for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
                (void)snprintf(text, sizeof(text), "exec: [./web]\n%s", rows[i].keys);
                assert_int_equal(parse_child(f, text), 1);
                assert_says(f, rows[i].says);
        }
        assert_int_equal(parse(f, "hub: shop\nhook_timeout: 0\nchildren: {a: {exec: [./web]}}\n"),
                         1);
        assert_says(f, "'hook_timeout' is '0'");
}

#define T(name) cmocka_unit_test_setup_teardown(name, folder_setup, folder_teardown)

int main(void)
{
        const struct CMUnitTest tests[] = {
                T(an_unknown_key_is_shown_with_its_line_and_carets),
                T(wrong_values_are_named_with_their_place),
                T(the_program_must_be_there_and_executable),
                T(all_errors_are_reported_in_their_order),
                T(beyond_twenty_errors_are_counted),
                T(an_error_shared_by_an_alias_is_told_once),
                T(the_frame_is_required),
                T(names_fit_with_their_instance_number),
                T(what_to_do_with_a_bad_state_is_read_strictly),
                T(a_limit_inside_a_shorter_one_is_warned_about),
                T(depth_is_bounded),
                T(a_small_text_cannot_become_a_large_tree),
                T(broken_yaml_is_an_error_with_a_place),
                T(too_many_anchors_are_refused),
                T(a_long_line_is_shown_around_the_place),
                T(HOOK_1_a_hook_that_could_never_run_is_an_error),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
