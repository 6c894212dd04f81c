/* SPDX-License-Identifier: Apache-2.0 */
/*
 * BUG-11: every option has a test. The table has a row for each key of a configuration: a value for it, and the test that shows on real processes what it
 * does. A key that the parser or docs/config.md knows and the table does not fails this test, and so does a row that names no test.
 *
 * And every key of a child works in `defaults` as in the child itself: both files compile to the same plan, which differs from the plan without the key.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <dirent.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "base/cleanup.h"
#include "base/fd.h"
#include "supervisor/baton/compile.h"
#include "supervisor/baton/reader.h"

struct option {
        const char *key;
        const char *value;
        const char *with; /* what it needs beside it; "": nothing */
        const char *test; /* on real processes */
};

#define BLOB  "state: blob, handover: true"
#define ARENA "state: arena, handover: true"

static const struct option of_child[] = {
        {"exec", "[/bin/true, x]", "", "API_4_a_child_of_the_configuration_that_fails_is_visible_and_the_others_run"},
        {"instances", "3", "", "HOT_6_one_failure_in_a_pool_does_not_touch_the_others"},
        {"sockets", "[s]", "", "COLD_11_connections_made_while_nobody_runs_are_served"},
        {"protocol", "plain", "", "a_plain_program_is_restarted_swapped_cold_and_stopped"},
        {"strategy", "hot", "", "HOT_12_a_successor_knows_that_it_is_one_and_only_the_process_changes"},
        {"handover", "true", "", "COLD_2_without_handover_no_state_is_asked_for_or_stored"},
        {"state", "{form: arena, max: 2MiB}", "", "STATE_7_an_arena_is_in_place_after_a_crash_outside_a_bracket"},
        {"restart", "temporary", "", "OTP_1_a_temporary_child_is_never_restarted"},
        {"max_restarts", "7", "", "OTP_3_more_than_max_restarts_within_max_seconds_is_given_up_visibly"},
        {"max_seconds", "9", "", "OTP_3_more_than_max_restarts_within_max_seconds_is_given_up_visibly"},
        {"backoff", "{min: 1ms, max: 2ms}", "", "OTP_6_the_wait_doubles_up_to_its_cap_and_forever_is_for_ever"},
        {"healthy", "3s", "", "OTP_6_a_healthy_time_starts_the_back_off_over"},
        {"shutdown", "brutal_kill", "", "OTP_4_brutal_kill_does_not_ask"},
        {"retention", "6s", "", "HOT_4_each_predecessor_has_its_own_retention"},
        {"watchdog", "1s", "protocol: notify", "a_silent_process_is_aborted_and_started_again"},
        {"max_draining", "2", "", "R4_more_predecessors_than_may_drain_cost_the_oldest"},
        {"handover_data_wait", "4s", "", "SHUT_9_the_limit_of_a_hot_swap_ends_the_wait_for_a_state"},
        {"child_migration_timeout", "20s", "", "HOT_6_one_that_hangs_takes_one_place_until_its_own_deadline"},
        {"state_ttl", "60s", "", "COLD_5_a_state_that_grew_too_old_in_a_cold_swap_is_not_delivered"},
        {"state_query_timeout", "4s", "", "SHUT_9_the_limit_of_a_cold_swap_ends_the_query"},
        {"stored_ttl", "1h", "", "STATE_3_a_state_older_than_its_ttl_is_not_loaded_after_a_reboot"},
        {"consent_timeout", "1s", "", "NODE_7_no_answer_within_consent_timeout_means_later"},
        {"consent_retry", "1s", "", "NODE_7_it_is_asked_again_and_forced_after_consent_limit"},
        {"consent_limit", "1h", "", "NODE_7_it_is_asked_again_and_forced_after_consent_limit"},
        {"on_bad_state", "fail", "", "STATE_4_on_bad_state_fail_does_not_start_the_child"},
        {"restore_attempts", "2", "", "STATE_6_a_refused_state_is_given_restore_attempts_times_and_set_aside"},
        {"checkpoint", "true", ARENA, "STATE_7_a_torn_arena_is_put_back_to_its_last_checkpoint"},
        {"checkpoint_every", "1s", BLOB, "STATE_7_the_hub_asks_every_so_often"},
        {"durability", "sync", BLOB, "STATE_7_sync_is_acknowledged_after_the_commit_only"},
        {"mailbox", "{slots: 64, bytes: 512}", "", "calls_are_answered_in_order_by_a_child_that_is_left_alone"},
        {"spare", "true", "", "SPARE_1_a_spare_takes_over_after_a_crash"},
        {"hold", "false", "", "SPARE_2_hold_false_starts_the_successor_after_the_end"},
        {"significant", "true", "restart: transient", "OTP_5_any_significant_ends_the_group_with_the_first"},
        {"zygote", "true", "", "ZYG_1_hot_successors_are_forked_with_state_and_sockets"},
        {"env", "{A: b}", "", "BUG_11_environment_and_folder_of_a_process_are_the_specified_ones"},
        {"env_clear", "true", "", "BUG_11_environment_and_folder_of_a_process_are_the_specified_ones"},
        {"cwd", "/usr", "", "BUG_11_environment_and_folder_of_a_process_are_the_specified_ones"},
        {"on", "{child_running: [/bin/true]}", "", "HOOK_1_commands_run_with_the_event_in_their_environment"},
        {"tags", "[blue]", "", "API_3_children_are_found_by_id_pool_tag_and_meta"},
        {"meta", "{team: x}", "", "API_3_children_are_found_by_id_pool_tag_and_meta"},
        {"redundancy", "{replication: all, mode: active_passive}", "", "REDUN_1_each_node_has_its_instance_and_each_is_told_apart"},
        {"distribution", "round_robin", "", "API_3_what_is_added_is_placed_on_nodes_and_listed_by_them"},
        {"alter", "[/bin/true]", "", "HOOK_3_a_command_changes_variables_arguments_and_folder"},
};

