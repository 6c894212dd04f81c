/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A hub inside this very program, through <baton/hub.h> alone, with children that are functions. They are forked from here, so they use nothing of cmocka:
 * they answer questions over TCP, in the probe's protocol (one line in, one line out, then the connection ends), and the test asserts on the answers.
 */
#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <baton/hub.h>

#include "tests/support/command.h"
#include "tests/support/placed.h"
#include "tests/support/world.h"

/* ---- the child: in a process of its own ---- */

static uint64_t blob_count;
static uint64_t *arena_count;
static char parents_secret[] = "unset"; /* private memory: what the program had written when it forked */

static int restore(struct baton_child *child, const struct baton_restore *restore, void *ctx)
{
        (void)ctx;
        if (restore->state_bytes == sizeof(blob_count) && restore->state)
                memcpy(&blob_count, restore->state, sizeof(blob_count));
        arena_count = baton_arena_root(child);
        return 0;
}

static void serve(struct baton_child *child, void *ctx)
{
        (void)ctx;
        if (!baton_arena_max(child) || arena_count)
                return;
        baton_arena_begin(child);
        arena_count = baton_arena_alloc(child, sizeof(*arena_count));
        if (arena_count)
                *arena_count = 0;
        baton_arena_set_root(child, arena_count);
        baton_arena_end(child);
}

static int capture(struct baton_child *child, struct baton_capture *capture, void *ctx)
{
        void *room;
        int r = arena_count ? 0 : baton_capture_reserve(capture, sizeof(blob_count), &room);

        (void)child, (void)ctx;
        if (r || arena_count)
                return r;
        memcpy(room, &blob_count, sizeof(blob_count));
        return baton_capture_commit(capture, sizeof(blob_count));
}

static unsigned long long count_up(struct baton_child *child)
{
        if (!arena_count)
                return ++blob_count;
        baton_arena_begin(child);
        ++*arena_count;
        baton_arena_end(child);
        return *arena_count;
}

/* Mappings whose line holds @words. */
static int maps_with(const char *words)
{
        FILE *maps = fopen("/proc/self/maps", "re");
        char line[1024];
        int count = 0;

        while (maps && fgets(line, sizeof(line), maps))
                count += strstr(line, words) != NULL;
        if (maps)
                (void)fclose(maps);
        return count;
}

/* Descriptors that are @kind: what their link in /proc holds. */
static int fds_with(const char *kind)
{
        DIR *dir = opendir("/proc/self/fd");
        const struct dirent *entry;
        int count = 0;

        while (dir && (entry = readdir(dir))) {
                char path[300], target[512] = "";

                (void)snprintf(path, sizeof(path), "/proc/self/fd/%s", entry->d_name);
                if (readlink(path, target, sizeof(target) - 1) > 0)
                        count += strstr(target, kind) != NULL;
        }
        if (dir)
                (void)closedir(dir);
        return count;
}

static void answer(struct baton_child *child, const char *line, const char *version, char *out, size_t bytes)
{
        if (!strcmp(line, "count"))
                (void)snprintf(out, bytes, "%llu\n", count_up(child));
        else if (!strcmp(line, "pid"))
                (void)snprintf(out, bytes, "%d\n", (int)getpid());
        else if (!strcmp(line, "inc"))
                (void)snprintf(out, bytes, "%llu\n", (unsigned long long)baton_child_incarnation(child));
        else if (!strcmp(line, "reason"))
                (void)snprintf(out, bytes, "%d\n", (int)baton_child_reason(child));
        else if (!strcmp(line, "version"))
                (void)snprintf(out, bytes, "%s\n", version);
        else if (!strcmp(line, "secret"))
                (void)snprintf(out, bytes, "%s\n", parents_secret);
        else if (!strncmp(line, "maps ", 5))
                (void)snprintf(out, bytes, "%d\n", maps_with(line + 5));
        else if (!strncmp(line, "fds ", 4))
                (void)snprintf(out, bytes, "%d\n", fds_with(line + 4));
        else
                (void)snprintf(out, bytes, "what?\n");
}

static void on_connection(struct baton_child *child, int listener, uint32_t events, void *data)
{
        int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
        char in[256] = "", out[256];

        (void)events;
        if (fd < 0)
                return;
        if (recv(fd, in, sizeof(in) - 1, 0) > 0) {
                in[strcspn(in, "\r\n")] = '\0';
                answer(child, in, data, out, sizeof(out));
                (void)send(fd, out, strlen(out), MSG_NOSIGNAL);
        }
        (void)close(fd);
}

