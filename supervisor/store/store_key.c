/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Keys: one kind byte, the id with its length before it, then fixed-width numbers. All numbers are big endian, so that the order of the bytes is
 * the order of the numbers. The length before the id makes the keys of one child a range of their own: no id is a prefix of another's keys,
 * whatever bytes it is made of.
 */
#include "supervisor/store/store_key.h"

#include <string.h>

#include <baton/types.h>

#include "base/check.h"

static void key_add(struct bt_key *key, uint64_t value, unsigned bytes)
{
        bt_assert(key->bytes + bytes <= sizeof(key->at));
        while (bytes--)
                key->at[key->bytes++] = (uint8_t)(value >> (8 * bytes));
}

void bt_key_child(struct bt_key *ret_key, char kind, const char *child)
{
        size_t bytes = strlen(child);

        bt_assert(bytes <= BATON_ID_BYTES_MAX);
        ret_key->bytes = 0;
        key_add(ret_key, (uint8_t)kind, 1);
        key_add(ret_key, bytes, 2);
        memcpy(ret_key->at + ret_key->bytes, child, bytes);
        ret_key->bytes += bytes;
}

void bt_key_record(struct bt_key *ret_key, const char *child, uint32_t part)
{
        bt_key_child(ret_key, BT_KEY_KIND_RECORD, child);
        key_add(ret_key, part, 4);
}

void bt_key_quarantine(struct bt_key *ret_key, const char *child, uint64_t wall_ns, uint32_t part)
{
        bt_key_child(ret_key, BT_KEY_KIND_QUARANTINE, child);
        key_add(ret_key, wall_ns, 8);
        key_add(ret_key, part, 4);
}

bool bt_key_begins(const struct bt_key *key, const struct bt_key *prefix)
{
        return key->bytes >= prefix->bytes && !memcmp(key->at, prefix->at, prefix->bytes);
}

uint64_t bt_key_number(const struct bt_key *key, size_t at, unsigned bytes)
{
        uint64_t value = 0;

        for (unsigned i = 0; i < bytes; i++)
                value = value << 8 | key->at[at + i];
        return value;
}

bool bt_key_parse(const struct bt_key *key, char kind, size_t tail, char ret_child[64])
{
        size_t bytes;

        if (key->bytes < 3 + tail || key->at[0] != (uint8_t)kind)
                return false;
        bytes = (size_t)bt_key_number(key, 1, 2);
        if (!bytes || bytes > BATON_ID_BYTES_MAX || key->bytes != 3 + bytes + tail)
                return false;
        memset(ret_child, 0, 64);
        memcpy(ret_child, key->at + 3, bytes);
        return !memchr(ret_child, '\0', bytes);
}

void bt_key_after(struct bt_key *ret_key, const struct bt_key *key)
{
        *ret_key = *key;
        key_add(ret_key, 0, 1);
}
