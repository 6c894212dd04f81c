/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Calls to a child that counts them in its arena, while it is swapped, killed, and its hub with it: each is handled and answered exactly once.
 *
 *      callers (processes) ──► mailbox ──► tally: {total, last number of each caller}
 *                                            ▲ hot, cold, SIGKILL, by the test
 *
 * The tally itself knows of a message that was lost or repeated (tally.h), each caller of an answer that is missing. BATON_LONG=1 is the long form: 8 callers
 * with a million calls each, a swap every 20 ms, a kill every 2 s; it prints what it counted.
 */
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include <baton/client.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/fd.h"
#include "tests/support/tally.h"
#include "tests/support/world.h"

#define TALLY                                                                                      \
        "hub: w\n"                                                                                 \
        "children:\n"                                                                              \
        "  tally:\n"                                                                               \
        "    exec: [@bin@/child_tally]\n"                                                          \
        "    strategy: hot\n"                                                                      \
        "    handover: true\n"                                                                     \
        "    state: {form: arena, max: 1MiB}\n"                                                    \
        "    mailbox: {slots: 256, bytes: 64}\n"                                                   \
        "    max_restarts: forever\n"                                                              \
        "    backoff: {min: 1ms, max: 1ms}\n"

#define CALLERS_MAX   8
#define SWAP_EVERY_NS (20 * BT_NS_PER_MS)

/* What is done to the child meanwhile. */
struct plan {
        uint32_t callers;
        uint32_t calls;
        uint32_t window;
        uint32_t work_us;
        uint64_t kill_every_ns; /* 0: never */
        bool swaps;
        bool hub; /* it is killed and started again, each second kill */
};

struct done {
        uint32_t hot, cold, failed, kills, hubs;
};

static bool longer(void)
{
        return getenv("BATON_LONG") != NULL; /* NOLINT(concurrency-mt-unsafe): one thread */
}

/* ---- callers ---- */

static pid_t caller_start(const struct world *w, uint32_t idx, const struct plan *plan)
{
        char program[640], hub[128], number[16], calls[16], window[16], work[16], out[32],
                tally[] = "tally";
        char *argv[] = {program, hub, tally, number, calls, window, work, NULL};

        world_program(w, program, "child_caller");
        (void)snprintf(hub, sizeof(hub), "%s/run/w", w->dir);
        (void)snprintf(number, sizeof(number), "%u", idx);
        (void)snprintf(calls, sizeof(calls), "%u", plan->calls);
        (void)snprintf(window, sizeof(window), "%u", plan->window);
        (void)snprintf(work, sizeof(work), "%u", plan->work_us);
        (void)snprintf(out, sizeof(out), "caller-%u", idx);
        return world_spawn(w, argv, out);
}

/* True when @pid has ended within @ns. It stays to be waited for. */
static bool ended_within(int pidfd, uint64_t ns)
{
        struct pollfd gone = {.fd = pidfd, .events = POLLIN};

        return poll(&gone, 1, (int)(ns / BT_NS_PER_MS)) == 1;
}

/* ---- what happens meanwhile ---- */

static void swap_once(const struct world *w, struct done *done)
{
        bool hot = done->hot <= done->cold;
        struct world_outcome outcome;

        world_migrate(w, "tally", NULL, hot ? BT_STRATEGY_HOT : BT_STRATEGY_COLD, &outcome);
        if (outcome.outcome)
                done->failed++; /* the child was down, or killed in the middle: its calls wait all the same */
        else if (hot)
                done->hot++;
        else
                done->cold++;
}

static void kill_once(struct world *w, struct done *done, bool hub)
{
        struct bt_slot slot;

        world_slot(w, "tally", &slot);
        if (hub && done->kills % 2) {
                world_kill_hub(w);
                done->hubs++;
        }
        if (slot.pid > 0 && kill(slot.pid, SIGKILL) == 0)
                done->kills++;
        if (!w->pid)
                world_start_again(w);
}

/* Until @pidfd's process has ended. */
static void disturb(struct world *w, const struct plan *plan, int pidfd, struct done *done,
                    uint64_t *next_kill_ns)
{
        uint64_t next_swap_ns = bt_now_ns() + SWAP_EVERY_NS;

        while (!ended_within(pidfd, bt_now_ns() < next_swap_ns
                                            ? next_swap_ns - bt_now_ns() + BT_NS_PER_MS
                                            : 0)) {
                next_swap_ns += SWAP_EVERY_NS;
                if (next_swap_ns < bt_now_ns())
                        next_swap_ns = bt_now_ns();
                if (plan->kill_every_ns && bt_now_ns() >= *next_kill_ns) {
                        kill_once(w, done, plan->hub);
                        *next_kill_ns = bt_now_ns() + plan->kill_every_ns;
                } else if (plan->swaps) {
                        swap_once(w, done);
                }
        }
}

/* ---- what must be true ---- */

static struct baton_client *attach(const struct world *w)
{
        struct baton_client *client = NULL;
        char path[128], why[BATON_WHY_BYTES] = "";

