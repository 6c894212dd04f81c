/* SPDX-License-Identifier: Apache-2.0 */
/*
 * libyaml's events, one by one, onto a stack of open collections:
 *
 *      children:               frame 0  map   [hub → ..., children → ┐
 *        web:                  frame 1  map          [web → ┐        ┘
 *          exec: [./web, -v    frame 2  map       [exec → ┐ ┘
 *                              frame 3  list   ["./web", "-v"
 *
 * A value is attached to the frame under it when it is complete; an anchor becomes known at that moment too, so an alias inside its own
 * anchor finds nothing and the graph has no cycle. The stack is an array of 32: the depth limit needs no counting and nothing recurses.
 *
 * The event interface and not the document interface of libyaml: that one expands aliases on its own terms and drops the places of keys.
 */
#include "supervisor/baton/yaml.h"

#include <stdlib.h>
#include <string.h>

#include <yaml.h>

#include "base/cleanup.h"
#include "supervisor/baton/text.h"

struct slot {
        struct bt_yaml_entry entry;
        uint32_t order; /* position in the text */
        uint32_t rank; /* 0: written here; else the merged map it came from, earlier ones winning */
};

struct frame {
        struct bt_yaml *node;
        struct bt_yaml *key; /* map: the key whose value comes next, NULL: a key comes next */
        const char *anchor;  /* "": none */
        struct slot *slots;
        size_t count, room;
};

struct anchor {
        const char *name;
        const struct bt_yaml *node;
};

struct builder {
        struct bt_mem *mem;
        struct bt_diag *diag;
        yaml_parser_t parser;
        struct frame frames[BT_YAML_DEPTH_MAX];
        size_t depth;
        struct anchor anchors[BT_YAML_ANCHORS_MAX];
        size_t anchor_count;
        uint32_t weight; /* of everything so far */
        uint32_t documents;
        struct bt_yaml *root;
        bool stop;
};

const char *bt_yaml_kind_name(enum bt_yaml_kind kind)
{
        static const char *const names[_BT_YAML_N] = {"a text", "a list", "a map",
                                                      "something broken"};

        return names[kind];
}

const struct bt_yaml *bt_yaml_get(const struct bt_yaml *map, const char *key)
{
        if (map->kind != BT_YAML_MAP)
                return NULL;
        for (uint32_t i = 0; i < map->entry_count; i++)
                if (!strcmp(map->entries[i].key->text, key))
                        return map->entries[i].value;
        return NULL;
}

/* ---- places ---- */

static struct bt_mark mark_of(const yaml_mark_t *start, const yaml_mark_t *end)
{
        struct bt_mark mark = {(uint32_t)start->line + 1, (uint32_t)start->column + 1, 1};

        if (end && end->line == start->line && end->column > start->column)
                mark.width = (uint32_t)(end->column - start->column);
        return mark;
}

/* An error after which the rest of the text means nothing. */
static void give_up(struct builder *builder, struct bt_mark mark, const char *what)
{
        bt_diag_error(builder->diag, mark, "%s", what);
        builder->stop = true;
}

static void parser_failed(struct builder *builder)
{
        const yaml_parser_t *parser = &builder->parser;
        const char *problem = parser->problem ? parser->problem : "cannot be read";
        struct bt_mark mark = mark_of(&parser->problem_mark, NULL);

        if (parser->error == YAML_MEMORY_ERROR)
                bt_mem_exhausted();
        if (parser->error == YAML_READER_ERROR) {
                mark = mark_of(&parser->mark, NULL);
                bt_diag_error(builder->diag, mark, "the file is not UTF-8 text: %s", problem);
        } else if (parser->context) {
                bt_diag_error(builder->diag, mark, "not YAML: %s %s (line %zu)", problem,
                              parser->context, parser->context_mark.line + 1);
        } else {
                bt_diag_error(builder->diag, mark, "not YAML: %s", problem);
        }
        builder->stop = true;
}

/* ---- nodes ---- */

