/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A producer of tests/property/test_mailbox_property.c. Descriptor 3 is the memory of tests/support/mailbox_twins.h.
 *
 *      child_mailbox produce OWNER:PLACE     pushes messages 0, 1, 2, .. as OWNER until it is killed, and says so at PLACE
 *      child_mailbox scribble SEED           writes nonsense all over the mailbox until it is killed
 */
#include <errno.h>
#include <sched.h>
#include <string.h>

#include "base/clock.h"
#include "tests/support/mailbox_twins.h"
#include "tests/support/seed.h"

/* bt_mailbox_push() with a pause in the middle, which is where a death is worth something. */
static int push_slowly(struct bt_mailbox_view *view, uint32_t owner, const struct bt_letter *letter, const uint64_t *words)
{
        struct bt_mail_slot *slot;
        uint64_t pos;
        int r = bt_mailbox_claim(view, owner, &pos);

        if (r)
                return r;
        sched_yield();
        slot = bt_mailbox_slot(view, pos);
        slot->letter = *letter;
        memcpy(slot->payload, words, TWINS_BYTES);
        return bt_mailbox_publish(view, owner, pos);
}

static void produce(struct twins *t, uint32_t owner, uint32_t place)
{
        struct bt_mailbox_view view = twins_view(t);

        for (uint64_t n = 0;; n++) {
                struct bt_letter letter = {.call = n, .bytes = TWINS_BYTES};
                uint64_t words[TWINS_BYTES / 8];
                int r;

                for (uint64_t i = 0; i < TWINS_BYTES / 8; i++)
                        words[i] = twins_word(owner, n, i);
                atomic_store(&t->begun[place], n + 1);
                do {
                        r = n % 2 ? push_slowly(&view, owner, &letter, words) : bt_mailbox_push(&view, owner, &letter, words, NULL);
                        if (r == BT_MAILBOX_E_FULL)
                                (void)bt_mailbox_wait_room(&view, bt_now_ns() + 10 * BT_NS_PER_MS);
                } while (r == BT_MAILBOX_E_FULL);
                if (r)
                        _exit(1);
                atomic_store(&t->sent[place], n + 1);
        }
}

static void scribble(struct twins *t, uint64_t state)
{
        struct seed seed = {.state = state};
        _Atomic uint64_t *words = (_Atomic uint64_t *)(void *)&t->head;

        for (;;) {
                uint64_t i = seed_below(&seed, TWINS_SEG_BYTES / 8);
                uint64_t word = seed_below(&seed, 2) ? seed_next(&seed)
                                                     : bt_slot_pack((uint32_t)seed_below(&seed, 1000), (uint32_t)seed_below(&seed, 3),
                                                                    (enum bt_slot_state)seed_below(&seed, 8));

                atomic_store_explicit(&words[i], word, memory_order_relaxed);
        }
}

int main(int argc, char **argv)
{
        struct twins *t;
        char *rest;
        uint64_t number;

        twin_die_with_parent();
        if (argc < 3)
                return 96;
        t = twin_map(sizeof(*t));
        number = strtoull(argv[2], &rest, 10);
        if (!strcmp(argv[1], "scribble"))
                scribble(t, number);
        produce(t, (uint32_t)number, (uint32_t)strtoul(rest + 1, NULL, 10));
        return 0;
}
