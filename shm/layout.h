/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * What processes must agree on, byte by byte. docs/shm-layout.md is this file in prose.
 *
 * Three kinds of segment, each a sealed memfd that starts with the same frozen head. Offsets, never pointers; fixed-width members; named
 * padding. Each word names its one writer (W) and its readers (R). A change of any offset below is a new BT_LAYOUT_VERSION.
 */

#include <assert.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#include <baton/types.h>

#ifndef BT_LAYOUT_VERSION /* a test builds a program of another one */
#define BT_LAYOUT_VERSION 1
#endif
#define BT_PAGE_BYTES 4096

/* "BTN" + kind, read as a little-endian word; a big-endian reader sees another magic, which is one half of the ABI check. */
#define BT_MAGIC_NODE UINT64_C(0x3145444f4e4e5442)  /* "BTNNODE1" */
#define BT_MAGIC_LINK UINT64_C(0x314b4e494c4e5442)  /* "BTNLINK1" */
#define BT_MAGIC_BATON UINT64_C(0x314f544142544221) /* "!BTBATO1" */
#define BT_MAGIC_RECORD UINT64_C(0x3144524f43455242) /* "BRECORD1" */
#define BT_MAGIC_MAILBOX UINT64_C(0x314c49414d4e5442) /* "BTNMAIL1" */
#define BT_MAGIC_DESK UINT64_C(0x314b5345444e5442)    /* "BTNDESK1" */

/* Byte order, word bytes and page size of the machine that wrote; another value is another machine. */
#define BT_ABI_THIS                                                                                \
        ((uint32_t)((__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__ ? 1u : 2u) << 24 |                  \
                    (uint32_t)sizeof(void *) << 16 | BT_PAGE_BYTES))

/* ---- the head of every segment: frozen for all versions ---- */

struct bt_seg_head {
        uint64_t magic;        /* W hub, once */
        uint32_t layout;       /* BT_LAYOUT_VERSION */
        uint32_t abi;          /* BT_ABI_THIS */
        uint64_t bytes;        /* of the whole segment, equal to the memfd's size */
        uint64_t epoch;        /* random; a segment is never reused for something else */
        uint8_t reserved[32];
};
static_assert(sizeof(struct bt_seg_head) == 64, "frozen");

/* ---- node segment: W hub only; everybody else maps it read-only ---- */

#define BT_NODE_NAME_BYTES 64

enum bt_phase {
        BT_PHASE_STOPPED = 0,   /* not running, not to be started by itself */
        BT_PHASE_STARTING = 1,  /* process started, not ready */
        BT_PHASE_RUNNING = 2,   /* holds the baton (plain programs: is alive) */
        BT_PHASE_BACKOFF = 3,   /* waits before a restart */
        BT_PHASE_MIGRATING = 4, /* a swap is under way */
        BT_PHASE_STOPPING = 5,  /* told to end */
        BT_PHASE_FAILED = 6,    /* gave up: too many restarts, or may not be restarted */
        _BT_PHASE_N,
};

/*
 * One child, as shown to others. Guarded by @seq (odd: being written): a reader copies the slot with relaxed loads and keeps the copy only when
 * @seq was even and is unchanged. Counters go on over restarts and swaps (R28).
 */
