/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `nodes` and `distribution`: where children run, and how they are shared out. The keys of a node are read from the file and from the options of
 * `baton node add` by the same functions.
 *
 * What can be known here is said here: a map that names a node or a child that there is not, a child that no map knows. Whether a processor is there or
 * a cgroup can be had is known where the hub runs, when it runs.
 */
#include <string.h>

#include <baton/types.h>

#include "base/cleanup.h"
#include "shm/layout.h"
#include "supervisor/baton/reader.h"
#include "supervisor/baton/text.h"
#include "supervisor/baton/value.h"

/* ---- a node ---- */

static void read_cpus(struct bt_reader *reader, struct bt_config_node *node,
                      const struct bt_yaml *value)
{
        const char *text = bt_read_text(reader, value, "cpus");
        const char *wrong = text ? bt_value_set(node->spec.cpus, BT_PLAN_CPUS_MAX, text) : NULL;

        if (wrong)
                bt_diag_error(reader->diag, value->mark, "'cpus' is '%s': %s", text, wrong);
}

static void read_memory(struct bt_reader *reader, struct bt_config_node *node,
                        const struct bt_yaml *value)
{
        const char *text = bt_read_text(reader, value, "memory");
        const char *wrong = text ? bt_value_size(&node->spec.memory_max, text) : NULL;

        if (!text)
                return;
        if (!wrong && (!node->spec.memory_max || node->spec.memory_max > BT_ARENA_BYTES_MAX))
                wrong = "it must be more than 0, and at most 1TiB";
        if (wrong)
                bt_diag_error(reader->diag, value->mark, "'memory' is '%s': %s", text, wrong);
}

static void read_weight(struct bt_reader *reader, struct bt_config_node *node,
                        const struct bt_yaml *value)
{
        const char *text = bt_read_text(reader, value, "weight");
        uint64_t number = 0;
        const char *wrong = text ? bt_value_number(&number, text, 0, BT_PLAN_WEIGHT_MAX) : NULL;

        if (wrong)
                bt_diag_error(reader->diag, value->mark, "'weight' is '%s': %s (0 to %d)", text,
                              wrong, BT_PLAN_WEIGHT_MAX);
        else if (text)
                node->spec.weight = (uint32_t)number;
}

static void read_signed(struct bt_reader *reader, const struct bt_yaml *value, const char *key,
                        int32_t min, int32_t max, int32_t *ret)
{
        const char *text = bt_read_text(reader, value, key);
        const char *wrong = text ? bt_value_signed(ret, text, min, max) : NULL;

        if (wrong)
                bt_diag_error(reader->diag, value->mark, "'%s' is '%s': %s (%d to %d)", key, text,
                              wrong, min, max);
}

static void read_nice(struct bt_reader *reader, struct bt_config_node *node,
                      const struct bt_yaml *value)
{
        read_signed(reader, value, "nice", -40, 39, &node->spec.nice);
}

static void read_numa(struct bt_reader *reader, struct bt_config_node *node,
                      const struct bt_yaml *value)
{
        read_signed(reader, value, "numa", 0, BT_PLAN_NUMA_MAX, &node->spec.numa);
}

static void read_env(struct bt_reader *reader, struct bt_config_node *node,
                     const struct bt_yaml *value)
{
        bt_read_variables(reader, &node->env, value, "env");
}

static void read_exec(struct bt_reader *reader, struct bt_config_node *node,
                      const struct bt_yaml *value)
{
        if (!bt_read_kind(reader, value, BT_YAML_MAP, "exec", "{web: ./web-v2}"))
                return;
        node->overrides =
                bt_mem_array(&reader->config->mem, value->entry_count, sizeof(*node->overrides));
        for (uint32_t i = 0; i < value->entry_count; i++) {
                const struct bt_yaml_entry *entry = &value->entries[i];
                const char *wrong = bt_read_id(entry->key->text, BATON_NAME_BYTES_MAX);
                const char *exec = NULL;

                if (wrong)
                        bt_diag_error(reader->diag, entry->key->mark, "a pool's name %s", wrong);
                else if (bt_read_text(reader, entry->value, "exec"))
                        exec = bt_read_program(reader, entry->value, "exec");
                if (exec)
                        node->overrides[node->override_count++] = (struct bt_config_override){
                                entry->key->text, exec, entry->key->mark};
        }
}

static bool is_option(const char *name)
{
        static const char *const names[] = {
#define X(member, key, inner) key,
                BT_PLAN_OPTION_TABLE(X)
#undef X
        };

        for (size_t i = 0; i < BT_ARRAY_LEN(names); i++) {
                if (!strcmp(names[i], name))
                        return true;
        }
        return false;
}

static bool is_child_key(const char *name)
{
        const char *key;

        for (size_t i = 0; (key = bt_read_child_key(i)); i++) {
                if (!strcmp(key, name))
                        return true;
        }
        return false;
}

