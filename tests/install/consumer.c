/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A user's program, built against an installed tree as plain C99 with -Wpedantic -Werror: the public headers must need nothing of
 * ours. It runs without a hub, so it restores FRESH and serves at once.
 */
#include <stdio.h>
#include <string.h>

#include <baton/child.h>

static int restored, served;

static int on_restore(struct baton_child *child, const struct baton_restore *restore, void *ctx)
{
        (void)child;
        restored += restore->reason == BATON_REASON_FRESH && ctx == &restored;
        return 0;
}

static void on_serve(struct baton_child *child, void *ctx)
{
        (void)child;
        (void)ctx;
        served++;
}

static int complain(const char *what, int r)
{
        (void)fprintf(stderr, "consumer: %s: %s\n", what, baton_strerror(r));
        return 1;
}

int main(void)
{
        struct baton_child_ops ops;
        struct baton_child *child;
        int r;

        memset(&ops, 0, sizeof(ops));
        ops.size = sizeof(ops);
        ops.restore = on_restore;
        ops.serve = on_serve;

        r = baton_child_open(&child, &ops, &restored);
        if (r)
                return complain("open", r);
        r = baton_child_ready(child);
        if (r)
                return complain("ready", r);
        if (restored != 1 || served != 1 || !baton_child_serving(child))
                return complain("not serving after ready", 0);
        if (baton_child_supervised(child) || baton_child_socket(child, "web") >= 0)
                return complain("supervised without a hub", 0);
        if (baton_child_close(child))
                return complain("close", 0);
        (void)printf("serves\n");
        return 0;
}
