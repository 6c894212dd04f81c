/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The driver: see drive.h. A connection is a row of one table; new ones take a free row and give it back. A closed one is reset and not finished: ten
 * thousand ports in TIME_WAIT would be the limit of the driver, and not of the server.
 */
#include "bench/drive.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fd.h"
#include "bench/process.h"

#define IN_BYTES     4096
#define AGAIN_NS     (2 * BT_NS_PER_MS) /* before a kept connection is opened again */
#define NEW_ROWS_MIN 64

enum kind {
        KIND_NEW,
        KIND_KEEP,
        KIND_BUSY
};

enum phase {
        PHASE_FREE, /* new: a row that nobody uses. Else: to be opened at @due_ns */
        PHASE_CONNECTING,
        PHASE_WAITING, /* for an answer */
        PHASE_RESTING, /* kept: open, next request at @due_ns */
};

struct row {
        enum kind kind;
        enum phase phase;
        int fd;
        uint64_t due_ns; /* of the request that is waited for, or the next */
        uint64_t limit_ns;
        uint32_t bytes;
        char in[IN_BYTES];
};

struct drive {
        const struct bench_drive_spec *spec;
        struct bench_drive_result *result;
        struct sockaddr_in addr;
        int epoll;
        struct row *rows;
        uint32_t count;
        uint32_t free_hint;
        uint64_t begun_ns;
        uint64_t opened;      /* new connections so far */
        uint64_t answered_ns; /* the last answer */
        bool draining;        /* no new requests */
};

/* ---- one connection ---- */

