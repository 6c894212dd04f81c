/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The upgrade of a pool on real processes, through the command: what becomes of the children, of their states and of the requests that
 * they serve meanwhile.
 *
 * A child of the pool prints what it holds whenever it begins to serve (child_pool.c), so the state of each can be followed through the
 * hub's log; all share one socket. Waits are for lines of the log and for the end of the command.
 */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/fd.h"
#include "tests/support/command.h"

#define CHILDREN 8

static const char pool[] = "hub: w\n"
                           "sockets:\n"
                           "  pool: tcp://127.0.0.1:@port@\n"
                           "children:\n"
                           "  web:\n"
                           "    exec: [@bin@/child_pool]\n"
                           "    instances: %d\n"
                           "    sockets: [pool]\n"
                           "    strategy: %s\n"
                           "    handover: true\n"
                           "    state: blob\n"
                           "    handover_data_wait: " WORLD_SHORT "\n"
                           "    state_query_timeout: " WORLD_SHORT "\n"
                           "    shutdown: " WORLD_SHORT "\n";

static void start_pool(struct world *w, int instances, const char *strategy)
{
        char yaml[1024], path[256];

        (void)snprintf(yaml, sizeof(yaml), pool, instances, strategy);
        world_start(w, yaml);
        world_script(w, path, "v2", "POOL_VERSION=v2", "child_pool");
}

/* ---- the children ---- */

static void child_slot(struct world *w, int i, struct bt_slot *ret_slot)
{
        char id[32];

        (void)snprintf(id, sizeof(id), "web/%d", i);
        world_slot(w, id, ret_slot);
}

/* How many of them run a file of that name. */
static int count_running(struct world *w, const char *name)
{
        int count = 0;

        for (int i = 0; i < CHILDREN; i++) {
                struct bt_slot slot;
                size_t bytes, name_bytes = strlen(name);

                child_slot(w, i, &slot);
                bytes = strlen(slot.exec);
                count += slot.phase == BT_PHASE_RUNNING && bytes > name_bytes && slot.exec[bytes - name_bytes - 1] == '/' &&
                         !strcmp(slot.exec + bytes - name_bytes, name);
        }
        return count;
}

/* One request over a connection of its own; 0: it was answered. Asserts nothing: it is called from threads. */
static int request(const struct world *w)
{
        struct sockaddr_in addr = {
                .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK), .sin_port = htons((uint16_t)w->port)};
        const struct timeval limit = {.tv_sec = WORLD_WAIT_MS / 1000};
        BT_CLEANUP(bt_closep) int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        char line[128];
        ssize_t n;

        if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit)) < 0 || connect(fd, (struct sockaddr *)&addr, sizeof(addr)) < 0)
                return -1;
        n = send(fd, "x\n", 2, MSG_NOSIGNAL) == 2 ? recv(fd, line, sizeof(line), 0) : -1;
        return n > 0 && line[n - 1] == '\n' ? 0 : -1;
}

/* The sum of what all hold, by the last line that each printed: every one has to have begun to serve as @version last. */
static unsigned long long sum_of_states(const struct world *w, const char *version)
{
        static char log[1u << 20];
        unsigned long long sum = 0;

        world_read(w, "hub.log", log, sizeof(log));
        for (int i = 0; i < CHILDREN; i++) {
                char head[64];
                const char *last = NULL;
                char as[16] = "";
                unsigned long long count = 0;

                (void)snprintf(head, sizeof(head), "web/%d | serves ", i);
                for (const char *at = log; (at = strstr(at, head)); at++)
                        last = at + strlen(head);
                assert_non_null(last);
                /* The child's own number: it fits. NOLINTNEXTLINE(cert-err34-c) */
                assert_int_equal(sscanf(last, "%llu as %15s", &count, as), 2);
                assert_string_equal(as, version);
                sum += count;
        }
        return sum;
}

/* ---- the rows of docs/rollout.md ---- */

struct load {
        const struct world *w;
        atomic_bool stop;
        atomic_ullong answered, failed;
};

