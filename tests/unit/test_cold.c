/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The cold swap's machine: each way through it as a scenario, and the whole of it against the table "cold" of docs/swap.md.
 *
 * The scenarios' names begin with the id of the row of the specification that they cover. STOP_PRED before SPAWN_SUCC or RELEASE_SUCC, and an exit between the
 * two, is COLD-1: every scenario shows it.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "tests/support/swap_play.h"

#define BEGIN "ARM_QUERY QUERY"
#define STOP "ARM_SHUTDOWN STOP_PRED"
#define START "ARM_MIGRATION SPAWN_SUCC"
#define BACK "ARM_MIGRATION SPAWN_BACK"
#define COMMITTED "COMMIT SUCCEED"
#define HOLD "ARM_MIGRATION HOLD_SUCC"
#define RELEASE "ARM_MIGRATION RELEASE_SUCC"

/* clang-format off */
static const struct swap_play plays[] = {
        {"COLD-3 query, captured, terminate, exit seen, start, ready, granted, restored: in this order",
         SWAP_PLAY_COLD, true, BEGIN,
         {{"CAPTURED", STOP, "STOPPING"}, {"PRED_DIED", START, "STARTING"}, {"READY", "GRANT", "RESTORING"},
          {"RESTORED", COMMITTED, "over"}},
         .why = BT_SWAP_WHY_NONE},
        {"STATE-2 the new binary is asked before anything is stopped",
         SWAP_PLAY_ASKING, true, "DESCRIBE",
         {{"DESCRIBED", BEGIN, "QUERYING"}, {"CAPTURED", STOP, "STOPPING"}, {"PRED_DIED", START, "STARTING"}, {"READY", "GRANT", "RESTORING"},
          {"RESTORED", COMMITTED, "over"}},
         .why = BT_SWAP_WHY_NONE},
        {"STATE-2 a binary that cannot read the state ends the migration, and nothing was stopped",
         SWAP_PLAY_ASKING, true, "DESCRIBE", {{"UNREADABLE", "FAIL", "over"}},
         .why = BT_SWAP_WHY_UNREADABLE},
        {"STATE-2 a predecessor that dies while the new binary is asked",
         SWAP_PLAY_ASKING, true, "DESCRIBE",
         {{"PRED_DIED", START, "STARTING"}, {"DESCRIBED", "", "-"}, {"READY", "GRANT", "RESTORING"}, {"RESTORED", COMMITTED, "over"}},
         .why = BT_SWAP_WHY_NONE},
        {"SHUT-1 a stop of the hub while the new binary is asked calls the swap off",
         SWAP_PLAY_ASKING, true, "DESCRIBE", {{"CANCEL", "FAIL", "over"}},
         .why = BT_SWAP_WHY_CANCELLED},
        {"COLD-2 without hand-over nothing is queried",
         SWAP_PLAY_COLD, false, STOP,
         {{"PRED_DIED", START, "STARTING"}, {"READY", "GRANT", "RESTORING"}, {"RESTORED", COMMITTED, "over"}},
         .why = BT_SWAP_WHY_NONE},
        {"COLD-1 the successor of a predecessor that does not end is not started before it was killed and its exit was seen",
         SWAP_PLAY_COLD, true, BEGIN,
         {{"CAPTURED", STOP, "STOPPING"}, {"TIMEOUT", "KILL_PRED", "STOPPING"}, {"READY", "", "-"}, {"PRED_DIED", START, "STARTING"},
          {"READY", "GRANT", "RESTORING"}, {"RESTORED", COMMITTED, "over"}},
         .why = BT_SWAP_WHY_NONE},
        {"COLD-4 a mute predecessor does not stop the migration, and the loss is noted",
         SWAP_PLAY_COLD, true, BEGIN,
         {{"TIMEOUT", STOP, "STOPPING"}, {"CAPTURED", "", "STOPPING"}, {"PRED_GONE", START, "STARTING"},
          {"READY", "GRANT", "RESTORING"}, {"RESTORED", COMMITTED, "over"}},
         .why = BT_SWAP_WHY_NONE, .state_lost = true},
        {"COLD-4 a predecessor without a state to give does not stop the migration either",
         SWAP_PLAY_COLD, true, BEGIN,
         {{"NOT_CAPTURED", STOP, "STOPPING"}, {"NOT_CAPTURED", "", "STOPPING"}, {"PRED_DIED", START, "STARTING"},
          {"READY", "GRANT", "RESTORING"}, {"RESTORED", COMMITTED, "over"}},
         .why = BT_SWAP_WHY_NONE, .state_lost = true},
        {"COLD-3 a predecessor that dies while it is queried is already stopped",
         SWAP_PLAY_COLD, true, BEGIN,
         {{"PRED_DIED", START, "STARTING"}, {"READY", "GRANT", "RESTORING"}, {"RESTORED", COMMITTED, "over"}},
         .why = BT_SWAP_WHY_NONE},
        {"COLD-8 nothing is granted before READY, and READY said twice grants once",
         SWAP_PLAY_COLD, true, BEGIN,
         {{"PRED_GONE", START, "STARTING"}, {"RESTORED", "", "-"}, {"READY", "GRANT", "RESTORING"}, {"READY", "", "-"},
          {"RESTORED", COMMITTED, "over"}},
         .why = BT_SWAP_WHY_NONE},
        {"COLD-9 a successor that cannot be started: the previous binary gets the same state",
         SWAP_PLAY_COLD, true, BEGIN,
         {{"CAPTURED", STOP, "STOPPING"}, {"PRED_DIED", START, "STARTING"}, {"SPAWN_FAILED", BACK, "BACK_STARTING"},
          {"READY", "GRANT", "BACK_RESTORING"}, {"RESTORED", "COMMIT FAIL", "over"}},
         .why = BT_SWAP_WHY_SPAWN},
        {"COLD-9 a successor that ends at its start: the previous binary gets the same state",
         SWAP_PLAY_COLD, true, BEGIN,
         {{"CAPTURED", STOP, "STOPPING"}, {"PRED_DIED", START, "STARTING"}, {"SUCC_EXIT", BACK, "BACK_STARTING"},
          {"READY", "GRANT", "BACK_RESTORING"}, {"RESTORED", "COMMIT FAIL", "over"}},
         .why = BT_SWAP_WHY_EXITED},
        {"COLD-9 a successor that hangs at its start is killed, and is dead before the previous binary starts",
         SWAP_PLAY_COLD, true, BEGIN,
         {{"CAPTURED", STOP, "STOPPING"}, {"PRED_DIED", START, "STARTING"}, {"TIMEOUT", "KILL_SUCC", "DROPPING"},
          {"READY", "", "DROPPING"}, {"SUCC_EXIT", BACK, "BACK_STARTING"}, {"READY", "GRANT", "BACK_RESTORING"},
          {"RESTORED", "COMMIT FAIL", "over"}},
         .why = BT_SWAP_WHY_NOT_READY, .timed_out = true},
        {"COLD-9 a successor that refuses the state is ended, and the previous binary gets it",
         SWAP_PLAY_COLD, true, BEGIN,
         {{"CAPTURED", STOP, "STOPPING"}, {"PRED_DIED", START, "STARTING"}, {"READY", "GRANT", "RESTORING"},
          {"REFUSED", "KILL_SUCC", "DROPPING"}, {"REFUSED", "", "DROPPING"}, {"SUCC_EXIT", BACK, "BACK_STARTING"},
          {"READY", "GRANT", "BACK_RESTORING"}, {"RESTORED", "COMMIT FAIL", "over"}},
         .why = BT_SWAP_WHY_REFUSED},
        {"COLD-9 a successor that dies while it restores: the previous binary gets the same state",
         SWAP_PLAY_COLD, true, BEGIN,
         {{"CAPTURED", STOP, "STOPPING"}, {"PRED_DIED", START, "STARTING"}, {"READY", "GRANT", "RESTORING"},
          {"SUCC_EXIT", BACK, "BACK_STARTING"}, {"READY", "GRANT", "BACK_RESTORING"}, {"RESTORED", "COMMIT FAIL", "over"}},
         .why = BT_SWAP_WHY_DIED},
        {"COLD-9 a successor that hangs while it restores",
         SWAP_PLAY_COLD, true, BEGIN,
         {{"CAPTURED", STOP, "STOPPING"}, {"PRED_DIED", START, "STARTING"}, {"READY", "GRANT", "RESTORING"},
          {"TIMEOUT", "KILL_SUCC", "DROPPING"}, {"SUCC_EXIT", BACK, "BACK_STARTING"}, {"READY", "GRANT", "BACK_RESTORING"},
          {"RESTORED", "COMMIT FAIL", "over"}},
         .why = BT_SWAP_WHY_NOT_RESTORED, .timed_out = true},
        {"I4 a successor that confirms while it is being killed has the baton: there is no way back",
         SWAP_PLAY_COLD, true, BEGIN,
         {{"CAPTURED", STOP, "STOPPING"}, {"PRED_DIED", START, "STARTING"}, {"READY", "GRANT", "RESTORING"},
          {"TIMEOUT", "KILL_SUCC", "DROPPING"}, {"RESTORED", COMMITTED, "over"}},
         .why = BT_SWAP_WHY_NONE, .timed_out = true},
        {"COLD-9 the previous binary cannot be started either: the restart policy goes on, and the first reason is reported",
         SWAP_PLAY_COLD, true, BEGIN,
         {{"CAPTURED", STOP, "STOPPING"}, {"PRED_DIED", START, "STARTING"}, {"SUCC_EXIT", BACK, "BACK_STARTING"},
          {"SPAWN_FAILED", "FAIL_DOWN", "over"}},
         .why = BT_SWAP_WHY_EXITED},
        {"COLD-9 the previous binary hangs: it is killed, and the restart policy goes on",
         SWAP_PLAY_COLD, true, BEGIN,
         {{"CAPTURED", STOP, "STOPPING"}, {"PRED_DIED", START, "STARTING"}, {"SPAWN_FAILED", BACK, "BACK_STARTING"},
          {"READY", "GRANT", "BACK_RESTORING"}, {"TIMEOUT", "KILL_SUCC", "BACK_RESTORING"}, {"SUCC_EXIT", "FAIL_DOWN", "over"}},
         .why = BT_SWAP_WHY_SPAWN, .timed_out = true},
        {"COLD-9 the previous binary refuses at its start: it is killed, and the restart policy goes on",
         SWAP_PLAY_COLD, true, BEGIN,
         {{"PRED_DIED", START, "STARTING"}, {"SUCC_EXIT", BACK, "BACK_STARTING"}, {"REFUSED", "KILL_SUCC", "BACK_STARTING"},
          {"SUCC_EXIT", "FAIL_DOWN", "over"}},
         .why = BT_SWAP_WHY_EXITED},
        {"SHUT-1 a stop of the hub lets a cold swap end: half of it cannot be undone",
         SWAP_PLAY_COLD, true, BEGIN,
         {{"CANCEL", "", "QUERYING"}, {"CAPTURED", STOP, "STOPPING"}, {"CANCEL", "", "STOPPING"}, {"PRED_DIED", START, "STARTING"},
          {"CANCEL", "", "STARTING"}, {"READY", "GRANT", "RESTORING"}, {"CANCEL", "", "RESTORING"}, {"RESTORED", COMMITTED, "over"}},
         .why = BT_SWAP_WHY_NONE},
        {"COLD-1 I2 a held successor is let go when the predecessor's exit was seen, and not before",
         SWAP_PLAY_HELD, true, HOLD,
         {{"READY", "", "-"}, {"RESTORED", "", "-"}, {"HELD", BEGIN, "HELD_QUERYING"}, {"HELD", "", "-"}, {"CAPTURED", STOP, "HELD_STOPPING"},
          {"READY", "", "-"}, {"TIMEOUT", "KILL_PRED", "HELD_STOPPING"}, {"PRED_DIED", RELEASE, "STARTING"}, {"READY", "GRANT", "RESTORING"},
          {"RESTORED", COMMITTED, "over"}},
         .why = BT_SWAP_WHY_NONE},
        {"COLD-2 without hand-over a successor is held all the same",
         SWAP_PLAY_HELD, false, HOLD,
         {{"HELD", STOP, "HELD_STOPPING"}, {"PRED_GONE", RELEASE, "STARTING"}, {"READY", "GRANT", "RESTORING"}, {"RESTORED", COMMITTED, "over"}},
         .why = BT_SWAP_WHY_NONE},
        {"STATE-2 a program that can be held is asked first, and then held",
         SWAP_PLAY_ASKING_HELD, true, "DESCRIBE",
         {{"DESCRIBED", HOLD, "HOLDING"}, {"HELD", BEGIN, "HELD_QUERYING"}, {"NOT_CAPTURED", STOP, "HELD_STOPPING"},
          {"PRED_DIED", RELEASE, "STARTING"}, {"READY", "GRANT", "RESTORING"}, {"RESTORED", COMMITTED, "over"}},
         .why = BT_SWAP_WHY_NONE, .state_lost = true},
        {"COLD-9 a program that cannot be executed is found out before anything was stopped",
         SWAP_PLAY_HELD, true, HOLD, {{"SPAWN_FAILED", "FAIL", "over"}},
         .why = BT_SWAP_WHY_SPAWN},
        {"COLD-9 a program that ends before its first line is found out before anything was stopped",
         SWAP_PLAY_HELD, true, HOLD, {{"SUCC_EXIT", "FAIL", "over"}},
         .why = BT_SWAP_WHY_EXITED},
        {"COLD-9 a program that does not stop before its first line is killed, and nothing else was stopped",
         SWAP_PLAY_HELD, true, HOLD, {{"TIMEOUT", "KILL_SUCC", "LETTING_GO"}, {"HELD", "", "LETTING_GO"}, {"SUCC_EXIT", "FAIL", "over"}},
         .why = BT_SWAP_WHY_NOT_HELD, .timed_out = true},
        {"COLD-9 the predecessor dies while the held one is let go: the previous binary is started after both",
         SWAP_PLAY_HELD, true, HOLD,
         {{"TIMEOUT", "KILL_SUCC", "LETTING_GO"}, {"PRED_DIED", "", "DROPPING"}, {"SUCC_EXIT", BACK, "BACK_STARTING"},
          {"READY", "GRANT", "BACK_RESTORING"}, {"RESTORED", "COMMIT FAIL", "over"}},
         .why = BT_SWAP_WHY_NOT_HELD, .timed_out = true},
        {"COLD-3 a held one that is lost while the predecessor is queried: another is started after its end",
         SWAP_PLAY_HELD, true, HOLD,
         {{"HELD", BEGIN, "HELD_QUERYING"}, {"SUCC_EXIT", "", "QUERYING"}, {"CAPTURED", STOP, "STOPPING"}, {"PRED_DIED", START, "STARTING"},
          {"READY", "GRANT", "RESTORING"}, {"RESTORED", COMMITTED, "over"}},
         .why = BT_SWAP_WHY_NONE},
        {"COLD-3 a held one that is lost while the predecessor is stopped: another is started after its end",
         SWAP_PLAY_HELD, true, HOLD,
         {{"HELD", BEGIN, "HELD_QUERYING"}, {"TIMEOUT", STOP, "HELD_STOPPING"}, {"SUCC_EXIT", "", "STOPPING"}, {"PRED_DIED", START, "STARTING"},
          {"SUCC_EXIT", BACK, "BACK_STARTING"}, {"READY", "GRANT", "BACK_RESTORING"}, {"RESTORED", "COMMIT FAIL", "over"}},
         .why = BT_SWAP_WHY_EXITED, .state_lost = true},
        {"COLD-3 the predecessor dies before the successor is held: it does not stop any more",
         SWAP_PLAY_HELD, true, HOLD,
         {{"PRED_DIED", RELEASE, "STARTING"}, {"HELD", "", "-"}, {"READY", "GRANT", "RESTORING"}, {"RESTORED", COMMITTED, "over"}},
         .why = BT_SWAP_WHY_NONE},
        {"SHUT-1 a stop of the hub while the successor is about to be held calls the swap off",
         SWAP_PLAY_HELD, true, HOLD, {{"CANCEL", "KILL_SUCC", "LETTING_GO"}, {"CANCEL", "", "LETTING_GO"}, {"SUCC_EXIT", "FAIL", "over"}},
         .why = BT_SWAP_WHY_CANCELLED},
        {"SHUT-1 a stop of the hub lets a cold swap with a held successor end",
         SWAP_PLAY_HELD, true, HOLD,
         {{"HELD", BEGIN, "HELD_QUERYING"}, {"CANCEL", "", "HELD_QUERYING"}, {"CAPTURED", STOP, "HELD_STOPPING"}, {"CANCEL", "", "HELD_STOPPING"},
          {"PRED_DIED", RELEASE, "STARTING"}, {"READY", "GRANT", "RESTORING"}, {"RESTORED", COMMITTED, "over"}},
         .why = BT_SWAP_WHY_NONE},
        {"OTP-3 a child that is down is started with the new binary",
         SWAP_PLAY_DOWN, true, START,
         {{"READY", "GRANT", "RESTORING"}, {"RESTORED", COMMITTED, "over"}},
         .why = BT_SWAP_WHY_NONE},
        {"COLD-9 a child that is down and whose new binary fails gets the previous one",
         SWAP_PLAY_DOWN, true, START,
         {{"SUCC_EXIT", BACK, "BACK_STARTING"}, {"READY", "GRANT", "BACK_RESTORING"}, {"RESTORED", "COMMIT FAIL", "over"}},
         .why = BT_SWAP_WHY_EXITED},
        {"I6 words that only a hot swap knows change nothing",
         SWAP_PLAY_COLD, true, BEGIN,
         {{"PASSED", "", "-"}, {"NOT_PASSED", "", "-"}, {"RESTORED", "", "-"}, {"PRED_DIED", START, "STARTING"},
          {"PRED_DIED", "", "-"}, {"CAPTURED", "", "-"}, {"READY", "GRANT", "RESTORING"}, {"RESTORED", COMMITTED, "over"}},
         .why = BT_SWAP_WHY_NONE},
};
/* clang-format on */

static void every_cell_is_a_row_of_the_page_and_the_rest_is_out_of_place(void **state)
{
        (void)state;
        swap_table_matches(BT_SWAP_COLD, "cold");
}

static void nothing_has_a_place_after_the_end(void **state)
{
        (void)state;
        swap_nothing_after_the_end(BT_SWAP_COLD);
}

int main(void)
{
        struct CMUnitTest tests[BT_ARRAY_LEN(plays) + 2] = {
                cmocka_unit_test(every_cell_is_a_row_of_the_page_and_the_rest_is_out_of_place),
                cmocka_unit_test(nothing_has_a_place_after_the_end),
        };

        (void)swap_plays_as_tests(tests + 2, plays, BT_ARRAY_LEN(plays));
        return cmocka_run_group_tests(tests, NULL, NULL);
}
