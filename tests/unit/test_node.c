/* SPDX-License-Identifier: Apache-2.0 */
/*
 * shm/node.c: a reader gets a whole copy of a slot or none, whatever the writer is doing, and cannot be sent outside the segment.
 *
 * The race is between two processes: the hub writes a slot with plain stores, and only its own process has the segment writable.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <string.h>

#include "base/fd.h"
#include "shm/node.h"
#include "tests/support/numbered.h"
#include "tests/support/seed.h"
#include "tests/support/twin.h"

static struct bt_node_owner owner = BT_NODE_OWNER_NULL;
static struct bt_node_view view;

static int setup(void **state)
{
        (void)state;
        return bt_node_create(&owner, "shop", "local", 7) || bt_node_attach(&view, owner.fd);
}

static int teardown(void **state)
{
        (void)state;
        bt_node_detach(&view);
        bt_node_destroy(&owner);
        return owner.fd == -1 && !owner.node && !view.node ? 0 : -1;
}

static void write_slot(uint32_t idx, const char *id, uint64_t n)
{
        struct bt_slot *slot = bt_node_begin(&owner, idx);

        slot_fill(slot, n);
        if (id)
                (void)snprintf(slot->id, sizeof(slot->id), "%s", id);
        bt_node_end(slot);
}

static void a_new_node_says_whose_it_is_and_has_free_slots(void **state)
{
        struct bt_slot slot;

        (void)state;
        assert_string_equal(view.node->hub, "shop");
        assert_string_equal(view.node->name, "local");
        assert_int_equal(view.node->hub_pid, getpid());
        assert_int_equal(view.slot_count, 7);
        assert_int_equal(view.seg.bytes, 8192); /* 4096 + 7 * 512, to the page */
        for (uint32_t i = 0; i < 7; i++)
                assert_false(bt_node_read(&view, i, &slot));
}

static void names_that_are_too_long_are_cut_and_ended(void **state)
{
        struct bt_node_owner other = BT_NODE_OWNER_NULL;
        char name[100];

        (void)state;
        memset(name, 'n', 99);
        name[99] = '\0';
        assert_int_equal(bt_node_create(&other, name, name, 1), 0);
        assert_int_equal(strlen(other.node->hub), 63);
        assert_int_equal(strlen(other.node->name), 63);
        bt_node_destroy(&other);
}

static void what_was_written_is_read(void **state)
{
        struct bt_slot slot;

        (void)state;
        write_slot(6, NULL, 41);
        assert_true(bt_node_read(&view, 6, &slot));
        assert_true(slot_is_whole(&slot));
        assert_int_equal(slot.swaps, 41);
        assert_false(bt_node_read(&view, 5, &slot));
        write_slot(6, "", 42); /* freed again */
        assert_false(bt_node_read(&view, 6, &slot));
}

static void a_slot_that_is_being_written_is_not_read(void **state)
{
        struct bt_slot *writing, slot;

        (void)state;
        write_slot(0, NULL, 1);
        memset((void *)&slot, 0x5a, sizeof(slot));
        writing = bt_node_begin(&owner, 0);
        writing->swaps = 2;
        assert_false(bt_node_read(&view, 0, &slot));
        assert_int_equal(slot.swaps, UINT64_C(0x5a5a5a5a5a5a5a5a));
        bt_node_end(writing);
        assert_true(bt_node_read(&view, 0, &slot));
        assert_int_equal(slot.swaps, 2);
}

static void strings_in_a_copy_always_end(void **state)
{
        struct bt_slot *writing = bt_node_begin(&owner, 1), slot;

        (void)state;
        memset(writing->id, 'i', sizeof(writing->id));
        memset(writing->exec, 'e', sizeof(writing->exec));
        memset(writing->note, 'n', sizeof(writing->note));
        bt_node_end(writing);
        assert_true(bt_node_read(&view, 1, &slot));
        assert_int_equal(strlen(slot.id), 63);
        assert_int_equal(strlen(slot.exec), 95);
        assert_int_equal(strlen(slot.note), 127);
}

