/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/text.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

int text_times(const char *text, const char *part)
{
        int count = 0;

        for (const char *at = strstr(text, part); at; at = strstr(at + strlen(part), part))
                count++;
        return count;
}

/* How many of @parts are found, one behind the other. */
static int found_in_order(const char *text, const char *const parts[])
{
        int count = 0;

        for (; parts[count] && (text = strstr(text, parts[count])); count++)
                text += strlen(parts[count]);
        return count;
}

bool text_in_order(const char *text, const char *const parts[])
{
        return !parts[found_in_order(text, parts)];
}

void text_expect_in_order(const char *text, const char *const parts[])
{
        int count = found_in_order(text, parts);

        if (parts[count])
                fail_msg("'%s' does not come after '%s' in:\n%s", parts[count],
                         count ? parts[count - 1] : "the beginning", text);
}
