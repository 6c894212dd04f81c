/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What does a call to a child cost, there and back, and how many are there in a second?
 *
 *      call        <baton/client.h> to a child of a real hub (bench-echo), which answers with the same 64 bytes
 *      floor       two bare processes with a ring of 64-byte slots each way: a copy, a release store, a look at whether the other sleeps
 *      seqpacket   a pair of AF_UNIX sockets
 *      pipe        two pipes
 *
 * in turns, by batches, the caller on the first processor and who answers on the last one. The call and the floor have the same policy: watch for WATCH_NS,
 * then sleep. Sockets and pipes have the kernel's.
 *
 * A round trip is one message at a time. The rate is of round trips with WINDOW of them under way; its histogram holds a batch's time by the number of
 * its messages. One-way messages (cast) would look better: nothing of an answer is in them, and their sender need not be told of anything.
 */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <baton/client.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/fd.h"
#include "bench/daemon.h"
#include "bench/options.h"
#include "bench/out.h"
#include "bench/process.h"
#include "bench/question.h"
#include "shm/futex.h"

#define BYTES    64
#define RING     256 /* slots of the floor's rings; more than WINDOW */
#define WINDOW   64
#define BATCH    100  /* round trips in one turn */
#define CROWD    4096 /* messages in one turn of the rate */
#define WATCH_NS (200 * BT_NS_PER_US)
#define LOOKS    32 /* between two looks at the clock */

#define CONFIG                                                                                     \
        "hub: bench\n"                                                                             \
        "children:\n"                                                                              \
        "  echo:\n"                                                                                \
        "    exec: [%s, \"%d\"]\n"                                                                 \
        "    mailbox: {slots: 1024, bytes: 64, spin: 200us}\n"

enum way {
        WAY_CALL,
        WAY_FLOOR,
        WAY_SEQPACKET,
        WAY_PIPE,
        _WAY_N
};

/* ---- the floor: one producer, one consumer ---- */

struct ring {
        _Atomic uint32_t head __attribute__((aligned(64)));
        _Atomic uint32_t asleep __attribute__((aligned(64)));
        uint8_t slots[RING][BYTES] __attribute__((aligned(64)));
};

/* Room is never looked for: fewer messages than slots are under way. */
static void ring_push(struct ring *ring, const uint8_t *payload)
{
        uint32_t head = atomic_load_explicit(&ring->head, memory_order_relaxed);

        memcpy(ring->slots[head % RING], payload, BYTES);
        atomic_store(&ring->head, head + 1);
        if (atomic_load(&ring->asleep) && atomic_exchange(&ring->asleep, 0))
                bt_futex_wake(&ring->head);
}

static bool ring_watch(const struct ring *ring, uint32_t cursor, uint64_t watch_ns)
{
        uint64_t until = bt_now_ns() + watch_ns;

        do {
                for (int i = 0; i < LOOKS; i++) {
                        if (atomic_load_explicit(&ring->head, memory_order_acquire) != cursor)
                                return true;
                        bt_cpu_relax();
                }
        } while (bt_now_ns() < until);
        return false;
}

static void ring_pop(struct ring *ring, uint32_t *cursor, uint8_t *payload, uint64_t watch_ns)
{
        const struct bt_futex_word wait = {.word = &ring->head, .expected = *cursor};

        while (atomic_load_explicit(&ring->head, memory_order_acquire) == *cursor) {
                if (watch_ns && ring_watch(ring, *cursor, watch_ns))
                        break;
                atomic_store(&ring->asleep, 1);
                if (atomic_load(&ring->head) == *cursor)
                        (void)bt_futex_wait(&wait, 1, BT_NS_NEVER);
                atomic_store(&ring->asleep, 0);
        }
        memcpy(payload, ring->slots[*cursor % RING], BYTES);
        ++*cursor;
}

/* ---- a way there and back ---- */

struct line {
        enum way way;
        struct ring *rings; /* to the other, back */
        uint32_t cursor;
        uint64_t watch_ns;
        int to[2]; /* read and write end */
        int back[2];
        pid_t child;
        struct bench_daemon daemon;
        struct baton_client *client;
        struct baton_target *target;
        uint64_t calls[WINDOW];
};

static int line_send(struct line *line, uint64_t number, const uint8_t *payload)
{
        const struct baton_send send = {.size = sizeof(send),
                                        .data = payload,
                                        .bytes = BYTES,
                                        .timeout_ns = BATON_WAIT_FOREVER};

        switch (line->way) {
        case WAY_CALL:
                return baton_client_begin(line->target, &send, &line->calls[number % WINDOW]);
        case WAY_FLOOR:
                ring_push(&line->rings[0], payload);
                return 0;
        default:
                return write(line->to[1], payload, BYTES) == BYTES ? 0 : -errno;
        }
}

