/* SPDX-License-Identifier: Apache-2.0 */
/* Notes of the store, on both engines: there after a reopen, removed, all or nothing, damaged ones passed over, states left alone. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <sys/stat.h>

#include "supervisor/store/store_key.h"
#include "supervisor/store/store_queue.h"
#include "tests/support/store_desk.h"

struct fixture {
        char dir[64];
        bool disk;
        struct desk desk;
        struct bt_store *store;
        char seen[4096]; /* "name=bytes " of all that was read */
        int fds_before;
};

static bool on_disk;

static void open_store(struct fixture *f)
{
        assert_int_equal(f->disk ? bt_store_lmdb_open(&f->store, f->dir, desk_post, &f->desk) : bt_store_mem_open(&f->store, desk_post, &f->desk),
                         0);
}

static int setup(void **state)
{
        struct fixture *f = calloc(1, sizeof(*f));

        assert_non_null(f);
        f->disk = on_disk;
        f->fds_before = bt_fd_count();
        strcpy(f->dir, "/tmp/baton-notes-XXXXXX");
        assert_non_null(mkdtemp(f->dir));
        desk_init(&f->desk);
        open_store(f);
        *state = f;
        return 0;
}

static int teardown(void **state)
{
        static const char *const names[] = {"store.mdb", "store.lock", "store.mdb-lock"};
        struct fixture *f = *state;

        f->store = bt_store_close(f->store);
        desk_deinit(&f->desk);
        for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
                char path[128];

                (void)snprintf(path, sizeof(path), "%s/%s", f->dir, names[i]);
                (void)unlink(path);
        }
        assert_int_equal(rmdir(f->dir), 0);
        assert_int_equal(bt_fd_count(), f->fds_before);
        free(f);
        return 0;
}

static int put(struct fixture *f, const struct bt_note *notes, size_t count)
{
        int r = bt_store_put_notes(f->store, notes, count, desk_done, &f->desk);

        if (r)
                return r;
        desk_complete(&f->desk);
        return f->desk.result;
}

static void see(void *ctx, const struct bt_note *note)
{
        struct fixture *f = ctx;
        size_t used = strlen(f->seen);

        (void)snprintf(f->seen + used, sizeof(f->seen) - used, "%s=%.*s ", note->name, (int)note->bytes, (const char *)note->at);
}

static const char *all(struct fixture *f, enum bt_note_kind kind)
{
        f->seen[0] = 0;
        assert_int_equal(bt_store_read_notes(f->store, kind, see, f), 0);
        return f->seen;
}

static const struct bt_note three[] = {
        {.kind = BT_NOTE_CHILD, .name = "web/1", .at = "one", .bytes = 3},
        {.kind = BT_NOTE_CHILD, .name = "web/0", .at = "zero", .bytes = 4},
        {.kind = BT_NOTE_PLAN, .name = "web/0", .at = "", .bytes = 0},
};

static void notes_are_read_by_kind_in_the_order_of_keys(void **state)
{
        struct fixture *f = *state;

        assert_string_equal(all(f, BT_NOTE_CHILD), "");
        assert_int_equal(put(f, three, 3), BT_STORE_OK);
        assert_string_equal(all(f, BT_NOTE_CHILD), "web/0=zero web/1=one ");
        assert_string_equal(all(f, BT_NOTE_PLAN), "web/0= ");
        assert_string_equal(all(f, BT_NOTE_NODE), "");
}

static void a_note_is_replaced_and_removed_in_one_put(void **state)
{
        const struct bt_note change[] = {
                {.kind = BT_NOTE_CHILD, .name = "web/1", .at = "other", .bytes = 5},
                {.kind = BT_NOTE_CHILD, .name = "web/0"},
                {.kind = BT_NOTE_CHILD, .name = "never/there"},
        };
        struct fixture *f = *state;

        assert_int_equal(put(f, three, 3), BT_STORE_OK);
        assert_int_equal(put(f, change, 3), BT_STORE_OK);
        assert_string_equal(all(f, BT_NOTE_CHILD), "web/1=other ");
}

