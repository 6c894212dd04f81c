/* SPDX-License-Identifier: Apache-2.0 */
/*
 * kv-load: counts what a server acknowledges, and how long it makes its clients wait.
 *
 *      kv-load --port 6379 --clients 4 --seconds 30 --key counter
 *
 * Each client sends INCR, waits for the answer, sends the next one. At the end the counter is read back: it must have grown by exactly the
 * number of acknowledged INCRs. A lost write makes it smaller, a write that was done twice makes it larger. An INCR whose connection broke
 * before its answer may or may not have been done; it is counted as "unsure", and is an error unless --tolerate-disconnects was given (a
 * server that is stopped and started again), in which case the counter may be larger by as many.
 *
 * --short adds clients that make a new connection for each INCR, so that connections are accepted all the time.
 *
 * A *pause* is the time from a request to its answer, which is what a client sees of a swap; reconnecting counts as part of it. --marks names a
 * file of windows, "BEGIN_MS END_MS LABEL" a line, times as `date +%s%3N` prints them; the summary then has the longest pause of each
 * window. To answer that after the fact the longest pause of each 10 ms of the run is kept (4 bytes each, 24 h at the most: 34 MB).
 *
 * Exit status: 0, 1 on any error or when the counter does not match, 2 usage. SIGTERM, SIGINT and SIGUSR1 end the run early, with the summary.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <getopt.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "examples/kv/loadstats.h"

#define CLIENTS_MAX 1000
#define SECONDS_MAX 86400
#define KEY_BYTES_MAX 100
#define ANSWER_NS UINT64_C(30000000000) /* no answer for so long: an error */
#define SHORT_EVERY_NS UINT64_C(1000000) /* between the connections of one short client */
#define RECONNECT_NS UINT64_C(20000000) /* between attempts to connect */
#define DRAIN_NS UINT64_C(10000000000) /* for the last answers */
#define ERRORS_SHOWN 10
#define CLIENTS_SHOWN 16
#define MARKS_MAX 4096
#define REQUEST_BYTES_MAX (KEY_BYTES_MAX + 64)

struct options {
        const char *host;
        const char *key;
        const char *json;  /* file name, "-": stdout, NULL: none */
        const char *marks; /* file name or NULL */
        long port;
        long clients;
        long short_clients;
        long seconds;
        bool tolerate;
};

enum client_phase {
        CLIENT_IDLE,       /* no socket; connect at @due_ns */
        CLIENT_CONNECTING,
        CLIENT_WAITING,    /* an INCR is on its way */
};

struct client {
        enum client_phase phase;
        bool is_short;
        int fd;
        uint64_t due_ns;  /* IDLE: next attempt */
        uint64_t since_ns; /* the request that is waited for was wanted at this time; 0: from the next attempt on */
        uint64_t limit_ns; /* when waiting ends */
        uint64_t longest_ns;
        uint64_t longest_wall_ms; /* when the longest pause ended */
        uint64_t requests;
        char in[128];
        size_t in_bytes;
};

struct load {
        struct options options;
        struct sockaddr_in addr;
        char request[REQUEST_BYTES_MAX];
        size_t request_bytes;
        int epoll;
        struct client clients[CLIENTS_MAX];
        size_t client_count;
        uint64_t begin_ns;      /* CLOCK_MONOTONIC */
        uint64_t begin_wall_ms; /* CLOCK_REALTIME, of the same moment */
        uint64_t acknowledged;
        uint64_t connections;
        uint64_t disconnects; /* connections that broke */
        uint64_t unsure;      /* INCRs that may or may not have been done */
        uint64_t errors;
        int64_t counter_before;
        int64_t counter_after;
        bool draining; /* no new requests */
        struct kv_hist hist;
        struct kv_timeline timeline;
};

static volatile sig_atomic_t stop;

static uint64_t now_ns(void)
{
        struct timespec ts;

        (void)clock_gettime(CLOCK_MONOTONIC, &ts);
        return (uint64_t)ts.tv_sec * UINT64_C(1000000000) + (uint64_t)ts.tv_nsec;
}

