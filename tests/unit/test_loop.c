/* SPDX-License-Identifier: Apache-2.0 */
/*
 * supervisor/loop/watch.c and loop.c: real rings on this kernel. A turn blocks until something happens, so a test that is wrong hangs, and its
 * time limit ends it: nothing here sleeps. Timers, posts and refusals have files of their own, test_loop_*.c.
 *
 * links: liburing, pthread
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <spawn.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fd.h"
#include "tests/support/bell.h"

/* ---- watches ---- */

static void a_watch_is_called_each_time_its_descriptor_becomes_ready(void **state)
{
        struct bt_loop *loop = loop_new();
        struct bell bell;

        (void)state;
        bell_open(&bell, loop);
        for (int i = 1; i <= 1000; i++) {
                ring_bell(bell.fd);
                while (bell.calls < i)
                        assert_int_equal(bt_loop_turn(loop), 0);
                assert_int_equal(bell.calls, i);
                assert_int_equal(bell.events, POLLIN);
        }
        bell_close(&bell);
        loop = bt_loop_free(loop);
}

static void rings_between_two_turns_are_one_call(void **state)
{
        struct bt_loop *loop = loop_new();
        struct bell bell;

        (void)state;
        bell_open(&bell, loop);
        turn_without_waiting(loop);
        for (int i = 0; i < 100; i++)
                ring_bell(bell.fd);
        turn_without_waiting(loop);
        assert_int_equal(bell.calls, 1);
        bell_close(&bell);
        loop = bt_loop_free(loop);
}

static void a_descriptor_that_was_ready_before_is_seen(void **state)
{
        struct bt_loop *loop = loop_new();
        struct bell bell = {.fd = eventfd(1, EFD_NONBLOCK | EFD_CLOEXEC)};

        (void)state;
        assert_int_equal(bt_loop_watch_fd(loop, &bell.watch, bell.fd, POLLIN, on_bell), 0);
        assert_int_equal(bt_loop_turn(loop), 0);
        assert_int_equal(bell.calls, 1);
        bell_close(&bell);
        loop = bt_loop_free(loop);
}

/* Level-triggered it would be called for ever. */
static void an_end_of_file_that_is_left_alone_does_not_spin(void **state)
{
        struct bt_loop *loop = loop_new();
        struct bell bell = {0};
        int ends[2];

        (void)state;
        assert_int_equal(pipe2(ends, O_CLOEXEC | O_NONBLOCK), 0);
        bell.fd = ends[0];
        assert_int_equal(bt_loop_watch_fd(loop, &bell.watch, bell.fd, POLLIN, on_bell), 0);
        (void)bt_close(ends[1]);
        while (!bell.calls)
                assert_int_equal(bt_loop_turn(loop), 0);
        assert_true(bell.events & POLLHUP);
        for (int i = 0; i < 10; i++)
                turn_without_waiting(loop);
        assert_int_equal(bell.calls, 1);
        bell_close(&bell);
        loop = bt_loop_free(loop);
}

static void a_closed_descriptor_is_told_once_as_nval(void **state)
{
        struct bt_loop *loop = loop_new();
        struct bell bell = {.fd = 9999};

        (void)state;
        assert_int_equal(bt_loop_watch_fd(loop, &bell.watch, bell.fd, POLLIN, on_bell), 0);
        assert_int_equal(bt_loop_turn(loop), 0);
        assert_int_equal(bell.calls, 1);
        assert_int_equal(bell.events, POLLNVAL);
        turn_without_waiting(loop);
        assert_int_equal(bell.calls, 1);
        bt_loop_forget(&bell.watch); /* harmless */
        loop = bt_loop_free(loop);
}

static void the_exit_of_a_process_is_seen(void **state)
{
        struct bt_loop *loop = loop_new();
        char *argv[] = {(char *)"true", NULL};
        struct bell bell = {0};
        siginfo_t info;
        pid_t pid;

        (void)state;
        assert_int_equal(posix_spawn(&pid, "/bin/true", NULL, NULL, argv, environ), 0);
        bell.fd = (int)syscall(SYS_pidfd_open, pid, 0);
        assert_true(bell.fd >= 0);
        assert_int_equal(bt_loop_watch_fd(loop, &bell.watch, bell.fd, POLLIN, on_bell), 0);
        assert_int_equal(bt_loop_turn(loop), 0);
        assert_int_equal(bell.calls, 1);
        assert_int_equal(waitid(P_PIDFD, (id_t)bell.fd, &info, WEXITED | WNOHANG), 0);
        assert_int_equal(info.si_pid, pid);
        bell_close(&bell);
        loop = bt_loop_free(loop);
}

