/* SPDX-License-Identifier: Apache-2.0 */
/*
 * docs/spares.md on real processes: what is held runs no code, whoever dies; a spare is ready when it is wanted and fits; nothing is left over.
 */
#include <ctype.h>
#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "supervisor/loop/internal.h"
#include "tests/support/events.h"
#include "tests/support/held_board.h"
#include "tests/support/rows.h"
#include "tests/support/text.h"
#include "tests/support/wait.h"

/* ---- who is there ---- */

static pid_t parent_of(pid_t pid)
{
        char path[64], text[512];
        const char *at;
        ssize_t n;
        int fd;

        (void)snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
        fd = open(path, O_RDONLY | O_CLOEXEC);
        n = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);
        if (fd >= 0)
                (void)close(fd);
        text[n < 0 ? 0 : n] = '\0';
        at = strrchr(text, ')');
        return at && at[1] && at[2] ? (pid_t)strtol(at + 4, NULL, 10) : 0;
}

static void program_of(pid_t pid, char *path, size_t bytes)
{
        char link[64];
        ssize_t n;

        (void)snprintf(link, sizeof(link), "/proc/%d/exe", (int)pid);
        n = readlink(link, path, bytes - 1);
        path[n < 0 ? 0 : n] = '\0';
}

/* A process of the hub that is not @known and runs @program; 0: there is none. */
static pid_t other_process(const struct world *w, pid_t known, const char *program)
{
        DIR *dir = opendir("/proc");
        const struct dirent *entry;
        pid_t found = 0;
        char path[512];

        assert_non_null(dir);
        while (!found && (entry = readdir(dir))) {
                pid_t pid = isdigit((unsigned char)entry->d_name[0]) ? (pid_t)strtol(entry->d_name, NULL, 10) : 0;

                if (!pid || pid == known || parent_of(pid) != w->pid)
                        continue;
                program_of(pid, path, sizeof(path));
                if (strstr(path, program))
                        found = pid;
        }
        (void)closedir(dir);
        return found;
}

/* Until the child has a spare other than @known. */
static pid_t await_spare(struct world *w, const char *id, pid_t known)
{
        uint64_t deadline = wait_until(WORLD_WAIT_MS);
        struct bt_slot slot;

        for (world_slot(w, id, &slot); !slot.spare_pid || slot.spare_pid == known; world_slot(w, id, &slot)) {
                if (!wait_again(deadline))
                        fail_msg("%s has no new spare", id);
        }
        return slot.spare_pid;
}

/* ---- the board ---- */

static struct held_board *board_new(const struct world *w)
{
        char path[128];
        struct held_board *board;
        int fd;

