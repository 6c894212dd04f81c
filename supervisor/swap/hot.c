/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The hot swap: the successor is ready before the predecessor is told, and the predecessor lives until the successor has confirmed.
 *
 *   STARTING --READY--> OFFERED --PASSED--> PASSED --RESTORED--> over: committed, predecessor retires
 *      |                   |                   |
 *      |                   +-------------------+--- refused, died, too late --> UNDOING --SUCC_EXIT--> over: predecessor serves
 *      +--- refused, too late ------------------------------------------------>  |
 *   and the predecessor dies: STARTING --> ALONE_STARTING --READY--> ALONE; OFFERED, PASSED --> ALONE --RESTORED--> over: committed
 *
 * The point of no return is RESTORED, seen in whatever state: the word is HELD by the successor. ALONE has no way back either, because nobody is
 * left to go back to; when it fails the restart policy starts the previous binary. For the same reason a stop of the hub does not cancel it: a
 * successor that is killed cannot be asked for the state, and its deadline is armed anyway.
 *
 * Messages of the two processes reach the hub over two rings, in any order: RESTORED or REFUSED may be read before PASSED.
 */
#include "supervisor/swap/swap.h"

#include "base/check.h"

#define HOT_STATES(X) X(STARTING) X(OFFERED) X(PASSED) X(ALONE_STARTING) X(ALONE) X(UNDOING) X(UNDOING_ALONE)

enum bt_hot_state {
#define X(name) BT_HOT_S_##name,
        HOT_STATES(X)
#undef X
                _BT_HOT_S_N
};

/* clang-format off */
#define HOT_CELLS(X)                                                       \
        X(STARTING,      SPAWN_FAILED, starting_on_spawn_failed)           \
        X(STARTING,      READY,        starting_on_ready)                  \
        X(STARTING,      REFUSED,      undo_refused)                       \
        X(STARTING,      SUCC_EXIT,    starting_on_succ_exit)              \
        X(STARTING,      PRED_DIED,    starting_on_pred_exit)              \
        X(STARTING,      PRED_GONE,    starting_on_pred_exit)              \
        X(STARTING,      TIMEOUT,      starting_on_timeout)                \
        X(STARTING,      CANCEL,       undo_cancelled)                     \
        X(OFFERED,       PASSED,       offered_on_passed)                  \
        X(OFFERED,       NOT_PASSED,   offered_on_not_passed)              \
        X(OFFERED,       RESTORED,     commit)                             \
        X(OFFERED,       REFUSED,      undo_refused)                       \
        X(OFFERED,       SUCC_EXIT,    take_back_died)                     \
        X(OFFERED,       PRED_DIED,    offered_on_pred_died)               \
        X(OFFERED,       PRED_GONE,    go_alone)                           \
        X(OFFERED,       TIMEOUT,      offered_on_timeout)                 \
        X(OFFERED,       CANCEL,       undo_cancelled)                     \
        X(PASSED,        RESTORED,     commit)                             \
        X(PASSED,        REFUSED,      undo_refused)                       \
        X(PASSED,        SUCC_EXIT,    take_back_died)                     \
        X(PASSED,        PRED_GONE,    go_alone)                           \
        X(PASSED,        PRED_DIED,    go_alone)                           \
        X(PASSED,        TIMEOUT,      passed_on_timeout)                  \
        X(ALONE_STARTING, READY,       alone_starting_on_ready)            \
        X(ALONE_STARTING, REFUSED,     alone_undo)                         \
        X(ALONE_STARTING, SUCC_EXIT,   alone_failed)                       \
        X(ALONE_STARTING, TIMEOUT,     alone_undo)                         \
        X(ALONE_STARTING, CANCEL,      nothing)                            \
        X(ALONE,         RESTORED,     alone_on_restored)                  \
        X(ALONE,         REFUSED,      alone_undo)                         \
        X(ALONE,         SUCC_EXIT,    alone_failed)                       \
        X(ALONE,         TIMEOUT,      alone_undo)                         \
        X(ALONE,         CANCEL,       nothing)                            \
        X(UNDOING,       PASSED,       nothing)                            \
        X(UNDOING,       READY,        nothing)                            \
        X(UNDOING,       NOT_PASSED,   nothing)                            \
        X(UNDOING,       REFUSED,      nothing)                            \
        X(UNDOING,       CANCEL,       nothing)                            \
        X(UNDOING,       RESTORED,     commit)                             \
        X(UNDOING,       SUCC_EXIT,    undone)                             \
        X(UNDOING,       PRED_DIED,    undoing_on_pred_exit)               \
        X(UNDOING,       PRED_GONE,    undoing_on_pred_exit)               \
        X(UNDOING_ALONE, READY,        nothing)                            \
        X(UNDOING_ALONE, REFUSED,      nothing)                            \
        X(UNDOING_ALONE, CANCEL,       nothing)                            \
        X(UNDOING_ALONE, RESTORED,     alone_on_restored)                  \
        X(UNDOING_ALONE, SUCC_EXIT,    alone_failed)
