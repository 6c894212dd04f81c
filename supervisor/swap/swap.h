/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * The machines behind a migration and a shutdown. Pure: an event and the time come in, actions go out. No clock, descriptor, process or memory
 * is touched here; the same tables run in tests against fakes. docs/swap.md has them as pictures.
 *
 *      bt_hot_begin() / bt_cold_begin()  ->  actions
 *      bt_swap_step(machine, event, now) ->  actions, until machine.over
 *
 * The caller (supervisor/migrate_act.c) performs the actions in order. A process' last words are read before its exit becomes an event,
 * and an exit is fed in as what it means for the holder word (see BT_SWAP_EV_PRED_DIED), so the machines need not look at the word.
 *
 * Children can send what they like: an event that has no cell in a state is BT_SWAP_E_OUT_OF_PLACE, changes nothing, and is counted.
 */

#include <stdbool.h>
#include <stdint.h>

/* Events. pred: the predecessor's process, succ: the successor's. */
#define BT_SWAP_EVENTS(X)                                                                          \
        X(DESCRIBED)    /* the new binary can read the state, or nobody knows */                   \
        X(UNREADABLE)   /* the new binary says that it cannot */                                   \
        X(SPAWN_FAILED) /* the successor could not be started */                                   \
        X(HELD)         /* cold, succ: stopped before its first line */                            \
        X(READY)        /* succ: could serve */                                                    \
        X(PASSED)       /* pred: captured, and moved the word to succ */                           \
        X(NOT_PASSED)   /* pred: could not capture; it serves on */                                \
        X(CAPTURED)     /* pred, cold: captured, and laid the baton down */                        \
        X(NOT_CAPTURED) /* pred, cold: answered, but has no state to give */                       \
        X(RESTORED)     /* succ: holds the baton, serves */                                        \
        X(REFUSED)      /* succ: cannot; the word, if it had it, is given back */                  \
        X(SUCC_EXIT)    /* succ's exit was seen; it does not hold the baton */                     \
        X(PRED_DIED)    /* pred's exit was seen, and it was the holder */                          \
        X(PRED_GONE)    /* pred's exit was seen, it had given the baton away */                    \
        X(TIMEOUT)      /* the deadline that was armed last is over */                             \
        X(CANCEL)       /* the hub stops, or the child is removed */

enum bt_swap_event {
#define X(name) BT_SWAP_EV_##name,
        BT_SWAP_EVENTS(X)
#undef X
                _BT_SWAP_EV_N
};

#define BT_SWAP_ACTIONS(X)                                                                         \
        X(DESCRIBE)       /* cold: ask the new binary what it can read */                          \
        X(HOLD_SUCC)      /* cold: start the new binary, to be stopped before its first line */    \
        X(RELEASE_SUCC)   /* cold: let it begin */                                                 \
        X(SPAWN_SUCC)     /* start the new binary */                                               \
        X(SPAWN_BACK)     /* cold: start the previous binary with the same state */                \
        X(ARM_MIGRATION)  /* deadline: child_migration_timeout */                                  \
        X(ARM_DATA_WAIT)  /* deadline: handover_data_wait */                                       \
        X(ARM_QUERY)      /* deadline: state_query_timeout */                                      \
        X(ARM_SHUTDOWN)   /* deadline: shutdown of the predecessor */                              \
        X(OFFER)          /* HELD -> OFFERED; HANDOVER to pred, SPIN to succ */                    \
        X(QUERY)          /* CAPTURE to pred */                                                    \
        X(STOP_PRED)      /* TERMINATE to pred */                                                  \
        X(GRANT)          /* VACANT -> PASSED(succ, 0) */                                          \
        X(WITHDRAW)       /* OFFERED -> HELD, if it still is; RESUME to pred */                    \
        X(TAKE_BACK)      /* succ cannot run any more or has refused: PASSED -> HELD; RESUME to pred */ \
        X(KILL_SUCC)      /* SIGKILL; its exit will be an event */                                 \
        X(KILL_PRED)                                                                               \
        X(RETIRE_PRED)    /* RETIRE to pred; its retention begins */                               \
        X(COMMIT)         /* succ is the child's incarnation, its binary the child's binary */     \
        X(SUCCEED)        /* over: report it */                                                    \
        X(FAIL)           /* over: report why; the predecessor, or the previous binary, serves */  \
        X(FAIL_DOWN)      /* over: report why; nobody serves: the restart policy takes it from here */

