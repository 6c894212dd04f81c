/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Nodes that come and go under a hundred children that serve. Each child answers with a count that is its state (child_placed.c); the clients here hold each
 * child to its own sequence: a number that is missing is a lost state, one that comes twice is work done twice, a connection that fails is a failed
 * request. Commands are the real ones.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "tests/support/events.h"
#include "tests/support/placed.h"

#define MANY (WORLD_SLOWNESS == 1 ? 100 : 30)

#define HEAD PLACED_HEAD
#define BLUE "nodes: {blue: {env: {NODE: blue}}}\n"

static int counts[100];

/* Asks every child once: each goes on with its own number. Returns how many are on @node, by their environment. */
static int round_of(const struct world *w, const char *node)
{
        int there = 0;

        for (int i = 0; i < MANY; i++) {
                struct placed answer;

                placed_ask(w, placed_id(i), &answer);
                if (answer.count != counts[i] + 1)
                        fail_msg("%s: %d after %d: a state was lost, or work done twice",
                                 placed_id(i), answer.count, counts[i]);
                counts[i]++;
                there += !strcmp(answer.node, node);
        }
        return there;
}

/* Serves until @pid, a command, has ended. */
static void rounds_until(const struct world *w, pid_t pid)
{
        while (!world_has_ended(pid))
                (void)round_of(w, "");
}

static bool lists(const struct world *w, const char *node)
{
        RUN(0, "NODE", "node", "list");
        return strstr(said, node) != NULL;
}

static void start_many(struct world *w, const char *strategy, const char *more)
{
        char yaml[1024];

        (void)snprintf(
                yaml, sizeof(yaml),
                HEAD BLUE
                "%schildren:\n  web: {exec: ['@bin@/child_placed'], instances: %d, strategy: %s}\n",
                more, MANY, strategy);
        memset(counts, 0, sizeof(counts));
        world_start(w, yaml);
        assert_int_equal(round_of(w, "blue"), MANY);
}

/* "web=PATH" of a program with a version of its own, and whatever else. */
static const char *program_option(const struct world *w, const char *env)
{
        static char option[300];
        char path[256];

        world_script(w, path, "web-v2", env, "child_placed");
        (void)snprintf(option, sizeof(option), "web=%s", path);
        return option;
}

/* ---- a new program joins as a node, the old node leaves ---- */

static void replace(struct world *w, const char *strategy)
{
        pid_t add, remove;
        struct placed answer;

        start_many(w, strategy, "");
        add = BEGIN("node", "add", "green", "--env", "NODE=green", "--exec",
                    program_option(w, "VERSION=2"));
        rounds_until(w, add);
        command_finish(w, add, 0, "green: joined");
        assert_true(round_of(w, "green") > 0);
        assert_true(round_of(w, "blue") > 0);

        remove = BEGIN("node", "remove", "blue");
        rounds_until(w, remove);
        command_finish(w, remove, 0, ", 0 stayed where they were");
        assert_int_equal(round_of(w, "green"), MANY);
        placed_ask(w, placed_id(0), &answer);
        counts[0]++;
        assert_string_equal(answer.version, "2");
        RUN(0, "green", "node", "list", "--json");
        assert_null(strstr(said, "blue"));
        world_end(w);
}

static void NODE_1_a_hundred_follow_a_new_program_hot_and_no_request_fails(void **state)
{
        replace(*state, "hot");
}

static void NODE_2_a_hundred_follow_a_new_program_cold_and_no_request_fails(void **state)
{
        replace(*state, "cold");
}

static void BUG_5_the_one_that_refuses_to_start_there_stays_and_the_command_says_so(void **state)
{
        struct world *w = *state;
        struct placed answer;
        pid_t pid;

        start_many(w, "hot", "");
        pid = BEGIN("node", "add", "green", "--env", "NODE=green", "--exec",
                    program_option(w, "PLACED_REFUSE=web/7"));
        rounds_until(w, pid);
        assert_true(world_wait(pid) <= 1); /* 1 when web/7 was to go there by its place already */
        pid = BEGIN("node", "remove", "blue");
        rounds_until(w, pid);
        command_finish(w, pid, 1, "web/7: the new process ended before it was ready: exit 3");
        assert_non_null(strstr(said, "1 stayed where they were"));
        assert_int_equal(round_of(w, "green"), MANY - 1);
        placed_ask(w, "web/7", &answer);
        assert_int_equal(answer.count, ++counts[7]);
        assert_string_equal(answer.node, "blue");
        RUN(0, "\"node\":\"blue\",\"state\":\"draining\",\"children\":1", "node", "list", "--json");
        world_end(w);
}

