/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One client: its bytes in, its requests executed, its answers out.
 *
 *      readable ──► in buffer ──► scan ──► execute (bracket) ──► out buffer ──► send ──► left over: watch for writable
 *
 * Whatever is between two of these steps when the call returns lies in the arena, so a connection can change its process at any time that
 * the loop is not in here.
 *
 * Bounds: KV_REQUEST_BYTES_MAX a request, KV_OUT_BYTES_MAX of answers that are not read; above KV_OUT_BYTES_STOP a client's requests wait.
 * Buffers come from the arena: when it is full, a client whose buffer would have to grow is disconnected.
 *
 * Two traps around descriptors that another process has as well, or that are on their way to one:
 *   - close() does not take such a descriptor out of epoll, which knows the open file and not the number. So it is deleted first.
 *   - close() does not tell the client either. So a connection that ends is shut down, and one that is let go of is not.
 */
#include <errno.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "examples/kv/command.h"
#include "examples/kv/server.h"

/* ---- peers ---- */

static uint32_t events_for(const struct kv_conn *conn)
{
        uint32_t pending = kv_buf_bytes(&conn->out);

        return (pending < KV_OUT_BYTES_STOP && !conn->closing ? (uint32_t)EPOLLIN : 0) |
               (pending > 0 ? (uint32_t)EPOLLOUT : 0);
}

int kv_peer_watch(struct kv_server *server, uint32_t slot, int fd)
{
        struct kv_peer *peer = &server->peers[slot];
        struct kv_conn *conn = &server->root->conns[slot];
        struct epoll_event event = {.events = events_for(conn), .data.u64 = conn->id};
        int op = peer->fd < 0 ? EPOLL_CTL_ADD : EPOLL_CTL_MOD;

        if (peer->fd == fd && peer->events == event.events)
                return 0;
        if (epoll_ctl(server->epoll, op, fd, &event) < 0)
                return -errno;
        if (peer->fd < 0)
                *peer = (struct kv_peer){.fd = fd, .id = conn->id};
        peer->events = event.events;
        return 0;
}

void kv_conn_close(struct kv_server *server, uint32_t slot)
{
        struct kv_peer *peer = &server->peers[slot];

        (void)epoll_ctl(server->epoll, EPOLL_CTL_DEL, peer->fd, NULL);
        if (peer->passed)
                kv_peer_take_back(server, peer);
        (void)close(peer->fd);
        *peer = (struct kv_peer){.fd = -1};

        baton_arena_begin(server->child);
        kv_conn_free(server->child, server->root, &server->root->conns[slot]);
        baton_arena_end(server->child);
        kv_listener_pause(server, false);
}

/* ---- requests ---- */

/* Answers what cannot be read any further, and hangs up. */
static void refuse(struct kv_server *server, struct kv_conn *conn, const char *what)
{
        struct kv_call call = {.server = server, .conn = conn};

        baton_arena_begin(server->child);
        kv_reply_error(&call, "ERR %s", what);
        conn->closing = 1;
        baton_arena_end(server->child);
}

static void execute(struct kv_server *server, struct kv_conn *conn, uint32_t bytes)
{
        const char *error;
        uint32_t argc = kv_request_split(kv_buf_first(&conn->in), bytes, server->args, &error);

        if (error)
                refuse(server, conn, error);
        else if (argc > 0)
                kv_execute(server, conn, argc);
}

/*
 * Executes the requests that are whole. The answer and the removal of the request are two brackets: between them only a death can come, never a
 * swap, and a connection does not outlive the death of its process.
 */
static void execute_all(struct kv_server *server, struct kv_conn *conn)
{
        char error[KV_SCAN_ERROR_BYTES];

        while (!conn->closing && kv_buf_bytes(&conn->out) < KV_OUT_BYTES_STOP && kv_buf_bytes(&conn->in) > 0) {
                struct kv_scan scan = conn->scan;
                uint32_t need;
                enum kv_scan_result r;

                r = kv_scan_step(&scan, kv_buf_first(&conn->in), kv_buf_bytes(&conn->in), &need, error);
                if (r == KV_SCAN_BAD) {
                        refuse(server, conn, error);
                        return;
                }
                if (r == KV_SCAN_WHOLE)
                        execute(server, conn, scan.off);
                baton_arena_begin(server->child);
                if (r == KV_SCAN_WHOLE) {
                        kv_buf_consume(&conn->in, scan.off);
                        scan = (struct kv_scan){0};
                }
                conn->scan = scan;
                baton_arena_end(server->child);
                if (r == KV_SCAN_MORE)
                        return;
        }
}

