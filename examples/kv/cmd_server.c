/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Commands about the server and the connection: as much as redis-cli and redis-benchmark ask for. What is not here is answered as
 * unknown, which clients know how to live with.
 */
#include <fnmatch.h>
#include <stdio.h>
#include <string.h>

#include "examples/kv/command.h"

#define POPULATE_BYTES_MAX KV_BULK_BYTES_MAX
#define PREFIX_BYTES_MAX 200

static void reply_ok(struct kv_call *call)
{
        kv_reply_text(call, "+OK\r\n");
}

static void reply_unknown_subcommand(struct kv_call *call)
{
        int shown = call->argv[1].bytes < 128 ? (int)call->argv[1].bytes : 128;

        kv_reply_error(call, "ERR unknown subcommand or wrong number of arguments for '%.*s'", shown,
                       call->argv[1].ptr);
}

void kv_cmd_ping(struct kv_call *call)
{
        if (call->argc == 1)
                kv_reply_text(call, "+PONG\r\n");
        else if (call->argc == 2)
                kv_reply_bulk(call, call->argv[1].ptr, call->argv[1].bytes);
        else
                kv_reply_error(call, "ERR wrong number of arguments for 'ping' command");
}

void kv_cmd_echo(struct kv_call *call)
{
        kv_reply_bulk(call, call->argv[1].ptr, call->argv[1].bytes);
}

void kv_cmd_dbsize(struct kv_call *call)
{
        kv_reply_integer(call, (int64_t)call->server->root->table->count);
}

void kv_cmd_select(struct kv_call *call)
{
        int64_t db;

        if (kv_parse_i64(call->argv[1].ptr, call->argv[1].bytes, &db))
                kv_reply_error(call, "ERR value is not an integer or out of range");
        else if (db != 0)
                kv_reply_error(call, "ERR DB index is out of range");
        else
                reply_ok(call);
}

void kv_cmd_quit(struct kv_call *call)
{
        reply_ok(call);
        call->conn->closing = 1;
}

void kv_cmd_client(struct kv_call *call)
{
        const struct kv_arg *sub = &call->argv[1];

        if ((kv_arg_is(sub, "setname") && call->argc == 3) || (kv_arg_is(sub, "setinfo") && call->argc == 4))
                reply_ok(call);
        else if (kv_arg_is(sub, "id") && call->argc == 2)
                kv_reply_integer(call, (int64_t)(call->conn->id >> KV_SLOT_BITS));
        else if (kv_arg_is(sub, "getname") && call->argc == 2)
                kv_reply_nil(call);
        else
                reply_unknown_subcommand(call);
}

/* ---- COMMAND ---- */

static uint32_t command_count(void)
{
        uint32_t count = 0;

        for (const struct kv_command *it = kv_commands; it->name; it++)
                count += kv_command_here(it);
        return count;
}

static void reply_command(struct kv_call *call, const struct kv_command *command)
{
        kv_reply_array(call, 6);
        kv_reply_string(call, command->name);
        kv_reply_integer(call, command->arity);
        kv_reply_array(call, 1);
        kv_reply_text(call, command->flags & KV_COMMAND_WRITES ? "+write\r\n" : "+readonly\r\n");
        kv_reply_integer(call, command->key_first);
        kv_reply_integer(call, command->key_last);
        kv_reply_integer(call, command->key_step);
}

void kv_cmd_command(struct kv_call *call)
{
        if (call->argc >= 2 && kv_arg_is(&call->argv[1], "count")) {
                kv_reply_integer(call, command_count());
        } else if (call->argc >= 2 && kv_arg_is(&call->argv[1], "docs")) {
                kv_reply_array(call, 0); /* redis-cli then works without hints */
        } else if (call->argc >= 2) {
                reply_unknown_subcommand(call);
        } else {
                kv_reply_array(call, command_count());
                for (const struct kv_command *it = kv_commands; it->name; it++) {
                        if (kv_command_here(it))
                                reply_command(call, it);
                }
        }
}

/* ---- CONFIG ---- */

struct setting {
        const char *name;
        char value[32];
};

#define SETTINGS_N 6

static void settings_fill(const struct kv_call *call, struct setting settings[SETTINGS_N])
{
        const struct kv_server *server = call->server;

        settings[0] = (struct setting){"save", ""};
        settings[1] = (struct setting){"appendonly", "no"};
        settings[2] = (struct setting){"databases", "1"};
        settings[3] = (struct setting){.name = "maxmemory"};
        settings[4] = (struct setting){.name = "maxclients"};
        settings[5] = (struct setting){.name = "port"};
        (void)snprintf(settings[3].value, sizeof(settings[3].value), "%zu", baton_arena_max(server->child));
        (void)snprintf(settings[4].value, sizeof(settings[4].value), "%u", server->root->conn_max);
        (void)snprintf(settings[5].value, sizeof(settings[5].value), "%d", server->port);
}

