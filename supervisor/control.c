/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The control socket: see control.h for the protocol.
 *
 * A client that does not read gets less progress, never a wrong outcome: what its socket does not take is kept, of progress a thousand words, and the
 * outcome comes behind them. A client that goes away changes nothing: what it asked for is done.
 */
#include "supervisor/hub.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/fd.h"
#include "base/scm.h"
#include "supervisor/callers.h"
#include "supervisor/carry.h"
#include "supervisor/control_group.h"
#include "supervisor/control_queue.h"
#include "supervisor/control_node.h"
#include "supervisor/control_progress.h"
#include "supervisor/control_state.h"
#include "supervisor/events.h"
#include "supervisor/live.h"
#include "supervisor/renew.h"
#include "supervisor/request.h"
#include "supervisor/rolling.h"

#define CLIENTS_MAX 256

struct bt_client {
        struct bt_list node;
        struct bt_hub *hub;
        struct bt_loop_watch watch;
        int fd;
        uint64_t begun_ns;
        bool waits_for_stop;
        bool asked;
        bool done; /* the outcome is decided; @final is to be sent */
        struct bt_progress progress;
        struct bt_request *request; /* NULL: none under way */
        struct bt_rolling_watcher rolling; /* the same for a rollout */
        struct bt_follower follower; /* EVENTS */
        struct bt_state_ask *state_ask; /* NULL: none under way */
        struct bt_live_waiter live; /* CHILD */
        struct bt_node_ask *node_ask; /* the same */
        struct bt_renewal *renewal; /* the same: of the hub itself */
        struct bt_ctl_reply final;
};

static void client_free(struct bt_client *client)
{
        bt_request_abandon(client->request);
        bt_rolling_abandon(&client->rolling);
        bt_state_abandon(client->state_ask);
        bt_node_ask_abandon(client->node_ask);
        bt_renewal_abandon(client->renewal);
        bt_loop_forget(&client->watch);
        bt_follower_deinit(&client->follower);
        bt_list_unlink(&client->live.node);
        bt_list_unlink(&client->node);
        bt_progress_deinit(&client->progress);
        (void)bt_close(client->fd);
        free(client);
}

/* ---- answering ---- */

static void reply_init(struct bt_ctl_reply *reply, const struct bt_client *client, uint32_t kind)
{
        memset(reply, 0, sizeof(*reply));
        reply->magic = BT_CTL_MAGIC;
        reply->version = BT_CTL_VERSION;
        reply->kind = kind;
        reply->since_ns = bt_now_ns() - client->begun_ns;
}

/* True when @client is gone: it has its outcome, or will never take it. */
static bool client_flush(struct bt_client *client)
{
        int r;

        if (!client->done || !bt_progress_flush(&client->progress))
                return false;
        r = bt_scm_send(client->fd, &client->final, sizeof(client->final), NULL, 0);
        if (r == -EAGAIN)
                return false;
        client_free(client);
        return true;
}

static void client_on_ready(struct bt_loop_watch *watch, uint32_t events);

static void client_finish(struct bt_client *client)
{
        client->done = true;
        if (client_flush(client))
                return;
        bt_loop_forget(&client->watch);
        if (bt_loop_watch_fd(client->hub->loop, &client->watch, client->fd, EPOLLOUT, client_on_ready))
                client_free(client);
}

static void client_answer(struct bt_client *client, enum bt_ctl_outcome outcome, const char *text)
{
        reply_init(&client->final, client, BT_CTL_DONE);
        client->final.outcome = outcome;
        (void)snprintf(client->final.text, sizeof(client->final.text), "%s", text);
        client_finish(client);
}

/* For control_state.c */
void bt_client_answer(struct bt_client *client, enum bt_ctl_outcome outcome, const char *text)
{
        client_answer(client, outcome, text);
}

int bt_client_send(struct bt_client *client, enum bt_ctl_kind kind, int fd, uint64_t value0, uint64_t value1)
{
        struct bt_ctl_reply reply;

        reply_init(&reply, client, kind);
        reply.value[0] = value0;
        reply.value[1] = value1;
        return bt_scm_send(client->fd, &reply, sizeof(reply), &fd, fd < 0 ? 0 : 1);
}

