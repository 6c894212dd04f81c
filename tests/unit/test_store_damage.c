/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Records that are damaged, cut, foreign or of another version, on both engines: found, told, and kept aside. The damage is made through the engine.
 */

#include "shm/record.h"
#include "supervisor/store/store_records.h"
#include "tests/support/store_stand.h"

/* ---- damage ---- */

static void assert_quarantined_once(struct stand *f, const char *child, size_t quarantined_values)
{
        assert_int_equal(get_state(f, child), BT_STORE_E_CORRUPT);
        assert_false(f->desk.has_record);
        assert_int_equal(get_state(f, child), BT_STORE_E_ABSENT);
        assert_int_equal(count_keys(f, 'R'), 0);
        assert_int_equal(count_keys(f, 'Q'), quarantined_values);
}

static void a_flipped_payload_bit_is_found_and_the_record_kept_aside(void **state)
{
        struct stand *f = *state;
        struct bt_key from = {.bytes = 1, .at = {'Q'}}, key;
        struct bt_value value;
        struct bt_record record;
        struct bt_engine *e;
        uint8_t zeros[PART] = {0}, room[PART];

        assert_int_equal(put_state(f, "web/0", 1, 10000), BT_STORE_OK);
        value_flip(f, "web/0", 3,
                   1807); /* the last byte: all else has been written to the room by then */
        assert_quarantined_once(f, "web/0", 4);

        /* The room does not look like a state. */
        assert_int_equal(pread(f->fd, room, PART, 64), PART);
        assert_memory_equal(room, zeros, PART);

        /* The header is first, whole, and under the child's name. */
        e = f->store->engine;
        assert_int_equal(e->ops->begin(e, false, 0), 0);
        assert_int_equal(e->ops->seek(e, &from, &key, &value), 0);
        assert_int_equal(bt_record_read(&record, value.at, value.bytes), BT_RECORD_OK);
        e->ops->abort(e);
        assert_string_equal(record.child, "web/0");
        assert_int_equal(key.bytes, 3 + 5 + 8 + 4);
        assert_int_equal(bt_key_number(&key, 1, 2), 5);
        assert_int_equal(bt_key_number(&key, 16, 4), 0);
}

static void a_flip_in_any_byte_of_the_header_is_found(void **state)
{
        struct stand *f = *state;

        for (size_t byte = 0; byte < sizeof(struct bt_record); byte += 7) {
                assert_int_equal(put_state(f, "web/0", 1, 20), BT_STORE_OK);
                value_flip(f, "web/0", 0, byte);
                assert_int_equal(get_state(f, "web/0"), BT_STORE_E_CORRUPT);
                assert_int_equal(get_state(f, "web/0"), BT_STORE_E_ABSENT);
        }
}

static void missing_and_superfluous_parts_are_found(void **state)
{
        struct stand *f = *state;
        struct bt_key key;

        for (uint32_t part = 0; part < 4; part++) {
                assert_int_equal(put_state(f, "web/0", 1, 10000), BT_STORE_OK);
                value_del(f, "web/0", part);
                assert_quarantined_once(f, "web/0", 3 * (part + 1));
        }
        assert_int_equal(put_state(f, "web/0", 1, 10000), BT_STORE_OK);
        bt_key_record(&key, "web/0", 4);
        value_set(f, &key, "more", 4);
        assert_quarantined_once(f, "web/0", 12 + 5);
}

static void a_cut_or_grown_part_is_found(void **state)
{
        struct stand *f = *state;
        uint8_t room[PART + 1] = {0};
        struct bt_key key;

        bt_key_record(&key, "web/0", 2);
        for (size_t bytes = PART - 1; bytes <= PART + 1; bytes += 2) {
                assert_int_equal(put_state(f, "web/0", 1, 10000), BT_STORE_OK);
                value_copy(f, &key, room, sizeof(room));
                value_set(f, &key, room, bytes);
                assert_int_equal(get_state(f, "web/0"), BT_STORE_E_CORRUPT);
                assert_int_equal(get_state(f, "web/0"), BT_STORE_E_ABSENT);
        }
}

static void parts_of_other_sizes_are_as_good(void **state)
{
        struct stand *f = *state;

        for (size_t part = 1; part < 9000; part = part * 7 + 1) {
                f->store->part_bytes = part; /* idle: no job is under way */
                assert_int_equal(put_state(f, "web/0", part, 3000), BT_STORE_OK);
                assert_state(f, "web/0", part, 3000);
                assert_int_equal(count_keys(f, 'R'), 1 + (3000 + part - 1) / part);
        }
}

static void a_record_under_another_childs_key_is_refused(void **state)
{
        struct stand *f = *state;
        struct bt_record record;
        struct bt_key key;

        assert_int_equal(put_state(f, "web/0", 1, 0), BT_STORE_OK);
        bt_key_record(&key, "web/0", 0);
        assert_int_equal(value_copy(f, &key, (uint8_t *)&record, sizeof(record)), sizeof(record));
        bt_key_record(&key, "web/1", 0);
        value_set(f, &key, &record, sizeof(record));
        assert_int_equal(get_state(f, "web/1"), BT_STORE_E_CORRUPT);
        assert_int_equal(get_state(f, "web/1"), BT_STORE_E_ABSENT);
        assert_state(f, "web/0", 1, 0);
}

