/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* The handle behind <baton/child.h>, shared by the files of this folder only. */

#include <baton/child.h>

#include "shm/arena.h"
#include "shm/baton.h"
#include "shm/link.h"

#define BT_KEPT_MAX 64
#define BT_LISTEN_MAX 64

/*
 * Where this process is in its life. It follows the holder word; what the word cannot say (that we were told to retire, that we captured and
 * wait) is here.
 */
enum bt_child_stage {
        BT_CHILD_OPENED = 0,   /* not ready yet */
        BT_CHILD_PARKED = 1,   /* said READY; waits for the baton */
        BT_CHILD_HOLDING = 2,  /* serves */
        BT_CHILD_LEAVING = 3,  /* serves; prepare() ran, capture() comes with the dispatch that finds the heir awake */
        BT_CHILD_PASSED = 4,   /* gave the baton away; waits for RETIRE or RESUME */
        BT_CHILD_RETIRING = 5, /* the successor serves; drains */
        BT_CHILD_RELEASED = 6, /* captured for a cold swap or a shutdown; waits for TERMINATE */
        BT_CHILD_ENDED = 7,    /* leave the loop */
};

struct bt_kept {
        char name[64];
        int fd;
};

struct bt_listener {
        const char *name; /* inside listener_names */
        int fd;
};

/* Descriptors being passed; sent in batches. */
struct bt_passing {
        int sock;              /* write end of the hand-off socket, -1: nothing can be passed now */
        uint32_t batched;
        uint64_t sent;         /* in earlier messages */
        int fds[BT_HANDOFF_FDS_MAX];
        struct bt_handoff message;
        uint32_t gone_batched;
        uint64_t gone_sent;
        struct bt_handoff gone; /* tags of what was passed and is not to be had any more */
};

struct bt_watch;
struct bt_post;

struct baton_child {
        const struct baton_child_ops *ops; /* fork: unusable; the rest of the handle is, too */
        void *ctx;
        bool supervised;
        enum bt_child_stage stage;
        uint64_t incarnation;
        enum baton_reason reason;
        enum baton_mode mode;

        struct bt_link *link;   /* unsupervised: NULL */
        struct bt_baton *baton; /* always there: a private one when unsupervised */
        struct bt_seg link_seg;
        struct bt_seg baton_seg;
        int link_fd;
        int baton_fd; /* unsupervised: -1 */
        int bell;
        int pollable; /* the bell, or with a mailbox an epoll descriptor with it and the mailbox's */
        int hub_bell;
        int channel;
        int handoff;  /* read end: what a predecessor passes; -1: none */
        int node_fd;
        int for_hub[3]; /* kept open for the next hub: see enum bt_link_fd */
        struct bt_ring_end inbox;
        struct bt_ring_end outbox;
        uint64_t heir; /* LEAVING, PASSED: who gets it */
        uint32_t heir_version; /* the same: the version in which it is to get the state */
        uint32_t leave_soon;   /* LEAVING: how the heir was told that the moment is near; its beat answers that */
        uint64_t leave_by_ns;  /* LEAVING: from then on the baton is passed to an heir that was not seen to run, too */
        uint64_t quiet_ns;     /* LEAVING: for how long the hub will not be rung for the passage */
        bool crowded;          /* LEAVING: many hand over at once */
        bool ring_due;         /* the hub was told something and not rung yet */
        uint64_t ring_at_ns;   /* PASSED: not before that, while the heir restores */
        struct bt_sum *sum;    /* of the capture under way; of a parked heir: of the predecessor's */
        uint64_t followed;     /* PARKED: so much of the predecessor's blob is summed */
        uint32_t followed_slot;
        uint32_t soon_seen;    /* PARKED: read before READY was said, so an announcement after it is one */
        bool rehearsing;       /* a double: rehearse.c */
        struct bt_double *twin; /* NULL: unsupervised */
        bool retired;
        bool capturing;           /* in capture(), for whatever purpose */
        bool checkpointing;       /* and it is a checkpoint: nothing may be passed */
        uint64_t checkpoint;      /* sequence of our last one */
        uint64_t durable;         /* the last that the program was told of */
        uint32_t checkpoint_said; /* place in the outbox behind what we said of one */

        struct bt_post *post; /* the mailbox: post.h; NULL: none */
        bool channel_due;     /* the hub has sent a client */

        struct bt_arena *arena; /* NULL: none */
        uint32_t bracket_depth;

        uint32_t kept_count;
        uint32_t listener_count;
        char *listener_names;

        struct bt_passing *passing; /* allocated at open: nothing allocates in the path of a swap */
        struct baton_fd *taken;     /* descriptors from the predecessor */
        size_t taken_count;
        size_t taken_room;
        uint64_t received;          /* descriptors of this passage so far, those that arriving() was given among them */
        uint64_t *gone;             /* tags of those that are not any more, and that arriving() was given */
        size_t gone_count;
        size_t gone_room;
        uint64_t gone_received;     /* as @received */

        int epoll; /* the ready-made loop's; -1: not used */
        int signals;
        struct bt_watch *watches;

        /* Last: a rehearsal copies what is above. */
        struct bt_kept kept[BT_KEPT_MAX];
        struct bt_listener listeners[BT_LISTEN_MAX];
};

/* What capture() is given. */
struct baton_capture {
        struct baton_child *child;
        enum baton_capture_for purpose;
        uint32_t version; /* to be written */
        void *room;      /* mapping of the blob slot; NULL: not reserved */
        size_t room_bytes;
        size_t bytes;
        uint64_t summed; /* the first @summed bytes of the room are in child->sum */
        uint32_t slot_idx;
        bool committed;
};

