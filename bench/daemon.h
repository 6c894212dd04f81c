/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * A real hub: `baton run` on a configuration of our own, in a folder of our own, asked over its control socket.
 *
 *      bench_daemon_open(&daemon)                      the folder
 *      bench_daemon_configure(&daemon, "hub: bench\n..")
 *      bench_daemon_start(&daemon)
 *      bench_daemon_await(&daemon, "children_started", 0, &event)
 *      bench_daemon_ask(&daemon, BT_CTL_SWAP, BT_STRATEGY_HOT, "m", NULL)
 *      bench_daemon_stop(&daemon)                      in order: states are kept, in the folder; may be started again
 *      bench_daemon_close(&daemon)                     kills what is left, removes the folder
 */

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "bench/process.h"
#include "shm/node.h"

#define BENCH_DIR_BYTES 48 /* short: the control socket's path has 107 bytes */
#define BENCH_WAIT_NS                                                                              \
        (120 * UINT64_C(1000000000)) /* 1 GiB fresh is filled in 1 s; a sanitizer takes its time */

struct bench_daemon {
        char dir[BENCH_DIR_BYTES]; /* "": none */
        struct bench_process process;
};

#define BENCH_DAEMON_NULL                                                                          \
        {                                                                                          \
                .process = BENCH_PROCESS_NULL                                                      \
        }

/* What the hub says about one request. */
struct bench_answer {
        uint64_t pause_ns; /* of the last migration */
        uint64_t total_ns;
        uint64_t asked_ns; /* from our sending to the outcome */
        uint64_t done;     /* children that were migrated */
        uint64_t failed;
};

/* One event of its stream. */
struct bench_event {
        uint64_t sequence;
        uint64_t mono_ns;
        char child[64];
        char text[256];
};

/* Each returns 0 or -errno; with a complaint where it says so. */
int bench_daemon_open(struct bench_daemon *daemon); /* complains */
__attribute__((format(printf, 2, 3))) int
bench_daemon_configure(const struct bench_daemon *daemon, const char *format, ...); /* complains */
int bench_daemon_start(struct bench_daemon *daemon);
/* It has ended: says how, and its last words. False: it lives. */
bool bench_daemon_ended(const struct bench_daemon *daemon);
void bench_daemon_show_log(const struct bench_daemon *daemon);

int bench_daemon_connect(const struct bench_daemon *daemon); /* a control connection, or -errno */
int bench_daemon_send(int fd, uint32_t op, uint32_t strategy, const char *target);
/* UPGRADE to the program @path, as `baton upgrade` asks for it. */
int bench_daemon_send_upgrade(int fd, const char *target, const char *path);
/* Reads replies up to the outcome. -ECANCELED: refused, with a complaint. @ret_answer may be NULL. */
int bench_daemon_outcome(int fd, struct bench_answer *ret_answer);
/* The three in one; complains. */
int bench_daemon_ask(const struct bench_daemon *daemon, uint32_t op, uint32_t strategy,
                     const char *target, struct bench_answer *ret_answer);

/* Waits, from its start on, for the first event @name after number @after; complains. */
int bench_daemon_await(const struct bench_daemon *daemon, const char *name, uint64_t after,
                       struct bench_event *ret_event);
/* The number of the last event so far. */
int bench_daemon_last_event(const struct bench_daemon *daemon, uint64_t *ret_sequence);

/* The node segment, for bench_node_read() and the like. */
int bench_daemon_status(const struct bench_daemon *daemon, struct bt_node_view *ret_view);
/* Waits until child number @slot_idx runs; a swap is refused before. */
int bench_daemon_await_running(const struct bench_daemon *daemon, uint32_t slot_idx);
/* Waits until it has a spare that sleeps: held, and with nothing left to prepare. */
int bench_daemon_await_spare(const struct bench_daemon *daemon, uint32_t slot_idx);

/* In order, and waits for its end; complains. The folder stays. */
int bench_daemon_stop(struct bench_daemon *daemon);
void bench_daemon_close(struct bench_daemon *daemon);
