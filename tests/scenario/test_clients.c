/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Clients and the hub: attaching, being refused, members that come and go, what is left when either side is killed. The children here do not read their
 * mailboxes, so that every message is where it was put; what becomes of messages that are read is the subject of scenario/test_messages.c.
 */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <baton/client.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "shm/attach.h"
#include "tests/support/command.h"

/* hello knows nothing of messages. */
#define POOL                                                                                       \
        "hub: w\n"                                                                                 \
        "sockets:\n"                                                                               \
        "  hello: tcp://127.0.0.1:@port@\n"                                                        \
        "defaults: {sockets: [hello]}\n"                                                           \
        "children:\n"                                                                              \
        "  web:\n"                                                                                 \
        "    exec: [@bin@/hello-testing]\n"                                                        \
        "    instances: 3\n"                                                                       \
        "    mailbox: {slots: 4, bytes: 64}\n"                                                     \
        "  deaf:\n"                                                                                \
        "    exec: [@bin@/hello-testing]\n"

/* The new program of web/1 never gets ready. */
#define SWAPPING                                                                                   \
        "hub: w\n"                                                                                 \
        "sockets:\n"                                                                               \
        "  hello: tcp://127.0.0.1:@port@\n"                                                        \
        "children:\n"                                                                              \
        "  web:\n"                                                                                 \
        "    exec: [@bin@/hello-testing]\n"                                                        \
        "    sockets: [hello]\n"                                                                   \
        "    instances: 3\n"                                                                       \
        "    mailbox: {slots: 4, bytes: 64}\n"                                                     \
        "    child_migration_timeout: " WORLD_SHORT "\n"                                           \
        "    handover_data_wait: " WORLD_SHORT "\n"

#define SHORT_NS (20 * BT_NS_PER_MS)

static struct baton_client *attach(const struct world *w,
                                   const struct baton_client_options *options)
{
        struct baton_client *client = NULL;
        char path[128], why[BATON_WHY_BYTES] = "";
        int r;

        (void)snprintf(path, sizeof(path), "%s/run/w", w->dir);
        r = baton_client_open(&client, path, options, why);
        if (r)
                fail_msg("cannot attach: %d: %s", r, why);
        return client;
}

static struct baton_target *target_of(struct baton_client *client, const char *name)
{
        struct baton_target *target = NULL;

        assert_int_equal(baton_client_target(&target, client, name, NULL, NULL), 0);
        return target;
}

static int cast(struct baton_target *target, const char *text)
{
        struct baton_send send = {.size = sizeof(send), .data = text, .bytes = strlen(text)};

        return baton_client_cast(target, &send);
}

static uint64_t queued(const struct baton_target *target)
{
        struct baton_target_stats stats;

        baton_target_stats(target, &stats);
        return stats.queued;
}

static struct baton_client_stats stats_of(const struct baton_client *client)
{
        struct baton_client_stats stats;

        baton_client_stats(client, &stats);
        return stats;
}

/* Dispatches until the client has been let in by @attached hubs. */
static void until_attached(struct baton_client *client, uint64_t attached)
{
        uint64_t deadline = bt_now_ns() + WORLD_WAIT_MS * BT_NS_PER_MS;
        struct pollfd ready = {.fd = baton_client_fd(client), .events = POLLIN};

        while (stats_of(client).attached < attached) {
                if (bt_now_ns() > deadline)
                        fail_msg("the client has not found the hub again");
                (void)poll(&ready, 1, WORLD_WAIT_MS);
                assert_int_equal(baton_client_dispatch(client), 0);
        }
}

/* ---- being let in ---- */

static void a_client_without_a_hub_is_told_so(void **state)
{
        struct world *w = *state;
        struct baton_client *client = NULL;
        char path[128], why[BATON_WHY_BYTES] = "";

        (void)snprintf(path, sizeof(path), "%s/run/w", w->dir);
        assert_int_equal(baton_client_open(&client, path, NULL, why), -ENOENT);
        assert_non_null(strstr(why, "nobody answers"));
        assert_int_equal(baton_client_open(&client, "", NULL, NULL), -EINVAL);
        (void)unsetenv("BATON_HUB");
        assert_int_equal(baton_client_open(&client, NULL, NULL, NULL), -EINVAL);
        assert_null(client);
        assert_null(baton_client_close(NULL));
        world_end(w);
}