struct bt_slot {
        _Atomic uint32_t seq;
        uint32_t phase;           /* enum bt_phase */
        char id[64];              /* NUL-terminated; "" is a free slot */
        uint64_t incarnation;     /* holder, 0: none yet */
        int32_t pid;              /* of the holder, 0: none */
        uint32_t strategy;        /* BT_STRATEGY_* of the spec */
        uint64_t started_wall_ns; /* this incarnation */
        uint64_t restarts;        /* after unasked exits */
        uint64_t swaps;           /* migrations that were committed */
        uint64_t rollbacks;       /* migrations that were not */
        uint64_t swap_pause_ns;   /* last swap: from the predecessor's flip (cold: release) to the successor's confirmation */
        uint64_t swap_total_ns;   /* last swap: from the request to the commit */
        uint64_t state_bytes;     /* last known size of the state */
        uint32_t state_form;      /* enum baton_state_form */
        uint32_t draining;        /* predecessors still alive */
        int32_t exit_code;        /* last process that ended: si_status */
        uint32_t exit_kind;       /* its si_code (CLD_EXITED ..), 0: none yet */
        uint32_t limits_hit;      /* deadlines, bounds and retries reached so far (I7) */
        int32_t spare_pid;        /* held, ready for the next start; 0: none */
        char exec[96];            /* tail of the path of the committed binary */
        char note[128];           /* why it is in this phase, for people */
        /* Its mailbox, or that of its pool, as it was when the hub last wrote this slot (it does for each `status`); shm/mailbox.h */
        uint64_t mail_full;       /* how often a producer found no room */
        uint64_t mail_set_aside;  /* messages that were begun mailbox.deliveries times */
        uint32_t mail_slots;      /* 0: it has none */
        uint32_t mail_depth;      /* messages that are not done */
        uint32_t mode;            /* enum baton_mode, as the process has taken it */
        uint8_t reserved1[92];
};
static_assert(sizeof(struct bt_slot) == 512, "a power of two, so that slots never straddle pages");
static_assert(offsetof(struct bt_slot, incarnation) == 72, "aligned");
static_assert(offsetof(struct bt_slot, exec) == 168, "aligned");
static_assert(offsetof(struct bt_slot, mail_full) == 392, "aligned");

struct bt_node {
        struct bt_seg_head head;
        char name[BT_NODE_NAME_BYTES];
        char hub[BT_NODE_NAME_BYTES];
        int32_t hub_pid;
        uint32_t slot_count;
        uint64_t started_wall_ns;
        _Atomic uint32_t slots_used; /* no slot from here on was ever written; release after its first number */
        uint32_t reserved0;
        uint8_t reserved[4096 - 64 - 64 - 64 - 24];
        struct bt_slot slots[]; /* slot_count of them */
};
static_assert(offsetof(struct bt_node, slots_used) == 208, "aligned");
static_assert(sizeof(struct bt_node) == 4096, "slots start on a page");

/* ---- link segment: one page, one process ---- */

#define BT_REC_BYTES 64
#define BT_RING_RECS 16
#define BT_LINK_TEXT_BYTES 448

/* A control record. Fixed size: no length to lie about. */
struct bt_rec {
        uint32_t type;        /* enum bt_msg */
        uint32_t flags;
        uint64_t token;       /* incarnation of the other party, or what the message's comment says */
        uint64_t arg[4];
        uint8_t reserved[16];
};
static_assert(sizeof(struct bt_rec) == BT_REC_BYTES, "one cache line");

/* Single producer, single consumer. Cursors count records and never wrap in practice (2^32 control messages; index is modulo). */
struct bt_ring {
        _Atomic uint32_t head; /* W producer; release after the record */
        uint8_t pad0[60];
        _Atomic uint32_t tail; /* W consumer; release after the copy */
        uint8_t pad1[60];
        struct bt_rec recs[BT_RING_RECS];
};
static_assert(sizeof(struct bt_ring) == 128 + BT_RING_RECS * BT_REC_BYTES, "no holes");

