/* SPDX-License-Identifier: Apache-2.0 */
/*
 * shm/segment.c, and the part of shm/link.c and shm/baton.c that makes segments: what is made can be attached, what was made by anybody else,
 * for something else, or could change its size under us, cannot.
 *
 * Everything here is done to real memfds, sealed and not.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"
#include "shm/baton.h"
#include "shm/link.h"
#include "shm/segment.h"

#define SEALS (F_SEAL_SHRINK | F_SEAL_GROW)
#define BYTES (4 * BT_PAGE_BYTES)

/* A memfd as somebody else could send us: @head at its start, @bytes long, @seals applied. */
static int foreign(const struct bt_seg_head *head, uint64_t bytes, int seals)
{
        int fd = memfd_create("foreign", MFD_CLOEXEC | MFD_ALLOW_SEALING);

        assert_true(fd >= 0);
        assert_int_equal(ftruncate(fd, (off_t)bytes), 0);
        if (head && bytes)
                assert_true(pwrite(fd, head, bytes < sizeof(*head) ? bytes : sizeof(*head), 0) > 0);
        if (seals)
                assert_int_equal(fcntl(fd, F_ADD_SEALS, seals), 0);
        return fd;
}

static struct bt_seg_head good_head(uint64_t bytes)
{
        return (struct bt_seg_head){
                .magic = BT_MAGIC_LINK, .layout = BT_LAYOUT_VERSION, .abi = BT_ABI_THIS, .bytes = bytes, .epoch = 1};
}

/* Attaches, expects @r and, with a failure, that nothing was written. Closes @fd. */
static void expect_attach(int fd, uint64_t map_bytes, int r)
{
        struct bt_seg seg = {.at = (void *)&seg, .bytes = 77};

        assert_int_equal(bt_seg_attach(&seg, fd, BT_MAGIC_LINK, map_bytes, 1), r);
        if (r) {
                assert_ptr_equal(seg.at, &seg);
                assert_int_equal(seg.bytes, 77);
        } else {
                bt_seg_detach(&seg);
        }
        (void)bt_close(fd);
}

static void a_new_segment_has_its_head_and_is_zero_behind_it(void **state)
{
        const struct bt_seg_head *head;
        struct bt_seg seg = BT_SEG_NULL;
        int fd = -1;

        (void)state;
        assert_int_equal(bt_seg_create(&seg, &fd, "test", BT_MAGIC_LINK, BYTES, BYTES), 0);
        assert_int_equal(seg.bytes, BYTES);
        head = seg.at;
        assert_int_equal(head->magic, BT_MAGIC_LINK);
        assert_memory_equal(&head->magic, "BTNLINK1", 8);
        assert_int_equal(head->layout, 1);
        assert_int_equal(head->abi, BT_ABI_THIS);
        assert_int_equal(head->bytes, BYTES);
        for (size_t i = offsetof(struct bt_seg_head, reserved); i < BYTES; i++)
                assert_int_equal(((const char *)seg.at)[i], 0);
        assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);
        bt_seg_detach(&seg);
        (void)bt_close(fd);
}

static void the_size_of_a_segment_is_sealed(void **state)
{
        struct bt_seg seg = BT_SEG_NULL;
        int fd = -1;

        (void)state;
        assert_int_equal(bt_seg_create(&seg, &fd, "test", BT_MAGIC_LINK, BYTES, BYTES), 0);
        assert_int_equal(ftruncate(fd, BYTES - 1), -1);
        assert_int_equal(errno, EPERM);
        assert_int_equal(ftruncate(fd, BYTES + 1), -1);
        assert_int_equal(errno, EPERM);
        assert_int_equal(fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE), -1);
        assert_int_equal(errno, EPERM);
        bt_seg_detach(&seg);
        (void)bt_close(fd);
}

static void two_segments_have_different_epochs(void **state)
{
        struct bt_seg a = BT_SEG_NULL, b = BT_SEG_NULL;
        int fds[2] = {-1, -1};

        (void)state;
        assert_int_equal(bt_seg_create(&a, &fds[0], "a", BT_MAGIC_LINK, BYTES, BYTES), 0);
        assert_int_equal(bt_seg_create(&b, &fds[1], "b", BT_MAGIC_LINK, BYTES, BYTES), 0);
        assert_true(((struct bt_seg_head *)a.at)->epoch != ((struct bt_seg_head *)b.at)->epoch);
        bt_seg_detach(&a);
        bt_seg_detach(&b);
        (void)bt_close(fds[0]);
        (void)bt_close(fds[1]);
}

