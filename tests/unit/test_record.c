/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The record header: what is sealed can be read, what was touched cannot, and what another version wrote is told apart from damage.
 * The golden file is a header of version 1, byte for byte: when this test fails after a change, the format has changed.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fd.h"
#include "shm/record.h"

static struct bt_record sample(void)
{
        struct bt_record r = {
                .form = BATON_STATE_ARENA,
                .schema = "kv",
                .version = 7,
                .version_oldest = 5,
                .flags = 1,
                .child = "web/1",
                .incarnation = 42,
                .sequence = 9,
                .boot_ns = 1000000,
                .wall_ns = 1700000000000000000,
                .ttl_ns = 30 * BT_NS_PER_S,
                .payload_bytes = 12,
                .arena_addr = UINT64_C(0x200000000000), /* as in the file */
        };

        for (unsigned i = 0; i < sizeof(r.build_id); i++)
                r.build_id[i] = (uint8_t)(0xa0 + i);
        for (unsigned i = 0; i < sizeof(r.boot_id); i++)
                r.boot_id[i] = (uint8_t)(1 + i);
        bt_record_seal(&r, bt_sum_of("twelve bytes", 12));
        return r;
}

static void what_was_sealed_is_read(void **state)
{
        struct bt_record r = sample(), got;

        (void)state;
        assert_int_equal(bt_record_read(&got, &r, sizeof(r)), BT_RECORD_OK);
        assert_memory_equal(&got, &r, sizeof(r));
        assert_int_equal(got.header_version, BT_RECORD_VERSION);
        assert_int_equal(got.header_bytes, 512);
}

static void a_record_may_lie_at_any_alignment(void **state)
{
        struct bt_record r = sample(), got;
        uint8_t room[sizeof(r) + 8];

        (void)state;
        for (size_t shift = 0; shift < 8; shift++) {
                memcpy(room + shift, &r, sizeof(r));
                assert_int_equal(bt_record_read(&got, room + shift, sizeof(r)), BT_RECORD_OK);
        }
}

static void any_flipped_bit_is_found(void **state)
{
        struct bt_record r = sample(), got = {.sequence = 77};
        uint8_t room[sizeof(r)];

        (void)state;
        for (size_t bit = 0; bit < 8 * sizeof(r); bit++) {
                memcpy(room, &r, sizeof(r));
                room[bit / 8] ^= (uint8_t)(1u << bit % 8);
                assert_int_equal(bt_record_read(&got, room, sizeof(room)), BT_RECORD_E_CORRUPT);
        }
        assert_int_equal(got.sequence, 77); /* written only on success */
}

static void any_other_length_is_found(void **state)
{
        uint8_t room[2 * sizeof(struct bt_record)] = {0};
        struct bt_record r = sample(), got;

        (void)state;
        memcpy(room, &r, sizeof(r));
        for (size_t bytes = 0; bytes <= sizeof(room); bytes++)
                assert_int_equal(bt_record_read(&got, room, bytes),
                                 bytes == sizeof(r) ? BT_RECORD_OK : BT_RECORD_E_CORRUPT);
}

/* As a writer of another version or machine would: the common members, and the sum at the end. */
static void reseal(void *room, size_t bytes)
{
        uint64_t sum = bt_sum_of(room, bytes - 8);

        memcpy((uint8_t *)room + bytes - 8, &sum, 8);
}

static void a_newer_version_is_foreign_and_not_corrupt(void **state)
{
        struct bt_record r = sample(), got;
        uint8_t room[1024] = {0};
        uint32_t bytes = sizeof(room);

        (void)state;
        r.header_version = 2;
        reseal(&r, sizeof(r));
        assert_int_equal(bt_record_read(&got, &r, sizeof(r)), BT_RECORD_E_FOREIGN);

        memcpy(room, &r, sizeof(r));
        memcpy(room + offsetof(struct bt_record, header_bytes), &bytes, 4);
        reseal(room, sizeof(room));
        assert_int_equal(bt_record_read(&got, room, sizeof(room)), BT_RECORD_E_FOREIGN);
        room[700] ^= 1;
        assert_int_equal(bt_record_read(&got, room, sizeof(room)), BT_RECORD_E_CORRUPT);
}

