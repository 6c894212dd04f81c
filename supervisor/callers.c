/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One caller is one client. Which children it has opened is not written down: it is those whose id or pool is one of its targets' names, so a child that
 * comes later belongs to it by itself.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/fd.h"
#include "supervisor/callers_internal.h"
#include "supervisor/hub.h"
#include "supervisor/mailbox.h"
#include "supervisor/request.h"

/* ---- who has opened what ---- */

static bool caller_opens(const struct bt_caller *caller, const struct bt_child *child)
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
                count += caller_opens(bt_list_entry(it, struct bt_caller, node), child);
        return count;
}

/* ---- the dead ---- */

void bt_caller_ring(int bell)
{
        const uint64_t one = 1;

        (void)!write(bell, &one, sizeof(one)); /* full: it is ringing */
}

static void caller_repair(const struct bt_caller *caller, uint32_t owner)
{
        if (caller->ring.mb && bt_mailbox_repair(&caller->ring, owner))
                bt_caller_ring(caller->bell);
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

bool bt_callers_repair_strangers(struct bt_hub *hub, const struct bt_mailbox_view *view)
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

static int introduce(const struct bt_caller *caller, struct bt_inc *inc)
{
        return listens(inc) ? bt_mail_introduce(inc, caller->number, caller->seg_fd, caller->bell)
                            : 0;
}

int bt_caller_introduce(const struct bt_caller *caller, const struct bt_child *child)
{
        int r = 0;

        bt_list_foreach (it, &child->incs) {
                int failed = introduce(caller, bt_list_entry(it, struct bt_inc, node));

                if (failed && failed != -EPIPE && failed != -ECONNRESET) /* those that are dying */
                        r = failed;
        }
        return r;
}

static void forget_client(const struct bt_caller *caller, const struct bt_child *child)
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
                const struct bt_caller *caller = bt_list_entry(it, struct bt_caller, node);

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
                caller_repair(bt_list_entry(it, struct bt_caller, node), inc->link->owner);
}

static struct bt_caller *find_number(const struct bt_callers *callers, uint32_t number)
{
        bt_list_foreach (it, &callers->list) {
                struct bt_caller *caller = bt_list_entry(it, struct bt_caller, node);

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
        struct bt_caller *caller;

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
                bt_caller_ring(caller->bell);
        bt_desk_no_answer(desk);
}

/* ---- the end of a client ---- */

void bt_caller_free(struct bt_caller *caller)
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

void bt_caller_bury(struct bt_caller *caller)
{
        bt_hub_foreach_child(child, caller->hub)
        {
                if (!child->mail || !caller_opens(caller, child))
                        continue;
                bt_mail_repair(child, caller->number);
                forget_client(caller, child);
        }
        bt_client_book_remove(caller->entry);
        bt_caller_free(caller);
}

/* ---- coming ---- */

static void caller_on_exit(struct bt_loop_watch *watch, uint32_t events)
{
        struct bt_caller *caller = bt_container_of(watch, struct bt_caller, exit_watch);

        (void)events;
        bt_caller_bury(caller);
}

struct bt_caller *bt_caller_new(struct bt_hub *hub, pid_t pid)
{
        struct bt_caller *caller = calloc(1, sizeof(*caller));

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
int bt_caller_watch_process(struct bt_caller *caller)
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
                count += bt_list_entry(it, struct bt_caller, node)->fd >= 0;
        return count;
}

void bt_callers_take(struct bt_hub *hub, int fd)
{
        struct ucred cred = {0};
        socklen_t bytes = sizeof(cred);
        struct bt_caller *caller = NULL;
        int r = getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &bytes) < 0 || cred.pid <= 0 ? -ESRCH
                                                                                            : 0;

        if (!r && hub->callers)
                caller = bt_caller_new(hub, cred.pid);
        if (!caller) {
                (void)bt_close(fd);
                return;
        }
        caller->fd = fd;
        if (attached(hub->callers) > BT_ATTACH_CLIENTS_MAX) {
                bt_caller_turn_away(caller, -ENOSPC);
                bt_caller_free(caller);
                return;
        }
        r = bt_caller_watch_process(caller);
        if (!r)
                r = bt_loop_watch_fd(hub->loop, &caller->watch, fd, EPOLLIN | EPOLLOUT,
                                     bt_caller_on_ready);
        if (r)
                bt_caller_free(caller);
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
                struct bt_caller *caller = bt_list_entry(it, struct bt_caller, node);

                for (uint32_t i = 0; i < BT_ATTACH_TARGETS_MAX && caller->targets[i].name[0]; i++) {
                        struct bt_caller_target *target = &caller->targets[i];

                        if (caller->fd < 0 || !bt_request_matches(child, target->name) ||
                            !bt_mail_speaks(child))
                                continue;
                        /* It is the last one in order, so those that were told are told no more; if it is not, a member is told twice. */
                        target->owed = true;
                        (void)bt_caller_tell(caller, target, i + 1);
                }
        }
}

void bt_callers_child_removed(struct bt_child *child, const char *name)
{
        if (!child->hub->callers)
                return;
        bt_list_foreach (it, &child->hub->callers->list) {
                struct bt_caller *caller = bt_list_entry(it, struct bt_caller, node);

                if (caller->fd < 0 || !caller_opens(caller, child))
                        continue;
                if (name[0])
                        bt_caller_say_removed(caller, name);
                for (uint32_t i = 0; i < BT_ATTACH_TARGETS_MAX; i++)
                        caller->targets[i].told =
                                0; /* places have moved: what is told next begins anew */
        }
}

/* ---- the hub's start and end ---- */

/* What it has of its own, by the numbers it gave. It has none that we may take: its answers from new processes are lost until it comes back by itself. */
static void take_segment(struct bt_caller *caller)
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
        struct bt_caller *caller;

        if (!ticks || ticks != entry->started_ticks) {
                bt_client_book_remove(entry); /* dead; what it left is a stranger's */
                return;
        }
        caller = bt_caller_new(hub, entry->pid);
        if (!caller)
                return;
        caller->everywhere = true;
        caller->entry = entry;
        caller->number = atomic_load(&entry->client);
        if (bt_caller_watch_process(caller)) {
                bt_caller_bury(caller); /* gone in this very moment */
                return;
        }
        take_segment(caller);
        if (caller->ring.mb && bt_callers_repair_strangers(hub, &caller->ring))
                bt_caller_ring(caller->bell);
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
        if (child->hub->callers && bt_callers_repair_strangers(child->hub, &child->mail->view))
                bt_caller_ring(child->mail->bell);
}

static bool find_any(const struct bt_callers *callers, uint32_t number)
{
        bt_list_foreach (it, &callers->list)
                if (bt_list_entry(it, struct bt_caller, node)->number == number)
                        return true;
        return false;
}

void bt_callers_adopt(struct bt_hub *hub)
{
        bt_callers_carried(hub);
        for (uint32_t i = 0; i < BT_ATTACH_CLIENTS_MAX; i++) {
                struct bt_client_book_entry *entry = &hub->callers->book.file->entries[i];

                if (atomic_load(&entry->client) && !find_any(hub->callers, atomic_load(&entry->client)))
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
                bt_caller_free(bt_list_entry(it, struct bt_caller, node));
        path_of(hub, path);
        if (hub->over && bt_client_book_empty(&hub->callers->book))
                (void)unlink(path);
        bt_client_book_close(&hub->callers->book);
        free(hub->callers);
        hub->callers = NULL;
}
