/* SPDX-License-Identifier: Apache-2.0 */
/* The protocol of shm/checkpoint.h, move by move; dying inside a move is tests/crash/test_checkpoint_steps.c. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <pthread.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/fd.h"
#include "shm/checkpoint.h"
#include "shm/record.h"

struct fixture {
        struct bt_seg seg;
        int fd;
};

static struct bt_baton *make(struct fixture *f, uint32_t form, bool room)
{
        *f = (struct fixture){.fd = -1};
        assert_int_equal((room ? bt_baton_create_checkpointed : bt_baton_create)(&f->seg, &f->fd, "a", form, 65536), 0);
        assert_true(bt_baton_valid(f->seg.at));
        return f->seg.at;
}

static void end(struct fixture *f)
{
        bt_seg_detach(&f->seg);
        f->fd = bt_close(f->fd);
}

static void a_fresh_baton_has_none(void **state)
{
        struct bt_checkpoint last;
        struct fixture f;
        struct bt_baton *baton = make(&f, BATON_STATE_BLOB, true);

        (void)state;
        assert_false(bt_checkpoint_read(baton, &last));
        assert_false(bt_checkpoint_lease(baton, &last));
        assert_int_equal(baton->checkpoint_lease, 0);
        end(&f);
}

static void there_is_a_slot_for_each_form_that_has_room(void **state)
{
        static const struct {
                uint32_t form;
                bool room;
                uint32_t slot;
                uint64_t off; /* of slot 1, in states */
        } rows[] = {
                {BATON_STATE_NONE, false, UINT32_MAX, 0}, {BATON_STATE_NONE, true, UINT32_MAX, 0},   {BATON_STATE_BLOB, false, 0, 1},
                {BATON_STATE_BLOB, true, 0, 1},           {BATON_STATE_ARENA, false, UINT32_MAX, 0}, {BATON_STATE_ARENA, true, 0, 2},
        };

        (void)state;
        for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
                struct fixture f;
                struct bt_baton *baton = make(&f, rows[i].form, rows[i].room);

                assert_int_equal(bt_checkpoint_slot(baton), rows[i].slot);
                if (rows[i].slot != UINT32_MAX)
                        assert_int_equal(bt_checkpoint_off(baton, 1), baton->state_off + rows[i].off * baton->state_bytes_max);
                end(&f);
        }
}

static void what_was_published_last_is_read_and_counted(void **state)
{
        struct bt_state_meta meta = {.schema = "s", .version = 3, .bytes = 10, .xxh3 = 77, .slot_idx = 9, .present = 9};
        struct bt_checkpoint last;
        struct fixture f;
        struct bt_baton *baton = make(&f, BATON_STATE_BLOB, false);

        (void)state;
        for (uint64_t n = 1; n < 10; n++) {
                uint32_t slot = bt_checkpoint_slot(baton);

                assert_in_range(slot, 0, 1);
                meta.xxh3 = n;
                assert_int_equal(bt_checkpoint_publish(baton, slot, &meta), n);
                assert_true(bt_checkpoint_read(baton, &last));
                assert_int_equal(last.sequence, n);
                assert_int_equal(last.meta.xxh3, n);
                assert_int_equal(last.meta.slot_idx, slot);
                assert_int_equal(last.meta.present, 1);
                assert_string_equal(last.meta.schema, "s");
        }
        end(&f);
}

static void a_retracted_one_is_not_read_and_is_counted(void **state)
{
        struct bt_state_meta meta = {.bytes = 1};
        struct bt_checkpoint last;
        struct fixture f;
        struct bt_baton *baton = make(&f, BATON_STATE_BLOB, true);

        (void)state;
        assert_int_equal(bt_checkpoint_publish(baton, 0, &meta), 1);
        assert_int_equal(bt_checkpoint_retract(baton), 2);
        assert_false(bt_checkpoint_read(baton, &last));
        assert_false(bt_checkpoint_lease(baton, &last));
        assert_int_equal(bt_checkpoint_publish(baton, 0, &meta), 3);
        end(&f);
}

/* However many are published while it is read. */
static void a_leased_slot_is_not_written_to(void **state)
{
        struct bt_state_meta meta = {.bytes = 1};
        struct bt_checkpoint leased, last;
        struct fixture f;
        struct bt_baton *baton = make(&f, BATON_STATE_ARENA, true);
        uint32_t used = 0;

        (void)state;
        (void)bt_checkpoint_publish(baton, bt_checkpoint_slot(baton), &meta);
        assert_true(bt_checkpoint_lease(baton, &leased));
        for (int i = 0; i < 20; i++) {
                uint32_t slot = bt_checkpoint_slot(baton);

                assert_int_not_equal(slot, UINT32_MAX);
                assert_int_not_equal(slot, leased.meta.slot_idx);
                used |= 1u << slot;
                (void)bt_checkpoint_publish(baton, slot, &meta);
        }
        assert_int_equal(used, 6); /* the other two */
        bt_checkpoint_release(baton);
        assert_int_equal(bt_checkpoint_slot(baton), leased.meta.slot_idx);
        assert_true(bt_checkpoint_read(baton, &last));
        assert_int_equal(last.sequence, 21);
        end(&f);
}