static void *load_run(void *arg)
{
        struct load *load = arg;

        while (!atomic_load(&load->stop)) {
                if (request(load->w))
                        atomic_fetch_add(&load->failed, 1);
                else
                        atomic_fetch_add(&load->answered, 1);
        }
        return NULL;
}

static void a_pool_is_upgraded_under_load_without_a_failed_request_and_rolled_back_with_its_states(void **state)
{
        struct world *w = *state;
        struct load load = {.w = w};
        pthread_t threads[2];
        char path[256];

        start_pool(w, CHILDREN, "hot");
        world_program_put(w, "check",
                          "#!/bin/sh\ntest -n \"$BATON_CHILD\" && test \"$BATON_EXEC\" = \"$1\" && "
                          "kill -0 $BATON_PID\n");
        for (size_t i = 0; i < BT_ARRAY_LEN(threads); i++)
                assert_int_equal(pthread_create(&threads[i], NULL, load_run, &load), 0);
        (void)snprintf(path, sizeof(path), "%s/v2", w->dir);
        RUN(0, "web: 8 of 8 children run ", "upgrade", "web", "--exec", "./v2", "--min-ready",
            "20ms", "--max-surge", "3", "--health", "./check", "--", path);
        assert_int_equal(count_running(w, "v2"), CHILDREN);
        RUN(0, "", "rollback", "web");
        assert_int_equal(count_running(w, "child_pool"), CHILDREN);
        atomic_store(&load.stop, true);
        for (size_t i = 0; i < BT_ARRAY_LEN(threads); i++)
                assert_int_equal(pthread_join(threads[i], NULL), 0);
        print_message("             %llu requests, %llu failed\n", atomic_load(&load.answered), atomic_load(&load.failed));
        assert_true(atomic_load(&load.answered) > 0);
        assert_int_equal(atomic_load(&load.failed), 0);

        /* One more swap, and each says what it holds: all that was answered by any of the three generations. */
        RUN(0, "", "swap", "web");
        assert_int_equal(sum_of_states(w, "v1"), atomic_load(&load.answered));
        RUN(1, "there is nothing to go back to", "rollback", "web");
        world_end(w);
}

static void a_canary_that_fails_leaves_the_other_children_untouched(void **state)
{
        struct world *w = *state;
        char path[256];

        start_pool(w, CHILDREN, "hot");
        for (int i = 0; i < 20; i++)
                assert_int_equal(request(w), 0);
        RUN(0, "", "swap", "web"); /* there is a state to refuse */
        world_script(w, path, "bad", "POOL_FAIL=refuse", "child_pool");
        RUN(1,
            "web: all 8 children run what they ran before: web/0 could not be swapped: the new "
            "process refused the state",
            "upgrade", "web", "--exec", "./bad");
        for (int i = 0; i < CHILDREN; i++) {
                struct bt_slot slot;

                child_slot(w, i, &slot);
                assert_int_equal(slot.incarnation, 2);
                assert_int_equal(slot.rollbacks, i == 0);
        }
        assert_int_equal(sum_of_states(w, "v1"), 20);
        world_end(w);
}

static void one_of_eight_that_is_not_healthy_takes_all_eight_back_with_their_states(void **state)
{
        struct world *w = *state;

        start_pool(w, CHILDREN, "hot");
        for (int i = 0; i < 50; i++)
                assert_int_equal(request(w), 0);
        world_program_put(w, "check",
                          "#!/bin/sh\ntest $BATON_CHILD != web/2 || { echo no pulse; exit 4; }\n");
        RUN(1, "web/1    healthy", "upgrade", "web", "--exec", "./v2", "--min-ready", "10ms",
            "--max-surge", "1", "--health", "./check");
        expect_said("web: all 8 children run what they ran before: web/2 is not healthy: ");
        expect_said("/check: exit 4");
        expect_said("  web | no pulse");
        assert_int_equal(count_running(w, "child_pool"), CHILDREN);
        assert_true(world_log_has(w, "health web/2 | no pulse"));
        assert_false(world_log_has(w, "web/3 | serves 0 as v2"));
        RUN(0, "", "swap", "web");
        assert_int_equal(sum_of_states(w, "v1"), 50);
        RUN(1, "", "rollback", "web"); /* nothing was upgraded */
        world_end(w);
}

