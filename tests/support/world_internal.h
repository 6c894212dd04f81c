/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Shared by world*.c only. */

#include "tests/support/world.h"

/* Whose log the watchdog prints; NULL: nobody's. */
void world_watch(const struct world *w);

/* A hub's keeper (supervisor/keeper.h), by its name. One of a hub that was killed ends by itself, and is then ours to reap. */
bool world_is_keeper(pid_t pid);

/* Kills and reaps all that is ours; how many that were, with or without keepers. */
int world_reap_all(bool keepers);
void world_children(char *text, size_t bytes);
