/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * The mailbox from inside the child, for the files of this folder. post.c takes messages and hands them to the program, source.c is where they come from (a mailbox
 * of its own, or one that the pool shares), peers.c knows the clients and pushes answers, once.c keeps the undo log while a message is in hand.
 */

#include <stdbool.h>
#include <stdint.h>

#include <baton/messages.h>

#include "shm/arena.h"
#include "shm/desk.h"
#include "shm/link.h"
#include "shm/mailbox.h"
#include "shm/share.h"

/* A client: where answers to it go. */
struct bt_peer {
        uint32_t number;
        int bell;
        struct bt_seg seg;
        struct bt_mailbox_view view;
};

struct bt_post {
        struct bt_seg seg;
        struct bt_seg desk_seg;
        struct bt_mailbox_view view;
        struct bt_desk *desk;
        int fd;
        int desk_fd;
        int bell;
        int epoll;       /* the child's pollable descriptor: holds its bell, and ours while we serve */
        uint32_t owner;  /* in reply rings */
        uint64_t spin_ns;
        bool open;       /* the bell is in @epoll */
        bool slept;      /* producers were told to ring */
        bool once;       /* BATON_MESSAGES_ONCE */
        bool handling;   /* inside on_message() */
        bool answered;   /* the message in hand: a reply is in the box, */
        bool deferred;   /* or will come later */
        bool freed;      /* it freed a block of the arena: what is allocated next may be that one */
        bool spoiled;    /* the log was full where that could not be returned */
        bool part_due;   /* its client has gone, whose memory the handler may be reading */
        const struct baton_message *message;
        void *payload;   /* the copy */
        struct bt_peer peers[BT_MAIL_CLIENTS_MAX];
        uint32_t peer_count;
        uint32_t peer_last;
};

/* post.c */
int bt_post_attach(struct baton_child *child);   /* child->post stays NULL when there is no mailbox */
void bt_post_detach(struct baton_child *child);
int bt_post_refusal(const struct baton_child *child); /* what the program asks for can be had: 0, or -errno with the reason in the link */
int bt_post_recover(struct baton_child *child);  /* nobody else holds: what a dead one had in hand */
void bt_post_begin(struct baton_child *child);   /* this process serves from here on */
void bt_post_end(struct baton_child *child);     /* it does not */
void bt_post_serve(struct baton_child *child);   /* some messages */

/* source.c */
int bt_source_take(struct bt_post *post, struct bt_taken *ret_taken); /* into post->payload; as bt_mailbox_take(), also HOLE and BROKEN are dealt with */
void bt_source_done(struct bt_post *post, uint64_t pos);              /* the message in hand is committed: its slot is free */
void bt_source_tell_room(struct bt_post *post); /* after it, when nobody waits for us: who waits for room */
bool bt_source_told(const struct bt_post *post); /* there is probably something to take */
bool bt_source_watch(struct bt_post *post, const _Atomic uint32_t *called, uint32_t called_seen);
bool bt_source_sleep(struct bt_post *post); /* false: there is something, do not sleep */
void bt_source_awake(struct bt_post *post);
void bt_source_resume(struct bt_post *post); /* this process takes from here on */
int bt_source_hold(const struct bt_post *post, int op); /* its bell, in the pollable descriptor */

/* peers.c */
void bt_post_meet(struct baton_child *child, uint32_t number, const int fds[2]); /* takes both */
void bt_post_part(struct baton_child *child, uint32_t number);
struct bt_peer *bt_post_find(struct baton_child *child, uint32_t number);
void bt_post_push_answer(struct baton_child *child); /* the one in the box, if it is due */

/* once.c */
int bt_once_begin(struct baton_child *child);
int bt_once_alloc(struct baton_child *child, size_t bytes); /* before the arena changes; 0, or -ENOSPC: it must not */
int bt_once_free(struct baton_child *child, const void *ptr);
