/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The keys of a child: one table row each, a name and how to apply its value. The same rows read `defaults`.
 *
 * Most rows are a number with a unit and a place in the plan's record, so they share one function and differ in data. What depends on several
 * keys (the executable, the environment, what a plain program cannot have) waits for bt_read_child_finish(), when all keys are known.
 *
 * People come with the words of other systems. Those are not accepted as second names, because then every document would have two; but they
 * are known, so that `stop_timeout` is answered with 'shutdown' and not with "unknown key".
 */
#include <stddef.h>
#include <string.h>

#include <baton/types.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "supervisor/baton/child_key.h"
#include "supervisor/baton/text.h"
#include "supervisor/baton/value.h"

static const struct bt_word strategy_words[] = {
        {"cold", BT_STRATEGY_COLD}, {"hot", BT_STRATEGY_HOT}, {NULL, 0}};
static const struct bt_word protocol_words[] = {{"baton", BT_PROTOCOL_BATON},
                                                {"plain", BT_PROTOCOL_PLAIN},
                                                {"notify", BT_PROTOCOL_NOTIFY},
                                                {NULL, 0}};
static const struct bt_word restart_words[] = {{"permanent", BT_RESTART_PERMANENT},
                                               {"transient", BT_RESTART_TRANSIENT},
                                               {"temporary", BT_RESTART_TEMPORARY},
                                               {NULL, 0}};
static const struct bt_word bad_state_words[] = {{"fresh", BT_BAD_STATE_FRESH},
                                                 {"fail", BT_BAD_STATE_FAIL},
                                                 {"keep_old", BT_BAD_STATE_KEEP_OLD},
                                                 {NULL, 0}};
static const struct bt_word distribution_words[] = {
        {"consistent_hash", BT_DISTRIBUTION_CONSISTENT_HASH},
        {"guided", BT_DISTRIBUTION_GUIDED},
        {"least_loaded", BT_DISTRIBUTION_LEAST_LOADED},
        {"round_robin", BT_DISTRIBUTION_ROUND_ROBIN},
        {NULL, 0}};

/* For durations: value 0 is "0", value 1 is for ever. */
static const struct bt_word shutdown_words[] = {{"brutal_kill", 0}, {"infinity", 1}, {NULL, 0}};
static const struct bt_word every_words[] = {{"never", 0}, {NULL, 0}};
static const struct bt_word durability_words[] = {{"none", BT_DURABILITY_NONE},
                                                  {"shutdown", BT_DURABILITY_SHUTDOWN},
                                                  {"async", BT_DURABILITY_ASYNC},
                                                  {"sync", BT_DURABILITY_SYNC},
                                                  {NULL, 0}};
static const struct bt_word ttl_words[] = {{"infinity", 1}, {NULL, 0}};

/* ---- rows that are neither one member of the plan nor a list or map ---- */

static void apply_env_clear(struct bt_reader *reader, struct bt_config_child *child,
                            const struct bt_child_key *key, const struct bt_yaml *value)
{
        (void)bt_read_switch(reader, value, key->name, &child->env_clear);
}

static void apply_instances(struct bt_reader *reader, struct bt_config_child *child,
                            const struct bt_child_key *key, const struct bt_yaml *value)
{
        const char *text = bt_read_text(reader, value, key->name);
        uint64_t number = 0;
        const char *wrong = text ? bt_value_number(&number, text, 1, BT_PLAN_CHILDREN_MAX) : NULL;

        if (wrong)
                bt_diag_error(reader->diag, value->mark, "'instances' is '%s': %s (1 to %d)", text,
                              wrong, BT_PLAN_CHILDREN_MAX);
        else if (text)
                child->instances = (uint32_t)number;
}

static void apply_max_restarts(struct bt_reader *reader, struct bt_config_child *child,
                               const struct bt_child_key *key, const struct bt_yaml *value)
{
        (void)key;
        bt_read_restarts(reader, value, &child->spec.max_restarts);
}

static void apply_on(struct bt_reader *reader, struct bt_config_child *child,
                     const struct bt_child_key *key, const struct bt_yaml *value)
{
        (void)key;
        bt_read_hooks(reader, &child->hooks, value);
}

static void apply_tags(struct bt_reader *reader, struct bt_config_child *child,
                       const struct bt_child_key *key, const struct bt_yaml *value)
{
        (void)key;
        bt_read_tags(reader, child, value);
}

static void apply_meta(struct bt_reader *reader, struct bt_config_child *child,
                       const struct bt_child_key *key, const struct bt_yaml *value)
{
        (void)key;
        bt_read_meta(reader, child, value);
}