static void a_hub_is_found_by_its_name(void **state)
{
        struct world *w = *state;
        struct baton_client *client = NULL;
        char path[128];

        world_start(w, POOL);
        (void)snprintf(path, sizeof(path), "%s/run", w->dir);
        (void)setenv("BATON_RUNTIME_DIR", path, 1);
        assert_int_equal(baton_client_open(&client, "w", NULL, NULL), 0);
        client = baton_client_close(client);
        (void)setenv("BATON_HUB", "w", 1);
        assert_int_equal(baton_client_open(&client, NULL, NULL, NULL), 0);
        client = baton_client_close(client);
        (void)unsetenv("BATON_HUB");
        (void)unsetenv("BATON_RUNTIME_DIR");
        world_end(w);
}

static void options_out_of_range_are_refused(void **state)
{
        static const struct baton_client_options wrong[] = {
                {.size = 8},
                {.size = sizeof(wrong[0]), .calls = BATON_CLIENT_CALLS_MAX + 1},
                {.size = sizeof(wrong[0]), .reply_bytes = BATON_CLIENT_REPLY_MAX + 1},
                {.size = sizeof(wrong[0]), .region_bytes = UINT64_MAX},
        };
        struct world *w = *state;
        struct baton_client *client = NULL;
        char path[128];

        world_start(w, POOL);
        (void)snprintf(path, sizeof(path), "%s/run/w", w->dir);
        for (size_t i = 0; i < BT_ARRAY_LEN(wrong); i++)
                assert_int_equal(baton_client_open(&client, path, &wrong[i], NULL), -EINVAL);
        world_end(w);
}

/* The permissions of the directory are not what is tested: the hub asks the kernel who is there. */
static void another_user_is_refused_with_a_reason(void **state)
{
        struct world *w = *state;
        struct baton_client *client = NULL;
        char path[128], run[128], why[BATON_WHY_BYTES] = "";
        int r;

        if (geteuid() != 0)
                skip();
        world_start(w, POOL);
        (void)snprintf(run, sizeof(run), "%s/run", w->dir);
        (void)snprintf(path, sizeof(path), "%s/run/w", w->dir);
        assert_int_equal(chmod(w->dir, 0755) | chmod(run, 0755) | chmod(path, 0755), 0);
        (void)snprintf(run, sizeof(run), "%s/run/w/control.sock", w->dir);
        assert_int_equal(chmod(run, 0777), 0);
        assert_int_equal(seteuid(65534), 0);
        r = baton_client_open(&client, path, NULL, why);
        assert_int_equal(seteuid(0), 0);
        assert_int_equal(r, -EACCES);
        assert_non_null(strstr(why, "user"));
        world_end(w);
}

static void a_hub_has_a_bound_of_clients(void **state)
{
        struct world *w = *state;
        struct baton_client **clients =
                calloc(BT_ATTACH_CLIENTS_MAX + 1, sizeof(struct baton_client *));
        const struct baton_client_options small = {.size = sizeof(small), .calls = 1};
        char path[128], why[BATON_WHY_BYTES] = "";

        assert_non_null(clients);
        world_start(w, POOL);
        (void)snprintf(path, sizeof(path), "%s/run/w", w->dir);
        for (uint32_t i = 0; i < BT_ATTACH_CLIENTS_MAX; i++) {
                clients[i] = attach(w, &small);
                (void)target_of(clients[i], "web");
        }
        assert_int_equal(baton_client_open(&clients[BT_ATTACH_CLIENTS_MAX], path, NULL, why),
                         -ENOSPC);
        assert_non_null(strstr(why, "as many clients"));
        for (uint32_t i = 0; i < BT_ATTACH_CLIENTS_MAX; i++)
                clients[i] = baton_client_close(clients[i]);
        free(clients);
        world_end(w);
}

/* ---- targets ---- */