static void quarantine_keeps_the_newest_eight(void **state)
{
        struct stand *f = *state;
        struct bt_key from = {.bytes = 1, .at = {'Q'}}, key;
        struct bt_value value;
        struct bt_engine *e = f->store->engine;
        struct bt_record record;
        uint64_t sequence = 5, wall = 0;

        for (uint64_t i = 1; i <= BT_STORE_QUARANTINED_MAX + 4; i++) {
                assert_int_equal(put_state(f, "web/0", i, 5000), BT_STORE_OK);
                value_flip(f, "web/0", 1, 0);
                assert_int_equal(get_state(f, "web/0"), BT_STORE_E_CORRUPT);
        }
        assert_int_equal(count_keys(f, 'Q'), 3 * BT_STORE_QUARANTINED_MAX);

        assert_int_equal(e->ops->begin(e, false, 0), 0);
        while (e->ops->seek(e, &from, &key, &value) == 0) {
                if (bt_key_number(&key, key.bytes - 4, 4) == 0) {
                        assert_int_equal(bt_record_read(&record, value.at, value.bytes),
                                         BT_RECORD_OK);
                        assert_int_equal(record.sequence, sequence++);
                        assert_true(bt_key_number(&key, key.bytes - 12, 8) > wall);
                        wall = bt_key_number(&key, key.bytes - 12, 8);
                }
                bt_key_after(&from, &key);
        }
        e->ops->abort(e);
        assert_int_equal(sequence, BT_STORE_QUARANTINED_MAX + 5);
}

static void quarantine_times_grow_when_the_clock_was_moved_back(void **state)
{
        struct stand *f = *state;
        uint64_t future = UINT64_C(1) << 62;
        struct bt_key key;

        bt_key_quarantine(&key, "web/0", future, 0);
        value_set(f, &key, "x", 1);
        assert_int_equal(put_state(f, "web/0", 1, 0), BT_STORE_OK);
        value_flip(f, "web/0", 0, 100);
        assert_int_equal(get_state(f, "web/0"), BT_STORE_E_CORRUPT);
        bt_key_quarantine(&key, "web/0", future + 1, 0);
        assert_int_equal(value_copy(f, &key, (uint8_t *)&f->desk.record, 512), 512);
}

static void a_record_of_a_newer_version_is_left_alone(void **state)
{
        struct stand *f = *state;
        struct bt_record record;
        struct bt_key key;

        assert_int_equal(put_state(f, "web/0", 1, 100), BT_STORE_OK);
        bt_key_record(&key, "web/0", 0);
        value_copy(f, &key, (uint8_t *)&record, sizeof(record));
        record.header_version = BT_RECORD_VERSION + 1;
        record.header_xxh3 = bt_sum_of(&record, sizeof(record) - 8);
        value_set(f, &key, &record, sizeof(record));

        assert_int_equal(get_state(f, "web/0"), -EPROTONOSUPPORT);
        assert_false(f->desk.has_record);
        assert_int_equal(desk_del(&f->desk, f->store, "web/0", 1), BT_STORE_E_ABSENT);
        assert_int_equal(get_state(f, "web/0"), -EPROTONOSUPPORT);
        assert_int_equal(count_keys(f, 'R'), 2);
        assert_int_equal(count_keys(f, 'Q'), 0);
}

static void a_list_shows_every_child_and_says_which_cannot_be_read(void **state)
{
        struct stand *f = *state;

        assert_int_equal(desk_list(&f->desk, f->store), 0);
        assert_int_equal(f->desk.record_count, 0);
        assert_int_equal(put_state(f, "a", 1, 20000), BT_STORE_OK);
        assert_int_equal(put_state(f, "b", 2, 0), BT_STORE_OK);
        assert_int_equal(put_state(f, "c", 3, 20000), BT_STORE_OK);
        assert_int_equal(put_state(f, "d", 4, 20000), BT_STORE_OK);
        value_flip(f, "b", 0, 300);
        value_del(f, "d", 0);
        assert_int_equal(desk_list(&f->desk, f->store), 0);
        assert_int_equal(f->desk.record_count, 4);
        for (size_t i = 0; i < 4; i++) {
                const struct bt_record *r = &f->desk.records[i];

                assert_int_equal(r->child[0], 'a' + (int)i);
                assert_int_equal(r->child[1], 0);
                assert_int_equal(r->sequence, i % 2 ? 0 : i + 1);
                assert_int_equal(r->magic != 0, i % 2 == 0);
        }
        /* It only reports. */
        assert_int_equal(count_keys(f, 'Q'), 0);
        assert_int_equal(get_state(f, "b"), BT_STORE_E_CORRUPT);
}

#define ROW(name) cmocka_unit_test_setup_teardown(name, stand_setup, stand_teardown)

static const struct CMUnitTest both[] = {
        ROW(a_flipped_payload_bit_is_found_and_the_record_kept_aside),
        ROW(a_flip_in_any_byte_of_the_header_is_found),
        ROW(missing_and_superfluous_parts_are_found),
        ROW(a_cut_or_grown_part_is_found),
        ROW(parts_of_other_sizes_are_as_good),
        ROW(a_record_under_another_childs_key_is_refused),
        ROW(quarantine_keeps_the_newest_eight),
        ROW(quarantine_times_grow_when_the_clock_was_moved_back),
        ROW(a_record_of_a_newer_version_is_left_alone),
        ROW(a_list_shows_every_child_and_says_which_cannot_be_read),
};

int main(void)
{
        int failed = cmocka_run_group_tests_name("damage in memory", both, NULL, NULL);

        stand_on_disk = true;
        return failed + cmocka_run_group_tests_name("damage on disk", both, NULL, NULL);
}