void bt_client_done(struct bt_client *client, enum bt_ctl_outcome outcome, uint64_t value0, uint64_t value1, const char *text)
{
        reply_init(&client->final, client, BT_CTL_DONE);
        client->final.outcome = outcome;
        client->final.value[0] = value0;
        client->final.value[1] = value1;
        (void)snprintf(client->final.text, sizeof(client->final.text), "%s", text);
        client_finish(client);
}

int bt_client_accepted(struct bt_client *client, uint64_t number)
{
        struct bt_ctl_reply reply;

        reply_init(&reply, client, BT_CTL_EVENT);
        reply.value[0] = number;
        (void)snprintf(reply.phase, sizeof(reply.phase), "accepted");
        return bt_scm_send(client->fd, &reply, sizeof(reply), NULL, 0);
}

void bt_client_asks(struct bt_client *client, struct bt_state_ask *ask)
{
        client->state_ask = ask;
}

static void client_event(struct bt_client *client, const struct bt_child *child, const char *phase, enum bt_ctl_outcome outcome,
                         uint64_t incarnation, uint64_t value0, uint64_t value1, const char *text)
{
        struct bt_ctl_reply reply;

        reply_init(&reply, client, BT_CTL_EVENT);
        reply.outcome = outcome;
        reply.incarnation = incarnation;
        reply.value[0] = value0;
        reply.value[1] = value1;
        (void)snprintf(reply.child, sizeof(reply.child), "%s", child ? child->id : "");
        (void)snprintf(reply.phase, sizeof(reply.phase), "%s", phase);
        (void)snprintf(reply.text, sizeof(reply.text), "%s", text);
        bt_progress_tell(&client->progress, &reply);
}

/* For control_node.c */
void bt_client_event(struct bt_client *client, const struct bt_child *child, const char *phase, enum bt_ctl_outcome outcome, uint64_t incarnation,
                     uint64_t value0, uint64_t value1, const char *text)
{
        client_event(client, child, phase, outcome, incarnation, value0, value1, text);
}

int bt_client_reply(struct bt_client *client, struct bt_ctl_reply *reply)
{
        reply->magic = BT_CTL_MAGIC;
        reply->version = BT_CTL_VERSION;
        reply->since_ns = bt_now_ns() - client->begun_ns;
        return bt_scm_send(client->fd, reply, sizeof(*reply), NULL, 0);
}

void bt_client_final(struct bt_client *client, const struct bt_ctl_reply *done)
{
        client->final = *done;
        client->final.magic = BT_CTL_MAGIC;
        client->final.version = BT_CTL_VERSION;
        client->final.kind = BT_CTL_DONE;
        client->final.since_ns = bt_now_ns() - client->begun_ns;
        client_finish(client);
}

void bt_client_asks_node(struct bt_client *client, struct bt_node_ask *ask)
{
        client->node_ask = ask;
}

/* ---- upgrade, swap ---- */

static void request_on_event(void *ctx, const struct bt_child *child, const char *phase, enum bt_ctl_outcome outcome, uint64_t incarnation,
                             bool over, const char *text)
{
        bool migrated = over && strcmp(phase, "refused") != 0;

        client_event(ctx, child, phase, outcome, incarnation, migrated ? child->pause_ns : 0, migrated ? child->total_ns : 0, text);
}

static void request_on_over(void *ctx, const struct bt_request *request)
{
        struct bt_client *client = ctx;

        client->request = NULL;
        reply_init(&client->final, client, BT_CTL_DONE);
        client->final.outcome = request->outcome;
        client->final.value[0] = request->ok;
        client->final.value[1] = request->failed;
        (void)snprintf(client->final.child, sizeof(client->final.child), "%s", request->child);
        (void)snprintf(client->final.text, sizeof(client->final.text), "%s", request->text);
        client_finish(client);
}

