/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The verbs, as a user runs them: each test starts the command as a process of its own and reads what it printed. The hub at the other end is
 * this same program, started again: it speaks supervisor/control.h on a real socket, and what it does follows from the request's target.
 *
 *      test_command                      the tests
 *      test_command --command ARG...     the command
 *      test_command --hub DIR CONFIG     a hub that answers on DIR/control.sock
 *      test_command --plan FD            a daemon that prints the plan it was given
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <jansson.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/fd.h"
#include "base/scm.h"
#include "shm/node.h"
#include "supervisor/baton/command.h"
#include "supervisor/baton/verbs.h"
#include "supervisor/control.h"
#include "supervisor/plan.h"

/* ==== the fake hub ==== */

struct fake {
        const char *dir;
        const char *config;
        struct bt_node_owner node;
        int client;
        int fd; /* that came with the request */
};

static void fake_send(const struct fake *fake, const struct bt_ctl_reply *reply, int fd)
{
        struct bt_ctl_reply full = *reply;
        int r;

        full.magic = BT_CTL_MAGIC;
        full.version = BT_CTL_VERSION;
        r = bt_scm_send(fake->client, &full, sizeof(full), &fd, fd < 0 ? 0 : 1);
        bt_assert(r == 0 || r == -EPIPE || r == -ECONNRESET); /* a client may leave when it has what it wants */
}

static void fake_event(const struct fake *fake, const char *child, const char *phase, uint64_t since_us, uint64_t incarnation,
                       const char *text)
{
        struct bt_ctl_reply reply = {.kind = BT_CTL_EVENT, .since_ns = since_us * 1000, .incarnation = incarnation};

        (void)snprintf(reply.child, sizeof(reply.child), "%s", child);
        (void)snprintf(reply.phase, sizeof(reply.phase), "%s", phase);
        (void)snprintf(reply.text, sizeof(reply.text), "%s", text);
        if (!strcmp(phase, "committed")) {
                reply.value[0] = 23400;
                reply.value[1] = 1900000;
        }
        if (!strcmp(phase, "begun"))
                reply.value[0] = 60 * BT_NS_PER_S; /* as long as that it can take */
        fake_send(fake, &reply, -1);
}

static void fake_done(const struct fake *fake, uint32_t outcome, uint64_t migrated, uint64_t failed, const char *text)
{
        struct bt_ctl_reply reply = {.kind = BT_CTL_DONE, .outcome = outcome, .since_ns = 2000000, .value = {migrated, failed}};

        (void)snprintf(reply.text, sizeof(reply.text), "%s", text);
        fake_send(fake, &reply, -1);
}

static void fake_good(const struct fake *fake, const struct bt_ctl_request *request)
{
        char what[64];
        struct stat st = {0};

        /* What came is told, so that a test can look at it. */
        (void)snprintf(what, sizeof(what), "%s %s",
                       request->op == BT_CTL_SWAP                       ? "no binary"
                       : fake->fd >= 0 && !fstat(fake->fd, &st) && S_ISREG(st.st_mode) ? "a binary"
                                                                                       : "NOTHING",
                       request->strategy == BT_CTL_STRATEGY_SPEC ? "spec"
                       : request->strategy == BT_STRATEGY_HOT    ? "hot"
                                                                 : "cold");
        fake_event(fake, request->target, "starting", 80, 2, what);
        fake_event(fake, request->target, "ready", 800, 2, "");
        fake_event(fake, request->target, "committed", 1900, 2, "");
        fake_done(fake, BT_CTL_OK, 1, 0, "");
}

static void fake_bad(const struct fake *fake)
{
        static const char why[] = "the successor ended before it was ready: exit 3\nbad \033[31mschema\nsecond line";

        fake_event(fake, "bad", "starting", 80, 2, "");
        fake_event(fake, "bad", "rolled_back", 900, 2, why);
        fake_done(fake, BT_CTL_FAILED, 0, 1, why);
}

static void fake_pool(const struct fake *fake)
{
        fake_event(fake, "web/0", "committed", 1900, 2, "");
        fake_event(fake, "web/1", "rolled_back", 2000, 2, "refused the state");
        fake_event(fake, "web/2", "committed", 2100, 2, "");
        fake_done(fake, BT_CTL_FAILED, 2, 1, "refused the state");
}

