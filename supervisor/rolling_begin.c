/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The beginning of a rollout: which children, from what to what, and whether it can be done at all. All is checked before anything is
 * changed.
 *
 * "The last upgrade" of a pool is the upgrade with the highest number among the programs its children run (bt_binary.upgrade): children
 * that an upgrade did not reach, or that came back from it, run programs of lower numbers and are not touched by a rollback of it.
 */
#include "supervisor/rolling_internal.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "supervisor/events.h"
#include "supervisor/request.h"

#define MIN_READY_NS BT_NS_PER_S
#define DEADLINE_NS (600 * BT_NS_PER_S)
#define HEALTH_TIMEOUT_NS (10 * BT_NS_PER_S)

/* ---- what was asked for ---- */

static uint64_t or_default(uint64_t value, uint64_t otherwise)
{
        return value == BT_CTL_ROLLOUT_DEFAULT ? otherwise : value;
}

/* A quarter of the pool, rounded up, within max_parallel. */
static uint32_t quarter(const struct bt_hub *hub, uint32_t count)
{
        uint32_t limit = hub->plan.plan->max_parallel ? hub->plan.plan->max_parallel : BT_PLAN_PARALLEL_DEFAULT;
        uint32_t seats = (count + 3) / 4;

        return seats < limit ? seats : limit;
}

static uint32_t at_most(uint64_t value)
{
        return value < UINT32_MAX ? (uint32_t)value : UINT32_MAX;
}

/* A rollback has no canary and does not wait by itself: what it goes to has been running. */
static struct bt_rollout_config config_of(const struct bt_hub *hub, const struct bt_ctl_rollout *o, uint32_t count, bool is_rollback)
{
        return (struct bt_rollout_config){
                .canary = at_most(or_default(o->canary, !is_rollback && count > 1)),
                .max_surge = at_most(or_default(o->max_surge, quarter(hub, count))),
                .max_unavailable = at_most(or_default(o->max_unavailable, quarter(hub, count))),
                .min_ready_ns = or_default(o->min_ready_ns, is_rollback ? 0 : MIN_READY_NS),
                .deadline_ns = or_default(o->deadline_ns, DEADLINE_NS),
                .health = o->health_argc != 0,
        };
}

/* The request is fixed bytes from a client: @health has to hold as many strings as it says, one more for the path. */
static bool health_valid(const struct bt_ctl_rollout *o)
{
        const char *at = o->health, *end = o->health + sizeof(o->health);

        if (o->health_argc >= sizeof(o->health) || (o->health_argc && o->health[0] != '/'))
                return false;
        for (uint32_t i = 0; o->health_argc && i <= o->health_argc; i++) {
                const char *nul = memchr(at, 0, (size_t)(end - at));

                if (!nul)
                        return false;
                at = nul + 1;
        }
        return true;
}

/* ---- which children ---- */

/* Of the last upgrade of @target; 0: of none. */
static uint64_t last_upgrade(struct bt_hub *hub, const char *target)
{
        uint64_t last = 0;

        bt_hub_foreach_child (child, hub) {
                if (bt_request_matches(child, target) && child->binary->upgrade > last)
                        last = child->binary->upgrade;
        }
        return last;
}

static bool takes_part(const struct bt_child *child, const struct bt_rolling_spec *spec, uint64_t upgrade)
{
        return bt_request_matches(child, spec->target) && (spec->binary || (upgrade && child->binary->upgrade == upgrade && child->previous));
}

static enum bt_ctl_outcome refuse(enum bt_ctl_outcome outcome, char *ret_why, size_t why_bytes, const char *id, const char *text)
{
        (void)snprintf(ret_why, why_bytes, "%s%s%s", id, *id ? " " : "", text);
        return outcome;
}

static enum bt_ctl_outcome count_children(struct bt_hub *hub, const struct bt_rolling_spec *spec, uint64_t upgrade, uint32_t *ret_count,
                                          char *ret_why, size_t why_bytes)
{
        uint32_t matches = 0, count = 0;

        bt_hub_foreach_child (child, hub) {
                if (!bt_request_matches(child, spec->target))
                        continue;
                matches++;
                if (!takes_part(child, spec, upgrade))
                        continue;
                count++;
                if (child->rolling)
                        return refuse(BT_CTL_FAILED, ret_why, why_bytes, child->id,
                                      "is in an upgrade that is under way: wait for its end, or take it back with 'baton rollback'");
                if (child->item)
                        return refuse(BT_CTL_FAILED, ret_why, why_bytes, child->id, "is being added or removed: try again when that is over");
                if (child->migration)
                        return refuse(BT_CTL_FAILED, ret_why, why_bytes, child->id, "is being swapped: try again when that is over");
        }
        if (!matches)
                return refuse(BT_CTL_NO_SUCH, ret_why, why_bytes, "", "no such child");
        if (!count)
                return refuse(BT_CTL_FAILED, ret_why, why_bytes, "",
                              "there is nothing to go back to: no upgrade was committed since the hub was started, or it was rolled back already");
        *ret_count = count;
        return BT_CTL_OK;
}

/* ---- one rollout ---- */

void bt_rolling_free(struct bt_rolling *r)
{
        for (uint32_t i = 0; i < r->machine.count; i++) {
                struct bt_rolling_child *c = &r->children[i];

                bt_list_unlink(&c->waiter.node);
                bt_errand_end(&c->check); /* tells the machine, which is over */
                c->child->rolling = NULL;
                free(c->text);
                (void)bt_binary_unref(c->to);
                (void)bt_binary_unref(c->back);
                (void)bt_binary_unref(c->older);
                (void)bt_binary_unref(c->own);
        }
        bt_loop_timer_disarm(&r->timer);
        bt_list_unlink(&r->node);
        free(r->items);
        free(r);
}

