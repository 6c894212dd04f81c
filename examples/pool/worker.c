/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A worker of a pool: each message is the path of a file, the answer is its SHA-256. It keeps no state, needs no socket, and is replaced while files are hashed:
 * the message in hand is finished by the old process, the next one is read by whoever is free. A file that kills each worker that reads it is tried three times
 * (`mailbox.deliveries`).
 *
 * POOL_VERSION is the only difference between pool-v1 and pool-v2.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <baton/child.h>
#include <baton/messages.h>

#include "examples/pool/answer.h"
#include "examples/pool/sha256.h"

#define READ_BYTES 65536

/* 0 or -errno. */
static int hash_file(const char *path, struct answer *answer)
{
        static uint8_t room[READ_BYTES];
        uint8_t digest[SHA256_BYTES];
        struct sha256 sha;
        ssize_t n;
        int fd = open(path, O_RDONLY | O_CLOEXEC);

        if (fd < 0)
                return -errno;
        sha256_init(&sha);
        while ((n = read(fd, room, sizeof(room))) > 0)
                sha256_add(&sha, room, (size_t)n);
        n = n < 0 ? -errno : 0;
        (void)close(fd);
        if (n)
                return (int)n;
        answer->bytes = sha.bytes;
        sha256_end(&sha, digest);
        for (size_t i = 0; i < SHA256_BYTES; i++)
                (void)snprintf(answer->digest + 2 * i, 3, "%02x", digest[i]);
        return 0;
}

static int on_message(struct baton_child *child, const struct baton_message *message, void *ctx)
{
        struct answer answer = {.version = POOL_VERSION,
                                .pid = (int32_t)getpid(),
                                .deliveries = message->deliveries};
        char path[4096];
        int r;

        (void)ctx;
        if (message->bytes == 0 || message->bytes >= sizeof(path))
                return -ENAMETOOLONG;
        memcpy(path, message->data, message->bytes);
        path[message->bytes] = '\0';
        r = hash_file(path, &answer);
        return r || !message->wants_answer
                       ? r
                       : baton_message_reply(child, message, &answer, sizeof(answer));
}

int main(void)
{
        const struct baton_child_ops ops = {.size = sizeof(ops), .on_message = on_message};
        struct baton_child *child = NULL;
        int r = baton_child_open(&child, &ops, NULL);

        if (!r)
                r = baton_child_run(child);
        if (r)
                (void)fprintf(stderr, "pool: %s\n", baton_strerror(r));
        child = baton_child_close(child);
        return r ? 1 : 0;
}
