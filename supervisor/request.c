/* SPDX-License-Identifier: Apache-2.0 */
/*
 * See the header. The one difficulty is that a migration may end while it is being begun (its process cannot be started), which would begin the next
 * one from inside, and so on for as many as there are. So beginning is a loop, and an end that happens inside of it only counts.
 */
#include "supervisor/request.h"

#include "supervisor/replicas.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"

static void request_free(struct bt_request *request)
{
        for (uint32_t i = 0; i < request->count; i++)
                bt_list_unlink(&request->items[i].waiter.node);
        bt_list_unlink(&request->node);
        (void)bt_binary_unref(request->binary);
        free(request);
}

static void item_over(struct bt_request_item *item, enum bt_ctl_outcome outcome, const char *phase, uint64_t incarnation, const char *text)
{
        struct bt_request *request = item->request;

        (void)snprintf(request->child, sizeof(request->child), "%s", item->child->id);
        if (outcome == BT_CTL_OK) {
                request->ok++;
        } else {
                request->outcome = !request->failed || request->outcome == outcome ? outcome : BT_CTL_FAILED;
                request->failed++;
                (void)snprintf(request->text, sizeof(request->text), "%s", text);
        }
        if (request->owner)
                request->owner->event(request->ctx, item->child, phase, outcome, incarnation, true, text);
}

static void request_pump(struct bt_request *request)
{
        if (request->pumping)
                return;
        request->pumping = true;
        while (request->next < request->count && request->under_way < request->limit) {
                struct bt_request_item *item = &request->items[request->next++];
                enum bt_ctl_outcome outcome;
                char why[512] = "";

                if (!item->child)
                        continue;
                request->under_way++;
                outcome = bt_migrate(item->child, request->binary, NULL, request->strategy, &item->waiter, why, sizeof(why));
                if (outcome != BT_CTL_OK) {
                        request->under_way--;
                        item_over(item, outcome, "refused", 0, why);
                }
        }
        request->pumping = false;
        if (request->under_way)
                return;
        bt_assert(request->next == request->count);
        if (request->owner)
                request->owner->over(request->ctx, request);
        request_free(request);
}

static void on_event(struct bt_waiter *waiter, const struct bt_migration *m, const char *phase, uint64_t incarnation, const char *text)
{
        const struct bt_request *request = bt_container_of(waiter, struct bt_request_item, waiter)->request;

        if (request->owner)
                request->owner->event(request->ctx, m->child, phase, BT_CTL_OK, incarnation, false, text);
}

static void on_over(struct bt_waiter *waiter, const struct bt_migration *m, enum bt_ctl_outcome outcome, const char *phase,
                    uint64_t incarnation, const char *text)
{
        struct bt_request_item *item = bt_container_of(waiter, struct bt_request_item, waiter);

        (void)m;
        item_over(item, outcome, phase, incarnation, text);
        item->request->under_way--;
        request_pump(item->request);
}

bool bt_request_matches(const struct bt_child *child, const char *target)
{
        return !strcmp(child->id, target) || !strcmp(child->pool, target) || (child->replicas && !strcmp(child->replicas->id, target));
}

static void request_fill(struct bt_request *request, const char *target)
{
        struct bt_hub *hub = request->hub;

        bt_hub_foreach_child (child, hub) {
                struct bt_request_item *item = &request->items[request->count];

                if (!bt_request_matches(child, target))
                        continue;
                request->count++;
                item->request = request;
                item->child = child;
                item->waiter.event = on_event;
                item->waiter.over = on_over;
                bt_list_init(&item->waiter.node);
        }
}

enum bt_ctl_outcome bt_request_begin(struct bt_hub *hub, const char *target, struct bt_binary *binary, uint32_t strategy,
                                     const struct bt_request_owner *owner, void *ctx, struct bt_request **ret_request, const char **ret_why)
{
        struct bt_request *request;
        uint32_t matches = 0;

        bt_hub_foreach_child (child, hub)
                matches += bt_request_matches(child, target);
        if (!matches) {
                *ret_why = "no such child";
                return BT_CTL_NO_SUCH;
        }
        request = calloc(1, sizeof(*request) + matches * sizeof(request->items[0]));
        if (!request) {
                *ret_why = "out of memory";
                return BT_CTL_FAILED;
        }
        request->hub = hub;
        request->owner = owner;
        request->ctx = ctx;
        request->binary = binary ? bt_binary_ref(binary) : NULL;
        request->strategy = strategy;
        request->limit = hub->plan.plan->max_parallel ? hub->plan.plan->max_parallel : BT_PLAN_PARALLEL_DEFAULT;
        request_fill(request, target);
        bt_list_push(&hub->requests, &request->node);
        *ret_request = request; /* before it begins: it may be over at once */
        request_pump(request);
        return BT_CTL_OK;
}

void bt_request_abandon(struct bt_request *request)
{
        if (request)
                request->owner = NULL;
}

void bt_request_forget(struct bt_hub *hub, const struct bt_child *child)
{
        bt_list_foreach (it, &hub->requests) {
                struct bt_request *request = bt_list_entry(it, struct bt_request, node);

                for (uint32_t i = request->next; i < request->count; i++) {
                        if (request->items[i].child != child)
                                continue;
                        item_over(&request->items[i], BT_CTL_NO_SUCH, "refused", 0, "it was removed");
                        request->items[i].child = NULL;
                }
        }
}

void bt_request_free_all(struct bt_hub *hub)
{
        bt_list_foreach_safe (it, &hub->requests)
                request_free(bt_list_entry(it, struct bt_request, node));
}
