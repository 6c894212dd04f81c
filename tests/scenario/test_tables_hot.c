/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The table "hot" of docs/swap.md on real processes: see tests/support/tables.h. tests/unit/test_hot.c has the same table on fakes.
 */
#include "base/cleanup.h"
#include "tests/support/tables.h"

#define SERVES "ready,granted,confirm,restored,"
#define OFFERED "STARTING READY, "
#define PASSED OFFERED "OFFERED PASSED, "
#define UNDONE "UNDOING SUCC_EXIT"
#define HALF "BATON_STOP_AT=child.attached" /* attached, and not ready */
#define LATE "child_migration_timeout: 3s"  /* reached, after something else was done */

static const struct tables_play plays[] = {
        {"HOT-1 the successor is ready before the predecessor is told, and confirms after it has passed",
         .new_ = "", .steps = "swap; over", .path = PASSED "PASSED RESTORED"},
        {"HOT-2 without hand-over nothing is asked of the predecessor",
         .each = "handover: false", .new_ = "", .steps = "swap; over", .path = OFFERED "PASSED RESTORED"},
        {"I4 a successor that cannot be executed",
         .new_ = "GARBAGE", .steps = "swap; over", .path = "STARTING SPAWN_FAILED"},
        {"STATE-2 a successor that cannot read the schema",
         .new_ = "ROW_VERSION=7", .steps = "swap; over", .path = "STARTING REFUSED, " UNDONE},
        {"I4 a successor that ends before it is ready",
         .new_ = "BATON_EXIT_AT=child.attached", .steps = "swap; over", .path = "STARTING SUCC_EXIT"},
        {"HOT-10 the predecessor is killed while its successor starts",
         .new_ = HALF, .steps = "swap; stopped new; kill old; see STARTING|PRED_DIED; cont new; over",
         .path = "STARTING PRED_DIED, ALONE_STARTING READY, ALONE RESTORED"},
        {"I6 the predecessor dies with nonsense in the holder word, and its successor dies before it is ready",
         .old = "RAW=" SERVES "gate:@/nonsense,scribble,die", .new_ = HALF,
         .steps = "swap; stopped new; open nonsense; see STARTING|PRED_GONE; kill new; over",
         .path = "STARTING PRED_GONE, ALONE_STARTING SUCC_EXIT"},
        {"HOT-6 a successor that is not ready in time",
         .each = "child_migration_timeout: " WORLD_SHORT, .new_ = HALF, .steps = "swap; over", .path = "STARTING TIMEOUT, " UNDONE},
        {"SHUT-1 the hub stops while a successor starts",
         .new_ = HALF, .steps = "swap; stopped new; stop", .path = "STARTING CANCEL, " UNDONE},

        {"HOT-3 a predecessor that cannot capture",
         .old = "ROW_CAPTURE=fail", .new_ = "", .steps = "swap; over", .path = OFFERED "OFFERED NOT_PASSED, " UNDONE},
        {"HOT-10 the successor is killed before the predecessor has passed",
         .old = "BATON_STOP_AT=handover.begin", .new_ = "", .steps = "swap; stopped old; kill new; see OFFERED|SUCC_EXIT; cont old; over",
         .path = OFFERED "OFFERED SUCC_EXIT"},
        {"HOT-10 the predecessor is killed before it has passed",
         .old = "BATON_KILL_AT=handover.begin", .new_ = "", .steps = "swap; over", .path = OFFERED "OFFERED PRED_DIED, ALONE RESTORED"},
        {"HOT-10 the predecessor is killed when it has passed and could not say so",
         .old = "BATON_KILL_AT=pass.done", .new_ = "ROW_RESTORE=@/go", .steps = "swap; see OFFERED|PRED_GONE; open go; over",
         .path = OFFERED "OFFERED PRED_GONE, ALONE RESTORED"},
        {"HOT-5 a predecessor that is mute past handover_data_wait",
         .each = "handover_data_wait: " WORLD_SHORT, .old = "BATON_STOP_AT=handover.begin", .new_ = "",
         .steps = "swap; see UNDOING|SUCC_EXIT; cont old; over", .path = OFFERED "OFFERED TIMEOUT, " UNDONE},
        {"SHUT-1 the hub stops while the baton is offered",
         .old = "BATON_STOP_AT=handover.begin", .new_ = "", .steps = "swap; stopped old; stop; see UNDOING|SUCC_EXIT; cont old",
         .path = OFFERED "OFFERED CANCEL, " UNDONE},

        {"I4 a successor that refuses the state",
         .new_ = "ROW_RESTORE=refuse", .steps = "swap; over", .path = PASSED "PASSED REFUSED, " UNDONE},
        {"HOT-10 the successor is killed while it restores",
         .new_ = "BATON_STOP_AT=restore.begin", .steps = "swap; see OFFERED|PASSED; kill new; over", .path = PASSED "PASSED SUCC_EXIT"},
        {"HOT-10 without hand-over the predecessor is killed while its successor restores",
         .each = "handover: false", .new_ = "BATON_STOP_AT=restore.begin",
         .steps = "swap; see STARTING|READY; stopped new; kill old; see PASSED|PRED_DIED; cont new; over",
         .path = OFFERED "PASSED PRED_DIED, ALONE RESTORED"},
        {"HOT-10 the predecessor is killed while its successor restores",
         .new_ = "BATON_STOP_AT=restore.begin", .steps = "swap; see OFFERED|PASSED; stopped new; kill old; see PASSED|PRED_GONE; cont new; over",
         .path = PASSED "PASSED PRED_GONE, ALONE RESTORED"},
        {"HOT-6 a successor that does not restore in time",
         .each = "handover_data_wait: " WORLD_SHORT, .new_ = "BATON_STOP_AT=restore.begin", .steps = "swap; over",
         .path = PASSED "PASSED TIMEOUT, " UNDONE},

        {"HOT-10 a successor that is left alone is not ready in time",
         .each = LATE, .new_ = HALF, .steps = "swap; stopped new; kill old; over",
         .path = "STARTING PRED_DIED, ALONE_STARTING TIMEOUT, UNDOING_ALONE SUCC_EXIT"},
        {"I5 the hub stops while a successor that is left alone starts",
         .new_ = "RAW=mark:up,gate:@/go,ready,granted,confirm,restored",
         .steps = "swap; trace mark up; kill old; see STARTING|PRED_DIED; stop; see ALONE_STARTING|CANCEL; open go",
         .path = "STARTING PRED_DIED, ALONE_STARTING CANCEL, ALONE_STARTING READY, ALONE RESTORED"},
        {"I5 the hub stops while a successor that is left alone restores",
         .old = "BATON_KILL_AT=handover.begin", .new_ = "BATON_STOP_AT=restore.begin",
         .steps = "swap; see OFFERED|PRED_DIED; stopped new; stop; see ALONE|CANCEL; cont new", .path = OFFERED "OFFERED PRED_DIED, ALONE CANCEL, ALONE RESTORED"},
        {"HOT-10 a successor that is left alone refuses the state",
         .new_ = HALF " ROW_RESTORE=refuse", .steps = "swap; stopped new; kill old; see STARTING|PRED_DIED; cont new; over",
         .path = "STARTING PRED_DIED, ALONE_STARTING READY, ALONE REFUSED, UNDOING_ALONE SUCC_EXIT"},
        {"HOT-10 a successor that is left alone is killed while it restores",
         .new_ = HALF " BATON_KILL_AT=restore.begin", .steps = "swap; stopped new; kill old; see STARTING|PRED_DIED; cont new; over",
         .path = "STARTING PRED_DIED, ALONE_STARTING READY, ALONE SUCC_EXIT"},
        {"HOT-10 a successor that is left alone does not restore in time",
         .each = "handover_data_wait: " WORLD_SHORT, .old = "BATON_KILL_AT=handover.begin", .new_ = "BATON_STOP_AT=restore.begin", .steps = "swap; over",
         .path = OFFERED "OFFERED PRED_DIED, ALONE TIMEOUT, UNDOING_ALONE SUCC_EXIT"},

        {"HOT-6 what a successor says when it is being killed changes nothing",
         .new_ = "RAW=refused~,ready~,refused", .steps = "swap; over",
         .path = "STARTING REFUSED, UNDOING READY, UNDOING REFUSED, " UNDONE},
        {"HOT-7 a successor confirms before the kill reaches it, and was not heard",
         .old = "BATON_STOP_AT=pass.done", .new_ = "RAW=ready,granted,confirm,restored~,mark:said",
         .steps = "swap; trace mark said; stopped old; stop; see UNDOING|RESTORED; cont old", .path = OFFERED "OFFERED CANCEL, UNDOING RESTORED"},
        {"HOT-5 the predecessor passes when the successor is killed already",
         .old = "BATON_STOP_AT=pass.done", .new_ = "BATON_STOP_AT=restore.begin",
         .steps = "swap; stopped old; stopped new; hold new; stop; see OFFERED|CANCEL; cont old; see UNDOING|PASSED; free",
         .path = OFFERED "OFFERED CANCEL, UNDOING PASSED, " UNDONE},
        {"HOT-3 the predecessor cannot capture when the successor is killed already",
         .old = "RAW=" SERVES "offered,mark:offered,gate:@/go,not_passed", .new_ = "",
         .steps = "swap; trace mark offered; hold new; stop; see OFFERED|CANCEL; open go; see UNDOING|NOT_PASSED; free",
         .path = OFFERED "OFFERED CANCEL, UNDOING NOT_PASSED, " UNDONE},
        {"HOT-10 the predecessor is killed while its successor dies, and the hub stops",
         .new_ = "RAW=mark:up,gate:@/go,refused",
         .steps = "swap; trace mark up; hold new; open go; see STARTING|REFUSED; kill old; see UNDOING|PRED_DIED; stop; see UNDOING_ALONE|CANCEL; free",
         .path = "STARTING REFUSED, UNDOING PRED_DIED, UNDOING_ALONE CANCEL, UNDOING_ALONE SUCC_EXIT"},
        {"HOT-10 the predecessor dies with nonsense in the holder word while its successor dies",
         .old = "RAW=" SERVES "gate:@/nonsense,scribble,die", .new_ = "RAW=mark:up,gate:@/go,refused",
         .steps = "swap; trace mark up; hold new; open go; see STARTING|REFUSED; open nonsense; see UNDOING|PRED_GONE; free; over",
         .path = "STARTING REFUSED, UNDOING PRED_GONE, UNDOING_ALONE SUCC_EXIT"},
        {"SHUT-1 the hub stops while a migration is undone",
         .new_ = "RAW=mark:up,gate:@/go,refused",
         .steps = "swap; trace mark up; hold new; open go; see STARTING|REFUSED; stop; see UNDOING|CANCEL; free",
         .path = "STARTING REFUSED, UNDOING CANCEL, " UNDONE},

        {"HOT-10 what a successor that is left alone says when it is being killed changes nothing",
         .new_ = "RAW=mark:up,gate:@/go,refused~,ready~,refused",
         .steps = "swap; trace mark up; kill old; see STARTING|PRED_DIED; open go; over",
         .path = "STARTING PRED_DIED, ALONE_STARTING REFUSED, UNDOING_ALONE READY, UNDOING_ALONE REFUSED, UNDOING_ALONE SUCC_EXIT"},
        {"HOT-7 a successor that is left alone confirms before the kill reaches it",
         .old = "BATON_KILL_AT=handover.begin", .new_ = "RAW=ready,granted,confirm,refused~,restored", .steps = "swap; over",
         .path = OFFERED "OFFERED PRED_DIED, ALONE REFUSED, UNDOING_ALONE RESTORED"},
};

int main(void)
{
        return tables_run("hot", plays, BT_ARRAY_LEN(plays));
}
