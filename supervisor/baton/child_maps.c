/* SPDX-License-Identifier: Apache-2.0 */
/* The keys of a child that are a list or a map. */
#include <errno.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>

#include "base/clock.h"
#include "shm/layout.h"
#include "supervisor/baton/child_key.h"
#include "supervisor/baton/text.h"
#include "supervisor/baton/value.h"

static const struct bt_word form_words[] = {{"none", BATON_STATE_NONE},
                                            {"blob", BATON_STATE_BLOB},
                                            {"arena", BATON_STATE_ARENA},
                                            {NULL, 0}};

/* ---- lists of texts ---- */

bool bt_read_list(struct bt_reader *reader, const struct bt_yaml *value, const char *name,
                  struct bt_config_list *ret)
{
        struct bt_config_list list = {.count = value->entry_count};

        list.items = bt_mem_array(&reader->config->mem, list.count, sizeof(*list.items));
        for (uint32_t i = 0; i < list.count; i++) {
                const struct bt_yaml *item = value->entries[i].value;

                if (item->kind != BT_YAML_SCALAR) {
                        if (item->kind != BT_YAML_BROKEN)
                                bt_diag_error(reader->diag, item->mark,
                                              "'%s' expects texts, and this is %s", name,
                                              bt_yaml_kind_name(item->kind));
                        return false;
                }
                list.items[i] = item->text;
        }
        *ret = list;
        return true;
}

void bt_child_apply_exec(struct bt_reader *reader, struct bt_config_child *child,
                         const struct bt_child_key *key, const struct bt_yaml *value)
{
        if (value->kind == BT_YAML_SCALAR) {
                bt_diag_error(reader->diag, value->mark,
                              "'exec' expects a list, such as [./web, --fast]: no shell splits a "
                              "text into words");
                return;
        }
        if (!bt_read_kind(reader, value, BT_YAML_LIST, key->name, "[./web, --fast]"))
                return;
        if (!value->entry_count)
                bt_diag_error(reader->diag, value->mark, "'exec' is empty");
        else if (value->entry_count > BT_PLAN_LIST_MAX)
                bt_diag_error(reader->diag, value->mark, "'exec' has more than %d words",
                              BT_PLAN_LIST_MAX);
        else if (bt_read_list(reader, value, key->name, &child->argv)) {
                child->argv_mark = value->entries[0].value->mark;
        }
}

/* Of the hub that the children are for, which knows its address. */
static void add_named_socket(struct bt_reader *reader, struct bt_config_child *child,
                             const struct bt_yaml *item)
{
        struct bt_config *config = reader->config;
        const char *wrong = bt_read_name(item->text, BATON_NAME_BYTES_MAX);

        if (!wrong && config->socket_count == BT_PLAN_SOCKETS_MAX)
                wrong = "is one too many: a hub has at most 256 sockets";
        if (wrong) {
                bt_diag_error(reader->diag, item->mark, "the socket '%s' %s", item->text, wrong);
                return;
        }
        if (!config->sockets)
                config->sockets =
                        bt_mem_array(&config->mem, BT_PLAN_SOCKETS_MAX, sizeof(*config->sockets));
        config->sockets[config->socket_count] = (struct bt_config_socket){
                .name = item->text, .text = item->text, .name_mark = item->mark, .used = true};
        child->spec.sockets[child->spec.socket_count++] = config->socket_count++;
}

static void add_socket(struct bt_reader *reader, struct bt_config_child *child,
                       const struct bt_yaml *item)
{
        struct bt_config *config = reader->config;
        const char *names[BT_PLAN_SOCKETS_MAX + 1] = {NULL};
        const char *guess;

        for (uint32_t i = 0; i < config->socket_count; i++) {
                names[i] = config->sockets[i].name;
                if (strcmp(item->text, names[i]) != 0)
                        continue;
                for (uint32_t j = 0; j < child->spec.socket_count; j++)
                        if (child->spec.sockets[j] == i) {
                                bt_diag_error(reader->diag, item->mark,
                                              "the socket '%s' is here twice", item->text);
                                return;
                        }
                child->spec.sockets[child->spec.socket_count++] = i;
                config->sockets[i].used = true;
                return;
        }
        if (config->fragment) {
                add_named_socket(reader, child, item);
                return;
        }
        guess = bt_text_suggest(item->text, names);
        bt_diag_error(reader->diag, item->mark, "no socket has the name '%s'%s%s%s", item->text,
                      guess ? " (did you mean '" : "", guess ? guess : "", guess ? "'?)" : "");
}

void bt_child_apply_sockets(struct bt_reader *reader, struct bt_config_child *child,
                            const struct bt_child_key *key, const struct bt_yaml *value)
{
        struct bt_config_list list = {0};

        if (!bt_read_kind(reader, value, BT_YAML_LIST, key->name, "[http]") ||
            !bt_read_list(reader, value, key->name, &list))
                return;
        if (list.count > BT_CHILD_SOCKETS_MAX) {
                bt_diag_error(reader->diag, value->mark, "a child has at most %d sockets",
                              BT_CHILD_SOCKETS_MAX);
                return;
        }
        child->spec.socket_count = 0;
        memset(child->spec.sockets, 0, sizeof(child->spec.sockets));
        for (uint32_t i = 0; i < list.count; i++)
                add_socket(reader, child, value->entries[i].value);
}

/* ---- small maps ---- */

