/* SPDX-License-Identifier: Apache-2.0 */
#include "shm/desk.h"

#include <errno.h>
#include <string.h>

#include "base/check.h"

/* Behind the old bytes of each entry of the log. */
struct undo_mark {
        uint64_t off;
        uint64_t bytes;
};

static uint64_t page_up(uint64_t bytes)
{
        return (bytes + BT_PAGE_BYTES - 1) & ~(uint64_t)(BT_PAGE_BYTES - 1);
}

static uint64_t word_up(uint64_t bytes)
{
        return (bytes + 7) & ~UINT64_C(7);
}

static char *at(struct bt_desk *desk, uint64_t off)
{
        return (char *)desk + off;
}

/* A killed process has stored what came before some instruction: it is enough that the compiler keeps this order. */
static void in_order(void)
{
        atomic_signal_fence(memory_order_seq_cst);
}

static uint64_t get(const _Atomic uint64_t *word)
{
        return atomic_load_explicit(word, memory_order_relaxed);
}

static void set(_Atomic uint64_t *word, uint64_t value)
{
        in_order();
        atomic_store_explicit(word, value, memory_order_relaxed);
        in_order();
}

/* ---- the segment ---- */

int bt_desk_create(struct bt_seg *ret_seg, int *ret_fd, uint64_t box_bytes, uint64_t undo_bytes)
{
        uint64_t bytes = sizeof(struct bt_desk) + page_up(box_bytes) + page_up(undo_bytes);
        struct bt_desk *desk;
        int r;

        bt_assert(box_bytes <= BT_MAILBOX_BYTES_MAX && undo_bytes <= BT_DESK_UNDO_MAX);
        r = bt_seg_create(ret_seg, ret_fd, "baton-desk", BT_MAGIC_DESK, bytes, bytes);
        if (r)
                return bt_fold(r);
        desk = ret_seg->at;
        desk->box_off = sizeof(*desk);
        desk->box_bytes = page_up(box_bytes);
        desk->undo_off = desk->box_off + desk->box_bytes;
        desk->undo_bytes = page_up(undo_bytes);
        return 0;
}

int bt_desk_attach(struct bt_seg *ret_seg, int fd)
{
        struct bt_seg seg = BT_SEG_NULL;
        const struct bt_desk *desk;
        int r = bt_seg_attach(&seg, fd, BT_MAGIC_DESK, 0, 1);

        if (r)
                return r;
        desk = seg.at;
        if (seg.bytes < sizeof(*desk) || desk->box_off != sizeof(*desk) ||
            desk->box_bytes > page_up(BT_MAILBOX_BYTES_MAX) ||
            desk->undo_off != desk->box_off + desk->box_bytes ||
            desk->undo_bytes > BT_DESK_UNDO_MAX || desk->undo_off + desk->undo_bytes != seg.bytes) {
                bt_seg_detach(&seg);
                return BT_SEG_E_LAYOUT;
        }
        *ret_seg = seg;
        return 0;
}

/* ---- the message in hand ---- */

uint32_t bt_desk_begin(struct bt_desk *desk, uint64_t pos, const struct bt_baton *baton)
{
        uint64_t before = get(&desk->delivery);
        uint64_t count = before >> 8 == pos ? (before & 0xff) + ((before & 0xff) < 0xff) : 1;

        set(&desk->delivery, pos << 8 | count);
        set(&desk->undo_used, 0);
        desk->epoch = baton ? baton->head.epoch : 0;
        set(&desk->open, pos + 1);
        return (uint32_t)count;
}

int bt_desk_save(struct bt_desk *desk, const struct bt_arena *arena, const void *from, size_t bytes)
{
        uint64_t off = (uint64_t)((const char *)from - (const char *)arena);
        uint64_t used = get(&desk->undo_used);
        struct undo_mark mark = {.off = off, .bytes = bytes};
        uint64_t room = desk->undo_bytes - used;

        if (off > arena->bytes_max || bytes > arena->bytes_max - off)
                return -EINVAL;
        if (bytes > room || word_up(bytes) + sizeof(mark) > room)
                return -ENOSPC;
        memcpy(at(desk, desk->undo_off + used), from, bytes);
        memcpy(at(desk, desk->undo_off + used + word_up(bytes)), &mark, sizeof(mark));
        set(&desk->undo_used, used + word_up(bytes) + sizeof(mark));
        return 0;
}

int bt_desk_undo(struct bt_desk *desk, struct bt_arena *arena, uint64_t arena_bytes)
{
        uint64_t used = get(&desk->undo_used);

        if (used > desk->undo_bytes || used % 8)
                return -EBADMSG;
        while (used) {
                struct undo_mark mark;

                if (used < sizeof(mark))
                        return -EBADMSG;
                used -= sizeof(mark);
                memcpy(&mark, at(desk, desk->undo_off + used), sizeof(mark));
                if (mark.bytes > used || word_up(mark.bytes) > used || mark.off > arena_bytes ||
                    mark.bytes > arena_bytes - mark.off)
                        return -EBADMSG;
                used -= word_up(mark.bytes);
                memcpy((char *)arena + mark.off, at(desk, desk->undo_off + used), mark.bytes);
        }
        in_order();
        return 0;
}

void bt_desk_commit(struct bt_desk *desk)
{
        set(&desk->cursor, get(&desk->open));
}

void bt_desk_end(struct bt_desk *desk)
{
        set(&desk->open, 0);
}

void bt_desk_skip(struct bt_desk *desk)
{
        set(&desk->cursor, get(&desk->cursor) + 1);
}

/* ---- its answer ---- */

int bt_desk_put_answer(struct bt_desk *desk, uint32_t client, const struct bt_letter *letter,
                       const void *payload)
{
        if (letter->bytes > desk->box_bytes)
                return -EMSGSIZE;
        set(&desk->answer, 0);
        desk->answer_client = client;
        desk->answer_letter = *letter;
        if (letter->bytes)
                memcpy(at(desk, desk->box_off), payload, letter->bytes);
        set(&desk->answer, get(&desk->open));
        return 0;
}

void bt_desk_no_answer(struct bt_desk *desk)
{
        set(&desk->answer, 0);
}

const void *bt_desk_answer(const struct bt_desk *desk)
{
        uint64_t answer = get(&desk->answer);

        if (!answer || get(&desk->cursor) < answer || desk->answer_letter.bytes > desk->box_bytes)
                return NULL;
        return (const char *)desk + desk->box_off;
}

/* ---- after a death ---- */

bool bt_desk_repairs(const struct bt_desk *desk, const struct bt_baton *baton)
{
        return get(&desk->open) != 0 && desk->epoch == baton->head.epoch;
}

int bt_desk_recover(struct bt_desk *desk, struct bt_baton *baton, struct bt_arena *arena, uint64_t arena_bytes)
{
        if (get(&desk->answer) > get(&desk->cursor))
                bt_desk_no_answer(desk); /* of a message that is not done */
        if (arena && bt_desk_repairs(desk, baton)) {
                int r = get(&desk->cursor) < get(&desk->open) ? bt_desk_undo(desk, arena, arena_bytes) : 0;

                if (r)
                        return r;
                atomic_store(&baton->bracket, 0);
        }
        bt_desk_end(desk);
        return 0;
}
