/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Listening sockets: `tcp://HOST:PORT`, `tcp6://`, `udp://`, `udp6://`, `unix://PATH`, or a map with `listen` and options.
 *
 * The text is taken apart here and not by a URL library: there is no user, query or fragment, and each of them would be a mistake. Names are
 * resolved in the command, once, before anything runs: the daemon gets bytes. A name with several addresses gives the first; a
 * service that wants them all says so with several sockets.
 */
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "base/cleanup.h"
#include "supervisor/baton/reader.h"
#include "supervisor/baton/value.h"

#define BACKLOG_MAX 65535

struct scheme {
        const char *prefix;
        int family; /* AF_INET: a host in brackets makes it AF_INET6 */
        int type;
};

static const struct scheme schemes[] = {
        {"tcp://", AF_INET, SOCK_STREAM},  {"tcp6://", AF_INET6, SOCK_STREAM},
        {"udp://", AF_INET, SOCK_DGRAM},   {"udp6://", AF_INET6, SOCK_DGRAM},
        {"unix://", AF_UNIX, SOCK_STREAM},
};

static const char address_forms[] = "expected an address such as tcp://127.0.0.1:8080, "
                                    "tcp6://[::1]:8080, udp://*:53 or unix:///run/app.sock";

static void socket_error(struct bt_reader *reader, const struct bt_config_socket *socket,
                         const char *what)
{
        bt_diag_error(reader->diag, socket->mark, "'%s': %s", socket->text, what);
}

/* ---- HOST:PORT ---- */

struct host_port {
        const char *host; /* NULL: any address */
        const char *port;
        bool bracketed;
};

/* Returns what is wrong, NULL: nothing. */
static const char *host_port_split(struct bt_mem *mem, const char *text, struct host_port *ret)
{
        const char *colon = strrchr(text, ':');
        const char *host = text;
        uint64_t port = 0;
        size_t bytes;

        if (!colon || bt_value_number(&port, colon + 1, 0, 65535))
                return "expected HOST:PORT with a port from 1 to 65535";
        if (!port)
                return "port 0 would be another port after each start: choose one from 1 to 65535";
        bytes = (size_t)(colon - text);
        ret->bracketed = bytes >= 2 && text[0] == '[' && colon[-1] == ']';
        if (ret->bracketed) {
                host++;
                bytes -= 2;
        } else if (memchr(text, ':', bytes)) {
                return "an IPv6 address stands in brackets: [::1]:8080";
        }
        if (memchr(host, '/', bytes))
                return address_forms;
        ret->port = colon + 1;
        ret->host = !bytes || (bytes == 1 && *host == '*') ? NULL : bt_mem_copy(mem, host, bytes);
        return NULL;
}

static void resolve(struct bt_reader *reader, struct bt_config_socket *socket, int family,
                    const struct host_port *where)
{
        struct addrinfo hints = {
                .ai_family = family,
                .ai_socktype = (int)socket->spec.type,
                .ai_flags =
                        AI_PASSIVE | AI_NUMERICSERV | (reader->world->offline ? AI_NUMERICHOST : 0),
        };
        struct addrinfo *found = NULL;
        int r = getaddrinfo(where->host, where->port, &hints, &found);

        if (r) {
                bt_diag_error(reader->diag, socket->mark,
                              "cannot resolve '%s' to an %s address: %s",
                              where->host ? where->host : "*", family == AF_INET6 ? "IPv6" : "IPv4",
                              r == EAI_SYSTEM ? strerrordesc_np(errno) : gai_strerror(r));
                return;
        }
        socket->spec.addr_bytes = (uint32_t)found->ai_addrlen;
        memcpy(socket->spec.addr, found->ai_addr, found->ai_addrlen);
        freeaddrinfo(found);
}

static void read_inet(struct bt_reader *reader, struct bt_config_socket *socket, int family,
                      const char *rest)
{
        struct host_port where = {0};
        const char *wrong = host_port_split(&reader->config->mem, rest, &where);

        if (wrong)
                socket_error(reader, socket, wrong);
        else
                resolve(reader, socket, where.bracketed ? AF_INET6 : family, &where);
}

/* ---- unix ---- */

static void read_unix(struct bt_reader *reader, struct bt_config_socket *socket, const char *rest)
{
        struct sockaddr_un un = {.sun_family = AF_UNIX};
        bool abstract = rest[0] == '@';
        const char *path = abstract || !*rest ? rest : bt_read_path(reader, rest);
        size_t bytes =
                strlen(path) + (abstract ? 0 : 1); /* an abstract name has no NUL at its end */

        if (!path[abstract ? 1 : 0]) {
                socket_error(reader, socket,
                             "expected a path: unix:///run/app.sock, or unix://app.sock beside "
                             "this file, or unix://@name");
                return;
        }
        if (bytes > sizeof(un.sun_path)) {
                bt_diag_error(
                        reader->diag, socket->mark,
                        "'%s': the path is %zu bytes long, and the address of a socket holds 107",
                        path, bytes - 1);
                return;
        }
        memcpy(un.sun_path, path, bytes);
        if (abstract)
                un.sun_path[0] = 0;
        socket->spec.addr_bytes = (uint32_t)(offsetof(struct sockaddr_un, sun_path) + bytes);
        memcpy(socket->spec.addr, &un, socket->spec.addr_bytes);
}

