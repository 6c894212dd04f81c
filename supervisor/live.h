/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Children that come and go while the hub runs: docs/children.md says what a request promises; this is how it is done.
 *
 *      bt_live          one request: so many items, a number, a result that is kept for a while
 *        bt_live_item   one child of it, in one step
 *
 *      add      WAITING ─► STARTING ─► UP ─► OVER            started
 *                              └─ fails ─┐
 *      stop     as remove, to ENDING ─► OVER; a restart: ENDING ─► STARTING ─► OVER; of a group: GROUP ─► OVER
 *      remove   WAITING ─► SETTLING ─► ASKED ─► STORING ─► ENDING ─► GONE ─► OVER        removed, failed, rolled back
 *               (leave.c)  migration    state                        note
 *
 * live.c has the requests: what is next, what is over, what is remembered. live_add.c begins, live_remove.c and leave.c end children, live_store.c keeps
 * what must be known after a restart, control_live.c speaks with clients, embed_live.c with the program around the hub.
 *
 * Whatever happens to a child (it runs, it gave up, it ended) only marks its item as ready; what follows is done by a turn of the request, from a timer
 * of the loop, with nobody up the stack who could still use the child.
 */

#include <stdbool.h>
#include <stdint.h>

#include "supervisor/hub.h"

#define BT_LIVE_ENDING_MAX 256      /* children of one request that are being ended at the same time */
#define BT_LIVE_KEPT_MAX 64         /* results that are remembered */
#define BT_LIVE_KEPT_ITEMS_MAX 65536 /* children in them */
#define BT_LIVE_UNDER_WAY_MAX 64    /* requests that are not over */
#define BT_LIVE_KEPT_NS (600 * UINT64_C(1000000000))

enum bt_live_step {
        BT_LIVE_WAITING = 0,  /* its turn has not come */
        BT_LIVE_STARTING = 1,
        BT_LIVE_UP = 2,       /* started; it may still be rolled back */
        BT_LIVE_SETTLING = 3, /* its migration is being called off */
        BT_LIVE_ASKED = 4,    /* for its state */
        BT_LIVE_STORING = 5,
        BT_LIVE_ENDING = 6,
        BT_LIVE_GONE = 7,     /* no process, and its note is being removed */
        BT_LIVE_OVER = 8,
        BT_LIVE_GROUP = 9,    /* of a group: it is on its way up or down */
};

enum bt_live_verb {
        BT_LIVE_ADD = 0,
        BT_LIVE_REMOVE = 1,
        BT_LIVE_DELETE = 2, /* what is down already */
        BT_LIVE_STOP = 3,
        BT_LIVE_START = 4,
        BT_LIVE_RESTART = 5,
};

struct bt_live;

struct bt_live_item {
        struct bt_live *live;
        struct bt_hub_group *group; /* it is about this; NULL: about a child */
        struct bt_child *child;     /* NULL: there is none, or not any more; its @item leads back here */
        struct bt_list ready;       /* in bt_live.ready: a turn looks at it */
        struct bt_loop_timer timer; /* of its step */
        enum bt_live_step step;
        bool begun;                 /* counted in bt_live.under_way */
        bool stays;                 /* its state could not be stored: it is started again instead of removed */
        bool captured;              /* a state is in its baton */
        bool storing;               /* it is in the put that is under way */
        bool alone;                 /* a put with others failed: the next one is its own */
        bool forgetting;            /* the removal of its notes is being written */
        bool unnoted;               /* that was asked for once */
        uint32_t what;              /* what it will be when it has left */
        uint64_t sequence;          /* of the record of its state; 0: none was put */
        bool group_down;            /* GROUP: it is to be down, and for a restart it was not yet */
        uint32_t plan_idx;          /* add: of its record */
        struct bt_ctl_result result;
};

/* Who wants to know when it is over. */
struct bt_live_waiter {
        struct bt_list node;
        void (*over)(struct bt_live_waiter *waiter, const struct bt_live *live);
};

struct bt_live {
        struct bt_list node; /* in bt_hub.lives, oldest first */
        struct bt_hub *hub;
        enum bt_live_verb verb;
        uint32_t group_count; /* items about groups */
        uint64_t number;
        uint64_t deadline_ns; /* of each child; 0: as docs/children.md says */
        uint64_t over_ns;     /* when it was over; 0: it is under way */
        struct bt_plan_ref *plan; /* add; NULL: remove */
        bool rollback;
        bool drop_state;
        bool noting;          /* notes are being written */
        bool storing;         /* states are */
        bool rolling_back;
        uint32_t count;
        uint32_t next;        /* first that was not begun */
        uint32_t under_way;
        uint32_t left;        /* not over */
        uint32_t ok;
        struct bt_list ready;
        struct bt_list keep;  /* items whose states are to be stored, by @ready */
        struct bt_list gone;  /* items whose notes are to be removed, by @ready */
        struct bt_list waiters;
        struct bt_loop_timer turn;
        struct bt_live_item items[];
};

/* ---- requests: live.c ---- */

