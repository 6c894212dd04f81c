/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A plan is checked once, before anything in it is used; after that the daemon follows offsets without looking.
 *
 * The daemon is the process that must never die, and the plan is the only large thing it is given. So the check is written as if the plan came
 * from an enemy, although it comes from our own command: a bug over there must end in a sentence here, never in a wild read.
 *
 *      sealed?  size?  ── map ──►  head  ──►  sockets  ──►  children  ──►  hooks  ──►  nodes  ──►  groups  ──►  a view
 *                                   │ every offset below is checked against what the head's check has proved
 *                                   └ arrays follow each other without holes; the string table ends in NUL, so any offset into it is a string
 *
 * Because the memfd is sealed against writing and shrinking, what was checked cannot change under us.
 *
 * Work is bounded too. Lists of strings may overlap (the instances of a pool share one), so 65536 children could each name the same
 * 64 MiB; a list that equals the previous child's is not walked again, and the sum of what is walked has a limit.
 *
 * Dropped: a checksum. It would say that the bytes are as they were written, which the seal says, and not that they make sense.
 */
#include "supervisor/plan_check.h"

#include <errno.h>
#include <limits.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <baton/types.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "shm/layout.h"
#include "supervisor/plan.h"

#define PLAN_WALK_BYTES_MAX (UINT64_C(1) << 30) /* all lists together; about a tenth of a second */

struct plan_check {
        const struct bt_plan_view *view;
        uint64_t strings_bytes;
        uint64_t walked_bytes;
        const char *error;
};

/* Notes why, and is false: `return plan_bad(check, "...")`. */
static bool plan_bad(struct plan_check *check, const char *error)
{
        check->error = error;
        return false;
}

static bool all_zero(const uint64_t *words, size_t count)
{
        for (size_t i = 0; i < count; i++)
                if (words[i])
                        return false;
        return true;
}

/* ---- strings ---- */

/* NULL when @off is outside the table. The table's last byte is NUL: what starts inside it ends inside it. */
static const char *string_at(const struct plan_check *check, uint32_t off)
{
        return off < check->strings_bytes ? check->view->strings + off : NULL;
}

/* Letters, digits and ._-; not empty, not starting with a dot: safe as a name of a file and in LISTEN_FDNAMES. */
static bool name_valid(const char *name, size_t bytes_max)
{
        size_t bytes = name ? strnlen(name, bytes_max + 1) : 0;

        if (!bytes || bytes > bytes_max || name[0] == '.')
                return false;
        for (size_t i = 0; i < bytes; i++) {
                char c = name[i];

                if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                      c == '.' || c == '_' || c == '-'))
                        return false;
        }
        return true;
}

bool bt_plan_name_valid(const char *name, size_t bytes)
{
        char copy[BATON_NAME_BYTES_MAX + 1];

        if (bytes >= sizeof(copy))
                return false;
        memcpy(copy, name, bytes);
        copy[bytes] = '\0';
        return name_valid(copy, BATON_NAME_BYTES_MAX);
}

size_t bt_plan_number_at(const char *id)
{
        size_t at = strlen(id);

        while (at && id[at - 1] >= '0' && id[at - 1] <= '9')
                at--;
        return id[at] && at && id[at - 1] == '/' ? at - 1 : SIZE_MAX;
}

bool bt_plan_id_of_instance(const char *id)
{
        const char *node = strrchr(id, '@');

        return bt_plan_number_at(id) != SIZE_MAX || (node && bt_plan_name_valid(node + 1, strlen(node + 1)));
}

/* Any bytes, but an end that would make it the id of an instance. */
static bool pool_valid(const char *name)
{
        return name && *name && strnlen(name, BATON_NAME_BYTES_MAX + 1) <= BATON_NAME_BYTES_MAX && !bt_plan_id_of_instance(name);
}

static bool path_valid(const char *path)
{
        return path && path[0] == '/' && strnlen(path, PATH_MAX) < PATH_MAX;
}

static bool list_valid(struct plan_check *check, uint32_t off, uint32_t count)
{
        const char *at = string_at(check, off);
        const char *end = check->view->strings + check->strings_bytes;
        const char *start = at;

        if (!at || count > BT_PLAN_LIST_MAX)
                return false;
        for (uint32_t i = 0; i < count; i++) {
                if (at >= end || check->walked_bytes + (uint64_t)(at - start) > PLAN_WALK_BYTES_MAX)
                        return false;
                at += strlen(at) + 1;
        }
        check->walked_bytes += (uint64_t)(at - start);
        return true;
}

