/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What programs that speak sd_notify say: docs/notify.md has the list, and what was dropped.
 *
 * A message is read whole into a buffer of its own, with its descriptors, and taken apart line by line. Its lines are one statement (FDSTORE=1 and FDNAME=x
 * belong together), so they are collected first and acted upon then. Acting may end a migration, and so free processes other than the speaker; the speaker
 * itself is freed by its exit only.
 */
#include "supervisor/notify.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/fd.h"
#include "base/scm.h"
#include "supervisor/carry.h"
#include "supervisor/hub.h"

#define PREFIX "notify."
#define TEXT_BYTES 8192
#define MESSAGES_MAX 64 /* of one process in one go: one that never stops talking does not hold up the others */
#define STATUS_BYTES 127
#define EXTEND_MAX_NS (3600 * BT_NS_PER_S)
#define LAUNCHER_WAIT_NS BT_NS_PER_S

struct bt_notify {
        struct bt_inc *inc;
        int fd;
        bool ready;
        pid_t session;        /* that its processes are in */
        uint64_t watchdog_ns; /* 0: none */
        struct bt_loop_watch watch;
        struct bt_loop_timer watchdog;
        int launcher; /* pidfd of the process that was started, when MAINPID has named another one and it still runs; -1 */
        struct bt_loop_watch launcher_watch;
        char path[108]; /* "": nothing is bound */
};

/* One message, as it was said. */
struct said {
        bool ready, reloading, stopping, alive, trigger, store, drop, barrier;
        const char *status; /* NULL: not said. Points into the message */
        const char *name;
        uint64_t watchdog_us; /* UINT64_MAX: not said */
        uint64_t extend_us;   /* 0: not said */
        uint64_t main_pid;    /* 0: not said */
};

/* ---- the socket ---- */

void bt_notify_clean(struct bt_hub *hub)
{
        DIR *dir = opendir(bt_plan_string(&hub->plan, hub->plan.plan->runtime_dir));
        const struct dirent *entry;

        if (!dir)
                return;
        while ((entry = readdir(dir))) /* NOLINT(concurrency-mt-unsafe): of a stream that nobody else has */
                if (!strncmp(entry->d_name, PREFIX, strlen(PREFIX)) && !bt_carry_notify_path(hub, entry->d_name))
                        (void)unlinkat(dirfd(dir), entry->d_name, 0);
        (void)closedir(dir);
}

int bt_notify_open(struct bt_inc *inc, char ret_env[BT_NOTIFY_ENV_BYTES])
{
        struct bt_hub *hub = inc->child->hub;
        struct sockaddr_un addr = {.sun_family = AF_UNIX};
        struct bt_notify *n = calloc(1, sizeof(*n));
        int length;

        if (!n)
                return -ENOMEM;
        n->inc = inc;
        n->fd = n->launcher = -1;
        inc->notify = n;
        length = snprintf(n->path, sizeof(n->path), "%s/" PREFIX "%" PRIu64, bt_plan_string(&hub->plan, hub->plan.plan->runtime_dir), ++hub->notify_last);
        if (length >= (int)sizeof(n->path)) {
                n->path[0] = '\0';
                return -ENAMETOOLONG;
        }
        memcpy(addr.sun_path, n->path, (size_t)length + 1);
        n->fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        if (n->fd < 0 || bind(n->fd, (struct sockaddr *)&addr, sizeof(addr)) < 0) {
                n->path[0] = '\0';
                return -errno;
        }
        n->watchdog_ns = inc->child->spec->watchdog_ns;
        (void)snprintf(ret_env, BT_NOTIFY_ENV_BYTES, "NOTIFY_SOCKET=%s", n->path);
        return 0;
}

/* ---- taking a message apart ---- */

static uint64_t number(const char *text)
{
        char *end;
        uint64_t value;

        if (!isdigit((unsigned char)*text))
                return 0;
        errno = 0;
        value = strtoull(text, &end, 10);
        return *end || errno ? 0 : value;
}

