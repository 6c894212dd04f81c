/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A user's program with a hub inside, built against an installed tree as plain C99 with -Wpedantic -Werror: one child, a function, that is started,
 * swapped and stopped.
 */
#define _XOPEN_SOURCE 700
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <baton/hub.h>

static struct baton_hub *hub;
static int swapped;

static void on_done(void *ctx, const struct baton_hub_outcome *outcome)
{
        (void)ctx;
        swapped = outcome->result == 0 && outcome->ok == 1;
        (void)baton_hub_stop(hub);
}

static void on_event(void *ctx, const struct baton_hub_event *event)
{
        (void)ctx;
        if (!strcmp(event->name, "children_started"))
                (void)baton_hub_swap(hub, "idle", BATON_HUB_AS_SPECIFIED, on_done, NULL);
}

static void on_say(void *ctx, const char *sentence)
{
        (void)ctx, (void)sentence;
}

static int complain(const char *what, int r)
{
        (void)fprintf(stderr, "host: %s: %s: %s\n", what, baton_strerror(r), hub ? baton_hub_error(hub) : "");
        return 1;
}

int main(void)
{
        char dir[] = "/tmp/baton-host-XXXXXX", command[64];
        struct baton_child_ops ops;
        struct baton_hub_options options;
        struct baton_hub_child child;
        int r;

        if (!mkdtemp(dir))
                return 1;
        memset(&ops, 0, sizeof(ops));
        ops.size = sizeof(ops);
        memset(&options, 0, sizeof(options));
        options.size = sizeof(options);
        options.name = "host";
        options.runtime_dir = dir;
        options.event = on_event;
        options.say = on_say;
        r = baton_hub_open(&hub, &options);
        if (r)
                return complain("open", r);
        baton_hub_child_init(&child, sizeof(child));
        child.id = "idle";
        child.ops = &ops;
        child.strategy = BATON_HUB_HOT;
        r = baton_hub_add_child(hub, &child);
        if (r)
                return complain("add", r);
        r = baton_hub_run(hub);
        if (r)
                return complain("run", r);
        hub = baton_hub_close(hub);
        (void)snprintf(command, sizeof(command), "rm -r %s", dir);
        if (system(command) != 0 || !swapped)
                return complain("not swapped", 0);
        (void)printf("serves\n");
        return 0;
}