/* @ctx: its version. "refuses": one that ends before it is ready. */
static int server(struct baton_child *child, void *ctx)
{
        int listener = baton_child_socket(child, "probe");
        int r = listener < 0 ? listener : baton_child_watch(child, listener, EPOLLIN, on_connection, ctx);

        if (!strcmp(ctx, "refuses"))
                return -ENOSPC;
        (void)printf("version %s begins\n", (const char *)ctx);
        return r ? r : baton_child_run(child);
}

static const struct baton_child_ops ops = {
        .size = sizeof(ops), .schema = "probe", .version = 1, .version_oldest = 1, .restore = restore, .serve = serve, .capture = capture,
};

static char v1[] = "v1", v2[] = "v2", refuses[] = "refuses";

/* ---- the hub ---- */

struct told {
        struct baton_hub *hub;
        int over;   /* what dispatch said */
        int done;   /* outcomes */
        int result;
        uint32_t ok, failed;
        char text[512];
        char events[16384]; /* "name child;" .. */
        uint64_t last_sequence;
        const char *wanted; /* set to NULL by the event of that "name child" */
        char say[4096];
};

static void on_event(void *ctx, const struct baton_hub_event *event)
{
        struct told *t = ctx;
        char one[160];

        assert_int_equal(event->sequence, t->last_sequence + 1); /* none is lost, none comes twice */
        t->last_sequence = event->sequence;
        (void)snprintf(one, sizeof(one), "%s %s;", event->name, event->child);
        (void)strncat(t->events, one, sizeof(t->events) - strlen(t->events) - 1);
        if (t->wanted && !strncmp(one, t->wanted, strlen(t->wanted)))
                t->wanted = NULL;
}

static void on_say(void *ctx, const char *sentence)
{
        struct told *t = ctx;

        (void)strncat(t->say, sentence, sizeof(t->say) - strlen(t->say) - 1);
}

static void on_done(void *ctx, const struct baton_hub_outcome *outcome)
{
        struct told *t = ctx;

        t->done++;
        t->result = outcome->result;
        t->ok = outcome->ok;
        t->failed = outcome->failed;
        (void)snprintf(t->text, sizeof(t->text), "%s", outcome->text);
}

static void open_hub(const struct world *w, struct told *t, bool store)
{
        char runtime[96], state[96];
        const struct baton_hub_options options = {
                .size = sizeof(options), .name = w->hub, .runtime_dir = runtime, .state_dir = store ? state : NULL,
                .event = on_event, .say = on_say, .ctx = t,
        };
        const struct sockaddr_in addr = {
                .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK), .sin_port = htons((uint16_t)w->port)};
        const struct baton_hub_socket socket = {
                .size = sizeof(socket), .name = "probe", .addr = (const struct sockaddr *)&addr, .addr_bytes = sizeof(addr), .type = SOCK_STREAM};

        memset(t, 0, sizeof(*t));
        (void)snprintf(runtime, sizeof(runtime), "%s/run", w->dir);
        (void)snprintf(state, sizeof(state), "%s/state", w->dir);
        assert_int_equal(baton_hub_open(&t->hub, &options), 0);
        assert_int_equal(baton_hub_add_socket(t->hub, &socket), 0);
}

static struct baton_hub_child a_child(const char *id, enum baton_state_form form)
{
        static const char *const sockets[] = {"probe"};
        struct baton_hub_child child;

        baton_hub_child_init(&child, sizeof(child));
        child.id = id;
        child.ops = &ops;
        child.main = server;
        child.ctx = v1;
        child.sockets = sockets;
        child.socket_count = 1;
        child.strategy = BATON_HUB_HOT;
        child.handover = form != BATON_STATE_NONE;
        child.state = form;
        return child;
}

/* One turn of a loop of our own. */
static void turn(struct told *t)
{
        struct pollfd fd = {.fd = baton_hub_fd(t->hub), .events = POLLIN};
        int n;

        assert_true(fd.fd >= 0);
        n = poll(&fd, 1, WORLD_WAIT_MS);
        if (n < 0 && errno == EINTR)
                return;
        if (n != 1)
                fail_msg("nothing happened for %d ms; events so far: %s; said: %s", WORLD_WAIT_MS, t->events, t->say);
        t->over = baton_hub_dispatch(t->hub);
        assert_true(t->over >= 0);
}

