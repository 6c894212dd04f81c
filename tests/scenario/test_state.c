/* SPDX-License-Identifier: Apache-2.0 */
/*
 * States that cannot be used, and `baton state` to see and rescue them: stale, corrupt, refused, of another version. The child is
 * tests/support/child_state.c, which says on stderr what it was given, so a line of the hub's log is the event to wait for.
 */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "shm/record.h"
#include "supervisor/store/store_key.h"
#include "supervisor/store/store_queue.h"
#include "tests/support/command.h"
#include "tests/support/store_desk.h"
#include "tests/support/world.h"

#define WORLD_STATE                                                                                \
        "hub: w\n"                                                                                 \
        "children:\n"                                                                              \
        "  s:\n"                                                                                   \
        "    exec: [@dir@/state-1-1]\n"                                                            \
        "    cwd: @dir@\n"                                                                         \
        "    handover: true\n"                                                                     \
        "    state: blob\n"                                                                        \
        "    backoff: {min: 1ms, max: 2ms}\n"

/* ---- the world ---- */

/* A copy of the child under the name that makes it the program of that version. */
static void program(const struct world *w, const char *name)
{
        char from[640], to[256];
        char *argv[] = {(char *)"/bin/cp", from, to, NULL};

        world_program(w, from, "child_state");
        (void)snprintf(to, sizeof(to), "%s/%s", w->dir, name);
        assert_int_equal(world_wait(world_spawn(w, argv, "cp.out")), 0);
}

static int setup(void **state)
{
        const struct world *w;
        int r = world_setup(state);

        if (r)
                return r;
        w = *state;
        program(w, "state-1-1");
        program(w, "state-2-1");
        program(w, "state-2-2");
        return 0;
}

static void upgrade(const struct world *w, const char *name, struct world_outcome *ret_outcome)
{
        char path[256];

        (void)snprintf(path, sizeof(path), "%s/%s", w->dir, name);
        world_migrate(w, "s", path, BT_STRATEGY_COLD, ret_outcome);
}

/* ---- the store, while no hub has it open ---- */

static void store_dir(const struct world *w, char path[128])
{
        (void)snprintf(path, 128, "%s/state/w", w->dir);
}

/* Another bit in the payload of the record of s. */
static void spoil_payload(const struct world *w)
{
        struct bt_engine *e;
        struct bt_value value;
        struct bt_key key;
        char dir[128], copy[4096] = {0};
        void *room;

        store_dir(w, dir);
        assert_int_equal(bt_engine_lmdb_open(&e, dir), 0);
        bt_key_record(&key, "s", 1);
        assert_int_equal(e->ops->begin(e, true, 4096), 0);
        assert_int_equal(e->ops->get(e, &key, &value), 0);
        assert_true(value.bytes > 0 && value.bytes <= sizeof(copy));
        memcpy(copy, value.at, value.bytes);
        copy[0] ^= 1;
        assert_int_equal(e->ops->reserve(e, &key, value.bytes, &room), 0);
        memcpy(room, copy, value.bytes);
        assert_int_equal(e->ops->commit(e), 0);
        e->ops->close(e);
}

/* The record of s, as if it had been captured in another boot, @later_ns after now. */
static void move_in_time(const struct world *w, int64_t later_ns)
{
        struct desk desk;
        struct bt_store *store;
        struct bt_store_item item = {.fd = state_memfd(4096)};
        char dir[128];

        store_dir(w, dir);
        desk_init(&desk);
        assert_int_equal(bt_store_lmdb_open(&store, dir, desk_post, &desk), 0);
        assert_int_equal(desk_get(&desk, store, "s", item.fd, 0, 4096), BT_STORE_OK);
        item.record = desk.record;
        memset(item.record.boot_id, 0x5a, sizeof(item.record.boot_id));
        item.record.boot_ns = 1;
        item.record.wall_ns = (uint64_t)((int64_t)bt_wall_ns() + later_ns);
        assert_int_equal(desk_put(&desk, store, &item, 1), BT_STORE_OK);
        (void)bt_store_close(store);
        (void)close(item.fd);
        desk_deinit(&desk);
}