/* ---- the head ---- */

static bool head_sizes_valid(struct plan_check *check, uint64_t bytes)
{
        const struct bt_plan *plan = check->view->plan;
        uint64_t arrays;

        if (plan->magic != BT_PLAN_MAGIC)
                return plan_bad(check, "this is not a plan (wrong magic)");
        if (plan->version != BT_PLAN_VERSION || plan->head_bytes != sizeof(*plan))
                return plan_bad(check,
                                "the plan has another version: baton and batond must be of the "
                                "same release");
        if (plan->bytes != bytes)
                return plan_bad(check, "the plan's length differs from what its head says");
        if (plan->socket_count > BT_PLAN_SOCKETS_MAX)
                return plan_bad(check, "the plan has more than 256 sockets");
        if (plan->child_count > BT_PLAN_CHILDREN_MAX)
                return plan_bad(check, "the plan has more than 65536 children");
        if (plan->hook_count > BT_PLAN_HOOKS_MAX || plan->hub_hook_count > plan->hook_count)
                return plan_bad(check, "the plan has more than 4096 hooks, or more of the hub than there are");
        if (plan->node_count > BT_PLAN_NODES_MAX || plan->override_count > BT_PLAN_OVERRIDES_MAX || plan->wish_count > BT_PLAN_WISHES_MAX)
                return plan_bad(check, "the plan has more than 256 nodes, 4096 programs of nodes, or 65536 wishes");
        if (plan->group_count > BT_PLAN_GROUPS_MAX || plan->member_count > BT_PLAN_MEMBERS_MAX)
                return plan_bad(check, "the plan has more than 1024 groups, or 65536 members of them");
        if (plan->distribution >= _BT_DISTRIBUTION_N)
                return plan_bad(check, "the plan's distribution is unknown");
        if (plan->hook_timeout_ns > BT_PLAN_NS_MAX || (plan->hook_count && !plan->hook_timeout_ns))
                return plan_bad(check, "the plan's hook_timeout is 0 or longer than 366 days");
        if (plan->move_retry_min_ns > plan->move_retry_max_ns || plan->move_retry_max_ns > BT_PLAN_NS_MAX)
                return plan_bad(check, "the plan's move_retry makes no sense");
        arrays = sizeof(*plan) + plan->socket_count * sizeof(struct bt_plan_socket) +
                 plan->child_count * sizeof(struct bt_plan_child) +
                 plan->hook_count * sizeof(struct bt_plan_hook) +
                 plan->node_count * sizeof(struct bt_plan_node) +
                 plan->override_count * sizeof(struct bt_plan_override) +
                 plan->wish_count * sizeof(struct bt_plan_wish) +
                 plan->group_count * sizeof(struct bt_plan_group) +
                 plan->member_count * sizeof(struct bt_plan_member);
        if (plan->strings_off != arrays || plan->strings_off >= bytes ||
            plan->strings_bytes != bytes - plan->strings_off)
                return plan_bad(check, "the plan's string table does not follow its arrays");
        if (plan->max_parallel > BT_PLAN_CHILDREN_MAX || plan->shutdown_timeout_ns > BT_PLAN_NS_MAX)
                return plan_bad(check, "the plan's max_parallel or shutdown_timeout is out of range");
        if (plan->flags & ~BT_PLAN_FRAGMENT)
                return plan_bad(check, "unknown flags in the plan's head");
        return true;
}

static bool is_fragment(const struct plan_check *check)
{
        return check->view->plan->flags & BT_PLAN_FRAGMENT;
}

/* What only a hub has. */
static bool fragment_head_valid(struct plan_check *check)
{
        const struct bt_plan *plan = check->view->plan;

        if (plan->hub || plan->runtime_dir || plan->state_dir || plan->hub_hook_count || plan->shutdown_timeout_ns || plan->max_parallel)
                return plan_bad(check, "a fragment says what only a whole plan can say");
        if (!string_at(check, plan->config_path))
                return plan_bad(check, "the path of the configuration is outside the string table");
        return true;
}

