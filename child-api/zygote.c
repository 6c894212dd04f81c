/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The process that others are forked from: see docs/zygotes.md, shm/zygote.h.
 *
 * A fork without the C library's fork(), because only clone3(CLONE_PARENT) makes the child our parent's. What fork() does besides, for a process with one
 * thread: the thread's id, which the C library keeps beside the thread (a robust mutex is marked with it), is set by the kernel at the address that the
 * library gave it for that (CLONE_CHILD_SETTID); and the list of robust mutexes is announced anew.
 *
 * A child that has no baton yet ends with its hub (PR_SET_PDEATHSIG): until the hub has heard of it no record names its pid (I8). Whoever is given the baton is known.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/check.h"
#include "base/fd.h"
#include "base/scm.h"
#include "child-api/child.h"
#include "shm/zygote.h"

#define HELLO_WAIT_MS                                                                              \
        10000 /* the hub's queue is full: it will have read some by then, or is gone */

static bool was_forked;

static struct {
        pid_t *tid; /* where the C library has its thread's id */
        void *robust;
        size_t robust_bytes;
} libc;

/* ---- speaking ---- */

static int say(int sock, enum bt_zygote_what what, uint64_t token, int error, const char *text)
{
        struct bt_zygote_say say = {
                .magic = BT_ZYGOTE_MAGIC, .what = what, .token = token, .error = (uint32_t)error};
        struct pollfd room = {.fd = sock, .events = POLLOUT};
        int r;

        (void)snprintf(say.text, sizeof(say.text), "%s", text);
        while ((r = bt_scm_send(sock, &say, sizeof(say), NULL, 0)) == -EAGAIN) {
                if (poll(&room, 1, HELLO_WAIT_MS) == 0)
                        break;
        }
        return r;
}

static int refuse(int sock, const char *text)
{
        (void)say(sock, BT_ZYGOTE_REFUSED, 0, 0, text);
        return -BATON_E_PROTOCOL;
}

/* ---- the child ---- */

/* The numbers it shall have are taken by /dev/null until now, so no descriptor that came is in the way of another. */
static int move_fds(const struct bt_zygote_ask *ask, const int *fds)
{
        for (uint32_t i = 0; i < ask->count; i++) {
                if (dup3(fds[i], ask->to[i], ask->to[i] <= STDERR_FILENO ? 0 : O_CLOEXEC) < 0)
                        return -errno;
                (void)bt_close(fds[i]);
        }
        return 0;
}

static void tell_listen_pid(void)
{
        char text[16];

        if (!getenv("LISTEN_FDS")) /* NOLINT(concurrency-mt-unsafe): one thread */
                return;
        (void)snprintf(text, sizeof(text), "%d", (int)getpid());
        (void)setenv("LISTEN_PID", text, 1); /* NOLINT(concurrency-mt-unsafe): one thread */
}

/* Only a process that the hub can know goes on. */
static void begin(int sock, const struct bt_zygote_ask *ask, const int *fds)
{
        (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (getppid() != ask->hub_pid)
                _exit(127); /* it died before we asked for its death to be ours */
        (void)syscall(SYS_set_robust_list, libc.robust, libc.robust_bytes);
        BT_POINT("zygote.forked");
        if (move_fds(ask, fds))
                _exit(127);
        if (say(sock, BT_ZYGOTE_FORKED, ask->token, 0, ""))
                _exit(127);
        (void)setsid(); /* until now it is in the zygote's group, by which the hub finds who has not said hello */
        tell_listen_pid();
        (void)bt_close(sock);
        (void)unsetenv(BT_ZYGOTE_VARIABLE); /* NOLINT(concurrency-mt-unsafe): one thread */
        was_forked = true;
}

void bt_child_zygote_known(void)
{
        if (was_forked)
                (void)prctl(PR_SET_PDEATHSIG, 0);
        was_forked = false;
}

/* ---- the zygote ---- */

static pid_t fork_for_parent(void)
{
        struct clone_args args = {
                .flags = CLONE_PARENT | CLONE_CHILD_SETTID | CLONE_CHILD_CLEARTID,
                .child_tid = (uint64_t)(uintptr_t)libc.tid,
        };

        return (pid_t)syscall(SYS_clone3, &args, sizeof(args));
}

static bool ask_valid(const struct bt_zygote_ask *ask, ssize_t bytes, size_t fd_count)
{
        return bytes == (ssize_t)sizeof(*ask) && ask->magic == BT_ZYGOTE_MAGIC &&
               ask->count == fd_count && fd_count <= BT_ZYGOTE_FDS_MAX;
}

/* One request. True in the child. Ends the process when there is no hub any more. */
static bool serve_one(int sock)
{
        int fds[BT_ZYGOTE_FDS_MAX];
        struct bt_zygote_ask ask;
        size_t count = 0;
        pid_t pid = -1;
        ssize_t n = bt_scm_recv(sock, &ask, sizeof(ask), fds, BT_ZYGOTE_FDS_MAX, &count);

        if (n == -EAGAIN)
                return false;
        if (n <= 0 || !ask_valid(&ask, n, count))
                _exit(n == 0 ? 0
                             : 1); /* nothing of the program was begun: nothing of it is ended */
        BT_POINT("zygote.asked");
        pid = fork_for_parent();
        if (pid == 0) {
                begin(sock, &ask, fds);
                return true;
        }
        if (pid < 0)
                (void)say(sock, BT_ZYGOTE_FAILED, ask.token, errno, "");
        for (size_t i = 0; i < count; i++)
                (void)bt_close(fds[i]);
        return false;
}

static int threads(void)
{
        struct stat st;

        return stat("/proc/self/task", &st) < 0 ? -errno : (int)st.st_nlink - 2;
}

/* What the C library's fork() would know. */
static bool libc_known(void)
{
        return prctl(PR_GET_TID_ADDRESS, &libc.tid) == 0 && libc.tid &&
               *libc.tid == (pid_t)syscall(SYS_gettid) &&
               syscall(SYS_get_robust_list, 0, &libc.robust, &libc.robust_bytes) == 0;
}

int baton_child_zygote(void)
{
        int sock = bt_child_fd_from_env(BT_ZYGOTE_VARIABLE);
        struct pollfd bell = {.fd = sock, .events = POLLIN};

        if (sock < 0)
                return 0;
        if (threads() != 1)
                return refuse(sock, "it has more than one thread: baton_child_zygote() comes "
                                    "before the first one is started");
        if (!libc_known())
                return refuse(sock, "this kernel or C library does not say where a thread's id is "
                                    "kept (PR_GET_TID_ADDRESS)");
        (void)fflush(NULL);
        if (say(sock, BT_ZYGOTE_READY, 0, 0, ""))
                _exit(0);
        while (!serve_one(sock))
                (void)poll(&bell, 1, -1);
        return 0;
}