/* ---- forgetting ---- */

struct closer {
        struct bt_loop_watch watch;
        int fd, peer;
};

/* The peer reads, which wakes the poll for POLLOUT once more; it is forgotten before that wake-up has become a completion. */
static void on_writable_close(struct bt_loop_watch *watch, uint32_t events)
{
        struct closer *closer = bt_container_of(watch, struct closer, watch);
        char bytes[64];

        (void)events;
        while (recv(closer->peer, bytes, sizeof(bytes), MSG_DONTWAIT) > 0)
                ;
        bt_loop_forget(watch);
        closer->fd = bt_close(closer->fd);
}

/* A forgotten poll that stays in the kernel holds the file, and the peer is never hung up on. */
static void a_poll_that_was_just_woken_is_ended_by_forgetting_it(void **state)
{
        struct bt_loop *loop = loop_new();

        (void)state;
        for (int i = 0; i < 100; i++) {
                struct closer closer = {.fd = -1};
                struct pollfd hung_up = {.events = POLLIN};
                int ends[2];

                assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends), 0);
                closer.fd = ends[0];
                closer.peer = hung_up.fd = ends[1];
                for (int k = 0; k < 4; k++)
                        assert_int_equal(send(ends[0], "record", 6, 0), 6);
                assert_int_equal(bt_loop_watch_fd(loop, &closer.watch, ends[0], POLLIN | POLLOUT, on_writable_close), 0);
                while (closer.fd >= 0)
                        assert_int_equal(bt_loop_turn(loop), 0);
                turn_without_waiting(loop);
                turn_without_waiting(loop);
                assert_int_equal(poll(&hung_up, 1, 0), 1);
                assert_true(hung_up.revents & POLLHUP);
                (void)close(ends[1]);
        }
        loop = bt_loop_free(loop);
}

static void a_watch_may_forget_itself_in_its_own_call(void **state)
{
        struct bt_loop *loop = loop_new();
        struct bell bell;

        (void)state;
        bell_open(&bell, loop);
        bell.forget = &bell.watch;
        ring_bell(bell.fd);
        assert_int_equal(bt_loop_turn(loop), 0);
        ring_bell(bell.fd);
        turn_without_waiting(loop);
        turn_without_waiting(loop);
        assert_int_equal(bell.calls, 1);
        bell_close(&bell);
        loop = bt_loop_free(loop);
}

static void a_watch_forgotten_in_the_same_turn_is_not_called(void **state)
{
        struct bt_loop *loop = loop_new();
        struct bell first, second;

        (void)state;
        bell_open(&first, loop);
        bell_open(&second, loop);
        turn_without_waiting(loop);
        first.forget = &second.watch;
        second.forget = &first.watch;
        ring_bell(first.fd);
        ring_bell(second.fd);
        turn_without_waiting(loop);
        assert_int_equal(first.calls + second.calls, 1);
        assert_int_equal(first.calls, 1); /* in the order of their completions */
        bell_close(&first);
        bell_close(&second);
        loop = bt_loop_free(loop);
}

/* The memory is gone and its slot is another one's when the completion comes. AddressSanitizer watches. */
static void a_completion_for_freed_memory_is_harmless(void **state)
{
        struct bt_loop *loop = loop_new();

        (void)state;
        for (int i = 0; i < 200; i++) {
                struct bell *old = malloc(sizeof(*old));
                struct bell fresh;
                uint32_t slot;

                assert_non_null(old);
                bell_open(old, loop);
                turn_without_waiting(loop);
                ring_bell(old->fd);
                slot = old->watch.slot;
                bell_close(old);
                free(old);
                bell_open(&fresh, loop);
                assert_int_equal(fresh.watch.slot, slot);
                turn_without_waiting(loop);
                turn_without_waiting(loop);
                assert_int_equal(fresh.calls, 0);
                bell_close(&fresh);
        }
        loop = bt_loop_free(loop);
}

