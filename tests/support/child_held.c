/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A supervised child that says when its code runs: held_board.h. It keeps a count as a blob, one more with each restore. With HELD_HANG it does not end
 * when it is told, but stamps the board until it is killed.
 *
 * Built three times: with the static library (held by itself), with the shared one and BATON_HOLDS, and with the shared one alone.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include <baton/child.h>
#include <baton/hold.h>

#include "tests/support/counted.h"
#include "tests/support/held_board.h"

#ifdef HELD_MARKED
BATON_HOLDS
#endif

__attribute__((constructor)) static void begin(void)
{
        struct held_place *place = held_place();

        if (place)
                place->constructor_ns = held_now();
}

static int restore(struct baton_child *child, const struct baton_restore *restored, void *ctx)
{
        (void)child, (void)ctx;
        if (restored->state && restored->state_bytes != sizeof(count))
                return -EINVAL;
        count_take(restored);
        count++;
        return 0;
}

static void serve(struct baton_child *child, void *ctx)
{
        struct held_place *place = held_place();

        (void)child, (void)ctx;
        if (place)
                place->serve_ns = held_now();
        (void)printf("serves %llu\n", (unsigned long long)count);
        (void)fflush(stdout);
}

static void terminate(struct baton_child *child, void *ctx)
{
        struct held_place *place = held_place();

        (void)child, (void)ctx;
        do {
                if (place)
                        place->last_ns = held_now();
        } while (getenv("HELD_HANG"));
}

int main(void)
{
        static const struct baton_child_ops ops = {
                .size = sizeof(ops), .schema = "held", .version = 1, .version_oldest = 1,
                .restore = restore, .serve = serve, .capture = count_capture, .terminate = terminate,
        };
        struct held_place *place = held_place();
        struct baton_child *child = NULL;
        int r;

        if (place)
                place->main_ns = held_now();
        if (getenv("BATON_HELD_FD") && getenv("BATON_LINK_FD") == NULL)
                return 3;
        r = baton_child_open(&child, &ops, NULL);
        if (!r && (getenv("BATON_HELD_FD") || getenv("BATON_LINK_FD")))
                r = -EEXIST; /* a grandchild would think that it is meant */
        if (!r)
                r = baton_child_run(child);
        if (place)
                place->last_ns = held_now();
        child = baton_child_close(child);
        return r ? 1 : 0;
}