static bool head_strings_valid(struct plan_check *check)
{
        const struct bt_plan *plan = check->view->plan;
        const char *strings = check->view->strings;

        if (strings[0] || strings[plan->strings_bytes - 1])
                return plan_bad(check, "the plan's string table does not begin and end with NUL");
        check->strings_bytes = plan->strings_bytes;
        if (is_fragment(check))
                return fragment_head_valid(check);
        if (!name_valid(string_at(check, plan->hub), BATON_NAME_BYTES_MAX))
                return plan_bad(check, "the hub's name is not a name");
        if (!path_valid(string_at(check, plan->runtime_dir)))
                return plan_bad(check, "the runtime directory is not an absolute path");
        if (strlen(string_at(check, plan->runtime_dir)) + sizeof("/control.sock") >
            sizeof(((struct sockaddr_un *)NULL)->sun_path))
                return plan_bad(check,
                                "the runtime directory is too long for the address of a socket");
        if (!path_valid(string_at(check, plan->state_dir)))
                return plan_bad(check, "the state directory is not an absolute path");
        if (!string_at(check, plan->config_path))
                return plan_bad(check, "the path of the configuration is outside the string table");
        return true;
}

/* ---- sockets ---- */

static bool address_valid(const struct bt_plan_socket *socket)
{
        const size_t un_off = offsetof(struct sockaddr_un, sun_path);
        sa_family_t family;

        if (socket->addr_bytes < sizeof(family) || socket->addr_bytes > sizeof(socket->addr))
                return false;
        memcpy(&family, socket->addr, sizeof(family));
        switch (family) {
        case AF_INET:
                return socket->addr_bytes == sizeof(struct sockaddr_in);
        case AF_INET6:
                return socket->addr_bytes == sizeof(struct sockaddr_in6);
        case AF_UNIX:
                if (socket->addr_bytes <= un_off + 1 ||
                    socket->addr_bytes > sizeof(struct sockaddr_un))
                        return false;
                /* A path ends at its one NUL; an abstract name begins with it. */
                return !socket->addr[un_off] ||
                       memchr(socket->addr + un_off, 0, socket->addr_bytes - un_off) ==
                               socket->addr + socket->addr_bytes - 1;
        default:
                return false;
        }
}

static bool socket_valid(struct plan_check *check, const struct bt_plan_socket *socket)
{
        if (!name_valid(string_at(check, socket->name), BATON_NAME_BYTES_MAX))
                return plan_bad(check, "a socket's name is not a name");
        if (is_fragment(check)) {
                if (socket->type || socket->backlog || socket->mode || socket->flags || socket->addr_bytes || socket->reserved)
                        return plan_bad(check, "a fragment's socket is more than a name");
                return true;
        }
        if (socket->type != SOCK_STREAM && socket->type != SOCK_DGRAM &&
            socket->type != SOCK_SEQPACKET)
                return plan_bad(check, "a socket's type is unknown");
        if (!address_valid(socket))
                return plan_bad(check, "a socket's address is malformed");
        if (socket->backlog > INT_MAX || socket->mode > 0777)
                return plan_bad(check, "a socket's backlog or mode is out of range");
        if (socket->flags & ~BT_PLAN_SOCKET_REUSEPORT || socket->reserved)
                return plan_bad(check, "a socket's flags or reserved member are not zero");
        if (!string_at(check, socket->text))
                return plan_bad(check, "a socket's text is outside the string table");
        return true;
}

static bool sockets_valid(struct plan_check *check)
{
        const struct bt_plan_view *view = check->view;

        for (uint32_t i = 0; i < view->plan->socket_count; i++) {
                const char *name;

                if (!socket_valid(check, &view->sockets[i]))
                        return false;
                name = string_at(check, view->sockets[i].name);
                for (uint32_t j = 0; j < i; j++)
                        if (!strcmp(name, string_at(check, view->sockets[j].name)))
                                return plan_bad(check, "two sockets have the same name");
        }
        return true;
}

/* ---- children ---- */

static bool child_names_valid(struct plan_check *check, const struct bt_plan_child *child)
{
        const char *id = string_at(check, child->id);
        const char *pool = string_at(check, child->pool);
        const char *cwd = string_at(check, child->cwd);
        size_t pool_bytes;

        if (!id || !*id || strnlen(id, BATON_ID_BYTES_MAX + 1) > BATON_ID_BYTES_MAX)
                return plan_bad(check, "a child's id is not an id");
        if (!pool_valid(pool))
                return plan_bad(check, "a child's pool is not a name");
        pool_bytes = strlen(pool);
        if (strncmp(id, pool, pool_bytes) != 0 || (id[pool_bytes] && bt_plan_number_at(id) != pool_bytes))
                return plan_bad(check, "a child's id is not its pool's name, or that and a number");
        if (!path_valid(string_at(check, child->exec)))
                return plan_bad(check, "a child's exec is not an absolute path");
        if (!cwd || (*cwd && !path_valid(cwd)))
                return plan_bad(check, "a child's cwd is not an absolute path");
        return true;
}