static void a_watch_may_be_armed_again_on_another_descriptor(void **state)
{
        struct bt_loop *loop = loop_new();
        struct bell bell;
        int first;

        (void)state;
        bell_open(&bell, loop);
        first = bell.fd;
        bell.fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
        assert_int_equal(bt_loop_watch_fd(loop, &bell.watch, bell.fd, POLLIN, on_bell), 0);
        ring_bell(first);
        turn_without_waiting(loop);
        assert_int_equal(bell.calls, 0);
        ring_bell(bell.fd);
        turn_without_waiting(loop);
        assert_int_equal(bell.calls, 1);
        (void)bt_close(first);
        bell_close(&bell);
        loop = bt_loop_free(loop);
}

static void expect_closed(int fd, int timeout_ms)
{
        struct pollfd poll_in = {.fd = fd, .events = POLLIN};
        char byte;

        assert_int_equal(poll(&poll_in, 1, timeout_ms), 1);
        assert_int_equal(read(fd, &byte, 1), 0);
}

static void a_forgotten_and_closed_socket_is_closed_for_the_other_end_after_a_turn(void **state)
{
        struct bt_loop *loop = loop_new();
        struct bell bell = {0};
        int ends[2];

        (void)state;
        assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends), 0);
        bell.fd = ends[0];
        assert_int_equal(bt_loop_watch_fd(loop, &bell.watch, bell.fd, POLLIN, on_bell), 0);
        turn_without_waiting(loop);
        bell_close(&bell);
        turn_without_waiting(loop);
        expect_closed(ends[1], 30000);
        (void)bt_close(ends[1]);
        loop = bt_loop_free(loop);
}

static void a_freed_loop_holds_no_file_and_its_watches_may_be_forgotten(void **state)
{
        struct bt_loop *loop = loop_new();
        struct bt_loop_timer timer = {0};
        struct bell bell = {0};
        int ends[2];

        (void)state;
        assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends), 0);
        bell.fd = ends[0];
        assert_int_equal(bt_loop_watch_fd(loop, &bell.watch, bell.fd, POLLIN, on_bell), 0);
        assert_int_equal(bt_loop_timer_arm(loop, &timer, BT_NS_NEVER - 1, on_nothing), 0);
        turn_without_waiting(loop);
        loop = bt_loop_free(loop);
        assert_null(loop);
        (void)bt_close(ends[0]);
        expect_closed(ends[1], 0); /* at once */
        bt_loop_forget(&bell.watch);
        bt_loop_timer_disarm(&timer);
        (void)bt_close(ends[1]);
}

/* ---- many ---- */

/*
 * Three times the completion queue: polls are ended by the overflow, and must come back. (All look at one eventfd; nobody reads it, so that one
 * write is one edge for each.)
 */
static void more_watches_than_the_queues_hold_are_all_called_each_time(void **state)
{
        struct bt_loop *loop = loop_new();
        struct bell *bells = calloc(BELLS_MANY, sizeof(*bells));
        int fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);

        (void)state;
        assert_non_null(bells);
        assert_true(BELLS_MANY > 2 * BT_LOOP_CQ_ENTRIES);
        for (int i = 0; i < BELLS_MANY; i++) {
                bells[i].fd = -1;
                assert_int_equal(bt_loop_watch_fd(loop, &bells[i].watch, fd, POLLIN, on_bell), 0);
        }
        turn_without_waiting(loop);
        for (int round = 1; round <= 3; round++) {
                int called = 0;

                for (int i = 0; i < BELLS_MANY; i++)
                        bells[i].calls = 0;
                ring_bell(fd);
                overflow_queue(loop);
                while (called < BELLS_MANY) {
                        assert_int_equal(bt_loop_turn(loop), 0);
                        called = 0;
                        for (int i = 0; i < BELLS_MANY; i++)
                                called += bells[i].calls > 0;
                }
        }
        for (int i = 0; i < BELLS_MANY; i++)
                bt_loop_forget(&bells[i].watch);
        turn_without_waiting(loop);
        assert_int_equal(loop->block_count, (BELLS_MANY + BT_LOOP_BLOCK_SLOTS) / BT_LOOP_BLOCK_SLOTS);
        (void)bt_close(fd);
        free(bells);
        loop = bt_loop_free(loop);
}

