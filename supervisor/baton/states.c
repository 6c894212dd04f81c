/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `baton state`: states that no process holds, seen and rescued.
 *
 *      baton state ls [CHILD]                       what waits to be delivered, and what was set aside
 *      baton state show CHILD [--quarantined[=ID]]  one header, and whether the payload is what the header says
 *      baton state export CHILD FILE [--quar..]     header and payload into a new file: 512 bytes, then the payload
 *      baton state import CHILD FILE                such a file becomes the state of a child that is down
 *      baton state drop CHILD [--quarantined[=ID]]  forgets one
 *
 * ID is what ls shows; without it the newest that was set aside is meant. A payload comes from the hub as a memfd: the hub copies, this program
 * judges. A file that is to be imported is read and judged here, too, so that what is wrong with it is said before anybody is asked.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/fd.h"
#include "shm/record.h"
#include "supervisor/baton/hubs.h"
#include "supervisor/baton/progress.h"
#include "supervisor/baton/table.h"
#include "supervisor/baton/text.h"

#define COPY_BYTES 65536

/* ---- asking ---- */

/* One request; @ret_fd: the memfd of the answer, -1: none is expected. Returns enum bt_exit. */
static int ask(struct bt_command *command, const struct bt_ctl_request *request, int fd, struct bt_ctl_reply *ret_reply, int *ret_fd)
{
        struct bt_hub_place place = {0};
        struct bt_ask ask = BT_ASK_NULL;
        struct bt_ctl_reply reply = {0};
        int status = bt_hubs_choose(&place, command);
        int r, got = -1;

        if (!status)
                status = bt_hubs_ask(&ask, &place, request, fd, command->timeout_ns);
        if (status)
                return status;
        while (!(r = bt_ask_reply(&ask, &reply, &got)) && reply.kind != BT_CTL_DONE) {
                if (reply.kind == BT_CTL_STATE && got >= 0 && ret_fd) {
                        (void)bt_close(*ret_fd);
                        *ret_fd = BT_STEAL_FD(got);
                        *ret_reply = reply;
                }
                got = bt_close(got);
        }
        (void)bt_close(got);
        bt_ask_close(&ask);
        if (r)
                return bt_hubs_lost(&place, r);
        if (reply.outcome) {
                bt_progress_complain(request->target[0] ? request->target : place.name, *reply.text ? reply.text : "failed, and the hub gave no reason");
                return bt_progress_exit(reply.outcome);
        }
        if (ret_fd && *ret_fd < 0) {
                bt_complain("the hub '%s' gave no state", place.name);
                return BT_EXIT_FAILED;
        }
        return BT_EXIT_OK;
}

/* All states there are. */
struct list {
        struct bt_ctl_state *states;
        size_t count;
};

static int list_get(struct bt_command *command, struct list *ret_list)
{
        struct bt_ctl_request request = bt_hubs_request(BT_CTL_STATE_LIST);
        BT_CLEANUP(bt_closep) int fd = -1;
        struct bt_ctl_reply reply = {0};
        int status = ask(command, &request, -1, &reply, &fd);
        struct stat st;
        size_t bytes;

        if (status)
                return status;
        if (fstat(fd, &st) < 0 || st.st_size < 0 || (uint64_t)st.st_size != reply.value[0] * sizeof(struct bt_ctl_state)) {
                bt_complain("the hub's list has another length than it says");
                return BT_EXIT_FAILED;
        }
        bytes = (size_t)st.st_size;
        ret_list->count = bytes / sizeof(struct bt_ctl_state);
        ret_list->states = bt_mem_alloc(&command->mem, bytes + 1);
        if (bytes && pread(fd, ret_list->states, bytes, 0) != (ssize_t)bytes) {
                bt_complain("the hub's list cannot be read");
                return BT_EXIT_FAILED;
        }
        for (size_t i = 0; i < ret_list->count; i++) {
                ret_list->states[i].record.child[sizeof(ret_list->states[i].record.child) - 1] = '\0';
                ret_list->states[i].record.schema[sizeof(ret_list->states[i].record.schema) - 1] = '\0';
        }
        return BT_EXIT_OK;
}

