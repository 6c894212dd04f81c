/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * The hub and all that it owns, for the files of this folder.
 *
 *      bt_hub ── bt_child (one a plan record: children.h) ── bt_inc (one a process: the current one, a successor, predecessors that drain)
 *         │           └── bt_migration (while one is under way) ── bt_waiter (clients that want to know)
 *         ├── bt_client (one a control connection)
 *         └── store, nodes (node.h), listening sockets
 *
 * Everything here lives on the hub's one thread. Objects free themselves only from the loop, never while somebody up the stack uses them:
 * a process that ended is unlinked at once and freed when its exit has been dealt with.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/escape.h"
#include "base/list.h"
#include "shm/baton.h"
#include "shm/link.h"
#include "shm/node.h"
#include "supervisor/children.h"
#include "supervisor/control.h"
#include "supervisor/describe.h"
#include "supervisor/loop/loop.h"
#include "supervisor/node.h"
#include "supervisor/plan.h"
#include "supervisor/proc/proc.h"
#include "supervisor/registry.h"
#include "supervisor/stock.h"
#include "supervisor/store/store.h"
#include "supervisor/swap/shutdown.h"
#include "supervisor/swap/swap.h"

struct bt_alter;
struct bt_carry;
struct bt_carry_item;
struct bt_renewal;
struct bt_inc_start;
struct bt_zygote;
struct bt_hub;
struct bt_hub_group;
struct bt_hub_groups;
struct bt_keep;
struct bt_child;
struct bt_client;
struct bt_embed;
struct bt_function;
struct bt_events;
struct bt_hooks;
struct bt_rolling;
struct bt_mail;
struct bt_callers;
struct bt_live_item;
struct bt_move;
struct bt_notify;
struct bt_redistribution;
struct bt_replicas;

/* ---- things with more than one user: counted ---- */

/* A loaded plan: the configuration's, or a fragment that children were added from. */
struct bt_plan_ref {
        uint32_t refs;
        uint64_t number;                       /* a fragment's: its name in the store (live.h); 0: the configuration */
        uint32_t noted;                        /* children of a fragment that have a note there */
        uint32_t sockets[BT_PLAN_SOCKETS_MAX]; /* which of bt_hub.sockets its own are */
        struct bt_plan_view view;
};

/*
 * A pinned executable: what was committed is what is started again, whatever the path names by then (R27). Children of one file share one, with its
 * descriptor; what an upgrade brought is not shared with others.
 */
struct bt_binary {
        struct bt_list shared; /* in bt_hub.binaries */
        uint32_t refs;
        int fd;     /* O_PATH */
        int script; /* "#!": run by path, cannot be pinned */
        bool holds; /* can be held before its first line: docs/spares.md */
        const struct bt_function *function; /* no file at all: function.h; else NULL */
        uint64_t upgrade; /* number of the upgrade that brought it; 0: the configuration's, or found running */
        const void *carried_by; /* these two: while a carry is written */
        uint32_t carried_as;
        char path[]; /* at most BT_CTL_PATH_BYTES */
};

/* A baton segment: the child's, or, without hand-over, each generation's own. */
struct bt_holding {
        uint32_t refs;
        int fd;
        struct bt_seg seg; /* the head only */
        struct bt_baton *baton;
};

/* ---- log pipes ---- */

#define BT_LOG_LINE_MAX 4096                    /* as printed: what a pipe takes whole */
#define BT_LOG_HEAD_MAX (BT_ESCAPE_BYTES(BATON_ID_BYTES_MAX) + 4) /* "id | " and the newline */
#define BT_LOG_TAIL_BYTES 1536

struct bt_log {
        struct bt_loop_watch watch;
        struct bt_loop *loop;
        const char *id;  /* put in front of each line */
        int fd;          /* read end; -1: none */
        int to;          /* where whole lines go */
        uint32_t bytes;  /* in @line */
        uint32_t tail_bytes;
        uint32_t tail_room;
        uint64_t dropped; /* bytes that the reader of our own output had no room for */
        char *line;       /* the beginning of a line whose end has not come; NULL: none */
        char *tail;       /* the last lines, for reports; at most BT_LOG_TAIL_BYTES, and only as much as was printed */
};

