/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Does one small thing to shared memory, between two stops, for a tracer that counts instructions and kills in the middle
 * (tests/crash/test_crash_steps.c). Descriptor 3 is the memory; what it holds before and may hold after is in tests/support/steps.h.
 *
 *      child_steps push | pass | confirm | alloc | alloc-top | free | slot        exits with 0 after it
 *      exits with 77 where tracing is not allowed
 */
#include <signal.h>
#include <string.h>
#include <sys/ptrace.h>

#include "child-api/child.h"
#include "shm/node.h"
#include "shm/ring.h"
#include "tests/support/numbered.h"
#include "tests/support/stepping.h"
#include "tests/support/steps.h"
#include "tests/support/twin.h"

static void do_push(struct steps *s)
{
        struct bt_rec rec = numbered(STEPS_RECS);
        struct bt_ring_end end;

        bt_ring_end_init_push(&end, &s->ring);
        stepping_mark();
        if (bt_ring_push(&end, &rec))
                _exit(1);
        stepping_mark();
}

static void do_pass(struct steps *s)
{
        stepping_mark();
        if (bt_baton_pass(&s->baton, STEPS_PRED, STEPS_SUCC))
                _exit(1);
        stepping_mark();
}

static void do_confirm(struct steps *s)
{
        stepping_mark();
        if (bt_baton_confirm(&s->baton, STEPS_SUCC))
                _exit(1);
        stepping_mark();
}

/* With the library's own bracket around it, so a handle is put together by hand. */
static struct baton_child arena_child(struct steps *s)
{
        return (struct baton_child){.baton = &s->baton, .arena = &s->arena};
}

static void do_alloc(struct steps *s, size_t bytes)
{
        struct baton_child child = arena_child(s);
        char *block;

        stepping_mark();
        baton_arena_begin(&child);
        block = baton_arena_alloc(&child, bytes);
        block[0] = 'x';
        baton_arena_set_root(&child, block);
        baton_arena_end(&child);
        stepping_mark();
}

static void do_free(struct steps *s)
{
        struct baton_child child = arena_child(s);
        void *root = baton_arena_root(&child);

        stepping_mark();
        baton_arena_begin(&child);
        baton_arena_set_root(&child, NULL);
        baton_arena_free(&child, root);
        baton_arena_end(&child);
        stepping_mark();
}

/* The hub is the one who dies here. A few members are enough: each is a store, and the order against the number is what matters. */
static void do_slot(struct steps *s)
{
        struct bt_node_owner owner = {.node = &s->node};
        struct bt_slot *slot;

        stepping_mark();
        slot = bt_node_begin(&owner, 0);
        slot->swaps = STEPS_SLOT_NEW;
        slot->swap_total_ns = ~STEPS_SLOT_NEW;
        slot->note[0] = 'n';
        slot->exec[0] = 'n';
        bt_node_end(slot);
        stepping_mark();
}

int main(int argc, char **argv)
{
        struct steps *s;

        twin_die_with_parent();
        if (argc < 2)
                return 96;
        s = twin_map(sizeof(*s));
        if (ptrace(PTRACE_TRACEME, 0, NULL, NULL) < 0)
                _exit(STEPPING_REFUSED);
        if (!strcmp(argv[1], "push"))
                do_push(s);
        else if (!strcmp(argv[1], "pass"))
                do_pass(s);
        else if (!strcmp(argv[1], "confirm"))
                do_confirm(s);
        else if (!strcmp(argv[1], "alloc"))
                do_alloc(s, STEPS_FREED_BYTES);
        else if (!strcmp(argv[1], "alloc-top"))
                do_alloc(s, STEPS_TOP_BYTES);
        else if (!strcmp(argv[1], "free"))
                do_free(s);
        else if (!strcmp(argv[1], "slot"))
                do_slot(s);
        else
                return 96;
        _exit(0); /* without the exit handlers: a leak check cannot work under a tracer */
}
