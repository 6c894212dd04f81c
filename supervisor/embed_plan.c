/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From calls to a plan: the embedded hub is started by the very format the daemon reads, so there is one check of it (plan.c) and one meaning.
 *
 * Here is checked only what would be lost on the way into fixed records (lengths, counts) or what the caller should hear at the call that was
 * wrong; everything else is said by bt_plan_open() when the hub is started. Records are appended as the calls come, strings to a table that only grows;
 * seal puts the head in front.
 */
#include "supervisor/embed.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/fd.h"

/* ---- strings ---- */

/* Offset of a copy; lists are strings added one after the other. */
uint32_t bt_planner_put(struct bt_planner *p, const char *text)
{
        size_t bytes = strlen(text) + 1;
        uint32_t off = (uint32_t)p->strings_bytes;

        if (p->failed || p->strings_bytes + bytes > BT_PLAN_BYTES_MAX) {
                p->failed = true;
                return 0;
        }
        if (p->strings_bytes + bytes > p->strings_room) {
                size_t room = p->strings_room ? p->strings_room * 2 : 4096;
                char *strings;

                room = room > p->strings_bytes + bytes ? room : p->strings_bytes + bytes;
                strings = realloc(p->strings, room);
                if (!strings) {
                        p->failed = true;
                        return 0;
                }
                p->strings = strings;
                p->strings_room = room;
        }
        memcpy(p->strings + off, text, bytes);
        p->strings_bytes += bytes;
        return off;
}

/* The table begins with "". */
static void begin(struct bt_planner *p)
{
        if (!p->strings_bytes)
                (void)bt_planner_put(p, "");
}

static uint32_t put_or_empty(struct bt_planner *p, const char *text)
{
        return text && *text ? bt_planner_put(p, text) : 0;
}

static bool name_fits(const char *name, size_t bytes_max)
{
        return name && *name && strlen(name) <= bytes_max;
}

/* ---- sockets ---- */

int bt_planner_add_socket(struct bt_planner *p, const struct baton_hub_socket *socket, char *error, size_t error_bytes)
{
        struct bt_plan_socket *sockets, record = {.type = (uint32_t)socket->type, .backlog = (uint32_t)socket->backlog,
                                                  .mode = socket->mode, .addr_bytes = socket->addr_bytes,
                                                  .flags = socket->reuseport ? BT_PLAN_SOCKET_REUSEPORT : 0};

        if (!name_fits(socket->name, BATON_NAME_BYTES_MAX) || !socket->addr || socket->addr_bytes > sizeof(record.addr) || socket->backlog < 0) {
                (void)snprintf(error, error_bytes, "a socket needs a name of 1 to %d bytes, an address, and a backlog that is not negative",
                               BATON_NAME_BYTES_MAX);
                return -EINVAL;
        }
        if (p->socket_count == BT_PLAN_SOCKETS_MAX)
                return -ENOSPC;
        for (uint32_t i = 0; i < p->socket_count; i++) {
                if (!strcmp(p->strings + p->sockets[i].name, socket->name))
                        return -EEXIST;
        }
        sockets = realloc(p->sockets, (p->socket_count + 1) * sizeof(*sockets));
        if (!sockets)
                return -ENOMEM;
        p->sockets = sockets;
        begin(p);
        memcpy(record.addr, socket->addr, socket->addr_bytes);
        if (socket->addr->sa_family == AF_UNIX && !record.mode)
                record.mode = 0600;
        record.name = bt_planner_put(p, socket->name);
        record.text = record.name;
        p->sockets[p->socket_count++] = record;
        return p->failed ? -ENOMEM : 0;
}

int bt_planner_name_socket(struct bt_planner *p, const char *name)
{
        struct bt_plan_socket *sockets;

        if (!name_fits(name, BATON_NAME_BYTES_MAX) || p->socket_count == BT_PLAN_SOCKETS_MAX)
                return -EINVAL;
        sockets = realloc(p->sockets, (p->socket_count + 1) * sizeof(*sockets));
        if (!sockets)
                return -ENOMEM;
        p->sockets = sockets;
        begin(p);
        sockets[p->socket_count] = (struct bt_plan_socket){.name = bt_planner_put(p, name)};
        sockets[p->socket_count].text = sockets[p->socket_count].name;
        p->socket_count++;
        return p->failed ? -ENOMEM : 0;
}

