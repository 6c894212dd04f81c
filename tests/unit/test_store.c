/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The store on both engines: all tests run on LMDB and in memory and may not tell them apart. What it makes of damage is in test_store_damage.c, and what
 * only a disk has in test_store_disk.c.
 */
#include <fcntl.h>

#include "shm/record.h"
#include "supervisor/store/store_records.h"
#include "tests/support/store_stand.h"

/* ---- both engines ---- */

static void states_of_all_sizes_are_read_back(void **state)
{
        static const size_t sizes[] = {0, 1, 511, 512, PART - 1, PART, PART + 1, 3 * PART, 3 * PART + 7, 200000};
        struct stand *f = *state;

        for (size_t i = 0; i < BT_ARRAY_LEN(sizes); i++) {
                assert_int_equal(put_state(f, "web/0", i + 1, sizes[i]), BT_STORE_OK);
                assert_state(f, "web/0", i + 1, sizes[i]);
                assert_int_equal(count_keys(f, 'R'), 1 + (sizes[i] + PART - 1) / PART);
        }
}

static void a_header_keeps_what_its_writer_said(void **state)
{
        struct stand *f = *state;
        struct bt_store_item item = state_item("db", 4, 10, 0);

        item.record.form = BATON_STATE_ARENA;
        item.record.arena_addr = BT_ARENA_ADDR;
        item.record.boot_ns = 5;
        item.record.wall_ns = 6;
        item.record.ttl_ns = 7;
        item.record.flags = 8;
        memset(item.record.boot_id, 9, sizeof(item.record.boot_id));
        assert_int_equal(desk_put(&f->desk, f->store, &item, 1), BT_STORE_OK);
        (void)bt_close(item.fd);
        assert_int_equal(get_state(f, "db"), BT_STORE_OK);
        bt_record_seal(&item.record, f->desk.record.payload_xxh3);
        assert_memory_equal(&item.record, &f->desk.record, sizeof(item.record));
}

static void an_empty_state_is_not_an_absent_one(void **state)
{
        struct stand *f = *state;
        struct bt_store_item item = state_item("web/0", 1, 0, 0);

        assert_int_equal(get_state(f, "web/0"), BT_STORE_E_ABSENT);
        assert_false(f->desk.has_record);
        item.fd = bt_close(item.fd); /* nothing to read, so no descriptor is needed */
        assert_int_equal(desk_put(&f->desk, f->store, &item, 1), BT_STORE_OK);
        assert_state(f, "web/0", 1, 0);
        assert_int_equal(desk_get(&f->desk, f->store, "web/0", f->fd, 0, 0), BT_STORE_OK);
}

static void a_put_of_many_is_there_as_a_whole(void **state)
{
        struct stand *f = *state;
        struct bt_store_item items[50];
        char name[64];

        for (size_t i = 0; i < BT_ARRAY_LEN(items); i++) {
                (void)snprintf(name, sizeof(name), "pool/%zu", i);
                items[i] = state_item(name, i + 1, i * 300, i * 10);
        }
        assert_int_equal(desk_put(&f->desk, f->store, items, BT_ARRAY_LEN(items)), BT_STORE_OK);
        assert_int_equal(desk_put(&f->desk, f->store, items, 0), BT_STORE_OK);
        for (size_t i = 0; i < BT_ARRAY_LEN(items); i++) {
                assert_state(f, items[i].record.child, i + 1, i * 300);
                (void)bt_close(items[i].fd);
        }
        assert_int_equal(desk_list(&f->desk, f->store), 0);
        assert_int_equal(f->desk.record_count, BT_ARRAY_LEN(items));
}

static void a_second_put_adds_to_the_first(void **state)
{
        struct stand *f = *state;

        assert_int_equal(put_state(f, "a", 1, 5000), BT_STORE_OK);
        assert_int_equal(put_state(f, "b", 2, 5000), BT_STORE_OK);
        assert_state(f, "a", 1, 5000);
        assert_state(f, "b", 2, 5000);
}