static void a_target_that_cannot_be_had_says_why(void **state)
{
        struct world *w = *state;
        struct baton_client *client;
        struct baton_target *target = NULL;
        const struct baton_target_options odd = {.size = sizeof(odd), .pick = _BATON_PICK_N};
        char why[BATON_WHY_BYTES] = "", name[80];

        world_start(w, POOL);
        client = attach(w, NULL);
        assert_int_equal(baton_client_target(&target, client, "nobody", NULL, why), -ENOENT);
        assert_string_equal(why, "no such child");
        assert_int_equal(baton_client_target(&target, client, "deaf", NULL, why), -ENXIO);
        assert_non_null(strstr(why, "mailbox"));
        assert_int_equal(baton_client_target(&target, client, "", NULL, NULL), -EINVAL);
        assert_int_equal(baton_client_target(&target, client, "web", &odd, NULL), -EINVAL);
        memset(name, 'x', sizeof(name));
        name[sizeof(name) - 1] = '\0';
        assert_int_equal(baton_client_target(&target, client, name, NULL, NULL), -EINVAL);
        for (int i = 0; i < BT_ATTACH_TARGETS_MAX - 2; i++) {
                (void)snprintf(name, sizeof(name), "nobody-%d", i);
                assert_int_equal(baton_client_target(&target, client, name, NULL, NULL), -ENOENT);
        }
        assert_int_equal(baton_client_target(&target, client, "one-more", NULL, NULL), -ENOSPC);
        assert_null(target);
        client = baton_client_close(client);
        world_end(w);
}

static void a_pool_and_its_members_can_be_named(void **state)
{
        struct world *w = *state;
        struct baton_client *client;
        struct baton_target *web, *one;
        struct baton_target_stats stats;

        world_start(w, POOL);
        client = attach(w, NULL);
        web = target_of(client, "web");
        one = target_of(client, "web/1");
        assert_ptr_equal(target_of(client, "web"), web);
        baton_target_stats(web, &stats);
        assert_int_equal(stats.members, 3);
        assert_int_equal(stats.capacity, 12);
        assert_int_equal(baton_target_bytes_max(web), 64);
        assert_int_equal(cast(one, "for you"), 0);
        assert_int_equal(queued(one), 1);
        assert_int_equal(queued(web), 1);
        client = baton_client_close(client);
        world_end(w);
}

/* ---- choosing ---- */

static uint64_t queued_at(struct baton_client *client, int idx)
{
        char name[16];

        (void)snprintf(name, sizeof(name), "web/%d", idx);
        return queued(target_of(client, name));
}

static void the_least_queued_member_gets_the_message(void **state)
{
        struct world *w = *state;
        struct baton_client *client;
        struct baton_target *web;

        world_start(w, POOL);
        client = attach(w, NULL);
        web = target_of(client, "web");
        assert_int_equal(cast(target_of(client, "web/0"), "a"), 0);
        assert_int_equal(cast(target_of(client, "web/0"), "b"), 0);
        for (int i = 0; i < 4; i++)
                assert_int_equal(cast(web, "c"), 0);
        for (int i = 0; i < 3; i++)
                assert_int_equal(queued_at(client, i), 2);
        client = baton_client_close(client);
        world_end(w);
}

static void a_key_finds_the_same_member(void **state)
{
        static const struct baton_target_options hash = {.size = sizeof(hash),
                                                         .pick = BATON_PICK_HASH};
        struct world *w = *state;
        struct baton_client *client;
        struct baton_target *web = NULL;
        struct baton_send send = {.size = sizeof(send), .data = "x", .bytes = 1, .key = 7};
        int with = 0;

        world_start(w, POOL);
        client = attach(w, NULL);
        assert_int_equal(baton_client_target(&web, client, "web", &hash, NULL), 0);
        for (int i = 0; i < 4; i++)
                assert_int_equal(baton_client_cast(web, &send), 0);
        for (int i = 0; i < 3; i++) {
                assert_true(queued_at(client, i) == 0 || queued_at(client, i) == 4);
                with += queued_at(client, i) == 4;
        }
        assert_int_equal(with, 1);
        assert_int_equal(baton_client_cast(web, &send),
                         -EAGAIN); /* others have room, and it is not theirs */
        client = baton_client_close(client);
        world_end(w);
}

/* ---- full, too long, not answered ---- */

