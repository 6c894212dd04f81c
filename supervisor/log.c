/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What children print. Each process has two pipes; whole lines go to the hub's own stdout or stderr with the child's id in front.
 *
 * The hub must never wait for the reader of its output: it writes only what a pipe takes at once and counts what it had to drop. A child, on the
 * other hand, must never wait for the hub: its pipe is read as soon as it has something, and a line without an end is cut at 4 KiB.
 */
#include "supervisor/hub.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "base/fd.h"

/* Reads at the end of a process: a pipe's default capacity, 64 KiB, many times over. */
#define DRAIN_READS_MAX 256

/* A pipe that polls writable takes PIPE_BUF bytes without waiting; files and terminals take anything. False: dropped. */
static bool write_now(int fd, const char *data, size_t bytes)
{
        struct pollfd ready = {.fd = fd, .events = POLLOUT};

        return poll(&ready, 1, 0) == 1 && ready.revents & POLLOUT && write(fd, data, bytes) == (ssize_t)bytes;
}

void bt_log_say(const char *line, size_t bytes)
{
        (void)write_now(STDERR_FILENO, line, bytes);
}

static void log_write(struct bt_log *log, const char *data, size_t bytes)
{
        if (!write_now(log->to, data, bytes))
                log->dropped += bytes;
}

#define TAIL_STEP 256 /* BT_LOG_TAIL_BYTES is a multiple of it */

/* Room for @bytes of last lines. False: there is no memory, and what happened before is remembered. */
static bool tail_grow(struct bt_log *log, size_t bytes)
{
        size_t room = (bytes + TAIL_STEP - 1) / TAIL_STEP * TAIL_STEP;
        char *tail = bytes > log->tail_room ? realloc(log->tail, room) : log->tail;

        if (!tail)
                return false;
        log->tail = tail;
        if (bytes > log->tail_room)
                log->tail_room = (uint32_t)room;
        return true;
}

static void log_remember(struct bt_log *log, const char *data, size_t bytes)
{
        size_t excess;

        if (bytes > BT_LOG_TAIL_BYTES / 2) {
                data += bytes - BT_LOG_TAIL_BYTES / 2;
                bytes = BT_LOG_TAIL_BYTES / 2;
        }
        excess = log->tail_bytes + bytes > BT_LOG_TAIL_BYTES ? log->tail_bytes + bytes - BT_LOG_TAIL_BYTES : 0;
        if (!tail_grow(log, log->tail_bytes + bytes - excess))
                return;
        if (excess) {
                memmove(log->tail, log->tail + excess, log->tail_bytes - excess);
                log->tail_bytes -= (uint32_t)excess;
        }
        memcpy(log->tail + log->tail_bytes, data, bytes);
        log->tail_bytes += (uint32_t)bytes;
}

/* @line without its newline. */
static void log_line(struct bt_log *log, const char *line, size_t bytes)
{
        char out[BT_LOG_LINE_MAX], id[BT_ESCAPE_BYTES(BATON_ID_BYTES_MAX)];
        int head;

        (void)bt_escape(id, sizeof(id), log->id);
        if (log->dropped) {
                head = snprintf(out, sizeof(out), "%s | [%llu bytes of output were dropped: nobody read them]\n", id,
                                (unsigned long long)log->dropped);
                log->dropped = 0;
                log_write(log, out, (size_t)head);
        }
        head = snprintf(out, sizeof(out), "%s | ", id);
        if (bytes > sizeof(out) - (size_t)head - 1)
                bytes = sizeof(out) - (size_t)head - 1;
        memcpy(out + head, line, bytes);
        out[(size_t)head + bytes] = '\n';
        log_write(log, out, (size_t)head + bytes + 1);
        log_remember(log, out + head, bytes + 1);
}

/* Keeps what has no end yet. Without memory for it, it is a line. */
static void log_hold(struct bt_log *log, const char *rest, size_t bytes)
{
        char *line = bytes ? malloc(bytes) : NULL;

        if (line)
                memcpy(line, rest, bytes);
        else if (bytes)
                log_line(log, rest, bytes);
        free(log->line);
        log->line = line;
        log->bytes = line ? (uint32_t)bytes : 0;
}

/* @text: what was held and what came behind it, at most @max bytes of a line. */
static void log_split(struct bt_log *log, const char *text, size_t bytes, size_t max)
{
        const char *at = text;
        const char *end = text + bytes;
        const char *newline;

        while ((newline = memchr(at, '\n', (size_t)(end - at)))) {
                log_line(log, at, (size_t)(newline - at));
                at = newline + 1;
        }
        if (at == text && bytes == max) {
                log_line(log, at, bytes);
                at = end;
        }
        log_hold(log, at, (size_t)(end - at));
}

/* One read. True when there may be more. */
static bool log_read(struct bt_log *log)
{
        char text[BT_LOG_LINE_MAX - BT_LOG_HEAD_MAX];
        size_t room = sizeof(text) - log->bytes;
        ssize_t n;

        if (log->fd < 0)
                return false;
        n = read(log->fd, text + log->bytes, room);
        if (n < 0)
                return errno == EINTR;
        if (n == 0) {
                bt_log_close(log);
                return false;
        }
        if (log->bytes)
                memcpy(text, log->line, log->bytes);
        log_split(log, text, log->bytes + (size_t)n, sizeof(text));
        return (size_t)n == room;
}

/* Bounded: a process that the child left behind may hold the pipe and go on writing. */
void bt_log_drain(struct bt_log *log)
{
        for (uint32_t i = 0; i < DRAIN_READS_MAX && log->fd >= 0; i++) {
                if (!log_read(log))
                        return;
        }
}

/*
 * One read a turn, so that a child that writes faster than we can does not keep the others from theirs. What is left is reported by a new watch, which
 * looks at the pipe as it is.
 */
static void log_on_ready(struct bt_loop_watch *watch, uint32_t events)
{
        struct bt_log *log = bt_container_of(watch, struct bt_log, watch);

        (void)events;
        if (log_read(log) && bt_loop_watch_fd(log->loop, &log->watch, log->fd, EPOLLIN, log_on_ready))
                bt_log_drain(log);
}

int bt_log_adopt(struct bt_hub *hub, struct bt_log *log, const char *id, int to, int fd)
{
        int r = bt_fd_nonblock(fd);

        log->fd = -1;
        log->id = id;
        log->to = to;
        log->loop = hub->loop;
        if (!r)
                r = bt_loop_watch_fd(hub->loop, &log->watch, fd, EPOLLIN, log_on_ready);
        if (r)
                (void)bt_close(fd);
        else
                log->fd = fd;
        return r;
}

int bt_log_open(struct bt_hub *hub, struct bt_log *log, const char *id, int to, int *ret_write_end)
{
        int ends[2];
        int r;

        if (pipe2(ends, O_CLOEXEC) < 0)
                return -errno;
        /* Only our end does not block: the child's is its stdout, which programs expect to block. */
        r = bt_log_adopt(hub, log, id, to, ends[0]);
        if (r) {
                (void)bt_close(ends[1]);
                return r;
        }
        *ret_write_end = ends[1];
        return 0;
}

void bt_log_close(struct bt_log *log)
{
        if (log->fd < 0)
                return;
        bt_loop_forget(&log->watch);
        log->fd = bt_close(log->fd);
        if (log->bytes)
                log_line(log, log->line, log->bytes);
        log_hold(log, NULL, 0);
}

void bt_log_deinit(struct bt_log *log)
{
        bt_log_close(log);
        free(log->tail);
        log->tail = NULL;
        log->tail_bytes = log->tail_room = 0;
}
