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
#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stddef.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <baton/types.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "shm/layout.h"
#include "supervisor/baton/find.h"
#include "supervisor/baton/reader.h"
#include "supervisor/baton/text.h"
#include "supervisor/baton/value.h"

struct child_key;
typedef void (*child_apply_fn)(struct bt_reader *reader, struct bt_config_child *child,
                               const struct child_key *key, const struct bt_yaml *value);

struct word {
        const char *text;
        uint32_t value;
};

struct child_key {
        const char *name;
        child_apply_fn apply;
        size_t off;               /* in struct bt_plan_child */
        uint64_t plain_ns;        /* durations: the unit of a plain number */
        uint64_t limit;           /* durations: the shortest; counts: the largest */
        const struct word *words; /* ends with NULL; of a duration: for 0 and for ever */
};

static const struct word strategy_words[] = {
        {"cold", BT_STRATEGY_COLD}, {"hot", BT_STRATEGY_HOT}, {NULL, 0}};
static const struct word protocol_words[] = {
        {"baton", BT_PROTOCOL_BATON}, {"plain", BT_PROTOCOL_PLAIN}, {"notify", BT_PROTOCOL_NOTIFY}, {NULL, 0}};
static const struct word restart_words[] = {{"permanent", BT_RESTART_PERMANENT},
                                            {"transient", BT_RESTART_TRANSIENT},
                                            {"temporary", BT_RESTART_TEMPORARY},
                                            {NULL, 0}};
static const struct word bad_state_words[] = {{"fresh", BT_BAD_STATE_FRESH},
                                              {"fail", BT_BAD_STATE_FAIL},
                                              {"keep_old", BT_BAD_STATE_KEEP_OLD},
                                              {NULL, 0}};
static const struct word distribution_words[] = {{"consistent_hash", BT_DISTRIBUTION_CONSISTENT_HASH},
                                                 {"guided", BT_DISTRIBUTION_GUIDED},
                                                 {"least_loaded", BT_DISTRIBUTION_LEAST_LOADED},
                                                 {"round_robin", BT_DISTRIBUTION_ROUND_ROBIN},
                                                 {NULL, 0}};
static const struct word form_words[] = {{"none", BATON_STATE_NONE},
                                         {"blob", BATON_STATE_BLOB},
                                         {"arena", BATON_STATE_ARENA},
                                         {NULL, 0}};

/* For durations: value 0 is "0", value 1 is for ever. */
static const struct word shutdown_words[] = {{"brutal_kill", 0}, {"infinity", 1}, {NULL, 0}};
static const struct word every_words[] = {{"never", 0}, {NULL, 0}};
static const struct word durability_words[] = {{"none", BT_DURABILITY_NONE},
                                               {"shutdown", BT_DURABILITY_SHUTDOWN},
                                               {"async", BT_DURABILITY_ASYNC},
                                               {"sync", BT_DURABILITY_SYNC},
                                               {NULL, 0}};
static const struct word ttl_words[] = {{"infinity", 1}, {NULL, 0}};

/* ---- words ---- */

static const struct word *word_find(const struct word *words, const char *text)
{
        for (; words && words->text; words++)
                if (!strcmp(words->text, text))
                        return words;
        return NULL;
}

/* "hot, cold" */
static const char *words_list(struct bt_mem *mem, const struct word *words)
{
        const char *list = words->text;

        for (words++; words->text; words++)
                list = bt_mem_printf(mem, "%s%s%s", list, words[1].text ? ", " : " or ",
                                     words->text);
        return list;
}

static bool read_word(struct bt_reader *reader, const struct bt_yaml *node, const char *key,
                      const struct word *words, uint32_t *ret)
{
        const char *text = bt_read_text(reader, node, key);
        const struct word *word = text ? word_find(words, text) : NULL;

        if (text && !word)
                bt_diag_error(reader->diag, node->mark, "'%s' is '%s', expected %s", key, text,
                              words_list(&reader->config->mem, words));
        if (word)
                *ret = word->value;
        return word != NULL;
}

/* ---- rows that are data ---- */