static void another_machine_is_foreign(void **state)
{
        struct bt_record r = sample(), got;
        uint64_t sum;

        (void)state;
        r.abi ^= 0x3000; /* another page size */
        reseal(&r, sizeof(r));
        assert_int_equal(bt_record_read(&got, &r, sizeof(r)), BT_RECORD_E_FOREIGN);

        /* The other byte order: what we read is the swapped value of what that machine wrote. */
        r = sample();
        r.magic = __builtin_bswap64(r.magic);
        r.header_version = __builtin_bswap32(r.header_version);
        r.header_bytes = __builtin_bswap32(r.header_bytes);
        r.abi = __builtin_bswap32(UINT32_C(2) << 24 | 8u << 16 | 4096u);
        sum = __builtin_bswap64(bt_sum_of(&r, sizeof(r) - 8));
        memcpy(&r.header_xxh3, &sum, 8);
        assert_int_equal(bt_record_read(&got, &r, sizeof(r)), BT_RECORD_E_FOREIGN);
}

static void impossible_members_are_found_behind_a_right_sum(void **state)
{
        struct bt_record r = sample(), got;

        (void)state;
        memset(r.child, 'x', sizeof(r.child));
        reseal(&r, sizeof(r));
        assert_int_equal(bt_record_read(&got, &r, sizeof(r)), BT_RECORD_E_CORRUPT);
        r = sample();
        r.child[0] = 0;
        reseal(&r, sizeof(r));
        assert_int_equal(bt_record_read(&got, &r, sizeof(r)), BT_RECORD_E_CORRUPT);
        r = sample();
        memset(r.schema, 'x', sizeof(r.schema));
        reseal(&r, sizeof(r));
        assert_int_equal(bt_record_read(&got, &r, sizeof(r)), BT_RECORD_E_CORRUPT);
        r = sample();
        r.form = _BATON_STATE_N;
        reseal(&r, sizeof(r));
        assert_int_equal(bt_record_read(&got, &r, sizeof(r)), BT_RECORD_E_CORRUPT);
}

static void equal_records_are_equal_bytes(void **state)
{
        struct bt_record a = sample(), b = sample();

        (void)state;
        memset(b.child, '!', sizeof(b.child));
        memcpy(b.child, "web/1", 6);
        memset(b.reserved, 0xff, sizeof(b.reserved));
        bt_record_seal(&b, a.payload_xxh3);
        assert_memory_equal(&a, &b, sizeof(a));
}

static void a_sum_does_not_depend_on_how_it_is_cut(void **state)
{
        uint8_t data[5000];
        struct bt_sum sum;

        (void)state;
        for (size_t i = 0; i < sizeof(data); i++)
                data[i] = (uint8_t)(i * 31);
        for (size_t cut = 1; cut < sizeof(data); cut = cut * 3 + 1) {
                bt_sum_init(&sum);
                for (size_t at = 0; at < sizeof(data); at += cut)
                        bt_sum_add(&sum, data + at, sizeof(data) - at < cut ? sizeof(data) - at : cut);
                bt_sum_add(&sum, NULL, 0);
                assert_true(bt_sum_end(&sum) == bt_sum_of(data, sizeof(data)));
        }
}

/* From the definition of XXH3: the sum of nothing, with seed 0. */
static void the_sum_is_xxh3_64(void **state)
{
        struct bt_sum sum;

        (void)state;
        bt_sum_init(&sum);
        assert_true(bt_sum_end(&sum) == UINT64_C(0x2d06800538d394c2));
        assert_true(bt_sum_of("", 0) == UINT64_C(0x2d06800538d394c2));
}

