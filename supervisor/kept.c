/* SPDX-License-Identifier: Apache-2.0 */
/* Descriptors that children leave with the hub, by name: they outlive every process of the child. */
#include "supervisor/hub.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/fd.h"
#include "base/scm.h"

/* In one go: more than a process of good will ever has in its channel. One that writes as fast as we read waits for its next turn, not the others. */
#define CHANNEL_READS_MAX 512

static struct bt_kept_fd *kept_find(struct bt_child *child, const char *name)
{
        for (uint32_t i = 0; i < child->kept_count; i++) {
                if (!strcmp(child->kept[i].name, name))
                        return &child->kept[i];
        }
        return NULL;
}

void bt_child_keep(struct bt_child *child, const char *name, int fd, bool several)
{
        struct bt_kept_fd *kept = several ? NULL : kept_find(child, name);

        if (!child->kept)
                child->kept = calloc(BT_KEPT_MAX, sizeof(*child->kept));
        if (!child->kept || (!kept && child->kept_count == BT_KEPT_MAX)) {
                child->limits_hit++;
                bt_child_note(child, child->kept ? "keeps more than %d descriptors: '%s' was closed" : "no memory to keep one of %d descriptors: '%s' was closed",
                              BT_KEPT_MAX, name);
                (void)bt_close(fd);
                return;
        }
        if (kept)
                (void)bt_close(kept->fd);
        else
                kept = &child->kept[child->kept_count++];
        (void)snprintf(kept->name, sizeof(kept->name), "%s", name);
        kept->fd = fd;
}

/* The order of the others stays: it is the order in which the next process gets them. */
void bt_child_drop_kept(struct bt_child *child, const char *name)
{
        uint32_t left = 0;

        for (uint32_t i = 0; i < child->kept_count; i++) {
                if (!strcmp(child->kept[i].name, name))
                        (void)bt_close(child->kept[i].fd);
                else
                        child->kept[left++] = child->kept[i];
        }
        child->kept_count = left;
}

bool bt_child_on_channel(struct bt_child *child, struct bt_inc *inc)
{
        for (uint32_t i = 0; i < CHANNEL_READS_MAX; i++) {
                struct bt_chan msg;
                size_t count = 0;
                int fd = -1;
                ssize_t n = inc->channel < 0 ? 0 : bt_scm_recv(inc->channel, &msg, sizeof(msg), &fd, 1, &count);

                if (n <= 0) {
                        if (n == 0)
                                bt_loop_forget(&inc->channel_watch); /* closed: it would stay ready for ever */
                        return false;
                }
                if (!count)
                        fd = -1;
                msg.name[n == (ssize_t)sizeof(msg) ? sizeof(msg.name) - 1 : 0] = '\0';
                if (n == (ssize_t)sizeof(msg) && msg.type == BT_CHAN_KEEP && fd >= 0 && msg.name[0]) {
                        bt_child_keep(child, msg.name, BT_STEAL_FD(fd), false);
                        /* A successor that is already under way hears of it, too. */
                        if (child->migration && child->migration->succ && child->migration->succ != inc) {
                                struct bt_kept_fd *kept = kept_find(child, msg.name);

                                if (kept)
                                        (void)bt_inc_send(child->migration->succ, &msg, kept->fd);
                        }
                } else if (n == (ssize_t)sizeof(msg) && msg.type == BT_CHAN_DROP) {
                        bt_child_drop_kept(child, msg.name);
                } /* else: it only rang */
                (void)bt_close(fd);
        }
        return true;
}

/* Before the process starts: what it takes is already waiting in its channel. */
void bt_child_send_kept(struct bt_child *child, struct bt_inc *inc)
{
        for (uint32_t i = 0; i < child->kept_count; i++) {
                struct bt_chan msg = {.type = BT_CHAN_KEEP};

                (void)snprintf(msg.name, sizeof(msg.name), "%s", child->kept[i].name);
                if (bt_inc_send(inc, &msg, child->kept[i].fd))
                        bt_child_note(child, "kept descriptor '%s' could not be given to incarnation %llu", msg.name,
                                      (unsigned long long)inc->number);
        }
}

void bt_child_free_kept(struct bt_child *child)
{
        while (child->kept_count)
                (void)bt_close(child->kept[--child->kept_count].fd);
        free(child->kept);
        child->kept = NULL;
}
