/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The hub in its next program takes what it carried over: executables, sockets, nodes, groups, events, connections. Children and their processes:
 * carry_child.c. What was read has been checked (carry.c); what of it does not fit this program (a node that it does not know) is left out.
 */
#include "supervisor/carry.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/fd.h"
#include "base/scm.h"
#include "supervisor/events.h"
#include "supervisor/groups.h"
#include "supervisor/redistribute.h"
#include "supervisor/replicas.h"

void bt_carry_begin(struct bt_hub *hub)
{
        if (!hub->carry)
                return;
        hub->upgrades = hub->carry->hub->upgrades;
        hub->notify_last = hub->carry->hub->notify_last;
        hub->zygote_token = hub->carry->hub->zygote_token;
        hub->renewals = hub->carry->hub->renewals;
        hub->settled = hub->resuming = true;
}

/* ---- executables ---- */

struct bt_binary *bt_carry_binary(struct bt_hub *hub, uint32_t idx)
{
        struct bt_carry *carry = hub->carry;
        const struct bt_carry_binary *item;
        struct bt_binary *binary = NULL;
        int fd;

        if (!carry || idx == BT_CARRY_NONE)
                return NULL;
        if (carry->made[idx])
                return bt_binary_ref(carry->made[idx]);
        item = bt_carry_at(carry->binaries[idx]);
        fd = bt_carry_take(carry, item->fd);
        if (bt_binary_new(&binary, (const char *)(item + 1), fd, (int)item->script)) {
                (void)bt_close(fd);
                return NULL;
        }
        binary->upgrade = item->upgrade;
        carry->made[idx] = item->upgrade ? binary : bt_binary_share(hub, binary);
        return bt_binary_ref(carry->made[idx]);
}

struct bt_binary *bt_carry_binary_of(const struct bt_hub *hub, const struct bt_child *child)
{
        const struct bt_carry_item *const *found =
                hub->carry ? bt_carry_child(hub->carry, child->id) : NULL;

        return found ? bt_carry_binary(child->hub,
                                       ((const struct bt_carry_child *)bt_carry_at(*found))->own)
                     : NULL;
}

/* That of the configuration: one that an upgrade brought belongs to its child. */
struct bt_binary *bt_carry_binary_at(struct bt_hub *hub, const char *path)
{
        const struct bt_carry *carry = hub->carry;

        for (uint32_t i = 0; carry && i < carry->binary_count; i++) {
                const struct bt_carry_binary *item = bt_carry_at(carry->binaries[i]);

                if (!item->upgrade && !strcmp((const char *)(item + 1), path))
                        return bt_carry_binary(hub, i);
        }
        return NULL;
}

/* ---- sockets ---- */

int bt_carry_socket(const struct bt_hub *hub, uint32_t idx)
{
        for (size_t i = 0; hub->carry && hub->carry->items[i]; i++) {
                const struct bt_carry_socket *socket = bt_carry_at(hub->carry->items[i]);

                if (hub->carry->items[i]->kind == BT_CARRY_SOCKET && socket->idx == idx)
                        return bt_carry_take(hub->carry, socket->fd);
        }
        return -1;
}

int bt_carry_listener(const struct bt_hub *hub)
{
        return hub->carry ? bt_carry_take(hub->carry, hub->carry->hub->listener) : -1;
}

bool bt_carry_notify_path(const struct bt_hub *hub, const char *name)
{
        for (size_t i = 0; hub->carry && hub->carry->items[i]; i++) {
                const struct bt_carry_notify *item = bt_carry_at(hub->carry->items[i]);
                const char *slash = hub->carry->items[i]->kind == BT_CARRY_NOTIFY
                                            ? strrchr(item->path, '/')
                                            : NULL;

                if (slash && !strcmp(slash + 1, name))
                        return true;
        }
        return false;
}

/* ---- events ---- */