/* ---- one of them ---- */

static bool readable(const struct bt_ctl_state *state)
{
        return state->record.magic != 0;
}

static const char *form_name(uint32_t form)
{
        static const char *const names[_BATON_STATE_N] = {"none", "blob", "arena"};

        return form < _BATON_STATE_N ? names[form] : "?";
}

static const char *cleaned(struct bt_mem *mem, const char *text)
{
        char room[256];

        bt_text_clean(room, sizeof(room), text, strlen(text), false);
        return bt_mem_copy(mem, room, strlen(room));
}

/* Since it was captured, by the wall clock; NULL: it says a time that has not come yet. */
static const char *age_text(struct bt_mem *mem, const struct bt_record *record)
{
        char room[BT_TEXT_NUMBER_BYTES];
        uint64_t now = bt_wall_ns();

        if (record->wall_ns > now)
                return NULL;
        bt_text_duration(room, now - record->wall_ns);
        return bt_mem_copy(mem, room, strlen(room));
}

/* Which one the command line means: @request gets its name. Returns enum bt_exit. */
static int choose(struct bt_command *command, struct bt_ctl_request *request, const struct bt_ctl_state **ret_state)
{
        const struct bt_ctl_state *found = NULL;
        struct list list = {0};
        int status = list_get(command, &list);

        if (status)
                return status;
        for (size_t i = 0; i < list.count; i++) {
                const struct bt_ctl_state *state = &list.states[i];

                if (strcmp(state->record.child, command->args[1]) != 0 || (state->aside_ns != 0) != command->quarantined)
                        continue;
                if (!command->aside_ns || state->aside_ns == command->aside_ns)
                        found = state; /* the last is the newest */
        }
        if (!found) {
                bt_complain("no %sstate of '%s' is in the store ('baton state ls' shows what there is)",
                            command->quarantined ? "such quarantined " : "", command->args[1]);
                return BT_EXIT_NO_SUCH;
        }
        (void)snprintf(request->target, sizeof(request->target), "%s", found->record.child);
        request->aside_ns = found->aside_ns;
        request->sequence = found->record.sequence;
        *ret_state = found;
        return BT_EXIT_OK;
}

/* ---- ls ---- */

static json_t *state_json(const struct bt_ctl_state *state)
{
        const struct bt_record *record = &state->record;
        uint64_t now = bt_wall_ns();
        json_t *object = json_pack("{s:o, s:b, s:I, s:b}", "child", bt_json_text(record->child), "quarantined", state->aside_ns != 0, "id",
                                   (json_int_t)state->aside_ns, "header_ok", readable(state));
        json_t *more;

        if (!readable(state))
                return object;
        more = json_pack("{s:o, s:I, s:I, s:s, s:I, s:I, s:I, s:b, s:I, s:I}", "schema", bt_json_text(record->schema), "version",
                         (json_int_t)record->version, "version_oldest", (json_int_t)record->version_oldest, "form", form_name(record->form), "bytes",
                         (json_int_t)record->payload_bytes, "incarnation", (json_int_t)record->incarnation, "captured_wall_ns",
                         (json_int_t)record->wall_ns, "torn", (record->flags & BT_RECORD_F_TORN) != 0, "sequence", (json_int_t)record->sequence, "age_ns",
                         (json_int_t)(record->wall_ns > now ? -1 : (json_int_t)(now - record->wall_ns)));
        if (!object || !more || json_object_update(object, more))
                bt_mem_exhausted();
        json_decref(more);
        return object;
}

