/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The store, on both engines: all tests of the first list run on LMDB and on memory and may not tell them apart. The second list is about the
 * disk: locks, growth, full disks, damaged files, the golden file of version 1.
 *
 * Damage is made through the engine, while no job is under way: the store's thread is then waiting and touches nothing.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include "shm/record.h"
#include "supervisor/store/store_key.h"
#include "supervisor/store/store_queue.h"
#include "supervisor/store/store_records.h"
#include "tests/support/seed.h"
#include "tests/support/store_desk.h"

#define PART 4096

struct fixture {
        bool disk;
        char dir[64];
        struct desk desk;
        struct bt_store *store;
        int fd; /* a room to get into */
        int fds_before;
};

#define ROOM_BYTES ((uint64_t)1 << 20)

static bool on_disk; /* which engine this run of the list is about */

static void store_open(struct fixture *f)
{
        int r = f->disk ? bt_store_lmdb_open(&f->store, f->dir, desk_post, &f->desk)
                        : bt_store_mem_open(&f->store, desk_post, &f->desk);

        assert_int_equal(r, 0);
        f->store->part_bytes = PART;
}

static int setup(void **state)
{
        struct fixture *f = calloc(1, sizeof(*f));

        assert_non_null(f);
        f->fds_before = bt_fd_count();
        f->disk = on_disk;
        strcpy(f->dir, "/tmp/baton-store-XXXXXX");
        assert_non_null(mkdtemp(f->dir));
        desk_init(&f->desk);
        store_open(f);
        f->fd = state_memfd(ROOM_BYTES);
        *state = f;
        return 0;
}

static void dir_remove(const char *path)
{
        DIR *dir = opendir(path);
        struct dirent *entry;

        assert_non_null(dir);
        while ((entry = readdir(dir)))
                if (entry->d_name[0] != '.')
                        assert_int_equal(unlinkat(dirfd(dir), entry->d_name, 0), 0);
        (void)closedir(dir);
        assert_int_equal(rmdir(path), 0);
}

static int teardown(void **state)
{
        struct fixture *f = *state;

        f->store = bt_store_close(f->store);
        desk_deinit(&f->desk);
        (void)bt_close(f->fd);
        dir_remove(f->dir);
        assert_int_equal(bt_fd_count(), f->fds_before);
        free(f);
        return 0;
}

static int put_state(struct fixture *f, const char *child, uint64_t round, size_t bytes)
{
        struct bt_store_item item = state_item(child, round, bytes, 100);
        int r = desk_put(&f->desk, f->store, &item, 1);

        (void)bt_close(item.fd);
        return r;
}

static int get_state(struct fixture *f, const char *child)
{
        return desk_get(&f->desk, f->store, child, f->fd, 64, ROOM_BYTES - 64);
}

static void assert_state(struct fixture *f, const char *child, uint64_t round, size_t bytes)
{
        assert_int_equal(get_state(f, child), BT_STORE_OK);
        assert_true(f->desk.has_record);
        assert_string_equal(f->desk.record.child, child);
        assert_int_equal(f->desk.record.sequence, round);
        assert_int_equal(f->desk.record.payload_bytes, bytes);
        assert_true(state_is(f->fd, 64, child, round, bytes));
}

/* ---- through the engine ---- */

static size_t count_keys(struct fixture *f, char kind)
{
        struct bt_engine *e = f->store->engine;
        struct bt_key from = {.bytes = 1, .at = {(uint8_t)kind}}, key;
        struct bt_value value;
        size_t count = 0;

        assert_int_equal(e->ops->begin(e, false, 0), 0);
        while (e->ops->seek(e, &from, &key, &value) == 0 && key.at[0] == (uint8_t)kind) {
                count++;
                bt_key_after(&from, &key);
        }
        e->ops->abort(e);
        return count;
}

static size_t value_copy(struct fixture *f, const struct bt_key *key, uint8_t *to, size_t room)
{
        struct bt_engine *e = f->store->engine;
        struct bt_value value = {0};

        assert_int_equal(e->ops->begin(e, false, 0), 0);
        assert_int_equal(e->ops->get(e, key, &value), 0);
        assert_true(value.bytes <= room);
        memcpy(to, value.at, value.bytes);
        e->ops->abort(e);
        return value.bytes;
}

