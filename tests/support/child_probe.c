/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A supervised child that does, on request, what well-behaved programs do not. One line in over a connection, one line out.
 *
 *      count                 the next number; the count is the state
 *      pid | inc | reason    who answers, as numbers (reason: enum baton_reason)
 *      keep NAME TEXT        leaves a memory file with TEXT with the hub, under NAME
 *      take NAME             its text, or "-"
 *      drop NAME             ok, or "-"
 *      open N                opens N eventfds that hold 1..N; they are passed to each successor
 *      opened                how many of them are here and hold their number
 *      print FD BYTES TEXT   a line of at least BYTES on descriptor 1 or 2
 *      exit N | die | torn   ends: by status, by SIGKILL, by SIGKILL in the middle of an update of the arena
 *      checkpoint [N]        keeps N checkpoints, or one; the sequence of the last, or an error
 *      checkpointed | durable | told    sequences: kept here; on the disk; that durable() was called with
 *      segv | tear           ends: by SIGSEGV; by SIGKILL in the middle of an update of the arena that has changed it already
 *      hostile ring | full | word | text | bell    breaks its own link or baton in that way, and lives on
 *
 * It listens on the socket "probe", or the one its argument names. Its state is a blob or an arena, as the configuration says. Environment:
 *
 *      PROBE_IGNORE=1        neither TERMINATE nor SIGTERM ends it
 *      PROBE_BYTES=N         the blob is so long
 *      PROBE_START=TEXT      a line on stderr at the start
 *      PROBE_FAIL=exit|hang|refuse|crash|stuck|schema|capture|mute   at the start; in restore, when there is a state; by its schema; in capture
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/fd.h"
#include "child-api/child.h"

#define FDS_MAX 8192
#define TAG_CLIENT UINT64_C(0x100000000)

struct probe {
        uint64_t count;     /* blob: the state */
        uint64_t *in_arena; /* arena: the same */
        bool is_client[FDS_MAX];
        uint64_t opened[FDS_MAX]; /* by descriptor: the number it holds */
        uint64_t told;
        int listener;
};

static struct probe probe = {.listener = -1};

static bool fails(const char *how)
{
        const char *fail = getenv("PROBE_FAIL");

        return fail && !strcmp(fail, how);
}

__attribute__((noreturn)) static void hang(void)
{
        for (;;)
                (void)pause();
}

/* ---- what it can be asked ---- */

static void count_up(struct baton_child *child, char *out, size_t bytes)
{
        uint64_t *count = probe.in_arena ? probe.in_arena : &probe.count;

        if (probe.in_arena)
                baton_arena_begin(child);
        ++*count;
        if (probe.in_arena)
                baton_arena_end(child);
        (void)snprintf(out, bytes, "%llu", (unsigned long long)*count);
}

static void keep(struct baton_child *child, const char *args, char *out, size_t bytes)
{
        char name[64] = "", text[256] = "";
        int fd = memfd_create("kept", MFD_CLOEXEC);
        int r = sscanf(args, "%63s %255s", name, text) == 2 && write(fd, text, strlen(text)) == (ssize_t)strlen(text) ? 0 : -EINVAL;

        if (!r)
                r = baton_child_keep(child, name, fd);
        (void)close(fd);
        (void)snprintf(out, bytes, "%s", r ? baton_strerror(r) : "ok");
}

static void take(struct baton_child *child, const char *name, char *out, size_t bytes)
{
        int fd = baton_child_take(child, name);
        ssize_t n = fd < 0 ? -1 : pread(fd, out, bytes - 1, 0);

        (void)snprintf(out + (n > 0 ? n : 0), bytes - (size_t)(n > 0 ? n : 0), "%s", n > 0 ? "" : "-");
        (void)bt_close(fd);
}

static void open_many(const char *args, char *out, size_t bytes)
{
        long n = strtol(args, NULL, 10);

        for (long i = 1; i <= n; i++) {
                int fd = eventfd((unsigned)i, EFD_CLOEXEC | EFD_NONBLOCK);

                if (fd < 0 || fd >= FDS_MAX) {
                        (void)bt_close(fd);
                        (void)snprintf(out, bytes, "stopped at %ld: %s", i, strerror(errno));
                        return;
                }
                probe.opened[fd] = (uint64_t)i;
        }
        (void)snprintf(out, bytes, "ok");
}

