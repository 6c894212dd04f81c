/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Between migrate.c, which steps a migration, and migrate_act.c, which performs what comes out. Others use hub.h. */

#include "supervisor/hub.h"

/* To everybody who waits for it, and into the event stream. @text: "" for none. */
void bt_migration_tell(struct bt_migration *m, const char *phase, uint64_t incarnation, const char *text);

/* What was said during a step. */
void bt_migration_tell_later(struct bt_migration *m);

/* Performs all of @actions in order. Returns the action that ends the migration, or -1: it goes on. */
int bt_migration_perform(struct bt_migration *m, const struct bt_swap_actions *actions);