static void until_event(struct told *t, const char *event)
{
        t->wanted = event;
        while (t->wanted)
                turn(t);
}

static void until_done(struct told *t)
{
        int before = t->done;

        while (t->done == before)
                turn(t);
}

static void stop_hub(struct told *t)
{
        assert_int_equal(baton_hub_stop(t->hub), 0);
        while (t->over != BATON_HUB_STOPPED)
                turn(t);
        t->hub = baton_hub_close(t->hub);
        assert_null(t->hub);
        assert_non_null(strstr(t->events, "shutdown_over ;"));
}

static void start_one(const struct world *w, struct told *t, const struct baton_hub_child *child, bool store)
{
        open_hub(w, t, store);
        assert_int_equal(baton_hub_add_child(t->hub, child), 0);
        if (baton_hub_start(t->hub))
                fail_msg("%s", baton_hub_error(t->hub));
        until_event(t, "children_started");
}

/*
 * One question. No time limits on the socket: calls that have one say EINTR when the hub's ring has something to do in this thread, the others go on by
 * themselves (see baton_hub_fd()). The watchdog of the world is the limit.
 */
static void question(const struct world *w, const char *line, char *out, size_t bytes)
{
        const struct sockaddr_in addr = {
                .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK), .sin_port = htons((uint16_t)w->port)};
        int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        ssize_t n;

        assert_true(fd >= 0);
        assert_int_equal(connect(fd, (const struct sockaddr *)&addr, sizeof(addr)), 0);
        probe_say(fd, "%s\n", line);
        n = recv(fd, out, bytes - 1, 0);
        (void)close(fd);
        if (n <= 0)
                fail_msg("no answer to '%s': %s", line, n ? strerrordesc_np(errno) : "it hung up");
        out[n] = '\0';
        out[strcspn(out, "\n")] = '\0';
}

static void ask(const struct world *w, const char *wanted, const char *line)
{
        char out[256];

        question(w, line, out, sizeof(out));
        assert_string_equal(out, wanted);
}

static long long ask_number(const struct world *w, const char *line)
{
        char out[256];

        question(w, line, out, sizeof(out));
        return strtoll(out, NULL, 10);
}

static struct baton_hub_look look(const struct told *t, const char *id)
{
        struct baton_hub_look seen = {.size = sizeof(seen)};

        assert_int_equal(baton_hub_look(t->hub, id, &seen), 0);
        return seen;
}

/* ---- the scenarios ---- */

static void a_function_is_swapped_hot_and_cold_with_its_state(void **state)
{
        static const struct {
                enum baton_state_form form;
                enum baton_hub_strategy strategy;
                enum baton_reason reason;
        } rows[] = {
                {BATON_STATE_BLOB, BATON_HUB_HOT, BATON_REASON_HOT},
                {BATON_STATE_BLOB, BATON_HUB_COLD, BATON_REASON_COLD},
                {BATON_STATE_ARENA, BATON_HUB_HOT, BATON_REASON_HOT},
                {BATON_STATE_ARENA, BATON_HUB_COLD, BATON_REASON_COLD},
        };
        struct world *w = *state;
        struct told t;

        for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
                struct baton_hub_child child = a_child("fn", rows[i].form);
                pid_t before;

                start_one(w, &t, &child, false);
                ask(w, "1", "count");
                ask(w, "2", "count");
                before = look(&t, "fn").pid;
                assert_int_equal(ask_number(w, "pid"), before);
                assert_true(before != getpid());
                assert_int_equal(baton_hub_swap(t.hub, "fn", rows[i].strategy, on_done, &t), 0);
                until_done(&t);
                assert_int_equal(t.result, 0);
                assert_int_equal(t.ok, 1);
                assert_true(look(&t, "fn").pid != before);
                assert_int_equal(look(&t, "fn").swaps, 1);
                assert_string_equal(look(&t, "fn").phase, "running");
                ask(w, "3", "count");
                assert_int_equal(ask_number(w, "reason"), rows[i].reason);
                assert_non_null(strstr(t.events, "migration_completed fn;"));
                stop_hub(&t);
        }
        world_end(w);
}