static void a_put_that_fails_changes_nothing(void **state)
{
        struct stand *f = *state;
        struct bt_store_item items[3];

        assert_int_equal(put_state(f, "web/0", 1, 9000), BT_STORE_OK);
        items[0] = state_item("web/0", 2, 20000, 0);
        items[1] = state_item("web/1", 2, 20000, 0);
        items[2] = state_item("web/2", 2, 20000, 0);
        assert_int_equal(ftruncate(items[2].fd, 19999), 0); /* the last of all parts ends early */
        assert_int_equal(desk_put(&f->desk, f->store, items, 3), -ENODATA);
        for (size_t i = 0; i < 3; i++)
                (void)bt_close(items[i].fd);
        assert_state(f, "web/0", 1, 9000);
        assert_int_equal(get_state(f, "web/1"), BT_STORE_E_ABSENT);
        assert_int_equal(get_state(f, "web/2"), BT_STORE_E_ABSENT);
        assert_int_equal(count_keys(f, 'R'), 4);
}

static void a_state_larger_than_the_room_is_left_in_the_store(void **state)
{
        struct stand *f = *state;

        assert_int_equal(put_state(f, "web/0", 1, 5000), BT_STORE_OK);
        assert_int_equal(desk_get(&f->desk, f->store, "web/0", f->fd, 0, 4999), BT_STORE_E_ROOM);
        assert_true(f->desk.has_record);
        assert_int_equal(f->desk.record.payload_bytes, 5000);
        assert_int_equal(desk_get(&f->desk, f->store, "web/0", f->fd, 0, 5000), BT_STORE_OK);
}

static void a_get_writes_nothing_outside_the_state(void **state)
{
        struct stand *f = *state;
        uint8_t around[2] = {0xaa, 0xaa};

        assert_int_equal(put_state(f, "web/0", 1, 5000), BT_STORE_OK);
        assert_int_equal(pwrite(f->fd, around, 1, 63), 1);
        assert_int_equal(pwrite(f->fd, around, 1, 64 + 5000), 1);
        assert_state(f, "web/0", 1, 5000);
        assert_int_equal(pread(f->fd, around, 1, 63), 1);
        assert_int_equal(pread(f->fd, around + 1, 1, 64 + 5000), 1);
        assert_int_equal(around[0], 0xaa);
        assert_int_equal(around[1], 0xaa);
}

static void a_get_into_an_unwritable_room_says_so_and_keeps_the_state(void **state)
{
        struct stand *f = *state;
        int fd = memfd_create("room", MFD_CLOEXEC | MFD_ALLOW_SEALING);

        assert_true(fd >= 0);
        assert_int_equal(ftruncate(fd, 8192), 0);
        assert_int_equal(put_state(f, "web/0", 1, 5000), BT_STORE_OK);
        assert_int_equal(fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE), 0);
        assert_int_equal(desk_get(&f->desk, f->store, "web/0", fd, 0, 8192), -EPERM);
        (void)bt_close(fd);
        assert_state(f, "web/0", 1, 5000);
}

static void a_delete_takes_only_the_sequence_it_names(void **state)
{
        struct stand *f = *state;

        assert_int_equal(put_state(f, "web/0", 7, 10000), BT_STORE_OK);
        assert_int_equal(put_state(f, "web/1", 7, 10000), BT_STORE_OK);
        assert_int_equal(desk_del(&f->desk, f->store, "web/0", 6), BT_STORE_E_ABSENT);
        assert_int_equal(desk_del(&f->desk, f->store, "web/0", 8), BT_STORE_E_ABSENT);
        assert_int_equal(desk_del(&f->desk, f->store, "other", 7), BT_STORE_E_ABSENT);
        assert_state(f, "web/0", 7, 10000);
        assert_int_equal(desk_del(&f->desk, f->store, "web/0", 7), BT_STORE_OK);
        assert_int_equal(get_state(f, "web/0"), BT_STORE_E_ABSENT);
        assert_int_equal(desk_del(&f->desk, f->store, "web/0", 7), BT_STORE_E_ABSENT);
        assert_state(f, "web/1", 7, 10000);
        assert_int_equal(count_keys(f, 'R'), 4);
}

