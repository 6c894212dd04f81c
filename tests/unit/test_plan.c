/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The plan: what the command compiles is what the daemon reads, and a plan that was tampered with anywhere is refused or harmless.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <baton/types.h>

#include "base/clock.h"
#include "base/fd.h"
#include "supervisor/baton/compile.h"
#include "supervisor/plan.h"

#define SEALS (F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE)

static const char shop[] = "hub: shop\n"
                           "groups:\n"
                           "  all: {strategy: one_for_all, children: [two]}\n"
                           "  two: {children: [web]}\n"
                           "sockets:\n"
                           "  http: {listen: 'tcp://127.0.0.1:8080', backlog: 99}\n"
                           "  admin: unix:///run/admin.sock\n"
                           "children:\n"
                           "  web: {exec: [./web, --fast, ''], instances: 3, sockets: [admin, http], state: arena, strategy: hot, env: {A: '1'}}\n"
                           "  log: {exec: [/bin/cat], protocol: plain, shutdown: infinity, max_restarts: forever, cwd: /tmp}\n";

/* Compiles @text as if it stood in /etc/shop. Returns a descriptor. */
static int compiled(const char *text)
{
        static char *const world_environ[] = {(char *)"PATH=/bin", NULL};
        struct bt_config_world world = {.dir = "/etc/shop", .environ = world_environ, .offline = true};
        struct bt_config config = BT_CONFIG_NULL;
        struct bt_diag *diag = calloc(1, sizeof(*diag));
        const char *error = NULL;
        int fd = -1;

        assert_non_null(diag);
        bt_diag_init(diag, "app.yaml");
        if (bt_config_parse(&config, diag, text, strlen(text), &world)) {
                bt_diag_print(diag, stderr);
                fail();
        }
        if (bt_compile(&fd, &config, "/run/baton", "/var/lib/baton", &error))
                fail_msg("%s", error);
        bt_config_free(&config);
        free(diag);
        return fd;
}

/* The bytes of a good plan, to be spoiled; freed by the caller. */
static unsigned char *plan_bytes(size_t *ret_bytes)
{
        int fd = compiled(shop);
        struct stat st;
        unsigned char *bytes;

        assert_int_equal(fstat(fd, &st), 0);
        bytes = malloc((size_t)st.st_size);
        assert_non_null(bytes);
        assert_int_equal(pread(fd, bytes, (size_t)st.st_size, 0), st.st_size);
        (void)bt_close(fd);
        *ret_bytes = (size_t)st.st_size;
        return bytes;
}

static int memfd_of(const void *bytes, size_t count, int seals)
{
        int fd = memfd_create("test-plan", MFD_CLOEXEC | MFD_ALLOW_SEALING);

        assert_true(fd >= 0);
        assert_int_equal(bt_write_all(fd, bytes, count), 0);
        assert_int_equal(fcntl(fd, F_ADD_SEALS, seals), 0);
        return fd;
}

/* Opens and closes; what bt_plan_open() said. On refusal there must be a sentence. */
static int try_open(const void *bytes, size_t count, const char **ret_error)
{
        struct bt_plan_view view = {0};
        int fd = memfd_of(bytes, count, SEALS);
        int r = bt_plan_open(&view, fd, ret_error);

        if (!r) {
                assert_null(*ret_error);
                bt_plan_close(&view);
                assert_null(view.plan);
        } else {
                assert_int_equal(r, -EINVAL);
                assert_non_null(*ret_error);
                assert_null(view.plan); /* written only on success */
        }
        (void)bt_close(fd);
        return r;
}

/* ---- what the daemon reads ---- */

