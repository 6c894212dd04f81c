/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A group in a world that does what it likes: members that end at any moment, starts that fail, stops that take their time, people who stop and start
 * members and the group. Whatever happens
 *
 *      who is told to stop runs, nobody of a higher rank runs that is to be stopped too, and nobody is told twice;
 *      who is started does not run, and nobody of a lower rank is missing that the group has to start (but for one that waits alone);
 *      a temporary member that has ended, and one that is held or removed, is started by nobody but those who hold it or start the group;
 *      between two ends of the group there are never more than max_restarts within max_seconds;
 *      a group that says it is down, has failed or is shut has no member that runs;
 *      when the world does what it is asked and nothing else, the group comes to rest: up, or down;
 *      what it says about a restart that concerns nobody else is what it would do (bt_group_restarts_alone(), asked before a process is begun ahead).
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "supervisor/group/group.h"
#include "tests/support/seed.h"

#define MEMBERS_MAX 8

struct thing {
        bool runs; /* a process is there */
        bool serves;
        bool told; /* to end */
        bool held;
        bool finished; /* temporary, and has ended since the group was started */
};

struct play {
        struct seed seed;
        struct bt_group g;
        struct bt_group_member members[MEMBERS_MAX];
        struct thing things[MEMBERS_MAX];
        uint64_t now;
        uint64_t failures[4096]; /* since the group was started */
        uint32_t failure_count;
        bool down; /* as it says */
};

static void nobody_runs(const struct play *p)
{
        for (uint32_t i = 0; i < p->g.count; i++)
                assert_false(p->things[i].runs && !p->things[i].held);
}

static void on_start(struct play *p, uint32_t idx)
{
        struct thing *thing = &p->things[idx];

        assert_false(thing->runs || thing->held || thing->finished);
        for (uint32_t i = 0; i < idx && p->g.state == BT_GROUP_S_STARTING &&
                             p->g.config.strategy != BT_GROUP_ONE_FOR_ONE;
             i++) {
                if (p->members[i].rank < p->members[idx].rank &&
                    p->members[i].state == BT_GROUP_M_DOWN)
                        fail_msg("%u is started before %u", idx, i);
        }
        thing->runs = true;
        thing->serves = thing->told = false;
}

static void on_stop(struct play *p, uint32_t idx)
{
        assert_true(p->things[idx].runs && !p->things[idx].told);
        for (uint32_t i = idx + 1; i < p->g.count; i++)
                if (p->members[i].rank > p->members[idx].rank && p->things[i].runs &&
                    !p->things[i].held)
                        fail_msg("%u is stopped before %u", idx, i);
        p->things[idx].told = true;
}

static void perform(struct play *p)
{
        struct bt_group_act act;
        int bound = 0;

        while (bt_group_next(&p->g, p->now, &act)) {
                assert_true(bound++ < 100);
                if (act.action == BT_GROUP_ACT_START)
                        on_start(p, act.idx);
                else if (act.action == BT_GROUP_ACT_STOP)
                        on_stop(p, act.idx);
                else if (act.action != BT_GROUP_ACT_TELL_UP)
                        nobody_runs(p);
        }
}

/* Never more than it may: checked when one more restart is granted. */
static void failed(struct play *p, uint32_t idx, bool well)
{
        uint32_t before = p->g.restarted, within = 0;

        bt_group_event(&p->g, well ? BT_GROUP_EV_ENDED : BT_GROUP_EV_FAILED, idx,
                       seed_below(&p->seed, 3) * BT_NS_PER_MS, p->now);
        if (p->g.restarted == before || p->failure_count == 4096)
                return;
        p->failures[p->failure_count++] = p->now;
        for (uint32_t i = 0; i < p->failure_count; i++)
                within += p->now - p->failures[i] <= p->g.config.max_seconds_ns;
        if (within > p->g.config.max_restarts)
                assert_int_equal(p->g.after, BT_GROUP_S_FAILED);
        else
                assert_true(p->g.state != BT_GROUP_S_STOPPING || p->g.after == BT_GROUP_S_WAITING);
}