/* What a rollout was asked for; -1: up to the hub. */
static void fake_rollout(const struct fake *fake, const struct bt_ctl_request *request)
{
        const struct bt_ctl_rollout *o = &request->rollout;
        char what[512];
        const char *at = o->health;
        int used;

        used = snprintf(what, sizeof(what), "%s wanted %u canary %lld surge %lld unavailable %lld ready %lld deadline %lld timeout %lld",
                        request->op == BT_CTL_ROLLBACK ? "back" : "there", o->wanted, (long long)o->canary, (long long)o->max_surge,
                        (long long)o->max_unavailable, (long long)o->min_ready_ns, (long long)o->deadline_ns, (long long)o->health_timeout_ns);
        for (uint32_t i = 0; o->health_argc && i <= o->health_argc; i++, at += strlen(at) + 1)
                used += snprintf(what + used, sizeof(what) - (size_t)used, " <%s>", at);
        if (o->no_wait) {
                fake_done(fake, BT_CTL_OK, 0, 0, "");
                return;
        }
        fake_event(fake, "", "begun", 10, 0, what);
        fake_event(fake, "pool/0", "committed", 1900, 2, "");
        fake_event(fake, "", "progress", 2000, 0, "1 of 2");
        fake_event(fake, "pool/1", "unhealthy", 3000, 2, "no pulse");
        fake_done(fake, o->canary == 2 ? BT_CTL_FAILED : BT_CTL_OK, 2, 0, "2 of 2 children run /opt/v2\nmore");
}

static void fake_status(const struct fake *fake)
{
        struct bt_ctl_reply reply = {.kind = BT_CTL_NODE};

        (void)snprintf(reply.text, sizeof(reply.text), "%s", fake->config);
        fake_send(fake, &reply, fake->node.fd);
        fake_done(fake, BT_CTL_OK, 0, 0, "");
}

/* Ends late, on purpose, and leaves a mark as the last thing it does: who waits for our end must find it. */
static void fake_stop(const struct fake *fake)
{
        char path[256];

        fake_event(fake, "kv", "captured", 900, 1, "");
        fake_done(fake, BT_CTL_OK, 1, 0, "kv: state kept, 64 KiB\nlog: nothing to keep\n");
        (void)bt_close(fake->client);
        (void)snprintf(path, sizeof(path), "%s/control.sock", fake->dir);
        (void)unlink(path);
        for (int i = 0; i < 50; i++) {
                int fd;

                (void)snprintf(path, sizeof(path), "%s/late", fake->dir);
                fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
                (void)fsync(fd);
                (void)bt_close(fd);
                (void)unlink(path);
        }
        (void)snprintf(path, sizeof(path), "%s/ended", fake->dir);
        (void)bt_close(open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
        exit(0);
}

static void fake_answer(const struct fake *fake, const struct bt_ctl_request *request)
{
        const char *target = request->target;
        char byte;

        bt_assert(request->magic == BT_CTL_MAGIC && request->version == BT_CTL_VERSION);
        if (request->op == BT_CTL_STATUS)
                fake_status(fake);
        else if (request->op == BT_CTL_STOP)
                fake_stop(fake);
        else if (!strcmp(target, "bad"))
                fake_bad(fake);
        else if (!strcmp(target, "web"))
                fake_pool(fake);
        else if (!strcmp(target, "pool"))
                fake_rollout(fake, request);
        else if (!strcmp(target, "none"))
                fake_done(fake, BT_CTL_NO_SUCH, 0, 0, "no such child");
        else if (!strcmp(target, "late"))
                fake_done(fake, BT_CTL_TIMED_OUT, 0, 1, "the successor was not ready within 10 s");
        else if (!strcmp(target, "junk"))
                (void)bt_scm_send(fake->client, "junk", 4, NULL, 0);
        else if (!strcmp(target, "mute"))
                (void)recv(fake->client, &byte, 1, 0); /* until the client gives up */
        else if (strcmp(target, "gone") != 0)
                fake_good(fake, request);
}

static void fake_node(struct fake *fake)
{
        struct bt_slot *slot;

        bt_assert(bt_node_create(&fake->node, "shop", "local", 3) == 0);
        slot = bt_node_begin(&fake->node, 0);
        (void)snprintf(slot->id, sizeof(slot->id), "kv");
        slot->phase = BT_PHASE_RUNNING;
        slot->incarnation = 7;
        slot->pid = 4321;
        slot->strategy = BT_STRATEGY_HOT;
        slot->started_wall_ns = bt_wall_ns() - 7325 * BT_NS_PER_S;
        slot->swaps = 6;
        slot->swap_pause_ns = 23400;
        slot->swap_total_ns = 1900000;
        slot->state_form = BATON_STATE_ARENA;
        slot->state_bytes = 64 << 20;
        slot->draining = 1;
        (void)snprintf(slot->exec, sizeof(slot->exec), "/opt/shop/kv-v2");
        bt_node_end(slot);
        slot = bt_node_begin(&fake->node, 1);
        (void)snprintf(slot->id, sizeof(slot->id), "log");
        slot->phase = BT_PHASE_FAILED;
        slot->restarts = 4;
        slot->exit_kind = CLD_EXITED;
        slot->exit_code = 3;
        (void)snprintf(slot->exec, sizeof(slot->exec), "/bin/log");
        (void)snprintf(slot->note, sizeof(slot->note), "given up: \033[2Jexit 3");
        bt_node_end(slot);
}

static int fake_listen(const char *dir)
{
        struct sockaddr_un un = {.sun_family = AF_UNIX};
        int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);

        (void)snprintf(un.sun_path, sizeof(un.sun_path), "%s/control.sock", dir);
        bt_assert(fd >= 0 && bind(fd, (const struct sockaddr *)&un, sizeof(un)) == 0 && listen(fd, 8) == 0);
        return fd;
}

