/* SPDX-License-Identifier: Apache-2.0 */
/* From <baton/hub.h> to the plan: every member of a child's specification and of the hub's options arrives where the daemon reads it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <string.h>

#include "base/clock.h"
#include "base/fd.h"
#include "supervisor/embed.h"

static char tell[] = "/bin/tell", loud[] = "--loud", own[] = "/bin/own";
static char *const tell_argv[] = {tell, loud, NULL}, *const own_argv[] = {own, NULL};
static const struct baton_hub_command of_hub[] = {{"shutdown_begun", tell_argv}, {"child_running", own_argv}};
static const struct baton_hub_command of_child[] = {{"child_given_up", tell_argv}};

static struct baton_hub_child a_child(void)
{
        struct baton_hub_child child;

        baton_hub_child_init(&child, sizeof(child));
        child.id = "web";
        child.exec = "/bin/web";
        return child;
}

static void open_plan(struct bt_planner *planner, const struct baton_hub_options *options, struct bt_plan_view *view)
{
        const char *error = NULL;
        int fd = -1;

        assert_int_equal(bt_planner_seal(planner, options, "/run/h", "/var/h", &fd), 0);
        if (bt_plan_open(view, fd, &error))
                fail_msg("%s", error);
        (void)bt_close(fd);
        bt_planner_deinit(planner);
}

static void every_member_of_a_child_is_in_the_plan(void **state)
{
        const struct baton_hub_options options = {.size = sizeof(options), .name = "h", .shutdown_timeout_ns = 9, .max_parallel = 5};
        struct baton_hub_child child = a_child();
        struct bt_planner planner = {0};
        struct bt_plan_view view;
        const struct bt_plan_child *c;
        char error[256] = "";

        (void)state;
        child.instances = 2;
        child.strategy = BATON_HUB_HOT;
        child.handover = true;
        child.state = BATON_STATE_ARENA;
        child.state_bytes_max = 1 << 20;
        child.restart = BATON_HUB_TRANSIENT;
        child.max_restarts = BATON_HUB_INFINITE;
        child.max_seconds_ns = 11 * BT_NS_PER_S;
        child.backoff_min_ns = 12 * BT_NS_PER_S;
        child.backoff_max_ns = 13 * BT_NS_PER_S;
        child.healthy_ns = 14 * BT_NS_PER_S;
        child.shutdown_ns = 15 * BT_NS_PER_S;
        child.retention_ns = 16 * BT_NS_PER_S;
        child.max_draining = 24;
        child.handover_data_wait_ns = 17 * BT_NS_PER_S;
        child.child_migration_timeout_ns = 18 * BT_NS_PER_S;
        child.state_ttl_ns = 19 * BT_NS_PER_S;
        child.state_query_timeout_ns = 20 * BT_NS_PER_S;
        child.stored_ttl_ns = 21 * BT_NS_PER_S;
        child.on_bad_state = BATON_HUB_TRY_AGAIN;
        child.restore_attempts = 22;
        child.checkpoint_every_ns = 23 * BT_NS_PER_S;
        child.durability = BATON_HUB_SYNC;
        assert_int_equal(bt_planner_add_child(&planner, &child, error, sizeof(error)), 0);
        open_plan(&planner, &options, &view);
        assert_int_equal(view.plan->child_count, 2);
        assert_int_equal(view.plan->shutdown_timeout_ns, 9);
        assert_int_equal(view.plan->max_parallel, 5);
        c = &view.children[1];
        assert_string_equal(bt_plan_string(&view, c->id), "web/1");
        assert_int_equal(c->strategy, BT_STRATEGY_HOT);
        assert_int_equal(c->handover, 1);
        assert_int_equal(c->state_form, BATON_STATE_ARENA);
        assert_int_equal(c->state_bytes_max, 1 << 20);
        assert_int_equal(c->restart, BT_RESTART_TRANSIENT);
        assert_int_equal(c->max_restarts, UINT32_MAX);
        assert_int_equal(c->max_seconds_ns, 11 * BT_NS_PER_S);
        assert_int_equal(c->backoff_min_ns, 12 * BT_NS_PER_S);
        assert_int_equal(c->backoff_max_ns, 13 * BT_NS_PER_S);
        assert_int_equal(c->healthy_ns, 14 * BT_NS_PER_S);
        assert_int_equal(c->shutdown_ns, 15 * BT_NS_PER_S);
        assert_int_equal(c->retention_ns, 16 * BT_NS_PER_S);
        assert_int_equal(c->max_draining, 24);
        assert_int_equal(c->handover_data_wait_ns, 17 * BT_NS_PER_S);
        assert_int_equal(c->child_migration_timeout_ns, 18 * BT_NS_PER_S);
        assert_int_equal(c->state_ttl_ns, 19 * BT_NS_PER_S);
        assert_int_equal(c->state_query_timeout_ns, 20 * BT_NS_PER_S);
        assert_int_equal(c->stored_ttl_ns, 21 * BT_NS_PER_S);
        assert_int_equal(c->on_bad_state, BT_BAD_STATE_KEEP_OLD);
        assert_int_equal(c->restore_attempts, 22);
        assert_int_equal(c->checkpoint, 1); /* implied */
        assert_int_equal(c->checkpoint_every_ns, 23 * BT_NS_PER_S);
        assert_int_equal(c->durability, BT_DURABILITY_SYNC);
        bt_plan_close(&view);
}