int bt_log_open(struct bt_hub *hub, struct bt_log *log, const char *id, int to, int *ret_write_end);
/* The same for a read end that there is already; takes @fd. */
int bt_log_adopt(struct bt_hub *hub, struct bt_log *log, const char *id, int to, int fd);
void bt_log_drain(struct bt_log *log); /* reads what is there */
void bt_log_close(struct bt_log *log); /* its tail stays */
void bt_log_deinit(struct bt_log *log);
void bt_log_say(const char *line, size_t bytes); /* the hub's own, to stderr; never waits */

/* ---- one process ---- */

struct bt_inc {
        struct bt_list node; /* in bt_child.incs */
        struct bt_child *child;
        uint64_t number;
        enum baton_reason reason;
        struct bt_binary *binary;
        struct bt_holding *holding;
        pid_t pid;
        int pidfd;
        struct bt_seg link_seg;
        struct bt_link *link;     /* NULL: a program that does not use libbaton */
        struct bt_notify *notify; /* what it says instead: notify.h; NULL: nothing */
        int bell;
        int channel;
        struct bt_ring_end inbox;
        struct bt_ring_end outbox;
        struct bt_loop_watch exit_watch;
        struct bt_loop_watch life_watch;
        struct bt_loop_watch channel_watch;
        struct bt_loop_timer deadline; /* retention, or the patience of a stop */
        struct bt_log out; /* not open: what it prints there comes with @err */
        struct bt_log err;
        struct bt_hub_node *started_on; /* of a held one; only compared */
        int handoff;   /* write end of the hand-off socket of a held one; -1: none */
        bool held;     /* stopped before its first line, or on its way there: it has no number yet (held.c) */
        bool held_seen; /* it has said so */
        bool ready;
        bool poisoned; /* broke the protocol: not listened to any more, killed */
        bool told_to_end;
        bool retires; /* has handed over and drains */
        bool drains_nothing; /* ends as soon as it is told to retire: it has said so */
        struct bt_list later;  /* these three: retire.c */
        uint64_t heir;
        uint64_t retention_ns;
        bool killed; /* by us */
        uint32_t version; /* of the schema, the newest that it reads; 0: unknown */
        bool consents; /* is to be asked before it is moved to another node */
        bool yields;   /* these three: mode.c. It is never made active again */
        enum baton_mode mode; /* as it has taken it */
        enum baton_mode told;
        bool mark_ends; /* a swap waits for its end, and need not know how it ended: the life mark is enough */
        bool dead;  /* can run no more user code; set by the life mark or the exit */
        bool reaped;
        struct bt_proc_exit how;
        struct bt_registry_entry *entry; /* NULL: the registry was full */
        struct bt_zygote *zygote; /* zygote.h; NULL: none */
        struct bt_list asked;     /* in its list: no answer yet, and no pid */
        uint64_t token;
        struct bt_inc_start *start; /* until then */
        uint64_t refused_error;
        char *why; /* last text from its link; NULL: none. See bt_inc_why() */
};

struct bt_inc_spawn {
        struct bt_child *child;
        struct bt_binary *binary;
        struct bt_holding *holding;
        enum baton_reason reason;
        struct bt_seat seat; /* where it shows itself; borrowed */
        const struct bt_parcel *parcel; /* what is in its hand-off socket from the beginning; NULL: nothing */
        int *ret_handoff;    /* gets the write end of its hand-off socket; NULL: not wanted */
        uint32_t hold;       /* BT_HOLD_ASKED: stops before its first line, and what belongs to an incarnation is given by bt_inc_release() */
        uint32_t hold_flags;
};

/*
 * Starts a process: lets the child's spare begin, if it has one that fits, or makes one. @how->hold: it is held, and a spare stays so.
 * 0 or -errno, with a sentence in @ret_why.
 */
int bt_inc_start(struct bt_inc **ret_inc, const struct bt_inc_spawn *how, char *ret_why, size_t why_bytes);
/* Makes one. */
int bt_inc_spawn(struct bt_inc **ret_inc, const struct bt_inc_spawn *how, char *ret_why, size_t why_bytes);
/* What a zygote made of it: a process, whose pidfd it takes; or none, so it is executed. The second may end in bt_child_on_exit(). */
void bt_inc_forked(struct bt_inc *inc, pid_t pid, int pidfd);
void bt_inc_not_forked(struct bt_inc *inc);
/* A process of a hub that was killed. */
struct bt_found {
        struct bt_registry_entry *entry;
        pid_t pid;
        int pidfd;
        struct bt_seg link_seg;
        struct bt_link *link;
        int fds[_BT_LINK_FD_N]; /* duplicates of its descriptors; -1: none */
        const struct bt_carry_item *const *carried; /* it is ours, and this is known of it: carry.h; NULL: of a hub that was killed */
};