static void say_line(struct said *said, const char *name, const char *value)
{
        if (!strcmp(name, "READY"))
                said->ready = !strcmp(value, "1");
        else if (!strcmp(name, "RELOADING"))
                said->reloading = !strcmp(value, "1");
        else if (!strcmp(name, "STOPPING"))
                said->stopping = !strcmp(value, "1");
        else if (!strcmp(name, "STATUS"))
                said->status = value;
        else if (!strcmp(name, "MAINPID"))
                said->main_pid = number(value);
        else if (!strcmp(name, "WATCHDOG") && !strcmp(value, "trigger"))
                said->trigger = true;
        else if (!strcmp(name, "WATCHDOG"))
                said->alive = !strcmp(value, "1");
        else if (!strcmp(name, "WATCHDOG_USEC") && isdigit((unsigned char)*value))
                said->watchdog_us = number(value);
        else if (!strcmp(name, "EXTEND_TIMEOUT_USEC"))
                said->extend_us = number(value);
        else if (!strcmp(name, "FDSTORE"))
                said->store = !strcmp(value, "1");
        else if (!strcmp(name, "FDSTOREREMOVE"))
                said->drop = !strcmp(value, "1");
        else if (!strcmp(name, "FDNAME"))
                said->name = value;
        else if (!strcmp(name, "BARRIER"))
                said->barrier = !strcmp(value, "1");
}

/* @text is cut into pieces. */
static struct said take_apart(char *text)
{
        struct said said = {.watchdog_us = UINT64_MAX};

        for (char *line = text, *next; *line; line = next) {
                char *value;

                next = strchrnul(line, '\n');
                if (*next)
                        *next++ = '\0';
                value = strchr(line, '=');
                if (value) {
                        *value++ = '\0';
                        say_line(&said, line, value);
                }
        }
        return said;
}

/* ---- acting upon it ---- */

static void on_patience_over(struct bt_loop_timer *timer)
{
        bt_inc_kill(bt_container_of(timer, struct bt_inc, deadline));
}

/* It leaves a core, where those are kept, and is killed when it does not even do that. */
static void abort_it(struct bt_notify *n, const char *why)
{
        struct bt_inc *inc = n->inc;
        uint64_t patience_ns = inc->child->spec->shutdown_ns;

        inc->child->limits_hit++;
        bt_child_note(inc->child, "incarnation %" PRIu64 " %s and was aborted", inc->number, why);
        (void)bt_proc_signal(inc->pidfd, SIGABRT);
        if (patience_ns != BT_NS_INFINITE)
                (void)bt_loop_timer_arm(inc->child->hub->loop, &inc->deadline, bt_ns_add(bt_now_ns(), patience_ns), on_patience_over);
}

static void on_silence(struct bt_loop_timer *timer)
{
        struct bt_notify *n = bt_container_of(timer, struct bt_notify, watchdog);

        bt_notify_listen(n->inc);
        if (!n->watchdog.heap_idx && n->watchdog_ns && !n->inc->told_to_end && !n->inc->killed)
                abort_it(n, "was silent for longer than its watchdog allows");
        /* else: it has just spoken, or is ending anyway */
}

static void watchdog_arm(struct bt_notify *n)
{
        if (!n->ready || !n->watchdog_ns || n->inc->told_to_end)
                bt_loop_timer_disarm(&n->watchdog);
        else
                (void)bt_loop_timer_arm(n->inc->child->hub->loop, &n->watchdog, bt_ns_add(bt_now_ns(), n->watchdog_ns), on_silence);
}

static void extend(struct bt_loop_timer *timer, uint64_t until_ns)
{
        if (timer->heap_idx && timer->deadline_ns < until_ns)
                (void)bt_loop_timer_arm(timer->loop, timer, until_ns, timer->fn);
}

/* What is waited for: in a swap by the swap, else by whoever told it to end. */
static void extend_timeouts(struct bt_inc *inc, uint64_t us)
{
        uint64_t ns = us > EXTEND_MAX_NS / 1000 ? EXTEND_MAX_NS : us * 1000;
        uint64_t until_ns = bt_ns_add(bt_now_ns(), ns);
        struct bt_migration *m = inc->child->migration;

        if (m && (m->succ == inc || m->pred == inc))
                extend(&m->timer, until_ns);
        extend(&inc->deadline, until_ns);
}

