/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Many children of one hub, each with a socket, a client and a request of its own.
 *
 *      rows_start(w, 20, "", "strategy: hot, handover: true, state: blob")     children r0 .. r19 (child_rows.c), sockets r0 .. r19
 *      rows_dial(&rows, w, 20)           a connection to each
 *      rows_ask(&rows, i, op, path, strategy)       for any of them
 *      rows_run(&rows)                   until all requests are answered; meanwhile each client counts: an answer, then the next
 *      rows_hang_up(&rows)
 *
 * An answer that is not the number after the last one fails the test at once: that is a write which was acknowledged and lost, or done twice.
 * rows.trace has what the hub told of all requests, "r3 committed", in the order in which it arrived.
 */

#include "tests/support/world.h"

#define ROWS_MAX 1000
#define ROWS_TRACE_BYTES (ROWS_MAX * 400)
#define ROWS_EACH_MAX 250 /* a configuration has no more sockets; a pool's children make their own (ROW_LISTEN) */

struct rows {
        struct world *w;
        int n;
        int fd[ROWS_MAX];
        long long count[ROWS_MAX]; /* the last answer */
        bool quiet[ROWS_MAX];      /* its client says nothing */
        bool waits[ROWS_MAX];      /* for an answer */
        bool asked[ROWS_MAX];      /* a request is under way */
        struct bt_ask ask[ROWS_MAX];
        struct bt_ctl_reply done[ROWS_MAX];
        uint64_t answers; /* of all clients, in rows_run() */
        size_t trace_used;
        char trace[ROWS_TRACE_BYTES];
};

/* @top: lines of the hub, each with its newline. @each: members of each child, as of a map in braces. @first: number of the first child. */
void rows_configure(const struct world *w, int first, int n, const char *top, const char *each);
void rows_start(struct world *w, int n, const char *top, const char *each);
int rows_connect(const struct world *w, int i); /* to one */

void rows_dial(struct rows *rows, struct world *w, int n);
void rows_hang_up(struct rows *rows);
void rows_ask(struct rows *rows, int i, uint32_t op, const char *path, uint32_t strategy);
void rows_ask_all(struct rows *rows, uint32_t op, const char *path, uint32_t strategy);
/* One request for all of the pool "r": its answer is done[0], and the trace has "r/3 committed". */
void rows_ask_pool(struct rows *rows, uint32_t op, const char *path, uint32_t strategy);
void rows_run(struct rows *rows);
int rows_outcomes(const struct rows *rows, uint32_t outcome); /* how many have that one */
/* One request to each, and what it must give: @base + its number. */
void rows_expect_values(const struct world *w, int n, long long base);
void rows_set_values(const struct world *w, int n); /* to 1 + its number */

/* How many records the store holds; no hub runs. */
size_t rows_stored(const struct world *w);
