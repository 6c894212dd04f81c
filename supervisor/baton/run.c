/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `baton check` and `baton run`: the same path, up to the last step.
 *
 *      text ── config ── diagnostics ── plan ──► check: says so          run: execs batond, which is given the plan's descriptor
 *
 * `run` replaces itself, so the pid that a terminal, a service manager or a script holds is the hub's, and its exit status too.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/fd.h"
#include "supervisor/baton/compile.h"
#include "supervisor/baton/find.h"
#include "supervisor/baton/hubs.h"

#ifndef BATON_LIBEXECDIR
#define BATON_LIBEXECDIR "/usr/libexec/baton"
#endif

#define PROBE_NS (1 * BT_NS_PER_S)

/* ---- the configuration ---- */

int bt_command_config(struct bt_command *command, struct bt_config *ret_config, const char *path, bool fragment)
{
        struct bt_diag *diag = bt_mem_alloc(&command->mem, sizeof(*diag));
        int r;

        bt_diag_init(diag, path);
        r = (fragment ? bt_config_load_fragment : bt_config_load)(ret_config, diag, path, command->environ);
        if (command->json)
                bt_diag_print_json(diag, stdout);
        else
                bt_diag_print(diag, stderr);
        return r ? BT_EXIT_USAGE : BT_EXIT_OK;
}

static int compile(int *ret_fd, struct bt_config *config, const char *runtime, const char *state)
{
        const char *error = NULL;

        if (!bt_compile(ret_fd, config, runtime, state, &error))
                return BT_EXIT_OK;
        bt_complain("%s", error);
        return BT_EXIT_FAILED;
}

/* ---- check ---- */

static void check_say(const struct bt_command *command, const struct bt_config *config)
{
        if (command->json)
                bt_say_json(json_pack("{s:o, s:b, s:s, s:I, s:I}", "file",
                                      bt_json_text(command->arg), "ok", 1, "hub", config->hub,
                                      "sockets", (json_int_t)config->socket_count, "children",
                                      (json_int_t)config->expanded_count));
        else
                (void)printf("%s: ok: hub %s, %" PRIu32 " %s, %" PRIu32 " %s\n", command->arg,
                             config->hub, config->socket_count,
                             config->socket_count == 1 ? "socket" : "sockets",
                             config->expanded_count,
                             config->expanded_count == 1 ? "child" : "children");
}

int bt_verb_check(struct bt_command *command)
{
        BT_CLEANUP(bt_closep) int fd = -1;
        struct bt_config config = BT_CONFIG_NULL;
        int status = bt_command_config(command, &config, command->arg, false);

        /* Where it will run is not part of the file: it may be checked on a machine that has no runtime directory. */
        if (!status)
                status = compile(&fd, &config, "/run/baton", "/var/lib/baton");
        if (!status)
                check_say(command, &config);
        bt_config_free(&config);
        return status;
}

/* ---- run ---- */

/* Returns enum bt_exit. */
static int dirs(struct bt_command *command, const char *hub, const char **ret_runtime,
                const char **ret_state)
{
        const char *wrong =
                bt_find_runtime(ret_runtime, &command->mem, command->environ, geteuid());

        if (!wrong)
                wrong = bt_find_state(ret_state, &command->mem, command->environ, geteuid());
        if (!wrong)
                wrong = bt_find_fits(&command->mem, *ret_runtime, hub);
        if (!wrong)
                return BT_EXIT_OK;
        bt_complain("%s", wrong);
        return BT_EXIT_USAGE;
}

/* A friendlier word than the daemon's, which holds a lock and is the one that counts. */
static int refuse_second(const char *runtime, const char *hub)
{
        struct bt_ask ask = BT_ASK_NULL;
        int r = bt_ask_open(&ask, runtime, hub, PROBE_NS);

        if (!r)
                bt_complain("the hub '%s' runs already (pid %d): see 'baton status --hub %s', "
                            "'baton stop --hub %s'",
                            hub, (int)ask.pid, hub, hub);
        bt_ask_close(&ask);
        return r ? BT_EXIT_OK : BT_EXIT_FAILED;
}

/* The folder of this program, with batond in it; NULL: it is not there. */
static const char *beside_us(struct bt_mem *mem)
{
        char self[4096];
        ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);
        char *slash;
        const char *path;

        if (n <= 0)
                return NULL;
        self[n] = 0;
        slash = strrchr(self, '/');
        if (!slash)
                return NULL;
        path = bt_mem_printf(mem, "%.*s/batond", (int)(slash - self), self);
        return bt_find_not_executable(path) ? NULL : path;
}

/* Returns enum bt_exit. */
static int find_batond(const char **ret_path, struct bt_command *command)
{
        const char *named = bt_find_variable(command->environ, "BATON_BATOND");
        const char *path = named ? named : beside_us(&command->mem);
        const char *wrong;

        if (!path)
                path = BATON_LIBEXECDIR "/batond";
        wrong = bt_find_not_executable(path);
        if (wrong) {
                bt_complain("cannot find the daemon: %s%s: %s", named ? "BATON_BATOND is " : "",
                            path, wrong);
                return BT_EXIT_FAILED;
        }
        *ret_path = path;
        return BT_EXIT_OK;
}

/* Returns only when it failed. */
static int exec_batond(struct bt_command *command, const char *path, int plan_fd)
{
        char name[] = "batond", option[] = "--plan";
        char *number = bt_mem_printf(&command->mem, "%d", plan_fd);
        char *const argv[] = {name, option, number, NULL};

        if (fcntl(plan_fd, F_SETFD, 0) < 0)
                bt_complain("cannot hand the plan over: %s", strerrordesc_np(errno));
        else if (execve(path, argv, command->environ) < 0)
                bt_complain("cannot start %s: %s", path, strerrordesc_np(errno));
        return BT_EXIT_FAILED;
}

int bt_verb_run(struct bt_command *command)
{
        BT_CLEANUP(bt_closep) int fd = -1;
        struct bt_config config = BT_CONFIG_NULL;
        const char *runtime = NULL, *state = NULL, *batond = NULL;
        int status = bt_command_config(command, &config, command->arg, false);

        if (!status)
                status = dirs(command, config.hub, &runtime, &state);
        if (!status)
                status = find_batond(&batond, command);
        if (!status)
                status = refuse_second(runtime, config.hub);
        if (!status)
                status = compile(&fd, &config, runtime, state);
        if (!status)
                status = exec_batond(command, batond, fd);
        bt_config_free(&config);
        return status;
}
