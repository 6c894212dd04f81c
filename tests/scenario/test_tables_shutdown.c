/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The table "shutdown" of docs/swap.md on real processes: see tests/support/tables.h. tests/unit/test_shutdown.c has the same table on fakes.
 */
#include "base/cleanup.h"
#include "tests/support/tables.h"

#define ASKS "idle BEGIN, capturing ASKED, "
#define ENDS "storing STORED, ending TOLD, ending EXITED"

static const struct tables_play plays[] = {
        {"SHUT-1 all are asked, the states are stored, all are told to end",
         .children = 2, .old = "=", .steps = "stop", .path = ASKS "capturing ANSWERED, capturing ANSWERED, " ENDS ", ending EXITED"},
        {"SHUT-1 a child that is mute past handover_data_wait is not waited for",
         .each = "handover_data_wait: " WORLD_SHORT, .old = "ROW_CAPTURE=@/speak", .steps = "stop; see capturing|TIMEOUT; open speak",
         .path = ASKS "capturing TIMEOUT, " ENDS},
        {"SHUT-6 nobody has a state to give",
         .each = "handover: false", .steps = "stop", .path = ASKS ENDS},
        {"SHUT-6 no process is left",
         .each = "restart: temporary", .steps = "kill old; down; stop", .path = ASKS "storing STORED, ending TOLD"},
        {"SHUT-1 two migrations are called off before anybody is asked",
         .children = 2, .old = "=", .new_ = "=BATON_STOP_AT=child.attached",
         .steps = "swap r0; to starting; swap r1; to starting; stop",
         .path = "idle BEGIN, settling SETTLED, settling SETTLED, capturing ASKED, capturing ANSWERED, capturing ANSWERED, " ENDS ", ending EXITED"},
};

int main(void)
{
        return tables_run("shutdown", plays, BT_ARRAY_LEN(plays));
}
