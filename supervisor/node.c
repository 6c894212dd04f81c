/* SPDX-License-Identifier: Apache-2.0 */
#include "supervisor/node.h"

#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "supervisor/hub.h"

/* ---- nodes ---- */

int bt_hub_node_new(struct bt_hub_node **ret_node, struct bt_hub *hub, const char *name)
{
        struct bt_hub_node *node = calloc(1, sizeof(*node));
        int r;

        if (!node)
                return -ENOMEM;
        r = bt_node_create(&node->dir, bt_plan_string(&hub->plan, hub->plan.plan->hub), name,
                           BT_PLAN_CHILDREN_MAX);
        if (r) {
                free(node);
                return r;
        }
        node->hub = hub;
        node->weight = 1;
        (void)snprintf(node->name, sizeof(node->name), "%s", name);
        bt_list_push(&hub->nodes, &node->order);
        *ret_node = node;
        return 0;
}

struct bt_hub_node *bt_hub_node_free(struct bt_hub_node *node)
{
        if (!node)
                return NULL;
        bt_assert(!node->seats);
        bt_list_unlink(&node->order);
        bt_node_destroy(&node->dir);
        free(node);
        return NULL;
}

struct bt_hub_node *bt_hub_node_find(const struct bt_hub *hub, const char *name)
{
        bt_list_foreach (it, &hub->nodes) {
                struct bt_hub_node *node = bt_list_entry(it, struct bt_hub_node, order);

                if (!strcmp(node->name, name))
                        return node;
        }
        return NULL;
}

void bt_hub_nodes_free(struct bt_hub *hub)
{
        bt_list_foreach_safe (it, &hub->nodes)
                (void)bt_hub_node_free(bt_list_entry(it, struct bt_hub_node, order));
}

/* ---- seats ---- */

int bt_seat_take(struct bt_seat *ret_seat, struct bt_hub_node *node)
{
        for (size_t word = node->free_from / 64; word < BT_PLAN_CHILDREN_MAX / 64; word++) {
                uint32_t bit;

                if (node->taken[word] == UINT64_MAX)
                        continue;
                bit = (uint32_t)__builtin_ctzll(~node->taken[word]);
                node->taken[word] |= UINT64_C(1) << bit;
                node->seats++;
                *ret_seat = (struct bt_seat){.node = node, .slot_idx = (uint32_t)word * 64 + bit};
                node->free_from = ret_seat->slot_idx + 1;
                return 0;
        }
        return -ENOSPC;
}

void bt_seat_give_back(struct bt_seat *seat)
{
        struct bt_hub_node *node = seat->node;
        struct bt_slot *slot;

        if (!node)
                return;
        slot = bt_node_begin(&node->dir, seat->slot_idx);
        memset((char *)slot + offsetof(struct bt_slot, phase), 0,
               sizeof(*slot) - offsetof(struct bt_slot, phase));
        bt_node_end(slot);
        node->taken[seat->slot_idx / 64] &= ~(UINT64_C(1) << seat->slot_idx % 64);
        node->seats--;
        if (seat->slot_idx < node->free_from)
                node->free_from = seat->slot_idx;
        seat->node = NULL;
}
