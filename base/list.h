/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* A circular, intrusive, doubly linked list. A node that is in no list points at itself, so unlinking twice is harmless. */

#include <stdbool.h>
#include <stddef.h>

#include "base/cleanup.h"

struct bt_list {
        struct bt_list *next;
        struct bt_list *prev;
};

#define BT_LIST_INIT(l) {.next = &(l), .prev = &(l)}

static inline void bt_list_init(struct bt_list *l)
{
        l->next = l->prev = l;
}

static inline bool bt_list_empty(const struct bt_list *l)
{
        return l->next == l;
}

static inline void bt_list_push(struct bt_list *head, struct bt_list *node)
{
        node->next = head;
        node->prev = head->prev;
        head->prev->next = node;
        head->prev = node;
}

static inline void bt_list_unlink(struct bt_list *node)
{
        node->prev->next = node->next;
        node->next->prev = node->prev;
        bt_list_init(node);
}

/* Moves all nodes of @from to the end of @to: a ready set is swapped out before it is dispatched. */
static inline void bt_list_splice(struct bt_list *to, struct bt_list *from)
{
        if (bt_list_empty(from))
                return;
        from->next->prev = to->prev;
        to->prev->next = from->next;
        from->prev->next = to;
        to->prev = from->prev;
        bt_list_init(from);
}

#define bt_list_entry(ptr, type, member) bt_container_of(ptr, type, member)

#define bt_list_foreach(it, head) for (struct bt_list *it = (head)->next; it != (head); it = it->next)

/* The body may unlink or free @it. */
#define bt_list_foreach_safe(it, head)                                                             \
        for (struct bt_list *it = (head)->next, *it##_next = it->next; it != (head);               \
             it = it##_next, it##_next = it->next)
