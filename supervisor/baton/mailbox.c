/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `mailbox`: true, false, or a map of what is to be other than by default. The child's own word replaces that of `defaults` as a whole, as with
 * `state`.
 */
#include <string.h>

#include <baton/types.h>

#include "base/clock.h"
#include "shm/layout.h"
#include "supervisor/baton/reader.h"
#include "supervisor/baton/value.h"

#define SLOTS_DEFAULT 1024
#define BYTES_DEFAULT 256
#define UNDO_DEFAULT  (64 << 10)
#define DELIVERIES_MAX 254
#define DELIVERIES_DEFAULT 3 /* as max_restarts: the child survives a message that it cannot */

/* @key of the map @value: a size from @min to @max, in @ret. True when it is there and right. */
static bool read_size(struct bt_reader *reader, const struct bt_yaml *value, const char *key,
                      uint64_t min, uint64_t max, const char *limits, uint32_t *ret)
{
        const struct bt_yaml *node = bt_yaml_get(value, key);
        const char *text = node ? bt_read_text(reader, node, key) : NULL;
        uint64_t bytes = 0;
        const char *wrong = text ? bt_value_size(&bytes, text) : NULL;

        if (!text)
                return false;
        if (!wrong && (bytes < min || bytes > max))
                wrong = limits;
        if (wrong)
                bt_diag_error(reader->diag, node->mark, "'%s' is '%s': %s", key, text, wrong);
        else
                *ret = (uint32_t)bytes;
        return !wrong;
}

static void read_slots(struct bt_reader *reader, const struct bt_yaml *value, uint32_t *ret)
{
        const struct bt_yaml *node = bt_yaml_get(value, "slots");
        const char *text = node ? bt_read_text(reader, node, "slots") : NULL;
        uint64_t slots = 0;
        const char *wrong = text ? bt_value_number(&slots, text, BT_MAILBOX_SLOTS_MIN,
                                                   BT_MAILBOX_SLOTS_MAX)
                                 : NULL;

        if (!text)
                return;
        if (wrong || (slots & (slots - 1)))
                bt_diag_error(reader->diag, node->mark,
                              "'slots' is '%s', expected a power of two from %d to %d, such as 1024",
                              text, BT_MAILBOX_SLOTS_MIN, BT_MAILBOX_SLOTS_MAX);
        else
                *ret = (uint32_t)slots;
}

static void read_spin(struct bt_reader *reader, const struct bt_yaml *value, uint32_t *ret)
{
        const struct bt_yaml *node = bt_yaml_get(value, "spin");
        const char *text = node ? bt_read_text(reader, node, "spin") : NULL;
        uint64_t ns = 0;
        const char *wrong = text ? bt_value_duration(&ns, text, BT_NS_PER_US) : NULL;

        if (!text)
                return;
        if (!wrong && ns > BT_PLAN_SPIN_NS_MAX)
                wrong = "a child watches for at most 1ms";
        if (wrong)
                bt_diag_error(reader->diag, node->mark, "'spin' is '%s': %s", text, wrong);
        else
                *ret = (uint32_t)ns;
}

static void read_deliveries(struct bt_reader *reader, const struct bt_yaml *value, uint32_t *ret)
{
        const struct bt_yaml *node = bt_yaml_get(value, "deliveries");
        const char *text = node ? bt_read_text(reader, node, "deliveries") : NULL;
        uint64_t count = 0;

        if (!text)
                return;
        if (strcmp(text, "forever") != 0 && bt_value_number(&count, text, 1, DELIVERIES_MAX))
                bt_diag_error(reader->diag, node->mark,
                              "'deliveries' is '%s', expected a number from 1 to %d, or forever",
                              text, DELIVERIES_MAX);
        else
                *ret = (uint32_t)count; /* forever: 0 */
}

