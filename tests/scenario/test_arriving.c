/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Connections that are passed ahead: the successor has them, and has them watched, while its predecessor serves. Between that and the moment connections are closed
 * and opened, swaps are called off, and either process dies.
 *
 * The predecessor is stopped when it has announced the moment; what clients do meanwhile it finds in the turn of its loop that comes before its capture. The successor
 * is stopped when arriving() has returned: so it has.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "tests/support/world.h"

#define V2 "kv-v2-testing"

#define KV WORLD_KV "    env: {BATON_STOP_AT: handover.announced}\n"

struct swap {
        struct bt_ask ask;
        struct bt_slot slot; /* before it */
        pid_t heir;
        char env[256];
};

/* Begins one; returns when the connections have arrived and both processes stand still. */
static void swap_begin(struct world *w, struct swap *swap, const char *env)
{
        char path[256], text[64];

        world_slot(w, "kv", &swap->slot);
        (void)snprintf(swap->env, sizeof(swap->env), "BATON_STOP_AT=arriving.done%s; echo $$ >%s/heir", env, w->dir);
        world_script(w, path, "next", swap->env, V2);
        swap->ask = world_ask(w, BT_CTL_UPGRADE, "kv", path, BT_STRATEGY_HOT);
        world_line_wait(w, "heir", text, sizeof(text));
        swap->heir = (pid_t)strtol(text, NULL, 10);
        world_until_stopped(swap->slot.pid);
        world_until_stopped(swap->heir);
        (void)snprintf(path, sizeof(path), "%s/heir", w->dir);
        assert_int_equal(unlink(path), 0);
}

static void swap_end(struct swap *swap, uint32_t wanted)
{
        struct world_outcome outcome;

        (void)kill(swap->heir, SIGCONT); /* each may be dead, and reaped already */
        (void)kill(swap->slot.pid, SIGCONT);
        world_follow(&swap->ask, &outcome);
        if (outcome.outcome != wanted)
                fail_msg("outcome %u, expected %u, after '%s': %s", outcome.outcome, wanted, outcome.phases, outcome.text);
}

static void expect_clients(int fd, int64_t count)
{
        char value[32];

        kv_info(fd, "connected_clients", value, sizeof(value));
        assert_int_equal(strtoll(value, NULL, 10), count);
}

static void expect_end(int fd)
{
        char byte;

        assert_true(recv(fd, &byte, 1, 0) <= 0);
        (void)close(fd);
}

static int client(const struct world *w)
{
        int fd = kv_dial(w);

        (void)kv_number(fd, "INCR n");
        return fd;
}

static void HOT_8_connections_closed_and_opened_between_arriving_and_the_moment_are_right(void **state)
{
        struct world *w = *state;
        struct bt_slot slot;
        struct swap swap;
        int stays, closes, quits, comes, before;
        char path[256];

        world_start(w, KV);
        stays = client(w);
        closes = client(w);
        quits = client(w);
        swap_begin(w, &swap, "");
        (void)close(closes);
        kv_say(quits, "QUIT\r\n"); /* the server closes: what the successor has of it must not keep it open */
        comes = kv_dial(w);
        kv_say(comes, "INCR n\r\n");
        kv_say(stays, "INCR n\r\n");
        swap_end(&swap, BT_CTL_OK);
        kv_hear(quits, "+OK\r\n");
        expect_end(quits);
        world_until_drained(w, "kv");
        world_slot(w, "kv", &slot);
        assert_true(slot.incarnation > swap.slot.incarnation);
        assert_int_equal(slot.restarts, 0);
        before = world_fd_count(slot.pid);
        /* Both are answered, in which order is not said. */
        assert_int_equal(recv(stays, (char[4]){0}, 4, MSG_WAITALL), 4);
        assert_int_equal(recv(comes, (char[4]){0}, 4, MSG_WAITALL), 4);
        assert_int_equal(kv_number(stays, "INCR n"), 6);
        assert_int_equal(kv_number(comes, "INCR n"), 7);
        expect_clients(stays, 2);

        /* It has no more descriptors than one from which nothing was taken back. */
        world_script(w, path, "plain", "", "kv-v1-testing"); /* a script, too: the shell leaves a descriptor of it */
        world_swap(w, "kv", path, BT_STRATEGY_HOT);
        world_until_drained(w, "kv");
        world_slot(w, "kv", &slot);
        assert_int_equal(world_fd_count(slot.pid), before);
        assert_int_equal(kv_number(stays, "INCR n"), 8);
        (void)close(stays);
        (void)close(comes);
        world_end(w);
}

