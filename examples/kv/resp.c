/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Everything here reads what a stranger sent. Each length is checked against a limit before it is believed, no arithmetic is done on a number that
 * was not checked, and no byte at or after bytes[count] is read.
 */
#include "examples/kv/resp.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

/* ---- numbers ---- */

int kv_parse_i64(const char *bytes, size_t count, int64_t *ret_value)
{
        bool negative = count > 0 && bytes[0] == '-';
        uint64_t limit = negative ? UINT64_C(1) << 63 : INT64_MAX;
        uint64_t value = 0;
        size_t i = negative;

        if (i == count || count > KV_I64_BYTES || (bytes[i] == '0' && count > 1))
                return -1;
        for (; i < count; i++) {
                unsigned digit = (unsigned char)bytes[i] - (unsigned)'0';

                if (digit > 9 || value > (limit - digit) / 10)
                        return -1;
                value = value * 10 + digit;
        }
        *ret_value = negative ? (int64_t)(0 - value) : (int64_t)value;
        return 0;
}

uint32_t kv_format_i64(char to[KV_I64_BYTES], int64_t value)
{
        uint64_t left = value < 0 ? 0 - (uint64_t)value : (uint64_t)value;
        char digits[KV_I64_BYTES];
        uint32_t n = 0, bytes = 0;

        do {
                digits[n++] = (char)('0' + left % 10);
                left /= 10;
        } while (left);
        if (value < 0)
                to[bytes++] = '-';
        while (n > 0)
                to[bytes++] = digits[--n];
        return bytes;
}

/* ---- finding the end ---- */

static enum kv_scan_result bad(char ret_error[KV_SCAN_ERROR_BYTES], const char *what)
{
        (void)snprintf(ret_error, KV_SCAN_ERROR_BYTES, "Protocol error: %s", what);
        return KV_SCAN_BAD;
}

/* A line "<mark><number>\r\n" at scan->off. Only a WHOLE one moves scan->off. */
static enum kv_scan_result scan_number(struct kv_scan *scan, const char *bytes, uint32_t count, const char *what_long,
                                       const char *what_wrong, int64_t *ret_value, char *ret_error)
{
        const char *line = bytes + scan->off;
        uint32_t left = count - scan->off;
        const char *end = memchr(line, '\n', left < KV_LINE_BYTES_MAX ? left : KV_LINE_BYTES_MAX);
        size_t digits;

        if (!end)
                return left >= KV_LINE_BYTES_MAX ? bad(ret_error, what_long) : KV_SCAN_MORE;
        digits = (size_t)(end - line) - 1;
        if (digits == 0 || end[-1] != '\r' || kv_parse_i64(line + 1, digits - 1, ret_value))
                return bad(ret_error, what_wrong);
        scan->off += (uint32_t)(end - line) + 1;
        return KV_SCAN_WHOLE;
}

static enum kv_scan_result scan_array(struct kv_scan *scan, const char *bytes, uint32_t count, char *ret_error)
{
        enum kv_scan_result r;
        int64_t args;

        r = scan_number(scan, bytes, count, "too big mbulk count string", "invalid multibulk length",
                        &args, ret_error);
        if (r != KV_SCAN_WHOLE)
                return r;
        if (args > KV_ARGS_MAX)
                return bad(ret_error, "invalid multibulk length");
        scan->array = 1;
        scan->args_left = args > 0 ? (uint32_t)args : 0;
        return KV_SCAN_WHOLE;
}

static enum kv_scan_result scan_bulk_head(struct kv_scan *scan, const char *bytes, uint32_t count, char *ret_error)
{
        enum kv_scan_result r;
        int64_t length;
        char mark;

        if (scan->off == count)
                return KV_SCAN_MORE;
        mark = bytes[scan->off];
        if (mark != '$') {
                (void)snprintf(ret_error, KV_SCAN_ERROR_BYTES, "Protocol error: expected '$', got '%c'",
                               mark >= ' ' && mark <= '~' ? mark : '?');
                return KV_SCAN_BAD;
        }
        r = scan_number(scan, bytes, count, "too big bulk count string", "invalid bulk length", &length, ret_error);
        if (r != KV_SCAN_WHOLE)
                return r;
        if (length < 0 || length > KV_BULK_BYTES_MAX)
                return bad(ret_error, "invalid bulk length");
        if (length + 2 > (int64_t)KV_REQUEST_BYTES_MAX - scan->off)
                return bad(ret_error, "request too big");
        scan->bulk = 1;
        scan->bulk_bytes = (uint32_t)length;
        return KV_SCAN_WHOLE;
}