/* Counts @weight more nodes; false (and the end) beyond the limit. */
static bool weigh(struct builder *builder, struct bt_mark mark, uint32_t weight)
{
        if (weight > BT_YAML_NODES_MAX - builder->weight) {
                give_up(builder, mark,
                        "too large: more than 1048576 values, aliases and merges expanded");
                return false;
        }
        builder->weight += weight;
        return true;
}

static struct bt_yaml *node_new(struct builder *builder, enum bt_yaml_kind kind,
                                struct bt_mark mark)
{
        struct bt_yaml *node = bt_mem_alloc(builder->mem, sizeof(*node));

        node->kind = kind;
        node->mark = mark;
        node->weight = 1;
        return node;
}

static void anchor_add(struct builder *builder, const char *name, const struct bt_yaml *node)
{
        if (!*name)
                return;
        if (builder->anchor_count >= BT_YAML_ANCHORS_MAX) {
                give_up(builder, node->mark, "more than 256 anchors");
                return;
        }
        builder->anchors[builder->anchor_count++] = (struct anchor){name, node};
}

/* The latest of that name, as YAML has it. */
static const struct bt_yaml *anchor_find(const struct builder *builder, const char *name)
{
        for (size_t i = builder->anchor_count; i-- > 0;)
                if (!strcmp(builder->anchors[i].name, name))
                        return builder->anchors[i].node;
        return NULL;
}

static void slot_add(struct frame *frame, const struct bt_yaml *key, const struct bt_yaml *value,
                     uint32_t rank)
{
        if (frame->count == frame->room) {
                size_t room = frame->room ? frame->room * 2 : 8;
                struct slot *slots = reallocarray(frame->slots, room, sizeof(*slots));

                if (!slots)
                        bt_mem_exhausted();
                frame->slots = slots;
                frame->room = room;
        }
        frame->slots[frame->count] = (struct slot){{key, value}, (uint32_t)frame->count, rank};
        frame->count++;
        frame->node->weight += value->weight + (key ? 1 : 0);
}

/* ---- merges: `<<: *base`, `<<: [*a, *b]` ---- */

static void merge_map(struct builder *builder, struct frame *frame, const struct bt_yaml *map,
                      uint32_t rank)
{
        if (map->kind == BT_YAML_BROKEN)
                return;
        if (map->kind != BT_YAML_MAP) {
                bt_diag_error(builder->diag, map->mark, "'<<' merges maps, and this is %s",
                              bt_yaml_kind_name(map->kind));
                return;
        }
        if (!weigh(builder, map->mark, map->weight))
                return;
        for (uint32_t i = 0; i < map->entry_count; i++)
                slot_add(frame, map->entries[i].key, map->entries[i].value, rank);
}

static void merge(struct builder *builder, struct frame *frame, const struct bt_yaml *value)
{
        if (value->kind != BT_YAML_LIST) {
                merge_map(builder, frame, value, 1);
                return;
        }
        for (uint32_t i = 0; i < value->entry_count && !builder->stop; i++)
                merge_map(builder, frame, value->entries[i].value, i + 1);
}

/* ---- closing a collection ---- */

static int slot_by_key(const void *a, const void *b)
{
        const struct slot *x = a, *y = b;
        int r = strcmp(x->entry.key->text, y->entry.key->text);

        if (r)
                return r;
        if (x->rank != y->rank)
                return x->rank < y->rank ? -1 : 1;
        return x->order < y->order ? -1 : 1;
}

static int slot_by_order(const void *a, const void *b)
{
        const struct slot *x = a, *y = b;

        return x->order < y->order ? -1 : 1;
}

