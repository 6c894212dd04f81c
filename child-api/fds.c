/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Descriptors: inherited listening sockets, kept ones, and the ones that pass from predecessor to successor.
 *
 * Passing goes straight from process to process, over a socket pair that the hub made and gave an end of to each: the hub is not in the path. Each
 * message holds up to 253 descriptors, as many tags, and how many were sent before; the total is written into the baton before the word
 * moves. The successor takes exactly that many or refuses the baton (R9: a transfer that fails silently resets its clients later).
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/check.h"
#include "base/fd.h"
#include "base/scm.h"
#include "child-api/child.h"
#include "child-api/post.h"

#define GONE_ROOM 64   /* to begin with */
#define LISTEN_FIRST 3 /* SD_LISTEN_FDS_START */

/* ---- listening sockets ---- */

/* LISTEN_FDS and LISTEN_PID, when they are meant for this process; else 0. */
static long listen_count(void)
{
        /* NOLINTBEGIN(concurrency-mt-unsafe): see baton_child_open() */
        const char *count = getenv("LISTEN_FDS");
        const char *pid = getenv("LISTEN_PID");
        /* NOLINTEND(concurrency-mt-unsafe) */

        if (!count || !pid || strtol(pid, NULL, 10) != (long)getpid())
                return 0;
        return strtol(count, NULL, 10);
}

void bt_child_adopt_listeners(struct baton_child *child, const struct baton_child_place *place)
{
        const char *names = place ? place->listen_names : getenv("LISTEN_FDNAMES"); /* NOLINT(concurrency-mt-unsafe) */
        long count = place ? (long)place->listen_count : listen_count();
        int first = place ? place->listen_first : LISTEN_FIRST;
        char *at;

        if (count <= 0)
                return;
        at = child->listener_names = strdup(names ? names : "");
        if (!at)
                return;
        for (long i = 0; i < count && i < BT_LISTEN_MAX; i++) {
                struct bt_listener *l = &child->listeners[child->listener_count];
                const char *name = strsep(&at, ":");

                if (fcntl(first + (int)i, F_SETFD, FD_CLOEXEC) < 0)
                        continue;
                l->name = name ? name : "";
                l->fd = first + (int)i;
                child->listener_count++;
        }
}

int baton_child_socket(const struct baton_child *child, const char *name)
{
        if (bt_child_forked())
                return -BATON_E_FORKED;
        for (uint32_t i = 0; i < child->listener_count; i++) {
                if (!strcmp(child->listeners[i].name, name))
                        return child->listeners[i].fd;
        }
        return -ENOENT;
}

/* ---- kept descriptors ---- */

static struct bt_kept *kept_find(struct baton_child *child, const char *name)
{
        for (uint32_t i = 0; i < child->kept_count; i++) {
                if (!strcmp(child->kept[i].name, name))
                        return &child->kept[i];
        }
        return NULL;
}

/* Takes NULL. */
static void kept_remove(struct baton_child *child, struct bt_kept *kept)
{
        if (!kept)
                return;
        kept->fd = bt_close(kept->fd);
        *kept = child->kept[--child->kept_count];
}

/* Takes @fd. */
static int kept_add(struct baton_child *child, const char *name, int fd)
{
        struct bt_kept *kept = kept_find(child, name);

        if (!kept && child->kept_count == BT_KEPT_MAX) {
                (void)bt_close(fd);
                return -ENOSPC;
        }
        if (!kept)
                kept = &child->kept[child->kept_count++];
        else
                (void)bt_close(kept->fd);
        (void)snprintf(kept->name, sizeof(kept->name), "%s", name);
        kept->fd = fd;
        return 0;
}

static void channel_take(struct baton_child *child, struct bt_chan *msg, const int *fds, size_t fd_count)
{
        int fd = fd_count ? fds[0] : -1;

        msg->name[sizeof(msg->name) - 1] = '\0';
        if (msg->type == BT_CHAN_CLIENT && fd_count == BT_CHAN_FDS_MAX) {
                bt_post_meet(child, (uint32_t)msg->token, fds);
                return;
        }
        for (size_t i = 1; i < fd_count; i++)
                (void)bt_close(fds[i]);
        if (msg->type == BT_CHAN_KEEP && fd >= 0) {
                (void)kept_add(child, msg->name, fd);
        } else if (msg->type == BT_CHAN_HANDOFF && fd >= 0) {
                bt_passing_end(child); /* one from a migration that was called off */
                child->passing->sock = fd;
        } else {
                if (msg->type == BT_CHAN_CLIENT_GONE)
                        bt_post_part(child, (uint32_t)msg->token);
                (void)bt_close(fd);
        }
}

