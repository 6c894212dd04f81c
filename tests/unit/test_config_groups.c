/* SPDX-License-Identifier: Apache-2.0 */
/* `groups`: what is read, what the plan has of it, and what is said, with line and column, when it cannot be. */

#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/fd.h"
#include "supervisor/baton/compile.h"
#include "tests/support/configs.h"

/* Four children: db, a pool api of three, front, and rep, which is replicated. @groups begins on line 2. */
static void read_groups(struct parsed *ret, const char *groups)
{
        static char text[8192];

        (void)snprintf(text, sizeof(text),
                       "hub: h\n%schildren:\n  db: {exec: [/bin/db]}\n  api: {exec: [/bin/api], instances: 3}\n  front: {exec: [/bin/front]}\n"
                       "  rep: {exec: [/bin/rep], protocol: plain, redundancy: {replication: 1}}\n",
                       groups);
        parsed_read(ret, text, false);
}

static void what_is_written_is_what_the_plan_has(void **state)
{
        struct parsed o;
        struct bt_plan_view view;
        const char *error = NULL;
        int fd = -1;

        (void)state;
        read_groups(&o, "groups:\n"
                        "  inner: {strategy: rest_for_one, max_restarts: forever, restart: transient, significant: true, children: [api, front]}\n"
                        "  x-note: {whatever: 1}\n"
                        "  outer: {strategy: one_for_all, max_restarts: 7, max_seconds: 9, auto_shutdown: any_significant, on_end: stop_hub, "
                        "children: [db, inner]}\n");
        assert_string_equal(o.said, "");
        assert_int_equal(bt_compile(&fd, &o.config, "/run", "/var", &error), 0);
        assert_int_equal(bt_plan_open(&view, fd, &error), 0);
        (void)bt_close(fd);
        assert_int_equal(view.plan->group_count, 2);
        assert_int_equal(view.plan->member_count, 4);
        assert_string_equal(bt_plan_string(&view, view.groups[0].name), "outer"); /* in front of what is in it */
        assert_int_equal(view.groups[0].strategy, BT_GROUP_ONE_FOR_ALL);
        assert_int_equal(view.groups[0].auto_shutdown, BT_GROUP_AUTO_ANY);
        assert_int_equal(view.groups[0].max_restarts, 7);
        assert_true(view.groups[0].max_seconds_ns == 9 * BT_NS_PER_S);
        assert_int_equal(view.groups[0].ends_hub, 1);
        assert_int_equal(view.groups[0].member_count, 2);
        assert_string_equal(bt_plan_string(&view, view.groups[1].name), "inner");
        assert_int_equal(view.groups[1].max_restarts, UINT32_MAX);
        assert_int_equal(view.groups[1].restart, BT_RESTART_TRANSIENT);
        assert_int_equal(view.groups[1].significant, 1);
        assert_true(view.groups[1].max_seconds_ns == 5 * BT_NS_PER_S);
        {
                const struct bt_plan_member *of_outer = &view.members[view.groups[0].member_first], *of_inner = &view.members[view.groups[1].member_first];

                assert_true(of_outer[0].first == 0 && of_outer[0].count == 1);
                assert_true(of_outer[1].first == 1 && of_outer[1].count == 0);
                assert_true(of_inner[0].first == 1 && of_inner[0].count == 3); /* a pool is all of its instances */
                assert_true(of_inner[1].first == 4 && of_inner[1].count == 1);
        }
        bt_plan_close(&view);
        bt_config_free(&o.config);
}

