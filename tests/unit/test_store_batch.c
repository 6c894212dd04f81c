/* SPDX-License-Identifier: Apache-2.0 */
/* A put whose items come one after the other, on both engines. */

#include <dirent.h>

#include "tests/support/store_stand.h"

#define BYTES 20000

#define LARGE ((uint64_t)64 << 20)

static int setup(void **state)
{
        int r = stand_setup(state);
        struct stand *f = *state;

        (void)bt_close(f->fd);
        f->fd = state_memfd(LARGE);
        return r;
}

static void assert_there(struct stand *f, const char *child, uint64_t round, size_t bytes)
{
        assert_int_equal(desk_get(&f->desk, f->store, child, f->fd, 0, LARGE), BT_STORE_OK);
        assert_int_equal(f->desk.record.payload_bytes, bytes);
        assert_true(state_is(f->fd, 0, child, round, bytes));
}

static void assert_absent(struct stand *f, const char *child)
{
        assert_int_equal(desk_get(&f->desk, f->store, child, f->fd, 0, LARGE), BT_STORE_E_ABSENT);
}

static struct bt_store_batch *batch_open(struct stand *f, uint64_t need)
{
        struct bt_store_batch *batch = NULL;

        assert_int_equal(bt_store_batch_open(&batch, f->store, need, desk_done, &f->desk), 0);
        return batch;
}

static int batch_end(struct stand *f, struct bt_store_batch *batch)
{
        bt_store_batch_end(f->store, batch);
        desk_complete(&f->desk);
        return f->desk.result;
}

static void what_comes_one_after_the_other_is_there_as_a_whole(void **state)
{
        struct stand *f = *state;
        struct bt_store_batch *batch = batch_open(f, 50 * BYTES);
        struct bt_store_item items[50];
        int fds = bt_fd_count();

        for (size_t i = 0; i < BT_ARRAY_LEN(items); i++) {
                char name[64];

                (void)snprintf(name, sizeof(name), "pool/%zu", i);
                items[i] = state_item(name, i + 1, i * 300, i * 10);
                assert_int_equal(bt_store_batch_add(batch, &items[i]), 0);
        }
        assert_int_equal(bt_fd_count(), fds + (int)BT_ARRAY_LEN(items)); /* none of them was duplicated */
        assert_int_equal(batch_end(f, batch), BT_STORE_OK);
        for (size_t i = 0; i < BT_ARRAY_LEN(items); i++) {
                assert_there(f, items[i].record.child, i + 1, i * 300);
                (void)bt_close(items[i].fd);
        }
        assert_int_equal(batch_end(f, batch_open(f, 0)), BT_STORE_OK); /* also nothing at all */
}

static void what_is_asked_for_behind_it_waits_for_it(void **state)
{
        struct stand *f = *state;
        struct bt_store_batch *batch = batch_open(f, BYTES);
        struct bt_store_item item = state_item("web", 1, BYTES, 0);

        assert_int_equal(bt_store_get(f->store, "web", f->fd, 0, BYTES, desk_done, &f->desk), 0);
        assert_int_equal(bt_store_batch_add(batch, &item), 0);
        assert_int_equal(batch_end(f, batch), BT_STORE_OK);
        desk_complete(&f->desk);
        assert_int_equal(f->desk.result, BT_STORE_OK); /* the get found it */
        assert_true(state_is(f->fd, 0, "web", 1, BYTES));
        (void)bt_close(item.fd);
}

static void one_that_fails_takes_all_with_it_and_says_so_at_the_end(void **state)
{
        struct stand *f = *state;
        struct bt_store_item items[] = {state_item("web/0", 2, BYTES, 0), state_item("web/1", 2, BYTES, 0), state_item("web/2", 2, BYTES, 0)};
        struct bt_store_item before = state_item("web/0", 1, 9000, 0);
        struct bt_store_batch *batch;

        assert_int_equal(desk_put(&f->desk, f->store, &before, 1), BT_STORE_OK);
        batch = batch_open(f, 3 * BYTES);
        assert_int_equal(ftruncate(items[1].fd, BYTES - 1), 0);
        for (size_t i = 0; i < BT_ARRAY_LEN(items); i++)
                assert_int_equal(bt_store_batch_add(batch, &items[i]), 0);
        assert_int_equal(batch_end(f, batch), -ENODATA);
        assert_there(f, "web/0", 1, 9000);
        assert_absent(f, "web/1");
        assert_absent(f, "web/2");
        for (size_t i = 0; i < BT_ARRAY_LEN(items); i++)
                (void)bt_close(items[i].fd);
        (void)bt_close(before.fd);
}

