/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The smallest useful child: a TCP server that answers each line with its number. Neither the count nor a connection is lost when the process
 * is replaced. The count is the state, eight bytes; connections are passed as descriptors. No client sends a line in two halves that we
 * would have to keep: only the newlines count.
 *
 *      baton run examples/hello/hello.yaml        or alone: PORT=8080 ./hello
 */
#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <baton/child.h>

#define FDS_MAX 1024

static uint64_t count;          /* lines answered, by all incarnations */
static int listener = -1;
static bool client_is[FDS_MAX]; /* by descriptor: a client's connection */

static void client_end(struct baton_child *child, int fd)
{
        (void)baton_child_watch(child, fd, 0, NULL, NULL);
        client_is[fd] = false;
        (void)close(fd);
}

static void on_client(struct baton_child *child, int fd, uint32_t events, void *data)
{
        char in[512], out[64];
        ssize_t n = recv(fd, in, sizeof(in), MSG_DONTWAIT);

        (void)events, (void)data;
        if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR)) {
                (void)shutdown(fd, SHUT_RDWR); /* the connection ends, even if a successor was given it already */
                client_end(child, fd);
                return;
        }
        for (ssize_t i = 0; i < n; i++) {
                if (in[i] == '\n') {
                        int bytes = snprintf(out, sizeof(out), "hello %llu from %d\n", (unsigned long long)++count, (int)getpid());

                        (void)send(fd, out, (size_t)bytes, MSG_NOSIGNAL | MSG_DONTWAIT);
                }
        }
}

static int client_begin(struct baton_child *child, int fd)
{
        int r = fd < FDS_MAX ? baton_child_watch(child, fd, EPOLLIN, on_client, NULL) : -EMFILE;

        if (r == 0)
                client_is[fd] = true;
        else
                (void)close(fd);
        return r;
}

static void on_listener(struct baton_child *child, int fd, uint32_t events, void *data)
{
        int client = accept4(fd, NULL, NULL, SOCK_CLOEXEC);

        (void)events, (void)data;
        if (client >= 0)
                (void)client_begin(child, client);
}

/* Successor: the count, and the connections. */
static int restore(struct baton_child *child, const struct baton_restore *restore, void *ctx)
{
        int r = 0;

        (void)ctx;
        if (restore->state_bytes == sizeof(count))
                memcpy(&count, restore->state, sizeof(count));
        for (size_t i = 0; i < restore->fd_count; i++)
                r = r ? (close(restore->fds[i].fd), r) : client_begin(child, restore->fds[i].fd);
        return r;
}

/* Predecessor: the same, the other way. */
static int capture(struct baton_child *child, struct baton_capture *capture, void *ctx)
{
        bool keep = baton_capture_purpose(capture) != BATON_CAPTURE_SHUTDOWN;
        void *room;
        int r = baton_capture_reserve(capture, sizeof(count), &room);

        (void)ctx;
        for (int fd = 0; r == 0 && keep && fd < FDS_MAX; fd++)
                r = client_is[fd] ? baton_child_pass(child, fd, 0) : 0;
        if (r)
                return r;
        memcpy(room, &count, sizeof(count));
        return baton_capture_commit(capture, sizeof(count));
}

/* Predecessor, when the successor serves: let go of what it has. */
static void retire(struct baton_child *child, void *ctx)
{
        (void)ctx;
        (void)baton_child_watch(child, listener, 0, NULL, NULL);
        for (int fd = 0; fd < FDS_MAX; fd++) {
                if (client_is[fd])
                        client_end(child, fd);
        }
        (void)baton_child_retired(child);
}

static int bind_own(void)
{
        const char *port = getenv("PORT");
        struct sockaddr_in addr = {
                .sin_family = AF_INET,
                .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
                .sin_port = htons((uint16_t)strtoul(port ? port : "8080", NULL, 10)),
        };
        const int on = 1;
        int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

        (void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
        if (fd < 0 || bind(fd, (struct sockaddr *)&addr, sizeof(addr)) < 0 || listen(fd, 64) < 0)
                return -errno;
        return fd;
}

int main(void)
{
        const struct baton_child_ops ops = {
                .size = sizeof(ops), .schema = "hello", .version = 1, .version_oldest = 1,
                .restore = restore, .capture = capture, .retire = retire,
        };
        struct baton_child *child = NULL;
        int r = baton_child_open(&child, &ops, NULL);

        if (r == 0) {
                listener = baton_child_socket(child, "hello");
                if (listener < 0)
                        listener = baton_child_socket(child, "http");
                if (listener < 0)
                        listener = bind_own();
                r = listener < 0 ? listener : baton_child_watch(child, listener, EPOLLIN, on_listener, NULL);
        }
        if (r == 0)
                r = baton_child_run(child);
        if (r)
                (void)fprintf(stderr, "hello: %s\n", baton_strerror(r));
        child = baton_child_close(child);
        return r ? 1 : 0;
}