static void a_function_that_is_killed_comes_back(void **state)
{
        struct world *w = *state;
        struct baton_hub_child child = a_child("fn", BATON_STATE_ARENA);
        struct told t;
        pid_t before;

        start_one(w, &t, &child, false);
        ask(w, "1", "count");
        before = look(&t, "fn").pid;
        assert_int_equal(kill(before, SIGKILL), 0);
        until_event(&t, "child_ended fn;");
        until_event(&t, "child_running fn;");
        assert_true(look(&t, "fn").pid != before);
        assert_int_equal(look(&t, "fn").restarts, 1);
        ask(w, "2", "count"); /* an arena is whole between two updates */
        assert_int_equal(ask_number(w, "reason"), BATON_REASON_CRASH);
        stop_hub(&t);
        world_end(w);
}

static void a_state_survives_a_stop_when_there_is_a_store(void **state)
{
        struct world *w = *state;
        struct told t;

        for (int store = 0; store < 2; store++) {
                struct baton_hub_child child = a_child("fn", BATON_STATE_BLOB);

                start_one(w, &t, &child, store);
                ask(w, "1", "count");
                stop_hub(&t);
                start_one(w, &t, &child, store);
                ask(w, store ? "2" : "1", "count");
                assert_int_equal(ask_number(w, "reason"), store ? BATON_REASON_REBOOT : BATON_REASON_FRESH);
                stop_hub(&t);
        }
        world_end(w);
}

/* From one function to another, to a program, and back; then one that cannot start, which costs nothing. */
static void a_child_moves_between_functions_and_programs(void **state)
{
        struct world *w = *state;
        struct baton_hub_child child = a_child("fn", BATON_STATE_BLOB);
        char path[640];
        struct told t;

        start_one(w, &t, &child, false);
        ask(w, "1", "count");
        assert_int_equal(baton_hub_upgrade_function(t.hub, "fn", &ops, server, v2, BATON_HUB_AS_SPECIFIED, on_done, &t), 0);
        until_done(&t);
        assert_int_equal(t.result, 0);
        ask(w, "v2", "version");
        ask(w, "2", "count");

        world_program(w, path, "child_probe");
        assert_int_equal(baton_hub_upgrade(t.hub, "fn", path, BATON_HUB_AS_SPECIFIED, on_done, &t), 0);
        until_done(&t);
        assert_int_equal(t.result, 0);
        ask(w, "what?", "version"); /* the program does not know this question */
        ask(w, "3", "count");

        assert_int_equal(baton_hub_upgrade_function(t.hub, "fn", &ops, server, refuses, BATON_HUB_HOT, on_done, &t), 0);
        until_done(&t);
        assert_int_equal(t.result, -ECANCELED);
        assert_int_equal(t.failed, 1);
        assert_non_null(strstr(t.text, "No space left")); /* the last line of its stderr */
        ask(w, "4", "count");

        assert_int_equal(baton_hub_upgrade_function(t.hub, "fn", &ops, server, v1, BATON_HUB_COLD, on_done, &t), 0);
        until_done(&t);
        assert_int_equal(t.result, 0);
        ask(w, "v1", "version");
        ask(w, "5", "count");
        /* What was committed is what a restart runs. */
        assert_int_equal(kill(look(&t, "fn").pid, SIGKILL), 0);
        until_event(&t, "child_running fn;");
        ask(w, "v1", "version");
        stop_hub(&t);
        world_end(w);
}

static void a_function_has_nothing_of_the_hub_or_of_its_siblings(void **state)
{
        struct world *w = *state;
        struct baton_hub_child child = a_child("fn", BATON_STATE_ARENA), sibling = a_child("sibling", BATON_STATE_BLOB);
        struct told t;

        memcpy(parents_secret, "known", sizeof("known"));
        sibling.sockets = NULL;
        sibling.socket_count = 0;
        sibling.main = NULL; /* the ready-made loop */
        open_hub(w, &t, true);
        assert_int_equal(baton_hub_add_child(t.hub, &sibling), 0);
        assert_int_equal(baton_hub_add_child(t.hub, &child), 0);
        assert_int_equal(baton_hub_start(t.hub), 0);
        until_event(&t, "children_started");
        /* Once more, so that it is forked while everything is there. */
        assert_int_equal(baton_hub_swap(t.hub, "fn", BATON_HUB_COLD, on_done, &t), 0);
        until_done(&t);
        assert_int_equal(t.result, 0);

        ask(w, "known", "secret");
        assert_int_equal(ask_number(w, "maps memfd:baton-link"), 1); /* its own */
        assert_int_equal(ask_number(w, "maps memfd:baton "), 2);     /* head and arena of its own */
        assert_int_equal(ask_number(w, "maps memfd:baton-node"), 0);
        assert_int_equal(ask_number(w, "maps io_uring"), 0);
        assert_int_equal(ask_number(w, "maps .mdb"), 0);
        assert_int_equal(ask_number(w, "maps /processes"), 0);
        assert_int_equal(ask_number(w, "fds io_uring"), 0);
        assert_int_equal(ask_number(w, "fds .mdb"), 0);
        assert_int_equal(ask_number(w, "fds /lock"), 0);
        assert_int_equal(ask_number(w, "fds /processes"), 0);
        assert_int_equal(ask_number(w, "fds memfd:baton-plan"), 0);
        assert_int_equal(ask_number(w, "fds memfd:baton-link"), 1);
        assert_int_equal(ask_number(w, "fds memfd:baton "), 1);
        /* The hub's own mappings are where they were. */
        assert_true(maps_with("io_uring") > 0);
        assert_true(maps_with(".mdb") > 0);
        stop_hub(&t);
        world_end(w);
}

