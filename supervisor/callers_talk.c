/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The connection of one caller: records of shm/attach.h, each way.
 *
 * Nothing here waits for a client. When its socket is full, what it would be told is found out again when there is room: a target has a mark how far
 * its members were told, and telling starts over when something has changed meanwhile (a member may be told twice).
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>

#include "base/cleanup.h"
#include "base/fd.h"
#include "base/scm.h"
#include "supervisor/callers_internal.h"
#include "supervisor/hub.h"
#include "supervisor/mailbox.h"
#include "supervisor/request.h"

#define RECORDS_A_TURN_MAX (4 * BT_ATTACH_TARGETS_MAX)

/* ---- speaking ---- */

static struct bt_attach record_of(uint32_t type, uint64_t token)
{
        return (struct bt_attach){.magic = BT_ATTACH_MAGIC, .type = type, .token = token};
}

static int say(const struct bt_caller *caller, const struct bt_attach *record, const int *fds,
               size_t fd_count)
{
        return bt_scm_send(caller->fd, record, sizeof(*record), fds, fd_count);
}

static void refuse(const struct bt_caller *caller, uint64_t token, int error, const char *text)
{
        struct bt_attach record = record_of(BT_ATTACH_REFUSED, token);

        record.error = error;
        (void)snprintf(record.text, sizeof(record.text), "%s", text);
        (void)say(caller, &record, NULL, 0);
}

static const char *refusal_text(int error)
{
        switch (error) {
        case -ENOSPC:
                return "the hub has as many clients as it can have";
        case -ESTALE:
                return "the hub does not know this client any more: open another one";
        case -EINVAL:
                return "calls, reply_bytes or region_bytes out of range";
        case -EPROTO:
                return "the client does not keep to the protocol: it is of another release";
        default:
                return strerrordesc_np(-error);
        }
}

void bt_caller_turn_away(const struct bt_caller *caller, int error)
{
        refuse(caller, 0, error, refusal_text(error));
}

void bt_caller_say_removed(const struct bt_caller *caller, const char *name)
{
        struct bt_attach record = record_of(BT_ATTACH_REMOVED, 0);

        (void)snprintf(record.name, sizeof(record.name), "%s", name);
        (void)say(caller, &record, NULL, 0);
}

static int tell_member(const struct bt_caller *caller, uint64_t token, const struct bt_child *child)
{
        struct bt_attach record = record_of(BT_ATTACH_MEMBER, token);
        const int fds[2] = {child->mail->fd, child->mail->bell};

        (void)snprintf(record.name, sizeof(record.name), "%s", bt_mail_name(child));
        return say(caller, &record, fds, 2);
}

int bt_caller_tell(const struct bt_caller *caller, struct bt_caller_target *target, uint64_t token)
{
        struct bt_attach record = record_of(BT_ATTACH_OPENED, token);
        uint32_t count = 0;
        int r = 0;

        bt_hub_foreach_child(child, caller->hub)
        {
                if (!child->mail || !bt_request_matches(child, target->name) ||
                    !bt_mail_speaks(child) || count++ < target->told)
                        continue;
                r = tell_member(caller, token, child);
                if (r)
                        return r;
                target->told++;
        }
        record.arg[0] = count;
        r = say(caller, &record, NULL, 0);
        if (!r)
                target->owed = false;
        return r;
}

static void caller_pump(struct bt_caller *caller)
{
        for (uint32_t i = 0; i < BT_ATTACH_TARGETS_MAX && caller->targets[i].name[0]; i++) {
                if (caller->targets[i].owed && bt_caller_tell(caller, &caller->targets[i], i + 1))
                        return; /* full, or gone: the watch will say */
        }
}

/* ---- hearing ---- */

static int caller_segment(struct bt_caller *caller, const struct bt_attach *record)
{
        struct bt_mailbox_shape shape = {.region_bytes = record->arg[2]};
        char name[32];
        int r;

        if (record->arg[0] > BT_MAILBOX_SLOTS_MAX || record->arg[1] > BT_MAILBOX_BYTES_MAX)
                return -EINVAL;
        shape.slot_count = (uint32_t)record->arg[0];
        shape.payload_bytes = (uint32_t)record->arg[1];
        if (!bt_mailbox_shape_valid(&shape))
                return -EINVAL;
        (void)snprintf(name, sizeof(name), "client of %d", (int)caller->pid);
        r = bt_mailbox_create(&caller->seg, &caller->seg_fd, name, &shape);
        if (r)
                return r;
        caller->bell = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
        if (caller->bell < 0)
                return -errno;
        return bt_mailbox_look(&caller->ring, &caller->seg) ? 0 : -EPROTO;
}

static int on_hello(struct bt_caller *caller, const struct bt_attach *record)
{
        struct bt_attach welcome = record_of(BT_ATTACH_WELCOME, 0);
        int fds[2];
        int r;

        if (caller->number)
                return -EPROTO;
        r = caller_segment(caller, record);
        if (r)
                return r;
        caller->entry = bt_client_book_add(&caller->hub->callers->book, caller->pid);
        if (!caller->entry)
                return -ENOSPC;
        caller->number = welcome.client = atomic_load(&caller->entry->client);
        fds[0] = caller->seg_fd;
        fds[1] = caller->bell;
        return say(caller, &welcome, fds, 2);
}

