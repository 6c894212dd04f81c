/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What do the clients of a server see? The server is examples/kv, unchanged, under a real hub; the driver is that of bench/peers (drive.h).
 *
 *      swaps            20 clients as fast as they can, INCR; two seconds in peace, two seconds with a hot swap every 100 ms, in turns. At the end the
 *                       counter must be what was acknowledged, neither less nor more
 *      new-connections  1 000 new connections a second and 32 kept ones; once in a run it is upgraded, kv-v1 to kv-v2 and back
 *      1GiB             the same with 1 GiB of keys: a cold swap, how long the longest wait is
 *
 * A failed request, a closed connection or a lost write fails the run.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/fd.h"
#include "bench/daemon.h"
#include "bench/drive.h"
#include "bench/options.h"
#include "bench/out.h"
#include "bench/question.h"
#include "supervisor/control.h"
#include "supervisor/plan.h"

#define CONFIG                                                                                     \
        "hub: bench\n"                                                                             \
        "sockets:\n"                                                                               \
        "  redis: tcp://127.0.0.1:%u\n"                                                            \
        "children:\n"                                                                              \
        "  kv:\n"                                                                                  \
        "    exec: [\"%s\"]\n"                                                                     \
        "    sockets: [redis]\n"                                                                   \
        "    strategy: hot\n"                                                                      \
        "    handover: true\n"                                                                     \
        "    state: {form: arena, max: 2GiB}\n"                                                    \
        "    restart: temporary\n"                                                                 \
        "    durability: none\n"

#define BUSY_CLIENTS  20
#define SWAP_EVERY_NS (100 * BT_NS_PER_MS)
#define RATE          1000
#define KEPT          32

struct load {
        struct bench_out *out;
        bool brief;
        struct bench_daemon daemon;
        uint16_t port;
        char programs[2][4096]; /* kv-v1, kv-v2 */
        uint32_t version;       /* of which is serving */
        bool cold; /* what the next command asks for: a cold swap, else an upgrade to the other version */
        int pending; /* control connection of a command that has not ended; -1: none */
        uint64_t swaps;
        uint64_t late; /* swaps that were due while one was under way */
        uint64_t failed;
        uint64_t closed;
};

static void load_close(struct load *load)
{
        load->pending = bt_close(load->pending);
        bench_daemon_close(&load->daemon);
}

/* ---- the server ---- */

/* A port that was free a moment ago. */
static int port_find(uint16_t *ret_port)
{
        struct sockaddr_in addr = {.sin_family = AF_INET,
                                   .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
        socklen_t bytes = sizeof(addr);
        BT_CLEANUP(bt_closep) int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

        if (fd < 0 || bind(fd, (struct sockaddr *)&addr, sizeof(addr)) < 0 ||
            getsockname(fd, (struct sockaddr *)&addr, &bytes) < 0)
                return -errno;
        *ret_port = ntohs(addr.sin_port);
        return 0;
}

static int load_open(struct load *load)
{
        struct bench_event event;
        int r = bench_program_find(load->programs[0], sizeof(load->programs[0]), "kv-v1");

        if (!r)
                r = bench_program_find(load->programs[1], sizeof(load->programs[1]), "kv-v2");
        if (!r)
                r = port_find(&load->port);
        if (!r)
                r = bench_daemon_open(&load->daemon);
        if (!r)
                r = bench_daemon_configure(&load->daemon, CONFIG, load->port, load->programs[0]);
        if (!r)
                r = bench_daemon_start(&load->daemon);
        return r ? r : bench_daemon_await(&load->daemon, "children_started", 0, &event);
}

/* One request by a connection of its own; the answer, a line or a bulk, into @ret_answer. */
static int kv_ask(const struct load *load, const char *request, char *ret_answer, size_t bytes)
{
        const struct sockaddr_in addr = {.sin_family = AF_INET,
                                         .sin_port = htons(load->port),
                                         .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
        const struct timeval limit = {.tv_sec = 60};
        BT_CLEANUP(bt_closep) int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        size_t got = 0;

        if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit)) < 0 ||
            connect(fd, (const struct sockaddr *)&addr, sizeof(addr)) < 0 ||
            send(fd, request, strlen(request), MSG_NOSIGNAL) < 0)
                return -errno;
        for (;;) {
                ssize_t n = recv(fd, ret_answer + got, bytes - 1 - got, 0);

                if (n <= 0)
                        return n < 0 ? -errno : -EPROTO;
                got += (size_t)n;
                ret_answer[got] = '\0';
                if (bench_drive_answer(BENCH_RESP, ret_answer, got))
                        return 0;
        }
}

