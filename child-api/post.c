/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Messages: taken from the mailbox, handed to on_message(), done by one store, answered.
 *
 *      take ──► begin ──► on_message() ──► [failed: undo] ──► answer into the box ──► COMMIT ──► end ──► slot freed ──► answer pushed
 *
 * Only the holder is here, and only while it holds: between PASSED and its confirmation, and in a process that released the baton, nobody reads. The order
 * of the steps is that of docs/messages.md; each may be the last thing that this process does.
 *
 * The pollable descriptor of a child with a mailbox is an epoll descriptor with two bells in it. Ours is in it only while we hold, for a successor's
 * messages ring it, too.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/fd.h"
#include "child-api/child.h"
#include "child-api/post.h"

#define MESSAGES_A_TURN 64
#define MESSAGES_A_TURN_LEAVING 4 /* an heir is being waited for */
#define SPIN_NS_MAX BT_NS_PER_MS

typedef int (*message_fn)(struct baton_child *child, const struct baton_message *message, void *ctx);

/* NULL: the program takes no messages, or is older than they are. They wait for one that does. */
static message_fn handler(const struct baton_child *child)
{
        bool has = child->ops->size >= offsetof(struct baton_child_ops, on_message) + sizeof(child->ops->on_message);

        return has ? child->ops->on_message : NULL;
}

/* ---- attach, detach ---- */

static void count(_Atomic uint64_t *counter)
{
        atomic_store_explicit(counter, atomic_load_explicit(counter, memory_order_relaxed) + 1, memory_order_relaxed);
}

static void post_free(struct bt_post *post)
{
        bt_seg_detach(&post->seg);
        bt_seg_detach(&post->desk_seg);
        (void)bt_close(post->fd);
        (void)bt_close(post->desk_fd);
        (void)bt_close(post->bell);
        (void)bt_close(post->epoll);
        free(post->payload);
        free(post);
}

static int hold_own_bell(const struct bt_post *post, int bell)
{
        struct epoll_event event = {.events = EPOLLIN, .data.fd = bell};

        return epoll_ctl(post->epoll, EPOLL_CTL_ADD, bell, &event) < 0 ? -errno : 0;
}

static int post_open(struct bt_post *post, const struct baton_child *child)
{
        int r = bt_mailbox_attach(&post->seg, &post->view, post->fd);

        if (!r)
                r = bt_desk_attach(&post->desk_seg, post->desk_fd);
        if (r)
                return r < 0 ? r : -BATON_E_LAYOUT;
        post->desk = post->desk_seg.at;
        post->payload = calloc(1, post->view.slot_bytes); /* at least the payload, in whole words */
        post->epoll = epoll_create1(EPOLL_CLOEXEC);
        if (!post->payload || post->epoll < 0)
                return post->payload ? -errno : -ENOMEM;
        return hold_own_bell(post, child->bell);
}

/* 0, or -EBADF when a descriptor the hub promised is not open. */
static int take_fds(struct bt_post *post, const int32_t *fds)
{
        for (int i = 0; i < _BT_LINK_MAIL_N; i++) {
                if (fcntl(fds[i], F_SETFD, FD_CLOEXEC) < 0)
                        return -EBADF;
        }
        post->fd = fds[BT_LINK_MAIL_BOX];
        post->desk_fd = fds[BT_LINK_MAIL_DESK];
        post->bell = fds[BT_LINK_MAIL_BELL];
        return 0;
}

int bt_post_attach(struct baton_child *child)
{
        const int32_t *fds = child->link->mail_fds;
        struct bt_post *post;
        int r;

        if (fds[BT_LINK_MAIL_BOX] <= 0)
                return 0;
        post = calloc(1, sizeof(*post));
        if (!post)
                return -ENOMEM;
        post->fd = post->desk_fd = post->bell = post->epoll = -1;
        post->owner = child->link->owner;
        r = take_fds(post, fds);
        if (!r)
                r = post_open(post, child);
        if (r) {
                post_free(post);
                return r;
        }
        post->spin_ns = bt_child_if_parallel(post->view.spin_ns < SPIN_NS_MAX ? post->view.spin_ns : SPIN_NS_MAX);
        post->once = handler(child) && (child->ops->message_flags & BATON_MESSAGES_ONCE);
        child->post = post;
        child->pollable = post->epoll;
        return 0;
}

void bt_post_detach(struct baton_child *child)
{
        if (!child->post)
                return;
        while (child->post->peer_count)
                bt_post_part(child, child->post->peers[0].number);
        post_free(child->post);
        child->post = NULL;
        child->pollable = child->bell;
}