static void value_set(struct fixture *f, const struct bt_key *key, const void *from, size_t bytes)
{
        struct bt_engine *e = f->store->engine;
        void *room;

        assert_int_equal(e->ops->begin(e, true, bytes), 0);
        assert_int_equal(e->ops->reserve(e, key, bytes, &room), 0);
        memcpy(room, from, bytes);
        assert_int_equal(e->ops->commit(e), 0);
}

static void value_del(struct fixture *f, const char *child, uint32_t part)
{
        struct bt_engine *e = f->store->engine;
        struct bt_key key;

        bt_key_record(&key, child, part);
        assert_int_equal(e->ops->begin(e, true, 0), 0);
        assert_int_equal(e->ops->del(e, &key), 0);
        assert_int_equal(e->ops->commit(e), 0);
}

static void value_flip(struct fixture *f, const char *child, uint32_t part, size_t byte)
{
        uint8_t room[PART];
        struct bt_key key;
        size_t bytes;

        bt_key_record(&key, child, part);
        bytes = value_copy(f, &key, room, sizeof(room));
        assert_true(byte < bytes);
        room[byte] ^= 0x10;
        value_set(f, &key, room, bytes);
}

/* ---- both engines ---- */

static void states_of_all_sizes_are_read_back(void **state)
{
        static const size_t sizes[] = {0, 1, 511, 512, PART - 1, PART, PART + 1, 3 * PART, 3 * PART + 7, 200000};
        struct fixture *f = *state;

        for (size_t i = 0; i < BT_ARRAY_LEN(sizes); i++) {
                assert_int_equal(put_state(f, "web/0", i + 1, sizes[i]), BT_STORE_OK);
                assert_state(f, "web/0", i + 1, sizes[i]);
                assert_int_equal(count_keys(f, 'R'), 1 + (sizes[i] + PART - 1) / PART);
        }
}

static void a_header_keeps_what_its_writer_said(void **state)
{
        struct fixture *f = *state;
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
        struct fixture *f = *state;
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
        struct fixture *f = *state;
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
        struct fixture *f = *state;

        assert_int_equal(put_state(f, "a", 1, 5000), BT_STORE_OK);
        assert_int_equal(put_state(f, "b", 2, 5000), BT_STORE_OK);
        assert_state(f, "a", 1, 5000);
        assert_state(f, "b", 2, 5000);
}

static void a_put_that_fails_changes_nothing(void **state)
{
        struct fixture *f = *state;
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
        struct fixture *f = *state;

        assert_int_equal(put_state(f, "web/0", 1, 5000), BT_STORE_OK);
        assert_int_equal(desk_get(&f->desk, f->store, "web/0", f->fd, 0, 4999), BT_STORE_E_ROOM);
        assert_true(f->desk.has_record);
        assert_int_equal(f->desk.record.payload_bytes, 5000);
        assert_int_equal(desk_get(&f->desk, f->store, "web/0", f->fd, 0, 5000), BT_STORE_OK);
}

