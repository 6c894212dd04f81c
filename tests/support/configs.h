/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * A configuration from a text, and what was said of it: by itself, or beside real files.
 *
 *      struct parsed got;
 *      parsed_read(&got, "hub: h\nchildren: ..", false);       nothing is looked up: no path, no address
 *      assert_string_equal(got.said, "");
 *      bt_config_free(&got.config);
 *
 *      cmocka_unit_test_setup_teardown(a_test, folder_setup, folder_teardown)
 *      good_child(f, "exec: [./web]\ncwd: /");                 as app.yaml in a folder with the program web and the file plain.txt
 */

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include <cmocka.h>

#include "supervisor/baton/config.h"

struct parsed {
        int result; /* of bt_config_parse() */
        struct bt_config config;
        struct bt_plan_child spec; /* of its first child */
        char said[8192];
};

/* @text as app.yaml of /etc/shop. @fragment: of children alone. */
void parsed_read(struct parsed *ret, const char *text, bool fragment);
/* A file with one child "web": @top, lines of the file below "hub: h"; @keys of the child, in one line. */
void parsed_child(struct parsed *ret, const char *top, const char *keys);

/* ---- a folder ---- */

struct folder {
        char dir[64];
        struct bt_config config;
        struct bt_diag diag;
        char *text;
};

extern char *const folder_environ[];

int folder_setup(void **state);
int folder_teardown(void **state);
void folder_put(const struct folder *f, const char *name, const char *text, mode_t mode);

/* Parses @text as app.yaml in the folder. */
int parse(struct folder *f, const char *text);
/* A child's keys, one a line without indent, in an otherwise good file; the keys begin in line 5 and column 5. */
int parse_child(struct folder *f, const char *keys);
/* The same; fails the test unless it is good. */
const struct bt_config_child *good_child(struct folder *f, const char *keys);
/* What would be printed. */
const char *printed(struct folder *f);
void assert_says(struct folder *f, const char *line);