static bool wanted(const struct kv_call *call, const char *name)
{
        for (uint32_t i = 2; i < call->argc; i++) {
                char pattern[64];
                const struct kv_arg *arg = &call->argv[i];

                if (arg->bytes >= sizeof(pattern))
                        continue;
                memcpy(pattern, arg->ptr, arg->bytes);
                pattern[arg->bytes] = '\0';
                if (fnmatch(pattern, name, FNM_CASEFOLD) == 0)
                        return true;
        }
        return false;
}

void kv_cmd_config(struct kv_call *call)
{
        struct setting settings[SETTINGS_N];
        bool shown[SETTINGS_N];
        uint32_t count = 0;

        if (!kv_arg_is(&call->argv[1], "get") || call->argc < 3) {
                reply_unknown_subcommand(call);
                return;
        }
        settings_fill(call, settings);
        for (size_t i = 0; i < SETTINGS_N; i++)
                count += shown[i] = wanted(call, settings[i].name);
        kv_reply_array(call, 2 * count);
        for (size_t i = 0; i < SETTINGS_N; i++) {
                if (!shown[i])
                        continue;
                kv_reply_string(call, settings[i].name);
                kv_reply_string(call, settings[i].value);
        }
}

/* ---- DEBUG ---- */

/* One key, as DEBUG POPULATE of Redis makes it: "<prefix>:<n>" = "value:<n>", filled up with zero bytes to @bytes. A key that is there stays. */
static bool populate_one(struct kv_server *server, const char *prefix, uint64_t n, uint32_t bytes)
{
        char key[PREFIX_BYTES_MAX + 32], value[32];
        uint32_t key_bytes = (uint32_t)snprintf(key, sizeof(key), "%s:%llu", prefix, (unsigned long long)n);
        uint32_t value_bytes = (uint32_t)snprintf(value, sizeof(value), "value:%llu", (unsigned long long)n);
        struct kv_table *table = server->root->table;
        struct kv_entry *entry = NULL;
        bool there;

        if (bytes == 0)
                bytes = value_bytes;
        if (value_bytes > bytes)
                value_bytes = bytes;
        baton_arena_begin(server->child);
        there = kv_table_find(table, key, key_bytes);
        if (!there)
                entry = kv_table_put(server->child, table, key, key_bytes, bytes);
        if (entry) {
                memset(kv_entry_value(entry), 0, bytes);
                memcpy(kv_entry_value(entry), value, value_bytes);
        }
        baton_arena_end(server->child);
        return there || entry;
}

struct populate {
        int64_t count;
        int64_t bytes; /* of each value; 0: as short as it is */
        char prefix[PREFIX_BYTES_MAX + 1];
        const char *error;
};

static void populate_check(const struct kv_call *call, struct populate *order)
{
        const struct kv_arg *argv = call->argv;

        if (kv_parse_i64(argv[2].ptr, argv[2].bytes, &order->count) || order->count < 0)
                order->error = "ERR value is out of range, must be positive";
        if (call->argc > 3) {
                if (argv[3].bytes > PREFIX_BYTES_MAX) {
                        order->error = "ERR the prefix is too long, 200 bytes are the most";
                        return;
                }
                memcpy(order->prefix, argv[3].ptr, argv[3].bytes);
                order->prefix[argv[3].bytes] = '\0';
        }
        if (call->argc > 4 && (kv_parse_i64(argv[4].ptr, argv[4].bytes, &order->bytes) || order->bytes < 0 ||
                               order->bytes > POPULATE_BYTES_MAX))
                order->error = "ERR value is out of range, must be positive";
}

/* A bracket for each key, not one for all: a process that is killed while it fills a gigabyte leaves a table that is whole. */
static void populate(struct kv_call *call, struct populate *order)
{
        struct kv_root *root = call->server->root;

        for (int64_t i = 0; i < order->count; i++) {
                while (!populate_one(call->server, order->prefix, (uint64_t)i, (uint32_t)order->bytes)) {
                        if (!root->graves) {
                                order->error = "OOM the arena is full: not all of the keys were made";
                                return;
                        }
                        (void)kv_bury_some(call->server->child, root);
                }
        }
}

void kv_cmd_debug(struct kv_call *call)
{
        bool known = kv_arg_is(&call->argv[1], "populate") && call->argc >= 3 && call->argc <= 5;
        struct populate order = {.prefix = "key"};

        if (known)
                populate_check(call, &order);
        if (known && !order.error)
                populate(call, &order);

        baton_arena_begin(call->server->child);
        call->server->root->commands++;
        if (!known)
                reply_unknown_subcommand(call);
        else if (order.error)
                kv_reply_error(call, "%s", order.error);
        else
                reply_ok(call);
        baton_arena_end(call->server->child);
}
