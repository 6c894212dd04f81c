/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A program for tests of processes. It tells what it was given, or does one thing that a test wants to see from outside.
 *
 *      child_spawn report           lines on fd 1: args, environment, descriptors, signals, limits, session, directory
 *      child_spawn exit N           ends with status N
 *      child_spawn raise N          signal N to itself
 *      child_spawn pause            "ready" on fd 1, then sleeps for ever
 *      child_spawn threads N        N more threads, "ready" on fd 1, then sleeps for ever
 *      child_spawn robust FD        locks the robust mutex at the start of the shared memory FD, "ready", then sleeps with the lock
 *      child_spawn waitv FD         "ready", then sleeps by futex_waitv() on the two words at the start of FD; exits with the index that was woken
 */
#include <dirent.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

static void say_ready(void)
{
        if (write(STDOUT_FILENO, "ready", 5) != 5)
                _exit(90);
}

static void sleep_for_ever(void)
{
        for (;;)
                (void)pause();
}

static void report_fds(void)
{
        DIR *dir = opendir("/proc/self/fd");
        struct dirent *entry;

        if (!dir)
                _exit(91);
        while ((entry = readdir(dir))) {
                int fd = (int)strtol(entry->d_name, NULL, 10);
                struct stat st;

                if (entry->d_name[0] == '.' || fd == dirfd(dir))
                        continue;
                if (fstat(fd, &st) == 0)
                        printf("fd %d %ju %d\n", fd, (uintmax_t)st.st_ino,
                               fcntl(fd, F_GETFD) & FD_CLOEXEC);
        }
        (void)closedir(dir);
}

/* SigBlk, SigIgn: as the kernel sees them, libc's own two signals included. */
static void report_signals(void)
{
        FILE *file = fopen("/proc/self/status", "re");
        char line[256];

        if (!file)
                _exit(92);
        while (fgets(line, sizeof(line), file)) {
                if (strncmp(line, "SigBlk:", 7) == 0 || strncmp(line, "SigIgn:", 7) == 0)
                        printf("%.6s %s", line, line + 8);
        }
        (void)fclose(file);
}

static int report(int argc, char **argv)
{
        struct rlimit limit;
        char cwd[4096];

        report_fds();
        for (int i = 0; i < argc; i++)
                printf("arg %d %s\n", i, argv[i]);
        for (char **e = environ; *e; e++)
                printf("env %s\n", *e);
        report_signals();
        (void)getrlimit(RLIMIT_NOFILE, &limit);
        printf("nofile %ju %ju\n", (uintmax_t)limit.rlim_cur, (uintmax_t)limit.rlim_max);
        printf("pid %d\nsid %d\n", (int)getpid(), (int)getsid(0));
        printf("cwd %s\n", getcwd(cwd, sizeof(cwd)) ? cwd : "?");
        return 0;
}

static void *thread_main(void *arg)
{
        (void)pthread_barrier_wait(arg);
        sleep_for_ever();
        return NULL;
}

static int threads(unsigned count)
{
        static pthread_barrier_t barrier;

        (void)pthread_barrier_init(&barrier, NULL, count + 1);
        for (unsigned i = 0; i < count; i++) {
                pthread_t thread;

                if (pthread_create(&thread, NULL, thread_main, &barrier) != 0)
                        return 93;
        }
        (void)pthread_barrier_wait(&barrier);
        say_ready();
        sleep_for_ever();
        return 0;
}

static void *shared(int fd)
{
        void *at = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

        if (at == MAP_FAILED)
                _exit(94);
        return at;
}

static int robust(int fd)
{
        if (pthread_mutex_lock(shared(fd)) != 0)
                return 95;
        say_ready();
        sleep_for_ever();
        return 0;
}

static int waitv(int fd)
{
        uint32_t *words = shared(fd);
        struct futex_waitv waits[2] = {
                {.uaddr = (uintptr_t)&words[0], .flags = FUTEX_32},
                {.uaddr = (uintptr_t)&words[1], .flags = FUTEX_32},
        };
        long r;

        say_ready();
        r = syscall(SYS_futex_waitv, waits, 2, 0, NULL, 0);
        return r < 0 ? 96 : (int)r;
}

int main(int argc, char **argv)
{
        const char *what = argc > 1 ? argv[1] : "report";
        int value = argc > 2 ? (int)strtol(argv[2], NULL, 10) : 0;

        /* A test that fails leaves nobody behind, who would hold the pipe its output goes to. */
        (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (strcmp(what, "report") == 0)
                return report(argc, argv);
        if (strcmp(what, "exit") == 0)
                return value;
        if (strcmp(what, "raise") == 0)
                return raise(value);
        if (strcmp(what, "threads") == 0)
                return threads((unsigned)value);
        if (strcmp(what, "robust") == 0)
                return robust(value);
        if (strcmp(what, "waitv") == 0)
                return waitv(value);
        if (strcmp(what, "pause") != 0)
                return 97;
        say_ready();
        sleep_for_ever();
        return 0;
}