/* ---- the entry ---- */

static int socket_family(const struct bt_config_socket *socket)
{
        sa_family_t family = AF_UNSPEC;

        if (socket->spec.addr_bytes)
                memcpy(&family, socket->spec.addr, sizeof(family));
        return family;
}

static void read_listen(struct bt_reader *reader, struct bt_config_socket *socket,
                        const struct bt_yaml *node)
{
        const char *text = bt_read_text(reader, node, "listen");

        if (!text)
                return;
        socket->text = text;
        socket->mark = node->mark;
        for (size_t i = 0; i < BT_ARRAY_LEN(schemes); i++) {
                size_t bytes = strlen(schemes[i].prefix);

                if (strncmp(text, schemes[i].prefix, bytes) != 0)
                        continue;
                socket->spec.type = (uint32_t)schemes[i].type;
                if (schemes[i].family == AF_UNIX)
                        read_unix(reader, socket, text + bytes);
                else
                        read_inet(reader, socket, schemes[i].family, text + bytes);
                return;
        }
        socket_error(reader, socket, address_forms);
}

static void read_backlog(struct bt_reader *reader, struct bt_config_socket *socket,
                         const struct bt_yaml *node)
{
        const char *text = bt_read_text(reader, node, "backlog");
        uint64_t backlog = 0;
        const char *wrong = text ? bt_value_number(&backlog, text, 1, BACKLOG_MAX) : NULL;

        if (wrong)
                bt_diag_error(reader->diag, node->mark, "'backlog': %s (1 to %d)", wrong,
                              BACKLOG_MAX);
        socket->spec.backlog = (uint32_t)backlog;
}

static void read_mode(struct bt_reader *reader, struct bt_config_socket *socket,
                      const struct bt_yaml *node)
{
        const char *text = bt_read_text(reader, node, "mode");
        const char *wrong = text ? bt_value_mode(&socket->spec.mode, text) : NULL;
        int family = socket_family(socket);

        if (wrong)
                bt_diag_error(reader->diag, node->mark, "'mode': %s", wrong);
        else if (family == AF_INET || family == AF_INET6 ||
                 (socket->text && strstr(socket->text, "//@")))
                bt_diag_error(reader->diag, node->mark,
                              "'mode' is for sockets with a path (unix://) only");
}

static void read_reuseport(struct bt_reader *reader, struct bt_config_socket *socket,
                           const struct bt_yaml *node)
{
        const char *text = bt_read_text(reader, node, "reuseport");
        bool on = false;
        const char *wrong = text ? bt_value_switch(&on, text) : NULL;

        if (wrong)
                bt_diag_error(reader->diag, node->mark, "'reuseport': %s", wrong);
        else if (on && socket_family(socket) == AF_UNIX)
                bt_diag_error(reader->diag, node->mark, "'reuseport' is for tcp and udp only");
        else if (on)
                socket->spec.flags |= BT_PLAN_SOCKET_REUSEPORT;
}

static void read_map(struct bt_reader *reader, struct bt_config_socket *socket,
                     const struct bt_yaml *map)
{
        static const char *const known[] = {"listen", "backlog", "mode", "reuseport", NULL};
        static void (*const apply[])(struct bt_reader *, struct bt_config_socket *,
                                     const struct bt_yaml *) = {read_listen, read_backlog,
                                                                read_mode, read_reuseport};

        /* In the order of @known, not of the text: the options are judged by the address. */
        for (size_t k = 0; known[k]; k++) {
                const struct bt_yaml *value = bt_yaml_get(map, known[k]);

                if (value)
                        apply[k](reader, socket, value);
        }
        bt_read_known(reader, map, known);
        if (!bt_yaml_get(map, "listen"))
                bt_diag_error(reader->diag, socket->name_mark,
                              "the socket '%s' has no address: add 'listen', such as "
                              "tcp://127.0.0.1:8080",
                              socket->name);
}

void bt_read_socket(struct bt_reader *reader, struct bt_config_socket *socket,
                    const struct bt_yaml *value)
{
        socket->text = "";
        socket->mark = socket->name_mark;
        socket->spec.mode = 0600;
        if (value->kind == BT_YAML_MAP)
                read_map(reader, socket, value);
        else
                read_listen(reader, socket, value);
        if (socket_family(socket) != AF_UNIX)
                socket->spec.mode = 0;
}
