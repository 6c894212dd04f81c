/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The frame of a configuration: the file, the top-level keys, and the order in which things are read.
 *
 * Order matters only here. Sockets before children, because children name them; `defaults` before children, because each child begins as
 * a copy of what `defaults` said and then applies its own keys over it. So a default may be anything a child's key may be, with no second
 * set of rules, and an error in `defaults` is reported at its own line, once.
 *
 * Nothing stops at the first error: a part that could not be understood is BROKEN or left at its default, and the rest is still read. Only the
 * count of errors decides at the end.
 */
#include "supervisor/baton/config.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <baton/types.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/fd.h"
#include "supervisor/baton/find.h"
#include "supervisor/baton/reader.h"
#include "supervisor/baton/text.h"
#include "supervisor/baton/value.h"

/* ---- shapes ---- */

const char *bt_read_text(struct bt_reader *reader, const struct bt_yaml *node, const char *key)
{
        if (node->kind == BT_YAML_BROKEN)
                return NULL;
        if (node->kind != BT_YAML_SCALAR) {
                bt_diag_error(reader->diag, node->mark, "'%s' expects one value, and this is %s",
                              key, bt_yaml_kind_name(node->kind));
                return NULL;
        }
        if (!*node->text) {
                bt_diag_error(reader->diag, node->mark, "'%s' has no value", key);
                return NULL;
        }
        return node->text;
}

bool bt_read_kind(struct bt_reader *reader, const struct bt_yaml *node, enum bt_yaml_kind kind,
                  const char *key, const char *example)
{
        if (node->kind == kind)
                return true;
        if (node->kind != BT_YAML_BROKEN)
                bt_diag_error(reader->diag, node->mark, "'%s' expects %s, such as %s", key,
                              bt_yaml_kind_name(kind), example);
        return false;
}

const char *bt_read_name(const char *name, size_t bytes_max)
{
        size_t bytes = strlen(name);

        if (!bytes)
                return "is empty";
        if (bytes > bytes_max)
                return "is too long";
        if (name[0] == '.' || name[0] == '-' || name[0] == '_')
                return "must begin with a letter or a digit";
        for (size_t i = 0; i < bytes; i++)
                if (!((name[i] >= 'a' && name[i] <= 'z') || (name[i] >= 'A' && name[i] <= 'Z') ||
                      (name[i] >= '0' && name[i] <= '9') || strchr("._-", name[i])))
                        return "may have letters, digits, '.', '_' and '-' only";
        return NULL;
}

const char *bt_read_id(const char *id, size_t bytes_max)
{
        if (!*id)
                return "is empty";
        if (strlen(id) > bytes_max)
                return "is too long";
        return bt_plan_id_of_instance(id)
                       ? "must not end with '/' and a number, or '@' and a name: those are instances'"
                       : NULL;
}

void bt_read_known(struct bt_reader *reader, const struct bt_yaml *map, const char *const *known)
{
        for (uint32_t i = 0; i < map->entry_count; i++) {
                const struct bt_yaml *key = map->entries[i].key;
                const char *guess;
                size_t k = 0;

                while (known[k] && strcmp(key->text, known[k]) != 0)
                        k++;
                if (known[k] || !strncmp(key->text, "x-", 2))
                        continue;
                guess = bt_text_suggest(key->text, known);
                bt_diag_error(reader->diag, key->mark, "unknown key '%s'%s%s%s", key->text,
                              guess ? " (did you mean '" : "", guess ? guess : "",
                              guess ? "'?)" : "");
        }
}

const char *bt_read_path(struct bt_reader *reader, const char *path)
{
        struct bt_mem *mem = &reader->config->mem;

        if (path[0] == '/')
                return path;
        while (path[0] == '.' && path[1] == '/')
                for (path += 2; *path == '/'; path++)
                        ;
        return bt_mem_printf(mem, "%s/%s",
                             strcmp(reader->world->dir, "/") != 0 ? reader->world->dir : "", path);
}

/* ---- sockets and children ---- */