/* A program that ends at its start until the world's file "healthy" is there. */
#define SICK "#!/bin/sh\n[ -e @dir@/healthy ] || exit 3\nexec @bin@/child_placed\n"

static void BUG_5_a_move_that_failed_is_tried_again_with_back_off_until_it_succeeds(void **state)
{
        struct world *w = *state;
        struct placed before, after;

        world_program_put(w, "sick", SICK);
        world_start(w, HEAD
                    "move_retry: {min: 40ms, max: 100ms}\n"
                    "nodes: {blue: {env: {NODE: blue}}, green: {env: {NODE: green}, exec: {web: "
                    "'@dir@/sick'}}}\n"
                    "distribution: {strategy: guided, map: {web: [blue, green]}}\n"
                    "children:\n  web: {exec: ['@bin@/child_placed'], strategy: hot}\n");
        placed_ask(w, "web", &before);
        RUN(1, "exit 3", "node", "remove", "blue");
        events_wait(w, "0 moved, 1 not; tried again in 40 ms");
        events_wait(w, "0 moved, 1 not; tried again in 80 ms");
        events_wait(w, "0 moved, 1 not; tried again in 100 ms"); /* its longest */
        placed_ask(w, "web", &after);
        assert_int_equal(after.pid, before.pid); /* all the time */
        assert_int_equal(after.count, 2);
        world_gate_open(w, "healthy");
        events_wait(w, "child_forwarded from blue to green");
        events_wait(w, "drain_completed blue");
        placed_ask(w, "web", &after);
        assert_string_equal(after.node, "green");
        assert_int_equal(after.count, 3);
        world_end(w);
}

/* ---- a join takes what is due to it, and nothing else ---- */

#define THOUSAND (WORLD_SLOWNESS == 1 ? 1000 : 100)

static void NODE_1_a_fifth_node_takes_its_share_of_a_thousand_and_no_others_move(void **state)
{
        struct world *w = *state;
        struct placed *before = calloc(THOUSAND, sizeof(*before));
        int moved = 0;
        char yaml[1024];

        assert_non_null(before);
        world_limit(WORLD_LIMIT_S * 2);
        (void)snprintf(
                yaml, sizeof(yaml),
                HEAD
                "nodes: {a: {env: {NODE: a}}, b: {env: {NODE: b}}, c: {env: {NODE: c}}, d: {env: "
                "{NODE: d}}}\n"
                "children:\n  web: {exec: ['@bin@/child_placed'], instances: %d, strategy: hot}\n",
                THOUSAND);
        world_start(w, yaml);
        for (int i = 0; i < THOUSAND; i++)
                placed_ask(w, placed_id(i), &before[i]);
        RUN(0, "e: joined", "node", "add", "e", "--env", "NODE=e");
        for (int i = 0; i < THOUSAND; i++) {
                struct placed after;

                placed_ask(w, placed_id(i), &after);
                assert_int_equal(after.count, 2);
                if (after.pid == before[i].pid)
                        assert_string_equal(after.node, before[i].node);
                else
                        assert_string_equal(after.node, "e");
                moved += after.pid != before[i].pid;
        }
        assert_in_range(moved, THOUSAND / 10, THOUSAND * 3 / 10); /* a fifth, as the hash has it */
        free(before);
        world_end(w);
}

/* ---- one plan for several changes ---- */

static void NODE_4_a_join_and_a_leave_in_a_burst_are_one_plan(void **state)
{
        struct world *w = *state;
        pid_t add;

        start_many(w, "hot", "");
        add = BEGIN_INTO("said-by-add", "node", "add", "green", "--env", "NODE=green");
        while (!lists(w, "green"))
                ;
        RUN(0, ", 0 stayed where they were", "node", "remove", "blue");
        assert_int_equal(world_wait(add), 0);
        assert_int_equal(round_of(w, "green"), MANY);
        RUN(0, "redistributed", "events", "--json");
        assert_int_equal(said_times("\"redistributing\""), 1);
        assert_int_equal(said_times("\"child_forwarded\""), MANY); /* each was moved once */
        world_end(w);
}

/* ---- one child, by hand ---- */

