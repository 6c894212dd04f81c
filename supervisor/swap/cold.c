/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The cold swap: the predecessor is proved to be dead before the successor starts (I2), and the state waits in the baton.
 *
 *   DESCRIBING --the new binary can read it, or nobody knows--> QUERYING       (only with hand-over to another binary; else over: nothing happened)
 *
 *   QUERYING --answered, or mute--> STOPPING --exit seen--> STARTING --READY--> RESTORING --RESTORED--> over: committed
 *      (only with hand-over)            | too late: kill        |                   |
 *                                                               +-------------------+--- refused, died, too late --> DROPPING
 *                                                                                                                      | exit seen
 *      over: previous binary serves <--RESTORED-- BACK_RESTORING <--READY-- BACK_STARTING <----------------------------+
 *
 * The point of no return for the *new* binary is RESTORED in RESTORING. A failure before it starts the previous binary with the same state (COLD-9).
 * When that fails too, the restart policy goes on trying.
 */
#include "supervisor/swap/swap.h"

#include "base/check.h"

#define COLD_STATES(X) X(DESCRIBING) X(QUERYING) X(STOPPING) X(STARTING) X(RESTORING) X(DROPPING) X(BACK_STARTING) X(BACK_RESTORING)

enum bt_cold_state {
#define X(name) BT_COLD_S_##name,
        COLD_STATES(X)
#undef X
                _BT_COLD_S_N
};

/* clang-format off */
#define COLD_CELLS(X)                                                      \
        X(DESCRIBING,     DESCRIBED,    query)                             \
        X(DESCRIBING,     UNREADABLE,   describing_on_unreadable)          \
        X(DESCRIBING,     PRED_DIED,    start)                             \
        X(DESCRIBING,     PRED_GONE,    start)                             \
        X(DESCRIBING,     CANCEL,       describing_on_cancel)              \
        X(QUERYING,       CAPTURED,     querying_on_captured)              \
        X(QUERYING,       NOT_CAPTURED, querying_without_state)            \
        X(QUERYING,       TIMEOUT,      querying_without_state)            \
        X(QUERYING,       PRED_DIED,    start)                             \
        X(QUERYING,       PRED_GONE,    start)                             \
        X(QUERYING,       CANCEL,       nothing)                           \
        X(STOPPING,       CAPTURED,     nothing)                           \
        X(STOPPING,       NOT_CAPTURED, nothing)                           \
        X(STOPPING,       PRED_DIED,    start)                             \
        X(STOPPING,       PRED_GONE,    start)                             \
        X(STOPPING,       TIMEOUT,      stopping_on_timeout)               \
        X(STOPPING,       CANCEL,       nothing)                           \
        X(STARTING,       SPAWN_FAILED, starting_on_spawn_failed)          \
        X(STARTING,       READY,        starting_on_ready)                 \
        X(STARTING,       REFUSED,      drop_refused)                      \
        X(STARTING,       SUCC_EXIT,    starting_on_succ_exit)             \
        X(STARTING,       TIMEOUT,      starting_on_timeout)               \
        X(STARTING,       CANCEL,       nothing)                           \
        X(RESTORING,      RESTORED,     restoring_on_restored)             \
        X(RESTORING,      REFUSED,      drop_refused)                      \
        X(RESTORING,      SUCC_EXIT,    restoring_on_succ_exit)            \
        X(RESTORING,      TIMEOUT,      restoring_on_timeout)              \
        X(RESTORING,      CANCEL,       nothing)                           \
        X(DROPPING,       READY,        nothing)                           \
        X(DROPPING,       REFUSED,      nothing)                           \
        X(DROPPING,       RESTORED,     restoring_on_restored)             \
        X(DROPPING,       SUCC_EXIT,    go_back)                           \
        X(DROPPING,       CANCEL,       nothing)                           \
        X(BACK_STARTING,  SPAWN_FAILED, down)                              \
        X(BACK_STARTING,  READY,        back_on_ready)                     \
        X(BACK_STARTING,  REFUSED,      back_kill)                         \
        X(BACK_STARTING,  SUCC_EXIT,    down)                              \
        X(BACK_STARTING,  TIMEOUT,      back_kill)                         \
        X(BACK_STARTING,  CANCEL,       nothing)                           \
        X(BACK_RESTORING, RESTORED,     back_on_restored)                  \
        X(BACK_RESTORING, REFUSED,      back_kill)                         \
        X(BACK_RESTORING, SUCC_EXIT,    down)                              \
        X(BACK_RESTORING, TIMEOUT,      back_kill)                         \
        X(BACK_RESTORING, CANCEL,       nothing)
