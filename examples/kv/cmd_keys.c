/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Commands that read and write keys. All run inside the caller's bracket, and none of them changes anything before it knows that it can
 * finish: a command is refused whole. The one exception is MSET, which may run out of memory half way; it says so.
 *
 * A key whose time is over is removed when it is next looked at, and by the sweep in server.c when nobody looks.
 */
#include <stdint.h>
#include <string.h>

#include "examples/kv/command.h"

#define OOM "OOM command not allowed when used memory > 'maxmemory'."

static struct kv_table *table(const struct kv_call *call)
{
        return call->server->root->table;
}

/* The key's entry if it is there and its time is not over. */
static struct kv_entry *lookup(struct kv_call *call, const struct kv_arg *key)
{
        struct kv_entry *entry = kv_table_find(table(call), key->ptr, key->bytes);

        if (!entry || entry->expires_ms == 0 || entry->expires_ms > call->now_ms)
                return entry;
        (void)kv_table_remove(call->server->child, table(call), key->ptr, key->bytes);
        call->server->root->expired++;
        return NULL;
}

/* Writes a value, and leaves the time of an entry that is there as it is. While flushed tables wait to be freed the arena is not full. */
static struct kv_entry *store(struct kv_call *call, const struct kv_arg *key, const char *value, uint32_t bytes)
{
        struct kv_root *root = call->server->root;
        struct kv_entry *entry;

        do {
                entry = kv_table_put(call->server->child, root->table, key->ptr, key->bytes, bytes);
        } while (!entry && root->graves && (kv_bury_some(call->server->child, root), true));
        if (entry)
                memcpy(kv_entry_value(entry), value, bytes);
        return entry;
}

static bool arg_i64(struct kv_call *call, uint32_t idx, int64_t *ret_value)
{
        if (kv_parse_i64(call->argv[idx].ptr, call->argv[idx].bytes, ret_value) == 0)
                return true;
        kv_reply_error(call, "ERR value is not an integer or out of range");
        return false;
}

static void reply_value(struct kv_call *call, struct kv_entry *entry)
{
        if (entry)
                kv_reply_bulk(call, kv_entry_value(entry), entry->value_bytes);
        else
                kv_reply_nil(call);
}

void kv_cmd_get(struct kv_call *call)
{
        reply_value(call, lookup(call, &call->argv[1]));
}

void kv_cmd_getdel(struct kv_call *call)
{
        const struct kv_arg *key = &call->argv[1];
        struct kv_entry *entry = lookup(call, key);

        reply_value(call, entry);
        if (entry)
                (void)kv_table_remove(call->server->child, table(call), key->ptr, key->bytes);
}

void kv_cmd_mget(struct kv_call *call)
{
        kv_reply_array(call, call->argc - 1);
        for (uint32_t i = 1; i < call->argc; i++)
                reply_value(call, lookup(call, &call->argv[i]));
}

void kv_cmd_del(struct kv_call *call)
{
        int64_t removed = 0;

        for (uint32_t i = 1; i < call->argc; i++) {
                const struct kv_arg *key = &call->argv[i];

                if (lookup(call, key))
                        removed += kv_table_remove(call->server->child, table(call), key->ptr, key->bytes);
        }
        kv_reply_integer(call, removed);
}

void kv_cmd_exists(struct kv_call *call)
{
        int64_t found = 0;

        for (uint32_t i = 1; i < call->argc; i++)
                found += lookup(call, &call->argv[i]) != NULL;
        kv_reply_integer(call, found);
}

void kv_cmd_flush(struct kv_call *call)
{
        if (call->argc > 2 || (call->argc == 2 && !kv_arg_is(&call->argv[1], "async") &&
                               !kv_arg_is(&call->argv[1], "sync"))) {
                kv_reply_error(call, "ERR syntax error");
                return;
        }
        kv_flush(call->server->child, call->server->root);
        kv_reply_text(call, "+OK\r\n");
}

/* ---- SET ---- */

struct set_options {
        int64_t expires_ms; /* 0: none given */
        bool keep_ttl;
        bool only_new;
        bool only_old;
};

/* now + @amount * @unit_ms, or -1 when that is no time in the future that fits. */
static int64_t deadline(int64_t now_ms, int64_t amount, int64_t unit_ms)
{
        if (amount > (INT64_MAX - now_ms) / unit_ms || amount < INT64_MIN / unit_ms)
                return -1;
        return now_ms + amount * unit_ms;
}

/* EX and PX with their number. False: an error was answered. */
static bool set_time(struct kv_call *call, uint32_t idx, int64_t unit_ms, struct set_options *options)
{
        int64_t amount;

        if (options->expires_ms || options->keep_ttl || idx >= call->argc) {
                kv_reply_error(call, "ERR syntax error");
                return false;
        }
        if (!arg_i64(call, idx, &amount))
                return false;
        options->expires_ms = amount > 0 ? deadline(call->now_ms, amount, unit_ms) : -1;
        if (options->expires_ms < 0) {
                kv_reply_error(call, "ERR invalid expire time in 'set' command");
                return false;
        }
        return true;
}

