/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Work for children, sent through shared memory: docs/messages.md.
 *
 *      baton_client_open(&client, "shop", NULL, why)        attach to a hub
 *      baton_client_target(&web, client, "web", NULL, why)  a child, or a pool: work goes to one of its members
 *
 *      baton_client_cast(web, &send)                        no answer is wanted
 *      baton_client_call(web, &send, &reply)                waits for the answer
 *      baton_client_begin(web, &send, &call)                an answer is wanted later:
 *      baton_client_collect(client, call, &reply, ...)      waits for it, or looks
 *
 * A message is in the child's mailbox when the call returns, and the mailbox outlives the child's processes: a swap, a crash and a restart of the child
 * are not seen here, except as time. What a child promises about handling a message once is in the table of docs/messages.md.
 *
 * Sending is a compare-and-swap and a copy: no system call while the child is awake, no lock, any number of threads. The answer comes through a ring
 * of the client's own. A hub that was killed is not missed either: what is mapped stays mapped, and the client attaches to the next hub
 * of that name by itself, from inside dispatch() and from inside waiting calls.
 *
 * Handles do not survive fork(): in the copy every function returns -BATON_E_FORKED.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <baton/errors.h>
#include <baton/types.h>

#ifdef __cplusplus
extern "C" {
#endif

#pragma GCC visibility push(default) /* the library is built with -fvisibility=hidden */

struct baton_client; /* an attachment to a hub */
struct baton_target; /* a child or a pool that messages can be sent to; lives as long as the client */

#define BATON_WHY_BYTES            192        /* of a sentence about a refusal */
#define BATON_WAIT_FOREVER         UINT64_MAX /* as a time: no deadline */
#define BATON_CLIENT_CALLS_DEFAULT 1024
#define BATON_CLIENT_CALLS_MAX     32768
#define BATON_CLIENT_REPLY_DEFAULT 256
#define BATON_CLIENT_REPLY_MAX     65536
#define BATON_CLIENT_SPIN_DEFAULT  20000 /* nanoseconds */
#define BATON_CLIENT_SPIN_NONE     1

struct baton_client_options {
        size_t size;          /* sizeof(struct baton_client_options) */
        uint32_t calls;       /* calls under way at once; 0: BATON_CLIENT_CALLS_DEFAULT */
        uint32_t reply_bytes; /* of the largest answer; 0: BATON_CLIENT_REPLY_DEFAULT */
        /* For large payloads, see baton_client_alloc(); 0: none. */
        uint64_t region_bytes;
        /* How long a waiting call watches for its answer before it sleeps. 0: BATON_CLIENT_SPIN_DEFAULT, where there is more than one processor;
         * BATON_CLIENT_SPIN_NONE: not at all. */
        uint64_t spin_ns;
        uint64_t timeout_ns; /* for the hub to answer; 0: 5 s */
};

/* Which member of a pool gets a message. One that is being swapped gets none, unless there is no other. */
enum baton_pick {
        BATON_PICK_LEAST_QUEUED = 0, /* the one with the fewest unread messages */
        BATON_PICK_ROUND_ROBIN = 1,
        /* By baton_send.key: the same key goes to the same member as long as that is one; a member that leaves moves only its own keys. */
        BATON_PICK_HASH = 2,
        _BATON_PICK_N,
};

struct baton_target_options {
        size_t size;   /* sizeof(struct baton_target_options) */
        uint32_t pick; /* enum baton_pick */
        uint32_t reserved;
};

/* An answer. */
struct baton_reply {
        void *data;    /* room of the caller's; NULL: only its size is wanted */
        size_t room;   /* bytes of it; a longer answer is cut */
        size_t bytes;  /* of the whole answer */
        int status;    /* of the handler: 0, or its negative error */
        uint64_t call; /* which call it answers */
};

typedef void (*baton_done_fn)(struct baton_client *client, const struct baton_reply *reply,
                              void *ctx);

/* Do not wake the child yet: more messages follow, then baton_client_flush(). */
#define BATON_SEND_QUIET 1u

/* A message. Start from {.size = sizeof(struct baton_send)}. */
struct baton_send {
        size_t size;      /* sizeof(struct baton_send) */
        const void *data; /* copied */
        size_t bytes;     /* up to baton_target_bytes_max() */
        /* Memory of baton_client_alloc(): the child reads it where it is. Not to be changed until the answer is there. */
        const void *large;
        size_t large_bytes;
        /* In all: for room in the mailbox and for the answer. 0: -EAGAIN when the mailbox is full, and for a call no deadline. */
        uint64_t timeout_ns;
        uint64_t key;   /* of BATON_PICK_HASH; the child sees it as the message's tag */
        uint32_t flags; /* BATON_SEND_* */
        uint32_t reserved;
        /* baton_client_begin(): run by dispatch() when the answer is there; NULL: it will be collected. */
        baton_done_fn done;
        void *ctx;
};

/* ---- life ---- */

/**
 * baton_client_open() - attach to a hub
 * @hub:     its name, or the path of its runtime directory (then it has a '/'); NULL: BATON_HUB of the environment
 * @options: copied; NULL: all defaults
 * @why:     a sentence when it fails; NULL: not wanted
 *
 * The hub lets in processes of its own user, and root.
 *
 * Errors:    -EINVAL; -ENOENT, -ECONNREFUSED no such hub runs; -EACCES, -EPERM refused; -ENOSPC the hub has its bound of clients;
 *            -ETIMEDOUT; -BATON_E_LAYOUT a hub of another release; -ENOMEM.
 * Context:   reads the environment: before other threads change it.
 * Since:     0.1
 */
int baton_client_open(struct baton_client **ret_client, const char *hub,
                      const struct baton_client_options *options, char why[BATON_WHY_BYTES]);

/* Detaches: calls under way are not answered any more, what was sent is handled all the same. No other thread may be inside. Takes NULL. Always
 * returns NULL. Since: 0.1 */
struct baton_client *baton_client_close(struct baton_client *client);

/**
 * baton_client_target() - a child or a pool by its name
 * @name: "web/1", or "web" for all instances of it
 *
 * The same name gives the same target. Members that join the pool or leave it later are seen by themselves.
 *
 * Errors:    -ENOENT no such child; -ENXIO it has no mailbox; -EINVAL; -ENOSPC too many targets (64); -ETIMEDOUT; -BATON_E_GONE no hub.
 * Context:   any thread; blocks for the hub's answer.
 * Since:     0.1
 */
int baton_client_target(struct baton_target **ret_target, struct baton_client *client,
                        const char *name, const struct baton_target_options *options,
                        char why[BATON_WHY_BYTES]);

/* Bytes that a message of this target can hold; the smallest of its members'. Since: 0.1 */
size_t baton_target_bytes_max(const struct baton_target *target);

/* ---- sending ---- */

/**
 * baton_client_cast() - send a message that is not answered
 *
 * Errors:    -EAGAIN the mailbox is full and @send->timeout_ns is 0; -ETIMEDOUT it stayed full; -EMSGSIZE; -EINVAL; -BATON_E_GONE the child was
 *            removed, or its hub has stopped; -BATON_E_FORKED. After an error nothing was sent.
 * Context:   any thread, any number at once; not async-signal-safe.
 * Since:     0.1
 */
int baton_client_cast(struct baton_target *target, const struct baton_send *send);

/**
 * baton_client_call() - send a message and wait for its answer
 * @reply: its @data and @room are the caller's; the rest is written
 *
 * Errors:    as baton_client_cast(); -EBUSY as many calls are under way as options.calls allows. -ETIMEDOUT also when the answer did not come: the
 *            message may be, or have been, handled. -BATON_E_GONE after the send: the child was removed before it answered.
 * Since:     0.1
 */
int baton_client_call(struct baton_target *target, const struct baton_send *send,
                      struct baton_reply *reply);

/* The same without waiting for the answer. The deadline goes with the message: one that is over when its turn comes is not handled, and answered with status
 * -ETIMEDOUT. With a done() the library keeps the deadline, too: done() is run with -ETIMEDOUT up to 100 ms after it, and with -BATON_E_GONE. Since: 0.1 */
int baton_client_begin(struct baton_target *target, const struct baton_send *send,
                       uint64_t *ret_call);

/**
 * baton_client_collect() - the answer of a call that was begun
 * @timeout_ns: 0: -EAGAIN when it is not there yet
 *
 * Afterwards the call is over, unless the result is -EAGAIN or -ETIMEDOUT.
 *
 * Errors:    -EAGAIN; -ETIMEDOUT; -ENOENT no such call, or it has a done(); -BATON_E_GONE the child was removed before it answered.
 * Since:     0.1
 */
int baton_client_collect(struct baton_client *client, uint64_t call, struct baton_reply *reply,
                         uint64_t timeout_ns);

/* The answer is not wanted any more. 1: the message was taken back, nobody had begun it and nobody will; 0: somebody has, or had; -ENOENT. Since: 0.1 */
int baton_client_cancel(struct baton_client *client, uint64_t call);

/* Wakes the children that were sent to with BATON_SEND_QUIET. Since: 0.1 */
void baton_client_flush(struct baton_client *client);

/* ---- with an event loop ---- */

/* Readable when dispatch() has something to do. Not to be read, written or closed. Since: 0.1 */
int baton_client_fd(struct baton_client *client);

/* Reads answers and what the hub says; runs done(), which may use the client. Never blocks. 0 or -BATON_E_FORKED. Since: 0.1 */
int baton_client_dispatch(struct baton_client *client);

/* ---- large payloads ---- */

/* Memory that children of the opened targets can read; 64-byte aligned. NULL: no room, or options.region_bytes was 0. A lock inside. Since: 0.1 */
void *baton_client_alloc(struct baton_client *client, size_t bytes);
void baton_client_free(struct baton_client *client, void *ptr); /* takes NULL */

/* ---- what is going on ---- */

struct baton_client_stats {
        size_t size;
        uint64_t calls; /* begun */
        uint64_t answered;
        uint64_t late;     /* answers to calls that nobody waited for any more, and second ones */
        uint64_t full;     /* times that a mailbox was found full */
        uint64_t attached; /* times that a hub let us in; more than 1: hubs were restarted */
        uint32_t hub;      /* 1: attached, 0: no hub at the moment */
        uint32_t number;   /* of this client */
};

void baton_client_stats(const struct baton_client *client, struct baton_client_stats *ret_stats);

/* The same for a target's mailboxes, as seen now. */
struct baton_target_stats {
        size_t size;
        uint32_t members;
        uint32_t swapping; /* of them */
        uint64_t queued;   /* unread messages, all together */
        uint64_t capacity;
};

void baton_target_stats(const struct baton_target *target, struct baton_target_stats *ret_stats);

#pragma GCC visibility pop

#ifdef __cplusplus
}
#endif
