/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a child's keys mean together, once all are known: what a plain program cannot have, how large a state is without being told, which
 * file `exec` names, what the environment is.
 */
#include <limits.h>
#include <string.h>

#include <baton/types.h>

#include "base/cleanup.h"
#include "shm/layout.h"
#include "supervisor/baton/find.h"
#include "supervisor/baton/reader.h"

/*
 * A program that does not use the library has no state to hand over, and a plain one does not even say when it is ready. Said on the child itself that is a
 * mistake; from `defaults` it is just not meant for it.
 */
static void finish_foreign(struct bt_reader *reader, struct bt_config_child *child)
{
        static const char *const refused[] = {"handover", "state", "spare", "zygote", "strategy", "watchdog"};
        bool plain = child->spec.protocol == BT_PROTOCOL_PLAIN;
        const bool wants[] = {child->spec.handover != 0, child->spec.state_form != BATON_STATE_NONE,
                              child->spec.spare != 0, child->spec.zygote != 0,
                              plain && child->spec.strategy == BT_STRATEGY_HOT,
                              plain && child->spec.watchdog_ns};

        for (size_t i = 0; i < BT_ARRAY_LEN(refused); i++) {
                const struct bt_yaml *own = bt_yaml_get(child->node, refused[i]);

                if (own && wants[i])
                        bt_diag_error(reader->diag, own->mark,
                                      "'%s' needs a program that speaks with the hub, and this "
                                      "child's protocol is %s",
                                      refused[i], plain ? "plain" : "notify");
        }
        child->spec.spare = 0;
        child->spec.handover = 0;
        child->spec.zygote = 0;
        child->spec.state_form = BATON_STATE_NONE;
        if (!plain)
                return;
        child->spec.strategy = BT_STRATEGY_COLD;
        child->spec.watchdog_ns = 0;
}

static void finish_state(struct bt_reader *reader, struct bt_config_child *child)
{
        struct bt_plan_child *spec = &child->spec;

        if (spec->state_form == BATON_STATE_NONE)
                spec->state_bytes_max = 0;
        else if (!spec->state_bytes_max)
                spec->state_bytes_max = spec->state_form == BATON_STATE_BLOB ? UINT64_C(1) << 20
                                                                             : UINT64_C(1) << 30;
        if (spec->state_form == BATON_STATE_ARENA && spec->state_bytes_max < BT_ARENA_BYTES_MIN)
                bt_diag_error(reader->diag, child->state_mark, "an arena has at least 64KiB");
}

/* Says it about a key of the child itself. From `defaults` it is just not meant for this child. */
static void refuse_own(struct bt_reader *reader, const struct bt_config_child *child,
                       const char *key, const char *why)
{
        const struct bt_yaml *own = bt_yaml_get(child->node, key);

        if (own)
                bt_diag_error(reader->diag, own->mark, "'%s' %s", key, why);
}

/* What is kept ready was started before anybody could be asked, and is held. */
static void finish_spare(struct bt_reader *reader, struct bt_config_child *child)
{
        const char *why = !child->spec.hold ? "needs a process that is held, and hold is false" :
                          child->alter      ? "cannot be kept for a child with 'alter', which is asked before each start" :
                                              NULL;

        if (!child->spec.spare || !why)
                return;
        refuse_own(reader, child, "spare", why);
        child->spec.spare = 0;
}

/* A child that uses the library is watched by nobody yet: said, and not silently ignored. */
static void finish_watchdog(struct bt_reader *reader, struct bt_config_child *child)
{
        refuse_own(reader, child, "watchdog", "needs protocol: notify");
        child->spec.watchdog_ns = 0;
}

/* To be asked for checkpoints, or to have them on the disk, takes room for them; either says so by itself. */
static void finish_checkpoint(struct bt_reader *reader, struct bt_config_child *child)
{
        static const char stateless[] = "needs a state: write state: blob or state: arena";
        struct bt_plan_child *spec = &child->spec;

        if (spec->durability >= BT_DURABILITY_ASYNC && !spec->handover) {
                refuse_own(reader, child, "durability",
                           "is async or sync, which needs handover: true: without it nothing is "
                           "read back");
                spec->durability = BT_DURABILITY_SHUTDOWN;
        }
        if (spec->state_form == BATON_STATE_NONE) {
                if (spec->checkpoint)
                        refuse_own(reader, child, "checkpoint", stateless);
                if (spec->checkpoint_every_ns)
                        refuse_own(reader, child, "checkpoint_every", stateless);
                if (spec->durability >= BT_DURABILITY_ASYNC)
                        refuse_own(reader, child, "durability", stateless);
                spec->checkpoint = 0;
                spec->checkpoint_every_ns = 0;
                if (spec->durability >= BT_DURABILITY_ASYNC)
                        spec->durability = BT_DURABILITY_SHUTDOWN;
                return;
        }
        if (!spec->checkpoint_every_ns && spec->durability < BT_DURABILITY_ASYNC)
                return;
        if (!spec->checkpoint)
                refuse_own(reader, child, "checkpoint",
                           "is false, but checkpoint_every or durability asks for checkpoints");
        spec->checkpoint = 1;
}

static void finish_exec(struct bt_reader *reader, struct bt_config_child *child)
{
        const char *name = child->argv.count ? child->argv.items[0] : NULL;
        const char *wrong = NULL;

        if (!name) {
                if (!bt_yaml_get(child->node, "exec"))
                        bt_diag_error(reader->diag, child->mark,
                                      "the child '%s' has no 'exec', such as exec: [./web, --fast]",
                                      child->name);
                return;
        }
        if (!*name) {
                bt_diag_error(reader->diag, child->argv_mark,
                              "'exec': the name of the program is empty");
                return;
        }
        if (strlen(reader->world->dir) + strlen(name) + 2 > PATH_MAX) {
                bt_diag_error(reader->diag, child->argv_mark, "'exec': the path is too long");
                return;
        }
        if (reader->world->offline) {
                child->exec = bt_read_path(reader, name);
                return;
        }
        if (strchr(name, '/')) {
                child->exec = bt_read_path(reader, name);
                wrong = bt_find_not_executable(child->exec);
                if (wrong)
                        bt_diag_error(reader->diag, child->argv_mark, "'exec' is %s: %s",
                                      child->exec, wrong);
                return;
        }
        child->exec = bt_find_in_path(&reader->config->mem, reader->world->environ, name);
        if (!child->exec)
                bt_diag_error(reader->diag, child->argv_mark,
                              "no program '%s' in PATH (write ./%s for one beside this file)", name,
                              name);
}

void bt_read_child_finish(struct bt_reader *reader, struct bt_config_child *child,
                          const struct bt_config_child *defaults)
{
        if (child->spec.protocol != BT_PROTOCOL_BATON)
                finish_foreign(reader, child);
        else if (child->spec.watchdog_ns)
                finish_watchdog(reader, child);
        finish_state(reader, child);
        finish_checkpoint(reader, child);
        finish_spare(reader, child);
        bt_read_mailbox_finish(reader, child);
        bt_read_redundancy_finish(reader, child);
        finish_exec(reader, child);
        if (child->own_env.items == defaults->own_env.items &&
            child->env_clear == defaults->env_clear)
                child->env = defaults->env;
        else
                child->env = bt_find_environment(&reader->config->mem,
                                                 child->env_clear ? NULL : reader->world->environ,
                                                 &child->own_env);
        if (child->env.count > BT_PLAN_LIST_MAX)
                bt_diag_error(reader->diag, child->mark,
                              "the environment of '%s' has more than %d variables", child->name,
                              BT_PLAN_LIST_MAX);
}
