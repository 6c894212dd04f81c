/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Groups of a hub inside this very program, through <baton/hub.h> alone: who is restarted for whom, what people can do to members and groups, how a group
 * ends, and what is refused. Most members are functions; each keeps a count of the processes there were before it, which is its state.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "tests/support/counted.h"
#include "tests/support/embedded.h"

/* ---- the children: in processes of their own. They append "ID COUNT" to a file when they serve ---- */

static char served[256]; /* the file; known before the fork */

static int restore(struct baton_child *child, const struct baton_restore *restore, void *ctx)
{
        (void)child, (void)ctx;
        count_take(restore);
        count++;
        return 0;
}

static void serve(struct baton_child *child, void *ctx)
{
        FILE *file = fopen(served, "ae");

        (void)ctx;
        if (!file)
                _exit(9);
        (void)fprintf(file, "%s %d\n", baton_child_id(child), (int)count);
        (void)fclose(file);
}

static const struct baton_child_ops ops = {
        .size = sizeof(ops),
        .schema = "count",
        .version = 1,
        .version_oldest = 1,
        .restore = restore,
        .serve = serve,
        .capture = count_capture,
};

static int ends_well(struct baton_child *child, void *ctx)
{
        (void)ctx;
        return baton_child_ready(child);
}

static int ends_badly(struct baton_child *child, void *ctx)
{
        (void)child, (void)ctx;
        return -ENOSPC;
}

/* ---- the hub ---- */

static void add(const struct embedded *t, const char *id, uint32_t instances)
{
        struct baton_hub_child child;

        baton_hub_child_init(&child, sizeof(child));
        child.id = id;
        child.instances = instances;
        child.ops = &ops;
        child.handover = true;
        child.state = BATON_STATE_BLOB;
        child.backoff_min_ns = 1000000;
        child.backoff_max_ns = 2000000;
        assert_int_equal(baton_hub_add_child(t->hub, &child), 0);
}

static void add_main(const struct embedded *t, const char *id,
                     int (*main)(struct baton_child *child, void *ctx))
{
        struct baton_hub_child child;

        baton_hub_child_init(&child, sizeof(child));
        child.id = id;
        child.ops = &ops;
        child.main = main;
        child.restart = main == ends_well ? BATON_HUB_TRANSIENT : BATON_HUB_PERMANENT;
        child.significant = main == ends_well;
        assert_int_equal(baton_hub_add_child(t->hub, &child), 0);
}

/* A program among the functions. */
static void add_program(const struct world *w, const struct embedded *t, const char *id)
{
        char program[640], place[96];
        char *env[] = {place, NULL};
        struct baton_hub_child child;

        world_program(w, program, "child_named");
        (void)snprintf(place, sizeof(place), "NAMED_PLACE=%s", w->dir);
        baton_hub_child_init(&child, sizeof(child));
        child.id = id;
        child.exec = program;
        child.env = env;
        child.handover = true;
        child.state = BATON_STATE_BLOB;
        assert_int_equal(baton_hub_add_child(t->hub, &child), 0);
}

static struct baton_hub_group a_group(const char *name, enum baton_hub_group_strategy strategy,
                                      const char *const *members)
{
        struct baton_hub_group group;

        baton_hub_group_init(&group, sizeof(group));
        group.name = name;
        group.strategy = strategy;
        group.members = members;
        while (members[group.member_count])
                group.member_count++;
        return group;
}

#define MEMBERS(...) ((const char *const[]){__VA_ARGS__, NULL})

static void add_group(const struct embedded *t, const struct baton_hub_group *group)
{
        if (baton_hub_add_group(t->hub, group))
                fail_msg("%s", baton_hub_error(t->hub));
}

static void open_hub(const struct world *w, struct embedded *t)
{
        embedded_open(w, t);
        (void)snprintf(served, sizeof(served), "%s/served", w->dir);
        (void)unlink(served);
}

static struct baton_hub_look look(const struct embedded *t, const char *id)
{
        struct baton_hub_look seen = {.size = sizeof(seen)};

        assert_int_equal(baton_hub_look(t->hub, id, &seen), 0);
        return seen;
}

static struct baton_hub_group_look group_look(const struct embedded *t, const char *name)
{
        struct baton_hub_group_look seen = {.size = sizeof(seen)};

        assert_int_equal(baton_hub_group_look(t->hub, name, &seen), 0);
        return seen;
}