/* Takes over what @found has. 0 or -errno. */
int bt_inc_adopt(struct bt_inc **ret_inc, struct bt_child *child, struct bt_found *found, struct bt_binary *binary, struct bt_holding *holding);

/* Says something; wakes the process, also when it is parked. A full or broken ring is the process' fault: it is noted, not fatal. */
void bt_inc_say(struct bt_inc *inc, uint32_t type, uint64_t token, uint32_t flags, uint64_t arg0, uint64_t arg1);
/* The same to one that is parked and need not wake up for it: read when it wakes up. */
void bt_inc_say_parked(struct bt_inc *inc, uint32_t type, uint64_t token, uint32_t flags);
/* Sends a descriptor over its channel. 0 or -errno. */
int bt_inc_send(struct bt_inc *inc, const struct bt_chan *msg, int fd);
/* Its process is @pid by now, whose pidfd it takes. Returns the pidfd it had, which is the caller's, or -errno, with @pidfd closed. */
int bt_inc_main_is(struct bt_inc *inc, pid_t pid, int pidfd);
void bt_inc_listen(struct bt_inc *inc); /* handles all that it has said so far */
void bt_inc_stop(struct bt_inc *inc); /* TERMINATE, or SIGTERM to a program that does not listen */
void bt_inc_kill(struct bt_inc *inc);
/* retire.c: RETIRE, and its retention begins; in a crowd a little later where that makes no difference to it. */
void bt_inc_retire(struct bt_inc *inc, uint64_t heir, uint64_t retention_ns);
void bt_inc_not_later(struct bt_inc *inc); /* it ends in another way, or did */
void bt_inc_ends_until(struct bt_inc *inc, uint64_t deadline_ns); /* it was told to, or retires: killed then */
/*
 * Has its death seen by the mark the kernel leaves, where that is sound: see inc.c. With @mark_ends it is taken for its end, and this is to be called before it
 * is told to end; else its successor is begun early.
 */
void bt_inc_watch_life(struct bt_inc *inc);
struct bt_inc *bt_inc_free(struct bt_inc *inc);
/* What it said last about a failure, or somebody said for it; "": nothing. */
const char *bt_inc_why(const struct bt_inc *inc);
void bt_inc_set_why(struct bt_inc *inc, const char *text); /* copies */
/* "exit 3", or how else it ended */
const char *bt_inc_exit_text(const struct bt_inc *inc, char *text, size_t bytes);

/* held.c: docs/spares.md */
bool bt_held_possible(const struct bt_child *child, const struct bt_binary *binary);
/* Its number, its reason and its descriptors; then it begins. What cannot be given is the end of it. */
void bt_inc_release(struct bt_inc *inc, const struct bt_inc_spawn *how);
void bt_inc_discard(struct bt_inc *inc); /* a held one that is not wanted */
void bt_held_said(struct bt_inc *inc);
void bt_spare_wanted(struct bt_child *child); /* it runs, or what its spare must be has changed */
void bt_spare_ahead(struct bt_inc *inc); /* it is dying, and how will be known later */
void bt_spare_unwanted(struct bt_child *child); /* it is not started again, or not at once */
void bt_spare_exited(struct bt_child *child);
void bt_spare_deinit(struct bt_child *child);

/* ---- descriptors a child keeps with the hub ---- */

#define BT_KEPT_MAX 64

struct bt_kept_fd {
        char name[64];
        int fd;
};

/* ---- its checkpoints: checkpoint.c ---- */

struct bt_checkpoints {
        struct bt_loop_timer every;   /* checkpoint_every */
        struct bt_loop_timer retry;   /* the store could not take one */
        struct bt_holding *putting;   /* whose leased slot the store reads; NULL: none */
        uint64_t putting_sequence;
        uint64_t told_number;         /* of the incarnation that was told DURABLE last */
        uint32_t told_at;             /* and the place behind it in its ring */
        bool asked;                   /* no answer yet */
        bool late;                    /* and that was said */
        bool failing;                 /* the last one failed, and that was said */
};

/* What there is to be given to the next holder. */
enum bt_recovered {
        BT_RECOVERED_NOTHING = 0,
        BT_RECOVERED_LIVING = 1,     /* a captured blob, or an arena that is whole */
        BT_RECOVERED_CHECKPOINT = 2, /* the last checkpoint was put in its place */
};

