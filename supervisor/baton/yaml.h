/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * YAML text as a tree of scalars, lists and maps, each with its place in the text. Strict:
 *
 *   one document, UTF-8, at most 1 MiB, at most 32 levels deep; no tags; keys are scalars; no key twice in a map; no NUL in a scalar.
 *   Anchors and aliases share nodes (the tree is then a graph without cycles), `<<` merges maps. Both are bounded: the tree written out in
 *   full, aliases and merges expanded, has at most BT_YAML_NODES_MAX nodes, so a walk over it ends soon whatever the text was.
 *
 * A scalar is text; what it means (a number, a switch) is for whoever asks. `no` is the text "no" here, never false.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "supervisor/baton/diag.h"
#include "supervisor/baton/mem.h"

#define BT_YAML_BYTES_MAX (UINT32_C(1) << 20)
#define BT_YAML_DEPTH_MAX 32
#define BT_YAML_ANCHORS_MAX 256
#define BT_YAML_NODES_MAX (UINT32_C(1) << 20)

enum bt_yaml_kind {
        BT_YAML_SCALAR = 0,
        BT_YAML_LIST = 1,
        BT_YAML_MAP = 2,
        BT_YAML_BROKEN = 3, /* something was wrong and has been reported: to be passed over in silence */
        _BT_YAML_N,
};

struct bt_yaml;

struct bt_yaml_entry {
        const struct bt_yaml *key; /* list: NULL */
        const struct bt_yaml *value;
};

struct bt_yaml {
        enum bt_yaml_kind kind;
        struct bt_mark mark;
        const char *text;              /* scalar: NUL-terminated, without a NUL inside */
        bool quoted;                   /* scalar: in quotes or a block, so '' is a text and not a missing value */
        struct bt_yaml_entry *entries; /* list, map: in the order of the text */
        uint32_t entry_count;
        uint32_t weight;               /* nodes in it, itself included, expanded */
};

/* Reports to @diag. Returns the root, or NULL when there is none to go on with; with errors in @diag it may have BROKEN parts. */
const struct bt_yaml *bt_yaml_parse(struct bt_mem *mem, struct bt_diag *diag, const char *text,
                                    size_t bytes);

/* The value of @key in a map, NULL: it has none (or is no map). */
const struct bt_yaml *bt_yaml_get(const struct bt_yaml *map, const char *key);

/* "a map", "a list", "a text", for messages. */
const char *bt_yaml_kind_name(enum bt_yaml_kind kind);