static void end(struct play *p, uint32_t idx)
{
        struct thing *thing = &p->things[idx];
        bool told = thing->told, held = thing->held;

        if (!thing->runs)
                return;
        thing->runs = thing->serves = thing->told = false;
        if (held)
                return;
        thing->finished =
                p->members[idx].restart == BT_GROUP_TEMPORARY && p->g.state != BT_GROUP_S_OFF;
        if (told && seed_below(&p->seed, 2))
                bt_group_event(&p->g, BT_GROUP_EV_STOPPED, idx, 0, p->now);
        else
                failed(p, idx, seed_below(&p->seed, 2));
        if (p->g.first && p->members[idx].state == BT_GROUP_M_DOWN)
                thing->finished = false; /* its first start failed: that is no end of its own */
}

static void serve(struct play *p, uint32_t idx)
{
        if (!p->things[idx].runs || p->things[idx].serves || p->things[idx].held)
                return;
        p->things[idx].serves = true;
        bt_group_event(&p->g, BT_GROUP_EV_RUNNING, idx, 0, p->now);
}

static void hold(struct play *p, uint32_t idx)
{
        if (p->things[idx].held || p->g.state != BT_GROUP_S_UP)
                return;
        p->things[idx].held = true;
        bt_group_event(&p->g, BT_GROUP_EV_HOLD, idx, 0, p->now);
}

static void unhold(struct play *p, uint32_t idx)
{
        struct thing *thing = &p->things[idx];

        if (!thing->held || thing->runs)
                return;
        if (p->g.state != BT_GROUP_S_UP) { /* the group starts it, in its turn */
                thing->held = thing->finished = false;
                bt_group_event(&p->g, BT_GROUP_EV_RELEASE, idx, 0, p->now);
                return;
        }
        *thing = (struct thing){.runs = true, .serves = true};
        bt_group_event(&p->g, BT_GROUP_EV_RUNNING, idx, 0, p->now);
}

static void group_start(struct play *p)
{
        bool off = p->g.state == BT_GROUP_S_OFF || p->g.state == BT_GROUP_S_FAILED ||
                   p->g.state == BT_GROUP_S_SHUT;

        bt_group_event(&p->g, BT_GROUP_EV_START, 0, 0, p->now);
        if (!off)
                return;
        p->failure_count = 0;
        for (uint32_t i = 0; i < p->g.count; i++)
                p->things[i].finished = false;
}

/* Tried out on a copy: is a permanent member that fails now the next to be started, with nobody stopped for it? */
static bool would_restart_alone(const struct play *p, uint32_t idx)
{
        struct bt_group_member members[MEMBERS_MAX];
        struct bt_group g = p->g;
        struct bt_group_act act;

        memcpy(members, p->members, sizeof(members));
        g.members = members;
        members[idx].restart = BT_GROUP_PERMANENT;
        bt_group_event(&g, BT_GROUP_EV_FAILED, idx, 0, p->now);
        while (bt_group_next(&g, p->now, &act)) {
                if (act.action == BT_GROUP_ACT_START && act.idx == idx)
                        return true;
                if (act.action == BT_GROUP_ACT_STOP)
                        return false;
                if (act.action == BT_GROUP_ACT_START && g.config.strategy != BT_GROUP_ONE_FOR_ONE &&
                    members[act.idx].rank < members[idx].rank)
                        return false;
        }
        return false;
}

static void alone_is_what_it_says(struct play *p, uint32_t idx)
{
        bool may = p->members[idx].state == BT_GROUP_M_UP &&
                   (p->g.state == BT_GROUP_S_UP || p->g.state == BT_GROUP_S_STARTING);

        if (bt_group_restarts_alone(&p->g, idx, p->now) != (may && would_restart_alone(p, idx)))
                fail_msg("of %u: strategy %u, state %s", idx, p->g.config.strategy,
                         bt_group_state_name(p->g.state));
}

static void step(struct play *p)
{
        uint32_t idx = (uint32_t)seed_below(&p->seed, p->g.count);

        p->now += seed_below(&p->seed, 3) * BT_NS_PER_MS;
        switch (seed_below(&p->seed, 20)) {
        case 0:
                group_start(p);
                break;
        case 1:
                if (!seed_below(&p->seed, 3))
                        bt_group_event(&p->g, BT_GROUP_EV_STOP, 0, 0, p->now);
                break;
        case 2:
                hold(p, idx);
                break;
        case 3:
                unhold(p, idx);
                break;
        case 4:
        case 5:
                end(p, idx);
                break;
        default:
                if (p->things[idx].told || p->things[idx].held)
                        end(p, idx);
                else
                        serve(p, idx);
                break;
        }
        perform(p);
        alone_is_what_it_says(p, idx);
}

