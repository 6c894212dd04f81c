/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `baton child`: children of a running hub (docs/children.md).
 *
 *      baton child add FILE [--no-wait] [--deadline D] [--on-failure continue|rollback]
 *      baton child remove ID.. | --tag TAG  [--drop-state] [--no-wait] [--deadline D]
 *      baton child stop ID..                      its spec stays; so for start and restart, and for a group's name
 *      baton child start ID..
 *      baton child restart ID..
 *      baton child delete ID..                    as remove, and refuses what runs
 *      baton child list [--tag TAG] [--meta KEY=TEXT] [--node NODE]
 *      baton child find ID | --tag TAG ..         the same, and exit status 3 when there is none
 *      baton child result NUMBER [--no-wait]      of an add or a remove
 *
 * The file is compiled here, by what compiles the file of `baton run`, and the hub gets the plan. What the hub answers is a table in a memfd: all
 * of it comes, however slow this program reads.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/fd.h"
#include "shm/node.h"
#include "supervisor/baton/compile.h"
#include "supervisor/baton/hubs.h"
#include "supervisor/baton/progress.h"
#include "supervisor/baton/table.h"
#include "supervisor/baton/text.h"
#include "supervisor/baton/value.h"

#define RESULTS_SHOWN 20 /* for people, of what went well; what did not is always shown */

struct word {
        const char *name;
        const char *usage;
        size_t args_min, args_max;
        int (*run)(struct bt_command *command);
};

/* ---- asking ---- */

/* What a hub answered. */
struct answer {
        struct bt_hub_place place;
        uint64_t number;   /* of the request; 0: it was not taken */
        uint32_t kind;     /* of what is in @table: enum bt_ctl_kind; 0: nothing came */
        char *table;       /* with a NUL behind it */
        size_t bytes;
        uint64_t count;
        struct bt_ctl_reply done;
};

static int table_read(struct bt_command *command, struct answer *answer, const struct bt_ctl_reply *reply, int fd)
{
        struct stat st;

        if (fstat(fd, &st) < 0 || st.st_size < 0)
                return BT_ASK_E_NONSENSE;
        answer->bytes = (size_t)st.st_size;
        answer->table = bt_mem_alloc(&command->mem, answer->bytes + 1);
        if (pread(fd, answer->table, answer->bytes, 0) != (ssize_t)answer->bytes)
                return -EIO;
        answer->count = reply->value[0];
        answer->kind = reply->kind;
        return 0;
}

/* The request was taken and the wait is over: it is carried out all the same, and its result can be had. */
static int lost(const struct answer *answer, int r)
{
        if (r != BT_ASK_E_TIMED_OUT || !answer->number)
                return bt_hubs_lost(&answer->place, r);
        bt_complain("request %" PRIu64 " is not over within the time limit; it goes on: 'baton child result %" PRIu64 "' waits for it",
                    answer->number, answer->number);
        return BT_EXIT_TIMED_OUT;
}

/* Returns enum bt_exit of the conversation. */
static int converse(struct bt_command *command, const struct bt_ctl_request *request, int fd, struct answer *answer)
{
        struct bt_ask ask = BT_ASK_NULL;
        struct bt_ctl_reply reply = {0};
        int status = bt_hubs_choose(&answer->place, command);
        int r = 0, got = -1;

        if (!status)
                status = bt_hubs_ask(&ask, &answer->place, request, fd, command->timeout_ns);
        if (status)
                return status;
        while (!r && !(r = bt_ask_reply(&ask, &reply, &got)) && reply.kind != BT_CTL_DONE) {
                if (reply.kind == BT_CTL_EVENT)
                        answer->number = reply.value[0];
                else if ((reply.kind == BT_CTL_RESULTS || reply.kind == BT_CTL_CHILDREN) && got >= 0)
                        r = table_read(command, answer, &reply, got);
                got = bt_close(got);
        }
        bt_ask_close(&ask);
        if (r)
                return lost(answer, r);
        answer->done = reply;
        return BT_EXIT_OK;
}

static const char *cleaned(struct bt_command *command, const char *text)
{
        char room[512];

        bt_text_clean(room, sizeof(room), text, strlen(text), false);
        return bt_mem_copy(&command->mem, room, strlen(room));
}

