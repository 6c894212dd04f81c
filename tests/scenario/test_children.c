/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Children of a running hub: added, found, removed, by the command and against real processes; there again after a restart and after a SIGKILL of
 * the hub. Each child answers by its own id (child_named.c), so "it runs" is always a question that the child itself answers.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "tests/support/command.h"
#include "tests/support/named.h"

#define BASE                                                                                       \
        "hub: w\n"                                                                                 \
        "max_parallel: 32\n"                                                                       \
        "children:\n"                                                                              \
        "  base: {exec: [@bin@/child_named], handover: true, state: blob, env: {NAMED_PLACE: '@dir@'}}\n"

#define ADDED "defaults: {handover: true, state: {form: blob, max: 4KiB}, env: {NAMED_PLACE: '@dir@'}}\n"

/* ---- the children ---- */

/* Fails unless that very child answers, and with that count. */
static void expect_count(const struct world *w, const char *id, int count)
{
        int answer = named_count(w, id);

        if (answer != count)
                fail_msg("%s answers %d, not %d", id, answer, count);
}

static void expect_silence(const struct world *w, const char *id)
{
        assert_int_equal(named_count(w, id), -ECONNREFUSED);
}

static const char *nth(const char *pool, int i)
{
        static char id[64];

        (void)snprintf(id, sizeof(id), "%s/%d", pool, i);
        return id;
}

/* ---- many ---- */

#define MANY (WORLD_SLOWNESS == 1 ? 1000 : 100)

static void API_1_a_thousand_children_are_added_and_removed_as_one_request(void **state)
{
        struct world *w = *state;
        char yaml[512];
        int fds;

        world_limit(WORLD_LIMIT_S * 2);
        (void)snprintf(yaml, sizeof(yaml), ADDED "children:\n  w: {exec: ['@bin@/child_named'], instances: %d}\n", MANY);
        world_file_put(w, "many.yaml", yaml);
        world_start(w, BASE);
        expect_count(w, "base", 1);
        fds = world_fd_count(w->pid);

        RUN(0, MANY == 1000 ? "1000 started" : "100 started", "child", "add", "many.yaml");
        for (int i = 0; i < MANY; i++)
                expect_count(w, nth("w", i), 1);

        RUN(0, MANY == 1000 ? "1000 removed" : "100 removed", "child", "remove", "w",
            "--drop-state");
        for (int i = 0; i < MANY; i += 37)
                expect_silence(w, nth("w", i));
        world_until_fds(w, fds);
        expect_count(w, "base", 2);
        RUN(0, "", "child", "list", "--json");
        assert_null(strstr(said, "w/"));
        world_end(w);
}

/* ---- over the hub's ends ---- */

#define THREE ADDED "children:\n  a: {exec: ['@bin@/child_named'], tags: [one, both], meta: {tier: 1}}\n" \
                    "  b: {exec: ['@bin@/child_named'], instances: 2, tags: [both], meta: {tier: 2}}\n"

static void API_3_what_was_added_is_there_after_a_restart_with_its_state(void **state)
{
        struct world *w = *state;

        world_file_put(w, "three.yaml", THREE);
        world_start(w, BASE);
        RUN(0, "3 started", "child", "add", "three.yaml");
        expect_count(w, "b/1", 1);
        world_stop(w);
        expect_silence(w, "a");
        world_start_again(w);
        expect_count(w, "b/1", 2);
        expect_count(w, "a", 1);
        RUN(0, "\"child\":\"b/1\"", "child", "find", "--tag", "both", "--json");
        RUN(0, "2 removed", "child", "remove", "b/0", "b/1");
        world_stop(w);
        world_start_again(w);
        expect_count(w, "a", 2);
        expect_silence(w, "b/0");
        world_end(w);
}

static void API_3_what_was_added_is_adopted_after_the_hub_was_killed(void **state)
{
        struct world *w = *state;
        struct bt_slot before, after;

        world_file_put(w, "three.yaml", THREE);
        world_start(w, BASE);
        RUN(0, "3 started", "child", "add", "three.yaml");
        expect_count(w, "a", 1);
        world_slot(w, "a", &before);
        world_kill_hub(w);
        expect_count(w, "a", 2); /* it serves on */
        world_start_again(w);
        world_slot(w, "a", &after);
        assert_int_equal(before.pid, after.pid);
        expect_count(w, "a", 3);
        expect_count(w, "b/1", 1);
        RUN(0, "3 removed", "child", "remove", "--tag", "both");
        world_stop(w);
        assert_int_equal(world_reap_orphans(), 4); /* of the first hub: ours to reap */
        world_end(w);
}