        (void)snprintf(path, sizeof(path), "%s/board", w->dir);
        fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
        assert_true(fd >= 0);
        assert_int_equal(ftruncate(fd, sizeof(*board)), 0);
        board = mmap(NULL, sizeof(*board), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
        (void)close(fd);
        assert_true(board != MAP_FAILED);
        return board;
}

static void start_on_board(struct world *w, const char *program, const char *more)
{
        char yaml[1024];

        (void)snprintf(yaml, sizeof(yaml),
                       "hub: w\nchildren:\n  c: {exec: [\"@bin@/%s\"], handover: true, state: {form: blob, max: 4KiB}, "
                       "backoff: {min: 1ms, max: 2ms}, max_restarts: forever, env: {HELD_BOARD: \"@dir@/board\"%s\n",
                       program, more);
        world_start(w, yaml);
}

static void expect_in_order(const struct held_place *old, const struct held_place *young)
{
        assert_true(old->last_ns > 0);
        assert_true(young->library_ns > old->last_ns);
        assert_true(young->constructor_ns >= young->library_ns);
        assert_true(young->main_ns >= young->constructor_ns);
        assert_true(young->serve_ns >= young->main_ns);
}

/*
 * The predecessor does not end when it is told and stamps until it is killed. Meanwhile its successor exists, and no line of it has run, not even of
 * its library's constructor.
 */
static void COLD_1_no_code_of_a_held_successor_runs_before_the_end_of_its_predecessor(void **state)
{
        static const char *const programs[] = {"child_held", "child_held_shared"};
        static const char *const phases[] = {"holding", "held", "querying", "captured", "stopping", "stopped", "starting", "ready", "restored", NULL};
        struct world *w = *state;

        for (size_t i = 0; i < BT_ARRAY_LEN(programs); i++) {
                struct held_board *board = board_new(w);
                struct world_outcome outcome;
                struct bt_slot slot;
                struct bt_ask ask;
                char line[64];
                pid_t held;

                start_on_board(w, programs[i], ", HELD_HANG: \"1\"}, shutdown: " WORLD_SHORT "}");
                world_slot(w, "c", &slot);
                ask = world_ask(w, BT_CTL_SWAP, "c", NULL, BT_STRATEGY_COLD);
                world_follow_to(&ask, "stopping");
                held = other_process(w, slot.pid, programs[i]);
                assert_true(held > 0);
                assert_int_equal(board->count, 1);
                assert_int_equal(board->places[0].pid, slot.pid);
                world_follow(&ask, &outcome);
                assert_int_equal(outcome.outcome, BT_CTL_OK);
                text_expect_in_order(outcome.phases, phases + 5);
                assert_int_equal(board->count, 2);
                assert_int_equal(board->places[1].pid, held);
                expect_in_order(&board->places[0], &board->places[1]);
                (void)snprintf(line, sizeof(line), "c | serves 2");
                world_log_wait(w, line, 1);
                world_kill_hub(w);
                assert_true(world_reap_orphans() >= 1);
                (void)munmap(board, sizeof(*board));
        }
        start_on_board(w, "child_held", "}}");
        world_end(w);
}

static void SPARE_2_hold_false_starts_the_successor_after_the_end(void **state)
{
        static const struct {
                const char *program;
                const char *more;
        } rows[] = {{"child_held", "}, hold: false}"}, {"child_held_unmarked", "}}"}, {"child_held", ", LD_AUDIT: \"/nowhere.so\"}}"}};
        struct world *w = *state;

        for (size_t i = 0; i < BT_ARRAY_LEN(rows); i++) {
                struct held_board *board = board_new(w);
                struct world_outcome outcome;

                start_on_board(w, rows[i].program, rows[i].more);
                world_migrate(w, "c", NULL, BT_STRATEGY_COLD, &outcome);
                assert_int_equal(outcome.outcome, BT_CTL_OK);
                assert_string_equal(outcome.phases, "querying captured stopping stopped starting ready restored committed");
                expect_in_order(&board->places[0], &board->places[1]);
                world_kill_hub(w);
                assert_true(world_reap_orphans() >= 1);
                (void)munmap(board, sizeof(*board));
        }
        start_on_board(w, "child_held", "}}");
        world_end(w);
}

/* A copy whose library does not exist: the loader ends it, before its first line and before anything of the old process was stopped. */
static void COLD_9_a_program_that_lacks_a_library_stops_nothing(void **state)
{
        struct world *w = *state;
        struct world_outcome outcome;
        struct bt_slot before, after;
        char from[640], to[128];
        static char bytes[4 << 20];
        char *at;
        size_t n;
        FILE *file;

        start_on_board(w, "child_held", "}}");
        world_program(w, from, "child_held");
        (void)snprintf(to, sizeof(to), "%s/lacks", w->dir);
        file = fopen(from, "re");
        assert_non_null(file);
        n = fread(bytes, 1, sizeof(bytes), file);
        assert_int_equal(fclose(file), 0);
        assert_true(n > 0 && n < sizeof(bytes));
        at = memmem(bytes, n, "libheld_library.so", strlen("libheld_library.so"));
        assert_non_null(at);
        memcpy(at, "libheld_missing.so", strlen("libheld_missing.so"));
        file = fopen(to, "we");
        assert_non_null(file);
        assert_int_equal(fwrite(bytes, 1, n, file), n);
        assert_int_equal(fchmod(fileno(file), 0700), 0);
        assert_int_equal(fclose(file), 0);

        world_slot(w, "c", &before);
        world_migrate(w, "c", to, BT_STRATEGY_COLD, &outcome);
        assert_int_equal(outcome.outcome, BT_CTL_FAILED);
        assert_null(strstr(outcome.phases, "querying"));
        assert_null(strstr(outcome.phases, "stopping"));
        assert_non_null(strstr(outcome.text, "libheld_missing.so"));
        world_slot(w, "c", &after);
        assert_int_equal(after.pid, before.pid);
        assert_int_equal(after.incarnation, before.incarnation);
        assert_int_equal(after.phase, BT_PHASE_RUNNING);
        world_end(w);
}

/* ---- deaths of the held one ---- */

#define GATED "strategy: cold, handover: true, state: {form: blob, max: 64KiB}, env: {%s: \"@dir@/gate\"}"

/* Killed while the predecessor captures, and while it ends: the swap goes on as if none had been held. */
static void I8_a_held_successor_that_is_killed_is_replaced_after_the_end(void **state)
{
        static const char *const rows[][2] = {{"ROW_CAPTURE", "querying"}, {"ROW_TERMINATE", "stopping"}};
        struct world *w = *state;

        for (size_t i = 0; i < BT_ARRAY_LEN(rows); i++) {
                struct world_outcome outcome;
                struct bt_slot slot;
                struct bt_ask ask;
                char each[256], gate[128];
                pid_t held;

                (void)snprintf(each, sizeof(each), GATED, rows[i][0]);
                rows_start(w, 1, "", each);
                rows_set_values(w, 1);
                world_slot(w, "r0", &slot);
                ask = world_ask(w, BT_CTL_SWAP, "r0", NULL, BT_STRATEGY_COLD);
                world_follow_to(&ask, rows[i][1]);
                held = other_process(w, slot.pid, "child_rows");
                assert_true(held > 0);
                assert_int_equal(kill(held, SIGKILL), 0);
                world_until_gone(held);
                world_gate_open(w, "gate");
                world_follow(&ask, &outcome);
                assert_int_equal(outcome.outcome, BT_CTL_OK);
                rows_expect_values(w, 1, 1);
                world_slot(w, "r0", &slot);
                assert_true(slot.pid != held);
                (void)snprintf(gate, sizeof(gate), "%s/gate", w->dir);
                world_kill_hub(w);
                assert_true(world_reap_orphans() >= 1);
                assert_int_equal(unlink(gate), 0);
        }
        world_start_again(w);
        world_gate_open(w, "gate");
        world_end(w);
}

/* The predecessor is killed while its successor is held: the proof comes by itself. */
static void I8_a_predecessor_that_is_killed_lets_the_held_one_begin(void **state)
{
        struct world *w = *state;
        struct world_outcome outcome;
        struct bt_slot slot;
        struct bt_ask ask;
        char each[256];
        pid_t held;
        int fd;

        (void)snprintf(each, sizeof(each), "strategy: cold, handover: true, state: {form: arena, max: 1MiB}, env: {ROW_CAPTURE: \"@dir@/never\"}");
        rows_start(w, 1, "", each);
        rows_set_values(w, 1);
        world_slot(w, "r0", &slot);
        ask = world_ask(w, BT_CTL_SWAP, "r0", NULL, BT_STRATEGY_COLD);
        world_follow_to(&ask, "querying");
        held = other_process(w, slot.pid, "child_rows");
        assert_true(held > 0);
        assert_int_equal(kill(slot.pid, SIGKILL), 0);
        world_follow(&ask, &outcome);
        assert_int_equal(outcome.outcome, BT_CTL_OK);
        fd = rows_connect(w, 0);
        assert_int_equal(probe_number(fd, "value"), 1);
        assert_int_equal(probe_number(fd, "pid"), held);
        (void)close(fd);
        world_gate_open(w, "never");
        world_end(w);
}

/* Its parent is gone, so it is ours by now. */
static void killed_by_the_kernel(pid_t pid)
{
        int status;

        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
}

/* The hub is killed while one is held: the kernel ends it, and the next hub has nobody but who served. */
static void I8_a_held_process_ends_with_its_hub(void **state)
{
        struct world *w = *state;
        struct bt_slot slot;
        struct bt_ask ask;
        char each[256];
        pid_t held, spare;
        int fd;

        (void)snprintf(each, sizeof(each), GATED ", spare: true", "ROW_CAPTURE");
        rows_start(w, 2, "", each);
        rows_set_values(w, 2);
        spare = await_spare(w, "r1", 0);
        held = await_spare(w, "r0", 0);
        ask = world_ask(w, BT_CTL_SWAP, "r0", NULL, BT_STRATEGY_COLD);
        world_follow_to(&ask, "querying");
        world_kill_hub(w);
        bt_ask_close(&ask);
        killed_by_the_kernel(spare);
        killed_by_the_kernel(held);
        world_gate_open(w, "gate");
        world_start_again(w);
        world_until(w, "r1", BT_PHASE_RUNNING, 0, &slot);
        fd = rows_connect(w, 1);
        assert_int_equal(probe_number(fd, "pid"), slot.pid);
        (void)close(fd);
        world_until(w, "r0", BT_PHASE_RUNNING, 0, &slot);
        rows_expect_values(w, 2, 1);
        (void)await_spare(w, "r1", spare); /* and of the new hub, a new one */
        world_kill_hub(w); /* its children were adopted: they are ours in the end */
        assert_true(world_reap_orphans() >= 2);
        world_start_again(w);
        world_end(w);
}

/* ---- spares ---- */

static void SPARE_1_a_spare_takes_over_after_a_crash(void **state)
{
        struct world *w = *state;
        struct held_board *board = board_new(w);
        struct bt_slot slot;
        pid_t spare = 0;

        start_on_board(w, "child_held", "}, spare: true, healthy: 1ms}");
        for (int i = 1; i <= 5; i++) {
                uint64_t killed_ns;

                spare = await_spare(w, "c", spare);
                assert_int_equal(board->count, i); /* it has not run a line */
                world_slot(w, "c", &slot);
                killed_ns = held_now();
                assert_int_equal(kill(slot.pid, SIGKILL), 0);
                world_until(w, "c", BT_PHASE_RUNNING, slot.incarnation, &slot);
                assert_int_equal(slot.pid, spare);
                assert_int_equal(slot.incarnation, i + 1);
                assert_true(board->places[i].library_ns > killed_ns);
                assert_int_equal(board->places[i].pid, spare);
        }
        (void)munmap(board, sizeof(*board));
        world_end(w);
}

static bool loop_sees_marks(void)
{
        char reason[BT_LOOP_REASON_BYTES];
        struct bt_loop *loop = NULL;
        bool sees;

        assert_int_equal(bt_loop_new(&loop, reason), 0);
        sees = loop->has_futex;
        bt_loop_free(loop);
        return sees;
}

/* Who is traced when it dies is reaped by nobody else before its tracer: so long it is dead, and the hub does not know how it ended. */
static void SPARE_6_after_a_crash_the_next_process_is_begun_at_the_mark_and_held_until_the_exit(void **state)
{
        struct world *w = *state;
        struct held_board *board = board_new(w);
        struct bt_slot slot;
        uint64_t deadline;
        pid_t begun, dead;

        if (!loop_sees_marks()) {
                print_message("skipped: no futex in this kernel's io_uring\n");
                skip();
        }
        start_on_board(w, "child_held", "}, healthy: 1ms}");
        world_until(w, "c", BT_PHASE_RUNNING, 0, &slot);
        dead = slot.pid;
        if (ptrace(PTRACE_SEIZE, dead, NULL, NULL) < 0) {
                print_message("skipped: this user may not trace\n");
                skip();
        }
        assert_int_equal(kill(dead, SIGKILL), 0);
        deadline = wait_until(WORLD_WAIT_MS);
        while (!(begun = other_process(w, dead, "child_held")))
                assert_true(wait_again(deadline));
        world_slot(w, "c", &slot);
        assert_int_equal(slot.pid, dead);
        assert_int_equal(board->count, 1); /* it runs no line before the exit */

        assert_int_equal(waitpid(dead, NULL, __WALL), dead);
        world_until(w, "c", BT_PHASE_RUNNING, slot.incarnation, &slot);
        assert_int_equal(slot.pid, begun);
        assert_int_equal(slot.incarnation, 2);
        assert_int_equal(board->count, 2);
        assert_int_equal(slot.exit_code, SIGKILL);
        (void)munmap(board, sizeof(*board));
        world_end(w);
}

/* ---- in a group ---- */

#define MEMBER(id) "  " id ": {exec: [\"@bin@/child_named\"], handover: true, state: {form: blob, max: 4KiB}, env: {NAMED_PLACE: \"@dir@\"}}\n"

struct group_row {
        const char *strategy, *victim;
        bool begun;           /* at the mark */
        const char *order[8]; /* what is told */
};

static const struct group_row group_rows[] = {
        {"one_for_one", "db", true, {"db child_ended", "db child_starting crash", "db child_running"}},
        {"rest_for_one", "front", true, {"front child_ended", "front group_restarting web", "front child_starting crash", " group_started web"}},
        {"rest_for_one", "db", false, {"db child_ended", "db group_restarting web", "front child_stopped", "db child_starting crash", "db child_running", "front child_starting restart"}},
        {"one_for_all", "front", false, {"front child_ended", "front group_restarting web", "db child_stopped", "db child_starting restart", "db child_running", "front child_starting crash"}},
};

/* The dead one is a zombie by now, so its end is marked, and what the hub is asked after that it answers when it has seen the mark. */
static void await_mark(const struct world *w, pid_t dead)
{
        siginfo_t info;

        assert_int_equal(waitid(P_PID, (id_t)dead, &info, WEXITED | WNOWAIT | __WALL), 0);
        for (int i = 0; i < 2; i++)
                free(events_told(w));
}

/*
 * A member whose end costs nobody else is begun again at the mark; one for which others are stopped, or started before, is not: it would be held for as long as
 * they take. The order that is told is the same either way, and nothing of it before the exit.
 */
static void SPARE_6_in_a_group_the_next_process_is_begun_at_the_mark_where_nobody_else_pays(void **state)
{
        struct world *w = *state;

        if (!loop_sees_marks()) {
                print_message("skipped: no futex in this kernel's io_uring\n");
                skip();
        }
        for (size_t i = 0; i < BT_ARRAY_LEN(group_rows); i++) {
                const struct group_row *row = &group_rows[i];
                char yaml[1024], *told;
                struct bt_slot slot, other;
                pid_t others;

                (void)snprintf(yaml, sizeof(yaml), "hub: w\ngroups:\n  web: {strategy: %s, children: [db, front]}\nchildren:\n" MEMBER("db") MEMBER("front"), row->strategy);
                world_start(w, yaml);
                events_wait(w, " group_started web");
                world_slot(w, row->victim, &slot);
                world_slot(w, row->victim[0] == 'd' ? "front" : "db", &other);
                if (ptrace(PTRACE_SEIZE, slot.pid, NULL, NULL) < 0) {
                        print_message("skipped: this user may not trace\n");
                        skip();
                }
                assert_int_equal(kill(slot.pid, SIGKILL), 0);
                await_mark(w, slot.pid);
                others = other_process(w, other.pid, "child_named");
                assert_int_equal(others != 0, row->begun);
                told = events_told(w);
                assert_null(strstr(told, "child_ended")); /* nothing is decided yet */
                free(told);

                assert_int_equal(waitpid(slot.pid, NULL, __WALL), slot.pid);
                world_until(w, row->victim, BT_PHASE_RUNNING, slot.incarnation, &slot);
                if (row->begun)
                        assert_int_equal(slot.pid, others);
                events_wait_since(w, "children_started", row->order);
                world_stop(w);
        }
        world_start_again(w);
        world_end(w);
}

/* With clients, a state and descriptors that are passed: by any strategy the spare is the successor. */
static void SPARE_3_a_spare_is_the_successor_of_hot_and_cold_swaps(void **state)
{
        static const uint32_t strategies[] = {BT_STRATEGY_COLD, BT_STRATEGY_HOT, BT_STRATEGY_HOT, BT_STRATEGY_COLD};
        struct world *w = *state;
        pid_t spare = 0;
        int fd;

        world_start(w, WORLD_KV "    spare: true\n");
        fd = kv_dial(w);
        for (size_t i = 0; i < BT_ARRAY_LEN(strategies); i++) {
                struct world_outcome outcome;
                struct bt_slot slot;

                assert_int_equal(kv_number(fd, "INCR n"), (int)i + 1);
                spare = await_spare(w, "kv", spare);
                world_migrate(w, "kv", NULL, strategies[i], &outcome);
                assert_int_equal(outcome.outcome, BT_CTL_OK);
                world_slot(w, "kv", &slot);
                assert_int_equal(slot.pid, spare);
        }
        assert_int_equal(kv_number(fd, "INCR n"), BT_ARRAY_LEN(strategies) + 1);
        (void)close(fd);
        world_end(w);
}

static void SPARE_4_a_spare_is_of_the_committed_binary_and_of_the_present_baton(void **state)
{
        struct world *w = *state;
        char path[512];
        pid_t first, second;

        world_start(w, WORLD_KV "    spare: true\n");
        first = await_spare(w, "kv", 0);
        program_of(first, path, sizeof(path));
        assert_non_null(strstr(path, "kv-v1"));
        world_swap(w, "kv", "kv-v2-testing", BT_STRATEGY_HOT);
        second = await_spare(w, "kv", first);
        world_until_gone(first);
        program_of(second, path, sizeof(path));
        assert_non_null(strstr(path, "kv-v2"));
        world_end(w);
}

static void SPARE_4_a_swap_without_hand_over_leaves_its_spare_and_makes_another(void **state)
{
        struct world *w = *state;
        struct bt_slot slot;
        pid_t spare;

        rows_start(w, 1, "", "state: {form: arena, max: 1MiB}, spare: true");
        spare = await_spare(w, "r0", 0);
        world_swap(w, "r0", NULL, BT_STRATEGY_COLD);
        world_slot(w, "r0", &slot);
        assert_true(slot.pid != spare); /* it was made for the baton of before */
        spare = await_spare(w, "r0", spare);
        assert_int_equal(kill(slot.pid, SIGKILL), 0);
        world_until(w, "r0", BT_PHASE_RUNNING, slot.incarnation, &slot);
        assert_int_equal(slot.pid, spare);
        world_end(w);
}

static void SPARE_5_a_spare_that_dies_is_started_again_and_nobody_notices(void **state)
{
        struct world *w = *state;
        struct bt_slot slot;
        pid_t spare = 0;

        rows_start(w, 1, "", "handover: true, state: {form: blob, max: 64KiB}, spare: true, backoff: {min: 1ms, max: 4ms}");
        rows_set_values(w, 1);
        for (int i = 0; i < 10; i++) {
                spare = await_spare(w, "r0", spare);
                assert_int_equal(kill(spare, SIGKILL), 0);
        }
        (void)await_spare(w, "r0", spare);
        world_slot(w, "r0", &slot);
        assert_int_equal(slot.incarnation, 1);
        assert_int_equal(slot.restarts, 0);
        rows_expect_values(w, 1, 1);
        world_end(w);
}

static void I8_fifty_uses_of_a_spare_leave_the_hub_as_it_was(void **state)
{
        struct world *w = *state;
        pid_t spare = 0;
        int fd, before = 0;

        world_start(w, WORLD_KV "    spare: true\n");
        fd = kv_dial(w);
        for (int i = 0; i < 52; i++) {
                spare = await_spare(w, "kv", spare);
                if (i == 2) {
                        world_until_drained(w, "kv");
                        before = world_fd_count(w->pid);
                }
                world_swap(w, "kv", NULL, i % 3 ? BT_STRATEGY_COLD : BT_STRATEGY_HOT);
                assert_int_equal(kv_number(fd, "INCR n"), i + 1);
        }
        (void)await_spare(w, "kv", spare);
        world_until_drained(w, "kv");
        assert_int_equal(world_fd_count(w->pid), before);
        (void)close(fd);
        world_end(w);
}

#define SCENARIO(name) cmocka_unit_test_setup_teardown(name, world_setup, world_teardown)

int main(void)
{
        const struct CMUnitTest tests[] = {
                SCENARIO(COLD_1_no_code_of_a_held_successor_runs_before_the_end_of_its_predecessor),
                SCENARIO(SPARE_2_hold_false_starts_the_successor_after_the_end),
                SCENARIO(COLD_9_a_program_that_lacks_a_library_stops_nothing),
                SCENARIO(I8_a_held_successor_that_is_killed_is_replaced_after_the_end),
                SCENARIO(I8_a_predecessor_that_is_killed_lets_the_held_one_begin),
                SCENARIO(I8_a_held_process_ends_with_its_hub),
                SCENARIO(SPARE_1_a_spare_takes_over_after_a_crash),
                SCENARIO(SPARE_6_in_a_group_the_next_process_is_begun_at_the_mark_where_nobody_else_pays),
                SCENARIO(SPARE_3_a_spare_is_the_successor_of_hot_and_cold_swaps),
                SCENARIO(SPARE_4_a_spare_is_of_the_committed_binary_and_of_the_present_baton),
                SCENARIO(SPARE_4_a_swap_without_hand_over_leaves_its_spare_and_makes_another),
                SCENARIO(SPARE_6_after_a_crash_the_next_process_is_begun_at_the_mark_and_held_until_the_exit),
                SCENARIO(SPARE_5_a_spare_that_dies_is_started_again_and_nobody_notices),
                SCENARIO(I8_fifty_uses_of_a_spare_leave_the_hub_as_it_was),
        };

        return cmocka_run_group_tests_name("spares", tests, NULL, NULL);
}
