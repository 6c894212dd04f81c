/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A spawn that runs a function instead of a program. What runs is a fork of this process with default signals that ends by _exit: it uses nothing of
 * cmocka and tells what it saw by its exit status and through a pipe.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/fd.h"
#include "supervisor/proc/proc.h"
#include "supervisor/proc/spawn.h"

#define TO 50

static int seen = 1; /* private memory: a copy is changed, not this one */

static int add_and_return(void *arg)
{
        seen += *(int *)arg;
        return seen;
}

static int write_to_its_descriptor(void *arg)
{
        (void)arg;
        return write(TO, "here", 4) == 4 && getsid(0) == getpid() ? 0 : 1;
}

static int signals_are_default(void *arg)
{
        struct sigaction action;
        sigset_t mask;

        (void)arg;
        if (sigaction(SIGUSR1, NULL, &action) < 0 || action.sa_handler != SIG_DFL)
                return 1;
        if (sigprocmask(SIG_SETMASK, NULL, &mask) < 0 || sigismember(&mask, SIGUSR2) || sigismember(&mask, SIGTERM))
                return 2;
        return 0;
}

static int end_of(struct bt_spawn *spawn)
{
        enum bt_spawn_step step = BT_SPAWN_STEP_NONE;
        struct bt_proc_exit how;
        pid_t pid = 0;
        int pidfd = -1;

        assert_int_equal(bt_spawn(spawn, &pid, &pidfd, &step), 0);
        assert_true(pid > 0 && fcntl(pidfd, F_GETFD) == FD_CLOEXEC);
        assert_int_equal(bt_proc_wait(pidfd, &how), 0);
        (void)bt_close(pidfd);
        assert_int_equal(how.code, CLD_EXITED);
        return how.status;
}

static void its_result_is_the_exit_status_and_its_memory_a_copy(void **state)
{
        struct bt_spawn spawn = BT_SPAWN_NULL;
        int more = 6;

        (void)state;
        spawn.run = add_and_return;
        spawn.run_arg = &more;
        assert_int_equal(end_of(&spawn), 7);
        assert_int_equal(seen, 1);
}

static void it_has_its_descriptors_and_a_session(void **state)
{
        struct bt_spawn spawn = BT_SPAWN_NULL;
        char text[8] = "";
        int ends[2];

        (void)state;
        assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
        assert_int_equal(bt_spawn_move(&spawn, ends[1], TO), 0);
        spawn.run = write_to_its_descriptor;
        spawn.new_session = 1;
        assert_int_equal(end_of(&spawn), 0);
        assert_int_equal(fcntl(TO, F_GETFD), -1); /* there, not here */
        (void)close(ends[1]);
        assert_int_equal(read(ends[0], text, sizeof(text)), 4);
        assert_string_equal(text, "here");
        (void)close(ends[0]);
}

static void on_signal(int signo)
{
        (void)signo;
}

static void it_begins_with_default_signals(void **state)
{
        const struct sigaction action = {.sa_handler = on_signal}, dfl = {.sa_handler = SIG_DFL};
        struct bt_spawn spawn = BT_SPAWN_NULL;
        sigset_t block, before, now;

        (void)state;
        assert_int_equal(sigaction(SIGUSR1, &action, NULL), 0);
        (void)sigemptyset(&block);
        (void)sigaddset(&block, SIGUSR2);
        assert_int_equal(sigprocmask(SIG_BLOCK, &block, &before), 0);
        spawn.run = signals_are_default;
        assert_int_equal(end_of(&spawn), 0);
        assert_int_equal(sigprocmask(SIG_SETMASK, &before, &now), 0);
        assert_true(sigismember(&now, SIGUSR2)); /* ours is as it was */
        assert_int_equal(sigaction(SIGUSR1, &dfl, NULL), 0);
}

static void its_pid_is_written_before_anything_else(void **state)
{
        int32_t *pid = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
        struct bt_spawn spawn = BT_SPAWN_NULL;

        (void)state;
        assert_true(pid != MAP_FAILED);
        spawn.run = signals_are_default;
        spawn.pid_out = pid;
        assert_int_equal(end_of(&spawn), 0);
        assert_true(*pid > 0 && *pid != getpid());
        assert_int_equal(munmap(pid, 4096), 0);
}

static void a_step_that_fails_is_exit_status_127(void **state)
{
        struct bt_spawn spawn = BT_SPAWN_NULL;

        (void)state;
        assert_int_equal(bt_spawn_move(&spawn, 9999, TO), 0); /* not open */
        spawn.run = signals_are_default;
        assert_int_equal(end_of(&spawn), 127);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(its_result_is_the_exit_status_and_its_memory_a_copy),
                cmocka_unit_test(it_has_its_descriptors_and_a_session),
                cmocka_unit_test(it_begins_with_default_signals),
                cmocka_unit_test(its_pid_is_written_before_anything_else),
                cmocka_unit_test(a_step_that_fails_is_exit_status_127),
        };

        return cmocka_run_group_tests_name("spawn_run", tests, NULL, NULL);
}
