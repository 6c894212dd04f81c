/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Children of a running hub: added, found, removed, by the command and against real processes; there again after a restart and after a SIGKILL of
 * the hub. Each child answers by its own id (child_named.c), so "it runs" is always a question that the child itself answers.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/fd.h"
#include "tests/support/world.h"

#define BASE                                                                                       \
        "hub: w\n"                                                                                 \
        "max_parallel: 32\n"                                                                       \
        "children:\n"                                                                              \
        "  base: {exec: [@bin@/child_named], handover: true, state: blob, env: {NAMED_PLACE: '@dir@'}}\n"

#define ADDED "defaults: {handover: true, state: {form: blob, max: 4KiB}, env: {NAMED_PLACE: '@dir@'}}\n"

/* ---- the command ---- */

struct said {
        int status;
        char text[1 << 18];
};

static struct said said;

/* `baton child ..`; the words end with NULL. What it says, both outputs, is in @said. */
static void child(const struct world *w, const char *const *words)
{
        char program[640];
        char *argv[16] = {program, (char[]){"child"}, NULL};
        size_t n = 2;

        world_program(w, program, "baton");
        while (*words)
                argv[n++] = (char *)(uintptr_t)*words++;
        argv[n++] = (char[]){"--hub=w"};
        argv[n] = NULL;
        said.status = world_wait(world_spawn(w, argv, "said"));
        world_read(w, "said", said.text, sizeof(said.text));
}

#define CHILD(...) child(w, (const char *const[]){__VA_ARGS__, NULL})

static void expect(int status, const char *text)
{
        if (said.status != status || !strstr(said.text, text))
                fail_msg("exit status %d, expected %d with '%s'; it said:\n%.3000s", said.status, status, text, said.text);
}

/* A file of the world's directory, with its words filled in as in a configuration; before the configuration itself is written. */
static void file_put(const struct world *w, const char *name, const char *text)
{
        char from[128], to[128];

        world_configure(w, text);
        (void)snprintf(from, sizeof(from), "%s/app.yaml", w->dir);
        (void)snprintf(to, sizeof(to), "%s/%s", w->dir, name);
        assert_int_equal(rename(from, to), 0);
}

/* ---- the children ---- */

/* A connection to the child of that id, or -errno. */
static int dial(const struct world *w, const char *id)
{
        struct sockaddr_un un = {.sun_family = AF_UNIX};
        int n = snprintf(un.sun_path + 1, sizeof(un.sun_path) - 1, "%s/%s", w->dir, id);
        int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

        assert_true(fd >= 0);
        if (connect(fd, (struct sockaddr *)&un, (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + (size_t)n)) == 0)
                return fd;
        n = -errno;
        (void)close(fd);
        return n;
}

/* Fails unless that very child answers, and with that count. */
static void expect_count(const struct world *w, const char *id, int count)
{
        char line[128], want[128];
        int fd = dial(w, id);
        ssize_t n;

        if (fd < 0)
                fail_msg("%s does not answer: %s", id, strerrordesc_np(-fd));
        n = read(fd, line, sizeof(line) - 1);
        (void)close(fd);
        line[n > 0 ? n : 0] = '\0';
        (void)snprintf(want, sizeof(want), "%s %d\n", id, count);
        assert_string_equal(line, want);
}

static void expect_silence(const struct world *w, const char *id)
{
        int fd = dial(w, id);

        if (fd >= 0)
                fail_msg("%s answers, and should not be there", id);
        assert_int_equal(fd, -ECONNREFUSED);
}

static const char *nth(const char *pool, int i)
{
        static char id[64];

        (void)snprintf(id, sizeof(id), "%s/%d", pool, i);
        return id;
}

static int setup(void **state)
{
        int r = world_setup(state);
        const struct world *w = *state;
        char runtime[128];

        (void)snprintf(runtime, sizeof(runtime), "%s/run", w->dir);
        return r || setenv("BATON_RUNTIME_DIR", runtime, 1); /* one thread: NOLINT(concurrency-mt-unsafe) */
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
        file_put(w, "many.yaml", yaml);
        world_start(w, BASE);
        expect_count(w, "base", 1);
        fds = world_fd_count(w->pid);

        CHILD("add", "many.yaml");
        expect(0, MANY == 1000 ? "1000 started" : "100 started");
        for (int i = 0; i < MANY; i++)
                expect_count(w, nth("w", i), 1);

        CHILD("remove", "w", "--drop-state");
        expect(0, MANY == 1000 ? "1000 removed" : "100 removed");
        for (int i = 0; i < MANY; i += 37)
                expect_silence(w, nth("w", i));
        world_until_fds(w, fds);
        expect_count(w, "base", 2);
        CHILD("list", "--json");
        assert_null(strstr(said.text, "w/"));
        world_end(w);
}