static void the_enums_are_those_of_the_plan(void **state)
{
        (void)state;
        assert_int_equal(BATON_HUB_START_FRESH, BT_BAD_STATE_FRESH);
        assert_int_equal(BATON_HUB_DO_NOT_START, BT_BAD_STATE_FAIL);
        assert_int_equal(_BATON_HUB_BAD_STATE_N, _BT_BAD_STATE_N);
        assert_int_equal(BATON_HUB_AT_STOP, BT_DURABILITY_SHUTDOWN);
        assert_int_equal(BATON_HUB_NEVER, BT_DURABILITY_NONE);
        assert_int_equal(BATON_HUB_ASYNC, BT_DURABILITY_ASYNC);
        assert_int_equal(_BATON_HUB_DURABILITY_N, _BT_DURABILITY_N);
        assert_int_equal(_BATON_HUB_RESTART_N, _BT_RESTART_N);
}

static void HOOK_1_commands_of_the_hub_and_of_a_child_are_in_the_plan(void **state)
{
        const struct baton_hub_options options = {.size = sizeof(options), .name = "h", .hook_timeout_ns = 7};
        struct baton_hub_child child = a_child(), other = a_child();
        struct bt_planner planner = {0};
        struct bt_plan_view view;
        char error[256] = "";

        (void)state;
        child.on = of_child;
        child.on_count = 1;
        other.id = "other";
        assert_int_equal(bt_planner_add_hub_hooks(&planner, of_hub, 2, error, sizeof(error)), 0);
        assert_int_equal(bt_planner_add_child(&planner, &child, error, sizeof(error)), 0);
        assert_int_equal(bt_planner_add_child(&planner, &other, error, sizeof(error)), 0);
        open_plan(&planner, &options, &view);
        assert_int_equal(view.plan->hook_count, 3);
        assert_int_equal(view.plan->hub_hook_count, 2);
        assert_int_equal(view.plan->hook_timeout_ns, 7);
        assert_int_equal(view.hooks[0].event, BT_EVENT_SHUTDOWN_BEGUN);
        assert_string_equal(bt_plan_string(&view, view.hooks[0].exec), tell);
        assert_int_equal(view.hooks[0].argv_count, 2);
        assert_string_equal(bt_plan_string_next(bt_plan_string(&view, view.hooks[0].argv)), loud);
        assert_int_equal(view.children[0].hook_first, 2);
        assert_int_equal(view.children[0].hook_count, 1);
        assert_int_equal(view.hooks[2].event, BT_EVENT_CHILD_GIVEN_UP);
        assert_int_equal(view.children[1].hook_count, 0);
        bt_plan_close(&view);
}

static void what_cannot_be_is_said(void **state)
{
        static char relative[] = "tell";
        static char *const relative_argv[] = {relative, NULL};
        const struct baton_hub_command wrong[] = {{"child_runing", tell_argv}, {"hook_failed", tell_argv}, {"child_running", relative_argv},
                                                  {NULL, tell_argv},           {"child_running", NULL}};
        struct baton_hub_child child = a_child();
        struct bt_planner planner = {0};
        char error[256];

        (void)state;
        for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
                error[0] = '\0';
                child.on = &wrong[i];
                child.on_count = 1;
                assert_int_equal(bt_planner_add_child(&planner, &child, error, sizeof(error)), -EINVAL);
                assert_non_null(strstr(error, "no event that can have a command"));
        }
        child = a_child();
        child.checkpoint = true;
        assert_int_equal(bt_planner_add_child(&planner, &child, error, sizeof(error)), -EINVAL);
        assert_non_null(strstr(error, "checkpoints need a state"));
        child = a_child();
        child.state = BATON_STATE_BLOB;
        child.durability = BATON_HUB_ASYNC;
        assert_int_equal(bt_planner_add_child(&planner, &child, error, sizeof(error)), -EINVAL);
        assert_non_null(strstr(error, "needs a state and handover"));
        assert_int_equal(planner.child_count, 0);
        bt_planner_deinit(&planner);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(every_member_of_a_child_is_in_the_plan),
                cmocka_unit_test(the_enums_are_those_of_the_plan),
                cmocka_unit_test(HOOK_1_commands_of_the_hub_and_of_a_child_are_in_the_plan),
                cmocka_unit_test(what_cannot_be_is_said),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
