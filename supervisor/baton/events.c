/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `baton events`: what happened in a hub, and with --follow what happens.
 *
 *      2026-03-01 12:00:00.123456  #12     web/0    migration_step       incarnation 2, passed
 *      2026-03-01 12:00:00.124001  ...     14 events were lost, from #13 on: the hub keeps the last 4096
 *
 * The time is the hub's, of the event and not of its arrival. What the hub has forgotten before we read it is said where it is missing.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/escape.h"
#include "base/fd.h"
#include "supervisor/baton/hubs.h"
#include "supervisor/baton/progress.h"
#include "supervisor/baton/text.h"

#define NUMBER_WIDTH 6
#define CHILD_WIDTH  8
#define NAME_WIDTH   20

static bool is_gap(const struct bt_ctl_reply *reply)
{
        return !strcmp(reply->phase, "gap");
}

static void record_json(const struct bt_ctl_reply *reply)
{
        if (is_gap(reply)) {
                bt_say_json(json_pack("{s:s, s:I, s:I}", "event", "gap", "first",
                                      (json_int_t)reply->value[0], "lost",
                                      (json_int_t)reply->value[1]));
                return;
        }
        bt_say_json(json_pack(
                "{s:o, s:I, s:I, s:I, s:o, s:I, s:o}", "event", bt_json_text(reply->phase),
                "sequence", (json_int_t)reply->value[0], "time_ns", (json_int_t)reply->value[1],
                "monotonic_ns", (json_int_t)reply->since_ns, "child", bt_json_text(reply->child),
                "incarnation", (json_int_t)reply->incarnation, "text", bt_json_text(reply->text)));
}

/* The first line of @text, made safe, and spaces up to @width. */
static void cell(const char *text, size_t width)
{
        char clean[512];

        bt_text_clean(clean, sizeof(clean), text, strcspn(text, "\n"), false);
        (void)fputs(clean, stdout);
        for (size_t used = bt_text_width(clean); used < width; used++)
                (void)fputc(' ', stdout);
}

static void time_print(uint64_t wall_ns)
{
        time_t seconds = (time_t)(wall_ns / BT_NS_PER_S);
        char text[64] = "?";
        struct tm tm;

        if (localtime_r(&seconds, &tm))
                (void)strftime(text, sizeof(text), "%Y-%m-%d %H:%M:%S", &tm);
        (void)printf("%s.%06" PRIu64 "  ", text, wall_ns % BT_NS_PER_S / BT_NS_PER_US);
}

static void record_print(const struct bt_ctl_reply *reply)
{
        char child[BT_ESCAPE_BYTES(sizeof(reply->child))];
        char number[32];

        if (is_gap(reply)) {
                (void)printf("%26s  %" PRIu64 " events were lost, from #%" PRIu64
                             " on: the hub keeps the last ones only\n",
                             "...", reply->value[1], reply->value[0]);
                return;
        }
        (void)snprintf(number, sizeof(number), "#%" PRIu64, reply->value[0]);
        time_print(reply->value[1]);
        cell(number, NUMBER_WIDTH + 2);
        (void)bt_escape(child, sizeof(child), *reply->child ? reply->child : "-");
        cell(child, CHILD_WIDTH + 2);
        cell(reply->phase, reply->incarnation || *reply->text ? NAME_WIDTH + 2 : 0);
        if (reply->incarnation)
                (void)printf("incarnation %" PRIu64 "%s", reply->incarnation,
                             *reply->text ? ", " : "");
        cell(reply->text, 0);
        (void)fputc('\n', stdout);
}

/* Returns enum bt_exit. */
static int follow(const struct bt_command *command, const struct bt_hub_place *place,
                  const struct bt_ask *ask)
{
        for (;;) {
                struct bt_ctl_reply reply;
                int fd = -1;
                int r = bt_ask_reply(ask, &reply, &fd);

                if (r)
                        return bt_hubs_lost(place, r);
                (void)bt_close(fd); /* none is expected */
                if (reply.kind == BT_CTL_RECORD && command->json)
                        record_json(&reply);
                else if (reply.kind == BT_CTL_RECORD)
                        record_print(&reply);
                if (ferror(stdout))
                        return BT_EXIT_FAILED; /* nobody reads any more; the caller says why */
                if (reply.kind != BT_CTL_DONE)
                        continue;
                if (reply.outcome)
                        bt_progress_complain("", *reply.text
                                                         ? reply.text
                                                         : "the hub gave no events, and no reason");
                return bt_progress_exit(reply.outcome);
        }
}

int bt_verb_events(struct bt_command *command)
{
        struct bt_ctl_request request = bt_hubs_request(BT_CTL_EVENTS);
        struct bt_hub_place place = {0};
        struct bt_ask ask = BT_ASK_NULL;
        int status = bt_hubs_choose(&place, command);

        request.since = command->since;
        request.follow = command->follow;
        if (!status)
                status = bt_hubs_ask(&ask, &place, &request, -1, command->timeout_ns);
        if (command->follow)
                ask.deadline_ns = BT_NS_NEVER;
        if (!status)
                status = follow(command, &place, &ask);
        bt_ask_close(&ask);
        return status;
}
