/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The connection to the hub (shm/attach.h): it brings descriptors, and says who comes and goes. No message passes through it.
 *
 * One function reads it, bt_attach_read(), called under @lock from whoever finds something to read: a dispatch(), a waiting call, a thread that asks for a
 * target. What it reads changes targets and members; who waits for that looks at them. So it does not matter which thread reads an answer.
 *
 *      conn >= 0, !welcome     HELLO or AGAIN was sent
 *      conn >= 0, welcome      attached
 *      conn < 0                no hub: each tick of the timer tries to connect
 *      refused                 for good: a hub does not know our number any more
 *
 * After the end of a connection the gates tell what it was: CLOSED says that the hub has stopped, and its children with it; anything else is a hub that
 * was killed, whose children serve on. To the next hub all targets are named again; a member that it does not mention is no more.
 */
#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/fd.h"
#include "base/scm.h"
#include "client-api/client.h"
#include "supervisor/control.h"

#define SLICE_MS 20 /* another thread may read what this one waits for */

/* ---- where the hub is ---- */

static int set_path(struct sockaddr_un *addr, const char *dir, const char *name)
{
        int n = snprintf(addr->sun_path, sizeof(addr->sun_path), "%s%s%s/control.sock", dir,
                         *name ? "/" : "", name);

        return n < 0 || (size_t)n >= sizeof(addr->sun_path) ? -ENAMETOOLONG : 0;
}

int bt_attach_address(struct sockaddr_un *ret_addr, const char *hub)
{
        /* Opening a client happens before other threads change the environment: see baton_client_open(). NOLINTBEGIN(concurrency-mt-unsafe) */
        const char *runtime = getenv("BATON_RUNTIME_DIR"), *xdg = getenv("XDG_RUNTIME_DIR");
        char room[128];

        if (!hub)
                hub = getenv("BATON_HUB");
        /* NOLINTEND(concurrency-mt-unsafe) */
        *ret_addr = (struct sockaddr_un){.sun_family = AF_UNIX};
        if (!hub || !*hub)
                return -EINVAL;
        if (strchr(hub, '/'))
                return set_path(ret_addr, hub, "");
        if (runtime && *runtime)
                return set_path(ret_addr, runtime, hub);
        if (geteuid() == 0)
                return set_path(ret_addr, "/run/baton", hub);
        if (!xdg || !*xdg)
                return -ENOENT;
        if ((size_t)snprintf(room, sizeof(room), "%s/baton", xdg) >= sizeof(room))
                return -ENAMETOOLONG;
        return set_path(ret_addr, room, hub);
}

/* ---- saying ---- */

static int say(struct baton_client *client, const struct bt_attach *record, const int *fds,
               size_t fd_count)
{
        return bt_scm_send(client->conn, record, sizeof(*record), fds, fd_count);
}

static int say_hello(struct baton_client *client)
{
        const int fds[2] = {client->seg_fd, client->bell};
        struct bt_attach record = {.magic = BT_ATTACH_MAGIC, .type = BT_ATTACH_HELLO};

        if (client->number) {
                record.type = BT_ATTACH_AGAIN;
                record.client = client->number;
                return say(client, &record, fds, 2);
        }
        /* Twice the calls: an answer may come twice, and must find room both times. */
        record.arg[0] = 2 * (uint64_t)client->calls.count;
        record.arg[1] = client->options.reply_bytes;
        record.arg[2] = client->options.region_bytes;
        return say(client, &record, NULL, 0);
}

/* For a hub that comes after this one. */
static int say_holds(struct baton_client *client)
{
        const struct bt_attach record = {.magic = BT_ATTACH_MAGIC,
                                         .type = BT_ATTACH_HOLDS,
                                         .arg = {(uint64_t)client->seg_fd, (uint64_t)client->bell}};

        return say(client, &record, NULL, 0);
}

static int say_open(struct baton_client *client, const struct baton_target *target)
{
        struct bt_attach record = {
                .magic = BT_ATTACH_MAGIC, .type = BT_ATTACH_OPEN, .token = target->token};

        (void)snprintf(record.name, sizeof(record.name), "%s", target->name);
        return say(client, &record, NULL, 0);
}

