/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The child that is measured: `bench-probe BOARD WAKE arena|blob BYTES`, started by the hub.
 *
 * While it holds the baton and is told to be busy, it stamps CLOCK_MONOTONIC into its state again and again, which stands for answering
 * requests as fast as it can; between two stamps it looks at the hub's bell as any program does. The first stamp of the next process minus the last
 * stamp of this one is the time in which nobody could have answered. Stamps are made in the loop of the program, after
 * baton_child_ready() has returned; the times of the callbacks are taken too, and say where the time went.
 *
 *      arena: blocks of 1 MiB in a list until the arena has BYTES, every page written; the last stamp is in the arena's root, so what the
 *             successor subtracts from its clock comes out of the state itself
 *      blob:  BYTES of private memory, copied into the capture, and out of what was restored when the process is told to be quiet; the last stamp is on the board
 *
 * Busy or not is read from the board. A quiet holder sleeps on its descriptor and on the WAKE pipe.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <baton/child.h>

#include "base/clock.h"
#include "bench/board.h"

#define PAGE 4096
#define BLOCK_BYTES ((UINT64_C(1) << 20) - 8) /* with the allocator's header exactly 1 MiB */
#define PATTERN UINT64_C(0x9e3779b97f4a7c15)

struct block {
        struct block *next;
        uint64_t bytes; /* of the whole block */
};

/* The root of the arena. */
struct root {
        _Atomic uint64_t last;
        struct block *blocks;
};

struct probe {
        struct bench_board *board;
        int wake;
        uint64_t bytes;
        _Atomic uint64_t *last; /* where stamps go */
        struct root *root;      /* arena */
        char *blob;             /* blob: the state; @bytes */
        const void *view;       /* the state as restored, not copied out yet; NULL: it is */
        int *connections;       /* board->connections of them, by their number; NULL: none */
        int epoll;              /* watches them */
        bool passed;            /* the successor has them already */
        bool looked;            /* this process has read all of its state */
        const char *wrong;      /* what was wrong with the state */
        uint64_t born_ticks;    /* a pair, as the process began */
        uint64_t born_ns;
        uint64_t restore_ticks; /* the callbacks of this process */
        uint64_t serve_ticks;
};

/* ---- filling and checking ---- */

/* The first word of each page after the block's head. */
static uint64_t pattern(uint64_t off)
{
        return (off + 1) * PATTERN;
}

static void fill(char *at, uint64_t from, uint64_t bytes)
{
        for (uint64_t off = from; off + sizeof(uint64_t) <= bytes; off += PAGE) {
                const uint64_t word = pattern(off);

                memcpy(at + off, &word, sizeof(word));
        }
}

static bool whole(const char *at, uint64_t from, uint64_t bytes)
{
        for (uint64_t off = from; off + sizeof(uint64_t) <= bytes; off += PAGE) {
                const uint64_t word = pattern(off);

                if (memcmp(at + off, &word, sizeof(word)) != 0)
                        return false;
        }
        return true;
}

/* What is restored stays where it is until this process captures: it is copied out when somebody wants to work with it, not while nobody serves. */
static void copy_out(struct probe *probe)
{
        if (probe->view)
                memcpy(probe->blob, probe->view, probe->bytes);
        probe->view = NULL;
}

static bool state_whole(const struct probe *probe)
{
        uint64_t bytes = 0;

        if (probe->blob)
                return whole(probe->blob, 0, probe->bytes);
        for (const struct block *block = probe->root->blocks; block; block = block->next) {
                if (!whole((const char *)block, sizeof(*block), block->bytes))
                        return false;
                bytes += block->bytes;
        }
        return bytes >= probe->bytes;
}

static int arena_fill(struct baton_child *child, struct probe *probe)
{
        uint64_t bytes = 0;
        int r = 0;

        baton_arena_begin(child);
        probe->root = baton_arena_alloc(child, sizeof(*probe->root));
        if (probe->root) {
                memset(probe->root, 0, sizeof(*probe->root));
                baton_arena_set_root(child, probe->root);
        }
        while (probe->root && bytes < probe->bytes) {
                uint64_t want = probe->bytes - bytes < BLOCK_BYTES ? probe->bytes - bytes : BLOCK_BYTES;
                struct block *block = baton_arena_alloc(child, want < sizeof(*block) ? sizeof(*block) : want);

                if (!block)
                        break;
                block->bytes = want < sizeof(*block) ? sizeof(*block) : want;
                block->next = probe->root->blocks;
                probe->root->blocks = block;
                fill((char *)block, sizeof(*block), block->bytes);
                bytes += block->bytes;
        }
        if (bytes < probe->bytes)
                r = -ENOMEM;
        baton_arena_end(child);
        return r;
}

/* ---- connections ---- */

/* A server watches its connections: without that it would not serve them. */
static int connection_take(struct probe *probe, uint64_t number, int fd)
{
        struct epoll_event event = {.events = EPOLLIN, .data.u64 = number};

        if (number >= probe->board->connections || epoll_ctl(probe->epoll, EPOLL_CTL_ADD, fd, &event) < 0)
                return -EINVAL;
        probe->connections[number] = fd;
        return 0;
}