/* Descriptors on their way in a cold swap, while no process has them. */
struct bt_parcel {
        struct bt_handoff *messages;
        int (*fds)[BT_HANDOFF_FDS_MAX];
        uint32_t count;
        uint64_t fd_count;
};

/* ---- a child ---- */

#define BT_RESTART_HISTORY 64

/* It is being stopped because another member of its group failed: group_pause.c. */
enum bt_pause {
        BT_PAUSE_NONE = 0,
        BT_PAUSE_SETTLING = 1,
        BT_PAUSE_ASKED = 2,
        BT_PAUSE_ENDING = 3,
};

struct bt_child {
        struct bt_hub *hub;
        struct bt_list order; /* these four: children.h */
        struct bt_list to_load;
        struct bt_list unsettled;
        struct bt_child *bucket_next;
        struct bt_plan_ref *plan; /* that @spec, @id and @pool are in */
        uint32_t plan_idx;
        uint32_t store_jobs; /* under way for it, whose answers name it */
        const struct bt_plan_child *spec;  /* in the plan; or @spec_there */
        struct bt_plan_child *spec_there;  /* with the defaults of its node; NULL: they change nothing */
        const char *id;
        const char *pool;
        struct bt_seat seat;
        enum bt_phase phase;
        struct bt_list incs;
        struct bt_inc *current; /* the one that serves, or is being started to; NULL: down */
        struct bt_inc *spare;      /* held, in @incs; NULL: none */
        struct bt_loop_timer spare_timer;
        uint64_t spare_backoff_ns; /* 0: the last one was used, or lived long */
        uint64_t spare_since_ns;
        struct bt_binary *binary;  /* what is started when it is to be started again */
        struct bt_binary *own;     /* the configuration's, or what was committed since; a node may have another one for it */
        struct bt_hub_node *ideal; /* where the last plan wanted it; only compared. NULL: nowhere */
        struct bt_move *move;      /* between nodes, planned or under way: redistribute.h; NULL: none */
        bool placed;               /* by a plan, or when it was added */
        bool wished;               /* for the length of one plan: the map of `guided` has a node for it */
        bool misplaced;            /* a move failed: to be tried again */
        struct bt_replicas *replicas; /* replicas.h: it is an instance of this; NULL: not replicated */
        struct bt_list instance;
        char *own_id;                 /* @id, which no plan has; NULL: not replicated */
        bool joining;                 /* a node waits for its first start */
        bool unwanted;                /* a node waits for its end, or another instance for its place */
        pid_t load_pid;            /* of the process that @load_ticks is of */
        uint64_t load_ticks;
        bool killed;               /* its last process was killed, not by us, and that may be the death of its node */
        struct bt_binary *previous; /* before the last committed upgrade; NULL: none, or it went back already */
        struct bt_rolling *rolling; /* rolling.h: it belongs to this rollout; NULL: to none */
        struct bt_hub_group *group; /* groups.h; NULL: in none */
        uint32_t group_idx;
        enum bt_pause pause;
        struct bt_loop_timer pause_timer;
        bool paused;  /* and is down since: what it captured, if it did, is in its baton */
        bool loading; /* its record is being read */
        struct bt_holding *holding;
        struct bt_mail *mail; /* mailbox.h; NULL: it has none */
        struct bt_migration *migration;
        uint64_t number_next;
        pid_t served_pid; /* of the last one that served under this hub; 0: none yet */
        struct bt_kept_fd *kept; /* BT_KEPT_MAX of them; NULL: it never kept any */
        uint32_t kept_count;

        struct bt_loop_timer restart_timer;
        uint64_t *restarted_ns; /* ring of the last BT_RESTART_HISTORY restarts, for max_restarts in max_seconds; NULL: none yet */
        uint32_t restart_count;                    /* all that went into the ring */
        uint64_t backoff_ns;
        uint64_t running_since_ns;
        uint32_t restore_failures; /* of the state that is in the baton now */

