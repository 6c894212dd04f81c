/* SPDX-License-Identifier: Apache-2.0 */
/* Requests about nodes: what the words of the protocol mean in those of node_ask.h. */
#include "supervisor/control_node.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/fd.h"
#include "supervisor/control_state.h"

static void on_event(void *ctx, const struct bt_child *child, const char *phase,
                     enum bt_ctl_outcome outcome, uint64_t incarnation, bool over, const char *text)
{
        bool swapped = over && !strcmp(phase, "committed");

        bt_client_event(ctx, child, phase, outcome, incarnation, swapped ? child->pause_ns : 0,
                        swapped ? child->total_ns : 0, text);
}

static void on_over(void *ctx, const struct bt_node_ask *ask)
{
        struct bt_ctl_reply done = {.outcome = ask->outcome,
                                    .incarnation = ask->forced,
                                    .value = {ask->moved, ask->failed}};

        (void)snprintf(done.child, sizeof(done.child), "%s", ask->child);
        (void)snprintf(done.text, sizeof(done.text), "%s", ask->text);
        bt_client_asks_node(ctx, NULL);
        bt_client_final(ctx, &done);
}

static void on_begun(void *ctx, struct bt_node_ask *ask)
{
        bt_client_asks_node(ctx, ask);
}

static const struct bt_node_ask_owner owner = {on_begun, on_event, on_over};

/* "0-1,4" */
static size_t cpus_text(char *text, size_t bytes, const uint64_t *cpus)
{
        size_t used = 0;

        for (uint32_t first = 0; first < BT_PLAN_CPUS_MAX && used < bytes; first++) {
                uint32_t last = first;

                if (!(cpus[first / 64] >> first % 64 & 1))
                        continue;
                while (last + 1 < BT_PLAN_CPUS_MAX && cpus[(last + 1) / 64] >> (last + 1) % 64 & 1)
                        last++;
                used += (size_t)snprintf(text + used, bytes - used,
                                         first == last ? "%s%u" : "%s%u-%u", used ? "," : "", first,
                                         last);
                first = last;
        }
        return used < bytes ? used : bytes - 1;
}

/* One row for each node: @child its name, @phase its state, @value its children and weight, @text what its children run with, KEY=TEXT a line. */
static int send_row(struct bt_client *client, const struct bt_hub_node *node)
{
        const struct bt_plan_node *spec = node->spec;
        struct bt_ctl_reply row = {.kind = BT_CTL_NODE_ROW, .value = {node->seats, spec->weight}};
        size_t used, room = sizeof(row.text);

        (void)snprintf(row.child, sizeof(row.child), "%s", node->name);
        (void)snprintf(row.phase, sizeof(row.phase), "%s", bt_hub_node_state_name(node->state));
        used = cpus_text(row.text, 512, spec->cpus);
        if (used)
                memmove(row.text + 5, row.text, used + 1);
        if (used) {
                memcpy(row.text, "cpus=", 5);
                used += 5 + (size_t)snprintf(row.text + used + 5, 2, "\n");
        }
        if (spec->memory_max)
                used += (size_t)snprintf(row.text + used, room - used, "memory=%" PRIu64 "%s\n",
                                         spec->memory_max,
                                         node->place.cgroup < 0 ? " (not limited)" : "");
        if (spec->nice)
                used += (size_t)snprintf(row.text + used, room - used, "nice=%d\n", spec->nice);
        if (spec->numa >= 0)
                used += (size_t)snprintf(row.text + used, room - used, "numa=%d\n", spec->numa);
        for (uint32_t i = 0; i < spec->override_count && used < room; i++)
                used += (size_t)snprintf(row.text + used, room - used, "exec=%s:%s\n",
                                         node->overrides[i].pool, node->overrides[i].binary->path);
        return bt_client_reply(client, &row);
}

static void list(struct bt_client *client, const struct bt_hub *hub)
{
        bt_list_foreach (it, &hub->nodes) {
                if (send_row(client, bt_list_entry(it, struct bt_hub_node, order))) {
                        bt_client_answer(client, BT_CTL_FAILED, "the list could not be sent");
                        return;
                }
        }
        bt_client_answer(client, BT_CTL_OK, "");
}

static enum bt_ctl_outcome add(struct bt_client *client, struct bt_hub *hub, int fd, char *why,
                               size_t why_bytes)
{
        struct bt_plan_ref *plan = NULL;
        const char *error = "it cannot be read";
        enum bt_ctl_outcome outcome = BT_CTL_INVALID;
        int r = fd < 0 ? -EINVAL : bt_plan_load(&plan, fd, &error);

        if (r || plan->view.plan->node_count != 1 || plan->view.plan->child_count)
                (void)snprintf(why, why_bytes, "no node came with the request: %s",
                               r ? error : "it is another plan");
        else
                outcome = bt_node_add(hub, plan, &owner, client, why, why_bytes);
        (void)bt_plan_unref(plan);
        return outcome;
}

void bt_node_request(struct bt_client *client, struct bt_hub *hub,
                     const struct bt_ctl_request *request, int fd)
{
        enum bt_ctl_outcome outcome = BT_CTL_INVALID;
        char why[512] = "unknown request";

        if (request->op == BT_CTL_NODE_LIST) {
                (void)bt_close(fd);
                list(client, hub);
                return;
        }
        if (hub->stopping) {
                (void)snprintf(why, sizeof(why), "the hub is stopping");
                outcome = BT_CTL_FAILED;
        } else if (
                request->op ==
                BT_CTL_NODE_ADD) { /* each may be over before it returns: @client was answered then, and may be gone */
                outcome = add(client, hub, fd, why, sizeof(why));
        } else if (request->op == BT_CTL_NODE_REMOVE || request->op == BT_CTL_NODE_DRAIN) {
                outcome = bt_node_leave(hub, request->target, request->op == BT_CTL_NODE_REMOVE,
                                        request->deadline_ns, &owner, client, why, sizeof(why));
        } else if (request->op == BT_CTL_NODE_MIGRATE) {
                outcome = bt_node_migrate(hub, request->target, request->node, request->strategy,
                                          &owner, client, why, sizeof(why));
        }
        (void)bt_close(fd);
        if (outcome != BT_CTL_OK)
                bt_client_answer(client, outcome, why);
}