static void a_health_command_that_hangs_or_cannot_run_is_a_no(void **state)
{
        struct world *w = *state;

        start_pool(w, CHILDREN, "hot");
        world_program_put(w, "check", "#!/bin/sh\nexec sleep 100\n");
        RUN(1, "web/0 is not healthy: ", "upgrade", "web", "--exec", "./v2", "--min-ready", "0",
            "--health", "./check", "--health-timeout", "100ms");
        expect_said("took longer than --health-timeout");
        world_program_put(w, "check", "#!/bin/sh\nexit 0\n");
        RUN(2, "--health ./none: ", "upgrade", "web", "--exec", "./v2", "--min-ready", "0",
            "--health", "./none");
        RUN(2, "are those of --health", "upgrade", "web", "--exec", "./v2", "--", "stray");
        assert_int_equal(count_running(w, "child_pool"), CHILDREN);
        world_end(w);
}

static void the_deadline_takes_back_what_is_not_proved(void **state)
{
        struct world *w = *state;

        start_pool(w, CHILDREN, "hot");
        RUN(5,
            "web: all 8 children run what they ran before: web/0 was not proved when --deadline "
            "was over",
            "upgrade", "web", "--exec", "./v2", "--min-ready", "60s", "--deadline", WORLD_SHORT);
        assert_int_equal(count_running(w, "child_pool"), CHILDREN);
        assert_int_equal(world_log_count(w, "as v2"), 1);
        world_end(w);
}

static void a_new_process_that_ends_after_it_was_proved_takes_all_back(void **state)
{
        struct world *w = *state;
        struct bt_slot slot;
        pid_t upgrade;

        start_pool(w, CHILDREN, "hot");
        for (int i = 0; i < 10; i++)
                assert_int_equal(request(w), 0);
        world_program_put(w, "check", "#!/bin/sh\ntest $BATON_CHILD = web/0 || exec sleep 100\n");
        upgrade = BEGIN("upgrade", "web", "--exec", "./v2", "--min-ready", "0", "--max-surge", "1",
                        "--health", "./check", "--health-timeout", "60s");
        world_log_wait(w, "web/1 | serves ", 2); /* the canary is proved: its follower is on its way */
        child_slot(w, 0, &slot);
        assert_int_equal(kill(slot.pid, SIGKILL), 0);
        command_finish(w, upgrade, 1,
                       "web: all 8 children run what they ran before: web/0 ended on the new "
                       "program: signal 9");
        assert_int_equal(count_running(w, "child_pool"), CHILDREN);
        world_end(w);
}

static void a_new_process_that_hangs_is_ended_by_a_cold_swap_back(void **state)
{
        struct world *w = *state;
        char path[256];
        struct bt_slot slot;
        pid_t upgrade;
        int fd;

        start_pool(w, 1, "hot");
        world_script(w, path, "v3", "POOL_VERSION=v3 POOL_FAIL=hang", "child_pool");
        world_program_put(w, "check", "#!/bin/sh\nexit 1\n");
        upgrade = BEGIN("upgrade", "web", "--exec", "./v3", "--min-ready", WORLD_SHORT, "--health",
                        "./check");
        world_log_wait(w, "serves 0 as v3", 1);
        fd = kv_dial(w);
        assert_int_equal(send(fd, "x\n", 2, MSG_NOSIGNAL), 2);
        command_finish(w, upgrade, 1, "rolled_back");
        (void)close(fd);
        /* the hot one */
        expect_said("no_state"); /* the cold one: it was not to be had */
        expect_said("all 1 children run what they ran before");
        world_slot(w, "web/0", &slot);
        assert_non_null(strstr(slot.exec, "/child_pool"));
        assert_int_equal(request(w), 0);
        world_end(w);
}

/* Children between "querying" and "committed" in the order of the lines, at most. */
static int most_at_once(const char *text)
{
        int now = 0, most = 0;

        for (const char *line = text; line && *line; line = strchr(line, '\n'), line += line ? 1 : 0) {
                size_t bytes = strcspn(line, "\n");

                now += memmem(line, bytes, " querying", 9) != NULL;
                now -= memmem(line, bytes, " committed", 10) != NULL;
                if (now > most)
                        most = now;
        }
        return most;
}