enum bt_swap_action {
#define X(name) BT_SWAP_ACT_##name,
        BT_SWAP_ACTIONS(X)
#undef X
                _BT_SWAP_ACT_N
};

/* Why a migration did not go through. */
#define BT_SWAP_WHYS(X)                                                                            \
        X(NONE, "")                                                                                \
        X(SPAWN, "the new process could not be started")                                           \
        X(NOT_HELD, "the new process did not stop before its first line (hold: false starts it after the old one's end)") \
        X(EXITED, "the new process ended before it was ready")                                     \
        X(NOT_READY, "the new process was not ready in time (child_migration_timeout)")            \
        X(REFUSED, "the new process refused the state")                                            \
        X(NOT_PASSED, "the old process could not capture its state")                               \
        X(MUTE, "the old process did not hand over in time (handover_data_wait)")                  \
        X(NOT_RESTORED, "the new process did not restore in time")            \
        X(DIED, "the new process died while it restored")                                          \
        X(PRED_DIED, "the old process died, and the new one could not take over")                  \
        X(UNREADABLE, "the new program cannot read the state")                                     \
        X(CANCELLED, "cancelled")

enum bt_swap_why {
#define X(name, text) BT_SWAP_WHY_##name,
        BT_SWAP_WHYS(X)
#undef X
                _BT_SWAP_WHY_N
};

#define BT_SWAP_ACTIONS_MAX 6

struct bt_swap_actions {
        enum bt_swap_action list[BT_SWAP_ACTIONS_MAX];
        uint32_t count;
};

enum bt_swap_kind {
        BT_SWAP_COLD = 0, /* as enum bt_strategy */
        BT_SWAP_HOT = 1,
};

struct bt_swap {
        enum bt_swap_kind kind;
        uint32_t state;  /* enum bt_hot_state or bt_cold_state */
        bool handover;   /* state passes */
        bool over;
        bool timed_out;  /* a deadline ended it: exit status 5 */
        bool state_lost; /* cold: went on without an answer to the query */
        enum bt_swap_why why;
};

enum bt_swap_result {
        BT_SWAP_E_OUT_OF_PLACE = 1,
};

void bt_hot_begin(struct bt_swap *swap, bool handover, struct bt_swap_actions *ret_actions);
/* @held: the successor is started first, and held before its first line until the predecessor's end is proved (docs/spares.md). */
void bt_cold_begin(struct bt_swap *swap, bool handover, bool held, struct bt_swap_actions *ret_actions);

/* With hand-over, and the new binary is asked first whether it can read the state (STATE-2). */
void bt_cold_begin_asking(struct bt_swap *swap, bool held, struct bt_swap_actions *ret_actions);

/* The child is down: only the start of the cold swap is left to do (R2). */
void bt_cold_begin_down(struct bt_swap *swap, struct bt_swap_actions *ret_actions);

/* A hot swap in the middle, taken over from a hub that was killed. @alone: the predecessor is gone. */
void bt_hot_resume(struct bt_swap *swap, bool alone, struct bt_swap_actions *ret_actions);

/* Returns 0 or BT_SWAP_E_OUT_OF_PLACE (then no actions). */
int bt_swap_step(struct bt_swap *swap, enum bt_swap_event event, struct bt_swap_actions *ret_actions);

const char *bt_swap_event_name(enum bt_swap_event event);
const char *bt_swap_action_name(enum bt_swap_action action);
const char *bt_swap_state_name(const struct bt_swap *swap);
const char *bt_swap_why_text(enum bt_swap_why why);

/* ---- shared by the machines ---- */

typedef void (*bt_swap_cell)(struct bt_swap *swap, struct bt_swap_actions *out);

bt_swap_cell bt_hot_cell(uint32_t state, enum bt_swap_event event);
bt_swap_cell bt_cold_cell(uint32_t state, enum bt_swap_event event);
const char *bt_hot_state_name(uint32_t state);
const char *bt_cold_state_name(uint32_t state);

void bt_swap_act(struct bt_swap_actions *out, enum bt_swap_action action);