        uint64_t stored_sequence; /* of the record in the store that is being delivered; 0: none */
        uint64_t capture_sequence;
        bool asked;    /* shutdown: its state was asked for, no answer yet */
        bool captured; /* shutdown: state is in the baton, whole */
        bool handed_in; /* and the store has been told */
        bool adopted;  /* has processes of a hub that was killed: it is not started */
        bool carried;  /* its processes were ours before an exec: carry.h */
        bool in_transit;  /* its state was captured for a cold swap and is not restored yet: state_ttl runs */
        bool with_keeper; /* what it has is with the keeper, too: keeper.h */
        bool taken_up;    /* its baton was with the keeper of a hub that was killed: it is about to be started with it */
        bool reload;      /* its state is in the store and could not be used: read it again before the next start */
        bool kept_record; /* a record in the store was passed over: set aside when the child runs without it */
        bool leaving;     /* it is being removed: nobody starts it any more (leave.c) */
        bool importing;   /* a record was imported while it was down, and is being read; then it is in @phase_after again */
        enum bt_phase phase_after;
        struct bt_parcel parcel; /* from that keeper: for the process that is started next */

        struct bt_live_item *item; /* of the request that adds or removes it; NULL: none (live.h) */
        struct bt_checkpoints checkpoints;
        struct bt_alter *alter; /* alter.h; NULL: it was never asked */

        uint64_t restarts, swaps, rollbacks, pause_ns, total_ns, state_bytes;
        uint32_t limits_hit;
        struct bt_proc_exit last_exit;
        char note[128];
};

int bt_child_init(struct bt_child *child); /* called by bt_hub_child_add(): @hub, @plan, @plan_idx and @seat are set */
void bt_child_deinit(struct bt_child *child);
void bt_child_start(struct bt_child *child, enum baton_reason reason);
void bt_child_start_altered(struct bt_child *child, enum baton_reason reason); /* by alter.c: its answer is there */
/* Nobody serves any more: the restart policy decides. @how: NULL when no process was ever there. */
void bt_child_down(struct bt_child *child, const struct bt_proc_exit *how);
void bt_child_running(struct bt_child *child, struct bt_inc *inc);
void bt_child_publish(struct bt_child *child);
void bt_child_begun(struct bt_child *child, struct bt_inc *inc); /* its process is there, and in the register */
void bt_child_resume(struct bt_child *child); /* it is down: with what was captured, or is in the store, or as after a crash */
void bt_child_restart_now(struct bt_child *child); /* it waits for that */
void bt_child_restart_at(struct bt_child *child, uint64_t due_ns); /* the same, at a time that was decided before */
bool bt_child_restarts_at_once(const struct bt_child *child); /* should its process crash now */
uint64_t bt_child_backoff(struct bt_child *child); /* one more restart: how long to wait before it */
void bt_child_waits(struct bt_child *child, uint64_t wait_ns); /* for that: says so */
void bt_child_settled(struct bt_child *child); /* its first start is over, one way or the other: maybe all are */
__attribute__((format(printf, 2, 3))) void bt_child_note(struct bt_child *child, const char *format, ...);
const char *bt_child_reason_name(enum baton_reason reason); /* "fresh", "hot", .. */
void bt_child_give_up(struct bt_child *child); /* failed, until somebody starts it; or its group has another idea */
void bt_child_give_up_as(struct bt_child *child, enum bt_phase phase); /* FAILED or STOPPED, whatever its group thinks */
/* A new, empty baton in place of the one there is. 0 or -errno. */
int bt_child_fresh_baton(struct bt_child *child);

/* What processes do: called by inc.c. */
void bt_child_on_message(struct bt_child *child, struct bt_inc *inc, const struct bt_rec *rec);
void bt_child_on_notified(struct bt_child *child, struct bt_inc *inc); /* READY=1 */
void bt_child_on_exit(struct bt_child *child, struct bt_inc *inc);

/* checkpoint.c */
/* While nobody holds: the last checkpoint takes the place of a state that is lost or torn. @ret_text: about it, for people. */
enum bt_recovered bt_child_recover(const struct bt_child *child, struct bt_holding *holding, char *ret_text, size_t text_bytes);
void bt_child_recover_and_say(struct bt_child *child, enum baton_reason reason); /* before a start */
bool bt_child_is_durable(const struct bt_child *child);                          /* its checkpoints go to the disk */
void bt_child_checkpoints_begin(struct bt_child *child);                         /* it runs */
void bt_child_checkpoints_end(struct bt_child *child);
void bt_child_checkpoints_put(struct bt_child *child); /* those that had to wait (bt_hub.puts_wait) */
void bt_child_on_checkpointed(struct bt_child *child, struct bt_inc *inc, const struct bt_rec *rec);

/* kept.c */
bool bt_child_on_channel(struct bt_child *child, struct bt_inc *inc); /* true: there may be more */
void bt_child_send_kept(struct bt_child *child, struct bt_inc *inc);
void bt_child_free_kept(struct bt_child *child);
/* Takes @fd. @several: beside what has that name already, and not in its place. */
void bt_child_keep(struct bt_child *child, const char *name, int fd, bool several);
void bt_child_drop_kept(struct bt_child *child, const char *name); /* all of that name */