/* Messages. H->C from hub to child, C->H back. */
enum bt_msg {
        BT_MSG_NONE = 0,
        /* H->C */
        BT_MSG_SPIN = 1,      /* a hand-over to you is under way: spin before you sleep */
        BT_MSG_HANDOVER = 2,  /* token: heir; its hand-off socket and bell came over the channel. Holder word is OFFERED. arg[0]: newest version
                                 of the schema that the heir reads, 0: unknown */
        BT_MSG_RESUME = 3,    /* token: heir that failed; you hold the baton again */
        BT_MSG_RETIRE = 4,    /* token: heir, which serves; drain. arg[0]: retention in ns */
        BT_MSG_CAPTURE = 5,   /* cold swap, shutdown: capture and release. arg[0]: enum baton_capture_for; arg[1]: as HANDOVER's arg[0] */
        BT_MSG_TERMINATE = 6, /* end yourself */
        BT_MSG_ADOPTED = 7,   /* another hub than the one that started you: it lacks your kept descriptors, send them again */
        BT_MSG_CHECKPOINT = 8, /* keep a whole state now, and go on serving; answered by CHECKPOINTED */
        BT_MSG_DURABLE = 9,   /* bt_baton.durable has moved. Not repeated while the child has not taken the one before */
        BT_MSG_MAY_MIGRATE = 11, /* may you be moved to another node now? answered by CONSENT */
        BT_MSG_MODE = 12,     /* arg[0]: enum baton_mode, ACTIVE or PASSIVE, from now on; answered by MODE_TAKEN */
        /* C->H */
        BT_MSG_READY = 16,    /* token: own incarnation; arg[0]: 1 if it ends as soon as it is told to RETIRE; arg[1]: 1 if it is to be asked MAY_MIGRATE;
                                 arg[2]: newest version of the schema that it reads */
        BT_MSG_PASSED = 17,   /* token: heir; arg[0]: descriptors passed; arg[1]: state bytes */
        BT_MSG_RESTORED = 18, /* token: own incarnation; serves. arg[0]: state bytes taken over */
        BT_MSG_REFUSED = 19,  /* token: own incarnation; arg[0]: error; text in the link. The word, if it was ours, is given back */
        BT_MSG_CAPTURED = 20, /* answer to CAPTURE: arg[0] 0 or error; arg[1]: state bytes; arg[2]: descriptors passed; word is VACANT */
        BT_MSG_NOT_PASSED = 21, /* answer to HANDOVER: capture failed. arg[0]: error; text in the link */
        BT_MSG_RETIRED = 22,  /* retention handled: nothing left to drain, exiting */
        BT_MSG_CHECKPOINTED = 23, /* token: sequence; arg[0]: 0 or error, text in the link; arg[1]: bytes; arg[2]: 1 if it answers CHECKPOINT.
                                     Not repeated while the hub has not taken the one before: the word in the baton says more */
        BT_MSG_CONSENT = 25,  /* answer to MAY_MIGRATE, or by itself: arg[0]: 1 ready, 0 later */
        BT_MSG_MODE_TAKEN = 26, /* answer to MODE: arg[0]: the mode; what it asked for has happened */
        _BT_MSG_N,
};

/* Descriptors a link brings to its process, by index in bt_link.fds. -1: not there. */
enum bt_link_fd {
        BT_LINK_FD_BELL = 0,     /* eventfd, hub rings child; the child's pollable fd */
        BT_LINK_FD_HUB_BELL = 1, /* child rings hub: writes 8 bytes. A second number of its channel, or an eventfd */
        BT_LINK_FD_CHANNEL = 2,  /* SOCK_SEQPACKET, carries descriptors */
        BT_LINK_FD_BATON = 3,    /* the baton segment */
        BT_LINK_FD_HANDOFF = 4,  /* SOCK_SEQPACKET, read end: descriptors from the predecessor */
        BT_LINK_FD_NODE = 5,     /* the node segment, read-only */
        /* Not for the process: it keeps them open, so that the next hub can take them up when this one is killed. */
        BT_LINK_FD_HUB_CHANNEL = 6, /* the hub's end of the channel */
        BT_LINK_FD_OUT = 7,         /* read end of its stdout */
        BT_LINK_FD_ERR = 8,         /* read end of its stderr */
        _BT_LINK_FD_N = 9,
};

/* The same for a child that has a mailbox, by index in bt_link.mail_fds. They belong to the child: each of its processes gets the same ones. */
enum bt_link_mail {
        BT_LINK_MAIL_BOX = 0,  /* the mailbox segment */
        BT_LINK_MAIL_DESK = 1, /* the desk segment */
        BT_LINK_MAIL_BELL = 2, /* eventfd, producers ring */
        _BT_LINK_MAIL_N = 3,
};

/* @attached */
#define BT_LINK_NOT_ATTACHED 0
#define BT_LINK_ATTACHED 1

/* @hold: docs/spares.md */
#define BT_HOLD_NONE 0     /* an ordinary start */
#define BT_HOLD_ASKED 1    /* is to stop before its first line */
#define BT_HOLD_HELD 2     /* has */
#define BT_HOLD_RELEASED 3 /* goes on */

#define BT_HOLD_F_POPULATE 1u /* it has time: the arena's page tables */

/* The note of a program that can be held. */
#define BT_HOLD_NOTE_NAME "baton"
#define BT_HOLD_NOTE_TYPE 1
#define BT_HOLD_NOTE_VERSION 1
#define BT_HOLD_NOTE_F_SANITIZER 1u /* whose entry comes first */

/* How a parked process waits for the word, so that its waker knows whether a system call is needed. */
#define BT_PARK_AWAKE 0 /* runs or spins: it will see the word */
#define BT_PARK_FUTEX 1 /* sleeps, or is about to, on the low half of the word */

