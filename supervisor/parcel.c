/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A parcel: the descriptors a predecessor passed in a cold swap, held by the hub while no process has them.
 *
 * They could lie in the socket until the successor reads them, but then a successor that fails would take them down with it. So the hub takes them out
 * and sends them to each process that tries.
 */
#include "supervisor/hub.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/fd.h"
#include "base/scm.h"

#define PARCEL_MESSAGES_MAX 512 /* 129 536 descriptors */

static int parcel_grow(struct bt_parcel *parcel)
{
        struct bt_handoff *messages;
        int(*fds)[BT_HANDOFF_FDS_MAX];

        if (parcel->count == PARCEL_MESSAGES_MAX)
                return -E2BIG;
        messages = realloc(parcel->messages, (parcel->count + 1) * sizeof(*messages));
        if (!messages)
                return -ENOMEM;
        parcel->messages = messages;
        fds = realloc(parcel->fds, (parcel->count + 1) * sizeof(*fds));
        if (!fds)
                return -ENOMEM;
        parcel->fds = fds;
        return 0;
}

int bt_parcel_add(struct bt_parcel *parcel, const struct bt_handoff *msg, const int *fds, size_t count)
{
        int r = msg->magic == BT_HANDOFF_MAGIC && msg->count == count && msg->first == parcel->fd_count ? parcel_grow(parcel) : -EPROTO;

        if (r)
                return r;
        parcel->messages[parcel->count] = *msg;
        memcpy(parcel->fds[parcel->count], fds, count * sizeof(*fds));
        parcel->fd_count += count;
        parcel->count++;
        return 0;
}

/* Reads all that @sock has. 0 or -errno; -BATON_E_FDS when a message makes no sense. */
int bt_parcel_take(struct bt_parcel *parcel, int sock)
{
        for (;;) {
                struct bt_handoff msg;
                int fds[BT_HANDOFF_FDS_MAX];
                size_t count = 0;
                ssize_t n = bt_scm_recv(sock, &msg, sizeof(msg), fds, BT_HANDOFF_FDS_MAX, &count);
                int r;

                if (n == -EAGAIN || n == 0)
                        return 0;
                if (n < 0)
                        return (int)n;
                r = n < (ssize_t)offsetof(struct bt_handoff, tags) ? -EPROTO : bt_parcel_add(parcel, &msg, fds, count);
                if (r) {
                        for (size_t i = 0; i < count; i++)
                                (void)bt_close(fds[i]);
                        return r;
                }
        }
}

int bt_parcel_fill(const struct bt_parcel *parcel, int write_end)
{
        for (uint32_t i = 0; i < parcel->count; i++) {
                const struct bt_handoff *msg = &parcel->messages[i];
                int r = bt_scm_send(write_end, msg, offsetof(struct bt_handoff, tags) + msg->count * sizeof(msg->tags[0]), parcel->fds[i],
                                    msg->count);

                if (r)
                        return r;
        }
        return 0;
}

int bt_parcel_send(const struct bt_parcel *parcel, int *ret_read_end)
{
        BT_CLEANUP(bt_closep) int in = -1;
        BT_CLEANUP(bt_closep) int out = -1;
        int ends[2];
        int r = bt_scm_pair(ends);

        if (r)
                return r;
        out = ends[0];
        in = ends[1];
        r = bt_parcel_fill(parcel, out);
        if (r)
                return r;
        *ret_read_end = BT_STEAL_FD(in);
        return 0;
}

void bt_parcel_free(struct bt_parcel *parcel)
{
        for (uint32_t i = 0; i < parcel->count; i++) {
                for (uint32_t k = 0; k < parcel->messages[i].count; k++)
                        (void)bt_close(parcel->fds[i][k]);
        }
        free(parcel->messages);
        free(parcel->fds);
        *parcel = (struct bt_parcel){0};
}
