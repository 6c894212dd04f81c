/* SPDX-License-Identifier: Apache-2.0 */
/* The configuration from text to meaning: YAML, keys, places of errors. Real files and folders where a path matters. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <baton/types.h>

#include "base/clock.h"
#include "base/fd.h"
#include "supervisor/baton/config.h"
#include "supervisor/baton/find.h"
#include "supervisor/baton/yaml.h"

/* ---- a folder with a program in it, a config, its diagnostics ---- */

struct fixture {
        char dir[64];
        struct bt_config config;
        struct bt_diag diag;
        char *text;
};

static char *const world_environ[] = {(char *)"PATH=/usr/bin:/bin", (char *)"HOME=/nowhere", (char *)"LISTEN_PID=1",
                                      (char *)"LANG=C", NULL};

static void file_put(const char *dir, const char *name, const char *text, mode_t mode)
{
        char path[256];
        int fd;

        assert_true(snprintf(path, sizeof(path), "%s/%s", dir, name) < (int)sizeof(path));
        fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, mode);
        assert_true(fd >= 0);
        assert_int_equal(bt_write_all(fd, text, strlen(text)), 0);
        assert_int_equal(fchmod(fd, mode), 0);
        (void)bt_close(fd);
}

static int set_up(void **state)
{
        struct fixture *f = calloc(1, sizeof(*f));

        assert_non_null(f);
        (void)snprintf(f->dir, sizeof(f->dir), "/tmp/baton-config-XXXXXX");
        assert_non_null(mkdtemp(f->dir));
        file_put(f->dir, "web", "#!/bin/sh\n", 0755);
        file_put(f->dir, "plain.txt", "text\n", 0644);
        *state = f;
        return 0;
}

static int tear_down(void **state)
{
        static const char *const names[] = {"web", "plain.txt", "app.yaml"};
        struct fixture *f = *state;
        char path[256];

        for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
                (void)snprintf(path, sizeof(path), "%s/%s", f->dir, names[i]);
                (void)unlink(path);
        }
        assert_int_equal(rmdir(f->dir), 0);
        bt_config_free(&f->config);
        free(f->text);
        free(f);
        return 0;
}

/* Parses @text as app.yaml in the folder. */
static int parse(struct fixture *f, const char *text)
{
        struct bt_config_world world = {.dir = f->dir, .environ = world_environ};

        bt_config_free(&f->config);
        free(f->text);
        f->text = strdup(text);
        bt_diag_init(&f->diag, "app.yaml");
        return bt_config_parse(&f->config, &f->diag, f->text, strlen(text), &world);
}

/* What would be printed. */
static const char *printed(struct fixture *f)
{
        static char text[65536];
        FILE *out = fmemopen(text, sizeof(text) - 1, "w");

        assert_non_null(out);
        bt_diag_print(&f->diag, out);
        (void)fclose(out);
        return text;
}

static void assert_says(struct fixture *f, const char *line)
{
        if (!strstr(printed(f), line))
                fail_msg("expected: %s\nin: %s", line, printed(f));
}

/* A child's keys, one a line without indent, in an otherwise good file; the keys begin in line 5 and column 5. */
static int parse_child(struct fixture *f, const char *keys)
{
        char text[8192];
        size_t used = (size_t)snprintf(text, sizeof(text), "hub: shop\nsockets: {http: 'tcp://127.0.0.1:8080'}\nchildren:\n  web:\n");

        for (const char *end; *keys; keys = *end ? end + 1 : end) {
                end = strchrnul(keys, '\n');
                used += (size_t)snprintf(text + used, sizeof(text) - used, "    %.*s\n", (int)(end - keys), keys);
                assert_true(used < sizeof(text));
        }
        return parse(f, text);
}

static const struct bt_config_child *good_child(struct fixture *f, const char *keys)
{
        if (parse_child(f, keys))
                fail_msg("refused: %s", printed(f));
        return &f->config.children[0];
}

/* ---- a good file ---- */

static void a_child_has_the_documented_defaults(void **state)
{
        const struct bt_config_child *c = good_child(*state, "exec: [./web]");
        const struct bt_plan_child *s = &c->spec;

        assert_int_equal(s->protocol, BT_PROTOCOL_BATON);
        assert_int_equal(s->strategy, BT_STRATEGY_COLD);
        assert_int_equal(s->handover, 0);
        assert_int_equal(s->state_form, BATON_STATE_NONE);
        assert_int_equal(s->restart, BT_RESTART_PERMANENT);
        assert_int_equal(s->max_restarts, 3);
        assert_int_equal(s->max_seconds_ns, 5 * BT_NS_PER_S);
        assert_int_equal(s->backoff_min_ns, 100 * BT_NS_PER_MS);
        assert_int_equal(s->backoff_max_ns, 10 * BT_NS_PER_S);
        assert_int_equal(s->healthy_ns, 10 * BT_NS_PER_S);
        assert_int_equal(s->shutdown_ns, 5 * BT_NS_PER_S);
        assert_int_equal(s->retention_ns, 5 * BT_NS_PER_S);
        assert_int_equal(s->handover_data_wait_ns, 3 * BT_NS_PER_S);
        assert_int_equal(s->child_migration_timeout_ns, 10 * BT_NS_PER_S);
        assert_int_equal(s->state_ttl_ns, 30 * BT_NS_PER_S);
        assert_int_equal(s->state_query_timeout_ns, 5 * BT_NS_PER_S);
        assert_true(s->stored_ttl_ns == BT_NS_INFINITE);
        assert_int_equal(s->on_bad_state, BT_BAD_STATE_FRESH);
        assert_int_equal(s->restore_attempts, 3);
        assert_int_equal(c->instances, 0);
        assert_string_equal(c->cwd, "");
}