#define HOUR INT64_C(3600000000000)

/* ---- none, empty, whole ---- */

static void STATE_5_without_a_state_a_child_starts_fresh_and_nothing_is_said(void **state)
{
        struct world *w = *state;
        struct bt_slot slot;

        RUN(4, "no hub runs", "state", "ls");
        world_start(w, WORLD_STATE);
        world_log_wait(w, "restored fresh none", 1);
        world_slot(w, "s", &slot);
        assert_int_equal(slot.limits_hit, 0);
        assert_string_equal(slot.note, "");
        RUN(0, "", "state", "ls");
        expect_unsaid("text");
        RUN(3, "no state of 's'", "state", "show", "s");
        RUN(2, "takes a child", "state", "show");
        RUN(2, "expected ls, show, export, import or drop", "state", "shwo", "s");
        world_end(w);
}

static void BUG_12_an_empty_state_is_not_an_absent_one(void **state)
{
        struct world *w = *state;

        world_start(w, WORLD_STATE);
        world_gate_open(w, "empty");
        world_swap(w, "s", NULL, BT_STRATEGY_COLD);
        world_log_wait(w, "restored cold '' v1", 1);
        world_stop(w);
        world_start_again(w);
        world_log_wait(w, "restored reboot '' v1", 1);
        world_gate_close(w, "empty");
        world_gate_open(w, "nothing");
        world_swap(w, "s", NULL, BT_STRATEGY_COLD);
        world_log_wait(w, "restored cold none", 1);
        world_stop(w);
        world_start_again(w);
        world_log_wait(w, "restored fresh none", 1);
        world_end(w);
}

static void SHUT_3_a_stored_state_is_delivered_once_and_then_gone_from_the_store(void **state)
{
        struct world *w = *state;

        world_start(w, WORLD_STATE);
        world_stop(w);
        world_start_again(w);
        world_log_wait(w, "restored reboot 'a1' v1", 1);
        RUN(0, "", "state", "ls");
        expect_unsaid("text");
        world_end(w);
}

static void BUG_8_what_is_stored_for_one_child_outlives_the_start_of_another(void **state)
{
        struct world *w = *state;

        world_start(w, WORLD_STATE);
        world_stop(w);
        world_start(w, "hub: w\nchildren:\n  other:\n    exec: [@dir@/state-1-1]\n    cwd: @dir@\n    handover: true\n    state: blob\n");
        world_log_wait(w, "restored fresh none", 2);
        RUN(0, "\"child\":\"s\"", "state", "ls", "--json");
        expect_said("\"quarantined\":false");
        world_stop(w);
        world_start(w, WORLD_STATE);
        world_log_wait(w, "restored reboot 'a1' v1", 1);
        world_end(w);
}

/* Two children in one folder, the second without a state. */
#define WORLD_TWO                                                                                  \
        WORLD_STATE                                                                                \
        "  t:\n"                                                                                   \
        "    exec: [@dir@/state-1-1]\n"                                                            \
        "    cwd: @dir@\n"                                                                         \
        "    handover: true\n"

static void COLD_7_a_mixed_start_delivers_what_it_finds_and_leaves_nothing(void **state)
{
        struct world *w = *state;

        world_start(w, WORLD_TWO "    state: blob\n");
        world_stop(w);
        world_start(w, WORLD_TWO "    state: blob\n  u:\n    exec: [@dir@/state-1-1]\n    cwd: @dir@\n    handover: true\n    state: blob\n");
        world_log_wait(w, "s | restored reboot 'a1' v1", 1);
        world_log_wait(w, "t | restored reboot 'a1' v1", 1);
        world_log_wait(w, "u | restored fresh none", 1);
        RUN(0, "", "state", "ls", "--json");
        expect_unsaid("child");
        world_stop(w);
        world_start(w, WORLD_STATE);
        world_log_wait(w, "s | restored reboot 'a11' v1", 1);
        RUN(0, "", "state", "ls", "--json");
        expect_unsaid("\"child\":\"s\"");
        RUN(0, "\"child\":\"t\"", "state", "ls", "--json"); /* what nobody asked for waits */
        RUN(0, "dropped", "state", "drop", "t");
        RUN(0, "\"child\":\"u\"", "state", "ls", "--json");
        world_end(w);
}

