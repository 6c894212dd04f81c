/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The event stream: see events.h.
 *
 * An event costs the one who raises it two clock reads, one format and a place in the ring. Followers are served by a timer that is due at once, so
 * at the end of the turn: an event in the middle of a swap does not send on a socket there, and a callback that ends a follower is never
 * up the stack of the code that raised the event.
 *
 * Dropped: a queue for each follower. A place in the shared ring is the same bound for all, costs eight bytes, and says exactly what was missed.
 */
#include "supervisor/events.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/scm.h"
#include "supervisor/carry.h"
#include "supervisor/hooks.h"
#include "supervisor/hub.h"

#define DUE_AT_ONCE 1

/* ---- the ring ---- */

static uint64_t events_oldest(const struct bt_events *events)
{
        return events->next > BT_EVENTS_KEPT ? events->next - BT_EVENTS_KEPT : 1;
}

const struct bt_event *bt_events_at(const struct bt_events *events, uint64_t sequence)
{
        if (sequence < events_oldest(events) || sequence >= events->next)
                return NULL;
        return &events->ring[sequence % BT_EVENTS_KEPT];
}

static void events_on_timer(struct bt_loop_timer *timer)
{
        struct bt_events *events = bt_container_of(timer, struct bt_events, timer);

        bt_list_foreach_safe (it, &events->followers) {
                struct bt_follower *follower = bt_list_entry(it, struct bt_follower, node);
                int r = bt_follower_pump(follower);

                if (r && r != -EAGAIN)
                        follower->over(follower, r > 0 ? 0 : r);
        }
}

void bt_event(struct bt_hub *hub, enum bt_event_kind kind, const struct bt_child *child, uint64_t incarnation, const char *format, ...)
{
        struct bt_events *events = hub->events;
        struct bt_event *event;
        va_list args;

        if (!events || hub->resuming)
                return;
        event = &events->ring[events->next % BT_EVENTS_KEPT];
        *event = (struct bt_event){
                .sequence = events->next++,
                .wall_ns = bt_wall_ns(),
                .mono_ns = bt_now_ns(),
                .incarnation = incarnation,
                .kind = kind,
        };
        (void)snprintf(event->child, sizeof(event->child), "%s", child ? child->id : "");
        va_start(args, format);
        (void)vsnprintf(event->text, sizeof(event->text), format, args);
        va_end(args);
        if (!bt_list_empty(&events->followers))
                (void)bt_loop_timer_arm(hub->loop, &events->timer, DUE_AT_ONCE, events_on_timer);
        bt_hooks_event(hub, event, child);
}

int bt_events_open(struct bt_hub *hub)
{
        struct bt_events *events = calloc(1, sizeof(*events));

        if (!events)
                return -ENOMEM;
        events->ring = calloc(BT_EVENTS_KEPT, sizeof(*events->ring));
        if (!events->ring) {
                free(events);
                return -ENOMEM;
        }
        events->hub = hub;
        events->next = 1;
        bt_list_init(&events->followers);
        hub->events = events;
        bt_carry_events(hub);
        return 0;
}

void bt_events_close(struct bt_hub *hub)
{
        struct bt_events *events = hub->events;

        if (!events)
                return;
        bt_assert(bt_list_empty(&events->followers));
        bt_loop_timer_disarm(&events->timer);
        free(events->ring);
        free(events);
        hub->events = NULL;
}

/* ---- followers ---- */

void bt_follower_init(struct bt_follower *follower, struct bt_hub *hub, int fd, uint64_t since, bool follow,
                      void (*over)(struct bt_follower *follower, int r))
{
        struct bt_events *events = hub->events;

        *follower = (struct bt_follower){.events = events, .over = over, .fd = fd};
        if (since == BT_CTL_SINCE_NOW)
                follower->next = events->next;
        else if (since == BT_CTL_SINCE_OLDEST || since > events->next)
                follower->next = events_oldest(events); /* a number of an earlier hub: ours began at 1 */
        else
                follower->next = since;
        follower->until = follow ? UINT64_MAX : events->next;
        bt_list_init(&follower->node);
        bt_list_push(&events->followers, &follower->node);
}

void bt_follower_deinit(struct bt_follower *follower)
{
        if (follower->events)
                bt_list_unlink(&follower->node);
        follower->events = NULL;
}

static void fill_event(struct bt_ctl_reply *reply, const struct bt_event *event)
{
        reply->since_ns = event->mono_ns;
        reply->incarnation = event->incarnation;
        reply->value[0] = event->sequence;
        reply->value[1] = event->wall_ns;
        (void)snprintf(reply->child, sizeof(reply->child), "%s", event->child);
        (void)snprintf(reply->phase, sizeof(reply->phase), "%s", bt_event_row(event->kind)->name);
        (void)snprintf(reply->text, sizeof(reply->text), "%s", event->text);
}

static void fill_gap(struct bt_ctl_reply *reply, uint64_t first, uint64_t count)
{
        reply->since_ns = bt_now_ns();
        reply->value[0] = first;
        reply->value[1] = count;
        (void)snprintf(reply->phase, sizeof(reply->phase), "gap");
}

int bt_follower_pump(struct bt_follower *follower)
{
        const struct bt_events *events = follower->events;
        uint64_t end = follower->until < events->next ? follower->until : events->next;

        while (follower->next < end) {
                struct bt_ctl_reply reply = {.magic = BT_CTL_MAGIC, .version = BT_CTL_VERSION, .kind = BT_CTL_RECORD};
                const struct bt_event *event = bt_events_at(events, follower->next);
                uint64_t count = event ? 1 : events_oldest(events) - follower->next;
                int r;

                if (event)
                        fill_event(&reply, event);
                else
                        fill_gap(&reply, follower->next, count);
                r = bt_scm_send(follower->fd, &reply, sizeof(reply), NULL, 0);
                if (r)
                        return r;
                follower->next += count;
                follower->lost += event ? 0 : count;
        }
        return follower->next >= follower->until ? 1 : 0;
}
