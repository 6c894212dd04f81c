/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * The plan: a configuration, checked and compiled by the command, in a sealed memfd that the daemon maps.
 *
 *      struct bt_plan | bt_plan_socket[socket_count] | bt_plan_child[child_count] | bt_plan_hook[hook_count] | bt_plan_node[node_count] |
 *      bt_plan_override[override_count] | bt_plan_wish[wish_count] | bt_plan_group[group_count] | bt_plan_member[member_count] | strings
 *
 * A string is an offset into the string table; 0 is "". A list of strings is the offset of the first and a count; they follow each other, each
 * with its NUL. Everything is resolved: addresses are bytes, paths absolute, durations nanoseconds, sizes bytes. Instances are
 * expanded: `instances: 2` of web is two children, web/0 and web/1; without `instances` the child's id is its name.
 *
 * A fragment is a plan of children alone, or of one node alone, for a hub that runs (live.h, node.h): what only a hub has is empty in it.
 *
 * The daemon trusts no plan: bt_plan_open() checks every offset, count, enum and string before anything is used.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "supervisor/event_list.h"
#include "supervisor/group/group.h"

#define BT_PLAN_MAGIC UINT64_C(0x314e414c504e5442) /* "BTNPLAN1" */
#define BT_PLAN_VERSION 4
#define BT_PLAN_BYTES_MAX (UINT64_C(64) << 20)
#define BT_PLAN_CHILDREN_MAX 65536
#define BT_PLAN_SOCKETS_MAX 256
#define BT_PLAN_HOOKS_MAX 4096
#define BT_PLAN_NODES_MAX 256
#define BT_PLAN_OVERRIDES_MAX 4096
#define BT_PLAN_WISHES_MAX 65536
#define BT_PLAN_GROUPS_MAX 1024
#define BT_PLAN_GROUP_DEPTH_MAX 16 /* groups in groups */
#define BT_PLAN_MEMBERS_MAX 65536
#define BT_PLAN_WEIGHT_MAX 65535
#define BT_PLAN_NUMA_MAX 63
#define BT_PLAN_CPUS_MAX 1024
#define BT_PLAN_LIST_MAX 16384 /* strings in one list: words of an exec, variables of an environment */
#define BT_CHILD_SOCKETS_MAX 16
#define BT_CHILD_TAGS_MAX 16
#define BT_CHILD_META_MAX 32
#define BT_CHILD_META_BYTES_MAX 255 /* of a text */
#define BT_PLAN_PARALLEL_DEFAULT 8
#define BT_PLAN_RESTARTS_MAX 64 /* of max_restarts: the hub remembers so many */
#define BT_PLAN_ATTEMPTS_MAX 1000 /* of restore_attempts */
#define BT_PLAN_DRAINING_MAX 64   /* of max_draining */
#define BT_PLAN_SPIN_NS_MAX UINT32_C(1000000)
#define BT_NS_INFINITE UINT64_MAX
#define BT_PLAN_NS_MAX (UINT64_C(366) * 86400 * 1000000000) /* longest finite time: sums of some of them never overflow */

enum bt_strategy {
        BT_STRATEGY_COLD = 0,
        BT_STRATEGY_HOT = 1,
        _BT_STRATEGY_N,
};

enum bt_restart {
        BT_RESTART_PERMANENT = 0, /* always */
        BT_RESTART_TRANSIENT = 1, /* after an abnormal exit only */
        BT_RESTART_TEMPORARY = 2, /* never */
        _BT_RESTART_N,
};

/* What becomes of a child whose state cannot be used: docs/state.md. */
enum bt_bad_state {
        BT_BAD_STATE_FRESH = 0,    /* set the state aside, start without one */
        BT_BAD_STATE_FAIL = 1,     /* do not start; the state stays where it is */
        BT_BAD_STATE_KEEP_OLD = 2, /* the same, but tried again as the restart policy says */
        _BT_BAD_STATE_N,
};

enum bt_protocol {
        BT_PROTOCOL_BATON = 0, /* links libbaton: says when it is ready, captures, restores */
        BT_PROTOCOL_PLAIN = 1, /* knows nothing: running as soon as it is exec'ed, SIGTERM ends it, no state, no hot swap */
        BT_PROTOCOL_NOTIFY = 2, /* says READY=1 to NOTIFY_SOCKET (notify.h): plain, and a hot swap starts the next one beside it. No state, no hand-over */
        _BT_PROTOCOL_N,
};

