/* SPDX-License-Identifier: Apache-2.0 */
/* Where an answer ends, in three protocols. Only as much of them as the servers under test speak. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "bench/drive.h"

const char *bench_drive_request(enum bench_protocol protocol, bool busy)
{
        static const char *const requests[_BENCH_PROTOCOL_N][2] = {
                [BENCH_HTTP] = {"GET / HTTP/1.1\r\nHost: bench\r\n\r\n",
                                "GET / HTTP/1.1\r\nHost: bench\r\n\r\n"},
                [BENCH_RESP] = {"*2\r\n$4\r\nINFO\r\n$6\r\nserver\r\n",
                                "*2\r\n$4\r\nINCR\r\n$5\r\ndrive\r\n"},
                [BENCH_MEMCACHED] = {"get drive\r\n", "get drive\r\n"},
        };

        return requests[protocol][busy];
}

/* A head, an empty line, and as many bytes as the head says. Chunks are not understood: no server here sends them for a fixed text. */
static int64_t http_answer(const char *text, uint64_t bytes)
{
        const char *body = strstr(text, "\r\n\r\n"), *length;
        uint64_t whole;

        if (bytes >= 12 && strncmp(text, "HTTP/1.1 200", 12) != 0 &&
            strncmp(text, "HTTP/1.0 200", 12) != 0)
                return -EBADMSG;
        if (!body)
                return 0;
        length = strcasestr(text, "\r\ncontent-length:");
        if (!length || length > body)
                return -EBADMSG;
        whole = (uint64_t)(body + 4 - text) + strtoull(length + 17, NULL, 10);
        return bytes >= whole ? (int64_t)whole : 0;
}

static int64_t resp_answer(const char *text, uint64_t bytes)
{
        const char *end = strstr(text, "\r\n");
        uint64_t whole;

        if (!end)
                return 0;
        if (text[0] == '-')
                return -EBADMSG;
        whole = (uint64_t)(end + 2 - text);
        if (text[0] == '$' && text[1] != '-') /* $-1: there is none */
                whole += strtoull(text + 1, NULL, 10) + 2;
        return bytes >= whole ? (int64_t)whole : 0;
}

/* A value that is not there is an answer, too; who asked looks for the version in it. */
static int64_t memcached_answer(const char *text, uint64_t bytes)
{
        const char *end = strstr(text, "END\r\n");

        (void)bytes;
        if (!end)
                return strncmp(text, "ERROR", 5) != 0 && strncmp(text, "SERVER_ERROR", 12) != 0
                               ? 0
                               : -EBADMSG;
        return end + 5 - text;
}

int64_t bench_drive_answer(enum bench_protocol protocol, const char *text, uint64_t bytes)
{
        switch (protocol) {
        case BENCH_HTTP:
                return http_answer(text, bytes);
        case BENCH_RESP:
                return resp_answer(text, bytes);
        default:
                return memcached_answer(text, bytes);
        }
}