static void apply_word(struct bt_reader *reader, struct bt_config_child *child,
                       const struct child_key *key, const struct bt_yaml *value)
{
        uint32_t *at = (uint32_t *)(void *)((char *)&child->spec + key->off);

        (void)read_word(reader, value, key->name, key->words, at);
}

static void read_duration(struct bt_reader *reader, const struct bt_yaml *value, const char *name,
                          const struct child_key *key, uint64_t *ret_ns)
{
        const char *text = bt_read_text(reader, value, name);
        const struct word *word = text ? word_find(key->words, text) : NULL;
        uint64_t ns = 0;
        const char *wrong = text && !word ? bt_value_duration(&ns, text, key->plain_ns) : NULL;

        if (!text)
                return;
        if (wrong) {
                bt_diag_error(reader->diag, value->mark, "'%s' is '%s': %s%s%s", name, text, wrong,
                              key->words ? ", or the word " : "",
                              key->words ? words_list(&reader->config->mem, key->words) : "");
                return;
        }
        if (!word && ns < key->limit) {
                char room[BT_TEXT_NUMBER_BYTES];

                bt_text_duration(room, key->limit);
                bt_diag_error(reader->diag, value->mark, "'%s' is '%s': it must be at least %s",
                              name, text, room);
                return;
        }
        *ret_ns = !word ? ns : word->value ? BT_NS_INFINITE : 0;
}

static void apply_duration(struct bt_reader *reader, struct bt_config_child *child,
                           const struct child_key *key, const struct bt_yaml *value)
{
        uint64_t *at = (uint64_t *)(void *)((char *)&child->spec + key->off);

        read_duration(reader, value, key->name, key, at);
}

static bool read_switch(struct bt_reader *reader, const struct bt_yaml *value, const char *name,
                        bool *ret)
{
        const char *text = bt_read_text(reader, value, name);
        const char *wrong = text ? bt_value_switch(ret, text) : NULL;

        if (wrong)
                bt_diag_error(reader->diag, value->mark, "'%s' is '%s': %s", name, text, wrong);
        return text && !wrong;
}

static void apply_handover(struct bt_reader *reader, struct bt_config_child *child,
                           const struct child_key *key, const struct bt_yaml *value)
{
        bool on = false;

        if (read_switch(reader, value, key->name, &on))
                child->spec.handover = on;
}

static void apply_zygote(struct bt_reader *reader, struct bt_config_child *child,
                         const struct child_key *key, const struct bt_yaml *value)
{
        bool on = false;

        if (read_switch(reader, value, key->name, &on))
                child->spec.zygote = on;
}

static void apply_hold(struct bt_reader *reader, struct bt_config_child *child,
                       const struct child_key *key, const struct bt_yaml *value)
{
        bool on = false;

        if (read_switch(reader, value, key->name, &on))
                child->spec.hold = on;
}

static void apply_spare(struct bt_reader *reader, struct bt_config_child *child,
                        const struct child_key *key, const struct bt_yaml *value)
{
        bool on = false;

        if (read_switch(reader, value, key->name, &on))
                child->spec.spare = on;
}

static void apply_checkpoint(struct bt_reader *reader, struct bt_config_child *child,
                             const struct child_key *key, const struct bt_yaml *value)
{
        bool on = false;

        if (read_switch(reader, value, key->name, &on))
                child->spec.checkpoint = on;
}

static void apply_env_clear(struct bt_reader *reader, struct bt_config_child *child,
                            const struct child_key *key, const struct bt_yaml *value)
{
        (void)read_switch(reader, value, key->name, &child->env_clear);
}

static void apply_instances(struct bt_reader *reader, struct bt_config_child *child,
                            const struct child_key *key, const struct bt_yaml *value)
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
                               const struct child_key *key, const struct bt_yaml *value)
{
        const char *text = bt_read_text(reader, value, key->name);
        uint64_t number = UINT32_MAX;
        const char *wrong = NULL;

        if (!text)
                return;
        if (strcmp(text, "forever") != 0)
                wrong = bt_value_number(&number, text, 0, BT_PLAN_RESTARTS_MAX);
        if (wrong)
                bt_diag_error(reader->diag, value->mark,
                              "'max_restarts' is '%s': %s (0 to %d, or the word forever)", text,
                              wrong, BT_PLAN_RESTARTS_MAX);
        else
                child->spec.max_restarts = (uint32_t)number;
}

