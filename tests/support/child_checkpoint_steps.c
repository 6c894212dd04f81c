/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Keeps a checkpoint, or puts one back, between two stops, for a tracer that counts instructions and kills in the middle
 * (tests/crash/test_checkpoint_steps.c). Descriptor 3 is the memory: tests/support/checkpoint_steps.h.
 *
 *      child_checkpoint_steps publish | blob | arena | repair         exits with 0 after it
 *      exits with 77 where tracing is not allowed
 */
#include <signal.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ptrace.h>

#include "child-api/child.h"
#include "shm/checkpoint.h"
#include "shm/record.h"
#include "tests/support/checkpoint_steps.h"
#include "tests/support/twin.h"

static void mark(void)
{
        (void)raise(SIGSTOP);
}

static int capture(struct baton_child *child, struct baton_capture *capture, void *ctx)
{
        void *room;
        int r = baton_capture_reserve(capture, CKS_BLOB_BYTES, &room);

        (void)child, (void)ctx;
        if (r)
                return r;
        memset(room, 'n', CKS_BLOB_BYTES);
        return baton_capture_commit(capture, CKS_BLOB_BYTES);
}

static const struct baton_child_ops ops = {.size = sizeof(ops), .schema = "steps", .version = 2, .version_oldest = 1, .capture = capture};

/* A holder that serves, put together by hand. */
static struct baton_child holder(struct cks *s)
{
        static struct bt_sum sum;
        struct baton_child child = {.ops = &ops, .supervised = true, .stage = BT_CHILD_HOLDING, .incarnation = CKS_INC, .link = &s->link, .sum = &sum,
                                    .baton = &s->baton, .baton_fd = TWIN_FD};

        if (s->baton.form == BATON_STATE_ARENA)
                child.arena = (struct bt_arena *)(void *)s->arenas[0];
        bt_ring_end_init_push(&child.outbox, &s->link.to_hub);
        child.hub_bell = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
        return child;
}

static int do_publish(struct cks *s)
{
        struct bt_state_meta meta = {.bytes = CKS_BLOB_BYTES, .version = 2, .incarnation = CKS_INC};
        uint32_t idx = bt_checkpoint_slot(&s->baton);

        memset(s->slots[idx], 'n', CKS_BLOB_BYTES);
        meta.xxh3 = bt_sum_of(s->slots[idx], CKS_BLOB_BYTES);
        mark();
        (void)bt_checkpoint_publish(&s->baton, idx, &meta);
        mark();
        return 0;
}

static int do_checkpoint(struct cks *s)
{
        struct baton_child child = holder(s);
        int r;

        mark();
        r = baton_child_checkpoint(&child);
        mark();
        return r;
}

static int do_repair(struct cks *s)
{
        struct baton_child child = holder(s);
        int r;

        mark();
        r = bt_child_repair_arena(&child);
        mark();
        return r;
}

int main(int argc, char **argv)
{
        struct cks *s;
        int r;

        twin_die_with_parent();
        if (argc < 2)
                return 96;
        s = twin_map(sizeof(*s));
        if (ptrace(PTRACE_TRACEME, 0, NULL, NULL) < 0)
                _exit(77);
        if (!strcmp(argv[1], "publish"))
                r = do_publish(s);
        else if (!strcmp(argv[1], "repair"))
                r = do_repair(s);
        else
                r = do_checkpoint(s);
        _exit(r ? 1 : 0);
}
