/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The hot swap's machine: each way through it as a scenario, and the whole of it against the table "hot" of docs/swap.md.
 *
 * A scenario begins with the id of the row of the specification that it covers. What is shown here is what the machine decides; that the
 * decisions do to real processes what they should is shown in tests/scenario and tests/crash.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "tests/support/swap_play.h"

#define BEGIN "ARM_MIGRATION SPAWN_SUCC"
#define COMMITTED "COMMIT RETIRE_PRED SUCCEED"

/* clang-format off */
static const struct swap_play plays[] = {
        {"HOT-1 the successor is ready before the predecessor is told, and the predecessor is retired after it",
         SWAP_PLAY_HOT, true, BEGIN,
         {{"READY", "ARM_DATA_WAIT OFFER", "OFFERED"}, {"PASSED", "", "PASSED"}, {"RESTORED", COMMITTED, "over"}},
         .why = BT_SWAP_WHY_NONE},
        {"HOT-2 without hand-over nothing is asked of the predecessor until it retires",
         SWAP_PLAY_HOT, false, BEGIN,
         {{"READY", "ARM_DATA_WAIT GRANT", "PASSED"}, {"RESTORED", COMMITTED, "over"}},
         .why = BT_SWAP_WHY_NONE},
        {"HOT-2 without hand-over a successor that does not come up is killed and the predecessor serves on",
         SWAP_PLAY_HOT, false, BEGIN,
         {{"READY", "ARM_DATA_WAIT GRANT", "PASSED"}, {"TIMEOUT", "KILL_SUCC", "UNDOING"}, {"SUCC_EXIT", "TAKE_BACK FAIL", "over"}},
         .why = BT_SWAP_WHY_NOT_RESTORED, .timed_out = true},
        {"HOT-7 RESTORED commits also when it is read before PASSED",
         SWAP_PLAY_HOT, true, BEGIN,
         {{"READY", "ARM_DATA_WAIT OFFER", "OFFERED"}, {"RESTORED", COMMITTED, "over"}},
         .why = BT_SWAP_WHY_NONE},
        {"HOT-7 PASSED alone commits nothing",
         SWAP_PLAY_HOT, true, BEGIN,
         {{"READY", "ARM_DATA_WAIT OFFER", "OFFERED"}, {"PASSED", "", "PASSED"}, {"PASSED", "", "-"},
          {"SUCC_EXIT", "TAKE_BACK FAIL", "over"}},
         .why = BT_SWAP_WHY_DIED},
        {"HOT-7 a successor that confirms while it is being killed has the baton: there is no way back",
         SWAP_PLAY_HOT, true, BEGIN,
         {{"READY", "ARM_DATA_WAIT OFFER", "OFFERED"}, {"PASSED", "", "PASSED"}, {"TIMEOUT", "KILL_SUCC", "UNDOING"},
          {"RESTORED", COMMITTED, "over"}},
         .why = BT_SWAP_WHY_NONE, .timed_out = true},
        {"HOT-3 a predecessor that cannot capture keeps the baton, and the successor goes",
         SWAP_PLAY_HOT, true, BEGIN,
         {{"READY", "ARM_DATA_WAIT OFFER", "OFFERED"}, {"NOT_PASSED", "WITHDRAW KILL_SUCC", "UNDOING"},
          {"SUCC_EXIT", "TAKE_BACK FAIL", "over"}},
         .why = BT_SWAP_WHY_NOT_PASSED},
        {"HOT-5 a predecessor that is mute past handover_data_wait keeps the baton",
         SWAP_PLAY_HOT, true, BEGIN,
         {{"READY", "ARM_DATA_WAIT OFFER", "OFFERED"}, {"TIMEOUT", "WITHDRAW KILL_SUCC", "UNDOING"},
          {"SUCC_EXIT", "TAKE_BACK FAIL", "over"}},
         .why = BT_SWAP_WHY_MUTE, .timed_out = true},
        {"HOT-5 a predecessor that passes a hair before it is withdrawn gets the baton back when the successor is dead",
         SWAP_PLAY_HOT, true, BEGIN,
         {{"READY", "ARM_DATA_WAIT OFFER", "OFFERED"}, {"TIMEOUT", "WITHDRAW KILL_SUCC", "UNDOING"}, {"PASSED", "", "UNDOING"},
          {"SUCC_EXIT", "TAKE_BACK FAIL", "over"}},
         .why = BT_SWAP_WHY_MUTE, .timed_out = true},
        {"HOT-6 a successor that is not ready within child_migration_timeout is killed",
         SWAP_PLAY_HOT, true, BEGIN,
         {{"TIMEOUT", "KILL_SUCC", "UNDOING"}, {"READY", "", "UNDOING"}, {"SUCC_EXIT", "TAKE_BACK FAIL", "over"}},
         .why = BT_SWAP_WHY_NOT_READY, .timed_out = true},
        {"HOT-6 a successor that does not restore in time is killed, and its exit is seen before the word goes back",
         SWAP_PLAY_HOT, true, BEGIN,
         {{"READY", "ARM_DATA_WAIT OFFER", "OFFERED"}, {"PASSED", "", "PASSED"}, {"TIMEOUT", "KILL_SUCC", "UNDOING"},
          {"TIMEOUT", "", "-"}, {"SUCC_EXIT", "TAKE_BACK FAIL", "over"}},
         .why = BT_SWAP_WHY_NOT_RESTORED, .timed_out = true},
        {"I4 a successor that cannot be started costs nothing",
         SWAP_PLAY_HOT, true, BEGIN,
         {{"SPAWN_FAILED", "FAIL", "over"}},
         .why = BT_SWAP_WHY_SPAWN},
        {"I4 a successor that ends before it is ready costs nothing",
         SWAP_PLAY_HOT, true, BEGIN,
         {{"SUCC_EXIT", "FAIL", "over"}},
         .why = BT_SWAP_WHY_EXITED},
        {"STATE-2 a successor that cannot read the schema refuses before the predecessor is told",
         SWAP_PLAY_HOT, true, BEGIN,
         {{"REFUSED", "TAKE_BACK KILL_SUCC", "UNDOING"}, {"SUCC_EXIT", "TAKE_BACK FAIL", "over"}},
         .why = BT_SWAP_WHY_REFUSED},
        {"I4 a successor that refuses the state has given the word back: the predecessor serves before the refuser is dead",
         SWAP_PLAY_HOT, true, BEGIN,
         {{"READY", "ARM_DATA_WAIT OFFER", "OFFERED"}, {"PASSED", "", "PASSED"}, {"REFUSED", "TAKE_BACK KILL_SUCC", "UNDOING"},
          {"SUCC_EXIT", "TAKE_BACK FAIL", "over"}},
         .why = BT_SWAP_WHY_REFUSED},
        {"I4 REFUSED may be read before PASSED",
         SWAP_PLAY_HOT, true, BEGIN,
         {{"READY", "ARM_DATA_WAIT OFFER", "OFFERED"}, {"REFUSED", "TAKE_BACK KILL_SUCC", "UNDOING"}, {"PASSED", "", "UNDOING"},
          {"SUCC_EXIT", "TAKE_BACK FAIL", "over"}},
         .why = BT_SWAP_WHY_REFUSED},
        {"HOT-10 a successor killed while it is offered the baton: the predecessor goes on",
         SWAP_PLAY_HOT, true, BEGIN,
         {{"READY", "ARM_DATA_WAIT OFFER", "OFFERED"}, {"SUCC_EXIT", "TAKE_BACK FAIL", "over"}},
         .why = BT_SWAP_WHY_DIED},
        {"HOT-10 a successor killed while it restores: the predecessor resumes",
         SWAP_PLAY_HOT, true, BEGIN,
         {{"READY", "ARM_DATA_WAIT OFFER", "OFFERED"}, {"PASSED", "", "PASSED"}, {"SUCC_EXIT", "TAKE_BACK FAIL", "over"}},
         .why = BT_SWAP_WHY_DIED},
        {"HOT-10 a predecessor killed while its successor starts: the successor takes what is there",
         SWAP_PLAY_HOT, true, BEGIN,
         {{"PRED_DIED", "", "ALONE_STARTING"}, {"READY", "ARM_DATA_WAIT GRANT", "ALONE"}, {"RESTORED", "COMMIT SUCCEED", "over"}},
         .why = BT_SWAP_WHY_NONE},
        {"HOT-10 a predecessor killed before it passed: the successor is granted the baton at once",
         SWAP_PLAY_HOT, true, BEGIN,
         {{"READY", "ARM_DATA_WAIT OFFER", "OFFERED"}, {"PRED_DIED", "GRANT", "ALONE"}, {"RESTORED", "COMMIT SUCCEED", "over"}},
         .why = BT_SWAP_WHY_NONE},
        {"HOT-10 a predecessor killed after it passed: the successor goes on restoring",
         SWAP_PLAY_HOT, true, BEGIN,
         {{"READY", "ARM_DATA_WAIT OFFER", "OFFERED"}, {"PASSED", "", "PASSED"}, {"PRED_GONE", "", "ALONE"},
          {"RESTORED", "COMMIT SUCCEED", "over"}},
         .why = BT_SWAP_WHY_NONE},
        {"HOT-10 a predecessor killed after it passed, its PASSED unread",
         SWAP_PLAY_HOT, true, BEGIN,
         {{"READY", "ARM_DATA_WAIT OFFER", "OFFERED"}, {"PRED_GONE", "", "ALONE"}, {"RESTORED", "COMMIT SUCCEED", "over"}},
         .why = BT_SWAP_WHY_NONE},
        {"HOT-10 both killed: nobody serves, and the restart policy is told so",
         SWAP_PLAY_HOT, true, BEGIN,
         {{"READY", "ARM_DATA_WAIT OFFER", "OFFERED"}, {"PASSED", "", "PASSED"}, {"PRED_GONE", "", "ALONE"},
          {"SUCC_EXIT", "FAIL_DOWN", "over"}},
         .why = BT_SWAP_WHY_PRED_DIED},
        {"HOT-10 the predecessor dies while its successor is undone: the first reason is the one reported",
         SWAP_PLAY_HOT, true, BEGIN,
         {{"TIMEOUT", "KILL_SUCC", "UNDOING"}, {"PRED_DIED", "", "UNDOING_ALONE"}, {"SUCC_EXIT", "FAIL_DOWN", "over"}},
         .why = BT_SWAP_WHY_NOT_READY, .timed_out = true},
        {"HOT-10 a successor left alone that refuses is not the predecessor's problem any more",
         SWAP_PLAY_HOT, true, BEGIN,
         {{"PRED_DIED", "", "ALONE_STARTING"}, {"READY", "ARM_DATA_WAIT GRANT", "ALONE"}, {"REFUSED", "KILL_SUCC", "UNDOING_ALONE"},
          {"SUCC_EXIT", "FAIL_DOWN", "over"}},
         .why = BT_SWAP_WHY_PRED_DIED},
        {"I6 a predecessor that died with nonsense in the holder word leaves the successor alone, not a migration back to nobody",
         SWAP_PLAY_HOT, true, BEGIN,
         {{"PRED_GONE", "", "ALONE_STARTING"}, {"TIMEOUT", "KILL_SUCC", "UNDOING_ALONE"}, {"SUCC_EXIT", "FAIL_DOWN", "over"}},
         .why = BT_SWAP_WHY_PRED_DIED, .timed_out = true},
        {"I7 READY said twice does not arm the deadline twice",
         SWAP_PLAY_HOT, true, BEGIN,
         {{"PRED_DIED", "", "ALONE_STARTING"}, {"READY", "ARM_DATA_WAIT GRANT", "ALONE"}, {"READY", "", "-"},
          {"TIMEOUT", "KILL_SUCC", "UNDOING_ALONE"}, {"READY", "", "UNDOING_ALONE"}, {"SUCC_EXIT", "FAIL_DOWN", "over"}},
         .why = BT_SWAP_WHY_PRED_DIED, .timed_out = true},
        {"SHUT-1 a stop of the hub withdraws what is not passed yet",
         SWAP_PLAY_HOT, true, BEGIN,
         {{"READY", "ARM_DATA_WAIT OFFER", "OFFERED"}, {"CANCEL", "WITHDRAW KILL_SUCC", "UNDOING"},
          {"SUCC_EXIT", "TAKE_BACK FAIL", "over"}},
         .why = BT_SWAP_WHY_CANCELLED},
        {"SHUT-1 a stop of the hub lets a hand-over that is under way end",
         SWAP_PLAY_HOT, true, BEGIN,
         {{"READY", "ARM_DATA_WAIT OFFER", "OFFERED"}, {"PASSED", "", "PASSED"}, {"CANCEL", "", "-"}, {"RESTORED", COMMITTED, "over"}},
         .why = BT_SWAP_WHY_NONE},
        {"I5 a stop of the hub does not kill the only process that is left to capture from",
         SWAP_PLAY_HOT, true, BEGIN,
         {{"PRED_DIED", "", "ALONE_STARTING"}, {"CANCEL", "", "ALONE_STARTING"}, {"READY", "ARM_DATA_WAIT GRANT", "ALONE"},
          {"CANCEL", "", "ALONE"}, {"RESTORED", "COMMIT SUCCEED", "over"}},
         .why = BT_SWAP_WHY_NONE},
        {"I6 words that only a cold swap knows change nothing",
         SWAP_PLAY_HOT, true, BEGIN,
         {{"CAPTURED", "", "-"}, {"NOT_CAPTURED", "", "-"}, {"PASSED", "", "-"}, {"RESTORED", "", "-"}, {"SUCC_EXIT", "FAIL", "over"}},
         .why = BT_SWAP_WHY_EXITED},
};
/* clang-format on */