static int kv_counter(const struct load *load, uint64_t *ret_value)
{
        char answer[128];
        const char *digits;
        int r = kv_ask(load, "*2\r\n$3\r\nGET\r\n$5\r\ndrive\r\n", answer, sizeof(answer));

        if (r)
                return r;
        digits = strchr(answer, '\n');
        *ret_value = !strncmp(answer, "$-1", 3) || !digits ? 0 : strtoull(digits + 1, NULL, 10);
        return 0;
}

/* ---- the command, which is given in the middle of the load ---- */

static int command_send(const struct load *load, int fd)
{
        if (load->cold)
                return bench_daemon_send(fd, BT_CTL_SWAP, BT_STRATEGY_COLD, "kv");
        return bench_daemon_send_upgrade(fd, "kv", load->programs[!load->version]);
}

/* The outcome of the command before, when it is there; or, with @wait, when it comes. */
static int command_finish(struct load *load, bool wait)
{
        struct pollfd fds = {.fd = load->pending, .events = POLLRDHUP};
        int r;

        if (load->pending < 0)
                return 0;
        /* The hub hangs up behind its last word. */
        if (!wait && poll(&fds, 1, 0) == 0)
                return 0;
        r = bench_daemon_outcome(load->pending, NULL);
        load->pending = bt_close(load->pending);
        if (!r) {
                load->swaps++;
                load->version ^= !load->cold;
        }
        return r;
}

static int command_give(void *ctx)
{
        struct load *load = ctx;
        int r = command_finish(load, false);

        if (r || load->pending >= 0) {
                load->late += !r;
                return r;
        }
        load->pending = bench_daemon_connect(&load->daemon);
        return load->pending < 0 ? load->pending : command_send(load, load->pending);
}

static int load_drive(struct load *load, const struct bench_drive_spec *spec,
                      struct bench_drive_result *ret_result)
{
        int r = bench_drive(spec, ret_result);

        if (!r)
                r = command_finish(load, true);
        load->failed += ret_result->failed;
        load->closed += ret_result->closed;
        if (!r && (ret_result->failed || ret_result->closed)) {
                bench_complain("%" PRIu64 " requests failed, %" PRIu64
                               " connections were closed; the first: %s",
                               ret_result->failed, ret_result->closed, ret_result->first_failure);
                r = -EIO;
        }
        return r;
}

/* ---- swaps ---- */

struct side {
        struct bench_hist waits;
        uint64_t requests;
        double seconds;
};

static int window_measure(struct load *load, struct side *side, bool swaps, bool counts)
{
        static struct bench_drive_result result;
        const struct bench_drive_spec spec = {
                .protocol = BENCH_RESP,
                .port = load->port,
                .busy = BUSY_CLIENTS,
                .duration_ns = load->brief ? 300 * BT_NS_PER_MS : 2 * BT_NS_PER_S,
                .timeout_ns = 5 * BT_NS_PER_S,
                .command_at_ns = SWAP_EVERY_NS / 2,
                .command_every_ns = SWAP_EVERY_NS,
                .command = swaps ? command_give : NULL,
                .ctx = load,
        };
        uint64_t before = 0, after = 0, begun = bt_now_ns();
        int r = kv_counter(load, &before);

        if (!r)
                r = load_drive(load, &spec, &result);
        side->seconds += counts ? (double)(bt_now_ns() - begun) / 1e9 : 0;
        if (!r)
                r = kv_counter(load, &after);
        if (!r && after - before != result.busy_requests) {
                bench_complain("%" PRIu64
                               " writes were acknowledged, and the counter grew by %" PRIu64,
                               result.busy_requests, after - before);
                r = -EBADMSG;
        }
        if (r || !counts)
                return r;
        side->requests += result.busy_requests;
        bench_hist_merge(&side->waits, &result.waits[2]);
        return 0;
}