static void client_migrate(struct bt_client *client, const struct bt_ctl_request *request, struct bt_binary *binary)
{
        static const struct bt_request_owner owner = {request_on_event, request_on_over};
        const char *why = "";
        enum bt_ctl_outcome outcome = bt_request_begin(client->hub, request->target, binary, request->strategy, &owner, client,
                                                       &client->request, &why);

        if (outcome != BT_CTL_OK)
                client_answer(client, outcome, why);
}

/* ---- rollouts ---- */

static void rolling_on_event(struct bt_rolling_watcher *watcher, const struct bt_child *child, const char *phase, enum bt_ctl_outcome outcome,
                             uint64_t incarnation, const char *text)
{
        bool committed = child && !strcmp(phase, "committed");

        client_event(bt_container_of(watcher, struct bt_client, rolling), child, phase, outcome, incarnation,
                     committed ? child->pause_ns : !child ? watcher->limit_ns : 0, committed ? child->total_ns : 0, text);
}

static void rolling_on_over(struct bt_rolling_watcher *watcher, enum bt_ctl_outcome outcome, uint32_t on, uint32_t off, const char *text)
{
        struct bt_client *client = bt_container_of(watcher, struct bt_client, rolling);

        reply_init(&client->final, client, BT_CTL_DONE);
        client->final.outcome = outcome;
        client->final.value[0] = on;
        client->final.value[1] = off;
        (void)snprintf(client->final.text, sizeof(client->final.text), "%s", text);
        client_finish(client);
}

/* @binary: NULL goes back. */
static void client_roll(struct bt_client *client, const struct bt_ctl_request *request, struct bt_binary *binary)
{
        struct bt_rolling_spec spec = {
                .target = request->target, .binary = binary, .strategy = request->strategy, .options = &request->rollout};
        bool waits = !request->rollout.no_wait;
        char why[512] = "";
        enum bt_ctl_outcome outcome;

        client->rolling.event = rolling_on_event;
        client->rolling.over = rolling_on_over;
        outcome = bt_rolling_begin(client->hub, &spec, waits ? &client->rolling : NULL, why, sizeof(why));
        if (outcome != BT_CTL_OK || !waits)
                client_answer(client, outcome, why);
}

static bool matches_several(struct bt_hub *hub, const char *target)
{
        uint32_t matches = 0;

        bt_hub_foreach_child (child, hub)
                matches += bt_request_matches(child, target);
        return matches > 1;
}

static void client_upgrade(struct bt_client *client, const struct bt_ctl_request *request, int fd)
{
        struct bt_binary *binary = NULL;
        char text[512];
        int r = fd < 0 ? -EBADF : bt_binary_adopt(&binary, request->path, fd);

        if (r) {
                (void)snprintf(text, sizeof(text), "%.300s: %s", request->path, strerrordesc_np(-r));
                client_answer(client, BT_CTL_INVALID, text);
                return;
        }
        binary->upgrade = ++client->hub->upgrades;
        if (request->rollout.wanted > 1 || (request->rollout.wanted && matches_several(client->hub, request->target)))
                client_roll(client, request, binary);
        else
                client_migrate(client, request, binary);
        (void)bt_binary_unref(binary);
}

/* ---- the hub itself ---- */

void bt_client_renews(struct bt_client *client, struct bt_renewal *renewal, int *ret_fd)
{
        client->renewal = renewal;
        *ret_fd = client->fd;
}

/* ---- events ---- */

static void client_on_followed(struct bt_follower *follower, int r)
{
        struct bt_client *client = bt_container_of(follower, struct bt_client, follower);

        if (r) {
                client_free(client);
                return;
        }
        bt_follower_deinit(follower);
        client_answer(client, BT_CTL_OK, "");
}

static void client_pump(struct bt_client *client)
{
        int r = bt_follower_pump(&client->follower);

        if (r && r != -EAGAIN)
                client_on_followed(&client->follower, r > 0 ? 0 : r);
}

