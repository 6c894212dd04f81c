/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `tags` and `meta` of a child: words that people find children by, and that mean nothing to the hub.
 *
 *      tags: [edge, canary]
 *      meta: {owner: payments, tier: 2}
 *
 * A tag is there or not, a meta key has a text. Tags replace those of `defaults`, as every list does; meta keys are laid over them one by one, as in
 * every map. Instances of one child share theirs.
 */
#include <stddef.h>
#include <string.h>

#include <baton/types.h>

#include "supervisor/baton/reader.h"

static bool list_has(const struct bt_config_list *list, const char *text)
{
        for (uint32_t i = 0; i < list->count; i++)
                if (!strcmp(list->items[i], text))
                        return true;
        return false;
}

void bt_read_tags(struct bt_reader *reader, struct bt_config_child *child,
                  const struct bt_yaml *value)
{
        struct bt_config_list list = {0};

        child->tags.count = 0;
        if (!bt_read_kind(reader, value, BT_YAML_LIST, "tags", "[edge, canary]") ||
            !bt_read_list(reader, value, "tags", &list))
                return;
        if (list.count > BT_CHILD_TAGS_MAX) {
                bt_diag_error(reader->diag, value->mark, "a child has at most %d tags",
                              BT_CHILD_TAGS_MAX);
                return;
        }
        child->tags.items = bt_mem_array(&reader->config->mem, list.count, sizeof(*list.items));
        for (uint32_t i = 0; i < list.count; i++) {
                const char *wrong = bt_read_name(list.items[i], BATON_NAME_BYTES_MAX);

                if (!wrong && list_has(&child->tags, list.items[i]))
                        wrong = "is here twice";
                if (wrong)
                        bt_diag_error(reader->diag, value->entries[i].value->mark,
                                      "the tag '%s' %s", list.items[i], wrong);
                else
                        child->tags.items[child->tags.count++] = list.items[i];
        }
}

/* In the place of the same key that is there, or behind the others. */
static void meta_put(struct bt_reader *reader, struct bt_config_list *meta, const char *key,
                     const char *text)
{
        const char *pair = bt_mem_printf(&reader->config->mem, "%s=%s", key, text);
        size_t bytes = strlen(key) + 1;

        for (uint32_t i = 0; i < meta->count; i++)
                if (!strncmp(meta->items[i], pair, bytes)) {
                        meta->items[i] = pair;
                        return;
                }
        meta->items[meta->count++] = pair;
}

static void meta_read(struct bt_reader *reader, struct bt_config_list *meta,
                      const struct bt_yaml_entry *entry)
{
        const char *key = entry->key->text;
        const char *wrong = bt_read_name(key, BATON_NAME_BYTES_MAX);

        if (wrong)
                bt_diag_error(reader->diag, entry->key->mark, "the key '%s' of 'meta' %s", key,
                              wrong);
        else if (entry->value->kind == BT_YAML_SCALAR &&
                 strlen(entry->value->text) > BT_CHILD_META_BYTES_MAX)
                bt_diag_error(reader->diag, entry->value->mark,
                              "'%s' is longer than %d bytes: meta is for labels", key,
                              BT_CHILD_META_BYTES_MAX);
        else if (entry->value->kind == BT_YAML_SCALAR)
                meta_put(reader, meta, key, entry->value->text);
        else if (entry->value->kind != BT_YAML_BROKEN)
                bt_diag_error(reader->diag, entry->value->mark,
                              "'%s' expects one value, and this is %s", key,
                              bt_yaml_kind_name(entry->value->kind));
}

void bt_read_meta(struct bt_reader *reader, struct bt_config_child *child,
                  const struct bt_yaml *value)
{
        struct bt_config_list meta = child->meta;

        if (!bt_read_kind(reader, value, BT_YAML_MAP, "meta", "{owner: payments}"))
                return;
        /* A copy: what is there may be that of `defaults`. */
        meta.items = bt_mem_array(&reader->config->mem, meta.count + value->entry_count,
                                  sizeof(*meta.items));
        if (meta.count)
                memcpy(meta.items, child->meta.items, meta.count * sizeof(*meta.items));
        for (uint32_t i = 0; i < value->entry_count; i++)
                if (strncmp(value->entries[i].key->text, "x-", 2) != 0)
                        meta_read(reader, &meta, &value->entries[i]);
        if (meta.count > BT_CHILD_META_MAX)
                bt_diag_error(reader->diag, value->mark, "a child has at most %d keys in 'meta'",
                              BT_CHILD_META_MAX);
        child->meta = meta;
}