/* Serves until its stdin ends: a test that dies takes its hub along. */
static int fake_main(const char *dir, const char *config)
{
        struct fake fake = {.dir = dir, .config = config, .node = BT_NODE_OWNER_NULL};
        struct pollfd fds[2] = {{.fd = fake_listen(dir), .events = POLLIN}, {.fd = STDIN_FILENO, .events = POLLIN}};

        fake_node(&fake);
        (void)bt_write_all(STDOUT_FILENO, "ready\n", 6);
        while (poll(fds, 2, -1) > 0 && !fds[1].revents) {
                struct bt_ctl_request request;
                struct pollfd client = {.events = POLLIN};
                size_t count = 0;

                fake.client = client.fd = accept4(fds[0].fd, NULL, NULL, SOCK_CLOEXEC);
                fake.fd = -1;
                (void)poll(&client, 1, 5000);
                if (bt_scm_recv(fake.client, &request, sizeof(request), &fake.fd, 1, &count) == (ssize_t)sizeof(request))
                        fake_answer(&fake, &request);
                (void)bt_close(fake.fd);
                (void)bt_close(fake.client);
        }
        bt_node_destroy(&fake.node);
        (void)bt_close(fds[0].fd);
        return 0;
}

/* ==== the fake daemon ==== */

static int daemon_main(const char *number)
{
        const char *error = NULL;
        struct bt_plan_view view;
        int r = bt_plan_open(&view, (int)strtol(number, NULL, 10), &error);

        if (r) {
                (void)printf("refused: %s\n", error);
                return 9;
        }
        (void)printf("pid %d\nruntime %s\nstate %s\nconfig %s\n", (int)getpid(), bt_plan_string(&view, view.plan->runtime_dir),
                     bt_plan_string(&view, view.plan->state_dir), bt_plan_string(&view, view.plan->config_path));
        for (uint32_t i = 0; i < view.plan->child_count; i++)
                (void)printf("child %s\n", bt_plan_string(&view, view.children[i].id));
        bt_plan_close(&view);
        return 42;
}

/* ==== the tests' side ==== */

struct fixture {
        char dir[64];      /* everything is in here: runtime/, state, files */
        char runtime[96];
        char config[96];
        pid_t hubs[2];
        int hub_stdin[2];
};

/* What one run of the command gave. */
struct result {
        int status;
        pid_t pid;
        char out[65536];
        char err[65536];
};

static char self[4096];

static void file_put(const char *path, const char *text, mode_t mode)
{
        int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, mode);

        assert_true(fd >= 0);
        assert_int_equal(bt_write_all(fd, text, strlen(text)), 0);
        assert_int_equal(fchmod(fd, mode), 0);
        (void)bt_close(fd);
}

static const char *in_dir(const struct fixture *f, const char *name)
{
        static char paths[64][256]; /* the last 64 stay valid */
        static unsigned next;
        char *path = paths[next++ % 64];

        (void)snprintf(path, sizeof(paths[0]), "%s/%s", f->dir, name);
        return path;
}

static int set_up(void **state)
{
        struct fixture *f = calloc(1, sizeof(*f));

        assert_non_null(f);
        (void)snprintf(f->dir, sizeof(f->dir), "/tmp/baton-command-XXXXXX");
        assert_non_null(mkdtemp(f->dir));
        (void)snprintf(f->runtime, sizeof(f->runtime), "%s/runtime", f->dir);
        (void)snprintf(f->config, sizeof(f->config), "%s/app.yaml", f->dir);
        assert_int_equal(mkdir(f->runtime, 0700), 0);
        file_put(in_dir(f, "kv-v1"), "#!/bin/sh\n", 0755);
        file_put(in_dir(f, "kv-v2"), "#!/bin/sh\n", 0755);
        file_put(f->config, "hub: shop\nchildren:\n  kv: {exec: [./kv-v1]}\n  web: {exec: [./kv-v1], instances: 3}\n", 0644);
        assert_int_equal(setenv("BATON_RUNTIME_DIR", f->runtime, 1), 0);
        assert_int_equal(setenv("BATON_STATE_DIR", in_dir(f, "state"), 1), 0);
        assert_int_equal(setenv("BATON_BATOND", self, 1), 0);
        assert_int_equal(unsetenv("BATON_HUB"), 0);
        *state = f;
        return 0;
}

static void hub_end(struct fixture *f, size_t idx)
{
        if (!f->hubs[idx])
                return;
        f->hub_stdin[idx] = bt_close(f->hub_stdin[idx]);
        assert_int_equal(waitpid(f->hubs[idx], NULL, 0), f->hubs[idx]);
        f->hubs[idx] = 0;
}

static int tear_down(void **state)
{
        struct fixture *f = *state;
        char *argv[] = {(char *)"rm", (char *)"-rf", f->dir, NULL};
        pid_t pid;

        hub_end(f, 0);
        hub_end(f, 1);
        assert_int_equal(posix_spawnp(&pid, "rm", NULL, NULL, argv, environ), 0);
        assert_int_equal(waitpid(pid, NULL, 0), pid);
        free(f);
        return 0;
}