static void row_add(struct bt_table *table, const struct bt_ctl_state *state)
{
        struct bt_mem *mem = table->mem;
        const struct bt_record *record = &state->record;
        const char *age = readable(state) ? age_text(mem, record) : "-";
        char size[BT_TEXT_NUMBER_BYTES];

        bt_text_size(size, record->payload_bytes);
        bt_table_add(table, cleaned(mem, record->child));
        bt_table_add(table, readable(state) ? cleaned(mem, record->schema) : "(damaged header)");
        bt_table_add(table, readable(state) ? bt_mem_printf(mem, "%" PRIu32, record->version) : "-");
        bt_table_add(table, readable(state) ? form_name(record->form) : "-");
        bt_table_add(table, readable(state) ? bt_mem_copy(mem, size, strlen(size)) : "-");
        bt_table_add(table, readable(state) ? bt_mem_printf(mem, "%" PRIu64, record->incarnation) : "-");
        bt_table_add(table, age ? age : "in the future");
        bt_table_add(table, state->aside_ns ? bt_mem_printf(mem, "%" PRIu64, state->aside_ns) : "-");
}

static int state_ls(struct bt_command *command)
{
        static const char *const heads[] = {"CHILD", "SCHEMA", "VERSION", "FORM", "SIZE", "INC", "AGE", "QUARANTINED"};
        struct bt_table table = {.mem = &command->mem, .right = "llrlrrrr"};
        struct list list = {0};
        int status = list_get(command, &list);

        if (status)
                return status;
        for (size_t i = 0; i < sizeof(heads) / sizeof(heads[0]); i++)
                bt_table_add(&table, heads[i]);
        for (size_t i = 0; i < list.count; i++) {
                const struct bt_ctl_state *state = &list.states[i];

                if ((command->args[1] && strcmp(state->record.child, command->args[1]) != 0) || (command->quarantined && !state->aside_ns))
                        continue;
                if (command->json)
                        bt_say_json(state_json(state));
                else
                        row_add(&table, state);
        }
        if (!command->json)
                bt_table_print(&table, stdout);
        return BT_EXIT_OK;
}

/* ---- show ---- */

static const char *is_name(uint64_t is)
{
        return is == BT_CTL_STATE_WHOLE ? "ok" : is == BT_CTL_STATE_FOREIGN ? "foreign" : "damaged";
}

static void show_print(struct bt_command *command, const struct bt_ctl_state *state, uint64_t is, uint64_t bytes)
{
        const struct bt_record *record = &state->record;
        struct bt_mem *mem = &command->mem;
        const char *age;

        (void)printf("child        %s\n", cleaned(mem, record->child));
        if (state->aside_ns)
                (void)printf("quarantined  %" PRIu64 "\n", state->aside_ns);
        (void)printf("checksums    %s\n", is_name(is));
        if (!readable(state)) {
                (void)printf("stored       %" PRIu64 " bytes, whose header cannot be read\n", bytes);
                return;
        }
        age = age_text(mem, record);
        (void)printf("schema       %s\nversion      %" PRIu32 " (readable from %" PRIu32 " on)\n", cleaned(mem, record->schema), record->version,
                     record->version_oldest);
        (void)printf("form         %s%s\nbytes        %" PRIu64 "\nincarnation  %" PRIu64 "\nage          %s\n", form_name(record->form),
                     record->flags & BT_RECORD_F_TORN ? ", torn" : "", record->payload_bytes, record->incarnation, age ? age : "in the future");
}

static int read_state(struct bt_command *command, const struct bt_ctl_state **ret_state, struct bt_ctl_reply *ret_reply, int *ret_fd)
{
        struct bt_ctl_request request = bt_hubs_request(BT_CTL_STATE_READ);
        int status = choose(command, &request, ret_state);

        return status ? status : ask(command, &request, -1, ret_reply, ret_fd);
}

static int state_show(struct bt_command *command)
{
        const struct bt_ctl_state *state = NULL;
        BT_CLEANUP(bt_closep) int fd = -1;
        struct bt_ctl_reply reply = {0};
        int status = read_state(command, &state, &reply, &fd);
        json_t *object;

        if (status)
                return status;
        if (!command->json) {
                show_print(command, state, reply.value[1], reply.value[0]);
                return BT_EXIT_OK;
        }
        object = state_json(state);
        if (!object || json_object_set_new(object, "checksums", json_string(is_name(reply.value[1]))))
                bt_mem_exhausted();
        bt_say_json(object);
        return BT_EXIT_OK;
}

/* ---- export ---- */

