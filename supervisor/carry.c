/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reading what was carried: see the header. Everything is checked once, here, so that whoever uses it need not look twice.
 */
#include "supervisor/carry.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/fd.h"
#include "shm/record.h"
#include "supervisor/groups.h"
#include "supervisor/keeper.h"

/* What has been seen up to an item. */
struct reading {
        struct bt_carry *carry;
        bool in_child, in_process; /* there is one in front that this may belong to */
        char *why;
};

__attribute__((format(printf, 2, 3))) static void say(char *why, const char *format, ...)
{
        va_list args;

        va_start(args, format);
        (void)vsnprintf(why, BT_CARRY_WHY_BYTES, format, args);
        va_end(args);
}

/* The value of what is returned, where a linter sees that it is not 0. */
#define refuse(...) (say(__VA_ARGS__), -EPROTO)

/* ---- one item of each kind: its struct is there, is what follows it? ---- */

#define ENDS(array) (memchr(array, '\0', sizeof(array)) != NULL)

static bool fd_known(const struct bt_carry *carry, uint32_t fd)
{
        return fd == BT_CARRY_NONE || fd < carry->fd_count;
}

static bool binary_known(const struct bt_carry *carry, uint32_t binary)
{
        return binary == BT_CARRY_NONE || binary < carry->binary_count;
}

static bool hub_valid(const struct bt_carry *carry, const void *at, uint32_t bytes)
{
        const struct bt_carry_hub *hub = at;

        return bytes == sizeof(*hub) && fd_known(carry, hub->listener) &&
               hub->listener != BT_CARRY_NONE && fd_known(carry, hub->asker) &&
               fd_known(carry, hub->keeper_sock) && fd_known(carry, hub->keeper_pidfd) &&
               hub->event_next > 0;
}

static bool socket_valid(const struct bt_carry *carry, const void *at, uint32_t bytes)
{
        const struct bt_carry_socket *socket = at;

        return bytes == sizeof(*socket) && socket->idx < BT_PLAN_SOCKETS_MAX &&
               socket->fd < carry->fd_count;
}

static bool binary_valid(const struct bt_carry *carry, const void *at, uint32_t bytes)
{
        const struct bt_carry_binary *binary = at;
        const char *path = (const char *)(binary + 1);
        size_t room = bytes - sizeof(*binary);

        return fd_known(carry, binary->fd) && room > 0 && room <= BT_CTL_PATH_BYTES &&
               path[0] == '/' && memchr(path, '\0', room) == path + room - 1;
}

static bool node_valid(const struct bt_carry *carry, const void *at, uint32_t bytes)
{
        const struct bt_carry_node *node = at;

        (void)carry;
        return bytes == sizeof(*node) && ENDS(node->name) && node->state < _BT_HUB_NODE_N;
}

static bool child_valid(const struct bt_carry *carry, const void *at, uint32_t bytes)
{
        const struct bt_carry_child *child = at;
        bool known = binary_known(carry, child->binary) && binary_known(carry, child->own) &&
                     binary_known(carry, child->previous) && fd_known(carry, child->holding);

        for (int i = 0; i < _BT_LINK_MAIL_N; i++)
                known = known && fd_known(carry, child->mail[i]);
        return known && bytes == sizeof(*child) && ENDS(child->id) && child->id[0] &&
               ENDS(child->node) && ENDS(child->ideal) && ENDS(child->note) &&
               child->phase < _BT_PHASE_N && child->number_next > 0 &&
               child->number_next <= BT_INC_MAX + 1;
}

static bool kept_valid(const struct bt_carry *carry, const void *at, uint32_t bytes)
{
        const struct bt_carry_kept *kept = at;

        return bytes == sizeof(*kept) && ENDS(kept->name) && kept->fd < carry->fd_count;
}

static bool parcel_valid(const struct bt_carry *carry, const void *at, uint32_t bytes)
{
        const struct bt_carry_parcel *parcel = at;

        if (bytes != sizeof(*parcel) || parcel->message.count > BT_HANDOFF_FDS_MAX)
                return false;
        for (uint32_t i = 0; i < parcel->message.count; i++)
                if (parcel->fds[i] >= carry->fd_count)
                        return false;
        return true;
}

