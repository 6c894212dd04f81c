/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Every exported name, once: linked against libbaton-hub.so and libbaton.so alone, so each is there, and compared with the two symbol maps, so none is
 * missing here. What it calls needs no hub.
 *
 * links: baton_hub_shared, baton_shared, cmocka; nothing of the tree.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <baton/child.h>
#include <baton/client.h>
#include <baton/hold.h>
#include <baton/hub.h>
#include <baton/messages.h>

/* clang-format off */
#define CHILD_FUNCTIONS(X) \
        X(baton_strerror) \
        X(baton_child_hold) X(baton_child_describe) X(baton_child_zygote) X(baton_child_open) X(baton_child_open_at) X(baton_child_close) X(baton_child_ready) X(baton_child_fd) X(baton_child_dispatch) \
        X(baton_child_serving) X(baton_child_retired) X(baton_child_migration_ready) X(baton_child_watch) X(baton_child_run) X(baton_child_supervised) X(baton_child_id) \
        X(baton_child_incarnation) X(baton_child_reason) X(baton_child_mode) X(baton_child_socket) X(baton_child_keep) X(baton_child_take) X(baton_child_drop) \
        X(baton_child_pass) X(baton_child_unpass) X(baton_child_checkpoint) X(baton_child_checkpointed) X(baton_child_durable) \
        X(baton_capture_purpose) X(baton_capture_version) X(baton_capture_reserve) X(baton_capture_write) X(baton_capture_commit) \
        X(baton_arena_root) X(baton_arena_set_root) X(baton_arena_begin) X(baton_arena_end) X(baton_arena_alloc) X(baton_arena_free) \
        X(baton_arena_used) X(baton_arena_max) X(baton_arena_save) \
        X(baton_message_reply) X(baton_message_defer) X(baton_child_answer) \
        X(baton_client_open) X(baton_client_close) X(baton_client_target) X(baton_client_cast) X(baton_client_call) X(baton_client_begin) \
        X(baton_client_collect) X(baton_client_cancel) X(baton_client_flush) X(baton_client_fd) X(baton_client_dispatch) X(baton_client_alloc) \
        X(baton_client_free) X(baton_client_stats) X(baton_target_bytes_max) X(baton_target_stats)
#define HUB_FUNCTIONS(X) \
        X(baton_hub_open) X(baton_hub_close) X(baton_hub_add_socket) X(baton_hub_add_child) X(baton_hub_child_init) X(baton_hub_start) \
        X(baton_hub_run) X(baton_hub_fd) X(baton_hub_dispatch) X(baton_hub_stop) X(baton_hub_error) X(baton_hub_alter) X(baton_hub_distribute) X(baton_hub_swap) X(baton_hub_upgrade) \
        X(baton_hub_upgrade_function) X(baton_hub_rollout_init) X(baton_hub_roll_out) X(baton_hub_roll_back) X(baton_hub_look) X(baton_hub_child_add) X(baton_hub_child_remove) \
        X(baton_hub_group_init) X(baton_hub_add_group) X(baton_hub_group_look) X(baton_hub_child_stop) X(baton_hub_child_start) X(baton_hub_child_restart)
/* clang-format on */

struct row {
        const char *name;
        void (*function)(void);
};

#define X(name) {#name, (void (*)(void))name},
static const struct row child_functions[] = {CHILD_FUNCTIONS(X)};
static const struct row hub_functions[] = {HUB_FUNCTIONS(X)};
#undef X

static const struct row *find(const struct row *rows, size_t count, const char *name)
{
        for (size_t i = 0; i < count; i++) {
                if (!strcmp(rows[i].name, name))
                        return &rows[i];
        }
        return NULL;
}

/* Each line of the map that is a name. */
static void compare(const struct row *rows, size_t count, const char *map)
{
        char path[512], line[256];
        size_t named = 0;
        FILE *file;

        (void)snprintf(path, sizeof(path), "%s/%s", BATON_SOURCE_DIR, map);
        file = fopen(path, "re");
        assert_non_null(file);
        while (fgets(line, sizeof(line), file)) {
                char name[128] = "";

                if (sscanf(line, " %120[a-z0-9_];", name) != 1 || strncmp(name, "baton_", strlen("baton_")) != 0)
                        continue;
                if (!find(rows, count, name))
                        fail_msg("%s: %s is not in this test", map, name);
                named++;
        }
        (void)fclose(file);
        assert_int_equal(named, count); /* as many, each found: the same */
        for (size_t i = 0; i < count; i++)
                assert_true(rows[i].function != NULL);
}

