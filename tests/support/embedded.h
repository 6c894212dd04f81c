/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * A hub inside the test itself, on the library's own terms (<baton/hub.h>): the test turns its loop, and is told of every event.
 *
 *      embedded_open(w, &t);  baton_hub_add_child(t.hub, &child);  embedded_start(&t);
 *      embedded_until(&t, "web child_running")        turns until that is among the events
 *      embedded_stop(&t);
 */

#include <baton/hub.h>

#include "tests/support/world.h"

struct embedded {
        struct baton_hub *hub;
        int over;
        char events[1 << 16]; /* as events_told() writes them: "child event text", a line each */
        size_t bytes;
        char said[1 << 12]; /* what the hub has to say to people, a line each */
};

void embedded_open(const struct world *w, struct embedded *t); /* its folders are the world's: commands find it */
/* A child_placed that is swapped hot. @env: NULL-terminated, as it is. */
void embedded_placed(const struct world *w, struct baton_hub_child *child, const char *id, const char *const env[]);
void embedded_start(struct embedded *t); /* until all children were started */
bool embedded_turn(struct embedded *t, int ms); /* one turn, if there is anything to do within @ms; false: there is not */
void embedded_until(struct embedded *t, const char *event);
void embedded_until_ended(struct embedded *t, pid_t pid); /* a command, which must succeed */
void embedded_stop(struct embedded *t);