static void read_sockets(struct bt_reader *reader, const struct bt_yaml *map)
{
        struct bt_config *config = reader->config;

        if (!bt_read_kind(reader, map, BT_YAML_MAP, "sockets", "{http: 'tcp://127.0.0.1:8080'}"))
                return;
        if (map->entry_count > BT_PLAN_SOCKETS_MAX) {
                bt_diag_error(reader->diag, map->mark, "more than %d sockets", BT_PLAN_SOCKETS_MAX);
                return;
        }
        config->sockets = bt_mem_array(&config->mem, map->entry_count, sizeof(*config->sockets));
        for (uint32_t i = 0; i < map->entry_count; i++) {
                const struct bt_yaml *key = map->entries[i].key;
                struct bt_config_socket *socket = &config->sockets[config->socket_count];
                const char *wrong = bt_read_name(key->text, BATON_NAME_BYTES_MAX);

                if (!strncmp(key->text, "x-", 2))
                        continue;
                if (wrong)
                        bt_diag_error(reader->diag, key->mark, "a socket's name %s", wrong);
                socket->name = key->text;
                socket->name_mark = key->mark;
                config->socket_count++;
                bt_read_socket(reader, socket, map->entries[i].value);
        }
}

/* The longest name of a node. */
static size_t nodes_bytes(const struct bt_reader *reader)
{
        size_t most = reader->config->node_count ? 0 : strlen("local");

        for (uint32_t i = 0; i < reader->config->node_count; i++) {
                size_t bytes = strlen(reader->config->nodes[i].name);

                most = bytes > most ? bytes : most;
        }
        return most;
}

/* The id of the last instance must fit: "web/15@green" is longer than "web". */
static void check_id(struct bt_reader *reader, const struct bt_config_child *child)
{
        size_t more = child->instances ? 1 : 0;
        const char *wrong;

        for (uint32_t n = child->instances; n; n /= 10)
                more++;
        if (child->spec.replicas)
                more += nodes_bytes(reader) + 1;
        wrong = bt_read_id(child->name, BATON_ID_BYTES_MAX > more ? BATON_ID_BYTES_MAX - more : 0);
        if (wrong)
                bt_diag_error(reader->diag, child->mark, "a child's name %s", wrong);
}

static void read_child(struct bt_reader *reader, struct bt_config_child *child,
                       const struct bt_config_child *defaults, const struct bt_yaml_entry *entry)
{
        *child = *defaults;
        child->name = entry->key->text;
        child->mark = entry->key->mark;
        child->node = entry->value;
        if (!bt_read_kind(reader, entry->value, BT_YAML_MAP, child->name, "{exec: [./web]}"))
                return;
        bt_read_child_keys(reader, child, entry->value);
        child->spec.given = bt_read_given(entry->value);
        bt_read_child_finish(reader, child, defaults);
        check_id(reader, child);
}

static void read_children(struct bt_reader *reader, const struct bt_config_child *defaults,
                          const struct bt_yaml *map)
{
        struct bt_config *config = reader->config;
        uint64_t expanded = 0;

        if (!bt_read_kind(reader, map, BT_YAML_MAP, "children", "{web: {exec: [./web]}}"))
                return;
        config->children = bt_mem_array(&config->mem, map->entry_count, sizeof(*config->children));
        for (uint32_t i = 0; i < map->entry_count; i++) {
                struct bt_config_child *child = &config->children[config->child_count];

                if (!strncmp(map->entries[i].key->text, "x-", 2))
                        continue;
                read_child(reader, child, defaults, &map->entries[i]);
                expanded += child->instances ? child->instances : 1;
                config->child_count++;
        }
        if (expanded > BT_PLAN_CHILDREN_MAX)
                bt_diag_error(reader->diag, map->mark, "%llu children, and a hub has at most %d",
                              (unsigned long long)expanded, BT_PLAN_CHILDREN_MAX);
        if (!config->child_count)
                bt_diag_error(reader->diag, map->mark, "'children' has no child");
        config->expanded_count = (uint32_t)expanded;
}

/* ---- top level ---- */

static void read_hub(struct bt_reader *reader, const struct bt_yaml *node)
{
        const char *name = bt_read_text(reader, node, "hub");
        const char *wrong = name ? bt_read_name(name, BATON_NAME_BYTES_MAX) : NULL;

        if (wrong)
                bt_diag_error(reader->diag, node->mark, "the hub's name %s", wrong);
        reader->config->hub = name;
}

