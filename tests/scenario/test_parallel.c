/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Requests about many children, and the limit over all of a stop. What is asserted is the order of events as the hub tells them, not how long
 * something took.
 */
#include "tests/support/world.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/fd.h"

#define CHILDREN 20

static const char many[] = "hub: w\n"
                           "max_parallel: %d\n"
                           "children:\n"
                           "  probe:\n"
                           "    exec: [@bin@/child_probe]\n"
                           "    instances: %d\n"
                           "    strategy: %s\n"
                           "    handover: true\n"
                           "    state: blob\n"
                           "    child_migration_timeout: " WORLD_SHORT "\n";

static void start_many(struct world *w, int parallel, int children, const char *strategy)
{
        char yaml[1024];

        (void)snprintf(yaml, sizeof(yaml), many, parallel, children, strategy);
        world_start(w, yaml);
}

/* What a request did, told by its events. */
struct tally {
        int under_way, under_way_max;
        int begun, committed, failed;
        char failed_child[64];
        uint64_t first_begun_ns[CHILDREN]; /* since the request, by the number of the child */
        uint64_t over_ns[CHILDREN];
        uint64_t total_ns[CHILDREN];
        struct bt_ctl_reply done;
};

static int number_of(const struct bt_ctl_reply *reply)
{
        char *end;
        int number;

        assert_memory_equal(reply->child, "probe/", 6);
        number = (int)strtol(reply->child + 6, &end, 10);
        assert_int_equal(*end, '\0');
        assert_in_range(number, 0, CHILDREN - 1);
        return number;
}

static void count_event(struct tally *t, const struct bt_ctl_reply *reply)
{
        int n = number_of(reply);
        bool committed = !strcmp(reply->phase, "committed"), back = !strcmp(reply->phase, "rolled_back");

        if (!strcmp(reply->phase, "starting") || !strcmp(reply->phase, "querying") || !strcmp(reply->phase, "holding")) {
                if (t->first_begun_ns[n])
                        return; /* a cold swap holds its successor, queries, and starts later */
                t->first_begun_ns[n] = reply->since_ns;
                t->begun++;
                if (++t->under_way > t->under_way_max)
                        t->under_way_max = t->under_way;
        } else if (committed || back) {
                t->under_way--;
                t->over_ns[n] = reply->since_ns;
                t->total_ns[n] = reply->value[1];
                t->committed += committed;
                t->failed += back;
                if (back)
                        (void)snprintf(t->failed_child, sizeof(t->failed_child), "%s", reply->child);
        }
}

static void follow_many(struct world *w, const char *path, struct tally *t)
{
        struct bt_ask ask = world_ask(w, path ? BT_CTL_UPGRADE : BT_CTL_SWAP, "probe", path, WORLD_SPEC);
        int fd = -1;

        memset(t, 0, sizeof(*t));
        for (;;) {
                assert_int_equal(bt_ask_reply(&ask, &t->done, &fd), 0);
                assert_int_equal(fd, -1);
                if (t->done.kind == BT_CTL_DONE)
                        break;
                count_event(t, &t->done);
        }
        assert_int_equal(bt_ask_reply(&ask, &(struct bt_ctl_reply){0}, &fd), BT_ASK_E_CLOSED);
        bt_ask_close(&ask);
}

static void HOT_14_children_migrate_in_parallel_within_the_bound(void **state)
{
        static const char *const strategies[] = {"hot", "cold"};
        struct world *w = *state;

        for (size_t i = 0; i < 2; i++) {
                struct tally t;

                start_many(w, 4, CHILDREN, strategies[i]);
                follow_many(w, NULL, &t);
                assert_int_equal(t.done.outcome, BT_CTL_OK);
                assert_int_equal(t.done.value[0], CHILDREN);
                assert_int_equal(t.committed, CHILDREN);
                assert_int_equal(t.under_way_max, 4); /* the bound is used, and kept */
                assert_int_equal(t.under_way, 0);
                for (int n = 1; n < CHILDREN; n++)
                        assert_true(t.first_begun_ns[n] >= t.first_begun_ns[n - 1]); /* in order */
                world_stop(w);
        }
        world_end(w);
}

static void HOT_6_one_that_hangs_takes_one_place_until_its_own_deadline(void **state)
{
        struct world *w = *state;
        char path[256];
        struct tally t;
        int hung = -1;

        start_many(w, 4, CHILDREN, "hot");
        world_script_once(w, path, "hangs-once", "PROBE_FAIL=hang", "child_probe");
        follow_many(w, path, &t);
        assert_int_equal(t.done.outcome, BT_CTL_TIMED_OUT);
        assert_int_equal(t.done.value[0], CHILDREN - 1);
        assert_int_equal(t.done.value[1], 1);
        assert_int_equal(t.committed, CHILDREN - 1);
        assert_int_equal(t.failed, 1);
        assert_int_equal(t.under_way_max, 4);
        assert_memory_equal(t.failed_child, "probe/", 6);
        hung = (int)strtol(t.failed_child + 6, NULL, 10);
        assert_true(hung < 4);
        for (int n = 0; n < CHILDREN; n++) {
                struct bt_slot slot;
                char id[32];

                /* It is the one that kept its incarnation; everybody else has the second. */
                (void)snprintf(id, sizeof(id), "probe/%d", n);
                world_until(w, id, BT_PHASE_RUNNING, 0, &slot);
                assert_int_equal(slot.incarnation, n == hung ? 1 : 2);
        }
        world_end(w);
}