static void COLD_6_restore_sees_both_states_and_decides(void **state)
{
        struct world *w = *state;

        world_start(w, WORLD_STATE);
        world_gate_open(w, "own");
        world_swap(w, "s", NULL, BT_STRATEGY_COLD);
        world_log_wait(w, "restored cold 'a1' v1", 1);
        world_gate_close(w, "own");
        world_swap(w, "s", NULL, BT_STRATEGY_COLD);
        world_log_wait(w, "restored cold 'b1' v1", 1);
        world_end(w);
}

static void COLD_6_a_program_without_callbacks_is_swapped(void **state)
{
        struct world *w = *state;
        struct bt_slot slot;

        world_start(w, WORLD_STATE);
        world_gate_open(w, "defaults");
        world_swap(w, "s", NULL, BT_STRATEGY_COLD);
        world_swap(w, "s", NULL, BT_STRATEGY_COLD);
        world_slot(w, "s", &slot);
        assert_int_equal(slot.phase, BT_PHASE_RUNNING);
        assert_int_equal(slot.incarnation, 3);
        world_end(w);
}

static void STATE_1_a_child_that_takes_its_time_to_restore_holds_nobody_up(void **state)
{
        struct world *w = *state;
        struct world_outcome outcome;
        struct bt_ask ask;

        world_start(w, WORLD_TWO);
        world_gate_open(w, "stuck");
        ask = world_ask(w, BT_CTL_SWAP, "s", NULL, BT_STRATEGY_COLD);
        world_follow_to(&ask, "starting");
        world_swap(w, "t", NULL, BT_STRATEGY_COLD);
        world_log_wait(w, "t | restored cold none", 1);
        assert_int_equal(world_log_count(w, "restored cold 'a1'"), 0);
        world_gate_close(w, "stuck");
        world_follow(&ask, &outcome);
        assert_int_equal(outcome.outcome, BT_CTL_OK);
        world_log_wait(w, "s | restored cold 'a1' v1", 1);
        world_end(w);
}

/* ---- corrupt ---- */

static void STATE_4_a_corrupt_state_is_refused_and_kept_aside(void **state)
{
        struct world *w = *state;
        char path[256];
        struct stat st;

        world_start(w, WORLD_STATE);
        world_stop(w);
        spoil_payload(w);
        world_start_again(w);
        world_log_wait(w, "s: its state is corrupt and was set aside: starting fresh", 1);
        world_log_wait(w, "restored fresh none", 2);
        assert_int_equal(world_log_count(w, "restored reboot"), 0);
        RUN(0, "", "state", "show", "s", "--quarantined");
        expect_unsaid("checksums    ok");
        RUN(0, "checksums    damaged", "state", "show", "s", "--quarantined");
        RUN(0, "cannot be imported", "state", "export", "s", "damaged", "--quarantined");
        (void)snprintf(path, sizeof(path), "%s/damaged", w->dir);
        assert_int_equal(stat(path, &st), 0);
        assert_int_equal(st.st_size, sizeof(struct bt_record) + 2);
        RUN(1, "its payload is damaged", "state", "import", "s", "damaged");
        RUN(0, "dropped", "state", "drop", "s", "--quarantined");
        RUN(3, "no such quarantined state", "state", "drop", "s", "--quarantined");
        world_end(w);
}

