/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The hub's side of the keeper (keeper.h): starting it, giving it what the hub alone has, and taking that from the keeper of a hub that was killed.
 *
 * Nothing here can fail a swap or a restart. What could not be given is as unprotected as it was before there was a keeper, and that is said once.
 */
#include "supervisor/keeper.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/check.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/fd.h"
#include "base/scm.h"
#include "supervisor/callers.h"
#include "supervisor/carry.h"
#include "supervisor/events.h"
#include "supervisor/hub.h"
#include "supervisor/live.h"
#include "supervisor/mailbox.h"
#include "supervisor/proc/spawn.h"

#define KILL_WAIT_NS BT_NS_PER_S
#define TAKE_WAIT_NS (2 * BT_NS_PER_S)

struct bt_keep {
        struct bt_hub *hub;
        int sock; /* -1: there is none */
        pid_t pid;
        int pidfd;
        struct bt_loop_watch exit_watch;
        bool failing; /* and that was said */
};

static int keep_address(const struct bt_hub *hub, struct sockaddr_un *ret_addr)
{
        *ret_addr = (struct sockaddr_un){.sun_family = AF_UNIX};
        return snprintf(ret_addr->sun_path, sizeof(ret_addr->sun_path), "%s/keeper.sock", bt_plan_string(&hub->plan, hub->plan.plan->runtime_dir)) <
                               (int)sizeof(ret_addr->sun_path)
                       ? 0
                       : -ENAMETOOLONG;
}

/* ---- the process ---- */

static void keep_gone(struct bt_keep *keep)
{
        struct bt_proc_exit ignored;

        bt_loop_forget(&keep->exit_watch);
        if (keep->pidfd >= 0) {
                (void)bt_proc_kill_wait(keep->pidfd, KILL_WAIT_NS);
                (void)bt_proc_reap(keep->pidfd, &ignored);
        }
        keep->sock = bt_close(keep->sock);
        keep->pidfd = bt_close(keep->pidfd);
}

/* Nobody ended it in order: what it had is given again when there is a reason, to a new one. */
static void keep_on_exit(struct bt_loop_watch *watch, uint32_t events)
{
        struct bt_keep *keep = bt_container_of(watch, struct bt_keep, exit_watch);

        (void)events;
        keep_gone(keep);
        bt_hub_foreach_child (child, keep->hub)
                child->with_keeper = false;
}

static int keep_listen(const struct bt_hub *hub, int *ret_fd)
{
        BT_CLEANUP(bt_closep) int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        struct sockaddr_un addr;
        int r = fd < 0 ? -errno : keep_address(hub, &addr);

        if (r)
                return r;
        (void)unlink(addr.sun_path);
        if (bind(fd, (struct sockaddr *)&addr, sizeof(addr)) < 0 || listen(fd, 8) < 0)
                return -errno;
        *ret_fd = BT_STEAL_FD(fd);
        return 0;
}

static int keep_spawn(struct bt_keep *keep, int child_end, int listener)
{
        static char name[] = "batond", option[] = "--keep", path[] = "/proc/self/exe";
        char *argv[] = {name, option, NULL}, *envp[] = {NULL};
        BT_CLEANUP(bt_closep) int exe = -1;
        enum bt_spawn_step step;
        struct bt_spawn spawn = BT_SPAWN_NULL;
        struct rlimit limit = {0};
        int script, r = bt_spawn_open_exec(&exe, &script, path);

        if (r)
                return r;
        (void)getrlimit(RLIMIT_NOFILE, &limit);
        spawn.exec_fd = exe;
        spawn.exec_path = path;
        spawn.argv = argv;
        spawn.envp = envp;
        spawn.cwd = "/";
        spawn.new_session = 1;
        spawn.nofile = limit.rlim_max;
        for (int to = 0; to < BT_KEEPER_HUB_FD; to++)
                (void)bt_spawn_move(&spawn, keep->hub->null_fd, to);
        (void)bt_spawn_move(&spawn, child_end, BT_KEEPER_HUB_FD);
        (void)bt_spawn_move(&spawn, listener, BT_KEEPER_LISTENER_FD);
        return bt_spawn(&spawn, &keep->pid, &keep->pidfd, &step);
}

static int keep_start(struct bt_keep *keep)
{
        BT_CLEANUP(bt_closep) int listener = -1;
        BT_CLEANUP(bt_closep) int child_end = -1;
        int ends[2], r = keep_listen(keep->hub, &listener);

        if (!r)
                r = bt_scm_pair(ends);
        if (r)
                return r;
        keep->sock = ends[0];
        child_end = ends[1];
        r = keep_spawn(keep, child_end, listener);
        if (!r)
                r = bt_loop_watch_fd(keep->hub->loop, &keep->exit_watch, keep->pidfd, EPOLLIN, keep_on_exit);
        if (r)
                keep_gone(keep);
        return r;
}