/* A count from 1 on. */
static void apply_count(struct bt_reader *reader, struct bt_config_child *child,
                        const struct child_key *key, const struct bt_yaml *value)
{
        uint32_t *at = (uint32_t *)(void *)((char *)&child->spec + key->off);
        const char *text = bt_read_text(reader, value, key->name);
        uint64_t number = 0;
        const char *wrong = text ? bt_value_number(&number, text, 1, key->limit) : NULL;

        if (wrong)
                bt_diag_error(reader->diag, value->mark, "'%s' is '%s': %s (1 to %" PRIu64 ")", key->name,
                              text, wrong, key->limit);
        else if (text)
                *at = (uint32_t)number;
}

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

static void apply_exec(struct bt_reader *reader, struct bt_config_child *child,
                       const struct child_key *key, const struct bt_yaml *value)
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

static void apply_sockets(struct bt_reader *reader, struct bt_config_child *child,
                          const struct child_key *key, const struct bt_yaml *value)
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

static void apply_state(struct bt_reader *reader, struct bt_config_child *child,
                        const struct child_key *key, const struct bt_yaml *value)
{
        static const char *const known[] = {"form", "max", NULL};
        const struct bt_yaml *form = bt_yaml_get(value, "form");
        const struct bt_yaml *max = bt_yaml_get(value, "max");

        child->state_mark = value->mark;
        if (value->kind == BT_YAML_SCALAR) {
                (void)read_word(reader, value, key->name, form_words, &child->spec.state_form);
                return;
        }
        if (!bt_read_kind(reader, value, BT_YAML_MAP, key->name, "{form: arena, max: 1GiB}"))
                return;
        bt_read_known(reader, value, known);
        if (form)
                (void)read_word(reader, form, "form", form_words, &child->spec.state_form);
        if (max) {
                child->state_mark = max->mark;
                read_state_max(reader, child, max);
        }
}

void bt_read_backoff(struct bt_reader *reader, const struct bt_yaml *value, const char *name,
                     uint64_t *min_ns, uint64_t *max_ns)
{
        static const char *const known[] = {"min", "max", NULL};
        static const struct child_key unit = {.plain_ns = BT_NS_PER_MS, .limit = BT_NS_PER_MS};
        const struct bt_yaml *min = bt_yaml_get(value, "min");
        const struct bt_yaml *max = bt_yaml_get(value, "max");

        if (!bt_read_kind(reader, value, BT_YAML_MAP, name, "{min: 100ms, max: 10s}"))
                return;
        bt_read_known(reader, value, known);
        if (min)
                read_duration(reader, min, "min", &unit, min_ns);
        if (max)
                read_duration(reader, max, "max", &unit, max_ns);
        if (*min_ns > *max_ns) {
                bt_diag_error(reader->diag, value->mark, "'%s': min is longer than max", name);
                *max_ns = *min_ns;
        }
}

static void apply_backoff(struct bt_reader *reader, struct bt_config_child *child,
                          const struct child_key *key, const struct bt_yaml *value)
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
void bt_read_variables(struct bt_reader *reader, struct bt_config_list *env, const struct bt_yaml *value, const char *key)
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

static void apply_env(struct bt_reader *reader, struct bt_config_child *child,
                      const struct child_key *key, const struct bt_yaml *value)
{
        bt_read_variables(reader, &child->own_env, value, key->name);
}

static void apply_cwd(struct bt_reader *reader, struct bt_config_child *child,
                      const struct child_key *key, const struct bt_yaml *value)
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

static void apply_on(struct bt_reader *reader, struct bt_config_child *child,
                     const struct child_key *key, const struct bt_yaml *value)
{
        (void)key;
        bt_read_hooks(reader, &child->hooks, value);
}

static void apply_tags(struct bt_reader *reader, struct bt_config_child *child,
                       const struct child_key *key, const struct bt_yaml *value)
{
        (void)key;
        bt_read_tags(reader, child, value);
}

