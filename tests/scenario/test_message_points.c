/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A child that is killed at one point of each third message, at every point there is between taking a message and having answered it, under a real hub that
 * starts it again: each call is counted once and answered with a success. Beside tests/crash/test_message_steps.c, which has every instruction and no hub.
 */
#include <poll.h>
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

static void cast(struct baton_target *target, uint64_t number)
{
        const struct tally_message message = {.number = number};
        const struct baton_send send = {.size = sizeof(send), .data = &message, .bytes = sizeof(message)};

        assert_int_equal(baton_client_cast(target, &send), 0);
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

static void wait_for_the_next_hub(struct baton_client *client)
{
        struct baton_client_stats stats = {.size = sizeof(stats)};

        for (baton_client_stats(client, &stats); stats.attached < 2; baton_client_stats(client, &stats)) {
                struct pollfd ready = {.fd = baton_client_fd(client), .events = POLLIN};

                assert_int_equal(poll(&ready, 1, WORLD_WAIT_MS), 1);
                assert_int_equal(baton_client_dispatch(client), 0);
        }
}

/*
 * The child is dead in the middle of a message and waits for its restart, a message waits for it, and then the hub is killed: only the keeper has the segments. The
 * arena is undone by the log on the desk, both messages are counted, and the client, which is the same all the time, is answered.
 */
static void HOT_11_a_message_waits_through_the_death_of_its_child_and_of_the_hub(void **state)
{
        static const char config[] = "hub: w\n"
                                     "children:\n"
                                     "  tally:\n"
                                     "    exec: [@bin@/child_tally]\n"
                                     "    handover: true\n"
                                     "    state: {form: arena, max: 1MiB}\n"
                                     "    mailbox: {slots: 16, bytes: 64}\n"
                                     "    max_restarts: forever\n"
                                     "    backoff: {min: 60s, max: 60s}\n"
                                     "    env: {BATON_KILL_AT: 'message.handled:3'}\n";
        struct baton_client *client = NULL;
        struct baton_target *target;
        struct world *w = *state;
        struct tally_answer answer;
        struct bt_slot slot;

        world_start(w, config);
        target = tally_of(w, &client);
        for (uint64_t n = 1; n <= 4; n++)
                (void)call(target, n); /* it dies in 3, and the first restart is at once */
        cast(target, 5);               /* it dies in 5 */
        cast(target, 6);
        world_until(w, "tally", BT_PHASE_BACKOFF, 0, &slot);
        world_kill_hub(w);
        world_start_again(w);
        answer = call(target, 7); /* and in 7 */
        assert_int_equal(answer.total, 7);
        assert_int_equal(answer.wrong, 0);
        assert_int_equal(answer.redelivered, 3);
        wait_for_the_next_hub(client); /* until then the hub keeps its number for it */
        client = baton_client_close(client);
        world_end(w);
}

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
                ROW(HOT_11_a_message_waits_through_the_death_of_its_child_and_of_the_hub),
        };
#undef ROW

        return cmocka_run_group_tests_name("message_points", tests, NULL, NULL);
}
