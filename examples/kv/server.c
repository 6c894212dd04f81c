/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One thread, one epoll, level triggered: what is not handled in one turn is reported again in the next, and to the next process.
 *
 * A turn handles one buffer of each ready client, then asks the baton library whether anything happened. So at the moment of a swap each
 * request has either been executed and its answer is in the out buffer or in the socket, or it has not been looked at.
 *
 * Bounds: KV_CLIENTS_MAX clients, fewer in a small arena or when the process may not have as many descriptors. One too many is told so; without a
 * descriptor to tell it with, it waits in the backlog until somebody leaves.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "examples/kv/resp.h"
#include "examples/kv/server.h"

#define EVENTS_MAX 64
#define ACCEPTS_MAX 64   /* a turn: a storm of connections does not starve those that are there */
#define TICK_MS 100      /* while keys expire, or the listener is paused */
#define SWEEP_BUCKETS 1024
#define SWEEP_BUSY 64    /* found so many: more of them wait, do not sleep */
#define BACKLOG 1024

/* Epoll's user data: a connection's id, or one of these, which no id is (an id has a slot in it). */
#define TOKEN_CHILD (UINT64_C(1) << KV_SLOT_BITS)
#define TOKEN_LISTENER (UINT64_C(2) << KV_SLOT_BITS)

static volatile sig_atomic_t stop_signal;

/* ---- new clients ---- */

void kv_listener_pause(struct kv_server *server, bool pause)
{
        struct epoll_event event = {.events = pause ? 0 : EPOLLIN, .data.u64 = TOKEN_LISTENER};

        if (server->listener_paused != pause && epoll_ctl(server->epoll, EPOLL_CTL_MOD, server->listener, &event) == 0)
                server->listener_paused = pause;
}

static void turn_away(int fd)
{
        static const char text[] = "-ERR max number of clients reached\r\n";

        (void)send(fd, text, sizeof(text) - 1, MSG_NOSIGNAL | MSG_DONTWAIT);
        (void)close(fd);
}

static void admit(struct kv_server *server, int fd)
{
        const int on = 1;
        struct kv_conn *conn;
        uint32_t slot;

        (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
        (void)setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on));
        baton_arena_begin(server->child);
        conn = kv_conn_new(server->root);
        baton_arena_end(server->child);
        if (!conn) {
                turn_away(fd);
                return;
        }
        slot = kv_conn_slot(conn->id);
        if (kv_peer_watch(server, slot, fd)) {
                server->peers[slot].fd = fd;
                kv_conn_close(server, slot);
        }
}

static void on_listener(struct kv_server *server)
{
        for (int i = 0; i < ACCEPTS_MAX; i++) {
                int fd = accept4(server->listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

                if (fd >= 0) {
                        admit(server, fd);
                        continue;
                }
                /* Without a descriptor the listener stays readable; asking it again at once would be a busy loop. */
                if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM)
                        kv_listener_pause(server, true);
                if (errno != EINTR && errno != ECONNABORTED)
                        return;
        }
}

/* ---- setting up ---- */

static int bind_own(struct kv_server *server)
{
        const char *text = getenv("KV_PORT");
        struct sockaddr_in addr = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
        const int on = 1;
        int64_t port = 6379;

        if (text && (kv_parse_i64(text, strlen(text), &port) || port < 0 || port > 65535)) {
                (void)fprintf(stderr, "kv: KV_PORT is '%s', expected a port number from 0 (any free one) to 65535\n", text);
                return -EINVAL;
        }
        addr.sin_port = htons((uint16_t)port);
        server->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        server->listener_owned = true;
        if (server->listener < 0 || setsockopt(server->listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) < 0 ||
            bind(server->listener, (struct sockaddr *)&addr, sizeof(addr)) < 0 || listen(server->listener, BACKLOG) < 0) {
                int error = errno;

                (void)fprintf(stderr, "kv: cannot listen on 127.0.0.1:%d: %s; set KV_PORT to another port\n", (int)port,
                              strerror(error));
                return -error;
        }
        return 0;
}

static int find_port(int fd)
{
        struct sockaddr_storage addr = {.ss_family = AF_UNSPEC};
        socklen_t bytes = sizeof(addr);

        if (getsockname(fd, (struct sockaddr *)&addr, &bytes) < 0)
                return 0;
        if (addr.ss_family == AF_INET)
                return ntohs(((struct sockaddr_in *)(void *)&addr)->sin_port);
        if (addr.ss_family == AF_INET6)
                return ntohs(((struct sockaddr_in6 *)(void *)&addr)->sin6_port);
        return 0;
}

static int add(struct kv_server *server, int fd, uint64_t token)
{
        struct epoll_event event = {.events = EPOLLIN, .data.u64 = token};

        return epoll_ctl(server->epoll, EPOLL_CTL_ADD, fd, &event) < 0 ? -errno : 0;
}