static int on_holds(struct bt_caller *caller, const struct bt_attach *record)
{
        if (!caller->entry || record->arg[0] > INT32_MAX || record->arg[1] > INT32_MAX)
                return -EPROTO;
        caller->entry->epoch = caller->ring.mb->head.epoch;
        caller->entry->seg_fd = (int32_t)record->arg[0];
        caller->entry->bell = (int32_t)record->arg[1];
        return 0;
}

/* That of the hub before us: it waits for its process to come back. */
static struct bt_caller *find_waiting(const struct bt_caller *caller, uint32_t number)
{
        bt_list_foreach (it, &caller->hub->callers->list) {
                struct bt_caller *other = bt_list_entry(it, struct bt_caller, node);

                if (other != caller && other->fd < 0 && other->number == number)
                        return other;
        }
        return NULL;
}

/* Takes the descriptors. */
static int on_again(struct bt_caller *caller, const struct bt_attach *record, int fds[2],
                    size_t count)
{
        struct bt_attach welcome = record_of(BT_ATTACH_WELCOME, 0);
        struct bt_caller *waiting = find_waiting(caller, record->client);
        int r;

        if (caller->number || count != 2)
                return -EPROTO;
        if (!waiting || waiting->pid != caller->pid)
                return -ESTALE; /* somebody who says so: another one's number is not given away */
        r = bt_mailbox_attach(&caller->seg, &caller->ring, fds[0]);
        if (r)
                return r < 0 ? r : -EPROTO;
        caller->seg_fd = BT_STEAL_FD(fds[0]);
        caller->bell = BT_STEAL_FD(fds[1]);
        caller->everywhere = true;
        caller->entry = BT_STEAL(waiting->entry);
        caller->number = welcome.client = record->client;
        bt_caller_free(waiting);
        if (bt_callers_repair_strangers(caller->hub, &caller->ring))
                bt_caller_ring(caller->bell);
        return say(caller, &welcome, NULL, 0);
}

/* Who is sent a message must know the sender: so the processes first, then the client. 0; or what is wrong, in words. */
static int on_open_check(const struct bt_caller *caller, const char *name, const char **ret_text)
{
        uint32_t matches = 0, with_mailbox = 0, shared = 0;
        int r = 0;

        bt_hub_foreach_child(child, caller->hub)
        {
                if (!bt_request_matches(child, name))
                        continue;
                matches++;
                if (bt_mail_shared(child) && strcmp(child->pool, name) != 0) {
                        shared++; /* what is sent to it could go to another member */
                        continue;
                }
                with_mailbox += child->mail != NULL;
                if (child->mail && !r)
                        r = bt_caller_introduce(caller, child);
        }
        *ret_text = !matches        ? "no such child"
                    : shared        ? "its pool shares one queue: name the pool"
                    : !with_mailbox ? "it has no mailbox (key `mailbox` of the child)"
                                    : "its processes cannot be told of more clients";
        return !matches ? -ENOENT : !with_mailbox ? -ENXIO : r;
}

static int on_open(struct bt_caller *caller, struct bt_attach *record)
{
        struct bt_caller_target *target;
        const char *text = "";
        int r;

        record->name[sizeof(record->name) - 1] = '\0';
        if (!caller->number || record->token < 1 || record->token > BT_ATTACH_TARGETS_MAX ||
            !record->name[0])
                return -EPROTO;
        if (record->token > 1 && !caller->targets[record->token - 2].name[0])
                return -EPROTO; /* tokens are given in turn */
        target = &caller->targets[record->token - 1];
        (void)snprintf(target->name, sizeof(target->name), "%s", record->name);
        r = on_open_check(caller, target->name, &text);
        if (r) {
                refuse(caller, record->token, r, text);
                return 0;
        }
        target->told = 0;
        target->owed = true;
        caller_pump(caller);
        return 0;
}

static int caller_hear(struct bt_caller *caller, struct bt_attach *record, int fds[2], size_t count)
{
        if (record->magic != BT_ATTACH_MAGIC)
                return -EPROTO;
        switch (record->type) {
        case BT_ATTACH_HELLO:
                return on_hello(caller, record);
        case BT_ATTACH_AGAIN:
                return on_again(caller, record, fds, count);
        case BT_ATTACH_HOLDS:
                return on_holds(caller, record);
        case BT_ATTACH_OPEN:
                return on_open(caller, record);
        default:
                return -EPROTO;
        }
}

/* One record. 0, -EAGAIN, or the end of the connection. */
static int caller_read(struct bt_caller *caller)
{
        struct bt_attach record;
        int fds[2] = {-1, -1};
        size_t count = 0;
        ssize_t n = bt_scm_recv(caller->fd, &record, sizeof(record), fds, 2, &count);
        int r = n == (ssize_t)sizeof(record) ? caller_hear(caller, &record, fds, count)
                : n < 0                      ? (int)n
                : n                          ? -EPROTO
                                             : -ECONNRESET;

        (void)bt_close(fds[0]);
        (void)bt_close(fds[1]);
        if (r && r != -EAGAIN && n > 0)
                bt_caller_turn_away(caller, r);
        return r;
}

void bt_caller_on_ready(struct bt_loop_watch *watch, uint32_t events)
{
        struct bt_caller *caller = bt_container_of(watch, struct bt_caller, watch);
        int r = 0;

        (void)events;
        /* A client waits for answers: one that says more than this at once keeps the hub from everybody else. */
        for (int i = 0; !r && i < RECORDS_A_TURN_MAX; i++)
                r = caller_read(caller);
        if (r == -EAGAIN)
                caller_pump(caller);
        else
                bt_caller_bury(caller);
}