/* ---- over the hub's ends ---- */

#define THREE ADDED "children:\n  a: {exec: ['@bin@/child_named'], tags: [one, both], meta: {tier: 1}}\n" \
                    "  b: {exec: ['@bin@/child_named'], instances: 2, tags: [both], meta: {tier: 2}}\n"

static void API_3_what_was_added_is_there_after_a_restart_with_its_state(void **state)
{
        struct world *w = *state;

        file_put(w, "three.yaml", THREE);
        world_start(w, BASE);
        CHILD("add", "three.yaml");
        expect(0, "3 started");
        expect_count(w, "b/1", 1);
        world_stop(w);
        expect_silence(w, "a");
        world_start_again(w);
        expect_count(w, "b/1", 2);
        expect_count(w, "a", 1);
        CHILD("find", "--tag", "both", "--json");
        expect(0, "\"child\":\"b/1\"");
        CHILD("remove", "b/0", "b/1");
        expect(0, "2 removed");
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

        file_put(w, "three.yaml", THREE);
        world_start(w, BASE);
        CHILD("add", "three.yaml");
        expect(0, "3 started");
        expect_count(w, "a", 1);
        world_slot(w, "a", &before);
        world_kill_hub(w);
        expect_count(w, "a", 2); /* it serves on */
        world_start_again(w);
        world_slot(w, "a", &after);
        assert_int_equal(before.pid, after.pid);
        expect_count(w, "a", 3);
        expect_count(w, "b/1", 1);
        CHILD("remove", "--tag", "both");
        expect(0, "3 removed");
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
        file_put(w, "many.yaml", yaml);
        world_start(w, BASE);
        CHILD("add", "many.yaml");
        expect(0, "started");
        for (int i = 0; i < MANY; i++)
                expect_count(w, nth("w", i), 1);
        world_kill_hub(w);
        world_start_again(w);
        for (int i = 0; i < MANY; i++)
                expect_count(w, nth("w", i), 2);
        CHILD("remove", "w");
        expect(0, MANY == 1000 ? "1000 removed" : "100 removed");
        world_stop(w);
        assert_int_equal(world_reap_orphans(), MANY + 1);
        world_end(w);
}

static void what_the_configuration_takes_over_is_the_configurations(void **state)
{
        struct world *w = *state;

        file_put(w, "three.yaml", THREE);
        world_start(w, BASE);
        CHILD("add", "three.yaml");
        expect_count(w, "a", 1);
        world_stop(w);
        world_configure(w, BASE "  a: {exec: [@bin@/child_named], handover: true, state: {form: blob, max: 4KiB}, env: {NAMED_PLACE: '@dir@'}}\n");
        world_start_again(w);
        assert_true(world_log_has(w, "a: was added live, and is in the configuration by now"));
        expect_count(w, "a", 2); /* the state is the child's, whoever speaks for it */
        CHILD("find", "a", "--json");
        expect(0, "\"live\":false");
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

        file_put(w, "mixed.yaml",
                 "defaults: {env: {NAMED_PLACE: '@dir@', NAMED_FAIL: bad, NAMED_HANG: slow}}\n"
                 "children:\n"
                 "  good: {exec: ['@bin@/child_named']}\n"
                 "  base: {exec: ['@bin@/child_named']}\n"
                 "  bad: {exec: ['@bin@/child_named'], restart: temporary}\n"
                 "  slow: {exec: ['@bin@/child_named'], shutdown: brutal_kill}\n"
                 "  also: {exec: ['@bin@/child_named']}\n");
        world_start(w, BASE);
        CHILD("add", "mixed.yaml", "--deadline", WORLD_SHORT);
        expect(1, "good: started");
        expect(1, "also: started");
        expect(1, "base: already_started: a child of this id is in the configuration");
        expect(1, "bad: failed: ended: exit 3");
        expect(1, "slow: failed: it did not run within");
        expect(1, "2 started, 1 already_started, 2 failed");
        expect_count(w, "good", 1);
        expect_count(w, "base", 1);
        CHILD("find", "slow");
        expect(3, "no such child");
        CHILD("remove", "good", "nobody", "also");
        expect(1, "nobody: not_found");
        expect(1, "1 not_found, 2 removed");
        expect_silence(w, "good");
        world_end(w);
}