static void kill_child(const struct embedded *t, const char *id)
{
        assert_true(look(t, id).pid > 0);
        assert_int_equal(kill(look(t, id).pid, SIGKILL), 0);
}

/* Where the events that are still to come will begin. */
static const char *from_now(const struct embedded *t)
{
        return t->events + t->bytes;
}

static void until_since(struct embedded *t, const char *from, const char *event)
{
        while (!strstr(from, event))
                if (!embedded_turn(t, WORLD_WAIT_MS))
                        fail_msg("nothing happened, and no '%s' among:\n%s", event, from);
}

/* Until all @parts are told, in this order. */
static void told_since(struct embedded *t, const char *from, const char *const parts[])
{
        for (const char *at = from; *parts; parts++) {
                until_since(t, at, *parts);
                at = strstr(at, *parts) + strlen(*parts);
        }
}

#define TOLD_SINCE(from, ...) told_since(&t, from, MEMBERS(__VA_ARGS__))

static void expect_served(const struct world *w, const char *line)
{
        char text[4096];

        world_read(w, "served", text, sizeof(text));
        if (!strstr(text, line))
                fail_msg("nobody has served as '%s' but:\n%s", line, text);
}

struct told {
        int done, result;
        uint32_t ok, failed;
        char text[512];
};

static void on_done(void *ctx, const struct baton_hub_outcome *outcome)
{
        struct told *told = ctx;

        told->done++;
        told->result = outcome->result;
        told->ok = outcome->ok;
        told->failed = outcome->failed;
        (void)snprintf(told->text, sizeof(told->text), "%s", outcome->text);
}

static struct told until_done(struct embedded *t, int r, struct told *told)
{
        assert_int_equal(r, 0);
        while (!told->done)
                assert_true(embedded_turn(t, WORLD_WAIT_MS));
        return *told;
}

