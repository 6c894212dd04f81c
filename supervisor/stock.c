/* SPDX-License-Identifier: Apache-2.0 */
/* See the header. A set is 15 system calls and the first touch of a page: 40 us that a restart would wait for. */
#include "supervisor/stock.h"

#include <errno.h>
#include <string.h>
#include <sys/eventfd.h>

#include "base/fd.h"
#include "base/scm.h"
#include "shm/link.h"
#include "supervisor/hub.h"

#define DUE_AT_ONCE 1

static const struct bt_stock_set none = {.link_seg = BT_SEG_NULL, .link_fd = -1, .bell = -1, .channel = {-1, -1}};

static void set_free(struct bt_stock_set *set)
{
        bt_seg_detach(&set->link_seg);
        (void)bt_close(set->link_fd);
        (void)bt_close(set->bell);
        (void)bt_close(set->channel[0]);
        (void)bt_close(set->channel[1]);
        *set = none;
}

/* The number and the reason are known when it is taken. */
static int set_make(struct bt_stock_set *ret_set)
{
        int r;

        *ret_set = none;
        r = bt_link_create(&ret_set->link_seg, &ret_set->link_fd, 0, 0);
        if (!r) {
                ret_set->bell = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
                r = ret_set->bell < 0 ? -errno : bt_scm_pair(ret_set->channel);
        }
        if (r)
                set_free(ret_set);
        return r;
}

/* Without descriptors or memory there is none, until somebody takes one again. */
static void on_timer(struct bt_loop_timer *timer)
{
        struct bt_stock *stock = bt_container_of(timer, struct bt_stock, timer);

        if (!stock->full)
                stock->full = set_make(&stock->set) == 0;
}

int bt_stock_take(struct bt_hub *hub, struct bt_stock_set *ret_set, uint64_t incarnation, uint32_t reason)
{
        struct bt_stock *stock = &hub->stock;
        struct bt_link *link;
        int r = 0;

        if (stock->full)
                *ret_set = stock->set;
        else
                r = set_make(ret_set);
        stock->full = false;
        if (r)
                return r;
        (void)bt_loop_timer_arm(hub->loop, &stock->timer, DUE_AT_ONCE, on_timer);
        link = ret_set->link_seg.at;
        link->incarnation = incarnation;
        link->reason = reason;
        return 0;
}

void bt_stock_deinit(struct bt_stock *stock)
{
        bt_loop_timer_disarm(&stock->timer);
        if (stock->full)
                set_free(&stock->set);
        stock->full = false;
}
