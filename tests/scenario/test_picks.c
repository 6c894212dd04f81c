/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who of a pool gets a message, with members that do them (tally.h): round robin goes round, past one that is full or being replaced; a key finds the same member
 * through its swaps and deaths, which the member itself knows by the numbers of its messages, and moves only when that member leaves.
 */
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include <baton/client.h>

#include "base/clock.h"
#include "tests/support/command.h"
#include "tests/support/tally.h"

#define MEMBERS 3u
#define KEYS    24u

#define POOL                                                                                       \
        "hub: w\n"                                                                                 \
        "children:\n"                                                                              \
        "  tally:\n"                                                                               \
        "    exec: [@bin@/child_tally]\n"                                                          \
        "    instances: 3\n"                                                                       \
        "    strategy: hot\n"                                                                      \
        "    handover: true\n"                                                                     \
        "    state: {form: arena, max: 1MiB}\n"                                                    \
        "    mailbox: {slots: 4, bytes: 64, deliveries: forever}\n"                                \
        "    max_restarts: forever\n"                                                              \
        "    backoff: {min: 1ms, max: 1ms}\n"                                                      \
        "    child_migration_timeout: " WORLD_SHORT "\n"                                           \
        "    handover_data_wait: " WORLD_SHORT "\n"

static struct baton_client *attach(const struct world *w)
{
        struct baton_client *client = NULL;
        char path[128], why[BATON_WHY_BYTES] = "";

        (void)snprintf(path, sizeof(path), "%s/run/w", w->dir);
        if (baton_client_open(&client, path, NULL, why))
                fail_msg("cannot attach: %s", why);
        return client;
}

static struct baton_target *target_of(struct baton_client *client, const char *name,
                                      enum baton_pick pick)
{
        const struct baton_target_options options = {.size = sizeof(options), .pick = pick};
        struct baton_target *target = NULL;

        assert_int_equal(baton_client_target(&target, client, name, &options, NULL), 0);
        return target;
}

/* Number 0 only looks. */
static struct tally_answer call(struct baton_target *target, uint32_t caller, uint64_t number)
{
        const struct tally_message message = {.caller = caller, .number = number};
        const struct baton_send send = {.size = sizeof(send),
                                        .data = &message,
                                        .bytes = sizeof(message),
                                        .key = caller,
                                        .timeout_ns = WORLD_WAIT_MS * BT_NS_PER_MS};
        struct tally_answer answer = {0};
        struct baton_reply reply = {.data = &answer, .room = sizeof(answer)};

        assert_int_equal(baton_client_call(target, &send, &reply), 0);
        assert_int_equal(reply.status, 0);
        return answer;
}

static int cast(struct baton_target *target, uint32_t caller, uint64_t number)
{
        const struct tally_message message = {.caller = caller, .number = number};
        const struct baton_send send = {
                .size = sizeof(send), .data = &message, .bytes = sizeof(message), .key = caller};

        return baton_client_cast(target, &send);
}

static struct baton_target *member(struct baton_client *client, uint32_t idx)
{
        char name[32];

        (void)snprintf(name, sizeof(name), "tally/%u", idx);
        return target_of(client, name, BATON_PICK_LEAST_QUEUED);
}

static uint64_t total_of(struct baton_client *client, uint32_t idx)
{
        return call(member(client, idx), 0, 0).total;
}

static uint64_t queued(const struct baton_target *target)
{
        struct baton_target_stats stats;

        baton_target_stats(target, &stats);
        return stats.queued;
}

/* ---- round robin ---- */

static void round_robin_gives_each_member_the_same(void **state)
{
        struct world *w = *state;
        struct baton_client *client;
        struct baton_target *pool;

        world_start(w, POOL);
        client = attach(w);
        pool = target_of(client, "tally", BATON_PICK_ROUND_ROBIN);
        for (uint64_t n = 1; n <= 30; n++)
                assert_int_equal(call(pool, (uint32_t)n, n).total, (n + MEMBERS - 1) / MEMBERS);
        for (uint32_t i = 0; i < MEMBERS; i++)
                assert_int_equal(total_of(client, i), 10);
        client = baton_client_close(client);
        world_end(w);
}

static void round_robin_passes_over_one_that_is_full_and_comes_back_to_it(void **state)
{
        struct world *w = *state;
        struct baton_client *client;
        struct baton_target *pool;
        pid_t one;

        world_start(w, POOL);
        client = attach(w);
        pool = target_of(client, "tally", BATON_PICK_ROUND_ROBIN);
        one = world_pid(w, "tally/1");
        assert_int_equal(kill(one, SIGSTOP), 0);
        world_until_stopped(one);
        for (uint64_t n = 1; n <= 4; n++)
                assert_int_equal(cast(member(client, 1), 1, n), 0); /* its four slots */
        for (uint64_t n = 1; n <= 30; n++)
                (void)call(pool, (uint32_t)n, n); /* each is answered: by the two others */
        assert_int_equal(queued(member(client, 1)), 4);
        assert_int_equal(kill(one, SIGCONT), 0);
        assert_int_equal(total_of(client, 1), 4);
        assert_int_equal(total_of(client, 0) + total_of(client, 2), 30);
        for (uint64_t n = 1; n <= 9; n++)
                (void)call(pool, (uint32_t)n, n);
        assert_int_equal(total_of(client, 1), 7);
        client = baton_client_close(client);
        world_end(w);
}