static void a_cold_pool_keeps_max_unavailable(void **state)
{
        struct world *w = *state;

        start_pool(w, CHILDREN, "cold");
        for (int i = 0; i < 30; i++)
                assert_int_equal(request(w), 0);
        RUN(0, "", "upgrade", "web", "--exec", "./v2", "--min-ready", "0", "--canary", "0",
            "--max-unavailable", "3");
        assert_int_equal(most_at_once(said), 3);
        assert_int_equal(count_running(w, "v2"), CHILDREN);
        assert_int_equal(sum_of_states(w, "v2"), 30);
        RUN(2, "a cold swap needs --max-unavailable of 1 or more", "upgrade", "web", "--exec",
            "./v2", "--max-unavailable", "0");
        world_end(w);
}

static void while_it_goes_on_others_are_refused_and_a_rollback_turns_it_around(void **state)
{
        struct world *w = *state;

        start_pool(w, CHILDREN, "hot");
        RUN(0, "web: begun", "upgrade", "web", "--exec", "./v2", "--min-ready", "60s", "--no-wait");
        world_log_wait(w, "web/0 | serves 0 as v2", 1);
        RUN(1, "an upgrade of its pool is under way", "swap", "web/5");
        RUN(1, "web/0 is in an upgrade that is under way", "upgrade", "web", "--exec", "./v2");
        RUN(0, "/v2 under way, 0 of 8\n", "status");
        RUN(0, "{\"rollout\":\"web: upgrade to ", "status", "--json");
        RUN(0, "somebody asked to go back", "rollback", "web");
        assert_int_equal(count_running(w, "child_pool"), CHILDREN);
        RUN(0, "rollout_begun", "events");
        expect_said("rollout_failed");
        world_end(w);
}

static void an_interrupt_ends_the_waiting_and_not_the_upgrade(void **state)
{
        struct world *w = *state;
        pid_t upgrade;

        start_pool(w, CHILDREN, "hot");
        world_program_put(w, "check",
                          "#!/bin/sh\nwhile test ! -e $(dirname $0)/go; do sleep 0.05; done\n");
        upgrade = BEGIN("upgrade", "web", "--exec", "./v2", "--min-ready", "0", "--health",
                        "./check", "--health-timeout", "60s");
        world_log_wait(w, "web/0 | serves 0 as v2", 1);
        assert_int_equal(kill(upgrade, SIGINT), 0);
        command_finish(w, upgrade, 130, "not waiting any more");
        expect_said("'baton rollback web'");
        world_gate_open(w, "go");
        world_log_wait(w, "web: 8 of 8 children run", 1);
        assert_int_equal(count_running(w, "v2"), CHILDREN);
        world_end(w);
}

static void a_stop_of_the_hub_ends_it_where_it_is_and_says_so(void **state)
{
        struct world *w = *state;
        pid_t upgrade;

        start_pool(w, CHILDREN, "hot");
        world_program_put(w, "check", "#!/bin/sh\necho asked; exec sleep 100\n");
        upgrade = BEGIN("upgrade", "web", "--exec", "./v2", "--min-ready", "0", "--health",
                        "./check", "--health-timeout", "60s");
        world_log_wait(w, "health web/0 | asked", 1); /* and it is ended too */
        world_stop(w);
        command_finish(
                w, upgrade, 1,
                "web: the hub is stopping: the upgrade ends where it is, 1 of 8 children run ");
        world_end(w);
}

