/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A child's stderr and a stranger's config file end up on the user's terminal, and in JSON that somebody's program reads. Both want the
 * same thing: text in valid UTF-8 and without control characters. So there is one filter, and everything foreign passes it.
 */
#include "supervisor/baton/text.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/escape.h"
#include "supervisor/baton/mem.h"

#define SUGGEST_BYTES_MAX 40 /* longer words are not typing errors of ours */

/* ---- what may be shown ---- */

void bt_text_clean(char *room, size_t room_bytes, const char *text, size_t bytes, bool lines)
{
        size_t out = 0;

        for (size_t i = 0; i < bytes && text[i];) {
                size_t length = bt_utf8_char(text + i, bytes - i);
                size_t step = length ? length : 1;
                bool keep = length && !bt_utf8_hidden(text + i, length);

                keep |= lines && text[i] == '\n';
                if (out + (keep ? step : text[i] == '\t' ? 1 : step * 4) >= room_bytes)
                        break;
                if (keep)
                        memcpy(room + out, text + i, step);
                else if (text[i] == '\t')
                        room[out] = ' ';
                else
                        (void)bt_escape_bytes(room + out, text + i, step);
                out += keep ? step : text[i] == '\t' ? 1 : step * 4;
                i += step;
        }
        room[out] = 0;
}

const char *bt_text_shown(struct bt_mem *mem, const char *id)
{
        size_t room = BT_ESCAPE_BYTES(strlen(id));
        char *shown = bt_mem_alloc(mem, room);

        (void)bt_escape(shown, room, id);
        return shown;
}

size_t bt_text_width(const char *text)
{
        size_t width = 0;

        for (; *text; text++)
                width += ((unsigned char)*text & 0xc0) != 0x80;
        return width;
}

/* ---- numbers ---- */

/* One decimal below ten, none above: three significant digits are more than a glance takes in. */
static void number_unit(char *room, double value, const char *unit)
{
        (void)snprintf(room, BT_TEXT_NUMBER_BYTES, value < 9.95 ? "%.1f %s" : "%.0f %s", value,
                       unit);
}

static void number_pair(char *room, uint64_t big, const char *big_unit, uint64_t small,
                        const char *small_unit)
{
        (void)snprintf(room, BT_TEXT_NUMBER_BYTES, "%" PRIu64 "%s %" PRIu64 "%s", big, big_unit,
                       small, small_unit);
}

void bt_text_duration(char room[BT_TEXT_NUMBER_BYTES], uint64_t ns)
{
        uint64_t s = ns / BT_NS_PER_S;

        if (ns < BT_NS_PER_US)
                (void)snprintf(room, BT_TEXT_NUMBER_BYTES, "%" PRIu64 " ns", ns);
        else if (ns < BT_NS_PER_MS)
                number_unit(room, (double)ns / 1e3, "µs");
        else if (ns < BT_NS_PER_S)
                number_unit(room, (double)ns / 1e6, "ms");
        else if (s < 60)
                number_unit(room, (double)ns / 1e9, "s");
        else if (s < 3600)
                number_pair(room, s / 60, "m", s % 60, "s");
        else if (s < 86400)
                number_pair(room, s / 3600, "h", s % 3600 / 60, "m");
        else
                number_pair(room, s / 86400, "d", s % 86400 / 3600, "h");
}

void bt_text_size(char room[BT_TEXT_NUMBER_BYTES], uint64_t bytes)
{
        static const char *const units[] = {"KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
        double value = (double)bytes / 1024;
        size_t unit = 0;

        if (bytes < 1024) {
                (void)snprintf(room, BT_TEXT_NUMBER_BYTES, "%" PRIu64 " B", bytes);
                return;
        }
        while (value >= 1024 && unit < sizeof(units) / sizeof(units[0]) - 1) {
                value /= 1024;
                unit++;
        }
        if (value == (double)(uint64_t)value)
                (void)snprintf(room, BT_TEXT_NUMBER_BYTES, "%.0f %s", value, units[unit]);
        else
                number_unit(room, value, units[unit]);
}

/* ---- did you mean ---- */

static size_t least(size_t a, size_t b, size_t c)
{
        size_t ab = a < b ? a : b;

        return ab < c ? ab : c;
}

/* Edits from @a to @b, both at most SUGGEST_BYTES_MAX long; three rows of the usual table, the third for swapped neighbours. */
static size_t edits(const char *a, const char *b)
{
        size_t rows[3][SUGGEST_BYTES_MAX + 1];
        size_t a_bytes = strlen(a), b_bytes = strlen(b);

        for (size_t j = 0; j <= b_bytes; j++)
                rows[0][j] = j;
        for (size_t i = 1; i <= a_bytes; i++) {
                size_t *row = rows[i % 3], *up = rows[(i - 1) % 3], *up2 = rows[(i + 1) % 3];

                row[0] = i;
                for (size_t j = 1; j <= b_bytes; j++) {
                        row[j] = least(up[j] + 1, row[j - 1] + 1,
                                       up[j - 1] + (a[i - 1] != b[j - 1]));
                        if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] &&
                            up2[j - 2] + 1 < row[j])
                                row[j] = up2[j - 2] + 1;
                }
        }
        return rows[a_bytes % 3][b_bytes];
}

const char *bt_text_suggest(const char *word, const char *const *candidates)
{
        size_t bytes = strlen(word);
        size_t best_edits = bytes / 3 ? bytes / 3 + 1 : 2; /* one more than allowed */
        const char *best = NULL;

        if (!bytes || bytes > SUGGEST_BYTES_MAX)
                return NULL;
        for (; *candidates; candidates++) {
                size_t n;

                if (strlen(*candidates) > SUGGEST_BYTES_MAX)
                        continue;
                n = edits(word, *candidates);
                if (n < best_edits && n < strlen(*candidates)) {
                        best_edits = n;
                        best = *candidates;
                }
        }
        return best;
}
