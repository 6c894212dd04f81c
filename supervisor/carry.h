/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * What a hub carries over into its next program: docs/upgrade.md. The format, and reading it.
 *
 *      | bt_carry_head, 64 | item | item | ..      an item: | kind 4 | bytes 4 | its struct, and what follows it | zeroes up to a multiple of 8 |
 *
 * The head is frozen: any version can tell that this is one, how long, whether it is whole, and which versions can read it. Behind it nothing is: another
 * struct is another BT_CARRY_VERSION. Times are absolute, CLOCK_MONOTONIC (the machine is not rebooted in between); a descriptor is its place in the list of
 * BT_CARRY_FDS, which keep their numbers over the exec; an item that belongs to a child or a process follows it.
 *
 *      writer: hub ── carry_write.c ──► sealed memfd ──► batond --rehearse   reads a copy of it, touches nothing          rehearse.c
 *                                              └───────► batond --carry      the hub itself, after its exec               carry_take.c
 *
 * The reader believes nothing: every length, string, index and enum is checked before anything is used. What it says about processes is believed as far as
 * they prove it (adopt.c): a link by its epoch, a segment by its head.
 */

#include <assert.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "shm/attach.h"
#include "supervisor/hub.h"

#define BT_CARRY_MAGIC     UINT64_C(0x3159525241435442) /* "BTCARRY1" */
#define BT_CARRY_VERSION   1
#define BT_CARRY_BYTES_MAX (UINT64_C(1) << 30)
#define BT_CARRY_NONE      UINT32_MAX /* no descriptor, no binary */
#define BT_CARRY_WHY_BYTES 256

struct bt_carry_head {
        uint64_t magic;
        uint32_t head_bytes;
        uint32_t version;
        uint32_t version_oldest; /* a reader of this version can read it, too */
        uint32_t item_count;
        uint64_t bytes; /* in all */
        uint64_t xxh3;  /* of all, itself being 0 */
        int32_t pid;    /* of the hub, which stays */
        uint8_t reserved[20];
};
static_assert(sizeof(struct bt_carry_head) == 64, "frozen");
static_assert(offsetof(struct bt_carry_head, version) == 12, "frozen");

enum bt_carry_kind {
        BT_CARRY_HUB = 1,    /* the first one */
        BT_CARRY_SOCKET = 2, /* a listening one */
        BT_CARRY_BINARY = 3, /* numbered as they come; with its path */
        BT_CARRY_NODE = 4,
        BT_CARRY_CHILD = 5,
        BT_CARRY_KEPT = 6, /* these four: of the child in front of them */
        BT_CARRY_PARCEL = 7,
        BT_CARRY_PROCESS = 8,
        BT_CARRY_LOG =
                9, /* these two: of the process in front of them; with a line that has no end yet, and the last lines */
        BT_CARRY_NOTIFY = 10,
        BT_CARRY_GROUP = 11, /* with its members */
        BT_CARRY_EVENT = 12,
        BT_CARRY_CLIENT = 13, /* a connection to the control socket */
        BT_CARRY_CALLER = 14, /* a client of children */
        BT_CARRY_FDS = 15,    /* the last one: int32_t each */
        _BT_CARRY_N,
};

struct bt_carry_item {
        uint32_t kind;
        uint32_t bytes; /* of what follows, without the zeroes */
};

struct bt_carry_hub {
        uint64_t registry_magic; /* what both programs must agree on, beside this format */
        uint32_t layout;
        uint32_t keeper_magic;
        uint32_t plan_version;
        uint32_t reserved0;
        uint32_t listener; /* control socket */
        uint32_t asker;    /* the connection that asked for this */
        uint64_t asked_ns;
        uint32_t keeper_sock, keeper_pidfd;
        int32_t keeper_pid;
        uint32_t reserved1;
        uint64_t upgrades, notify_last, event_next, zygote_token;
        uint64_t renewals; /* of this kind, this one too */
};

struct bt_carry_socket {
        uint32_t idx; /* in the plan */
        uint32_t fd;
};

