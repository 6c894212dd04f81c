/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The configuration from text to meaning: keys, defaults, sockets, hooks, files and folders. Real files and folders where a path matters. What is said of a
 * text that is wrong is in test_config_errors.c.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>
#include <unistd.h>

#include <baton/types.h>

#include "base/clock.h"
#include "supervisor/baton/config.h"
#include "supervisor/baton/find.h"
#include "supervisor/baton/yaml.h"
#include "tests/support/configs.h"

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
        struct folder *f = *state;
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
        struct folder *f = *state;
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
        struct folder *f = *state;

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
        struct folder *f = *state;

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
        struct folder *f = *state;
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
        struct folder *f = *state;
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
        struct folder *f = *state;

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
        struct folder *f = *state;

        assert_int_equal(parse(f, "hub: h\nsockets: {a: 'tcp://127.0.0.1:80', b: 'tcp://127.0.0.1:80'}\n"
                                  "children: {web: {exec: [./web], sockets: [a, b]}}\n"), 1);
        assert_says(f, "the socket 'b' has the address of 'a' (line 2)");
}

/* ---- files ---- */

static void a_file_is_read_and_its_folder_counts(void **state)
{
        struct folder *f = *state;
        char path[128], expected[128];

        folder_put(f, "app.yaml", "hub: h\nchildren: {web: {exec: [./web]}}\n", 0644);
        (void)snprintf(path, sizeof(path), "%s/app.yaml", f->dir);
        (void)snprintf(expected, sizeof(expected), "%s/web", f->dir);
        bt_diag_init(&f->diag, path);
        assert_int_equal(bt_config_load(&f->config, &f->diag, path, folder_environ), 0);
        assert_string_equal(f->config.children[0].exec, expected);
        assert_string_equal(f->config.path, path);
}

static void a_file_that_is_not_there_or_too_large_is_refused(void **state)
{
        struct folder *f = *state;
        char path[128];
        char *large = malloc(BT_YAML_BYTES_MAX + 2);

        assert_non_null(large);
        bt_diag_init(&f->diag, "nowhere.yaml");
        assert_int_equal(
                bt_config_load(&f->config, &f->diag, "/tmp/baton-nowhere/app.yaml", folder_environ),
                1);
        assert_says(f, "nowhere.yaml: error: cannot be read: No such file or directory");
        bt_config_free(&f->config);

        memset(large, '#', BT_YAML_BYTES_MAX + 1);
        large[BT_YAML_BYTES_MAX + 1] = 0;
        folder_put(f, "app.yaml", large, 0644);
        free(large);
        (void)snprintf(path, sizeof(path), "%s/app.yaml", f->dir);
        bt_diag_init(&f->diag, path);
        assert_int_equal(bt_config_load(&f->config, &f->diag, path, folder_environ), 1);
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

/* ---- hooks ---- */

static void HOOK_1_commands_for_events_are_read_at_the_hub_in_defaults_and_in_a_child(void **state)
{
        struct folder *f = *state;
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

#define T(name) cmocka_unit_test_setup_teardown(name, folder_setup, folder_teardown)

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
                T(a_file_is_read_and_its_folder_counts),
                T(a_file_that_is_not_there_or_too_large_is_refused),
                T(HOOK_1_commands_for_events_are_read_at_the_hub_in_defaults_and_in_a_child),
                cmocka_unit_test(directories_follow_the_environment),
                cmocka_unit_test(a_runtime_directory_that_is_too_long_is_named),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