static bool process_valid(const struct bt_carry *carry, const void *at, uint32_t bytes)
{
        const struct bt_carry_process *p = at;
        bool linked = p->link != BT_CARRY_NONE;

        return bytes == sizeof(*p) && p->entry < BT_REGISTRY_MAX && p->pid > 0 &&
               p->pidfd < carry->fd_count && fd_known(carry, p->link) &&
               fd_known(carry, p->holding) && fd_known(carry, p->bell) &&
               fd_known(carry, p->channel) && fd_known(carry, p->out) && fd_known(carry, p->err) &&
               p->binary < carry->binary_count &&
               (!linked || (p->holding != BT_CARRY_NONE && p->bell != BT_CARRY_NONE &&
                            p->channel != BT_CARRY_NONE));
}

static bool log_valid(const struct bt_carry *carry, const void *at, uint32_t bytes)
{
        const struct bt_carry_log *log = at;

        (void)carry;
        return (log->which == 1 || log->which == 2) &&
               log->line_bytes < BT_LOG_LINE_MAX - BT_LOG_HEAD_MAX &&
               log->tail_bytes <= BT_LOG_TAIL_BYTES &&
               bytes == sizeof(*log) + log->line_bytes + log->tail_bytes;
}

static bool notify_valid(const struct bt_carry *carry, const void *at, uint32_t bytes)
{
        const struct bt_carry_notify *notify = at;

        return bytes == sizeof(*notify) && notify->fd < carry->fd_count &&
               fd_known(carry, notify->launcher) && ENDS(notify->path);
}

static bool group_valid(const struct bt_carry *carry, const void *at, uint32_t bytes)
{
        const struct bt_carry_group *group = at;
        const struct bt_carry_member *members = (const void *)(group + 1);

        (void)carry;
        if (group->count > BT_PLAN_CHILDREN_MAX + BT_PLAN_GROUPS_MAX ||
            bytes != sizeof(*group) + group->count * sizeof(*members) || !ENDS(group->name) ||
            !ENDS(group->note) || group->state >= _BT_GROUP_S_N || group->after >= _BT_GROUP_S_N ||
            group->culprit > group->count)
                return false;
        for (uint32_t i = 0; i < group->count; i++)
                if (members[i].state >= _BT_GROUP_M_N)
                        return false;
        return true;
}

static bool event_valid(const struct bt_carry *carry, const void *at, uint32_t bytes)
{
        const struct bt_carry_event *event = at;

        (void)carry;
        return bytes == sizeof(*event) && ENDS(event->name) && ENDS(event->child) &&
               ENDS(event->text);
}

static bool client_valid(const struct bt_carry *carry, const void *at, uint32_t bytes)
{
        const struct bt_carry_client *client = at;

        return bytes == sizeof(*client) && client->fd < carry->fd_count;
}

static bool caller_valid(const struct bt_carry *carry, const void *at, uint32_t bytes)
{
        const struct bt_carry_caller *caller = at;

        for (int i = 0; i < BT_ATTACH_TARGETS_MAX; i++)
                if (!ENDS(caller->targets[i]))
                        return false;
        return bytes == sizeof(*caller) && caller->pid > 0 && caller->fd < carry->fd_count &&
               fd_known(carry, caller->seg) && fd_known(carry, caller->bell);
}

static bool fds_valid(const struct bt_carry *carry, const void *at, uint32_t bytes)
{
        const int32_t *fds = at;

        if (bytes != carry->fd_count * sizeof(*fds))
                return false;
        for (uint32_t i = 0; i < carry->fd_count; i++)
                if (fds[i] <= STDERR_FILENO)
                        return false;
        return true;
}

