/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The other process of the tests of shm/. Its descriptor 3 is the memory that is shared.
 *
 *      child_shm produce N        pushes N numbered records into the ring at the start of 3
 *      child_shm scribble SEED    writes nonsense over that ring until it is killed
 *      child_shm read N           reads slot 0 of the node 3 until N whole copies were seen; 1 when a copy was torn
 *      child_shm park N           parks N times as the heir of the baton 3, each time with the next odd number, and passes on
 *      child_shm wrong WHAT       misuses the arena or a node slot: ends by the assertion that sees it
 */
#include <sched.h>
#include <string.h>

#include "shm/arena.h"
#include "shm/baton.h"
#include "shm/node.h"
#include "shm/ring.h"
#include "tests/support/numbered.h"
#include "tests/support/seed.h"
#include "tests/support/twin.h"

static int produce(uint64_t count)
{
        struct bt_ring *ring = twin_map(sizeof(*ring));
        struct bt_ring_end end;

        bt_ring_end_init_push(&end, ring);
        for (uint64_t i = 0; i < count;) {
                struct bt_rec rec = numbered(i);
                int r = bt_ring_push(&end, &rec);

                if (r == BT_RING_E_BROKEN)
                        return 1;
                if (r == BT_RING_E_FULL)
                        sched_yield();
                else
                        i++;
        }
        return 0;
}

__attribute__((noreturn)) static void scribble(uint64_t first)
{
        struct bt_ring *ring = twin_map(sizeof(*ring));
        struct seed seed = {.state = first};

        for (;;) {
                uint64_t r = seed_next(&seed);

                switch (r % 4) {
                case 0: /* near the truth, so that it is believed at times */
                        atomic_store_explicit(&ring->head, ring->tail + (uint32_t)(r >> 32) % 18, memory_order_relaxed);
                        break;
                case 1:
                        atomic_store_explicit(&ring->tail, ring->head - (uint32_t)(r >> 32) % 18, memory_order_relaxed);
                        break;
                case 2:
                        atomic_store_explicit(r & 4 ? &ring->head : &ring->tail, (uint32_t)(r >> 32), memory_order_relaxed);
                        break;
                default:
                        ((volatile uint8_t *)ring->recs)[(r >> 8) % sizeof(ring->recs)] = (uint8_t)r;
                }
        }
}

static int read_slots(uint64_t count)
{
        struct bt_node_view view;
        struct bt_slot slot;

        if (bt_node_attach(&view, TWIN_FD))
                return 2;
        for (uint64_t seen = 0; seen < count;) {
                if (!bt_node_read(&view, 0, &slot))
                        continue;
                if (!slot_is_whole(&slot))
                        return 1;
                seen++;
        }
        return 0;
}

/* Odd numbers are here, even ones in the test: each is the other's successor, and parks when its predecessor has confirmed: one at a time. */
static int park(uint64_t rounds)
{
        struct bt_baton *baton = twin_map(sizeof(*baton));
        static _Atomic uint32_t never_called;

        for (uint64_t i = 0; i < rounds; i++) {
                uint64_t me = 2 * i + 1;

                while (i && !bt_baton_serves(baton, me - 1) && bt_baton_word(baton).holder != me)
                        sched_yield();
                if (bt_baton_park(baton, me, &never_called, 0, 0, i % 3 == 0 ? 5000 : 0) || bt_baton_confirm(baton, me) ||
                    bt_baton_offer(baton, me, me + 1) || bt_baton_pass(baton, me, me + 1))
                        return 1;
        }
        return 0;
}

static int wrong(const char *what)
{
        static char room[BT_ARENA_BYTES_MIN] __attribute__((aligned(4096)));
        struct bt_arena *arena = (struct bt_arena *)(void *)room;
        struct bt_node_owner owner = BT_NODE_OWNER_NULL;
        char *block;

        bt_arena_init(arena, sizeof(room));
        block = bt_arena_alloc(arena, 100);
        if (!strcmp(what, "free-twice")) {
                bt_arena_free(arena, block);
                bt_arena_free(arena, block);
        } else if (!strcmp(what, "free-inside")) {
                memset(block, 0, 100);
                bt_arena_free(arena, block + 16);
        } else if (!strcmp(what, "free-elsewhere")) {
                bt_arena_free(arena, &owner);
        } else if (!strcmp(what, "free-above")) {
                bt_arena_free(arena, block + 4096);
        } else if (!strcmp(what, "write-after-free")) {
                bt_arena_free(arena, block);
                memset(block, 0xee, 100); /* over the chain of the free list */
                (void)bt_arena_alloc(arena, 100);
                (void)bt_arena_alloc(arena, 100);
        } else if (!strcmp(what, "overrun")) {
                char *next = bt_arena_alloc(arena, 100);

                memset(block, 0xee, 112); /* 8 more than the block has: over the next one's head */
                bt_arena_free(arena, next);
        } else if (!strcmp(what, "root-outside")) {
                bt_arena_set_root(arena, &owner);
        } else if (!strcmp(what, "root-in-head")) {
                bt_arena_set_root(arena, arena->free);
        } else if (!strcmp(what, "begin-twice")) {
                if (bt_node_create(&owner, "hub", "node", 1))
                        return 2;
                (void)bt_node_begin(&owner, 0);
                (void)bt_node_begin(&owner, 0);
        } else if (!strcmp(what, "end-twice")) {
                if (bt_node_create(&owner, "hub", "node", 1))
                        return 2;
                bt_node_end(bt_node_begin(&owner, 0));
                bt_node_end(owner.node->slots);
        }
        return 3; /* nobody noticed */
}

int main(int argc, char **argv)
{
        uint64_t n = argc > 2 ? strtoull(argv[2], NULL, 0) : 0;

        twin_die_with_parent();
        if (argc != 3)
                return 96;
        if (!strcmp(argv[1], "produce"))
                return produce(n);
        if (!strcmp(argv[1], "scribble"))
                scribble(n);
        if (!strcmp(argv[1], "read"))
                return read_slots(n);
        if (!strcmp(argv[1], "park"))
                return park(n);
        if (!strcmp(argv[1], "wrong"))
                return wrong(argv[2]);
        return 96;
}