static void the_daemon_reads_what_was_compiled(void **state)
{
        const char *error = NULL, *at;
        struct bt_plan_view view;
        const struct bt_plan_child *child;
        struct sockaddr_in in;
        int fd = compiled(shop);

        (void)state;
        assert_int_equal(bt_plan_open(&view, fd, &error), 0);
        (void)bt_close(fd);
        assert_string_equal(bt_plan_string(&view, view.plan->hub), "shop");
        assert_string_equal(bt_plan_string(&view, view.plan->runtime_dir), "/run/baton/shop");
        assert_string_equal(bt_plan_string(&view, view.plan->state_dir), "/var/lib/baton/shop");
        assert_int_equal(view.plan->child_count, 4);
        assert_int_equal(view.plan->socket_count, 2);
        assert_string_equal(bt_plan_string(&view, view.sockets[0].name), "http");
        assert_string_equal(bt_plan_string(&view, view.sockets[0].text), "tcp://127.0.0.1:8080");
        assert_int_equal(view.sockets[0].backlog, 99);
        memcpy(&in, view.sockets[0].addr, sizeof(in));
        assert_int_equal(ntohs(in.sin_port), 8080);
        assert_int_equal(view.sockets[1].mode, 0600);

        child = &view.children[2];
        assert_string_equal(bt_plan_string(&view, child->id), "web/2");
        assert_string_equal(bt_plan_string(&view, child->pool), "web");
        assert_string_equal(bt_plan_string(&view, child->exec), "/etc/shop/web");
        assert_int_equal(child->argv_count, 3);
        at = bt_plan_string(&view, child->argv);
        assert_string_equal(at, "./web");
        at = bt_plan_string_next(at);
        assert_string_equal(at, "--fast");
        at = bt_plan_string_next(at);
        assert_string_equal(at, "");
        assert_int_equal(child->env_count, 2);
        at = bt_plan_string(&view, child->env);
        assert_string_equal(at, "A=1");
        assert_string_equal(bt_plan_string_next(at), "PATH=/bin");
        assert_int_equal(child->socket_count, 2);
        assert_int_equal(child->sockets[0], 1); /* in the child's order */
        assert_int_equal(child->sockets[1], 0);
        assert_int_equal(child->state_form, BATON_STATE_ARENA);

        child = &view.children[3];
        assert_string_equal(bt_plan_string(&view, child->id), "log");
        assert_string_equal(bt_plan_string(&view, child->cwd), "/tmp");
        assert_true(child->shutdown_ns == BT_NS_INFINITE);
        assert_int_equal(child->max_restarts, UINT32_MAX);
        assert_int_equal(child->protocol, BT_PROTOCOL_PLAIN);
        bt_plan_close(&view);
        bt_plan_close(&view); /* harmless */
}

static void instances_share_their_lists(void **state)
{
        const char *error = NULL;
        struct bt_plan_view view;
        int fd = compiled(shop);

        (void)state;
        assert_int_equal(bt_plan_open(&view, fd, &error), 0);
        (void)bt_close(fd);
        assert_int_equal(view.children[0].env, view.children[2].env);
        assert_int_equal(view.children[0].argv, view.children[2].argv);
        bt_plan_close(&view);
}

static void the_largest_hub_is_compiled_and_read(void **state)
{
        const char *error = NULL;
        struct bt_plan_view view;
        int fd = compiled("hub: h\nchildren: {w: {exec: [/bin/cat], instances: 65536}}\n");

        (void)state;
        assert_int_equal(bt_plan_open(&view, fd, &error), 0);
        (void)bt_close(fd);
        assert_int_equal(view.plan->child_count, 65536);
        assert_string_equal(bt_plan_string(&view, view.children[65535].id), "w/65535");
        bt_plan_close(&view);
}

static void a_plan_beyond_its_limit_is_refused_by_the_command(void **state)
{
        struct bt_config config = BT_CONFIG_NULL;
        struct bt_config_child child = {.name = "w", .exec = "/bin/cat", .cwd = ""};
        size_t bytes = (size_t)80 << 20;
        char *large = malloc(bytes);
        const char *argv[] = {large};
        const char *error = NULL;
        int fd = -1;

        (void)state;
        assert_non_null(large);
        memset(large, 'x', bytes - 1);
        large[bytes - 1] = 0;
        child.argv = (struct bt_config_list){argv, 1};
        config.hub = "h";
        config.children = &child;
        config.child_count = config.expanded_count = 1;
        assert_int_equal(bt_compile(&fd, &config, "/run", "/var", &error), 1);
        assert_non_null(strstr(error, "larger than 64 MiB"));
        assert_int_equal(fd, -1);
        bt_config_free(&config);
        free(large);
}