/* One with @count items, not begun. NULL: no memory, or too many are under way. */
struct bt_live *bt_live_new(struct bt_hub *hub, uint32_t count);
void bt_live_name(struct bt_live_item *item, const char *id);
void bt_live_begin(struct bt_live *live);
struct bt_live *bt_live_find(const struct bt_hub *hub, uint64_t number); /* NULL: unknown, or forgotten by now */
void bt_live_wait(struct bt_live *live, struct bt_live_waiter *waiter);  /* of one that is not over */
enum bt_ctl_outcome bt_live_outcome(const struct bt_live *live);
void bt_live_stop(struct bt_hub *hub);     /* the hub stops: what is not over fails */
void bt_live_free_all(struct bt_hub *hub); /* when the loop does not turn any more */

/* For the other files. */
void bt_live_soon(struct bt_live *live);
void bt_live_ready(struct bt_live_item *item);
__attribute__((format(printf, 3, 4))) void bt_live_say(struct bt_live_item *item, uint32_t what, const char *format, ...);
void bt_live_end(struct bt_live_item *item); /* it is over, with what was said */

/* What happens to a child that is in a request; harmless for others. */
void bt_live_running(struct bt_child *child);
void bt_live_gave_up(struct bt_child *child);
void bt_live_captured(struct bt_child *child, bool whole);
bool bt_live_lets_go(const struct bt_child *child); /* it is ended on its way out: its state is stored, or to be dropped */
void bt_live_group_changed(const struct bt_hub_group *group);
void bt_live_changed(struct bt_child *child); /* a process of it, or its migration, is over */

/* ---- live_add.c ---- */

/* Takes the ids of @plan, and begins to start its children when they are noted. 0; -EINVAL, -ENOSPC, -ENOMEM with a sentence in @ret_why. */
int bt_live_add(struct bt_hub *hub, struct bt_plan_ref *plan, uint64_t deadline_ns, uint32_t flags, struct bt_live **ret_live, char *ret_why,
                size_t why_bytes);
/* Where a child is put that says nothing about it. */
struct bt_hub_node *bt_live_node(const struct bt_hub *hub);
/* The hub's sockets for the names in a fragment. 0, or -EINVAL with a sentence. */
int bt_live_sockets(const struct bt_hub *hub, struct bt_plan_ref *plan, char *ret_why, size_t why_bytes);
void bt_live_start(struct bt_live_item *item);
void bt_live_start_turn(struct bt_live_item *item);

/* ---- live_remove.c ---- */

bool bt_live_selected(const struct bt_child *child, const struct bt_ctl_select *select); /* it has all of it */
bool bt_live_any(const struct bt_hub *hub, const struct bt_ctl_select *select);
/* REMOVE and the verbs behind it. Not begun. NULL: no memory, or too many requests are under way. @ids: each with its NUL. */
struct bt_live *bt_live_remove_ids(struct bt_hub *hub, enum bt_live_verb verb, const char *ids, size_t bytes);
struct bt_live *bt_live_remove(struct bt_hub *hub, enum bt_live_verb verb, const struct bt_ctl_select *select);
/* Begun. By the hub itself: their notes are not theirs (replicas.h). 0, or -EBUSY: not all of them could be taken; try again. */
int bt_live_remove_children(struct bt_hub *hub, struct bt_child *const *children, uint32_t count);

/* ---- live_group.c ---- */

/* Stop, start and restart of all of a group: its own turns do it (groups.h). */
void bt_live_group_begin(struct bt_live_item *item);
void bt_live_group_turn(struct bt_live_item *item);

/* ---- control_live.c ---- */

struct bt_client;
/* One of BT_CTL_CHILD_*. Takes @fd (-1: none came). Ends in bt_client_answer(), perhaps at once; may wait with @waiter. */
void bt_live_request(struct bt_client *client, struct bt_live_waiter *waiter, struct bt_hub *hub, const struct bt_ctl_request *request, int fd);
/* What became of @live, and DONE. */
void bt_live_tell(struct bt_client *client, const struct bt_live *live);

/* ---- leave.c ---- */

void bt_leave_begin(struct bt_live_item *item, uint32_t what);
void bt_leave_turn(struct bt_live_item *item);
void bt_leave_store(struct bt_live *live); /* one put for those in @live->keep */

/* ---- live_store.c ---- */

/* At the start, before anything else is asked of the store: children that were added to a hub before this one. 0 or -errno. */
int bt_live_open(struct bt_hub *hub);
/* Notes the children of @live that are to be started. Ends in bt_live_noted(). 0 or -errno. */
int bt_live_note(struct bt_live *live);
/* Removes those of the items in @live->gone. Ends in bt_live_forgotten(). 0 or -errno. */
int bt_live_forget(struct bt_live *live);
/* The note of a replicated child, of which no instance is left. */
void bt_live_unnote(struct bt_replicas *replicas);
void bt_live_noted(struct bt_live *live, int result);
void bt_live_forgotten(struct bt_live *live, int result);
