/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Shared by world*.c only. */

#include "tests/support/world.h"

/* Whose log the watchdog prints; NULL: nobody's. */
void world_watch(const struct world *w);

/* Milliseconds since some moment, for deadlines. */
uint64_t world_now_ms(void);

/* Not yet over: sleeps a millisecond. Over: false. */
bool world_again(uint64_t deadline_ms);
