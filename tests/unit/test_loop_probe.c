/* SPDX-License-Identifier: Apache-2.0 */
/*
 * supervisor/loop/probe.c: why a ring cannot be had. Where a test needs a process that is not allowed to have one, it executes itself as
 * `test_loop_probe --without NAME`, which takes the thing away, tries, and says on its standard output what it was told.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/fd.h"
#include "supervisor/loop/internal.h"

/* ---- refusals ---- */

static void expect_refusal(struct bt_loop_host host, int err, const char *part, const char *remedy)
{
        char reason[BT_LOOP_REASON_BYTES] = "";

        assert_int_equal(bt_loop_refusal(reason, &host, "io_uring_setup", err), -err);
        assert_non_null(strstr(reason, "io_uring_setup"));
        if (!strstr(reason, part) || !strstr(reason, remedy))
                fail_msg("neither '%s' nor '%s' may be missing in: %s", part, remedy, reason);
}

static void a_refusal_names_the_switch_to_turn(void **state)
{
        struct bt_loop_host host = {.release = "6.6.1-test", .disabled = 2, .seccomp = 0};

        (void)state;
        expect_refusal(host, EPERM, "kernel.io_uring_disabled = 2", "sysctl -w kernel.io_uring_disabled=0");
        host.disabled = 1;
        expect_refusal(host, EPERM, "kernel.io_uring_disabled = 1", "kernel.io_uring_group");
        host.disabled = 0;
        expect_refusal(host, EPERM, "6.6.1-test", "audit log");
        host.seccomp = 2;
        expect_refusal(host, EPERM, "seccomp", "allow io_uring_setup");
        expect_refusal(host, EACCES, "seccomp", "allow io_uring_setup");
        expect_refusal(host, ENOSYS, "seccomp", "allow io_uring_setup");
        host.seccomp = 0;
        expect_refusal(host, ENOSYS, "6.6.1-test", "kernel 5.18 or later");
        expect_refusal(host, EMFILE, "no descriptor left", "LimitNOFILE=");
        expect_refusal(host, ENFILE, "host has no descriptor", "fs.file-max");
        expect_refusal(host, ENOMEM, "before kernel 5.12", "RLIMIT_MEMLOCK");
        expect_refusal(host, EIO, "Input/output error", "6.6.1-test");
}

static void the_host_is_read(void **state)
{
        struct bt_loop_host host = {.disabled = -2, .seccomp = -2};

        (void)state;
        bt_loop_host_read(&host);
        assert_true(strlen(host.release) > 0);
        assert_in_range(host.disabled + 1, 0, 3);
        assert_in_range(host.seccomp + 1, 0, 3);
}

/* Runs ourselves without @what; @text gets what it said. */
static void run_without(const char *what, char *text, size_t bytes)
{
        char *argv[] = {(char *)"test_loop_probe", (char *)"--without", (char *)what, NULL};
        posix_spawn_file_actions_t actions;
        int ends[2], status;
        ssize_t n;
        size_t used = 0;
        pid_t pid;

        assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
        assert_int_equal(posix_spawn_file_actions_init(&actions), 0);
        assert_int_equal(posix_spawn_file_actions_adddup2(&actions, ends[1], STDOUT_FILENO), 0);
        assert_int_equal(posix_spawn(&pid, "/proc/self/exe", &actions, NULL, argv, environ), 0);
        (void)posix_spawn_file_actions_destroy(&actions);
        (void)bt_close(ends[1]);
        while ((n = read(ends[0], text + used, bytes - 1 - used)) > 0)
                used += (size_t)n;
        text[used] = '\0';
        (void)bt_close(ends[0]);
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_true(WIFEXITED(status));
        assert_int_equal(WEXITSTATUS(status), 0);
}

static void expect_without(const char *what, const char *error, const char *part)
{
        char text[1024];

        run_without(what, text, sizeof(text));
        if (strncmp(text, error, strlen(error)) != 0 || !strstr(text, part))
                fail_msg("without %s it said: %s", what, text);
}

static void a_seccomp_filter_is_found_out_whichever_call_it_refuses(void **state)
{
        (void)state;
        expect_without("io_uring_setup", "EPERM ", "io_uring_setup was refused by a seccomp filter");
        expect_without("io_uring_enter", "EPERM ", "io_uring_enter was refused by a seccomp filter");
        expect_without("io_uring_register", "EPERM ", "io_uring_register was refused by a seccomp filter");
        expect_without("io_uring_setup-ENOSYS", "ENOSYS ", "a seccomp filter hides it");
}

static void a_process_without_descriptors_is_told_so(void **state)
{
        (void)state;
        expect_without("descriptors", "EMFILE ", "no descriptor left");
}

/* ---- ourselves, deprived ---- */

static int deny(unsigned number, unsigned err)
{
        struct sock_filter code[] = {
                BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
                BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, number, 0, 1),
                BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | err),
                BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
        };
        struct sock_fprog program = {.len = sizeof(code) / sizeof(code[0]), .filter = code};

        if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
                return -1;
        return prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program);
}

static int deprive(const char *what)
{
        if (strcmp(what, "io_uring_setup") == 0)
                return deny(SYS_io_uring_setup, EPERM);
        if (strcmp(what, "io_uring_setup-ENOSYS") == 0)
                return deny(SYS_io_uring_setup, ENOSYS);
        if (strcmp(what, "io_uring_enter") == 0)
                return deny(SYS_io_uring_enter, EPERM);
        if (strcmp(what, "io_uring_register") == 0)
                return deny(SYS_io_uring_register, EPERM);
        if (strcmp(what, "descriptors") == 0) {
                int next = fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 0);
                struct rlimit limit;

                (void)close(next);
                if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
                        return -1;
                limit.rlim_cur = (rlim_t)next;
                return setrlimit(RLIMIT_NOFILE, &limit);
        }
        return -1;
}

static int deprived_main(const char *what)
{
        struct rlimit limit;
        char reason[BT_LOOP_REASON_BYTES] = "";
        struct bt_loop *loop = NULL;
        int r;

        if (deprive(what) < 0)
                return 99;
        r = bt_loop_new(&loop, reason);
        if (r == 0) {
                loop = bt_loop_free(loop);
                return 98;
        }
        printf("%s %s\n", strerrorname_np(-r), reason);
        /* A sanitizer looks around at exit. */
        (void)getrlimit(RLIMIT_NOFILE, &limit);
        limit.rlim_cur = limit.rlim_max;
        (void)setrlimit(RLIMIT_NOFILE, &limit);
        return 0;
}

int main(int argc, char **argv)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(a_refusal_names_the_switch_to_turn),
                cmocka_unit_test(the_host_is_read),
                cmocka_unit_test(a_seccomp_filter_is_found_out_whichever_call_it_refuses),
                cmocka_unit_test(a_process_without_descriptors_is_told_so),
        };

        if (argc == 3 && strcmp(argv[1], "--without") == 0)
                return deprived_main(argv[2]);
        return cmocka_run_group_tests(tests, NULL, NULL);
}