/* ---- a migration ---- */

struct bt_migration {
        struct bt_swap swap;
        struct bt_child *child;
        struct bt_binary *binary;
        struct bt_inc *pred;
        struct bt_inc *succ;
        struct bt_holding *holding; /* the successor's */
        struct bt_seat seat;        /* the successor's, when it is on another node */
        uint64_t retention_ns;      /* of the predecessor: as it is on the node that it is on */
        bool own;                   /* @binary becomes the child's own */
        struct bt_loop_timer timer;
        struct bt_list waiters;
        int handoff_out; /* hot: predecessor's end, until it is sent */
        int handoff_in;  /* hot: successor's end, until it is started. cold: what the predecessor passes */
        struct bt_parcel parcel;
        struct bt_describe describe;
        uint32_t version; /* cold: of the schema, the newest that the new binary reads; 0: unknown */
        uint64_t pred_number;
        uint64_t succ_number;
        bool passed_told; /* the passage was told, perhaps before the predecessor said so */
        uint64_t begun_ns;
        uint64_t steps_ns; /* the same, or when the new binary had been asked: that has a limit of its own */
        bool succ_exited;
        struct bt_proc_exit succ_how;
        char spawn_why[256];
        char detail[BT_LINK_TEXT_BYTES]; /* what the failing process said, or how it ended */
        char tail[BT_LOG_TAIL_BYTES];    /* the last lines of its stderr */
        enum bt_swap_event queue[8];
        uint32_t queued;
        struct bt_list later; /* what is to be told at the end of the step, in order */
        bool stepping;
};

/* Who wants to know how it ends. Embedded in whoever asks; unlinked by the migration when it is over. */
struct bt_waiter {
        struct bt_list node;
        void (*event)(struct bt_waiter *waiter, const struct bt_migration *m, const char *phase, uint64_t incarnation, const char *text);
        void (*over)(struct bt_waiter *waiter, const struct bt_migration *m, enum bt_ctl_outcome outcome, const char *phase, uint64_t incarnation,
                     const char *text);
};

/*
 * 0; or an outcome with a sentence in @ret_why and no migration. @binary: becomes the child's own; NULL: what it runs on @node. @node: NULL: where it is. @waiter: may join
 * one under way that leads to the same binary and node.
 */
enum bt_ctl_outcome bt_migrate(struct bt_child *child, struct bt_binary *binary, struct bt_hub_node *node, uint32_t strategy,
                               struct bt_waiter *waiter, char *ret_why, size_t why_bytes);
void bt_migration_event(struct bt_migration *m, enum bt_swap_event event);
void bt_migration_begun(struct bt_migration *m); /* as bt_child_begun(), of its successor */
/* A hot swap that a killed hub had under way: the word was passed, the successor is restoring, on @node (NULL: that is not known). */
int bt_migration_resume(struct bt_child *child, struct bt_inc *pred, uint64_t pred_number, struct bt_inc *succ, struct bt_hub_node *node);
void bt_migration_cancel(struct bt_migration *m);

/* parcel.c */
/* One message; takes @fds unless it fails. */
int bt_parcel_add(struct bt_parcel *parcel, const struct bt_handoff *msg, const int *fds, size_t count);
int bt_parcel_take(struct bt_parcel *parcel, int sock);
int bt_parcel_fill(const struct bt_parcel *parcel, int write_end);
int bt_parcel_send(const struct bt_parcel *parcel, int *ret_read_end);
void bt_parcel_free(struct bt_parcel *parcel);

/* ---- the hub ---- */