/* Its new program never gets ready. Meanwhile the others have its turns, too, and afterwards it has its own again. */
static void round_robin_passes_over_one_that_is_being_swapped(void **state)
{
        struct world *w = *state;
        struct world_outcome outcome;
        struct baton_client *client;
        struct baton_target *pool;
        struct bt_slot slot;
        struct bt_ask ask;
        char path[256];

        world_start(w, POOL);
        world_script(w, path, "slow", "A=b", "/bin/sleep 1000");
        client = attach(w);
        pool = target_of(client, "tally", BATON_PICK_ROUND_ROBIN);
        ask = world_ask(w, BT_CTL_UPGRADE, "tally/1", path, BT_STRATEGY_COLD);
        world_follow_to(&ask, "starting");
        for (uint64_t n = 1; n <= 30; n++)
                (void)call(pool, (uint32_t)n, n);
        assert_int_equal(queued(member(client, 1)), 0);
        assert_int_equal(total_of(client, 0) + total_of(client, 2), 30);
        world_follow(&ask, &outcome);
        assert_int_not_equal(outcome.outcome, 0);
        world_until(w, "tally/1", BT_PHASE_RUNNING, 0, &slot);
        for (uint64_t n = 1; n <= 9; n++)
                (void)call(pool, (uint32_t)n, n);
        assert_int_equal(total_of(client, 1), 3);
        client = baton_client_close(client);
        world_end(w);
}

/* ---- hash ---- */

/* The @number-th message of each key; the member that gets it has had all the others of that key. */
static void each_key(struct baton_target *pool, uint64_t number)
{
        for (uint32_t key = 1; key <= KEYS; key++) {
                struct tally_answer answer = call(pool, key, number);

                assert_int_equal(answer.last, number);
                assert_int_equal(answer.wrong, 0);
        }
}

static void HOT_11_a_key_finds_its_member_through_swaps_and_deaths(void **state)
{
        struct world *w = *state;
        struct baton_client *client;
        struct baton_target *pool;
        struct bt_slot slot;

        world_start(w, POOL);
        client = attach(w);
        pool = target_of(client, "tally", BATON_PICK_HASH);
        each_key(pool, 1);
        for (uint32_t i = 0; i < MEMBERS; i++)
                assert_in_range(total_of(client, i), 1, KEYS - MEMBERS + 1); /* all have some */
        world_swap(w, "tally/0", NULL, BT_STRATEGY_HOT);
        each_key(pool, 2);
        world_swap(w, "tally/1", NULL, BT_STRATEGY_COLD);
        each_key(pool, 3);
        world_slot(w, "tally/2", &slot);
        assert_int_equal(kill(slot.pid, SIGKILL), 0);
        each_key(pool, 4); /* its own wait for it */
        assert_int_equal(total_of(client, 0) + total_of(client, 1) + total_of(client, 2), 4 * KEYS);
        client = baton_client_close(client);
        world_end(w);
}

static void a_member_that_leaves_moves_only_its_own_keys(void **state)
{
        struct world *w = *state;
        struct baton_client *client;
        struct baton_target *pool;
        bool moved[KEYS + 1];
        uint64_t count = 0;

        world_start(w, POOL);
        client = attach(w);
        pool = target_of(client, "tally", BATON_PICK_HASH);
        each_key(pool, 1);
        for (uint32_t key = 1; key <= KEYS; key++)
                moved[key] = call(member(client, 2), key, 0).last == 1;
        RUN(0, "", "child", "remove", "tally/2");
        for (uint32_t key = 1; key <= KEYS; key++) {
                uint64_t before =
                        call(member(client, 0), key, 0).last + call(member(client, 1), key, 0).last;

                assert_int_equal(before, !moved[key]);
                assert_int_equal(call(pool, key, before + 1).last,
                                 before + 1); /* goes on where it was, or begins anew elsewhere */
                count += moved[key];
        }
        assert_in_range(count, 1, KEYS - 1);
        assert_int_equal(call(member(client, 0), 0, 0).wrong + call(member(client, 1), 0, 0).wrong,
                         0);
        client = baton_client_close(client);
        world_end(w);
}

int main(void)
{
#define ROW(name) cmocka_unit_test_setup_teardown(name, world_setup, world_teardown)
        const struct CMUnitTest tests[] = {
                ROW(round_robin_gives_each_member_the_same),
                ROW(round_robin_passes_over_one_that_is_full_and_comes_back_to_it),
                ROW(round_robin_passes_over_one_that_is_being_swapped),
                ROW(HOT_11_a_key_finds_its_member_through_swaps_and_deaths),
                ROW(a_member_that_leaves_moves_only_its_own_keys),
        };
#undef ROW

        return cmocka_run_group_tests_name("picks", tests, NULL, NULL);
}
