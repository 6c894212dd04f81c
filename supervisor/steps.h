/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * What the machines of supervisor/swap/ did, a line a step, for tests that compare it with the tables of docs/swap.md. In a testing build the lines go into
 * the file that BATON_STEPS names; elsewhere these functions do nothing.
 *
 *      hot|STARTING|READY|handover|OFFERED|ARM_DATA_WAIT OFFER
 *      shutdown|capturing|ANSWERED|not last|capturing|
 *
 * machine, state, event, the condition by which a table may tell two rows apart, the next state or "over", actions. A step that is out of place is no line.
 */

#include "supervisor/swap/shutdown.h"
#include "supervisor/swap/swap.h"

/* As bt_swap_step() and bt_shutdown_step(). */
int bt_steps_swap(struct bt_swap *swap, enum bt_swap_event event, struct bt_swap_actions *ret_actions);
enum bt_shutdown_action bt_steps_shutdown(struct bt_shutdown *shutdown, enum bt_shutdown_event event, uint32_t count);
