/* SPDX-License-Identifier: Apache-2.0 */
/*
 * I8: what the hub alone has outlives the hub. It is killed at each point of a cold swap, and between two restarts; the next hub has the state, and what
 * the client was connected to.
 */
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/fd.h"
#include "tests/support/rows.h"
#include "tests/support/world_internal.h"

#define ARENA "handover: true, state: {form: arena, max: 1MiB}"
#define BLOB  "handover: true, state: {form: blob, max: 64KiB}"

static const char *const points[] = {"hub.swap.captured", "hub.swap.kept",    "hub.swap.stopping", "hub.swap.alone",   "hub.swap.started",
                                     "hub.swap.granted",  "hub.swap.commit",  "hub.swap.holding",  "hub.held.release", "hub.held.released"};

static void hub_dies_at(struct world *w, char room[64], const char *point)
{
        (void)snprintf(room, 64, "BATON_KILL_AT=%s", point);
        w->hub_env = room;
        w->row = room;
}

/* The hub that runs is not told to die: a killed one begins and ends each row. */
static void next_row(struct world *w)
{
        w->hub_env = NULL;
        world_kill_hub(w);
        assert_true(world_reap_orphans() >= 1);
}

static void I8_a_hub_killed_at_any_point_of_a_cold_swap_loses_nothing(void **state)
{
        static char env[64]; /* printed when the test has failed */
        struct world *w = *state;

        for (size_t i = 0; i < 2 * BT_ARRAY_LEN(points); i++) {
                struct bt_slot slot;
                struct bt_ask ask;
                int fd;

                hub_dies_at(w, env, points[i / 2]);
                rows_start(w, 1, "", i % 2 ? ARENA : BLOB);
                fd = rows_connect(w, 0);
                for (int n = 1; n <= 3; n++)
                        assert_int_equal(probe_number(fd, "count"), n);
                world_slot(w, "r0", &slot);
                ask = world_ask(w, BT_CTL_SWAP, "r0", NULL, BT_STRATEGY_COLD);
                world_await_hub(w, 128 + SIGKILL);
                bt_ask_close(&ask);

                w->hub_env = NULL;
                world_start_again(w);
                if (!strcmp(points[i / 2], "hub.swap.alone"))
                        assert_true(world_log_has(w, "1 child of the hub before this one had no process, and what was kept of it"));
                world_until(w, "r0", BT_PHASE_RUNNING, 0, &slot);
                if (i / 2) {
                        assert_int_equal(probe_number(fd, "count"), 4);
                } else { /* the connections were in its hands for a moment; the state was not */
                        (void)close(fd);
                        fd = rows_connect(w, 0);
                        assert_int_equal(probe_number(fd, "count"), 4);
                }
                (void)close(fd);
                fd = rows_connect(w, 0);
                assert_int_equal(probe_number(fd, "value"), 4);
                assert_int_equal(probe_number(fd, "inc"), (int)slot.incarnation);
                world_swap(w, "r0", "child_rows", BT_STRATEGY_COLD); /* the next one goes as ever, with a keeper of its own */
                assert_int_equal(probe_number(fd, "count"), 5);
                (void)close(fd);
                next_row(w);
        }
        w->row = NULL;
        world_start_again(w);
        world_end(w);
}

/* Its arena is with the hub alone from the end of one process to the start of the next. The first hub dies there; the second when it has taken it. */
static void I8_hubs_killed_while_a_child_is_down_lose_nothing(void **state)
{
        static const char *const second[] = {NULL, "BATON_KILL_AT=hub.keep.taken"};
        static char env[64];
        struct world *w = *state;

        for (size_t i = 0; i < BT_ARRAY_LEN(second); i++) {
                struct bt_slot slot;
                int fd;

                hub_dies_at(w, env, "hub.child.down");
                rows_start(w, 1, "", ARENA);
                rows_set_values(w, 1);
                world_slot(w, "r0", &slot);
                assert_int_equal(kill(slot.pid, SIGKILL), 0);
                world_await_hub(w, 128 + SIGKILL);
                w->hub_env = second[i];
                if (w->hub_env)
                        world_start_dying(w, 128 + SIGKILL);
                w->hub_env = NULL;
                world_start_again(w);
                world_slot(w, "r0", &slot);
                assert_int_equal(slot.incarnation, 2);
                fd = rows_connect(w, 0);
                assert_int_equal(probe_number(fd, "value"), 1);
                (void)close(fd);
                next_row(w);
        }
        w->row = NULL;
        world_start_again(w);
        world_end(w);
}

/* Nothing is kept of what serves: the hub is killed, and its keeper ends; nor after an orderly end. */
static void a_keeper_with_nothing_to_keep_ends_with_its_hub(void **state)
{
        struct world *w = *state;
        struct bt_slot slot;

        rows_start(w, 1, "", ARENA);
        world_swap(w, "r0", "child_rows", BT_STRATEGY_COLD); /* it has one now */
        world_slot(w, "r0", &slot);
        world_kill_hub(w);
        assert_int_equal(kill(slot.pid, SIGKILL), 0);
        assert_int_equal(world_wait(slot.pid), 128 + SIGKILL);
        assert_true(world_wait(-1) == 0); /* the only one there is */
        world_start_again(w);
        world_swap(w, "r0", "child_rows", BT_STRATEGY_COLD);
        world_end(w);
}

int main(void)
{
#define SCENARIO(name) cmocka_unit_test_setup_teardown(name, world_setup, world_teardown)
        const struct CMUnitTest tests[] = {
                SCENARIO(I8_hubs_killed_while_a_child_is_down_lose_nothing),
                SCENARIO(a_keeper_with_nothing_to_keep_ends_with_its_hub),
                SCENARIO(I8_a_hub_killed_at_any_point_of_a_cold_swap_loses_nothing),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
