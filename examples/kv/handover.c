/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How this server moves to another process, a few lines each:
 *
 *      prepare   pass all connections ahead, while serving; the pause then has only the newest ones to pass
 *      arriving  (successor, while the predecessor serves) have epoll watch them: that is 1 us each, which nobody should wait for. Not a look at the arena
 *      capture   pass the rest. There is nothing to write: keys, half-read requests and half-sent answers are in the arena already
 *      restore   (successor) take the rest, drop those that have ended since. Writes nothing to the arena
 *      serve     (successor) the arena is ours: free records whose connection did not come along, make the table when all is new
 *      resume    the successor failed: forget that anything was passed
 *      retire    the successor serves: close our copies
 *
 * A descriptor that was passed ahead may be closed, and its slot used again, before the swap: the tag is the connection's id, which has a
 * serial number in it. So it is taken back by its id; and a successor whose predecessor died, which nobody tells what is gone, compares ids with the records.
 *
 * KV_FAIL makes a process fail in a chosen way, so that roll-backs can be tried and tested; see examples/README.md.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "examples/kv/server.h"

/* ---- KV_FAIL ---- */

static const char *const failures[] = {
        "exit_at_start", "hang_at_start", "refuse_restore", "hang_restore", "crash_restore", "bad_schema", "refuse_arriving",
};

bool kv_fail_is(const char *what)
{
        const char *fail = getenv("KV_FAIL");

        return fail && strcmp(fail, what) == 0;
}

__attribute__((noreturn)) static void hang(const char *where)
{
        (void)fprintf(stderr, "kv: KV_FAIL: hangs %s\n", where);
        for (;;)
                (void)pause();
}

void kv_fail_at_start(void)
{
        const char *fail = getenv("KV_FAIL");
        bool known = !fail || !fail[0];

        for (size_t i = 0; i < sizeof(failures) / sizeof(failures[0]); i++)
                known = known || strcmp(fail, failures[i]) == 0;
        if (!known) {
                (void)fprintf(stderr, "kv: KV_FAIL is '%s', which is none of", fail);
                for (size_t i = 0; i < sizeof(failures) / sizeof(failures[0]); i++)
                        (void)fprintf(stderr, " %s", failures[i]);
                (void)fprintf(stderr, "\n");
                exit(2);
        }
        if (kv_fail_is("exit_at_start")) {
                (void)fprintf(stderr, "kv: KV_FAIL: exits at start\n");
                exit(3);
        }
        if (kv_fail_is("hang_at_start"))
                hang("at start");
}

/* 0, or the refusal. Only where there is something to take over: the first start of a child with KV_FAIL in its environment works. */
static int fail_in_restore(const struct baton_restore *restore)
{
        if (restore->reason == BATON_REASON_FRESH)
                return 0;
        if (kv_fail_is("refuse_restore")) {
                (void)fprintf(stderr, "kv: KV_FAIL: refuses to restore\n");
                return -EINVAL;
        }
        if (kv_fail_is("hang_restore"))
                hang("in restore");
        if (kv_fail_is("crash_restore")) {
                (void)fprintf(stderr, "kv: KV_FAIL: crashes in restore\n");
                abort();
        }
        return 0;
}

/* ---- predecessor ---- */

static void forget_passed(struct kv_server *server)
{
        for (uint32_t slot = 0; slot < server->root->conn_top; slot++)
                server->peers[slot].passed = false;
}

/* Passes what was not yet passed. 0 or the first error. */
static int pass_rest(struct kv_server *server)
{
        for (uint32_t slot = 0; slot < server->root->conn_top; slot++) {
                struct kv_peer *peer = &server->peers[slot];
                int r;

                if (peer->fd < 0 || peer->passed)
                        continue;
                r = baton_child_pass(server->child, peer->fd, server->root->conns[slot].id);
                if (r)
                        return r;
                peer->passed = true;
        }
        return 0;
}

static void on_prepare(struct baton_child *child, void *ctx)
{
        (void)child;
        forget_passed(ctx);
        ((struct kv_server *)ctx)->unpass_error = 0;
        (void)pass_rest(ctx); /* capture() tries the rest again, and reports */
}

void kv_peer_take_back(struct kv_server *server, const struct kv_peer *peer)
{
        int r = baton_child_unpass(server->child, peer->id);

        (void)shutdown(peer->fd, SHUT_RDWR); /* the successor's copy would keep it open */
        if (r && r != -BATON_E_PROTOCOL)     /* after a swap that was called off, while capture() has not come: nobody has a copy */
                server->unpass_error = r;
}

static int on_capture(struct baton_child *child, struct baton_capture *capture, void *ctx)
{
        enum baton_capture_for purpose = baton_capture_purpose(capture);

        (void)child;
        if (purpose == BATON_CAPTURE_SHUTDOWN)
                return 0; /* connections do not survive the machine's, or the hub's, end */
        if (purpose == BATON_CAPTURE_COLD)
                forget_passed(ctx); /* what prepare() passed went to a hot successor that never was */
        else if (((const struct kv_server *)ctx)->unpass_error)
                return ((const struct kv_server *)ctx)->unpass_error;
        return pass_rest(ctx);
}

static void on_resume(struct baton_child *child, void *ctx)
{
        (void)child;
        forget_passed(ctx);
}

static void on_retire(struct baton_child *child, void *ctx)
{
        struct kv_server *server = ctx;

        server->retired = true;
        kv_server_let_go(server);
        (void)baton_child_retired(child); /* each connection is somebody else's by now: nothing to drain */
}

/* ---- successor ---- */

