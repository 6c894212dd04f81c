/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The migration machines in a hostile world: what must hold whatever two processes say, in whatever order, and whenever they die.
 *
 * The world is as small as it can be: two processes that live or do not, one timer that is armed or not, who was sent SIGKILL. Processes
 * that live may say anything at any time; processes that are gone say nothing; a start may fail; the hub may stop. Two ways to look:
 *
 *   explore   breadth first through all pairs of machine and world that can be reached, all events in each: a few hundred, so this is a proof.
 *             From each the *fair* events, exits of killed processes and deadlines that are over, must lead to the end.
 *   random    long random runs, for the same rules; the seed is printed, BATON_SEED= replays it. It would find what a mistake in the
 *             exploration's bookkeeping hid.
 *
 * The holder word is not here: see tests/model/holder.pml, where it is all there is.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/cleanup.h"
#include "supervisor/swap/swap.h"

#define NODES_MAX 4096

enum beginning { HOT_HANDOVER, HOT_FRESH, COLD_HANDOVER, COLD_FRESH, COLD_DOWN, COLD_ASKING, HELD_HANDOVER, HELD_FRESH, HELD_ASKING, _BEGINNINGS };

static const char *const beginning_names[] = {"hot", "hot without hand-over", "cold", "cold without hand-over", "down", "cold, asking first",
                                              "cold, held", "cold, held, without hand-over", "cold, held, asking first"};

/* No holes: nodes are compared as bytes. */
struct world {
        uint8_t pred;        /* alive */
        uint8_t succ;        /* alive */
        uint8_t pred_killed; /* sent SIGKILL: it will exit */
        uint8_t succ_killed;
        uint8_t timer;
        uint8_t spawning;    /* the start's result is not known yet: it may fail, now */
        uint8_t back;        /* the process in @succ is of the previous binary */
        uint8_t held;        /* the process in @succ may not run its program's code yet */
        uint8_t asking;      /* the new binary was started to be asked; it answers, or its deadline does */
};

struct node {
        struct bt_swap swap;
        struct world world;
};

static bool node_same(const struct node *a, const struct node *b)
{
        return a->swap.kind == b->swap.kind && a->swap.state == b->swap.state && a->swap.handover == b->swap.handover &&
               a->swap.over == b->swap.over && a->swap.timed_out == b->swap.timed_out && a->swap.state_lost == b->swap.state_lost &&
               a->swap.why == b->swap.why && !memcmp(&a->world, &b->world, sizeof(a->world));
}

/* ---- what the actions do to the world, and what must be true when they are performed ---- */

static void broken(const struct node *at, const char *event, const char *rule)
{
        fail_msg("%s: in %s, on %s", rule, bt_swap_state_name(&at->swap), event);
}

#define RULE(condition, rule)                                                                      \
        do {                                                                                       \
                if (!(condition))                                                                  \
                        broken(before, event, rule);                                               \
        } while (0)

static void perform_start(const struct node *before, struct world *w, enum bt_swap_action action, const char *event)
{
        RULE(!w->succ, "never two starts without an exit between");
        RULE(before->swap.kind == BT_SWAP_HOT || !w->pred, "cold: the predecessor's exit is seen before a start (I2)");
        RULE(before->swap.kind == BT_SWAP_COLD || action == BT_SWAP_ACT_SPAWN_SUCC, "only a cold swap goes back to the previous binary");
        w->succ = w->spawning = 1;
        w->asking = 0;
        w->succ_killed = 0;
        w->back = action == BT_SWAP_ACT_SPAWN_BACK;
        w->held = 0;
}

static void perform_hold(const struct node *before, struct world *w, const char *event)
{
        RULE(!w->succ && w->pred && before->swap.kind == BT_SWAP_COLD, "a successor is held beside a living predecessor, one at a time");
        w->succ = w->spawning = w->held = 1;
        w->succ_killed = w->back = 0;
}

