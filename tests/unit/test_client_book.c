/* SPDX-License-Identifier: Apache-2.0 */
/* Numbers of clients, over the lives of hubs. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#include "supervisor/client_book.h"

static char path[64];

static int setup(void **state)
{
        int fd;

        (void)state;
        (void)snprintf(path, sizeof(path), "/tmp/baton-book-XXXXXX");
        fd = mkstemp(path);
        if (fd < 0)
                return -1;
        (void)close(fd);
        return unlink(path);
}

static int teardown(void **state)
{
        (void)state;
        (void)unlink(path);
        return 0;
}

static struct bt_client_book book_open(void)
{
        struct bt_client_book book = {0};

        assert_int_equal(bt_client_book_open(&book, path), 0);
        return book;
}

static void numbers_grow_and_are_never_given_twice(void **state)
{
        struct bt_client_book book = book_open();
        struct bt_client_book_entry *entry = bt_client_book_add(&book, getpid());
        uint32_t first = atomic_load(&entry->client), second = bt_client_book_number(&book);

        (void)state;
        assert_int_equal(first, 1);
        assert_int_equal(second, 2);
        bt_client_book_remove(entry);
        assert_int_equal(atomic_load(&bt_client_book_add(&book, getpid())->client), 3);
        bt_client_book_close(&book);
        book = book_open(); /* the next hub */
        assert_int_equal(bt_client_book_number(&book), 4);
        bt_client_book_close(&book);
}

static void who_has_a_number_is_known_to_the_next_hub(void **state)
{
        struct bt_client_book book = book_open();
        struct bt_client_book_entry *entry = bt_client_book_add(&book, getpid());
        uint64_t ticks = entry->started_ticks;

        (void)state;
        assert_true(ticks > 0);
        bt_client_book_close(&book);
        book = book_open();
        entry = bt_client_book_find(&book, 1);
        assert_non_null(entry);
        assert_int_equal(entry->pid, getpid());
        assert_true(entry->started_ticks == ticks);
        assert_int_equal(entry->seg_fd, -1);
        assert_null(bt_client_book_find(&book, 2));
        assert_null(bt_client_book_find(&book, 0));
        assert_false(bt_client_book_empty(&book));
        bt_client_book_remove(entry);
        bt_client_book_remove(NULL);
        assert_true(bt_client_book_empty(&book));
        bt_client_book_close(&book);
}

static void a_full_book_and_used_up_numbers_say_so(void **state)
{
        struct bt_client_book book = book_open();

        (void)state;
        for (uint32_t i = 0; i < BT_ATTACH_CLIENTS_MAX; i++)
                assert_non_null(bt_client_book_add(&book, getpid()));
        assert_null(bt_client_book_add(&book, getpid()));
        bt_client_book_remove(bt_client_book_find(&book, 5));
        atomic_store(&book.file->next, UINT32_MAX);
        assert_non_null(bt_client_book_add(&book, getpid())); /* the last one */
        bt_client_book_remove(bt_client_book_find(&book, 6));
        assert_null(bt_client_book_add(&book, getpid()));
        assert_int_equal(bt_client_book_number(&book), 0);
        bt_client_book_close(&book);
}

static void what_is_no_book_is_begun_anew(void **state)
{
        struct bt_client_book book;
        FILE *file = fopen(path, "we");

        (void)state;
        assert_non_null(file);
        for (int i = 0; i < 1000; i++)
                (void)fputs("nonsense", file);
        assert_int_equal(fclose(file), 0);
        book = book_open();
        assert_true(bt_client_book_empty(&book));
        assert_int_equal(bt_client_book_number(&book), 1);
        bt_client_book_close(&book);
        assert_true(bt_client_book_open(&book, "/nowhere/clients") < 0);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(numbers_grow_and_are_never_given_twice, setup,
                                                teardown),
                cmocka_unit_test_setup_teardown(who_has_a_number_is_known_to_the_next_hub, setup,
                                                teardown),
                cmocka_unit_test_setup_teardown(a_full_book_and_used_up_numbers_say_so, setup,
                                                teardown),
                cmocka_unit_test_setup_teardown(what_is_no_book_is_begun_anew, setup, teardown),
        };

        return cmocka_run_group_tests_name("client_book", tests, NULL, NULL);
}