/* Keeps of each key the one that wins, in the order of the text. Sorting: a map may have a hundred thousand keys. */
static void keys_unique(struct builder *builder, struct frame *frame)
{
        size_t kept = 0;

        qsort(frame->slots, frame->count, sizeof(*frame->slots), slot_by_key);
        for (size_t i = 0; i < frame->count; i++) {
                const struct slot *slot = &frame->slots[i];
                const struct slot *last = kept ? &frame->slots[kept - 1] : NULL;

                if (!last || strcmp(last->entry.key->text, slot->entry.key->text) != 0)
                        frame->slots[kept++] = *slot;
                else if (!slot->rank)
                        bt_diag_error(builder->diag, slot->entry.key->mark,
                                      "the key '%s' is here twice; the first is in line %u",
                                      slot->entry.key->text, last->entry.key->mark.line);
        }
        frame->count = kept;
        qsort(frame->slots, frame->count, sizeof(*frame->slots), slot_by_order);
}

static void attach(struct builder *builder, struct bt_yaml *node, const char *anchor);

static void frame_close(struct builder *builder)
{
        struct frame *frame = &builder->frames[builder->depth - 1];
        struct bt_yaml *node = frame->node;

        if (node->kind == BT_YAML_MAP && frame->count)
                keys_unique(builder, frame);
        node->entries = bt_mem_array(builder->mem, frame->count, sizeof(*node->entries));
        node->entry_count = (uint32_t)frame->count;
        for (size_t i = 0; i < frame->count; i++)
                node->entries[i] = frame->slots[i].entry;
        free(frame->slots);
        frame->slots = NULL;
        builder->depth--;
        attach(builder, node, frame->anchor);
}

static void frame_open(struct builder *builder, struct bt_yaml *node, const char *anchor)
{
        if (builder->depth == BT_YAML_DEPTH_MAX) {
                give_up(builder, node->mark, "more than 32 levels deep");
                return;
        }
        builder->frames[builder->depth++] = (struct frame){.node = node, .anchor = anchor};
}

/* ---- attaching a complete value ---- */

static void attach_key(struct builder *builder, struct frame *frame, struct bt_yaml *node)
{
        if (node->kind == BT_YAML_SCALAR)
                frame->key = node;
        else
                give_up(builder, node->mark, "a key must be a plain text");
}

static void attach(struct builder *builder, struct bt_yaml *node, const char *anchor)
{
        struct frame *frame = builder->depth ? &builder->frames[builder->depth - 1] : NULL;
        struct bt_yaml *key;

        anchor_add(builder, anchor, node);
        if (!frame) {
                builder->root = node;
                return;
        }
        if (frame->node->kind == BT_YAML_LIST) {
                slot_add(frame, NULL, node, 0);
                return;
        }
        if (!frame->key) {
                attach_key(builder, frame, node);
                return;
        }
        key = frame->key;
        frame->key = NULL;
        if (!strcmp(key->text, "<<") && !key->quoted)
                merge(builder, frame, node);
        else
                slot_add(frame, key, node, 0);
}

/* ---- events ---- */

static const char *name_copy(struct builder *builder, const yaml_char_t *name)
{
        return name ? bt_mem_printf(builder->mem, "%s", (const char *)name) : "";
}

/* Tags choose types and, in other readers, run code. Here a value's type follows from its key. */
static void tag_refuse(struct builder *builder, const yaml_char_t *tag, struct bt_mark mark)
{
        if (tag)
                bt_diag_error(builder->diag, mark, "tags are not used here (%s): leave it away",
                              (const char *)tag);
}

static void on_scalar(struct builder *builder, const yaml_event_t *event)
{
        struct bt_mark mark = mark_of(&event->start_mark, &event->end_mark);
        struct bt_yaml *node = node_new(builder, BT_YAML_SCALAR, mark);
        const char *value = (const char *)event->data.scalar.value;
        size_t bytes = event->data.scalar.length;

        tag_refuse(builder, event->data.scalar.tag, mark);
        if (memchr(value, 0, bytes)) {
                bt_diag_error(builder->diag, mark, "a text with a NUL character in it");
                node->kind = BT_YAML_BROKEN;
        }
        node->text = bt_mem_copy(builder->mem, value, bytes);
        node->quoted = event->data.scalar.style != YAML_PLAIN_SCALAR_STYLE;
        if (weigh(builder, mark, 1))
                attach(builder, node, name_copy(builder, event->data.scalar.anchor));
}

