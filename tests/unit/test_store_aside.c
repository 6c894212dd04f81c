/* SPDX-License-Identifier: Apache-2.0 */
/* States set aside, on both engines: moved, written, listed, read as they are, forgotten. */

#include <sys/stat.h>

#include "shm/record.h"
#include "supervisor/store/store_records.h"
#include "tests/support/store_stand.h"

static struct {
        struct bt_aside aside[32];
        size_t aside_count;
} seen;

/* ---- calls that wait ---- */

static int put_aside(struct stand *f, const char *child, uint64_t round, size_t bytes)
{
        struct bt_store_item item = state_item(child, round, bytes, 100);

        assert_int_equal(bt_store_put_aside(f->store, &item, desk_done, &f->desk), 0);
        (void)bt_close(item.fd);
        desk_complete(&f->desk);
        return f->desk.result;
}

static int quarantine(struct stand *f, const char *child, uint64_t sequence)
{
        assert_int_equal(bt_store_quarantine(f->store, child, sequence, desk_done, &f->desk), 0);
        desk_complete(&f->desk);
        return f->desk.result;
}

static int drop(struct stand *f, const char *child, uint64_t wall_ns)
{
        assert_int_equal(bt_store_drop_aside(f->store, child, wall_ns, desk_done, &f->desk), 0);
        desk_complete(&f->desk);
        return f->desk.result;
}

static void listed(void *ctx, int result, const struct bt_aside *aside, size_t count)
{
        (void)ctx;
        assert_int_equal(result, 0);
        assert_true(count <= sizeof(seen.aside) / sizeof(seen.aside[0]));
        if (count)
                memcpy(seen.aside, aside, count * sizeof(*aside));
        seen.aside_count = count;
}

static void list(struct stand *f)
{
        assert_int_equal(bt_store_list_aside(f->store, listed, NULL), 0);
        desk_complete(&f->desk);
}

/* Reads into a new memfd; the caller closes it. */
static int read_as_it_is(struct stand *f, const char *child, uint64_t wall_ns, uint64_t room,
                         int *ret_fd)
{
        *ret_fd = state_memfd(0);
        assert_int_equal(bt_store_read(f->store, child, wall_ns, *ret_fd, room, desk_done, &f->desk), 0);
        desk_complete(&f->desk);
        return f->desk.result;
}

static uint64_t size_of(int fd)
{
        struct stat st;

        assert_int_equal(fstat(fd, &st), 0);
        return (uint64_t)st.st_size;
}

static int get_result(struct stand *f, const char *child)
{
        int fd = state_memfd(ROOM_BYTES);
        int r = desk_get(&f->desk, f->store, child, fd, 0, ROOM_BYTES);

        (void)bt_close(fd);
        return r;
}

/* Another byte in a part of a record. */
static void spoil(struct stand *f, const char *child, uint32_t part)
{
        struct bt_engine *e = f->store->engine;
        struct bt_key key;
        struct bt_value value;
        uint8_t bytes[PART];
        void *room;

        bt_key_record(&key, child, part);
        assert_int_equal(e->ops->begin(e, true, PART), 0);
        assert_int_equal(e->ops->get(e, &key, &value), 0);
        assert_true(value.bytes <= sizeof(bytes));
        memcpy(bytes, value.at, value.bytes);
        bytes[10] ^= 1;
        assert_int_equal(e->ops->reserve(e, &key, value.bytes, &room), 0);
        memcpy(room, bytes, value.bytes);
        assert_int_equal(e->ops->commit(e), 0);
}

/* ---- tests ---- */

static void STATE_6_a_whole_record_is_moved_aside_and_not_delivered_again(void **state)
{
        struct stand *f = *state;
        int fd;

        assert_int_equal(put_state(f, "web/0", 7, 10000), BT_STORE_OK);
        assert_int_equal(put_state(f, "web/01", 8, 10), BT_STORE_OK);
        assert_int_equal(quarantine(f, "web/0", 7), BT_STORE_OK);
        assert_int_equal(get_result(f, "web/0"), BT_STORE_E_ABSENT);
        assert_int_equal(get_result(f, "web/01"), BT_STORE_OK);
        list(f);
        assert_int_equal(seen.aside_count, 1);
        assert_string_equal(seen.aside[0].record.child, "web/0");
        assert_int_equal(seen.aside[0].record.sequence, 7);
        assert_int_equal(seen.aside[0].record.payload_bytes, 10000);
        assert_int_equal(read_as_it_is(f, "web/0", seen.aside[0].wall_ns, ROOM_BYTES, &fd),
                         BT_STORE_OK);
        assert_int_equal(size_of(fd), sizeof(struct bt_record) + 10000);
        assert_true(state_is(fd, sizeof(struct bt_record), "web/0", 7, 10000));
        (void)bt_close(fd);
}

