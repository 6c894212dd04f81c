/* SPDX-License-Identifier: Apache-2.0 */
/* The ready-made loop, for programs that have none: epoll over the program's watches, the bell, and the signals that mean "end". */
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "base/check.h"
#include "base/fd.h"
#include "child-api/child.h"

#define EVENTS_A_TURN 64

/* Watches are freed at close only: an event already fetched may still name one that was forgotten (its @fn is NULL then). */
struct bt_watch {
        struct bt_watch *next;
        baton_watch_fn fn; /* NULL: free to be used again */
        void *data;
        int fd;
};

static int loop_open(struct baton_child *child)
{
        if (child->epoll >= 0)
                return 0;
        child->epoll = epoll_create1(EPOLL_CLOEXEC);
        return child->epoll < 0 ? -errno : 0;
}

void bt_child_free_loop(struct baton_child *child)
{
        while (child->watches) {
                struct bt_watch *next = child->watches->next;

                free(child->watches);
                child->watches = next;
        }
        child->epoll = bt_close(child->epoll);
        child->signals = bt_close(child->signals);
}

/* The watch on @fd, or a free one, or a new one; NULL: no memory. */
static struct bt_watch *watch_for(struct baton_child *child, int fd)
{
        struct bt_watch *unused = NULL;

        for (struct bt_watch *w = child->watches; w; w = w->next) {
                if (w->fn && w->fd == fd)
                        return w;
                if (!w->fn)
                        unused = w;
        }
        if (unused)
                return unused;
        unused = calloc(1, sizeof(*unused));
        if (unused) {
                unused->next = child->watches;
                child->watches = unused;
        }
        return unused;
}

int baton_child_watch(struct baton_child *child, int fd, uint32_t events, baton_watch_fn fn, void *data)
{
        struct epoll_event event = {.events = events};
        struct bt_watch *watch;
        int r;

        if (bt_child_forked())
                return -BATON_E_FORKED;
        r = loop_open(child);
        if (r)
                return r;
        watch = watch_for(child, fd);
        if (!watch)
                return -ENOMEM;
        if (!events) {
                if (!watch->fn)
                        return -ENOENT;
                watch->fn = NULL;
                return epoll_ctl(child->epoll, EPOLL_CTL_DEL, fd, NULL) < 0 ? -errno : 0;
        }
        if (!fn)
                return -EINVAL;
        event.data.ptr = watch;
        if (epoll_ctl(child->epoll, watch->fn ? EPOLL_CTL_MOD : EPOLL_CTL_ADD, fd, &event) < 0)
                return -errno;
        watch->fn = fn;
        watch->data = data;
        watch->fd = fd;
        return 0;
}

/* The bell and the signals are told from watches by the address of their place in the handle. */
/* NOLINTNEXTLINE(readability-non-const-parameter): epoll's data has no const */
static int loop_add_own(struct baton_child *child, int *fd)
{
        struct epoll_event event = {.events = EPOLLIN, .data.ptr = fd};

        return epoll_ctl(child->epoll, EPOLL_CTL_ADD, *fd, &event) < 0 ? -errno : 0;
}

static int loop_start(struct baton_child *child)
{
        sigset_t set;
        int r = loop_open(child);

        if (r)
                return r;
        (void)sigemptyset(&set);
        (void)sigaddset(&set, SIGTERM);
        (void)sigaddset(&set, SIGINT);
        if (pthread_sigmask(SIG_BLOCK, &set, NULL))
                return -errno;
        child->signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
        if (child->signals < 0)
                return -errno;
        r = loop_add_own(child, &child->signals);
        return r ? r : loop_add_own(child, &child->pollable);
}

/* True while the program's own descriptors are its business. */
static bool may_serve(const struct baton_child *child)
{
        return child->stage == BT_CHILD_HOLDING || child->stage == BT_CHILD_LEAVING || child->stage == BT_CHILD_RETIRING;
}

static void on_signal(struct baton_child *child)
{
        struct signalfd_siginfo info;

        while (read(child->signals, &info, sizeof(info)) == (ssize_t)sizeof(info)) {
                if (child->stage != BT_CHILD_ENDED && child->ops->terminate)
                        child->ops->terminate(child, child->ctx);
                child->stage = BT_CHILD_ENDED;
        }
}

/* One event. What an earlier one of the same turn forgot, or made none of our business, is skipped: level triggering brings it back. */
static int loop_event(struct baton_child *child, const struct epoll_event *event)
{
        struct bt_watch *watch;

        if (event->data.ptr == &child->signals) {
                on_signal(child);
                return child->stage == BT_CHILD_ENDED ? BATON_CHILD_STOP : 0;
        }
        if (event->data.ptr == &child->pollable)
                return baton_child_dispatch(child);
        watch = event->data.ptr;
        if (watch->fn && may_serve(child))
                watch->fn(child, watch->fd, event->events, watch->data);
        return child->stage == BT_CHILD_ENDED ? BATON_CHILD_STOP : 0;
}

/* Between giving the baton away and being told what next, only the bell and the signals are listened to: ready watches would spin. */
static int loop_wait_quietly(struct baton_child *child)
{
        const struct epoll_event events[2] = {{.data.ptr = &child->pollable}, {.data.ptr = &child->signals}};
        int r = 0;

        while (!r && !may_serve(child)) {
                struct pollfd fds[2] = {{.fd = child->pollable, .events = POLLIN}, {.fd = child->signals, .events = POLLIN}};

                if (poll(fds, 2, -1) < 0 && errno != EINTR)
                        return -errno;
                for (int i = 0; !r && i < 2; i++)
                        r = fds[i].revents ? loop_event(child, &events[i]) : 0;
        }
        return r;
}

static int loop_turn(struct baton_child *child)
{
        struct epoll_event events[EVENTS_A_TURN];
        int n, r = 0;

        if (!may_serve(child))
                return loop_wait_quietly(child);
        n = epoll_wait(child->epoll, events, EVENTS_A_TURN, -1);
        if (n < 0)
                return errno == EINTR ? 0 : -errno;
        for (int i = 0; !r && i < n; i++)
                r = loop_event(child, &events[i]);
        return r;
}

int baton_child_run(struct baton_child *child)
{
        int r = loop_start(child);

        if (!r)
                r = baton_child_ready(child);
        while (!r)
                r = loop_turn(child);
        return r == BATON_CHILD_STOP ? 0 : r;
}
