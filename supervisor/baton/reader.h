/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* What the files that read a configuration share: config.c the frame, socket.c and child.c an entry
 * each, finish.c what a child's keys mean together, check.c limits inside limits. */

#include "supervisor/baton/config.h"
#include "supervisor/baton/yaml.h"

struct bt_reader {
        struct bt_config *config;
        struct bt_diag *diag;
        const struct bt_config_world *world;
        const struct bt_config_node *on; /* check.c: whose defaults the child is looked at with; NULL: as it is anywhere */
};

/* ---- shapes of values; each reports what is wrong and is then NULL or false ---- */

/* A scalar that is not empty. */
const char *bt_read_text(struct bt_reader *reader, const struct bt_yaml *node, const char *key);

/* A scalar, or something of @kind: false, reported with @example. */
bool bt_read_kind(struct bt_reader *reader, const struct bt_yaml *node, enum bt_yaml_kind kind,
                  const char *key, const char *example);

/* A list of texts. */
bool bt_read_list(struct bt_reader *reader, const struct bt_yaml *value, const char *name,
                  struct bt_config_list *ret);

/* Letters, digits and ._-, starting with a letter or digit, at most @bytes_max long. Returns what is wrong with it, NULL: nothing. */
const char *bt_read_name(const char *name, size_t bytes_max);

/* The same of a child's name, which may have any bytes. */
const char *bt_read_id(const char *id, size_t bytes_max);

/* Reports each key of @map that is not in @known (ends with NULL) and is not free (x-), with the one that was probably meant. */
void bt_read_known(struct bt_reader *reader, const struct bt_yaml *map, const char *const *known);

/* @path against the file's folder; "./" is dropped from its front. */
const char *bt_read_path(struct bt_reader *reader, const char *path);

/* hook.c: the absolute path of the program that @item, a text, names; NULL: there is none, and said so about @key. */
const char *bt_read_program(struct bt_reader *reader, const struct bt_yaml *item, const char *key);

/* child_maps.c: a map of variables, over those that are in @env. */
void bt_read_variables(struct bt_reader *reader, struct bt_config_list *env, const struct bt_yaml *value, const char *key);

/* ---- entries ---- */

void bt_read_socket(struct bt_reader *reader, struct bt_config_socket *socket,
                    const struct bt_yaml *value);

/* child_maps.c: a map of min and max, over what is there. */
void bt_read_backoff(struct bt_reader *reader, const struct bt_yaml *value, const char *name,
                     uint64_t *min_ns, uint64_t *max_ns);

/* limits.c: those of the hub as a whole. */
void bt_read_limits(struct bt_reader *reader, const struct bt_yaml *root);

/* The defaults of all children, before the file's own. */
void bt_read_child_init(struct bt_config_child *child);

/* The keys of a map, a child's or `defaults`, onto @child. */
void bt_read_child_keys(struct bt_reader *reader, struct bt_config_child *child,
                        const struct bt_yaml *map);

/* Bits of enum bt_plan_option: those that are in @map. */
uint64_t bt_read_given(const struct bt_yaml *map);

/* The name of the @idx-th key of a child; NULL: there are no more. */
const char *bt_read_child_key(size_t idx);

/* hook.c: a command, as `on` has them. False: reported. */
bool bt_read_command(struct bt_reader *reader, const struct bt_yaml *value, const char *name,
                     const char **ret_exec, struct bt_config_list *ret_argv);

/* hook.c: a map `on`, over the hooks that are there. */
void bt_read_hooks(struct bt_reader *reader, struct bt_config_hooks *hooks,
                   const struct bt_yaml *map);

/* nodes.c */
void bt_read_nodes(struct bt_reader *reader, const struct bt_yaml *map);
void bt_read_node(struct bt_reader *reader, struct bt_config_node *node, const struct bt_yaml *map);
void bt_read_distribution(struct bt_reader *reader, const struct bt_yaml *value);
/* When nodes and children are known: what their names say about each other. */
void bt_check_nodes(struct bt_reader *reader);

/* groups.c: when children are known. */
void bt_read_groups(struct bt_reader *reader, const struct bt_yaml *map);
/* What there is to say about children that are in none, or cannot be significant. */
void bt_check_significant(struct bt_reader *reader);

/* labels.c */
void bt_read_tags(struct bt_reader *reader, struct bt_config_child *child,
                  const struct bt_yaml *value);
void bt_read_meta(struct bt_reader *reader, struct bt_config_child *child,
                  const struct bt_yaml *value);

/* mailbox.c: the key, and what it means when all others are known. */
void bt_read_mailbox(struct bt_reader *reader, struct bt_config_child *child,
                     const struct bt_yaml *value);
void bt_read_mailbox_finish(struct bt_reader *reader, struct bt_config_child *child);

/* redundancy.c: the same two steps. */
void bt_read_redundancy(struct bt_reader *reader, struct bt_config_child *child,
                        const struct bt_yaml *value);
void bt_read_redundancy_finish(struct bt_reader *reader, struct bt_config_child *child);

/* finish.c. @defaults: lends its environment to a child that has none of its own. */
void bt_read_child_finish(struct bt_reader *reader, struct bt_config_child *child,
                          const struct bt_config_child *defaults);

/* ---- over several keys ---- */

/* For all children on nodes that have defaults; when both are known. */
void bt_check_on_nodes(struct bt_reader *reader);

/* Errors and warnings about limits that contradict each other, about sockets nobody uses. */
void bt_check_child(struct bt_reader *reader, const struct bt_config_child *child);
void bt_check_sockets(struct bt_reader *reader);
