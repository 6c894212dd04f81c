/* SPDX-License-Identifier: Apache-2.0 */
/* BUG-11: what options do on real processes and sockets, where no other scenario shows it. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "tests/support/wait.h"
#include "tests/support/world.h"

#define BACKLOG 2

/* Nothing is there for a moment: the parent of a vfork goes on before the new program's stack is made. */
static size_t environment(pid_t pid, char *text, size_t bytes)
{
        uint64_t deadline = wait_until(WORLD_WAIT_MS);
        char path[64];
        ssize_t n;

        (void)snprintf(path, sizeof(path), "/proc/%d/environ", (int)pid);
        do {
                int fd = open(path, O_RDONLY | O_CLOEXEC);

                assert_true(fd >= 0);
                n = read(fd, text, bytes);
                (void)close(fd);
                assert_true(n >= 0);
        } while (!n && wait_again(deadline));
        return (size_t)n;
}

static bool has(const char *text, size_t bytes, const char *variable)
{
        for (const char *at = text; at < text + bytes; at += strlen(at) + 1) {
                if (!strncmp(at, variable, strlen(variable)))
                        return true;
        }
        return false;
}

static void expect_folder(pid_t pid, const char *folder)
{
        char path[64], target[256] = "";

        (void)snprintf(path, sizeof(path), "/proc/%d/cwd", (int)pid);
        assert_true(readlink(path, target, sizeof(target) - 1) > 0);
        assert_string_equal(target, folder);
}

static void BUG_11_environment_and_folder_of_a_process_are_the_specified_ones(void **state)
{
        struct world *w = *state;
        char text[16384];
        struct bt_slot slot;
        size_t bytes;

        (void)setenv("OPTIONS_OURS", "inherited", 1);
        world_start(w, "hub: w\n"
                       "defaults: {protocol: plain, shutdown: brutal_kill, exec: [/bin/sleep, '1000'], env: {ALL: every}, cwd: /usr}\n"
                       "children:\n"
                       "  a: {env: {OWN: mine, OPTIONS_OURS: replaced}}\n"
                       "  b: {env_clear: true, cwd: /}\n"
                       "  c: {}\n");
        (void)unsetenv("OPTIONS_OURS");

        world_slot(w, "a", &slot);
        bytes = environment(slot.pid, text, sizeof(text));
        assert_true(has(text, bytes, "ALL=every") && has(text, bytes, "OWN=mine") && has(text, bytes, "OPTIONS_OURS=replaced"));
        assert_true(has(text, bytes, "PATH="));
        expect_folder(slot.pid, "/usr");

        world_slot(w, "b", &slot);
        bytes = environment(slot.pid, text, sizeof(text));
        assert_true(has(text, bytes, "ALL=every") && !has(text, bytes, "PATH=") && !has(text, bytes, "OPTIONS_OURS="));
        expect_folder(slot.pid, "/");

        world_slot(w, "c", &slot);
        bytes = environment(slot.pid, text, sizeof(text));
        assert_true(has(text, bytes, "ALL=every") && has(text, bytes, "OPTIONS_OURS=inherited") && !has(text, bytes, "OWN="));
        expect_folder(slot.pid, "/usr");
        world_end(w);
}

/* A connection that nobody accepts; -1: the queue is full. */
static int knock(const struct world *w)
{
        struct sockaddr_un addr = {.sun_family = AF_UNIX};
        int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

        assert_true(fd >= 0);
        (void)snprintf(addr.sun_path, sizeof(addr.sun_path), "%s/front.sock", w->dir);
        if (!connect(fd, (struct sockaddr *)&addr, sizeof(addr)))
                return fd;
        assert_int_equal(errno, EAGAIN);
        (void)close(fd);
        return -1;
}

static void BUG_11_listening_sockets_are_as_specified(void **state)
{
        struct world *w = *state;
        int waiting[BACKLOG + 1];
        char path[128];
        struct stat st;

        /* The child accepts nothing; two sockets of one address are possible with reuseport alone. */
        world_start(w, "hub: w\n"
                       "sockets:\n"
                       "  front: {listen: 'unix://@dir@/front.sock', mode: 0640, backlog: 2}\n"
                       "  plain: unix://@dir@/plain.sock\n"
                       "  one: {listen: 'tcp://127.0.0.1:@port@', reuseport: true}\n"
                       "  two: {listen: 'tcp://127.0.0.1:@port@', reuseport: true}\n"
                       "children:\n"
                       "  a: {exec: [/bin/sleep, '1000'], protocol: plain, shutdown: brutal_kill, sockets: [front, plain, one, two]}\n");
        (void)snprintf(path, sizeof(path), "%s/front.sock", w->dir);
        assert_int_equal(stat(path, &st), 0);
        assert_int_equal(st.st_mode & 0777, 0640);
        (void)snprintf(path, sizeof(path), "%s/plain.sock", w->dir);
        assert_int_equal(stat(path, &st), 0);
        assert_int_equal(st.st_mode & 0777, 0600);
        for (size_t i = 0; i < BT_ARRAY_LEN(waiting); i++) { /* the kernel takes one more than the number */
                waiting[i] = knock(w);
                assert_true(waiting[i] >= 0);
        }
        assert_int_equal(knock(w), -1);
        for (size_t i = 0; i < BT_ARRAY_LEN(waiting); i++)
                (void)close(waiting[i]);
        world_end(w);
}

int main(void)
{
#define SCENARIO(name) cmocka_unit_test_setup_teardown(name, world_setup, world_teardown)
        const struct CMUnitTest tests[] = {
                SCENARIO(BUG_11_environment_and_folder_of_a_process_are_the_specified_ones),
                SCENARIO(BUG_11_listening_sockets_are_as_specified),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