static void every_key_is_understood(void **state)
{
        struct fixture *f = *state;
        const struct bt_config_child *c = good_child(f, "exec: [./web, --fast, '']\n"
                                                        "instances: 3\n"
                                                        "sockets: [http]\n"
                                                        "protocol: baton\n"
                                                        "strategy: hot\n"
                                                        "handover: true\n"
                                                        "state: {form: arena, max: 1GiB}\n"
                                                        "restart: transient\n"
                                                        "max_restarts: forever\n"
                                                        "max_seconds: 7\n"
                                                        "backoff: {min: 50ms, max: 2s}\n"
                                                        "healthy: 1m\n"
                                                        "shutdown: infinity\n"
                                                        "retention: 6000\n"
                                                        "handover_data_wait: 4s\n"
                                                        "child_migration_timeout: 20s\n"
                                                        "state_ttl: infinity\n"
                                                        "state_query_timeout: 1s\n"
                                                        "stored_ttl: 1h\n"
                                                        "on_bad_state: keep_old\n"
                                                        "restore_attempts: 5\n"
                                                        "env: {LOG: debug, EMPTY: ''}\n"
                                                        "env_clear: true\n"
                                                        "cwd: .\n"
                                                        "x-note: anything");
        const struct bt_plan_child *s = &c->spec;
        char path[128];

        assert_int_equal(bt_diag_count(&f->diag, BT_SEVERITY_WARNING), 0);
        (void)snprintf(path, sizeof(path), "%s/web", f->dir);
        assert_string_equal(c->exec, path);
        assert_int_equal(c->argv.count, 3);
        assert_string_equal(c->argv.items[0], "./web");
        assert_string_equal(c->argv.items[2], "");
        assert_int_equal(f->config.expanded_count, 3);
        assert_int_equal(s->socket_count, 1);
        assert_int_equal(s->strategy, BT_STRATEGY_HOT);
        assert_int_equal(s->handover, 1);
        assert_int_equal(s->state_form, BATON_STATE_ARENA);
        assert_int_equal(s->state_bytes_max, UINT64_C(1) << 30);
        assert_int_equal(s->restart, BT_RESTART_TRANSIENT);
        assert_int_equal(s->max_restarts, UINT32_MAX);
        assert_int_equal(s->max_seconds_ns, 7 * BT_NS_PER_S); /* a plain number of this key is seconds */
        assert_int_equal(s->backoff_min_ns, 50 * BT_NS_PER_MS);
        assert_int_equal(s->backoff_max_ns, 2 * BT_NS_PER_S);
        assert_int_equal(s->healthy_ns, 60 * BT_NS_PER_S);
        assert_true(s->shutdown_ns == BT_NS_INFINITE);
        assert_int_equal(s->retention_ns, 6 * BT_NS_PER_S); /* elsewhere it is milliseconds */
        assert_int_equal(s->handover_data_wait_ns, 4 * BT_NS_PER_S);
        assert_int_equal(s->child_migration_timeout_ns, 20 * BT_NS_PER_S);
        assert_true(s->state_ttl_ns == BT_NS_INFINITE);
        assert_int_equal(s->state_query_timeout_ns, BT_NS_PER_S);
        assert_int_equal(s->stored_ttl_ns, 3600 * BT_NS_PER_S);
        assert_int_equal(s->on_bad_state, BT_BAD_STATE_KEEP_OLD);
        assert_int_equal(s->restore_attempts, 5);
        assert_int_equal(c->env.count, 2);
        assert_string_equal(c->env.items[0], "EMPTY=");
        assert_string_equal(c->env.items[1], "LOG=debug");
}

static void brutal_kill_is_no_time_at_all(void **state)
{
        assert_int_equal(good_child(*state, "exec: [./web]\nshutdown: brutal_kill")->spec.shutdown_ns, 0);
}

static void a_state_has_a_size_by_its_form(void **state)
{
        assert_int_equal(good_child(*state, "exec: [./web]\nstate: blob")->spec.state_bytes_max, UINT64_C(1) << 20);
        assert_int_equal(good_child(*state, "exec: [./web]\nstate: {form: arena}")->spec.state_bytes_max, UINT64_C(1) << 30);
        assert_int_equal(good_child(*state, "exec: [./web]\nstate: none\nhandover: true")->spec.state_bytes_max, 0);
}

static void the_environment_is_inherited_and_overridden(void **state)
{
        const struct bt_config_child *c = good_child(*state, "exec: [./web]\nenv: {LANG: de_DE.UTF-8, NEW: '1'}");
        static const char *const expected[] = {"HOME=/nowhere", "LANG=de_DE.UTF-8", "NEW=1", "PATH=/usr/bin:/bin"};

        assert_int_equal(c->env.count, 4); /* not LISTEN_PID, which is about another process */
        for (size_t i = 0; i < 4; i++)
                assert_string_equal(c->env.items[i], expected[i]);
}

