/* SPDX-License-Identifier: Apache-2.0 */
/* checkpoint, checkpoint_every, durability: what they mean alone and together, and what is said when they cannot be. */

#include <stdio.h>
#include <string.h>

#include <baton/types.h>

#include "base/clock.h"
#include "tests/support/configs.h"

#define BLOB     "state: blob, handover: true"
#define ARENA    "state: arena, handover: true"
#define BOTH_ONS ", checkpoint_every: 1s, durability: async"

/* @keys of the child, in one line; @defaults may be "". */
static void read_child(struct parsed *ret, const char *defaults, const char *keys)
{
        char top[1024];

        (void)snprintf(top, sizeof(top), "defaults: {%s}\n", defaults);
        parsed_child(ret, top, keys);
        assert_int_equal(ret->config.child_count, 1);
        bt_config_free(&ret->config);
}

static void what_is_written_is_what_the_plan_has(void **state)
{
        static const struct {
                const char *defaults, *keys;
                uint32_t checkpoint, durability;
                uint64_t every_ns;
        } rows[] = {
                {"", BLOB, 0, BT_DURABILITY_SHUTDOWN, 0},
                {"", "state: blob, checkpoint: true", 1, BT_DURABILITY_SHUTDOWN, 0},
                {"", ARENA ", checkpoint: true", 1, BT_DURABILITY_SHUTDOWN, 0},
                {"", ARENA ", checkpoint_every: 250", 1, BT_DURABILITY_SHUTDOWN, 250 * BT_NS_PER_MS},
                {"", "state: arena, checkpoint_every: 2s", 1, BT_DURABILITY_SHUTDOWN, 2 * BT_NS_PER_S},
                {"", BLOB ", checkpoint_every: never", 0, BT_DURABILITY_SHUTDOWN, 0},
                {"", BLOB ", durability: none", 0, BT_DURABILITY_NONE, 0},
                {"", BLOB ", durability: shutdown", 0, BT_DURABILITY_SHUTDOWN, 0},
                {"", BLOB ", durability: async", 1, BT_DURABILITY_ASYNC, 0},
                {"", ARENA ", durability: sync", 1, BT_DURABILITY_SYNC, 0},
                {"", "state: none, durability: none", 0, BT_DURABILITY_NONE, 0},
                /* the child's own word counts */
                {"checkpoint_every: 1s", BLOB ", checkpoint_every: never", 0, BT_DURABILITY_SHUTDOWN, 0},
                {"durability: sync", BLOB, 1, BT_DURABILITY_SYNC, 0},
                /* from `defaults` it is not meant for a child that cannot have it */
                {"checkpoint: true" BOTH_ONS, "state: none", 0, BT_DURABILITY_SHUTDOWN, 0},
                {"checkpoint: true" BOTH_ONS, "protocol: plain", 0, BT_DURABILITY_SHUTDOWN, 0},
                {"durability: sync", "state: blob", 0, BT_DURABILITY_SHUTDOWN, 0},
        };

        (void)state;
        for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
                struct parsed got;

                read_child(&got, rows[i].defaults, rows[i].keys);
                if (strstr(got.said, "error") || got.spec.checkpoint != rows[i].checkpoint || got.spec.durability != rows[i].durability ||
                    got.spec.checkpoint_every_ns != rows[i].every_ns)
                        fail_msg("{%s} {%s}: checkpoint %u, durability %u, every %llu ns\n%s", rows[i].defaults, rows[i].keys, got.spec.checkpoint,
                                 got.spec.durability, (unsigned long long)got.spec.checkpoint_every_ns, got.said);
        }
}

static void what_cannot_be_is_said_at_its_key(void **state)
{
        static const struct {
                const char *keys, *said;
        } rows[] = {
                {BLOB ", checkpoint: yes", "'checkpoint' is 'yes'"},
                {BLOB ", checkpoint_every: 0", "'checkpoint_every' is '0': it must be at least 1.0 ms"},
                {BLOB ", checkpoint_every: often", "'checkpoint_every' is 'often'"},
                {BLOB ", durability: disk", "'durability' is 'disk', expected none, shutdown, async or sync"},
                {"checkpoint: true", "'checkpoint' needs a state: write state: blob or state: arena"},
                {"checkpoint_every: 1s", "'checkpoint_every' needs a state"},
                {"handover: true, durability: async", "'durability' needs a state"},
                {"state: blob, durability: sync", "'durability' is async or sync, which needs handover: true"},
                {"protocol: plain, checkpoint: true", "'checkpoint' needs a state"},
                {BLOB ", checkpoint: false, checkpoint_every: 1s", "'checkpoint' is false, but checkpoint_every or durability asks for checkpoints"},
                {BLOB ", checkpoint: false, durability: async", "'checkpoint' is false, but"},
                {BLOB ", snapshot_every: 1s", "unknown key 'snapshot_every' (did you mean 'checkpoint_every'?)"},
                {BLOB ", durabilty: sync", "unknown key 'durabilty' (did you mean 'durability'?)"},
        };

        (void)state;
        for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
                struct parsed got;

                read_child(&got, "", rows[i].keys);
                if (!strstr(got.said, rows[i].said) || !strstr(got.said, "app.yaml:4:"))
                        fail_msg("{%s}: expected '%s' in\n%s", rows[i].keys, rows[i].said, got.said);
        }
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(what_is_written_is_what_the_plan_has),
                cmocka_unit_test(what_cannot_be_is_said_at_its_key),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
