/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A server that speaks sd_notify and nothing else: no libbaton in it. It answers on the first of LISTEN_FDS, one line for a line:
 *
 *      pid                 its pid
 *      names               LISTEN_FDNAMES
 *      read N              what is in the memfd that is descriptor N of LISTEN_FDS
 *      env NAME            the value of a variable, or "unset"
 *      say TEXT            sends TEXT to NOTIFY_SOCKET; ";" is the end of a line
 *      store NAME TEXT     a memfd with TEXT in it is stored as NAME
 *      barrier             BARRIER=1; answers when the hub has closed its end
 *      helper TEXT         as say, but by a child process that has ended when this is answered
 *      fork                becomes another process of the same session, MAINPID, and answers from that
 *      foreign             MAINPID of init
 *
 * NOTIFY_EXTEND=1: the first that it says is that it needs an hour. NOTIFY_GATE=FILE: waits until that file is there before it says READY=1.
 * NOTIFY_EXIT=n: exits instead.
 */
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

static int check(int r, const char *what)
{
        if (r >= 0)
                return r;
        perror(what);
        _exit(2);
}

static void notify(const char *text, int fd)
{
        const char *path = getenv("NOTIFY_SOCKET"); /* NOLINT(concurrency-mt-unsafe): one thread */
        struct sockaddr_un addr = {.sun_family = AF_UNIX};
        struct iovec part = {.iov_base = (void *)text, .iov_len = strlen(text)};
        union {
                char bytes[CMSG_SPACE(sizeof(int))];
                struct cmsghdr align;
        } control = {{0}};
        struct msghdr msg = {.msg_name = &addr, .msg_namelen = sizeof(addr), .msg_iov = &part, .msg_iovlen = 1};
        int sock = check(socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0), "socket");

        (void)snprintf(addr.sun_path, sizeof(addr.sun_path), "%s", path ? path : "");
        if (fd >= 0) {
                struct cmsghdr *c;

                msg.msg_control = control.bytes;
                msg.msg_controllen = sizeof(control.bytes);
                c = CMSG_FIRSTHDR(&msg);
                c->cmsg_level = SOL_SOCKET;
                c->cmsg_type = SCM_RIGHTS;
                c->cmsg_len = CMSG_LEN(sizeof(int));
                memcpy(CMSG_DATA(c), &fd, sizeof(int));
        }
        (void)check((int)sendmsg(sock, &msg, MSG_NOSIGNAL), "sendmsg");
        (void)close(sock);
}

static void say(char *text, int fd)
{
        for (char *at = text; (at = strchr(at, ';'));)
                *at = '\n';
        notify(text, fd);
}

static void store(const char *name, const char *text)
{
        char message[128];
        int fd = check(memfd_create("stored", MFD_CLOEXEC), "memfd_create");

        (void)check((int)write(fd, text, strlen(text)), "write");
        (void)snprintf(message, sizeof(message), "FDSTORE=1\nFDNAME=%s", name);
        notify(message, fd);
        (void)close(fd);
}

static void barrier(void)
{
        int ends[2];
        char byte;

        (void)check(pipe2(ends, O_CLOEXEC), "pipe");
        notify("BARRIER=1", ends[1]);
        (void)close(ends[1]);
        (void)check((int)read(ends[0], &byte, 1), "read");
        (void)close(ends[0]);
}

static void helper(char *text)
{
        pid_t pid = check(fork(), "fork");

        if (!pid) {
                say(text, -1);
                _exit(0);
        }
        (void)waitpid(pid, NULL, 0);
}

/* The one that was started ends; the other goes on with the connection. */
static void become_another(void)
{
        char text[32];
        pid_t pid = check(fork(), "fork");

        if (!pid)
                return;
        (void)snprintf(text, sizeof(text), "MAINPID=%d", (int)pid);
        notify(text, -1);
        _exit(0);
}

static void answer(char *line, char *out, size_t bytes)
{
        char *rest = strchr(line, ' ');
        const char *value;

        if (rest)
                *rest++ = '\0';
        (void)snprintf(out, bytes, "ok");
        if (!strcmp(line, "pid")) {
                (void)snprintf(out, bytes, "%d", (int)getpid());
        } else if (!strcmp(line, "names") || !strcmp(line, "env")) {
                value = getenv(rest ? rest : "LISTEN_FDNAMES"); /* NOLINT(concurrency-mt-unsafe): one thread */
                (void)snprintf(out, bytes, "%s", value ? value : "unset");
        } else if (!strcmp(line, "read") && rest) {
                ssize_t n = pread(3 + (int)strtol(rest, NULL, 10), out, bytes - 1, 0);

                out[n < 0 ? 0 : n] = '\0';
        } else if (!strcmp(line, "say") && rest) {
                say(rest, -1);
        } else if (!strcmp(line, "store") && rest && strchr(rest, ' ')) {
                char *text = strchr(rest, ' ');

                *text++ = '\0';
                store(rest, text);
        } else if (!strcmp(line, "barrier")) {
                barrier();
        } else if (!strcmp(line, "helper") && rest) {
                helper(rest);
        } else if (!strcmp(line, "fork")) {
                become_another();
                (void)snprintf(out, bytes, "%d", (int)getpid());
        } else if (!strcmp(line, "foreign")) {
                notify("MAINPID=1", -1);
        }
}

static void serve(int fd)
{
        FILE *in = fdopen(fcntl(fd, F_DUPFD_CLOEXEC, 0), "r");
        char line[512], out[512];

        while (in && fgets(line, sizeof(line), in)) {
                line[strcspn(line, "\n")] = '\0';
                answer(line, out, sizeof(out) - 1);
                (void)strcat(out, "\n"); /* NOLINT: a byte was left for it */
                if (write(fd, out, strlen(out)) < 0)
                        break;
        }
        if (in)
                (void)fclose(in);
        (void)close(fd);
}

static void wait_for(const char *path)
{
        char room[4096];
        int fd = check(inotify_init1(IN_CLOEXEC), "inotify_init1");

        (void)check(inotify_add_watch(fd, ".", IN_CREATE | IN_MOVED_TO), "inotify_add_watch");
        (void)fprintf(stderr, "waits for %s\n", path);
        while (access(path, F_OK) < 0)
                (void)check((int)read(fd, room, sizeof(room)), "read");
        (void)close(fd);
}

int main(void)
{
        const char *gate = getenv("NOTIFY_GATE"); /* NOLINT(concurrency-mt-unsafe): one thread */
        const char *code = getenv("NOTIFY_EXIT"); /* NOLINT(concurrency-mt-unsafe): one thread */

        if (getenv("NOTIFY_EXTEND")) /* NOLINT(concurrency-mt-unsafe): one thread */
                notify("EXTEND_TIMEOUT_USEC=3600000000", -1);
        if (gate)
                wait_for(gate);
        if (code)
                return (int)strtol(code, NULL, 10);
        notify("READY=1\nSTATUS=serving", -1);
        for (;;) {
                struct pollfd listener = {.fd = 3, .events = POLLIN};
                int fd;

                (void)poll(&listener, 1, -1);
                fd = accept4(3, NULL, NULL, SOCK_CLOEXEC);
                if (fd >= 0)
                        serve(fd);
        }
}
