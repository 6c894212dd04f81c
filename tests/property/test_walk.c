/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A random walk: a real hub, a child with an arena, a child with a blob, and whatever can happen to them, one thing after the other, against a model of
 * what a client may see.
 *
 *      step: pick a child and an operation ──► do it ──► wait until all is quiet ──► compare both children with the model ──► count on
 *
 * The model of a child is two numbers: the last acknowledged count, and the last incarnation. Quiet means: it runs, no predecessor is left, and the process
 * that answers is the one that the hub shows. Then
 *
 *      exactly one serves       fresh connections are all answered by that process
 *      incarnations grow        another process has a higher number, the same process has its old one
 *      nothing is lost          the count is the acknowledged one. An operation may excuse the loss of everything (never of a part):
 *
 *                               blob     its holder was killed or ended by itself; or the hub said "no_state"; or the hub died in a swap
 *                               arena    only when the hub died in the same moment as the one process that had the segment: a successor that
 *                                        crashed when it had confirmed (supervisor/keeper.h says why)
 *
 * Nobody is killed inside an update of the arena: the client has its answer before anything happens, and is the only one. At the end the hub stops with
 * status 0 and nothing is left (world_end).
 *
 * The seed is printed; BATON_SEED=... walks the same way again, BATON_LONG=1 walks twenty times as far.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/fd.h"
#include "tests/support/rows.h"
#include "tests/support/seed.h"
#include "tests/support/wait.h"

#define CHILDREN 2
#define STEPS 120
#define WALK_S (8 * WORLD_SLOWNESS) /* then it ends, however far it has come */

static const char yaml[] = "hub: w\n"
                           "sockets:\n"
                           "  r0: \"unix://@dir@/r0.sock\"\n"
                           "  r1: \"unix://@dir@/r1.sock\"\n"
                           "defaults:\n"
                           "  handover: true\n"
                           "  max_restarts: forever\n"
                           "  backoff: {min: 1ms, max: 2ms}\n"
                           "  handover_data_wait: 500ms\n"
                           "  child_migration_timeout: " WORLD_SHORT "\n"
                           "  state_query_timeout: 300ms\n"
                           "  shutdown: 300ms\n"
                           "children:\n"
                           "  r0: {exec: [\"@bin@/child_rows\"], sockets: [r0], state: {form: arena, max: 1MiB}}\n"
                           "  r1: {exec: [\"@bin@/child_rows\"], sockets: [r1], state: {form: blob, max: 4KiB}}\n";

struct model {
        long long count;
        uint64_t incarnation;
        pid_t pid;
        bool may_be_empty; /* what happened excuses that its state is gone */
        bool may_restart_numbers;
};

struct walk {
        struct world *w;
        struct seed seed;
        struct model child[CHILDREN];
        int step;
        char told[900]; /* the last steps, printed when one fails: cmocka cuts longer texts */
};

static void tell(struct walk *walk, const char *operation, const char *about, int child)
{
        size_t used = strlen(walk->told);

        if (used > sizeof(walk->told) - 160) {
                memmove(walk->told, walk->told + used / 2, used - used / 2 + 1);
                used = strlen(walk->told);
        }
        (void)snprintf(walk->told + used, sizeof(walk->told) - used, "\n%d: %s %s r%d", walk->step, operation, about, child);
        walk->w->row = walk->told;
}

static const char *id_of(int child)
{
        return child ? "r1" : "r0";
}

static bool is_blob(int child)
{
        return child == 1;
}

/* ---- a client that comes again when it is cut off ---- */

/* The answer, a number; -1: the connection ended. */
static long long ask_once(const struct world *w, int child, const char *what)
{
        int fd = rows_connect(w, child);
        char line[64];
        ssize_t n;

        (void)snprintf(line, sizeof(line), "%s\n", what);
        n = send(fd, line, strlen(line), MSG_NOSIGNAL);
        if (n > 0)
                n = recv(fd, line, sizeof(line) - 1, 0);
        if (n < 0 && errno == EAGAIN)
                fail_msg("r%d does not answer '%s'", child, what);
        (void)close(fd);
        if (n <= 0)
                return -1;
        line[n] = '\0';
        return strtoll(line, NULL, 10);
}

static long long ask_until_answered(const struct world *w, int child, const char *what)
{
        uint64_t deadline = wait_until(WORLD_WAIT_MS);
        long long number;

        for (number = ask_once(w, child, what); number < 0; number = ask_once(w, child, what)) {
                if (!wait_again(deadline))
                        fail_msg("r%d does not answer '%s'", child, what);
        }
        return number;
}

