/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A hub runs when its socket answers connect(). The folder alone says nothing: a killed hub leaves its socket behind.
 *
 * With exactly one hub running nobody has to name it; with several, guessing which one to stop would be the worst kind of help.
 */
#include "supervisor/baton/hubs.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <baton/types.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "supervisor/baton/find.h"
#include "supervisor/baton/reader.h"

#define PROBE_NS    (1 * BT_NS_PER_S)
#define NAMES_BYTES 1024

/* ---- choosing ---- */

static int entry_is_hub(const struct dirent *entry)
{
        return !bt_read_name(entry->d_name, BATON_NAME_BYTES_MAX);
}

static bool hub_answers(const char *runtime, const char *name)
{
        struct bt_ask ask = BT_ASK_NULL;
        int r = bt_ask_open(&ask, runtime, name, PROBE_NS);

        bt_ask_close(&ask);
        return !r || r == BT_ASK_E_TIMED_OUT; /* a full backlog: it is there, and busy */
}

/* How many hubs run in @runtime; the name of the last one, and all names in one line. */
static size_t hubs_running(struct bt_mem *mem, const char *runtime, const char **ret_name,
                           const char **ret_all)
{
        struct dirent **entries = NULL;
        int count = scandir(runtime, &entries, entry_is_hub, alphasort);
        const char *all = "";
        size_t running = 0;

        for (int i = 0; i < count; i++) {
                const char *name = bt_mem_copy(mem, entries[i]->d_name, strlen(entries[i]->d_name));

                free(entries[i]);
                if (!hub_answers(runtime, name))
                        continue;
                running++;
                *ret_name = name;
                if (strlen(all) < NAMES_BYTES)
                        all = bt_mem_printf(mem, "%s%s%s", all, *all ? ", " : "", name);
        }
        free(entries);
        *ret_all = all;
        return running;
}

static int choose_running(struct bt_hub_place *place, struct bt_command *command)
{
        const char *all = "", *name = NULL;
        size_t running = hubs_running(&command->mem, place->runtime, &name, &all);

        if (!running) {
                bt_complain("no hub runs in %s (start one with 'baton run FILE')", place->runtime);
                return BT_EXIT_NO_HUB;
        }
        if (running > 1) {
                bt_complain("%zu hubs run here: %s; say which with --hub NAME or BATON_HUB",
                            running, all);
                return BT_EXIT_USAGE;
        }
        place->name = name;
        return BT_EXIT_OK;
}

int bt_hubs_choose(struct bt_hub_place *ret_place, struct bt_command *command)
{
        const char *named =
                command->hub ? command->hub : bt_find_variable(command->environ, "BATON_HUB");
        const char *wrong =
                bt_find_runtime(&ret_place->runtime, &command->mem, command->environ, geteuid());

        if (wrong) {
                bt_complain("%s", wrong);
                return BT_EXIT_USAGE;
        }
        if (!named)
                return choose_running(ret_place, command);
        wrong = bt_read_name(named, BATON_NAME_BYTES_MAX);
        if (wrong) {
                bt_complain("'%s' cannot be the name of a hub: it %s", named, wrong);
                return BT_EXIT_USAGE;
        }
        wrong = bt_find_fits(&command->mem, ret_place->runtime, named);
        if (wrong) {
                bt_complain("%s", wrong);
                return BT_EXIT_USAGE;
        }
        ret_place->name = named;
        return BT_EXIT_OK;
}

/* ---- asking ---- */

static int complain_open(const struct bt_hub_place *place, int r)
{
        if (r == -ENOENT || r == -ENOTDIR || r == -ECONNREFUSED) {
                bt_complain("the hub '%s' does not run (nobody answers at %s/%s/control.sock)",
                            place->name, place->runtime, place->name);
                return BT_EXIT_NO_HUB;
        }
        if (r == BT_ASK_E_TIMED_OUT) {
                bt_complain("the hub '%s' does not accept connections in time", place->name);
                return BT_EXIT_TIMED_OUT;
        }
        bt_complain("cannot connect to %s/%s/control.sock: %s", place->runtime, place->name,
                    strerrordesc_np(-r));
        return BT_EXIT_FAILED;
}

int bt_hubs_lost(const struct bt_hub_place *place, int result)
{
        switch (result) {
        case BT_ASK_E_TIMED_OUT:
                bt_complain("the hub '%s' has not finished within the time limit; it goes on (see "
                            "'baton status', --timeout)",
                            place->name);
                return BT_EXIT_TIMED_OUT;
        case BT_ASK_E_CLOSED:
                bt_complain("the hub '%s' closed the connection without an outcome: it refused us, "
                            "or it died",
                            place->name);
                return BT_EXIT_FAILED;
        case BT_ASK_E_NONSENSE:
                bt_complain("the hub '%s' answers in another protocol: baton and batond must be of "
                            "the same release",
                            place->name);
                return BT_EXIT_FAILED;
        default:
                bt_complain("lost the hub '%s': %s", place->name, strerrordesc_np(-result));
                return BT_EXIT_FAILED;
        }
}

int bt_hubs_ask(struct bt_ask *ret_ask, const struct bt_hub_place *place,
                const struct bt_ctl_request *request, int fd, uint64_t timeout_ns)
{
        struct bt_ask ask = BT_ASK_NULL;
        int r = bt_ask_open(&ask, place->runtime, place->name, timeout_ns);

        if (r)
                return complain_open(place, r);
        r = bt_ask_send(&ask, request, fd);
        if (r) {
                bt_ask_close(&ask);
                return bt_hubs_lost(place, r == -EPIPE ? BT_ASK_E_CLOSED : r);
        }
        *ret_ask = ask;
        return BT_EXIT_OK;
}

struct bt_ctl_request bt_hubs_request(enum bt_ctl_op op)
{
        return (struct bt_ctl_request){
                .magic = BT_CTL_MAGIC,
                .version = BT_CTL_VERSION,
                .op = (uint32_t)op,
                .strategy = BT_CTL_STRATEGY_SPEC,
        };
}
