/* SPDX-License-Identifier: Apache-2.0 */
/* What a child says to its hub. */
#include <errno.h>
#include <stdio.h>
#include <unistd.h>

#include "base/check.h"
#include "child-api/child.h"

int bt_child_ring_hub(struct baton_child *child)
{
        const uint64_t one = 1;

        child->ring_due = false;
        return write(child->hub_bell, &one, sizeof(one)) < 0 && errno != EAGAIN ? bt_fold(-errno) : 0;
}

int bt_child_say_quietly(struct baton_child *child, uint32_t type, uint64_t token, uint64_t arg0, uint64_t arg1, uint64_t arg2)
{
        const struct bt_rec rec = {.type = type, .token = token, .arg = {arg0, arg1, arg2, 0}};
        int r;

        /*
         * A child says at most a handful of things for each thing the hub asks, and the hub asks one thing at a time: the ring cannot fill up
         * while both are honest. If it does the hub is not listening, and its deadlines will say so; waiting here would stop the service.
         */
        r = bt_ring_push(&child->outbox, &rec);
        return r ? bt_fold(-ENOBUFS) : 0;
}

int bt_child_say(struct baton_child *child, uint32_t type, uint64_t token, uint64_t arg0, uint64_t arg1, uint64_t arg2)
{
        int r;

        if (!child->supervised)
                return 0;
        r = bt_child_say_quietly(child, type, token, arg0, arg1, arg2);
        return r ? r : bt_child_ring_hub(child);
}

void bt_child_say_why(struct baton_child *child, const char *what, int error)
{
        if (child->link)
                (void)snprintf(child->link->text, sizeof(child->link->text), "%s: %s (%d)", what,
                               baton_strerror(error), error);
}
