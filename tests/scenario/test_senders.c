/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who sends what to whom when several nodes join and one leaves in the same moment. Each child prints the count that it gives away and the one that it takes
 * over (child_placed.c), so the hub's log is the list of all hand-overs: one sender and one receiver a child, of the same count, and the child goes on from
 * there, on the node that the hub says it went to.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/fd.h"
#include "tests/support/world.h"

#define MANY (WORLD_SLOWNESS == 1 ? 60 : 20)

static char text[1 << 20];

static pid_t begin(const struct world *w, const char *out, const char *const *words)
{
        char program[640];
        char *argv[16] = {program, NULL};
        size_t n = 1;

        world_program(w, program, "baton");
        while (*words)
                argv[n++] = (char *)(uintptr_t)*words++;
        argv[n++] = (char[]){"--hub=w"};
        argv[n] = NULL;
        return world_spawn(w, argv, out);
}

#define BEGIN(out, ...) begin(w, out, (const char *const[]){__VA_ARGS__, NULL})

/* The count that @id answers with, and where it is. */
static int ask(const struct world *w, int i, char node[32])
{
        struct sockaddr_un un = {.sun_family = AF_UNIX};
        int n = snprintf(un.sun_path + 1, sizeof(un.sun_path) - 1, "%s/web/%d", w->dir, i);
        int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), count = 0, pid;
        char line[256], who[64], version[32];
        ssize_t bytes;

        assert_true(fd >= 0);
        assert_int_equal(connect(fd, (struct sockaddr *)&un, (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + (size_t)n)), 0);
        bytes = read(fd, line, sizeof(line) - 1);
        (void)close(fd);
        line[bytes > 0 ? bytes : 0] = '\0';
        /* The child's own numbers: they fit. NOLINTNEXTLINE(cert-err34-c) */
        if (sscanf(line, "%63s %d %d %31s %31s", who, &count, &pid, node, version) != 5)
                fail_msg("web/%d answers '%s'", i, line);
        return count;
}

/* What web/@i printed after "@what ": the number; fails unless it did so once. */
static int said_once(int i, const char *what)
{
        char line[64];
        const char *at;

        (void)snprintf(line, sizeof(line), "web/%d | %s ", i, what);
        at = strstr(text, line);
        if (!at || strstr(at + 1, line)) {
                fail_msg("web/%d %s its state %s", i, what, at ? "twice" : "to nobody");
                return 0; /* for the analyzer: fail_msg() does not */
        }
        return (int)strtol(at + strlen(line), NULL, 10);
}

/* Where the event stream says that web/@i went; fails unless it went once. */
static void forwarded(const char *events, int i, char node[32])
{
        static const char from[] = "from blue to ";
        char child[64];
        int times = 0;

        (void)snprintf(child, sizeof(child), "\"child\":\"web/%d\"", i);
        for (const char *line = events; line && *line; line = strchr(line, '\n') ? strchr(line, '\n') + 1 : NULL) {
                const char *end = strchr(line, '\n'), *at = strstr(line, "\"child_forwarded\""), *id = strstr(line, child), *to = strstr(line, from);

                if (!end || !at || at > end || !id || id > end || !to || to > end)
                        continue;
                times++;
                (void)snprintf(node, 32, "%.*s", (int)strcspn(to + strlen(from), "\""), to + strlen(from));
        }
        if (times != 1)
                fail_msg("web/%d was forwarded %d times", i, times);
}

static void hand_over(struct world *w, const char *strategy)
{
        static char events[1 << 20];
        int counts[60], there[3] = {0};
        pid_t commands[3];
        char yaml[1024];

        (void)snprintf(yaml, sizeof(yaml),
                       "hub: w\nmax_parallel: 8\nnodes: {blue: {env: {NODE: blue}}}\n"
                       /* A hand-over that is called off by a limit is made again, and then there are two of one child: not what is asked here. */
                       "defaults: {child_migration_timeout: 60s, handover_data_wait: 60s, state_query_timeout: 60s, handover: true, state: {form: blob, max: 4KiB}, env: {PLACED_AT: '@dir@', PLACED_SAY: 1}}\n"
                       "children:\n  web: {exec: ['@bin@/child_placed'], instances: %d, strategy: %s}\n",
                       MANY, strategy);
        world_start(w, yaml);
        for (int i = 0; i < MANY; i++) {
                char node[32];

                for (int k = 0; k <= i % 7; k++) /* each has a count of its own */
                        counts[i] = ask(w, i, node);
                assert_string_equal(node, "blue");
        }
        commands[0] = BEGIN("green", "node", "add", "green", "--env", "NODE=green");
        commands[1] = BEGIN("red", "node", "add", "red", "--env", "NODE=red");
        commands[2] = BEGIN("yellow", "node", "add", "yellow", "--env", "NODE=yellow");
        for (int i = 0; i < 3; i++)
                assert_int_equal(world_wait(commands[i]), 0);
        assert_int_equal(world_wait(BEGIN("blue", "node", "remove", "blue")), 0);
        assert_int_equal(world_wait(BEGIN("events", "events", "--json")), 0);
        world_read(w, "hub.log", text, sizeof(text));
        world_read(w, "events", events, sizeof(events));

        for (int i = 0; i < MANY; i++) {
                static const char *const names[] = {"green", "red", "yellow"};
                char node[32], went[32] = "";
                int gave = said_once(i, "gave"), took = said_once(i, "took");

                assert_int_equal(gave, counts[i]);
                assert_int_equal(took, gave);
                assert_int_equal(ask(w, i, node), gave + 1);
                forwarded(events, i, went);
                assert_string_equal(node, went);
                for (int k = 0; k < 3; k++)
                        there[k] += !strcmp(node, names[k]);
        }
        assert_int_equal(there[0] + there[1] + there[2], MANY);
        assert_true(there[0] && there[1] && there[2]);
        world_end(w);
}

static void NODE_8_each_child_is_sent_once_to_the_one_target_that_is_its_own_hot(void **state)
{
        hand_over(*state, "hot");
}

static void NODE_8_each_child_is_sent_once_to_the_one_target_that_is_its_own_cold(void **state)
{
        hand_over(*state, "cold");
}

static int setup(void **state)
{
        int r = world_setup(state);
        const struct world *w = *state;
        char runtime[128];

        (void)snprintf(runtime, sizeof(runtime), "%s/run", w->dir);
        return r || setenv("BATON_RUNTIME_DIR", runtime, 1); /* one thread: NOLINT(concurrency-mt-unsafe) */
}

int main(void)
{
#define ROW(name) cmocka_unit_test_setup_teardown(name, setup, world_teardown)
        const struct CMUnitTest tests[] = {
                ROW(NODE_8_each_child_is_sent_once_to_the_one_target_that_is_its_own_hot),
                ROW(NODE_8_each_child_is_sent_once_to_the_one_target_that_is_its_own_cold),
        };
#undef ROW

        return cmocka_run_group_tests(tests, NULL, NULL);
}
