/* SPDX-License-Identifier: Apache-2.0 */
#include "supervisor/node.h"

#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/cleanup.h"
#include "supervisor/carry.h"
#include "supervisor/hub.h"

/* ---- nodes ---- */

const char *bt_hub_node_state_name(enum bt_hub_node_state state)
{
        static const char *const names[_BT_HUB_NODE_N] = {
                [BT_HUB_NODE_ACTIVE] = "active",   [BT_HUB_NODE_DRAINING] = "draining",
                [BT_HUB_NODE_LEAVING] = "leaving", [BT_HUB_NODE_DRAINED] = "drained",
                [BT_HUB_NODE_DOWN] = "down",
        };

        return names[state];
}

bool bt_hub_node_takes(const struct bt_hub_node *node)
{
        return node->state == BT_HUB_NODE_ACTIVE;
}

static int open_overrides(struct bt_hub_node *node, char *ret_why, size_t why_bytes)
{
        const struct bt_plan_view *plan = &node->plan->view;
        uint32_t count = node->spec->override_count;
        int r = 0;

        node->overrides = calloc(count ? count : 1, sizeof(*node->overrides));
        if (!node->overrides)
                return -ENOMEM;
        for (uint32_t i = 0; !r && i < count; i++) {
                const struct bt_plan_override *override =
                        &plan->overrides[node->spec->override_first + i];

                node->overrides[i].pool = bt_plan_string(plan, override->pool);
                node->overrides[i].binary = bt_carry_binary_at(node->hub, bt_plan_string(plan, override->exec));
                if (node->overrides[i].binary)
                        continue;
                r = bt_binary_open(&node->overrides[i].binary,
                                   bt_plan_string(plan, override->exec));
                if (r)
                        (void)snprintf(ret_why, why_bytes, "cannot run %s: %s",
                                       bt_plan_string(plan, override->exec), strerrordesc_np(-r));
                else
                        node->overrides[i].binary =
                                bt_binary_share(node->hub, node->overrides[i].binary);
        }
        return r;
}

static void open_place(struct bt_hub_node *node)
{
        const struct bt_plan_node *spec = node->spec;

        node->place = (struct bt_spawn_place){.nice = spec->nice, .numa = spec->numa, .cgroup = -1};
        memcpy(node->place.cpus, spec->cpus, sizeof(node->place.cpus));
        node->placed = spec->nice || spec->numa >= 0;
        for (size_t i = 0; i < BT_ARRAY_LEN(spec->cpus); i++)
                node->placed |= spec->cpus[i] != 0;
        if (spec->memory_max)
                bt_hub_node_cgroup_open(node);
        node->placed |= node->place.cgroup >= 0;
}

int bt_hub_node_new(struct bt_hub_node **ret_node, struct bt_hub *hub, struct bt_plan_ref *plan,
                    uint32_t idx, char *ret_why, size_t why_bytes)
{
        struct bt_hub_node *node = calloc(1, sizeof(*node));
        int r;

        (void)snprintf(ret_why, why_bytes, "out of memory");
        if (!node)
                return -ENOMEM;
        bt_list_init(&node->order);
        node->hub = hub;
        node->dir.fd = node->place.cgroup = -1;
        node->plan = bt_plan_ref(plan);
        node->spec = &plan->view.nodes[idx];
        (void)snprintf(node->name, sizeof(node->name), "%s",
                       bt_plan_string(&plan->view, node->spec->name));
        r = open_overrides(node, ret_why, why_bytes);
        if (!r)
                r = bt_node_create(&node->dir, bt_plan_string(&hub->plan, hub->plan.plan->hub),
                                   node->name, BT_PLAN_CHILDREN_MAX);
        if (r) {
                (void)bt_hub_node_free(node);
                return r;
        }
        open_place(node);
        bt_list_push(&hub->nodes, &node->order);
        *ret_node = node;
        return 0;
}

