/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * A supervision group, as a pure machine over its members: docs/groups.md says what it means.
 *
 *      bt_group_init(&g, &config, members, count)               restart, significant and rank of each are the caller's to fill in, before
 *      bt_group_event(&g, BT_GROUP_EV_START, 0, 0, now)
 *      while (bt_group_next(&g, now, &act))                     perform; what performing finds out at once may be fed in from inside
 *              ...
 *      bt_group_due(&g)                                         when next() wants to be called again, without an event
 *
 *                ┌────────────── RUNNING, the last ──────────────┐
 *      OFF ─START─► STARTING ──────────────────────────────────► UP
 *       ▲              ▲    └──────────┐ a failure that others pay for │
 *       │              └─due─ WAITING ◄─┴── STOPPING ◄─────────────────┘
 *       └── STOP ──────────────────────────── │ ──► FAILED (more than max_restarts)
 *                                             └───► SHUT   (auto_shutdown)
 *
 * Ranks are the order: members of one rank are started and stopped together (the instances of a pool), those of the next when all of it run; stops go the
 * other way. A member may be a group of its own; this machine does not know, and whoever drives both translates: its TELL_FAILED is a FAILED here.
 */

#include <stdbool.h>
#include <stdint.h>

#define BT_GROUP_HISTORY 64 /* of restarts */

enum bt_group_strategy {
        BT_GROUP_ONE_FOR_ONE = 0,
        BT_GROUP_ONE_FOR_ALL = 1,
        BT_GROUP_REST_FOR_ONE = 2,
        _BT_GROUP_STRATEGY_N,
};

enum bt_group_auto {
        BT_GROUP_AUTO_NEVER = 0,
        BT_GROUP_AUTO_ANY = 1,
        BT_GROUP_AUTO_ALL = 2,
        _BT_GROUP_AUTO_N,
};

enum bt_group_restart {
        BT_GROUP_PERMANENT = 0,
        BT_GROUP_TRANSIENT = 1,
        BT_GROUP_TEMPORARY = 2,
};

#define BT_GROUP_MEMBER_STATES(X)                                                                  \
        X(DOWN)     /* its turn to be started comes */                                             \
        X(WAITING)  /* the same, by itself, at @due_ns */                                          \
        X(STARTING)                                                                                \
        X(UP)                                                                                      \
        X(STOPPING) /* told to */                                                                  \
        X(ENDED)    /* by itself, and its restart policy leaves it so */                           \
        X(HELD)     /* somebody stopped it: down until somebody starts it */                       \
        X(GONE)     /* removed */

enum bt_group_member_state {
#define X(name) BT_GROUP_M_##name,
        BT_GROUP_MEMBER_STATES(X)
#undef X
                _BT_GROUP_M_N
};

#define BT_GROUP_STATES(X)                                                                         \
        X(OFF)      /* not started yet, or stopped by whoever is around it */                      \
        X(STARTING) /* in order */                                                                 \
        X(UP)       /* nothing is under way but restarts of single members */                      \
        X(STOPPING) /* in reverse order */                                                         \
        X(WAITING)  /* to start those again */                                                     \
        X(FAILED)   /* gave up */                                                                  \
        X(SHUT)     /* auto_shutdown */

enum bt_group_state {
#define X(name) BT_GROUP_S_##name,
        BT_GROUP_STATES(X)
#undef X
                _BT_GROUP_S_N
};

#define BT_GROUP_EVENTS(X)                                                                         \
        X(START)   /* the group */                                                                 \
        X(STOP)                                                                                    \
        X(RUNNING) /* a member: it serves, whoever started it */                                   \
        X(FAILED)  /* it ended, and not well; or its start failed */                               \
        X(ENDED)   /* it ended by itself, and well */                                              \
        X(STOPPED) /* as it was told to */                                                         \
        X(HOLD)    /* somebody is stopping it */                                                   \
        X(RELEASE) /* somebody wants it again: in its turn; of a group that is UP nobody else starts it */ \
        X(REMOVED)

enum bt_group_event {
#define X(name) BT_GROUP_EV_##name,
        BT_GROUP_EVENTS(X)
#undef X
                _BT_GROUP_EV_N
};

enum bt_group_action {
        BT_GROUP_ACT_START = 0,       /* a member: RUNNING, FAILED or ENDED will follow */
        BT_GROUP_ACT_STOP = 1,        /* a member: STOPPED will follow, or its end */
        BT_GROUP_ACT_TELL_UP = 2,     /* all have been started */
        BT_GROUP_ACT_TELL_DOWN = 3,   /* as STOP wanted it */
        BT_GROUP_ACT_TELL_FAILED = 4, /* none runs any more */
        BT_GROUP_ACT_TELL_SHUT = 5,   /* the same */
        _BT_GROUP_ACT_N,
};

struct bt_group_config {
        enum bt_group_strategy strategy;
        enum bt_group_auto auto_shutdown;
        uint32_t max_restarts; /* at most BT_GROUP_HISTORY; UINT32_MAX: forever */
        uint64_t max_seconds_ns;
};

struct bt_group_member {
        enum bt_group_member_state state;
        enum bt_group_restart restart;
        bool significant;
        uint32_t rank; /* never smaller than that of the one before */
        uint64_t due_ns;
};

struct bt_group {
        struct bt_group_config config;
        struct bt_group_member *members; /* borrowed */
        uint32_t count;
        enum bt_group_state state;
        enum bt_group_state after; /* STOPPING: what comes then */
        uint32_t from;             /* STOPPING: of this rank and higher */
        bool first;                /* STARTING: nobody has run yet, so a failure takes all back */
        bool telling;              /* @tell is the next action */
        enum bt_group_action tell;
        uint32_t culprit;          /* who failed last; @count: nobody */
        uint64_t due_ns;           /* WAITING: until when */
        uint32_t restarted;        /* all that went into the ring */
        uint64_t restarted_ns[BT_GROUP_HISTORY];
};

struct bt_group_act {
        enum bt_group_action action;
        uint32_t idx;
};

void bt_group_init(struct bt_group *group, const struct bt_group_config *config, struct bt_group_member *members, uint32_t count);
/* @wait_ns: FAILED: how long to wait before it is started again. What is out of place changes nothing. */
void bt_group_event(struct bt_group *group, enum bt_group_event event, uint32_t idx, uint64_t wait_ns, uint64_t now_ns);
bool bt_group_next(struct bt_group *group, uint64_t now_ns, struct bt_group_act *ret_act);
/* A process of a hub that was killed: before START, and that will leave it as it is. */
void bt_group_found(struct bt_group *group, uint32_t idx, bool runs);
uint64_t bt_group_due(const struct bt_group *group); /* BT_NS_NEVER: it waits for events alone */

uint32_t bt_group_left(const struct bt_group *group, uint64_t now_ns); /* restarts, until it gives up; UINT32_MAX: forever */
/* Were this member, which is up, to fail now, and be restarted without a wait: nobody would be stopped for it, or started before it. */
bool bt_group_restarts_alone(const struct bt_group *group, uint32_t idx, uint64_t now_ns);
bool bt_group_alive(const struct bt_group *group, uint32_t idx); /* it runs, or is being started or stopped */
const char *bt_group_state_name(enum bt_group_state state);
const char *bt_group_member_name(enum bt_group_member_state state);
