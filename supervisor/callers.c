/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One caller is one client. Which children it has opened is not written down: it is those whose id or pool is one of its targets' names, so a child that
 * comes later belongs to it by itself.
 *
 * Nothing here waits for a client. When its socket is full, what it would be told is found out again when there is room: a target has a mark how far
 * its members were told, and telling starts over when something has changed meanwhile (a member may be told twice).
 */
#include "supervisor/callers.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/fd.h"
#include "base/scm.h"
#include "shm/attach.h"
#include "shm/mailbox.h"
#include "supervisor/client_book.h"
#include "supervisor/hub.h"
#include "supervisor/mailbox.h"
#include "supervisor/request.h"

#define RECORDS_A_TURN_MAX (4 * BT_ATTACH_TARGETS_MAX)

struct caller_target {
        char name[64];
        bool owed;     /* there are members that it was not told */
        uint32_t told; /* of them, in the order of the children, so many were */
};

struct caller {
        struct bt_list node;
        struct bt_hub *hub;
        struct bt_client_book_entry *entry; /* NULL: not let in yet */
        uint32_t number;
        int fd; /* -1: it was a client of the hub before this one, and has not come back yet */
        int pidfd;
        pid_t pid;
        bool everywhere; /* what it had opened with the hub before this one is not known: it counts as all */
        struct bt_loop_watch watch;
        struct bt_loop_watch exit_watch;
        int seg_fd;
        int bell;
        struct bt_seg seg;
        struct bt_mailbox_view ring;                         /* of its answers; mb NULL: none */
        struct caller_target targets[BT_ATTACH_TARGETS_MAX]; /* by token - 1; name "": none */
};

struct bt_callers {
        struct bt_list list;
        uint32_t own; /* under which we answer; 0: we have not yet */
        struct bt_client_book book;
};

/* ---- who has opened what ---- */

static bool caller_opens(const struct caller *caller, const struct bt_child *child)
{
        if (caller->everywhere)
                return true;
        for (uint32_t i = 0; i < BT_ATTACH_TARGETS_MAX && caller->targets[i].name[0]; i++) {
                if (bt_request_matches(child, caller->targets[i].name))
                        return true;
        }
        return false;
}

uint32_t bt_callers_count(const struct bt_child *child)
{
        uint32_t count = 0;

        if (!child->hub->callers)
                return 0;
        bt_list_foreach (it, &child->hub->callers->list)
                count += caller_opens(bt_list_entry(it, struct caller, node), child);
        return count;
}

/* ---- the dead ---- */

static void ring_bell(int bell)
{
        const uint64_t one = 1;

        (void)!write(bell, &one, sizeof(one)); /* full: it is ringing */
}

static void caller_repair(const struct caller *caller, uint32_t owner)
{
        if (caller->ring.mb && bt_mailbox_repair(&caller->ring, owner))
                ring_bell(caller->bell);
}

static bool owner_known(struct bt_hub *hub, uint32_t owner)
{
        if (owner == hub->callers->own || bt_client_book_find(&hub->callers->book, owner))
                return true;
        bt_hub_foreach_child(child, hub)
        {
                bt_list_foreach (it, &child->incs) {
                        const struct bt_inc *inc = bt_list_entry(it, struct bt_inc, node);

                        if (inc->link && !inc->dead && inc->link->owner == owner)
                                return true;
                }
        }
        return false;
}

/* Claims of those that died while there was no hub. True when there were any. */
static bool repair_strangers(struct bt_hub *hub, const struct bt_mailbox_view *view)
{
        bool any = false;

        for (uint64_t pos = 0; pos < view->slot_count; pos++) {
                struct bt_slot_word word =
                        bt_slot_unpack(atomic_load(&bt_mailbox_slot(view, pos)->word));

                if (word.state == BT_SLOT_CLAIMED && !owner_known(hub, word.owner) &&
                    bt_mailbox_repair(view, word.owner))
                        any = true;
        }
        return any;
}

/* ---- what processes are told ---- */

static bool listens(const struct bt_inc *inc)
{
        return inc->link && !inc->dead && !inc->poisoned && !inc->held;
}

