/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Writing what is to be carried over: see carry.h. The hub is at rest (renew.h), so each child serves, waits for its restart, or is down for good.
 *
 * A link has no descriptor here, only a mapping: its process has one, and gives us a duplicate, as it would to a hub that adopts it. With that one and those that the
 * hub has, a process that dies during the exec is found dead by the next program, and not lost with all it had.
 */
#include "supervisor/carry.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/fd.h"
#include "shm/record.h"
#include "supervisor/events.h"
#include "supervisor/groups.h"
#include "supervisor/keeper.h"
#include "supervisor/mailbox.h"
#include "supervisor/notify.h"

/* ---- the hub ---- */

static void put_hub(struct bt_carry_out *out, struct bt_hub *hub,
                    const struct bt_carry_asker *asker)
{
        struct bt_carry_hub item = {.registry_magic = BT_REGISTRY_MAGIC,
                                    .layout = BT_LAYOUT_VERSION,
                                    .keeper_magic = BT_KEEPER_MAGIC,
                                    .plan_version = BT_PLAN_VERSION,
                                    .listener = bt_carry_put_fd(out, hub->listener),
                                    .asker = bt_carry_put_fd(out, asker->fd),
                                    .asked_ns = asker->asked_ns,
                                    .upgrades = hub->upgrades,
                                    .notify_last = hub->notify_last,
                                    .event_next = hub->events->next,
                                    .zygote_token = hub->zygote_token,
                                    .renewals = hub->renewals + 1};

        bt_keep_carry(hub, out, &item);
        bt_carry_put(out, BT_CARRY_HUB, &item, sizeof(item), NULL, 0);
        for (uint32_t i = 0; i < hub->plan.plan->socket_count; i++) {
                const struct bt_carry_socket socket = {.idx = i,
                                                       .fd = bt_carry_put_fd(out, hub->sockets[i])};

                bt_carry_put(out, BT_CARRY_SOCKET, &socket, sizeof(socket), NULL, 0);
        }
        bt_list_foreach (it, &hub->nodes) {
                const struct bt_hub_node *node = bt_list_entry(it, struct bt_hub_node, order);
                struct bt_carry_node says = {.state = node->state};

                (void)snprintf(says.name, sizeof(says.name), "%s", node->name);
                bt_carry_put(out, BT_CARRY_NODE, &says, sizeof(says), NULL, 0);
        }
}

static void put_events(struct bt_carry_out *out, const struct bt_events *events)
{
        uint64_t first = events->next > BT_EVENTS_KEPT ? events->next - BT_EVENTS_KEPT : 1;

        for (uint64_t i = first; i < events->next; i++) {
                const struct bt_event *event = bt_events_at(events, i);
                struct bt_carry_event item = {.sequence = event->sequence,
                                              .wall_ns = event->wall_ns,
                                              .mono_ns = event->mono_ns,
                                              .incarnation = event->incarnation};

                (void)snprintf(item.name, sizeof(item.name), "%s", bt_event_row(event->kind)->name);
                memcpy(item.child, event->child, sizeof(item.child));
                memcpy(item.text, event->text, sizeof(item.text));
                bt_carry_put(out, BT_CARRY_EVENT, &item, sizeof(item), NULL, 0);
        }
}

/* ---- executables: each once, in front of those who name it ---- */

static uint32_t put_binary(struct bt_carry_out *out, struct bt_binary *binary)
{
        struct bt_carry_binary item;

        if (!binary)
                return BT_CARRY_NONE;
        if (binary->carried_by == out)
                return binary->carried_as;
        item = (struct bt_carry_binary){.fd = bt_carry_put_fd(out, binary->fd),
                                        .script = (uint32_t)binary->script,
                                        .upgrade = binary->upgrade};
        bt_carry_put(out, BT_CARRY_BINARY, &item, sizeof(item), binary->path,
                     strlen(binary->path) + 1);
        binary->carried_by = out;
        binary->carried_as = out->binary_count;
        return out->binary_count++;
}

static void put_binaries(struct bt_carry_out *out, struct bt_hub *hub)
{
        bt_list_foreach (it, &hub->nodes) {
                const struct bt_hub_node *node = bt_list_entry(it, struct bt_hub_node, order);

                for (uint32_t i = 0; i < node->spec->override_count; i++)
                        (void)put_binary(out, node->overrides[i].binary);
        }
        bt_hub_foreach_child(child, hub)
        {
                (void)put_binary(out, child->binary);
                (void)put_binary(out, child->own);
                (void)put_binary(out, child->previous);
                bt_list_foreach (it, &child->incs)
                        (void)put_binary(out, bt_list_entry(it, struct bt_inc, node)->binary);
        }
}

