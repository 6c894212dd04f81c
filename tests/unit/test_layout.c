/* SPDX-License-Identifier: Apache-2.0 */
/*
 * docs/shm-layout.md is a specification: somebody could write the other side from it alone. So each row of its tables is looked up here, with the
 * offset and the size that the compiler sees. A member that moved, or a row that was forgotten, fails this test; then it is a new layout version.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "shm/link.h"

struct row {
        const char *type;
        const char *member;
        size_t off;
        size_t bytes;
};

#define ROW(type, member) {#type, #member, offsetof(struct type, member), sizeof(((struct type *)NULL)->member)}

static const struct row rows[] = {
        ROW(bt_seg_head, magic), ROW(bt_seg_head, layout), ROW(bt_seg_head, abi), ROW(bt_seg_head, bytes), ROW(bt_seg_head, epoch),
        ROW(bt_node, head), ROW(bt_node, name), ROW(bt_node, hub), ROW(bt_node, hub_pid), ROW(bt_node, slot_count),
        ROW(bt_node, started_wall_ns), ROW(bt_node, slots_used), ROW(bt_node, slots[0]),
        ROW(bt_slot, seq), ROW(bt_slot, phase), ROW(bt_slot, id), ROW(bt_slot, incarnation), ROW(bt_slot, pid), ROW(bt_slot, strategy),
        ROW(bt_slot, started_wall_ns), ROW(bt_slot, restarts), ROW(bt_slot, swaps), ROW(bt_slot, rollbacks), ROW(bt_slot, swap_pause_ns),
        ROW(bt_slot, swap_total_ns), ROW(bt_slot, state_bytes), ROW(bt_slot, state_form), ROW(bt_slot, draining), ROW(bt_slot, exit_code),
        ROW(bt_slot, exit_kind), ROW(bt_slot, limits_hit), ROW(bt_slot, spare_pid), ROW(bt_slot, exec), ROW(bt_slot, note),
        ROW(bt_slot, mail_full), ROW(bt_slot, mail_set_aside), ROW(bt_slot, mail_slots), ROW(bt_slot, mail_depth), ROW(bt_slot, mode),
        ROW(bt_link, head), ROW(bt_link, incarnation), ROW(bt_link, reason), ROW(bt_link, fds), ROW(bt_link, slot_idx), ROW(bt_link, wake),
        ROW(bt_link, attached), ROW(bt_link, life_off), ROW(bt_link, life), ROW(bt_link, text), ROW(bt_link, mail_fds), ROW(bt_link, owner), ROW(bt_link, hold), ROW(bt_link, hold_flags), ROW(bt_link, hub_pid),
        ROW(bt_link, mode_told), ROW(bt_link, mode_taken), ROW(bt_link, to_child), ROW(bt_link, to_hub),
        ROW(bt_ring, head), ROW(bt_ring, tail), ROW(bt_ring, recs),
        ROW(bt_rec, type), ROW(bt_rec, flags), ROW(bt_rec, token), ROW(bt_rec, arg),
        ROW(bt_chan, type), ROW(bt_chan, token), ROW(bt_chan, name),
        ROW(bt_handoff, magic), ROW(bt_handoff, count), ROW(bt_handoff, first), ROW(bt_handoff, tags),
        ROW(bt_baton, head), ROW(bt_baton, id), ROW(bt_baton, word), ROW(bt_baton, soon), ROW(bt_baton, gone_count), ROW(bt_baton, summed), ROW(bt_baton, parked), ROW(bt_baton, beat), ROW(bt_baton, capture_ns),
        ROW(bt_baton, fd_count), ROW(bt_baton, restored_ns), ROW(bt_baton, meta), ROW(bt_baton, form), ROW(bt_baton, bracket),
        ROW(bt_baton, state_off), ROW(bt_baton, state_bytes_max), ROW(bt_baton, arena_addr),
        ROW(bt_baton, checkpoint_slots), ROW(bt_baton, checkpoint_lease), ROW(bt_baton, checkpoint), ROW(bt_baton, durable),
        ROW(bt_baton, checkpoints),
        ROW(bt_state_meta, schema), ROW(bt_state_meta, version), ROW(bt_state_meta, version_oldest), ROW(bt_state_meta, bytes),
        ROW(bt_state_meta, incarnation), ROW(bt_state_meta, boot_ns), ROW(bt_state_meta, wall_ns), ROW(bt_state_meta, xxh3),
        ROW(bt_state_meta, present), ROW(bt_state_meta, slot_idx), ROW(bt_state_meta, version_writable),
        ROW(bt_arena, magic), ROW(bt_arena, bytes_max), ROW(bt_arena, top), ROW(bt_arena, root), ROW(bt_arena, live_bytes),
        ROW(bt_arena, free),
        ROW(bt_mailbox, head), ROW(bt_mailbox, slot_count), ROW(bt_mailbox, slot_bytes), ROW(bt_mailbox, payload_bytes),
        ROW(bt_mailbox, spin_ns), ROW(bt_mailbox, slots_off), ROW(bt_mailbox, region_off), ROW(bt_mailbox, region_bytes),
        ROW(bt_mailbox, id), ROW(bt_mailbox, tail), ROW(bt_mailbox, read), ROW(bt_mailbox, asleep), ROW(bt_mailbox, waiting),
        ROW(bt_mailbox, room), ROW(bt_mailbox, gate), ROW(bt_mailbox, full),
        ROW(bt_mailbox, shared), ROW(bt_mailbox, next), ROW(bt_mailbox, sleepers),
        ROW(bt_mail_slot, word), ROW(bt_mail_slot, letter), {"bt_mail_slot", "payload", offsetof(struct bt_mail_slot, payload), 0},
        ROW(bt_letter, call), ROW(bt_letter, deadline_ns), ROW(bt_letter, tag), ROW(bt_letter, ref_off), ROW(bt_letter, ref_bytes),
        ROW(bt_letter, flags), ROW(bt_letter, status), ROW(bt_letter, bytes), ROW(bt_letter, sender),
        ROW(bt_desk, head), ROW(bt_desk, box_off), ROW(bt_desk, box_bytes), ROW(bt_desk, undo_off), ROW(bt_desk, undo_bytes),
        ROW(bt_desk, cursor), ROW(bt_desk, open), ROW(bt_desk, undo_used), ROW(bt_desk, delivery), ROW(bt_desk, epoch),
        ROW(bt_desk, answer), ROW(bt_desk, answer_client), ROW(bt_desk, answer_letter), ROW(bt_desk, handled),
        ROW(bt_desk, redelivered), ROW(bt_desk, failed), ROW(bt_desk, expired), ROW(bt_desk, holes), ROW(bt_desk, broken),
        ROW(bt_desk, unanswered), ROW(bt_desk, set_aside), ROW(bt_desk, sharer), ROW(bt_desk, deliveries_max), ROW(bt_desk, claim),
        ROW(bt_desk, claim_for), ROW(bt_desk, claim_owner), ROW(bt_desk, claim_before),
};

static char text[128 * 1024];

static int setup(void **state)
{
        FILE *file = fopen(BATON_SOURCE_DIR "/docs/shm-layout.md", "re");
        size_t bytes;

        (void)state;
        if (!file)
                return -1;
        bytes = fread(text, 1, sizeof(text) - 1, file);
        text[bytes] = '\0';
        return fclose(file);
}

/* The part of the page about @type: from the heading that names it to the next heading. */
static const char *section(const char *type, const char **ret_end)
{
        char heading[64];
        size_t bytes = (size_t)snprintf(heading, sizeof(heading), "struct %s", type);

        for (const char *at = text; (at = strstr(at, heading)); at += bytes) {
                const char *line = at;

                while (line > text && line[-1] != '\n')
                        line--;
                if (line[0] != '#' || (at[bytes] != '\n' && at[bytes] != ':'))
                        continue;
                *ret_end = strstr(at, "\n#");
                if (!*ret_end)
                        *ret_end = text + strlen(text);
                return at;
        }
        return NULL;
}

