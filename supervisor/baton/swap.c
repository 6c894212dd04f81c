/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `baton upgrade` and `baton swap`: the same request, with and without a binary.
 *
 * The binary is opened here, as the user who asks, and goes to the hub as a descriptor: what the hub starts is the file that was looked at, also
 * when the path names another one a moment later. The path goes along for messages.
 *
 * A success that does not outlive the hub is said: when the configuration still names another file, the next `baton run` starts that one.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/fd.h"
#include "supervisor/baton/config.h"
#include "supervisor/baton/find.h"
#include "supervisor/baton/progress.h"
#include "supervisor/baton/rollout.h"
#include "supervisor/baton/text.h"

/* ---- the binary ---- */

int bt_swap_binary(int *ret_fd, struct bt_ctl_request *request, struct bt_command *command)
{
        const char *path = bt_find_absolute(&command->mem, command->exec);
        const char *wrong = bt_find_not_executable(path);
        int fd;

        if (wrong) {
                bt_complain("--exec %s: %s", path, wrong);
                return BT_EXIT_USAGE;
        }
        if (strlen(path) >= sizeof(request->path)) {
                bt_complain("--exec: the path is longer than %zu bytes", sizeof(request->path) - 1);
                return BT_EXIT_USAGE;
        }
        fd = open(path, O_PATH | O_CLOEXEC);
        if (fd < 0) {
                bt_complain("--exec %s: %s", path, strerrordesc_np(errno));
                return BT_EXIT_FAILED;
        }
        memcpy(request->path, path, strlen(path) + 1);
        *ret_fd = fd;
        return BT_EXIT_OK;
}

/* ---- what became of it ---- */

static void outcome_print(struct bt_mem *mem, const struct bt_outcome *outcome)
{
        char pause[BT_TEXT_NUMBER_BYTES], total[BT_TEXT_NUMBER_BYTES];

        if (outcome->outcome) {
                bt_progress_complain(outcome->child,
                                     *outcome->text ? outcome->text
                                                    : "failed, and the hub gave no reason");
                return;
        }
        bt_text_duration(pause, outcome->pause_ns);
        bt_text_duration(total, outcome->total_ns);
        (void)printf("%s: swapped, pause %s, total %s\n", bt_text_shown(mem, outcome->child), pause, total);
}

/* @done's text, unless a child's outcome has said it already. */
static void done_complain(const struct bt_progress *progress, const char *target)
{
        const char *text = progress->done.text;

        for (const struct bt_outcome *o = progress->outcomes; o; o = o->next)
                if (o->outcome && (!*text || !strcmp(o->text, text)))
                        return;
        if (progress->done.outcome == BT_CTL_NO_SUCH && !*text)
                text = "no such child or pool";
        bt_progress_complain(*progress->done.child ? progress->done.child : target,
                             *text ? text : "failed, and the hub gave no reason");
}

static void report(const struct bt_progress *progress, const char *target)
{
        const struct bt_ctl_reply *done = &progress->done;
        struct bt_mem *mem = &progress->command->mem;
        size_t count = 0;

        for (const struct bt_outcome *o = progress->outcomes; o; o = o->next, count++)
                outcome_print(mem, o);
        if (done->outcome)
                done_complain(progress, target);
        else if (!count)
                (void)printf("%s: %s\n", bt_text_shown(mem, target), "swapped");
        if (count > 1)
                (void)printf("%s: %" PRIu64 " swapped, %" PRIu64 " failed\n", bt_text_shown(mem, target),
                             done->value[0], done->value[1]);
}

/* ---- the configuration, after a success ---- */

/* Where the hub's configuration is; NULL: it does not say, or cannot be asked. */
static const char *config_path(struct bt_command *command, const struct bt_hub_place *place)
{
        struct bt_ctl_request request = bt_hubs_request(BT_CTL_STATUS);
        struct bt_ask ask = BT_ASK_NULL;
        struct bt_ctl_reply reply;
        int fd = -1, r;

        if (bt_ask_open(&ask, place->runtime, place->name, 2 * BT_NS_PER_S))
                return NULL;
        r = bt_ask_send(&ask, &request, -1);
        if (!r)
                r = bt_ask_reply(&ask, &reply, &fd);
        bt_ask_close(&ask);
        (void)bt_close(fd);
        if (r || reply.kind != BT_CTL_NODE || reply.text[0] != '/')
                return NULL;
        return bt_mem_copy(&command->mem, reply.text, strlen(reply.text));
}