static void after_a_hub_was_killed_its_children_are_on_what_each_had_committed(void **state)
{
        struct world *w = *state;
        struct bt_slot slots[CHILDREN];
        pid_t upgrade;

        start_pool(w, CHILDREN, "hot");
        upgrade = BEGIN("upgrade", "web", "--exec", "./v2", "--min-ready", "60s");
        world_log_wait(w, "web/0: swapped", 1);
        world_until_drained(w, "web/0");
        for (int i = 0; i < CHILDREN; i++)
                child_slot(w, i, &slots[i]);
        world_kill_hub(w);
        command_finish(w, upgrade, 1, "closed the connection without an outcome");
        world_start_again(w);
        assert_int_equal(count_running(w, "child_pool"), CHILDREN - 1);
        RUN(1, "there is nothing to go back to", "rollback", "web");
        RUN(0, "", "upgrade", "web", "--exec", "./v2", "--min-ready",
            "0"); /* the same again finishes it */
        assert_int_equal(count_running(w, "v2"), CHILDREN);
        for (int i = 0; i < CHILDREN; i++)
                assert_int_equal(world_wait(slots[i].pid), 0); /* ours since their hub is gone */
        world_end(w);
}

/* Requests are bytes from somebody: a health command that is no list of strings, and numbers that no command would send. */
static void a_request_that_makes_no_sense_is_refused_or_ends(void **state)
{
        struct world *w = *state;
        static const struct {
                uint32_t argc;
                char fill;
                enum bt_ctl_outcome outcome;
                const char *text;
        } rows[] = {
                {1, 'x', BT_CTL_INVALID, "the health command is not absolute"},
                {UINT32_MAX, '/', BT_CTL_INVALID, "the health command is not absolute"},
                {1, '/', BT_CTL_INVALID, "the health command is not absolute"}, /* never ends */
                {0, '/', BT_CTL_FAILED, "there is nothing to go back to"},
        };
        char runtime[128];

        start_pool(w, 2, "hot");
        (void)snprintf(runtime, sizeof(runtime), "%s/run", w->dir);
        for (size_t i = 0; i < BT_ARRAY_LEN(rows); i++) {
                struct bt_ctl_request bad = {.magic = BT_CTL_MAGIC, .version = BT_CTL_VERSION, .op = BT_CTL_ROLLBACK, .target = "web"};
                struct bt_ctl_reply reply;
                struct bt_ask ask;
                int fd = -1;

                memset(&bad.rollout, 0xff, sizeof(bad.rollout));
                memset(bad.rollout.health, rows[i].fill, sizeof(bad.rollout.health));
                bad.rollout.health_argc = rows[i].argc;
                bad.rollout.no_wait = 0;
                bad.strategy = BT_CTL_STRATEGY_SPEC;
                assert_int_equal(bt_ask_open(&ask, runtime, "w", WORLD_WAIT_MS * BT_NS_PER_MS), 0);
                assert_int_equal(bt_ask_send(&ask, &bad, -1), 0);
                assert_int_equal(bt_ask_reply(&ask, &reply, &fd), 0);
                assert_int_equal(reply.kind, BT_CTL_DONE);
                assert_int_equal(reply.outcome, rows[i].outcome);
                assert_non_null(strstr(reply.text, rows[i].text));
                bt_ask_close(&ask);
        }
        world_end(w);
}

#define SCENARIO(f) cmocka_unit_test_setup_teardown(f, world_setup, world_teardown)

int main(void)
{
        const struct CMUnitTest tests[] = {
                SCENARIO(a_pool_is_upgraded_under_load_without_a_failed_request_and_rolled_back_with_its_states),
                SCENARIO(a_canary_that_fails_leaves_the_other_children_untouched),
                SCENARIO(one_of_eight_that_is_not_healthy_takes_all_eight_back_with_their_states),
                SCENARIO(a_health_command_that_hangs_or_cannot_run_is_a_no),
                SCENARIO(the_deadline_takes_back_what_is_not_proved),
                SCENARIO(a_new_process_that_ends_after_it_was_proved_takes_all_back),
                SCENARIO(a_new_process_that_hangs_is_ended_by_a_cold_swap_back),
                SCENARIO(a_cold_pool_keeps_max_unavailable),
                SCENARIO(while_it_goes_on_others_are_refused_and_a_rollback_turns_it_around),
                SCENARIO(an_interrupt_ends_the_waiting_and_not_the_upgrade),
                SCENARIO(a_stop_of_the_hub_ends_it_where_it_is_and_says_so),
                SCENARIO(after_a_hub_was_killed_its_children_are_on_what_each_had_committed),
                SCENARIO(a_request_that_makes_no_sense_is_refused_or_ends),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