/* Takes one descriptor over. Closes it when its connection has ended since it was passed. */
static int adopt(struct kv_server *server, const struct baton_fd *passed)
{
        uint32_t slot = kv_conn_slot(passed->tag);
        int r;

        if (slot >= server->root->conn_top || server->root->conns[slot].id != passed->tag || server->peers[slot].fd >= 0) {
                (void)close(passed->fd);
                return 0;
        }
        r = kv_peer_watch(server, slot, passed->fd);
        if (r)
                (void)close(passed->fd);
        else
                server->adopted++;
        return r;
}

/* The record is the predecessor's still. What of it asks for more than EPOLLIN is found by the kick. */
static int on_arriving(struct baton_child *child, const struct baton_fd *fds, size_t fd_count, void *ctx)
{
        struct kv_server *server = ctx;
        int r = kv_fail_is("refuse_arriving") ? -EINVAL : 0;

        (void)child;
        for (size_t i = 0; i < fd_count; i++) {
                struct epoll_event event = {.events = EPOLLIN, .data.u64 = fds[i].tag};
                uint32_t slot = kv_conn_slot(fds[i].tag);

                if (r || slot >= KV_CLIENTS_MAX || server->peers[slot].fd >= 0) {
                        (void)close(fds[i].fd);
                } else if (epoll_ctl(server->epoll, EPOLL_CTL_ADD, fds[i].fd, &event) < 0) {
                        r = -errno;
                        (void)close(fds[i].fd);
                } else {
                        server->peers[slot] = (struct kv_peer){.fd = fds[i].fd, .events = EPOLLIN, .id = fds[i].tag};
                        server->adopted++;
                }
        }
        return r;
}

/* Ours alone: nobody else serves it. */
static void drop(struct kv_server *server, uint32_t slot)
{
        (void)epoll_ctl(server->epoll, EPOLL_CTL_DEL, server->peers[slot].fd, NULL);
        (void)close(server->peers[slot].fd);
        server->peers[slot] = (struct kv_peer){.fd = -1};
        server->adopted--;
}

/* Of what has arrived, what ended before the moment. */
static void drop_gone(struct kv_server *server, const struct baton_restore *restore)
{
        for (size_t i = 0; i < restore->gone_count; i++) {
                uint32_t slot = kv_conn_slot(restore->gone[i]);

                if (slot < KV_CLIENTS_MAX && server->peers[slot].fd >= 0 && server->peers[slot].id == restore->gone[i])
                        drop(server, slot);
        }
        for (uint32_t slot = 0; !restore->predecessor && server->adopted && slot < KV_CLIENTS_MAX; slot++) {
                bool known = server->root && slot < server->root->conn_top && server->root->conns[slot].id == server->peers[slot].id;

                if (server->peers[slot].fd >= 0 && !known)
                        drop(server, slot);
        }
}

/* What capture(), restore() and serve() begin with. */
static void on_rehearse(struct baton_child *child, void *ctx)
{
        const struct kv_server *server = ctx;
        const struct kv_root *root = baton_arena_root(child);

        __builtin_prefetch(server->peers);
        if (root) {
                __builtin_prefetch(root);
                __builtin_prefetch(root->conns);
        }
}

static int on_restore(struct baton_child *child, const struct baton_restore *restore, void *ctx)
{
        struct kv_server *server = ctx;
        bool told_to_fail = fail_in_restore(restore) != 0;
        int r = told_to_fail ? -EINVAL : 0;

        server->root = baton_arena_root(child);
        drop_gone(server, restore);
        for (size_t i = 0; i < restore->fd_count; i++) {
                if (!r && server->root)
                        r = adopt(server, &restore->fds[i]);
                else
                        (void)close(restore->fds[i].fd);
        }
        if (r && !told_to_fail)
                (void)fprintf(stderr, "kv: cannot take over the connections: %s\n", baton_strerror(r));
        return r;
}

/* After a crash or a reboot, records without a connection. */
static void free_orphans(struct kv_server *server)
{
        for (uint32_t slot = 0; slot < server->root->conn_top; slot++) {
                struct kv_conn *conn = &server->root->conns[slot];

                if (conn->id == 0 || server->peers[slot].fd >= 0)
                        continue;
                baton_arena_begin(server->child);
                kv_conn_free(server->child, server->root, conn);
                baton_arena_end(server->child);
        }
}

static void on_serve(struct baton_child *child, void *ctx)
{
        struct kv_server *server = ctx;

        if (server->root) {
                if (server->adopted != server->root->conn_count)
                        free_orphans(server);
                server->kick = true;
                return;
        }
        baton_arena_begin(child);
        server->root = kv_root_new(child);
        if (server->root)
                baton_arena_set_root(child, server->root);
        baton_arena_end(child);
        if (!server->root) {
                (void)fprintf(stderr, "kv: the arena (%zu bytes) is too small, at least 1 MiB is needed: "
                              "set `state: {form: arena, max: 64MiB}` or more\n", baton_arena_max(child));
                exit(1);
        }
}

#define KV_OPS(schema_version)                                                                     \
        {                                                                                          \
                .size = sizeof(struct baton_child_ops), .schema = KV_SCHEMA,                       \
                .version = (schema_version), .version_oldest = (schema_version),                   \
                .restore = on_restore, .serve = on_serve, .prepare = on_prepare,                   \
                .capture = on_capture, .resume = on_resume, .retire = on_retire,                   \
                .arriving = on_arriving, .rehearse = on_rehearse,                                  \
        }

const struct baton_child_ops kv_child_ops = KV_OPS(KV_SCHEMA_VERSION);
const struct baton_child_ops kv_child_ops_bad_schema = KV_OPS(9);
