/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * The command as people use it: `baton` against the hub of a world, which it finds by its environment (world_spawn()). The macros are for tests that call their
 * world w.
 *
 *      RUN(0, "green: joined", "node", "add", "green");        to its end: exit status, a part of what it says, the words
 *      expect_said("1 moved");                                 more of what the last one said
 *
 *      pid = BEGIN("node", "remove", "blue");                  while something else happens
 *      ...
 *      command_finish(w, pid, 0, "left");
 */

#include "tests/support/world.h"

/* What the last command that ended said, on both outputs. */
extern char said[1 << 20];

/* Runs it to its end; its exit status, or 128 + signal. @words end with NULL. */
int command(const struct world *w, const char *const *words);
/* The same; fails the test unless it ends with @status and says @part. */
void command_says(const struct world *w, int status, const char *part, const char *const *words);

/* Starts it; what it says goes into the world's file @out. */
pid_t command_begin(const struct world *w, const char *out, const char *const *words);
/* The end of one whose file is "said"; fails the test unless it is @status, and it said @part. */
void command_finish(const struct world *w, pid_t pid, int status, const char *part);

#define COMMAND(...) command(w, (const char *const[]){__VA_ARGS__, NULL})
#define RUN(status, part, ...)                                                                     \
        command_says(w, status, part, (const char *const[]){__VA_ARGS__, NULL})
#define BEGIN(...)           BEGIN_INTO("said", __VA_ARGS__)
#define BEGIN_INTO(out, ...) command_begin(w, out, (const char *const[]){__VA_ARGS__, NULL})

void expect_said(const char *part);
void expect_unsaid(const char *part);
int said_times(const char *part); /* how often */