/* What of a child's state is on the disk, and when. */
enum bt_durability {
        BT_DURABILITY_SHUTDOWN = 0, /* written at an orderly stop, removed when it was delivered */
        BT_DURABILITY_NONE = 1,     /* never */
        BT_DURABILITY_ASYNC = 2,    /* checkpoints too, one at a time; the child is not told */
        BT_DURABILITY_SYNC = 3,     /* and the child is told of each that is durable */
        _BT_DURABILITY_N,
};

/* Which node a child belongs on: supervisor/placement/. */
enum bt_distribution {
        BT_DISTRIBUTION_DEFAULT = 0, /* of a child: the hub's; of the hub: by hash */
        BT_DISTRIBUTION_CONSISTENT_HASH = 1,
        BT_DISTRIBUTION_GUIDED = 2, /* by the wishes */
        BT_DISTRIBUTION_LEAST_LOADED = 3,
        BT_DISTRIBUTION_ROUND_ROBIN = 4,
        _BT_DISTRIBUTION_N,
        BT_DISTRIBUTION_OWN = _BT_DISTRIBUTION_N, /* of the program that the hub is in (embed_place.c); never in a plan */
};

/* How the instances of a replicated child share the work: docs/redundancy.md. */
enum bt_replication {
        BT_REPLICATION_ACTIVE_ACTIVE = 0,
        BT_REPLICATION_ACTIVE_PASSIVE = 1,
        _BT_REPLICATION_N,
};
#define BT_PLAN_REPLICAS_ALL UINT32_MAX

struct bt_plan {
        uint64_t magic;
        uint32_t version;
        uint32_t head_bytes;    /* sizeof(struct bt_plan) */
        uint64_t bytes;         /* of the whole plan */
        uint32_t socket_count;
        uint32_t child_count;
        uint64_t strings_off;
        uint64_t strings_bytes; /* the last byte is NUL */
        uint32_t hub;           /* string: name of the hub */
        uint32_t runtime_dir;   /* string: .../baton/<hub>, absolute; the daemon creates it, 0700 */
        uint32_t state_dir;     /* string: the same for the store */
        uint32_t config_path;   /* string: where it came from; for people */
        uint32_t hook_count;
        uint32_t hub_hook_count; /* the first so many are the hub's: for events of all children, and of none */
        uint64_t hook_timeout_ns; /* 5 s; SIGKILL after; not 0 when there are hooks */
        uint64_t shutdown_timeout_ns; /* of a whole stop; 0: none */
        uint32_t max_parallel;  /* children of one request that migrate at the same time; 0: BT_PLAN_PARALLEL_DEFAULT */
        uint32_t flags;         /* BT_PLAN_* */
        uint32_t node_count;    /* 0: one node, "local" */
        uint32_t override_count;
        uint32_t wish_count;
        uint32_t distribution;  /* enum bt_distribution */
        uint64_t move_retry_min_ns; /* 10 s after a plan of which a move failed it is tried again; then after twice as long each time .. */
        uint64_t move_retry_max_ns; /* .. up to 600 s; 0, both: the defaults */
        uint32_t group_count;
        uint32_t member_count;
};
/* Children for a hub that runs: hub and directories are "", sockets are names of the hub's own and nothing else, no hook is the hub's. */
#define BT_PLAN_FRAGMENT 1u

/* A command for one event: supervisor/hooks.h. */
struct bt_plan_hook {
        uint32_t event;         /* enum bt_event_kind, of those that hooks reach */
        uint32_t exec;          /* string: absolute path */
        uint32_t argv;          /* strings, at least one */
        uint32_t argv_count;
};

/* On its node the children of a pool run another program. */
struct bt_plan_override {
        uint32_t pool;           /* string */
        uint32_t exec;           /* string: absolute path */
};

/* Of the map of `guided`; several of one key are in the order of preference. */
struct bt_plan_wish {
        uint32_t key;            /* string: a child's id or a pool's name */
        uint32_t node;           /* string: its name */
};