/* clang-format on */

static void end(struct bt_swap *swap, struct bt_swap_actions *out, enum bt_swap_action how)
{
        swap->over = true;
        bt_swap_act(out, how);
}

static void undo(struct bt_swap *swap, struct bt_swap_actions *out, enum bt_swap_why why)
{
        swap->why = why;
        swap->state = BT_HOT_S_UNDOING;
        bt_swap_act(out, BT_SWAP_ACT_KILL_SUCC);
}

static void nothing(struct bt_swap *swap, struct bt_swap_actions *out)
{
        (void)swap;
        (void)out;
}

static void starting_on_spawn_failed(struct bt_swap *swap, struct bt_swap_actions *out)
{
        swap->why = BT_SWAP_WHY_SPAWN;
        end(swap, out, BT_SWAP_ACT_FAIL);
}

/* Without hand-over the successor has a baton of its own, fresh: nothing is asked of the predecessor until it retires. */
static void starting_on_ready(struct bt_swap *swap, struct bt_swap_actions *out)
{
        swap->state = swap->handover ? BT_HOT_S_OFFERED : BT_HOT_S_PASSED;
        bt_swap_act(out, BT_SWAP_ACT_ARM_DATA_WAIT);
        bt_swap_act(out, swap->handover ? BT_SWAP_ACT_OFFER : BT_SWAP_ACT_GRANT);
}

static void starting_on_succ_exit(struct bt_swap *swap, struct bt_swap_actions *out)
{
        swap->why = BT_SWAP_WHY_EXITED;
        end(swap, out, BT_SWAP_ACT_FAIL);
}

/*
 * The child crashed while its successor was on the way: the best successor there is is already half started. PRED_GONE, too: a child that
 * wrote nonsense into the holder word was not the holder when it died, and must not leave a migration behind that waits to return to it.
 */
static void starting_on_pred_exit(struct bt_swap *swap, struct bt_swap_actions *out)
{
        (void)out;
        swap->state = BT_HOT_S_ALONE_STARTING;
}

static void starting_on_timeout(struct bt_swap *swap, struct bt_swap_actions *out)
{
        undo(swap, out, BT_SWAP_WHY_NOT_READY);
}

static void undo_refused(struct bt_swap *swap, struct bt_swap_actions *out)
{
        /* It has given the word back itself, so the predecessor can serve before the refuser is dead. */
        bt_swap_act(out, BT_SWAP_ACT_TAKE_BACK);
        undo(swap, out, BT_SWAP_WHY_REFUSED);
}

static void undo_cancelled(struct bt_swap *swap, struct bt_swap_actions *out)
{
        bt_swap_act(out, BT_SWAP_ACT_WITHDRAW);
        undo(swap, out, BT_SWAP_WHY_CANCELLED);
}

static void offered_on_passed(struct bt_swap *swap, struct bt_swap_actions *out)
{
        (void)out; /* the deadline armed with the offer covers both halves */
        swap->state = BT_HOT_S_PASSED;
}

static void offered_on_not_passed(struct bt_swap *swap, struct bt_swap_actions *out)
{
        bt_swap_act(out, BT_SWAP_ACT_WITHDRAW);
        undo(swap, out, BT_SWAP_WHY_NOT_PASSED);
}

/* Withdrawing may come too late, by a hair: then the successor is restoring, is killed, and the word goes back when it is dead. */
static void offered_on_timeout(struct bt_swap *swap, struct bt_swap_actions *out)
{
        bt_swap_act(out, BT_SWAP_ACT_WITHDRAW);
        undo(swap, out, BT_SWAP_WHY_MUTE);
}

static void passed_on_timeout(struct bt_swap *swap, struct bt_swap_actions *out)
{
        undo(swap, out, BT_SWAP_WHY_NOT_RESTORED);
}

