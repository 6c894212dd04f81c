/* SPDX-License-Identifier: Apache-2.0 */
/* mailbox: what the key means alone, with a state, and from `defaults`; and what is said when it cannot be. */

#include <stdio.h>
#include <string.h>

#include "tests/support/configs.h"

#define ARENA "state: arena"
#define KIB   1024

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
                uint32_t slots, bytes, undo, spin_ns;
        } rows[] = {
                {"", "restart: permanent", 0, 0, 0, 0},
                {"", "mailbox: false", 0, 0, 0, 0},
                {"", "mailbox: true", 1024, 256, 0, 0},
                {"", "mailbox: true, state: blob", 1024, 256, 0, 0},
                {"", "mailbox: true, " ARENA, 1024, 256, 64 * KIB, 0},
                {"", ARENA ", mailbox: {undo: 0}", 1024, 256, 0, 0},
                {"", ARENA ", mailbox: {slots: 2, bytes: 64KiB, undo: 1MiB, spin: 50us}", 2, 64 * KIB, KIB * KIB, 50000},
                {"", "mailbox: {slots: 65536, bytes: 1, spin: 1ms}", 65536, 1, 0, 1000000},
                {"", "mailbox: {spin: 20}", 1024, 256, 0, 20000},
                /* the child's own word replaces the whole of the other */
                {"mailbox: {slots: 16, bytes: 64}", "mailbox: true", 1024, 256, 0, 0},
                {"mailbox: {slots: 16, bytes: 64}", "mailbox: false", 0, 0, 0, 0},
                {"mailbox: {slots: 16, bytes: 64}", ARENA, 16, 64, 64 * KIB, 0},
                /* from `defaults` it is not meant for a child that cannot have it */
                {"mailbox: {undo: 1MiB}", "state: blob", 1024, 256, 0, 0},
                {"mailbox: true", "protocol: plain", 0, 0, 0, 0},
        };

        (void)state;
        for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
                struct parsed got;

                read_child(&got, rows[i].defaults, rows[i].keys);
                if (strstr(got.said, "error") || got.spec.mailbox_slots != rows[i].slots || got.spec.mailbox_bytes != rows[i].bytes ||
                    got.spec.mailbox_undo_bytes != rows[i].undo || got.spec.mailbox_spin_ns != rows[i].spin_ns)
                        fail_msg("{%s} {%s}: %u slots of %u bytes, undo %u, spin %u ns\n%s", rows[i].defaults, rows[i].keys, got.spec.mailbox_slots,
                                 got.spec.mailbox_bytes, got.spec.mailbox_undo_bytes, got.spec.mailbox_spin_ns, got.said);
        }
}

static void what_is_shared_and_how_often_a_message_is_begun(void **state)
{
        static const struct {
                const char *defaults, *keys;
                uint32_t shared, deliveries;
        } rows[] = {
                {"", "mailbox: false", 0, 0},
                {"", "mailbox: true", 0, 3},
                {"", "mailbox: {shared: true}", 1, 3},
                {"", "instances: 256, mailbox: {shared: true}", 1, 3},
                {"", "mailbox: {shared: false, deliveries: 1}", 0, 1},
                {"", "mailbox: {deliveries: 254}", 0, 254},
                {"", "mailbox: {deliveries: forever}", 0, 0},
                {"mailbox: {shared: true, deliveries: 9}", "instances: 2", 1, 9},
                {"mailbox: {shared: true, deliveries: 9}", "mailbox: true", 0, 3},
                {"mailbox: {shared: true}", "mailbox: false", 0, 0},
                {"mailbox: {shared: true}", "protocol: plain", 0, 0},
        };

        (void)state;
        for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
                struct parsed got;

                read_child(&got, rows[i].defaults, rows[i].keys);
                if (strstr(got.said, "error") || got.spec.mailbox_shared != rows[i].shared || got.spec.mailbox_deliveries != rows[i].deliveries)
                        fail_msg("{%s} {%s}: shared %u, deliveries %u\n%s", rows[i].defaults, rows[i].keys, got.spec.mailbox_shared,
                                 got.spec.mailbox_deliveries, got.said);
        }
}

static void what_cannot_be_is_said_at_its_key(void **state)
{
        static const struct {
                const char *keys, *said;
        } rows[] = {
                {"mailbox: yes", "'mailbox' is 'yes'"},
                {"mailbox: [1]", "'mailbox' expects"},
                {"mailbox: {slots: 1000}", "'slots' is '1000', expected a power of two from 2 to 65536"},
                {"mailbox: {slots: 1}", "'slots' is '1', expected a power of two"},
                {"mailbox: {slots: 131072}", "'slots' is '131072', expected a power of two"},
                {"mailbox: {bytes: 0}", "'bytes' is '0': a message has from 1 byte to 64KiB in its slot"},
                {"mailbox: {bytes: 1MiB}", "'bytes' is '1MiB': a message has from 1 byte to 64KiB"},
                {ARENA ", mailbox: {undo: 65MiB}", "'undo' is '65MiB': at most 64MiB"},
                {"state: blob, mailbox: {undo: 4KiB}", "'undo' needs state: arena"},
                {"mailbox: {spin: 2ms}", "'spin' is '2ms': a child watches for at most 1ms"},
                {"mailbox: {shared: 2}", "'shared' is '2'"},
                {"mailbox: {deliveries: 0}", "'deliveries' is '0', expected a number from 1 to 254, or forever"},
                {"mailbox: {deliveries: 255}", "'deliveries' is '255', expected a number from 1 to 254, or forever"},
                {"instances: 257, mailbox: {shared: true}", "'instances' is 257: at most 256 can share one queue"},
                {"mailbox: {slot: 4}", "unknown key 'slot' (did you mean 'slots'?)"},
                {"mailbox: true, protocol: plain", "'mailbox' needs a program that speaks with the hub"},
                {"mailboxes: true", "unknown key 'mailboxes' (did you mean 'mailbox'?)"},
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
                cmocka_unit_test(what_is_shared_and_how_often_a_message_is_begun),
                cmocka_unit_test(what_cannot_be_is_said_at_its_key),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
