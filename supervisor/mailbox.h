/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * A child's mailbox, the hub's side: it makes the segments, gives them to each process of the child, takes them up from the processes of a hub that was
 * killed, and repairs what a dead client left. It reads no message. docs/messages.md is the whole story.
 */

#include <stdbool.h>
#include <stdint.h>

#include "shm/desk.h"
#include "shm/mailbox.h"
#include "shm/share.h"
#include "supervisor/hub.h"

struct bt_mail {
        struct bt_seg seg;
        struct bt_mailbox_view view;
        struct bt_seg desk_seg;
        struct bt_desk *desk;
        int fd;
        int desk_fd;
        int bell;
        bool taken_up; /* of a hub or a process before, so that others may have it, too */
};

/* For a new child, by its specification; child->mail stays NULL without `mailbox`. 0 or -errno. */
int bt_mail_open(struct bt_child *child);
void bt_mail_close(
        struct bt_child *
                child); /* the gate first: clients find it closed. A shared one: with its last member */
void bt_mail_ring(const struct bt_mail *mail);

/* One that there was before, by enum bt_link_mail, in place of the new and empty one. Takes @fds. 0 or -errno. */
int bt_mail_take_up(struct bt_child *child, const int fds[_BT_LINK_MAIL_N]);
/* That of a process that is being adopted. 0, also when it has none. */
int bt_mail_adopt(struct bt_child *child, const struct bt_found *found);

/* What `status` shows of it. */
void bt_mail_describe(const struct bt_child *child, struct bt_slot *slot);

/* Whether its child takes work now, for clients that have a choice. */
void bt_mail_show(const struct bt_child *child);

/*
 * A client's segment and bell, to a process that has to answer it: before the client is given the child's mailbox, and before a process is started. Both are
 * borrowed. 0 or -errno; -EAGAIN: it has not read the last hundreds of them.
 */
int bt_mail_introduce(struct bt_inc *inc, uint32_t client, int seg_fd, int bell_fd);
void bt_mail_dismiss(struct bt_inc *inc, uint32_t client); /* it is gone */

/* ---- shared by a pool: share.c ---- */

bool bt_mail_shared(const struct bt_child *child);
/* One of each pool stands for all when clients are told of mailboxes; of one that is not shared each does. */
bool bt_mail_speaks(const struct bt_child *child);
bool bt_mail_last(const struct bt_child *child);        /* nobody else has its mailbox */
const char *bt_mail_name(const struct bt_child *child); /* the child's id, or its pool's name */
/* The segment and the bell of the pool, for a new member of it. 1: it is the first one. */
int bt_mail_join(struct bt_child *child, struct bt_mail *mail);
/* This one was taken up: the others, that are new, join it. 0, or -EPROTO: they have another one. */
int bt_mail_gather(struct bt_child *child);
/* When the word of @child is vacant: what its last process had done is answered; and of a shared one, what it had in hand is for the others. */
void bt_mail_return(struct bt_child *child);
/* After a hub was killed: the same for all, and for those whose desk died with it. */
void bt_mail_return_all(struct bt_hub *hub);

/* @owner is dead for certain. */
void bt_mail_repair(struct bt_child *child, uint32_t owner);

/* Its holder died inside a bracket, and not one that the desk can undo. */
bool bt_mail_torn(const struct bt_child *child, const struct bt_baton *baton);

/* At a stop, while nobody holds: the arena of a child that is down is made whole here. */
void bt_mail_settle(struct bt_child *child);