static void STATE_4_on_bad_state_fail_does_not_start_the_child(void **state)
{
        struct world *w = *state;
        struct bt_slot slot;

        world_start(w, WORLD_STATE "    on_bad_state: fail\n");
        world_stop(w);
        spoil_payload(w);
        world_start_again(w);
        world_until(w, "s", BT_PHASE_FAILED, 0, &slot);
        assert_non_null(strstr(slot.note, "corrupt"));
        assert_int_equal(slot.restarts, 0);
        world_swap(w, "s", NULL, BT_STRATEGY_COLD);
        world_until(w, "s", BT_PHASE_RUNNING, 0, &slot);
        RUN(0, "\"quarantined\":true", "state", "ls", "--quarantined", "--json");
        world_end(w);
}

/* ---- stale ---- */

static void stale_is_not_loaded(struct world *w, int64_t later_ns)
{
        world_start(w, WORLD_STATE "    stored_ttl: 30m\n");
        world_stop(w);
        move_in_time(w, later_ns);
        world_start_again(w);
        world_log_wait(w, "s: its state is older than stored_ttl, or of a time that has not come yet and was set aside", 1);
        assert_int_equal(world_log_count(w, "restored reboot"), 0);
        RUN(0, "checksums    ok", "state", "show", "s", "--quarantined");
        world_end(w);
}

static void STATE_3_a_state_older_than_its_ttl_is_not_loaded_after_a_reboot(void **state)
{
        stale_is_not_loaded(*state, -HOUR);
}

static void BUG_16_a_clock_that_was_set_back_does_not_revive_a_state(void **state)
{
        stale_is_not_loaded(*state, HOUR);
}

static void BUG_16_a_reboot_alone_makes_no_state_stale(void **state)
{
        struct world *w = *state;

        world_start(w, WORLD_STATE "    stored_ttl: 30m\n");
        world_stop(w);
        move_in_time(w, -HOUR / 4);
        world_start_again(w);
        world_log_wait(w, "restored reboot 'a1' v1", 1);
        world_stop(w);
        world_start(w, WORLD_STATE); /* and without a limit no clock does */
        world_log_wait(w, "restored reboot 'a11' v1", 1);
        world_stop(w);
        move_in_time(w, HOUR);
        world_start_again(w);
        world_log_wait(w, "restored reboot 'a111' v1", 1);
        world_end(w);
}

static void STATE_3_keep_old_tries_again_until_the_state_is_good(void **state)
{
        struct world *w = *state;
        struct bt_slot slot;

        world_start(w, WORLD_STATE "    stored_ttl: 30m\n    on_bad_state: keep_old\n    max_seconds: 60s\n    max_restarts: 2\n");
        world_stop(w);
        move_in_time(w, -HOUR);
        world_start_again(w);
        world_until(w, "s", BT_PHASE_FAILED, 0, &slot);
        assert_int_equal(world_log_count(w, "not started now (on_bad_state: keep_old)"), 3);
        assert_int_equal(world_log_count(w, "restored reboot"), 0);
        RUN(0, "checksums    ok", "state", "show", "s"); /* it is where it was */
        world_stop(w);
        world_start(w, WORLD_STATE);
        world_log_wait(w, "restored reboot 'a1' v1", 1);
        world_end(w);
}

static void COLD_5_a_state_that_grew_too_old_in_a_cold_swap_is_not_delivered(void **state)
{
        struct world *w = *state;
        struct world_outcome outcome;

        world_start(w, WORLD_STATE "    state_ttl: 1ms\n");
        world_gate_open(w, "slow");
        world_migrate(w, "s", NULL, BT_STRATEGY_COLD, &outcome);
        assert_int_equal(outcome.outcome, BT_CTL_OK);
        assert_non_null(strstr(outcome.phases, "state_stale"));
        world_log_wait(w, "restored cold none", 1);
        RUN(0, "bytes        2", "state", "show", "s", "--quarantined");
        world_end(w);
}

