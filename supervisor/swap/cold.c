/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The cold swap: the predecessor is proved to be dead before the successor starts (I2), and the state waits in the baton.
 *
 *   DESCRIBING --the new binary can read it, or nobody knows--> QUERYING       (only with hand-over to another binary; else over: nothing happened)
 *   ASKING ------the same, of a program that can be held------> HOLDING
 *
 *   QUERYING --answered, or mute--> STOPPING --exit seen--> STARTING --READY--> RESTORING --RESTORED--> over: committed
 *      (only with hand-over)            | too late: kill        |                   |
 *                                                               +-------------------+--- refused, died, too late --> DROPPING
 *                                                                                                                      | exit seen
 *      over: previous binary serves <--RESTORED-- BACK_RESTORING <--READY-- BACK_STARTING <----------------------------+
 *
 * A program that can be held is started first and stopped before its first line; "started" above is then "let go", which is all that is left to do
 * when the exit was seen. A held process that is lost leaves the swap as if there had been none:
 *
 *   HOLDING --HELD--> HELD_QUERYING --answered, or mute--> HELD_STOPPING --exit seen--> STARTING
 *      | refused, died, too late: over, nothing happened       |                            its exit: QUERYING, STOPPING
 *
 * The point of no return for the *new* binary is RESTORED in RESTORING. A failure before it starts the previous binary with the same state (COLD-9).
 * When that fails too, the restart policy goes on trying.
 */
#include "supervisor/swap/swap.h"

#include "base/check.h"

#define COLD_STATES(X)                                                                             \
        X(DESCRIBING) X(ASKING) X(HOLDING) X(LETTING_GO) X(HELD_QUERYING) X(HELD_STOPPING) X(QUERYING) X(STOPPING) X(STARTING) X(RESTORING) X(DROPPING) X(BACK_STARTING) X(BACK_RESTORING)

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
        X(ASKING,         DESCRIBED,    hold)                              \
        X(ASKING,         UNREADABLE,   describing_on_unreadable)          \
        X(ASKING,         PRED_DIED,    start)                             \
        X(ASKING,         PRED_GONE,    start)                             \
        X(ASKING,         CANCEL,       describing_on_cancel)              \
        X(HOLDING,        HELD,         holding_on_held)                   \
        X(HOLDING,        SPAWN_FAILED, holding_on_spawn_failed)           \
        X(HOLDING,        SUCC_EXIT,    holding_on_succ_exit)              \
        X(HOLDING,        PRED_DIED,    release)                           \
        X(HOLDING,        PRED_GONE,    release)                           \
        X(HOLDING,        TIMEOUT,      holding_on_timeout)                \
        X(HOLDING,        CANCEL,       holding_on_cancel)                 \
        X(LETTING_GO,     HELD,         nothing)                           \
        X(LETTING_GO,     SUCC_EXIT,    letting_go_on_succ_exit)           \
        X(LETTING_GO,     PRED_DIED,    letting_go_on_pred_exit)           \
        X(LETTING_GO,     PRED_GONE,    letting_go_on_pred_exit)           \
        X(LETTING_GO,     CANCEL,       nothing)                           \
        X(HELD_QUERYING,  CAPTURED,     held_stop)                         \
        X(HELD_QUERYING,  NOT_CAPTURED, held_querying_without_state)       \
        X(HELD_QUERYING,  TIMEOUT,      held_querying_without_state)       \
        X(HELD_QUERYING,  SUCC_EXIT,    held_querying_on_succ_exit)        \
        X(HELD_QUERYING,  PRED_DIED,    release)                           \
        X(HELD_QUERYING,  PRED_GONE,    release)                           \
        X(HELD_QUERYING,  CANCEL,       nothing)                           \
        X(HELD_STOPPING,  CAPTURED,     nothing)                           \
        X(HELD_STOPPING,  NOT_CAPTURED, nothing)                           \
        X(HELD_STOPPING,  SUCC_EXIT,    held_stopping_on_succ_exit)        \
        X(HELD_STOPPING,  PRED_DIED,    release)                           \
        X(HELD_STOPPING,  PRED_GONE,    release)                           \
        X(HELD_STOPPING,  TIMEOUT,      stopping_on_timeout)               \
        X(HELD_STOPPING,  CANCEL,       nothing)                           \
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

