/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The child there are many of: `bench-member MUSTER BYTES [late]`, started by the hub as m or as m/0, m/1, ... It has a blob of BYTES bytes, which tells
 * from which child it is, and makes its mark on the muster roll (muster.h) when it serves. Then it sleeps until the hub wants something. With `late`, and
 * without a state, it opens the roll when it has read the clock, as the floor does (bare.c): a program's own work is no part of its start.
 *
 * The clock is read in the first line of main(): what was before it, the kernel and the dynamic loader, is the start of a process.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <baton/child.h>

#include "base/clock.h"
#include "bench/muster.h"

struct member {
        struct bench_muster muster;
        uint32_t idx;
        uint64_t main_ns;
        size_t bytes;
        const char *path; /* of the roll */
};

static struct bench_mark *mark_of(const struct member *member)
{
        return &member->muster.marks[member->idx];
}

static unsigned char byte_of(const struct member *member)
{
        return (unsigned char)(member->idx * 31 + 7);
}

/* The first and last byte are looked at: all of it was summed when it was captured and before it is given to us. */
static int restore(struct baton_child *child, const struct baton_restore *restore, void *ctx)
{
        struct member *member = ctx;
        const unsigned char *state = restore->state;

        (void)child;
        if (!member->muster.head)
                return 0; /* late */
        mark_of(member)->reason = restore->reason;
        mark_of(member)->state_bytes = state ? restore->state_bytes : 0;
        if (state && member->bytes &&
            (restore->state_bytes != member->bytes || state[0] != byte_of(member) ||
             state[member->bytes - 1] != byte_of(member)))
                mark_of(member)->broken = 1;
        return 0;
}

static void serve(struct baton_child *child, void *ctx)
{
        struct member *member = ctx;
        uint64_t now = bt_now_ns();

        (void)child;
        if (!member->muster.head && bench_muster_attach(&member->muster, member->path))
                _exit(1);
        bench_muster_served(&member->muster, member->idx, member->main_ns, now);
}

static int capture(struct baton_child *child, struct baton_capture *capture, void *ctx)
{
        struct member *member = ctx;
        void *room;
        int r;

        (void)child;
        if (!member->bytes)
                return 0;
        r = baton_capture_reserve(capture, member->bytes, &room);
        if (r)
                return r;
        memset(room, byte_of(member), member->bytes);
        return baton_capture_commit(capture, member->bytes);
}

static void terminate(struct baton_child *child, void *ctx)
{
        struct member *member = ctx;

        (void)child;
        if (!member->muster.head)
                return;
        mark_of(member)->ended_ns = bt_now_ns();
}

int main(int argc, char **argv)
{
        static struct member member;
        uint64_t main_ns = bt_now_ns();
        struct baton_child_ops ops = {
                .size = sizeof(ops),
                .schema = "bench-member",
                .version = 1,
                .version_oldest = 1,
                .restore = restore,
                .serve = serve,
                .capture = capture,
                .terminate = terminate,
        };
        struct baton_child *child = NULL;
        const char *number;
        pid_t started;
        int r;
        bool late = argc == 4 && !strcmp(argv[3], "late");

        member.path = argv[1];
        if ((argc != 3 && !late) || (!late && bench_muster_attach(&member.muster, argv[1]))) {
                (void)fputs("bench-member is started by baton-bench, through a hub\n", stderr);
                return 2;
        }
        started = getpid();
        if (baton_child_zygote()) /* all have the same roll, so it is attached before the fork */
                return 1;
        member.main_ns = getpid() == started ? main_ns : bt_now_ns();
        member.bytes = strtoul(argv[2], NULL, 10);
        if (!member.bytes)
                ops.schema = NULL;
        r = baton_child_open(&child, &ops, &member);
        if (r) {
                (void)fprintf(stderr, "bench-member: %s\n", baton_strerror(r));
                return 1;
        }
        number = strchr(baton_child_id(child), '/');
        member.idx = number ? (uint32_t)strtoul(number + 1, NULL, 10) : 0;
        if (!late)
                bench_muster_pass_gate(&member.muster);
        r = late || member.idx < member.muster.count ? baton_child_run(child) : -ERANGE;
        if (r < 0)
                (void)fprintf(stderr, "bench-member: %s\n", baton_strerror(r));
        child = baton_child_close(child);
        return r < 0 ? 1 : 0;
}
