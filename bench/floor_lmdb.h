/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* The floor of everything that is kept: the same bytes in bare LMDB, in the folder of the real store. */

#include <stdint.h>

/* One transaction of @count records of @bytes each into a new environment @folder/floor, with its fsync. 0 or -errno, with a complaint. */
int bench_lmdb_write(const char *folder, uint32_t count, uint64_t bytes, uint64_t *ret_ns);
/* Opens it again and reads every byte of every record. */
int bench_lmdb_read(const char *folder, uint32_t count, uint64_t bytes, uint64_t *ret_ns);