static void apply_meta(struct bt_reader *reader, struct bt_config_child *child,
                       const struct child_key *key, const struct bt_yaml *value)
{
        (void)key;
        bt_read_meta(reader, child, value);
}

static void apply_mailbox(struct bt_reader *reader, struct bt_config_child *child,
                          const struct child_key *key, const struct bt_yaml *value)
{
        (void)key;
        bt_read_mailbox(reader, child, value);
}

static void apply_redundancy(struct bt_reader *reader, struct bt_config_child *child,
                             const struct child_key *key, const struct bt_yaml *value)
{
        (void)key;
        bt_read_redundancy(reader, child, value);
}

/* `none`: also not that of `defaults`. */
static void apply_alter(struct bt_reader *reader, struct bt_config_child *child,
                        const struct child_key *key, const struct bt_yaml *value)
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

static const struct child_key child_keys[] = {
        {"exec", apply_exec, 0, 0, 0, NULL},
        {"instances", apply_instances, 0, 0, 0, NULL},
        {"sockets", apply_sockets, 0, 0, 0, NULL},
        {"protocol", apply_word, AT(protocol), 0, 0, protocol_words},
        {"strategy", apply_word, AT(strategy), 0, 0, strategy_words},
        {"handover", apply_handover, 0, 0, 0, NULL},
        {"state", apply_state, 0, 0, 0, NULL},
        {"restart", apply_word, AT(restart), 0, 0, restart_words},
        {"max_restarts", apply_max_restarts, 0, 0, 0, NULL},
        {"max_seconds", apply_duration, AT(max_seconds_ns), BT_NS_PER_S, MS,
         NULL}, /* OTP counts it in seconds */
        {"backoff", apply_backoff, 0, 0, 0, NULL},
        {"healthy", apply_duration, AT(healthy_ns), MS, MS, NULL},
        {"shutdown", apply_duration, AT(shutdown_ns), MS, 0, shutdown_words},
        {"retention", apply_duration, AT(retention_ns), MS, 0, NULL},
        {"max_draining", apply_count, AT(max_draining), 0, BT_PLAN_DRAINING_MAX, NULL},
        {"watchdog", apply_duration, AT(watchdog_ns), MS, MS, every_words},
        {"handover_data_wait", apply_duration, AT(handover_data_wait_ns), MS, MS, NULL},
        {"child_migration_timeout", apply_duration, AT(child_migration_timeout_ns), MS, MS, NULL},
        {"state_ttl", apply_duration, AT(state_ttl_ns), MS, MS, ttl_words},
        {"state_query_timeout", apply_duration, AT(state_query_timeout_ns), MS, MS, NULL},
        {"stored_ttl", apply_duration, AT(stored_ttl_ns), MS, MS, ttl_words},
        {"consent_timeout", apply_duration, AT(consent_timeout_ns), MS, MS, NULL},
        {"consent_retry", apply_duration, AT(consent_retry_ns), MS, MS, NULL},
        {"consent_limit", apply_duration, AT(consent_limit_ns), MS, MS, NULL},
        {"on_bad_state", apply_word, AT(on_bad_state), 0, 0, bad_state_words},
        {"restore_attempts", apply_count, AT(restore_attempts), 0, BT_PLAN_ATTEMPTS_MAX, NULL},
        {"checkpoint", apply_checkpoint, 0, 0, 0, NULL},
        {"checkpoint_every", apply_duration, AT(checkpoint_every_ns), MS, MS, every_words},
        {"distribution", apply_word, AT(distribution), 0, 0, distribution_words},
        {"redundancy", apply_redundancy, 0, 0, 0, NULL},
        {"durability", apply_word, AT(durability), 0, 0, durability_words},
        {"mailbox", apply_mailbox, 0, 0, 0, NULL},
        {"spare", apply_spare, 0, 0, 0, NULL},
        {"hold", apply_hold, 0, 0, 0, NULL},
        {"zygote", apply_zygote, 0, 0, 0, NULL},
        {"env", apply_env, 0, 0, 0, NULL},
        {"env_clear", apply_env_clear, 0, 0, 0, NULL},
        {"cwd", apply_cwd, 0, 0, 0, NULL},
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
