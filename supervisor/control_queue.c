/* SPDX-License-Identifier: Apache-2.0 */
#include "supervisor/control_queue.h"

#include <errno.h>
#include <stdio.h>
#include <sys/mman.h>

#include "base/cleanup.h"
#include "base/fd.h"
#include "supervisor/callers.h"
#include "supervisor/control_state.h"
#include "supervisor/mailbox.h"
#include "supervisor/request.h"

/* Words that others write: each is read once, and only shown. */
static struct bt_ctl_queue look(const struct bt_child *child)
{
        const struct bt_mail *mail = child->mail;
        const struct bt_desk *desk = mail->desk;
        struct bt_ctl_queue queue = {
                .phase = child->phase,
                .slots = mail->view.slot_count,
                .bytes = mail->view.payload_bytes,
                .depth = bt_mailbox_depth(&mail->view),
                .waits_for = bt_mailbox_waits_for(&mail->view, atomic_load(&desk->cursor)),
                .clients = bt_callers_count(child),
                .full = atomic_load(&mail->view.mb->full),
                .handled = atomic_load(&desk->handled),
                .redelivered = atomic_load(&desk->redelivered),
                .failed = atomic_load(&desk->failed),
                .expired = atomic_load(&desk->expired),
                .holes = atomic_load(&desk->holes),
                .broken = atomic_load(&desk->broken),
                .unanswered = atomic_load(&desk->unanswered),
        };

        (void)snprintf(queue.child, sizeof(queue.child), "%s", child->id);
        return queue;
}

void bt_queue_request(struct bt_client *client, struct bt_hub *hub,
                      const struct bt_ctl_request *request)
{
        BT_CLEANUP(bt_closep) int fd = memfd_create("baton-queues", MFD_CLOEXEC);
        uint64_t count = 0, matches = 0;
        int r = fd < 0 ? -errno : 0;

        bt_hub_foreach_child(child, hub)
        {
                struct bt_ctl_queue queue;

                if (request->target[0] && !bt_request_matches(child, request->target))
                        continue;
                matches++;
                if (!child->mail || r)
                        continue;
                queue = look(child);
                r = bt_write_all(fd, &queue, sizeof(queue));
                count++;
        }
        if (!matches && request->target[0])
                bt_client_answer(client, BT_CTL_NO_SUCH, "no such child");
        else if (!count && request->target[0])
                bt_client_answer(client, BT_CTL_FAILED,
                                 "it has no mailbox (key `mailbox` of the child)");
        else if (r || bt_client_send(client, BT_CTL_QUEUES, fd, count, 0))
                bt_client_answer(client, BT_CTL_FAILED, "the answer could not be sent");
        else
                bt_client_answer(client, BT_CTL_OK, "");
}