/* Reads all that the hub sent over the channel so far. */
void bt_child_read_channel(struct baton_child *child)
{
        if (child->channel < 0)
                return;
        child->channel_due = false;
        for (;;) {
                struct bt_chan msg;
                size_t count = 0;
                int fds[BT_CHAN_FDS_MAX];
                ssize_t n = bt_scm_recv(child->channel, &msg, sizeof(msg), fds, BT_CHAN_FDS_MAX, &count);

                if (n == -EMSGSIZE)
                        continue;
                if (n <= 0)
                        return;
                if (n == (ssize_t)sizeof(msg))
                        channel_take(child, &msg, fds, count);
                else
                        while (count)
                                (void)bt_close(fds[--count]);
        }
}

static bool name_valid(const char *name)
{
        size_t bytes = name ? strlen(name) : 0;

        return bytes > 0 && bytes <= BATON_NAME_BYTES_MAX;
}

static int channel_say(struct baton_child *child, uint32_t type, const char *name, int fd)
{
        struct bt_chan msg = {.type = type};
        int r;

        (void)snprintf(msg.name, sizeof(msg.name), "%s", name);
        r = bt_scm_send(child->channel, &msg, sizeof(msg), &fd, fd >= 0 ? 1 : 0);
        return r == -EPIPE || r == -ECONNRESET ? -BATON_E_GONE : r;
}

/* Another hub adopted us: what its predecessor held for us died with it, but we have copies. */
void bt_child_resend_kept(struct baton_child *child)
{
        for (uint32_t i = 0; i < child->kept_count; i++)
                (void)channel_say(child, BT_CHAN_KEEP, child->kept[i].name, child->kept[i].fd);
}

int baton_child_keep(struct baton_child *child, const char *name, int fd)
{
        int copy, r;

        if (bt_child_forked())
                return -BATON_E_FORKED;
        if (!name_valid(name))
                return -EINVAL;
        if (!child->supervised)
                return -ENOTCONN;
        bt_child_read_channel(child);
        copy = fcntl(fd, F_DUPFD_CLOEXEC, 0);
        if (copy < 0)
                return -errno;
        r = kept_add(child, name, copy);
        if (r)
                return r;
        r = channel_say(child, BT_CHAN_KEEP, name, fd);
        if (r)
                kept_remove(child, kept_find(child, name));
        return r;
}

int baton_child_take(struct baton_child *child, const char *name)
{
        const struct bt_kept *kept;
        int fd;

        if (bt_child_forked())
                return -BATON_E_FORKED;
        if (!name_valid(name))
                return -EINVAL;
        bt_child_read_channel(child);
        kept = kept_find(child, name);
        if (!kept)
                return -ENOENT;
        fd = fcntl(kept->fd, F_DUPFD_CLOEXEC, 0);
        return fd < 0 ? -errno : fd;
}

int baton_child_drop(struct baton_child *child, const char *name)
{
        struct bt_kept *kept;

        if (bt_child_forked())
                return -BATON_E_FORKED;
        if (!name_valid(name))
                return -EINVAL;
        if (!child->supervised)
                return -ENOTCONN;
        bt_child_read_channel(child);
        kept = kept_find(child, name);
        if (!kept)
                return -ENOENT;
        kept_remove(child, kept);
        return channel_say(child, BT_CHAN_DROP, name, -1);
}

/* ---- passing ---- */

static int message_send(struct bt_passing *p, struct bt_handoff *message, uint32_t magic, uint32_t count, uint64_t first)
{
        bool with_fds = magic == BT_HANDOFF_MAGIC;

        message->magic = magic;
        message->count = count;
        message->first = first;
        return bt_scm_send(p->sock, message, offsetof(struct bt_handoff, tags) + count * sizeof(message->tags[0]), p->fds, with_fds ? count : 0);
}