static bool child_lists_valid(struct plan_check *check, const struct bt_plan_child *child,
                              const struct bt_plan_child *previous)
{
        bool same_argv = previous && previous->argv == child->argv &&
                         previous->argv_count == child->argv_count;
        bool same_env =
                previous && previous->env == child->env && previous->env_count == child->env_count;

        if (!child->argv_count ||
            (!same_argv && !list_valid(check, child->argv, child->argv_count)))
                return plan_bad(check, "a child's argv is empty, or not inside the string table");
        if (!same_env && !list_valid(check, child->env, child->env_count))
                return plan_bad(check, "a child's environment is not inside the string table");
        return true;
}

/* Words for people: names, and for @pairs a text behind each. */
static bool labels_valid(struct plan_check *check, uint32_t off, uint32_t count, bool pairs)
{
        const char *at = string_at(check, off);

        if (!list_valid(check, off, count))
                return false;
        for (uint32_t i = 0; i < count; i++, at = bt_plan_string_next(at)) {
                size_t bytes = pairs ? strcspn(at, "=") : strlen(at);

                if (pairs && (!at[bytes] || strlen(at + bytes + 1) > BT_CHILD_META_BYTES_MAX))
                        return false;
                if (!bt_plan_name_valid(at, bytes))
                        return false;
        }
        return true;
}

static bool child_labels_valid(struct plan_check *check, const struct bt_plan_child *child)
{
        if (child->tag_count > BT_CHILD_TAGS_MAX || child->meta_count > BT_CHILD_META_MAX)
                return plan_bad(check, "a child has more than 16 tags or 32 keys in meta");
        if (!labels_valid(check, child->tags, child->tag_count, false))
                return plan_bad(check, "a child's tag is not a name");
        if (!labels_valid(check, child->meta, child->meta_count, true))
                return plan_bad(check, "a child's meta is not KEY=TEXT");
        return true;
}

static bool child_alter_valid(struct plan_check *check, const struct bt_plan_child *child, const struct bt_plan_child *previous)
{
        bool same_argv = previous && previous->alter_argv == child->alter_argv && previous->alter_argv_count == child->alter_argv_count;

        if (!child->alter && !child->alter_argv && !child->alter_argv_count)
                return true;
        if (!path_valid(string_at(check, child->alter)))
                return plan_bad(check, "a child's alter is not an absolute path");
        if (!child->alter_argv_count || (!same_argv && !list_valid(check, child->alter_argv, child->alter_argv_count)))
                return plan_bad(check, "the argv of a child's alter is empty, or not inside the string table");
        if (!check->view->plan->hook_timeout_ns)
                return plan_bad(check, "a child has an alter, and hook_timeout is 0");
        return true;
}

static bool child_sockets_valid(struct plan_check *check, const struct bt_plan_child *child)
{
        if (child->socket_count > BT_CHILD_SOCKETS_MAX)
                return plan_bad(check, "a child has more than 16 sockets");
        for (uint32_t i = 0; i < BT_CHILD_SOCKETS_MAX; i++) {
                if (i >= child->socket_count) {
                        if (child->sockets[i])
                                return plan_bad(check, "an unused socket index is not zero");
                        continue;
                }
                if (child->sockets[i] >= check->view->plan->socket_count)
                        return plan_bad(check, "a child names a socket that is not there");
                for (uint32_t j = 0; j < i; j++)
                        if (child->sockets[j] == child->sockets[i])
                                return plan_bad(check, "a child names a socket twice");
        }
        return true;
}

static bool mailbox_valid(const struct bt_plan_child *child)
{
        uint32_t slots = child->mailbox_slots;

        if (!slots)
                return !child->mailbox_bytes && !child->mailbox_undo_bytes && !child->mailbox_spin_ns && !child->mailbox_shared &&
                       !child->mailbox_deliveries;
        return !(slots & (slots - 1)) && slots >= BT_MAILBOX_SLOTS_MIN && slots <= BT_MAILBOX_SLOTS_MAX && child->mailbox_bytes &&
               child->mailbox_bytes <= BT_MAILBOX_BYTES_MAX && child->mailbox_undo_bytes <= BT_DESK_UNDO_MAX &&
               (!child->mailbox_undo_bytes || child->state_form == BATON_STATE_ARENA) && child->mailbox_spin_ns <= BT_PLAN_SPIN_NS_MAX &&
               child->mailbox_shared <= 1 && child->mailbox_deliveries < BT_LETTER_BEFORE_MAX &&
               child->protocol == BT_PROTOCOL_BATON;
}