/* Each is what it was: its counter is read, compared and put back. */
static void count_opened(char *out, size_t bytes)
{
        int good = 0;

        for (int fd = 0; fd < FDS_MAX; fd++) {
                uint64_t value = 0;

                if (!probe.opened[fd])
                        continue;
                if (read(fd, &value, sizeof(value)) == (ssize_t)sizeof(value) && value == probe.opened[fd] &&
                    write(fd, &value, sizeof(value)) == (ssize_t)sizeof(value))
                        good++;
        }
        (void)snprintf(out, bytes, "%d", good);
}

static void print(const char *args)
{
        char *end;
        int fd = (int)strtol(args, &end, 10);
        size_t bytes = strtoul(end, &end, 10);
        const char *text = end + strspn(end, " ");
        size_t used = strlen(text);
        char *line = malloc(used + bytes + 2);

        if (!line)
                return;
        (void)snprintf(line, used + bytes + 2, "%s", text);
        for (; used < bytes; used++)
                line[used] = 'x';
        line[used++] = '\n';
        (void)bt_write_all(fd, line, used);
        free(line);
}

static void checkpoint(struct baton_child *child, const char *args, char *out, size_t bytes)
{
        long n = *args ? strtol(args, NULL, 10) : 1;
        int r = 0;

        for (long i = 0; !r && i < n; i++)
                r = baton_child_checkpoint(child);
        if (r)
                (void)snprintf(out, bytes, "%s", baton_strerror(r));
        else
                (void)snprintf(out, bytes, "%llu", (unsigned long long)baton_child_checkpointed(child));
}

/* ---- what it should not do ---- */

static void tear(struct baton_child *child)
{
        baton_arena_begin(child);
        *probe.in_arena += 1000;
        for (int i = 0; i < 100; i++) /* and grows it */
                (void)baton_arena_alloc(child, 300);
        (void)kill(getpid(), SIGKILL);
        for (;;)
                (void)pause();
}

static void die(void)
{
        (void)kill(getpid(), SIGKILL);
        hang();
}

static void hostile(struct baton_child *child, const char *how)
{
        static const uint32_t out_of_place[] = {BT_MSG_READY, BT_MSG_PASSED, BT_MSG_RESTORED, BT_MSG_REFUSED, BT_MSG_CAPTURED,
                                                BT_MSG_NOT_PASSED, BT_MSG_RETIRED, BT_MSG_TERMINATE, 77};
        const uint64_t one = 1;

        if (!strcmp(how, "ring")) {
                atomic_store(&child->link->to_hub.head, 0xdeadbeefu);
        } else if (!strcmp(how, "full")) {
                atomic_store(&child->link->to_child.tail, 0xdeadbeefu);
        } else if (!strcmp(how, "word")) {
                atomic_store(&child->baton->word, UINT64_C(0xfedcba987654321f));
        } else if (!strcmp(how, "text")) {
                memset(child->link->text, 'A', sizeof(child->link->text));
                for (size_t i = 0; i < BT_ARRAY_LEN(out_of_place); i++)
                        (void)bt_child_say(child, out_of_place[i], 12345, UINT64_MAX, UINT64_MAX, UINT64_MAX);
        }
        (void)!write(child->hub_bell, &one, sizeof(one));
}

/* ---- requests ---- */

static void answer(struct baton_child *child, char *line, char *out, size_t bytes)
{
        char *args = strchrnul(line, ' ');

        if (*args)
                *args++ = '\0';
        (void)snprintf(out, bytes, "ok");
        if (!strcmp(line, "count"))
                count_up(child, out, bytes);
        else if (!strcmp(line, "pid"))
                (void)snprintf(out, bytes, "%d", (int)getpid());
        else if (!strcmp(line, "inc"))
                (void)snprintf(out, bytes, "%llu", (unsigned long long)baton_child_incarnation(child));
        else if (!strcmp(line, "reason"))
                (void)snprintf(out, bytes, "%d", (int)baton_child_reason(child));
        else if (!strcmp(line, "keep"))
                keep(child, args, out, bytes);
        else if (!strcmp(line, "take"))
                take(child, args, out, bytes);
        else if (!strcmp(line, "drop"))
                (void)snprintf(out, bytes, "%s", baton_child_drop(child, args) ? "-" : "ok");
        else if (!strcmp(line, "open"))
                open_many(args, out, bytes);
        else if (!strcmp(line, "opened"))
                count_opened(out, bytes);
        else if (!strcmp(line, "print"))
                print(args);
        else if (!strcmp(line, "exit"))
                _exit((int)strtol(args, NULL, 10));
        else if (!strcmp(line, "die"))
                die();
        else if (!strcmp(line, "torn"))
                baton_arena_begin(child), die();
        else if (!strcmp(line, "checkpoint"))
                checkpoint(child, args, out, bytes);
        else if (!strcmp(line, "checkpointed"))
                (void)snprintf(out, bytes, "%llu", (unsigned long long)baton_child_checkpointed(child));
        else if (!strcmp(line, "durable"))
                (void)snprintf(out, bytes, "%llu", (unsigned long long)baton_child_durable(child));
        else if (!strcmp(line, "told"))
                (void)snprintf(out, bytes, "%llu", (unsigned long long)probe.told);
        else if (!strcmp(line, "segv"))
                (void)signal(SIGSEGV, SIG_DFL), (void)raise(SIGSEGV);
        else if (!strcmp(line, "tear"))
                tear(child);
        else if (!strcmp(line, "hostile"))
                hostile(child, args);
        else
                (void)snprintf(out, bytes, "what?");
}