static void defaults_are_applied_and_overridden(void **state)
{
        struct fixture *f = *state;
        const struct bt_config_child *a, *b;

        assert_int_equal(parse(f, "hub: h\n"
                                  "defaults: {strategy: hot, shutdown: 9s, state: {form: arena, max: 2GiB}, exec: [./web], env: {A: '1', B: '1'}}\n"
                                  "children:\n"
                                  "  a: {}\n"
                                  "  b: {shutdown: 1s, state: {max: 1MiB}, env: {B: '2'}}\n"), 0);
        a = &f->config.children[0];
        b = &f->config.children[1];
        assert_int_equal(a->spec.strategy, BT_STRATEGY_HOT);
        assert_int_equal(a->spec.shutdown_ns, 9 * BT_NS_PER_S);
        assert_int_equal(b->spec.strategy, BT_STRATEGY_HOT);
        assert_int_equal(b->spec.shutdown_ns, BT_NS_PER_S);
        assert_int_equal(b->spec.state_form, BATON_STATE_ARENA);
        assert_int_equal(b->spec.state_bytes_max, UINT64_C(1) << 20);
        assert_string_equal(a->env.items[1], "B=1");
        assert_string_equal(b->env.items[0], "A=1");
        assert_string_equal(b->env.items[1], "B=2");
}

static void a_plain_child_ignores_the_defaults_of_the_others(void **state)
{
        struct fixture *f = *state;

        assert_int_equal(parse(f, "hub: h\ndefaults: {strategy: hot, handover: true, state: arena}\n"
                                  "children: {a: {exec: [./web], protocol: plain}}\n"), 0);
        assert_int_equal(f->config.children[0].spec.strategy, BT_STRATEGY_COLD);
        assert_int_equal(f->config.children[0].spec.handover, 0);
        assert_int_equal(f->config.children[0].spec.state_form, BATON_STATE_NONE);
        assert_int_equal(parse_child(f, "exec: [./web]\nprotocol: plain\nstrategy: hot"), 1);
        assert_says(f, "app.yaml:7:15: error: 'strategy' needs a program that speaks with the hub");
}

static void anchors_merges_and_free_keys_work(void **state)
{
        struct fixture *f = *state;

        assert_int_equal(parse(f, "x-base: &base {strategy: hot, shutdown: 2s, exec: [./web]}\n"
                                  "x-slow: &slow {shutdown: 3s, retention: 1s}\n"
                                  "hub: h\n"
                                  "children:\n"
                                  "  a: *base\n"
                                  "  b: {<<: *base, shutdown: 4s}\n"
                                  "  c: {<<: [*slow, *base]}\n"), 0);
        assert_int_equal(f->config.child_count, 3);
        assert_int_equal(f->config.children[0].spec.shutdown_ns, 2 * BT_NS_PER_S);
        assert_int_equal(f->config.children[1].spec.shutdown_ns, 4 * BT_NS_PER_S);
        assert_int_equal(f->config.children[1].spec.strategy, BT_STRATEGY_HOT);
        assert_int_equal(f->config.children[2].spec.shutdown_ns, 3 * BT_NS_PER_S); /* the earlier one wins */
        assert_int_equal(f->config.children[2].spec.retention_ns, BT_NS_PER_S);
        assert_string_equal(f->config.children[2].argv.items[0], "./web");
}

/* ---- sockets ---- */

static void addresses_become_bytes(void **state)
{
        struct fixture *f = *state;
        struct sockaddr_in in;
        struct sockaddr_in6 in6;
        struct sockaddr_un un;
        char path[128];

        assert_int_equal(parse(f, "hub: h\n"
                                  "sockets:\n"
                                  "  a: tcp://127.0.0.1:8080\n"
                                  "  b: tcp6://[::1]:8081\n"
                                  "  c: {listen: 'udp://*:53', reuseport: true}\n"
                                  "  d: {listen: unix://app.sock, mode: 0660, backlog: 4096}\n"
                                  "  e: unix://@name\n"
                                  "children: {web: {exec: [./web], sockets: [a, b, c, d, e]}}\n"), 0);
        memcpy(&in, f->config.sockets[0].spec.addr, sizeof(in));
        assert_int_equal(in.sin_family, AF_INET);
        assert_int_equal(ntohs(in.sin_port), 8080);
        assert_int_equal(ntohl(in.sin_addr.s_addr), INADDR_LOOPBACK);
        memcpy(&in6, f->config.sockets[1].spec.addr, sizeof(in6));
        assert_int_equal(in6.sin6_family, AF_INET6);
        assert_memory_equal(&in6.sin6_addr, &in6addr_loopback, sizeof(in6addr_loopback));
        memcpy(&in, f->config.sockets[2].spec.addr, sizeof(in));
        assert_int_equal(in.sin_addr.s_addr, INADDR_ANY);
        assert_int_equal(f->config.sockets[2].spec.type, SOCK_DGRAM);
        assert_int_equal(f->config.sockets[2].spec.flags, BT_PLAN_SOCKET_REUSEPORT);
        memset(&un, 0, sizeof(un));
        memcpy(&un, f->config.sockets[3].spec.addr, f->config.sockets[3].spec.addr_bytes);
        (void)snprintf(path, sizeof(path), "%s/app.sock", f->dir);
        assert_string_equal(un.sun_path, path); /* beside the file */
        assert_int_equal(f->config.sockets[3].spec.mode, 0660);
        assert_int_equal(f->config.sockets[3].spec.backlog, 4096);
        assert_int_equal(f->config.sockets[4].spec.addr_bytes, offsetof(struct sockaddr_un, sun_path) + 5);
}