static bool replication_valid(struct plan_check *check, const struct bt_plan_child *child)
{
        if (child->replicas && child->handover)
                return plan_bad(check, BT_PLAN_REFUSED);
        if ((child->replicas > BT_PLAN_NODES_MAX && child->replicas != BT_PLAN_REPLICAS_ALL) || child->replication >= _BT_REPLICATION_N ||
            (child->replication && !child->replicas))
                return plan_bad(check, "a child's replication is none of the known ones");
        if (child->replication == BT_REPLICATION_ACTIVE_PASSIVE && child->protocol != BT_PROTOCOL_BATON)
                return plan_bad(check, "a child without libbaton is active_passive, and could not be told");
        if (child->replicas && child->distribution > BT_DISTRIBUTION_GUIDED)
                return plan_bad(check, "a replicated child is placed by a load or in turn");
        return true;
}

static bool child_kinds_valid(struct plan_check *check, const struct bt_plan_child *child)
{
        if (child->protocol >= _BT_PROTOCOL_N || child->strategy >= _BT_STRATEGY_N ||
            child->handover > 1 || child->state_form >= _BATON_STATE_N ||
            child->restart >= _BT_RESTART_N)
                return plan_bad(check,
                                "a child's protocol, strategy, handover, state or restart is "
                                "none of the known ones");
        if (child->hook_first > check->view->plan->hook_count ||
            child->hook_count > check->view->plan->hook_count - child->hook_first)
                return plan_bad(check, "a child has hooks that are not there");
        if (child->protocol == BT_PROTOCOL_PLAIN &&
            (child->strategy != BT_STRATEGY_COLD || child->handover ||
             child->state_form != BATON_STATE_NONE))
                return plan_bad(check, "a plain child has a state, a handover or a hot swap");
        if (child->protocol == BT_PROTOCOL_NOTIFY && (child->handover || child->state_form != BATON_STATE_NONE))
                return plan_bad(check, "a notify child has a state or a handover");
        if (child->watchdog_ns && (child->protocol != BT_PROTOCOL_NOTIFY || child->watchdog_ns > BT_PLAN_NS_MAX))
                return plan_bad(check, "a child's watchdog is too long, or of a child that cannot be heard");
        if (child->checkpoint > 1 || child->durability >= _BT_DURABILITY_N || child->checkpoint_every_ns > BT_PLAN_NS_MAX)
                return plan_bad(check, "a child's checkpoint, checkpoint_every or durability is out of range");
        if ((child->checkpoint && child->state_form == BATON_STATE_NONE) || (child->checkpoint_every_ns && !child->checkpoint) ||
            (child->durability >= BT_DURABILITY_ASYNC && !(child->checkpoint && child->handover)))
                return plan_bad(check, "a child's checkpoints have no state, no room or no handover");
        if (child->hold > 1 || child->spare > 1 || (child->spare && (!child->hold || child->protocol == BT_PROTOCOL_PLAIN)))
                return plan_bad(check, "a child's spare or hold is out of range, or its spare cannot be held");
        if (!mailbox_valid(child))
                return plan_bad(check, "a child's mailbox has a shape that cannot be");
        if (child->distribution >= _BT_DISTRIBUTION_N)
                return plan_bad(check, "a child's distribution is unknown");
        if (child->given >> _BT_PLAN_OPTION_N)
                return plan_bad(check, "a child says options that there are not");
        if (!replication_valid(check, child))
                return false;
        if (child->significant > 1)
                return plan_bad(check, "a child's significant is neither 0 nor 1");
        if (child->zygote > 1 || (child->zygote && child->protocol != BT_PROTOCOL_BATON))
                return plan_bad(check, "a child's zygote is neither 0 nor 1, or its protocol is plain");
        if (!all_zero(child->reserved, BT_ARRAY_LEN(child->reserved)))
                return plan_bad(check, "reserved members of a child are not zero");
        return true;
}