static void each_member_is_where_the_specification_says(void **state)
{
        (void)state;
        for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
                const struct row *row = &rows[i];
                const char *end = NULL; /* for the compiler: fail_msg() does not return */
                const char *from = section(row->type, &end);
                const char *found;
                char want[128];

                if (!from) {
                        fail_msg("no section about struct %s", row->type);
                        return;
                }
                (void)snprintf(want, sizeof(want), "\n| %zu | %zu | `%s` |", row->off, row->bytes, row->member);
                found = strstr(from, want);
                if (!found || found >= end)
                        fail_msg("struct %s: the page has no row '%s'", row->type, want + 1);
        }
}

/* The other way round: what the page lists exists. Rows of reserved bytes are the only ones that are not in the table above. */
static void each_row_of_the_specification_is_a_member(void **state)
{
        size_t count = 0;

        (void)state;
        for (const char *at = text; (at = strstr(at, "\n| ")); at++) {
                char *end;

                (void)strtoul(at + 3, &end, 10);
                if (end == at + 3 || strncmp(end, " | ", 3) != 0)
                        continue;
                at = end + 3;
                (void)strtoul(at, &end, 10);
                if (end == at || strncmp(end, " | `", 4) != 0)
                        continue; /* messages have no size */
                count += strncmp(end + 4, "reserved", 8) != 0;
        }
        assert_int_equal(count, sizeof(rows) / sizeof(rows[0]));
}

static void numbers_of_messages_are_those_of_the_specification(void **state)
{
        static const struct {
                enum bt_msg type;
                const char *name;
        } messages[] = {
                {BT_MSG_SPIN, "SPIN"},         {BT_MSG_HANDOVER, "HANDOVER"},   {BT_MSG_RESUME, "RESUME"},     {BT_MSG_RETIRE, "RETIRE"},
                {BT_MSG_CAPTURE, "CAPTURE"},   {BT_MSG_TERMINATE, "TERMINATE"}, {BT_MSG_ADOPTED, "ADOPTED"},   {BT_MSG_READY, "READY"},
                {BT_MSG_PASSED, "PASSED"},     {BT_MSG_RESTORED, "RESTORED"},   {BT_MSG_REFUSED, "REFUSED"},   {BT_MSG_CAPTURED, "CAPTURED"},
                {BT_MSG_NOT_PASSED, "NOT_PASSED"}, {BT_MSG_RETIRED, "RETIRED"},
                {BT_MSG_CHECKPOINT, "CHECKPOINT"}, {BT_MSG_DURABLE, "DURABLE"}, {BT_MSG_CHECKPOINTED, "CHECKPOINTED"},
                {BT_MSG_MAY_MIGRATE, "MAY_MIGRATE"}, {BT_MSG_CONSENT, "CONSENT"},
        };

        (void)state;
        for (size_t i = 0; i < sizeof(messages) / sizeof(messages[0]); i++) {
                char want[64];

                (void)snprintf(want, sizeof(want), "\n| %d | %s |", messages[i].type, messages[i].name);
                if (!strstr(text, want))
                        fail_msg("the page has no row '%s'", want + 1);
        }
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(each_member_is_where_the_specification_says),
                cmocka_unit_test(each_row_of_the_specification_is_a_member),
                cmocka_unit_test(numbers_of_messages_are_those_of_the_specification),
        };

        return cmocka_run_group_tests(tests, setup, NULL);
}
