/* SPDX-License-Identifier: Apache-2.0 */
/* One value: a word, a duration, a switch, a count. */
#include <inttypes.h>
#include <string.h>

#include "supervisor/baton/child_key.h"
#include "supervisor/baton/text.h"
#include "supervisor/baton/value.h"

/* ---- words ---- */

static const struct bt_word *word_find(const struct bt_word *words, const char *text)
{
        for (; words && words->text; words++)
                if (!strcmp(words->text, text))
                        return words;
        return NULL;
}

/* "hot, cold" */
static const char *words_list(struct bt_mem *mem, const struct bt_word *words)
{
        const char *list = words->text;

        for (words++; words->text; words++)
                list = bt_mem_printf(mem, "%s%s%s", list, words[1].text ? ", " : " or ",
                                     words->text);
        return list;
}

bool bt_read_word(struct bt_reader *reader, const struct bt_yaml *node, const char *key,
                  const struct bt_word *words, uint32_t *ret)
{
        const char *text = bt_read_text(reader, node, key);
        const struct bt_word *word = text ? word_find(words, text) : NULL;

        if (text && !word)
                bt_diag_error(reader->diag, node->mark, "'%s' is '%s', expected %s", key, text,
                              words_list(&reader->config->mem, words));
        if (word)
                *ret = word->value;
        return word != NULL;
}

/* ---- one value of a child ---- */

void bt_child_apply_word(struct bt_reader *reader, struct bt_config_child *child,
                         const struct bt_child_key *key, const struct bt_yaml *value)
{
        uint32_t *at = (uint32_t *)(void *)((char *)&child->spec + key->off);

        (void)bt_read_word(reader, value, key->name, key->words, at);
}

void bt_read_duration(struct bt_reader *reader, const struct bt_yaml *value, const char *name,
                      const struct bt_child_key *key, uint64_t *ret_ns)
{
        const char *text = bt_read_text(reader, value, name);
        const struct bt_word *word = text ? word_find(key->words, text) : NULL;
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

void bt_child_apply_duration(struct bt_reader *reader, struct bt_config_child *child,
                             const struct bt_child_key *key, const struct bt_yaml *value)
{
        uint64_t *at = (uint64_t *)(void *)((char *)&child->spec + key->off);

        bt_read_duration(reader, value, key->name, key, at);
}

bool bt_read_switch(struct bt_reader *reader, const struct bt_yaml *value, const char *name,
                    bool *ret)
{
        const char *text = bt_read_text(reader, value, name);
        const char *wrong = text ? bt_value_switch(ret, text) : NULL;

        if (wrong)
                bt_diag_error(reader->diag, value->mark, "'%s' is '%s': %s", name, text, wrong);
        return text && !wrong;
}

/* A count from 1 on. */
void bt_child_apply_count(struct bt_reader *reader, struct bt_config_child *child,
                          const struct bt_child_key *key, const struct bt_yaml *value)
{
        uint32_t *at = (uint32_t *)(void *)((char *)&child->spec + key->off);
        const char *text = bt_read_text(reader, value, key->name);
        uint64_t number = 0;
        const char *wrong = text ? bt_value_number(&number, text, 1, key->limit) : NULL;

        if (wrong)
                bt_diag_error(reader->diag, value->mark, "'%s' is '%s': %s (1 to %" PRIu64 ")",
                              key->name, text, wrong, key->limit);
        else if (text)
                *at = (uint32_t)number;
}

void bt_read_restarts(struct bt_reader *reader, const struct bt_yaml *value, uint32_t *ret)
{
        const char *text = bt_read_text(reader, value, "max_restarts");
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
                *ret = (uint32_t)number;
}

void bt_child_apply_switch(struct bt_reader *reader, struct bt_config_child *child,
                           const struct bt_child_key *key, const struct bt_yaml *value)
{
        uint32_t *at = (uint32_t *)(void *)((char *)&child->spec + key->off);
        bool on = false;

        if (bt_read_switch(reader, value, key->name, &on))
                *at = on;
}
