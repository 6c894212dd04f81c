/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* The table of verbs (verbs.c), for those who describe it: help, the manual page, completions. */

#include <stddef.h>

#include <argp.h>

#include "supervisor/baton/command.h"

#ifndef BATON_VERSION
#define BATON_VERSION "0"
#endif

struct bt_verb {
        const char *name;
        const char *args;    /* NULL: takes none. FILE, CHILD, VERB and WORD are what completions know */
        const char *missing; /* what to say when @args is not given; NULL: may be left away. Of WORD: the words, "a, b or c" */
        const char *summary;
        const struct argp_option *options; /* ends with zeroes */
        int (*run)(struct bt_command *command);
        uint64_t timeout_ns;
};

/* NULL: there are not so many. */
const struct bt_verb *bt_verb_at(size_t idx);