#define DELETES 600 /* more than share a transaction */

/* The results of many calls, in the order in which they came. */
struct results {
        int of[DELETES + 1];
        size_t count;
};

static void note_result(void *ctx, int result, const struct bt_record *record)
{
        struct results *results = ctx;

        (void)record;
        results->of[results->count++] = result;
}

/* Every third names another sequence. The first is under way while the others queue up behind it, and share transactions. */
static void deletes_in_a_row_have_each_its_own_result_and_keep_their_order(void **state)
{
        struct stand *f = *state;
        struct bt_store_item *items = calloc(DELETES, sizeof(*items));
        struct results results = {0};
        char child[32];

        assert_non_null(items);
        for (int i = 0; i < DELETES; i++) {
                (void)snprintf(child, sizeof(child), "web/%d", i);
                items[i] = state_item(child, 7, 100, 100);
        }
        assert_int_equal(desk_put(&f->desk, f->store, items, DELETES), BT_STORE_OK);
        for (int i = 0; i < DELETES; i++)
                (void)bt_close(items[i].fd);
        free(items);
        for (int i = 0; i < DELETES; i++) {
                (void)snprintf(child, sizeof(child), "web/%d", i);
                assert_int_equal(bt_store_del(f->store, child, i % 3 ? 7 : 8, note_result, &results), 0);
        }
        assert_int_equal(bt_store_del(f->store, "web/1", 7, note_result, &results), 0); /* again */
        for (int i = 0; i <= DELETES; i++)
                desk_complete(&f->desk);
        assert_int_equal(results.count, DELETES + 1);
        for (int i = 0; i < DELETES; i++)
                assert_int_equal(results.of[i], i % 3 ? BT_STORE_OK : BT_STORE_E_ABSENT);
        assert_int_equal(results.of[DELETES], BT_STORE_E_ABSENT);
        assert_state(f, "web/0", 7, 100);
        assert_int_equal(get_state(f, "web/1"), BT_STORE_E_ABSENT);
        assert_int_equal(count_keys(f, 'R'), DELETES / 3 * 2);
}

static void ids_that_begin_alike_do_not_meet(void **state)
{
        static const char *const ids[] = {
                "a", "aa", "a/", "ab", "R", "\x01", "\x01\x01", "a\xff",
                "a23456789012345678901234567890123456789012345678901234567890123",
                "a2345678901234567890123456789012345678901234567890123456789012",
        };
        struct stand *f = *state;

        assert_int_equal(strlen(ids[8]), BATON_ID_BYTES_MAX);
        for (size_t i = 0; i < BT_ARRAY_LEN(ids); i++)
                assert_int_equal(put_state(f, ids[i], i + 1, 6000), BT_STORE_OK);
        for (size_t i = 0; i < BT_ARRAY_LEN(ids); i++) {
                for (size_t k = i; k < BT_ARRAY_LEN(ids); k++)
                        assert_state(f, ids[k], k + 1, 6000);
                assert_int_equal(desk_del(&f->desk, f->store, ids[i], i + 1), BT_STORE_OK);
        }
        assert_int_equal(count_keys(f, 'R'), 0);
}

/* ---- calls and completions ---- */