/* ---- the turn ---- */

static atomic_int interrupted, stop_signals;

static void on_signal(int signo)
{
        (void)signo;
        atomic_store(&interrupted, 1);
}

static void *signal_main(void *arg)
{
        pthread_t *target = arg;

        while (!atomic_load(&stop_signals))
                (void)pthread_kill(*target, SIGUSR1);
        return NULL;
}

static void a_signal_ends_a_turn_without_an_error(void **state)
{
        struct sigaction action = {.sa_handler = on_signal}, before;
        struct bt_loop *loop = loop_new();
        pthread_t thread, self = pthread_self();

        (void)state;
        assert_int_equal(sigaction(SIGUSR1, &action, &before), 0);
        assert_int_equal(pthread_create(&thread, NULL, signal_main, &self), 0);
        for (int i = 0; i < 20; i++)
                assert_int_equal(bt_loop_turn(loop), 0); /* nothing else can end them */
        atomic_store(&stop_signals, 1);
        assert_int_equal(pthread_join(thread, NULL), 0);
        assert_int_equal(atomic_load(&interrupted), 1);
        assert_int_equal(sigaction(SIGUSR1, &before, NULL), 0);
        loop = bt_loop_free(loop);
}

static void the_time_of_a_turn_is_read_after_its_wait(void **state)
{
        struct bt_loop *loop = loop_new();
        uint64_t before_ns = bt_now_ns();
        struct bell bell;

        (void)state;
        bell_open(&bell, loop);
        ring_bell(bell.fd);
        assert_int_equal(bt_loop_turn(loop), 0);
        assert_in_range(bt_loop_now(loop), before_ns, bt_now_ns());
        bell_close(&bell);
        loop = bt_loop_free(loop);
}

static void a_loop_is_not_inherited_and_leaves_nothing_open(void **state)
{
        int before = bt_fd_count();
        struct bt_loop *loop = loop_new();
        struct bt_loop_sender *sender = NULL;

        (void)state;
        assert_int_equal(bt_loop_sender_new(&sender, loop), 0);
        assert_int_equal(bt_fd_count(), before + 2);
        assert_true(fcntl(loop->ring.ring_fd, F_GETFD) & FD_CLOEXEC);
        sender = bt_loop_sender_free(sender);
        loop = bt_loop_free(loop);
        assert_null(bt_loop_free(NULL));
        assert_null(bt_loop_sender_free(NULL));
        assert_int_equal(bt_fd_count(), before);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(a_watch_is_called_each_time_its_descriptor_becomes_ready),
                cmocka_unit_test(rings_between_two_turns_are_one_call),
                cmocka_unit_test(a_descriptor_that_was_ready_before_is_seen),
                cmocka_unit_test(an_end_of_file_that_is_left_alone_does_not_spin),
                cmocka_unit_test(a_closed_descriptor_is_told_once_as_nval),
                cmocka_unit_test(the_exit_of_a_process_is_seen),
                cmocka_unit_test(a_poll_that_was_just_woken_is_ended_by_forgetting_it),
                cmocka_unit_test(a_watch_may_forget_itself_in_its_own_call),
                cmocka_unit_test(a_watch_forgotten_in_the_same_turn_is_not_called),
                cmocka_unit_test(a_completion_for_freed_memory_is_harmless),
                cmocka_unit_test(a_watch_may_be_armed_again_on_another_descriptor),
                cmocka_unit_test(a_forgotten_and_closed_socket_is_closed_for_the_other_end_after_a_turn),
                cmocka_unit_test(a_freed_loop_holds_no_file_and_its_watches_may_be_forgotten),
                cmocka_unit_test(more_watches_than_the_queues_hold_are_all_called_each_time),
                cmocka_unit_test(a_signal_ends_a_turn_without_an_error),
                cmocka_unit_test(the_time_of_a_turn_is_read_after_its_wait),
                cmocka_unit_test(a_loop_is_not_inherited_and_leaves_nothing_open),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
