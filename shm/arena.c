/* SPDX-License-Identifier: Apache-2.0 */
#include "shm/arena.h"

#include <string.h>

#include "base/check.h"

#define HEADER_BYTES 8
#define BLOCK_LIVE UINT64_C(0x6c69766561726e00) /* "livearn" << 8: the low byte is the class */
#define BLOCK_FREE UINT64_C(0x6672656561726e00)
#define BLOCK_MARK_MASK (~UINT64_C(0xff))

/* The first block starts 8 bytes after a 16-byte boundary, so that payloads are aligned. */
#define ARENA_FIRST (sizeof(struct bt_arena) + 8)

/*
 * Classes 1-4 are 16, 32, 48, 64 bytes; from there four steps to each doubling: 80 96 112 128, 160 192 224 256, ...
 * e is the power of two below the size, sub the quarter of it that the size falls into.
 */
static uint32_t class_of(uint64_t bytes)
{
        uint32_t e;

        if (bytes <= 64)
                return (uint32_t)((bytes + 15) / 16);
        e = 63 - (uint32_t)__builtin_clzll(bytes - 1);
        return 4 + (e - 6) * 4 + (uint32_t)((bytes - 1) >> (e - 2) & 3) + 1;
}

static uint64_t class_bytes(uint32_t class)
{
        uint32_t e, sub;

        if (class <= 4)
                return (uint64_t)class * 16;
        e = (class - 5) / 4 + 6;
        sub = (class - 5) % 4;
        return (uint64_t)(4 + sub + 1) << (e - 2);
}

static uint64_t *at(struct bt_arena *arena, uint64_t off)
{
        return (uint64_t *)(void *)((char *)arena + off);
}

uint64_t bt_arena_rounded(size_t bytes)
{
        if (bytes > BT_ARENA_BYTES_MAX / 2)
                return 0;
        return class_bytes(class_of(bytes + HEADER_BYTES));
}

void bt_arena_init(struct bt_arena *arena, uint64_t bytes_max)
{
        memset(arena, 0, sizeof(*arena));
        arena->bytes_max = bytes_max;
        arena->top = ARENA_FIRST;
        arena->magic = BT_MAGIC_ARENA;
}

static bool block_inside(const struct bt_arena *arena, uint64_t off)
{
        return (off >= ARENA_FIRST) & (off < arena->top) & (off % 16 == 8);
}

/* Where the live block begins whose payload is @ptr. */
static uint64_t block_of(struct bt_arena *arena, const void *ptr)
{
        uint64_t off = (uint64_t)((const char *)ptr - (const char *)arena) - HEADER_BYTES;
        uint64_t class;

        bt_assert(block_inside(arena, off));
        bt_assert((*at(arena, off) & BLOCK_MARK_MASK) == BLOCK_LIVE); /* freed twice, or never allocated */
        class = *at(arena, off) & 0xff;
        bt_assert(class > 0 && class < BT_ARENA_CLASSES);
        return off;
}

bool bt_arena_valid(const struct bt_arena *arena, uint64_t bytes_max)
{
        int outside = 0;

        if (arena->magic != BT_MAGIC_ARENA || arena->bytes_max != bytes_max || arena->top < ARENA_FIRST ||
            arena->top > bytes_max || arena->top % 16 != 8 || arena->live_bytes > arena->top - ARENA_FIRST)
                return false;
        if (arena->root && (arena->root < ARENA_FIRST + HEADER_BYTES || arena->root >= arena->top))
                return false; /* in the head, or above what was ever handed out */
        /* Without a branch for each: a successor does this while nobody serves. */
        for (size_t i = 0; i < BT_ARENA_CLASSES; i++)
                outside |= (arena->free[i] != 0) & !block_inside(arena, arena->free[i]);
        return !outside;
}

/* ---- what will be touched ---- */

struct bt_arena_span bt_arena_head_span(const struct bt_arena *arena)
{
        return (struct bt_arena_span){&arena->top, offsetof(struct bt_arena, reserved) - offsetof(struct bt_arena, top)};
}

uint32_t bt_arena_alloc_spans(struct bt_arena *arena, size_t bytes, bool whole, struct bt_arena_span ret_spans[BT_ARENA_SPANS])
{
        uint64_t size = bt_arena_rounded(bytes);
        uint32_t class = size ? class_of(bytes + HEADER_BYTES) : 0;
        uint64_t off = arena->free[class]; /* class 0 is not used: its list is empty */

        if (!off)
                return 0; /* from the top: nothing was there */
        bt_assert(block_inside(arena, off));
        ret_spans[0] = (struct bt_arena_span){&arena->free[class], sizeof(arena->free[class])};
        ret_spans[1] = (struct bt_arena_span){at(arena, off), whole ? size : (size_t)2 * HEADER_BYTES};
        return 2;
}

uint32_t bt_arena_free_spans(struct bt_arena *arena, const void *ptr, struct bt_arena_span ret_spans[BT_ARENA_SPANS])
{
        uint64_t off = block_of(arena, ptr);

        ret_spans[0] = (struct bt_arena_span){&arena->free[*at(arena, off) & 0xff], sizeof(arena->free[0])};
        ret_spans[1] = (struct bt_arena_span){at(arena, off), (size_t)2 * HEADER_BYTES};
        return 2;
}

/* ---- alloc, free ---- */

void *bt_arena_alloc(struct bt_arena *arena, size_t bytes)
{
        uint64_t size = bt_arena_rounded(bytes);
        uint32_t class;
        uint64_t off;

        if (!size)
                return NULL;
        class = class_of(bytes + HEADER_BYTES);
        bt_assert(class < BT_ARENA_CLASSES);

        off = arena->free[class];
        if (off) {
                /* What a program writes into memory it has freed lands on this chain: stop here, not at a wild address. */
                bt_assert(block_inside(arena, off) && *at(arena, off) == (BLOCK_FREE | class));
                arena->free[class] = *at(arena, off + HEADER_BYTES);
        } else {
                off = arena->top;
                if (size > arena->bytes_max - off)
                        return NULL;
                arena->top += size;
        }
        *at(arena, off) = BLOCK_LIVE | class;
        arena->live_bytes += size;
        return at(arena, off + HEADER_BYTES);
}

void bt_arena_free(struct bt_arena *arena, void *ptr)
{
        uint64_t off;
        uint32_t class;

        if (!ptr)
                return;
        off = block_of(arena, ptr);
        class = (uint32_t)(*at(arena, off) & 0xff);
        *at(arena, off) = BLOCK_FREE | class;
        *at(arena, off + HEADER_BYTES) = arena->free[class];
        arena->free[class] = off;
        arena->live_bytes -= class_bytes(class);
}

void *bt_arena_root(const struct bt_arena *arena)
{
        return arena->root ? (char *)arena + arena->root : NULL;
}

void bt_arena_set_root(struct bt_arena *arena, void *root)
{
        uint64_t off = root ? (uint64_t)((char *)root - (char *)arena) : 0;

        bt_assert(!root || (off >= ARENA_FIRST + HEADER_BYTES && off < arena->top));
        arena->root = off;
}