static int introduce(const struct caller *caller, struct bt_inc *inc)
{
        return listens(inc) ? bt_mail_introduce(inc, caller->number, caller->seg_fd, caller->bell)
                            : 0;
}

/* To all processes of @child: also to those that drain, which may have answers to give. 0 or -errno. */
static int introduce_to_child(const struct caller *caller, const struct bt_child *child)
{
        int r = 0;

        bt_list_foreach (it, &child->incs) {
                int failed = introduce(caller, bt_list_entry(it, struct bt_inc, node));

                if (failed && failed != -EPIPE && failed != -ECONNRESET) /* those that are dying */
                        r = failed;
        }
        return r;
}

static void forget_client(const struct caller *caller, const struct bt_child *child)
{
        bt_list_foreach (it, &child->incs) {
                struct bt_inc *inc = bt_list_entry(it, struct bt_inc, node);

                if (listens(inc))
                        bt_mail_dismiss(inc, caller->number);
        }
}

void bt_callers_introduce(struct bt_inc *inc)
{
        struct bt_child *child = inc->child;

        if (!child->mail || !child->hub->callers)
                return;
        bt_list_foreach (it, &child->hub->callers->list) {
                const struct caller *caller = bt_list_entry(it, struct caller, node);

                if (!caller->ring.mb || !caller_opens(caller, child) || !introduce(caller, inc))
                        continue;
                child->limits_hit++;
                bt_child_note(child, "its process %llu could not be told of all clients",
                              (unsigned long long)inc->number);
        }
}

void bt_callers_process_gone(const struct bt_inc *inc)
{
        const struct bt_child *child = inc->child;

        if (!inc->link || !inc->link->owner || !child->hub->callers)
                return;
        bt_list_foreach (it, &child->hub->callers->list)
                caller_repair(bt_list_entry(it, struct caller, node), inc->link->owner);
}

static struct caller *find_number(const struct bt_callers *callers, uint32_t number)
{
        bt_list_foreach (it, &callers->list) {
                struct caller *caller = bt_list_entry(it, struct caller, node);

                if (caller->number == number && caller->ring.mb)
                        return caller;
        }
        return NULL;
}

void bt_callers_answer(struct bt_child *child)
{
        struct bt_callers *callers = child->hub->callers;
        struct bt_desk *desk = child->mail->desk;
        struct bt_letter letter = desk->answer_letter;
        uint64_t answer = atomic_load(&desk->answer);
        struct caller *caller;

        if (!callers || !answer || atomic_load(&desk->cursor) < answer)
                return;
        if (!callers->own)
                callers->own = bt_client_book_number(&callers->book);
        caller = find_number(callers, desk->answer_client);
        /* Where the box is, and how large, is what we know and not what is written there. */
        if (!caller || letter.bytes > BT_MAILBOX_BYTES_MAX ||
            bt_mailbox_push(&caller->ring, callers->own, &letter, desk + 1, NULL))
                atomic_fetch_add(&desk->unanswered, 1);
        else if (bt_mailbox_must_ring(&caller->ring))
                ring_bell(caller->bell);
        bt_desk_no_answer(desk);
}

/* ---- the end of a client ---- */

static void caller_free(struct caller *caller)
{
        bt_loop_forget(&caller->watch);
        bt_loop_forget(&caller->exit_watch);
        bt_list_unlink(&caller->node);
        (void)bt_close(caller->fd);
        (void)bt_close(caller->pidfd);
        (void)bt_close(caller->seg_fd);
        (void)bt_close(caller->bell);
        bt_seg_detach(&caller->seg);
        free(caller);
}

/*
 * It can write no more: its connection, which only it has, is closed, or its process has ended. What it had sent stays; what it was about to send is void.
 */
static void caller_bury(struct caller *caller)
{
        bt_hub_foreach_child(child, caller->hub)
        {
                if (!child->mail || !caller_opens(caller, child))
                        continue;
                bt_mail_repair(child, caller->number);
                forget_client(caller, child);
        }
        bt_client_book_remove(caller->entry);
        caller_free(caller);
}

/* ---- speaking ---- */

static struct bt_attach record_of(uint32_t type, uint64_t token)
{
        return (struct bt_attach){.magic = BT_ATTACH_MAGIC, .type = type, .token = token};
}

