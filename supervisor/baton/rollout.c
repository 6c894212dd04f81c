/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A rollout is the hub's. This side asks for it, and shows it.
 *
 * Ctrl-C ends a program that waits, and somebody who presses it may well think that it ends what is waited for. So the signal is caught
 * to say what goes on and how to take it back, and for nothing else: the handler writes one text that was made before, and exits as the
 * signal would have made it.
 */
#include "supervisor/baton/rollout.h"

#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "supervisor/baton/find.h"
#include "supervisor/baton/text.h"
#include "supervisor/baton/value.h"

#define INTERRUPTED 130 /* 128 + SIGINT */

/* ---- options ---- */

const char *bt_rollout_number(uint64_t *ret_number, const char *arg)
{
        return bt_value_number(ret_number, arg, 0, 1000000);
}

const char *bt_rollout_duration(uint64_t *ret_ns, const char *arg)
{
        return bt_value_duration(ret_ns, arg, BT_NS_PER_MS);
}

struct bt_ctl_rollout bt_rollout_defaults(void)
{
        return (struct bt_ctl_rollout){
                .canary = BT_CTL_ROLLOUT_DEFAULT,
                .max_surge = BT_CTL_ROLLOUT_DEFAULT,
                .max_unavailable = BT_CTL_ROLLOUT_DEFAULT,
                .min_ready_ns = BT_CTL_ROLLOUT_DEFAULT,
                .deadline_ns = BT_CTL_ROLLOUT_DEFAULT,
                .health_timeout_ns = BT_CTL_ROLLOUT_DEFAULT,
        };
}

/* The path of the health command, NULL: it cannot be run, and that was said. */
static const char *health_path(struct bt_command *command)
{
        const char *path =
                strchr(command->health, '/')
                        ? bt_find_absolute(&command->mem, command->health)
                        : bt_find_in_path(&command->mem, command->environ, command->health);
        const char *wrong =
                path ? bt_find_not_executable(path) : "there is no such program in PATH";

        if (!wrong)
                return path;
        bt_complain("--health %s: %s", command->health, wrong);
        return NULL;
}

/* Adds @text and its NUL. Returns false when there is no room. */
static bool pack(struct bt_ctl_rollout *rollout, size_t *used, const char *text)
{
        size_t bytes = strlen(text) + 1;

        if (bytes > sizeof(rollout->health) - *used)
                return false;
        memcpy(rollout->health + *used, text, bytes);
        *used += bytes;
        return true;
}

static int health_pack(struct bt_ctl_rollout *rollout, struct bt_command *command)
{
        const char *path = health_path(command);
        size_t used = 0;
        bool fits;

        if (!path)
                return BT_EXIT_USAGE;
        fits = pack(rollout, &used, path) && pack(rollout, &used, command->health);
        for (uint32_t i = 0; fits && i < command->health_arg_count; i++)
                fits = pack(rollout, &used, command->health_args[i]);
        if (!fits) {
                bt_complain("--health: the command and its arguments are longer than %zu bytes: "
                            "put them into a script",
                            sizeof(rollout->health));
                return BT_EXIT_USAGE;
        }
        rollout->health_argc = command->health_arg_count + 1;
        return BT_EXIT_OK;
}

int bt_rollout_request(struct bt_ctl_rollout *ret_rollout, struct bt_command *command)
{
        int status = BT_EXIT_OK;

        *ret_rollout = command->rollout;
        if (command->deadline_ns)
                ret_rollout->deadline_ns = command->deadline_ns;
        ret_rollout->no_wait = command->no_wait;
        if (command->deadline_ns || command->no_wait)
                ret_rollout->wanted = 2;
        else if (!ret_rollout->wanted)
                ret_rollout->wanted = 1;
        if (command->health)
                status = health_pack(ret_rollout, command);
        else if (command->health_arg_count)
                status = BT_EXIT_USAGE;
        if (status && !command->health)
                bt_complain("'%s': arguments after -- are those of --health CMD",
                            command->health_args[0]);
        return status;
}

/* ---- Ctrl-C ---- */

static char interrupt_text[512];
static size_t interrupt_bytes;

static void on_interrupt(int signal_number)
{
        (void)signal_number;
        (void)!write(STDERR_FILENO, interrupt_text, interrupt_bytes);
        _exit(INTERRUPTED);
}

void bt_rollout_on_interrupt(struct bt_command *command)
{
        struct sigaction action = {.sa_handler = on_interrupt};
        char target[128];
        int n;

        bt_text_clean(target, sizeof(target), command->arg, strlen(command->arg), false);
        n = snprintf(interrupt_text, sizeof(interrupt_text),
                     "\nbaton: not waiting any more. What was asked for goes on in the hub: 'baton "
                     "events --follow' shows it, 'baton rollback %s' "
                     "takes the upgrade back.\n",
                     target);
        interrupt_bytes = n < (int)sizeof(interrupt_text) ? (size_t)n : sizeof(interrupt_text) - 1;
        (void)sigaction(SIGINT, &action, NULL);
}

/* ---- how it ended ---- */

void bt_rollout_report(const struct bt_progress *progress, const char *target)
{
        char pause[BT_TEXT_NUMBER_BYTES];
        uint64_t longest = 0;

        if (progress->done.outcome) {
                bt_progress_complain(target, progress->done.text);
                return;
        }
        for (const struct bt_outcome *o = progress->outcomes; o; o = o->next)
                if (o->pause_ns > longest)
                        longest = o->pause_ns;
        bt_text_duration(pause, longest);
        (void)printf("%s: %.*s, longest pause %s\n", target,
                     (int)strcspn(progress->done.text, "\n"), progress->done.text, pause);
}

/* ---- status ---- */

void bt_rollout_status(const struct bt_command *command, const char *text)
{
        char clean[sizeof(((struct bt_ctl_reply *)NULL)->text)];

        bt_text_clean(clean, sizeof(clean), text, strlen(text), true);
        for (char *line = clean, *end; *line; line = end) {
                end = strchrnul(line, '\n');
                if (*end)
                        *end++ = 0;
                if (command->json)
                        bt_say_json(json_pack("{s:s}", "rollout", line));
                else
                        (void)puts(line);
        }
}

/* ---- the verb ---- */

int bt_verb_rollback(struct bt_command *command)
{
        struct bt_ctl_request request = bt_hubs_request(BT_CTL_ROLLBACK);
        int status = bt_swap_target(&request, command);

        if (!status)
                status = bt_rollout_request(&request.rollout, command);
        return status ? status : bt_swap_follow(command, &request, -1);
}