static void swaps_say(struct load *load, const struct side *peace, const struct side *swaps)
{
        double peace_rate = (double)peace->requests / peace->seconds,
               swaps_rate = (double)swaps->requests / swaps->seconds;
        struct bench_pair *pair = calloc(1, sizeof(*pair));

        bench_out_value(load->out, "swaps", "rate_in_peace", peace_rate, "requests/s");
        bench_out_value(load->out, "swaps", "rate", swaps_rate, "requests/s");
        bench_out_value(load->out, "swaps", "rate_ratio", swaps_rate / peace_rate,
                        "of without swaps");
        bench_out_value(
                load->out, "swaps", "p999_ratio",
                bench_ratio(bench_hist_at(&swaps->waits, 999), bench_hist_at(&peace->waits, 999)),
                "of without swaps");
        bench_out_value(load->out, "swaps", "swaps", (double)load->swaps, "");
        bench_out_value(load->out, "swaps", "late", (double)load->late,
                        "the one before was under way");
        if (pair) {
                *pair = (struct bench_pair){
                        .name = "wait-with-swaps", .measured = swaps->waits, .floor = peace->waits};
                bench_out_pair_head(load->out);
                bench_out_pair(load->out, pair);
        }
        free(pair);
}

static int swaps_measure(struct load *load, uint32_t rounds)
{
        static struct side sides[2];
        int r = 0;

        for (uint32_t i = 0; !r && i < rounds + 1; i++) {
                for (int with = 0; !r && with < 2; with++)
                        r = window_measure(load, &sides[with], with, i > 0);
        }
        if (!r)
                swaps_say(load, &sides[0], &sides[1]);
        load->swaps = 0;
        return r;
}

/* ---- new connections ---- */

struct upgrade {
        struct bench_hist new_ns; /* command to the first answer of the new version */
        struct bench_hist old_ns; /* command to the last answer of the old one */
        struct bench_hist longest_ns;
        struct bench_hist gap_ns;
};

static int upgrade_measure(struct load *load, struct upgrade *upgrade)
{
        static struct bench_drive_result result;
        static const char *const versions[] = {"kv_version:1.0", "kv_version:2.0"};
        const struct bench_drive_spec spec = {
                .protocol = BENCH_RESP,
                .port = load->port,
                .version_old = versions[load->version],
                .version_new = versions[!load->version],
                .rate = RATE,
                .keep = KEPT,
                .keep_every_ns = 100 * BT_NS_PER_MS,
                .duration_ns = load->brief ? 400 * BT_NS_PER_MS : 2 * BT_NS_PER_S,
                .timeout_ns = 5 * BT_NS_PER_S,
                .command_at_ns = load->brief ? 200 * BT_NS_PER_MS : BT_NS_PER_S,
                .command = command_give,
                .ctx = load,
        };
        int r = load_drive(load, &spec, &result);

        if (r)
                return r;
        if (!load->cold && !result.first_new_ns) {
                bench_complain("no answer of the new version came");
                return -EPROTO;
        }
        if (!load->cold)
                bench_hist_add(&upgrade->new_ns, result.first_new_ns - result.command_ns);
        bench_hist_add(&upgrade->old_ns, result.last_old_ns > result.command_ns
                                                 ? result.last_old_ns - result.command_ns
                                                 : 0);
        bench_hist_add(&upgrade->longest_ns, result.longest_ns);
        bench_hist_add(&upgrade->gap_ns, result.gap_ns);
        return 0;
}

