/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * The children of one request ("upgrade web"), migrated in the order of the plan, at most max_parallel of them at once.
 *
 *      waiting ──bt_migrate()──► under way ──► over          as one ends the next begins, and its deadlines with it
 *
 * So a request for 65536 children starts max_parallel processes and not 65536, and a child that waits for its turn serves and has no deadline that
 * runs. One that hangs takes one place until its own deadline, and nothing else (HOT-6, HOT-14). A request is carried on to its end also when
 * nobody waits for it any more. The limit is a request's: two requests at the same time migrate twice as many.
 */

#include <stdbool.h>
#include <stdint.h>

#include "supervisor/hub.h"

struct bt_request;

/* One child of it: as bt_waiter, and unlinked with it. */
struct bt_request_item {
        struct bt_waiter waiter;
        struct bt_request *request;
        struct bt_child *child; /* NULL: removed before its turn came */
};

struct bt_request_owner {
        /* @outcome: BT_CTL_OK and a phase under way; or how this child's part ended, when @over. */
        void (*event)(void *ctx, const struct bt_child *child, const char *phase, enum bt_ctl_outcome outcome, uint64_t incarnation,
                      bool over, const char *text);
        /* All of it is over; @request is freed after the call. */
        void (*over)(void *ctx, const struct bt_request *request);
};

struct bt_request {
        struct bt_list node; /* in bt_hub.requests */
        struct bt_hub *hub;
        const struct bt_request_owner *owner; /* NULL: nobody waits */
        void *ctx;
        struct bt_binary *binary; /* NULL: each child's own */
        uint32_t strategy;
        uint32_t limit;
        uint32_t count;
        uint32_t next;      /* first that has not begun */
        uint32_t under_way;
        bool pumping;       /* next ones are being begun, further up the stack */
        uint32_t ok, failed;
        enum bt_ctl_outcome outcome; /* the worst */
        char child[64];              /* the last that ended */
        char text[2048];             /* why the last that failed did */
        struct bt_request_item items[];
};

bool bt_request_matches(const struct bt_child *child, const char *target); /* its id, or its pool's name */

/* Begins. It may be over, and gone, before this returns. BT_CTL_OK; else nothing was begun and @ret_why says why. */
enum bt_ctl_outcome bt_request_begin(struct bt_hub *hub, const char *target, struct bt_binary *binary, uint32_t strategy,
                                     const struct bt_request_owner *owner, void *ctx, struct bt_request **ret_request, const char **ret_why);
/* Whoever asked does not wait any more. Takes NULL. */
void bt_request_abandon(struct bt_request *request);
/* @child is about to be removed: where it waits for its turn, its part is over. */
void bt_request_forget(struct bt_hub *hub, const struct bt_child *child);
void bt_request_free_all(struct bt_hub *hub); /* when the loop does not turn any more */