/* Adopted processes are ours, and so are their ends. The hub lives, or has been waited for. */
static void reap(void)
{
        while (waitpid(-1, NULL, WNOHANG) > 0)
                ;
}

/* Waits until one runs that answers as the one that is shown; returns what it shows. */
static struct bt_slot settle(struct walk *walk, int child)
{
        uint64_t deadline = wait_until(WORLD_WAIT_MS);
        struct bt_slot slot;

        for (;;) {
                reap();
                world_until(walk->w, id_of(child), BT_PHASE_RUNNING, 0, &slot);
                (void)kill(slot.pid, SIGCONT); /* it may be one that was stopped when it had said that it serves */
                if (!slot.draining && ask_once(walk->w, child, "pid") == slot.pid && ask_once(walk->w, child, "inc") == (long long)slot.incarnation) {
                        const struct bt_slot seen = slot;

                        world_slot(walk->w, id_of(child), &slot);
                        if (slot.phase == BT_PHASE_RUNNING && slot.incarnation == seen.incarnation && slot.pid == seen.pid && !slot.draining)
                                return slot;
                }
                if (!wait_again(deadline))
                        fail_msg("r%d does not come to rest: %s, incarnation %llu, process %d, %u draining", child, bt_phase_name(slot.phase),
                                 (unsigned long long)slot.incarnation, slot.pid, slot.draining);
        }
}

static void compare(struct walk *walk, int child)
{
        struct model *m = &walk->child[child];
        const struct bt_slot slot = settle(walk, child);
        long long count = ask_once(walk->w, child, "value");

        if (count != m->count && !(count == 0 && m->may_be_empty))
                fail_msg("r%d has %lld, acknowledged were %lld%s", child, count, m->count, m->may_be_empty ? " (or nothing)" : "");
        if (slot.incarnation < m->incarnation && !m->may_restart_numbers)
                fail_msg("r%d: incarnation %llu after %llu", child, (unsigned long long)slot.incarnation, (unsigned long long)m->incarnation);
        if ((slot.incarnation == m->incarnation) != (slot.pid == m->pid) && !m->may_restart_numbers)
                fail_msg("r%d: process %d was incarnation %llu, process %d is %llu", child, m->pid, (unsigned long long)m->incarnation, slot.pid,
                         (unsigned long long)slot.incarnation);
        for (int i = 0; i < 3; i++)
                assert_int_equal(ask_once(walk->w, child, "pid"), slot.pid);
        *m = (struct model){.count = count, .incarnation = slot.incarnation, .pid = slot.pid};
}

static void count_on(struct walk *walk, int child)
{
        struct model *m = &walk->child[child];

        for (uint64_t i = 1 + seed_below(&walk->seed, 4); i; i--) {
                assert_int_equal(ask_once(walk->w, child, "count"), m->count + 1);
                m->count++;
        }
}

/* ---- operations ---- */

static uint32_t some_strategy(struct walk *walk)
{
        return seed_below(&walk->seed, 2) ? BT_STRATEGY_HOT : BT_STRATEGY_COLD;
}

static const char *strategy_name(uint32_t strategy)
{
        return strategy == BT_STRATEGY_HOT ? "hot" : "cold";
}

/* What a swap's end excuses. */
static void excuse(struct walk *walk, int child, const struct world_outcome *outcome)
{
        if (is_blob(child) && strstr(outcome->phases, "no_state"))
                walk->child[child].may_be_empty = true;
}

/* A client has sent its request when the swap begins, and gets its answer from one of the two: the next number, once. */
static void a_swap(struct walk *walk, int child)
{
        struct model *m = &walk->child[child];
        uint32_t strategy = some_strategy(walk);
        struct world_outcome outcome;
        int fd = rows_connect(walk->w, child);
        long long now;

        tell(walk, "swap", strategy_name(strategy), child);
        assert_int_equal(probe_number(fd, "value"), m->count);
        probe_say(fd, "count");
        world_migrate(walk->w, id_of(child), NULL, strategy, &outcome);
        excuse(walk, child, &outcome);
        if (outcome.outcome == BT_CTL_OK && !m->may_be_empty) {
                char line[64];

                kv_line(fd, line, sizeof(line));
                assert_int_equal(strtoll(line, NULL, 10), ++m->count);
        } else { /* a busy machine: a deadline was reached. Whether the request was served is not known then */
                now = ask_until_answered(walk->w, child, "value");
                assert_true(now == m->count || now == m->count + 1 || (m->may_be_empty && now <= 1));
                m->count = now;
        }
        (void)close(fd);
}

