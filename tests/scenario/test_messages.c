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
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include <baton/client.h>

#include "base/clock.h"
#include "client-api/client.h"
#include "tests/support/command.h"
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
        "    mailbox: {slots: 256, bytes: 64, deliveries: forever}\n"                              \
        "    max_restarts: forever\n"                                                              \
        "    backoff: {min: 1ms, max: 1ms}\n"

#define CALLERS_MAX   8
#define SWAP_EVERY_NS (20 * BT_NS_PER_MS)
#define CALLS_A_LIFE  500

/* What is done to the child meanwhile. */
struct plan {
        uint32_t callers;
        uint32_t calls;
        uint32_t window;
        uint32_t work_us;
        uint64_t kill_every_ns; /* 0: never */
        bool swaps;
        bool hub; /* it is what is killed */
};

struct done {
        uint32_t hot, cold, failed, kills, hubs;
        uint64_t total; /* calls that were done at the last kill */
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

/* ---- what the tally says ---- */

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

/* Not before it has done something since the last time: on a slow machine it would be killed faster than it starts. */
static void kill_once(struct world *w, struct done *done, bool hub)
{
        struct bt_slot slot;
        uint64_t total;

        if (hub) {
                world_kill_hub(
                        w); /* and not the child with it: nobody would have the segments any more */
                world_start_again(w);
                done->hubs++;
                return;
        }
        total = look(w).total;
        if (total < done->total + CALLS_A_LIFE)
                return;
        world_slot(w, "tally", &slot);
        if (slot.phase == BT_PHASE_RUNNING && kill(slot.pid, SIGKILL) == 0) {
                /* One that restores is let be: three such deaths in a row are the state's fault (restore_attempts), and it is set aside. */
                done->kills++;
                done->total = total;
        }
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
                (void)snprintf(name, sizeof(name), "caller-%u", i);
                world_line_wait(
                        w, name, text,
                        sizeof(text)); /* a hub that is killed while it is asked lets nobody in */
        }
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
                assert_true(done.kills + done.hubs > 0);
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

/* The hub is missed by nobody: calls go on while there is none, and each time the next one finds child and callers again. */
static void I8_calls_are_answered_once_while_their_hub_is_killed(void **state)
{
        const struct plan plan = {.callers = 4,
                                  .calls = 20000,
                                  .window = 32,
                                  .work_us = 200,
                                  .kill_every_ns = 100 * BT_NS_PER_MS,
                                  .swaps = true,
                                  .hub = true};
        struct world *w = *state;

        world_start(w, TALLY);
        run(w, &plan);
        world_stop(w);
        while (waitpid(-1, NULL, WNOHANG) > 0)
                ; /* processes of hubs that were killed are ours */
        world_end(w);
}

/* ---- one client, one call ---- */

static struct baton_target *target_of(struct baton_client *client)
{
        struct baton_target *target = NULL;

        assert_int_equal(baton_client_target(&target, client, "tally", NULL, NULL), 0);
        return target;
}

static struct baton_send send_of(const struct tally_message *message, uint64_t timeout_ns)
{
        return (struct baton_send){.size = sizeof(struct baton_send),
                                   .data = message,
                                   .bytes = sizeof(*message),
                                   .timeout_ns = timeout_ns};
}

static struct baton_client_stats stats_of(const struct baton_client *client)
{
        struct baton_client_stats stats;