static void read_back(char *room, size_t room_bytes, const char *path)
{
        int fd = open(path, O_RDONLY | O_CLOEXEC);
        ssize_t n = read(fd, room, room_bytes - 1);

        assert_true(n >= 0);
        room[n] = 0;
        (void)bt_close(fd);
}

/* Runs the command with up to 12 words, ending with NULL. */
static const struct result *run(struct fixture *f, const char *const *words)
{
        static struct result result;
        const char *out = in_dir(f, "out"), *err = in_dir(f, "err");
        char *argv[32] = {self, (char *)"--command"};
        posix_spawn_file_actions_t actions;
        int argc = 2, status;

        for (; *words && argc < 31; words++)
                argv[argc++] = (char *)*words;
        assert_int_equal(posix_spawn_file_actions_init(&actions), 0);
        assert_int_equal(posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0), 0);
        assert_int_equal(posix_spawn_file_actions_addopen(&actions, 1, out, O_WRONLY | O_CREAT | O_TRUNC, 0600), 0);
        assert_int_equal(posix_spawn_file_actions_addopen(&actions, 2, err, O_WRONLY | O_CREAT | O_TRUNC, 0600), 0);
        assert_int_equal(posix_spawn(&result.pid, self, &actions, NULL, argv, environ), 0);
        (void)posix_spawn_file_actions_destroy(&actions);
        assert_int_equal(waitpid(result.pid, &status, 0), result.pid);
        assert_true(WIFEXITED(status));
        result.status = WEXITSTATUS(status);
        read_back(result.out, sizeof(result.out), out);
        read_back(result.err, sizeof(result.err), err);
        return &result;
}

#define RUN(f, ...) run((f), (const char *const[]){__VA_ARGS__, NULL})

static void assert_in(const char *text, const char *part)
{
        if (!strstr(text, part))
                fail_msg("expected: %s\nin: %s", part, text);
}

/* Starts a hub of @name and waits until it answers. */
static void hub_start(struct fixture *f, size_t idx, const char *name)
{
        char dir[256], word[8] = "";
        char *argv[] = {self, (char *)"--hub", dir, f->config, NULL};
        posix_spawn_file_actions_t actions;
        int in[2], out[2];

        (void)snprintf(dir, sizeof(dir), "%s/%s", f->runtime, name);
        assert_int_equal(mkdir(dir, 0700), 0);
        assert_int_equal(pipe2(in, O_CLOEXEC), 0);
        assert_int_equal(pipe2(out, O_CLOEXEC), 0);
        assert_int_equal(posix_spawn_file_actions_init(&actions), 0);
        assert_int_equal(posix_spawn_file_actions_adddup2(&actions, in[0], 0), 0);
        assert_int_equal(posix_spawn_file_actions_adddup2(&actions, out[1], 1), 0);
        assert_int_equal(posix_spawn(&f->hubs[idx], self, &actions, NULL, argv, environ), 0);
        (void)posix_spawn_file_actions_destroy(&actions);
        (void)bt_close(in[0]);
        (void)bt_close(out[1]);
        f->hub_stdin[idx] = in[1];
        assert_int_equal(read(out[0], word, sizeof(word) - 1), 6); /* a hub that died gives 0 */
        (void)bt_close(out[0]);
        assert_string_equal(word, "ready\n");
}

/* ---- words ---- */

static void usage_errors_exit_with_2(void **state)
{
        struct fixture *f = *state;

        assert_int_equal(RUN(f, "chek")->status, 2);
        assert_in(RUN(f, "chek")->err, "unknown verb 'chek' (did you mean 'check'?)");
        assert_int_equal(RUN(f, "check")->status, 2);
        assert_int_equal(RUN(f, "check", "a", "b")->status, 2);
        assert_int_equal(RUN(f, "status", "x")->status, 2);
        assert_int_equal(RUN(f, "status", "--nope")->status, 2);
        assert_int_equal(RUN(f, "upgrade", "kv")->status, 2);
        assert_in(RUN(f, "upgrade", "kv")->err, "--exec PATH");
        assert_int_equal(RUN(f, "swap", "kv", "--strategy", "warm")->status, 2);
        assert_int_equal(RUN(f, "swap", "kv", "--timeout", "soon")->status, 2);
        assert_int_equal(RUN(f, "help", "nope")->status, 2);
        assert_int_equal(RUN(f, "status", "--hub", "../etc")->status, 2);
}

static void help_lists_all_verbs(void **state)
{
        static const char *const verbs[] = {"check FILE", "run FILE", "status", "upgrade CHILD", "swap CHILD", "stop", "version"};
        struct fixture *f = *state;

        for (size_t i = 0; i < sizeof(verbs) / sizeof(verbs[0]); i++)
                assert_in(RUN(f, "--help")->out, verbs[i]);
        assert_int_equal(RUN(f, "help")->status, 0);
        assert_in(RUN(f, "help", "upgrade")->out, "--exec=PATH");
        assert_in(RUN(f, "upgrade", "--help")->out, "Usage: baton upgrade [OPTION...] CHILD");
        assert_in(RUN(f, "--version")->out, "baton ");
}