static uint64_t wall_ms(void)
{
        struct timespec ts;

        (void)clock_gettime(CLOCK_REALTIME, &ts);
        return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

/* ---- one client ---- */

static void say_error(struct load *load, const char *what, const char *why)
{
        if (load->errors++ < ERRORS_SHOWN)
                (void)fprintf(stderr, "kv-load: %s: %s\n", what, why);
}

static void client_hang_up(struct client *client)
{
        if (client->fd >= 0)
                (void)close(client->fd);
        client->fd = -1;
        client->in_bytes = 0;
        client->phase = CLIENT_IDLE;
}

/* The connection, or the attempt to make one, failed. */
static void client_broke(struct load *load, struct client *client, const char *what, int error)
{
        load->disconnects++;
        load->unsure += client->phase == CLIENT_WAITING;
        if (!load->options.tolerate)
                say_error(load, what, error ? strerror(error) : "connection closed by the server");
        client_hang_up(client);
        client->due_ns = now_ns() + RECONNECT_NS;
}

static void client_watch(struct load *load, struct client *client, uint32_t events, int op)
{
        struct epoll_event event = {.events = events, .data.ptr = client};

        if (epoll_ctl(load->epoll, op, client->fd, &event) < 0)
                client_broke(load, client, "epoll_ctl", errno);
}

static void client_send(struct load *load, struct client *client)
{
        ssize_t n = send(client->fd, load->request, load->request_bytes, MSG_NOSIGNAL);

        /* One short request on an idle connection always fits the socket's buffer. */
        client->phase = CLIENT_WAITING;
        client->limit_ns = now_ns() + ANSWER_NS;
        if (n != (ssize_t)load->request_bytes)
                client_broke(load, client, "send", n < 0 ? errno : EPIPE);
}

static void client_next(struct load *load, struct client *client, uint64_t now)
{
        if (!client->is_short && !load->draining) {
                client->since_ns = now;
                client_send(load, client);
                return;
        }
        /* Not at once: a closed connection keeps its port for a while, and there are 28 000 of them. */
        client_hang_up(client);
        client->since_ns = 0;
        client->due_ns = now + SHORT_EVERY_NS;
}

static void client_connect(struct load *load, struct client *client)
{
        const int on = 1;
        int error = 0;

        client->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
        if (client->fd < 0) {
                client_broke(load, client, "socket", errno);
                return;
        }
        (void)setsockopt(client->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
        client->phase = CLIENT_CONNECTING;
        client->limit_ns = now_ns() + ANSWER_NS;
        if (!client->since_ns)
                client->since_ns = now_ns();
        if (connect(client->fd, (struct sockaddr *)&load->addr, sizeof(load->addr)) < 0)
                error = errno;
        if (error && error != EINPROGRESS) {
                client_broke(load, client, "connect", error);
                return;
        }
        client_watch(load, client, EPOLLOUT, EPOLL_CTL_ADD);
}

static void client_connected(struct load *load, struct client *client)
{
        socklen_t bytes = sizeof(int);
        int error = 0;

        (void)getsockopt(client->fd, SOL_SOCKET, SO_ERROR, &error, &bytes);
        if (error) {
                client_broke(load, client, "connect", error);
                return;
        }
        load->connections++;
        client_watch(load, client, EPOLLIN, EPOLL_CTL_MOD);
        if (client->phase == CLIENT_CONNECTING)
                client_send(load, client);
}

static void client_answered(struct load *load, struct client *client)
{
        uint64_t now = now_ns();
        uint64_t pause = now - client->since_ns;

        load->acknowledged++;
        client->requests++;
        kv_hist_add(&load->hist, pause);
        kv_timeline_add(&load->timeline, client->since_ns - load->begin_ns, now - load->begin_ns);
        if (pause > client->longest_ns) {
                client->longest_ns = pause;
                client->longest_wall_ms = wall_ms();
        }
        client_next(load, client, now);
}

static void client_readable(struct load *load, struct client *client)
{
        ssize_t n = recv(client->fd, client->in + client->in_bytes, sizeof(client->in) - 1 - client->in_bytes, 0);
        char *end;

        if (n < 0 && (errno == EAGAIN || errno == EINTR))
                return;
        if (n <= 0) {
                client_broke(load, client, "recv", n < 0 ? errno : 0);
                return;
        }
        client->in_bytes += (size_t)n;
        client->in[client->in_bytes] = '\0';
        end = memchr(client->in, '\n', client->in_bytes);
        if (!end && client->in_bytes < sizeof(client->in) - 1)
                return;
        if (!end || client->in[0] != ':' || end + 1 != client->in + client->in_bytes) {
                client->in[strcspn(client->in, "\r\n")] = '\0';
                say_error(load, "unexpected answer to INCR", client->in);
                load->unsure++;
                client_hang_up(client);
                client->due_ns = now_ns() + RECONNECT_NS;
                return;
        }
        client->in_bytes = 0;
        client_answered(load, client);
}

/* ---- the run ---- */

/* Connects who is due and drops who waits too long. Returns the time until somebody is due, in ms. */
static int tend(struct load *load, uint64_t now)
{
        uint64_t next = now + 100 * UINT64_C(1000000);

        for (size_t i = 0; i < load->client_count; i++) {
                struct client *client = &load->clients[i];

                if (client->phase == CLIENT_IDLE && client->due_ns <= now)
                        client_connect(load, client);
                else if (client->phase != CLIENT_IDLE && now > client->limit_ns)
                        client_broke(load, client, "no answer in 30 s", ETIMEDOUT);
                if (client->phase == CLIENT_IDLE && client->due_ns < next)
                        next = client->due_ns;
        }
        return next > now ? (int)((next - now + 999999) / 1000000) : 0;
}

static bool waiting(const struct load *load)
{
        for (size_t i = 0; i < load->client_count; i++) {
                if (load->clients[i].phase == CLIENT_WAITING)
                        return true;
        }
        return false;
}

/* Serves the sockets until @end_ns; when draining, until the answers to the requests that are on their way are in. */
static void run(struct load *load, uint64_t end_ns)
{
        uint64_t now = now_ns();

        while (now < end_ns && (load->draining ? waiting(load) : !stop)) {
                struct epoll_event events[64];
                int n = epoll_wait(load->epoll, events, 64, load->draining ? 100 : tend(load, now));

                for (int i = 0; i < n; i++) {
                        struct client *client = events[i].data.ptr;

                        if (client->phase == CLIENT_CONNECTING)
                                client_connected(load, client);
                        else if (client->phase == CLIENT_WAITING)
                                client_readable(load, client);
                }
                now = now_ns();
        }
}

/* Takes in the last answers, so that the sum is exact. */
static void drain(struct load *load)
{
        load->draining = true;
        for (size_t i = 0; i < load->client_count; i++) {
                if (load->clients[i].phase == CLIENT_CONNECTING)
                        client_hang_up(&load->clients[i]);
        }
        run(load, now_ns() + DRAIN_NS);
        for (size_t i = 0; i < load->client_count; i++) {
                struct client *client = &load->clients[i];

                if (client->phase == CLIENT_WAITING)
                        client_broke(load, client, "no answer at the end", ETIMEDOUT);
                client_hang_up(client);
        }
}

/* ---- the counter, by a connection of its own ---- */

static int connect_blocking(const struct load *load)
{
        const struct timeval limit = {.tv_sec = 10};
        int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

        if (fd < 0)
                return -errno;
        (void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
        (void)setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit));
        if (connect(fd, (const struct sockaddr *)&load->addr, sizeof(load->addr)) < 0) {
                int error = errno;

                (void)close(fd);
                return -error;
        }
        return fd;
}

/* "$n\r\n<digits>\r\n", or "$-1\r\n" for none. 0, or -1 with a sentence in @in. */
static int parse_counter(char *in, size_t bytes, int64_t *ret_value)
{
        char *end, *digits = memchr(in, '\n', bytes);

        *ret_value = 0;
        if (strncmp(in, "$-1", 3) == 0)
                return 0;
        if (in[0] != '$' || !digits)
                return -1;
        errno = 0;
        *ret_value = strtoll(digits + 1, &end, 10);
        return errno || end == digits + 1 ? -1 : 0;
}

static int read_counter(struct load *load, int64_t *ret_value)
{
        char request[REQUEST_BYTES_MAX], in[128] = "";
        int bytes = snprintf(request, sizeof(request), "*2\r\n$3\r\nGET\r\n$%zu\r\n%s\r\n",
                             strlen(load->options.key), load->options.key);
        size_t got = 0, lines = 0;
        int fd = connect_blocking(load);

        if (fd < 0) {
                say_error(load, "cannot connect to read the counter", strerror(-fd));
                return -1;
        }
        if (send(fd, request, (size_t)bytes, MSG_NOSIGNAL) != bytes)
                in[0] = '\0';
        while (lines < 2 && strncmp(in, "$-1\r\n", 5) != 0 && in[0] != '-' && got < sizeof(in) - 1) {
                ssize_t n = recv(fd, in + got, sizeof(in) - 1 - got, 0);

                if (n <= 0)
                        break;
                got += (size_t)n;
                lines = 0;
                for (size_t i = 0; i < got; i++)
                        lines += in[i] == '\n';
        }
        (void)close(fd);
        in[got] = '\0';
        if (parse_counter(in, got, ret_value) == 0 && got > 0)
                return 0;
        in[strcspn(in, "\r\n")] = '\0';
        say_error(load, "the counter cannot be read", got ? in : "no answer");
        return -1;
}

/* ---- the summary ---- */

static double ms(uint64_t ns)
{
        return (double)ns / 1e6;
}

/* Acknowledged writes must all be there; those nobody knows of may be. */
static bool counter_matches(const struct load *load)
{
        int64_t grown = load->counter_after - load->counter_before;
        int64_t least = (int64_t)load->acknowledged;

        return grown >= least && grown <= least + (load->options.tolerate ? (int64_t)load->unsure : 0);
}

static void print_text(const struct load *load, double seconds)
{
        (void)printf("requests          %llu in %.1f s (%.0f/s)\n", (unsigned long long)load->hist.count, seconds,
                     (double)load->hist.count / seconds);
        (void)printf("errors            %llu\n", (unsigned long long)load->errors);
        (void)printf("connections       %llu made, %llu broken, %llu INCRs unsure\n",
                     (unsigned long long)load->connections, (unsigned long long)load->disconnects,
                     (unsigned long long)load->unsure);
        (void)printf("acknowledged      %llu INCRs, the counter grew by %lld: %s\n",
                     (unsigned long long)load->acknowledged, (long long)(load->counter_after - load->counter_before),
                     counter_matches(load) ? "equal" : "DIFFERENT");
        (void)printf("latency ms        p50 %.3f  p99 %.3f  p99.9 %.3f  max %.3f\n", ms(kv_hist_at(&load->hist, 0.5)),
                     ms(kv_hist_at(&load->hist, 0.99)), ms(kv_hist_at(&load->hist, 0.999)), ms(load->hist.max));
        for (size_t i = 0; i < load->client_count && i < CLIENTS_SHOWN; i++) {
                const struct client *client = &load->clients[i];

                (void)printf("longest pause     client %zu%s: %.3f ms, ended at %llu\n", i, client->is_short ? " (short)" : "",
                             ms(client->longest_ns), (unsigned long long)client->longest_wall_ms);
        }
}

static uint64_t since_begin_ns(const struct load *load, unsigned long long at_wall_ms)
{
        return at_wall_ms > load->begin_wall_ms ? (at_wall_ms - load->begin_wall_ms) * UINT64_C(1000000) : 0;
}

/* Calls for each window of the marks file; a line that is none is reported and skipped. @json NULL: text. */
static void print_marks(struct load *load, FILE *json)
{
        FILE *file = load->options.marks ? fopen(load->options.marks, "re") : NULL;
        char line[256], label[64];
        unsigned long long begin, end;
        size_t count = 0;

        if (load->options.marks && !file)
                say_error(load, load->options.marks, strerror(errno));
        while (file && count < MARKS_MAX && fgets(line, sizeof(line), file)) {
                uint64_t us;

                // NOLINTNEXTLINE(cert-err34-c): a number out of range is a window nobody finds anything in
                if (sscanf(line, "%llu %llu %63[^\n\"\\]", &begin, &end, label) != 3) {
                        (void)fprintf(stderr, "kv-load: %s: expected 'BEGIN_MS END_MS LABEL', skipped: %s", load->options.marks,
                                      line);
                        continue;
                }
                us = kv_timeline_longest_us(&load->timeline, since_begin_ns(load, begin), since_begin_ns(load, end));
                if (json)
                        (void)fprintf(json, "%s{\"label\":\"%s\",\"begin_ms\":%llu,\"end_ms\":%llu,\"longest_pause_ms\":%.3f}",
                                      count ? "," : "", label, begin, end, (double)us / 1e3);
                else
                        (void)printf("pause in window   %-20s %.3f ms\n", label, (double)us / 1e3);
                count++;
        }
        if (file)
                (void)fclose(file);
}

static void print_json(struct load *load, FILE *file, double seconds)
{
        (void)fprintf(file, "{\"requests\":%llu,\"seconds\":%.3f,\"errors\":%llu,\"connections\":%llu,\"disconnects\":%llu,"
                      "\"unsure\":%llu,\"acknowledged\":%llu,\"counter_before\":%lld,\"counter_after\":%lld,\"match\":%s,",
                      (unsigned long long)load->hist.count, seconds, (unsigned long long)load->errors,
                      (unsigned long long)load->connections, (unsigned long long)load->disconnects,
                      (unsigned long long)load->unsure, (unsigned long long)load->acknowledged,
                      (long long)load->counter_before, (long long)load->counter_after,
                      counter_matches(load) ? "true" : "false");
        (void)fprintf(file, "\"latency_ms\":{\"p50\":%.3f,\"p99\":%.3f,\"p99_9\":%.3f,\"max\":%.3f},\"longest_pause_ms\":%.3f,",
                      ms(kv_hist_at(&load->hist, 0.5)), ms(kv_hist_at(&load->hist, 0.99)),
                      ms(kv_hist_at(&load->hist, 0.999)), ms(load->hist.max), ms(load->hist.max));
        (void)fprintf(file, "\"clients\":[");
        for (size_t i = 0; i < load->client_count; i++) {
                const struct client *client = &load->clients[i];

                (void)fprintf(file, "%s{\"short\":%s,\"requests\":%llu,\"longest_pause_ms\":%.3f,\"longest_pause_at_ms\":%llu}",
                              i ? "," : "", client->is_short ? "true" : "false", (unsigned long long)client->requests,
                              ms(client->longest_ns), (unsigned long long)client->longest_wall_ms);
        }
        (void)fprintf(file, "],\"windows\":[");
        print_marks(load, file);
        (void)fprintf(file, "]}\n");
}

static void report(struct load *load, double seconds)
{
        const char *path = load->options.json;
        FILE *file = NULL;

        if (!path || strcmp(path, "-") != 0) {
                print_text(load, seconds);
                print_marks(load, NULL);
        }
        if (path)
                file = strcmp(path, "-") == 0 ? stdout : fopen(path, "we");
        if (path && !file)
                say_error(load, path, strerror(errno));
        if (file)
                print_json(load, file, seconds);
        if (file && file != stdout && fclose(file) != 0)
                say_error(load, path, strerror(errno));
        (void)fflush(stdout);
}

/* ---- start ---- */

static const char usage[] =
        "usage: kv-load [--host ADDR] [--port P] [--clients N] [--short N] [--seconds N] [--key NAME]\n"
        "               [--json FILE|-] [--marks FILE] [--tolerate-disconnects]\n"
        "\n"
        "Sends INCR over persistent connections (and --short ones), counts what is acknowledged, compares it with the counter.\n"
        "Defaults: 127.0.0.1, port 6379, 4 clients, 0 short ones, 10 seconds, key `counter`.\n";

__attribute__((noreturn)) static void usage_error(const char *what, const char *value)
{
        (void)fprintf(stderr, "kv-load: %s '%s'\n%s", what, value, usage);
        exit(2);
}

static long number(const char *option, const char *text, long least, long most)
{
        char *end;
        long value;

        errno = 0;
        value = strtol(text, &end, 10);
        if (errno || end == text || *end || value < least || value > most) {
                (void)fprintf(stderr, "kv-load: --%s takes a number from %ld to %ld, not '%s'\n", option, least, most, text);
                exit(2);
        }
        return value;
}

static void parse_options(struct options *options, int argc, char **argv)
{
        static const struct option names[] = {
                {"host", required_argument, NULL, 'H'},  {"port", required_argument, NULL, 'p'},
                {"clients", required_argument, NULL, 'c'}, {"short", required_argument, NULL, 's'},
                {"seconds", required_argument, NULL, 't'}, {"key", required_argument, NULL, 'k'},
                {"json", required_argument, NULL, 'j'},  {"marks", required_argument, NULL, 'm'},
                {"tolerate-disconnects", no_argument, NULL, 'T'}, {"help", no_argument, NULL, 'h'},
                {NULL, 0, NULL, 0},
        };
        int c;

        *options = (struct options){.host = "127.0.0.1", .key = "counter", .port = 6379, .clients = 4, .seconds = 10};
        // NOLINTNEXTLINE(concurrency-mt-unsafe): one thread
        while ((c = getopt_long(argc, argv, "", names, NULL)) != -1) {
                switch (c) {
                case 'H':
                        options->host = optarg;
                        break;
                case 'p':
                        options->port = number("port", optarg, 1, 65535);
                        break;
                case 'c':
                        options->clients = number("clients", optarg, 0, CLIENTS_MAX / 2);
                        break;
                case 's':
                        options->short_clients = number("short", optarg, 0, CLIENTS_MAX / 2);
                        break;
                case 't':
                        options->seconds = number("seconds", optarg, 1, SECONDS_MAX);
                        break;
                case 'k':
                        options->key = optarg;
                        break;
                case 'j':
                        options->json = optarg;
                        break;
                case 'm':
                        options->marks = optarg;
                        break;
                case 'T':
                        options->tolerate = true;
                        break;
                case 'h':
                        (void)fputs(usage, stdout);
                        exit(0);
                default:
                        (void)fputs(usage, stderr);
                        exit(2);
                }
        }
        if (optind < argc)
                usage_error("unexpected argument", argv[optind]);
        if (!options->key[0] || strlen(options->key) > KEY_BYTES_MAX)
                usage_error("--key takes 1 to 100 bytes, not", options->key);
}

static void on_signal(int signo)
{
        stop = signo;
}

/* 0, or -1 with a line on stderr. */
static int prepare(struct load *load)
{
        struct sigaction action = {.sa_handler = on_signal};
        const struct options *options = &load->options;

        load->addr = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons((uint16_t)options->port)};
        if (inet_pton(AF_INET, options->host, &load->addr.sin_addr) != 1)
                usage_error("--host takes an IPv4 address, not", options->host);
        load->request_bytes = (size_t)snprintf(load->request, sizeof(load->request), "*2\r\n$4\r\nINCR\r\n$%zu\r\n%s\r\n",
                                               strlen(options->key), options->key);
        load->client_count = (size_t)(options->clients + options->short_clients);
        for (size_t i = 0; i < load->client_count; i++)
                load->clients[i] = (struct client){.fd = -1, .is_short = i >= (size_t)options->clients};
        load->timeline.count = (size_t)options->seconds * (1000000000 / KV_TIMELINE_STEP_NS) + DRAIN_NS / KV_TIMELINE_STEP_NS;
        load->timeline.longest_us = calloc(load->timeline.count, sizeof(uint32_t));
        load->epoll = epoll_create1(EPOLL_CLOEXEC);
        if (!load->timeline.longest_us || load->epoll < 0) {
                say_error(load, "cannot start", strerror(errno));
                return -1;
        }
        (void)sigaction(SIGTERM, &action, NULL);
        (void)sigaction(SIGINT, &action, NULL);
        (void)sigaction(SIGUSR1, &action, NULL);
        return read_counter(load, &load->counter_before);
}

int main(int argc, char **argv)
{
        static struct load load;
        double seconds;
        int status = 1;

        parse_options(&load.options, argc, argv);
        if (prepare(&load) == 0) {
                load.begin_ns = now_ns();
                load.begin_wall_ms = wall_ms();
                for (size_t i = 0; i < load.client_count; i++)
                        load.clients[i].since_ns = load.begin_ns;
                run(&load, load.begin_ns + (uint64_t)load.options.seconds * UINT64_C(1000000000));
                seconds = (double)(now_ns() - load.begin_ns) / 1e9;
                drain(&load);
                (void)read_counter(&load, &load.counter_after);
                report(&load, seconds);
                status = load.errors == 0 && counter_matches(&load) ? 0 : 1;
        }
        free(load.timeline.longest_us);
        if (load.epoll >= 0)
                (void)close(load.epoll);
        return status;
}