static void HOT_6_a_child_that_waits_for_its_turn_has_no_deadline_that_runs(void **state)
{
        struct world *w = *state;
        char path[256];
        struct tally t;

        start_many(w, 1, 3, "hot");
        world_script(w, path, "hangs", "PROBE_FAIL=hang", "child_probe");
        follow_many(w, path, &t);
        assert_int_equal(t.done.outcome, BT_CTL_TIMED_OUT);
        assert_int_equal(t.failed, 3);
        assert_int_equal(t.under_way_max, 1);
        for (int n = 1; n < 3; n++) {
                assert_true(t.first_begun_ns[n] >= t.over_ns[n - 1]);
                /* The third began when two deadlines had passed, and had all of its own. */
                assert_true(t.total_ns[n] >= t.total_ns[0] / 2);
        }
        world_end(w);
}

static void a_request_is_carried_on_when_its_client_leaves(void **state)
{
        struct world *w = *state;
        struct bt_slot slot;
        struct bt_ask ask;

        start_many(w, 1, 5, "hot");
        ask = world_ask(w, BT_CTL_SWAP, "probe", NULL, WORLD_SPEC);
        world_follow_to(&ask, "starting");
        bt_ask_close(&ask);
        world_until(w, "probe/4", BT_PHASE_RUNNING, 1, &slot);
        world_end(w);
}

static void a_stop_ends_a_request_that_has_children_waiting(void **state)
{
        struct world *w = *state;
        char path[256];
        struct bt_ask ask;
        struct world_outcome outcome;

        start_many(w, 1, 5, "hot");
        world_script(w, path, "hangs", "PROBE_FAIL=hang", "child_probe");
        ask = world_ask(w, BT_CTL_UPGRADE, "probe", path, WORLD_SPEC);
        world_follow_to(&ask, "starting");
        assert_int_equal(kill(w->pid, SIGTERM), 0);
        world_follow(&ask, &outcome);
        assert_int_equal(outcome.outcome, BT_CTL_FAILED);
        assert_non_null(strstr(outcome.text, "the hub is stopping"));
        world_await_hub(w, 0);
        world_end(w);
}

/* One that ignores its end, with all the time in the world; the hub has less. */
static void SHUT_9_the_outer_limit_ends_what_an_inner_one_would_wait_for(void **state)
{
        static const char yaml[] = "hub: w\n"
                                   "shutdown_timeout: " WORLD_SHORT "\n"
                                   "sockets:\n"
                                   "  probe: tcp://127.0.0.1:@port@\n"
                                   "children:\n"
                                   "  deaf:\n"
                                   "    exec: [@bin@/child_probe]\n"
                                   "    env: {PROBE_IGNORE: '1'}\n"
                                   "    shutdown: infinity\n"
                                   "  probe:\n"
                                   "    exec: [@bin@/child_probe]\n"
                                   "    sockets: [probe]\n"
                                   "    handover: true\n"
                                   "    state: blob\n";
        struct world *w = *state;
        int fd;

        world_start(w, yaml);
        fd = probe_dial(w);
        probe_expect(fd, "1", "count");
        (void)close(fd);
        world_stop(w);
        assert_true(world_log_has(w, "shutdown_timeout is over"));
        /* The one that behaves lost nothing by it. */
        world_start_again(w);
        fd = probe_dial(w);
        probe_expect(fd, "2", "count");
        (void)close(fd);
        world_end(w);
}

/* One that does not give its state: waited for no longer than the outer limit, and the state of the other one is written. */
static void SHUT_9_the_outer_limit_ends_the_wait_for_states(void **state)
{
        static const char yaml[] = "hub: w\n"
                                   "shutdown_timeout: " WORLD_SHORT "\n"
                                   "sockets:\n"
                                   "  probe: tcp://127.0.0.1:@port@\n"
                                   "defaults: {handover: true, state: blob, handover_data_wait: 1h, shutdown: 1h}\n"
                                   "children:\n"
                                   "  mute:\n"
                                   "    exec: [@bin@/child_probe]\n"
                                   "    env: {PROBE_FAIL: mute}\n"
                                   "  probe:\n"
                                   "    exec: [@bin@/child_probe]\n"
                                   "    sockets: [probe]\n";
        struct world *w = *state;
        int fd;

        world_start(w, yaml);
        fd = probe_dial(w);
        probe_expect(fd, "1", "count");
        (void)close(fd);
        world_stop(w);
        world_start_again(w);
        fd = probe_dial(w);
        probe_expect(fd, "2", "count");
        (void)close(fd);
        world_end(w);
}

#define SCENARIO(name) cmocka_unit_test_setup_teardown(name, world_setup, world_teardown)

int main(void)
{
        const struct CMUnitTest tests[] = {
                SCENARIO(HOT_14_children_migrate_in_parallel_within_the_bound),
                SCENARIO(HOT_6_one_that_hangs_takes_one_place_until_its_own_deadline),
                SCENARIO(HOT_6_a_child_that_waits_for_its_turn_has_no_deadline_that_runs),
                SCENARIO(a_request_is_carried_on_when_its_client_leaves),
                SCENARIO(a_stop_ends_a_request_that_has_children_waiting),
                SCENARIO(SHUT_9_the_outer_limit_ends_what_an_inner_one_would_wait_for),
                SCENARIO(SHUT_9_the_outer_limit_ends_the_wait_for_states),
        };

        return cmocka_run_group_tests_name("parallel", tests, NULL, NULL);
}
