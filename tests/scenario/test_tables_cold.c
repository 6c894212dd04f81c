/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The table "cold" of docs/swap.md on real processes: see tests/support/tables.h. tests/unit/test_cold.c has the same table on fakes.
 */
#include "base/cleanup.h"
#include "tests/support/tables.h"

#define SERVES "ready,granted,confirm,restored,"
#define NONSENSE "RAW=" SERVES "gate:@/nonsense,scribble,die"
#define STOPPED "QUERYING CAPTURED, STOPPING PRED_DIED, "
#define ASKED "ASKING DESCRIBED, HOLDING HELD, "
#define HELD "HOLDING HELD, HELD_QUERYING CAPTURED, HELD_STOPPING PRED_DIED, "
#define UNHELD "hold: false"
#define LATER "state_ttl: 9s" /* less than child_migration_timeout: granted when it is ready, which is told */
#define SLOW "LD_PRELOAD: \"@dir@/slow\"" /* a fifo: the loader waits in front of the first line */
#define RESTORED "STARTING READY, RESTORING RESTORED"
#define BACK "BACK_STARTING READY, BACK_RESTORING RESTORED"
#define HALF "BATON_STOP_AT=child.attached" /* attached, and not ready */
#define NEVER "BATON_EXIT_AT=child.attached" /* ends before it is ready */
#define ENDS "restart: temporary" /* the restart policy does not go on with what failed */
#define IMPATIENT "child_migration_timeout: " WORLD_SHORT

