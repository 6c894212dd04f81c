/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The dress rehearsal: the passage, run where nobody sees it, just before it counts.
 *
 * Each process goes through its side of a passage once in its life. The first time is ten times as long as the tenth: code, page table entries, stack, branches
 * and data come from far away, and farther where a large arena was populated just before, which empties every cache there is. Prefetching knows only
 * addresses that somebody thought of, and brings code into the cache for data. So the very same functions are run, a few times, on a *double*: a copy of the
 * handle whose baton, ring and callbacks are its own. What it does:
 *
 *      real      the arena (read only), the code of this library, the stack, the clock, the program's rehearse()
 *      double    handle, holder word, description, ring to the hub, descriptors; the callbacks are absent
 *      fetched   lines of the real handle, baton and ring, code of the program's callbacks: into the cache, never a fault
 *
 * An heir also checks the arena's head, 1.3 KiB, as it is now, and keeps a copy: in the passage it is enough to see that it is the same.
 *
 * The real word is never touched. A compare-and-swap that "must fail now" need not: the baton may be passed in between (that was tried, and hung).
 *
 * An heir rehearses each time before it watches; a predecessor before it announces, and in each turn in which it waits for its heir.
 */
#include <string.h>
#include <sys/mman.h>

#include "child-api/child.h"
#include "shm/checkpoint.h"
#include "shm/record.h"

#define LINE_BYTES 64
#define FUNCTION_BYTES 512 /* of a callback: as much as there is a use in guessing */
#define TIMES 3            /* the first brings things near, the others teach the branch predictor */
#define HEAD_BYTES offsetof(struct bt_arena, pad)

struct bt_double {
        struct bt_baton baton;
        struct bt_ring ring;
        struct bt_passing passing;
        struct baton_child_ops ops;
        struct baton_child child;
        union {
                struct bt_arena arena;
                char bytes[HEAD_BYTES];
        } head __attribute__((aligned(64))); /* of the arena, when it was rehearsed */
        bool head_valid;
        uint64_t head_sum; /* nobody asks for it */
        struct bt_sum sum;
};

/* Zeroes, which cost nothing before they are used. */
struct bt_double *bt_double_new(void)
{
        void *at = mmap(NULL, sizeof(struct bt_double), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

        return at == MAP_FAILED ? NULL : at;
}

struct bt_sum *bt_double_sum(struct bt_double *twin)
{
        return &twin->sum;
}

/* Takes NULL. */
struct bt_double *bt_double_free(struct bt_double *twin)
{
        if (twin)
                (void)munmap(twin, sizeof(*twin));
        return NULL;
}

/* Into the caches, if it is mapped; never a fault. */
static void bring_near(const void *at, size_t bytes)
{
        for (size_t off = 0; off < bytes; off += LINE_BYTES)
                __builtin_prefetch((const char *)at + off);
}

static void bring_code(uintptr_t function)
{
        if (function)
                bring_near((const void *)function, FUNCTION_BYTES); /* NOLINT(performance-no-int-to-ptr): it is only looked at */
}

/* What the real passage reads and writes beside the arena. */
static void bring_real(const struct baton_child *child)
{
        const struct bt_ring *ring = child->outbox.ring;

        bring_near(child->baton, offsetof(struct bt_baton, checkpoints));
        bring_near(ring, offsetof(struct bt_ring, recs));
        bring_near(&ring->recs[child->outbox.cursor % BT_RING_RECS], sizeof(struct bt_rec));
        if (child->arena)
                bring_near((const char *)child->arena + child->arena->root, LINE_BYTES);
}

/* A double of @child as it is now, whose word says @word. */
static struct baton_child *double_dress(struct baton_child *child, uint64_t word)
{
        struct bt_double *twin = child->twin;
        const struct bt_baton *real = child->baton;

        atomic_store_explicit(&twin->baton.word, word, memory_order_relaxed);
        twin->baton.form = real->form;
        twin->baton.state_off = real->state_off;
        twin->baton.state_bytes_max = real->state_bytes_max;
        twin->baton.meta = real->meta;
        twin->baton.meta.present = 0;
        atomic_store_explicit(&twin->ring.head, 0, memory_order_relaxed);
        twin->passing.sock = -1;
        twin->ops = (struct baton_child_ops){.size = sizeof(twin->ops), .schema = child->ops->schema, .version = child->ops->version,
                                             .version_oldest = child->ops->version_oldest};

        memcpy(&twin->child, child, offsetof(struct baton_child, kept));
        twin->child.rehearsing = true;
        twin->child.ops = &twin->ops;
        twin->child.baton = &twin->baton;
        twin->child.link = NULL;
        twin->child.bell = twin->child.hub_bell = twin->child.handoff = -1;
        twin->child.outbox = (struct bt_ring_end){.ring = &twin->ring};
        twin->child.post = NULL;
        twin->child.passing = &twin->passing;
        twin->child.taken_count = twin->child.gone_count = 0;
        twin->child.received = twin->child.gone_received = 0;
        twin->child.bracket_depth = 0;
        return &twin->child;
}

static void program_rehearses(struct baton_child *child)
{
        const struct baton_child_ops *ops = child->ops;

        if (ops->size >= offsetof(struct baton_child_ops, rehearse) + sizeof(ops->rehearse) && ops->rehearse)
                ops->rehearse(child, child->ctx);
}

/* The predecessor may be changing it: whether the copy is whole is asked of the copy. */
static void head_remember(const struct baton_child *child)
{
        struct bt_double *twin = child->twin;

        twin->head_valid = false;
        if (!child->arena)
                return;
        memcpy(twin->head.bytes, child->arena, HEAD_BYTES);
        twin->head_valid = bt_arena_valid(&twin->head.arena, child->baton->state_bytes_max);
}

bool bt_child_head_known(const struct baton_child *child)
{
        return child->twin && child->twin->head_valid && !memcmp(child->arena, child->twin->head.bytes, HEAD_BYTES);
}

/* A blob will be summed. On its way an heir forgets what it has summed of the real one; there is none yet. */
static void sum_something(struct baton_child *child)
{
        if (child->baton->form != BATON_STATE_BLOB)
                return;
        child->followed = 0;
        bt_sum_init(child->sum);
        bt_sum_add(child->sum, child->twin->head.bytes, HEAD_BYTES);
        child->twin->head_sum = bt_sum_end(child->sum) ^ bt_sum_of(child->twin->head.bytes, HEAD_BYTES);
        bring_near(bt_child_blob_slot(child, bt_checkpoint_slot(child->baton)), BT_PAGE_BYTES);
}

void bt_child_rehearse_taking(struct baton_child *child)
{
        uint64_t m = child->incarnation;

        if (!child->twin || m < 2)
                return;
        program_rehearses(child);
        bring_code((uintptr_t)child->ops->restore);
        bring_code((uintptr_t)child->ops->serve);
        for (int i = 0; i < TIMES; i++) {
                sum_something(child);
                head_remember(child);
                (void)bt_child_take_over(double_dress(child, bt_word_pack(BT_WORD_PASSED, m, m - 1)));
        }
        bring_real(child);
}

void bt_child_rehearse_leaving(struct baton_child *child)
{
        uint64_t n = child->incarnation;

        if (!child->twin || child->heir <= n)
                return;
        program_rehearses(child);
        bring_code((uintptr_t)child->ops->capture);
        for (int i = 0; i < TIMES; i++) {
                sum_something(child);
                bt_child_become_passed(double_dress(child, bt_word_pack(BT_WORD_OFFERED, n, child->heir)));
        }
        bring_real(child);
}