/* Of the file's top and of a socket: the first column of their tables in docs/config.md. */
static const struct option of_hub[] = {
        {"hub", "", "", "what_cannot_be_is_said_at_once"},
        {"children", "", "", "API_4_a_child_of_the_configuration_that_fails_is_visible_and_the_others_run"},
        {"sockets", "", "", "COLD_11_connections_made_while_nobody_runs_are_served"},
        {"defaults", "", "", "SHUT_9_the_limit_of_a_hot_swap_ends_the_wait_for_a_state"},
        {"max_parallel", "", "", "HOT_14_children_migrate_in_parallel_within_the_bound"},
        {"move_retry", "", "", "BUG_5_a_move_that_failed_is_tried_again_with_back_off_until_it_succeeds"},
        {"shutdown_timeout", "", "", "SHUT_9_the_outer_limit_ends_what_an_inner_one_would_wait_for"},
        {"on", "", "", "HOOK_1_commands_run_with_the_event_in_their_environment"},
        {"hook_timeout", "", "", "HOOK_2_slow_failing_and_crashing_commands_harm_nothing"},
        {"strategy", "", "", "OTP_2_rest_for_one_restarts_it_and_those_started_after_it"},
        {"max_restarts", "", "", "OTP_3_a_group_gives_up_and_failed_restarts_count"},
        {"max_seconds", "", "", "OTP_3_a_group_gives_up_and_failed_restarts_count"},
        {"auto_shutdown", "", "", "OTP_5_all_significant_waits_for_the_last"},
        {"restart", "", "", "OTP_5_a_significant_group_ends_the_one_around_it_and_the_hub"},
        {"significant", "", "", "OTP_5_a_significant_group_ends_the_one_around_it_and_the_hub"},
        {"on_end", "", "", "OTP_3_the_end_of_the_outermost_group_can_be_that_of_the_hub"},
        {"groups", "", "", "OTP_2_one_for_all_stops_in_reverse_order_and_starts_in_order"},
        {"nodes", "", "", "NODE_1_the_processes_of_a_node_run_with_what_it_gives"},
        {"distribution", "", "", "NODE_6_migrate_says_what_it_cannot_do_and_does_the_rest"},
        {"weight", "", "", "NODE_1_the_processes_of_a_node_run_with_what_it_gives"},
        {"cpus", "", "", "NODE_1_the_processes_of_a_node_run_with_what_it_gives"},
        {"memory", "", "", NULL}, /* XXX: needs a cgroup that the tests may write to */
        {"nice", "", "", "NODE_1_the_processes_of_a_node_run_with_what_it_gives"},
        {"numa", "", "", NULL}, /* XXX: needs a machine with more than one */
        {"env", "", "", "NODE_1_the_processes_of_a_node_run_with_what_it_gives"},
        {"exec", "", "", "BUG_5_the_one_that_refuses_to_start_there_stays_and_the_command_says_so"},
        {"listen", "", "", "BUG_11_listening_sockets_are_as_specified"},
        {"backlog", "", "", "BUG_11_listening_sockets_are_as_specified"},
        {"mode", "", "", "BUG_11_listening_sockets_are_as_specified"},
        {"reuseport", "", "", "BUG_11_listening_sockets_are_as_specified"},
};