/* ---- check, run ---- */

static void check_says_what_there_is_or_what_is_wrong(void **state)
{
        struct fixture *f = *state;
        const char *bad = in_dir(f, "bad.yaml");
        json_t *object;

        assert_int_equal(RUN(f, "check", f->config)->status, 0);
        assert_in(RUN(f, "check", f->config)->out, "app.yaml: ok: hub shop, 0 sockets, 4 children\n");
        file_put(bad, "hub: shop\nchildren:\n  web:\n    stop_timout: 5s\n    exec: [./kv-v1]\n", 0644);
        assert_int_equal(RUN(f, "check", bad)->status, 2);
        assert_in(RUN(f, "check", bad)->err, "bad.yaml:4:5: error: unknown key 'stop_timout' (did you mean 'shutdown'?)\n"
                                             "    4 |     stop_timout: 5s\n"
                                             "      |     ^~~~~~~~~~~\n");
        object = json_loads(RUN(f, "check", "--json", bad)->out, 0, NULL);
        assert_non_null(object);
        assert_int_equal(json_integer_value(json_object_get(object, "line")), 4);
        assert_int_equal(json_integer_value(json_object_get(object, "column")), 5);
        json_decref(object);
        assert_int_equal(RUN(f, "check", in_dir(f, "none.yaml"))->status, 2);
}

static void run_becomes_the_daemon(void **state)
{
        struct fixture *f = *state;
        const struct result *r = RUN(f, "run", f->config);
        char expected[512];

        assert_int_equal(r->status, 42); /* the daemon's own */
        (void)snprintf(expected, sizeof(expected),
                       "pid %d\nruntime %s/shop\nstate %s/state/shop\nconfig %s\nchild kv\nchild web/0\nchild web/1\nchild web/2\n", (int)r->pid,
                       f->runtime, f->dir, f->config);
        assert_string_equal(r->out, expected);
        assert_string_equal(r->err, "");
}

static void run_says_why_it_cannot(void **state)
{
        struct fixture *f = *state;
        char longer[200];

        assert_int_equal(setenv("BATON_BATOND", "/nonexistent/batond", 1), 0);
        assert_int_equal(RUN(f, "run", f->config)->status, 1);
        assert_in(RUN(f, "run", f->config)->err, "BATON_BATOND is /nonexistent/batond: No such file");
        assert_int_equal(setenv("BATON_BATOND", self, 1), 0);
        memset(longer, 'r', sizeof(longer));
        longer[0] = '/';
        longer[sizeof(longer) - 1] = 0;
        assert_int_equal(setenv("BATON_RUNTIME_DIR", longer, 1), 0);
        assert_int_equal(RUN(f, "run", f->config)->status, 2);
        assert_in(RUN(f, "run", f->config)->err, "set BATON_RUNTIME_DIR to a shorter directory");
        assert_int_equal(setenv("BATON_RUNTIME_DIR", f->runtime, 1), 0);
        hub_start(f, 0, "shop");
        assert_int_equal(RUN(f, "run", f->config)->status, 1);
        assert_in(RUN(f, "run", f->config)->err, "the hub 'shop' runs already (pid ");
}

/* ---- which hub ---- */

static void the_only_hub_needs_no_name(void **state)
{
        struct fixture *f = *state;
        struct sockaddr_un un = {.sun_family = AF_UNIX};
        char stale[128];
        int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);

        assert_int_equal(RUN(f, "status")->status, 4);
        assert_in(RUN(f, "status")->err, "no hub runs in ");

        /* What a killed hub leaves behind: a socket that nobody listens on. */
        (void)snprintf(stale, sizeof(stale), "%s/dead", f->runtime);
        assert_int_equal(mkdir(stale, 0700), 0);
        (void)snprintf(un.sun_path, sizeof(un.sun_path), "%.90s/control.sock", stale);
        assert_int_equal(bind(fd, (const struct sockaddr *)&un, sizeof(un)), 0);
        (void)bt_close(fd);
        assert_int_equal(RUN(f, "status")->status, 4);
        assert_int_equal(RUN(f, "status", "--hub", "dead")->status, 4);
        assert_in(RUN(f, "status", "--hub", "dead")->err, "the hub 'dead' does not run");

        hub_start(f, 0, "shop");
        assert_int_equal(RUN(f, "status")->status, 0);
}

static void several_hubs_must_be_told_apart(void **state)
{
        struct fixture *f = *state;

        hub_start(f, 0, "shop");
        hub_start(f, 1, "mail");
        assert_int_equal(RUN(f, "status")->status, 2);
        assert_in(RUN(f, "status")->err, "2 hubs run here: mail, shop; say which with --hub NAME or BATON_HUB");
        assert_int_equal(RUN(f, "status", "--hub", "shop")->status, 0);
        assert_int_equal(setenv("BATON_HUB", "mail", 1), 0);
        assert_int_equal(RUN(f, "status")->status, 0);
        assert_int_equal(RUN(f, "status", "--hub", "nope")->status, 4);
}

