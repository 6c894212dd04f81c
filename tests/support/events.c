/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/events.h"

#include <poll.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "tests/support/text.h"

struct bt_ask events_ask(const struct world *w, uint64_t since, bool follow)
{
        struct bt_ctl_request request = {.magic = BT_CTL_MAGIC,
                                         .version = BT_CTL_VERSION,
                                         .op = BT_CTL_EVENTS,
                                         .strategy = BT_CTL_STRATEGY_SPEC,
                                         .since = since,
                                         .follow = follow};
        struct bt_ask ask = BT_ASK_NULL;
        char runtime[128];

        (void)snprintf(runtime, sizeof(runtime), "%s/run", w->dir);
        assert_int_equal(bt_ask_open(&ask, runtime, w->hub, WORLD_WAIT_MS * BT_NS_PER_MS), 0);
        assert_int_equal(bt_ask_send(&ask, &request, -1), 0);
        return ask;
}

/* ---- all so far ---- */

/* One after the other, up to the last there is. */
static void each_event(const struct world *w,
                       void (*see)(const struct bt_ctl_reply *event, void *ctx), void *ctx)
{
        struct bt_ask ask = events_ask(w, BT_CTL_SINCE_OLDEST, false);
        struct bt_ctl_reply reply;
        int fd = -1;

        for (;;) {
                assert_int_equal(world_reply(&ask, &reply, &fd), 0);
                if (reply.kind == BT_CTL_DONE)
                        break;
                see(&reply, ctx);
        }
        world_hang_up(&ask);
}

static void print_event(const struct bt_ctl_reply *event, void *ctx)
{
        (void)fprintf(ctx, "%s %s %s\n", event->child, event->phase, event->text);
}

char *events_told(const struct world *w)
{
        char *text = NULL;
        size_t bytes = 0;
        FILE *file = open_memstream(&text, &bytes);

        assert_non_null(file);
        each_event(w, print_event, file);
        assert_int_equal(fclose(file), 0);
        return text;
}

struct wanted {
        const char *id, *begins;
        uint64_t at_ns;
};

static void time_event(const struct bt_ctl_reply *event, void *ctx)
{
        struct wanted *wanted = ctx;
        char line[sizeof(event->phase) + sizeof(event->text) + 2];

        (void)snprintf(line, sizeof(line), "%s %s", event->phase, event->text);
        if (!wanted->at_ns && !strcmp(event->child, wanted->id) &&
            !strncmp(line, wanted->begins, strlen(wanted->begins)))
                wanted->at_ns = event->since_ns;
}

uint64_t events_ns(const struct world *w, const char *id, const char *begins)
{
        struct wanted wanted = {.id = id, .begins = begins};

        each_event(w, time_event, &wanted);
        if (!wanted.at_ns)
                fail_msg("%s has no event '%s'", id, begins);
        return wanted.at_ns;
}

/* ---- as they happen ---- */

void events_follow(struct events *ret_events, const struct world *w)
{
        *ret_events = (struct events){.ask = events_ask(w, BT_CTL_SINCE_OLDEST, true)};
        ret_events->file = open_memstream(&ret_events->told, &ret_events->bytes);
        assert_non_null(ret_events->file);
        assert_int_equal(fflush(ret_events->file), 0);
}

/* Waits for one, and takes all that is there: what is looked for in the text is looked for once then. */
void events_next(struct events *events)
{
        struct pollfd more = {.fd = events->ask.fd, .events = POLLIN};

        do {
                struct bt_ctl_reply reply;
                int fd = -1, r = world_reply(&events->ask, &reply, &fd);

                assert_int_equal(fflush(events->file), 0);
                if (r || reply.kind == BT_CTL_DONE)
                        fail_msg("nothing more is told (%d) than:\n%s", r, events->told);
                print_event(&reply, events->file);
        } while (poll(&more, 1, 0) > 0);
        assert_int_equal(fflush(events->file), 0);
}

void events_end(struct events *events)
{
        bt_ask_close(&events->ask);
        (void)fclose(events->file);
        free(events->told);
}

void events_wait(const struct world *w, const char *text)
{
        struct events events;

        events_follow(&events, w);
        while (!strstr(events.told, text))
                events_next(&events);
        events_end(&events);
}

static bool told_since(const char *told, const char *from, const char *const parts[])
{
        const char *last = NULL;

        for (const char *at = strstr(told, from); at; at = strstr(at + 1, from))
                last = at;
        return last && text_in_order(last, parts);
}

void events_wait_since(const struct world *w, const char *from, const char *const parts[])
{
        struct events events;

        events_follow(&events, w);
        while (!told_since(events.told, from, parts))
                events_next(&events);
        events_end(&events);
}