static void a_full_pool_says_so_at_once_or_after_the_deadline(void **state)
{
        struct world *w = *state;
        struct baton_client *client;
        struct baton_target *web;
        struct baton_send send = {.size = sizeof(send), .data = "x", .bytes = 1};

        world_start(w, POOL);
        client = attach(w, NULL);
        web = target_of(client, "web");
        for (int i = 0; i < 12; i++)
                assert_int_equal(cast(web, "x"), 0);
        assert_int_equal(baton_client_cast(web, &send), -EAGAIN);
        send.timeout_ns = SHORT_NS;
        assert_int_equal(baton_client_cast(web, &send), -ETIMEDOUT);
        assert_true(stats_of(client).full >= 2);
        assert_int_equal(queued(web), 12);
        client = baton_client_close(client);
        world_end(w);
}

static void what_cannot_be_sent_is_refused(void **state)
{
        struct world *w = *state;
        struct baton_client *client;
        struct baton_target *web;
        char big[65] = "";
        struct baton_send send = {.size = sizeof(send), .data = big, .bytes = sizeof(big)};

        world_start(w, POOL);
        client = attach(w, NULL);
        web = target_of(client, "web");
        assert_int_equal(baton_client_cast(web, &send), -EMSGSIZE);
        send.bytes = 1;
        send.flags = 0x100;
        assert_int_equal(baton_client_cast(web, &send), -EINVAL);
        send.flags = 0;
        send.large = big;
        send.large_bytes = 1; /* not of the region */
        assert_int_equal(baton_client_cast(web, &send), -EINVAL);
        send = (struct baton_send){.size = 4};
        assert_int_equal(baton_client_cast(web, &send), -EINVAL);
        assert_null(baton_client_alloc(client, 1)); /* there is no region */
        assert_int_equal(queued(web), 0);
        client = baton_client_close(client);
        world_end(w);
}

static void calls_that_nobody_answers_end(void **state)
{
        const struct baton_client_options two = {.size = sizeof(two), .calls = 2};
        struct world *w = *state;
        struct baton_client *client;
        struct baton_target *web;
        struct baton_send send = {
                .size = sizeof(send), .data = "x", .bytes = 1, .timeout_ns = SHORT_NS};
        struct baton_reply reply = {0};
        uint64_t first, second, third;

        world_start(w, POOL);
        client = attach(w, &two);
        web = target_of(client, "web");
        assert_int_equal(baton_client_call(web, &send, &reply), -ETIMEDOUT);
        assert_int_equal(baton_client_begin(web, &send, &first), 0);
        assert_int_equal(baton_client_begin(web, &send, &second), 0);
        assert_int_equal(baton_client_begin(web, &send, &third), -EBUSY);
        assert_int_equal(baton_client_collect(client, first, &reply, 0), -EAGAIN);
        assert_int_equal(baton_client_collect(client, first, &reply, SHORT_NS), -ETIMEDOUT);
        assert_int_equal(baton_client_cancel(client, first), 1); /* nobody has begun it */
        assert_int_equal(baton_client_cancel(client, first), -ENOENT);
        assert_int_equal(baton_client_collect(client, first, &reply, SHORT_NS), -ENOENT);
        assert_int_equal(baton_client_begin(web, &send, &third), 0);
        client = baton_client_close(client);
        world_end(w);
}

struct noted {
        int times;
        int status;
};

static void note_done(struct baton_client *client, const struct baton_reply *reply, void *ctx)
{
        struct noted *noted = ctx;

        (void)client;
        noted->times++;
        noted->status = reply->status;
}

static void a_done_is_run_also_when_the_deadline_is_over(void **state)
{
        struct world *w = *state;
        struct noted noted = {0};
        struct baton_client *client;
        struct baton_send send = {.size = sizeof(send),
                                  .data = "x",
                                  .bytes = 1,
                                  .timeout_ns = SHORT_NS,
                                  .done = note_done,
                                  .ctx = &noted};
        struct pollfd ready;
        uint64_t call;

        world_start(w, POOL);
        client = attach(w, NULL);
        ready = (struct pollfd){.fd = baton_client_fd(client), .events = POLLIN};
        assert_int_equal(baton_client_begin(target_of(client, "web"), &send, &call), 0);
        assert_int_equal(baton_client_collect(client, call, NULL, 0),
                         -ENOENT); /* it has a done() */
        while (!noted.times) {
                assert_int_equal(poll(&ready, 1, WORLD_WAIT_MS), 1);
                assert_int_equal(baton_client_dispatch(client), 0);
        }
        assert_int_equal(noted.status, -ETIMEDOUT);
        assert_int_equal(noted.times, 1);
        client = baton_client_close(client);
        world_end(w);
}