static void read_hook_timeout(struct bt_reader *reader, const struct bt_yaml *node)
{
        const char *text = bt_read_text(reader, node, "hook_timeout");
        uint64_t ns = 0;
        const char *wrong = text ? bt_value_duration(&ns, text, BT_NS_PER_MS) : NULL;

        if (text && !wrong && ns < BT_NS_PER_MS)
                wrong = "it must be at least 1 ms";
        if (wrong)
                bt_diag_error(reader->diag, node->mark, "'hook_timeout' is '%s': %s", text, wrong);
        else if (text)
                reader->config->hook_timeout_ns = ns;
}

static void check_keys(struct bt_reader *reader, const struct bt_yaml *root)
{
        static const char *const known[] = {"hub",          "defaults",         "sockets",
                                            "children",     "nodes",            "shutdown_timeout",
                                            "max_parallel", "on",               "hook_timeout",
                                            "distribution", "move_retry",       "groups",
                                            NULL};

        bt_read_known(reader, root, known);
}

/* What a running hub has already, and children that are added to it can only name. */
static void check_fragment_keys(struct bt_reader *reader, const struct bt_yaml *root)
{
        static const char *const known[] = {"children", "defaults", NULL};
        static const char *const of_hub[] = {"hub", "sockets", "nodes", "shutdown_timeout",
                                             "max_parallel", "on", "hook_timeout", "distribution", "move_retry", "groups", NULL};

        for (uint32_t i = 0; i < root->entry_count; i++) {
                const struct bt_yaml *key = root->entries[i].key;

                for (size_t k = 0; of_hub[k]; k++)
                        if (!strcmp(key->text, of_hub[k])) {
                                bt_diag_error(reader->diag, key->mark,
                                              "'%s' belongs to the hub, which runs already: a file "
                                              "of children to add has only children and defaults",
                                              key->text);
                                return;
                        }
        }
        bt_read_known(reader, root, known);
}

static void missing(struct bt_reader *reader, const char *key, const char *example)
{
        bt_diag_error(reader->diag, (struct bt_mark){1, 1, 1},
                      "the key '%s' is missing, such as %s", key, example);
}

static void read_hub_keys(struct bt_reader *reader, const struct bt_yaml *root)
{
        const struct bt_yaml *hub = bt_yaml_get(root, "hub");
        const struct bt_yaml *sockets = bt_yaml_get(root, "sockets");
        const struct bt_yaml *on = bt_yaml_get(root, "on");
        const struct bt_yaml *hook_timeout = bt_yaml_get(root, "hook_timeout");
        const struct bt_yaml *nodes = bt_yaml_get(root, "nodes");
        const struct bt_yaml *distribution = bt_yaml_get(root, "distribution");

        check_keys(reader, root);
        if (hub)
                read_hub(reader, hub);
        else
                missing(reader, "hub", "hub: shop");
        if (sockets)
                read_sockets(reader, sockets);
        if (on)
                bt_read_hooks(reader, &reader->config->hooks, on);
        if (hook_timeout)
                read_hook_timeout(reader, hook_timeout);
        if (nodes)
                bt_read_nodes(reader, nodes);
        if (distribution)
                bt_read_distribution(reader, distribution);
        bt_read_limits(reader, root);
}

static void read_root(struct bt_reader *reader, const struct bt_yaml *root)
{
        const struct bt_yaml *children = bt_yaml_get(root, "children");
        const struct bt_yaml *groups = bt_yaml_get(root, "groups");
        const struct bt_yaml *defaults_map = bt_yaml_get(root, "defaults");
        struct bt_config_child defaults = {0};

        reader->config->hook_timeout_ns = 5 * BT_NS_PER_S;
        if (reader->config->fragment)
                check_fragment_keys(reader, root);
        else
                read_hub_keys(reader, root);
        bt_read_child_init(&defaults);
        if (defaults_map &&
            bt_read_kind(reader, defaults_map, BT_YAML_MAP, "defaults", "{strategy: hot}"))
                bt_read_child_keys(reader, &defaults, defaults_map);
        defaults.env = bt_find_environment(&reader->config->mem,
                                           defaults.env_clear ? NULL : reader->world->environ,
                                           &defaults.own_env);
        if (children)
                read_children(reader, &defaults, children);
        else
                missing(reader, "children", "children: {web: {exec: [./web]}}");
        if (groups && !reader->config->fragment)
                bt_read_groups(reader, groups);
        bt_check_significant(reader);
        for (uint32_t i = 0; i < reader->config->child_count; i++)
                if (reader->config->children[i].node->kind == BT_YAML_MAP)
                        bt_check_child(reader, &reader->config->children[i]);
        bt_check_sockets(reader);
        bt_check_nodes(reader);
        bt_check_on_nodes(reader);
}