static void take_back_died(struct bt_swap *swap, struct bt_swap_actions *out)
{
        swap->why = BT_SWAP_WHY_DIED;
        bt_swap_act(out, BT_SWAP_ACT_TAKE_BACK);
        end(swap, out, BT_SWAP_ACT_FAIL);
}

static void offered_on_pred_died(struct bt_swap *swap, struct bt_swap_actions *out)
{
        swap->state = BT_HOT_S_ALONE;
        bt_swap_act(out, BT_SWAP_ACT_GRANT);
}

static void go_alone(struct bt_swap *swap, struct bt_swap_actions *out)
{
        (void)out;
        swap->state = BT_HOT_S_ALONE;
}

static void commit(struct bt_swap *swap, struct bt_swap_actions *out)
{
        swap->why = BT_SWAP_WHY_NONE;
        bt_swap_act(out, BT_SWAP_ACT_COMMIT);
        bt_swap_act(out, BT_SWAP_ACT_RETIRE_PRED);
        end(swap, out, BT_SWAP_ACT_SUCCEED);
}

static void undone(struct bt_swap *swap, struct bt_swap_actions *out)
{
        bt_swap_act(out, BT_SWAP_ACT_TAKE_BACK);
        end(swap, out, BT_SWAP_ACT_FAIL);
}

static void undoing_on_pred_exit(struct bt_swap *swap, struct bt_swap_actions *out)
{
        (void)out;
        swap->state = BT_HOT_S_UNDOING_ALONE;
}

/* A state of its own, so that READY said again and again does not arm the deadline again and again. */
static void alone_starting_on_ready(struct bt_swap *swap, struct bt_swap_actions *out)
{
        swap->state = BT_HOT_S_ALONE;
        bt_swap_act(out, BT_SWAP_ACT_ARM_DATA_WAIT);
        bt_swap_act(out, BT_SWAP_ACT_GRANT);
}

static void alone_on_restored(struct bt_swap *swap, struct bt_swap_actions *out)
{
        swap->why = BT_SWAP_WHY_NONE;
        bt_swap_act(out, BT_SWAP_ACT_COMMIT);
        end(swap, out, BT_SWAP_ACT_SUCCEED);
}

static void alone_undo(struct bt_swap *swap, struct bt_swap_actions *out)
{
        swap->why = BT_SWAP_WHY_PRED_DIED;
        swap->state = BT_HOT_S_UNDOING_ALONE;
        bt_swap_act(out, BT_SWAP_ACT_KILL_SUCC);
}

static void alone_failed(struct bt_swap *swap, struct bt_swap_actions *out)
{
        if (swap->why == BT_SWAP_WHY_NONE)
                swap->why = BT_SWAP_WHY_PRED_DIED;
        end(swap, out, BT_SWAP_ACT_FAIL_DOWN);
}

void bt_hot_begin(struct bt_swap *swap, bool handover, struct bt_swap_actions *ret_actions)
{
        *swap = (struct bt_swap){.kind = BT_SWAP_HOT, .state = BT_HOT_S_STARTING, .handover = handover};
        ret_actions->count = 0;
        bt_swap_act(ret_actions, BT_SWAP_ACT_ARM_MIGRATION);
        bt_swap_act(ret_actions, BT_SWAP_ACT_SPAWN_SUCC);
}

void bt_hot_resume(struct bt_swap *swap, bool alone, struct bt_swap_actions *ret_actions)
{
        *swap = (struct bt_swap){.kind = BT_SWAP_HOT, .state = alone ? BT_HOT_S_ALONE : BT_HOT_S_PASSED, .handover = true};
        ret_actions->count = 0;
        bt_swap_act(ret_actions, BT_SWAP_ACT_ARM_DATA_WAIT);
}

bt_swap_cell bt_hot_cell(uint32_t state, enum bt_swap_event event)
{
        static const bt_swap_cell cells[_BT_HOT_S_N][_BT_SWAP_EV_N] = {
#define X(state, event, fn) [BT_HOT_S_##state][BT_SWAP_EV_##event] = fn,
                HOT_CELLS(X)
#undef X
        };

        bt_assert(state < _BT_HOT_S_N);
        return cells[state][event];
}

const char *bt_hot_state_name(uint32_t state)
{
        static const char *const names[] = {
#define X(name) #name,
                HOT_STATES(X)
#undef X
        };

        return state < _BT_HOT_S_N ? names[state] : "?";
}
