/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * A load on a server of whoever: baton's kv, and the servers of bench/peers, all by the same driver. One thread, three kinds of connections at once:
 *
 *      new    opened at a fixed rate, whatever the server does meanwhile; one request each, then closed. Waits count from when the connection
 *             was due, so a server that stands still for a second is seen a thousand times and not once
 *      keep   stay open; a request now and then. One that the server closes is counted, and opened again
 *      busy   stay open; the next request when the answer is there
 *
 * At one moment of the run a command is given (replace the server), and it is noted when the first answer of the new version came and the last of the old
 * one. A failed request is one whose answer did not come: refused, reset, closed before the answer, or not within the time limit.
 */

#include <stdbool.h>
#include <stdint.h>

#include "bench/hist.h"

enum bench_protocol {
        BENCH_HTTP = 0,      /* GET /; the version is in the body */
        BENCH_RESP = 1,      /* INFO server; busy connections: INCR drive */
        BENCH_MEMCACHED = 2, /* get drive */
        _BENCH_PROTOCOL_N,
};

struct bench_drive_spec {
        enum bench_protocol protocol;
        uint16_t port;           /* of 127.0.0.1 */
        const char *version_old; /* found in answers; NULL: nobody looks */
        const char *version_new;
        uint32_t rate; /* new connections in a second */
        uint32_t keep;
        uint64_t keep_every_ns; /* between two requests of one */
        uint32_t busy;
        uint64_t duration_ns;
        uint64_t timeout_ns; /* of one request */
        uint64_t
                command_at_ns; /* after the begin; again each @command_every_ns when that is not 0 */
        uint64_t command_every_ns;
        int (*command)(void *ctx); /* must not block; NULL: none. Negative: the run fails */
        void *ctx;
};

struct bench_drive_result {
        uint64_t requests; /* answered */
        uint64_t failed;
        uint64_t closed; /* kept or busy ones that the server closed */
        uint64_t busy_requests;
        uint64_t commands;
        uint64_t command_ns; /* when the last command was given; CLOCK_MONOTONIC */
        uint64_t
                first_new_ns; /* first answer of the new version, after the command; 0: none came */
        uint64_t last_old_ns; /* last answer of the old one, the same */
        uint64_t longest_ns;  /* longest wait of an answered request, or of one that failed */
        uint64_t gap_ns;      /* longest time without any answer */
        struct bench_hist waits[3]; /* by kind of connection */
        char first_failure[128];
};

/* 0 or -errno, with a complaint. Failed requests are a result. */
int bench_drive(const struct bench_drive_spec *spec, struct bench_drive_result *ret_result);

/* ---- drive_answer.c ---- */

/* What is sent by a connection that is @busy or not. */
const char *bench_drive_request(enum bench_protocol protocol, bool busy);
/* The bytes of the first whole answer in [@text, @bytes); 0: more must come; -EBADMSG: it is none. @text is terminated. */
int64_t bench_drive_answer(enum bench_protocol protocol, const char *text, uint64_t bytes);
