/* SPDX-License-Identifier: Apache-2.0 */
/*
 *      child_caller HUB TARGET CALLER COUNT WINDOW WORK_US
 *
 * Sends COUNT numbered calls to a tally (tally.h), WINDOW of them under way at once, and takes every answer. One call in 64 is told to work for WORK_US in
 * the middle of its effect. Prints "attached" when it begins, and at the end "answered N late N full
 * N attached N"; exit status 0 when every call was answered with status 0 and in order.
 */
#include <stdio.h>
#include <stdlib.h>

#include <baton/client.h>

#include "tests/support/tally.h"

#define WINDOW_MAX  1024
#define PATIENCE_NS UINT64_C(120000000000)

struct caller {
        struct baton_client *client;
        struct baton_target *target;
        uint32_t number;
        uint32_t work_us;
        uint64_t calls[WINDOW_MAX];
};

static int fail(const char *what, uint64_t number, int r)
{
        (void)printf("%s %llu: %d %s\n", what, (unsigned long long)number, r, baton_strerror(r));
        return 1;
}

static int begin(struct caller *caller, uint64_t number, uint32_t window)
{
        const struct tally_message message = {.caller = caller->number,
                                              .work_us = number % 64 ? 0 : caller->work_us,
                                              .number = number};
        const struct baton_send send = {.size = sizeof(send),
                                        .data = &message,
                                        .bytes = sizeof(message),
                                        .timeout_ns = BATON_WAIT_FOREVER};
        int r = baton_client_begin(caller->target, &send, &caller->calls[number % window]);

        return r ? fail("begin", number, r) : 0;
}

static int collect(struct caller *caller, uint64_t number, uint32_t window)
{
        struct tally_answer answer = {0};
        struct baton_reply reply = {.data = &answer, .room = sizeof(answer)};
        int r = baton_client_collect(caller->client, caller->calls[number % window], &reply,
                                     PATIENCE_NS);

        if (!r && (reply.status || reply.bytes != sizeof(answer)))
                r = reply.status ? reply.status : -BATON_E_CORRUPT;
        if (!r && answer.last != number)
                r = -BATON_E_STALE;
        return r ? fail("collect", number, r) : 0;
}

static int run(struct caller *caller, uint64_t count, uint32_t window)
{
        uint64_t begun = 0;

        for (uint64_t number = 1; number <= count; number++) {
                while (begun < count && begun < number - 1 + window) {
                        if (begin(caller, begun + 1, window))
                                return 1;
                        begun++;
                }
                if (collect(caller, number, window))
                        return 1;
        }
        return 0;
}

int main(int argc, char **argv)
{
        const struct baton_client_options options = {.size = sizeof(options)};
        static struct caller caller;
        struct baton_client_stats stats;
        char why[BATON_WHY_BYTES] = "";
        uint32_t window;
        int r;

        if (argc != 7)
                return 2;
        caller.number = (uint32_t)strtoul(argv[3], NULL, 10);
        caller.work_us = (uint32_t)strtoul(argv[6], NULL, 10);
        window = (uint32_t)strtoul(argv[5], NULL, 10);
        if (!window || window > WINDOW_MAX)
                return 2;
        r = baton_client_open(&caller.client, argv[1], &options, why);
        if (!r)
                r = baton_client_target(&caller.target, caller.client, argv[2], NULL, why);
        if (r) {
                (void)printf("%s\n", why);
                return 1;
        }
        (void)puts("attached");
        (void)fflush(stdout);
        r = run(&caller, strtoull(argv[4], NULL, 10), window);
        baton_client_stats(caller.client, &stats);
        (void)printf("answered %llu late %llu full %llu attached %llu\n",
                     (unsigned long long)stats.answered, (unsigned long long)stats.late,
                     (unsigned long long)stats.full, (unsigned long long)stats.attached);
        caller.client = baton_client_close(caller.client);
        return r;
}
