/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Consent: whether this process may be moved to another node now. The hub asks, and takes silence for "later"; the program may answer, and may say by
 * itself that the moment has come. A hub that was killed has taken the knowledge that we want to be asked with it: the next one is told again.
 */
#include <errno.h>
#include <stddef.h>

#include "child-api/child.h"

typedef int (*may_migrate_fn)(struct baton_child *child, void *ctx);

static may_migrate_fn callback(const struct baton_child *child)
{
        bool has = child->ops->size >= offsetof(struct baton_child_ops, may_migrate) + sizeof(child->ops->may_migrate);

        return has ? child->ops->may_migrate : NULL;
}

bool bt_child_consents(const struct baton_child *child)
{
        return callback(child) != NULL;
}

void bt_child_on_may_migrate(struct baton_child *child)
{
        bool ready = child->stage == BT_CHILD_HOLDING && callback(child) && callback(child)(child, child->ctx) == 0;

        (void)bt_child_say(child, BT_MSG_CONSENT, child->incarnation, ready, 1, 0);
}

void bt_child_tell_consents(struct baton_child *child)
{
        if (callback(child))
                (void)bt_child_say(child, BT_MSG_CONSENT, child->incarnation, 0, 1, 0);
}

int baton_child_migration_ready(struct baton_child *child)
{
        if (bt_child_forked())
                return -BATON_E_FORKED;
        if (!child->supervised)
                return -ENOTCONN;
        if (child->stage != BT_CHILD_HOLDING)
                return -BATON_E_PROTOCOL;
        return bt_child_say(child, BT_MSG_CONSENT, child->incarnation, 1, 1, 0);
}