static void perform_end(const struct node *before, const struct bt_swap *after, const struct world *w, enum bt_swap_action action,
                        bool committed, const char *event)
{
        RULE(after->over, "an ending action ends");
        RULE(after->over != before->swap.over, "it ends once");
        if (action == BT_SWAP_ACT_SUCCEED) {
                RULE(committed && !w->back, "success is a commit of the new binary");
                RULE(after->why == BT_SWAP_WHY_NONE, "success has no reason");
        } else {
                RULE(after->why != BT_SWAP_WHY_NONE, "a failure has a reason");
        }
        if (action == BT_SWAP_ACT_FAIL && before->swap.kind == BT_SWAP_HOT)
                RULE(w->pred && !w->pred_killed && !w->succ && !committed, "a failed hot swap leaves the predecessor, alone (I4)");
        if (action == BT_SWAP_ACT_FAIL && before->swap.kind == BT_SWAP_COLD)
                RULE((w->back && w->succ && committed) ||
                             (before->world.pred && w->pred && !w->pred_killed && !w->succ && strstr("DESCRIBING ASKING HOLDING LETTING_GO", bt_swap_state_name(&before->swap))),
                     "a failed cold swap leaves the previous binary serving (COLD-9)");
        if (action == BT_SWAP_ACT_FAIL_DOWN)
                RULE(!w->pred && !w->succ, "down means that nobody runs");
}

static void perform(const struct node *before, const struct bt_swap *after, struct world *w, enum bt_swap_action action, const char *event,
                    bool *committed)
{
        const bool restored = !strcmp(event, "RESTORED");

        switch (action) {
        case BT_SWAP_ACT_DESCRIBE:
                RULE(w->pred && before->swap.handover, "the new binary is asked while the old one serves (STATE-2)");
                w->asking = 1;
                break;
        case BT_SWAP_ACT_HOLD_SUCC:
                perform_hold(before, w, event);
                break;
        case BT_SWAP_ACT_RELEASE_SUCC:
                RULE(w->succ && w->held, "who is let go was held, and lives");
                RULE(!w->pred, "cold: the predecessor's exit is seen before the successor's first line (I2)");
                w->held = 0;
                break;
        case BT_SWAP_ACT_SPAWN_SUCC:
        case BT_SWAP_ACT_SPAWN_BACK:
                perform_start(before, w, action, event);
                break;
        case BT_SWAP_ACT_ARM_MIGRATION:
        case BT_SWAP_ACT_ARM_DATA_WAIT:
        case BT_SWAP_ACT_ARM_QUERY:
        case BT_SWAP_ACT_ARM_SHUTDOWN:
                w->timer = 1;
                break;
        case BT_SWAP_ACT_OFFER:
                RULE(before->swap.handover && w->pred && w->succ, "an offer is from one living process to another");
                break;
        case BT_SWAP_ACT_QUERY:
                RULE(w->pred && before->swap.handover, "a living process is queried");
                break;
        case BT_SWAP_ACT_STOP_PRED:
                RULE(w->pred && before->swap.kind == BT_SWAP_COLD, "a living process is stopped, by a cold swap");
                break;
        case BT_SWAP_ACT_GRANT:
                RULE(w->succ && !w->held, "a living process that may run is granted the baton");
                RULE(!w->pred || !before->swap.handover, "nothing is granted while the predecessor lives and has the baton (I1)");
                break;
        case BT_SWAP_ACT_WITHDRAW:
                RULE(before->swap.kind == BT_SWAP_HOT && w->pred, "withdrawn from a living predecessor");
                break;
        case BT_SWAP_ACT_TAKE_BACK:
                RULE(!strcmp(event, "SUCC_EXIT") || !strcmp(event, "REFUSED"), "taken back only after the exit, or the refusal");
                RULE(w->pred, "taken back for a living predecessor");
                break;
        case BT_SWAP_ACT_KILL_SUCC:
                RULE(w->succ, "a living process is killed");
                w->succ_killed = 1;
                break;
        case BT_SWAP_ACT_KILL_PRED:
                RULE(w->pred && before->swap.kind == BT_SWAP_COLD, "only a cold swap kills a predecessor");
                w->pred_killed = 1;
                break;
        case BT_SWAP_ACT_RETIRE_PRED:
                RULE(restored && w->pred, "the predecessor retires after RESTORED and not before");
                break;
        case BT_SWAP_ACT_COMMIT:
                RULE(restored && w->succ, "what is committed has confirmed (HOT-7)");
                *committed = true;
                break;
        case BT_SWAP_ACT_SUCCEED:
        case BT_SWAP_ACT_FAIL:
        case BT_SWAP_ACT_FAIL_DOWN:
                perform_end(before, after, w, action, *committed, event);
                break;
        case _BT_SWAP_ACT_N:
                RULE(false, "an action has a name");
                break;
        }
}

/* ---- one step ---- */

static bool said_by_pred(enum bt_swap_event event)
{
        return event == BT_SWAP_EV_PASSED || event == BT_SWAP_EV_NOT_PASSED || event == BT_SWAP_EV_CAPTURED || event == BT_SWAP_EV_NOT_CAPTURED;
}

