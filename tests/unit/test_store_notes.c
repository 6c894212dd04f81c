/* SPDX-License-Identifier: Apache-2.0 */
/* Notes of the store, on both engines: there after a reopen, removed, all or nothing, damaged ones passed over, states left alone. */

#include "tests/support/store_stand.h"

static char seen[4096]; /* "name=bytes " of all that was read */

static int put(struct stand *f, const struct bt_note *notes, size_t count)
{
        int r = bt_store_put_notes(f->store, notes, count, desk_done, &f->desk);

        if (r)
                return r;
        desk_complete(&f->desk);
        return f->desk.result;
}

static void see(void *ctx, const struct bt_note *note)
{
        size_t used = strlen(seen);

        (void)ctx;
        (void)snprintf(seen + used, sizeof(seen) - used, "%s=%.*s ", note->name, (int)note->bytes,
                       (const char *)note->at);
}

static const char *all(struct stand *f, enum bt_note_kind kind)
{
        seen[0] = 0;
        assert_int_equal(bt_store_read_notes(f->store, kind, see, NULL), 0);
        return seen;
}

static const struct bt_note three[] = {
        {.kind = BT_NOTE_CHILD, .name = "web/1", .at = "one", .bytes = 3},
        {.kind = BT_NOTE_CHILD, .name = "web/0", .at = "zero", .bytes = 4},
        {.kind = BT_NOTE_PLAN, .name = "web/0", .at = "", .bytes = 0},
};

static void notes_are_read_by_kind_in_the_order_of_keys(void **state)
{
        struct stand *f = *state;

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
        struct stand *f = *state;

        assert_int_equal(put(f, three, 3), BT_STORE_OK);
        assert_int_equal(put(f, change, 3), BT_STORE_OK);
        assert_string_equal(all(f, BT_NOTE_CHILD), "web/1=other ");
}

static void notes_are_there_when_the_store_is_opened_again(void **state)
{
        struct stand *f = *state;

        if (!f->disk)
                skip();
        assert_int_equal(put(f, three, 3), BT_STORE_OK);
        f->store = bt_store_close(f->store);
        stand_open(f);
        assert_string_equal(all(f, BT_NOTE_CHILD), "web/0=zero web/1=one ");
}

static void notes_and_states_of_one_name_leave_each_other_alone(void **state)
{
        struct bt_store_item item = state_item("web/0", 7, 1000, 0);
        const struct bt_note drop[] = {{.kind = BT_NOTE_CHILD, .name = "web/0"}, {.kind = BT_NOTE_STATE, .name = "web/0"}};
        struct stand *f = *state;

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
        struct stand *f = *state;
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
        struct stand *f = *state;

        memset(endless.name, 'a', sizeof(endless.name));
        assert_int_equal(put(f, &nameless, 1), -EINVAL);
        assert_int_equal(put(f, &stateful, 1), -EINVAL);
        assert_int_equal(put(f, &endless, 1), -EINVAL);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(notes_are_read_by_kind_in_the_order_of_keys,
                                                stand_setup, stand_teardown),
                cmocka_unit_test_setup_teardown(a_note_is_replaced_and_removed_in_one_put,
                                                stand_setup, stand_teardown),
                cmocka_unit_test_setup_teardown(notes_are_there_when_the_store_is_opened_again,
                                                stand_setup, stand_teardown),
                cmocka_unit_test_setup_teardown(notes_and_states_of_one_name_leave_each_other_alone,
                                                stand_setup, stand_teardown),
                cmocka_unit_test_setup_teardown(a_damaged_note_is_passed_over, stand_setup,
                                                stand_teardown),
                cmocka_unit_test_setup_teardown(a_note_without_a_name_or_with_a_state_is_refused,
                                                stand_setup, stand_teardown),
        };
        int failed = cmocka_run_group_tests_name("memory", tests, NULL, NULL);

        stand_on_disk = true;
        return cmocka_run_group_tests_name("lmdb", tests, NULL, NULL) + failed;
}