/* The outcome of one request: CALL(stop, "web", 0). */
#define CALL(verb, ...)                                                                            \
        ({                                                                                         \
                struct told call = {0};                                                            \
                until_done(&t, baton_hub_child_##verb(t.hub, __VA_ARGS__, on_done, &call), &call); \
        })

/* ---- the scenarios ---- */

static void one_for_all_stops_in_reverse_and_starts_in_order(void **state)
{
        struct world *w = *state;
        struct baton_hub_group web =
                a_group("web", BATON_HUB_ONE_FOR_ALL, MEMBERS("db", "pool", "front"));
        struct embedded t;
        const char *from;
        pid_t other;

        open_hub(w, &t);
        add(&t, "front", 0);
        add(&t, "pool", 2);
        add_program(w, &t, "db");
        add(&t, "other", 0);
        add_group(&t, &web);
        embedded_start(&t);
        TOLD_SINCE(t.events, "db child_running", "pool/0 child_starting", "front child_starting",
                   "front child_running", " group_started web");
        assert_string_equal(group_look(&t, "web").state, "running");
        assert_int_equal(group_look(&t, "web").specs, 4);
        assert_int_equal(group_look(&t, "web").active, 4);
        assert_int_equal(group_look(&t, "web").restarts_left, 3);

        other = look(&t, "other").pid;
        from = from_now(&t);
        kill_child(&t, "pool/0");
        TOLD_SINCE(from, "pool/0 child_ended", "pool/0 group_restarting web",
                   "front state_captured", "front child_stopped", "pool/1 child_stopped",
                   "db state_captured", "db child_stopped", "db child_starting restart",
                   "db child_running", "pool/0 child_starting crash",
                   "front child_starting restart", "front child_running", " group_started web");
        expect_served(w, "front 2\n"); /* who did not fail has its state */
        expect_served(w, "pool/1 2\n");
        assert_int_equal(look(&t, "other").pid, other);
        assert_int_equal(group_look(&t, "web").restarts, 1);
        assert_int_equal(group_look(&t, "web").restarts_left, 2);

        from = from_now(&t);
        embedded_stop(&t);
        TOLD_SINCE(from, "front child_ended", "pool/", "db child_ended");
        world_end(w);
}

/* The inner group has no restart left for b: that is a failure of the group, and those behind it pay. */
static void a_group_in_a_group_fails_as_its_member(void **state)
{
        struct world *w = *state;
        struct baton_hub_group inner = a_group("inner", BATON_HUB_ONE_FOR_ONE, MEMBERS("b", "c"));
        struct baton_hub_group outer =
                a_group("outer", BATON_HUB_REST_FOR_ONE, MEMBERS("a", "inner", "z"));
        struct embedded t;
        const char *from;
        pid_t a;

        inner.max_restarts = 0;
        open_hub(w, &t);
        add(&t, "z", 0);
        add(&t, "c", 0);
        add(&t, "b", 0);
        add(&t, "a", 0);
        add_group(&t, &inner);
        add_group(&t, &outer);
        embedded_start(&t);
        TOLD_SINCE(t.events, "a child_running", "b child_running", "c child_running",
                   " group_started inner", "z child_running", " group_started outer");
        assert_int_equal(group_look(&t, "outer").specs, 3);
        a = look(&t, "a").pid;
        from = from_now(&t);
        kill_child(&t, "b");
        TOLD_SINCE(from, "b child_given_up", "c child_stopped",
                   " group_given_up inner: given up: more than 0 restarts", "z child_stopped",
                   "b child_running", "c child_running", "z child_running", " group_started outer");
        assert_int_equal(look(&t, "a").pid, a);
        expect_served(w, "c 2\n");
        expect_served(w, "z 2\n");
        embedded_stop(&t);
        world_end(w);
}

static void members_and_groups_are_stopped_started_and_restarted(void **state)
{
        struct world *w = *state;
        struct baton_hub_group web = a_group("web", BATON_HUB_ONE_FOR_ALL, MEMBERS("db", "front"));
        struct embedded t;
        struct told told;
        const char *from;

        open_hub(w, &t);
        add(&t, "db", 0);
        add(&t, "front", 0);
        add(&t, "alone", 0);
        add_group(&t, &web);
        assert_int_equal(baton_hub_child_stop(t.hub, "db", 0, NULL, NULL), -EBUSY);
        embedded_start(&t);
        until_since(&t, t.events, " group_started web");

        assert_int_equal(CALL(stop, "front", 0).result, 0);
        assert_string_equal(look(&t, "front").phase, "stopped");
        assert_int_equal(group_look(&t, "web").active, 1);
        from = from_now(&t);
        kill_child(&t, "db"); /* who was stopped stays down, whatever its group does */
        TOLD_SINCE(from, "db child_running", " group_started web");
        assert_string_equal(look(&t, "front").phase, "stopped");
        assert_int_equal(CALL(start, "front", 0).result, 0);
        expect_served(w, "front 2\n");
        told = CALL(start, "front", 0);
        assert_int_equal(told.result, -ECANCELED);
        assert_string_equal(told.text, "front: it runs");

        from = from_now(&t);
        assert_int_equal(CALL(restart, "web", 0).result, 0);
        TOLD_SINCE(from, "front child_stopped its group web was stopped", "db child_stopped",
                   "db child_running", "front child_running");
        expect_served(w, "front 3\n");
        assert_int_equal(CALL(stop, "web", 0).result, 0);
        assert_string_equal(group_look(&t, "web").state, "stopped");
        assert_int_equal(group_look(&t, "web").active, 0);
        assert_int_equal(CALL(start, "web", 0).result, 0);
        expect_served(w, "front 4\n");

        from = from_now(&t);
        assert_int_equal(CALL(restart, "alone", 0).result, 0); /* in no group, too */
        TOLD_SINCE(from, "alone child_stopped", "alone child_starting restart",
                   "alone child_running");
        assert_int_equal(baton_hub_child_stop(t.hub, "nobody", 0, NULL, NULL), -ENOENT);
        assert_int_equal(baton_hub_child_remove(t.hub, "web", 0, NULL, NULL),
                         -ENOENT); /* a group stays */
        embedded_stop(&t);
        world_end(w);
}

/* A group goes on without whom was removed, and who is added is in none. */
static void a_group_goes_on_without_a_member_that_was_removed(void **state)
{
        struct world *w = *state;
        struct baton_hub_group web =
                a_group("web", BATON_HUB_REST_FOR_ONE, MEMBERS("db", "api", "front"));
        struct baton_hub_child late;
        char program[640], place[96];
        char *env[] = {place, NULL};
        struct embedded t;
        struct told told;
        const char *from;

        open_hub(w, &t);
        add(&t, "db", 0);
        add(&t, "api", 0);
        add(&t, "front", 0);
        add_group(&t, &web);
        embedded_start(&t);
        until_since(&t, t.events, " group_started web");
        assert_int_equal(CALL(remove, "api", 0).result, 0);
        assert_int_equal(group_look(&t, "web").specs, 2);

        world_program(w, program, "child_named");
        (void)snprintf(place, sizeof(place), "NAMED_PLACE=%s", w->dir);
        baton_hub_child_init(&late, sizeof(late));
        late.id = "web";
        late.exec = program;
        late.env = env;
        told = CALL(add, &late, 0);
        assert_int_equal(told.result, -ECANCELED);
        assert_string_equal(told.text, "web: a group of the hub has this name: choose another id");
        late.id = "api";
        assert_int_equal(CALL(add, &late, 0).result, 0);
        assert_int_equal(group_look(&t, "web").specs, 2);

        from = from_now(&t);
        kill_child(&t, "db");
        TOLD_SINCE(from, "db child_ended", "front child_stopped", "db child_running",
                   "front child_running", " group_started web");
        assert_int_equal(look(&t, "api").incarnation, 1); /* nobody's member any more: it stays */
        assert_int_equal(CALL(remove, "db", 0).result, 0);
        assert_int_equal(CALL(remove, "front", 0).result, 0);
        assert_int_equal(group_look(&t, "web").specs, 0);
        assert_int_equal(CALL(restart, "web", 0).result, 0); /* of nobody: it is there */
        assert_string_equal(group_look(&t, "web").state, "running");
        embedded_stop(&t);
        world_end(w);
}

/* ---- the end of a group is that of the hub ---- */

static int run_with(const struct world *w, int (*main)(struct baton_child *child, void *ctx),
                    char *ret_events, size_t bytes)
{
        struct baton_hub_group group = a_group("all", BATON_HUB_ONE_FOR_ONE, MEMBERS("db", "job"));
        struct embedded t;
        int r;

        group.max_restarts = 0;
        group.ends_hub = true;
        group.auto_shutdown = BATON_HUB_AUTO_ANY;
        open_hub(w, &t);
        add(&t, "db", 0);
        add_main(&t, "job", main);
        add_group(&t, &group);
        r = baton_hub_run(t.hub);
        t.hub = baton_hub_close(t.hub);
        (void)snprintf(ret_events, bytes, "%.8000s", t.events);
        return r;
}

static void a_group_that_gave_up_or_has_done_its_work_ends_the_hub(void **state)
{
        struct world *w = *state;
        char events[8192];

        assert_int_equal(run_with(w, ends_well, events, sizeof(events)), 0);
        assert_non_null(strstr(events, " group_stopped all: auto_shutdown"));
        assert_int_equal(run_with(w, ends_badly, events, sizeof(events)), -ECANCELED);
        assert_non_null(strstr(events, " group_given_up all"));
        expect_served(w, "db 2\n"); /* its state was kept */
        world_end(w);
}

/* ---- what is refused ---- */

static void expect_wrong(const struct embedded *t, const struct baton_hub_group *group, int error,
                         const char *why)
{
        assert_int_equal(baton_hub_add_group(t->hub, group), error);
        if (!strstr(baton_hub_error(t->hub), why))
                fail_msg("'%s', and not '%s'", baton_hub_error(t->hub), why);
}

static void what_makes_no_sense_is_refused_by_the_call(void **state)
{
        struct world *w = *state;
        struct baton_hub_group group = a_group("web", BATON_HUB_ONE_FOR_ALL, MEMBERS("a", "pool"));
        struct baton_hub_group wrong = a_group("wrong", BATON_HUB_ONE_FOR_ALL, MEMBERS("b"));
        struct baton_hub_group_look seen = {.size = sizeof(seen)};
        struct baton_hub_child own;
        struct embedded t;

        open_hub(w, &t);
        add(&t, "a", 0);
        add(&t, "b", 0);
        add(&t, "pool", 2);
        add_main(&t, "job", ends_well);
        baton_hub_child_init(&own, sizeof(own));
        own.id = "own";
        own.ops = &ops;
        own.max_restarts = 7;
        assert_int_equal(baton_hub_add_child(t.hub, &own), 0);
        add_group(&t, &group);

        expect_wrong(&t, &group, -EEXIST, "group 'web': there is one of that name already");
        wrong.name = "b";
        expect_wrong(&t, &wrong, -EEXIST, "'b'");
        wrong.name = "b/1";
        expect_wrong(&t, &wrong, -EINVAL, "needs a name");
        wrong = a_group("wrong", BATON_HUB_ONE_FOR_ALL, MEMBERS("nobody"));
        expect_wrong(&t, &wrong, -EINVAL, "wrong: nobody: neither a child nor a group");
        wrong = a_group("wrong", BATON_HUB_ONE_FOR_ALL, MEMBERS("wrong"));
        expect_wrong(&t, &wrong, -EINVAL, "wrong: wrong: neither");
        wrong = a_group("wrong", BATON_HUB_ONE_FOR_ALL, MEMBERS("pool"));
        expect_wrong(&t, &wrong, -EINVAL, "pool: it is in a group already");
        wrong = a_group("wrong", BATON_HUB_ONE_FOR_ALL, MEMBERS("b", "b"));
        expect_wrong(&t, &wrong, -EINVAL, "b: it is in a group already");
        wrong = a_group("wrong", BATON_HUB_ONE_FOR_ALL, MEMBERS("own"));
        expect_wrong(&t, &wrong, -EINVAL, "max_restarts and max_seconds_ns belong there");
        wrong = a_group("wrong", BATON_HUB_ONE_FOR_ALL, MEMBERS("job"));
        expect_wrong(&t, &wrong, -EINVAL, "significant, and the group has no auto_shutdown");
        wrong = a_group("wrong", BATON_HUB_ONE_FOR_ALL, MEMBERS("b"));
        wrong.member_count = 0;
        expect_wrong(&t, &wrong, -EINVAL, "needs members");
        wrong.member_count = 1;
        wrong.max_restarts = 65;
        expect_wrong(&t, &wrong, -EINVAL, "more than 64");
        wrong.max_restarts = BATON_HUB_INFINITE;
        wrong.ends_hub = true;
        add_group(&t, &wrong);
        wrong = a_group("outer", BATON_HUB_ONE_FOR_ALL, MEMBERS("wrong"));
        expect_wrong(&t, &wrong, -EINVAL, "it would end the hub");
        own.id = "web";
        assert_int_equal(baton_hub_add_child(t.hub, &own), -EEXIST);

        assert_int_equal(baton_hub_group_look(t.hub, "web", &seen), -EINVAL);
        embedded_start(&t);
        assert_int_equal(baton_hub_add_group(t.hub, &group), -EBUSY);
        assert_int_equal(baton_hub_group_look(t.hub, "nobody", &seen), -ENOENT);
        assert_true(group_look(&t, "wrong").restarts_left == BATON_HUB_INFINITE);
        embedded_stop(&t);
        world_end(w);
}

/* A chain of them: the seventeenth around another one is one too many. */
static void groups_in_groups_have_a_limit(void **state)
{
        struct world *w = *state;
        char names[20][16];
        struct embedded t;
        int r = 0;

        open_hub(w, &t);
        add(&t, "a", 0);
        for (int i = 0; !r && i < 20; i++) {
                const char *const members[] = {i ? names[i - 1] : "a", NULL};
                struct baton_hub_group group = a_group(names[i], BATON_HUB_ONE_FOR_ONE, members);

                (void)snprintf(names[i], sizeof(names[i]), "g%d", i);
                r = baton_hub_add_group(t.hub, &group);
                assert_int_equal(r, i <= 16 ? 0 : -EINVAL);
        }
        assert_string_equal(baton_hub_error(t.hub),
                            "g17: g16: more than 16 groups would be around a group in it");
        embedded_start(&t); /* so the plan's check says the same */
        TOLD_SINCE(t.events, "a child_running", " group_started g0", " group_started g16");
        embedded_stop(&t);
        world_end(w);
}

#define SCENARIO(name) cmocka_unit_test_setup_teardown(name, world_setup, world_teardown)

int main(void)
{
        const struct CMUnitTest tests[] = {
                SCENARIO(one_for_all_stops_in_reverse_and_starts_in_order),
                SCENARIO(a_group_in_a_group_fails_as_its_member),
                SCENARIO(members_and_groups_are_stopped_started_and_restarted),
                SCENARIO(a_group_goes_on_without_a_member_that_was_removed),
                SCENARIO(a_group_that_gave_up_or_has_done_its_work_ends_the_hub),
                SCENARIO(what_makes_no_sense_is_refused_by_the_call),
                SCENARIO(groups_in_groups_have_a_limit),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