static uint32_t kind_of(const char *name)
{
        uint32_t kind = 0;

        while (kind < _BT_EVENT_N && strcmp(bt_event_row(kind)->name, name) != 0)
                kind++;
        return kind;
}

/* Those that this program has no name for leave a gap, as forgotten ones do. */
void bt_carry_events(struct bt_hub *hub)
{
        struct bt_events *events = hub->events;

        if (!hub->carry)
                return;
        events->next = hub->carry->hub->event_next;
        for (size_t i = 0; hub->carry->items[i]; i++) {
                const struct bt_carry_event *item = bt_carry_at(hub->carry->items[i]);
                struct bt_event *event;

                if (hub->carry->items[i]->kind != BT_CARRY_EVENT ||
                    kind_of(item->name) == _BT_EVENT_N)
                        continue;
                event = &events->ring[item->sequence % BT_EVENTS_KEPT];
                *event = (struct bt_event){.sequence = item->sequence,
                                           .wall_ns = item->wall_ns,
                                           .mono_ns = item->mono_ns,
                                           .incarnation = item->incarnation,
                                           .kind = kind_of(item->name)};
                memcpy(event->child, item->child, sizeof(event->child));
                memcpy(event->text, item->text, sizeof(event->text));
        }
}

/* ---- where children are ---- */

/* An instance that the nodes of this moment would not give: of a node that is drained by now. */
static void add_instance(struct bt_hub *hub, const char *id)
{
        const char *at = strrchr(id, '@');
        struct bt_hub_node *node = at ? bt_hub_node_find(hub, at + 1) : NULL;
        struct bt_replicas *replicas;
        struct bt_child *child;
        char name[64];

        if (!node || bt_hub_child_find(hub, id))
                return;
        (void)snprintf(name, sizeof(name), "%.*s", (int)(at - id), id);
        replicas = bt_replicas_find(hub, name);
        if (replicas)
                (void)bt_replicas_add(replicas, node, &child);
}

void bt_carry_nodes(struct bt_hub *hub)
{
        for (size_t i = 0; hub->carry && hub->carry->items[i]; i++) {
                const struct bt_carry_item *item = hub->carry->items[i];
                const struct bt_carry_node *says = bt_carry_at(item);
                struct bt_hub_node *node =
                        item->kind == BT_CARRY_NODE ? bt_hub_node_find(hub, says->name) : NULL;

                if (node)
                        node->state = (enum bt_hub_node_state)says->state;
                if (item->kind == BT_CARRY_CHILD)
                        add_instance(hub, ((const struct bt_carry_child *)bt_carry_at(item))->id);
        }
}

/* ---- groups ---- */

static struct bt_hub_group *group_of(const struct bt_hub *hub, const struct bt_carry_item *item)
{
        const struct bt_carry_group *says = bt_carry_at(item);
        struct bt_hub_group *group =
                item->kind == BT_CARRY_GROUP ? bt_groups_find(hub, says->name) : NULL;

        return group && group->machine.count == says->count ? group : NULL;
}

static bool all_known(const struct bt_hub *hub)
{
        uint32_t known = 0;

        for (size_t i = 0; hub->carry->items[i]; i++)
                known += group_of(hub, hub->carry->items[i]) != NULL;
        return known == hub->groups->count;
}

/* The machine is nothing but data: it goes on where it was. */
static void group_resume(struct bt_hub_group *group, const struct bt_carry_group *says)
{
        const struct bt_carry_member *members = (const void *)(says + 1);
        struct bt_group *m = &group->machine;

        m->state = (enum bt_group_state)says->state;
        m->after = (enum bt_group_state)says->after;
        m->from = says->from;
        m->first = says->first;
        m->culprit = says->culprit;
        m->restarted = says->restarted;
        m->due_ns = says->due_ns;
        memcpy(m->restarted_ns, says->restarted_ns, sizeof(m->restarted_ns));
        for (uint32_t i = 0; i < m->count; i++) {
                if (group->states[i].state == BT_GROUP_M_GONE)
                        continue;
                group->states[i].state = (enum bt_group_member_state)members[i].state;
                group->states[i].due_ns = members[i].due_ns;
                group->members[i].begun = members[i].begun;
        }
        group->restarts = says->restarts;
        group->up_since_ns = says->up_since_ns;
        group->backoff_ns = says->backoff_ns;
        memcpy(group->note, says->note, sizeof(group->note));
        bt_groups_soon(group);
}

