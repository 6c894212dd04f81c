/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Replicated children on nodes that come and go, and whether ever two are active. Each active instance holds a lock (child_replica.c): the kernel is the judge, and
 * one that finds it taken leaves a file that no test may find. The tests try to make two: by stopping the active one, by killing the hub
 * at the instruction that matters, by killing both.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "tests/support/command.h"
#include "tests/support/door.h"

#define HEAD                                                                                       \
        "hub: w\n"                                                                                 \
        "defaults: {env: {REPLICA_AT: '@dir@'}, max_restarts: forever, handover_data_wait: " WORLD_SHORT "}\n"
#define BLUE_GREEN "nodes: {blue: {}, green: {}}\n"
#define TIMER(more)                                                                                \
        "children:\n"                                                                              \
        "  timer: {exec: ['@bin@/child_replica'], redundancy: {replication: all, mode: active_passive}" more "}\n"

/* How many children of @pool run, as status has it. */
static int instances(const struct world *w, const char *pool)
{
        char text[96];

        RUN(0, "\"hub\"", "status", "--json");
        (void)snprintf(text, sizeof(text), "\"child\":\"%s@", pool);
        return said_times(text);
}

/* ---- the instances ---- */

struct answer {
        char mode[16];
        int pid;
        char child[64], node[64], first[16], version[16];
};

/* One request; 0, or -errno of the connection. */
static int try_ask(const struct world *w, const char *id, struct answer *ret)
{
        char line[512], who[64];
        int r = door_ask(w->dir, id, line, sizeof(line));

        if (r)
                return r;
        /* The child's own numbers: they fit. NOLINTNEXTLINE(cert-err34-c) */
        if (sscanf(line, "%63s %15s %d %63s %63s %15s %15s", who, ret->mode, &ret->pid, ret->child, ret->node, ret->first, ret->version) != 7 ||
            strcmp(who, id) != 0)
                fail_msg("%s answers '%s'", id, line);
        return 0;
}

/* The listener is kept by the hub: while its process is replaced a question waits, or is asked again when the process died with it. */
static void ask(const struct world *w, const char *id, struct answer *ret)
{
        int r = try_ask(w, id, ret);

        while (r == -ECONNRESET)
                r = try_ask(w, id, ret);
        if (r)
                fail_msg("%s refuses: %s", id, strerrordesc_np(-r));
}

static bool is_active(const struct answer *answer)
{
        return !strcmp(answer->mode, "active");
}

/* The one of @ids that is active; fails unless there is exactly one, and ever was. */
static const char *the_active(const struct world *w, const char *const *ids, struct answer *ret)
{
        const char *found = NULL;
        char path[128];

        for (; *ids; ids++) {
                struct answer answer;

                ask(w, *ids, &answer);
                if (is_active(&answer) && found)
                        fail_msg("%s and %s are active", found, *ids);
                if (is_active(&answer)) {
                        found = *ids;
                        *ret = answer;
                }
        }
        (void)snprintf(path, sizeof(path), "%s/two-active", w->dir);
        if (!found || access(path, F_OK) == 0)
                fail_msg("%s", found ? "two were active at once" : "nobody is active");
        return found;
}

#define ACTIVE(ret, ...) the_active(w, (const char *const[]){__VA_ARGS__, NULL}, ret)

/* What a killed hub left, and another one has ended since, is ours to reap. */
static void end_adopted(struct world *w)
{
        world_stop(w);
        (void)world_reap_orphans();
        world_end(w);
}

/* ---- so many, on the nodes that are due ---- */

