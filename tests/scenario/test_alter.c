/* SPDX-License-Identifier: Apache-2.0 */
/*
 * HOOK-3: a command that may change how a child is started. What it can change, when it is asked, that nobody waits for another's, and that one which
 * fails, hangs, crashes or says nonsense changes nothing.
 *
 * The children are shells that say what they were started with; their words are in the hub's log.
 */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "tests/support/command.h"

/* A shell that says what it has: $A, its first argument, its folder. */
#define SHELL(name, keys)                                                                          \
        "  " name ":\n"                                                                            \
        "    exec: [/bin/sh, -c, 'echo \"has $A, $1, $PWD\"; exec sleep 1000', self]\n"            \
        "    protocol: plain\n"                                                                    \
        "    env: {A: plain}\n"                                                                    \
        "    shutdown: brutal_kill\n"                                                              \
        "    cwd: /usr\n" keys

/* It runs in the world's folder, not in that of the hub. */
static void script(const struct world *w, const char *name, const char *text)
{
        char whole[1024];

        (void)snprintf(whole, sizeof(whole), "#!/bin/sh\ncd \"${0%%/*}\" || exit\n%s", text);
        world_program_put(w, name, whole);
}

static void HOOK_3_a_command_changes_variables_arguments_and_folder(void **state)
{
        struct world *w = *state;

        script(w, "alter", "echo \"asked of $BATON_CHILD of $BATON_POOL, $BATON_REASON, $BATON_INCARNATION, $BATON_EXEC, $BATON_CWD, $BATON_STRATEGY,"
                           " $BATON_RESTART, $1\" >&2\n"
                           "printf 'env.A=altered = \\0env.B=\\0arg=more\\0cwd=/\\0'\n");
        world_start(w, "hub: w\ndefaults: {alter: [./alter, word]}\nchildren:\n" SHELL("a", "") SHELL("b", "    alter: none\n"));
        world_log_wait(w, "a | has altered = , more, /", 1);
        world_log_wait(w, "b | has plain, , /usr", 1);
        assert_true(world_log_has(w, "alter a | asked of a of a, fresh, 1, /"));
        assert_true(world_log_has(w, ", /usr, cold, permanent, word"));
        assert_int_equal(world_log_count(w, "asked of"), 1);
        world_end(w);
}

static void HOOK_3_a_command_changes_metadata_and_node(void **state)
{
        struct world *w = *state;
        const char *pid;

        /* To green at first; where it is when it was there already. Its second start says another owner, and nothing of the site. */
        script(w, "alter", "echo \"asked on $BATON_NODE\" >&2\n"
                           "[ $BATON_INCARNATION = 1 ] && printf 'node=green\\0meta.owner=ops\\0meta.site=east = 1\\0' || printf 'meta.owner=dev\\0'\n");
        world_start(w, "hub: w\nnodes: {blue: {env: {A: blue}}, green: {env: {A: green}}}\n"
                       "distribution: {strategy: guided, map: {a: blue, b: blue}}\n"
                       "defaults: {meta: {owner: nobody, team: x}}\nchildren:\n" SHELL("a", "    alter: [./alter]\n") SHELL("b", ""));
        world_log_wait(w, "a | has green, , /usr", 1);
        world_log_wait(w, "b | has blue, , /usr", 1);
        assert_true(world_log_has(w, "alter a | asked on blue"));
        RUN(0, "\"child\":\"a\"", "child", "list", "--meta", "owner=ops", "--json");
        expect_said("\"node\":\"green\"");
        expect_said("\"site\":\"east = 1\"");
        expect_said("\"team\":\"x\""); /* what it does not name stays */
        expect_unsaid("\"child\":\"b\"");
        RUN(0, "", "child", "list", "--meta", "owner=nobody", "--json");
        expect_unsaid("\"child\":\"a\"");
        expect_said("\"child\":\"b\"");
        RUN(0, "from blue to green, by alter", "events");

        /* A restart asks again, is on green, and has what is answered now. */
        RUN(0, "", "child", "find", "a", "--json");
        pid = strstr(said, "\"pid\":");
        assert_non_null(pid);
        assert_int_equal(kill((pid_t)strtol(pid + strlen("\"pid\":"), NULL, 10), SIGKILL), 0);
        world_log_wait(w, "alter a | asked on green", 1);
        world_log_wait(w, "a | has green, , /usr", 2);
        RUN(0, "\"child\":\"a\"", "child", "list", "--meta", "owner=dev", "--json");
        expect_unsaid("site");
        world_end(w);
}

