/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * The tables of docs/swap.md, read as a program reads them, so that the page and the machines cannot drift apart.
 *
 * A table follows a line "<!-- table: hot -->". Its rows are
 *
 *      | STATE | EVENT or EVENT, condition | next state or "over" | ACTIONS | ids | what it means |
 *
 * A pair of state and event without a row is out of place: the machine must refuse it and stay as it was.
 * All functions here end the test when the page does not have the form it should have; call them inside a cmocka test.
 */
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#define SWAP_ROWS_MAX 128
#define SWAP_FIELD_BYTES 128

struct swap_row {
        char state[SWAP_FIELD_BYTES];
        char event[SWAP_FIELD_BYTES];
        char when[SWAP_FIELD_BYTES]; /* after the comma; "" always */
        char next[SWAP_FIELD_BYTES];
        char actions[SWAP_FIELD_BYTES];
        char ids[SWAP_FIELD_BYTES];
        bool used;
};

struct swap_table {
        struct swap_row rows[SWAP_ROWS_MAX];
        uint32_t count;
};

/* Copies one cell without the blanks around it; returns the rest of the line behind its bar. */
static inline const char *swap_cell(const char *at, char *ret_text)
{
        const char *end = strchr(at, '|');
        size_t bytes;

        assert_non_null(end);
        while (*at == ' ')
                at++;
        bytes = (size_t)(end - at);
        while (bytes && at[bytes - 1] == ' ')
                bytes--;
        assert_true(bytes < SWAP_FIELD_BYTES);
        memcpy(ret_text, at, bytes);
        ret_text[bytes] = '\0';
        return end + 1;
}

static inline void swap_row_read(struct swap_row *row, const char *line)
{
        char *comma;
        const char *at = swap_cell(line + 1, row->state);

        at = swap_cell(at, row->event);
        at = swap_cell(at, row->next);
        at = swap_cell(at, row->actions);
        (void)swap_cell(at, row->ids);
        comma = strstr(row->event, ", ");
        if (comma) {
                (void)snprintf(row->when, sizeof(row->when), "%s", comma + 2);
                *comma = '\0';
        }
}

static inline void swap_table_read(struct swap_table *ret_table, const char *name)
{
        FILE *file = fopen(BATON_SOURCE_DIR "/docs/swap.md", "re");
        char line[1024], marker[64];
        int skip = -1; /* lines until the first row: a blank one, the head, the rule */

        memset(ret_table, 0, sizeof(*ret_table));
        (void)snprintf(marker, sizeof(marker), "<!-- table: %s -->\n", name);
        assert_non_null(file);
        while (fgets(line, sizeof(line), file)) {
                if (skip < 0) {
                        if (!strcmp(line, marker))
                                skip = 3;
                } else if (skip > 0) {
                        skip--;
                } else if (line[0] != '|') {
                        break;
                } else {
                        assert_true(ret_table->count < SWAP_ROWS_MAX);
                        swap_row_read(&ret_table->rows[ret_table->count++], line);
                }
        }
        assert_int_equal(fclose(file), 0);
        assert_true(ret_table->count > 0);
}

/* The row of a state and an event under a condition; NULL: the page has none. Two that fit are a mistake of the page. */
static inline struct swap_row *swap_row_find(struct swap_table *table, const char *state, const char *event, const char *when)
{
        struct swap_row *found = NULL;

        for (uint32_t i = 0; i < table->count; i++) {
                struct swap_row *row = &table->rows[i];

                if (strcmp(row->state, state) != 0 || strcmp(row->event, event) != 0)
                        continue;
                if (row->when[0] && strcmp(row->when, when) != 0)
                        continue;
                if (found)
                        fail_msg("docs/swap.md has two rows for %s, %s, %s", state, event, when);
                found = row;
                row->used = true;
        }
        return found;
}

/* A row that no state and event of the code asked for names something that does not exist. */
static inline void swap_table_all_used(const struct swap_table *table)
{
        for (uint32_t i = 0; i < table->count; i++) {
                if (!table->rows[i].used)
                        fail_msg("docs/swap.md has a row for %s, %s, which the code does not know", table->rows[i].state,
                                 table->rows[i].event);
        }
}