static void age_counts_by_the_boot_clock_within_one_boot(void **state)
{
        struct bt_record r = sample();
        uint64_t ttl = r.ttl_ns;

        (void)state;
        /* The wall clock is nonsense and is not asked. */
        assert_int_equal(bt_record_age(&r, r.boot_id, r.boot_ns, 0), BT_RECORD_AGE_OK);
        assert_int_equal(bt_record_age(&r, r.boot_id, r.boot_ns + ttl, 0), BT_RECORD_AGE_OK);
        assert_int_equal(bt_record_age(&r, r.boot_id, r.boot_ns + ttl + 1, 0), BT_RECORD_AGE_EXPIRED);
        assert_int_equal(bt_record_age(&r, r.boot_id, r.boot_ns - 1, 0), BT_RECORD_AGE_CLOCK);
}

static void age_counts_by_the_wall_clock_over_a_reboot(void **state)
{
        static const uint8_t other[16] = {9}, unknown[16];
        struct bt_record r = sample();
        uint64_t ttl = r.ttl_ns;

        (void)state;
        assert_int_equal(bt_record_age(&r, other, 0, r.wall_ns + ttl), BT_RECORD_AGE_OK);
        assert_int_equal(bt_record_age(&r, other, 0, r.wall_ns + ttl + 1), BT_RECORD_AGE_EXPIRED);
        assert_int_equal(bt_record_age(&r, other, 0, r.wall_ns - 1), BT_RECORD_AGE_CLOCK);
        /* Two unknown boots are not the same boot. */
        memset(r.boot_id, 0, sizeof(r.boot_id));
        assert_int_equal(bt_record_age(&r, unknown, 0, r.wall_ns + ttl + 1), BT_RECORD_AGE_EXPIRED);
        r.ttl_ns = BT_NS_NEVER;
        assert_int_equal(bt_record_age(&r, other, 0, 0), BT_RECORD_AGE_OK);
}

static void the_header_of_version_1_has_not_changed(void **state)
{
        struct bt_record r = sample(), got, golden;
        int fd = open(BATON_SOURCE_DIR "/tests/golden/record-v1.bin", O_RDONLY | O_CLOEXEC);

        (void)state;
        if (BT_ABI_THIS != ((UINT32_C(1) << 24) | (8u << 16) | 4096u))
                skip(); /* the file was written by a little-endian 64-bit machine with pages of 4096 bytes */
        assert_true(fd >= 0);
        assert_int_equal(read(fd, &golden, sizeof(golden)), sizeof(golden));
        (void)bt_close(fd);
        assert_int_equal(bt_record_read(&got, &golden, sizeof(golden)), BT_RECORD_OK);
        assert_memory_equal(&got, &r, sizeof(r));
}

/* `record --write FILE` writes the golden file; for a new version, under a new name. */
static int write_golden(const char *path)
{
        struct bt_record r = sample();
        int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
        int result = fd < 0 || bt_write_all(fd, &r, sizeof(r));

        (void)bt_close(fd);
        return result;
}

int main(int argc, char **argv)
{
        static const struct CMUnitTest tests[] = {
                cmocka_unit_test(what_was_sealed_is_read),
                cmocka_unit_test(a_record_may_lie_at_any_alignment),
                cmocka_unit_test(any_flipped_bit_is_found),
                cmocka_unit_test(any_other_length_is_found),
                cmocka_unit_test(a_newer_version_is_foreign_and_not_corrupt),
                cmocka_unit_test(another_machine_is_foreign),
                cmocka_unit_test(impossible_members_are_found_behind_a_right_sum),
                cmocka_unit_test(equal_records_are_equal_bytes),
                cmocka_unit_test(a_sum_does_not_depend_on_how_it_is_cut),
                cmocka_unit_test(the_sum_is_xxh3_64),
                cmocka_unit_test(age_counts_by_the_boot_clock_within_one_boot),
                cmocka_unit_test(age_counts_by_the_wall_clock_over_a_reboot),
                cmocka_unit_test(the_header_of_version_1_has_not_changed),
        };

        if (argc == 3 && !strcmp(argv[1], "--write"))
                return write_golden(argv[2]);
        return cmocka_run_group_tests(tests, NULL, NULL);
}
