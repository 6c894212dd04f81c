/* SPDX-License-Identifier: Apache-2.0 */
/* What a child says to its hub. */
#include <errno.h>
#include <stdio.h>
#include <unistd.h>

#include "base/check.h"
#include "child-api/child.h"

int bt_child_say(struct baton_child *child, uint32_t type, uint64_t token, uint64_t arg0, uint64_t arg1,
                 uint64_t arg2)
{
        const struct bt_rec rec = {.type = type, .token = token, .arg = {arg0, arg1, arg2, 0}};
        const uint64_t one = 1;
        int r;

        if (!child->supervised)
                return 0;
        /*
         * A child says at most a handful of things for each thing the hub asks, and the hub asks one thing at a time: the ring cannot fill up
         * while both are honest. If it does the hub is not listening, and its deadlines will say so; waiting here would stop the service.
         */
        r = bt_ring_push(&child->outbox, &rec);
        if (r)
                return bt_fold(-ENOBUFS);
        if (write(child->hub_bell, &one, sizeof(one)) < 0 && errno != EAGAIN)
                return bt_fold(-errno);
        return 0;
}

void bt_child_say_why(struct baton_child *child, const char *what, int error)
{
        if (child->link)
                (void)snprintf(child->link->text, sizeof(child->link->text), "%s: %s (%d)", what,
                               baton_strerror(error), error);
}
