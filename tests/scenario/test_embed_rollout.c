/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Rollouts of a hub inside this very program, through <baton/hub.h> alone: a pool of three functions that keep a count, which another function takes over a few at a
 * time, and goes back from. What runs where is asked of the hub: a function's end is what its version says.
 */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <baton/hub.h>

#include "tests/support/counted.h"
#include "tests/support/world.h"

#define POOL 3

/* ---- the child: in a process of its own. It appends "ID VERSION COUNT" to a file when it serves, COUNT being how many processes there were before it ---- */

static char served[256]; /* the file; known before the fork */

static int restore(struct baton_child *child, const struct baton_restore *restore, void *ctx)
{
        (void)child;
        if (!strcmp(ctx, "refuses"))
                return -ENOSPC;
        count_take(restore);
        count++;
        return 0;
}

static void serve(struct baton_child *child, void *ctx)
{
        FILE *file = fopen(served, "ae");

        if (!file)
                _exit(9);
        (void)fprintf(file, "%s %s %d\n", baton_child_id(child), (const char *)ctx, (int)count);
        (void)fclose(file);
}

static const struct baton_child_ops ops = {
        .size = sizeof(ops), .schema = "count", .version = 1, .version_oldest = 1, .restore = restore, .serve = serve, .capture = count_capture,
};

static char v1[] = "v1", v2[] = "v2", refuses[] = "refuses";

/* ---- the hub ---- */

struct told {
        struct baton_hub *hub;
        bool started;
        int over, done, result;
        uint32_t ok, failed;
        char text[512];
        char events[8192]; /* of rollouts: "name text;" .. */
};

static void on_event(void *ctx, const struct baton_hub_event *event)
{
        struct told *t = ctx;
        char one[256];

        t->started = t->started || !strcmp(event->name, "children_started");
        if (strncmp(event->name, "rollout", 7) != 0)
                return;
        (void)snprintf(one, sizeof(one), "%s %.200s;", event->name, event->text);
        (void)strncat(t->events, one, sizeof(t->events) - strlen(t->events) - 1);
}

static void on_done(void *ctx, const struct baton_hub_outcome *outcome)
{
        struct told *t = ctx;

        t->done++;
        t->result = outcome->result;
        t->ok = outcome->ok;
        t->failed = outcome->failed;
        assert_string_equal(outcome->target, "web");
        (void)snprintf(t->text, sizeof(t->text), "%s", outcome->text);
}

static void turn(struct told *t)
{
        struct pollfd fd = {.fd = baton_hub_fd(t->hub), .events = POLLIN};
        int n = poll(&fd, 1, WORLD_WAIT_MS);

        if (n < 0 && errno == EINTR)
                return;
        assert_int_equal(n, 1);
        t->over = baton_hub_dispatch(t->hub);
        assert_true(t->over >= 0);
}

static void until_done(struct told *t)
{
        for (int before = t->done; t->done == before;)
                turn(t);
}

static void start(const struct world *w, struct told *t)
{
        char runtime[96];
        const struct baton_hub_options options = {.size = sizeof(options), .name = w->hub, .runtime_dir = runtime, .event = on_event, .ctx = t};
        struct baton_hub_child child;

        memset(t, 0, sizeof(*t));
        (void)snprintf(runtime, sizeof(runtime), "%s/run", w->dir);
        (void)snprintf(served, sizeof(served), "%s/served", w->dir);
        baton_hub_child_init(&child, sizeof(child));
        child.id = "web";
        child.instances = POOL;
        child.ops = &ops;
        child.ctx = v1;
        child.handover = true;
        child.strategy = BATON_HUB_HOT;
        child.state = BATON_STATE_BLOB;
        assert_int_equal(baton_hub_open(&t->hub, &options), 0);
        assert_int_equal(baton_hub_add_child(t->hub, &child), 0);
        assert_int_equal(baton_hub_start(t->hub), 0);
        while (!t->started)
                turn(t);
}

static void end(struct world *w, struct told *t)
{
        assert_int_equal(baton_hub_stop(t->hub), 0);
        while (t->over != BATON_HUB_STOPPED)
                turn(t);
        t->hub = baton_hub_close(t->hub);
        world_end(w);
}

/* All of the pool have served as that, with that count. */
static void expect_all(const struct world *w, const char *version, int wanted)
{
        char text[4096], line[64];

        world_read(w, "served", text, sizeof(text));
        for (int i = 0; i < POOL; i++) {
                (void)snprintf(line, sizeof(line), "web/%d %s %d\n", i, version, wanted);
                if (!strstr(text, line))
                        fail_msg("nobody has served as '%.*s' but:\n%s", (int)strlen(line) - 1, line, text);
        }
}

static struct baton_hub_rollout to(char *version)
{
        struct baton_hub_rollout rollout;

        baton_hub_rollout_init(&rollout, sizeof(rollout));
        rollout.ops = &ops;
        rollout.ctx = version;
        rollout.min_ready_ns = 1000000;
        return rollout;
}

