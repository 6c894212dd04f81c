/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `groups`: children that are started and stopped in order, and restarted because of each other (docs/groups.md).
 *
 *      groups:
 *        web: {strategy: rest_for_one, max_restarts: 3, max_seconds: 5s, children: [db, api, front]}
 *
 * A name in `children` is a child's, which stands for all of its instances, or another group's. Each is in one group at most and no group is in itself, so
 * the groups are trees. Names are looked up in a sorted list: a file of 1 MiB can have tens of thousands of both.
 */
#include <stdlib.h>
#include <string.h>

#include <baton/types.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "supervisor/baton/child_key.h"
#include "supervisor/baton/text.h"
#include "supervisor/baton/value.h"

#define GUESSES_MAX 16 /* a guess looks at all names */

/* ---- names ---- */

struct name {
        const char *text;
        bool group;
        uint32_t idx;
        uint32_t first; /* of a child: in the plan */
};

struct names {
        struct name *items;
        uint32_t count;
};

static int name_compare(const void *a, const void *b)
{
        return strcmp(((const struct name *)a)->text, ((const struct name *)b)->text);
}

/* Children and groups, sorted. A group that has the name of a child is reported. */
static struct names names_make(struct bt_reader *reader)
{
        struct bt_config *config = reader->config;
        struct names names = {
                .items = bt_mem_array(&config->mem,
                                      (size_t)config->child_count + config->group_count,
                                      sizeof(struct name))};
        uint32_t first = 0;

        for (uint32_t i = 0; i < config->child_count; i++) {
                names.items[names.count++] =
                        (struct name){config->children[i].name, false, i, first};
                first += config->children[i].instances ? config->children[i].instances : 1;
        }
        for (uint32_t i = 0; i < config->group_count; i++)
                names.items[names.count++] = (struct name){config->groups[i].name, true, i, 0};
        qsort(names.items, names.count, sizeof(*names.items), name_compare);
        for (uint32_t i = 1; i < names.count; i++) {
                const struct name *a = &names.items[i - 1], *b = &names.items[i];

                if (!strcmp(a->text, b->text))
                        bt_diag_error(reader->diag, config->groups[a->group ? a->idx : b->idx].mark,
                                      "there is a child of the name '%s'", a->text);
        }
        return names;
}

static const struct name *name_find(const struct names *names, const char *text)
{
        const struct name key = {.text = text};

        return names->count ? bsearch(&key, names->items, names->count, sizeof(*names->items),
                                      name_compare)
                            : NULL;
}

static void name_unknown(struct bt_reader *reader, const struct names *names,
                         const struct bt_config_group *group, const struct bt_config_member *member)
{
        const char *guess = NULL;

        if (bt_diag_count(reader->diag, BT_SEVERITY_ERROR) < GUESSES_MAX) {
                const char **all =
                        bt_mem_array(&reader->config->mem, names->count + (size_t)1, sizeof(*all));

                for (uint32_t i = 0; i < names->count; i++)
                        all[i] = names->items[i].text;
                guess = bt_text_suggest(member->name, all);
        }
        bt_diag_error(reader->diag, member->mark,
                      "the group '%s' names '%s', and there is neither a child nor a group of that "
                      "name%s%s%s",
                      group->name, member->name, guess ? " (did you mean '" : "",
                      guess ? guess : "", guess ? "'?)" : "");
}

/* ---- keys ---- */

static const struct bt_word strategy_words[] = {{"one_for_one", BT_GROUP_ONE_FOR_ONE},
                                                {"one_for_all", BT_GROUP_ONE_FOR_ALL},
                                                {"rest_for_one", BT_GROUP_REST_FOR_ONE},
                                                {NULL, 0}};
static const struct bt_word auto_words[] = {{"never", BT_GROUP_AUTO_NEVER},
                                            {"any_significant", BT_GROUP_AUTO_ANY},
                                            {"all_significant", BT_GROUP_AUTO_ALL},
                                            {NULL, 0}};
static const struct bt_word restart_words[] = {{"permanent", BT_RESTART_PERMANENT},
                                               {"transient", BT_RESTART_TRANSIENT},
                                               {"temporary", BT_RESTART_TEMPORARY},
                                               {NULL, 0}};
static const struct bt_word end_words[] = {{"stay", 0}, {"stop_hub", 1}, {NULL, 0}};

static void read_members(struct bt_reader *reader, struct bt_config_group *group,
                         const struct bt_yaml *list)
{
        if (!bt_read_kind(reader, list, BT_YAML_LIST, "children", "[db, api]"))
                return;
        group->members =
                bt_mem_array(&reader->config->mem, list->entry_count, sizeof(*group->members));
        for (uint32_t i = 0; i < list->entry_count; i++) {
                const struct bt_yaml *value = list->entries[i].value;
                const char *name = bt_read_text(reader, value, "children");

                if (name)
                        group->members[group->member_count++] =
                                (struct bt_config_member){.name = name, .mark = value->mark};
        }
        if (!list->entry_count)
                bt_diag_error(reader->diag, list->mark, "the group '%s' has nobody in it",
                              group->name);
}