/* A folder that debootstrap has made knows no names at all, not even this one. */
static void a_name_is_resolved(void **state)
{
        struct fixture *f = *state;
        struct sockaddr_in in;

        if (access("/etc/hosts", R_OK) != 0)
                skip();
        assert_int_equal(parse(f, "hub: h\n"
                                  "sockets: {a: tcp://localhost:8082}\n"
                                  "children: {web: {exec: [./web], sockets: [a]}}\n"), 0);
        memcpy(&in, f->config.sockets[0].spec.addr, sizeof(in));
        assert_int_equal(in.sin_family, AF_INET);
        assert_int_equal(ntohs(in.sin_port), 8082);
        assert_int_equal(ntohl(in.sin_addr.s_addr), INADDR_LOOPBACK);
}

static void wrong_addresses_are_refused(void **state)
{
        static const char *const rows[][2] = {
                {"tcp://127.0.0.1", "expected HOST:PORT"},
                {"tcp://127.0.0.1:0", "port 0 would be another port"},
                {"tcp://127.0.0.1:65536", "expected HOST:PORT with a port from 1 to 65535"},
                {"tcp://::1:80", "stands in brackets"},
                {"http://127.0.0.1:80", "expected an address such as"},
                {"tcp://127.0.0.1/x:80", "expected an address such as"},
                {"unix://", "expected a path"},
                {"unix:///aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
                 "the address of a socket holds 107"},
                {"{listen: 'unix:///a', reuseport: true}", "'reuseport' is for tcp and udp only"},
                {"{listen: 'tcp://*:80', mode: 0600}", "'mode' is for sockets with a path"},
                {"{backlog: 5}", "has no address"},
                {"{listen: 'tcp://*:80', backlog: 0}", "'backlog': the number is too small"},
                {"{listen: 'tcp://*:80', bcklog: 5}", "unknown key 'bcklog' (did you mean 'backlog'?)"},
                {"[a]", "'listen' expects one value"},
        };
        struct fixture *f = *state;

        for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
                char text[512];

                (void)snprintf(text, sizeof(text), "hub: h\nsockets:\n  s: %s\nchildren: {web: {exec: [./web], sockets: [s]}}\n", rows[i][0]);
                assert_int_equal(parse(f, text), 1);
                assert_says(f, rows[i][1]);
                assert_says(f, "app.yaml:3:");
        }
}

static void two_sockets_with_one_address_are_refused(void **state)
{
        struct fixture *f = *state;

        assert_int_equal(parse(f, "hub: h\nsockets: {a: 'tcp://127.0.0.1:80', b: 'tcp://127.0.0.1:80'}\n"
                                  "children: {web: {exec: [./web], sockets: [a, b]}}\n"), 1);
        assert_says(f, "the socket 'b' has the address of 'a' (line 2)");
}

/* ---- errors ---- */

static void an_unknown_key_is_shown_with_its_line_and_carets(void **state)
{
        struct fixture *f = *state;

        assert_int_equal(parse(f, "hub: shop\nchildren:\n  web:\n    stop_timout: 5s\n    exec: [./web]\n"), 1);
        assert_string_equal(printed(f), "app.yaml:4:5: error: unknown key 'stop_timout' (did you mean 'shutdown'?)\n"
                                        "    4 |     stop_timout: 5s\n"
                                        "      |     ^~~~~~~~~~~\n");
}

static void wrong_values_are_named_with_their_place(void **state)
{
        static const char *const rows[][2] = {
                {"strategi: hot", "app.yaml:6:5: error: unknown key 'strategi' (did you mean 'strategy'?)"},
                {"strategy: warm", "app.yaml:6:15: error: 'strategy' is 'warm', expected cold or hot"},
                {"handover: true\nprotocol: notify", "'handover' needs a program that speaks with the hub, and this child's protocol is notify"},
                {"watchdog: 1s\nprotocol: plain", "'watchdog' needs a program that speaks with the hub, and this child's protocol is plain"},
                {"watchdog: 1s", "'watchdog' needs protocol: notify"},
                {"max_draining: 65", "'max_draining' is '65'"},
                {"protocol: http", "'protocol' is 'http', expected baton, plain or notify"},
                {"restart: always", "'restart' is 'always', expected permanent, transient or temporary"},
                {"handover: yes", "'handover' is 'yes': expected true or false"},
                {"instances: 0", "'instances' is '0': the number is too small (1 to 65536)"},
                {"instances: 70000", "'instances' is '70000': the number is too large"},
                {"instances: two", "'instances' is 'two': expected a whole number"},
                {"max_restarts: -1", "'max_restarts' is '-1': expected a whole number"},
                {"max_restarts: 65", "'max_restarts' is '65': the number is too large (0 to 64, or the word forever)"},
                {"shutdown: never", "or the word brutal_kill or infinity"},
                {"shutdown:", "'shutdown' has no value"},
                {"handover_data_wait: 0", "'handover_data_wait' is '0': it must be at least 1.0 ms"},
                {"retention: [5s]", "'retention' expects one value, and this is a list"},
                {"state: {form: arena, max: 1KiB}", "app.yaml:6:31: error: an arena has at least 64KiB"},
                {"state: {form: aren}", "'form' is 'aren', expected none, blob or arena"},
                {"state: {max: 2TiB, form: blob}", "'max' is '2TiB': a state has from 1 byte to 1TiB"},
                {"state: [arena]", "'state' expects a map"},
                {"state: {from: arena}", "unknown key 'from' (did you mean 'form'?)"},
                {"backoff: {min: 2s, max: 1s}", "'backoff': min is longer than max"},
                {"sockets: [htp]", "no socket has the name 'htp' (did you mean 'http'?)"},
                {"sockets: [http, http]", "the socket 'http' is here twice"},
                {"sockets: http", "'sockets' expects a list, such as [http]"},
                {"env: {A: [1]}", "'A' expects one value, and this is a list"},
                {"env: {A: }", "'A' has no value (write '' for an empty one)"},
                {"env: {'A=B': 1}", "'A=B' cannot be the name of a variable"},
                {"env: {LISTEN_FDS: 1}", "the hub itself sets 'LISTEN_FDS'"},
                {"cwd: nowhere", "No such file or directory"},
                {"cwd: web", "which is not a directory"},
                {"strategy: !!str hot", "tags are not used here"},
                {"exec: [./web]", "the key 'exec' is here twice; the first is in line 5"},
        };
        struct fixture *f = *state;

        for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
                char keys[256];

                (void)snprintf(keys, sizeof(keys), "exec: [./web]\n%s", rows[i][0]);
                if (!parse_child(f, keys))
                        fail_msg("accepted: %s", rows[i][0]);
                assert_says(f, rows[i][1]);
                assert_says(f, "app.yaml:6:");
        }
}

