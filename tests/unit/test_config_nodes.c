/* SPDX-License-Identifier: Apache-2.0 */
/* `nodes` and `distribution`: what is read, what the plan has of it, and what is said when it cannot be. */

#include <stdio.h>
#include <string.h>

#include "base/fd.h"
#include "supervisor/baton/compile.h"
#include "tests/support/configs.h"

static void read_all(struct parsed *ret, const char *keys)
{
        char text[2048];

        (void)snprintf(text, sizeof(text), "hub: h\n%schildren:\n  web: {exec: [/bin/web], instances: 4}\n  log: {exec: [/bin/log]}\n", keys);
        parsed_read(ret, text, false);
}

static void what_is_written_is_what_the_plan_has(void **state)
{
        struct parsed o;
        struct bt_plan_view view;
        const char *error = NULL;
        int fd = -1;

        (void)state;
        read_all(&o, "nodes:\n"
                     "  blue: {cpus: '0-2,64', memory: 2GiB, weight: 7, nice: -5, numa: 1, env: {A: b, C: ''}, exec: {web: ./v2, log: /bin/v3}}\n"
                     "  green: {}\n"
                     "distribution: {strategy: round_robin, map: {web: blue, web/3: [green, blue]}}\n");
        assert_string_equal(o.said, "");
        assert_int_equal(bt_compile(&fd, &o.config, "/run", "/var", &error), 0);
        assert_int_equal(bt_plan_open(&view, fd, &error), 0);
        (void)bt_close(fd);
        assert_int_equal(view.plan->node_count, 2);
        assert_int_equal(view.plan->distribution, BT_DISTRIBUTION_ROUND_ROBIN);
        assert_string_equal(bt_plan_string(&view, view.nodes[0].name), "blue");
        assert_true(view.nodes[0].cpus[0] == 7 && view.nodes[0].cpus[1] == 1);
        assert_true(view.nodes[0].memory_max == UINT64_C(2) << 30);
        assert_int_equal(view.nodes[0].weight, 7);
        assert_int_equal(view.nodes[0].nice, -5);
        assert_int_equal(view.nodes[0].numa, 1);
        assert_int_equal(view.nodes[0].env_count, 2);
        assert_string_equal(bt_plan_string_next(bt_plan_string(&view, view.nodes[0].env)), "C=");
        assert_int_equal(view.nodes[0].override_count, 2);
        assert_string_equal(bt_plan_string(&view, view.overrides[0].pool), "web");
        assert_string_equal(bt_plan_string(&view, view.overrides[0].exec), "/etc/shop/v2");
        assert_int_equal(view.nodes[1].weight, 1);
        assert_int_equal(view.nodes[1].numa, -1);
        assert_int_equal(view.plan->wish_count, 3);
        assert_string_equal(bt_plan_string(&view, view.wishes[1].key), "web/3");
        assert_string_equal(bt_plan_string(&view, view.wishes[1].node), "green");
        assert_string_equal(bt_plan_string(&view, view.wishes[2].node), "blue");
        bt_plan_close(&view);
        bt_config_free(&o.config);
}

static void what_cannot_be_is_said(void **state)
{
        static const struct {
                const char *keys, *says;
        } rows[] = {
                {"nodes: {}\n", "'nodes' has no node"},
                {"nodes: {a: {weigth: 1}}\n", "did you mean 'weight'?"},
                {"nodes: {-a: {}}\n", "a node's name must begin with"},
                {"nodes: {a: {weight: 65536}}\n", "'weight' is '65536'"},
                {"nodes: {a: {cpus: 3-1}}\n", "a range is backwards"},
                {"nodes: {a: {cpus: 1024}}\n", "a number is too large"},
                {"nodes: {a: {cpus: '1,'}}\n", "expected numbers and ranges"},
                {"nodes: {a: {cpus: all}}\n", "expected numbers and ranges"},
                {"nodes: {a: {memory: 0}}\n", "it must be more than 0"},
                {"nodes: {a: {nice: 40}}\n", "(-40 to 39)"},
                {"nodes: {a: {nice: low}}\n", "expected a whole number"},
                {"nodes: {a: {numa: -1}}\n", "(0 to 63)"},
                {"nodes: {a: {exec: {wob: ./x}}}\n", "there is no child 'wob'"},
                {"nodes: {a: {exec: ./x}}\n", "'exec' expects a map"},
                {"nodes: {a: {env: [A=b]}}\n", "'env' expects a map"},
                {"nodes: {a: {defaults: 5s}}\n", "'defaults' expects a map"},
                {"nodes: {a: {defaults: {state: arena}}}\n", "'state' cannot be a default of a node: it belongs to the child"},
                {"nodes: {a: {defaults: {env: {A: b}}}}\n", "'env' cannot be a default of a node: a node has a key of this name itself"},
                {"nodes: {a: {defaults: {retension: 1s}}}\n", "did you mean 'retention'?"},
                {"nodes: {a: {defaults: {retention: soon}}}\n", "'retention' is 'soon'"},
                {"distribution: guidd\n", "did you mean 'guided'?"},
                {"distribution: {map: {web: local}}\n", "has no 'strategy'"},
                {"distribution: {strategy: guided, map: {web: red, log: local}}\n", "there is no node 'red'"},
                {"distribution: {strategy: guided, map: {web: local, log: local, x: local}}\n", "there is no child 'x'"},
                {"distribution: {strategy: guided, map: {web/4: local, log: local}}\n", "there is no child 'web/4'"},
                {"distribution: {strategy: guided, map: {web: local}}\n", "'log' is placed by the map"},
        };
        struct parsed o;

        (void)state;
        for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
                read_all(&o, rows[i].keys);
                if (!strstr(o.said, rows[i].says))
                        fail_msg("%s says '%s'", rows[i].keys, o.said);
                bt_config_free(&o.config);
        }
}