struct bt_plan_socket {
        uint32_t name;          /* string */
        uint32_t type;          /* SOCK_STREAM, SOCK_DGRAM, SOCK_SEQPACKET */
        uint32_t backlog;       /* 0: SOMAXCONN */
        uint32_t mode;          /* unix: permission bits of the path */
        uint32_t flags;         /* BT_PLAN_SOCKET_* */
        uint32_t addr_bytes;
        uint8_t addr[128];      /* struct sockaddr_* */
        uint32_t text;          /* string: as written, for messages */
        uint32_t reserved;
};
#define BT_PLAN_SOCKET_REUSEPORT 1u

struct bt_plan_child {
        uint32_t id;              /* string, 1 .. BATON_ID_BYTES_MAX bytes */
        uint32_t pool;            /* string: the name it was expanded from; equal to id without `instances` */
        uint32_t exec;            /* string: absolute path */
        uint32_t argv;            /* strings, at least one */
        uint32_t argv_count;
        uint32_t env;             /* strings KEY=VALUE: the whole environment of the child but what the hub adds */
        uint32_t env_count;
        uint32_t cwd;             /* string, absolute; "": the command's own */
        uint32_t socket_count;
        uint32_t sockets[BT_CHILD_SOCKETS_MAX]; /* indexes */
        uint32_t protocol;        /* enum bt_protocol */
        uint32_t strategy;        /* enum bt_strategy */
        uint32_t handover;        /* 0 or 1 */
        uint32_t state_form;      /* enum baton_state_form */
        uint32_t restart;         /* enum bt_restart */
        uint32_t max_restarts;    /* UINT32_MAX: forever */
        uint64_t max_seconds_ns;  /* default 3 restarts in 5 s, as OTP */
        uint64_t backoff_min_ns;  /* default 100 ms; doubles with each restart */
        uint64_t backoff_max_ns;  /* default 10 s */
        uint64_t healthy_ns;      /* running for so long resets the back-off; default 10 s */
        uint64_t shutdown_ns;     /* SIGKILL after; 0: brutal_kill; BT_NS_INFINITE; default 5 s */
        uint64_t state_bytes_max; /* default 1 MiB for a blob, 1 GiB for an arena */
        uint64_t retention_ns;               /* 5 s */
        uint32_t max_draining;               /* 1 .. BT_PLAN_DRAINING_MAX predecessors that drain at once; default 8 */
        uint32_t reserved_draining;
        uint64_t watchdog_ns;                /* BT_PROTOCOL_NOTIFY: silence that is taken for death; 0: none */
        uint64_t handover_data_wait_ns;      /* 3 s */
        uint64_t child_migration_timeout_ns; /* 10 s */
        uint64_t state_ttl_ns;               /* 30 s; BT_NS_INFINITE: none */
        uint64_t state_query_timeout_ns;     /* 5 s */
        uint64_t stored_ttl_ns;   /* of states that were put into the store by a stop; BT_NS_INFINITE: none, the default */
        uint32_t on_bad_state;    /* enum bt_bad_state */
        uint32_t restore_attempts; /* 1 .. BT_PLAN_ATTEMPTS_MAX; default 3 */
        uint32_t hook_first;      /* index of its own hooks; shared by instances */
        uint32_t hook_count;
        uint32_t checkpoint;             /* 1: the baton has room for checkpoints */
        uint32_t durability;             /* enum bt_durability */
        uint64_t checkpoint_every_ns;    /* 0: the hub does not ask for any */
        uint32_t tags;                   /* strings: names */
        uint32_t tag_count;              /* at most BT_CHILD_TAGS_MAX */
        uint32_t meta;                   /* strings KEY=TEXT, KEY a name */
        uint32_t meta_count;             /* at most BT_CHILD_META_MAX */
        uint32_t mailbox_slots;          /* 0: no mailbox; else a power of two, BT_MAILBOX_SLOTS_MIN .. BT_MAILBOX_SLOTS_MAX */
        uint32_t mailbox_bytes;          /* of a message in its slot, 1 .. BT_MAILBOX_BYTES_MAX */
        uint32_t mailbox_undo_bytes;     /* room to take back what one message changed in an arena; 0: none */
        uint32_t mailbox_spin_ns;        /* how long the child watches for the next message, at most BT_PLAN_SPIN_NS_MAX */
        uint32_t alter;                  /* string: absolute path of a command that is asked before a start (alter.h); "": none */
        uint32_t alter_argv;             /* strings; at least one when there is a command */
        uint32_t alter_argv_count;
        uint32_t distribution;           /* enum bt_distribution */
        uint64_t consent_timeout_ns;     /* 5 s; an answer that has not come by then is "later" */
        uint64_t consent_retry_ns;       /* 10 s after "later" it is asked again */
        uint64_t consent_limit_ns;       /* 600 s after the first "later" it is moved without being asked */
        uint64_t given;                  /* bits of enum bt_plan_option: it says these itself, and no node's defaults touch them */
        uint32_t hold;                   /* 0 or 1: may be started ahead of need and held before its first line; default 1 */
        uint32_t spare;                  /* 0 or 1: one is kept ready */
        uint32_t zygote;                 /* 1: its processes are forked from one that is warm: zygote.h */
        uint32_t significant;            /* 0 or 1: of a group with auto_shutdown, which ends with it */
        uint32_t mailbox_shared;         /* 1: the members of the pool have one mailbox */
        uint32_t mailbox_deliveries;     /* a message is begun so often; 0: for ever */
        uint32_t replicas;               /* on so many nodes, at most BT_PLAN_NODES_MAX; 0: not replicated; BT_PLAN_REPLICAS_ALL: on each */
        uint32_t replication;            /* enum bt_replication */
        uint64_t reserved[1];
};

