/* SPDX-License-Identifier: Apache-2.0 */
/* Which version of a state two programs have in common, and the sentence when there is none. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include <baton/child.h>

#include "base/cleanup.h"
#include "shm/describe.h"

static void a_version_that_one_writes_and_the_other_reads(void **state)
{
        static const struct {
                uint32_t version, writable, oldest, newest;
                bool meet;
        } rows[] = {
                {1, 0, 1, 1, true},
                {1, 0, 1, 3, true}, /* an upgrade reads what there is */
                {3, 0, 1, 2, false}, /* a downgrade, and nothing older can be written */
                {3, 3, 1, 2, false},
                {3, 1, 1, 2, true}, /* one down */
                {3, 2, 1, 2, true},
                {3, 2, 1, 1, false}, /* not that far down */
                {2, 1, 3, 4, false}, /* too old for the reader, and no way up but its own */
                {2, 1, 1, 5, true},
                {0, 0, 0, 0, true},
        };

        (void)state;
        for (size_t i = 0; i < BT_ARRAY_LEN(rows); i++) {
                assert_int_equal(bt_versions_meet(rows[i].version, rows[i].writable, rows[i].oldest, rows[i].newest), rows[i].meet);
        }
}

static void the_sentence_names_both_sides_and_is_cut_at_the_room(void **state)
{
        char text[160], little[16];

        (void)state;
        bt_versions_text(text, sizeof(text), "cart", 3, 0, "cart", 1, 2);
        assert_string_equal(text, "state is 'cart' version 3, this program reads 'cart' versions 1 to 2");
        bt_versions_text(text, sizeof(text), "cart", 3, 2, "cart", 1, 1);
        assert_string_equal(text, "state is 'cart' version 3, at the oldest 2, this program reads 'cart' versions 1 to 1");
        bt_versions_text(little, sizeof(little), "cart", 3, 2, "cart", 1, 1);
        assert_int_equal(strlen(little), sizeof(little) - 1);
}

/* What a program writes for an older one it must be able to read itself: a swap that fails gives it back. */
static void a_program_that_could_not_read_what_it_writes_is_not_opened(void **state)
{
        static const uint32_t wrong[][3] = {{2, 2, 1}, {2, 1, 3}}; /* version, oldest, writable */
        struct baton_child_ops ops = {.size = sizeof(ops), .schema = "cart"};
        struct baton_child *child = NULL;

        (void)state;
        for (size_t i = 0; i < BT_ARRAY_LEN(wrong); i++) {
                ops.version = wrong[i][0];
                ops.version_oldest = wrong[i][1];
                ops.version_writable = wrong[i][2];
                assert_int_equal(baton_child_open(&child, &ops, NULL), -EINVAL);
                assert_null(child);
        }
        ops.size = offsetof(struct baton_child_ops, version_writable); /* built when there was no such member */
        assert_int_equal(baton_child_open(&child, &ops, NULL), 0);
        child = baton_child_close(child);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(a_version_that_one_writes_and_the_other_reads),
                cmocka_unit_test(a_program_that_could_not_read_what_it_writes_is_not_opened),
                cmocka_unit_test(the_sentence_names_both_sides_and_is_cut_at_the_room),
        };

        return cmocka_run_group_tests_name("describe", tests, NULL, NULL);
}