static bool same_file(const char *path, int fd)
{
        struct stat a, b;

        return !stat(path, &a) && !fstat(fd, &b) && a.st_dev == b.st_dev && a.st_ino == b.st_ino;
}

/* What @config starts for @target ("web/1" or "web"); NULL: it has no such child. */
static const char *config_exec(const struct bt_config *config, const char *target)
{
        size_t bytes = strcspn(target, "/");

        for (uint32_t i = 0; i < config->child_count; i++) {
                const struct bt_config_child *child = &config->children[i];

                if (child->name && strlen(child->name) == bytes &&
                    !memcmp(child->name, target, bytes))
                        return child->exec;
        }
        return NULL;
}

static void note(struct bt_command *command, const char *text)
{
        if (command->json)
                bt_say_json(json_pack("{s:s, s:o}", "event", "note", "text", bt_json_text(text)));
        else
                bt_complain("note: %s", text);
}

/* A configuration that has errors by now still names its programs: only what it names matters here. */
static void config_compare(struct bt_command *command, const struct bt_hub_place *place,
                           int binary_fd)
{
        const char *path = config_path(command, place);
        struct bt_config config = BT_CONFIG_NULL;
        struct bt_diag *diag = bt_mem_alloc(&command->mem, sizeof(*diag));
        const char *exec;

        if (!path)
                return;
        bt_diag_init(diag, path);
        (void)bt_config_load(&config, diag, path, command->environ);
        exec = config_exec(&config, command->arg);
        if (exec && !same_file(exec, binary_fd))
                note(command,
                     bt_mem_printf(&command->mem,
                                   "%s still names %s for %s: the next 'baton run' starts that one",
                                   path, exec, command->arg));
        bt_config_free(&config);
}

/* ---- the verbs ---- */

int bt_swap_follow(struct bt_command *command, struct bt_ctl_request *request, int binary_fd)
{
        struct bt_hub_place place = {0};
        struct bt_progress progress;
        struct bt_ask ask = BT_ASK_NULL;
        int status = bt_hubs_choose(&place, command);

        if (!status)
                status = bt_hubs_ask(&ask, &place, request, binary_fd, command->timeout_ns);
        if (!status) {
                if (request->rollout.wanted)
                        bt_rollout_on_interrupt(command);
                status = bt_progress_follow(&progress, command, &place, &ask);
        }
        bt_ask_close(&ask);
        if (status)
                return status;
        if (command->json)
                bt_progress_say_done(&progress);
        else if (request->rollout.no_wait && !progress.done.outcome)
                (void)printf("%s: begun; 'baton events --follow' shows how it goes on\n", bt_text_shown(&command->mem, command->arg));
        else if (progress.rollout)
                bt_rollout_report(&progress, command->arg);
        else
                report(&progress, command->arg);
        if (progress.done.outcome == BT_CTL_OK && binary_fd >= 0)
                config_compare(command, &place, binary_fd);
        return bt_progress_exit(progress.done.outcome);
}

int bt_swap_target(struct bt_ctl_request *request, const struct bt_command *command)
{
        size_t bytes = strlen(command->arg);

        if (!bytes || bytes >= sizeof(request->target)) {
                bt_complain("'%s' cannot be the id of a child: an id has from 1 to %zu bytes",
                            command->arg, sizeof(request->target) - 1);
                return BT_EXIT_NO_SUCH;
        }
        memcpy(request->target, command->arg, bytes + 1);
        request->strategy = command->strategy;
        return BT_EXIT_OK;
}

int bt_verb_upgrade(struct bt_command *command)
{
        BT_CLEANUP(bt_closep) int fd = -1;
        struct bt_ctl_request request = bt_hubs_request(BT_CTL_UPGRADE);
        int status;

        if (!command->exec) {
                bt_complain("upgrade to what? Say it with --exec PATH (or 'baton swap %s' for the "
                            "program it has)",
                            command->arg);
                return BT_EXIT_USAGE;
        }
        status = bt_swap_target(&request, command);
        if (!status)
                status = bt_rollout_request(&request.rollout, command);
        if (!status)
                status = bt_swap_binary(&fd, &request, command);
        return status ? status : bt_swap_follow(command, &request, fd);
}

int bt_verb_swap(struct bt_command *command)
{
        struct bt_ctl_request request = bt_hubs_request(BT_CTL_SWAP);
        int status = bt_swap_target(&request, command);

        return status ? status : bt_swap_follow(command, &request, -1);
}