/* clang-format on */

static void nothing(struct bt_swap *swap, struct bt_swap_actions *out)
{
        (void)swap;
        (void)out;
}

static void stop(struct bt_swap *swap, struct bt_swap_actions *out)
{
        swap->state = BT_COLD_S_STOPPING;
        bt_swap_act(out, BT_SWAP_ACT_ARM_SHUTDOWN);
        bt_swap_act(out, BT_SWAP_ACT_STOP_PRED);
}

static void query(struct bt_swap *swap, struct bt_swap_actions *out)
{
        swap->state = BT_COLD_S_QUERYING;
        bt_swap_act(out, BT_SWAP_ACT_ARM_QUERY);
        bt_swap_act(out, BT_SWAP_ACT_QUERY);
}

/* STATE-2: nothing was stopped, so there is nothing to undo. */
static void describing_on_unreadable(struct bt_swap *swap, struct bt_swap_actions *out)
{
        swap->why = BT_SWAP_WHY_UNREADABLE;
        swap->over = true;
        bt_swap_act(out, BT_SWAP_ACT_FAIL);
}

static void describing_on_cancel(struct bt_swap *swap, struct bt_swap_actions *out)
{
        swap->why = BT_SWAP_WHY_CANCELLED;
        swap->over = true;
        bt_swap_act(out, BT_SWAP_ACT_FAIL);
}

static void querying_on_captured(struct bt_swap *swap, struct bt_swap_actions *out)
{
        stop(swap, out);
}

/* COLD-4: a mute child does not stop its migration. An arena may still be whole; a blob is lost, and that is said. */
static void querying_without_state(struct bt_swap *swap, struct bt_swap_actions *out)
{
        swap->state_lost = true;
        swap->timed_out = false; /* noted, but not the end of it */
        stop(swap, out);
}

static void stopping_on_timeout(struct bt_swap *swap, struct bt_swap_actions *out)
{
        swap->timed_out = false;
        bt_swap_act(out, BT_SWAP_ACT_KILL_PRED);
}

static void start(struct bt_swap *swap, struct bt_swap_actions *out)
{
        swap->state = BT_COLD_S_STARTING;
        bt_swap_act(out, BT_SWAP_ACT_ARM_MIGRATION);
        bt_swap_act(out, BT_SWAP_ACT_SPAWN_SUCC);
}

static void go_back(struct bt_swap *swap, struct bt_swap_actions *out)
{
        swap->state = BT_COLD_S_BACK_STARTING;
        bt_swap_act(out, BT_SWAP_ACT_ARM_MIGRATION);
        bt_swap_act(out, BT_SWAP_ACT_SPAWN_BACK);
}

static void drop(struct bt_swap *swap, struct bt_swap_actions *out, enum bt_swap_why why)
{
        swap->why = why;
        swap->state = BT_COLD_S_DROPPING;
        bt_swap_act(out, BT_SWAP_ACT_KILL_SUCC);
}

static void starting_on_spawn_failed(struct bt_swap *swap, struct bt_swap_actions *out)
{
        swap->why = BT_SWAP_WHY_SPAWN;
        go_back(swap, out);
}

static void starting_on_ready(struct bt_swap *swap, struct bt_swap_actions *out)
{
        swap->state = BT_COLD_S_RESTORING; /* under the deadline of the start */
        bt_swap_act(out, BT_SWAP_ACT_GRANT);
}