static void the_program_must_be_there_and_executable(void **state)
{
        static const char *const rows[][2] = {
                {"exec: ./web --fast", "'exec' expects a list, such as [./web, --fast]: no shell splits a text into words"},
                {"exec: []", "'exec' is empty"},
                {"exec: ['']", "the name of the program is empty"},
                {"exec: [./nope]", "No such file or directory"},
                {"exec: [./plain.txt]", "it is not executable (chmod +x)"},
                {"exec: [/tmp]", "it is a directory"},
                {"exec: [no-such-program-anywhere]", "no program 'no-such-program-anywhere' in PATH"},
                {"exec: [[a]]", "'exec' expects texts, and this is a list"},
                {"shutdown: 5s", "the child 'web' has no 'exec'"},
        };
        struct fixture *f = *state;

        for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
                assert_int_equal(parse_child(f, rows[i][0]), 1);
                assert_says(f, rows[i][1]);
        }
        assert_true(strchr(good_child(f, "exec: [sh]")->exec, '/') != NULL);
}

static void all_errors_are_reported_in_their_order(void **state)
{
        struct fixture *f = *state;
        const char *text;

        assert_int_equal(parse(f, "hub: ../x\nchildren:\n  web: {exec: [./web], strategy: x, handover: y}\nnodes: {}\n"), 1);
        assert_int_equal(bt_diag_count(&f->diag, BT_SEVERITY_ERROR), 4);
        text = printed(f);
        assert_true(strstr(text, "app.yaml:1:6:") < strstr(text, "app.yaml:3:34:"));
        assert_true(strstr(text, "app.yaml:3:34:") < strstr(text, "app.yaml:3:47:"));
        assert_true(strstr(text, "app.yaml:3:47:") < strstr(text, "app.yaml:4:8: error: 'nodes' has no node"));
}

static void beyond_twenty_errors_are_counted(void **state)
{
        struct fixture *f = *state;
        char text[4096] = "hub: h\nchildren:\n";

        for (int i = 0; i < 25; i++) {
                size_t used = strlen(text);

                (void)snprintf(text + used, sizeof(text) - used, "  c%d: {exec: [./web], bananas: 1}\n", i);
        }
        assert_int_equal(parse(f, text), 1);
        assert_says(f, "app.yaml: 25 errors, of which the first 20 found are shown");
}

static void an_error_shared_by_an_alias_is_told_once(void **state)
{
        struct fixture *f = *state;

        assert_int_equal(parse(f, "x-a: &a {exec: [./web], strategy: warm}\nhub: h\nchildren: {a: *a, b: *a, c: *a}\n"), 1);
        assert_int_equal(bt_diag_count(&f->diag, BT_SEVERITY_ERROR), 1);
}

static void the_frame_is_required(void **state)
{
        static const char *const rows[][2] = {
                {"", "the file is empty"},
                {"# only a comment\n", "the file is empty"},
                {"just text\n", "expected a map with the keys hub and children"},
                {"hub: h\n", "the key 'children' is missing"},
                {"children: {web: {exec: [./web]}}\n", "the key 'hub' is missing"},
                {"hub: h\nchildren: {}\n", "'children' has no child"},
                {"hub: h\nchildren: {web: }\n", "'web' expects a map"},
                {"hub: h\nchildren: {'a/1': {exec: [./web]}}\n", "a child's name must not end with '/' and a number"},
                {"hub: h\nchildren: {'a@b': {exec: [./web]}}\n", "or '@' and a name: those are instances'"},
                {"hub: h\nchild: {}\nchildren: {web: {exec: [./web]}}\n", "unknown key 'child'"},
                {"hub: h\nchildrn: {}\nchildren: {web: {exec: [./web]}}\n", "did you mean 'children'?"},
                {"hub: h\nchildren: {web: {exec: [./web]}}\nnodes: {blue: {weigth: 1}}\n", "did you mean 'weight'?"},
                {"hub: h\nchildren: {web: {exec: [./web], instances: 40000}, b: {exec: [./web], instances: 40000}}\n", "80000 children"},
        };
        struct fixture *f = *state;

        for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
                assert_int_equal(parse(f, rows[i][0]), 1);
                assert_says(f, rows[i][1]);
        }
}

