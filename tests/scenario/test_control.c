/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The way in: the `baton` command against a real hub, several requests at once, clients that leave, and children that attack the shared memory they
 * were given (I6). What a request does once it is taken is the subject of the other files.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "tests/support/command.h"
#include "tests/support/world.h"

#define V1 "kv-v1-testing"
#define V2 "kv-v2-testing"

/* ---- the command ---- */

/* `baton run` starts the hub that the other tests have. */
static void command_environment(const struct world *w)
{
        char path[640];

        world_program(w, path, "batond_testing");
        (void)setenv("BATON_BATOND", path, 1);
}

/* `baton run` becomes the daemon, so the process we start is the hub. */
static pid_t run_hub(const struct world *w)
{
        pid_t pid = command_begin(w, "hub.log", (const char *const[]){"run", "app.yaml", NULL});

        world_log_wait(w, "1 running, 0 not", 1);
        return pid;
}

static void the_command_runs_shows_upgrades_and_stops(void **state)
{
        struct world *w = *state;
        char path[640];
        pid_t hub;
        int fd;

        command_environment(w);
        world_configure(w, WORLD_KV);
        RUN(4, "no hub runs", "status");
        hub = run_hub(w);
        fd = kv_dial(w);
        assert_int_equal(kv_number(fd, "INCR n"), 1);
        RUN(0, "kv", "status");
        expect_said("running");
        RUN(0, "\"incarnation\"", "status", "--json");
        world_program(w, path, V2);
        RUN(0, "ready", "upgrade", "kv", "--exec", path);
        expect_said("committed");
        expect_said("kv: swapped, pause");
        kv_expect_version(w, "2.0");
        RUN(0, "captured", "swap", "kv", "--strategy", "cold");
        assert_int_equal(kv_number(fd, "INCR n"), 2);
        RUN(1, "runs already", "run", "app.yaml");
        RUN(0, "state kept", "stop");
        assert_int_equal(world_wait(hub), 0);
        (void)close(fd);
        world_end(w);
}

static void the_command_says_why_an_upgrade_failed(void **state)
{
        struct world *w = *state;
        char path[256];
        pid_t hub;

        command_environment(w);
        world_configure(w, WORLD_KV "    child_migration_timeout: " WORLD_SHORT "\n    handover_data_wait: " WORLD_SHORT "\n");
        hub = run_hub(w);
        world_script(w, path, "broken", "KV_FAIL=exit_at_start", V2);
        RUN(1, "exit 3", "upgrade", "kv", "--exec", path);
        expect_said("kv: KV_FAIL: exits at start");
        world_script(w, path, "broken", "KV_FAIL=hang_at_start", V2);
        RUN(5, "child_migration_timeout", "upgrade", "kv", "--exec", path);
        RUN(3, "", "swap", "nobody");
        RUN(2, "No such file", "upgrade", "kv", "--exec", "/does/not/exist");
        kv_expect_version(w, "1.0");
        assert_int_equal(kill(hub, SIGTERM), 0);
        assert_int_equal(world_wait(hub), 0);
        world_end(w);
}

/* ---- several at once ---- */

/* A successor that waits before its first word, so that a migration is under way for as long as the test wants. */
static int slow_successor(const struct world *w, char path[256])
{
        char env[256];

        (void)snprintf(env, sizeof(env), "BATON_STOP_AT=child.attached\necho $$ > %s/slow.pid", w->dir);
        world_script(w, path, "slow", env, V2);
        return 0;
}

static void wake_successor(const struct world *w)
{
        char text[64];
        int pid;

        world_line_wait(w, "slow.pid", text, sizeof(text));
        pid = (int)strtol(text, NULL, 10);
        world_until_stopped(pid);
        assert_int_equal(kill(pid, SIGCONT), 0);
}