static const struct tables_play plays[] = {
        {"COLD-3 query, captured, terminate, exit seen, start, ready, granted, restored",
         .new_ = "", .steps = "swap; over", .path = STOPPED RESTORED},
        {"COLD-2 without hand-over nothing is queried",
         .each = "handover: false", .new_ = "", .steps = "swap; over", .path = "STOPPING PRED_DIED, " RESTORED},

        {"STATE-2 the new binary is asked before anything is stopped",
         .each = UNHELD, .new_ = "-", .steps = "swap; over", .path = "DESCRIBING DESCRIBED, " STOPPED RESTORED},
        {"STATE-2 a binary that cannot read the state",
         .each = UNHELD, .env = "ROW_VERSION: \"7\"", .old = "ROW_VERSION=1", .new_ = "-", .steps = "swap; over", .path = "DESCRIBING UNREADABLE"},
        {"STATE-2 the predecessor is killed while the new binary is asked",
         .each = UNHELD, .env = "ROW_OPEN: \"@dir@/go\"", .old = "=ROW_OPEN=", .new_ = "-", .steps = "swap; to describing; kill old; see DESCRIBING|PRED_DIED; open go; over",
         .path = "DESCRIBING PRED_DIED, " RESTORED},
        {"I6 the predecessor dies with nonsense in the holder word while the new binary is asked: nobody can be granted the baton",
         .each = ENDS ", " UNHELD, .env = "ROW_OPEN: \"@dir@/go\"", .old = NONSENSE, .again = "ROW_OPEN=", .new_ = "-",
         .steps = "swap; to describing; open nonsense; see DESCRIBING|PRED_GONE; open go; see |STARTING|READY; kill new; see BACK_STARTING|READY; kill new; over",
         .path = "DESCRIBING PRED_GONE, STARTING READY, RESTORING SUCC_EXIT, BACK_STARTING READY, BACK_RESTORING SUCC_EXIT"},
        {"SHUT-1 the hub stops while the new binary is asked",
         .each = UNHELD, .env = "ROW_OPEN: \"@dir@/go\"", .old = "=ROW_OPEN=", .new_ = "-", .steps = "swap; to describing; stop", .path = "DESCRIBING CANCEL"},

        {"STATE-2 a program that can be held is asked first",
         .new_ = "-", .steps = "swap; over", .path = "ASKING DESCRIBED, " HELD RESTORED},
        {"STATE-2 a program that can be held, and cannot read the state",
         .env = "ROW_VERSION: \"7\"", .old = "ROW_VERSION=1", .new_ = "-", .steps = "swap; over", .path = "ASKING UNREADABLE"},
        {"STATE-2 the predecessor is killed while a program that can be held is asked",
         .env = "ROW_OPEN: \"@dir@/go\"", .old = "=ROW_OPEN=", .new_ = "-", .steps = "swap; to describing; kill old; see ASKING|PRED_DIED; open go; over",
         .path = "ASKING PRED_DIED, " RESTORED},
        {"I6 the predecessor dies with nonsense in the holder word while a program that can be held is asked: nobody can be granted the baton",
         .each = ENDS, .env = "ROW_OPEN: \"@dir@/go\"", .old = NONSENSE, .again = "ROW_OPEN=", .new_ = "-",
         .steps = "swap; to describing; open nonsense; see ASKING|PRED_GONE; open go; see |STARTING|READY; kill new; see BACK_STARTING|READY; kill new; over",
         .path = "ASKING PRED_GONE, STARTING READY, RESTORING SUCC_EXIT, BACK_STARTING READY, BACK_RESTORING SUCC_EXIT"},
        {"SHUT-1 the hub stops while a program that can be held is asked",
         .env = "ROW_OPEN: \"@dir@/go\"", .old = "=ROW_OPEN=", .new_ = "-", .steps = "swap; to describing; stop", .path = "ASKING CANCEL"},


        {"COLD-2 without hand-over a successor is held all the same",
         .each = "handover: false", .new_ = "-", .steps = "swap; over", .path = "HOLDING HELD, HELD_STOPPING PRED_DIED, " RESTORED},
        {"COLD-9 a program that nobody may execute any more, found out before anything was stopped",
         .env = "ROW_OPEN: \"@dir@/go\"", .old = "=ROW_OPEN=", .new_ = "COPY", .steps = "swap; to describing; forbid new; open go; over",
         .path = "ASKING DESCRIBED, HOLDING SPAWN_FAILED"},
        {"COLD-9 a program that lacks a library, found out before anything was stopped",
         .new_ = "LACKS", .steps = "swap; over", .path = "ASKING DESCRIBED, HOLDING SUCC_EXIT"},
        {"COLD-3 the predecessor is killed before its successor is held",
         .env = SLOW, .old = "-", .steps = "fifo slow; swap; to holding; kill old; see HOLDING|PRED_DIED; feed slow; over",
         .path = "HOLDING PRED_DIED, " RESTORED},
        {"I6 the predecessor dies with nonsense in the holder word before its successor is held",
         .each = "handover: false", .env = SLOW, .old = NONSENSE, .new_ = "-",
         .steps = "fifo slow; swap; to holding; open nonsense; see HOLDING|PRED_GONE; feed slow; over", .path = "HOLDING PRED_GONE, " RESTORED},
        {"COLD-9 a program that does not come to its first line in time",
         .each = IMPATIENT, .env = SLOW, .old = "-", .steps = "fifo slow; swap; over", .path = "HOLDING TIMEOUT, LETTING_GO SUCC_EXIT"},
        {"SHUT-1 the hub stops before the successor is held",
         .env = SLOW, .old = "-", .steps = "fifo slow; swap; to holding; stop", .path = "HOLDING CANCEL, LETTING_GO SUCC_EXIT"},
        {"SHUT-1 the hub stops while the one that was too late dies",
         .each = IMPATIENT, .env = SLOW, .old = "-", .steps = "fifo slow; swap; to holding; hold new; see HOLDING|TIMEOUT; stop; see LETTING_GO|CANCEL; free",
         .path = "HOLDING TIMEOUT, LETTING_GO CANCEL, LETTING_GO SUCC_EXIT"},
        {"COLD-9 the predecessor is killed while the one that was too late dies",
         .each = IMPATIENT, .env = SLOW, .old = "-",
         .steps = "fifo slow; swap; to holding; hold new; see HOLDING|TIMEOUT; close slow; kill old; see LETTING_GO|PRED_DIED; free; over",
         .path = "HOLDING TIMEOUT, LETTING_GO PRED_DIED, DROPPING SUCC_EXIT, " BACK},
        {"I6 the predecessor dies with nonsense in the holder word while the one that was too late dies",
         .each = IMPATIENT ", handover: false, " ENDS, .env = SLOW, .old = NONSENSE, .again = "", .new_ = "-",
         .steps = "fifo slow; swap; to holding; hold new; see HOLDING|TIMEOUT; close slow; open nonsense; see LETTING_GO|PRED_GONE; free; over",
         .path = "HOLDING TIMEOUT, LETTING_GO PRED_GONE, DROPPING SUCC_EXIT, " BACK},

        {"COLD-4 a predecessor that has no state to give, and a successor that is held",
         .old = "ROW_CAPTURE=fail", .new_ = "-", .steps = "swap; over", .path = ASKED "HELD_QUERYING NOT_CAPTURED, HELD_STOPPING PRED_DIED, " RESTORED},
        {"COLD-3 the predecessor is killed while it is queried, and its successor is held",
         .old = "BATON_KILL_AT=capture.done", .new_ = "-", .steps = "swap; over", .path = ASKED "HELD_QUERYING PRED_DIED, " RESTORED},
        {"I6 the predecessor dies with nonsense in the holder word while it is queried, and its successor is held",
         .each = ENDS, .old = NONSENSE, .new_ = "-",
         .steps = "swap; to querying; open nonsense; see |STARTING|READY; kill new; see BACK_STARTING|READY; kill new; over",
         .path = ASKED "HELD_QUERYING PRED_GONE, STARTING READY, RESTORING SUCC_EXIT, BACK_STARTING READY, BACK_RESTORING SUCC_EXIT"},
        {"COLD-4 a predecessor that is mute past state_query_timeout, and answers then, and its successor is held",
         .each = "state_query_timeout: " WORLD_SHORT, .old = "ROW_CAPTURE=@/speak", .new_ = "-",
         .steps = "swap; see HELD_QUERYING|TIMEOUT; open speak; over",
         .path = ASKED "HELD_QUERYING TIMEOUT, HELD_STOPPING CAPTURED, HELD_STOPPING PRED_DIED, " RESTORED},
        {"COLD-4 a predecessor that is mute past state_query_timeout, and then has none, and its successor is held",
         .each = "state_query_timeout: " WORLD_SHORT, .old = "ROW_CAPTURE=fail:@/speak", .new_ = "-",
         .steps = "swap; see HELD_QUERYING|TIMEOUT; open speak; over",
         .path = ASKED "HELD_QUERYING TIMEOUT, HELD_STOPPING NOT_CAPTURED, HELD_STOPPING PRED_DIED, " RESTORED},
        {"COLD-3 the held successor is killed while the predecessor is queried",
         .old = "ROW_CAPTURE=@/speak", .new_ = "-", .steps = "swap; to querying; kill new; see HELD_QUERYING|SUCC_EXIT; open speak; over",
         .path = ASKED "HELD_QUERYING SUCC_EXIT, " STOPPED RESTORED},
        {"SHUT-1 the hub stops while the predecessor is queried, and its successor is held: the swap goes on",
         .old = "ROW_CAPTURE=@/speak", .new_ = "-", .steps = "swap; to querying; stop; see HELD_QUERYING|CANCEL; open speak",
         .path = ASKED "HELD_QUERYING CANCEL, HELD_QUERYING CAPTURED, HELD_STOPPING PRED_DIED, " RESTORED},
        {"COLD-1 a predecessor that does not end is killed before its successor is let go",
         .each = "shutdown: " WORLD_SHORT, .old = "ROW_TERMINATE=@/end", .new_ = "-", .steps = "swap; over",
         .path = ASKED "HELD_QUERYING CAPTURED, HELD_STOPPING TIMEOUT, HELD_STOPPING PRED_DIED, " RESTORED},
        {"COLD-3 the held successor is killed while the predecessor ends",
         .old = "ROW_TERMINATE=@/end", .new_ = "-", .steps = "swap; to stopping; kill new; see HELD_STOPPING|SUCC_EXIT; open end; over",
         .path = ASKED "HELD_QUERYING CAPTURED, HELD_STOPPING SUCC_EXIT, STOPPING PRED_DIED, " RESTORED},
        {"I6 the predecessor dies with nonsense in the holder word while it ends, and its successor is held",
         .each = ENDS, .old = "RAW=" SERVES "gate:@/speak,captured,gate:@/nonsense,scribble,die", .new_ = "-",
         .steps = "swap; to querying; open speak; to stopping; open nonsense; see |STARTING|READY; kill new; see BACK_STARTING|READY; kill new; over",
         .path = ASKED "HELD_QUERYING CAPTURED, HELD_STOPPING PRED_GONE, STARTING READY, RESTORING SUCC_EXIT, BACK_STARTING READY, BACK_RESTORING SUCC_EXIT"},
        {"SHUT-1 the hub stops while the predecessor ends, and its successor is held",
         .old = "ROW_TERMINATE=@/end", .new_ = "-", .steps = "swap; to stopping; stop; see HELD_STOPPING|CANCEL; open end",
         .path = ASKED "HELD_QUERYING CAPTURED, HELD_STOPPING CANCEL, HELD_STOPPING PRED_DIED, " RESTORED},

        {"COLD-4 a predecessor that has no state to give",
         .old = "ROW_CAPTURE=fail", .new_ = "", .steps = "swap; over", .path = "QUERYING NOT_CAPTURED, STOPPING PRED_DIED, " RESTORED},
        {"COLD-3 the predecessor is killed while it is queried",
         .old = "BATON_KILL_AT=capture.done", .new_ = "", .steps = "swap; over", .path = "QUERYING PRED_DIED, " RESTORED},
        {"I6 the predecessor dies with nonsense in the holder word while it is queried",
         .each = ENDS, .old = NONSENSE, .new_ = NEVER, .steps = "swap; to querying; open nonsense; see STARTING|SUCC_EXIT; see BACK_STARTING|READY; kill new; over",
         .path = "QUERYING PRED_GONE, STARTING SUCC_EXIT, BACK_STARTING READY, BACK_RESTORING SUCC_EXIT"},
        {"COLD-4 a predecessor that is mute past state_query_timeout, and answers then",
         .each = "state_query_timeout: " WORLD_SHORT, .old = "ROW_CAPTURE=@/speak", .new_ = "",
         .steps = "swap; see QUERYING|TIMEOUT; open speak; over", .path = "QUERYING TIMEOUT, STOPPING CAPTURED, STOPPING PRED_DIED, " RESTORED},
        {"COLD-4 a predecessor that is mute past state_query_timeout, and then has none",
         .each = "state_query_timeout: " WORLD_SHORT, .old = "ROW_CAPTURE=fail:@/speak", .new_ = "",
         .steps = "swap; see QUERYING|TIMEOUT; open speak; over", .path = "QUERYING TIMEOUT, STOPPING NOT_CAPTURED, STOPPING PRED_DIED, " RESTORED},
        {"SHUT-1 the hub stops while the predecessor is queried: the swap goes on",
         .old = "ROW_CAPTURE=@/speak", .new_ = "", .steps = "swap; to querying; stop; see QUERYING|CANCEL; open speak",
         .path = "QUERYING CANCEL, " STOPPED RESTORED},

        {"COLD-1 a predecessor that does not end is killed",
         .each = "shutdown: " WORLD_SHORT, .old = "ROW_TERMINATE=@/end", .new_ = "", .steps = "swap; over",
         .path = "QUERYING CAPTURED, STOPPING TIMEOUT, STOPPING PRED_DIED, " RESTORED},
        {"I6 the predecessor dies with nonsense in the holder word while it ends",
         .each = ENDS, .old = "RAW=" SERVES "gate:@/speak,captured,gate:@/nonsense,scribble,die", .new_ = NEVER,
         .steps = "swap; to querying; open speak; to stopping; open nonsense; see BACK_STARTING|READY; kill new; over",
         .path = "QUERYING CAPTURED, STOPPING PRED_GONE, STARTING SUCC_EXIT, BACK_STARTING READY, BACK_RESTORING SUCC_EXIT"},
        {"SHUT-1 the hub stops while the predecessor ends",
         .old = "ROW_TERMINATE=@/end", .new_ = "", .steps = "swap; to stopping; stop; see STOPPING|CANCEL; open end",
         .path = "QUERYING CAPTURED, STOPPING CANCEL, STOPPING PRED_DIED, " RESTORED},

        {"COLD-9 a successor that cannot be executed",
         .new_ = "GARBAGE", .steps = "swap; over", .path = "DESCRIBING DESCRIBED, " STOPPED "STARTING SPAWN_FAILED, " BACK},
        {"COLD-9 what a successor says when it is being killed changes nothing",
         .new_ = "RAW=refused~,ready~,refused", .steps = "swap; over",
         .path = STOPPED "STARTING REFUSED, DROPPING READY, DROPPING REFUSED, DROPPING SUCC_EXIT, " BACK},
        {"COLD-9 a successor that ends before it is ready",
         .new_ = NEVER, .steps = "swap; over", .path = STOPPED "STARTING SUCC_EXIT, " BACK},
        {"COLD-9 a successor that is not ready in time",
         .each = IMPATIENT, .new_ = HALF, .steps = "swap; over", .path = STOPPED "STARTING TIMEOUT, DROPPING SUCC_EXIT, " BACK},
        {"SHUT-1 the hub stops while the successor starts",
         .new_ = HALF, .steps = "swap; to starting; stopped new; stop; see |STARTING|CANCEL; cont new", .path = STOPPED "STARTING CANCEL, " RESTORED},

        {"COLD-9 a successor that refuses the state",
         .new_ = "ROW_RESTORE=refuse", .steps = "swap; over", .path = STOPPED "STARTING READY, RESTORING REFUSED, DROPPING SUCC_EXIT, " BACK},
        {"COLD-9 a successor that dies while it restores",
         .new_ = "BATON_KILL_AT=restore.begin", .steps = "swap; over", .path = STOPPED "STARTING READY, RESTORING SUCC_EXIT, " BACK},
        {"COLD-9 a successor that does not restore in time",
         .each = IMPATIENT, .new_ = "BATON_STOP_AT=restore.begin", .steps = "swap; over",
         .path = STOPPED "STARTING READY, RESTORING TIMEOUT, DROPPING SUCC_EXIT, " BACK},
        {"SHUT-1 the hub stops while the successor restores",
         .each = LATER, .new_ = "ROW_RESTORE=@/go", .steps = "swap; to ready; stop; see RESTORING|CANCEL; open go", .path = STOPPED "STARTING READY, RESTORING CANCEL, RESTORING RESTORED"},

        {"I4 a successor confirms before the kill reaches it",
         .new_ = "RAW=ready,granted,confirm,refused~,restored", .steps = "swap; over", .path = STOPPED "STARTING READY, RESTORING REFUSED, DROPPING RESTORED"},
        {"SHUT-1 the hub stops while the successor dies",
         .new_ = "RAW=mark:up,gate:@/go,refused", .steps = "swap; trace mark up; hold new; open go; see STARTING|REFUSED; stop; see DROPPING|CANCEL; free",
         .path = STOPPED "STARTING REFUSED, DROPPING CANCEL, DROPPING SUCC_EXIT, " BACK},

        {"COLD-9 the previous binary cannot be executed any more",
         .each = ENDS, .new_ = NEVER, .steps = "unlink old; swap; over", .path = STOPPED "STARTING SUCC_EXIT, BACK_STARTING SPAWN_FAILED"},
        {"COLD-9 the previous binary refuses to start",
         .each = ENDS, .again = "RAW=refused", .new_ = NEVER, .steps = "swap; over",
         .path = STOPPED "STARTING SUCC_EXIT, BACK_STARTING REFUSED, BACK_STARTING SUCC_EXIT"},
        {"COLD-9 the previous binary is not ready in time",
         .each = ENDS ", " IMPATIENT, .again = HALF, .new_ = NEVER, .steps = "swap; over",
         .path = STOPPED "STARTING SUCC_EXIT, BACK_STARTING TIMEOUT, BACK_STARTING SUCC_EXIT"},
        {"SHUT-1 the hub stops while the previous binary starts",
         .again = HALF, .new_ = NEVER, .steps = "swap; to starting_back; stopped new; stop; see BACK_STARTING|CANCEL; cont new",
         .path = STOPPED "STARTING SUCC_EXIT, BACK_STARTING CANCEL, " BACK},

        {"COLD-9 the previous binary refuses the state",
         .each = ENDS, .again = "ROW_RESTORE=refuse", .new_ = NEVER, .steps = "swap; over",
         .path = STOPPED "STARTING SUCC_EXIT, BACK_STARTING READY, BACK_RESTORING REFUSED, BACK_RESTORING SUCC_EXIT"},
        {"COLD-9 the previous binary does not restore in time",
         .each = ENDS ", " IMPATIENT, .again = "BATON_STOP_AT=restore.begin", .new_ = NEVER, .steps = "swap; over",
         .path = STOPPED "STARTING SUCC_EXIT, BACK_STARTING READY, BACK_RESTORING TIMEOUT, BACK_RESTORING SUCC_EXIT"},
        {"SHUT-1 the hub stops while the previous binary restores",
         .each = LATER, .again = "ROW_RESTORE=@/go", .new_ = NEVER, .steps = "swap; see BACK_STARTING|READY; stop; see BACK_RESTORING|CANCEL; open go",
         .path = STOPPED "STARTING SUCC_EXIT, BACK_STARTING READY, BACK_RESTORING CANCEL, BACK_RESTORING RESTORED"},
};

int main(void)
{
        return tables_run("cold", plays, BT_ARRAY_LEN(plays));
}