static void a_slot_that_is_not_there_is_not_read(void **state)
{
        struct bt_slot slot;

        (void)state;
        assert_false(bt_node_read(&view, 7, &slot));
        assert_false(bt_node_read(&view, UINT32_MAX, &slot));
        owner.node->slot_count = UINT32_MAX; /* a hub gone mad: the count was checked once, against the size */
        assert_false(bt_node_read(&view, 8, &slot));
        assert_false(bt_node_read(&view, 1u << 30, &slot));
        owner.node->slot_count = 7;
}

static void a_directory_that_is_larger_than_its_segment_is_refused(void **state)
{
        struct bt_node_view other = {.slot_count = 99};

        (void)state;
        owner.node->slot_count = 8; /* 4096 + 8 * 512 is just what the segment has */
        assert_int_equal(bt_node_attach(&other, owner.fd), 0);
        bt_node_detach(&other);
        other.slot_count = 99;
        owner.node->slot_count = 9;
        assert_int_equal(bt_node_attach(&other, owner.fd), BT_SEG_E_LAYOUT);
        owner.node->slot_count = UINT32_MAX;
        assert_int_equal(bt_node_attach(&other, owner.fd), BT_SEG_E_LAYOUT);
        assert_int_equal(other.slot_count, 99);
        owner.node->slot_count = 7;
        assert_int_equal(bt_node_attach(&other, -1), -EBADF);
}

static void each_phase_has_a_name(void **state)
{
        (void)state;
        for (uint32_t i = 0; i < _BT_PHASE_N; i++) {
                assert_true(strlen(bt_phase_name(i)) > 3);
                for (uint32_t k = 0; k < i; k++)
                        assert_string_not_equal(bt_phase_name(i), bt_phase_name(k));
        }
        assert_string_equal(bt_phase_name(_BT_PHASE_N), "?");
        assert_string_equal(bt_phase_name(UINT32_MAX), "?");
}

static void misuse_of_a_slot_is_an_assertion(void **state)
{
        (void)state;
        assert_int_equal(twin_end(twin_start("child_shm", "wrong", "begin-twice", owner.fd)), 128 + SIGABRT);
        assert_int_equal(twin_end(twin_start("child_shm", "wrong", "end-twice", owner.fd)), 128 + SIGABRT);
}

/* The reader counts whole copies and leaves with 1 at the first torn one; the writer does not pause. */
static void a_reader_in_another_process_sees_whole_slots_only(void **state)
{
        uint64_t count = seed_rounds(20000);
        char text[32];
        int status = 0;
        pid_t pid;

        (void)state;
        write_slot(0, NULL, 0);
        (void)snprintf(text, sizeof(text), "%llu", (unsigned long long)count);
        pid = twin_start("child_shm", "read", text, owner.fd);
        for (uint64_t n = 1; waitpid(pid, &status, WNOHANG) == 0; n++) {
                for (int i = 0; i < 100; i++)
                        write_slot(0, NULL, n * 100 + (uint64_t)i);
        }
        assert_true(WIFEXITED(status));
        assert_int_equal(WEXITSTATUS(status), 0);
}

int main(void)
{
#define ROW(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
        const struct CMUnitTest tests[] = {
                ROW(a_new_node_says_whose_it_is_and_has_free_slots),
                ROW(names_that_are_too_long_are_cut_and_ended),
                ROW(what_was_written_is_read),
                ROW(a_slot_that_is_being_written_is_not_read),
                ROW(strings_in_a_copy_always_end),
                ROW(a_slot_that_is_not_there_is_not_read),
                ROW(a_directory_that_is_larger_than_its_segment_is_refused),
                ROW(each_phase_has_a_name),
                ROW(misuse_of_a_slot_is_an_assertion),
                ROW(a_reader_in_another_process_sees_whole_slots_only),
        };
#undef ROW

        return cmocka_run_group_tests(tests, NULL, NULL);
}
