/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * What tests/crash/test_message_steps.c and the process that it kills agree on: a child with an arena, its mailbox and desk, and a client, in one memory without
 * descriptors. Pointers differ between the two, so the arena's data uses offsets.
 */

#include <stdlib.h>
#include <string.h>

#include <baton/child.h>
#include <baton/messages.h>

#include "child-api/child.h"
#include "child-api/post.h"

#define STEPS_SLOTS 4u
#define STEPS_SLOT_BYTES 128u /* 64 of payload */
#define STEPS_VICTIM 5u       /* the producer that dies */
#define STEPS_OTHER 6u        /* one that does not */
#define STEPS_CLIENT 7u
#define STEPS_PROCESS 1000u   /* the child's process */
#define STEPS_ADD 5u          /* what the message adds */
#define STEPS_SUM 10u         /* to that */

struct message_box {
        struct bt_mailbox head;
        char slots[STEPS_SLOTS * STEPS_SLOT_BYTES];
        char pad[BT_PAGE_BYTES - STEPS_SLOTS * STEPS_SLOT_BYTES];
};

struct message_steps {
        struct bt_link link __attribute__((aligned(4096)));
        struct bt_baton baton;
        struct bt_desk desk;
        char answer_box[BT_PAGE_BYTES];
        char undo[BT_PAGE_BYTES];
        struct message_box box;
        struct message_box client;
        struct bt_desk other_desk; /* of another member, when the mailbox is shared */
        union {
                struct bt_arena arena;
                char arena_room[BT_ARENA_BYTES_MIN];
        };
};

struct message_data {
        uint64_t sum;
        uint64_t block; /* offset of its payload in the arena */
        char text[16];
};

/* A process' side of it. */
struct message_side {
        struct baton_child child;
        struct bt_post post;
        uint64_t payload[16];
};

static inline void message_box_init(struct message_box *box)
{
        box->head.slot_count = STEPS_SLOTS;
        box->head.slot_bytes = STEPS_SLOT_BYTES;
        box->head.payload_bytes = STEPS_SLOT_BYTES - 64;
}

static inline struct bt_mailbox_view message_box_view(struct message_box *box)
{
        struct bt_seg seg = {.at = &box->head, .bytes = sizeof(*box)};
        struct bt_mailbox_view view = {.mb = NULL};

        if (!bt_mailbox_look(&view, &seg))
                abort();
        return view;
}

/* Changes everything that can be changed: data, a block that is freed, one that is allocated in its place. */
static inline int message_handler(struct baton_child *child, const struct baton_message *message, void *ctx)
{
        struct message_data *data = baton_arena_root(child);
        char *block;
        int r = baton_arena_save(child, data, sizeof(*data));

        (void)ctx;
        if (r)
                return r;
        data->sum += *(const uint64_t *)message->data;
        baton_arena_free(child, (char *)child->arena + data->block);
        block = baton_arena_alloc(child, 40);
        for (int i = 0; i < 40; i++)
                block[i] = 'n';
        data->block = (uint64_t)(block - (char *)child->arena);
        data->text[0] = 'n';
        return baton_message_reply(child, message, &data->sum, sizeof(data->sum));
}

static const struct baton_child_ops message_ops = {
        .size = sizeof(message_ops), .on_message = message_handler, .message_flags = BATON_MESSAGES_ONCE};

/* A holder, put together by hand: no descriptors, so nothing is rung. */
static inline void message_side_init(struct message_side *side, struct message_steps *s)
{
        memset(side, 0, sizeof(*side));
        side->child = (struct baton_child){.ops = &message_ops, .stage = BT_CHILD_HOLDING, .link = &s->link, .baton = &s->baton, .arena = &s->arena,
                                           .post = &side->post, .bell = -1, .channel = -1};
        side->post = (struct bt_post){.desk = &s->desk, .bell = -1, .epoll = -1, .owner = STEPS_PROCESS, .open = true, .once = true, .payload = side->payload,
                                      .peer_count = 1};
        side->post.view = message_box_view(&s->box);
        side->post.peers[0] = (struct bt_peer){.number = STEPS_CLIENT, .bell = -1, .view = message_box_view(&s->client)};
}

/* What a new holder does before it serves: see bt_child_restore() and bt_post_begin(). */
static inline void message_take_up(struct message_side *side)
{
        if (bt_post_recover(&side->child))
                abort();
        bt_source_resume(&side->post);
        bt_post_push_answer(&side->child);
}