static void the_hubs_own_loop_runs_it_as_well(void **state)
{
        struct world *w = *state;
        struct baton_hub_child child = a_child("fn", BATON_STATE_BLOB);
        struct told t;

        open_hub(w, &t, false);
        child.instances = 3;
        child.restart = BATON_HUB_TEMPORARY;
        child.ctx = refuses; /* each ends at once: the hub is told by its events, and stopped from a callback */
        assert_int_equal(baton_hub_add_child(t.hub, &child), 0);
        assert_int_equal(baton_hub_fd(t.hub), -EINVAL);
        assert_int_equal(baton_hub_start(t.hub), 0);
        while (!strstr(t.events, "child_stopped fn/0;") || !strstr(t.events, "child_stopped fn/1;") || !strstr(t.events, "child_stopped fn/2;"))
                turn(&t);
        assert_int_equal(look(&t, "fn/0").pid, 0);
        assert_int_equal(baton_hub_stop(t.hub), 0);
        assert_int_equal(baton_hub_run(t.hub), 0);
        t.hub = baton_hub_close(t.hub);
        world_end(w);
}

static void closing_a_hub_that_runs_stops_it(void **state)
{
        struct world *w = *state;
        struct baton_hub_child child = a_child("fn", BATON_STATE_BLOB);
        struct told t;

        start_one(w, &t, &child, true);
        ask(w, "1", "count");
        t.hub = baton_hub_close(t.hub);
        assert_non_null(strstr(t.events, "shutdown_over ;"));
        start_one(w, &t, &child, true);
        ask(w, "2", "count");
        stop_hub(&t);
        world_end(w);
}

static void the_command_works_on_it(void **state)
{
        struct world *w = *state;
        struct baton_hub_child child = a_child("fn", BATON_STATE_BLOB);
        struct told t;
        pid_t pid;

        start_one(w, &t, &child, false);
        pid = BEGIN("swap", "fn", "--hub", "w");
        until_event(&t, "migration_completed fn;");
        command_finish(w, pid, 0, "");
        pid = BEGIN("hub", "upgrade", "--hub", "w"); /* the program is not the hub's to replace */
        while (!world_has_ended(pid)) {
                struct pollfd fd = {.fd = baton_hub_fd(t.hub), .events = POLLIN};

                if (poll(&fd, 1, 10) == 1)
                        turn(&t);
        }
        command_finish(w, pid, 1, "this hub is inside another program");
        stop_hub(&t);
        world_end(w);
}