static void COLD_5_with_fail_nobody_gets_it_and_the_next_hub_does(void **state)
{
        struct world *w = *state;
        struct world_outcome outcome;
        struct bt_slot slot;

        world_start(w, WORLD_STATE "    state_ttl: 1ms\n    on_bad_state: fail\n");
        world_gate_open(w, "slow");
        world_migrate(w, "s", NULL, BT_STRATEGY_COLD, &outcome);
        assert_int_equal(outcome.outcome, BT_CTL_FAILED);
        assert_non_null(strstr(outcome.text, "state_ttl"));
        world_until(w, "s", BT_PHASE_FAILED, 0, &slot);
        assert_non_null(strstr(slot.note, "older than state_ttl"));
        world_stop(w);
        world_start_again(w);
        world_log_wait(w, "restored reboot 'a1' v1", 1);
        world_end(w);
}

/* ---- refused ---- */

static void STATE_6_a_refused_state_is_given_restore_attempts_times_and_set_aside(void **state)
{
        struct world *w = *state;
        struct bt_slot slot;

        world_start(w, WORLD_STATE "    restore_attempts: 2\n");
        world_stop(w);
        world_gate_open(w, "refuse");
        world_start_again(w);
        world_log_wait(w, "s: its state could not be restored 2 times and was set aside: starting fresh", 1);
        world_until(w, "s", BT_PHASE_RUNNING, 2, &slot);
        assert_int_equal(world_log_count(w, "restore() failed"), 2);
        RUN(0, "checksums    ok", "state", "show", "s", "--quarantined");
        RUN(0, "", "state", "ls", "--json");
        expect_unsaid("\"quarantined\":false");
        world_end(w);
}

static void STATE_6_with_fail_it_waits_for_somebody_who_can_read_it(void **state)
{
        struct world *w = *state;
        struct world_outcome outcome;
        struct bt_slot slot;

        world_start(w, WORLD_STATE "    restore_attempts: 2\n    on_bad_state: fail\n");
        world_stop(w);
        world_gate_open(w, "refuse");
        world_start_again(w);
        world_until(w, "s", BT_PHASE_FAILED, 0, &slot);
        assert_non_null(strstr(slot.note, "could not be restored 2 times"));
        world_gate_close(w, "refuse"); /* the mistake is mended */
        upgrade(w, "state-2-1", &outcome);
        assert_int_equal(outcome.outcome, BT_CTL_OK);
        world_log_wait(w, "restored cold 'a1' v1", 1);
        RUN(0, "", "state", "ls", "--json");
        expect_unsaid("child");
        world_end(w);
}

/* ---- another version ---- */

static void STATE_2_a_binary_that_cannot_read_the_state_is_refused_before_anything_stops(void **state)
{
        struct world *w = *state;
        struct world_outcome outcome;
        struct bt_slot before, after;

        world_start(w, WORLD_STATE);
        world_slot(w, "s", &before);
        upgrade(w, "state-2-2", &outcome);
        assert_int_equal(outcome.outcome, BT_CTL_FAILED);
        assert_string_equal(outcome.phases, "describing unreadable rolled_back");
        assert_non_null(strstr(outcome.text, "state is 'text' version 1, this program reads 'text' versions 2 to 2"));
        world_slot(w, "s", &after);
        assert_int_equal(after.pid, before.pid);
        assert_int_equal(after.incarnation, before.incarnation);
        assert_int_equal(after.phase, BT_PHASE_RUNNING);
        assert_int_equal(world_log_count(w, "restored"), 1);
        world_end(w);
}