struct bt_hub_node *bt_hub_node_free(struct bt_hub_node *node)
{
        if (!node)
                return NULL;
        bt_assert(!node->seats);
        bt_loop_timer_disarm(&node->death_timer);
        bt_list_unlink(&node->order);
        bt_node_destroy(&node->dir);
        bt_hub_node_cgroup_close(node);
        for (uint32_t i = 0; node->overrides && i < node->spec->override_count; i++)
                (void)bt_binary_unref(node->overrides[i].binary);
        free(node->overrides);
        (void)bt_plan_unref(node->plan);
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

struct bt_binary *bt_hub_node_binary(const struct bt_hub_node *node, const struct bt_child *child)
{
        for (uint32_t i = 0; i < node->spec->override_count; i++) {
                if (!strcmp(node->overrides[i].pool, child->pool))
                        return node->overrides[i].binary;
        }
        return child->own;
}

/* ---- the nodes at the start ---- */

/* The node that is there when nothing is said about nodes: a plan of its own, so that it is like any other. */
static int local_plan(struct bt_plan_ref **ret_plan)
{
        struct {
                struct bt_plan head;
                struct bt_plan_node node;
                char strings[8];
        } plan = {.strings = "\0" BT_HUB_NODE_LOCAL};

        plan.head = (struct bt_plan){.magic = BT_PLAN_MAGIC,
                                     .version = BT_PLAN_VERSION,
                                     .head_bytes = sizeof(plan.head),
                                     .bytes = sizeof(plan),
                                     .flags = BT_PLAN_FRAGMENT,
                                     .node_count = 1,
                                     .strings_off = offsetof(typeof(plan), strings),
                                     .strings_bytes = sizeof(plan.strings)};
        bt_plan_node_init(&plan.node);
        plan.node.name = 1;
        return bt_plan_load_bytes(ret_plan, &plan, sizeof(plan));
}

static int open_node(struct bt_hub *hub, struct bt_plan_ref *plan, uint32_t idx, bool live)
{
        struct bt_hub_node *node;
        char why[512] = "";
        int r = bt_hub_node_new(&node, hub, plan, idx, why, sizeof(why));

        if (r)
                bt_hub_say(hub, "node %s: %s",
                           bt_plan_string(&plan->view, plan->view.nodes[idx].name), why);
        else
                node->live = live;
        return r;
}

/* A node that cannot be had any more is said and left out: its children are placed on others. */
static void on_note(void *ctx, const struct bt_note *note)
{
        struct bt_hub *hub = ctx;
        struct bt_plan_ref *plan = NULL;

        if (bt_hub_node_find(hub, note->name)) {
                bt_hub_say(
                        hub,
                        "node %s was added live, and is in the configuration by now, which counts",
                        note->name);
                return;
        }
        if (bt_plan_load_bytes(&plan, note->at, note->bytes) || plan->view.plan->node_count != 1)
                bt_hub_say(hub,
                           "node %s, which was added live, is of another version of baton: add it "
                           "again",
                           note->name);
        else
                (void)open_node(hub, plan, 0, true);
        (void)bt_plan_unref(plan);
}

int bt_hub_nodes_open(struct bt_hub *hub)
{
        uint32_t count = hub->plan.plan->node_count;
        int r = 0;

        for (uint32_t i = 0; !r && i < count; i++)
                r = open_node(hub, hub->plan_ref, i, false);
        if (!count) {
                struct bt_plan_ref *plan = NULL;

                r = local_plan(&plan);
                if (!r)
                        r = open_node(hub, plan, 0, false);
                (void)bt_plan_unref(plan);
        }
        if (!r)
                r = bt_store_read_notes(hub->store, BT_NOTE_NODE, on_note, hub);
        return r;
}

static void on_noted(void *ctx, int result, const struct bt_record *record)
{
        (void)record;
        if (result)
                bt_hub_say(ctx, "the store could not take what changed about the nodes: it is "
                                "forgotten by the next hub");
}

void bt_hub_node_remember(struct bt_hub_node *node)
{
        struct bt_note note = {.kind = BT_NOTE_NODE,
                               .at = node->plan->view.plan,
                               .bytes = node->plan->view.plan->bytes};
        int r;

        (void)snprintf(note.name, sizeof(note.name), "%s", node->name);
        node->live = true;
        r = bt_store_put_notes(node->hub->store, &note, 1, on_noted, node->hub);
        if (r)
                on_noted(node->hub, r, NULL);
}

void bt_hub_node_forget(struct bt_hub_node *node)
{
        struct bt_note note = {.kind = BT_NOTE_NODE};

        (void)snprintf(note.name, sizeof(note.name), "%s", node->name);
        if (node->live && bt_store_put_notes(node->hub->store, &note, 1, on_noted, node->hub))
                on_noted(node->hub, -EIO, NULL);
        node->live = false;
}

/* ---- seats ---- */

void bt_child_seated(struct bt_child *child)
{
        const struct bt_plan_child *own = &child->plan->view.children[child->plan_idx];
        struct bt_plan_child there, *copy = NULL;

        if (bt_plan_child_on(&there, own, child->seat.node->spec)) {
                copy = malloc(sizeof(*copy));
                if (copy)
                        *copy = there;
                else
                        bt_hub_say(child->hub,
                                   "%s: goes on without the defaults of its node: out of memory",
                                   child->id);
        }
        free(child->spec_there);
        child->spec_there = copy;
        child->spec = copy ? copy : own;
}

int bt_child_reseat(struct bt_child *child, struct bt_hub_node *node)
{
        struct bt_seat seat;
        int r = bt_seat_take(&seat, node);

        if (r)
                return r;
        bt_assert(!child->current && !child->migration);
        bt_seat_give_back(&child->seat);
        child->seat = seat;
        bt_child_seated(child);
        (void)bt_binary_unref(child->binary);
        child->binary = bt_binary_ref(bt_hub_node_binary(node, child));
        bt_child_publish(child);
        return 0;
}

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
