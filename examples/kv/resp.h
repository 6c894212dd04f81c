/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * The Redis protocol (RESP2), requests only:
 *
 *      *2\r\n $3\r\nGET\r\n $1\r\nk\r\n      an array of byte strings
 *      GET k\r\n                             "inline": words, which may stand in "double" or 'single' quotes (no escapes)
 *
 * A request is read in two steps. kv_scan_step() finds its end. It remembers how far it came, so a request that arrives in a thousand pieces is
 * looked at once, not a thousand times; what it remembers lies in the connection's record, in the arena, and the successor goes on scanning
 * where the predecessor stopped. When the whole request is there, kv_request_split() finds the arguments; they point into the buffer.
 */

#include <stddef.h>
#include <stdint.h>

#define KV_ARGS_MAX 65536                   /* of one request: MSET of 32767 keys */
#define KV_BULK_BYTES_MAX (8u << 20)        /* one key or value */
#define KV_REQUEST_BYTES_MAX (16u << 20)    /* one request */
#define KV_LINE_BYTES_MAX (64u << 10)       /* an inline request, or a line with a count */

/* How far the scan of the first request in a buffer came. All zero: nothing seen of it. In the arena. */
struct kv_scan {
        uint32_t off;        /* bytes of it that need no second look */
        uint32_t args_left;  /* arguments that are still to come */
        uint32_t bulk_bytes; /* of the argument whose bytes come next */
        uint8_t array;       /* 1: "*n" was read */
        uint8_t bulk;        /* 1: "$n" was read */
        uint8_t reserved[2];
};

struct kv_arg {
        const char *ptr;
        uint32_t bytes;
};

enum kv_scan_result {
        KV_SCAN_MORE = 0, /* @ret_need says how many bytes are missing, at least */
        KV_SCAN_WHOLE = 1, /* scan->off bytes are a request */
        KV_SCAN_BAD = 2,  /* @ret_error; the connection cannot be read any further */
};

#define KV_SCAN_ERROR_BYTES 96

enum kv_scan_result kv_scan_step(struct kv_scan *scan, const char *bytes, uint32_t count,
                                 uint32_t *ret_need, char ret_error[KV_SCAN_ERROR_BYTES]);

/* The arguments of a whole request of @count bytes, up to KV_ARGS_MAX; may be 0. NULL for @ret_error on success. */
uint32_t kv_request_split(const char *bytes, uint32_t count, struct kv_arg *args, const char **ret_error);

/* As Redis reads numbers: no sign but '-', no spaces, no leading zeros. 0 or -1. */
int kv_parse_i64(const char *bytes, size_t count, int64_t *ret_value);

#define KV_I64_BYTES 20 /* "-9223372036854775808" */
uint32_t kv_format_i64(char to[KV_I64_BYTES], int64_t value);