struct bt_link {
        struct bt_seg_head head;
        uint64_t incarnation;           /* W hub, before the process starts */
        uint32_t reason;                /* enum baton_reason; W hub */
        int32_t fds[_BT_LINK_FD_N];     /* numbers in the process; W hub */
        uint32_t slot_idx;              /* in the node segment; W hub */
        _Atomic uint32_t wake;          /* W hub: bumped and futex-woken with each message while the process is parked; R child */
        _Atomic uint32_t attached;      /* W child, once */
        /* One robust mutex of the child's C library, taken at open and never given back: the kernel marks its word at the death of the
         * thread, long before the pidfd is told. @life_off: where in @life the word is, 0 when there is none. W child. */
        _Atomic uint32_t life_off;
        uint8_t life[64] __attribute__((aligned(64)));
        char text[BT_LINK_TEXT_BYTES];  /* W child, before REFUSED or NOT_PASSED: why, NUL-terminated; the hub copies and terminates */
        int32_t mail_fds[_BT_LINK_MAIL_N]; /* numbers in the process, 0: none, as in a child without a mailbox; W hub */
        uint32_t owner;                 /* under which it claims slots in reply rings; W hub */
        _Atomic uint32_t hold;          /* BT_HOLD_*: stopped before its first line; futex. W hub, and the process from ASKED to HELD */
        uint32_t hold_flags;            /* BT_HOLD_F_*; W hub, before the process starts */
        int32_t hub_pid;                /* whose end is that of a held process; W hub, before the process starts */
        _Atomic uint32_t mode_told;     /* enum baton_mode; W hub, before MODE is pushed: a hub after it reads what was told */
        _Atomic uint32_t mode_taken;    /* W hub before the process starts, then child, before MODE_TAKEN is pushed */
        uint8_t reserved2[4096 - 192 - 64 - 36 - BT_LINK_TEXT_BYTES - 2 * (128 + BT_RING_RECS * BT_REC_BYTES)];
        struct bt_ring to_child __attribute__((aligned(64)));
        struct bt_ring to_hub __attribute__((aligned(64)));
};
static_assert(offsetof(struct bt_link, life) == 128, "on its own cache line");
static_assert(offsetof(struct bt_link, hold) == 656, "behind the mailbox's");
static_assert(sizeof(struct bt_link) <= 4096 && sizeof(struct bt_link) > 3900, "one page");

/* ---- baton segment ---- */

/* The holder word. See bt_baton_word_*() in shm/baton.h for its transitions. */
#define BT_WORD_PHASE_BITS 4
#define BT_WORD_INC_BITS 30
#define BT_INC_MAX ((UINT64_C(1) << BT_WORD_INC_BITS) - 1)

enum bt_word_phase {
        BT_WORD_VACANT = 0,  /* nobody may serve; the hub may grant */
        BT_WORD_HELD = 1,    /* holder serves */
        BT_WORD_OFFERED = 2, /* holder serves; heir is ready */
        BT_WORD_PASSED = 3,  /* holder restores; heir is the predecessor that goes on when it fails, 0: none */
        _BT_WORD_PHASE_N,
};

#define BT_BLOB_SLOTS 2 /* the holder writes one while the other is whole */

/* What the live or captured state is. W holder, or hub when nobody holds. */
struct bt_state_meta {
        char schema[64];
        uint32_t version;
        uint32_t version_oldest;
        uint64_t bytes;        /* blob: of the committed capture; arena: see the arena's head */
        uint64_t incarnation;  /* who wrote it */
        uint64_t boot_ns;      /* when it was captured; CLOCK_BOOTTIME */
        uint64_t wall_ns;
        uint64_t xxh3;         /* blob: of the payload */
        uint32_t present;      /* 1: there is a state; 2: it was restored from the store and is not yet confirmed */
        uint32_t slot_idx;     /* blob: which slot */
        uint32_t version_writable; /* oldest version that its holder can write for a reader of no newer one; 0: only @version */
        uint8_t reserved[4];
};
static_assert(sizeof(struct bt_state_meta) == 128, "two cache lines");

/*
 * Where checkpoints are written: one is published, one may be read by the hub, one is free. Without that room a blob child uses its two slots (the hub
 * reads none of them while it lives); with it, three. An arena's lie behind the arena, each as large as it.
 */
