/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One process of a child: starting it, listening to it, ending it, seeing its end.
 *
 * What a process says comes over its ring and is copied and checked there (shm/ring.h); a broken ring poisons the process: it is not
 * listened to any more and killed, which harms its own child only. When a process ends its ring and its channel are read to the end before
 * the exit is dealt with: last words come before death.
 */
#include "supervisor/hub.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "base/check.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/fd.h"
#include "base/scm.h"
#include "shm/futex.h"
#include "supervisor/callers.h"
#include "supervisor/carry.h"
#include "supervisor/groups.h"
#include "supervisor/live.h"
#include "supervisor/mailbox.h"
#include "supervisor/notify.h"
#include "supervisor/replicas.h"
#include "supervisor/start.h"
#include "supervisor/zygote.h"


/* ---- listening ---- */

static void inc_poison(struct bt_inc *inc, const char *what)
{
        if (inc->poisoned)
                return;
        inc->poisoned = true;
        bt_child_note(inc->child, "incarnation %llu broke the protocol (%s) and was killed", (unsigned long long)inc->number, what);
        bt_inc_kill(inc);
}

/* The process' text, copied once and terminated. */
static void inc_read_text(struct bt_inc *inc)
{
        const _Atomic char *from = (const _Atomic char *)(const void *)inc->link->text;
        char text[BT_LINK_TEXT_BYTES];

        for (size_t i = 0; i < sizeof(text) - 1; i++)
                text[i] = atomic_load_explicit(&from[i], memory_order_relaxed);
        text[sizeof(text) - 1] = '\0';
        bt_inc_set_why(inc, text);
}

const char *bt_inc_why(const struct bt_inc *inc)
{
        return inc->why ? inc->why : "";
}

void bt_inc_set_why(struct bt_inc *inc, const char *text)
{
        free(inc->why);
        inc->why = strdup(text); /* without memory for it there is none: it is for people */
}

/* Reads all that it said. Callbacks may start or end processes, but not free this one: that is left to the end of its exit. */
void bt_inc_listen(struct bt_inc *inc)
{
        struct bt_rec rec;
        int r = 0;

        if (inc->notify)
                bt_notify_listen(inc);
        if (!inc->link)
                return;
        if (inc->held) {
                bt_held_said(inc);
                return; /* no code of its program has run: there is nothing in its ring */
        }
        if (inc->start)
                bt_zygote_listen(inc->zygote); /* that it is there comes before what it says */
        while (!inc->poisoned && !(r = bt_ring_pop(&inc->inbox, &rec))) {
                if (rec.type == BT_MSG_REFUSED || rec.type == BT_MSG_NOT_PASSED || (rec.type == BT_MSG_CHECKPOINTED && rec.arg[0]))
                        inc_read_text(inc);
                bt_child_on_message(inc->child, inc, &rec);
        }
        if (r == BT_RING_E_BROKEN)
                inc_poison(inc, "ring");
}

/* It rings through its channel: what is there is a descriptor, or a bell, or both. What it sent before it spoke is here before it is heard. */
static void inc_on_channel(struct bt_loop_watch *watch, uint32_t events)
{
        struct bt_inc *inc = bt_container_of(watch, struct bt_inc, channel_watch);

        (void)events;
        if (bt_child_on_channel(inc->child, inc)) {
                bt_loop_forget(watch); /* a new watch looks at the socket as it is */
                if (bt_loop_watch_fd(inc->child->hub->loop, watch, inc->channel, EPOLLIN, inc_on_channel))
                        inc_poison(inc, "channel");
        }
        bt_inc_listen(inc);
}

/* ---- the end ---- */

/* It can run no more of its code. @reaped comes later when the life mark was seen first. */
static void inc_gone(struct bt_inc *inc)
{
        if (inc->dead)
                return;
        bt_inc_listen(inc);
        if (inc->link)
                (void)bt_child_on_channel(inc->child, inc);
        bt_log_drain(&inc->out);
        bt_log_drain(&inc->err);
        inc->dead = true;
        bt_callers_process_gone(inc);
        bt_loop_timer_disarm(&inc->deadline);
}

