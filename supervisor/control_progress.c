/* SPDX-License-Identifier: Apache-2.0 */
#include "supervisor/control_progress.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/scm.h"

#define TOGETHER_NS  (2 * BT_NS_PER_MS)
#define TOGETHER_MAX 32 /* fits into a socket's queue, and the client has not begun to read */

struct waiting {
        struct bt_list node;
        size_t bytes;
        char reply[]; /* the first @bytes of a struct bt_ctl_reply; the rest is zero */
};

void bt_progress_init(struct bt_progress *progress, struct bt_hub *hub, int fd)
{
        *progress = (struct bt_progress){.hub = hub, .fd = fd};
        bt_list_init(&progress->waiting);
}

static void send_now(struct bt_progress *progress, const struct bt_ctl_reply *reply)
{
        if (bt_scm_send(progress->fd, reply, sizeof(*reply), NULL, 0))
                progress->dropped++;
}

void bt_progress_flush(struct bt_progress *progress)
{
        bt_loop_timer_disarm(&progress->timer);
        bt_list_foreach_safe (it, &progress->waiting) {
                struct waiting *waiting = bt_list_entry(it, struct waiting, node);
                struct bt_ctl_reply reply = {0};

                memcpy(&reply, waiting->reply, waiting->bytes);
                send_now(progress, &reply);
                bt_list_unlink(&waiting->node);
                free(waiting);
        }
        progress->waiting_count = 0;
}

void bt_progress_deinit(struct bt_progress *progress)
{
        bt_loop_timer_disarm(&progress->timer);
        bt_list_foreach_safe (it, &progress->waiting)
                free(bt_list_entry(it, struct waiting, node));
        bt_list_init(&progress->waiting);
}

static void on_due(struct bt_loop_timer *timer)
{
        bt_progress_flush(bt_container_of(timer, struct bt_progress, timer));
}

static bool keep(struct bt_progress *progress, const struct bt_ctl_reply *reply)
{
        size_t bytes =
                offsetof(struct bt_ctl_reply, text) + strnlen(reply->text, sizeof(reply->text));
        struct waiting *waiting = malloc(sizeof(*waiting) + bytes);

        if (!waiting)
                return false;
        if (!progress->waiting_count &&
            bt_loop_timer_arm(progress->hub->loop, &progress->timer,
                              bt_ns_add(bt_now_ns(), TOGETHER_NS), on_due)) {
                free(waiting);
                return false;
        }
        bt_list_init(&waiting->node);
        waiting->bytes = bytes;
        memcpy(waiting->reply, reply, bytes);
        bt_list_push(&progress->waiting, &waiting->node);
        if (++progress->waiting_count == TOGETHER_MAX)
                bt_progress_flush(progress);
        return true;
}

void bt_progress_tell(struct bt_progress *progress, const struct bt_ctl_reply *reply)
{
        if (bt_hub_crowded(progress->hub) && keep(progress, reply))
                return;
        bt_progress_flush(progress);
        send_now(progress, reply);
}
