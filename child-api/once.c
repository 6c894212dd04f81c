/* SPDX-License-Identifier: Apache-2.0 */
/*
 * While a message is in hand, old bytes of the arena go into the log on the desk before they are changed (shm/desk.h). The program says what it changes;
 * the allocator's own words are saved here.
 *
 * A block that was freed by this message can be handed out again by it, and then the program writes over what was the block's contents. So from the first
 * free on a block that comes from a list is saved as a whole; before that its 16 bytes that the allocator uses are enough.
 */
#include <errno.h>

#include "child-api/child.h"
#include "child-api/post.h"

static bool saves(const struct baton_child *child)
{
        return child->post && child->post->handling && child->post->once;
}

static int save_spans(struct baton_child *child, const struct bt_arena_span *spans, uint32_t count)
{
        int r = 0;

        for (uint32_t i = 0; !r && i < count; i++)
                r = bt_desk_save(child->post->desk, child->arena, spans[i].at, spans[i].bytes);
        return r;
}

int baton_arena_save(struct baton_child *child, const void *at, size_t bytes)
{
        if (bt_child_forked())
                return -BATON_E_FORKED;
        return saves(child) ? bt_desk_save(child->post->desk, child->arena, at, bytes) : 0;
}

int bt_once_begin(struct baton_child *child)
{
        const struct bt_arena_span head = bt_arena_head_span(child->arena);

        child->post->freed = child->post->spoiled = false;
        return save_spans(child, &head, 1);
}

int bt_once_alloc(struct baton_child *child, size_t bytes)
{
        struct bt_arena_span spans[BT_ARENA_SPANS];

        if (!saves(child))
                return 0;
        return save_spans(child, spans, bt_arena_alloc_spans(child->arena, bytes, child->post->freed, spans));
}

int bt_once_free(struct baton_child *child, const void *ptr)
{
        struct bt_arena_span spans[BT_ARENA_SPANS];
        int r;

        if (!saves(child))
                return 0;
        r = save_spans(child, spans, bt_arena_free_spans(child->arena, ptr, spans));
        if (r)
                child->post->spoiled = true; /* free() has no result: the message fails when its handler returns */
        else
                child->post->freed = true;
        return r;
}
