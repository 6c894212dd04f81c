/* SPDX-License-Identifier: Apache-2.0 */
/*
 * See the header. One thread does it all: the clients and the requests are descriptors of one poll(2), so what is told about the order of things is what
 * the test saw, and nothing has to be locked.
 */
#include "tests/support/rows.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/fd.h"
#include "supervisor/store/store.h"
#include "tests/support/store_desk.h"
#include "tests/support/wait.h"

/* ---- the configuration ---- */

void rows_configure(const struct world *w, int first, int n, const char *top, const char *each)
{
        char *yaml = NULL;
        size_t bytes = 0;
        FILE *file = open_memstream(&yaml, &bytes);

        assert_non_null(file);
        assert_in_range(n, 1, ROWS_EACH_MAX);
        (void)fprintf(file, "hub: w\n%ssockets:\n", top);
        for (int i = first; i < first + n; i++)
                (void)fprintf(file, "  r%d: \"unix://@dir@/r%d.sock\"\n", i, i);
        (void)fprintf(file, "children:\n");
        for (int i = first; i < first + n; i++)
                (void)fprintf(file, "  r%d: {exec: [\"@bin@/child_rows\"], sockets: [r%d], %s}\n", i, i, each);
        assert_int_equal(fclose(file), 0);
        world_configure(w, yaml);
        free(yaml);
}

void rows_start(struct world *w, int n, const char *top, const char *each)
{
        rows_configure(w, 0, n, top, each);
        world_start_again(w);
}

/* ---- clients ---- */

int rows_connect(const struct world *w, int i)
{
        const struct timeval limit = {.tv_sec = WORLD_WAIT_MS / 1000};
        struct sockaddr_un addr = {.sun_family = AF_UNIX};
        int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

        assert_true(fd >= 0);
        (void)snprintf(addr.sun_path, sizeof(addr.sun_path), "%s/r%d.sock", w->dir, i);
        assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit)), 0);
        if (connect(fd, (struct sockaddr *)&addr, sizeof(addr)) < 0)
                fail_msg("cannot connect to r%d: %s", i, strerrordesc_np(errno));
        return fd;
}

void rows_dial(struct rows *rows, struct world *w, int n)
{
        memset(rows, 0, sizeof(*rows));
        rows->w = w;
        rows->n = n;
        for (int i = 0; i < n; i++) {
                rows->fd[i] = rows_connect(w, i);
                rows->ask[i] = (struct bt_ask)BT_ASK_NULL;
                rows->count[i] = probe_number(rows->fd[i], "value");
        }
}

void rows_hang_up(struct rows *rows)
{
        for (int i = 0; i < rows->n; i++)
                rows->fd[i] = bt_close(rows->fd[i]);
}

void rows_set_values(const struct world *w, int n)
{
        for (int i = 0; i < n; i++) {
                int fd = rows_connect(w, i);

                for (int k = 1; k <= i + 1; k++)
                        assert_int_equal(probe_number(fd, "count"), k);
                (void)close(fd);
        }
}

void rows_expect_values(const struct world *w, int n, long long base)
{
        for (int i = 0; i < n; i++) {
                int fd = rows_connect(w, i);
                long long value = probe_number(fd, "value");

                if (value != base + i)
                        fail_msg("r%d has %lld, not %lld", i, value, base + i);
                (void)close(fd);
        }
}

/* ---- requests under load ---- */

static void ask_for(struct rows *rows, int i, uint32_t op, const char *id, const char *path, uint32_t strategy)
{
        assert_false(rows->asked[i]);
        rows->ask[i] = world_ask(rows->w, op, id, path, strategy);
        rows->asked[i] = true;
        memset(&rows->done[i], 0, sizeof(rows->done[i]));
}

void rows_ask(struct rows *rows, int i, uint32_t op, const char *path, uint32_t strategy)
{
        char id[16];

        (void)snprintf(id, sizeof(id), "r%d", i);
        ask_for(rows, i, op, id, path, strategy);
}

static void forget_trace(struct rows *rows)
{
        rows->trace_used = 0;
        rows->trace[0] = '\0';
}

