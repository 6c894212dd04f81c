/* SPDX-License-Identifier: Apache-2.0 */
/*
 * shm/ring.c: what goes in comes out, in order, once; a full ring refuses; and a peer that lies about its cursor is called BROKEN and leads
 * nobody astray, least of all by writing over *our* cursor in the shared page.
 *
 * Producer and consumer race twice: as two processes, which is what they are, and as two threads, for ThreadSanitizer. Random
 * sequences against a model are in tests/property/test_ring_property.c.
 *
 * links: pthread
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <pthread.h>
#include <sched.h>
#include <string.h>

#include "shm/ring.h"
#include "tests/support/numbered.h"
#include "tests/support/seed.h"
#include "tests/support/twin.h"

struct pair {
        struct bt_ring ring;
        struct bt_ring_end in;
        struct bt_ring_end out;
};

/* A ring whose cursors start at @at: 2^32 records come by only in tests. */
static void pair_init(struct pair *p, uint32_t at)
{
        memset(p, 0, sizeof(*p));
        p->ring.head = p->ring.tail = at;
        bt_ring_end_init_push(&p->in, &p->ring);
        bt_ring_end_init_pop(&p->out, &p->ring);
}

static void push_ok(struct pair *p, uint64_t n)
{
        struct bt_rec rec = numbered(n);

        assert_int_equal(bt_ring_push(&p->in, &rec), 0);
}

static void pop_ok(struct pair *p, uint64_t n)
{
        struct bt_rec rec;

        assert_int_equal(bt_ring_pop(&p->out, &rec), 0);
        assert_true(rec_is(&rec, n));
}

static void a_fresh_ring_is_valid_and_empty(void **state)
{
        struct bt_rec rec = numbered(5);
        struct pair p;

        (void)state;
        pair_init(&p, 0);
        assert_true(bt_ring_valid(&p.ring));
        assert_int_equal(bt_ring_pop(&p.out, &rec), BT_RING_E_EMPTY);
        assert_true(rec_is(&rec, 5)); /* written only on success */
}

static void all_bytes_of_a_record_arrive_in_order(void **state)
{
        struct pair p;

        (void)state;
        pair_init(&p, 0);
        for (uint64_t i = 0; i < 100; i++) {
                push_ok(&p, 2 * i);
                push_ok(&p, 2 * i + 1);
                pop_ok(&p, 2 * i);
                pop_ok(&p, 2 * i + 1);
        }
}

static void push_refuses_when_full_and_changes_nothing(void **state)
{
        struct bt_rec rec = numbered(99);
        struct bt_ring before;
        struct pair p;

        (void)state;
        pair_init(&p, 0);
        for (uint64_t i = 0; i < BT_RING_RECS; i++)
                push_ok(&p, i);
        memcpy((void *)&before, (const void *)&p.ring, sizeof(before));
        assert_int_equal(bt_ring_push(&p.in, &rec), BT_RING_E_FULL);
        assert_memory_equal(&before, &p.ring, sizeof(before));
        assert_true(bt_ring_valid(&p.ring));
        pop_ok(&p, 0);
        push_ok(&p, BT_RING_RECS); /* one came free */
        for (uint64_t i = 1; i <= BT_RING_RECS; i++)
                pop_ok(&p, i);
}

static void the_cursors_may_wrap_around(void **state)
{
        struct pair p;

        (void)state;
        for (uint32_t back = 0; back <= 2 * BT_RING_RECS; back++) {
                pair_init(&p, 0u - back);
                for (uint64_t i = 0; i < BT_RING_RECS; i++)
                        push_ok(&p, i);
                assert_true(bt_ring_valid(&p.ring));
                for (uint64_t i = 0; i < 3 * BT_RING_RECS; i++) {
                        pop_ok(&p, i);
                        push_ok(&p, i + BT_RING_RECS);
                }
        }
}

static void an_end_is_taken_up_where_it_was_left(void **state)
{
        struct pair p;

        (void)state;
        pair_init(&p, UINT32_MAX - 1);
        for (uint64_t i = 0; i < 5; i++)
                push_ok(&p, i);
        pop_ok(&p, 0);
        bt_ring_end_init_push(&p.in, &p.ring);
        bt_ring_end_init_pop(&p.out, &p.ring);
        push_ok(&p, 5);
        for (uint64_t i = 1; i < 6; i++)
                pop_ok(&p, i);
}

static void a_cursor_no_honest_peer_can_have_is_broken(void **state)
{
        static const uint32_t lies[] = {BT_RING_RECS + 1, 1000, UINT32_MAX / 2, UINT32_MAX / 2 + 1, UINT32_MAX};
        static const uint32_t starts[] = {0, 1, 15, UINT32_MAX, UINT32_MAX - 20};
        struct bt_rec rec = numbered(7);
        struct pair p;

        (void)state;
        for (size_t i = 0; i < 25; i++) {
                pair_init(&p, starts[i / 5]);
                p.ring.head = starts[i / 5] + lies[i % 5];
                assert_false(bt_ring_valid(&p.ring));
                assert_int_equal(bt_ring_pop(&p.out, &rec), BT_RING_E_BROKEN);
                assert_true(rec_is(&rec, 7));
                assert_int_equal(p.ring.tail, starts[i / 5]);

                pair_init(&p, starts[i / 5]);
                p.ring.tail = starts[i / 5] - lies[i % 5];
                assert_false(bt_ring_valid(&p.ring));
                assert_int_equal(bt_ring_push(&p.in, &rec), BT_RING_E_BROKEN);
                assert_int_equal(p.ring.head, starts[i / 5]);
                for (size_t k = 0; k < BT_RING_RECS; k++)
                        assert_int_equal(p.ring.recs[k].type, 0);
        }
}

