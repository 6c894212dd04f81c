/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * The tables of docs/swap.md on real processes: a hub (batond_testing, with its store on disk) plays a scenario with children that do what the scenario wants, and
 * writes each step that a machine took (supervisor/steps.h). Each step must be a row of the page, with its next state and its actions; the steps of the machine
 * that the scenario is about must be exactly the ones it names; and when all scenarios are over each row was seen, or the page says in the table "fakes" why it
 * cannot be.
 *
 *      {"HOT-5 a mute predecessor ...",
 *       .old = "BATON_STOP_AT=handover.begin",          environment of the process that serves at first
 *       .new = "",                                      of the program that is swapped in
 *       .steps = "swap; see UNDOING|SUCC_EXIT; cont old; over",
 *       .path = "STARTING READY, OFFERED TIMEOUT, UNDOING SUCC_EXIT"}
 *
 * Programs: child_rows, or child_raw when the environment begins with RAW=. An environment holds for one process; the next one of that program is
 * healthy, unless @again says otherwise, or it begins with "=". "@/" in it is the directory of the scenario.
 *
 * Steps, with ";" between; "new" is the process that the hub started last:
 *
 *      swap [CHILD]           asks for it; the machine is the one that the group is about
 *      over                   follows the last request to its end
 *      to PHASE               follows it to that progress
 *      see TEXT               waits until the machines' steps have it: "STARTING|READY"
 *      trace TEXT             the same for what the children write
 *      open NAME, close NAME  a gate: the file @/NAME
 *      stopped old|new, cont old|new, kill old|new
 *      hold new, free         its death is held up, as that of a huge process is, until "free"
 *      unlink old             nobody can start that program any more
 *      forbid new             nobody may execute it any more
 *      fifo NAME, feed NAME   what reads @/NAME waits until it is fed
 *      down                   waits until r0 is stopped
 *      stop                   SIGTERM to the hub: migrations are told to CANCEL
 */

#include "tests/support/world.h"

struct tables_play {
        const char *name;
        const char *each;  /* more members of the child's configuration; NULL */
        const char *env;   /* more variables of its configuration; NULL */
        int children;      /* 0: one */
        const char *old;   /* NULL: ""; "-": child_rows itself, which can be held */
        const char *again; /* of later processes of the old program; NULL: "" */
        const char *new_;  /* NULL: the old program; "-": child_rows itself, which can be asked and held; "COPY": a copy of it; "LACKS": the same, and
                            * a library is missing; "GARBAGE": no program at all */
        const char *steps;
        const char *path;
};

/* Plays them all, one cmocka test each, and then counts rows. @name: of the table, and the strategy of "swap". Returns what main() does. */
int tables_run(const char *name, const struct tables_play *plays, size_t count);