static int gone_flush(struct bt_passing *p)
{
        int r = p->gone_batched ? message_send(p, &p->gone, BT_HANDOFF_GONE_MAGIC, p->gone_batched, p->gone_sent) : 0;

        if (r)
                return r;
        p->gone_sent += p->gone_batched;
        p->gone_batched = 0;
        return 0;
}

/* What is gone goes first: its tag may be used again by what follows. */
int bt_passing_flush(struct baton_child *child)
{
        struct bt_passing *p = child->passing;
        int r = gone_flush(p);

        if (!r && p->batched)
                r = message_send(p, &p->message, BT_HANDOFF_MAGIC, p->batched, p->sent);
        if (r)
                return r;
        p->sent += p->batched;
        p->batched = 0;
        return 0;
}

void bt_passing_end(struct baton_child *child)
{
        struct bt_passing *p = child->passing;

        p->sock = bt_close(p->sock);
        p->batched = p->gone_batched = 0;
        p->sent = p->gone_sent = 0;
}

int baton_child_pass(struct baton_child *child, int fd, uint64_t tag)
{
        struct bt_passing *p = child->passing;

        if (bt_child_forked())
                return -BATON_E_FORKED;
        if (!child->supervised || p->sock < 0 || child->checkpointing)
                return -BATON_E_PROTOCOL;
        if (p->batched == BT_HANDOFF_FDS_MAX) {
                int r = bt_passing_flush(child);

                if (r)
                        return r;
        }
        p->message.tags[p->batched] = tag;
        p->fds[p->batched++] = fd;
        return 0;
}

int baton_child_unpass(struct baton_child *child, uint64_t tag)
{
        struct bt_passing *p = child->passing;
        int r = 0;

        if (bt_child_forked())
                return -BATON_E_FORKED;
        if (!child->supervised || p->sock < 0 || child->stage != BT_CHILD_LEAVING || child->checkpointing)
                return -BATON_E_PROTOCOL;
        if (p->batched || p->gone_batched == BT_HANDOFF_FDS_MAX)
                r = bt_passing_flush(child); /* it may be in the batch */
        if (!r)
                p->gone.tags[p->gone_batched++] = tag;
        return r;
}

static int taken_add(struct baton_child *child, const struct bt_handoff *msg, const int *fds, size_t count)
{
        if (child->taken_count + count > child->taken_room) {
                size_t room = 2 * (child->taken_count + count);
                struct baton_fd *bigger = realloc(child->taken, room * sizeof(*bigger));

                if (!bigger)
                        return -ENOMEM;
                child->taken = bigger;
                child->taken_room = room;
        }
        for (size_t i = 0; i < count; i++) {
                struct baton_fd *t = &child->taken[child->taken_count++];

                t->tag = msg->tags[i];
                t->fd = fds[i];
                t->reserved = 0;
        }
        return 0;
}

/* What it names is here and not given on yet, or arriving() has it. */
static int gone_add(struct baton_child *child, uint64_t tag)
{
        uint64_t *bigger;

        for (size_t i = 0; i < child->taken_count; i++) {
                if (child->taken[i].tag != tag)
                        continue;
                (void)bt_close(child->taken[i].fd);
                memmove(&child->taken[i], &child->taken[i + 1], (--child->taken_count - i) * sizeof(*child->taken));
                return 0;
        }
        if (child->gone_count == child->gone_room) {
                size_t room = child->gone_room ? 2 * child->gone_room : GONE_ROOM;

                bigger = realloc(child->gone, room * sizeof(*bigger));
                if (!bigger)
                        return -ENOMEM;
                child->gone = bigger;
                child->gone_room = room;
        }
        child->gone[child->gone_count++] = tag;
        return 0;
}

/* Descriptors that came. */
static int message_passed(struct baton_child *child, const struct bt_handoff *msg, const int *fds, size_t count)
{
        int r = msg->count == count && msg->first == child->received ? taken_add(child, msg, fds, count) : -BATON_E_FDS;

        if (!r)
                child->received += count;
        for (size_t i = 0; r && i < count; i++)
                (void)bt_close(fds[i]);
        return r;
}