/* Times that must end: all but shutdown, state_ttl and stored_ttl. */
static bool child_limits_valid(struct plan_check *check, const struct bt_plan_child *child)
{
        const uint64_t finite[] = {
                child->max_seconds_ns,
                child->backoff_min_ns,
                child->backoff_max_ns,
                child->healthy_ns,
                child->retention_ns,
                child->handover_data_wait_ns,
                child->child_migration_timeout_ns,
                child->state_query_timeout_ns,
                child->consent_timeout_ns,
                child->consent_retry_ns,
                child->consent_limit_ns,
        };

        for (size_t i = 0; i < BT_ARRAY_LEN(finite); i++)
                if (finite[i] > BT_PLAN_NS_MAX)
                        return plan_bad(check, "one of a child's times is longer than 366 days");
        if ((child->shutdown_ns > BT_PLAN_NS_MAX && child->shutdown_ns != BT_NS_INFINITE) ||
            (child->state_ttl_ns > BT_PLAN_NS_MAX && child->state_ttl_ns != BT_NS_INFINITE) ||
            (child->stored_ttl_ns > BT_PLAN_NS_MAX && child->stored_ttl_ns != BT_NS_INFINITE))
                return plan_bad(check, "a child's shutdown, state_ttl or stored_ttl is longer than 366 days");
        if (child->on_bad_state >= _BT_BAD_STATE_N || !child->restore_attempts || child->restore_attempts > BT_PLAN_ATTEMPTS_MAX)
                return plan_bad(check, "a child's on_bad_state or restore_attempts is out of range");
        if (!child->max_draining || child->max_draining > BT_PLAN_DRAINING_MAX)
                return plan_bad(check, "a child's max_draining is out of range");
        if (child->max_restarts > BT_PLAN_RESTARTS_MAX && child->max_restarts != UINT32_MAX)
                return plan_bad(check, "a child's max_restarts is more than 64");
        if (child->backoff_min_ns > child->backoff_max_ns || !child->max_seconds_ns)
                return plan_bad(check, "a child's backoff or max_seconds makes no sense");
        if (child->state_form == BATON_STATE_ARENA && child->state_bytes_max < BT_ARENA_BYTES_MIN)
                return plan_bad(check, "a child's arena is smaller than 64 KiB");
        if (child->state_bytes_max > BT_ARENA_BYTES_MAX)
                return plan_bad(check, "a child's state is larger than 1 TiB");
        return true;
}

