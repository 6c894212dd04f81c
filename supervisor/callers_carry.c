/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Clients over an exec of the hub: their connections stay, so none of them has to come back, and one that is just being let in waits a little longer. What each was
 * told is not carried over, because the order of children may be another one: it is told of all members again, which it takes for what it is.
 */
#include <errno.h>
#include <string.h>
#include <sys/epoll.h>

#include "base/fd.h"
#include "supervisor/callers_internal.h"
#include "supervisor/carry.h"

void bt_callers_carry(const struct bt_hub *hub, struct bt_carry_out *out)
{
        bt_list_foreach (it, &hub->callers->list) {
                const struct bt_caller *caller = bt_list_entry(it, struct bt_caller, node);
                struct bt_carry_caller item = {.number = caller->number,
                                               .pid = caller->pid,
                                               .everywhere = caller->everywhere};

                if (caller->fd < 0)
                        continue; /* it has not come back to us: the book knows it */
                item.fd = bt_carry_put_fd(out, caller->fd);
                item.seg = bt_carry_put_fd(out, caller->seg_fd);
                item.bell = bt_carry_put_fd(out, caller->bell);
                for (uint32_t i = 0; i < BT_ATTACH_TARGETS_MAX; i++)
                        memcpy(item.targets[i], caller->targets[i].name, sizeof(item.targets[i]));
                bt_carry_put(out, BT_CARRY_CALLER, &item, sizeof(item), NULL, 0);
        }
}

static int take_number(struct bt_caller *caller, struct bt_carry *carry,
                       const struct bt_carry_caller *says)
{
        int r;

        if (!says->number)
                return 0;
        caller->entry = bt_client_book_find(&caller->hub->callers->book, says->number);
        caller->seg_fd = bt_carry_take(carry, says->seg);
        caller->bell = bt_carry_take(carry, says->bell);
        if (!caller->entry || caller->seg_fd < 0 || caller->bell < 0)
                return -EPROTO;
        r = bt_mailbox_attach(&caller->seg, &caller->ring, caller->seg_fd);
        caller->number = r ? 0 : says->number;
        return r < 0 ? r : r ? -EPROTO : 0;
}

/* One that cannot be taken over is let go of: the end of its connection says so, and the book knows it when it comes back. */
static void take(struct bt_hub *hub, const struct bt_carry_caller *says)
{
        int fd = bt_carry_take(hub->carry, says->fd);
        struct bt_caller *caller = fd < 0 ? NULL : bt_caller_new(hub, says->pid);
        int r;

        if (!caller) {
                (void)bt_close(fd);
                return;
        }
        caller->fd = fd;
        caller->everywhere = says->everywhere;
        r = take_number(caller, hub->carry, says);
        for (uint32_t i = 0; i < BT_ATTACH_TARGETS_MAX; i++) {
                memcpy(caller->targets[i].name, says->targets[i], sizeof(says->targets[i]));
                caller->targets[i].owed = says->targets[i][0] != '\0';
        }
        if (!r)
                r = bt_caller_watch_process(caller);
        if (!r)
                r = bt_loop_watch_fd(hub->loop, &caller->watch, fd, EPOLLIN | EPOLLOUT,
                                     bt_caller_on_ready);
        if (r)
                bt_caller_free(caller);
}

void bt_callers_carried(struct bt_hub *hub)
{
        for (size_t i = 0; hub->carry && hub->carry->items[i]; i++)
                if (hub->carry->items[i]->kind == BT_CARRY_CALLER)
                        take(hub, bt_carry_at(hub->carry->items[i]));
}
