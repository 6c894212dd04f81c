/* SPDX-License-Identifier: Apache-2.0 */
/* See the header. Nothing here starts a process, so a description can be made and thrown away. */
#include "supervisor/start.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fd.h"
#include "base/scm.h"
#include "supervisor/alter.h"
#include "supervisor/callers.h"
#include "supervisor/embed.h"
#include "supervisor/mailbox.h"
#include "supervisor/replicas.h"

#define FIRST_FD 3


struct bt_inc_start *bt_start_free(struct bt_inc_start *start)
{
        if (!start)
                return NULL;
        (void)bt_close(start->link_fd);
        (void)bt_close(start->child_channel);
        (void)bt_close(start->handoff_end);
        (void)bt_close(start->out_end);
        (void)bt_close(start->err_end);
        free(start->argv);
        free(start->envp);
        free(start);
        return NULL;
}

struct bt_inc_start *bt_start_new(void)
{
        struct bt_inc_start *start = calloc(1, sizeof(*start));

        if (start)
                *start = (struct bt_inc_start){.spawn = BT_SPAWN_NULL, .link_fd = -1, .link_to = -1,
                                               .child_channel = -1, .handoff_end = -1, .out_end = -1, .err_end = -1};
        return start;
}

/* A NULL-terminated vector over a list of the plan's strings, with room for @more. */
static char **start_vector(const struct bt_plan_view *plan, uint32_t first, uint32_t count, uint32_t more)
{
        char **vector = calloc((size_t)count + more + 1, sizeof(*vector));
        const char *at = bt_plan_string(plan, first);

        for (uint32_t i = 0; vector && i < count; i++) {
                vector[i] = (char *)at; /* exec's signature lacks a const */
                at = bt_plan_string_next(at);
        }
        return vector;
}

/* The node's variables over those of the child. Returns how many there are by now. */
static size_t start_node_env(struct bt_inc_start *start, const struct bt_hub_node *node, size_t count)
{
        const char *at = bt_plan_string(&node->plan->view, node->spec->env);

        for (uint32_t i = 0; i < node->spec->env_count; i++, at = bt_plan_string_next(at)) {
                size_t name_bytes = strcspn(at, "=") + 1;
                size_t k = 0;

                while (k < count && strncmp(start->envp[k], at, name_bytes) != 0)
                        k++;
                start->envp[k] = (char *)at;
                count += k == count;
        }
        return count;
}

/* What a program that uses no library left with the hub (FDSTORE), behind its sockets. */
static size_t start_kept(struct bt_inc_start *start, const struct bt_child *child, size_t used, int *to)
{
        for (uint32_t i = 0; i < child->kept_count; i++) {
                (void)bt_spawn_move(&start->spawn, child->kept[i].fd, (*to)++);
                used += (size_t)snprintf(start->names_env + used, sizeof(start->names_env) - used, "%s%s", start->listen_count ? ":" : "",
                                         child->kept[i].name);
                start->listen_count++;
        }
        return used;
}

/* Listening sockets from descriptor 3 on, and the variables that announce them. Returns the next free number. */
static int start_sockets(struct bt_inc_start *start, const struct bt_child *child)
{
        const struct bt_plan_view *plan = &child->plan->view;
        size_t used = (size_t)snprintf(start->names_env, sizeof(start->names_env), "LISTEN_FDNAMES=");
        int to = FIRST_FD;

        for (uint32_t i = 0; i < child->spec->socket_count; i++) {
                uint32_t idx = child->spec->sockets[i];

                (void)bt_spawn_move(&start->spawn, child->hub->sockets[child->plan->sockets[idx]], to++);
                used += (size_t)snprintf(start->names_env + used, sizeof(start->names_env) - used, "%s%s", i ? ":" : "",
                                         bt_plan_string(plan, plan->sockets[idx].name));
        }
        start->listen_count = child->spec->socket_count;
        if (child->spec->protocol == BT_PROTOCOL_NOTIFY)
                (void)start_kept(start, child, used, &to);
        (void)snprintf(start->listen_env, sizeof(start->listen_env), "LISTEN_FDS=%u", start->listen_count);
        memcpy(start->pid_env, BT_START_PID_TEXT, sizeof(BT_START_PID_TEXT));
        start->spawn.pid_room = start->pid_env + strlen("LISTEN_PID=");
        return to;
}