static void inc_on_exit(struct bt_loop_watch *watch, uint32_t events)
{
        struct bt_inc *inc = bt_container_of(watch, struct bt_inc, exit_watch);
        bool was_dead = inc->dead;
        pid_t pid = inc->pid;

        (void)events;
        if (inc->notify)
                bt_notify_listen(inc);
        if (inc->pid != pid)
                return; /* its last word was that another one goes on for it (MAINPID) */
        if (inc->reaped || bt_proc_reap(inc->pidfd, &inc->how) == -EAGAIN)
                return; /* not ended after all */
        /* Any other error: not our own child but one we adopted. It ended, and how is known only to init. */
        inc->reaped = true;
        inc_gone(inc);
        bt_mode_gone(inc);
        if (was_dead) {
                /* Its end was dealt with when the mark was seen. */
                struct bt_hub *hub = inc->child->hub;
                struct bt_child *child = inc->child;

                child->last_exit = inc->how;
                (void)bt_inc_free(inc);
                bt_child_publish(child);
                bt_hub_exited(hub);
                bt_live_changed(child);
                bt_groups_changed(child);
                return;
        }
        bt_child_on_exit(inc->child, inc);
}

/*
 * The kernel marks the word of a robust mutex when the thread that holds it dies: for a process with a gigabyte mapped, tens of milliseconds before its
 * pidfd is told, because the address space is torn down in between. It proves that no user code runs any more if the thread was the
 * main thread (the library leaves no word otherwise, and we compare the id) and was the only one left, which the kernel tells in
 * the link count of /proc/PID/task: the dying leader counts as one until it is reaped, and only we can reap it.
 */
static void inc_on_life(struct bt_loop_watch *watch, uint32_t events)
{
        struct bt_inc *inc = bt_container_of(watch, struct bt_inc, life_watch);
        const _Atomic uint32_t *word = (const _Atomic uint32_t *)(const void *)((const char *)inc->link + inc->link->life_off);

        (void)events;
        if (inc->dead)
                return;
        if (!(atomic_load(word) & 0x40000000u /* FUTEX_OWNER_DIED */)) {
                bt_inc_watch_life(inc);
                return;
        }
        if (bt_proc_threads(inc->pid) != 1)
                return; /* others may still run: wait for the pidfd */
        if (!inc->mark_ends) {
                bt_spare_ahead(inc);
                return;
        }
        inc_gone(inc);
        bt_child_on_exit(inc->child, inc);
}

void bt_inc_watch_life(struct bt_inc *inc)
{
        uint32_t off = inc->link && !inc->dead ? atomic_load(&inc->link->life_off) : 0;
        _Atomic uint32_t *word;
        uint32_t seen;

        if (inc->life_watch.slot)
                return; /* it is watched */
        if (off < offsetof(struct bt_link, life) || off > offsetof(struct bt_link, life) + sizeof(inc->link->life) - 4 || off % 4)
                return;
        word = (_Atomic uint32_t *)(void *)((char *)inc->link + off);
        /* The kernel wakes only words that say somebody waits. */
        seen = atomic_fetch_or(word, 0x80000000u /* FUTEX_WAITERS */) | 0x80000000u;
        if ((seen & 0x3fffffffu) != (uint32_t)inc->pid || seen & 0x40000000u)
                return; /* not the main thread's; or it is dying already, and nobody would wake us: the pidfd will tell */
        (void)bt_loop_watch_futex(inc->child->hub->loop, &inc->life_watch, (const uint32_t *)(const void *)word, seen, inc_on_life);
}

const char *bt_inc_exit_text(const struct bt_inc *inc, char *text, size_t bytes)
{
        if (!inc->reaped) {
                (void)snprintf(text, bytes, "it died");
                return text;
        }
        return bt_proc_exit_text(&inc->how, text, bytes);
}

/* ---- speaking ---- */

/* Puts it into the ring and rings the bell, on which one that is parked does not sleep. False: it was not said. */
static bool inc_put(struct bt_inc *inc, const struct bt_rec *rec)
{
        const uint64_t one = 1;
        int r;

        if (!inc->link || inc->dead || inc->poisoned || inc->held)
                return false;
        r = bt_ring_push(&inc->outbox, rec);
        if (r == BT_RING_E_BROKEN) {
                inc_poison(inc, "ring");
        } else if (r == BT_RING_E_FULL) {
                inc->child->limits_hit++;
                bt_child_note(inc->child, "incarnation %llu does not read its link", (unsigned long long)inc->number);
        } else {
                (void)!write(inc->bell, &one, sizeof(one));
        }
        return !r;
}

