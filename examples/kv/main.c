/* SPDX-License-Identifier: Apache-2.0 */
/*
 * kv: a small server that speaks the Redis protocol and can be replaced while it serves. Its keys and connections live in the arena (state.h), so a
 * swap moves a word and some descriptors, however many keys there are.
 *
 *      baton run examples/kv/kv.yaml         supervised
 *      KV_PORT=7000 kv-v1                    alone, on 127.0.0.1:7000; everything is gone when it ends
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>

#include "examples/kv/server.h"

static struct kv_server server;

/* A descriptor for each client. What the hard limit allows is enough: past it clients wait in the backlog. */
static void raise_nofile(void)
{
        struct rlimit limit;

        if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < limit.rlim_max &&
            limit.rlim_cur < KV_CLIENTS_MAX + 128) {
                limit.rlim_cur = limit.rlim_max < KV_CLIENTS_MAX + 128 ? limit.rlim_max : KV_CLIENTS_MAX + 128;
                (void)setrlimit(RLIMIT_NOFILE, &limit);
        }
}

/* The exit status. */
static int run(void)
{
        int r = kv_server_open(&server);

        if (r)
                return 1;
        r = baton_child_ready(server.child);
        if (r == BATON_CHILD_STOP)
                return 0;
        if (r) {
                (void)fprintf(stderr, "kv %s: cannot take over: %s\n", KV_VERSION, baton_strerror(r));
                return 1;
        }
        return kv_server_run(&server);
}

int main(void)
{
        int status, r;

        kv_fail_at_start();
        raise_nofile();
        server.epoll = server.listener = -1;
        server.started_ms = kv_now_ms();
        for (uint32_t slot = 0; slot < KV_CLIENTS_MAX; slot++)
                server.peers[slot].fd = -1;

        r = baton_child_open(&server.child, kv_fail_is("bad_schema") ? &kv_child_ops_bad_schema : &kv_child_ops, &server);
        if (r) {
                (void)fprintf(stderr, "kv %s: cannot start: %s\n", KV_VERSION, baton_strerror(r));
                return 1;
        }
        status = run();
        kv_server_let_go(&server);
        server.child = baton_child_close(server.child);
        return status;
}
