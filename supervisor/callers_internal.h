/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* One caller, for callers.c (its life, and the children's) and callers_talk.c (its connection). */

#include <sys/types.h>

#include "base/list.h"
#include "shm/attach.h"
#include "shm/mailbox.h"
#include "shm/segment.h"
#include "supervisor/callers.h"
#include "supervisor/client_book.h"
#include "supervisor/loop/loop.h"

struct bt_caller_target {
        char name[64];
        bool owed;     /* there are members that it was not told */
        uint32_t told; /* of them, in the order of the children, so many were */
};

struct bt_caller {
        struct bt_list node;
        struct bt_hub *hub;
        struct bt_client_book_entry *entry; /* NULL: not let in yet */
        uint32_t number;
        int fd; /* -1: it was a client of the hub before this one, and has not come back yet */
        int pidfd;
        pid_t pid;
        bool everywhere; /* what it had opened with the hub before this one is not known: it counts as all */
        struct bt_loop_watch watch;
        struct bt_loop_watch exit_watch;
        int seg_fd;
        int bell;
        struct bt_seg seg;
        struct bt_mailbox_view ring;                            /* of its answers; mb NULL: none */
        struct bt_caller_target targets[BT_ATTACH_TARGETS_MAX]; /* by token - 1; name "": none */
};

struct bt_callers {
        struct bt_list list;
        uint32_t own; /* under which we answer; 0: we have not yet */
        struct bt_client_book book;
};

/* ---- callers.c ---- */

struct bt_caller *bt_caller_new(struct bt_hub *hub, pid_t pid); /* NULL: no memory */
int bt_caller_watch_process(struct bt_caller *caller);           /* for its end. 0 or -errno */
void bt_caller_free(struct bt_caller *caller);
/* It can write no more: its connection, which only it has, is closed, or its process has ended. What it had sent stays; what it was about to send is void. */
void bt_caller_bury(struct bt_caller *caller);
void bt_caller_ring(int bell);
/* To all processes of @child: also to those that drain, which may have answers to give. 0 or -errno. */
int bt_caller_introduce(const struct bt_caller *caller, const struct bt_child *child);
/* Claims of those that died while there was no hub. True when there were any. */
bool bt_callers_repair_strangers(struct bt_hub *hub, const struct bt_mailbox_view *view);

/* ---- callers_carry.c: over an exec of the hub (carry.h) ---- */

void bt_callers_carried(struct bt_hub *hub); /* those that are connected stay so. Nothing for a hub that carries nothing */

/* ---- callers_talk.c ---- */

void bt_caller_on_ready(struct bt_loop_watch *watch, uint32_t events);
/* Says why; the end of the connection follows. */
void bt_caller_turn_away(const struct bt_caller *caller, int error);
/* The members that it was not told yet. 0: all is told; -EAGAIN: more when there is room; another -errno. */
int bt_caller_tell(const struct bt_caller *caller, struct bt_caller_target *target, uint64_t token);
/* The mailbox @name is no more. A socket that is full: it sees the gate. */
void bt_caller_say_removed(const struct bt_caller *caller, const char *name);