static void API_3_a_thousand_are_adopted_after_the_hub_was_killed(void **state)
{
        struct world *w = *state;
        char yaml[512];

        world_limit(WORLD_LIMIT_S * 2);
        (void)snprintf(yaml, sizeof(yaml), ADDED "children:\n  w: {exec: ['@bin@/child_named'], instances: %d}\n", MANY);
        world_file_put(w, "many.yaml", yaml);
        world_start(w, BASE);
        RUN(0, "started", "child", "add", "many.yaml");
        for (int i = 0; i < MANY; i++)
                expect_count(w, nth("w", i), 1);
        world_kill_hub(w);
        world_start_again(w);
        for (int i = 0; i < MANY; i++)
                expect_count(w, nth("w", i), 2);
        RUN(0, MANY == 1000 ? "1000 removed" : "100 removed", "child", "remove", "w");
        world_stop(w);
        assert_int_equal(world_reap_orphans(), MANY + 1);
        world_end(w);
}

static void what_the_configuration_takes_over_is_the_configurations(void **state)
{
        struct world *w = *state;

        world_file_put(w, "three.yaml", THREE);
        world_start(w, BASE);
        RUN(0, "3 started", "child", "add", "three.yaml");
        expect_count(w, "a", 1);
        world_stop(w);
        world_configure(w, BASE "  a: {exec: [@bin@/child_named], handover: true, state: {form: blob, max: 4KiB}, env: {NAMED_PLACE: '@dir@'}}\n");
        world_start_again(w);
        assert_true(world_log_has(w, "a: was added live, and is in the configuration by now"));
        expect_count(w, "a", 2); /* the state is the child's, whoever speaks for it */
        RUN(0, "\"live\":false", "child", "find", "a", "--json");
        world_stop(w);
        world_configure(w, BASE);
        world_start_again(w);
        expect_silence(w, "a"); /* its note was forgotten */
        expect_count(w, "b/0", 1);
        world_end(w);
}

/* ---- results ---- */

static void API_1_each_child_has_its_own_result(void **state)
{
        struct world *w = *state;

        world_file_put(
                w, "mixed.yaml",
                "defaults: {env: {NAMED_PLACE: '@dir@', NAMED_FAIL: bad, NAMED_HANG: slow}}\n"
                "children:\n"
                "  good: {exec: ['@bin@/child_named']}\n"
                "  base: {exec: ['@bin@/child_named']}\n"
                "  bad: {exec: ['@bin@/child_named'], restart: temporary}\n"
                "  slow: {exec: ['@bin@/child_named'], shutdown: brutal_kill}\n"
                "  also: {exec: ['@bin@/child_named']}\n");
        world_start(w, BASE);
        RUN(1, "good: started", "child", "add", "mixed.yaml", "--deadline", WORLD_SHORT);
        expect_said("also: started");
        expect_said("base: already_started: a child of this id is in the configuration");
        expect_said("bad: failed: ended: exit 3");
        expect_said("slow: failed: it did not run within");
        expect_said("2 started, 1 already_started, 2 failed");
        expect_count(w, "good", 1);
        expect_count(w, "base", 1);
        RUN(3, "no such child", "child", "find", "slow");
        RUN(1, "nobody: not_found", "child", "remove", "good", "nobody", "also");
        expect_said("1 not_found, 2 removed");
        expect_silence(w, "good");
        world_end(w);
}

static void API_1_rollback_removes_what_this_request_started(void **state)
{
        struct world *w = *state;

        world_file_put(w, "three.yaml", THREE);
        world_file_put(w, "mixed.yaml",
                       "defaults: {env: {NAMED_PLACE: '@dir@', NAMED_FAIL: bad}}\n"
                       "children:\n"
                       "  good: {exec: ['@bin@/child_named'], instances: 3}\n"
                       "  bad: {exec: ['@bin@/child_named'], restart: temporary}\n");
        world_start(w, BASE);
        RUN(0, "3 started", "child", "add", "three.yaml");
        RUN(1, "good/0: rolled_back", "child", "add", "mixed.yaml", "--on-failure", "rollback");
        expect_said("1 failed, 3 rolled_back");
        expect_silence(w, "good/2");
        expect_count(w, "a", 1);
        world_stop(w);
        world_start_again(w);
        expect_silence(w, "good/0");
        RUN(1, "3 already_started", "child", "add", "three.yaml", "--on-failure", "rollback");
        expect_count(w, "b/0", 1); /* nobody else's children are rolled back */
        world_end(w);
}