static void NODE_6_migrate_says_what_it_cannot_do_and_does_the_rest(void **state)
{
        struct world *w = *state;
        struct placed answer;

        world_start(w, HEAD "nodes: {blue: {env: {NODE: blue}}, green: {env: {NODE: green}}}\n"
                            "distribution: {strategy: guided, map: {web: blue}}\n"
                            "children:\n  web: {exec: ['@bin@/child_placed'], strategy: hot}\n");
        placed_ask(w, "web", &answer);
        assert_string_equal(answer.node, "blue");
        RUN(3, "not_found", "node", "migrate", "nobody", "green");
        RUN(3, "not_a_member", "node", "migrate", "web", "red");
        RUN(1, "same_node", "node", "migrate", "web", "blue");
        RUN(0, "web: migrated, 1 moved", "node", "migrate", "web", "green");
        placed_ask(w, "web", &answer);
        assert_string_equal(answer.node, "green");
        assert_int_equal(answer.count, 2);
        RUN(0, "\"child\":\"web\",\"node\":\"green\"", "status", "--json");

        /* Where it is by hand it stays, also when others come; until its node goes. */
        RUN(0, "red: joined, 0 moved", "node", "add", "red");
        placed_ask(w, "web", &answer);
        assert_string_equal(answer.node, "green");
        RUN(0, "green: left, 1 moved", "node", "remove", "green");
        placed_ask(w, "web", &answer);
        assert_string_equal(answer.node, "blue");
        assert_int_equal(answer.count, 4);
        world_end(w);
}

/* ---- drain ---- */

static void NODE_5_a_drain_hands_over_and_forces_what_is_left_at_its_deadline(void **state)
{
        struct world *w = *state;
        struct placed answer;

        world_start(
                w, HEAD
                "nodes: {blue: {env: {NODE: blue}}, red: {env: {NODE: red}}}\n"
                "distribution: {strategy: guided, map: {calm: [blue, red], busy: [blue, red]}}\n"
                "children:\n"
                "  calm: {exec: ['@bin@/child_placed'], strategy: hot}\n"
                "  busy: {exec: ['@bin@/child_placed'], strategy: hot, env: {PLACED_CONSENT: "
                "1}}\n");
        RUN(3, "no such node", "node", "drain", "green");
        RUN(0, "red: drained, 0 moved", "node", "drain", "red");
        RUN(2, "drained already", "node", "drain", "red");
        RUN(2, "there is no other node", "node", "drain", "blue");
        RUN(0, "red: joined, 0 moved", "node", "add", "red", "--env", "NODE=red");
        RUN(0, "\"migrated\":2,\"forced\":1,\"failed\":0", "node", "drain", "blue", "--deadline",
            "1s", "--json");
        placed_ask(w, "busy", &answer);
        assert_string_equal(answer.node, "red");
        placed_ask(w, "calm", &answer);
        assert_string_equal(answer.node, "red");
        RUN(0, "drain_completed", "events");
        world_end(w);
}

/* ---- what a node gives ---- */

/* The value of @key in /proc/PID/status. */
static void status_of(int pid, const char *key, char value[64])
{
        char path[64], line[256];
        FILE *file;

        (void)snprintf(path, sizeof(path), "/proc/%d/status", pid);
        file = fopen(path, "re");
        assert_non_null(file);
        *value = '\0';
        while (fgets(line, sizeof(line), file)) {
                if (!strncmp(line, key, strlen(key)) &&
                    sscanf(line + strlen(key), ": %63s", value) == 1)
                        break;
        }
        (void)fclose(file);
}