static void drop_refused(struct bt_swap *swap, struct bt_swap_actions *out)
{
        drop(swap, out, BT_SWAP_WHY_REFUSED);
}

static void starting_on_succ_exit(struct bt_swap *swap, struct bt_swap_actions *out)
{
        swap->why = BT_SWAP_WHY_EXITED;
        go_back(swap, out);
}

static void starting_on_timeout(struct bt_swap *swap, struct bt_swap_actions *out)
{
        drop(swap, out, BT_SWAP_WHY_NOT_READY);
}

static void restoring_on_restored(struct bt_swap *swap, struct bt_swap_actions *out)
{
        swap->why = BT_SWAP_WHY_NONE;
        swap->over = true;
        bt_swap_act(out, BT_SWAP_ACT_COMMIT);
        bt_swap_act(out, BT_SWAP_ACT_SUCCEED);
}

static void restoring_on_succ_exit(struct bt_swap *swap, struct bt_swap_actions *out)
{
        swap->why = BT_SWAP_WHY_DIED;
        go_back(swap, out);
}

static void restoring_on_timeout(struct bt_swap *swap, struct bt_swap_actions *out)
{
        drop(swap, out, BT_SWAP_WHY_NOT_RESTORED);
}

static void back_on_ready(struct bt_swap *swap, struct bt_swap_actions *out)
{
        swap->state = BT_COLD_S_BACK_RESTORING;
        bt_swap_act(out, BT_SWAP_ACT_GRANT);
}

static void back_on_restored(struct bt_swap *swap, struct bt_swap_actions *out)
{
        swap->over = true;
        bt_swap_act(out, BT_SWAP_ACT_COMMIT);
        bt_swap_act(out, BT_SWAP_ACT_FAIL);
}

static void back_kill(struct bt_swap *swap, struct bt_swap_actions *out)
{
        (void)swap;
        bt_swap_act(out, BT_SWAP_ACT_KILL_SUCC);
}

static void down(struct bt_swap *swap, struct bt_swap_actions *out)
{
        swap->over = true;
        bt_swap_act(out, BT_SWAP_ACT_FAIL_DOWN);
}

void bt_cold_begin(struct bt_swap *swap, bool handover, struct bt_swap_actions *ret_actions)
{
        *swap = (struct bt_swap){.kind = BT_SWAP_COLD, .state = BT_COLD_S_QUERYING, .handover = handover};
        ret_actions->count = 0;
        if (!handover) {
                stop(swap, ret_actions);
                return;
        }
        query(swap, ret_actions);
}

void bt_cold_begin_asking(struct bt_swap *swap, struct bt_swap_actions *ret_actions)
{
        *swap = (struct bt_swap){.kind = BT_SWAP_COLD, .state = BT_COLD_S_DESCRIBING, .handover = true};
        ret_actions->count = 0;
        bt_swap_act(ret_actions, BT_SWAP_ACT_DESCRIBE);
}

void bt_cold_begin_down(struct bt_swap *swap, struct bt_swap_actions *ret_actions)
{
        *swap = (struct bt_swap){.kind = BT_SWAP_COLD, .handover = true};
        ret_actions->count = 0;
        start(swap, ret_actions);
}

bt_swap_cell bt_cold_cell(uint32_t state, enum bt_swap_event event)
{
        static const bt_swap_cell cells[_BT_COLD_S_N][_BT_SWAP_EV_N] = {
#define X(state, event, fn) [BT_COLD_S_##state][BT_SWAP_EV_##event] = fn,
                COLD_CELLS(X)
#undef X
        };

        bt_assert(state < _BT_COLD_S_N);
        return cells[state][event];
}

const char *bt_cold_state_name(uint32_t state)
{
        static const char *const names[] = {
#define X(name) #name,
                COLD_STATES(X)
#undef X
        };

        return state < _BT_COLD_S_N ? names[state] : "?";
}
