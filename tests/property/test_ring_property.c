/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Random sequences of push, pop, re-attach and hostile cursors, against a queue of sixteen numbers.
 *
 * BATON_SEED=... plays a failure again; BATON_LONG=1 runs longer.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "shm/ring.h"
#include "tests/support/numbered.h"
#include "tests/support/seed.h"

struct model {
        uint64_t first; /* number of the oldest record in the ring */
        uint64_t next;  /* number of the next one to be pushed */
};

struct desk {
        struct bt_ring ring;
        struct bt_ring_end in, out;
        struct model model;
        uint64_t full, empty, broken; /* how often each was met */
};

static void desk_init(struct desk *d, struct seed *seed)
{
        uint32_t at = seed_below(seed, 2) ? (uint32_t)seed_next(seed) : 0u - (uint32_t)seed_below(seed, 64);
        struct desk fresh = {.ring = {.head = at, .tail = at}, .full = d->full, .empty = d->empty, .broken = d->broken};

        memcpy((void *)d, (const void *)&fresh, sizeof(*d));
        bt_ring_end_init_push(&d->in, &d->ring);
        bt_ring_end_init_pop(&d->out, &d->ring);
}

static void push_one(struct desk *d)
{
        struct bt_rec rec = numbered(d->model.next);
        int r = bt_ring_push(&d->in, &rec);

        if (d->model.next - d->model.first == BT_RING_RECS) {
                assert_int_equal(r, BT_RING_E_FULL);
                d->full++;
        } else {
                assert_int_equal(r, 0);
                d->model.next++;
        }
}

static void pop_one(struct desk *d)
{
        struct bt_rec rec = numbered(UINT64_MAX);
        int r = bt_ring_pop(&d->out, &rec);

        if (d->model.next == d->model.first) {
                assert_int_equal(r, BT_RING_E_EMPTY);
                assert_true(rec_is(&rec, UINT64_MAX));
                d->empty++;
        } else {
                assert_int_equal(r, 0);
                assert_true(rec_is(&rec, d->model.first++));
        }
}

/* The peer of either end shows a cursor. Believed exactly when an honest peer could have shown it; then all is put back. */
static void lie(struct desk *d, struct seed *seed)
{
        uint32_t head = d->ring.head, tail = d->ring.tail, cursor = (uint32_t)seed_next(seed);
        struct bt_rec rec;

        if (seed_below(seed, 2))
                cursor = tail + (uint32_t)seed_below(seed, 40) - 10;
        d->ring.head = cursor;
        assert_int_equal(bt_ring_valid(&d->ring), cursor - tail <= BT_RING_RECS);
        if (cursor - tail > BT_RING_RECS) {
                assert_int_equal(bt_ring_pop(&d->out, &rec), BT_RING_E_BROKEN);
                d->broken++;
        }
        d->ring.head = head;

        d->ring.tail = cursor;
        if (head - cursor > BT_RING_RECS) {
                rec = numbered(0);
                assert_int_equal(bt_ring_push(&d->in, &rec), BT_RING_E_BROKEN);
                d->broken++;
        }
        d->ring.tail = tail;
        assert_int_equal(d->ring.head, head);
}

static void one_history(struct desk *d, struct seed *seed)
{
        uint64_t lean = 1 + seed_below(seed, 9); /* histories that tend to fill up, and such that tend to run dry */

        for (int i = 0; i < 400; i++) {
                uint64_t what = seed_below(seed, 12);

                if (what == 10)
                        lie(d, seed);
                else if (what == 11 && seed_below(seed, 2))
                        bt_ring_end_init_push(&d->in, &d->ring);
                else if (what == 11)
                        bt_ring_end_init_pop(&d->out, &d->ring);
                else if (what < lean)
                        push_one(d);
                else
                        pop_one(d);
                assert_true(bt_ring_valid(&d->ring));
                assert_int_equal(d->ring.head - d->ring.tail, d->model.next - d->model.first);
        }
}

static void a_ring_is_a_queue_of_sixteen_records(void **state)
{
        static struct desk d;
        struct seed seed = seed_new();

        (void)state;
        for (uint64_t i = 0; i < seed_rounds(500); i++) {
                desk_init(&d, &seed);
                one_history(&d, &seed);
        }
        assert_true(d.full && d.empty && d.broken); /* the histories get everywhere */
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(a_ring_is_a_queue_of_sixteen_records),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