/* The child's mailbox, the same for each of its processes. */
static void start_mail(struct bt_inc_start *start, struct bt_inc *inc, int *to)
{
        const struct bt_mail *mail = inc->child->mail;
        const int from[_BT_LINK_MAIL_N] = {mail->fd, mail->desk_fd, mail->bell};

        for (int i = 0; i < _BT_LINK_MAIL_N; i++) {
                (void)bt_spawn_move(&start->spawn, from[i], *to);
                inc->link->mail_fds[i] = (*to)++;
        }
        inc->link->owner = bt_callers_number(inc->child->hub);
}

/* Gives the process descriptor @from as the next number, and writes it into the link. */
static void start_link_fd(struct bt_inc_start *start, struct bt_inc *inc, enum bt_link_fd which, int from, int *to)
{
        if (from < 0)
                return;
        (void)bt_spawn_move(&start->spawn, from, *to);
        inc->link->fds[which] = (*to)++;
}

/* A process that is held gets its hand-off socket empty: nobody has passed anything yet. */
static int start_handoff(struct bt_inc_start *start, struct bt_inc *inc, const struct bt_inc_spawn *how)
{
        int ends[2];
        int r;

        if (how->parcel && !how->hold)
                return bt_parcel_send(how->parcel, &start->handoff_end);
        if (!how->ret_handoff && !how->hold)
                return 0;
        r = bt_scm_pair(ends);
        if (r)
                return r;
        inc->handoff = ends[0];
        start->handoff_end = ends[1];
        return 0;
}

static int start_link(struct bt_inc_start *start, struct bt_inc *inc, const struct bt_inc_spawn *how, int to)
{
        struct bt_stock_set set;
        int r = bt_stock_take(inc->child->hub, &set, inc->number, inc->reason);

        if (r)
                return r;
        inc->link_seg = set.link_seg;
        start->link_fd = set.link_fd;
        inc->bell = set.bell;
        inc->channel = set.channel[0];
        start->child_channel = set.channel[1];
        inc->link = inc->link_seg.at;
        inc->link->slot_idx = how->seat.slot_idx;
        inc->link->hold = how->hold;
        inc->link->hold_flags = how->hold_flags;
        inc->link->hub_pid = (int32_t)getpid();
        atomic_store(&inc->link->mode_told, inc->mode);
        atomic_store(&inc->link->mode_taken, inc->mode);
        bt_ring_end_init_push(&inc->outbox, &inc->link->to_child);
        bt_ring_end_init_pop(&inc->inbox, &inc->link->to_hub);

        r = start_handoff(start, inc, how);
        if (r)
                return r;

        (void)bt_spawn_move(&start->spawn, start->link_fd, to);
        start->link_to = to;
        (void)snprintf(start->held_env, sizeof(start->held_env), BT_HELD_VARIABLE "=%d", to);
        (void)snprintf(start->link_env, sizeof(start->link_env), "BATON_LINK_FD=%d", to++);
        start_link_fd(start, inc, BT_LINK_FD_BELL, inc->bell, &to);
        start_link_fd(start, inc, BT_LINK_FD_HUB_BELL, start->child_channel, &to);
        start_link_fd(start, inc, BT_LINK_FD_CHANNEL, start->child_channel, &to);
        start_link_fd(start, inc, BT_LINK_FD_BATON, inc->holding->fd, &to);
        start_link_fd(start, inc, BT_LINK_FD_HANDOFF, start->handoff_end, &to);
        start_link_fd(start, inc, BT_LINK_FD_NODE, how->seat.node->dir.fd, &to);
        start_link_fd(start, inc, BT_LINK_FD_HUB_CHANNEL, inc->channel, &to);
        start_link_fd(start, inc, BT_LINK_FD_OUT, inc->out.fd, &to);
        start_link_fd(start, inc, BT_LINK_FD_ERR, inc->err.fd, &to);
        if (inc->child->mail)
                start_mail(start, inc, &to);
        return 0;
}

static int start_notify(struct bt_inc_start *start, struct bt_inc *inc, size_t *n)
{
        int r = bt_notify_open(inc, start->notify_env);

        if (r)
                return r;
        start->envp[(*n)++] = start->notify_env;
        if (inc->child->spec->watchdog_ns) {
                (void)snprintf(start->watchdog_env, sizeof(start->watchdog_env), "WATCHDOG_USEC=%llu",
                               (unsigned long long)(inc->child->spec->watchdog_ns / BT_NS_PER_US));
                start->envp[(*n)++] = start->watchdog_env;
        }
        return 0;
}