/* ---- results ---- */

static const char *what_name(uint32_t what)
{
        static const char *const names[_BT_CTL_WHAT_N] = {"pending", "started", "already_started", "not_found", "failed", "removed", "rolled_back", "stopped"};

        return what < _BT_CTL_WHAT_N ? names[what] : "unknown";
}

static bool went_well(const struct bt_ctl_result *result)
{
        return result->what == BT_CTL_STARTED || result->what == BT_CTL_REMOVED || result->what == BT_CTL_STOPPED;
}

static void result_print(struct bt_command *command, const struct bt_ctl_result *result, uint64_t *shown)
{
        const char *child = cleaned(command, result->child), *text = cleaned(command, result->text);

        if (command->json)
                bt_say_json(json_pack("{s:o, s:s, s:s}", "child", bt_json_text(result->child), "result", what_name(result->what), "text", text));
        else if (!went_well(result) && result->what != BT_CTL_PENDING)
                bt_complain("%s: %s%s%s", child, what_name(result->what), *text ? ": " : "", text);
        else if ((*shown)++ < RESULTS_SHOWN)
                (void)printf("%s: %s%s%s%s\n", child, what_name(result->what), *text ? " (" : "", text, *text ? ")" : "");
}

static void totals_print(const struct bt_command *command, const struct answer *answer, const uint64_t *counts, uint64_t shown)
{
        if (command->json) {
                bt_say_json(json_pack("{s:s, s:s, s:I, s:I, s:I}", "event", "done", "outcome", bt_progress_outcome_name(answer->done.outcome),
                                      "request", (json_int_t)answer->number, "done", (json_int_t)answer->done.value[0], "not_done",
                                      (json_int_t)answer->done.value[1]));
                return;
        }
        if (shown > RESULTS_SHOWN)
                (void)printf("and %" PRIu64 " more\n", shown - RESULTS_SHOWN);
        for (uint32_t what = 0, first = 1; what < _BT_CTL_WHAT_N; what++)
                if (counts[what]) {
                        (void)printf("%s%" PRIu64 " %s", first ? "" : ", ", counts[what], what_name(what));
                        first = 0;
                }
        (void)puts("");
}

/* What became of each, and of all. Returns enum bt_exit. */
static int results_report(struct bt_command *command, struct answer *answer)
{
        struct bt_ctl_result *results = (void *)answer->table;
        uint64_t counts[_BT_CTL_WHAT_N] = {0}, shown = 0;

        if (answer->kind != BT_CTL_RESULTS) {
                bt_complain("%s", *answer->done.text ? cleaned(command, answer->done.text) : "failed, and the hub gave no reason");
                return bt_progress_exit(answer->done.outcome);
        }
        if (answer->bytes != answer->count * sizeof(*results)) {
                bt_complain("the hub's results have another length than it says");
                return BT_EXIT_FAILED;
        }
        for (uint64_t i = 0; i < answer->count; i++) {
                results[i].child[sizeof(results[i].child) - 1] = '\0';
                results[i].text[sizeof(results[i].text) - 1] = '\0';
                counts[results[i].what < _BT_CTL_WHAT_N ? results[i].what : BT_CTL_PENDING]++;
                result_print(command, &results[i], &shown);
        }
        totals_print(command, answer, counts, shown);
        return bt_progress_exit(answer->done.outcome);
}

/* An add or a remove that was sent. Returns enum bt_exit. */
static int request_report(struct bt_command *command, struct answer *answer)
{
        if (!command->no_wait || answer->done.outcome)
                return results_report(command, answer);
        if (command->json)
                bt_say_json(json_pack("{s:s, s:I, s:I}", "event", "accepted", "request", (json_int_t)answer->number, "children",
                                      (json_int_t)answer->done.value[0]));
        else
                (void)printf("request %" PRIu64 ": %" PRIu64 " %s; 'baton child result %" PRIu64 "' says what became of it\n", answer->number,
                             answer->done.value[0], answer->done.value[0] == 1 ? "child" : "children", answer->number);
        return BT_EXIT_OK;
}