/* The number that --json says. */
static void number_said(char number[32])
{
        const char *at = strstr(said, "\"request\":");

        assert_non_null(at);
        (void)snprintf(number, 32, "%.*s", (int)strspn(at + 10, "0123456789"), at + 10);
}

static void API_2_the_result_is_there_whenever_it_is_asked_for(void **state)
{
        struct world *w = *state;
        char number[32];

        world_file_put(w, "three.yaml", THREE);
        world_start(w, BASE);
        RUN(0, "\"event\":\"accepted\"", "child", "add", "three.yaml", "--no-wait", "--json");
        number_said(number);
        for (int i = 0; i < 3; i++) {
                RUN(0, "3 started", "child", "result", number);
        }
        expect_count(w, "a", 1);
        RUN(3, "there is no such request", "child", "result", "1");
        world_end(w);
}

/* A client that gives up changes nothing. */
static void API_2_a_wait_that_ends_leaves_the_request_alone(void **state)
{
        struct world *w = *state;
        char number[32];
        const char *at;

        world_file_put(w, "slow.yaml",
                       "defaults: {env: {NAMED_PLACE: '@dir@', NAMED_HANG: slow}}\n"
                       "children:\n"
                       "  slow: {exec: ['@bin@/child_named'], shutdown: brutal_kill}\n");
        world_start(w, BASE);
        RUN(5, "waits for it", "child", "add", "slow.yaml", "--deadline", WORLD_SHORT, "--timeout",
            "50ms");
        at = strstr(said, "result ");
        assert_non_null(at);
        (void)snprintf(number, sizeof(number), "%.*s", (int)strspn(at + 7, "0123456789"), at + 7);
        RUN(1, "slow: failed: it did not run within", "child", "result", number);
        world_end(w);
}

/* ---- removal ---- */

static void a_removed_child_leaves_its_state_for_the_next_of_its_id(void **state)
{
        struct world *w = *state;

        world_file_put(w, "three.yaml", THREE);
        world_start(w, BASE);
        RUN(0, "3 started", "child", "add", "three.yaml");
        expect_count(w, "a", 1);
        expect_count(w, "a", 2);
        RUN(0, "a: removed", "child", "remove", "a");
        expect_silence(w, "a");
        RUN(1, "a: started", "child", "add", "three.yaml");
        expect_count(w, "a", 3);
        RUN(0, "a: removed", "child", "remove", "a", "--drop-state");
        RUN(1, "a: started", "child", "add", "three.yaml");
        expect_count(w, "a", 1);
        world_end(w);
}

static void a_child_of_the_configuration_that_is_removed_comes_back_at_the_next_start(void **state)
{
        struct world *w = *state;

        world_start(w, BASE);
        expect_count(w, "base", 1);
        RUN(0,
            "base: removed (it is in the configuration, and comes back at the next start of the "
            "hub)",
            "child", "remove", "base");
        expect_silence(w, "base");
        world_stop(w);
        world_start_again(w);
        expect_count(w, "base", 2);
        world_end(w);
}

static void API_3_children_are_found_by_id_pool_tag_and_meta(void **state)
{
        static const struct {
                const char *option, *value;
                const char *found, *not_found;
        } rows[] = {
                {"--tag", "one", "\"a\"", "b/0"}, {"--tag", "both", "b/1", "base"}, {"--meta", "tier=2", "b/0", "\"a\""},
                {"--node", "local", "base", "\"nobody\""},
        };
        struct world *w = *state;

        world_file_put(w, "three.yaml", THREE);
        world_start(w, BASE);
        RUN(0, "3 started", "child", "add", "three.yaml");
        for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
                RUN(0, rows[i].found, "child", "list", "--json", rows[i].option, rows[i].value);
                assert_null(strstr(said, rows[i].not_found));
        }
        RUN(0, "b/1", "child", "find", "b", "--json");
        RUN(3, "no such child", "child", "find", "b/1", "--tag", "one");
        RUN(0, "tier=1", "child", "list");
        world_end(w);
}