int bt_post_refusal(const struct baton_child *child)
{
        if (!child->post || !child->post->once || (child->arena && child->post->desk->undo_bytes))
                return 0;
        (void)snprintf(child->link->text, sizeof(child->link->text),
                       "the program wants messages exactly once, which needs state: arena and mailbox.undo of more than 0");
        return -EOPNOTSUPP;
}

/* ---- coming and going ---- */

int bt_post_recover(struct baton_child *child)
{
        if (!child->post)
                return 0;
        return bt_desk_recover(child->post->desk, child->baton, child->arena, child->baton->state_bytes_max) ? -BATON_E_TORN : 0;
}

static void ring_self(const struct baton_child *child)
{
        const uint64_t one = 1;

        (void)!write(child->bell, &one, sizeof(one));
}

void bt_post_begin(struct baton_child *child)
{
        struct bt_post *post = child->post;

        if (!post || post->open || !handler(child))
                return;
        bt_source_resume(post);
        bt_post_push_answer(child); /* what a dead one had promised and perhaps not given */
        post->open = bt_source_hold(post, EPOLL_CTL_ADD) == 0;
        post->slept = true; /* perhaps its bell rings already */
        ring_self(child);   /* messages may have waited for us */
}

void bt_post_end(struct baton_child *child)
{
        struct bt_post *post = child->post;

        if (!post || !post->open)
                return;
        (void)bt_source_hold(post, EPOLL_CTL_DEL);
        if (post->view.shared)
                bt_source_awake(post); /* nobody rings for us any more */
        post->open = false;
}

/* ---- one message ---- */

/* What is said about it outside its payload is the client's word: checked here. 0, or -EFAULT. */
static int describe(struct baton_child *child, const struct bt_taken *taken, struct baton_message *ret_message)
{
        const struct bt_letter *letter = &taken->letter;
        struct bt_peer *peer;

        *ret_message = (struct baton_message){.data = child->post->payload, .bytes = letter->bytes, .tag = letter->tag, .deadline_ns = letter->deadline_ns,
                                              .wants_answer = (letter->flags & BT_LETTER_CALL) != 0,
                                              .from = {.call = letter->call, .client = taken->owner}};
        if (!letter->ref_bytes)
                return 0;
        peer = bt_post_find(child, taken->owner);
        if (!peer || letter->ref_off > peer->view.region_bytes || letter->ref_bytes > peer->view.region_bytes - letter->ref_off)
                return -EFAULT;
        ret_message->shared = (char *)peer->seg.at + peer->view.region_off + letter->ref_off;
        ret_message->shared_bytes = letter->ref_bytes;
        return 0;
}

/* Runs the program's handler, or finds that it need not be. */
static int run(struct baton_child *child, const struct baton_message *message)
{
        struct bt_post *post = child->post;
        int r;

        if (message->deadline_ns && bt_now_ns() >= message->deadline_ns) {
                count(&post->desk->expired);
                return -ETIMEDOUT;
        }
        post->answered = post->deferred = false;
        post->message = message;
        post->handling = true;
        r = post->once ? bt_once_begin(child) : 0;
        if (!r)
                r = handler(child)(child, message, child->ctx);
        post->handling = false;
        post->message = NULL;
        if (post->part_due)
                bt_post_part(child, message->from.client);
        post->part_due = false;
        if (r >= 0 && post->once && post->spoiled)
                r = -ENOSPC;
        if (r < 0)
                count(&post->desk->failed);
        return r < 0 ? r : 0;
}

/* The answer that a handler did not give itself. */
static void answer_for(struct baton_child *child, const struct baton_message *message, int result)
{
        struct bt_letter letter = {.call = message->from.call, .flags = BT_LETTER_ANSWER, .status = result};

        if (!message->wants_answer || (!result && child->post->deferred))
                bt_desk_no_answer(child->post->desk);
        else if (result || !child->post->answered)
                (void)bt_desk_put_answer(child->post->desk, message->from.client, &letter, NULL);
}

/* It was begun before, and whoever had it died: that is counted, and has an end. 0, or -BATON_E_SET_ASIDE. */
static int again(struct bt_desk *desk, uint32_t deliveries)
{
        uint32_t max = desk->deliveries_max;

        if (deliveries > 1)
                count(&desk->redelivered);
        if (!max || deliveries <= max)
                return 0;
        count(&desk->set_aside);
        return -BATON_E_SET_ASIDE;
}

/* How often it was begun, by this member and by others; 255: more. */
static uint32_t begin(struct baton_child *child, uint64_t pos, const struct bt_taken *taken)
{
        uint32_t here = bt_desk_begin(child->post->desk, pos, child->post->once ? child->baton : NULL);

        return here + taken->before < BT_LETTER_BEFORE_MAX ? here + taken->before : BT_LETTER_BEFORE_MAX;
}