static void every_cell_is_a_row_of_the_page_and_the_rest_is_out_of_place(void **state)
{
        (void)state;
        swap_table_matches(BT_SWAP_HOT, "hot");
}

static void nothing_has_a_place_after_the_end(void **state)
{
        (void)state;
        swap_nothing_after_the_end(BT_SWAP_HOT);
}

static void every_reason_has_a_sentence(void **state)
{
        (void)state;
        assert_string_equal(bt_swap_why_text(BT_SWAP_WHY_NONE), "");
        for (int why = BT_SWAP_WHY_NONE + 1; why < _BT_SWAP_WHY_N; why++)
                assert_true(strlen(bt_swap_why_text((enum bt_swap_why)why)) > 5);
        assert_string_equal(bt_swap_why_text(_BT_SWAP_WHY_N), "?");
        assert_string_equal(bt_swap_event_name(_BT_SWAP_EV_N), "?");
        assert_string_equal(bt_swap_action_name(_BT_SWAP_ACT_N), "?");
}

int main(void)
{
        struct CMUnitTest tests[BT_ARRAY_LEN(plays) + 3] = {
                cmocka_unit_test(every_cell_is_a_row_of_the_page_and_the_rest_is_out_of_place),
                cmocka_unit_test(nothing_has_a_place_after_the_end),
                cmocka_unit_test(every_reason_has_a_sentence),
        };

        (void)swap_plays_as_tests(tests + 3, plays, BT_ARRAY_LEN(plays));
        return cmocka_run_group_tests(tests, NULL, NULL);
}
