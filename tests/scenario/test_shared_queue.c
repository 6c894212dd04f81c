/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A queue that the members of a pool share, under a real hub: each call is done by one member that is free, exactly once, while members are killed and swapped; what
 * a dead one had in hand goes to another; a long job holds up nobody; nothing is lost while nobody is there. The members are tallies (tally.h), each with a count
 * of its own, so together they have done a call once when the sum is right. They say their counts when they end: tally_sum().
 *
 * shm/share.h is the protocol; crash/test_share_steps.c has every instruction of it.
 */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include <baton/client.h>

#include "base/clock.h"
#include "tests/support/command.h"
#include "tests/support/tally.h"
#include "tests/support/wait.h"

#define POOL(instances, mailbox, restart)                                                          \
        "hub: w\n"                                                                                 \
        "children:\n"                                                                              \
        "  tally:\n"                                                                               \
        "    exec: [@bin@/child_tally]\n"                                                          \
        "    instances: " instances "\n"                                                           \
        "    strategy: hot\n"                                                                      \
        "    handover: true\n"                                                                     \
        "    state: {form: arena, max: 1MiB}\n"                                                    \
        "    mailbox: {shared: true, bytes: 64, " mailbox "}\n"                                    \
        "    " restart "\n"                                                                        \
        "    backoff: {min: 1ms, max: 1ms}\n"

#define FOREVER "max_restarts: forever"
#define NEVER   "restart: temporary"

#define MEMBERS_MAX 4u

/* ---- the pool ---- */

static struct baton_client *attach(const struct world *w)
{
        struct baton_client *client = NULL;
        char path[128], why[BATON_WHY_BYTES] = "";

        (void)snprintf(path, sizeof(path), "%s/run/w", w->dir);
        if (baton_client_open(&client, path, NULL, why))
                fail_msg("cannot attach: %s", why);
        return client;
}

static struct baton_target *tally_of(struct baton_client *client)
{
        struct baton_target *target = NULL;

        assert_int_equal(baton_client_target(&target, client, "tally", NULL, NULL), 0);
        return target;
}

static void freeze(pid_t pid)
{
        assert_int_equal(kill(pid, SIGSTOP), 0);
        world_until_stopped(pid);
}

/* What all members have counted, by what each said last; after the hub's stop. */
static uint64_t tally_sum(const struct world *w)
{
        unsigned long long totals[MEMBERS_MAX] = {0}, sum = 0, total, again;
        char path[128], line[512];
        unsigned member;
        FILE *log;

        (void)snprintf(path, sizeof(path), "%s/hub.log", w->dir);
        log = fopen(path, "re");
        assert_non_null(log);
        while (fgets(line, sizeof(line), log)) {
                const char *at = strstr(line, "tally tally/");

                /* Numbers that the tally has printed. NOLINTNEXTLINE(cert-err34-c) */
                if (at && sscanf(at, "tally tally/%u total %llu redelivered %llu", &member, &total,
                                 &again) == 3) {
                        assert_in_range(member, 0, MEMBERS_MAX - 1);
                        totals[member] = total;
                }
        }
        (void)fclose(log);
        for (size_t i = 0; i < MEMBERS_MAX; i++)
                sum += totals[i];
        return sum;
}

static int call(struct baton_target *target, uint64_t number, uint32_t work_us, uint64_t timeout_ns,
                struct tally_answer *ret_answer)
{
        const struct tally_message message = {.number = number, .work_us = work_us};
        const struct baton_send send = {.size = sizeof(send),
                                        .data = &message,
                                        .bytes = sizeof(message),
                                        .timeout_ns = timeout_ns};
        struct baton_reply reply = {.data = ret_answer, .room = sizeof(*ret_answer)};
        int r = baton_client_call(target, &send, &reply);

        return r ? r : reply.status;
}

static void call_ok(struct baton_target *target, uint64_t number)
{
        struct tally_answer answer;

        assert_int_equal(call(target, number, 0, WORLD_WAIT_MS * BT_NS_PER_MS, &answer), 0);
        assert_int_equal(answer.last, number);
}

static uint64_t begin(struct baton_target *target, uint64_t number, uint32_t work_us)
{
        const struct tally_message message = {.number = number, .work_us = work_us};
        const struct baton_send send = {.size = sizeof(send),
                                        .data = &message,
                                        .bytes = sizeof(message),
                                        .timeout_ns = BATON_WAIT_FOREVER};
        uint64_t id;

        assert_int_equal(baton_client_begin(target, &send, &id), 0);
        return id;
}