static void child_fill(struct bt_rolling *r, struct bt_child *child, const struct bt_rolling_spec *spec)
{
        struct bt_rolling_child *c = &r->children[r->machine.count];
        uint32_t strategy = spec->strategy == BT_CTL_STRATEGY_SPEC ? child->spec->strategy : spec->strategy;

        c->rolling = r;
        c->child = child;
        c->to = bt_binary_ref(spec->binary ? spec->binary : child->previous);
        c->back = bt_binary_ref(child->binary);
        c->older = child->previous ? bt_binary_ref(child->previous) : NULL;
        c->own = bt_binary_ref(child->own);
        c->waiter.event = bt_rolling_on_event;
        c->waiter.over = bt_rolling_on_over;
        bt_list_init(&c->waiter.node);
        r->items[r->machine.count].hot = strategy == BT_STRATEGY_HOT;
        r->items[r->machine.count].serves = child->current && child->phase == BT_PHASE_RUNNING;
        r->machine.count++;
        child->rolling = r;
}

static struct bt_rolling *rolling_new(struct bt_hub *hub, const struct bt_rolling_spec *spec, uint32_t count, uint64_t upgrade)
{
        struct bt_rolling *r = calloc(1, sizeof(*r) + count * sizeof(r->children[0]));

        if (!r)
                return NULL;
        r->items = calloc(count, sizeof(*r->items));
        if (!r->items) {
                free(r);
                return NULL;
        }
        r->hub = hub;
        bt_list_init(&r->watchers);
        bt_list_init(&r->node);
        (void)snprintf(r->target, sizeof(r->target), "%s", spec->target);
        r->strategy = spec->strategy;
        r->is_rollback = !spec->binary;
        memcpy(r->health, spec->options->health, sizeof(r->health));
        r->health_argc = spec->options->health_argc;
        r->health_timeout_ns = or_default(spec->options->health_timeout_ns, HEALTH_TIMEOUT_NS);
        bt_hub_foreach_child (child, hub) {
                if (takes_part(child, spec, upgrade))
                        child_fill(r, child, spec);
        }
        return r;
}

/* A rollback of what is under way: it turns around. NULL: nothing is, or it is a rollback itself. */
static struct bt_rolling *under_way(struct bt_hub *hub, const struct bt_rolling_spec *spec)
{
        bt_hub_foreach_child (child, hub) {
                if (!spec->binary && bt_request_matches(child, spec->target) && child->rolling && !child->rolling->is_rollback)
                        return child->rolling;
        }
        return NULL;
}

/* Swaps that are under way when a deadline is over end within deadlines of their own, which are shorter than this by far. */
#define SWAP_LIMIT_NS (120 * BT_NS_PER_S)

static void watch(struct bt_rolling *r, struct bt_rolling_watcher *watcher)
{
        uint64_t deadline = r->machine.config.deadline_ns;
        char text[64];

        if (!watcher)
                return;
        bt_list_push(&r->watchers, &watcher->node);
        watcher->limit_ns = bt_ns_add(bt_ns_add(deadline, deadline), SWAP_LIMIT_NS);
        (void)snprintf(text, sizeof(text), "%u children", r->machine.count);
        watcher->event(watcher, NULL, "begun", BT_CTL_OK, 0, text);
}

enum bt_ctl_outcome bt_rolling_begin(struct bt_hub *hub, const struct bt_rolling_spec *spec, struct bt_rolling_watcher *watcher, char *ret_why,
                                     size_t why_bytes)
{
        struct bt_rolling *r = under_way(hub, spec);
        uint64_t upgrade = last_upgrade(hub, spec->target);
        struct bt_rollout_config config;
        enum bt_ctl_outcome outcome;
        uint32_t count = 0;
        const char *why;

        if (hub->stopping)
                return refuse(BT_CTL_FAILED, ret_why, why_bytes, "", "the hub is stopping");
        if (!health_valid(spec->options))
                return refuse(BT_CTL_INVALID, ret_why, why_bytes, "", "the health command is not absolute, or longer than a request holds");
        if (r) {
                if (watcher)
                        watcher->wants_back = true;
                watch(r, watcher);
                bt_rollout_abort(&r->machine, bt_now_ns());
                bt_rolling_soon(r);
                return BT_CTL_OK;
        }
        outcome = count_children(hub, spec, upgrade, &count, ret_why, why_bytes);
        if (outcome != BT_CTL_OK)
                return outcome;
        r = rolling_new(hub, spec, count, upgrade);
        if (!r)
                return refuse(BT_CTL_FAILED, ret_why, why_bytes, "", "out of memory");
        config = config_of(hub, spec->options, count, r->is_rollback);
        why = bt_rollout_refusal(&config, r->items, count);
        if (why) {
                bt_rolling_free(r);
                return refuse(BT_CTL_INVALID, ret_why, why_bytes, "", why);
        }
        bt_rollout_init(&r->machine, &config, r->items, count, bt_now_ns());
        bt_list_push(&hub->rollings, &r->node);
        watch(r, watcher);
        bt_event(hub, BT_EVENT_ROLLOUT_BEGUN, NULL, 0, "%s: %u children to %s", r->target, count, r->children[0].to->path);
        bt_rolling_soon(r);
        return BT_CTL_OK;
}

void bt_rolling_abandon(struct bt_rolling_watcher *watcher)
{
        if (watcher->node.next)
                bt_list_unlink(&watcher->node);
}