/* Shown by `status`, of the process that serves or is being started. Printable: it goes to terminals. */
static void show(struct bt_inc *inc, const char *text)
{
        char clean[STATUS_BYTES + 1];
        size_t i;

        if (inc->child->current != inc)
                return;
        for (i = 0; i < STATUS_BYTES && text[i]; i++)
                clean[i] = (unsigned char)text[i] < ' ' || text[i] == 127 ? '?' : text[i];
        clean[i] = '\0';
        (void)snprintf(inc->child->note, sizeof(inc->child->note), "%s", clean);
        bt_child_publish(inc->child);
}

static void on_launcher_exit(struct bt_loop_watch *watch, uint32_t events)
{
        struct bt_notify *n = bt_container_of(watch, struct bt_notify, launcher_watch);
        struct bt_proc_exit ignored;

        (void)events;
        if (bt_proc_reap(n->launcher, &ignored) == -EAGAIN)
                return;
        bt_loop_forget(&n->launcher_watch);
        n->launcher = bt_close(n->launcher);
}

/*
 * Another process is the child's from now on. One of its session only, which a program cannot put a stranger into; asked again when the pidfd is there, for a
 * pid that was given to somebody else in between.
 */
static void take_main(struct bt_notify *n, uint64_t pid)
{
        struct bt_inc *inc = n->inc;
        int pidfd, was;

        if (pid == (uint64_t)inc->pid)
                return;
        pidfd = pid <= INT32_MAX ? bt_proc_open((pid_t)pid) : -ESRCH;
        if (pidfd < 0 || getsid((pid_t)pid) != n->session) {
                bt_child_note(inc->child, "MAINPID=%" PRIu64 " is no process of its session", pid);
                (void)bt_close(pidfd);
                return;
        }
        was = bt_inc_main_is(inc, (pid_t)pid, pidfd);
        if (n->launcher >= 0 || was < 0) {
                (void)bt_close(was); /* a second change: that one was not ours to reap */
                return;
        }
        n->launcher = was;
        (void)bt_loop_watch_fd(inc->child->hub->loop, &n->launcher_watch, was, EPOLLIN, on_launcher_exit);
}

static bool name_valid(const char *name)
{
        size_t bytes = strlen(name);

        if (!bytes || bytes >= sizeof(((struct bt_kept_fd *)NULL)->name))
                return false;
        for (size_t i = 0; i < bytes; i++)
                if (name[i] == ':' || (unsigned char)name[i] <= ' ' || (unsigned char)name[i] >= 127)
                        return false;
        return true;
}

/* Takes @fds. */
static void keep(struct bt_child *child, const struct said *said, int *fds, size_t fd_count)
{
        const char *name = said->name ? said->name : "stored";
        bool valid = name_valid(name);

        if ((said->store || said->drop) && !valid)
                bt_child_note(child, "FDNAME is not 1 to 63 printable characters without ':' and space");
        if (said->drop && valid)
                bt_child_drop_kept(child, name);
        for (size_t i = 0; i < fd_count; i++) {
                if (said->store && valid)
                        bt_child_keep(child, name, BT_STEAL_FD(fds[i]), true);
                else
                        (void)bt_close(fds[i]); /* also BARRIER's: all before it was dealt with */
        }
}

/* READY may end a migration; nothing of the speaker is freed by that. */
static void act(struct bt_notify *n, const struct said *said, int *fds, size_t fd_count)
{
        struct bt_inc *inc = n->inc;

        keep(inc->child, said, fds, fd_count);
        if (said->main_pid)
                take_main(n, said->main_pid);
        if (said->watchdog_us != UINT64_MAX)
                n->watchdog_ns = said->watchdog_us > EXTEND_MAX_NS / 1000 ? EXTEND_MAX_NS : said->watchdog_us * 1000;
        if (said->extend_us)
                extend_timeouts(inc, said->extend_us);
        if (said->ready && !n->ready) {
                n->ready = true;
                bt_child_on_notified(inc->child, inc);
        } else if (said->ready) {
                show(inc, ""); /* reloaded */
        }
        if (said->reloading)
                show(inc, "reloading");
        if (said->stopping)
                show(inc, "stopping");
        if (said->status)
                show(inc, said->status);
        if (said->ready || said->alive || said->watchdog_us != UINT64_MAX)
                watchdog_arm(n);
        if (said->trigger)
                abort_it(n, "asked for it by WATCHDOG=trigger");
}