void bt_inc_say_parked(struct bt_inc *inc, uint32_t type, uint64_t token, uint32_t flags)
{
        const struct bt_rec rec = {.type = type, .flags = flags, .token = token};

        (void)inc_put(inc, &rec);
}

void bt_inc_say(struct bt_inc *inc, uint32_t type, uint64_t token, uint32_t flags, uint64_t arg0, uint64_t arg1)
{
        const struct bt_rec rec = {.type = type, .flags = flags, .token = token, .arg = {arg0, arg1, 0, 0}};

        if (!inc_put(inc, &rec))
                return;
        atomic_fetch_add(&inc->link->wake, 1);
        if (atomic_load(&inc->holding->baton->parked) == BT_PARK_FUTEX)
                bt_futex_wake(&inc->link->wake);
}

int bt_inc_send(struct bt_inc *inc, const struct bt_chan *msg, int fd)
{
        return bt_scm_send(inc->channel, msg, sizeof(*msg), &fd, fd >= 0 ? 1 : 0);
}

void bt_inc_kill(struct bt_inc *inc)
{
        inc->killed = true;
        if (!inc->reaped)
                (void)bt_proc_signal(inc->pidfd, SIGKILL);
}

void bt_inc_stop(struct bt_inc *inc)
{
        inc->told_to_end = true;
        bt_inc_not_later(inc);
        bt_mode_release(inc);
        if (inc->link && atomic_load(&inc->link->attached) == BT_LINK_ATTACHED)
                bt_inc_say(inc, BT_MSG_TERMINATE, 0, 0, 0, 0);
        else if (!inc->dead)
                (void)bt_proc_signal(inc->pidfd, SIGTERM);
}

/* ---- starting ---- */

struct bt_inc *bt_inc_free(struct bt_inc *inc)
{
        if (!inc)
                return NULL;
        bt_notify_close(inc);
        bt_zygote_leave(inc);
        bt_inc_not_later(inc);
        inc->start = bt_start_free(inc->start);
        bt_mode_gone(inc);
        bt_loop_forget(&inc->exit_watch);
        bt_loop_forget(&inc->life_watch);
        bt_loop_forget(&inc->channel_watch);
        bt_loop_timer_disarm(&inc->deadline);
        bt_log_deinit(&inc->out);
        bt_log_deinit(&inc->err);
        bt_list_unlink(&inc->node);
        bt_registry_remove(&inc->child->hub->registry, inc->entry);
        (void)bt_close(inc->pidfd);
        (void)bt_close(inc->bell);
        (void)bt_close(inc->channel);
        (void)bt_close(inc->handoff);
        bt_seg_detach(&inc->link_seg);
        free(inc->why);
        inc->holding = bt_holding_unref(inc->holding);
        inc->binary = bt_binary_unref(inc->binary);
        free(inc);
        return NULL;
}

static void inc_freep(struct bt_inc **inc)
{
        *inc = bt_inc_free(*inc);
}

static void start_freep(struct bt_inc_start **start)
{
        *start = bt_start_free(*start);
}

static int inc_watch(struct bt_inc *inc)
{
        struct bt_loop *loop = inc->child->hub->loop;
        int r = inc->start ? 0 : bt_loop_watch_fd(loop, &inc->exit_watch, inc->pidfd, EPOLLIN, inc_on_exit);

        if (!r && inc->notify)
                r = bt_notify_watch(inc);
        if (!r && inc->link)
                r = bt_loop_watch_fd(loop, &inc->channel_watch, inc->channel, EPOLLIN, inc_on_channel);
        return r;
}

int bt_inc_main_is(struct bt_inc *inc, pid_t pid, int pidfd)
{
        int was = inc->pidfd;
        int r;

        bt_loop_forget(&inc->exit_watch);
        r = bt_loop_watch_fd(inc->child->hub->loop, &inc->exit_watch, pidfd, EPOLLIN, inc_on_exit);
        if (r) {
                (void)bt_loop_watch_fd(inc->child->hub->loop, &inc->exit_watch, was, EPOLLIN, inc_on_exit);
                (void)bt_close(pidfd);
                return r;
        }
        inc->pid = pid;
        inc->pidfd = pidfd;
        if (inc->entry) {
                inc->entry->pid = pid;
                inc->entry->started_ticks = bt_proc_started(pid);
        }
        bt_child_publish(inc->child);
        return was;
}

