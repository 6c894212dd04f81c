/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `baton call` and `baton cast`: one message to a child or a pool, from a shell. They are clients like any other (<baton/client.h>).
 *
 * `baton queue`: what waits in mailboxes, as the hub sees it.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <baton/client.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/fd.h"
#include "shm/node.h"
#include "supervisor/baton/hubs.h"
#include "supervisor/baton/progress.h"
#include "supervisor/baton/table.h"
#include "supervisor/baton/text.h"

#define ANSWER_BYTES BATON_CLIENT_REPLY_MAX
#define TEXT_BYTES   ((size_t)ANSWER_BYTES + 1)

/* ---- one message ---- */

/* What a client's error is for the shell. Returns enum bt_exit. */
static int complain(const char *target, int r, const char *why)
{
        const char *text = why && *why ? why : baton_strerror(r);

        if (r == -EAGAIN || r == -ETIMEDOUT)
                text = "not within the deadline (--deadline); see 'baton queue'";
        else if (r == -EMSGSIZE)
                text = "the text is longer than a message of this child (key `mailbox.bytes`)";
        bt_progress_complain(target, text);
        switch (r) {
        case -ENOENT:
                return BT_EXIT_NO_SUCH;
        case -EAGAIN:
        case -ETIMEDOUT:
                return BT_EXIT_TIMED_OUT;
        default:
                return BT_EXIT_FAILED;
        }
}

static void client_closep(struct baton_client **client)
{
        *client = baton_client_close(*client);
}

/* Returns enum bt_exit. */
static int attach(struct bt_command *command, const struct bt_hub_place *place,
                  struct baton_client **ret_client, struct baton_target **ret_target)
{
        const struct baton_client_options options = {.size = sizeof(options),
                                                     .calls = 1,
                                                     .reply_bytes = ANSWER_BYTES,
                                                     .timeout_ns = command->timeout_ns};
        const struct baton_target_options by_key = {.size = sizeof(by_key),
                                                    .pick = BATON_PICK_HASH};
        char why[BATON_WHY_BYTES] = "";
        int r = baton_client_open(
                ret_client, bt_mem_printf(&command->mem, "%s/%s", place->runtime, place->name),
                &options, why);

        if (r) {
                bt_complain("the hub '%s': %s", place->name, why);
                return r == -ENOENT || r == -ECONNREFUSED ? BT_EXIT_NO_HUB
                       : r == -ETIMEDOUT                  ? BT_EXIT_TIMED_OUT
                                                          : BT_EXIT_FAILED;
        }
        r = baton_client_target(ret_target, *ret_client, command->args[0],
                                command->key ? &by_key : NULL, why);
        return r ? complain(command->args[0], r, why) : BT_EXIT_OK;
}

static void print_answer(struct bt_command *command, const struct baton_reply *reply,
                         uint64_t elapsed_ns)
{
        char *text = bt_mem_alloc(&command->mem, TEXT_BYTES);

        bt_text_clean(text, TEXT_BYTES, reply->data, reply->bytes, true);
        if (!command->json) {
                if (reply->bytes)
                        (void)puts(text);
                return;
        }
        bt_say_json(json_pack("{s:o, s:i, s:I, s:I, s:s}", "child", bt_json_text(command->args[0]),
                              "status", reply->status, "bytes", (json_int_t)reply->bytes,
                              "elapsed_ns", (json_int_t)elapsed_ns, "answer", text));
}

/* A number for a key; 0: there is none. FNV-1a: nothing depends on how good it is, the library mixes it again. */
static uint64_t key_number(const char *key)
{
        uint64_t number = UINT64_C(0xcbf29ce484222325);

        if (!key)
                return 0;
        for (; *key; key++)
                number = (number ^ (uint8_t)*key) * UINT64_C(0x100000001b3);
        return number;
}

