/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A child that counts messages in its arena, exactly once: tally.h. The count has two halves, the total and the caller's last number, so that a message that
 * was done by half shows.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <baton/child.h>
#include <baton/messages.h>

#include "tests/support/tally.h"

struct tally {
        uint64_t total;
        uint64_t wrong;
        uint64_t redelivered;
        uint64_t last[TALLY_CALLERS];
};

static void serve(struct baton_child *child, void *ctx)
{
        struct tally *tally;

        (void)ctx;
        if (baton_arena_root(child))
                return;
        baton_arena_begin(child);
        tally = baton_arena_alloc(child, sizeof(*tally));
        memset(tally, 0, sizeof(*tally));
        baton_arena_set_root(child, tally);
        baton_arena_end(child);
}

static void work(uint32_t us, uint32_t deliveries)
{
        struct timespec begun, now;

        if (us == TALLY_DIE)
                (void)kill(getpid(), SIGKILL);
        if (us == TALLY_HANG && deliveries == 1) {
                (void)fputs("hangs\n", stderr);
                for (;;)
                        (void)pause();
        }
        if (us == TALLY_HANG)
                return;
        (void)clock_gettime(CLOCK_MONOTONIC, &begun);
        do
                (void)clock_gettime(CLOCK_MONOTONIC, &now);
        while ((now.tv_sec - begun.tv_sec) * 1000000 + (now.tv_nsec - begun.tv_nsec) / 1000 <
               (long)us);
}

static int count_one(struct baton_child *child, struct tally *tally, const struct tally_message *in,
                     uint32_t deliveries)
{
        uint64_t *last = &tally->last[in->caller];
        int r = baton_arena_save(child, tally, offsetof(struct tally, last));

        if (!r)
                r = baton_arena_save(child, last, sizeof(*last));
        if (r)
                return r;
        tally->total++;
        tally->redelivered += deliveries > 1;
        tally->wrong += in->number != *last + 1;
        if (in->work_us)
                work(in->work_us, deliveries);
        *last = in->number;
        return 0;
}

/* A large payload is where the client has it, and so is the answer to it. */
static uint64_t add_up(const struct baton_message *message)
{
        uint8_t *bytes = message->shared;
        uint64_t sum = 0;

        for (size_t i = 0; i < message->shared_bytes; i++)
                sum += bytes[i]++;
        return sum;
}

static int on_message(struct baton_child *child, const struct baton_message *message, void *ctx)
{
        struct tally *tally = baton_arena_root(child);
        struct tally_message in;
        struct tally_answer out;
        int r = 0;

        (void)ctx;
        if (message->bytes != sizeof(in))
                return -EBADMSG;
        memcpy(&in, message->data, sizeof(in));
        if (in.caller >= TALLY_CALLERS)
                return -ERANGE;
        if (in.number)
                r = count_one(child, tally, &in, message->deliveries);
        if (r || !message->wants_answer)
                return r;
        out = (struct tally_answer){tally->total, tally->wrong, tally->last[in.caller],
                                    tally->redelivered};
        if (message->shared)
                out.total = add_up(message);
        return baton_message_reply(child, message, &out, sizeof(out));
}

/* For a test that cannot ask this one: see tally_sum() of scenario/test_shared_queue.c. */
static void terminate(struct baton_child *child, void *ctx)
{
        const struct tally *tally = baton_arena_root(child);

        (void)ctx;
        (void)fprintf(stderr, "tally %s total %llu redelivered %llu\n", baton_child_id(child),
                      tally ? (unsigned long long)tally->total : 0,
                      tally ? (unsigned long long)tally->redelivered : 0);
}

int main(void)
{
        const struct baton_child_ops ops = {
                .size = sizeof(ops),
                .schema = "tally",
                .version = 1,
                .version_oldest = 1,
                .serve = serve,
                .terminate = terminate,
                .message_flags = BATON_MESSAGES_ONCE,
                .on_message = on_message,
        };
        struct baton_child *child = NULL;
        int r = baton_child_open(&child, &ops, NULL);

        if (!r)
                r = baton_child_run(child);
        if (r)
                (void)fprintf(stderr, "tally: %s\n", baton_strerror(r));
        child = baton_child_close(child);
        return r ? 1 : 0;
}