/* As `defaults` of the file are read, into a child that nobody runs. */
static void read_defaults(struct bt_reader *reader, struct bt_config_node *node,
                          const struct bt_yaml *map)
{
        struct bt_config_child child;
        bool good = true;

        if (!bt_read_kind(reader, map, BT_YAML_MAP, "defaults", "{retention: 30s}"))
                return;
        for (uint32_t i = 0; i < map->entry_count; i++) {
                const struct bt_yaml *key = map->entries[i].key;
                bool own = !strcmp(key->text, "env") || !strcmp(key->text, "exec");

                if (!is_child_key(key->text) || is_option(key->text))
                        continue;
                good = false;
                bt_diag_error(reader->diag, key->mark, "'%s' cannot be a default of a node: %s",
                              key->text,
                              own ? "a node has a key of this name itself"
                                  : "it belongs to the child, wherever that runs");
        }
        if (!good)
                return;
        bt_read_child_init(&child);
        bt_read_child_keys(reader, &child, map);
        node->defaults = map;
        node->spec.defaults = child.spec;
        node->spec.defaults.given = bt_read_given(map);
}

static const struct node_key {
        const char *name;
        void (*read)(struct bt_reader *reader, struct bt_config_node *node,
                     const struct bt_yaml *value);
} node_keys[] = {
        {"cpus", read_cpus}, {"memory", read_memory},     {"weight", read_weight},
        {"nice", read_nice}, {"numa", read_numa},         {"env", read_env},
        {"exec", read_exec}, {"defaults", read_defaults},
};

void bt_read_node(struct bt_reader *reader, struct bt_config_node *node, const struct bt_yaml *map)
{
        const char *known[BT_ARRAY_LEN(node_keys) + 1] = {NULL};
        const char *wrong = bt_read_name(node->name, BATON_NAME_BYTES_MAX);

        bt_plan_node_init(&node->spec);
        if (wrong)
                bt_diag_error(reader->diag, node->mark, "a node's name %s", wrong);
        if (!bt_read_kind(reader, map, BT_YAML_MAP, node->name, "{weight: 1}"))
                return;
        for (size_t i = 0; i < BT_ARRAY_LEN(node_keys); i++) {
                const struct bt_yaml *value = bt_yaml_get(map, node_keys[i].name);

                known[i] = node_keys[i].name;
                if (value)
                        node_keys[i].read(reader, node, value);
        }
        bt_read_known(reader, map, known);
}

void bt_read_nodes(struct bt_reader *reader, const struct bt_yaml *map)
{
        struct bt_config *config = reader->config;

        if (!bt_read_kind(reader, map, BT_YAML_MAP, "nodes", "{blue: {weight: 1}}"))
                return;
        if (map->entry_count > BT_PLAN_NODES_MAX) {
                bt_diag_error(reader->diag, map->mark, "more than %d nodes", BT_PLAN_NODES_MAX);
                return;
        }
        config->nodes = bt_mem_array(&config->mem, map->entry_count, sizeof(*config->nodes));
        for (uint32_t i = 0; i < map->entry_count; i++) {
                const struct bt_yaml *key = map->entries[i].key;
                struct bt_config_node *node = &config->nodes[config->node_count];

                if (!strncmp(key->text, "x-", 2))
                        continue;
                node->name = key->text;
                node->mark = key->mark;
                config->node_count++;
                bt_read_node(reader, node, map->entries[i].value);
        }
        if (!config->node_count)
                bt_diag_error(reader->diag, map->mark,
                              "'nodes' has no node (without the key there is one, 'local')");
}

/* ---- distribution ---- */

static const char *const strategies[] = {
        "", "consistent_hash", "guided", "least_loaded", "round_robin", NULL};

static void read_strategy(struct bt_reader *reader, const struct bt_yaml *value)
{
        const char *text = bt_read_text(reader, value, "distribution");
        const char *guess;

        for (uint32_t i = 1; text && i < _BT_DISTRIBUTION_N; i++) {
                if (!strcmp(text, strategies[i])) {
                        reader->config->distribution = i;
                        return;
                }
        }
        guess = text ? bt_text_suggest(text, strategies + 1) : NULL;
        if (text)
                bt_diag_error(reader->diag, value->mark,
                              "'distribution' is '%s', expected consistent_hash, guided, "
                              "least_loaded or round_robin%s%s%s",
                              text, guess ? " (did you mean '" : "", guess ? guess : "",
                              guess ? "'?)" : "");
}

static void add_wish(struct bt_reader *reader, const struct bt_yaml *key,
                     const struct bt_yaml *value)
{
        struct bt_config *config = reader->config;
        const char *node = bt_read_text(reader, value, "map");

        if (node)
                config->wishes[config->wish_count++] =
                        (struct bt_config_wish){key->text, node, key->mark, value->mark};
}