static bool set_parse(struct kv_call *call, struct set_options *options)
{
        for (uint32_t i = 3; i < call->argc; i++) {
                const struct kv_arg *arg = &call->argv[i];

                if (kv_arg_is(arg, "nx") && !options->only_old) {
                        options->only_new = true;
                } else if (kv_arg_is(arg, "xx") && !options->only_new) {
                        options->only_old = true;
                } else if (kv_arg_is(arg, "keepttl") && !options->expires_ms) {
                        options->keep_ttl = true;
                } else if (kv_arg_is(arg, "ex") || kv_arg_is(arg, "px")) {
                        if (!set_time(call, ++i, kv_arg_is(arg, "ex") ? 1000 : 1, options))
                                return false;
                } else {
                        kv_reply_error(call, "ERR syntax error");
                        return false;
                }
        }
        return true;
}

void kv_cmd_set(struct kv_call *call)
{
        const struct kv_arg *key = &call->argv[1], *value = &call->argv[2];
        struct set_options options = {0};
        struct kv_entry *entry;

        if (!set_parse(call, &options))
                return;
        entry = lookup(call, key);
        if (entry ? options.only_new : options.only_old) {
                kv_reply_nil(call);
                return;
        }
        entry = store(call, key, value->ptr, value->bytes);
        if (!entry) {
                kv_reply_error(call, OOM);
                return;
        }
        if (!options.keep_ttl)
                kv_table_expire(table(call), entry, options.expires_ms);
        kv_reply_text(call, "+OK\r\n");
}

void kv_cmd_mset(struct kv_call *call)
{
        if (call->argc % 2 == 0) {
                kv_reply_error(call, "ERR wrong number of arguments for 'mset' command");
                return;
        }
        for (uint32_t i = 1; i < call->argc; i += 2) {
                const struct kv_arg *value = &call->argv[i + 1];
                struct kv_entry *entry = store(call, &call->argv[i], value->ptr, value->bytes);

                if (!entry) {
                        kv_reply_error(call, OOM " %u of %u keys were set.", i / 2, call->argc / 2);
                        return;
                }
                kv_table_expire(table(call), entry, 0);
        }
        kv_reply_text(call, "+OK\r\n");
}

/* ---- numbers ---- */

static void add(struct kv_call *call, int64_t by)
{
        const struct kv_arg *key = &call->argv[1];
        struct kv_entry *entry = lookup(call, key);
        char digits[KV_I64_BYTES];
        int64_t value = 0;

        if (entry && kv_parse_i64(kv_entry_value(entry), entry->value_bytes, &value)) {
                kv_reply_error(call, "ERR value is not an integer or out of range");
                return;
        }
        if (__builtin_add_overflow(value, by, &value)) {
                kv_reply_error(call, "ERR increment or decrement would overflow");
                return;
        }
        if (!store(call, key, digits, kv_format_i64(digits, value))) {
                kv_reply_error(call, OOM);
                return;
        }
        kv_reply_integer(call, value);
}

void kv_cmd_incr(struct kv_call *call)
{
        add(call, 1);
}

void kv_cmd_decr(struct kv_call *call)
{
        add(call, -1);
}

void kv_cmd_incrby(struct kv_call *call)
{
        int64_t by;

        if (arg_i64(call, 2, &by))
                add(call, by);
}

void kv_cmd_decrby(struct kv_call *call)
{
        int64_t by;

        if (!arg_i64(call, 2, &by))
                return;
        if (by == INT64_MIN)
                kv_reply_error(call, "ERR decrement would overflow");
        else
                add(call, -by);
}

/* ---- time to live ---- */

static void expire(struct kv_call *call, int64_t unit_ms)
{
        const struct kv_arg *key = &call->argv[1];
        struct kv_entry *entry;
        int64_t amount, at_ms;

        if (!arg_i64(call, 2, &amount))
                return;
        at_ms = deadline(call->now_ms, amount, unit_ms);
        if (at_ms < 0 && amount > 0) {
                kv_reply_error(call, "ERR invalid expire time in '%s' command", call->command->name);
                return;
        }
        entry = lookup(call, key);
        if (entry && amount <= 0)
                (void)kv_table_remove(call->server->child, table(call), key->ptr, key->bytes);
        else if (entry)
                kv_table_expire(table(call), entry, at_ms);
        kv_reply_integer(call, entry != NULL);
}

void kv_cmd_expire(struct kv_call *call)
{
        expire(call, 1000);
}

void kv_cmd_pexpire(struct kv_call *call)
{
        expire(call, 1);
}

/* -2: no such key, -1: no time; else what is left, rounded to @unit_ms. */
static int64_t left(struct kv_call *call, int64_t unit_ms)
{
        struct kv_entry *entry = lookup(call, &call->argv[1]);

        if (!entry)
                return -2;
        if (entry->expires_ms == 0)
                return -1;
        return (entry->expires_ms - call->now_ms + unit_ms / 2) / unit_ms;
}

void kv_cmd_ttl(struct kv_call *call)
{
        kv_reply_integer(call, left(call, 1000));
}

void kv_cmd_pttl(struct kv_call *call)
{
        kv_reply_integer(call, left(call, 1));
}
