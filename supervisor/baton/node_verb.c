/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `baton node`: list, add, remove, drain, migrate. docs/nodes.md says what they promise.
 *
 * The options of `add` are the keys of a node in the configuration: they are made into the map that the configuration's reader reads, so there is one
 * set of rules and one set of sentences. What comes out is a plan of one node, which goes to the hub as a sealed memfd.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/fd.h"
#include "supervisor/baton/compile.h"
#include "supervisor/baton/progress.h"
#include "supervisor/baton/reader.h"
#include "supervisor/baton/table.h"
#include "supervisor/baton/text.h"

#define DRAIN_NS (60 * BT_NS_PER_S)

static const char *clean(struct bt_mem *mem, const char *text)
{
        char room[2048];

        bt_text_clean(room, sizeof(room), text, strlen(text), false);
        return bt_mem_copy(mem, room, strlen(room));
}

/* ---- add ---- */

static struct bt_yaml *scalar(struct bt_mem *mem, const char *text, size_t bytes)
{
        struct bt_yaml *node = bt_mem_alloc(mem, sizeof(*node));

        node->kind = BT_YAML_SCALAR;
        node->text = bt_mem_copy(mem, text, bytes);
        return node;
}

static struct bt_yaml *map_new(struct bt_mem *mem, size_t room)
{
        struct bt_yaml *map = bt_mem_alloc(mem, sizeof(*map));

        map->kind = BT_YAML_MAP;
        map->entries = bt_mem_array(mem, room, sizeof(*map->entries));
        return map;
}

static void map_add(struct bt_mem *mem, struct bt_yaml *map, const char *key, size_t key_bytes,
                    const struct bt_yaml *value)
{
        map->entries[map->entry_count++] =
                (struct bt_yaml_entry){scalar(mem, key, key_bytes), value};
}

/* The options as the map that the configuration would have. NULL: said what is wrong. */
static const struct bt_yaml *options_map(struct bt_command *command)
{
        struct bt_mem *mem = &command->mem;
        struct bt_yaml *map = map_new(mem, command->setting_count + 1);

        for (size_t i = 0; i < command->setting_count; i++) {
                const struct bt_setting *setting = &command->settings[i];
                bool pair = !strcmp(setting->key, "env") || !strcmp(setting->key, "exec") ||
                            !strcmp(setting->key, "defaults");
                const char *equals = pair ? strchr(setting->text, '=') : NULL;
                struct bt_yaml *inner = (struct bt_yaml *)bt_yaml_get(map, setting->key);

                if (pair && (!equals || equals == setting->text)) {
                        bt_complain("--%s is '%s', expected %s",
                                    *setting->key == 'd' ? "default" : setting->key, setting->text,
                                    *setting->key == 'e' && setting->key[1] == 'x' ? "POOL=PATH"
                                                                                   : "KEY=TEXT");
                        return NULL;
                }
                if (!pair) {
                        map_add(mem, map, setting->key, strlen(setting->key),
                                scalar(mem, setting->text, strlen(setting->text)));
                        continue;
                }
                if (!inner) {
                        inner = map_new(mem, command->setting_count);
                        map_add(mem, map, setting->key, strlen(setting->key), inner);
                }
                map_add(mem, inner, setting->text, (size_t)(equals - setting->text),
                        scalar(mem, equals + 1, strlen(equals + 1)));
        }
        return map;
}

/* A plan of the node. Returns enum bt_exit; what is wrong has been said. */
static int node_plan(struct bt_command *command, const char *name, int *ret_fd)
{
        char *here = get_current_dir_name();
        const struct bt_config_world world = {
                .dir = here ? here : "/", .environ = command->environ, .fragment = true};
        struct bt_config config = {.mem = BT_MEM_NULL, .fragment = true};
        struct bt_diag *diag = bt_mem_alloc(&command->mem, sizeof(*diag));
        struct bt_reader reader = {&config, diag, &world, NULL};
        const struct bt_yaml *map = options_map(command);
        const char *error = NULL;
        int status = map ? BT_EXIT_OK : BT_EXIT_USAGE;

        bt_diag_init(diag, "");
        config.hook_timeout_ns = 5 * BT_NS_PER_S;
        config.nodes = bt_mem_array(&config.mem, 1, sizeof(*config.nodes));
        config.node_count = 1;
        config.nodes[0].name = name;
        if (map)
                bt_read_node(&reader, &config.nodes[0], map);
        for (size_t i = 0; i < diag->item_count; i++)
                bt_complain("%s", diag->items[i].message);
        if (bt_diag_count(diag, BT_SEVERITY_ERROR))
                status = BT_EXIT_USAGE;
        if (!status && bt_compile(ret_fd, &config, NULL, NULL, &error)) {
                bt_complain("%s", error);
                status = BT_EXIT_FAILED;
        }
        bt_config_free(&config);
        free(here);
        return status;
}