static void what_cannot_be_meant_is_refused_by_the_call(void **state)
{
        struct stand *f = *state;
        struct bt_store_item good = state_item("web/0", 1, 10, 0), bad;
        char id[BATON_ID_BYTES_MAX + 2];
        int fds = bt_fd_count();

        memset(id, 'x', sizeof(id));
        id[sizeof(id) - 1] = 0;
        assert_int_equal(bt_store_get(f->store, id, f->fd, 0, 1, desk_done, f), -EINVAL);
        assert_int_equal(bt_store_get(f->store, "", f->fd, 0, 1, desk_done, f), -EINVAL);
        assert_int_equal(bt_store_get(f->store, "a", -1, 0, 1, desk_done, f), -EBADF);
        assert_int_equal(bt_store_get(f->store, "a", f->fd, UINT64_MAX, 1, desk_done, f), -EINVAL);
        assert_int_equal(bt_store_del(f->store, id, 0, desk_done, f), -EINVAL);
        assert_int_equal(bt_store_del(f->store, "", 0, desk_done, f), -EINVAL);
        assert_int_equal(bt_store_put(f->store, &good, BT_STORE_ITEMS_MAX + 1, desk_done, f), -E2BIG);

        bad = good;
        bad.record.child[0] = 0;
        assert_int_equal(bt_store_put(f->store, &bad, 1, desk_done, f), -EINVAL);
        bad = good;
        memset(bad.record.schema, 'x', sizeof(bad.record.schema));
        assert_int_equal(bt_store_put(f->store, &bad, 1, desk_done, f), -EINVAL);
        bad = good;
        bad.record.form = _BATON_STATE_N;
        assert_int_equal(bt_store_put(f->store, &bad, 1, desk_done, f), -EINVAL);
        bad = good;
        bad.record.payload_bytes = BT_STORE_PAYLOAD_BYTES_MAX + 1;
        assert_int_equal(bt_store_put(f->store, &bad, 1, desk_done, f), -EINVAL);
        bad = good;
        bad.off = INT64_MAX;
        assert_int_equal(bt_store_put(f->store, &bad, 1, desk_done, f), -EINVAL);
        bad = good;
        bad.fd = -1;
        assert_int_equal(bt_store_put(f->store, &bad, 1, desk_done, f), -EBADF);
        /* Of a batch that is refused in the middle nothing stays behind. */
        assert_int_equal(bt_store_put(f->store, (struct bt_store_item[2]){good, bad}, 2, desk_done, f), -EBADF);
        assert_int_equal(bt_fd_count(), fds);
        (void)bt_close(good.fd);
}

struct ordered {
        struct stand *f;
        int seen;
        int last_result;
};

static void ordered_done(void *ctx, int result, const struct bt_record *record)
{
        struct ordered *o = ctx;

        /* put, get, del, get, put, get .. of ever the same child */
        switch (o->seen++ % 4) {
        case 0:
        case 2:
                assert_int_equal(result, BT_STORE_OK);
                break;
        case 1:
                assert_int_equal(result, BT_STORE_OK);
                assert_int_equal(record->sequence, o->seen / 4 + 1);
                break;
        default:
                assert_int_equal(result, BT_STORE_E_ABSENT);
        }
}

static void completions_come_in_the_order_of_the_calls(void **state)
{
        struct stand *f = *state;
        struct ordered o = {.f = f};

        for (uint64_t i = 1; i <= 20; i++) {
                struct bt_store_item item = state_item("web/0", i, 3000, 0);

                assert_int_equal(bt_store_put(f->store, &item, 1, ordered_done, &o), 0);
                (void)bt_close(item.fd); /* the call has its own */
                assert_int_equal(bt_store_get(f->store, "web/0", f->fd, 0, ROOM_BYTES, ordered_done, &o), 0);
                assert_int_equal(bt_store_del(f->store, "web/0", i, ordered_done, &o), 0);
                assert_int_equal(bt_store_get(f->store, "web/0", f->fd, 0, ROOM_BYTES, ordered_done, &o), 0);
        }
        for (int i = 0; i < 80; i++)
                desk_complete(&f->desk);
        assert_int_equal(o.seen, 80);
}

static void nothing_is_called_back_before_the_hub_says_so(void **state)
{
        struct stand *f = *state;
        struct ordered o = {.f = f};
        struct bt_store_item item = state_item("web/0", 1, 3000, 0);

        assert_int_equal(bt_store_put(f->store, &item, 1, ordered_done, &o), 0);
        (void)bt_close(item.fd);
        desk_wait(&f->desk, 1);
        assert_int_equal(o.seen, 0);
        desk_complete(&f->desk);
        assert_int_equal(o.seen, 1);
}