static void the_child_library_exports_what_its_map_names(void **state)
{
        (void)state;
        compare(child_functions, sizeof(child_functions) / sizeof(child_functions[0]), "child-api/baton.map");
}

static void the_hub_library_exports_what_its_map_names(void **state)
{
        (void)state;
        compare(hub_functions, sizeof(hub_functions) / sizeof(hub_functions[0]), "supervisor/baton-hub.map");
}

static void nothing_takes_nonsense(void **state)
{
        const struct baton_child_ops ops = {.size = sizeof(ops)}, short_ops = {.size = 1};
        const struct baton_child_place nowhere = {.size = sizeof(nowhere), .link_fd = 9999}, short_place = {.size = 1};
        const struct baton_hub_options unsized = {.name = "h", .runtime_dir = "/tmp"};
        const struct baton_hub_options relative = {.size = sizeof(relative), .name = "h", .runtime_dir = "tmp"};
        struct baton_child *child = NULL;
        struct baton_hub *hub = NULL;

        (void)state;
        assert_int_equal(baton_child_open(&child, &short_ops, NULL), -EINVAL);
        assert_int_equal(baton_child_open_at(&child, &ops, NULL, &short_place), -EINVAL);
        assert_int_equal(baton_child_open_at(&child, &ops, NULL, &nowhere), -EBADF);
        assert_int_equal(baton_hub_open(&hub, NULL), -EINVAL);
        assert_int_equal(baton_hub_open(&hub, &unsized), -EINVAL);
        assert_int_equal(baton_hub_open(&hub, &relative), -EINVAL);
        assert_null(child);
        assert_null(hub);
        assert_null(baton_child_close(NULL));
        assert_null(baton_hub_close(NULL));
        assert_non_null(baton_strerror(-BATON_E_TORN));
}

static void a_place_without_a_link_is_unsupervised(void **state)
{
        const struct baton_child_ops ops = {.size = sizeof(ops)};
        const struct baton_child_place alone = {.size = sizeof(alone), .link_fd = -1};
        struct baton_child *child = NULL;

        (void)state;
        assert_int_equal(baton_child_open_at(&child, &ops, NULL, &alone), 0);
        assert_false(baton_child_supervised(child));
        assert_int_equal(baton_child_ready(child), 0);
        assert_true(baton_child_serving(child));
        assert_null(baton_child_close(child));
}

static void a_childs_defaults_are_those_of_the_documents(void **state)
{
        struct baton_hub_child child;

        (void)state;
        memset(&child, 0xff, sizeof(child));
        baton_hub_child_init(&child, sizeof(child));
        assert_int_equal(child.size, sizeof(child));
        assert_null(child.id);
        assert_null(child.ops);
        assert_int_equal(child.strategy, BATON_HUB_COLD);
        assert_false(child.handover);
        assert_int_equal(child.max_restarts, 3);
        assert_int_equal(child.max_seconds_ns, UINT64_C(5000000000));
        assert_int_equal(child.shutdown_ns, UINT64_C(5000000000));
        assert_int_equal(child.retention_ns, UINT64_C(5000000000));
        assert_int_equal(child.handover_data_wait_ns, UINT64_C(3000000000));
        assert_int_equal(child.child_migration_timeout_ns, UINT64_C(10000000000));
        assert_int_equal(child.state_ttl_ns, UINT64_C(30000000000));
        assert_int_equal(child.state_query_timeout_ns, UINT64_C(5000000000));
}

static void a_hub_that_was_not_started_can_be_closed(void **state)
{
        const struct baton_hub_options options = {.size = sizeof(options), .name = "h", .runtime_dir = "/nonexistent"};
        struct baton_hub *hub = NULL;

        (void)state;
        assert_int_equal(baton_hub_open(&hub, &options), 0);
        assert_string_equal(baton_hub_error(hub), "");
        assert_int_equal(baton_hub_stop(hub), -EINVAL);
        assert_int_equal(baton_hub_fd(hub), -EINVAL);
        assert_null(baton_hub_close(hub));
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(the_child_library_exports_what_its_map_names),
                cmocka_unit_test(the_hub_library_exports_what_its_map_names),
                cmocka_unit_test(nothing_takes_nonsense),
                cmocka_unit_test(a_place_without_a_link_is_unsupervised),
                cmocka_unit_test(a_childs_defaults_are_those_of_the_documents),
                cmocka_unit_test(a_hub_that_was_not_started_can_be_closed),
        };

        return cmocka_run_group_tests_name("api", tests, NULL, NULL);
}