static int caller_say(const struct caller *caller, const struct bt_attach *record, const int *fds,
                      size_t fd_count)
{
        return bt_scm_send(caller->fd, record, sizeof(*record), fds, fd_count);
}

/* For HELLO and AGAIN the end of the connection follows. */
static void caller_refuse(const struct caller *caller, uint64_t token, int error, const char *text)
{
        struct bt_attach record = record_of(BT_ATTACH_REFUSED, token);

        record.error = error;
        (void)snprintf(record.text, sizeof(record.text), "%s", text);
        (void)caller_say(caller, &record, NULL, 0);
}

static int tell_member(const struct caller *caller, uint64_t token, const struct bt_child *child)
{
        struct bt_attach record = record_of(BT_ATTACH_MEMBER, token);
        const int fds[2] = {child->mail->fd, child->mail->bell};

        (void)snprintf(record.name, sizeof(record.name), "%s", bt_mail_name(child));
        return caller_say(caller, &record, fds, 2);
}

/* 0: all is told; -EAGAIN: more when there is room; another -errno. */
static int tell_target(const struct caller *caller, struct caller_target *target, uint64_t token)
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
        r = caller_say(caller, &record, NULL, 0);
        if (!r)
                target->owed = false;
        return r;
}

static void caller_pump(struct caller *caller)
{
        for (uint32_t i = 0; i < BT_ATTACH_TARGETS_MAX && caller->targets[i].name[0]; i++) {
                if (caller->targets[i].owed && tell_target(caller, &caller->targets[i], i + 1))
                        return; /* full, or gone: the watch will say */
        }
}

/* ---- hearing ---- */

static int caller_segment(struct caller *caller, const struct bt_attach *record)
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

static int on_hello(struct caller *caller, const struct bt_attach *record)
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
        return caller_say(caller, &welcome, fds, 2);
}

static int on_holds(struct caller *caller, const struct bt_attach *record)
{
        if (!caller->entry || record->arg[0] > INT32_MAX || record->arg[1] > INT32_MAX)
                return -EPROTO;
        caller->entry->epoch = caller->ring.mb->head.epoch;
        caller->entry->seg_fd = (int32_t)record->arg[0];
        caller->entry->bell = (int32_t)record->arg[1];
        return 0;
}

/* That of the hub before us: it waits for its process to come back. */
static struct caller *find_waiting(const struct caller *caller, uint32_t number)
{
        bt_list_foreach (it, &caller->hub->callers->list) {
                struct caller *other = bt_list_entry(it, struct caller, node);

                if (other != caller && other->fd < 0 && other->number == number)
                        return other;
        }
        return NULL;
}

/* Takes the descriptors. */
static int on_again(struct caller *caller, const struct bt_attach *record, int fds[2], size_t count)
{
        struct bt_attach welcome = record_of(BT_ATTACH_WELCOME, 0);
        struct caller *waiting = find_waiting(caller, record->client);
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
        caller_free(waiting);
        if (repair_strangers(caller->hub, &caller->ring))
                ring_bell(caller->bell);
        return caller_say(caller, &welcome, NULL, 0);
}

/* Who is sent a message must know the sender: so the processes first, then the client. 0; or what is wrong, in words. */
static int on_open_check(const struct caller *caller, const char *name, const char **ret_text)
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
                        r = introduce_to_child(caller, child);
        }
        *ret_text = !matches        ? "no such child"
                    : shared        ? "its pool shares one queue: name the pool"
                    : !with_mailbox ? "it has no mailbox (key `mailbox` of the child)"
                                    : "its processes cannot be told of more clients";
        return !matches ? -ENOENT : !with_mailbox ? -ENXIO : r;
}

static int on_open(struct caller *caller, struct bt_attach *record)
{
        struct caller_target *target;
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
                caller_refuse(caller, record->token, r, text);
                return 0;
        }
        target->told = 0;
        target->owed = true;
        caller_pump(caller);
        return 0;
}

static int caller_hear(struct caller *caller, struct bt_attach *record, int fds[2], size_t count)
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

/* One record. 0, -EAGAIN, or the end of the connection. */
static int caller_read(struct caller *caller)
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
                caller_refuse(caller, 0, r, refusal_text(r));
        return r;
}