static int say(struct bt_command *command, bool wants_answer)
{
        BT_CLEANUP(client_closep) struct baton_client *client = NULL;
        struct baton_target *target = NULL;
        struct bt_hub_place place = {0};
        struct baton_send send = {.size = sizeof(send), .data = command->args[1]};
        struct baton_reply reply = {.data = bt_mem_alloc(&command->mem, ANSWER_BYTES),
                                    .room = ANSWER_BYTES};
        uint64_t begun_ns;
        int status, r;

        if (!command->args[1]) {
                bt_complain("TEXT is missing: what to say to '%s'", command->args[0]);
                return BT_EXIT_USAGE;
        }
        status = bt_hubs_choose(&place, command);
        if (!status)
                status = attach(command, &place, &client, &target);
        if (status)
                return status;
        begun_ns = bt_now_ns();
        send.bytes = strlen(command->args[1]);
        send.key = key_number(command->key);
        send.timeout_ns = command->deadline_ns ? command->deadline_ns : command->timeout_ns;
        r = wants_answer ? baton_client_call(target, &send, &reply)
                         : baton_client_cast(target, &send);
        if (r)
                return complain(command->args[0], r, NULL);
        if (wants_answer)
                print_answer(command, &reply, bt_now_ns() - begun_ns);
        if (wants_answer && reply.status && !command->json)
                bt_progress_complain(command->args[0],
                                     bt_mem_printf(&command->mem, "the message failed: %s",
                                                   baton_strerror(reply.status)));
        return wants_answer && reply.status ? BT_EXIT_FAILED : BT_EXIT_OK;
}

int bt_verb_call(struct bt_command *command)
{
        return say(command, true);
}

int bt_verb_cast(struct bt_command *command)
{
        return say(command, false);
}

/* ---- what waits ---- */

/* The hub's array. Returns enum bt_exit. */
static int queues_ask(struct bt_command *command, int *ret_fd)
{
        struct bt_ctl_request request = bt_hubs_request(BT_CTL_QUEUE);
        struct bt_hub_place place = {0};
        struct bt_ask ask = BT_ASK_NULL;
        struct bt_ctl_reply reply;
        int status = bt_hubs_choose(&place, command);
        int r, got = -1;

        if (command->arg && strlen(command->arg) >= sizeof(request.target)) {
                bt_progress_complain(command->arg, "no such child");
                return BT_EXIT_NO_SUCH;
        }
        if (command->arg)
                (void)snprintf(request.target, sizeof(request.target), "%s", command->arg);
        if (!status)
                status = bt_hubs_ask(&ask, &place, &request, -1, command->timeout_ns);
        if (status)
                return status;
        while (!(r = bt_ask_reply(&ask, &reply, &got)) && reply.kind != BT_CTL_DONE) {
                if (reply.kind == BT_CTL_QUEUES && *ret_fd < 0)
                        *ret_fd = BT_STEAL_FD(got);
                got = bt_close(got);
        }
        (void)bt_close(got);
        bt_ask_close(&ask);
        if (r)
                return bt_hubs_lost(&place, r);
        if (reply.outcome)
                bt_progress_complain(command->arg ? command->arg : place.name, reply.text);
        return bt_progress_exit(reply.outcome);
}

/* Whose it is: a child's own, a pool's, or a member's part in that. */
static const char *queue_is(const struct bt_ctl_queue *queue)
{
        static const char *const names[] = {"own", "shared", "member"};

        return queue->is < BT_ARRAY_LEN(names) ? names[queue->is] : "unknown";
}

static json_t *queue_json(const struct bt_ctl_queue *queue)
{
        json_t *object =
                json_pack("{s:o, s:s, s:I, s:I, s:I, s:I, s:I, s:I}", "child",
                          bt_json_text(queue->child), "phase", bt_phase_name(queue->phase), "depth",
                          (json_int_t)queue->depth, "capacity", (json_int_t)queue->slots, "bytes",
                          (json_int_t)queue->bytes, "full", (json_int_t)queue->full, "clients",
                          (json_int_t)queue->clients, "waits_for", (json_int_t)queue->waits_for);
        json_t *more = json_pack(
                "{s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I}", "handled", (json_int_t)queue->handled,
                "redelivered", (json_int_t)queue->redelivered, "failed", (json_int_t)queue->failed,
                "expired", (json_int_t)queue->expired, "holes", (json_int_t)queue->holes, "broken",
                (json_int_t)queue->broken, "unanswered", (json_int_t)queue->unanswered, "set_aside",
                (json_int_t)queue->set_aside);
        json_t *whose = json_pack("{s:s, s:I}", "queue", queue_is(queue), "members",
                                  (json_int_t)queue->members);

        if (!object || !more || !whose || json_object_update(object, more) ||
            json_object_update(object, whose))
                bt_mem_exhausted();
        json_decref(more);
        json_decref(whose);
        return object;
}