/* ---- what it refuses ---- */

static void a_memfd_that_can_still_change_is_refused(void **state)
{
        static const int seals[] = {0, F_SEAL_WRITE, F_SEAL_SHRINK | F_SEAL_GROW};
        const char *error = NULL;
        struct bt_plan_view view;
        size_t count;
        unsigned char *bytes = plan_bytes(&count);

        (void)state;
        for (size_t i = 0; i < sizeof(seals) / sizeof(seals[0]); i++) {
                int fd = memfd_of(bytes, count, seals[i]);

                assert_int_equal(bt_plan_open(&view, fd, &error), -EINVAL);
                assert_non_null(strstr(error, "sealed"));
                (void)bt_close(fd);
        }
        assert_int_equal(bt_plan_open(&view, STDIN_FILENO, &error), -EINVAL); /* no memfd at all */
        free(bytes);
}

static void a_plan_of_another_length_is_refused(void **state)
{
        const char *error = NULL;
        size_t count;
        unsigned char *bytes = plan_bytes(&count);
        unsigned char *longer = calloc(1, count + 1);

        (void)state;
        assert_non_null(longer);
        memcpy(longer, bytes, count);
        for (size_t cut = 0; cut < count; cut += 37)
                assert_int_equal(try_open(bytes, cut, &error), -EINVAL);
        assert_int_equal(try_open(bytes, count - 1, &error), -EINVAL);
        assert_int_equal(try_open(longer, count + 1, &error), -EINVAL);
        assert_int_equal(try_open(bytes, count, &error), 0);
        free(longer);
        free(bytes);
}

/* HOOK-3: a command that is asked before a start, from the file to the daemon's view; `none` undoes that of `defaults`. */
static const char altering[] = "hub: shop\n"
                               "defaults: {alter: [./alter, all]}\n"
                               "children:\n"
                               "  web: {exec: [./web], instances: 2}\n"
                               "  log: {exec: [./log], alter: none}\n"
                               "  own: {exec: [./own], alter: [/bin/alter]}\n";

static void HOOK_3_the_daemon_reads_the_commands_that_were_compiled(void **state)
{
        const char *error = NULL;
        struct bt_plan_view view;
        int fd = compiled(altering);

        (void)state;
        assert_int_equal(bt_plan_open(&view, fd, &error), 0);
        for (int i = 0; i < 2; i++) {
                assert_string_equal(bt_plan_string(&view, view.children[i].alter), "/etc/shop/alter");
                assert_int_equal(view.children[i].alter_argv_count, 2);
                assert_string_equal(bt_plan_string_next(bt_plan_string(&view, view.children[i].alter_argv)), "all");
        }
        assert_int_equal(view.children[2].alter, 0);
        assert_int_equal(view.children[2].alter_argv_count, 0);
        assert_string_equal(bt_plan_string(&view, view.children[3].alter), "/bin/alter");
        bt_plan_close(&view);
        (void)close(fd);
}

static const char hooked[] = "hub: shop\n"
                             "on: {shutdown_begun: [./tell, bye], child_running: [./tell]}\n"
                             "defaults: {on: {child_ended: [/bin/true, '']}}\n"
                             "children:\n"
                             "  a: {exec: [./a], instances: 2}\n"
                             "  b: {exec: [./b]}\n"
                             "  c: {exec: [./c], on: {child_running: [./c, x]}}\n";

