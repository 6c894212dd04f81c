/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The arrays are built in memory, the strings behind them in a table that only grows; then everything is written at once and sealed.
 *
 * Instances of one child differ in their id alone: its lists are written once and all records point to them. The size limit is looked at while the
 * table grows, so a configuration that would become too large costs no more memory than the limit.
 *
 * What was written is read back through the daemon's own check before anybody gets it: if the two files disagree about the format, that is
 * said here, with the command's exit status, and not by a daemon that does not start.
 */
#include "supervisor/baton/compile.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/check.h"
#include "base/cleanup.h"
#include "base/fd.h"

struct table {
        char *bytes;
        size_t used, room;
        size_t used_max;
        bool full;
};

static void table_deinit(struct table *table)
{
        free(table->bytes);
}

/* Room for @bytes more, NULL when the table would be too large. */
static char *table_grow(struct table *table, size_t bytes)
{
        size_t need = table->used + bytes;
        char *at;

        if (need > table->used_max)
                table->full = true;
        if (table->full)
                return NULL;
        if (need > table->room) {
                size_t room = table->room ? table->room * 2 : 4096;

                room = room > need ? room : need;
                table->bytes = realloc(table->bytes, room);
                if (!table->bytes)
                        bt_mem_exhausted();
                table->room = room;
        }
        at = table->bytes + table->used;
        table->used = need;
        return at;
}

/* Offset of a copy of @text; 0 for "". */
static uint32_t table_add(struct table *table, const char *text)
{
        size_t bytes = strlen(text) + 1;
        uint32_t off = (uint32_t)table->used;
        char *at;

        if (bytes == 1 && table->used)
                return 0;
        at = table_grow(table, bytes);
        if (!at)
                return 0;
        memcpy(at, text, bytes);
        return off;
}

/* Offset of the first. An empty string in a list is written out: the list is contiguous. */
static uint32_t table_list(struct table *table, const struct bt_config_list *list)
{
        uint32_t off = (uint32_t)table->used;

        for (uint32_t i = 0; i < list->count; i++) {
                size_t bytes = strlen(list->items[i]) + 1;
                char *at = table_grow(table, bytes);

                if (!at)
                        return 0;
                memcpy(at, list->items[i], bytes);
        }
        return list->count ? off : 0;
}

/* ---- records ---- */

static void put_sockets(struct table *table, const struct bt_config *config,
                        struct bt_plan_socket *out)
{
        for (uint32_t i = 0; i < config->socket_count; i++) {
                out[i] = config->sockets[i].spec;
                out[i].name = table_add(table, config->sockets[i].name);
                out[i].text = table_add(table, config->sockets[i].text);
        }
}

/* Children whose hooks are those of `defaults` share them. */
static bool hooks_shared(const struct bt_config *config, uint32_t idx)
{
        return idx && config->children[idx].hooks.items == config->children[idx - 1].hooks.items;
}

static uint32_t hooks_count(const struct bt_config *config)
{
        uint32_t count = config->hooks.count;

        for (uint32_t i = 0; i < config->child_count; i++)
                count += hooks_shared(config, i) ? 0 : config->children[i].hooks.count;
        return count;
}

/* Writes @hooks; returns the next free record. */
static uint32_t put_hooks(struct table *table, const struct bt_config_hooks *hooks,
                          struct bt_plan_hook *out, uint32_t at)
{
        for (uint32_t i = 0; i < hooks->count; i++) {
                const struct bt_config_hook *hook = &hooks->items[i];

                out[at++] = (struct bt_plan_hook){
                        .event = hook->event,
                        .exec = table_add(table, hook->exec),
                        .argv = table_list(table, &hook->argv),
                        .argv_count = hook->argv.count,
                };
        }
        return at;
}

/* The hub's first, then the children's; tells each child where its own are. */
static void put_all_hooks(struct table *table, struct bt_config *config, struct bt_plan_hook *out)
{
        uint32_t at = put_hooks(table, &config->hooks, out, 0);

        for (uint32_t i = 0; i < config->child_count; i++) {
                struct bt_config_child *child = &config->children[i];

                if (hooks_shared(config, i)) {
                        child->spec.hook_first = config->children[i - 1].spec.hook_first;
                } else {
                        child->spec.hook_first = at;
                        at = put_hooks(table, &child->hooks, out, at);
                }
                child->spec.hook_count = child->hooks.count;
        }
}

