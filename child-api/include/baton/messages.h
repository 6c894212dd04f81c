/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Messages for a child that has `mailbox` in its configuration: what other processes send with <baton/client.h> is handed to on_message() of
 * struct baton_child_ops, one after the other, from inside baton_child_dispatch(). They wait in shared memory while the child is swapped or down.
 *
 *      static int on_message(struct baton_child *child, const struct baton_message *message, void *ctx)
 *      {
 *              ... message->data, message->bytes ...
 *              return baton_message_reply(child, message, "done", 4);
 *      }
 *
 * A message is done when on_message() has returned and the library has moved its cursor past it; then the answer is given. A process that dies before that
 * leaves the message to the next one, with deliveries + 1. In an arena child that asks for it (BATON_MESSAGES_ONCE) all that the handler changed is
 * taken back first, so that it has happened exactly once in the end. docs/messages.md has the table of what each kind of child gets.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#pragma GCC visibility push(default) /* the library is built with -fvisibility=hidden */

struct baton_child;

/* Of struct baton_child_ops.message_flags. */
#define BATON_MESSAGES_ONCE 1u /* the arena is undone when a message fails or its process dies: the handler calls baton_arena_save() */

/* Whose call it is. Plain data: good in an arena, a blob, another process. */
struct baton_caller {
        uint64_t call;
        uint32_t client;
        uint32_t reserved;
};

/* Valid only during on_message(), and all that it points to. */
struct baton_message {
        const void *data;         /* a copy that nobody else can change; 8-byte aligned */
        size_t bytes;
        void *shared;             /* a larger payload, in the client's own memory: it can change it at any time. Also room for an answer. NULL: none */
        size_t shared_bytes;
        uint64_t tag;             /* the client's own number */
        uint64_t deadline_ns;     /* CLOCK_MONOTONIC; 0: none. Not handed out when it is over */
        uint32_t deliveries;      /* 1: the first time. More: whoever had it before died; 255 stands for any more */
        bool wants_answer;        /* a call; false: a cast */
        struct baton_caller from;
};

/**
 * baton_message_reply() - the answer to the call in hand
 * @bytes: 0 .. what the client's slots hold; more goes into @message->shared
 *
 * Copied; given when on_message() has returned 0 and the message is done. A second reply replaces the first. A call that is neither answered nor deferred is
 * answered with 0 bytes; one whose handler returns an error with that error.
 *
 * Errors:    -BATON_E_TOO_BIG; -BATON_E_PROTOCOL not inside on_message(), or a cast.
 * Since:     0.1
 */
int baton_message_reply(struct baton_child *child, const struct baton_message *message, const void *data, size_t bytes);

/* The call in hand is answered later, by baton_child_answer(). 0; -BATON_E_PROTOCOL as above. Since: 0.1 */
int baton_message_defer(struct baton_child *child, const struct baton_message *message);

/**
 * baton_child_answer() - answer a call that was deferred, by this process or by one before it
 * @status: 0, or a negative error for the caller
 *
 * Never waits.
 *
 * Errors:    -BATON_E_GONE the client is; -EAGAIN it reads none of its answers; -BATON_E_TOO_BIG; -ENOTCONN no mailbox.
 * Since:     0.1
 */
int baton_child_answer(struct baton_child *child, const struct baton_caller *to, int status, const void *data, size_t bytes);

/**
 * baton_arena_save() - these bytes of the arena are about to be changed by the message in hand
 *
 * With BATON_MESSAGES_ONCE: they are put back when the message fails or its process dies. Elsewhere, and outside on_message(), it does nothing and succeeds, so
 * that code can be shared. Blocks allocated in the same message need no save; alloc, free and set_root save what they change.
 *
 * Errors:    -ENOSPC the message changes more than `mailbox.undo` allows: return it, and all is undone; -EINVAL not in the arena.
 * Since:     0.1
 */
int baton_arena_save(struct baton_child *child, const void *at, size_t bytes);

#pragma GCC visibility pop

#ifdef __cplusplus
}
#endif
