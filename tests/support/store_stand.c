/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/store_stand.h"

#include <dirent.h>

bool stand_on_disk;

void stand_open(struct stand *f)
{
        int r = f->disk ? bt_store_lmdb_open(&f->store, f->dir, desk_post, &f->desk)
                        : bt_store_mem_open(&f->store, desk_post, &f->desk);

        assert_int_equal(r, 0);
        f->store->part_bytes = PART;
}

int stand_setup(void **state)
{
        struct stand *f = calloc(1, sizeof(*f));

        assert_non_null(f);
        f->fds_before = bt_fd_count();
        f->disk = stand_on_disk;
        strcpy(f->dir, "/tmp/baton-store-XXXXXX");
        assert_non_null(mkdtemp(f->dir));
        desk_init(&f->desk);
        stand_open(f);
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

int stand_teardown(void **state)
{
        struct stand *f = *state;

        f->store = bt_store_close(f->store);
        desk_deinit(&f->desk);
        (void)bt_close(f->fd);
        dir_remove(f->dir);
        assert_int_equal(bt_fd_count(), f->fds_before);
        free(f);
        return 0;
}

int put_state(struct stand *f, const char *child, uint64_t round, size_t bytes)
{
        struct bt_store_item item = state_item(child, round, bytes, 100);
        int r = desk_put(&f->desk, f->store, &item, 1);

        (void)bt_close(item.fd);
        return r;
}

int get_state(struct stand *f, const char *child)
{
        return desk_get(&f->desk, f->store, child, f->fd, 64, ROOM_BYTES - 64);
}

void assert_state(struct stand *f, const char *child, uint64_t round, size_t bytes)
{
        assert_int_equal(get_state(f, child), BT_STORE_OK);
        assert_true(f->desk.has_record);
        assert_string_equal(f->desk.record.child, child);
        assert_int_equal(f->desk.record.sequence, round);
        assert_int_equal(f->desk.record.payload_bytes, bytes);
        assert_true(state_is(f->fd, 64, child, round, bytes));
}

void must_not_be_called(void *ctx, int result, const struct bt_record *record)
{
        (void)ctx;
        (void)result;
        (void)record;
        fail_msg("a job was completed after the store was closed");
}

/* ---- through the engine ---- */

size_t count_keys(struct stand *f, char kind)
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

size_t value_copy(struct stand *f, const struct bt_key *key, uint8_t *to, size_t room)
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

void value_set(struct stand *f, const struct bt_key *key, const void *from, size_t bytes)
{
        struct bt_engine *e = f->store->engine;
        void *room;

        assert_int_equal(e->ops->begin(e, true, bytes), 0);
        assert_int_equal(e->ops->reserve(e, key, bytes, &room), 0);
        memcpy(room, from, bytes);
        assert_int_equal(e->ops->commit(e), 0);
}

void value_del(struct stand *f, const char *child, uint32_t part)
{
        struct bt_engine *e = f->store->engine;
        struct bt_key key;

        bt_key_record(&key, child, part);
        assert_int_equal(e->ops->begin(e, true, 0), 0);
        assert_int_equal(e->ops->del(e, &key), 0);
        assert_int_equal(e->ops->commit(e), 0);
}

void value_flip(struct stand *f, const char *child, uint32_t part, size_t byte)
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