/* Everybody does as they are told, and time goes on. */
static void rest(struct play *p)
{
        for (int turns = 0; turns < 200; turns++) {
                for (uint32_t i = 0; i < p->g.count; i++) {
                        if (p->things[i].told || p->things[i].held)
                                end(p, i);
                        else
                                serve(p, i);
                }
                p->now += 3 * BT_NS_PER_MS;
                perform(p);
        }
        assert_true(p->g.state == BT_GROUP_S_UP || p->g.state == BT_GROUP_S_OFF ||
                    p->g.state == BT_GROUP_S_FAILED || p->g.state == BT_GROUP_S_SHUT);
        assert_int_equal(bt_group_due(&p->g), BT_NS_NEVER);
        for (uint32_t i = 0; i < p->g.count && p->g.state == BT_GROUP_S_UP; i++)
                assert_true(p->things[i].serves || p->things[i].held ||
                            p->members[i].state == BT_GROUP_M_ENDED);
}

static void play_begin(struct play *p, struct seed *seed)
{
        struct bt_group_config config = {.strategy = (enum bt_group_strategy)seed_below(seed, 3),
                                         .auto_shutdown = (enum bt_group_auto)seed_below(seed, 3),
                                         .max_restarts = (uint32_t)seed_below(seed, 6),
                                         .max_seconds_ns = 20 * BT_NS_PER_MS};
        uint32_t count = 1 + (uint32_t)seed_below(seed, MEMBERS_MAX);

        memset(p, 0, sizeof(*p));
        p->seed.state = seed_next(seed);
        p->now = BT_NS_PER_S;
        for (uint32_t i = 0; i < count; i++) {
                p->members[i].restart = (enum bt_group_restart)(
                        seed_below(seed, 5) ? BT_GROUP_PERMANENT : seed_below(seed, 3));
                p->members[i].significant = seed_below(seed, 2);
                p->members[i].rank =
                        i ? p->members[i - 1].rank + (uint32_t)(seed_below(seed, 3) != 0) : 0;
        }
        bt_group_init(&p->g, &config, p->members, count);
}

static void a_group_keeps_its_order_and_its_limits_in_any_world(void **state)
{
        struct seed seed = seed_new();
        uint64_t rounds = seed_rounds(3000);

        (void)state;
        for (uint64_t round = 0; round < rounds; round++) {
                struct play p;

                play_begin(&p, &seed);
                group_start(&p);
                perform(&p);
                for (int i = 0; i < 200; i++)
                        step(&p);
                rest(&p);
        }
}

/* What the strategies mean, said once more: who is stopped for whom in a group that runs. */
static void who_is_stopped_for_whom_is_what_the_strategy_says(void **state)
{
        struct seed seed = seed_new();

        (void)state;
        for (uint64_t round = 0; round < seed_rounds(2000); round++) {
                bool expected[MEMBERS_MAX] = {false}, stopped[MEMBERS_MAX] = {false};
                struct bt_group_act act;
                struct play p;
                uint32_t who;

                play_begin(&p, &seed);
                p.g.config.max_restarts = UINT32_MAX;
                for (uint32_t i = 0; i < p.g.count; i++)
                        p.members[i].restart = BT_GROUP_PERMANENT;
                group_start(&p);
                rest(&p);
                who = (uint32_t)seed_below(&p.seed, p.g.count);
                for (uint32_t i = 0; i < p.g.count; i++)
                        expected[i] = i != who && (p.g.config.strategy == BT_GROUP_ONE_FOR_ALL ||
                                                   (p.g.config.strategy == BT_GROUP_REST_FOR_ONE &&
                                                    p.members[i].rank > p.members[who].rank));
                bt_group_event(&p.g, BT_GROUP_EV_FAILED, who, 0, p.now);
                while (bt_group_next(&p.g, p.now, &act)) {
                        if (act.action == BT_GROUP_ACT_START)
                                break;
                        if (act.action != BT_GROUP_ACT_STOP)
                                continue;
                        stopped[act.idx] = true;
                        bt_group_event(&p.g, BT_GROUP_EV_STOPPED, act.idx, 0, p.now);
                }
                assert_memory_equal(stopped, expected, sizeof(stopped));
        }
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(a_group_keeps_its_order_and_its_limits_in_any_world),
                cmocka_unit_test(who_is_stopped_for_whom_is_what_the_strategy_says),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