/* ---- commands ---- */

/* The event of that name, if hooks reach it; _BT_EVENT_N: there is none. */
static uint32_t event_of(const char *name)
{
        uint32_t event = 0;

        while (event < _BT_EVENT_N && (bt_event_row(event)->reach != BT_EVENT_REACH_HOOK || !name || strcmp(bt_event_row(event)->name, name) != 0))
                event++;
        return event;
}

/* Where the first is, in @ret_first. */
static int put_hooks(struct bt_planner *p, const struct baton_hub_command *on, size_t count, uint32_t *ret_first, char *error, size_t error_bytes)
{
        struct bt_plan_hook *hooks;

        *ret_first = p->hook_count;
        if (!count)
                return 0;
        if (count > BT_PLAN_HOOKS_MAX - p->hook_count)
                return -ENOSPC;
        hooks = realloc(p->hooks, (p->hook_count + count) * sizeof(*hooks));
        if (!hooks)
                return -ENOMEM;
        p->hooks = hooks;
        for (size_t i = 0; i < count; i++) {
                struct bt_plan_hook hook = {.event = event_of(on[i].event)};

                if (hook.event == _BT_EVENT_N || !on[i].argv || !on[i].argv[0] || on[i].argv[0][0] != '/') {
                        (void)snprintf(error, error_bytes, "'%s' is no event that can have a command, or its program is no absolute path",
                                       on[i].event ? on[i].event : "");
                        return -EINVAL;
                }
                hook.exec = bt_planner_put(p, on[i].argv[0]);
                hook.argv = (uint32_t)p->strings_bytes;
                while (on[i].argv[hook.argv_count])
                        (void)bt_planner_put(p, on[i].argv[hook.argv_count++]);
                hooks[p->hook_count + i] = hook;
        }
        p->hook_count += (uint32_t)count;
        return p->failed ? -ENOMEM : 0;
}

int bt_planner_add_hub_hooks(struct bt_planner *p, const struct baton_hub_command *on, size_t count, char *error, size_t error_bytes)
{
        uint32_t first;
        int r;

        begin(p);
        r = put_hooks(p, on, count, &first, error, error_bytes);
        p->hub_hook_count = p->hook_count;
        return r;
}

/* ---- children ---- */

/* What the hub says by itself must not come from the program's own start. */
static bool is_ours(const char *variable)
{
        return bt_plan_reserved_variable(variable, strcspn(variable, "="));
}

static int put_program(struct bt_planner *p, const struct baton_hub_child *child, struct bt_plan_child *record)
{
        char *const *env = child->env ? child->env : environ;

        record->exec = bt_planner_put(p, child->exec);
        record->argv = (uint32_t)p->strings_bytes;
        if (!child->argv || !child->argv[0]) {
                (void)bt_planner_put(p, child->exec);
                record->argv_count = 1;
        }
        for (size_t i = 0; child->argv && child->argv[i]; i++, record->argv_count++)
                (void)bt_planner_put(p, child->argv[i]);
        record->env = (uint32_t)p->strings_bytes;
        for (size_t i = 0; env[i]; i++) {
                if (is_ours(env[i]))
                        continue;
                (void)bt_planner_put(p, env[i]);
                record->env_count++;
        }
        if (!record->env_count)
                record->env = 0;
        record->cwd = put_or_empty(p, child->cwd);
        return record->argv_count > BT_PLAN_LIST_MAX || record->env_count > BT_PLAN_LIST_MAX ? -E2BIG : 0;
}

/* The plan has a program for each child; that of a function is the one it is in, and is not executed. */
static void put_function(struct bt_planner *p, struct bt_plan_child *record)
{
        record->exec = bt_planner_put(p, "/proc/self/exe");
        record->argv = record->exec;
        record->argv_count = 1;
}

static int put_sockets(struct bt_planner *p, const struct baton_hub_child *child, struct bt_plan_child *record, char *error, size_t error_bytes)
{
        for (size_t i = 0; i < child->socket_count; i++) {
                uint32_t k = 0;

                while (k < p->socket_count && strcmp(p->strings + p->sockets[k].name, child->sockets[i]) != 0)
                        k++;
                if (k == p->socket_count || i == BT_CHILD_SOCKETS_MAX) {
                        (void)snprintf(error, error_bytes, "%s: %s '%s'", child->id,
                                       k == p->socket_count ? "no socket was added with the name" : "more than 16 sockets, the first too many is",
                                       child->sockets[i]);
                        return -EINVAL;
                }
                record->sockets[i] = k;
        }
        record->socket_count = (uint32_t)child->socket_count;
        return 0;
}

