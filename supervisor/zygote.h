/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Processes that children are forked from: docs/zygotes.md.
 *
 * A start that may go through a zygote says what it would execute (a spawn description); equal descriptions share a zygote. Whoever was asked for is answered
 * later: bt_inc_forked() or bt_inc_not_forked(), both of inc.c. Until then the incarnation has no pid.
 */

#include <stdbool.h>

struct bt_hub;
struct bt_inc;
struct bt_spawn;
struct bt_zygote;

/* Joins @inc to the zygote of such a process on @node, which is started when there is none and it may be tried. Without one nothing happens. */
void bt_zygote_join(struct bt_inc *inc, const struct bt_spawn *spawn, int link_to,
                    const char *node);
void bt_zygote_leave(struct bt_inc *inc);

/* Asks the zygote that @inc has joined. False: it cannot be asked now; execute. */
bool bt_zygote_fork(struct bt_inc *inc, const struct bt_spawn *spawn, int link_to);

/* Hears what was said: before a process that was asked for is listened to, so that its pid is known. */
void bt_zygote_listen(struct bt_zygote *zygote);

/* Ends all of them, and waits for it. When no incarnation is left. */
void bt_zygotes_end(struct bt_hub *hub);
/* The same while their children run, and none is being forked: the next start makes a new one. */
void bt_zygotes_end_used(struct bt_hub *hub);