/* From here on the watch also says when there is room for more. */
static void client_pump_from_now(struct bt_client *client)
{
        bt_loop_forget(&client->watch);
        if (bt_loop_watch_fd(client->hub->loop, &client->watch, client->fd, EPOLLIN | EPOLLOUT, client_on_ready))
                client_free(client);
        else
                client_pump(client);
}

static void client_events(struct bt_client *client, const struct bt_ctl_request *request)
{
        bt_follower_init(&client->follower, client->hub, client->fd, request->since, request->follow, client_on_followed);
        client_pump_from_now(client);
}

/* The hub ends: what there is, and the end. */
static void client_end_follower(struct bt_client *client)
{
        (void)bt_follower_pump(&client->follower);
        bt_follower_deinit(&client->follower);
        client_answer(client, BT_CTL_OK, "the hub has stopped");
}

/* ---- requests ---- */

static void client_status(struct bt_client *client)
{
        const struct bt_hub *hub = client->hub;
        struct bt_ctl_reply reply;

        bt_hub_foreach_child(child, hub)
        {
                if (child->mail)
                        bt_child_publish(child); /* what waits in it changes without us */
        }
        reply_init(&reply, client, BT_CTL_NODE);
        (void)snprintf(reply.text, sizeof(reply.text), "%s", bt_plan_string(&hub->plan, hub->plan.plan->config_path));
        bt_list_foreach (it, &hub->nodes) {
                const struct bt_hub_node *node = bt_list_entry(it, struct bt_hub_node, order);

                if (bt_scm_send(client->fd, &reply, sizeof(reply), &node->dir.fd, 1)) {
                        client_answer(client, BT_CTL_FAILED, "a node's descriptor could not be sent");
                        return;
                }
        }
        if (bt_group_tell(client, hub))
                return;
        bt_rolling_describe(hub, reply.text, sizeof(reply.text));
        client_answer(client, BT_CTL_OK, reply.text);
}

static void client_on_live(struct bt_live_waiter *waiter, const struct bt_live *live)
{
        bt_live_tell(bt_container_of(waiter, struct bt_client, live), live);
}

/* The connection becomes another thing: callers.h. */
static void client_attach(struct bt_client *client)
{
        struct bt_hub *hub = client->hub;
        int fd;

        bt_loop_forget(&client->watch);
        fd = BT_STEAL_FD(client->fd);
        client_free(client);
        bt_callers_take(hub, fd);
}

/* Consumes @fd. */
static void client_request(struct bt_client *client, struct bt_ctl_request *request, int fd)
{
        request->target[sizeof(request->target) - 1] = '\0';
        request->path[sizeof(request->path) - 1] = '\0';
        request->node[sizeof(request->node) - 1] = '\0';
        if (request->magic != BT_CTL_MAGIC || request->version != BT_CTL_VERSION ||
            (request->strategy != BT_CTL_STRATEGY_SPEC && request->strategy >= _BT_STRATEGY_N)) {
                (void)bt_close(fd);
                client_answer(client, BT_CTL_INVALID, "this hub speaks another version of the control protocol");
                return;
        }
        if (request->op == BT_CTL_HUB_UPGRADE) {
                bt_renewal_request(client, client->hub, request, fd);
                return;
        }
        if (request->op == BT_CTL_UPGRADE) {
                client_upgrade(client, request, fd);
                return;
        }
        if (request->op >= BT_CTL_STATE_LIST && request->op <= BT_CTL_STATE_DROP) {
                bt_state_request(client, client->hub, request, fd);
                return;
        }
        if (request->op >= BT_CTL_CHILD_ADD && request->op <= BT_CTL_CHILD_RESTART) {
                bt_live_request(client, &client->live, client->hub, request, fd);
                return;
        }
        if (request->op >= BT_CTL_NODE_LIST && request->op <= BT_CTL_NODE_MIGRATE) {
                bt_node_request(client, client->hub, request, fd);
                return;
        }
        (void)bt_close(fd);
        switch (request->op) {
        case BT_CTL_STATUS:
                client_status(client);
                break;
        case BT_CTL_SWAP:
                client_migrate(client, request, NULL);
                break;
        case BT_CTL_ROLLBACK:
                client_roll(client, request, NULL);
                break;
        case BT_CTL_EVENTS:
                client_events(client, request);
                break;
        case BT_CTL_QUEUE:
                bt_queue_request(client, client->hub, request);
                break;
        case BT_CTL_ATTACH:
                client_attach(client);
                break;
        case BT_CTL_STOP:
                client->waits_for_stop = true;
                bt_hub_stop(client->hub);
                break;
        default:
                client_answer(client, BT_CTL_INVALID, "unknown request");
                break;
        }
}