static void an_attached_segment_is_the_same_memory(void **state)
{
        struct bt_seg mine = BT_SEG_NULL, theirs = BT_SEG_NULL, part = BT_SEG_NULL;
        int fd = -1;

        (void)state;
        assert_int_equal(bt_seg_create(&mine, &fd, "test", BT_MAGIC_LINK, BYTES, BT_PAGE_BYTES), 0);
        assert_int_equal(mine.bytes, BT_PAGE_BYTES);
        assert_int_equal(bt_seg_attach(&theirs, fd, BT_MAGIC_LINK, 0, 1), 0);
        assert_int_equal(theirs.bytes, BYTES);
        assert_int_equal(bt_seg_attach(&part, fd, BT_MAGIC_LINK, BT_PAGE_BYTES, 0), 0);
        fd = bt_close(fd); /* a mapping does not need its descriptor */

        memcpy((char *)theirs.at + 100, "baton", 6);
        assert_string_equal((char *)mine.at + 100, "baton");
        assert_string_equal((char *)part.at + 100, "baton");
        bt_seg_detach(&mine);
        assert_string_equal((char *)theirs.at + 100, "baton");
        bt_seg_detach(&theirs);
        bt_seg_detach(&part);
}

static void a_segment_of_ones_own_is_written_by_nobody_else(void **state)
{
        struct bt_seg mine = BT_SEG_NULL, theirs = BT_SEG_NULL;
        int fd = -1;

        (void)state;
        assert_int_equal(bt_seg_create_own(&mine, &fd, "test", BT_MAGIC_NODE, BYTES), 0);
        assert_int_equal(bt_seg_attach(&theirs, fd, BT_MAGIC_NODE, 0, 1), -EPERM);
        assert_null(theirs.at);
        assert_int_equal(pwrite(fd, "x", 1, 0), -1);
        assert_int_equal(errno, EPERM);
        assert_int_equal(bt_seg_attach(&theirs, fd, BT_MAGIC_NODE, 0, 0), 0);
        ((char *)mine.at)[200] = 'm'; /* the mapping that was there before the seal */
        assert_int_equal(((char *)theirs.at)[200], 'm');
        assert_int_equal(mprotect(theirs.at, theirs.bytes, PROT_READ | PROT_WRITE), -1);
        bt_seg_detach(&theirs);
        bt_seg_detach(&mine);
        (void)bt_close(fd);
}

static void what_could_shrink_under_us_is_refused(void **state)
{
        struct bt_seg_head head = good_head(BYTES);
        int ends[2];

        (void)state;
        expect_attach(foreign(&head, BYTES, SEALS), 0, 0); /* else the rest proves nothing */
        expect_attach(foreign(&head, BYTES, 0), 0, BT_SEG_E_UNSEALED);
        expect_attach(foreign(&head, BYTES, F_SEAL_SHRINK), 0, BT_SEG_E_UNSEALED);
        expect_attach(foreign(&head, BYTES, F_SEAL_GROW), 0, BT_SEG_E_UNSEALED);
        expect_attach(open("/proc/self/exe", O_RDONLY | O_CLOEXEC), 0, BT_SEG_E_UNSEALED);
        expect_attach(open("/dev/zero", O_RDWR | O_CLOEXEC), 0, BT_SEG_E_UNSEALED);
        assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
        expect_attach(ends[0], 0, BT_SEG_E_UNSEALED);
        (void)bt_close(ends[1]);
        expect_attach(-1, 0, -EBADF);
}

static void a_head_of_another_kind_version_or_machine_is_refused(void **state)
{
        struct bt_seg_head head = good_head(BYTES);

        (void)state;
        for (size_t bit = 0; bit < 8 * offsetof(struct bt_seg_head, epoch); bit++) {
                struct bt_seg_head wrong = head;

                ((uint8_t *)&wrong)[bit / 8] ^= (uint8_t)(1u << bit % 8);
                expect_attach(foreign(&wrong, BYTES, SEALS), 0, BT_SEG_E_LAYOUT);
        }
        expect_attach(foreign(NULL, BYTES, SEALS), 0, BT_SEG_E_LAYOUT);
}