static void read_state_max(struct bt_reader *reader, struct bt_config_child *child,
                           const struct bt_yaml *value)
{
        const char *text = bt_read_text(reader, value, "max");
        uint64_t bytes = 0;
        const char *wrong = text ? bt_value_size(&bytes, text) : NULL;

        if (!text)
                return;
        if (!wrong && (bytes < 1 || bytes > BT_ARENA_BYTES_MAX))
                wrong = "a state has from 1 byte to 1TiB";
        if (wrong)
                bt_diag_error(reader->diag, value->mark, "'max' is '%s': %s", text, wrong);
        else
                child->spec.state_bytes_max = bytes;
}

void bt_child_apply_state(struct bt_reader *reader, struct bt_config_child *child,
                          const struct bt_child_key *key, const struct bt_yaml *value)
{
        static const char *const known[] = {"form", "max", NULL};
        const struct bt_yaml *form = bt_yaml_get(value, "form");
        const struct bt_yaml *max = bt_yaml_get(value, "max");

        child->state_mark = value->mark;
        if (value->kind == BT_YAML_SCALAR) {
                (void)bt_read_word(reader, value, key->name, form_words, &child->spec.state_form);
                return;
        }
        if (!bt_read_kind(reader, value, BT_YAML_MAP, key->name, "{form: arena, max: 1GiB}"))
                return;
        bt_read_known(reader, value, known);
        if (form)
                (void)bt_read_word(reader, form, "form", form_words, &child->spec.state_form);
        if (max) {
                child->state_mark = max->mark;
                read_state_max(reader, child, max);
        }
}

void bt_read_backoff(struct bt_reader *reader, const struct bt_yaml *value, const char *name,
                     uint64_t *min_ns, uint64_t *max_ns)
{
        static const char *const known[] = {"min", "max", NULL};
        static const struct bt_child_key unit = {.plain_ns = BT_NS_PER_MS, .limit = BT_NS_PER_MS};
        const struct bt_yaml *min = bt_yaml_get(value, "min");
        const struct bt_yaml *max = bt_yaml_get(value, "max");

        if (!bt_read_kind(reader, value, BT_YAML_MAP, name, "{min: 100ms, max: 10s}"))
                return;
        bt_read_known(reader, value, known);
        if (min)
                bt_read_duration(reader, min, "min", &unit, min_ns);
        if (max)
                bt_read_duration(reader, max, "max", &unit, max_ns);
        if (*min_ns > *max_ns) {
                bt_diag_error(reader->diag, value->mark, "'%s': min is longer than max", name);
                *max_ns = *min_ns;
        }
}

void bt_child_apply_backoff(struct bt_reader *reader, struct bt_config_child *child,
                            const struct bt_child_key *key, const struct bt_yaml *value)
{
        bt_read_backoff(reader, value, key->name, &child->spec.backoff_min_ns,
                        &child->spec.backoff_max_ns);
}

static void read_variable(struct bt_reader *reader, struct bt_config_list *env,
                          const struct bt_yaml_entry *entry)
{
        const struct bt_yaml *key = entry->key, *value = entry->value;

        if (!*key->text || strchr(key->text, '='))
                bt_diag_error(reader->diag, key->mark, "'%s' cannot be the name of a variable",
                              key->text);
        else if (bt_plan_reserved_variable(key->text, strlen(key->text)))
                bt_diag_error(reader->diag, key->mark, "the hub itself sets '%s' for each process",
                              key->text);
        else if (value->kind == BT_YAML_SCALAR && (*value->text || value->quoted))
                env->items[env->count++] =
                        bt_mem_printf(&reader->config->mem, "%s=%s", key->text, value->text);
        else if (value->kind == BT_YAML_SCALAR)
                bt_diag_error(reader->diag, key->mark,
                              "'%s' has no value (write '' for an empty one)", key->text);
        else if (value->kind != BT_YAML_BROKEN)
                bt_diag_error(reader->diag, value->mark, "'%s' expects one value, and this is %s",
                              key->text, bt_yaml_kind_name(value->kind));
}

/* Onto what `defaults` has: the child's come later, and later ones win. */
void bt_read_variables(struct bt_reader *reader, struct bt_config_list *env,
                       const struct bt_yaml *value, const char *key)
{
        struct bt_config_list all = *env;

        if (!bt_read_kind(reader, value, BT_YAML_MAP, key, "{LOG_LEVEL: info}"))
                return;
        all.items = bt_mem_array(&reader->config->mem, all.count + value->entry_count,
                                 sizeof(*all.items));
        if (all.count)
                memcpy(all.items, env->items, all.count * sizeof(*all.items));
        for (uint32_t i = 0; i < value->entry_count; i++)
                read_variable(reader, &all, &value->entries[i]);
        *env = all;
}

void bt_child_apply_env(struct bt_reader *reader, struct bt_config_child *child,
                        const struct bt_child_key *key, const struct bt_yaml *value)
{
        bt_read_variables(reader, &child->own_env, value, key->name);
}

void bt_child_apply_cwd(struct bt_reader *reader, struct bt_config_child *child,
                        const struct bt_child_key *key, const struct bt_yaml *value)
{
        const char *text = bt_read_text(reader, value, key->name);
        struct stat st;

        if (!text)
                return;
        child->cwd = bt_read_path(reader, text);
        if (strlen(child->cwd) >= PATH_MAX)
                bt_diag_error(reader->diag, value->mark, "'cwd': the path is too long");
        else if (reader->world->offline)
                return;
        else if (stat(child->cwd, &st) < 0)
                bt_diag_error(reader->diag, value->mark, "'cwd' is %s: %s", child->cwd,
                              strerrordesc_np(errno));
        else if (!S_ISDIR(st.st_mode))
                bt_diag_error(reader->diag, value->mark, "'cwd' is %s, which is not a directory",
                              child->cwd);
}