static void API_1_rollback_removes_what_this_request_started(void **state)
{
        struct world *w = *state;

        file_put(w, "three.yaml", THREE);
        file_put(w, "mixed.yaml",
                 "defaults: {env: {NAMED_PLACE: '@dir@', NAMED_FAIL: bad}}\n"
                 "children:\n"
                 "  good: {exec: ['@bin@/child_named'], instances: 3}\n"
                 "  bad: {exec: ['@bin@/child_named'], restart: temporary}\n");
        world_start(w, BASE);
        CHILD("add", "three.yaml");
        CHILD("add", "mixed.yaml", "--on-failure", "rollback");
        expect(1, "good/0: rolled_back");
        expect(1, "1 failed, 3 rolled_back");
        expect_silence(w, "good/2");
        expect_count(w, "a", 1);
        world_stop(w);
        world_start_again(w);
        expect_silence(w, "good/0");
        CHILD("add", "three.yaml", "--on-failure", "rollback");
        expect(1, "3 already_started");
        expect_count(w, "b/0", 1); /* nobody else's children are rolled back */
        world_end(w);
}

/* The number that --json says. */
static void number_said(char number[32])
{
        const char *at = strstr(said.text, "\"request\":");

        assert_non_null(at);
        (void)snprintf(number, 32, "%.*s", (int)strspn(at + 10, "0123456789"), at + 10);
}

static void API_2_the_result_is_there_whenever_it_is_asked_for(void **state)
{
        struct world *w = *state;
        char number[32];

        file_put(w, "three.yaml", THREE);
        world_start(w, BASE);
        CHILD("add", "three.yaml", "--no-wait", "--json");
        expect(0, "\"event\":\"accepted\"");
        number_said(number);
        for (int i = 0; i < 3; i++) {
                CHILD("result", number);
                expect(0, "3 started");
        }
        expect_count(w, "a", 1);
        CHILD("result", "1");
        expect(3, "there is no such request");
        world_end(w);
}

/* A client that gives up changes nothing. */
static void API_2_a_wait_that_ends_leaves_the_request_alone(void **state)
{
        struct world *w = *state;
        char number[32];
        const char *at;

        file_put(w, "slow.yaml",
                 "defaults: {env: {NAMED_PLACE: '@dir@', NAMED_HANG: slow}}\n"
                 "children:\n"
                 "  slow: {exec: ['@bin@/child_named'], shutdown: brutal_kill}\n");
        world_start(w, BASE);
        CHILD("add", "slow.yaml", "--deadline", WORLD_SHORT, "--timeout", "50ms");
        expect(5, "waits for it");
        at = strstr(said.text, "result ");
        assert_non_null(at);
        (void)snprintf(number, sizeof(number), "%.*s", (int)strspn(at + 7, "0123456789"), at + 7);
        CHILD("result", number);
        expect(1, "slow: failed: it did not run within");
        world_end(w);
}

/* ---- removal ---- */

static void a_removed_child_leaves_its_state_for_the_next_of_its_id(void **state)
{
        struct world *w = *state;

        file_put(w, "three.yaml", THREE);
        world_start(w, BASE);
        CHILD("add", "three.yaml");
        expect_count(w, "a", 1);
        expect_count(w, "a", 2);
        CHILD("remove", "a");
        expect(0, "a: removed");
        expect_silence(w, "a");
        CHILD("add", "three.yaml");
        expect(1, "a: started");
        expect_count(w, "a", 3);
        CHILD("remove", "a", "--drop-state");
        expect(0, "a: removed");
        CHILD("add", "three.yaml");
        expect_count(w, "a", 1);
        world_end(w);
}

static void a_child_of_the_configuration_that_is_removed_comes_back_at_the_next_start(void **state)
{
        struct world *w = *state;

        world_start(w, BASE);
        expect_count(w, "base", 1);
        CHILD("remove", "base");
        expect(0, "base: removed (it is in the configuration, and comes back at the next start of the hub)");
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

        file_put(w, "three.yaml", THREE);
        world_start(w, BASE);
        CHILD("add", "three.yaml");
        for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
                CHILD("list", "--json", rows[i].option, rows[i].value);
                expect(0, rows[i].found);
                assert_null(strstr(said.text, rows[i].not_found));
        }
        CHILD("find", "b", "--json");
        expect(0, "b/1");
        CHILD("find", "b/1", "--tag", "one");
        expect(3, "no such child");
        CHILD("list");
        expect(0, "tier=1");
        world_end(w);
}

/* How often @text is in what was said. */
static int said_count(const char *text)
{
        int count = 0;

        for (const char *at = said.text; (at = strstr(at, text)); at++)
                count++;
        return count;
}

