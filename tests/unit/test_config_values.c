/* SPDX-License-Identifier: Apache-2.0 */
/* Values as text, and text for people. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "base/clock.h"
#include "supervisor/baton/text.h"
#include "supervisor/baton/value.h"
#include "supervisor/plan.h"

/* ---- values ---- */

static void durations_have_units(void **state)
{
        static const struct {
                const char *text;
                uint64_t ns;
        } rows[] = {{"250ms", 250 * BT_NS_PER_MS}, {"5s", 5 * BT_NS_PER_S},       {"2m", 120 * BT_NS_PER_S},
                    {"1.5s", 1500 * BT_NS_PER_MS}, {"0.1s", 100 * BT_NS_PER_MS}, {"1h", 3600 * BT_NS_PER_S},
                    {"366d", BT_PLAN_NS_MAX},      {"30us", 30 * BT_NS_PER_US},   {"3000", 3 * BT_NS_PER_S},
                    {"0", 0},                      {"7ns", 7}};
        static const char *const bad[] = {"", "s", "-1s", "5 s", "1e3s", "5sec", "0x5s", ".5s", "5.s", "367d", "1.0000000001s",
                                          "99999999999999999999s", "1,5s", "+5s", "nan"};
        uint64_t ns = 0;

        (void)state;
        for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
                assert_null(bt_value_duration(&ns, rows[i].text, BT_NS_PER_MS));
                assert_int_equal(ns, rows[i].ns);
        }
        for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
                if (!bt_value_duration(&ns, bad[i], BT_NS_PER_MS))
                        fail_msg("'%s' was taken for a duration", bad[i]);
}

static void sizes_have_binary_and_decimal_units(void **state)
{
        static const struct {
                const char *text;
                uint64_t bytes;
        } rows[] = {{"64KiB", 65536}, {"1GiB", UINT64_C(1) << 30}, {"1.5MiB", 1572864}, {"10MB", 10000000}, {"4096", 4096},
                    {"12B", 12},      {"1TiB", UINT64_C(1) << 40}};
        static const char *const bad[] = {"", "1G", "1kib", "-1", "GiB", "1 GiB", "9999999TiB", "18446744073709551616"};
        uint64_t bytes = 0;

        (void)state;
        for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
                assert_null(bt_value_size(&bytes, rows[i].text));
                assert_int_equal(bytes, rows[i].bytes);
        }
        for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
                assert_non_null(bt_value_size(&bytes, bad[i]));
}

static void switches_and_modes_are_strict(void **state)
{
        uint32_t mode = 0;
        bool on = false;

        (void)state;
        assert_null(bt_value_switch(&on, "true"));
        assert_true(on);
        assert_null(bt_value_switch(&on, "false"));
        assert_false(on);
        assert_non_null(bt_value_switch(&on, "yes"));
        assert_non_null(bt_value_switch(&on, "True"));
        assert_null(bt_value_mode(&mode, "0660"));
        assert_int_equal(mode, 0660);
        assert_null(bt_value_mode(&mode, "0o600"));
        assert_int_equal(mode, 0600);
        assert_non_null(bt_value_mode(&mode, "0888"));
        assert_non_null(bt_value_mode(&mode, "1777"));
        assert_non_null(bt_value_mode(&mode, "rw"));
}

static void numbers_are_shown_short(void **state)
{
        char room[BT_TEXT_NUMBER_BYTES];

        (void)state;
        bt_text_duration(room, 870);
        assert_string_equal(room, "870 ns");
        bt_text_duration(room, 23400);
        assert_string_equal(room, "23 µs");
        bt_text_duration(room, 1900000);
        assert_string_equal(room, "1.9 ms");
        bt_text_duration(room, 192 * BT_NS_PER_S);
        assert_string_equal(room, "3m 12s");
        bt_text_duration(room, 3 * 86400 * BT_NS_PER_S + 7200 * BT_NS_PER_S);
        assert_string_equal(room, "3d 2h");
        bt_text_size(room, 512);
        assert_string_equal(room, "512 B");
        bt_text_size(room, UINT64_C(1) << 30);
        assert_string_equal(room, "1 GiB");
        bt_text_size(room, 1536 * 1024);
        assert_string_equal(room, "1.5 MiB");
}

static void foreign_text_cannot_move_the_cursor(void **state)
{
        char room[64];

        (void)state;
        bt_text_clean(room, sizeof(room), "a\033[2Jb\tc\r\n\xff\xc2\x9bµ", 16, false);
        assert_string_equal(room, "a\\x1b[2Jb c\\x0d\\x0a\\xff\\xc2\\x9bµ"); /* nothing is lost, and nothing is obeyed */
        bt_text_clean(room, sizeof(room), "x\ny", 3, true);
        assert_string_equal(room, "x\ny");
        bt_text_clean(room, 4, "µµµ", 6, false); /* never half a character */
        assert_string_equal(room, "µ");
        bt_text_clean(room, sizeof(room), "\xed\xa0\x80\xe2\x80\xae", 6, false); /* a surrogate; right-to-left override */
        assert_string_equal(room, "\\xed\\xa0\\x80\\xe2\\x80\\xae");
}

static void suggestions_are_near(void **state)
{
        static const char *const words[] = {"shutdown", "strategy", "state", "exec", NULL};

        (void)state;
        assert_string_equal(bt_text_suggest("shutdwon", words), "shutdown");
        assert_string_equal(bt_text_suggest("stat", words), "state");
        assert_null(bt_text_suggest("strat", words)); /* two edits are too many for five letters */
        assert_string_equal(bt_text_suggest("exce", words), "exec");
        assert_null(bt_text_suggest("banana", words));
        assert_null(bt_text_suggest("", words));
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(durations_have_units),
                cmocka_unit_test(sizes_have_binary_and_decimal_units),
                cmocka_unit_test(switches_and_modes_are_strict),
                cmocka_unit_test(numbers_are_shown_short),
                cmocka_unit_test(foreign_text_cannot_move_the_cursor),
                cmocka_unit_test(suggestions_are_near),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
