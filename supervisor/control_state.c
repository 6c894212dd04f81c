/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `baton state`: looking at states that no process holds, and rescuing them.
 *
 *      LIST     headers of all records, then of all that were set aside, as an array in a memfd
 *      READ     one of them, header and payload as they are, in a memfd; whether it is whole comes along
 *      IMPORT   a record from a sealed memfd into the store, and into the baton of its child, which is down
 *      DROP     forgets one
 *
 * The hub parses no text and judges no payload on its own thread: all reading and summing is the store's. A memfd that comes from outside must be
 * sealed, so that nobody changes or cuts it while it is read, and reading its header never waits for a disk.
 *
 * While an import is under way its child cannot be started by anybody: it is in phase "starting", as when its record is read at the start of the hub.
 */
#include "supervisor/control_state.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/fd.h"
#include "shm/record.h"
#include "supervisor/state.h"

#define ASKS_MAX 64 /* requests that wait for the store; each may hold a memfd as large as a state */
#define SEALS (F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE)

struct bt_state_ask {
        struct bt_list node; /* in bt_hub.state_asks */
        struct bt_hub *hub;
        struct bt_client *client; /* NULL: left */
        struct bt_child *child;   /* import: whose */
        int fd;                   /* list, read: the answer */
        uint64_t count;           /* list: entries written so far */
        int error;                /* list: of writing them */
};

/* ---- asking ---- */

static struct bt_state_ask *ask_new(struct bt_client *client, struct bt_hub *hub)
{
        struct bt_state_ask *ask;
        uint32_t count = 0;

        bt_list_foreach (it, &hub->state_asks)
                count++;
        ask = count < ASKS_MAX ? calloc(1, sizeof(*ask)) : NULL;
        if (!ask)
                return NULL;
        ask->hub = hub;
        ask->client = client;
        ask->fd = -1;
        bt_list_init(&ask->node);
        bt_list_push(&hub->state_asks, &ask->node);
        bt_client_asks(client, ask);
        return ask;
}

static void ask_free(struct bt_state_ask *ask)
{
        bt_list_unlink(&ask->node);
        (void)bt_close(ask->fd);
        free(ask);
}

static void ask_answer(struct bt_state_ask *ask, enum bt_ctl_outcome outcome, const char *text)
{
        struct bt_client *client = ask->client;

        if (client) {
                bt_client_asks(client, NULL);
                bt_client_answer(client, outcome, text);
        }
        ask_free(ask);
}

static const char *store_text(int result)
{
        switch (result) {
        case BT_STORE_E_ABSENT:
                return "there is no such state";
        case BT_STORE_E_CORRUPT:
                return "the payload is not what its header says";
        case BT_STORE_E_ROOM:
                return "there is no room for it";
        default:
                return result < 0 ? strerrordesc_np(-result) : "the store said something unknown";
        }
}

static void ask_fail(struct bt_state_ask *ask, int result)
{
        ask_answer(ask, result == BT_STORE_E_ABSENT ? BT_CTL_NO_SUCH : BT_CTL_FAILED, store_text(result));
}

void bt_state_abandon(struct bt_state_ask *ask)
{
        if (ask)
                ask->client = NULL;
}

void bt_state_asks_free(struct bt_hub *hub)
{
        if (!hub->state_asks.next)
                return;
        bt_list_foreach_safe (it, &hub->state_asks)
                ask_free(bt_list_entry(it, struct bt_state_ask, node));
}

static int answer_memfd(struct bt_state_ask *ask)
{
        ask->fd = memfd_create("baton-state", MFD_CLOEXEC | MFD_ALLOW_SEALING);
        return ask->fd < 0 ? -errno : 0;
}

/* The memfd is the client's from here on; it may read it as it likes. */
static void ask_give(struct bt_state_ask *ask, uint64_t value0, uint64_t value1)
{
        int r = ask->client ? bt_client_send(ask->client, BT_CTL_STATE, ask->fd, value0, value1) : 0;

        if (r)
                ask_answer(ask, BT_CTL_FAILED, "the answer could not be sent");
        else
                ask_answer(ask, BT_CTL_OK, "");
}

/* ---- list ---- */