static void HOOK_3_whatever_is_wrong_with_it_is_said_and_the_start_goes_on_as_specified(void **state)
{
        static const struct {
                const char *text, *said;
        } rows[] = {
                {"exit 3", "exit 3"},
                {"kill -9 $$", "signal 9"},
                {"exec sleep 1000", "took longer than hook_timeout (300 ms) and was killed"},
                {"printf 'env.A=x\\0'; exit 1", "exit 1"},
                {"printf 'env.A=x'", "does not end with a NUL byte"},
                {"printf 'env.A=x\\0nonsense\\0'", "record 2 of its answer cannot be used: it begins with none of env. arg= cwd= meta. node="},
                {"printf 'env.=x\\0'", "env. is followed by no NAME="},
                {"printf 'env.A\\0'", "env. is followed by no NAME="},
                {"printf 'env.LISTEN_PID=1\\0'", "the hub itself sets this variable"},
                {"printf 'cwd=usr\\0'", "cwd is not an absolute path"},
                {"printf 'env.A=x\\0meta.=x\\0'", "meta. is followed by no name and ="},
                {"printf 'env.A=x\\0meta.a b=x\\0'", "meta. is followed by no name and ="},
                {"printf 'env.A=x\\0node=nowhere\\0'", "there is no node nowhere that takes children"},
                {"i=0; printf 'env.A=x\\0'; while [ $i -lt 33 ]; do printf \"meta.k$i=x\\0\"; i=$((i + 1)); done", "more than 32 keys in meta"},
                {"exec head -c 65537 /dev/zero", "has more than 65536 bytes"},
                {"while :; do echo; done", "has more than 65536 bytes"},
                {"i=0; while [ $i -lt 257 ]; do printf 'arg=x\\0'; i=$((i + 1)); done", "record 257 of its answer cannot be used: there are more than 256"},
        };
        struct world *w = *state;

        for (size_t i = 0; i < BT_ARRAY_LEN(rows); i++) {
                w->row = rows[i].text;
                script(w, "alter", rows[i].text);
                if (!i)
                        world_start(w, "hub: w\nhook_timeout: 300ms\nchildren:\n" SHELL("a", "    alter: [./alter]\n"));
                else
                        world_start_again(w);
                world_log_wait(w, "a | has plain, , /usr", (int)i + 1);
                assert_true(world_log_has(w, rows[i].said));
                assert_int_equal(world_log_count(w, "; it is started as specified"), (int)i + 1);
                world_stop(w);
        }
        w->row = NULL;
        world_start_again(w);
        world_end(w);
}

/* In the environment of process @pid. */
static bool has_variable(pid_t pid, const char *variable)
{
        char path[64], text[16384];
        ssize_t n;
        int fd;

        (void)snprintf(path, sizeof(path), "/proc/%d/environ", (int)pid);
        fd = open(path, O_RDONLY | O_CLOEXEC);
        assert_true(fd >= 0);
        n = read(fd, text, sizeof(text));
        (void)close(fd);
        for (const char *at = text; at < text + n; at += strlen(at) + 1) {
                if (!strcmp(at, variable))
                        return true;
        }
        return false;
}