/* Up is what version_oldest is for. Down again there is no way: version 1 cannot know what version 2 writes, and is refused before it is tried. */
static void STATE_2_an_upgrade_reads_the_older_state_and_a_downgrade_is_refused(void **state)
{
        struct world *w = *state;
        struct world_outcome outcome;
        struct bt_slot slot;

        world_start(w, WORLD_STATE);
        upgrade(w, "state-2-1", &outcome);
        assert_int_equal(outcome.outcome, BT_CTL_OK);
        world_log_wait(w, "restored cold 'a1' v1", 1);
        world_slot(w, "s", &slot);
        upgrade(w, "state-1-1", &outcome);
        assert_int_equal(outcome.outcome, BT_CTL_FAILED);
        assert_non_null(strstr(outcome.text, "state is 'text' version 2, this program reads 'text' versions 1 to 1"));
        world_swap(w, "s", NULL, BT_STRATEGY_COLD);
        world_log_wait(w, "restored cold 'a12' v2", 1);
        world_end(w);
}

/* COLD-9: the state of a swap that failed was captured by version 1, so version 1 has it back. */
static void COLD_9_a_failed_upgrade_gives_the_state_back_to_the_version_that_captured_it(void **state)
{
        struct world *w = *state;
        struct world_outcome outcome;
        char path[256];

        world_start(w, WORLD_STATE "    restore_attempts: 1\n    child_migration_timeout: " WORLD_SHORT "\n");
        (void)snprintf(path, sizeof(path), "/bin/false");
        world_migrate(w, "s", path, BT_STRATEGY_COLD, &outcome);
        assert_int_equal(outcome.outcome, BT_CTL_FAILED);
        assert_non_null(strstr(outcome.phases, "not_described")); /* a program that says nothing is not known to be wrong */
        world_log_wait(w, "restored rollback 'a1' v1", 1);
        world_end(w);
}

static void STATE_2_a_binary_that_does_not_answer_in_time_is_tried_all_the_same(void **state)
{
        struct world *w = *state;
        struct world_outcome outcome;

        world_start(w, WORLD_STATE "    child_migration_timeout: " WORLD_SHORT "\n");
        world_gate_open(w, "version-mute");
        upgrade(w, "state-2-1", &outcome);
        assert_int_equal(outcome.outcome, BT_CTL_OK);
        assert_string_equal(outcome.phases, "describing not_described holding held querying captured stopping stopped starting ready restored committed");
        world_log_wait(w, "restored cold 'a1' v1", 1);
        world_end(w);
}

/* What it would do before it opens its handle, here wait for ever, is not done when it answers first. */
static void STATE_2_a_program_may_answer_before_anything_else(void **state)
{
        struct world *w = *state;
        struct world_outcome outcome;

        world_start(w, WORLD_STATE);
        world_gate_open(w, "version-mute");
        world_gate_open(w, "describes");
        upgrade(w, "state-2-1", &outcome);
        assert_int_equal(outcome.outcome, BT_CTL_OK);
        assert_string_equal(outcome.phases, "describing holding held querying captured stopping stopped starting ready restored committed");
        world_end(w);
}

static void STATE_2_a_child_that_dies_while_the_new_binary_is_asked_is_replaced_by_it(void **state)
{
        struct world *w = *state;
        struct world_outcome outcome;
        struct bt_slot slot;
        struct bt_ask ask;
        char path[256];

        world_start(w, WORLD_STATE "    child_migration_timeout: 60s\n");
        world_gate_open(w, "version-mute");
        world_slot(w, "s", &slot);
        (void)snprintf(path, sizeof(path), "%s/state-2-1", w->dir);
        ask = world_ask(w, BT_CTL_UPGRADE, "s", path, BT_STRATEGY_COLD);
        world_follow_to(&ask, "describing");
        assert_int_equal(kill(slot.pid, SIGKILL), 0);
        world_follow(&ask, &outcome);
        assert_int_equal(outcome.outcome, BT_CTL_OK);
        world_log_wait(w, "restored cold none", 1);
        world_end(w);
}

