/* SPDX-License-Identifier: Apache-2.0 */
/* What is shown of text that may have any bytes: nothing a terminal obeys, and, where no backslash was in it, nothing that could be anything else. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include <baton/types.h>

#include "base/escape.h"
#include "tests/support/seed.h"

#define ROUNDS 20000

static void what_people_can_read_stays_and_the_rest_is_written_out(void **state)
{
        static const char *const rows[][2] = {
                {"web/1", "web/1"},
                {"", ""},
                {"a b \"c\" 'd' $e `f` \\n", "a b \"c\" 'd' $e `f` \\n"},
                {"caf\xc3\xa9 \xe6\x97\xa5 \xf0\x9f\x8e\xbd",
                 "caf\xc3\xa9 \xe6\x97\xa5 \xf0\x9f\x8e\xbd"},
                {"a\nb\r\t\x1b[2J\x7f", "a\\x0ab\\x0d\\x09\\x1b[2J\\x7f"},
                {"\xff\xfe", "\\xff\\xfe"},
                {"\xc3", "\\xc3"},                   /* half a character */
                {"\xc0\xaf", "\\xc0\\xaf"},          /* too long for what it is */
                {"\xed\xa0\x80", "\\xed\\xa0\\x80"}, /* half a pair */
                {"\xc2\x9b", "\\xc2\\x9b"},          /* C1: some terminals obey it */
                {"\xe2\x80\xae"
                 "x",
                 "\\xe2\\x80\\xaex"}, /* from right to left */
        };
        char room[256];

        (void)state;
        for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
                assert_int_equal(bt_escape(room, sizeof(room), rows[i][0]), strlen(rows[i][1]));
                assert_string_equal(room, rows[i][1]);
        }
        assert_int_equal(bt_escape(room, 6, "ab\n"), 2); /* \x0a has no room: cut before it */
        assert_string_equal(room, "ab");
        assert_int_equal(bt_escape(room, 4, "ab\xc3\xa9"), 2);
}

/* The inverse, for text without a backslash of its own. */
static void unescape(char *room, const char *text)
{
        while (*text) {
                if (text[0] == '\\') {
                        char digits[3] = {text[2], text[3], 0};

                        assert_int_equal(text[1], 'x');
                        *room++ = (char)strtoul(digits, NULL, 16);
                        text += 4;
                } else {
                        *room++ = *text++;
                }
        }
        *room = '\0';
}

static void API_3_any_id_is_shown_in_its_room_harmless_and_as_itself(void **state)
{
        struct seed seed = seed_new();

        (void)state;
        for (int round = 0; round < ROUNDS; round++) {
                char id[BATON_ID_BYTES_MAX + 1], room[BT_ESCAPE_BYTES(BATON_ID_BYTES_MAX)],
                        back[sizeof(room)];
                size_t bytes = 1 + seed_below(&seed, BATON_ID_BYTES_MAX), length;

                for (size_t i = 0; i < bytes; i++) {
                        id[i] = (char)(1 + seed_below(&seed, 255));
                        if (id[i] == '\\')
                                id[i] = '/';
                }
                id[bytes] = '\0';
                length = bt_escape(room, sizeof(room), id);
                assert_int_equal(length, strlen(room));
                for (size_t i = 0; i < length;) {
                        size_t step = bt_utf8_char(room + i, length - i);

                        assert_true(step && !bt_utf8_hidden(room + i, step));
                        i += step;
                }
                unescape(back, room);
                assert_string_equal(back, id);
        }
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(what_people_can_read_stays_and_the_rest_is_written_out),
                cmocka_unit_test(API_3_any_id_is_shown_in_its_room_harmless_and_as_itself),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