static void NODE_1_the_processes_of_a_node_run_with_what_it_gives(void **state)
{
        struct world *w = *state;
        struct placed answer;
        char cpus[64];
        int nice;

        world_start(w, HEAD BLUE "children:\n  web: {exec: ['@bin@/child_placed'], strategy: hot, "
                                 "env: {NODE: own}}\n");
        placed_ask(w, "web", &answer);
        assert_string_equal(answer.node, "blue"); /* over the child's own */
        nice = getpriority(PRIO_PROCESS, (id_t)answer.pid);
        RUN(0, "joined", "node", "add", "green", "--env", "NODE=green", "--cpus", "0", "--nice",
            "3", "--memory", "1GiB");
        RUN(0, "blue: left", "node", "remove", "blue");
        placed_ask(w, "web", &answer);
        assert_string_equal(answer.node, "green");
        status_of(answer.pid, "Cpus_allowed_list", cpus);
        assert_string_equal(cpus, "0");
        assert_int_equal(getpriority(PRIO_PROCESS, (id_t)answer.pid), nice + 3);

        /* Processors that there are not: the start fails, and the child stays where it was. */
        RUN(0, "joined", "node", "add", "far", "--cpus", "1023", "--weight", "0");
        RUN(1, "use the cpus of its node", "node", "migrate", "web", "far");
        placed_ask(w, "web", &answer);
        assert_string_equal(answer.node, "green");
        assert_int_equal(answer.count, 3);
        RUN(2, "expected POOL=PATH", "node", "add", "bad", "--exec", "web");
        RUN(2, "'cpus' is 'zero'", "node", "add", "bad", "--cpus", "zero");
        RUN(2, "it is a directory", "node", "add", "gone", "--exec", "web=/bin");
        world_end(w);
}

/* ---- large states, written to while they move ---- */

static void BUG_3_writers_while_a_node_leaves_lose_nothing_and_meet_no_blank_child(void **state)
{
        struct world *w = *state;
        int count[10] = {0};
        pid_t remove;

        world_start(w, "hub: w\n"
                       "max_parallel: 4\n"
                       "nodes: {blue: {env: {NODE: blue}}, green: {env: {NODE: green}}}\n"
                       "distribution: {strategy: guided, map: {web: [blue, green]}}\n"
                       "defaults: {handover: true, state: {form: blob, max: 2MiB}, env: "
                       "{PLACED_AT: '@dir@', PLACED_BYTES: 1048576}}\n"
                       "children:\n  web: {exec: ['@bin@/child_placed'], instances: 10, strategy: "
                       "cold}\n");
        remove = BEGIN("node", "remove", "blue");
        while (!world_has_ended(remove)) {
                for (int i = 0; i < 10; i++) {
                        struct placed answer;

                        placed_ask(w, placed_id(i), &answer);
                        assert_int_equal(answer.count, ++count[i]);
                }
        }
        command_finish(w, remove, 0, "blue: left, 10 moved");
        for (int i = 0; i < 10; i++) {
                struct placed answer;

                placed_ask(w, placed_id(i), &answer);
                assert_int_equal(answer.count, ++count[i]);
                assert_string_equal(answer.node, "green");
        }
        world_end(w);
}

/* ---- arenas ---- */

/* What is mapped at @address in @pid, as the kernel names it: where it begins, that it is shared, device and inode. */
static void mapping_of(int pid, const char *address, char out[160])
{
        unsigned long long at = strtoull(address, NULL, 16);
        char path[64], line[512];
        FILE *file;

        (void)snprintf(path, sizeof(path), "/proc/%d/maps", pid);
        file = fopen(path, "re");
        assert_non_null(file);
        *out = '\0';
        while (fgets(line, sizeof(line), file)) {
                unsigned long long begin, end, off, inode;
                char perms[8], device[16];

                /* The kernel's numbers fit. NOLINTNEXTLINE(cert-err34-c) */
                if (sscanf(line, "%llx-%llx %7s %llx %15s %llu", &begin, &end, perms, &off, device,
                           &inode) == 6 &&
                    begin <= at && at < end)
                        (void)snprintf(out, 160, "%llx +%llx %c %s %llu", begin, off, perms[3],
                                       device, inode);
        }
        (void)fclose(file);
        assert_non_null(strstr(out, " s "));
}

struct arena {
        struct placed seen;
        char mapping[160];
};

