/* SPDX-License-Identifier: Apache-2.0 */
/* Items, one behind the other, and the list of descriptors that they name: how a carry is put together. What is in it: carry_write.c. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/fd.h"
#include "supervisor/carry.h"

#define ROOM_MIN ((size_t)64 << 10)

static bool grow(struct bt_carry_out *out, size_t bytes)
{
        size_t room = out->room ? out->room : ROOM_MIN;
        char *at;

        while (room < out->bytes + bytes)
                room *= 2;
        at = room > out->room && !out->failed ? realloc(out->at, room) : out->at;
        if (!at || out->failed) {
                out->failed = true;
                return false;
        }
        out->at = at;
        out->room = room;
        return true;
}

static void append(struct bt_carry_out *out, const void *at, size_t bytes)
{
        if (bytes)
                memcpy(out->at + out->bytes, at, bytes);
        out->bytes += bytes;
}

void bt_carry_put(struct bt_carry_out *out, enum bt_carry_kind kind, const void *at, size_t bytes,
                  const void *more, size_t more_bytes)
{
        static const char zeroes[8];
        const struct bt_carry_item item = {.kind = kind, .bytes = (uint32_t)(bytes + more_bytes)};

        if (!grow(out, sizeof(item) + bytes + more_bytes + sizeof(zeroes)))
                return;
        append(out, &item, sizeof(item));
        append(out, at, bytes);
        append(out, more, more_bytes);
        append(out, zeroes, -(bytes + more_bytes) % 8);
        out->item_count++;
}

/* As long as the highest number: then there is room for all of them. */
static bool place_grow(struct bt_carry_out *out, int fd)
{
        uint32_t room = out->fd_room ? out->fd_room : 256;
        uint32_t *places;
        int *fds;

        while (room <= (uint32_t)fd)
                room *= 2;
        if (room == out->fd_room)
                return true;
        fds = reallocarray(out->fds, room, sizeof(*fds));
        if (fds)
                out->fds = fds;
        places = fds ? reallocarray(out->places, room, sizeof(*places)) : NULL;
        if (!places) {
                out->failed = true;
                return false;
        }
        memset(places + out->fd_room, 0, (room - out->fd_room) * sizeof(*places));
        out->places = places;
        out->fd_room = room;
        return true;
}

uint32_t bt_carry_put_fd(struct bt_carry_out *out, int fd)
{
        if (fd < 0 || !place_grow(out, fd))
                return BT_CARRY_NONE;
        if (!out->places[fd]) { /* the first who names it */
                out->fds[out->fd_count++] = fd;
                out->places[fd] = out->fd_count;
        }
        return out->places[fd] - 1;
}

int bt_carry_out_init(struct bt_carry_out *out)
{
        const struct bt_carry_head later = {0};

        *out = (struct bt_carry_out){0};
        if (!grow(out, sizeof(later)))
                return -ENOMEM;
        append(out, &later, sizeof(later));
        return 0;
}

void bt_carry_out_deinit(struct bt_carry_out *out)
{
        free(out->at);
        free(out->fds);
        free(out->places);
}

int bt_carry_seal(const struct bt_carry_out *out, int *ret_fd, uint64_t *ret_xxh3)
{
        BT_CLEANUP(bt_closep) int fd = memfd_create("baton-carry", MFD_CLOEXEC | MFD_ALLOW_SEALING);
        struct bt_carry_head *head = (void *)out->at;
        int r = fd < 0 ? -errno : 0;

        *head = (struct bt_carry_head){.magic = BT_CARRY_MAGIC,
                                       .head_bytes = sizeof(*head),
                                       .version = BT_CARRY_VERSION,
                                       .version_oldest = BT_CARRY_VERSION,
                                       .item_count = out->item_count,
                                       .bytes = out->bytes,
                                       .pid = (int32_t)getpid()};
        head->xxh3 = bt_carry_sum(head);
        if (!r)
                r = bt_write_all(fd, out->at, out->bytes);
        if (!r &&
            fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL) < 0)
                r = -errno;
        *ret_xxh3 = head->xxh3;
        if (!r)
                *ret_fd = BT_STEAL_FD(fd);
        return r;
}

void bt_carried_deinit(struct bt_carried *carried)
{
        for (uint32_t i = 0; i < carried->link_count; i++)
                (void)bt_close(carried->links[i]);
        free(carried->links);
        free(carried->fds);
        carried->fd = bt_close(carried->fd);
        *carried = (struct bt_carried)BT_CARRIED_NULL;
}