/* All of @from, from its beginning. 0 or -errno. */
static int copy_out(int from, int to, uint64_t bytes)
{
        off_t off = 0;

        while ((uint64_t)off < bytes) {
                ssize_t n = sendfile(to, from, &off, bytes - (uint64_t)off > 1 << 30 ? 1 << 30 : (size_t)(bytes - (uint64_t)off));

                if (n < 0 && errno != EINTR)
                        return -errno;
                if (!n)
                        return -EIO;
        }
        return fsync(to) < 0 && errno != EINVAL && errno != EROFS ? -errno : 0;
}

static int state_export(struct bt_command *command)
{
        const struct bt_ctl_state *state = NULL;
        BT_CLEANUP(bt_closep) int fd = -1, out = -1;
        const char *path = command->args[2];
        struct bt_ctl_reply reply = {0};
        int r, status = read_state(command, &state, &reply, &fd);

        if (status)
                return status;
        out = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
        if (out < 0) {
                bt_complain("%s: %s", path, strerrordesc_np(errno));
                return BT_EXIT_FAILED;
        }
        r = copy_out(fd, out, reply.value[0]);
        if (r) {
                bt_complain("%s: %s; it is not complete and was removed", path, strerrordesc_np(-r));
                (void)unlink(path);
                return BT_EXIT_FAILED;
        }
        if (command->json)
                bt_say_json(json_pack("{s:o, s:o, s:I, s:s}", "child", bt_json_text(state->record.child), "file", bt_json_text(path), "bytes",
                                      (json_int_t)reply.value[0], "checksums", is_name(reply.value[1])));
        else
                (void)printf("%s: %" PRIu64 " bytes in %s\n", cleaned(&command->mem, state->record.child), reply.value[0], path);
        if (reply.value[1] != BT_CTL_STATE_WHOLE)
                bt_complain("note: what was exported is %s: it cannot be imported as it is", is_name(reply.value[1]));
        return BT_EXIT_OK;
}

/* ---- import ---- */

/* @path into a memfd, summing what follows the header. 0, -errno. */
static int copy_in(int from, int to, struct bt_sum *sum, uint64_t *ret_bytes)
{
        char *room = malloc(COPY_BYTES);
        uint64_t bytes = 0;
        int r = room ? 0 : -ENOMEM;

        while (!r) {
                /* The header is read by itself, so that the sum begins behind it. */
                size_t want = bytes < sizeof(struct bt_record) ? sizeof(struct bt_record) - (size_t)bytes : COPY_BYTES;
                ssize_t n = read(from, room, want);

                if (n < 0 && errno == EINTR)
                        continue;
                if (n <= 0) {
                        r = n < 0 ? -errno : 0;
                        break;
                }
                if (bytes >= sizeof(struct bt_record))
                        bt_sum_add(sum, room, (size_t)n);
                bytes += (uint64_t)n;
                r = bytes > BT_ARENA_BYTES_MAX + sizeof(struct bt_record) ? -EFBIG : bt_write_all(to, room, (size_t)n);
        }
        free(room);
        *ret_bytes = bytes;
        return r;
}

/* What is wrong with a file that should be a state; NULL: nothing. */
static const char *file_wrong(int memfd, uint64_t bytes, const struct bt_sum *sum)
{
        uint8_t header[sizeof(struct bt_record)];
        struct bt_record record;

        if (bytes < sizeof(header) || pread(memfd, header, sizeof(header), 0) != (ssize_t)sizeof(header))
                return "it is shorter than the header of a state";
        switch (bt_record_read(&record, header, sizeof(header))) {
        case BT_RECORD_OK:
                break;
        case BT_RECORD_E_FOREIGN:
                return "it was written by another version of baton, or on another machine";
        default:
                return "its header is damaged, or it is no exported state at all";
        }
        if (bytes - sizeof(header) != record.payload_bytes)
                return "it is longer or shorter than its header says";
        return bt_sum_end(sum) == record.payload_xxh3 ? NULL : "its payload is damaged: the checksum differs";
}