/* The peer can write all of the page, our own cursor too. We do not ask it back. */
static void our_own_cursor_is_not_read_back(void **state)
{
        struct pair p;

        (void)state;
        pair_init(&p, 0);
        push_ok(&p, 0);
        p.ring.head = 12345; /* the consumer scribbles */
        push_ok(&p, 1);
        assert_int_equal(p.ring.head, 2);
        p.ring.tail = 54321; /* the producer scribbles */
        pop_ok(&p, 0);
        assert_int_equal(p.ring.tail, 1);
        pop_ok(&p, 1);
}

/* ---- two processes ---- */

static void two_processes_exchange_every_record_once(void **state)
{
        uint64_t count = seed_rounds(200000);
        struct bt_ring_end end;
        struct bt_ring *ring;
        char text[32];
        pid_t pid;
        int fd = twin_memory(sizeof(*ring), &ring);

        (void)state;
        ring->head = ring->tail = UINT32_MAX - 1000; /* wraps on the way */
        bt_ring_end_init_pop(&end, ring);
        (void)snprintf(text, sizeof(text), "%llu", (unsigned long long)count);
        pid = twin_start("child_shm", "produce", text, fd);
        for (uint64_t i = 0; i < count;) {
                struct bt_rec rec;
                int r = bt_ring_pop(&end, &rec);

                assert_true(bt_ring_valid(ring));
                if (r == BT_RING_E_EMPTY) {
                        sched_yield();
                        continue;
                }
                assert_int_equal(r, 0);
                assert_true(rec_is(&rec, i++));
        }
        assert_int_equal(twin_end(pid), 0);
        assert_int_equal(ring->head, ring->tail);
        (void)munmap(ring, sizeof(*ring));
        (void)close(fd);
}

/* What it says is nonsense; that we survive it and stay within the ring is the point. Sanitizers look at the bounds. */
static void a_peer_that_writes_nonsense_harms_only_itself(void **state)
{
        struct seed seed = seed_new();
        struct bt_ring_end in, out;
        struct bt_ring *ring;
        uint64_t seen[4] = {0};
        char text[32];
        pid_t pid;
        int fd = twin_memory(sizeof(*ring), &ring);

        (void)state;
        (void)snprintf(text, sizeof(text), "%llu", (unsigned long long)seed_next(&seed));
        bt_ring_end_init_push(&in, ring);
        bt_ring_end_init_pop(&out, ring);
        pid = twin_start("child_shm", "scribble", text, fd);
        for (uint64_t i = 0; i < seed_rounds(200000) || !seen[BT_RING_E_BROKEN]; i++) {
                struct bt_rec rec = numbered(1);
                int r = bt_ring_push(&in, &rec);

                assert_in_range(r, 0, BT_RING_E_BROKEN);
                assert_int_not_equal(r, BT_RING_E_EMPTY);
                seen[r]++;
                r = bt_ring_pop(&out, &rec);
                assert_in_range(r, 0, BT_RING_E_BROKEN);
                assert_int_not_equal(r, BT_RING_E_FULL);
                seen[r]++;
        }
        assert_int_equal(twin_kill(pid), 128 + SIGKILL);
        (void)munmap(ring, sizeof(*ring));
        (void)close(fd);
}

/* ---- thread twins ---- */

struct producer {
        struct bt_ring_end end;
        uint64_t count;
};

static void *produce(void *arg)
{
        struct producer *p = arg;

        for (uint64_t i = 0; i < p->count;) {
                struct bt_rec rec = numbered(i);
                int r = bt_ring_push(&p->end, &rec);

                if (r == BT_RING_E_BROKEN)
                        abort();
                if (r == 0)
                        i++;
                else
                        sched_yield();
        }
        return NULL;
}

static void two_threads_exchange_every_record_once(void **state)
{
        static struct bt_ring ring;
        struct producer producer = {.count = seed_rounds(200000)};
        struct bt_ring_end end;
        pthread_t thread;

        (void)state;
        ring.head = ring.tail = UINT32_MAX - 1000;
        bt_ring_end_init_push(&producer.end, &ring);
        bt_ring_end_init_pop(&end, &ring);
        assert_int_equal(pthread_create(&thread, NULL, produce, &producer), 0);
        for (uint64_t i = 0; i < producer.count;) {
                struct bt_rec rec;
                int r = bt_ring_pop(&end, &rec);

                if (r == BT_RING_E_EMPTY) {
                        sched_yield();
                        continue;
                }
                assert_int_equal(r, 0);
                assert_true(rec_is(&rec, i++));
        }
        assert_int_equal(pthread_join(thread, NULL), 0);
        assert_true(bt_ring_valid(&ring));
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(a_fresh_ring_is_valid_and_empty),
                cmocka_unit_test(all_bytes_of_a_record_arrive_in_order),
                cmocka_unit_test(push_refuses_when_full_and_changes_nothing),
                cmocka_unit_test(the_cursors_may_wrap_around),
                cmocka_unit_test(an_end_is_taken_up_where_it_was_left),
                cmocka_unit_test(a_cursor_no_honest_peer_can_have_is_broken),
                cmocka_unit_test(our_own_cursor_is_not_read_back),
                cmocka_unit_test(two_processes_exchange_every_record_once),
                cmocka_unit_test(a_peer_that_writes_nonsense_harms_only_itself),
                cmocka_unit_test(two_threads_exchange_every_record_once),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