/* Sends what the socket takes. False: the client is gone. */
static bool flush(struct kv_server *server, struct kv_conn *conn, int fd)
{
        while (kv_buf_bytes(&conn->out) > 0) {
                ssize_t n = send(fd, kv_buf_first(&conn->out), kv_buf_bytes(&conn->out), MSG_NOSIGNAL | MSG_DONTWAIT);

                if (n < 0 && errno == EINTR)
                        continue;
                if (n < 0)
                        return errno == EAGAIN;
                baton_arena_begin(server->child);
                kv_buf_consume(&conn->out, (uint32_t)n);
                baton_arena_end(server->child);
        }
        return true;
}

static void release_empty(struct kv_server *server, struct kv_conn *conn)
{
        baton_arena_begin(server->child);
        if (conn->in.data && kv_buf_bytes(&conn->in) == 0)
                kv_buf_release(server->child, &server->root->pool, &conn->in);
        if (conn->out.data && kv_buf_bytes(&conn->out) == 0)
                kv_buf_release(server->child, &server->root->pool, &conn->out);
        baton_arena_end(server->child);
}

void kv_conn_go_on(struct kv_server *server, uint32_t slot)
{
        struct kv_conn *conn = &server->root->conns[slot];
        struct kv_peer *peer = &server->peers[slot];
        bool held_back;

        /* Answers over KV_OUT_BYTES_STOP hold back requests that are here already. No event will tell of those once the answers are sent. */
        do {
                execute_all(server, conn);
                held_back = kv_buf_bytes(&conn->out) >= KV_OUT_BYTES_STOP;
                if (!flush(server, conn, peer->fd)) {
                        kv_conn_close(server, slot);
                        return;
                }
        } while (held_back && kv_buf_bytes(&conn->out) < KV_OUT_BYTES_STOP && !conn->closing);

        if (conn->closing && kv_buf_bytes(&conn->out) == 0) {
                kv_conn_close(server, slot);
                return;
        }
        release_empty(server, conn);
        if (kv_peer_watch(server, slot, peer->fd))
                kv_conn_close(server, slot);
}

/* As much room as there are bytes already, but what the scan knows to be missing is enough. */
static uint32_t room_wanted(const struct kv_conn *conn)
{
        uint32_t have = kv_buf_bytes(&conn->in);
        uint32_t grow = have > KV_BUF_BYTES / 2 ? have : KV_BUF_BYTES - have;
        uint32_t missing;

        if (!conn->scan.bulk)
                return grow;
        missing = conn->scan.bulk_bytes + 2 - (have - conn->scan.off);
        return missing < grow && have > KV_BUF_BYTES / 2 ? missing : grow;
}

static void conn_readable(struct kv_server *server, uint32_t slot)
{
        struct kv_conn *conn = &server->root->conns[slot];
        uint32_t wanted = room_wanted(conn);
        char *room;
        ssize_t n;

        baton_arena_begin(server->child);
        room = kv_buf_room(server->child, &server->root->pool, &conn->in, wanted, 2 * KV_REQUEST_BYTES_MAX);
        baton_arena_end(server->child);
        if (!room) {
                refuse(server, conn, "out of memory for the request");
                kv_conn_go_on(server, slot);
                return;
        }
        /* Outside a bracket: bytes after the tail are nobody's until the tail moves, and a death in here must not tear the arena. */
        n = recv(server->peers[slot].fd, room, wanted, MSG_DONTWAIT);
        if (n < 0 && (errno == EAGAIN || errno == EINTR)) {
                release_empty(server, conn);
                return;
        }
        if (n <= 0) {
                kv_conn_close(server, slot);
                return;
        }
        baton_arena_begin(server->child);
        kv_buf_filled(&conn->in, (uint32_t)n);
        baton_arena_end(server->child);
        kv_conn_go_on(server, slot);
}

void kv_conn_event(struct kv_server *server, uint64_t id, uint32_t events)
{
        uint32_t slot = kv_conn_slot(id);
        struct kv_conn *conn;

        if (slot >= server->root->conn_max)
                return;
        conn = &server->root->conns[slot];
        if (conn->id != id || server->peers[slot].fd < 0)
                return; /* closed earlier in this turn */
        if (events & EPOLLIN)
                conn_readable(server, slot);
        else if (events & (EPOLLERR | EPOLLHUP))
                kv_conn_close(server, slot);
        else
                kv_conn_go_on(server, slot);
}
