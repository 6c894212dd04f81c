/* SPDX-License-Identifier: Apache-2.0 */
#include "shm/link.h"

#include "base/check.h"

int bt_link_create(struct bt_seg *ret_seg, int *ret_fd, uint64_t incarnation, uint32_t reason)
{
        struct bt_link *link;
        int r = bt_seg_create(ret_seg, ret_fd, "baton-link", BT_MAGIC_LINK, BT_PAGE_BYTES, BT_PAGE_BYTES);

        if (r)
                return bt_fold(r);
        link = ret_seg->at;
        link->incarnation = incarnation;
        link->reason = reason;
        for (int i = 0; i < _BT_LINK_FD_N; i++)
                link->fds[i] = -1;
        return 0;
}

bool bt_link_valid(const struct bt_link *link)
{
        return link->incarnation > 0 && link->incarnation <= BT_INC_MAX && link->reason < _BATON_REASON_N &&
               link->fds[BT_LINK_FD_BELL] >= 0 && link->fds[BT_LINK_FD_HUB_BELL] >= 0 &&
               link->fds[BT_LINK_FD_CHANNEL] >= 0 && link->fds[BT_LINK_FD_BATON] >= 0 &&
               bt_ring_valid(&link->to_child) && bt_ring_valid(&link->to_hub);
}