/* ---- status ---- */

static void status_is_a_table(void **state)
{
        struct fixture *f = *state;
        const struct result *r;

        hub_start(f, 0, "shop");
        r = RUN(f, "status");
        assert_int_equal(r->status, 0);
        assert_in(r->out, "hub shop, pid ");
        assert_in(r->out, f->config);
        assert_in(r->out, "\nCHILD  PHASE     PID  INC  RESTARTS  SWAPS  PAUSE  STATE         UPTIME  BINARY  NOTE\n"
                          "kv     running  4321    7         0      6  23 µs  arena 64 MiB   2h 2m  kv-v2   1 draining\n"
                          "log    failed      -    -         4      0      -  -                  -  log     given up: \\x1b[2Jexit 3\n");
}

static void status_is_json(void **state)
{
        struct fixture *f = *state;
        char *line, *rest = NULL, *out;
        json_t *objects[4] = {NULL};
        size_t count = 0;

        hub_start(f, 0, "shop");
        out = strdup(RUN(f, "status", "--json")->out);
        for (line = strtok_r(out, "\n", &rest); line && count < 4; line = strtok_r(NULL, "\n", &rest))
                objects[count++] = json_loads(line, 0, NULL);
        free(out);
        assert_int_equal(count, 3);
        assert_string_equal(json_string_value(json_object_get(objects[0], "hub")), "shop");
        assert_string_equal(json_string_value(json_object_get(objects[0], "config")), f->config);
        assert_string_equal(json_string_value(json_object_get(objects[1], "child")), "kv");
        assert_int_equal(json_integer_value(json_object_get(objects[1], "swap_pause_ns")), 23400);
        assert_int_equal(json_integer_value(json_object_get(objects[1], "state_bytes")), 64 << 20);
        assert_string_equal(json_string_value(json_object_get(objects[1], "exec")), "/opt/shop/kv-v2");
        assert_string_equal(json_string_value(json_object_get(objects[2], "phase")), "failed");
        assert_string_equal(json_string_value(json_object_get(objects[2], "last_exit")), "exit 3");
        for (size_t i = 0; i < count; i++)
                json_decref(objects[i]);
}

/* ---- upgrade, swap ---- */

static void an_upgrade_shows_its_phases_and_its_pause(void **state)
{
        struct fixture *f = *state;
        const struct result *r;
        char note[512];

        hub_start(f, 0, "shop");
        r = RUN(f, "upgrade", "kv", "--exec", in_dir(f, "kv-v2"));
        assert_int_equal(r->status, 0);
        assert_string_equal(r->out, "    +80 µs  kv       starting        incarnation 2, a binary spec\n"
                                    "   +800 µs  kv       ready           incarnation 2\n"
                                    "   +1.9 ms  kv       committed       incarnation 2, pause 23 µs\n"
                                    "kv: swapped, pause 23 µs, total 1.9 ms\n");
        (void)snprintf(note, sizeof(note), "baton: note: %s still names %s for kv: the next 'baton run' starts that one\n", f->config,
                       in_dir(f, "kv-v1"));
        assert_string_equal(r->err, note);
        r = RUN(f, "upgrade", "kv", "--exec", in_dir(f, "kv-v1"), "--strategy", "cold");
        assert_int_equal(r->status, 0);
        assert_in(r->out, "a binary cold");
        assert_string_equal(r->err, ""); /* what the configuration names */
        r = RUN(f, "swap", "kv", "--strategy", "hot");
        assert_int_equal(r->status, 0);
        assert_in(r->out, "no binary hot");
}

static void a_binary_is_looked_at_before_the_hub_is_asked(void **state)
{
        struct fixture *f = *state;

        assert_int_equal(RUN(f, "upgrade", "kv", "--exec", in_dir(f, "none"))->status, 2);
        assert_in(RUN(f, "upgrade", "kv", "--exec", f->config)->err, "it is not executable");
        assert_in(RUN(f, "upgrade", "kv", "--exec", "/tmp")->err, "it is a directory");
}

static void a_roll_back_is_a_failure_with_its_reason(void **state)
{
        struct fixture *f = *state;
        const struct result *r;

        hub_start(f, 0, "shop");
        r = RUN(f, "upgrade", "bad", "--exec", in_dir(f, "kv-v2"));
        assert_int_equal(r->status, 1);
        assert_string_equal(r->err, "baton: bad: the successor ended before it was ready: exit 3\n"
                                    "  bad | bad \\x1b[31mschema\n"
                                    "  bad | second line\n"); /* once, though the hub says it twice */
        assert_in(r->out, "rolled_back");
}