/* Every state is there, each successor has the very pages of its predecessor at the same address, and so not one of them was copied. */
static void BUG_15_a_thousand_arenas_leave_a_node_and_none_is_copied(void **state)
{
        struct world *w = *state;
        struct arena *before = calloc(THOUSAND, sizeof(*before));
        char yaml[1024], counted[64];

        assert_non_null(before);
        world_limit(WORLD_LIMIT_S * 2);
        (void)snprintf(yaml, sizeof(yaml),
                       "hub: w\n"
                       "defaults: {handover: true, state: {form: arena, max: 2MiB}, env: {PLACED_AT: "
                       "'@dir@', PLACED_ARENA: 1048576}}\n"
                       "nodes: {blue: {env: {NODE: blue}}, green: {env: {NODE: green}}}\n"
                       "distribution: {strategy: guided, map: {web: [blue, green]}}\n"
                       "children:\n  web: {exec: ['@bin@/child_placed'], instances: %d, strategy: hot}\n",
                       THOUSAND);
        world_start(w, yaml);
        for (int i = 0; i < THOUSAND; i++) {
                placed_ask(w, placed_id(i), &before[i].seen);
                assert_string_equal(before[i].seen.node, "blue");
                mapping_of(before[i].seen.pid, before[i].seen.version, before[i].mapping);
        }
        RUN(0, "", "node", "remove", "blue");
        (void)snprintf(counted, sizeof(counted), "node blue: %d moved, 0 of them forced, 0 not", THOUSAND);
        world_log_wait(w, counted, 1);
        for (int i = 0; i < THOUSAND; i++) {
                struct arena after;

                placed_ask(w, placed_id(i), &after.seen);
                assert_string_equal(after.seen.node, "green");
                assert_int_equal(after.seen.count, 2);
                assert_int_not_equal(after.seen.pid, before[i].seen.pid);
                assert_string_equal(after.seen.version, before[i].seen.version); /* the address */
                mapping_of(after.seen.pid, after.seen.version, after.mapping);
                assert_string_equal(after.mapping, before[i].mapping);
        }
        free(before);
        world_end(w);
}

/* ---- unlucky moments ---- */

static void BUG_10_a_join_and_a_leave_in_the_middle_of_cold_moves_lose_nobody(void **state)
{
        struct world *w = *state;
        pid_t first, second, third;

        start_many(w, "cold", "");
        first = BEGIN_INTO("said-1", "node", "add", "green", "--env", "NODE=green");
        world_log_wait(w, "web/", 5); /* some have moved, others are on their way */
        second = BEGIN_INTO("said-2", "node", "add", "red", "--env", "NODE=red");
        while (!lists(w, "red"))
                ;
        third = BEGIN_INTO("said-3", "node", "remove", "green");
        rounds_until(w, first);
        rounds_until(w, second);
        rounds_until(w, third);
        assert_int_equal(world_wait(first) + world_wait(second) + world_wait(third), 0);
        assert_int_equal(round_of(w, "green"), 0);
        assert_true(round_of(w, "red") > 0);
        world_end(w);
}

static void BUG_10_a_hub_killed_while_a_node_leaves_is_followed_by_one_that_knows(void **state)
{
        struct world *w = *state;
        pid_t remove;
        int green;

        start_many(w, "hot", "");
        RUN(0, "joined", "node", "add", "green", "--env", "NODE=green");
        remove = BEGIN_INTO("said-1", "node", "remove", "blue");
        world_log_wait(w, "swapped to incarnation 2", MANY * 3 / 4);
        world_kill_hub(w);
        (void)world_wait(remove);
        world_start_again(w);
        green = round_of(w, "green");
        RUN(0, "", "status", "--json");
        assert_int_equal(said_times("\"node\":\"green\""), green);
        assert_int_equal(said_times("\"node\":\"blue\""), MANY - green);
        RUN(0, ", 0 stayed where they were", "node", "remove", "blue");
        assert_int_equal(round_of(w, "green"), MANY);
        world_stop(w);
        assert_true(world_reap_orphans() >= 1);
        world_end(w);
}

/* ---- death ---- */

static void NODE_3_the_children_of_a_node_that_was_killed_go_on_elsewhere(void **state)
{
        struct world *w = *state;
        struct placed answers[4];

        world_start(w, HEAD "nodes: {blue: {env: {NODE: blue}}, green: {env: {NODE: green}}}\n"
                            "distribution: {strategy: guided, map: {web: [blue, green]}}\n"
                            "children:\n  web: {exec: ['@bin@/child_placed'], strategy: hot, "
                            "instances: 4, checkpoint: true}\n");
        for (int i = 0; i < 4; i++)
                placed_ask(w, placed_id(i), &answers[i]);
        for (int i = 0; i < 4; i++)
                assert_int_equal(kill(answers[i].pid, SIGKILL), 0);
        world_log_wait(w, "node blue died", 1);
        for (int i = 0; i < 4; i++) {
                struct placed answer;

                placed_ask(w, placed_id(i),
                           &answer); /* the socket is with the hub: the request waits */
                assert_string_equal(answer.node, "green");
                assert_int_equal(answer.count, 1); /* a blob that nobody captured is gone */
        }
        RUN(0, "from blue to green", "events");
        RUN(0, "\"node\":\"blue\",\"state\":\"down\",\"children\":0", "node", "list", "--json");
        RUN(0, "blue: joined, 4 moved", "node", "add", "blue", "--env", "NODE=blue");
        placed_ask(w, placed_id(0), &answers[0]);
        assert_string_equal(answers[0].node, "blue");
        world_end(w);
}

