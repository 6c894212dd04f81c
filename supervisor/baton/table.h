/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Columns for people: each as wide as its widest cell, two spaces between, numbers to the right. */

#include <stddef.h>
#include <stdio.h>

#include "supervisor/baton/mem.h"

#define BT_TABLE_COLUMNS_MAX 16

struct bt_table {
        struct bt_mem *mem;
        const char *right; /* one letter a column: 'r' to the right, anything else to the left; its length is the count of columns */
        const char **cells;
        size_t cell_count, room;
};

/* A cell; the row is full after as many as there are columns. @text is borrowed until the table is printed. */
void bt_table_add(struct bt_table *table, const char *text);
void bt_table_print(const struct bt_table *table, FILE *out);
