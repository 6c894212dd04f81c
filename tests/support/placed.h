/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Children on nodes (child_placed.c), and the command as people use it.
 *
 *      world_start(w, PLACED_HEAD "nodes: {blue: {env: {NODE: blue}}}\nchildren: {web: {exec: ['@bin@/child_placed']}}\n");
 *      placed_ask(w, "web", &answer)                             its count, its pid, its node
 *      RUN(0, "green: joined", "node", "add", "green")           exit status, a part of what it says, the words
 *      pid = BEGIN("node", "remove", "blue"); ...; command_finish(w, pid, 0, "left")        the same while something else happens
 *
 * What the last command that ended said is in said[].
 */

#include "tests/support/world.h"

#define PLACED_HEAD                                                                                \
        "hub: w\n"                                                                                 \
        "max_parallel: 8\n"                                                                        \
        "defaults: {handover: true, state: {form: blob, max: 4KiB}, env: {PLACED_AT: '@dir@'}}\n"

struct placed {
        int count;
        int pid;
        char node[32];
        char version[32];
};

/* As world_setup(), and commands find the hub. */
int placed_setup(void **state);
/* One request; any failure fails the test. */
void placed_ask(const struct world *w, const char *id, struct placed *ret);
const char *placed_id(int i); /* "web/<i>" */

extern char said[1 << 18];

/* A command that goes on while the test does something else; what it says goes to the world's file @out. @words end with NULL. */
pid_t command_begin(const struct world *w, const char *out, const char *const *words);
/* The same for the file "said". */
void command_finish(const struct world *w, pid_t pid, int status, const char *text);
/* How often @text is in what the last command said. */
int said_times(const char *text);
bool world_has_ended(pid_t pid); /* a process of ours; it stays to be waited for */

#define BEGIN(...)             command_begin(w, "said", (const char *const[]){__VA_ARGS__, NULL})
#define RUN(status, text, ...) command_finish(w, BEGIN(__VA_ARGS__), status, text)