static void client_end(struct baton_child *child, int fd)
{
        (void)baton_child_watch(child, fd, 0, NULL, NULL);
        probe.is_client[fd] = false;
        (void)close(fd);
}

/* Clients send whole lines and wait for the answer, so what one read gives is one request. */
static void on_client(struct baton_child *child, int fd, uint32_t events, void *data)
{
        char in[1024], out[1024];
        ssize_t n = recv(fd, in, sizeof(in) - 1, MSG_DONTWAIT);

        (void)events, (void)data;
        if (n <= 0) {
                if (n == 0 || errno != EAGAIN)
                        client_end(child, fd);
                return;
        }
        in[n] = '\0';
        in[strcspn(in, "\r\n")] = '\0';
        answer(child, in, out, sizeof(out) - 1);
        n = (ssize_t)strlen(out);
        out[n] = '\n';
        (void)send(fd, out, (size_t)n + 1, MSG_NOSIGNAL | MSG_DONTWAIT);
}

static int client_begin(struct baton_child *child, int fd)
{
        int r = fd < FDS_MAX ? baton_child_watch(child, fd, EPOLLIN, on_client, NULL) : -EMFILE;

        if (r)
                (void)close(fd);
        else
                probe.is_client[fd] = true;
        return r;
}

static void on_listener(struct baton_child *child, int fd, uint32_t events, void *data)
{
        int client = accept4(fd, NULL, NULL, SOCK_CLOEXEC);

        (void)events, (void)data;
        if (client >= 0)
                (void)client_begin(child, client);
}

/* ---- callbacks ---- */

static int restore_fd(struct baton_child *child, const struct baton_fd *passed)
{
        if (passed->tag & TAG_CLIENT)
                return client_begin(child, passed->fd);
        if (passed->fd >= FDS_MAX) {
                (void)close(passed->fd);
                return -EMFILE;
        }
        probe.opened[passed->fd] = passed->tag;
        return 0;
}

/* PROBE_BYTES: the count, and bytes that follow from it, so many in all. */
static size_t long_bytes(void)
{
        const char *text = getenv("PROBE_BYTES");

        return text ? strtoul(text, NULL, 10) : 0;
}

static uint8_t long_byte(uint64_t count, size_t at)
{
        return (uint8_t)((at * 31 + count) >> 3);
}

/* In pieces whose ends are nowhere in particular. */
static int long_write(struct baton_capture *capture, size_t bytes)
{
        uint8_t piece[50021];
        int r = baton_capture_write(capture, &probe.count, sizeof(probe.count));

        for (size_t at = sizeof(probe.count); !r && at < bytes; at += sizeof(piece)) {
                size_t n = bytes - at < sizeof(piece) ? bytes - at : sizeof(piece);

                for (size_t i = 0; i < n; i++)
                        piece[i] = long_byte(probe.count, at + i);
                r = baton_capture_write(capture, piece, n);
        }
        return r ? r : baton_capture_commit(capture, bytes);
}

static bool long_whole(const uint8_t *state, size_t bytes)
{
        uint64_t count;

        memcpy(&count, state, sizeof(count));
        for (size_t at = sizeof(count); at < bytes; at++) {
                if (state[at] != long_byte(count, at))
                        return false;
        }
        return bytes == long_bytes();
}