static struct bt_ctl_request request_new(const struct bt_command *command, enum bt_ctl_op op)
{
        struct bt_ctl_request request = bt_hubs_request(op);

        request.live.deadline_ns = command->deadline_ns;
        request.live.flags = (command->no_wait ? BT_CTL_LIVE_NO_WAIT : 0) | (command->rollback ? BT_CTL_LIVE_ROLLBACK : 0) |
                             (command->drop_state ? BT_CTL_LIVE_DROP_STATE : 0);
        return request;
}

/* ---- add ---- */

static int run_add(struct bt_command *command)
{
        struct bt_ctl_request request = request_new(command, BT_CTL_CHILD_ADD);
        BT_CLEANUP(bt_closep) int fd = -1;
        struct bt_config config = BT_CONFIG_NULL;
        struct answer answer = {0};
        const char *error = NULL;
        int status = bt_command_config(command, &config, command->words[1], true);

        if (!status && bt_compile(&fd, &config, NULL, NULL, &error)) {
                bt_complain("%s", error);
                status = BT_EXIT_FAILED;
        }
        if (!status)
                status = converse(command, &request, fd, &answer);
        bt_config_free(&config);
        return status ? status : request_report(command, &answer);
}

/* ---- who is meant ---- */

static int select_put(char *room, size_t room_bytes, const char *text, const char *what)
{
        if (!text)
                return BT_EXIT_OK;
        if (!*text || strlen(text) >= room_bytes) {
                bt_complain("%s is '%s', expected from 1 to %zu bytes", what, text, room_bytes - 1);
                return BT_EXIT_USAGE;
        }
        memcpy(room, text, strlen(text) + 1);
        return BT_EXIT_OK;
}

/* Options and, when there is one, the id. Returns enum bt_exit. */
static int select_fill(const struct bt_command *command, struct bt_ctl_select *select, const char *id)
{
        int status = select_put(select->id, sizeof(select->id), id, "the id");

        if (!status)
                status = select_put(select->tag, sizeof(select->tag), command->tag, "--tag");
        if (!status)
                status = select_put(select->node, sizeof(select->node), command->node, "--node");
        if (!status && command->meta && !strchr(command->meta, '=')) {
                bt_complain("--meta is '%s', expected KEY=TEXT", command->meta);
                status = BT_EXIT_USAGE;
        }
        if (!status)
                status = select_put(select->meta, sizeof(select->meta), command->meta, "--meta");
        return status;
}

static bool selects(const struct bt_command *command)
{
        return command->tag || command->meta || command->node;
}

/* ---- remove ---- */

/* The ids in a sealed memfd. Returns enum bt_exit. */
static int ids_seal(const struct bt_command *command, int *ret_fd)
{
        BT_CLEANUP(bt_closep) int fd = memfd_create("baton-ids", MFD_CLOEXEC | MFD_ALLOW_SEALING);
        int r = fd < 0 ? -errno : 0;

        for (size_t i = 1; !r && i < command->word_count; i++)
                r = bt_write_all(fd, command->words[i], strlen(command->words[i]) + 1);
        if (!r && fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL) < 0)
                r = -errno;
        if (r) {
                bt_complain("cannot make a memfd for the ids: %s", strerrordesc_np(-r));
                return BT_EXIT_FAILED;
        }
        *ret_fd = BT_STEAL_FD(fd);
        return BT_EXIT_OK;
}

static int run_about(struct bt_command *command, enum bt_ctl_op op, uint32_t flags)
{
        struct bt_ctl_request request = request_new(command, op);
        const char *one = command->word_count == 2 ? command->words[1] : NULL;
        BT_CLEANUP(bt_closep) int fd = -1;
        struct answer answer = {0};
        int status = BT_EXIT_OK;

        if ((command->word_count > 1) == selects(command)) {
                bt_complain("%s which children? Say their ids, or --tag, --meta, --node, and not both", command->words[0]);
                return BT_EXIT_USAGE;
        }
        request.live.flags |= flags;
        if (one || selects(command))
                status = select_fill(command, &request.live.select, one);
        else
                status = ids_seal(command, &fd);
        if (!status)
                status = converse(command, &request, fd, &answer);
        return status ? status : request_report(command, &answer);
}