static void names_fit_with_their_instance_number(void **state)
{
        struct fixture *f = *state;
        char name[80], text[256];

        memset(name, 'a', sizeof(name));
        name[63] = 0;
        (void)snprintf(text, sizeof(text), "hub: h\nchildren: {%s: {exec: [./web]}}\n", name);
        assert_int_equal(parse(f, text), 0);
        (void)snprintf(text, sizeof(text), "hub: h\nchildren: {%s: {exec: [./web], instances: 2}}\n", name);
        assert_int_equal(parse(f, text), 1);
        assert_says(f, "a child's name is too long");
}

static void what_to_do_with_a_bad_state_is_read_strictly(void **state)
{
        static const char *const rows[][2] = {
                {"on_bad_state: ignore", "'on_bad_state' is 'ignore', expected fresh, fail or keep_old"},
                {"restore_attempts: 0", "'restore_attempts' is '0'"},
                {"restore_attempts: 1001", "(1 to 1000)"},
                {"stored_ttl: never", "'stored_ttl' is 'never'"},
        };
        struct fixture *f = *state;

        for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
                char keys[256];

                (void)snprintf(keys, sizeof(keys), "exec: [./web]\nsockets: [http]\n%s", rows[i][0]);
                assert_int_equal(parse_child(f, keys), 1);
                assert_says(f, rows[i][1]);
        }
}

/* ---- warnings ---- */

static void a_limit_inside_a_shorter_one_is_warned_about(void **state)
{
        static const char *const rows[][2] = {
                {"strategy: hot\nhandover_data_wait: 20s", "handover_data_wait (20 s) is never reached"},
                {"shutdown: 30s", "child_migration_timeout (10 s) ends a cold swap before"},
                {"handover: true\nstate_ttl: 1s", "state_ttl (1.0 s) is not longer than shutdown (5.0 s)"},
                {"consent_limit: 8s", "consent_retry (10 s) is never reached: after consent_limit (8.0 s) the child is moved without being asked"},
                {"consent_timeout: 20m", "consent_timeout (20m 0s) is never reached"},
                {"max_restarts: 60", "max_restarts (60) in max_seconds (5.0 s) is never reached"},
                {"restart: temporary\nhealthy: 1s", "healthy (1.0 s) does nothing"},
                {"restore_attempts: 4", "restore_attempts (4) is more than max_restarts (3)"},
        };
        struct fixture *f = *state;

        for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
                char keys[256];

                (void)snprintf(keys, sizeof(keys), "exec: [./web]\nsockets: [http]\n%s", rows[i][0]);
                (void)good_child(f, keys);
                assert_int_equal(bt_diag_count(&f->diag, BT_SEVERITY_WARNING), 1);
                assert_says(f, rows[i][1]);
        }
        (void)good_child(f, "exec: [./web]\nsockets: [http]\nhandover: true\nstrategy: hot");
        assert_int_equal(bt_diag_count(&f->diag, BT_SEVERITY_WARNING), 0);
        (void)good_child(f, "exec: [./web]");
        assert_says(f, "warning: no child uses the socket 'http'");
}

/* ---- hostile YAML ---- */

static void depth_is_bounded(void **state)
{
        struct fixture *f = *state;
        char text[300] = "hub: h\nx-a: ";

        memset(text + strlen(text), '[', 200);
        assert_int_equal(parse(f, text), 1);
        assert_says(f, "more than 32 levels deep");
}

static void a_small_text_cannot_become_a_large_tree(void **state)
{
        struct fixture *f = *state;
        char text[2048] = "hub: h\nx-a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n";

        for (int i = 1; i < 12; i++) {
                size_t used = strlen(text);

                (void)snprintf(text + used, sizeof(text) - used, "x-a%d: &a%d [*a%d, *a%d, *a%d, *a%d, *a%d, *a%d, *a%d, *a%d]\n", i, i,
                               i - 1, i - 1, i - 1, i - 1, i - 1, i - 1, i - 1, i - 1);
        }
        assert_int_equal(parse(f, text), 1);
        assert_says(f, "too large: more than 1048576 values");
}

static void broken_yaml_is_an_error_with_a_place(void **state)
{
        static const char *const rows[][2] = {
                {"hub: [a\n", "app.yaml:2:1: error: not YAML"},
                {"hub: h\n\tx: 1\n", "app.yaml:2:1: error: not YAML"},
                {"hub: \xff\n", "the file is not UTF-8 text"},
                {"hub: \"a\\0b\"\n", "app.yaml:1:6: error: a text with a NUL character"},
                {"hub: h\n---\nhub: i\n", "a second document"},
                {"hub: *nobody\n", "no anchor '&nobody' is complete before this alias"},
                {"hub: &a [*a]\n", "no anchor '&a' is complete before this alias"},
                {"? [a]\n: b\n", "a key must be a plain text"},
                {"hub: h\nhub: i\n", "app.yaml:2:1: error: the key 'hub' is here twice; the first is in line 1"},
                {"x: {<<: [a]}\n", "'<<' merges maps, and this is a text"},
        };
        struct fixture *f = *state;

        for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
                assert_int_equal(parse(f, rows[i][0]), 1);
                assert_says(f, rows[i][1]);
        }
}