static void HOOK_1_the_daemon_reads_the_hooks_that_were_compiled(void **state)
{
        const char *error = NULL;
        struct bt_plan_view view;
        int fd = compiled(hooked);

        (void)state;
        assert_int_equal(bt_plan_open(&view, fd, &error), 0);
        (void)bt_close(fd);
        assert_int_equal(view.plan->hook_count, 5);
        assert_int_equal(view.plan->hub_hook_count, 2);
        assert_true(view.plan->hook_timeout_ns == 5 * BT_NS_PER_S);
        assert_int_equal(view.hooks[0].event, BT_EVENT_SHUTDOWN_BEGUN);
        assert_string_equal(bt_plan_string(&view, view.hooks[0].exec), "/etc/shop/tell");
        assert_int_equal(view.hooks[0].argv_count, 2);
        assert_string_equal(bt_plan_string_next(bt_plan_string(&view, view.hooks[0].argv)), "bye");
        for (uint32_t i = 0; i < 3; i++) { /* both instances, and b: one list */
                assert_int_equal(view.children[i].hook_first, 2);
                assert_int_equal(view.children[i].hook_count, 1);
        }
        assert_int_equal(view.hooks[2].event, BT_EVENT_CHILD_ENDED);
        assert_int_equal(view.hooks[2].argv_count, 2);
        assert_int_equal(view.children[3].hook_first, 3);
        assert_int_equal(view.children[3].hook_count, 2);
        assert_int_equal(view.hooks[4].event, BT_EVENT_CHILD_RUNNING);
        bt_plan_close(&view);
}

static void HOOK_1_a_spoiled_hook_is_refused(void **state)
{
        struct bt_plan_hook *hook;
        const char *error = NULL;
        int fd = compiled(hooked);
        struct stat st;
        unsigned char *bytes;
        size_t count, off = sizeof(struct bt_plan) + 4 * sizeof(struct bt_plan_child);
        static const struct bt_plan_hook spoiled[] = {
                {.event = _BT_EVENT_N}, {.event = BT_EVENT_HOOK_FAILED},
                {.exec = UINT32_MAX},   {.exec = 0},                     {.argv = UINT32_MAX},
                {.argv_count = 0},      {.argv_count = BT_PLAN_LIST_MAX + 1},
        };

        (void)state;
        assert_int_equal(fstat(fd, &st), 0);
        count = (size_t)st.st_size;
        bytes = malloc(count);
        assert_non_null(bytes);
        assert_int_equal(pread(fd, bytes, count, 0), st.st_size);
        (void)bt_close(fd);
        assert_int_equal(try_open(bytes, count, &error), 0);
        hook = (void *)(bytes + off);
        for (size_t i = 0; i < sizeof(spoiled) / sizeof(spoiled[0]); i++) {
                struct bt_plan_hook good = *hook;

                if (i < 2)
                        hook->event = spoiled[i].event;
                else if (i < 4)
                        hook->exec = spoiled[i].exec;
                else if (i < 5)
                        hook->argv = spoiled[i].argv;
                else
                        hook->argv_count = spoiled[i].argv_count;
                assert_int_equal(try_open(bytes, count, &error), -EINVAL);
                assert_non_null(strstr(error, "a hook's"));
                *hook = good;
        }
        free(bytes);
}

/* One member spoiled, by offset; and the word the refusal must contain. */
struct spoil {
        size_t off;
        size_t width;
        uint64_t value;
        const char *says;
};

#define HEAD(member, value, says) {offsetof(struct bt_plan, member), sizeof(((struct bt_plan *)0)->member), value, says}
#define SOCKET(member, value, says)                                                                                                     \
        {sizeof(struct bt_plan) + offsetof(struct bt_plan_socket, member), sizeof(((struct bt_plan_socket *)0)->member), value, says}
#define CHILD(member, value, says)                                                                                                      \
        {sizeof(struct bt_plan) + 2 * sizeof(struct bt_plan_socket) + offsetof(struct bt_plan_child, member),                           \
         sizeof(((struct bt_plan_child *)0)->member), value, says}
#define CHILD_AT(off, value, says)                                                                                                      \
        {sizeof(struct bt_plan) + 2 * sizeof(struct bt_plan_socket) + (off), 4, value, says}