static int run_remove(struct bt_command *command)
{
        return run_about(command, BT_CTL_CHILD_REMOVE, 0);
}

static int run_delete(struct bt_command *command)
{
        return run_about(command, BT_CTL_CHILD_REMOVE, BT_CTL_LIVE_STOPPED_ONLY);
}

static int run_stop(struct bt_command *command)
{
        return run_about(command, BT_CTL_CHILD_STOP, 0);
}

static int run_start(struct bt_command *command)
{
        return run_about(command, BT_CTL_CHILD_START, 0);
}

static int run_restart(struct bt_command *command)
{
        return run_about(command, BT_CTL_CHILD_RESTART, 0);
}

/* ---- list ---- */

/* Strings of a record as a list, each made harmless. NULL: the table is not what it should be. */
static json_t *labels(struct bt_command *command, const struct answer *answer, uint32_t off, uint32_t count)
{
        json_t *list = json_array();

        for (size_t at = off; count--; at += strlen(answer->table + at) + 1) {
                if (at >= answer->bytes) {
                        json_decref(list);
                        return NULL;
                }
                if (json_array_append_new(list, json_string(cleaned(command, answer->table + at))))
                        bt_mem_exhausted();
        }
        return list;
}

/* "a=b" pairs as an object. */
static json_t *meta_object(json_t *pairs)
{
        json_t *object = json_object(), *pair;
        size_t i;

        json_array_foreach(pairs, i, pair) {
                const char *text = json_string_value(pair);
                size_t bytes = strcspn(text, "=");
                char key[64];

                (void)snprintf(key, sizeof(key), "%.*s", (int)bytes, text);
                if (text[bytes] && json_object_set_new(object, key, json_string(text + bytes + 1)))
                        bt_mem_exhausted();
        }
        return object;
}

static const char *joined(struct bt_command *command, json_t *list)
{
        const char *text = "";
        json_t *item;
        size_t i;

        json_array_foreach(list, i, item)
                text = bt_mem_printf(&command->mem, "%s%s%s", text, i ? " " : "", json_string_value(item));
        return text;
}

static void child_row(struct bt_command *command, struct bt_table *table, const struct bt_ctl_child *child, json_t *tags, json_t *meta)
{
        bt_table_add(table, cleaned(command, child->id));
        bt_table_add(table, cleaned(command, child->node));
        bt_table_add(table, bt_phase_name(child->phase));
        bt_table_add(table, child->pid ? bt_mem_printf(&command->mem, "%" PRId64, child->pid) : "-");
        bt_table_add(table, child->live ? "live" : "file");
        bt_table_add(table, joined(command, tags));
        bt_table_add(table, joined(command, meta));
}

static void child_json(struct bt_command *command, const struct bt_ctl_child *child, json_t *tags, json_t *meta)
{
        bt_say_json(json_pack("{s:o, s:o, s:s, s:s, s:I, s:I, s:b, s:O, s:o}", "child", bt_json_text(child->id), "pool",
                              bt_json_text(child->pool), "node", cleaned(command, child->node), "phase", bt_phase_name(child->phase), "pid",
                              (json_int_t)child->pid, "incarnation", (json_int_t)child->incarnation, "live", (int)child->live, "tags", tags, "meta",
                              meta_object(meta)));
}

/* Returns enum bt_exit. */
static int children_print(struct bt_command *command, const struct answer *answer)
{
        static const char *const heads[] = {"CHILD", "NODE", "PHASE", "PID", "FROM", "TAGS", "META"};
        struct bt_table table = {.mem = &command->mem, .right = "lllrlll"};
        struct bt_ctl_child *children = (void *)answer->table;

        if (answer->bytes / sizeof(*children) < answer->count) {
                bt_complain("the hub's list is shorter than it says");
                return BT_EXIT_FAILED;
        }
        for (size_t i = 0; i < BT_ARRAY_LEN(heads); i++)
                bt_table_add(&table, heads[i]);
        for (uint64_t i = 0; i < answer->count; i++) {
                struct bt_ctl_child *child = &children[i];
                json_t *tags = labels(command, answer, child->tags, child->tag_count);
                json_t *meta = labels(command, answer, child->meta, child->meta_count);

                if (!tags || !meta) {
                        bt_complain("the hub's list does not make sense");
                        return BT_EXIT_FAILED;
                }
                child->id[sizeof(child->id) - 1] = child->pool[sizeof(child->pool) - 1] = child->node[sizeof(child->node) - 1] = '\0';
                if (command->json)
                        child_json(command, child, tags, meta);
                else
                        child_row(command, &table, child, tags, meta);
                json_decref(tags);
                json_decref(meta);
        }
        if (!command->json && answer->count)
                bt_table_print(&table, stdout);
        return BT_EXIT_OK;
}