static void read_switch(struct bt_reader *reader, const struct bt_yaml *value, const char *key,
                        uint32_t *ret)
{
        bool on = *ret;

        if (bt_read_switch(reader, value, key, &on))
                *ret = on;
}

static void read_group(struct bt_reader *reader, struct bt_config_group *group,
                       const struct bt_yaml *map)
{
        static const char *const known[] = {"strategy",    "children",      "max_restarts",
                                            "max_seconds", "auto_shutdown", "restart",
                                            "significant", "on_end",        NULL};
        static const struct bt_child_key seconds = {.plain_ns = BT_NS_PER_S, .limit = BT_NS_PER_MS};
        const struct bt_yaml *at;

        if (!bt_read_kind(reader, map, BT_YAML_MAP, group->name,
                          "{strategy: one_for_all, children: [db, api]}"))
                return;
        bt_read_known(reader, map, known);
        if ((at = bt_yaml_get(map, "strategy")))
                (void)bt_read_word(reader, at, "strategy", strategy_words, &group->spec.strategy);
        if ((at = bt_yaml_get(map, "auto_shutdown")))
                (void)bt_read_word(reader, at, "auto_shutdown", auto_words,
                                   &group->spec.auto_shutdown);
        if ((at = bt_yaml_get(map, "restart")))
                (void)bt_read_word(reader, at, "restart", restart_words, &group->spec.restart);
        if ((at = bt_yaml_get(map, "max_restarts")))
                bt_read_restarts(reader, at, &group->spec.max_restarts);
        if ((at = bt_yaml_get(map, "max_seconds")))
                bt_read_duration(reader, at, "max_seconds", &seconds, &group->spec.max_seconds_ns);
        if ((at = bt_yaml_get(map, "significant")))
                read_switch(reader, at, "significant", &group->spec.significant);
        if ((at = bt_yaml_get(map, "on_end"))) {
                (void)bt_read_word(reader, at, "on_end", end_words, &group->spec.ends_hub);
                group->ends_mark = at->mark;
        }
        if ((at = bt_yaml_get(map, "children")))
                read_members(reader, group, at);
        else
                bt_diag_error(reader->diag, group->mark,
                              "the group '%s' has no 'children', such as [db, api]", group->name);
}

/* ---- together ---- */

static void place_child(struct bt_reader *reader, const struct bt_config_group **owners,
                        const struct bt_config_group *group, const struct bt_config_member *member)
{
        struct bt_config_child *child = &reader->config->children[member->idx];
        static const char *const own[] = {"max_restarts", "max_seconds", NULL};

        if (owners[member->idx])
                bt_diag_error(reader->diag, member->mark, "'%s' is in the group '%s' already",
                              member->name, owners[member->idx]->name);
        else if (child->spec.replicas)
                bt_diag_error(reader->diag, member->mark,
                              "'%s' has 'redundancy': which of its instances there are is up to "
                              "the nodes, so it cannot be in a group",
                              member->name);
        owners[member->idx] = group;
        child->grouped = true;
        for (size_t i = 0; own[i]; i++) {
                const struct bt_yaml *value = bt_yaml_get(child->node, own[i]);

                if (value)
                        bt_diag_error(reader->diag, value->mark,
                                      "'%s' counts in the group '%s' and not in its children: say "
                                      "it there",
                                      own[i], group->name);
        }
}

static void place_group(struct bt_reader *reader, struct bt_config_group *group,
                        const struct bt_config_member *member)
{
        struct bt_config_group *inner = &reader->config->groups[member->idx];

        for (const struct bt_config_group *at = group; at; at = at->around) {
                if (at == inner) {
                        bt_diag_error(reader->diag, member->mark,
                                      "the group '%s' would be in itself", inner->name);
                        return;
                }
        }
        if (inner->around) {
                bt_diag_error(reader->diag, member->mark, "'%s' is in the group '%s' already",
                              inner->name, inner->around->name);
                return;
        }
        inner->around = group;
        if (inner->spec.ends_hub)
                bt_diag_error(reader->diag, inner->ends_mark,
                              "the group '%s' is in the group '%s', which decides what follows "
                              "from its end",
                              inner->name, group->name);
}