/* ---- the tests there are ---- */

static char *whole_file(const char *path)
{
        FILE *file = fopen(path, "re");
        char *text = NULL;
        size_t bytes = 0;

        assert_non_null(file);
        if (getdelim(&text, &bytes, '\0', file) < 0)
                text[0] = '\0';
        (void)fclose(file);
        return text;
}

/* A function of that name is in a scenario. */
static bool test_exists(const char *name)
{
        DIR *dir = opendir(BATON_SOURCE_DIR "/tests/scenario");
        const struct dirent *entry;
        char path[512], line[256];
        bool found = false;

        assert_non_null(dir);
        (void)snprintf(line, sizeof(line), "\nstatic void %s(void **state)\n", name);
        while (!found && (entry = readdir(dir))) {
                char *text;

                if (strncmp(entry->d_name, "test_", 5) != 0)
                        continue;
                (void)snprintf(path, sizeof(path), BATON_SOURCE_DIR "/tests/scenario/%s", entry->d_name);
                text = whole_file(path);
                found = strstr(text, line) != NULL;
                free(text);
        }
        (void)closedir(dir);
        return found;
}

static const struct option *row_of(const struct option *rows, size_t count, const char *key)
{
        for (size_t i = 0; i < count; i++) {
                if (!strcmp(rows[i].key, key))
                        return &rows[i];
        }
        return NULL;
}

static void BUG_11_every_option_of_a_child_has_a_test(void **state)
{
        size_t count = 0;

        (void)state;
        for (const char *key; (key = bt_read_child_key(count)); count++) {
                if (!row_of(of_child, BT_ARRAY_LEN(of_child), key))
                        fail_msg("the key '%s' of a child has no row here: which test shows what it does?", key);
        }
        assert_int_equal(count, BT_ARRAY_LEN(of_child));
        for (size_t i = 0; i < count; i++) {
                if (!test_exists(of_child[i].test))
                        fail_msg("the key '%s': there is no test %s", of_child[i].key, of_child[i].test);
        }
}

/* The first columns of the tables between two headings of docs/config.md. */
static void check_documented(const char *text, const char *from, const char *to)
{
        const char *at = strstr(text, from), *end = at ? strstr(at, to) : NULL;

        assert_non_null(at);
        assert_non_null(end);
        while (at && (at = strstr(at, "\n| `")) && at < end) {
                char key[64] = "";
                const struct option *row;

                at += strlen("\n| `");
                (void)snprintf(key, sizeof(key), "%.*s", (int)strcspn(at, "`"), at);
                if (strchr(key, ':')) /* a form of an address */
                        continue;
                row = row_of(of_hub, BT_ARRAY_LEN(of_hub), key);
                if (!row)
                        fail_msg("the key '%s' has no row here: which test shows what it does?", key);
                else if (row->test && !test_exists(row->test))
                        fail_msg("the key '%s': there is no test %s", key, row->test);
        }
}

