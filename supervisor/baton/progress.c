/* SPDX-License-Identifier: Apache-2.0 */
/*
 *       +800 µs  kv       ready           incarnation 2
 *       +1.9 ms  kv       committed       incarnation 2, pause 23 µs
 *
 * An event is shown when it arrives: a swap that hangs shows where. The time is the hub's own, since it took the request, so a slow terminal
 * does not stretch it.
 */
#include "supervisor/baton/progress.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/escape.h"
#include "base/fd.h"
#include "supervisor/baton/bar.h"
#include "supervisor/baton/text.h"

#define CHILD_WIDTH 8
#define PHASE_WIDTH 15 /* "successor_ended" */

static const struct {
        uint32_t outcome;
        int status;
        const char *name;
} outcomes[] = {
        {BT_CTL_OK, BT_EXIT_OK, "ok"},
        {BT_CTL_FAILED, BT_EXIT_FAILED, "failed"},
        {BT_CTL_INVALID, BT_EXIT_USAGE, "invalid"},
        {BT_CTL_NO_SUCH, BT_EXIT_NO_SUCH, "no_such"},
        {BT_CTL_TIMED_OUT, BT_EXIT_TIMED_OUT, "timed_out"},
};

int bt_progress_exit(uint32_t outcome)
{
        for (size_t i = 0; i < BT_ARRAY_LEN(outcomes); i++)
                if (outcomes[i].outcome == outcome)
                        return outcomes[i].status;
        return BT_EXIT_FAILED;
}

const char *bt_progress_outcome_name(uint32_t outcome)
{
        for (size_t i = 0; i < BT_ARRAY_LEN(outcomes); i++)
                if (outcomes[i].outcome == outcome)
                        return outcomes[i].name;
        return "failed";
}

/* ---- one event ---- */

static bool is_committed(const struct bt_ctl_reply *reply)
{
        return !strcmp(reply->phase, "committed");
}

/* How an event's child fared, if this event is its last. A hub may leave the outcome of a failure to DONE; the phase says it too. */
static uint32_t event_outcome(const struct bt_ctl_reply *reply)
{
        static const char *const failures[] = {"rolled_back", "down", "refused"};

        for (size_t i = 0; i < BT_ARRAY_LEN(failures); i++)
                if (!reply->outcome && !strcmp(reply->phase, failures[i]))
                        return BT_CTL_FAILED;
        return reply->outcome;
}

static void event_json(const struct bt_ctl_reply *reply)
{
        json_t *object = json_pack("{s:s, s:o, s:o, s:I, s:I}", "event", "phase", "child",
                                   bt_json_text(reply->child), "phase", bt_json_text(reply->phase),
                                   "since_ns", (json_int_t)reply->since_ns, "incarnation",
                                   (json_int_t)reply->incarnation);

        if (object && is_committed(reply)) {
                (void)json_object_set_new(object, "pause_ns",
                                          json_integer((json_int_t)reply->value[0]));
                (void)json_object_set_new(object, "total_ns",
                                          json_integer((json_int_t)reply->value[1]));
        }
        if (object && event_outcome(reply))
                (void)json_object_set_new(
                        object, "outcome",
                        json_string(bt_progress_outcome_name(event_outcome(reply))));
        if (object && *reply->text)
                (void)json_object_set_new(object, "text", bt_json_text(reply->text));
        bt_say_json(object);
}

/* The first line of @text, made safe. */
static const char *first_line(struct bt_mem *mem, const char *text)
{
        char room[512];

        bt_text_clean(room, sizeof(room), text, strcspn(text, "\n"), false);
        return bt_mem_copy(mem, room, strlen(room));
}

static const char *event_details(struct bt_mem *mem, const struct bt_ctl_reply *reply)
{
        const char *details =
                reply->incarnation ? bt_mem_printf(mem, "incarnation %" PRIu64, reply->incarnation)
                                   : "";
        char room[BT_TEXT_NUMBER_BYTES];

        if (is_committed(reply)) {
                bt_text_duration(room, reply->value[0]);
                details = bt_mem_printf(mem, "%s%spause %s", details, *details ? ", " : "", room);
        }
        if (*reply->text)
                details = bt_mem_printf(mem, "%s%s%s", details, *details ? ", " : "",
                                        first_line(mem, reply->text));
        return details;
}

/* @text, and spaces up to @width. */
static void cell(const char *text, size_t width)
{
        size_t used = bt_text_width(text);

        (void)fputs(text, stdout);
        for (; used < width; used++)
                (void)fputc(' ', stdout);
}

