/* SPDX-License-Identifier: Apache-2.0 */
/* What the kernel's line about huge pages says. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "base/cleanup.h"
#include "base/huge.h"

static void the_choice_is_what_is_between_brackets(void **state)
{
        static const char *const rows[][2] = {
                {"always within_size advise [never] deny force\n", "never"},
                {"always within_size [advise] never deny force\n", "advise"},
                {"[always] within_size advise never deny force\n", "always"},
                {"always within_size advise never deny [force]\n", "force"},
                {"always [within_size] advise never deny force", "within_size"},
                {"", ""},
                {"\n", ""},
                {"always never\n", ""},
                {"[", ""},
                {"[]", ""},
                {"[never", ""},
                {"[a word that is far too long]", ""},
        };
        char text[BT_HUGE_TEXT];

        (void)state;
        for (size_t i = 0; i < BT_ARRAY_LEN(rows); i++)
                assert_string_equal(bt_huge_chosen(text, rows[i][0]), rows[i][1]);
}

static void pages_are_given_unless_the_choice_is_not_to(void **state)
{
        char text[BT_HUGE_TEXT];
        const char *choice = bt_huge_choice(text);

        (void)state;
        if (!*choice || !strcmp(choice, "never") || !strcmp(choice, "deny"))
                assert_false(bt_huge_given());
        else
                assert_true(bt_huge_given());
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(the_choice_is_what_is_between_brackets),
                cmocka_unit_test(pages_are_given_unless_the_choice_is_not_to),
        };

        return cmocka_run_group_tests_name("huge pages", tests, NULL, NULL);
}