static void keep_failed(struct bt_keep *keep, int r)
{
        if (!keep->failing)
                bt_hub_say(keep->hub, "no process keeps what the hub alone has (%s): it would not survive if the hub was killed then", strerrordesc_np(-r));
        keep->failing = true;
}

/* One that runs; NULL: there is none to be had. */
static struct bt_keep *keep_of(struct bt_hub *hub)
{
        struct bt_keep *keep = hub->keep;
        int r = 0;

        if (hub->embed)
                return NULL;
        if (!keep) {
                keep = hub->keep = calloc(1, sizeof(*keep));
                if (!keep)
                        return NULL;
                *keep = (struct bt_keep){.hub = hub, .sock = -1, .pidfd = -1};
        }
        if (keep->sock < 0)
                r = keep_start(keep);
        if (r)
                keep_failed(keep, r);
        return r ? NULL : keep;
}

/* ---- over an exec of the hub: carry.h ---- */

void bt_keep_carry(const struct bt_hub *hub, struct bt_carry_out *out, struct bt_carry_hub *item)
{
        const struct bt_keep *keep = hub->keep;

        item->keeper_sock = bt_carry_put_fd(out, keep ? keep->sock : -1);
        item->keeper_pidfd = bt_carry_put_fd(out, keep ? keep->pidfd : -1);
        item->keeper_pid = keep ? keep->pid : 0;
}

int bt_keep_carried(struct bt_hub *hub, int sock, int pidfd, pid_t pid)
{
        struct bt_keep *keep = hub->keep = calloc(1, sizeof(*keep));
        int r;

        if (!keep) {
                (void)bt_close(sock);
                (void)bt_close(pidfd);
                return -ENOMEM;
        }
        *keep = (struct bt_keep){.hub = hub, .sock = sock, .pidfd = pidfd, .pid = pid};
        r = bt_loop_watch_fd(hub->loop, &keep->exit_watch, keep->pidfd, EPOLLIN, keep_on_exit);
        if (r)
                keep_gone(keep);
        return r;
}

/* ---- giving ---- */

static struct bt_keeper_msg message(const struct bt_child *child, enum bt_keeper_type type)
{
        struct bt_keeper_msg msg = {.magic = BT_KEEPER_MAGIC, .type = type, .in_transit = child->in_transit};

        (void)snprintf(msg.id, sizeof(msg.id), "%s", child->id);
        return msg;
}

static int keep_send(const struct bt_keep *keep, const struct bt_child *child, const struct bt_parcel *parcel)
{
        struct bt_keeper_msg msg = message(child, BT_KEEPER_BATON);
        int r = bt_scm_send(keep->sock, &msg, sizeof(msg), &child->holding->fd, 1);

        if (!r && child->mail) {
                const int mail[_BT_LINK_MAIL_N] = {child->mail->fd, child->mail->desk_fd, child->mail->bell};

                msg.type = BT_KEEPER_MAIL;
                r = bt_scm_send(keep->sock, &msg, sizeof(msg), mail, _BT_LINK_MAIL_N);
        }
        msg.type = BT_KEEPER_PARCEL;
        for (uint32_t i = 0; !r && parcel && i < parcel->count; i++) {
                msg.parcel = parcel->messages[i];
                r = bt_scm_send(keep->sock, &msg, sizeof(msg), parcel->fds[i], msg.parcel.count);
        }
        return r;
}

void bt_keep_begin(struct bt_hub *hub)
{
        (void)keep_of(hub);
}

void bt_keep_give(struct bt_child *child, const struct bt_parcel *parcel)
{
        struct bt_keep *keep;
        int r;

        if (child->spec->protocol != BT_PROTOCOL_BATON || (child->spec->state_form == BATON_STATE_NONE && !child->mail && !(parcel && parcel->count)))
                return;
        keep = keep_of(child->hub);
        if (!keep)
                return;
        r = keep_send(keep, child, parcel);
        child->with_keeper = true; /* perhaps in part */
        if (r)
                keep_failed(keep, r);
        if (r)
                bt_keep_forget(child);
}

void bt_keep_if_alone(struct bt_child *child)
{
        if (child->with_keeper || child->hub->stopping || bt_live_lets_go(child))
                return;
        bt_list_foreach (it, &child->incs) {
                const struct bt_inc *inc = bt_list_entry(it, struct bt_inc, node);

                if (!inc->dead && !inc->held && inc->holding == child->holding) /* a held one ends with us */
                        return;
        }
        bt_keep_give(child, NULL);
}

void bt_keep_forget(struct bt_child *child)
{
        struct bt_keep *keep = child->hub->keep;
        struct bt_keeper_msg msg;

        if (!child->with_keeper)
                return;
        child->with_keeper = false;
        msg = message(child, BT_KEEPER_FORGET);
        /* Its queue is full: it is ended, rather than trusted with what is not true any more. */
        if (keep && keep->sock >= 0 && bt_scm_send(keep->sock, &msg, sizeof(msg), NULL, 0))
                keep_on_exit(&keep->exit_watch, 0);
}