static void a_newer_record_is_not_moved_aside_for_an_older_one(void **state)
{
        struct stand *f = *state;

        assert_int_equal(put_state(f, "web/0", 7, 10), BT_STORE_OK);
        assert_int_equal(put_state(f, "web/0", 8, 20), BT_STORE_OK);
        assert_int_equal(quarantine(f, "web/0", 7), BT_STORE_E_ABSENT);
        assert_int_equal(quarantine(f, "nobody", 0), BT_STORE_E_ABSENT);
        assert_int_equal(get_result(f, "web/0"), BT_STORE_OK);
        list(f);
        assert_int_equal(seen.aside_count, 0);
        assert_int_equal(quarantine(f, "web/0", 0), BT_STORE_OK);
        assert_int_equal(get_result(f, "web/0"), BT_STORE_E_ABSENT);
}

static void I9_a_state_that_was_in_no_record_is_written_aside(void **state)
{
        struct stand *f = *state;
        int fd;

        assert_int_equal(put_state(f, "web/0", 9, 5), BT_STORE_OK);
        assert_int_equal(put_aside(f, "web/0", 3, 9000), BT_STORE_OK);
        assert_int_equal(put_aside(f, "web/0", 4, 0), BT_STORE_OK);
        list(f);
        assert_int_equal(seen.aside_count, 2);
        assert_true(seen.aside[0].wall_ns < seen.aside[1].wall_ns);
        assert_int_equal(seen.aside[0].record.sequence, 3);
        assert_int_equal(seen.aside[1].record.sequence, 4);
        assert_int_equal(get_result(f, "web/0"), BT_STORE_OK);
        assert_int_equal(f->desk.record.sequence, 9);
        assert_int_equal(read_as_it_is(f, "web/0", seen.aside[0].wall_ns, ROOM_BYTES, &fd),
                         BT_STORE_OK);
        assert_true(state_is(fd, sizeof(struct bt_record), "web/0", 3, 9000));
        (void)bt_close(fd);
}

static void the_oldest_of_eight_makes_place(void **state)
{
        struct stand *f = *state;

        for (uint64_t round = 1; round <= BT_STORE_QUARANTINED_MAX + 2; round++)
                assert_int_equal(put_aside(f, "web/0", round, 100), BT_STORE_OK);
        list(f);
        assert_int_equal(seen.aside_count, BT_STORE_QUARANTINED_MAX);
        for (size_t i = 0; i < seen.aside_count; i++)
                assert_int_equal(seen.aside[i].record.sequence, i + 3);
}

static void one_is_forgotten_and_the_others_stay(void **state)
{
        struct stand *f = *state;
        uint64_t first;

        assert_int_equal(put_aside(f, "web/0", 1, 9000), BT_STORE_OK);
        assert_int_equal(put_aside(f, "web/0", 2, 9000), BT_STORE_OK);
        list(f);
        first = seen.aside[0].wall_ns;
        assert_int_equal(drop(f, "web/0", first), BT_STORE_OK);
        assert_int_equal(drop(f, "web/0", first), BT_STORE_E_ABSENT);
        assert_int_equal(drop(f, "web/1", seen.aside[1].wall_ns), BT_STORE_E_ABSENT);
        list(f);
        assert_int_equal(seen.aside_count, 1);
        assert_int_equal(seen.aside[0].record.sequence, 2);
}

