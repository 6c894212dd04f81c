/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* What a process that was held has done before its first line. */

#include "shm/layout.h"
#include "shm/link.h"

/* The arena of @baton, where it is to be, when it was mapped already; else NULL. Given once. */
void *bt_held_arena(const struct bt_baton *baton);
