/* SPDX-License-Identifier: Apache-2.0 */
/*
 * supervisor/proc/stage.c: a start by a process with thousands of descriptors. What a child has is told by the kernel (/proc/self), read by grep and ls.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/fd.h"
#include "supervisor/proc/proc.h"
#include "supervisor/proc/spawn.h"

#define MANY 3000

static int many[MANY];

static char *no_env[] = {NULL};

static int open_many(void **state)
{
        struct rlimit limit;

        (void)state;
        (void)close_range(3, ~0U, 0); /* the test runner's */
        (void)getrlimit(RLIMIT_NOFILE, &limit);
        limit.rlim_cur = limit.rlim_max;
        if (limit.rlim_max < 2 * MANY || setrlimit(RLIMIT_NOFILE, &limit) < 0)
                return -1;
        bt_spawn_stage_open(-1);
        for (int i = 0; i < MANY; i++)
                many[i] = open("/dev/null", O_RDWR | O_CLOEXEC);
        return many[MANY - 1] < 0 ? -1 : 0;
}

static int close_many(void **state)
{
        (void)state;
        for (int i = 0; i < MANY; i++)
                many[i] = bt_close(many[i]);
        bt_spawn_stage_close();
        return 0;
}

/* What @argv prints, at most @bytes, terminated. */
static int run(char *const *argv, struct bt_spawn *spawn, char *text, size_t bytes)
{
        int out = memfd_create("out", MFD_CLOEXEC), pidfd = -1, r;
        enum bt_spawn_step step = BT_SPAWN_STEP_NONE;
        struct bt_proc_exit how = {0};
        pid_t pid = 0;
        ssize_t n;

        spawn->exec_path = argv[0];
        spawn->argv = argv;
        spawn->envp = no_env;
        assert_int_equal(bt_spawn_move(spawn, many[MANY - 1], STDIN_FILENO), 0);
        assert_int_equal(bt_spawn_move(spawn, out, STDOUT_FILENO), 0);
        r = bt_spawn(spawn, &pid, &pidfd, &step);
        if (!r) {
                assert_int_equal(bt_proc_wait(pidfd, &how), 0);
                (void)bt_close(pidfd);
        }
        n = pread(out, text, bytes - 1, 0);
        text[n > 0 ? n : 0] = '\0';
        (void)bt_close(out);
        return r;
}

static void its_table_is_small_whatever_ours_is(void **state)
{
        char *argv[] = {(char *)"/bin/grep", (char *)"FDSize", (char *)"/proc/self/status", NULL};
        struct bt_spawn spawn = BT_SPAWN_NULL;
        char text[128];

        (void)state;
        assert_int_equal(run(argv, &spawn, text, sizeof(text)), 0);
        assert_int_equal(strncmp(text, "FDSize:", 7), 0);
        assert_true(strtol(text + 7, NULL, 10) > 0 && strtol(text + 7, NULL, 10) < 1024);
}

static void it_has_what_it_was_given_and_nothing_else(void **state)
{
        char *argv[] = {(char *)"/bin/ls", (char *)"-U", (char *)"/proc/self/fd", NULL};
        struct bt_spawn spawn = BT_SPAWN_NULL;
        char text[256];

        (void)state;
        assert_int_equal(bt_spawn_move(&spawn, many[7], 9), 0);
        assert_int_equal(run(argv, &spawn, text, sizeof(text)), 0);
        assert_string_equal(
                text,
                "0\n1\n2\n3\n9\n"); /* 2: ours, not CLOEXEC; 3: the folder itself, while it is read */
}

/* The end of a pipe that a process was given is not kept open by the stage. */
static void the_stage_keeps_nothing(void **state)
{
        char *argv[] = {(char *)"/bin/true", NULL};
        struct bt_spawn spawn = BT_SPAWN_NULL;
        char text[8];
        int ends[2];

        (void)state;
        assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
        assert_int_equal(bt_spawn_move(&spawn, ends[1], 5), 0);
        assert_int_equal(run(argv, &spawn, text, sizeof(text)), 0);
        (void)bt_close(ends[1]);
        assert_int_equal(read(ends[0], text, 1),
                         0); /* not -EAGAIN, not a wait: nobody has the other end */
        (void)bt_close(ends[0]);
}

static void a_closed_source_is_reported_as_without_a_stage(void **state)
{
        char *argv[] = {(char *)"/bin/true", NULL};
        struct bt_spawn spawn = BT_SPAWN_NULL;
        char text[8];

        (void)state;
        assert_int_equal(bt_spawn_move(&spawn, 1 << 19, 5), 0);
        assert_int_equal(run(argv, &spawn, text, sizeof(text)), -EBADF);
}

static void it_may_have_as_many_as_without_a_stage(void **state)
{
        char *argv[] = {(char *)"/bin/ls", (char *)"-U", (char *)"/proc/self/fd", NULL};
        struct bt_spawn spawn = BT_SPAWN_NULL;
        char text[1024];
        int lines = 0;

        (void)state;
        for (int i = 0; i < BT_SPAWN_FDS_MAX - 2; i++)
                assert_int_equal(bt_spawn_move(&spawn, many[i], 10 + i), 0);
        assert_int_equal(run(argv, &spawn, text, sizeof(text)), 0);
        for (const char *at = text; *at; at++)
                lines += *at == '\n';
        assert_int_equal(lines, BT_SPAWN_FDS_MAX + 2);
}

static void a_copy_of_the_lock_stays_until_the_program_runs(void **state)
{
        char *argv[] = {(char *)"/bin/grep", (char *)"FDSize", (char *)"/proc/self/status", NULL};
        struct bt_spawn spawn = BT_SPAWN_NULL;
        char text[128];

        (void)state;
        bt_spawn_stage_open(
                many[MANY - 1]); /* a second hub, whose lock is high: so much is copied */
        assert_int_equal(run(argv, &spawn, text, sizeof(text)), 0);
        assert_true(strtol(text + 7, NULL, 10) >= MANY);
        bt_spawn_stage_close();
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(its_table_is_small_whatever_ours_is),
                cmocka_unit_test(it_has_what_it_was_given_and_nothing_else),
                cmocka_unit_test(the_stage_keeps_nothing),
                cmocka_unit_test(a_closed_source_is_reported_as_without_a_stage),
                cmocka_unit_test(it_may_have_as_many_as_without_a_stage),
                cmocka_unit_test(a_copy_of_the_lock_stays_until_the_program_runs),
        };

        return cmocka_run_group_tests(tests, open_many, close_many);
}
