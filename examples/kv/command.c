/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The table of commands, and what all of them share. Errors are worded as Redis words them: clients match on them.
 */
#include "examples/kv/command.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#define ERROR_BYTES_MAX 512

// clang-format off
const struct kv_command kv_commands[] = {
        /* the frequent ones first: the table is searched from the top */
        {"get",      kv_cmd_get,      2, 0, 1, 1, 1, '1'},
        {"set",      kv_cmd_set,     -3, KV_COMMAND_WRITES, 1, 1, 1, '1'},
        {"incr",     kv_cmd_incr,     2, KV_COMMAND_WRITES, 1, 1, 1, '1'},
        {"ping",     kv_cmd_ping,    -1, 0, 0, 0, 0, '1'},
        {"mset",     kv_cmd_mset,    -3, KV_COMMAND_WRITES, 1, -1, 2, '1'},
        {"mget",     kv_cmd_mget,    -2, 0, 1, -1, 1, '1'},
        {"del",      kv_cmd_del,     -2, KV_COMMAND_WRITES, 1, -1, 1, '1'},
        {"exists",   kv_cmd_exists,  -2, 0, 1, -1, 1, '1'},
        {"decr",     kv_cmd_decr,     2, KV_COMMAND_WRITES, 1, 1, 1, '1'},
        {"incrby",   kv_cmd_incrby,   3, KV_COMMAND_WRITES, 1, 1, 1, '1'},
        {"decrby",   kv_cmd_decrby,   3, KV_COMMAND_WRITES, 1, 1, 1, '1'},
        {"expire",   kv_cmd_expire,   3, KV_COMMAND_WRITES, 1, 1, 1, '1'},
        {"pexpire",  kv_cmd_pexpire,  3, KV_COMMAND_WRITES, 1, 1, 1, '1'},
        {"ttl",      kv_cmd_ttl,      2, 0, 1, 1, 1, '1'},
        {"pttl",     kv_cmd_pttl,     2, 0, 1, 1, 1, '1'},
        {"getdel",   kv_cmd_getdel,   2, KV_COMMAND_WRITES, 1, 1, 1, '2'},
        {"dbsize",   kv_cmd_dbsize,   1, 0, 0, 0, 0, '1'},
        {"flushall", kv_cmd_flush,   -1, KV_COMMAND_WRITES, 0, 0, 0, '1'},
        {"flushdb",  kv_cmd_flush,   -1, KV_COMMAND_WRITES, 0, 0, 0, '1'},
        {"echo",     kv_cmd_echo,     2, 0, 0, 0, 0, '1'},
        {"info",     kv_cmd_info,    -1, 0, 0, 0, 0, '1'},
        {"command",  kv_cmd_command, -1, 0, 0, 0, 0, '1'},
        {"config",   kv_cmd_config,  -2, 0, 0, 0, 0, '1'},
        {"client",   kv_cmd_client,  -2, 0, 0, 0, 0, '1'},
        {"select",   kv_cmd_select,   2, 0, 0, 0, 0, '1'},
        {"quit",     kv_cmd_quit,    -1, 0, 0, 0, 0, '1'},
        {"debug",    kv_cmd_debug,   -2, KV_COMMAND_WRITES | KV_COMMAND_BRACKETS, 0, 0, 0, '1'},
        {NULL,       NULL,            0, 0, 0, 0, 0, '1'},
};
// clang-format on

bool kv_command_here(const struct kv_command *command)
{
        return command->since <= KV_VERSION[0];
}

bool kv_arg_is(const struct kv_arg *arg, const char *word)
{
        return arg->bytes == strlen(word) && strncasecmp(arg->ptr, word, arg->bytes) == 0;
}

static const struct kv_command *find(const struct kv_arg *name)
{
        for (const struct kv_command *it = kv_commands; it->name; it++) {
                if (kv_arg_is(name, it->name))
                        return kv_command_here(it) ? it : NULL;
        }
        return NULL;
}

/* ---- answers ---- */