/* The address of @out may be that of an earlier one. */
static void forget_binaries(struct bt_hub *hub)
{
        bt_list_foreach (it, &hub->nodes) {
                const struct bt_hub_node *node = bt_list_entry(it, struct bt_hub_node, order);

                for (uint32_t i = 0; i < node->spec->override_count; i++)
                        node->overrides[i].binary->carried_by = NULL;
        }
        bt_hub_foreach_child(child, hub)
        {
                child->binary->carried_by = child->own->carried_by = NULL;
                if (child->previous)
                        child->previous->carried_by = NULL;
                bt_list_foreach (it, &child->incs)
                        bt_list_entry(it, struct bt_inc, node)->binary->carried_by = NULL;
        }
}

/* ---- processes ---- */

static void put_log(struct bt_carry_out *out, const struct bt_log *log, uint32_t which)
{
        const struct bt_carry_log item = {.which = which,
                                          .line_bytes = log->bytes,
                                          .tail_bytes = log->tail_bytes,
                                          .dropped = log->dropped};
        char text[BT_LOG_LINE_MAX + BT_LOG_TAIL_BYTES];

        if (!log->bytes && !log->tail_bytes && !log->dropped)
                return;
        if (log->bytes)
                memcpy(text, log->line, log->bytes);
        if (log->tail_bytes)
                memcpy(text + log->bytes, log->tail, log->tail_bytes);
        bt_carry_put(out, BT_CARRY_LOG, &item, sizeof(item), text,
                     (size_t)log->bytes + log->tail_bytes);
}

static uint32_t process_flags(const struct bt_inc *inc)
{
        return (inc->child->current == inc ? BT_CARRY_PROCESS_CURRENT : 0) |
               (inc->ready ? BT_CARRY_PROCESS_READY : 0) |
               (inc->told_to_end ? BT_CARRY_PROCESS_TOLD_TO_END : 0) |
               (inc->retires ? BT_CARRY_PROCESS_RETIRES : 0) |
               (inc->drains_nothing ? BT_CARRY_PROCESS_DRAINS_NOTHING : 0) |
               (inc->killed ? BT_CARRY_PROCESS_KILLED : 0) |
               (inc->consents ? BT_CARRY_PROCESS_CONSENTS : 0) |
               (inc->poisoned ? BT_CARRY_PROCESS_POISONED : 0);
}

/* One that has just ended has none any more: its exit will come. */
static int link_of(const struct bt_inc *inc, int *ret_link, char *why)
{
        int fd = bt_proc_getfd(inc->pidfd, inc->entry->link_fd);

        if (fd >= 0) {
                *ret_link = fd;
                return 0;
        }
        (void)snprintf(why, BT_CARRY_WHY_BYTES, "%s: the link of process %d cannot be had: %s%s",
                       inc->child->id, (int)inc->pid, strerrordesc_np(-fd),
                       fd == -EPERM ? " (kernel.yama.ptrace_scope?)" : "");
        return fd == -ESRCH || fd == -EBADF ? -EAGAIN : fd;
}

/* The caller owns what @ret_link is. */
static int put_process(struct bt_carry_out *out, const struct bt_inc *inc, int *ret_link, char *why)
{
        struct bt_carry_process item = {
                .pid = inc->pid,
                .number = inc->number,
                .flags = process_flags(inc),
                .reason = inc->reason,
                .binary = put_binary(out, inc->binary),
                .version = inc->version,
                .pidfd = bt_carry_put_fd(out, inc->pidfd),
                .link = BT_CARRY_NONE,
                .holding = BT_CARRY_NONE,
                .bell = bt_carry_put_fd(out, inc->bell),
                .channel = bt_carry_put_fd(out, inc->channel),
                .out = bt_carry_put_fd(out, inc->out.fd),
                .err = bt_carry_put_fd(out, inc->err.fd),
                .heir = inc->heir,
                .retention_ns = inc->retention_ns,
                .deadline_ns = inc->deadline.heap_idx ? inc->deadline.deadline_ns : BT_NS_NEVER};

        int r;

        *ret_link = -1;
        if (!inc->entry) {
                (void)snprintf(why, BT_CARRY_WHY_BYTES,
                               "%s: process %d is not in the register of processes, which was full",
                               inc->child->id, (int)inc->pid);
                return -ENOSPC;
        }
        item.entry = (uint32_t)(inc->entry - inc->child->hub->registry.entries);
        if (inc->link) {
                r = link_of(inc, ret_link, why);
                if (r)
                        return r;
                item.link = bt_carry_put_fd(out, *ret_link);
                item.holding = bt_carry_put_fd(out, inc->holding->fd);
        }
        bt_carry_put(out, BT_CARRY_PROCESS, &item, sizeof(item), NULL, 0);
        put_log(out, &inc->out, 1);
        put_log(out, &inc->err, 2);
        if (inc->notify)
                bt_notify_carry(inc, out);
        return 0;
}