#define BT_CHECKPOINT_SLOTS 3

struct bt_baton {
        struct bt_seg_head head;
        char id[64];                      /* child; W hub, once */
        /* 128: the hot words, each on a line of its own */
        _Atomic uint64_t word __attribute__((aligned(64)));   /* the holder word: CAS by hub, holder, heir */
        _Atomic uint32_t soon;                                /* W predecessor: moves when the moment is near, "watch now"; futex; R heir */
        uint32_t gone_count;                                  /* tags of passed descriptors that are gone, sent there, too; W as fd_count */
        uint64_t fd_count;                                    /* descriptors sent over the hand-off socket, in all; W holder, hub when nobody holds */
        _Atomic uint64_t summed;                              /* blob, hot: so many bytes of the capture are written and summed; W predecessor; R heir */
        /* 192: the heir's */
        _Atomic uint32_t parked __attribute__((aligned(64))); /* BT_PARK_*; W the one parked successor; R predecessor, hub */
        _Atomic uint32_t beat;                                /* W the same: the low half of the soon it has seen, and a count that moves while it watches */
        uint64_t restored_ns;                                 /* W the same, when it serves; CLOCK_MONOTONIC; R hub */
        /* 256: the predecessor's. The heir does not read it: the line stays where it is written. */
        uint64_t capture_ns __attribute__((aligned(64)));     /* CLOCK_MONOTONIC: capture() is called; R hub */
        uint8_t reserved0[56];
        /* 320: the state */
        struct bt_state_meta meta;
        uint32_t form;                    /* enum baton_state_form; W hub, once */
        _Atomic uint32_t bracket;         /* arena: depth of baton_arena_begin; W holder. Not 0 when the holder is dead: torn */
        uint64_t state_off;               /* of the arena, or of the first blob slot; page aligned; W hub, once */
        uint64_t state_bytes_max;         /* of the arena, or of one blob slot */
        uint64_t arena_addr;              /* where every incarnation maps the arena; W hub, once */
        uint8_t reserved3[16];
        /* 496: checkpoints, see shm/checkpoint.h */
        uint32_t checkpoint_slots;        /* 0: no room was made for them; else BT_CHECKPOINT_SLOTS; W hub, once */
        _Atomic uint32_t checkpoint_lease; /* 1 + the slot that the hub reads, 0: none; W hub */
        _Atomic uint64_t checkpoint;      /* sequence << 2 | 1 + slot; the low bits are 0: none. W holder, hub when nobody holds */
        _Atomic uint64_t durable;         /* sequence of the last checkpoint that is on the disk; W hub */
        uint8_t reserved1[56];
        struct bt_state_meta checkpoints[BT_CHECKPOINT_SLOTS]; /* descriptions; W holder, never of the slot that is named above */
        uint8_t reserved2[4096 - 576 - BT_CHECKPOINT_SLOTS * 128];
};
static_assert(offsetof(struct bt_baton, word) == 128, "own line");
static_assert(offsetof(struct bt_baton, soon) == 136, "with the word: who watches one watches both");
static_assert(offsetof(struct bt_baton, gone_count) == 140, "the same");
static_assert(offsetof(struct bt_baton, fd_count) == 144, "with the word: it is read when the word has moved");
static_assert(offsetof(struct bt_baton, summed) == 152, "the same");
static_assert(offsetof(struct bt_baton, parked) == 192, "own line");
static_assert(offsetof(struct bt_baton, beat) == 196, "with parked: the same writer");
static_assert(offsetof(struct bt_baton, restored_ns) == 200, "with parked: the same writer");
static_assert(offsetof(struct bt_baton, capture_ns) == 256, "own line");
static_assert(offsetof(struct bt_baton, meta) == 320, "aligned");
static_assert(offsetof(struct bt_baton, form) == 448, "aligned");
static_assert(offsetof(struct bt_baton, checkpoint) == 504, "aligned");
static_assert(offsetof(struct bt_baton, checkpoints) == 576, "aligned");
static_assert(sizeof(struct bt_baton) == 4096, "one page");

/*
 * Where batons map their arenas: inside every sanitizer's application range but TSan's (which has its own), far from where the kernel puts anything by itself.
 * As far behind a multiple of 2 MiB as in the segment, so that huge pages fit; and not on one, so that an arena has small pages up to its first 2 MiB.
 */