/* How often @text is in what was said. */
static int said_count(const char *text)
{
        int count = 0;

        for (const char *at = said; (at = strstr(at, text)); at++)
                count++;
        return count;
}

static void API_3_what_is_added_is_placed_on_nodes_and_listed_by_them(void **state)
{
        struct world *w = *state;

        world_file_put(w, "four.yaml",
                       "defaults: {env: {NAMED_PLACE: '@dir@'}, handover: true, state: blob, "
                       "distribution: round_robin}\n"
                       "children:\n  w: {exec: ['@bin@/child_named'], instances: 4}\n");
        world_start(w, "nodes: {blue: {}, green: {}}\n" BASE);
        RUN(0, "4 started", "child", "add", "four.yaml");
        for (int again = 0; again < 2; again++) {
                RUN(0, "", "child", "list", "--node", "blue", "--json");
                assert_int_equal(said_count("\"pool\":\"w\""), 2);
                RUN(0, "", "child", "list", "--node", "green", "--json");
                assert_int_equal(said_count("\"pool\":\"w\""), 2);
                for (int i = 0; i < 4; i++)
                        expect_count(w, nth("w", i), again + 1);
                if (again)
                        break;
                world_stop(w);
                world_start_again(w);
        }
        RUN(0, "removed", "child", "remove", "--node", "green");
        RUN(3, "no such child", "child", "find", "--node", "green");
        world_end(w);
}

static void a_file_of_children_that_is_none_is_refused_before_the_hub_is_asked(void **state)
{
        struct world *w = *state;

        world_file_put(w, "hub.yaml", BASE);
        world_file_put(w, "socket.yaml",
                       "children:\n  s: {exec: ['@bin@/child_named'], sockets: [http]}\n");
        world_start(w, BASE);
        RUN(2, "'hub' belongs to the hub, which runs already", "child", "add", "hub.yaml");
        RUN(2, "the hub has no socket of the name 'http'", "child", "add", "socket.yaml");
        RUN(2, "expected 'baton child add FILE'", "child", "add");
        RUN(2, "remove which children?", "child", "remove");
        RUN(2, "did you mean 'remove'?", "child", "remov", "a");
        world_end(w);
}

/* ---- under way ---- */

/* A hub that dies in the middle of an add has the children afterwards, once they are noted, and before that none of them. */
static void I8_a_hub_that_is_killed_in_an_add_starts_all_or_none(void **state)
{
        static const struct {
                const char *point;
                bool there;
        } rows[] = {
                {"BATON_KILL_AT=store.notes.before_commit", false},
                {"BATON_KILL_AT=store.notes.after_commit", true},
                {"BATON_KILL_AT=live.noted", true},
                {"BATON_KILL_AT=live.started", true},
                {"BATON_KILL_AT=live.started:3", true},
        };

        for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
                struct world *w;

                if (i)
                        assert_int_equal(world_setup(state), 0);
                w = *state;
                w->row = rows[i].point;
                world_file_put(w, "three.yaml", THREE);
                w->hub_env = rows[i].point;
                world_start(w, BASE);
                RUN(1, "it refused us, or it died", "child", "add", "three.yaml");
                world_await_hub(w, 128 + SIGKILL);
                w->hub_env = NULL;
                world_start_again(w);
                for (int k = 0; k < 3; k++) {
                        const char *id = k == 0 ? "a" : nth("b", k - 1);

                        if (rows[i].there)
                                expect_count(w, id, 1);
                        else
                                expect_silence(w, id);
                }
                RUN(rows[i].there, rows[i].there ? "3 already_started" : "3 started", "child",
                    "add", "three.yaml");
                world_stop(w);
                (void)world_reap_orphans();
                world_end(w);
                if (i + 1 < sizeof(rows) / sizeof(rows[0]))
                        assert_int_equal(world_teardown(state), 0);
        }
}