/* `significant` of what is in a group with auto_shutdown: `never` there, or restarts that never end, make it a word without a meaning. */
static void check_member(struct bt_reader *reader, const struct bt_config_group *group,
                         const struct bt_config_member *member)
{
        const struct bt_config_child *child =
                member->group ? NULL : &reader->config->children[member->idx];
        const struct bt_config_group *inner =
                member->group ? &reader->config->groups[member->idx] : NULL;
        const struct bt_yaml *own = child ? bt_yaml_get(child->node, "significant") : NULL;
        struct bt_mark mark = own ? own->mark : inner ? inner->mark : member->mark;

        if (!(inner ? inner->spec.significant : own && child->spec.significant))
                return;
        if (group->spec.auto_shutdown == BT_GROUP_AUTO_NEVER)
                bt_diag_error(reader->diag, mark,
                              "'%s' is significant, and the group '%s' has no auto_shutdown "
                              "(any_significant or all_significant)",
                              member->name, group->name);
        else if ((inner ? inner->spec.restart : child->spec.restart) == BT_RESTART_PERMANENT)
                bt_diag_error(reader->diag, mark,
                              "'%s' is significant and permanent: it never ends for good (restart: "
                              "transient or temporary)",
                              member->name);
}

static void place_all(struct bt_reader *reader, const struct names *names,
                      const struct bt_config_group **owners)
{
        for (uint32_t i = 0; i < reader->config->group_count; i++) {
                struct bt_config_group *group = &reader->config->groups[i];

                for (uint32_t k = 0; k < group->member_count; k++) {
                        struct bt_config_member *member = &group->members[k];
                        const struct name *name = name_find(names, member->name);

                        if (!name) {
                                name_unknown(reader, names, group, member);
                                continue;
                        }
                        member->group = name->group;
                        member->idx = name->idx;
                        member->first = name->first;
                        if (name->group)
                                place_group(reader, group, member);
                        else
                                place_child(reader, owners, group, member);
                        check_member(reader, group, member);
                }
        }
}

static uint32_t depth(const struct bt_config_group *group)
{
        uint32_t levels = 0;

        while ((group = group->around))
                levels++;
        return levels;
}

/* The plan has those around others in front of them: level by level. */
static void place_in_plan(struct bt_reader *reader)
{
        struct bt_config *config = reader->config;
        uint32_t place = 0;

        for (uint32_t level = 0; level <= BT_PLAN_GROUP_DEPTH_MAX; level++)
                for (uint32_t i = 0; i < config->group_count; i++)
                        if (depth(&config->groups[i]) == level)
                                config->groups[i].place = place++;
        for (uint32_t i = 0; place < config->group_count && i < config->group_count; i++)
                if (depth(&config->groups[i]) == BT_PLAN_GROUP_DEPTH_MAX + 1)
                        bt_diag_error(reader->diag, config->groups[i].mark,
                                      "more than %d groups are around the group '%s'",
                                      BT_PLAN_GROUP_DEPTH_MAX, config->groups[i].name);
}

void bt_check_significant(struct bt_reader *reader)
{
        for (uint32_t i = 0; i < reader->config->child_count; i++) {
                const struct bt_config_child *child = &reader->config->children[i];
                const struct bt_yaml *own = bt_yaml_get(child->node, "significant");

                if (own && child->spec.significant && !child->grouped)
                        bt_diag_warning(reader->diag, own->mark,
                                        "'%s' is in no group, so nothing ends with it",
                                        child->name);
        }
}

void bt_read_groups(struct bt_reader *reader, const struct bt_yaml *map)
{
        struct bt_config *config = reader->config;
        struct names names;
        const struct bt_config_group **owners; /* of each child; NULL: none yet */

        if (!bt_read_kind(reader, map, BT_YAML_MAP, "groups",
                          "{web: {strategy: one_for_all, children: [db, api]}}"))
                return;
        if (map->entry_count > BT_PLAN_GROUPS_MAX) {
                bt_diag_error(reader->diag, map->mark, "more than %d groups", BT_PLAN_GROUPS_MAX);
                return;
        }
        config->groups = bt_mem_array(&config->mem, map->entry_count, sizeof(*config->groups));
        for (uint32_t i = 0; i < map->entry_count; i++) {
                const struct bt_yaml *key = map->entries[i].key;
                struct bt_config_group *group = &config->groups[config->group_count];
                const char *wrong = bt_read_id(key->text, BATON_NAME_BYTES_MAX);

                if (!strncmp(key->text, "x-", 2))
                        continue;
                if (wrong)
                        bt_diag_error(reader->diag, key->mark, "a group's name %s", wrong);
                *group = (struct bt_config_group){.name = key->text, .mark = key->mark};
                group->spec.max_restarts = 3;
                group->spec.max_seconds_ns = 5 * BT_NS_PER_S;
                config->group_count++;
                read_group(reader, group, map->entries[i].value);
        }
        names = names_make(reader);
        owners = bt_mem_array(&config->mem, config->child_count + (size_t)1,
                              sizeof(struct bt_config_group *));
        place_all(reader, &names, owners);
        place_in_plan(reader);
}