static bool said_by_succ(enum bt_swap_event event)
{
        return event == BT_SWAP_EV_HELD || event == BT_SWAP_EV_READY || event == BT_SWAP_EV_RESTORED || event == BT_SWAP_EV_REFUSED;
}

/* Whether the world can produce the event. The result of a start is known before anything else happens. */
static bool possible(const struct world *w, enum bt_swap_event event)
{
        if (event == BT_SWAP_EV_SPAWN_FAILED)
                return w->spawning;
        if (event == BT_SWAP_EV_DESCRIBED || event == BT_SWAP_EV_UNREADABLE)
                return w->asking;
        if (said_by_pred(event))
                return w->pred;
        if (said_by_succ(event) || event == BT_SWAP_EV_SUCC_EXIT)
                return w->succ;
        if (event == BT_SWAP_EV_PRED_DIED || event == BT_SWAP_EV_PRED_GONE)
                return w->pred;
        return event != BT_SWAP_EV_TIMEOUT || w->timer;
}

/* What happens without anybody's good will. */
static bool fair(const struct world *w, enum bt_swap_event event)
{
        return (event == BT_SWAP_EV_DESCRIBED && w->asking) || (event == BT_SWAP_EV_SUCC_EXIT && w->succ && w->succ_killed) ||
               (event == BT_SWAP_EV_PRED_DIED && w->pred && w->pred_killed) || (event == BT_SWAP_EV_TIMEOUT && w->timer);
}

static bool is_exit(enum bt_swap_event event)
{
        return event == BT_SWAP_EV_SUCC_EXIT || event == BT_SWAP_EV_PRED_DIED || event == BT_SWAP_EV_PRED_GONE;
}

static void happens(struct world *w, enum bt_swap_event event)
{
        w->spawning = 0;
        if (event == BT_SWAP_EV_DESCRIBED || event == BT_SWAP_EV_UNREADABLE)
                w->asking = 0;
        if (event == BT_SWAP_EV_SUCC_EXIT || event == BT_SWAP_EV_SPAWN_FAILED)
                w->succ = w->succ_killed = w->held = 0;
        if (event == BT_SWAP_EV_PRED_DIED || event == BT_SWAP_EV_PRED_GONE)
                w->pred = w->pred_killed = 0;
        if (event == BT_SWAP_EV_TIMEOUT)
                w->timer = 0;
}

static void run_actions(const struct node *before, struct node *after, const struct bt_swap_actions *actions, const char *event)
{
        bool committed = false;

        for (uint32_t i = 0; i < actions->count; i++) {
                const bool last = i + 1 == actions->count;

                RULE(actions->list[i] < BT_SWAP_ACT_SUCCEED || last, "the end is the last action");
                perform(before, &after->swap, &after->world, actions->list[i], event, &committed);
        }
        RULE(!after->swap.over || (actions->count && actions->list[actions->count - 1] >= BT_SWAP_ACT_SUCCEED), "an end is reported");
        RULE(after->swap.over || after->world.timer || after->world.asking || after->world.succ_killed || after->world.pred_killed,
             "every wait has a deadline, or is for a process that was killed (I7)");
}

/* Returns the actions' count, or -1 when the event was out of place. */
static int step(const struct node *before, enum bt_swap_event what, struct node *ret_after)
{
        const char *event = bt_swap_event_name(what);
        struct bt_swap_actions actions = {.count = 99};
        struct node after = *before;
        int r;

        happens(&after.world, what);
        r = bt_swap_step(&after.swap, what, &actions);
        if (r) {
                struct node same = after;

                same.swap = before->swap;
                RULE(r == BT_SWAP_E_OUT_OF_PLACE && !actions.count && node_same(&same, &after), "out of place changes nothing");
                RULE(!is_exit(what) && what != BT_SWAP_EV_SPAWN_FAILED, "the exit of a process of the migration has a place everywhere");
        }
        run_actions(before, &after, &actions, event);
        *ret_after = after;
        return r ? -1 : (int)actions.count;
}

static struct node begin(enum beginning how)
{
        const char *event = "the beginning";
        struct bt_swap_actions actions;
        struct node now = {.world = {.pred = how != COLD_DOWN}};
        struct node first;
        const struct node *before = &first;

        if (how == HOT_HANDOVER || how == HOT_FRESH)
                bt_hot_begin(&now.swap, how == HOT_HANDOVER, &actions);
        else if (how == COLD_ASKING || how == HELD_ASKING)
                bt_cold_begin_asking(&now.swap, how == HELD_ASKING, &actions);
        else if (how == COLD_DOWN)
                bt_cold_begin_down(&now.swap, &actions);
        else
                bt_cold_begin(&now.swap, how == COLD_HANDOVER || how == HELD_HANDOVER, how == HELD_HANDOVER || how == HELD_FRESH, &actions);
        first = now;
        run_actions(before, &now, &actions, event);
        return now;
}