/*
 * What a node may have defaults for: how the processes of a child are replaced, restarted and ended. Everything else belongs to the child wherever it
 * runs (its state, its mailbox, its names), or a node has it under its own keys (env, exec). X(member, "key of a child", "key inside of its map")
 */
#define BT_PLAN_OPTION_TABLE(X)                                                                    \
        X(strategy, "strategy", NULL)                                                              \
        X(handover, "handover", NULL)                                                              \
        X(restart, "restart", NULL)                                                                \
        X(max_restarts, "max_restarts", NULL)                                                      \
        X(max_seconds_ns, "max_seconds", NULL)                                                     \
        X(backoff_min_ns, "backoff", "min")                                                        \
        X(backoff_max_ns, "backoff", "max")                                                        \
        X(healthy_ns, "healthy", NULL)                                                             \
        X(shutdown_ns, "shutdown", NULL)                                                           \
        X(retention_ns, "retention", NULL)                                                         \
        X(max_draining, "max_draining", NULL)                                                      \
        X(handover_data_wait_ns, "handover_data_wait", NULL)                                       \
        X(child_migration_timeout_ns, "child_migration_timeout", NULL)                             \
        X(state_ttl_ns, "state_ttl", NULL)                                                         \
        X(state_query_timeout_ns, "state_query_timeout", NULL)                                     \
        X(stored_ttl_ns, "stored_ttl", NULL)                                                       \
        X(on_bad_state, "on_bad_state", NULL)                                                      \
        X(restore_attempts, "restore_attempts", NULL)                                              \
        X(checkpoint_every_ns, "checkpoint_every", NULL)                                           \
        X(consent_timeout_ns, "consent_timeout", NULL)                                             \
        X(consent_retry_ns, "consent_retry", NULL)                                                 \
        X(consent_limit_ns, "consent_limit", NULL)

enum bt_plan_option {
#define X(member, key, inner) BT_PLAN_OPTION_##member,
        BT_PLAN_OPTION_TABLE(X)
#undef X
                _BT_PLAN_OPTION_N,
};
#define BT_PLAN_OPTION_BIT(member) (UINT64_C(1) << BT_PLAN_OPTION_##member)