struct bt_carry_binary {
        uint32_t fd; /* O_PATH */
        uint32_t script;
        uint64_t upgrade;
        /* path */
};

struct bt_carry_node {
        char name[64];
        uint32_t state; /* enum bt_hub_node_state */
        uint32_t reserved;
};

#define BT_CARRY_CHILD_IN_TRANSIT  0x01u
#define BT_CARRY_CHILD_WITH_KEEPER 0x02u
#define BT_CARRY_CHILD_RELOAD      0x04u
#define BT_CARRY_CHILD_KEPT_RECORD 0x08u
#define BT_CARRY_CHILD_PAUSED      0x10u
#define BT_CARRY_CHILD_CAPTURED    0x20u
#define BT_CARRY_CHILD_MISPLACED   0x40u

struct bt_carry_child {
        char id[64];
        char node[64];  /* where it has its seat */
        char ideal[64]; /* "": nowhere */
        uint32_t phase; /* enum bt_phase */
        uint32_t flags;
        uint32_t binary, own, previous;
        uint32_t holding; /* its segment; NONE: of no use to anybody */
        uint32_t mail[_BT_LINK_MAIL_N];
        uint32_t restore_failures;
        uint32_t limits_hit;
        uint32_t restart_count;
        uint64_t restarted_ns[BT_RESTART_HISTORY];
        uint64_t restart_due_ns; /* BACKOFF; BT_NS_NEVER: its group starts it */
        uint64_t backoff_ns, running_since_ns;
        uint64_t started_wall_ns; /* of the process that serves */
        uint64_t number_next;
        uint64_t stored_sequence, capture_sequence;
        uint64_t restarts, swaps, rollbacks, pause_ns, total_ns, state_bytes;
        uint64_t spare_backoff_ns;
        uint64_t checkpoint_due_ns; /* BT_NS_NEVER: none */
        uint64_t parcel_fd_count;
        int32_t served_pid;
        int32_t exit_code, exit_status;
        uint32_t reserved;
        char note[128];
};

struct bt_carry_kept {
        char name[64];
        uint32_t fd;
        uint32_t reserved;
};

struct bt_carry_parcel {
        struct bt_handoff message;
        uint32_t fds[BT_HANDOFF_FDS_MAX];
};

#define BT_CARRY_PROCESS_CURRENT        0x001u
#define BT_CARRY_PROCESS_READY          0x002u
#define BT_CARRY_PROCESS_TOLD_TO_END    0x004u
#define BT_CARRY_PROCESS_RETIRES        0x008u
#define BT_CARRY_PROCESS_DRAINS_NOTHING 0x010u
#define BT_CARRY_PROCESS_KILLED         0x020u
#define BT_CARRY_PROCESS_CONSENTS       0x040u
#define BT_CARRY_PROCESS_POISONED       0x080u

struct bt_carry_process {
        uint32_t entry; /* its record in the registry */
        int32_t pid;
        uint64_t number;
        uint32_t flags;
        uint32_t reason; /* enum baton_reason */
        uint32_t binary;
        uint32_t version;
        uint32_t pidfd;
        uint32_t link; /* these four: NONE, of a program that does not use libbaton */
        uint32_t holding;
        uint32_t bell;
        uint32_t channel;
        uint32_t out; /* NONE: comes with @err, or was closed */
        uint32_t err;
        uint32_t reserved;
        uint64_t heir, retention_ns;
        uint64_t deadline_ns; /* BT_NS_NEVER: none */
};

struct bt_carry_log {
        uint32_t which; /* 1: stdout, 2: stderr */
        uint32_t line_bytes, tail_bytes;
        uint32_t reserved;
        uint64_t dropped;
        /* line, tail */
};

struct bt_carry_notify {
        uint32_t fd;
        uint32_t launcher; /* pidfd */
        int32_t session;
        uint32_t ready;
        uint64_t watchdog_ns;
        uint64_t watchdog_due_ns; /* BT_NS_NEVER: not armed */
        char path[108];
        uint32_t reserved;
};

struct bt_carry_member {
        uint32_t state; /* enum bt_group_member_state */
        uint32_t begun;
        uint64_t due_ns;
};

