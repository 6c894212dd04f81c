/* SPDX-License-Identifier: Apache-2.0 */
/* The register of processes, over the lives of hubs. */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "supervisor/registry.h"

static char path[64];

static int setup(void **state)
{
        int fd;

        (void)state;
        (void)snprintf(path, sizeof(path), "/tmp/baton-registry-XXXXXX");
        fd = mkstemp(path);
        if (fd < 0)
                return -1;
        (void)close(fd);
        return unlink(path);
}

static int teardown(void **state)
{
        (void)state;
        (void)unlink(path);
        return 0;
}

static struct bt_registry registry_open(uint32_t count)
{
        struct bt_registry registry = BT_REGISTRY_NULL;

        assert_int_equal(bt_registry_open(&registry, path, count), 0);
        return registry;
}

static struct bt_registry_entry *add(struct bt_registry *registry, const char *binary, const char *node, const char *id)
{
        struct bt_registry_entry *entry = bt_registry_add(registry, binary, node);

        assert_non_null(entry);
        (void)snprintf(entry->id, sizeof(entry->id), "%s", id);
        atomic_store(&entry->live, 1);
        return entry;
}

static void assert_names(const struct bt_registry *registry, const struct bt_registry_entry *entry, const char *binary, const char *node)
{
        assert_string_equal(bt_registry_text(registry, entry->path), binary);
        assert_string_equal(bt_registry_text(registry, entry->node), node);
}

static void a_thousand_processes_of_one_binary_share_its_path(void **state)
{
        struct bt_registry registry = registry_open(1);
        struct bt_registry_entry *first = add(&registry, "/bin/web", "blue", "web/0");
        struct stat st;

        (void)state;
        for (int i = 1; i < 1000; i++) {
                const struct bt_registry_entry *entry = add(&registry, "/bin/web", "blue", "web");

                assert_int_equal(entry->path, first->path);
                assert_int_equal(entry->node, first->node);
        }
        assert_names(&registry, first, "/bin/web", "blue"); /* it stayed where it was */
        assert_int_equal(bt_registry_used(&registry), 1000);
        assert_int_equal(stat(path, &st), 0);
        assert_true(st.st_blocks * 512 <= 4096 + 1024 * 128 + 16 * 1024 + 8192); /* and is sparse */
        bt_registry_close(&registry);
}

static void what_a_killed_hub_had_is_named_for_the_next(void **state)
{
        struct bt_registry registry = registry_open(8);
        struct bt_registry_entry *gone, *kept;

        (void)state;
        gone = add(&registry, "/bin/old", "green", "old");
        (void)add(&registry, "/bin/web", "blue", "web/0");
        kept = add(&registry, "/bin/web", "green", "web/1");
        bt_registry_remove(&registry, gone);
        assert_names(&registry, kept, "/bin/web", "green");
        bt_registry_close(&registry); /* as a death: nothing is written by that */

        registry = registry_open(1);
        assert_int_equal(bt_registry_used(&registry), 3);
        assert_false(bt_registry_live(&registry, 0));
        assert_string_equal(registry.entries[1].id, "web/0");
        assert_names(&registry, &registry.entries[1], "/bin/web", "blue");
        assert_names(&registry, &registry.entries[2], "/bin/web", "green");
        /* A new path does not take the place of one that is named. */
        assert_names(&registry, add(&registry, "/bin/new", "red", "new"), "/bin/new", "red");
        bt_registry_remove(&registry, &registry.entries[1]);
        assert_names(&registry, &registry.entries[2], "/bin/web", "green");
        bt_registry_close(&registry);
}

/* An upgrade a minute for a year: a text that nobody names makes room. */
static void texts_come_and_go_without_end(void **state)
{
        struct bt_registry registry = registry_open(4);
        struct stat before, after;

        (void)state;
        (void)add(&registry, "/bin/0", "local", "a");
        assert_int_equal(stat(path, &before), 0);
        for (int i = 0; i < 100000; i++) {
                struct bt_registry_entry *entry;
                char text[64];

                (void)snprintf(text, sizeof(text), "/bin/%d", i);
                entry = add(&registry, text, "local", "b");
                assert_names(&registry, entry, text, "local");
                bt_registry_remove(&registry, entry);
        }
        assert_int_equal(stat(path, &after), 0);
        assert_int_equal(before.st_blocks, after.st_blocks);
        bt_registry_close(&registry);
}

static void many_texts_make_the_file_grow_and_a_long_one_is_refused(void **state)
{
        struct bt_registry registry = registry_open(1);
        struct bt_registry_entry *entries[3000];
        char text[2048];

        (void)state;
        for (int i = 0; i < 3000; i++) {
                (void)snprintf(text, sizeof(text), "/bin/%d", i);
                entries[i] = add(&registry, text, "local", "c");
        }
        for (int i = 0; i < 3000; i++) {
                (void)snprintf(text, sizeof(text), "/bin/%d", i);
                assert_names(&registry, entries[i], text, "local");
        }
        memset(text, 'x', sizeof(text) - 1);
        text[BT_REGISTRY_TEXT_BYTES] = '\0';
        assert_null(bt_registry_add(&registry, text, "local"));
        text[BT_REGISTRY_TEXT_BYTES - 1] = '\0';
        assert_non_null(bt_registry_add(&registry, text, "local"));
        bt_registry_close(&registry);
}

static void what_is_no_register_is_begun_anew(void **state)
{
        struct bt_registry registry;
        FILE *file = fopen(path, "we");

        (void)state;
        assert_non_null(file);
        for (int i = 0; i < 10000; i++)
                (void)fputs("nonsense", file);
        assert_int_equal(fclose(file), 0);
        registry = registry_open(4);
        assert_int_equal(bt_registry_used(&registry), 0);
        assert_names(&registry, add(&registry, "/bin/web", "", "w"), "/bin/web", "");
        bt_registry_close(&registry);
        assert_true(bt_registry_open(&registry, "/nowhere/processes", 4) < 0);
}

/* Numbers that name no text, as a file that was written over would have them. */
static void a_record_that_names_nothing_is_harmless(void **state)
{
        struct bt_registry registry = registry_open(4);
        struct bt_registry_entry *entry = add(&registry, "/bin/web", "blue", "w");

        (void)state;
        entry->path = UINT32_MAX;
        entry->node = 15; /* there is room for it, and nothing in it */
        bt_registry_close(&registry);
        registry = registry_open(4);
        assert_string_equal(bt_registry_text(&registry, registry.entries[0].path), "");
        assert_string_equal(bt_registry_text(&registry, registry.entries[0].node), "");
        bt_registry_remove(&registry, &registry.entries[0]);
        assert_names(&registry, add(&registry, "/bin/web", "blue", "w"), "/bin/web", "blue");
        bt_registry_close(&registry);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(a_thousand_processes_of_one_binary_share_its_path, setup, teardown),
                cmocka_unit_test_setup_teardown(what_a_killed_hub_had_is_named_for_the_next, setup, teardown),
                cmocka_unit_test_setup_teardown(texts_come_and_go_without_end, setup, teardown),
                cmocka_unit_test_setup_teardown(many_texts_make_the_file_grow_and_a_long_one_is_refused, setup, teardown),
                cmocka_unit_test_setup_teardown(what_is_no_register_is_begun_anew, setup, teardown),
                cmocka_unit_test_setup_teardown(a_record_that_names_nothing_is_harmless, setup, teardown),
        };

        return cmocka_run_group_tests_name("registry", tests, NULL, NULL);
}
