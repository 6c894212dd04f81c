/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * What a hub tells (supervisor/events.h), as a text of lines "child event text", and waiting for it.
 *
 *      events_wait(w, "web child_running")                     until it is told, or was
 *      EVENTS_SINCE("web child_ended", "db child_stopped", "db child_running")         until these are, in this order, behind the last of the first
 *
 *      struct events events;                                   what changes with an event and is to be looked at elsewhere
 *      events_follow(&events, w);
 *      while (!what_is_waited_for())
 *              events_next(&events);                           fails the test when nothing more is told
 *      events_end(&events);
 */

#include <stdio.h>

#include "tests/support/world.h"

struct events {
        struct bt_ask ask;
        char *told; /* all since the oldest that the hub remembers */
        size_t bytes;
        FILE *file;
};

/* A request for the stream from number @since on, BT_CTL_SINCE_*; @follow: and all that happens then. */
struct bt_ask events_ask(const struct world *w, uint64_t since, bool follow);

void events_follow(struct events *ret_events, const struct world *w);
void events_next(struct events *events);
void events_end(struct events *events);

/* All that was told so far. Free it. */
char *events_told(const struct world *w);
/* When the child's first event that begins so happened; CLOCK_MONOTONIC. */
uint64_t events_ns(const struct world *w, const char *id, const char *begins);
/* Until @text is told, or was. */
void events_wait(const struct world *w, const char *text);
/* Until all @parts, the last is NULL, are told in this order from the last event that has @from on. */
void events_wait_since(const struct world *w, const char *from, const char *const parts[]);

/* For tests that call their world w. */
#define EVENTS_SINCE(from, ...) events_wait_since(w, from, (const char *const[]){__VA_ARGS__, NULL})