static void event_print(struct bt_mem *mem, const struct bt_ctl_reply *reply)
{
        const char *details = event_details(mem, reply);
        char time[BT_TEXT_NUMBER_BYTES];

        bt_text_duration(time, reply->since_ns);
        for (size_t used = bt_text_width(time); used < 7; used++)
                (void)fputc(' ', stdout);
        (void)printf("  +%s  ", time);
        cell(bt_text_shown(mem, reply->child), CHILD_WIDTH);
        (void)fputc(' ', stdout);
        cell(first_line(mem, reply->phase), *details ? PHASE_WIDTH : 0);
        (void)printf("%s%s\n", *details ? " " : "", details);
}

/* ---- what it came to ---- */

static struct bt_outcome *outcome_add(struct bt_progress *progress,
                                      const struct bt_ctl_reply *reply)
{
        struct bt_mem *mem = &progress->command->mem;
        struct bt_outcome *outcome = bt_mem_alloc(mem, sizeof(*outcome));

        outcome->child = bt_mem_copy(mem, reply->child, strlen(reply->child));
        outcome->outcome = event_outcome(reply);
        outcome->text = bt_mem_copy(mem, reply->text, strlen(reply->text));
        *progress->outcomes_end = outcome;
        progress->outcomes_end = &outcome->next;
        return outcome;
}

/* Of a whole rollout. How far it is goes into the bar, where there is one. */
static bool to_bar(struct bt_progress *progress, const struct bt_ctl_reply *reply)
{
        if (*reply->child)
                return false;
        if (!progress->rollout)
                progress->bar = !progress->command->json && bt_bar_possible();
        progress->rollout = true;
        if (!progress->bar || strcmp(reply->phase, "progress") != 0)
                return false;
        (void)snprintf(progress->bar_text, sizeof(progress->bar_text), "%.*s",
                       (int)sizeof(progress->bar_text) - 1, reply->text);
        return true;
}

static void event_show(struct bt_progress *progress, const struct bt_ctl_reply *reply)
{
        bool only_bar = to_bar(progress, reply);

        if (progress->bar)
                bt_bar_clear();
        if (progress->command->json)
                event_json(reply);
        else if (!only_bar)
                event_print(&progress->command->mem, reply);
        if (progress->bar)
                bt_bar_draw(progress->bar_text);
}

static void on_event(struct bt_progress *progress, const struct bt_ctl_reply *reply)
{
        event_show(progress, reply);
        if (is_committed(reply)) {
                struct bt_outcome *outcome = outcome_add(progress, reply);

                outcome->pause_ns = reply->value[0];
                outcome->total_ns = reply->value[1];
        } else if (event_outcome(reply)) {
                (void)outcome_add(progress, reply);
        }
}

int bt_progress_follow(struct bt_progress *progress, struct bt_command *command,
                       const struct bt_hub_place *place, struct bt_ask *ask)
{
        *progress = (struct bt_progress){.command = command, .place = place};
        progress->outcomes_end = &progress->outcomes;
        for (;;) {
                struct bt_ctl_reply reply;
                int fd = -1;
                int r = bt_ask_reply(ask, &reply, &fd);

                if (r)
                        return bt_hubs_lost(place, r);
                (void)bt_close(fd); /* none is expected */
                if (reply.kind == BT_CTL_DONE) {
                        if (progress->bar)
                                bt_bar_clear();
                        progress->done = reply;
                        return BT_EXIT_OK;
                }
                if (reply.kind != BT_CTL_EVENT)
                        continue;
                on_event(progress, &reply);
                /* A rollout knows how long it may take; who gave --timeout knows better. */
                if (!*reply.child && !command->timeout_given && !strcmp(reply.phase, "begun"))
                        ask->deadline_ns = bt_ns_add(bt_now_ns(), reply.value[0]);
        }
}

/* ---- the end ---- */

void bt_progress_complain(const char *child, const char *text)
{
        char clean[4096], shown[512], *line = clean, *rest;

        bt_text_clean(clean, sizeof(clean), text, strlen(text), true);
        (void)bt_escape(shown, sizeof(shown), child);
        child = shown;
        rest = strchrnul(line, '\n');
        if (*rest)
                *rest++ = 0;
        bt_complain("%s%s%s", child, *child ? ": " : "", line);
        for (; *rest; rest = line) {
                line = strchrnul(rest, '\n');
                if (*line)
                        *line++ = 0;
                (void)fprintf(stderr, "  %s%s%s\n", child, *child ? " | " : "", rest);
        }
}

void bt_progress_say_done(const struct bt_progress *progress)
{
        const struct bt_ctl_reply *done = &progress->done;

        bt_say_json(json_pack(
                "{s:s, s:s, s:i, s:I, s:I, s:I, s:o}", "event", "done", "outcome",
                bt_progress_outcome_name(done->outcome), "exit", bt_progress_exit(done->outcome),
                "since_ns", (json_int_t)done->since_ns, "done", (json_int_t)done->value[0],
                "failed", (json_int_t)done->value[1], "text", bt_json_text(done->text)));
}