int kv_server_open(struct kv_server *server)
{
        int r = 0;

        server->listener = baton_child_socket(server->child, "redis");
        if (server->listener < 0 && baton_child_supervised(server->child)) {
                (void)fprintf(stderr, "kv: no socket named 'redis' was inherited; add `sockets: [redis]` to this child\n");
                return -ENOENT;
        }
        if (server->listener < 0)
                r = bind_own(server);
        if (r)
                return r;
        server->port = find_port(server->listener);
        server->epoll = epoll_create1(EPOLL_CLOEXEC);
        r = server->epoll < 0 ? -errno : add(server, baton_child_fd(server->child), TOKEN_CHILD);
        if (!r)
                r = add(server, server->listener, TOKEN_LISTENER);
        if (r)
                (void)fprintf(stderr, "kv: epoll: %s\n", strerror(-r));
        return r;
}

void kv_server_let_go(struct kv_server *server)
{
        /* Epoll first: it would go on reporting files that others keep open. */
        if (server->epoll >= 0)
                (void)close(server->epoll);
        server->epoll = -1;
        for (uint32_t slot = 0; slot < KV_CLIENTS_MAX; slot++) {
                if (server->peers[slot].fd >= 0)
                        (void)close(server->peers[slot].fd);
                server->peers[slot] = (struct kv_peer){.fd = -1};
        }
        if (server->listener_owned && server->listener >= 0)
                (void)close(server->listener);
        server->listener = -1;
}

/* ---- the loop ---- */

static void on_signal(int signo)
{
        stop_signal = signo;
}

/* Blocked but while we sleep: a signal is never missed between the look at the flag and the sleep. */
static void block_signals(sigset_t *ret_asleep)
{
        struct sigaction action = {.sa_handler = on_signal};
        sigset_t block;

        (void)sigemptyset(&block);
        (void)sigaddset(&block, SIGTERM);
        (void)sigaddset(&block, SIGINT);
        (void)sigprocmask(SIG_BLOCK, &block, ret_asleep);
        (void)sigaction(SIGTERM, &action, NULL);
        (void)sigaction(SIGINT, &action, NULL);
}

/* The work that no client asked for. Returns how long the loop may sleep. */
static int background(struct kv_server *server)
{
        struct kv_root *root = server->root;
        uint32_t expired = 0;

        if (root->table->expiring > 0) {
                baton_arena_begin(server->child);
                expired = kv_table_sweep(server->child, root->table, kv_now_ms(), SWEEP_BUCKETS);
                root->expired += expired;
                baton_arena_end(server->child);
        }
        if (server->listener_paused)
                kv_listener_pause(server, false);
        if (kv_bury_some(server->child, root) || expired >= SWEEP_BUSY)
                return 0;
        return root->table->expiring > 0 ? TICK_MS : -1;
}

/* What a predecessor left unexecuted or unsent; the kernel's own bytes are reported by epoll. */
static void kick(struct kv_server *server)
{
        server->kick = false;
        for (uint32_t slot = 0; slot < server->root->conn_top; slot++) {
                const struct kv_conn *conn = &server->root->conns[slot];

                if (server->peers[slot].fd >= 0 && (kv_buf_bytes(&conn->in) > 0 || kv_buf_bytes(&conn->out) > 0))
                        kv_conn_go_on(server, slot);
        }
}

/* One turn while this process holds the baton. True: the library has something to say. */
static bool serve_turn(struct kv_server *server, const sigset_t *asleep)
{
        struct epoll_event events[EVENTS_MAX];
        bool told = false;
        int timeout_ms, n;

        if (server->kick)
                kick(server);
        timeout_ms = background(server);
        if (server->listener_paused)
                timeout_ms = TICK_MS;
        n = epoll_pwait(server->epoll, events, EVENTS_MAX, timeout_ms, asleep);
        for (int i = 0; i < n; i++) {
                if (events[i].data.u64 == TOKEN_CHILD)
                        told = true;
                else if (events[i].data.u64 == TOKEN_LISTENER)
                        on_listener(server);
                else
                        kv_conn_event(server, events[i].data.u64, events[i].events);
        }
        return told;
}

/* A turn while another process may be serving: our epoll would report its clients' bytes, so only the library is listened to. */
static void wait_turn(struct kv_server *server, const sigset_t *asleep)
{
        struct pollfd fd = {.fd = baton_child_fd(server->child), .events = POLLIN};

        (void)ppoll(&fd, 1, NULL, asleep);
}

int kv_server_run(struct kv_server *server)
{
        sigset_t asleep;
        int r;

        block_signals(&asleep);
        /* After that: whoever waits for this line may send SIGTERM at once. */
        (void)printf("kv %s: incarnation %llu serves on port %d\n", KV_VERSION,
                     (unsigned long long)baton_child_incarnation(server->child), server->port);
        (void)fflush(stdout);
        while (!stop_signal) {
                bool told = true;

                if (!server->retired && baton_child_serving(server->child))
                        told = serve_turn(server, &asleep);
                else
                        wait_turn(server, &asleep);
                if (!told)
                        continue;
                r = baton_child_dispatch(server->child);
                if (r == BATON_CHILD_STOP)
                        break;
                /* Without a hub the clients are still there: go on serving, another hub may adopt us. */
                if (r < 0 && r != -BATON_E_GONE) {
                        (void)fprintf(stderr, "kv: %s\n", baton_strerror(r));
                        return 1;
                }
        }
        return 0;
}