static void apply_mailbox(struct bt_reader *reader, struct bt_config_child *child,
                          const struct bt_child_key *key, const struct bt_yaml *value)
{
        (void)key;
        bt_read_mailbox(reader, child, value);
}

static void apply_redundancy(struct bt_reader *reader, struct bt_config_child *child,
                             const struct bt_child_key *key, const struct bt_yaml *value)
{
        (void)key;
        bt_read_redundancy(reader, child, value);
}

/* `none`: also not that of `defaults`. */
static void apply_alter(struct bt_reader *reader, struct bt_config_child *child,
                        const struct bt_child_key *key, const struct bt_yaml *value)
{
        if (value->kind == BT_YAML_SCALAR && !strcmp(value->text, "none")) {
                child->alter = NULL;
                child->alter_argv = (struct bt_config_list){0};
                return;
        }
        (void)bt_read_command(reader, value, key->name, &child->alter, &child->alter_argv);
}

/* ---- the table ---- */

#define AT(member) offsetof(struct bt_plan_child, member)
#define MS         BT_NS_PER_MS

static const struct bt_child_key child_keys[] = {
        {"exec", bt_child_apply_exec, 0, 0, 0, NULL},
        {"instances", apply_instances, 0, 0, 0, NULL},
        {"sockets", bt_child_apply_sockets, 0, 0, 0, NULL},
        {"protocol", bt_child_apply_word, AT(protocol), 0, 0, protocol_words},
        {"strategy", bt_child_apply_word, AT(strategy), 0, 0, strategy_words},
        {"handover", bt_child_apply_switch, AT(handover), 0, 0, NULL},
        {"state", bt_child_apply_state, 0, 0, 0, NULL},
        {"restart", bt_child_apply_word, AT(restart), 0, 0, restart_words},
        {"max_restarts", apply_max_restarts, 0, 0, 0, NULL},
        {"max_seconds", bt_child_apply_duration, AT(max_seconds_ns), BT_NS_PER_S, MS,
         NULL}, /* OTP counts it in seconds */
        {"backoff", bt_child_apply_backoff, 0, 0, 0, NULL},
        {"healthy", bt_child_apply_duration, AT(healthy_ns), MS, MS, NULL},
        {"shutdown", bt_child_apply_duration, AT(shutdown_ns), MS, 0, shutdown_words},
        {"retention", bt_child_apply_duration, AT(retention_ns), MS, 0, NULL},
        {"max_draining", bt_child_apply_count, AT(max_draining), 0, BT_PLAN_DRAINING_MAX, NULL},
        {"watchdog", bt_child_apply_duration, AT(watchdog_ns), MS, MS, every_words},
        {"handover_data_wait", bt_child_apply_duration, AT(handover_data_wait_ns), MS, MS, NULL},
        {"child_migration_timeout", bt_child_apply_duration, AT(child_migration_timeout_ns), MS, MS,
         NULL},
        {"state_ttl", bt_child_apply_duration, AT(state_ttl_ns), MS, MS, ttl_words},
        {"state_query_timeout", bt_child_apply_duration, AT(state_query_timeout_ns), MS, MS, NULL},
        {"stored_ttl", bt_child_apply_duration, AT(stored_ttl_ns), MS, MS, ttl_words},
        {"consent_timeout", bt_child_apply_duration, AT(consent_timeout_ns), MS, MS, NULL},
        {"consent_retry", bt_child_apply_duration, AT(consent_retry_ns), MS, MS, NULL},
        {"consent_limit", bt_child_apply_duration, AT(consent_limit_ns), MS, MS, NULL},
        {"on_bad_state", bt_child_apply_word, AT(on_bad_state), 0, 0, bad_state_words},
        {"restore_attempts", bt_child_apply_count, AT(restore_attempts), 0, BT_PLAN_ATTEMPTS_MAX,
         NULL},
        {"checkpoint", bt_child_apply_switch, AT(checkpoint), 0, 0, NULL},
        {"checkpoint_every", bt_child_apply_duration, AT(checkpoint_every_ns), MS, MS, every_words},
        {"distribution", bt_child_apply_word, AT(distribution), 0, 0, distribution_words},
        {"redundancy", apply_redundancy, 0, 0, 0, NULL},
        {"durability", bt_child_apply_word, AT(durability), 0, 0, durability_words},
        {"mailbox", apply_mailbox, 0, 0, 0, NULL},
        {"spare", bt_child_apply_switch, AT(spare), 0, 0, NULL},
        {"hold", bt_child_apply_switch, AT(hold), 0, 0, NULL},
        {"zygote", bt_child_apply_switch, AT(zygote), 0, 0, NULL},
        {"significant", bt_child_apply_switch, AT(significant), 0, 0, NULL},
        {"env", bt_child_apply_env, 0, 0, 0, NULL},
        {"env_clear", apply_env_clear, 0, 0, 0, NULL},
        {"cwd", bt_child_apply_cwd, 0, 0, 0, NULL},
        {"on", apply_on, 0, 0, 0, NULL},
        {"tags", apply_tags, 0, 0, 0, NULL},
        {"meta", apply_meta, 0, 0, 0, NULL},
        {"alter", apply_alter, 0, 0, 0, NULL},
};