static int restore(struct baton_child *child, const struct baton_restore *restored, void *ctx)
{
        int r = 0;

        (void)ctx;
        if (restored->state || baton_arena_root(child)) {
                if (fails("refuse"))
                        r = -EINVAL;
                if (fails("crash"))
                        die();
                if (fails("stuck"))
                        hang();
        }
        if (restored->state && long_bytes() && !long_whole(restored->state, restored->state_bytes))
                r = -EINVAL;
        if (restored->state && restored->state_bytes >= sizeof(probe.count))
                memcpy(&probe.count, restored->state, sizeof(probe.count));
        probe.in_arena = baton_arena_root(child);
        for (size_t i = 0; i < restored->fd_count; i++)
                r = r ? (close(restored->fds[i].fd), r) : restore_fd(child, &restored->fds[i]);
        return r;
}

static void serve(struct baton_child *child, void *ctx)
{
        (void)ctx;
        if (!baton_arena_max(child) || probe.in_arena || !baton_child_supervised(child))
                return;
        baton_arena_begin(child);
        probe.in_arena = baton_arena_alloc(child, sizeof(*probe.in_arena));
        if (probe.in_arena) {
                *probe.in_arena = 0;
                baton_arena_set_root(child, probe.in_arena);
        }
        baton_arena_end(child);
}

static int capture(struct baton_child *child, struct baton_capture *capture, void *ctx)
{
        enum baton_capture_for purpose = baton_capture_purpose(capture);
        bool keep_fds = purpose == BATON_CAPTURE_HOT || purpose == BATON_CAPTURE_COLD;
        void *room;
        int r = 0;

        (void)ctx;
        if (fails("capture"))
                return -ENOSPC;
        if (fails("mute"))
                hang();
        for (int fd = 0; !r && keep_fds && fd < FDS_MAX; fd++) {
                if (probe.is_client[fd])
                        r = baton_child_pass(child, fd, TAG_CLIENT);
                else if (probe.opened[fd])
                        r = baton_child_pass(child, fd, probe.opened[fd]);
        }
        if (r || probe.in_arena)
                return r;
        if (long_bytes())
                return long_write(capture, long_bytes());
        r = baton_capture_reserve(capture, sizeof(probe.count), &room);
        if (r)
                return r;
        memcpy(room, &probe.count, sizeof(probe.count));
        return baton_capture_commit(capture, sizeof(probe.count));
}

static void durable(struct baton_child *child, uint64_t sequence, void *ctx)
{
        (void)child, (void)ctx;
        probe.told = sequence;
}

static void retire(struct baton_child *child, void *ctx)
{
        (void)ctx;
        (void)baton_child_watch(child, probe.listener, 0, NULL, NULL);
        for (int fd = 0; fd < FDS_MAX; fd++) {
                if (probe.is_client[fd])
                        client_end(child, fd);
        }
        (void)baton_child_retired(child);
}

/* ---- start ---- */

static void raise_nofile(void)
{
        struct rlimit limit;

        if (!getrlimit(RLIMIT_NOFILE, &limit)) {
                limit.rlim_cur = limit.rlim_max;
                (void)setrlimit(RLIMIT_NOFILE, &limit);
        }
}

static void at_start(void)
{
        const char *text = getenv("PROBE_START");

        raise_nofile();
        if (text)
                (void)fprintf(stderr, "%s\n", text);
        if (fails("exit"))
                _exit(3);
        if (fails("hang"))
                hang();
}

int main(int argc, char **argv)
{
        struct baton_child_ops ops = {
                .size = sizeof(ops), .schema = fails("schema") ? "other" : "probe", .version = 1, .version_oldest = 1,
                .restore = restore, .serve = serve, .capture = capture, .retire = retire, .durable = durable,
        };
        struct baton_child *child = NULL;
        int r;

        at_start();
        r = baton_child_open(&child, &ops, NULL);
        if (!r) {
                probe.listener = baton_child_socket(child, argc > 1 ? argv[1] : "probe");
                if (probe.listener >= 0)
                        r = baton_child_watch(child, probe.listener, EPOLLIN, on_listener, NULL);
        }
        if (!r)
                r = baton_child_run(child);
        if (r)
                (void)fprintf(stderr, "probe: %s\n", baton_strerror(r));
        if (getenv("PROBE_IGNORE"))
                hang();
        for (int fd = 0; fd < FDS_MAX; fd++) {
                if (probe.opened[fd] || probe.is_client[fd])
                        (void)close(fd);
        }
        child = baton_child_close(child);
        return r ? 1 : 0;
}