/* Edge-like: read until there is nothing. More than one request is nonsense; the end of the stream is a client that left. */
static void client_read(struct bt_client *client)
{
        for (;;) {
                struct bt_ctl_request request;
                size_t count = 0;
                int fd = -1;
                ssize_t n = bt_scm_recv(client->fd, &request, sizeof(request), &fd, 1, &count);

                if (n == -EAGAIN)
                        return;
                if (n != (ssize_t)sizeof(request) || client->asked) {
                        (void)bt_close(count ? fd : -1);
                        client_free(client);
                        return;
                }
                client->asked = true;
                client_request(client, &request, count ? fd : -1);
                return; /* it may be gone; what else it says does not matter */
        }
}

static void client_on_ready(struct bt_loop_watch *watch, uint32_t events)
{
        struct bt_client *client = bt_container_of(watch, struct bt_client, watch);

        if (client->done)
                (void)client_flush(client);
        else if (events & (EPOLLHUP | EPOLLERR) && client->asked)
                client_free(client);
        else if (client->follower.events)
                client_pump(client);
        else
                client_read(client);
}

/* ---- connections ---- */

static bool peer_allowed(int fd)
{
        struct ucred cred;
        socklen_t bytes = sizeof(cred);

        return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &bytes) == 0 && (cred.uid == 0 || cred.uid == geteuid());
}

/* Before it has asked anything. */
static void turn_away(int fd, const char *text)
{
        struct bt_ctl_reply reply = {.magic = BT_CTL_MAGIC, .version = BT_CTL_VERSION, .kind = BT_CTL_DONE, .outcome = BT_CTL_FAILED};

        (void)snprintf(reply.text, sizeof(reply.text), "%s", text);
        (void)bt_scm_send(fd, &reply, sizeof(reply), NULL, 0);
}

/* NULL: it cannot be had, and @fd is closed. */
static struct bt_client *client_new(struct bt_hub *hub, int fd)
{
        struct bt_client *client = calloc(1, sizeof(*client));

        if (!client) {
                (void)bt_close(fd);
                return NULL;
        }
        client->hub = hub;
        client->fd = fd;
        client->begun_ns = bt_now_ns();
        bt_progress_init(&client->progress, hub, fd);
        bt_list_init(&client->node);
        bt_list_init(&client->live.node);
        client->live.over = client_on_live;
        if (bt_loop_watch_fd(hub->loop, &client->watch, fd, EPOLLIN, client_on_ready)) {
                client_free(client);
                return NULL;
        }
        bt_list_push(&hub->clients, &client->node);
        return client;
}

static void client_accept(struct bt_hub *hub, int fd)
{
        uint32_t count = 0;

        bt_list_foreach (it, &hub->clients)
                count++;
        if (!peer_allowed(fd))
                turn_away(fd, "only processes of the hub's own user, and root, are let in");
        else if (count >= CLIENTS_MAX)
                turn_away(fd, "the hub has as many requests as it can have");
        else {
                (void)client_new(hub, fd);
                return;
        }
        (void)bt_close(fd);
}

/* ---- over an exec of the hub: carry.h ---- */

const char *bt_hub_control_busy(const struct bt_hub *hub)
{
        bt_list_foreach (it, &hub->clients) {
                const struct bt_client *client = bt_list_entry(it, struct bt_client, node);

                if (client->asked && !client->follower.events && !client->renewal)
                        return "a request on the control socket is being answered";
        }
        return NULL;
}

