/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * One request: found in a table, checked, executed, answered into the connection's out buffer.
 *
 * The caller brackets the whole call, answer included, so after a crash there is no half-executed command, and sends what is in the out
 * buffer only when the bracket is closed. A client that sees an answer to a write therefore knows that the write survives this process.
 */

#include "examples/kv/state.h"

struct kv_command;

/* One execution. */
struct kv_call {
        struct kv_server *server;
        struct kv_conn *conn;
        const struct kv_command *command;
        const struct kv_arg *argv;
        uint32_t argc;
        int64_t now_ms;
};

typedef void (*kv_command_fn)(struct kv_call *call);

#define KV_COMMAND_WRITES 1u
#define KV_COMMAND_BRACKETS 2u /* long: makes brackets of its own */

struct kv_command {
        const char *name; /* lower case */
        kv_command_fn fn;
        int16_t arity; /* as Redis counts: with the name; negative: at least so many */
        uint16_t flags;
        int8_t key_first, key_last, key_step;
        char since; /* first digit of the KV_VERSION that has it */
};

/* Ends with a NULL name. */
extern const struct kv_command kv_commands[];

/* Executes one request; brackets it. */
void kv_execute(struct kv_server *server, struct kv_conn *conn, uint32_t argc);

bool kv_command_here(const struct kv_command *command);
bool kv_arg_is(const struct kv_arg *arg, const char *word); /* in any case */

/* ---- answers ---- */

/* Appends. Over KV_OUT_BYTES_MAX, or without memory, the connection is marked to be closed and the answer is dropped. */
void kv_reply_raw(struct kv_call *call, const char *bytes, uint32_t count);
void kv_reply_text(struct kv_call *call, const char *text); /* protocol text, e.g. "+OK\r\n" */
void kv_reply_integer(struct kv_call *call, int64_t value);
void kv_reply_array(struct kv_call *call, uint32_t count);
void kv_reply_bulk(struct kv_call *call, const char *bytes, uint32_t count);
void kv_reply_string(struct kv_call *call, const char *text); /* as a bulk */
void kv_reply_nil(struct kv_call *call);
/* "-<text>\r\n"; bytes that would break the line are replaced. */
__attribute__((format(printf, 2, 3))) void kv_reply_error(struct kv_call *call, const char *format, ...);

/* ---- the commands ---- */

/* cmd_keys.c */
void kv_cmd_get(struct kv_call *call);
void kv_cmd_getdel(struct kv_call *call);
void kv_cmd_set(struct kv_call *call);
void kv_cmd_del(struct kv_call *call);
void kv_cmd_exists(struct kv_call *call);
void kv_cmd_incr(struct kv_call *call);
void kv_cmd_decr(struct kv_call *call);
void kv_cmd_incrby(struct kv_call *call);
void kv_cmd_decrby(struct kv_call *call);
void kv_cmd_mset(struct kv_call *call);
void kv_cmd_mget(struct kv_call *call);
void kv_cmd_expire(struct kv_call *call);
void kv_cmd_pexpire(struct kv_call *call);
void kv_cmd_ttl(struct kv_call *call);
void kv_cmd_pttl(struct kv_call *call);
void kv_cmd_flush(struct kv_call *call);

/* cmd_server.c */
void kv_cmd_ping(struct kv_call *call);
void kv_cmd_echo(struct kv_call *call);
void kv_cmd_dbsize(struct kv_call *call);
void kv_cmd_command(struct kv_call *call);
void kv_cmd_config(struct kv_call *call);
void kv_cmd_client(struct kv_call *call);
void kv_cmd_select(struct kv_call *call);
void kv_cmd_quit(struct kv_call *call);
void kv_cmd_debug(struct kv_call *call);

/* info.c */
void kv_cmd_info(struct kv_call *call);
