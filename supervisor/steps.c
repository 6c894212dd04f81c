/* SPDX-License-Identifier: Apache-2.0 */
/* See the header. The hub steps its machines through these two functions and nowhere else, so no transition of a real hub is left out. */
#include "supervisor/steps.h"

#ifdef BT_TESTING
#include <stdio.h>
#include <string.h>

#include "base/check.h"

#define LINE_BYTES 512

static void swap_note(const struct bt_swap *before, enum bt_swap_event event, const struct bt_swap *after, const struct bt_swap_actions *actions)
{
        char line[LINE_BYTES];
        int used = snprintf(line, sizeof(line), "%s|%s|%s|%s|%s|", before->kind == BT_SWAP_HOT ? "hot" : "cold", bt_swap_state_name(before),
                            bt_swap_event_name(event), before->handover ? "handover" : "no handover", after->over ? "over" : bt_swap_state_name(after));

        for (uint32_t i = 0; i < actions->count; i++)
                used += snprintf(line + used, sizeof(line) - (size_t)used, "%s%s", i ? " " : "", bt_swap_action_name(actions->list[i]));
        used += snprintf(line + used, sizeof(line) - (size_t)used, "\n");
        bt_point_note(line, (size_t)used);
}

static const char *shutdown_when(const struct bt_shutdown *before, enum bt_shutdown_event event, uint32_t count)
{
        switch (event) {
        case BT_SHUTDOWN_EV_BEGIN:
        case BT_SHUTDOWN_EV_ASKED:
        case BT_SHUTDOWN_EV_TOLD:
                return count ? "of some" : "of none";
        default:
                return before->counted && before->pending == 1 ? "last" : "not last";
        }
}

static void shutdown_note(const struct bt_shutdown *before, enum bt_shutdown_event event, uint32_t count, const struct bt_shutdown *after,
                          enum bt_shutdown_action action)
{
        char line[LINE_BYTES];
        int used = snprintf(line, sizeof(line), "shutdown|%s|%s|%s|%s|%s\n", bt_shutdown_state_name(before->state), bt_shutdown_event_name(event),
                            shutdown_when(before, event, count), bt_shutdown_state_name(after->state), bt_shutdown_action_name(action));

        bt_point_note(line, (size_t)used);
}
#endif

int bt_steps_swap(struct bt_swap *swap, enum bt_swap_event event, struct bt_swap_actions *ret_actions)
{
#ifdef BT_TESTING
        const struct bt_swap before = *swap;
        int r = bt_swap_step(swap, event, ret_actions);

        if (!r)
                swap_note(&before, event, swap, ret_actions);
        return r;
#else
        return bt_swap_step(swap, event, ret_actions);
#endif
}

enum bt_shutdown_action bt_steps_shutdown(struct bt_shutdown *shutdown, enum bt_shutdown_event event, uint32_t count)
{
#ifdef BT_TESTING
        const struct bt_shutdown before = *shutdown;
        enum bt_shutdown_action action = bt_shutdown_step(shutdown, event, count);

        shutdown_note(&before, event, count, shutdown, action);
        return action;
#else
        return bt_shutdown_step(shutdown, event, count);
#endif
}