static void caller_on_ready(struct bt_loop_watch *watch, uint32_t events)
{
        struct caller *caller = bt_container_of(watch, struct caller, watch);
        int r = 0;

        (void)events;
        /* A client waits for answers: one that says more than this at once keeps the hub from everybody else. */
        for (int i = 0; !r && i < RECORDS_A_TURN_MAX; i++)
                r = caller_read(caller);
        if (r == -EAGAIN)
                caller_pump(caller);
        else
                caller_bury(caller);
}

static void caller_on_exit(struct bt_loop_watch *watch, uint32_t events)
{
        struct caller *caller = bt_container_of(watch, struct caller, exit_watch);

        (void)events;
        caller_bury(caller);
}

/* ---- coming ---- */

static struct caller *caller_new(struct bt_hub *hub, pid_t pid)
{
        struct caller *caller = calloc(1, sizeof(*caller));

        if (!caller)
                return NULL;
        caller->hub = hub;
        caller->pid = pid;
        caller->fd = caller->pidfd = caller->seg_fd = caller->bell = -1;
        bt_list_init(&caller->node);
        bt_list_push(&hub->callers->list, &caller->node);
        return caller;
}

/* Its process, for its end: a connection alone could be held open by a fork of it. */
static int caller_watch_process(struct caller *caller)
{
        caller->pidfd = bt_proc_open(caller->pid);
        if (caller->pidfd < 0)
                return caller->pidfd;
        return bt_loop_watch_fd(caller->hub->loop, &caller->exit_watch, caller->pidfd, EPOLLIN,
                                caller_on_exit);
}

/* Those that are connected: one that comes back must not be refused for the sake of itself. */
static uint32_t attached(const struct bt_callers *callers)
{
        uint32_t count = 0;

        bt_list_foreach (it, &callers->list)
                count += bt_list_entry(it, struct caller, node)->fd >= 0;
        return count;
}

void bt_callers_take(struct bt_hub *hub, int fd)
{
        struct ucred cred = {0};
        socklen_t bytes = sizeof(cred);
        struct caller *caller = NULL;
        int r = getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &bytes) < 0 || cred.pid <= 0 ? -ESRCH
                                                                                            : 0;

        if (!r && hub->callers)
                caller = caller_new(hub, cred.pid);
        if (!caller) {
                (void)bt_close(fd);
                return;
        }
        caller->fd = fd;
        if (attached(hub->callers) > BT_ATTACH_CLIENTS_MAX) {
                caller_refuse(caller, 0, -ENOSPC, refusal_text(-ENOSPC));
                caller_free(caller);
                return;
        }
        r = caller_watch_process(caller);
        if (!r)
                r = bt_loop_watch_fd(hub->loop, &caller->watch, fd, EPOLLIN | EPOLLOUT,
                                     caller_on_ready);
        if (r)
                caller_free(caller);
}

uint32_t bt_callers_number(struct bt_hub *hub)
{
        return hub->callers ? bt_client_book_number(&hub->callers->book) : 0;
}

/* ---- children come and go ---- */

void bt_callers_child_added(struct bt_child *child)
{
        if (!child->mail || !child->hub->callers)
                return;
        bt_list_foreach (it, &child->hub->callers->list) {
                struct caller *caller = bt_list_entry(it, struct caller, node);

                for (uint32_t i = 0; i < BT_ATTACH_TARGETS_MAX && caller->targets[i].name[0]; i++) {
                        struct caller_target *target = &caller->targets[i];

                        if (caller->fd < 0 || !bt_request_matches(child, target->name) ||
                            !bt_mail_speaks(child))
                                continue;
                        /* It is the last one in order, so those that were told are told no more; if it is not, a member is told twice. */
                        target->owed = true;
                        (void)tell_target(caller, target, i + 1);
                }
        }
}