static void without_the_room_nothing_is_leased(void **state)
{
        struct bt_state_meta meta = {.bytes = 1};
        struct bt_checkpoint last;
        struct fixture f;
        struct bt_baton *baton = make(&f, BATON_STATE_BLOB, false);

        (void)state;
        (void)bt_checkpoint_publish(baton, 0, &meta);
        assert_false(bt_checkpoint_lease(baton, &last));
        assert_int_equal(bt_checkpoint_slot(baton), 1);
        end(&f);
}

/* Written by a child that may be broken: none of it may lead outside. */
static void a_description_that_cannot_be_is_not_read(void **state)
{
        struct bt_state_meta meta = {.bytes = 1};
        struct bt_checkpoint last;
        struct fixture f;
        struct bt_baton *baton = make(&f, BATON_STATE_BLOB, true);
        struct bt_baton good;

        (void)state;
        (void)bt_checkpoint_publish(baton, 1, &meta);
        good = *baton;
        assert_true(bt_checkpoint_read(&good, &last));
#define BAD(change)                                                                                \
        do {                                                                                       \
                struct bt_baton bad = good;                                                        \
                change;                                                                            \
                assert_false(bt_checkpoint_read(&bad, &last));                                     \
        } while (0)
        BAD(bad.checkpoint = 0);
        BAD(bad.checkpoint = 1); /* names a slot that was never written */
        BAD(bad.checkpoint = 3; bad.checkpoint_slots = 0);
        BAD(bad.form = BATON_STATE_NONE; bad.checkpoint_slots = 0);
        BAD(bad.checkpoints[1].bytes = bad.state_bytes_max + 1);
        BAD(bad.checkpoints[1].slot_idx = 2);
        BAD(bad.checkpoints[1].present = 0);
#undef BAD
        memset(baton->checkpoints[1].schema, 'x', sizeof(baton->checkpoints[1].schema));
        assert_true(bt_checkpoint_read(baton, &last));
        assert_int_equal(strlen(last.meta.schema), sizeof(last.meta.schema) - 1);
        end(&f);
}

/* ---- a reader beside a writer ---- */

#define PUBLISHED 20000
#define PAYLOAD   2048
#define ROOM      65536

/* As fast as it can; each payload is of one letter, and its sum is in the description. */
static void *publish_many(void *arg)
{
        struct bt_baton *baton = arg;

        for (uint64_t n = 1; n <= PUBLISHED; n++) {
                uint32_t slot = bt_checkpoint_slot(baton);
                char *room = (char *)baton + bt_checkpoint_off(baton, slot);
                struct bt_state_meta meta = {.bytes = PAYLOAD, .version = (uint32_t)n};

                memset(room, (int)(n & 0xff), PAYLOAD);
                meta.xxh3 = bt_sum_of(room, PAYLOAD);
                (void)bt_checkpoint_publish(baton, slot, &meta);
        }
        return NULL;
}

/* What is leased does not change under the reader: looked at twice, it has the sum that belongs to its sequence. */
static void a_lease_keeps_a_fast_writer_away(void **state)
{
        uint64_t bytes = bt_baton_bytes(BATON_STATE_BLOB, ROOM, BT_CHECKPOINT_SLOTS);
        struct bt_checkpoint last = {.sequence = 0};
        uint64_t before = 0;
        struct bt_baton *baton;
        pthread_t writer;
        struct fixture f;

        (void)state;
        (void)make(&f, BATON_STATE_BLOB, true);
        baton = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, f.fd, 0);
        assert_ptr_not_equal(baton, MAP_FAILED);
        assert_int_equal(pthread_create(&writer, NULL, publish_many, baton), 0);
        while (last.sequence < PUBLISHED) {
                const char *payload;

                if (!bt_checkpoint_lease(baton, &last))
                        continue;
                payload = (const char *)baton + bt_checkpoint_off(baton, last.meta.slot_idx);
                for (int i = 0; i < 2; i++)
                        assert_int_equal(bt_sum_of(payload, PAYLOAD), last.meta.xxh3);
                assert_int_equal((uint8_t)payload[PAYLOAD - 1], last.sequence & 0xff);
                assert_int_equal(last.meta.version, last.sequence);
                assert_true(last.sequence >= before);
                before = last.sequence;
                bt_checkpoint_release(baton);
        }
        assert_int_equal(pthread_join(writer, NULL), 0);
        assert_int_equal(munmap(baton, bytes), 0);
        end(&f);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(a_fresh_baton_has_none),
                cmocka_unit_test(there_is_a_slot_for_each_form_that_has_room),
                cmocka_unit_test(what_was_published_last_is_read_and_counted),
                cmocka_unit_test(a_retracted_one_is_not_read_and_is_counted),
                cmocka_unit_test(a_leased_slot_is_not_written_to),
                cmocka_unit_test(without_the_room_nothing_is_leased),
                cmocka_unit_test(a_description_that_cannot_be_is_not_read),
                cmocka_unit_test(a_lease_keeps_a_fast_writer_away),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