static void too_many_anchors_are_refused(void **state)
{
        struct fixture *f = *state;
        char text[8192] = "hub: h\n";

        for (int i = 0; i <= BT_YAML_ANCHORS_MAX; i++) {
                size_t used = strlen(text);

                (void)snprintf(text + used, sizeof(text) - used, "x-%d: &a%d 1\n", i, i);
        }
        assert_int_equal(parse(f, text), 1);
        assert_says(f, "more than 256 anchors");
}

static void a_long_line_is_shown_around_the_place(void **state)
{
        struct fixture *f = *state;
        char text[2048] = "hub: h\nchildren: {web: {exec: [./web], ";

        memset(text + strlen(text), ' ', 1000);
        memcpy(text + strlen(text), "bananas: 1}}\n", 14);
        assert_int_equal(parse(f, text), 1);
        assert_says(f, "unknown key 'bananas'");
        assert_true(strlen(printed(f)) < 400);
        assert_says(f, "^~~~~~~\n");
}

/* ---- files ---- */

static void a_file_is_read_and_its_folder_counts(void **state)
{
        struct fixture *f = *state;
        char path[128], expected[128];

        file_put(f->dir, "app.yaml", "hub: h\nchildren: {web: {exec: [./web]}}\n", 0644);
        (void)snprintf(path, sizeof(path), "%s/app.yaml", f->dir);
        (void)snprintf(expected, sizeof(expected), "%s/web", f->dir);
        bt_diag_init(&f->diag, path);
        assert_int_equal(bt_config_load(&f->config, &f->diag, path, world_environ), 0);
        assert_string_equal(f->config.children[0].exec, expected);
        assert_string_equal(f->config.path, path);
}

static void a_file_that_is_not_there_or_too_large_is_refused(void **state)
{
        struct fixture *f = *state;
        char path[128];
        char *large = malloc(BT_YAML_BYTES_MAX + 2);

        assert_non_null(large);
        bt_diag_init(&f->diag, "nowhere.yaml");
        assert_int_equal(bt_config_load(&f->config, &f->diag, "/tmp/baton-nowhere/app.yaml", world_environ), 1);
        assert_says(f, "nowhere.yaml: error: cannot be read: No such file or directory");
        bt_config_free(&f->config);

        memset(large, '#', BT_YAML_BYTES_MAX + 1);
        large[BT_YAML_BYTES_MAX + 1] = 0;
        file_put(f->dir, "app.yaml", large, 0644);
        free(large);
        (void)snprintf(path, sizeof(path), "%s/app.yaml", f->dir);
        bt_diag_init(&f->diag, path);
        assert_int_equal(bt_config_load(&f->config, &f->diag, path, world_environ), 1);
        assert_says(f, "the file is larger than 1 MiB");
}

/* ---- directories ---- */

static void directories_follow_the_environment(void **state)
{
        char *const own[] = {(char *)"BATON_RUNTIME_DIR=/r/", (char *)"BATON_STATE_DIR=/s", NULL};
        char *const xdg[] = {(char *)"XDG_RUNTIME_DIR=/run/user/7", (char *)"HOME=/home/u", NULL};
        char *const relative[] = {(char *)"BATON_RUNTIME_DIR=r", NULL};
        char *const none[] = {NULL};
        struct bt_mem mem = BT_MEM_NULL;
        const char *dir = NULL;

        (void)state;
        assert_null(bt_find_runtime(&dir, &mem, own, 0));
        assert_string_equal(dir, "/r");
        assert_null(bt_find_state(&dir, &mem, own, 7));
        assert_string_equal(dir, "/s");
        assert_null(bt_find_runtime(&dir, &mem, none, 0));
        assert_string_equal(dir, "/run/baton");
        assert_null(bt_find_state(&dir, &mem, none, 0));
        assert_string_equal(dir, "/var/lib/baton");
        assert_null(bt_find_runtime(&dir, &mem, xdg, 7));
        assert_string_equal(dir, "/run/user/7/baton");
        assert_null(bt_find_state(&dir, &mem, xdg, 7));
        assert_string_equal(dir, "/home/u/.local/state/baton");
        assert_non_null(strstr(bt_find_runtime(&dir, &mem, none, 7), "set BATON_RUNTIME_DIR"));
        assert_non_null(strstr(bt_find_runtime(&dir, &mem, relative, 7), "not an absolute path"));
        bt_mem_free(&mem);
}

static void a_runtime_directory_that_is_too_long_is_named(void **state)
{
        struct bt_mem mem = BT_MEM_NULL;
        char runtime[128];

        (void)state;
        memset(runtime, 'r', sizeof(runtime));
        runtime[0] = '/';
        runtime[107 - strlen("/hub/control.sock")] = 0;
        assert_null(bt_find_fits(&mem, runtime, "hub")); /* 107 bytes: the last that fit */
        assert_non_null(strstr(bt_find_fits(&mem, runtime, "hub2"), "holds 107: set BATON_RUNTIME_DIR to a shorter directory"));
        bt_mem_free(&mem);
}