/* A script of this step that has @variable=@point for the first process that runs it. */
static void faulty(struct walk *walk, char path[256], const char *variable, const char *point)
{
        char env[96], name[32];

        (void)snprintf(name, sizeof(name), "step%d", walk->step);
        (void)snprintf(env, sizeof(env), "%s=%s", variable, point);
        world_script_once(walk->w, path, name, env, "child_rows");
}

static const char *some_variable(struct walk *walk)
{
        static const char *const variables[] = {"BATON_KILL_AT", "BATON_EXIT_AT", "BATON_STOP_AT"};

        return variables[seed_below(&walk->seed, BT_ARRAY_LEN(variables))];
}

static const char *some_point_of_successor(struct walk *walk)
{
        static const char *const points[] = {"ready.before",  "ready.done",   "passed.seen", "restore.begin",
                                             "restore.done", "confirm.done", "serve.done"};

        return points[seed_below(&walk->seed, BT_ARRAY_LEN(points))];
}

/* One that is through and then stands still is not a failed swap but a stalled server: nobody but us would let it go on. */
static const char *not_stopped_for_ever(const char *variable, const char *point)
{
        return !strcmp(variable, "BATON_STOP_AT") && !strcmp(point, "serve.done") ? "BATON_KILL_AT" : variable;
}

static void a_faulty_successor(struct walk *walk, int child)
{
        uint32_t strategy = some_strategy(walk);
        const char *variable = some_variable(walk), *point = some_point_of_successor(walk);
        struct world_outcome outcome;
        char path[256];

        variable = not_stopped_for_ever(variable, point);
        tell(walk, variable, point, child);
        tell(walk, "  in the successor of a swap", strategy_name(strategy), child);
        faulty(walk, path, variable, point);
        world_migrate(walk->w, id_of(child), path, strategy, &outcome);
        excuse(walk, child, &outcome);
        /* It had confirmed: the swap is through, and the new holder crashed. */
        if (is_blob(child) && (!strcmp(point, "confirm.done") || !strcmp(point, "serve.done")))
                walk->child[child].may_be_empty = true;
}

static void a_faulty_predecessor(struct walk *walk, int child)
{
        static const char *const points[2][6] = {
                [BT_STRATEGY_HOT] = {"handover.begin", "capture.done", "capture.sealed", "pass.done", "retire.begin", "handover.begin"},
                [BT_STRATEGY_COLD] = {"capture.done", "capture.sealed", "release.done", "capture.done", "capture.sealed", "release.done"}};
        uint32_t strategy = some_strategy(walk);
        const char *variable = some_variable(walk), *point = points[strategy][seed_below(&walk->seed, 6)];
        struct world_outcome outcome;
        struct bt_slot slot;
        char path[256], plain[640];

        tell(walk, variable, point, child);
        tell(walk, "  in the predecessor of a swap", strategy_name(strategy), child);
        faulty(walk, path, variable, point);
        world_migrate(walk->w, id_of(child), path, BT_STRATEGY_HOT, &outcome);
        assert_int_equal(outcome.outcome, BT_CTL_OK);
        world_slot(walk->w, id_of(child), &slot);
        world_program(walk->w, plain, "child_rows");
        world_migrate(walk->w, id_of(child), plain, strategy, &outcome);
        (void)kill(slot.pid, SIGCONT);
        walk->child[child].may_be_empty = is_blob(child); /* its holder died, or was killed because it did not move */
}

static void a_killed_holder(struct walk *walk, int child)
{
        int signo = seed_below(&walk->seed, 3) ? SIGKILL : SIGTERM;
        struct bt_slot slot;

        tell(walk, "kill the holder", signo == SIGKILL ? "-9" : "-15", child);
        walk->child[child].may_be_empty = is_blob(child);
        assert_int_equal(kill(walk->child[child].pid, signo), 0);
        world_until(walk->w, id_of(child), BT_PHASE_RUNNING, walk->child[child].incarnation, &slot);
}

static void a_killed_holder_in_a_swap(struct walk *walk, int child)
{
        uint32_t strategy = some_strategy(walk);
        struct world_outcome outcome;
        struct bt_ask ask;

        tell(walk, "kill the holder in a swap", strategy_name(strategy), child);
        ask = world_ask(walk->w, BT_CTL_SWAP, id_of(child), NULL, strategy);
        world_follow_to(&ask, strategy == BT_STRATEGY_HOT ? "starting" : "querying");
        (void)kill(walk->child[child].pid, SIGKILL); /* may have gone already */
        walk->child[child].may_be_empty = is_blob(child);
        world_follow(&ask, &outcome);
}