static void hist_say(struct load *load, const char *name, const char *what,
                     const struct bench_hist *hist)
{
        char text[64];

        (void)snprintf(text, sizeof(text), "%s_p50", what);
        bench_out_value(load->out, name, text, (double)bench_hist_at(hist, 500) / 1e6, "ms");
        (void)snprintf(text, sizeof(text), "%s_max", what);
        bench_out_value(load->out, name, text, (double)hist->max / 1e6, "ms");
}

static int connections_measure(struct load *load, uint32_t rounds)
{
        static struct upgrade upgrade;
        uint64_t closed = load->closed;
        int r = 0;

        for (uint32_t i = 0; !r && i < rounds; i++)
                r = upgrade_measure(load, &upgrade);
        if (r)
                return r;
        hist_say(load, "new-connections", "new_version", &upgrade.new_ns);
        hist_say(load, "new-connections", "last_old", &upgrade.old_ns);
        hist_say(load, "new-connections", "longest_wait", &upgrade.longest_ns);
        hist_say(load, "new-connections", "longest_gap", &upgrade.gap_ns);
        bench_out_value(load->out, "new-connections", "closed", (double)(load->closed - closed),
                        "connections");
        return 0;
}

/* ---- 1 GiB ---- */

static int gigabyte_measure(struct load *load, uint32_t rounds)
{
        static struct upgrade upgrade;
        /* A value of 1 000 bytes takes 1 KiB with its key. */
        const char *fill = load->brief ? "*5\r\n$5\r\nDEBUG\r\n$8\r\nPOPULATE\r\n$4\r\n1000\r\n$"
                                         "1\r\nk\r\n$4\r\n1000\r\n"
                                       : "*5\r\n$5\r\nDEBUG\r\n$8\r\nPOPULATE\r\n$7\r\n1048576\r\n$"
                                         "1\r\nk\r\n$4\r\n1000\r\n";
        char answer[256];
        int r = kv_ask(load, fill, answer, sizeof(answer));

        if (!r && answer[0] != '+') {
                bench_complain("the keys could not be made: %.200s", answer);
                r = -EPROTO;
        }
        load->cold = true;
        for (uint32_t i = 0; !r && i < rounds; i++)
                r = upgrade_measure(load, &upgrade);
        load->cold = false;
        if (r)
                return r;
        hist_say(load, "1GiB", "cold_gap", &upgrade.longest_ns);
        memset(&upgrade, 0, sizeof(upgrade));
        for (uint32_t i = 0; !r && i < rounds; i++)
                r = upgrade_measure(load, &upgrade);
        if (!r) {
                hist_say(load, "1GiB", "hot_gap", &upgrade.longest_ns);
                hist_say(load, "1GiB", "hot_new_version", &upgrade.new_ns);
        }
        return r;
}

int bench_load_main(int argc, char **argv)
{
        struct bench_options options = BENCH_OPTIONS_INIT;
        struct bench_out out;
        struct load load = {.out = &out, .daemon = BENCH_DAEMON_NULL, .pending = -1};
        int r;

        bench_options_parse(&options, "What do the clients of a server see while it is replaced?",
                            argc, argv);
        load.brief = options.brief;
        if (bench_out_open(&out, "load",
                           "what do the clients of a server see while it is replaced?",
                           options.json))
                return 1;
        r = bench_process_guard();
        if (!r)
                r = load_open(&load);
        if (!r)
                r = swaps_measure(&load, bench_options_rounds(&options, 8, 1));
        if (!r)
                r = connections_measure(&load, bench_options_rounds(&options, 20, 1));
        if (!r)
                r = gigabyte_measure(&load, bench_options_rounds(&options, 7, 1));
        bench_out_value(&out, "load", "failed", (double)load.failed, "requests");
        if (r && !bench_interrupted()) {
                bench_complain("it ended early: %s", strerrordesc_np(-r));
                bench_daemon_show_log(&load.daemon);
        }
        load_close(&load);
        return bench_out_close(&out, r);
}
