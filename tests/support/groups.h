/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* What the tests of supervision groups have in common: a group, and waiting for what becomes of it. */

#include "tests/support/command.h"
#include "tests/support/events.h"
#include "tests/support/named.h"

/* db, api and front in a group, and one that is in none. @group: members of it. */
#define WEB(group)                                                                                 \
        "hub: w\n"                                                                                 \
        "groups:\n"                                                                                \
        "  web: {children: [db, api, front], " group "}\n"                                         \
        "children:\n" NAMED("db", "") NAMED("api", "") NAMED("front", "") NAMED("other", "")

/* Until `baton status --json` says @text: looked at whenever the hub tells something. */
void until_status(const struct world *w, const char *text);
/* Until it has no process, and is in @phase. */
void until_down(struct world *w, const char *id, enum bt_phase phase);
/* Until it runs again, as an incarnation above @above. */
void until_again(struct world *w, const char *id, uint64_t above);
