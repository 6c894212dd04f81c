/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A program that rehearses well, being batond_testing then, and finds something else than it rehearsed when it is to go on in the place of a hub: what
 * was carried over is replaced by nonsense.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static void lie(int fd)
{
        static const char nonsense[256] = "BTCARRY1";
        int other = memfd_create("nonsense", MFD_CLOEXEC);

        if (other < 0 || write(other, nonsense, sizeof(nonsense)) < 0 || dup2(other, fd) < 0)
                _exit(1);
}

int main(int argc, char **argv)
{
        const char *bin = getenv("BATON_BIN_DIR"); /* NOLINT(concurrency-mt-unsafe): one thread */
        char path[640];

        for (int i = 1; i + 1 < argc; i++)
                if (!strcmp(argv[i], "--carry"))
                        lie((int)strtol(argv[i + 1], NULL, 10));
        (void)snprintf(path, sizeof(path), "%s/batond_testing", bin ? bin : "");
        (void)execv(path, argv);
        return 1;
}