/* ---- the exploration ---- */

struct graph {
        struct node nodes[NODES_MAX];
        uint8_t ends[NODES_MAX];  /* the end is reached by fair events alone */
        uint8_t depth[NODES_MAX]; /* by how many of them */
        uint8_t mark[NODES_MAX];  /* of the search for cycles: 1 on the way, 2 done */
        uint32_t count;
        uint32_t edges;
};

static struct graph graph;

static uint32_t graph_find(const struct node *node)
{
        for (uint32_t i = 0; i < graph.count; i++) {
                if (node_same(&graph.nodes[i], node))
                        return i;
        }
        assert_true(graph.count < NODES_MAX);
        graph.nodes[graph.count] = *node;
        return graph.count++;
}

static void graph_explore(enum beginning how)
{
        struct node first = begin(how);

        memset(&graph, 0, sizeof(graph));
        (void)graph_find(&first);
        for (uint32_t i = 0; i < graph.count; i++) {
                for (int event = 0; event < _BT_SWAP_EV_N && !graph.nodes[i].swap.over; event++) {
                        struct node next;

                        if (!possible(&graph.nodes[i].world, (enum bt_swap_event)event))
                                continue;
                        (void)step(&graph.nodes[i], (enum bt_swap_event)event, &next);
                        (void)graph_find(&next);
                        graph.edges++;
                }
        }
}

/* Marks backwards from the ends until nothing changes. *All* fair events must lead on, whichever comes first. */
static bool graph_ends_round(void)
{
        bool changed = false;

        for (uint32_t i = 0; i < graph.count; i++) {
                uint32_t ways = 0, deepest = 0;
                bool all = true;

                if (graph.ends[i])
                        continue;
                for (int event = 0; event < _BT_SWAP_EV_N && !graph.nodes[i].swap.over; event++) {
                        struct node next;
                        uint32_t to;

                        if (!fair(&graph.nodes[i].world, (enum bt_swap_event)event))
                                continue;
                        (void)step(&graph.nodes[i], (enum bt_swap_event)event, &next);
                        to = graph_find(&next);
                        ways++;
                        all = all && graph.ends[to];
                        if (graph.depth[to] > deepest)
                                deepest = graph.depth[to];
                }
                if (graph.nodes[i].swap.over || (ways && all)) {
                        graph.ends[i] = 1;
                        graph.depth[i] = (uint8_t)(graph.nodes[i].swap.over ? 0 : deepest + 1);
                        changed = true;
                }
        }
        return changed;
}

static void from_every_reachable_state_the_machine_ends(void **state)
{
        (void)state;
        for (int how = 0; how < _BEGINNINGS; how++) {
                uint32_t deepest = 0, over = 0;

                graph_explore((enum beginning)how);
                while (graph_ends_round())
                        ;
                for (uint32_t i = 0; i < graph.count; i++) {
                        if (!graph.ends[i])
                                fail_msg("%s: %s never ends", beginning_names[how], bt_swap_state_name(&graph.nodes[i].swap));
                        over += graph.nodes[i].swap.over;
                        if (graph.depth[i] > deepest)
                                deepest = graph.depth[i];
                }
                assert_true(over > 0);
                print_message("%s: %u states of machine and world, %u steps, %u ends; at most %u deadlines and exits to an end\n",
                              beginning_names[how], graph.count, graph.edges, over, deepest);
        }
}

static bool arms(const struct node *node, enum bt_swap_event event)
{
        struct bt_swap swap = node->swap;
        struct bt_swap_actions actions;

        if (bt_swap_step(&swap, event, &actions))
                return false;
        for (uint32_t i = 0; i < actions.count; i++) {
                if (actions.list[i] >= BT_SWAP_ACT_ARM_MIGRATION && actions.list[i] <= BT_SWAP_ACT_ARM_SHUTDOWN)
                        return true;
        }
        return false;
}

