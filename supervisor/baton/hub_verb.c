/* SPDX-License-Identifier: Apache-2.0 */
/* `baton hub upgrade`: the hub goes on as another program, in the same process, with the children it has. docs/upgrade.md says what that promises. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/fd.h"
#include "supervisor/baton/progress.h"
#include "supervisor/baton/rollout.h"
#include "supervisor/baton/text.h"

static void report(const struct bt_progress *progress)
{
        const struct bt_ctl_reply *done = &progress->done;
        struct bt_mem *mem = &progress->command->mem;
        char total[BT_TEXT_NUMBER_BYTES];

        if (done->outcome) {
                bt_progress_complain(progress->place->name,
                                     *done->text ? done->text
                                                 : "failed, and the hub gave no reason");
                return;
        }
        bt_text_duration(total, done->since_ns);
        (void)printf("%s: runs %s, still as process %" PRIu64 ", with the %" PRIu64
                     " %s it had, total %s\n",
                     progress->place->name, bt_text_shown(mem, done->text), done->value[1],
                     done->value[0], done->value[0] == 1 ? "process" : "processes", total);
}

static void say_done(const struct bt_ctl_reply *done)
{
        bt_say_json(json_pack("{s:s, s:s, s:i, s:I, s:I, s:I, s:o}", "event", "done", "outcome",
                              bt_progress_outcome_name(done->outcome), "exit",
                              bt_progress_exit(done->outcome), "since_ns",
                              (json_int_t)done->since_ns, "processes", (json_int_t)done->value[0],
                              "pid", (json_int_t)done->value[1], done->outcome ? "text" : "program",
                              bt_json_text(done->text)));
}

static int hub_upgrade(struct bt_command *command)
{
        BT_CLEANUP(bt_closep) int fd = -1;
        struct bt_ctl_request request = bt_hubs_request(BT_CTL_HUB_UPGRADE);
        struct bt_hub_place place = {0};
        struct bt_progress progress;
        struct bt_ask ask = BT_ASK_NULL;
        int status = command->exec ? bt_swap_binary(&fd, &request, command) : BT_EXIT_OK;

        request.deadline_ns = command->deadline_ns;
        if (!status)
                status = bt_hubs_choose(&place, command);
        if (!status)
                status = bt_hubs_ask(&ask, &place, &request, fd, command->timeout_ns);
        if (!status)
                status = bt_progress_follow(&progress, command, &place, &ask);
        bt_ask_close(&ask);
        if (status)
                return status;
        if (command->json)
                say_done(&progress.done);
        else
                report(&progress);
        return bt_progress_exit(progress.done.outcome);
}

int bt_verb_hub(struct bt_command *command)
{
        if (!strcmp(command->arg, "upgrade"))
                return hub_upgrade(command);
        bt_complain("'baton hub %s' is unknown; there is: upgrade", command->arg);
        return BT_EXIT_USAGE;
}
