/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* States that cannot be used, over the hub: docs/state.md has the rules. */

#include "supervisor/hub.h"

/* The state that lies in the child's baton, as an item for the store; false: there is none. */
bool bt_state_item(struct bt_child *child, struct bt_store_item *ret_item);

/* Captured for a cold swap, not restored since, and older than state_ttl (or from the future: the age is unknown). */
bool bt_state_stale(const struct bt_child *child);
bool bt_state_stale_in(const struct bt_child *child, uint64_t ns); /* it will be, after @ns */

/* Before a process is started without a predecessor. False: it is not to be started, and the policy has been carried out. */
bool bt_state_usable(struct bt_child *child);

/* Carries out on_bad_state for a state that @what is said of. True: set it aside and start without it. False: not to be started. */
bool bt_state_refuse(struct bt_child *child, const char *what);

/* Puts the state into quarantine and a fresh baton in its place. 0 or -errno (then the old baton is still there). */
int bt_state_set_aside(struct bt_child *child);

/* The same for the record in the store; @sequence 0: whatever is there. */
void bt_state_move_aside(struct bt_child *child, uint64_t sequence);

/* Until its end nobody can start the child. The end starts it when it was about to be restarted, or only shows it again. */
void bt_state_import_begin(struct bt_child *child);
void bt_state_import_end(struct bt_child *child);

/* A record that was imported for a child that is down was read into its baton, or (@result not 0) cannot be used after all. */
void bt_state_imported(struct bt_child *child, int result);

/* @inc had the baton, could not restore, and is gone. */
void bt_state_restore_failed(struct bt_child *child, const struct bt_inc *inc);