static int list(struct bt_command *command, struct answer *answer)
{
        struct bt_ctl_request request = request_new(command, BT_CTL_CHILD_LIST);
        int status = select_fill(command, &request.live.select, command->word_count > 1 ? command->words[1] : NULL);

        if (!status)
                status = converse(command, &request, -1, answer);
        if (status)
                return status;
        if (answer->done.outcome || answer->kind != BT_CTL_CHILDREN) {
                bt_complain("%s", *answer->done.text ? cleaned(command, answer->done.text) : "the hub gave no list");
                return BT_EXIT_FAILED;
        }
        return children_print(command, answer);
}

static int run_list(struct bt_command *command)
{
        struct answer answer = {0};

        return list(command, &answer);
}

static int run_find(struct bt_command *command)
{
        struct answer answer = {0};
        int status;

        if (command->word_count < 2 && !selects(command)) {
                bt_complain("find which children? Say an id or a pool, or --tag, --meta, --node");
                return BT_EXIT_USAGE;
        }
        status = list(command, &answer);
        if (!status && !answer.count) {
                bt_complain("there is no such child");
                return BT_EXIT_NO_SUCH;
        }
        return status;
}

/* ---- result ---- */

static int run_result(struct bt_command *command)
{
        struct bt_ctl_request request = request_new(command, BT_CTL_CHILD_RESULT);
        struct answer answer = {0};
        const char *wrong = bt_value_number(&request.sequence, command->words[1], 1, UINT64_MAX);
        int status;

        if (wrong) {
                bt_complain("'%s' cannot be the number of a request: %s", command->words[1], wrong);
                return BT_EXIT_USAGE;
        }
        status = converse(command, &request, -1, &answer);
        answer.number = request.sequence;
        return status ? status : results_report(command, &answer);
}

/* ---- the words ---- */

static const struct word words[] = {
        {"add", "child add FILE", 1, 1, run_add},
        {"remove", "child remove ID.. (or --tag TAG)", 0, SIZE_MAX, run_remove},
        {"delete", "child delete ID.. (or --tag TAG)", 0, SIZE_MAX, run_delete},
        {"stop", "child stop ID.. (or --tag TAG)", 0, SIZE_MAX, run_stop},
        {"start", "child start ID.. (or --tag TAG)", 0, SIZE_MAX, run_start},
        {"restart", "child restart ID.. (or --tag TAG)", 0, SIZE_MAX, run_restart},
        {"list", "child list", 0, 0, run_list},
        {"find", "child find ID (or --tag TAG)", 0, 1, run_find},
        {"result", "child result NUMBER", 1, 1, run_result},
};

int bt_verb_child(struct bt_command *command)
{
        const char *names[BT_ARRAY_LEN(words) + 1] = {NULL};
        size_t args = command->word_count - 1;
        const char *guess;

        for (size_t i = 0; i < BT_ARRAY_LEN(words); i++) {
                const struct word *word = &words[i];

                names[i] = word->name;
                if (strcmp(command->words[0], word->name) != 0)
                        continue;
                if (args >= word->args_min && args <= word->args_max)
                        return word->run(command);
                bt_complain("expected 'baton %s'", word->usage);
                return BT_EXIT_USAGE;
        }
        guess = bt_text_suggest(command->words[0], names);
        bt_complain("unknown word '%s'%s%s%s; expected add, remove, delete, stop, start, restart, list, find or result", command->words[0], guess ? " (did you mean '" : "",
                    guess ? guess : "", guess ? "'?)" : "");
        return BT_EXIT_USAGE;
}
