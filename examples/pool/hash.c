/* SPDX-License-Identifier: Apache-2.0 */
/*
 *      pool-hash [--progress FILE] HUB POOL < list of paths
 *
 * Has a pool hash files, and prints what sha256sum would, in the order in which the answers come. Up to WINDOW calls are under way; answers come back through
 * done(), from a loop that polls. The last line on stderr says which versions of the worker took part.
 *
 * Exit status: 0; 1 a file could not be hashed, or the hub is not there; 2 usage.
 */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <baton/client.h>

#include "examples/pool/answer.h"

#define WINDOW       16
#define VERSIONS_MAX 8

struct job {
        char *path;
};

struct hashing {
        struct baton_client *client;
        struct baton_target *pool;
        FILE *progress; /* a number of files for each answer; NULL: not wanted */
        uint32_t under_way;
        uint64_t files, bytes, failed, again;
        char versions[VERSIONS_MAX][16];
        uint64_t by_version[VERSIONS_MAX];
};

static struct hashing hashing;

static void count_version(const char *version)
{
        for (int i = 0; i < VERSIONS_MAX; i++) {
                if (!hashing.versions[i][0])
                        (void)snprintf(hashing.versions[i], sizeof(hashing.versions[i]), "%.14s",
                                       version);
                if (!strncmp(hashing.versions[i], version, 14)) {
                        hashing.by_version[i]++;
                        return;
                }
        }
}

static void on_answer(struct baton_client *client, const struct baton_reply *reply, void *ctx)
{
        struct job *job = ctx;
        struct answer answer;

        (void)client;
        hashing.under_way--;
        if (reply->status || reply->bytes != sizeof(answer)) {
                (void)fprintf(stderr, "pool-hash: %s: %s\n", job->path,
                              baton_strerror(reply->status));
                hashing.failed++;
        } else {
                memcpy(&answer, reply->data, sizeof(answer));
                (void)printf("%.64s  %s\n", answer.digest, job->path);
                count_version(answer.version);
                hashing.files++;
                hashing.bytes += answer.bytes;
                hashing.again += answer.deliveries > 1;
        }
        if (hashing.progress) {
                (void)fprintf(hashing.progress, "%llu\n",
                              (unsigned long long)hashing.files + hashing.failed);
                (void)fflush(hashing.progress);
        }
        free(job->path);
        free(job);
}

/* Takes @path. */
static int send_job(char *path)
{
        struct job *job = malloc(sizeof(*job));
        const struct baton_send send = {.size = sizeof(send),
                                        .data = path,
                                        .bytes = strlen(path),
                                        .timeout_ns = BATON_WAIT_FOREVER,
                                        .done = on_answer,
                                        .ctx = job};
        uint64_t call;
        int r;

        if (!job)
                return -ENOMEM;
        job->path = path;
        r = baton_client_begin(hashing.pool, &send, &call);
        if (r) {
                (void)fprintf(stderr, "pool-hash: %s: %s\n", path, baton_strerror(r));
                free(path);
                free(job);
                return r;
        }
        hashing.under_way++;
        return 0;
}

static void wait_until_below(uint32_t window)
{
        struct pollfd ready = {.fd = baton_client_fd(hashing.client), .events = POLLIN};

        while (hashing.under_way >= window) {
                (void)poll(&ready, 1, -1);
                (void)baton_client_dispatch(hashing.client);
        }
}

static void report(void)
{
        (void)fprintf(stderr,
                      "pool-hash: %llu files, %llu bytes, %llu failed, %llu begun again by another "
                      "process",
                      (unsigned long long)hashing.files, (unsigned long long)hashing.bytes,
                      (unsigned long long)hashing.failed, (unsigned long long)hashing.again);
        for (int i = 0; i < VERSIONS_MAX && hashing.versions[i][0]; i++)
                (void)fprintf(stderr, "; version %s: %llu", hashing.versions[i],
                              (unsigned long long)hashing.by_version[i]);
        (void)fputc('\n', stderr);
}

static int run(void)
{
        char *line = NULL;
        size_t room = 0;
        ssize_t n;
        int r = 0;

        while (!r && (n = getline(&line, &room, stdin)) > 0) {
                if (line[n - 1] == '\n')
                        line[--n] = '\0';
                if (!n)
                        continue;
                wait_until_below(WINDOW);
                r = send_job(strdup(line));
        }
        free(line);
        wait_until_below(1);
        report();
        return r || hashing.failed ? 1 : 0;
}

int main(int argc, char **argv)
{
        char why[BATON_WHY_BYTES] = "";
        int r;

        if (argc == 5 && !strcmp(argv[1], "--progress")) {
                hashing.progress = fopen(argv[2], "we");
                argv += 2;
                argc -= 2;
        }
        if (argc != 3) {
                (void)fputs("usage: pool-hash [--progress FILE] HUB POOL < list of paths\n",
                            stderr);
                return 2;
        }
        r = baton_client_open(&hashing.client, argv[1], NULL, why);
        if (!r)
                r = baton_client_target(&hashing.pool, hashing.client, argv[2], NULL, why);
        if (r)
                (void)fprintf(stderr, "pool-hash: %s\n", why);
        r = r ? 1 : run();
        hashing.client = baton_client_close(hashing.client);
        if (hashing.progress)
                (void)fclose(hashing.progress);
        return r;
}