void bt_hub_control_carry(const struct bt_hub *hub, struct bt_carry_out *out)
{
        bt_list_foreach (it, &hub->clients) {
                const struct bt_client *client = bt_list_entry(it, struct bt_client, node);
                struct bt_carry_client item = {.fd = bt_carry_put_fd(out, client->fd),
                                               .follows = client->follower.events != NULL,
                                               .begun_ns = client->begun_ns,
                                               .next = client->follower.next,
                                               .until = client->follower.until,
                                               .lost = client->follower.lost};

                if (!client->renewal)
                        bt_carry_put(out, BT_CARRY_CLIENT, &item, sizeof(item), NULL, 0);
        }
}

void bt_hub_control_carried(struct bt_hub *hub, int fd, const struct bt_carry_client *item)
{
        struct bt_client *client = fd < 0 ? NULL : client_new(hub, fd);

        if (!client)
                return;
        client->begun_ns = item->begun_ns;
        if (!item->follows)
                return;
        client->asked = true;
        bt_follower_init(&client->follower, hub, fd, BT_CTL_SINCE_NOW, true, client_on_followed);
        client->follower.next = item->next;
        client->follower.until = item->until;
        client->follower.lost = item->lost;
        client_pump_from_now(client);
}

static void on_connection(struct bt_loop_watch *watch, uint32_t events)
{
        struct bt_hub *hub = bt_container_of(watch, struct bt_hub, listener_watch);

        (void)events;
        for (;;) {
                int fd = accept4(hub->listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

                if (fd >= 0)
                        client_accept(hub, fd);
                else if (errno != EINTR && errno != ECONNABORTED)
                        return;
        }
}

static int control_path(const struct bt_hub *hub, struct sockaddr_un *ret_addr)
{
        const char *dir = bt_plan_string(&hub->plan, hub->plan.plan->runtime_dir);

        *ret_addr = (struct sockaddr_un){.sun_family = AF_UNIX};
        if (strlen(dir) + sizeof("/control.sock") > sizeof(ret_addr->sun_path))
                return -ENAMETOOLONG;
        (void)snprintf(ret_addr->sun_path, sizeof(ret_addr->sun_path), "%s/control.sock", dir);
        return 0;
}

/* The lock is ours, so a socket that is there was left by a hub that is not. */
int bt_hub_open_control(struct bt_hub *hub)
{
        struct sockaddr_un addr;
        int r = control_path(hub, &addr);

        bt_list_init(&hub->state_asks);
        hub->listener = bt_carry_listener(hub);
        if (!r && hub->listener < 0) {
                (void)unlink(addr.sun_path);
                hub->listener = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
                if (hub->listener < 0 || bind(hub->listener, (struct sockaddr *)&addr, sizeof(addr)) < 0 ||
                    listen(hub->listener, SOMAXCONN) < 0)
                        r = -errno;
        }
        if (!r)
                r = bt_loop_watch_fd(hub->loop, &hub->listener_watch, hub->listener, EPOLLIN, on_connection);
        if (r)
                bt_hub_say(hub, "cannot open the control socket %s: %s", addr.sun_path, strerrordesc_np(-r));
        return r;
}

void bt_hub_close_control(struct bt_hub *hub)
{
        struct sockaddr_un addr;

        bt_list_foreach_safe (it, &hub->clients) {
                struct bt_client *client = bt_list_entry(it, struct bt_client, node);

                if (client->waits_for_stop)
                        client_answer(client, hub->exit_status ? BT_CTL_FAILED : BT_CTL_OK, hub->stop_text);
                else if (client->follower.events)
                        client_end_follower(client);
                else
                        client_free(client);
        }
        /* Those whose socket was full: nobody turns the loop any more. */
        bt_list_foreach_safe (it, &hub->clients)
                client_free(bt_list_entry(it, struct bt_client, node));
        bt_state_asks_free(hub);
        if (hub->listener < 0)
                return;
        bt_loop_forget(&hub->listener_watch);
        hub->listener = bt_close(hub->listener);
        if (!control_path(hub, &addr))
                (void)unlink(addr.sun_path);
}