static void SHUT_1_a_stop_while_a_binary_is_asked_leaves_no_process(void **state)
{
        struct world *w = *state;
        struct world_outcome outcome;
        struct bt_ask ask;
        char path[256];

        world_start(w, WORLD_STATE "    child_migration_timeout: 60s\n");
        world_gate_open(w, "version-mute");
        (void)snprintf(path, sizeof(path), "%s/state-2-1", w->dir);
        ask = world_ask(w, BT_CTL_UPGRADE, "s", path, BT_STRATEGY_COLD);
        world_follow_to(&ask, "describing");
        assert_int_equal(kill(w->pid, SIGTERM), 0);
        world_follow(&ask, &outcome);
        assert_true(outcome.outcome != BT_CTL_OK);
        world_await_hub(w, 0);
        world_gate_close(w, "version-mute");
        world_start_again(w);
        world_log_wait(w, "restored reboot 'a1' v1", 1);
        world_end(w);
}

/* The process that was only asked is found in the registry and ended; the child itself is adopted. */
static void HOT_10_a_hub_killed_while_it_asks_leaves_no_process(void **state)
{
        struct world *w = *state;
        struct bt_slot before, after;
        struct bt_ask ask;
        char path[256];

        world_start(w, WORLD_STATE "    child_migration_timeout: 60s\n");
        world_slot(w, "s", &before);
        world_gate_open(w, "version-mute");
        (void)snprintf(path, sizeof(path), "%s/state-2-1", w->dir);
        ask = world_ask(w, BT_CTL_UPGRADE, "s", path, BT_STRATEGY_COLD);
        world_follow_to(&ask, "describing");
        world_kill_hub(w);
        bt_ask_close(&ask);
        world_start_again(w);
        world_log_wait(w, "of the hub before this one was ended", 1);
        world_slot(w, "s", &after);
        assert_int_equal(after.pid, before.pid);
        assert_int_equal(after.phase, BT_PHASE_RUNNING);
        world_stop(w);
        /* Both are ours since their first hub was killed. */
        assert_int_equal(world_wait(before.pid), 0);
        assert_int_equal(world_wait(-1), 128 + SIGKILL);
        world_end(w);
}

/* ---- rescue ---- */

static void I9_a_quarantined_state_is_exported_imported_and_restored(void **state)
{
        struct world *w = *state;
        struct bt_slot slot;

        world_start(w, WORLD_STATE "    restore_attempts: 1\n");
        world_stop(w);
        world_gate_open(w, "refuse");
        world_start_again(w);
        world_until(w, "s", BT_PHASE_RUNNING, 2, &slot);
        world_gate_close(w, "refuse");
        RUN(0, "514 bytes", "state", "export", "s", "saved", "--quarantined");
        RUN(1, "", "state", "export", "s", "saved",
            "--quarantined"); /* an existing file is not overwritten */
        RUN(1, "the child runs", "state", "import", "s", "saved");
        world_stop(w);
        /* A start that fails at once: the child is down, and the record it has now (of the fresh start) is set aside for the imported one. */
        world_start(w, WORLD_STATE "    restore_attempts: 1\n    on_bad_state: fail\n    stored_ttl: 1ms\n");
        world_until(w, "s", BT_PHASE_FAILED, 0, &slot);
        RUN(3, "no such child", "state", "import", "other", "saved");
        RUN(1, "no exported state", "state", "import", "s", "state-1-1");
        world_stop(w);
        world_start(w, WORLD_STATE "    restore_attempts: 1\n    on_bad_state: fail\n    stored_ttl: 1h\n");
        world_until(w, "s", BT_PHASE_RUNNING, 0, &slot);
        world_end(w);
}