#define T(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

/* ---- hooks ---- */

static void HOOK_1_commands_for_events_are_read_at_the_hub_in_defaults_and_in_a_child(void **state)
{
        struct fixture *f = *state;
        const struct bt_config *c = &f->config;
        char path[128];

        if (parse(f, "hub: shop\nhook_timeout: 250ms\non: {shutdown_begun: [./web, bye]}\n"
                     "defaults: {on: {child_running: [./web, all], child_ended: [./web, all]}}\n"
                     "children:\n  a: {exec: [./web]}\n  b: {exec: [./web], on: {child_ended: [sh, -c, 'exit 1'], x-note: 1}}\n"))
                fail_msg("refused: %s", printed(f));
        (void)snprintf(path, sizeof(path), "%s/web", f->dir);
        assert_true(c->hook_timeout_ns == 250 * BT_NS_PER_MS);
        assert_int_equal(c->hooks.count, 1);
        assert_int_equal(c->hooks.items[0].event, BT_EVENT_SHUTDOWN_BEGUN);
        assert_string_equal(c->hooks.items[0].exec, path);
        assert_int_equal(c->hooks.items[0].argv.count, 2);
        assert_string_equal(c->hooks.items[0].argv.items[1], "bye");
        assert_int_equal(c->children[0].hooks.count, 2);
        assert_string_equal(c->children[0].hooks.items[1].argv.items[1], "all");
        assert_int_equal(c->children[1].hooks.count, 2);
        assert_string_equal(c->children[1].hooks.items[0].argv.items[1], "all");
        assert_int_equal(c->children[1].hooks.items[1].event, BT_EVENT_CHILD_ENDED);
        assert_string_equal(c->children[1].hooks.items[1].argv.items[2], "exit 1");
        assert_non_null(strstr(c->children[1].hooks.items[1].exec, "/sh"));
}

static void HOOK_1_a_hook_that_could_never_run_is_an_error(void **state)
{
        static const struct {
                const char *keys;
                const char *says;
        } rows[] = {
                {"on: [child_running]", "'on' expects a map"},
                {"on: {child_runing: [./web]}", "no event has the name 'child_runing' (did you mean 'child_running'?)"},
                {"on: {hook_failed: [./web]}", "'hook_failed' can have no command"},
                {"on: {child_running: ./web --fast}", "'child_running' expects a list"},
                {"on: {child_running: {a: b}}", "'child_running' expects a list"},
                {"on: {child_running: []}", "'child_running' is an empty list"},
                {"on: {child_running: ['']}", "the name of the program is empty"},
                {"on: {child_running: [[./web]]}", "'child_running' expects texts"},
                {"on: {child_running: [./plain.txt]}", "plain.txt"},
                {"on: {child_running: [no-such-program]}", "no program 'no-such-program' in PATH"},
                {"alter: ./web", "'alter' expects a list"},
                {"alter: []", "'alter' is an empty list"},
                {"alter: [./plain.txt]", "plain.txt"},
        };
        struct fixture *f = *state;
        char text[256];

        for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
                (void)snprintf(text, sizeof(text), "exec: [./web]\n%s", rows[i].keys);
                assert_int_equal(parse_child(f, text), 1);
                assert_says(f, rows[i].says);
        }
        assert_int_equal(parse(f, "hub: shop\nhook_timeout: 0\nchildren: {a: {exec: [./web]}}\n"), 1);
        assert_says(f, "'hook_timeout' is '0'");
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                T(a_child_has_the_documented_defaults),
                T(every_key_is_understood),
                T(brutal_kill_is_no_time_at_all),
                T(a_state_has_a_size_by_its_form),
                T(the_environment_is_inherited_and_overridden),
                T(defaults_are_applied_and_overridden),
                T(a_plain_child_ignores_the_defaults_of_the_others),
                T(anchors_merges_and_free_keys_work),
                T(addresses_become_bytes),
                T(a_name_is_resolved),
                T(wrong_addresses_are_refused),
                T(two_sockets_with_one_address_are_refused),
                T(an_unknown_key_is_shown_with_its_line_and_carets),
                T(wrong_values_are_named_with_their_place),
                T(the_program_must_be_there_and_executable),
                T(all_errors_are_reported_in_their_order),
                T(beyond_twenty_errors_are_counted),
                T(an_error_shared_by_an_alias_is_told_once),
                T(the_frame_is_required),
                T(names_fit_with_their_instance_number),
                T(what_to_do_with_a_bad_state_is_read_strictly),
                T(a_limit_inside_a_shorter_one_is_warned_about),
                T(depth_is_bounded),
                T(a_small_text_cannot_become_a_large_tree),
                T(broken_yaml_is_an_error_with_a_place),
                T(too_many_anchors_are_refused),
                T(a_long_line_is_shown_around_the_place),
                T(a_file_is_read_and_its_folder_counts),
                T(a_file_that_is_not_there_or_too_large_is_refused),
                T(HOOK_1_commands_for_events_are_read_at_the_hub_in_defaults_and_in_a_child),
                T(HOOK_1_a_hook_that_could_never_run_is_an_error),
                cmocka_unit_test(directories_follow_the_environment),
                cmocka_unit_test(a_runtime_directory_that_is_too_long_is_named),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