static void read_map(struct bt_reader *reader, const struct bt_yaml *map)
{
        struct bt_config *config = reader->config;
        size_t count = 0;

        if (!bt_read_kind(reader, map, BT_YAML_MAP, "map", "{web: blue, web/3: [green, blue]}"))
                return;
        for (uint32_t i = 0; i < map->entry_count; i++)
                count += map->entries[i].value->kind == BT_YAML_LIST
                                 ? map->entries[i].value->entry_count
                                 : 1;
        if (count > BT_PLAN_WISHES_MAX) {
                bt_diag_error(reader->diag, map->mark, "'map' has more than %d nodes",
                              BT_PLAN_WISHES_MAX);
                return;
        }
        config->wishes = bt_mem_array(&config->mem, count, sizeof(*config->wishes));
        for (uint32_t i = 0; i < map->entry_count; i++) {
                const struct bt_yaml_entry *entry = &map->entries[i];

                if (entry->value->kind != BT_YAML_LIST)
                        add_wish(reader, entry->key, entry->value);
                for (uint32_t k = 0;
                     entry->value->kind == BT_YAML_LIST && k < entry->value->entry_count; k++)
                        add_wish(reader, entry->key, entry->value->entries[k].value);
        }
}

void bt_read_distribution(struct bt_reader *reader, const struct bt_yaml *value)
{
        static const char *const known[] = {"strategy", "map", NULL};
        const struct bt_yaml *strategy, *map;

        reader->config->distribution_mark = value->mark;
        if (value->kind != BT_YAML_MAP) {
                read_strategy(reader, value);
                return;
        }
        strategy = bt_yaml_get(value, "strategy");
        map = bt_yaml_get(value, "map");
        bt_read_known(reader, value, known);
        if (strategy)
                read_strategy(reader, strategy);
        else
                bt_diag_error(reader->diag, value->mark,
                              "'distribution' has no 'strategy', such as {strategy: guided, map: "
                              "{web: blue}}");
        if (map)
                read_map(reader, map);
}

/* ---- what the names say about each other ---- */

static bool has_node(const struct bt_config *config, const char *name)
{
        for (uint32_t i = 0; i < config->node_count; i++) {
                if (!strcmp(config->nodes[i].name, name))
                        return true;
        }
        return !config->node_count && !strcmp(name, "local");
}

/* @key is the name of a child, or the id of one of its instances. */
static bool names_child(const struct bt_config_child *child, const char *key)
{
        size_t bytes = strlen(child->name);
        uint64_t number;

        if (strncmp(key, child->name, bytes) != 0)
                return false;
        return !key[bytes] || (key[bytes] == '/' && child->instances &&
                               !bt_value_number(&number, key + bytes + 1, 0, child->instances - 1));
}

static bool has_child(const struct bt_config *config, const char *key)
{
        for (uint32_t i = 0; i < config->child_count; i++) {
                if (names_child(&config->children[i], key))
                        return true;
        }
        return false;
}

static bool has_wish(const struct bt_config *config, const struct bt_config_child *child)
{
        for (uint32_t i = 0; i < config->wish_count; i++) {
                if (!strcmp(config->wishes[i].key, child->name))
                        return true;
        }
        return false;
}

/* Instances can each have a wish of their own; whether all do is found by the hub, and said there. */
static void check_guided(struct bt_reader *reader, const struct bt_config_child *child)
{
        const struct bt_config *config = reader->config;
        uint32_t distribution =
                child->spec.distribution ? child->spec.distribution : config->distribution;

        if (distribution == BT_DISTRIBUTION_GUIDED && !child->instances && !has_wish(config, child))
                bt_diag_error(reader->diag, child->mark,
                              "'%s' is placed by the map of 'distribution', which does not name it",
                              child->name);
}

void bt_check_nodes(struct bt_reader *reader)
{
        const struct bt_config *config = reader->config;

        for (uint32_t i = 0; i < config->wish_count; i++) {
                const struct bt_config_wish *wish = &config->wishes[i];

                if (!has_node(config, wish->node))
                        bt_diag_error(reader->diag, wish->node_mark,
                                      "there is no node '%s' in 'nodes'", wish->node);
                if (!has_child(config, wish->key))
                        bt_diag_error(reader->diag, wish->key_mark,
                                      "there is no child '%s' in 'children'", wish->key);
        }
        for (uint32_t i = 0; i < config->node_count; i++) {
                for (uint32_t k = 0; k < config->nodes[i].override_count; k++) {
                        const struct bt_config_override *override = &config->nodes[i].overrides[k];

                        if (!has_child(config, override->pool))
                                bt_diag_error(reader->diag, override->mark,
                                              "there is no child '%s' in 'children'",
                                              override->pool);
                }
        }
        for (uint32_t i = 0; !config->fragment && i < config->child_count; i++)
                check_guided(reader, &config->children[i]);
}