static void I9_an_imported_state_is_what_a_child_that_is_down_starts_with(void **state)
{
        struct world *w = *state;
        struct bt_slot slot;

        world_start(w, WORLD_STATE "    on_bad_state: fail\n");
        world_stop(w);
        spoil_payload(w);
        world_start_again(w);
        world_until(w, "s", BT_PHASE_FAILED, 0, &slot);
        world_swap(w, "s", NULL, BT_STRATEGY_COLD); /* without a state */
        world_swap(w, "s", NULL, BT_STRATEGY_COLD);
        world_stop(w); /* 'a11' */
        world_gate_open(w, "refuse");
        world_start(w, WORLD_STATE "    on_bad_state: fail\n    restore_attempts: 1\n");
        world_until(w, "s", BT_PHASE_FAILED, 0, &slot);
        RUN(0, "s: ", "state", "export", "s", "saved");
        RUN(0, "dropped", "state", "drop", "s");
        world_gate_close(w, "refuse");
        RUN(0, "imported", "state", "import", "s", "saved");
        world_log_wait(w, "a state was imported", 1);
        world_swap(w, "s", NULL, BT_STRATEGY_COLD);
        world_log_wait(w, "restored cold 'a11' v1", 1);
        RUN(0, "", "state", "ls", "--json");
        expect_unsaid("\"quarantined\":false");
        world_end(w);
}

#define SCENARIO(name) cmocka_unit_test_setup_teardown(name, setup, world_teardown)

int main(void)
{
        const struct CMUnitTest tests[] = {
                SCENARIO(STATE_5_without_a_state_a_child_starts_fresh_and_nothing_is_said),
                SCENARIO(BUG_12_an_empty_state_is_not_an_absent_one),
                SCENARIO(SHUT_3_a_stored_state_is_delivered_once_and_then_gone_from_the_store),
                SCENARIO(BUG_8_what_is_stored_for_one_child_outlives_the_start_of_another),
                SCENARIO(COLD_7_a_mixed_start_delivers_what_it_finds_and_leaves_nothing),
                SCENARIO(COLD_6_restore_sees_both_states_and_decides),
                SCENARIO(COLD_6_a_program_without_callbacks_is_swapped),
                SCENARIO(STATE_1_a_child_that_takes_its_time_to_restore_holds_nobody_up),
                SCENARIO(STATE_4_a_corrupt_state_is_refused_and_kept_aside),
                SCENARIO(STATE_4_on_bad_state_fail_does_not_start_the_child),
                SCENARIO(STATE_3_a_state_older_than_its_ttl_is_not_loaded_after_a_reboot),
                SCENARIO(BUG_16_a_clock_that_was_set_back_does_not_revive_a_state),
                SCENARIO(BUG_16_a_reboot_alone_makes_no_state_stale),
                SCENARIO(STATE_3_keep_old_tries_again_until_the_state_is_good),
                SCENARIO(COLD_5_a_state_that_grew_too_old_in_a_cold_swap_is_not_delivered),
                SCENARIO(COLD_5_with_fail_nobody_gets_it_and_the_next_hub_does),
                SCENARIO(STATE_6_a_refused_state_is_given_restore_attempts_times_and_set_aside),
                SCENARIO(STATE_6_with_fail_it_waits_for_somebody_who_can_read_it),
                SCENARIO(STATE_2_a_binary_that_cannot_read_the_state_is_refused_before_anything_stops),
                SCENARIO(STATE_2_an_upgrade_reads_the_older_state_and_a_downgrade_is_refused),
                SCENARIO(COLD_9_a_failed_upgrade_gives_the_state_back_to_the_version_that_captured_it),
                SCENARIO(STATE_2_a_binary_that_does_not_answer_in_time_is_tried_all_the_same),
                SCENARIO(STATE_2_a_program_may_answer_before_anything_else),
                SCENARIO(STATE_2_a_child_that_dies_while_the_new_binary_is_asked_is_replaced_by_it),
                SCENARIO(SHUT_1_a_stop_while_a_binary_is_asked_leaves_no_process),
                SCENARIO(HOT_10_a_hub_killed_while_it_asks_leaves_no_process),
                SCENARIO(I9_a_quarantined_state_is_exported_imported_and_restored),
                SCENARIO(I9_an_imported_state_is_what_a_child_that_is_down_starts_with),
        };

        return cmocka_run_group_tests_name("states that cannot be used", tests, NULL, NULL);
}