#ifndef BT_ARENA_BASE
#define BT_ARENA_BASE UINT64_C(0x200000000000)
#endif
#define BT_HUGE_BYTES (UINT64_C(2) << 20)
#define BT_ARENA_ADDR (BT_ARENA_BASE + 4096)
#define BT_ARENA_ADDR_FIRST BT_ARENA_BASE /* of arenas that were stored by earlier builds: huge pages do not fit */
static_assert(BT_ARENA_ADDR % BT_HUGE_BYTES == sizeof(struct bt_baton), "as the arena's offset in the segment");

/* Smaller arenas ask for no huge pages: they could have one at most. */
#define BT_ARENA_HUGE_BYTES_MIN (2 * BT_HUGE_BYTES)
#define BT_ARENA_BYTES_MIN UINT64_C(65536)
#define BT_ARENA_BYTES_MAX (UINT64_C(1) << 40)

/* The arena's head, its first page. W holder, inside brackets. Offsets are from the start of the arena. */
#define BT_ARENA_CLASSES 160

struct bt_arena {
        uint64_t magic;       /* "BTARENA1"; 0: never used */
        uint64_t bytes_max;
        uint64_t top;         /* first byte never handed out; everything above is zero */
        uint64_t root;        /* the user's root pointer, as offset; 0: NULL */
        uint64_t live_bytes;  /* allocated and not freed, rounded as allocated */
        uint64_t reserved[3];
        uint64_t free[BT_ARENA_CLASSES]; /* heads of the free lists, by size class; 0: empty */
        uint8_t pad[4096 - 64 - 8 * BT_ARENA_CLASSES];
};
#define BT_MAGIC_ARENA UINT64_C(0x31414e4552415442) /* "BTARENA1" */
static_assert(sizeof(struct bt_arena) == 4096, "one page");

/* ---- mailbox segment: many producers, one consumer. A child's, for its clients; or a client's, for answers. shm/mailbox.h ---- */

#define BT_MAILBOX_SLOTS_MIN 2
#define BT_MAILBOX_SLOTS_MAX 65536
#define BT_MAILBOX_BYTES_MAX 65536
#define BT_MAILBOX_REGION_MAX (UINT64_C(1) << 40)

/* What a message says beside its payload. W producer, before the slot is READY. */
struct bt_letter {
        uint64_t call;        /* number that the client gave it, or that of the call it answers */
        uint64_t deadline_ns; /* CLOCK_MONOTONIC; 0: none. Nobody waits after it */
        uint64_t tag;         /* the program's own */
        uint64_t ref_off;     /* in the region of the client's segment */
        uint64_t ref_bytes;   /* 0: no reference */
        uint32_t flags;       /* BT_LETTER_*, and from BT_LETTER_BEFORE_SHIFT on: how often it was begun by processes that died with it */
        int32_t status;       /* of an answer: 0, or an error */
        uint32_t bytes;       /* of the payload in the slot */
        uint32_t sender;      /* the owner that claimed the slot: the slot's word says who took it, when somebody has */
};
static_assert(sizeof(struct bt_letter) == 56, "no holes");

#define BT_LETTER_CALL 1u   /* wants an answer */
#define BT_LETTER_ANSWER 2u /* is one */
#define BT_LETTER_BEFORE_SHIFT 24 /* W who puts a message back into a shared queue */
#define BT_LETTER_BEFORE_MAX 255u

/* What a slot is. See the slot's word in shm/mailbox.h. */
enum bt_slot_state {
        BT_SLOT_FREE = 0,    /* for the lap in the word */
        BT_SLOT_CLAIMED = 1, /* its owner writes */
        BT_SLOT_READY = 2,   /* whole, not read */
        BT_SLOT_HOLE = 3,    /* nothing will come: withdrawn, or its owner died */
        BT_SLOT_TAKEN = 4,   /* in the consumer's hands; of a shared queue: the owner is the process that has it */
        _BT_SLOT_STATE_N,
};

struct bt_mail_slot {
        _Atomic uint64_t word;   /* lap:29, owner:32, state:3 */
        struct bt_letter letter;
        uint8_t payload[];
};
static_assert(sizeof(struct bt_mail_slot) == 64, "the payload begins on a cache line");