static const struct {
        bool (*valid)(const struct bt_carry *carry, const void *at, uint32_t bytes);
        size_t bytes_min;
        bool of_child, of_process;
} kinds[_BT_CARRY_N] = {
        [BT_CARRY_HUB] = {hub_valid, sizeof(struct bt_carry_hub), false, false},
        [BT_CARRY_SOCKET] = {socket_valid, sizeof(struct bt_carry_socket), false, false},
        [BT_CARRY_BINARY] = {binary_valid, sizeof(struct bt_carry_binary), false, false},
        [BT_CARRY_NODE] = {node_valid, sizeof(struct bt_carry_node), false, false},
        [BT_CARRY_CHILD] = {child_valid, sizeof(struct bt_carry_child), false, false},
        [BT_CARRY_KEPT] = {kept_valid, sizeof(struct bt_carry_kept), true, false},
        [BT_CARRY_PARCEL] = {parcel_valid, sizeof(struct bt_carry_parcel), true, false},
        [BT_CARRY_PROCESS] = {process_valid, sizeof(struct bt_carry_process), true, false},
        [BT_CARRY_LOG] = {log_valid, sizeof(struct bt_carry_log), true, true},
        [BT_CARRY_NOTIFY] = {notify_valid, sizeof(struct bt_carry_notify), true, true},
        [BT_CARRY_GROUP] = {group_valid, sizeof(struct bt_carry_group), false, false},
        [BT_CARRY_EVENT] = {event_valid, sizeof(struct bt_carry_event), false, false},
        [BT_CARRY_CLIENT] = {client_valid, sizeof(struct bt_carry_client), false, false},
        [BT_CARRY_CALLER] = {caller_valid, sizeof(struct bt_carry_caller), false, false},
        [BT_CARRY_FDS] = {fds_valid, 0, false, false},
};

bool bt_carry_of_child(const struct bt_carry_item *item)
{
        return kinds[item->kind].of_child;
}

bool bt_carry_of_process(const struct bt_carry_item *item)
{
        return kinds[item->kind].of_process;
}

/* ---- the whole ---- */

static const struct bt_carry_item *item_next(const struct bt_carry_item *item)
{
        return (const void *)((const char *)(item + 1) + (((size_t)item->bytes + 7) & ~(size_t)7));
}

/* Copies it: nobody can change it any more. */
static int read_all(struct bt_carry *carry, int fd, char *why)
{
        struct bt_carry_head head = {0};
        struct stat st;
        ssize_t n;

        if (fstat(fd, &st) < 0 || pread(fd, &head, sizeof(head), 0) != (ssize_t)sizeof(head) ||
            head.magic != BT_CARRY_MAGIC)
                return refuse(why, "what was carried over is not what a hub writes");
        if (head.version_oldest > BT_CARRY_VERSION || head.version < BT_CARRY_VERSION)
                return refuse(why, "it is of version %u, this program reads version %u",
                              head.version, BT_CARRY_VERSION);
        if (head.bytes != (uint64_t)st.st_size || head.bytes > BT_CARRY_BYTES_MAX ||
            head.head_bytes != sizeof(head) || head.bytes % 8)
                return refuse(why, "it has another length than it says");
        carry->at = malloc(head.bytes);
        if (!carry->at)
                return -ENOMEM;
        n = pread(fd, carry->at, head.bytes, 0);
        if (n != (ssize_t)head.bytes)
                return refuse(why, "it cannot be read");
        carry->xxh3 = head.xxh3;
        return 0;
}

uint64_t bt_carry_sum(const struct bt_carry_head *head)
{
        struct bt_carry_head first = *head;
        struct bt_sum sum;

        first.xxh3 = 0;
        bt_sum_init(&sum);
        bt_sum_add(&sum, &first, sizeof(first));
        bt_sum_add(&sum, head + 1, head->bytes - sizeof(first));
        return bt_sum_end(&sum);
}

static int check_sum(const struct bt_carry *carry, char *why)
{
        const struct bt_carry_head *head = carry->at;

        return bt_carry_sum(head) == head->xxh3 ? 0 : refuse(why, "its checksum is wrong");
}

