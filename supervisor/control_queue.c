/* SPDX-License-Identifier: Apache-2.0 */
#include "supervisor/control_queue.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#include "base/cleanup.h"
#include "base/fd.h"
#include "supervisor/callers.h"
#include "supervisor/control_state.h"
#include "supervisor/mailbox.h"
#include "supervisor/request.h"

/* Words that others write: each is read once, and only shown. */
static void look_queue(struct bt_ctl_queue *queue, const struct bt_child *child)
{
        const struct bt_mail *mail = child->mail;

        queue->slots = mail->view.slot_count;
        queue->bytes = mail->view.payload_bytes;
        queue->depth = bt_mailbox_depth(&mail->view);
        queue->full = atomic_load(&mail->view.mb->full);
        queue->clients = bt_callers_count(child);
        queue->waits_for =
                mail->view.shared
                        ? bt_share_waits_for(&mail->view)
                        : bt_mailbox_waits_for(&mail->view, atomic_load(&mail->desk->cursor));
}

/* That of the pool, of which @child is the first member. */
static struct bt_ctl_queue look_shared(const struct bt_child *child)
{
        struct bt_ctl_queue queue = {.is = BT_CTL_QUEUE_SHARED, .phase = child->phase};

        look_queue(&queue, child);
        bt_hub_foreach_child(other, child->hub)
        {
                if (!bt_mail_shared(other) || strcmp(other->pool, child->pool) != 0)
                        continue;
                queue.members++;
                if (other->phase == BT_PHASE_RUNNING)
                        queue.phase = BT_PHASE_RUNNING; /* somebody takes from it */
        }
        (void)snprintf(queue.child, sizeof(queue.child), "%s", child->pool);
        return queue;
}

static struct bt_ctl_queue look(const struct bt_child *child)
{
        const struct bt_mail *mail = child->mail;
        const struct bt_desk *desk = mail->desk;
        struct bt_ctl_queue queue = {
                .phase = child->phase,
                .is = mail->view.shared ? BT_CTL_QUEUE_MEMBER : BT_CTL_QUEUE_OWN,
                .handled = atomic_load(&desk->handled),
                .redelivered = atomic_load(&desk->redelivered),
                .failed = atomic_load(&desk->failed),
                .expired = atomic_load(&desk->expired),
                .holes = atomic_load(&desk->holes),
                .broken = atomic_load(&desk->broken),
                .unanswered = atomic_load(&desk->unanswered),
                .set_aside = atomic_load(&desk->set_aside),
        };

        if (mail->view.shared)
                queue.depth = atomic_load(&desk->claim) != 0;
        else
                look_queue(&queue, child);
        (void)snprintf(queue.child, sizeof(queue.child), "%s", child->id);
        return queue;
}

static bool wants_shared(const struct bt_ctl_request *request, const struct bt_child *child)
{
        return !request->target[0] || !strcmp(request->target, child->pool);
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
                if (bt_mail_shared(child) && bt_mail_speaks(child) &&
                    wants_shared(request, child)) {
                        queue = look_shared(child);
                        r = bt_write_all(fd, &queue, sizeof(queue));
                        count++;
                }
                queue = look(child);
                if (!r)
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
