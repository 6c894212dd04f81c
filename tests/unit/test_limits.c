/* SPDX-License-Identifier: Apache-2.0 */
/* The limits of the hub as a whole, from the configuration into the plan, and the warnings about what they cut off. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/fd.h"
#include "supervisor/baton/compile.h"

struct fixture {
        struct bt_config config;
        struct bt_diag diag;
        char text[1024];
};

static int set_up(void **state)
{
        *state = calloc(1, sizeof(struct fixture));
        return *state ? 0 : -1;
}

static int tear_down(void **state)
{
        struct fixture *f = *state;

        bt_config_free(&f->config);
        free(f);
        return 0;
}

/* @top: lines of the top level; @keys: of the one child. */
static int parse(struct fixture *f, const char *top, const char *keys)
{
        static char *const world_environ[] = {(char *)"PATH=/bin", NULL};
        const struct bt_config_world world = {.dir = "/etc/shop", .environ = world_environ, .offline = true};

        bt_config_free(&f->config);
        bt_diag_init(&f->diag, "app.yaml");
        (void)snprintf(f->text, sizeof(f->text), "hub: h\n%s\nchildren:\n  web: {exec: [./web], %s}\n", top, keys);
        return bt_config_parse(&f->config, &f->diag, f->text, strlen(f->text), &world);
}

static void assert_says(struct fixture *f, const char *words)
{
        char *out = NULL;
        size_t bytes = 0;
        FILE *to = open_memstream(&out, &bytes);

        assert_non_null(to);
        bt_diag_print(&f->diag, to);
        assert_int_equal(fclose(to), 0);
        if (!strstr(out, words))
                fail_msg("'%s' is not in:\n%s", words, out);
        free(out);
}

static void open_plan(struct fixture *f, struct bt_plan_view *ret_view)
{
        const char *error = NULL;
        int fd = -1;

        assert_int_equal(bt_compile(&fd, &f->config, "/run/baton", "/var/lib/baton", &error), 0);
        assert_int_equal(bt_plan_open(ret_view, fd, &error), 0);
        (void)bt_close(fd);
}

static void the_daemon_gets_the_limits_that_were_written(void **state)
{
        struct bt_plan_view view;

        assert_int_equal(parse(*state, "shutdown_timeout: 90s\nmax_parallel: 3", "x-a: 1"), 0);
        open_plan(*state, &view);
        assert_int_equal(view.plan->shutdown_timeout_ns, 90 * BT_NS_PER_S);
        assert_int_equal(view.plan->max_parallel, 3);
        bt_plan_close(&view);
}

static void without_them_a_stop_has_no_limit_and_eight_migrate(void **state)
{
        static const char *const tops[] = {"x-a: 1", "shutdown_timeout: infinity"};
        struct bt_plan_view view;

        for (size_t i = 0; i < 2; i++) {
                assert_int_equal(parse(*state, tops[i], "x-a: 1"), 0);
                open_plan(*state, &view);
                assert_int_equal(view.plan->shutdown_timeout_ns, 0);
                assert_int_equal(view.plan->max_parallel, 0);
                bt_plan_close(&view);
        }
        assert_int_equal(BT_PLAN_PARALLEL_DEFAULT, 8); /* what 0 means, and what docs/config.md says */
}

static void nonsense_is_refused_with_what_is_possible(void **state)
{
        static const char *const rows[][2] = {
                {"shutdown_timeout: 0", "it must be at least 1 ms"},
                {"shutdown_timeout: soon", "or the word infinity"},
                {"shutdown_timeout: [1s]", "expects one value"},
                {"max_parallel: 0", "1 to 65536"},
                {"max_parallel: 65537", "1 to 65536"},
                {"max_parallel: many", "'max_parallel' is 'many'"},
                {"max_paralel: 1", "did you mean 'max_parallel'?"},
        };

        for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
                assert_int_equal(parse(*state, rows[i][0], "x-a: 1"), 1);
                assert_says(*state, rows[i][1]);
        }
}

static void SHUT_9_check_warns_about_a_limit_inside_a_shorter_outer_one(void **state)
{
        struct fixture *f = *state;

        assert_int_equal(parse(f, "shutdown_timeout: 2s", "x-a: 1"), 0);
        assert_int_equal(bt_diag_count(&f->diag, BT_SEVERITY_WARNING), 1);
        assert_says(f, "shutdown (5.0 s) is never reached when the hub stops: shutdown_timeout (2.0 s) ends it before");

        assert_int_equal(parse(f, "shutdown_timeout: 6s", "strategy: hot, handover: true, state: blob"), 0);
        assert_int_equal(bt_diag_count(&f->diag, BT_SEVERITY_WARNING), 1);
        assert_says(f, "before handover_data_wait (3.0 s) and shutdown (5.0 s) can pass");

        /* Enough; and one that was decided to have no end. */
        assert_int_equal(parse(f, "shutdown_timeout: 8s", "strategy: hot, handover: true, state: blob"), 0);
        assert_int_equal(bt_diag_count(&f->diag, BT_SEVERITY_WARNING), 0);
        assert_int_equal(parse(f, "shutdown_timeout: 2s", "shutdown: infinity"), 0);
        assert_int_equal(bt_diag_count(&f->diag, BT_SEVERITY_WARNING), 0);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(the_daemon_gets_the_limits_that_were_written, set_up, tear_down),
                cmocka_unit_test_setup_teardown(without_them_a_stop_has_no_limit_and_eight_migrate, set_up, tear_down),
                cmocka_unit_test_setup_teardown(nonsense_is_refused_with_what_is_possible, set_up, tear_down),
                cmocka_unit_test_setup_teardown(SHUT_9_check_warns_about_a_limit_inside_a_shorter_outer_one, set_up, tear_down),
        };

        return cmocka_run_group_tests_name("limits", tests, NULL, NULL);
}
