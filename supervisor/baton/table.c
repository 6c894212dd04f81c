/* SPDX-License-Identifier: Apache-2.0 */
/* The last column is never padded: no line ends in spaces. Widths are in characters, for the sake of "µs". */
#include "supervisor/baton/table.h"

#include <string.h>

#include "base/check.h"
#include "supervisor/baton/text.h"

void bt_table_add(struct bt_table *table, const char *text)
{
        if (table->cell_count == table->room) {
                size_t room = table->room ? table->room * 2 : 64;
                const char **cells = bt_mem_array(table->mem, room, sizeof(*cells));

                if (table->cell_count)
                        memcpy(cells, table->cells, table->cell_count * sizeof(*cells));
                table->cells = cells;
                table->room = room;
        }
        table->cells[table->cell_count++] = text;
}

static void pad(FILE *out, size_t count)
{
        for (; count; count--)
                (void)fputc(' ', out);
}

/* How many of the row's cells are not empty at its end. */
static size_t row_used(const char *const *row, size_t columns)
{
        while (columns && !*row[columns - 1])
                columns--;
        return columns;
}

static void row_print(const struct bt_table *table, const char *const *row, const size_t *widths,
                      size_t columns, FILE *out)
{
        size_t used = row_used(row, columns);

        for (size_t i = 0; i < used; i++) {
                size_t space = widths[i] - bt_text_width(row[i]);

                if (table->right[i] == 'r')
                        pad(out, space);
                (void)fputs(row[i], out);
                if (i + 1 < used)
                        pad(out, (table->right[i] == 'r' ? 0 : space) + 2);
        }
        (void)fputc('\n', out);
}

void bt_table_print(const struct bt_table *table, FILE *out)
{
        size_t columns = strlen(table->right);
        size_t widths[BT_TABLE_COLUMNS_MAX] = {0};

        bt_assert(columns && columns <= BT_TABLE_COLUMNS_MAX && table->cell_count % columns == 0);
        for (size_t i = 0; i < table->cell_count; i++) {
                size_t width = bt_text_width(table->cells[i]);

                if (width > widths[i % columns])
                        widths[i % columns] = width;
        }
        for (size_t i = 0; i < table->cell_count; i += columns)
                row_print(table, table->cells + i, widths, columns, out);
}