/* Members of a pool that share one mailbox: a bit for each that sleeps. */
#define BT_MAILBOX_SHARERS_MAX 256u
#define BT_MAILBOX_SLEEPER_WORDS (BT_MAILBOX_SHARERS_MAX / 64)

/* bt_mailbox.next: generation << BT_NEXT_POS_BITS | position. The generation moves when the position goes back. */
#define BT_NEXT_POS_BITS 48

/* What the hub says to producers: bt_mailbox.gate */
#define BT_MAILBOX_OPEN 0u
#define BT_MAILBOX_SWAPPING 1u /* its child is being replaced: others of the pool first */
#define BT_MAILBOX_CLOSED 2u   /* its child was removed: nothing more is taken */

struct bt_mailbox {
        struct bt_seg_head head;
        uint32_t slot_count;    /* a power of two; W hub, once, like all up to @id */
        uint32_t slot_bytes;    /* from one slot to the next: 64 and the payload, rounded up to 64 */
        uint32_t payload_bytes; /* at most so many in a slot */
        uint32_t spin_ns;       /* how long the consumer watches for one more before it sleeps */
        uint64_t slots_off;
        uint64_t region_off;    /* a client's own memory for large payloads; page aligned */
        uint64_t region_bytes;
        uint32_t shared;        /* 1: all members of a pool take from it: shm/share.h */
        uint8_t reserved0[20];
        char id[64];            /* the child's, the pool's when it is shared; of a client: its name */
        _Atomic uint64_t tail __attribute__((aligned(64)));    /* where to look: never more than the positions claimed so far, seldom less; W producers */
        _Atomic uint64_t read __attribute__((aligned(64)));    /* positions given back so far: a copy for others; W consumer */
        _Atomic uint64_t next;                                 /* shared: where members look for the next one, BT_NEXT_POS_BITS; W members, by compare-and-swap */
        _Atomic uint32_t asleep __attribute__((aligned(64)));  /* 1: ring the bell; W consumer, the producer that rings takes it back */
        _Atomic uint64_t sleepers[BT_MAILBOX_SLEEPER_WORDS];   /* shared: who sleeps, by bt_desk.sharer; each W its bit, and the hub when it is dead */
        _Atomic uint32_t waiting __attribute__((aligned(64))); /* 1: producers wait for room; W producers, consumer takes it back */
        _Atomic uint32_t room;                                 /* futex of theirs; W consumer */
        _Atomic uint32_t gate __attribute__((aligned(64)));    /* BT_MAILBOX_OPEN ..; W hub */
        _Atomic uint64_t full __attribute__((aligned(64)));    /* how often there was no room; W producers */
        uint8_t reserved1[4096 - 512 - 8];
};
static_assert(offsetof(struct bt_mailbox, id) == 128, "aligned");
static_assert(offsetof(struct bt_mailbox, tail) == 192, "own line");
static_assert(offsetof(struct bt_mailbox, shared) == 104, "in what was reserved");
static_assert(offsetof(struct bt_mailbox, next) == 264, "beside read");
static_assert(offsetof(struct bt_mailbox, sleepers) == 328 && offsetof(struct bt_mailbox, waiting) == 384, "beside asleep");
static_assert(offsetof(struct bt_mailbox, gate) == 448, "own line");
static_assert(offsetof(struct bt_mailbox, full) == 512, "own line");
static_assert(sizeof(struct bt_mailbox) == 4096, "slots start on a page");

/* ---- desk segment: what of a mailbox only its child's holder may write. shm/desk.h ---- */

#define BT_DESK_UNDO_MAX (UINT64_C(64) << 20)