static void put_limits(const struct baton_hub_child *child, struct bt_plan_child *record)
{
        uint64_t room = child->state == BATON_STATE_ARENA ? UINT64_C(1) << 30 : UINT64_C(1) << 20;

        bt_plan_child_init(record);
        record->protocol = child->plain ? BT_PROTOCOL_PLAIN : child->notify ? BT_PROTOCOL_NOTIFY : BT_PROTOCOL_BATON;
        record->watchdog_ns = child->watchdog_ns;
        record->strategy = (uint32_t)child->strategy;
        record->handover = child->handover;
        record->state_form = child->state;
        record->state_bytes_max = child->state == BATON_STATE_NONE ? 0 : child->state_bytes_max ? child->state_bytes_max : room;
        record->restart = (uint32_t)child->restart;
        record->max_restarts = child->max_restarts == BATON_HUB_INFINITE ? UINT32_MAX : (uint32_t)child->max_restarts;
        record->max_seconds_ns = child->max_seconds_ns;
        record->backoff_min_ns = child->backoff_min_ns;
        record->backoff_max_ns = child->backoff_max_ns;
        record->healthy_ns = child->healthy_ns;
        record->shutdown_ns = child->shutdown_ns;
        record->retention_ns = child->retention_ns;
        record->handover_data_wait_ns = child->handover_data_wait_ns;
        record->child_migration_timeout_ns = child->child_migration_timeout_ns;
        record->state_ttl_ns = child->state_ttl_ns;
        record->state_query_timeout_ns = child->state_query_timeout_ns;
        record->stored_ttl_ns = child->stored_ttl_ns;
        record->on_bad_state = (uint32_t)child->on_bad_state;
        record->restore_attempts = child->restore_attempts;
        record->max_draining = child->max_draining;
        record->checkpoint = child->checkpoint || child->checkpoint_every_ns || child->durability >= BATON_HUB_ASYNC;
        record->checkpoint_every_ns = child->checkpoint_every_ns;
        record->durability = (uint32_t)child->durability;
        record->significant = child->significant;
        record->given = bt_plan_child_differs(record);
}

static const char *child_wrong(const struct baton_hub_child *child)
{
        if (!name_fits(child->id, BATON_ID_BYTES_MAX - (child->instances ? sizeof("/65535") - 1 : 0)))
                return "a child needs an id of 1 to 63 bytes, with its number";
        if (child->exec ? (child->exec[0] != '/' || child->ops || child->main) : !child->ops)
                return "a child is either a program, by an absolute path in exec, or a function, by its ops";
        if (!child->exec && (child->plain || child->argv || child->env || child->cwd))
                return "plain, argv, env and cwd are for programs";
        if (child->strategy > BATON_HUB_HOT || (child->max_restarts > BT_PLAN_RESTARTS_MAX && child->max_restarts != BATON_HUB_INFINITE))
                return "a child's strategy or max_restarts is out of range";
        if ((child->checkpoint || child->checkpoint_every_ns) && child->state == BATON_STATE_NONE)
                return "checkpoints need a state";
        if (child->durability >= BATON_HUB_ASYNC && (!child->handover || child->state == BATON_STATE_NONE))
                return "a durable child needs a state and handover";
        return NULL;
}

static int children_reserve(struct bt_planner *p, uint32_t more)
{
        struct bt_plan_child *children;

        if (more > BT_PLAN_CHILDREN_MAX || p->child_count + more > BT_PLAN_CHILDREN_MAX)
                return -ENOSPC;
        if (p->child_count + more <= p->child_room)
                return 0;
        children = realloc(p->children, sizeof(*children) * 2 * (p->child_count + more));
        if (!children)
                return -ENOMEM;
        p->children = children;
        p->child_room = (p->child_count + more) * 2;
        return 0;
}

