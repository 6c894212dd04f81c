/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Messages are formatted at once, into fixed room: what they quote may be gone when they are printed, and 40 of them are 16 KiB. A long
 * source line is shown as the part around the place, so that a file without line breaks does not fill the terminal.
 */
#include "supervisor/baton/diag.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "base/cleanup.h"
#include "base/escape.h"
#include "supervisor/baton/text.h"

#define LINE_CHARS_MAX  120 /* shown of a source line */
#define LINE_CHARS_LEAD 60  /* of these before the place */

static const char *const severity_names[_BT_SEVERITY_N] = {"error", "warning"};

void bt_diag_init(struct bt_diag *diag, const char *path)
{
        *diag = (struct bt_diag){.path = path};
}

void bt_diag_text(struct bt_diag *diag, const char *text, size_t bytes)
{
        diag->text = text;
        diag->text_bytes = bytes;
}

static bool item_known(const struct bt_diag *diag, const struct bt_diag_item *item)
{
        for (size_t i = 0; i < diag->item_count; i++)
                if (diag->items[i].mark.line == item->mark.line &&
                    diag->items[i].mark.column == item->mark.column &&
                    !strcmp(diag->items[i].message, item->message))
                        return true;
        return false;
}

void bt_diag_add(struct bt_diag *diag, enum bt_severity severity, struct bt_mark mark,
                 const char *format, ...)
{
        struct bt_diag_item item = {.mark = mark, .severity = severity};
        char raw[BT_DIAG_MESSAGE_BYTES];
        va_list args;

        va_start(args, format);
        (void)vsnprintf(raw, sizeof(raw), format, args);
        va_end(args);
        bt_text_clean(item.message, sizeof(item.message), raw, strlen(raw), false);
        if (item_known(diag, &item))
                return;
        if (diag->kept[severity] >= BT_DIAG_MAX) {
                diag->dropped[severity]++;
                return;
        }
        diag->kept[severity]++;
        diag->items[diag->item_count++] = item;
}

size_t bt_diag_count(const struct bt_diag *diag, enum bt_severity severity)
{
        return diag->kept[severity] + diag->dropped[severity];
}

static int item_compare(const void *a, const void *b)
{
        const struct bt_diag_item *x = a, *y = b;

        if (x->mark.line != y->mark.line)
                return x->mark.line < y->mark.line ? -1 : 1;
        if (x->mark.column != y->mark.column)
                return x->mark.column < y->mark.column ? -1 : 1;
        return (int)x->severity - (int)y->severity;
}

static void items_sort(struct bt_diag *diag)
{
        qsort(diag->items, diag->item_count, sizeof(diag->items[0]), item_compare);
}

/* ---- the source line ---- */

/* Line number @line without its end; false when the text is shorter. */
static bool line_find(const struct bt_diag *diag, uint32_t line, const char **ret_at,
                      size_t *ret_bytes)
{
        const char *at = diag->text, *end = at + diag->text_bytes, *stop;

        for (uint32_t i = 1; at && i < line; i++) {
                at = memchr(at, '\n', (size_t)(end - at));
                at = at ? at + 1 : NULL;
        }
        if (!at)
                return false;
        stop = memchr(at, '\n', (size_t)(end - at));
        stop = stop ? stop : end;
        if (stop > at && stop[-1] == '\r')
                stop--;
        *ret_at = at;
        *ret_bytes = (size_t)(stop - at);
        return true;
}

/* Skips @chars characters; stops at the end. */
static size_t chars_skip(const char *at, size_t bytes, size_t chars)
{
        size_t i = 0;

        for (; i < bytes && chars; chars--) {
                size_t length = bt_utf8_char(at + i, bytes - i);

                i += length ? length : 1;
        }
        return i;
}

static void carets_print(FILE *out, size_t before, size_t width)
{
        for (size_t i = 0; i < before; i++)
                (void)fputc(' ', out);
        (void)fputc('^', out);
        for (size_t i = 1; i < width; i++)
                (void)fputc('~', out);
        (void)fputc('\n', out);
}

static void source_print(const struct bt_diag *diag, const struct bt_mark *mark, FILE *out)
{
        size_t column = mark->column ? mark->column - 1 : 0;
        size_t lead = column > LINE_CHARS_MAX - 20 ? column - LINE_CHARS_LEAD : 0;
        const char *at = NULL;
        size_t bytes = 0, skip, shown;
        char room[LINE_CHARS_MAX * 4 + 1];
        size_t width = mark->width ? mark->width : 1, room_width;

        if (!mark->line || !diag->text || !line_find(diag, mark->line, &at, &bytes))
                return;
        skip = chars_skip(at, bytes, lead);
        shown = chars_skip(at + skip, bytes - skip, LINE_CHARS_MAX);
        bt_text_clean(room, sizeof(room), at + skip, shown, false);
        room_width = bt_text_width(room);
        column -= lead;
        if (column > room_width)
                column = room_width;
        if (width > room_width - column)
                width = room_width - column;
        (void)fprintf(out, "%5" PRIu32 " | %s%s\n      | ", mark->line, lead ? "..." : "", room);
        carets_print(out, column + (lead ? 3 : 0), width);
}

/* ---- printing ---- */

static void item_print(const struct bt_diag *diag, const struct bt_diag_item *item, FILE *out)
{
        (void)fprintf(out, "%s:", diag->path);
        if (item->mark.line)
                (void)fprintf(out, "%" PRIu32 ":%" PRIu32 ":", item->mark.line, item->mark.column);
        (void)fprintf(out, " %s: %s\n", severity_names[item->severity], item->message);
        source_print(diag, &item->mark, out);
}

void bt_diag_print(struct bt_diag *diag, FILE *out)
{
        items_sort(diag);
        for (size_t i = 0; i < diag->item_count; i++)
                item_print(diag, &diag->items[i], out);
        for (size_t i = 0; i < _BT_SEVERITY_N; i++)
                if (diag->dropped[i])
                        (void)fprintf(out, "%s: %zu %ss, of which the first %d found are shown\n",
                                      diag->path, bt_diag_count(diag, (enum bt_severity)i),
                                      severity_names[i], BT_DIAG_MAX);
}

void bt_diag_print_json(struct bt_diag *diag, FILE *out)
{
        char path[1024];

        items_sort(diag);
        bt_text_clean(path, sizeof(path), diag->path, strlen(diag->path), false);
        for (size_t i = 0; i < diag->item_count; i++) {
                const struct bt_diag_item *item = &diag->items[i];
                json_t *object =
                        json_pack("{s:s, s:i, s:i, s:i, s:s, s:s}", "file", path, "line",
                                  (int)item->mark.line, "column", (int)item->mark.column, "width",
                                  (int)item->mark.width, "severity", severity_names[item->severity],
                                  "message", item->message);

                (void)json_dumpf(object, out, JSON_COMPACT);
                (void)fputc('\n', out);
                json_decref(object);
        }
}
