/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * A child with a mailbox, its hub and a client, all in one process: the segments are made here as the hub makes them, the handle is a real one, and the
 * test plays both others.
 *
 *      stand_open(&stand, &shape, &ops, ctx);
 *      stand_call(&stand, 17, "text", 5);
 *      baton_child_dispatch(stand.child);
 *      stand_answer(&stand, &letter, room);
 *      stand_close(&stand);
 */

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

#include <baton/child.h>
#include <baton/messages.h>

#include "base/scm.h"
#include "child-api/child.h"
#include "child-api/post.h"
#include "shm/baton.h"
#include "shm/desk.h"
#include "shm/link.h"
#include "shm/mailbox.h"

#define STAND_CLIENT 7u
#define STAND_OWNER 1000u /* of the first incarnation's answers; one more for each */

struct stand_shape {
        enum baton_state_form form;
        uint32_t slots;
        uint32_t bytes;
        uint32_t undo_bytes;
};

struct stand {
        struct baton_child *child;
        uint64_t incarnation;
        struct bt_seg baton_seg, box_seg, desk_seg, link_seg, client_seg;
        int baton_fd, box_fd, desk_fd, link_fd, client_fd;
        int box_bell, client_bell, channel;
        struct bt_baton *baton;
        struct bt_desk *desk;
        struct bt_link *link;
        struct bt_mailbox_view box;
        struct bt_mailbox_view client;
        uint64_t client_cursor;
};

/* Words of the stand itself: what fails here is not what is tested. */
#define stand_must(x)                                                                              \
        do {                                                                                       \
                if (!(x))                                                                          \
                        abort();                                                                   \
        } while (0)

/* A process of the child starts: a link of its own, the child's segments. The baton is granted at once. */
static inline int stand_start(struct stand *s, const struct baton_child_ops *ops, void *ctx, enum baton_reason reason)
{
        struct baton_child_place place = {.size = sizeof(place)};
        int ends[2];
        int r;

        s->incarnation++;
        stand_must(!bt_link_create(&s->link_seg, &s->link_fd, s->incarnation, (uint32_t)reason));
        s->link = s->link_seg.at;
        stand_must(!bt_scm_pair(ends));
        s->channel = ends[0];
        s->link->fds[BT_LINK_FD_BELL] = eventfd(0, EFD_NONBLOCK);
        s->link->fds[BT_LINK_FD_HUB_BELL] = eventfd(0, EFD_NONBLOCK);
        s->link->fds[BT_LINK_FD_CHANNEL] = ends[1];
        s->link->fds[BT_LINK_FD_BATON] = fcntl(s->baton_fd, F_DUPFD_CLOEXEC, 0);
        s->link->mail_fds[BT_LINK_MAIL_BOX] = fcntl(s->box_fd, F_DUPFD_CLOEXEC, 0);
        s->link->mail_fds[BT_LINK_MAIL_DESK] = fcntl(s->desk_fd, F_DUPFD_CLOEXEC, 0);
        s->link->mail_fds[BT_LINK_MAIL_BELL] = fcntl(s->box_bell, F_DUPFD_CLOEXEC, 0);
        s->link->owner = STAND_OWNER + (uint32_t)s->incarnation;
        place.link_fd = s->link_fd;
        stand_must(!bt_baton_grant(s->baton, s->incarnation));
        r = baton_child_open_at(&s->child, ops, ctx, &place);
        return r ? r : baton_child_ready(s->child);
}

static inline void stand_introduce(struct stand *s)
{
        const struct bt_chan msg = {.type = BT_CHAN_CLIENT, .token = STAND_CLIENT};
        const int fds[2] = {s->client_fd, s->client_bell};

        stand_must(!bt_scm_send(s->channel, &msg, sizeof(msg), fds, 2));
}