struct bt_hub {
        struct bt_loop *loop;
        struct bt_embed *embed; /* the program this hub is in: embed.h; NULL: batond */
        struct bt_plan_ref *plan_ref; /* the configuration's */
        struct bt_plan_view plan;     /* what is in it */
        struct bt_store *store;
        struct bt_loop_sender *store_sender; /* used by the store's thread only */
        struct bt_list nodes;
        struct bt_list binaries; /* those that are shared; each may go before the hub does */
        struct bt_redistribution *redistribution; /* redistribute.h */
        struct bt_loop_timer load_timer; /* these three: node_load.h */
        struct bt_child *load_next;      /* of the round that goes on; NULL: none */
        uint64_t load_round_ns;          /* end of the last round; 0: none yet */
        struct bt_children children;
        struct bt_list replicated; /* replicas.h */
        int sockets[BT_PLAN_SOCKETS_MAX];
        struct bt_registry registry;
        struct bt_found *found; /* at the start only */
        uint32_t found_count;
        int null_fd;
        uint32_t migration_count; /* under way */
        uint32_t processors;      /* that the hub may run on, and its children unless told otherwise */
        struct bt_list later;     /* these three: predecessors that are told to retire when there is no crowd any more: retire.c */
        uint32_t later_count;
        struct bt_loop_timer later_timer;
        uint64_t notify_last; /* number of the last notification socket */
        int lock_fd;
        bool staged; /* bt_spawn_stage_open() */
        int listener; /* control socket */
        int signals;
        int ready_fd; /* told once when the first start of all children is over; -1: none */
        struct bt_loop_watch listener_watch;
        struct bt_loop_watch signals_watch;
        struct bt_list clients;
        struct bt_list state_asks; /* control_state.c */
        struct bt_list requests; /* request.h */
        struct bt_list rollings; /* rolling.h */
        uint64_t upgrades;       /* asked for so far */
        uint64_t renewals;       /* of the hub itself: renew.h */
        struct bt_renewal *renewal; /* one that is under way; NULL: none */
        bool puts_wait;             /* it waits for the store alone: no checkpoint is put into it */
        struct bt_carry *carry;  /* from the program before, until all of it is taken; NULL: none */
        int plan_fd;             /* borrowed; -1: none */
        struct bt_list alters;   /* alter.h: who waits for its command */
        uint32_t altering;       /* commands that run */
        struct bt_hub_groups *groups; /* groups.h; NULL: there are none */
        struct bt_list lives;    /* live.h */
        struct bt_list zygotes;  /* zygote.h */
        uint64_t zygote_token;
        struct bt_keep *keep;    /* keeper.h; NULL: none was needed yet */
        uint64_t nofile; /* what children get */
        bool one_log;    /* our stdout and stderr go the same way: a process needs one pipe for both of its own */
        struct bt_callers *callers; /* callers.h; NULL: not open */
        struct bt_shutdown shutdown;
        struct bt_loop_timer shutdown_timer;
        struct bt_loop_timer ask_timer; /* stop.c: the next slice of children that are asked for their states */
        struct bt_child *ask_next;      /* the first of them; NULL: all were */
        struct bt_loop_timer stop_timer; /* shutdown_timeout */
        uint64_t stop_deadline_ns;       /* while stopping; BT_NS_NEVER: none */
        uint32_t loads; /* states asked for in the store, no answer yet */
        struct bt_store_batch *stop_batch; /* states of a stop, from the first capture to the last; NULL: not under way */
        int stop_result;                   /* why one of them could not be handed in */
        struct bt_stock stock;
        struct bt_events *events; /* events.h */
        struct bt_hooks *hooks;   /* hooks.h; NULL: there are none */
        bool settled;       /* the first start of all children is over */
        bool resuming;      /* takes what it carried over: nothing happens that an event would have to tell */
        bool huge_said;     /* migrate.c: that a large arena had small pages */
        bool stopping;
        bool ending; /* and its processes are being ended */
        bool over;
        bool states_lost;
        int exit_status;
        char stop_text[1536]; /* what was kept, and what not */
};

/* hub.c */
struct bt_hub_start {
        int plan_fd;
        int ready_fd; /* -1: nobody waits */
        int carry_fd; /* after an exec, these two: docs/upgrade.md; -1: it is started */
        int lock_fd;
};
int bt_hub_run(const struct bt_hub_start *start);
/* Its parts, for a program that has a hub inside (embed.c). Opens and starts all children; then turn the loop until hub->over, and close. */
void bt_hub_init(struct bt_hub *hub);
int bt_hub_open(struct bt_hub *hub, int plan_fd); /* 0, or -errno, said in words, and everything closed again; -EBADMSG: the plan */
void bt_hub_close(struct bt_hub *hub);            /* only after all processes have ended, or when none was started */
void bt_hub_settled(struct bt_hub *hub); /* if the first start of all children is over: says so, once */
__attribute__((format(printf, 2, 3))) void bt_hub_say(struct bt_hub *hub, const char *format, ...);