/* ---- children ---- */

static uint32_t child_flags(const struct bt_child *child)
{
        return (child->in_transit ? BT_CARRY_CHILD_IN_TRANSIT : 0) |
               (child->with_keeper ? BT_CARRY_CHILD_WITH_KEEPER : 0) |
               (child->reload ? BT_CARRY_CHILD_RELOAD : 0) |
               (child->kept_record ? BT_CARRY_CHILD_KEPT_RECORD : 0) |
               (child->paused ? BT_CARRY_CHILD_PAUSED : 0) |
               (child->captured ? BT_CARRY_CHILD_CAPTURED : 0) |
               (child->misplaced ? BT_CARRY_CHILD_MISPLACED : 0);
}

static uint64_t due_of(const struct bt_loop_timer *timer)
{
        return timer->heap_idx ? timer->deadline_ns : BT_NS_NEVER;
}

static void put_child(struct bt_carry_out *out, const struct bt_child *child)
{
        const struct bt_mail *mail = child->mail;
        struct bt_carry_child item = {
                .phase = child->phase,
                .flags = child_flags(child),
                .binary = put_binary(out, child->binary),
                .own = put_binary(out, child->own),
                .previous = put_binary(out, child->previous),
                .holding = child->spec->protocol == BT_PROTOCOL_BATON
                                   ? bt_carry_put_fd(out, child->holding->fd)
                                   : BT_CARRY_NONE,
                .mail = {bt_carry_put_fd(out, mail ? mail->fd : -1),
                         bt_carry_put_fd(out, mail ? mail->desk_fd : -1),
                         bt_carry_put_fd(out, mail ? mail->bell : -1)},
                .restore_failures = child->restore_failures,
                .limits_hit = child->limits_hit,
                .restart_count = child->restart_count,
                .restart_due_ns = due_of(&child->restart_timer),
                .backoff_ns = child->backoff_ns,
                .running_since_ns = child->running_since_ns,
                .started_wall_ns =
                        child->seat.node->dir.node->slots[child->seat.slot_idx].started_wall_ns,
                .number_next = child->number_next,
                .stored_sequence = child->stored_sequence,
                .capture_sequence = child->capture_sequence,
                .restarts = child->restarts,
                .swaps = child->swaps,
                .rollbacks = child->rollbacks,
                .pause_ns = child->pause_ns,
                .total_ns = child->total_ns,
                .state_bytes = child->state_bytes,
                .spare_backoff_ns = child->spare_backoff_ns,
                .checkpoint_due_ns = due_of(&child->checkpoints.every),
                .parcel_fd_count = child->parcel.fd_count,
                .served_pid = child->served_pid,
                .exit_code = child->last_exit.code,
                .exit_status = child->last_exit.status,
        };

        (void)snprintf(item.id, sizeof(item.id), "%s", child->id);
        (void)snprintf(item.node, sizeof(item.node), "%s", child->seat.node->name);
        (void)snprintf(item.ideal, sizeof(item.ideal), "%s",
                       child->ideal ? child->ideal->name : "");
        (void)snprintf(item.note, sizeof(item.note), "%s", child->note);
        if (child->restarted_ns)
                memcpy(item.restarted_ns, child->restarted_ns, sizeof(item.restarted_ns));
        bt_carry_put(out, BT_CARRY_CHILD, &item, sizeof(item), NULL, 0);
}

static void put_belongings(struct bt_carry_out *out, const struct bt_child *child)
{
        for (uint32_t i = 0; i < child->kept_count; i++) {
                struct bt_carry_kept item = {.fd = bt_carry_put_fd(out, child->kept[i].fd)};

                (void)snprintf(item.name, sizeof(item.name), "%s", child->kept[i].name);
                bt_carry_put(out, BT_CARRY_KEPT, &item, sizeof(item), NULL, 0);
        }
        for (uint32_t i = 0; i < child->parcel.count; i++) {
                struct bt_carry_parcel item = {.message = child->parcel.messages[i]};

                for (uint32_t k = 0; k < item.message.count; k++)
                        item.fds[k] = bt_carry_put_fd(out, child->parcel.fds[i][k]);
                bt_carry_put(out, BT_CARRY_PARCEL, &item, sizeof(item), NULL, 0);
        }
}