static void a_forked_copy_cannot_use_the_client(void **state)
{
        struct world *w = *state;
        struct baton_client *client;
        struct baton_target *web;
        pid_t pid;
        int status;

        world_start(w, POOL);
        client = attach(w, NULL);
        web = target_of(client, "web");
        pid = fork();
        if (pid == 0) {
                struct baton_send send = {.size = sizeof(send), .data = "x", .bytes = 1};

                _exit(baton_client_cast(web, &send) == -BATON_E_FORKED &&
                                      baton_client_dispatch(client) == -BATON_E_FORKED
                              ? 0
                              : 1);
        }
        assert_true(pid > 0);
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_int_equal(status, 0);
        assert_int_equal(cast(web, "x"), 0);
        client = baton_client_close(client);
        world_end(w);
}

/* ---- memory of the client's own ---- */

static void pieces_of_the_region_are_given_and_taken_back(void **state)
{
        const struct baton_client_options options = {.size = sizeof(options), .region_bytes = 4096};
        struct world *w = *state;
        struct baton_client *client;
        char *a, *b, *c;

        world_start(w, POOL);
        client = attach(w, &options);
        a = baton_client_alloc(client, 1000);
        b = baton_client_alloc(client, 1000);
        c = baton_client_alloc(client, 2048);
        assert_true(a && b && c);
        assert_true((uintptr_t)b % 64 == 0 && b >= a + 1000);
        assert_null(baton_client_alloc(client, 64));
        baton_client_free(client, b);
        baton_client_free(client, a);
        baton_client_free(client, a + 1);     /* no piece: nothing happens */
        a = baton_client_alloc(client, 2048); /* both, joined */
        assert_non_null(a);
        memset(a, 1, 2048);
        baton_client_free(client, c);
        baton_client_free(client, NULL);
        assert_non_null(baton_client_alloc(client, 2048));
        client = baton_client_close(client);
        world_end(w);
}

/* ---- swaps, and the hub's end ---- */

static void messages_wait_through_swaps_and_restarts_of_the_child(void **state)
{
        struct world *w = *state;
        struct baton_client *client;
        struct baton_target *one;
        struct bt_slot before, after;

        world_start(w, POOL);
        client = attach(w, NULL);
        one = target_of(client, "web/1");
        assert_int_equal(cast(one, "x"), 0);
        world_swap(w, "web/1", NULL, BT_STRATEGY_COLD);
        assert_int_equal(cast(one, "y"), 0);
        world_slot(w, "web/1", &before);
        assert_int_equal(kill(before.pid, SIGKILL), 0);
        world_until(w, "web/1", BT_PHASE_RUNNING, before.incarnation, &after);
        assert_int_equal(cast(one, "z"), 0);
        assert_int_equal(queued(one), 3);
        client = baton_client_close(client);
        world_end(w);
}

static void a_hub_that_stops_ends_calls_and_a_new_one_takes_them(void **state)
{
        struct world *w = *state;
        struct baton_client *client;
        struct baton_target *web;
        struct baton_send send = {.size = sizeof(send), .data = "x", .bytes = 1};
        struct baton_reply reply = {0};
        uint64_t call;

        world_start(w, POOL);
        client = attach(w, NULL);
        web = target_of(client, "web");
        assert_int_equal(baton_client_begin(web, &send, &call), 0);
        world_stop(w);
        assert_int_equal(baton_client_collect(client, call, &reply, BATON_WAIT_FOREVER),
                         -BATON_E_GONE);
        assert_int_equal(baton_client_cast(web, &send), -BATON_E_GONE);
        world_start_again(w);
        until_attached(client, 2);
        while (baton_client_cast(web, &send) == -BATON_E_GONE)
                assert_int_equal(baton_client_dispatch(client), 0);
        assert_int_equal(queued(web), 1);
        client = baton_client_close(client);
        world_end(w);
}