/* Connects and says who we are; the answer is read later. 0 or -errno. */
static int connect_hub(struct baton_client *client)
{
        const struct bt_ctl_request request = {.magic = BT_CTL_MAGIC,
                                               .version = BT_CTL_VERSION,
                                               .op = BT_CTL_ATTACH,
                                               .strategy = BT_CTL_STRATEGY_SPEC};
        int r;

        client->conn = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        if (client->conn < 0)
                return -errno;
        r = connect(client->conn, (const struct sockaddr *)&client->hub, sizeof(client->hub)) < 0
                    ? -errno
                    : 0;
        if (!r)
                r = bt_scm_send(client->conn, &request, sizeof(request), NULL, 0);
        if (!r)
                r = say_hello(client);
        if (!r || r == -EPIPE || r == -ECONNRESET) /* refused already: why is to be read */
                r = bt_attach_watch(client);
        if (r)
                client->conn = bt_close(client->conn);
        client->welcome = false;
        return r;
}

/* ---- hearing ---- */

static int on_welcome(struct baton_client *client, const struct bt_attach *record, int fds[2],
                      size_t count)
{
        int r;

        if (!client->number) {
                if (count != 2 || !record->client)
                        return -EPROTO;
                r = bt_mailbox_attach(&client->seg, &client->ring, fds[0]);
                if (r)
                        return r < 0 ? r : -BATON_E_LAYOUT;
                client->number = record->client;
                client->seg_fd = BT_STEAL_FD(fds[0]);
                client->bell = BT_STEAL_FD(fds[1]);
                r = say_holds(client);
                if (r)
                        return r;
        }
        client->welcome = true;
        atomic_fetch_add(&client->attached, 1);
        for (uint32_t i = 0; i < client->target_count; i++) {
                r = say_open(client, &client->targets[i]);
                if (r)
                        return r;
        }
        return 0;
}

static struct baton_target *target_of(struct baton_client *client, uint64_t token)
{
        return token >= 1 && token <= client->target_count ? &client->targets[token - 1] : NULL;
}

/* Takes the descriptors. */
static int on_member(struct baton_client *client, const struct bt_attach *record, int fds[2],
                     size_t count)
{
        struct baton_target *target = target_of(client, record->token);
        struct bt_member *member = NULL;
        struct bt_member *old;
        int r;

        if (count != 2 || !target)
                return -EPROTO;
        r = bt_member_new(&member, client, record->name, BT_STEAL_FD(fds[0]), BT_STEAL_FD(fds[1]));
        if (r)
                return r;
        /* One that we know already: the new mapping is not needed. One of that name with another mailbox: the child was removed, and another one added. */
        while ((old = bt_member_find(client, record->name, member)) != NULL) {
                if (old->epoch == member->epoch) {
                        bt_member_free(member);
                        member = old;
                        break;
                }
                bt_member_remove(client, old);
        }
        member->seen = true;
        return bt_target_add(target, member);
}

static void on_opened(struct baton_client *client, const struct bt_attach *record)
{
        struct baton_target *target = target_of(client, record->token);

        if (!target)
                return;
        target->is = BT_TARGET_OPENED;
        /* What an earlier hub had and this one did not mention is no more. */
        bt_list_foreach (it, &client->members) {
                struct bt_member *member = bt_list_entry(it, struct bt_member, node);

                if (!member->seen && !atomic_load(&member->gone) && bt_target_has(target, member))
                        bt_member_remove(client, member);
        }
}

static int on_refused(struct baton_client *client, const struct bt_attach *record)
{
        struct baton_target *target = target_of(client, record->token);

        if (!target) {
                /* One that is attached tries again, but for a hub that does not know its number. */
                client->refused = !client->number || record->error == -ESTALE;
                client->refused_error = record->error;
                (void)snprintf(client->why, sizeof(client->why), "%s", record->text);
                return -ECONNREFUSED;
        }
        target->is = BT_TARGET_REFUSED;
        target->error = record->error < 0 ? record->error : -EPROTO;
        (void)snprintf(target->why, sizeof(target->why), "%s", record->text);
        return 0;
}

static void on_removed(struct baton_client *client, const struct bt_attach *record)
{
        struct bt_member *member = bt_member_find(client, record->name, NULL);

        if (member)
                bt_member_remove(client, member);
}

static int hear(struct baton_client *client, struct bt_attach *record, int fds[2], size_t count)
{
        record->name[sizeof(record->name) - 1] = '\0';
        record->text[sizeof(record->text) - 1] = '\0';
        if (record->magic != BT_ATTACH_MAGIC)
                return -EPROTO;
        switch (record->type) {
        case BT_ATTACH_WELCOME:
                return on_welcome(client, record, fds, count);
        case BT_ATTACH_MEMBER:
                return on_member(client, record, fds, count);
        case BT_ATTACH_OPENED:
                on_opened(client, record);
                return 0;
        case BT_ATTACH_REFUSED:
                return on_refused(client, record);
        case BT_ATTACH_REMOVED:
                on_removed(client, record);
                return 0;
        default:
                return 0; /* a newer hub's word */
        }
}