void bt_callers_child_removed(struct bt_child *child, const char *name)
{
        struct bt_attach record = record_of(BT_ATTACH_REMOVED, 0);

        if (!child->hub->callers)
                return;
        (void)snprintf(record.name, sizeof(record.name), "%s", name);
        bt_list_foreach (it, &child->hub->callers->list) {
                struct caller *caller = bt_list_entry(it, struct caller, node);

                if (caller->fd < 0 || !caller_opens(caller, child))
                        continue;
                if (name[0])
                        (void)caller_say(caller, &record, NULL, 0); /* full: it sees the gate */
                for (uint32_t i = 0; i < BT_ATTACH_TARGETS_MAX; i++)
                        caller->targets[i].told =
                                0; /* places have moved: what is told next begins anew */
        }
}

/* ---- the hub's start and end ---- */

/* What it has of its own, by the numbers it gave. It has none that we may take: its answers from new processes are lost until it comes back by itself. */
static void take_segment(struct caller *caller)
{
        const struct bt_client_book_entry *entry = caller->entry;

        caller->seg_fd = entry->seg_fd < 0 ? -1 : bt_proc_getfd(caller->pidfd, entry->seg_fd);
        caller->bell = entry->bell < 0 ? -1 : bt_proc_getfd(caller->pidfd, entry->bell);
        if (caller->seg_fd >= 0 && caller->bell >= 0 &&
            !bt_mailbox_attach(&caller->seg, &caller->ring, caller->seg_fd) &&
            caller->ring.mb->head.epoch == entry->epoch)
                return;
        caller->seg_fd = bt_close(caller->seg_fd);
        caller->bell = bt_close(caller->bell);
        bt_seg_detach(&caller->seg);
        caller->ring = (struct bt_mailbox_view){0};
}

/* Of the hub before us. */
static void take_up(struct bt_hub *hub, struct bt_client_book_entry *entry)
{
        uint64_t ticks = bt_proc_started(entry->pid);
        struct caller *caller;

        if (!ticks || ticks != entry->started_ticks) {
                bt_client_book_remove(entry); /* dead; what it left is a stranger's */
                return;
        }
        caller = caller_new(hub, entry->pid);
        if (!caller)
                return;
        caller->everywhere = true;
        caller->entry = entry;
        caller->number = atomic_load(&entry->client);
        if (caller_watch_process(caller)) {
                caller_bury(caller); /* gone in this very moment */
                return;
        }
        take_segment(caller);
        if (caller->ring.mb && repair_strangers(hub, &caller->ring))
                ring_bell(caller->bell);
}

static void path_of(const struct bt_hub *hub, char path[4096])
{
        (void)snprintf(path, 4096, "%s/clients",
                       bt_plan_string(&hub->plan, hub->plan.plan->runtime_dir));
}

int bt_callers_open(struct bt_hub *hub)
{
        struct bt_callers *callers = calloc(1, sizeof(*callers));
        char path[4096];
        int r;

        if (!callers)
                return -ENOMEM;
        bt_list_init(&callers->list);
        path_of(hub, path);
        r = bt_client_book_open(&callers->book, path);
        if (r) {
                bt_hub_say(hub, "cannot use %s: %s", path, strerrordesc_np(-r));
                free(callers);
                return r;
        }
        hub->callers = callers;
        return 0;
}

void bt_callers_child_taken_up(struct bt_child *child)
{
        if (child->hub->callers && repair_strangers(child->hub, &child->mail->view))
                ring_bell(child->mail->bell);
}

void bt_callers_adopt(struct bt_hub *hub)
{
        for (uint32_t i = 0; i < BT_ATTACH_CLIENTS_MAX; i++) {
                struct bt_client_book_entry *entry = &hub->callers->book.file->entries[i];

                if (atomic_load(&entry->client))
                        take_up(hub, entry);
        }
        bt_hub_foreach_child(child, hub)
        {
                if (child->mail && child->adopted)
                        bt_callers_child_taken_up(child);
        }
}

/* Clients that live keep their numbers in the book: they will come back to the next hub with them. */
void bt_callers_close(struct bt_hub *hub)
{
        char path[4096];

        if (!hub->callers)
                return;
        bt_list_foreach_safe (it, &hub->callers->list)
                caller_free(bt_list_entry(it, struct caller, node));
        path_of(hub, path);
        if (hub->over && bt_client_book_empty(&hub->callers->book))
                (void)unlink(path);
        bt_client_book_close(&hub->callers->book);
        free(hub->callers);
        hub->callers = NULL;
}