void kv_reply_raw(struct kv_call *call, const char *bytes, uint32_t count)
{
        struct kv_conn *conn = call->conn;
        char *room = kv_buf_room(call->server->child, &call->server->root->pool, &conn->out, count,
                                 KV_OUT_BYTES_MAX);

        /* A hole in the stream of answers would be worse than its end: after one answer that was dropped no later one is given. */
        if (!room || conn->closing) {
                conn->closing = 1;
                return;
        }
        memcpy(room, bytes, count);
        kv_buf_filled(&conn->out, count);
}

void kv_reply_text(struct kv_call *call, const char *text)
{
        kv_reply_raw(call, text, (uint32_t)strlen(text));
}

static void reply_number(struct kv_call *call, char mark, int64_t value)
{
        char line[KV_I64_BYTES + 3];
        uint32_t n;

        line[0] = mark;
        n = 1 + kv_format_i64(line + 1, value);
        line[n++] = '\r';
        line[n++] = '\n';
        kv_reply_raw(call, line, n);
}

void kv_reply_integer(struct kv_call *call, int64_t value)
{
        reply_number(call, ':', value);
}

void kv_reply_array(struct kv_call *call, uint32_t count)
{
        reply_number(call, '*', count);
}

void kv_reply_bulk(struct kv_call *call, const char *bytes, uint32_t count)
{
        reply_number(call, '$', count);
        kv_reply_raw(call, bytes, count);
        kv_reply_raw(call, "\r\n", 2);
}

void kv_reply_string(struct kv_call *call, const char *text)
{
        kv_reply_bulk(call, text, (uint32_t)strlen(text));
}

void kv_reply_nil(struct kv_call *call)
{
        kv_reply_raw(call, "$-1\r\n", 5);
}

void kv_reply_error(struct kv_call *call, const char *format, ...)
{
        char line[ERROR_BYTES_MAX] = "-";
        va_list args;
        size_t n;

        va_start(args, format);
        (void)vsnprintf(line + 1, sizeof(line) - 3, format, args);
        va_end(args);
        for (n = 0; line[n]; n++) {
                if (line[n] == '\r' || line[n] == '\n')
                        line[n] = ' ';
        }
        line[n++] = '\r';
        line[n++] = '\n';
        kv_reply_raw(call, line, (uint32_t)n);
}

/* ---- execution ---- */

static void reply_unknown(struct kv_call *call)
{
        char said[160] = "";
        size_t n = 0;

        for (uint32_t i = 1; i < call->argc && n < 128; i++) {
                int shown = call->argv[i].bytes < 32 ? (int)call->argv[i].bytes : 32;

                n += (size_t)snprintf(said + n, sizeof(said) - n, "'%.*s' ", shown, call->argv[i].ptr);
                if (n >= sizeof(said))
                        break;
        }
        kv_reply_error(call, "ERR unknown command '%.*s', with args beginning with: %s",
                       call->argv[0].bytes < 128 ? (int)call->argv[0].bytes : 128, call->argv[0].ptr, said);
}

static void run(struct kv_call *call)
{
        int arity = call->command->arity;

        if (arity >= 0 ? call->argc != (uint32_t)arity : call->argc < (uint32_t)-arity) {
                kv_reply_error(call, "ERR wrong number of arguments for '%s' command", call->command->name);
                return;
        }
        call->command->fn(call);
}

void kv_execute(struct kv_server *server, struct kv_conn *conn, uint32_t argc)
{
        struct kv_call call = {
                .server = server,
                .conn = conn,
                .command = find(&server->args[0]),
                .argv = server->args,
                .argc = argc,
                .now_ms = kv_now_ms(),
        };
        bool brackets = call.command && call.command->flags & KV_COMMAND_BRACKETS;

        if (brackets) {
                run(&call);
                return;
        }
        baton_arena_begin(server->child);
        server->root->commands++;
        if (call.command)
                run(&call);
        else
                reply_unknown(&call);
        baton_arena_end(server->child);
}