        (void)snprintf(path, sizeof(path), "%s/run/w", w->dir);
        if (baton_client_open(&client, path, NULL, why))
                fail_msg("cannot attach: %s", why);
        return client;
}

static struct tally_answer look(const struct world *w)
{
        const struct tally_message message = {.number = 0};
        const struct baton_send send = {.size = sizeof(send),
                                        .data = &message,
                                        .bytes = sizeof(message),
                                        .timeout_ns = WORLD_WAIT_MS * BT_NS_PER_MS};
        struct tally_answer answer = {0};
        struct baton_reply reply = {.data = &answer, .room = sizeof(answer)};
        struct baton_client *client = attach(w);
        struct baton_target *target = NULL;

        assert_int_equal(baton_client_target(&target, client, "tally", NULL, NULL), 0);
        assert_int_equal(baton_client_call(target, &send, &reply), 0);
        assert_int_equal(reply.status, 0);
        client = baton_client_close(client);
        return answer;
}

static void run(struct world *w, const struct plan *plan)
{
        pid_t pids[CALLERS_MAX];
        struct done done = {0};
        struct tally_answer answer;
        uint64_t begun_ns = bt_now_ns(), next_kill_ns = begun_ns + plan->kill_every_ns;
        char text[256], name[32];

        for (uint32_t i = 0; i < plan->callers; i++)
                pids[i] = caller_start(w, i, plan);
        for (uint32_t i = 0; i < plan->callers; i++) {
                int pidfd = pidfd_open(pids[i], 0);
                int status;

                assert_true(pidfd >= 0);
                disturb(w, plan, pidfd, &done, &next_kill_ns);
                (void)close(pidfd);
                status = world_wait(pids[i]);
                (void)snprintf(name, sizeof(name), "caller-%u", i);
                world_read(w, name, text, sizeof(text));
                if (status)
                        fail_msg("caller %u: %s", i, text);
                if (longer())
                        print_message("caller %u: %s", i, text);
        }
        answer = look(w);
        if (longer())
                print_message("%llu calls in %.1f s; %u hot and %u cold swaps, %u that failed, %u "
                              "kills, %u of the hub, %llu messages begun again\n",
                              (unsigned long long)answer.total,
                              (double)(bt_now_ns() - begun_ns) / 1e9, done.hot, done.cold,
                              done.failed, done.kills, done.hubs,
                              (unsigned long long)answer.redelivered);
        assert_int_equal(answer.wrong, 0);
        assert_int_equal(answer.total, (uint64_t)plan->callers * plan->calls);
        if (plan->swaps)
                assert_true(done.hot + done.cold > 0);
        if (plan->kill_every_ns)
                assert_true(done.kills > 0);
}

/* ---- tests ---- */

static void calls_are_answered_in_order_by_a_child_that_is_left_alone(void **state)
{
        const struct plan plan = {.callers = 2, .calls = 20000, .window = 32};
        struct world *w = *state;

        world_start(w, TALLY);
        run(w, &plan);
        world_end(w);
}

static void HOT_11_calls_are_answered_once_while_their_child_is_swapped(void **state)
{
        const struct plan plan = {
                .callers = 4, .calls = 20000, .window = 32, .work_us = 200, .swaps = true};
        struct world *w = *state;

        world_start(w, TALLY);
        run(w, &plan);
        world_end(w);
}

static void HOT_11_calls_are_answered_once_while_their_child_is_killed(void **state)
{
        const struct plan plan = {.callers = 4,
                                  .calls = 20000,
                                  .window = 32,
                                  .work_us = 500,
                                  .kill_every_ns = 30 * BT_NS_PER_MS};
        struct world *w = *state;

        world_start(w, TALLY);
        run(w, &plan);
        world_end(w);
}

static void HOT_11_calls_are_answered_once_through_swaps_and_kills(void **state)
{
        const struct plan brief = {.callers = 4,
                                   .calls = 20000,
                                   .window = 32,
                                   .work_us = 200,
                                   .kill_every_ns = 150 * BT_NS_PER_MS,
                                   .swaps = true};
        const struct plan plan = {.callers = 8,
                                  .calls = 1000000,
                                  .window = 32,
                                  .work_us = 20,
                                  .kill_every_ns = 2 * BT_NS_PER_S,
                                  .swaps = true};
        struct world *w = *state;

        if (longer())
                world_limit(3600);
        world_start(w, TALLY);
        run(w, longer() ? &plan : &brief);
        world_end(w);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(
                        calls_are_answered_in_order_by_a_child_that_is_left_alone, world_setup,
                        world_teardown),
                cmocka_unit_test_setup_teardown(
                        HOT_11_calls_are_answered_once_while_their_child_is_swapped, world_setup,
                        world_teardown),
                cmocka_unit_test_setup_teardown(
                        HOT_11_calls_are_answered_once_while_their_child_is_killed, world_setup,
                        world_teardown),
                cmocka_unit_test_setup_teardown(
                        HOT_11_calls_are_answered_once_through_swaps_and_kills, world_setup,
                        world_teardown),
        };

        return cmocka_run_group_tests_name("messages", tests, NULL, NULL);
}