/* Where children run, and with what: docs/nodes.md. */
struct bt_plan_node {
        uint32_t name;           /* string */
        uint32_t weight;         /* 0 .. BT_PLAN_WEIGHT_MAX; default 1 */
        int32_t nice;            /* added to the hub's own; 0: as the hub */
        int32_t numa;            /* memory from this NUMA node alone; -1: from anywhere */
        uint64_t cpus[BT_PLAN_CPUS_MAX / 64]; /* a bit each; none: those the hub may use */
        uint64_t memory_max;     /* bytes, of all its children together; 0: no limit */
        uint32_t env;            /* strings KEY=VALUE, over those of the child */
        uint32_t env_count;
        uint32_t override_first;
        uint32_t override_count;
        struct bt_plan_child defaults; /* of it only the options that its @given names count */
        uint64_t reserved[2];
};

/* Children, or other groups, that are started in order and stopped in reverse: docs/groups.md. The groups that are in a group come behind it. */
struct bt_plan_group {
        uint32_t name;           /* string; no child or pool has the same */
        uint32_t strategy;       /* enum bt_group_strategy */
        uint32_t auto_shutdown;  /* enum bt_group_auto */
        uint32_t max_restarts;   /* UINT32_MAX: forever */
        uint64_t max_seconds_ns; /* default 3 restarts in 5 s, as of a child */
        uint32_t restart;        /* enum bt_restart; of a group in a group */
        uint32_t significant;    /* 0 or 1; the same */
        uint32_t ends_hub;       /* 0 or 1: the hub stops when it has ended by itself; of one that is in no other */
        uint32_t member_first;
        uint32_t member_count;   /* at least 1 */
        uint32_t reserved;
};

/* So many children from @first on, of one pool; or the group @first. */
struct bt_plan_member {
        uint32_t first;
        uint32_t count; /* 0: a group */
};

/* plan_options.c */
/* All zero but the defaults of docs/config.md. */
void bt_plan_child_init(struct bt_plan_child *child);
void bt_plan_node_init(struct bt_plan_node *node);

/* @child as it is on @node: with the node's defaults where neither it nor sense is against them. False: as it is anywhere, @ret_child is not written. */
bool bt_plan_child_on(struct bt_plan_child *ret_child, const struct bt_plan_child *child, const struct bt_plan_node *node);
/* The node's defaults say `handover` to a replicated child: BT_PLAN_REFUSED. */
bool bt_plan_refused_on(const struct bt_plan_child *child, const struct bt_plan_node *node);
/* A contract: docs/redundancy.md. */
#define BT_PLAN_REFUSED "invalid_config: handover_with_replication_not_supported"
/* The options in which @child is not as bt_plan_child_init() makes it. */
uint64_t bt_plan_child_differs(const struct bt_plan_child *child);

/* A checked, mapped plan. */
struct bt_plan_view {
        const struct bt_plan *plan;
        const struct bt_plan_socket *sockets;
        const struct bt_plan_child *children;
        const struct bt_plan_hook *hooks;
        const struct bt_plan_node *nodes;
        const struct bt_plan_override *overrides;
        const struct bt_plan_wish *wishes;
        const struct bt_plan_group *groups;
        const struct bt_plan_member *members;
        const char *strings;
};

/**
 * bt_plan_open() - map and check a plan
 * @fd: sealed memfd; borrowed
 * @ret_error: a sentence when it is refused, constant
 *
 * Returns 0, -EINVAL (with @ret_error) or another -errno.
 */
int bt_plan_open(struct bt_plan_view *ret_view, int fd, const char **ret_error);
void bt_plan_close(struct bt_plan_view *view);

static inline const char *bt_plan_string(const struct bt_plan_view *view, uint32_t off)
{
        return view->strings + off;
}

/* Where "/<number>" begins at the end of @id, as in the id of an instance; SIZE_MAX: nowhere. */
size_t bt_plan_number_at(const char *id);
/* It ends so, or with "@<node>", as an instance of a replicated child: no child of a plan has such a name. */
bool bt_plan_id_of_instance(const char *id);

/* Letters, digits and ._-, at most BATON_NAME_BYTES_MAX, not beginning with a dot. @name need not end there. */
bool bt_plan_name_valid(const char *name, size_t bytes);

/* Variables that the hub sets for each process, and that say something about that one only: LISTEN_PID, BATON_LINK_FD, .. @name need not end there. */
bool bt_plan_reserved_variable(const char *name, size_t bytes);

/* The string after @string in a list. */
const char *bt_plan_string_next(const char *string);