static void read_shared(struct bt_reader *reader, const struct bt_yaml *value, uint32_t *ret)
{
        const struct bt_yaml *node = bt_yaml_get(value, "shared");
        const char *text = node ? bt_read_text(reader, node, "shared") : NULL;
        bool on = false;
        const char *wrong = text ? bt_value_switch(&on, text) : NULL;

        if (wrong)
                bt_diag_error(reader->diag, node->mark, "'shared' is '%s': %s", text, wrong);
        *ret = on;
}

/* true or false. */
static bool read_whether(struct bt_reader *reader, const struct bt_yaml *value)
{
        const char *text = bt_read_text(reader, value, "mailbox");
        bool on = false;
        const char *wrong = text ? bt_value_switch(&on, text) : NULL;

        if (wrong)
                bt_diag_error(reader->diag, value->mark,
                              "'mailbox' is '%s': %s, or a map such as {slots: 1024, bytes: 256}",
                              text, wrong);
        return on;
}

void bt_read_mailbox(struct bt_reader *reader, struct bt_config_child *child,
                     const struct bt_yaml *value)
{
        static const char *const known[] = {"slots", "bytes", "undo", "spin",
                                            "shared", "deliveries", NULL};
        struct bt_plan_child *spec = &child->spec;
        bool on = value->kind == BT_YAML_SCALAR ? read_whether(reader, value) : true;

        spec->mailbox_slots = on ? SLOTS_DEFAULT : 0;
        spec->mailbox_bytes = on ? BYTES_DEFAULT : 0;
        spec->mailbox_undo_bytes = spec->mailbox_spin_ns = spec->mailbox_shared = 0;
        spec->mailbox_deliveries = on ? DELIVERIES_DEFAULT : 0;
        child->undo_given = false;
        if (value->kind == BT_YAML_SCALAR ||
            !bt_read_kind(reader, value, BT_YAML_MAP, "mailbox", "{slots: 1024, bytes: 256}"))
                return;
        bt_read_known(reader, value, known);
        read_slots(reader, value, &spec->mailbox_slots);
        (void)read_size(reader, value, "bytes", 1, BT_MAILBOX_BYTES_MAX,
                        "a message has from 1 byte to 64KiB in its slot", &spec->mailbox_bytes);
        child->undo_given = read_size(reader, value, "undo", 0, BT_DESK_UNDO_MAX,
                                      "at most 64MiB of a message can be undone",
                                      &spec->mailbox_undo_bytes);
        read_spin(reader, value, &spec->mailbox_spin_ns);
        read_shared(reader, value, &spec->mailbox_shared);
        read_deliveries(reader, value, &spec->mailbox_deliveries);
}

void bt_read_mailbox_finish(struct bt_reader *reader, struct bt_config_child *child)
{
        struct bt_plan_child *spec = &child->spec;
        const struct bt_yaml *own = bt_yaml_get(child->node, "mailbox");

        if (spec->mailbox_slots && spec->protocol != BT_PROTOCOL_BATON) {
                if (own)
                        bt_diag_error(reader->diag, own->mark,
                                      "'mailbox' needs a program that speaks with the hub, and "
                                      "this child's protocol is %s",
                                      spec->protocol == BT_PROTOCOL_PLAIN ? "plain" : "notify");
                spec->mailbox_slots = spec->mailbox_bytes = spec->mailbox_spin_ns = 0;
                spec->mailbox_undo_bytes = spec->mailbox_shared = spec->mailbox_deliveries = 0;
        }
        if (!spec->mailbox_slots)
                return;
        if (spec->mailbox_shared && child->instances > BT_MAILBOX_SHARERS_MAX && own)
                bt_diag_error(reader->diag, own->mark,
                              "'instances' is %u: at most %u can share one queue", child->instances,
                              BT_MAILBOX_SHARERS_MAX);
        if (spec->state_form == BATON_STATE_ARENA) {
                if (!child->undo_given)
                        spec->mailbox_undo_bytes = UNDO_DEFAULT;
                return;
        }
        if (own && spec->mailbox_undo_bytes)
                bt_diag_error(reader->diag, own->mark,
                              "'undo' needs state: arena: only there can what a message did be "
                              "taken back");
        spec->mailbox_undo_bytes = 0;
}