struct bt_desk {
        struct bt_seg_head head;
        uint64_t box_off;               /* payload of the answer; W hub, once, like all up to @undo_bytes */
        uint64_t box_bytes;
        uint64_t undo_off;              /* old bytes of what the message in hand has changed in the arena */
        uint64_t undo_bytes;            /* 0: there is no room for that */
        uint32_t sharer;                /* of a shared queue: its bit among the sleepers; W hub */
        uint32_t deliveries_max;        /* begun so often and never ended: it is not begun again; 0: no bound. W hub, once */
        uint8_t reserved0[24];
        /* The next message that is not done. The commit point of a message is the store that moves it. All from here on: W holder */
        _Atomic uint64_t cursor __attribute__((aligned(64)));
        _Atomic uint64_t open __attribute__((aligned(64))); /* 1 + position of the message in hand, 0: none */
        _Atomic uint64_t undo_used;     /* bytes of the log; moved after an entry is whole */
        _Atomic uint64_t delivery;      /* position << 8 | how often it was begun, at most 255 */
        uint64_t epoch;                 /* of the baton whose bracket is the message's and whose arena the log is about; 0: none */
        /* A shared queue: the slot that this member wants or has, written before it is taken. Then @cursor counts what this member has done. shm/share.h */
        _Atomic uint64_t claim;         /* 1 + position, 0: none */
        _Atomic uint64_t claim_for;     /* @cursor at that time: it is done when @cursor is another one */
        _Atomic uint32_t claim_owner;   /* the process, as in the slot's word */
        _Atomic uint32_t claim_before;  /* how often it had been begun before, elsewhere */
        uint64_t reserved2;
        _Atomic uint64_t answer __attribute__((aligned(64))); /* 1 + position of the message whose answer is in the box and not pushed, 0: none */
        uint32_t answer_client;
        uint32_t reserved3;
        struct bt_letter answer_letter;
        uint8_t reserved4[56];
        /* counters, for status */
        _Atomic uint64_t handled __attribute__((aligned(64)));
        _Atomic uint64_t redelivered;   /* begun again */
        _Atomic uint64_t failed;        /* the handler returned an error */
        _Atomic uint64_t expired;       /* nobody waited any more: not handled */
        _Atomic uint64_t holes;
        _Atomic uint64_t broken;        /* slots that no honest producer can have written */
        _Atomic uint64_t unanswered;    /* answers that could not be given: the client is gone, or takes none */
        _Atomic uint64_t set_aside;     /* begun deliveries_max times, by processes that all died: not handled */
        uint8_t reserved6[4096 - 448];
};
static_assert(offsetof(struct bt_desk, cursor) == 128, "own line");
static_assert(offsetof(struct bt_desk, open) == 192, "own line");
static_assert(offsetof(struct bt_desk, sharer) == 96 && offsetof(struct bt_desk, deliveries_max) == 100, "in what was reserved");
static_assert(offsetof(struct bt_desk, claim) == 224 && offsetof(struct bt_desk, claim_before) == 244, "beside open");
static_assert(offsetof(struct bt_desk, answer) == 256, "own line");
static_assert(offsetof(struct bt_desk, handled) == 384, "own line");
static_assert(offsetof(struct bt_desk, set_aside) == 440, "the last counter");
static_assert(sizeof(struct bt_desk) == 4096, "one page");

/* ---- the durable record: head of every state on disk. Frozen by header_version ---- */

#define BT_RECORD_VERSION 1

struct bt_record {
        uint64_t magic;          /* BT_MAGIC_RECORD */
        uint32_t header_version; /* BT_RECORD_VERSION */
        uint32_t header_bytes;   /* sizeof(struct bt_record) */
        uint32_t abi;            /* BT_ABI_THIS */
        uint32_t form;           /* enum baton_state_form */
        char schema[64];
        uint32_t version;
        uint32_t version_oldest;
        uint8_t build_id[20];    /* of the producer's binary, as far as known */
        uint32_t flags;
        char child[64];
        uint64_t incarnation;    /* who captured it */
        uint64_t sequence;       /* of captures of this child */
        uint8_t boot_id[16];
        uint64_t boot_ns;        /* when captured: CLOCK_BOOTTIME, comparable only with the same boot_id */
        uint64_t wall_ns;        /* CLOCK_REALTIME */
        uint64_t ttl_ns;         /* BT_NS_NEVER: none */
        uint64_t payload_bytes;
        uint64_t arena_addr;     /* arena: where it must be mapped */
        uint64_t payload_xxh3;
        uint8_t reserved[240];
        uint64_t header_xxh3;    /* of all bytes before this one */
};
static_assert(offsetof(struct bt_record, schema) == 24, "frozen");
static_assert(offsetof(struct bt_record, child) == 120, "frozen");
static_assert(offsetof(struct bt_record, incarnation) == 184, "frozen");
static_assert(offsetof(struct bt_record, payload_xxh3) == 256, "frozen");
static_assert(sizeof(struct bt_record) == 512, "frozen");