static int id_compare(const void *a, const void *b)
{
        return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* Sorted, because 65536 children compared pair by pair would take a minute. */
static int ids_unique(struct plan_check *check)
{
        uint32_t count = check->view->plan->child_count;
        const char **ids = calloc(count ? count : 1, sizeof(*ids));

        if (!ids)
                return -ENOMEM;
        for (uint32_t i = 0; i < count; i++)
                ids[i] = string_at(check, check->view->children[i].id);
        qsort(ids, count, sizeof(*ids), id_compare);
        for (uint32_t i = 1; i < count; i++)
                if (!strcmp(ids[i - 1], ids[i]))
                        (void)plan_bad(check, "two children have the same id");
        free(ids);
        return check->error ? -EINVAL : 0;
}

static bool children_valid(struct plan_check *check)
{
        const struct bt_plan_child *previous = NULL;

        for (uint32_t i = 0; i < check->view->plan->child_count; i++) {
                const struct bt_plan_child *child = &check->view->children[i];

                if (!child_names_valid(check, child) ||
                    !child_lists_valid(check, child, previous) || !child_alter_valid(check, child, previous) ||
                    !child_labels_valid(check, child) || !child_sockets_valid(check, child) || !child_kinds_valid(check, child) ||
                    !child_limits_valid(check, child))
                        return false;
                previous = child;
        }
        return true;
}

/* ---- hooks ---- */

static bool hooks_valid(struct plan_check *check)
{
        for (uint32_t i = 0; i < check->view->plan->hook_count; i++) {
                const struct bt_plan_hook *hook = &check->view->hooks[i];

                if (hook->event >= _BT_EVENT_N || bt_event_row(hook->event)->reach != BT_EVENT_REACH_HOOK)
                        return plan_bad(check, "a hook's event is none that hooks reach");
                if (!path_valid(string_at(check, hook->exec)))
                        return plan_bad(check, "a hook's exec is not an absolute path");
                if (!hook->argv_count || !list_valid(check, hook->argv, hook->argv_count))
                        return plan_bad(check, "a hook's argv is empty, or not inside the string table");
        }
        return true;
}

/* ---- nodes ---- */

static bool overrides_valid(struct plan_check *check, const struct bt_plan_node *node)
{
        uint32_t count = check->view->plan->override_count;

        if (node->override_first > count || node->override_count > count - node->override_first)
                return plan_bad(check, "a node's programs are not in the plan");
        for (uint32_t i = 0; i < node->override_count; i++) {
                const struct bt_plan_override *override = &check->view->overrides[node->override_first + i];

                if (!pool_valid(string_at(check, override->pool)) || !path_valid(string_at(check, override->exec)))
                        return plan_bad(check, "a node's exec is not a pool's name and an absolute path");
        }
        return true;
}

/* The members that can count are in their ranges, also those that do not. */
static bool node_defaults_valid(struct plan_check *check, const struct bt_plan_child *defaults)
{
        if (defaults->given >> _BT_PLAN_OPTION_N || defaults->strategy >= _BT_STRATEGY_N || defaults->handover > 1 ||
            defaults->restart >= _BT_RESTART_N || defaults->checkpoint_every_ns > BT_PLAN_NS_MAX)
                return plan_bad(check, "a node's defaults are out of range");
        return child_limits_valid(check, defaults);
}

static bool node_valid(struct plan_check *check, const struct bt_plan_node *node)
{
        if (!name_valid(string_at(check, node->name), BATON_NAME_BYTES_MAX))
                return plan_bad(check, "a node's name is not a name");
        if (node->weight > BT_PLAN_WEIGHT_MAX || node->nice < -40 || node->nice > 39 || node->numa < -1 || node->numa > BT_PLAN_NUMA_MAX)
                return plan_bad(check, "a node's weight, nice or numa is out of range");
        if (node->memory_max > BT_ARENA_BYTES_MAX || !all_zero(node->reserved, BT_ARRAY_LEN(node->reserved)))
                return plan_bad(check, "a node's memory is more than 1 TiB, or its reserved members are not zero");
        if (!list_valid(check, node->env, node->env_count))
                return plan_bad(check, "a node's environment is not inside the string table");
        return node_defaults_valid(check, &node->defaults) && overrides_valid(check, node);
}

static bool refuses_none(struct plan_check *check, const struct bt_plan_node *node)
{
        for (uint32_t i = 0; node->defaults.handover && i < check->view->plan->child_count; i++) {
                if (bt_plan_refused_on(&check->view->children[i], node))
                        return plan_bad(check, BT_PLAN_REFUSED);
        }
        return true;
}

static bool nodes_valid(struct plan_check *check)
{
        const struct bt_plan_view *view = check->view;

        if (is_fragment(check) && (view->plan->node_count > 1 || view->plan->wish_count || view->plan->distribution))
                return plan_bad(check, "a fragment has more than one node, or says how children are distributed");
        for (uint32_t i = 0; i < view->plan->node_count; i++) {
                if (!node_valid(check, &view->nodes[i]) || !refuses_none(check, &view->nodes[i]))
                        return false;
                for (uint32_t j = 0; j < i; j++)
                        if (!strcmp(string_at(check, view->nodes[i].name), string_at(check, view->nodes[j].name)))
                                return plan_bad(check, "two nodes have the same name");
        }
        return true;
}

/* "" when it is outside the table. */
static const char *wish_key(const struct plan_check *check, const struct bt_plan_wish *wish)
{
        const char *key = string_at(check, wish->key);

        return key ? key : "";
}

static bool wishes_valid(struct plan_check *check)
{
        for (uint32_t i = 0; i < check->view->plan->wish_count; i++) {
                const struct bt_plan_wish *wish = &check->view->wishes[i];

                if (!*wish_key(check, wish) || strlen(wish_key(check, wish)) > BATON_ID_BYTES_MAX ||
                    !name_valid(string_at(check, wish->node), BATON_NAME_BYTES_MAX))
                        return plan_bad(check, "a wish is not a child's or pool's name and a node's");
        }
        return true;
}

/* ---- groups ---- */

static bool group_valid(struct plan_check *check, const struct bt_plan_group *group)
{
        uint32_t count = check->view->plan->member_count;

        if (!pool_valid(string_at(check, group->name)))
                return plan_bad(check, "a group's name is not a name");
        if (group->strategy >= _BT_GROUP_STRATEGY_N || group->auto_shutdown >= _BT_GROUP_AUTO_N || group->restart >= _BT_RESTART_N ||
            group->significant > 1 || group->ends_hub > 1 || group->reserved)
                return plan_bad(check, "a group's strategy, auto_shutdown, restart, significant or on_end is out of range");
        if ((group->max_restarts > BT_PLAN_RESTARTS_MAX && group->max_restarts != UINT32_MAX) || !group->max_seconds_ns ||
            group->max_seconds_ns > BT_PLAN_NS_MAX)
                return plan_bad(check, "a group's max_restarts is more than 64, or its max_seconds makes no sense");
        if (!group->member_count || group->member_first > count || group->member_count > count - group->member_first)
                return plan_bad(check, "a group's members are not in the plan");
        return true;
}

/* @taken: of children, then of groups: how many are around it. Groups lead to those behind them only, so there is no circle. */
static bool member_valid(struct plan_check *check, uint32_t group, const struct bt_plan_member *member, uint8_t *taken)
{
        const struct bt_plan_view *view = check->view;
        uint32_t children = view->plan->child_count;

        if (!member->count) {
                if (member->first <= group || member->first >= view->plan->group_count)
                        return plan_bad(check, "a group in a group does not come behind it");
                if (taken[children + member->first])
                        return plan_bad(check, "a group is in two groups");
                taken[children + member->first] = (uint8_t)(taken[children + group] + 1);
                if (taken[children + member->first] > BT_PLAN_GROUP_DEPTH_MAX)
                        return plan_bad(check, "more than 16 groups are in each other");
                return true;
        }
        if (member->first > children || member->count > children - member->first)
                return plan_bad(check, "a group's member is not in the plan");
        for (uint32_t i = member->first; i < member->first + member->count; i++) {
                if (taken[i] || view->children[i].replicas)
                        return plan_bad(check, "a child is in two groups, or is replicated");
                taken[i] = 1;
        }
        return true;
}

static bool groups_valid(struct plan_check *check, uint8_t *taken)
{
        const struct bt_plan_view *view = check->view;

        if (is_fragment(check) && (view->plan->group_count || view->plan->member_count))
                return plan_bad(check, "a fragment has groups");
        for (uint32_t i = 0; i < view->plan->group_count; i++) {
                const struct bt_plan_group *group = &view->groups[i];

                if (!group_valid(check, group))
                        return false;
                for (uint32_t k = 0; k < group->member_count; k++)
                        if (!member_valid(check, i, &view->members[group->member_first + k], taken))
                                return false;
                for (uint32_t j = 0; j < i; j++)
                        if (!strcmp(string_at(check, view->groups[j].name), string_at(check, group->name)))
                                return plan_bad(check, "two groups have the same name");
                if (group->ends_hub && taken[view->plan->child_count + i])
                        return plan_bad(check, "a group in a group ends the hub");
        }
        return true;
}

static int groups_check(struct plan_check *check)
{
        uint8_t *taken = calloc((size_t)check->view->plan->child_count + check->view->plan->group_count + 1, sizeof(*taken));
        bool valid;

        if (!taken)
                return -ENOMEM;
        valid = groups_valid(check, taken);
        free(taken);
        return valid ? 0 : -EINVAL;
}

/* ---- all of it ---- */

int bt_plan_check(struct bt_plan_view *view, uint64_t bytes, const char **ret_error)
{
        struct plan_check check = {.view = view};
        int r = -EINVAL;

        if (head_sizes_valid(&check, bytes)) {
                const char *base = (const char *)view->plan;

                view->sockets = (const void *)(base + sizeof(struct bt_plan));
                view->children = (const void *)(view->sockets + view->plan->socket_count);
                view->hooks = (const void *)(view->children + view->plan->child_count);
                view->nodes = (const void *)(view->hooks + view->plan->hook_count);
                view->overrides = (const void *)(view->nodes + view->plan->node_count);
                view->wishes = (const void *)(view->overrides + view->plan->override_count);
                view->groups = (const void *)(view->wishes + view->plan->wish_count);
                view->members = (const void *)(view->groups + view->plan->group_count);
                view->strings = base + view->plan->strings_off;
                if (head_strings_valid(&check) && sockets_valid(&check) && children_valid(&check) &&
                    hooks_valid(&check) && nodes_valid(&check) && wishes_valid(&check))
                        r = ids_unique(&check);
                if (!r)
                        r = groups_check(&check);
        }
        if (check.error)
                *ret_error = check.error;
        return r;
}