static const char *row_note(struct bt_table *table, const struct bt_ctl_queue *queue)
{
        if (queue->waits_for)
                return bt_mem_printf(table->mem, "waits for client %" PRIu32 " to finish a message",
                                     queue->waits_for);
        if (queue->is == BT_CTL_QUEUE_SHARED)
                return bt_mem_printf(table->mem, "shared by %" PRIu32, queue->members);
        return queue->is == BT_CTL_QUEUE_MEMBER && queue->depth ? "has one in hand" : "";
}

/* What belongs to the pool's queue is not a member's, and the other way round. */
static bool row_has(const struct bt_ctl_queue *queue, size_t column)
{
        bool of_queue = column == 0 || column == 2 || column == 3;

        if (queue->is == BT_CTL_QUEUE_MEMBER)
                return !of_queue;
        return queue->is != BT_CTL_QUEUE_SHARED || of_queue || column == 1;
}

static void row_add(struct bt_table *table, const struct bt_ctl_queue *queue)
{
        const uint64_t numbers[] = {queue->clients,    queue->depth,    queue->slots,
                                    queue->full,       queue->handled,  queue->redelivered,
                                    queue->failed,     queue->expired,  queue->holes,
                                    queue->unanswered, queue->set_aside};
        char room[sizeof(queue->child)];

        bt_text_clean(room, sizeof(room), queue->child, strlen(queue->child), false);
        bt_table_add(table, bt_mem_copy(table->mem, room, strlen(room)));
        bt_table_add(table, bt_phase_name(queue->phase));
        for (size_t i = 0; i < BT_ARRAY_LEN(numbers); i++)
                bt_table_add(table, row_has(queue, i)
                                            ? bt_mem_printf(table->mem, "%" PRIu64, numbers[i])
                                            : "");
        bt_table_add(table, row_note(table, queue));
}

static void queues_print(struct bt_command *command, const struct bt_ctl_queue *queues,
                         size_t count)
{
        static const char *const heads[] = {"CHILD", "PHASE",      "CLIENTS", "DEPTH",  "OF",
                                            "FULL",  "HANDLED",    "AGAIN",   "FAILED", "EXPIRED",
                                            "HOLES", "UNANSWERED", "ASIDE",   "NOTE"};
        struct bt_table table = {.mem = &command->mem, .right = "llrrrrrrrrrrrl"};

        for (size_t i = 0; i < BT_ARRAY_LEN(heads); i++)
                bt_table_add(&table, heads[i]);
        for (size_t i = 0; i < count; i++)
                row_add(&table, &queues[i]);
        bt_table_print(&table, stdout);
}

int bt_verb_queue(struct bt_command *command)
{
        BT_CLEANUP(bt_closep) int fd = -1;
        struct bt_ctl_queue *queues;
        struct stat st;
        size_t bytes;
        int status = queues_ask(command, &fd);

        if (status)
                return status;
        if (fd < 0 || fstat(fd, &st) < 0 || st.st_size < 0) {
                bt_complain("the hub's list cannot be read");
                return BT_EXIT_FAILED;
        }
        bytes = (size_t)st.st_size / sizeof(*queues) * sizeof(*queues);
        queues = bt_mem_alloc(&command->mem, bytes + 1);
        if (bytes && pread(fd, queues, bytes, 0) != (ssize_t)bytes) {
                bt_complain("the hub's list cannot be read");
                return BT_EXIT_FAILED;
        }
        for (size_t i = 0; i < bytes / sizeof(*queues); i++)
                queues[i].child[sizeof(queues[i].child) - 1] = '\0';
        if (!command->json)
                queues_print(command, queues, bytes / sizeof(*queues));
        else
                for (size_t i = 0; i < bytes / sizeof(*queues); i++)
                        bt_say_json(queue_json(&queues[i]));
        return BT_EXIT_OK;
}