static void a_pool_goes_to_another_function_and_back(void **state)
{
        struct world *w = *state;
        struct baton_hub_rollout rollout = to(v2);
        struct told t;

        start(w, &t);
        assert_int_equal(baton_hub_roll_out(t.hub, "web", &rollout, on_done, &t), 0);
        assert_int_equal(baton_hub_swap(t.hub, "web", BATON_HUB_HOT, NULL, NULL), 0); /* begun, and refused child by child */
        until_done(&t);
        assert_int_equal(t.result, 0);
        assert_int_equal(t.ok, POOL);
        assert_int_equal(t.failed, 0);
        expect_all(w, "v2", 2);
        assert_int_equal(baton_hub_roll_back(t.hub, "web", NULL, on_done, &t), 0);
        until_done(&t);
        assert_int_equal(t.result, 0);
        assert_int_equal(t.ok, POOL);
        expect_all(w, "v1", 3);
        assert_int_equal(baton_hub_roll_back(t.hub, "web", NULL, on_done, &t), -ECANCELED);
        assert_non_null(strstr(baton_hub_error(t.hub), "nothing to go back to"));
        assert_non_null(strstr(t.events, "rollout_begun web: 3 children"));
        assert_non_null(strstr(t.events, "rollout_completed"));
        end(w, &t);
}

/* The canary refuses, or is not healthy: all are what they were. */
static void what_does_not_do_well_goes_back(void **state)
{
        static char no[] = "/bin/false";
        static char *const unhealthy[] = {no, NULL};
        struct world *w = *state;
        struct baton_hub_rollout rollout = to(refuses);
        struct baton_hub_look look = {.size = sizeof(look)};
        struct told t;

        start(w, &t);
        assert_int_equal(baton_hub_roll_out(t.hub, "web", &rollout, on_done, &t), 0);
        until_done(&t);
        assert_int_equal(t.result, -ECANCELED);
        assert_int_equal(t.ok, 0);
        assert_int_equal(t.failed, POOL);
        assert_non_null(strstr(t.text, "refused the state"));
        rollout = to(v2);
        rollout.health = unhealthy;
        assert_int_equal(baton_hub_roll_out(t.hub, "web", &rollout, on_done, &t), 0);
        until_done(&t);
        assert_int_equal(t.result, -ECANCELED);
        assert_int_equal(t.ok, 0);
        assert_non_null(strstr(t.events, "rollout_failed"));
        for (int i = 1; i < POOL; i++) {
                char id[16];

                (void)snprintf(id, sizeof(id), "web/%d", i);
                assert_int_equal(baton_hub_look(t.hub, id, &look), 0);
                assert_int_equal(look.incarnation, 1); /* behind the canary nobody was touched */
        }
        assert_int_equal(baton_hub_look(t.hub, "web/0", &look), 0);
        assert_string_equal(look.phase, "running");
        end(w, &t);
}

static void requests_that_make_no_sense(void **state)
{
        static char relative[] = "true";
        static char *const health[] = {relative, NULL};
        struct world *w = *state;
        struct baton_hub_rollout rollout = to(v2);
        struct told t;

        start(w, &t);
        assert_int_equal(baton_hub_roll_out(t.hub, "api", &rollout, on_done, &t), -ENOENT);
        assert_int_equal(baton_hub_roll_out(t.hub, "web", NULL, on_done, &t), -EINVAL);
        rollout.exec = "/bin/true"; /* and a function */
        assert_int_equal(baton_hub_roll_out(t.hub, "web", &rollout, on_done, &t), -EINVAL);
        rollout.ops = NULL;
        rollout.exec = "/no/such";
        assert_int_equal(baton_hub_roll_out(t.hub, "web", &rollout, on_done, &t), -ENOENT);
        rollout = to(v2);
        rollout.health = health;
        assert_int_equal(baton_hub_roll_out(t.hub, "web", &rollout, on_done, &t), -EINVAL);
        assert_non_null(strstr(baton_hub_error(t.hub), "not absolute"));
        rollout = to(v2);
        rollout.max_surge = 0;
        rollout.max_unavailable = 0;
        assert_int_equal(baton_hub_roll_out(t.hub, "web", &rollout, on_done, &t), -EINVAL);
        assert_int_equal(t.done, 0);
        end(w, &t);
}

#define SCENARIO(name) cmocka_unit_test_setup_teardown(name, world_setup, world_teardown)

int main(void)
{
        const struct CMUnitTest tests[] = {
                SCENARIO(a_pool_goes_to_another_function_and_back),
                SCENARIO(what_does_not_do_well_goes_back),
                SCENARIO(requests_that_make_no_sense),
        };

        (void)signal(SIGPIPE, SIG_IGN);
        return cmocka_run_group_tests_name("embed: rollouts", tests, NULL, NULL);
}
