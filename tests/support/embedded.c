/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/embedded.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>

#include "tests/support/placed.h"

static void on_event(void *ctx, const struct baton_hub_event *event)
{
        struct embedded *t = ctx;
        int n = snprintf(t->events + t->bytes, sizeof(t->events) - t->bytes, "%s %s %s\n",
                         event->child, event->name, event->text);

        t->bytes += (size_t)n;
        assert_true(t->bytes < sizeof(t->events));
}

static void on_say(void *ctx, const char *sentence)
{
        struct embedded *t = ctx;
        size_t used = strlen(t->said);

        (void)snprintf(t->said + used, sizeof(t->said) - used, "%s\n", sentence);
}

void embedded_open(const struct world *w, struct embedded *t)
{
        char runtime[96], states[96];
        const struct baton_hub_options options = {.size = sizeof(options),
                                                  .name = w->hub,
                                                  .runtime_dir = runtime,
                                                  .state_dir = states,
                                                  .event = on_event,
                                                  .say = on_say,
                                                  .ctx = t};

        (void)snprintf(runtime, sizeof(runtime), "%s/run", w->dir);
        (void)snprintf(states, sizeof(states), "%s/state", w->dir);
        *t = (struct embedded){.bytes = 0};
        assert_int_equal(baton_hub_open(&t->hub, &options), 0);
}

void embedded_placed(const struct world *w, struct baton_hub_child *child, const char *id,
                     const char *const env[])
{
        static char exec[640];

        world_program(w, exec, "child_placed");
        baton_hub_child_init(child, sizeof(*child));
        child->id = id;
        child->exec = exec;
        child->env = (char *const *)(uintptr_t)env;
        child->strategy = BATON_HUB_HOT;
        child->handover = true;
        child->state = BATON_STATE_BLOB;
        child->restore_attempts = 1;
}

void embedded_start(struct embedded *t)
{
        if (baton_hub_start(t->hub))
                fail_msg("%s", baton_hub_error(t->hub));
        embedded_until(t, "children_started");
}

bool embedded_turn(struct embedded *t, int ms)
{
        struct pollfd fd = {.fd = baton_hub_fd(t->hub), .events = POLLIN};
        int n = poll(&fd, 1, ms);

        if (n == 1) {
                t->over = baton_hub_dispatch(t->hub);
                assert_true(t->over >= 0);
        }
        return n == 1 || (n < 0 && errno == EINTR);
}

void embedded_until(struct embedded *t, const char *event)
{
        while (!strstr(t->events, event)) {
                if (!embedded_turn(t, WORLD_WAIT_MS))
                        fail_msg("nothing happened for %d ms, and no '%s' among:\n%s",
                                 WORLD_WAIT_MS, event, t->events);
        }
}

/* The end of a command is no event of the hub, and its answer may need a turn: so we look again. */
void embedded_until_ended(struct embedded *t, pid_t pid)
{
        int status;

        while (!world_has_ended(pid))
                (void)embedded_turn(t, 1);
        status = world_wait(pid);
        if (status)
                fail_msg("a command ended with %d; the hub said:\n%s", status, t->said);
}

void embedded_stop(struct embedded *t)
{
        assert_int_equal(baton_hub_stop(t->hub), 0);
        while (t->over != BATON_HUB_STOPPED)
                assert_true(embedded_turn(t, WORLD_WAIT_MS));
        t->hub = baton_hub_close(t->hub);
}
