/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* A child whose state is a count, as a blob: for programs, and for functions of a hub inside a test. Nothing here but <baton/child.h>. */

#include <stdint.h>
#include <string.h>

#include <baton/child.h>

static uint64_t count;

/* For restore(): takes the count over, when there is one. */
static inline void count_take(const struct baton_restore *restore)
{
        if (restore->state && restore->state_bytes == sizeof(count))
                memcpy(&count, restore->state, sizeof(count));
}

/* For the operations of the child, as they are. */
static inline int count_capture(struct baton_child *child, struct baton_capture *capture, void *ctx)
{
        void *room;
        int r = baton_capture_reserve(capture, sizeof(count), &room);

        (void)child, (void)ctx;
        if (r)
                return r;
        memcpy(room, &count, sizeof(count));
        return baton_capture_commit(capture, sizeof(count));
}