static void notes_are_there_when_the_store_is_opened_again(void **state)
{
        struct fixture *f = *state;

        if (!f->disk)
                skip();
        assert_int_equal(put(f, three, 3), BT_STORE_OK);
        f->store = bt_store_close(f->store);
        open_store(f);
        assert_string_equal(all(f, BT_NOTE_CHILD), "web/0=zero web/1=one ");
}

static void notes_and_states_of_one_name_leave_each_other_alone(void **state)
{
        struct bt_store_item item = state_item("web/0", 7, 1000, 0);
        const struct bt_note drop[] = {{.kind = BT_NOTE_CHILD, .name = "web/0"}, {.kind = BT_NOTE_STATE, .name = "web/0"}};
        struct fixture *f = *state;

        assert_int_equal(put(f, three, 3), BT_STORE_OK);
        assert_int_equal(desk_put(&f->desk, f->store, &item, 1), BT_STORE_OK);
        (void)bt_close(item.fd);
        assert_int_equal(desk_list(&f->desk, f->store), BT_STORE_OK);
        assert_int_equal(f->desk.record_count, 1);
        assert_string_equal(all(f, BT_NOTE_CHILD), "web/0=zero web/1=one ");
        assert_int_equal(put(f, drop, 1), BT_STORE_OK);
        assert_int_equal(desk_list(&f->desk, f->store), BT_STORE_OK);
        assert_int_equal(f->desk.record_count, 1);
        assert_int_equal(put(f, drop, 2), BT_STORE_OK);
        assert_int_equal(desk_list(&f->desk, f->store), BT_STORE_OK);
        assert_int_equal(f->desk.record_count, 0);
        assert_string_equal(all(f, BT_NOTE_CHILD), "web/1=one ");
}

static void a_damaged_note_is_passed_over(void **state)
{
        struct fixture *f = *state;
        struct bt_engine *engine = f->store->engine;
        struct bt_value value;
        struct bt_key key;
        char copy[128];
        void *room;

        assert_int_equal(put(f, three, 3), BT_STORE_OK);
        bt_key_child(&key, BT_NOTE_CHILD, "web/0");
        assert_int_equal(engine->ops->begin(engine, true, 0), 0);
        assert_int_equal(engine->ops->get(engine, &key, &value), 0);
        assert_true(value.bytes <= sizeof(copy));
        memcpy(copy, value.at, value.bytes);
        copy[value.bytes - 1] ^= 1;
        assert_int_equal(engine->ops->reserve(engine, &key, value.bytes, &room), 0);
        memcpy(room, copy, value.bytes);
        assert_int_equal(engine->ops->commit(engine), 0);
        assert_string_equal(all(f, BT_NOTE_CHILD), "web/1=one ");
}

static void a_note_without_a_name_or_with_a_state_is_refused(void **state)
{
        const struct bt_note nameless = {.kind = BT_NOTE_CHILD, .at = "x", .bytes = 1};
        const struct bt_note stateful = {.kind = BT_NOTE_STATE, .name = "web/0", .at = "x", .bytes = 1};
        struct bt_note endless = {.kind = BT_NOTE_CHILD, .at = "x", .bytes = 1};
        struct fixture *f = *state;

        memset(endless.name, 'a', sizeof(endless.name));
        assert_int_equal(put(f, &nameless, 1), -EINVAL);
        assert_int_equal(put(f, &stateful, 1), -EINVAL);
        assert_int_equal(put(f, &endless, 1), -EINVAL);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(notes_are_read_by_kind_in_the_order_of_keys, setup, teardown),
                cmocka_unit_test_setup_teardown(a_note_is_replaced_and_removed_in_one_put, setup, teardown),
                cmocka_unit_test_setup_teardown(notes_are_there_when_the_store_is_opened_again, setup, teardown),
                cmocka_unit_test_setup_teardown(notes_and_states_of_one_name_leave_each_other_alone, setup, teardown),
                cmocka_unit_test_setup_teardown(a_damaged_note_is_passed_over, setup, teardown),
                cmocka_unit_test_setup_teardown(a_note_without_a_name_or_with_a_state_is_refused, setup, teardown),
        };
        int failed = cmocka_run_group_tests_name("memory", tests, NULL, NULL);

        on_disk = true;
        return cmocka_run_group_tests_name("lmdb", tests, NULL, NULL) + failed;
}
