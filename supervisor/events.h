/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * The event stream: what happened, in order, each with its time.
 *
 *      bt_event(hub, BT_EVENT_CHILD_ENDED, child, inc->number, "%s", text)
 *                  │
 *                  ├──► ring of the last BT_EVENTS_KEPT, numbered from 1 ──► followers (`baton events`), at the end of the turn
 *                  └──► hooks (hooks.h), queued
 *
 * The ring forgets the oldest. A follower has a place in it and nothing else: one that reads slowly finds its place gone, and is told with a
 * "gap" which numbers it will never see. Nobody waits for it.
 *
 *      bt_follower_init(&f, hub, fd, since, follow, on_over)
 *      bt_follower_pump(&f)     now, and when fd is writable again
 *      on_over(f, r)            r 0: all that was asked for is sent; else -errno, the peer is gone. Only from the loop or from pump's caller's turn.
 *      bt_follower_deinit(&f)
 */

#include <stdbool.h>
#include <stdint.h>

#include "base/list.h"
#include "supervisor/control.h"
#include "supervisor/event_list.h"
#include "supervisor/loop/loop.h"

struct bt_hub;
struct bt_child;

#define BT_EVENTS_KEPT 4096
#define BT_EVENT_TEXT_BYTES 256 /* longer texts are cut */

struct bt_event {
        uint64_t sequence;
        uint64_t wall_ns;
        uint64_t mono_ns;
        uint64_t incarnation; /* 0: of none */
        uint32_t kind;        /* enum bt_event_kind */
        char child[64];       /* "": of none */
        char text[BT_EVENT_TEXT_BYTES];
};

struct bt_events {
        struct bt_hub *hub;
        struct bt_event *ring;
        uint64_t next; /* the number the next one gets */
        struct bt_list followers;
        struct bt_loop_timer timer; /* armed when followers have something to get */
};

int bt_events_open(struct bt_hub *hub); /* needs the loop */
void bt_events_close(struct bt_hub *hub);

/* @child: NULL: of none. Before open and after close it does nothing. Never fails, never waits, never calls back. */
__attribute__((format(printf, 5, 6))) void bt_event(struct bt_hub *hub, enum bt_event_kind kind, const struct bt_child *child,
                                                    uint64_t incarnation, const char *format, ...);

/* The event of that number; NULL: forgotten, or not happened yet. */
const struct bt_event *bt_events_at(const struct bt_events *events, uint64_t sequence);

/* ---- followers ---- */

struct bt_follower {
        struct bt_list node;
        struct bt_events *events;
        void (*over)(struct bt_follower *follower, int r);
        int fd;         /* borrowed; a control connection */
        uint64_t next;  /* number it gets next */
        uint64_t until; /* the first it does not want; UINT64_MAX: follows */
        uint64_t lost;
};

/* @since: BT_CTL_SINCE_*, or a number. */
void bt_follower_init(struct bt_follower *follower, struct bt_hub *hub, int fd, uint64_t since, bool follow,
                      void (*over)(struct bt_follower *follower, int r));
void bt_follower_deinit(struct bt_follower *follower); /* also all zero, also twice */

/* Sends what there is and what the socket takes. 0: all for now; 1: all there will be; -EAGAIN: more when it is writable; -errno: it is gone. */
int bt_follower_pump(struct bt_follower *follower);