static struct tally_answer collect(struct baton_client *client, uint64_t id)
{
        struct tally_answer answer = {0};
        struct baton_reply reply = {.data = &answer, .room = sizeof(answer)};

        assert_int_equal(baton_client_collect(client, id, &reply, WORLD_WAIT_MS * BT_NS_PER_MS), 0);
        assert_int_equal(reply.status, 0);
        return answer;
}

/* ---- the command ---- */

/* Which member has something in hand, as `baton queue` shows it; waits until one has. */
static uint32_t busy_member(const struct world *w)
{
        uint64_t deadline = wait_until(WORLD_WAIT_MS);

        do {
                const char *at = said;

                RUN(0, "", "queue", "tally", "--json");
                for (uint32_t i = 0; (at = strstr(at, "\"child\":\"tally/")) != NULL; i++, at++) {
                        char member = at[strlen("\"child\":\"tally/")];
                        const char *depth = strstr(at, "\"depth\":");

                        if (depth && depth[strlen("\"depth\":")] == '1')
                                return (uint32_t)(member - '0');
                }
        } while (wait_again(deadline));
        fail_msg("nobody has it in hand: %s", said);
        return 0;
}

static pid_t busy_pid(struct world *w)
{
        char id[32];

        (void)snprintf(id, sizeof(id), "tally/%u", busy_member(w));
        return world_pid(w, id);
}

/* ---- who gets what ---- */

static void whoever_is_free_takes_the_next(void **state)
{
        struct world *w = *state;
        struct baton_client *client;
        struct baton_target *tally;
        pid_t one;

        world_start(w, POOL("2", "slots: 16", FOREVER));
        client = attach(w);
        tally = tally_of(client);
        one = world_pid(w, "tally/0");
        freeze(one); /* in its sleep: a message that woke it alone would wait */
        for (uint64_t n = 1; n <= 50; n++)
                call_ok(tally, n);
        assert_int_equal(kill(one, SIGCONT), 0);
        one = world_pid(w, "tally/1");
        freeze(one);
        for (uint64_t n = 51; n <= 100; n++)
                call_ok(tally, n);
        assert_int_equal(kill(one, SIGCONT), 0);
        client = baton_client_close(client);
        world_end(w);
        assert_int_equal(tally_sum(w), 100);
}

/* Four slots, one of them in hand for ever: the ring goes round it a hundred times. Then its holder dies, and another one does it. */
static void a_long_job_holds_up_nobody_and_is_done_by_another_when_its_holder_dies(void **state)
{
        struct world *w = *state;
        struct baton_client *client;
        struct baton_target *tally;
        struct tally_answer answer;
        uint64_t id;

        world_start(w, POOL("2", "slots: 4", NEVER));
        client = attach(w);
        tally = tally_of(client);
        id = begin(tally, 1000, TALLY_HANG);
        (void)busy_member(w);
        for (uint64_t n = 1; n <= 400; n++)
                call_ok(tally, n);
        assert_int_equal(kill(busy_pid(w), SIGKILL), 0); /* it is not started again: temporary */
        answer = collect(client, id);
        assert_int_equal(answer.last, 1000);
        assert_int_equal(answer.redelivered, 1);
        call_ok(tally, 1001);
        client = baton_client_close(client);
        world_end(w);
        assert_int_equal(tally_sum(w),
                         402); /* the dead one had done nothing that was acknowledged */
}

static void COLD_11_jobs_wait_while_nobody_is_free(void **state)
{
        struct world *w = *state;
        struct baton_client *client;
        struct baton_target *tally;
        struct tally_answer answer;
        struct tally_message message = {.number = 1};
        struct baton_send send = {.size = sizeof(send), .data = &message, .bytes = sizeof(message)};
        pid_t pids[2];
        uint64_t ids[4];

        world_start(w, POOL("2", "slots: 4", FOREVER));
        client = attach(w);
        tally = tally_of(client);
        pids[0] = world_pid(w, "tally/0");
        pids[1] = world_pid(w, "tally/1");
        freeze(pids[0]);
        freeze(pids[1]);
        assert_int_equal(call(tally, 999, 0, 20 * BT_NS_PER_MS, &answer),
                         -ETIMEDOUT); /* expires in the queue */
        for (uint64_t n = 0; n < 3; n++)
                ids[n] = begin(tally, n + 1, 0);
        assert_int_equal(baton_client_cast(tally, &send), -EAGAIN); /* full: the back-pressure */
        send.timeout_ns = 20 * BT_NS_PER_MS;
        assert_int_equal(baton_client_cast(tally, &send), -ETIMEDOUT);
        assert_int_equal(kill(pids[0], SIGKILL), 0); /* its successor finds them */
        assert_int_equal(kill(pids[1], SIGCONT), 0);
        for (uint64_t n = 0; n < 3; n++)
                assert_int_equal(collect(client, ids[n]).last, n + 1);
        call_ok(tally, 50);
        client = baton_client_close(client);
        world_end(w);
        assert_int_equal(tally_sum(w), 4); /* without the one that was over */
}