/* stop.c */
void bt_hub_stop(struct bt_hub *hub);
uint64_t bt_hub_patience(const struct bt_hub *hub, const struct bt_child *child); /* of a stop, with its processes */
/* Tells all processes of @child to end, and kills those that have not after @patience_ns (0: at once, BT_NS_INFINITE: never). Returns how many. */
uint32_t bt_child_end(struct bt_child *child, uint64_t patience_ns);
/* During a stop: one child answered, or one process ended. */
void bt_hub_captured(struct bt_hub *hub, struct bt_child *child, bool whole);
void bt_hub_exited(struct bt_hub *hub);
void bt_hub_stored(struct bt_hub *hub, int result);
void bt_hub_migration_over(struct bt_hub *hub);
/* More swaps at once than there are processors for two busy processes each. */
bool bt_hub_crowded(const struct bt_hub *hub);
void bt_hub_retire_now(struct bt_hub *hub); /* those that were to be told later */

/* sockets.c */
int bt_hub_open_sockets(struct bt_hub *hub);
void bt_hub_close_sockets(struct bt_hub *hub);
int bt_hub_make_dir(const char *path);

/* adopt.c */
int bt_hub_find(struct bt_hub *hub);          /* processes that a killed hub left */
int bt_hub_found_socket(struct bt_hub *hub, const struct bt_plan_socket *spec); /* one of theirs that is bound to that address; -1: none */
/* A baton that no process has; takes @fd. 0 or -errno. bt_hub_start_taken_up() starts all that have one. */
int bt_child_take_up(struct bt_child *child, int fd, bool in_transit);
void bt_hub_start_taken_up(struct bt_hub *hub);
void bt_hub_adopt(struct bt_hub *hub);        /* into their children; ends those that have none */
void bt_hub_found_free(struct bt_hub *hub);

/* persist.c */
void bt_hub_drop_stored(struct bt_hub *hub);  /* records of children that were adopted: their state is alive, and newer */
int bt_hub_open_store(struct bt_hub *hub);
void bt_child_load(struct bt_child *child);             /* its record, if there is one, into its baton; then starts it */
void bt_child_fill_record(struct bt_store_item *item, struct bt_child *child); /* of what is in its baton */
void bt_hub_hand_in(struct bt_hub *hub, struct bt_child *child); /* at a stop: it was captured, and the store may begin with it */
int bt_hub_store_states(struct bt_hub *hub);            /* all captured states in one transaction, ends in bt_hub_stored(); 1: nothing to store; -errno */
void bt_child_salvage(struct bt_child *child);          /* at a stop: what a child that is down left in its arena */
void bt_hub_load_all(struct bt_hub *hub);               /* starts all children that were added and not started yet, a bounded number at once */
void bt_child_forget_stored(struct bt_child *child);    /* delivered and confirmed */

/* control.c */
int bt_hub_open_control(struct bt_hub *hub);
void bt_hub_close_control(struct bt_hub *hub); /* answers those who wait for the stop */

/* binary.c */
/* A checked plan, with one reference. @fd is borrowed. Returns as bt_plan_open(). */
int bt_plan_load(struct bt_plan_ref **ret_plan, int fd, const char **ret_error);
int bt_plan_load_bytes(struct bt_plan_ref **ret_plan, const void *bytes, size_t count); /* a copy of a plan that was one; 0 or -errno */
struct bt_plan_ref *bt_plan_ref(struct bt_plan_ref *plan);
struct bt_plan_ref *bt_plan_unref(struct bt_plan_ref *plan); /* takes NULL */
int bt_binary_new(struct bt_binary **ret_binary, const char *path, int fd, int script); /* takes @fd when it succeeds */
int bt_binary_open(struct bt_binary **ret_binary, const char *path);
int bt_binary_adopt(struct bt_binary **ret_binary, const char *path, int fd); /* takes @fd */
struct bt_binary *bt_binary_ref(struct bt_binary *binary);
struct bt_binary *bt_binary_unref(struct bt_binary *binary);
/* Takes @binary, which nobody else has, and returns the hub's own of the same file and path; perhaps the same. */
struct bt_binary *bt_binary_share(struct bt_hub *hub, struct bt_binary *binary);
bool bt_binary_same(const struct bt_binary *a, const struct bt_binary *b);

int bt_holding_adopt(struct bt_holding **ret_holding, int fd); /* takes @fd */
int bt_holding_new(struct bt_holding **ret_holding, const struct bt_plan_child *spec, const char *id);
struct bt_holding *bt_holding_ref(struct bt_holding *holding);
struct bt_holding *bt_holding_unref(struct bt_holding *holding);