static void STATE_4_a_damaged_record_is_copied_as_it_is_and_said_to_be_damaged(void **state)
{
        struct stand *f = *state;
        int fd;

        assert_int_equal(put_state(f, "web/0", 7, 10000), BT_STORE_OK);
        spoil(f, "web/0", 2);
        assert_int_equal(read_as_it_is(f, "web/0", 0, ROOM_BYTES, &fd), BT_STORE_E_CORRUPT);
        assert_int_equal(size_of(fd), sizeof(struct bt_record) + 10000);
        assert_false(state_is(fd, sizeof(struct bt_record), "web/0", 7, 10000));
        (void)bt_close(fd);
        spoil(f, "web/0", 0);
        assert_int_equal(read_as_it_is(f, "web/0", 0, ROOM_BYTES, &fd), BT_STORE_E_CORRUPT);
        (void)bt_close(fd);
        /* Reading judged nothing away; a get does, and then it is shown aside, without a header that could be read. */
        assert_int_equal(get_result(f, "web/0"), BT_STORE_E_CORRUPT);
        list(f);
        assert_int_equal(seen.aside_count, 1);
        assert_string_equal(seen.aside[0].record.child, "web/0");
        assert_true(seen.aside[0].record.magic == 0);
        assert_int_equal(read_as_it_is(f, "web/0", seen.aside[0].wall_ns, ROOM_BYTES, &fd),
                         BT_STORE_E_CORRUPT);
        assert_int_equal(size_of(fd), sizeof(struct bt_record) + 10000);
        (void)bt_close(fd);
}

static void a_read_knows_absent_from_too_large(void **state)
{
        struct stand *f = *state;
        int fd;

        assert_int_equal(read_as_it_is(f, "web/0", 0, ROOM_BYTES, &fd), BT_STORE_E_ABSENT);
        (void)bt_close(fd);
        assert_int_equal(read_as_it_is(f, "web/0", 77, ROOM_BYTES, &fd), BT_STORE_E_ABSENT);
        (void)bt_close(fd);
        assert_int_equal(put_state(f, "web/0", 7, 10000), BT_STORE_OK);
        assert_int_equal(read_as_it_is(f, "web/0", 0, 10000 + sizeof(struct bt_record) - 1, &fd), BT_STORE_E_ROOM);
        (void)bt_close(fd);
        assert_int_equal(read_as_it_is(f, "web/0", 0, 10000 + sizeof(struct bt_record), &fd), BT_STORE_OK);
        (void)bt_close(fd);
}

static void a_put_that_must_match_its_header_stores_nothing_else(void **state)
{
        struct stand *f = *state;
        struct bt_store_item item = state_item("web/0", 7, 5000, 0);
        uint8_t bytes[5000];

        assert_int_equal(put_state(f, "web/0", 6, 10), BT_STORE_OK);
        state_fill(bytes, sizeof(bytes), "web/0", 7);
        item.verify = true;
        item.record.payload_xxh3 = bt_sum_of(bytes, sizeof(bytes)) ^ 1;
        assert_int_equal(desk_put(&f->desk, f->store, &item, 1), BT_STORE_E_CORRUPT);
        assert_int_equal(get_result(f, "web/0"), BT_STORE_OK);
        assert_int_equal(f->desk.record.sequence, 6);
        item.record.payload_xxh3 ^= 1;
        assert_int_equal(desk_put(&f->desk, f->store, &item, 1), BT_STORE_OK);
        assert_int_equal(get_result(f, "web/0"), BT_STORE_OK);
        assert_int_equal(f->desk.record.sequence, 7);
        (void)bt_close(item.fd);
}

#define ROW(name) cmocka_unit_test_setup_teardown(name, stand_setup, stand_teardown)

int main(void)
{
        const struct CMUnitTest tests[] = {
                ROW(STATE_6_a_whole_record_is_moved_aside_and_not_delivered_again),
                ROW(a_newer_record_is_not_moved_aside_for_an_older_one),
                ROW(I9_a_state_that_was_in_no_record_is_written_aside),
                ROW(the_oldest_of_eight_makes_place),
                ROW(one_is_forgotten_and_the_others_stay),
                ROW(STATE_4_a_damaged_record_is_copied_as_it_is_and_said_to_be_damaged),
                ROW(a_read_knows_absent_from_too_large),
                ROW(a_put_that_must_match_its_header_stores_nothing_else),
        };
        int failed = cmocka_run_group_tests_name("states set aside, in memory", tests, NULL, NULL);

        stand_on_disk = true;
        return failed + cmocka_run_group_tests_name("states set aside, on disk", tests, NULL, NULL);
}