/* Swapped while its only member has a job in hand, the pool loses nothing and repeats nothing; the next job waits for the successor. */
static void HOT_11_a_member_that_is_swapped_ends_what_it_has(void **state)
{
        struct world *w = *state;
        struct baton_client *client;
        struct baton_target *tally;
        uint64_t ids[64];

        world_start(w, POOL("1", "slots: 64", FOREVER));
        client = attach(w);
        tally = tally_of(client);
        for (uint32_t round = 0; round < 4; round++) {
                for (uint64_t n = 0; n < 64; n++)
                        ids[n] = begin(tally, round * 64 + n + 1, 300);
                world_swap(w, "tally/0", NULL, round % 2 ? BT_STRATEGY_COLD : BT_STRATEGY_HOT);
                for (uint64_t n = 0; n < 64; n++)
                        assert_int_equal(collect(client, ids[n]).redelivered, 0);
        }
        client = baton_client_close(client);
        world_end(w);
        assert_int_equal(tally_sum(w), 256);
}

/* ---- exactly once, whatever happens ---- */

static pid_t caller_start(const struct world *w, uint32_t idx, const char *calls,
                          const char *work_us)
{
        char program[640], hub[128], tally[] = "tally", number[16], count[16], window[] = "32",
                                     work[16], out[32];
        char *argv[] = {program, hub, tally, number, count, window, work, NULL};

        world_program(w, program, "child_caller");
        (void)snprintf(hub, sizeof(hub), "%s/run/w", w->dir);
        (void)snprintf(number, sizeof(number), "%u", idx);
        (void)snprintf(count, sizeof(count), "%s", calls);
        (void)snprintf(work, sizeof(work), "%s", work_us);
        (void)snprintf(out, sizeof(out), "caller-%u", idx);
        return world_spawn(w, argv, out);
}

static bool ended_within(int pidfd, int ms)
{
        struct pollfd gone = {.fd = pidfd, .events = POLLIN};

        return poll(&gone, 1, ms) == 1;
}

struct storm {
        bool kills, swaps, hub;
        uint32_t killed, swapped, hubs;
        uint64_t dead[MEMBERS_MAX]; /* the incarnation that was killed last */
};

static void until_all_run(struct world *w, const struct storm *storm)
{
        struct bt_slot slot;
        char id[32];

        for (uint32_t i = 0; i < MEMBERS_MAX; i++) {
                (void)snprintf(id, sizeof(id), "tally/%u", i);
                world_until(w, id, BT_PHASE_RUNNING, storm->dead[i], &slot);
        }
}

/* One thing is done to one member, in turn. */
static void disturb(struct world *w, struct storm *storm, uint32_t turn)
{
        struct world_outcome outcome;
        struct bt_slot slot;
        char id[32];

        (void)snprintf(id, sizeof(id), "tally/%u", turn % MEMBERS_MAX);
        world_slot(w, id, &slot);
        if (storm->hub && turn % 8 == 7) {
                /* And not a member with it: nobody would have that one's arena any more, and its count would be gone. */
                until_all_run(w, storm);
                world_kill_hub(w);
                world_start_again(w);
                storm->hubs++;
        } else if (storm->kills && turn % 2 == 0 && slot.phase == BT_PHASE_RUNNING) {
                storm->killed += kill(slot.pid, SIGKILL) == 0;
                storm->dead[turn % MEMBERS_MAX] = slot.incarnation;
        } else if (storm->swaps) {
                world_migrate(w, id, NULL, turn / 8 % 2 ? BT_STRATEGY_COLD : BT_STRATEGY_HOT,
                              &outcome);
                storm->swapped += outcome.outcome == 0;
        }
}

