/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * The control protocol: `<runtime_dir>/control.sock`, SOCK_SEQPACKET, one request a connection.
 *
 *      client: bt_ctl_request            (UPGRADE: with the opened binary, O_PATH, as SCM_RIGHTS)
 *      hub:    bt_ctl_reply EVENT *      progress: phases of migrations, with their times
 *              bt_ctl_reply RECORD *     (EVENTS: of the event stream, in order)
 *              bt_ctl_reply NODE *       (STATUS: one a node, with its segment's descriptor as SCM_RIGHTS)
 *              bt_ctl_reply DONE         the outcome; then the hub closes
 *
 * Fixed records: the hub parses no text. It answers requests of its own user and of root only (SO_PEERCRED). Progress that a slow client
 * does not read is dropped and counted; DONE never is.
 */

#include <stdint.h>

#include <baton/types.h>

#include "shm/layout.h"

#define BT_CTL_MAGIC UINT32_C(0x4c544342) /* "BCTL" */
#define BT_CTL_VERSION 1
#define BT_CTL_PATH_BYTES 1024

enum bt_ctl_op {
        BT_CTL_STATUS = 1,  /* the node segments */
        BT_CTL_UPGRADE = 2, /* target, binary; replaces each matching child by one that runs the binary */
        BT_CTL_SWAP = 3,    /* target; the same with the binary it has */
        BT_CTL_STOP = 4,    /* the hub: capture, store, terminate, end */
        BT_CTL_EVENTS = 5,  /* the event stream from @since on; with @follow until the hub ends or the client leaves */
        BT_CTL_ATTACH = 6,  /* a client of children: from here on the connection speaks shm/attach.h. No reply but a DONE that refuses */
        BT_CTL_QUEUE = 7,   /* what waits in mailboxes; target: whose, "" all */
        /* States that no process holds: control_state.c */
        BT_CTL_STATE_LIST = 16,   /* all, also those set aside */
        BT_CTL_STATE_READ = 17,   /* target, @aside_ns */
        BT_CTL_STATE_IMPORT = 18, /* target; a record (header and payload) in a sealed memfd comes along; for a child that is down */
        BT_CTL_STATE_DROP = 19,   /* target, @aside_ns or @sequence */
        /* Children of a running hub: live.h, docs/children.md */
        BT_CTL_CHILD_ADD = 32,    /* a plan fragment in a sealed memfd comes along; @live */
        BT_CTL_CHILD_REMOVE = 33, /* @live.select, or ids, each with its NUL, in a sealed memfd that comes along */
        BT_CTL_CHILD_LIST = 34,   /* @live.select */
        BT_CTL_CHILD_RESULT = 35, /* @sequence: the request's number */
        BT_CTL_CHILD_STOP = 36,   /* as REMOVE, but its spec stays: docs/groups.md. These three: also the name of a group */
        BT_CTL_CHILD_START = 37,
        BT_CTL_CHILD_RESTART = 38,
        BT_CTL_ROLLBACK = 48, /* target, @rollout; back to what the children of the last upgrade ran before it */
        /* Nodes: control_node.c, docs/nodes.md */
        BT_CTL_NODE_LIST = 56,
        BT_CTL_NODE_ADD = 57,     /* a plan of one node in a sealed memfd comes along */
        BT_CTL_NODE_REMOVE = 58,  /* target: the node; @deadline_ns */
        BT_CTL_NODE_DRAIN = 59,   /* the same */
        BT_CTL_NODE_MIGRATE = 60, /* target: a child, @node */
        BT_CTL_HUB_UPGRADE = 64,  /* the hub itself: docs/upgrade.md. A binary as UPGRADE, or none: the file that the hub was started from, as it is by now.
                                     @deadline_ns: how long it may wait for rest. DONE comes from the new program: @value: processes, pid; @text: its path */
        _BT_CTL_OP_N,
};

/* Of @since: besides these, the number of an event. One that the hub has not reached is of an earlier hub, and means OLDEST. */
#define BT_CTL_SINCE_OLDEST 0
#define BT_CTL_SINCE_NOW UINT64_MAX

#define BT_CTL_STRATEGY_SPEC UINT32_MAX /* as the child's spec says */

/* Children that have all of it; "" asks for nothing. */
struct bt_ctl_select {
        char id[64];    /* or a pool's name */
        char tag[64];
        char meta[320]; /* KEY=TEXT */
        char node[64];
};

#define BT_CTL_LIVE_NO_WAIT 1u    /* DONE comes when the request is taken; RESULT: when it is not over, too */
#define BT_CTL_LIVE_ROLLBACK 2u   /* ADD: when one is not started, those that were are removed again */
#define BT_CTL_LIVE_STOPPED_ONLY 8u /* REMOVE: refuses one that runs */
#define BT_CTL_LIVE_DROP_STATE 4u /* REMOVE: nothing is captured, and what is stored is deleted */

struct bt_ctl_live {
        struct bt_ctl_select select;
        uint32_t flags;       /* BT_CTL_LIVE_* */
        uint32_t reserved;
        uint64_t deadline_ns; /* of each child, from its own beginning; 0: ADD its child_migration_timeout, REMOVE none but its shutdown */
};

#define BT_CTL_HEALTH_BYTES 1024
#define BT_CTL_ROLLOUT_DEFAULT UINT64_MAX

/* How a pool is upgraded: docs/rollout.md. */
struct bt_ctl_rollout {
        uint32_t wanted;      /* 0: none of it, UPGRADE is as SWAP. 1: as a rollout, when there are several children. 2: also of one child */
        uint32_t no_wait;     /* DONE as soon as it has begun */
        uint64_t canary;      /* BT_CTL_ROLLOUT_DEFAULT: up to the hub; so for all that follow */
        uint64_t max_surge;
        uint64_t max_unavailable;
        uint64_t min_ready_ns;
        uint64_t deadline_ns;
        uint64_t health_timeout_ns;
        uint32_t health_argc; /* 0: no health command */
        uint32_t reserved0;
        char health[BT_CTL_HEALTH_BYTES]; /* its absolute path, then @health_argc arguments from argv[0] on, each with its NUL */
};

struct bt_ctl_request {
        uint32_t magic;
        uint32_t version;
        uint32_t op;       /* enum bt_ctl_op */
        uint32_t strategy; /* enum bt_strategy, or BT_CTL_STRATEGY_SPEC */
        char target[64];   /* a child's id, or a pool's name for all of it */
        union {
                char path[BT_CTL_PATH_BYTES]; /* UPGRADE: absolute path of the binary, for messages, argv[0] stays the spec's */
                struct bt_ctl_live live;      /* CHILD */
        };
        uint64_t since;  /* EVENTS */
        uint32_t follow; /* EVENTS: 0 or 1 */
        uint32_t reserved0;
        uint64_t aside_ns; /* STATE: name of one that was set aside; 0: the record that waits to be delivered */
        uint64_t sequence; /* STATE_DROP of such a record: of the one that was looked at. CHILD_RESULT: which request */
        struct bt_ctl_rollout rollout; /* UPGRADE, ROLLBACK */
        uint64_t deadline_ns; /* HUB_UPGRADE; NODE_REMOVE, NODE_DRAIN: until then children may put their move off; 0: as long as docs/nodes.md says */
        char node[64];     /* NODE_MIGRATE */
};

enum bt_ctl_kind {
        BT_CTL_EVENT = 1,
        BT_CTL_NODE = 2,
        BT_CTL_DONE = 3,
        BT_CTL_RECORD = 4, /* EVENTS: @child, @incarnation, @text; @phase: name of the event; @since_ns: CLOCK_MONOTONIC; @value: number, CLOCK_REALTIME.
                              @phase "gap": the hub has forgotten events before they were sent: @value: number of the first, how many */
        BT_CTL_STATE = 5,  /* with a memfd. LIST: struct bt_ctl_state, @value[0] of them. READ: @value[0] bytes of header and payload; @value[1]: enum bt_ctl_state_is */
        BT_CTL_QUEUES = 6,  /* with a memfd: struct bt_ctl_queue, @value[0] of them */
        BT_CTL_GROUPS = 7, /* STATUS, when there are groups: with a memfd: struct bt_ctl_group, @value[0] of them */
        BT_CTL_CHILDREN = 16, /* with a memfd: struct bt_ctl_child, @value[0] of them, then strings; @value[1]: bytes in all */
        BT_CTL_RESULTS = 17,  /* with a memfd: struct bt_ctl_result, @value[0] of them, in the order of the request; then DONE, @value: done, not done */
        BT_CTL_NODE_ROW = 32,  /* NODE_LIST: @child: its name, @phase: its state, @value: children, weight; @text: KEY=TEXT a line. DONE of the others:
                                  @value: moved, failed; @incarnation: how many were forced */
        _BT_CTL_KIND_N,
};

struct bt_ctl_queue {
        char child[64];
        uint32_t phase;     /* enum bt_phase */
        uint32_t slots;
        uint32_t bytes;     /* of a message in its slot */
        uint32_t depth;     /* messages that are not done */
        uint32_t waits_for; /* the client or process that has claimed the next place and not filled it; 0: none */
        uint32_t clients;   /* that have opened it */
        uint64_t full, handled, redelivered, failed, expired, holes, broken, unanswered; /* see bt_mailbox, bt_desk */
        uint64_t set_aside;
        uint32_t is;        /* enum bt_ctl_queue_is */
        uint32_t members;   /* SHARED: that take from it */
        uint64_t reserved[2];
};

enum bt_ctl_queue_is {
        BT_CTL_QUEUE_OWN = 0,    /* a child's mailbox */
        BT_CTL_QUEUE_SHARED = 1, /* that of a pool: @child is its name, and counters of children are 0 */
        BT_CTL_QUEUE_MEMBER = 2, /* who takes from that: @depth is what it has in hand, 0 or 1; what belongs to the queue is 0 */
};

struct bt_ctl_group {
        char name[64];
        char around[64];    /* the group it is in; "": none */
        uint32_t state;     /* enum bt_group_state */
        uint32_t strategy;  /* enum bt_group_strategy */
        uint32_t auto_shutdown; /* enum bt_group_auto */
        uint32_t restarts_left; /* within max_seconds; UINT32_MAX: forever */
        uint64_t restarts;
        uint32_t specs;     /* of its members, groups among them as one */
        uint32_t active;    /* of those: run */
        uint32_t supervisors;
        uint32_t workers;
        char note[128];
        uint64_t reserved[2];
};

struct bt_ctl_child {
        char id[64];
        char pool[64];
        char node[64];
        uint32_t phase;     /* enum bt_phase */
        uint32_t live;      /* 1: was added while the hub ran; 0: is in the configuration */
        uint64_t incarnation;
        int64_t pid;        /* 0: no process */
        uint32_t tags;      /* offset, from the beginning, of @tag_count strings */
        uint32_t tag_count;
        uint32_t meta;      /* KEY=TEXT */
        uint32_t meta_count;
        uint64_t reserved[3];
};

enum bt_ctl_what {
        BT_CTL_PENDING = 0, /* not over */
        BT_CTL_STARTED = 1,
        BT_CTL_ALREADY_STARTED = 2,
        BT_CTL_NOT_FOUND = 3,
        BT_CTL_CHILD_FAILED = 4,
        BT_CTL_REMOVED = 5,
        BT_CTL_ROLLED_BACK = 6, /* was started, and removed because another one failed */
        BT_CTL_STOPPED = 7,
        _BT_CTL_WHAT_N,
};

struct bt_ctl_result {
        char child[64];
        uint32_t what;   /* enum bt_ctl_what */
        uint32_t reserved;
        char text[184];  /* why, or what else there is to know */
};

struct bt_ctl_state {
        struct bt_record record; /* magic 0: its header cannot be read; only @child is known */
        uint64_t aside_ns;       /* 0: waits to be delivered; else when it was set aside */
        uint64_t reserved[7];
};

enum bt_ctl_state_is {
        BT_CTL_STATE_WHOLE = 0,
        BT_CTL_STATE_DAMAGED = 1,
        BT_CTL_STATE_FOREIGN = 2, /* of another header version or machine */
};

/* Outcome of DONE, equal to the command's exit status. */
enum bt_ctl_outcome {
        BT_CTL_OK = 0,
        BT_CTL_FAILED = 1,   /* rolled back, refused; @text says why */
        BT_CTL_INVALID = 2,
        BT_CTL_NO_SUCH = 3,
        BT_CTL_TIMED_OUT = 5,
};

struct bt_ctl_reply {
        uint32_t magic;
        uint32_t version;
        uint32_t kind;
        uint32_t outcome;      /* DONE, RESULTS: enum bt_ctl_outcome. EVENT: 0, or the outcome of the one child that this event ends */
        uint64_t since_ns;     /* EVENT: since the request was taken */
        uint64_t incarnation;  /* EVENT: whose phase it is, 0: none */
        uint64_t value[2];     /* EVENT "committed": pause and total in ns; of a rollout (child ""): how long it can take in ns. DONE: migrated, failed */
        char child[64];        /* EVENT, DONE about one child; "": of a whole rollout */
        char phase[32];        /* EVENT: "starting" "ready" "offered" "passed" "restored" "committed" "querying" "captured" "stopped" "rolled_back" ..; CHILD: "accepted", @value[0]: the request's number */
        char text[2048];       /* NODE: path of the configuration, "" when there is none. DONE of STATUS: rollouts under way, a line each. EVENT, DONE: for people: a reason, the last lines of the child's stderr; may hold newlines; NUL-terminated */
};