/* ---- what came of it ---- */

static void outcomes_print(const struct bt_progress *progress)
{
        for (const struct bt_outcome *o = progress->outcomes; o; o = o->next) {
                if (o->outcome)
                        bt_progress_complain(o->child,
                                             *o->text ? o->text
                                                      : "failed, and the hub gave no reason");
        }
}

static void done_print(const struct bt_progress *progress, const char *word, const char *name)
{
        const struct bt_ctl_reply *done = &progress->done;

        name = bt_text_shown(&progress->command->mem, name); /* of a node, or a child that was moved */
        outcomes_print(progress);
        if (done->outcome && !done->value[1])
                bt_progress_complain(name, *done->text ? done->text
                                                       : "failed, and the hub gave no reason");
        if (done->value[0] || done->value[1] || !done->outcome)
                (void)printf("%s: %s, %" PRIu64 " moved, %" PRIu64 " forced, %" PRIu64
                             " stayed where they were\n",
                             name, word, done->value[0], done->incarnation, done->value[1]);
}

static void done_json(const struct bt_progress *progress, const char *name)
{
        const struct bt_ctl_reply *done = &progress->done;

        bt_say_json(
                json_pack("{s:s, s:o, s:s, s:i, s:I, s:I, s:I, s:o}", "event", "done", "node",
                          bt_json_text(name), "outcome", bt_progress_outcome_name(done->outcome),
                          "exit", bt_progress_exit(done->outcome), "migrated",
                          (json_int_t)done->value[0], "forced", (json_int_t)done->incarnation,
                          "failed", (json_int_t)done->value[1], "text", bt_json_text(done->text)));
}

/* @fd: borrowed. Returns enum bt_exit. */
static int ask_hub(struct bt_command *command, const struct bt_ctl_request *request, int fd,
                   const char *word, const char *name)
{
        struct bt_hub_place place = {0};
        struct bt_ask ask = BT_ASK_NULL;
        struct bt_progress progress;
        int status = bt_hubs_choose(&place, command);

        if (!status)
                status = bt_hubs_ask(&ask, &place, request, fd, command->timeout_ns);
        if (status)
                return status;
        status = bt_progress_follow(&progress, command, &place, &ask);
        bt_ask_close(&ask);
        if (status)
                return status;
        if (command->json)
                done_json(&progress, name);
        else
                done_print(&progress, word, name);
        return bt_progress_exit(progress.done.outcome);
}

/* Into a request's field. Returns enum bt_exit. */
static int put_name(char *room, size_t bytes, const char *name)
{
        if (strlen(name) >= bytes) {
                bt_complain("'%s' is longer than %zu bytes", name, bytes - 1);
                return BT_EXIT_USAGE;
        }
        memcpy(room, name, strlen(name) + 1);
        return BT_EXIT_OK;
}

static int node_add(struct bt_command *command)
{
        struct bt_ctl_request request = bt_hubs_request(BT_CTL_NODE_ADD);
        BT_CLEANUP(bt_closep) int fd = -1;
        int status = put_name(request.target, sizeof(request.target), command->args[1]);

        if (!status)
                status = node_plan(command, command->args[1], &fd);
        return status ? status : ask_hub(command, &request, fd, "joined", command->args[1]);
}

static int node_leave(struct bt_command *command, enum bt_ctl_op op, uint64_t deadline_ns,
                      const char *word)
{
        struct bt_ctl_request request = bt_hubs_request(op);
        int status = put_name(request.target, sizeof(request.target), command->args[1]);

        request.deadline_ns = command->deadline_ns ? command->deadline_ns : deadline_ns;
        return status ? status : ask_hub(command, &request, -1, word, command->args[1]);
}

static int node_remove(struct bt_command *command)
{
        return node_leave(command, BT_CTL_NODE_REMOVE, 0, "left");
}

