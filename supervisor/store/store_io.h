/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Payload bytes between memfds and the engine's memory, summed on the way while they are in the cache. */

#include <stddef.h>
#include <stdint.h>

#include "shm/record.h"

/* Reads exactly @bytes at @off. 0; -ENODATA the file ends before; -errno. */
int bt_store_io_read(int fd, uint64_t off, void *to, size_t bytes, struct bt_sum *sum);

/* Writes exactly @bytes at @off. 0 or -errno. */
int bt_store_io_write(int fd, uint64_t off, const void *from, size_t bytes, struct bt_sum *sum);

/*
 * Has the kernel give huge pages to what will be written at @off, where it would give them to a process that maps it: a write gets small ones. @off: of an
 * arena. Whatever fails leaves it to the write.
 */
void bt_store_io_prepare(int fd, uint64_t off, uint64_t bytes);

/* Makes [@off, @off + @bytes) zeros again, as far as the file allows it. */
void bt_store_io_wipe(int fd, uint64_t off, uint64_t bytes);