static void what_cannot_be_meant_is_refused_and_leaves_the_rest_alone(void **state)
{
        struct stand *f = *state;
        struct bt_store_batch *batch = batch_open(f, BYTES), *second = NULL;
        struct bt_store_item good = state_item("web", 1, BYTES, 0), bad = good;

        assert_int_equal(bt_store_batch_open(&second, f->store, 0, desk_done, &f->desk), -EBUSY);
        bad.record.child[0] = '\0';
        assert_int_equal(bt_store_batch_add(batch, &bad), -EINVAL);
        bad = good;
        bad.off = INT64_MAX;
        assert_int_equal(bt_store_batch_add(batch, &bad), -EINVAL);
        assert_int_equal(bt_store_batch_add(batch, &good), 0);
        assert_int_equal(batch_end(f, batch), BT_STORE_OK);
        assert_there(f, "web", 1, BYTES);
        (void)bt_close(good.fd);
}

static void a_store_that_is_closed_before_the_end_stores_nothing_of_it(void **state)
{
        struct stand *f = *state;
        struct bt_store_item item = state_item("web", 1, BYTES, 0);
        struct bt_store_batch *batch = NULL;

        assert_int_equal(bt_store_batch_open(&batch, f->store, BYTES, must_not_be_called, NULL), 0);
        assert_int_equal(bt_store_batch_add(batch, &item), 0);
        f->store = bt_store_close(f->store);
        (void)bt_close(item.fd);
        stand_open(f);
        assert_absent(f, "web");
}

/* The map of the first try is too small: all is copied again, from the first item on. */
static void more_than_was_said_fits_all_the_same(void **state)
{
        struct stand *f = *state;
        struct bt_store_batch *batch;
        struct bt_store_item items[3];

        f->store->part_bytes = (uint64_t)64 << 20;
        batch = batch_open(f, 0);
        for (size_t i = 0; i < BT_ARRAY_LEN(items); i++) {
                char name[16];

                (void)snprintf(name, sizeof(name), "big/%zu", i);
                items[i] = state_item(name, i + 1, (size_t)40 << 20, 0);
                assert_int_equal(bt_store_batch_add(batch, &items[i]), 0);
        }
        assert_int_equal(batch_end(f, batch), BT_STORE_OK);
        for (size_t i = 0; i < BT_ARRAY_LEN(items); i++) {
                assert_there(f, items[i].record.child, i + 1, (size_t)40 << 20);
                (void)bt_close(items[i].fd);
        }
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(what_comes_one_after_the_other_is_there_as_a_whole,
                                                setup, stand_teardown),
                cmocka_unit_test_setup_teardown(what_is_asked_for_behind_it_waits_for_it, setup,
                                                stand_teardown),
                cmocka_unit_test_setup_teardown(
                        one_that_fails_takes_all_with_it_and_says_so_at_the_end, setup,
                        stand_teardown),
                cmocka_unit_test_setup_teardown(
                        what_cannot_be_meant_is_refused_and_leaves_the_rest_alone, setup,
                        stand_teardown),
        };
        const struct CMUnitTest disk_tests[] = {
                cmocka_unit_test_setup_teardown(
                        a_store_that_is_closed_before_the_end_stores_nothing_of_it, setup,
                        stand_teardown),
                cmocka_unit_test_setup_teardown(more_than_was_said_fits_all_the_same, setup,
                                                stand_teardown),
        };
        int failed = cmocka_run_group_tests_name("a batch in memory", tests, NULL, NULL);

        stand_on_disk = true;
        failed += cmocka_run_group_tests_name("a batch on the disk", tests, NULL, NULL);
        failed += cmocka_run_group_tests_name("a batch on the disk, and the disk", disk_tests, NULL, NULL);
        return failed;
}