static void a_pool_is_summed_up(void **state)
{
        struct fixture *f = *state;
        const struct result *r;

        hub_start(f, 0, "shop");
        r = RUN(f, "swap", "web");
        assert_int_equal(r->status, 1);
        assert_in(r->out, "web/0: swapped, pause 23 µs, total 1.9 ms\n");
        assert_in(r->out, "web/2: swapped, pause 23 µs, total 1.9 ms\nweb: 2 swapped, 1 failed\n");
        assert_string_equal(r->err, "baton: web/1: refused the state\n");
}

static void the_options_of_a_rollout_arrive_at_the_hub(void **state)
{
        struct fixture *f = *state;
        const struct result *r;
        char health[600];

        hub_start(f, 0, "shop");
        r = RUN(f, "upgrade", "pool", "--exec", in_dir(f, "kv-v2"));
        assert_int_equal(r->status, 0);
        assert_in(r->out, "there wanted 1 canary -1 surge -1 unavailable -1 ready -1 deadline -1 timeout -1\n");
        assert_in(r->out, "progress        1 of 2\n"); /* a line: this is no terminal */
        assert_in(r->out, "pool: 2 of 2 children run /opt/v2, longest pause 23 µs\n");
        (void)snprintf(health, sizeof(health), " <%s> <%s> <--deep> <a b>\n", in_dir(f, "kv-v1"), in_dir(f, "kv-v1"));
        r = RUN(f, "upgrade", "pool", "--exec", in_dir(f, "kv-v2"), "--canary", "3",
                "--max-surge", "4", "--max-unavailable", "0", "--min-ready",
                "2us", "--deadline", "3us", "--health-timeout", "4us", "--health", in_dir(f, "kv-v1"), "--", "--deep", "a b");
        assert_int_equal(r->status, 0);
        assert_in(r->out, "there wanted 2 canary 3 surge 4 unavailable 0 ready 2000 deadline 3000 timeout 4000");
        assert_in(r->out, health);
        r = RUN(f, "rollback", "pool");
        assert_int_equal(r->status, 0);
        assert_in(r->out, "back wanted 1 canary -1");
        r = RUN(f, "upgrade", "pool", "--exec", in_dir(f, "kv-v2"), "--no-wait");
        assert_int_equal(r->status, 0);
        assert_in(r->out, "pool: begun; ");
}

static void a_rollout_that_went_back_is_a_failure_with_its_reason(void **state)
{
        struct fixture *f = *state;
        const struct result *r;

        hub_start(f, 0, "shop");
        r = RUN(f, "upgrade", "pool", "--exec", in_dir(f, "kv-v2"), "--canary", "2");
        assert_int_equal(r->status, 1);
        assert_in(r->err, "baton: pool: 2 of 2 children run /opt/v2\n  pool | more\n");
        r = RUN(f, "upgrade", "pool", "--exec", in_dir(f, "kv-v2"), "--canary", "2", "--json");
        assert_int_equal(r->status, 1);
        assert_in(r->out, "\"phase\":\"progress\"");
        assert_in(r->out, "{\"event\":\"done\",\"outcome\":\"failed\"");
}

static void options_of_a_rollout_that_make_no_sense_are_refused(void **state)
{
        struct fixture *f = *state;

        assert_in(RUN(f, "upgrade", "pool", "--exec", in_dir(f, "kv-v2"), "--canary", "all")->err, "--canary is 'all'");
        assert_in(RUN(f, "upgrade", "pool", "--exec", in_dir(f, "kv-v2"), "--min-ready", "soon")->err, "--min-ready is 'soon'");
        assert_in(RUN(f, "upgrade", "pool", "--exec", in_dir(f, "kv-v2"), "--health", "no-such-program-at-all")->err,
                  "--health no-such-program-at-all: there is no such program in PATH");
        assert_in(RUN(f, "upgrade", "pool", "--exec", in_dir(f, "kv-v2"), "--", "x")->err, "'x': arguments after -- are those of --health CMD");
        assert_in(RUN(f, "swap", "pool", "--", "x")->err, "too many arguments: 'x'");
        assert_int_equal(RUN(f, "swap", "pool", "--canary", "1")->status, 2);
}

/* The page and the completions are the table: each verb and each of its options is in both. */
static void the_manual_and_the_completions_have_every_verb_and_option(void **state)
{
        struct fixture *f = *state;
        const struct bt_verb *verb;
        static char manual[65536], fish[65536], bash[65536];
        char part[128];

        (void)snprintf(manual, sizeof(manual), "%s", RUN(f, "manual")->out);
        (void)snprintf(fish, sizeof(fish), "%s", RUN(f, "completion", "fish")->out);
        (void)snprintf(bash, sizeof(bash), "%s", RUN(f, "completion", "bash")->out);
        for (size_t i = 0; (verb = bt_verb_at(i)); i++) {
                (void)snprintf(part, sizeof(part), "\n.SS baton %s", verb->name);
                assert_in(manual, part);
                (void)snprintf(part, sizeof(part), "complete -c baton -n __fish_use_subcommand -a %s -d '", verb->name);
                assert_in(fish, part);
                (void)snprintf(part, sizeof(part), "        %s) words='", verb->name);
                assert_in(bash, part);
                for (const struct argp_option *option = verb->options; option->name; option++) {
                        (void)snprintf(part, sizeof(part), "'__fish_seen_subcommand_from %s' -l %s ", verb->name, option->name);
                        assert_in(fish, part);
                }
        }
        assert_in(manual, "\n\\fB\\-\\-max\\-surge\\fR=\\fINUMBER\\fR\n");
        assert_in(bash, "        state) words='ls show export import drop ' ;;\n");
        assert_int_equal(RUN(f, "completion", "tcsh")->status, 2);
}

