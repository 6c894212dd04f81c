/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* The keys of a child: child.c has the table, child_value.c the rows that are one value, child_maps.c those that are lists and maps. */

#include "supervisor/baton/reader.h"

struct bt_child_key;
typedef void (*bt_child_apply_fn)(struct bt_reader *reader, struct bt_config_child *child,
                                  const struct bt_child_key *key, const struct bt_yaml *value);

struct bt_word {
        const char *text;
        uint32_t value;
};

struct bt_child_key {
        const char *name;
        bt_child_apply_fn apply;
        size_t off;                  /* in struct bt_plan_child */
        uint64_t plain_ns;           /* durations: the unit of a plain number */
        uint64_t limit;              /* durations: the shortest; counts: the largest */
        const struct bt_word *words; /* ends with NULL; of a duration: for 0 and for ever */
};

/* ---- child_value.c: what is wrong is reported, and *ret as it was ---- */

bool bt_read_word(struct bt_reader *reader, const struct bt_yaml *node, const char *key,
                  const struct bt_word *words, uint32_t *ret);
bool bt_read_switch(struct bt_reader *reader, const struct bt_yaml *value, const char *name,
                    bool *ret);
/* @key: its unit, its limit, its words. */
void bt_read_duration(struct bt_reader *reader, const struct bt_yaml *value, const char *name,
                      const struct bt_child_key *key, uint64_t *ret_ns);

/* `max_restarts`, of a child or a group: a count, or the word forever. */
void bt_read_restarts(struct bt_reader *reader, const struct bt_yaml *value, uint32_t *ret);

/* Each into the member at @key's offset: a word's value, a duration in ns, 0 or 1, a count from 1 on. */
void bt_child_apply_word(struct bt_reader *reader, struct bt_config_child *child,
                         const struct bt_child_key *key, const struct bt_yaml *value);
void bt_child_apply_duration(struct bt_reader *reader, struct bt_config_child *child,
                             const struct bt_child_key *key, const struct bt_yaml *value);
void bt_child_apply_switch(struct bt_reader *reader, struct bt_config_child *child,
                           const struct bt_child_key *key, const struct bt_yaml *value);
void bt_child_apply_count(struct bt_reader *reader, struct bt_config_child *child,
                          const struct bt_child_key *key, const struct bt_yaml *value);

/* ---- child_maps.c ---- */

void bt_child_apply_exec(struct bt_reader *reader, struct bt_config_child *child,
                         const struct bt_child_key *key, const struct bt_yaml *value);
void bt_child_apply_sockets(struct bt_reader *reader, struct bt_config_child *child,
                            const struct bt_child_key *key, const struct bt_yaml *value);
void bt_child_apply_state(struct bt_reader *reader, struct bt_config_child *child,
                          const struct bt_child_key *key, const struct bt_yaml *value);
void bt_child_apply_backoff(struct bt_reader *reader, struct bt_config_child *child,
                            const struct bt_child_key *key, const struct bt_yaml *value);
void bt_child_apply_env(struct bt_reader *reader, struct bt_config_child *child,
                        const struct bt_child_key *key, const struct bt_yaml *value);
void bt_child_apply_cwd(struct bt_reader *reader, struct bt_config_child *child,
                        const struct bt_child_key *key, const struct bt_yaml *value);