static void on_start(struct builder *builder, const yaml_event_t *event, enum bt_yaml_kind kind,
                     const yaml_char_t *tag, const yaml_char_t *anchor)
{
        struct bt_mark mark = mark_of(&event->start_mark, NULL);

        tag_refuse(builder, tag, mark);
        if (weigh(builder, mark, 1))
                frame_open(builder, node_new(builder, kind, mark), name_copy(builder, anchor));
}

static void on_alias(struct builder *builder, const yaml_event_t *event)
{
        struct bt_mark mark = mark_of(&event->start_mark, &event->end_mark);
        const char *name = (const char *)event->data.alias.anchor;
        const struct bt_yaml *target = anchor_find(builder, name);
        struct bt_yaml *node;

        if (!target) {
                bt_diag_error(builder->diag, mark, "no anchor '&%s' is complete before this alias",
                              name);
                attach(builder, node_new(builder, BT_YAML_BROKEN, mark), "");
                return;
        }
        if (!weigh(builder, mark, target->weight))
                return;
        node = bt_mem_alloc(builder->mem, sizeof(*node)); /* shares the entries */
        *node = *target;
        attach(builder, node, "");
}

static void on_document(struct builder *builder, const yaml_event_t *event)
{
        if (builder->documents++)
                give_up(builder, mark_of(&event->start_mark, NULL),
                        "a second document: a configuration is one");
}

static void on_event(struct builder *builder, const yaml_event_t *event)
{
        switch (event->type) {
        case YAML_DOCUMENT_START_EVENT:
                on_document(builder, event);
                break;
        case YAML_SCALAR_EVENT:
                on_scalar(builder, event);
                break;
        case YAML_SEQUENCE_START_EVENT:
                on_start(builder, event, BT_YAML_LIST, event->data.sequence_start.tag,
                         event->data.sequence_start.anchor);
                break;
        case YAML_MAPPING_START_EVENT:
                on_start(builder, event, BT_YAML_MAP, event->data.mapping_start.tag,
                         event->data.mapping_start.anchor);
                break;
        case YAML_SEQUENCE_END_EVENT:
        case YAML_MAPPING_END_EVENT:
                frame_close(builder);
                break;
        case YAML_ALIAS_EVENT:
                on_alias(builder, event);
                break;
        case YAML_STREAM_END_EVENT:
                builder->stop = true;
                break;
        default:
                break;
        }
}

static void build(struct builder *builder)
{
        while (!builder->stop) {
                yaml_event_t event;

                if (!yaml_parser_parse(&builder->parser, &event)) {
                        parser_failed(builder);
                        return;
                }
                on_event(builder, &event);
                yaml_event_delete(&event);
        }
}

const struct bt_yaml *bt_yaml_parse(struct bt_mem *mem, struct bt_diag *diag, const char *text,
                                    size_t bytes)
{
        struct builder builder = {.mem = mem, .diag = diag};

        if (bytes > BT_YAML_BYTES_MAX) {
                bt_diag_error(diag, (struct bt_mark){0}, "the file is larger than 1 MiB");
                return NULL;
        }
        if (!yaml_parser_initialize(&builder.parser))
                bt_mem_exhausted();
        /* Said, not guessed: a UTF-16 file is an error with a place, and columns are characters of what the user's editor shows. */
        yaml_parser_set_encoding(&builder.parser, YAML_UTF8_ENCODING);
        yaml_parser_set_input_string(&builder.parser, (const unsigned char *)text, bytes);
        build(&builder);
        yaml_parser_delete(&builder.parser);

        /* Given up in the middle: what is open is not attached, and what is there would only be half understood. */
        for (; builder.depth; builder.depth--)
                free(builder.frames[builder.depth - 1].slots);
        return builder.root;
}
