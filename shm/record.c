/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A record is read by programs that were not written when it was, and from media that lie. So the reader believes nothing before the checksum
 * of the header was right, and takes its length from the medium (the size of the stored value), never from the header alone.
 *
 * The order of the reader's questions is the point of this file:
 *
 *   1. is the magic ours?             a swapped magic is a machine of the other byte order: foreign, not damaged
 *   2. does the length fit?           header_bytes equals what is there
 *   3. is the checksum right?         from here on what the header says was written by somebody who meant it
 *   4. is it our version and ABI?     foreign otherwise: to be left alone, a newer hub may come back for it
 *   5. are the members possible?      a checksum does not prove that the writer was sane
 *
 * Considered and dropped: CRC32C (slower here without the instruction, 32 bits are few for a gigabyte), and a keyed sum (who can write
 * the store's file as the hub's user can also send it signals).
 */
#include "shm/record.h"

#include <errno.h>
#include <string.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "base/check.h"

static_assert(sizeof(struct bt_sum) >= sizeof(XXH3_state_t), "the room holds the library's state");
static_assert(_Alignof(struct bt_sum) >= _Alignof(XXH3_state_t), "and is aligned for it");

#define NS_NEVER UINT64_MAX
#define COMMON_BYTES 16 /* magic, header_version, header_bytes: the same in every version */
#define SUM_BYTES 8
#define WIDE_BYTES 4096 /* less: not worth the question */

/* checksums */

static XXH3_state_t *sum_state(struct bt_sum *sum)
{
        return (XXH3_state_t *)(void *)sum->room;
}

void bt_sum_init(struct bt_sum *sum)
{
        XXH3_INITSTATE(sum_state(sum));
        bt_assert(XXH3_64bits_reset(sum_state(sum)) == XXH_OK);
}

void bt_sum_add(struct bt_sum *sum, const void *data, size_t bytes)
{
        if (bytes >= WIDE_BYTES && bt_sum_wide())
                bt_assert(bt_sum_add_wide(sum, data, bytes));
        else if (bytes)
                bt_assert(XXH3_64bits_update(sum_state(sum), data, bytes) == XXH_OK);
}

uint64_t bt_sum_end(const struct bt_sum *sum)
{
        return XXH3_64bits_digest((const XXH3_state_t *)(const void *)sum->room);
}

uint64_t bt_sum_of(const void *data, size_t bytes)
{
        struct bt_sum sum;

        if (bytes < WIDE_BYTES)
                return XXH3_64bits(data, bytes);
        bt_sum_init(&sum);
        bt_sum_add(&sum, data, bytes);
        return bt_sum_end(&sum);
}

/* headers */

static bool text_ends(const char *text, size_t room)
{
        return memchr(text, '\0', room) != NULL;
}

static void text_clear_tail(char *text, size_t room)
{
        size_t used = strnlen(text, room);

        memset(text + used, 0, room - used);
}

bool bt_record_valid(const struct bt_record *record)
{
        return text_ends(record->schema, sizeof(record->schema)) &&
               text_ends(record->child, sizeof(record->child)) && record->child[0] &&
               record->form < _BATON_STATE_N;
}

void bt_record_seal(struct bt_record *record, uint64_t payload_xxh3)
{
        bt_assert(bt_record_valid(record));

        record->magic = BT_MAGIC_RECORD;
        record->header_version = BT_RECORD_VERSION;
        record->header_bytes = sizeof(*record);
        record->abi = BT_ABI_THIS;
        record->payload_xxh3 = payload_xxh3;
        text_clear_tail(record->schema, sizeof(record->schema));
        text_clear_tail(record->child, sizeof(record->child));
        memset(record->reserved, 0, sizeof(record->reserved));
        record->header_xxh3 = bt_sum_of(record, offsetof(struct bt_record, header_xxh3));
}

/* Questions 1 to 3, which are the same for all versions. */
static int read_common(const uint8_t *data, size_t bytes)
{
        uint64_t magic, sum;
        uint32_t header_bytes;

        if (bytes < COMMON_BYTES + SUM_BYTES)
                return BT_RECORD_E_CORRUPT;
        memcpy(&magic, data, sizeof(magic));
        memcpy(&header_bytes, data + offsetof(struct bt_record, header_bytes), sizeof(header_bytes));
        memcpy(&sum, data + bytes - SUM_BYTES, sizeof(sum));

        if (magic == __builtin_bswap64(BT_MAGIC_RECORD)) {
                magic = BT_MAGIC_RECORD;
                header_bytes = __builtin_bswap32(header_bytes);
                sum = __builtin_bswap64(sum);
        }
        if (magic != BT_MAGIC_RECORD || header_bytes != bytes)
                return BT_RECORD_E_CORRUPT;
        return sum == bt_sum_of(data, bytes - SUM_BYTES) ? BT_RECORD_OK : BT_RECORD_E_CORRUPT;
}

int bt_record_read(struct bt_record *ret_record, const void *data, size_t bytes)
{
        struct bt_record record;
        int r = read_common(data, bytes);

        if (r)
                return r;
        if (bytes < offsetof(struct bt_record, form))
                return BT_RECORD_E_FOREIGN;
        memcpy(&record, data, bytes < sizeof(record) ? bytes : sizeof(record));
        /* On a machine of the other byte order the version reads as another number too. */
        if (record.header_version != BT_RECORD_VERSION || record.abi != BT_ABI_THIS)
                return BT_RECORD_E_FOREIGN;
        if (bytes != sizeof(record) || !bt_record_valid(&record))
                return BT_RECORD_E_CORRUPT;

        *ret_record = record;
        return BT_RECORD_OK;
}

static bool boot_known(const uint8_t id[16])
{
        static const uint8_t unknown[16];

        return memcmp(id, unknown, sizeof(unknown)) != 0;
}

enum bt_record_age bt_record_age(const struct bt_record *record, const uint8_t boot_id[16],
                                 uint64_t boot_ns, uint64_t wall_ns)
{
        bool same_boot = boot_known(boot_id) && !memcmp(boot_id, record->boot_id, 16);
        uint64_t then = same_boot ? record->boot_ns : record->wall_ns;
        uint64_t now = same_boot ? boot_ns : wall_ns;

        if (record->ttl_ns == NS_NEVER)
                return BT_RECORD_AGE_OK;
        if (now < then)
                return BT_RECORD_AGE_CLOCK;
        return now - then > record->ttl_ns ? BT_RECORD_AGE_EXPIRED : BT_RECORD_AGE_OK;
}
