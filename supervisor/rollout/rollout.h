/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * The upgrade of a pool, as a pure machine over its children: docs/rollout.md says what it means and has the picture.
 *
 *      bt_rollout_init(&r, &config, items, count, now)          the items' hot and serves are the caller's to fill in, before
 *      while (bt_rollout_next(&r, now, &act))                   perform; what performing finds out at once may be fed in from inside
 *              ...
 *      bt_rollout_event(&r, BT_ROLLOUT_EV_COMMITTED, idx, now)  then next() again
 *      bt_rollout_due(&r)                                       when bt_rollout_time() wants to be called
 *
 * Actions are asked for one by one, and each is decided when it is asked for: when the first of three swaps fails while it is begun,
 * the other two are never begun. After FINISH @r.outcome says how it ended, and nothing changes any more.
 *
 * Seats: a child that is seated (its swap is under way, or it is not proved yet) takes one of max_surge when its swap is hot, of
 * max_unavailable when it is cold. Children that do not serve count against max_unavailable too. One that does not serve may always be
 * swapped, one at a time at least: that is what brings it back.
 *
 * A step looks at each child: 10 us for 10000 of them. Counting along instead would be a second truth that can drift from the first.
 */

#include <stdbool.h>
#include <stdint.h>

#define BT_ROLLOUT_STATES(X)                                                                       \
        X(WAITING)   /* on its program, its turn comes */                                          \
        X(SWAPPING)  /* to the new one */                                                          \
        X(SETTLING)  /* runs the new one, for less than min_ready */                               \
        X(CHECKING)  /* the health command is asked */                                             \
        X(PROVED)    /* done, unless it ends */                                                    \
        X(RETURN)    /* runs the new one and is to go back */                                      \
        X(RETURNING) /* to the program it ran before */                                            \
        X(OLD)       /* runs it */                                                                 \
        X(LEFT)      /* should run it, and does not */

enum bt_rollout_state {
#define X(name) BT_ROLLOUT_S_##name,
        BT_ROLLOUT_STATES(X)
#undef X
                _BT_ROLLOUT_S_N
};

/* About one child. */
#define BT_ROLLOUT_EVENTS(X)                                                                       \
        X(COMMITTED) /* its swap was committed */                                                  \
        X(FAILED)    /* its swap was rolled back: it serves as before */                           \
        X(DOWN)      /* its swap left nobody serving; its program is the one before the swap */    \
        X(BUSY)      /* its swap could not begin, and may a moment later */                        \
        X(DIED)      /* its process ended, outside of a swap */                                    \
        X(SERVES)    /* somebody serves, after a restart or in a swap */                           \
        X(SETTLED)   /* min_ready is over; made by bt_rollout_time() */                            \
        X(HEALTHY)   /* what the health command says */                                            \
        X(UNHEALTHY)

enum bt_rollout_event {
#define X(name) BT_ROLLOUT_EV_##name,
        BT_ROLLOUT_EVENTS(X)
#undef X
                _BT_ROLLOUT_EV_N
};

enum bt_rollout_action {
        BT_ROLLOUT_ACT_NONE = 0,
        BT_ROLLOUT_ACT_SWAP = 1,           /* to the new program: COMMITTED, FAILED, DOWN or BUSY will follow */
        BT_ROLLOUT_ACT_CHECK = 2,          /* HEALTHY or UNHEALTHY will follow */
        BT_ROLLOUT_ACT_TELL_PROVED = 3,
        BT_ROLLOUT_ACT_CANCEL = 4,         /* its swap, if that is still possible */
        BT_ROLLOUT_ACT_SWAP_BACK = 5,      /* as SWAP, to the program before */
        BT_ROLLOUT_ACT_SWAP_BACK_COLD = 6, /* the same, cold, whatever its strategy: its process may hang */
        BT_ROLLOUT_ACT_FINISH = 7,
};

enum bt_rollout_phase {
        BT_ROLLOUT_FORWARD = 0,
        BT_ROLLOUT_BACK = 1,
        BT_ROLLOUT_OVER = 2,
};

enum bt_rollout_outcome {
        BT_ROLLOUT_ALL_NEW = 0,
        BT_ROLLOUT_ALL_OLD = 1,
        BT_ROLLOUT_MIXED = 2,   /* some are LEFT */
        BT_ROLLOUT_STOPPED = 3, /* the hub stops: all are where they are */
};

/* Why the way forward ended. */
enum bt_rollout_why {
        BT_ROLLOUT_WHY_NONE = 0,
        BT_ROLLOUT_WHY_SWAP = 1,
        BT_ROLLOUT_WHY_DIED = 2,
        BT_ROLLOUT_WHY_UNHEALTHY = 3,
        BT_ROLLOUT_WHY_DEADLINE = 4,
        BT_ROLLOUT_WHY_ABORTED = 5,
};

#define BT_ROLLOUT_RETRY_NS UINT64_C(100000000) /* after BUSY */

struct bt_rollout_config {
        uint32_t canary; /* 0: none */
        uint32_t max_surge;
        uint32_t max_unavailable;
        uint64_t min_ready_ns;
        uint64_t deadline_ns; /* how long, for each way; BT_NS_NEVER: no limit */
        bool health;          /* there is a command to be asked */
};

struct bt_rollout_item {
        enum bt_rollout_state state;
        enum bt_rollout_action todo; /* told by the next bt_rollout_next() */
        bool hot;                    /* its swap leaves it serving */
        bool serves;
        bool back_cold;  /* its hot swap back has failed */
        bool seated_hot; /* while it is seated: which seat */
        uint64_t due_ns; /* SETTLING: until when */
};

struct bt_rollout {
        struct bt_rollout_config config;
        struct bt_rollout_item *items; /* borrowed */
        uint32_t count;
        enum bt_rollout_phase phase;
        enum bt_rollout_outcome outcome; /* when OVER */
        enum bt_rollout_why why;
        uint32_t culprit; /* which child was the reason; @count: none */
        uint64_t deadline_ns;
        uint64_t retry_ns; /* nothing begins before */
};

struct bt_rollout_act {
        enum bt_rollout_action action;
        uint32_t idx;
};

/* NULL, or why no rollout with this configuration could ever end. */
const char *bt_rollout_refusal(const struct bt_rollout_config *config, const struct bt_rollout_item *items, uint32_t count);

void bt_rollout_init(struct bt_rollout *rollout, const struct bt_rollout_config *config, struct bt_rollout_item *items, uint32_t count,
                     uint64_t now_ns);
bool bt_rollout_next(struct bt_rollout *rollout, uint64_t now_ns, struct bt_rollout_act *ret_act);

/* What is out of place changes nothing but whether the child serves. */
void bt_rollout_event(struct bt_rollout *rollout, enum bt_rollout_event event, uint32_t idx, uint64_t now_ns);
void bt_rollout_time(struct bt_rollout *rollout, uint64_t now_ns);
void bt_rollout_abort(struct bt_rollout *rollout, uint64_t now_ns); /* somebody wants it back */
void bt_rollout_stop(struct bt_rollout *rollout);                   /* the hub stops: over, with FINISH as the next action */

uint64_t bt_rollout_due(const struct bt_rollout *rollout); /* BT_NS_NEVER: it waits for events alone */

/* ---- looking at it ---- */

uint32_t bt_rollout_count(const struct bt_rollout *rollout, enum bt_rollout_state state);
const char *bt_rollout_state_name(enum bt_rollout_state state);
const char *bt_rollout_event_name(enum bt_rollout_event event);
