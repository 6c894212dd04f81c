/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bench-echo CPU: a child that answers each call with its own bytes. Bound to a processor; -1: to none. See messages.c.
 */
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>

#include <baton/child.h>
#include <baton/messages.h>

static int on_message(struct baton_child *child, const struct baton_message *message, void *ctx)
{
        (void)ctx;
        if (!message->wants_answer)
                return 0;
        return baton_message_reply(child, message, message->data, message->bytes);
}

static void bind_to(long cpu)
{
        cpu_set_t set;

        if (cpu < 0 || cpu >= CPU_SETSIZE)
                return;
        CPU_ZERO(&set);
        CPU_SET((size_t)cpu, &set);
        (void)sched_setaffinity(0, sizeof(set), &set);
}

int main(int argc, char **argv)
{
        const struct baton_child_ops ops = {.size = sizeof(ops), .on_message = on_message};
        struct baton_child *child = NULL;
        int r = baton_child_open(
                &child, &ops,
                NULL); /* before it is bound: the library watches for messages only with two processors */

        if (!r) {
                bind_to(argc > 1 ? strtol(argv[1], NULL, 10) : -1);
                r = baton_child_run(child);
        }
        if (r)
                (void)fprintf(stderr, "bench-echo: %s\n", baton_strerror(r));
        child = baton_child_close(child);
        return r ? 1 : 0;
}