static int line_receive(struct line *line, uint64_t number, uint8_t *payload)
{
        struct baton_reply reply = {.data = payload, .room = BYTES};

        switch (line->way) {
        case WAY_CALL:
                return baton_client_collect(line->client, line->calls[number % WINDOW], &reply,
                                            BATON_WAIT_FOREVER);
        case WAY_FLOOR:
                ring_pop(&line->rings[1], &line->cursor, payload, line->watch_ns);
                return 0;
        default:
                return read(line->back[0], payload, BYTES) == BYTES ? 0 : -EPIPE;
        }
}

__attribute__((noreturn)) static void echo(struct line *line)
{
        uint8_t payload[BYTES];

        (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
        for (;;) {
                if (line->way == WAY_FLOOR) {
                        ring_pop(&line->rings[0], &line->cursor, payload, line->watch_ns);
                        ring_push(&line->rings[1], payload);
                } else if (read(line->to[0], payload, BYTES) != BYTES ||
                           write(line->back[1], payload, BYTES) != BYTES) {
                        _exit(1);
                }
        }
}

/* ---- measuring ---- */

static int batch_rtt(struct line *line, struct bench_hist *hist)
{
        uint8_t out[BYTES] = {1}, in[BYTES] = {0};
        int r = 0;

        for (uint64_t i = 0; !r && i < BATCH; i++) {
                uint64_t begun = bt_now_ns();

                memcpy(out, &i, sizeof(i));
                r = line_send(line, i, out);
                if (!r)
                        r = line_receive(line, i, in);
                if (!r && memcmp(in, out, BYTES) != 0)
                        r = -EPROTO;
                if (hist)
                        bench_hist_add(hist, bt_now_ns() - begun);
        }
        return r;
}

/* @hist: nanoseconds a thousand messages, so that a fraction of a nanosecond counts. */
static int batch_rate(struct line *line, struct bench_hist *hist)
{
        uint8_t payload[BYTES] = {2};
        uint64_t begun = bt_now_ns(), sent = 0;
        int r = 0;

        for (uint64_t i = 0; !r && i < CROWD; i++) {
                while (!r && sent < CROWD && sent < i + WINDOW)
                        r = line_send(line, sent++, payload);
                if (!r)
                        r = line_receive(line, i, payload);
        }
        if (hist)
                bench_hist_add(hist, (bt_now_ns() - begun) * 1000 / CROWD);
        return r;
}

/* ---- open, close ---- */

static void bind_to(int cpu)
{
        cpu_set_t set;

        if (cpu < 0)
                return;
        CPU_ZERO(&set);
        CPU_SET((size_t)cpu, &set);
        (void)sched_setaffinity(0, sizeof(set), &set);
}

static int open_call(struct line *line, int cpu)
{
        const struct baton_client_options options = {
                .size = sizeof(options),
                .reply_bytes = BYTES,
                .spin_ns = line->watch_ns ? line->watch_ns : BATON_CLIENT_SPIN_NONE};
        struct bench_event event;
        char program[512], path[BENCH_DIR_BYTES + 16], why[BATON_WHY_BYTES] = "";
        int r = bench_program_find(program, sizeof(program), "bench-echo");

        if (!r)
                r = bench_daemon_open(&line->daemon);
        if (!r)
                r = bench_daemon_configure(&line->daemon, CONFIG, program, cpu);
        if (!r)
                r = bench_daemon_start(&line->daemon);
        if (!r)
                r = bench_daemon_await(&line->daemon, "children_started", 0, &event);
        if (r)
                return r;
        (void)snprintf(path, sizeof(path), "%s/run/bench", line->daemon.dir);
        r = baton_client_open(&line->client, path, &options, why);
        if (!r)
                r = baton_client_target(&line->target, line->client, "echo", NULL, why);
        if (r)
                bench_complain("no client: %s", why);
        return r;
}

static int open_fds(struct line *line)
{
        int ends[2];

        if (line->way == WAY_PIPE)
                return pipe2(line->to, O_CLOEXEC) < 0 || pipe2(line->back, O_CLOEXEC) < 0 ? -errno
                                                                                          : 0;
        if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) < 0)
                return -errno;
        line->to[1] = ends[0];
        line->to[0] = ends[1];
        line->back[0] = fcntl(ends[0], F_DUPFD_CLOEXEC, 0);
        line->back[1] = fcntl(ends[1], F_DUPFD_CLOEXEC, 0);
        return line->back[0] < 0 || line->back[1] < 0 ? -errno : 0;
}