static void REDUN_1_each_node_has_its_instance_and_each_is_told_apart(void **state)
{
        struct world *w = *state;
        struct answer answer;

        world_start(w, HEAD "nodes: {blue: {}, green: {}, red: {}}\n"
                            "children:\n"
                            "  one: {exec: ['@bin@/child_replica'], redundancy: singularity}\n"
                            "  two: {exec: ['@bin@/child_replica'], redundancy: replication}\n"
                            "  all: {exec: ['@bin@/child_replica'], redundancy: {replication: all}, instances: 2}\n"
                            "  old: {exec: ['@bin@/child_named'], protocol: baton, redundancy: {replication: 1}, env: {NAMED_PLACE: '@dir@'}}\n");
        assert_int_equal(instances(w, "one") + said_times("\"child\":\"one\""), 1);
        assert_int_equal(instances(w, "two"), 2);
        assert_int_equal(instances(w, "all/0"), 3);
        assert_int_equal(instances(w, "all/1"), 3);
        assert_int_equal(instances(w, "old"), 1);
        assert_int_equal(said_times("\"mode\":\"active\""), 2 + 6 + 1);

        ask(w, "all/1@green", &answer);
        assert_string_equal(answer.child, "all/1@green");
        assert_string_equal(answer.node, "green");
        assert_string_equal(answer.first, "active");
        assert_string_equal(answer.mode, "active");
        ask(w, "one", &answer);
        assert_string_equal(answer.child, "-");
        assert_string_equal(answer.mode, "single");

        RUN(0, "all/0@red", "child", "find", "all");
        assert_int_equal(said_times("all/"), 6);
        RUN(0, "running, active", "status");
        RUN(1, "stays on its node", "node", "migrate", "all/0@red", "blue");
        RUN(0, "committed", "swap", "all/0@red");
        RUN(0, "\"all/0@red\"", "events", "--json");
        world_end(w);
}

static void REDUN_1_all_follows_the_nodes_and_the_others_serve_on(void **state)
{
        struct world *w = *state;
        struct answer blue, green, red, after;

        world_start(w, HEAD BLUE_GREEN "children:\n  web: {exec: ['@bin@/child_replica'], redundancy: {replication: all}}\n");
        ask(w, "web@blue", &blue);
        ask(w, "web@green", &green);
        RUN(0, "red: joined, 1 moved", "node", "add", "red");
        ask(w, "web@red", &red);
        assert_string_equal(red.node, "red");
        RUN(0, "green: left, 1 moved", "node", "remove", "green");
        assert_int_equal(instances(w, "web"), 2);
        assert_int_equal(try_ask(w, "web@green", &after), -ECONNREFUSED);
        RUN(0, "red: drained, 1 moved", "node", "drain", "red");
        assert_int_equal(instances(w, "web"), 1);
        RUN(0, "red: joined, 1 moved", "node", "add", "red");
        ask(w, "web@red", &after);
        assert_int_not_equal(after.pid, red.pid);
        ask(w, "web@blue", &after);
        assert_int_equal(after.pid, blue.pid);
        world_end(w);
}

static void REDUN_1_fewer_nodes_than_instances_is_said_and_made_good(void **state)
{
        struct world *w = *state;
        struct answer blue, green;

        world_start(w, HEAD "nodes: {blue: {}}\nchildren:\n  web: {exec: ['@bin@/child_replica'], redundancy: {replication: 2}}\n");
        RUN(0, "1 of 2 instances: there are no more nodes", "status");
        ask(w, "web@blue", &blue);
        RUN(0, "green: joined, 1 moved", "node", "add", "green");
        ask(w, "web@green", &green);
        RUN(0, "web@green", "status");
        assert_null(strstr(said, "there are no more nodes"));

        /* Whether red gets one is the hash's; how many there are is not. */
        RUN(0, "red: joined", "node", "add", "red");
        while (instances(w, "web") != 2) /* the one that is too many ends when red's runs */
                ;
        RUN(0, "blue: left", "node", "remove", "blue");
        assert_int_equal(instances(w, "web"), 2);
        RUN(0, "web@red", "child", "find", "web");
        assert_non_null(strstr(said, "web@green"));
        RUN(0, "green: left", "node", "remove", "green");
        RUN(0, "1 of 2 instances: there are no more nodes", "status");
        world_end(w);
}

/* ---- exactly one is active ---- */

/* In what the hub has said of events: how far in @text is after @from; fails when it is not there. */
static size_t place_of(const char *text, size_t from)
{
        const char *at = strstr(said + from, text);

        if (!at)
                fail_msg("the events have no '%s' after %zu:\n%.3000s", text, from, said + from);
        return (size_t)(at - said);
}

static void REDUN_1_the_next_is_active_before_the_one_that_died_is_started_again(void **state)
{
        struct world *w = *state;
        size_t ended;

        world_start(w, HEAD "nodes: {blue: {}, green: {}, red: {}}\n" TIMER(""));
        for (int round = 1; round <= 3; round++) {
                struct answer old, now;
                char id[64];

                world_log_wait(w, "| is active", round);
                (void)snprintf(id, sizeof(id), "%s", ACTIVE(&old, "timer@blue", "timer@green", "timer@red"));
                assert_string_equal(old.first, "passive");
                assert_int_equal(kill(old.pid, SIGKILL), 0);
                world_log_wait(w, "| is active", round + 1);
                ask(w, id, &now); /* waits for its restart */
                assert_int_not_equal(now.pid, old.pid);
                assert_string_equal(now.mode, "passive");
                (void)ACTIVE(&now, "timer@blue", "timer@green", "timer@red");
                assert_int_not_equal(now.pid, old.pid);
        }
        RUN(0, "mode_changed", "events", "--json");
        assert_int_equal(said_times("\"mode_changed\""), 4);
        ended = place_of("\"child_ended\"", 0);
        assert_true(place_of("\"mode_changed\"", ended) < place_of("\"child_starting\"", ended));
        world_end(w);
}