static void a_get_writes_nothing_outside_the_state(void **state)
{
        struct fixture *f = *state;
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
        struct fixture *f = *state;
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
        struct fixture *f = *state;

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
        struct fixture *f = *state;
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
        struct fixture *f = *state;

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

/* ---- damage ---- */

static void assert_quarantined_once(struct fixture *f, const char *child, size_t quarantined_values)
{
        assert_int_equal(get_state(f, child), BT_STORE_E_CORRUPT);
        assert_false(f->desk.has_record);
        assert_int_equal(get_state(f, child), BT_STORE_E_ABSENT);
        assert_int_equal(count_keys(f, 'R'), 0);
        assert_int_equal(count_keys(f, 'Q'), quarantined_values);
}

static void a_flipped_payload_bit_is_found_and_the_record_kept_aside(void **state)
{
        struct fixture *f = *state;
        struct bt_key from = {.bytes = 1, .at = {'Q'}}, key;
        struct bt_value value;
        struct bt_record record;
        struct bt_engine *e;
        uint8_t zeros[PART] = {0}, room[PART];

        assert_int_equal(put_state(f, "web/0", 1, 10000), BT_STORE_OK);
        value_flip(f, "web/0", 3, 1807); /* the last byte: all else has been written to the room by then */
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
        struct fixture *f = *state;

        for (size_t byte = 0; byte < sizeof(struct bt_record); byte += 7) {
                assert_int_equal(put_state(f, "web/0", 1, 20), BT_STORE_OK);
                value_flip(f, "web/0", 0, byte);
                assert_int_equal(get_state(f, "web/0"), BT_STORE_E_CORRUPT);
                assert_int_equal(get_state(f, "web/0"), BT_STORE_E_ABSENT);
        }
}

static void missing_and_superfluous_parts_are_found(void **state)
{
        struct fixture *f = *state;
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
        struct fixture *f = *state;
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
        struct fixture *f = *state;

        for (size_t part = 1; part < 9000; part = part * 7 + 1) {
                f->store->part_bytes = part; /* idle: no job is under way */
                assert_int_equal(put_state(f, "web/0", part, 3000), BT_STORE_OK);
                assert_state(f, "web/0", part, 3000);
                assert_int_equal(count_keys(f, 'R'), 1 + (3000 + part - 1) / part);
        }
}

static void a_record_under_another_childs_key_is_refused(void **state)
{
        struct fixture *f = *state;
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
        struct fixture *f = *state;
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
                        assert_int_equal(bt_record_read(&record, value.at, value.bytes), BT_RECORD_OK);
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
        struct fixture *f = *state;
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
        struct fixture *f = *state;
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
        struct fixture *f = *state;

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

/* ---- calls and completions ---- */

static void what_cannot_be_meant_is_refused_by_the_call(void **state)
{
        struct fixture *f = *state;
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
        struct fixture *f;
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
        struct fixture *f = *state;
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
        struct fixture *f = *state;
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
        struct fixture *f = *state;
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

static void must_not_be_called(void *ctx, int result, const struct bt_record *record)
{
        (void)ctx;
        (void)result;
        (void)record;
        fail_msg("a job was completed by close");
}

static void close_finishes_what_was_asked_and_calls_nobody(void **state)
{
        struct fixture *f = *state;

        for (uint64_t i = 1; i <= 30; i++) {
                struct bt_store_item item = state_item("web/0", i, 40000, 0);

                assert_int_equal(bt_store_put(f->store, &item, 1, must_not_be_called, NULL), 0);
                (void)bt_close(item.fd);
        }
        f->store = bt_store_close(f->store);
        assert_null(f->store);
        assert_null(bt_store_close(NULL));
        f->desk.taken = f->desk.put; /* freed by close */
        store_open(f);
        if (f->disk)
                assert_state(f, "web/0", 30, 40000);
        else
                assert_int_equal(get_state(f, "web/0"), BT_STORE_E_ABSENT);
}

static const struct CMUnitTest both[] = {
#define ROW(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
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
        ROW(what_cannot_be_meant_is_refused_by_the_call),
        ROW(completions_come_in_the_order_of_the_calls),
        ROW(nothing_is_called_back_before_the_hub_says_so),
        ROW(jobs_beyond_the_bound_are_refused_and_later_taken),
        ROW(close_finishes_what_was_asked_and_calls_nobody),
};

/* ---- the disk ---- */

static void reopen(struct fixture *f)
{
        f->store = bt_store_close(f->store);
        store_open(f);
}

static const char *path_of(const struct fixture *f, const char *name)
{
        static char path[128];

        (void)snprintf(path, sizeof(path), "%s/%s", f->dir, name);
        return path;
}

static void a_second_hub_is_refused_while_the_first_is_there(void **state)
{
        struct fixture *f = *state;
        struct bt_store *second = NULL;
        int fds = bt_fd_count();

        assert_int_equal(bt_store_lmdb_open(&second, f->dir, desk_post, &f->desk), -EBUSY);
        assert_null(second);
        assert_int_equal(bt_fd_count(), fds);
        assert_int_equal(put_state(f, "web/0", 1, 100), BT_STORE_OK);
        reopen(f);
        assert_state(f, "web/0", 1, 100);
}

static void a_folder_that_cannot_be_had_is_an_error(void **state)
{
        struct fixture *f = *state;
        struct bt_store *store = NULL;

        assert_int_equal(bt_store_lmdb_open(&store, path_of(f, "no/such/folder"), desk_post, &f->desk), -ENOENT);
        assert_int_equal(bt_store_lmdb_open(&store, path_of(f, "store.mdb"), desk_post, &f->desk), -ENOTDIR);
        assert_null(store);
}

static void files_are_private_and_closed_on_exec(void **state)
{
        static const char *const names[] = {"store.mdb", "store.mdb-lock", "store.lock"};
        struct fixture *f = *state;
        struct stat st;

        for (size_t i = 0; i < BT_ARRAY_LEN(names); i++) {
                assert_int_equal(stat(path_of(f, names[i]), &st), 0);
                assert_int_equal(st.st_mode & 0777, 0600);
        }
        assert_int_equal(put_state(f, "web/0", 1, 100), BT_STORE_OK);
        for (int fd = 3; fd < 256; fd++) {
                char link[64], path[256] = "";

                (void)snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
                if (readlink(link, path, sizeof(path) - 1) > 0 && !strncmp(path, f->dir, strlen(f->dir)))
                        assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);
        }
}

static void the_map_grows_with_what_is_put_into_it(void **state)
{
        struct fixture *f = *state;
        size_t bytes = (size_t)100 << 20;
        int fd = state_memfd(bytes);
        char name[24];

        /* Large values, whose need is known; then very many small ones, whose loss to pages is not. */
        f->store->part_bytes = BT_STORE_PART_BYTES;
        assert_int_equal(put_state(f, "large", 1, bytes), BT_STORE_OK);
        assert_int_equal(put_state(f, "large", 2, bytes), BT_STORE_OK);
        assert_int_equal(desk_get(&f->desk, f->store, "large", fd, 0, bytes), BT_STORE_OK);
        assert_true(state_is(fd, 0, "large", 2, bytes));
        (void)bt_close(fd);

        f->store->part_bytes = 1;
        for (int i = 0; i < 2; i++) {
                (void)snprintf(name, sizeof(name), "small/%d", i);
                assert_int_equal(put_state(f, name, 1, 400000), BT_STORE_OK);
                assert_state(f, name, 1, 400000);
        }
}

static void a_large_file_without_records_is_given_back_at_open(void **state)
{
        struct fixture *f = *state;
        struct stat st;

        assert_int_equal(put_state(f, "large", 1, (size_t)80 << 20), BT_STORE_OK);
        reopen(f);
        assert_int_equal(stat(path_of(f, "store.mdb"), &st), 0);
        assert_true(st.st_size >= 80 << 20);
        assert_int_equal(desk_del(&f->desk, f->store, "large", 1), BT_STORE_OK);
        reopen(f);
        assert_int_equal(stat(path_of(f, "store.mdb"), &st), 0);
        assert_true(st.st_size < 1 << 20);
        assert_false(bt_store_was_damaged(f->store));
        assert_int_equal(put_state(f, "web/0", 1, 100), BT_STORE_OK);
        assert_state(f, "web/0", 1, 100);
}

static void a_full_disk_is_told_and_costs_nothing_that_is_stored(void **state)
{
        struct fixture *f = *state;
        struct rlimit before, limit;
        struct stat st;

        assert_int_equal(put_state(f, "web/0", 1, 50000), BT_STORE_OK);
        assert_int_equal(stat(path_of(f, "store.mdb"), &st), 0);
        (void)signal(SIGXFSZ, SIG_IGN);
        assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
        for (rlim_t more = 0; more < 400000; more += 50000) {
                /* memfds obey the limit too, so what is put is made before it and read in place. */
                struct bt_store_item item = state_item("web/0", 2, 500000, 0);

                limit = before;
                limit.rlim_cur = (rlim_t)st.st_size + more;
                assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
                assert_int_equal(desk_put(&f->desk, f->store, &item, 1), BT_STORE_E_ROOM);
                assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
                (void)bt_close(item.fd);
                assert_state(f, "web/0", 1, 50000);
        }
        assert_int_equal(put_state(f, "web/0", 3, 500000), BT_STORE_OK);
        assert_state(f, "web/0", 3, 500000);
        assert_false(bt_store_was_damaged(f->store));
}

static void file_copy(const char *from, const char *to)
{
        uint8_t room[65536];
        int in = open(from, O_RDONLY | O_CLOEXEC), out = open(to, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
        ssize_t n;

        assert_true(in >= 0 && out >= 0);
        while ((n = read(in, room, sizeof(room))) > 0)
                assert_int_equal(bt_write_all(out, room, (size_t)n), 0);
        assert_int_equal(n, 0);
        (void)bt_close(in);
        (void)bt_close(out);
}

/* Whatever is wrong with the file: the store opens, says something sane of each child, and takes new states. */
static void assert_survives(struct fixture *f)
{
        store_open(f);
        for (size_t i = 0; i < BATCH_CHILDREN; i++) {
                int r = get_state(f, batch_child(i));

                assert_true(r == BT_STORE_OK || r == BT_STORE_E_ABSENT || r == BT_STORE_E_CORRUPT);
                if (r == BT_STORE_OK)
                        assert_true(state_is(f->fd, 64, batch_child(i), f->desk.record.sequence,
                                             batch_bytes(i, f->desk.record.sequence)));
                else if (r == BT_STORE_E_ABSENT)
                        assert_true(bt_store_was_damaged(f->store));
        }
        assert_int_equal(desk_list(&f->desk, f->store), 0);
        assert_int_equal(put_state(f, "new", 1, 70000), BT_STORE_OK);
        assert_state(f, "new", 1, 70000);
}

static void put_batch(struct fixture *f, uint64_t round)
{
        for (size_t i = 0; i < BATCH_CHILDREN; i++)
                assert_int_equal(put_state(f, batch_child(i), round, batch_bytes(i, round)), BT_STORE_OK);
}

static void a_truncated_file_is_never_fatal(void **state)
{
        struct fixture *f = *state;
        char whole[160], bad[160];
        struct stat st;

        (void)snprintf(whole, sizeof(whole), "%s/whole", f->dir);
        put_batch(f, 1);
        put_batch(f, 2);
        f->store = bt_store_close(f->store);
        (void)snprintf(bad, sizeof(bad), "%s", path_of(f, "store.mdb"));
        assert_int_equal(rename(bad, whole), 0);
        assert_int_equal(stat(whole, &st), 0);
        for (off_t bytes = 0; bytes < st.st_size; bytes += bytes < 16384 ? 1024 : 12288) {
                file_copy(whole, bad);
                assert_int_equal(truncate(bad, bytes), 0);
                if (bytes == 0) {
                        store_open(f); /* nothing was ever there */
                        assert_int_equal(get_state(f, "db"), BT_STORE_E_ABSENT);
                } else {
                        assert_survives(f);
                }
                f->store = bt_store_close(f->store);
        }
        store_open(f);
}

/* One page of @fd is not what it was. */
static void spoil(int fd, off_t bytes, struct seed *seed)
{
        uint8_t page[4096], other[4096];
        off_t pages = bytes / (off_t)sizeof(page), at = (off_t)seed_below(seed, (uint64_t)pages) * (off_t)sizeof(page);
        uint64_t word = seed_below(seed, 2) ? seed_next(seed) : seed_below(seed, 64);

        assert_int_equal(pread(fd, page, sizeof(page), at), sizeof(page));
        assert_int_equal(pread(fd, other, sizeof(other), (off_t)seed_below(seed, (uint64_t)pages) * (off_t)sizeof(page)), sizeof(page));
        switch (seed_below(seed, 7)) {
        case 0: /* other bytes */
                for (size_t i = 0; i < sizeof(page); i++)
                        page[i] = (uint8_t)seed_next(seed);
                break;
        case 1: /* another head */
                for (size_t i = 0; i < 16; i++)
                        page[i] = (uint8_t)seed_next(seed);
                break;
        case 2: /* another offset, or size */
                memcpy(page + 10 + 2 * seed_below(seed, 30), &word, 2);
                break;
        case 3: /* one bit */
                page[seed_below(seed, sizeof(page))] ^= (uint8_t)(1u << seed_below(seed, 8));
                break;
        case 4:
                memset(page, 0, sizeof(page));
                break;
        case 5: /* what belongs elsewhere */
                memcpy(page, other, sizeof(page));
                break;
        default: /* another number somewhere */
                memcpy(page + 8 * seed_below(seed, sizeof(page) / 8), &word, sizeof(word));
                break;
        }
        assert_int_equal(pwrite(fd, page, sizeof(page), at), sizeof(page));
}

/* Opened, read, written to and opened again: nothing of it may crash or hang, and a state that is said to be whole is. */
static void assert_bears(struct fixture *f)
{
        store_open(f);
        for (size_t i = 0; i < BATCH_CHILDREN; i++) {
                int r = get_state(f, batch_child(i));

                assert_true(r == BT_STORE_OK || r == BT_STORE_E_ABSENT || r == BT_STORE_E_CORRUPT || r == -EPROTONOSUPPORT);
                if (r == BT_STORE_OK)
                        assert_true(state_is(f->fd, 64, batch_child(i), f->desk.record.sequence, batch_bytes(i, f->desk.record.sequence)));
        }
        assert_int_equal(desk_list(&f->desk, f->store), 0);
        for (size_t i = 0; i < BATCH_CHILDREN; i += 2)
                assert_true(desk_del(&f->desk, f->store, batch_child(i), 2) >= 0);
        put_batch(f, 3);
        reopen(f);
        for (size_t i = 0; i < BATCH_CHILDREN; i++)
                assert_state(f, batch_child(i), 3, batch_bytes(i, 3));
}

static void a_file_with_a_page_that_was_written_over_is_never_fatal(void **state)
{
        struct fixture *f = *state;
        struct seed seed = seed_new();
        char whole[160], bad[160];
        struct stat st;

        (void)snprintf(whole, sizeof(whole), "%s/whole", f->dir);
        put_batch(f, 1);
        for (int i = 0; i < 300; i++) { /* enough for a tree with branches */
                char name[24];

                (void)snprintf(name, sizeof(name), "many/%d", i);
                assert_int_equal(put_state(f, name, 1, 100), BT_STORE_OK);
        }
        for (int i = 0; i < 300; i += 3) { /* and for lists of free pages */
                char name[24];

                (void)snprintf(name, sizeof(name), "many/%d", i);
                assert_int_equal(desk_del(&f->desk, f->store, name, 1), BT_STORE_OK);
        }
        put_batch(f, 2);
        f->store = bt_store_close(f->store);
        (void)snprintf(bad, sizeof(bad), "%s", path_of(f, "store.mdb"));
        assert_int_equal(rename(bad, whole), 0);
        assert_int_equal(stat(whole, &st), 0);
        for (uint64_t i = 0; i < seed_rounds(60); i++) {
                int fd;

                file_copy(whole, bad);
                fd = open(bad, O_RDWR | O_CLOEXEC);
                assert_true(fd >= 0);
                spoil(fd, st.st_size, &seed);
                (void)bt_close(fd);
                assert_bears(f);
                f->store = bt_store_close(f->store);
        }
        file_copy(whole, bad);
        store_open(f);
        assert_false(bt_store_was_damaged(f->store)); /* the walk finds nothing where nothing is */
        assert_state(f, batch_child(0), 2, batch_bytes(0, 2));
}

static void a_file_that_is_no_store_is_set_aside(void **state)
{
        struct fixture *f = *state;
        char text[20000];
        struct stat st;
        int fd;

        f->store = bt_store_close(f->store);
        memset(text, 'x', sizeof(text));
        fd = open(path_of(f, "store.mdb"), O_WRONLY | O_TRUNC | O_CLOEXEC);
        assert_true(fd >= 0);
        assert_int_equal(bt_write_all(fd, text, sizeof(text)), 0);
        (void)bt_close(fd);
        assert_survives(f);
        assert_true(bt_store_was_damaged(f->store));
        assert_int_equal(stat(path_of(f, "store.mdb.bad"), &st), 0);
        assert_int_equal(st.st_size, sizeof(text));
        reopen(f);
        assert_false(bt_store_was_damaged(f->store));
        assert_state(f, "new", 1, 70000);
}

/* The golden file was written by `store --write DIR` on a little-endian 64-bit machine with pages of 4096 bytes. */
static void put_golden(struct fixture *f)
{
        static const size_t sizes[] = {0, 5, 6000};
        struct bt_store_item items[3];

        for (size_t i = 0; i < 3; i++) {
                char name[8];

                (void)snprintf(name, sizeof(name), "g/%zu", i);
                items[i] = state_item(name, i + 10, sizes[i], 0);
                items[i].record.wall_ns = 1700000000000000000;
        }
        assert_int_equal(desk_put(&f->desk, f->store, items, 3), BT_STORE_OK);
        for (size_t i = 0; i < 3; i++)
                (void)bt_close(items[i].fd);
}

static void a_store_of_version_1_can_be_read(void **state)
{
        struct fixture *f = *state;

        if (BT_ABI_THIS != ((UINT32_C(1) << 24) | (8u << 16) | 4096u))
                skip();
        f->store = bt_store_close(f->store);
        file_copy(BATON_SOURCE_DIR "/tests/golden/store-v1.mdb", path_of(f, "store.mdb"));
        store_open(f);
        assert_false(bt_store_was_damaged(f->store));
        assert_int_equal(desk_list(&f->desk, f->store), 0);
        assert_int_equal(f->desk.record_count, 3);
        assert_state(f, "g/0", 10, 0);
        assert_state(f, "g/1", 11, 5);
        assert_state(f, "g/2", 12, 6000);
        assert_int_equal(f->desk.record.version, 3);
        assert_int_equal(f->desk.record.version_oldest, 2);
        assert_int_equal(f->desk.record.incarnation, 52);
        assert_true(f->desk.record.wall_ns == 1700000000000000000);
        assert_int_equal(desk_del(&f->desk, f->store, "g/2", 12), BT_STORE_OK);
}

/* Needs 4 GiB of memory and of disk: only when BATON_LONG is set. */
static void a_state_above_four_gigabytes_is_read_back(void **state)
{
        struct fixture *f = *state;
        uint64_t bytes = (UINT64_C(4) << 30) + 12345;
        struct bt_store_item item;
        uint8_t tail[5] = "tail", got[5] = "";
        int fd;

        if (!getenv("BATON_LONG"))
                skip();
        f->store->part_bytes = BT_STORE_PART_BYTES;
        item = state_item("huge", 1, 100, 0);
        item.record.payload_bytes = bytes;
        assert_int_equal(ftruncate(item.fd, (off_t)bytes), 0);
        assert_int_equal(pwrite(item.fd, tail, 5, (off_t)bytes - 5), 5);
        assert_int_equal(desk_put(&f->desk, f->store, &item, 1), BT_STORE_OK);
        (void)bt_close(item.fd);
        fd = state_memfd(bytes);
        assert_int_equal(desk_get(&f->desk, f->store, "huge", fd, 0, bytes), BT_STORE_OK);
        assert_true(state_is(fd, 0, "huge", 1, 100));
        assert_int_equal(pread(fd, got, 5, (off_t)bytes - 5), 5);
        assert_memory_equal(got, tail, 5);
        (void)bt_close(fd);
}

static const struct CMUnitTest disk[] = {
        ROW(a_second_hub_is_refused_while_the_first_is_there),
        ROW(a_folder_that_cannot_be_had_is_an_error),
        ROW(files_are_private_and_closed_on_exec),
        ROW(the_map_grows_with_what_is_put_into_it),
        ROW(a_large_file_without_records_is_given_back_at_open),
        ROW(a_full_disk_is_told_and_costs_nothing_that_is_stored),
        ROW(a_truncated_file_is_never_fatal),
        ROW(a_file_with_a_page_that_was_written_over_is_never_fatal),
        ROW(a_file_that_is_no_store_is_set_aside),
        ROW(a_store_of_version_1_can_be_read),
        ROW(a_state_above_four_gigabytes_is_read_back),
};

static int write_golden(const char *dir)
{
        struct fixture f = {.disk = true};

        (void)snprintf(f.dir, sizeof(f.dir), "%s", dir);
        desk_init(&f.desk);
        store_open(&f);
        put_golden(&f);
        f.store = bt_store_close(f.store);
        return 0;
}

int main(int argc, char **argv)
{
        int failed;

        if (argc == 3 && !strcmp(argv[1], "--write"))
                return write_golden(argv[2]);
        failed = cmocka_run_group_tests_name("store on memory", both, NULL, NULL);
        on_disk = true;
        failed += cmocka_run_group_tests_name("store on disk", both, NULL, NULL);
        failed += cmocka_run_group_tests_name("the disk", disk, NULL, NULL);
        return failed;
}