static void a_segment_of_another_size_is_refused(void **state)
{
        struct bt_seg_head head = good_head(BYTES);

        (void)state;
        expect_attach(foreign(&head, BYTES - 1, SEALS), 0, BT_SEG_E_LAYOUT);
        expect_attach(foreign(&head, BYTES + BT_PAGE_BYTES, SEALS), 0, BT_SEG_E_LAYOUT);
        expect_attach(foreign(&head, 0, SEALS), 0, BT_SEG_E_LAYOUT);
        expect_attach(foreign(&head, 0, SEALS), BT_PAGE_BYTES, BT_SEG_E_LAYOUT);
        expect_attach(foreign(&head, sizeof(head) - 1, SEALS), 0, BT_SEG_E_LAYOUT);
        expect_attach(foreign(&head, BYTES, SEALS), BYTES + 1, BT_SEG_E_LAYOUT);
        expect_attach(foreign(&head, BYTES, SEALS), sizeof(head) - 1, BT_SEG_E_LAYOUT);
        head.bytes = sizeof(head);
        expect_attach(foreign(&head, sizeof(head), SEALS), 0, 0); /* the smallest there is */
}

static void detaching_nothing_is_harmless(void **state)
{
        struct bt_seg seg = BT_SEG_NULL;

        (void)state;
        bt_seg_detach(&seg);
        bt_seg_detach(&seg);
        assert_null(seg.at);
}

static void nothing_is_left_open_by_success_or_failure(void **state)
{
        struct bt_seg_head head = good_head(BYTES);
        int before = bt_fd_count();

        (void)state;
        for (int i = 0; i < 50; i++) {
                struct bt_seg seg = BT_SEG_NULL;
                int fd = -1;

                assert_int_equal(bt_seg_create(&seg, &fd, "test", BT_MAGIC_LINK, BYTES, BYTES), 0);
                bt_seg_detach(&seg);
                (void)bt_close(fd);
                head.layout = 99;
                expect_attach(foreign(&head, BYTES, SEALS), 0, BT_SEG_E_LAYOUT);
                /* More than a file can be long. */
                assert_true(bt_seg_create(&seg, &fd, "test", BT_MAGIC_LINK, UINT64_C(1) << 63, BYTES) < 0);
        }
        assert_int_equal(bt_fd_count(), before);
}

/* ---- links ---- */

static void a_fresh_link_is_valid_once_the_hub_filled_it_in(void **state)
{
        struct bt_seg seg = BT_SEG_NULL;
        struct bt_link *link;
        int fd = -1;

        (void)state;
        assert_int_equal(bt_link_create(&seg, &fd, 7, BATON_REASON_HOT), 0);
        link = seg.at;
        assert_int_equal(link->incarnation, 7);
        assert_false(bt_link_valid(link)); /* no descriptors yet */
        for (int i = 0; i < _BT_LINK_FD_N; i++) {
                assert_int_equal(link->fds[i], -1);
                link->fds[i] = 10 + i;
        }
        assert_true(bt_link_valid(link));
        link->fds[BT_LINK_FD_HANDOFF] = link->fds[BT_LINK_FD_NODE] = -1; /* these two may be missing */
        assert_true(bt_link_valid(link));
        bt_seg_detach(&seg);
        (void)bt_close(fd);
}

static void a_link_with_an_impossible_member_is_not_valid(void **state)
{
        struct bt_link link = {.incarnation = 1, .fds = {3, 4, 5, 6, -1, -1}};

        (void)state;
        assert_true(bt_link_valid(&link));
#define BAD(member, value)                                                                         \
        do {                                                                                       \
                struct bt_link bad_ = link;                                                        \
                bad_.member = (value);                                                             \
                assert_false(bt_link_valid(&bad_));                                                \
        } while (0)
        BAD(incarnation, 0);
        BAD(incarnation, BT_INC_MAX + 1);
        BAD(reason, _BATON_REASON_N);
        BAD(fds[BT_LINK_FD_BELL], -1);
        BAD(fds[BT_LINK_FD_HUB_BELL], -1);
        BAD(fds[BT_LINK_FD_CHANNEL], -2);
        BAD(fds[BT_LINK_FD_BATON], INT32_MIN);
        BAD(to_child.head, BT_RING_RECS + 1);
        BAD(to_hub.tail, 1);
#undef BAD
}

/* ---- batons ---- */