static void API_3_what_is_added_is_placed_on_nodes_and_listed_by_them(void **state)
{
        struct world *w = *state;

        file_put(w, "four.yaml",
                 "defaults: {env: {NAMED_PLACE: '@dir@'}, handover: true, state: blob, distribution: round_robin}\n"
                 "children:\n  w: {exec: ['@bin@/child_named'], instances: 4}\n");
        world_start(w, "nodes: {blue: {}, green: {}}\n" BASE);
        CHILD("add", "four.yaml");
        expect(0, "4 started");
        for (int again = 0; again < 2; again++) {
                CHILD("list", "--node", "blue", "--json");
                assert_int_equal(said_count("\"pool\":\"w\""), 2);
                CHILD("list", "--node", "green", "--json");
                assert_int_equal(said_count("\"pool\":\"w\""), 2);
                for (int i = 0; i < 4; i++)
                        expect_count(w, nth("w", i), again + 1);
                if (again)
                        break;
                world_stop(w);
                world_start_again(w);
        }
        CHILD("remove", "--node", "green");
        expect(0, "removed");
        CHILD("find", "--node", "green");
        expect(3, "no such child");
        world_end(w);
}

static void a_file_of_children_that_is_none_is_refused_before_the_hub_is_asked(void **state)
{
        struct world *w = *state;

        file_put(w, "hub.yaml", BASE);
        file_put(w, "socket.yaml", "children:\n  s: {exec: ['@bin@/child_named'], sockets: [http]}\n");
        world_start(w, BASE);
        CHILD("add", "hub.yaml");
        expect(2, "'hub' belongs to the hub, which runs already");
        CHILD("add", "socket.yaml");
        expect(2, "the hub has no socket of the name 'http'");
        CHILD("add");
        expect(2, "expected 'baton child add FILE'");
        CHILD("remove");
        expect(2, "remove which children?");
        CHILD("remov", "a");
        expect(2, "did you mean 'remove'?");
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
                        assert_int_equal(setup(state), 0);
                w = *state;
                w->row = rows[i].point;
                file_put(w, "three.yaml", THREE);
                w->hub_env = rows[i].point;
                world_start(w, BASE);
                CHILD("add", "three.yaml");
                expect(1, "it refused us, or it died");
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
                CHILD("add", "three.yaml");
                expect(rows[i].there, rows[i].there ? "3 already_started" : "3 started");
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
                        assert_int_equal(setup(state), 0);
                w = *state;
                w->row = rows[i].point;
                file_put(w, "three.yaml", THREE);
                w->hub_env = rows[i].point;
                world_start(w, BASE);
                CHILD("add", "three.yaml");
                expect(0, "3 started");
                expect_count(w, "a", 1);
                CHILD("remove", "a");
                expect(1, "it refused us, or it died");
                world_await_hub(w, 128 + SIGKILL);
                w->hub_env = NULL;
                world_start_again(w);
                if (!rows[i].there) {
                        expect_silence(w, "a");
                        CHILD("add", "three.yaml");
                        expect(1, "a: started");
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

        file_put(w, "three.yaml", THREE);
        world_start(w, BASE "  late: {exec: [/bin/sh, -c, 'trap \"\" TERM; echo deaf; exec sleep 1000'], protocol: plain, shutdown: 3s}\n");
        world_log_wait(w, "deaf", 1);
        assert_int_equal(kill(w->pid, SIGTERM), 0);
        world_log_wait(w, "stopping", 1);
        CHILD("add", "three.yaml");
        expect(1, "the hub is stopping");
        world_await_hub(w, 0);
        world_end(w);
}

static void SHUT_10_a_request_that_a_stop_cuts_short_is_carried_out_at_the_next_start(void **state)
{
        struct world *w = *state;
        char path[256];

        world_script_once(w, path, "once", "NAMED_HANG=slow", "child_named");
        file_put(w, "slow.yaml",
                 ADDED "children:\n"
                       "  slow: {exec: ['@dir@/once'], shutdown: brutal_kill, child_migration_timeout: 60s}\n");
        world_start(w, BASE);
        CHILD("add", "slow.yaml", "--no-wait");
        expect(0, "request");
        world_gate_wait(w, "once.once"); /* by its first process, which hangs */
        world_stop(w);
        (void)world_reap_orphans(); /* the script's mkdir, when the script was killed before it saw its end */
        world_start_again(w);
        expect_count(w, "slow", 1);
        world_end(w);
}

#define ROW(name) cmocka_unit_test_setup_teardown(name, setup, world_teardown)

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