static void REDUN_1_an_active_one_that_is_stopped_is_dead_before_another_begins(void **state)
{
        struct world *w = *state;
        struct answer old, now;
        const char *id, *node;

        world_start(w, HEAD "nodes: {blue: {}, green: {}, red: {}}\n" TIMER(""));
        world_log_wait(w, "| is active", 1);
        id = ACTIVE(&old, "timer@blue", "timer@green", "timer@red");
        node = strchr(id, '@') + 1;
        assert_int_equal(kill(old.pid, SIGSTOP), 0);
        world_until_stopped(old.pid);
        RUN(0, ": left, 1 moved", "node", "remove", node);
        assert_false(world_runs(old.pid));
        assert_true(world_log_has(w, "did not become passive within"));
        world_log_wait(w, "| is active", 2);
        assert_int_equal(instances(w, "timer"), 2);
        if (!strcmp(node, "blue"))
                (void)ACTIVE(&now, "timer@green", "timer@red");
        else
                (void)ACTIVE(&now, "timer@blue", !strcmp(node, "red") ? "timer@green" : "timer@red");
        world_end(w);
}

static void REDUN_1_one_that_does_not_stop_or_begin_is_killed(void **state)
{
        struct world *w = *state;
        struct answer old, now;

        world_start(w, HEAD BLUE_GREEN TIMER(", env: {REPLICA_STUCK: timer@blue}"));
        world_log_wait(w, "| is active", 1);
        if (!strcmp(ACTIVE(&old, "timer@blue", "timer@green"), "timer@green")) {
                assert_int_equal(kill(old.pid, SIGKILL), 0);
                world_log_wait(w, "timer@blue | is active", 1);
        }
        RUN(0, "committed", "swap", "timer@blue"); /* it never comes back from becoming passive */
        world_log_wait(w, "timer@green | is active", 1);
        assert_string_equal(ACTIVE(&now, "timer@blue", "timer@green"), "timer@green");

        /* The next to begin is stopped: it is killed, and whoever comes back first begins. */
        ask(w, "timer@blue", &old);
        assert_int_equal(kill(old.pid, SIGSTOP), 0);
        world_until_stopped(old.pid);
        assert_int_equal(kill(now.pid, SIGKILL), 0);
        world_log_wait(w, "did not become active within", 1);
        while (try_ask(w, "timer@green", &now) || (!is_active(&now) && (try_ask(w, "timer@blue", &now) || !is_active(&now))))
                ;
        (void)ACTIVE(&now, "timer@blue", "timer@green");
        world_end(w);
}

static void REDUN_1_the_active_one_of_a_killed_hub_stays_it_and_a_dead_one_is_followed(void **state)
{
        struct world *w = *state;
        struct answer old, now;
        const char *id;

        world_start(w, HEAD BLUE_GREEN TIMER(""));
        world_log_wait(w, "| is active", 1);
        id = ACTIVE(&old, "timer@blue", "timer@green");
        world_kill_hub(w);
        world_start_again(w);
        assert_string_equal(ACTIVE(&now, "timer@blue", "timer@green"), id);
        assert_int_equal(now.pid, old.pid);
        assert_int_equal(world_log_count(w, "| is active"), 1);

        world_kill_hub(w);
        assert_int_equal(kill(old.pid, SIGKILL), 0);
        assert_int_equal(world_wait(old.pid), 128 + SIGKILL); /* an orphan of the first hub: ours */
        world_start_again(w);
        world_log_wait(w, "| is active", 2);
        (void)ACTIVE(&now, "timer@blue", "timer@green");
        assert_int_not_equal(now.pid, old.pid);

        /* Stopped when the next hub comes: it is asked again, does not answer, and is killed before another begins. */
        world_kill_hub(w);
        old = now;
        assert_int_equal(kill(old.pid, SIGSTOP), 0);
        world_until_stopped(old.pid);
        world_start_again(w);
        world_log_wait(w, "did not become active within", 1);
        world_log_wait(w, "| is active", 3);
        (void)ACTIVE(&now, "timer@blue", "timer@green");
        assert_int_not_equal(now.pid, old.pid);
        end_adopted(w);
}

