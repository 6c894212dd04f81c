/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * What is wrong with a file, and where:
 *
 *      app.yaml:4:5: error: unknown key 'stop_timout' (did you mean 'shutdown'?)
 *          4 |     stop_timout: 5s
 *            |     ^~~~~~~~~~~
 *
 * All errors of a file are collected and shown in its order, up to BT_DIAG_MAX of each severity; what is beyond is counted. The same sentence about the same
 * place is kept once, however many children share that place by an alias or by `defaults`.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#define BT_DIAG_MAX 20
#define BT_DIAG_MESSAGE_BYTES 400

/* A place in the text, counted from 1 in lines and characters. line 0: the file as a whole. */
struct bt_mark {
        uint32_t line;
        uint32_t column;
        uint32_t width; /* characters to underline, at least 1 */
};

enum bt_severity {
        BT_SEVERITY_ERROR = 0,
        BT_SEVERITY_WARNING = 1,
        _BT_SEVERITY_N,
};

struct bt_diag_item {
        struct bt_mark mark;
        enum bt_severity severity;
        char message[BT_DIAG_MESSAGE_BYTES];
};

struct bt_diag {
        const char *path; /* as the user wrote it; borrowed */
        const char *text; /* the file; borrowed, may be NULL */
        size_t text_bytes;
        struct bt_diag_item items[_BT_SEVERITY_N * BT_DIAG_MAX];
        size_t item_count;
        size_t kept[_BT_SEVERITY_N];
        size_t dropped[_BT_SEVERITY_N];
};

void bt_diag_init(struct bt_diag *diag, const char *path);

/* From here on places are shown with their line. */
void bt_diag_text(struct bt_diag *diag, const char *text, size_t bytes);

/* Control characters and invalid UTF-8 in the message are made harmless: it may quote the file. */
void bt_diag_add(struct bt_diag *diag, enum bt_severity severity, struct bt_mark mark,
                 const char *format, ...) __attribute__((__format__(printf, 4, 5)));
#define bt_diag_error(diag, ...) bt_diag_add((diag), BT_SEVERITY_ERROR, __VA_ARGS__)
#define bt_diag_warning(diag, ...) bt_diag_add((diag), BT_SEVERITY_WARNING, __VA_ARGS__)

size_t bt_diag_count(const struct bt_diag *diag, enum bt_severity severity);

/* Sorts, then prints for people. */
void bt_diag_print(struct bt_diag *diag, FILE *out);

/* Sorts, then prints one JSON object a line: {"file","line","column","width","severity","message"}. */
void bt_diag_print_json(struct bt_diag *diag, FILE *out);