/* Each connection that was passed ahead is taken back, and as many come: the moment passes all of them, under the same slots. */
static void HOT_8_all_connections_may_be_others_by_the_moment(void **state)
{
        enum { CLIENTS = 300 }; /* more than one message holds */
        struct world *w = *state;
        int old[CLIENTS], fresh[CLIENTS];
        struct swap swap;

        world_start(w, KV);
        for (int i = 0; i < CLIENTS; i++)
                old[i] = client(w);
        swap_begin(w, &swap, "");
        for (int i = 0; i < CLIENTS; i++) {
                (void)close(old[i]);
                fresh[i] = kv_dial(w);
        }
        swap_end(&swap, BT_CTL_OK);
        for (int i = 0; i < CLIENTS; i++)
                assert_int_equal(kv_number(fresh[i], "INCR n"), CLIENTS + i + 1);
        expect_clients(fresh[0], CLIENTS);
        for (int i = 0; i < CLIENTS; i++)
                (void)close(fresh[i]);
        world_end(w);
}

/* The successor has copies of all connections, and refuses, or dies of it. */
static void HOT_10_a_successor_that_ends_with_what_arrived_harms_no_connection(void **state)
{
        static const char *const endings[] = {" KV_FAIL=refuse_arriving", " KV_FAIL=refuse_restore", " BATON_KILL_AT=restore.begin", "kill"};
        struct world *w = *state;

        for (size_t i = 0; i < BT_ARRAY_LEN(endings); i++) {
                bool dies = !strcmp(endings[i], "kill");
                struct swap swap;
                struct bt_slot slot;
                int stays, closes, before;

                w->row = endings[i];
                world_start(w, KV);
                stays = client(w);
                before = world_fd_count((world_slot(w, "kv", &slot), slot.pid));
                closes = client(w);
                swap_begin(w, &swap, dies ? "" : endings[i]);
                kv_say(closes, "QUIT\r\n");
                if (dies)
                        assert_int_equal(kill(swap.heir, SIGKILL), 0);
                swap_end(&swap, BT_CTL_FAILED);
                kv_hear(closes, "+OK\r\n");
                expect_end(closes);
                world_slot(w, "kv", &slot);
                assert_int_equal(slot.incarnation, swap.slot.incarnation);
                assert_true(kv_number(stays, "INCR n") > 1);
                expect_clients(stays, 1);
                assert_int_equal(world_fd_count(slot.pid), before);
                world_swap(w, "kv", V2, BT_STRATEGY_HOT);
                assert_true(kv_number(stays, "INCR n") > 2);
                (void)close(stays);
                world_stop(w);
        }
        w->row = NULL;
        world_end(w);
}

/* Nobody says what is gone then: the records do. What had arrived is served on, by the successor alone. */
static void HOT_10_what_arrived_outlives_a_predecessor_that_dies_before_the_moment(void **state)
{
        struct world *w = *state;
        struct bt_slot slot;
        struct swap swap;
        int stays, late;

        world_start(w, KV);
        stays = client(w);
        swap_begin(w, &swap, "");
        late = kv_dial(w); /* in the backlog: nobody has taken it */
        assert_int_equal(kill(swap.slot.pid, SIGKILL), 0);
        swap_end(&swap, BT_CTL_OK);
        world_slot(w, "kv", &slot);
        assert_true(slot.incarnation > swap.slot.incarnation);
        assert_int_equal(kv_number(stays, "INCR n"), 2);
        assert_int_equal(kv_number(late, "INCR n"), 3);
        expect_clients(stays, 2);
        (void)close(stays);
        (void)close(late);
        world_end(w);
}

#define SCENARIO(name) cmocka_unit_test_setup_teardown(name, world_setup, world_teardown)

int main(void)
{
        const struct CMUnitTest tests[] = {
                SCENARIO(HOT_8_connections_closed_and_opened_between_arriving_and_the_moment_are_right),
                SCENARIO(HOT_8_all_connections_may_be_others_by_the_moment),
                SCENARIO(HOT_10_a_successor_that_ends_with_what_arrived_harms_no_connection),
                SCENARIO(HOT_10_what_arrived_outlives_a_predecessor_that_dies_before_the_moment),
        };

        return cmocka_run_group_tests_name("arriving", tests, NULL, NULL);
}
