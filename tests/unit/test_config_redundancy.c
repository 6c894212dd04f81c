/* SPDX-License-Identifier: Apache-2.0 */
/* `redundancy`: what is read, what the plan has of it, and what is said when it cannot be. */

#include <string.h>

#include "tests/support/configs.h"

static void REDUN_1_what_is_written_is_what_the_plan_has(void **state)
{
        static const struct {
                const char *defaults, *keys;
                uint32_t replicas, replication;
        } rows[] = {
                {"", "cwd: /", 0, BT_REPLICATION_ACTIVE_ACTIVE},
                {"", "redundancy: singularity", 0, BT_REPLICATION_ACTIVE_ACTIVE},
                {"", "redundancy: replication", 2, BT_REPLICATION_ACTIVE_ACTIVE},
                {"", "redundancy: {}", 2, BT_REPLICATION_ACTIVE_ACTIVE},
                {"", "redundancy: {replication: 256}", 256, BT_REPLICATION_ACTIVE_ACTIVE},
                {"", "redundancy: {replication: all, mode: active_passive}", BT_PLAN_REPLICAS_ALL, BT_REPLICATION_ACTIVE_PASSIVE},
                {"defaults: {redundancy: {replication: 5, mode: active_passive}}\n", "cwd: /", 5, BT_REPLICATION_ACTIVE_PASSIVE},
                {"defaults: {redundancy: {replication: 5, mode: active_passive}}\n", "redundancy: {replication: 1}", 1,
                 BT_REPLICATION_ACTIVE_ACTIVE},
                {"defaults: {redundancy: replication, handover: true}\n", "redundancy: singularity", 0, BT_REPLICATION_ACTIVE_ACTIVE},
                {"defaults: {handover: true}\n", "redundancy: replication, handover: false", 2, BT_REPLICATION_ACTIVE_ACTIVE},
                {"defaults: {handover: true}\n", "redundancy: replication, protocol: plain", 2, BT_REPLICATION_ACTIVE_ACTIVE},
                {"nodes: {a: {}}\n", "redundancy: replication, distribution: consistent_hash", 2, BT_REPLICATION_ACTIVE_ACTIVE},
        };
        struct parsed o;

        (void)state;
        for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
                parsed_child(&o, rows[i].defaults, rows[i].keys);
                if (*o.said)
                        fail_msg("%s, %s: %s", rows[i].defaults, rows[i].keys, o.said);
                assert_int_equal(o.config.children[0].spec.replicas, rows[i].replicas);
                assert_int_equal(o.config.children[0].spec.replication, rows[i].replication);
                bt_config_free(&o.config);
        }
}

#define REFUSED "invalid_config: handover_with_replication_not_supported"
#define LONG    "n12345678901234567890123456789012345678901234567890123456789"

static void COLD_10_what_cannot_be_is_said(void **state)
{
        static const struct {
                const char *defaults, *keys, *says;
        } rows[] = {
                {"", "redundancy: replicaton", "(did you mean 'replication'?)"},
                {"", "redundancy: [2]", "'redundancy' expects a map"},
                {"", "redundancy: {replication: 0}", "'replication' is '0', expected on how many nodes, 1 to 256, or all"},
                {"", "redundancy: {replication: 257}", "1 to 256, or all"},
                {"", "redundancy: {replication: some}", "1 to 256, or all"},
                {"", "redundancy: {replicaton: 2}", "did you mean 'replication'?"},
                {"", "redundancy: {mode: passive}", "expected active_active or active_passive"},
                {"", "redundancy: {mode: active_passive}, protocol: plain", "'active_passive' needs a program that uses libbaton"},
                {"", "redundancy: replication, distribution: least_loaded", "of a replicated child is consistent_hash or guided"},
                {"", "redundancy: replication, distribution: round_robin", "of a replicated child is consistent_hash or guided"},
                {"nodes: {" LONG ": {}}\n", "redundancy: replication", "a child's name is too long"},
                {"", "redundancy: replication, handover: true, state: blob", "app.yaml:3:62: error: " REFUSED},
                {"defaults: {handover: true, state: blob}\n", "redundancy: replication", "app.yaml:4:39: error: " REFUSED},
                {"defaults: {redundancy: {mode: active_passive}}\n", "handover: true, state: blob", "app.yaml:4:37: error: " REFUSED},
                {"defaults: {handover: true, redundancy: replication, state: blob}\n", "cwd: /", "app.yaml:2:40: error: " REFUSED},
        };
        struct parsed o;

        (void)state;
        for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
                parsed_child(&o, rows[i].defaults, rows[i].keys);
                if (!strstr(o.said, rows[i].says))
                        fail_msg("%s%s says '%s'", rows[i].defaults, rows[i].keys, o.said);
                bt_config_free(&o.config);
        }
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(REDUN_1_what_is_written_is_what_the_plan_has),
                cmocka_unit_test(COLD_10_what_cannot_be_is_said),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