static void survive(struct world *w, struct storm *storm)
{
        const char *calls =
                getenv("BATON_LONG") ? "300000" : "10000"; /* NOLINT(concurrency-mt-unsafe) */
        pid_t pids[2];
        char text[256], name[32];
        uint32_t turn = 0;

        world_start(w, POOL("4", "slots: 64, deliveries: forever", FOREVER));
        for (uint32_t i = 0; i < 2; i++)
                pids[i] = caller_start(w, i, calls, "500");
        for (uint32_t i = 0; i < 2; i++) {
                (void)snprintf(name, sizeof(name), "caller-%u", i);
                world_line_wait(w, name, text, sizeof(text));
        }
        for (uint32_t i = 0; i < 2; i++) {
                int pidfd = pidfd_open(pids[i], 0);
                int status;

                assert_true(pidfd >= 0);
                while (!ended_within(pidfd, 10))
                        disturb(w, storm, turn++);
                (void)close(pidfd);
                status = world_wait(pids[i]);
                (void)snprintf(name, sizeof(name), "caller-%u", i);
                world_read(w, name, text, sizeof(text));
                if (status)
                        fail_msg("caller %u: %s", i, text);
        }
        print_message("%u killed, %u swapped, %u hubs killed\n", storm->killed, storm->swapped,
                      storm->hubs);
        until_all_run(w, storm); /* one that is down cannot say what it has counted */
        world_stop(w);
        while (storm->hub && waitpid(-1, NULL, WNOHANG) > 0)
                ; /* processes of hubs that were killed are ours */
        world_end(w);
        assert_int_equal(tally_sum(w), 2 * strtoull(calls, NULL, 10));
}

static void I8_each_job_is_done_once_while_members_are_killed(void **state)
{
        struct storm storm = {.kills = true};

        survive(*state, &storm);
        assert_true(storm.killed > 0);
}

static void HOT_11_each_job_is_done_once_through_swaps_and_kills(void **state)
{
        struct storm storm = {.kills = true, .swaps = true};

        survive(*state, &storm);
        assert_true(storm.killed > 0 && storm.swapped > 0);
}

static void I8_each_job_is_done_once_while_the_hub_is_killed(void **state)
{
        struct storm storm = {.kills = true, .swaps = true, .hub = true};

        survive(*state, &storm);
        assert_true(storm.hubs > 0);
}

static void until_attached_again(struct baton_client *client)
{
        struct pollfd ready = {.fd = baton_client_fd(client), .events = POLLIN};
        struct baton_client_stats stats;

        for (;;) {
                baton_client_stats(client, &stats);
                if (stats.attached > 1)
                        return;
                assert_int_equal(poll(&ready, 1, WORLD_WAIT_MS), 1);
                assert_int_equal(baton_client_dispatch(client), 0);
        }
}

/* Nobody has its desk any more, so nobody knows how far it was: but the slot says that somebody had it. */
static void I8_what_a_member_had_that_died_with_the_hub_is_done_by_another(void **state)
{
        struct world *w = *state;
        struct baton_client *client;
        struct baton_target *tally;
        pid_t pid;
        uint64_t id;

        world_start(w, POOL("3", "slots: 4", FOREVER));
        client = attach(w);
        tally = tally_of(client);
        id = begin(tally, 7, TALLY_HANG);
        pid = busy_pid(w);
        world_kill_hub(w);
        assert_int_equal(kill(pid, SIGKILL), 0);
        assert_int_equal(world_wait(pid), 128 + SIGKILL); /* it is ours, without a hub */
        for (uint64_t n = 1; n <= 20; n++)
                call_ok(tally, n);
        world_start_again(w);
        /* It may be the one of whose first delivery nobody knows: then it hangs again, and that is seen. */
        pid = busy_pid(w);
        assert_int_equal(kill(pid, SIGKILL), 0);
        assert_int_equal(collect(client, id).last, 7);
        until_attached_again(
                client); /* else the hub keeps its number for as long as our process lives */
        client = baton_client_close(client);
        world_stop(w);
        while (waitpid(-1, NULL, WNOHANG) > 0)
                ; /* processes of hubs that were killed are ours */
        world_end(w);
}

/* ---- names, numbers, members that come and go ---- */

static void a_pool_that_shares_is_called_by_its_name_only(void **state)
{
        struct world *w = *state;
        struct baton_client *client;
        struct baton_target *target = NULL;
        struct baton_target_stats stats;
        char why[BATON_WHY_BYTES] = "";

        world_start(w, POOL("3", "slots: 8", FOREVER));
        client = attach(w);
        assert_int_equal(baton_client_target(&target, client, "tally/1", NULL, why), -ENXIO);
        assert_string_equal(why, "its pool shares one queue: name the pool");
        target = tally_of(client);
        baton_target_stats(target, &stats);
        assert_int_equal(stats.members, 1); /* one mailbox */
        assert_int_equal(stats.capacity, 8);
        call_ok(target, 1);
        RUN(1, "its pool shares one queue", "call", "tally/1", "text");
        RUN(1, "tally: the message failed", "call", "tally", "nonsense");
        RUN(0, "", "cast", "tally", "nonsense");
        RUN(0, "shared by 3", "queue");
        expect_said("tally/2");
        RUN(0, "\"queue\":\"shared\",\"members\":3", "queue", "tally", "--json");
        expect_said("\"queue\":\"member\"");
        RUN(0, "", "queue", "tally/2");
        expect_unsaid("shared by");
        client = baton_client_close(client);
        world_end(w);
}

