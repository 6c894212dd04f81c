/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `redundancy`: singularity, replication, or a map of what is to be other than by default (docs/redundancy.md). The child's own word replaces that of
 * `defaults` as a whole, as with `state`.
 */
#include <string.h>

#include <baton/types.h>

#include "supervisor/baton/reader.h"
#include "supervisor/baton/text.h"
#include "supervisor/baton/value.h"

#define REPLICAS_DEFAULT 2 /* as in the original */

static void read_replicas(struct bt_reader *reader, const struct bt_yaml *node, uint32_t *ret)
{
        const char *text = bt_read_text(reader, node, "replication");
        uint64_t number = 0;

        if (!text)
                return;
        if (!strcmp(text, "all"))
                *ret = BT_PLAN_REPLICAS_ALL;
        else if (bt_value_number(&number, text, 1, BT_PLAN_NODES_MAX))
                bt_diag_error(reader->diag, node->mark,
                              "'replication' is '%s', expected on how many nodes, 1 to %d, or all",
                              text, BT_PLAN_NODES_MAX);
        else
                *ret = (uint32_t)number;
}

static void read_mode(struct bt_reader *reader, const struct bt_yaml *node, uint32_t *ret)
{
        const char *text = bt_read_text(reader, node, "mode");

        if (!text)
                return;
        if (!strcmp(text, "active_active"))
                *ret = BT_REPLICATION_ACTIVE_ACTIVE;
        else if (!strcmp(text, "active_passive"))
                *ret = BT_REPLICATION_ACTIVE_PASSIVE;
        else
                bt_diag_error(reader->diag, node->mark,
                              "'mode' is '%s', expected active_active or active_passive", text);
}

static void read_word(struct bt_reader *reader, struct bt_plan_child *spec,
                      const struct bt_yaml *value)
{
        static const char *const words[] = {"singularity", "replication", NULL};
        const char *text = bt_read_text(reader, value, "redundancy");
        const char *guess;

        if (!text)
                return;
        if (!strcmp(text, "replication")) {
                spec->replicas = REPLICAS_DEFAULT;
        } else if (strcmp(text, "singularity") != 0) {
                guess = bt_text_suggest(text, words);
                bt_diag_error(reader->diag, value->mark,
                              "'redundancy' is '%s', expected singularity, replication, or a map "
                              "such as {replication: all}%s%s%s",
                              text, guess ? " (did you mean '" : "", guess ? guess : "",
                              guess ? "'?)" : "");
        }
}

void bt_read_redundancy(struct bt_reader *reader, struct bt_config_child *child,
                        const struct bt_yaml *value)
{
        static const char *const known[] = {"replication", "mode", NULL};
        const struct bt_yaml *replicas = bt_yaml_get(value, "replication");
        const struct bt_yaml *mode = bt_yaml_get(value, "mode");
        struct bt_plan_child *spec = &child->spec;

        spec->replicas = 0;
        spec->replication = BT_REPLICATION_ACTIVE_ACTIVE;
        child->redundancy_mark = value->mark;
        if (value->kind == BT_YAML_SCALAR) {
                read_word(reader, spec, value);
                return;
        }
        if (!bt_read_kind(reader, value, BT_YAML_MAP, "redundancy",
                          "{replication: all, mode: active_passive}"))
                return;
        bt_read_known(reader, value, known);
        spec->replicas = REPLICAS_DEFAULT;
        if (replicas)
                read_replicas(reader, replicas, &spec->replicas);
        if (mode)
                read_mode(reader, mode, &spec->replication);
}

/* Where it is said: at the child's own key, or where the child's redundancy comes from. */
static struct bt_mark mark_of(const struct bt_config_child *child, const char *key)
{
        const struct bt_yaml *own = bt_yaml_get(child->node, key);

        return own ? own->mark : child->redundancy_mark;
}

void bt_read_redundancy_finish(struct bt_reader *reader, struct bt_config_child *child)
{
        struct bt_plan_child *spec = &child->spec;

        if (!spec->replicas)
                return;
        if (spec->handover)
                bt_diag_error(reader->diag, mark_of(child, "handover"),
                              BT_PLAN_REFUSED ": the instances of '%s' are replicas, and there is not one state to hand "
                              "over: write handover: false, or redundancy: singularity",
                              child->name);
        if (spec->replication == BT_REPLICATION_ACTIVE_PASSIVE &&
            spec->protocol != BT_PROTOCOL_BATON)
                bt_diag_error(reader->diag, mark_of(child, "protocol"),
                              "'active_passive' needs a program that uses libbaton (protocol: baton): "
                              "another one could not be told to stand by");
        if (spec->distribution == BT_DISTRIBUTION_LEAST_LOADED ||
            spec->distribution == BT_DISTRIBUTION_ROUND_ROBIN)
                bt_diag_error(reader->diag, mark_of(child, "distribution"),
                              "'distribution' of a replicated child is consistent_hash or guided: "
                              "its instances would end because a load changed");
}