static void NODE_3_one_child_that_is_killed_is_started_again_where_it_was(void **state)
{
        struct world *w = *state;
        struct placed before, after;

        world_start(
                w, HEAD
                "nodes: {blue: {env: {NODE: blue}}, green: {env: {NODE: green}}}\n"
                "distribution: {strategy: guided, map: {web: blue}}\n"
                "children:\n  web: {exec: ['@bin@/child_placed'], strategy: hot, instances: 2}\n");
        placed_ask(w, placed_id(0), &before);
        assert_int_equal(kill(before.pid, SIGKILL), 0);
        placed_ask(w, placed_id(0), &after);
        assert_string_equal(after.node, "blue");
        assert_true(after.pid != before.pid);
        world_end(w);
}

/* ---- over the hub's ends ---- */

static void I8_live_nodes_are_there_after_a_restart_and_after_the_hub_was_killed(void **state)
{
        struct world *w = *state;
        struct placed before, after;

        world_start(w, HEAD "nodes: {blue: {env: {NODE: blue}}}\nchildren:\n  web: {exec: "
                            "['@bin@/child_placed'], strategy: hot}\n");
        RUN(0, "joined", "node", "add", "green", "--env", "NODE=green");
        RUN(0, "drained", "node", "drain", "blue");
        placed_ask(w, "web", &before);
        assert_string_equal(before.node, "green");

        world_kill_hub(w);
        world_start_again(w);
        placed_ask(w, "web", &after);
        assert_int_equal(after.pid, before.pid);
        RUN(0, "\"child\":\"web\",\"node\":\"green\"", "status", "--json");

        RUN(0, "left", "node", "remove", "blue");
        world_stop(w);
        assert_true(world_reap_orphans() >=
                    1); /* of the first hub: ours to reap; its predecessor may have ended before */
        world_start_again(w); /* blue is the configuration's, and back */
        RUN(0, "\"node\":\"green\",\"state\":\"active\"", "node", "list", "--json");
        assert_non_null(strstr(said, "\"node\":\"blue\",\"state\":\"active\""));
        placed_ask(w, "web", &after);
        assert_int_equal(after.count, 3);
        world_end(w);
}

int main(void)
{
#define ROW(name) cmocka_unit_test_setup_teardown(name, world_setup, world_teardown)
        const struct CMUnitTest tests[] = {
                ROW(NODE_1_a_hundred_follow_a_new_program_hot_and_no_request_fails),
                ROW(NODE_2_a_hundred_follow_a_new_program_cold_and_no_request_fails),
                ROW(BUG_5_the_one_that_refuses_to_start_there_stays_and_the_command_says_so),
                ROW(BUG_5_a_move_that_failed_is_tried_again_with_back_off_until_it_succeeds),
                ROW(NODE_1_a_fifth_node_takes_its_share_of_a_thousand_and_no_others_move),
                ROW(NODE_4_a_join_and_a_leave_in_a_burst_are_one_plan),
                ROW(NODE_6_migrate_says_what_it_cannot_do_and_does_the_rest),
                ROW(NODE_5_a_drain_hands_over_and_forces_what_is_left_at_its_deadline),
                ROW(NODE_1_the_processes_of_a_node_run_with_what_it_gives),
                ROW(BUG_3_writers_while_a_node_leaves_lose_nothing_and_meet_no_blank_child),
                ROW(BUG_15_a_thousand_arenas_leave_a_node_and_none_is_copied),
                ROW(BUG_10_a_join_and_a_leave_in_the_middle_of_cold_moves_lose_nobody),
                ROW(BUG_10_a_hub_killed_while_a_node_leaves_is_followed_by_one_that_knows),
                ROW(NODE_3_the_children_of_a_node_that_was_killed_go_on_elsewhere),
                ROW(NODE_3_one_child_that_is_killed_is_started_again_where_it_was),
                ROW(I8_live_nodes_are_there_after_a_restart_and_after_the_hub_was_killed),
        };
#undef ROW

        return cmocka_run_group_tests(tests, NULL, NULL);
}