static void API_1_children_are_added_and_removed_while_it_runs(void **state)
{
        struct world *w = *state;
        struct baton_hub_child fn = a_child("fn", BATON_STATE_BLOB), extra = a_child("extra", BATON_STATE_BLOB);
        struct baton_hub_look seen = {.size = sizeof(seen)};
        char program[640];
        struct told t;

        world_program(w, program, "child_probe");
        extra.exec = program;
        extra.ops = NULL;
        extra.main = NULL;
        extra.ctx = NULL;
        extra.instances = 2;
        start_one(w, &t, &fn, true);
        assert_int_equal(baton_hub_child_add(t.hub, &extra, 0, on_done, &t), 0);
        until_done(&t);
        assert_int_equal(t.result, 0);
        assert_int_equal(t.ok, 2);
        assert_string_equal(look(&t, "extra/1").phase, "running");

        /* The function leaves, and one of the two: whoever is left answers. */
        assert_int_equal(baton_hub_child_remove(t.hub, "fn", 0, on_done, &t), 0);
        until_done(&t);
        assert_int_equal(t.result, 0);
        assert_int_equal(baton_hub_look(t.hub, "fn", &seen), -ENOENT);
        assert_int_equal(baton_hub_child_remove(t.hub, "extra/0", BATON_HUB_DROP_STATE, on_done, &t), 0);
        until_done(&t);
        assert_int_equal(t.ok, 1);
        ask(w, "1", "count");
        assert_int_equal(baton_hub_child_add(t.hub, &extra, 0, on_done, &t), 0);
        until_done(&t);
        assert_int_equal(t.result, -ECANCELED);
        assert_int_equal(t.ok, 1);
        assert_non_null(strstr(t.text, "extra/1: a child of this id was added before"));
        assert_int_equal(baton_hub_child_remove(t.hub, "extra/0", 0, on_done, &t), 0);
        stop_hub(&t); /* which does not wait for it to be told */

        assert_int_equal(baton_hub_child_add(NULL, NULL, 0, NULL, NULL), -EINVAL);
        start_one(w, &t, &fn, true);
        assert_string_equal(look(&t, "extra/1").phase, "running");
        assert_int_equal(baton_hub_child_add(t.hub, &fn, 0, on_done, &t), -ENOTSUP);
        assert_int_equal(baton_hub_child_remove(t.hub, "nobody", 0, on_done, &t), -ENOENT);
        extra.sockets = (const char *const[]){"prob"};
        assert_int_equal(baton_hub_child_add(t.hub, &extra, 0, on_done, &t), -EINVAL);
        assert_non_null(strstr(baton_hub_error(t.hub), "no socket of the name 'prob'"));
        stop_hub(&t);
        world_end(w);
}

/* ---- the example, as a process that can be killed ---- */

/* "7 from process 123, incarnation 1" */
static void example_ask(const struct world *w, unsigned long long *ret_count, pid_t *ret_pid)
{
        int fd = probe_dial(w);
        char out[128];
        static const char words[] = " from process ";
        char *at;

        kv_line(fd, out, sizeof(out));
        (void)close(fd);
        *ret_count = strtoull(out, &at, 10);
        assert_memory_equal(at, words, sizeof(words) - 1);
        *ret_pid = (pid_t)strtol(at + sizeof(words) - 1, NULL, 10);
}

static pid_t example_start(const struct world *w)
{
        char command[900], shell[] = "/bin/sh", minus_c[] = "-c", program[640];
        char *argv[] = {shell, minus_c, command, NULL};

        world_program(w, program, "embed");
        (void)snprintf(command, sizeof(command), "exec %s %d %s/run < in", program, w->port, w->dir);
        return world_spawn(w, argv, "hub.log");
}

static void functions_of_a_program_that_was_killed_are_adopted_by_the_next(void **state)
{
        struct world *w = *state;
        unsigned long long count = 0;
        pid_t host, child = 0, other = 0;
        char path[128];
        int in;

        w->hub = "embed";
        (void)snprintf(path, sizeof(path), "%s/in", w->dir);
        assert_int_equal(mkfifo(path, 0600), 0);
        in = open(path, O_RDWR | O_CLOEXEC);
        assert_true(in >= 0);

        host = example_start(w);
        world_log_wait(w, "children_started", 1);
        example_ask(w, &count, &child);
        assert_int_equal(count, 1);
        assert_int_equal(kill(host, SIGKILL), 0);
        assert_int_equal(world_wait(host), 128 + SIGKILL);
        example_ask(w, &count, &other); /* nobody needs the hub to be served */
        assert_int_equal(count, 2);
        assert_int_equal(other, child);

        host = example_start(w);
        world_log_wait(w, "child_adopted", 1);
        example_ask(w, &count, &other);
        assert_int_equal(count, 3);
        assert_int_equal(other, child);
        assert_int_equal(write(in, "swap\n", 5), 5);
        world_log_wait(w, "swap: done", 1);
        example_ask(w, &count, &other);
        assert_int_equal(count, 4);
        assert_true(other != child);
        assert_int_equal(world_wait(child), 0); /* it has drained; we are the parent of what a killed program leaves */
        /* A restart runs the function, too. */
        assert_int_equal(kill(other, SIGKILL), 0);
        world_log_wait(w, "child_restarting", 1);
        world_log_wait(w, "child_running", 3);
        example_ask(w, &count, &child);
        assert_int_equal(count, 1);
        assert_true(other != child);
        assert_int_equal(write(in, "stop\n", 5), 5);
        assert_int_equal(world_wait(host), 0);
        (void)close(in);
        world_end(w);
}