/* Asked before each start that is not a swap's; a successor has what its predecessor had; a hub that adopts asks for what it does not know. */
static void HOOK_3_restarts_are_asked_for_and_successors_have_what_their_predecessors_had(void **state)
{
        struct world *w = *state;
        struct bt_slot slot;
        pid_t first;

        script(w, "alter", "echo >>count\nprintf 'env.ROUND=%d\\0' $(wc -l <count)\necho \"asked, $BATON_REASON\" >&2\n");
        world_start(w, WORLD_KV "    cwd: '@dir@'\n    env: {ROUND: none}\n    alter: [./alter]\n");
        world_slot(w, "kv", &slot);
        assert_true(has_variable(slot.pid, "ROUND=1"));
        world_swap(w, "kv", "kv-v2-testing", BT_STRATEGY_HOT);
        world_slot(w, "kv", &slot);
        assert_true(has_variable(slot.pid, "ROUND=1"));
        world_swap(w, "kv", "kv-v1-testing", BT_STRATEGY_COLD);
        world_slot(w, "kv", &slot);
        assert_true(has_variable(slot.pid, "ROUND=1"));
        assert_int_equal(world_log_count(w, "asked, "), 1);

        assert_int_equal(kill(slot.pid, SIGKILL), 0);
        world_until(w, "kv", BT_PHASE_RUNNING, slot.incarnation, &slot);
        assert_true(has_variable(slot.pid, "ROUND=2"));
        world_log_wait(w, "asked, crash", 1);

        first = slot.pid;
        world_kill_hub(w);
        world_start_again(w);
        world_log_wait(w, "asked, crash", 2);
        world_swap(w, "kv", "kv-v2-testing", BT_STRATEGY_HOT);
        world_slot(w, "kv", &slot);
        assert_true(slot.pid != first && has_variable(slot.pid, "ROUND=3"));
        assert_int_equal(world_wait(first), 0);
        world_end(w);
}

/* What waits shows itself; the others run meanwhile; 20 at once are no more than 8 processes, and all come to their end. */
static void HOOK_3_a_child_that_waits_for_its_command_shows_it_and_holds_nobody_up(void **state)
{
        struct world *w = *state;
        struct bt_slot slot;
        char path[128], id[24];
        int fd;

        (void)snprintf(path, sizeof(path), "%s/gate", w->dir);
        assert_int_equal(mkfifo(path, 0600), 0);
        fd = open(path, O_RDWR | O_CLOEXEC);
        assert_true(fd >= 0);
        script(w, "slow", "read line <gate\nprintf 'env.A=late\\0'\n");
        script(w, "quick", "printf 'env.A=%s\\0' $BATON_CHILD\n");
        world_configure(w, "hub: w\nhook_timeout: 100s\nchildren:\n" SHELL("a", "    alter: [./slow]\n")
                                SHELL("many", "    instances: 20\n    alter: [./quick]\n"));
        /* Not before the gate is open is the hub ready. */
        world_start_unready(w);
        world_log_wait(w, "has many/", 20);
        world_slot(w, "a", &slot);
        assert_int_equal(slot.phase, BT_PHASE_STARTING);
        assert_int_equal(slot.pid, 0);
        assert_string_equal(slot.note, "waits for its alter command");
        assert_int_equal(write(fd, "\n", 1), 1);
        world_log_wait(w, "a | has late, , /usr", 1);
        for (int i = 0; i < 20; i++) {
                (void)snprintf(id, sizeof(id), "many/%d", i);
                world_slot(w, id, &slot);
                assert_int_equal(slot.phase, BT_PHASE_RUNNING);
        }
        (void)close(fd);
        world_end(w);
}

static void HOOK_3_a_stop_does_not_wait_for_a_command(void **state)
{
        struct world *w = *state;

        script(w, "slow", "echo asked >&2\nexec sleep 1000\n");
        world_configure(w, "hub: w\nhook_timeout: 1000s\nchildren:\n" SHELL("a", "    alter: [./slow]\n") SHELL("b", ""));
        world_start_unready(w);
        world_log_wait(w, "alter a | asked", 1);
        world_end(w);
}

int main(void)
{
#define SCENARIO(name) cmocka_unit_test_setup_teardown(name, world_setup, world_teardown)
        const struct CMUnitTest tests[] = {
                SCENARIO(HOOK_3_a_command_changes_variables_arguments_and_folder),
                SCENARIO(HOOK_3_a_command_changes_metadata_and_node),
                SCENARIO(HOOK_3_whatever_is_wrong_with_it_is_said_and_the_start_goes_on_as_specified),
                SCENARIO(HOOK_3_restarts_are_asked_for_and_successors_have_what_their_predecessors_had),
                SCENARIO(HOOK_3_a_child_that_waits_for_its_command_shows_it_and_holds_nobody_up),
                SCENARIO(HOOK_3_a_stop_does_not_wait_for_a_command),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
