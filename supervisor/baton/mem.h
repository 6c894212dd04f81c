/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Memory of the command: one region, freed as a whole.
 *
 * The command reads a file, says something about it and ends. Nothing it makes from the text is freed before the rest, so nothing in it has an
 * owner of its own: trees, names and lists point at each other freely and die together.
 *
 * There is no error to handle: without memory the command says so and ends with status 1. Only the command may do that; the daemon and the
 * library never use this file.
 */

#include <stddef.h>

struct bt_mem_block;

struct bt_mem {
        struct bt_mem_block *blocks; /* newest first */
        size_t used;                 /* of the newest */
};

#define BT_MEM_NULL {.blocks = NULL}

/* Zeroed, 16-byte aligned, never NULL. */
void *bt_mem_alloc(struct bt_mem *mem, size_t bytes);

/* @count members of @bytes each. */
void *bt_mem_array(struct bt_mem *mem, size_t count, size_t bytes);

/* A copy of @bytes bytes and a NUL. */
char *bt_mem_copy(struct bt_mem *mem, const char *text, size_t bytes);

char *bt_mem_printf(struct bt_mem *mem, const char *format, ...)
        __attribute__((__format__(printf, 2, 3)));

/* Frees everything; @mem can be used again. */
void bt_mem_free(struct bt_mem *mem);

/* "baton: out of memory", exit status 1. For the few allocations that are made elsewhere. */
__attribute__((noreturn, cold)) void bt_mem_exhausted(void);