/* Descriptors that are not any more. */
static int message_gone(struct baton_child *child, const struct bt_handoff *msg, const int *fds, size_t count)
{
        int r = !count && msg->count <= BT_HANDOFF_FDS_MAX && msg->first == child->gone_received ? 0 : -BATON_E_FDS;

        for (size_t i = 0; i < count; i++)
                (void)bt_close(fds[i]);
        for (uint32_t i = 0; !r && i < msg->count; i++)
                r = gone_add(child, msg->tags[i]);
        if (!r)
                child->gone_received += msg->count;
        return r;
}

/* One message. 0, -EAGAIN nothing there, or why the hand-over cannot be trusted. */
static int receive_message(struct baton_child *child)
{
        struct bt_handoff msg = {0};
        int fds[BT_HANDOFF_FDS_MAX];
        size_t count = 0;
        ssize_t n = bt_scm_recv(child->handoff, &msg, sizeof(msg), fds, BT_HANDOFF_FDS_MAX, &count);

        if (n < 0)
                return n == -EMSGSIZE ? -BATON_E_FDS : (int)n;
        if (n == 0)
                return -EAGAIN; /* the predecessor closed its end after its last message */
        if ((size_t)n == offsetof(struct bt_handoff, tags) + msg.count * sizeof(msg.tags[0]) && msg.magic == BT_HANDOFF_MAGIC)
                return message_passed(child, &msg, fds, count);
        if ((size_t)n == offsetof(struct bt_handoff, tags) + msg.count * sizeof(msg.tags[0]) && msg.magic == BT_HANDOFF_GONE_MAGIC)
                return message_gone(child, &msg, fds, count);
        while (count)
                (void)bt_close(fds[--count]);
        return -BATON_E_FDS;
}

typedef int (*arriving_fn)(struct baton_child *child, const struct baton_fd *fds, size_t fd_count, void *ctx);

static arriving_fn arriving(const struct baton_child *child)
{
        bool has = child->ops->size >= offsetof(struct baton_child_ops, arriving) + sizeof(child->ops->arriving);

        return has ? child->ops->arriving : NULL;
}

/*
 * What the predecessor passed ahead, while it serves. They are only descriptors: it may close them on its side, and says so in the passage. From arriving() on
 * they are the program's; without it they wait here.
 */
int bt_child_receive_ahead(struct baton_child *child)
{
        size_t count;
        int r;

        if (child->handoff < 0)
                return 0;
        do
                r = receive_message(child);
        while (!r);
        if (r != -EAGAIN) {
                bt_child_say_why(child, "descriptors refused", r);
                return r;
        }
        count = child->taken_count;
        if (!count || !arriving(child))
                return 0;
        BT_POINT("arriving.begin");
        child->taken_count = 0;
        r = arriving(child)(child, child->taken, count, child->ctx);
        if (r < 0)
                bt_child_say_why(child, "arriving() failed", r);
        BT_POINT("arriving.done");
        return r < 0 ? r : 0;
}

/* Takes what is there; all @count and @gone of them must be: they were sent before the word moved. */
int bt_child_receive_passed(struct baton_child *child, uint64_t count, uint64_t gone)
{
        while (child->received < count || child->gone_received < gone) {
                int r = child->handoff < 0 ? -EAGAIN : receive_message(child);

                if (r == -EAGAIN)
                        return -BATON_E_FDS;
                if (r)
                        return r;
        }
        return child->received == count && child->gone_received == gone ? 0 : -BATON_E_FDS;
}

void bt_child_drop_taken(struct baton_child *child)
{
        for (size_t i = 0; i < child->taken_count; i++)
                (void)bt_close(child->taken[i].fd);
        child->taken_count = 0;
}

void bt_child_free_fds(struct baton_child *child)
{
        while (child->kept_count)
                kept_remove(child, &child->kept[0]);
        if (child->passing)
                bt_passing_end(child);
        free(child->passing);
        child->passing = NULL;
        free(child->taken);
        child->taken = NULL;
        free(child->gone);
        child->gone = NULL;
        for (uint32_t i = 0; i < child->listener_count; i++)
                (void)bt_close(child->listeners[i].fd);
        free(child->listener_names);
        child->listener_names = NULL;
}
