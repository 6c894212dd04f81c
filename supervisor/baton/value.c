/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Numbers with units are read by hand, digit by digit: strtod() would accept "0x1p3", "nan" and "1e9", and the locale would decide what a comma
 * means. The fraction is kept as an integer over a power of ten, so 0.1s is exactly 100 000 000 ns.
 */
#include "supervisor/baton/value.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "supervisor/plan.h"

#define FRACTION_DIGITS_MAX 9
#define SIZE_BYTES_MAX      (UINT64_C(1) << 53)

struct unit {
        const char *name;
        uint64_t factor;
};

/* Digits, perhaps a point and more digits. Returns what follows them, NULL when this is no number or a very large one. */
static const char *decimal(const char *text, uint64_t *ret_whole, uint64_t *ret_fraction,
                           uint64_t *ret_scale)
{
        uint64_t whole = 0, fraction = 0, scale = 1;
        size_t digits = 0;

        for (; *text >= '0' && *text <= '9'; text++, digits++)
                if (__builtin_mul_overflow(whole, 10, &whole) ||
                    __builtin_add_overflow(whole, (uint64_t)(*text - '0'), &whole))
                        return NULL;
        if (!digits)
                return NULL;
        if (*text == '.') {
                for (text++, digits = 0; *text >= '0' && *text <= '9'; text++, digits++) {
                        if (digits >= FRACTION_DIGITS_MAX)
                                return NULL;
                        fraction = fraction * 10 + (uint64_t)(*text - '0');
                        scale *= 10;
                }
                if (!digits)
                        return NULL;
        }
        *ret_whole = whole;
        *ret_fraction = fraction;
        *ret_scale = scale;
        return text;
}

/* False: overflow. */
static bool scaled(uint64_t *ret, uint64_t whole, uint64_t fraction, uint64_t scale,
                   uint64_t factor)
{
        __extension__ typedef unsigned __int128 wide;
        wide value = (wide)whole * factor + (wide)fraction * factor / scale;

        if (value > UINT64_MAX)
                return false;
        *ret = (uint64_t)value;
        return true;
}

static uint64_t unit_factor(const char *name, const struct unit *units, size_t count)
{
        for (size_t i = 0; i < count; i++)
                if (!strcmp(name, units[i].name))
                        return units[i].factor;
        return 0;
}

const char *bt_value_duration(uint64_t *ret_ns, const char *text, uint64_t plain_ns)
{
        static const struct unit units[] = {
                {"ns", 1},
                {"us", BT_NS_PER_US},
                {"µs", BT_NS_PER_US},
                {"ms", BT_NS_PER_MS},
                {"s", BT_NS_PER_S},
                {"m", 60 * BT_NS_PER_S},
                {"min", 60 * BT_NS_PER_S},
                {"h", 3600 * BT_NS_PER_S},
                {"d", 86400 * BT_NS_PER_S},
        };
        uint64_t whole = 0, fraction = 0, scale = 1, factor, ns = 0;
        const char *unit = decimal(text, &whole, &fraction, &scale);

        if (!unit)
                return "expected a duration such as 250ms, 5s or 2m";
        factor = *unit ? unit_factor(unit, units, BT_ARRAY_LEN(units)) : plain_ns;
        if (!factor)
                return "expected a duration in ns, us, ms, s, m, h or d, such as 250ms, 5s or 2m";
        if (!scaled(&ns, whole, fraction, scale, factor) || ns > BT_PLAN_NS_MAX)
                return "longer than 366 days, which is the longest time there is";
        *ret_ns = ns;
        return NULL;
}

const char *bt_value_size(uint64_t *ret_bytes, const char *text)
{
        static const struct unit units[] = {
                {"B", 1},
                {"KiB", UINT64_C(1) << 10},
                {"MiB", UINT64_C(1) << 20},
                {"GiB", UINT64_C(1) << 30},
                {"TiB", UINT64_C(1) << 40},
                {"kB", 1000},
                {"MB", UINT64_C(1000000)},
                {"GB", UINT64_C(1000000000)},
                {"TB", UINT64_C(1000000000000)},
        };
        uint64_t whole = 0, fraction = 0, scale = 1, factor, bytes = 0;
        const char *unit = decimal(text, &whole, &fraction, &scale);

        if (!unit)
                return "expected a size such as 64KiB, 1MiB or 1GiB";
        factor = *unit ? unit_factor(unit, units, BT_ARRAY_LEN(units)) : 1;
        if (!factor)
                return "expected a size in B, KiB, MiB, GiB, TiB (or kB, MB, GB, TB: powers of "
                       "ten)";
        if (!scaled(&bytes, whole, fraction, scale, factor) || bytes > SIZE_BYTES_MAX)
                return "larger than any memory there is";
        *ret_bytes = bytes;
        return NULL;
}

const char *bt_value_number(uint64_t *ret_number, const char *text, uint64_t min, uint64_t max)
{
        uint64_t number = 0, fraction = 0, scale = 1;
        const char *end = decimal(text, &number, &fraction, &scale);

        if (!end || *end || scale != 1)
                return "expected a whole number";
        if (number < min)
                return "the number is too small";
        if (number > max)
                return "the number is too large";
        *ret_number = number;
        return NULL;
}

const char *bt_value_switch(bool *ret_on, const char *text)
{
        if (strcmp(text, "true") != 0 && strcmp(text, "false") != 0)
                return "expected true or false";
        *ret_on = text[0] == 't';
        return NULL;
}

const char *bt_value_signed(int32_t *ret_number, const char *text, int32_t min, int32_t max)
{
        bool minus = text[0] == '-';
        uint64_t number = 0;
        const char *wrong = bt_value_number(&number, text + (minus || text[0] == '+'), 0, INT32_MAX);
        int64_t signed_number = minus ? -(int64_t)number : (int64_t)number;

        if (wrong || signed_number < min || signed_number > max)
                return "expected a whole number in the range";
        *ret_number = (int32_t)signed_number;
        return NULL;
}

const char *bt_value_set(uint64_t *mask, uint32_t bits, const char *text)
{
        static const char expected[] = "expected numbers and ranges, such as 0-3,6";
        const char *at = text;

        memset(mask, 0, bits / 8);
        do {
                char *end = NULL;
                unsigned long first, last;

                if (*at < '0' || *at > '9')
                        return expected;
                first = last = strtoul(at, &end, 10);
                if (*end == '-') {
                        if (end[1] < '0' || end[1] > '9')
                                return expected;
                        last = strtoul(end + 1, &end, 10);
                }
                if (first > last || last >= bits)
                        return "a range is backwards, or a number is too large";
                for (unsigned long n = first; n <= last; n++)
                        mask[n / 64] |= UINT64_C(1) << n % 64;
                at = end;
        } while (*at++ == ',');
        return at[-1] ? expected : NULL;
}

const char *bt_value_mode(uint32_t *ret_mode, const char *text)
{
        const char *at = text[0] == '0' && text[1] == 'o' ? text + 2 : text;
        uint32_t mode = 0;
        size_t digits = 0;

        for (; *at >= '0' && *at <= '7' && digits < 8; at++, digits++)
                mode = mode * 8 + (uint32_t)(*at - '0');
        if (!digits || *at || mode > 0777)
                return "expected permissions in octal, from 0000 to 0777, such as 0660";
        *ret_mode = mode;
        return NULL;
}
