/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A program with a hub inside, and a loop of its own. Its one child is a function: it answers each connection with the number of those before it. The
 * program reads its standard input: "swap" replaces the process while its count goes on, "stop" (or the end of the input) ends everything.
 *
 *      ./embed [PORT [DIRECTORY]]      then: nc 127.0.0.1 8080
 *
 * Killed, it leaves the child serving; started again with the same directory it takes it over.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/stat.h>
#include <unistd.h>

#include <baton/hub.h>

/* ---- the child: runs in a process of its own ---- */

static uint64_t count;

static int restore(struct baton_child *child, const struct baton_restore *restore, void *ctx)
{
        (void)child, (void)ctx;
        if (restore->state_bytes == sizeof(count))
                memcpy(&count, restore->state, sizeof(count));
        return 0;
}

static int capture(struct baton_child *child, struct baton_capture *capture, void *ctx)
{
        void *room;
        int r = baton_capture_reserve(capture, sizeof(count), &room);

        (void)child, (void)ctx;
        if (r)
                return r;
        memcpy(room, &count, sizeof(count));
        return baton_capture_commit(capture, sizeof(count));
}

static void on_connection(struct baton_child *child, int listener, uint32_t events, void *data)
{
        int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
        char text[64];

        (void)events, (void)data;
        if (fd < 0)
                return;
        (void)snprintf(text, sizeof(text), "%llu from process %d, incarnation %llu\n", (unsigned long long)++count, (int)getpid(),
                       (unsigned long long)baton_child_incarnation(child));
        (void)send(fd, text, strlen(text), MSG_NOSIGNAL | MSG_DONTWAIT);
        (void)close(fd);
}

static int counter(struct baton_child *child, void *ctx)
{
        int listener = baton_child_socket(child, "count");
        int r = listener < 0 ? listener : baton_child_watch(child, listener, EPOLLIN, on_connection, NULL);

        (void)ctx;
        return r ? r : baton_child_run(child);
}

static const struct baton_child_ops ops = {
        .size = sizeof(ops), .schema = "embed", .version = 1, .version_oldest = 1, .restore = restore, .capture = capture,
};

/* ---- the program ---- */

static void on_event(void *ctx, const struct baton_hub_event *event)
{
        (void)ctx;
        (void)printf("%s %s %s\n", event->name, event->child, event->text);
}

static void on_swapped(void *ctx, const struct baton_hub_outcome *outcome)
{
        (void)ctx;
        (void)printf("swap: %s\n", outcome->result ? outcome->text : "done");
}

static int add(struct baton_hub *hub, uint16_t port)
{
        static const char *const sockets[] = {"count"};
        const struct sockaddr_in addr = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK), .sin_port = htons(port)};
        const struct baton_hub_socket socket = {
                .size = sizeof(socket), .name = "count", .addr = (const struct sockaddr *)&addr, .addr_bytes = sizeof(addr), .type = SOCK_STREAM};
        struct baton_hub_child child;
        int r = baton_hub_add_socket(hub, &socket);

        if (r)
                return r;
        baton_hub_child_init(&child, sizeof(child));
        child.id = "counter";
        child.ops = &ops;
        child.main = counter;
        child.sockets = sockets;
        child.socket_count = 1;
        child.strategy = BATON_HUB_HOT;
        child.handover = true;
        child.state = BATON_STATE_BLOB;
        return baton_hub_add_child(hub, &child);
}

static void on_input(struct baton_hub *hub)
{
        char line[64] = "";
        ssize_t n = read(STDIN_FILENO, line, sizeof(line) - 1);

        if (n > 0 && !strncmp(line, "swap", 4))
                (void)baton_hub_swap(hub, "counter", BATON_HUB_AS_SPECIFIED, on_swapped, NULL);
        else if (n <= 0 || !strncmp(line, "stop", 4))
                (void)baton_hub_stop(hub);
}

static int loop(struct baton_hub *hub)
{
        struct pollfd fds[2] = {{.fd = STDIN_FILENO, .events = POLLIN}, {.fd = baton_hub_fd(hub), .events = POLLIN}};
        int r = 0;

        while (!r) {
                (void)fflush(stdout);
                if (poll(fds, 2, -1) < 0 && errno != EINTR)
                        return -errno;
                if (fds[0].revents) {
                        on_input(hub);
                        fds[0].fd = fds[0].revents & POLLHUP ? -1 : STDIN_FILENO;
                }
                r = baton_hub_dispatch(hub);
        }
        return r == BATON_HUB_STOPPED ? 0 : r;
}

int main(int argc, char **argv)
{
        const unsigned long port = argc > 1 ? strtoul(argv[1], NULL, 10) : 8080;
        char dir[256];
        struct baton_hub *hub = NULL;
        struct baton_hub_options options = {.size = sizeof(options), .name = "embed", .runtime_dir = dir, .event = on_event};
        int r;

        if (argc > 2)
                (void)snprintf(dir, sizeof(dir), "%s", argv[2]);
        else
                (void)snprintf(dir, sizeof(dir), "/tmp/baton-embed-%d", (int)getuid());
        r = baton_hub_open(&hub, &options);
        if (!r)
                r = add(hub, (uint16_t)port);
        if (!r)
                r = baton_hub_start(hub);
        if (!r)
                r = loop(hub);
        if (r)
                (void)fprintf(stderr, "embed: %s: %s\n", baton_strerror(r), hub ? baton_hub_error(hub) : "");
        hub = baton_hub_close(hub);
        return r ? 1 : 0;
}