#define GROUPS_OFF (sizeof(struct bt_plan) + 2 * sizeof(struct bt_plan_socket) + 4 * sizeof(struct bt_plan_child))
#define GROUP(number, member, value, says)                                                                                              \
        {GROUPS_OFF + (number) * sizeof(struct bt_plan_group) + offsetof(struct bt_plan_group, member),                                 \
         sizeof(((struct bt_plan_group *)0)->member), value, says}
#define MEMBER(number, member, value, says)                                                                                             \
        {GROUPS_OFF + 2 * sizeof(struct bt_plan_group) + (number) * sizeof(struct bt_plan_member) + offsetof(struct bt_plan_member, member), \
         4, value, says}

static void each_spoiled_member_is_named(void **state)
{
        static const struct spoil spoils[] = {
                HEAD(magic, 1, "magic"),
                HEAD(version, BT_PLAN_VERSION + 1, "another version"),
                HEAD(head_bytes, 8, "another version"),
                HEAD(bytes, 100, "length"),
                HEAD(socket_count, 257, "more than 256 sockets"),
                HEAD(child_count, 65537, "more than 65536 children"),
                HEAD(child_count, 3, "string table"),
                HEAD(child_count, UINT32_MAX, "children"),
                HEAD(strings_off, 0, "string table"),
                HEAD(strings_off, UINT64_MAX, "string table"),
                HEAD(strings_bytes, UINT64_MAX, "string table"),
                HEAD(hub, UINT32_MAX, "hub's name"),
                HEAD(hub, 0, "hub's name"),
                HEAD(runtime_dir, 0, "runtime directory"),
                HEAD(runtime_dir, 0x7fffffff, "runtime directory"),
                HEAD(state_dir, 0, "state directory"),
                HEAD(config_path, 0x7fffffff, "configuration"),
                HEAD(distribution, 5, "distribution"),
                HEAD(hook_count, 4097, "4096 hooks"),
                HEAD(hub_hook_count, 1, "hooks"),
                HEAD(hook_timeout_ns, UINT64_C(366) * 86400 * 1000000000 + 1, "hook_timeout"),
                SOCKET(name, 0, "socket's name"),
                SOCKET(name, UINT32_MAX, "socket's name"),
                SOCKET(type, 77, "socket's type"),
                SOCKET(mode, 01000, "mode"),
                SOCKET(backlog, UINT32_MAX, "backlog"),
                SOCKET(flags, 2, "flags"),
                SOCKET(addr_bytes, 1, "address"),
                SOCKET(addr_bytes, 129, "address"),
                SOCKET(addr_bytes, 17, "address"),
                SOCKET(text, UINT32_MAX, "socket's text"),
                SOCKET(reserved, 1, "reserved"),
                CHILD(id, 0, "child's id"),
                CHILD(id, UINT32_MAX, "child's id"),
                CHILD(pool, 0, "pool"),
                CHILD(exec, 0, "exec"),
                CHILD(exec, UINT32_MAX, "exec"),
                CHILD(argv, UINT32_MAX, "argv"),
                CHILD(argv_count, 0, "argv"),
                CHILD(argv_count, UINT32_MAX, "argv"),
                CHILD(argv_count, 16000, "argv"),
                CHILD(env, UINT32_MAX, "environment"),
                CHILD(env_count, 16000, "environment"),
                CHILD(cwd, UINT32_MAX, "cwd"),
                CHILD(socket_count, 17, "16 sockets"),
                CHILD(socket_count, 0, "socket index is not zero"),
                CHILD_AT(offsetof(struct bt_plan_child, sockets), 0, "socket twice"),
                CHILD_AT(offsetof(struct bt_plan_child, sockets), 2, "not there"),
                CHILD(protocol, _BT_PROTOCOL_N, "protocol"),
                CHILD(protocol, BT_PROTOCOL_PLAIN, "plain child"),
                CHILD(protocol, BT_PROTOCOL_NOTIFY, "notify child"),
                CHILD(watchdog_ns, 1, "watchdog"),
                CHILD(strategy, _BT_STRATEGY_N, "strategy"),
                CHILD(handover, 2, "handover"),
                CHILD(state_form, _BATON_STATE_N, "state"),
                CHILD(restart, _BT_RESTART_N, "restart"),
                CHILD(max_restarts, 65, "max_restarts"),
                CHILD(max_seconds_ns, 0, "max_seconds"),
                CHILD(backoff_min_ns, BT_PLAN_NS_MAX, "backoff"),
                CHILD(healthy_ns, BT_NS_INFINITE, "366 days"),
                CHILD(shutdown_ns, BT_NS_INFINITE - 1, "366 days"),
                CHILD(state_ttl_ns, BT_PLAN_NS_MAX + 1, "366 days"),
                CHILD(stored_ttl_ns, BT_PLAN_NS_MAX + 1, "366 days"),
                CHILD(on_bad_state, 3, "on_bad_state"),
                CHILD(restore_attempts, 0, "restore_attempts"),
                CHILD(max_draining, 0, "max_draining"),
                CHILD(zygote, 2, "zygote"),
                CHILD(significant, 2, "significant"),
                CHILD(max_draining, 65, "max_draining"),
                CHILD(restore_attempts, 1001, "restore_attempts"),
                CHILD(retention_ns, BT_PLAN_NS_MAX + 1, "366 days"),
                CHILD(state_bytes_max, 65535, "arena"),
                CHILD(state_bytes_max, UINT64_MAX, "1 TiB"),
                CHILD(checkpoint, 2, "checkpoint"),
                CHILD(checkpoint_every_ns, BT_PLAN_NS_MAX + 1, "checkpoint_every"),
                CHILD(durability, _BT_DURABILITY_N, "durability"),
                CHILD(tags, UINT32_MAX, "tag"),
                CHILD(tag_count, 17, "16 tags"),
                CHILD(tag_count, 1, "tag is not a name"),
                CHILD(meta, UINT32_MAX, "meta"),
                CHILD(meta_count, 33, "32 keys"),
                CHILD(meta_count, 1, "KEY=TEXT"),
                CHILD(alter, UINT32_MAX, "alter"),
                CHILD(alter_argv, 1, "alter"),
                CHILD(alter_argv_count, 1, "alter"),
                CHILD(distribution, 5, "distribution"),
                CHILD(replicas, BT_PLAN_NODES_MAX + 1, "replication"),
                CHILD(replication, 1, "replication"),
                CHILD(replication, _BT_REPLICATION_N, "replication"),
                CHILD(reserved[0], 1, "reserved"),
                CHILD(hook_first, 1, "hooks that are not there"),
                CHILD(hook_count, 1, "hooks that are not there"),
                HEAD(group_count, BT_PLAN_GROUPS_MAX + 1, "1024 groups"),
                HEAD(member_count, BT_PLAN_MEMBERS_MAX + 1, "65536 members"),
                HEAD(group_count, 1, "string table"),
                GROUP(0, name, UINT32_MAX, "group's name"),
                GROUP(0, name, 0, "group's name"),
                GROUP(0, strategy, _BT_GROUP_STRATEGY_N, "strategy"),
                GROUP(0, auto_shutdown, _BT_GROUP_AUTO_N, "auto_shutdown"),
                GROUP(0, max_restarts, 65, "max_restarts"),
                GROUP(0, max_seconds_ns, 0, "max_seconds"),
                GROUP(0, max_seconds_ns, BT_PLAN_NS_MAX + 1, "max_seconds"),
                GROUP(0, restart, _BT_RESTART_N, "restart"),
                GROUP(0, significant, 2, "significant"),
                GROUP(0, ends_hub, 2, "on_end"),
                GROUP(1, ends_hub, 1, "ends the hub"),
                GROUP(0, reserved, 1, "out of range"),
                GROUP(0, member_count, 0, "members are not"),
                GROUP(0, member_count, 3, "members are not"),
                GROUP(0, member_first, UINT32_MAX, "members are not"),
                GROUP(0, member_count, 2, "in two groups"),
                MEMBER(0, first, 0, "does not come behind"),
                MEMBER(0, first, 2, "does not come behind"),
                MEMBER(1, first, 5, "member is not in the plan"),
                MEMBER(1, count, 5, "member is not in the plan"),
                MEMBER(1, count, UINT32_MAX, "member is not in the plan"),
        };
        size_t count;
        unsigned char *bytes = plan_bytes(&count), *spoiled = malloc(count);

        (void)state;
        assert_non_null(spoiled);
        for (size_t i = 0; i < sizeof(spoils) / sizeof(spoils[0]); i++) {
                const char *error = NULL;
                uint32_t narrow = (uint32_t)spoils[i].value;

                memcpy(spoiled, bytes, count);
                if (spoils[i].width == 4)
                        memcpy(spoiled + spoils[i].off, &narrow, 4);
                else
                        memcpy(spoiled + spoils[i].off, &spoils[i].value, 8);
                if (!try_open(spoiled, count, &error))
                        fail_msg("accepted: row %zu (%s)", i, spoils[i].says);
                if (!strstr(error, spoils[i].says))
                        fail_msg("row %zu: expected '%s' in '%s'", i, spoils[i].says, error);
        }
        free(spoiled);
        free(bytes);
}

