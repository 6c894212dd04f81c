/* SPDX-License-Identifier: Apache-2.0 */
/* supervisor/loop/watch.c, the part about futex words: a wait in the ring for a word in shared memory. Kernels before 6.7 refuse it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <poll.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/fd.h"
#include "tests/support/bell.h"

/* ---- futex words ---- */

static uint32_t *word_map(int *ret_fd)
{
        int fd = memfd_create("word", MFD_CLOEXEC);
        uint32_t *word;

        assert_int_equal(ftruncate(fd, 4096), 0);
        word = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
        assert_ptr_not_equal(word, MAP_FAILED);
        *ret_fd = fd;
        return word;
}

static void a_futex_watch_is_called_once_when_its_word_is_woken_elsewhere(void **state)
{
        struct bt_loop *loop = loop_new();
        struct bell bell = {.fd = -1};
        uint32_t *word, *other;
        int fd;

        (void)state;
        if (!loop->has_futex) {
                loop = bt_loop_free(loop);
                skip(); /* before 6.7 */
        }
        word = word_map(&fd);
        other = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
        for (int i = 1; i <= 100; i++) {
                uint32_t value = *word;

                assert_int_equal(bt_loop_watch_futex(loop, &bell.watch, word, value, on_bell), 0);
                turn_without_waiting(loop);
                assert_int_equal(bell.calls, i - 1);
                *other = value + 1;
                assert_int_equal(syscall(SYS_futex, other, FUTEX_WAKE, 1, NULL, NULL, 0), 1);
                assert_int_equal(bt_loop_turn(loop), 0);
                assert_int_equal(bell.calls, i);
                assert_int_equal(bell.events, 0);
        }
        assert_int_equal(munmap(other, 4096), 0);
        assert_int_equal(munmap(word, 4096), 0);
        (void)bt_close(fd);
        loop = bt_loop_free(loop);
}

static void a_futex_watch_on_a_word_that_has_changed_is_called_at_once(void **state)
{
        struct bt_loop *loop = loop_new();
        struct bell bell = {.fd = -1};
        uint32_t *word;
        int fd;

        (void)state;
        word = word_map(&fd);
        *word = 5;
        if (bt_loop_watch_futex(loop, &bell.watch, word, 4, on_bell) == 0) {
                assert_int_equal(bt_loop_turn(loop), 0);
                assert_int_equal(bell.calls, 1);
                assert_int_equal(bell.events, 0);
        } else {
                assert_false(loop->has_futex);
        }
        assert_int_equal(munmap(word, 4096), 0);
        (void)bt_close(fd);
        loop = bt_loop_free(loop);
}

static void a_forgotten_futex_watch_is_not_called_and_waits_no_more(void **state)
{
        struct bt_loop *loop = loop_new();
        struct bell bell = {.fd = -1};
        uint32_t *word;
        int fd;

        (void)state;
        word = word_map(&fd);
        if (loop->has_futex) {
                assert_int_equal(bt_loop_watch_futex(loop, &bell.watch, word, 0, on_bell), 0);
                turn_without_waiting(loop);
                bt_loop_forget(&bell.watch);
                turn_without_waiting(loop);
                assert_int_equal(syscall(SYS_futex, word, FUTEX_WAKE, 1, NULL, NULL, 0), 0);
                turn_without_waiting(loop);
                assert_int_equal(bell.calls, 0);
        }
        assert_int_equal(munmap(word, 4096), 0);
        (void)bt_close(fd);
        loop = bt_loop_free(loop);
}

static void a_futex_watch_without_memory_behind_it_is_refused_by_call(void **state)
{
        struct bt_loop *loop = loop_new();
        struct bell bell = {.fd = -1};
        uint32_t *word;
        int fd;

        (void)state;
        word = word_map(&fd);
        assert_int_equal(munmap(word, 4096), 0);
        if (loop->has_futex) {
                assert_int_equal(bt_loop_watch_futex(loop, &bell.watch, word, 0, on_bell), 0);
                assert_int_equal(bt_loop_turn(loop), 0);
                assert_int_equal(bell.calls, 1);
                assert_int_equal(bell.events, POLLNVAL);
        }
        (void)bt_close(fd);
        loop = bt_loop_free(loop);
}

static void a_loop_without_futex_support_says_so(void **state)
{
        struct bt_loop *loop = loop_new();
        struct bell bell = {.fd = -1};
        uint32_t word = 0;

        (void)state;
        loop->has_futex = false;
        assert_int_equal(bt_loop_watch_futex(loop, &bell.watch, &word, 0, on_bell), -EOPNOTSUPP);
        assert_int_equal(bell.watch.slot, 0);
        loop = bt_loop_free(loop);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(a_futex_watch_is_called_once_when_its_word_is_woken_elsewhere),
                cmocka_unit_test(a_futex_watch_on_a_word_that_has_changed_is_called_at_once),
                cmocka_unit_test(a_forgotten_futex_watch_is_not_called_and_waits_no_more),
                cmocka_unit_test(a_futex_watch_without_memory_behind_it_is_refused_by_call),
                cmocka_unit_test(a_loop_without_futex_support_says_so),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