static void put_group(struct bt_carry_out *out, const struct bt_hub_group *group)
{
        const struct bt_group *m = &group->machine;
        struct bt_carry_member *members = calloc((size_t)m->count + 1, sizeof(*members));
        struct bt_carry_group item = {.state = m->state,
                                      .after = m->after,
                                      .from = m->from,
                                      .first = m->first,
                                      .culprit = m->culprit,
                                      .count = m->count,
                                      .restarted = m->restarted,
                                      .due_ns = m->due_ns,
                                      .restarts = group->restarts,
                                      .up_since_ns = group->up_since_ns,
                                      .backoff_ns = group->backoff_ns};

        if (!members) {
                out->failed = true;
                return;
        }
        memcpy(item.restarted_ns, m->restarted_ns, sizeof(item.restarted_ns));
        (void)snprintf(item.name, sizeof(item.name), "%s", group->name);
        (void)snprintf(item.note, sizeof(item.note), "%s", group->note);
        for (uint32_t i = 0; i < m->count; i++)
                members[i] = (struct bt_carry_member){.state = m->members[i].state,
                                                      .begun = group->members[i].begun,
                                                      .due_ns = m->members[i].due_ns};
        bt_carry_put(out, BT_CARRY_GROUP, &item, sizeof(item), members,
                     m->count * sizeof(*members));
        free(members);
}

/* ---- the whole ---- */

/* @links: descriptors that are not the hub's, *@link_count of them. */
static int put_children(struct bt_carry_out *out, struct bt_hub *hub, int **links,
                        uint32_t *link_count, char *why)
{
        uint32_t processes = 0;
        int r = 0;

        bt_hub_foreach_child(child, hub) bt_list_foreach (it, &child->incs) processes++;
        *links = calloc((size_t)processes + 1, sizeof(**links));
        if (!*links)
                return -ENOMEM;
        bt_hub_foreach_child(child, hub)
        {
                put_child(out, child);
                put_belongings(out, child);
                bt_list_foreach (it, &child->incs) {
                        int link = -1;

                        if (!r)
                                r = put_process(out, bt_list_entry(it, struct bt_inc, node), &link,
                                                why);
                        if (link >= 0)
                                (*links)[(*link_count)++] = link;
                }
        }
        return r;
}

static int put_all(struct bt_carry_out *out, struct bt_hub *hub, const struct bt_carry_asker *asker,
                   int **links, uint32_t *link_count, char *why)
{
        int r = bt_carry_out_init(out);

        if (r)
                return r;
        put_hub(out, hub, asker);
        put_binaries(out, hub);
        r = put_children(out, hub, links, link_count, why);
        forget_binaries(hub);
        for (uint32_t i = 0; hub->groups && i < hub->groups->count; i++)
                put_group(out, &hub->groups->groups[i]);
        put_events(out, hub->events);
        bt_hub_control_carry(hub, out);
        bt_callers_carry(hub, out);
        bt_carry_put(out, BT_CARRY_FDS, out->fds, out->fd_count * sizeof(int32_t), NULL, 0);
        return r ? r : out->failed ? -ENOMEM : 0;
}

int bt_carry_write(struct bt_hub *hub, const struct bt_carry_asker *asker,
                   struct bt_carried *ret_carried, char ret_why[BT_CARRY_WHY_BYTES])
{
        struct bt_carry_out out = {0};
        struct bt_carried carried = BT_CARRIED_NULL;
        int r;

        *ret_why = '\0';
        r = put_all(&out, hub, asker, &carried.links, &carried.link_count, ret_why);
        if (!r)
                r = bt_carry_seal(&out, &carried.fd, &carried.xxh3);
        carried.fds = BT_STEAL(out.fds);
        carried.fd_count = out.fd_count;
        bt_carry_out_deinit(&out);
        if (r) {
                bt_carried_deinit(&carried);
                if (!*ret_why)
                        (void)snprintf(ret_why, BT_CARRY_WHY_BYTES,
                                       "what is to be carried over cannot be written: %s",
                                       strerrordesc_np(-r));
                return r;
        }
        *ret_carried = carried;
        return 0;
}