static void a_hub_that_is_killed_is_not_missed(void **state)
{
        struct world *w = *state;
        struct baton_client *client;
        static const char *const ids[] = {"web/0", "web/1", "web/2", "deaf"};
        struct baton_target *web;
        struct bt_slot slot;
        uint32_t number;
        pid_t pids[4];

        world_start(w, POOL);
        for (int i = 0; i < 4; i++) {
                world_slot(w, ids[i], &slot);
                pids[i] = slot.pid;
        }
        client = attach(w, NULL);
        web = target_of(client, "web");
        number = stats_of(client).number;
        assert_int_equal(cast(web, "1"), 0);
        world_kill_hub(w);
        assert_int_equal(cast(web, "2"), 0);
        world_start_again(w);
        until_attached(client, 2);
        assert_int_equal(stats_of(client).number, number);
        assert_int_equal(cast(web, "3"), 0);
        assert_int_equal(queued(web), 3);
        client = baton_client_close(client);
        world_stop(w);
        for (int i = 0; i < 4; i++)
                assert_int_equal(world_wait(pids[i]), 0); /* orphans of the first hub are ours */
        world_end(w);
}

/* ---- members that are busy with themselves, or gone ---- */

static uint32_t swapping(const struct baton_target *target)
{
        struct baton_target_stats stats;

        baton_target_stats(target, &stats);
        return stats.swapping;
}

/* Its new program never gets ready: that takes as long as child_migration_timeout. */
static void a_member_that_is_being_swapped_gets_no_new_work(void **state)
{
        struct world *w = *state;
        struct world_outcome outcome;
        struct baton_client *client;
        struct baton_target *web;
        struct bt_ask ask;
        char path[256];

        world_start(w, SWAPPING);
        world_script(w, path, "slow", "A=b", "/bin/sleep 1000");
        client = attach(w, NULL);
        web = target_of(client, "web");
        ask = world_ask(w, BT_CTL_UPGRADE, "web/1", path, BT_STRATEGY_COLD);
        world_follow_to(&ask, "starting");
        assert_int_equal(swapping(web), 1);
        for (int i = 0; i < 4; i++)
                assert_int_equal(cast(web, "not for it"), 0);
        assert_int_equal(queued_at(client, 1), 0);
        assert_int_equal(cast(target_of(client, "web/1"), "there is nobody else"), 0);
        assert_int_equal(queued_at(client, 1), 1);
        world_follow(&ask, &outcome);
        assert_int_not_equal(outcome.outcome, 0);
        client = baton_client_close(client);
        world_end(w);
}

static void a_key_on_the_command_line_finds_the_same_member(void **state)
{
        struct world *w = *state;
        struct baton_client *client;
        int with = 0;

        world_start(w, POOL);
        client = attach(w, NULL);
        for (int i = 0; i < 4; i++)
                RUN(0, "", "cast", "web", "text", "--key", "blue");
        for (int i = 0; i < 3; i++)
                with += queued_at(client, i) == 4;
        assert_int_equal(with, 1);
        RUN(5, "", "cast", "web", "text", "--key", "blue", "--deadline", "10ms"); /* full */
        RUN(0, "", "cast", "web", "text");                                        /* another one */
        RUN(0, "\"slots\":4,\"depth\":4,\"full\":", "status", "--json");
        expect_said("\"slots\":4,\"depth\":1,\"full\":0,\"set_aside\":0");
        expect_said("\"mailbox\":null"); /* deaf */
        RUN(0, "times full", "status");
        client = baton_client_close(client);
        world_end(w);
}

static uint32_t members(const struct baton_target *target)
{
        struct baton_target_stats stats;

        baton_target_stats(target, &stats);
        return stats.members;
}