/* A sealed memfd of the file. Returns enum bt_exit. */
static int file_load(const char *path, int *ret_fd)
{
        BT_CLEANUP(bt_closep) int file = open(path, O_RDONLY | O_CLOEXEC);
        BT_CLEANUP(bt_closep) int fd = memfd_create("baton-import", MFD_CLOEXEC | MFD_ALLOW_SEALING);
        struct bt_sum sum;
        const char *wrong;
        uint64_t bytes = 0;
        int r = file < 0 || fd < 0 ? -errno : 0;

        bt_sum_init(&sum);
        if (!r)
                r = copy_in(file, fd, &sum, &bytes);
        if (!r && fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL) < 0)
                r = -errno;
        if (r) {
                bt_complain("%s: %s", path, strerrordesc_np(-r));
                return BT_EXIT_FAILED;
        }
        wrong = file_wrong(fd, bytes, &sum);
        if (wrong) {
                bt_complain("%s: %s", path, wrong);
                return BT_EXIT_FAILED;
        }
        *ret_fd = BT_STEAL_FD(fd);
        return BT_EXIT_OK;
}

static int state_import(struct bt_command *command)
{
        struct bt_ctl_request request = bt_hubs_request(BT_CTL_STATE_IMPORT);
        BT_CLEANUP(bt_closep) int fd = -1;
        const char *child = command->args[1];
        int status = file_load(command->args[2], &fd);

        if (status)
                return status;
        if (strlen(child) >= sizeof(request.target)) {
                bt_complain("'%s' cannot be the id of a child", child);
                return BT_EXIT_NO_SUCH;
        }
        (void)snprintf(request.target, sizeof(request.target), "%s", child);
        status = ask(command, &request, fd, NULL, NULL);
        if (status)
                return status;
        if (command->json)
                bt_say_json(json_pack("{s:o, s:s}", "child", bt_json_text(child), "event", "imported"));
        else
                (void)printf("%s: imported; its next start restores it ('baton swap %s' starts a child that is down)\n", cleaned(&command->mem, child),
                             cleaned(&command->mem, child));
        return BT_EXIT_OK;
}

/* ---- drop ---- */

static int state_drop(struct bt_command *command)
{
        struct bt_ctl_request request = bt_hubs_request(BT_CTL_STATE_DROP);
        const struct bt_ctl_state *state = NULL;
        int status = choose(command, &request, &state);

        if (status)
                return status;
        if (!state->aside_ns && !readable(state)) {
                bt_complain("%s: its header cannot be read: the child's next start sets it aside, then it can be dropped with --quarantined",
                            request.target);
                return BT_EXIT_FAILED;
        }
        status = ask(command, &request, -1, NULL, NULL);
        if (status)
                return status;
        if (command->json)
                bt_say_json(json_pack("{s:o, s:s}", "child", bt_json_text(request.target), "event", "dropped"));
        else
                (void)printf("%s: dropped\n", cleaned(&command->mem, request.target));
        return BT_EXIT_OK;
}

/* ---- the verb ---- */

int bt_verb_state(struct bt_command *command)
{
        static const struct {
                const char *name;
                int args_min, args_max; /* behind the name */
                int (*run)(struct bt_command *command);
        } words[] = {
                {"ls", 0, 1, state_ls},         {"show", 1, 1, state_show}, {"export", 2, 2, state_export},
                {"import", 2, 2, state_import}, {"drop", 1, 1, state_drop},
        };
        int given = 0;

        while (given < 2 && command->args[given + 1])
                given++;
        for (size_t i = 0; i < BT_ARRAY_LEN(words); i++) {
                if (strcmp(words[i].name, command->args[0]) != 0)
                        continue;
                if (given < words[i].args_min || given > words[i].args_max) {
                        bt_complain("'baton state %s' takes %s", words[i].name,
                                    words[i].args_max == 2 ? "a child and a file" : words[i].args_min ? "a child" : "a child, or nothing");
                        return BT_EXIT_USAGE;
                }
                return words[i].run(command);
        }
        bt_complain("unknown word '%s', expected ls, show, export, import or drop", command->args[0]);
        return BT_EXIT_USAGE;
}
