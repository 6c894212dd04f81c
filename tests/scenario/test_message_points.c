/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A child that is killed at one point of each third message, at every point there is between taking a message and having answered it, under a real hub that
 * starts it again: each call is counted once and answered with a success. Beside tests/crash/test_message_steps.c, which has every instruction and no hub.
 */
#include <stdio.h>
#include <string.h>

#include <baton/client.h>

#include "base/clock.h"
#include "tests/support/tally.h"
#include "tests/support/world.h"

#define TALLY                                                                                      \
        "hub: w\n"                                                                                 \
        "children:\n"                                                                              \
        "  tally:\n"                                                                               \
        "    exec: [@bin@/child_tally]\n"                                                          \
        "    handover: true\n"                                                                     \
        "    state: {form: arena, max: 1MiB}\n"                                                    \
        "    mailbox: {slots: 16, bytes: 64}\n"                                                    \
        "    max_restarts: forever\n"                                                              \
        "    backoff: {min: 1ms, max: 1ms}\n"                                                      \
        "    env: {BATON_KILL_AT: '%s:3'}\n"

#define CALLS 30u

static struct baton_target *tally_of(struct world *w, struct baton_client **ret_client)
{
        struct baton_target *target = NULL;
        char path[128], why[BATON_WHY_BYTES] = "";

        (void)snprintf(path, sizeof(path), "%s/run/w", w->dir);
        if (baton_client_open(ret_client, path, NULL, why))
                fail_msg("cannot attach: %s", why);
        assert_int_equal(baton_client_target(&target, *ret_client, "tally", NULL, NULL), 0);
        return target;
}

static struct tally_answer call(struct baton_target *target, uint64_t number)
{
        const struct tally_message message = {.number = number};
        const struct baton_send send = {.size = sizeof(send), .data = &message, .bytes = sizeof(message), .timeout_ns = WORLD_WAIT_MS * BT_NS_PER_MS};
        struct tally_answer answer = {0};
        struct baton_reply reply = {.data = &answer, .room = sizeof(answer)};

        assert_int_equal(baton_client_call(target, &send, &reply), 0);
        assert_int_equal(reply.status, 0);
        assert_int_equal(reply.bytes, sizeof(answer));
        return answer;
}

static void die_at(struct world *w, const char *point)
{
        struct baton_client *client = NULL;
        struct baton_target *target;
        struct tally_answer answer = {0};
        struct bt_slot slot;
        char config[1024];

        (void)snprintf(config, sizeof(config), TALLY, point);
        world_start(w, config);
        target = tally_of(w, &client);
        for (uint64_t n = 1; n <= CALLS; n++) {
                answer = call(target, n);
                assert_int_equal(answer.total, n);
                assert_int_equal(answer.last, n);
                assert_int_equal(answer.wrong, 0);
        }
        client = baton_client_close(client);
        world_slot(w, "tally", &slot);
        if (slot.restarts < CALLS / 3 - 1)
                fail_msg("%s: only %llu restarts: it was not killed there", point, (unsigned long long)slot.restarts);
        world_end(w);
}

#define POINT(name, point)                                                                         \
        static void name(void **state)                                                             \
        {                                                                                          \
                die_at(*state, point);                                                             \
        }

POINT(HOT_11_a_child_that_dies_before_its_handler_counts_each_call_once, "message.begin")
POINT(HOT_11_a_child_that_dies_after_its_handler_counts_each_call_once, "message.handled")
POINT(HOT_11_a_child_that_dies_after_the_commit_counts_each_call_once, "message.committed")
POINT(HOT_11_a_child_that_dies_after_its_bracket_counts_each_call_once, "message.closed")
POINT(HOT_11_a_child_that_dies_before_it_answers_counts_each_call_once, "message.freed")
POINT(HOT_11_a_child_that_dies_while_it_answers_counts_each_call_once, "message.pushed")
POINT(HOT_11_a_child_that_dies_after_it_answered_counts_each_call_once, "message.done")

int main(void)
{
#define ROW(name) cmocka_unit_test_setup_teardown(name, world_setup, world_teardown)
        const struct CMUnitTest tests[] = {
                ROW(HOT_11_a_child_that_dies_before_its_handler_counts_each_call_once),
                ROW(HOT_11_a_child_that_dies_after_its_handler_counts_each_call_once),
                ROW(HOT_11_a_child_that_dies_after_the_commit_counts_each_call_once),
                ROW(HOT_11_a_child_that_dies_after_its_bracket_counts_each_call_once),
                ROW(HOT_11_a_child_that_dies_before_it_answers_counts_each_call_once),
                ROW(HOT_11_a_child_that_dies_while_it_answers_counts_each_call_once),
                ROW(HOT_11_a_child_that_dies_after_it_answered_counts_each_call_once),
        };
#undef ROW

        return cmocka_run_group_tests_name("message_points", tests, NULL, NULL);
}
