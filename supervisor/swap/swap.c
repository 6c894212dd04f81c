/* SPDX-License-Identifier: Apache-2.0 */
#include "supervisor/swap/swap.h"

#include "base/check.h"

void bt_swap_act(struct bt_swap_actions *out, enum bt_swap_action action)
{
        bt_assert(out->count < BT_SWAP_ACTIONS_MAX);
        out->list[out->count++] = action;
}

int bt_swap_step(struct bt_swap *swap, enum bt_swap_event event, struct bt_swap_actions *ret_actions)
{
        bt_swap_cell cell;

        bt_assert(event < _BT_SWAP_EV_N);
        ret_actions->count = 0;
        if (swap->over)
                return BT_SWAP_E_OUT_OF_PLACE;
        cell = swap->kind == BT_SWAP_HOT ? bt_hot_cell(swap->state, event) : bt_cold_cell(swap->state, event);
        if (!cell)
                return BT_SWAP_E_OUT_OF_PLACE;
        if (event == BT_SWAP_EV_TIMEOUT)
                swap->timed_out = true;
        cell(swap, ret_actions);
        return 0;
}

const char *bt_swap_event_name(enum bt_swap_event event)
{
        static const char *const names[] = {
#define X(name) #name,
                BT_SWAP_EVENTS(X)
#undef X
        };

        return event < _BT_SWAP_EV_N ? names[event] : "?";
}

const char *bt_swap_action_name(enum bt_swap_action action)
{
        static const char *const names[] = {
#define X(name) #name,
                BT_SWAP_ACTIONS(X)
#undef X
        };

        return action < _BT_SWAP_ACT_N ? names[action] : "?";
}

const char *bt_swap_why_text(enum bt_swap_why why)
{
        static const char *const texts[] = {
#define X(name, text) text,
                BT_SWAP_WHYS(X)
#undef X
        };

        return why < _BT_SWAP_WHY_N ? texts[why] : "?";
}

const char *bt_swap_state_name(const struct bt_swap *swap)
{
        return swap->kind == BT_SWAP_HOT ? bt_hot_state_name(swap->state) : bt_cold_state_name(swap->state);
}
