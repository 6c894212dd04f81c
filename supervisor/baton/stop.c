/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `baton stop`: done when the hub's process has ended, not when it says that it will: a `baton run` right after this must find the sockets
 * free and the store unlocked.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "supervisor/baton/progress.h"
#include "supervisor/baton/text.h"

/* What was kept and what not, as the hub says it: one line or several. */
static void kept_print(const struct bt_progress *progress)
{
        char text[4096];

        bt_text_clean(text, sizeof(text), progress->done.text, strlen(progress->done.text), true);
        for (char *line = text, *next; *line; line = next) {
                next = strchrnul(line, '\n');
                if (*next)
                        *next++ = 0;
                if (*line)
                        (void)printf("  %s\n", line);
        }
}

static void report(const struct bt_progress *progress, uint64_t total_ns)
{
        char total[BT_TEXT_NUMBER_BYTES];

        if (progress->done.outcome) {
                bt_progress_complain(progress->place->name,
                                     *progress->done.text ? progress->done.text
                                                          : "failed, and the hub gave no reason");
                return;
        }
        kept_print(progress);
        bt_text_duration(total, total_ns);
        (void)printf("%s: stopped, total %s\n", progress->place->name, total);
}

/* Returns enum bt_exit. */
static int wait_gone(const struct bt_hub_place *place, const struct bt_ask *ask)
{
        int r = bt_ask_gone(ask);

        if (!r ||
            r == -ESRCH) /* without a pidfd (another pid namespace) its word is all there is */
                return BT_EXIT_OK;
        if (r == BT_ASK_E_TIMED_OUT)
                bt_complain("the hub '%s' (pid %d) said that it stops, and has not ended within "
                            "the time limit",
                            place->name, (int)ask->pid);
        return r == BT_ASK_E_TIMED_OUT ? BT_EXIT_TIMED_OUT : bt_hubs_lost(place, r);
}

int bt_verb_stop(struct bt_command *command)
{
        struct bt_ctl_request request = bt_hubs_request(BT_CTL_STOP);
        uint64_t begun_ns = bt_now_ns();
        struct bt_hub_place place = {0};
        struct bt_progress progress;
        struct bt_ask ask = BT_ASK_NULL;
        int status = bt_hubs_choose(&place, command);

        if (!status)
                status = bt_hubs_ask(&ask, &place, &request, -1, command->timeout_ns);
        if (status)
                return status;
        status = bt_progress_follow(&progress, command, &place, &ask);
        if (!status && !progress.done.outcome)
                status = wait_gone(&place, &ask);
        bt_ask_close(&ask);
        if (status)
                return status;
        if (command->json)
                bt_progress_say_done(&progress);
        else
                report(&progress, bt_now_ns() - begun_ns);
        return bt_progress_exit(progress.done.outcome);
}