/* The child web of @keys (members of the child's map) on the one node that has @defaults. */
static struct bt_plan_child on_node(const char *defaults, const char *top, const char *keys,
                                    struct parsed *o)
{
        struct bt_plan_child there;
        char text[2048];

        (void)snprintf(text, sizeof(text), "hub: h\ndefaults: {%s}\nnodes: {a: {defaults: {%s}}}\nchildren: {web: {exec: [/bin/web]%s%s}}\n", top,
                       defaults, *keys ? ", " : "", keys);
        parsed_read(o, text, false);
        if (strstr(o->said, "error:"))
                fail_msg("%s: %s", text, o->said);
        if (!bt_plan_child_on(&there, &o->config.children[0].spec, &o->config.nodes[0].spec))
                there = o->config.children[0].spec;
        bt_config_free(&o->config);
        return there;
}

#define MS UINT64_C(1000000)

static void defaults_of_a_node_lie_between_those_of_the_file_and_the_childs_own(void **state)
{
        struct parsed o;
        struct bt_plan_child c;

        (void)state;
        c = on_node("retention: 7s, strategy: hot, shutdown: infinity", "retention: 6s, handover: true", "strategy: cold", &o);
        assert_int_equal(c.retention_ns, 7000 * MS);
        assert_int_equal(c.strategy, BT_STRATEGY_COLD); /* its own */
        assert_true(c.shutdown_ns == UINT64_MAX);
        assert_int_equal(c.handover, 1); /* of the file */
        assert_string_equal(o.said, "");

        c = on_node("backoff: {min: 5s}, max_restarts: forever", "", "backoff: {max: 1s}", &o);
        assert_int_equal(c.backoff_max_ns, 1000 * MS);
        assert_int_equal(c.backoff_min_ns, 1000 * MS); /* the node's, as far as the child's allows */
        assert_int_equal(c.max_restarts, UINT32_MAX);

        /* What it cannot have is not meant for it. */
        c = on_node("strategy: hot, handover: true, retention: 1s", "", "protocol: plain", &o);
        assert_int_equal(c.strategy, BT_STRATEGY_COLD);
        assert_int_equal(c.handover, 0);
        assert_int_equal(c.retention_ns, 1000 * MS);
        c = on_node("handover: false", "handover: true", "state: blob, durability: async", &o);
        assert_int_equal(c.handover, 1);
        c = on_node("checkpoint_every: 1s", "", "state: blob", &o);
        assert_int_equal(c.checkpoint_every_ns, 0);
        c = on_node("checkpoint_every: 1s", "", "state: blob, checkpoint: true", &o);
        assert_int_equal(c.checkpoint_every_ns, 1000 * MS);
}

static void SHUT_9_check_warns_about_a_limit_of_a_node_inside_a_shorter_outer_one(void **state)
{
        struct parsed o;

        (void)state;
        (void)on_node("handover_data_wait: 20s", "strategy: hot", "", &o);
        assert_non_null(strstr(o.said, "app.yaml:3:44: warning: 'web' on the node 'a': handover_data_wait (20 s) is never reached"));
        (void)on_node("child_migration_timeout: 1s", "strategy: hot", "", &o);
        assert_non_null(strstr(o.said, "'web' on the node 'a': handover_data_wait (3.0 s) is never reached: child_migration_timeout (1.0 s)"));
        (void)on_node("handover_data_wait: 20s", "strategy: hot", "handover_data_wait: 2s", &o);
        assert_string_equal(o.said, ""); /* the child's own wins */
        (void)on_node("retention: 1s", "", "strategy: hot, handover_data_wait: 20s", &o);
        assert_null(strstr(o.said, "on the node")); /* said once, of the child itself */
        assert_non_null(strstr(o.said, "handover_data_wait (20 s) is never reached"));
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(what_is_written_is_what_the_plan_has),
                cmocka_unit_test(what_cannot_be_is_said),
                cmocka_unit_test(defaults_of_a_node_lie_between_those_of_the_file_and_the_childs_own),
                cmocka_unit_test(SHUT_9_check_warns_about_a_limit_of_a_node_inside_a_shorter_outer_one),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