static void handle(struct baton_child *child, const struct bt_taken *taken)
{
        struct bt_post *post = child->post;
        struct bt_desk *desk = post->desk;
        uint64_t pos = atomic_load_explicit(&desk->cursor, memory_order_relaxed);
        struct baton_message message;
        int r = describe(child, taken, &message);

        message.deliveries = begin(child, pos, taken);
        if (!r)
                r = again(desk, message.deliveries);
        if (post->once)
                baton_arena_begin(child);
        BT_POINT("message.begin");
        if (!r)
                r = run(child, &message);
        BT_POINT("message.handled");
        if (r && post->once)
                bt_assert(!bt_desk_undo(desk, child->arena, child->baton->state_bytes_max));
        answer_for(child, &message, r);
        bt_desk_commit(desk);
        /* Done, whoever dies from here on. */
        BT_POINT("message.committed");
        if (post->once) {
                bt_assert(child->bracket_depth == 1); /* the handler's own brackets are closed */
                baton_arena_end(child);
        }
        bt_desk_end(desk);
        BT_POINT("message.closed");
        bt_source_done(post, pos);
        count(&desk->handled);
        BT_POINT("message.freed");
        bt_post_push_answer(child);
        bt_source_tell_room(post);
        BT_POINT("message.done");
}

/* The next message. False: there is none now. */
static bool serve_one(struct baton_child *child)
{
        struct bt_taken taken;

        switch (bt_source_take(child->post, &taken)) {
        case 0:
                /* In a hand-over the channel is not read: who has to be looked up there is left to the next turn, or to the successor. */
                if (child->stage == BT_CHILD_LEAVING && !bt_post_find(child, taken.owner))
                        return false;
                BT_POINT("message.taken");
                handle(child, &taken);
                return true;
        case BT_MAILBOX_E_HOLE:
        case BT_MAILBOX_E_BROKEN:
                return true;
        default:
                return false;
        }
}

static uint32_t hub_said(const struct baton_child *child)
{
        return atomic_load_explicit(&child->link->to_child.head, memory_order_relaxed);
}

/* True when there is a message after a moment of watching for one. The hub is watched, too. */
static bool watch(struct bt_post *post, struct baton_child *child)
{
        return bt_source_watch(post, &child->link->to_child.head, child->inbox.cursor);
}

/* The baton is about to be passed: a few, and no watching; dispatch() is called again at once. Of a shared queue none: others can have them. */
static void serve_leaving(struct baton_child *child)
{
        if (child->post->view.shared)
                return;
        for (uint32_t i = 0; i < MESSAGES_A_TURN_LEAVING && serve_one(child); i++)
                ;
}

static void serve(struct baton_child *child)
{
        struct bt_post *post = child->post;

        for (uint32_t i = 0; child->stage == BT_CHILD_HOLDING; i++) {
                if (i == MESSAGES_A_TURN || hub_said(child) != child->inbox.cursor) {
                        ring_self(child); /* more may be there; the hub, which rang, is heard first */
                        return;
                }
                if (bt_source_told(post) && serve_one(child))
                        continue;
                if ((watch(post, child) && serve_one(child)) || hub_said(child) != child->inbox.cursor)
                        continue;
                if (bt_source_sleep(post)) {
                        post->slept = true;
                        return;
                }
        }
}

void bt_post_serve(struct baton_child *child)
{
        struct bt_post *post = child->post;
        uint64_t rung;

        if (!post || !post->open)
                return;
        if (post->slept)
                (void)!read(post->bell, &rung, sizeof(rung));
        post->slept = false;
        bt_source_awake(post);
        if (child->stage == BT_CHILD_LEAVING)
                serve_leaving(child);
        else
                serve(child);
}

/* ---- what a handler calls ---- */

static int in_hand(const struct baton_child *child, const struct baton_message *message)
{
        if (bt_child_forked())
                return -BATON_E_FORKED;
        return child->post && child->post->message == message && message->wants_answer ? 0 : -BATON_E_PROTOCOL;
}

int baton_message_reply(struct baton_child *child, const struct baton_message *message, const void *data, size_t bytes)
{
        struct bt_letter letter = {.flags = BT_LETTER_ANSWER, .bytes = (uint32_t)bytes};
        const struct bt_peer *peer;
        int r = in_hand(child, message);

        if (r)
                return r;
        peer = bt_post_find(child, message->from.client);
        if (bytes > BT_MAILBOX_BYTES_MAX || (peer && bytes > peer->view.payload_bytes))
                return -BATON_E_TOO_BIG;
        letter.call = message->from.call;
        child->post->answered = true;
        child->post->deferred = false;
        return bt_desk_put_answer(child->post->desk, message->from.client, &letter, data);
}

int baton_message_defer(struct baton_child *child, const struct baton_message *message)
{
        int r = in_hand(child, message);

        if (!r)
                child->post->deferred = true;
        return r;
}
