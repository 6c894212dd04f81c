/* SPDX-License-Identifier: Apache-2.0 */
/* tags and meta of a child, and files of children for a hub that runs: what the plan has, and what is said when it cannot be. */

#include <stdio.h>
#include <string.h>

#include <baton/types.h>

#include "base/fd.h"
#include "supervisor/baton/compile.h"
#include "tests/support/configs.h"

struct compiled {
        int result;
        int fd; /* the plan, -1: none */
        char said[8192];
};

static void compile(struct compiled *ret, const char *text, bool fragment)
{
        const char *error = "";
        struct parsed got;
        size_t used;

        parsed_read(&got, text, fragment);
        ret->fd = -1;
        ret->result = got.result;
        if (!ret->result)
                ret->result = bt_compile(&ret->fd, &got.config, fragment ? NULL : "/run/baton",
                                         fragment ? NULL : "/var/lib/baton", &error);
        (void)snprintf(ret->said, sizeof(ret->said), "%s", got.said);
        used = strlen(ret->said);
        (void)snprintf(ret->said + used, sizeof(ret->said) - used, "%s", error ? error : "");
        bt_config_free(&got.config);
}

/* The strings of a list with a comma behind each. */
static const char *joined(const struct bt_plan_view *view, uint32_t off, uint32_t count)
{
        static char text[512];
        const char *at = bt_plan_string(view, off);
        size_t used = 0;

        text[0] = 0;
        for (uint32_t i = 0; i < count && used < sizeof(text); i++, at = bt_plan_string_next(at))
                used += (size_t)snprintf(text + used, sizeof(text) - used, "%s,", at);
        return text;
}

static void API_3_tags_and_meta_are_in_the_plan_of_every_instance(void **state)
{
        static const char text[] = "hub: h\n"
                                   "defaults: {tags: [all], meta: {owner: ops, tier: 1}}\n"
                                   "children:\n"
                                   "  web: {exec: [/bin/web], instances: 2, tags: [edge, canary], meta: {tier: 2, note: 'a = b, c'}}\n"
                                   "  log: {exec: [/bin/log]}\n"
                                   "  bare: {exec: [/bin/bare], tags: []}\n";
        struct bt_plan_view view;
        struct compiled got;
        const char *error;

        (void)state;
        compile(&got, text, false);
        assert_string_equal(got.said, "");
        assert_int_equal(bt_plan_open(&view, got.fd, &error), 0);
        for (int i = 0; i < 2; i++) {
                assert_string_equal(joined(&view, view.children[i].tags, view.children[i].tag_count), "edge,canary,");
                assert_string_equal(joined(&view, view.children[i].meta, view.children[i].meta_count), "owner=ops,tier=2,note=a = b, c,");
        }
        assert_string_equal(joined(&view, view.children[2].tags, view.children[2].tag_count), "all,");
        assert_string_equal(joined(&view, view.children[2].meta, view.children[2].meta_count), "owner=ops,tier=1,");
        assert_int_equal(view.children[3].tag_count, 0);
        bt_plan_close(&view);
        (void)bt_close(got.fd);
}

static void a_tag_or_a_key_that_is_no_name_is_said_at_its_place(void **state)
{
        static const struct {
                const char *keys, *said;
        } rows[] = {
                {"tags: edge", "'tags' expects a list, such as [edge, canary]"},
                {"tags: [a b]", "the tag 'a b' may have letters, digits, '.', '_' and '-' only"},
                {"tags: [a, a]", "the tag 'a' is here twice"},
                {"tags: ['']", "the tag '' is empty"},
                {"tags: [a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p, q]", "a child has at most 16 tags"},
                {"meta: [a]", "'meta' expects a map"},
                {"meta: {a b: c}", "the key 'a b' of 'meta' may have letters"},
                {"meta: {a: [b]}", "'a' expects one value, and this is a list"},
                {"labels: {a: b}", "unknown key 'labels' (did you mean 'meta'?)"},
        };

        (void)state;
        for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
                char text[512];
                struct compiled got;

                (void)snprintf(text, sizeof(text), "hub: h\nchildren:\n  web: {exec: [/bin/web], %s}\n", rows[i].keys);
                compile(&got, text, false);
                if (got.result != 1 || !strstr(got.said, rows[i].said))
                        fail_msg("{%s}: %d, said: %s", rows[i].keys, got.result, got.said);
        }
}

static void API_1_a_fragment_has_children_and_the_names_of_their_sockets(void **state)
{
        static const char text[] = "x-free: {a: b}\n"
                                   "defaults: {handover: true, state: blob}\n"
                                   "children:\n"
                                   "  a: {exec: [/bin/a], sockets: [http, admin]}\n"
                                   "  b: {exec: [/bin/b], sockets: [admin], instances: 3}\n";
        struct bt_plan_view view;
        struct compiled got;
        const char *error;

        (void)state;
        compile(&got, text, true);
        assert_string_equal(got.said, "");
        assert_int_equal(bt_plan_open(&view, got.fd, &error), 0);
        assert_int_equal(view.plan->flags, BT_PLAN_FRAGMENT);
        assert_int_equal(view.plan->child_count, 4);
        assert_int_equal(view.plan->socket_count, 2);
        assert_string_equal(bt_plan_string(&view, view.sockets[view.children[0].sockets[0]].name), "http");
        assert_string_equal(bt_plan_string(&view, view.sockets[view.children[3].sockets[0]].name), "admin");
        assert_string_equal(bt_plan_string(&view, view.children[3].id), "b/2");
        bt_plan_close(&view);
        (void)bt_close(got.fd);
}

static void a_fragment_refuses_what_belongs_to_the_hub(void **state)
{
        static const struct {
                const char *text, *said;
        } rows[] = {
                {"hub: h\nchildren: {a: {exec: [/bin/a]}}\n", "'hub' belongs to the hub, which runs already"},
                {"sockets: {http: 'tcp://127.0.0.1:1'}\nchildren: {a: {exec: [/bin/a]}}\n", "'sockets' belongs to the hub"},
                {"childen: {a: {exec: [/bin/a]}}\n", "unknown key 'childen' (did you mean 'children'?)"},
                {"defaults: {handover: true}\n", "the key 'children' is missing"},
                {"children: {a: {exec: [/bin/a], sockets: [a/b]}}\n", "the socket 'a/b' may have letters"},
                {"", "the file is empty"},
        };

        (void)state;
        for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
                struct compiled got;

                compile(&got, rows[i].text, true);
                if (got.result != 1 || !strstr(got.said, rows[i].said))
                        fail_msg("%s: %d, said: %s", rows[i].text, got.result, got.said);
        }
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(API_3_tags_and_meta_are_in_the_plan_of_every_instance),
                cmocka_unit_test(a_tag_or_a_key_that_is_no_name_is_said_at_its_place),
                cmocka_unit_test(API_1_a_fragment_has_children_and_the_names_of_their_sockets),
                cmocka_unit_test(a_fragment_refuses_what_belongs_to_the_hub),
        };

        return cmocka_run_group_tests_name("children in a configuration", tests, NULL, NULL);
}