/* The hub dies between the word that tells a process and the message; the next one must neither forget that word nor ask another. */
static void REDUN_1_a_hub_killed_while_it_tells_leaves_one_active(void **state)
{
        struct world *w = *state;
        struct answer old, now;
        pid_t remove;

        world_configure(w, HEAD BLUE_GREEN TIMER(""));
        w->hub_env = "BATON_KILL_AT=hub.mode.told";
        world_start_unready(w);
        world_await_hub(w, 128 + SIGKILL);
        w->hub_env = "BATON_KILL_AT=hub.mode.told:2"; /* what was told before is told again first */
        world_start_again(w);
        world_log_wait(w, "| is active", 1);
        ask(w, "timer@blue", &now);
        ask(w, "timer@green", &now);
        (void)ACTIVE(&old, "timer@blue", "timer@green");

        remove = BEGIN("swap", ACTIVE(&old, "timer@blue", "timer@green"));
        world_await_hub(w, 128 + SIGKILL); /* the active one is to stop, and does not know it yet */
        (void)world_wait(remove);
        w->hub_env = NULL;
        world_start_again(w);
        world_log_wait(w, "| is passive", 1);
        world_log_wait(w, "| is active", 2);
        (void)ACTIVE(&now, "timer@blue", "timer@green");
        end_adopted(w);
}

static void REDUN_1_the_node_of_the_active_one_dies_and_another_goes_on(void **state)
{
        struct world *w = *state;
        struct answer first, second, now;
        const char *id, *node;
        char other[64];

        world_start(w, HEAD BLUE_GREEN TIMER("") "  web: {exec: ['@bin@/child_replica'], redundancy: {replication: all}}\n");
        world_log_wait(w, "| is active", 1);
        id = ACTIVE(&first, "timer@blue", "timer@green");
        node = strchr(id, '@') + 1;
        (void)snprintf(other, sizeof(other), "web@%s", node);
        ask(w, other, &second);
        assert_int_equal(kill(first.pid, SIGKILL), 0);
        assert_int_equal(kill(second.pid, SIGKILL), 0);
        world_log_wait(w, "died: all its 2 processes were killed", 1);
        world_log_wait(w, "| is active", 2);
        while (instances(w, "timer") != 1 || instances(w, "web") != 1)
                ;
        (void)ACTIVE(&now, !strcmp(node, "blue") ? "timer@green" : "timer@blue");
        RUN(0, ": joined, 2 moved", "node", "add", node);
        (void)ACTIVE(&now, "timer@green", "timer@blue");
        assert_int_equal(world_log_count(w, "| is active"), 2); /* who is active stays it */
        world_end(w);
}

/* ---- a new program ---- */

static void upgrade(struct world *w, const char *strategy)
{
        struct answer answer;
        char yaml[1024], path[256];

        (void)snprintf(yaml, sizeof(yaml), HEAD "nodes: {blue: {}, green: {}, red: {}}\n" TIMER(", strategy: %s"), strategy);
        world_start(w, yaml);
        world_log_wait(w, "| is active", 1);
        world_script(w, path, "timer-v2", "VERSION=2", "child_replica");
        RUN(0, "timer@green", "upgrade", "timer", "--exec", path, "--min-ready", "0", "--max-unavailable", "1", "--max-surge", "1");
        RUN(0, "yellow: joined, 1 moved", "node", "add", "yellow");
        for (int i = 0; i < 4; i++) {
                static const char *const ids[] = {"timer@blue", "timer@green", "timer@red", "timer@yellow"};

                do
                        ask(w, ids[i], &answer);
                while (strcmp(answer.version, "2") != 0); /* one that drains may have answered */
        }
        world_log_wait(w, "| is active", 2);
        while (world_log_count(w, "| is active") > world_log_count(w, "| is passive") + 1)
                ; /* one is on its way between the two */
        (void)ACTIVE(&answer, "timer@blue", "timer@green", "timer@red", "timer@yellow");
        world_end(w);
}

static void REDUN_1_an_upgrade_replaces_each_instance_cold_and_one_is_active(void **state)
{
        upgrade(*state, "cold");
}