/* attach.c */
/* @place: NULL: what the environment says. */
int bt_child_attach(struct baton_child *child, const struct baton_child_place *place);
int bt_child_attach_alone(struct baton_child *child);
bool bt_child_forked(void);
int bt_child_fd_from_env(const char *name); /* CLOEXEC by now; -1: none */

/* zygote.c: this process is about to be given the baton, so its hub knows it */
void bt_child_zygote_known(void);

/* describe.c: does not return when this process was started to be asked what it is */
void bt_child_answer_describe(const struct baton_child_ops *ops);

/* fds.c: kept descriptors, listening sockets, passing */
void bt_child_adopt_listeners(struct baton_child *child, const struct baton_child_place *place);
void bt_child_read_channel(struct baton_child *child);
void bt_child_resend_kept(struct baton_child *child);
int bt_passing_flush(struct baton_child *child);
void bt_passing_end(struct baton_child *child);
int bt_child_receive_ahead(struct baton_child *child);
int bt_child_receive_passed(struct baton_child *child, uint64_t count, uint64_t gone);
void bt_child_drop_taken(struct baton_child *child);
void bt_child_free_fds(struct baton_child *child);

/* state.c: capture and restore */
int bt_child_can_read(const struct baton_child *child);
int bt_child_could_read(const struct baton_child *child); /* the same of a state that its holder has not captured yet */
/* The version to capture in for who reads none newer than @newest; 0: that is not known. */
uint32_t bt_child_version_for(const struct baton_child *child, uint64_t newest);
void bt_child_describe(struct baton_child *child, uint32_t version);
void bt_child_prefault(const struct baton_child *child);
void bt_child_date(struct baton_child *child);
int bt_child_capture(struct baton_child *child, enum baton_capture_for purpose, uint32_t version);
int bt_child_restore(struct baton_child *child, uint64_t predecessor);
uint64_t bt_child_state_bytes(const struct baton_child *child);

/* blob.c */
uint64_t bt_capture_sum(struct baton_capture *capture); /* of what was committed */
bool bt_child_follow_sum(struct baton_child *child);    /* PARKED: sums what the predecessor has written, as it writes it. False: there is none */
uint64_t bt_child_blob_sum(struct baton_child *child, const char *blob, const struct bt_state_meta *meta);
char *bt_child_blob_slot(const struct baton_child *child, uint32_t idx);

/* checkpoint.c */
void bt_child_on_checkpoint(struct baton_child *child);
void bt_child_on_durable(struct baton_child *child);

/* consent.c */
bool bt_child_consents(const struct baton_child *child); /* it wants to be asked before it is moved to another node */
void bt_child_on_may_migrate(struct baton_child *child);
void bt_child_tell_consents(struct baton_child *child);  /* to a hub that was not there when READY was said */
void bt_child_publish_capture(struct baton_child *child, const struct baton_capture *capture);
bool bt_child_checkpoints(const struct baton_child *child);
int bt_child_repair_arena(struct baton_child *child);

/* rehearse.c: the same, on a double, so that it is not the first time when it counts */
struct bt_double *bt_double_new(void); /* NULL: no memory */
struct bt_sum *bt_double_sum(struct bt_double *twin); /* room for a sum */
struct bt_double *bt_double_free(struct bt_double *twin);
void bt_child_rehearse_taking(struct baton_child *child);
void bt_child_rehearse_leaving(struct baton_child *child);
bool bt_child_head_known(const struct baton_child *child); /* the arena's head is what it was in the rehearsal, and that was valid */

/* A fault point of the passage; a rehearsal is none. */
#define BT_POINT_ON_STAGE(child, name)                                                             \
        do {                                                                                       \
                if (!(child)->rehearsing)                                                          \
                        BT_POINT(name);                                                            \
        } while (0)

/* mode.c */
void bt_child_on_mode(struct baton_child *child, const struct bt_rec *rec);

/* passage.c: the moment of a swap */
int bt_child_park(struct baton_child *child); /* 0: the baton was passed to us; BATON_CHILD_STOP; -errno */
int bt_child_take_over(struct baton_child *child);
void bt_child_become_passed(struct baton_child *child); /* LEAVING, the heir watches */
uint64_t bt_child_if_parallel(uint64_t ns); /* @ns where two processes can run at once, else 0 */
void bt_child_on_handover(struct baton_child *child, const struct bt_rec *rec);
void bt_child_on_resume(struct baton_child *child);
/* Each dispatch() asks these. */
void bt_child_leave_when_due(struct baton_child *child);
void bt_child_ring_when_due(struct baton_child *child);
bool bt_child_wants_turn(const struct baton_child *child); /* another dispatch(), after a turn of the program's loop */

/* talk.c: records to the hub */
int bt_child_say(struct baton_child *child, uint32_t type, uint64_t token, uint64_t arg0, uint64_t arg1, uint64_t arg2);
/* Into the ring only: the hub finds it when it next looks. */
int bt_child_say_quietly(struct baton_child *child, uint32_t type, uint64_t token, uint64_t arg0, uint64_t arg1, uint64_t arg2);
int bt_child_ring_hub(struct baton_child *child);
void bt_child_say_why(struct baton_child *child, const char *what, int error);

/* loop.c */
void bt_child_free_loop(struct baton_child *child);