static void what_cannot_be_is_said_at_once(void **state)
{
        struct world *w = *state;
        struct baton_hub_child child = a_child("fn", BATON_STATE_BLOB);
        struct baton_hub_look seen = {.size = sizeof(seen)};
        struct told t, second;
        const struct baton_hub_options nameless = {.size = sizeof(nameless), .runtime_dir = "/tmp"};

        assert_int_equal(baton_hub_open(&second.hub, &nameless), -EINVAL);
        open_hub(w, &t, false);
        child.exec = "/bin/true"; /* and ops */
        assert_int_equal(baton_hub_add_child(t.hub, &child), -EINVAL);
        assert_non_null(strstr(baton_hub_error(t.hub), "either a program"));
        child = a_child("fn", BATON_STATE_BLOB);
        child.sockets = (const char *const[]){"prob"};
        assert_int_equal(baton_hub_add_child(t.hub, &child), -EINVAL);
        assert_non_null(strstr(baton_hub_error(t.hub), "no socket was added with the name 'prob'"));
        child = a_child("fn", BATON_STATE_BLOB);
        assert_int_equal(baton_hub_swap(t.hub, "fn", BATON_HUB_HOT, on_done, &t), -EINVAL); /* not started */
        assert_int_equal(baton_hub_dispatch(t.hub), -EINVAL);
        assert_int_equal(baton_hub_add_child(t.hub, &child), 0);
        assert_int_equal(baton_hub_add_child(t.hub, &child), -EEXIST);
        assert_int_equal(baton_hub_start(t.hub), 0);
        until_event(&t, "children_started");
        assert_int_equal(baton_hub_start(t.hub), -EALREADY);
        assert_int_equal(baton_hub_add_child(t.hub, &child), -EBUSY);
        assert_int_equal(baton_hub_swap(t.hub, "nobody", BATON_HUB_HOT, on_done, &t), -ENOENT);
        assert_int_equal(baton_hub_upgrade(t.hub, "fn", "/nowhere", BATON_HUB_HOT, on_done, &t), -ENOENT);
        assert_int_equal(baton_hub_look(t.hub, "nobody", &seen), -ENOENT);
        assert_int_equal(t.done, 0);

        /* One hub of a name. */
        memset(&second, 0, sizeof(second));
        {
                char runtime[96];
                const struct baton_hub_options same = {
                        .size = sizeof(same), .name = w->hub, .runtime_dir = runtime, .say = on_say, .ctx = &second};

                (void)snprintf(runtime, sizeof(runtime), "%s/run", w->dir);
                assert_int_equal(baton_hub_open(&second.hub, &same), 0);
        }
        assert_int_equal(baton_hub_start(second.hub), -EWOULDBLOCK);
        assert_non_null(strstr(baton_hub_error(second.hub), "already running"));
        assert_null(baton_hub_close(second.hub));
        stop_hub(&t);
        world_end(w);
}

/* ---- what may change a start, and what runs at events ---- */

struct altering {
        struct told told; /* first: it is the ctx of the other callbacks */
        char asked[256];
        int refused; /* what a function's alteration was answered */
};

static void on_alter(void *ctx, const struct baton_hub_start *start, struct baton_hub_alter *alter)
{
        struct altering *a = ctx;
        char one[64];

        (void)snprintf(one, sizeof(one), "%s %d %llu;", start->child, (int)start->reason, (unsigned long long)start->incarnation);
        (void)strncat(a->asked, one, sizeof(a->asked) - strlen(a->asked) - 1);
        if (!strcmp(start->child, "fn")) {
                a->refused = baton_hub_alter(alter, "env.A=b");
                return;
        }
        assert_int_equal(baton_hub_alter(alter, "nonsense"), -EINVAL);
        assert_int_equal(baton_hub_alter(alter, "env.LISTEN_PID=1"), -EINVAL);
        assert_int_equal(baton_hub_alter(alter, "env.ALTERED=yes"), 0);
}