static void list_add(struct bt_state_ask *ask, const struct bt_record *record, uint64_t aside_ns)
{
        struct bt_ctl_state entry = {.record = *record, .aside_ns = aside_ns};

        if (!ask->error)
                ask->error = bt_write_all(ask->fd, &entry, sizeof(entry));
        ask->count++;
}

static void on_listed_aside(void *ctx, int result, const struct bt_aside *aside, size_t count)
{
        struct bt_state_ask *ask = ctx;

        for (size_t i = 0; !result && i < count; i++)
                list_add(ask, &aside[i].record, aside[i].wall_ns);
        if (!result)
                result = ask->error;
        if (result)
                ask_fail(ask, result);
        else
                ask_give(ask, ask->count, 0);
}

static void on_listed(void *ctx, int result, const struct bt_record *records, size_t count)
{
        struct bt_state_ask *ask = ctx;

        for (size_t i = 0; !result && i < count; i++)
                list_add(ask, &records[i], 0);
        if (!result)
                result = bt_store_list_aside(ask->hub->store, on_listed_aside, ask);
        if (result)
                ask_fail(ask, result);
}

static int begin_list(struct bt_state_ask *ask)
{
        int r = answer_memfd(ask);

        return r ? r : bt_store_list(ask->hub->store, on_listed, ask);
}

/* ---- read ---- */

static void on_read(void *ctx, int result, const struct bt_record *record)
{
        struct bt_state_ask *ask = ctx;
        struct stat st;

        (void)record;
        if (result == -EPROTONOSUPPORT)
                result = BT_CTL_STATE_FOREIGN;
        else if (result == BT_STORE_E_CORRUPT)
                result = BT_CTL_STATE_DAMAGED;
        else if (result) {
                ask_fail(ask, result);
                return;
        }
        if (fstat(ask->fd, &st) < 0)
                ask_fail(ask, -errno);
        else
                ask_give(ask, (uint64_t)st.st_size, (uint64_t)result);
}

static int begin_read(struct bt_state_ask *ask, const struct bt_ctl_request *request)
{
        int r = answer_memfd(ask);

        return r ? r : bt_store_read(ask->hub->store, request->target, request->aside_ns, ask->fd, BT_ARENA_BYTES_MAX, on_read, ask);
}

/* ---- drop ---- */

static void on_dropped(void *ctx, int result, const struct bt_record *record)
{
        struct bt_state_ask *ask = ctx;

        (void)record;
        if (result)
                ask_fail(ask, result);
        else
                ask_answer(ask, BT_CTL_OK, "");
}

static int begin_drop(struct bt_state_ask *ask, const struct bt_ctl_request *request)
{
        if (request->aside_ns)
                return bt_store_drop_aside(ask->hub->store, request->target, request->aside_ns, on_dropped, ask);
        return bt_store_del(ask->hub->store, request->target, request->sequence, on_dropped, ask);
}

/* ---- import ---- */

/* The record is in the store. Into the baton with it, so that whoever starts the child next starts it with this state. */
static void on_imported(void *ctx, int result, const struct bt_record *record)
{
        struct bt_state_ask *ask = ctx;
        struct bt_child *child = ask->child;

        (void)record;
        if (ask->hub->stopping)
                result = result ? result : -ESHUTDOWN;
        if (result) {
                bt_state_import_end(child);
                ask_fail(ask, result);
                return;
        }
        child->stored_sequence = 0; /* what it named was replaced by the import: what lies in the baton is in no record any more */
        if (!bt_state_set_aside(child))
                bt_child_load(child);
        else
                bt_state_import_end(child);
        ask_answer(ask, BT_CTL_OK, "");
}