int bt_config_parse(struct bt_config *ret_config, struct bt_diag *diag, const char *text,
                    size_t bytes, const struct bt_config_world *world)
{
        struct bt_reader reader = {ret_config, diag, world, NULL};
        const struct bt_yaml *root;

        ret_config->fragment = world->fragment;
        bt_diag_text(diag, text, bytes);
        root = bt_yaml_parse(&ret_config->mem, diag, text, bytes);
        if (!root && !bt_diag_count(diag, BT_SEVERITY_ERROR))
                bt_diag_error(diag, (struct bt_mark){0}, "the file is empty");
        else if (root && root->kind == BT_YAML_MAP)
                read_root(&reader, root);
        else if (root && root->kind != BT_YAML_BROKEN)
                bt_diag_error(diag, root->mark, world->fragment ? "expected a map with the key children" : "expected a map with the keys hub and children");
        return bt_diag_count(diag, BT_SEVERITY_ERROR) ? 1 : 0;
}

/* ---- the file ---- */

/* Reads until the end, so that pipes work. Returns 0, -EFBIG, or another -errno. */
static int file_read(struct bt_config *config, const char *path)
{
        BT_CLEANUP(bt_closep) int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
        size_t room = BT_YAML_BYTES_MAX + 1;

        if (fd < 0)
                return -errno;
        config->text = bt_mem_alloc(&config->mem, room + 1);
        while (config->text_bytes < room) {
                ssize_t n = read(fd, config->text + config->text_bytes, room - config->text_bytes);

                if (n < 0 && errno == EINTR)
                        continue;
                if (n < 0)
                        return -errno;
                if (!n)
                        return 0;
                config->text_bytes += (size_t)n;
        }
        return -EFBIG;
}

/* The absolute folder of @path and the absolute path itself; links in the folder's name are followed once, here. */
static int file_place(struct bt_config *config, struct bt_config_world *world, const char *path)
{
        const char *slash = strrchr(path, '/');
        const char *name = slash ? slash + 1 : path;
        char *dir = bt_mem_copy(&config->mem, path, slash ? (size_t)(slash - path) : 0);
        char *real = realpath(slash == path ? "/" : *dir ? dir : ".", NULL);

        if (!real)
                return -errno;
        world->dir = bt_mem_copy(&config->mem, real, strlen(real));
        config->path =
                bt_mem_printf(&config->mem, "%s/%s", strcmp(real, "/") != 0 ? real : "", name);
        free(real);
        return 0;
}

static int load(struct bt_config *ret_config, struct bt_diag *diag, const char *path,
                char *const *variables, bool fragment)
{
        struct bt_config_world world = {.environ = variables, .fragment = fragment};
        int r = file_place(ret_config, &world, path);

        if (!r)
                r = file_read(ret_config, path);
        if (r == -EFBIG) {
                bt_diag_error(diag, (struct bt_mark){0}, "the file is larger than 1 MiB");
                return 1;
        }
        if (r) {
                bt_diag_error(diag, (struct bt_mark){0}, "cannot be read: %s", strerrordesc_np(-r));
                return 1;
        }
        return bt_config_parse(ret_config, diag, ret_config->text, ret_config->text_bytes, &world);
}

int bt_config_load(struct bt_config *ret_config, struct bt_diag *diag, const char *path,
                   char *const *variables)
{
        return load(ret_config, diag, path, variables, false);
}

int bt_config_load_fragment(struct bt_config *ret_config, struct bt_diag *diag, const char *path,
                            char *const *variables)
{
        return load(ret_config, diag, path, variables, true);
}

void bt_config_free(struct bt_config *config)
{
        bt_mem_free(&config->mem);
        *config = (struct bt_config)BT_CONFIG_NULL;
}