/* Returns how many records were written. */
static uint32_t put_child(struct table *table, struct bt_config *config,
                          const struct bt_config_child *child, struct bt_plan_child *out)
{
        struct bt_plan_child record = child->spec;
        uint32_t count = child->instances ? child->instances : 1;

        record.pool = table_add(table, child->name);
        record.exec = table_add(table, child->exec);
        record.cwd = table_add(table, child->cwd);
        record.argv = table_list(table, &child->argv);
        record.argv_count = child->argv.count;
        record.env = table_list(table, &child->env);
        record.env_count = child->env.count;
        record.tags = table_list(table, &child->tags);
        record.tag_count = child->tags.count;
        record.meta = table_list(table, &child->meta);
        record.meta_count = child->meta.count;
        record.alter = child->alter ? table_add(table, child->alter) : 0;
        record.alter_argv = table_list(table, &child->alter_argv);
        record.alter_argv_count = child->alter_argv.count;
        for (uint32_t i = 0; i < count; i++) {
                out[i] = record;
                out[i].id = record.pool;
                if (child->instances)
                        out[i].id = table_add(table,
                                              bt_mem_printf(&config->mem, "%s/%u", child->name, i));
        }
        return count;
}

static uint32_t overrides_count(const struct bt_config *config)
{
        uint32_t count = 0;

        for (uint32_t i = 0; i < config->node_count; i++)
                count += config->nodes[i].override_count;
        return count;
}

/* Behind the one it is in. */
static void put_group(struct table *table, const struct bt_config *config, const struct bt_config_group *group, struct bt_plan_group *out,
                      struct bt_plan_member *members, uint32_t *at)
{
        *out = group->spec;
        out->name = table_add(table, group->name);
        out->member_first = *at;
        out->member_count = group->member_count;
        for (uint32_t i = 0; i < group->member_count; i++) {
                const struct bt_config_member *member = &group->members[i];

                members[*at] = (struct bt_plan_member){.first = member->group ? config->groups[member->idx].place : member->first};
                if (!member->group)
                        members[*at].count = config->children[member->idx].instances ? config->children[member->idx].instances : 1;
                *at += 1;
        }
}

static uint32_t members_count(const struct bt_config *config)
{
        uint32_t count = 0;

        for (uint32_t i = 0; i < config->group_count; i++)
                count += config->groups[i].member_count;
        return count;
}

static void put_groups(struct table *table, const struct bt_config *config, struct bt_plan_group *out)
{
        struct bt_plan_member *members = (void *)(out + config->group_count);
        uint32_t at = 0;

        for (uint32_t i = 0; i < config->group_count; i++)
                put_group(table, config, &config->groups[i], out + config->groups[i].place, members, &at);
}

static void put_nodes(struct table *table, const struct bt_config *config, struct bt_plan_node *out)
{
        struct bt_plan_override *overrides = (void *)(out + config->node_count);
        struct bt_plan_wish *wishes = (void *)(overrides + overrides_count(config));
        uint32_t at = 0;

        for (uint32_t i = 0; i < config->node_count; i++) {
                const struct bt_config_node *node = &config->nodes[i];

                out[i] = node->spec;
                out[i].name = table_add(table, node->name);
                out[i].env = table_list(table, &node->env);
                out[i].env_count = node->env.count;
                out[i].override_first = at;
                out[i].override_count = node->override_count;
                for (uint32_t k = 0; k < node->override_count; k++)
                        overrides[at++] = (struct bt_plan_override){
                                table_add(table, node->overrides[k].pool),
                                table_add(table, node->overrides[k].exec)};
        }
        for (uint32_t i = 0; i < config->wish_count; i++)
                wishes[i] = (struct bt_plan_wish){table_add(table, config->wishes[i].key),
                                                  table_add(table, config->wishes[i].node)};
        put_groups(table, config, (void *)(wishes + config->wish_count));
}

static void put_all(struct table *table, struct bt_config *config, struct bt_plan *plan,
                    const char *runtime, const char *state)
{
        struct bt_plan_socket *sockets = (void *)(plan + 1);
        struct bt_plan_child *children = (void *)(sockets + config->socket_count);
        struct bt_plan_hook *hooks = (void *)(children + config->expanded_count);
        uint32_t count = 0;

        (void)table_add(table, "");
        if (!config->fragment) {
                plan->hub = table_add(table, config->hub);
                plan->runtime_dir =
                        table_add(table, bt_mem_printf(&config->mem, "%s/%s", runtime, config->hub));
                plan->state_dir =
                        table_add(table, bt_mem_printf(&config->mem, "%s/%s", state, config->hub));
        }
        plan->config_path = table_add(table, config->path ? config->path : "");
        put_sockets(table, config, sockets);
        put_all_hooks(table, config, hooks);
        put_nodes(table, config, (void *)(hooks + hooks_count(config)));
        for (uint32_t i = 0; i < config->child_count && !table->full; i++)
                count += put_child(table, config, &config->children[i], children + count);
        bt_assert(table->full || count == config->expanded_count);
}