struct bt_carry_group {
        char name[64];
        uint32_t state, after; /* enum bt_group_state */
        uint32_t from, first, culprit;
        uint32_t count; /* members */
        uint32_t restarted;
        uint32_t reserved;
        uint64_t restarted_ns[BT_GROUP_HISTORY];
        uint64_t due_ns;
        uint64_t restarts, up_since_ns, backoff_ns;
        char note[128];
        /* struct bt_carry_member[count] */
};

struct bt_carry_event {
        uint64_t sequence, wall_ns, mono_ns, incarnation;
        char name[32]; /* its number may be another one in another version */
        char child[64];
        char text[256];
};

struct bt_carry_client {
        uint32_t fd;
        uint32_t follows; /* 0: it has not asked anything yet */
        uint64_t begun_ns;
        uint64_t next, until, lost; /* of one that follows the events */
};

struct bt_carry_caller {
        uint32_t number; /* 0: it has said nothing yet */
        int32_t pid;
        uint32_t fd;
        uint32_t seg, bell; /* of one that has a number */
        uint32_t everywhere;
        char targets[BT_ATTACH_TARGETS_MAX][64]; /* in their order; "": none from here on */
};

/* ---- reading ---- */

/* One that was read and checked. Pointers lead into a copy that nobody else has. */
struct bt_carry {
        void *at;
        uint64_t xxh3;
        const struct bt_carry_hub *hub;
        const struct bt_carry_item **items;           /* all, as they came, and a NULL */
        const struct bt_carry_item *const **children; /* by id: their places in @items */
        uint32_t child_count;
        const struct bt_carry_item *const **processes; /* by the number of their record */
        uint32_t process_room;
        const struct bt_carry_item **binaries;
        struct bt_binary **made; /* what became of them */
        uint32_t binary_count;
        int *fds; /* those that are ours; -1: it has been taken */
        uint32_t fd_count;
};

/* Reads @fd, which is borrowed. 0; or -errno, with a sentence. It owns no descriptor yet. */
int bt_carry_open(struct bt_carry **ret_carry, int fd, char ret_why[BT_CARRY_WHY_BYTES]);
/* Closes those of its descriptors that nobody took, if they are its own. Takes NULL. */
struct bt_carry *bt_carry_free(struct bt_carry *carry);
/* From here on they are: after the exec. Close-on-exec again. */
void bt_carry_own(struct bt_carry *carry);

static inline const void *bt_carry_at(const struct bt_carry_item *item)
{
        return item + 1;
}

/* The item of @id; NULL: there is none. What belongs to it follows, up to the next child or what is of none: bt_carry_of_child(). */
const struct bt_carry_item *const *bt_carry_child(const struct bt_carry *carry, const char *id);
bool bt_carry_of_child(const struct bt_carry_item *item);
bool bt_carry_of_process(const struct bt_carry_item *item);

int bt_carry_take(struct bt_carry *carry,
                  uint32_t fd); /* the caller's from here on; -1: NONE, or taken */
int bt_carry_dup(const struct bt_carry *carry, uint32_t fd);

/* ---- writing: carry_out.c, carry_write.c ---- */

/* What is being written; for those files that know what is to be said. */
struct bt_carry_out {
        char *at;
        size_t bytes, room;
        uint32_t item_count;
        int *fds;
        uint32_t *places; /* of each number in @fds, and one more; 0: it is not there */
        uint32_t fd_count, fd_room;
        uint32_t binary_count;
        bool failed; /* no memory */
};

uint32_t bt_carry_put_fd(struct bt_carry_out *out, int fd); /* its place in the list; -1 is NONE */
/* @more: what follows the struct; NULL: nothing. */
void bt_carry_put(struct bt_carry_out *out, enum bt_carry_kind kind, const void *at, size_t bytes,
                  const void *more, size_t more_bytes);

int bt_carry_out_init(struct bt_carry_out *out); /* with room for the head. 0 or -ENOMEM */
void bt_carry_out_deinit(struct bt_carry_out *out);
uint64_t
bt_carry_sum(const struct bt_carry_head *head); /* of the head and the @bytes behind it, as above */
/* With its head, into a memfd that nobody can change. 0 or -errno. */
int bt_carry_seal(const struct bt_carry_out *out, int *ret_fd, uint64_t *ret_xxh3);