/* The first to serve: connects to the benchmark. */
static int connections_open(struct probe *probe)
{
        const struct sockaddr_in addr = {.sin_family = AF_INET, .sin_port = htons((uint16_t)probe->board->port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
        int r = 0;

        for (uint32_t i = 0; !r && i < probe->board->connections; i++) {
                int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

                if (fd < 0 || connect(fd, (const struct sockaddr *)&addr, sizeof(addr)) < 0)
                        return -errno;
                r = connection_take(probe, i, fd);
        }
        return r;
}

static int connections_pass(struct baton_child *child, struct probe *probe)
{
        int r = 0;

        for (uint32_t i = 0; !r && !probe->passed && i < probe->board->connections; i++)
                r = baton_child_pass(child, probe->connections[i], i);
        probe->passed = !r;
        return r;
}

/* The benchmark has written a byte to each. */
static bool connections_whole(const struct probe *probe)
{
        char byte;

        for (uint32_t i = 0; i < probe->board->connections; i++) {
                if (recv(probe->connections[i], &byte, 1, MSG_DONTWAIT) != 1)
                        return false;
        }
        return true;
}

/* ---- callbacks ---- */

static void ahead(struct baton_child *child, void *ctx)
{
        copy_out(ctx);
        (void)connections_pass(child, ctx); /* capture() tries again, and reports */
}

static int capture(struct baton_child *child, struct baton_capture *capture, void *ctx)
{
        struct probe *probe = ctx;
        int r;

        (void)child;
        probe->board->left_ticks = bench_ticks();
        copy_out(probe);
        r = connections_pass(child, probe);
        if (r || !probe->blob)
                return r;
        r = baton_capture_write(capture, probe->blob, probe->bytes);
        return r ? r : baton_capture_commit(capture, probe->bytes);
}

/* The predecessor answers them still. */
static int arriving(struct baton_child *child, const struct baton_fd *fds, size_t fd_count, void *ctx)
{
        int r = 0;

        (void)child;
        for (size_t i = 0; i < fd_count; i++)
                r = connection_take(ctx, fds[i].tag, fds[i].fd) ? -EINVAL : r;
        return r;
}

static int restore(struct baton_child *child, const struct baton_restore *restore, void *ctx)
{
        struct probe *probe = ctx;

        probe->restore_ticks = bench_ticks();
        probe->board->reason = restore->reason;
        for (size_t i = 0; i < restore->fd_count; i++) {
                if (connection_take(probe, restore->fds[i].tag, restore->fds[i].fd))
                        return -EINVAL;
        }
        if (probe->blob) {
                if (restore->state && restore->state_bytes != probe->bytes)
                        return -EINVAL;
                probe->view = restore->state;
                return 0;
        }
        probe->root = baton_arena_root(child);
        return probe->root || restore->reason == BATON_REASON_FRESH ? 0 : -ENODATA;
}

static void serve(struct baton_child *child, void *ctx)
{
        struct probe *probe = ctx;

        probe->serve_ticks = bench_ticks();
        if (!probe->blob && !probe->root && arena_fill(child, probe))
                probe->wrong = "the arena is too small for its state";
        if (probe->board->reason == BATON_REASON_FRESH && connections_open(probe))
                probe->wrong = "the connections cannot be made";
        probe->last = probe->blob ? &probe->board->last : &probe->root->last;
}

/* The same functions, on a probe that is nobody's. */
static void rehearse(struct baton_child *child, void *ctx)
{
        const struct baton_restore nothing = {.reason = BATON_REASON_HOT};
        static struct bench_board board;
        static struct probe twin;

        twin = *(const struct probe *)ctx;
        twin.board = &board;
        twin.blob = NULL;
        twin.view = NULL;
        twin.passed = true;
        if (baton_child_serving(child)) {
                (void)capture(child, NULL, &twin);
        } else if (!((const struct probe *)ctx)->blob) {
                (void)restore(child, &nothing, &twin);
                serve(child, &twin);
        }
        __builtin_prefetch(((const struct probe *)ctx)->board);
        __builtin_prefetch(&((const struct probe *)ctx)->board->left_ticks);
}

/* ---- the loop ---- */

static void pause_for(struct probe *probe, struct pollfd *fds, nfds_t count)
{
        char bytes[64];

        (void)poll(fds, count, -1);
        (void)!read(probe->wake, bytes, sizeof(bytes));
}

/*
 * Once, after the measurement: reads all of the state, as work would in time. A process that never touched its state has no pages to give back when
 * it ends, and a cold swap of a gigabyte would look like one of nothing.
 */
static void look(struct probe *probe)
{
        if (probe->looked)
                return;
        probe->looked = true;
        if (!state_whole(probe)) {
                (void)fputs("bench-probe: the state is not what was filled in\n", stderr);
                _exit(1);
        }
}

/* One turn of a process that serves. */
static void turn(struct baton_child *child, struct probe *probe)
{
        struct bench_board *board = probe->board;
        struct pollfd fds[2] = {{.fd = baton_child_fd(child), .events = POLLIN}, {.fd = probe->wake, .events = POLLIN}};
        uint32_t mode = atomic_load_explicit(&board->mode, memory_order_acquire);

        if (mode == BENCH_MODE_BUSY) {
                if (!atomic_load_explicit(&board->busy, memory_order_relaxed))
                        bench_post(&board->busy, (uint32_t)getpid());
                atomic_store_explicit(probe->last, bt_now_ns(), memory_order_relaxed);
                return;
        }
        atomic_store(&board->busy, 0);
        copy_out(probe);
        look(probe);
        if (mode == BENCH_MODE_CHECK && !atomic_load(&board->checked))
                bench_post(&board->checked, state_whole(probe) && connections_whole(probe) ? BENCH_CHECK_WHOLE : BENCH_CHECK_BROKEN);
        pause_for(probe, fds, 2);
}

/* When it was @ticks, given what time it was at @at_ticks; not before @not_before. */
static uint64_t time_of(const struct probe *probe, uint64_t ticks, uint64_t at_ticks, uint64_t at_ns, uint64_t not_before)
{
        double ns = (double)(at_ns - probe->born_ns) / (double)(at_ticks - probe->born_ticks);
        uint64_t back = ticks < at_ticks ? (uint64_t)((double)(at_ticks - ticks) * ns) : 0;

        return back > at_ns - not_before ? not_before : at_ns - back;
}

/* The first stamp was made. @last: the predecessor's last one; 0: there was none. */
static void tell_stamps(struct probe *probe, uint64_t last, uint64_t first)
{
        struct bench_stamps *stamps = &probe->board->stamps;
        uint64_t ticks = bench_ticks();

        stamps->capture = time_of(probe, probe->board->left_ticks, ticks, first, last);
        stamps->restore = time_of(probe, probe->restore_ticks, ticks, first, stamps->capture);
        stamps->serve = time_of(probe, probe->serve_ticks, ticks, first, stamps->restore);
        bench_board_served(probe->board, last, first, (int32_t)getpid());
}

static int run(struct baton_child *child, struct probe *probe)
{
        struct pollfd bell = {.fd = baton_child_fd(child), .events = POLLIN};
        uint64_t last, now;
        int r = baton_child_ready(child);

        if (r)
                return r;
        if (probe->wrong)
                return -ENOMEM;
        now = bt_now_ns();
        last = atomic_exchange_explicit(probe->last, now, memory_order_relaxed);
        tell_stamps(probe, last, now);
        r = baton_child_dispatch(child); /* the hub has its RESTORED: what look() takes is not part of the swap */
        while (!r) {
                if (baton_child_serving(child))
                        turn(child, probe);
                else
                        (void)poll(&bell, 1, -1); /* gave the baton away */
                r = baton_child_dispatch(child);
        }
        return r;
}

static int connections_prepare(struct probe *probe)
{
        struct rlimit limit;

        if (!probe->board->connections)
                return 0;
        if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < limit.rlim_max) {
                limit.rlim_cur = limit.rlim_max;
                (void)setrlimit(RLIMIT_NOFILE, &limit);
        }
        probe->connections = calloc(probe->board->connections, sizeof(*probe->connections));
        probe->epoll = epoll_create1(EPOLL_CLOEXEC);
        return !probe->connections ? -ENOMEM : probe->epoll < 0 ? -errno : 0;
}

/* What exists before the baton comes: a successor pays for it while its predecessor serves. */
static int prepare(struct probe *probe, char **argv)
{
        int r = bench_board_attach(&probe->board, argv[1]);

        probe->born_ns = bt_now_ns();
        probe->born_ticks = bench_ticks();
        if (r)
                return r;
        probe->wake = open(argv[2], O_RDWR | O_NONBLOCK | O_CLOEXEC);
        if (probe->wake < 0)
                return -errno;
        probe->bytes = strtoull(argv[4], NULL, 10);
        r = connections_prepare(probe);
        if (r)
                return r;
        if (strcmp(argv[3], "blob") != 0)
                return 0;
        probe->blob = mmap(NULL, probe->bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
        if (probe->blob == MAP_FAILED)
                return -errno;
        fill(probe->blob, 0, probe->bytes);
        return 0;
}

int main(int argc, char **argv)
{
        static struct probe probe;
        const struct baton_child_ops ops = {
                .size = sizeof(ops), .schema = "bench", .version = 1, .version_oldest = 1,
                .restore = restore, .serve = serve, .prepare = ahead, .capture = capture, .arriving = arriving, .rehearse = rehearse,
        };
        struct baton_child *child = NULL;
        int r;

        if (argc != 5) {
                (void)fputs("bench-probe is started by baton-bench, through a hub\n", stderr);
                return 2;
        }
        r = prepare(&probe, argv);
        if (!r)
                r = baton_child_open(&child, &ops, &probe);
        if (!r)
                r = run(child, &probe);
        if (r < 0)
                (void)fprintf(stderr, "bench-probe: %s\n", probe.wrong ? probe.wrong : baton_strerror(r));
        child = baton_child_close(child);
        return r < 0 ? 1 : 0;
}
