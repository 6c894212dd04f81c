/* SPDX-License-Identifier: Apache-2.0 */
/* Blocks of at least 64 KiB, filled from the front; what is larger than half a block gets one of its own. */
#include "supervisor/baton/mem.h"

#include <stdalign.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/fd.h"

#define MEM_BLOCK_BYTES 65536
#define MEM_ALIGN       16

struct bt_mem_block {
        struct bt_mem_block *next;
        size_t bytes;
        alignas(MEM_ALIGN) char room[];
};

void bt_mem_exhausted(void)
{
        static const char text[] = "baton: out of memory\n";

        (void)bt_write_all(STDERR_FILENO, text, sizeof(text) - 1);
        _exit(1);
}

static void mem_grow(struct bt_mem *mem, size_t bytes)
{
        size_t room = bytes > MEM_BLOCK_BYTES / 2 ? bytes : MEM_BLOCK_BYTES;
        struct bt_mem_block *block = NULL;

        if (room < SIZE_MAX - sizeof(*block))
                block = calloc(1, sizeof(*block) + room);
        if (!block)
                bt_mem_exhausted();
        block->bytes = room;
        block->next = mem->blocks;
        mem->blocks = block;
        mem->used = 0;
}

void *bt_mem_alloc(struct bt_mem *mem, size_t bytes)
{
        char *at;

        if (bytes > SIZE_MAX / 2)
                bt_mem_exhausted();
        bytes = (bytes + MEM_ALIGN - 1) / MEM_ALIGN * MEM_ALIGN;
        if (!mem->blocks || mem->blocks->bytes - mem->used < bytes)
                mem_grow(mem, bytes);
        at = mem->blocks->room + mem->used;
        mem->used += bytes;
        return at;
}

void *bt_mem_array(struct bt_mem *mem, size_t count, size_t bytes)
{
        size_t all;

        if (__builtin_mul_overflow(count, bytes, &all))
                bt_mem_exhausted();
        return bt_mem_alloc(mem, all);
}

char *bt_mem_copy(struct bt_mem *mem, const char *text, size_t bytes)
{
        char *copy = bt_mem_alloc(mem, bytes + 1);

        if (bytes)
                memcpy(copy, text, bytes);
        return copy;
}

char *bt_mem_printf(struct bt_mem *mem, const char *format, ...)
{
        va_list args;
        char *text;
        int bytes;

        va_start(args, format);
        bytes = vsnprintf(NULL, 0, format, args);
        va_end(args);
        if (bytes < 0)
                bt_mem_exhausted();
        text = bt_mem_alloc(mem, (size_t)bytes + 1);
        va_start(args, format);
        (void)vsnprintf(text, (size_t)bytes + 1, format, args);
        va_end(args);
        return text;
}

void bt_mem_free(struct bt_mem *mem)
{
        while (mem->blocks) {
                struct bt_mem_block *block = mem->blocks;

                mem->blocks = block->next;
                free(block);
        }
        mem->used = 0;
}