/* Stopped past the deadlines, and then continued: hot, it serves on; cold, it was killed. */
static void a_stalled_holder(struct walk *walk, int child)
{
        uint32_t strategy = some_strategy(walk);
        pid_t pid = walk->child[child].pid;
        struct world_outcome outcome;

        tell(walk, "stall the holder in a swap", strategy_name(strategy), child);
        assert_int_equal(kill(pid, SIGSTOP), 0);
        world_until_stopped(pid);
        world_migrate(walk->w, id_of(child), NULL, strategy, &outcome);
        excuse(walk, child, &outcome);
        (void)kill(pid, SIGCONT);
        if (strategy == BT_STRATEGY_HOT)
                assert_int_equal(outcome.outcome, BT_CTL_TIMED_OUT);
}

static void a_stop_and_start(struct walk *walk, int child)
{
        tell(walk, "stop and start", "the hub of", child);
        world_stop(walk->w);
        reap();
        world_start_again(walk->w);
}

static void a_killed_hub(struct walk *walk, int child)
{
        tell(walk, "kill", "the hub of", child);
        world_kill_hub(walk->w);
        count_on(walk, child); /* they serve on */
        world_start_again(walk->w);
        for (int i = 0; i < CHILDREN; i++) {
                struct bt_slot slot;

                world_slot(walk->w, id_of(i), &slot);
                assert_int_equal(slot.pid, walk->child[i].pid);
        }
}

/* The swap's successor stands still somewhere, or is fast: the hub dies in the middle, or when it is over. */
static void a_killed_hub_in_a_swap(struct walk *walk, int child)
{
        uint32_t strategy = some_strategy(walk);
        const char *variable = some_variable(walk), *point = some_point_of_successor(walk);
        struct bt_ask ask;
        char path[256];
        bool alone;

        variable = not_stopped_for_ever(variable, point);
        tell(walk, variable, point, child);
        tell(walk, "  in the successor, and the hub is killed in the swap", strategy_name(strategy), child);
        faulty(walk, path, variable, point);
        ask = world_ask(walk->w, BT_CTL_UPGRADE, id_of(child), path, strategy);
        world_follow_to(&ask, strategy == BT_STRATEGY_HOT || seed_below(&walk->seed, 2) ? "starting" : "querying");
        world_kill_hub(walk->w);
        bt_ask_close(&ask);
        /* Dead once it had confirmed, and the old process gone: perhaps in the moment in which the hub dies. */
        alone = !strcmp(point, "confirm.done") || !strcmp(point, "serve.done");
        walk->child[child].may_be_empty = is_blob(child) || alone;
        walk->child[child].may_restart_numbers = alone;
        world_start_again(walk->w);
}

/* ---- the walk ---- */

static void step(struct walk *walk)
{
        static void (*const operations[])(struct walk *walk, int child) = {
                a_swap,          a_swap,          a_swap,           a_faulty_successor, a_faulty_successor, a_faulty_predecessor,
                a_killed_holder, a_stalled_holder, a_killed_holder_in_a_swap, a_stop_and_start, a_killed_hub,  a_killed_hub_in_a_swap,
        };
        int child = (int)seed_below(&walk->seed, CHILDREN);

        operations[seed_below(&walk->seed, BT_ARRAY_LEN(operations))](walk, child);
        for (int i = 0; i < CHILDREN; i++) {
                compare(walk, i);
                count_on(walk, i);
        }
}

static void what_a_client_sees_is_what_the_model_allows_whatever_happens(void **state)
{
        struct walk *walk = calloc(1, sizeof(*walk));
        uint64_t steps = seed_rounds(STEPS), deadline;

        assert_non_null(walk);
        walk->w = *state;
        walk->seed = seed_new();
        world_limit((unsigned)(seed_rounds(WALK_S) + WORLD_LIMIT_S));
        world_start(walk->w, yaml);
        for (int i = 0; i < CHILDREN; i++) {
                walk->child[i].may_restart_numbers = true; /* nothing is known of it yet */
                compare(walk, i);
                count_on(walk, i);
        }
        deadline = bt_now_ns() + seed_rounds(WALK_S) * BT_NS_PER_S;
        for (walk->step = 1; (uint64_t)walk->step <= steps && bt_now_ns() < deadline; walk->step++)
                step(walk);
        print_message("%d steps\n", walk->step - 1);
        world_stop(walk->w);
        reap(); /* adopted ones: the hub saw their end, we are their parent */
        walk->w->row = NULL;
        world_end(walk->w);
        free(walk);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(what_a_client_sees_is_what_the_model_allows_whatever_happens, world_setup, world_teardown),
        };

        return cmocka_run_group_tests_name("walk", tests, NULL, NULL);
}