        baton_client_stats(client, &stats);
        return stats;
}

static pid_t tally_pid(struct world *w)
{
        struct bt_slot slot;

        world_slot(w, "tally", &slot);
        return slot.pid;
}

/* Without it the next message would wait for ever behind a place that was claimed and never filled. */
static void a_client_that_dies_in_a_push_holds_up_nobody(void **state)
{
        struct world *w = *state;
        char program[640], hub[128], tally[] = "tally", text[64];
        char *argv[] = {program, hub, tally, NULL};
        const struct tally_message message = {.number = 1};
        struct tally_answer answer = {0};
        struct baton_reply reply = {.data = &answer, .room = sizeof(answer)};
        struct baton_send send = send_of(&message, 50 * BT_NS_PER_MS);
        struct baton_client *client;
        uint64_t call;
        pid_t pid;

        world_start(w, TALLY);
        world_program(w, program, "child_half");
        (void)snprintf(hub, sizeof(hub), "%s/run/w", w->dir);
        pid = world_spawn(w, argv, "half");
        world_line_wait(w, "half", text, sizeof(text));
        client = attach(w);
        send.timeout_ns = BATON_WAIT_FOREVER;
        assert_int_equal(baton_client_begin(target_of(client), &send, &call), 0);
        assert_int_equal(baton_client_collect(client, call, &reply, 50 * BT_NS_PER_MS),
                         -ETIMEDOUT); /* behind the claim */
        assert_int_equal(kill(pid, SIGKILL), 0);
        assert_int_equal(baton_client_collect(client, call, &reply, WORLD_WAIT_MS * BT_NS_PER_MS),
                         0);
        assert_int_equal(answer.total, 1);
        assert_int_equal(world_wait(pid), 128 + SIGKILL);
        client = baton_client_close(client);
        world_end(w);
}

static void a_large_payload_is_read_and_answered_where_it_is(void **state)
{
        const struct baton_client_options options = {.size = sizeof(options),
                                                     .region_bytes = 1 << 20};
        struct world *w = *state;
        const struct tally_message message = {.number = 0};
        struct baton_send send = send_of(&message, WORLD_WAIT_MS * BT_NS_PER_MS);
        struct tally_answer answer = {0};
        struct baton_reply reply = {.data = &answer, .room = sizeof(answer)};
        struct baton_client *client = NULL;
        char path[128];
        uint8_t *large;

        world_start(w, TALLY);
        (void)snprintf(path, sizeof(path), "%s/run/w", w->dir);
        assert_int_equal(baton_client_open(&client, path, &options, NULL), 0);
        large = baton_client_alloc(client, 300000);
        assert_non_null(large);
        memset(large, 1, 300000);
        send.large = large;
        send.large_bytes = 300000;
        assert_int_equal(baton_client_call(target_of(client), &send, &reply), 0);
        assert_int_equal(answer.total, 300000);
        assert_int_equal(large[0] + large[299999], 4);
        world_swap(w, "tally", NULL, BT_STRATEGY_HOT); /* its successor finds the region, too */
        assert_int_equal(baton_client_call(target_of(client), &send, &reply), 0);
        assert_int_equal(answer.total, 600000);
        client = baton_client_close(client);
        world_end(w);
}

static void the_error_of_a_handler_is_the_status_of_its_answer(void **state)
{
        struct world *w = *state;
        const struct tally_message message = {.caller = TALLY_CALLERS};
        struct baton_send send = send_of(&message, WORLD_WAIT_MS * BT_NS_PER_MS);
        struct baton_reply reply = {0};
        struct baton_client *client;

        world_start(w, TALLY);
        client = attach(w);
        assert_int_equal(baton_client_call(target_of(client), &send, &reply), 0);
        assert_int_equal(reply.status, -ERANGE);
        assert_int_equal(reply.bytes, 0);
        send.bytes--;
        assert_int_equal(baton_client_call(target_of(client), &send, &reply), 0);
        assert_int_equal(reply.status, -EBADMSG);
        client = baton_client_close(client);
        world_end(w);
}

/* The child is stopped, so that nothing is in its hands; what is over or not wanted when it goes on is not handled, or its answer is late. */
static void
a_call_that_is_over_is_not_handled_and_one_that_is_cancelled_is_not_delivered(void **state)
{
        struct world *w = *state;
        const struct tally_message one = {.number = 1, .work_us = TALLY_HANG}, two = {.number = 2};
        struct baton_send brief = send_of(&one, 20 * BT_NS_PER_MS),
                          patient = send_of(&one, BATON_WAIT_FOREVER),
                          hang = send_of(&one, BATON_WAIT_FOREVER);
        struct tally_answer answer;
        struct baton_reply reply = {.data = &answer, .room = sizeof(answer)};
        struct baton_client *client;
        uint64_t call;
        pid_t pid;

        world_start(w, TALLY);
        client = attach(w);
        pid = tally_pid(w);
        assert_int_equal(kill(pid, SIGSTOP), 0);
        world_until_stopped(pid);
        assert_int_equal(baton_client_call(target_of(client), &brief, &reply),
                         -ETIMEDOUT); /* expired */
        assert_int_equal(baton_client_begin(target_of(client), &patient, &call), 0);
        assert_int_equal(baton_client_cancel(client, call), 1); /* taken back */
        assert_int_equal(baton_client_cancel(client, call), -ENOENT);
        assert_int_equal(baton_client_begin(target_of(client), &hang, &call), 0);
        assert_int_equal(kill(pid, SIGCONT), 0);
        world_log_wait(w, "hangs",
                       1); /* it has it: then it cannot be taken back, and is answered to nobody */
        assert_int_equal(baton_client_cancel(client, call), 0);
        assert_int_equal(kill(pid, SIGKILL), 0);
        patient.data = &two;
        patient.timeout_ns = WORLD_WAIT_MS * BT_NS_PER_MS;
        assert_int_equal(baton_client_call(target_of(client), &patient, &reply), 0);
        assert_int_equal(answer.total, 2);
        assert_int_equal(answer.wrong, 0);
        assert_int_equal(stats_of(client).late, 2);
        client = baton_client_close(client);
        world_end(w);
}

static void quiet_messages_are_seen_when_they_are_flushed(void **state)
{
        struct world *w = *state;
        struct tally_message message = {.number = 1};
        struct baton_send send = send_of(&message, BATON_WAIT_FOREVER);
        struct baton_client *client;
        struct baton_target *tally;

        world_start(w, TALLY);
        client = attach(w);
        tally = target_of(client);
        send.flags = BATON_SEND_QUIET;
        for (; message.number <= 100; message.number++)
                assert_int_equal(baton_client_cast(tally, &send), 0);
        baton_client_flush(client);
        assert_int_equal(look(w).total, 100);
        client = baton_client_close(client);
        world_end(w);
}

/* ---- threads ---- */

#define THREADS      6
#define THREAD_CALLS 2000

struct thread {
        pthread_t id;
        struct baton_target *target;
        uint32_t caller;
        uint64_t answered;
};

static void *thread_run(void *arg)
{
        struct thread *thread = arg;

        for (uint64_t number = 1; number <= THREAD_CALLS; number++) {
                const struct tally_message message = {.caller = thread->caller, .number = number};
                const struct baton_send send = send_of(&message, BATON_WAIT_FOREVER);
                struct tally_answer answer = {0};
                struct baton_reply reply = {.data = &answer, .room = sizeof(answer)};

                if (!baton_client_call(thread->target, &send, &reply) && !reply.status &&
                    answer.last == number)
                        thread->answered++;
        }
        return NULL;
}

struct loop {
        uint64_t begun, done, wrong;
};

static void loop_done(struct baton_client *client, const struct baton_reply *reply, void *ctx)
{
        struct loop *loop = ctx;
        const struct tally_answer *answer = reply->data;

        (void)client;
        loop->done++;
        loop->wrong +=
                reply->status || reply->bytes != sizeof(*answer) || answer->last != loop->done;
}

/* One thread of the client polls and is called back, the others wait: they share the ring of answers. The child is swapped meanwhile. */
static void many_threads_share_a_client_and_one_of_them_polls(void **state)
{
        struct world *w = *state;
        struct thread threads[THREADS];
        struct loop loop = {0};
        struct baton_client *client;
        struct pollfd ready = {.events = POLLIN};

        world_start(w, TALLY);
        client = attach(w);
        ready.fd = baton_client_fd(client);
        for (uint32_t i = 0; i < THREADS; i++) {
                threads[i] = (struct thread){.target = target_of(client), .caller = i};
                assert_int_equal(pthread_create(&threads[i].id, NULL, thread_run, &threads[i]), 0);
        }
        while (loop.done < THREAD_CALLS) {
                const struct tally_message message = {.caller = THREADS, .number = loop.begun + 1};
                struct baton_send send = send_of(&message, BATON_WAIT_FOREVER);
                uint64_t call;

                send.done = loop_done;
                send.ctx = &loop;
                if (loop.begun < THREAD_CALLS && loop.begun < loop.done + 8 &&
                    !baton_client_begin(threads[0].target, &send, &call)) {
                        loop.begun++;
                        continue;
                }
                assert_int_equal(poll(&ready, 1, WORLD_WAIT_MS), 1);
                assert_int_equal(baton_client_dispatch(client), 0);
                if (loop.done == THREAD_CALLS / 2)
                        world_swap(w, "tally", NULL, BT_STRATEGY_HOT);
        }
        for (uint32_t i = 0; i < THREADS; i++) {
                assert_int_equal(pthread_join(threads[i].id, NULL), 0);
                assert_int_equal(threads[i].answered, THREAD_CALLS);
        }
        assert_int_equal(loop.wrong, 0);
        assert_int_equal(look(w).total, (THREADS + 1) * THREAD_CALLS);
        assert_int_equal(look(w).wrong, 0);
        client = baton_client_close(client);
        world_end(w);
}

/* No thread polls: whoever watches or sleeps with the ring of answers reads for all. The client begins as one thread's, and learns of the others by and by. */
static void threads_share(struct world *w, bool fenced)
{
        struct thread threads[THREADS];
        struct baton_client *client;

        world_start(w, TALLY);
        client = attach(w);
        if (fenced) { /* as where the kernel has no barrier for all threads */
                client->fenced = true;
                atomic_store(&client->crowded, 1);
        }
        threads[0] = (struct thread){.target = target_of(client), .caller = 0};
        thread_run(&threads[0]);
        assert_int_equal(threads[0].answered, THREAD_CALLS);
        assert_int_equal(atomic_load(&client->crowded), fenced);
        for (uint32_t i = 1; i < THREADS; i++) {
                threads[i] = (struct thread){.target = target_of(client), .caller = i};
                assert_int_equal(pthread_create(&threads[i].id, NULL, thread_run, &threads[i]), 0);
        }
        world_swap(w, "tally", NULL, BT_STRATEGY_COLD);
        for (uint32_t i = 1; i < THREADS; i++) {
                assert_int_equal(pthread_join(threads[i].id, NULL), 0);
                assert_int_equal(threads[i].answered, THREAD_CALLS);
        }
        assert_int_equal(look(w).total, THREADS * THREAD_CALLS);
        assert_int_equal(look(w).wrong, 0);
        client = baton_client_close(client);
        world_end(w);
}

static void many_threads_share_a_client_and_nobody_polls(void **state)
{
        threads_share(*state, false);
}

static void many_threads_share_a_client_where_there_is_no_barrier_for_all(void **state)
{
        threads_share(*state, true);
}

/* Three deaths, as many as max_restarts allows: without the bound it would take its child down for good. What came before and comes after is done. */
static void a_message_that_kills_its_child_is_set_aside_and_the_child_serves_on(void **state)
{
        struct world *w = *state;
        struct tally_message message = {.number = 1};
        struct baton_send send = send_of(&message, WORLD_WAIT_MS * BT_NS_PER_MS);
        struct tally_answer answer = {0};
        struct baton_reply reply = {.data = &answer, .room = sizeof(answer)};
        struct baton_client *client;
        struct baton_target *tally;

        world_start(w, "hub: w\n"
                       "children:\n"
                       "  tally: {exec: [@bin@/child_tally], handover: true, state: arena, "
                       "backoff: {min: 1ms, max: 1ms}, mailbox: true}\n");
        client = attach(w);
        tally = target_of(client);
        assert_int_equal(baton_client_call(tally, &send, &reply), 0);
        message = (struct tally_message){.number = 2, .work_us = TALLY_DIE};
        assert_int_equal(baton_client_call(tally, &send, &reply), 0);
        assert_int_equal(reply.status, -BATON_E_SET_ASIDE);
        message = (struct tally_message){.number = 2};
        reply = (struct baton_reply){.data = &answer, .room = sizeof(answer)};
        assert_int_equal(baton_client_call(tally, &send, &reply), 0);
        assert_int_equal(reply.status, 0);
        assert_int_equal(answer.total, 2);
        assert_int_equal(answer.wrong, 0);
        client = baton_client_close(client);
        world_end(w);
}

/* ---- the command ---- */

static void the_command_calls_casts_and_shows_queues(void **state)
{
        struct world *w = *state;
        pid_t pid;

        world_start(w, TALLY "  echo:\n    exec: [@bin@/pool-v1-testing]\n    mailbox: true\n");
        RUN(0, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855", "call", "echo",
            "/dev/null");
        RUN(0, "\"status\":0", "call", "echo", "/dev/null", "--json");
        RUN(1, "tally: the message failed", "call", "tally", "nonsense");
        RUN(2, "", "call", "echo");
        RUN(3, "", "call", "nobody", "text");
        RUN(4, "", "call", "tally", "text", "--hub", "nowhere");
        pid = tally_pid(w);
        assert_int_equal(kill(pid, SIGSTOP), 0);
        world_until_stopped(pid);
        RUN(0, "", "cast", "tally", "one");
        RUN(5, "", "call", "tally", "two", "--deadline", "20ms");
        RUN(0, "\"depth\":2,\"capacity\":256", "queue", "tally", "--json");
        RUN(0, "echo", "queue");
        RUN(3, "", "queue", "nobody");
        assert_int_equal(kill(pid, SIGCONT), 0);
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
                cmocka_unit_test_setup_teardown(
                        I8_calls_are_answered_once_while_their_hub_is_killed, world_setup,
                        world_teardown),
                cmocka_unit_test_setup_teardown(a_client_that_dies_in_a_push_holds_up_nobody,
                                                world_setup, world_teardown),
                cmocka_unit_test_setup_teardown(a_large_payload_is_read_and_answered_where_it_is,
                                                world_setup, world_teardown),
                cmocka_unit_test_setup_teardown(the_error_of_a_handler_is_the_status_of_its_answer,
                                                world_setup, world_teardown),
                cmocka_unit_test_setup_teardown(
                        a_call_that_is_over_is_not_handled_and_one_that_is_cancelled_is_not_delivered,
                        world_setup, world_teardown),
                cmocka_unit_test_setup_teardown(quiet_messages_are_seen_when_they_are_flushed,
                                                world_setup, world_teardown),
                cmocka_unit_test_setup_teardown(many_threads_share_a_client_and_nobody_polls,
                                                world_setup, world_teardown),
                cmocka_unit_test_setup_teardown(
                        many_threads_share_a_client_where_there_is_no_barrier_for_all, world_setup,
                        world_teardown),
                cmocka_unit_test_setup_teardown(many_threads_share_a_client_and_one_of_them_polls,
                                                world_setup, world_teardown),
                cmocka_unit_test_setup_teardown(
                        a_message_that_kills_its_child_is_set_aside_and_the_child_serves_on,
                        world_setup, world_teardown),
                cmocka_unit_test_setup_teardown(the_command_calls_casts_and_shows_queues,
                                                world_setup, world_teardown),
        };

        return cmocka_run_group_tests_name("messages", tests, NULL, NULL);
}
