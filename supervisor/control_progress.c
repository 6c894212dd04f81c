/* SPDX-License-Identifier: Apache-2.0 */
#include "supervisor/control_progress.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/scm.h"

#define TOGETHER_NS  (2 * BT_NS_PER_MS)
#define FULL_NS      (10 * BT_NS_PER_MS) /* after the client's socket was full */
#define KEPT_MAX     1024 /* for a client that does not read */
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

/* 0, -EAGAIN: the client is behind with reading, or another -errno: it will not read any more. */
static int send_now(const struct bt_progress *progress, const struct bt_ctl_reply *reply)
{
        return bt_scm_send(progress->fd, reply, sizeof(*reply), NULL, 0);
}

static int send_waiting(const struct bt_progress *progress, const struct waiting *waiting)
{
        struct bt_ctl_reply reply = {0};

        memcpy(&reply, waiting->reply, waiting->bytes);
        return send_now(progress, &reply);
}

static void on_due(struct bt_loop_timer *timer)
{
        (void)bt_progress_flush(bt_container_of(timer, struct bt_progress, timer));
}

static int send_later(struct bt_progress *progress, uint64_t after_ns)
{
        return bt_loop_timer_arm(progress->hub->loop, &progress->timer,
                                 bt_ns_add(bt_now_ns(), after_ns), on_due);
}

static void forget(struct bt_progress *progress, struct waiting *waiting)
{
        bt_list_unlink(&waiting->node);
        free(waiting);
        progress->waiting_count--;
}

bool bt_progress_flush(struct bt_progress *progress)
{
        bool full = false;

        bt_loop_timer_disarm(&progress->timer);
        bt_list_foreach_safe (it, &progress->waiting) {
                struct waiting *waiting = bt_list_entry(it, struct waiting, node);
                int r = send_waiting(progress, waiting);

                full = r == -EAGAIN;
                if (full)
                        break;
                progress->dropped += r != 0;
                forget(progress, waiting);
        }
        if (full && send_later(progress, FULL_NS)) {
                progress->dropped += progress->waiting_count;
                bt_list_foreach_safe (it, &progress->waiting)
                        forget(progress, bt_list_entry(it, struct waiting, node));
        }
        return !progress->waiting_count;
}

void bt_progress_deinit(struct bt_progress *progress)
{
        bt_loop_timer_disarm(&progress->timer);
        bt_list_foreach_safe (it, &progress->waiting)
                free(bt_list_entry(it, struct waiting, node));
        bt_list_init(&progress->waiting);
}

static bool keep(struct bt_progress *progress, const struct bt_ctl_reply *reply)
{
        size_t bytes =
                offsetof(struct bt_ctl_reply, text) + strnlen(reply->text, sizeof(reply->text));
        struct waiting *waiting =
                progress->waiting_count < KEPT_MAX ? malloc(sizeof(*waiting) + bytes) : NULL;

        if (!waiting)
                return false;
        if (!progress->waiting_count && send_later(progress, TOGETHER_NS)) {
                free(waiting);
                return false;
        }
        bt_list_init(&waiting->node);
        waiting->bytes = bytes;
        memcpy(waiting->reply, reply, bytes);
        bt_list_push(&progress->waiting, &waiting->node);
        if (++progress->waiting_count == TOGETHER_MAX)
                (void)bt_progress_flush(progress);
        return true;
}

void bt_progress_tell(struct bt_progress *progress, const struct bt_ctl_reply *reply)
{
        bool first = !bt_hub_crowded(progress->hub) && bt_progress_flush(progress);
        int r = first ? send_now(progress, reply) : -EAGAIN;

        if (r && (r != -EAGAIN || !keep(progress, reply)))
                progress->dropped++;
}