/* One message; false: there is none. */
static bool listen_once(struct bt_notify *n)
{
        char text[TEXT_BYTES + 1];
        int fds[BT_SCM_FDS_MAX];
        size_t fd_count = 0;
        ssize_t bytes = bt_scm_recv(n->fd, text, TEXT_BYTES, fds, BT_SCM_FDS_MAX, &fd_count);
        struct said said;

        if (bytes == -EMSGSIZE) {
                bt_child_note(n->inc->child, "a message to NOTIFY_SOCKET was longer than %d bytes, or its descriptors did not fit: ignored", TEXT_BYTES);
                return true;
        }
        if (bytes < 0)
                return false;
        text[bytes] = '\0';
        said = take_apart(text);
        act(n, &said, fds, fd_count);
        return true;
}

static void on_message(struct bt_loop_watch *watch, uint32_t events)
{
        struct bt_notify *n = bt_container_of(watch, struct bt_notify, watch);

        (void)events;
        bt_notify_listen(n->inc);
}

void bt_notify_listen(struct bt_inc *inc)
{
        struct bt_notify *n = inc->notify;
        int i = 0;

        while (i < MESSAGES_MAX && listen_once(n))
                i++;
        /* The watch tells of what arrives, not of what is there. A process that has ended says no more than this. */
        if (i == MESSAGES_MAX && !inc->reaped)
                (void)bt_notify_watch(inc);
}

int bt_notify_watch(struct bt_inc *inc)
{
        struct bt_notify *n = inc->notify;

        if (!n->session)
                n->session = inc->pid;
        return bt_loop_watch_fd(inc->child->hub->loop, &n->watch, n->fd, EPOLLIN, on_message);
}

/* ---- over an exec of the hub: carry.h ---- */

void bt_notify_carry(const struct bt_inc *inc, struct bt_carry_out *out)
{
        const struct bt_notify *n = inc->notify;
        struct bt_carry_notify item = {.fd = bt_carry_put_fd(out, n->fd),
                                       .launcher = bt_carry_put_fd(out, n->launcher),
                                       .session = n->session,
                                       .ready = n->ready,
                                       .watchdog_ns = n->watchdog_ns,
                                       .watchdog_due_ns = n->watchdog.heap_idx ? n->watchdog.deadline_ns : BT_NS_NEVER};

        memcpy(item.path, n->path, sizeof(item.path));
        bt_carry_put(out, BT_CARRY_NOTIFY, &item, sizeof(item), NULL, 0);
}

int bt_notify_carried(struct bt_inc *inc, struct bt_carry *carry, const struct bt_carry_notify *item)
{
        struct bt_loop *loop = inc->child->hub->loop;
        struct bt_notify *n = calloc(1, sizeof(*n));
        int r = 0;

        if (!n)
                return -ENOMEM;
        inc->notify = n;
        n->inc = inc;
        n->fd = bt_carry_take(carry, item->fd);
        n->launcher = bt_carry_take(carry, item->launcher);
        n->session = item->session;
        n->ready = item->ready;
        n->watchdog_ns = item->watchdog_ns;
        memcpy(n->path, item->path, sizeof(n->path));
        if (n->launcher >= 0)
                r = bt_loop_watch_fd(loop, &n->launcher_watch, n->launcher, EPOLLIN, on_launcher_exit);
        if (!r && item->watchdog_due_ns != BT_NS_NEVER)
                r = bt_loop_timer_arm(loop, &n->watchdog, item->watchdog_due_ns, on_silence);
        return r;
}

void bt_notify_close(struct bt_inc *inc)
{
        struct bt_notify *n = inc->notify;
        struct bt_proc_exit ignored;

        if (!n)
                return;
        bt_loop_forget(&n->watch);
        bt_loop_timer_disarm(&n->watchdog);
        bt_loop_forget(&n->launcher_watch);
        if (n->launcher >= 0) {
                /* The child has ended, and what had started it must not stay behind. A process under SIGKILL ends by itself; one that cannot is not waited for (I7). */
                (void)bt_proc_kill_wait(n->launcher, LAUNCHER_WAIT_NS);
                (void)bt_proc_reap(n->launcher, &ignored);
                n->launcher = bt_close(n->launcher);
        }
        if (n->path[0])
                (void)unlink(n->path);
        (void)bt_close(n->fd);
        free(n);
        inc->notify = NULL;
}