static struct bt_inc *inc_new(struct bt_child *child, uint64_t number, struct bt_binary *binary, struct bt_holding *holding)
{
        struct bt_inc *inc = calloc(1, sizeof(*inc));

        if (!inc)
                return NULL;
        bt_list_init(&inc->node);
        bt_list_init(&inc->asked);
        bt_list_init(&inc->later);
        inc->child = child;
        inc->pidfd = inc->bell = inc->channel = inc->handoff = inc->out.fd = inc->err.fd = -1;
        inc->number = number;
        inc->binary = bt_binary_ref(binary);
        inc->holding = bt_holding_ref(holding);
        inc->mode = inc->told = bt_mode_first(child);
        return inc;
}

static int adopt_link(struct bt_inc *inc, struct bt_found *found)
{
        inc->reason = (enum baton_reason)found->link->reason;
        inc->link_seg = found->link_seg;
        inc->link = BT_STEAL(found->link);
        found->link_seg = (struct bt_seg)BT_SEG_NULL;
        inc->bell = BT_STEAL_FD(found->fds[BT_LINK_FD_BELL]);
        inc->channel = BT_STEAL_FD(found->fds[BT_LINK_FD_HUB_CHANNEL]);
        bt_ring_end_init_push(&inc->outbox, &inc->link->to_child);
        bt_ring_end_init_pop(&inc->inbox, &inc->link->to_hub);
        return bt_ring_valid(&inc->link->to_child) && bt_ring_valid(&inc->link->to_hub) ? 0 : -EPROTO;
}

/* One that is missing comes with the other one, or was closed by its process. */
static int adopt_log(struct bt_inc *inc, struct bt_log *log, int to, int *fd)
{
        log->id = inc->child->id;
        log->to = to;
        log->loop = inc->child->hub->loop;
        return *fd < 0 ? 0 : bt_log_adopt(inc->child->hub, log, inc->child->id, to, BT_STEAL_FD(*fd));
}

int bt_inc_adopt(struct bt_inc **ret_inc, struct bt_child *child, struct bt_found *found, struct bt_binary *binary, struct bt_holding *holding)
{
        BT_CLEANUP(inc_freep) struct bt_inc *inc = inc_new(child, found->entry->incarnation, binary, holding);
        int r;

        if (!inc)
                return -ENOMEM;
        inc->pid = found->pid;
        inc->pidfd = BT_STEAL_FD(found->pidfd);
        r = found->link ? adopt_link(inc, found) : 0;
        if (!r)
                r = adopt_log(inc, &inc->out, STDOUT_FILENO, &found->fds[BT_LINK_FD_OUT]);
        if (!r)
                r = adopt_log(inc, &inc->err, STDERR_FILENO, &found->fds[BT_LINK_FD_ERR]);
        if (!r && found->carried)
                r = bt_carry_process(inc, found);
        if (!r)
                r = inc_watch(inc);
        if (r)
                return r;
        inc->entry = BT_STEAL(found->entry);
        bt_list_push(&child->incs, &inc->node);
        if (inc->link)
                bt_mode_adopted(inc);
        *ret_inc = BT_STEAL(inc);
        return 0;
}

/* ---- the process itself ---- */

/*
 * The one place where a process comes from: forked by a zygote, which answers later (bt_inc_forked(), bt_inc_not_forked()), or executed now. 0 or
 * -errno with the step.
 */
static int inc_make(struct bt_inc *inc, struct bt_inc_start **start, const struct bt_inc_spawn *how, enum bt_spawn_step *ret_step)
{
        if (!inc->held)
                bt_zygote_join(inc, &(*start)->spawn, (*start)->link_to, how->seat.node->name);
        if (bt_zygote_fork(inc, &(*start)->spawn, (*start)->link_to)) {
                inc->start = BT_STEAL(*start);
                return 0;
        }
        return bt_spawn(&(*start)->spawn, &inc->pid, &inc->pidfd, ret_step);
}

