/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Rollouts of a hub inside a program: the same as `baton upgrade` and `baton rollback` of a pool ask for (rolling.h), with the same options, and one outcome
 * at the end. The steps between are in the event stream.
 */
#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "supervisor/embed.h"

static_assert(BATON_HUB_UNSET == BT_CTL_ROLLOUT_DEFAULT, "handed on as it is");

void baton_hub_rollout_init(struct baton_hub_rollout *rollout, size_t bytes)
{
        const struct baton_hub_rollout unset = {
                .size = sizeof(unset),
                .strategy = BATON_HUB_AS_SPECIFIED,
                .canary = BATON_HUB_UNSET,
                .max_surge = BATON_HUB_UNSET,
                .max_unavailable = BATON_HUB_UNSET,
                .min_ready_ns = BATON_HUB_UNSET,
                .deadline_ns = BATON_HUB_UNSET,
                .health_timeout_ns = BATON_HUB_UNSET,
        };

        memset(rollout, 0, bytes);
        memcpy(rollout, &unset, bytes < sizeof(unset) ? bytes : sizeof(unset));
        rollout->size = bytes;
}

/* Its path, then its arguments, each with its NUL. False: it is longer than a request holds. */
static bool pack_health(struct bt_ctl_rollout *o, char *const *argv)
{
        size_t used = strlen(argv[0]) + 1;

        if (used > sizeof(o->health))
                return false;
        memcpy(o->health, argv[0], used);
        for (; argv[o->health_argc]; o->health_argc++) {
                size_t bytes = strlen(argv[o->health_argc]) + 1;

                if (bytes > sizeof(o->health) - used)
                        return false;
                memcpy(o->health + used, argv[o->health_argc], bytes);
                used += bytes;
        }
        return true;
}

static void on_event(struct bt_rolling_watcher *watcher, const struct bt_child *child, const char *phase, enum bt_ctl_outcome outcome,
                     uint64_t incarnation, const char *text)
{
        (void)watcher, (void)child, (void)phase, (void)outcome, (void)incarnation, (void)text;
}

static void on_over(struct bt_rolling_watcher *watcher, enum bt_ctl_outcome outcome, uint32_t on, uint32_t off, const char *text)
{
        int result = outcome == BT_CTL_OK ? 0 : outcome == BT_CTL_TIMED_OUT ? -ETIMEDOUT : -ECANCELED;

        bt_embed_call_over(bt_container_of(watcher, struct bt_embed_call, rolling), result, on, off, text);
}

static int refused(struct baton_hub *hub, const char *target, enum bt_ctl_outcome outcome, const char *why)
{
        (void)snprintf(hub->error, sizeof(hub->error), "%s: %s", target, why);
        return outcome == BT_CTL_NO_SUCH ? -ENOENT : outcome == BT_CTL_INVALID ? -EINVAL : -ECANCELED;
}

/* @binary: NULL goes back. */
static int roll(struct baton_hub *hub, const char *target, const struct baton_hub_rollout *rollout, struct bt_binary *binary,
                baton_hub_done_fn done, void *ctx)
{
        struct bt_ctl_rollout options = {
                .canary = rollout->canary,
                .max_surge = rollout->max_surge,
                .max_unavailable = rollout->max_unavailable,
                .min_ready_ns = rollout->min_ready_ns,
                .deadline_ns = rollout->deadline_ns,
                .health_timeout_ns = rollout->health_timeout_ns,
        };
        const struct bt_rolling_spec spec = {
                .target = target,
                .binary = binary,
                .strategy = rollout->strategy == BATON_HUB_AS_SPECIFIED ? BT_CTL_STRATEGY_SPEC : (uint32_t)rollout->strategy,
                .options = &options,
        };
        struct bt_embed_call *call;
        enum bt_ctl_outcome outcome;
        char why[512] = "";

        if (rollout->health && rollout->health[0] && !pack_health(&options, rollout->health))
                return refused(hub, target, BT_CTL_INVALID, "the health command is too long");
        call = bt_embed_call_new(hub, target, done, ctx);
        if (!call)
                return -ENOMEM;
        call->rolling.event = on_event;
        call->rolling.over = on_over;
        outcome = bt_rolling_begin(&hub->hub, &spec, &call->rolling, why, sizeof(why));
        if (outcome != BT_CTL_OK) {
                bt_embed_call_free(call);
                return refused(hub, target, outcome, why);
        }
        return bt_embed_settle(hub);
}

static bool may_roll(const struct baton_hub *hub, const char *target, const struct baton_hub_rollout *rollout)
{
        return hub->started && !hub->failed && !hub->hub.over && target && rollout->size >= sizeof(*rollout) &&
               (unsigned)rollout->strategy < _BATON_HUB_STRATEGY_N;
}

int baton_hub_roll_out(struct baton_hub *hub, const char *target, const struct baton_hub_rollout *rollout, baton_hub_done_fn done, void *ctx)
{
        struct bt_binary *binary = NULL;
        int r;

        if (!rollout || !may_roll(hub, target, rollout) || !rollout->exec == !rollout->ops || (rollout->exec && rollout->exec[0] != '/'))
                return -EINVAL;
        r = rollout->exec ? bt_embed_open_binary(&binary, hub, rollout->exec)
                          : bt_embed_open_function(&binary, hub, target, rollout->ops, rollout->main, rollout->ctx);
        if (r)
                return r;
        binary->upgrade = ++hub->hub.upgrades;
        r = roll(hub, target, rollout, binary, done, ctx);
        (void)bt_binary_unref(binary);
        return r;
}

int baton_hub_roll_back(struct baton_hub *hub, const char *target, const struct baton_hub_rollout *rollout, baton_hub_done_fn done, void *ctx)
{
        struct baton_hub_rollout unset;

        baton_hub_rollout_init(&unset, sizeof(unset));
        if (!rollout)
                rollout = &unset;
        if (!may_roll(hub, target, rollout))
                return -EINVAL;
        return roll(hub, target, rollout, NULL, done, ctx);
}