/* True when @to can be reached from @from. */
static bool graph_leads(uint32_t from, uint32_t to)
{
        uint32_t stack[NODES_MAX];
        uint32_t used = 0;

        memset(graph.mark, 0, sizeof(graph.mark));
        stack[used++] = from;
        graph.mark[from] = 1;
        while (used) {
                uint32_t at = stack[--used];

                if (at == to)
                        return true;
                for (int event = 0; event < _BT_SWAP_EV_N && !graph.nodes[at].swap.over; event++) {
                        struct node next;
                        uint32_t i;

                        if (!possible(&graph.nodes[at].world, (enum bt_swap_event)event))
                                continue;
                        (void)step(&graph.nodes[at], (enum bt_swap_event)event, &next);
                        i = graph_find(&next);
                        if (!graph.mark[i]) {
                                graph.mark[i] = 1;
                                stack[used++] = i;
                        }
                }
        }
        return false;
}

/* Else a process could keep its migration open for ever by saying the same thing again (I7). */
static void no_cycle_arms_a_deadline(void **state)
{
        (void)state;
        for (int how = 0; how < _BEGINNINGS; how++) {
                graph_explore((enum beginning)how);
                for (uint32_t i = 0; i < graph.count; i++) {
                        for (int event = 0; event < _BT_SWAP_EV_N; event++) {
                                struct node next;

                                if (graph.nodes[i].swap.over || !possible(&graph.nodes[i].world, (enum bt_swap_event)event) ||
                                    !arms(&graph.nodes[i], (enum bt_swap_event)event))
                                        continue;
                                (void)step(&graph.nodes[i], (enum bt_swap_event)event, &next);
                                if (graph_leads(graph_find(&next), i))
                                        fail_msg("%s: %s on %s arms a deadline and can come back", beginning_names[how],
                                                 bt_swap_state_name(&graph.nodes[i].swap),
                                                 bt_swap_event_name((enum bt_swap_event)event));
                        }
                }
        }
}

/* ---- random runs ---- */

static uint64_t random_next(uint64_t *seed)
{
        *seed ^= *seed << 13;
        *seed ^= *seed >> 7;
        *seed ^= *seed << 17;
        return *seed;
}

static uint64_t random_seed(void)
{
        const char *given = getenv("BATON_SEED"); /* NOLINT(concurrency-mt-unsafe): one thread */
        struct timespec now;

        if (given)
                return strtoull(given, NULL, 0) | 1;
        (void)clock_gettime(CLOCK_REALTIME, &now);
        return ((uint64_t)now.tv_sec << 30 ^ (uint64_t)now.tv_nsec) | 1;
}

static void any_run_keeps_the_rules_and_ends(void **state)
{
        const bool longer = getenv("BATON_LONG") != NULL; /* NOLINT(concurrency-mt-unsafe): one thread */
        uint64_t seed = random_seed();
        uint64_t steps = 0;

        (void)state;
        print_message("BATON_SEED=%#llx\n", (unsigned long long)seed);
        for (int run = 0; run < (longer ? 2000000 : 100000); run++) {
                struct node node = begin((enum beginning)(random_next(&seed) % _BEGINNINGS));
                uint32_t length = 0;

                while (!node.swap.over) {
                        enum bt_swap_event event = (enum bt_swap_event)(random_next(&seed) % _BT_SWAP_EV_N);
                        struct node next;

                        /* Talk for a while; then nature takes its course. */
                        if (length > 40 ? !fair(&node.world, event) : !possible(&node.world, event))
                                continue;
                        (void)step(&node, event, &next);
                        node = next;
                        assert_true(++length < 60);
                }
                steps += length;
        }
        print_message("%llu steps\n", (unsigned long long)steps);
}

/* A rule about a state that is never reached would be no rule. */
static void the_exploration_visits_every_state_of_the_machines(void **state)
{
        (void)state;
        for (int kind = BT_SWAP_COLD; kind <= BT_SWAP_HOT; kind++) {
                bool seen[32] = {false};
                struct bt_swap swap = {.kind = (enum bt_swap_kind)kind};

                for (int how = 0; how < _BEGINNINGS; how++) {
                        graph_explore((enum beginning)how);
                        for (uint32_t i = 0; i < graph.count; i++) {
                                if (graph.nodes[i].swap.kind == swap.kind)
                                        seen[graph.nodes[i].swap.state] = true;
                        }
                }
                for (; strcmp(bt_swap_state_name(&swap), "?") != 0; swap.state++) {
                        if (!seen[swap.state])
                                fail_msg("%s is never reached", bt_swap_state_name(&swap));
                }
        }
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(from_every_reachable_state_the_machine_ends),
                cmocka_unit_test(no_cycle_arms_a_deadline),
                cmocka_unit_test(the_exploration_visits_every_state_of_the_machines),
                cmocka_unit_test(any_run_keeps_the_rules_and_ends),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
