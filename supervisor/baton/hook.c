/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `on:` of the whole hub, of `defaults` and of a child: which command runs at which event.
 *
 *      on:
 *        child_given_up: [./page, --urgent]
 *        shutdown_begun: [logger, stopping]
 *
 * A child's map is laid over that of `defaults`, event by event. The hub's own is not: what it names runs in addition. Programs are found as those of
 * children are, here and now, so a hook that cannot run is an error of the configuration and not a surprise at the event.
 */
#include <limits.h>
#include <string.h>

#include "base/cleanup.h"
#include "supervisor/baton/find.h"
#include "supervisor/baton/reader.h"
#include "supervisor/baton/text.h"

/* The event @key names, _BT_EVENT_N: none that can be used, and said so. */
static uint32_t hook_event(struct bt_reader *reader, const struct bt_yaml *key)
{
        const char *names[_BT_EVENT_N + 1] = {NULL};
        const char *guess;
        size_t n = 0;

        for (uint32_t event = 0; event < _BT_EVENT_N; event++) {
                const struct bt_event_row *row = bt_event_row(event);

                if (row->reach == BT_EVENT_REACH_HOOK)
                        names[n++] = row->name;
                if (strcmp(key->text, row->name) != 0)
                        continue;
                if (row->reach == BT_EVENT_REACH_HOOK)
                        return event;
                bt_diag_error(reader->diag, key->mark, "'%s' can have no command: it tells of commands itself (see 'baton events')",
                              key->text);
                return _BT_EVENT_N;
        }
        guess = bt_text_suggest(key->text, names);
        bt_diag_error(reader->diag, key->mark, "no event has the name '%s'%s%s%s", key->text,
                      guess ? " (did you mean '" : "", guess ? guess : "",
                      guess ? "'?)" : "; docs/config.md lists them");
        return _BT_EVENT_N;
}

const char *bt_read_program(struct bt_reader *reader, const struct bt_yaml *item, const char *key)
{
        const char *path, *wrong;

        if (!*item->text) {
                bt_diag_error(reader->diag, item->mark, "'%s': the name of the program is empty",
                              key);
                return NULL;
        }
        if (strlen(reader->world->dir) + strlen(item->text) + 2 > PATH_MAX) {
                bt_diag_error(reader->diag, item->mark, "'%s': the path is too long", key);
                return NULL;
        }
        if (reader->world->offline)
                return bt_read_path(reader, item->text);
        if (!strchr(item->text, '/')) {
                path = bt_find_in_path(&reader->config->mem, reader->world->environ, item->text);
                if (!path)
                        bt_diag_error(
                                reader->diag, item->mark,
                                "no program '%s' in PATH (write ./%s for one beside this file)",
                                item->text, item->text);
                return path;
        }
        path = bt_read_path(reader, item->text);
        wrong = bt_find_not_executable(path);
        if (wrong)
                bt_diag_error(reader->diag, item->mark, "'%s' is %s: %s", key, path, wrong);
        return wrong ? NULL : path;
}

/* Replaces the one of the same key that is there. */
static void hook_put(struct bt_config_hooks *hooks, const struct bt_config_hook *hook)
{
        for (uint32_t i = 0; i < hooks->count; i++) {
                if (hooks->items[i].event == hook->event) {
                        hooks->items[i] = *hook;
                        return;
                }
        }
        hooks->items[hooks->count++] = *hook;
}

bool bt_read_command(struct bt_reader *reader, const struct bt_yaml *value, const char *name,
                     const char **ret_exec, struct bt_config_list *ret_argv)
{
        struct bt_config_list argv = {0};
        const char *exec;

        if (value->kind == BT_YAML_SCALAR) {
                bt_diag_error(reader->diag, value->mark,
                              "'%s' expects a list, such as [./tell, --quiet]: no shell splits a "
                              "text into words",
                              name);
                return false;
        }
        if (!bt_read_kind(reader, value, BT_YAML_LIST, name, "[./tell, --quiet]") ||
            !bt_read_list(reader, value, name, &argv))
                return false;
        if (!argv.count) {
                bt_diag_error(reader->diag, value->mark, "'%s' is an empty list", name);
                return false;
        }
        if (argv.count > BT_PLAN_LIST_MAX) {
                bt_diag_error(reader->diag, value->mark, "'%s' has more than %d words", name,
                              BT_PLAN_LIST_MAX);
                return false;
        }
        exec = bt_read_program(reader, value->entries[0].value, name);
        if (!exec)
                return false;
        *ret_exec = exec;
        *ret_argv = argv;
        return true;
}

static void read_hook(struct bt_reader *reader, struct bt_config_hooks *hooks,
                      const struct bt_yaml_entry *entry)
{
        struct bt_config_hook hook = {.event = hook_event(reader, entry->key)};

        if (hook.event != _BT_EVENT_N &&
            bt_read_command(reader, entry->value, entry->key->text, &hook.exec, &hook.argv))
                hook_put(hooks, &hook);
}

void bt_read_hooks(struct bt_reader *reader, struct bt_config_hooks *hooks,
                   const struct bt_yaml *map)
{
        struct bt_config_hooks own = {.count = hooks->count};

        if (!bt_read_kind(reader, map, BT_YAML_MAP, "on", "{child_given_up: [./tell]}"))
                return;
        /* A copy: what is there may be that of `defaults`. */
        own.items = bt_mem_array(&reader->config->mem, _BT_EVENT_N, sizeof(*own.items));
        if (own.count)
                memcpy(own.items, hooks->items, own.count * sizeof(*own.items));
        for (uint32_t i = 0; i < map->entry_count; i++) {
                if (strncmp(map->entries[i].key->text, "x-", 2) != 0)
                        read_hook(reader, &own, &map->entries[i]);
        }
        *hooks = own;
}