static enum kv_scan_result scan_bulk_body(struct kv_scan *scan, const char *bytes, uint32_t count,
                                          uint32_t *ret_need, char *ret_error)
{
        uint32_t want = scan->bulk_bytes + 2;

        if (count - scan->off < want) {
                *ret_need = want - (count - scan->off);
                return KV_SCAN_MORE;
        }
        if (memcmp(bytes + scan->off + scan->bulk_bytes, "\r\n", 2) != 0)
                return bad(ret_error, "bulk is not followed by CRLF");
        scan->off += want;
        scan->bulk = 0;
        scan->args_left--;
        return KV_SCAN_WHOLE;
}

static enum kv_scan_result scan_inline(struct kv_scan *scan, const char *bytes, uint32_t count, char *ret_error)
{
        uint32_t within = count < KV_LINE_BYTES_MAX ? count : KV_LINE_BYTES_MAX;
        const char *end = memchr(bytes + scan->off, '\n', within - scan->off);

        scan->off = end ? (uint32_t)(end - bytes) + 1 : within;
        if (end)
                return KV_SCAN_WHOLE;
        return count >= KV_LINE_BYTES_MAX ? bad(ret_error, "too big inline request") : KV_SCAN_MORE;
}

enum kv_scan_result kv_scan_step(struct kv_scan *scan, const char *bytes, uint32_t count,
                                 uint32_t *ret_need, char ret_error[KV_SCAN_ERROR_BYTES])
{
        enum kv_scan_result r = KV_SCAN_WHOLE;

        *ret_need = 1;
        if (count == 0)
                return KV_SCAN_MORE;
        if (bytes[0] != '*')
                return scan_inline(scan, bytes, count, ret_error);
        if (!scan->array)
                r = scan_array(scan, bytes, count, ret_error);
        while (r == KV_SCAN_WHOLE && scan->args_left > 0) {
                if (!scan->bulk)
                        r = scan_bulk_head(scan, bytes, count, ret_error);
                else
                        r = scan_bulk_body(scan, bytes, count, ret_need, ret_error);
        }
        return r;
}

/* ---- splitting a whole request ---- */

static uint32_t split_inline(const char *at, const char *end, struct kv_arg *args, const char **ret_error)
{
        uint32_t n = 0;

        for (;;) {
                const char *word, *stop;

                while (at < end && strchr(" \t\r\n", *at))
                        at++;
                if (at == end || n == KV_ARGS_MAX)
                        return n;
                word = at;
                if (*at == '"' || *at == '\'') {
                        word++;
                        stop = memchr(word, *at, (size_t)(end - word));
                        if (!stop || (stop + 1 < end && !strchr(" \t\r\n", stop[1]))) {
                                *ret_error = "Protocol error: unbalanced quotes in request";
                                return 0;
                        }
                        at = stop + 1;
                } else {
                        while (at < end && !strchr(" \t\r\n", *at))
                                at++;
                        stop = at;
                }
                args[n++] = (struct kv_arg){.ptr = word, .bytes = (uint32_t)(stop - word)};
        }
}

/* The number in the line at @at, which the scan has checked; moves @at behind the line. */
static uint32_t checked_number(const char **at, const char *end)
{
        const char *eol = memchr(*at, '\r', (size_t)(end - *at));
        int64_t value = 0;

        if (!eol || kv_parse_i64(*at + 1, (size_t)(eol - *at) - 1, &value) || value < 0)
                value = 0;
        *at = eol ? eol + 2 : end;
        return (uint32_t)value;
}

uint32_t kv_request_split(const char *bytes, uint32_t count, struct kv_arg *args, const char **ret_error)
{
        const char *at = bytes, *end = bytes + count;
        uint32_t n;

        *ret_error = NULL;
        if (bytes[0] != '*')
                return split_inline(at, end, args, ret_error);
        n = checked_number(&at, end);
        for (uint32_t i = 0; i < n; i++) {
                args[i].bytes = checked_number(&at, end);
                args[i].ptr = at;
                at += args[i].bytes + 2;
        }
        return n;
}