bool bt_carry_groups(struct bt_hub *hub)
{
        if (!hub->carry || !hub->groups || !all_known(hub))
                return false;
        hub->groups->begun = true;
        for (size_t i = 0; hub->carry->items[i]; i++) {
                struct bt_hub_group *group = group_of(hub, hub->carry->items[i]);

                if (group)
                        group_resume(group, bt_carry_at(hub->carry->items[i]));
        }
        return true;
}

/* ---- the keeper ---- */

bool bt_carry_keeper(struct bt_hub *hub)
{
        const struct bt_carry_hub *says = hub->carry ? hub->carry->hub : NULL;

        if (!says || says->keeper_sock == BT_CARRY_NONE || says->keeper_pidfd == BT_CARRY_NONE)
                return false;
        return !bt_keep_carried(hub, bt_carry_take(hub->carry, says->keeper_sock),
                                bt_carry_take(hub->carry, says->keeper_pidfd), says->keeper_pid);
}

/* ---- the end of it ---- */

static void take_clients(struct bt_hub *hub)
{
        for (size_t i = 0; hub->carry->items[i]; i++) {
                const struct bt_carry_client *item = bt_carry_at(hub->carry->items[i]);

                if (hub->carry->items[i]->kind == BT_CARRY_CLIENT)
                        bt_hub_control_carried(hub, bt_carry_take(hub->carry, item->fd), item);
        }
}

static void tell_asker(struct bt_hub *hub, uint32_t processes, const char *path)
{
        const struct bt_carry_hub *says = hub->carry->hub;
        struct bt_ctl_reply reply = {.magic = BT_CTL_MAGIC,
                                     .version = BT_CTL_VERSION,
                                     .kind = BT_CTL_DONE,
                                     .outcome = BT_CTL_OK};
        int fd = bt_carry_take(hub->carry, says->asker);

        if (fd < 0)
                return;
        reply.since_ns = bt_now_ns() - says->asked_ns;
        reply.value[0] = processes;
        reply.value[1] = (uint64_t)getpid();
        (void)snprintf(reply.text, sizeof(reply.text), "%s", path);
        (void)bt_scm_send(fd, &reply, sizeof(reply), NULL, 0);
        (void)bt_close(fd);
}

/* What could not be moved before is tried again, as it would have been. */
static void try_moves_again(struct bt_hub *hub)
{
        bt_hub_foreach_child(child, hub)
        {
                if (!child->misplaced)
                        continue;
                bt_redistribution_again(hub);
                return;
        }
}

void bt_carry_over(struct bt_hub *hub)
{
        char path[BT_CTL_PATH_BYTES] = "";
        uint32_t processes = 0;
        ssize_t n;

        if (!hub->carry)
                return;
        BT_POINT("hub.renew.resumed");
        n = readlink("/proc/self/exe", path, sizeof(path) - 1);
        path[n > 0 ? n : 0] = '\0';
        bt_hub_foreach_child(child, hub) bt_list_foreach (it, &child->incs) processes++;
        try_moves_again(hub);
        take_clients(hub);
        bt_hub_say(hub, "goes on as %s, with the %u %s it had", path, processes,
                   processes == 1 ? "process" : "processes");
        bt_event(hub, BT_EVENT_HUB_UPGRADED, NULL, 0, "%s, %u processes", path, processes);
        tell_asker(hub, processes, path);
        hub->carry = bt_carry_free(hub->carry);
}