/* From here on it is a process as any other. What was decided about it meanwhile is done to it. */
static void inc_made(struct bt_inc *inc)
{
        struct bt_child *child = inc->child;

        inc->start = bt_start_free(inc->start);
        if (inc->entry)
                inc->entry->pid = inc->pid;
        if (bt_loop_watch_fd(child->hub->loop, &inc->exit_watch, inc->pidfd, EPOLLIN, inc_on_exit))
                inc->killed = true; /* a process we cannot watch must not stay; its channel tells its end */
        if (inc->killed)
                bt_inc_kill(inc);
        else if (inc->told_to_end)
                bt_inc_stop(inc);
        bt_child_begun(child, inc);
        bt_child_publish(child);
}

void bt_inc_forked(struct bt_inc *inc, pid_t pid, int pidfd)
{
        inc->pid = pid;
        inc->pidfd = pidfd;
        inc_made(inc);
}

void bt_inc_not_forked(struct bt_inc *inc)
{
        enum bt_spawn_step step = BT_SPAWN_STEP_NONE;
        char text[BT_LINK_TEXT_BYTES];
        int r = inc->killed || inc->told_to_end ? -ECANCELED : bt_spawn(&inc->start->spawn, &inc->pid, &inc->pidfd, &step);

        if (!r) {
                inc_made(inc);
                return;
        }
        if (r != -ECANCELED) {
                (void)snprintf(text, sizeof(text), "%s: %s: %s", inc->binary->path, bt_spawn_step_name(step), strerrordesc_np(-r));
                bt_inc_set_why(inc, text);
                bt_child_note(inc->child, "could not be started: %s", text);
        }
        inc->start = bt_start_free(inc->start);
        inc->how = (struct bt_proc_exit){.code = CLD_EXITED, .status = 127};
        inc->reaped = true;
        inc_gone(inc);
        bt_child_on_exit(inc->child, inc);
}

int bt_inc_spawn(struct bt_inc **ret_inc, const struct bt_inc_spawn *how, char *ret_why, size_t why_bytes)
{
        BT_CLEANUP(inc_freep) struct bt_inc *inc = inc_new(how->child, how->child->number_next, how->binary, how->holding);
        BT_CLEANUP(start_freep) struct bt_inc_start *start = bt_start_new();
        enum bt_spawn_step step = BT_SPAWN_STEP_NONE;
        struct bt_child *child = how->child;
        int r;

        if (!inc || !start)
                return -ENOMEM;
        inc->reason = how->reason;
        inc->started_on = how->seat.node;
        inc->held = how->hold != BT_HOLD_NONE;
        if (inc->number > BT_INC_MAX) {
                (void)snprintf(ret_why, why_bytes, "incarnation numbers are used up: remove and add the child");
                return -EOVERFLOW;
        }

        r = child->hub->one_log ? 0 : bt_log_open(child->hub, &inc->out, child->id, STDOUT_FILENO, &start->out_end);
        if (!r)
                r = bt_log_open(child->hub, &inc->err, child->id, STDERR_FILENO, &start->err_end);
        if (!r)
                r = bt_start_describe(start, inc, how);
        if (!r && inc->link && !inc->held)
                bt_child_send_kept(child, inc);
        if (!r && inc->link && !inc->held)
                bt_callers_introduce(inc);
        if (!r)
                bt_start_register(start, inc, how->seat.node);
        if (!r)
                r = inc_make(inc, &start, how, &step);
        if (r) {
                (void)snprintf(ret_why, why_bytes, "%s: %s: %s", how->binary->path, bt_spawn_step_name(step), strerrordesc_np(-r));
                return r;
        }
        child->number_next += !inc->held;
        if (how->ret_handoff && !inc->held)
                *how->ret_handoff = BT_STEAL_FD(inc->handoff);
        if (inc->entry && !inc->link)
                inc->entry->started_ticks = bt_proc_started(inc->pid);
        r = inc_watch(inc);
        if (r) {
                struct bt_proc_exit ignored;

                /* A process we cannot watch must not stay. */
                bt_inc_kill(inc);
                if (inc->pidfd >= 0)
                        (void)bt_proc_wait(inc->pidfd, &ignored);
                (void)snprintf(ret_why, why_bytes, "cannot watch the process: %s", strerrordesc_np(-r));
                return r;
        }
        bt_list_push(&child->incs, &inc->node);
        *ret_inc = BT_STEAL(inc);
        return 0;
}