/* Where each item is, and how many there are of those that others name. */
static int find_items(struct bt_carry *carry, char *why)
{
        const struct bt_carry_head *head = carry->at;
        const char *end = (const char *)carry->at + head->bytes;
        const struct bt_carry_item *item = (const void *)(head + 1);

        if (head->item_count > head->bytes / sizeof(*item))
                return refuse(why, "it has more items than room");
        carry->items = calloc((size_t)head->item_count + 1, sizeof(void *));
        if (!carry->items)
                return -ENOMEM;
        for (uint32_t i = 0; i < head->item_count; i++, item = item_next(item)) {
                if ((size_t)(end - (const char *)item) < sizeof(*item) ||
                    (size_t)(end - (const char *)(item + 1)) < item->bytes)
                        return refuse(why, "an item ends behind its end");
                if (item->kind >= _BT_CARRY_N || !kinds[item->kind].valid)
                        return refuse(why,
                                      "it has an item of kind %u, which this program does not know",
                                      item->kind);
                if (item->bytes < kinds[item->kind].bytes_min)
                        return refuse(why, "an item of kind %u is too short", item->kind);
                carry->items[i] = item;
                carry->child_count += item->kind == BT_CARRY_CHILD;
                carry->binary_count += item->kind == BT_CARRY_BINARY;
                carry->fd_count = item->kind == BT_CARRY_FDS
                                          ? item->bytes / (uint32_t)sizeof(int32_t)
                                          : carry->fd_count;
        }
        return (const char *)item == end ? 0
                                         : refuse(why, "there is something behind its last item");
}

static int check_items(struct bt_carry *carry, char *why)
{
        bool child = false, process = false;

        for (size_t i = 0; carry->items[i]; i++) {
                const struct bt_carry_item *item = carry->items[i];
                uint32_t kind = item->kind;

                if (!kinds[kind].valid(carry, bt_carry_at(item), item->bytes) ||
                    (kinds[kind].of_child && !child) || (kinds[kind].of_process && !process) ||
                    (kind == BT_CARRY_HUB) != (i == 0))
                        return refuse(why, "an item of kind %u is not what it should be", kind);
                child = kind == BT_CARRY_CHILD || kinds[kind].of_child;
                process = kind == BT_CARRY_PROCESS || kinds[kind].of_process;
        }
        return carry->items[0] ? 0 : refuse(why, "it is empty");
}

static int by_id(const void *a, const void *b)
{
        const struct bt_carry_child *left =
                bt_carry_at(**(const struct bt_carry_item *const *const *)a);
        const struct bt_carry_child *right =
                bt_carry_at(**(const struct bt_carry_item *const *const *)b);

        return strcmp(left->id, right->id);
}

static void index_processes(struct bt_carry *carry)
{
        for (size_t i = 0; carry->items[i]; i++) {
                const struct bt_carry_process *process = bt_carry_at(carry->items[i]);

                if (carry->items[i]->kind == BT_CARRY_PROCESS)
                        carry->processes[process->entry] = &carry->items[i];
        }
}

static uint32_t processes_room(const struct bt_carry *carry)
{
        uint32_t room = 0;

        for (size_t i = 0; carry->items[i]; i++) {
                const struct bt_carry_process *process = bt_carry_at(carry->items[i]);

                if (carry->items[i]->kind == BT_CARRY_PROCESS && process->entry >= room)
                        room = process->entry + 1;
        }
        return room;
}

static int index_items(struct bt_carry *carry)
{
        uint32_t children = 0, binaries = 0;

        carry->children = calloc((size_t)carry->child_count + 1, sizeof(void *));
        carry->binaries = calloc((size_t)carry->binary_count + 1, sizeof(void *));
        carry->made = calloc((size_t)carry->binary_count + 1, sizeof(void *));
        carry->fds = calloc((size_t)carry->fd_count + 1, sizeof(*carry->fds));
        carry->process_room = processes_room(carry);
        carry->processes = calloc((size_t)carry->process_room + 1, sizeof(void *));
        if (!carry->children || !carry->binaries || !carry->made || !carry->fds ||
            !carry->processes)
                return -ENOMEM;
        index_processes(carry);
        for (size_t i = 0; carry->items[i]; i++) {
                if (carry->items[i]->kind == BT_CARRY_CHILD)
                        carry->children[children++] = &carry->items[i];
                if (carry->items[i]->kind == BT_CARRY_BINARY)
                        carry->binaries[binaries++] = carry->items[i];
        }
        for (uint32_t i = 0; i < carry->fd_count; i++)
                carry->fds[i] = -1;
        if (children)
                qsort((void *)carry->children, children, sizeof(void *), by_id);
        carry->hub = bt_carry_at(carry->items[0]);
        return 0;
}

