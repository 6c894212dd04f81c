/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The mode of an instance of a replicated child (docs/redundancy.md). What counts is the order: the word in the link says PASSIVE only when the program has
 * stopped, and ACTIVE before it begins. A hub that is killed in between leaves a next one that reads the word, and takes whoever may be working
 * for active.
 */
#include <stddef.h>

#include "child-api/child.h"

typedef void (*mode_changed_fn)(struct baton_child *child, enum baton_mode mode, void *ctx);

static mode_changed_fn callback(const struct baton_child *child)
{
        bool has = child->ops->size >= offsetof(struct baton_child_ops, mode_changed) + sizeof(child->ops->mode_changed);

        return has ? child->ops->mode_changed : NULL;
}

/* A hub that adopted us says again what the one before it may have said. */
void bt_child_on_mode(struct baton_child *child, const struct bt_rec *rec)
{
        enum baton_mode mode = rec->arg[0] == BATON_MODE_ACTIVE ? BATON_MODE_ACTIVE : BATON_MODE_PASSIVE;
        bool changed = mode != child->mode;

        child->mode = mode;
        if (mode == BATON_MODE_ACTIVE)
                atomic_store(&child->link->mode_taken, mode);
        if (changed && callback(child))
                callback(child)(child, mode, child->ctx);
        atomic_store(&child->link->mode_taken, mode);
        (void)bt_child_say(child, BT_MSG_MODE_TAKEN, child->incarnation, mode, 0, 0);
}

enum baton_mode baton_child_mode(const struct baton_child *child)
{
        return child->mode;
}
