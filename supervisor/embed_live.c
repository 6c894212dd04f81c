/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Children that come, go, stop and start while a hub inside a program runs: the requests of live.h, asked from here.
 *
 *      baton_hub_child_add()  ──► bt_planner ──► fragment (memfd) ──► bt_live_add()        as the command does it
 *
 * A function is not added this way. What is added is noted for the next hub, and a note can name a program and not a place in this one; a child that is
 * there or not after a restart, depending on what it runs, would be two kinds of child.
 */
#include "supervisor/embed.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/fd.h"
#include "supervisor/groups.h"

static bool runs(const struct baton_hub *hub)
{
        return hub->started && !hub->failed && !hub->hub.stopping && !hub->hub.over;
}

static void on_live(struct bt_live_waiter *waiter, const struct bt_live *live)
{
        struct bt_embed_call *call = bt_container_of(waiter, struct bt_embed_call, live);
        char text[320] = "";

        for (uint32_t i = 0; i < live->count && !*text; i++) {
                const struct bt_ctl_result *result = &live->items[i].result;

                if (result->what != BT_CTL_STARTED && result->what != BT_CTL_REMOVED && result->what != BT_CTL_STOPPED)
                        (void)snprintf(text, sizeof(text), "%s: %s", result->child, result->text);
        }
        bt_embed_call_over(call, bt_live_outcome(live) == BT_CTL_OK ? 0 : -ECANCELED, live->ok, live->count - live->ok, text);
}

/* From here on @call is the request's. */
static int wait_for(struct baton_hub *hub, struct bt_embed_call *call, struct bt_live *live)
{
        call->live.over = on_live;
        bt_live_wait(live, &call->live);
        return bt_embed_settle(hub);
}

/* ---- add ---- */

/* A fragment of that child alone. 0 or -errno, said in @hub->error. */
static int plan_child(struct baton_hub *hub, const struct baton_hub_child *child, struct bt_plan_ref **ret_plan)
{
        BT_CLEANUP(bt_planner_deinit) struct bt_planner planner = {0};
        BT_CLEANUP(bt_closep) int fd = -1;
        const char *error = NULL;
        int r = 0;

        for (size_t i = 0; !r && i < child->socket_count; i++)
                r = bt_planner_name_socket(&planner, child->sockets[i]);
        if (r == -EINVAL)
                (void)snprintf(hub->error, sizeof(hub->error), "%s: the name of a socket is not a name, or there are too many", child->id);
        if (!r)
                r = bt_planner_add_child(&planner, child, hub->error, sizeof(hub->error));
        if (!r)
                r = bt_planner_seal(&planner, NULL, NULL, NULL, &fd);
        if (r)
                return r;
        r = bt_plan_load(ret_plan, fd, &error);
        if (r)
                (void)snprintf(hub->error, sizeof(hub->error), "%s: %s", child->id, error ? error : strerrordesc_np(-r));
        return r;
}

int baton_hub_child_add(struct baton_hub *hub, const struct baton_hub_child *child, uint64_t deadline_ns, baton_hub_done_fn done, void *ctx)
{
        struct bt_plan_ref *plan = NULL;
        struct bt_live *live = NULL;
        struct bt_embed_call *call;
        int r;

        if (!child || child->size < sizeof(*child) || !child->id || deadline_ns > BT_PLAN_NS_MAX)
                return -EINVAL;
        if (!runs(hub))
                return -EBUSY;
        if (!child->exec) {
                (void)snprintf(hub->error, sizeof(hub->error), "%s: a function can be added before the start only", child->id);
                return -ENOTSUP;
        }
        r = plan_child(hub, child, &plan);
        call = r ? NULL : bt_embed_call_new(hub, child->id, done, ctx);
        if (!r && !call)
                r = -ENOMEM;
        if (!r)
                r = bt_live_add(&hub->hub, plan, deadline_ns, 0, &live, hub->error, sizeof(hub->error));
        (void)bt_plan_unref(plan);
        if (!r)
                return wait_for(hub, call, live);
        if (call)
                bt_embed_call_free(call);
        return r;
}

/* ---- those that are there ---- */

struct wish {
        enum bt_live_verb verb;
        uint64_t deadline_ns;
        bool drop_state;
};

static int ask(struct baton_hub *hub, const char *target, const struct wish *wish, baton_hub_done_fn done, void *ctx)
{
        struct bt_ctl_select select = {0};
        struct bt_live *live;
        struct bt_embed_call *call;

        if (!target || !*target || strlen(target) >= sizeof(select.id) || wish->deadline_ns > BT_PLAN_NS_MAX)
                return -EINVAL;
        if (!runs(hub))
                return -EBUSY;
        memcpy(select.id, target, strlen(target) + 1);
        if (!bt_live_any(&hub->hub, &select) && (wish->verb < BT_LIVE_STOP || !bt_groups_find(&hub->hub, target))) {
                (void)snprintf(hub->error, sizeof(hub->error), "%s: no such child%s", target, wish->verb < BT_LIVE_STOP ? "" : " or group");
                return -ENOENT;
        }
        call = bt_embed_call_new(hub, target, done, ctx);
        live = call ? bt_live_remove(&hub->hub, wish->verb, &select) : NULL;
        if (!live) {
                if (call)
                        bt_embed_call_free(call);
                return -ENOMEM;
        }
        live->deadline_ns = wish->deadline_ns;
        live->drop_state = wish->drop_state;
        bt_live_begin(live);
        return wait_for(hub, call, live);
}

int baton_hub_child_remove(struct baton_hub *hub, const char *target, uint32_t flags, baton_hub_done_fn done, void *ctx)
{
        const struct wish wish = {.verb = BT_LIVE_REMOVE, .drop_state = flags & BATON_HUB_DROP_STATE};

        return flags & ~BATON_HUB_DROP_STATE ? -EINVAL : ask(hub, target, &wish, done, ctx);
}

int baton_hub_child_stop(struct baton_hub *hub, const char *target, uint64_t deadline_ns, baton_hub_done_fn done, void *ctx)
{
        return ask(hub, target, &(struct wish){.verb = BT_LIVE_STOP, .deadline_ns = deadline_ns}, done, ctx);
}

int baton_hub_child_start(struct baton_hub *hub, const char *target, uint64_t deadline_ns, baton_hub_done_fn done, void *ctx)
{
        return ask(hub, target, &(struct wish){.verb = BT_LIVE_START, .deadline_ns = deadline_ns}, done, ctx);
}

int baton_hub_child_restart(struct baton_hub *hub, const char *target, uint64_t deadline_ns, baton_hub_done_fn done, void *ctx)
{
        return ask(hub, target, &(struct wish){.verb = BT_LIVE_RESTART, .deadline_ns = deadline_ns}, done, ctx);
}