/* The command says it first; the hub does not rely on that. */
static void COLD_10_a_plan_with_replication_and_handover_is_refused(void **state)
{
        const char *error = NULL;
        size_t count;
        unsigned char *bytes = plan_bytes(&count);
        struct bt_plan_child *child = (void *)(bytes + sizeof(struct bt_plan) + 2 * sizeof(struct bt_plan_socket));
        struct bt_plan_member *member = (struct bt_plan_member *)(void *)(bytes + GROUPS_OFF + 2 * sizeof(struct bt_plan_group)) + 1;

        (void)state;
        child->replicas = BT_PLAN_REPLICAS_ALL;
        child->replication = BT_REPLICATION_ACTIVE_PASSIVE;
        child->handover = 0;
        assert_int_equal(try_open(bytes, count, &error), -EINVAL);
        assert_non_null(strstr(error, "a child is in two groups, or is replicated"));
        member->first++;
        member->count--;
        assert_int_equal(try_open(bytes, count, &error), 0);
        child->handover = 1;
        assert_int_equal(try_open(bytes, count, &error), -EINVAL);
        assert_string_equal(error, "invalid_config: handover_with_replication_not_supported");
        child->handover = 0;
        child->distribution = BT_DISTRIBUTION_ROUND_ROBIN;
        assert_int_equal(try_open(bytes, count, &error), -EINVAL);
        child->distribution = BT_DISTRIBUTION_GUIDED;
        child->protocol = BT_PROTOCOL_PLAIN;
        child->strategy = BT_STRATEGY_COLD;
        child->state_form = BATON_STATE_NONE;
        assert_int_equal(try_open(bytes, count, &error), -EINVAL);
        assert_non_null(strstr(error, "could not be told"));
        free(bytes);
}

