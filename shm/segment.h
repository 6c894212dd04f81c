/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Segments: sealed memfds with a frozen head.
 *
 * Nobody can shrink or grow a segment under somebody who has it mapped (I6), and no segment has a name that could clash, be left behind or
 * belong to the wrong user (R6, R7): the kernel frees it with the last process that has it.
 */

#include <stdint.h>

#include <baton/types.h>

#include "shm/layout.h"

/* A mapping. @fd is not part of it: whoever needs the descriptor later keeps it. */
struct bt_seg {
        void *at; /* NULL: none */
        uint64_t bytes;
};

#define BT_SEG_NULL {.at = NULL}

enum bt_seg_result {
        BT_SEG_E_LAYOUT = 1, /* attach: other magic, layout version, machine, or size */
        BT_SEG_E_UNSEALED = 2, /* attach: could be shrunk under us */
};

/**
 * bt_seg_create() - a new segment of zeroes with its head filled in
 * @name:      for /proc/PID/maps; no meaning
 * @map_bytes: how much of it to map here, from its start; the whole is @bytes
 *
 * Shrinking, growing and further sealing are sealed off before return. Returns 0 or -errno.
 */
int bt_seg_create(struct bt_seg *ret_seg, int *ret_fd, const char *name, uint64_t magic, uint64_t bytes,
                  uint64_t map_bytes);

/* The same, but mappings made after this call are read-only for everybody: only this one may write. */
int bt_seg_create_own(struct bt_seg *ret_seg, int *ret_fd, const char *name, uint64_t magic, uint64_t bytes);

/* Maps the first @map_bytes (0: all) of an existing segment after checking its seals, size and head. @fd is borrowed.
 * Returns 0, BT_SEG_E_*, or -errno. */
int bt_seg_attach(struct bt_seg *ret_seg, int fd, uint64_t magic, uint64_t map_bytes, int writable);

void bt_seg_detach(struct bt_seg *seg); /* harmless when there is none */