/* The process ends, or is taken for dead. Its arena has to go, for the next one has it at the same address. */
static inline void stand_end(struct stand *s)
{
        void *arena = s->child->arena;

        s->child = baton_child_close(s->child);
        s->channel = (close(s->channel), -1);
        if (arena)
                (void)munmap(arena, s->baton->state_bytes_max);
        bt_seg_detach(&s->link_seg); /* the handle keeps its own mapping: the C library's robust list points into it */
}

/* It dies where it is: nothing of it is run any more. The next one is started. */
static inline int stand_restart(struct stand *s, const struct baton_child_ops *ops, void *ctx)
{
        int r;

        stand_end(s);
        stand_must(!bt_baton_reclaim(s->baton, s->incarnation));
        r = stand_start(s, ops, ctx, BATON_REASON_CRASH);
        stand_introduce(s);
        return r;
}

static inline int stand_open(struct stand *s, const struct stand_shape *shape, const struct baton_child_ops *ops, void *ctx)
{
        const struct bt_mailbox_shape box = {.slot_count = shape->slots, .payload_bytes = shape->bytes};
        const struct bt_mailbox_shape client = {.slot_count = 8, .payload_bytes = 64, .region_bytes = 8192};
        int r;

        memset(s, 0, sizeof(*s));
        stand_must(!bt_baton_create(&s->baton_seg, &s->baton_fd, "web/0", (uint32_t)shape->form, shape->form ? 1 << 20 : 0));
        stand_must(!bt_mailbox_create(&s->box_seg, &s->box_fd, "web/0", &box));
        stand_must(!bt_desk_create(&s->desk_seg, &s->desk_fd, BT_MAILBOX_BYTES_MAX, shape->undo_bytes));
        stand_must(!bt_mailbox_create(&s->client_seg, &s->client_fd, "client", &client));
        stand_must(bt_mailbox_look(&s->box, &s->box_seg) && bt_mailbox_look(&s->client, &s->client_seg));
        s->baton = s->baton_seg.at;
        s->desk = s->desk_seg.at;
        s->box_bell = eventfd(0, EFD_NONBLOCK);
        s->client_bell = eventfd(0, EFD_NONBLOCK);
        r = stand_start(s, ops, ctx, BATON_REASON_FRESH);
        stand_introduce(s);
        return r;
}

static inline void stand_close(struct stand *s)
{
        if (s->child)
                stand_end(s);
        bt_seg_detach(&s->baton_seg);
        bt_seg_detach(&s->box_seg);
        bt_seg_detach(&s->desk_seg);
        bt_seg_detach(&s->client_seg);
        (void)close(s->baton_fd);
        (void)close(s->box_fd);
        (void)close(s->desk_fd);
        (void)close(s->client_fd);
        (void)close(s->box_bell);
        (void)close(s->client_bell);
}

/* What a client does. */
static inline int stand_send(struct stand *s, const struct bt_letter *letter, const void *payload)
{
        const uint64_t one = 1;
        int r = bt_mailbox_push(&s->box, STAND_CLIENT, letter, payload, NULL);

        if (!r && bt_mailbox_must_ring(&s->box))
                (void)!write(s->box_bell, &one, sizeof(one));
        return r;
}

static inline int stand_call(struct stand *s, uint64_t call, const void *payload, size_t bytes)
{
        const struct bt_letter letter = {.call = call, .flags = BT_LETTER_CALL, .bytes = (uint32_t)bytes};

        return stand_send(s, &letter, payload);
}

/* The next answer, 0; or EMPTY. @ret_payload: 64 bytes. */
static inline int stand_answer(struct stand *s, struct bt_letter *ret_letter, void *ret_payload)
{
        struct bt_taken taken;
        uint64_t room[8];
        int r = bt_mailbox_take(&s->client, s->client_cursor, &taken, room);

        if (r)
                return r;
        *ret_letter = taken.letter;
        memcpy(ret_payload, room, sizeof(room));
        bt_mailbox_free(&s->client, s->client_cursor++);
        return 0;
}