/* ---- the memfd ---- */

/* Returns 0 or -errno. */
static int plan_write(int *ret_fd, const struct bt_plan *plan, size_t head_bytes,
                      const struct table *table)
{
        BT_CLEANUP(bt_closep) int fd = memfd_create("baton-plan", MFD_CLOEXEC | MFD_ALLOW_SEALING);
        int r;

        if (fd < 0)
                return -errno;
        r = bt_write_all(fd, plan, head_bytes);
        if (!r)
                r = bt_write_all(fd, table->bytes, table->used);
        if (r)
                return r;
        if (fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL) < 0)
                return -errno;
        *ret_fd = BT_STEAL_FD(fd);
        return 0;
}

static int plan_prove(int fd, const char **ret_error)
{
        struct bt_plan_view view;
        int r = bt_plan_open(&view, fd, ret_error);

        if (!r)
                bt_plan_close(&view);
        return r;
}

int bt_compile(int *ret_fd, struct bt_config *config, const char *runtime, const char *state,
               const char **ret_error)
{
        size_t head_bytes = sizeof(struct bt_plan) +
                            config->socket_count * sizeof(struct bt_plan_socket) +
                            config->expanded_count * sizeof(struct bt_plan_child) +
                            hooks_count(config) * sizeof(struct bt_plan_hook) +
                            config->node_count * sizeof(struct bt_plan_node) +
                            overrides_count(config) * sizeof(struct bt_plan_override) +
                            config->wish_count * sizeof(struct bt_plan_wish) +
                            config->group_count * sizeof(struct bt_plan_group) +
                            members_count(config) * sizeof(struct bt_plan_member);
        BT_CLEANUP(table_deinit) struct table table = {.used_max = BT_PLAN_BYTES_MAX - head_bytes};
        BT_CLEANUP(bt_closep) int fd = -1;
        struct bt_plan *plan = bt_mem_alloc(&config->mem, head_bytes);
        int r;

        if (hooks_count(config) > BT_PLAN_HOOKS_MAX) {
                *ret_error = "more than 4096 commands in 'on', those of all children counted";
                return 1;
        }
        put_all(&table, config, plan, runtime, state);
        if (table.full) {
                *ret_error = "the plan would be larger than 64 MiB: fewer children, or shorter "
                             "environments "
                             "(env_clear: true)";
                return 1;
        }
        *plan = (struct bt_plan){
                .magic = BT_PLAN_MAGIC,
                .version = BT_PLAN_VERSION,
                .head_bytes = sizeof(*plan),
                .bytes = head_bytes + table.used,
                .socket_count = config->socket_count,
                .child_count = config->expanded_count,
                .strings_off = head_bytes,
                .strings_bytes = table.used,
                .hub = plan->hub,
                .runtime_dir = plan->runtime_dir,
                .state_dir = plan->state_dir,
                .config_path = plan->config_path,
                .shutdown_timeout_ns = config->shutdown_timeout_ns,
                .max_parallel = config->max_parallel,
                .move_retry_min_ns = config->move_retry_min_ns,
                .move_retry_max_ns = config->move_retry_max_ns,
                .flags = config->fragment ? BT_PLAN_FRAGMENT : 0,
                .hook_count = hooks_count(config),
                .hub_hook_count = config->hooks.count,
                .hook_timeout_ns = config->hook_timeout_ns,
                .node_count = config->node_count,
                .override_count = overrides_count(config),
                .wish_count = config->wish_count,
                .distribution = config->distribution,
                .group_count = config->group_count,
                .member_count = members_count(config),
        };
        r = plan_write(&fd, plan, head_bytes, &table);
        if (r) {
                *ret_error = bt_mem_printf(&config->mem, "cannot make a memfd for the plan: %s",
                                           strerrordesc_np(-r));
                return 1;
        }
        if (plan_prove(fd, ret_error)) {
                *ret_error = bt_mem_printf(
                        &config->mem,
                        "this is our mistake, please report it: the plan is refused (%s)",
                        *ret_error);
                return 1;
        }
        *ret_fd = BT_STEAL_FD(fd);
        return 0;
}