void bt_keep_close(struct bt_hub *hub)
{
        static const struct bt_keeper_msg quit = {.magic = BT_KEEPER_MAGIC, .type = BT_KEEPER_QUIT};
        struct bt_keep *keep = BT_STEAL(hub->keep);
        struct sockaddr_un addr;

        if (!keep)
                return;
        if (keep->sock >= 0)
                (void)bt_scm_send(keep->sock, &quit, sizeof(quit), NULL, 0);
        keep_gone(keep);
        if (!keep_address(hub, &addr))
                (void)unlink(addr.sun_path);
        free(keep);
}

/* ---- taking ---- */

/* Takes the descriptors. */
static void take_baton(struct bt_child *child, const struct bt_keeper_msg *msg, int fd)
{
        int r = bt_child_take_up(child, fd, msg->in_transit);

        if (r)
                bt_hub_say(child->hub, "%s: what the hub before this one left of it cannot be used: %s", child->id, strerrordesc_np(-r));
        else
                bt_event(child->hub, BT_EVENT_STATE_LOADED, child, 0, "kept over the death of the hub before");
}

static void take_mail(struct bt_child *child, const int fds[_BT_LINK_MAIL_N])
{
        int r = bt_mail_take_up(child, fds);

        if (r)
                bt_hub_say(child->hub, "%s: what waits in its mailbox cannot be taken from the hub before this one: %s", child->id, strerrordesc_np(-r));
        else
                bt_callers_child_taken_up(child);
}

static void take_item(struct bt_hub *hub, struct bt_keeper_msg *msg, int *fds, size_t fd_count)
{
        struct bt_child *child;

        msg->id[sizeof(msg->id) - 1] = '\0';
        child = bt_hub_child_find(hub, msg->id);
        if (child && msg->type == BT_KEEPER_BATON && fd_count == 1 && !child->adopted && child->spec->protocol == BT_PROTOCOL_BATON)
                take_baton(child, msg, BT_STEAL_FD(fds[0]));
        else if (child && msg->type == BT_KEEPER_PARCEL && bt_baton_word(child->holding->baton).phase == BT_WORD_VACANT &&
                 !bt_parcel_add(&child->parcel, &msg->parcel, fds, fd_count))
                return; /* nobody has it: given to whoever is started next */
        else if (child && msg->type == BT_KEEPER_MAIL && fd_count == _BT_LINK_MAIL_N && child->taken_up) {
                take_mail(child, fds);
                return;
        }
        for (size_t i = 0; i < fd_count; i++)
                (void)bt_close(fds[i]);
}

/* 0: all is here. */
static int take_all(struct bt_hub *hub, int sock)
{
        uint64_t deadline = bt_ns_add(bt_now_ns(), TAKE_WAIT_NS);

        for (;;) {
                struct pollfd ready = {.fd = sock, .events = POLLIN};
                struct bt_keeper_msg msg;
                int fds[BT_HANDOFF_FDS_MAX];
                size_t fd_count = 0;
                uint64_t now = bt_now_ns();
                ssize_t n;

                if (now >= deadline || poll(&ready, 1, (int)((deadline - now) / BT_NS_PER_MS) + 1) != 1)
                        return -ETIMEDOUT;
                n = bt_scm_recv(sock, &msg, sizeof(msg), fds, BT_HANDOFF_FDS_MAX, &fd_count);
                if (n == -EAGAIN || n == -EMSGSIZE)
                        continue;
                if (n != (ssize_t)sizeof(msg) || msg.magic != BT_KEEPER_MAGIC)
                        return -EPROTO;
                if (msg.type == BT_KEEPER_END)
                        return 0;
                take_item(hub, &msg, fds, fd_count);
        }
}

void bt_keep_take(struct bt_hub *hub)
{
        static const struct bt_keeper_msg taken = {.magic = BT_KEEPER_MAGIC, .type = BT_KEEPER_TAKEN};
        BT_CLEANUP(bt_closep) int sock = -1;
        struct sockaddr_un addr;
        int r;

        if (keep_address(hub, &addr))
                return;
        sock = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        if (sock < 0 || connect(sock, (struct sockaddr *)&addr, sizeof(addr)) < 0) {
                (void)unlink(addr.sun_path); /* its keeper had nothing, and has ended */
                return;
        }
        r = take_all(hub, sock);
        if (r)
                bt_hub_say(hub, "what the keeper of the hub before this one has could not be taken: %s", strerrordesc_np(-r));
        (void)unlink(addr.sun_path);
        /* To a keeper of our own first: what the old one lets go of must not be with us alone. */
        bt_hub_foreach_child (child, hub) {
                if (child->taken_up)
                        bt_keep_give(child, &child->parcel);
        }
        (void)bt_scm_send(sock, &taken, sizeof(taken), NULL, 0);
        BT_POINT("hub.keep.taken");
        bt_hub_start_taken_up(hub);
}
