/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The region of the client's segment: memory that the children it sends to can read where it is.
 *
 * A list of pieces in the order of their addresses, each free or not, first fit, neighbours joined when they come free. The list is in private memory: what
 * children write into the region cannot lead us astray. For payloads of kilobytes and more, of which few are under way: a search costs a few
 * nanoseconds a piece. Size classes were dropped for that reason.
 */
#include <errno.h>
#include <stdlib.h>

#include "client-api/client.h"

#define ALIGN 64

struct piece {
        struct bt_list node;
        uint64_t off;
        uint64_t bytes;
        bool used;
};

struct region {
        struct bt_list pieces;
};

static struct piece *piece_new(uint64_t off, uint64_t bytes)
{
        struct piece *piece = calloc(1, sizeof(*piece));

        if (!piece)
                return NULL;
        piece->off = off;
        piece->bytes = bytes;
        bt_list_init(&piece->node);
        return piece;
}

int bt_region_open(struct baton_client *client)
{
        struct region *region = calloc(1, sizeof(*region));
        struct piece *all = piece_new(0, client->ring.region_bytes);

        if (!region || !all) {
                free(region);
                free(all);
                return -ENOMEM;
        }
        bt_list_init(&region->pieces);
        bt_list_push(&region->pieces, &all->node);
        client->region = region;
        return 0;
}

void bt_region_close(struct baton_client *client)
{
        struct region *region = client->region;

        if (!region)
                return;
        bt_list_foreach_safe (it, &region->pieces)
                free(bt_list_entry(it, struct piece, node));
        free(region);
        client->region = NULL;
}

static char *region_base(const struct baton_client *client)
{
        return (char *)client->seg.at + client->ring.region_off;
}

int bt_region_find(const struct baton_client *client, const void *large, size_t bytes,
                   uint64_t *ret_off)
{
        uintptr_t base = (uintptr_t)region_base(client), at = (uintptr_t)large;

        if (at < base || at - base > client->ring.region_bytes ||
            bytes > client->ring.region_bytes - (at - base))
                return -EINVAL;
        *ret_off = at - base;
        return 0;
}

/* The piece's first @bytes; what is left is a piece of its own. False: no memory for that. */
static bool piece_split(struct piece *piece, uint64_t bytes)
{
        struct piece *rest;

        if (piece->bytes == bytes)
                return true;
        rest = piece_new(piece->off + bytes, piece->bytes - bytes);
        if (!rest)
                return false;
        piece->bytes = bytes;
        bt_list_push(piece->node.next, &rest->node); /* before the next one: behind this one */
        return true;
}

static void piece_join(struct region *region, struct piece *piece, struct bt_list *next_node)
{
        struct piece *next = bt_list_entry(next_node, struct piece, node);

        if (next_node == &region->pieces || next->used || piece->used)
                return;
        piece->bytes += next->bytes;
        bt_list_unlink(&next->node);
        free(next);
}

void *baton_client_alloc(struct baton_client *client, size_t bytes)
{
        uint64_t want = ((uint64_t)bytes + ALIGN - 1) & ~(uint64_t)(ALIGN - 1);
        const struct region *region;
        void *at = NULL;

        if (!client || !bytes || want < bytes || bt_clients_forked(client))
                return NULL;
        pthread_mutex_lock(&client->lock);
        region = client->region;
        bt_list_foreach (it, &region->pieces) {
                struct piece *piece = bt_list_entry(it, struct piece, node);

                if (piece->used || piece->bytes < want || !piece_split(piece, want))
                        continue;
                piece->used = true;
                at = region_base(client) + piece->off;
                break;
        }
        pthread_mutex_unlock(&client->lock);
        return at;
}

void baton_client_free(struct baton_client *client, void *ptr)
{
        struct region *region;

        if (!client || !ptr || bt_clients_forked(client))
                return;
        pthread_mutex_lock(&client->lock);
        region = client->region;
        bt_list_foreach (it, &region->pieces) {
                struct piece *piece = bt_list_entry(it, struct piece, node);

                if (!piece->used || region_base(client) + piece->off != (char *)ptr)
                        continue;
                piece->used = false;
                piece_join(region, piece, piece->node.next);
                if (piece->node.prev != &region->pieces) {
                        struct piece *before = bt_list_entry(piece->node.prev, struct piece, node);

                        piece_join(region, before, &piece->node);
                }
                break;
        }
        pthread_mutex_unlock(&client->lock);
}