static void BUG_11_every_option_of_the_hub_and_of_a_socket_has_a_test(void **state)
{
        char *text = whole_file(BATON_SOURCE_DIR "/docs/config.md");

        (void)state;
        check_documented(text, "\n## Top level\n", "\n## Sockets\n");
        check_documented(text, "\n## Sockets\n", "\n## Children\n");
        free(text);
}

/* ---- in `defaults` as in the child ---- */

struct compiled {
        void *bytes;
        size_t count;
};

/* Where it was said is the one thing that may differ. */
static void forget_given(struct bt_plan *plan)
{
        struct bt_plan_child *children = (void *)((char *)(plan + 1) + plan->socket_count * sizeof(struct bt_plan_socket));

        for (uint32_t i = 0; i < plan->child_count; i++)
                children[i].given = 0;
}

static struct compiled compile(const char *defaults, const char *keys)
{
        static char *const variables[] = {(char *)"PATH=/bin", (char *)"HOME=/", NULL};
        struct bt_config_world world = {.dir = "/", .environ = variables, .offline = true};
        struct bt_config config = BT_CONFIG_NULL;
        struct compiled got;
        struct bt_diag diag;
        const char *error = NULL;
        char text[1024];
        struct stat st;
        int fd = -1;

        (void)snprintf(text, sizeof(text), "hub: h\nsockets: {s: 'unix:///s', t: 'unix:///t'}\ndefaults: {%s}\nchildren:\n  c: {%s}\n", defaults, keys);
        bt_diag_init(&diag, "app.yaml");
        if (bt_config_parse(&config, &diag, text, strlen(text), &world)) {
                bt_diag_print(&diag, stderr);
                fail_msg("refused: %s", text);
        }
        if (bt_compile(&fd, &config, "/run", "/var", &error))
                fail_msg("%s", error);
        bt_config_free(&config);
        assert_int_equal(fstat(fd, &st), 0);
        got.count = (size_t)st.st_size;
        got.bytes = mmap(NULL, got.count, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
        assert_ptr_not_equal(got.bytes, MAP_FAILED);
        forget_given(got.bytes);
        (void)bt_close(fd);
        return got;
}

static bool same(const struct compiled *a, const struct compiled *b)
{
        return a->count == b->count && !memcmp(a->bytes, b->bytes, a->count);
}

static void every_option_of_a_child_works_in_defaults_as_in_the_child(void **state)
{
        (void)state;
        for (size_t i = 0; i < BT_ARRAY_LEN(of_child); i++) {
                const struct option *o = &of_child[i];
                bool is_exec = !strcmp(o->key, "exec");
                const char *exec = is_exec ? "" : "exec: [/bin/c]", *comma = *o->with && *exec ? ", " : "", *mark = *o->with || *exec ? ", " : "";
                char without[256], with[600], pair[256];
                struct compiled none, own, inherited;

                (void)snprintf(without, sizeof(without), "%s%s%s", exec, comma, o->with);
                (void)snprintf(pair, sizeof(pair), "%s: %s", o->key, o->value);
                (void)snprintf(with, sizeof(with), "%s%s%s", without, mark, pair);
                none = compile("", is_exec ? "exec: [/bin/c]" : without);
                own = compile("", with);
                inherited = compile(pair, without);
                if (same(&none, &own))
                        fail_msg("%s changes nothing", pair);
                if (!same(&own, &inherited))
                        fail_msg("%s is another thing in defaults", pair);
                (void)munmap(none.bytes, none.count);
                (void)munmap(own.bytes, own.count);
                (void)munmap(inherited.bytes, inherited.count);
        }
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(BUG_11_every_option_of_a_child_has_a_test),
                cmocka_unit_test(BUG_11_every_option_of_the_hub_and_of_a_socket_has_a_test),
                cmocka_unit_test(every_option_of_a_child_works_in_defaults_as_in_the_child),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