/* What the two programs must agree on, beside the format. */
static int check_others(const struct bt_carry *carry, char *why)
{
        const struct bt_carry_hub *hub = carry->hub;

        if (hub->layout != BT_LAYOUT_VERSION)
                return refuse(
                        why,
                        "the shared memory of the children has layout %u, this program knows %u",
                        hub->layout, BT_LAYOUT_VERSION);
        if (hub->registry_magic != BT_REGISTRY_MAGIC)
                return refuse(why, "the register of processes is of another version");
        if (hub->keeper_magic != BT_KEEPER_MAGIC)
                return refuse(why, "the keeper is of another version");
        if (hub->plan_version != BT_PLAN_VERSION)
                return refuse(why, "the plan is of version %u, this program reads %u",
                              hub->plan_version, BT_PLAN_VERSION);
        return 0;
}

int bt_carry_open(struct bt_carry **ret_carry, int fd, char ret_why[BT_CARRY_WHY_BYTES])
{
        struct bt_carry *carry = calloc(1, sizeof(*carry));
        int r = carry ? read_all(carry, fd, ret_why) : -ENOMEM;

        if (!r)
                r = check_sum(carry, ret_why);
        if (!r)
                r = find_items(carry, ret_why);
        if (!r)
                r = check_items(carry, ret_why);
        if (!r)
                r = index_items(carry);
        if (!r)
                r = check_others(carry, ret_why);
        if (r == -ENOMEM)
                (void)snprintf(ret_why, BT_CARRY_WHY_BYTES, "out of memory");
        if (r) {
                (void)bt_carry_free(carry);
                return r;
        }
        *ret_carry = carry;
        return 0;
}

struct bt_carry *bt_carry_free(struct bt_carry *carry)
{
        if (!carry)
                return NULL;
        for (uint32_t i = 0; carry->fds && i < carry->fd_count; i++)
                (void)bt_close(carry->fds[i]);
        for (uint32_t i = 0; carry->made && i < carry->binary_count; i++)
                (void)bt_binary_unref(carry->made[i]);
        free(carry->fds);
        free((void *)carry->made);
        free((void *)carry->binaries);
        free((void *)carry->children);
        free((void *)carry->processes);
        free((void *)carry->items);
        free(carry->at);
        free(carry);
        return NULL;
}

void bt_carry_own(struct bt_carry *carry)
{
        const int32_t *fds = NULL;

        for (size_t i = 0; carry->items[i]; i++)
                if (carry->items[i]->kind == BT_CARRY_FDS)
                        fds = bt_carry_at(carry->items[i]);
        for (uint32_t i = 0; fds && i < carry->fd_count; i++)
                carry->fds[i] = fcntl(fds[i], F_SETFD, FD_CLOEXEC) < 0 ? -1 : fds[i];
}

static int find_id(const void *key, const void *at)
{
        const struct bt_carry_child *child =
                bt_carry_at(**(const struct bt_carry_item *const *const *)at);

        return strcmp(key, child->id);
}

const struct bt_carry_item *const *bt_carry_child(const struct bt_carry *carry, const char *id)
{
        const struct bt_carry_item *const *const *found =
                carry->child_count ? bsearch(id, (const void *)carry->children, carry->child_count,
                                             sizeof(void *), find_id)
                                   : NULL;

        return found ? *found : NULL;
}

int bt_carry_take(struct bt_carry *carry, uint32_t fd)
{
        return fd == BT_CARRY_NONE ? -1 : BT_STEAL_FD(carry->fds[fd]);
}

int bt_carry_dup(const struct bt_carry *carry, uint32_t fd)
{
        return fd == BT_CARRY_NONE || carry->fds[fd] < 0
                       ? -1
                       : fcntl(carry->fds[fd], F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
}