static void a_baton_has_room_for_what_its_form_needs(void **state)
{
        static const struct {
                uint32_t form;
                uint64_t asked, max, bytes;
        } rows[] = {
                {BATON_STATE_NONE, 5000, 0, 4096},
                {BATON_STATE_BLOB, 0, 0, 4096},
                {BATON_STATE_BLOB, 1, 4096, 4096 + 2 * 4096},
                {BATON_STATE_BLOB, 4097, 8192, 4096 + 2 * 8192},
                {BATON_STATE_ARENA, 1, 65536, 4096 + 65536},
                {BATON_STATE_ARENA, UINT64_C(1) << 40, UINT64_C(1) << 40, 4096 + (UINT64_C(1) << 40)},
        };

        (void)state;
        for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
                struct bt_seg seg = BT_SEG_NULL;
                const struct bt_baton *baton;
                struct stat st;
                int fd = -1;

                assert_int_equal(bt_baton_create(&seg, &fd, "web/1", rows[i].form, rows[i].asked), 0);
                baton = seg.at;
                assert_int_equal(fstat(fd, &st), 0);
                assert_int_equal(st.st_size, rows[i].bytes);
                assert_int_equal(baton->state_bytes_max, rows[i].max);
                assert_int_equal(baton->arena_addr, rows[i].form == BATON_STATE_ARENA ? BT_ARENA_ADDR : 0);
                if (baton->arena_addr)
                        assert_int_equal(baton->arena_addr % BT_HUGE_BYTES, baton->state_off % BT_HUGE_BYTES);
                assert_string_equal(baton->id, "web/1");
                assert_int_equal(baton->word, 0);
                assert_true(bt_baton_valid(baton));
                if (rows[i].form == BATON_STATE_BLOB)
                        assert_int_equal(bt_baton_blob_off(baton, 1) + rows[i].max, rows[i].bytes);
                bt_seg_detach(&seg);
                (void)bt_close(fd);
        }
}

static void a_baton_larger_than_the_limit_is_refused(void **state)
{
        struct bt_seg seg = BT_SEG_NULL;
        int fd = -1;

        (void)state;
        assert_int_equal(bt_baton_create(&seg, &fd, "a", BATON_STATE_ARENA, BT_ARENA_BYTES_MAX + 1), -E2BIG);
        assert_int_equal(bt_baton_create(&seg, &fd, "a", BATON_STATE_BLOB, UINT64_MAX), -E2BIG);
        assert_null(seg.at);
        assert_int_equal(fd, -1);
}

static void a_baton_with_an_impossible_member_is_not_valid(void **state)
{
        static struct bt_baton good;
        struct bt_baton bad;

        (void)state;
        good.head.bytes = 4096 + 65536;
        good.form = BATON_STATE_ARENA;
        good.state_off = 4096;
        good.state_bytes_max = 65536;
        good.arena_addr = BT_ARENA_ADDR;
        assert_true(bt_baton_valid(&good));
#define BAD(change)                                                                                \
        do {                                                                                       \
                bad = good;                                                                        \
                change;                                                                            \
                assert_false(bt_baton_valid(&bad));                                                \
        } while (0)
        BAD(bad.form = _BATON_STATE_N);
        BAD(bad.form = BATON_STATE_BLOB); /* two slots do not fit */
        BAD(bad.form = BATON_STATE_NONE);
        BAD(bad.form = BATON_STATE_NONE; bad.head.bytes = 4096); /* a size without a place */
        BAD(bad.state_off = 0);
        BAD(bad.state_off = 8192);
        BAD(bad.state_bytes_max = 65535);
        BAD(bad.state_bytes_max = 131072);
        BAD(bad.state_bytes_max = UINT64_MAX - 4095);
        BAD(bad.head.bytes = 4096 + 4096; bad.state_bytes_max = 4096); /* less than an arena can be */
        BAD(bad.arena_addr = 0);
        BAD(memset(bad.id, 'x', sizeof(bad.id))); /* would be printed without an end */
#undef BAD
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(a_new_segment_has_its_head_and_is_zero_behind_it),
                cmocka_unit_test(the_size_of_a_segment_is_sealed),
                cmocka_unit_test(two_segments_have_different_epochs),
                cmocka_unit_test(an_attached_segment_is_the_same_memory),
                cmocka_unit_test(a_segment_of_ones_own_is_written_by_nobody_else),
                cmocka_unit_test(what_could_shrink_under_us_is_refused),
                cmocka_unit_test(a_head_of_another_kind_version_or_machine_is_refused),
                cmocka_unit_test(a_segment_of_another_size_is_refused),
                cmocka_unit_test(detaching_nothing_is_harmless),
                cmocka_unit_test(nothing_is_left_open_by_success_or_failure),
                cmocka_unit_test(a_fresh_link_is_valid_once_the_hub_filled_it_in),
                cmocka_unit_test(a_link_with_an_impossible_member_is_not_valid),
                cmocka_unit_test(a_baton_has_room_for_what_its_form_needs),
                cmocka_unit_test(a_baton_larger_than_the_limit_is_refused),
                cmocka_unit_test(a_baton_with_an_impossible_member_is_not_valid),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
