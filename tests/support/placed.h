/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Children on nodes (child_placed.c).
 *
 *      world_start(w, PLACED_HEAD "nodes: {blue: {env: {NODE: blue}}}\nchildren: {web: {exec: ['@bin@/child_placed']}}\n");
 *      placed_ask(w, "web", &answer)                             its count, its pid, its node
 *      RUN(0, "green: joined", "node", "add", "green")           and what moves them (command.h)
 */

#include "tests/support/command.h"

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

/* One request; any failure fails the test. */
void placed_ask(const struct world *w, const char *id, struct placed *ret);
const char *placed_id(int i); /* "web/<i>" */

bool world_has_ended(pid_t pid); /* a process of ours; it stays to be waited for */