/* The outcome of a request: a hub that does not attach us, and says why. */
static int hear_control(struct baton_client *client, struct bt_ctl_reply *reply)
{
        if (reply->magic != BT_CTL_MAGIC)
                return -EPROTO;
        reply->text[sizeof(reply->text) - 1] = '\0';
        client->refused =
                client->number == 0; /* a hub that is full now may have room at the next tick */
        client->refused_error = reply->outcome == BT_CTL_INVALID ? -BATON_E_LAYOUT : -EACCES;
        (void)snprintf(client->why, sizeof(client->why), "%.190s", reply->text);
        return -ECONNREFUSED;
}

/* One record. 0, -EAGAIN: no more, or the end of this connection. */
static int receive(struct baton_client *client)
{
        union {
                struct bt_attach attach;
                struct bt_ctl_reply control;
        } in;
        int fds[2] = {-1, -1};
        size_t count = 0;
        ssize_t n = bt_scm_recv(client->conn, &in, sizeof(in), fds, 2, &count);
        int r;

        /* A hub that refused us without having read all we said: the kernel tells that first, and then what it had to say. */
        if (n == -ECONNRESET)
                n = bt_scm_recv(client->conn, &in, sizeof(in), fds, 2, &count);
        if (n == sizeof(in.attach))
                r = hear(client, &in.attach, fds, count);
        else if (n == sizeof(in.control))
                r = hear_control(client, &in.control);
        else
                r = n < 0 ? (int)n : n ? -EPROTO : -ECONNRESET;
        (void)bt_close(fds[0]);
        (void)bt_close(fds[1]);
        return r;
}

/* The hub is gone. Its children are, too, if it has closed their gates. */
static void lose_hub(struct baton_client *client)
{
        client->conn = bt_close(client->conn);
        client->welcome = false;
        bt_list_foreach (it, &client->members) {
                struct bt_member *member = bt_list_entry(it, struct bt_member, node);

                member->seen = false;
                if (!atomic_load(&member->gone) && bt_member_closed(member))
                        bt_member_remove(client, member);
        }
        bt_timer_tick(client, true);
}

void bt_attach_read(struct baton_client *client, bool ticked)
{
        int r = 0;

        if (client->conn < 0 && ticked && !client->refused)
                (void)connect_hub(client);
        while (client->conn >= 0 && !r)
                r = receive(client);
        if (r && r != -EAGAIN)
                lose_hub(client);
}

/* ---- waiting for an answer ---- */

/* Under @lock, released meanwhile. False: the time is over. */
static bool await_hub(struct baton_client *client, uint64_t deadline_ns)
{
        struct pollfd fds[2] = {{.fd = client->conn, .events = POLLIN},
                                {.fd = client->timer, .events = POLLIN}};
        uint64_t ticks;

        if (bt_now_ns() >= deadline_ns)
                return false;
        pthread_mutex_unlock(&client->lock);
        (void)poll(fds, 2, SLICE_MS);
        pthread_mutex_lock(&client->lock);
        bt_attach_read(client, read(client->timer, &ticks, sizeof(ticks)) > 0);
        return true;
}

int bt_attach_open(struct baton_client *client)
{
        uint64_t deadline_ns = bt_ns_add(bt_now_ns(), client->options.timeout_ns);
        int r = connect_hub(client);

        if (r) {
                (void)snprintf(client->why, sizeof(client->why), "nobody answers at %.150s",
                               client->hub.sun_path);
                return r == -ENOTDIR ? -ENOENT : r;
        }
        while (!client->welcome && !client->refused && client->conn >= 0) {
                if (!await_hub(client, deadline_ns)) {
                        (void)snprintf(client->why, sizeof(client->why),
                                       "the hub has not answered in time");
                        return -ETIMEDOUT;
                }
        }
        if (client->refused)
                return client->refused_error;
        if (client->welcome)
                return 0;
        (void)snprintf(client->why, sizeof(client->why), "the hub closed the connection");
        return -ECONNRESET;
}

int bt_attach_target(struct baton_client *client, struct baton_target *target)
{
        uint64_t deadline_ns = bt_ns_add(bt_now_ns(), client->options.timeout_ns);

        if (client->welcome && say_open(client, target))
                lose_hub(client); /* the next hub is told all targets */
        while (target->is == BT_TARGET_ASKED) {
                if (client->refused)
                        return client->refused_error;
                if (!await_hub(client, deadline_ns))
                        return client->welcome ? -ETIMEDOUT : -BATON_E_GONE;
        }
        return target->is == BT_TARGET_OPENED ? 0 : target->error;
}