uint64_t bt_read_given(const struct bt_yaml *map)
{
        uint64_t bits = 0;

#define X(member, key, inner)                                                                      \
        if (bt_yaml_get(map, key) && (!(inner) || bt_yaml_get(bt_yaml_get(map, key), inner)))      \
                bits |= BT_PLAN_OPTION_BIT(member);
        BT_PLAN_OPTION_TABLE(X)
#undef X
        return bits;
}

const char *bt_read_child_key(size_t idx)
{
        return idx < BT_ARRAY_LEN(child_keys) ? child_keys[idx].name : NULL;
}

/* The words of other systems, and ours. */
static const struct {
        const char *theirs;
        const char *ours;
} synonyms[] = {
        {"stop_timeout", "shutdown"},
        {"stopwaitsecs", "shutdown"},
        {"kill_timeout", "shutdown"},
        {"grace_period", "shutdown"},
        {"stop_grace_period", "shutdown"},
        {"shutdown_timeout", "shutdown"},
        {"command", "exec"},
        {"cmd", "exec"},
        {"program", "exec"},
        {"args", "exec"},
        {"replicas", "instances"},
        {"replication", "redundancy"},
        {"replication_factor", "redundancy"},
        {"count", "instances"},
        {"numprocs", "instances"},
        {"workers", "instances"},
        {"environment", "env"},
        {"directory", "cwd"},
        {"working_dir", "cwd"},
        {"workdir", "cwd"},
        {"restart_policy", "restart"},
        {"autorestart", "restart"},
        {"startretries", "max_restarts"},
        {"max_retries", "max_restarts"},
        {"listen", "sockets"},
        {"ports", "sockets"},
        {"drain_timeout", "retention"},
        {"ttl", "state_ttl"},
        {"snapshot_every", "checkpoint_every"},
        {"checkpoint_interval", "checkpoint_every"},
        {"persistence", "durability"},
        {"standby", "spare"},
        {"warm", "spare"},
        {"hooks", "on"},
        {"labels", "meta"},
        {"metadata", "meta"},
};

static void unknown_key(struct bt_reader *reader, const struct bt_yaml *key)
{
        const char *words[BT_ARRAY_LEN(child_keys) + BT_ARRAY_LEN(synonyms) + 1] = {NULL};
        const char *guess;
        size_t n = 0;

        for (size_t i = 0; i < BT_ARRAY_LEN(child_keys); i++)
                words[n++] = child_keys[i].name;
        for (size_t i = 0; i < BT_ARRAY_LEN(synonyms); i++)
                words[n++] = synonyms[i].theirs;
        guess = bt_text_suggest(key->text, words);
        for (size_t i = 0; guess && i < BT_ARRAY_LEN(synonyms); i++)
                if (!strcmp(guess, synonyms[i].theirs)) {
                        guess = synonyms[i].ours;
                        break;
                }
        bt_diag_error(reader->diag, key->mark, "unknown key '%s'%s%s%s", key->text,
                      guess ? " (did you mean '" : "", guess ? guess : "", guess ? "'?)" : "");
}

void bt_read_child_init(struct bt_config_child *child)
{
        *child = (struct bt_config_child){.cwd = ""};
        bt_plan_child_init(&child->spec);
}

void bt_read_child_keys(struct bt_reader *reader, struct bt_config_child *child,
                        const struct bt_yaml *map)
{
        for (uint32_t i = 0; i < map->entry_count; i++) {
                const struct bt_yaml_entry *entry = &map->entries[i];
                size_t k = 0;

                while (k < BT_ARRAY_LEN(child_keys) &&
                       strcmp(entry->key->text, child_keys[k].name) != 0)
                        k++;
                if (k < BT_ARRAY_LEN(child_keys))
                        child_keys[k].apply(reader, child, &child_keys[k], entry->value);
                else if (strncmp(entry->key->text, "x-", 2) != 0)
                        unknown_key(reader, entry->key);
        }
}
