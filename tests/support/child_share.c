/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A process of tests/property/test_share_property.c, until it is killed. Descriptor 3 is the memory of tests/support/share_twins.h.
 *
 *      child_share produce OWNER:0        pushes messages 0, 1, 2, ..
 *      child_share member OWNER:MEMBER    does messages, as MEMBER
 */
#include <errno.h>
#include <sched.h>
#include <string.h>

#include "base/clock.h"
#include "tests/support/share_twins.h"

static void produce(struct share_twins *t, uint32_t owner)
{
        struct bt_mailbox_view view = share_twins_view(t);

        for (uint64_t n = 0;; n++) {
                const struct bt_letter letter = {.call = share_id(owner, n), .bytes = 8};
                int r;

                atomic_store(&t->begun[owner], n + 1);
                do {
                        r = bt_mailbox_push(&view, owner, &letter, &letter.call, NULL);
                        if (r == BT_MAILBOX_E_FULL)
                                (void)bt_mailbox_wait_room(&view, bt_now_ns() + 10 * BT_NS_PER_MS);
                } while (r == BT_MAILBOX_E_FULL || r == -EAGAIN);
                if (r)
                        _exit(1);
                atomic_store(&t->sent[owner], n + 1);
        }
}

static void member(struct share_twins *t, uint32_t owner, uint32_t idx)
{
        struct bt_mailbox_view view = share_twins_view(t);
        struct bt_desk *desk = &t->desks[idx];

        (void)bt_share_settle(&view, desk); /* nothing, where the hub was there */
        while (desk->cursor < SHARE_DONE_MAX) {
                struct bt_taken taken;
                uint64_t room[SHARE_BYTES / 8];

                if (bt_share_take(&view, desk, owner, &taken, room)) {
                        sched_yield();
                        continue;
                }
                if (taken.letter.call != room[0])
                        _exit(1);
                (void)bt_desk_begin(desk, desk->cursor, NULL);
                if (room[0] % 7 == 0)
                        sched_yield(); /* a death is worth most here */
                t->done[idx][desk->cursor] = room[0];
                bt_desk_commit(desk);
                if (room[0] % 11 == 0)
                        sched_yield();
                bt_desk_end(desk);
                bt_share_done(&view, desk);
        }
}

int main(int argc, char **argv)
{
        struct share_twins *t;
        char *rest;
        uint32_t owner;

        twin_die_with_parent();
        if (argc < 3)
                return 96;
        t = twin_map(sizeof(*t));
        owner = (uint32_t)strtoul(argv[2], &rest, 10);
        if (!strcmp(argv[1], "produce"))
                produce(t, owner);
        else
                member(t, owner, (uint32_t)strtoul(rest + 1, NULL, 10) % SHARE_MEMBERS);
        return 0;
}