static void a_member_may_leave_and_the_last_one_ends_the_queue(void **state)
{
        struct world *w = *state;
        struct baton_client *client;
        struct baton_target *tally;
        struct tally_message message = {.number = 9};
        struct baton_send send = {.size = sizeof(send), .data = &message, .bytes = sizeof(message)};
        struct baton_reply reply = {0};
        pid_t one;
        uint64_t id;

        world_start(w, POOL("2", "slots: 8", FOREVER));
        client = attach(w);
        tally = tally_of(client);
        RUN(0, "", "child", "remove", "tally/0");
        call_ok(tally, 1);
        call_ok(tally, 2);
        one = world_pid(w, "tally/1");
        freeze(one);
        id = begin(tally, 3, 0);
        assert_int_equal(kill(one, SIGKILL), 0); /* as good as a stop, and sooner */
        assert_int_equal(collect(client, id).last, 3);
        id = begin(tally, 4, TALLY_HANG);
        (void)busy_member(w);
        RUN(0, "", "child", "remove", "tally/1");
        assert_int_equal(baton_client_collect(client, id, &reply, WORLD_WAIT_MS * BT_NS_PER_MS),
                         -BATON_E_GONE);
        assert_int_equal(baton_client_cast(tally, &send), -BATON_E_GONE);
        client = baton_client_close(client);
        world_end(w);
}

/* ---- what was done is answered ---- */

/* Each member dies at its third message, in the moment after the commit, and is not started again: nobody but the hub can give that answer. */
static void I8_a_message_that_was_done_is_answered_also_when_nobody_comes_back(void **state)
{
        struct world *w = *state;
        struct baton_client *client;
        struct baton_target *tally;

        world_start(w, POOL("2", "slots: 8", NEVER "\n    env: {BATON_KILL_AT: 'message.committed:3'}"));
        client = attach(w);
        tally = tally_of(client);
        for (uint64_t n = 1; n <= 6; n++)
                call_ok(tally, n);
        client = baton_client_close(client);
        world_end(w);
}

/* ---- a message that kills whoever has it ---- */

static void a_message_that_kills_is_set_aside_and_its_caller_told(void **state)
{
        struct world *w = *state;
        struct baton_client *client;
        struct baton_target *tally;
        struct tally_answer answer;
        struct bt_slot slot;

        world_start(w, POOL("2", "slots: 8", ""));
        client = attach(w);
        tally = tally_of(client);
        call_ok(tally, 1);
        assert_int_equal(call(tally, 2, TALLY_DIE, BATON_WAIT_FOREVER, &answer),
                         -BATON_E_SET_ASIDE);
        call_ok(tally, 3);
        world_until(w, "tally/0", BT_PHASE_RUNNING, 0, &slot);
        world_until(w, "tally/1", BT_PHASE_RUNNING, 0, &slot);
        RUN(0, "\"set_aside\":1", "queue", "tally", "--json");
        client = baton_client_close(client);
        world_end(w);
        assert_int_equal(tally_sum(w), 2);
}

int main(void)
{
#define ROW(name) cmocka_unit_test_setup_teardown(name, world_setup, world_teardown)
        const struct CMUnitTest tests[] = {
                ROW(whoever_is_free_takes_the_next),
                ROW(a_long_job_holds_up_nobody_and_is_done_by_another_when_its_holder_dies),
                ROW(COLD_11_jobs_wait_while_nobody_is_free),
                ROW(HOT_11_a_member_that_is_swapped_ends_what_it_has),
                ROW(I8_each_job_is_done_once_while_members_are_killed),
                ROW(HOT_11_each_job_is_done_once_through_swaps_and_kills),
                ROW(I8_each_job_is_done_once_while_the_hub_is_killed),
                ROW(I8_what_a_member_had_that_died_with_the_hub_is_done_by_another),
                ROW(a_pool_that_shares_is_called_by_its_name_only),
                ROW(a_member_may_leave_and_the_last_one_ends_the_queue),
                ROW(I8_a_message_that_was_done_is_answered_also_when_nobody_comes_back),
                ROW(a_message_that_kills_is_set_aside_and_its_caller_told),
        };
#undef ROW

        return cmocka_run_group_tests_name("shared_queue", tests, NULL, NULL);
}