int bt_planner_add_child(struct bt_planner *p, const struct baton_hub_child *child, char *error, size_t error_bytes)
{
        const char *wrong = child_wrong(child);
        uint32_t count = child->instances ? child->instances : 1;
        struct bt_plan_child record = {0};
        int r = wrong ? -EINVAL : children_reserve(p, count);

        if (wrong)
                (void)snprintf(error, error_bytes, "%s: %s", child->id ? child->id : "(no id)", wrong);
        if (r)
                return r;
        for (uint32_t i = 0; i < p->child_count; i++) {
                if (!strcmp(p->strings + p->children[i].pool, child->id))
                        return -EEXIST;
        }
        if (bt_planner_has_group(p, child->id))
                return -EEXIST;
        begin(p);
        put_limits(child, &record);
        r = put_sockets(p, child, &record, error, error_bytes);
        if (!r)
                r = put_hooks(p, child->on, child->on_count, &record.hook_first, error, error_bytes);
        if (r)
                return r;
        record.hook_count = (uint32_t)child->on_count;
        record.pool = bt_planner_put(p, child->id);
        if (child->exec)
                r = put_program(p, child, &record);
        else
                put_function(p, &record);
        for (uint32_t i = 0; !r && i < count; i++) {
                char id[BATON_ID_BYTES_MAX + 1];

                (void)snprintf(id, sizeof(id), "%s/%u", child->id, i);
                record.id = child->instances ? bt_planner_put(p, id) : record.pool;
                p->children[p->child_count++] = record;
        }
        return r ? r : p->failed ? -ENOMEM : 0;
}

/* ---- the memfd ---- */

int bt_planner_seal(struct bt_planner *p, const struct baton_hub_options *options, const char *runtime_dir, const char *state_dir, int *ret_fd)
{
        BT_CLEANUP(bt_closep) int fd = memfd_create("baton-plan", MFD_CLOEXEC | MFD_ALLOW_SEALING);
        size_t arrays = p->socket_count * sizeof(*p->sockets) + p->child_count * sizeof(*p->children) + p->hook_count * sizeof(*p->hooks) +
                        p->group_count * sizeof(*p->groups) + p->member_count * sizeof(*p->members);
        struct bt_plan plan = {.magic = BT_PLAN_MAGIC, .version = BT_PLAN_VERSION, .head_bytes = sizeof(plan), .socket_count = p->socket_count,
                               .child_count = p->child_count, .flags = options ? 0 : BT_PLAN_FRAGMENT, .hook_count = p->hook_count,
                               .hub_hook_count = p->hub_hook_count, .group_count = p->group_count, .member_count = p->member_count,
                               .distribution = p->distribution, .hook_timeout_ns = 5 * BT_NS_PER_S};
        int r;

        if (fd < 0)
                return -errno;
        begin(p);
        if (options) {
                plan.shutdown_timeout_ns = options->shutdown_timeout_ns;
                plan.max_parallel = options->max_parallel;
                plan.hook_timeout_ns = options->hook_timeout_ns ? options->hook_timeout_ns : plan.hook_timeout_ns;
                plan.hub = bt_planner_put(p, options->name);
                plan.runtime_dir = bt_planner_put(p, runtime_dir);
                plan.state_dir = bt_planner_put(p, state_dir);
        }
        plan.strings_off = sizeof(plan) + arrays;
        plan.strings_bytes = p->strings_bytes;
        plan.bytes = plan.strings_off + plan.strings_bytes;
        if (p->failed)
                return -ENOMEM;
        r = bt_write_all(fd, &plan, sizeof(plan));
        if (!r && p->socket_count)
                r = bt_write_all(fd, p->sockets, p->socket_count * sizeof(*p->sockets));
        if (!r && p->child_count)
                r = bt_write_all(fd, p->children, p->child_count * sizeof(*p->children));
        if (!r && p->hook_count)
                r = bt_write_all(fd, p->hooks, p->hook_count * sizeof(*p->hooks));
        if (!r && p->group_count)
                r = bt_planner_write_groups(p, fd);
        if (!r)
                r = bt_write_all(fd, p->strings, p->strings_bytes);
        if (!r && fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL) < 0)
                r = -errno;
        if (!r)
                *ret_fd = BT_STEAL_FD(fd);
        return r;
}

void bt_planner_deinit(struct bt_planner *p)
{
        free(p->strings);
        free(p->sockets);
        free(p->children);
        free(p->hooks);
        free(p->groups);
        free(p->around);
        free(p->members);
        *p = (struct bt_planner){0};
}
