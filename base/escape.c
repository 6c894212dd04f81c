/* SPDX-License-Identifier: Apache-2.0 */
#include "base/escape.h"

#include <stdint.h>
#include <string.h>

/* How many bytes a character that begins with @lead has, and the smallest value that needs so many. */
static size_t char_shape(unsigned char lead, uint32_t *ret_bits, uint32_t *ret_min)
{
        if (lead < 0x80) {
                *ret_bits = lead;
                *ret_min = 0;
                return 1;
        }
        if (lead >= 0xc2 && lead < 0xe0) {
                *ret_bits = lead & 0x1fu;
                *ret_min = 0x80;
                return 2;
        }
        if (lead >= 0xe0 && lead < 0xf0) {
                *ret_bits = lead & 0x0fu;
                *ret_min = 0x800;
                return 3;
        }
        if (lead >= 0xf0 && lead < 0xf5) {
                *ret_bits = lead & 0x07u;
                *ret_min = 0x10000;
                return 4;
        }
        return 0;
}

size_t bt_utf8_char(const char *text, size_t bytes)
{
        uint32_t value = 0, min = 0;
        size_t length = bytes ? char_shape((unsigned char)text[0], &value, &min) : 0;

        if (!length || length > bytes)
                return 0;
        for (size_t i = 1; i < length; i++) {
                unsigned char c = (unsigned char)text[i];

                if ((c & 0xc0) != 0x80)
                        return 0;
                value = value << 6 | (c & 0x3fu);
        }
        if (value < min || value > 0x10ffff || (value >= 0xd800 && value < 0xe000))
                return 0;
        return length;
}

bool bt_utf8_hidden(const char *text, size_t length)
{
        unsigned char a = (unsigned char)text[0];
        unsigned char b = length > 1 ? (unsigned char)text[1] : 0;
        unsigned char c = length > 2 ? (unsigned char)text[2] : 0;

        if (length == 1)
                return a < 0x20 || a == 0x7f;
        if (length == 2)
                return a == 0xc2 && b < 0xa0;
        if (length == 3 && a == 0xe2)
                return (b == 0x80 && c >= 0xaa && c <= 0xae) ||
                       (b == 0x81 && c >= 0xa6 && c <= 0xa9);
        return false;
}

size_t bt_escape_bytes(char *room, const char *text, size_t bytes)
{
        static const char digits[] = "0123456789abcdef";

        for (size_t i = 0; i < bytes; i++) {
                unsigned char c = (unsigned char)text[i];
                const char out[4] = {'\\', 'x', digits[c >> 4], digits[c & 15]};

                memcpy(room + 4 * i, out, sizeof(out));
        }
        return 4 * bytes;
}

size_t bt_escape(char *room, size_t room_bytes, const char *text)
{
        size_t bytes = strlen(text), out = 0;

        for (size_t i = 0; i < bytes;) {
                size_t length = bt_utf8_char(text + i, bytes - i), step = length ? length : 1;
                bool keep = length && !bt_utf8_hidden(text + i, length);

                if (out + (keep ? step : step * 4) >= room_bytes)
                        break;
                if (keep)
                        memcpy(room + out, text + i, step);
                out += keep ? step : bt_escape_bytes(room + out, text + i, step);
                i += step;
        }
        room[out] = '\0';
        return out;
}