static bool has_variable(pid_t pid, const char *variable)
{
        char path[64], text[16384];
        ssize_t n;
        int fd;

        (void)snprintf(path, sizeof(path), "/proc/%d/environ", (int)pid);
        fd = open(path, O_RDONLY | O_CLOEXEC);
        assert_true(fd >= 0);
        n = read(fd, text, sizeof(text));
        (void)close(fd);
        for (const char *at = text; at < text + n; at += strlen(at) + 1) {
                if (!strcmp(at, variable))
                        return true;
        }
        return false;
}

static void HOOK_3_the_program_may_change_the_starts_of_its_children(void **state)
{
        struct world *w = *state;
        struct altering a = {.refused = 1};
        struct baton_hub_look seen = {.size = sizeof(seen)};
        struct baton_hub_child program, function = a_child("fn", BATON_STATE_BLOB);
        char runtime[96], path[640], touched[160];
        char touch[] = "/usr/bin/touch", *const argv[] = {touch, touched, NULL};
        const struct baton_hub_command on[] = {{"children_started", argv}};
        const struct baton_hub_options options = {.size = sizeof(options), .name = w->hub, .runtime_dir = runtime, .event = on_event, .say = on_say,
                                                  .ctx = &a, .alter = on_alter, .on = on, .on_count = 1};

        (void)snprintf(runtime, sizeof(runtime), "%s/run", w->dir);
        (void)snprintf(touched, sizeof(touched), "%s/touched", w->dir);
        world_program(w, path, "child_rows");
        baton_hub_child_init(&program, sizeof(program));
        program.id = "program";
        program.exec = path;
        program.handover = true;
        program.state = BATON_STATE_BLOB;
        function.sockets = NULL;
        function.socket_count = 0;
        function.main = NULL;
        assert_int_equal(baton_hub_open(&a.told.hub, &options), 0);
        assert_int_equal(baton_hub_add_child(a.told.hub, &program), 0);
        assert_int_equal(baton_hub_add_child(a.told.hub, &function), 0);
        assert_int_equal(baton_hub_start(a.told.hub), 0);
        until_event(&a.told, "children_started");
        assert_string_equal(a.asked, "program 0 1;fn 0 1;");
        assert_int_equal(a.refused, -ENOTSUP);
        assert_int_equal(baton_hub_look(a.told.hub, "program", &seen), 0);
        assert_true(has_variable(seen.pid, "ALTERED=yes"));

        /* A swap does not ask, and has it. A crash asks. */
        assert_int_equal(baton_hub_swap(a.told.hub, "program", BATON_HUB_COLD, on_done, &a), 0);
        until_done(&a.told);
        assert_int_equal(a.told.result, 0);
        assert_int_equal(baton_hub_look(a.told.hub, "program", &seen), 0);
        assert_int_equal(seen.incarnation, 2);
        assert_true(has_variable(seen.pid, "ALTERED=yes"));
        assert_int_equal(kill(seen.pid, SIGKILL), 0);
        until_event(&a.told, "child_running program");
        assert_string_equal(a.asked, "program 0 1;fn 0 1;program 3 3;");
        stop_hub(&a.told);
        assert_int_equal(access(touched, F_OK), 0); /* a stop lets commands come to their end */
        world_end(w);
}

#define SCENARIO(name) cmocka_unit_test_setup_teardown(name, world_setup, world_teardown)

int main(void)
{
        const struct CMUnitTest tests[] = {
                SCENARIO(a_function_is_swapped_hot_and_cold_with_its_state),
                SCENARIO(a_function_that_is_killed_comes_back),
                SCENARIO(a_state_survives_a_stop_when_there_is_a_store),
                SCENARIO(a_child_moves_between_functions_and_programs),
                SCENARIO(a_function_has_nothing_of_the_hub_or_of_its_siblings),
                SCENARIO(the_hubs_own_loop_runs_it_as_well),
                SCENARIO(closing_a_hub_that_runs_stops_it),
                SCENARIO(the_command_works_on_it),
                SCENARIO(API_1_children_are_added_and_removed_while_it_runs),
                SCENARIO(functions_of_a_program_that_was_killed_are_adopted_by_the_next),
                SCENARIO(HOOK_3_the_program_may_change_the_starts_of_its_children),
                SCENARIO(what_cannot_be_is_said_at_once),
        };

        return cmocka_run_group_tests_name("embed", tests, NULL, NULL);
}