/* What tells this instance from the others; a plain program has no other way to know. */
static void start_instance(struct bt_inc_start *start, const struct bt_inc *inc, const struct bt_hub_node *node, size_t *n)
{
        (void)snprintf(start->id_env, sizeof(start->id_env), "BATON_CHILD=%s", inc->child->id);
        (void)snprintf(start->node_env, sizeof(start->node_env), "BATON_NODE=%s", node->name);
        (void)snprintf(start->mode_env, sizeof(start->mode_env), "BATON_MODE=%s", bt_mode_name(inc->mode));
        start->envp[(*n)++] = start->id_env;
        start->envp[(*n)++] = start->node_env;
        start->envp[(*n)++] = start->mode_env;
}

int bt_start_describe(struct bt_inc_start *start, struct bt_inc *inc, const struct bt_inc_spawn *how)
{
        const struct bt_child *child = how->child;
        const struct bt_plan_view *plan = &child->plan->view;
        const struct bt_plan_child *spec = child->spec;
        const char *cwd = *bt_plan_string(plan, spec->cwd) ? bt_plan_string(plan, spec->cwd) : NULL;
        size_t altered = bt_alter_count(child), n;
        int to, r = 0;

        start->argv = start_vector(plan, spec->argv, spec->argv_count, (uint32_t)altered);
        start->envp = start_vector(plan, spec->env, spec->env_count, how->seat.node->spec->env_count + 11 + (uint32_t)altered);
        if (!start->argv || !start->envp)
                return -ENOMEM;
        n = bt_alter_apply(child, start->argv, spec->argv_count, start->envp, spec->env_count, &cwd);
        n = start_node_env(start, how->seat.node, n);

        (void)bt_spawn_move(&start->spawn, child->hub->null_fd, 0);
        (void)bt_spawn_move(&start->spawn, start->out_end >= 0 ? start->out_end : start->err_end, 1);
        (void)bt_spawn_move(&start->spawn, start->err_end, 2);
        to = start_sockets(start, child);
        if (spec->protocol == BT_PROTOCOL_BATON)
                r = start_link(start, inc, how, to);
        if (spec->protocol == BT_PROTOCOL_NOTIFY)
                r = start_notify(start, inc, &n);
        if (start->listen_count) {
                start->envp[n++] = start->listen_env;
                start->envp[n++] = start->names_env;
                start->envp[n++] = start->pid_env;
        } else {
                start->spawn.pid_room = NULL;
        }
        if (inc->link)
                start->envp[n++] = start->link_env;
        if (inc->link && how->hold)
                start->envp[n++] = start->held_env;
        if (child->replicas)
                start_instance(start, inc, how->seat.node, &n);

        if (how->binary->function) {
                start->call = (struct bt_function_call){.function = how->binary->function, .hub = child->hub, .id = child->id,
                                                        .socket_names = strchr(start->names_env, '=') + 1, .socket_count = spec->socket_count,
                                                        .link_fd = start->link_to, .last_fd = start->spawn.moves[start->spawn.move_count - 1].to};
                start->spawn.run = bt_function_run;
                start->spawn.run_arg = &start->call;
                r = r ? r : bt_function_hide(child->hub->embed->state_dir);
        }
        start->spawn.exec_fd = how->binary->script ? -1 : how->binary->fd;
        start->spawn.exec_path = how->binary->path;
        start->spawn.argv = start->argv;
        start->spawn.envp = start->envp;
        start->spawn.cwd = cwd;
        start->spawn.place = how->seat.node->placed ? &how->seat.node->place : NULL;
        start->spawn.new_session = 1;
        start->spawn.nofile = child->hub->nofile;
        return r;
}

void bt_start_register(struct bt_inc_start *start, struct bt_inc *inc, const struct bt_hub_node *node)
{
        struct bt_registry_entry *entry = bt_registry_add(&inc->child->hub->registry, inc->binary->path, node->name);

        if (!entry)
                return;
        entry->link_epoch = inc->link ? inc->link->head.epoch : 0;
        entry->incarnation = inc->number;
        entry->link_fd = start->link_to;
        entry->socket_count = inc->child->spec->socket_count;
        entry->script = (uint32_t)inc->binary->script;
        (void)snprintf(entry->id, sizeof(entry->id), "%s", inc->child->id);
        start->spawn.pid_out = &entry->pid;
        inc->entry = entry;
        atomic_store_explicit(&entry->live, 1, memory_order_release);
}