static void HOT_13_requests_for_the_same_child_and_binary_share_one_migration(void **state)
{
        struct world *w = *state;
        struct world_outcome outcomes[3], other;
        struct bt_ask asks[3];
        struct bt_slot slot;
        char path[256], v1[640];

        world_start(w, WORLD_KV);
        (void)slow_successor(w, path);
        world_program(w, v1, V1);
        asks[0] = world_ask(w, BT_CTL_UPGRADE, "kv", path, BT_STRATEGY_HOT);
        world_follow_to(&asks[0], "starting");
        asks[1] = world_ask(w, BT_CTL_UPGRADE, "kv", path, BT_STRATEGY_HOT);
        asks[2] = world_ask(w, BT_CTL_UPGRADE, "kv", path, BT_STRATEGY_COLD);
        /* Another binary meanwhile is refused, and says what is in its way. This also shows that the two before were taken. */
        world_migrate(w, "kv", v1, BT_STRATEGY_HOT, &other);
        assert_int_equal(other.outcome, BT_CTL_FAILED);
        assert_non_null(strstr(other.text, "is under way"));
        assert_non_null(strstr(other.text, path));
        wake_successor(w);
        for (int i = 0; i < 3; i++) {
                world_follow(&asks[i], &outcomes[i]);
                assert_int_equal(outcomes[i].outcome, BT_CTL_OK);
                assert_non_null(strstr(outcomes[i].phases, "committed"));
        }
        world_slot(w, "kv", &slot);
        assert_int_equal(slot.swaps, 1);
        kv_expect_version(w, "2.0");
        world_end(w);
}

static void a_client_that_leaves_does_not_take_its_migration_with_it(void **state)
{
        struct world *w = *state;
        struct bt_ask ask;
        struct bt_slot slot;
        char path[256];

        world_start(w, WORLD_KV);
        (void)slow_successor(w, path);
        ask = world_ask(w, BT_CTL_UPGRADE, "kv", path, BT_STRATEGY_HOT);
        world_follow_to(&ask, "starting");
        bt_ask_close(&ask);
        wake_successor(w);
        world_until(w, "kv", BT_PHASE_RUNNING, 1, &slot);
        kv_expect_version(w, "2.0");
        world_end(w);
}

static void HOT_6_one_failure_in_a_pool_does_not_touch_the_others(void **state)
{
        struct world *w = *state;
        struct world_outcome outcome;
        struct bt_slot slot;
        char path[256], id[32];

        world_start(w, "hub: w\n"
                       "children:\n"
                       "  probe:\n"
                       "    exec: [@bin@/child_probe]\n"
                       "    instances: 8\n"
                       "    handover: true\n"
                       "    state: {form: blob, max: 4KiB}\n");
        world_script_once(w, path, "first-fails", "PROBE_FAIL=exit", "child_probe");
        world_migrate(w, "probe", path, BT_STRATEGY_HOT, &outcome);
        assert_int_equal(outcome.outcome, BT_CTL_FAILED);
        for (int i = 0, moved = 0; i < 8; i++) {
                (void)snprintf(id, sizeof(id), "probe/%d", i);
                world_slot(w, id, &slot);
                assert_int_equal(slot.phase, BT_PHASE_RUNNING);
                moved += slot.incarnation == 2;
                assert_int_equal(slot.rollbacks, slot.incarnation == 1);
                if (i == 7)
                        assert_int_equal(moved, 7);
        }
        world_end(w);
}

static void nonsense_on_the_control_socket_harms_nobody(void **state)
{
        struct world *w = *state;
        struct sockaddr_un addr = {.sun_family = AF_UNIX};
        struct bt_slot slot;
        int before;

        world_start(w, WORLD_KV);
        world_slot(w, "kv", &slot);
        before = world_fd_count(w->pid);
        (void)snprintf(addr.sun_path, sizeof(addr.sun_path), "%s/run/%s/control.sock", w->dir, w->hub);
        for (size_t bytes = 0; bytes < 4000; bytes += 333) {
                char noise[4096];
                int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);

                memset(noise, (int)bytes, sizeof(noise));
                assert_int_equal(connect(fd, (struct sockaddr *)&addr, sizeof(addr)), 0);
                if (bytes)
                        assert_int_equal(send(fd, noise, bytes, MSG_NOSIGNAL), bytes);
                (void)shutdown(fd, SHUT_WR);
                while (recv(fd, noise, sizeof(noise), 0) > 0)
                        ; /* until the hub closes */
                (void)close(fd);
        }
        world_swap(w, "kv", V2, BT_STRATEGY_HOT);
        world_until_drained(w, "kv");
        assert_int_equal(world_fd_count(w->pid), before + 1); /* the program before the upgrade, for a rollback */
        world_end(w);
}