static void two_of_one_name_are_refused(void **state)
{
        const char *error = NULL;
        size_t count, child = sizeof(struct bt_plan) + 2 * sizeof(struct bt_plan_socket);
        unsigned char *bytes = plan_bytes(&count);
        uint32_t id;

        (void)state;
        memcpy(&id, bytes + child + offsetof(struct bt_plan_child, id), sizeof(id));
        memcpy(bytes + child + 2 * sizeof(struct bt_plan_child) + offsetof(struct bt_plan_child, id), &id, sizeof(id));
        assert_int_equal(try_open(bytes, count, &error), -EINVAL);
        assert_non_null(strstr(error, "two children have the same id"));
        free(bytes);

        bytes = plan_bytes(&count);
        memcpy(&id, bytes + sizeof(struct bt_plan) + offsetof(struct bt_plan_socket, name), sizeof(id));
        memcpy(bytes + sizeof(struct bt_plan) + sizeof(struct bt_plan_socket) + offsetof(struct bt_plan_socket, name), &id, sizeof(id));
        assert_int_equal(try_open(bytes, count, &error), -EINVAL);
        assert_non_null(strstr(error, "two sockets have the same name"));
        free(bytes);
}

/* Children that all name one huge list, each a little differently, would cost hours. */
static void overlapping_lists_are_bounded(void **state)
{
        const uint32_t children = 2000;
        const size_t strings = (size_t)32 << 20;
        size_t head = sizeof(struct bt_plan) + children * sizeof(struct bt_plan_child), count = head + strings;
        unsigned char *bytes = plan_bytes(&count), *large;
        struct bt_plan *plan;
        struct bt_plan_child *out, proto;
        const char *error = NULL;
        char *table;

        (void)state;
        memcpy(&proto, bytes + sizeof(struct bt_plan) + 2 * sizeof(struct bt_plan_socket) + 3 * sizeof(proto), sizeof(proto));
        free(bytes);
        count = head + strings;
        large = calloc(1, count);
        assert_non_null(large);
        plan = (void *)large;
        *plan = (struct bt_plan){.magic = BT_PLAN_MAGIC, .version = BT_PLAN_VERSION, .head_bytes = sizeof(*plan), .bytes = count,
                                 .child_count = children, .strings_off = head, .strings_bytes = strings, .hub = 1, .runtime_dir = 3,
                                 .state_dir = 3};
        out = (void *)(plan + 1);
        table = (char *)large + head;
        memcpy(table, "\0h\0/r", 6);
        memset(table + 64, 'x', strings - 65 - (size_t)children * 12);
        for (uint32_t i = 0; i < children; i++) {
                size_t at = strings - 1 - (size_t)(i + 1) * 12;

                (void)snprintf(table + at, 12, "h/%u", i);
                out[i] = proto;
                out[i].id = (uint32_t)at;
                out[i].pool = 1;
                out[i].exec = 3;
                out[i].cwd = 0;
                out[i].argv = 64 + i; /* each a list of its own, and all the same 32 MiB */
                out[i].argv_count = 1;
                out[i].env = 0;
                out[i].env_count = 0;
        }
        assert_int_equal(try_open(large, count, &error), -EINVAL);
        assert_non_null(strstr(error, "argv"));
        free(large);
}

