/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * A hub inside your own program: `pkg-config --cflags --libs baton-hub`, or CMake's find_package(baton COMPONENTS hub) and baton::hub.
 *
 *      baton_hub_open(&hub, &options);                 name, runtime directory, where states are kept
 *      baton_hub_add_socket(hub, &socket);             listening sockets that the hub holds
 *      baton_hub_add_child(hub, &child);               programs, or functions of this program
 *      baton_hub_add_group(hub, &group);               who of them is started in an order, and restarted for whom
 *      baton_hub_run(hub);                             or: baton_hub_start(), then poll baton_hub_fd(), then baton_hub_dispatch()
 *      hub = baton_hub_close(hub);
 *
 * It is the hub of `batond`: the same start, swaps, roll-backs, restarts, stop and adoption, and it opens the same control socket, so `baton status`,
 * `baton swap` and `baton upgrade` work on it. What it does not do is touch what belongs to the program: it installs no signal handlers (unless
 * asked to), changes no limits, never exits.
 *
 * A child is a program, started as batond would start it, or a function. A process of such a child is a fork() of this program:
 *   - It has a copy of the program's private memory as it was at that moment, its environment and its folder. It has none of its descriptors
 *     (all are closed but the child's own sockets and 0, 1, 2, which are /dev/null and the log), no shared memory of the hub or of other
 *     children, default signal dispositions, and its own session. No atexit() handler runs at its end.
 *   - fork() costs time with the memory the program has touched, some 4 ms for 100 MiB, and the hub is busy that long. A
 *     program of some gigabytes should have programs as children, or start its hub early.
 *   - In a program with threads it must not need what another thread may have locked. The C library's heap and streams are safe.
 *   - The program must not reap the hub's processes: no wait(-1), SIGCHLD not ignored.
 *
 * One thread: that which calls baton_hub_start(). Callbacks are run from baton_hub_run() and baton_hub_dispatch(), never from inside another
 * function; every function but baton_hub_close() may be called in them. A handle does not survive fork().
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/types.h>

#include <baton/child.h>
#include <baton/errors.h>
#include <baton/types.h>

#ifdef __cplusplus
extern "C" {
#endif

#pragma GCC visibility push(default) /* the library is built with -fvisibility=hidden */

struct baton_hub;

#define BATON_HUB_INFINITE UINT64_MAX /* a time without end; max_restarts: for ever */

/* ---- what happens ---- */

/* Valid during the callback. Names and their meaning are those of `baton events`. */
struct baton_hub_event {
        size_t size;
        uint64_t sequence;    /* from 1; a gap: this program did not dispatch for thousands of events */
        uint64_t wall_ns;     /* since 1970 */
        uint64_t mono_ns;     /* CLOCK_MONOTONIC */
        uint64_t incarnation; /* 0: of none */
        const char *name;     /* "child_running" */
        const char *child;    /* its id; "": of none */
        const char *text;
};

/* A program that runs at an event, as `on:` in a configuration: docs/config.md says what it is told. Copied. */
struct baton_hub_command {
        const char *event;  /* "child_given_up" */
        char *const *argv;  /* argv[0]: absolute path of the program */
};

/* A start that may be changed, as by `alter:` in a configuration. Valid during the callback. */
struct baton_hub_alter;
struct baton_hub_start {
        size_t size;
        const char *child;    /* its id */
        enum baton_reason reason;
        uint64_t incarnation; /* the number it will have */
};

struct baton_hub_options {
        size_t size;               /* sizeof(struct baton_hub_options) */
        const char *name;          /* of the hub: letters, digits, . _ -; names its folder below */
        const char *runtime_dir;   /* absolute; as $BATON_RUNTIME_DIR: the hub makes runtime_dir/name in it, 0700 */
        const char *state_dir;     /* the same for states over a stop; NULL: nothing survives a stop */
        uint64_t shutdown_timeout_ns; /* of a whole stop: over the children's own limits; 0: none */
        uint32_t max_parallel;     /* children of one request that migrate at the same time; 0: 8 */
        bool signals;              /* SIGTERM and SIGINT stop the hub; they are blocked in the calling thread, and SIGPIPE and SIGHUP ignored */
        void (*event)(void *ctx, const struct baton_hub_event *event); /* NULL: none wanted */
        void (*say)(void *ctx, const char *sentence);                  /* what the hub has to say to people; NULL: to stderr */
        void *ctx;
        const struct baton_hub_command *on; /* for the hub and all children */
        size_t on_count;
        uint64_t hook_timeout_ns;           /* of such a command; 0: 5 s */
        /* Asked before each start of a child outside a swap, between two turns; it changes the start by baton_hub_alter(). NULL: none wanted. */
        void (*alter)(void *ctx, const struct baton_hub_start *start, struct baton_hub_alter *alter);
};

/* ---- what it holds and runs ---- */

struct baton_hub_socket {
        size_t size; /* sizeof(struct baton_hub_socket) */
        const char *name;
        const struct sockaddr *addr; /* AF_INET, AF_INET6, AF_UNIX */
        socklen_t addr_bytes;
        int type;      /* SOCK_STREAM, SOCK_DGRAM, SOCK_SEQPACKET */
        int backlog;   /* 0: the system's limit */
        mode_t mode;   /* a path: its permissions; 0: 0600 */
        bool reuseport;
};

enum baton_hub_strategy {
        BATON_HUB_COLD = 0,
        BATON_HUB_HOT = 1,
        BATON_HUB_AS_SPECIFIED = 2, /* requests: what the child's own says */
        _BATON_HUB_STRATEGY_N,
};

enum baton_hub_restart {
        BATON_HUB_PERMANENT = 0, /* always */
        BATON_HUB_TRANSIENT = 1, /* after an abnormal exit only */
        BATON_HUB_TEMPORARY = 2, /* never */
        _BATON_HUB_RESTART_N,
};

/* What becomes of a child whose state cannot be used: docs/state.md. */
enum baton_hub_bad_state {
        BATON_HUB_START_FRESH = 0, /* set the state aside, start without one */
        BATON_HUB_DO_NOT_START = 1,
        BATON_HUB_TRY_AGAIN = 2,   /* as @restart says */
        _BATON_HUB_BAD_STATE_N,
};

/* What of a child's state is in the store, and when. */
enum baton_hub_durability {
        BATON_HUB_AT_STOP = 0,
        BATON_HUB_NEVER = 1,
        BATON_HUB_ASYNC = 2, /* checkpoints too */
        BATON_HUB_SYNC = 3,  /* and the child is told of each that is: durable() */
        _BATON_HUB_DURABILITY_N,
};

/* Filled in by baton_hub_child_init(); then set what differs. Everything is copied but @ops and @ctx. */
struct baton_hub_child {
        size_t size;
        const char *id;       /* "web"; with @instances: of the pool */
        uint32_t instances;   /* 0: one child of that id; else web/0, web/1, .. */
        bool plain;           /* a program that does not use libbaton */

        /* a program .. */
        const char *exec;     /* absolute path; NULL: a function */
        char *const *argv;    /* NULL: { exec, NULL } */
        char *const *env;     /* NULL: that of this program */
        const char *cwd;      /* absolute; NULL: that of this program */

        /* .. or a function */
        const struct baton_child_ops *ops; /* must live as long as the hub */
        int (*main)(struct baton_child *child, void *ctx); /* its end is the process' end, negative: with status 1. NULL: baton_child_run() */
        void *ctx;            /* for @main and for @ops' callbacks */

        const char *const *sockets; /* names, in the order in which they are inherited */
        size_t socket_count;  /* at most 16 */

        enum baton_hub_strategy strategy; /* COLD or HOT */
        bool handover;
        enum baton_state_form state;
        uint64_t state_bytes_max;     /* 0: 1 MiB for a blob, 1 GiB for an arena */

        enum baton_hub_restart restart;
        uint64_t max_restarts;        /* 0 to 64, or BATON_HUB_INFINITE */
        uint64_t max_seconds_ns;
        uint64_t backoff_min_ns;
        uint64_t backoff_max_ns;
        uint64_t healthy_ns;
        uint64_t shutdown_ns;         /* 0: killed without being asked; BATON_HUB_INFINITE */
        uint64_t retention_ns;
        uint64_t handover_data_wait_ns;
        uint64_t child_migration_timeout_ns;
        uint64_t state_ttl_ns;        /* or BATON_HUB_INFINITE */
        uint64_t state_query_timeout_ns;

        uint64_t stored_ttl_ns;       /* of a state that a stop put into the store; or BATON_HUB_INFINITE, the default */
        enum baton_hub_bad_state on_bad_state;
        uint32_t restore_attempts;    /* 1 to 1000 */
        bool checkpoint;              /* room for checkpoints; the two below imply it */
        uint64_t checkpoint_every_ns; /* 0: the hub asks for none */
        enum baton_hub_durability durability; /* ASYNC, SYNC: with @handover and a state */
        bool notify;                  /* a program that does not use libbaton, and says READY=1 to NOTIFY_SOCKET; not together with @plain */
        uint64_t watchdog_ns;         /* of a @notify one: silence that is taken for death; 0: none */
        uint32_t max_draining;        /* 1 to 64 predecessors that drain at once; the next one costs the oldest */
        const struct baton_hub_command *on;   /* for events of this child */
        size_t on_count;
        bool significant;             /* its group ends with it: @auto_shutdown of the group; TRANSIENT or TEMPORARY. In no group it means nothing */
};

/**
 * baton_hub_child_init() - the defaults of docs/config.md into @child
 * @bytes: sizeof(struct baton_hub_child)
 *
 * Since: 0.1
 */
void baton_hub_child_init(struct baton_hub_child *child, size_t bytes);

/* ---- who is restarted for whom: docs/groups.md ---- */

/* Whom a member that ends, and is to be restarted, takes along. */
enum baton_hub_group_strategy {
        BATON_HUB_ONE_FOR_ONE = 0,  /* nobody */
        BATON_HUB_ONE_FOR_ALL = 1,  /* all: stopped in reverse order, then all are started in order */
        BATON_HUB_REST_FOR_ONE = 2, /* those behind it, the same way */
        _BATON_HUB_GROUP_STRATEGY_N,
};

/* A group whose work is done ends by itself. */
enum baton_hub_auto_shutdown {
        BATON_HUB_AUTO_NEVER = 0,
        BATON_HUB_AUTO_ANY = 1, /* with the first of its significant members that has ended for good by its own doing */
        BATON_HUB_AUTO_ALL = 2, /* with the last of them */
        _BATON_HUB_AUTO_N,
};

/* Filled in by baton_hub_group_init(); then set what differs. Copied. */
struct baton_hub_group {
        size_t size;
        const char *name;           /* 1 to 63 bytes; no child and no pool has the same */
        const char *const *members; /* ids of children, of pools (all of their instances), names of groups: in the order of their start */
        size_t member_count;        /* at least 1 */
        enum baton_hub_group_strategy strategy;
        uint64_t max_restarts;      /* 0 to 64, or BATON_HUB_INFINITE: of all its members together; more of them .. */
        uint64_t max_seconds_ns;    /* .. within this, and the group gives up */
        enum baton_hub_auto_shutdown auto_shutdown;
        enum baton_hub_restart restart; /* of a group in a group, when it gave up or has shut down */
        bool significant;               /* the same; as a child's */
        bool ends_hub;                  /* of one that is in no other: the hub stops when the group gave up or has shut down */
};

/**
 * baton_hub_group_init() - the defaults of docs/groups.md into @group
 * @bytes: sizeof(struct baton_hub_group)
 *
 * Since: 0.1
 */
void baton_hub_group_init(struct baton_hub_group *group, size_t bytes);

/* ---- life ---- */

/**
 * baton_hub_open() - a hub that does nothing yet
 * @options: copied
 *
 * Errors:    -EINVAL, -ENOMEM.
 * Since:     0.1
 */
int baton_hub_open(struct baton_hub **ret_hub, const struct baton_hub_options *options);

/**
 * baton_hub_close() - stops it if it runs, waits until all its processes have ended, frees
 *
 * Takes NULL. Always returns NULL. Waits as long as a stop takes: the children's shutdown, at most shutdown_timeout. Not from a callback.
 * Since: 0.1
 */
struct baton_hub *baton_hub_close(struct baton_hub *hub);

/* Before baton_hub_start(). 0; -EINVAL and what is wrong in baton_hub_error(); -EEXIST the name is taken; -ENOSPC too many; -EBUSY started. Since: 0.1 */
int baton_hub_add_socket(struct baton_hub *hub, const struct baton_hub_socket *socket);
int baton_hub_add_child(struct baton_hub *hub, const struct baton_hub_child *child);

/**
 * baton_hub_add_group() - children that are started in order, stopped in reverse, and restarted because of each other
 * @group: its members were added before it, functions or programs, and are in no other group
 *
 * In a group max_restarts and max_seconds_ns of a child do not count, and must be as baton_hub_child_init() makes them; its backoff and healthy times do.
 *
 * Errors:    -EINVAL it makes no sense, -EEXIST a child, a pool or a group has its name, -ENOSPC, said by baton_hub_error(); -EBUSY started; -ENOMEM.
 * Since:     0.1
 */
int baton_hub_add_group(struct baton_hub *hub, const struct baton_hub_group *group);

/**
 * baton_hub_start() - open what was added, take over what a hub of this name left when it was killed, start the children
 *
 * Returns when they are being started, not when they run: that is an event. The calling thread is the hub's from here on.
 *
 * Errors:    -errno, with a sentence in baton_hub_error(): -EWOULDBLOCK a hub of this name runs; -EBADMSG children or sockets make no sense
 *            together; -EALREADY. After an error the hub can only be closed.
 * Since:     0.1
 */
int baton_hub_start(struct baton_hub *hub);

#define BATON_HUB_STOPPED 1

/**
 * baton_hub_run() - the hub's own loop, until it was stopped
 *
 * Starts it, if it is not started.
 *
 * Returns:   0 it was stopped, and all states that were given are kept; -EIO they are not; -ECANCELED they are, and it was stopped by a group with
 *            ends_hub that gave up; -errno as baton_hub_start(), or the loop failed.
 * Since:     0.1
 */
int baton_hub_run(struct baton_hub *hub);

/* For a loop of your own: poll it for POLLIN, on the hub's thread, then call baton_hub_dispatch(). The kernel finishes the hub's work in that thread, so
 * its system calls may be interrupted as by a signal handler with SA_RESTART: poll(2) and read(2) go on by themselves, epoll_wait(2) and a
 * recv(2) with a time limit say EINTR. Stable until close; not to be read or closed. -EINVAL: not started. Since: 0.1 */
int baton_hub_fd(const struct baton_hub *hub);

/**
 * baton_hub_dispatch() - do what there is to do; never waits for anything but a fork() or a clone()
 *
 * Returns:   0; BATON_HUB_STOPPED all processes have ended, close it; -errno it failed, and can only be closed.
 * Since:     0.1
 */
int baton_hub_dispatch(struct baton_hub *hub);

/* Begins a stop: states are asked for and kept, then all processes end. 0 also when it stops already; -EINVAL not started. Since: 0.1 */
int baton_hub_stop(struct baton_hub *hub);

/**
 * baton_hub_alter() - change the start that the callback alter() is asked about
 * @record: "env.NAME=VALUE", "arg=TEXT", "cwd=/ABSOLUTE", "meta.KEY=TEXT" or "node=NAME", as a command answers it: docs/config.md. Copied
 *
 * It counts for all processes of the child until the callback is asked again: successors have what their predecessors had.
 *
 * Errors:    -EINVAL no such record, or a variable that the hub sets itself; -ENOSPC more than 64 KiB; -ENOTSUP the child is a function, which has the
 *            program's environment and no arguments: only meta and node. Whether there is such a node is seen afterwards: hook_failed.
 * Since:     0.1
 */
int baton_hub_alter(struct baton_hub_alter *alter, const char *record);

/* What went wrong last, a sentence; "" when nothing has. Valid until the next call. Since: 0.1 */
const char *baton_hub_error(const struct baton_hub *hub);

/* ---- where children run ---- */

#define BATON_HUB_NOWHERE UINT32_MAX

struct baton_hub_place_node {
        const char *name;
        uint32_t weight;
        bool available;   /* false: it leaves, or takes nothing */
        double cpu;       /* what it has to do, averaged: of the processors it may use, 0 .. 1 */
        double memory;    /* of the memory it may use, 0 .. 1 */
        double run_queue; /* threads that wait for a processor, for each processor */
};

struct baton_hub_place_child {
        const char *id;
        const char *pool;
        uint32_t current; /* index of the node it is on; BATON_HUB_NOWHERE: a new one */
};

/* What there is when a plan is made. Valid during the callback. */
struct baton_hub_place {
        size_t size;
        const struct baton_hub_place_node *nodes;
        uint32_t node_count;
        const struct baton_hub_place_child *children;
        uint32_t child_count;
};

/* @ret_node: for each child the index of an available node. 0; else the plan moves none of these children, and the reason, -errno, is said. */
typedef int (*baton_hub_place_fn)(void *ctx, const struct baton_hub_place *place, uint32_t *ret_node);

/**
 * baton_hub_distribute() - which child belongs on which node (docs/nodes.md): by a strategy of one's own, or one of ours
 * @name:  of one's own: letters, digits, . _ -, for messages. Of ours, with @place NULL: "consistent_hash" (the default), "least_loaded", "round_robin"
 * @place: pure: the same question has the same answer. It is called whenever a plan is made, from baton_hub_start() on, in the middle of the hub's work:
 *         it may call nothing of the hub, and the hub does nothing else until it returns. An answer that makes no sense is said, and moves nobody
 *
 * Before baton_hub_start(). Nodes are added by `baton node add`, or were by a hub of this name before.
 *
 * Errors:    -EINVAL no such strategy, or no name; -EBUSY started; -ENOMEM.
 * Since:     0.1
 */
int baton_hub_distribute(struct baton_hub *hub, const char *name, baton_hub_place_fn place, void *ctx);

/* ---- migrations ---- */

struct baton_hub_outcome {
        size_t size;
        int result;         /* 0; -ETIMEDOUT; -ECANCELED rolled back, refused, or the hub stops */
        uint32_t ok, failed; /* children */
        const char *target;
        const char *text;   /* why the last that failed did; "" */
};

typedef void (*baton_hub_done_fn)(void *ctx, const struct baton_hub_outcome *outcome);

/**
 * baton_hub_swap() - replace the processes of @target, by the program or function they have
 * @target: a child's id, or the id of a pool for all of it
 * @done:   called once, when all of them are over; NULL: nobody waits
 *
 * Errors:    -ENOENT no such child; -EINVAL not started; -ENOMEM. @done is not called then.
 * Since:     0.1
 */
int baton_hub_swap(struct baton_hub *hub, const char *target, enum baton_hub_strategy strategy, baton_hub_done_fn done, void *ctx);

/* The same, by another program, which stays theirs when the swap succeeds. Errors: also -errno of opening @exec. Since: 0.1 */
int baton_hub_upgrade(struct baton_hub *hub, const char *target, const char *exec, enum baton_hub_strategy strategy,
                      baton_hub_done_fn done, void *ctx);

/* The same, by another function. @ops and @main_ctx must live as long as the hub. Since: 0.1 */
int baton_hub_upgrade_function(struct baton_hub *hub, const char *target, const struct baton_child_ops *ops,
                               int (*main)(struct baton_child *child, void *ctx), void *main_ctx, enum baton_hub_strategy strategy,
                               baton_hub_done_fn done, void *ctx);

/* ---- rollouts: docs/rollout.md ---- */

#define BATON_HUB_UNSET UINT64_MAX /* of a rollout: what `baton upgrade` takes by itself */

/* Filled in by baton_hub_rollout_init(); then set what differs. Everything is copied but @ops and @ctx. */
struct baton_hub_rollout {
        size_t size;
        const char *exec;              /* absolute path of the new program .. */
        const struct baton_child_ops *ops; /* .. or a function, as in struct baton_hub_child; must live as long as the hub */
        int (*main)(struct baton_child *child, void *ctx);
        void *ctx;
        enum baton_hub_strategy strategy;
        uint64_t canary;               /* so many children go first */
        uint64_t max_surge;            /* hot swaps at a time */
        uint64_t max_unavailable;      /* children that may be down, and cold swaps at a time */
        uint64_t min_ready_ns;         /* a child must run so long without ending */
        uint64_t deadline_ns;          /* of the way forward, and again of the way back */
        char *const *health;           /* a command that is asked for each child then, health[0]: absolute path; NULL: none */
        uint64_t health_timeout_ns;
};

/**
 * baton_hub_rollout_init() - everything as `baton upgrade` takes it by itself
 * @bytes: sizeof(struct baton_hub_rollout)
 *
 * Since: 0.1
 */
void baton_hub_rollout_init(struct baton_hub_rollout *rollout, size_t bytes);

/**
 * baton_hub_roll_out() - another program or function for all of a pool, a few at a time, and back again when one of them does not do well
 * @target: the id of a pool, or of a child
 * @done:   called once, when all run the new one, or all are back: @outcome->result 0; -ECANCELED it went back, -ETIMEDOUT because of its deadline;
 *          @ok children run the new one, @failed do not. NULL: nobody waits. Each step is an event
 *
 * Errors:    -ENOENT no such child; -EINVAL it makes no sense, or not started; -ECANCELED a child of it is being swapped, added or removed, or the hub
 *            stops; -errno of opening @exec; -ENOMEM; said by baton_hub_error(). @done is not called then.
 * Since:     0.1
 */
int baton_hub_roll_out(struct baton_hub *hub, const char *target, const struct baton_hub_rollout *rollout, baton_hub_done_fn done, void *ctx);

/**
 * baton_hub_roll_back() - the children of the last upgrade of @target go back to what they ran before; a rollout that is under way turns around
 * @rollout: how; its @exec and @ops are not looked at; NULL: as it is by itself, without a canary
 *
 * Errors:    as baton_hub_roll_out(); -ECANCELED also when there is nothing to go back to. @outcome->result 0: they are back, @ok of them.
 * Since:     0.1
 */
int baton_hub_roll_back(struct baton_hub *hub, const char *target, const struct baton_hub_rollout *rollout, baton_hub_done_fn done, void *ctx);

/* ---- children of a hub that runs ---- */

/**
 * baton_hub_child_add() - one more child, or pool, as `baton child add` does it
 * @child:       a program; its sockets are names that were added before the start. Copied
 * @deadline_ns: of each instance, from its own start until it runs; 0: its child_migration_timeout_ns
 * @done:        called once, when all of it is over; NULL: nobody waits. @outcome->text: why the first that failed did
 *
 * An instance that does not run in time is taken away again. With a state_dir the child is noted there, and a later hub of this name starts it, too: add
 * it no second time then, the answer would be -ECANCELED, "added before".
 *
 * Errors:    -EINVAL it makes no sense, or no such socket, said by baton_hub_error(); -ENOTSUP a function: it cannot be noted; -EBUSY not started, or
 *            stopping; -ENOSPC; -ENOMEM. @done is not called then.
 * Since:     0.1
 */
int baton_hub_child_add(struct baton_hub *hub, const struct baton_hub_child *child, uint64_t deadline_ns, baton_hub_done_fn done, void *ctx);

#define BATON_HUB_DROP_STATE 1u /* do not ask for its state, and forget what is stored */

/**
 * baton_hub_child_remove() - ends a child, or all of a pool, and knows it no more
 * @flags: 0 or BATON_HUB_DROP_STATE
 *
 * Its state is stored first, and is restored by the next child of its id. A child that was added before baton_hub_start(), functions too, may be removed.
 *
 * Errors:    -ENOENT no such child; -EBUSY not started, or stopping; -ENOMEM; -EINVAL. @done is not called then.
 * Since:     0.1
 */
int baton_hub_child_remove(struct baton_hub *hub, const char *target, uint32_t flags, baton_hub_done_fn done, void *ctx);

/**
 * baton_hub_child_stop() - ends a child, all of a pool, or a group, and keeps its spec: `baton child stop`
 * @target:      a child's id, a pool's, or the name of a group for the whole of it, in its order
 * @deadline_ns: of each child, or of the group; 0: as docs/children.md has it
 * @done:        called once; @outcome->text: why the first that failed did. NULL: nobody waits
 *
 * Its state is captured and stored. It is down until somebody starts it: no restart of its group does, and nobody is restarted for it.
 *
 * baton_hub_child_start() starts it with that state, and all its restarts are new; a child whose group is down starts the group. Who runs already is
 * refused: -ECANCELED. baton_hub_child_restart() does both, and the state does not go through the store.
 *
 * Errors:    -ENOENT no such child or group; -EBUSY not started, or stopping; -ENOMEM; -EINVAL. @done is not called then.
 * Since:     0.1
 */
int baton_hub_child_stop(struct baton_hub *hub, const char *target, uint64_t deadline_ns, baton_hub_done_fn done, void *ctx);
int baton_hub_child_start(struct baton_hub *hub, const char *target, uint64_t deadline_ns, baton_hub_done_fn done, void *ctx);
int baton_hub_child_restart(struct baton_hub *hub, const char *target, uint64_t deadline_ns, baton_hub_done_fn done, void *ctx);

/* ---- what is ---- */

struct baton_hub_look {
        size_t size;          /* sizeof(struct baton_hub_look), set by the caller */
        const char *phase;    /* "running", as `baton status` shows it */
        pid_t pid;            /* 0: no process */
        uint64_t incarnation; /* 0: no process */
        uint64_t restarts, swaps, rollbacks;
        uint64_t pause_ns;    /* of the last swap */
        uint32_t draining;    /* predecessors that are still there */
        const char *note;     /* why it is as it is; "". Valid until the next call */
};

/* 0; -ENOENT; -EINVAL not started. Since: 0.1 */
int baton_hub_look(const struct baton_hub *hub, const char *id, struct baton_hub_look *ret_look);

struct baton_hub_group_look {
        size_t size;            /* sizeof(struct baton_hub_group_look), set by the caller */
        const char *state;      /* "running", "starting", "stopping", "backoff", "stopped", "failed" it gave up, "shut" */
        uint32_t specs;         /* direct members that there are: instances one by one, and groups; less those that were removed */
        uint32_t active;        /* of them: children that have a process, groups that are not down */
        uint64_t restarts;      /* since the hub was started */
        uint64_t restarts_left; /* how many more it would take now before it gives up; BATON_HUB_INFINITE */
        const char *note;       /* why it is as it is; "". Valid until the next call */
};

/* The same for a group. Since: 0.1 */
int baton_hub_group_look(const struct baton_hub *hub, const char *name, struct baton_hub_group_look *ret_look);

#pragma GCC visibility pop

#ifdef __cplusplus
}
#endif
