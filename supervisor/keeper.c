/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The process: a list of messages with their descriptors, kept as they came. See keeper.h.
 *
 * It waits for two things, never for both: for its hub, and when that has gone, for the next one.
 */
#include "supervisor/keeper.h"

#include <errno.h>
#include <poll.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/fd.h"
#include "base/list.h"
#include "base/scm.h"

#define HUB_WAIT_NS (5 * BT_NS_PER_S) /* for the next hub to take one message, or to say that it has them all */

struct item {
        struct bt_list node;
        struct bt_keeper_msg msg;
        int fds[BT_HANDOFF_FDS_MAX];
        size_t fd_count;
};

static void item_free(struct item *item)
{
        bt_list_unlink(&item->node);
        for (size_t i = 0; i < item->fd_count; i++)
                (void)bt_close(item->fds[i]);
        free(item);
}

static void forget(struct bt_list *items, const char *id)
{
        bt_list_foreach_safe (it, items) {
                struct item *item = bt_list_entry(it, struct item, node);

                if (!strncmp(item->msg.id, id, sizeof(item->msg.id)))
                        item_free(item);
        }
}

/* True: something to read, or the end. False: @deadline_ns has come. */
static bool wait_for(int fd, short events, uint64_t deadline_ns)
{
        struct pollfd ready = {.fd = fd, .events = events};

        for (;;) {
                uint64_t now = bt_now_ns();
                int timeout = deadline_ns == BT_NS_NEVER ? -1 : now >= deadline_ns ? 0 : (int)((deadline_ns - now) / BT_NS_PER_MS) + 1;
                int r = poll(&ready, 1, timeout);

                if (r > 0 || (r < 0 && errno != EINTR))
                        return true;
                if (!r && timeout == 0)
                        return false;
        }
}

/* ---- its own hub ---- */

/* Takes @item. True: go on. */
static bool hub_said(struct bt_list *items, struct item *item)
{
        switch (item->msg.type) {
        case BT_KEEPER_BATON:
                forget(items, item->msg.id);
                bt_list_push(items, &item->node);
                return true;
        case BT_KEEPER_PARCEL:
        case BT_KEEPER_MAIL:
                bt_list_push(items, &item->node);
                return true;
        case BT_KEEPER_FORGET:
                forget(items, item->msg.id);
                item_free(item);
                return true;
        default:
                item_free(item);
                return false;
        }
}

/* Until it has gone; true: killed, and not ended in order. */
static bool serve_hub(struct bt_list *items, int hub)
{
        for (;;) {
                struct item *item = calloc(1, sizeof(*item));
                ssize_t n;

                if (!item)
                        return true;
                bt_list_init(&item->node);
                (void)wait_for(hub, POLLIN, BT_NS_NEVER);
                n = bt_scm_recv(hub, &item->msg, sizeof(item->msg), item->fds, BT_HANDOFF_FDS_MAX, &item->fd_count);
                if (n != (ssize_t)sizeof(item->msg) || item->msg.magic != BT_KEEPER_MAGIC) {
                        item_free(item);
                        if (n == 0 || (n < 0 && n != -EAGAIN && n != -EMSGSIZE))
                                return true;
                        continue; /* -EMSGSIZE: no room for its descriptors, so it is not kept */
                }
                if (!hub_said(items, item))
                        return false;
        }
}

/* ---- the next one ---- */

static bool send_all(const struct bt_list *items, int hub)
{
        static const struct bt_keeper_msg end = {.magic = BT_KEEPER_MAGIC, .type = BT_KEEPER_END};
        int r = 0;

        bt_list_foreach (it, items) {
                const struct item *item = bt_list_entry(it, struct item, node);

                do
                        r = bt_scm_send(hub, &item->msg, sizeof(item->msg), item->fds, item->fd_count);
                while (r == -EAGAIN && wait_for(hub, POLLOUT, bt_ns_add(bt_now_ns(), HUB_WAIT_NS)));
                if (r)
                        return false;
        }
        do
                r = bt_scm_send(hub, &end, sizeof(end), NULL, 0);
        while (r == -EAGAIN && wait_for(hub, POLLOUT, bt_ns_add(bt_now_ns(), HUB_WAIT_NS)));
        return !r;
}

/* True: it has all. One that dies before it says so has taken nothing. */
static bool give_all(const struct bt_list *items, int hub)
{
        struct bt_keeper_msg answer = {0};
        size_t count = 0;

        return send_all(items, hub) && wait_for(hub, POLLIN, bt_ns_add(bt_now_ns(), HUB_WAIT_NS)) &&
               bt_scm_recv(hub, &answer, sizeof(answer), NULL, 0, &count) == (ssize_t)sizeof(answer) && answer.type == BT_KEEPER_TAKEN;
}

int bt_keeper_run(int hub, int listener)
{
        struct bt_list items = BT_LIST_INIT(items);
        bool killed, taken = false;
        uint64_t deadline;

        (void)prctl(PR_SET_NAME, "baton-keeper");
        killed = serve_hub(&items, hub);
        (void)bt_close(hub);
        deadline = bt_ns_add(bt_now_ns(), BT_KEEPER_WAIT_NS);
        while (killed && !taken && !bt_list_empty(&items) && wait_for(listener, POLLIN, deadline)) {
                int next = accept4(listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

                taken = next >= 0 && give_all(&items, next);
                (void)bt_close(next);
        }
        bt_list_foreach_safe (it, &items)
                item_free(bt_list_entry(it, struct item, node));
        (void)bt_close(listener);
        return 0;
}
