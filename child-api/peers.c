/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The clients of a child: their segments come over the channel, answers go into them. A client's segment is a mailbox whose consumer is the client; here it
 * is written by us and by other children, and it may be full of lies, like any.
 *
 * The hub sends a client before that client is given the mailbox: a message of one that we do not know means that we have to read the channel.
 */
#include <errno.h>
#include <unistd.h>

#include "base/check.h"
#include "base/fd.h"
#include "child-api/child.h"
#include "child-api/post.h"

static struct bt_peer *peer_known(struct bt_post *post, uint32_t number)
{
        if (post->peer_last < post->peer_count && post->peers[post->peer_last].number == number)
                return &post->peers[post->peer_last];
        for (uint32_t i = 0; i < post->peer_count; i++) {
                if (post->peers[i].number == number) {
                        post->peer_last = i;
                        return &post->peers[i];
                }
        }
        return NULL;
}

void bt_post_meet(struct baton_child *child, uint32_t number, const int fds[2])
{
        struct bt_post *post = child->post;
        struct bt_peer peer = {.number = number, .bell = fds[1]};
        int r = -ENOSPC;

        if (post && post->peer_count < BT_MAIL_CLIENTS_MAX && !peer_known(post, number))
                r = bt_mailbox_attach(&peer.seg, &peer.view, fds[0]);
        (void)bt_close(fds[0]); /* mapped, or not wanted */
        if (r)
                (void)bt_close(fds[1]);
        else
                post->peers[post->peer_count++] = peer;
}

void bt_post_part(struct baton_child *child, uint32_t number)
{
        struct bt_post *post = child->post;
        struct bt_peer *peer = post ? peer_known(post, number) : NULL;

        if (!peer)
                return;
        if (post->message && post->message->from.client == number) {
                post->part_due = true; /* a handler that keeps a descriptor, say, has read the channel: not under its feet */
                return;
        }
        bt_seg_detach(&peer->seg);
        (void)bt_close(peer->bell);
        *peer = post->peers[--post->peer_count];
}

struct bt_peer *bt_post_find(struct baton_child *child, uint32_t number)
{
        struct bt_peer *peer = peer_known(child->post, number);

        /* Not while a hand-over is under way: what else lies in the channel then is for on_handover() to find. */
        if (!peer && child->stage == BT_CHILD_HOLDING) {
                bt_child_read_channel(child);
                peer = peer_known(child->post, number);
        }
        return peer;
}

/* 0, -BATON_E_GONE, -BATON_E_TOO_BIG or -EAGAIN. */
static int push(struct baton_child *child, uint32_t client, const struct bt_letter *letter, const void *payload)
{
        struct bt_peer *peer = bt_post_find(child, client);
        const uint64_t one = 1;
        int r;

        if (!peer)
                return -BATON_E_GONE;
        r = bt_mailbox_push(&peer->view, child->post->owner, letter, payload, NULL);
        if (r)
                return r == -EMSGSIZE ? -BATON_E_TOO_BIG : r == BT_MAILBOX_E_CLOSED ? -BATON_E_GONE : -EAGAIN;
        if (bt_mailbox_must_ring(&peer->view))
                (void)!write(peer->bell, &one, sizeof(one));
        return 0;
}

static void count_unanswered(struct bt_desk *desk)
{
        atomic_fetch_add_explicit(&desk->unanswered, 1, memory_order_relaxed);
}

void bt_post_push_answer(struct baton_child *child)
{
        struct bt_desk *desk = child->post->desk;
        const void *payload = bt_desk_answer(desk);

        if (payload && push(child, desk->answer_client, &desk->answer_letter, payload))
                count_unanswered(desk);
        BT_POINT("message.pushed");
        bt_desk_no_answer(desk);
}

int baton_child_answer(struct baton_child *child, const struct baton_caller *to, int status, const void *data, size_t bytes)
{
        struct bt_letter letter = {.call = to->call, .flags = BT_LETTER_ANSWER, .status = status < 0 ? status : 0, .bytes = (uint32_t)bytes};
        int r;

        if (bt_child_forked())
                return -BATON_E_FORKED;
        if (!child->post)
                return -ENOTCONN;
        if (bytes > BT_MAILBOX_BYTES_MAX)
                return -BATON_E_TOO_BIG;
        r = push(child, to->client, &letter, data);
        if (r == -BATON_E_GONE || r == -EAGAIN)
                count_unanswered(child->post->desk);
        return r;
}