/* ---- children that attack ---- */

static void hostile(const char *how, bool swap, void **state)
{
        struct world *w = *state;
        struct world_outcome outcome;
        struct bt_slot slot, calm, after;
        int fd;

        world_start(w, WORLD_PROBE
                    "    max_restarts: forever\n"
                    "    handover_data_wait: " WORLD_SHORT "\n"
                    "  calm:\n"
                    "    exec: [@bin@/child_probe]\n"
                    "    handover: true\n"
                    "    state: {form: blob, max: 4KiB}\n");
        world_slot(w, "calm", &calm);
        fd = probe_dial(w);
        assert_int_equal(probe_number(fd, "count"), 1);
        probe_say(fd, "hostile %s", how);
        if (swap) {
                char answer[64];

                kv_line(fd, answer, sizeof(answer));
                world_migrate(w, "probe", NULL, BT_STRATEGY_HOT, &outcome);
        }
        (void)close(fd);
        /* Whatever became of it, its neighbour is as it was, and can be swapped both ways. */
        world_swap(w, "calm", NULL, BT_STRATEGY_HOT);
        world_swap(w, "calm", NULL, BT_STRATEGY_COLD);
        world_until_drained(w, "calm");
        world_slot(w, "calm", &after);
        assert_int_equal(after.incarnation, calm.incarnation + 2);
        assert_int_equal(after.restarts, 0);
        /* And it comes back itself when its process has ended, one way or another. */
        world_slot(w, "probe", &slot);
        if (slot.pid)
                (void)kill(slot.pid, SIGKILL);
        world_until(w, "probe", BT_PHASE_RUNNING, slot.incarnation, &slot);
        fd = probe_dial(w);
        assert_true(probe_number(fd, "count") >= 1);
        world_swap(w, "probe", NULL, BT_STRATEGY_HOT);
        assert_true(probe_number(fd, "count") >= 2);
        (void)close(fd);
        world_end(w);
}

static void I6_a_child_that_scribbles_over_its_ring_harms_itself(void **state)
{
        hostile("ring", false, state);
}

static void I6_a_child_that_scribbles_over_the_hubs_ring_harms_itself(void **state)
{
        hostile("full", true, state);
}

static void I6_a_child_that_scribbles_over_its_holder_word_harms_itself(void **state)
{
        hostile("word", true, state);
}

static void I6_a_child_that_sends_messages_out_of_place_harms_itself(void **state)
{
        hostile("text", false, state);
}

#define SCENARIO(name) cmocka_unit_test_setup_teardown(name, world_setup, world_teardown)

int main(void)
{
        const struct CMUnitTest tests[] = {
                SCENARIO(the_command_runs_shows_upgrades_and_stops),
                SCENARIO(the_command_says_why_an_upgrade_failed),
                SCENARIO(HOT_13_requests_for_the_same_child_and_binary_share_one_migration),
                SCENARIO(a_client_that_leaves_does_not_take_its_migration_with_it),
                SCENARIO(HOT_6_one_failure_in_a_pool_does_not_touch_the_others),
                SCENARIO(nonsense_on_the_control_socket_harms_nobody),
                SCENARIO(I6_a_child_that_scribbles_over_its_ring_harms_itself),
                SCENARIO(I6_a_child_that_scribbles_over_the_hubs_ring_harms_itself),
                SCENARIO(I6_a_child_that_scribbles_over_its_holder_word_harms_itself),
                SCENARIO(I6_a_child_that_sends_messages_out_of_place_harms_itself),
        };

        return cmocka_run_group_tests_name("control", tests, NULL, NULL);
}
