/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where messages come from: the child's own mailbox, of which it is the one consumer, or the one that the members of its pool share. Above this file the two are
 * alike: the cursor of the desk moves by one for each message that this child has done.
 */
#include <errno.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "child-api/child.h"
#include "child-api/post.h"

static uint64_t cursor_of(const struct bt_post *post)
{
        return atomic_load_explicit(&post->desk->cursor, memory_order_relaxed);
}

static void count(_Atomic uint64_t *counter)
{
        atomic_store_explicit(counter, atomic_load_explicit(counter, memory_order_relaxed) + 1,
                              memory_order_relaxed);
}

static void ring(const struct bt_post *post)
{
        const uint64_t one = 1;

        (void)!write(post->bell, &one, sizeof(one));
}

static int take_shared(struct bt_post *post, struct bt_taken *ret_taken)
{
        int r = bt_share_take(&post->view, post->desk, post->owner, ret_taken, post->payload);

        /* What we have may take long: whoever sleeps is to have the next one. */
        if (r != BT_MAILBOX_E_EMPTY && r != BT_MAILBOX_E_BUSY && bt_share_more(&post->view))
                ring(post);
        return r;
}

int bt_source_take(struct bt_post *post, struct bt_taken *ret_taken)
{
        uint64_t pos = cursor_of(post);
        int r = post->view.shared ? take_shared(post, ret_taken)
                                  : bt_mailbox_take(&post->view, pos, ret_taken, post->payload);

        if (r != BT_MAILBOX_E_HOLE && r != BT_MAILBOX_E_BROKEN)
                return r;
        count(r == BT_MAILBOX_E_HOLE ? &post->desk->holes : &post->desk->broken);
        if (!post->view.shared) {
                bt_desk_skip(post->desk);
                bt_mailbox_free(&post->view, pos);
        }
        return r;
}

void bt_source_done(struct bt_post *post, uint64_t pos)
{
        if (post->view.shared)
                bt_share_done(&post->view, post->desk);
        else
                bt_mailbox_give_back(&post->view, pos);
}

void bt_source_tell_room(struct bt_post *post)
{
        if (!post->view.shared) /* there it is done */
                bt_mailbox_freed(&post->view);
}

bool bt_source_told(const struct bt_post *post)
{
        return post->view.shared || bt_mailbox_told(&post->view, cursor_of(post));
}

bool bt_source_watch(struct bt_post *post, const _Atomic uint32_t *called, uint32_t called_seen)
{
        if (post->view.shared)
                return bt_share_spin(&post->view, post->spin_ns, called, called_seen);
        return bt_mailbox_spin(&post->view, cursor_of(post), post->spin_ns, called, called_seen);
}

bool bt_source_sleep(struct bt_post *post)
{
        return post->view.shared ? bt_share_sleep(&post->view, post->desk)
                                 : bt_mailbox_sleep(&post->view, cursor_of(post));
}

void bt_source_awake(struct bt_post *post)
{
        if (post->view.shared)
                bt_share_awake(&post->view, post->desk);
        else
                bt_mailbox_awake(&post->view);
}

void bt_source_resume(struct bt_post *post)
{
        if (!post->view.shared)
                bt_mailbox_resume(&post->view, cursor_of(post));
        else if (bt_share_settle(&post->view, post->desk))
                ring(post); /* we are not the only one who can have it */
}

int bt_source_hold(const struct bt_post *post, int op)
{
        struct epoll_event event = {.events = EPOLLIN, .data.fd = post->bell};

        /* Not EPOLLEXCLUSIVE: the one that is woken may be stopped, or busy elsewhere. All look, and the first has it. */
        return epoll_ctl(post->epoll, op, post->bell, &event) < 0 ? -errno : 0;
}