void rows_ask_pool(struct rows *rows, uint32_t op, const char *path, uint32_t strategy)
{
        forget_trace(rows);
        ask_for(rows, 0, op, "r", path, strategy);
}

void rows_ask_all(struct rows *rows, uint32_t op, const char *path, uint32_t strategy)
{
        forget_trace(rows);
        for (int i = 0; i < rows->n; i++)
                rows_ask(rows, i, op, path, strategy);
}

static void client_says(struct rows *rows, int i)
{
        probe_say(rows->fd[i], "count");
        rows->waits[i] = true;
}

static void client_hears(struct rows *rows, int i)
{
        char line[64];
        long long value;

        kv_line(rows->fd[i], line, sizeof(line));
        value = strtoll(line, NULL, 10);
        if (value != rows->count[i] + 1)
                fail_msg("r%d answered %lld after %lld", i, value, rows->count[i]);
        rows->count[i] = value;
        rows->waits[i] = false;
        rows->answers++;
}

static void request_hears(struct rows *rows, int i)
{
        struct bt_ctl_reply reply;
        int fd = -1;

        assert_int_equal(world_reply(&rows->ask[i], &reply, &fd), 0);
        assert_int_equal(fd, -1);
        if (reply.kind != BT_CTL_DONE) {
                rows->trace_used += (size_t)snprintf(rows->trace + rows->trace_used, sizeof(rows->trace) - rows->trace_used, "%s %s\n",
                                                     reply.child, reply.phase);
                assert_true(rows->trace_used < sizeof(rows->trace));
                return;
        }
        rows->done[i] = reply;
        rows->asked[i] = false;
        world_hang_up(&rows->ask[i]);
}

static int requests_under_way(const struct rows *rows)
{
        int count = 0;

        for (int i = 0; i < rows->n; i++)
                count += rows->asked[i];
        return count;
}

static int clients_that_wait(const struct rows *rows)
{
        int count = 0;

        for (int i = 0; i < rows->n; i++)
                count += rows->waits[i];
        return count;
}

/* The clients count as long as a request is under way, so only what is told of a request shows that it goes on. */
void rows_run(struct rows *rows)
{
        uint64_t deadline = wait_until(WORLD_WAIT_MS);

        while (requests_under_way(rows) || clients_that_wait(rows)) {
                struct pollfd fds[2 * ROWS_MAX];
                bool go_on = requests_under_way(rows) > 0;

                for (int i = 0; i < rows->n; i++) {
                        if (!rows->quiet[i] && !rows->waits[i] && go_on)
                                client_says(rows, i);
                        fds[2 * i] = (struct pollfd){.fd = rows->waits[i] ? rows->fd[i] : -1, .events = POLLIN};
                        fds[2 * i + 1] = (struct pollfd){.fd = rows->asked[i] ? rows->ask[i].fd : -1, .events = POLLIN};
                }
                if (!wait_left_ms(deadline) || poll(fds, (nfds_t)rows->n * 2, wait_left_ms(deadline)) < 1)
                        fail_msg("%d requests and %d clients still wait", requests_under_way(rows), clients_that_wait(rows));
                for (int i = 0; i < rows->n; i++) {
                        if (fds[2 * i].revents)
                                client_hears(rows, i);
                        if (fds[2 * i + 1].revents) {
                                request_hears(rows, i);
                                deadline = wait_until(WORLD_WAIT_MS);
                        }
                }
        }
}

int rows_outcomes(const struct rows *rows, uint32_t outcome)
{
        int count = 0;

        for (int i = 0; i < rows->n; i++)
                count += rows->done[i].kind == BT_CTL_DONE && rows->done[i].outcome == outcome;
        return count;
}

/* ---- the store ---- */

size_t rows_stored(const struct world *w)
{
        struct bt_store *store = NULL;
        struct desk desk;
        char dir[128];
        size_t count;

        desk_init(&desk);
        (void)snprintf(dir, sizeof(dir), "%s/state/%s", w->dir, w->hub);
        assert_int_equal(bt_store_lmdb_open(&store, dir, desk_post, &desk), 0);
        assert_int_equal(desk_list(&desk, store), BT_STORE_OK);
        count = desk.record_count;
        store = bt_store_close(store);
        desk_deinit(&desk);
        return count;
}