static int node_drain(struct bt_command *command)
{
        return node_leave(command, BT_CTL_NODE_DRAIN, DRAIN_NS, "drained");
}

static int node_migrate(struct bt_command *command)
{
        struct bt_ctl_request request = bt_hubs_request(BT_CTL_NODE_MIGRATE);
        int status = put_name(request.target, sizeof(request.target), command->args[1]);

        request.strategy = command->strategy;
        if (!status)
                status = put_name(request.node, sizeof(request.node), command->args[2]);
        return status ? status : ask_hub(command, &request, -1, "migrated", command->args[1]);
}

/* ---- list ---- */

static void row_json(const struct bt_ctl_reply *row)
{
        bt_say_json(json_pack("{s:o, s:s, s:I, s:I, s:o}", "node", bt_json_text(row->child),
                              "state", row->phase, "children", (json_int_t)row->value[0], "weight",
                              (json_int_t)row->value[1], "resources", bt_json_text(row->text)));
}

static void row_add(struct bt_table *table, const struct bt_ctl_reply *row)
{
        char *text = bt_mem_copy(table->mem, row->text, strlen(row->text));
        size_t bytes = strlen(text);

        for (size_t i = 0; i < bytes; i++)
                text[i] = text[i] != '\n' ? text[i] : i + 1 < bytes ? ' ' : '\0';
        bt_table_add(table, clean(table->mem, row->child));
        bt_table_add(table, clean(table->mem, row->phase));
        bt_table_add(table, bt_mem_printf(table->mem, "%" PRIu64, row->value[0]));
        bt_table_add(table, bt_mem_printf(table->mem, "%" PRIu64, row->value[1]));
        bt_table_add(table, clean(table->mem, text));
}

static int node_list(struct bt_command *command)
{
        static const char *const heads[] = {"NODE", "STATE", "CHILDREN", "WEIGHT", "RESOURCES"};
        struct bt_ctl_request request = bt_hubs_request(BT_CTL_NODE_LIST);
        struct bt_table table = {.mem = &command->mem, .right = "llrrl"};
        struct bt_hub_place place = {0};
        struct bt_ask ask = BT_ASK_NULL;
        struct bt_ctl_reply reply = {0};
        int status = bt_hubs_choose(&place, command), r = 0;

        if (!status)
                status = bt_hubs_ask(&ask, &place, &request, -1, command->timeout_ns);
        if (status)
                return status;
        for (size_t i = 0; i < BT_ARRAY_LEN(heads); i++)
                bt_table_add(&table, heads[i]);
        while (!r && reply.kind != BT_CTL_DONE) {
                int fd = -1;

                r = bt_ask_reply(&ask, &reply, &fd);
                (void)bt_close(fd);
                if (!r && reply.kind == BT_CTL_NODE_ROW && command->json)
                        row_json(&reply);
                else if (!r && reply.kind == BT_CTL_NODE_ROW)
                        row_add(&table, &reply);
        }
        bt_ask_close(&ask);
        if (r)
                return bt_hubs_lost(&place, r);
        if (reply.outcome)
                bt_progress_complain("", reply.text);
        else if (!command->json)
                bt_table_print(&table, stdout);
        return bt_progress_exit(reply.outcome);
}

/* ---- the verb ---- */

int bt_verb_node(struct bt_command *command)
{
        static const struct {
                const char *name;
                int args;
                const char *takes;
                int (*run)(struct bt_command *command);
        } words[] = {
                {"list", 0, "nothing", node_list},
                {"add", 1, "the name of a node", node_add},
                {"remove", 1, "the name of a node", node_remove},
                {"drain", 1, "the name of a node", node_drain},
                {"migrate", 2, "a child and the name of a node", node_migrate},
        };
        int given = 0;

        while (given < 2 && command->args[given + 1])
                given++;
        for (size_t i = 0; i < BT_ARRAY_LEN(words); i++) {
                if (strcmp(words[i].name, command->args[0]) != 0)
                        continue;
                if (given != words[i].args) {
                        bt_complain("'baton node %s' takes %s", words[i].name, words[i].takes);
                        return BT_EXIT_USAGE;
                }
                return words[i].run(command);
        }
        bt_complain("unknown word '%s', expected list, add, remove, drain or migrate",
                    command->args[0]);
        return BT_EXIT_USAGE;
}