/* ---- with a successor that is held ---- */

static void hold(struct bt_swap *swap, struct bt_swap_actions *out)
{
        swap->state = BT_COLD_S_HOLDING;
        bt_swap_act(out, BT_SWAP_ACT_ARM_MIGRATION);
        bt_swap_act(out, BT_SWAP_ACT_HOLD_SUCC);
}

static void held_stop(struct bt_swap *swap, struct bt_swap_actions *out)
{
        stop(swap, out);
        swap->state = BT_COLD_S_HELD_STOPPING;
}

static void holding_on_held(struct bt_swap *swap, struct bt_swap_actions *out)
{
        if (!swap->handover) {
                held_stop(swap, out);
                return;
        }
        query(swap, out);
        swap->state = BT_COLD_S_HELD_QUERYING;
}

/* COLD-9: nothing was stopped. */
static void holding_on_spawn_failed(struct bt_swap *swap, struct bt_swap_actions *out)
{
        swap->why = BT_SWAP_WHY_SPAWN;
        swap->over = true;
        bt_swap_act(out, BT_SWAP_ACT_FAIL);
}

static void holding_on_succ_exit(struct bt_swap *swap, struct bt_swap_actions *out)
{
        swap->why = BT_SWAP_WHY_EXITED;
        swap->over = true;
        bt_swap_act(out, BT_SWAP_ACT_FAIL);
}

static void let_go(struct bt_swap *swap, struct bt_swap_actions *out, enum bt_swap_why why)
{
        swap->why = why;
        swap->state = BT_COLD_S_LETTING_GO;
        bt_swap_act(out, BT_SWAP_ACT_KILL_SUCC);
}

static void holding_on_timeout(struct bt_swap *swap, struct bt_swap_actions *out)
{
        let_go(swap, out, BT_SWAP_WHY_NOT_HELD);
}

static void holding_on_cancel(struct bt_swap *swap, struct bt_swap_actions *out)
{
        let_go(swap, out, BT_SWAP_WHY_CANCELLED);
}

static void letting_go_on_succ_exit(struct bt_swap *swap, struct bt_swap_actions *out)
{
        swap->over = true;
        bt_swap_act(out, BT_SWAP_ACT_FAIL);
}

/* Nobody is left to spare: the previous binary is started, after the exit of the one that was killed. */
static void letting_go_on_pred_exit(struct bt_swap *swap, struct bt_swap_actions *out)
{
        (void)out;
        swap->state = BT_COLD_S_DROPPING;
}

static void held_querying_without_state(struct bt_swap *swap, struct bt_swap_actions *out)
{
        querying_without_state(swap, out);
        swap->state = BT_COLD_S_HELD_STOPPING;
}

static void held_querying_on_succ_exit(struct bt_swap *swap, struct bt_swap_actions *out)
{
        (void)out;
        swap->state = BT_COLD_S_QUERYING;
}

static void held_stopping_on_succ_exit(struct bt_swap *swap, struct bt_swap_actions *out)
{
        (void)out;
        swap->state = BT_COLD_S_STOPPING;
}

/* I2: the predecessor's end is proved. */
static void release(struct bt_swap *swap, struct bt_swap_actions *out)
{
        swap->state = BT_COLD_S_STARTING;
        bt_swap_act(out, BT_SWAP_ACT_ARM_MIGRATION);
        bt_swap_act(out, BT_SWAP_ACT_RELEASE_SUCC);
}

/* ---- the successor begins ---- */

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

void bt_cold_begin(struct bt_swap *swap, bool handover, bool held, struct bt_swap_actions *ret_actions)
{
        *swap = (struct bt_swap){.kind = BT_SWAP_COLD, .state = BT_COLD_S_QUERYING, .handover = handover};
        ret_actions->count = 0;
        if (held)
                hold(swap, ret_actions);
        else if (handover)
                query(swap, ret_actions);
        else
                stop(swap, ret_actions);
}

void bt_cold_begin_asking(struct bt_swap *swap, bool held, struct bt_swap_actions *ret_actions)
{
        *swap = (struct bt_swap){.kind = BT_SWAP_COLD, .state = held ? BT_COLD_S_ASKING : BT_COLD_S_DESCRIBING, .handover = true};
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