static int line_open(struct line *line, enum way way, int cpu, uint64_t watch_ns)
{
        int r = 0;

        *line = (struct line){.way = way,
                              .watch_ns = watch_ns,
                              .to = {-1, -1},
                              .back = {-1, -1},
                              .daemon = BENCH_DAEMON_NULL};
        if (way == WAY_CALL)
                return open_call(line, cpu);
        if (way == WAY_FLOOR) {
                line->rings = mmap(NULL, 2 * sizeof(*line->rings), PROT_READ | PROT_WRITE,
                                   MAP_SHARED | MAP_ANONYMOUS, -1, 0);
                r = line->rings == MAP_FAILED ? -errno : 0;
        } else {
                r = open_fds(line);
        }
        if (r)
                return r;
        line->child = fork();
        if (line->child == 0) {
                bind_to(cpu);
                echo(line);
        }
        return line->child < 0 ? -errno : 0;
}

static void line_close(struct line *line)
{
        if (line->child > 0) {
                (void)kill(line->child, SIGKILL);
                (void)waitpid(line->child, NULL, 0);
        }
        line->client = baton_client_close(line->client);
        if (line->way == WAY_CALL)
                bench_daemon_close(&line->daemon);
        for (int i = 0; i < 2; i++) {
                line->to[i] = bt_close(line->to[i]);
                line->back[i] = bt_close(line->back[i]);
        }
}

/* ---- the question ---- */

struct measured {
        struct bench_hist rtt[_WAY_N];
        struct bench_hist rate[_WAY_N];
};

static int measure(struct line lines[_WAY_N], struct measured *measured, uint32_t turns)
{
        int r = 0;

        for (uint32_t turn = 0; !r && turn < turns + 1; turn++) { /* the first one warms up */
                for (int way = 0; !r && way < _WAY_N; way++) {
                        if (bench_interrupted())
                                return -EINTR;
                        r = batch_rtt(&lines[way], turn ? &measured->rtt[way] : NULL);
                        if (!r)
                                r = batch_rate(&lines[way], turn ? &measured->rate[way] : NULL);
                }
        }
        return r;
}

static void tell(struct bench_out *out, const struct measured *measured)
{
        static const char *const names[_WAY_N] = {"call", "floor", "seqpacket", "pipe"};
        static struct bench_pair pair;
        char name[48];

        for (int way = WAY_FLOOR; way < _WAY_N; way++) {
                (void)snprintf(name, sizeof(name), "rtt/%s", names[way]);
                pair = (struct bench_pair){.name = name,
                                           .measured = measured->rtt[WAY_CALL],
                                           .floor = measured->rtt[way]};
                bench_out_pair(out, &pair);
        }
        for (int way = 0; way < _WAY_N; way++) {
                double rate = 1e12 / (double)bench_hist_at(&measured->rate[way], 500);

                bench_out_value(out, names[way], "rate", rate, "/s");
        }
        bench_out_value(out, "64B", "rtt_ratio",
                        bench_ratio(bench_hist_at(&measured->rtt[WAY_CALL], 500),
                                    bench_hist_at(&measured->rtt[WAY_FLOOR], 500)),
                        "x");
        bench_out_value(out, "64B", "rate_ratio",
                        bench_ratio(bench_hist_at(&measured->rate[WAY_SEQPACKET], 500),
                                    bench_hist_at(&measured->rate[WAY_CALL], 500)),
                        "x");
}

/* The first and the last processor that we may use. */
static int processors(int ret_cpus[2])
{
        cpu_set_t set;

        ret_cpus[0] = ret_cpus[1] = -1;
        if (sched_getaffinity(0, sizeof(set), &set) < 0)
                return -errno;
        for (int i = 0; i < CPU_SETSIZE; i++) {
                if (!CPU_ISSET((size_t)i, &set))
                        continue;
                ret_cpus[0] = ret_cpus[0] < 0 ? i : ret_cpus[0];
                ret_cpus[1] = i;
        }
        return 0;
}

int bench_messages_main(int argc, char **argv)
{
        struct bench_options options = BENCH_OPTIONS_INIT;
        static struct measured measured;
        static struct line lines[_WAY_N];
        struct bench_out out;
        uint32_t turns;
        int cpus[2];
        int r, opened = 0;

        bench_options_parse(&options, "What does a call to a child cost, there and back?", argc,
                            argv);
        turns = (bench_options_rounds(&options, 20000, 300) + BATCH - 1) / BATCH;
        if (bench_out_open(&out, "messages", "a call of 64 bytes to a child, there and back",
                           options.json))
                return 1;
        bench_out_pair_head(&out);
        r = bench_process_guard();
        if (!r)
                r = processors(cpus);
        for (; !r && opened < _WAY_N;
             opened++) /* before we are bound: what we start would inherit it */
                r = line_open(&lines[opened], (enum way)opened, cpus[1],
                              cpus[0] == cpus[1] ? 0 : WATCH_NS);
        if (!r) {
                bind_to(cpus[0]);
                r = measure(lines, &measured, turns);
        }
        if (!r)
                tell(&out, &measured);
        else if (!bench_interrupted())
                bench_complain("messages could not be measured: %s", baton_strerror(r));
        while (opened-- > 0)
                line_close(&lines[opened]);
        return bench_out_close(&out, r);
}