/* One that dies in the middle of a removal has not answered: the child is there, with its state, or it is gone and its state is kept. */
static void I8_a_hub_that_is_killed_in_a_removal_loses_no_state(void **state)
{
        static const struct {
                const char *point;
                bool there;
        } rows[] = {
                {"BATON_KILL_AT=live.gone", true},
                {"BATON_KILL_AT=store.notes.before_commit:2", true},
                {"BATON_KILL_AT=store.notes.after_commit:2", false},
                {"BATON_KILL_AT=live.forgotten", false},
        };

        for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
                struct world *w;

                if (i)
                        assert_int_equal(world_setup(state), 0);
                w = *state;
                w->row = rows[i].point;
                world_file_put(w, "three.yaml", THREE);
                w->hub_env = rows[i].point;
                world_start(w, BASE);
                RUN(0, "3 started", "child", "add", "three.yaml");
                expect_count(w, "a", 1);
                RUN(1, "it refused us, or it died", "child", "remove", "a");
                world_await_hub(w, 128 + SIGKILL);
                w->hub_env = NULL;
                world_start_again(w);
                if (!rows[i].there) {
                        expect_silence(w, "a");
                        RUN(1, "a: started", "child", "add", "three.yaml");
                }
                expect_count(w, "a", 2);
                world_stop(w);
                (void)world_reap_orphans();
                world_end(w);
                if (i + 1 < sizeof(rows) / sizeof(rows[0]))
                        assert_int_equal(world_teardown(state), 0);
        }
}

static void SHUT_10_children_that_come_during_a_stop_are_refused_with_a_reason(void **state)
{
        struct world *w = *state;

        world_file_put(w, "three.yaml", THREE);
        world_start(w, BASE "  late: {exec: [/bin/sh, -c, 'trap \"\" TERM; echo deaf; exec sleep 1000'], protocol: plain, shutdown: 3s}\n");
        world_log_wait(w, "deaf", 1);
        assert_int_equal(kill(w->pid, SIGTERM), 0);
        world_log_wait(w, "stopping", 1);
        RUN(1, "the hub is stopping", "child", "add", "three.yaml");
        world_await_hub(w, 0);
        world_end(w);
}

static void SHUT_10_a_request_that_a_stop_cuts_short_is_carried_out_at_the_next_start(void **state)
{
        struct world *w = *state;
        char path[256];

        world_script_once(w, path, "once", "NAMED_HANG=slow", "child_named");
        world_file_put(w, "slow.yaml",
                       ADDED "children:\n"
                             "  slow: {exec: ['@dir@/once'], shutdown: brutal_kill, "
                             "child_migration_timeout: 60s}\n");
        world_start(w, BASE);
        RUN(0, "request", "child", "add", "slow.yaml", "--no-wait");
        world_gate_wait(w, "once.once"); /* by its first process, which hangs */
        world_stop(w);
        (void)world_reap_orphans(); /* the script's mkdir, when the script was killed before it saw its end */
        world_start_again(w);
        expect_count(w, "slow", 1);
        world_end(w);
}

#define ROW(name) cmocka_unit_test_setup_teardown(name, world_setup, world_teardown)

int main(void)
{
        const struct CMUnitTest tests[] = {
                ROW(API_1_a_thousand_children_are_added_and_removed_as_one_request),
                ROW(API_3_what_was_added_is_there_after_a_restart_with_its_state),
                ROW(API_3_what_was_added_is_adopted_after_the_hub_was_killed),
                ROW(API_3_a_thousand_are_adopted_after_the_hub_was_killed),
                ROW(what_the_configuration_takes_over_is_the_configurations),
                ROW(API_1_each_child_has_its_own_result),
                ROW(API_1_rollback_removes_what_this_request_started),
                ROW(API_2_the_result_is_there_whenever_it_is_asked_for),
                ROW(API_2_a_wait_that_ends_leaves_the_request_alone),
                ROW(a_removed_child_leaves_its_state_for_the_next_of_its_id),
                ROW(a_child_of_the_configuration_that_is_removed_comes_back_at_the_next_start),
                ROW(API_3_children_are_found_by_id_pool_tag_and_meta),
                ROW(API_3_what_is_added_is_placed_on_nodes_and_listed_by_them),
                ROW(a_file_of_children_that_is_none_is_refused_before_the_hub_is_asked),
                ROW(I8_a_hub_that_is_killed_in_an_add_starts_all_or_none),
                ROW(I8_a_hub_that_is_killed_in_a_removal_loses_no_state),
                ROW(SHUT_10_children_that_come_during_a_stop_are_refused_with_a_reason),
                ROW(SHUT_10_a_request_that_a_stop_cuts_short_is_carried_out_at_the_next_start),
        };

        return cmocka_run_group_tests_name("children of a running hub", tests, NULL, NULL);
}