static void jobs_beyond_the_bound_are_refused_and_later_taken(void **state)
{
        struct stand *f = *state;
        struct bt_store_item item = state_item("web/0", 1, 10, 0);
        int fds;

        for (int i = 0; i < BT_STORE_JOBS_MAX; i++)
                assert_int_equal(bt_store_list(f->store, desk_listed, &f->desk), 0);
        desk_wait(&f->desk, BT_STORE_JOBS_MAX); /* done, but not completed: they count */
        fds = bt_fd_count();
        assert_int_equal(bt_store_list(f->store, desk_listed, &f->desk), -EBUSY);
        assert_int_equal(bt_store_put(f->store, &item, 1, desk_done, &f->desk), -EBUSY);
        assert_int_equal(bt_store_get(f->store, "web/0", f->fd, 0, 9, desk_done, &f->desk), -EBUSY);
        assert_int_equal(bt_store_del(f->store, "web/0", 1, desk_done, &f->desk), -EBUSY);
        assert_int_equal(bt_fd_count(), fds);
        desk_complete(&f->desk);
        assert_int_equal(bt_store_put(f->store, &item, 1, desk_done, &f->desk), 0);
        (void)bt_close(item.fd);
        for (int i = 0; i < BT_STORE_JOBS_MAX; i++)
                desk_complete(&f->desk);
        assert_int_equal(f->desk.result, BT_STORE_OK);
        assert_state(f, "web/0", 1, 10);
}

static void close_finishes_what_was_asked_and_calls_nobody(void **state)
{
        struct stand *f = *state;

        for (uint64_t i = 1; i <= 30; i++) {
                struct bt_store_item item = state_item("web/0", i, 40000, 0);

                assert_int_equal(bt_store_put(f->store, &item, 1, must_not_be_called, NULL), 0);
                (void)bt_close(item.fd);
        }
        f->store = bt_store_close(f->store);
        assert_null(f->store);
        assert_null(bt_store_close(NULL));
        f->desk.taken = f->desk.put; /* freed by close */
        stand_open(f);
        if (f->disk)
                assert_state(f, "web/0", 30, 40000);
        else
                assert_int_equal(get_state(f, "web/0"), BT_STORE_E_ABSENT);
}

#define ROW(name) cmocka_unit_test_setup_teardown(name, stand_setup, stand_teardown)

static const struct CMUnitTest both[] = {
        ROW(states_of_all_sizes_are_read_back),
        ROW(a_header_keeps_what_its_writer_said),
        ROW(an_empty_state_is_not_an_absent_one),
        ROW(a_put_of_many_is_there_as_a_whole),
        ROW(a_second_put_adds_to_the_first),
        ROW(a_put_that_fails_changes_nothing),
        ROW(a_state_larger_than_the_room_is_left_in_the_store),
        ROW(a_get_writes_nothing_outside_the_state),
        ROW(a_get_into_an_unwritable_room_says_so_and_keeps_the_state),
        ROW(a_delete_takes_only_the_sequence_it_names),
        ROW(deletes_in_a_row_have_each_its_own_result_and_keep_their_order),
        ROW(ids_that_begin_alike_do_not_meet),
        ROW(what_cannot_be_meant_is_refused_by_the_call),
        ROW(completions_come_in_the_order_of_the_calls),
        ROW(nothing_is_called_back_before_the_hub_says_so),
        ROW(jobs_beyond_the_bound_are_refused_and_later_taken),
        ROW(close_finishes_what_was_asked_and_calls_nobody),
};

int main(void)
{
        int failed = cmocka_run_group_tests_name("store in memory", both, NULL, NULL);

        stand_on_disk = true;
        return failed + cmocka_run_group_tests_name("store on disk", both, NULL, NULL);
}