static void what_cannot_be_is_said_with_its_place(void **state)
{
        static const struct {
                const char *groups;
                const char *says[3];
        } rows[] = {
                {"groups: [web]\n", {"app.yaml:2:9: error: 'groups' expects a map"}},
                {"groups:\n  web: {children: [db, fornt]}\n",
                 {"app.yaml:3:24: error: the group 'web' names 'fornt', and there is neither a child nor a group of that name (did you mean 'front'?)"}},
                {"groups:\n  web: {children: [db, db]}\n", {"app.yaml:3:24: error: 'db' is in the group 'web' already"}},
                {"groups:\n  web: {children: [db]}\n  too: {children: [front, db]}\n", {"app.yaml:4:27: error: 'db' is in the group 'web' already"}},
                {"groups:\n  web: {children: [web]}\n", {"app.yaml:3:20: error: the group 'web' would be in itself"}},
                {"groups:\n  a: {children: [b]}\n  b: {children: [c]}\n  c: {children: [a]}\n",
                 {"app.yaml:5:18: error: the group 'a' would be in itself"}},
                {"groups:\n  a: {children: [c]}\n  b: {children: [c]}\n  c: {children: [db]}\n", {"app.yaml:4:18: error: 'c' is in the group 'a' already"}},
                {"groups:\n  api: {children: [db]}\n", {"app.yaml:3:3: error: there is a child of the name 'api'"}},
                {"groups:\n  web: {children: [rep]}\n", {"app.yaml:3:20: error: 'rep' has 'redundancy'"}},
                {"groups:\n  web: {children: []}\n", {"app.yaml:3:19: error: the group 'web' has nobody in it"}},
                {"groups:\n  web: {strategy: one_for_all}\n", {"app.yaml:3:3: error: the group 'web' has no 'children'"}},
                {"groups:\n  web: {strategy: one_for_al, children: [db]}\n", {"app.yaml:3:19: error: 'strategy' is 'one_for_al'", "one_for_all"}},
                {"groups:\n  web: {strateyg: one_for_all, children: [db]}\n", {"app.yaml:3:9: error: unknown key 'strateyg' (did you mean 'strategy'?)"}},
                {"groups:\n  web: {max_restarts: 65, children: [db]}\n", {"app.yaml:3:23: error: 'max_restarts' is '65'", "forever"}},
                {"groups:\n  web: {significant: 2, children: [db]}\n", {"app.yaml:3:22: error: 'significant'"}},
                {"groups:\n  web/1: {children: [db]}\n", {"app.yaml:3:3: error: a group's name must not end with"}},
                {"groups:\n  a: {children: [b]}\n  b: {on_end: stop_hub, children: [db]}\n",
                 {"app.yaml:4:15: error: the group 'b' is in the group 'a', which decides"}},
                {"groups:\n  a: {children: [b]}\n  b: {significant: true, restart: transient, children: [db]}\n",
                 {"app.yaml:4:3: error: 'b' is significant, and the group 'a' has no auto_shutdown"}},
                {"groups:\n  a: {auto_shutdown: all_significant, children: [b]}\n  b: {significant: true, children: [db]}\n",
                 {"app.yaml:4:3: error: 'b' is significant and permanent"}},
        };

        (void)state;
        for (size_t i = 0; i < BT_ARRAY_LEN(rows); i++) {
                struct parsed o;

                read_groups(&o, rows[i].groups);
                for (size_t k = 0; k < 3 && rows[i].says[k]; k++)
                        if (!strstr(o.said, rows[i].says[k]))
                                fail_msg("row %zu: expected '%s' in:\n%s", i, rows[i].says[k], o.said);
                bt_config_free(&o.config);
        }
}

static void what_a_child_says_about_its_group_is_looked_at_too(void **state)
{
        struct parsed o;

        (void)state;
        parsed_read(&o,
                    "hub: h\ngroups:\n  web: {children: [a, b]}\nchildren:\n  a: {exec: [/bin/a], "
                    "max_restarts: 3}\n"
                    "  b: {exec: [/bin/b], restart: transient, significant: true}\n  c: {exec: "
                    "[/bin/c], significant: true}\n",
                    false);
        assert_non_null(strstr(o.said, "app.yaml:5:37: error: 'max_restarts' counts in the group 'web' and not in its children"));
        assert_non_null(strstr(o.said, "app.yaml:6:56: error: 'b' is significant, and the group 'web' has no auto_shutdown"));
        assert_non_null(strstr(o.said, "app.yaml:7:36: warning: 'c' is in no group, so nothing ends with it"));
        bt_config_free(&o.config);
        parsed_read(&o,
                    "hub: h\ndefaults: {significant: true, max_restarts: 9}\ngroups:\n  web: "
                    "{children: [a]}\nchildren:\n  a: {exec: [/bin/a]}\n",
                    false);
        assert_string_equal(o.said, ""); /* a default is a wish for many */
        bt_config_free(&o.config);
}

static void children_that_are_added_to_a_hub_have_no_groups(void **state)
{
        struct parsed o;

        (void)state;
        parsed_read(&o, "groups:\n  web: {children: [a]}\nchildren:\n  a: {exec: [/bin/a]}\n",
                    true);
        assert_non_null(strstr(o.said, "app.yaml:1:1: error: 'groups' belongs to the hub, which runs already"));
        bt_config_free(&o.config);
}

/* One more than there may be around each other. */
static void the_depth_is_bounded(void **state)
{
        char groups[4096] = "groups:\n";
        struct parsed o;
        size_t used = strlen(groups);

        (void)state;
        for (int i = 0; i <= BT_PLAN_GROUP_DEPTH_MAX; i++)
                used += (size_t)snprintf(groups + used, sizeof(groups) - used, "  g%d: {children: [g%d]}\n", i, i + 1);
        (void)snprintf(groups + used, sizeof(groups) - used, "  g%d: {children: [db]}\n", BT_PLAN_GROUP_DEPTH_MAX + 1);
        read_groups(&o, groups);
        assert_non_null(strstr(o.said, "app.yaml:20:3: error: more than 16 groups are around the group 'g17'"));
        bt_config_free(&o.config);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(what_is_written_is_what_the_plan_has),
                cmocka_unit_test(what_cannot_be_is_said_with_its_place),
                cmocka_unit_test(what_a_child_says_about_its_group_is_looked_at_too),
                cmocka_unit_test(children_that_are_added_to_a_hub_have_no_groups),
                cmocka_unit_test(the_depth_is_bounded),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