static void members_that_are_removed_and_added_are_seen(void **state)
{
        struct world *w = *state;
        struct baton_client *client;
        struct baton_target *web, *one;
        struct baton_send send = {.size = sizeof(send), .data = "x", .bytes = 1};
        struct pollfd ready = {.events = POLLIN};
        struct baton_reply reply = {0};
        uint64_t call;

        world_start(w, POOL);
        client = attach(w, NULL);
        ready.fd = baton_client_fd(client);
        web = target_of(client, "web");
        one = target_of(client, "web/1");
        assert_int_equal(baton_client_begin(one, &send, &call), 0);
        RUN(0, "", "child", "remove", "web/1");
        assert_int_equal(baton_client_collect(client, call, &reply, WORLD_WAIT_MS * BT_NS_PER_MS),
                         -BATON_E_GONE);
        assert_int_equal(baton_client_cast(one, &send), -BATON_E_GONE);
        assert_int_equal(members(web), 2);
        for (int i = 0; i < 4; i++)
                assert_int_equal(cast(web, "others are there"), 0);
        world_file_put(w, "more.yaml",
                       "children:\n  web:\n    exec: [@bin@/hello-testing]\n    instances: 3\n"
                       "    sockets: [hello]\n    mailbox: {slots: 4, bytes: 64}\n");
        RUN(1, "", "child", "add", "more.yaml"); /* two of the three are there already */
        while (members(one) == 0) {
                assert_int_equal(poll(&ready, 1, WORLD_WAIT_MS), 1);
                assert_int_equal(baton_client_dispatch(client), 0);
        }
        assert_int_equal(members(web), 3);
        assert_int_equal(baton_client_cast(one, &send), 0);
        assert_int_equal(queued(one), 1);
        client = baton_client_close(client);
        world_end(w);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(a_client_without_a_hub_is_told_so, world_setup,
                                                world_teardown),
                cmocka_unit_test_setup_teardown(a_hub_is_found_by_its_name, world_setup,
                                                world_teardown),
                cmocka_unit_test_setup_teardown(options_out_of_range_are_refused, world_setup,
                                                world_teardown),
                cmocka_unit_test_setup_teardown(another_user_is_refused_with_a_reason, world_setup,
                                                world_teardown),
                cmocka_unit_test_setup_teardown(a_hub_has_a_bound_of_clients, world_setup,
                                                world_teardown),
                cmocka_unit_test_setup_teardown(a_target_that_cannot_be_had_says_why, world_setup,
                                                world_teardown),
                cmocka_unit_test_setup_teardown(a_pool_and_its_members_can_be_named, world_setup,
                                                world_teardown),
                cmocka_unit_test_setup_teardown(the_least_queued_member_gets_the_message,
                                                world_setup, world_teardown),
                cmocka_unit_test_setup_teardown(a_key_finds_the_same_member, world_setup,
                                                world_teardown),
                cmocka_unit_test_setup_teardown(a_full_pool_says_so_at_once_or_after_the_deadline,
                                                world_setup, world_teardown),
                cmocka_unit_test_setup_teardown(what_cannot_be_sent_is_refused, world_setup,
                                                world_teardown),
                cmocka_unit_test_setup_teardown(calls_that_nobody_answers_end, world_setup,
                                                world_teardown),
                cmocka_unit_test_setup_teardown(a_done_is_run_also_when_the_deadline_is_over,
                                                world_setup, world_teardown),
                cmocka_unit_test_setup_teardown(a_forked_copy_cannot_use_the_client, world_setup,
                                                world_teardown),
                cmocka_unit_test_setup_teardown(pieces_of_the_region_are_given_and_taken_back,
                                                world_setup, world_teardown),
                cmocka_unit_test_setup_teardown(
                        messages_wait_through_swaps_and_restarts_of_the_child, world_setup,
                        world_teardown),
                cmocka_unit_test_setup_teardown(
                        a_hub_that_stops_ends_calls_and_a_new_one_takes_them, world_setup,
                        world_teardown),
                cmocka_unit_test_setup_teardown(a_hub_that_is_killed_is_not_missed, world_setup,
                                                world_teardown),
                cmocka_unit_test_setup_teardown(a_member_that_is_being_swapped_gets_no_new_work,
                                                world_setup, world_teardown),
                cmocka_unit_test_setup_teardown(a_key_on_the_command_line_finds_the_same_member,
                                                world_setup, world_teardown),
                cmocka_unit_test_setup_teardown(members_that_are_removed_and_added_are_seen,
                                                world_setup, world_teardown),
        };

        return cmocka_run_group_tests_name("clients", tests, NULL, NULL);
}