/* Why this record may not become the state of @child; NULL: it may. */
static const char *import_refusal(const struct bt_child *child, const struct bt_record *record, uint64_t file_bytes)
{
        const struct bt_plan_child *spec = child->spec;

        if (child->importing || child->phase == BT_PHASE_STARTING)
                return "the child is being started: try again when it runs or has failed";
        if (child->current || child->migration)
                return "the child runs, and its state is its own: stop it first (a record is for a child that is down)";
        if (spec->protocol != BT_PROTOCOL_BATON || !spec->handover || record->form != spec->state_form)
                return "the child keeps no state of this form (handover, state.form)";
        if (strcmp(record->child, child->id) != 0)
                return "the record is the state of another child";
        if (record->flags & BT_RECORD_F_TORN)
                return "the record is a torn arena: no process can go on with it";
        if (file_bytes - sizeof(*record) != record->payload_bytes)
                return "the file's length differs from what its header says";
        if (record->payload_bytes > child->holding->baton->state_bytes_max)
                return "the state is larger than state.max";
        if (record->form == BATON_STATE_ARENA && !bt_arena_addr_known(record->arena_addr))
                return "the arena is of another address";
        return NULL;
}

/* The memfd's header and size. NULL, or what is wrong with it. */
static const char *import_open(int fd, struct bt_record *ret_record, uint64_t *ret_bytes)
{
        uint8_t header[sizeof(struct bt_record)];
        struct stat st;
        int seals = fd < 0 ? -1 : fcntl(fd, F_GET_SEALS);

        if (seals < 0 || (seals & SEALS) != SEALS)
                return "no sealed memfd came with the request";
        if (fstat(fd, &st) < 0 || st.st_size < (off_t)sizeof(header) || pread(fd, header, sizeof(header), 0) != (ssize_t)sizeof(header))
                return "it is shorter than a header";
        switch (bt_record_read(ret_record, header, sizeof(header))) {
        case BT_RECORD_OK:
                break;
        case BT_RECORD_E_FOREIGN:
                return "it was written by another version of baton, or on another machine";
        default:
                return "its header is damaged, or it is no record at all";
        }
        *ret_bytes = (uint64_t)st.st_size;
        return NULL;
}

/* Somebody decided that this is the state to go on with: its time is now. */
static void import_stamp(struct bt_record *record, struct bt_child *child)
{
        if (child->number_next < 2)
                child->number_next = 2;
        record->incarnation = child->number_next - 1;
        record->sequence = record->wall_ns = bt_wall_ns();
        record->boot_ns = bt_boot_ns();
        memset(record->boot_id, 0, sizeof(record->boot_id));
        (void)bt_boot_id(record->boot_id);
        record->ttl_ns = child->spec->stored_ttl_ns;
}

static void begin_import(struct bt_state_ask *ask, const struct bt_ctl_request *request, int fd)
{
        struct bt_store_item item = {.fd = fd, .off = sizeof(struct bt_record), .verify = true};
        struct bt_child *child = bt_hub_child_find(ask->hub, request->target);
        uint64_t bytes = 0;
        const char *why = import_open(fd, &item.record, &bytes);
        int r;

        if (!child) {
                ask_answer(ask, BT_CTL_NO_SUCH, "no such child");
                return;
        }
        if (!why)
                why = import_refusal(child, &item.record, bytes);
        if (why) {
                ask_answer(ask, BT_CTL_FAILED, why);
                return;
        }
        import_stamp(&item.record, child);
        ask->child = child;
        bt_state_import_begin(child);
        r = bt_store_put(ask->hub->store, &item, 1, on_imported, ask);
        if (r) {
                bt_state_import_end(child);
                ask_fail(ask, r);
        }
}

/* ---- requests ---- */

void bt_state_request(struct bt_client *client, struct bt_hub *hub, const struct bt_ctl_request *request, int fd)
{
        struct bt_state_ask *ask = hub->stopping ? NULL : ask_new(client, hub);
        int r = 0;

        if (!ask) {
                (void)bt_close(fd);
                bt_client_answer(client, BT_CTL_FAILED, hub->stopping ? "the hub is stopping" : "too many requests about states are under way");
                return;
        }
        switch (request->op) {
        case BT_CTL_STATE_LIST:
                r = begin_list(ask);
                break;
        case BT_CTL_STATE_READ:
                r = begin_read(ask, request);
                break;
        case BT_CTL_STATE_DROP:
                r = begin_drop(ask, request);
                break;
        default:
                begin_import(ask, request, fd);
                break;
        }
        (void)bt_close(fd);
        if (r)
                ask_fail(ask, r);
}
