/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A rollout in a world that does what it likes: swaps that succeed, fail, leave nobody, or cannot begin; processes that end and come
 * back; health commands that say anything; somebody who wants it back. Whatever happens
 *
 *      it ends, and by then every child is on the new program, or every one on the old, or those that are not are LEFT;
 *      what the machine thinks a child runs is what the world gave it;
 *      on the way forward it never takes a child from service beyond max_unavailable, and never has more hot swaps under way than max_surge;
 *      while a canary is not proved, no other child is touched;
 *      a child that is not proved at the first failure is never swapped to the new program after it.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <string.h>

#include "base/clock.h"
#include "supervisor/rollout/rollout.h"
#include "tests/support/seed.h"

#define ITEMS_MAX 12

struct world_child {
        bool runs_new;
        bool serves;
        bool to_new;   /* of the swap under way */
        bool swapping;
        bool cold;     /* the swap under way keeps it from serving */
        bool checking;
};

struct play {
        struct seed seed;
        struct bt_rollout r;
        struct bt_rollout_item items[ITEMS_MAX];
        struct world_child world[ITEMS_MAX];
        uint64_t now;
        uint32_t trouble; /* of 100: how often a swap goes wrong */
        bool finished;
        bool turned;      /* the way back was seen */
};

static uint32_t unavailable(const struct play *p, uint32_t except)
{
        uint32_t count = 0;

        for (uint32_t i = 0; i < p->r.count; i++)
                count += i != except && (!p->world[i].serves || (p->world[i].swapping && p->world[i].cold));
        return count;
}

static uint32_t surging(const struct play *p)
{
        uint32_t count = 0;

        for (uint32_t i = 0; i < p->r.count; i++)
                count += p->world[i].swapping && !p->world[i].cold;
        return count;
}

/* A swap begins: was it allowed to? */
static void on_swap(struct play *p, uint32_t idx, bool to_new, bool cold)
{
        struct world_child *c = &p->world[idx];
        const struct bt_rollout_config *config = &p->r.config;

        assert_false(c->swapping);
        if (to_new) {
                uint32_t begun = 0, proved = bt_rollout_count(&p->r, BT_ROLLOUT_S_PROVED);

                assert_false(p->turned);
                assert_false(c->runs_new);
                for (uint32_t i = 0; i < p->r.count; i++)
                        begun += i != idx && p->items[i].state != BT_ROLLOUT_S_WAITING;
                if (proved < config->canary)
                        assert_true(begun < config->canary);
                if (!cold && c->serves)
                        assert_true(surging(p) < config->max_surge && unavailable(p, idx) <= config->max_unavailable);
                else if (c->serves)
                        assert_true(unavailable(p, idx) < config->max_unavailable);
        } else {
                assert_true(c->runs_new);
        }
        c->swapping = true;
        c->to_new = to_new;
        c->cold = cold || !c->serves;
}

static void event(struct play *p, enum bt_rollout_event ev, uint32_t idx)
{
        bt_rollout_event(&p->r, ev, idx, p->now);
}

static void swap_ends(struct play *p, uint32_t idx, uint32_t dice)
{
        struct world_child *c = &p->world[idx];

        c->swapping = false;
        if (dice >= p->trouble) {
                c->runs_new = c->to_new;
                c->serves = true;
                event(p, BT_ROLLOUT_EV_COMMITTED, idx);
        } else if (dice % 3 == 0) {
                event(p, BT_ROLLOUT_EV_BUSY, idx);
        } else if (c->cold && dice % 3 == 1) {
                c->serves = false;
                event(p, BT_ROLLOUT_EV_DOWN, idx);
        } else if (c->serves) {
                event(p, BT_ROLLOUT_EV_FAILED, idx);
        } else {
                event(p, BT_ROLLOUT_EV_DOWN, idx);
        }
}

static void perform(struct play *p)
{
        struct bt_rollout_act act;

        while (bt_rollout_next(&p->r, p->now, &act)) {
                switch (act.action) {
                case BT_ROLLOUT_ACT_SWAP:
                case BT_ROLLOUT_ACT_SWAP_BACK:
                case BT_ROLLOUT_ACT_SWAP_BACK_COLD:
                        on_swap(p, act.idx, act.action == BT_ROLLOUT_ACT_SWAP,
                                !p->items[act.idx].hot || act.action == BT_ROLLOUT_ACT_SWAP_BACK_COLD);
                        if (seed_below(&p->seed, 8) == 0) /* over before it began */
                                swap_ends(p, act.idx, (uint32_t)seed_below(&p->seed, 100));
                        break;
                case BT_ROLLOUT_ACT_CHECK:
                        assert_true(p->r.config.health);
                        p->world[act.idx].checking = true;
                        break;
                case BT_ROLLOUT_ACT_FINISH:
                        assert_false(p->finished);
                        p->finished = true;
                        break;
                default:
                        break;
                }
                p->turned |= p->r.phase == BT_ROLLOUT_BACK;
        }
        p->turned |= p->r.phase == BT_ROLLOUT_BACK;
}