static void no_changed_byte_is_followed_outside_the_plan(void **state)
{
        static const unsigned char masks[] = {0x01, 0x80, 0xff, 0x20};
        size_t count, refused = 0, tried = 0;
        unsigned char *bytes = plan_bytes(&count);

        (void)state;
        for (size_t i = 0; i < count; i++)
                for (size_t m = 0; m < sizeof(masks); m++) {
                        const char *error = NULL;

                        bytes[i] ^= masks[m];
                        refused += try_open(bytes, count, &error) != 0;
                        bytes[i] ^= masks[m];
                        tried++;
                }
        assert_true(refused > tried / 4); /* what is accepted are other numbers and other letters */
        free(bytes);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(the_daemon_reads_what_was_compiled),
                cmocka_unit_test(instances_share_their_lists),
                cmocka_unit_test(the_largest_hub_is_compiled_and_read),
                cmocka_unit_test(a_plan_beyond_its_limit_is_refused_by_the_command),
                cmocka_unit_test(a_memfd_that_can_still_change_is_refused),
                cmocka_unit_test(a_plan_of_another_length_is_refused),
                cmocka_unit_test(HOOK_3_the_daemon_reads_the_commands_that_were_compiled),
                cmocka_unit_test(HOOK_1_the_daemon_reads_the_hooks_that_were_compiled),
                cmocka_unit_test(HOOK_1_a_spoiled_hook_is_refused),
                cmocka_unit_test(each_spoiled_member_is_named),
                cmocka_unit_test(COLD_10_a_plan_with_replication_and_handover_is_refused),
                cmocka_unit_test(two_of_one_name_are_refused),
                cmocka_unit_test(overlapping_lists_are_bounded),
                cmocka_unit_test(no_changed_byte_is_followed_outside_the_plan),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
