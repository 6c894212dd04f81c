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
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/fd.h"
#include "tests/support/world.h"

#define V1 "kv-v1-testing"
#define V2 "kv-v2-testing"

/* ---- the command ---- */

static void command_environment(const struct world *w)
{
        char path[640];

        (void)snprintf(path, sizeof(path), "%s/run", w->dir);
        (void)setenv("BATON_RUNTIME_DIR", path, 1);
        (void)mkdir(path, 0700);
        (void)snprintf(path, sizeof(path), "%s/state", w->dir);
        (void)setenv("BATON_STATE_DIR", path, 1);
        (void)mkdir(path, 0700);
        world_program(w, path, "batond_testing");
        (void)setenv("BATON_BATOND", path, 1);
}

/* Runs `baton @words..`; returns its exit status, and what it printed on both outputs. */
static int baton(const struct world *w, char *text, size_t bytes, const char *words)
{
        char program[640], copy[1024], *argv[16] = {program}, *rest = copy;
        size_t n = 1;
        int status;

        world_program(w, program, "baton");
        (void)snprintf(copy, sizeof(copy), "%s", words);
        while (n < BT_ARRAY_LEN(argv) - 1 && (argv[n] = strsep(&rest, " ")))
                n++;
        status = world_wait(world_spawn(w, argv, "baton.out"));
        world_read(w, "baton.out", text, bytes);
        return status;
}

static void expect(const char *text, const char *wanted)
{
        if (!strstr(text, wanted))
                fail_msg("expected '%s' in: %s", wanted, text);
}

/* `baton run` becomes the daemon, so the process we start is the hub. */
static pid_t run_hub(const struct world *w)
{
        char program[640], run[] = "run", file[] = "app.yaml";
        char *argv[] = {program, run, file, NULL};
        pid_t pid;

        world_program(w, program, "baton");
        pid = world_spawn(w, argv, "hub.log");
        world_log_wait(w, "1 running, 0 not", 1);
        return pid;
}

static void the_command_runs_shows_upgrades_and_stops(void **state)
{
        struct world *w = *state;
        char text[WORLD_TEXT_BYTES], words[1024];
        pid_t hub;
        int fd;

        command_environment(w);
        world_configure(w, WORLD_KV);
        assert_int_equal(baton(w, text, sizeof(text), "status"), 4);
        expect(text, "no hub runs");
        hub = run_hub(w);
        fd = kv_dial(w);
        assert_int_equal(kv_number(fd, "INCR n"), 1);
        assert_int_equal(baton(w, text, sizeof(text), "status"), 0);
        expect(text, "kv");
        expect(text, "running");
        assert_int_equal(baton(w, text, sizeof(text), "status --json"), 0);
        expect(text, "\"incarnation\"");
        (void)snprintf(words, sizeof(words), "upgrade kv --exec %s/%s", w->bin, V2);
        assert_int_equal(baton(w, text, sizeof(text), words), 0);
        expect(text, "ready");
        expect(text, "committed");
        expect(text, "kv: swapped, pause");
        kv_expect_version(w, "2.0");
        assert_int_equal(baton(w, text, sizeof(text), "swap kv --strategy cold"), 0);
        expect(text, "captured");
        assert_int_equal(kv_number(fd, "INCR n"), 2);
        assert_int_equal(baton(w, text, sizeof(text), "run app.yaml"), 1);
        expect(text, "runs already");
        assert_int_equal(baton(w, text, sizeof(text), "stop"), 0);
        expect(text, "state kept");
        assert_int_equal(world_wait(hub), 0);
        (void)close(fd);
        world_end(w);
}

static void the_command_says_why_an_upgrade_failed(void **state)
{
        struct world *w = *state;
        char text[WORLD_TEXT_BYTES], words[1024], path[256];
        pid_t hub;

        command_environment(w);
        world_configure(w, WORLD_KV "    child_migration_timeout: " WORLD_SHORT "\n    handover_data_wait: " WORLD_SHORT "\n");
        hub = run_hub(w);
        world_script(w, path, "broken", "KV_FAIL=exit_at_start", V2);
        (void)snprintf(words, sizeof(words), "upgrade kv --exec %s", path);
        assert_int_equal(baton(w, text, sizeof(text), words), 1);
        expect(text, "exit 3");
        expect(text, "kv: KV_FAIL: exits at start");
        world_script(w, path, "broken", "KV_FAIL=hang_at_start", V2);
        assert_int_equal(baton(w, text, sizeof(text), words), 5);
        expect(text, "child_migration_timeout");
        assert_int_equal(baton(w, text, sizeof(text), "swap nobody"), 3);
        assert_int_equal(baton(w, text, sizeof(text), "upgrade kv --exec /does/not/exist"), 2);
        expect(text, "No such file");
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