/* Something happens to one child, if it can. */
static void nature(struct play *p)
{
        uint32_t idx = (uint32_t)seed_below(&p->seed, p->r.count);
        struct world_child *c = &p->world[idx];
        uint32_t dice = (uint32_t)seed_below(&p->seed, 100);

        if (c->swapping) {
                swap_ends(p, idx, (uint32_t)seed_below(&p->seed, 100));
        } else if (c->checking) {
                c->checking = false;
                event(p, dice < p->trouble / 2 ? BT_ROLLOUT_EV_UNHEALTHY : BT_ROLLOUT_EV_HEALTHY, idx);
        } else if (!c->serves) {
                c->serves = dice < 60;
                if (c->serves)
                        event(p, BT_ROLLOUT_EV_SERVES, idx);
        } else if (dice < p->trouble / 4) {
                c->serves = false;
                event(p, BT_ROLLOUT_EV_DIED, idx);
        } else if (dice == 99 && seed_below(&p->seed, 20) == 0) {
                bt_rollout_abort(&p->r, p->now);
        }
}

static void play_begin(struct play *p)
{
        struct bt_rollout_config config = {
                .canary = (uint32_t)seed_below(&p->seed, 4),
                .max_surge = 1 + (uint32_t)seed_below(&p->seed, 4),
                .max_unavailable = 1 + (uint32_t)seed_below(&p->seed, 4),
                .min_ready_ns = seed_below(&p->seed, 3) * BT_NS_PER_S,
                .deadline_ns = seed_below(&p->seed, 2) ? 20 * BT_NS_PER_S : BT_NS_NEVER,
                .health = seed_below(&p->seed, 2),
        };
        uint32_t count = 1 + (uint32_t)seed_below(&p->seed, ITEMS_MAX);

        memset(p->world, 0, sizeof(p->world));
        p->now = 1;
        p->finished = p->turned = false;
        p->trouble = (uint32_t)seed_below(&p->seed, 4) * 10;
        for (uint32_t i = 0; i < count; i++) {
                p->items[i] = (struct bt_rollout_item){.hot = seed_below(&p->seed, 2), .serves = seed_below(&p->seed, 8) != 0};
                p->world[i].serves = p->items[i].serves;
        }
        bt_rollout_init(&p->r, &config, p->items, count, p->now);
}

static void play_check_end(const struct play *p)
{
        for (uint32_t i = 0; i < p->r.count; i++) {
                enum bt_rollout_state state = p->items[i].state;

                switch (p->r.outcome) {
                case BT_ROLLOUT_ALL_NEW:
                        assert_int_equal(state, BT_ROLLOUT_S_PROVED);
                        break;
                case BT_ROLLOUT_ALL_OLD:
                        assert_int_equal(state, BT_ROLLOUT_S_OLD);
                        break;
                default:
                        assert_true(state == BT_ROLLOUT_S_OLD || state == BT_ROLLOUT_S_LEFT);
                        break;
                }
                assert_int_equal(p->world[i].runs_new, state != BT_ROLLOUT_S_OLD);
                assert_false(p->world[i].swapping);
        }
        assert_int_equal(p->r.why == BT_ROLLOUT_WHY_NONE, p->r.outcome == BT_ROLLOUT_ALL_NEW);
        assert_int_equal(p->r.outcome == BT_ROLLOUT_MIXED, bt_rollout_count(&p->r, BT_ROLLOUT_S_LEFT) > 0);
}

static void whatever_happens_a_rollout_ends_all_new_or_all_old_or_says_what_is_left(void **state)
{
        struct play p = {.seed = seed_new()};
        uint32_t outcomes[4] = {0};

        (void)state;
        for (uint64_t round = 0; round < seed_rounds(20000); round++) {
                uint32_t steps = 0;

                play_begin(&p);
                perform(&p);
                while (!p.finished) {
                        uint64_t due = bt_rollout_due(&p.r);

                        p.now += seed_below(&p.seed, BT_NS_PER_S);
                        nature(&p);
                        if (due <= p.now)
                                bt_rollout_time(&p.r, p.now);
                        perform(&p);
                        /* Trouble ends some day: a world without an end to it need not end. */
                        if (++steps == 2000)
                                p.trouble = 0;
                        assert_true(steps < 20000);
                }
                play_check_end(&p);
                outcomes[p.r.outcome]++;
        }
        print_message("all new %u, all old %u, some left %u\n", outcomes[0], outcomes[1], outcomes[2]);
        assert_true(outcomes[0] && outcomes[1] && outcomes[2]);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(whatever_happens_a_rollout_ends_all_new_or_all_old_or_says_what_is_left),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
