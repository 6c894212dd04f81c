/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * The durable record's header (struct bt_record, shm/layout.h): filling, checking, ageing. And the one checksum of the project, XXH3-64 with
 * seed 0, streamed.
 *
 * Writer:  fill the members that describe the state (child, schema, version, form, payload_bytes, times, ttl), sum the payload,
 *          bt_record_seal().
 * Reader:  bt_record_read() on the bytes as they came, then compare the sum of the payload with payload_xxh3, then bt_record_age().
 *
 * What every version of the header keeps, so that an older reader can tell "damaged" from "written by somebody newer":
 *
 *      0        8                12             16                         header_bytes - 8
 *      │ magic  │ header_version │ header_bytes │ ...                      │ XXH3 of [0, header_bytes - 8) │
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "shm/layout.h"

/* bt_record.flags */
#define BT_RECORD_F_TORN 1u /* an arena whose holder died in the middle of an update: kept for people, never delivered */

/* Outcomes of bt_record_read(). */
enum bt_record_result {
        BT_RECORD_OK = 0,
        BT_RECORD_E_CORRUPT = 1, /* magic, length or checksum is wrong, or a member has an impossible value */
        BT_RECORD_E_FOREIGN = 2, /* whole, but of another header version or another machine (byte order, word, page size) */
};

/* Outcomes of bt_record_age(). */
enum bt_record_age {
        BT_RECORD_AGE_OK = 0,
        BT_RECORD_AGE_EXPIRED = 1, /* older than its TTL */
        BT_RECORD_AGE_CLOCK = 2,   /* captured in the future: the clock was moved back, the age is unknown */
};

/* headers */

/* What a caller fills is usable: strings terminated, child not empty, form known. bt_record_seal() asserts it. */
bool bt_record_valid(const struct bt_record *record);

/* Sets magic, version, sizes, ABI and both checksums; zeroes reserved bytes and what lies behind the strings' ends, so that equal records
 * are equal bytes. */
void bt_record_seal(struct bt_record *record, uint64_t payload_xxh3);

/* Copies and checks a header of @bytes bytes at any alignment. @ret_record is written only with BT_RECORD_OK. */
int bt_record_read(struct bt_record *ret_record, const void *data, size_t bytes);

/* May this record still be delivered? @boot_id, @boot_ns, @wall_ns: now. Within one boot CLOCK_BOOTTIME decides, over a reboot the wall clock. */
enum bt_record_age bt_record_age(const struct bt_record *record, const uint8_t boot_id[16],
                                 uint64_t boot_ns, uint64_t wall_ns);

/* checksums */

/* A sum under way. Lives where the caller likes; needs no deinit. */
struct bt_sum {
        uint8_t room[576] __attribute__((aligned(64)));
};

void bt_sum_init(struct bt_sum *sum);
void bt_sum_add(struct bt_sum *sum, const void *data, size_t bytes);
uint64_t bt_sum_end(const struct bt_sum *sum); /* of all added so far; more may be added */

/* sum_avx2.c: the same as bt_sum_add(), where bt_sum_wide() says that the processor can. */
bool bt_sum_wide(void);
bool bt_sum_add_wide(struct bt_sum *sum, const void *data, size_t bytes);

/* The same in one call. */
uint64_t bt_sum_of(const void *data, size_t bytes);
