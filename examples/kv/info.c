/* SPDX-License-Identifier: Apache-2.0 */
/*
 * INFO. Besides what Redis tools look for it says who answers: kv_version, incarnation, reason, pid. Ask twice around a swap to see
 * that another process, of another version, goes on with the same keys and the same connection.
 */
#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

#include "examples/kv/command.h"

#define INFO_BYTES_MAX 4096

struct text {
        char bytes[INFO_BYTES_MAX];
        size_t count;
};

__attribute__((format(printf, 2, 3))) static void line(struct text *text, const char *format, ...)
{
        size_t room = sizeof(text->bytes) - text->count;
        va_list args;
        int n;

        va_start(args, format);
        n = vsnprintf(text->bytes + text->count, room, format, args);
        va_end(args);
        /* A line that does not fit is left out whole. */
        if (n < 0 || (size_t)n + 2 >= room)
                return;
        text->count += (size_t)n;
        text->bytes[text->count++] = '\r';
        text->bytes[text->count++] = '\n';
}

static const char *reason_name(enum baton_reason reason)
{
        switch (reason) {
        case BATON_REASON_FRESH:
                return "fresh";
        case BATON_REASON_HOT:
                return "hot";
        case BATON_REASON_COLD:
                return "cold";
        case BATON_REASON_CRASH:
                return "crash";
        case BATON_REASON_REBOOT:
                return "reboot";
        case BATON_REASON_ROLLBACK:
                return "rollback";
        default:
                return "unknown";
        }
}

static void about_server(struct text *text, const struct kv_server *server)
{
        line(text, "# Server");
        line(text, "redis_version:7.0.0");
        line(text, "redis_mode:standalone");
        line(text, "kv_version:%s", KV_VERSION);
        line(text, "supervised:%d", baton_child_supervised(server->child));
        line(text, "child:%s", baton_child_id(server->child));
        line(text, "incarnation:%llu", (unsigned long long)baton_child_incarnation(server->child));
        line(text, "reason:%s", reason_name(baton_child_reason(server->child)));
        line(text, "process_id:%ld", (long)getpid());
        line(text, "pid:%ld", (long)getpid());
        line(text, "tcp_port:%d", server->port);
        line(text, "uptime_in_seconds:%lld", (long long)((kv_now_ms() - server->started_ms) / 1000));
}

static void about_clients(struct text *text, const struct kv_server *server)
{
        line(text, "# Clients");
        line(text, "connected_clients:%u", server->root->conn_count);
        line(text, "maxclients:%u", server->root->conn_max);
}

static void about_memory(struct text *text, const struct kv_server *server)
{
        line(text, "# Memory");
        line(text, "used_memory:%zu", baton_arena_used(server->child));
        line(text, "maxmemory:%zu", baton_arena_max(server->child));
        line(text, "lazyfree_pending:%d", server->root->graves != NULL);
}

/* Counted over all incarnations: the counters are part of the state. */
static void about_stats(struct text *text, const struct kv_server *server)
{
        line(text, "# Stats");
        line(text, "total_connections_received:%llu", (unsigned long long)server->root->conn_serial);
        line(text, "total_commands_processed:%llu", (unsigned long long)server->root->commands);
        line(text, "expired_keys:%llu", (unsigned long long)server->root->expired);
}

static void about_keyspace(struct text *text, const struct kv_server *server)
{
        const struct kv_table *table = server->root->table;

        line(text, "# Keyspace");
        if (table->count > 0)
                line(text, "db0:keys=%llu,expires=%llu,avg_ttl=0", (unsigned long long)table->count,
                     (unsigned long long)table->expiring);
}

static const struct {
        const char *name;
        void (*tell)(struct text *text, const struct kv_server *server);
} sections[] = {
        {"server", about_server}, {"clients", about_clients},   {"memory", about_memory},
        {"stats", about_stats},   {"keyspace", about_keyspace},
};

static bool asked(const struct kv_call *call, const char *name)
{
        for (uint32_t i = 1; i < call->argc; i++) {
                const struct kv_arg *arg = &call->argv[i];

                if (kv_arg_is(arg, name) || kv_arg_is(arg, "all") || kv_arg_is(arg, "everything") ||
                    kv_arg_is(arg, "default"))
                        return true;
        }
        return call->argc == 1;
}

void kv_cmd_info(struct kv_call *call)
{
        struct text text = {.count = 0};

        for (size_t i = 0; i < sizeof(sections) / sizeof(sections[0]); i++) {
                if (!asked(call, sections[i].name))
                        continue;
                if (text.count > 0)
                        line(&text, "%s", "");
                sections[i].tell(&text, call->server);
        }
        kv_reply_bulk(call, text.bytes, (uint32_t)text.count);
}