static void row_close(struct row *row)
{
        const struct linger reset = {.l_onoff = 1};

        if (row->fd >= 0)
                (void)setsockopt(row->fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
        row->fd = bt_close(row->fd);
        row->phase = PHASE_FREE;
        row->bytes = 0;
}

static void wait_add(struct drive *drive, const struct row *row, uint64_t now)
{
        uint64_t wait = now > row->due_ns ? now - row->due_ns : 0;

        if (wait > drive->result->longest_ns)
                drive->result->longest_ns = wait;
}

/* The request that was on its way will have no answer. */
static void row_failed(struct drive *drive, struct row *row, const char *why, int error)
{
        uint64_t now = bt_now_ns();

        if (!drive->result->failed++)
                (void)snprintf(drive->result->first_failure, sizeof(drive->result->first_failure),
                               "%s%s%s", why, error ? ": " : "",
                               error ? strerrordesc_np(error) : "");
        wait_add(drive, row, now);
        row_close(row);
        row->due_ns = now + AGAIN_NS;
}

static void row_closed(struct drive *drive, struct row *row)
{
        drive->result->closed++;
        row_close(row);
        row->due_ns = bt_now_ns() + AGAIN_NS;
}

static void row_send(struct drive *drive, struct row *row)
{
        const char *request = bench_drive_request(drive->spec->protocol, row->kind == KIND_BUSY);
        size_t bytes = strlen(request);

        row->phase = PHASE_WAITING;
        row->limit_ns = row->due_ns + drive->spec->timeout_ns;
        /* One short request on an idle connection always fits the socket's buffer. */
        if (send(row->fd, request, bytes, MSG_NOSIGNAL) == (ssize_t)bytes)
                return;
        if (row->kind != KIND_NEW)
                drive->result->closed++;
        row_failed(drive, row, "send", errno);
}

static void row_open(struct drive *drive, struct row *row)
{
        struct epoll_event event = {.events = EPOLLOUT, .data.ptr = row};
        const int on = 1;

        row->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
        row->phase = PHASE_CONNECTING;
        row->limit_ns = row->due_ns + drive->spec->timeout_ns;
        if (row->fd < 0) {
                row_failed(drive, row, "socket", errno);
                return;
        }
        (void)setsockopt(row->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
        if (connect(row->fd, (struct sockaddr *)&drive->addr, sizeof(drive->addr)) < 0 &&
            errno != EINPROGRESS)
                row_failed(drive, row, "connect", errno);
        else if (epoll_ctl(drive->epoll, EPOLL_CTL_ADD, row->fd, &event) < 0)
                row_failed(drive, row, "epoll_ctl", errno);
}

static void row_connected(struct drive *drive, struct row *row)
{
        struct epoll_event event = {.events = EPOLLIN, .data.ptr = row};
        socklen_t bytes = sizeof(int);
        int error = 0;

        (void)getsockopt(row->fd, SOL_SOCKET, SO_ERROR, &error, &bytes);
        if (!error && epoll_ctl(drive->epoll, EPOLL_CTL_MOD, row->fd, &event) < 0)
                error = errno;
        if (error)
                row_failed(drive, row, "connect", error);
        else
                row_send(drive, row);
}

/* ---- answers ---- */

static void look_for_version(struct drive *drive, const struct row *row, uint64_t now)
{
        const struct bench_drive_spec *spec = drive->spec;
        struct bench_drive_result *result = drive->result;

        if (!spec->version_new || !result->commands || row->kind == KIND_BUSY)
                return;
        if (strstr(row->in, spec->version_new)) {
                if (!result->first_new_ns)
                        result->first_new_ns = now;
        } else if (spec->version_old && strstr(row->in, spec->version_old)) {
                result->last_old_ns = now;
        }
}

static void row_answered(struct drive *drive, struct row *row)
{
        struct bench_drive_result *result = drive->result;
        uint64_t now = bt_now_ns();

        result->requests++;
        result->busy_requests += row->kind == KIND_BUSY;
        bench_hist_add(&result->waits[row->kind], now > row->due_ns ? now - row->due_ns : 0);
        wait_add(drive, row, now);
        if (drive->answered_ns && now - drive->answered_ns > result->gap_ns)
                result->gap_ns = now - drive->answered_ns;
        drive->answered_ns = now;
        look_for_version(drive, row, now);
        row->bytes = 0;
        if (row->kind == KIND_NEW) {
                row_close(row);
        } else if (row->kind == KIND_BUSY && !drive->draining) {
                row->due_ns = now;
                row_send(drive, row);
        } else {
                row->phase = PHASE_RESTING;
                row->due_ns = now + drive->spec->keep_every_ns;
        }
}

static void row_readable(struct drive *drive, struct row *row)
{
        ssize_t n = recv(row->fd, row->in + row->bytes, IN_BYTES - 1 - row->bytes, 0);
        int64_t whole;

        if (n < 0 && (errno == EAGAIN || errno == EINTR))
                return;
        if (n <= 0 && row->phase == PHASE_RESTING) {
                row_closed(drive, row);
                return;
        }
        if (n <= 0) {
                int error = n < 0 ? errno : 0;

                drive->result->closed += row->kind != KIND_NEW;
                row_failed(drive, row, "closed before the answer", error);
                return;
        }
        row->bytes += (uint32_t)n;
        row->in[row->bytes] = '\0';
        whole = bench_drive_answer(drive->spec->protocol, row->in, row->bytes);
        if (row->phase == PHASE_RESTING || whole < 0 || (!whole && row->bytes == IN_BYTES - 1))
                row_failed(drive, row, "not an answer", 0);
        else if (whole)
                row_answered(drive, row);
}

/* ---- time ---- */

static struct row *row_free(struct drive *drive)
{
        uint32_t first = drive->spec->keep + drive->spec->busy;

        for (uint32_t i = 0; i < drive->count - first; i++) {
                struct row *row =
                        &drive->rows[first + (drive->free_hint + i) % (drive->count - first)];

                if (row->phase == PHASE_FREE) {
                        drive->free_hint = (drive->free_hint + i + 1) % (drive->count - first);
                        return row;
                }
        }
        return NULL;
}

/* Opens what is due. Returns when the next one is. */
static uint64_t open_new(struct drive *drive, uint64_t now)
{
        uint32_t rate = drive->spec->rate;

        if (!rate)
                return BT_NS_NEVER;
        for (;;) {
                uint64_t due = drive->begun_ns + drive->opened * BT_NS_PER_S / rate;
                struct row *row;

                if (due > now)
                        return due;
                row = row_free(drive);
                drive->opened++;
                if (!row) {
                        drive->result
                                ->failed++; /* as many wait as a time limit allows: this one would wait longer */
                        continue;
                }
                row->due_ns = due;
                row_open(drive, row);
        }
}

/* Requests of kept connections, connections that are to be opened again, time limits. Returns when the next one is due. */
static uint64_t tend(struct drive *drive, uint64_t now)
{
        uint64_t next = now + 100 * BT_NS_PER_MS;

        for (uint32_t i = 0; i < drive->count; i++) {
                struct row *row = &drive->rows[i];

                if (row->phase == PHASE_FREE && row->kind != KIND_NEW && row->due_ns <= now) {
                        row->due_ns = now;
                        row_open(drive, row);
                } else if (row->phase == PHASE_RESTING && row->due_ns <= now) {
                        row->due_ns = now; /* that we are late is not the server's doing */
                        row_send(drive, row);
                } else if ((row->phase == PHASE_CONNECTING || row->phase == PHASE_WAITING) &&
                           row->limit_ns <= now) {
                        row_failed(drive, row, "no answer in time", 0);
                }
                if ((row->phase == PHASE_RESTING ||
                     (row->phase == PHASE_FREE && row->kind != KIND_NEW)) &&
                    row->due_ns < next)
                        next = row->due_ns;
        }
        return next;
}

/* The command, when it is due. Returns when it is. */
static int command_if_due(struct drive *drive, uint64_t now, uint64_t *ret_next)
{
        const struct bench_drive_spec *spec = drive->spec;
        struct bench_drive_result *result = drive->result;
        uint64_t due =
                drive->begun_ns + spec->command_at_ns + result->commands * spec->command_every_ns;

        *ret_next = BT_NS_NEVER;
        if (!spec->command || (result->commands && !spec->command_every_ns))
                return 0;
        *ret_next = due;
        if (due > now)
                return 0;
        result->commands++;
        result->command_ns = bt_now_ns();
        return spec->command(spec->ctx);
}

static void handle(struct drive *drive, const struct epoll_event *event)
{
        struct row *row = event->data.ptr;

        if (row->phase == PHASE_CONNECTING)
                row_connected(drive, row);
        else if (row->phase != PHASE_FREE)
                row_readable(drive, row);
}

/* Waiting for @until, in ns: a millisecond is the distance between two connections. */
static int pump(struct drive *drive, uint64_t now, uint64_t until)
{
        const uint64_t left = until > now ? until - now : 0;
        const struct timespec wait = {.tv_sec = (time_t)(left / BT_NS_PER_S),
                                      .tv_nsec = (long)(left % BT_NS_PER_S)};
        struct epoll_event events[128];
        int n = epoll_pwait2(drive->epoll, events, 128, &wait, NULL);

        for (int i = 0; i < n; i++)
                handle(drive, &events[i]);
        return n < 0 && errno != EINTR ? -errno : 0;
}

static uint64_t least(uint64_t a, uint64_t b)
{
        return a < b ? a : b;
}

static int drive_run(struct drive *drive)
{
        uint64_t end = drive->begun_ns + drive->spec->duration_ns, tend_ns = 0, now;
        int r = 0;

        while (!r && (now = bt_now_ns()) < end) {
                uint64_t command_ns, next = open_new(drive, now);

                /* All rows are looked at a thousand times a second at most. */
                if (tend_ns <= now)
                        tend_ns = tend(drive, now);
                tend_ns = tend_ns < now + BT_NS_PER_MS ? now + BT_NS_PER_MS : tend_ns;
                r = command_if_due(drive, now, &command_ns);
                if (!r)
                        r = pump(drive, now, least(least(next, tend_ns), least(command_ns, end)));
                if (bench_interrupted())
                        r = -EINTR;
        }
        return r;
}

/* No new requests; those on their way have their time. Resting ones may be closed by us now. */
static int drive_drain(struct drive *drive)
{
        uint64_t end = bt_now_ns() + drive->spec->timeout_ns, now;
        int r = 0;

        drive->draining = true;
        while (!r && (now = bt_now_ns()) < end) {
                uint32_t waiting = 0;

                for (uint32_t i = 0; i < drive->count; i++) {
                        struct row *row = &drive->rows[i];

                        if (row->phase == PHASE_RESTING)
                                row_close(row);
                        waiting += row->phase != PHASE_FREE;
                }
                if (!waiting)
                        return 0;
                r = pump(drive, now, now + 10 * BT_NS_PER_MS);
        }
        for (uint32_t i = 0; i < drive->count; i++) {
                if (drive->rows[i].phase == PHASE_CONNECTING ||
                    drive->rows[i].phase == PHASE_WAITING)
                        row_failed(drive, &drive->rows[i], "no answer at the end", 0);
        }
        return r;
}

int bench_drive(const struct bench_drive_spec *spec, struct bench_drive_result *ret_result)
{
        uint32_t room =
                (uint32_t)(spec->rate * (spec->timeout_ns / BT_NS_PER_MS) / 1000) + NEW_ROWS_MIN;
        struct drive drive = {.spec = spec,
                              .result = ret_result,
                              .begun_ns = bt_now_ns(),
                              .count = spec->keep + spec->busy + (spec->rate ? room : 0)};
        int r = 0;

        memset(ret_result, 0, sizeof(*ret_result));
        drive.addr = (struct sockaddr_in){.sin_family = AF_INET,
                                          .sin_port = htons(spec->port),
                                          .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
        drive.rows = calloc(drive.count, sizeof(*drive.rows));
        drive.epoll = epoll_create1(EPOLL_CLOEXEC);
        if (!drive.rows || drive.epoll < 0)
                r = -ENOMEM;
        for (uint32_t i = 0; !r && i < drive.count; i++) {
                drive.rows[i].fd = -1;
                drive.rows[i].kind = i < spec->keep                ? KIND_KEEP
                                     : i < spec->keep + spec->busy ? KIND_BUSY
                                                                   : KIND_NEW;
                /* Kept ones spread their requests over their time. */
                drive.rows[i].due_ns =
                        i < spec->keep ? drive.begun_ns + spec->keep_every_ns * i / spec->keep : 0;
        }
        if (!r)
                r = drive_run(&drive);
        if (!r)
                r = drive_drain(&drive);
        if (r)
                bench_complain("the load could not be driven: %s", strerrordesc_np(-r));
        for (uint32_t i = 0; drive.rows && i < drive.count; i++)
                row_close(&drive.rows[i]);
        free(drive.rows);
        (void)bt_close(drive.epoll);
        return r;
}