static void REDUN_1_an_upgrade_replaces_each_instance_hot_and_one_is_active(void **state)
{
        upgrade(*state, "hot");
}

/* ---- added live ---- */

#define MORE "defaults: {env: {REPLICA_AT: '@dir@'}}\n"

static void REDUN_1_added_live_it_is_there_again_after_a_restart_and_goes_as_a_whole(void **state)
{
        struct world *w = *state;
        struct answer answer;

        world_start(w, HEAD BLUE_GREEN "children:\n  base: {exec: ['@bin@/child_replica']}\n");
        world_file_put(w, "more.yaml", MORE TIMER(""));
        RUN(0, "timer@blue: started", "child", "add", "more.yaml");
        assert_non_null(strstr(said, "timer@green: started"));
        RUN(1, "timer@blue: already_started", "child", "add", "more.yaml");
        world_log_wait(w, "| is active", 1);

        world_stop(w);
        world_start_again(w);
        world_log_wait(w, "| is active", 2);
        (void)ACTIVE(&answer, "timer@blue", "timer@green");
        world_kill_hub(w);
        world_start_again(w);
        (void)ACTIVE(&answer, "timer@blue", "timer@green");
        RUN(0, "red: joined, 1 moved", "node", "add", "red");
        (void)ACTIVE(&answer, "timer@blue", "timer@green", "timer@red");

        RUN(1, "an instance of timer", "child", "remove", "timer@blue");
        RUN(1, "an instance of timer", "child", "remove", "--node", "green");
        assert_int_equal(instances(w, "timer"), 3);
        RUN(0, "timer@red: removed", "child", "remove", "timer");
        assert_int_equal(instances(w, "timer"), 0);
        world_stop(w);
        world_start_again(w);
        assert_int_equal(instances(w, "timer"), 0);

        RUN(0, "3 started", "child", "add", "more.yaml"); /* red is there again, too */
        end_adopted(w);
}

static void REDUN_1_what_cannot_be_started_there_is_said_and_rolled_back(void **state)
{
        struct world *w = *state;

        world_start(w, HEAD BLUE_GREEN "children:\n  base: {exec: ['@bin@/child_replica']}\n");
        world_file_put(w, "more.yaml",
                       "defaults: {env: {REPLICA_AT: '@dir@', REPLICA_REFUSE: timer@green}, "
                       "restart: temporary}\n" TIMER(""));
        RUN(1, "timer@green: failed", "child", "add", "more.yaml", "--on-failure", "rollback");
        assert_non_null(strstr(said, "timer@blue: rolled_back"));
        assert_int_equal(instances(w, "timer"), 0);
        RUN(1, "timer@blue: started", "child", "add", "more.yaml");
        assert_int_equal(instances(w, "timer"), 1);
        RUN(0, "timer@blue: removed", "child", "remove", "timer", "base");
        world_stop(w);
        world_start_again(w);
        assert_int_equal(instances(w, "timer"), 0);
        world_end(w);
}

int main(void)
{
#define ROW(name) cmocka_unit_test_setup_teardown(name, world_setup, world_teardown)
        const struct CMUnitTest tests[] = {
                ROW(REDUN_1_each_node_has_its_instance_and_each_is_told_apart),
                ROW(REDUN_1_all_follows_the_nodes_and_the_others_serve_on),
                ROW(REDUN_1_fewer_nodes_than_instances_is_said_and_made_good),
                ROW(REDUN_1_the_next_is_active_before_the_one_that_died_is_started_again),
                ROW(REDUN_1_an_active_one_that_is_stopped_is_dead_before_another_begins),
                ROW(REDUN_1_one_that_does_not_stop_or_begin_is_killed),
                ROW(REDUN_1_the_active_one_of_a_killed_hub_stays_it_and_a_dead_one_is_followed),
                ROW(REDUN_1_a_hub_killed_while_it_tells_leaves_one_active),
                ROW(REDUN_1_the_node_of_the_active_one_dies_and_another_goes_on),
                ROW(REDUN_1_an_upgrade_replaces_each_instance_cold_and_one_is_active),
                ROW(REDUN_1_an_upgrade_replaces_each_instance_hot_and_one_is_active),
                ROW(REDUN_1_added_live_it_is_there_again_after_a_restart_and_goes_as_a_whole),
                ROW(REDUN_1_what_cannot_be_started_there_is_said_and_rolled_back),
        };
#undef ROW

        return cmocka_run_group_tests(tests, NULL, NULL);
}
