/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vfork() and execve(): the floor of a cold swap contains this call, so it must not cost more than the hub's clone3(). vfork() stops the parent until
 * the exec and shares its memory meanwhile; the child does nothing but system calls.
 */
#include "bench/process.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/fd.h"

void bench_complain(const char *format, ...)
{
        va_list args;

        (void)fflush(stdout);
        (void)fputs("baton-bench: ", stderr);
        va_start(args, format);
        (void)vfprintf(stderr, format, args);
        va_end(args);
        (void)fputc('\n', stderr);
}

int bench_program_find(char *ret_path, size_t bytes, const char *name)
{
        char self[PATH_MAX];
        ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);
        char *slash;

        if (n < 0)
                return -errno;
        self[n] = '\0';
        slash = strrchr(self, '/');
        if (slash)
                *slash = '\0';
        if ((size_t)snprintf(ret_path, bytes, "%s/%s", self, name) >= bytes)
                return -ENAMETOOLONG;
        if (access(ret_path, X_OK) < 0) {
                bench_complain("there is no program '%s' in %s: build all of the tree, the "
                               "programs lie beside each other",
                               name, self);
                return -ENOENT;
        }
        return 0;
}

static volatile sig_atomic_t interrupted;

static void on_signal(int signo)
{
        (void)signo;
        interrupted = 1;
}

int bench_process_guard(void)
{
        const struct sigaction action = {.sa_handler = on_signal};
        const int signals[] = {SIGINT, SIGTERM, SIGHUP};

        for (size_t i = 0; i < BT_ARRAY_LEN(signals); i++) {
                if (sigaction(signals[i], &action, NULL) < 0)
                        return -errno;
        }
        return prctl(PR_SET_CHILD_SUBREAPER, 1) < 0 ? -errno : 0;
}

bool bench_interrupted(void)
{
        return interrupted;
}

/* Those who are orphaned by the end of others are found by the next look. */
void bench_process_end_all(void)
{
        FILE *file;
        int pid;

        for (int looks = 0; looks < 16; looks++) {
                int count = 0;

                file = fopen("/proc/thread-self/children", "re");
                /* The kernel's own numbers: they fit. NOLINTNEXTLINE(cert-err34-c) */
                while (file && fscanf(file, "%d", &pid) == 1) {
                        (void)kill(pid, SIGKILL);
                        (void)waitpid(pid, NULL, 0);
                        count++;
                }
                if (file)
                        (void)fclose(file);
                if (!count)
                        return;
        }
}

int bench_pidfd_open(pid_t pid)
{
        int fd = (int)syscall(SYS_pidfd_open, pid, 0);

        return fd < 0 ? -errno : fd;
}

int bench_pidfd_wait(int pidfd, uint64_t timeout_ns)
{
        uint64_t deadline = bt_ns_add(bt_now_ns(), timeout_ns);

        for (;;) {
                struct pollfd fd = {.fd = pidfd, .events = POLLIN};
                uint64_t now = bt_now_ns();
                uint64_t left_ms = now < deadline ? (deadline - now) / BT_NS_PER_MS + 1 : 0;
                int n = poll(&fd, 1, left_ms > INT_MAX ? INT_MAX : (int)left_ms);

                if (n > 0)
                        return 0;
                if (n < 0 && errno != EINTR)
                        return -errno;
                if (!n && !left_ms)
                        return -ETIMEDOUT;
        }
}

int bench_process_start(struct bench_process *ret_process, char *const argv[], char *const envp[],
                        int out_fd)
{
        volatile int failed = 0;
        pid_t pid =
                vfork(); /* NOLINT(clang-analyzer-security.insecureAPI.vfork): system calls only, see above */

        if (pid < 0)
                return -errno;
        if (pid == 0) {
                /* NOLINTBEGIN(clang-analyzer-unix.Vfork) */
                (void)prctl(PR_SET_PDEATHSIG, SIGTERM);
                /* A Ctrl-C is for us; and the scheduler gives each session a share of its own, as it does to the hub's children. */
                (void)setsid();
                if (out_fd >= 0 &&
                    (dup2(out_fd, STDOUT_FILENO) < 0 || dup2(out_fd, STDERR_FILENO) < 0))
                        failed = errno;
                if (!failed)
                        (void)execve(argv[0], argv, envp);
                failed = failed ? failed : errno;
                _exit(127);
                /* NOLINTEND(clang-analyzer-unix.Vfork) */
        }
        if (failed) {
                (void)waitpid(pid, NULL, 0);
                return -failed;
        }
        ret_process->pid = pid;
        ret_process->pidfd = bench_pidfd_open(pid);
        if (ret_process->pidfd < 0) {
                int r = ret_process->pidfd;

                bench_process_end(ret_process);
                return r;
        }
        return 0;
}

int bench_process_wait(struct bench_process *process, uint64_t timeout_ns)
{
        int r = bench_pidfd_wait(process->pidfd, timeout_ns);

        if (r)
                return r;
        (void)waitpid(process->pid, NULL, 0);
        process->pidfd = bt_close(process->pidfd);
        process->pid = 0;
        return 0;
}

void bench_process_end(struct bench_process *process)
{
        if (process->pid > 0) {
                (void)kill(process->pid, SIGKILL);
                (void)waitpid(process->pid, NULL, 0);
        }
        process->pid = 0;
        process->pidfd = bt_close(process->pidfd);
}
