/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Producers and members of a shared queue that are processes and are killed at random moments: whatever was acknowledged to a producer is done by one member, once;
 * what was not acknowledged is done once or never; and what a dead member had in hand is done by somebody.
 *
 * BATON_SEED=... plays a failure again, as far as processes let it; BATON_LONG=1 runs longer.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <poll.h>
#include <sched.h>
#include <string.h>

#include "base/clock.h"
#include "tests/support/seed.h"
#include "tests/support/share_twins.h"

#define KILLS_MAX (SHARE_OWNERS - 100)

struct process {
        pid_t pid;
        uint32_t owner;
};

static struct share_twins *t;
static int memory_fd;
static struct bt_mailbox_view view;
static struct process members[SHARE_MEMBERS], producers[SHARE_PRODUCERS];
static uint32_t owner_next;
static uint64_t put_back;

static void start(struct process *process, const char *verb, uint32_t idx)
{
        char text[32];

        assert_true(owner_next < SHARE_OWNERS);
        process->owner = owner_next++;
        (void)snprintf(text, sizeof(text), "%u:%u", process->owner, idx);
        process->pid = twin_start("child_share", verb, text, memory_fd);
}

/* As the hub does it: its end is seen, then what it left is settled. */
static void kill_member(uint32_t idx)
{
        struct bt_desk *desk = &t->desks[idx];

        assert_int_equal(twin_kill(members[idx].pid), 128 + SIGKILL);
        put_back += desk->claim && desk->claim_for == desk->cursor;
        (void)bt_share_settle(&view, desk);
        assert_int_equal(desk->claim, 0);
}

static void kill_producer(uint32_t idx)
{
        assert_int_equal(twin_kill(producers[idx].pid), 128 + SIGKILL);
        (void)bt_mailbox_repair(&view, producers[idx].owner);
}

static uint64_t done_count(void)
{
        uint64_t count = 0;

        for (uint32_t i = 0; i < SHARE_MEMBERS; i++)
                count += t->desks[i].cursor;
        return count;
}

static void until_done(uint64_t count)
{
        uint64_t deadline = bt_now_ns() + 60 * BT_NS_PER_S;

        while (done_count() < count) {
                if (bt_now_ns() > deadline)
                        fail_msg("nothing is done any more: %llu of %llu",
                                 (unsigned long long)done_count(), (unsigned long long)count);
                sched_yield();
        }
}

static int setup(void **state)
{
        (void)state;
        memory_fd = twin_memory(sizeof(*t), &t);
        share_twins_init(t);
        view = share_twins_view(t);
        owner_next = 1;
        put_back = 0;
        return 0;
}

static int teardown(void **state)
{
        (void)state;
        (void)close(memory_fd);
        return munmap(t, sizeof(*t));
}

/* Each acknowledged message once, the one that was under way at most once, nothing else. */
static void each_was_done_once(void)
{
        uint8_t *seen[SHARE_OWNERS] = {NULL};

        for (uint32_t i = 0; i < SHARE_MEMBERS; i++) {
                for (uint64_t k = 0; k < t->desks[i].cursor; k++) {
                        uint32_t owner = (uint32_t)(t->done[i][k] >> 32);
                        uint64_t n = (uint32_t)t->done[i][k];

                        assert_in_range(owner, 1, SHARE_OWNERS - 1);
                        assert_true(n < t->begun[owner]);
                        if (!seen[owner])
                                seen[owner] = calloc(1, t->begun[owner]);
                        assert_non_null(seen[owner]);
                        assert_int_equal(seen[owner][n]++, 0);
                }
        }
        for (uint32_t owner = 1; owner < SHARE_OWNERS; owner++) {
                for (uint64_t n = 0; n < t->sent[owner]; n++)
                        assert_true(seen[owner] && seen[owner][n] == 1);
                free(seen[owner]);
        }
}

static void what_was_sent_is_done_once_whoever_is_killed(void **state)
{
        struct seed seed = seed_new();
        uint64_t kills = seed_rounds(300), k;

        (void)state;
        if (kills > KILLS_MAX)
                kills = KILLS_MAX;
        for (uint32_t i = 0; i < SHARE_MEMBERS; i++)
                start(&members[i], "member", i);
        for (uint32_t i = 0; i < SHARE_PRODUCERS; i++)
                start(&producers[i], "produce", i);
        for (k = 0; k < kills && done_count() < SHARE_DONE_MAX / 2; k++) {
                uint32_t idx = (uint32_t)seed_below(&seed, SHARE_MEMBERS);

                until_done(done_count() + seed_below(&seed, 200));
                if (seed_below(&seed, 4)) {
                        kill_member(idx);
                        start(&members[idx], "member", idx);
                } else {
                        kill_producer(idx % SHARE_PRODUCERS);
                        start(&producers[idx % SHARE_PRODUCERS], "produce", idx);
                }
        }
        for (uint32_t i = 0; i < SHARE_PRODUCERS; i++)
                kill_producer(i);
        while (bt_mailbox_depth(&view))
                sched_yield(); /* the members have taken the rest; what they have in hand they finish, or we put it back */
        for (uint32_t i = 0; i < SHARE_MEMBERS; i++)
                kill_member(i);
        start(&members[0], "member", 0);
        while (bt_mailbox_depth(&view) || t->desks[0].claim)
                sched_yield();
        kill_member(0);
        assert_int_equal(bt_mailbox_depth(&view), 0);
        assert_true(bt_share_valid(&view));
        each_was_done_once();
        print_message("%llu done, %llu processes killed, %llu put back\n",
                      (unsigned long long)done_count(), (unsigned long long)k,
                      (unsigned long long)put_back);
        assert_true(put_back > 0);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(what_was_sent_is_done_once_whoever_is_killed, setup,
                                                teardown),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