void bt_keep_carry(const struct bt_hub *hub, struct bt_carry_out *out, struct bt_carry_hub *item);
void bt_notify_carry(const struct bt_inc *inc, struct bt_carry_out *out);
void bt_callers_carry(const struct bt_hub *hub, struct bt_carry_out *out);
void bt_hub_control_carry(const struct bt_hub *hub,
                          struct bt_carry_out *out); /* all but who asked */

struct bt_carry_asker {
        int fd; /* -1: it has left */
        uint64_t asked_ns;
};

/* What was written, and what must live until the exec. */
struct bt_carried {
        int fd;   /* sealed memfd */
        int *fds; /* borrowed from the hub, or from @links: in the order of BT_CARRY_FDS */
        uint32_t fd_count;
        int *links;
        uint32_t link_count;
        uint64_t xxh3; /* as in its head */
};

#define BT_CARRIED_NULL                                                                            \
        {                                                                                          \
                .fd = -1                                                                           \
        }

/*
 * All of a hub that is at rest (renew.h). Nothing of the hub is changed. 0; or -errno with a sentence: -EAGAIN when a process has just ended, so that the hub is
 * not at rest after all.
 */
int bt_carry_write(struct bt_hub *hub, const struct bt_carry_asker *asker,
                   struct bt_carried *ret_carried, char ret_why[BT_CARRY_WHY_BYTES]);
void bt_carried_deinit(struct bt_carried *carried);

/* ---- taking: carry_take.c, carry_child.c. Each does nothing for a hub that carries nothing. ---- */

/* The executable that was carried for @child, or under @path; NULL: none. One more reference. */
struct bt_binary *bt_carry_binary_of(const struct bt_hub *hub, const struct bt_child *child);
struct bt_binary *bt_carry_binary_at(struct bt_hub *hub, const char *path);
struct bt_binary *bt_carry_binary(struct bt_hub *hub, uint32_t idx);
int bt_carry_socket(const struct bt_hub *hub, uint32_t idx); /* -1: none */
int bt_carry_listener(const struct bt_hub *hub);             /* the control socket; the same */
void bt_carry_begin(struct bt_hub *hub);                     /* its counters */
void bt_carry_events(struct bt_hub *hub);
bool bt_carry_notify_path(
        const struct bt_hub *hub,
        const char *name); /* of a notify socket that goes on, by the last part of its path */
/* Nodes and instances as they were, before anybody is adopted. */
void bt_carry_nodes(struct bt_hub *hub);
/* False: they begin as they always do. */
bool bt_carry_groups(struct bt_hub *hub);
bool bt_carry_keeper(struct bt_hub *hub);                                /* true: it goes on */
int bt_keep_carried(struct bt_hub *hub, int sock, int pidfd, pid_t pid); /* takes them */
/* Takes @fd, in every case. */
void bt_hub_control_carried(struct bt_hub *hub, int fd, const struct bt_carry_client *item);
/* All is as it was: tells who asked, lets go of the rest. */
void bt_carry_over(struct bt_hub *hub);

/* The process of that record, into @found: 0. 1: none was carried. -errno: it was, and cannot be used. */
int bt_carry_find(struct bt_hub *hub, uint32_t entry, struct bt_found *found);
/* @inc is being made of what bt_carry_find() found: what the hub before knew of it. 0 or -errno. */
int bt_carry_process(struct bt_inc *inc, const struct bt_found *found);
int bt_notify_carried(struct bt_inc *inc, struct bt_carry *carry,
                      const struct bt_carry_notify *item);
bool bt_carry_current(const struct bt_found *found); /* it is the one that serves */
int bt_carry_mail(struct bt_child *child);
/* After processes were adopted: what the hub before knew of each child. */
void bt_carry_children(struct bt_hub *hub);
/* When groups are there: those whose process could not be taken after all. */
void bt_carry_lost(struct bt_hub *hub);