static void each_outcome_has_its_exit_status(void **state)
{
        static const struct {
                const char *target;
                int status;
                const char *says;
        } rows[] = {
                {"none", 3, "none: no such child"},
                {"late", 5, "late: the successor was not ready within 10 s"},
                {"gone", 1, "closed the connection without an outcome"},
                {"junk", 1, "must be of the same release"},
                {"a-name-that-is-much-longer-than-any-id-of-a-child-may-ever-be-in-this", 3, "cannot be the id of a child"},
                {"", 3, "cannot be the id of a child"},
        };
        struct fixture *f = *state;

        hub_start(f, 0, "shop");
        for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
                const struct result *r = RUN(f, "swap", rows[i].target);

                assert_int_equal(r->status, rows[i].status);
                assert_in(r->err, rows[i].says);
        }
}

static void a_mute_hub_is_left_at_the_deadline(void **state)
{
        struct fixture *f = *state;
        const struct result *r;

        hub_start(f, 0, "shop");
        r = RUN(f, "swap", "mute", "--timeout", "50ms");
        assert_int_equal(r->status, 5);
        assert_in(r->err, "has not finished within the time limit");
}

static void progress_is_json_too(void **state)
{
        struct fixture *f = *state;
        const struct result *r;

        hub_start(f, 0, "shop");
        r = RUN(f, "upgrade", "kv", "--exec", in_dir(f, "kv-v2"), "--json");
        assert_int_equal(r->status, 0);
        assert_in(r->out, "{\"event\":\"phase\",\"child\":\"kv\",\"phase\":\"ready\",\"since_ns\":800000,\"incarnation\":2}\n");
        assert_in(r->out, "\"phase\":\"committed\",\"since_ns\":1900000,\"incarnation\":2,\"pause_ns\":23400,\"total_ns\":1900000}\n");
        assert_in(r->out, "{\"event\":\"done\",\"outcome\":\"ok\",\"exit\":0,");
        assert_in(r->out, "{\"event\":\"note\",\"text\":");
        assert_string_equal(r->err, "");
        r = RUN(f, "swap", "bad", "--json");
        assert_int_equal(r->status, 1);
        assert_in(r->out, "\"outcome\":\"failed\",\"exit\":1");
}

/* ---- stop ---- */

static void stop_waits_until_the_hub_has_ended(void **state)
{
        struct fixture *f = *state;
        const struct result *r;

        hub_start(f, 0, "shop");
        r = RUN(f, "stop");
        assert_int_equal(access(in_dir(f, "runtime/shop/ended"), F_OK), 0);
        assert_int_equal(r->status, 0);
        assert_in(r->out, "captured");
        assert_in(r->out, "  kv: state kept, 64 KiB\n  log: nothing to keep\nshop: stopped, total ");
        assert_int_equal(RUN(f, "stop")->status, 4);
}

#define T(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

static int tests_main(void)
{
        const struct CMUnitTest tests[] = {
                T(usage_errors_exit_with_2),
                T(help_lists_all_verbs),
                T(check_says_what_there_is_or_what_is_wrong),
                T(run_becomes_the_daemon),
                T(run_says_why_it_cannot),
                T(the_only_hub_needs_no_name),
                T(several_hubs_must_be_told_apart),
                T(status_is_a_table),
                T(status_is_json),
                T(an_upgrade_shows_its_phases_and_its_pause),
                T(a_binary_is_looked_at_before_the_hub_is_asked),
                T(a_roll_back_is_a_failure_with_its_reason),
                T(a_pool_is_summed_up),
                T(the_options_of_a_rollout_arrive_at_the_hub),
                T(a_rollout_that_went_back_is_a_failure_with_its_reason),
                T(options_of_a_rollout_that_make_no_sense_are_refused),
                T(the_manual_and_the_completions_have_every_verb_and_option),
                T(each_outcome_has_its_exit_status),
                T(a_mute_hub_is_left_at_the_deadline),
                T(progress_is_json_too),
                T(stop_waits_until_the_hub_has_ended),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}

int main(int argc, char **argv)
{
        ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);

        bt_assert(n > 0);
        self[n] = 0;
        if (argc > 2 && !strcmp(argv[1], "--command"))
                return bt_command_main(argc - 1, argv + 1, environ);
        if (argc == 4 && !strcmp(argv[1], "--hub"))
                return fake_main(argv[2], argv[3]);
        if (argc == 3 && !strcmp(argv[1], "--plan"))
                return daemon_main(argv[2]);
        return tests_main();
}
